/* What loop.h promises of descriptors, passed by every engine. Time, order and jobs are in
 * test_loop_turn.c. */
#include "test_kinds.h"

#include "base/check.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* An owner of a descriptor that writes down what it is told. */
struct conn {
    struct loop_fd lfd;
    struct loop *loop;
    char *got;
    size_t got_n;
    int end;
    unsigned ends, recvs, sents;
    ssize_t sent_result;
    unsigned stop_after; /* stop receiving after so many calls */
    /* what it still has to send */
    char *out;
    size_t out_n, out_at;
    bool is_pending;
    int send_error;
    struct conn *victim; /* closed when something is told */
    bool closes_itself;
};

static void conn_close(struct conn *c)
{
    loop_close(c->loop, &c->lfd);
}

static void react(struct conn *c)
{
    if (c->victim)
        conn_close(c->victim);
    if (c->closes_itself)
        conn_close(c);
}

static void on_recv(struct loop_fd *fd, slice in, int end)
{
    struct conn *c = CONTAINER_OF(fd, struct conn, lfd);
    assert_true(fd->fd >= 0);
    assert_int_equal(c->ends, 0);
    c->recvs++;
    if (in.n) {
        c->got = realloc(c->got, c->got_n + in.n);
        assert_non_null(c->got);
        memcpy(c->got + c->got_n, in.p, in.n);
        c->got_n += in.n;
    } else {
        c->ends++;
        c->end = end;
    }
    if (c->recvs == c->stop_after)
        loop_recv_stop(c->loop, fd);
    react(c);
}

static void conn_send(struct conn *c)
{
    while (c->lfd.fd >= 0 && c->out_at < c->out_n && !c->is_pending && !c->send_error) {
        /* Two pieces, so that a vector is used. */
        size_t left = c->out_n - c->out_at, half = left / 2;
        char *p = c->out + c->out_at;
        struct iovec iov[2] = {{p, half}, {p + half, left - half}};
        int first = half ? 0 : 1;
        ssize_t n = loop_send(c->loop, &c->lfd, iov + first, 2 - first, false);
        assert_int_not_equal(n, 0);
        if (n == LOOP_PENDING)
            c->is_pending = true;
        else if (n < 0)
            c->send_error = (int)n;
        else
            c->out_at += (size_t)n;
    }
}

static void on_sent(struct loop_fd *fd, ssize_t n)
{
    struct conn *c = CONTAINER_OF(fd, struct conn, lfd);
    assert_true(fd->fd >= 0);
    assert_true(c->is_pending);
    c->is_pending = false;
    c->sents++;
    if (n < 0)
        c->send_error = (int)n;
    else
        c->out_at += (size_t)n;
    react(c);
    conn_send(c);
}

static const struct loop_fd_ops conn_ops = {.on_recv = on_recv, .on_sent = on_sent};

static void conn_open(struct conn *c, struct test_net *net, int fd)
{
    *c = (struct conn){.loop = net->loop};
    assert_int_equal(loop_open(net->loop, &c->lfd, fd, &conn_ops), 0);
}

static struct test_peer *conn_peer(struct conn *c, struct test_net *net)
{
    int fd;
    struct test_peer *p = net_peer(net, &fd);
    conn_open(c, net, fd);
    return p;
}

static void conn_fini(struct conn *c)
{
    conn_close(c);
    free(c->got);
    free(c->out);
}

/* Sends [n] bytes of the pattern. */
static void conn_send_pattern(struct conn *c, size_t n)
{
    c->out = malloc(n);
    assert_non_null(c->out);
    test_pattern(c->out, n, 0);
    c->out_n = n;
    conn_send(c);
}

/* More than the buffers between take. */
static size_t too_much(const struct test_net *net)
{
    return net->sim ? 500 * KIB : 2 * MIB;
}

static bool has_ended(void *arg)
{
    return ((struct conn *)arg)->ends > 0;
}

static bool has_sent(void *arg)
{
    const struct conn *c = arg;
    return c->out_at == c->out_n || c->send_error;
}

