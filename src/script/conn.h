/* conn: a connection in the hands of a script, whoever made it: accepted by medusa.tcp.server, or
 * opened by medusa.tcp.connect.
 *
 * A struct conn stands beside the stream in its session, and is linked to the script's userdata
 * (l_link.h): a script that holds on to a connection that is gone gets nil, "closed"; a connection
 * that a script forgets is closed. Bytes that nobody reads stop the client: nothing is read ahead
 * while no task waits for input. */
#ifndef SCRIPT_CONN_H
#define SCRIPT_CONN_H

#include "protocol/session.h"
#include "script/l_api.h"
#include "script/l_link.h"

struct l_task;

/* The userdata. Its link leads to the struct conn, or nowhere when that is closed. */
struct l_conn {
    struct l_link *link;
    struct peer_addr peer;
};

struct conn {
    /* read-only */
    struct stream *stream;
    struct version *version;
    /* public: what ends it, when that is not (or not yet) the end of the stream alone; NULL:
     * stream_close */
    void (*finish)(struct conn *c);
    /* private */
    struct l_link *link;   /* to the userdata; NULL: there is none */
    struct l_task *reader; /* waits for input */
    struct l_task *writer; /* waits for room */
    size_t scanned;        /* of the unread bytes: they hold no end of what is looked for
                              (wire/frame_line.h) */
    int64_t deadline_ms;   /* of conn:deadline, in loop_now_ms's time; INT64_MAX = none */
    uint32_t idle_ms;      /* longest wait for input or room; 0 = any */
    uint32_t max_line;     /* for read_line and read_until without a limit of their own */
    bool has_timed_out;
};

/* Makes the userdata for *c, pushed. RAISES. */
void conn_push(lua_State *L, struct conn *c, const struct peer_addr *peer);

/* News from the stream's ops. */
void conn_on_input(struct conn *c);
void conn_on_room(struct conn *c);
void conn_on_deadline(struct conn *c);

/* The stream is closed: tasks that wait are told; *c may be freed after that. */
void conn_gone(struct conn *c);

/* The script is done with it: what is written is still sent. */
void conn_finish(struct conn *c);

extern const struct l_function l_conn_methods[];
extern const size_t l_conn_method_count;
void l_open_conn(lua_State *L);

#endif
