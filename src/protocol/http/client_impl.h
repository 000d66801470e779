/* client_impl: what the parts of the client say to each other.
 *
 *     client.c        a request's life: checks, pool, times, retries, redirects, end
 *     client_dial.c   from a URL to a connected socket
 *     client_conn.c   one connection: writes the request, reads the answer, idles
 *     client_head.c   the head of a request: what is allowed, and how it is written */
#ifndef PROTOCOL_HTTP_CLIENT_IMPL_H
#define PROTOCOL_HTTP_CLIENT_IMPL_H

#include "protocol/http/client.h"
#include "wire/http1_chunk.h"

struct http_client {
    struct io *io;
    struct resolver *resolver;
    struct http_client_settings settings;
    struct mem_owner owner; /* "http client" */
    struct stream_class cls;
    struct list_node requests;
    struct list_node idle; /* connections, the one used last first */
    struct list_node busy;
    uint32_t open;  /* connections in these lists, and dials */
    uint32_t holds; /* the owner, every connection and dial whose memory is there, every on_done
                       that is on the stack: the last frees the client */
    struct http_client_stats stats;
    struct http1_resp scratch; /* the head that is being looked at */
    bool is_dying;             /* http_client_free was called */
};

/* request.phase: which time-out runs */
enum { PHASE_DIAL, PHASE_HEAD, PHASE_BODY };

struct http_conn {
    struct stream stream;
    struct http_client *client;
    struct list_node link;      /* in client->idle or client->busy; in none when it is given up */
    struct http_request *r;     /* NULL: idle */
    struct producer body;       /* a large body that is a slice */
    size_t body_at;             /* bytes of it that were queued */
    struct loop_deferred later; /* on_room and what was read while paused */
    struct http1_chunk chunk;   /* FRAMING_CHUNKED */
    uint64_t left;              /* FRAMING_LENGTH */
    uint64_t in_mark;           /* stream.bytes_in when the request began */
    size_t scanned;             /* of a head that is not complete */
    uint32_t served;            /* requests before this one */
    enum http1_framing framing; /* of the body that is being read */
    uint8_t interims;           /* 1xx so far */
    bool in_body, keep_alive;   /* of the answer */
    bool owes_room;             /* on_room is to be told */
    /* whose it is */
    enum url_scheme scheme;
    uint16_t port;
    size_t host_n;
    char host[];
};

/* ---- client.c ---- */

/* Unlinks the request, gives up its connection or dial, tells on_done, frees what it held. */
void http_client_finish(struct http_request *r, int error);

/* The request lost its connection, which has been taken from it, before the answer's head.
 * [is_stale]: the connection was old and nothing had come. */
void http_client_lost(struct http_request *r, int error, bool is_stale);

/* The answer that is a redirect has been read, or is not worth it. */
void http_client_follow(struct http_request *r);

/* Is the head in client->scratch a redirect to be followed? Then r->next_hop is set. < 0: it
 * cannot be. */
MUST_USE int http_client_check_redirect(struct http_request *r, bool *follows_out);

/* The next time-out of this phase begins now. */
void http_client_set_phase(struct http_request *r, int phase);

/* Gives up one of client->holds. */
void http_client_release(struct http_client *client);

/* ---- client_dial.c ---- */

/* Begins to connect for [r]: http_client_dialled is told, in a later turn; r->dial is set. < 0:
 * -errno or enum http_client_error. */
MUST_USE int http_dial_start(struct http_request *r, int64_t timeout_ms);
/* Nulls r->dial. */
void http_dial_cancel(struct http_request *r);
/* client.c: r->dial is NULL again; [sock] >= 0 is the callee's, < 0 the error. */
void http_client_dialled(struct http_request *r, int sock);

/* ---- client_conn.c ---- */

extern const struct stream_ops http_conn_ops;

/* A connection without a request, which must be begun or parked at once. [sock] is its own, also on
 * failure: NULL, *error_out. */
MUST_USE struct http_conn *http_conn_new(struct http_client *client, const struct url *url,
                                         int sock, int *error_out);
/* Sends the request. < 0: no memory, the connection was given up. */
MUST_USE int http_conn_begin(struct http_conn *conn, struct http_request *r);
/* Ends it at once; its request, if any, is no longer its own. Not told. */
void http_conn_drop(struct http_conn *conn);
/* Puts it into the pool, or drops what the pool does not want. */
void http_conn_park(struct http_conn *conn);
/* One for [url] out of the pool, or NULL. */
struct http_conn *http_conn_take(struct http_client *client, const struct url *url);
/* Reads on after a pause / tells on_room, later in this turn. */
void http_conn_wake(struct http_conn *conn);

/* ---- client_head.c ---- */

/* 0, or why the request cannot be sent: enum http_client_error. Sets r->method_id. */
MUST_USE int http_client_check(struct http_request *r);
/* Queues the head. False without memory. */
MUST_USE bool http_client_put_head(const struct http_request *r, struct outq *q, struct io *io,
                                   bool keep_alive);

static inline bool http_request_has_body(const struct http_request *r)
{
    return r->is_pushed || r->body.p;
}

/* RFC 9112 7.1: a pushed body of unknown length. */
static inline bool http_request_is_chunked(const struct http_request *r)
{
    return r->is_pushed && r->push_length < 0;
}

/* All of the request's body has been given to the queue? */
static inline bool http_conn_has_sent(const struct http_conn *conn, const struct http_request *r)
{
    return !conn->stream.out.bytes && !conn->stream.out.has_producer &&
           (!r->is_pushed || r->has_ended);
}

#endif