static bool has_input(void *arg)
{
    return ((struct conn *)arg)->recvs > 0;
}

static void send_pattern(struct test_peer *p, size_t n, size_t from)
{
    char *bytes = malloc(n);
    assert_non_null(bytes);
    test_pattern(bytes, n, from);
    peer_send(p, slice_of(bytes, n));
    free(bytes);
}

/* ---- Receiving ---- */

static void bytes_then_end(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    loop_recv_start(net->loop, &c.lfd);
    for (size_t i = 0; i < 20; i++)
        send_pattern(p, 5000, i * 5000);
    peer_shutdown(p);
    assert_true(net_until(net, has_ended, &c));
    net_settle(net);
    assert_int_equal(c.ends, 1);
    assert_int_equal(c.end, 0);
    assert_int_equal(c.got_n, 100000);
    assert_true(test_is_pattern(slice_of(c.got, c.got_n), 0));
    conn_fini(&c);
}
ON_ALL(bytes_then_end)

static void nothing_unasked(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    send_pattern(p, 100, 0);
    peer_shutdown(p);
    net_settle(net);
    assert_int_equal(c.recvs, 0);
    loop_recv_start(net->loop, &c.lfd);
    assert_true(net_until(net, has_ended, &c));
    assert_int_equal(c.got_n, 100);
    conn_fini(&c);
}
ON_ALL(nothing_unasked)

static void stops_and_goes_on(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    loop_recv_start(net->loop, &c.lfd);
    send_pattern(p, 300000, 0);
    for (unsigned calls = 1; !c.ends && calls < 1000000; calls++) {
        c.stop_after = calls;
        net_settle(net);
        assert_true(c.recvs <= calls);
        loop_recv_start(net->loop, &c.lfd);
        if (c.got_n == 300000)
            peer_shutdown(p);
        if (calls > 8)
            calls += 10000; /* it has been seen to stop */
    }
    assert_true(net_until(net, has_ended, &c));
    assert_true(test_is_pattern(slice_of(c.got, c.got_n), 0));
    assert_int_equal(c.got_n, 300000);
    conn_fini(&c);
}
ON_ALL(stops_and_goes_on)

static void input_after_stop_and_start(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    loop_recv_start(net->loop, &c.lfd);
    send_pattern(p, 1, 0);
    assert_true(net_until(net, has_input, &c));
    loop_recv_stop(net->loop, &c.lfd);
    send_pattern(p, 1, 1); /* the edge comes while nobody wants it */
    net_settle(net);
    assert_int_equal(c.got_n, 1);
    loop_recv_start(net->loop, &c.lfd);
    peer_shutdown(p);
    assert_true(net_until(net, has_ended, &c));
    assert_int_equal(c.got_n, 2);
    conn_fini(&c);
}
ON_ALL(input_after_stop_and_start)

static void reset_is_told(struct test_net *net)
{
    if (net->kind == NET_EPOLL_UNIX)
        return;
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    loop_recv_start(net->loop, &c.lfd);
    send_pattern(p, 3, 0);
    peer_reset(p);
    assert_true(net_until(net, has_ended, &c));
    assert_int_equal(c.end, -ECONNRESET);
    assert_true(test_is_pattern(slice_of(c.got, c.got_n), 0));
    conn_fini(&c);
}
ON_ALL(reset_is_told)

static void end_right_after_bytes(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    send_pattern(p, 7, 0);
    peer_close(p);
    loop_recv_start(net->loop, &c.lfd);
    assert_true(net_until(net, has_ended, &c));
    assert_int_equal(c.got_n, 7);
    assert_int_equal(c.end, 0);
    conn_fini(&c);
}
ON_ALL(end_right_after_bytes)

/* ---- Sending ---- */

static void all_bytes_arrive(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    conn_send_pattern(&c, 500000);
    assert_true(net_until(net, has_sent, &c));
    loop_shutdown(net->loop, &c.lfd);
    assert_true(net_until(net, peer_has_ended, p));
    assert_true(peer_is_eof(p));
    assert_int_equal(peer_received(p).n, 500000);
    assert_true(test_is_pattern(peer_received(p), 0));
    conn_fini(&c);
}
ON_ALL(all_bytes_arrive)

