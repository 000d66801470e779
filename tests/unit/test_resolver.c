/* The resolver against a name server of our own on loopback, and without any. */
#include "service/resolver.h"

#include "test_kinds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

/* ---- A name server: what it says is in the name that it is asked for. ---- */

struct names {
    struct test_net *net;
    struct resolver *resolver;
    int sock;
    char servers[32];
    uint16_t port;
    unsigned asked;
};

struct answer {
    char bytes[512];
    size_t n;
};

static void put(struct answer *a, const void *p, size_t n)
{
    assert_true(a->n + n <= sizeof a->bytes);
    memcpy(a->bytes + a->n, p, n);
    a->n += n;
}

static void put_ip(struct answer *a, int family, const char *text)
{
    static const char v4[] = "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4";
    static const char v6[] = "\xc0\x0c\0\x1c\0\1\0\0\0\x3c\0\x10";
    char ip[16];
    assert_int_equal(inet_pton(family, text, ip), 1);
    put(a, family == AF_INET ? v4 : v6, 12);
    put(a, ip, family == AF_INET ? 4 : 16);
    a->bytes[7]++; /* the number of answers */
}

/* "four" has IPv4 addresses, "six" an IPv6 one, "both" both; "empty" none. */
static void put_addresses(struct answer *a, slice name, int type)
{
    bool is_both = slice_has_prefix(name, SLICE("\4both"));
    if (type == 1 && (is_both || slice_has_prefix(name, SLICE("\4four")))) {
        put_ip(a, AF_INET, "192.0.2.1");
        put_ip(a, AF_INET, "192.0.2.2");
    }
    if (type == 28 && (is_both || slice_has_prefix(name, SLICE("\3six"))))
        put_ip(a, AF_INET6, "2001:db8::7");
    for (int i = 0; type == 1 && slice_has_prefix(name, SLICE("\4many")) && i < 20; i++)
        put_ip(a, AF_INET, "192.0.2.9");
}

static bool is_known_name(slice name)
{
    static const char *known[] = {"\4four", "\3six", "\4both", "\5empty", "\4many"};
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (slice_has_prefix(name, slice_str(known[i])))
            return true;
    return false;
}

static void serve_one(struct names *d, slice q, const struct sockaddr_in *from)
{
    struct answer a = {.n = 0};
    slice name = slice_skip(q, 12);
    size_t name_bytes = strlen(name.p) + 1;
    int type = name.p[name_bytes + 1];
    d->asked++;
    if (slice_has_prefix(name, SLICE("\6silent")))
        return;
    put(&a, q.p, 2);
    bool is_failing = slice_has_prefix(name, SLICE("\4fail"));
    int code = is_failing ? 2 : is_known_name(name) ? 0 : 3;
    char head[10] = {(char)0x81, (char)(0x80 | code), 0, 1};
    put(&a, head, sizeof head);
    if (slice_has_prefix(name, SLICE("\7garbage"))) {
        a.bytes[3] = (char)0x80;
        a.bytes[7] = 9; /* nine answers, and none is there */
        put(&a, name.p, name_bytes + 4);
        put(&a, "\xc0\xff\xff\xff", 4);
    } else {
        put(&a, name.p, name_bytes + 4);
        put_addresses(&a, name, type);
    }
    (void)!sendto(d->sock, a.bytes, a.n, 0, (const struct sockaddr *)from, sizeof *from);
}

static void serve(struct names *d)
{
    char q[512] = {0};
    struct sockaddr_in from;
    socklen_t n = sizeof from;
    ssize_t got;
    while ((got = recvfrom(d->sock, q, sizeof q - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &n)) >
           12)
        serve_one(d, slice_of(q, (size_t)got), &from);
}

