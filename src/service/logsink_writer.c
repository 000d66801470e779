/* logsink_writer: the thread that empties a sink's ring into its file.
 *
 * One round: look at requests (reopen, flush, stop), write, answer, wait. Files of ours are opened
 * non-blocking, so that a FIFO which nobody reads makes the writer wait in poll, where it hears
 * requests. A descriptor that was given to us (stdout) cannot be made non-blocking without doing
 * that to its other users too: there it asks poll first and writes at most PIPE_BUF. */
#include "service/logsink.h"
#include "service/logsink_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

/* How a round of writing ended. */
enum outcome {
    WROTE_ALL,
    FILE_IS_FULL, /* a pipe whose reader is slow: poll tells */
    FILE_FAILED   /* or is not there: try again later */
};

int64_t logsink_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / NS_PER_MS;
}

void logsink_event_set(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n; /* EAGAIN: it is set, and more than set */
}

void logsink_event_clear(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n; /* EAGAIN: it was not set */
}

void logsink_release(struct logsink *s)
{
    if (atomic_fetch_sub(&s->holders, 1) > 1)
        return;
    if (s->fd >= 0)
        close(s->fd);
    if (s->wake >= 0)
        close(s->wake);
    if (s->told >= 0)
        close(s->told);
    mem_raw_free(s);
}

static void failed(struct logsink *s, int error)
{
    atomic_store(&s->error, error);
    atomic_store(&s->write_error, error);
    atomic_store(&s->is_failing, true);
    atomic_fetch_add(&s->errors, 1);
}

