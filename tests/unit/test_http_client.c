/* The HTTP client against servers that say exactly what the test tells them: answers of every
 * framing, cut anywhere, malformed, endless, too early, too late; the pool; pauses. */
#include "client_rig.h"

#include <errno.h>

#define GET_ROOT "GET / HTTP/1.1\r\nHost: " RIG_IP "\r\n\r\n"
#define OK5      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* ---- What goes out ---- */

static void test_plain(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_get(rig, RIG_URL);
    rig_expect(rig, 0, GET_ROOT);
    rig_say(rig, 0, SLICE("HTTP/1.1 404 No\r\nA: b\r\nContent-Length: 5\r\n\r\nhello"));
    assert_int_equal(a->status, 404);
    assert_string_equal(a->fields, "A: b\nContent-Length: 5\n");
    assert_data(a, "hello");
    ask_ends(a, 0);
    rig_free(rig);
}

static void test_request_lines(void **state)
{
    static const struct http_field fields[] = {
        {.name = SLICE("X-A"), .value = SLICE("b\tc")},
        {.name = SLICE("Authorization"), .value = SLICE("Basic x")},
        {.name = SLICE("host"), .value = SLICE("example.org")},
        {.name = SLICE("Empty"), .value = SLICE("")},
    };
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_new(rig, RIG_URL ":80/a/b?c=d#e");
    a->r.method = SLICE("PUT");
    a->r.fields = fields;
    a->r.field_count = COUNT_OF(fields);
    a->r.body = SLICE("body");
    ask_start(a);
    rig_expect(rig, 0,
               "PUT /a/b?c=d HTTP/1.1\r\nX-A: b\tc\r\nAuthorization: Basic x\r\n"
               "host: example.org\r\nEmpty: \r\nContent-Length: 4\r\n\r\nbody");
    rig_say(rig, 0, SLICE("HTTP/1.1 204 x\r\n\r\n"));
    ask_ends(a, 0);
    a = ask_new(rig, RIG_URL "?q");
    a->r.method = SLICE("POST");
    ask_start(a);
    rig_expect(rig, 0, "POST /?q HTTP/1.1\r\nHost: " RIG_IP "\r\nContent-Length: 0\r\n\r\n");
    rig_say(rig, 0, SLICE(OK5));
    ask_ends(a, 0);
    rig_free(rig);
}

static void refuse_field(struct rig *rig, slice name, slice value)
{
    struct http_field field = {.name = name, .value = value};
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.fields = &field;
    a->r.field_count = 1;
    ask_refused(a, HTTP_CLIENT_BAD_FIELD);
}

static void refuse_method(struct rig *rig, slice method)
{
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.method = method;
    ask_refused(a, HTTP_CLIENT_BAD_METHOD);
}

/* No byte of the caller ends a line, and none of his lines frames the message. */
static void test_refused(void **state)
{
    static char huge[70000];
    struct rig *rig = rig_new(NULL, NULL);
    refuse_field(rig, SLICE("A"), SLICE("b\r\nC: d"));
    refuse_field(rig, SLICE("A"), SLICE("b\nC: d"));
    refuse_field(rig, SLICE("A"), SLICE("b\0"));
    refuse_field(rig, SLICE("A\r\nB"), SLICE("c"));
    refuse_field(rig, SLICE("A:"), SLICE("c"));
    refuse_field(rig, SLICE(" A"), SLICE("c"));
    refuse_field(rig, SLICE(""), SLICE("c"));
    refuse_field(rig, SLICE("content-length"), SLICE("5"));
    refuse_field(rig, SLICE("Transfer-Encoding"), SLICE("chunked"));
    refuse_field(rig, SLICE("Connection"), SLICE("close"));
    refuse_field(rig, SLICE("Keep-Alive"), SLICE("5"));
    refuse_field(rig, SLICE("Upgrade"), SLICE("h2c"));
    refuse_field(rig, SLICE("Expect"), SLICE("100-continue"));
    refuse_field(rig, SLICE("TE"), SLICE("trailers"));
    refuse_field(rig, SLICE("Host"), SLICE("a b"));
    refuse_field(rig, SLICE("Host"), SLICE(""));
    memset(huge, 'a', sizeof huge);
    refuse_field(rig, SLICE("A"), slice_of(huge, sizeof huge));
    refuse_method(rig, SLICE("CONNECT"));
    refuse_method(rig, SLICE("G ET"));
    refuse_method(rig, SLICE("GET\r\n"));
    refuse_method(rig, SLICE(""));
    refuse_method(rig, SLICE("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"));
    ask_refused(ask_new(rig, "https://a/"), HTTP_CLIENT_NO_TLS);
    ask_refused(ask_new(rig, "http://name.example/"), HTTP_CLIENT_NO_RESOLVER);
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.url.target = SLICE("/a b");
    ask_refused(a, HTTP_CLIENT_BAD_URL);
    a = ask_new(rig, RIG_URL);
    a->r.url.target = SLICE("*");
    ask_refused(a, HTTP_CLIENT_BAD_URL);
    a = ask_new(rig, RIG_URL);
    a->r.is_pushed = true;
    a->r.body = SLICE("a");
    ask_refused(a, HTTP_CLIENT_BAD_BODY);
    assert_int_equal(http_client_stats(rig->client).busy, 0);
    rig_free(rig);
}

