/* serve: one file tree over HTTP, from the options to the end of the process.
 *
 * Everything hangs off struct app, which lives on the stack of serve(). What needs root (ports,
 * logs) is opened first, then root is given up, then the first client is accepted. */
#include "main/serve.h"

#include "main/announce.h"
#include "main/pressure.h"
#include "main/privs.h"
#include "main/status.h"
#include "protocol/http/http1.h"
#include "service/accesslog.h"
#include "service/logsink.h"
#include "wire/mime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_KEPT_FREE                                                       \
    200 /* descriptors that clients cannot take: for files, logs, the console \
         */
#define MEMORY_LEAST  (8 * MIB)
#define STATS_IDLE_MS 1000
#define REPORT_MS     1000

struct app {
    const struct options *o;
    struct mem_book book;
    struct mem_owner owner; /* "main" */
    struct log log;
    struct logsink *log_sink, *access_sink;
    struct accesslog accesslog;
    struct loop *loop;
    struct io io;
    struct mime_table *mime;
    struct vfs *vfs;
    struct h_file files;
    struct http_server http;
    struct pressure pressure;
    struct timeout drain_timeout;
    struct timeout report_timeout; /* set when there is an access log */
    bool is_draining;
};

/* One sentence on standard error; returns false, for "return complain(...)". */
PRINTF(1, 2) static bool complain(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)fprintf(stderr, "medusa: %s\n", text);
    return false;
}

/* ---- Building ---- */

static bool open_logs(struct app *a)
{
    const struct options *o = a->o;
    int error;
    a->log_sink = o->log ? logsink_new(&a->book, o->log, 0, &error)
                         : logsink_new_fd(&a->book, STDERR_FILENO, "stderr", 0, &error);
    if (!a->log_sink)
        return complain("the log %s cannot be opened: %s", o->log ? o->log : "(standard error)",
                        strerror(-error));
    logsink_carry(a->log_sink, &a->log);
    a->log.level = o->verbose ? LOG_DEBUG : LOG_NOTICE;
    if (!o->access_log)
        return true;
    enum accesslog_format format;
    if (!accesslog_format_of(slice_str(o->log_format), &format))
        return complain("--log-format takes combined or json, not \"%s\"", o->log_format);
    a->access_sink = logsink_new(&a->book, o->access_log, 0, &error);
    if (!a->access_sink)
        return complain("the access log %s cannot be opened: %s", o->access_log, strerror(-error));
    logsink_watch(a->access_sink, &a->log);
    accesslog_init(&a->accesslog, a->access_sink, format);
    a->http.accesslog = &a->accesslog;
    return true;
}

/* The system's table of media types, when there is one: /etc/mime.types of the package media-types.
 */
static bool load_mime(struct app *a)
{
    a->mime = mime_new(&a->owner);
    if (!a->mime)
        return complain("there is not enough memory");
    int fd = open("/etc/mime.types", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    static const size_t room = 256 * KIB;
    char *text = mem_alloc(&a->owner, room);
    ssize_t n = text ? read(fd, text, room) : -1;
    bool ok = n <= 0 || mime_load_system(a->mime, slice_of(text, (size_t)n));
    mem_free(&a->owner, text, room);
    close(fd);
    return ok || complain("there is not enough memory for the table of media types");
}

static bool open_tree(struct app *a)
{
    const struct options *o = a->o;
    struct vfs_settings settings;
    vfs_settings_default(&settings);
    settings.cache_bytes = (size_t)o->cache;
    h_file_siblings(settings.siblings);
    int error;
    a->vfs = vfs_new(&a->io, &a->book, o->root, &settings, &error);
    if (!a->vfs && (error == -ENOSYS || error == -EPERM))
        return complain("%s cannot be served: this system does not allow openat2 (Linux 5.6 or "
                        "later; a container's profile may forbid it)",
                        o->root);
    if (!a->vfs)
        return complain("%s cannot be served: %s", o->root,
                        error == -ENOTDIR ? "it is not a directory" : strerror(-error));
    struct h_file_settings files;
    h_file_settings_default(&files);
    files.listing = !o->no_listing;
    files.hidden = o->hidden;
    if (!h_file_init(&a->files, a->loop, &a->book, a->vfs, a->mime, &files))
        return complain("there is not enough memory");
    return true;
}

/* Raises the limit of open files to what is allowed, and keeps the clients below it; [wanted] 0 =
 * as many as there may be. */
static uint64_t fit_connections(uint64_t wanted)
{
    struct rlimit limit;
    uint64_t most = 1000000;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)!setrlimit(RLIMIT_NOFILE, &limit);
        uint64_t files = MIN((uint64_t)limit.rlim_cur, 2 * most);
        most = files > 2 * FILES_KEPT_FREE ? files - FILES_KEPT_FREE : files / 2;
    }
    return wanted ? MIN(wanted, most) : most;
}

