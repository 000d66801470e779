/* http_range: RFC 9110 14, each rule a row. */
#include "wire_test.h"

#include "wire/http_range.h"

struct row {
    slice value;
    uint64_t size;
    slice expected; /* "first-last,first-last", or "none", "416" */
};

static slice result_of(slice value, uint64_t size)
{
    static char room[1024];
    struct fmt f = fmt_on(room, sizeof room);
    struct http_range ranges[HTTP_RANGES_MAX];
    unsigned count = 99;
    enum http_range_result result = http_range_parse(value, size, ranges, &count);
    if (result != RANGE_OK)
        assert_int_equal(count, 0);
    else
        assert_in_range(count, 1, HTTP_RANGES_MAX);
    if (result == RANGE_NONE)
        fmt_str(&f, "none");
    if (result == RANGE_UNSATISFIABLE)
        fmt_str(&f, "416");
    for (unsigned i = 0; i < count; i++) {
        fmt_str(&f, i ? "," : "");
        fmt_u64(&f, ranges[i].first);
        fmt_char(&f, '-');
        fmt_u64(&f, ranges[i].last);
    }
    return fmt_done(&f);
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        slice value = rows[i].value.p ? exact_copy(rows[i].value) : rows[i].value;
        slice got = result_of(value, rows[i].size);
        if (!slice_is(got, rows[i].expected)) {
            print_error("got %.*s, expected %.*s\n", SLICE_ARGS(got), SLICE_ARGS(rows[i].expected));
            ROW_FAILED(i, rows[i].value);
        }
        if (value.p)
            exact_free(value);
    }
}

