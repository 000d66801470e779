/* run: a script is the configuration. Everything hangs off struct app on the stack of run_script().
 */
#include "main/run.h"

#include "main/announce.h"
#include "main/complain.h"
#include "main/pressure.h"
#include "main/process.h"
#include "main/status.h"
#include "script/declare.h"
#include "script/host_store.h"
#include "script/http_unit.h"
#include "script/settings.h"
#include "script/tree.h"
#include "script/unit.h"

#include <errno.h>
#include <unistd.h>

#define SAVE_MS 30000 /* for shared data that still has to be written */

struct app {
    struct process process;
    struct host host;
    struct unit *unit;
    struct pressure pressure;
    struct process_settings settings;           /* that hold now */
    struct logsink *next_log, *next_access_log; /* of a load that has not been taken yet */
    int status;
};

static struct app *app_of(struct process *p)
{
    return CONTAINER_OF(p, struct app, process);
}

static struct app *app_of_host(struct host *host)
{
    return CONTAINER_OF(host, struct app, host);
}

static bool is_same(const char *a, const char *b)
{
    return slice_is(slice_str(a), slice_str(b));
}

/* ---- Settings of the process ---- */

static bool open_next_log(struct app *a, const struct process_settings *s, char *error,
                          size_t bytes)
{
    int code;
    if (is_same(s->log, a->settings.log))
        return true;
    a->next_log = process_open_log(&a->process, s->log[0] ? s->log : NULL, &code);
    if (!a->next_log)
        (void)snprintf(error, bytes, "medusa.log_file: %s cannot be opened: %s", s->log,
                       strerror(-code));
    return a->next_log;
}

static bool open_next_access_log(struct app *a, const struct process_settings *s, char *error,
                                 size_t bytes)
{
    int code;
    if (is_same(s->access_log, a->settings.access_log) || !s->access_log[0])
        return true;
    a->next_access_log = logsink_new(&a->process.book, s->access_log, 0, &code);
    if (!a->next_access_log)
        (void)snprintf(error, bytes, "medusa.access_log: %s cannot be opened: %s", s->access_log,
                       strerror(-code));
    return a->next_access_log;
}

static void forget_next_logs(struct app *a)
{
    logsink_close(&a->next_log);
    logsink_close(&a->next_access_log);
}

static bool prepare(struct host *host, const struct process_settings *s, char *error, size_t bytes)
{
    struct app *a = app_of_host(host);
    if (a->process.is_draining) {
        (void)snprintf(error, bytes, "the process is about to end");
        return false;
    }
    if (open_next_log(a, s, error, bytes) && open_next_access_log(a, s, error, bytes))
        return true;
    forget_next_logs(a);
    return false;
}

static void take_logs(struct app *a, const struct process_settings *s)
{
    struct process *p = &a->process;
    if (a->next_log)
        process_take_log(p, a->next_log);
    struct logsink *access = a->next_access_log ? a->next_access_log : p->access_sink;
    enum accesslog_format format = ACCESSLOG_COMBINED;
    (void)!accesslog_format_of(slice_str(s->access_format), &format); /* "" is combined */
    process_take_access_log(p, s->access_log[0] ? access : NULL, format);
    a->next_log = a->next_access_log = NULL;
    p->log.level = s->is_verbose ? LOG_DEBUG : LOG_NOTICE;
}

static void settle(struct host *host, const struct process_settings *s, bool is_taken)
{
    struct app *a = app_of_host(host);
    if (!is_taken) {
        forget_next_logs(a);
        return;
    }
    take_logs(a, s);
    if (a->process.is_started && !is_same(s->user, a->settings.user))
        log_line(&a->process.log, LOG_WARNING, "user.late",
                 "medusa.user has changed: that holds from the next start on");
    a->settings = *s;
    host->connections = s->connections;
    a->process.drain_ms = s->drain_ms;
    a->process.book.budget = (size_t)s->memory_bytes;
    pressure_change(&a->pressure);
}

/* ---- Loading ---- */

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

static void on_loaded(struct unit *unit, const char *error, void *owner)
{
    struct app *a = owner;
    if (error)
        (void)complain("%s", error);
    if (error || !process_give_up_root(a->settings.user[0] ? a->settings.user : NULL, "medusa.user",
                                       "Say medusa.user \"www-data\" in the script")) {
        a->status = 1;
        process_stop(&a->process);
        return;
    }
    process_start(&a->process);
    print_servers(a);
}

static void on_reloaded(struct unit *unit, const char *error, void *owner)
{
    struct app *a = owner;
    if (error)
        log_line(&a->process.log, LOG_ERROR, "load.failed",
                 "%s is not loaded, what was there goes on: %s", unit->path, error);
    else
        log_line(&a->process.log, LOG_NOTICE, "load.done", "%s is loaded", unit->path);
}

static void reload(struct process *p)
{
    struct app *a = app_of(p);
    if (p->is_started && !p->is_draining && !unit_load(a->unit, on_reloaded, a))
        log_line(&p->log, LOG_ERROR, "load.failed",
                 "%s is not loaded: another load is going on, or memory is short", a->unit->path);
}

/* ---- What the process asks ---- */

static bool has_servers(const struct host *host)
{
    LIST_EACH (n, &host->units)
        if (!list_is_empty(&CONTAINER_OF(n, struct unit, link)->servers))
            return true;
    return !list_is_empty(&host->leaving);
}

/* A server that was told to end has lost its last session. */
static void on_left(struct host *host)
{
    struct process *p = &app_of_host(host)->process;
    if (p->is_draining && !has_servers(host))
        process_stop(p);
}

