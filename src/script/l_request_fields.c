/* l_request_fields: what a script reads of a request, and the methods that answer it piece by
 * piece. */
#include "script/http_unit.h"
#include "script/l_encodings.h"
#include "script/l_task.h"

#include "wire/char_class.h"

#include <errno.h>

/* ---- Fields ---- */

enum field {
    F_METHOD = 1,
    F_PATH,
    F_QUERY_STRING,
    F_TARGET,
    F_HOST,
    F_PEER,
    F_HEADERS,
    F_PARAMS,
    F_REST,
    F_SCHEME,
    F_VERSION,
    F_SESSION,
    F_QUERY,
    F_COOKIES
};

/* Tables that are made when they are first looked at are kept, with what the script itself puts
 * into the request, in the userdata's value: its fields take precedence. */
static void push_own(lua_State *L)
{
    if (lua_getiuservalue(L, 1, 1) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, 1);
}

int l_request_newindex(lua_State *L)
{
    (void)l_check_object(L, 1, META_REQUEST, "request");
    push_own(L);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, -3);
    return 0;
}

/* Names in lower case; several fields of one name are joined by ", " (RFC 9110 5.3). */
void l_push_headers(lua_State *L, const struct http_field *fields, unsigned count)
{
    lua_createtable(L, 0, (int)count);
    for (unsigned i = 0; i < count; i++) {
        char name[128];
        slice s = slice_head(fields[i].name, sizeof name);
        for (size_t n = 0; n < s.n; n++)
            name[n] = (char)(s.p[n] >= 'A' && s.p[n] <= 'Z' ? s.p[n] | 0x20 : s.p[n]);
        lua_pushlstring(L, name, s.n);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        bool again = lua_isstring(L, -1);
        if (again)
            lua_pushliteral(L, ", ");
        else
            lua_pop(L, 1);
        l_push_slice(L, fields[i].value);
        if (again)
            lua_concat(L, 3);
        lua_rawset(L, -3);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[META_HEADERS]);
    lua_setmetatable(L, -2);
}

/* headers["User-Agent"], headers.user_agent: in any case, "_" for "-". */
int l_headers_index(lua_State *L)
{
    size_t n;
    const char *p = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &n) : NULL;
    char name[128];
    if (!p || n > sizeof name)
        return 0;
    for (size_t i = 0; i < n; i++)
        name[i] = (char)(p[i] == '_' ? '-' : p[i] >= 'A' && p[i] <= 'Z' ? p[i] | 0x20 : p[i]);
    lua_pushlstring(L, name, n);
    lua_rawget(L, 1);
    return 1;
}

static void push_params(lua_State *L, const struct l_request *r)
{
    unsigned count = r->match ? r->match->params.count : 0;
    lua_createtable(L, 0, (int)count);
    for (unsigned i = 0; i < count; i++) {
        l_push_slice(L, r->match->params.at[i].name);
        l_push_slice(L, r->match->params.at[i].value);
        lua_rawset(L, -3);
    }
}

static void push_peer(lua_State *L, const struct exchange *ex)
{
    char room[PEER_TEXT_MAX];
    struct fmt f = fmt_on(room, sizeof room);
    peer_addr_put(&f, &ex->session->peer);
    l_push_slice(L, fmt_done(&f));
}

/* A table: made once, then kept under the name at index 2. */
static int keep(lua_State *L)
{
    push_own(L);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return 1;
}

static int push_field(lua_State *L, const struct l_request *r, enum field field)
{
    const struct exchange *ex = r->ex;
    const struct http1_req *req = ex->req;
    switch (field) {
    case F_METHOD:
        l_push_slice(L, req->method_name);
        return 1;
    case F_PATH:
        l_push_slice(L, ex->path);
        return 1;
    case F_QUERY_STRING:
        l_push_slice(L, req->query);
        return 1;
    case F_TARGET:
        l_push_slice(L, req->target);
        return 1;
    case F_HOST:
        l_push_slice(L, req->authority);
        return 1;
    case F_PEER:
        push_peer(L, ex);
        return 1;
    case F_REST:
        l_push_slice(L, r->match ? r->match->rest : SLICE(""));
        return 1;
    case F_SCHEME:
        lua_pushliteral(L, "http");
        return 1;
    case F_VERSION:
        lua_pushstring(L, req->minor ? "1.1" : "1.0");
        return 1;
    case F_SESSION:
        lua_pushinteger(L, (lua_Integer)ex->session->id);
        return 1;
    case F_HEADERS:
        l_push_headers(L, req->fields, req->field_count);
        return keep(L);
    case F_QUERY:
        l_push_query(L, req->query);
        return keep(L);
    case F_COOKIES:
        l_push_cookies(L, req);
        return keep(L);
    case F_PARAMS:
        push_params(L, r);
        return keep(L);
    }
    return 0;
}