static struct http_settings settings_of(const struct options *o)
{
    struct http_settings s;
    http_settings_default(&s);
    s.limits = (struct http1_limits){.target_bytes = (uint32_t)o->max_target,
                                     .head_bytes = (uint32_t)o->max_header,
                                     .fields = (uint32_t)o->max_fields};
    s.body_bytes = o->max_body;
    s.requests = (uint32_t)o->max_requests;
    s.keepalive_ms = o->keepalive_ms;
    s.header_ms = o->header_ms;
    s.rate_ms = o->rate_window_ms;
    s.rate_bytes = o->min_rate * (uint64_t)o->rate_window_ms / 1000;
    s.server.rate_bytes = s.rate_bytes;
    s.server.rate_ms = (uint32_t)o->rate_window_ms;
    s.server.linger_ms = (uint32_t)o->linger_ms;
    s.server.max_sessions = (size_t)fit_connections(o->max_connections);
    memcpy(s.hosts, o->hosts, sizeof s.hosts);
    s.host_count = o->host_count;
    return s;
}

static bool load_error_pages(struct app *a)
{
    if (!a->o->error_pages)
        return true;
    int status;
    int n = error_pages_load(&a->http.pages, a->o->error_pages, &status);
    if (n < 0 && status)
        return complain("%s/%d.html cannot be used as an error page: %s", a->o->error_pages, status,
                        n == -EFBIG ? "it is larger than 64 KiB" : strerror(-n));
    if (n < 0)
        return complain("the error pages in %s cannot be read: %s", a->o->error_pages,
                        strerror(-n));
    if (n == 0)
        return complain("%s holds no error pages: they are named by their status, as in 404.html",
                        a->o->error_pages);
    return true;
}

static bool complain_listen(slice text, const struct addr *addr, int error)
{
    uint16_t port = addr_port(addr);
    if (error == -EACCES && port && port < 1024)
        return complain(
            "port %u needs root: run with sudo (and --user NAME), or use --listen :8080", port);
    if (error == -EADDRINUSE)
        return complain("%.*s is in use by another program: stop that one, or choose another port "
                        "with --listen",
                        SLICE_ARGS(text));
    if (error == -EADDRNOTAVAIL)
        return complain("%.*s is not an address of this machine", SLICE_ARGS(text));
    return complain("%.*s cannot be listened on: %s", SLICE_ARGS(text), strerror(-error));
}

static bool listen_on(struct app *a, slice text)
{
    bool proxied = slice_has_suffix(text, SLICE(",proxy"));
    slice where = proxied ? slice_head(text, text.n - 6) : text;
    struct addr addr;
    const char *why;
    if (!addr_parse(where, &addr, &why))
        return complain("--listen %.*s: %s", SLICE_ARGS(text), why);
    int error = server_listen(&a->http.server, &addr, proxied, NULL);
    return error < 0 ? complain_listen(where, &addr, error) : true;
}

static bool listen_all(struct app *a)
{
    const struct options *o = a->o;
    if (o->listen_count == 0)
        return listen_on(a, SLICE(":8080"));
    for (unsigned i = 0; i < o->listen_count; i++)
        if (!listen_on(a, o->listen[i]))
            return false;
    return true;
}

static bool give_up_root(const struct options *o)
{
    if (!o->user || (geteuid() == 0 && slice_is(slice_str(o->user), SLICE("root")))) {
        if (geteuid() == 0)
            (void)complain("warning: serving as root. Use --user NAME (www-data, nobody) to give "
                           "that up once the ports are open");
        return true;
    }
    int error = privs_drop(o->user);
    if (error == -ENOENT)
        return complain("--user %s: there is no such user", o->user);
    if (error == -EPERM && geteuid() != 0)
        return complain(
            "--user %s: only root can become another user; run with sudo, or without --user",
            o->user);
    return error < 0 ? complain("--user %s: %s", o->user, strerror(-error)) : true;
}

/* ---- Signals and the end ---- */

static void stop(struct app *a)
{
    loop_stop(a->loop);
}

static void on_empty(struct server *server)
{
    loop_stop(server->io->loop);
}

static void on_drain_timeout(struct timeout *t)
{
    struct app *a = CONTAINER_OF(t, struct app, drain_timeout);
    log_line(&a->log, LOG_WARNING, "drain.timeout",
             "%zu connections did not end in time and are closed", a->http.server.session_count);
    stop(a);
}

