/* The HTTP client and our own server in one loop, on every engine: bodies of all sizes both ways,
 * many at once, on loopback, on Unix sockets, and in the simulator with every accident. */
#include "base/num.h"
#include "io/listener.h"
#include "protocol/http/client.h"
#include "protocol/http/http.h"
#include "service/resolver.h"
#include "test_kinds.h"

/* after cmocka */
#include "temp_dir.h"

#include <errno.h>

#define SIM_IP "192.0.2.1"
#define MOST   200000 /* the longest body */

/* ---- The server: "/n" and "/cn" (chunked) give n bytes of the pattern; PUT says how many came.
 * ---- */

struct taker {
    size_t n;
};

static void on_gone(struct exchange *ex)
{
}

static void on_body(struct exchange *ex, slice data, bool is_last)
{
    struct taker *t = ex->state;
    assert_true(test_is_pattern(data, t->n));
    t->n += data.n;
    if (!is_last)
        return;
    char text[24];
    struct fmt f = fmt_on(text, sizeof text);
    fmt_u64(&f, t->n);
    ex->on_gone = NULL;
    exchange_send(ex, 200, SLICE(""), fmt_done(&f));
}

static void take(struct exchange *ex)
{
    struct taker *t = arena_alloc(&ex->arena, sizeof *t);
    assert_non_null(t);
    t->n = 0;
    ex->state = t;
    ex->on_gone = on_gone;
    exchange_read_body(ex, on_body);
}

static void give(struct exchange *ex)
{
    static char text[MOST];
    bool is_chunked = ex->path.p[1] == 'c';
    uint64_t n;
    if (!num_u64(slice_skip(ex->path, is_chunked ? 2 : 1), &n) || n > MOST) {
        exchange_fail(ex, 404, SLICE(""));
        return;
    }
    test_pattern(text, (size_t)n, 0);
    if (!is_chunked) {
        exchange_send(ex, 200, SLICE(""), slice_of(text, (size_t)n));
        return;
    }
    (void)!exchange_begin(ex, 200, SLICE(""), -1);
    for (size_t at = 0; at < n; at += 7000)
        if (!exchange_write(ex, slice_of(text + at, MIN((size_t)n - at, (size_t)7000))))
            break;
    exchange_end(ex);
}

static void handle(struct http_handler *h, struct exchange *ex)
{
    if (ex->req->method == HTTP_PUT && !ex->body_done)
        take(ex);
    else
        give(ex);
}

static const struct http_handler_ops handler_ops = {.name = "test", .handle = handle};

struct rig {
    struct test_net *net;
    struct io io;
    struct http_handler handler;
    struct http_server http;
    struct listener listener;
    struct resolver *resolver;
    struct http_client *client;
    struct temp_dir dir; /* of the Unix socket */
    char base[160];      /* "http://127.0.0.1:1234" */
    unsigned failed;     /* requests; on the wild simulator only */
};

static void on_accept(struct listener *l, int sock, const struct peer_addr *peer)
{
    struct rig *rig = CONTAINER_OF(l, struct rig, listener);
    assert_true(server_adopt(&rig->http.server, sock, peer, false));
}

/* Where the server can be found, as a URL. */
static void name_base(struct rig *rig, int fd)
{
    struct fmt f = fmt_on(rig->base, sizeof rig->base - 1);
    if (rig->net->sim) {
        struct sim_place place = {.listener = fd};
        loop_sim_place(rig->net->sim, sim_ipv4(SIM_IP, 80), &place);
        fmt_str(&f, "http://" SIM_IP);
    } else {
        fmt_str(&f, rig->net->kind == NET_EPOLL_TCP ? "http://" : "");
        addr_put(&f, &rig->listener.addr);
        fmt_str(&f, rig->net->kind == NET_EPOLL_TCP ? "" : ":");
    }
    *f.p = '\0';
}

