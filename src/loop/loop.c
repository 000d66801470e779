/* loop: one turn after another. What is particular to an engine is behind loop_backend.h. */
#include "loop/loop_core.h"

#include "base/check.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define SLOW_TURN_MS 10

int64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

int64_t loop_turn_ms(const struct loop *loop)
{
    return loop->ops->about_now_ns(loop->backend) / NS_PER_MS - loop->now_ms;
}

int64_t loop_unix_s(const struct loop *loop)
{
    return loop->unix_s;
}

int64_t loop_unix_ms(const struct loop *loop)
{
    return loop->unix_ms + (loop->now_ms - loop->unix_at_ms);
}

struct timeout_wheel *loop_wheel(struct loop *loop)
{
    return &loop->wheel;
}

struct mem_book *loop_book(struct loop *loop)
{
    return loop->book;
}

struct log *loop_log(struct loop *loop)
{
    return loop->log;
}

const struct loop_stats *loop_stats(const struct loop *loop)
{
    return &loop->stats;
}

/* The wall clock is asked some times a second at most: it only has to be right to the second. */
void loop_tick(struct loop *loop)
{
    loop->now_ms = loop->ops->now_ns(loop->backend) / NS_PER_MS;
    if (loop->now_ms - loop->unix_at_ms < 50)
        return;
    loop->unix_ms = loop->ops->unix_ms(loop->backend);
    loop->unix_s = loop->unix_ms / 1000;
    loop->unix_at_ms = loop->now_ms;
}

struct loop *loop_new_on(struct loop_backend *b, struct mem_book *book, struct log *log)
{
    struct loop *loop = calloc(1, sizeof *loop); /* before the accounts are there */
    if (!loop)
        return NULL;
    loop->backend = b;
    loop->ops = b->ops;
    loop->book = book;
    loop->log = log;
    b->loop = loop;
    mem_owner_init(&loop->owner, book, "loop");
    list_init(&loop->deferred);
    list_init(&loop->graves);
    list_init(&loop->lanes);
    list_init(&loop->done);
    pthread_mutex_init(&loop->done_lock, NULL);
    loop->signal_fd.fd = -1;
    loop->unix_at_ms = INT64_MIN / 2;
    loop_tick(loop);
    timeout_wheel_init(&loop->wheel, loop->now_ms);
    return loop;
}

struct loop *loop_new(struct mem_book *book, struct log *log, int *error_out)
{
    struct loop_backend *b = loop_epoll_new(book, error_out);
    if (!b)
        return NULL;
    struct loop *loop = loop_new_on(b, book, log);
    if (!loop) {
        b->ops->free(b);
        *error_out = -ENOMEM;
    }
    return loop;
}

void loop_free(struct loop **at)
{
    struct loop *loop = *at;
    *at = NULL;
    if (!loop)
        return;
    if (loop->signal_fd.fd >= 0)
        loop_close(loop, &loop->signal_fd);
    BUG_ON(!list_is_empty(&loop->lanes));
    BUG_ON(!list_is_empty(&loop->deferred) || !list_is_empty(&loop->graves));
    loop->ops->free(loop->backend);
    mem_owner_fini(&loop->owner);
    pthread_mutex_destroy(&loop->done_lock);
    free(loop);
}

/* ---- Descriptors: handed to the engine. ---- */

static void init_fd(struct loop_fd *lfd, int fd, const struct loop_fd_ops *ops)
{
    *lfd = (struct loop_fd){.ops = ops, .fd = fd};
    list_init(&lfd->ready);
}

int loop_open(struct loop *loop, struct loop_fd *lfd, int fd, const struct loop_fd_ops *ops)
{
    init_fd(lfd, fd, ops);
    int error = loop->ops->open(loop->backend, lfd);
    if (error < 0)
        lfd->fd = -1; /* the number is still the caller's, and soon perhaps another's */
    return error;
}

void loop_close(struct loop *loop, struct loop_fd *lfd)
{
    if (lfd->fd < 0)
        return;
    lfd->want = 0;
    list_remove(&lfd->ready);
    loop->ops->close(loop->backend, lfd);
    lfd->fd = -1;
}

int loop_release(struct loop *loop, struct loop_fd *lfd)
{
    int fd = lfd->fd;
    if (fd < 0)
        return -1;
    lfd->want = 0;
    list_remove(&lfd->ready);
    loop->ops->release(loop->backend, lfd);
    lfd->fd = -1;
    return fd;
}

void loop_recv_start(struct loop *loop, struct loop_fd *lfd)
{
    loop->ops->recv_start(loop->backend, lfd);
}

void loop_recv_stop(struct loop *loop, struct loop_fd *lfd)
{
    loop->ops->recv_stop(loop->backend, lfd);
}

ssize_t loop_send(struct loop *loop, struct loop_fd *lfd, const struct iovec *iov, int count,
                  bool more)
{
    return loop->ops->send(loop->backend, lfd, iov, count, more);
}

ssize_t loop_sendfile(struct loop *loop, struct loop_fd *lfd, int file, uint64_t offset,
                      size_t count)
{
    return loop->ops->sendfile(loop->backend, lfd, file, offset, count);
}

/* BBR sends when a timer says so, and holding back makes the timer dearer: 1 GiB over loopback
 * at 2.6 GB per CPU second with a cork, 4.5 without. With the others, which send as
 * acknowledgements come, it is 23 with and 19 without. */
static bool is_paced(int fd)
{
    char name[16] = {0};
    socklen_t n = sizeof name;
    return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n) == 0 &&
           slice_has_prefix(slice_of(name, n), SLICE("bbr"));
}

