/* l_base: Lua's own libraries as scripts see them.
 *
 * Left out is what would block or end the process (io, os.execute, os.exit), what could break Lua
 * itself (binary chunks, most of debug, finalizers: no hook can interrupt those), and package:
 * require is ours (l_include.c). */
#include "script/l_api.h"
#include "script/l_task.h"
#include "script/libs.h"

#include "base/log.h"

#include <lualib.h>

static void open_library(lua_State *L, const char *name, lua_CFunction open)
{
    luaL_requiref(L, name, open, 1);
    lua_pop(L, 1);
}

/* Keeps the named functions of a library, and drops all others. */
static void keep_only(lua_State *L, const char *library, const char *const *names)
{
    lua_getglobal(L, library);
    lua_newtable(L);
    for (; *names; names++) {
        lua_getfield(L, -2, *names);
        lua_setfield(L, -2, *names);
    }
    lua_setglobal(L, library);
    lua_pop(L, 1);
}

/* load(chunk, name, mode, env): text only. */
int l_load_text(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    const char *name = luaL_optstring(L, 2, "=(load)");
    bool has_env = !lua_isnone(L, 4);
    if (luaL_loadbufferx(L, text, n, name, "t") != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (has_env) {
        lua_pushvalue(L, 4);
        if (!lua_setupvalue(L, -2, 1))
            lua_pop(L, 1);
    }
    return 1;
}

/* setmetatable without __gc: a finalizer runs where no hook can stop it. */
int l_setmetatable_safely(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        lua_rawget(L, 2);
        if (!lua_isnil(L, -1))
            return luaL_error(
                L, "__gc is not available: use a <close> variable (local x <close> = ...)");
        lua_pop(L, 1);
    }
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int l_collectgarbage(lua_State *L)
{
    static const char *const options[] = {"collect", "count", "step", NULL};
    switch (luaL_checkoption(L, 1, "collect", options)) {
    case 0:
        lua_pushinteger(L, lua_gc(L, LUA_GCCOLLECT));
        break;
    case 1:
        lua_pushnumber(L, (lua_Number)version_of(L)->heap_bytes / 1024);
        break;
    default:
        lua_pushboolean(L, lua_gc(L, LUA_GCSTEP, (int)luaL_optinteger(L, 2, 0)));
    }
    return 1;
}

/* print goes to the log: standard output may be anything. */
static int l_print(lua_State *L)
{
    luaL_Buffer b;
    int n = lua_gettop(L);
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    struct version *v = version_of(L);
    char room[LOG_LINE_MAX];
    struct fmt f = fmt_on(room, sizeof room);
    log_escape(&f, slice_head(l_check_slice(L, -1), 200));
    log_line(v->host->log, LOG_NOTICE, "script.print", "%s: %.*s", v->unit->name,
             SLICE_ARGS(fmt_done(&f)));
    return 0;
}

static int refuse_dofile(lua_State *L)
{
    return luaL_error(
        L, "dofile and loadfile are not available: use medusa.include(path) or require(name)");
}

/* ---- What is not there says what is there instead ---- */

/* __index of io, package, os and debug: upvalue 1 is the library's name, 2 what to use. */
static int refuse_missing(lua_State *L)
{
    const char *library = lua_tostring(L, lua_upvalueindex(1));
    const char *instead = lua_tostring(L, lua_upvalueindex(2));
    return luaL_error(L, "%s.%s is not available to scripts: %s", library,
                      luaL_tolstring(L, 2, NULL), instead);
}

/* The global table [library], made when it is missing, refuses what it does not have. */
static void refuse_rest(lua_State *L, const char *library, const char *instead)
{
    if (lua_getglobal(L, library) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setglobal(L, library);
    }
    lua_createtable(L, 0, 1);
    lua_pushstring(L, library);
    lua_pushstring(L, instead);
    lua_pushcclosure(L, refuse_missing, 2);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

static void explain_what_is_missing(lua_State *L)
{
    refuse_rest(L, "io", "it would hold up all clients; use medusa.files(path), or medusa.work");
    refuse_rest(L, LUA_OSLIBNAME, "use medusa.files(path), or medusa.work for what blocks");
    refuse_rest(L, LUA_DBLIBNAME, "only debug.traceback is");
    refuse_rest(L, "package", "use require \"name\" for a file beside the script");
}

static void replace_globals(lua_State *L)
{
    static const luaL_Reg ours[] = {{"load", l_load_text},
                                    {"setmetatable", l_setmetatable_safely},
                                    {"collectgarbage", l_collectgarbage},
                                    {"print", l_print},
                                    {"dofile", refuse_dofile},
                                    {"loadfile", refuse_dofile},
                                    {NULL, NULL}};
    lua_pushglobaltable(L);
    luaL_setfuncs(L, ours, 0);
    lua_pop(L, 1);
}

void l_open_base(lua_State *L)
{
    static const char *const os_names[] = {"clock", "date", "difftime", "getenv", "time", NULL};
    static const char *const debug_names[] = {"traceback", NULL};
    open_library(L, LUA_GNAME, luaopen_base);
    open_library(L, LUA_TABLIBNAME, luaopen_table);
    open_library(L, LUA_STRLIBNAME, luaopen_string);
    open_library(L, LUA_MATHLIBNAME, luaopen_math);
    open_library(L, LUA_UTF8LIBNAME, luaopen_utf8);
    open_library(L, LUA_COLIBNAME, luaopen_coroutine);
    open_library(L, LUA_OSLIBNAME, luaopen_os);
    open_library(L, LUA_DBLIBNAME, luaopen_debug);
    keep_only(L, LUA_OSLIBNAME, os_names);
    keep_only(L, LUA_DBLIBNAME, debug_names);
    lua_pushstring(L, "dump"); /* its result could not be loaded again */
    lua_getglobal(L, LUA_STRLIBNAME);
    lua_insert(L, -2);
    lua_pushnil(L);
    lua_settable(L, -3);
    lua_pop(L, 1);
    replace_globals(L);
    explain_what_is_missing(L);
    lua_gc(L, LUA_GCGEN, 0, 0);
}
