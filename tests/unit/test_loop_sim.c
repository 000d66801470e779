/* What only the simulator promises: virtual time, replay, scripted accidents, and that it catches
 * those who break the contract of loop.h. */
#include "loop/loop_sim.h"

#include "test_kinds.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

struct conn {
    struct loop_fd lfd;
    struct test_net *net;
    size_t got, calls;
    int end;
    ssize_t sent;
    bool is_sent;
    int accepted[4];
    int accepts, errors, last_error;
    uint64_t trace; /* of sizes and times */
};

static void on_recv(struct loop_fd *fd, slice in, int end)
{
    struct conn *c = CONTAINER_OF(fd, struct conn, lfd);
    c->got += in.n;
    c->calls++;
    c->end = in.n ? 1 : end;
    c->trace = c->trace * 31 + in.n + (uint64_t)loop_now_ms(c->net->loop);
}

static void on_sent(struct loop_fd *fd, ssize_t n)
{
    struct conn *c = CONTAINER_OF(fd, struct conn, lfd);
    c->sent = n;
    c->is_sent = true;
}

static void on_accept(struct loop_fd *fd, int sock, const struct sockaddr *peer, socklen_t n)
{
    struct conn *c = CONTAINER_OF(fd, struct conn, lfd);
    if (sock >= 0) {
        assert_int_equal(peer->sa_family, AF_INET);
        assert_true(c->accepts < 4);
        c->accepted[c->accepts++] = sock;
        return;
    }
    c->errors++;
    c->last_error = sock;
    loop_accept_stop(c->net->loop, fd);
}

static const struct loop_fd_ops ops = {
    .on_recv = on_recv, .on_sent = on_sent, .on_accept = on_accept};

static struct sim_peer *open_conn(struct conn *c, struct test_net *net)
{
    int fd;
    struct sim_peer *p = loop_sim_peer(net->sim, &fd);
    *c = (struct conn){.net = net, .end = 1};
    assert_non_null(p);
    assert_int_equal(loop_open(net->loop, &c->lfd, fd, &ops), 0);
    loop_recv_start(net->loop, &c->lfd);
    return p;
}

static void open_listener(struct conn *c, struct test_net *net)
{
    *c = (struct conn){.net = net};
    assert_int_equal(loop_open(net->loop, &c->lfd, loop_sim_listen(net->sim), &ops), 0);
    loop_accept_start(net->loop, &c->lfd);
}

static struct test_net *calm(void)
{
    return net_new(NET_SIM_CALM, 0);
}

static ssize_t send_bytes(struct conn *c, char *p, size_t n)
{
    struct iovec iov = {p, n};
    return loop_send(c->net->loop, &c->lfd, &iov, 1, false);
}

/* ---- Time ---- */

static void on_hour(struct timeout *t)
{
}

static void test_time_is_virtual(void **state)
{
    struct test_net *net = calm();
    struct timeout t;
    timeout_init(&t, on_hour);
    int64_t start = loop_sim_now_ms(net->sim), unix_s = loop_unix_s(net->loop);
    timeout_set(loop_wheel(net->loop), &t, start + 3600000);
    assert_false(loop_sim_drain(net->sim, 3599999));
    assert_true(timeout_is_set(&t));
    assert_true(loop_sim_drain(net->sim, 1000));
    assert_false(timeout_is_set(&t));
    loop_sim_advance(net->sim, 5000);
    assert_int_equal(loop_unix_s(net->loop), unix_s + 3605);
    assert_true(loop_sim_now_ms(net->sim) >= start + 3605000);
    int64_t now = loop_sim_now_ms(net->sim);
    loop_sim_settle(net->sim);
    assert_int_equal(loop_sim_now_ms(net->sim), now);
    loop_run(net->loop); /* nothing is awaited: it returns */
    net_free(&net);
}

static uint64_t trace_of(uint64_t seed)
{
    struct test_net *net = net_new(NET_SIM_WILD, seed);
    struct conn c;
    struct sim_peer *p = open_conn(&c, net);
    char bytes[5000] = {0};
    for (int i = 0; i < 5; i++) {
        sim_peer_send(p, slice_of(bytes, sizeof bytes));
        loop_sim_advance(net->sim, 3);
    }
    loop_sim_advance(net->sim, 1000);
    assert_int_equal(c.got, 5 * sizeof bytes);
    loop_close(net->loop, &c.lfd);
    net_free(&net);
    return c.trace;
}

static void test_the_same_seed_is_the_same_run(void **state)
{
    assert_true(trace_of(5) == trace_of(5));
    assert_true(trace_of(5) != trace_of(6));
}

/* ---- Scripts ---- */