static void names_open(struct names *d, struct test_net *net, int64_t timeout_ms, bool has_server)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int error;
    *d = (struct names){.net = net};
    d->sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_return_code(bind(d->sock, (struct sockaddr *)&at, sizeof at), errno);
    assert_return_code(getsockname(d->sock, (struct sockaddr *)&at, &n), errno);
    d->port = ntohs(at.sin_port);
    snprintf(d->servers, sizeof d->servers, "127.0.0.1:%u", d->port);
    if (!has_server) {
        close(d->sock);
        d->sock = -1;
    }
    struct resolver_settings settings = {.servers = d->servers, .timeout_ms = timeout_ms};
    d->resolver = resolver_new(net->loop, &net->book, &settings, &error);
    assert_non_null(d->resolver);
}

static bool is_idle(void *arg)
{
    return resolver_is_idle(((struct names *)arg)->resolver);
}

static void names_close(struct names *d)
{
    d->net->book.fail_at = 0;
    resolver_stop(d->resolver);
    assert_true(net_until(d->net, is_idle, d));
    resolver_free(&d->resolver);
    if (d->sock >= 0)
        close(d->sock);
}

/* ---- Somebody who asks. ---- */

struct asker {
    struct resolve resolve;
    struct names *names;
    unsigned calls;
};

static void on_done(struct resolve *r)
{
    struct asker *a = CONTAINER_OF(r, struct asker, resolve);
    a->calls++;
    assert_int_equal(r->error == 0, r->count > 0);
    assert_true(r->count <= RESOLVE_MAX);
}

static int ask(struct asker *a, struct names *d, const char *host, int family)
{
    *a = (struct asker){.names = d, .resolve.done = on_done};
    int error = resolver_start(d->resolver, &a->resolve, slice_str(host), 443, family);
    assert_int_equal(a->calls, 0);
    return error;
}

static bool was_told(void *arg)
{
    struct asker *a = arg;
    if (a->names->sock >= 0)
        serve(a->names);
    return a->calls > 0;
}

/* Asks and waits; the result. */
static int look_up(struct asker *a, struct names *d, const char *host, int family)
{
    int error = ask(a, d, host, family);
    if (error < 0)
        return error;
    assert_true(net_until(d->net, was_told, a));
    assert_int_equal(a->calls, 1);
    return a->resolve.error;
}

static bool has(const struct asker *a, const char *text)
{
    for (unsigned i = 0; i < a->resolve.count; i++) {
        char room[128];
        struct fmt f = fmt_on(room, sizeof room);
        addr_put(&f, &a->resolve.addrs[i]);
        if (slice_is(fmt_done(&f), slice_str(text)))
            return true;
    }
    return false;
}

/* ---- Without asking. ---- */

static void what_needs_no_server(struct test_net *net)
{
    static const struct {
        const char *host, *first;
        unsigned count;
    } known[] = {
        {"192.0.2.5", "192.0.2.5:443", 1},         {"2001:db8::1", "[2001:db8::1]:443", 1},
        {"[2001:db8::1]", "[2001:db8::1]:443", 1}, {"unix:/run/x.sock", "unix:/run/x.sock", 1},
        {"localhost", "127.0.0.1:443", 2},         {"LOCALHOST.", "[::1]:443", 2},
        {"a.b.localhost", "127.0.0.1:443", 2},
    };
    struct names d;
    struct asker a;
    names_open(&d, net, 300, false);
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        assert_int_equal(look_up(&a, &d, known[i].host, AF_UNSPEC), 0);
        assert_int_equal(a.resolve.count, known[i].count);
        assert_true(has(&a, known[i].first));
    }
    assert_int_equal(look_up(&a, &d, "localhost", AF_INET6), 0);
    assert_int_equal(a.resolve.count, 1);
    assert_true(has(&a, "[::1]:443"));
    assert_int_equal(look_up(&a, &d, "192.0.2.5", AF_INET6), -ENODATA);
    names_close(&d);
}
ON_ALL(what_needs_no_server)

