/* The whole HTTP server in the simulated loop: every accident of a network, by seed, in virtual
 * time; every allocation failing in turn. The handler echoes the request's body, or says the path:
 * what files never do with a body is reached here. */
#include "cmocka_all.h"

#include "loop/loop_sim.h"
#include "protocol/http/http.h"

#include <errno.h>

/* ---- The handler ---- */

struct echo {
    char *body;
    size_t n;
};

static void on_gone(struct exchange *ex)
{
}

static void on_body(struct exchange *ex, slice data, bool is_last)
{
    struct echo *e = ex->state;
    assert_true(e->n + data.n <= 4096);
    memcpy(e->body + e->n, data.p, data.n);
    e->n += data.n;
    if (!is_last)
        return;
    ex->on_gone = NULL;
    exchange_send(ex, 200, SLICE("Content-Type: text/plain\r\n"), slice_of(e->body, e->n));
}

static void handle(struct http_handler *h, struct exchange *ex)
{
    if (ex->body_done) {
        exchange_send(ex, 200, SLICE("Content-Type: text/plain\r\n"), ex->path);
        return;
    }
    struct echo *e = arena_alloc(&ex->arena, sizeof *e);
    char *room = arena_alloc(&ex->arena, 4096);
    if (!e || !room) {
        exchange_fail(ex, 503, SLICE(""));
        return;
    }
    *e = (struct echo){.body = room};
    ex->state = e;
    ex->on_gone = on_gone;
    exchange_read_body(ex, on_body);
}

static const struct http_handler_ops echo_ops = {.name = "echo", .handle = handle};

/* ---- The server and one client ---- */

struct rig {
    struct mem_book book;
    struct log log;
    struct loop_sim *sim;
    struct loop *loop;
    struct io io;
    struct http_handler handler;
    struct http_server http;
    struct sim_peer *peer;
};

static struct rig *rig_new(const struct loop_sim_settings *settings)
{
    struct rig *r = calloc(1, sizeof *r);
    mem_book_init(&r->book, 0);
    r->sim = loop_sim_new(settings);
    r->loop = loop_new_on(loop_sim_backend(r->sim), &r->book, &r->log);
    assert_non_null(r->loop);
    io_init(&r->io, r->loop, &r->book);
    struct http_settings http;
    http_settings_default(&http);
    http.body_bytes = 4096;
    r->handler.ops = &echo_ops;
    http_server_init(&r->http, &r->io, &r->book, &http, &r->handler);
    return r;
}

/* False: the server had no memory for one more connection. */
static bool rig_connect(struct rig *r)
{
    int fd;
    r->peer = loop_sim_peer(r->sim, &fd);
    struct peer_addr who = {.family = 4, .ip = {127, 0, 0, 1}};
    return server_adopt(&r->http.server, fd, &who, false);
}

static void rig_free(struct rig *r)
{
    server_abort_all(&r->http.server);
    loop_turn(r->loop, 0);
    loop_turn(r->loop, 0);
    assert_int_equal(r->http.server.session_count, 0);
    http_server_fini(&r->http);
    io_fini(&r->io);
    loop_free(&r->loop);
    mem_book_fini(&r->book); /* a BUG when one byte is left */
    free(r);
}

/* What the client got, without the lines that tell the time. */
static char *rig_answers(struct rig *r)
{
    slice got = sim_peer_received(r->peer);
    char *text = calloc(1, got.n + 1), *p = text;
    for (slice line; got.n;) {
        ssize_t end = slice_find(got, '\n');
        line = end < 0 ? got : slice_head(got, (size_t)end + 1);
        got = slice_skip(got, line.n);
        if (slice_has_prefix(line, SLICE("Date: ")))
            continue;
        memcpy(p, line.p, line.n);
        p += line.n;
    }
    return text;
}

static const char requests[] =
    "GET /one HTTP/1.1\r\nHost: x\r\n\r\n"
    "POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world"
    "HEAD /three HTTP/1.1\r\nHost: x\r\n\r\n"
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n"
    "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"
    "GET /%41/../b HTTP/1.1\r\nHost: x\r\n\r\n"
    "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /bad path HTTP/1.1\r\nHost: x\r\n\r\n"
    "GET /never HTTP/1.1\r\nHost: x\r\n\r\n";

static char *answers_of(const struct loop_sim_settings *settings, const char *text)
{
    struct rig *r = rig_new(settings);
    assert_true(rig_connect(r));
    sim_peer_send(r->peer, slice_str(text));
    loop_sim_drain(r->sim, 120000);
    char *answers = rig_answers(r);
    rig_free(r);
    return answers;
}

static void test_calm(void **state)
{
    struct loop_sim_settings calm = {0};
    char *answers = answers_of(&calm, requests);
    static const char *const in_order[] = {
        "\r\n\r\n/one",   "\r\n\r\nhello world",   "Content-Length: 6\r\n",
        "\r\n\r\nhello!", "HTTP/1.1 100 Continue", "\r\n\r\nabc",
        "\r\n\r\n/b",     "HTTP/1.1 204 ",         "HTTP/1.1 400 "};
    const char *at = answers;
    for (size_t i = 0; i < COUNT_OF(in_order); i++) {
        at = strstr(at, in_order[i]);
        if (!at)
            fail_msg("\"%s\" is missing in:\n%s", in_order[i], answers);
    }
    assert_null(strstr(answers, "never"));
    free(answers);
}