static void test_reads_byte_by_byte(void **state)
{
    struct loop_sim_settings set = {.recv_max = 1, .send_max = 2};
    struct test_net *net = net_new_sim(&set);
    struct conn c;
    struct sim_peer *p = open_conn(&c, net);
    sim_peer_send(p, SLICE("abc"));
    loop_sim_settle(net->sim);
    assert_int_equal(c.calls, 3);
    char out[] = "xyz";
    assert_int_equal(send_bytes(&c, out, 3), 2);
    assert_int_equal(send_bytes(&c, out, 1), 1);
    assert_true(slice_is(sim_peer_received(p), SLICE("xyx")));
    sim_peer_forget(p);
    assert_int_equal(sim_peer_received(p).n, 0);
    loop_close(net->loop, &c.lfd);
    net_free(&net);
}

static void test_slow_peer(void **state)
{
    struct loop_sim_settings set = {.buffer_bytes = 10};
    struct test_net *net = net_new_sim(&set);
    struct conn c;
    char out[] = "0123456789abcdef";
    struct sim_peer *p = open_conn(&c, net);
    sim_peer_slow(p, true);
    assert_int_equal(send_bytes(&c, out, 16), 10);
    assert_int_equal(loop_unsent(net->loop, &c.lfd), 10);
    assert_int_equal(send_bytes(&c, out, 16), LOOP_PENDING);
    loop_sim_settle(net->sim);
    assert_false(c.is_sent);
    assert_int_equal(sim_peer_read(p, 4), 4);
    assert_int_equal(sim_peer_waiting(p), 6);
    loop_sim_settle(net->sim);
    assert_true(c.is_sent);
    assert_int_equal(c.sent, 0);
    assert_int_equal(send_bytes(&c, out, 16), 4);
    sim_peer_slow(p, false);
    assert_true(slice_is(sim_peer_received(p), SLICE("01234567890123")));
    loop_close(net->loop, &c.lfd);
    assert_true(sim_peer_is_eof(p));
    assert_true(sim_peer_is_gone(p));
    net_free(&net);
}

static void test_reset_at_a_byte(void **state)
{
    for (uint64_t at = 0; at <= 8; at++) {
        struct test_net *net = calm();
        struct conn c, d;
        char out[] = "01234567";
        struct sim_peer *p = open_conn(&c, net);
        sim_peer_reset_at(p, UINT64_MAX, at);
        sim_peer_send(p, SLICE("01234567"));
        loop_sim_settle(net->sim);
        assert_int_equal(c.got, at);
        assert_int_equal(c.end, -ECONNRESET);
        assert_true(sim_peer_is_reset(p));
        struct sim_peer *q = open_conn(&d, net);
        sim_peer_reset_at(q, at, UINT64_MAX);
        ssize_t n = send_bytes(&d, out, 8);
        assert_int_equal(n, at ? (ssize_t)at : -ECONNRESET);
        loop_sim_settle(net->sim);
        assert_int_equal(d.end, -ECONNRESET);
        assert_int_equal(sim_peer_received(q).n, at);
        assert_int_equal(send_bytes(&d, out, 8), -EPIPE);
        loop_close(net->loop, &c.lfd);
        loop_close(net->loop, &d.lfd);
        net_free(&net);
    }
}

static void test_calls_fail_by_script(void **state)
{
    struct test_net *net = calm();
    struct conn c;
    char out[] = "x";
    struct sim_peer *p = open_conn(&c, net);
    loop_sim_fail(net->sim, SIM_SEND, 2, ENOBUFS, false);
    assert_int_equal(send_bytes(&c, out, 1), 1);
    assert_int_equal(send_bytes(&c, out, 1), -ENOBUFS);
    assert_int_equal(send_bytes(&c, out, 1), 1);
    loop_sim_fail(net->sim, SIM_SEND, 1, ECONNRESET, true);
    assert_int_equal(send_bytes(&c, out, 1), -ECONNRESET);
    assert_int_equal(send_bytes(&c, out, 1), -ECONNRESET);
    assert_int_equal(loop_sim_calls(net->sim, SIM_SEND), 5);
    loop_sim_fail(net->sim, SIM_ANY, 1, ENOMEM, false);
    sim_peer_send(p, SLICE("y"));
    loop_sim_settle(net->sim);
    assert_int_equal(c.end, -ENOMEM);
    loop_close(net->loop, &c.lfd);
    net_free(&net);
}

static void test_open_fails_by_script(void **state)
{
    struct test_net *net = calm();
    struct conn c = {.net = net};
    int fd;
    struct sim_peer *p = loop_sim_peer(net->sim, &fd);
    loop_sim_fail(net->sim, SIM_OPEN, 1, ENOMEM, false);
    assert_int_equal(loop_open(net->loop, &c.lfd, fd, &ops), -ENOMEM);
    close(fd); /* as stream_open does */
    loop_sim_settle(net->sim);
    assert_true(sim_peer_is_gone(p));
    net_free(&net);
}