static void listen_unix(struct rig *rig, const struct listener_settings *settings)
{
    char path[PATH_MAX + 8];
    struct addr addr;
    const char *why;
    temp_dir_make(&rig->dir);
    snprintf(path, sizeof path, "unix:%s", temp_path(&rig->dir, "socket"));
    assert_true(addr_parse(slice_str(path), &addr, &why));
    assert_int_equal(listener_open(&rig->listener, rig->net->loop, &addr, settings), 0);
}

static void start_listening(struct rig *rig)
{
    struct listener_settings settings = {.backlog = 64, .unix_mode = 0600};
    int fd = -1;
    rig->listener.on_accept = on_accept;
    if (rig->net->kind == NET_SIM_WILD)
        rig->net->log.level = LOG_ERROR; /* accepting fails now and then, and that is logged */
    if (rig->net->kind == NET_EPOLL_UNIX) {
        listen_unix(rig, &settings);
    } else {
        fd = net_listen(rig->net);
        assert_int_equal(listener_adopt(&rig->listener, rig->net->loop, fd, &settings), 0);
    }
    listener_start(&rig->listener);
    name_base(rig, fd);
}

static struct rig *rig_new(struct test_net *net)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct http_settings http;
    struct http_client_settings settings;
    int error;
    rig->net = net;
    io_init(&rig->io, net->loop, &net->book);
    http_settings_default(&http);
    http.body_bytes = MOST;
    rig->handler.ops = &handler_ops;
    http_server_init(&rig->http, &rig->io, &net->book, &http, &rig->handler);
    start_listening(rig);
    rig->resolver = resolver_new(net->loop, &net->book, NULL, &error);
    assert_non_null(rig->resolver);
    http_client_settings_default(&settings);
    rig->client = http_client_new(&rig->io, &net->book, rig->resolver, &settings);
    assert_non_null(rig->client);
    return rig;
}

static bool is_quiet(void *arg)
{
    struct rig *rig = arg;
    return resolver_is_idle(rig->resolver) && rig->http.server.session_count == 0;
}

static void rig_free(struct rig *rig)
{
    http_client_free(&rig->client);
    listener_close(&rig->listener);
    resolver_stop(rig->resolver);
    server_abort_all(&rig->http.server);
    assert_true(net_until(rig->net, is_quiet, rig));
    net_turn(rig->net);
    resolver_free(&rig->resolver);
    http_server_fini(&rig->http);
    io_fini(&rig->io);
    if (rig->dir.path[0])
        temp_dir_remove(&rig->dir);
    free(rig);
}

/* ---- Requests ---- */

struct ask {
    struct http_request r;
    struct rig *rig;
    size_t got;     /* bytes of the answer, which are as they should be */
    size_t expects; /* of a GET; of a PUT: how many it sends */
    unsigned dones;
    int error, status;
    char url[200];
};

static struct ask *of(struct http_request *r)
{
    return CONTAINER_OF(r, struct ask, r);
}

static void on_head(struct http_request *r)
{
    of(r)->status = r->status;
}

static void on_data(struct http_request *r, slice data)
{
    struct ask *a = of(r);
    assert_true(test_is_pattern(data, a->got));
    a->got += data.n;
}

static void on_done(struct http_request *r, int error)
{
    struct ask *a = of(r);
    a->dones++;
    a->error = error;
    if (error || r->method_id != HTTP_PUT)
        return;
    uint64_t n;
    assert_true(num_u64(r->collected, &n));
    assert_int_equal(n, a->expects);
}

static void on_room(struct http_request *r)
{
    static char text[MOST];
    struct ask *a = of(r);
    while (!http_request_is_full(r)) {
        size_t n = MIN((size_t)5000, a->expects - (size_t)r->pushed);
        if (n == 0) {
            http_request_end(r);
            return;
        }
        test_pattern(text, n, (size_t)r->pushed);
        if (!http_request_write(r, slice_of(text, n)))
            return;
    }
}

