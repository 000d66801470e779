/* l_client: medusa.http.get, request and open: requests to other servers. */
#include "script/fetch.h"
#include "script/http_unit.h"
#include "script/l_task.h"
#include "script/libs.h"
#include "script/proxy.h"

/* The userdata of medusa.http.open. Its value: the table {status, headers}. */
struct l_response {
    struct l_link *link;
    bool is_read; /* to its end, without an error */
};

/* ---- What is asked ---- */

struct client_options {
    int64_t timeout, connect_timeout;
    uint64_t redirects, max_body;
};

#define AT(member) offsetof(struct client_options, member)

static const struct l_option options[] = {
    {"url", OPTION_OTHER, 0, 0, 0,
     "\"http://host[:port]/path\", or \"unix:/path/of/socket:/path\""},
    {"method", OPTION_OTHER, 0, 0, 0, "GET"},
    {"headers", OPTION_OTHER, 0, 0, 0, "{Name = value, or a list of values}"},
    {"body", OPTION_OTHER, 0, 0, 0, "text to send"},
    {"json", OPTION_OTHER, 0, 0, 0, "a value to send as JSON, instead of body"},
    {"timeout", OPTION_TIME, AT(timeout), 1, 86400000,
     "longest time for everything; of open: for the head, and between two pieces (30s)"},
    {"connect_timeout", OPTION_TIME, AT(connect_timeout), 1, 86400000,
     "longest time until the connection is there (10s)"},
    {"redirects", OPTION_COUNT, AT(redirects), 0, 20,
     "how many are followed, with GET and HEAD (5; open: 0)"},
    {"max_body", OPTION_SIZE, AT(max_body), 0, 0, "largest body of the answer (16M; open: 0, any)"},
};

static void add_field(lua_State *L, struct fetch_spec *spec, slice name, int at)
{
    if (!lua_isstring(L, at))
        luaL_error(L, "the header %s must be a string or a list of strings", name.p);
    if (spec->field_count == FETCH_FIELDS_MAX)
        luaL_error(L, "a request has at most %d headers", FETCH_FIELDS_MAX);
    size_t n;
    const char *p = lua_tolstring(L, at, &n);
    spec->fields[spec->field_count++] = (struct http_field){.name = name, .value = slice_of(p, n)};
}

/* The value on the top. A number becomes a string of the stack, which stays there; so do all
 * values. */
static void add_values(lua_State *L, struct fetch_spec *spec, slice name)
{
    if (!lua_istable(L, -1)) {
        add_field(L, spec, name, -1);
        return;
    }
    int list = lua_gettop(L);
    lua_Integer count = luaL_len(L, list);
    for (lua_Integer i = 1; i <= count; i++) {
        luaL_checkstack(L, 8, "too many headers");
        lua_rawgeti(L, list, i);
        add_field(L, spec, name, -1);
    }
}

static void read_headers(lua_State *L, struct fetch_spec *spec, int at)
{
    if (lua_getfield(L, at, "headers") == LUA_TNIL)
        return;
    if (!lua_istable(L, -1))
        luaL_error(L, "headers: a table is expected: {[\"X-Name\"] = \"value\"}, not %s",
                   luaL_typename(L, -1));
    int headers = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, headers)) {
        luaL_checkstack(L, 8, "too many headers");
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "headers: each has a name: {[\"X-Name\"] = \"value\"}");
        int key = lua_gettop(L) - 1;
        add_values(L, spec, l_check_slice(L, key));
        lua_pushvalue(L, key); /* the values stay below it */
    }
}

static bool has_type(const struct fetch_spec *spec)
{
    for (unsigned i = 0; i < spec->field_count; i++)
        if (slice_is_nocase(spec->fields[i].name, SLICE("content-type")))
            return true;
    return false;
}

static slice read_text(lua_State *L, int at, const char *name)
{
    int type = lua_getfield(L, at, name);
    if (type == LUA_TNIL)
        return slice_of(NULL, 0);
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
        luaL_error(L, "%s: a string is expected, not %s", name, luaL_typename(L, -1));
    return l_check_slice(L, -1);
}

static void read_body(lua_State *L, struct fetch_spec *spec, int at)
{
    spec->body = read_text(L, at, "body");
    if (lua_getfield(L, at, "json") == LUA_TNIL)
        return;
    if (spec->body.p)
        luaL_error(L, "body or json, not both");
    l_json_push(L, -1);
    spec->body = l_check_slice(L, -1);
    if (!has_type(spec) && spec->field_count < FETCH_FIELDS_MAX)
        spec->fields[spec->field_count++] =
            (struct http_field){.name = SLICE("Content-Type"), .value = SLICE("application/json")};
}

/* From the table at [at]; the slices are of strings that stay on the stack, or in it. */
static void read_spec(lua_State *L, int at, const char *what, struct fetch_spec *spec)
{
    struct client_options o = {.timeout = spec->timeout_ms,
                               .connect_timeout = spec->connect_ms,
                               .redirects = spec->redirects,
                               .max_body = spec->max_body};
    l_read_options(L, at, what, options, COUNT_OF(options), &o);
    spec->timeout_ms = o.timeout;
    spec->connect_ms = o.connect_timeout;
    spec->redirects = o.redirects;
    spec->max_body = o.max_body;
    slice method = read_text(L, at, "method");
    if (method.p)
        spec->method = method;
    read_headers(L, spec, at);
    read_body(L, spec, at);
}