void logsink_use_fd(struct logsink *s, int fd)
{
    struct stat st;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = fd;
    s->is_regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

int logsink_open_path(const struct logsink *s)
{
    int fd = open(s->path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0640);
    return fd >= 0 ? fd : -errno;
}

/* Is there a file to write to? Opens it when there was none. */
static bool has_file(struct logsink *s)
{
    if (s->fd >= 0)
        return true;
    int fd = logsink_open_path(s);
    if (fd >= 0)
        logsink_use_fd(s, fd);
    else if (fd != -ENXIO)
        failed(s, -fd);
    return fd >= 0;
}

/* The half of a line that the old file did not take must not begin the next one. */
static void drop_rest_of_line(struct logsink *s)
{
    if (!s->is_midline)
        return;
    log_ring_take(&s->ring, log_ring_first_line(&s->ring));
    atomic_fetch_add(&s->lost, 1);
    s->is_midline = false;
}

static enum outcome write_failed(struct logsink *s, int error)
{
    if (error == EAGAIN || error == EINTR)
        return FILE_IS_FULL;
    if (error == EPIPE && s->has_path) { /* the reader has gone: wait for the next one */
        close(s->fd);
        s->fd = -1;
        drop_rest_of_line(s);
        return FILE_FAILED;
    }
    failed(s, error);
    return FILE_FAILED;
}

/* One write of at most [max] bytes. To what is not a regular file only whole lines up to PIPE_BUF:
 * pipes take those whole or not at all. */
static enum outcome write_once(struct logsink *s, size_t max)
{
    struct pollfd p = {.fd = s->fd, .events = POLLOUT};
    if (!s->is_regular) {
        if (poll(&p, 1, 0) <= 0)
            return FILE_IS_FULL;
        max = MIN(max, (size_t)PIPE_BUF);
        size_t whole = log_ring_whole_lines(&s->ring, max);
        max = whole ? whole : max;
    }
    struct iovec pieces[2];
    int count = log_ring_peek(&s->ring, max, pieces);
    ssize_t n = writev(s->fd, pieces, count);
    if (n < 0)
        return write_failed(s, errno);
    size_t in_first = MIN((size_t)n, pieces[0].iov_len);
    const struct iovec *last = (size_t)n > in_first ? &pieces[1] : &pieces[0];
    size_t last_n = last == &pieces[1] ? (size_t)n - in_first : in_first;
    s->is_midline = last_n > 0 && ((const char *)last->iov_base)[last_n - 1] != '\n';
    log_ring_take(&s->ring, (size_t)n);
    atomic_fetch_add(&s->bytes, (uint64_t)n);
    atomic_fetch_add(&s->writes, 1);
    atomic_store(&s->error, 0);
    atomic_store(&s->is_failing, false);
    return WROTE_ALL;
}

/* All that stands before the place [end] of the ring. */
static enum outcome write_until(struct logsink *s, uint64_t end)
{
    for (;;) {
        uint64_t head = atomic_load(&s->ring.head);
        if (head >= end)
            return WROTE_ALL;
        if (!has_file(s))
            return FILE_FAILED;
        enum outcome o = write_once(s, (size_t)(end - head));
        if (o != WROTE_ALL)
            return o;
    }
}

static void serve_reopen(struct logsink *s)
{
    unsigned wanted = atomic_load(&s->reopens_wanted);
    if (wanted == s->reopens_done)
        return;
    s->reopens_done = wanted;
    enum outcome o = write_until(s, atomic_load(&s->reopen_at));
    (void)o; /* what the old file does not take, the new one gets */
    int fd = logsink_open_path(s);
    if (fd < 0 && fd != -ENXIO) {
        atomic_store(&s->reopen_error, -fd);
        atomic_fetch_add(&s->errors, 1);
        return;
    }
    drop_rest_of_line(s);
    if (fd >= 0) {
        logsink_use_fd(s, fd);
    } else if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    atomic_store(&s->is_failing, false);
    atomic_fetch_add(&s->reopened, 1);
}

/* Waits for [wake], and for room in the file when [for_room]. True: it was woken. */
static bool wait_woken(struct logsink *s, bool for_room, int timeout_ms)
{
    struct pollfd p[2] = {{.fd = s->wake, .events = POLLIN},
                          {.fd = for_room ? s->fd : -1, .events = POLLOUT}};
    int n = poll(p, 2, timeout_ms);
    bool woken = n > 0 && p[0].revents;
    if (woken)
        logsink_event_clear(s->wake);
    return woken;
}

/* After all was written: gather for a while, then sleep while there is nothing. */
static void rest(struct logsink *s)
{
    atomic_store(&s->state, WRITER_NAPPING);
    bool woken =
        log_ring_used(&s->ring) >= s->ring.bytes / 2 || wait_woken(s, false, LOGSINK_BATCH_MS);
    if (!woken) {
        atomic_store(&s->state, WRITER_SLEEPING);
        if (log_ring_used(&s->ring) == 0)
            wait_woken(s, false, -1);
    }
    atomic_store(&s->state, WRITER_AWAKE);
}

static void wait_for_more(struct logsink *s, enum outcome o)
{
    int64_t stop_ms = atomic_load(&s->stop_ms);
    int left = stop_ms ? (int)MAX(0, stop_ms - logsink_now_ms()) : -1;
    if (o == FILE_IS_FULL)
        wait_woken(s, true, left);
    else if (o == FILE_FAILED)
        wait_woken(s, false, LOGSINK_RETRY_MS);
    else
        rest(s);
}

/* A request to stop is carried out when all is written, or no more can be. */
static bool is_end(const struct logsink *s, enum outcome o)
{
    int64_t stop_ms = atomic_load(&s->stop_ms);
    return stop_ms && (o != FILE_IS_FULL || logsink_now_ms() >= stop_ms);
}

void *logsink_write(void *owner)
{
    struct logsink *s = owner;
    for (;;) {
        /* Requests are read before the tail: what was put before a request is seen with it. */
        unsigned flushes = atomic_load(&s->flushes_wanted);
        bool stop = atomic_load(&s->stop_ms) != 0;
        serve_reopen(s);
        enum outcome o = write_until(s, atomic_load(&s->ring.tail));
        if (flushes != atomic_load(&s->flushes_done)) {
            atomic_store(&s->flushes_done, flushes);
            logsink_event_set(s->told);
        }
        if (stop && is_end(s, o))
            break;
        wait_for_more(s, o);
    }
    atomic_fetch_add(&s->lost, log_ring_drop(&s->ring));
    atomic_store(&s->is_finished, true);
    logsink_event_set(s->told);
    logsink_release(s);
    return NULL;
}
