/* listener: bind, listen, accept. */
#include "io/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#define RETRY_MS 100 /* after accept failed for lack of descriptors */

static void set_option(int fd, int level, int option, int value)
{
    /* Each is an improvement, none a condition: where the kernel says no, we go on. */
    (void)!setsockopt(fd, level, option, &value, sizeof value);
}

/* Accepted sockets inherit these. */
static void set_tcp_options(int fd, const struct listener_settings *settings)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, settings->client_speaks_first);
}

/* A socket's file that nobody answers at is left over from a process that was killed. */
static void remove_stale(const struct addr *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    struct stat st;
    if (connect(fd, &addr->any, addr->bytes) < 0 && errno == ECONNREFUSED &&
        stat(addr->local.sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(addr->local.sun_path);
    close(fd);
}

static int bind_to(int fd, const struct addr *addr, const struct listener_settings *settings)
{
    bool is_unix = addr->any.sa_family == AF_UNIX;
    if (is_unix) {
        remove_stale(addr);
    } else {
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set_tcp_options(fd, settings);
    }
    if (addr->any.sa_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !addr->is_any);
    if (bind(fd, &addr->any, addr->bytes) < 0 || listen(fd, settings->backlog) < 0)
        return -errno;
    if (is_unix && chmod(addr->local.sun_path, settings->unix_mode) < 0)
        return -errno;
    return 0;
}

static int open_socket(const struct addr *addr, const struct listener_settings *settings)
{
    int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = bind_to(fd, addr, settings);
    if (error < 0) {
        close(fd);
        return error;
    }
    return fd;
}

static void on_retry(struct timeout *t)
{
    struct listener *l = CONTAINER_OF(t, struct listener, retry);
    if (!l->is_held)
        loop_accept_start(l->loop, &l->lfd);
}

static void out_of_descriptors(struct listener *l, int error)
{
    if (l->refused++ == 0)
        log_line(loop_log(l->loop), LOG_WARNING, "listen.accept",
                 "a connection could not be accepted: %s; new clients wait until others have gone "
                 "(raise the limit of open files with ulimit -n or LimitNOFILE=)",
                 strerror(-error));
    loop_accept_stop(l->loop, &l->lfd);
    timeout_set(loop_wheel(l->loop), &l->retry, loop_now_ms(l->loop) + RETRY_MS);
}

static void on_accept(struct loop_fd *lfd, int sock, const struct sockaddr *peer,
                      socklen_t peer_bytes)
{
    struct listener *l = CONTAINER_OF(lfd, struct listener, lfd);
    if (sock < 0) {
        out_of_descriptors(l, sock);
        return;
    }
    l->accepted++;
    struct peer_addr from = peer_addr_of(peer, peer_bytes);
    l->on_accept(l, sock, &from);
}

static void init(struct listener *l, struct loop *loop, const struct listener_settings *settings)
{
    *l = (struct listener){
        .on_accept = l->on_accept, .loop = loop, .lfd.fd = -1, .keeps_file = settings->keeps_file};
    timeout_init(&l->retry, on_retry);
}

static int enter_loop(struct listener *l, int fd)
{
    static const struct loop_fd_ops ops = {.on_accept = on_accept};
    return loop_open(l->loop, &l->lfd, fd, &ops);
}

int listener_open(struct listener *l, struct loop *loop, const struct addr *addr,
                  const struct listener_settings *settings)
{
    init(l, loop, settings);
    l->addr = *addr;
    int fd = open_socket(addr, settings);
    if (fd < 0 && addr->is_any && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)) {
        l->addr = addr_any_v4(addr_port(addr));
        fd = open_socket(&l->addr, settings);
    }
    if (fd < 0)
        return fd;
    l->addr.bytes = sizeof l->addr.storage;
    if (getsockname(fd, &l->addr.any, &l->addr.bytes) < 0)
        l->addr.bytes = addr->bytes;
    int error = enter_loop(l, fd);
    if (error < 0)
        close(fd);
    return error;
}

/* Every listening socket has a name; those of the simulator have none. */
static bool is_listening(int fd, const struct addr *addr)
{
    int type = 0, listens = 0;
    socklen_t n = sizeof type, m = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_STREAM)
        return false;
    if (addr->bytes <= sizeof(sa_family_t))
        return true;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &m) == 0 && listens;
}

static int make_ours(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    return 0;
}

int listener_adopt(struct listener *l, struct loop *loop, int fd,
                   const struct listener_settings *settings)
{
    init(l, loop, settings);
    l->addr.bytes = sizeof l->addr.storage;
    if (getsockname(fd, &l->addr.any, &l->addr.bytes) < 0)
        return -errno;
    if (!is_listening(fd, &l->addr))
        return -EINVAL;
    int error = make_ours(fd);
    if (error < 0)
        return error;
    if (l->addr.any.sa_family != AF_UNIX)
        set_tcp_options(fd, settings);
    return enter_loop(l, fd);
}

void listener_start(struct listener *l)
{
    if (!l->is_held && l->lfd.fd >= 0)
        loop_accept_start(l->loop, &l->lfd);
}

void listener_hold(struct listener *l)
{
    l->is_held = true;
    if (l->lfd.fd >= 0)
        loop_accept_stop(l->loop, &l->lfd);
}

void listener_go_on(struct listener *l)
{
    if (!l->is_held || l->lfd.fd < 0)
        return;
    l->is_held = false;
    loop_accept_start(l->loop, &l->lfd);
}

int listener_release(struct listener *l)
{
    timeout_clear(&l->retry);
    return loop_release(l->loop, &l->lfd);
}

/* An abstract address (the first byte is 0) and an unnamed one have no file. */
static bool has_file(const struct listener *l)
{
    return l->addr.any.sa_family == AF_UNIX && !l->keeps_file &&
           l->addr.bytes > offsetof(struct sockaddr_un, sun_path) && l->addr.local.sun_path[0];
}

/* By loop_release: when another process holds the same socket, closing alone would leave it in the
 * loop. */
void listener_close(struct listener *l)
{
    int fd = listener_release(l);
    if (fd < 0)
        return;
    close(fd);
    if (has_file(l))
        unlink(l->addr.local.sun_path);
}
