/* logsink: a ring, a thread that empties it, and two event descriptors between them.
 *
 * The loop's thread takes no lock: it puts into the ring, and only when the writer said that it
 * sleeps (or naps, and the ring is half full) does it write to [wake]. The writer looks at requests
 * (reopen, flush, stop), writes, answers on [told], and waits; that is one round. Files of ours are
 * opened non-blocking, so that a FIFO which nobody reads makes the writer wait in poll, where it
 * hears requests. A descriptor that was given to us (stdout) cannot be made non-blocking without
 * doing that to its other users too: there it asks poll first and writes at most PIPE_BUF.
 *
 * When a disk hangs, the writer hangs in the kernel. Then logsink_close leaves it behind: the
 * struct is freed by whichever thread is last. */
#include "service/logsink.h"

#include "base/civil.h"
#include "service/log_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a put has to do to be noticed. */
enum writer_state {
    WRITER_AWAKE,   /* nothing: it looks by itself, or waits for the file */
    WRITER_NAPPING, /* wake it when the ring is half full */
    WRITER_SLEEPING /* wake it */
};

/* How a round of writing ended. */
enum outcome {
    WROTE_ALL,
    FILE_IS_FULL, /* a pipe whose reader is slow: poll tells */
    FILE_FAILED   /* or is not there: try again later */
};

struct logsink {
    /* the owner's thread */
    struct mem_owner owner;
    size_t charged;
    struct log *log;
    const char *lost_before, *lost_after;
    uint64_t lines;
    uint64_t lost_written; /* of [lost], those that a line in the file tells of */
    uint64_t lost_logged;  /* of [lost], those that [log] was told of */
    bool failing_told, is_reporting;
    pthread_t thread;

    /* the writer's thread (the owner's before it starts) */
    int fd; /* -1: not open (a FIFO without reader) */
    bool is_regular, is_midline;
    unsigned reopens_done;

    /* constant */
    bool has_path;
    int wake, told;
    const char *path;

    /* both */
    struct log_ring ring;
    _Atomic int state; /* enum writer_state */
    _Atomic unsigned reopens_wanted, flushes_wanted, flushes_done;
    _Atomic uint64_t reopen_at; /* lines before this place of the ring go to the old file */
    _Atomic int64_t stop_ms;    /* 0: no; else give up at this time */
    _Atomic bool is_finished;
    _Atomic bool is_failing;
    _Atomic int error; /* errno of the last attempt */
    /* errno, set by the writer and cleared by the owner when it has told the log */
    _Atomic int write_error, reopen_error;
    _Atomic uint64_t bytes, writes, errors, reopened, lost;
    _Atomic int holders; /* 2: owner and writer */
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / NS_PER_MS;
}

static void event_set(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n; /* EAGAIN: it is set, and more than set */
}

static void event_clear(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n; /* EAGAIN: it was not set */
}

static void release(struct logsink *s)
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

/* ---- The writer's thread ---- */

static void failed(struct logsink *s, int error)
{
    atomic_store(&s->error, error);
    atomic_store(&s->write_error, error);
    atomic_store(&s->is_failing, true);
    atomic_fetch_add(&s->errors, 1);
}

static void use_fd(struct logsink *s, int fd)
{
    struct stat st;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = fd;
    s->is_regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* A new descriptor of the path, or -errno; -ENXIO: a FIFO that nobody reads. */
static int open_path(const struct logsink *s)
{
    int fd = open(s->path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0640);
    return fd >= 0 ? fd : -errno;
}

/* Is there a file to write to? Opens it when there was none. */
static bool has_file(struct logsink *s)
{
    if (s->fd >= 0)
        return true;
    int fd = open_path(s);
    if (fd >= 0)
        use_fd(s, fd);
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
    int fd = open_path(s);
    if (fd < 0 && fd != -ENXIO) {
        atomic_store(&s->reopen_error, -fd);
        atomic_fetch_add(&s->errors, 1);
        return;
    }
    drop_rest_of_line(s);
    if (fd >= 0) {
        use_fd(s, fd);
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
        event_clear(s->wake);
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
    int left = stop_ms ? (int)MAX(0, stop_ms - now_ms()) : -1;
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
    return stop_ms && (o != FILE_IS_FULL || now_ms() >= stop_ms);
}

static void *writer_main(void *owner)
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
            event_set(s->told);
        }
        if (stop && is_end(s, o))
            break;
        wait_for_more(s, o);
    }
    atomic_fetch_add(&s->lost, log_ring_drop(&s->ring));
    atomic_store(&s->is_finished, true);
    event_set(s->told);
    release(s);
    return NULL;
}

/* ---- The owner's thread ---- */

/* Signals are for the loop: the writer has all of them blocked (SIGPIPE and SIGXFSZ become errno).
 */
static int start_thread(struct logsink *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&s->thread, NULL, writer_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error)
        pthread_setname_np(s->thread, "log writer");
    return -error;
}

