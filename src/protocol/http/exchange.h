/* exchange: one request and its response, whatever version of HTTP carries it.
 *
 * A handler looks at the request, may read its body, and answers once:
 *
 *     struct outq *q = exchange_begin(ex, 200, lines, length);      status and fields
 *     if (q) outq_push_...(q, exchange_io(ex), ...);                exactly [length] bytes of body
 *     exchange_end(ex);                                             nothing of ex may be touched
 * after this
 *
 * Slices of the request are valid until handle() returns; a handler that answers later asks for
 * them again (they have moved then), or copies what it needs with arena_copy(&ex->arena, ...). When
 * the client goes away first, or its body turns out to be malformed, on_gone is called, and the
 * handler must not touch the exchange after that. A handler with much to say pushes until
 * stream_is_full(&ex->session->stream) and goes on when on_room is told. */
#ifndef PROTOCOL_HTTP_EXCHANGE_H
#define PROTOCOL_HTTP_EXCHANGE_H

#include "base/arena.h"
#include "io/stream.h"
#include "protocol/session.h"
#include "wire/http1_chunk.h"
#include "wire/http1_req.h"

struct exchange;
struct http_server;

/* The carrier: http1.c, later http2.c. */
struct exchange_ops {
    struct outq *(*begin)(struct exchange *ex, int status, slice lines, int64_t length);
    bool (*write)(struct exchange *ex, slice data);
    void (*end)(struct exchange *ex);
    void (*read_body)(struct exchange *ex);
    void (*watch)(struct exchange *ex);
};

/* Bytes of the request's body have come, or its end: [is_last]. Valid during the call. */
typedef void (*exchange_body_fn)(struct exchange *ex, slice data, bool is_last);

#define EXCHANGE_ROOM 1200

struct exchange {
    /* public, for the handler */
    void *state;
    void (*on_gone)(struct exchange *ex);
    void (*on_room)(struct exchange *ex);
    void *owner; /* beside the handler's state: of whoever called the handler ... */
    void (*on_free)(
        struct exchange *ex); /* ... and is told when the exchange is over, however it ended */
    struct arena arena;

    /* read-only */
    const struct http1_req *req;
    slice path; /* decoded (wire/uri.h), as the handler shall see it: who hands the exchange on may
                   cut it */
    slice whole_path; /* the same, as the client asked: what links and redirects are made from */
    struct http_server *server;
    struct session *session;
    const struct exchange_ops *ops;
    int status; /* of the response, once it has begun */
    bool has_begun, has_ended;
    bool no_body; /* HEAD, 204, 304: exchange_begin's length is told, but nothing may be pushed */
    bool keep_alive;
    bool is_watched;

    /* private to the carrier */
    bool is_chunked; /* the response */
    bool body_done;  /* the request's body has been read */
    bool wants_continue;
    bool body_paused;
    exchange_body_fn on_body;
    struct exchange_line *extra; /* of exchange_add_field */
    size_t extra_bytes;
    uint64_t body_left; /* of a body with a length */
    uint64_t body_seen;
    uint64_t body_mark; /* bytes_in when the rate window began */
    uint64_t head_out;  /* bytes of the response that are not body */
    uint64_t sent_mark; /* bytes_out + queued when the response began */
    size_t head_bytes;  /* of the request, not consumed yet */
    int64_t began_ms;
    struct http1_chunk chunk;
    char room[EXCHANGE_ROOM]; /* first memory of the arena */
};

/* A field of the response, whoever begins it; before that. Several of one name are several fields.
 * 0, -EINVAL: no field name, or a value with control characters, or one of the carrier's fields
 * (Content-Length, Transfer-Encoding, Connection, Date, Server, Keep-Alive, Upgrade, Trailer);
 * -EALREADY: the response has begun; -ENOMEM. */
MUST_USE int exchange_add_field(struct exchange *ex, slice name, slice value);

/* Begins the response. [lines]: further fields, each "Name: value\r\n"; Date, Server, Connection,
 * Content-Length and Transfer-Encoding are the carrier's. [length] of the body; -1: unknown, to be
 * sent with exchange_write only. NULL: no memory, the connection is being closed (call exchange_end
 * all the same). */
MUST_USE struct outq *exchange_begin(struct exchange *ex, int status, slice lines, int64_t length);

/* A piece of a body of unknown length. False: no memory, or the client is gone. */
MUST_USE bool exchange_write(struct exchange *ex, slice data);

/* The response is complete. The exchange may be freed in this call. */
void exchange_end(struct exchange *ex);

/* The whole response in one call: body is copied. */
void exchange_send(struct exchange *ex, int status, slice lines, slice body);

/* The server's page for [status], in the form that the client likes. [lines] as above. Begins and
 * ends the response. When it has begun already the connection is cut instead: that is all that is
 * left to tell an error. Nothing of ex may be touched after this. */
void exchange_fail(struct exchange *ex, int status, slice lines);

/* on_body will be told of the request's body: in later calls, in order, ending with is_last. Call
 * it at most once, before exchange_begin. A body that nobody reads is dropped by the carrier; so is
 * the rest of one after exchange_end. */
void exchange_read_body(struct exchange *ex, exchange_body_fn on_body);

/* From now on the end of the client's input counts as its going away (on_gone), which is seen while
 * the handler is at work. For answers that may never end: without this a client that has gone is
 * noticed when it is written to. A client that sends the next request meanwhile is not watched. */
void exchange_watch(struct exchange *ex);

/* Stops on_body (and reading: the client must wait) / goes on. May be called from on_body. */
void exchange_pause_body(struct exchange *ex);
void exchange_resume_body(struct exchange *ex);

/* Whole lines ("Name: value\r\n") that were checked by exchange_check_field, by reference: valid
 * until the response begins. 0 or as above. */
MUST_USE int exchange_add_lines(struct exchange *ex, slice lines);

/* May exchange_add_field send it? */
bool exchange_check_field(slice name, slice value);

struct io *exchange_io(const struct exchange *ex);

static inline slice exchange_field(const struct exchange *ex, enum http_field_id id)
{
    return http1_req_field(ex->req, id);
}

static inline bool exchange_is_get_or_head(const struct exchange *ex)
{
    return ex->req->method == HTTP_GET || ex->req->method == HTTP_HEAD;
}

#endif