/* ---- What comes in ---- */

struct answer_row {
    const char *method;
    slice answer;
    bool hang_up; /* then the server ends */
    int error;
    const char *body;
    bool is_kept; /* the connection goes to the pool */
};

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define TO_END  "HTTP/1.1 200 OK\r\n\r\n"

static const struct answer_row answers[] = {
    {"GET", SLICE(OK5), false, 0, "hello", true},
    {"GET", SLICE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), false, 0, "", true},
    {"GET", SLICE(CHUNKED "5\r\nhello\r\n0\r\n\r\n"), false, 0, "hello", true},
    {"GET", SLICE(CHUNKED "2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n"), false, 0, "hello", true},
    {"GET", SLICE(CHUNKED "0\r\n\r\n"), false, 0, "", true},
    {"GET", SLICE(TO_END "hello"), true, 0, "hello", false},
    {"GET", SLICE("HTTP/1.0 200 OK\r\n\r\nhello"), true, 0, "hello", false},
    {"GET", SLICE("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"), false,
     0, "hello", false},
    {"GET", SLICE("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"), false, 0, "hello", false},
    {"HEAD", SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), false, 0, "", true},
    {"HEAD", SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), false, 0, "", false},
    {"GET", SLICE("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n"), false, 0, "", true},
    {"GET", SLICE("HTTP/1.1 204 x\r\n\r\n"), false, 0, "", true},
    {"GET", SLICE("HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n"), false, 0, "", false},
    {"GET", SLICE("HTTP/1.1 100 x\r\n\r\n" OK5), false, 0, "hello", true},
    {"GET", SLICE("HTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 100\r\n\r\n" OK5), false, 0, "hello",
     true},
    /* more than was promised: whose is it? */
    {"GET", SLICE(OK5 "x"), false, 0, "hello", false},
    {"GET", SLICE(OK5 OK5), false, 0, "hello", false},
    {"GET", SLICE(CHUNKED "0\r\n\r\nHTTP/1.1 200"), false, 0, "", false},
    /* malformed */
    {"GET", SLICE("SSH-2.0-x\r\n"), false, HTTP_CLIENT_BAD_HEAD, NULL, false},
    {"GET", SLICE("\0\0\0\0"), false, HTTP_CLIENT_BAD_HEAD, NULL, false},
    {"GET", SLICE("<html>"), false, HTTP_CLIENT_BAD_HEAD, NULL, false},
    {"GET", SLICE("HTTP/1.1 200 OK\nA: b\n\nhello"), false, HTTP_CLIENT_BAD_HEAD, NULL, false},
    {"GET", SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), false,
     HTTP_CLIENT_BAD_HEAD, NULL, false},
    {"GET",
     SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     false, HTTP_CLIENT_BAD_HEAD, NULL, false},
    {"GET", SLICE("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), false, HTTP_CLIENT_BAD_HEAD,
     NULL, false},
    {"GET", SLICE(CHUNKED "x\r\n"), false, HTTP_CLIENT_BAD_CHUNKS, NULL, false},
    {"GET", SLICE(CHUNKED "5\r\nhelloo"), false, HTTP_CLIENT_BAD_CHUNKS, NULL, false},
    {"GET", SLICE(CHUNKED "fffffffffffffffff\r\n"), false, HTTP_CLIENT_BAD_CHUNKS, NULL, false},
    {"GET", SLICE("HTTP/1.1 101 x\r\n\r\n"), false, HTTP_CLIENT_UPGRADED, NULL, false},
    {"GET", SLICE("HTTP/1.1 100 x\r\nContent-Length: 5\r\n\r\nhello" OK5), false,
     HTTP_CLIENT_BAD_HEAD, NULL, false},
    /* cut */
    {"GET", SLICE(""), true, HTTP_CLIENT_NO_ANSWER, NULL, false},
    {"GET", SLICE("HTTP/1.1 200"), true, HTTP_CLIENT_CUT_SHORT, NULL, false},
    {"GET", SLICE("HTTP/1.1 100 x\r\n\r\n"), true, HTTP_CLIENT_CUT_SHORT, NULL, false},
    {"GET", SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"), true, HTTP_CLIENT_CUT_SHORT,
     NULL, false},
    {"GET", SLICE(CHUNKED "5\r\nhello\r\n"), true, HTTP_CLIENT_CUT_SHORT, NULL, false},
    {"GET", SLICE(CHUNKED "5\r\nhello\r\n0\r\n"), true, HTTP_CLIENT_CUT_SHORT, NULL, false},
};

