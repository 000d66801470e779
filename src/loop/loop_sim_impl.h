/* loop_sim_impl: what the parts of the simulator share: loop_sim.c (below the loop),
 * loop_sim_peer.c (the test's side), and the virtual kernel between. Nobody else includes it. */
#ifndef LOOP_LOOP_SIM_IMPL_H
#define LOOP_LOOP_SIM_IMPL_H

#include "base/check.h"
#include "base/rand.h"
#include "loop/loop_sim.h"

#include <stdatomic.h>

#define SIM_NEVER INT64_MAX
#define SIM_CHUNK (64 * KIB)

/* Bytes on their way to one end: sent by the other, not read yet. */
struct sim_wire {
    char *p;
    size_t start, n, cap;
    bool is_ended; /* FIN */
};

void sim_wire_add(struct sim_wire *w, slice data);
void sim_wire_drop(struct sim_wire *w, size_t n);
void sim_wire_fini(struct sim_wire *w);

static inline slice sim_wire_slice(const struct sim_wire *w)
{
    return w->p ? slice_of(w->p + w->start, w->n) : slice_of("", 0);
}

/* A send that the loop was told LOOP_PENDING about. */
struct sim_send {
    bool is_pending;
    bool takes;     /* bytes are taken from the caller's memory at the end, else it is told 0 */
    int64_t due_ns; /* not before */
    /* What must not change meanwhile: the memory and a copy of it, or the file. */
    struct iovec iov[8];
    int count;
    char *copy;
    size_t copy_bytes;
    int file;
    uint64_t offset;
    size_t file_bytes;
    dev_t dev;
    ino_t ino;
};

/* A connection that the loop opens: what it meets was decided when it began. */
struct sim_connecting {
    bool is_pending;
    int64_t due_ns; /* SIM_NEVER: silence */
    int error;
    struct sim_place_known *place;
};

/* A place that connections can be opened to. */
struct sim_place_known {
    struct list_node link; /* in sim->places */
    struct sim_addr at;
    struct sim_place place;
    struct list_node arrived; /* ends of peers that the test has not asked for yet, by backlog */
};

struct sim_datagram {
    struct list_node link; /* in an end's queue, or in sim->outbox */
    struct sim_addr from, to;
    size_t n;
    char bytes[];
};

/* One end of a connection, a listener, or a datagram socket. Freed when both ends are finished. */
struct sim_end {
    struct list_node link; /* in sim->ends */
    struct loop_sim *sim;
    struct sim_end *other;
    struct sim_peer *peer; /* the test holds this end; NULL: the loop does */
    struct loop_fd *lfd;   /* NULL: not opened (yet) */
    int fd;                /* -1: not accepted yet, or closed, or a peer's */
    ino_t ino;
    uint64_t serial; /* order of birth: makes peer addresses */

    struct sim_wire in;
    uint64_t read_bytes, sent_bytes;
    uint64_t cut_read, cut_sent; /* reset when these are reached */
    struct sim_send send;
    struct sim_connecting connect;

    struct sim_addr at;         /* datagram socket: where it is */
    struct list_node datagrams; /* that wait for it */

    struct list_node backlog; /* listener: ends that wait; an end: its place in there */
    bool is_listener, is_dgram;
    bool wants_recv, wants_accept;
    bool is_told;   /* of the end: nothing follows */
    bool is_opened; /* by loop_open: lfd was its owner */
    bool is_closed; /* by its owner */
    bool is_shut;   /* our direction was ended */
    bool is_reset;
};

struct sim_peer {
    struct sim_end end;
    struct sim_wire received;
    bool is_slow;
    bool is_forgotten; /* by the test */
};

struct sim_fault {
    uint64_t nth;
    int error;
    bool forever;
};

struct sim_job {
    struct list_node link;
    struct work_job *job;
    int64_t due_ns;
};

#define SIM_HANGS 8

struct loop_sim {
    struct loop_backend backend; /* first: the engine's head */
    struct loop_sim_settings settings;
    struct prng prng;
    int64_t now_ns;
    int64_t limit_ns;     /* time does not pass it */
    bool is_frozen;       /* settling: time does not move */
    bool has_waited;      /* while frozen: there was nothing to do */
    bool is_idle;         /* nothing can ever happen any more */
    bool has_finished;    /* some end may be ready for the sweep */
    atomic_bool is_woken; /* by any thread */
    uint64_t serials;

