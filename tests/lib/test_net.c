/* test_net: peers over real sockets and over the simulator. */
#include "test_net.h"

#include "base/check.h"
#include "cmocka_all.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define LIMIT_MS 60000 /* far more than any machine needs: a test that hangs fails */

struct test_peer {
    struct list_node link;
    struct test_net *net;
    struct sim_peer *sim;
    /* over a real socket */
    int fd;
    bool is_slow, shuts, is_eof, is_reset;
    char *out, *in;
    size_t out_at, out_n, in_n, in_cap; /* out: out_n bytes from out_at */
};

const char *net_kind_name(enum net_kind kind)
{
    static const char *names[] = {"epoll tcp", "epoll unix", "sim calm", "sim wild"};
    return names[kind];
}

static int count_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    int n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n - 3; /* two dots, and the directory itself */
}

static void on_log(struct log *log, enum log_level level, slice line)
{
    struct test_net *net = log->sink_owner;
    print_message("log: %.*s\n", SLICE_ARGS(line));
    net->warnings++;
}

/* ---- Nets ---- */

static struct test_net *new_net(enum net_kind kind)
{
    struct test_net *net = calloc(1, sizeof *net);
    assert_non_null(net);
    net->kind = kind;
    net->descriptors = count_descriptors();
    mem_book_init(&net->book, 0);
    net->log = (struct log){.level = LOG_WARNING, .sink = on_log, .sink_owner = net};
    list_init(&net->peers);
    return net;
}

static void start_sim(struct test_net *net, const struct loop_sim_settings *settings)
{
    net->sim = loop_sim_new(settings);
    net->loop = loop_new_on(loop_sim_backend(net->sim), &net->book, &net->log);
}

struct test_net *net_new_sim(const struct loop_sim_settings *settings)
{
    struct test_net *net = new_net(NET_SIM_WILD);
    start_sim(net, settings);
    return net;
}

struct test_net *net_new(enum net_kind kind, uint64_t seed)
{
    struct test_net *net = new_net(kind);
    struct loop_sim_settings settings = {.seed = seed, .turn_ns = 1000};
    if (kind == NET_SIM_WILD)
        settings = loop_sim_wild(seed);
    /* Not through cmocka: a seed has to be seen after an abort too. */
    if (kind == NET_SIM_WILD)
        fprintf(stderr, "%llu ", (unsigned long long)seed);
    else
        fprintf(stderr, "\n%s ", net_kind_name(kind));
    int error = 0;
    if (net_is_sim(kind))
        start_sim(net, &settings);
    else
        net->loop = loop_new(&net->book, &net->log, &error);
    assert_non_null(net->loop);
    return net;
}

void net_free(struct test_net **at)
{
    struct test_net *net = *at;
    *at = NULL;
    net->book.fail_at = 0;
    LIST_EACH_SAFE (n, &net->peers) {
        struct test_peer *p = CONTAINER_OF(n, struct test_peer, link);
        peer_free(&p);
    }
    loop_free(&net->loop);
    mem_book_fini(&net->book);
    assert_int_equal(count_descriptors(), net->descriptors);
    assert_int_equal(net->warnings, 0);
    free(net);
}

/* ---- Real sockets ---- */

static void pump_out(struct test_peer *p)
{
    while (p->out_n) {
        ssize_t n = send(p->fd, p->out + p->out_at, p->out_n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            p->is_reset = true;
            p->out_n = 0;
            return;
        }
        p->out_at += (size_t)n;
        p->out_n -= (size_t)n;
    }
    if (p->shuts)
        shutdown(p->fd, SHUT_WR);
    p->shuts = false;
}

static size_t read_some(struct test_peer *p, size_t max)
{
    size_t got = 0;
    while (got < max && !p->is_eof) {
        if (p->in_n == p->in_cap) {
            p->in_cap = 2 * p->in_cap + 64 * KIB;
            p->in = realloc(p->in, p->in_cap);
            assert_non_null(p->in);
        }
        size_t want = MIN(max - got, p->in_cap - p->in_n);
        ssize_t n = recv(p->fd, p->in + p->in_n, want, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            p->is_eof = n == 0;
            p->is_reset |= n < 0;
            break;
        }
        p->in_n += (size_t)n;
        got += (size_t)n;
    }
    return got;
}

static void pump(struct test_net *net)
{
    LIST_EACH (n, &net->peers) {
        struct test_peer *p = CONTAINER_OF(n, struct test_peer, link);
        if (p->sim || p->fd < 0)
            continue;
        pump_out(p);
        if (!p->is_slow)
            read_some(p, SIZE_MAX);
    }
}

static struct test_peer *add_peer(struct test_net *net)
{
    struct test_peer *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->net = net;
    p->fd = -1;
    list_push_back(&net->peers, &p->link);
    return p;
}

/* Left alone, the kernel buffers megabytes, and then loses some. Accepted sockets inherit it. */
static void small_buffers(int fd)
{
    int bytes = 64 * KIB;
    assert_return_code(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), errno);
    assert_return_code(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), errno);
}

static int listen_tcp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    small_buffers(fd);
    assert_return_code(bind(fd, (struct sockaddr *)&any, sizeof any), errno);
    assert_return_code(listen(fd, 64), errno);
    return fd;
}

static int connect_to(int listener)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    assert_return_code(getsockname(listener, (struct sockaddr *)&at, &n), errno);
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    small_buffers(fd);
    assert_return_code(connect(fd, (struct sockaddr *)&at, n), errno);
    return fd;
}

static int pair_tcp(int *fd_out)
{
    int listener = listen_tcp();
    int peer = connect_to(listener);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(listener);
    int one = 1;
    assert_return_code(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), errno);
    *fd_out = fd;
    return peer;
}

