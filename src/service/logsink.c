/* logsink: the half of a sink that its owner's thread sees: it puts lines, asks, and reports.
 *
 * It takes no lock: lines go into the ring, and only when the writer said that it sleeps (or naps,
 * and the ring is half full) is it woken by an event descriptor. When a disk hangs, the writer
 * hangs in the kernel; then logsink_close leaves it behind, and the struct is freed by whichever
 * thread is last. */
#include "service/logsink.h"

#include "base/civil.h"
#include "service/logsink_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Signals are for the loop: the writer has all of them blocked (SIGPIPE and SIGXFSZ become errno).
 */
static int start_thread(struct logsink *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&s->thread, NULL, logsink_write, s);
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
    logsink_release(s);
}

/* [fd] (or a negative errno) is the sink's from now on. */
static int sink_start(struct logsink *s, int fd)
{
    if (fd >= 0)
        logsink_use_fd(s, fd);
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
    *error_out = sink_start(s, logsink_open_path(s));
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
        logsink_event_set(s->wake);
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
    logsink_event_set(s->wake);
}

/* Waits for the writer's answer; false when there was none in time. */
static bool await_told(struct logsink *s, int64_t deadline_ms)
{
    struct pollfd p = {.fd = s->told, .events = POLLIN};
    int64_t left = deadline_ms - logsink_now_ms();
    if (left <= 0)
        return false;
    if (poll(&p, 1, (int)MIN(left, INT_MAX)) > 0)
        logsink_event_clear(s->told);
    return true;
}

bool logsink_flush(struct logsink *s, int timeout_ms)
{
    int64_t deadline_ms = logsink_now_ms() + timeout_ms;
    write_lost(s, s->ring.bytes);
    unsigned wanted = atomic_fetch_add(&s->flushes_wanted, 1) + 1;
    logsink_event_set(s->wake);
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
    int64_t deadline_ms = logsink_now_ms() + LOGSINK_CLOSE_MS;
    /* The writer gives up a little earlier than we do. */
    atomic_store(&s->stop_ms, deadline_ms - LOGSINK_CLOSE_MS / 5);
    logsink_event_set(s->wake);
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