/* The same bytes in any pieces, at any time, give the same answers. */
static void test_wild(void **state)
{
    struct loop_sim_settings calm = {0};
    char *want = answers_of(&calm, requests);
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct loop_sim_settings wild = loop_sim_wild(seed);
        char *got = answers_of(&wild, requests);
        if (strcmp(got, want) != 0)
            fail_msg("seed %llu:\n%s\nwanted:\n%s", (unsigned long long)seed, got, want);
        free(got);
    }
    free(want);
}

/* A chunk that is too long is refused when its size is known, before any of its data; in any pieces
 * the answer is the same. */
static void test_chunk_too_long(void **state)
{
#define CHUNKED "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    static const struct {
        const char *text, *answer; /* NULL: none yet */
    } rows[] = {
        {CHUNKED "1000\r\n", NULL}, /* 4096 are allowed */
        {CHUNKED "1001", NULL},
        {CHUNKED "1001\r\n", "HTTP/1.1 413 "},
        {CHUNKED "1001;a=b\r\n", "HTTP/1.1 413 "},
        {CHUNKED "ffffffffffffffff\r\n", "HTTP/1.1 413 "},
        {CHUNKED "fffffffffffffffff", "HTTP/1.1 400 "},
        {CHUNKED "1001 \r\n", "HTTP/1.1 400 "},
        {CHUNKED "5\r\nhello\r\nffb\r\n", NULL},
        {CHUNKED "5\r\nhello\r\nffc\r\n", "HTTP/1.1 413 "},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (uint32_t piece = 0; piece < 4; piece++) {
            struct loop_sim_settings settings = {.recv_max = piece};
            struct rig *r = rig_new(&settings);
            assert_true(rig_connect(r));
            sim_peer_send(r->peer, slice_str(rows[i].text));
            loop_sim_settle(r->sim);
            char *got = rig_answers(r);
            if (rows[i].answer ? strncmp(got, rows[i].answer, 13) != 0 : got[0])
                fail_msg("%s, %u at a time: %s", rows[i].text, piece, got);
            free(got);
            rig_free(r);
        }
    }
#undef CHUNKED
}

static void test_reset_anywhere(void **state)
{
    struct loop_sim_settings settings = {.recv_max = 7, .send_max = 100};
    for (uint64_t n = 0; n < sizeof requests + 40; n++) {
        struct rig *r = rig_new(&settings);
        assert_true(rig_connect(r));
        sim_peer_reset_at(r->peer, UINT64_MAX, n);
        sim_peer_send(r->peer, slice_str(requests));
        loop_sim_drain(r->sim, 120000);
        rig_free(r);
        r = rig_new(&settings);
        assert_true(rig_connect(r));
        sim_peer_reset_at(r->peer, n * 3, UINT64_MAX);
        sim_peer_send(r->peer, slice_str(requests));
        loop_sim_drain(r->sim, 120000);
        rig_free(r);
    }
}

/* The nth allocation fails, once or for ever: the session may end, nothing else may. */
static void sweep(bool forever)
{
    struct loop_sim_settings settings = {.recv_max = 50};
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        assert_true(n < 1000);
        struct rig *r = rig_new(&settings);
        r->book.fail_at = n;
        r->book.fail_forever = forever;
        if (rig_connect(r)) {
            sim_peer_send(r->peer, slice_str(requests));
            loop_sim_drain(r->sim, 120000);
        }
        failed = r->book.refused > 0;
        r->book.fail_at = 0;
        assert_true(rig_connect(r)); /* memory is back: the next client is served */
        sim_peer_send(r->peer, slice_str("GET /after HTTP/1.1\r\nHost: x\r\n\r\n"));
        loop_sim_settle(r->sim);
        char *answers = rig_answers(r);
        assert_non_null(strstr(answers, "/after"));
        free(answers);
        rig_free(r);
    }
}

static void test_no_memory(void **state)
{
    sweep(false);
    sweep(true);
}

/* ---- Deadlines, in virtual time ---- */

static void send_and_wait(struct rig *r, const char *text, int64_t ms)
{
    sim_peer_send(r->peer, slice_str(text));
    loop_sim_advance(r->sim, ms);
}

static struct rig *calm_rig(void)
{
    struct loop_sim_settings calm = {0};
    struct rig *r = rig_new(&calm);
    assert_true(rig_connect(r));
    return r;
}

static void test_slow_head(void **state)
{
    struct rig *r = calm_rig();
    for (int i = 0; i < 19; i++) /* a byte a second does not help */
        send_and_wait(r, i ? "X" : "G", 1000);
    assert_int_equal(sim_peer_received(r->peer).n, 0);
    loop_sim_advance(r->sim, 4000);
    char *answers = rig_answers(r);
    assert_non_null(strstr(answers, "HTTP/1.1 408 "));
    assert_true(sim_peer_is_eof(r->peer));
    free(answers);
    rig_free(r);
}

