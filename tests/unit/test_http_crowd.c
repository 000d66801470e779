/* A thousand that send a byte a second, a thousand that read a byte a second, and one that wants to
 * be served: it is, at once, all the time; the others cost little, and each ends by its own
 * deadline. In virtual time, on the simulator. */
#include "cmocka_all.h"

#include "loop/loop_sim.h"
#include "protocol/http/http.h"

#include <errno.h>
#include <sys/resource.h>

#define SLOW       1000 /* of each kind */
#define PAGE_BYTES (200 * KIB)
#define REQUEST    "GET /page HTTP/1.1\r\nHost: x\r\n\r\n"

struct rig {
    struct mem_book book;
    struct log log;
    struct loop_sim *sim;
    struct loop *loop;
    struct io io;
    struct buf *page; /* what everybody is sent */
    struct http_handler handler;
    struct http_server http;
    struct sim_peer *senders[SLOW], *readers[SLOW], *fast;
};

static void handle(struct http_handler *h, struct exchange *ex)
{
    struct rig *r = CONTAINER_OF(h, struct rig, handler);
    slice page = slice_is(ex->path, SLICE("/page")) ? buf_slice(r->page) : SLICE("hello");
    struct outq *q = exchange_begin(ex, 200, SLICE(""), (int64_t)page.n);
    if (q && !outq_push_shared(q, exchange_io(ex), page, &r->page->shared))
        stream_abort(&ex->session->stream, -ENOMEM);
    exchange_end(ex);
}

static struct sim_peer *connect_one(struct rig *r)
{
    int fd;
    struct sim_peer *peer = loop_sim_peer(r->sim, &fd);
    struct peer_addr who = {.family = 4, .ip = {127, 0, 0, 1}};
    assert_true(server_adopt(&r->http.server, fd, &who, false));
    return peer;
}

/* The simulator's descriptors are real ones. */
static void raise_limit(void)
{
    struct rlimit limit;
    assert_return_code(getrlimit(RLIMIT_NOFILE, &limit), errno);
    limit.rlim_cur = limit.rlim_max;
    assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
    assert_true(limit.rlim_cur > 2 * SLOW + 100);
}

static struct rig *rig_new(void)
{
    static const struct http_handler_ops ops = {.name = "page", .handle = handle};
    struct loop_sim_settings small = {.buffer_bytes = 16 * KIB};
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    mem_book_init(&r->book, 0);
    r->sim = loop_sim_new(&small);
    r->loop = loop_new_on(loop_sim_backend(r->sim), &r->book, &r->log);
    io_init(&r->io, r->loop, &r->book);
    r->page = buf_new(&r->io.owner, PAGE_BYTES);
    assert_non_null(r->page);
    memset(r->page->p, 'x', PAGE_BYTES);
    r->page->n = PAGE_BYTES;
    struct http_settings http;
    http_settings_default(&http);
    r->handler.ops = &ops;
    http_server_init(&r->http, &r->io, &r->book, &http, &r->handler);
    for (int i = 0; i < SLOW; i++) {
        r->senders[i] = connect_one(r);
        r->readers[i] = connect_one(r);
        sim_peer_slow(r->readers[i], true);
        sim_peer_send(r->readers[i], SLICE(REQUEST));
    }
    r->fast = connect_one(r);
    loop_sim_settle(r->sim);
    return r;
}

static void rig_free(struct rig *r)
{
    server_abort_all(&r->http.server);
    loop_sim_settle(r->sim);
    http_server_fini(&r->http);
    buf_release(&r->page);
    io_fini(&r->io);
    loop_free(&r->loop);
    mem_book_fini(&r->book);
    free(r);
}

/* Answered in the very moment in which it asks. */
static void ask_fast(struct rig *r)
{
    sim_peer_forget(r->fast);
    sim_peer_send(r->fast, SLICE("GET /fast HTTP/1.1\r\nHost: x\r\n\r\n"));
    int64_t asked_ms = loop_sim_now_ms(r->sim);
    loop_sim_settle(r->sim);
    assert_int_equal(loop_sim_now_ms(r->sim), asked_ms);
    assert_true(slice_has_suffix(sim_peer_received(r->fast), SLICE("hello")));
}

static int count_gone(struct sim_peer *const *peers)
{
    int gone = 0;
    for (int i = 0; i < SLOW; i++)
        gone += sim_peer_is_gone(peers[i]);
    return gone;
}

static void one_second(struct rig *r, int second)
{
    for (int i = 0; i < SLOW; i++) {
        if (!sim_peer_is_gone(r->senders[i]))
            sim_peer_send(r->senders[i], slice_of(&REQUEST[second], 1));
        sim_peer_read(r->readers[i], 1);
    }
    loop_sim_advance(r->sim, 1000);
    ask_fast(r);
}

/* For each sender a small block of kept input, for each reader a queue of references. */
static void check_memory(const struct rig *r)
{
    size_t sessions = (2 * SLOW + 1) * 240 * 2, each = 4 * KIB;
    assert_true(r->book.bytes < PAGE_BYTES + sessions + 2 * SLOW * each);
}

static void test_slow_ones_harm_nobody(void **state)
{
    raise_limit();
    struct rig *r = rig_new();
    for (int second = 0; second < 19; second++)
        one_second(r, second);
    assert_int_equal(count_gone(r->senders) + count_gone(r->readers), 0);
    check_memory(r);

    for (int second = 19; second < 25; second++) /* 20 s for a head, 2 s to read the answer */
        one_second(r, second);
    assert_int_equal(count_gone(r->senders), SLOW);
    assert_int_equal(count_gone(r->readers), 0);
    for (int i = 0; i < SLOW; i++)
        assert_true(slice_has_prefix(sim_peer_received(r->senders[i]), SLICE("HTTP/1.1 408 ")));

    for (int second = 0; second < 40; second++) /* within two windows of the rate */
        one_second(r, 0);
    assert_int_equal(count_gone(r->readers), SLOW);
    assert_int_equal(r->http.server.session_count, 1);
    ask_fast(r);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_slow_ones_harm_nobody)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
