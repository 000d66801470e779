/* http1_chunk: bodies whole, byte by byte, and in two parts at every offset. */
#include "wire_test.h"

#include "wire/http1_chunk.h"

struct body {
    struct http1_chunk chunk;
    ssize_t result; /* < 0: the refusal; else bytes used */
    size_t used;
    char room[256];
    struct fmt text;
};

static void body_init(struct body *b)
{
    http1_chunk_init(&b->chunk);
    b->result = 0;
    b->used = 0;
    b->text = fmt_on(b->room, sizeof b->room);
}

/* All of [in] that the reader takes. */
static void body_feed(struct body *b, slice in)
{
    slice copy = exact_copy(in), rest = copy, data;
    while (b->result >= 0 && !b->chunk.is_done) {
        b->result = http1_chunk_read(&b->chunk, rest, &data);
        if (b->result <= 0)
            break;
        assert_true((size_t)b->result <= rest.n);
        assert_true(data.p >= rest.p && data.p + data.n <= rest.p + b->result);
        fmt_put(&b->text, data);
        b->used += (size_t)b->result;
        rest = slice_skip(rest, (size_t)b->result);
    }
    exact_free(copy);
}

static bool is_same(const struct body *a, const struct body *b)
{
    bool refused = a->result < 0 || b->result < 0;
    return (!refused || a->result == b->result) && (refused || a->used == b->used) &&
           a->chunk.is_done == b->chunk.is_done && slice_is(fmt_done(&a->text), fmt_done(&b->text));
}

static void body_check_cuts(struct body *whole, slice text)
{
    struct body step, parts;
    body_init(whole);
    body_feed(whole, text);
    body_init(&step);
    for (size_t i = 0; i < text.n; i++)
        body_feed(&step, slice_of(text.p + i, 1));
    assert_true(is_same(whole, &step));
    for (size_t cut = 0; cut <= text.n; cut++) {
        body_init(&parts);
        body_feed(&parts, slice_head(text, cut));
        body_feed(&parts, slice_skip(text, cut));
        assert_true(is_same(whole, &parts));
    }
}

#define MORE 0
#define DONE 1

struct row {
    slice text, data;
    int result; /* MORE, DONE with the whole text used, or the refusal */
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct body b;
        body_check_cuts(&b, rows[i].text);
        int result = b.result < 0 ? (int)b.result : b.chunk.is_done;
        bool ok = result == rows[i].result && slice_is(fmt_done(&b.text), rows[i].data);
        if (!ok || (result >= 0 && b.used != rows[i].text.n)) {
            print_error("got %d \"%.*s\"\n", result, SLICE_ARGS(fmt_done(&b.text)));
            ROW_FAILED(i, rows[i].text);
        }
    }
}

#define CHECK_ROWS(rows) check_rows((rows), COUNT_OF(rows))

#define END              "0\r\n\r\n"
#define NONE             SLICE("")
#define HELLO            SLICE("hello")
#define SIZE(s)          SLICE(s "\r\nhello\r\n" END)
#define TRAIL(s)         SLICE("5\r\nhello\r\n0\r\n" s "\r\n\r\n")

/* RFC 9112 7.1 */
static void test_chunks(void **state)
{
    static const struct row rows[] = {
        {SLICE(END), NONE, DONE},
        {SIZE("5"), HELLO, DONE},
        {SIZE("0000000000000005"), HELLO, DONE},
        {SLICE("1\r\na\r\n2\r\nbc\r\nB\r\n0123456789a\r\nb\r\n0123456789b\r\n" END),
         SLICE("abc0123456789a0123456789b"), DONE},
        {SLICE("000\r\n\r\n"), NONE, DONE},
        {SLICE("5\r\n\r\n\0\r\n\r\n" END), SLICE("\r\n\0\r\n"), DONE},
        {SLICE("5\r\nhello\r\n"), HELLO, MORE},
        {SLICE("5\r\nhel"), SLICE("hel"), MORE},
        {SLICE("5\r\nhello\r\n0\r\n"), HELLO, MORE},
        {SLICE("5\r\nhello\r\n0\r\n\r"), HELLO, MORE},
        {SLICE("ffffffffffffffff\r\nhello"), HELLO, MORE},
        {SLICE(""), NONE, MORE},
    };
    CHECK_ROWS(rows);
}

