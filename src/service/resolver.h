/* resolver: from the name of a host to addresses, without blocking the loop.
 *
 * Numeric addresses, "unix:/path" and localhost are answered without asking anybody; then
 * /etc/hosts, read on a worker lane at each question; then the name servers of /etc/resolv.conf, by
 * c-ares (resolver_dns.c), sorted by RFC 6724. That file is read on the lane too, at the first
 * question and whenever it has changed. Before the first question that needs any of this there is
 * no socket, no thread and no file. Nothing is kept of an answer. Memory within c-ares is on no
 * account, but bounded by RESOLVER_QUESTIONS_MAX.
 *
 * In the simulator there are no name servers: what would ask them ends with -ETIMEDOUT. */
#ifndef SERVICE_RESOLVER_H
#define SERVICE_RESOLVER_H

#include "io/addr.h"
#include "loop/loop.h"

#define RESOLVE_MAX            8
#define RESOLVER_QUESTIONS_MAX 256
#define RESOLVER_NAME_MAX      253

struct resolver;
struct resolver_question;

struct resolver_settings {
    /* "192.0.2.53,[2001:db8::53]:5353", instead of those in /etc/resolv.conf; NULL or "": those.
     * Outlives the resolver. */
    const char *servers;
    const char *conf;   /* instead of /etc/resolv.conf; NULL: that. Outlives the resolver. */
    uint16_t port;      /* of name servers that are named without one; 0: 53 */
    int64_t timeout_ms; /* of a whole question; 0: 10 s */
};

/* One question, embedded in whoever asks: connect_start takes its addrs. */
struct resolve {
    /* public */
    void (*done)(struct resolve *r);
    /* read-only, in done and afterwards */
    int error; /* 0, and then count > 0; or one of resolver_error_text */
    unsigned count;
    struct addr addrs[RESOLVE_MAX]; /* best first, IPv6 and IPv4 by turns */
    /* private */
    struct list_node ready;
    struct resolver_question *question;
};

/* NULL and *error_out = -errno on failure. [settings] may be NULL. */
MUST_USE struct resolver *resolver_new(struct loop *loop, struct mem_book *book,
                                       const struct resolver_settings *settings, int *error_out);

/* Asks for the addresses of [host] (copied), of one family only if [family] is not AF_UNSPEC; each
 * with [port]. r->done is set and is called once, from the loop, never from here, within the
 * timeout; there *r may be freed. < 0: -errno, done is not called: -EINVAL: this is no name;
 * -EBUSY: RESOLVER_QUESTIONS_MAX are being asked; -ENOMEM; -ECANCELED: after resolver_stop. */
MUST_USE int resolver_start(struct resolver *resolver, struct resolve *r, slice host, uint16_t port,
                            int family);

/* done is not called any more; *r is the caller's at once. Harmless when it is done, and on a
 * zeroed struct. */
void resolver_cancel(struct resolver *resolver, struct resolve *r);

/* What r->error (or a failure of resolver_start) means: a sentence without an end, a literal. */
const char *resolver_error_text(int error);

/* Every question that is open is told -ECANCELED, in a later turn, and no more are taken. */
void resolver_stop(struct resolver *resolver);

/* Nothing of it is on a worker, or waits to be told: it can be freed. */
bool resolver_is_idle(const struct resolver *resolver);

/* It is idle (BUG otherwise). */
void resolver_free(struct resolver **resolver);

#endif
