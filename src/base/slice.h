/* slice: a view of bytes that somebody else owns: pointer and length, passed by value.
 *
 * Nothing in this project reads bytes through a bare pointer: whoever hands out a slice says how
 * long it is valid. A slice may hold any byte, NUL included, and is not terminated. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include "base/defs.h"

typedef struct slice {
    const char *p;
    size_t n;
} slice;

/* A string literal as a slice. */
#define SLICE(literal) ((slice){"" literal, sizeof(literal) - 1})
/* For printf: "%.*s", SLICE_ARGS(s). */
#define SLICE_ARGS(s) (int)(s).n, (s).p

static inline slice slice_of(const void *p, size_t n)
{
    return (slice){p, n};
}

/* The bytes of a C string, without its NUL; NULL gives the empty slice. */
static inline slice slice_str(const char *s)
{
    return (slice){s, s ? strlen(s) : 0};
}

static inline bool slice_is(slice a, slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_has_prefix(slice s, slice prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool slice_has_suffix(slice s, slice suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* Without its first [n] bytes (all of them when it is shorter). */
static inline slice slice_skip(slice s, size_t n)
{
    n = MIN(n, s.n);
    return (slice){s.p + n, s.n - n};
}

/* Its first [n] bytes (all of it when it is shorter). */
static inline slice slice_head(slice s, size_t n)
{
    return (slice){s.p, MIN(n, s.n)};
}

/* Offset of the first [c], or -1. */
static inline ssize_t slice_find(slice s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

/* Offset of the last [c], or -1. */
static inline ssize_t slice_find_last(slice s, char c)
{
    const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

/* Equal but for the case of ASCII letters. */
MUST_USE bool slice_is_nocase(slice a, slice b);

/* Without blanks and tabs (RFC 9110 5.6.3: OWS) at both ends. */
slice slice_trim(slice s);

/* The part before the first [c]; *s becomes the part after it (empty when there is no [c]).
 * False when *s was exhausted before: .p is NULL then. For loops over lists:
 *     for (slice item; slice_cut(&rest, ',', &item);) ... */
bool slice_cut(slice *s, char c, slice *item_out);

/* Less, equal, greater as <0, 0, >0; bytes as unsigned. */
int slice_cmp(slice a, slice b);

#endif
