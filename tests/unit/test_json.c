/* json: what RFC 8259 takes, what it refuses and where, and that what is written reads back. */
#include "wire_test.h"

#include "base/rand.h"
#include "base/utf8.h"
#include "wire/json.h"

#include <math.h>

/* One token as text. */
static void put_token(struct fmt *f, const struct json *j, enum json_token token)
{
    char room[256];
    switch (token) {
    case JSON_KEY:
    case JSON_STRING:
        assert_true(j->text.n <= sizeof room);
        fmt_str(f, token == JSON_KEY ? "k:" : "s:");
        fmt_put(f, json_unescape(j->text, room));
        break;
    case JSON_INTEGER:
        fmt_char(f, 'i');
        json_put_integer(j->integer, f);
        break;
    case JSON_REAL:
        fmt_char(f, 'r');
        assert_true(json_put_real(j->real, f));
        break;
    default:
        fmt_char(f, "{}[]ksirTFN"[token - JSON_OBJECT]);
    }
    fmt_char(f, ' ');
}

/* All tokens as text, or "line:column sentence". */
static slice read_all(slice text, char *room, size_t room_n)
{
    slice copy = exact_copy(text);
    struct json j;
    struct fmt f = fmt_on(room, room_n);
    enum json_token token;
    json_init(&j, copy);
    while ((token = json_next(&j)) > JSON_DONE)
        put_token(&f, &j, token);
    assert_int_equal(json_next(&j), token); /* and so for ever */
    if (token == JSON_ERROR) {
        unsigned line, column;
        json_where(&j, &line, &column);
        f = fmt_on(room, room_n);
        fmt_printf(&f, "%u:%u %s", line, column, j.why);
    } else {
        assert_int_equal(j.depth, 0);
    }
    exact_free(copy);
    return fmt_done(&f);
}

struct row {
    slice text;
    const char *tokens;
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char room[2000];
        slice got = read_all(rows[i].text, room, sizeof room);
        if (!slice_is(got, slice_str(rows[i].tokens))) {
            print_error("got      %.*s\nexpected %s\n", SLICE_ARGS(got), rows[i].tokens);
            ROW_FAILED(i, rows[i].text);
        }
    }
}

