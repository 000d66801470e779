/* Outgoing connections, on every engine: loop_connect and loop_release below, connect_start above.
 */
#include "io/connect.h"
#include "io/listener.h"

#include "test_kinds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* ---- Places to connect to. ---- */

#define SOCKS 8

/* Somebody who accepts, by a listener that was open before. */
struct host {
    struct test_net *net;
    struct listener listener;
    struct addr at;
    int socks[SOCKS];
    int count;
};

static void on_accept(struct listener *l, int sock, const struct peer_addr *peer)
{
    struct host *h = CONTAINER_OF(l, struct host, listener);
    assert_true(h->count < SOCKS);
    h->socks[h->count++] = sock;
}

static struct addr addr_of_sim(struct sim_addr at)
{
    struct addr a = {.bytes = at.bytes};
    memcpy(&a.storage, at.raw, at.bytes);
    return a;
}

static struct sim_addr sim_addr_for(uint16_t port)
{
    return sim_ipv4("192.0.2.7", port);
}

static void host_open(struct host *h, struct test_net *net)
{
    *h = (struct host){.net = net, .listener.on_accept = on_accept};
    struct listener_settings settings = {.backlog = 64};
    int fd = net_listen(net);
    if (net->kind == NET_SIM_WILD)
        net->log.level = LOG_ERROR; /* accepting fails now and then, and that is logged */
    assert_int_equal(listener_adopt(&h->listener, net->loop, fd, &settings), 0);
    listener_start(&h->listener);
    h->at = h->listener.addr;
    if (!net->sim)
        return;
    struct sim_place place = {.listener = fd};
    loop_sim_place(net->sim, sim_addr_for(80), &place);
    h->at = addr_of_sim(sim_addr_for(80));
}

static void host_close(struct host *h)
{
    listener_close(&h->listener);
    for (int i = 0; i < h->count; i++)
        close(h->socks[i]);
}

/* An address that nobody listens at. */
static struct addr nobody(struct test_net *net)
{
    if (net->sim)
        return addr_of_sim(sim_addr_for(1));
    struct addr a = {.bytes = sizeof a.storage};
    int fd = net_listen(net);
    assert_return_code(getsockname(fd, &a.any, &a.bytes), errno);
    close(fd);
    return a;
}

/* An address that never answers: its backlog is full, so the kernel drops whoever knocks. */
struct silence {
    struct addr at;
    int fds[8];
};

static void silence_open(struct silence *s, struct test_net *net)
{
    *s = (struct silence){.at.bytes = sizeof s->at.storage};
    if (net->sim) {
        struct sim_place place = {.is_silent = true};
        loop_sim_place(net->sim, sim_addr_for(2), &place);
        s->at = addr_of_sim(sim_addr_for(2));
        return;
    }
    s->fds[0] = net_listen(net);
    assert_return_code(listen(s->fds[0], 0), errno);
    assert_return_code(getsockname(s->fds[0], &s->at.any, &s->at.bytes), errno);
    for (int i = 1; i < 8; i++) {
        s->fds[i] = socket(s->at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(s->fds[i] >= 0);
        (void)!connect(s->fds[i], &s->at.any, s->at.bytes);
    }
}

static void silence_close(struct silence *s)
{
    for (int i = 0; i < 8; i++)
        if (s->fds[i] > 0)
            close(s->fds[i]);
}

/* ---- Somebody who connects. ---- */

struct caller {
    struct connect connect;
    struct test_net *net;
    int sock, calls;
    int64_t done_ms;
};

static void on_done(struct connect *c, int sock)
{
    struct caller *k = CONTAINER_OF(c, struct caller, connect);
    k->sock = sock;
    k->calls++;
    k->done_ms = loop_now_ms(k->net->loop);
    assert_false(connect_is_busy(c));
    connect_cancel(c); /* harmless */
}

static int call(struct caller *k, struct test_net *net, const struct addr *addrs, unsigned count,
                int64_t timeout_ms)
{
    *k = (struct caller){.net = net, .connect.done = on_done, .sock = -1};
    int error = connect_start(&k->connect, net->loop, addrs, count, timeout_ms);
    assert_int_equal(k->calls, 0);
    return error;
}

static bool is_done(void *arg)
{
    return ((struct caller *)arg)->calls > 0;
}

static void caller_fini(struct caller *k)
{
    net_settle(k->net);
    assert_int_equal(k->calls, 1);
    if (k->sock >= 0)
        close(k->sock);
}

/* ---- It connects. ---- */

struct reader {
    struct loop_fd lfd;
    size_t got;
    int ended;
};

static void on_recv(struct loop_fd *fd, slice in, int end)
{
    struct reader *r = CONTAINER_OF(fd, struct reader, lfd);
    r->got += in.n;
    r->ended += in.n == 0;
}

static const struct loop_fd_ops reader_ops = {.on_recv = on_recv};

static bool has_ended(void *arg)
{
    return ((struct reader *)arg)->ended > 0;
}

static bool someone_came(void *arg)
{
    return ((struct host *)arg)->count > 0;
}

static void check_socket(struct test_net *net, int sock)
{
    int one = 0;
    socklen_t n = sizeof one;
    if (net->kind == NET_EPOLL_TCP)
        assert_return_code(getsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, &n), errno);
    assert_int_equal(one != 0, net->kind == NET_EPOLL_TCP);
}