static void test_bad_sizes(void **state)
{
    static const struct row rows[] = {
        {SIZE(""), NONE, -400},
        {SIZE(" 5"), NONE, -400},
        {SIZE("5 "), NONE, -400},
        {SIZE("5\t"), NONE, -400},
        {SIZE("+5"), NONE, -400},
        {SIZE("-1"), NONE, -400},
        {SIZE("0x5"), NONE, -400},
        {SIZE("5h"), NONE, -400},
        {SIZE("1_0"), NONE, -400},
        {SIZE("5,"), NONE, -400},
        {SIZE("\"5\""), NONE, -400},
        {SIZE("x"), NONE, -400},
        {SIZE("\0"), NONE, -400},
        {SIZE("\xef\xbc\x95"), NONE, -400},
        {SIZE("00000000000000005"), NONE, -400},
        {SIZE("FFFFFFFFFFFFFFFF0"), NONE, -400},
        {SIZE("10000000000000005"), NONE, -400},
    };
    CHECK_ROWS(rows);
}

static void test_line_ends(void **state)
{
    static const struct row rows[] = {
        {SLICE("5\nhello\r\n" END), NONE, -400},
        {SLICE("5\rhello\r\n" END), NONE, -400},
        {SLICE("5\r\rhello\r\n" END), NONE, -400},
        {SLICE("5\r\nhello\n" END), HELLO, -400},
        {SLICE("5\r\nhello\r" END), HELLO, -400},
        {SLICE("5\r\nhello" END), HELLO, -400},
        {SLICE("5\r\nhello!!\r\n" END), HELLO, -400},
        {SLICE("5\r\nhello\r\n\r\n" END), HELLO, -400},
        {SLICE("5\r\nhello\r\n0\n\r\n"), HELLO, -400},
        {SLICE("5\r\nhello\r\n0\r\n\n"), HELLO, -400},
        {SLICE("5\r\nhello\r\n0\r\n\rX"), HELLO, -400},
        {SLICE("5\r\nhello\r\n0\r\nX: y\n\r\n"), HELLO, -400},
        {SLICE("5\r\nhello\r\n0\r\nX: y\rz\r\n\r\n"), HELLO, -400},
    };
    CHECK_ROWS(rows);
}

/* RFC 9112 7.1.1 */
static void test_extensions(void **state)
{
    static const struct row rows[] = {
        {SIZE("5;a"), HELLO, DONE},
        {SIZE("5;a=b"), HELLO, DONE},
        {SIZE("5;a=b;c;d=\"e\""), HELLO, DONE},
        {SIZE("5; a = b ; c ;\td\t=\t\"e\" ;f"), HELLO, DONE},
        {SIZE("5;a=\"\""), HELLO, DONE},
        {SIZE("5;a=\";\\\"\\\\\t\xc3\xa9;\""), HELLO, DONE},
        {SIZE("5;"), NONE, -400},
        {SIZE("5 ;a"), NONE, -400},
        {SIZE("5;;a"), NONE, -400},
        {SIZE("5;a;"), NONE, -400},
        {SIZE("5;a "), NONE, -400},
        {SIZE("5;a=b "), NONE, -400},
        {SIZE("5;a="), NONE, -400},
        {SIZE("5;=a"), NONE, -400},
        {SIZE("5;a=b=c"), NONE, -400},
        {SIZE("5;a b"), NONE, -400},
        {SIZE("5;a=b c"), NONE, -400},
        {SIZE("5;a=\"b\"c"), NONE, -400},
        {SIZE("5;a=\"b\" c"), NONE, -400},
        {SIZE("5;a=b\""), NONE, -400},
        {SIZE("5;a=[b"), NONE, -400},
        {SIZE("5;a=\"b"), NONE, -400},
        {SIZE("5;a=\"\\\x01\""), NONE, -400},
        {SIZE("5;a=\"\x7f\""), NONE, -400},
        {SIZE("5;a=\"\n\""), NONE, -400},
        {SIZE("5;bad[=x"), NONE, -400},
        {SIZE("5;\0a"), NONE, -400},
        {SIZE("5;a\rX"), NONE, -400},
        {SLICE("5;\nhello\r\n" END), NONE, -400},
        {SLICE("5;a\nhello\r\n" END), NONE, -400},
        {SLICE("5;a=\"b\r\nhello\r\n" END), NONE, -400},
        {SLICE("0;a=b\r\n\r\n"), NONE, DONE},
    };
    CHECK_ROWS(rows);
}