static const struct row good[] = {
    {SLICE("[]"), "[ ] "},
    {SLICE("{}"), "{ } "},
    {SLICE(" \t\r\n[ \t\r\n] \t\r\n"), "[ ] "},
    {SLICE("[[]]"), "[ [ ] ] "},
    {SLICE("[[],[[]],{}]"), "[ [ ] [ [ ] ] { } ] "},
    {SLICE("{\"a\":{\"b\":{}}}"), "{ k:a { k:b { } } } "},
    {SLICE("{\"a\":[{\"b\":[]},{}]}"), "{ k:a [ { k:b [ ] } { } ] } "},
    {SLICE("null"), "N "},
    {SLICE("true"), "T "},
    {SLICE(" false "), "F "},
    {SLICE("[null,true,false]"), "[ N T F ] "},
    {SLICE("[null , true\n,\tfalse ]"), "[ N T F ] "},
    {SLICE("{\"a\":1,\"a\":2}"), "{ k:a i1 k:a i2 } "},
    {SLICE("{ \"a\" : 1 , \"b\" : [ ] }"), "{ k:a i1 k:b [ ] } "},
    {SLICE("{\"\":0}"), "{ k: i0 } "},
    {SLICE("{\"a\\u0062\":0}"), "{ k:ab i0 } "},
    {SLICE("0"), "i0 "},
    {SLICE("-0"), "r-0 "},
    {SLICE("-0.0"), "r-0 "},
    {SLICE("1"), "i1 "},
    {SLICE("-1"), "i-1 "},
    {SLICE("42 "), "i42 "},
    {SLICE("9223372036854775807"), "i9223372036854775807 "},
    {SLICE("-9223372036854775808"), "i-9223372036854775808 "},
    {SLICE("9223372036854775808"), "r9.223372036854776e+18 "},
    {SLICE("-9223372036854775809"), "r-9.223372036854776e+18 "},
    {SLICE("18446744073709551616"), "r1.8446744073709552e+19 "},
    {SLICE("123456789012345678901234567890"), "r1.2345678901234568e+29 "},
    {SLICE("1.5"), "r1.5 "},
    {SLICE("-1.5"), "r-1.5 "},
    {SLICE("1.0"), "r1 "},
    {SLICE("1e0"), "r1 "},
    {SLICE("0e1"), "r0 "},
    {SLICE("0.1"), "r0.1 "},
    {SLICE("1E5"), "r100000 "},
    {SLICE("1e+5"), "r100000 "},
    {SLICE("1E-2"), "r0.01 "},
    {SLICE("12.50e001"), "r125 "},
    {SLICE("-0.0e-00"), "r-0 "},
    {SLICE("1.7976931348623157e308"), "r1.7976931348623157e+308 "},
    {SLICE("5e-324"), "r4.94065645841247e-324 "},
    {SLICE("1e-400"), "r0 "},
    {SLICE("0.30000000000000004"), "r0.30000000000000004 "},
    {SLICE("\"\""), "s: "},
    {SLICE("\"a\""), "s:a "},
    {SLICE("\"a b\\\"c\""), "s:a b\"c "},
    {SLICE("\"\\\\\\/\\b\\f\\n\\r\\t\""), "s:\\/\b\f\n\r\t "},
    {SLICE("\"\\\\n\""), "s:\\n "},
    {SLICE("\"\\\\\\\\\""), "s:\\\\ "},
    {SLICE("\"\\u0041\\u00e9\\u20AC\""), "s:A\xc3\xa9\xe2\x82\xac "},
    {SLICE("\"\\uD834\\uDD1E\""), "s:\xf0\x9d\x84\x9e "},
    {SLICE("\"\\ud800\\udc00\""), "s:\xf0\x90\x80\x80 "},
    {SLICE("\"\\uDBFF\\uDFFF\""), "s:\xf4\x8f\xbf\xbf "},
    {SLICE("\"\\uFFFF\\uE000\\uD7FF\""), "s:\xef\xbf\xbf\xee\x80\x80\xed\x9f\xbf "},
    {SLICE("\"\\u007f\x7f\""), "s:\x7f\x7f "},
    {SLICE("\"\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e\""), "s:\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e "},
    {SLICE("\"\xef\xbb\xbf\""), "s:\xef\xbb\xbf "},
    {SLICE("\"\xe2\x80\xa8\""), "s:\xe2\x80\xa8 "},
    {SLICE("\"/*no comment*/ //\""), "s:/*no comment*/ // "},
    {SLICE("\"]}[{,:\""), "s:]}[{,: "},
    {SLICE("[\"a\",\"b\"]"), "[ s:a s:b ] "},
    {SLICE("[1,-2.5,\"x\",{\"k\":[null]}]"), "[ i1 r-2.5 s:x { k:k [ N ] } ] "},
};

#define BEFORE_VALUE "this is not a value"