static void drain(struct app *a)
{
    a->is_draining = true;
    log_line(&a->log, LOG_NOTICE, "drain.begin",
             "no new connections; %zu open ones end when their requests are answered",
             a->http.server.session_count);
    server_drain(&a->http.server, on_empty);
    if (a->http.server.session_count == 0)
        stop(a);
    timeout_set(loop_wheel(a->loop), &a->drain_timeout, loop_now_ms(a->loop) + a->o->drain_ms);
}

/* The access log's troubles come to light while no request comes, too. */
static void on_report(struct timeout *t)
{
    struct app *a = CONTAINER_OF(t, struct app, report_timeout);
    logsink_report(a->access_sink);
    timeout_set(loop_wheel(a->loop), t, loop_now_ms(a->loop) + REPORT_MS);
}

static void on_signal(void *owner, int signo)
{
    struct app *a = owner;
    switch (signo) {
    case SIGINT:
    case SIGTERM:
        if (a->is_draining)
            stop(a);
        else
            drain(a);
        break;
    case SIGUSR2:
        status_log(&a->log, &a->http, a->vfs);
        break;
    default: /* SIGUSR1, SIGHUP: log files were moved */
        logsink_reopen(a->log_sink);
        if (a->access_sink)
            logsink_reopen(a->access_sink);
        break;
    }
}

static bool take_signals(struct app *a)
{
    static const int signos[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL); /* sendfile to a peer that has gone */
    int error = loop_signals(a->loop, signos, COUNT_OF(signos), on_signal, a);
    return error < 0 ? complain("signals cannot be taken: %s", strerror(-error)) : true;
}

static bool begin(struct app *a)
{
    int error;
    if (a->o->memory && a->o->memory < MEMORY_LEAST)
        return complain("--memory: at least 8M are needed, of which the logs take 2M and the table "
                        "of media types half of one");
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0,
                0); /* before there are threads: each would have to say it */
    mem_book_init(&a->book, (size_t)a->o->memory);
    mem_owner_init(&a->owner, &a->book, "main");
    a->loop = loop_new(&a->book, &a->log, &error);
    if (!a->loop)
        return complain("the event loop cannot be made: %s", strerror(-error));
    if (!take_signals(a)) /* before any thread starts: threads inherit what is blocked */
        return false;
    io_init(&a->io, a->loop, &a->book);
    struct http_settings settings = settings_of(a->o);
    http_server_init(&a->http, &a->io, &a->book, &settings, &a->files.handler);
    return open_logs(a) && load_mime(a) && open_tree(a) && load_error_pages(a) && listen_all(a) &&
           give_up_root(a->o);
}

/* Ends what is left, and waits a moment for workers. True: nothing is left, all can be freed. */
static bool wind_down(struct app *a)
{
    pressure_stop(&a->pressure);
    timeout_clear(&a->drain_timeout);
    timeout_clear(&a->report_timeout);
    server_abort_all(&a->http.server);
    vfs_stop(a->vfs);
    int64_t until = loop_now_ms(a->loop) + STATS_IDLE_MS;
    do
        loop_turn(a->loop, MIN(until, loop_now_ms(a->loop) + 10));
    while ((a->http.server.session_count || !vfs_is_idle(a->vfs) ||
            work_lane_pending(a->files.lane)) &&
           loop_now_ms(a->loop) < until);
    return !a->http.server.session_count && vfs_is_idle(a->vfs) &&
           !work_lane_pending(a->files.lane);
}

static void free_all(struct app *a)
{
    http_server_fini(&a->http);
    vfs_free(&a->vfs); /* its nodes hold header lines that h_file made */
    h_file_fini(&a->files);
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

int serve(const struct options *o)
{
    struct app app = {.o = o};
    struct app *a = &app;
    (void)setvbuf(stderr, NULL, _IOLBF,
                  BUFSIZ); /* one sentence, one write: others may write to the same place */
    if (!begin(a))
        _exit(1); /* what was opened ends with the process */
    timeout_init(&a->drain_timeout, on_drain_timeout);
    timeout_init(&a->report_timeout, on_report);
    if (a->access_sink)
        on_report(&a->report_timeout);
    pressure_start(&a->pressure, &a->book, &a->http.server, a->vfs);
    announce(&a->http.server, o->root);
    server_start(&a->http.server);
    loop_run(a->loop);
    if (wind_down(a)) {
        free_all(a);
        return 0;
    }
    logsink_flush(
        a->log_sink,
        500); /* a disk hangs below a worker: nothing can be freed safely, and need not be */
    if (a->access_sink)
        logsink_flush(a->access_sink, 500);
    _exit(0);
}
