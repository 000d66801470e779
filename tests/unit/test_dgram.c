/* Datagrams, on every engine, and loop_poll, which is epoll's alone. */
#include "io/dgram.h"

#include "test_kinds.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#define BIG 60000

struct end {
    struct dgram d;
    struct test_net *net;
    struct addr at;
    unsigned told, empties;
    size_t longest;
    uint64_t sum;
    bool echoes, closes_itself;
    uint16_t from_port;
    int from_family;
};

static void on_datagram(struct dgram *d, slice in, const struct addr *from)
{
    struct end *e = CONTAINER_OF(d, struct end, d);
    e->told++;
    e->empties += in.n == 0;
    e->longest = MAX(e->longest, in.n);
    for (size_t i = 0; i < in.n; i++)
        e->sum += (uint8_t)in.p[i];
    e->from_port = addr_port(from);
    e->from_family = from->any.sa_family;
    if (e->echoes)
        assert_int_equal(dgram_send(d, in, from), 0);
    if (e->closes_itself)
        dgram_close(d);
}

/* NET_EPOLL_UNIX stands here for a socket of both IPv6 and IPv4, spoken to by IPv4. */
static void end_open(struct end *e, struct test_net *net, uint16_t port)
{
    const char *why;
    *e = (struct end){.net = net, .d.on_datagram = on_datagram};
    if (net->sim) {
        struct sim_addr at = sim_ipv4("192.0.2.1", port);
        assert_int_equal(dgram_adopt(&e->d, net->loop, loop_sim_dgram(net->sim, at)), 0);
        e->at.bytes = at.bytes;
        memcpy(&e->at.storage, at.raw, at.bytes);
        return;
    }
    slice place = net->kind == NET_EPOLL_TCP ? SLICE("127.0.0.1:0") : SLICE(":0");
    assert_true(addr_parse(place, &e->at, &why));
    assert_int_equal(dgram_open(&e->d, net->loop, &e->at), 0);
    assert_true(addr_parse(SLICE("127.0.0.1:0"), &e->at, &why));
    ((struct sockaddr_in *)&e->at.storage)->sin_port = htons(addr_port(&e->d.addr));
}

static bool was_told(void *arg)
{
    return ((struct end *)arg)->told > 0;
}

static bool was_told_all(void *arg)
{
    return ((struct end *)arg)->told == 3;
}

static char big[70000];

/* Where datagrams get lost, this asks again. */
static void say(struct end *from, const struct end *to, slice what)
{
    assert_int_equal(dgram_send(&from->d, what, &to->at), 0);
}

static void there_and_back(struct test_net *net)
{
    struct end a, b;
    end_open(&a, net, 1);
    end_open(&b, net, 2);
    b.echoes = true;
    dgram_start(&a.d);
    dgram_start(&b.d);
    for (int i = 0; i < 100 && !a.told; i++) {
        say(&a, &b, SLICE("hello"));
        net_settle(net);
    }
    assert_true(a.told && b.told);
    assert_int_equal(a.longest, 5);
    assert_int_equal(a.from_family, AF_INET);
    assert_int_equal(a.from_port, addr_port(&b.at));
    assert_int_equal(b.from_port, addr_port(&a.at));
    assert_int_equal(a.d.received, a.told);
    assert_int_equal(a.d.dropped, 0);
    dgram_close(&a.d);
    dgram_close(&b.d);
    dgram_close(&b.d);
    assert_int_equal(dgram_send(&b.d, SLICE("x"), &a.at), -EBADF);
}
ON_ALL(there_and_back)

static void each_is_one(struct test_net *net)
{
    if (net->kind == NET_SIM_WILD)
        return;
    struct end a, b;
    end_open(&a, net, 1);
    end_open(&b, net, 2);
    memset(big, 1, sizeof big);
    say(&a, &b, slice_of(big, BIG));
    say(&a, &b, SLICE(""));
    say(&a, &b, slice_of(big, 3));
    net_settle(net);
    assert_int_equal(b.told, 0); /* not asked for */
    dgram_start(&b.d);
    assert_true(net_until(net, was_told_all, &b));
    assert_int_equal(b.empties, 1);
    assert_int_equal(b.longest, BIG);
    assert_int_equal(b.sum, BIG + 3);
    dgram_stop(&b.d);
    say(&a, &b, SLICE("later"));
    net_settle(net);
    assert_int_equal(b.told, 3);
    b.told = 0;
    dgram_start(&b.d);
    assert_true(net_until(net, was_told, &b));
    assert_int_equal(dgram_send(&a.d, slice_of(big, sizeof big), &b.at), -EMSGSIZE);
    assert_int_equal(a.d.dropped, 1);
    assert_int_equal(a.d.sent, 4);
    dgram_close(&a.d);
    dgram_close(&b.d);
}
ON_ALL(each_is_one)

/* More than one turn's share: nothing is forgotten. */
static void many(struct test_net *net)
{
    if (net->kind == NET_SIM_WILD)
        return;
    struct end a, b;
    end_open(&a, net, 1);
    end_open(&b, net, 2);
    dgram_start(&b.d);
    net_settle(net);
    unsigned n = net->sim ? 60 : 200;
    for (unsigned i = 0; i < n; i++)
        say(&a, &b, SLICE("x"));
    net_settle(net);
    assert_int_equal(b.told, n);
    dgram_close(&a.d);
    dgram_close(&b.d);
}
ON_ALL(many)

