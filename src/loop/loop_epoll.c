/* loop_epoll: the reference engine.
 *
 * A descriptor is registered once, edge-triggered, for everything; after that epoll_ctl is never
 * called again: what its owner wants is a flag here. Edge-triggered means: the kernel says "it
 * became readable" once, so we have to remember that there may be more to read until a read came
 * back short. That memory (CAN_RECV, CAN_SEND) is what turns readiness into completion.
 *
 * Registering is put off to the end of the turn in which a descriptor became known: a connection
 * whose request was there at accept, and which is closed after the answer, never costs an
 * epoll_ctl. */
#include "loop/loop_backend.h"

#include "base/check.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct loop_fd.state */
enum { CAN_RECV = 1, CAN_SEND = 2, CAN_ACCEPT = 4, REGISTERED = 8, HUNG_UP = 16, NOT_SOCKET = 32 };

#define EVENTS_PER_TURN    512
#define RECV_BYTES         (64 * KIB) /* the one shared input buffer */
#define RECVS_PER_TURN     4          /* of one descriptor, before others have their turn */
#define ACCEPTS_PER_TURN   64
#define DATAGRAMS_PER_TURN 64
#define SENDFILE_MAX       (4 * MIB) /* in one call: about 0.3 ms */

/* The two calls that are made for every request, without the C library's wrappers: those announce a
 * cancellation point, twice per call, as soon as the process has threads (3 % of a small request);
 * nobody is ever cancelled here. */
static ssize_t sys_recv(int fd, void *p, size_t n)
{
    return syscall(SYS_recvfrom, fd, p, n, MSG_DONTWAIT, NULL, NULL);
}

static ssize_t sys_send(int fd, const void *p, size_t n, int flags)
{
    return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

struct loop_epoll {
    struct loop_backend base;
    struct mem_owner owner;
    int epoll;
    int wake_fd;
    struct list_node ready; /* descriptors that can go on */
    char *buffer;
    struct epoll_event events[EVENTS_PER_TURN];
};

static struct loop_epoll *self_of(struct loop_backend *b)
{
    return CONTAINER_OF(b, struct loop_epoll, base);
}

static int64_t epoll_now_ns(struct loop_backend *b)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* The kernel's last tick: no look at the hardware's counter. */
static int64_t epoll_about_now_ns(struct loop_backend *b)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int64_t epoll_unix_ms(struct loop_backend *b)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

static int do_register(struct loop_epoll *e, struct loop_fd *lfd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = lfd};
    if (epoll_ctl(e->epoll, EPOLL_CTL_ADD, lfd->fd, &event) < 0)
        return -errno;
    lfd->state |= REGISTERED;
    return 0;
}

static void make_ready(struct loop_epoll *e, struct loop_fd *lfd)
{
    if (!list_is_linked(&lfd->ready))
        list_push_back(&e->ready, &lfd->ready);
}

static int epoll_open(struct loop_backend *b, struct loop_fd *lfd)
{
    lfd->state =
        CAN_RECV | CAN_SEND | CAN_ACCEPT; /* nobody knows yet: the first attempt will tell */
    return 0;
}

static void epoll_close(struct loop_backend *b, struct loop_fd *lfd)
{
    close(lfd->fd); /* takes it out of epoll too: nobody else holds the open file */
}

/* Others may hold the open file (its next owner does), so closing is not enough here. */
static void epoll_release(struct loop_backend *b, struct loop_fd *lfd)
{
    if (lfd->state & REGISTERED)
        (void)!epoll_ctl(self_of(b)->epoll, EPOLL_CTL_DEL, lfd->fd, NULL);
}

static void epoll_recv_start(struct loop_backend *b, struct loop_fd *lfd)
{
    lfd->want |= LOOP_WANT_RECV;
    if (lfd->state & CAN_RECV)
        make_ready(self_of(b), lfd);
}

static void epoll_recv_stop(struct loop_backend *b, struct loop_fd *lfd)
{
    lfd->want &= (uint16_t)~LOOP_WANT_RECV;
}

