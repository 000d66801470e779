/* http1_req: what is taken, what is refused with which status, and that cuts change nothing.
 *
 * Each text goes through check_cuts: whole, every prefix, byte by byte, and in two parts at every
 * offset; each time in a heap block of its own size at another address. */
#include "wire_test.h"

#include "wire/http1_req.h"

static const struct http1_limits usual = {.target_bytes = 8000, .head_bytes = 16000, .fields = 100};
static const struct http1_limits small = {.target_bytes = 16, .head_bytes = 128, .fields = 3};

struct outcome {
    ssize_t n;
    const char *why;
    struct http1_req req;
    const char *base; /* what the slices of [req] point into; freed, for differences only */
};

static void feed(slice text, size_t *scanned, const struct http1_limits *limits, struct outcome *o)
{
    slice copy = exact_copy(text);
    o->why = NULL;
    o->base = copy.p;
    memset(&o->req, 0xa5, sizeof o->req); /* nobody zeroes it for the parser */
    o->n = http1_req_parse(copy, limits, scanned, &o->req, &o->why);
    if (o->n != 0)
        assert_int_equal(*scanned, 0);
    assert_true(*scanned <= text.n);
    assert_int_equal(o->n < 0, o->why != NULL);
    exact_free(copy);
}

/* Do [a] and [b] say the same of their copies of the text? */
static bool is_same_slice(const struct outcome *a, slice in_a, const struct outcome *b, slice in_b)
{
    if (in_a.n != in_b.n || !in_a.p != !in_b.p)
        return false;
    return !in_a.n || in_a.p - a->base == in_b.p - b->base || in_a.p == in_b.p;
}

static bool is_same_fields(const struct outcome *a, const struct outcome *b)
{
    if (a->req.field_count != b->req.field_count)
        return false;
    for (size_t i = 0; i < a->req.field_count; i++) {
        const struct http_field *f = &a->req.fields[i], *g = &b->req.fields[i];
        if (f->id != g->id || !is_same_slice(a, f->name, b, g->name) ||
            !is_same_slice(a, f->value, b, g->value))
            return false;
    }
    return true;
}