static void slow_peer_blocks(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    const size_t n = too_much(net);
    peer_slow(p, true);
    conn_send_pattern(&c, n);
    net_settle(net);
    assert_true(c.is_pending);
    assert_true(c.out_at < n);
    assert_true(loop_unsent(net->loop, &c.lfd) > 0);
    size_t before = c.out_at;
    unsigned told = c.sents;
    net_settle(net); /* still no room: nothing is told (a kernel may find some more, late) */
    assert_true(c.is_pending);
    if (net->sim) {
        assert_int_equal(c.out_at, before);
        assert_int_equal(c.sents, told);
    }
    peer_slow(p, false);
    assert_true(net_until(net, has_sent, &c));
    loop_shutdown(net->loop, &c.lfd);
    assert_true(net_until(net, peer_has_ended, p));
    assert_int_equal(peer_received(p).n, n);
    assert_true(test_is_pattern(peer_received(p), 0));
    conn_fini(&c);
}
ON_ALL(slow_peer_blocks)

static bool send_failed(void *arg)
{
    struct conn *c = arg;
    if (c->out_at == c->out_n)
        c->out_at = 0;
    conn_send(c);
    return c->send_error != 0;
}

static void send_to_nobody(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    peer_close(p);
    conn_send_pattern(&c, 10);
    assert_true(net_until(net, send_failed, &c));
    assert_true(c.send_error == -EPIPE || c.send_error == -ECONNRESET);
    conn_fini(&c);
}
ON_ALL(send_to_nobody)

static void reset_while_pending(struct test_net *net)
{
    if (net->kind == NET_EPOLL_UNIX)
        return;
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    peer_slow(p, true);
    conn_send_pattern(&c, too_much(net));
    net_settle(net);
    assert_true(c.is_pending);
    peer_reset(p);
    assert_true(net_until(net, has_sent, &c));
    assert_true(c.send_error == -EPIPE || c.send_error == -ECONNRESET);
    conn_fini(&c);
}
ON_ALL(reset_while_pending)

static void half_close(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    loop_recv_start(net->loop, &c.lfd);
    conn_send_pattern(&c, 10);
    assert_true(net_until(net, has_sent, &c));
    loop_shutdown(net->loop, &c.lfd);
    assert_true(net_until(net, peer_has_ended, p));
    assert_true(peer_is_eof(p));
    send_pattern(p, 1000, 0); /* the other direction goes on */
    peer_shutdown(p);
    assert_true(net_until(net, has_ended, &c));
    assert_int_equal(c.end, 0);
    assert_int_equal(c.got_n, 1000);
    conn_fini(&c);
}
ON_ALL(half_close)

static void both_directions(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    loop_recv_start(net->loop, &c.lfd);
    send_pattern(p, 200000, 0);
    conn_send_pattern(&c, 200000);
    peer_shutdown(p);
    assert_true(net_until(net, has_ended, &c));
    assert_true(net_until(net, has_sent, &c));
    loop_shutdown(net->loop, &c.lfd);
    assert_true(net_until(net, peer_has_ended, p));
    assert_true(test_is_pattern(peer_received(p), 0));
    assert_int_equal(peer_received(p).n, 200000);
    assert_int_equal(c.got_n, 200000);
    conn_fini(&c);
}
ON_ALL(both_directions)

/* ---- Files ---- */

struct file_conn {
    struct conn conn;
    int file;
    uint64_t offset;
    size_t left;
};

static int pattern_file(size_t n)
{
    int fd = memfd_create("pattern", MFD_CLOEXEC);
    char *bytes = malloc(n);
    assert_true(fd >= 0 && bytes);
    test_pattern(bytes, n, 0);
    assert_int_equal(write(fd, bytes, n), n);
    free(bytes);
    return fd;
}

