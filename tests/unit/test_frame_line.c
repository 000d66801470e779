/* frame_line: lines and blocks, whole, byte by byte and against a model that looks anew each time.
 */
#include "wire_test.h"

#include "base/rand.h"
#include "wire/frame_line.h"

#include <errno.h>

struct row {
    slice view;
    size_t max;
    ssize_t result;
    slice line;
};

/* All at once. */
static ssize_t find(slice view, slice needle, size_t max, slice *line)
{
    size_t scanned = 0;
    slice copy = exact_copy(view);
    ssize_t n = needle.n ? frame_line_find_until(copy, needle, &scanned, max, line)
                         : frame_line_find(copy, &scanned, max, line);
    if (n > 0)
        *line = slice_head(view, line->n);
    if (n)
        assert_int_equal(scanned, 0);
    exact_free(copy);
    return n;
}

/* Each time one byte more, at another place. */
static ssize_t find_slowly(slice view, slice needle, size_t max, slice *line)
{
    size_t scanned = 0;
    ssize_t n = 0;
    for (size_t have = 0; have <= view.n && !n; have++) {
        slice copy = exact_copy(slice_head(view, have));
        assert_true(scanned <= have);
        n = needle.n ? frame_line_find_until(copy, needle, &scanned, max, line)
                     : frame_line_find(copy, &scanned, max, line);
        if (n > 0)
            *line = slice_head(view, line->n);
        exact_free(copy);
    }
    return n;
}

static void check_rows(const struct row *rows, size_t count, slice needle)
{
    for (size_t i = 0; i < count; i++) {
        slice line = SLICE("");
        if (find(rows[i].view, needle, rows[i].max, &line) != rows[i].result)
            ROW_FAILED(i, rows[i].view);
        assert_slice(line, rows[i].line);
        line = SLICE("");
        if (find_slowly(rows[i].view, needle, rows[i].max, &line) != rows[i].result)
            ROW_FAILED(i, rows[i].view);
        assert_slice(line, rows[i].line);
    }
}

#define NONE SLICE("")

static void test_frame_line_find(void **state)
{
    static const struct row rows[] = {
        {SLICE(""), 9, 0, NONE},
        {SLICE("abc"), 9, 0, NONE},
        {SLICE("abc\r"), 9, 0, NONE},
        {SLICE("\n"), 9, 1, SLICE("")},
        {SLICE("\r\n"), 9, 2, SLICE("")},
        {SLICE("abc\ndef"), 9, 4, SLICE("abc")},
        {SLICE("abc\r\ndef\n"), 9, 5, SLICE("abc")},
        {SLICE("a\r\r\n"), 9, 4, SLICE("a\r")},
        {SLICE("a\rb\n"), 9, 4, SLICE("a\rb")},
        {SLICE("a\0b\n"), 9, 4, SLICE("a\0b")},
        {SLICE("abc\n"), 3, 4, SLICE("abc")},
        {SLICE("abc\r\n"), 3, 5, SLICE("abc")},
        {SLICE("abc"), 3, 0, NONE},
        {SLICE("abc\r"), 3, 0, NONE},
        {SLICE("abcd"), 3, -EMSGSIZE, NONE},
        {SLICE("abcd\n"), 3, -EMSGSIZE, NONE},
        {SLICE("abc\r\r\n"), 3, -EMSGSIZE, NONE},
        {SLICE("abc\rd"), 3, -EMSGSIZE, NONE},
        {SLICE("abcdefghijklm\n"), 3, -EMSGSIZE, NONE},
        {SLICE("\n"), 0, 1, SLICE("")},
        {SLICE("\r\n"), 0, 2, SLICE("")},
        {SLICE("a"), 0, -EMSGSIZE, NONE},
        {SLICE("abc\n"), SIZE_MAX, 4, SLICE("abc")},
        {SLICE("abc"), SIZE_MAX, 0, NONE},
        {SLICE("abc"), SIZE_MAX - 1, 0, NONE},
    };
    check_rows(rows, COUNT_OF(rows), NONE);
}

