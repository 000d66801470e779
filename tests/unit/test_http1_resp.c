/* http1_resp: what is taken, what is refused, what frames the body, and that cuts change nothing.
 *
 * Each text goes through check_cuts: whole, every prefix, byte by byte, and in two parts at every
 * offset; each time in a heap block of its own size at another address. */
#include "wire_test.h"

#include "wire/http1_resp.h"

#include <errno.h>

static const struct http1_limits usual = {.head_bytes = 16000, .fields = 100};
static const struct http1_limits small = {.head_bytes = 64, .fields = 3};

struct outcome {
    ssize_t n;
    const char *why;
    struct http1_resp resp;
    const char *base; /* what the slices of [resp] point into; freed, for differences only */
};

static void feed(slice text, enum http_method method, size_t *scanned,
                 const struct http1_limits *limits, struct outcome *o)
{
    slice copy = exact_copy(text);
    o->why = NULL;
    o->base = copy.p;
    memset(&o->resp, 0xa5, sizeof o->resp);
    o->n = http1_resp_parse(copy, limits, method, scanned, &o->resp, &o->why);
    if (o->n != 0)
        assert_int_equal(*scanned, 0);
    assert_true(*scanned <= text.n);
    assert_int_equal(o->n < 0, o->why != NULL);
    exact_free(copy);
}

static bool is_same_slice(const struct outcome *a, slice in_a, const struct outcome *b, slice in_b)
{
    return in_a.n == in_b.n && (!in_a.n || in_a.p - a->base == in_b.p - b->base);
}

static bool is_same(const struct outcome *a, const struct outcome *b)
{
    const struct http1_resp *r = &a->resp, *s = &b->resp;
    if (a->n != b->n || a->why != b->why)
        return false;
    if (a->n <= 0)
        return true;
    if (r->status != s->status || r->framing != s->framing || r->minor != s->minor ||
        r->content_length != s->content_length || r->keep_alive != s->keep_alive ||
        r->field_count != s->field_count || memcmp(r->first, s->first, sizeof r->first) != 0 ||
        !is_same_slice(a, r->reason, b, s->reason))
        return false;
    for (size_t i = 0; i < r->field_count; i++)
        if (!is_same_slice(a, r->fields[i].name, b, s->fields[i].name) ||
            !is_same_slice(a, r->fields[i].value, b, s->fields[i].value))
            return false;
    return true;
}

static void must_be_same(slice text, const struct outcome *a, const struct outcome *b, size_t cut)
{
    if (is_same(a, b))
        return;
    print_error("cut at %zu of \"%.*s\": %zd (%s), not %zd (%s)\n", cut, SLICE_ARGS(text), b->n,
                b->why ? b->why : "", a->n, a->why ? a->why : "");
    fail();
}

/* The outcome of the whole text, after the proof that no cut changes it. */
static struct outcome check_cuts(slice text, enum http_method method,
                                 const struct http1_limits *limits)
{
    static struct outcome whole, prefix, step;
    size_t scanned = 0, unused = 0;
    bool is_decided = false;
    feed(text, method, &unused, limits, &whole);
    for (size_t n = 0; n <= text.n; n++) {
        size_t cut = 0;
        feed(slice_head(text, n), method, &cut, limits, &prefix);
        if (!is_decided) {
            feed(slice_head(text, n), method, &scanned, limits, &step);
            must_be_same(text, &prefix, &step, n);
            is_decided = step.n != 0;
        }
        if (prefix.n == 0)
            feed(text, method, &cut, limits, &prefix);
        must_be_same(text, &whole, &prefix, n);
    }
    assert_int_equal(is_decided, whole.n != 0);
    return whole;
}

struct row {
    slice text;
    ssize_t result; /* TAKEN: the whole text is one head */
};

#define TAKEN PTRDIFF_MAX

static void check_rows(const struct row *rows, size_t count, const struct http1_limits *limits)
{
    for (size_t i = 0; i < count; i++) {
        ssize_t expected = rows[i].result == TAKEN ? (ssize_t)rows[i].text.n : rows[i].result;
        struct outcome o = check_cuts(rows[i].text, HTTP_GET, limits);
        if (o.n != expected) {
            print_error("got %zd (%s), expected %zd\n", o.n, o.why ? o.why : "", expected);
            ROW_FAILED(i, rows[i].text);
        }
    }
}

