/* http_cond: RFC 9110 13, in the order of 13.2.2. */
#include "wire_test.h"

#include "wire/http_cond.h"

#define NOW    INT64_C(1704067200)
#define MTIME  INT64_C(784111777)
#define BEFORE SLICE("Sun, 06 Nov 1994 08:49:36 GMT")
#define SAME   SLICE("Sun, 06 Nov 1994 08:49:37 GMT")
#define AFTER  SLICE("Sun, 06 Nov 1994 08:49:38 GMT")
#define SAME_2 SLICE("Sunday, 06-Nov-94 08:49:37 GMT")
#define NONE    \
    {           \
        NULL, 0 \
    }

enum { P = COND_PROCEED, N = COND_NOT_MODIFIED, F = COND_FAILED };

static const struct http_validators strong = {SLICE("\"abc\""), MTIME};
static const struct http_validators weak = {SLICE("W/\"abc\""), MTIME};
static const struct http_validators dateless = {SLICE("\"abc\""), -1};
static const struct http_validators tagless = {{NULL, 0}, MTIME};

struct row {
    struct http_conditions c;
    const struct http_validators *v;
    int get, put; /* expected for GET and for another method */
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int get = http_cond_check(&rows[i].c, rows[i].v, true, NOW);
        int put = http_cond_check(&rows[i].c, rows[i].v, false, NOW);
        if (get != rows[i].get || put != rows[i].put) {
            print_error("row %zu: GET %d, expected %d; PUT %d, expected %d\n", i, get, rows[i].get,
                        put, rows[i].put);
            fail();
        }
    }
}

