/* dgram: bind, tell, send. */
#include "io/dgram.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

/* The same place on the family of a socket for both: 192.0.2.1 is ::ffff:192.0.2.1 there. */
static struct addr mapped(const struct addr *a)
{
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)&a->storage;
    struct addr out = {.bytes = sizeof(struct sockaddr_in6)};
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out.storage;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = in4->sin_port;
    in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
    memcpy(in6->sin6_addr.s6_addr + 12, &in4->sin_addr, 4);
    return out;
}

static struct addr unmapped(const struct sockaddr *from, socklen_t bytes)
{
    struct addr out = {.bytes = MIN(bytes, sizeof out.storage)};
    memcpy(&out.storage, from, out.bytes);
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
    if (bytes < sizeof *in6 || from->sa_family != AF_INET6 ||
        !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        return out;
    struct addr v4 = {.bytes = sizeof(struct sockaddr_in)};
    struct sockaddr_in *in4 = (struct sockaddr_in *)&v4.storage;
    in4->sin_family = AF_INET;
    in4->sin_port = in6->sin6_port;
    memcpy(&in4->sin_addr, in6->sin6_addr.s6_addr + 12, 4);
    return v4;
}

static void on_datagram(struct loop_fd *lfd, slice in, const struct sockaddr *from,
                        socklen_t from_bytes)
{
    struct dgram *d = CONTAINER_OF(lfd, struct dgram, lfd);
    struct addr sender = unmapped(from, from_bytes);
    d->received++;
    d->on_datagram(d, in, &sender);
}

static int open_socket(const struct addr *at)
{
    int fd = socket(at->any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int v6_only = !at->is_any;
    if (at->any.sa_family == AF_INET6)
        (void)!setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
    if (bind(fd, &at->any, at->bytes) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

int dgram_adopt(struct dgram *d, struct loop *loop, int fd)
{
    static const struct loop_fd_ops ops = {.on_datagram = on_datagram};
    *d = (struct dgram){.on_datagram = d->on_datagram, .loop = loop, .lfd.fd = -1};
    d->addr.bytes = sizeof d->addr.storage;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || getsockname(fd, &d->addr.any, &d->addr.bytes) < 0)
        return -errno;
    return loop_open(loop, &d->lfd, fd, &ops);
}

int dgram_open(struct dgram *d, struct loop *loop, const struct addr *at)
{
    d->lfd.fd = -1;
    int fd = open_socket(at);
    if (fd < 0 && at->is_any && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)) {
        struct addr v4 = addr_any_v4(addr_port(at));
        fd = open_socket(&v4);
    }
    if (fd < 0)
        return fd;
    int error = dgram_adopt(d, loop, fd);
    if (error < 0)
        close(fd);
    return error;
}

void dgram_start(struct dgram *d)
{
    if (d->lfd.fd >= 0)
        loop_datagrams_start(d->loop, &d->lfd);
}

void dgram_stop(struct dgram *d)
{
    if (d->lfd.fd >= 0)
        loop_datagrams_stop(d->loop, &d->lfd);
}

int dgram_send(struct dgram *d, slice data, const struct addr *to)
{
    struct addr other;
    if (d->lfd.fd < 0)
        return -EBADF;
    if (d->addr.any.sa_family == AF_INET6 && to->any.sa_family == AF_INET) {
        other = mapped(to);
        to = &other;
    }
    int error = loop_send_to(d->loop, &d->lfd, data, &to->any, to->bytes);
    if (error < 0)
        d->dropped++;
    else
        d->sent++;
    return error;
}

/* Others may hold the same socket: see listener_close. */
void dgram_close(struct dgram *d)
{
    int fd = loop_release(d->loop, &d->lfd);
    if (fd >= 0)
        close(fd);
}