static bool is_same(const struct outcome *a, const struct outcome *b)
{
    const struct http1_req *r = &a->req, *s = &b->req;
    if (!a->n && !b->n)
        return true; /* nothing is said of req then */
    return a->n == b->n && a->why == b->why && r->method == s->method && r->form == s->form &&
           r->minor == s->minor && r->content_length == s->content_length &&
           r->has_content_length == s->has_content_length && r->chunked == s->chunked &&
           r->keep_alive == s->keep_alive && r->expect_continue == s->expect_continue &&
           r->upgrade == s->upgrade && memcmp(r->first, s->first, sizeof r->first) == 0 &&
           is_same_slice(a, r->method_name, b, s->method_name) &&
           is_same_slice(a, r->target, b, s->target) && is_same_slice(a, r->path, b, s->path) &&
           is_same_slice(a, r->query, b, s->query) &&
           is_same_slice(a, r->authority, b, s->authority) &&
           is_same_slice(a, r->scheme, b, s->scheme) && is_same_fields(a, b);
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
static struct outcome check_cuts(slice text, const struct http1_limits *limits)
{
    struct outcome whole, prefix, step;
    size_t scanned = 0, unused = 0;
    bool is_decided = false;
    feed(text, &unused, limits, &whole);
    for (size_t n = 0; n <= text.n; n++) {
        size_t cut = 0;
        feed(slice_head(text, n), &cut, limits, &prefix);
        if (!is_decided) {
            feed(slice_head(text, n), &scanned, limits, &step);
            must_be_same(text, &prefix, &step, n);
            is_decided = step.n != 0;
        }
        if (prefix.n == 0)
            feed(text, &cut, limits, &prefix);
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
        struct outcome o = check_cuts(rows[i].text, limits);
        if (o.n != expected) {
            print_error("got %zd (%s), expected %zd\n", o.n, o.why ? o.why : "", expected);
            ROW_FAILED(i, rows[i].text);
        }
    }
}

#define CHECK_ROWS(rows, limits) check_rows((rows), COUNT_OF(rows), (limits))

/* A request line, with the least that makes a head of it; a field, in the least request; the same
 * in HTTP/1.0; a request with a body. */
#define LINE(line)   SLICE(line "\r\nHost: a\r\n\r\n")
#define GET(fields)  SLICE("GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n\r\n")
#define GET10(field) SLICE("GET / HTTP/1.0\r\n" field "\r\n\r\n")
#define POST(fields) SLICE("POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n\r\n")

static struct http1_req parse(slice text)
{
    static struct http1_req req;
    struct outcome o = check_cuts(text, &usual);
    size_t scanned = 0;
    const char *why;
    if (o.n != (ssize_t)text.n || http1_req_parse(text, &usual, &scanned, &req, &why) != o.n) {
        print_error("refused: %s: %.*s\n", o.why ? o.why : "incomplete", SLICE_ARGS(text));
        fail();
    }
    return req;
}

/* RFC 9112 2.2, 3, 2.3 */
static void test_request_line_shape(void **state)
{
    static const struct row rows[] = {
        {LINE("GET / HTTP/1.1"), TAKEN},
        {LINE("GET / HTTP/1.0"), TAKEN},
        {LINE("GET / HTTP/1.2"), TAKEN},
        {LINE("GET / HTTP/1.9"), TAKEN},
        {LINE("FOOBAR / HTTP/1.1"), TAKEN},
        {LINE("get / HTTP/1.1"), TAKEN},
        {LINE("G!#$%&'*+-.^_`|~9 / HTTP/1.1"), TAKEN},
        {LINE("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1"), TAKEN},
        {LINE("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1"), -400},
        {LINE("GET  / HTTP/1.1"), -400},
        {LINE("GET /  HTTP/1.1"), -400},
        {LINE(" GET / HTTP/1.1"), -400},
        {LINE("\tGET / HTTP/1.1"), -400},
        {LINE("GET\t/ HTTP/1.1"), -400},
        {LINE("GET /\tHTTP/1.1"), -400},
        {LINE("GET / HTTP/1.1 "), -400},
        {LINE("GET / HTTP/1.1\t"), -400},
        {LINE("GET / HTTP/1.1 x"), -400},
        {LINE("GET /a b HTTP/1.1"), -400},
        {LINE("GET HTTP/1.1"), -400},
        {LINE("GET  HTTP/1.1"), -400},
        {LINE("GET"), -400},
        {LINE("GET "), -400},
        {LINE("GET /"), -400},
        {LINE("GET / "), -400},
        {LINE("/ HTTP/1.1"), -400},
        {LINE("HTTP/1.1 200 OK"), -400},
        {LINE("G(T / HTTP/1.1"), -400},
        {LINE("G\xc3\x89T / HTTP/1.1"), -400},
        {LINE("GET / http/1.1"), -400},
        {LINE("GET / Http/1.1"), -400},
        {LINE("GET / HTTP/1"), -400},
        {LINE("GET / HTTP/1."), -400},
        {LINE("GET / HTTP/.1"), -400},
        {LINE("GET / HTTP/11"), -400},
        {LINE("GET / HTTP/01.01"), -400},
        {LINE("GET / HTTP/1.10"), -400},
        {LINE("GET / HTTP/1,1"), -400},
        {LINE("GET / HTTP/ 1.1"), -400},
        {LINE("GET / HTTP /1.1"), -400},
        {LINE("GET / HTTP/A.1"), -400},
        {LINE("GET / HTTP/1.A"), -400},
        {LINE("GET / HTTP/-1.1"), -400},
        {LINE("GET / XTTP/1.1"), -400},
        {LINE("GET / HTTPS/1.1"), -400},
        {LINE("GET / ICY/1.1"), -400},
        {LINE("GET / HTTP/2.0"), -505},
        {LINE("GET / HTTP/0.9"), -505},
        {LINE("GET / HTTP/9.9"), -505},
        {LINE("GET / HTTP/3.1"), -505},
        {SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), -505},
    };
    CHECK_ROWS(rows, &usual);
}

