/* http_date: the three forms, the calendar, the century of two digits. */
#include "wire_test.h"

#include "wire/http_date.h"

/* 2024-01-01 00:00:00 */
#define NOW INT64_C(1704067200)

struct row {
    slice text;
    int64_t time;
};

/* Both directions. */
static const struct row fixdates[] = {
    {SLICE("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777},
    {SLICE("Thu, 01 Jan 1970 00:00:00 GMT"), 0},
    {SLICE("Wed, 31 Dec 1969 23:59:59 GMT"), -1},
    {SLICE("Tue, 29 Feb 2000 12:00:00 GMT"), 951825600},
    {SLICE("Sun, 28 Feb 2100 23:59:59 GMT"), 4107542399},
    {SLICE("Mon, 01 Mar 2100 00:00:00 GMT"), 4107542400},
    {SLICE("Tue, 19 Jan 2038 03:14:08 GMT"), 2147483648},
    {SLICE("Sat, 01 Jan 0000 00:00:00 GMT"), -62167219200},
    {SLICE("Fri, 31 Dec 9999 23:59:59 GMT"), 253402300799},
};

static slice put(int64_t time)
{
    static char room[HTTP_DATE_BYTES];
    struct fmt f = fmt_on(room, sizeof room);
    http_date_put(&f, time);
    assert_false(f.full);
    assert_int_equal(fmt_done(&f).n, HTTP_DATE_BYTES);
    return fmt_done(&f);
}

static void test_date_fixdate_both_ways(void **state)
{
    for (size_t i = 0; i < COUNT_OF(fixdates); i++) {
        int64_t time = 12345;
        assert_slice(put(fixdates[i].time), fixdates[i].text);
        if (!http_date_parse(fixdates[i].text, NOW, &time))
            ROW_FAILED(i, fixdates[i].text);
        assert_int_equal(time, fixdates[i].time);
    }
}

static void test_date_put_at_the_edges(void **state)
{
    assert_slice(put(INT64_MIN), SLICE("Sat, 01 Jan 0000 00:00:00 GMT"));
    assert_slice(put(INT64_MAX), SLICE("Fri, 31 Dec 9999 23:59:59 GMT"));
    char room[HTTP_DATE_BYTES - 1];
    struct fmt f = fmt_on(room, sizeof room);
    http_date_put(&f, 0);
    assert_true(f.full);
    assert_int_equal(fmt_done(&f).n, 0);
}

/* Against the C library, through four hundred years and every kind of month. */
static void test_date_agrees_with_libc(void **state)
{
    for (int64_t time = -INT64_C(6200000000); time < INT64_C(12000000000); time += 999983) {
        struct tm tm;
        time_t t = (time_t)time;
        char expected[64];
        size_t n =
            strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
        assert_slice(put(time), slice_of(expected, n));
        int64_t back;
        assert_true(http_date_parse(slice_of(expected, n), NOW, &back));
        assert_int_equal(back, time);
    }
}

static void test_date_obsolete_forms(void **state)
{
    static const struct row rows[] = {
        {SLICE("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777},
        {SLICE("Wednesday, 09-Nov-94 08:49:37 GMT"), 784370977},
        {SLICE("Sun Nov  6 08:49:37 1994"), 784111777},
        {SLICE("Sun Nov 16 08:49:37 1994"), 784975777},
        {SLICE("Sun Nov 06 08:49:37 1994"), 784111777},
        /* The name of the day is not compared. */
        {SLICE("Mon, 06 Nov 1994 08:49:37 GMT"), 784111777},
        /* A leap second is the next second. */
        {SLICE("Sat, 31 Dec 2016 23:59:60 GMT"), 1483228800},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t time;
        if (!http_date_parse(rows[i].text, NOW, &time) || time != rows[i].time)
            ROW_FAILED(i, rows[i].text);
    }
}

static void test_date_two_digit_year(void **state)
{
    static const struct {
        slice text;
        int64_t now;
        slice means;
    } rows[] = {
        {SLICE("Monday, 01-Jan-24 00:00:00 GMT"), NOW, SLICE("Mon, 01 Jan 2024 00:00:00 GMT")},
        /* Exactly 50 years ahead is still ahead; a second more is in the past. */
        {SLICE("Monday, 01-Jan-74 00:00:00 GMT"), NOW, SLICE("Mon, 01 Jan 2074 00:00:00 GMT")},
        {SLICE("Tuesday, 01-Jan-74 00:00:01 GMT"), NOW, SLICE("Tue, 01 Jan 1974 00:00:01 GMT")},
        {SLICE("Wednesday, 01-Jan-75 00:00:00 GMT"), NOW, SLICE("Wed, 01 Jan 1975 00:00:00 GMT")},
        {SLICE("Friday, 31-Dec-99 23:59:59 GMT"), NOW, SLICE("Fri, 31 Dec 1999 23:59:59 GMT")},
        /* Over the turn of a century: seen from 2099 and from 2000. */
        {SLICE("Friday, 01-Jan-05 00:00:00 GMT"), 4086288000,
         SLICE("Thu, 01 Jan 2105 00:00:00 GMT")},
        {SLICE("Friday, 31-Dec-99 00:00:00 GMT"), 951825600,
         SLICE("Fri, 31 Dec 1999 00:00:00 GMT")},
        /* A leap day must exist in the year that was chosen: 2000 has one. */
        {SLICE("Tuesday, 29-Feb-00 00:00:00 GMT"), NOW, SLICE("Tue, 29 Feb 2000 00:00:00 GMT")},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t time;
        if (!http_date_parse(rows[i].text, rows[i].now, &time))
            ROW_FAILED(i, rows[i].text);
        assert_slice(put(time), rows[i].means);
    }
    int64_t time;
    assert_false(http_date_parse(SLICE("Monday, 29-Feb-23 00:00:00 GMT"), NOW, &time));
    assert_true(http_date_parse(SLICE("Monday, 01-Jan-24 00:00:00 GMT"), INT64_MIN, &time));
    assert_true(http_date_parse(SLICE("Monday, 01-Jan-24 00:00:00 GMT"), INT64_MAX, &time));
}

static void test_date_refuses(void **state)
{
    static const slice rows[] = {
        SLICE(""),
        SLICE("0"),
        SLICE("Sun, 06 Nov 1994 08:49:37"),
        SLICE("Sun, 06 Nov 1994 08:49:37 UTC"),
        SLICE("Sun, 06 Nov 1994 08:49:37 +0000"),
        SLICE("Sun, 06 Nov 1994 08:49:37 GMT "),
        SLICE(" Sun, 06 Nov 1994 08:49:37 GMT"),
        SLICE("Sun, 06 Nov 1994 08:49:37 GMT; length=1"),
        SLICE("Sun,06 Nov 1994 08:49:37 GMT"),
        SLICE("Sun, 6 Nov 1994 08:49:37 GMT"),
        SLICE("sun, 06 nov 1994 08:49:37 gmt"),
        SLICE("Xyz, 06 Nov 1994 08:49:37 GMT"),
        SLICE("Sun, 06 Xyz 1994 08:49:37 GMT"),
        SLICE("Sun, 06-Nov-1994 08:49:37 GMT"),
        SLICE("Sun, 06-Nov-94 08:49:37 GMT"),
        SLICE("Sunday, 06-Nov-1994 08:49:37 GMT"),
        SLICE("Sunday, 06 Nov 94 08:49:37 GMT"),
        SLICE("Sun, 00 Nov 1994 08:49:37 GMT"),
        SLICE("Sun, 31 Nov 1994 08:49:37 GMT"),
        SLICE("Tue, 29 Feb 1900 00:00:00 GMT"),
        SLICE("Sun, 29 Feb 2023 00:00:00 GMT"),
        SLICE("Sun, 06 Nov 1994 24:00:00 GMT"),
        SLICE("Sun, 06 Nov 1994 08:60:37 GMT"),
        SLICE("Sun, 06 Nov 1994 08:49:60 GMT"),
        SLICE("Sun, 06 Nov 1994 23:59:61 GMT"),
        SLICE("Sun, 06 Nov 1994 8:49:37 GMT"),
        SLICE("Sun, 06 Nov -994 08:49:37 GMT"),
        SLICE("Sun Nov 6 08:49:37 1994"),
        SLICE("Sun Nov  6 08:49:37 1994 GMT"),
        SLICE("Sun Nov  6 08:49:37 94"),
        SLICE("Sun, 06 Nov 1994 08:49:37 GM\0"),
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t time = 7;
        slice s = exact_copy(rows[i]);
        if (http_date_parse(s, NOW, &time) || time != 7)
            ROW_FAILED(i, rows[i]);
        exact_free(s);
    }
}

/* Nothing but the whole is a date, and nothing is read past the end. */
static void test_date_cut_anywhere(void **state)
{
    static const slice rows[] = {
        SLICE("Sun, 06 Nov 1994 08:49:37 GMT"),
        SLICE("Sunday, 06-Nov-94 08:49:37 GMT"),
        SLICE("Sun Nov  6 08:49:37 1994"),
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t n = 0; n < rows[i].n; n++) {
            int64_t time;
            slice s = exact_copy(slice_head(rows[i], n));
            assert_false(http_date_parse(s, NOW, &time));
            exact_free(s);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date_fixdate_both_ways), cmocka_unit_test(test_date_put_at_the_edges),
        cmocka_unit_test(test_date_agrees_with_libc),  cmocka_unit_test(test_date_obsolete_forms),
        cmocka_unit_test(test_date_two_digit_year),    cmocka_unit_test(test_date_refuses),
        cmocka_unit_test(test_date_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
