/* loop_sim_wire: the virtual kernel: connections as two wires, and what close and reset do to them.
 *
 * The end of a connection follows Linux where it matters to a server: closing with unread input is
 * a reset, and then the other side loses what it has not read yet; who sends to a closed end is
 * reset; a side that was reset still reads what had arrived before. */
#include "loop/loop_sim_impl.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

void *sim_alloc(size_t n)
{
    void *p = calloc(1, n);
    BUG_ON(!p);
    return p;
}

/* ---- Bytes on their way. ---- */

void sim_wire_add(struct sim_wire *w, slice data)
{
    if (data.n == 0)
        return;
    if (w->start + w->n + data.n > w->cap) {
        size_t cap = MAX(2 * w->n, w->n + data.n) + 64;
        char *p = sim_alloc(cap);
        if (w->n)
            memcpy(p, w->p + w->start, w->n);
        free(w->p);
        w->p = p;
        w->cap = cap;
        w->start = 0;
    }
    memcpy(w->p + w->start + w->n, data.p, data.n);
    w->n += data.n;
}

void sim_wire_drop(struct sim_wire *w, size_t n)
{
    BUG_ON(n > w->n);
    w->n -= n;
    w->start = w->n ? w->start + n : 0;
}

void sim_wire_fini(struct sim_wire *w)
{
    free(w->p);
    w->p = NULL;
    w->start = w->n = w->cap = 0;
}

/* ---- Ends. ---- */

void sim_end_init(struct sim_end *e, struct loop_sim *sim)
{
    e->sim = sim;
    e->fd = -1;
    e->serial = sim->serials++;
    e->cut_read = e->cut_sent = UINT64_MAX;
    list_init(&e->backlog);
    list_init(&e->datagrams);
    list_push_back(&sim->ends, &e->link);
}

struct sim_end *sim_end_new(struct loop_sim *sim)
{
    struct sim_end *e = sim_alloc(sizeof *e);
    sim_end_init(e, sim);
    return e;
}

void sim_end_join(struct sim_end *a, struct sim_end *b)
{
    a->other = b;
    b->other = a;
}

void sim_end_destroy(struct sim_end *e)
{
    list_remove(&e->link);
    list_remove(&e->backlog);
    sim_wire_fini(&e->in);
    free(e->send.copy);
    if (e->peer) {
        sim_wire_fini(&e->peer->received);
        free(e->peer);
    } else {
        free(e);
    }
}

static bool is_finished(const struct sim_end *e)
{
    return !e || (e->is_closed && (!e->peer || e->peer->is_forgotten));
}

void sim_sweep(struct loop_sim *sim)
{
    if (!sim->has_finished)
        return;
    sim->has_finished = false;
    LIST_EACH_SAFE (n, &sim->ends) {
        struct sim_end *e = CONTAINER_OF(n, struct sim_end, link);
        if (!is_finished(e) || !is_finished(e->other))
            continue;
        if (e->other)
            e->other->other = NULL; /* goes on its own, now or next time */
        sim->has_finished |= e->other != NULL;
        sim_end_destroy(e);
    }
}

/* ---- Descriptors: see the head of loop_sim.h. ---- */

struct sim_end *sim_end_of_fd(struct loop_sim *sim, int fd)
{
    return fd >= 0 && (size_t)fd < sim->by_fd_count ? sim->by_fd[fd] : NULL;
}

struct sim_end *sim_end_of_lfd(struct loop_backend *b, const struct loop_fd *lfd)
{
    struct sim_end *e = sim_end_of_fd(sim_of(b), lfd->fd);
    BUG_ON(e && e->lfd != lfd); /* the descriptor is somebody else's by now */
    return e;
}

static void make_table(struct loop_sim *sim, size_t count)
{
    if (count <= sim->by_fd_count)
        return;
    count = MAX(count, 2 * sim->by_fd_count);
    struct sim_end **table = sim_alloc(count * sizeof *table);
    if (sim->by_fd_count)
        memcpy(table, sim->by_fd, sim->by_fd_count * sizeof *table);
    free(sim->by_fd);
    sim->by_fd = table;
    sim->by_fd_count = count;
}

