/* http_cond: conditional requests (RFC 9110 13): is the client's copy still good, may its change be
 * made.
 *
 * Pure decisions over field values; the caller gives the validators of the representation that it
 * selected. In every slice .p NULL means that there is no such field; a field with an empty value
 * has another .p. */
#ifndef WIRE_HTTP_COND_H
#define WIRE_HTTP_COND_H

#include "base/slice.h"

struct http_validators {
    slice etag;            /* with its quotes, perhaps with W/ before them; empty = none */
    int64_t last_modified; /* unix seconds, -1 = none */
};

struct http_conditions {
    slice if_match, if_none_match, if_modified_since, if_unmodified_since, if_range;
};

enum http_cond_result {
    COND_PROCEED,
    COND_NOT_MODIFIED, /* 304; only when is_get_or_head */
    COND_FAILED        /* 412 */
};

/* Evaluates If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since in the order of RFC
 * 9110 13.2.2. To be called only when the answer without conditions would be a success (13.2.1).
 * [v] NULL: there is no current representation (a PUT that creates).
 * [now] decides the century of old dates, nothing else.
 *
 * An invalid date is as if the field were absent. A malformed list of entity tags matches nothing,
 * and never lets a change through: If-Match with one fails; If-None-Match with one sends the whole
 * to GET and HEAD, and fails for other methods. */
enum http_cond_result http_cond_check(const struct http_conditions *c,
                                      const struct http_validators *v, bool is_get_or_head,
                                      int64_t now);

/* RFC 9110 13.1.5. True: Range may be honoured (also when there is no If-Range). An entity tag must
 * be the same one and both strong; a date must be exactly last_modified. Anything malformed: false,
 * the whole is sent. */
bool http_cond_if_range(slice if_range, const struct http_validators *v, int64_t now);

#endif