static void drain(struct process *p)
{
    struct host *host = &app_of(p)->host;
    LIST_EACH (n, &host->units)
        declare_retire_all(CONTAINER_OF(n, struct unit, link));
    on_left(host);
}

static void add_sessions(struct live *l, void *ctx)
{
    size_t *count = ctx;
    if (l->kind->server)
        *count += l->kind->server(l)->session_count;
}

static size_t count_sessions(struct process *p)
{
    size_t count = 0;
    declare_each(&app_of(p)->host, add_sessions, &count);
    return count;
}

static bool is_empty(struct process *p)
{
    return host_is_empty(&app_of(p)->host);
}

/* ---- Status ---- */

static const struct http_stats *http_stats_of(struct live *l)
{
    return l->kind == &http_kind ? &CONTAINER_OF(l, struct live_http, base)->http.stats : NULL;
}

static void add_count(struct live *l, void *ctx)
{
    if (l->kind->server)
        status_add(ctx, l->kind->server(l), http_stats_of(l));
}

static void tell_server(struct live *l, void *ctx)
{
    struct status_count count = {0};
    char room[160];
    struct fmt f = fmt_on(room, sizeof room);
    fmt_printf(&f, "%s ", l->kind->name);
    if (l->port_count)
        addr_put(&f, l->kind->address(l->ports[0].port));
    else
        fmt_put(&f, SLICE("(leaving)"));
    add_count(l, &count);
    if (l->kind->server)
        status_connections(ctx, fmt_done(&f), &count);
}

static void tell_sessions(struct live *l, void *ctx)
{
    if (l->kind->server)
        status_sessions(ctx, l->kind->server(l));
}

static void tell_status(struct process *p)
{
    struct app *a = app_of(p);
    struct status_count all = {0};
    declare_each(&a->host, add_count, &all);
    status_connections(&p->log, SLICE(""), &all);
    declare_each(&a->host, tell_server, &p->log);
    host_status_log(&a->host);
    status_loop(&p->log, p->loop);
    status_memory(&p->log, &p->book);
    declare_each(&a->host, tell_sessions, &p->log);
}

static const struct process_ops process_ops = {
    .drain = drain,
    .status = tell_status,
    .reload = reload,
    .sessions = count_sessions,
    .is_empty = is_empty,
};

/* ---- Memory pressure ---- */

struct visit {
    void (*visit)(struct pressure *p, struct server *server);
    struct pressure *p;
};

static void visit_live(struct live *l, void *ctx)
{
    const struct visit *v = ctx;
    if (l->kind->server)
        v->visit(v->p, l->kind->server(l));
}

static void visit_servers(void *owner, void (*visit)(struct pressure *p, struct server *server),
                          struct pressure *p)
{
    struct visit v = {.visit = visit, .p = p};
    declare_each(&((struct app *)owner)->host, visit_live, &v);
}

static void visit_trees(void *owner, void (*visit)(struct pressure *p, struct vfs *vfs),
                        struct pressure *p)
{
    LIST_EACH (n, &((struct app *)owner)->host.trees) {
        const struct tree *tree = CONTAINER_OF(n, struct tree, link);
        if (!tree->is_stopped)
            visit(p, tree->vfs);
    }
}

static const struct pressure_ops pressure_ops = {.servers = visit_servers, .trees = visit_trees};

/* ---- From begin to end ---- */

static bool open_log(struct process *p)
{
    int error;
    struct logsink *sink = process_open_log(p, NULL, &error);
    if (!sink)
        return complain("the log cannot be opened: %s", strerror(-error));
    process_take_log(p, sink);
    return true;
}

static bool begin(struct app *a, const char *path)
{
    struct process *p = &a->process;
    if (!process_begin(p, &process_ops, 0) || !open_log(p) || !process_load_mime(p))
        return false;
    pressure_start(&a->pressure, p->loop, &p->book, &pressure_ops, a);
    a->host = (struct host){.io = &p->io,
                            .book = &p->book,
                            .log = &p->log,
                            .mime = p->mime,
                            .accesslog = &p->accesslog,
                            .max_sessions = process_most_connections(),
                            .prepare = prepare,
                            .settle = settle,
                            .on_left = on_left};
    int error = host_init(&a->host);
    if (error < 0)
        return complain("scripts cannot be run: %s", strerror(-error));
    struct unit_limits limits;
    unit_limits_default(&limits);
    a->unit = unit_new(&a->host, SLICE("main"), slice_str(path), &limits);
    if (a->unit)
        a->unit->is_main = true;
    if (!a->unit || !unit_load(a->unit, on_loaded, a))
        return complain("%s cannot be loaded: there is not enough memory, or its path is too long",
                        path);
    return true;
}

/* Ends what is left. True: nothing is left, all can be freed. */
static bool wind_down(struct app *a)
{
    pressure_stop(&a->pressure);
    host_stop(&a->host);
    int64_t until = loop_now_ms(a->process.loop) + SAVE_MS;
    bool is_over = process_wind_down(&a->process);
    while (!is_over && host_store_is_closing(&a->host) && loop_now_ms(a->process.loop) < until)
        is_over = process_wind_down(&a->process);
    return is_over;
}

int run_script(const char *path)
{
    struct app app = {.status = 0};
    struct app *a = &app;
    if (!begin(a, path))
        _exit(1);
    loop_run(a->process.loop);
    if (wind_down(a)) {
        host_fini(&a->host);
        process_free(&a->process);
        return a->status;
    }
    process_abandon(&a->process);
    _exit(a->status);
}
