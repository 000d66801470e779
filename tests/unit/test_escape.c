/* escape: HTML and JSON, well-formed and broken UTF-8. */
#include "wire_test.h"

#include "wire/escape.h"

#define BAD "\xef\xbf\xbd"

typedef void (*escape_fn)(struct fmt *f, slice s);

struct row {
    slice in, html, json;
};

static slice run(escape_fn escape, slice in, char *room, size_t n)
{
    struct fmt f = fmt_on(room, n);
    slice s = exact_copy(in);
    escape(&f, s);
    exact_free(s);
    assert_false(f.full);
    return fmt_done(&f);
}

static void check_rows(const struct row *rows, size_t count)
{
    char room[256];
    for (size_t i = 0; i < count; i++) {
        assert_slice(run(escape_html, rows[i].in, room, sizeof room), rows[i].html);
        assert_slice(run(escape_json, rows[i].in, room, sizeof room), rows[i].json);
    }
}

static void test_escape_ascii(void **state)
{
    static const struct row rows[] = {
        {SLICE(""), SLICE(""), SLICE("")},
        {SLICE("plain text"), SLICE("plain text"), SLICE("plain text")},
        {SLICE("<a href=\"x\">&'"), SLICE("&lt;a href=&quot;x&quot;&gt;&amp;&#39;"),
         SLICE("<a href=\\\"x\\\">&'")},
        {SLICE("\\"), SLICE("\\"), SLICE("\\\\")},
        {SLICE("a\tb\r\n"), SLICE("a\tb\r\n"), SLICE("a\\u0009b\\u000d\\u000a")},
        {SLICE("\0\x1f\x7f~"), SLICE(BAD BAD BAD "~"), SLICE("\\u0000\\u001f\\u007f~")},
        {SLICE("&amp;"), SLICE("&amp;amp;"), SLICE("&amp;")},
    };
    check_rows(rows, COUNT_OF(rows));
}

/* The boundaries of RFC 3629 4, from both sides. */
static void test_escape_utf8(void **state)
{
    static const struct {
        slice in, out;
    } rows[] = {
        {SLICE("\xc2\x80"), SLICE("\xc2\x80")},
        {SLICE("\xdf\xbf"), SLICE("\xdf\xbf")},
        {SLICE("\xe0\xa0\x80"), SLICE("\xe0\xa0\x80")},
        {SLICE("\xed\x9f\xbf"), SLICE("\xed\x9f\xbf")},
        {SLICE("\xee\x80\x80"), SLICE("\xee\x80\x80")},
        {SLICE("\xef\xbf\xbf"), SLICE("\xef\xbf\xbf")},
        {SLICE("\xf0\x90\x80\x80"), SLICE("\xf0\x90\x80\x80")},
        {SLICE("\xf4\x8f\xbf\xbf"), SLICE("\xf4\x8f\xbf\xbf")},
        {SLICE("a\xc3\xa4z"), SLICE("a\xc3\xa4z")},
        {SLICE("\x80"), SLICE(BAD)},
        {SLICE("\xbf"), SLICE(BAD)},
        {SLICE("\xc0\x80"), SLICE(BAD BAD)},
        {SLICE("\xc1\xbf"), SLICE(BAD BAD)},
        {SLICE("\xc3"), SLICE(BAD)},
        {SLICE("\xc3("), SLICE(BAD "(")},
        {SLICE("\xe0\x9f\x80"), SLICE(BAD BAD BAD)},
        {SLICE("\xed\xa0\x80"), SLICE(BAD BAD BAD)},
        {SLICE("\xe2\x82"), SLICE(BAD BAD)},
        {SLICE("\xe2\x82x"), SLICE(BAD BAD "x")},
        {SLICE("\xf0\x8f\x80\x80"), SLICE(BAD BAD BAD BAD)},
        {SLICE("\xf4\x90\x80\x80"), SLICE(BAD BAD BAD BAD)},
        {SLICE("\xf5\x80\x80\x80"), SLICE(BAD BAD BAD BAD)},
        {SLICE("\xff\xfe"), SLICE(BAD BAD)},
        {SLICE("a\xffz"), SLICE("a" BAD "z")},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row row = {rows[i].in, rows[i].out, rows[i].out};
        check_rows(&row, 1);
    }
}

/* In a room that is too small: only whole characters and escapes come out, and [full] says so. */
static void test_escape_out_of_room(void **state)
{
    for (size_t n = 0; n < 16; n++) {
        char room[16];
        struct fmt f = fmt_on(room, n);
        escape_json(&f, SLICE("ab\x01"
                              "c\xff"));
        assert_true(n == 12 ? !f.full : f.full == (n < 12));
        slice got = fmt_done(&f);
        assert_true(slice_has_prefix(SLICE("ab\\u0001c" BAD), got));
        assert_true(got.n == 0 || got.n == 2 || got.n == 8 || got.n == 9 || got.n == 12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape_ascii),
        cmocka_unit_test(test_escape_utf8),
        cmocka_unit_test(test_escape_out_of_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
