/* Ports of a server come and go while it serves: an echo of one byte, over real sockets. */
#include "protocol/server.h"

#include "test_kinds.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

struct echo {
    struct session session;
};

static void on_input(struct stream *s)
{
    slice in = stream_peek(s);
    assert_true(outq_push_copy(&s->out, s->cls->io, in));
    stream_consume(s, in.n);
    stream_touch(s);
    if (stream_is_eof(s))
        stream_close(s, false);
}

static void nothing(struct stream *s)
{
}

static void on_open(struct session *session)
{
}

static void on_closed(struct session *session, int error)
{
}

static void drain(struct session *session)
{
    stream_close(&session->stream, false);
}

static const struct server_ops ops = {
    .name = "echo",
    .session_bytes = sizeof(struct echo),
    .stream = {.on_input = on_input, .on_room = nothing, .on_deadline = nothing},
    .on_open = on_open,
    .on_closed = on_closed,
    .drain = drain,
};

/* Two servers on one loop. */
struct rig {
    struct test_net *net;
    struct io io;
    struct server a, b;
};

static void rig_open(struct rig *r)
{
    struct server_settings settings;
    server_settings_default(&settings);
    settings.max_sessions = 2;
    r->net = net_new(NET_EPOLL_TCP, 0);
    io_init(&r->io, r->net->loop, &r->net->book);
    server_init(&r->a, &ops, &r->io, &r->net->book, &settings);
    server_init(&r->b, &ops, &r->io, &r->net->book, &settings);
}

static bool is_empty(void *arg)
{
    struct rig *r = arg;
    return r->a.session_count + r->b.session_count == 0;
}

static void rig_close(struct rig *r)
{
    server_abort_all(&r->a);
    server_abort_all(&r->b);
    assert_true(net_until(r->net, is_empty, r));
    server_fini(&r->a);
    server_fini(&r->b);
    io_fini(&r->io);
    net_free(&r->net);
}

static struct server_port *listen_at(struct server *server, const char *place)
{
    struct addr at;
    const char *why;
    struct server_port *port = NULL;
    assert_true(addr_parse(slice_str(place), &at, &why));
    assert_int_equal(server_listen(server, &at, false, &port), 0);
    listener_start(&port->listener);
    return port;
}

static int dial(struct addr at)
{
    int fd = socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, &at.any, at.bytes) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

static bool has_answer(void *arg)
{
    char byte;
    return recv(*(int *)arg, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
}

/* It is served: what it says comes back. */
static void check_echo(struct rig *r, int fd)
{
    char byte = 'x';
    assert_true(fd >= 0);
    assert_int_equal(send(fd, &byte, 1, 0), 1);
    assert_true(net_until(r->net, has_answer, &fd));
    assert_int_equal(recv(fd, &byte, 1, 0), 1);
}

static void test_one_port_goes(void **state)
{
    struct rig r;
    rig_open(&r);
    struct server_port *one = listen_at(&r.a, "127.0.0.1:0");
    struct server_port *two = listen_at(&r.a, "127.0.0.1:0");
    struct addr at_one = one->listener.addr, at_two = two->listener.addr;
    int old = dial(at_one);
    check_echo(&r, old);
    server_unlisten(&r.a, one);
    assert_int_equal(dial(at_one), -ECONNREFUSED);
    net_settle(r.net);
    check_echo(&r, old); /* its session goes on */
    int new = dial(at_two);
    check_echo(&r, new);
    server_unlisten(&r.a, two);
    close(old);
    close(new);
    rig_close(&r);
}

static void test_all_go_in_the_last_turn(void **state)
{
    struct rig r;
    rig_open(&r);
    struct server_port *one = listen_at(&r.a, "127.0.0.1:0");
    listen_at(&r.a, "127.0.0.1:0");
    server_unlisten(&r.a, one);
    rig_close(&r); /* before the turn's end came */
}

static void test_a_port_moves(void **state)
{
    struct rig r;
    rig_open(&r);
    struct server_port *port = listen_at(&r.a, "127.0.0.1:0");
    struct addr at = port->listener.addr;
    int old = dial(at);
    check_echo(&r, old);
    int fd = server_release_port(&r.a, port);
    assert_true(fd >= 0);
    int waiting = dial(at); /* nobody accepts now; nobody is refused */
    assert_true(waiting >= 0);
    net_settle(r.net);
    assert_int_equal(r.a.session_count, 1);
    assert_int_equal(server_listen_on(&r.b, fd, false, false, &port), 0);
    server_start(&r.b);
    check_echo(&r, waiting);
    check_echo(&r, old);
    assert_int_equal(r.a.accepted, 1);
    assert_int_equal(r.b.accepted, 1);
    assert_memory_equal(&port->listener.addr.storage, &at.storage, at.bytes);
    close(old);
    close(waiting);
    rig_close(&r);
}

static void test_what_does_not_listen(void **state)
{
    struct rig r;
    rig_open(&r);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(server_listen_on(&r.a, fd, false, false, NULL), -EINVAL);
    assert_null(r.a.ports);
    assert_return_code(close(fd), errno); /* still ours */
    rig_close(&r);
}

static void test_without_memory(void **state)
{
    struct rig r;
    rig_open(&r);
    struct server_port *port = listen_at(&r.a, "127.0.0.1:0");
    int fd = server_release_port(&r.a, port);
    r.net->book.fail_at = 1;
    assert_int_equal(server_listen_on(&r.a, fd, false, false, NULL), -ENOMEM);
    assert_int_equal(server_listen_on(&r.a, fd, false, false, NULL), 0);
    rig_close(&r);
}

/* A server that is full holds the port that is added. */
static void test_added_when_full(void **state)
{
    struct rig r;
    rig_open(&r);
    struct server_port *one = listen_at(&r.a, "127.0.0.1:0");
    int a = dial(one->listener.addr), b = dial(one->listener.addr);
    check_echo(&r, a);
    check_echo(&r, b);
    struct server_port *two = listen_at(&r.a, "127.0.0.1:0");
    int c = dial(two->listener.addr);
    net_settle(r.net);
    assert_int_equal(r.a.session_count, 2);
    close(a);
    check_echo(&r, c);
    close(b);
    close(c);
    rig_close(&r);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void test_files_of_unix_sockets(void **state)
{
    struct rig r;
    char dir[] = "/tmp/medusa-test-XXXXXX", path[64], place[80];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(place, sizeof place, "unix:%s/s", dir);
    rig_open(&r);
    struct server_port *port = listen_at(&r.a, place);
    int fd = server_release_port(&r.a, port);
    assert_true(exists(path)); /* it goes on listening */
    assert_int_equal(server_listen_on(&r.b, fd, true, false, &port), 0);
    server_start(&r.b);
    int client = dial(port->listener.addr);
    check_echo(&r, client);
    close(client);
    server_unlisten(&r.b, port);
    assert_true(exists(path)); /* somebody else's */
    port = listen_at(&r.a, place);
    fd = server_release_port(&r.a, port);
    assert_int_equal(server_listen_on(&r.b, fd, false, false, &port), 0);
    server_unlisten(&r.b, port);
    assert_false(exists(path));
    rig_close(&r);
    assert_return_code(rmdir(dir), errno);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_port_goes),
        cmocka_unit_test(test_all_go_in_the_last_turn),
        cmocka_unit_test(test_a_port_moves),
        cmocka_unit_test(test_what_does_not_listen),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_added_when_full),
        cmocka_unit_test(test_files_of_unix_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