static void check_answer(const struct answer_row *row, size_t cut, uint32_t recv_max)
{
    struct loop_sim_settings network = {.recv_max = recv_max};
    struct rig *rig = rig_new(&network, NULL);
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.method = slice_str(row->method);
    ask_start(a);
    rig_settle(rig);
    rig_say(rig, 0, slice_head(row->answer, cut));
    rig_say(rig, 0, slice_skip(row->answer, cut));
    if (row->hang_up) {
        assert_int_equal(a->dones, 0);
        rig_hang_up(rig, 0);
    }
    if (row->error == 0)
        assert_data(a, row->body);
    ask_ends(a, row->error);
    loop_sim_settle(rig->sim);
    bool is_kept = http_client_stats(rig->client).idle == 1;
    if (recv_max == 0 && cut == 0 && is_kept != row->is_kept)
        print_error("%.*s: %s\n", SLICE_ARGS(row->answer), is_kept ? "kept" : "closed");
    if (recv_max == 0 && cut == 0)
        assert_int_equal(is_kept, row->is_kept);
    assert_int_equal(http_client_stats(rig->client).busy, 0);
    rig_free(rig);
}

static void test_answers(void **state)
{
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        check_answer(&answers[i], 0, 0);
        check_answer(&answers[i], 0, 1);
        for (size_t cut = 1; cut < answers[i].answer.n; cut++)
            check_answer(&answers[i], cut, 0);
    }
}

/* The server ends after every byte: an error, unless the answer is complete, or has no other end.
 */
static void test_cut_everywhere(void **state)
{
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        const struct answer_row *row = &answers[i];
        for (size_t n = 0; !row->error && !row->hang_up && n < row->answer.n; n++) {
            struct rig *rig = rig_new(NULL, NULL);
            struct ask *a = ask_new(rig, RIG_URL);
            a->r.method = slice_str(row->method);
            ask_start(a);
            rig_say(rig, 0, slice_head(row->answer, n));
            rig_hang_up(rig, 0);
            assert_int_equal(a->dones, 1);
            if (a->error)
                assert_int_equal(a->error, n ? HTTP_CLIENT_CUT_SHORT : HTTP_CLIENT_NO_ANSWER);
            else
                assert_data(a, row->body);
            free(a);
            rig_free(rig);
        }
    }
}

/* Sends [part] until the request has ended, or [most] bytes went out. */
static size_t flood(struct rig *rig, struct ask *a, slice part, size_t most)
{
    size_t sent = 0;
    for (; !a->dones && sent < most; sent += part.n)
        rig_say(rig, 0, part);
    return sent;
}

static void test_endless_head(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_get(rig, RIG_URL);
    rig_say(rig, 0, SLICE("HTTP/1.1 200 OK\r\n"));
    assert_true(flood(rig, a, SLICE("A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"), 1 * MIB) <
                34 * KIB);
    ask_ends(a, HTTP_CLIENT_HEAD_TOO_LONG);
    rig_free(rig);
    rig = rig_new(NULL, NULL);
    a = ask_get(rig, RIG_URL);
    rig_say(rig, 0, SLICE("HTTP/1.1 200 OK\r\n"));
    for (unsigned i = 0; i < 101; i++)
        rig_say(rig, 0, SLICE("A:b\r\n"));
    rig_say(rig, 0, SLICE("\r\n"));
    ask_ends(a, HTTP_CLIENT_HEAD_TOO_LONG);
    rig_free(rig);
    rig = rig_new(NULL, NULL);
    a = ask_get(rig, RIG_URL);
    rig_settle(rig);
    assert_true(flood(rig, a, SLICE("HTTP/1.1 102 wait\r\n\r\n"), 1 * MIB) < 500);
    ask_ends(a, HTTP_CLIENT_BAD_HEAD);
    rig_free(rig);
}