#define CHECK_ROWS(rows, limits) check_rows((rows), COUNT_OF(rows), (limits))

#define LINE(line)               SLICE(line "\r\n\r\n")
#define OK(fields)               SLICE("HTTP/1.1 200 OK\r\n" fields "\r\n\r\n")
#define OLD(fields)              SLICE("HTTP/1.0 200 OK\r\n" fields "\r\n\r\n")

/* RFC 9112 4, 2.3 */
static void test_status_line(void **state)
{
    static const struct row rows[] = {
        {LINE("HTTP/1.1 200 OK"), TAKEN},
        {LINE("HTTP/1.0 200 OK"), TAKEN},
        {LINE("HTTP/1.9 200 OK"), TAKEN},
        {LINE("HTTP/1.1 200 "), TAKEN},
        {LINE("HTTP/1.1 200"), TAKEN},
        {LINE("HTTP/1.1 999 \tGr\xc3\xbc\xdf"
              "e  "),
         TAKEN},
        {LINE("HTTP/1.1 100"), TAKEN},
        {LINE("HTTP/1.1 099 x"), -EPROTO},
        {LINE("HTTP/1.1 20 x"), -EPROTO},
        {LINE("HTTP/1.1 2000 x"), -EPROTO},
        {LINE("HTTP/1.1 20a"), -EPROTO},
        {LINE("HTTP/1.1 -20"), -EPROTO},
        {LINE("HTTP/1.1  200"), -EPROTO},
        {LINE("HTTP/1.1\t200"), -EPROTO},
        {LINE("HTTP/1.1 200\tOK"), -EPROTO},
        {LINE("HTTP/1.11 200"), -EPROTO},
        {LINE("HTTP/2.0 200 OK"), -EPROTO},
        {LINE("HTTP/0.9 200 OK"), -EPROTO},
        {LINE("HTTP/2 200 OK"), -EPROTO},
        {LINE("http/1.1 200 OK"), -EPROTO},
        {LINE("ICY 200 OK"), -EPROTO},
        {LINE(" HTTP/1.1 200 OK"), -EPROTO},
        {SLICE("\r\nHTTP/1.1 200 OK\r\n\r\n"), -EPROTO},
        {SLICE("SSH-2.0-OpenSSH_9.2\r\n"), -EPROTO},
        {SLICE("<"), -EPROTO},
        {SLICE("HTTP/1.1 200 OK\n\n"), -EPROTO},
        {SLICE("HTTP/1.1 200\n\n"), -EPROTO},
        {SLICE("HTTP/1.1 200\rOK"), -EPROTO},
        {SLICE("HTTP/1.1 200 O\rK"), -EPROTO},
        {SLICE("HTTP/1.1 200 O\0K"), -EPROTO},
        {SLICE("HTTP/1.1 200 \x7f"), -EPROTO},
        {SLICE(""), 0},
        {SLICE("HTTP/1.1 200 OK\r\n"), 0},
        {SLICE("HTTP/1.1 200 OK\r\n\r"), 0},
        {SLICE("HTTP/1.1 200\r"), 0},
        {SLICE("HTTP/1.1 200 OK\r\nA: b\r\n"), 0},
    };
    CHECK_ROWS(rows, &usual);
    struct outcome o = check_cuts(LINE("HTTP/1.1 404 Not Found"), HTTP_GET, &usual);
    assert_int_equal(o.resp.status, 404);
    assert_int_equal(o.resp.minor, 1);
    assert_int_equal(o.resp.reason.n, 9);
}