static const struct row bad[] = {
    {SLICE(""), "1:1 there is no value"},
    {SLICE(" \n "), "2:2 there is no value"},
    {SLICE("\0"), "1:1 " BEFORE_VALUE},
    {SLICE("\xef\xbb\xbf{}"), "1:1 the text begins with a byte order mark"},
    {SLICE("\xef\xbb"), "1:1 " BEFORE_VALUE},
    {SLICE("\xc3\xa9"), "1:1 " BEFORE_VALUE},
    {SLICE("["), "1:2 the text ends too early"},
    {SLICE("[[]"), "1:4 the text ends too early"},
    {SLICE("[1"), "1:3 the text ends too early"},
    {SLICE("[1,"), "1:4 the text ends too early"},
    {SLICE("[1,]"), "1:4 a value is missing"},
    {SLICE("[,1]"), "1:2 a value is missing"},
    {SLICE("[,]"), "1:2 a value is missing"},
    {SLICE("[1,,2]"), "1:4 a value is missing"},
    {SLICE("[1 2]"), "1:4 a comma or \"]\" is missing"},
    {SLICE("[1:2]"), "1:3 a comma or \"]\" is missing"},
    {SLICE("[\"a\" \"b\"]"), "1:6 a comma or \"]\" is missing"},
    {SLICE("[1}"), "1:3 a comma or \"]\" is missing"},
    {SLICE("[}"), "1:2 a value is missing"},
    {SLICE("]"), "1:1 a value is missing"},
    {SLICE("}"), "1:1 a value is missing"},
    {SLICE(","), "1:1 a value is missing"},
    {SLICE("[]]"), "1:3 there is more behind the value"},
    {SLICE("[]\n\n {}"), "3:2 there is more behind the value"},
    {SLICE("1 2"), "1:3 there is more behind the value"},
    {SLICE("1,"), "1:2 there is more behind the value"},
    {SLICE("nulll"), "1:5 there is more behind the value"},
    {SLICE("\"a\"x"), "1:4 there is more behind the value"},
    {SLICE("{}#"), "1:3 there is more behind the value"},
    {SLICE("{}\0"), "1:3 there is more behind the value"},
    {SLICE("{"), "1:2 the text ends too early"},
    {SLICE("{\"a\""), "1:5 the text ends too early"},
    {SLICE("{\"a\":"), "1:6 the text ends too early"},
    {SLICE("{\"a\":1"), "1:7 the text ends too early"},
    {SLICE("{\"a\":1,"), "1:8 the text ends too early"},
    {SLICE("{\"a\" 1}"), "1:6 a colon is missing"},
    {SLICE("{\"a\",1}"), "1:5 a colon is missing"},
    {SLICE("{\"a\"}"), "1:5 a colon is missing"},
    {SLICE("{\"a\"::1}"), "1:6 this is not a value"},
    {SLICE("{\"a\":}"), "1:6 a value is missing"},
    {SLICE("{\"a\":,}"), "1:6 a value is missing"},
    {SLICE("{\"a\":1,}"), "1:8 a name in quotes is missing"},
    {SLICE("{,\"a\":1}"), "1:2 a name in quotes is missing"},
    {SLICE("{\"a\":1,,\"b\":2}"), "1:8 a name in quotes is missing"},
    {SLICE("{a:1}"), "1:2 a name in quotes is missing"},
    {SLICE("{'a':1}"), "1:2 a name in quotes is missing"},
    {SLICE("{1:1}"), "1:2 a name in quotes is missing"},
    {SLICE("{null:1}"), "1:2 a name in quotes is missing"},
    {SLICE("{[]:1}"), "1:2 a name in quotes is missing"},
    {SLICE("{]"), "1:2 a name in quotes is missing"},
    {SLICE("{\"a\":1]"), "1:7 a comma or \"}\" is missing"},
    {SLICE("{\"a\":1 \"b\":2}"), "1:8 a comma or \"}\" is missing"},
    {SLICE("{\"a\":1:2}"), "1:7 a comma or \"}\" is missing"},
    {SLICE("{\"a\":1}}"), "1:8 there is more behind the value"},
    {SLICE("nul"), "1:1 " BEFORE_VALUE},
    {SLICE("True"), "1:1 " BEFORE_VALUE},
    {SLICE("tru"), "1:1 " BEFORE_VALUE},
    {SLICE("fals"), "1:1 " BEFORE_VALUE},
    {SLICE("nan"), "1:1 " BEFORE_VALUE},
    {SLICE("NaN"), "1:1 " BEFORE_VALUE},
    {SLICE("Infinity"), "1:1 " BEFORE_VALUE},
    {SLICE("undefined"), "1:1 " BEFORE_VALUE},
    {SLICE("'a'"), "1:1 " BEFORE_VALUE},
    {SLICE("/**/1"), "1:1 " BEFORE_VALUE},
    {SLICE("// x\n1"), "1:1 " BEFORE_VALUE},
    {SLICE("\f[]"), "1:1 " BEFORE_VALUE},
    {SLICE("\xc2\xa0[]"), "1:1 " BEFORE_VALUE},
    {SLICE("[\v1]"), "1:2 " BEFORE_VALUE},
    {SLICE("+1"), "1:1 " BEFORE_VALUE},
    {SLICE(".5"), "1:1 " BEFORE_VALUE},
    {SLICE("[*]"), "1:2 " BEFORE_VALUE},
    {SLICE("(1)"), "1:1 " BEFORE_VALUE},
    {SLICE("-"), "1:2 a number needs digits"},
    {SLICE("--1"), "1:2 a number needs digits"},
    {SLICE("-x"), "1:2 a number needs digits"},
    {SLICE("-Infinity"), "1:2 a number needs digits"},
    {SLICE("-.5"), "1:2 a number needs digits"},
    {SLICE("1."), "1:3 a number needs digits"},
    {SLICE("1.e5"), "1:3 a number needs digits"},
    {SLICE("1.5e"), "1:5 a number needs digits"},
    {SLICE("1e"), "1:3 a number needs digits"},
    {SLICE("1e+"), "1:4 a number needs digits"},
    {SLICE("[1e-]"), "1:5 a number needs digits"},
    {SLICE("1e1.5"), "1:4 there is more behind the value"},
    {SLICE("01"), "1:1 a number has no zeros in front"},
    {SLICE("-01"), "1:2 a number has no zeros in front"},
    {SLICE("00"), "1:1 a number has no zeros in front"},
    {SLICE("01.5"), "1:1 a number has no zeros in front"},
    {SLICE("0x1"), "1:2 there is more behind the value"},
    {SLICE("1a"), "1:2 there is more behind the value"},
    {SLICE("1_000"), "1:2 there is more behind the value"},
    {SLICE("1e400"), "1:1 a number is too large"},
    {SLICE("[-1e309]"), "1:2 a number is too large"},
    {SLICE("\""), "1:2 the text ends inside a string"},
    {SLICE("\"a"), "1:3 the text ends inside a string"},
    {SLICE("\"\\"), "1:2 the text ends inside a string"},
    {SLICE("\"\\\""), "1:4 the text ends inside a string"},
    {SLICE("{\"a"), "1:4 the text ends inside a string"},
    {SLICE("\"a\nb\""), "1:3 a control character in a string must be escaped"},
    {SLICE("\"\t\""), "1:2 a control character in a string must be escaped"},
    {SLICE("\"a\0\""), "1:3 a control character in a string must be escaped"},
    {SLICE("\"\x1f\""), "1:2 a control character in a string must be escaped"},
    {SLICE("\"\\x41\""), "1:2 there is no such escape"},
    {SLICE("\"\\'\""), "1:2 there is no such escape"},
    {SLICE("\"\\\0\""), "1:2 there is no such escape"},
    {SLICE("\"\\U0041\""), "1:2 there is no such escape"},
    {SLICE("\"\\\n\""), "1:2 there is no such escape"},
    {SLICE("\"\\a\""), "1:2 there is no such escape"},
    {SLICE("\"\\\xc3\xa9\""), "1:2 there is no such escape"},
    {SLICE("\"\\u\""), "1:2 \\u needs four hexadecimal digits"},
    {SLICE("\"\\u00\""), "1:2 \\u needs four hexadecimal digits"},
    {SLICE("\"\\u004g\""), "1:2 \\u needs four hexadecimal digits"},
    {SLICE("\"\\u 041\""), "1:2 \\u needs four hexadecimal digits"},
    {SLICE("\"\\u+041\""), "1:2 \\u needs four hexadecimal digits"},
    {SLICE("\"\\u004"), "1:2 \\u needs four hexadecimal digits"},
    {SLICE("\"\\ud800\""), "1:2 half of a surrogate pair stands alone"},
    {SLICE("\"\\ud800x\""), "1:2 half of a surrogate pair stands alone"},
    {SLICE("\"\\ud800\\n\""), "1:2 half of a surrogate pair stands alone"},
    {SLICE("\"\\ud800\\u0041\""), "1:2 half of a surrogate pair stands alone"},
    {SLICE("\"\\ud800\\ud800\""), "1:2 half of a surrogate pair stands alone"},
    {SLICE("\"\\udc00\\ud800\""), "1:2 half of a surrogate pair stands alone"},
    {SLICE("\"x\\uDFFF\""), "1:3 half of a surrogate pair stands alone"},
    {SLICE("\"\xff\""), "1:2 a string is not valid UTF-8"},
    {SLICE("\"\x80\""), "1:2 a string is not valid UTF-8"},
    {SLICE("\"\xc3\""), "1:2 a string is not valid UTF-8"},
    {SLICE("\"\xc0\xaf\""), "1:2 a string is not valid UTF-8"},
    {SLICE("\"\xe0\x80\xaf\""), "1:2 a string is not valid UTF-8"},
    {SLICE("\"\xed\xa0\x80\""), "1:2 a string is not valid UTF-8"},
    {SLICE("\"\xf4\x90\x80\x80\""), "1:2 a string is not valid UTF-8"},
    {SLICE("\"\xf0\x9d\x84\""), "1:2 a string is not valid UTF-8"},
    {SLICE("\"\xc3\xa9\xe9\""), "1:3 a string is not valid UTF-8"},
    {SLICE("{\"\xe9\":1}"), "1:3 a string is not valid UTF-8"},
    {SLICE("[\n  1,\r\n  \"\xc3\xa9\", x]"), "3:8 this is not a value"},
};

