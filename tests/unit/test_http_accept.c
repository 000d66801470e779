/* http_accept: weights, wildcards, ties. */
#include "wire_test.h"

#include "wire/http_accept.h"

#define GZIP (1u << CODING_GZIP)
#define BR   (1u << CODING_BR)
#define ZSTD (1u << CODING_ZSTD)
#define ALL  (GZIP | BR | ZSTD)

static void test_accept_coding(void **state)
{
    static const struct {
        slice field;
        unsigned available;
        unsigned expected;
    } rows[] = {
        {{NULL, 0}, ALL, CODING_IDENTITY},
        {SLICE(""), ALL, CODING_IDENTITY},
        {SLICE("gzip, deflate, br, zstd"), ALL, CODING_BR},
        {SLICE("gzip, deflate, br, zstd"), GZIP | ZSTD, CODING_ZSTD},
        {SLICE("gzip, deflate, br, zstd"), GZIP, CODING_GZIP},
        {SLICE("gzip, deflate, br, zstd"), 0, CODING_IDENTITY},
        {SLICE("GZip"), ALL, CODING_GZIP},
        {SLICE("x-gzip"), ALL, CODING_GZIP},
        {SLICE("deflate"), ALL, CODING_IDENTITY},
        {SLICE("compress, gzip"), ALL, CODING_GZIP},
        /* Weights. */
        {SLICE("gzip;q=1.0, br;q=0.5"), ALL, CODING_GZIP},
        {SLICE("gzip;q=0.5, br;q=0.501"), ALL, CODING_BR},
        {SLICE("gzip ; Q=0.5 , zstd\t;\tq=0.7"), ALL, CODING_ZSTD},
        {SLICE("br;q=0, gzip"), ALL, CODING_GZIP},
        {SLICE("br;q=0.000, gzip;q=0."), ALL, CODING_IDENTITY},
        {SLICE("gzip;q=0.001"), ALL, CODING_GZIP},
        {SLICE("gzip;q=0, gzip"), ALL, CODING_GZIP},
        /* Identity: last unless named; never refused in the end. */
        {SLICE("identity"), ALL, CODING_IDENTITY},
        {SLICE("identity, gzip"), ALL, CODING_GZIP},
        {SLICE("identity;q=1, gzip;q=0.5"), ALL, CODING_IDENTITY},
        {SLICE("identity;q=0.5, gzip;q=0.2"), ALL, CODING_IDENTITY},
        {SLICE("identity;q=0, gzip;q=0.1"), ALL, CODING_GZIP},
        {SLICE("identity;q=0"), ALL, CODING_IDENTITY},
        {SLICE("*;q=0"), ALL, CODING_IDENTITY},
        {SLICE("gzip, identity;q=0"), BR, CODING_IDENTITY},
        /* The asterisk stands for those that are not named. */
        {SLICE("*"), ALL, CODING_BR},
        {SLICE("*"), GZIP, CODING_GZIP},
        {SLICE("br;q=0, *"), ALL, CODING_ZSTD},
        {SLICE("*;q=0.5, gzip"), ALL, CODING_GZIP},
        {SLICE("*;q=0, gzip"), ALL, CODING_GZIP},
        {SLICE("gzip;q=0.5, *;q=0.7"), ALL, CODING_BR},
        {SLICE("gzip;q=0.5, *;q=0.7"), GZIP, CODING_IDENTITY},
        /* What cannot be read is passed over. */
        {SLICE("br;q=2, gzip"), ALL, CODING_GZIP},
        {SLICE("br;q=1.001, gzip"), ALL, CODING_GZIP},
        {SLICE("br;q=0.1234, gzip"), ALL, CODING_GZIP},
        {SLICE("br;q=, gzip"), ALL, CODING_GZIP},
        {SLICE("br;q=.5, gzip"), ALL, CODING_GZIP},
        {SLICE("br;q=-1, gzip"), ALL, CODING_GZIP},
        {SLICE("br;q=0.5x, gzip;q=0.1"), ALL, CODING_GZIP},
        {SLICE(",, ;q=1, gzip"), ALL, CODING_GZIP},
        {SLICE("b r, gzip"), ALL, CODING_GZIP},
        {SLICE("\"br, gzip"), ALL, CODING_IDENTITY},
        {SLICE("\"\\"), ALL, CODING_IDENTITY},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        slice field = rows[i].field.p ? exact_copy(rows[i].field) : rows[i].field;
        unsigned got = http_accept_coding(field, rows[i].available);
        if (got != rows[i].expected) {
            print_error("got %u, expected %u\n", got, rows[i].expected);
            ROW_FAILED(i, rows[i].field);
        }
        if (field.p)
            exact_free(field);
    }
}

