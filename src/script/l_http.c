/* l_http: medusa.http.server{...}: from the table in the script to the declaration. */
#include "script/http_unit.h"
#include "script/l_task.h"
#include "script/libs.h"

#include "base/buf.h"

/* ---- Handlers as values ---- */

struct l_handler {
    struct http_handler *handler;
};

void l_push_handler(lua_State *L, struct http_handler *handler)
{
    struct l_handler *h = l_new_object(L, META_HANDLER, sizeof *h, 1);
    h->handler = handler;
}

void l_push_file_handler(lua_State *L, struct http_handler *handler, slice path)
{
    l_push_handler(L, handler);
    l_push_slice(L, path);
    lua_setiuservalue(L, -2, 1);
}

bool l_delegate(lua_State *L, struct l_request *r, int at)
{
    at = lua_absindex(L, at);
    struct http_handler *handler = l_to_handler(L, at);
    if (!handler)
        return false;
    if (lua_getiuservalue(L, at, 1) == LUA_TSTRING) {
        r->delegate_path = arena_copy(&r->ex->arena, l_check_slice(L, -1));
        if (!r->delegate_path.p)
            luaL_error(L, "not enough memory");
    }
    lua_pop(L, 1);
    r->delegate = handler;
    return true;
}

struct http_handler *l_to_handler(lua_State *L, int at)
{
    struct l_handler *h = l_test_object(L, at, META_HANDLER);
    return h ? h->handler : NULL;
}

/* handler(req): it answers when the function that called it returns. */
static int call_handler(lua_State *L)
{
    struct l_request *r = l_check_request(L, 2);
    if (r->ex->has_begun)
        return luaL_error(L, "another handler cannot answer any more: the answer has begun");
    (void)l_delegate(L, r, 1);
    lua_settop(L, 1);
    return 1;
}

/* ---- Routes ---- */

static void add_target(lua_State *L, struct declared_http *d, slice pattern, struct target target)
{
    struct mem_owner *owner = &version_of(L)->unit->heap;
    const char *why;
    if (d->target_count == d->target_room) {
        unsigned room = d->target_room ? d->target_room * 2 : 16;
        void *p = d->targets ? mem_resize(owner, d->targets, d->target_room * sizeof *d->targets, room * sizeof *d->targets)
                             : mem_alloc(owner, room * sizeof *d->targets);
        if (!p)
            luaL_error(L, "not enough memory");
        d->targets = p;
        d->target_room = room;
    }
    d->targets[d->target_count] = target;
    if (!route_add(d->routes, pattern, d->target_count, &why)) {
        buf_release(&target.text);
        luaL_error(L, "route \"%s\": %s", pattern.p, why);
    }
    d->target_count++;
}

/* The value on the top becomes a target of [pattern]. */
static void add_route(lua_State *L, struct declared_http *d, slice pattern);

/* { GET = f, POST = g } */
static void add_methods(lua_State *L, struct declared_http *d, slice pattern)
{
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "route \"%s\": a table names methods: {GET = function, POST = function}", pattern.p);
        lua_pushfstring(L, "%s %s", lua_tostring(L, -2), pattern.p);
        lua_insert(L, -2);
        add_route(L, d, l_check_slice(L, -2));
        lua_pop(L, 2);
    }
}

static struct buf *keep_text(lua_State *L, slice text)
{
    struct buf *b = buf_new(&version_of(L)->unit->heap, text.n + 1);
    if (!b)
        luaL_error(L, "not enough memory");
    memcpy(b->p, text.p, text.n);
    b->n = text.n;
    return b;
}

static void add_route(lua_State *L, struct declared_http *d, slice pattern)
{
    struct target target = {.function = LUA_NOREF};
    switch (lua_type(L, -1)) {
    case LUA_TFUNCTION:
        lua_pushvalue(L, -1);
        target.function = luaL_ref(L, LUA_REGISTRYINDEX);
        break;
    case LUA_TSTRING:
        target.text = keep_text(L, l_check_slice(L, -1));
        break;
    case LUA_TTABLE:
        add_methods(L, d, pattern);
        return;
    default:
        target.handler = l_to_handler(L, -1);
        if (!target.handler)
            luaL_error(L, "route \"%s\": a function, a handler, a text or a table of methods is expected, not %s", pattern.p,
                       luaL_typename(L, -1));
        lua_pushvalue(L, -1);
        (void)luaL_ref(L, LUA_REGISTRYINDEX); /* lives as long as the version */
    }
    add_target(L, d, pattern, target);
}

static void read_routes(lua_State *L, struct declared_http *d)
{
    d->routes = route_table_new(&version_of(L)->unit->heap);
    if (!d->routes)
        luaL_error(L, "not enough memory");
    if (lua_getfield(L, 1, "routes") != LUA_TTABLE)
        luaL_error(L, "medusa.http.server: routes: a table is expected, as in routes = {[\"/\"] = function(req) ... end}");
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "medusa.http.server: routes: each has a pattern: [\"/path\"] = ...");
        add_route(L, d, l_check_slice(L, -2));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* ---- Settings ---- */

