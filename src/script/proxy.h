/* proxy: a handler that hands requests on to another HTTP server, and its answers back: both bodies
 * piece by piece, no faster than they are taken. What speaks of the connection alone is left out
 * (RFC 9110 7.6.1), who asked is added (X-Forwarded-For). */
#ifndef SCRIPT_PROXY_H
#define SCRIPT_PROXY_H

#include "protocol/http/handler.h"
#include "script/host.h"
#include "wire/url.h"

/* In a userdata that lives as long as its version. */
struct proxy {
    struct http_handler handler;
    struct host *host;
    struct url url; /* its target stands before those of requests */
    int64_t timeout_ms, connect_ms;
    bool keeps_host; /* the client's Host, instead of the URL's */
};

extern const struct http_handler_ops proxy_ops;

#endif