static void test_accept_runs_out_of_descriptors(void **state)
{
    struct test_net *net = calm();
    struct conn c;
    open_listener(&c, net);
    struct sim_peer *p = loop_sim_connect(net->sim, c.lfd.fd);
    sim_peer_send(p, SLICE("early"));
    loop_sim_fail(net->sim, SIM_ACCEPT, 1, EMFILE, false);
    loop_sim_settle(net->sim);
    assert_int_equal(c.errors, 1);
    assert_int_equal(c.last_error, -EMFILE);
    assert_false(sim_peer_is_gone(p)); /* it waits */
    loop_accept_start(net->loop, &c.lfd);
    loop_sim_settle(net->sim);
    assert_int_equal(c.accepts, 1);
    assert_false(sim_peer_is_gone(p));
    close(c.accepted[0]); /* refused without asking the loop: seen all the same */
    loop_sim_settle(net->sim);
    assert_true(sim_peer_is_gone(p));
    assert_true(sim_peer_is_reset(p)); /* it had unread bytes */
    loop_sim_fail(net->sim, SIM_ACCEPT, 1, ECONNABORTED, false);
    struct sim_peer *q = loop_sim_connect(net->sim, c.lfd.fd);
    loop_sim_settle(net->sim);
    assert_true(sim_peer_is_gone(q));
    assert_int_equal(c.errors, 1);
    int listener = c.lfd.fd;
    loop_close(net->loop, &c.lfd);
    assert_null(loop_sim_connect(net->sim, listener));
    net_free(&net);
}

static void test_pair(void **state)
{
    struct test_net *net = calm();
    int fds[2];
    assert_int_equal(loop_sim_pair(net->sim, fds), 0);
    struct conn c[2] = {{.net = net, .end = 1}, {.net = net, .end = 1}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(loop_open(net->loop, &c[i].lfd, fds[i], &ops), 0);
        loop_recv_start(net->loop, &c[i].lfd);
    }
    char out[] = "hello";
    assert_int_equal(send_bytes(&c[0], out, 5), 5);
    loop_close(net->loop, &c[0].lfd);
    loop_sim_settle(net->sim);
    assert_int_equal(c[1].got, 5);
    assert_int_equal(c[1].end, 0);
    loop_close(net->loop, &c[1].lfd);
    net_free(&net);
}

static void test_many_come_and_go(void **state)
{
    struct test_net *net = calm();
    for (int i = 0; i < 2000; i++) {
        struct conn c;
        struct sim_peer *p = open_conn(&c, net);
        sim_peer_send(p, SLICE("x"));
        loop_sim_settle(net->sim);
        assert_int_equal(c.got, 1);
        loop_close(net->loop, &c.lfd);
        sim_peer_free(&p);
        sim_peer_free(&p); /* NULL is accepted */
    }
    net_free(&net);
}

/* ---- Breaking the contract ---- */

/* [crime] must be caught: in a child process, which aborts. */
static void is_caught(void (*crime)(struct test_net *net, struct conn *c))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(3);
        struct loop_sim_settings set = {.send_delayed = 1000, .delay_ms = 5};
        struct test_net *net = net_new_sim(&set);
        struct conn c;
        open_conn(&c, net);
        crime(net, &c);
        _exit(0); /* not caught */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void changes_pending_memory(struct test_net *net, struct conn *c)
{
    char out[] = "0123";
    if (send_bytes(c, out, 4) != LOOP_PENDING)
        return;
    out[2] = 'x';
    loop_sim_advance(net->sim, 100);
}

static void sends_while_pending(struct test_net *net, struct conn *c)
{
    char out[] = "0123";
    if (send_bytes(c, out, 4) == LOOP_PENDING)
        c->sent = send_bytes(c, out, 4);
}

static void closes_pending_file(struct test_net *net, struct conn *c)
{
    FILE *f = tmpfile();
    if (!f || fputs("0123", f) < 0 || fflush(f) < 0)
        return;
    if (loop_sendfile(net->loop, &c->lfd, fileno(f), 0, 4) != LOOP_PENDING)
        return;
    fclose(f);
    loop_sim_advance(net->sim, 100);
}

static void sends_nothing(struct test_net *net, struct conn *c)
{
    char out[] = "";
    c->sent = send_bytes(c, out, 0);
}

static void opens_twice(struct test_net *net, struct conn *c)
{
    struct loop_fd again;
    if (loop_open(net->loop, &again, c->lfd.fd, &ops) == 0)
        c->got = 1;
}

static void test_crimes_are_caught(void **state)
{
    is_caught(changes_pending_memory);
    is_caught(sends_while_pending);
    is_caught(closes_pending_file);
    is_caught(sends_nothing);
    is_caught(opens_twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_is_virtual),
        cmocka_unit_test(test_the_same_seed_is_the_same_run),
        cmocka_unit_test(test_reads_byte_by_byte),
        cmocka_unit_test(test_slow_peer),
        cmocka_unit_test(test_reset_at_a_byte),
        cmocka_unit_test(test_calls_fail_by_script),
        cmocka_unit_test(test_open_fails_by_script),
        cmocka_unit_test(test_accept_runs_out_of_descriptors),
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_many_come_and_go),
        cmocka_unit_test(test_crimes_are_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