/* Upvalue 1: the table of methods, in which the fields stand as numbers. */
int l_request_index(lua_State *L)
{
    struct l_request *r = lua_touserdata(L, 1);
    if (lua_getiuservalue(L, 1, 1) == LUA_TTABLE) {
        lua_pushvalue(L, 2);
        lua_rawget(L, -2);
        if (!lua_isnil(L, -1))
            return 1;
    }
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (lua_type(L, -1) != LUA_TNUMBER)
        return 1;
    if (!r->ex)
        return luaL_error(L, "this request is over");
    return push_field(L, r, (enum field)lua_tointeger(L, -1));
}

void l_request_name_fields(lua_State *L)
{
    static const struct {
        const char *name;
        enum field field;
    } fields[] = {{"method", F_METHOD},   {"path", F_PATH},       {"query_string", F_QUERY_STRING},
                  {"target", F_TARGET},   {"host", F_HOST},       {"peer", F_PEER},
                  {"headers", F_HEADERS}, {"params", F_PARAMS},   {"rest", F_REST},
                  {"scheme", F_SCHEME},   {"version", F_VERSION}, {"session", F_SESSION},
                  {"query", F_QUERY},     {"cookies", F_COOKIES}};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        lua_pushinteger(L, fields[i].field);
        lua_setfield(L, -2, fields[i].name);
    }
}

/* ---- Methods ---- */

/* req:header(name, value): a field of the answer. */
static int l_header(lua_State *L)
{
    struct l_request *r = l_check_request(L, 1);
    slice name = l_check_slice(L, 2), value = l_check_slice(L, 3);
    switch (exchange_add_field(r->ex, name, value)) {
    case 0:
        lua_settop(L, 1);
        return 1;
    case -EINVAL:
        return luaL_error(L,
                          "the header %s cannot be sent: it is no name, holds control characters, "
                          "or is the server's own",
                          name.p);
    case -EALREADY:
        return luaL_error(L, "the header %s comes too late: the answer has begun", name.p);
    default:
        return luaL_error(L, "the headers of the answer are too large");
    }
}

static int l_start(lua_State *L)
{
    struct l_request *r = l_check_request(L, 1);
    lua_Integer status = luaL_optinteger(L, 2, 200);
    luaL_argcheck(L, status >= 200 && status <= 599, 2, "a status is a number from 200 to 599");
    if (r->ex->has_begun)
        return luaL_error(L, "the answer has begun already");
    if (!lua_isnoneornil(L, 3))
        l_reply_fields(L, r->ex, 3);
    if (!exchange_begin(r->ex, (int)status, SLICE(""), -1))
        return luaL_error(L, "not enough memory");
    lua_settop(L, 1);
    return 1;
}

static int wrote(lua_State *L, int status, lua_KContext ctx)
{
    struct l_request *r = lua_touserdata(L, 1);
    if (!r->ex)
        return l_fail(L, "the client is gone");
    lua_settop(L, 1);
    return 1;
}

static int l_write(lua_State *L)
{
    struct l_request *r = l_check_object(L, 1, META_REQUEST, "request");
    if (!r->ex)
        return l_fail(L, "the client is gone");
    if (!r->ex->has_begun &&
        !exchange_begin(r->ex, 200, SLICE("Content-Type: text/plain; charset=utf-8\r\n"), -1))
        return luaL_error(L, "not enough memory");
    int top = lua_gettop(L);
    for (int i = 2; i <= top; i++)
        if (!exchange_write(r->ex, l_check_slice(L, i)))
            return l_fail(L, "the client is gone");
    if (!stream_is_full(&r->ex->session->stream) || !r->task || r->task != l_task_current(L))
        return wrote(L, LUA_OK, 0);
    l_task_check_wait(L, "req:write");
    r->waits_for_room = true;
    return l_task_wait(L, NULL, NULL, wrote, 0);
}