/* RFC 9112 7.1.2, RFC 9110 6.5.1 */
static void test_trailers(void **state)
{
    static const struct row rows[] = {
        {TRAIL("X: y"), HELLO, DONE},
        {TRAIL("X:"), HELLO, DONE},
        {TRAIL("X: y\r\nZ-Very-Long-Name-Indeed: \t caf\xc3\xa9 "), HELLO, DONE},
        {TRAIL("Authorization: x"), HELLO, DONE},
        {TRAIL("Content-Type: x"), HELLO, DONE},
        {TRAIL("Hosts: x"), HELLO, DONE},
        {TRAIL("Content-Lengths: 5"), HELLO, DONE},
        {TRAIL("Transfer-Encoding-X: 5"), HELLO, DONE},
        {TRAIL("Content-Length: 50"), HELLO, -400},
        {TRAIL("Transfer-Encoding: chunked"), HELLO, -400},
        {TRAIL("transfer_ENCODING: chunked"), HELLO, -400},
        {TRAIL("Host: x"), HELLO, -400},
        {TRAIL("X: y\r\nhost: x"), HELLO, -400},
        {TRAIL("X : y"), HELLO, -400},
        {TRAIL(": y"), HELLO, -400},
        {TRAIL("no colon"), HELLO, -400},
        {TRAIL("NoColon"), HELLO, -400},
        {TRAIL(" X: y"), HELLO, -400},
        {TRAIL("X: y\r\n z"), HELLO, -400},
        {TRAIL("X[: y"), HELLO, -400},
        {TRAIL("X: \0"), HELLO, -400},
        {TRAIL("X: \x7f"), HELLO, -400},
        {TRAIL("\x01: y"), HELLO, -400},
    };
    CHECK_ROWS(rows);
}

/* The next request of the pipeline stays where it is. */
static void test_stops_at_the_end(void **state)
{
    struct body b;
    body_check_cuts(&b, SLICE("5\r\nhello\r\n" END "GET / HTTP/1.1\r\n"));
    assert_true(b.chunk.is_done);
    assert_int_equal(b.used, 15);
    slice data;
    assert_int_equal(http1_chunk_read(&b.chunk, SLICE("GET"), &data), 0);
    assert_true(b.chunk.is_done);
}

static void test_stays_refused(void **state)
{
    struct body b;
    slice data;
    body_init(&b);
    body_feed(&b, SLICE("x"));
    assert_int_equal(b.result, -400);
    assert_int_equal(http1_chunk_read(&b.chunk, SLICE("5"), &data), -400);
}

/* [start], then [filler] until [sum] bytes of overhead, one at a time: what the last one gives. */
static ssize_t overhead_result(slice start, char filler, size_t sum)
{
    struct http1_chunk c;
    slice data;
    http1_chunk_init(&c);
    ssize_t result = http1_chunk_read(&c, start, &data);
    assert_int_equal(result, start.n);
    while (result > 0 && c.overhead < sum)
        result = http1_chunk_read(&c, slice_of(&filler, 1), &data);
    return result;
}

static void test_overhead_is_bounded(void **state)
{
    static const slice starts[] = {SLICE("5;"), SLICE("5;a="), SLICE("5;a=\""), SLICE("0\r\n"),
                                   SLICE("0\r\nX:")};
    for (size_t i = 0; i < COUNT_OF(starts); i++) {
        assert_int_equal(overhead_result(starts[i], 'x', HTTP1_CHUNK_OVERHEAD_MAX), 1);
        assert_int_equal(overhead_result(starts[i], 'x', HTTP1_CHUNK_OVERHEAD_MAX + 1), -431);
    }
}

/* In sum over the body: many small extensions are one large one. */
static void test_overhead_is_summed(void **state)
{
    struct http1_chunk c;
    http1_chunk_init(&c);
    ssize_t result = 1;
    size_t chunks = 0;
    for (; result > 0; chunks++) {
        slice in = SLICE("1;x\r\na\r\n"), data;
        while (in.n && result > 0) {
            result = http1_chunk_read(&c, in, &data);
            in = slice_skip(in, result > 0 ? (size_t)result : 0);
        }
    }
    assert_int_equal(result, -431);
    assert_int_equal(chunks, HTTP1_CHUNK_OVERHEAD_MAX / 2 + 1); /* "x" and CR */
}

/* Data passes through in runs, without a copy. */
static void test_data_is_not_copied(void **state)
{
    struct http1_chunk c;
    slice data, block = SLICE("0123456789abcdef");
    http1_chunk_init(&c);
    assert_int_equal(http1_chunk_read(&c, SLICE("20\r\n"), &data), 4);
    assert_int_equal(data.n, 0);
    assert_int_equal(http1_chunk_read(&c, block, &data), 16);
    assert_true(data.p == block.p && data.n == 16);
    assert_int_equal(c.left, 16);
    assert_int_equal(http1_chunk_read(&c, block, &data), 16);
    assert_int_equal(http1_chunk_read(&c, SLICE("\r\n" END), &data), 7);
    assert_true(c.is_done);
    assert_int_equal(c.overhead, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_bad_sizes),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_extensions),
        cmocka_unit_test(test_trailers),
        cmocka_unit_test(test_stops_at_the_end),
        cmocka_unit_test(test_stays_refused),
        cmocka_unit_test(test_overhead_is_bounded),
        cmocka_unit_test(test_overhead_is_summed),
        cmocka_unit_test(test_data_is_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
