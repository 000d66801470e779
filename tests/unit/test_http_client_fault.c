/* The HTTP client when things fail: memory, system calls, connections, each at every place in turn.
 * Every request that was started ends once, nothing is kept, and afterwards all works again. */
#include "client_rig.h"

#include "wire/http1_chunk.h"
#include "wire/http1_req.h"

#include <errno.h>

#define LARGE 50000

/* ---- A server that understands what it is asked ---- */

/* Bytes of the body at the start of [in] whose head was [req]; < 0: not complete. */
static ssize_t body_bytes(const struct http1_req *req, slice in)
{
    struct http1_chunk chunk;
    ssize_t used = 0;
    if (!req->chunked)
        return in.n >= req->content_length ? (ssize_t)req->content_length : -1;
    http1_chunk_init(&chunk);
    while (!chunk.is_done) {
        slice data;
        ssize_t n = http1_chunk_read(&chunk, slice_skip(in, (size_t)used), &data);
        assert_true(n >= 0);
        if (n == 0)
            return -1;
        used += n;
    }
    return used;
}

static slice answer_to(const struct http1_req *req)
{
    if (slice_is(req->path, SLICE("/chunks")))
        return SLICE("HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "5\r\nhello\r\n0\r\n\r\n");
    if (slice_is(req->path, SLICE("/moved")))
        return SLICE("HTTP/1.1 301 x\r\nLocation: chunks\r\nContent-Length: 3\r\n\r\nbye");
    if (slice_is(req->path, SLICE("/close")))
        return SLICE("HTTP/1.1 200 x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    return SLICE("HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\nhello");
}

/* Answers what is complete. True: it did something. */
static bool serve(struct rig_peer *p)
{
    static struct http1_req req;
    static const struct http1_limits limits = {
        .target_bytes = 1000, .head_bytes = 8000, .fields = 20};
    slice in = sim_peer_received(p->peer);
    size_t scanned = 0;
    const char *why = NULL;
    for (unsigned i = 0;; i++) {
        ssize_t head = http1_req_parse(in, &limits, &scanned, &req, &why);
        if (head < 0)
            fail_msg("%s", why);
        ssize_t body = head > 0 ? body_bytes(&req, slice_skip(in, (size_t)head)) : -1;
        if (body < 0)
            return false;
        if (i == p->answered) {
            p->answered++;
            sim_peer_send(p->peer, answer_to(&req));
            if (slice_is(req.path, SLICE("/stale"))) /* seen when the next request is sent */
                sim_peer_reset_at(p->peer, sim_peer_received(p->peer).n + 1, UINT64_MAX);
            return true;
        }
        in = slice_skip(in, (size_t)(head + body));
    }
}

static void serve_all(struct rig *rig)
{
    bool again = true;
    while (again) {
        again = false;
        rig_settle(rig);
        for (unsigned i = 0; i < rig->peer_count; i++)
            again = serve(&rig->peers[i]) || again;
    }
}

/* ---- The requests ---- */

static char large[LARGE];

static void push_on_room(struct http_request *r)
{
    struct ask *a = ask_of(r);
    a->rooms++;
    while (!http_request_is_full(r)) {
        if (r->pushed >= LARGE) {
            http_request_end(r);
            return;
        }
        if (!http_request_write(r, slice_of(large, 3000)))
            return;
    }
}

static void pause_first(struct http_request *r)
{
    ask_on_head(r);
    http_request_pause(r);
}

struct plan {
    const char *path, *method;
    bool is_large, is_pushed, is_paused, is_collected;
};

static const struct plan plans[] = {
    {.path = "/chunks", .method = "GET", .is_collected = true},
    {.path = "/stale", .method = "GET"},
    {.path = "/chunks", .method = "GET", .is_paused = true},
    {.path = "/moved", .method = "GET", .is_collected = true},
    {.path = "/put", .method = "PUT", .is_large = true},
    {.path = "/push", .method = "POST", .is_pushed = true},
    {.path = "/close", .method = "GET"},
    {.path = "/last", .method = "DELETE"},
};

/* Whatever happens, the times end it. */
static void await(struct rig *rig, struct ask *a)
{
    serve_all(rig);
    for (unsigned i = 0; i < 1000 && !a->dones; i++) {
        http_request_resume(&a->r);
        serve_all(rig);
        if (!a->dones)
            loop_sim_advance(rig->sim, 100);
    }
    assert_int_equal(a->dones, 1);
}

/* One request after another. Those that failed are counted. */
static unsigned run_plans(struct rig *rig)
{
    unsigned failed = 0;
    for (size_t i = 0; i < COUNT_OF(plans); i++) {
        const struct plan *plan = &plans[i];
        char url[64];
        snprintf(url, sizeof url, RIG_URL "%s", plan->path);
        struct ask *a = ask_new(rig, url);
        a->r.method = slice_str(plan->method);
        a->r.redirects = 3;
        a->r.is_pushed = plan->is_pushed;
        a->r.push_length = -1;
        a->r.on_room = push_on_room;
        if (plan->is_large)
            a->r.body = slice_of(large, sizeof large);
        if (plan->is_collected)
            a->r.on_data = NULL;
        if (plan->is_paused)
            a->r.on_head = pause_first;
        int error = http_request_start(rig->client, &a->r);
        assert_int_equal(a->dones, 0);
        if (!error) {
            await(rig, a);
            error = a->error;
        }
        if (!error)
            assert_true(slice_is(ask_data(a), SLICE("hello")));
        failed += error != 0;
        free(a);
    }
    return failed;
}

/* All is well again: as far as they are still there, the peers are those of the run. */
static void check_after(struct rig *rig)
{
    struct ask *a = ask_new(rig, RIG_URL "/after");
    a->r.is_fresh = true;
    ask_start(a);
    await(rig, a);
    ask_ends(a, 0);
}

static void test_all_is_well(void **state)
{
    struct rig *rig = rig_new(NULL, NULL);
    assert_int_equal(run_plans(rig), 0);
    assert_int_equal(http_client_stats(rig->client).retried, 1);
    assert_int_equal(http_client_stats(rig->client).redirected, 1);
    check_after(rig);
    rig_free(rig);
}

static void sweep_memory(bool forever)
{
    bool failed = true;
    unsigned seen = 0;
    for (uint64_t n = 1; failed; n++) {
        assert_true(n < 1000);
        struct rig *rig = rig_new(NULL, NULL);
        rig->book.fail_at = n;
        rig->book.fail_forever = forever;
        seen += run_plans(rig);
        failed = rig->book.refused > 0;
        rig->book.fail_at = 0;
        check_after(rig);
        rig_free(rig);
    }
    assert_true(seen > 10);
}

static void test_no_memory(void **state)
{
    sweep_memory(false);
    sweep_memory(true);
}

static void sweep_calls(enum sim_call call, int error)
{
    for (uint64_t n = 1;; n++) {
        struct rig *rig = rig_new(NULL, NULL);
        assert_true(n < 1000);
        loop_sim_fail(rig->sim, call, n, error, false);
        run_plans(rig);
        bool is_over = loop_sim_calls(rig->sim, call) < n;
        loop_sim_fail(rig->sim, call, 0, 0, false);
        check_after(rig);
        rig_free(rig);
        if (is_over)
            return;
    }
}

static void test_calls_fail(void **state)
{
    sweep_calls(SIM_OPEN, ENOMEM);
    sweep_calls(SIM_CONNECT, EMFILE);
    sweep_calls(SIM_SEND, EPIPE);
    sweep_calls(SIM_RECV, ECONNRESET);
}

/* The network in any mood: what is asked is answered, or fails; never wrongly. */
static void test_wild(void **state)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct loop_sim_settings wild = loop_sim_wild(seed);
        struct rig *rig = rig_new(&wild, NULL);
        unsigned failed = run_plans(rig);
        if (failed)
            fail_msg("seed %llu: %u failed", (unsigned long long)seed, failed);
        rig_free(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_calls_fail),
        cmocka_unit_test(test_wild),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