static void what_is_no_name(struct test_net *net)
{
    char long_name[300];
    struct names d;
    struct asker a;
    names_open(&d, net, 300, false);
    const char *bad[] = {"",          ".",     "a b", "a/b",   "[::1", "::1]",     "1:2",
                         "[1.2.3.4]", "unix:", "a\n", "h\xe9", "u@h",  "1.2.3.4:5"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(ask(&a, &d, bad[i], AF_UNSPEC), -EINVAL);
    memset(long_name, 'a', sizeof long_name);
    long_name[RESOLVER_NAME_MAX + 1] = 0;
    assert_int_equal(ask(&a, &d, long_name, AF_UNSPEC), -EINVAL);
    assert_int_equal(resolver_start(d.resolver, &a.resolve, SLICE("a\0b"), 1, AF_UNSPEC), -EINVAL);
    long_name[RESOLVER_NAME_MAX] = 0; /* as long as may be, but a label has 63 at most */
    assert_true(look_up(&a, &d, long_name, AF_UNSPEC) < 0);
    names_close(&d);
}
ON_ALL(what_is_no_name)

/* A name that this machine's own file has, and localhost is not. */
static bool name_in_file(char *name, size_t room, char *ip, size_t ip_room)
{
    FILE *f = fopen("/etc/hosts", "r");
    char line[512];
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        slice rest = slice_str(line);
        size_t n = strcspn(line, " \t\n#"), gap = strspn(line + n, " \t");
        size_t m = strcspn(line + n + gap, " \t\n#");
        slice text = slice_of(rest.p + n + gap, m);
        if (n == 0 || m == 0 || n >= ip_room || m >= room || slice_is(text, SLICE("localhost")))
            continue;
        memcpy(ip, line, n);
        ip[n] = 0;
        memcpy(name, text.p, m);
        name[m] = 0;
        found = true;
    }
    if (f)
        fclose(f);
    return found;
}

static void the_file_comes_first(struct test_net *net)
{
    char name[256], ip[64], text[80];
    if (!name_in_file(name, sizeof name, ip, sizeof ip))
        return;
    struct names d;
    struct asker a;
    names_open(&d, net, 5000, false);
    assert_int_equal(look_up(&a, &d, name, AF_UNSPEC), 0);
    snprintf(text, sizeof text, strchr(ip, ':') ? "[%s]:443" : "%s:443", ip);
    assert_true(has(&a, text));
    names_close(&d);
}
ON_ALL(the_file_comes_first)

/* ---- Asking. ---- */

static void test_servers_answer(void **state)
{
    struct test_net *net = net_new(NET_EPOLL_TCP, 0);
    struct names d;
    struct asker a;
    names_open(&d, net, 5000, true);
    assert_int_equal(look_up(&a, &d, "four.test", AF_UNSPEC), 0);
    assert_int_equal(a.resolve.count, 2);
    assert_true(has(&a, "192.0.2.1:443") && has(&a, "192.0.2.2:443"));
    assert_int_equal(look_up(&a, &d, "both.test", AF_UNSPEC), 0);
    assert_int_equal(a.resolve.count, 3);
    assert_true(has(&a, "192.0.2.1:443") && has(&a, "[2001:db8::7]:443"));
    assert_int_not_equal(a.resolve.addrs[0].any.sa_family, a.resolve.addrs[1].any.sa_family);
    assert_int_equal(look_up(&a, &d, "both.test", AF_INET), 0);
    assert_int_equal(a.resolve.count, 2);
    assert_int_equal(look_up(&a, &d, "six.test", AF_INET6), 0);
    assert_int_equal(a.resolve.count, 1);
    assert_int_equal(look_up(&a, &d, "many.test", AF_UNSPEC), 0);
    assert_int_equal(a.resolve.count, RESOLVE_MAX);
    assert_int_equal(look_up(&a, &d, "four.test", AF_INET6), -ENODATA);
    assert_int_equal(look_up(&a, &d, "empty.test", AF_UNSPEC), -ENODATA);
    assert_int_equal(look_up(&a, &d, "none.test", AF_UNSPEC), -ENOENT);
    assert_true(d.asked > 8);
    names_close(&d);
    net_free(&net);
}

