/* loop_sim: the engine's side of the simulator: what the loop asks for, and the telling.
 *
 * Each wait looks at all ends. That is linear in the connections, which is cheaper than being
 * clever for the thousands of small runs that it is made for. */
#include "loop/loop_core.h"
#include "loop/loop_sim_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#define EVENTS_PER_TURN 4 /* for one descriptor, before others have their turn */
#define START_NS        (1000 * NS_PER_S)
#define START_UNIX_S    ((int64_t)1700000000)

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

static void sim_release(struct loop_backend *b, struct loop_fd *lfd)
{
    struct sim_end *e = sim_end_of_lfd(b, lfd);
    if (!e)
        return;
    BUG_ON(e->send.is_pending || e->connect.is_pending);
    e->lfd = NULL;
    e->is_opened = e->wants_recv = e->wants_accept = false;
    e->sim->loose++;
}

static void sim_recv_start(struct loop_backend *b, struct loop_fd *lfd)
{
    struct sim_end *e = sim_end_of_lfd(b, lfd);
    if (e)
        e->wants_recv = true;
}

static void sim_recv_stop(struct loop_backend *b, struct loop_fd *lfd)
{
    struct sim_end *e = sim_end_of_lfd(b, lfd);
    if (e)
        e->wants_recv = false;
}

static void sim_accept_start(struct loop_backend *b, struct loop_fd *lfd)
{
    struct sim_end *e = sim_end_of_lfd(b, lfd);
    if (e)
        e->wants_accept = true;
}

static void sim_accept_stop(struct loop_backend *b, struct loop_fd *lfd)
{
    struct sim_end *e = sim_end_of_lfd(b, lfd);
    if (e)
        e->wants_accept = false;
}

/* Libraries that read by themselves would find nothing: no byte passes through our descriptors. */
static int sim_poll(struct loop_backend *b, struct loop_fd *lfd, unsigned events)
{
    return -EOPNOTSUPP;
}

static void sim_shutdown(struct loop_backend *b, struct loop_fd *lfd)
{
    struct sim_end *e = sim_end_of_lfd(b, lfd);
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
    const struct sim_end *e = sim_end_of_lfd(b, lfd);
    return e && e->other ? e->other->in.n : 0;
}

static void sim_wake(struct loop_backend *b)
{
    atomic_store(&sim_of(b)->is_woken, true);
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
    if (e->connect.is_pending || e->is_dgram)
        return sim_net_due(e) <= e->sim->now_ns;
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
    size_t n = MIN(e->in.n, set->recv_max ? set->recv_max : SIM_CHUNK);
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
    sim_tell_sent(e);
    return 1;
}

static size_t tell(struct sim_end *e)
{
    struct loop_sim *sim = e->sim;
    if (!e->lfd || sim_chance(sim, sim->settings.held))
        return 0;
    if (e->connect.is_pending || e->is_dgram)
        return sim_net_tell(e);
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
        int64_t due = sim_net_due(e);
        next = MIN(next, due);
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
    sim_net_fini(sim);
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
    .release = sim_release,
    .recv_start = sim_recv_start,
    .recv_stop = sim_recv_stop,
    .send = sim_send,
    .sendfile = sim_sendfile,
    .shutdown = sim_shutdown,
    .unsent = sim_unsent,
    .accept_start = sim_accept_start,
    .accept_stop = sim_accept_stop,
    .connect = sim_connect,
    .datagrams_start = sim_recv_start,
    .datagrams_stop = sim_recv_stop,
    .send_to = sim_send_to,
    .poll = sim_poll,
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
    list_init(&sim->places);
    list_init(&sim->outbox);
    return sim;
}

struct loop_backend *loop_sim_backend(struct loop_sim *sim)
{
    return &sim->backend;
}