/* One step; true when all was sent. on_sent (of conn) counts what was taken later in out_at. */
static bool file_is_sent(void *arg)
{
    struct file_conn *f = arg;
    f->offset += f->conn.out_at;
    f->left -= f->conn.out_at;
    f->conn.out_at = 0;
    while (f->left && !f->conn.is_pending) {
        ssize_t n = loop_sendfile(f->conn.loop, &f->conn.lfd, f->file, f->offset, f->left);
        assert_true(n > 0 || n == LOOP_PENDING);
        f->conn.is_pending = n == LOOP_PENDING;
        if (f->conn.is_pending)
            break;
        f->offset += (uint64_t)n;
        f->left -= (size_t)n;
    }
    return f->left == 0;
}

static void file_range(struct test_net *net)
{
    struct file_conn f;
    struct test_peer *p = conn_peer(&f.conn, net);
    f.file = pattern_file(400000);
    f.offset = 1000;
    f.left = 350000;
    assert_true(net_until(net, file_is_sent, &f));
    loop_shutdown(net->loop, &f.conn.lfd);
    assert_true(net_until(net, peer_has_ended, p));
    assert_int_equal(peer_received(p).n, 350000);
    assert_true(test_is_pattern(peer_received(p), 1000));
    conn_fini(&f.conn);
    close(f.file);
}
ON_ALL(file_range)

static void file_cut_short(struct test_net *net)
{
    struct conn c;
    conn_peer(&c, net);
    int file = pattern_file(10);
    ssize_t n;
    do {
        n = loop_sendfile(net->loop, &c.lfd, file, 10, 5);
        c.is_pending = n == LOOP_PENDING;
        for (int i = 0; i < 100 && c.is_pending; i++)
            net_turn(net);
    } while (n == LOOP_PENDING);
    assert_int_equal(n, 0);
    conn_fini(&c);
    close(file);
}
ON_ALL(file_cut_short)

/* ---- Closing in the middle ---- */

static void closes_itself_on_input(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    c.closes_itself = true;
    loop_recv_start(net->loop, &c.lfd);
    send_pattern(p, 100000, 0);
    peer_shutdown(p);
    net_settle(net);
    assert_int_equal(c.recvs, 1);
    assert_int_equal(c.lfd.fd, -1);
    conn_fini(&c);
}
ON_ALL(closes_itself_on_input)

static void closes_itself_on_room(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    peer_slow(p, true);
    conn_send_pattern(&c, too_much(net));
    loop_recv_start(net->loop, &c.lfd);
    net_settle(net);
    assert_true(c.is_pending);
    unsigned before = c.sents;
    c.closes_itself = true;
    peer_slow(p, false);
    net_settle(net);
    assert_int_equal(c.sents, before + 1);
    assert_int_equal(c.recvs, 0);
    assert_int_equal(c.lfd.fd, -1);
    conn_fini(&c);
}
ON_ALL(closes_itself_on_room)

static void closes_another(struct test_net *net)
{
    struct conn c[2];
    for (int i = 0; i < 2; i++)
        send_pattern(conn_peer(&c[i], net), 10, 0);
    for (int i = 0; i < 2; i++) {
        c[i].victim = &c[1 - i];
        loop_recv_start(net->loop, &c[i].lfd);
    }
    net_settle(net); /* both are ready in the same turn: who is first closes the other */
    assert_true((c[0].recvs > 0) != (c[1].recvs > 0));
    for (int i = 0; i < 2; i++)
        conn_fini(&c[i]);
}
ON_ALL(closes_another)

static void number_is_used_again(struct test_net *net)
{
    struct conn old, new;
    struct test_peer *p = conn_peer(&old, net);
    loop_recv_start(net->loop, &old.lfd);
    send_pattern(p, 10, 0);
    net_settle(net);
    unsigned before = old.recvs;
    conn_close(&old);
    conn_close(&old); /* twice is harmless */
    struct test_peer *q = conn_peer(&new, net);
    loop_recv_start(net->loop, &new.lfd);
    send_pattern(q, 20, 0);
    peer_shutdown(q);
    assert_true(net_until(net, has_ended, &new));
    assert_int_equal(new.got_n, 20);
    assert_int_equal(old.recvs, before);
    conn_fini(&old);
    conn_fini(&new);
}
ON_ALL(number_is_used_again)