static void test_accept_coding_names(void **state)
{
    assert_slice(http_coding_name(CODING_IDENTITY), SLICE("identity"));
    assert_slice(http_coding_name(CODING_GZIP), SLICE("gzip"));
    assert_slice(http_coding_name(CODING_BR), SLICE("br"));
    assert_slice(http_coding_name(CODING_ZSTD), SLICE("zstd"));
}

#define RFC_EXAMPLE                                                    \
    SLICE("text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, " \
          "text/plain;format=fixed;q=0.4, */*;q=0.5")

static void test_accept_quality(void **state)
{
    static const struct {
        slice field, type;
        int expected;
    } rows[] = {
        {{NULL, 0}, SLICE("text/html"), 1000},
        {SLICE(""), SLICE("text/html"), 1000},
        {SLICE("*/*"), SLICE("text/html"), 1000},
        {SLICE("text/html"), SLICE("text/html"), 1000},
        {SLICE("text/html"), SLICE("application/json"), 0},
        {SLICE("TEXT/Html"), SLICE("text/html"), 1000},
        {SLICE("text/html;q=0"), SLICE("text/html"), 0},
        {SLICE("audio/*; q=0.2, audio/basic"), SLICE("audio/basic"), 1000},
        {SLICE("audio/*; q=0.2, audio/basic"), SLICE("audio/mpeg"), 200},
        /* RFC 9110 12.5.1, without the level parameters, which we never have. */
        {RFC_EXAMPLE, SLICE("text/plain"), 700},
        {RFC_EXAMPLE, SLICE("text/html"), 300},
        {RFC_EXAMPLE, SLICE("image/jpeg"), 500},
        /* The most specific one decides, whichever comes first. */
        {SLICE("*/*, text/*;q=0.4, text/html;q=0.1"), SLICE("text/html"), 100},
        {SLICE("text/html;q=0.1, text/*;q=0.4, */*"), SLICE("text/html"), 100},
        {SLICE("text/html;q=0, */*"), SLICE("text/html"), 0},
        {SLICE("text/html;q=0.2, text/html;q=0.3"), SLICE("text/html"), 300},
        {SLICE("text/*"), SLICE("textual/plain"), 0},
        {SLICE("text/*"), SLICE("tex"), 0},
        /* Parameters. */
        {SLICE("text/html; charset=utf-8"), SLICE("text/html"), 1000},
        {SLICE("text/html; charset=\"UTF-8\";q=0.4"), SLICE("text/html"), 400},
        {SLICE("text/html; charset=latin1"), SLICE("text/html"), 0},
        {SLICE("text/html;level=\"a,b;q=0.1\", text/html;q=0.5"), SLICE("text/html"), 500},
        {SLICE("text/html;level=\"\\\",\", */*;q=0.5"), SLICE("text/html"), 500},
        {SLICE("text/html;q=0.5;ext=1"), SLICE("text/html"), 500},
        {SLICE("text/html;;q=0.5;"), SLICE("text/html"), 500},
        {SLICE("text/html;flag;q=0.5"), SLICE("text/html"), 0},
        /* What cannot be read is passed over (this one is old Java's). */
        {SLICE("text/html, image/gif, *; q=.2, */*; q=.2"), SLICE("text/html"), 1000},
        {SLICE("text/html, image/gif, *; q=.2, */*; q=.2"), SLICE("text/plain"), 0},
        {SLICE("nonsense"), SLICE("text/html"), 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int got = http_accept_quality(rows[i].field, rows[i].type);
        if (got != rows[i].expected) {
            print_error("got %d, expected %d\n", got, rows[i].expected);
            ROW_FAILED(i, rows[i].field);
        }
    }
}

static void test_accept_prefers_json(void **state)
{
    static const struct {
        slice field;
        bool expected;
    } rows[] = {
        {{NULL, 0}, false},
        {SLICE(""), false},
        {SLICE("*/*"), false},
        {SLICE("application/*"), false},
        {SLICE("application/json"), true},
        {SLICE("Application/JSON; charset=utf-8"), true},
        {SLICE("application/json, text/plain, */*"), true},
        {SLICE("application/json, text/html"), true},
        {SLICE("application/json;q=0.9, text/html"), false},
        {SLICE("application/json;q=0.9, */*"), false},
        {SLICE("application/json;q=0.9, */*;q=0.8"), true},
        {SLICE("application/json;q=0"), false},
        {SLICE("application/json;version=2"), false},
        {SLICE("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/"
               "*;q=0.8"),
         false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (http_accept_prefers_json(rows[i].field) != rows[i].expected)
            ROW_FAILED(i, rows[i].field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept_coding),
        cmocka_unit_test(test_accept_coding_names),
        cmocka_unit_test(test_accept_quality),
        cmocka_unit_test(test_accept_prefers_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