/* The network's answer to a datagram for nobody must not end what others say. */
static void nobody_there(struct test_net *net)
{
    if (net->kind == NET_SIM_WILD)
        return;
    struct end a, b, gone;
    end_open(&a, net, 1);
    end_open(&b, net, 2);
    end_open(&gone, net, 3);
    dgram_close(&gone.d);
    dgram_start(&a.d);
    for (int i = 0; i < 3; i++)
        (void)!dgram_send(&a.d, SLICE("anybody?"), &gone.at);
    net_settle(net);
    say(&b, &a, SLICE("me"));
    assert_true(net_until(net, was_told, &a));
    dgram_close(&a.d);
    dgram_close(&b.d);
}
ON_ALL(nobody_there)

static void closes_itself(struct test_net *net)
{
    if (net->kind == NET_SIM_WILD)
        return;
    struct end a, b;
    end_open(&a, net, 1);
    end_open(&b, net, 2);
    b.closes_itself = true;
    say(&a, &b, SLICE("one"));
    say(&a, &b, SLICE("two"));
    dgram_start(&b.d);
    net_settle(net);
    assert_int_equal(b.told, 1);
    dgram_close(&a.d);
}
ON_ALL(closes_itself)

static void with_the_test(struct test_net *net)
{
    struct end a;
    struct sim_addr far = sim_ipv4("198.51.100.9", 53), from, to;
    struct addr there = {.bytes = far.bytes};
    char got[16];
    memcpy(&there.storage, far.raw, far.bytes);
    end_open(&a, net, 1);
    dgram_start(&a.d);
    ssize_t n = -1;
    for (int i = 0; i < 100 && n < 0; i++) {
        assert_int_equal(dgram_send(&a.d, SLICE("question"), &there), 0);
        n = loop_sim_datagram_sent(net->sim, &from, &to, got, sizeof got);
    }
    assert_int_equal(n, 8);
    assert_memory_equal(got, "question", 8);
    assert_memory_equal(&to, &far, sizeof far);
    while (!loop_sim_datagram(net->sim, to, from, SLICE("answer")))
        ;
    assert_true(net_until(net, was_told, &a));
    assert_int_equal(a.longest, 6);
    assert_int_equal(a.from_port, 53);
    loop_sim_fail(net->sim, SIM_SEND_TO, 1, EAGAIN, false);
    assert_int_equal(dgram_send(&a.d, SLICE("x"), &there), -EAGAIN);
    assert_int_equal(a.d.dropped, 1);
    dgram_close(&a.d);
    assert_false(loop_sim_datagram(net->sim, to, from, SLICE("late")));
}
ON_SIM(with_the_test)

static void no_such_place(struct test_net *net)
{
    struct dgram d = {.on_datagram = on_datagram};
    struct addr at;
    const char *why;
    if (net->sim)
        return;
    assert_true(addr_parse(SLICE("192.0.2.1:0"), &at, &why));
    assert_int_equal(dgram_open(&d, net->loop, &at), -EADDRNOTAVAIL);
    dgram_close(&(struct dgram){.lfd.fd = -1, .loop = net->loop});
    assert_int_equal(dgram_adopt(&d, net->loop, -1), -EBADF);
}
ON_ALL(no_such_place)

/* ---- loop_poll ---- */

struct watch {
    struct loop_fd lfd;
    struct loop *loop;
    unsigned told, events;
    bool reads, leaves;
};

static void on_ready(struct loop_fd *fd, unsigned events)
{
    struct watch *w = CONTAINER_OF(fd, struct watch, lfd);
    char byte;
    w->told++;
    w->events |= events;
    if (w->reads)
        assert_int_equal(read(fd->fd, &byte, 1), 1);
    if (w->leaves)
        (void)!loop_release(w->loop, fd);
}

static void polled(struct test_net *net)
{
    static const struct loop_fd_ops ops = {.on_ready = on_ready};
    int fds[2];
    if (net->sim)
        return;
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), errno);
    struct watch w = {.loop = net->loop};
    assert_int_equal(loop_open(net->loop, &w.lfd, fds[0], &ops), 0);
    net_settle(net);
    assert_int_equal(loop_poll(net->loop, &w.lfd, 0), 0);
    assert_int_equal(loop_poll(net->loop, &w.lfd, LOOP_READABLE), 0);
    net_settle(net);
    assert_int_equal(w.told, 0);
    assert_int_equal(write(fds[1], "abc", 3), 3);
    net_turn(net);
    net_turn(net);
    net_turn(net);
    assert_true(w.told >= 3); /* it is told again until it was read */
    assert_int_equal(w.events, LOOP_READABLE);
    w.told = 0;
    w.reads = true;
    net_settle(net);
    assert_int_equal(w.told, 3);
    w.reads = false;
    w.events = 0;
    assert_int_equal(loop_poll(net->loop, &w.lfd, LOOP_READABLE | LOOP_WRITABLE), 0);
    net_turn(net);
    assert_int_equal(w.events, LOOP_WRITABLE);
    assert_int_equal(loop_poll(net->loop, &w.lfd, 0), 0);
    w.told = 0;
    net_settle(net);
    close(fds[1]);
    net_settle(net);
    assert_int_equal(w.told, 0);
    w.leaves = true;
    assert_int_equal(loop_poll(net->loop, &w.lfd, LOOP_READABLE), 0);
    net_settle(net);
    assert_int_equal(w.told, 1);
    assert_int_equal(w.lfd.fd, -1);
    assert_return_code(close(fds[0]), errno); /* the library's, and still open */
}
ON_ALL(polled)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_each_is_one),
        cmocka_unit_test(test_many),           cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_closes_itself),  cmocka_unit_test(test_with_the_test),
        cmocka_unit_test(test_no_such_place),  cmocka_unit_test(test_polled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