/* The same for all engines: the simulator's descriptors are Unix sockets, which say no. */
void loop_cork(struct loop *loop, struct loop_fd *lfd, bool on)
{
    int value = on;
    if (lfd->fd >= 0 && !(on && is_paced(lfd->fd)))
        (void)!setsockopt(lfd->fd, IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}

void loop_shutdown(struct loop *loop, struct loop_fd *lfd)
{
    if (lfd->fd >= 0)
        loop->ops->shutdown(loop->backend, lfd);
}

size_t loop_unsent(struct loop *loop, struct loop_fd *lfd)
{
    return lfd->fd >= 0 ? loop->ops->unsent(loop->backend, lfd) : 0;
}

void loop_accept_start(struct loop *loop, struct loop_fd *lfd)
{
    loop->ops->accept_start(loop->backend, lfd);
}

void loop_accept_stop(struct loop *loop, struct loop_fd *lfd)
{
    loop->ops->accept_stop(loop->backend, lfd);
}

int loop_connect(struct loop *loop, struct loop_fd *lfd, const struct sockaddr *to,
                 socklen_t to_bytes, const struct loop_fd_ops *ops)
{
    init_fd(lfd, -1, ops);
    return loop->ops->connect(loop->backend, lfd, to, to_bytes);
}

void loop_datagrams_start(struct loop *loop, struct loop_fd *lfd)
{
    loop->ops->datagrams_start(loop->backend, lfd);
}

void loop_datagrams_stop(struct loop *loop, struct loop_fd *lfd)
{
    loop->ops->datagrams_stop(loop->backend, lfd);
}

int loop_send_to(struct loop *loop, struct loop_fd *lfd, slice data, const struct sockaddr *to,
                 socklen_t to_bytes)
{
    return loop->ops->send_to(loop->backend, lfd, data, to, to_bytes);
}

int loop_poll(struct loop *loop, struct loop_fd *lfd, unsigned events)
{
    return loop->ops->poll(loop->backend, lfd, events);
}

/* ---- Later in this turn. ---- */

void loop_deferred_init(struct loop_deferred *d, void (*fn)(struct loop_deferred *d))
{
    list_init(&d->link);
    d->fn = fn;
}

void loop_defer(struct loop *loop, struct loop_deferred *d)
{
    if (!list_is_linked(&d->link))
        list_push_back(&loop->deferred, &d->link);
}

void loop_defer_cancel(struct loop_deferred *d)
{
    list_remove(&d->link);
}

void loop_bury(struct loop *loop, struct loop_deferred *d)
{
    list_remove(&d->link);
    list_push_back(&loop->graves, &d->link);
}

static void run_deferred(struct list_node *from)
{
    struct list_node now;
    list_move_all(&now, from);
    for (struct list_node *n; (n = list_pop_front(&now));) {
        struct loop_deferred *d = CONTAINER_OF(n, struct loop_deferred, link);
        d->fn(d);
    }
}

/* ---- Turns. ---- */

static int64_t wait_until(const struct loop *loop, int64_t deadline_ms)
{
    if (!list_is_empty(&loop->deferred) || !list_is_empty(&loop->graves) || loop->stopping)
        return 0;
    int64_t next = timeout_wheel_next(&loop->wheel);
    next = MIN(next, deadline_ms);
    return next > INT64_MAX / NS_PER_MS ? INT64_MAX : next * NS_PER_MS;
}

static void count_turn(struct loop *loop, size_t events)
{
    int64_t took = loop->ops->about_now_ns(loop->backend) / NS_PER_MS - loop->now_ms;
    loop->stats.turns++;
    loop->stats.events += events;
    loop->stats.slowest_ms = MAX(loop->stats.slowest_ms, took);
    if (took > SLOW_TURN_MS)
        loop->stats.slow_turns++;
}

void loop_turn(struct loop *loop, int64_t deadline_ms)
{
    size_t events = loop->ops->wait(loop->backend, wait_until(loop, deadline_ms));
    work_run_done(loop);
    timeout_wheel_run(&loop->wheel, loop->now_ms);
    run_deferred(&loop->deferred);
    run_deferred(&loop->graves);
    count_turn(loop, events);
}

void loop_run(struct loop *loop)
{
    loop->stopping = false;
    while (!loop->stopping)
        loop_turn(loop, INT64_MAX);
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}

/* ---- Signals: read as bytes from a signalfd, like everything else. ---- */

static void on_signal_bytes(struct loop_fd *fd, slice in, int end)
{
    struct loop *loop = CONTAINER_OF(fd, struct loop, signal_fd);
    for (struct signalfd_siginfo info; in.n >= sizeof info; in = slice_skip(in, sizeof info)) {
        memcpy(&info, in.p, sizeof info);
        loop->on_signal(loop->signal_owner, (int)info.ssi_signo);
    }
}

int loop_signals(struct loop *loop, const int *signos, size_t count, loop_signal_fn fn, void *owner)
{
    static const struct loop_fd_ops ops = {.on_recv = on_signal_bytes};
    BUG_ON(loop->signal_fd.fd >= 0);
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++)
        sigaddset(&set, signos[i]);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return -EINVAL;
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    loop->on_signal = fn;
    loop->signal_owner = owner;
    int error = loop_open(loop, &loop->signal_fd, fd, &ops);
    if (error < 0) {
        close(fd);
        loop->signal_fd.fd = -1;
        return error;
    }
    loop_recv_start(loop, &loop->signal_fd);
    return 0;
}