static size_t ring_bytes_for(size_t wanted)
{
    size_t bytes = 4 * KIB;
    wanted = wanted ? MIN(wanted, 1024 * MIB) : LOGSINK_BUFFER_BYTES;
    while (bytes < wanted)
        bytes *= 2;
    return bytes;
}

/* The struct, its ring and its name in one block; nothing is open yet. */
static struct logsink *sink_alloc(struct mem_book *book, const char *name, size_t buffer_bytes)
{
    size_t bytes = ring_bytes_for(buffer_bytes), name_bytes = strlen(name) + 1;
    size_t all = sizeof(struct logsink) + bytes + name_bytes;
    struct logsink *s = mem_raw_alloc(all);
    if (!s)
        return NULL;
    *s = (struct logsink){.charged = all, .fd = -1, .wake = -1, .told = -1};
    mem_owner_init(&s->owner, book, "log");
    if (!mem_charge(&s->owner, all)) {
        mem_owner_fini(&s->owner);
        mem_raw_free(s);
        return NULL;
    }
    char *room = (char *)(s + 1);
    memcpy(room + bytes, name, name_bytes);
    s->path = room + bytes;
    log_ring_init(&s->ring, room, bytes);
    atomic_store(&s->holders, 1);
    logsink_lost_text(s, "", " lines were lost: they came faster than they could be written");
    return s;
}

static void free_owner_part(struct logsink **at)
{
    struct logsink *s = *at;
    *at = NULL;
    mem_discharge(&s->owner, s->charged);
    mem_owner_fini(&s->owner);
    release(s);
}

/* [fd] (or a negative errno) is the sink's from now on. */
static int sink_start(struct logsink *s, int fd)
{
    if (fd >= 0)
        use_fd(s, fd);
    else if (fd != -ENXIO || !s->has_path)
        return fd;
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake < 0 || s->told < 0)
        return -errno;
    atomic_store(&s->holders, 2);
    int error = start_thread(s);
    if (error)
        atomic_store(&s->holders, 1);
    return error;
}

struct logsink *logsink_new(struct mem_book *book, const char *path, size_t buffer_bytes,
                            int *error_out)
{
    if (slice_is(slice_str(path), SLICE("-")))
        return logsink_new_fd(book, STDOUT_FILENO, "standard output", buffer_bytes, error_out);
    struct logsink *s = sink_alloc(book, path, buffer_bytes);
    *error_out = -ENOMEM;
    if (!s)
        return NULL;
    s->has_path = true;
    *error_out = sink_start(s, open_path(s));
    if (*error_out)
        free_owner_part(&s);
    return s;
}

struct logsink *logsink_new_fd(struct mem_book *book, int fd, const char *name, size_t buffer_bytes,
                               int *error_out)
{
    struct logsink *s = sink_alloc(book, name, buffer_bytes);
    *error_out = -ENOMEM;
    if (!s)
        return NULL;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    *error_out = sink_start(s, own >= 0 ? own : -errno);
    if (*error_out)
        free_owner_part(&s);
    return s;
}

void logsink_watch(struct logsink *s, struct log *log)
{
    s->log = log;
}

void logsink_lost_text(struct logsink *s, const char *before, const char *after)
{
    s->lost_before = before;
    s->lost_after = after;
}

static int take_error(_Atomic int *error)
{
    bool is_set = atomic_load_explicit(error, memory_order_relaxed) != 0;
    return is_set ? atomic_exchange(error, 0) : 0;
}

static void report_errors(struct logsink *s)
{
    int error = take_error(&s->write_error);
    if (error && !s->failing_told) {
        s->failing_told = true;
        log_line(s->log, LOG_ERROR, "log.write",
                 "Cannot write the log %s: %s. It is tried again every second; meanwhile lines "
                 "wait in memory, and are lost when that is full",
                 s->path, strerrordesc_np(error));
    } else if (s->failing_told && !atomic_load(&s->is_failing)) {
        s->failing_told = false;
        log_line(s->log, LOG_NOTICE, "log.written", "The log %s can be written again", s->path);
    }
    error = take_error(&s->reopen_error);
    if (error)
        log_line(s->log, LOG_ERROR, "log.reopen",
                 "Cannot open the log %s again: %s. Lines go on into the file that was open",
                 s->path, strerrordesc_np(error));
}

/* The log hears of the first lost line, then each time that the number has doubled: lines are lost
 * by the thousand. */
static void report_lost(struct logsink *s)
{
    uint64_t lost = atomic_load_explicit(&s->lost, memory_order_relaxed);
    if (lost == 0 || lost < 2 * s->lost_logged)
        return;
    s->lost_logged = lost;
    log_line(s->log, LOG_WARNING, "log.lost",
             "%llu lines for the log %s were lost so far: they came faster than they could be "
             "written",
             (unsigned long long)lost, s->path);
}

void logsink_report(struct logsink *s)
{
    if (!s->log || s->is_reporting)
        return;
    s->is_reporting = true;
    report_errors(s);
    report_lost(s);
    s->is_reporting = false;
}