static struct fetch_spec default_spec(bool is_streamed)
{
    return (struct fetch_spec){.method = SLICE("GET"),
                               .timeout_ms = 30000,
                               .connect_ms = 10000,
                               .redirects = is_streamed ? 0 : 5,
                               .max_body = is_streamed ? 0 : 16 * MIB,
                               .is_streamed = is_streamed};
}

/* ---- Asking ---- */

static void cancel(struct l_task *t, void *what)
{
    fetch_free(what);
}

/* Pushes the userdata, and waits; k finds it at index ctx. */
static int ask(lua_State *L, const struct fetch_spec *spec, enum fetch_wait wait, lua_KFunction k)
{
    struct l_response *response = l_new_object(L, META_RESPONSE, sizeof *response, 1);
    response->link = l_link_new(L, NULL);
    const char *why;
    struct fetch *f = fetch_new(version_of(L), spec, response->link, &why);
    if (!f)
        return l_fail(L, why);
    fetch_wait(f, l_task_current(L), wait);
    return l_task_wait(L, cancel, f, k, lua_gettop(L));
}

/* Pushes {status = , headers = }. */
static void push_head(lua_State *L, const struct fetch *f)
{
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, f->status);
    lua_setfield(L, -2, "status");
    l_push_headers(L, f->fields, f->field_count);
    lua_setfield(L, -2, "headers");
}

static int fail(lua_State *L, struct fetch *f)
{
    if (!f)
        return l_fail(L, "closed");
    lua_pushnil(L);
    lua_pushstring(L, fetch_error(f));
    fetch_free(f);
    return 2;
}

static int answered(lua_State *L, int status, lua_KContext at)
{
    struct fetch *f = l_link_object(lua_touserdata(L, (int)at));
    if (!f || fetch_error(f))
        return fail(L, f);
    push_head(L, f);
    l_push_slice(L, f->data);
    lua_setfield(L, -2, "body");
    fetch_free(f);
    return 1;
}

static int l_get(lua_State *L)
{
    struct fetch_spec spec = default_spec(false);
    spec.url = l_check_slice(L, 1);
    l_task_check_wait(L, "medusa.http.get");
    lua_settop(L, 2);
    if (!lua_isnil(L, 2))
        read_spec(L, 2, "medusa.http.get", &spec);
    return ask(L, &spec, FETCH_END, answered);
}

static void read_whole(lua_State *L, const char *what, struct fetch_spec *spec)
{
    l_task_check_wait(L, what);
    lua_settop(L, 1);
    read_spec(L, 1, what, spec);
    spec->url = read_text(L, 1, "url");
    if (!spec->url.p)
        luaL_error(L, "%s: url is missing", what);
}

static int l_http_request(lua_State *L)
{
    struct fetch_spec spec = default_spec(false);
    read_whole(L, "medusa.http.request", &spec);
    return ask(L, &spec, FETCH_END, answered);
}

static int opened(lua_State *L, int status, lua_KContext at)
{
    struct fetch *f = l_link_object(lua_touserdata(L, (int)at));
    if (!f || fetch_error(f))
        return fail(L, f);
    push_head(L, f);
    lua_setiuservalue(L, (int)at, 1);
    lua_settop(L, (int)at);
    return 1;
}

static int l_http_open(lua_State *L)
{
    struct fetch_spec spec = default_spec(true);
    read_whole(L, "medusa.http.open", &spec);
    return ask(L, &spec, FETCH_HEAD, opened);
}

/* ---- Responses that are read piece by piece ---- */

static struct l_response *check_response(lua_State *L)
{
    return l_check_object(L, 1, META_RESPONSE, "response");
}

static void cancel_read(struct l_task *t, void *what)
{
    struct fetch *f = l_link_object(what);
    if (f && f->task == t)
        f->task = NULL;
}

static int read_piece(lua_State *L, int status, lua_KContext ctx)
{
    struct l_response *response = lua_touserdata(L, 1);
    struct fetch *f = l_link_object(response);
    lua_settop(L, 1);
    lua_pushnil(L);
    if (response->is_read)
        return 1;
    if (f && f->data.n) {
        l_push_slice(L, f->data);
        fetch_taken(f);
        return 1;
    }
    if (!f || fetch_error(f))
        return fail(L, f);
    if (f->has_ended) {
        response->is_read = true;
        fetch_free(f);
        return 1;
    }
    l_task_check_wait(L, "reading a response");
    if (f->task)
        return luaL_error(L, "another task is reading this response already");
    fetch_wait(f, l_task_current(L), FETCH_DATA);
    return l_task_wait(L, cancel_read, response, read_piece, 0);
}

