/* wire_test: what the tests of parsers share. Includes cmocka with what it wants before it. */
#ifndef TESTS_WIRE_TEST_H
#define TESTS_WIRE_TEST_H

#include "base/fmt.h"

#include <setjmp.h>
#include <stdarg.h>
/* cmocka.h comes last: it expects the headers above. */
#include <cmocka.h>

/* Fails at the caller's line and shows both texts. */
#define assert_slice(got, expected) assert_slice_at((got), (expected), __FILE__, __LINE__)

static inline void assert_slice_at(slice got, slice expected, const char *file, int line)
{
    if (slice_is(got, expected))
        return;
    print_error("got      \"%.*s\"\nexpected \"%.*s\"\n", SLICE_ARGS(got), SLICE_ARGS(expected));
    _fail(file, line);
}

/* A heap block of exactly this size, so that a sanitizer sees a read past its end. Free with
 * free((void *)s.p). */
static inline slice exact_copy(slice s)
{
    char *p = malloc(MAX(s.n, (size_t)1));
    assert_non_null(p);
    if (s.n)
        memcpy(p, s.p, s.n);
    return slice_of(s.n ? p : p + 1, s.n);
}

static inline void exact_free(slice s)
{
    free((char *)s.p - (s.n == 0));
}

/* A row of a table failed: say which one. */
#define ROW_FAILED(i, what)                                            \
    do {                                                               \
        print_error("row %zu: %.*s\n", (size_t)(i), SLICE_ARGS(what)); \
        fail();                                                        \
    } while (0)

#endif
