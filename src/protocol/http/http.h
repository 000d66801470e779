/* http: the HTTP server: settings, and what its carriers share. */
#ifndef PROTOCOL_HTTP_HTTP_H
#define PROTOCOL_HTTP_HTTP_H

#include "protocol/http/error_page.h"
#include "protocol/http/exchange.h"
#include "protocol/http/handler.h"
#include "protocol/server.h"

struct accesslog;

#define HTTP_HOSTS_MAX 64

struct http_settings {
    struct server_settings server;
    struct http1_limits limits;
    uint64_t body_bytes;    /* larger request bodies are 413 */
    uint64_t discard_bytes; /* of a body that nobody reads: so much is read away to keep the
                               connection */
    uint32_t requests;      /* per connection, 0 = no limit */
    int64_t keepalive_ms;   /* between requests */
    int64_t header_ms;      /* for a whole head, from accept or from its first byte: 408 */
    uint64_t rate_bytes;    /* a body must bring so many bytes ... */
    int64_t rate_ms;        /* ... in each such time: 408 */
    /* Names that are served, without port; a request for another is 421. None = all. The slices
     * outlive the server. */
    slice hosts[HTTP_HOSTS_MAX];
    unsigned host_count;
};
void http_settings_default(struct http_settings *settings);

struct http_stats {
    uint64_t requests, by_class[6]; /* answers 1xx..5xx; 0: cut before an answer */
    uint64_t refused;               /* malformed heads */
};

struct http_server {
    struct server server; /* first */
    /* read-only */
    struct http_settings settings;
    struct http_handler *handler;
    struct accesslog *accesslog; /* NULL = none */
    struct error_pages pages;
    struct http_stats stats;
    /* private */
    struct mem_owner owner; /* "exchanges" */
    struct pool exchanges;
    int64_t date_s;
    char date_line[64]; /* "Server: ...\r\nDate: ...\r\n" */
    size_t date_bytes;
    struct http1_req scratch; /* the head that is being looked at */
};

/* [handler] and [accesslog] outlive the server. Listen and start with server_listen, server_start
 * on &http->server. */
void http_server_init(struct http_server *http, struct io *io, struct mem_book *book,
                      const struct http_settings *settings, struct http_handler *handler);
void http_server_fini(struct http_server *http);

/* Other settings, from the next request on; sessions that are open keep their connections. */
void http_server_change(struct http_server *http, const struct http_settings *settings);

/* ---- For the carriers. ---- */

/* "Server: Medusa\r\nDate: ...\r\n", made anew each second. */
slice http_date_line(struct http_server *http);

/* A zeroed exchange with its arena, or NULL. */
MUST_USE struct exchange *http_exchange_new(struct http_server *http, struct session *session);

/* Counts it, writes the access log, frees it. It was the [number]th of its session. */
void http_exchange_free(struct http_server *http, struct exchange *ex, uint32_t number);

/* Checks what is independent of the version (host, method, target), decodes the path and calls the
 * handler, or fails the exchange. */
void http_dispatch(struct http_server *http, struct exchange *ex);

#endif
