/* serve: one file tree over HTTP, from the options to the end of the process. Everything hangs off
 * struct app, which lives on the stack of serve(). */
#include "main/serve.h"

#include "main/announce.h"
#include "main/complain.h"
#include "main/pressure.h"
#include "main/process.h"
#include "main/status.h"
#include "protocol/http/http1.h"

#include <errno.h>
#include <unistd.h>

#define MEMORY_LEAST (8 * MIB)

struct app {
    struct process process;
    const struct options *o;
    struct vfs *vfs;
    struct h_file files;
    struct http_server http;
    struct pressure pressure;
};

static struct app *app_of(struct process *p)
{
    return CONTAINER_OF(p, struct app, process);
}

/* ---- Building ---- */

static bool open_logs(struct app *a)
{
    const struct options *o = a->o;
    int error;
    struct logsink *sink = process_open_log(&a->process, o->log, &error);
    if (!sink)
        return complain("the log %s cannot be opened: %s", o->log ? o->log : "(standard error)",
                        strerror(-error));
    process_take_log(&a->process, sink);
    a->process.log.level = o->verbose ? LOG_DEBUG : LOG_NOTICE;
    if (!o->access_log)
        return true;
    enum accesslog_format format;
    if (!accesslog_format_of(slice_str(o->log_format), &format))
        return complain("--log-format takes combined or json, not \"%s\"", o->log_format);
    sink = logsink_new(&a->process.book, o->access_log, 0, &error);
    if (!sink)
        return complain("the access log %s cannot be opened: %s", o->access_log, strerror(-error));
    process_take_access_log(&a->process, sink, format);
    return true;
}

static bool open_tree(struct app *a)
{
    const struct options *o = a->o;
    struct vfs_settings settings;
    vfs_settings_default(&settings);
    settings.cache_bytes = (size_t)o->cache;
    h_file_siblings(settings.siblings);
    int error;
    a->vfs = vfs_new(&a->process.io, &a->process.book, o->root, &settings, &error);
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
    if (!h_file_init(&a->files, a->process.loop, &a->process.book, a->vfs, a->process.mime, &files))
        return complain("there is not enough memory");
    return true;
}

static struct http_settings settings_of(const struct options *o)
{
    struct http_settings s;
    size_t most = process_most_connections();
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
    s.server.max_sessions = o->max_connections ? MIN((size_t)o->max_connections, most) : most;
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
    return process_give_up_root(o->user, "--user", "Use --user NAME (www-data, nobody)");
}

/* ---- What the process asks ---- */

static void on_empty(struct server *server)
{
    loop_stop(server->io->loop);
}

static void drain(struct process *p)
{
    struct app *a = app_of(p);
    server_drain(&a->http.server, on_empty);
    if (a->http.server.session_count == 0)
        process_stop(p);
}

static void tell_status(struct process *p)
{
    struct app *a = app_of(p);
    struct status_count count = {0};
    status_add(&count, &a->http.server, &a->http.stats);
    status_connections(&p->log, SLICE(""), &count);
    status_files(&p->log, a->vfs);
    status_loop(&p->log, p->loop);
    status_memory(&p->log, &p->book);
    status_sessions(&p->log, &a->http.server);
}

static size_t count_sessions(struct process *p)
{
    return app_of(p)->http.server.session_count;
}

static bool is_empty(struct process *p)
{
    struct app *a = app_of(p);
    return !a->http.server.session_count && vfs_is_idle(a->vfs) &&
           !work_lane_pending(a->files.lane);
}

static const struct process_ops process_ops = {
    .drain = drain,
    .status = tell_status,
    .sessions = count_sessions,
    .is_empty = is_empty,
};

static void visit_servers(void *owner, void (*visit)(struct pressure *p, struct server *server),
                          struct pressure *p)
{
    visit(p, &((struct app *)owner)->http.server);
}

static void visit_trees(void *owner, void (*visit)(struct pressure *p, struct vfs *vfs),
                        struct pressure *p)
{
    visit(p, ((struct app *)owner)->vfs);
}

static const struct pressure_ops pressure_ops = {.servers = visit_servers, .trees = visit_trees};

/* ---- From begin to end ---- */

static bool begin(struct app *a)
{
    struct process *p = &a->process;
    if (a->o->memory && a->o->memory < MEMORY_LEAST)
        return complain("--memory: at least 8M are needed, of which the logs take 2M and the table "
                        "of media types half of one");
    if (!process_begin(p, &process_ops, (size_t)a->o->memory))
        return false;
    p->drain_ms = a->o->drain_ms;
    struct http_settings settings = settings_of(a->o);
    http_server_init(&a->http, &p->io, &p->book, &settings, &a->files.handler);
    a->http.accesslog = &p->accesslog;
    return open_logs(a) && process_load_mime(p) && open_tree(a) && load_error_pages(a) &&
           listen_all(a) && give_up_root(a->o);
}

/* Ends what is left. True: nothing is left, all can be freed. */
static bool wind_down(struct app *a)
{
    pressure_stop(&a->pressure);
    server_abort_all(&a->http.server);
    vfs_stop(a->vfs);
    return process_wind_down(&a->process);
}

static void free_all(struct app *a)
{
    http_server_fini(&a->http);
    vfs_free(&a->vfs); /* its nodes hold header lines that h_file made */
    h_file_fini(&a->files);
    process_free(&a->process);
}

int serve(const struct options *o)
{
    struct app app = {.o = o};
    struct app *a = &app;
    if (!begin(a))
        _exit(1); /* what was opened ends with the process */
    pressure_start(&a->pressure, a->process.loop, &a->process.book, &pressure_ops, a);
    announce(&a->http.server, o->root);
    server_start(&a->http.server);
    process_start(&a->process);
    loop_run(a->process.loop);
    if (wind_down(a)) {
        free_all(a);
        return 0;
    }
    process_abandon(&a->process);
    _exit(0);
}