/* Bytes pass from the one who accepted to the one who connected. */
static void talk(struct host *h, int sock)
{
    struct loop *loop = h->net->loop;
    struct reader r = {.lfd.fd = -1};
    struct reader a = {.lfd.fd = -1};
    char hello[] = "hello";
    struct iovec iov = {hello, 5};
    assert_int_equal(loop_open(loop, &r.lfd, sock, &reader_ops), 0);
    assert_int_equal(loop_open(loop, &a.lfd, h->socks[0], &reader_ops), 0);
    h->count = 0;
    loop_recv_start(loop, &r.lfd);
    assert_int_equal(loop_send(loop, &a.lfd, &iov, 1, false), 5);
    loop_shutdown(loop, &a.lfd);
    assert_true(net_until(h->net, has_ended, &r));
    assert_int_equal(r.got, 5);
    loop_close(loop, &r.lfd);
    loop_close(loop, &a.lfd);
}

static void connects(struct test_net *net)
{
    struct host h;
    struct caller k;
    host_open(&h, net);
    assert_int_equal(call(&k, net, &h.at, 1, 5000), 0);
    assert_true(net_until(net, is_done, &k));
    assert_true(k.sock >= 0);
    assert_int_equal(k.connect.won, 0);
    check_socket(net, k.sock);
    if (net->kind != NET_SIM_WILD) { /* there, some are dropped, and sends take their time */
        assert_true(net_until(net, someone_came, &h));
        talk(&h, k.sock);
        k.sock = -1;
    }
    caller_fini(&k);
    host_close(&h);
}
ON_ALL(connects)

static void goes_to_the_test(struct test_net *net)
{
    struct caller k;
    struct sim_addr at = sim_addr_for(443);
    struct addr addr = addr_of_sim(at);
    struct sim_place place = {.listener = -1, .delay_ms = 30};
    loop_sim_place(net->sim, at, &place);
    int64_t began = loop_sim_now_ms(net->sim);
    assert_int_equal(call(&k, net, &addr, 1, 5000), 0);
    assert_null(loop_sim_arrived(net->sim, at));
    assert_true(net_until(net, is_done, &k));
    assert_true(k.done_ms >= began + 30);
    struct sim_peer *p = loop_sim_arrived(net->sim, at);
    assert_non_null(p);
    assert_null(loop_sim_arrived(net->sim, at));
    struct reader r;
    assert_int_equal(loop_open(net->loop, &r.lfd, k.sock, &reader_ops), 0);
    r.got = 0;
    r.ended = 0;
    loop_recv_start(net->loop, &r.lfd);
    sim_peer_send(p, SLICE("hello"));
    sim_peer_close(p);
    assert_true(net_until(net, has_ended, &r));
    assert_int_equal(r.got, 5);
    loop_close(net->loop, &r.lfd);
    k.sock = -1;
    caller_fini(&k);
}
ON_SIM(goes_to_the_test)

