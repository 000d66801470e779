/* accesslog: lines in both formats, and peers that try to forge them. */
#include "wire_test.h"

#include "service/accesslog.h"
#include "service/logsink.h"
#include "temp_dir.h"

#define WAIT_MS 20000

struct fixture {
    struct temp_dir dir;
    struct mem_book book;
    struct logsink *sink;
};

static int set_up(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    int error;
    assert_non_null(x);
    temp_dir_make(&x->dir);
    mem_book_init(&x->book, 0);
    x->sink = logsink_new(&x->book, temp_path(&x->dir, "log"), 0, &error);
    assert_non_null(x->sink);
    *state = x;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *x = *state;
    logsink_close(&x->sink);
    mem_book_fini(&x->book);
    temp_dir_remove(&x->dir);
    free(x);
    return 0;
}

/* What one entry becomes, with its newline; free((void *)s.p). */
static slice line_of(struct fixture *x, enum accesslog_format format,
                     const struct accesslog_entry *e)
{
    struct accesslog log;
    accesslog_init(&log, x->sink, format);
    assert_int_equal(truncate(temp_path(&x->dir, "log"), 0), 0);
    assert_true(accesslog_put(&log, e));
    assert_true(logsink_flush(x->sink, WAIT_MS));
    return temp_read(&x->dir, "log");
}

static void check(struct fixture *x, enum accesslog_format format, const struct accesslog_entry *e,
                  const char *expected)
{
    slice line = line_of(x, format, e);
    assert_slice(line, slice_str(expected));
    free((void *)line.p);
}

static const struct accesslog_entry usual = {
    .unix_ms = 1791640536123, /* 2026-10-10 13:55:36.123 */
    .duration_us = 1204,
    .peer = SLICE("192.0.2.7"),
    .user = SLICE("ann"),
    .method = SLICE("GET"),
    .target = SLICE("/a?b=c"),
    .protocol = SLICE("HTTP/1.1"),
    .referer = SLICE("http://example.org/"),
    .user_agent = SLICE("curl/7.88.1"),
    .host = SLICE("example.net"),
    .bytes_sent = 1234,
    .session_id = 7,
    .request_number = 2,
    .status = 200,
};

static void test_usual(void **state)
{
    check(*state, ACCESSLOG_COMBINED, &usual,
          "192.0.2.7 - ann [10/Oct/2026:13:55:36 +0000] \"GET /a?b=c HTTP/1.1\" 200 1234 "
          "\"http://example.org/\" \"curl/7.88.1\"\n");
    check(*state, ACCESSLOG_JSON, &usual,
          "{\"time\":\"2026-10-10T13:55:36.123Z\",\"peer\":\"192.0.2.7\",\"user\":\"ann\","
          "\"method\":\"GET\",\"target\":\"/a?b=c\",\"protocol\":\"HTTP/1.1\",\"status\":200,"
          "\"bytes\":1234,\"duration_ms\":1.204,\"referer\":\"http://example.org/\","
          "\"user_agent\":\"curl/7.88.1\",\"host\":\"example.net\",\"session\":7,\"request\":2}\n");
}

/* A request that was not understood at all. */
static void test_nothing_known(void **state)
{
    struct accesslog_entry e = {.status = 400};
    check(*state, ACCESSLOG_COMBINED, &e,
          "- - - [01/Jan/1970:00:00:00 +0000] \"-\" 400 - \"-\" \"-\"\n");
    check(*state, ACCESSLOG_JSON, &e,
          "{\"time\":\"1970-01-01T00:00:00.000Z\",\"peer\":null,\"user\":null,\"method\":null,"
          "\"target\":null,\"protocol\":null,\"status\":400,\"bytes\":0,\"duration_ms\":0.000,"
          "\"referer\":null,\"user_agent\":null,\"host\":null,\"session\":0,\"request\":0}\n");
    e.method = SLICE("GET");
    check(*state, ACCESSLOG_COMBINED, &e,
          "- - - [01/Jan/1970:00:00:00 +0000] \"GET -\" 400 - \"-\" \"-\"\n");
    e.unix_ms = -5;
    e.duration_us = -5;
    e.status = -5;
    check(*state, ACCESSLOG_COMBINED, &e,
          "- - - [01/Jan/1970:00:00:00 +0000] \"GET -\" 0 - \"-\" \"-\"\n");
}

/* One log over several seconds: the cached text follows. */
static void test_seconds(void **state)
{
    struct fixture *x = *state;
    static const int64_t times[] = {1999, 2000, 2999, 1000};
    struct accesslog log;
    accesslog_init(&log, x->sink, ACCESSLOG_COMBINED);
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        struct accesslog_entry e = {.unix_ms = times[i], .status = 1};
        assert_true(accesslog_put(&log, &e));
    }
    assert_true(logsink_flush(x->sink, WAIT_MS));
#define AT(s) "- - - [01/Jan/1970:00:00:0" s " +0000] \"-\" 1 - \"-\" \"-\"\n"
    assert_file(&x->dir, "log", AT("1") AT("2") AT("2") AT("1"));
}

