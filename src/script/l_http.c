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
        void *p = d->targets ? mem_resize(owner, d->targets, d->target_room * sizeof *d->targets,
                                          room * sizeof *d->targets)
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
            luaL_error(L, "route \"%s\": a table names methods: {GET = function, POST = function}",
                       pattern.p);
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
            luaL_error(L,
                       "route \"%s\": a function, a handler, a text or a table of methods is "
                       "expected, not %s",
                       pattern.p, luaL_typename(L, -1));
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
        luaL_error(L, "medusa.http.server: routes: a table is expected, as in routes = {[\"/\"] = "
                      "function(req) ... end}");
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "medusa.http.server: routes: each has a pattern: [\"/path\"] = ...");
        add_route(L, d, l_check_slice(L, -2));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* ---- The declaration ---- */

static int l_server(lua_State *L)
{
    lua_settop(L, 1);
    struct declared_http *d = l_declare(L, &http_kind, sizeof *d, "medusa.http.server");
    l_http_read_settings(L, d);
    read_routes(L, d);
    l_declare_listen(L, &d->base, "medusa.http.server", d->listen);
    return 0;
}

const struct l_function l_http_functions[] = {
    {"medusa.http.server", l_server, "{listen = ADDRESS, routes = {[PATTERN] = HANDLER, ...}, ...}",
     "Declares an HTTP server. It begins to serve when the whole script has been loaded without an "
     "error."},
};
const size_t l_http_function_count = COUNT_OF(l_http_functions);

void l_open_http(lua_State *L)
{
    const struct l_class request = {.meta = META_REQUEST,
                                    .name = "request",
                                    .methods = l_request_methods,
                                    .count = l_request_method_count,
                                    .index = l_request_index};
    static const struct l_class handler = {.meta = META_HANDLER, .name = "handler"};
    l_make_meta(L, &request);
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
    l_make_meta(L, &handler);
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[META_HANDLER]);
    lua_pushcfunction(L, call_handler);
    lua_setfield(L, -2, "__call");
    lua_pop(L, 1);
    lua_newtable(L);
    l_set_functions(L, l_http_functions, l_http_function_count);
    lua_setfield(L, -2, "http");
}
