/* field_param: the parameters of a field value: "; name=value", the value a token or quoted
 * (RFC 9110 5.6.6). */
#ifndef WIRE_FIELD_PARAM_H
#define WIRE_FIELD_PARAM_H

#include "base/slice.h"

struct field_param {
    slice name;
    slice value; /* without quotes around it, with backslashes inside */
};

/* What stands before the first ";", trimmed; *rest_out is for field_param_next. */
slice field_value_of(slice field, slice *rest_out);

/* The next parameter of *rest: 1, 0 at the end, -EINVAL when it is malformed (and so for ever).
 * Empty ones (";;") are passed over. */
MUST_USE int field_param_next(slice *rest, struct field_param *param_out);

/* [value] without its backslashes: only those before a quote or a backslash count, since browsers
 * of old send "C:\dir\name" in quotes. Written to [room] of at least value.n bytes, which may be
 * value.p. */
slice field_param_unquote(slice value, char *room);

#endif
