/* route: which target answers a request: a table of patterns, asked with host, method and path.
 *
 *     [METHOD[,METHOD...] " "] ["//" HOST] PATH
 *
 *     /a/b              exactly this path
 *     /a/               this directory and all below it: a prefix; "/" is everything
 *     /a/:name/c        ":name" takes one segment, which is not empty
 *     /a/ *name         (without the blank) as "/a/", and the rest, perhaps empty, has a name
 *     GET,POST /a       only for these methods; GET answers HEAD too
 *     //example.org/a   only for this host
 *     // *.a.org/       (without the blank) every host below a.org, but not a.org
 *
 * Names are letters, digits and "_". A pattern is written decoded, as the path is that it is
 * compared with: case matters, but in the host.
 *
 * Which one wins depends on the patterns alone, not on the order in which they were added:
 * 1. the host: all routes of the exact host, then of the longest "*." above, then those without;
 * 2. the whole path before a prefix; among whole paths the leftmost difference decides, a segment
 *    as it is before ":name";
 * 3. "/a" asked where "/a/" is: ROUTE_SLASH, before any shorter prefix;
 * 4. the prefix of more segments; the leftmost difference decides as above;
 * 5. a route with methods before the same without; for HEAD one that says HEAD before GET.
 *
 * A route that is not for the method asked is passed over in each step. ROUTE_METHOD is the answer
 * only when nothing else is.
 *
 * A path without parameters costs one look-up in a hash table, however many routes there are. All
 * others walk a tree of segments; at most so many nodes are seen as there are in patterns that
 * begin like the path.
 *
 * Pure data. The table owns copies of all; nothing is removed but with the whole. Asking changes
 * nothing. */
#ifndef PROTOCOL_HTTP_ROUTE_H
#define PROTOCOL_HTTP_ROUTE_H

#include "base/fmt.h"
#include "base/mem.h"
#include "wire/http_field.h"

#define ROUTES_MAX         4096
#define ROUTE_PARAMS_MAX   16
#define ROUTE_SEGMENTS_MAX 64
#define ROUTE_PATTERN_MAX  1024

struct route_param {
    slice name, value;
};

struct route_params {
    unsigned count;
    struct route_param at[ROUTE_PARAMS_MAX];
};

struct route_match {
    unsigned target; /* ROUTE_FOUND */
    /* ROUTE_FOUND, in the order of the pattern. Names live as long as the table, values point into
     * the path that was asked. */
    struct route_params params;
    slice rest;       /* ROUTE_FOUND by a prefix: what follows its "/"; else .p is NULL */
    uint32_t allowed; /* ROUTE_METHOD: 1 << method for each that a route of this path is for */
};

enum route_result {
    ROUTE_FOUND,
    ROUTE_NONE,
    ROUTE_METHOD, /* the path is there, for other methods */
    ROUTE_SLASH,  /* the path is there with a "/" behind it */
};

struct route_table;

/* NULL when there is no memory. */
MUST_USE struct route_table *route_table_new(struct mem_owner *owner);
void route_table_free(struct route_table **t);

/* [target] is the caller's; two patterns may share one. False: *why is a sentence without the
 * pattern (a literal), and the table answers as before. */
MUST_USE bool route_add(struct route_table *t, slice pattern, unsigned target, const char **why);

unsigned route_count(const struct route_table *t);

/* [host]: without its port, in any case, or empty; [path]: decoded (wire/uri.h), the query cut off.
 * A path that does not begin with "/" is found nowhere. */
MUST_USE enum route_result route_find(const struct route_table *t, slice host,
                                      enum http_method method, slice path,
                                      struct route_match *match_out);

/* The value of a parameter; .p is NULL when the pattern has none of this name. */
slice route_param(const struct route_params *params, slice name);

/* Writes the value of an Allow field: "GET, HEAD, POST". */
void route_allow_put(uint32_t allowed, struct fmt *out);

#endif
