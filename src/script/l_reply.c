/* l_reply: what a function returned, as the answer. */
#include "script/http_unit.h"

#include "base/near.h"
#include "script/l_files.h"

#include <errno.h>

#define TEXT_LINE SLICE("Content-Type: text/plain; charset=utf-8\r\n")

static void send_whole(struct exchange *ex, int status, slice lines, slice body)
{
    struct outq *q = exchange_begin(ex, status, lines, (int64_t)body.n);
    if (q && !ex->no_body && body.n && !outq_push_copy(q, exchange_io(ex), body))
        stream_abort(&ex->session->stream, -ENOMEM);
}

static int check_status(lua_State *L, int at)
{
    lua_Integer status = lua_tointeger(L, at);
    if (status < 200 || status > 599)
        luaL_error(L, "a status is a number from 200 to 599, not %I", status);
    return (int)status;
}

/* A status alone: the server's page, or nothing where no page belongs. */
static void send_status(struct l_request *r, int status)
{
    if (status >= 400)
        r->fail_status = (int16_t)status;
    else
        send_whole(r->ex, status, SLICE(""), SLICE(""));
}

/* ---- Fields ---- */

static void add_field(lua_State *L, struct exchange *ex, slice name, slice value)
{
    switch (exchange_add_field(ex, name, value)) {
    case 0:
        return;
    case -EINVAL:
        luaL_error(L,
                   "the header %s cannot be sent: it is no name, holds control characters, or is "
                   "the server's own",
                   name.p);
        return;
    case -EALREADY:
        luaL_error(L, "the header %s comes too late: the answer has begun", name.p);
        return;
    default:
        luaL_error(L, "the headers of the answer are too large");
    }
}

/* The value on the top: a string, number, or a list of them. */
static void add_values(lua_State *L, struct exchange *ex, slice name)
{
    if (!lua_istable(L, -1)) {
        if (!lua_isstring(L, -1))
            luaL_error(L, "the header %s must be a string or a list of strings", name.p);
        size_t n;
        const char *p = lua_tolstring(L, -1, &n);
        add_field(L, ex, name, slice_of(p, n));
        return;
    }
    lua_Integer count = luaL_len(L, -1);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        if (!lua_isstring(L, -1))
            luaL_error(L, "the header %s must be a string or a list of strings", name.p);
        size_t n;
        const char *p = lua_tolstring(L, -1, &n);
        add_field(L, ex, name, slice_of(p, n));
        lua_pop(L, 1);
    }
}

void l_reply_fields(lua_State *L, struct exchange *ex, int at)
{
    at = lua_absindex(L, at);
    luaL_checktype(L, at, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, at)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "headers are a table of names: {[\"X-Name\"] = \"value\"}");
        size_t n;
        const char *p = lua_tolstring(L, -2, &n);
        add_values(L, ex, slice_of(p, n));
        lua_pop(L, 1);
    }
}

/* ---- Tables ---- */

/* { status, headers, cookies, and one of: body (with type), text, html, json, redirect; or headers,
 * file and tree } */
static const slice table_names[] = {SLICE("status"), SLICE("headers"),  SLICE("body"),
                                    SLICE("type"),   SLICE("text"),     SLICE("html"),
                                    SLICE("json"),   SLICE("redirect"), SLICE("file"),
                                    SLICE("tree"),   SLICE("cookies")};

static void check_names(lua_State *L, int at)
{
    lua_pushnil(L);
    while (lua_next(L, at)) {
        lua_pop(L, 1);
        slice name = lua_type(L, -1) == LUA_TSTRING ? l_check_slice(L, -1) : SLICE("");
        bool known = false;
        for (size_t i = 0; i < COUNT_OF(table_names); i++)
            known |= slice_is(name, table_names[i]);
        if (known)
            continue;
        if (!name.n)
            luaL_error(L, "a table that is an answer has names: {status = 200, body = ...}; for "
                          "JSON: {json = value}");
        int near = near_word(name, table_names, COUNT_OF(table_names));
        luaL_error(L,
                   near >= 0 ? "an answer has no field %s: did you mean %s?"
                             : "an answer has no field %s; for JSON: {json = value}",
                   name.p, near >= 0 ? table_names[near].p : "");
    }
}