static void epoll_accept_start(struct loop_backend *b, struct loop_fd *lfd)
{
    lfd->want |= LOOP_WANT_ACCEPT;
    lfd->state |= CAN_ACCEPT;
    make_ready(self_of(b), lfd);
}

static void epoll_accept_stop(struct loop_backend *b, struct loop_fd *lfd)
{
    lfd->want &= (uint16_t)~LOOP_WANT_ACCEPT;
}

/* Done at once (Unix, sometimes loopback) or not: it is told when the descriptor has its turn. */
static int epoll_connect(struct loop_backend *b, struct loop_fd *lfd, const struct sockaddr *to,
                         socklen_t to_bytes)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = connect(fd, to, to_bytes) < 0 ? errno : 0;
    if (error && error != EINPROGRESS && error != EINTR) {
        close(fd);
        return -error;
    }
    lfd->fd = fd;
    lfd->want = LOOP_WANT_CONNECT;
    lfd->state = error ? 0 : CAN_SEND;
    make_ready(self_of(b), lfd);
    return 0;
}

static void epoll_datagrams_start(struct loop_backend *b, struct loop_fd *lfd)
{
    lfd->want |= LOOP_WANT_DATAGRAMS;
    if (lfd->state & CAN_RECV)
        make_ready(self_of(b), lfd);
}

static void epoll_datagrams_stop(struct loop_backend *b, struct loop_fd *lfd)
{
    lfd->want &= (uint16_t)~LOOP_WANT_DATAGRAMS;
}

static int epoll_send_to(struct loop_backend *b, struct loop_fd *lfd, slice data,
                         const struct sockaddr *to, socklen_t to_bytes)
{
    ssize_t n;
    do
        n = sendto(lfd->fd, data.p, data.n, MSG_NOSIGNAL | MSG_DONTWAIT, to, to_bytes);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* A library reads what it likes and leaves the rest: level-triggered, unlike all others. */
static int epoll_poll(struct loop_backend *b, struct loop_fd *lfd, unsigned events)
{
    struct loop_epoll *e = self_of(b);
    struct epoll_event event = {.events = (events & LOOP_READABLE ? (uint32_t)EPOLLIN : 0) |
                                          (events & LOOP_WRITABLE ? (uint32_t)EPOLLOUT : 0),
                                .data.ptr = lfd};
    bool is_known = lfd->state & REGISTERED;
    lfd->want = events ? LOOP_WANT_POLL : 0;
    lfd->state = is_known && events ? REGISTERED : 0;
    list_remove(&lfd->ready); /* what was noted may not be so any more */
    if (!events && !is_known)
        return 0;
    int op = !events ? EPOLL_CTL_DEL : is_known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(e->epoll, op, lfd->fd, &event) < 0)
        return -errno;
    lfd->state = events ? REGISTERED : 0;
    return 0;
}

/* The kernel took nothing: on_sent(0) follows when EPOLLOUT says that there is room. */
static ssize_t wait_for_room(struct loop_epoll *e, struct loop_fd *lfd)
{
    lfd->state &= (uint16_t)~CAN_SEND;
    lfd->want |= LOOP_WANT_SEND;
    if (!(lfd->state & REGISTERED))
        make_ready(e, lfd);
    return LOOP_PENDING;
}

/* The kernel took less than was offered: its room is used up, and an edge will tell when there is
 * some again. Asking once more would only be told EAGAIN, and for a file that costs as much as
 * sending sixteen pages. */
static ssize_t took_some(struct loop_fd *lfd, ssize_t n, size_t offered)
{
    if ((size_t)n < offered)
        lfd->state &= (uint16_t)~CAN_SEND;
    return n;
}