/* ---- It does not. ---- */

static void refused(struct test_net *net)
{
    struct caller k;
    struct addr at[CONNECT_ADDRS_MAX];
    for (int i = 0; i < CONNECT_ADDRS_MAX; i++)
        at[i] = nobody(net);
    int error = call(&k, net, at, CONNECT_ADDRS_MAX, 60000);
    if (net->kind == NET_EPOLL_UNIX) { /* the kernel knows at once */
        assert_int_equal(error, -ECONNREFUSED);
        return;
    }
    assert_int_equal(error, 0);
    assert_true(net_until(net, is_done, &k));
    assert_int_equal(k.sock, -ECONNREFUSED);
    caller_fini(&k);
}
ON_ALL(refused)

static void the_next_is_tried_at_once(struct test_net *net)
{
    struct host h;
    struct caller k;
    host_open(&h, net);
    struct addr at[] = {nobody(net), h.at};
    assert_int_equal(call(&k, net, at, 2, 5000), 0);
    int64_t began = loop_now_ms(net->loop);
    assert_true(net_until(net, is_done, &k));
    assert_true(k.sock >= 0);
    assert_int_equal(k.connect.won, 1);
    if (net->sim)
        assert_true(k.done_ms < began + CONNECT_NEXT_MS);
    caller_fini(&k);
    host_close(&h);
}
ON_ALL(the_next_is_tried_at_once)

static void the_next_is_tried_after_silence(struct test_net *net)
{
    struct host h;
    struct caller k;
    struct silence s;
    if (net->kind == NET_EPOLL_UNIX)
        return; /* such sockets answer, or refuse */
    host_open(&h, net);
    silence_open(&s, net);
    struct addr at[] = {s.at, nobody(net), h.at};
    int64_t began = loop_now_ms(net->loop);
    assert_int_equal(call(&k, net, at, 3, 60000), 0);
    assert_true(net_until(net, is_done, &k));
    assert_true(k.sock >= 0);
    assert_int_equal(k.connect.won, 2);
    assert_true(k.done_ms >= began + CONNECT_NEXT_MS);
    caller_fini(&k);
    host_close(&h);
    silence_close(&s);
}
ON_ALL(the_next_is_tried_after_silence)

static void silence_has_an_end(struct test_net *net)
{
    struct caller k;
    struct silence s;
    if (net->kind == NET_EPOLL_UNIX)
        return;
    silence_open(&s, net);
    struct addr at[] = {s.at, s.at};
    int64_t began = loop_now_ms(net->loop);
    assert_int_equal(call(&k, net, at, 2, 300), 0);
    assert_true(net_until(net, is_done, &k));
    assert_int_equal(k.sock, -ETIMEDOUT);
    assert_true(k.done_ms >= began + 300);
    caller_fini(&k);
    silence_close(&s);
}
ON_ALL(silence_has_an_end)

static void cancelled_at_every_moment(struct test_net *net)
{
    for (int turns = 0; turns < 12; turns++) {
        struct host h;
        struct caller k;
        host_open(&h, net);
        struct addr at[] = {nobody(net), h.at, h.at};
        assert_int_equal(call(&k, net, at, 3, 5000), 0);
        for (int i = 0; i < turns; i++)
            net_turn(net);
        int calls = k.calls;
        connect_cancel(&k.connect);
        connect_cancel(&k.connect);
        net_settle(net);
        assert_int_equal(k.calls, calls);
        if (k.sock >= 0)
            close(k.sock);
        host_close(&h);
    }
}
ON_ALL(cancelled_at_every_moment)

static void cancelled_before_it_began(struct test_net *net)
{
    struct connect c = {0};
    connect_cancel(&c);
    assert_false(connect_is_busy(&c));
}
ON_ALL(cancelled_before_it_began)