/* The type line and the body, from the first of the body's names that is there. */
static slice table_body(lua_State *L, int at, const char **type)
{
    static const struct {
        const char *name, *type;
    } kinds[] = {{"body", "text/plain; charset=utf-8"},
                 {"text", "text/plain; charset=utf-8"},
                 {"html", "text/html; charset=utf-8"}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        lua_getfield(L, at, kinds[i].name);
        if (lua_isstring(L, -1)) {
            *type = kinds[i].type;
            return l_check_slice(L, -1);
        }
        if (!lua_isnil(L, -1))
            luaL_error(L, "an answer's %s must be a string, not %s", kinds[i].name,
                       luaL_typename(L, -1));
        lua_pop(L, 1);
    }
    if (lua_getfield(L, at, "json") != LUA_TNIL) {
        *type = "application/json";
        l_json_push(L, -1);
        return l_check_slice(L, -1);
    }
    lua_pop(L, 1);
    return slice_of(NULL, 0);
}

static void add_type(lua_State *L, struct exchange *ex, int at, const char *type)
{
    bool own = lua_getfield(L, at, "type") == LUA_TSTRING;
    if (own || type)
        add_field(L, ex, SLICE("Content-Type"), own ? l_check_slice(L, -1) : slice_str(type));
    lua_pop(L, 1);
}

/* The file's own handler answers: status and type are its business. The name stands on the top. */
static void reply_file(lua_State *L, struct l_request *r, int at)
{
    static const char *const others[] = {"status", "type", "body",    "text",
                                         "html",   "json", "redirect"};
    for (size_t i = 0; i < COUNT_OF(others); i++)
        if (lua_getfield(L, at, others[i]) != LUA_TNIL)
            luaL_error(L,
                       "an answer with a file has no %s: what the file is and what the client "
                       "asked for decide",
                       others[i]);
    lua_pop(L, (int)COUNT_OF(others));
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "an answer's file must be a string, not %s", luaL_typename(L, -1));
    lua_getfield(L, at, "tree");
    l_push_tree_file(L, -1, l_check_slice(L, -2));
    (void)l_delegate(L, r, -1);
}

/* [status]: the number before the table, or 0. */
static void reply_table(lua_State *L, struct l_request *r, int at, int status)
{
    struct exchange *ex = r->ex;
    check_names(L, at);
    if (lua_getfield(L, at, "headers") != LUA_TNIL)
        l_reply_fields(L, ex, -1);
    if (lua_getfield(L, at, "cookies") != LUA_TNIL)
        l_reply_cookies(L, ex, -1);
    if (lua_getfield(L, at, "file") != LUA_TNIL) {
        reply_file(L, r, at);
        return;
    }
    if (lua_getfield(L, at, "redirect") == LUA_TSTRING) {
        add_field(L, ex, SLICE("Location"), l_check_slice(L, -1));
        status = status ? status : 302;
    }
    if (lua_getfield(L, at, "status") != LUA_TNIL)
        status = check_status(L, -1);
    const char *type = NULL;
    slice body = table_body(L, at, &type);
    if (!body.p && status >= 400) {
        r->fail_status = (int16_t)status;
        return;
    }
    if (body.p)
        add_type(L, ex, at, type);
    send_whole(ex, status ? status : 200, SLICE(""), body);
}

/* ---- The answer ---- */

static void reply_nothing(lua_State *L, struct l_request *r)
{
    if (!r->ex->has_begun)
        luaL_error(
            L,
            "the handler returned nothing: return a string, a table, a status, or call req:write");
}

void l_reply(lua_State *L, struct l_request *r, int first)
{
    struct exchange *ex = r->ex;
    if (lua_gettop(L) < first || lua_isnil(L, first) || ex->has_begun) {
        reply_nothing(L, r);
        return;
    }
    int status = 0;
    if (lua_type(L, first) == LUA_TNUMBER) {
        status = check_status(L, first++);
        if (lua_gettop(L) < first || lua_isnil(L, first)) {
            send_status(r, status);
            return;
        }
    }
    switch (lua_type(L, first)) {
    case LUA_TSTRING:
        send_whole(ex, status ? status : 200, TEXT_LINE, l_check_slice(L, first));
        return;
    case LUA_TTABLE:
        reply_table(L, r, first, status);
        return;
    default:
        if (!l_delegate(L, r, first))
            luaL_error(
                L,
                "the handler returned a %s: return a string, a table, a status, or another handler",
                luaL_typename(L, first));
    }
}
