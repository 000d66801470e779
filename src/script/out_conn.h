/* out_conn: a connection that a script opened by medusa.tcp.connect: name, addresses, socket, then
 * a conn like any other.
 *
 *     RESOLVING -> CONNECTING -> OPEN -> (on_closed) freed
 *          \------------\-----> FAILED -> out_conn_drop -> freed
 *
 * It belongs to its version, but does not hold it: when the version goes it is closed. */
#ifndef SCRIPT_OUT_CONN_H
#define SCRIPT_OUT_CONN_H

#include "io/connect.h"
#include "script/conn.h"
#include "service/resolver.h"

enum out_state { OUT_RESOLVING, OUT_CONNECTING, OUT_FAILED, OUT_OPEN, OUT_GONE };

struct out_conn {
    /* read-only */
    struct conn conn;
    enum out_state state;
    int error;          /* FAILED */
    bool is_resolution; /* ... and it is the resolver's */
    struct addr addr;   /* OPEN: of the other side */
    /* private */
    struct belonging base;
    struct host *host;
    struct stream stream;
    struct resolve resolve;
    struct connect connect;
    struct timeout limit;
    int64_t due_ms;
    struct l_task *task; /* waits for the connection */
    struct loop_deferred grave;
};

extern const struct stream_ops out_conn_ops;

/* Begins; linked to [link], which gets the conn as its object. [task] is woken when it is OPEN or
 * FAILED. NULL and *error_out: -errno, or the resolver's error. */
MUST_USE struct out_conn *out_conn_start(struct version *v, slice host, uint16_t port,
                                         int64_t timeout_ms, struct l_link *link, int *error_out);

/* Not OPEN: gives it up. */
void out_conn_drop(struct out_conn *oc);

#endif
