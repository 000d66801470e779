/* loop_sim: the engine's side of the simulator: what the loop asks for, and the telling.
 *
 * Each wait looks at all ends. That is linear in the connections, which is cheaper than being
 * clever for the thousands of small runs that it is made for. */
#include "loop/loop_core.h"
#include "loop/loop_sim_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS_PER_TURN 4 /* for one descriptor, before others have their turn */
#define CHUNK           (64 * KIB)
#define START_NS        (1000 * NS_PER_S)
#define START_UNIX_S    ((int64_t)1700000000)

/* The end behind [lfd], or NULL when it is closed. */
static struct sim_end *end_of(struct loop_backend *b, const struct loop_fd *lfd)
{
    struct sim_end *e = sim_end_of_fd(sim_of(b), lfd->fd);
    BUG_ON(e && e->lfd != lfd); /* the descriptor is somebody else's by now */
    return e;
}

static int64_t sim_now_ns(struct loop_backend *b)
{
    return sim_of(b)->now_ns;
}

static int64_t sim_unix_ms(struct loop_backend *b)
{
    return START_UNIX_S * (NS_PER_S / NS_PER_MS) + (sim_of(b)->now_ns - START_NS) / NS_PER_MS;
}

/* ---- Opening, wishes, closing. ---- */

/* The loop's signalfd: its bytes come from loop_sim_signal. */
static int open_signals(struct loop_sim *sim, struct loop_fd *lfd)
{
    if (lfd != &sim->backend.loop->signal_fd)
        return -EBADF; /* not one of ours: see the head of loop_sim.h */
    struct sim_end *e = sim_end_new(sim);
    int fd = sim_end_take_fd(e);
    if (fd < 0) {
        sim_end_close(e);
        return fd;
    }
    close(lfd->fd);
    lfd->fd = fd;
    e->lfd = lfd;
    e->is_opened = true;
    sim->loose--;
    return 0;
}

static int sim_open(struct loop_backend *b, struct loop_fd *lfd)
{
    struct loop_sim *sim = sim_of(b);
    sim_watch_loose(sim);
    struct sim_end *e = sim_end_of_fd(sim, lfd->fd);
    if (!e)
        return open_signals(sim, lfd);
    BUG_ON(e->is_opened); /* twice */
    int error = sim_call(sim, SIM_OPEN);
    if (error)
        return error;
    e->lfd = lfd;
    e->is_opened = true;
    sim->loose--;
    return 0;
}

static void sim_close(struct loop_backend *b, struct loop_fd *lfd)
{
    struct sim_end *e = sim_end_of_fd(sim_of(b), lfd->fd);
    if (e && e->lfd == lfd)
        sim_end_close(e);
    else
        close(lfd->fd); /* its opening had failed */
}

static void sim_recv_start(struct loop_backend *b, struct loop_fd *lfd)
{
    struct sim_end *e = end_of(b, lfd);
    if (e)
        e->wants_recv = true;
}

static void sim_recv_stop(struct loop_backend *b, struct loop_fd *lfd)
{
    struct sim_end *e = end_of(b, lfd);
    if (e)
        e->wants_recv = false;
}

static void sim_accept_start(struct loop_backend *b, struct loop_fd *lfd)
{
    struct sim_end *e = end_of(b, lfd);
    if (e)
        e->wants_accept = true;
}

static void sim_accept_stop(struct loop_backend *b, struct loop_fd *lfd)
{
    struct sim_end *e = end_of(b, lfd);
    if (e)
        e->wants_accept = false;
}

static void sim_shutdown(struct loop_backend *b, struct loop_fd *lfd)
{
    struct sim_end *e = end_of(b, lfd);
    if (!e || e->is_shut || e->is_reset)
        return;
    e->is_shut = true;
    if (!e->other)
        return;
    e->other->in.is_ended = true;
    if (e->other->peer)
        sim_peer_notice(e->other->peer);
}

static size_t sim_unsent(struct loop_backend *b, struct loop_fd *lfd)
{
    const struct sim_end *e = end_of(b, lfd);
    return e && e->other ? e->other->in.n : 0;
}

