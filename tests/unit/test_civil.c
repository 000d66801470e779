/* civil: the C library's calendar is the judge, where it has one. */
#include "wire_test.h"

#include "base/civil.h"
#include "base/rand.h"

static void check(int64_t unix_s)
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    assert_non_null(gmtime_r(&t, &tm));
    struct civil c = civil_of(unix_s);
    assert_int_equal(c.year, tm.tm_year + 1900);
    assert_int_equal(c.month, tm.tm_mon + 1);
    assert_int_equal(c.day, tm.tm_mday);
    assert_int_equal(c.hour, tm.tm_hour);
    assert_int_equal(c.minute, tm.tm_min);
    assert_int_equal(c.second, tm.tm_sec);
    assert_int_equal(civil_seconds(&c), unix_s);
}

static void test_agrees_with_libc(void **state)
{
    struct prng g = {1};
    for (int64_t day = -800000; day < 3000000; day += 17) {
        check(day * 86400);
        check(day * 86400 - 1);
    }
    for (int i = 0; i < 10000; i++)
        check(CIVIL_FIRST + (int64_t)prng_below(&g, CIVIL_LAST - CIVIL_FIRST));
}

static void test_rfc3339(void **state)
{
    static const struct {
        int64_t unix_s;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00"},           {-1, "1969-12-31T23:59:59"},
        {951782399, "2000-02-28T23:59:59"},   {951782400, "2000-02-29T00:00:00"},
        {CIVIL_FIRST, "0000-01-01T00:00:00"}, {CIVIL_LAST, "9999-12-31T23:59:59"},
        {INT64_MIN, "0000-01-01T00:00:00"},   {INT64_MAX, "9999-12-31T23:59:59"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char room[19];
        struct fmt f = fmt_on(room, sizeof room);
        civil_put_rfc3339(&f, rows[i].unix_s);
        assert_false(f.full);
        assert_slice(fmt_done(&f), slice_str(rows[i].text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_libc),
        cmocka_unit_test(test_rfc3339),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