/* RFC 9112 5, 2.2 */
static void test_fields(void **state)
{
    static const struct row rows[] = {
        {OK("A: b"), TAKEN},
        {OK("A:b\r\nA:\r\nA: \t "), TAKEN},
        {OK("A: caf\xe9\tb"), TAKEN},
        {OK("Set-Cookie: a=b; c\r\nSet-Cookie: d"), TAKEN},
        {OK("A: b\r\n folded"), -EPROTO},
        {OK(" A: b"), -EPROTO},
        {OK("A : b"), -EPROTO},
        {OK("A"), -EPROTO},
        {OK(": b"), -EPROTO},
        {OK("A b: c"), -EPROTO},
        {OK("A: b\rc"), -EPROTO},
        {OK("A: b\nB: c"), -EPROTO},
        {OK("A: \0"), -EPROTO},
        {OK("A: \x1b[0m"), -EPROTO},
    };
    CHECK_ROWS(rows, &usual);
}

static void test_limits(void **state)
{
    static const struct row rows[] = {
        {OK("A: b\r\nC: d\r\nE: f"), TAKEN},
        {OK("A: b\r\nC: d\r\nE: f\r\nG: h"), -EMSGSIZE},
        {SLICE("HTTP/1.1 200 OK\r\nA: 345678901234567890123456789012345678901234567"), -EMSGSIZE},
        {SLICE("HTTP/1.1 200 OK\r\nA: 345678901234567890123456789012345678901\r\n\r\n"), TAKEN},
        {SLICE("HTTP/1.1 200 OK\r\nA: 3456789012345678901234567890123456789012345\r\n\r\n"),
         -EMSGSIZE},
        {SLICE("HTTP/1.1 200 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
         -EMSGSIZE},
    };
    CHECK_ROWS(rows, &small);
}

struct frame_row {
    slice text;
    enum http_method method;
    enum http1_framing framing;
    uint64_t length;
    bool keep_alive;
};

#define ANSWER(status, fields) SLICE("HTTP/1.1 " status " x\r\n" fields "\r\n")
#define CL                     "Content-Length: 5\r\n"
#define CL0                    "Content-Length: 0\r\n"
#define CHUNKED                "Transfer-Encoding: chunked\r\n"
#define CLOSE                  "Connection: close\r\n"

/* RFC 9112 6.3, 9.3 */
static void test_framing(void **state)
{
    static const struct frame_row rows[] = {
        {ANSWER("200", CL), HTTP_GET, FRAMING_LENGTH, 5, true},
        {ANSWER("200", CL0), HTTP_GET, FRAMING_NONE, 0, true},
        {ANSWER("200", CHUNKED), HTTP_GET, FRAMING_CHUNKED, 0, true},
        {ANSWER("200", "transfer-encoding: Chunked\r\n"), HTTP_GET, FRAMING_CHUNKED, 0, true},
        {ANSWER("200", ""), HTTP_GET, FRAMING_CLOSE, 0, false},
        {ANSWER("200", CL CLOSE), HTTP_GET, FRAMING_LENGTH, 5, false},
        {ANSWER("200", CL "Connection: x, Close\r\n"), HTTP_GET, FRAMING_LENGTH, 5, false},
        {ANSWER("500", CHUNKED), HTTP_POST, FRAMING_CHUNKED, 0, true},
        {ANSWER("200", CL), HTTP_HEAD, FRAMING_NONE, 5, true},
        {ANSWER("200", CHUNKED), HTTP_HEAD, FRAMING_NONE, 0, true},
        {ANSWER("200", ""), HTTP_HEAD, FRAMING_NONE, 0, true},
        {ANSWER("304", CL), HTTP_GET, FRAMING_NONE, 5, true},
        {ANSWER("304", ""), HTTP_GET, FRAMING_NONE, 0, true},
        {ANSWER("204", ""), HTTP_GET, FRAMING_NONE, 0, true},
        {ANSWER("204", CL0), HTTP_GET, FRAMING_NONE, 0, true},
        {ANSWER("204", CL), HTTP_GET, FRAMING_NONE, 5, false},
        {ANSWER("204", CHUNKED), HTTP_GET, FRAMING_NONE, 0, false},
        {ANSWER("100", ""), HTTP_GET, FRAMING_NONE, 0, true},
        {ANSWER("103", CL), HTTP_GET, FRAMING_NONE, 5, false},
        {ANSWER("101", ""), HTTP_GET, FRAMING_TUNNEL, 0, false},
        {ANSWER("200", ""), HTTP_CONNECT, FRAMING_TUNNEL, 0, false},
        {ANSWER("200", CL), HTTP_CONNECT, FRAMING_TUNNEL, 5, false},
        {ANSWER("407", CL), HTTP_CONNECT, FRAMING_LENGTH, 5, true},
        {OLD("Content-Length: 5"), HTTP_GET, FRAMING_LENGTH, 5, false},
        {OLD("Content-Length: 5\r\nConnection: keep-alive"), HTTP_GET, FRAMING_LENGTH, 5, true},
        {OLD("A: b"), HTTP_GET, FRAMING_CLOSE, 0, false},
        {OLD("Connection: keep-alive"), HTTP_GET, FRAMING_CLOSE, 0, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct outcome o = check_cuts(rows[i].text, rows[i].method, &usual);
        if (o.n != (ssize_t)rows[i].text.n || o.resp.framing != rows[i].framing ||
            o.resp.content_length != rows[i].length || o.resp.keep_alive != rows[i].keep_alive)
            ROW_FAILED(i, rows[i].text);
    }
}

static void test_bad_framing(void **state)
{
    static const struct row rows[] = {
        {OK(CL CHUNKED "A: b"), -EPROTO},
        {OK(CHUNKED CL "A: b"), -EPROTO},
        {OK(CL CL "A: b"), -EPROTO},
        {OK(CHUNKED CHUNKED "A: b"), -EPROTO},
        {OK("Content-Length:"), -EPROTO},
        {OK("Content-Length: 5, 5"), -EPROTO},
        {OK("Content-Length: +5"), -EPROTO},
        {OK("Content-Length: -5"), -EPROTO},
        {OK("Content-Length: 05"), -EPROTO},
        {OK("Content-Length: 0x5"), -EPROTO},
        {OK("Content-Length: 5 "), TAKEN},
        {OK("Content-Length: 5;"), -EPROTO},
        {OK("Content-Length: 18446744073709551615"), TAKEN},
        {OK("Content-Length: 18446744073709551616"), -EPROTO},
        {OK("Transfer-Encoding: gzip"), -EPROTO},
        {OK("Transfer-Encoding: gzip, chunked"), -EPROTO},
        {OK("Transfer-Encoding: chunked, chunked"), -EPROTO},
        {OK("Transfer-Encoding: chunked, identity"), -EPROTO},
        {OK("Transfer-Encoding: identity"), -EPROTO},
        {OK("Transfer-Encoding: xchunked"), -EPROTO},
        {OK("Transfer-Encoding:"), -EPROTO},
        {OK("Transfer-Encoding: \"chunked\""), -EPROTO},
        {OLD("Transfer-Encoding: chunked"), -EPROTO},
    };
    CHECK_ROWS(rows, &usual);
    assert_int_equal(check_cuts(OK(CL CHUNKED "A: b"), HTTP_HEAD, &usual).n, -EPROTO);
}

static void test_field_values(void **state)
{
    static struct http1_resp resp;
    slice text = OK("Content-Type: text/plain \r\nX: y\r\ncontent-type: b");
    size_t scanned = 0;
    const char *why;
    assert_int_equal(http1_resp_parse(text, &usual, HTTP_GET, &scanned, &resp, &why), text.n);
    assert_int_equal(resp.field_count, 3);
    assert_slice(http1_resp_field(&resp, FIELD_CONTENT_TYPE), SLICE("text/plain"));
    assert_slice(resp.fields[1].name, SLICE("X"));
    assert_null(http1_resp_field(&resp, FIELD_HOST).p);
    assert_slice(resp.reason, SLICE("OK"));
}

/* What follows the head is not looked at. */
static void test_body_follows(void **state)
{
    static struct outcome o;
    size_t scanned = 0;
    feed(SLICE("HTTP/1.1 200 OK\r\n\r\n\n\0\r"), HTTP_GET, &scanned, &usual, &o);
    assert_int_equal(o.n, 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_line),  cmocka_unit_test(test_fields),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_framing),
        cmocka_unit_test(test_bad_framing),  cmocka_unit_test(test_field_values),
        cmocka_unit_test(test_body_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