static void test_json_good(void **state)
{
    check_rows(good, COUNT_OF(good));
}

static void test_json_bad(void **state)
{
    check_rows(bad, COUNT_OF(bad));
}

/* A text that is cut off is never taken, but for numbers and blanks. */
static void test_json_cut(void **state)
{
    static const slice texts[] = {
        SLICE("{\"a\":[1,2.5e3,\"\\u00e9\\ud834\\udd1e\\n\xc3\xa9\",true,false,null,{}]}"),
        SLICE("\"\\ud834\\udd1e\\\\\""),
        SLICE("[[[\"x\"],{}],-1]"),
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        for (size_t n = 0; n < texts[i].n; n++) {
            char room[500];
            slice got = read_all(slice_head(texts[i], n), room, sizeof room);
            assert_true(got.n && got.p[0] == '1' && got.p[1] == ':');
        }
}

static void test_json_depth(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 2], room[2000];
    for (size_t n = JSON_DEPTH_MAX; n <= JSON_DEPTH_MAX + 1; n++) {
        memset(text, '[', n);
        memset(text + n, ']', n);
        slice got = read_all(slice_of(text, 2 * n), room, sizeof room);
        if (n == JSON_DEPTH_MAX)
            assert_int_equal(got.n, 4 * n);
        else
            assert_slice(got, SLICE("1:129 objects and arrays are nested too deep"));
    }
    /* Which of the open ones are objects is known at every depth. */
    struct json j;
    struct fmt f = fmt_on(room, sizeof room);
    for (int i = 0; i < JSON_DEPTH_MAX / 2; i++)
        fmt_str(&f, "[{\"\":");
    fmt_char(&f, '0');
    for (int i = 0; i < JSON_DEPTH_MAX / 2; i++)
        fmt_str(&f, "}]");
    json_init(&j, fmt_done(&f));
    unsigned tokens = 0;
    enum json_token token;
    while ((token = json_next(&j)) > JSON_DONE)
        tokens++;
    assert_int_equal(token, JSON_DONE);
    assert_int_equal(tokens, JSON_DEPTH_MAX / 2 * 5 + 1);
}