static ssize_t epoll_send(struct loop_backend *b, struct loop_fd *lfd, const struct iovec *iov,
                          int count, bool more)
{
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
    size_t offered = 0;
    for (int i = 0; i < count; i++)
        offered += iov[i].iov_len;
    if (!(lfd->state & CAN_SEND))
        return wait_for_room(self_of(b), lfd);
    ssize_t n;
    do {
        if (count == 1) {
            n = sys_send(lfd->fd, iov->iov_base, iov->iov_len, flags);
        } else {
            struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
            n = sendmsg(lfd->fd, &msg, flags);
        }
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return took_some(lfd, n, offered);
    return errno == EAGAIN ? wait_for_room(self_of(b), lfd) : -errno;
}

/* Less than was asked for: because the file has become shorter, or because the socket is full? */
static bool ends_at(int file, uint64_t offset)
{
    struct stat st;
    return fstat(file, &st) < 0 || (uint64_t)st.st_size <= offset;
}

static ssize_t epoll_sendfile(struct loop_backend *b, struct loop_fd *lfd, int file,
                              uint64_t offset, size_t count)
{
    off_t at = (off_t)offset;
    size_t offered = MIN(count, SENDFILE_MAX);
    if (!(lfd->state & CAN_SEND))
        return wait_for_room(self_of(b), lfd);
    ssize_t n;
    do
        n = sendfile(lfd->fd, file, &at, offered);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? wait_for_room(self_of(b), lfd) : -errno;
    bool is_short = n > 0 && (size_t)n < offered;
    return is_short && ends_at(file, offset + (uint64_t)n) ? n : took_some(lfd, n, n ? offered : 0);
}

static void epoll_shutdown(struct loop_backend *b, struct loop_fd *lfd)
{
    shutdown(lfd->fd, SHUT_WR);
}

static size_t epoll_unsent(struct loop_backend *b, struct loop_fd *lfd)
{
    int bytes = 0;
    return ioctl(lfd->fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

static void epoll_wake(struct loop_backend *b)
{
    uint64_t one = 1;
    ssize_t n;
    do
        n = write(self_of(b)->wake_fd, &one, sizeof one);
    while (n < 0 && errno == EINTR); /* EAGAIN: it is awake already */
}

/* ---- What can go on, goes on. ---- */

static ssize_t receive(struct loop_epoll *e, struct loop_fd *lfd)
{
    ssize_t n;
    do
        n = lfd->state & NOT_SOCKET ? read(lfd->fd, e->buffer, RECV_BYTES)
                                    : sys_recv(lfd->fd, e->buffer, RECV_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == ENOTSOCK && !(lfd->state & NOT_SOCKET)) {
        lfd->state |= NOT_SOCKET;
        return receive(e, lfd);
    }
    return n < 0 ? -errno : n;
}

static void do_recv(struct loop_epoll *e, struct loop_fd *lfd)
{
    for (int i = 0; i < RECVS_PER_TURN; i++) {
        if (!(lfd->want & LOOP_WANT_RECV) || !(lfd->state & CAN_RECV))
            return;
        ssize_t n = receive(e, lfd);
        if (n == -EAGAIN) {
            lfd->state &= (uint16_t)~CAN_RECV;
            return;
        }
        if (n <= 0) {
            lfd->state &= (uint16_t)~CAN_RECV;
            lfd->want &= (uint16_t)~LOOP_WANT_RECV;
            lfd->ops->on_recv(lfd, slice_of(e->buffer, 0), (int)n);
            return;
        }
        /* A short read means that the queue is empty, and an edge will come with the next bytes;
         * but after a hang-up no edge will tell of the end: read on until it is seen. */
        if ((size_t)n < RECV_BYTES && !(lfd->state & HUNG_UP))
            lfd->state &= (uint16_t)~CAN_RECV;
        lfd->ops->on_recv(lfd, slice_of(e->buffer, (size_t)n), 0);
    }
}

static void do_accept(struct loop_epoll *e, struct loop_fd *lfd)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (!(lfd->want & LOOP_WANT_ACCEPT) || !(lfd->state & CAN_ACCEPT))
            return;
        struct sockaddr_storage peer;
        socklen_t n = sizeof peer;
        int sock = accept4(lfd->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int error = sock < 0 ? errno : 0;
        if (error == EAGAIN) {
            lfd->state &= (uint16_t)~CAN_ACCEPT;
            return;
        }
        if (error == EINTR || error == ECONNABORTED || error == EPROTO)
            continue; /* that one client has gone: the next */
        lfd->ops->on_accept(lfd, error ? -error : sock, (struct sockaddr *)&peer, error ? 0 : n);
    }
}

static void do_datagrams(struct loop_epoll *e, struct loop_fd *lfd)
{
    for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
        if (!(lfd->want & LOOP_WANT_DATAGRAMS) || !(lfd->state & CAN_RECV))
            return;
        struct sockaddr_storage from = {0};
        socklen_t from_bytes = sizeof from;
        ssize_t n = recvfrom(lfd->fd, e->buffer, RECV_BYTES, MSG_DONTWAIT | MSG_TRUNC,
                             (struct sockaddr *)&from, &from_bytes);
        if (n < 0 && errno == EAGAIN) {
            lfd->state &= (uint16_t)~CAN_RECV;
            return;
        }
        if (n < 0 || (size_t)n > RECV_BYTES)
            continue; /* the echo of one that we sent, or too long: the next */
        lfd->ops->on_datagram(lfd, slice_of(e->buffer, (size_t)n), (struct sockaddr *)&from,
                              from_bytes);
    }
}

static void do_connected(struct loop_fd *lfd)
{
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(lfd->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
        error = errno;
    lfd->want = 0;
    lfd->state |= CAN_RECV; /* nobody knows: the first attempt will tell */
    lfd->ops->on_connected(lfd, -error);
}

static void do_poll(struct loop_fd *lfd)
{
    unsigned events = (lfd->state & CAN_RECV ? (unsigned)LOOP_READABLE : 0) |
                      (lfd->state & CAN_SEND ? (unsigned)LOOP_WRITABLE : 0);
    lfd->state &= (uint16_t) ~(CAN_RECV | CAN_SEND);
    if (events)
        lfd->ops->on_ready(lfd, events);
}

static bool can_go_on(const struct loop_fd *lfd)
{
    return (lfd->want & (LOOP_WANT_RECV | LOOP_WANT_DATAGRAMS) && lfd->state & CAN_RECV) ||
           (lfd->want & LOOP_WANT_ACCEPT && lfd->state & CAN_ACCEPT) ||
           (lfd->want & LOOP_WANT_CONNECT && lfd->state & CAN_SEND);
}

/* The rarer kinds. */
static void go_on_otherwise(struct loop_epoll *e, struct loop_fd *lfd)
{
    if (lfd->want & LOOP_WANT_CONNECT && lfd->state & CAN_SEND)
        do_connected(lfd);
    if (lfd->want & LOOP_WANT_DATAGRAMS && lfd->state & CAN_RECV)
        do_datagrams(e, lfd);
}

static void go_on(struct loop_epoll *e, struct loop_fd *lfd)
{
    if (lfd->want & LOOP_WANT_POLL) {
        do_poll(lfd);
        return; /* registered in a way of its own */
    }
    if (lfd->want & (LOOP_WANT_CONNECT | LOOP_WANT_DATAGRAMS))
        go_on_otherwise(e, lfd);
    if (lfd->want & LOOP_WANT_ACCEPT && lfd->state & CAN_ACCEPT)
        do_accept(e, lfd);
    if (lfd->want & LOOP_WANT_SEND && lfd->state & CAN_SEND) {
        lfd->want &= (uint16_t)~LOOP_WANT_SEND;
        lfd->ops->on_sent(lfd, 0);
    }
    if (lfd->want & LOOP_WANT_RECV && lfd->state & CAN_RECV)
        do_recv(e, lfd);
    if (lfd->fd < 0)
        return;
    if (can_go_on(lfd) || !(lfd->state & REGISTERED))
        make_ready(e, lfd);
}

/* Those that are known since the last wait and still open are registered now; the others never
 * were. */
static void register_new(struct loop_epoll *e)
{
    LIST_EACH_SAFE (n, &e->ready) {
        struct loop_fd *lfd = CONTAINER_OF(n, struct loop_fd, ready);
        if (lfd->state & REGISTERED)
            continue;
        if (do_register(e, lfd) < 0)
            continue; /* out of memory: tried again next turn */
        if (!can_go_on(lfd))
            list_remove(n);
    }
}

static void run_ready(struct loop_epoll *e)
{
    struct list_node now;
    list_move_all(&now, &e->ready);
    for (struct list_node *n; (n = list_pop_front(&now));)
        go_on(e, CONTAINER_OF(n, struct loop_fd, ready));
}

static void note_event(struct loop_epoll *e, const struct epoll_event *event)
{
    struct loop_fd *lfd = event->data.ptr;
    if (!lfd) {
        uint64_t count;
        if (read(e->wake_fd, &count, sizeof count) < 0)
            return; /* somebody else's wake-up was read with the last one */
        return;
    }
    if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        lfd->state |= CAN_RECV | CAN_ACCEPT;
    if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        lfd->state |= HUNG_UP;
    if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        lfd->state |= CAN_SEND;
    make_ready(e, lfd);
}

/* Milliseconds to wait, rounded up so that a timeout is not found to be early. */
static int wait_ms(struct loop_epoll *e, int64_t deadline_ns)
{
    if (!list_is_empty(&e->ready) || deadline_ns == 0)
        return 0;
    if (deadline_ns == INT64_MAX)
        return -1;
    int64_t left = deadline_ns - epoll_about_now_ns(&e->base);
    if (left <= 0)
        return 0;
    return (int)MIN((left + NS_PER_MS - 1) / NS_PER_MS, INT32_MAX);
}

static size_t epoll_wait_and_tell(struct loop_backend *b, int64_t deadline_ns)
{
    struct loop_epoll *e = self_of(b);
    register_new(e);
    int n = epoll_wait(e->epoll, e->events, EVENTS_PER_TURN, wait_ms(e, deadline_ns));
    loop_tick(b->loop);
    for (int i = 0; i < n; i++)
        note_event(e, &e->events[i]);
    run_ready(e);
    run_ready(
        e); /* the connections that were just accepted: their request is usually there already */
    return n > 0 ? (size_t)n : 0;
}

static void epoll_free(struct loop_backend *b)
{
    struct loop_epoll *e = self_of(b);
    close(e->epoll);
    close(e->wake_fd);
    mem_free(&e->owner, e->buffer, RECV_BYTES);
    mem_owner_fini(&e->owner);
    free(e);
}

static const struct loop_backend_ops epoll_ops = {
    .name = "epoll",
    .free = epoll_free,
    .now_ns = epoll_now_ns,
    .about_now_ns = epoll_about_now_ns,
    .unix_ms = epoll_unix_ms,
    .wait = epoll_wait_and_tell,
    .open = epoll_open,
    .close = epoll_close,
    .release = epoll_release,
    .recv_start = epoll_recv_start,
    .recv_stop = epoll_recv_stop,
    .send = epoll_send,
    .sendfile = epoll_sendfile,
    .shutdown = epoll_shutdown,
    .unsent = epoll_unsent,
    .accept_start = epoll_accept_start,
    .accept_stop = epoll_accept_stop,
    .connect = epoll_connect,
    .datagrams_start = epoll_datagrams_start,
    .datagrams_stop = epoll_datagrams_stop,
    .send_to = epoll_send_to,
    .poll = epoll_poll,
    .wake = epoll_wake,
};

static int open_descriptors(struct loop_epoll *e)
{
    e->epoll = epoll_create1(EPOLL_CLOEXEC);
    e->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (e->epoll < 0 || e->wake_fd < 0)
        return -errno;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    return epoll_ctl(e->epoll, EPOLL_CTL_ADD, e->wake_fd, &event) < 0 ? -errno : 0;
}

struct loop_backend *loop_epoll_new(struct mem_book *book, int *error_out)
{
    struct loop_epoll *e = calloc(1, sizeof *e);
    *error_out = -ENOMEM;
    if (!e)
        return NULL;
    e->base.ops = &epoll_ops;
    list_init(&e->ready);
    mem_owner_init(&e->owner, book, "loop input");
    e->buffer = mem_alloc(&e->owner, RECV_BYTES);
    *error_out = e->buffer ? open_descriptors(e) : -ENOMEM;
    if (*error_out == 0)
        return &e->base;
    if (e->epoll > 0)
        close(e->epoll);
    if (e->wake_fd > 0)
        close(e->wake_fd);
    mem_free(&e->owner, e->buffer, RECV_BYTES);
    mem_owner_fini(&e->owner);
    free(e);
    return NULL;
}