/* Closed and buried late in a turn, while it is on its way to be told in the next one. */
struct mortal {
    struct conn conn;
    struct loop_deferred deferred;
};

static void on_burial(struct loop_deferred *d)
{
    free(CONTAINER_OF(d, struct mortal, deferred)); /* AddressSanitizer sees who still knows it */
}

static void on_end(struct loop_deferred *d)
{
    struct mortal *m = CONTAINER_OF(d, struct mortal, deferred);
    loop_recv_start(m->conn.loop, &m->conn.lfd);
    conn_fini(&m->conn);
    d->fn = on_burial;
    loop_bury(m->conn.loop, d);
}

static void freed_at_the_end_of_the_turn(struct test_net *net)
{
    struct mortal *m = malloc(sizeof *m);
    assert_non_null(m);
    struct test_peer *p = conn_peer(&m->conn, net);
    loop_deferred_init(&m->deferred, on_end);
    send_pattern(p, 10, 0);
    loop_defer(net->loop, &m->deferred);
    net_turn(net);
    net_settle(net);
    assert_true(net_until(net, peer_has_ended, p));
}
ON_ALL(freed_at_the_end_of_the_turn)

static void peer_sees_close(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    conn_close(&c);
    assert_true(net_until(net, peer_has_ended, p));
    assert_true(peer_is_eof(p));
    conn_fini(&c);
}
ON_ALL(peer_sees_close)

static void closing_with_unread_input_is_a_reset(struct test_net *net)
{
    struct conn c;
    struct test_peer *p = conn_peer(&c, net);
    send_pattern(p, 10, 0);
    net_settle(net);
    conn_close(&c);
    assert_true(net_until(net, peer_has_ended, p));
    assert_true(peer_is_reset(p));
    conn_fini(&c);
}
ON_ALL(closing_with_unread_input_is_a_reset)

/* ---- Fairness ---- */

static bool both_have_input(void *arg)
{
    struct conn *c = arg;
    return c[0].got_n && c[1].got_n;
}

static void busy_peer_starves_nobody(struct test_net *net)
{
    struct conn c[2];
    struct test_peer *p[2];
    for (int i = 0; i < 2; i++)
        p[i] = conn_peer(&c[i], net);
    send_pattern(p[0], 2 * too_much(net), 0);
    loop_recv_start(net->loop, &c[0].lfd);
    for (int i = 0; i < 3; i++)
        net_turn(net);
    c[0].got_n = c[1].got_n = 0;
    send_pattern(p[1], 1, 0);
    loop_recv_start(net->loop, &c[1].lfd);
    assert_true(net_until(net, both_have_input, c));
    assert_true(c[0].got_n < too_much(net));
    for (int i = 0; i < 2; i++)
        conn_fini(&c[i]);
}
ON_ALL(busy_peer_starves_nobody)

/* ---- Accepting ---- */

#define CLIENTS 12

struct server {
    struct loop_fd lfd;
    struct loop *loop;
    struct test_net *net;
    struct conn conns[CLIENTS];
    int count, stop_after, errors;
    bool closes_itself;
};

static void on_accept(struct loop_fd *fd, int sock, const struct sockaddr *peer, socklen_t n)
{
    struct server *s = CONTAINER_OF(fd, struct server, lfd);
    assert_true(fd->fd >= 0);
    if (sock < 0) {
        s->errors++;
        return;
    }
    assert_true(s->count < CLIENTS);
    struct conn *c = &s->conns[s->count++];
    conn_open(c, s->net, sock);
    loop_recv_start(s->loop, &c->lfd);
    if (s->count == s->stop_after)
        loop_accept_stop(s->loop, fd);
    if (s->closes_itself)
        loop_close(s->loop, fd);
}