static void test_idle(void **state)
{
    struct rig *r = calm_rig();
    send_and_wait(r, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 70000);
    assert_false(sim_peer_is_eof(r->peer));
    loop_sim_advance(r->sim, 10000);
    assert_true(sim_peer_is_gone(r->peer));
    assert_int_equal(r->http.server.session_count, 0);
    rig_free(r);
}

static void test_slow_body(void **state)
{
    struct rig *r = calm_rig();
    send_and_wait(r, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n", 1000);
    for (int i = 0; i < 40; i++)
        send_and_wait(r, "x", 1000);
    char *answers = rig_answers(r);
    assert_non_null(strstr(answers, "HTTP/1.1 408 "));
    free(answers);
    loop_sim_advance(r->sim, 10000);
    assert_int_equal(r->http.server.session_count, 0);
    rig_free(r);
}

static void test_slow_reader(void **state)
{
    struct loop_sim_settings small = {.buffer_bytes = 1000};
    struct rig *r = rig_new(&small);
    assert_true(rig_connect(r));
    sim_peer_slow(r->peer, true);
    for (int i = 0; i < 1000; i++)
        sim_peer_send(r->peer, slice_str("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
    loop_sim_settle(r->sim);
    assert_true(r->io.owner.bytes < 600 * KIB); /* it does not answer what nobody takes */
    for (int i = 0; i < 70 && r->http.server.session_count; i++) {
        sim_peer_read(r->peer, 1);
        loop_sim_advance(r->sim, 1000);
    }
    assert_int_equal(r->http.server.session_count, 0);
    rig_free(r);
}

static void on_empty(struct server *server)
{
}

static void test_drain(void **state)
{
    struct rig *r = calm_rig();
    send_and_wait(r, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na", 10);
    server_drain(&r->http.server, on_empty);
    assert_int_equal(r->http.server.session_count, 1); /* the request in flight may end */
    send_and_wait(r, "bc", 10);
    char *answers = rig_answers(r);
    assert_non_null(strstr(answers, "Connection: close"));
    assert_non_null(strstr(answers, "\r\n\r\nabc"));
    free(answers);
    sim_peer_shutdown(r->peer);
    loop_sim_advance(r->sim, 5000);
    assert_int_equal(r->http.server.session_count, 0);
    rig_free(r);
}

/* ---- A client that goes away while the handler is at work ---- */

static void note_gone(struct exchange *ex)
{
    bool *is_gone = ex->state;
    *is_gone = true;
}

struct watcher {
    struct http_handler handler;
    struct exchange *ex;
    bool watches, is_gone;
};

static void begin_answer(struct http_handler *h, struct exchange *ex)
{
    struct watcher *w = CONTAINER_OF(h, struct watcher, handler);
    w->ex = ex;
    ex->state = &w->is_gone;
    ex->on_gone = note_gone;
    assert_non_null(exchange_begin(ex, 200, SLICE(""), -1));
    if (w->watches)
        exchange_watch(ex);
}

static struct rig *watching_rig(struct watcher *w, bool watches)
{
    static const struct http_handler_ops ops = {.name = "watcher", .handle = begin_answer};
    struct rig *r = calm_rig();
    *w = (struct watcher){.handler = {.ops = &ops}, .watches = watches};
    r->http.handler = &w->handler;
    return r;
}

static void test_watch(void **state)
{
    for (int watches = 0; watches < 2; watches++) {
        struct watcher w;
        struct rig *r = watching_rig(&w, watches);
        send_and_wait(r, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 100);
        assert_false(w.is_gone);
        assert_true(exchange_write(w.ex, SLICE("a")));
        loop_sim_advance(r->sim, 100);
        assert_false(w.is_gone);
        sim_peer_shutdown(r->peer);
        loop_sim_advance(r->sim, 100);
        assert_int_equal(w.is_gone, watches);
        if (!watches)
            exchange_end(w.ex);
        loop_sim_advance(r->sim, 100);
        rig_free(r);
    }
}

/* What it sends meanwhile waits its turn, and no more than the kernel's room is read. */
static void test_watch_and_pipelined(void **state)
{
    struct watcher w;
    struct rig *r = watching_rig(&w, true);
    send_and_wait(r, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n", 100);
    sim_peer_shutdown(r->peer);
    loop_sim_advance(r->sim, 100);
    assert_false(w.is_gone);
    exchange_end(w.ex);
    loop_sim_advance(r->sim, 100);
    assert_true(w.is_gone); /* the second one's */
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calm),           cmocka_unit_test(test_wild),
        cmocka_unit_test(test_chunk_too_long), cmocka_unit_test(test_reset_anywhere),
        cmocka_unit_test(test_no_memory),      cmocka_unit_test(test_slow_head),
        cmocka_unit_test(test_idle),           cmocka_unit_test(test_slow_body),
        cmocka_unit_test(test_slow_reader),    cmocka_unit_test(test_drain),
        cmocka_unit_test(test_watch),          cmocka_unit_test(test_watch_and_pipelined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