static int pair_unix(int *fd_out)
{
    int fds[2];
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                       errno);
    *fd_out = fds[0];
    return fds[1];
}

/* ---- The face ---- */

struct test_peer *net_peer(struct test_net *net, int *fd_out)
{
    struct test_peer *p = add_peer(net);
    if (net->sim)
        p->sim = loop_sim_peer(net->sim, fd_out);
    else
        p->fd = net->kind == NET_EPOLL_TCP ? pair_tcp(fd_out) : pair_unix(fd_out);
    return p;
}

/* An abstract Unix address, chosen by the kernel. */
static int listen_unix(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr any = {.sa_family = AF_UNIX};
    assert_true(fd >= 0);
    assert_return_code(bind(fd, &any, sizeof any.sa_family), errno);
    assert_return_code(listen(fd, 64), errno);
    return fd;
}

int net_listen(struct test_net *net)
{
    if (net->sim)
        return loop_sim_listen(net->sim);
    return net->kind == NET_EPOLL_TCP ? listen_tcp() : listen_unix();
}

struct test_peer *net_connect(struct test_net *net, int listener)
{
    struct test_peer *p = add_peer(net);
    if (net->sim)
        p->sim = loop_sim_connect(net->sim, listener);
    else
        p->fd = connect_to(listener);
    return p;
}

void net_turn(struct test_net *net)
{
    pump(net);
    loop_turn(net->loop, loop_now_ms(net->loop) + 2);
    pump(net);
}

bool net_until(struct test_net *net, bool (*cond)(void *arg), void *arg)
{
    int64_t limit = loop_now_ms(net->loop) + LIMIT_MS;
    while (!cond(arg) && loop_now_ms(net->loop) < limit)
        net_turn(net);
    return cond(arg);
}

void net_settle(struct test_net *net)
{
    if (net->sim) {
        loop_sim_advance(net->sim, 50);
        return;
    }
    uint64_t before;
    int quiet = 0;
    while (quiet < 4) {
        before = loop_stats(net->loop)->events;
        net_turn(net);
        quiet = loop_stats(net->loop)->events == before ? quiet + 1 : 0;
    }
}

void peer_send(struct test_peer *p, slice data)
{
    if (p->sim) {
        sim_peer_send(p->sim, data);
        return;
    }
    if (data.n) {
        char *out = malloc(p->out_n + data.n);
        assert_non_null(out);
        if (p->out_n)
            memcpy(out, p->out + p->out_at, p->out_n);
        memcpy(out + p->out_n, data.p, data.n);
        free(p->out);
        p->out = out;
        p->out_at = 0;
        p->out_n += data.n;
    }
    pump_out(p);
}

void peer_shutdown(struct test_peer *p)
{
    if (p->sim) {
        sim_peer_shutdown(p->sim);
        return;
    }
    p->shuts = true;
    pump_out(p);
}

void peer_close(struct test_peer *p)
{
    if (p->sim) {
        sim_peer_close(p->sim);
        return;
    }
    close(p->fd);
    p->fd = -1;
}

void peer_reset(struct test_peer *p)
{
    if (p->sim) {
        sim_peer_reset(p->sim);
        return;
    }
    assert_int_equal(p->net->kind, NET_EPOLL_TCP);
    struct linger hard = {.l_onoff = 1};
    assert_return_code(setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), errno);
    peer_close(p);
}

void peer_slow(struct test_peer *p, bool is_slow)
{
    if (p->sim)
        sim_peer_slow(p->sim, is_slow);
    p->is_slow = is_slow;
}

size_t peer_read(struct test_peer *p, size_t n)
{
    return p->sim ? sim_peer_read(p->sim, n) : read_some(p, n);
}

slice peer_received(const struct test_peer *p)
{
    return p->sim ? sim_peer_received(p->sim) : slice_of(p->in, p->in_n);
}

bool peer_is_eof(const struct test_peer *p)
{
    return p->sim ? sim_peer_is_eof(p->sim) : p->is_eof;
}

bool peer_is_reset(const struct test_peer *p)
{
    return p->sim ? sim_peer_is_reset(p->sim) : p->is_reset;
}

size_t peer_unsent(const struct test_peer *p)
{
    return p->sim ? sim_peer_unread(p->sim) : p->out_n;
}

struct sim_peer *peer_sim(struct test_peer *p)
{
    return p->sim;
}

bool peer_has_ended(void *peer)
{
    return peer_is_eof(peer) || peer_is_reset(peer);
}

void peer_free(struct test_peer **at)
{
    struct test_peer *p = *at;
    *at = NULL;
    if (p->sim)
        sim_peer_free(&p->sim);
    else if (p->fd >= 0)
        close(p->fd);
    list_remove(&p->link);
    free(p->out);
    free(p->in);
    free(p);
}

/* 251 is prime to all the sizes that buffers have. */
#define PERIOD ((size_t)251)

static const char *periods(void)
{
    static char table[17 * PERIOD];
    for (size_t i = 0; table[sizeof table - 1] == 0 && i < sizeof table; i++)
        table[i] = (char)(i % PERIOD);
    return table;
}

void test_pattern(char *p, size_t n, size_t from)
{
    for (size_t at = 0, part; at < n; at += part) {
        part = MIN(n - at, 16 * PERIOD);
        memcpy(p + at, periods() + (from + at) % PERIOD, part);
    }
}

bool test_is_pattern(slice s, size_t from)
{
    for (size_t at = 0, part; at < s.n; at += part) {
        part = MIN(s.n - at, 16 * PERIOD);
        if (memcmp(s.p + at, periods() + (from + at) % PERIOD, part) != 0)
            return false;
    }
    return true;
}
