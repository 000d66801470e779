/* run: a script is the configuration. Everything hangs off struct app on the stack of run_script(). */
#include "main/run.h"

#include "base/log.h"
#include "main/announce.h"
#include "main/privs.h"
#include "protocol/http/http.h"
#include "script/declare.h"
#include "script/host_store.h"
#include "script/http_unit.h"
#include "script/settings.h"
#include "script/unit.h"
#include "service/accesslog.h"
#include "service/logsink.h"
#include "wire/mime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_KEPT_FREE 200
#define WIND_DOWN_MS    1000
#define SAVE_MS         30000 /* for shared data that still has to be written */
#define DRAIN_LOOK_MS   50

struct app {
    struct mem_book book;
    struct mem_owner owner;
    struct log log;
    struct logsink *log_sink, *access_sink;
    struct accesslog accesslog;
    struct loop *loop;
    struct io io;
    struct mime_table *mime;
    struct host host;
    struct unit *unit;
    struct timeout drain_timeout;
    struct process_settings settings;
    int64_t drain_until_ms;
    bool is_serving, is_draining;
    int status;
};

PRINTF(1, 2) static bool complain(const char *format, ...)
{
    char text[UNIT_ERROR_MAX + 64];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)fprintf(stderr, "medusa: %s\n", text);
    return false;
}

/* ---- The end ---- */

/* Units were told to end: when the last connection of the last server is gone, so is the process. */
static void look_whether_drained(struct timeout *t)
{
    struct app *a = CONTAINER_OF(t, struct app, drain_timeout);
    int64_t now = loop_now_ms(a->loop);
    if (!list_is_empty(&a->host.leaving) && now < a->drain_until_ms) {
        timeout_set(loop_wheel(a->loop), t, now + DRAIN_LOOK_MS);
        return;
    }
    if (!list_is_empty(&a->host.leaving))
        log_line(&a->log, LOG_WARNING, "drain.timeout", "connections that did not end in time are closed");
    loop_stop(a->loop);
}

static void drain(struct app *a)
{
    a->is_draining = true;
    log_line(&a->log, LOG_NOTICE, "drain.begin",
             "no new connections; open ones end when their requests are answered");
    LIST_EACH (n, &a->host.units)
        declare_retire_all(CONTAINER_OF(n, struct unit, link));
    a->drain_until_ms = loop_now_ms(a->loop) + a->settings.drain_ms;
    look_whether_drained(&a->drain_timeout);
}

static void reopen_logs(struct app *a)
{
    logsink_reopen(a->log_sink);
    if (a->access_sink)
        logsink_reopen(a->access_sink);
}

static void on_reloaded(struct unit *unit, const char *error, void *owner)
{
    struct app *a = owner;
    if (error)
        log_line(&a->log, LOG_ERROR, "load.failed", "%s is not loaded, what was there goes on: %s", unit->path, error);
    else
        log_line(&a->log, LOG_NOTICE, "load.done", "%s is loaded", unit->path);
}

static void reload(struct app *a)
{
    reopen_logs(a);
    if (a->is_serving && !a->is_draining && !unit_load(a->unit, on_reloaded, a))
        log_line(&a->log, LOG_ERROR, "load.failed", "%s is not loaded: another load is going on, or memory is short",
                 a->unit->path);
}

static void on_signal(void *owner, int signo)
{
    struct app *a = owner;
    if (signo == SIGUSR1)
        reopen_logs(a);
    else if (signo == SIGHUP)
        reload(a);
    else if (signo == SIGUSR2)
        host_status_log(&a->host);
    else if (a->is_draining || !a->is_serving)
        loop_stop(a->loop);
    else
        drain(a);
}

/* ---- The beginning ---- */

static bool take_signals(struct app *a)
{
    static const int signos[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    int error = loop_signals(a->loop, signos, COUNT_OF(signos), on_signal, a);
    return error < 0 ? complain("signals cannot be taken: %s", strerror(-error)) : true;
}

static size_t most_sessions(void)
{
    struct rlimit limit;
    size_t most = 1000000;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        size_t files = (size_t)MIN((uint64_t)limit.rlim_cur, 2 * (uint64_t)most);
        most = files > 2 * FILES_KEPT_FREE ? files - FILES_KEPT_FREE : files / 2;
    }
    return most;
}

/* The access log is opened with the first load that names one; a later load may name another. */
static bool open_access_log(struct app *a, const struct process_settings *s, char *error, size_t bytes)
{
    if (slice_is(slice_str(s->access_log), slice_str(a->settings.access_log)))
        return true;
    enum accesslog_format format;
    int code = 0;
    if (!accesslog_format_of(slice_str(s->access_format), &format))
        format = ACCESSLOG_COMBINED;
    struct logsink *sink = s->access_log[0] ? logsink_new(&a->book, s->access_log, 0, &code) : NULL;
    if (code < 0) {
        (void)snprintf(error, bytes, "the access log %s cannot be opened: %s", s->access_log, strerror(-code));
        return false;
    }
    if (a->access_sink)
        logsink_close(&a->access_sink);
    a->access_sink = sink;
    if (sink) {
        logsink_watch(sink, &a->log);
        accesslog_init(&a->accesslog, sink, format);
    }
    a->host.accesslog = sink ? &a->accesslog : NULL;
    return true;
}

static bool apply(struct host *host, const struct process_settings *s, char *error, size_t bytes)
{
    struct app *a = CONTAINER_OF(host, struct app, host);
    if (!open_access_log(a, s, error, bytes))
        return false;
    a->book.budget = (size_t)s->memory_bytes;
    a->log.level = s->is_verbose ? LOG_DEBUG : LOG_NOTICE;
    a->settings = *s;
    return true;
}