/* RFC 9112 2.2: a few empty lines before the request line */
static void test_request_line_after_empty_lines(void **state)
{
    static const struct row rows[] = {
        {SLICE("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), TAKEN},
        {SLICE("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), TAKEN},
        {SLICE("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
        {SLICE("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
        {SLICE("\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
        {SLICE("\r\n GET / HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
        {SLICE("   \r\n\r\n"), -400},
        {SLICE("\r\n\r\n"), 0},
        {SLICE("\r\n\r\n\r"), 0},
        {SLICE("\r"), 0},
        {SLICE(""), 0},
    };
    CHECK_ROWS(rows, &usual);
}

/* Refused as soon as it is known, so that nobody waits for more of a head that cannot become good.
 */
static void test_incomplete_heads(void **state)
{
    static const struct row rows[] = {
        {SLICE("G"), 0},
        {SLICE("GET /x HTTP/1.1"), 0},
        {SLICE("GET /x HTTP/1.1\r"), 0},
        {SLICE("GET /x HTTP/1.1\r\n"), 0},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\nX-Test: value"), 0},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r"), 0},
        {SLICE("GET / HTTP/1.1\r\nno colon\r\n"), 0},
        {SLICE("GET /\r\n"), -400}, /* HTTP/0.9 */
        {SLICE("GET / HTTP/2.0\r\n"), -505},
        {SLICE("GET / HTTP/1.1\n"), -400},
        {SLICE("GET /\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a\rb"), -400},
        {SLICE("\0"), -400},
        {SLICE("\x16\x03\x01\x02"), -400}, /* TLS on a plain port */
        {SLICE("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 0},
        {SLICE("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), -400},
        {SLICE("HEAD/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    };
    CHECK_ROWS(rows, &usual);
}

/* RFC 9112 2.2, RFC 9110 5.5: what ends lines, and what no line holds */
static void test_line_ends_and_controls(void **state)
{
    static const struct row rows[] = {
        {SLICE("GET / HTTP/1.1\nHost: a\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\n\n"), -400},
        {SLICE("GET / HTTP/1.1\nHost: a\n\n"), -400},
        {SLICE("GET / HTTP/1.1\rHost: a\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n"), -400},
        {GET("X: val\rue"), -400},
        {GET("X: a\r Y: b"), -400},
        {GET("X: a\0b"), -400},
        {GET("X\0: a"), -400},
        {GET("X: abc\x07\x08"), -400},
        {GET("X: \x01"), -400},
        {GET("X: \x1f"), -400},
        {GET("X: \x7f"), -400},
        {GET("X: \x0b"), -400},
        {GET("X: \x0c"), -400},
        {GET("X: a\tb\t"), TAKEN},
        {GET("X: caf\xc3\xa9 \x80\xff"), TAKEN},
        {SLICE("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
        {SLICE("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
        {SLICE("G\0T / HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    };
    CHECK_ROWS(rows, &usual);
}

/* RFC 9112 5.1, 5.2 */
static void test_field_shape(void **state)
{
    static const struct row rows[] = {
        {GET("X:"), TAKEN},
        {GET("X: "), TAKEN},
        {GET("X:\t \t"), TAKEN},
        {GET("X:a"), TAKEN},
        {GET("X: a:b: c"), TAKEN},
        {GET("X_Y: a"), TAKEN},
        {GET("!#$%&'*+-.^_`|~9: a"), TAKEN},
        {GET("X : a"), -400},
        {GET("X\t: a"), -400},
        {GET("X Y: a"), -400},
        {GET(": a"), -400},
        {GET(":"), -400},
        {GET("no colon"), -400},
        {GET("NoColon"), -400},
        {GET("X: a\r\n b"), -400},
        {GET("X: a\r\n\tb"), -400},
        {GET("X: a\r\n "), -400},
        {GET("X:\r\n a"), -400},
        {GET("X: a\r\n : b"), -400},
        {GET("X[Y: a"), -400},
        {GET("X(Y): a"), -400},
        {GET("\"X\": a"), -400},
        {GET("X@Y: a"), -400},
        {GET("X/Y: a"), -400},
        {GET("X-T\xc3\xabst: a"), -400},
        {SLICE("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), -400},
    };
    CHECK_ROWS(rows, &usual);
}

/* RFC 9112 3.2 */
static void test_targets(void **state)
{
    static const struct row rows[] = {
        {LINE("GET /a/b;c=d,e@f:g!$&'()*+~-._%20 HTTP/1.1"), TAKEN},
        {LINE("GET /a[1].jpg HTTP/1.1"), TAKEN},
        {LINE("GET /a|b^c HTTP/1.1"), TAKEN},
        {LINE("GET //a//b HTTP/1.1"), TAKEN},
        {LINE("GET /? HTTP/1.1"), TAKEN},
        {LINE("GET /?a?b/c HTTP/1.1"), TAKEN},
        {LINE("GET /?q=a|b^c{d}[e]`f HTTP/1.1"), TAKEN},
        {LINE("GET /%00 HTTP/1.1"), TAKEN}, /* for uri_path_decode to refuse */
        {LINE("GET /a{b HTTP/1.1"), -400},
        {LINE("GET /a`b HTTP/1.1"), -400},
        {LINE("GET /a\\b HTTP/1.1"), -400},
        {LINE("GET /?a\\b HTTP/1.1"), -400},
        {LINE("GET /a\"b HTTP/1.1"), -400},
        {LINE("GET /?a\"b HTTP/1.1"), -400},
        {LINE("GET /<a> HTTP/1.1"), -400},
        {LINE("GET /?<a> HTTP/1.1"), -400},
        {LINE("GET /a#b HTTP/1.1"), -400},
        {LINE("GET /?a#b HTTP/1.1"), -400},
        {LINE("GET #a HTTP/1.1"), -400},
        {LINE("GET /caf\xc3\xa9 HTTP/1.1"), -400},
        {LINE("GET /?caf\xc3\xa9 HTTP/1.1"), -400},
        {LINE("GET /\xc0\xaf HTTP/1.1"), -400},
        {LINE("GET a HTTP/1.1"), -400},
        {LINE("GET ?a HTTP/1.1"), -400},
        {LINE("GET ../a HTTP/1.1"), -400},
        {LINE("GET a:80 HTTP/1.1"), -400},
        {LINE("GET * HTTP/1.1"), -400},
        {LINE("OPTIONS * HTTP/1.1"), TAKEN},
        {LINE("OPTIONS / HTTP/1.1"), TAKEN},
        {LINE("OPTIONS *a HTTP/1.1"), -400},
        {LINE("OPTIONS *?a HTTP/1.1"), -400},
        {LINE("GET http://a/ HTTP/1.1"), TAKEN},
        {LINE("GET HTTPS://a/ HTTP/1.1"), TAKEN},
        {LINE("GET http://a HTTP/1.1"), TAKEN},
        {LINE("GET http://a?b HTTP/1.1"), TAKEN},
        {LINE("GET http://other.example:8080/ HTTP/1.1"), TAKEN},
        {LINE("GET http://[::1]:80/ HTTP/1.1"), TAKEN},
        {LINE("GET http:///a HTTP/1.1"), -400},
        {LINE("GET http:// HTTP/1.1"), -400},
        {LINE("GET http://?a HTTP/1.1"), -400},
        {LINE("GET http:/a HTTP/1.1"), -400},
        {LINE("GET http:a HTTP/1.1"), -400},
        {LINE("GET http HTTP/1.1"), -400},
        {LINE("GET ://a/ HTTP/1.1"), -400},
        {LINE("GET http?://a/ HTTP/1.1"), -400},
        {LINE("GET http://user@a/ HTTP/1.1"), -400},
        {LINE("GET http://user:pass@a/ HTTP/1.1"), -400},
        {LINE("GET http://a:x/ HTTP/1.1"), -400},
        {LINE("GET http://a:99999/ HTTP/1.1"), -400},
        {LINE("GET http://a,b/ HTTP/1.1"), -400},
        {LINE("GET http://a/#b HTTP/1.1"), -400},
        {LINE("GET ftp://a/ HTTP/1.1"), -400},
        {LINE("GET file:///etc/passwd HTTP/1.1"), -400},
        {LINE("GET httpx://a/ HTTP/1.1"), -400},
        {LINE("CONNECT a:443 HTTP/1.1"), TAKEN},
        {LINE("CONNECT [::1]:443 HTTP/1.1"), TAKEN},
        {LINE("CONNECT a HTTP/1.1"), -400},
        {LINE("CONNECT a: HTTP/1.1"), -400},
        {LINE("CONNECT [::1] HTTP/1.1"), -400},
        {LINE("CONNECT u@a:443 HTTP/1.1"), -400},
        {LINE("CONNECT a:443/ HTTP/1.1"), -400},
        {LINE("CONNECT a:443?b HTTP/1.1"), -400},
        {LINE("CONNECT / HTTP/1.1"), -400},
        {LINE("CONNECT http://a:443 HTTP/1.1"), -400},
        {LINE("CONNECT * HTTP/1.1"), -400},
    };
    CHECK_ROWS(rows, &usual);
}

static void test_target_parts(void **state)
{
    struct http1_req r = parse(LINE("GET /a/b?c=d?e HTTP/1.1"));
    assert_int_equal(r.form, TARGET_ORIGIN);
    assert_slice(r.target, SLICE("/a/b?c=d?e"));
    assert_slice(r.path, SLICE("/a/b"));
    assert_slice(r.query, SLICE("c=d?e"));
    assert_slice(r.authority, SLICE("a"));
    assert_slice(r.scheme, SLICE(""));

    r = parse(LINE("GET / HTTP/1.1"));
    assert_null(r.query.p);
    r = parse(LINE("GET /? HTTP/1.1"));
    assert_non_null(r.query.p);
    assert_slice(r.query, SLICE(""));

    /* RFC 9112 3.2.2: the target's authority, not Host */
    r = parse(LINE("GET hTTp://b.example:81/x?y HTTP/1.1"));
    assert_int_equal(r.form, TARGET_ABSOLUTE);
    assert_slice(r.scheme, SLICE("hTTp"));
    assert_slice(r.authority, SLICE("b.example:81"));
    assert_slice(r.path, SLICE("/x"));
    assert_slice(r.query, SLICE("y"));

    r = parse(LINE("GET http://b?y/z:1 HTTP/1.1"));
    assert_slice(r.authority, SLICE("b"));
    assert_slice(r.path, SLICE("/"));
    assert_slice(r.query, SLICE("y/z:1"));

    r = parse(LINE("OPTIONS * HTTP/1.1"));
    assert_int_equal(r.form, TARGET_ASTERISK);
    assert_slice(r.path, SLICE("*"));
    assert_slice(r.authority, SLICE("a"));

    r = parse(LINE("CONNECT b:443 HTTP/1.1"));
    assert_int_equal(r.form, TARGET_AUTHORITY);
    assert_int_equal(r.path.n, 0);
    assert_slice(r.authority, SLICE("b:443"));
}

/* RFC 9112 3.2, RFC 9110 7.2 */
static void test_host(void **state)
{
    static const struct row rows[] = {
        {SLICE("GET / HTTP/1.1\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.2\r\n\r\n"), -400},
        {SLICE("GET http://a/ HTTP/1.1\r\n\r\n"), -400},
        {SLICE("CONNECT a:1 HTTP/1.1\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.0\r\n\r\n"), TAKEN},
        {GET("Host: a"), -400},
        {GET("Host: b"), -400},
        {GET("hOST: b"), -400},
        {GET10("Host: a\r\nHost: a"), -400},
        {GET10("Host: a"), TAKEN},
        {GET10("Host:"), -400},
        {GET10("Host: a b"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost:\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: \r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n"), TAKEN},
        {SLICE("GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n"), TAKEN},
        {SLICE("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), TAKEN},
        {SLICE("GET / HTTP/1.1\r\nHost:a\r\n\r\n"), TAKEN},
        {SLICE("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a/path\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a#b\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), -400},
        {SLICE("GET / HTTP/1.1\r\nHost: caf\xc3\xa9\r\n\r\n"), -400},
        {SLICE("GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n"), -400},
        {SLICE("GET http://b/ HTTP/1.1\r\nHost:\r\n\r\n"), -400},
    };
    CHECK_ROWS(rows, &usual);
    assert_null(parse(SLICE("GET / HTTP/1.0\r\n\r\n")).authority.p);
    assert_slice(parse(SLICE("GET http://b/ HTTP/1.0\r\n\r\n")).authority, SLICE("b"));
}

/* RFC 9112 6.1, 6.2, 6.3 and the vectors of published request smuggling */
static void test_framing(void **state)
{
    static const struct row rows[] = {
        {POST("Content-Length: 0"), TAKEN},
        {POST("Content-Length: 5"), TAKEN},
        {POST("Content-Length: 18446744073709551615"), TAKEN},
        {POST("Content-Length:  5 \t"), TAKEN},
        {POST("Content-Length:\t5"), TAKEN},
        {POST("CONTENT-LENGTH: 5"), TAKEN},
        {POST("Content-Length: 18446744073709551616"), -400},
        {POST("Content-Length: 99999999999999999999"), -400},
        {POST("Content-Length:"), -400},
        {POST("Content-Length: "), -400},
        {POST("Content-Length: abc"), -400},
        {POST("Content-Length: +5"), -400},
        {POST("Content-Length: -1"), -400},
        {POST("Content-Length: -0"), -400},
        {POST("Content-Length: 00"), -400},
        {POST("Content-Length: 005"), -400},
        {POST("Content-Length: 0200"), -400},
        {POST("Content-Length: 0x5"), -400},
        {POST("Content-Length: 0o5"), -400},
        {POST("Content-Length: 5.0"), -400},
        {POST("Content-Length: 5e1"), -400},
        {POST("Content-Length: 5h"), -400},
        {POST("Content-Length: 1 0"), -400},
        {POST("Content-Length: 1_0"), -400},
        {POST("Content-Length: \"5\""), -400},
        {POST("Content-Length: 5;"), -400},
        {POST("Content-Length: 5,"), -400},
        {POST("Content-Length: ,5"), -400},
        {POST("Content-Length: 5, 5"), -400},
        {POST("Content-Length: 5, 10"), -400},
        {POST("Content-Length: 5\r\nContent-Length: 5"), -400},
        {POST("Content-Length: 5\r\nContent-Length: 10"), -400},
        {POST("Content-Length: 0\r\ncontent-length: 44"), -400},
        {POST("Content-Length : 5"), -400},
        {POST("Content-Length\t: 5"), -400},
        {POST("Content-Length: 5\r\n Content-Length: 6"), -400},
        {POST("Content\tLength: 5"), -400},
        {POST("Transfer-Encoding: chunked"), TAKEN},
        {POST("Transfer-Encoding: Chunked"), TAKEN},
        {POST("transfer-encoding:\tCHUNKED "), TAKEN},
        {POST("Transfer-Encoding: gzip"), -501},
        {POST("Transfer-Encoding: identity"), -501},
        {POST("Transfer-Encoding: xchunked"), -501},
        {POST("Transfer-Encoding: chunkedx"), -501},
        {POST("Transfer-Encoding: gzip, chunked"), -501},
        {POST("Transfer-Encoding: gzip,deflate"), -501},
        {POST("Transfer-Encoding: chunked, gzip"), -400},
        {POST("Transfer-Encoding: chunked, identity"), -400},
        {POST("Transfer-Encoding: chunked, chunked"), -400},
        {POST("Transfer-Encoding: chunked,chunked"), -400},
        {POST("Transfer-Encoding: chunked,"), -400},
        {POST("Transfer-Encoding: ,chunked"), -400},
        {POST("Transfer-Encoding: , chunked"), -400},
        {POST("Transfer-Encoding:"), -400},
        {POST("Transfer-Encoding: ,"), -400},
        {POST("Transfer-Encoding: chunked;ext=val"), -400},
        {POST("Transfer-Encoding: gzip;q=1"), -400},
        {POST("Transfer-Encoding: \"chunked\""), -400},
        {POST("Transfer-Encoding: 'chunked'"), -501},
        {POST("Transfer-Encoding: chunked chunked"), -400},
        {POST("Transfer-Encoding: \x0b"
              "chunked"),
         -400},
        {POST("Transfer-Encoding: \x0c"
              "chunked"),
         -400},
        {POST("Transfer-Encoding: chunked\0"), -400},
        {POST("Transfer-Encoding: chunked\x85"), -400},
        {POST("Transfer-Encoding: \xc2\xa0"
              "chunked"),
         -400},
        {POST("Transfer-Encoding : chunked"), -400},
        {POST("Transfer-Encoding:\r\n chunked"), -400},
        {POST("Transfer-Encoding\r\n: chunked"), -400},
        {POST("X: a\nTransfer-Encoding: chunked"), -400},
        {POST("X: a\rTransfer-Encoding: chunked"), -400},
        {POST(" Transfer-Encoding: chunked"), -400},
        {POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), -400},
        {POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"), -400},
        {POST("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"), -400},
        {POST("Content-Length: 4\r\nTransfer-Encoding: chunked"), -400},
        {POST("Transfer-Encoding: chunked\r\nContent-Length: 4"), -400},
        {POST("Transfer-Encoding: gzip\r\nContent-Length: 4"), -400},
        {POST("Transfer-Encoding: chunked\r\nContent-Length: x"), -400},
        {POST("Content_Length: 5"), -400},
        {POST("Transfer_Encoding: chunked"), -400},
        {POST("TRANSFER_encoding: chunked"), -400},
        {POST("Host_: a"), TAKEN},
        {POST("Content_Type: a"), TAKEN},
        {POST("X_Content_Length: 5"), TAKEN},
        {POST("X_Transfer_Encoding: chunked"), TAKEN},
        {SLICE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), -400},
        {SLICE("POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n"), -400},
        {SLICE("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n"), TAKEN},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"), TAKEN},
    };
    CHECK_ROWS(rows, &usual);
}

static void test_framing_values(void **state)
{
    struct http1_req r = parse(POST("Content-Length: 18446744073709551615"));
    assert_true(r.has_content_length && r.content_length == UINT64_MAX && !r.chunked);
    r = parse(POST("Content-Length: 0"));
    assert_true(r.has_content_length && r.content_length == 0);
    r = parse(POST("Transfer-Encoding: chunKED"));
    assert_true(r.chunked && !r.has_content_length);
    r = parse(POST("X: 5"));
    assert_false(r.chunked || r.has_content_length);
}

/* RFC 9110 10.1.1. What could smuggle is worse than what is only not known. */
static void test_expect(void **state)
{
    static const struct row rows[] = {
        {POST("Expect: 200-ok"), -417},
        {POST("Expect:"), -417},
        {POST("Expect: 100-continue, x"), -417},
        {POST("Expect: 100-continue\r\nExpect: x"), -417},
        {POST("Expect: x\r\nContent-Length: x"), -400},
        {GET10("Expect: x"), TAKEN},
    };
    CHECK_ROWS(rows, &usual);
    assert_true(parse(POST("Expect: 100-continue")).expect_continue);
    assert_true(parse(POST("expect: 100-CONTINUE")).expect_continue);
    assert_true(parse(POST("Expect: 100-continue\r\nExpect: 100-continue")).expect_continue);
    assert_false(parse(POST("X: 100-continue")).expect_continue);
    assert_false(parse(GET10("Expect: 100-continue")).expect_continue);
}

/* RFC 9112 9.3 */
static void test_persistence(void **state)
{
    assert_true(parse(GET("X: close")).keep_alive);
    assert_false(parse(GET("Connection: close")).keep_alive);
    assert_false(parse(GET("Connection: CLOSE")).keep_alive);
    assert_false(parse(GET("Connection: keep-alive, close")).keep_alive);
    assert_false(parse(GET("Connection: a\r\nX: y\r\nConnection:,, close ,b")).keep_alive);
    assert_true(parse(GET("Connection: closed")).keep_alive);
    assert_true(parse(GET("Connection:")).keep_alive);
    assert_true(parse(GET("Connection: (;\"x")).keep_alive);
    assert_false(parse(GET10("X: y")).keep_alive);
    assert_true(parse(GET10("Connection: Keep-Alive")).keep_alive);
    assert_false(parse(GET10("Connection: close, keep-alive")).keep_alive);
    assert_int_equal(parse(GET10("X: y")).minor, 0);
    assert_int_equal(parse(LINE("GET / HTTP/1.1")).minor, 1);
    assert_int_equal(parse(LINE("GET / HTTP/1.7")).minor, 1);
}

/* RFC 9110 7.8 */
static void test_upgrade(void **state)
{
    assert_true(parse(GET("Connection: keep-alive, Upgrade\r\nUpgrade: websocket")).upgrade);
    assert_true(parse(GET("Upgrade: websocket\r\nConnection: upgrade")).upgrade);
    assert_false(parse(GET("Upgrade: websocket")).upgrade);
    assert_false(parse(GET("Connection: upgrade")).upgrade);
    assert_false(parse(GET10("Connection: upgrade\r\nUpgrade: websocket")).upgrade);
}

static void test_fields_as_sent(void **state)
{
    struct http1_req r = parse(GET("aCCEPT:  text/html \r\nX-A:b\r\nAccept: */*\r\nX-B:"));
    assert_int_equal(r.field_count, 5);
    assert_slice(r.fields[1].name, SLICE("aCCEPT"));
    assert_slice(r.fields[1].value, SLICE("text/html"));
    assert_int_equal(r.fields[1].id, FIELD_ACCEPT);
    assert_int_equal(r.fields[2].id, FIELD_OTHER);
    assert_slice(r.fields[2].value, SLICE("b"));
    assert_slice(r.fields[4].value, SLICE(""));
    assert_non_null(r.fields[4].value.p);
    assert_slice(http1_req_field(&r, FIELD_ACCEPT), SLICE("text/html"));
    assert_slice(http1_req_field(&r, FIELD_HOST), SLICE("a"));
    assert_null(http1_req_field(&r, FIELD_COOKIE).p);
}

static void test_methods(void **state)
{
    assert_int_equal(parse(LINE("HEAD / HTTP/1.1")).method, HTTP_HEAD);
    assert_int_equal(parse(LINE("GETX / HTTP/1.1")).method, HTTP_OTHER);
    assert_int_equal(parse(LINE("get / HTTP/1.1")).method, HTTP_OTHER);
    assert_slice(parse(LINE("BREW / HTTP/1.1")).method_name, SLICE("BREW"));
}

#define X16 "xxxxxxxxxxxxxxxx"
#define X64 X16 X16 X16 X16

static void test_limits(void **state)
{
    static const struct row rows[] = {
        {LINE("GET /23456789abcdef0 HTTP/1.1"), TAKEN},
        {LINE("GET /23456789abcdef01 HTTP/1.1"), -414},
        {LINE("GET /2345678?abcdef0 HTTP/1.1"), TAKEN},
        {LINE("GET /2345678?abcdef01 HTTP/1.1"), -414},
        {SLICE("GET /23456789abcdef0"), 0},
        {SLICE("GET /23456789abcdef01"), -414},
        {SLICE("GET /" X64), -414},
        {SLICE("FOO /" X64), -414},
        /* In the order of the bytes: whichever is first. */
        {SLICE("GET /23456789\0bcdef01"), -400},
        {SLICE("GET /23456789abcdef01\0"), -414},
        {SLICE("GET /2345\\6789abcdef01 HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
        {SLICE("GET /2345\\6789abcdef01"), 0},
        {SLICE("G@T /" X64), -400},
        {SLICE("GET /a b" X64), 0},
        {SLICE("GET /a b" X64 X64), -431},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\nX: " X64 "\r\nA: b12345678901234567890123456\r\n\r\n"),
         TAKEN},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\nX: " X64
               "\r\nA: b123456789012345678901234567\r\n\r\n"),
         -431},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\nX: " X64 "\r\nA: b1234567890123456789012345678\r\n\n"),
         -431},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\nX: " X64 X64), -431},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\n" X64 X64 ": a\r\n\r\n"), -431},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\nA: a\r\nB: b\r\n\r\n"), TAKEN},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\nA: a\r\nB: b\r\nC: c\r\n\r\n"), -431},
    };
    CHECK_ROWS(rows, &small);
}

/* More fields than fields[] holds, whatever the limits say. */
static void test_limits_are_bounded(void **state)
{
    static const struct http1_limits generous = {100000, 100000, 1000};
    char room[4096];
    for (unsigned count = 99; count <= 110; count++) {
        struct fmt f = fmt_on(room, sizeof room);
        fmt_str(&f, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (unsigned i = 1; i < count; i++)
            fmt_printf(&f, "X-%u: value\r\n", i);
        fmt_str(&f, "\r\n");
        struct outcome o = check_cuts(fmt_done(&f), &generous);
        assert_int_equal(o.n, count <= HTTP1_FIELDS_MAX ? (ssize_t)fmt_done(&f).n : -431);
        assert_int_equal(o.req.field_count, count <= HTTP1_FIELDS_MAX ? count : 0);
    }
}

/* A refusal leaves method and target when they were read. */
static void test_refusals_name_the_request(void **state)
{
    static const struct {
        slice text, method, target;
    } rows[] = {
        {SLICE("PUT /a HTTP/1.1\r\nbad\r\n\r\n"), SLICE("PUT"), SLICE("/a")},
        {SLICE("PUT /a HTTP/2.0\r\n"), SLICE("PUT"), SLICE("/a")},
        {SLICE("PUT /a HTTP/1.1\r\nHost: a\n"), SLICE("PUT"), SLICE("/a")},
        {SLICE("PUT a HTTP/1.1\r\n"), SLICE("PUT"), SLICE("a")},
        {SLICE("PUT /a\\ HTTP/1.1\r\n"), SLICE("PUT"), SLICE("")},
        {SLICE("P@T /a HTTP/1.1\r\n"), SLICE(""), SLICE("")},
        {SLICE("PUT /a\n"), SLICE(""), SLICE("")},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http1_req req;
        size_t scanned = 0;
        const char *why = NULL;
        assert_true(http1_req_parse(rows[i].text, &usual, &scanned, &req, &why) < 0);
        assert_slice(req.method_name, rows[i].method);
        assert_slice(req.target, rows[i].target);
        assert_true(check_cuts(rows[i].text, &usual).n < 0);
    }
}

/* What follows the head belongs to somebody else, and is not looked at. */
static void test_pipelined(void **state)
{
    static const char text[] = "\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                               "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n\0\n\r\x7f";
    slice rest = slice_of(text, sizeof text - 1);
    struct outcome o = check_cuts(rest, &usual);
    assert_int_equal(o.n, 30);
    rest = slice_skip(rest, (size_t)o.n);
    o = check_cuts(rest, &usual);
    assert_int_equal(o.n, 28);
    assert_int_equal(check_cuts(slice_skip(rest, (size_t)o.n), &usual).n, -400);
}

/* Every byte value at every place of a head: nothing crashes, and no cut changes the answer. */
static void test_every_byte_everywhere(void **state)
{
    char text[] = "GET /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    for (size_t at = 0; at < sizeof text - 1; at++) {
        char was = text[at];
        for (int byte = 0; byte < 256; byte++) {
            text[at] = (char)byte;
            (void)check_cuts(slice_of(text, sizeof text - 1), &small);
        }
        text[at] = was;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_line_shape),
        cmocka_unit_test(test_request_line_after_empty_lines),
        cmocka_unit_test(test_incomplete_heads),
        cmocka_unit_test(test_line_ends_and_controls),
        cmocka_unit_test(test_field_shape),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_target_parts),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_framing_values),
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_persistence),
        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_fields_as_sent),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_limits_are_bounded),
        cmocka_unit_test(test_refusals_name_the_request),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_every_byte_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