static void sim_wake(struct loop_backend *b)
{
    atomic_store(&sim_of(b)->is_woken, true);
}

/* ---- Sending. ---- */

/* 0: it may go on; else why not. Counts the call. */
static int refuse_send(struct sim_end *e, enum sim_call call)
{
    BUG_ON(e->send.is_pending); /* on_sent has not told the end of the last one */
    int error = sim_call(e->sim, call);
    if (error)
        return error;
    if (e->cut_sent == e->sent_bytes && !e->is_reset)
        sim_end_reset(e);
    if (e->is_shut)
        return -EPIPE;
    return e->is_reset ? (e->is_told ? -EPIPE : -ECONNRESET) : 0;
}

static ssize_t pend(struct sim_end *e, bool takes)
{
    e->send.is_pending = true;
    e->send.takes = takes;
    e->send.due_ns = sim_later_ns(e->sim);
    e->send.count = 0;
    e->send.file = -1;
    return LOOP_PENDING;
}

/* How many of [n] bytes are taken; 0: none now. */
static size_t amount(struct sim_end *e, size_t n)
{
    n = MIN(n, sim_end_room(e));
    if (e->sim->settings.send_max)
        n = MIN(n, e->sim->settings.send_max);
    if (n && sim_chance(e->sim, e->sim->settings.send_short))
        n = sim_some_of(e->sim, n);
    return n;
}

static size_t bytes_in(const struct iovec *iov, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    return n;
}

static void take(struct sim_end *e, const struct iovec *iov, size_t n)
{
    for (; n; iov++) {
        size_t part = MIN(n, iov->iov_len);
        if (part)
            sim_end_push(e, slice_of(iov->iov_base, part));
        n -= part;
    }
}

static ssize_t take_later(struct sim_end *e, const struct iovec *iov, int count, size_t n)
{
    ssize_t result = pend(e, true);
    struct sim_send *s = &e->send;
    memcpy(s->iov, iov, (size_t)count * sizeof *iov);
    s->count = count;
    s->copy = sim_alloc(n);
    s->copy_bytes = n;
    size_t at = 0;
    for (int i = 0; i < count; at += iov[i++].iov_len)
        if (iov[i].iov_len)
            memcpy(s->copy + at, iov[i].iov_base, iov[i].iov_len);
    return result;
}

static ssize_t sim_send(struct loop_backend *b, struct loop_fd *lfd, const struct iovec *iov,
                        int count, bool more)
{
    struct sim_end *e = end_of(b, lfd);
    if (!e)
        return -EBADF;
    size_t all = bytes_in(iov, count);
    BUG_ON(all == 0);
    int error = refuse_send(e, SIM_SEND);
    if (error)
        return error;
    size_t n = amount(e, all);
    if (n == 0 || sim_chance(e->sim, e->sim->settings.send_blocked))
        return pend(e, false);
    if (count <= (int)COUNT_OF(e->send.iov) && sim_chance(e->sim, e->sim->settings.send_delayed))
        return take_later(e, iov, count, all);
    take(e, iov, n);
    return (ssize_t)n;
}

/* Reads from the real file. 0: it has no such bytes. */
static ssize_t take_file(struct sim_end *e, int file, uint64_t offset, size_t n)
{
    char *room = sim_alloc(n);
    ssize_t got = pread(file, room, n, (off_t)offset);
    if (got < 0)
        got = -errno;
    if (got > 0)
        sim_end_push(e, slice_of(room, (size_t)got));
    free(room);
    return got;
}

