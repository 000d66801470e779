/* loop_sim: an engine without a kernel, for tests: virtual time, virtual connections, and every
 * accident that a network can have, decided by a seed, so that each run can be played again.
 *
 * A test holds struct loop_sim, makes a loop around loop_sim_backend(), and plays the peers. Time
 * jumps to the next deadline when nothing else is to do. The loop owns the simulator: it and all
 * its peers go with loop_free(). Memory here is the virtual kernel's, so it is charged to no
 * account and book->fail_at never hits it.
 *
 * Descriptors are real ones (unconnected Unix sockets), but no byte ever passes through them. So
 * their numbers never clash with files, setsockopt() works, getpeername() fails with ENOTCONN, a
 * stray send() or recv() fails instead of going unnoticed, a leak shows in /proc/self/fd, and a
 * plain close() of one that the loop does not know (yet) is seen as the end of that connection.
 *
 * Contracts of loop.h that it enforces by BUG: memory (or file) of a pending send is unchanged and
 * alive until on_sent; no second send meanwhile; the bytes of on_recv are gone when it returns (own
 * memory each time: AddressSanitizer sees who reads them later, or beyond their end). */
#ifndef LOOP_LOOP_SIM_H
#define LOOP_LOOP_SIM_H

#include "loop/loop_backend.h"

struct loop_sim;
struct sim_peer;

/* All zero: a calm network that takes and brings everything at once. */
struct loop_sim_settings {
    uint64_t seed;
    uint32_t buffer_bytes; /* of a virtual socket, per direction; 0 = 64 KiB */
    uint32_t recv_max;     /* at most so many bytes per on_recv; 0 = 64 KiB */
    uint32_t send_max;     /* at most so many bytes are taken at once; 0 = no limit */
    uint32_t delay_ms;     /* longest virtual time of a delayed send or a job */
    uint32_t turn_ns;      /* virtual time that one turn costs */
    /* Chances, in thousandths. */
    uint16_t recv_short;   /* fewer bytes than there are */
    uint16_t send_short;   /* fewer are taken than there is room for */
    uint16_t send_blocked; /* LOOP_PENDING, then on_sent(0) */
    uint16_t send_delayed; /* LOOP_PENDING, then on_sent(n > 0) from the caller's memory */
    uint16_t held;         /* a ready descriptor is told in a later turn only */
    uint16_t spurious;     /* a wait ends for no reason */
    uint16_t accept_fails; /* EMFILE or ECONNABORTED */
    uint16_t dgram_lost;   /* a datagram never arrives */
    bool shuffle;          /* tell ready descriptors, jobs, and datagrams, in any order */
};

/* All of it, often. */
struct loop_sim_settings loop_sim_wild(uint64_t seed);

struct loop_sim *loop_sim_new(const struct loop_sim_settings *settings);

/* To hand to loop_new_on(), once. */
struct loop_backend *loop_sim_backend(struct loop_sim *sim);

/* ---- Descriptors for the code under test, which owns them. -errno when the process has no more.
 * ---- */
MUST_USE int loop_sim_listen(struct loop_sim *sim);
/* Two ends of one connection, both for the loop. */
MUST_USE int loop_sim_pair(struct loop_sim *sim, int fds_out[2]);
/* One end for the loop, the other for the test. */
MUST_USE struct sim_peer *loop_sim_peer(struct loop_sim *sim, int *fd_out);

/* A peer that connects to a listener; NULL: refused, nobody listens. Its bytes may come before it
 * is accepted. */
MUST_USE struct sim_peer *loop_sim_connect(struct loop_sim *sim, int listener);

/* ---- Connections that the loop opens. ---- */

/* What is met at an address. Wherever nothing was said: -ECONNREFUSED. */
struct sim_place {
    int error;        /* 0: it answers; else the positive errno */
    bool is_silent;   /* no answer ever */
    int64_t delay_ms; /* before any answer */
    int listener;     /* whom to: a descriptor of loop_sim_listen, or -1: the test */
};
#define SIM_ADDR_BYTES 128
struct sim_addr {
    socklen_t bytes;
    char raw[SIM_ADDR_BYTES];
};
struct sim_addr sim_addr_of(const struct sockaddr *a, socklen_t bytes);
/* An IPv4 address: sim_ipv4("192.0.2.1", 80). */
struct sim_addr sim_ipv4(const char *ip, uint16_t port);

