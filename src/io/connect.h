/* connect: a connection to somebody else, by whichever of his addresses answers first.
 *
 * The addresses are tried in their order; a next one is started when the last has failed, or has
 * not answered for a quarter of a second, and the first that connects wins (RFC 8305, in small: a
 * name with a dead IPv6 address costs 250 ms and not a minute). Made on loop_connect, so it runs in
 * the simulator too. Below: loop.h; above: whoever speaks as a client. */
#ifndef IO_CONNECT_H
#define IO_CONNECT_H

#include "io/addr.h"
#include "loop/loop.h"

#define CONNECT_ADDRS_MAX 8
#define CONNECT_NEXT_MS   250

struct connect;

struct connect_try {
    struct loop_fd lfd;
    struct connect *of;
};

/* Embedded in its owner, who may free it when the turn of done, or of connect_cancel, has ended
 * (loop_bury). */
struct connect {
    /* public: [sock] >= 0: connected, non-blocking, close-on-exec, TCP_NODELAY: it is the callee's
     * now. < 0: -errno of the address that failed last; -ETIMEDOUT: nobody answered in time. */
    void (*done)(struct connect *c, int sock);
    /* read-only */
    const struct addr *addrs;
    unsigned count;
    unsigned won; /* in done: which of addrs it was */
    /* private */
    struct loop *loop;
    unsigned next, open; /* addresses that were tried; those that have not answered yet */
    int error;
    struct timeout limit, pause;
    struct connect_try tries[CONNECT_ADDRS_MAX];
};

/* Begins with [addrs] (Internet or Unix; [count] from 1, those beyond CONNECT_ADDRS_MAX are not
 * tried), which must stay until done or connect_cancel. c->done is set and called once, from the
 * loop, never from here; [timeout_ms] > 0 from now at the latest. < 0: -errno, every address failed
 * at once (no such network, no descriptors left): done is not called. */
MUST_USE int connect_start(struct connect *c, struct loop *loop, const struct addr *addrs,
                           unsigned count, int64_t timeout_ms);

/* No more news. Harmless when it is done, and on a zeroed struct. */
void connect_cancel(struct connect *c);

/* done will be called. */
static inline bool connect_is_busy(const struct connect *c)
{
    return c->open > 0;
}

#endif
