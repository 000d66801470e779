/* http1_resp: the head of an HTTP/1.x response, by RFC 9112, strictly, and how long its body is.
 *
 * A pure function over bytes, as http1_req is. Whatever two parsers could understand differently is
 * refused: two lengths, folded lines, codings that nobody asked for. One leniency: the space after
 * the status code may be missing when no reason follows it. The slices in the result point into the
 * input. */
#ifndef WIRE_HTTP1_RESP_H
#define WIRE_HTTP1_RESP_H

#include "wire/http1_head.h"

/* RFC 9112 6.3: what ends the body. */
enum http1_framing {
    FRAMING_NONE,    /* there is none: HEAD, 1xx, 204, 304, Content-Length: 0 */
    FRAMING_LENGTH,  /* content_length bytes, which is not 0 */
    FRAMING_CHUNKED, /* see http1_chunk */
    FRAMING_CLOSE,   /* the end of the connection */
    FRAMING_TUNNEL,  /* none of HTTP follows: 101, and 2xx to CONNECT */
};

struct http1_resp {
    slice reason; /* as it was sent, perhaps empty; may hold tabs and bytes above 0x7f */
    uint64_t content_length;
    enum http1_framing framing;
    uint16_t status;         /* 100 .. 999 */
    uint8_t minor;           /* HTTP/1.minor: 0 or 1 (a higher minor counts as 1) */
    bool has_content_length; /* also with HEAD and 304, where it frames nothing */
    bool keep_alive;         /* the connection can be used again after the body (RFC 9112 9.3) */
    uint16_t field_count;
    uint8_t first[FIELD_ID_COUNT]; /* 1 + index of the first field of this id, 0 = not there */
    struct http_field fields[HTTP1_FIELDS_MAX];
};

/* Reads one head at the start of [in]: the answer to a request with [method]. *scanned is 0 for a
 * new head and is kept by the caller between calls while more of the same bytes arrive (they may
 * have moved), so that a head that arrives byte by byte costs linear time. It is 0 again after a
 * result other than 0. The result depends on the bytes alone, not on how they were cut. A status
 * line that is none, control characters and a head that is too long are refused as soon as they are
 * there, all else when the head is complete.
 *
 * - > 0: bytes of the head, blank line included;
 * - 0: not complete yet, and nothing is said of *resp;
 * - < 0: -EPROTO, or -EMSGSIZE: longer or with more fields than [limits] say. The connection is of
 *   no more use. *why is then a sentence for people (a literal). */
MUST_USE ssize_t http1_resp_parse(slice in, const struct http1_limits *limits,
                                  enum http_method method, size_t *scanned, struct http1_resp *resp,
                                  const char **why);

/* Value of the first field of this id; .p is NULL when there is none. */
static inline slice http1_resp_field(const struct http1_resp *resp, enum http_field_id id)
{
    unsigned at = resp->first[id];
    return at ? resp->fields[at - 1].value : (slice){NULL, 0};
}

#endif
