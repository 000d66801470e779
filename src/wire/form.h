/* form: names and values as HTML forms and queries write them (application/x-www-form-urlencoded,
 * WHATWG URL 5), and percent-encoding of one component of a URL (RFC 3986 2.1).
 *
 *     for (struct form_pair pair; form_next(&rest, &pair);)
 *         ... form_decode(pair.value, room, &text) ...
 *
 * A body is complete before it is read; its size is the caller's to limit. */
#ifndef WIRE_FORM_H
#define WIRE_FORM_H

#include "base/fmt.h"

struct form_pair {
    slice name, value; /* as they stand there; value.p is NULL without "=" */
};

/* The next pair of "a=1&b=2"; empty ones ("&&") are passed over. False at the end. */
bool form_next(slice *rest, struct form_pair *pair_out);

/* "+" becomes a blank and "%HH" a byte, any byte; written to [room] of at least encoded.n bytes
 * (it may be encoded.p). False: there is a "%" without two digits; it stands for itself in
 * *text_out, as in browsers. */
bool form_decode(slice encoded, char *room, slice *text_out);

/* As a name or value of a form: a blank becomes "+". */
void form_encode(slice text, struct fmt *out);

/* As one component of a URL (a segment, a name or value of a query): all but unreserved characters
 * (RFC 3986 2.3) become "%HH", "/" too. At most 3 bytes for one. */
void form_encode_component(slice text, struct fmt *out);

#endif