static void test_range_single(void **state)
{
    static const struct row rows[] = {
        {SLICE("bytes=0-499"), 10000, SLICE("0-499")},
        {SLICE("bytes=500-999"), 10000, SLICE("500-999")},
        {SLICE("bytes=-500"), 10000, SLICE("9500-9999")},
        {SLICE("bytes=9500-"), 10000, SLICE("9500-9999")},
        {SLICE("bytes=0-0"), 10000, SLICE("0-0")},
        {SLICE("bytes=0-"), 10000, SLICE("0-9999")},
        {SLICE("BYTES=0-0"), 10000, SLICE("0-0")},
        {SLICE("bytes=00005-0006"), 10000, SLICE("5-6")},
        /* Clamped to the end. */
        {SLICE("bytes=0-10000"), 10000, SLICE("0-9999")},
        {SLICE("bytes=9999-99999999999999999999999"), 10000, SLICE("9999-9999")},
        {SLICE("bytes=-10001"), 10000, SLICE("0-9999")},
        {SLICE("bytes=-99999999999999999999999"), 10000, SLICE("0-9999")},
        {SLICE("bytes=5-18446744073709551615"), UINT64_MAX, SLICE("5-18446744073709551614")},
        {SLICE("bytes=-1"), UINT64_MAX, SLICE("18446744073709551614-18446744073709551614")},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_range_several(void **state)
{
    static const struct row rows[] = {
        {SLICE("bytes=0-0,-1"), 10000, SLICE("0-0,9999-9999")},
        {SLICE("bytes= 0-999, 4500-5499, -1000"), 10000, SLICE("0-999,4500-5499,9000-9999")},
        {SLICE("bytes=500-600,601-999"), 10000, SLICE("500-600,601-999")},
        {SLICE("bytes=601-999,500-600"), 10000, SLICE("601-999,500-600")},
        {SLICE("bytes=,0-1,\t,3-4 ,"), 10000, SLICE("0-1,3-4")},
        /* The unsatisfiable ones drop out. */
        {SLICE("bytes=0-1,10000-"), 10000, SLICE("0-1")},
        {SLICE("bytes=-0,0-1"), 10000, SLICE("0-1")},
        {SLICE("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,"
               "28-28,30-30,99999-"),
         10000,
         SLICE("0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,"
               "28-28,30-30")},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_range_wasteful_is_ignored(void **state)
{
    static const struct row rows[] = {
        {SLICE("bytes=500-700,601-999"), 10000, SLICE("none")},
        {SLICE("bytes=0-,0-"), 10000, SLICE("none")},
        {SLICE("bytes=5-6,0-100"), 10000, SLICE("none")},
        {SLICE("bytes=0-100,100-200"), 10000, SLICE("none")},
        {SLICE("bytes=0-9998,-2"), 10000, SLICE("none")},
        /* 17 of them */
        {SLICE("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,"
               "28-28,30-30,32-32"),
         10000, SLICE("none")},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_range_unsatisfiable(void **state)
{
    static const struct row rows[] = {
        {SLICE("bytes=10000-"), 10000, SLICE("416")},
        {SLICE("bytes=10000-10001"), 10000, SLICE("416")},
        {SLICE("bytes=-0"), 10000, SLICE("416")},
        {SLICE("bytes=99999999999999999999999-"), 10000, SLICE("416")},
        {SLICE("bytes=18446744073709551615-"), UINT64_MAX, SLICE("416")},
        {SLICE("bytes=10000-,20000-20001,-0"), 10000, SLICE("416")},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_range_of_an_empty_file(void **state)
{
    static const struct row rows[] = {
        {SLICE("bytes=0-"), 0, SLICE("416")},      {SLICE("bytes=0-0"), 0, SLICE("416")},
        {SLICE("bytes=-0"), 0, SLICE("416")},      {SLICE("bytes=-5"), 0, SLICE("none")},
        {SLICE("bytes=0-0,-5"), 0, SLICE("none")}, {SLICE("bytes=x"), 0, SLICE("none")},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_range_malformed_is_ignored(void **state)
{
    static const struct row rows[] = {
        {{NULL, 0}, 100, SLICE("none")},
        {SLICE(""), 100, SLICE("none")},
        {SLICE("bytes"), 100, SLICE("none")},
        {SLICE("bytes="), 100, SLICE("none")},
        {SLICE("bytes=,,"), 100, SLICE("none")},
        {SLICE("bytes =0-1"), 100, SLICE("none")},
        {SLICE(" bytes=0-1"), 100, SLICE("none")},
        {SLICE("lines=0-1"), 100, SLICE("none")},
        {SLICE("bytes:0-1"), 100, SLICE("none")},
        {SLICE("bytes=-"), 100, SLICE("none")},
        {SLICE("bytes=1"), 100, SLICE("none")},
        {SLICE("bytes=2-1"), 100, SLICE("none")},
        {SLICE("bytes=0-1,2-1"), 100, SLICE("none")},
        {SLICE("bytes=200-100"), 50, SLICE("none")},
        {SLICE("bytes=1-2-3"), 100, SLICE("none")},
        {SLICE("bytes=--1"), 100, SLICE("none")},
        {SLICE("bytes=+1-2"), 100, SLICE("none")},
        {SLICE("bytes=1 - 2"), 100, SLICE("none")},
        {SLICE("bytes=0x1-2"), 100, SLICE("none")},
        {SLICE("bytes=0-1;2-3"), 100, SLICE("none")},
        {SLICE("bytes=0-1,x"), 100, SLICE("none")},
        {SLICE("bytes=500-,x"), 100, SLICE("none")},
        {SLICE("bytes=0-1\0"), 100, SLICE("none")},
        {SLICE("bytes=0-1=2"), 100, SLICE("none")},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_content_range(void **state)
{
    char room[64];
    struct fmt f = fmt_on(room, sizeof room);
    http_content_range_put(&f, (struct http_range){42, 1233}, 1234);
    assert_slice(fmt_done(&f), SLICE("bytes 42-1233/1234"));
    f = fmt_on(room, sizeof room);
    http_content_range_put_unsatisfied(&f, 0);
    assert_slice(fmt_done(&f), SLICE("bytes */0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_range_single),
        cmocka_unit_test(test_range_several),
        cmocka_unit_test(test_range_wasteful_is_ignored),
        cmocka_unit_test(test_range_unsatisfiable),
        cmocka_unit_test(test_range_of_an_empty_file),
        cmocka_unit_test(test_range_malformed_is_ignored),
        cmocka_unit_test(test_content_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