static void check_too_long(const char *head, const char *part)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.max_body = 1000;
    ask_start(a);
    rig_say(rig, 0, slice_str(head));
    assert_true(flood(rig, a, slice_str(part), 1 * MIB) <= 1700);
    assert_true(a->data_n <= 1000);
    ask_ends(a, HTTP_CLIENT_BODY_TOO_LONG);
    rig_free(rig);
}

static void test_body_too_long(void **state)
{
    check_too_long("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "");
    check_too_long(CHUNKED, "A\r\n0123456789\r\n");
    check_too_long(TO_END, "0123456789");
}

/* Without on_data the body is collected. */
static void test_collected(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.on_data = NULL;
    ask_start(a);
    rig_say(rig, 0, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n"));
    for (unsigned i = 0; i < 300; i++)
        rig_say(rig, 0, SLICE("0123456789"));
    assert_int_equal(a->data_n, 3000);
    assert_true(slice_is(slice_skip(ask_data(a), 2990), SLICE("0123456789")));
    ask_ends(a, 0);
    a = ask_new(rig, RIG_URL);
    a->r.on_data = NULL;
    ask_start(a);
    rig_say(rig, 0, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n0123456789"));
    rig_hang_up(rig, 0);
    ask_ends(a, HTTP_CLIENT_CUT_SHORT);
    rig_free(rig);
}

/* ---- The pool ---- */

static void test_reuse(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    for (unsigned i = 0; i < 5; i++) {
        struct ask *a = ask_get(rig, RIG_URL);
        rig_expect(rig, 0, GET_ROOT);
        rig_say(rig, 0, SLICE(OK5));
        ask_ends(a, 0);
    }
    assert_int_equal(rig->peer_count, 1);
    struct http_client_stats stats = http_client_stats(rig->client);
    assert_int_equal(stats.reused, 4);
    assert_int_equal(stats.idle, 1);
    loop_sim_advance(rig->sim, 31000); /* idle for too long */
    assert_int_equal(http_client_stats(rig->client).idle, 0);
    assert_true(sim_peer_is_gone(rig->peers[0].peer));
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.is_fresh = true;
    ask_start(a);
    rig_expect(rig, 1, GET_ROOT);
    rig_say(rig, 1, SLICE(OK5));
    ask_ends(a, 0);
    rig_free(rig);
}

static void test_idle_is_bounded(void **state)
{
    struct http_client_settings settings = {
        .connections = 5, .idle = 3, .idle_per_host = 2, .idle_ms = 1000};
    struct rig *rig = rig_new(NULL, &settings);
    struct ask *asks[5];
    rig_listen(rig, 81);
    for (unsigned i = 0; i < 5; i++) {
        asks[i] = ask_get(rig, i < 3 ? RIG_URL : RIG_URL ":81");
        rig_settle_at(rig, i < 3 ? 80 : 81);
    }
    ask_refused(ask_new(rig, RIG_URL), HTTP_CLIENT_BUSY);
    for (unsigned i = 0; i < 5; i++) {
        sim_peer_send(rig->peers[i].peer, SLICE(OK5));
        loop_sim_settle(rig->sim);
        ask_ends(asks[i], 0);
    }
    assert_int_equal(http_client_stats(rig->client).idle, 3);
    assert_true(sim_peer_is_gone(rig->peers[0].peer)); /* three to one host */
    assert_true(sim_peer_is_gone(rig->peers[1].peer)); /* four in all */
    http_client_trim(rig->client);
    loop_sim_settle(rig->sim);
    assert_int_equal(http_client_stats(rig->client).idle, 0);
    rig_free(rig);
}

/* An idle connection gives way to a new one elsewhere. */
static void test_idle_gives_way(void **state)
{
    struct http_client_settings settings = {
        .connections = 1, .idle = 1, .idle_per_host = 1, .idle_ms = 1000};
    struct rig *rig = rig_new(NULL, &settings);
    rig_listen(rig, 81);
    struct ask *a = ask_get(rig, RIG_URL);
    rig_say(rig, 0, SLICE(OK5));
    ask_ends(a, 0);
    a = ask_get(rig, RIG_URL ":81");
    rig_settle_at(rig, 81);
    assert_true(sim_peer_is_gone(rig->peers[0].peer));
    sim_peer_send(rig->peers[1].peer, SLICE(OK5));
    loop_sim_settle(rig->sim);
    ask_ends(a, 0);
    rig_free(rig);
}

static void test_no_pool(void **state)
{
    struct http_client_settings settings = {.connections = 2};
    struct rig *rig = rig_new(NULL, &settings);
    struct ask *a = ask_get(rig, RIG_URL);
    rig_expect(rig, 0, "GET / HTTP/1.1\r\nHost: " RIG_IP "\r\nConnection: close\r\n\r\n");
    rig_say(rig, 0, SLICE(OK5));
    ask_ends(a, 0);
    assert_int_equal(http_client_stats(rig->client).idle, 0);
    rig_free(rig);
}

/* A server that says something unasked, or ends, is not asked again. */
static void test_idle_is_watched(void **state)
{
    for (unsigned kind = 0; kind < 3; kind++) {
        struct rig *rig = rig_new(NULL, NULL);
        struct ask *a = ask_get(rig, RIG_URL);
        rig_say(rig, 0, SLICE(OK5));
        ask_ends(a, 0);
        assert_int_equal(http_client_stats(rig->client).idle, 1);
        if (kind == 0)
            rig_say(rig, 0, SLICE("HTTP/1.1 408 x\r\n\r\n"));
        else if (kind == 1)
            rig_hang_up(rig, 0);
        else
            sim_peer_reset(rig->peers[0].peer);
        loop_sim_settle(rig->sim);
        assert_int_equal(http_client_stats(rig->client).idle, 0);
        rig_free(rig);
    }
}

/* A pool with one connection, which the server ends when it gets the next request. */
static struct rig *rig_with_stale(void)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_get(rig, RIG_URL);
    rig_say(rig, 0, SLICE(OK5));
    ask_ends(a, 0);
    sim_peer_forget(rig->peers[0].peer);
    return rig;
}

static void test_stale_is_retried(void **state)
{
    for (unsigned by_reset = 0; by_reset < 2; by_reset++) {
        struct rig *rig = rig_with_stale();
        struct ask *a = ask_get(rig, RIG_URL);
        rig_expect(rig, 0, GET_ROOT);
        if (by_reset)
            sim_peer_reset(rig->peers[0].peer);
        else
            sim_peer_shutdown(rig->peers[0].peer);
        rig_settle(rig);
        assert_int_equal(a->dones, 0);
        rig_expect(rig, 1, GET_ROOT);
        assert_true(a->r.was_retried);
        rig_say(rig, 1, SLICE(OK5));
        assert_data(a, "hello");
        ask_ends(a, 0);
        rig_free(rig);
    }
}

static void test_retried_once(void **state)
{
    struct rig *rig = rig_with_stale();
    struct ask *a = ask_get(rig, RIG_URL);
    rig_hang_up(rig, 0);
    rig_expect(rig, 1, GET_ROOT);
    rig_hang_up(rig, 1);
    ask_ends(a, HTTP_CLIENT_NO_ANSWER);
    assert_int_equal(rig->peer_count, 2);
    rig_free(rig);
}

static void test_not_retried(void **state)
{
    struct rig *rig = rig_with_stale();
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.method = SLICE("POST");
    a->r.body = SLICE("pay");
    ask_start(a);
    rig_hang_up(rig, 0);
    ask_ends(a, HTTP_CLIENT_NO_ANSWER);
    rig_free(rig);
    rig = rig_with_stale();
    a = ask_get(rig, RIG_URL);
    rig_say(rig, 0, SLICE("H"));
    rig_hang_up(rig, 0);
    ask_ends(a, HTTP_CLIENT_CUT_SHORT);
    rig_free(rig);
}

static void test_adopt(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_new(rig, "http://nowhere.example/");
    int fd;
    struct sim_peer *p = loop_sim_peer(rig->sim, &fd);
    assert_int_equal(http_client_adopt(rig->client, &a->r.url, fd), 0);
    ask_start(a);
    loop_sim_settle(rig->sim);
    assert_true(slice_has_prefix(sim_peer_received(p), SLICE("GET / HTTP/1.1\r\n")));
    sim_peer_send(p, SLICE(OK5));
    loop_sim_settle(rig->sim);
    ask_ends(a, 0);
    rig_free(rig);
}

/* ---- Times ---- */

static void test_connect_fails(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_get(rig, RIG_URL ":9");
    loop_sim_settle(rig->sim);
    ask_ends(a, -ECONNREFUSED);
    struct sim_place silent = {.is_silent = true};
    loop_sim_place(rig->sim, rig_at(10), &silent);
    a = ask_new(rig, RIG_URL ":10");
    a->r.connect_ms = 500;
    ask_start(a);
    loop_sim_advance(rig->sim, 499);
    assert_int_equal(a->dones, 0);
    loop_sim_advance(rig->sim, 2);
    ask_ends(a, HTTP_CLIENT_CONNECT_TIMEOUT);
    a = ask_new(rig, RIG_URL ":10");
    a->r.total_ms = 100;
    ask_start(a);
    loop_sim_advance(rig->sim, 102);
    ask_ends(a, HTTP_CLIENT_TOTAL_TIMEOUT);
    rig_free(rig);
}

static struct ask *ask_timed(struct rig *rig, int64_t head_ms, int64_t idle_ms, int64_t total_ms)
{
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.head_ms = head_ms;
    a->r.idle_ms = idle_ms;
    a->r.total_ms = total_ms;
    ask_start(a);
    rig_settle(rig);
    return a;
}

/* A byte now and then does not help: the head has its time as a whole. */
static void test_slow_head(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_timed(rig, 1000, 0, 0);
    for (unsigned i = 0; i < 11 && !a->dones; i++) {
        sim_peer_send(rig->peers[0].peer, slice_of(&"HTTP/1.1 200 OK\r\n"[i], 1));
        loop_sim_advance(rig->sim, 100);
    }
    ask_ends(a, HTTP_CLIENT_HEAD_TIMEOUT);
    rig_free(rig);
}

static void test_slow_body(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_timed(rig, 1000, 1000, 0);
    rig_say(rig, 0, SLICE(TO_END));
    for (unsigned i = 0; i < 5; i++) {
        loop_sim_advance(rig->sim, 900);
        assert_int_equal(a->dones, 0);
        rig_say(rig, 0, SLICE("a"));
    }
    loop_sim_advance(rig->sim, 1001);
    assert_data(a, "aaaaa");
    ask_ends(a, HTTP_CLIENT_IDLE_TIMEOUT);
    rig_free(rig);
    rig = rig_new(NULL, NULL);
    a = ask_timed(rig, 1000, 1000, 2000);
    rig_say(rig, 0, SLICE(TO_END));
    for (unsigned i = 0; i < 5 && !a->dones; i++) {
        loop_sim_advance(rig->sim, 900);
        rig_say(rig, 0, SLICE("a"));
    }
    ask_ends(a, HTTP_CLIENT_TOTAL_TIMEOUT);
    rig_free(rig);
}

/* ---- Back-pressure ---- */

static void test_pause(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_timed(rig, 1000, 1000, 0);
    rig_say(rig, 0, SLICE(TO_END "abc"));
    http_request_pause(&a->r);
    rig_say(rig, 0, SLICE("def"));
    loop_sim_advance(rig->sim, 5000); /* that is not the server's fault */
    assert_data(a, "abc");
    http_request_resume(&a->r);
    assert_data(a, "abc");
    loop_sim_settle(rig->sim);
    assert_data(a, "abcdef");
    http_request_pause(&a->r);
    rig_hang_up(rig, 0);
    assert_int_equal(a->dones, 0);
    http_request_resume(&a->r);
    loop_sim_settle(rig->sim);
    ask_ends(a, 0);
    rig_free(rig);
}

static void pause_after_part(struct http_request *r, slice data)
{
    ask_on_data(r, data);
    http_request_pause(r);
}

/* One part at a time, of what arrived at once; and paused before it is connected. */
static void test_pause_in_callback(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.on_data = pause_after_part;
    ask_start(a);
    http_request_pause(&a->r);
    rig_say(rig, 0, SLICE(CHUNKED "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"));
    assert_int_equal(a->heads, 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(a->parts, i);
        assert_int_equal(a->dones, 0);
        http_request_resume(&a->r);
        loop_sim_settle(rig->sim);
    }
    assert_data(a, "abc");
    ask_ends(a, 0);
    assert_int_equal(http_client_stats(rig->client).idle, 1);
    rig_free(rig);
}

/* ---- Bodies that go out ---- */

static void test_large_body(void **state)
{
    static char body[300000];
    struct rig *rig = rig_new(NULL, NULL);
    memset(body, 'b', sizeof body);
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.method = SLICE("PUT");
    a->r.body = slice_of(body, sizeof body);
    ask_start(a);
    slice got = sim_peer_received(rig_peer(rig, 0));
    assert_true(slice_has_suffix(got, a->r.body));
    rig_say(rig, 0, SLICE(OK5));
    ask_ends(a, 0);
    assert_int_equal(http_client_stats(rig->client).idle, 1);
    rig_free(rig);
}

/* The answer is there before the body has gone: it counts, the connection does not. */
static void test_early_answer(void **state)
{
    static char body[300000];
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.method = SLICE("PUT");
    a->r.body = slice_of(body, sizeof body);
    int fd;
    struct sim_peer *p = loop_sim_peer(rig->sim, &fd);
    sim_peer_slow(p, true);
    assert_int_equal(http_client_adopt(rig->client, &a->r.url, fd), 0);
    ask_start(a);
    loop_sim_settle(rig->sim);
    sim_peer_send(p, SLICE("HTTP/1.1 413 x\r\nContent-Length: 5\r\n\r\nhello"));
    loop_sim_settle(rig->sim);
    assert_int_equal(a->status, 413);
    ask_ends(a, 0);
    assert_int_equal(http_client_stats(rig->client).idle, 0);
    rig_free(rig);
}

/* Nothing of a long body is taken for head_ms: given up; but not while something is. */
static void test_stuck_body(void **state)
{
    static char body[300000];
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.method = SLICE("PUT");
    a->r.body = slice_of(body, sizeof body);
    a->r.head_ms = 1000;
    int fd;
    struct sim_peer *p = loop_sim_peer(rig->sim, &fd);
    sim_peer_slow(p, true);
    assert_int_equal(http_client_adopt(rig->client, &a->r.url, fd), 0);
    ask_start(a);
    for (unsigned i = 0; i < 4; i++) {
        loop_sim_advance(rig->sim, 900);
        sim_peer_read(p, 50000);
        assert_int_equal(a->dones, 0);
    }
    loop_sim_advance(rig->sim, 2001);
    ask_ends(a, HTTP_CLIENT_HEAD_TIMEOUT);
    rig_free(rig);
}

static struct ask *ask_pushing(struct rig *rig, int64_t length)
{
    struct ask *a = ask_new(rig, RIG_URL);
    a->r.method = SLICE("POST");
    a->r.is_pushed = true;
    a->r.push_length = length;
    ask_start(a);
    if (!rig->peer_count)
        assert_false(http_request_write(&a->r, SLICE("too early")));
    rig_settle(rig);
    assert_int_equal(a->rooms, 1);
    return a;
}

static void test_push(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_pushing(rig, -1);
    assert_true(http_request_write(&a->r, SLICE("hello ")));
    assert_true(http_request_write(&a->r, SLICE("")));
    loop_sim_settle(rig->sim);
    loop_sim_advance(rig->sim, 100000); /* it is the caller who is slow */
    assert_true(http_request_write(&a->r, SLICE("world")));
    http_request_end(&a->r);
    assert_false(http_request_write(&a->r, SLICE("more")));
    rig_expect(rig, 0,
               "POST / HTTP/1.1\r\nHost: " RIG_IP "\r\nTransfer-Encoding: chunked\r\n\r\n"
               "6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n");
    rig_say(rig, 0, SLICE(OK5));
    ask_ends(a, 0);
    a = ask_pushing(rig, 5);
    assert_true(http_request_write(&a->r, SLICE("he")));
    assert_true(http_request_write(&a->r, SLICE("llo")));
    http_request_end(&a->r);
    rig_expect(rig, 0, "POST / HTTP/1.1\r\nHost: " RIG_IP "\r\nContent-Length: 5\r\n\r\nhello");
    rig_say(rig, 0, SLICE(OK5));
    ask_ends(a, 0);
    assert_int_equal(rig->peer_count, 1);
    rig_free(rig);
}

static void test_push_wrong_length(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_pushing(rig, 5);
    assert_false(http_request_write(&a->r, SLICE("hello!")));
    loop_sim_settle(rig->sim);
    ask_ends(a, HTTP_CLIENT_BAD_BODY);
    a = ask_pushing(rig, 5);
    assert_true(http_request_write(&a->r, SLICE("hell")));
    http_request_end(&a->r);
    loop_sim_settle(rig->sim);
    ask_ends(a, HTTP_CLIENT_BAD_BODY);
    rig_free(rig);
}

static void test_push_back_pressure(void **state)
{
    static char block[10000];
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_pushing(rig, -1);
    sim_peer_slow(rig->peers[0].peer, true);
    size_t pushed = 0;
    while (!http_request_is_full(&a->r)) {
        assert_true(http_request_write(&a->r, slice_of(block, sizeof block)));
        pushed += sizeof block;
        loop_sim_settle(rig->sim);
        assert_true(pushed < 1 * MIB);
    }
    assert_int_equal(a->rooms, 1);
    sim_peer_slow(rig->peers[0].peer, false);
    loop_sim_settle(rig->sim);
    assert_int_equal(a->rooms, 2);
    /* the answer is complete before the body is: the rest is not wanted */
    rig_say(rig, 0, SLICE(OK5));
    ask_ends(a, 0);
    assert_int_equal(http_client_stats(rig->client).idle, 0);
    rig_free(rig);
}

/* ---- Ends by the caller ---- */

static void cancel_in_head(struct http_request *r)
{
    ask_on_head(r);
    http_request_cancel(r);
}

static void cancel_in_data(struct http_request *r, slice data)
{
    ask_on_data(r, data);
    http_request_cancel(r);
}

static void test_cancel(void **state)
{
    for (unsigned kind = 0; kind < 5; kind++) {
        struct rig *rig = rig_new(NULL, NULL);
        struct ask *a = ask_new(rig, RIG_URL);
        http_request_cancel(&a->r); /* harmless */
        if (kind == 3)
            a->r.on_head = cancel_in_head;
        if (kind == 4)
            a->r.on_data = cancel_in_data;
        ask_start(a);
        if (kind >= 1)
            rig_settle(rig);
        if (kind >= 2)
            rig_say(rig, 0, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"));
        http_request_cancel(&a->r);
        http_request_cancel(&a->r);
        assert_int_equal(a->dones, 0);
        assert_false(http_request_write(&a->r, SLICE("x")));
        free(a);
        loop_sim_settle(rig->sim);
        struct http_client_stats stats = http_client_stats(rig->client);
        assert_int_equal(stats.busy + stats.idle, 0);
        rig_free(rig);
    }
}

static void start_again(struct ask *a)
{
    if (!a->error && a->heads == 1) {
        a->then = NULL;
        a->heads = a->dones = 0;
        a->data_n = 0;
        assert_int_equal(http_request_start(a->rig->client, &a->r), 0);
    }
}

static void test_start_in_done(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    struct ask *a = ask_new(rig, RIG_URL);
    a->then = start_again;
    a->r.on_data = NULL;
    ask_start(a);
    rig_expect(rig, 0, GET_ROOT);
    rig_say(rig, 0, SLICE(OK5));
    rig_expect(rig, 0, GET_ROOT);
    rig_say(rig, 0, SLICE(OK5));
    assert_data(a, "hello");
    ask_ends(a, 0);
    assert_int_equal(rig->peer_count, 1);
    rig_free(rig);
}

static void free_client(struct ask *a)
{
    http_client_free(&a->rig->client);
}

static void test_free_in_done(void **state)
{
    for (unsigned kind = 0; kind < 3; kind++) {
        struct rig *rig = rig_new(NULL, NULL);
        struct ask *a = ask_new(rig, kind == 2 ? RIG_URL ":9" : RIG_URL);
        a->then = free_client;
        ask_start(a);
        if (kind == 0)
            rig_say(rig, 0, SLICE(OK5));
        else if (kind == 1)
            sim_peer_reset(rig_peer(rig, 0));
        loop_sim_settle(rig->sim);
        assert_int_equal(a->dones, 1);
        assert_null(rig->client);
        free(a);
        rig_free(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_request_lines),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_cut_everywhere),
        cmocka_unit_test(test_endless_head),
        cmocka_unit_test(test_body_too_long),
        cmocka_unit_test(test_collected),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_idle_is_bounded),
        cmocka_unit_test(test_idle_gives_way),
        cmocka_unit_test(test_no_pool),
        cmocka_unit_test(test_idle_is_watched),
        cmocka_unit_test(test_stale_is_retried),
        cmocka_unit_test(test_retried_once),
        cmocka_unit_test(test_not_retried),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_connect_fails),
        cmocka_unit_test(test_slow_head),
        cmocka_unit_test(test_slow_body),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_pause_in_callback),
        cmocka_unit_test(test_large_body),
        cmocka_unit_test(test_early_answer),
        cmocka_unit_test(test_stuck_body),
        cmocka_unit_test(test_push),
        cmocka_unit_test(test_push_wrong_length),
        cmocka_unit_test(test_push_back_pressure),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_start_in_done),
        cmocka_unit_test(test_free_in_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