static int l_is_open(lua_State *L)
{
    struct l_request *r = l_check_object(L, 1, META_REQUEST, "request");
    lua_pushboolean(L, r->ex && stream_is_open(&r->ex->session->stream));
    return 1;
}

const struct l_function l_request_field_rows[] = {
    {"req.method", NULL, ": string", "\"GET\", \"POST\" ..."},
    {"req.path", NULL, ": string",
     "The path, decoded and without \".\" and \"..\"; what a route has taken of it is still "
     "there."},
    {"req.query_string", NULL, ": string",
     "What stands behind the \"?\", as it was sent; \"\" without."},
    {"req.target", NULL, ": string", "The whole target as it was sent."},
    {"req.host", NULL, ": string",
     "The host that the client asks, with its port if it has sent one; \"\" when it has not sent "
     "any."},
    {"req.peer", NULL, ": string", "The client's address and port."},
    {"req.headers", NULL, ": table",
     "The fields of the head. Names count in any case, and \"_\" is \"-\": req.headers.user_agent. "
     "Several of one name are joined by \", \"."},
    {"req.params", NULL, ": table", "What the route's :names have taken."},
    {"req.rest", NULL, ": string", "What the route's final * has taken; \"\" without."},
    {"req.scheme", NULL, ": string", "\"http\"."},
    {"req.version", NULL, ": string", "\"1.1\" or \"1.0\"."},
    {"req.session", NULL, ": integer", "The number of the connection."},
};
const size_t l_request_field_row_count = COUNT_OF(l_request_field_rows);

const struct l_function l_request_methods[] = {
    {"req.query", NULL, "",
     "The names and values behind the \"?\", decoded: req.query.name. Of a name that is there "
     "several times the last counts."},
    {"req:query_all", l_request_query_all, "(name) -> list",
     "All values that the query has for a name, in their order."},
    {"req.cookies", NULL, "", "The cookies that came: req.cookies.name."},
    {"req:set_cookie", l_request_set_cookie, "(name, value, [options]) -> req",
     "Gives the client a cookie; a value of nil has it forgotten. Options: path (\"/\"), domain, "
     "max_age (a time; without: until the browser ends), "
     "http_only, secure, same_site (\"lax\", \"strict\", \"none\"), partitioned. Also in answers: "
     "cookies = {name = value or {value =, path =, ...}}."},
    {"req:body", l_request_body, "() -> string | nil, error",
     "The whole body; at most max_body bytes come.", true},
    {"req:form", l_request_form, "([options]) -> table | nil, error",
     "The fields of the HTML form that is the body: a string for each, an upload for a file. "
     "Options: max (1M, of all fields), uploads (a directory "
     "for files; without, they come as strings within max), max_file (64M), max_files (20), "
     "max_parts (1000), lists (true: every value is a list; "
     "else the last of a name counts). Files are removed when the request is over, unless "
     "upload:keep or upload:move_to took them.",
     true},
    {"req:read", l_request_read, "() -> string | nil",
     "The next piece of the body, nil at its end. The client waits while the function does not "
     "ask.",
     true},
    {"req:header", l_header, "(name, value) -> req",
     "Adds a field to the answer; several of one name are several fields."},
    {"req:start", l_start, "([status], [headers]) -> req",
     "Begins an answer whose body is written piece by piece."},
    {"req:write", l_write, "(text, ...) -> req | nil, error",
     "Sends a piece of the body; waits while the client takes less than it is given. nil when the "
     "client is gone.",
     true},
    {"req:events", l_request_events, "([options]) -> events",
     "Begins an answer of server-sent events (EventSource in browsers). Option keepalive (15s): "
     "after so long without an event a comment is sent. "
     "It is closed when the script is replaced or the server ends: clients come again by "
     "themselves."},
    {"req:is_open", l_is_open, "() -> boolean", "False when the client is known to be gone."},
};
const size_t l_request_method_count = COUNT_OF(l_request_methods);