static void test_frame_line_find_until(void **state)
{
    static const struct row rows[] = {
        {SLICE(""), 9, 0, NONE},
        {SLICE("ab\r\n."), 9, 0, NONE},
        {SLICE("\r\n.\r\n"), 9, 5, SLICE("")},
        {SLICE("ab\r\n.\r\nrest"), 9, 7, SLICE("ab")},
        {SLICE("ab\r\n.\r\n"), 2, 7, SLICE("ab")},
        {SLICE("ab\r\n.\r\n"), 1, -EMSGSIZE, NONE},
        {SLICE("ab\r\r\n.\r\n.\r\n"), 9, 8, SLICE("ab\r")},
        {SLICE("\r\n.\r\r\n.\r\n"), 9, 9, SLICE("\r\n.\r")},
        {SLICE("abcdefg"), 3, 0, NONE},
        {SLICE("abcdefgh"), 3, -EMSGSIZE, NONE},
        {SLICE("\r\n.\r\n"), 0, 5, SLICE("")},
        {SLICE("x\r\n.\r\n"), 0, -EMSGSIZE, NONE},
        {SLICE("ab\r\n.\r\n"), SIZE_MAX, 7, SLICE("ab")},
    };
    check_rows(rows, COUNT_OF(rows), SLICE("\r\n.\r\n"));
    static const struct row bytes[] = {
        {SLICE("abc,d"), 3, 4, SLICE("abc")},
        {SLICE("abc"), 3, 0, NONE},
        {SLICE("abcd"), 3, -EMSGSIZE, NONE},
        {SLICE(","), 0, 1, SLICE("")},
    };
    check_rows(bytes, COUNT_OF(bytes), SLICE(","));
}

/* What the contract says, in the plainest way. */
static ssize_t model(slice view, slice needle, size_t max, slice *line)
{
    slice end = needle.n ? needle : SLICE("\n");
    for (size_t at = 0; at + end.n <= view.n; at++) {
        if (!slice_is(slice_head(slice_skip(view, at), end.n), end))
            continue;
        *line = slice_head(view, at);
        if (!needle.n && at && view.p[at - 1] == '\r')
            line->n--;
        return line->n > max ? -EMSGSIZE : (ssize_t)(at + end.n);
    }
    return 0;
}

static void test_frame_line_model(void **state)
{
    static const slice needles[] = {SLICE(""),   SLICE("\n"),  SLICE("\r\n"),
                                    SLICE("aa"), SLICE("aba"), SLICE("\n\n")};
    struct prng g = {5};
    for (int round = 0; round < 50000; round++) {
        char text[24];
        size_t n = prng_below(&g, sizeof text), max = prng_below(&g, 12);
        for (size_t i = 0; i < n; i++)
            text[i] = "ab\r\n"[prng_below(&g, 4)];
        slice view = slice_of(text, n), needle = needles[prng_below(&g, COUNT_OF(needles))];
        slice want = SLICE(""), whole = SLICE(""), slow = SLICE("");
        ssize_t result = model(view, needle, max, &want);
        ssize_t at_once = find(view, needle, max, &whole);
        assert_int_equal(find_slowly(view, needle, max, &slow), at_once);
        if (result == 0 && at_once) /* no end yet, but it would be too long */
            assert_true(at_once == -EMSGSIZE && n > max);
        else
            assert_int_equal(at_once, result);
        if (at_once > 0) {
            assert_slice(whole, want);
            assert_slice(slow, want);
        }
    }
}

/* Byte by byte, a long line is looked at once: *scanned is all but what the needle may begin in. */
static void test_frame_line_scanned(void **state)
{
    static char text[1000];
    memset(text, 'x', sizeof text);
    size_t scanned = 0;
    slice line;
    assert_int_equal(frame_line_find(slice_of(text, 1000), &scanned, 2000, &line), 0);
    assert_int_equal(scanned, 1000);
    scanned = 0;
    assert_int_equal(
        frame_line_find_until(slice_of(text, 1000), SLICE("\r\n.\r\n"), &scanned, 2000, &line), 0);
    assert_int_equal(scanned, 996);
}

static void test_frame_line_take(void **state)
{
    slice block;
    assert_int_equal(frame_line_take(SLICE("abc"), 4, &block), 0);
    assert_int_equal(frame_line_take(SLICE("abc"), 3, &block), 3);
    assert_slice(block, SLICE("abc"));
    assert_int_equal(frame_line_take(SLICE("abc"), 1, &block), 1);
    assert_slice(block, SLICE("a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_line_find),  cmocka_unit_test(test_frame_line_find_until),
        cmocka_unit_test(test_frame_line_model), cmocka_unit_test(test_frame_line_scanned),
        cmocka_unit_test(test_frame_line_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