    struct list_node ends;
    struct sim_end **by_fd; /* ends with a descriptor */
    size_t by_fd_count;
    size_t loose;           /* descriptors handed out and not opened */
    struct sim_end **ready; /* of this turn */
    size_t ready_cap;
    size_t ready_count;

    struct list_node jobs;
    const char *hangs[SIM_HANGS];

    struct list_node places;
    struct list_node outbox; /* datagrams to addresses that no socket of the loop has */

    struct sim_fault faults[SIM_ANY + 1];
    uint64_t calls[SIM_ANY + 1];
};

static inline struct loop_sim *sim_of(struct loop_backend *b)
{
    return CONTAINER_OF(b, struct loop_sim, backend);
}

/* ---- loop_sim_wire.c: bytes, ends, descriptors. ---- */

/* Memory of the virtual kernel: zeroed, never NULL. */
void *sim_alloc(size_t n);

/* A new end of [sim]'s, in [e] (zeroed). */
void sim_end_init(struct sim_end *e, struct loop_sim *sim);
struct sim_end *sim_end_new(struct loop_sim *sim);
void sim_end_join(struct sim_end *a, struct sim_end *b);
/* Gives it a descriptor, loose until it is opened. < 0: -errno. */
MUST_USE int sim_end_take_fd(struct sim_end *e);
struct sim_end *sim_end_of_fd(struct loop_sim *sim, int fd);

/* Its owner is through with it. */
void sim_end_close(struct sim_end *e);
/* Both ends see ECONNRESET. */
void sim_end_reset(struct sim_end *e);
/* Bytes that the other end's buffer, and the script, allow to send now. */
size_t sim_end_room(const struct sim_end *e);
/* Sends to the other end. */
void sim_end_push(struct sim_end *e, slice data);

/* Loose descriptors that were closed behind our back are ends that were closed. */
void sim_watch_loose(struct loop_sim *sim);
/* Frees pairs that are finished at both ends. Not while the loop is being told something. */
void sim_sweep(struct loop_sim *sim);
void sim_end_destroy(struct sim_end *e);

/* The end behind [lfd], or NULL when it is closed. */
struct sim_end *sim_end_of_lfd(struct loop_backend *b, const struct loop_fd *lfd);

/* ---- loop_sim_send.c ---- */

ssize_t sim_send(struct loop_backend *b, struct loop_fd *lfd, const struct iovec *iov, int count,
                 bool more);
ssize_t sim_sendfile(struct loop_backend *b, struct loop_fd *lfd, int file, uint64_t offset,
                     size_t count);
/* A pending send ends. */
void sim_tell_sent(struct sim_end *e);

/* ---- loop_sim_net.c: connections that the loop opens, and datagrams. ---- */

int sim_connect(struct loop_backend *b, struct loop_fd *lfd, const struct sockaddr *to,
                socklen_t to_bytes);
int sim_send_to(struct loop_backend *b, struct loop_fd *lfd, slice data, const struct sockaddr *to,
                socklen_t to_bytes);
/* When there is something to tell a connecting or datagram socket. */
int64_t sim_net_due(const struct sim_end *e);
size_t sim_net_tell(struct sim_end *e);
void sim_end_drop_datagrams(struct sim_end *e);
void sim_net_fini(struct loop_sim *sim);

/* ---- loop_sim_peer.c ---- */

/* A peer, and the other end for the loop, without a descriptor yet. */
struct sim_peer *sim_peer_new(struct loop_sim *sim);
/* The same, the other end being there already. */
struct sim_peer *sim_peer_new_at(struct sim_end *other);

/* There is news on a peer's end: it reads, unless it is slow. */
void sim_peer_notice(struct sim_peer *p);

/* ---- loop_sim_job.c: accidents by chance and by script, and jobs. ---- */

bool sim_chance(struct loop_sim *sim, unsigned per_mille);
/* A number from 1 to [n], small ones often. */
size_t sim_some_of(struct loop_sim *sim, size_t n);
/* A time up to delay_ms away. */
int64_t sim_later_ns(struct loop_sim *sim);
/* Counts the call; 0, or -errno when the script says that it fails. */
int sim_call(struct loop_sim *sim, enum sim_call call);

/* Runs the due jobs. Returns their number. */
size_t sim_jobs_run(struct loop_sim *sim);
/* When the next job that does not hang is due. */
int64_t sim_jobs_next(const struct loop_sim *sim);
void sim_jobs_submit(struct loop_backend *b, struct work_job *job);

#endif