static struct server *server_new(struct test_net *net)
{
    static const struct loop_fd_ops ops = {.on_accept = on_accept};
    struct server *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->loop = net->loop;
    s->net = net;
    assert_int_equal(loop_open(net->loop, &s->lfd, net_listen(net), &ops), 0);
    return s;
}

static void server_free(struct server *s)
{
    loop_close(s->loop, &s->lfd);
    for (int i = 0; i < s->count; i++)
        conn_fini(&s->conns[i]);
    free(s);
}

static bool all_accepted(void *arg)
{
    return ((struct server *)arg)->count == CLIENTS;
}

static bool all_ended(void *arg)
{
    struct server *s = arg;
    for (int i = 0; i < s->count; i++)
        if (!s->conns[i].ends)
            return false;
    return all_accepted(s);
}

static void clients_come(struct test_net *net)
{
    struct server *s = server_new(net);
    loop_accept_start(net->loop, &s->lfd);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct test_peer *p = net_connect(net, s->lfd.fd);
        send_pattern(p, 10 + i, 0);
        peer_shutdown(p);
    }
    if (net->kind == NET_SIM_WILD) { /* some give up before */
        net_settle(net);
        server_free(s);
        return;
    }
    assert_true(net_until(net, all_ended, s));
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(s->conns[i].got_n, 10 + i); /* in order */
    server_free(s);
}
ON_ALL(clients_come)

static void accepting_stops_and_goes_on(struct test_net *net)
{
    if (net->kind == NET_SIM_WILD)
        return;
    struct server *s = server_new(net);
    for (size_t i = 0; i < CLIENTS; i++)
        net_connect(net, s->lfd.fd);
    net_settle(net);
    assert_int_equal(s->count, 0); /* not asked for */
    s->stop_after = 5;
    loop_accept_start(net->loop, &s->lfd);
    net_settle(net);
    assert_int_equal(s->count, 5);
    loop_accept_start(net->loop, &s->lfd);
    assert_true(net_until(net, all_accepted, s));
    server_free(s);
}
ON_ALL(accepting_stops_and_goes_on)

static void listener_closes_itself(struct test_net *net)
{
    struct server *s = server_new(net);
    struct test_peer *p[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++)
        p[i] = net_connect(net, s->lfd.fd);
    s->closes_itself = true;
    loop_accept_start(net->loop, &s->lfd);
    for (int i = 0; i < 100 && s->lfd.fd >= 0; i++)
        net_settle(net);
    assert_int_equal(s->count, 1);
    assert_true(net_until(net, peer_has_ended, p[CLIENTS - 1])); /* it waited in the backlog */
    server_free(s);
}
ON_ALL(listener_closes_itself)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_then_end),
        cmocka_unit_test(test_nothing_unasked),
        cmocka_unit_test(test_stops_and_goes_on),
        cmocka_unit_test(test_input_after_stop_and_start),
        cmocka_unit_test(test_reset_is_told),
        cmocka_unit_test(test_end_right_after_bytes),
        cmocka_unit_test(test_all_bytes_arrive),
        cmocka_unit_test(test_slow_peer_blocks),
        cmocka_unit_test(test_send_to_nobody),
        cmocka_unit_test(test_reset_while_pending),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_both_directions),
        cmocka_unit_test(test_file_range),
        cmocka_unit_test(test_file_cut_short),
        cmocka_unit_test(test_closes_itself_on_input),
        cmocka_unit_test(test_closes_itself_on_room),
        cmocka_unit_test(test_closes_another),
        cmocka_unit_test(test_number_is_used_again),
        cmocka_unit_test(test_freed_at_the_end_of_the_turn),
        cmocka_unit_test(test_peer_sees_close),
        cmocka_unit_test(test_closing_with_unread_input_is_a_reset),
        cmocka_unit_test(test_busy_peer_starves_nobody),
        cmocka_unit_test(test_clients_come),
        cmocka_unit_test(test_accepting_stops_and_goes_on),
        cmocka_unit_test(test_listener_closes_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