static int l_read(lua_State *L)
{
    (void)check_response(L);
    return read_piece(L, LUA_OK, 0);
}

static int l_close(lua_State *L)
{
    struct l_response *response = check_response(L);
    struct fetch *f = l_link_object(response);
    struct l_task *reader = f ? f->task : NULL;
    if (f)
        fetch_free(f);
    if (reader)
        l_task_wake(reader);
    return 0;
}

static int collect(lua_State *L)
{
    struct l_response *response = lua_touserdata(L, 1);
    struct fetch *f = l_link_drop(&response->link);
    if (f)
        fetch_free(f);
    return 0;
}

/* ---- medusa.http.proxy ---- */

struct proxy_options {
    int64_t timeout, connect_timeout;
    bool keep_host;
};

static const struct l_option proxy_options[] = {
    {"timeout", OPTION_TIME, offsetof(struct proxy_options, timeout), 1, 86400000,
     "longest wait for the head of the answer, and between two pieces of it (60s): 504"},
    {"connect_timeout", OPTION_TIME, offsetof(struct proxy_options, connect_timeout), 1, 86400000,
     "longest time until the connection is there (10s): 504"},
    {"keep_host", OPTION_BOOL, offsetof(struct proxy_options, keep_host), 0, 0,
     "the other server is told the client's Host, not that of the URL (false)"},
};

static int l_proxy(lua_State *L)
{
    struct proxy_options o = {.timeout = 60000, .connect_timeout = 10000};
    slice text = l_check_slice(L, 1);
    lua_settop(L, 2);
    if (!lua_isnil(L, 2))
        l_read_options(L, 2, "medusa.http.proxy", proxy_options, COUNT_OF(proxy_options), &o);
    struct proxy *p = lua_newuserdatauv(L, sizeof *p + text.n, 0);
    const char *why;
    *p = (struct proxy){.handler.ops = &proxy_ops,
                        .host = version_of(L)->host,
                        .timeout_ms = o.timeout,
                        .connect_ms = o.connect_timeout,
                        .keeps_host = o.keep_host};
    memcpy(p + 1, text.p, text.n);
    if (!url_parse(slice_of(p + 1, text.n), &p->url, &why))
        return luaL_error(L, "medusa.http.proxy: \"%s\": %s", text.p, why);
    if (p->url.scheme == URL_HTTPS || slice_find(p->url.target, '?') >= 0)
        return luaL_error(
            L, "medusa.http.proxy: \"%s\": http:// or unix: without a query is expected", text.p);
    (void)luaL_ref(L, LUA_REGISTRYINDEX); /* lives as long as the version */
    l_push_handler(L, &p->handler);
    return 1;
}

const struct l_function l_client_functions[] = {
    {"medusa.http.get", l_get, "(url, [options]) -> {status, headers, body} | nil, error",
     "Asks another server. The names in headers are in any case, as in req.headers. A status of "
     "400 or more is an answer, not an error. "
     "Options: see medusa.http.request.",
     true},
    {"medusa.http.request", l_http_request,
     "{url = URL, ...} -> {status, headers, body} | nil, error",
     "The same with method (GET), headers, body or json, timeout for everything (30s), "
     "connect_timeout (10s), redirects (5), "
     "max_body (16M). Connections are kept for the next request to the same server. No https yet.",
     true},
    {"medusa.http.open", l_http_open, "{url = URL, ...} -> response | nil, error",
     "The same for an answer that is read piece by piece: returns when its head has come. timeout "
     "is for the head and between two "
     "pieces; redirects are not followed and bodies may be of any size, unless redirects and "
     "max_body say otherwise.",
     true},
    {"medusa.http.proxy", l_proxy, "(url, [options]) -> handler",
     "A handler that hands requests on to another server: its path, if any, and then the "
     "request's. Both bodies are streamed. "
     "X-Forwarded-For and X-Forwarded-Host are added. 502 and 504 when the other server fails. "
     "Options: timeout (60s), "
     "connect_timeout (10s), keep_host (false)."},
};
const size_t l_client_function_count = COUNT_OF(l_client_functions);

const struct l_function l_response_methods[] = {
    {"response:read", l_read, "() -> bytes | nil, error",
     "The next piece of the body; nil at its end. Who reads slowly makes the other server wait.",
     true},
    {"response:close", l_close, "()",
     "Ends it early. Forgetting the response does the same, later."},
    {"response.status", NULL, "", "200, 404, ..."},
    {"response.headers", NULL, "", "The fields of the answer, their names in any case."},
};
const size_t l_response_method_count = COUNT_OF(l_response_methods);

void l_open_client(lua_State *L)
{
    const struct l_class class = {.meta = META_RESPONSE,
                                  .name = "response",
                                  .methods = l_response_methods,
                                  .count = COUNT_OF(l_response_methods),
                                  .index = l_index_own,
                                  .gc = collect};
    l_make_meta(L, &class);
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[META_RESPONSE]);
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
    lua_getfield(L, -1, "http");
    l_set_functions(L, l_client_functions, COUNT_OF(l_client_functions));
    lua_pop(L, 1);
}