static void test_servers_that_fail(void **state)
{
    struct test_net *net = net_new(NET_EPOLL_TCP, 0);
    struct names d;
    struct asker a;
    names_open(&d, net, 1000, true);
    int error = look_up(&a, &d, "fail.test", AF_INET); /* c-ares says whether, not why */
    assert_true(error == -EREMOTEIO || error == -ECONNREFUSED);
    assert_int_equal(look_up(&a, &d, "garbage.test", AF_INET), -EBADMSG);
    int64_t began = loop_now_ms(net->loop);
    assert_int_equal(look_up(&a, &d, "silent.test", AF_UNSPEC), -ETIMEDOUT);
    assert_true(loop_now_ms(net->loop) >= began + 1000);
    assert_true(loop_now_ms(net->loop) < began + 5000);
    assert_int_equal(look_up(&a, &d, "four.test", AF_UNSPEC), 0); /* others are not held up */
    names_close(&d);
    net_free(&net);
}

static void write_conf(const char *path, const char *server)
{
    (void)!unlink(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "nameserver %s\n", server);
    fclose(f);
}

/* The name servers have moved while the process runs: nobody is at 127.0.0.77. */
static void test_conf_changes(void **state)
{
    struct test_net *net = net_new(NET_EPOLL_TCP, 0);
    struct names d;
    struct asker a, waiting;
    char path[] = "/tmp/medusa-test-XXXXXX";
    int error;
    close(mkstemp(path));
    names_open(&d, net, 20000, true);
    resolver_free(&d.resolver);
    struct resolver_settings settings = {.conf = path, .timeout_ms = 20000, .port = d.port};
    d.resolver = resolver_new(net->loop, &net->book, &settings, &error);
    assert_non_null(d.resolver);
    write_conf(path, "127.0.0.77");
    assert_int_equal(look_up(&a, &d, "four.test", AF_INET), -ECONNREFUSED);
    write_conf(path, "127.0.0.1");
    assert_int_equal(look_up(&a, &d, "four.test", AF_INET), 0);
    assert_int_equal(ask(&waiting, &d, "silent.test", AF_INET), 0); /* under way */
    for (int i = 0; i < 20; i++) {
        serve(&d);
        net_turn(net);
    }
    write_conf(path, "127.0.0.77 # now there");
    assert_int_equal(look_up(&a, &d, "four.test", AF_INET), -ECONNREFUSED);
    assert_true(net_until(net, was_told, &waiting));
    assert_int_equal(waiting.resolve.error, -ECONNREFUSED); /* it was asked again */
    names_close(&d);
    unlink(path);
    net_free(&net);
}

static void nobody_to_ask(struct test_net *net)
{
    struct names d;
    struct asker a;
    names_open(&d, net, 3000, false);
    int64_t began = loop_now_ms(net->loop);
    int error = look_up(&a, &d, "nowhere.invalid", AF_UNSPEC);
    assert_int_equal(error, net->sim ? -ETIMEDOUT : -ECONNREFUSED);
    assert_true(loop_now_ms(net->loop) <= began + 5000);
    names_close(&d);
}

static void test_nobody_to_ask(void **state)
{
    test_on(NET_EPOLL_TCP, 0, nobody_to_ask);
    test_on(NET_SIM_CALM, 0, nobody_to_ask);
    test_on_wild(3, nobody_to_ask);
}

static void test_many_at_once(void **state)
{
    struct test_net *net = net_new(NET_EPOLL_TCP, 0);
    struct names d;
    static struct asker a[RESOLVER_QUESTIONS_MAX + 1];
    names_open(&d, net, 20000, true);
    for (size_t i = 0; i < RESOLVER_QUESTIONS_MAX; i++)
        assert_int_equal(ask(&a[i], &d, i % 2 ? "four.test" : "none.test", AF_INET), 0);
    assert_int_equal(ask(&a[RESOLVER_QUESTIONS_MAX], &d, "four.test", AF_INET), -EBUSY);
    for (size_t i = 0; i < RESOLVER_QUESTIONS_MAX; i++) {
        assert_true(net_until(net, was_told, &a[i]));
        assert_int_equal(a[i].resolve.error, i % 2 ? 0 : -ENOENT);
    }
    names_close(&d);
    net_free(&net);
}

/* ---- Giving up. ---- */