static void test_cond_if_match(void **state)
{
    static const struct row rows[] = {
        {{.if_match = SLICE("\"abc\"")}, &strong, P, P},
        {{.if_match = SLICE("\"x\", \"abc\"")}, &strong, P, P},
        {{.if_match = SLICE(" ,\"x\",\t,\"abc\" , ")}, &strong, P, P},
        {{.if_match = SLICE("\"x,\",\"abc\"")}, &strong, P, P},
        {{.if_match = SLICE("\"x\"")}, &strong, F, F},
        {{.if_match = SLICE("\"ABC\"")}, &strong, F, F},
        {{.if_match = SLICE("*")}, &strong, P, P},
        {{.if_match = SLICE("\"*\"")}, &strong, F, F},
        {{.if_match = SLICE("*")}, &tagless, P, P},
        {{.if_match = SLICE("*")}, NULL, F, F},
        {{.if_match = SLICE("\"abc\"")}, NULL, F, F},
        {{.if_match = SLICE("\"abc\"")}, &tagless, F, F},
        /* Strong comparison: weak tags never match. */
        {{.if_match = SLICE("W/\"abc\"")}, &weak, F, F},
        {{.if_match = SLICE("\"abc\"")}, &weak, F, F},
        {{.if_match = SLICE("W/\"abc\"")}, &strong, F, F},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_cond_if_none_match(void **state)
{
    static const struct row rows[] = {
        {{.if_none_match = SLICE("\"abc\"")}, &strong, N, F},
        {{.if_none_match = SLICE("\"x\",\"abc\",\"y\"")}, &strong, N, F},
        {{.if_none_match = SLICE("\"x\"")}, &strong, P, P},
        {{.if_none_match = SLICE("*")}, &strong, N, F},
        {{.if_none_match = SLICE("*")}, NULL, P, P},
        {{.if_none_match = SLICE("\"abc\"")}, NULL, P, P},
        {{.if_none_match = SLICE("\"abc\"")}, &tagless, P, P},
        /* Weak comparison. */
        {{.if_none_match = SLICE("W/\"abc\"")}, &strong, N, F},
        {{.if_none_match = SLICE("\"abc\"")}, &weak, N, F},
        {{.if_none_match = SLICE("W/\"abc\"")}, &weak, N, F},
        {{.if_none_match = SLICE("\"\"")}, &strong, P, P},
        {{.if_none_match = SLICE("\"\xff\x80\"")}, &strong, P, P},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_cond_malformed_lists(void **state)
{
    static const slice lists[] = {
        SLICE(""),
        SLICE(","),
        SLICE("abc"),
        SLICE("\"abc"),
        SLICE("abc\""),
        SLICE("\"abc\" \"x\""),
        SLICE("\"abc\"x"),
        SLICE("w/\"abc\""),
        SLICE("W/abc"),
        SLICE("W /\"abc\""),
        SLICE("\"a bc\", \"abc\""),
        SLICE("\"abc\", *"),
        SLICE("*, \"abc\""),
        SLICE("\"abc\", x"),
        SLICE("\"abc\x7f\", \"abc\""),
        SLICE("\"abc\"\0"),
    };
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        slice s = exact_copy(lists[i]);
        const struct row rows[] = {
            {{.if_match = s}, &strong, F, F},
            {{.if_none_match = s}, &strong, P, F},
            /* It is there all the same, so the date does not count. */
            {{.if_none_match = s, .if_modified_since = SAME}, &strong, P, F},
        };
        check_rows(rows, COUNT_OF(rows));
        exact_free(s);
    }
}

static void test_cond_dates(void **state)
{
    static const struct row rows[] = {
        {{.if_modified_since = BEFORE}, &strong, P, P},
        {{.if_modified_since = SAME}, &strong, N, P},
        {{.if_modified_since = SAME_2}, &strong, N, P},
        {{.if_modified_since = AFTER}, &strong, N, P},
        {{.if_modified_since = SAME}, &dateless, P, P},
        {{.if_modified_since = SAME}, NULL, P, P},
        {{.if_modified_since = SLICE("yesterday")}, &strong, P, P},
        {{.if_modified_since = SLICE("")}, &strong, P, P},
        {{.if_unmodified_since = BEFORE}, &strong, F, F},
        {{.if_unmodified_since = SAME}, &strong, P, P},
        {{.if_unmodified_since = AFTER}, &strong, P, P},
        {{.if_unmodified_since = BEFORE}, &dateless, P, P},
        {{.if_unmodified_since = BEFORE}, NULL, P, P},
        {{.if_unmodified_since = SLICE("tomorrow")}, &strong, P, P},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_cond_precedence(void **state)
{
    static const struct row rows[] = {
        {{.if_match = NONE}, &strong, P, P},
        {{.if_match = NONE}, NULL, P, P},
        /* Steps 1 and 2: If-Match hides If-Unmodified-Since. */
        {{.if_match = SLICE("\"abc\""), .if_unmodified_since = BEFORE}, &strong, P, P},
        {{.if_match = SLICE("\"x\""), .if_unmodified_since = AFTER}, &strong, F, F},
        /* Step 1 before step 3. */
        {{.if_match = SLICE("\"x\""), .if_none_match = SLICE("\"abc\"")}, &strong, F, F},
        {{.if_match = SLICE("\"abc\""), .if_none_match = SLICE("\"abc\"")}, &strong, N, F},
        {{.if_unmodified_since = BEFORE, .if_none_match = SLICE("\"abc\"")}, &strong, F, F},
        {{.if_unmodified_since = SAME, .if_modified_since = SAME}, &strong, N, P},
        /* Step 3: If-None-Match hides If-Modified-Since, either way. */
        {{.if_none_match = SLICE("\"x\""), .if_modified_since = AFTER}, &strong, P, P},
        {{.if_none_match = SLICE("\"abc\""), .if_modified_since = BEFORE}, &strong, N, F},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_cond_if_range(void **state)
{
    static const struct {
        slice field;
        const struct http_validators *v;
        bool honoured;
    } rows[] = {
        {NONE, &strong, true},
        {SLICE("\"abc\""), &strong, true},
        {SLICE("\"abd\""), &strong, false},
        {SLICE("W/\"abc\""), &strong, false},
        {SLICE("\"abc\""), &weak, false},
        {SLICE("W/\"abc\""), &weak, false},
        {SLICE("\"abc\""), &tagless, false},
        {SLICE("\"abc\", \"x\""), &strong, false},
        {SLICE("*"), &strong, false},
        {SLICE("abc"), &strong, false},
        {SLICE(""), &strong, false},
        {SLICE("\""), &strong, false},
        {SAME, &strong, true},
        {SAME, &tagless, true},
        {SAME_2, &strong, true},
        {BEFORE, &strong, false},
        {AFTER, &strong, false},
        {SAME, &dateless, false},
        {SLICE("Wed, 31 Dec 1969 23:59:59 GMT"), &dateless, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (http_cond_if_range(rows[i].field, rows[i].v, NOW) != rows[i].honoured)
            ROW_FAILED(i, rows[i].field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cond_if_match),        cmocka_unit_test(test_cond_if_none_match),
        cmocka_unit_test(test_cond_malformed_lists), cmocka_unit_test(test_cond_dates),
        cmocka_unit_test(test_cond_precedence),      cmocka_unit_test(test_cond_if_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
