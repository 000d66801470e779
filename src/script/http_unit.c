/* http_unit: the live HTTP server of a script. */
#include "script/http_unit.h"

#include "base/buf.h"
#include "base/check.h"
#include "script/l_task.h"
#include "wire/uri.h"

static struct live_http *of_live(struct live *l)
{
    return CONTAINER_OF(l, struct live_http, base);
}

static struct declared_http *declared_of(const struct live_http *lh)
{
    return CONTAINER_OF(lh->base.declared, struct declared_http, base);
}

/* ---- Answering ---- */

/* The name in an authority, without its port. */
static slice host_of(slice authority)
{
    ssize_t colon = slice_find_last(authority, ':');
    ssize_t bracket = slice_find_last(authority, ']');
    return colon > bracket ? slice_head(authority, (size_t)colon) : authority;
}

/* "/a" where "/a/" is: RFC 9110 15.4.2; the query is kept. */
static void add_slash(struct exchange *ex)
{
    const struct http1_req *req = ex->req;
    size_t room = 3 * ex->whole_path.n + req->query.n + 32;
    char *text = arena_alloc(&ex->arena, room);
    if (!text) {
        exchange_fail(ex, 503, SLICE(""));
        return;
    }
    struct fmt f = fmt_on(text, room);
    fmt_put(&f, SLICE("Location: "));
    uri_path_encode(ex->whole_path,
                    &f); /* as sent it could begin with "//", which leads to another host */
    fmt_char(&f, '/');
    if (req->query.p) {
        fmt_char(&f, '?');
        fmt_put(&f, req->query);
    }
    fmt_put(&f, SLICE("\r\n"));
    exchange_send(ex, 301, fmt_done(&f), SLICE(""));
}

static void refuse_method(struct exchange *ex, uint32_t allowed)
{
    char text[256];
    struct fmt f = fmt_on(text, sizeof text);
    fmt_put(&f, SLICE("Allow: "));
    route_allow_put(allowed | 1u << HTTP_OPTIONS, &f);
    fmt_put(&f, SLICE("\r\n"));
    if (ex->req->method == HTTP_OPTIONS)
        exchange_send(ex, 204, fmt_done(&f), SLICE(""));
    else
        exchange_fail(ex, 405, fmt_done(&f));
}

static void send_text(struct exchange *ex, struct buf *text)
{
    exchange_send(ex, 200, SLICE("Content-Type: text/plain; charset=utf-8\r\n"), buf_slice(text));
}

static void go_to(struct version *v, const struct target *target, struct exchange *ex,
                  struct route_match *match)
{
    if (target->function != LUA_NOREF) {
        l_request_start(v, target, ex, match);
        return;
    }
    if (match->rest.p) /* to the handler its part of the tree is all there is */
        ex->path = slice_of(match->rest.p - 1, match->rest.n + 1);
    if (target->text)
        send_text(ex, target->text);
    else
        target->handler->ops->handle(target->handler, ex);
}

/* An exchange holds the version that answers it: a reload while it is at work changes nothing for
 * it. */
static void release_version(struct exchange *ex)
{
    struct version *v = ex->owner;
    version_release(v);
}

static void answer(struct http_handler *h, struct exchange *ex)
{
    struct live_http *lh = CONTAINER_OF(h, struct live_http, handler);
    struct declared_http *d = declared_of(lh);
    struct version *v = d->base.version;
    version_hold(v);
    ex->owner = v;
    ex->on_free = release_version;
    struct route_match match;
    switch (route_find(d->routes, host_of(ex->req->authority), ex->req->method, ex->path, &match)) {
    case ROUTE_FOUND:
        go_to(v, &d->targets[match.target], ex, &match);
        break;
    case ROUTE_NONE:
        exchange_fail(ex, 404, SLICE(""));
        break;
    case ROUTE_METHOD:
        refuse_method(ex, match.allowed);
        break;
    case ROUTE_SLASH:
        add_slash(ex);
        break;
    }
}

/* ---- The kind ---- */

static struct live *make(struct declared *d)
{
    static const struct http_handler_ops ops = {
        .name = "script", .any_method = true, .handle = answer};
    struct host *host = d->version->host;
    struct declared_http *dh = CONTAINER_OF(d, struct declared_http, base);
    struct live_http *lh = mem_alloc0(&host->owner, sizeof *lh);
    if (!lh)
        return NULL;
    lh->handler.ops = &ops;
    http_server_init(&lh->http, host->io, host->book, &dh->settings, &lh->handler);
    lh->http.accesslog = host->accesslog;
    return &lh->base;
}

static void adopt(struct live *l)
{
    struct live_http *lh = of_live(l);
    struct declared_http *d = declared_of(lh);
    http_server_change(&lh->http, &d->settings);
    error_pages_share(&lh->http.pages, &d->pages);
}

static int listen_at(struct live *l, const struct addr *addr, bool proxied, void **port_out)
{
    struct server_port *port = NULL;
    int error = server_listen(&of_live(l)->http.server, addr, proxied, &port);
    *port_out = port;
    return error;
}

static const struct addr *address(void *port)
{
    return &((struct server_port *)port)->listener.addr;
}

static void start(struct live *l)
{
    server_start(&of_live(l)->http.server);
}

static void unlisten(struct live *l, void *port)
{
    server_unlisten(&of_live(l)->http.server, port);
}

static void on_empty(struct server *server)
{
    struct http_server *http = CONTAINER_OF(server, struct http_server, server);
    live_check_empty(&CONTAINER_OF(http, struct live_http, http)->base);
}

static void drain(struct live *l)
{
    struct version *v = l->declared->version;
    version_hold(v);
    server_drain(&of_live(l)->http.server, on_empty); /* *l may be gone now */
    l_events_close_all(v);
    version_release(v);
}

static void abort_sessions(struct live *l)
{
    server_abort_all(&of_live(l)->http.server);
}

static bool is_empty(const struct live *l)
{
    return of_live((struct live *)l)->http.server.session_count == 0;
}

static struct server *server_of(struct live *l)
{
    return &of_live(l)->http.server;
}

static void free_live(struct live *l)
{
    struct live_http *lh = of_live(l);
    struct host *host = l->host;
    http_server_fini(&lh->http);
    mem_free(&host->owner, lh, sizeof *lh);
}

static void forget(struct declared *base)
{
    struct declared_http *d = CONTAINER_OF(base, struct declared_http, base);
    struct mem_owner *owner = &base->version->unit->heap;
    for (unsigned i = 0; i < d->target_count; i++)
        buf_release(&d->targets[i].text);
    mem_free(owner, d->targets, d->target_room * sizeof *d->targets);
    route_table_free(&d->routes);
    error_pages_fini(&d->pages);
}

const struct server_kind http_kind = {
    .name = "http",
    .make = make,
    .adopt = adopt,
    .listen = listen_at,
    .address = address,
    .start = start,
    .unlisten = unlisten,
    .drain = drain,
    .abort = abort_sessions,
    .is_empty = is_empty,
    .server = server_of,
    .free = free_live,
    .forget = forget,
};