static ssize_t sim_sendfile(struct loop_backend *b, struct loop_fd *lfd, int file, uint64_t offset,
                            size_t count)
{
    struct sim_end *e = end_of(b, lfd);
    if (!e)
        return -EBADF;
    BUG_ON(count == 0);
    int error = refuse_send(e, SIM_SENDFILE);
    if (error)
        return error;
    size_t n = MIN(amount(e, count), CHUNK);
    if (n == 0 || sim_chance(e->sim, e->sim->settings.send_blocked))
        return pend(e, false);
    if (!sim_chance(e->sim, e->sim->settings.send_delayed))
        return take_file(e, file, offset, n);
    struct stat st;
    BUG_ON(fstat(file, &st) < 0);
    if ((uint64_t)st.st_size <= offset)
        return 0; /* at once: later it could not be told */
    ssize_t result = pend(e, true);
    e->send.file = file;
    e->send.offset = offset;
    e->send.file_bytes = MIN(count, CHUNK);
    e->send.dev = st.st_dev;
    e->send.ino = st.st_ino;
    return result;
}

/* What a pending send named is as it was (BUG otherwise). */
static void check_memory(const struct sim_send *s)
{
    const char *copy = s->copy;
    for (int i = 0; i < s->count; copy += s->iov[i++].iov_len) {
        bool is_memory_of_a_pending_send_unchanged =
            s->iov[i].iov_len == 0 || memcmp(copy, s->iov[i].iov_base, s->iov[i].iov_len) == 0;
        BUG_ON(!is_memory_of_a_pending_send_unchanged);
    }
    struct stat st;
    if (s->file < 0)
        return;
    bool is_file_of_a_pending_send_open =
        fstat(s->file, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino;
    BUG_ON(!is_file_of_a_pending_send_open);
}

/* ---- Telling. ---- */

static bool can_recv(const struct sim_end *e)
{
    return e->wants_recv && !e->is_told && (e->in.n || e->in.is_ended || e->is_reset);
}

static bool can_accept(const struct sim_end *e)
{
    return e->wants_accept && !list_is_empty(&e->backlog);
}

static bool can_send(const struct sim_end *e)
{
    if (!e->send.is_pending)
        return false;
    bool can = e->send.due_ns <= e->sim->now_ns && sim_end_room(e) > 0;
    return can || e->is_reset || e->cut_sent == e->sent_bytes;
}

static bool is_ready(const struct sim_end *e)
{
    return e->lfd && (can_recv(e) || can_send(e) || (e->is_listener && can_accept(e)));
}

static void tell_end(struct sim_end *e, int error)
{
    e->is_told = true;
    e->wants_recv = false;
    e->lfd->ops->on_recv(e->lfd, slice_of("", 0), error);
}

static size_t recv_amount(struct sim_end *e)
{
    const struct loop_sim_settings *set = &e->sim->settings;
    if (!e->other)
        return e->in.n; /* signals come whole */
    size_t n = MIN(e->in.n, set->recv_max ? set->recv_max : CHUNK);
    n = (size_t)MIN((uint64_t)n, e->cut_read - e->read_bytes);
    return n && sim_chance(e->sim, set->recv_short) ? sim_some_of(e->sim, n) : n;
}

static void cut_reading(struct sim_end *e)
{
    if (e->cut_read != e->read_bytes || e->is_reset)
        return;
    sim_wire_drop(&e->in, e->in.n);
    sim_end_reset(e);
}

/* Memory of its own for each time, gone afterwards: see the head of loop_sim.h. */
static void deliver(struct sim_end *e, size_t n)
{
    char *copy = malloc(n);
    BUG_ON(!copy);
    memcpy(copy, e->in.p + e->in.start, n);
    sim_wire_drop(&e->in, n);
    e->read_bytes += n;
    cut_reading(e);
    e->lfd->ops->on_recv(e->lfd, slice_of(copy, n), 0);
    memset(copy, 0xdd, n);
    free(copy);
}

static void recv_once(struct sim_end *e)
{
    int error = sim_call(e->sim, SIM_RECV);
    if (error) {
        tell_end(e, error);
        return;
    }
    cut_reading(e);
    size_t n = recv_amount(e);
    if (n)
        deliver(e, n);
    else
        tell_end(e, e->is_reset ? -ECONNRESET : 0);
}

static void tell_sent(struct sim_end *e)
{
    struct sim_send *s = &e->send;
    if (s->takes)
        check_memory(s);
    s->is_pending = false;
    if (e->cut_sent == e->sent_bytes && !e->is_reset)
        sim_end_reset(e);
    ssize_t n = 0;
    if (e->is_reset) {
        n = -ECONNRESET;
    } else if (s->takes && s->file >= 0) {
        n = take_file(e, s->file, s->offset, MIN(sim_end_room(e), s->file_bytes));
    } else if (s->takes) {
        n = (ssize_t)amount(e, s->copy_bytes);
        take(e, s->iov, (size_t)n);
    }
    free(s->copy);
    s->copy = NULL;
    e->lfd->ops->on_sent(e->lfd, n);
}

/* 0, or why the next connection cannot be accepted. */
static int refuse_accept(struct loop_sim *sim)
{
    int error = sim_call(sim, SIM_ACCEPT);
    if (error || !sim_chance(sim, sim->settings.accept_fails))
        return error;
    return prng_below(&sim->prng, 2) ? -EMFILE : -ECONNABORTED;
}

/* False: it makes no sense to go on in this turn. */
static bool accept_once(struct sim_end *e)
{
    struct sim_end *c = CONTAINER_OF(e->backlog.next, struct sim_end, backlog);
    int error = refuse_accept(e->sim);
    if (error == -ECONNABORTED) { /* that one client has gone: nobody is told */
        list_remove(&c->backlog);
        sim_end_reset(c);
        sim_end_close(c);
        return true;
    }
    int fd = error ? error : sim_end_take_fd(c);
    if (fd < 0) {
        e->lfd->ops->on_accept(e->lfd, fd, NULL, 0);
        return false;
    }
    list_remove(&c->backlog);
    struct sockaddr_in peer = {.sin_family = AF_INET};
    peer.sin_addr.s_addr = htonl(0xc6336400u + (uint32_t)(c->serial % 250)); /* 198.51.100.x */
    peer.sin_port = htons((uint16_t)(1024 + c->serial % 60000));
    e->lfd->ops->on_accept(e->lfd, fd, (struct sockaddr *)&peer, sizeof peer);
    return true;
}

static size_t tell_accepts(struct sim_end *e)
{
    size_t told = 0;
    for (bool go = true; go && e->lfd && can_accept(e) && told < 16 * EVENTS_PER_TURN; told++)
        go = accept_once(e);
    return told;
}

static size_t tell_input(struct sim_end *e)
{
    size_t told = 0;
    for (; e->lfd && can_recv(e) && told < EVENTS_PER_TURN; told++)
        recv_once(e);
    return told;
}

static size_t tell_room(struct sim_end *e)
{
    if (!e->lfd || !can_send(e))
        return 0;
    tell_sent(e);
    return 1;
}

static size_t tell(struct sim_end *e)
{
    struct loop_sim *sim = e->sim;
    if (!e->lfd || sim_chance(sim, sim->settings.held))
        return 0;
    if (e->is_listener)
        return tell_accepts(e);
    if (sim->settings.shuffle && prng_below(&sim->prng, 2)) {
        size_t told = tell_room(e);
        return told + tell_input(e);
    }
    size_t told = tell_input(e);
    return told + tell_room(e);
}

/* ---- One wait. ---- */

static void find_ready(struct loop_sim *sim)
{
    sim->ready_count = 0;
    LIST_EACH (n, &sim->ends) {
        struct sim_end *e = CONTAINER_OF(n, struct sim_end, link);
        if (!is_ready(e))
            continue;
        if (sim->ready_count == sim->ready_cap) {
            sim->ready_cap = 2 * sim->ready_cap + 16;
            sim->ready = realloc(sim->ready, sim->ready_cap * sizeof(struct sim_end *));
            BUG_ON(!sim->ready);
        }
        sim->ready[sim->ready_count++] = e;
    }
}

static void shuffle_ready(struct loop_sim *sim)
{
    for (size_t i = sim->ready_count; i > 1; i--) {
        size_t j = prng_below(&sim->prng, i);
        struct sim_end *e = sim->ready[i - 1];
        sim->ready[i - 1] = sim->ready[j];
        sim->ready[j] = e;
    }
}

static size_t tell_all(struct loop_sim *sim)
{
    find_ready(sim);
    if (sim->settings.shuffle)
        shuffle_ready(sim);
    size_t told = 0;
    for (size_t i = 0; i < sim->ready_count; i++)
        told += tell(sim->ready[i]);
    return told;
}

/* When the next thing happens by itself: now_ns or before, if there is something to tell. */
static int64_t next_event(struct loop_sim *sim)
{
    int64_t next = sim_jobs_next(sim);
    LIST_EACH (n, &sim->ends) {
        const struct sim_end *e = CONTAINER_OF(n, struct sim_end, link);
        if (is_ready(e))
            return sim->now_ns;
        if (e->lfd && e->send.is_pending && sim_end_room(e) > 0)
            next = MIN(next, e->send.due_ns);
    }
    return next;
}

static void pass_time(struct loop_sim *sim, int64_t deadline_ns)
{
    int64_t until = next_event(sim);
    until = MIN(until, deadline_ns);
    if (atomic_exchange(&sim->is_woken, false) || until <= sim->now_ns)
        return;
    if (sim->is_frozen) {
        sim->has_waited = true;
    } else if (until == SIM_NEVER) {
        sim->is_idle = true;
        loop_stop(sim->backend.loop);
    } else {
        sim->now_ns = MAX(sim->now_ns, MIN(until, sim->limit_ns));
    }
}

static size_t sim_wait(struct loop_backend *b, int64_t deadline_ns)
{
    struct loop_sim *sim = sim_of(b);
    sim_sweep(sim);
    sim_watch_loose(sim);
    if (!sim->is_frozen)
        sim->now_ns += sim->settings.turn_ns;
    bool is_spurious = sim_chance(sim, sim->settings.spurious);
    if (!is_spurious)
        pass_time(sim, deadline_ns);
    loop_tick(b->loop);
    if (is_spurious)
        return 0;
    bool jobs_first = sim->settings.shuffle && prng_below(&sim->prng, 2);
    size_t told = jobs_first ? sim_jobs_run(sim) : 0;
    told += tell_all(sim);
    return told + (jobs_first ? 0 : sim_jobs_run(sim));
}

/* ---- Life. ---- */

static void sim_free(struct loop_backend *b)
{
    struct loop_sim *sim = sim_of(b);
    LIST_EACH_SAFE (n, &sim->ends)
        sim_end_close(CONTAINER_OF(n, struct sim_end, link));
    LIST_EACH_SAFE (n, &sim->ends)
        sim_end_destroy(CONTAINER_OF(n, struct sim_end, link));
    BUG_ON(!list_is_empty(&sim->jobs));
    free(sim->by_fd);
    free(sim->ready);
    free(sim);
}

static const struct loop_backend_ops sim_ops = {
    .name = "sim",
    .free = sim_free,
    .now_ns = sim_now_ns,
    .about_now_ns = sim_now_ns,
    .unix_ms = sim_unix_ms,
    .wait = sim_wait,
    .open = sim_open,
    .close = sim_close,
    .recv_start = sim_recv_start,
    .recv_stop = sim_recv_stop,
    .send = sim_send,
    .sendfile = sim_sendfile,
    .shutdown = sim_shutdown,
    .unsent = sim_unsent,
    .accept_start = sim_accept_start,
    .accept_stop = sim_accept_stop,
    .wake = sim_wake,
    .work = sim_jobs_submit,
};

struct loop_sim *loop_sim_new(const struct loop_sim_settings *settings)
{
    struct loop_sim *sim = sim_alloc(sizeof *sim);
    sim->backend.ops = &sim_ops;
    sim->settings = *settings;
    sim->prng.state = settings->seed;
    sim->now_ns = START_NS;
    sim->limit_ns = SIM_NEVER;
    list_init(&sim->ends);
    list_init(&sim->jobs);
    return sim;
}

struct loop_backend *loop_sim_backend(struct loop_sim *sim)
{
    return &sim->backend;
}