struct http_options {
    uint64_t max_connections, backlog, max_target, max_header, max_fields, max_body, max_requests, min_rate;
    int64_t keepalive, header_timeout;
};

#define AT(member) offsetof(struct http_options, member)

static const struct l_option options[] = {
    {"listen", OPTION_OTHER, 0, 0, 0, "where: \":8080\", \"127.0.0.1:80\", \"[::1]:80\", \"unix:/path\", or a list of them; with \",proxy\" behind it the PROXY protocol is expected"},
    {"routes", OPTION_OTHER, 0, 0, 0, "what answers what: a table of patterns"},
    {"max_connections", OPTION_COUNT, AT(max_connections), 1, 10000000, "clients at once; further ones wait"},
    {"backlog", OPTION_COUNT, AT(backlog), 1, 65535, "connections that wait in the kernel"},
    {"max_target", OPTION_SIZE, AT(max_target), 64, 65536, "longest request target (414)"},
    {"max_header", OPTION_SIZE, AT(max_header), 256, 1048576, "largest request head (431)"},
    {"max_fields", OPTION_COUNT, AT(max_fields), 1, HTTP1_FIELDS_MAX, "header fields of a request (431)"},
    {"max_body", OPTION_SIZE, AT(max_body), 0, UINT32_MAX, "largest request body (413)"},
    {"max_requests", OPTION_COUNT, AT(max_requests), 0, UINT32_MAX, "requests per connection; 0 = any number"},
    {"keepalive", OPTION_TIME, AT(keepalive), 0, 0, "how long a connection may be idle between requests"},
    {"header_timeout", OPTION_TIME, AT(header_timeout), 0, 0, "time for a whole request head (408)"},
    {"min_rate", OPTION_COUNT, AT(min_rate), 0, 1000000000, "bytes a second that a client must send or take; 0 = any"},
};

static void read_settings(lua_State *L, struct http_settings *s)
{
    http_settings_default(s);
    s->server.max_sessions = version_of(L)->host->max_sessions;
    struct http_options o = {.max_connections = s->server.max_sessions,
                             .backlog = (uint64_t)s->server.backlog,
                             .max_target = s->limits.target_bytes,
                             .max_header = s->limits.head_bytes,
                             .max_fields = s->limits.fields,
                             .max_body = s->body_bytes,
                             .max_requests = s->requests,
                             .min_rate = s->rate_bytes / 30,
                             .keepalive = s->keepalive_ms,
                             .header_timeout = s->header_ms};
    l_read_options(L, 1, "medusa.http.server", options, COUNT_OF(options), &o);
    s->server.max_sessions = MIN(o.max_connections, s->server.max_sessions);
    s->server.backlog = (int)o.backlog;
    s->limits = (struct http1_limits){.target_bytes = (uint32_t)o.max_target,
                                      .head_bytes = (uint32_t)o.max_header,
                                      .fields = (uint32_t)o.max_fields};
    s->body_bytes = o.max_body;
    s->requests = (uint32_t)o.max_requests;
    s->keepalive_ms = o.keepalive;
    s->header_ms = o.header_timeout;
    s->rate_bytes = s->server.rate_bytes = (uint32_t)MIN(o.min_rate * 30, UINT32_MAX);
}

/* ---- The declaration ---- */

static int l_server(lua_State *L)
{
    lua_settop(L, 1);
    struct declared_http *d = l_declare(L, &http_kind, sizeof *d, "medusa.http.server");
    read_settings(L, &d->settings);
    read_routes(L, d);
    l_declare_listen(L, &d->base, "medusa.http.server", d->listen);
    return 0;
}

static const struct l_function functions[] = {
    {"medusa.http.server", l_server, "{listen = ADDRESS, routes = {[PATTERN] = HANDLER, ...}, ...}",
     "Declares an HTTP server. It begins to serve when the whole script has been loaded without an error."},
};

void l_open_http(lua_State *L)
{
    l_make_meta(L, META_REQUEST, "request", l_request_methods, l_request_method_count, l_request_index, l_request_gc);
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[META_REQUEST]);
    lua_getfield(L, -1, "__index");
    lua_getupvalue(L, -1, 1);
    l_request_name_fields(L);
    lua_pop(L, 2);
    lua_pushcfunction(L, l_request_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_headers_index);
    lua_setfield(L, -2, "__index");
    version_of(L)->meta[META_HEADERS] = luaL_ref(L, LUA_REGISTRYINDEX);
    l_make_meta(L, META_HANDLER, "handler", NULL, 0, NULL, NULL);
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[META_HANDLER]);
    lua_pushcfunction(L, call_handler);
    lua_setfield(L, -2, "__call");
    lua_pop(L, 1);
    lua_newtable(L);
    l_set_functions(L, functions, COUNT_OF(functions));
    lua_setfield(L, -2, "http");
}
