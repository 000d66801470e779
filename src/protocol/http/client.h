/* client: requests of HTTP/1.1 to other servers, in the same loop: below scripts and the reverse
 * proxy.
 *
 *     http_request_init(&r);
 *     r.url = ...; r.on_head = ...; r.on_done = ...;         url_parse fills the url
 *     error = http_request_start(client, &r);                0: on_done will be called, once
 *
 * A connection that is left after an answer waits in a pool for the next request to the same host
 * and port. One that turns out to be dead before a byte of the answer has come is replaced by a
 * fresh one, once, if the request may be repeated (RFC 9110 9.2.2). Answers are taken strictly
 * (wire/http1_resp.h). Interim answers (1xx) are skipped. Nothing is decompressed. No https yet.
 *
 * Needs from below: stream, connect, resolver. Owner of a request: the caller, whose memory it is;
 * nothing calls back before returning. In its callbacks a request may be paused, cancelled, and in
 * on_done freed or started again; other requests may be started. */
#ifndef PROTOCOL_HTTP_CLIENT_H
#define PROTOCOL_HTTP_CLIENT_H

#include "io/stream.h"
#include "wire/http1_resp.h"
#include "wire/url.h"

struct http_client;
struct http_conn;
struct http_dial;
struct http_request;
struct resolver;

struct http_client_settings {
    uint32_t connections;   /* at most so many, idle ones too; an idle one gives way to a new one,
                               beyond that a request is HTTP_CLIENT_BUSY */
    uint32_t idle;          /* so many wait in the pool, and */
    uint32_t idle_per_host; /* so many to one host and port; 0: none is kept */
    int64_t idle_ms;        /* how long */
};
void http_client_settings_default(struct http_client_settings *settings);

/* NULL without memory. [resolver] outlives the client; NULL: only addresses and Unix sockets can be
 * reached. */
MUST_USE struct http_client *http_client_new(struct io *io, struct mem_book *book,
                                             struct resolver *resolver,
                                             const struct http_client_settings *settings);

/* No request may be at work (BUG otherwise; http_client_cancel_all). The connections close, and the
 * memory goes, in the turns that follow. NULL is accepted. */
void http_client_free(struct http_client **client);

/* Cancels every request: none of them is told. */
void http_client_cancel_all(struct http_client *client);

/* Closes what is idle: for a process that wants to be small now. */
void http_client_trim(struct http_client *client);

struct http_client_stats {
    uint64_t requests, failed, retried, redirected;
    uint64_t dialled, reused; /* connections */
    uint32_t busy, idle;      /* now */
};
struct http_client_stats http_client_stats(const struct http_client *client);

/* Errors besides -errno. */
enum http_client_error {
    HTTP_CLIENT_BAD_URL = -10000,
    HTTP_CLIENT_NO_TLS,
    HTTP_CLIENT_BAD_METHOD,
    HTTP_CLIENT_BAD_FIELD,
    HTTP_CLIENT_BAD_BODY,
    HTTP_CLIENT_BUSY,
    HTTP_CLIENT_NO_RESOLVER,
    HTTP_CLIENT_NO_ADDRESS,
    HTTP_CLIENT_CONNECT_TIMEOUT,
    HTTP_CLIENT_HEAD_TIMEOUT,
    HTTP_CLIENT_IDLE_TIMEOUT,
    HTTP_CLIENT_TOTAL_TIMEOUT,
    HTTP_CLIENT_NO_ANSWER,
    HTTP_CLIENT_CUT_SHORT,
    HTTP_CLIENT_BAD_HEAD,
    HTTP_CLIENT_HEAD_TOO_LONG,
    HTTP_CLIENT_BAD_CHUNKS,
    HTTP_CLIENT_BODY_TOO_LONG,
    HTTP_CLIENT_UPGRADED,
    HTTP_CLIENT_BAD_REDIRECT,
    HTTP_CLIENT_TOO_MANY_REDIRECTS,
    HTTP_CLIENT_ERROR_END,
};

/* A sentence for people, also for -errno. */
const char *http_client_error_text(int error);

/* Filled by http_request_init, then by the caller. All that its slices point to stays until on_done
 * or http_request_cancel. */