static void test_json_number_length(void **state)
{
    char text[JSON_NUMBER_MAX + 2], room[100];
    memset(text, '0', sizeof text);
    text[1] = '.';
    text[JSON_NUMBER_MAX - 1] = '1';
    assert_slice(read_all(slice_of(text, JSON_NUMBER_MAX), room, sizeof room), SLICE("r0 "));
    assert_slice(read_all(slice_of(text, JSON_NUMBER_MAX + 1), room, sizeof room),
                 SLICE("1:1 a number is too long"));
}

/* The flag, and NUL in a string. */
static void test_json_unescape(void **state)
{
    struct json j;
    char room[32];
    json_init(&j, SLICE("[\"plain\",\"a\\u0000b\",\"plain\"]"));
    assert_int_equal(json_next(&j), JSON_ARRAY);
    assert_int_equal(json_next(&j), JSON_STRING);
    assert_false(j.has_escapes);
    assert_slice(j.text, SLICE("plain"));
    assert_slice(json_unescape(j.text, room), SLICE("plain"));
    assert_int_equal(json_next(&j), JSON_STRING);
    assert_true(j.has_escapes);
    assert_slice(j.text, SLICE("a\\u0000b"));
    assert_slice(json_unescape(j.text, room), SLICE("a\0b"));
    assert_int_equal(json_next(&j), JSON_STRING);
    assert_false(j.has_escapes);
    /* What the reader would not have handed out ends it. */
    assert_slice(json_unescape(SLICE("ab\\x"), room), SLICE("ab"));
    assert_slice(json_unescape(SLICE("ab\\ud800"), room), SLICE("ab"));
    assert_slice(json_unescape(SLICE(""), room), SLICE(""));
}

