/* route_pattern: one pattern of route.h, taken apart. Pure, no memory of its own. */
#ifndef PROTOCOL_HTTP_ROUTE_PATTERN_H
#define PROTOCOL_HTTP_ROUTE_PATTERN_H

#include "protocol/http/route.h"

/* RFC 1035 2.3.4 */
#define ROUTE_HOST_MAX 255

struct route_pattern {
    uint32_t methods; /* 1 << method each; 0: all */
    slice host;       /* as it was written; without the "*" of a wildcard (".example.org") */
    slice path;       /* all of it */
    unsigned segment_n, param_n;
    slice segments[ROUTE_SEGMENTS_MAX]; /* a parameter's .p is NULL */
    slice params[ROUTE_PARAMS_MAX];     /* their names, a final "*name" included */
    bool is_prefix;                     /* ends with "/" or "*name": neither is a segment */
};

/* False: *why is a sentence (a literal). The slices point into [text]. */
MUST_USE bool route_pattern_parse(slice text, struct route_pattern *p, const char **why);

#endif