static struct ask *ask_new(struct rig *rig, const char *base, const char *kind, size_t n)
{
    struct ask *a = calloc(1, sizeof *a);
    const char *why = "";
    a->rig = rig;
    a->expects = n;
    snprintf(a->url, sizeof a->url, "%s/%s%zu", base, kind, n);
    http_request_init(&a->r);
    if (!url_parse(slice_str(a->url), &a->r.url, &why))
        fail_msg("%s: %s", a->url, why);
    a->r.on_head = on_head;
    a->r.on_done = on_done;
    a->r.on_data = on_data;
    return a;
}

/* The [i]th of many: GET of a length or chunked, PUT of a slice or pushed with or without length.
 */
static struct ask *ask_some(struct rig *rig, unsigned i)
{
    static char text[MOST];
    static const size_t sizes[] = {0, 1, 100, 8192, 8193, 70000, MOST};
    size_t n = sizes[i % COUNT_OF(sizes)];
    unsigned kind = i % 5;
    struct ask *a = ask_new(rig, rig->base, kind == 1 ? "c" : "", n);
    if (kind >= 2) {
        a->r.method = SLICE("PUT");
        a->r.on_data = NULL;
        test_pattern(text, sizeof text, 0);
        a->r.body = kind == 2 ? slice_of(text, n) : slice_of(NULL, 0);
        a->r.is_pushed = kind > 2;
        a->r.push_length = kind == 3 ? (int64_t)n : -1;
        a->r.on_room = on_room;
    }
    if (kind == 2 && n == 0)
        a->r.body = SLICE("");
    if (kind >= 2 && n == 0) { /* an empty body is none to the handler: it answers as to GET */
        a->r.method = SLICE("GET");
        a->r.is_pushed = false;
        a->r.body = slice_of(NULL, 0);
    }
    assert_int_equal(http_request_start(rig->client, &a->r), 0);
    assert_int_equal(a->dones, 0);
    return a;
}

static bool is_done(void *arg)
{
    return ((struct ask *)arg)->dones > 0;
}

static void ask_end(struct ask *a)
{
    assert_true(net_until(a->rig->net, is_done, a));
    assert_int_equal(a->dones, 1);
    bool is_wild = a->rig->net->kind == NET_SIM_WILD; /* where accepting may fail */
    if (a->error && is_wild)
        a->rig->failed++;
    else if (a->error)
        fail_msg("%s: %s", a->url, http_client_error_text(a->error));
    if (!a->error)
        assert_int_equal(a->status, 200);
    if (!a->error && a->r.method_id == HTTP_GET && a->r.on_data)
        assert_int_equal(a->got, a->expects);
    free(a);
}

#define ASKS 35

static void one_after_another(struct test_net *net)
{
    struct rig *rig = rig_new(net);
    for (unsigned i = 0; i < ASKS; i++)
        ask_end(ask_some(rig, i));
    struct http_client_stats stats = http_client_stats(rig->client);
    if (!net_is_sim(net->kind) || net->kind == NET_SIM_CALM) {
        assert_int_equal(stats.dialled, 1);
        assert_int_equal(stats.reused, ASKS - 1);
    }
    assert_true(rig->failed < ASKS / 2);
    rig_free(rig);
}

static void all_at_once(struct test_net *net)
{
    struct rig *rig = rig_new(net);
    struct ask *asks[ASKS];
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < ASKS; i++)
            asks[i] = ask_some(rig, i + round);
        for (unsigned i = 0; i < ASKS; i++)
            ask_end(asks[i]);
    }
    assert_true(rig->failed < ASKS);
    rig_free(rig);
}

/* Given up in every state. */
static void cancelled(struct test_net *net)
{
    struct rig *rig = rig_new(net);
    for (unsigned turns = 0; turns < 12; turns++) {
        struct ask *a = ask_some(rig, turns * 3);
        for (unsigned i = 0; i < turns && !a->dones; i++)
            net_turn(net);
        http_request_cancel(&a->r);
        free(a);
    }
    struct ask *a = ask_some(rig, 0);
    http_client_cancel_all(rig->client);
    net_settle(net);
    assert_int_equal(a->dones, 0);
    free(a);
    rig_free(rig);
}