static void test_json_put_string(void **state)
{
    static const struct {
        slice in, refuse, replace, pass;
    } rows[] = {
        {SLICE(""), SLICE("\"\""), SLICE("\"\""), SLICE("\"\"")},
        {SLICE("a/b c\x7f"), SLICE("\"a/b c\x7f\""), SLICE("\"a/b c\x7f\""),
         SLICE("\"a/b c\x7f\"")},
        {SLICE("\"\\\b\f\n\r\t"), SLICE("\"\\\"\\\\\\b\\f\\n\\r\\t\""),
         SLICE("\"\\\"\\\\\\b\\f\\n\\r\\t\""), SLICE("\"\\\"\\\\\\b\\f\\n\\r\\t\"")},
        {SLICE("\0x\x1f"), SLICE("\"\\u0000x\\u001f\""), SLICE("\"\\u0000x\\u001f\""),
         SLICE("\"\\u0000x\\u001f\"")},
        {SLICE("\xc3\xa9\xf0\x9d\x84\x9e"), SLICE("\"\xc3\xa9\xf0\x9d\x84\x9e\""),
         SLICE("\"\xc3\xa9\xf0\x9d\x84\x9e\""), SLICE("\"\xc3\xa9\xf0\x9d\x84\x9e\"")},
        {SLICE("a\xe9\n\xc3"), SLICE(""), SLICE("\"a\xef\xbf\xbd\\n\xef\xbf\xbd\""),
         SLICE("\"a\xe9\\n\xc3\"")},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const slice want[] = {rows[i].refuse, rows[i].replace, rows[i].pass};
        slice in = exact_copy(rows[i].in);
        for (enum json_utf8 mode = JSON_UTF8_REFUSE; mode <= JSON_UTF8_PASS; mode++) {
            char room[64];
            struct fmt f = fmt_on(room, sizeof room);
            bool ok = json_put_string(in, mode, json_to_fmt, &f);
            assert_int_equal(ok, want[mode].n > 0);
            assert_slice(fmt_done(&f), want[mode]);
        }
        exact_free(in);
    }
}