static void test_cancelled_at_every_moment(void **state)
{
    static const char *hosts[] = {"both.test", "silent.test", "localhost"};
    struct test_net *net = net_new(NET_EPOLL_TCP, 0);
    struct names d;
    struct asker a = {0};
    names_open(&d, net, 5000, true);
    resolver_cancel(d.resolver, &a.resolve);
    for (int turns = 0; turns < 30; turns++) {
        assert_int_equal(ask(&a, &d, hosts[turns % 3], AF_UNSPEC), 0);
        for (int i = 0; i < turns / 3; i++) {
            serve(&d);
            net_turn(net);
        }
        unsigned calls = a.calls;
        resolver_cancel(d.resolver, &a.resolve);
        resolver_cancel(d.resolver, &a.resolve);
        memset(&a.resolve, 0, sizeof a.resolve); /* nobody may call there any more */
        for (int i = 0; i < 8; i++) {
            serve(&d);
            net_turn(net);
        }
        assert_int_equal(a.calls, calls);
    }
    names_close(&d);
    net_free(&net);
}

static void test_stopped_at_every_moment(void **state)
{
    for (int turns = 0; turns < 10; turns++) {
        struct test_net *net = net_new(NET_EPOLL_TCP, 0);
        struct names d;
        struct asker a, late;
        names_open(&d, net, 5000, true);
        assert_int_equal(ask(&a, &d, "silent.test", AF_UNSPEC), 0);
        for (int i = 0; i < turns; i++) {
            serve(&d);
            net_turn(net);
        }
        resolver_stop(d.resolver);
        assert_int_equal(a.calls, 0);
        assert_int_equal(ask(&late, &d, "localhost", AF_UNSPEC), -ECANCELED);
        assert_true(net_until(net, was_told, &a));
        assert_int_equal(a.resolve.error, -ECANCELED);
        names_close(&d);
        net_free(&net);
    }
}

/* Whichever allocation fails, once or for ever: an answer, or an error, and nothing hangs. */
static void test_without_memory(void **state)
{
    for (uint64_t n = 1; n < 16; n++) {
        struct test_net *net = net_new(NET_EPOLL_TCP, 0);
        struct names d;
        struct asker a;
        int error;
        names_open(&d, net, 200, true);
        net->book.fail_at = 1 + n / 2;
        net->book.fail_forever = n % 2;
        error = look_up(&a, &d, "both.test", AF_UNSPEC);
        assert_true(error == 0 || error == -ENOMEM || error == -ETIMEDOUT);
        names_close(&d);
        net->book.fail_at = 1;
        assert_null(resolver_new(net->loop, &net->book, NULL, &error));
        assert_int_equal(error, -ENOMEM);
        net_free(&net);
    }
}

static void test_unusable_settings(void **state)
{
    struct test_net *net = net_new(NET_EPOLL_TCP, 0);
    struct names d;
    struct asker a;
    names_open(&d, net, 2000, false);
    memcpy(d.servers, "what?", 6);
    assert_int_equal(look_up(&a, &d, "four.test", AF_UNSPEC), -EIO);
    assert_int_equal(look_up(&a, &d, "localhost", AF_UNSPEC), 0);
    names_close(&d);
    net_free(&net);
}

static void test_every_error_has_a_sentence(void **state)
{
    static const int errors[] = {0,       -ENOENT, -ENODATA, -ETIMEDOUT, -ECONNREFUSED, -EREMOTEIO,
                                 -EINVAL, -EBUSY,  -ENOMEM,  -ECANCELED, -EBADMSG,      -EIO};
    for (size_t i = 0; i < COUNT_OF(errors); i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(resolver_error_text(errors[i]), resolver_error_text(errors[j]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_needs_no_server),
        cmocka_unit_test(test_what_is_no_name),
        cmocka_unit_test(test_the_file_comes_first),
        cmocka_unit_test(test_servers_answer),
        cmocka_unit_test(test_servers_that_fail),
        cmocka_unit_test(test_conf_changes),
        cmocka_unit_test(test_nobody_to_ask),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_cancelled_at_every_moment),
        cmocka_unit_test(test_stopped_at_every_moment),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_unusable_settings),
        cmocka_unit_test(test_every_error_has_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
