/* process: the beginning and the end. What needs root (ports, logs) is opened first, then root is
 * given up, then the first client is accepted. */
#include "main/process.h"

#include "main/complain.h"
#include "main/privs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_KEPT_FREE                                                       \
    200 /* descriptors that clients cannot take: for files, logs, the console \
         */
#define MOST_CLIENTS   1000000
#define WIND_DOWN_MS   1000
#define REPORT_MS      1000
#define FLUSH_MS       500
#define MIME_TYPES_MAX (256 * KIB)

/* ---- Signals ---- */

static void on_drain_timeout(struct timeout *t)
{
    struct process *p = CONTAINER_OF(t, struct process, drain_timeout);
    log_line(&p->log, LOG_WARNING, "drain.timeout",
             "%zu connections did not end in time and are closed", p->ops->sessions(p));
    process_stop(p);
}

static void begin_drain(struct process *p)
{
    p->is_draining = true;
    log_line(&p->log, LOG_NOTICE, "drain.begin",
             "no new connections; %zu open ones end when their requests are answered",
             p->ops->sessions(p));
    timeout_set(loop_wheel(p->loop), &p->drain_timeout, loop_now_ms(p->loop) + p->drain_ms);
    p->ops->drain(p);
}

/* Log files were moved. */
static void reopen_logs(struct process *p)
{
    logsink_reopen(p->log_sink);
    if (p->access_sink)
        logsink_reopen(p->access_sink);
}

static void on_signal(void *owner, int signo)
{
    struct process *p = owner;
    switch (signo) {
    case SIGINT:
    case SIGTERM:
        if (p->is_draining || !p->is_started)
            process_stop(p);
        else
            begin_drain(p);
        break;
    case SIGUSR2:
        p->ops->status(p);
        break;
    default: /* SIGUSR1, SIGHUP */
        reopen_logs(p);
        if (signo == SIGHUP && p->ops->reload)
            p->ops->reload(p);
        break;
    }
}

static bool take_signals(struct process *p)
{
    static const int signos[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL); /* sendfile to a peer that has gone */
    int error = loop_signals(p->loop, signos, COUNT_OF(signos), on_signal, p);
    return error < 0 ? complain("signals cannot be taken: %s", strerror(-error)) : true;
}

/* ---- Logs ---- */

/* The logs' troubles come to light while no line comes, too. */
static void on_report(struct timeout *t)
{
    struct process *p = CONTAINER_OF(t, struct process, report_timeout);
    logsink_report(p->access_sink);
    timeout_set(loop_wheel(p->loop), t, loop_now_ms(p->loop) + REPORT_MS);
}

struct logsink *process_open_log(struct process *p, const char *path, int *error_out)
{
    return path ? logsink_new(&p->book, path, 0, error_out)
                : logsink_new_fd(&p->book, STDERR_FILENO, "stderr", 0, error_out);
}

void process_take_log(struct process *p, struct logsink *sink)
{
    struct logsink *old = p->log_sink;
    p->log_sink = sink;
    logsink_carry(sink, &p->log);
    logsink_close(&old);
}

void process_take_access_log(struct process *p, struct logsink *sink, enum accesslog_format format)
{
    struct logsink *old = p->access_sink != sink ? p->access_sink : NULL;
    p->access_sink = sink;
    accesslog_init(&p->accesslog, sink, format);
    timeout_clear(&p->report_timeout);
    if (sink) {
        logsink_watch(sink, &p->log);
        on_report(&p->report_timeout);
    }
    logsink_close(&old);
}

/* ---- The beginning ---- */

bool process_begin(struct process *p, const struct process_ops *ops, size_t memory)
{
    int error;
    /* One sentence, one write: others may write to the same place. */
    (void)setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
    /* Before there are threads: each would have to say it. */
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    p->ops = ops;
    p->log.level = LOG_NOTICE;
    mem_book_init(&p->book, memory);
    mem_owner_init(&p->owner, &p->book, "main");
    timeout_init(&p->drain_timeout, on_drain_timeout);
    timeout_init(&p->report_timeout, on_report);
    p->loop = loop_new(&p->book, &p->log, &error);
    if (!p->loop)
        return complain("the event loop cannot be made: %s", strerror(-error));
    if (!take_signals(p)) /* before any thread starts: threads inherit what is blocked */
        return false;
    io_init(&p->io, p->loop, &p->book);
    return true;
}

bool process_load_mime(struct process *p)
{
    p->mime = mime_new(&p->owner);
    if (!p->mime)
        return complain("there is not enough memory");
    int fd = open("/etc/mime.types", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    char *text = mem_alloc(&p->owner, MIME_TYPES_MAX);
    ssize_t n = text ? read(fd, text, MIME_TYPES_MAX) : -1;
    bool ok = n <= 0 || mime_load_system(p->mime, slice_of(text, (size_t)n));
    mem_free(&p->owner, text, MIME_TYPES_MAX);
    close(fd);
    return ok || complain("there is not enough memory for the table of media types");
}

size_t process_most_connections(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return MOST_CLIENTS;
    limit.rlim_cur = limit.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &limit);
    size_t files = (size_t)MIN((uint64_t)limit.rlim_cur, 2 * (uint64_t)MOST_CLIENTS);
    return files > 2 * FILES_KEPT_FREE ? files - FILES_KEPT_FREE : files / 2;
}

bool process_give_up_root(const char *user, const char *setting, const char *advice)
{
    if (!user || (geteuid() == 0 && slice_is(slice_str(user), SLICE("root")))) {
        if (geteuid() == 0)
            (void)complain("warning: serving as root. %s to give that up once the ports are open",
                           advice);
        return true;
    }
    int error = privs_drop(user);
    if (error == -ENOENT)
        return complain("%s %s: there is no such user", setting, user);
    if (error == -EPERM && geteuid() != 0)
        return complain("%s %s: only root can become another user; run with sudo, or without %s",
                        setting, user, setting);
    return error < 0 ? complain("%s %s: %s", setting, user, strerror(-error)) : true;
}

void process_start(struct process *p)
{
    p->is_started = true;
}

/* ---- The end ---- */

void process_stop(struct process *p)
{
    loop_stop(p->loop);
}

bool process_wind_down(struct process *p)
{
    timeout_clear(&p->drain_timeout);
    timeout_clear(&p->report_timeout);
    int64_t until = loop_now_ms(p->loop) + WIND_DOWN_MS;
    do
        loop_turn(p->loop, MIN(until, loop_now_ms(p->loop) + 10));
    while (!p->ops->is_empty(p) && loop_now_ms(p->loop) < until);
    return p->ops->is_empty(p);
}

void process_free(struct process *p)
{
    loop_turn(p->loop, 0);
    io_fini(&p->io);
    mime_free(&p->mime);
    mem_owner_fini(&p->owner);
    loop_free(&p->loop);
    logsink_close(&p->access_sink);
    p->log.sink = NULL;
    logsink_close(&p->log_sink);
    mem_book_fini(&p->book);
}

void process_abandon(struct process *p)
{
    logsink_flush(p->log_sink, FLUSH_MS);
    if (p->access_sink)
        logsink_flush(p->access_sink, FLUSH_MS);
}
