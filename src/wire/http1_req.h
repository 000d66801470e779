/* http1_req: the head of an HTTP/1.x request, by RFC 9112, strictly.
 *
 * A pure function over bytes. Whatever two parsers could understand differently is refused: that is
 * what request smuggling lives from. The slices in the result point into the input.
 *
 * Request targets: RFC 3986, and what browsers send beyond it (the WHATWG URL standard leaves it as
 * it is): "[", "]", "|" and "^", in the query "`", "{" and "}" as well. Refused: white space,
 * control characters, <">, "<", ">", "\", "#", bytes over 0x7f. */
#ifndef WIRE_HTTP1_REQ_H
#define WIRE_HTTP1_REQ_H

#include "wire/http1_head.h"

/* RFC 9112 3.2 */
enum http1_target_form { TARGET_ORIGIN, TARGET_ABSOLUTE, TARGET_AUTHORITY, TARGET_ASTERISK };

struct http1_req {
    slice method_name;
    slice target; /* as it was sent */
    /* Of the target, still percent-encoded, without the query; "/" for absolute-form without one,
     * "*" for asterisk-form, empty for authority-form. */
    slice path;
    slice query; /* after the "?"; .p is NULL when there was none */
    /* host[:port] of absolute- or authority-form, else of Host; empty in HTTP/1.0 without Host */
    slice authority;
    slice scheme; /* of absolute-form, else empty */
    uint64_t content_length;
    enum http_method method;
    enum http1_target_form form;
    uint8_t minor; /* HTTP/1.minor: 0 or 1 (a higher minor counts as 1) */
    bool has_content_length;
    bool chunked;         /* Transfer-Encoding: chunked */
    bool keep_alive;      /* what Connection and the version say (RFC 9112 9.3) */
    bool expect_continue; /* Expect: 100-continue, in HTTP/1.1 */
    bool upgrade;         /* Connection: upgrade and an Upgrade field */
    uint16_t field_count;
    uint8_t first[FIELD_ID_COUNT]; /* 1 + index of the first field of this id, 0 = not there */
    struct http_field fields[HTTP1_FIELDS_MAX];
};

/* Reads one head at the start of [in]. *scanned is 0 for a new request and is kept by the caller
 * between calls while more of the same bytes arrive (they may have moved): it says how much is
 * known to hold no end of the head, so that a head that arrives byte by byte costs linear time. It
 * is 0 again after a result other than 0. The result depends on the bytes alone, not on how they
 * were cut. Bare CR or LF, control characters, a bad request line and what is too long are refused
 * as soon as they are there, all else when the head is complete.
 *
 * - > 0: bytes of the head, blank line included (and up to 2 empty lines before the request line,
 *   RFC 9112 2.2);
 * - 0: not complete yet, and nothing is said of *req;
 * - < 0: refused: the negative status to answer with, then the connection must close: -400, -414,
 *   -417, -431, -501, -505. *why is then a sentence for the log and the client (a literal). Method
 *   and target in *req are set when they were read, else empty, so that the access log can name
 *   them. */
MUST_USE ssize_t http1_req_parse(slice in, const struct http1_limits *limits, size_t *scanned,
                                 struct http1_req *req, const char **why);

/* Value of the first field of this id; .p is NULL when there is none. */
static inline slice http1_req_field(const struct http1_req *req, enum http_field_id id)
{
    unsigned at = req->first[id];
    return at ? req->fields[at - 1].value : (slice){NULL, 0};
}

#endif