/* Whichever call of the engine fails: done is called once, or an error was returned. */
static void calls_that_fail(struct test_net *net)
{
    for (uint64_t nth = 1; nth < 6; nth++) {
        struct host h;
        struct caller k;
        host_open(&h, net);
        struct addr at[] = {nobody(net), h.at, h.at};
        loop_sim_fail(net->sim, SIM_CONNECT, nth, EMFILE, true);
        int error = call(&k, net, at, 3, 5000);
        assert_int_equal(error, nth == 1 ? -EMFILE : 0);
        if (error == 0) {
            assert_true(net_until(net, is_done, &k));
            assert_true(nth > 2 ? k.sock >= 0 : k.sock == -EMFILE);
            caller_fini(&k);
        }
        loop_sim_fail(net->sim, SIM_CONNECT, 0, 0, false);
        host_close(&h);
        net_settle(net);
    }
}
ON_SIM(calls_that_fail)

static void no_such_network(struct test_net *net)
{
    if (net->sim)
        return;
    struct caller k;
    struct addr at;
    const char *why;
    assert_true(addr_parse(SLICE("unix:/nowhere/at/all"), &at, &why));
    assert_int_equal(call(&k, net, &at, 1, 5000), -ENOENT);
    net_settle(net);
    assert_int_equal(k.calls, 0);
}
ON_ALL(no_such_network)

/* ---- A listener that moves. ---- */

static void a_listener_is_moved(struct test_net *net)
{
    struct host old, new;
    struct caller k;
    host_open(&old, net);
    net_settle(net);
    int fd = listener_release(&old.listener);
    assert_true(fd >= 0);
    assert_int_equal(listener_release(&old.listener), -1);
    assert_int_equal(call(&k, net, &old.at, 1, 5000), 0);
    assert_true(net_until(net, is_done, &k)); /* it waits in the backlog */
    net_settle(net);
    assert_int_equal(old.count, 0);
    new = (struct host){.net = net, .listener.on_accept = on_accept};
    struct listener_settings settings = {.backlog = 64};
    assert_int_equal(listener_adopt(&new.listener, net->loop, fd, &settings), 0);
    listener_start(&new.listener);
    if (net->kind != NET_SIM_WILD)
        assert_true(net_until(net, someone_came, &new));
    caller_fini(&k);
    host_close(&new);
    listener_close(&old.listener); /* harmless */
}
ON_ALL(a_listener_is_moved)

/* Another process (here: a duplicate) may hold the same socket: closing must still take it out of
 * the loop. */
static void a_shared_listener_is_closed(struct test_net *net)
{
    if (net->sim)
        return;
    struct host h;
    struct caller k;
    host_open(&h, net);
    net_settle(net);
    int other = dup(h.listener.lfd.fd);
    assert_true(other >= 0);
    host_close(&h);
    memset(&h.listener, 0xdd, sizeof h.listener); /* nobody may look there any more */
    assert_int_equal(call(&k, net, &h.at, 1, 5000), 0);
    assert_true(net_until(net, is_done, &k));
    assert_true(k.sock >= 0);
    caller_fini(&k);
    close(other);
}
ON_ALL(a_shared_listener_is_closed)

static void what_does_not_listen_is_not_adopted(struct test_net *net)
{
    if (net->sim)
        return;
    struct listener l = {.on_accept = on_accept};
    struct listener_settings settings = {.backlog = 64};
    struct sockaddr_in any = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(listener_adopt(&l, net->loop, fd, &settings), -EINVAL);
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_return_code(bind(fd, (struct sockaddr *)&any, sizeof any), errno);
    assert_int_equal(listener_adopt(&l, net->loop, fd, &settings), -EINVAL);
    close(fd);
    assert_int_equal(listener_adopt(&l, net->loop, -1, &settings), -EBADF);
}
ON_ALL(what_does_not_listen_is_not_adopted)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connects),
        cmocka_unit_test(test_goes_to_the_test),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_the_next_is_tried_at_once),
        cmocka_unit_test(test_the_next_is_tried_after_silence),
        cmocka_unit_test(test_silence_has_an_end),
        cmocka_unit_test(test_cancelled_at_every_moment),
        cmocka_unit_test(test_cancelled_before_it_began),
        cmocka_unit_test(test_calls_that_fail),
        cmocka_unit_test(test_no_such_network),
        cmocka_unit_test(test_a_listener_is_moved),
        cmocka_unit_test(test_a_shared_listener_is_closed),
        cmocka_unit_test(test_what_does_not_listen_is_not_adopted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