/* Whatever is written reads back. */
static void test_json_string_round_trip(void **state)
{
    struct prng g = {7};
    for (int round = 0; round < 20000; round++) {
        char in[24], room[200], back[200];
        size_t n = prng_below(&g, sizeof in);
        for (size_t i = 0; i < n; i++)
            in[i] = (char)(prng_below(&g, 4) ? prng_below(&g, 64) : prng_below(&g, 256));
        struct fmt f = fmt_on(room, sizeof room);
        bool ok = json_put_string(slice_of(in, n), JSON_UTF8_REFUSE, json_to_fmt, &f);
        assert_int_equal(ok, utf8_valid(slice_of(in, n)) == n);
        if (!ok)
            assert_true(json_put_string(slice_of(in, n), JSON_UTF8_REPLACE, json_to_fmt, &f));
        struct json j;
        json_init(&j, fmt_done(&f));
        assert_int_equal(json_next(&j), JSON_STRING);
        slice got = json_unescape(j.text, back);
        if (ok)
            assert_slice(got, slice_of(in, n));
        assert_int_equal(json_next(&j), JSON_DONE);
    }
}

static void test_json_put_numbers(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {1e15, "1e+15"},
        {123456789012345, "123456789012345"},
        {1e100, "1e+100"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {5e-324, "4.94065645841247e-324"},
    };
    char room[64];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fmt f = fmt_on(room, sizeof room);
        assert_true(json_put_real(rows[i].value, &f));
        assert_slice(fmt_done(&f), slice_str(rows[i].text));
    }
    struct fmt f = fmt_on(room, sizeof room);
    assert_false(json_put_real((double)INFINITY, &f));
    assert_false(json_put_real((double)-INFINITY, &f));
    assert_false(json_put_real((double)NAN, &f));
    assert_int_equal(fmt_done(&f).n, 0);
    json_put_integer(INT64_MIN, &f);
    json_put_integer(0, &f);
    json_put_integer(INT64_MAX, &f);
    assert_slice(fmt_done(&f), SLICE("-922337203685477580809223372036854775807"));
}

static void test_json_real_round_trip(void **state)
{
    struct prng g = {9};
    for (int round = 0; round < 20000; round++) {
        uint64_t bits = prng_next(&g);
        double value;
        memcpy(&value, &bits, sizeof value);
        char room[64];
        struct fmt f = fmt_on(room, sizeof room);
        if (!json_put_real(value, &f))
            continue;
        struct json j;
        json_init(&j, fmt_done(&f));
        enum json_token token = json_next(&j);
        assert_true(token == JSON_REAL || token == JSON_INTEGER);
        assert_true((token == JSON_REAL ? j.real : (double)j.integer) == value);
        assert_int_equal(json_next(&j), JSON_DONE);
    }
}

static void test_utf8(void **state)
{
    static const uint32_t points[] = {0,      0x7f,   0x80,   0x7ff,   0x800,   0xd7ff,
                                      0xe000, 0xfffd, 0xffff, 0x10000, 0x10ffff};
    char room[4];
    for (size_t i = 0; i < COUNT_OF(points); i++) {
        size_t n = utf8_put(points[i], room);
        assert_int_equal(utf8_sequence(slice_of(room, n)), n);
        assert_int_equal(utf8_valid(slice_of(room, n)), n);
        if (n > 1)
            assert_int_equal(utf8_sequence(slice_of(room, n - 1)), 0);
    }
    assert_int_equal(utf8_valid(SLICE("0123456789abcdef\xff")), 16);
    assert_int_equal(utf8_valid(SLICE("0123456\xc3\xa9"
                                      "89abcdef\xc3")),
                     17);
    assert_int_equal(utf8_valid(SLICE("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_good),
        cmocka_unit_test(test_json_bad),
        cmocka_unit_test(test_json_cut),
        cmocka_unit_test(test_json_depth),
        cmocka_unit_test(test_json_number_length),
        cmocka_unit_test(test_json_unescape),
        cmocka_unit_test(test_json_put_string),
        cmocka_unit_test(test_json_string_round_trip),
        cmocka_unit_test(test_json_put_numbers),
        cmocka_unit_test(test_json_real_round_trip),
        cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