static const struct {
    slice in;
    const char *quoted, *unbroken, *json;
} nasty[] = {
    {SLICE("a\"b"), "a\\x22b", "a\\x22b", "a\\\"b"},
    {SLICE("\" 200 1 \"forged"), "\\x22 200 1 \\x22forged", "\\x22\\x20200\\x201\\x20\\x22forged",
     "\\\" 200 1 \\\"forged"},
    {SLICE("a\r\n1.2.3.4 - - []"), "a\\x0d\\x0a1.2.3.4 - - []",
     "a\\x0d\\x0a1.2.3.4\\x20-\\x20-\\x20[]", "a\\u000d\\u000a1.2.3.4 - - []"},
    {SLICE("\\"), "\\x5c", "\\x5c", "\\\\"},
    {SLICE("\\\""), "\\x5c\\x22", "\\x5c\\x22", "\\\\\\\""},
    {SLICE("\0"), "\\x00", "\\x00", "\\u0000"},
    {SLICE("\x1b[31m\x7f"), "\\x1b[31m\\x7f", "\\x1b[31m\\x7f", "\\u001b[31m\\u007f"},
    {SLICE(" "), " ", "\\x20", " "},
    {SLICE("  x "), "  x ", "\\x20\\x20x\\x20", "  x "},
    {SLICE("\xc3\xa4"), "\\xc3\\xa4", "\\xc3\\xa4", "\xc3\xa4"},
    {SLICE("\xff\xc3"), "\\xff\\xc3", "\\xff\\xc3", "\xef\xbf\xbd\xef\xbf\xbd"},
    {SLICE("%0a</script>"), "%0a</script>", "%0a</script>", "%0a</script>"},
};

/* Every field that a peer can choose, with everything that has forged a log somewhere. */
static void test_injection(void **state)
{
    for (size_t i = 0; i < COUNT_OF(nasty); i++) {
        char text[2048];
        slice s = nasty[i].in;
        const char *q = nasty[i].quoted, *u = nasty[i].unbroken, *j = nasty[i].json;
        struct accesslog_entry e = {.peer = s,
                                    .user = s,
                                    .method = s,
                                    .target = s,
                                    .protocol = s,
                                    .referer = s,
                                    .user_agent = s,
                                    .host = s};
        snprintf(text, sizeof text,
                 "%s - %s [01/Jan/1970:00:00:00 +0000] \"%s %s %s\" 0 - \"%s\" \"%s\"\n", u, u, u,
                 u, u, q, q);
        check(*state, ACCESSLOG_COMBINED, &e, text);
        snprintf(text, sizeof text,
                 "{\"time\":\"1970-01-01T00:00:00.000Z\",\"peer\":\"%s\",\"user\":\"%s\","
                 "\"method\":\"%s\",\"target\":\"%s\",\"protocol\":\"%s\",\"status\":0,"
                 "\"bytes\":0,\"duration_ms\":0.000,\"referer\":\"%s\",\"user_agent\":\"%s\","
                 "\"host\":\"%s\",\"session\":0,\"request\":0}\n",
                 j, j, j, j, j, j, j, j);
        check(*state, ACCESSLOG_JSON, &e, text);
    }
}

/* The longest line there can be, of each byte: whole, bounded, one line, quotes in pairs. */
static void test_bounds(void **state)
{
    static char huge[100000];
    for (unsigned c = 0; c < 256; c++) {
        memset(huge, (int)c, sizeof huge);
        slice s = slice_of(huge, sizeof huge);
        struct accesslog_entry e = {INT64_MAX,  INT64_MAX,  s,          s,        s, s, s, s, s, s,
                                    UINT64_MAX, UINT64_MAX, UINT32_MAX, INT32_MAX};
        for (int format = ACCESSLOG_COMBINED; format <= ACCESSLOG_JSON; format++) {
            slice line = line_of(*state, (enum accesslog_format)format, &e);
            assert_true(line.n < 26 * KIB);
            assert_int_equal(slice_find(line, '\n'), line.n - 1);
            size_t quotes = 0, cuts = 0;
            for (size_t i = 0; i < line.n; i++)
                quotes += line.p[i] == '"' && (i == 0 || line.p[i - 1] != '\\');
            for (slice rest = line, part; slice_cut(&rest, '.', &part);)
                cuts += slice_has_prefix(rest, SLICE(".."));
            assert_int_equal(quotes, format == ACCESSLOG_JSON ? 46 : 6);
            assert_true(cuts >= 7);
            free((void *)line.p);
        }
    }
}

/* Cutting does not break a character in two. */
static void test_cut_between_characters(void **state)
{
    for (size_t pad = 0; pad < 5; pad++) {
        char word[ACCESSLOG_WORD_MAX + 8];
        memset(word, 'x', sizeof word);
        memcpy(word + ACCESSLOG_WORD_MAX - pad, "\xf0\x9f\x98\x80", 4);
        struct accesslog_entry e = {.user = slice_of(word, sizeof word)};
        slice line = line_of(*state, ACCESSLOG_JSON, &e);
        assert_null(memmem(line.p, line.n, "\xef\xbf\xbd", 3));
        assert_non_null(memmem(line.p, line.n, "...\",", 5));
        assert_int_equal(memmem(line.p, line.n, "\xf0\x9f\x98\x80", 4) != NULL, pad >= 4);
        free((void *)line.p);
    }
}

static void test_format_names(void **state)
{
    enum accesslog_format format = ACCESSLOG_JSON;
    assert_true(accesslog_format_of(SLICE("combined"), &format));
    assert_int_equal(format, ACCESSLOG_COMBINED);
    assert_true(accesslog_format_of(SLICE("json"), &format));
    assert_int_equal(format, ACCESSLOG_JSON);
    assert_false(accesslog_format_of(SLICE("JSON"), &format));
    assert_false(accesslog_format_of(SLICE(""), &format));
}

#define WITH_SINK(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SINK(test_usual),
        WITH_SINK(test_nothing_known),
        WITH_SINK(test_seconds),
        WITH_SINK(test_injection),
        WITH_SINK(test_bounds),
        WITH_SINK(test_cut_between_characters),
        cmocka_unit_test(test_format_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