static void drop_fd(struct sim_end *e, bool close_it)
{
    struct loop_sim *sim = e->sim;
    if (e->fd < 0)
        return;
    sim->by_fd[e->fd] = NULL;
    if (!e->is_opened)
        sim->loose--;
    if (close_it)
        close(e->fd);
    e->fd = -1;
}

/* Somebody closed the descriptor without asking the loop. */
static void lose(struct sim_end *e)
{
    drop_fd(e, false);
    sim_end_close(e);
}

int sim_end_take_fd(struct sim_end *e)
{
    struct loop_sim *sim = e->sim;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    make_table(sim, (size_t)fd + 1);
    if (sim->by_fd[fd]) {
        BUG_ON(sim->by_fd[fd]->is_opened); /* closed, but not by loop_close */
        lose(sim->by_fd[fd]);
    }
    struct stat st;
    BUG_ON(fstat(fd, &st) < 0);
    e->fd = fd;
    e->ino = st.st_ino;
    sim->by_fd[fd] = e;
    sim->loose++;
    return fd;
}

void sim_watch_loose(struct loop_sim *sim)
{
    if (sim->loose == 0)
        return;
    LIST_EACH (n, &sim->ends) {
        struct sim_end *e = CONTAINER_OF(n, struct sim_end, link);
        struct stat st;
        if (e->fd < 0 || e->is_opened)
            continue;
        if (fstat(e->fd, &st) < 0 || st.st_ino != e->ino)
            lose(e);
    }
}

/* ---- What happens to a connection. ---- */

static void notice(struct sim_end *e)
{
    if (e->peer)
        sim_peer_notice(e->peer);
}

static void see_reset(struct sim_end *e)
{
    e->is_reset = true;
    if (e->peer)
        sim_wire_fini(&e->in); /* the worst case: lost on the way */
    notice(e);
}

void sim_end_reset(struct sim_end *e)
{
    see_reset(e);
    if (e->other)
        see_reset(e->other);
}

static void refuse_backlog(struct sim_end *listener)
{
    for (struct list_node *n; (n = list_pop_front(&listener->backlog));) {
        struct sim_end *e = CONTAINER_OF(n, struct sim_end, backlog);
        sim_end_reset(e);
        sim_end_close(e);
    }
}

void sim_end_close(struct sim_end *e)
{
    if (e->is_closed)
        return;
    e->is_closed = true;
    e->sim->has_finished = true;
    drop_fd(e, true);
    e->lfd = NULL;
    e->wants_recv = e->wants_accept = e->send.is_pending = e->connect.is_pending = false;
    sim_end_drop_datagrams(e);
    if (e->is_listener)
        refuse_backlog(e);
    struct sim_end *o = e->other;
    if (o && e->in.n > 0)
        see_reset(o);
    if (o)
        o->in.is_ended = true;
    sim_wire_fini(&e->in);
    if (o)
        notice(o);
}

size_t sim_end_room(const struct sim_end *e)
{
    const struct sim_end *o = e->other;
    size_t buffer = e->sim->settings.buffer_bytes ? e->sim->settings.buffer_bytes : 64 * KIB;
    size_t used = o ? o->in.n : 0;
    uint64_t until_cut = e->cut_sent - e->sent_bytes;
    return (size_t)MIN(until_cut, used < buffer ? buffer - used : 0);
}

void sim_end_push(struct sim_end *e, slice data)
{
    struct sim_end *o = e->other;
    e->sent_bytes += data.n;
    if (!o || o->is_closed) {
        sim_end_reset(e); /* the answer to bytes that nobody awaits */
        return;
    }
    sim_wire_add(&o->in, data);
    notice(o);
    if (e->sent_bytes == e->cut_sent)
        sim_end_reset(e);
}