/* From now on, for connections that begin then. */
void loop_sim_place(struct loop_sim *sim, struct sim_addr at, const struct sim_place *place);
/* The next connection that was opened to a place whose listener is -1; NULL: none (yet). */
struct sim_peer *loop_sim_arrived(struct loop_sim *sim, struct sim_addr at);

/* ---- Datagrams. ---- */

/* A datagram socket at [at], for the code under test. */
MUST_USE int loop_sim_dgram(struct loop_sim *sim, struct sim_addr at);
/* One for the socket at [to]; false: there is none, or it was lost. */
bool loop_sim_datagram(struct loop_sim *sim, struct sim_addr from, struct sim_addr to, slice data);
/* The next one that was sent to an address that no socket of the loop has: its bytes, up to [room]
 * of them in [bytes]. < 0: none. */
MUST_USE ssize_t loop_sim_datagram_sent(struct loop_sim *sim, struct sim_addr *from_out,
                                        struct sim_addr *to_out, char *bytes, size_t room);

/* ---- The test's end of a connection. It reads at once unless it is slow. ---- */

/* Not limited by buffer_bytes: what the loop does not read waits here. */
void sim_peer_send(struct sim_peer *p, slice data);
void sim_peer_shutdown(struct sim_peer *p);
/* Neither sends nor reads from now on; what the other end sends is answered by a reset. */
void sim_peer_close(struct sim_peer *p);
void sim_peer_reset(struct sim_peer *p);
/* Reset as soon as the peer has got [received] bytes, or [sent] of its own have been read
 * (UINT64_MAX: never). */
void sim_peer_reset_at(struct sim_peer *p, uint64_t received, uint64_t sent);

/* From now on it reads only what sim_peer_read says (true), or everything (false). */
void sim_peer_slow(struct sim_peer *p, bool is_slow);
/* Reads up to [n] bytes; the number that there were. */
size_t sim_peer_read(struct sim_peer *p, size_t n);

/* All that it has read since sim_peer_forget; valid until the next call for this peer or turn. */
slice sim_peer_received(const struct sim_peer *p);
void sim_peer_forget(struct sim_peer *p);
/* Its own bytes that the loop has not read yet. */
size_t sim_peer_unread(const struct sim_peer *p);
/* Bytes sent to it that it has not read yet. */
size_t sim_peer_waiting(const struct sim_peer *p);
/* It has read everything up to the other's end. */
bool sim_peer_is_eof(const struct sim_peer *p);
bool sim_peer_is_reset(const struct sim_peer *p);
/* The other end's descriptor was closed (or the connection was dropped before it was accepted). */
bool sim_peer_is_gone(const struct sim_peer *p);
/* Closes and forgets it: for tests with many. */
void sim_peer_free(struct sim_peer **p);

/* ---- Accidents by script. ---- */

enum sim_call {
    SIM_OPEN,
    SIM_RECV,
    SIM_SEND,
    SIM_SENDFILE,
    SIM_ACCEPT,
    SIM_CONNECT,
    SIM_SEND_TO,
    SIM_ANY
};

/* The [nth] such call from now (1 = the next) fails with -[error]; then, if [forever], all that
 * follow. nth 0 ends it. SIM_ANY counts all kinds. */
void loop_sim_fail(struct loop_sim *sim, enum sim_call call, uint64_t nth, int error, bool forever);
/* Calls of this kind so far: what a sweep has to cover. */
uint64_t loop_sim_calls(const struct loop_sim *sim, enum sim_call call);

/* Jobs of the lane with this name (a literal) hang / go on. */
void loop_sim_hang(struct loop_sim *sim, const char *lane, bool hang);

/* The next turn tells the loop's signal function, if it has one for [signo]. */
void loop_sim_signal(struct loop_sim *sim, int signo);

/* ---- Time. ---- */

int64_t loop_sim_now_ms(const struct loop_sim *sim);

/* Turns until nothing more happens at the present moment. */
void loop_sim_settle(struct loop_sim *sim);
/* Lets [ms] pass, then settles. */
void loop_sim_advance(struct loop_sim *sim, int64_t ms);
/* Lets time pass until nothing at all is awaited any more, at most [ms]. True: so it is. */
bool loop_sim_drain(struct loop_sim *sim, int64_t ms);

#endif
