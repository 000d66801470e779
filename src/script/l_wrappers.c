/* l_wrappers: medusa.http.basic_auth and its kin. They are written in Lua (lua/wrappers.lua, which
 * the program carries as text), and run when a script looks for the first of them: until then they
 * cost a version nothing. What they cannot do themselves is here. */
#include "script/l_api.h"
#include "script/libs.h"

#include "wire/base64.h"

#define CHUNK_NAME      "=medusa:wrappers" /* what errors in them are called */
#define CREDENTIALS_MAX 1024

extern const char l_wrappers_text[];
extern const size_t l_wrappers_text_bytes;

/* ---- For wrappers.lua ---- */

/* credentials(header or nil) -> user, password, or nothing: RFC 7617. */
static int l_credentials(lua_State *L)
{
    slice header = l_opt_slice(L, 1);
    if (!slice_is_nocase(slice_head(header, 6), SLICE("Basic ")))
        return 0;
    slice text = slice_skip(header, 6);
    while (text.n && text.p[0] == ' ')
        text = slice_skip(text, 1);
    char room[CREDENTIALS_MAX];
    struct fmt f = fmt_on(room, sizeof room);
    if (!base64_read(text, BASE64, &f))
        return 0;
    slice both = fmt_done(&f);
    ssize_t colon = slice_find(both, ':');
    if (colon < 0)
        return 0;
    l_push_slice(L, slice_head(both, (size_t)colon));
    l_push_slice(L, slice_skip(both, (size_t)colon + 1));
    return 2;
}

/* equal(a, b): takes a time that depends on the length of [a] alone, which whoever asks knows. */
static int l_equal(lua_State *L)
{
    slice a = l_check_slice(L, 1), b = l_check_slice(L, 2);
    volatile unsigned char differs = a.n != b.n;
    for (size_t i = 0; i < a.n; i++) /* b.p[b.n] is 0: it is a string of Lua's */
        differs |= (unsigned char)a.p[i] ^ (unsigned char)b.p[i % (b.n + 1)];
    lua_pushboolean(L, !differs);
    return 1;
}

static int l_seconds(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)l_check_time(L, 1) / 1000);
    return 1;
}

/* refuse(text): an error at the place in the script that called into the wrappers. */
static int l_refuse(lua_State *L)
{
    lua_Debug ar;
    int level = 1;
    while (lua_getstack(L, level, &ar) && lua_getinfo(L, "S", &ar) &&
           (ar.what[0] == 'C' || !strcmp(ar.source, CHUNK_NAME)))
        level++;
    luaL_where(L, level);
    lua_pushvalue(L, 1);
    lua_concat(L, 2);
    return lua_error(L);
}

/* ---- Loading ---- */

const struct l_function l_wrapper_functions[] = {
    {"medusa.http.basic_auth", NULL,
     "{realm = TEXT, users = TABLE or FUNCTION}(handler) -> handler",
     "Asks for a name and a password (Basic, RFC 7617; they are readable on the wire without TLS). "
     "users is {name = \"password\"}, or function(name, password, req), "
     "which returns true for who may pass and may wait. The name is req.user then. realm is what "
     "the browser shows. Others get 401."},
    {"medusa.http.headers", NULL, "{[NAME] = VALUE, ...}(handler) -> handler",
     "Adds fields to each answer, error pages too. A value is a text, or a list of them for "
     "several fields of one name."},
    {"medusa.http.rate_limit", NULL,
     "{rate = COUNT, per = TIME, burst = COUNT, key = FUNCTION, keys = COUNT}(handler) -> handler",
     "At most rate requests per time (1s) for each key, burst of them at once (as many as rate); "
     "others get 429 with Retry-After. key is function(req), "
     "which returns a text, or nil for no limit; without it that is the client's address (of IPv6 "
     "the /64). At least the last keys / 2 of keys (20000) are "
     "remembered, until the script is loaded again."},
    {"medusa.http.logged", NULL, "(handler) -> handler",
     "A line in the log for each request: client, method, target, status (\"file\" when a handler "
     "object answers), milliseconds until the function returned, and req.user."},
    {"medusa.http.redirect", NULL, "(to, [status]) -> handler",
     "Answers with a redirect (302; or 301, 303, 307, 308). to is a URL or a path; a \"*\" at its "
     "end stands for what the pattern of the route left over, and "
     "the query is kept then: [\"/old/\"] = medusa.http.redirect(\"/new/*\", 308). Or "
     "function(req), which returns a URL."},
    {"medusa.http.vhosts", NULL, "{[HOST] = HANDLER, ...} -> handler",
     "A handler for each name of a host: \"a.org\", \"*.a.org\" (every host below it; the longest "
     "counts), \"*\" (all others; else they get 421). In "
     "routes, patterns that begin with \"//a.org/\" do the same for parts of a site."},
};
const size_t l_wrapper_function_count = COUNT_OF(l_wrapper_functions);

/* All of them become fields of the table at [at]. */
static void load_wrappers(lua_State *L, int at)
{
    static const luaL_Reg native[] = {{"credentials", l_credentials},
                                      {"equal", l_equal},
                                      {"seconds", l_seconds},
                                      {"refuse", l_refuse},
                                      {NULL, NULL}};
    if (luaL_loadbufferx(L, l_wrappers_text, l_wrappers_text_bytes, CHUNK_NAME, "t") != LUA_OK)
        lua_error(L);
    luaL_newlib(L, native);
    lua_call(L, 1, 1);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, at);
    }
    lua_pop(L, 1);
}

static bool is_wrapper(slice name)
{
    for (size_t i = 0; i < l_wrapper_function_count; i++)
        if (slice_has_suffix(slice_str(l_wrapper_functions[i].name), name) &&
            strlen(l_wrapper_functions[i].name) == sizeof "medusa.http." - 1 + name.n)
            return true;
    return false;
}

/* __index of medusa.http: a name that is not in it yet. */
static int find_wrapper(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_type(L, 2) != LUA_TSTRING || !is_wrapper(l_check_slice(L, 2)))
        return 0;
    load_wrappers(L, 1);
    lua_pushvalue(L, 2);
    lua_rawget(L, 1);
    return 1;
}

void l_open_wrappers(lua_State *L)
{
    lua_getfield(L, -1, "http");
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, find_wrapper);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
