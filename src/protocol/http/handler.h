/* handler: what answers requests: files, an echo, later a script. It sees exchanges only, never a
 * version of HTTP. */
#ifndef PROTOCOL_HTTP_HANDLER_H
#define PROTOCOL_HTTP_HANDLER_H

#include "base/defs.h"

struct exchange;
struct http_handler;

struct http_handler_ops {
    const char *name;
    /* The body must have a length in front: a chunked request is answered 411. */
    bool needs_length;
    /* It knows what to do with methods that we do not know (else they are 501). */
    bool any_method;
    /* Answers with exchange_begin ... exchange_end or exchange_fail: before it returns, or later
     * (then it sets ex->on_gone before returning). */
    void (*handle)(struct http_handler *h, struct exchange *ex);
};

/* Embedded in its owner. */
struct http_handler {
    const struct http_handler_ops *ops;
};

#endif
