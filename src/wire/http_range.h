/* http_range: the Range field in bytes, and Content-Range (RFC 9110 14).
 *
 * A server may ignore Range at any time. So everything doubtful here (malformed, too many,
 * wasteful) ends as "send the whole", which is always right, and never as an error. */
#ifndef WIRE_HTTP_RANGE_H
#define WIRE_HTTP_RANGE_H

#include "base/fmt.h"

#define HTTP_RANGES_MAX 16

/* Both ends belong to it: last >= first, and last < size of what it was resolved against. */
struct http_range {
    uint64_t first, last;
};

enum http_range_result {
    RANGE_NONE,         /* ignore the field: send the whole */
    RANGE_OK,           /* 206 with 1 or more ranges */
    RANGE_UNSATISFIABLE /* 416 */
};

/* Resolves the [value] of a Range field (.p NULL: no field) against a representation of [size]
 * bytes.
 *
 * RANGE_OK: *count_out (1 to HTTP_RANGES_MAX) ranges, in the order in which they were asked for,
 * ends clamped to the size, those that begin behind the end left out. In the other two cases
 * *count_out is 0. RANGE_NONE: no field, another unit than bytes, malformed, more than
 * HTTP_RANGES_MAX satisfiable ranges, or any two that overlap (so the sum of all never exceeds the
 * size). Ranges that only touch stay as they were asked for. RANGE_UNSATISFIABLE: well-formed, but
 * not one range lies within. An empty representation (size 0): "-N" with N > 0 would be
 * satisfiable, but no Content-Range can say so: RANGE_NONE; everything else is unsatisfiable. */
enum http_range_result http_range_parse(slice value, uint64_t size,
                                        struct http_range ranges[HTTP_RANGES_MAX],
                                        unsigned *count_out);

/* Writes the value of Content-Range for a 206: "bytes 0-499/1234". */
void http_content_range_put(struct fmt *f, struct http_range range, uint64_t size);

/* Writes the value of Content-Range for a 416: the unit, then an asterisk in place of the range,
 * then the size. */
void http_content_range_put_unsatisfied(struct fmt *f, uint64_t size);

#endif