/* ---- Servers that do not behave ---- */

struct mischief {
    slice answer;
    bool closes;
    int error;
};

static const struct mischief mischiefs[] = {
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), true, HTTP_CLIENT_CUT_SHORT},
    {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n"), true,
     HTTP_CLIENT_CUT_SHORT},
    {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\n"), false,
     HTTP_CLIENT_BAD_CHUNKS},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n"), false, HTTP_CLIENT_BAD_HEAD},
    {SLICE("HTTP/1.1 2"), true, HTTP_CLIENT_CUT_SHORT},
    {SLICE("220 mail.example ESMTP\r\n"), false, HTTP_CLIENT_BAD_HEAD},
    {SLICE("\x15\x03\x01\0\2\2\x50"), false, HTTP_CLIENT_BAD_HEAD}, /* TLS */
    {SLICE("HTTP/1.1 200 OK\r\n"), false, HTTP_CLIENT_HEAD_TIMEOUT},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), false, HTTP_CLIENT_IDLE_TIMEOUT},
    {SLICE(""), true, HTTP_CLIENT_NO_ANSWER},
};

static bool has_arrived(void *peer)
{
    return slice_has_suffix(peer_received(peer), SLICE("\r\n\r\n"));
}

static void hostile(struct test_net *net)
{
    struct rig *rig = rig_new(net);
    for (size_t i = 0; i < COUNT_OF(mischiefs); i++) {
        const struct mischief *m = &mischiefs[i];
        struct ask *a = ask_new(rig, "http://nowhere.example", "", i);
        int fd;
        struct test_peer *peer = net_peer(net, &fd);
        assert_int_equal(http_client_adopt(rig->client, &a->r.url, fd), 0);
        a->r.method = SLICE("POST"); /* never retried */
        if (m->error == HTTP_CLIENT_HEAD_TIMEOUT)
            a->r.head_ms = 20;
        if (m->error == HTTP_CLIENT_IDLE_TIMEOUT)
            a->r.idle_ms = 20;
        assert_int_equal(http_request_start(rig->client, &a->r), 0);
        if (m->answer.n)
            peer_send(peer, m->answer);
        else
            assert_true(net_until(net, has_arrived, peer));
        if (m->closes)
            peer_shutdown(peer);
        assert_true(net_until(net, is_done, a));
        if (a->error != m->error)
            print_error("%.*s: %s\n", SLICE_ARGS(m->answer), http_client_error_text(a->error));
        assert_int_equal(a->error, m->error);
        assert_int_equal(a->dones, 1);
        free(a);
    }
    rig_free(rig);
}

ON_ALL(hostile)
ON_ALL(one_after_another)
ON_ALL(all_at_once)
ON_ALL(cancelled)

/* By name: looked up, then connected. */
static void by_name(struct test_net *net)
{
    struct rig *rig = rig_new(net);
    char base[64];
    snprintf(base, sizeof base, "http://localhost%s", strrchr(rig->base, ':'));
    struct ask *a = ask_new(rig, base, "", 1000);
    assert_int_equal(http_request_start(rig->client, &a->r), 0);
    ask_end(a);
    a = ask_new(rig, "http://name..example", "", 1);
    int error = http_request_start(rig->client, &a->r);
    if (!error) {
        assert_true(net_until(net, is_done, a));
        error = a->error;
    }
    assert_int_equal(error, HTTP_CLIENT_NO_ADDRESS);
    assert_non_null(a->r.why);
    free(a);
    a = ask_new(rig, base, "", 1); /* given up while it is looked up */
    assert_int_equal(http_request_start(rig->client, &a->r), 0);
    http_request_cancel(&a->r);
    free(a);
    net_settle(net);
    rig_free(rig);
}

static void test_by_name(void **state)
{
    test_on(NET_EPOLL_TCP, 0, by_name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile),     cmocka_unit_test(test_one_after_another),
        cmocka_unit_test(test_all_at_once), cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
