/* listener: a socket that connections come to.
 *
 * When descriptors run out, or the owner says so, accepting stops and new clients wait in the
 * kernel's backlog: nobody is refused, nothing spins. */
#ifndef IO_LISTENER_H
#define IO_LISTENER_H

#include "io/addr.h"
#include "loop/loop.h"

struct listener_settings {
    int backlog;
    bool client_speaks_first; /* wake up only when the client has sent something (TCP_DEFER_ACCEPT):
                                 HTTP, not FTP or NNTP */
    mode_t unix_mode;         /* of a Unix socket's file */
    bool keeps_file; /* a Unix socket's file is somebody else's: it stays at listener_close */
};

struct listener;
/* [sock] is the callee's. */
typedef void (*listener_accept_fn)(struct listener *l, int sock, const struct peer_addr *peer);

/* Embedded in its owner. */
struct listener {
    /* public */
    listener_accept_fn on_accept;
    /* read-only */
    struct loop_fd lfd;
    struct addr addr; /* with the true port */
    uint64_t accepted;
    uint64_t refused; /* times that accepting failed for lack of descriptors or memory */
    /* private */
    struct loop *loop;
    struct timeout retry;
    bool is_held, keeps_file;
};

/* Binds and listens, does not accept yet. 0 or -errno. A stale Unix socket at the path (nobody
 * listens there) is replaced. ":0" takes a free port. For
 * ":port" both IPv6 and IPv4 are served; IPv4 alone when the machine has no IPv6. */
MUST_USE int listener_open(struct listener *l, struct loop *loop, const struct addr *addr,
                           const struct listener_settings *settings);

/* The same with a socket that is bound and listening already: socket activation, an upgrade,
 * another listener's, the simulator's. [fd] is made non-blocking and close-on-exec. < 0: -errno
 * (-EINVAL: it does not listen, or is no stream socket), and [fd] is still the caller's. Others may
 * hold the same socket. */
MUST_USE int listener_adopt(struct listener *l, struct loop *loop, int fd,
                            const struct listener_settings *settings);

/* Accepts, unless it is held: then as soon as it goes on. */
void listener_start(struct listener *l);

/* Too many connections: let new ones wait / go on. */
void listener_hold(struct listener *l);
void listener_go_on(struct listener *l);

/* Ends without closing: the socket goes on listening, and whoever comes waits in its backlog until
 * somebody adopts what is returned. -1: it was closed. *l must stay until the end of the turn. */
MUST_USE int listener_release(struct listener *l);

/* Closes; removes the file of a Unix socket. *l must stay until the end of the turn. */
void listener_close(struct listener *l);

#endif