static bool append(struct logsink *s, slice line)
{
    if (!log_ring_put(&s->ring, line))
        return false;
    int state = atomic_load(&s->state);
    if (state == WRITER_AWAKE)
        return true;
    if (state == WRITER_NAPPING && log_ring_used(&s->ring) < s->ring.bytes / 2)
        return true;
    if (atomic_exchange(&s->state, WRITER_AWAKE) != WRITER_AWAKE)
        event_set(s->wake);
    return true;
}

/* In place of lost lines, once the ring holds no more than [max_used] bytes. */
static void write_lost(struct logsink *s, size_t max_used)
{
    uint64_t lost = atomic_load_explicit(&s->lost, memory_order_relaxed);
    if (LIKELY(lost == s->lost_written) || log_ring_used(&s->ring) > max_used)
        return;
    char text[256];
    struct fmt f = fmt_on(text, sizeof text);
    fmt_str(&f, s->lost_before);
    fmt_u64(&f, lost - s->lost_written);
    fmt_str(&f, s->lost_after);
    if (append(s, fmt_done(&f)))
        s->lost_written = lost;
}

bool logsink_put(struct logsink *s, slice line)
{
    logsink_report(s);
    write_lost(s, s->ring.bytes / 2); /* half a ring of room: one line for a whole drought */
    if (!append(s, line)) {
        atomic_fetch_add(&s->lost, 1);
        return false;
    }
    s->lines++;
    return true;
}

void logsink_reopen(struct logsink *s)
{
    if (!s->has_path)
        return;
    atomic_store(&s->reopen_at, atomic_load(&s->ring.tail));
    atomic_fetch_add(&s->reopens_wanted, 1);
    event_set(s->wake);
}

/* Waits for the writer's answer; false when there was none in time. */
static bool await_told(struct logsink *s, int64_t deadline_ms)
{
    struct pollfd p = {.fd = s->told, .events = POLLIN};
    int64_t left = deadline_ms - now_ms();
    if (left <= 0)
        return false;
    if (poll(&p, 1, (int)MIN(left, INT_MAX)) > 0)
        event_clear(s->told);
    return true;
}

bool logsink_flush(struct logsink *s, int timeout_ms)
{
    int64_t deadline_ms = now_ms() + timeout_ms;
    write_lost(s, s->ring.bytes);
    unsigned wanted = atomic_fetch_add(&s->flushes_wanted, 1) + 1;
    event_set(s->wake);
    while (atomic_load(&s->flushes_done) != wanted)
        if (!await_told(s, deadline_ms))
            return false;
    return log_ring_used(&s->ring) == 0;
}

void logsink_stats(const struct logsink *s, struct logsink_stats *out)
{
    *out = (struct logsink_stats){
        .lines = s->lines,
        .lost = atomic_load(&s->lost),
        .bytes = atomic_load(&s->bytes),
        .writes = atomic_load(&s->writes),
        .errors = atomic_load(&s->errors),
        .reopened = atomic_load(&s->reopened),
        .error = atomic_load(&s->error),
        .buffered = log_ring_used(&s->ring),
    };
}

void logsink_close(struct logsink **at)
{
    struct logsink *s = *at;
    if (!s)
        return;
    write_lost(s, s->ring.bytes);
    uint64_t lost = atomic_load(&s->lost);
    int64_t deadline_ms = now_ms() + LOGSINK_CLOSE_MS;
    /* The writer gives up a little earlier than we do. */
    atomic_store(&s->stop_ms, deadline_ms - LOGSINK_CLOSE_MS / 5);
    event_set(s->wake);
    while (!atomic_load(&s->is_finished))
        if (!await_told(s, deadline_ms))
            break;
    bool finished = atomic_load(&s->is_finished);
    if (finished)
        pthread_join(s->thread, NULL);
    else
        pthread_detach(s->thread);
    logsink_report(s);
    lost = atomic_load(&s->lost) - lost;
    if (s->log && (lost || !finished))
        log_line(s->log, LOG_WARNING, "log.unwritten",
                 "The end of the log %s could not be written: %s", s->path,
                 finished ? "the last lines are lost" : "the file does not answer");
    free_owner_part(at);
}

/* ---- The error log ---- */

static void carry(struct log *log, enum log_level level, slice line)
{
    char text[LOG_LINE_MAX + 192];
    struct fmt f = fmt_on(text, sizeof text);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    civil_put_rfc3339(&f, t.tv_sec);
    fmt_char(&f, '.');
    fmt_u64_wide(&f, (uint64_t)t.tv_nsec / NS_PER_MS, 3);
    fmt_put(&f, SLICE("Z "));
    fmt_put(&f, line);
    logsink_put(log->sink_owner, fmt_done(&f));
}

void logsink_carry(struct logsink *s, struct log *log)
{
    log->sink = carry;
    log->sink_owner = s;
}