struct http_request {
    /* public */
    void *owner;
    slice method; /* "GET" */
    struct url url;
    /* Further lines; the ids do not matter. Host is made of the URL unless it is here. What frames
     * the message or speaks of the connection is the client's: HTTP_CLIENT_BAD_FIELD. */
    const struct http_field *fields;
    size_t field_count;
    slice body;          /* .p NULL: none */
    bool is_pushed;      /* the body comes by http_request_write instead */
    int64_t push_length; /* its length; < 0: unknown, it goes out chunked */
    bool is_fresh;       /* not on a connection that was used before */
    unsigned redirects;  /* follow at most so many, with GET and HEAD without body; 0 = none */
    /* Times, 0 = no limit. head_ms: for the head of the answer; begins again when the other side
     * has taken more of a long body. idle_ms: between two parts of the answer's body. Neither runs
     * while the request is paused, or the caller owes a part of the request's body. */
    int64_t connect_ms, head_ms, idle_ms, total_ms;
    uint32_t max_head;
    uint64_t max_body; /* 0 = no limit */

    /* Each may be NULL. r->status and r->answer are known; the latter is valid during the call
     * only. Not called for answers that are redirects and are followed. */
    void (*on_head)(struct http_request *r);
    /* Of the body, in order; valid during the call. NULL: it is collected in r->collected. */
    void (*on_data)(struct http_request *r, slice data);
    /* The connection takes (more of) a body that is pushed: first when it is there, then when
     * http_request_is_full had been true. */
    void (*on_room)(struct http_request *r);
    /* A redirect is about to be followed to [to]: false gives the answer 3xx to the caller as it
     * is. It may not cancel the request. */
    bool (*may_follow)(struct http_request *r, const struct url *to);
    /* Once, at the end: 0, or see http_client_error_text. The request is the caller's again. */
    void (*on_done)(struct http_request *r, int error);

    /* read-only */
    const struct http1_resp *answer;
    int status;       /* 0 before on_head */
    uint64_t taken;   /* bytes of the answer's body so far */
    slice collected;  /* in on_done, without error and without on_data */
    const char *why;  /* in on_done: what is wrong with the answer, if that is known better */
    struct url at;    /* who answers: r->url, or where it was redirected to */
    unsigned hops;    /* redirects that were followed */
    bool was_retried; /* a connection of the pool was dead */

    /* private */
    struct http_client *client; /* NULL: not at work */
    struct list_node link;      /* in client->requests */
    struct http_dial *dial;
    struct http_conn *conn;
    struct timeout timeout;
    int64_t total_due, phase_due;
    uint64_t out_mark;    /* bytes that the other side had when phase_due was set */
    char *hop, *next_hop; /* texts of r->at, and of where to go next */
    size_t hop_n, next_hop_n;
    char *room; /* of collected */
    size_t room_n;
    uint64_t pushed;
    enum http_method method_id;
    uint8_t phase;
    bool is_paused, has_ended; /* has_ended: the pushed body is complete */
};

/* GET with no body, 30 s to connect, 60 s for the head and between parts, no limit in total, heads
 * of 32 KiB, bodies of 1 MiB. */
void http_request_init(struct http_request *r);

/* < 0: it is refused (or there is no memory), nothing will be called; r->why may say more. */
MUST_USE int http_request_start(struct http_client *client, struct http_request *r);

/* No more callbacks; its connection is closed. Harmless when it is not at work (but initialised).
 */
void http_request_cancel(struct http_request *r);

/* No on_data, and the kernel's window closes / goes on, in this turn or the next. */
void http_request_pause(struct http_request *r);
void http_request_resume(struct http_request *r);

/* A part of a body that is pushed, by copy; from the first on_room on. False: no memory, too many
 * bytes, or the connection is gone: on_done will tell. */
MUST_USE bool http_request_write(struct http_request *r, slice data);
/* So much is queued that on_room should be waited for. */
bool http_request_is_full(struct http_request *r);
/* The pushed body is complete. Fewer bytes than promised: on_done tells HTTP_CLIENT_BAD_BODY. */
void http_request_end(struct http_request *r);

/* A connection that was made elsewhere joins the pool, as one that has been used already. [sock] is
 * the client's from now on, also on failure (-errno). */
MUST_USE int http_client_adopt(struct http_client *client, const struct url *url, int sock);

#endif
