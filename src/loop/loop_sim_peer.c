/* loop_sim_peer: the test's side of the simulator: listeners, peers, and letting time pass. */
#include "loop/loop_core.h"
#include "loop/loop_sim_impl.h"

#include <errno.h>
#include <sys/signalfd.h>

#define TURNS_MAX 1000000 /* a loop that never comes to rest at one moment */

/* ---- Descriptors and connections. ---- */

int loop_sim_listen(struct loop_sim *sim)
{
    struct sim_end *e = sim_end_new(sim);
    e->is_listener = true;
    int fd = sim_end_take_fd(e);
    if (fd < 0)
        sim_end_close(e);
    return fd;
}

int loop_sim_pair(struct loop_sim *sim, int fds_out[2])
{
    struct sim_end *a = sim_end_new(sim);
    struct sim_end *b = sim_end_new(sim);
    sim_end_join(a, b);
    fds_out[0] = sim_end_take_fd(a);
    fds_out[1] = fds_out[0] < 0 ? fds_out[0] : sim_end_take_fd(b);
    if (fds_out[1] >= 0)
        return 0;
    sim_end_close(a);
    sim_end_close(b);
    return fds_out[1];
}

struct sim_peer *sim_peer_new_at(struct sim_end *other)
{
    struct sim_peer *p = sim_alloc(sizeof *p);
    sim_end_init(&p->end, other->sim);
    p->end.peer = p;
    sim_end_join(&p->end, other);
    return p;
}

struct sim_peer *sim_peer_new(struct loop_sim *sim)
{
    return sim_peer_new_at(sim_end_new(sim));
}

struct sim_peer *loop_sim_peer(struct loop_sim *sim, int *fd_out)
{
    struct sim_peer *p = sim_peer_new(sim);
    *fd_out = sim_end_take_fd(p->end.other);
    if (*fd_out < 0) {
        sim_end_close(p->end.other);
        sim_peer_free(&p);
    }
    return p;
}

struct sim_peer *loop_sim_connect(struct loop_sim *sim, int listener)
{
    sim_watch_loose(sim);
    struct sim_end *e = sim_end_of_fd(sim, listener);
    if (!e || !e->is_listener)
        return NULL;
    struct sim_peer *p = sim_peer_new(sim);
    list_push_back(&e->backlog, &p->end.other->backlog);
    return p;
}

/* ---- A peer. ---- */

void sim_peer_notice(struct sim_peer *p)
{
    if (p->is_slow || p->end.is_closed)
        return;
    sim_wire_add(&p->received, sim_wire_slice(&p->end.in));
    sim_wire_drop(&p->end.in, p->end.in.n);
}

void sim_peer_send(struct sim_peer *p, slice data)
{
    BUG_ON(p->end.is_shut || p->end.is_closed);
    if (p->end.is_reset)
        return;
    sim_end_push(&p->end, data);
}

void sim_peer_shutdown(struct sim_peer *p)
{
    p->end.is_shut = true;
    if (p->end.other)
        p->end.other->in.is_ended = true;
}

void sim_peer_close(struct sim_peer *p)
{
    sim_end_close(&p->end);
}

void sim_peer_reset(struct sim_peer *p)
{
    sim_end_reset(&p->end);
}

void sim_peer_reset_at(struct sim_peer *p, uint64_t received, uint64_t sent)
{
    struct sim_end *e = p->end.other;
    if (!e)
        return;
    BUG_ON(received < e->sent_bytes || sent < e->read_bytes); /* that has passed */
    e->cut_sent = received;
    e->cut_read = sent;
}

void sim_peer_slow(struct sim_peer *p, bool is_slow)
{
    p->is_slow = is_slow;
    sim_peer_notice(p);
}

size_t sim_peer_read(struct sim_peer *p, size_t n)
{
    n = MIN(n, p->end.in.n);
    sim_wire_add(&p->received, slice_head(sim_wire_slice(&p->end.in), n));
    sim_wire_drop(&p->end.in, n);
    return n;
}

slice sim_peer_received(const struct sim_peer *p)
{
    return sim_wire_slice(&p->received);
}

void sim_peer_forget(struct sim_peer *p)
{
    sim_wire_drop(&p->received, p->received.n);
}

size_t sim_peer_unread(const struct sim_peer *p)
{
    return p->end.other ? p->end.other->in.n : 0;
}

size_t sim_peer_waiting(const struct sim_peer *p)
{
    return p->end.in.n;
}

bool sim_peer_is_eof(const struct sim_peer *p)
{
    return p->end.in.is_ended && p->end.in.n == 0 && !p->end.is_reset;
}

bool sim_peer_is_reset(const struct sim_peer *p)
{
    return p->end.is_reset;
}

bool sim_peer_is_gone(const struct sim_peer *p)
{
    return !p->end.other || p->end.other->is_closed;
}

void sim_peer_free(struct sim_peer **at)
{
    struct sim_peer *p = *at;
    *at = NULL;
    if (!p)
        return;
    sim_end_close(&p->end);
    p->is_forgotten = true;
    p->end.sim->has_finished = true;
}

void loop_sim_signal(struct loop_sim *sim, int signo)
{
    struct sim_end *e = sim_end_of_fd(sim, sim->backend.loop->signal_fd.fd);
    struct signalfd_siginfo info = {.ssi_signo = (uint32_t)signo};
    if (e)
        sim_wire_add(&e->in, slice_of(&info, sizeof info));
}

/* ---- Time. ---- */

int64_t loop_sim_now_ms(const struct loop_sim *sim)
{
    return sim->now_ns / NS_PER_MS;
}

/* True: it came to rest; false: loop_stop was called. */
static bool settle(struct loop_sim *sim)
{
    struct loop *loop = sim->backend.loop;
    loop->stopping = false;
    sim->is_frozen = true;
    sim->has_waited = false;
    for (int turns = 0; !sim->has_waited && !loop->stopping; turns++) {
        BUG_ON(turns == TURNS_MAX);
        loop_turn(loop, INT64_MAX);
    }
    sim->is_frozen = false;
    return sim->has_waited;
}

void loop_sim_settle(struct loop_sim *sim)
{
    settle(sim);
}

/* Turns until [until_ns], or loop_stop, or (with [or_idle]) nothing is awaited any more. */
static void run_until(struct loop_sim *sim, int64_t until_ns, bool or_idle)
{
    struct loop *loop = sim->backend.loop;
    loop->stopping = false;
    sim->is_idle = false;
    sim->limit_ns = until_ns;
    int64_t before_ns = -1;
    int64_t turns = 0;
    while (sim->now_ns < until_ns && !loop->stopping) {
        turns = sim->now_ns == before_ns ? turns + 1 : 0;
        before_ns = sim->now_ns;
        BUG_ON(turns == TURNS_MAX);
        loop_turn(loop, or_idle ? INT64_MAX : (until_ns + NS_PER_MS - 1) / NS_PER_MS);
    }
    sim->limit_ns = SIM_NEVER;
}

void loop_sim_advance(struct loop_sim *sim, int64_t ms)
{
    run_until(sim, sim->now_ns + ms * NS_PER_MS, false);
    if (!sim->backend.loop->stopping)
        settle(sim);
}

bool loop_sim_drain(struct loop_sim *sim, int64_t ms)
{
    run_until(sim, sim->now_ns + ms * NS_PER_MS, true);
    return sim->is_idle;
}