static void print_port(const struct live *l, const struct live_port *p)
{
    if (l->kind == &http_kind) {
        announce_port(p->port);
        return;
    }
    char room[160];
    struct fmt f = fmt_on(room, sizeof room);
    addr_put(&f, l->kind->address(p->port));
    (void)printf("  %s %.*s\n", l->kind->name, SLICE_ARGS(fmt_done(&f)));
}

static void print_servers(struct app *a)
{
    (void)printf("Medusa serves %s at\n", a->unit->path);
    LIST_EACH (n, &a->unit->servers) {
        struct live *l = CONTAINER_OF(n, struct live, link);
        for (unsigned i = 0; i < l->port_count; i++)
            print_port(l, &l->ports[i]);
    }
    if (list_is_empty(&a->unit->servers))
        (void)printf("  (no address: the script declares no server)\n");
    (void)printf("Ctrl-C ends it; kill -HUP %d loads the script again.\n", (int)getpid());
    (void)fflush(stdout);
}

static bool give_up_root(const char *user)
{
    if (!user[0] && geteuid() == 0)
        (void)complain("warning: serving as root. Say medusa.user \"www-data\" in the script to give that up once the "
                       "ports are open");
    if (!user[0])
        return true;
    int error = privs_drop(user);
    if (error == -ENOENT)
        return complain("medusa.user \"%s\": there is no such user", user);
    if (error < 0)
        return complain("medusa.user \"%s\": %s", user, error == -EPERM ? "only root can become another user" : strerror(-error));
    return true;
}

static void on_loaded(struct unit *unit, const char *error, void *owner)
{
    struct app *a = owner;
    if (error)
        (void)complain("%s", error);
    if (error || !give_up_root(a->settings.user)) {
        a->status = 1;
        loop_stop(a->loop);
        return;
    }
    a->is_serving = true;
    print_servers(a);
}

static bool load_mime(struct app *a)
{
    static const size_t room = 256 * KIB;
    a->mime = mime_new(&a->owner);
    int fd = open("/etc/mime.types", O_RDONLY | O_CLOEXEC);
    if (!a->mime || fd < 0)
        return a->mime || complain("there is not enough memory");
    char *text = mem_alloc(&a->owner, room);
    ssize_t n = text ? read(fd, text, room) : -1;
    bool ok = n <= 0 || mime_load(a->mime, slice_of(text, (size_t)n));
    mem_free(&a->owner, text, room);
    close(fd);
    return ok || complain("there is not enough memory for the table of media types");
}

static bool begin(struct app *a, const char *path)
{
    int error;
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    mem_book_init(&a->book, 0);
    mem_owner_init(&a->owner, &a->book, "main");
    a->log.level = LOG_NOTICE;
    a->loop = loop_new(&a->book, &a->log, &error);
    if (!a->loop)
        return complain("the event loop cannot be made: %s", strerror(-error));
    if (!take_signals(a))
        return false;
    io_init(&a->io, a->loop, &a->book);
    a->log_sink = logsink_new_fd(&a->book, STDERR_FILENO, "stderr", 0, &error);
    if (!a->log_sink)
        return complain("the log cannot be opened: %s", strerror(-error));
    logsink_carry(a->log_sink, &a->log);
    if (!load_mime(a))
        return false;
    a->host = (struct host){.io = &a->io, .book = &a->book, .log = &a->log, .mime = a->mime, .max_sessions = most_sessions(), .apply = apply};
    error = host_init(&a->host);
    if (error < 0)
        return complain("scripts cannot be run: %s", strerror(-error));
    struct unit_limits limits;
    unit_limits_default(&limits);
    a->unit = unit_new(&a->host, SLICE("main"), slice_str(path), &limits);
    if (!a->unit || !unit_load(a->unit, on_loaded, a))
        return complain("%s cannot be loaded: there is not enough memory, or its path is too long", path);
    return true;
}

static bool has_time(const struct app *a, int64_t until_ms)
{
    return loop_now_ms(a->loop) < until_ms + (host_store_is_closing(&a->host) ? SAVE_MS - WIND_DOWN_MS : 0);
}

/* True: nothing is left, all can be freed. */
static bool wind_down(struct app *a)
{
    timeout_clear(&a->drain_timeout);
    host_stop(&a->host);
    int64_t until = loop_now_ms(a->loop) + WIND_DOWN_MS;
    do
        loop_turn(a->loop, loop_now_ms(a->loop) + 10);
    while (!host_is_empty(&a->host) && has_time(a, until));
    return host_is_empty(&a->host);
}

static void free_all(struct app *a)
{
    host_fini(&a->host);
    loop_turn(a->loop, 0);
    io_fini(&a->io);
    mime_free(&a->mime);
    mem_owner_fini(&a->owner);
    loop_free(&a->loop);
    logsink_close(&a->access_sink);
    a->log.sink = NULL;
    logsink_close(&a->log_sink);
    mem_book_fini(&a->book);
}

int run_script(const char *path)
{
    struct app app = {.status = 0};
    struct app *a = &app;
    (void)setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
    if (!begin(a, path))
        _exit(1);
    timeout_init(&a->drain_timeout, look_whether_drained);
    loop_run(a->loop);
    if (wind_down(a)) {
        free_all(a);
        return a->status;
    }
    logsink_flush(a->log_sink, 500);
    if (a->access_sink)
        logsink_flush(a->access_sink, 500);
    _exit(a->status);
}
