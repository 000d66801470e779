/* l_api: rows into functions, tables into structs. */
#include "script/l_api.h"

#include "base/near.h"
#include "base/num.h"

#include <math.h>

/* ---- Functions and objects ---- */

static const char *last_part(const char *name)
{
    for (const char *p = name; *p; p++)
        if (*p == '.' || *p == ':')
            name = p + 1;
    return name;
}

void l_set_functions(lua_State *L, const struct l_function *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].call)
            continue;
        lua_pushcfunction(L, rows[i].call);
        lua_setfield(L, -2, last_part(rows[i].name));
    }
}

void l_make_meta(lua_State *L, const struct l_class *c)
{
    lua_createtable(L, 0, 6);
    lua_pushstring(L, c->name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false); /* getmetatable(object): scripts cannot reach this table */
    lua_setfield(L, -2, "__metatable");
    lua_createtable(L, 0, (int)c->count);
    l_set_functions(L, c->methods, c->count);
    if (c->index)
        lua_pushcclosure(L, c->index, 1);
    lua_setfield(L, -2, "__index");
    if (c->gc) {
        lua_pushcfunction(L, c->gc);
        lua_setfield(L, -2, "__gc");
    }
    version_of(L)->meta[c->meta] = luaL_ref(L, LUA_REGISTRYINDEX);
}

int l_index_own(lua_State *L)
{
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (!lua_isnil(L, -1) || lua_getiuservalue(L, 1, 1) != LUA_TTABLE)
        return 1;
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
}

void *l_new_object(lua_State *L, enum l_meta meta, size_t bytes, int user_values)
{
    void *p = lua_newuserdatauv(L, bytes, user_values);
    memset(p, 0, bytes);
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[meta]);
    lua_setmetatable(L, -2);
    return p;
}

void *l_test_object(lua_State *L, int at, enum l_meta meta)
{
    void *p = lua_touserdata(L, at);
    if (!p || !lua_getmetatable(L, at))
        return NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[meta]);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? p : NULL;
}

void *l_check_object(lua_State *L, int at, enum l_meta meta, const char *name)
{
    void *p = l_test_object(L, at, meta);
    if (!p)
        luaL_typeerror(L, at, name);
    return p;
}

/* ---- Arguments ---- */

slice l_check_slice(lua_State *L, int at)
{
    size_t n;
    const char *p = luaL_checklstring(L, at, &n);
    return slice_of(p, n);
}

slice l_opt_slice(lua_State *L, int at)
{
    return lua_isnoneornil(L, at) ? slice_of(NULL, 0) : l_check_slice(L, at);
}

void l_push_slice(lua_State *L, slice s)
{
    lua_pushlstring(L, s.n ? s.p : "", s.n);
}

/* Longer times are mistakes, and would not fit the wheel. */
#define TIME_MAX_MS ((int64_t)100 * 365 * 86400 * 1000)

static bool time_of(lua_State *L, int at, int64_t *ms)
{
    if (lua_type(L, at) == LUA_TNUMBER) {
        double seconds = lua_tonumber(L, at);
        if (!(seconds >= 0 && seconds <= (double)(TIME_MAX_MS / 1000)))
            return false;
        *ms = (int64_t)ceil(seconds * 1000);
        return true;
    }
    size_t n;
    const char *p = lua_type(L, at) == LUA_TSTRING ? lua_tolstring(L, at, &n) : NULL;
    return p && num_duration(slice_of(p, n), ms) && *ms <= TIME_MAX_MS;
}

static bool size_of(lua_State *L, int at, uint64_t *bytes)
{
    if (lua_isinteger(L, at) || lua_type(L, at) == LUA_TNUMBER) {
        int is_number;
        lua_Integer n = lua_tointegerx(L, at, &is_number);
        *bytes = (uint64_t)n;
        return is_number && n >= 0;
    }
    size_t n;
    const char *p = lua_type(L, at) == LUA_TSTRING ? lua_tolstring(L, at, &n) : NULL;
    return p && num_size(slice_of(p, n), bytes);
}

int64_t l_check_time(lua_State *L, int at)
{
    int64_t ms;
    if (!time_of(L, at, &ms))
        luaL_argerror(L, at, "a time is expected: seconds (1.5), or text like \"500ms\", \"2m\"");
    return ms;
}

uint64_t l_check_size(lua_State *L, int at)
{
    uint64_t bytes;
    if (!size_of(L, at, &bytes))
        luaL_argerror(L, at, "a size is expected: bytes (4096), or text like \"64K\", \"2M\"");
    return bytes;
}

int l_fail(lua_State *L, const char *message)
{
    lua_pushnil(L);
    lua_pushstring(L, message);
    return 2;
}

int l_fail_errno(lua_State *L, int error)
{
    return l_fail(L, strerror(error < 0 ? -error : error));
}

void l_where(lua_State *L, char *out, size_t bytes)
{
    luaL_where(L, 1);
    slice where = l_check_slice(L, -1);
    if (slice_has_suffix(where, SLICE(": ")))
        where.n -= 2;
    (void)snprintf(out, bytes, "%.*s", (int)MIN(where.n, bytes - 1), where.p);
    lua_pop(L, 1);
}

/* ---- Options ---- */

#define OPTIONS_MAX 64

static void refuse_unknown(lua_State *L, const char *what, const struct l_option *rows,
                           size_t count)
{
    if (lua_type(L, -2) != LUA_TSTRING)
        luaL_error(L, "%s: there is no option [%s]; its options have names", what,
                   luaL_tolstring(L, -2, NULL));
    slice names[OPTIONS_MAX];
    for (size_t i = 0; i < count; i++)
        names[i] = slice_str(rows[i].name);
    const char *typed = lua_tostring(L, -2);
    int near = near_word(slice_str(typed), names, count);
    if (near >= 0)
        luaL_error(L, "%s: %s: did you mean %s?", what, typed, rows[near].name);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < count; i++) {
        luaL_addstring(&b, i ? ", " : "");
        luaL_addstring(&b, rows[i].name);
    }
    luaL_pushresult(&b);
    luaL_error(L, "%s: there is no option %s; there are: %s", what, typed, lua_tostring(L, -1));
}

static void wrong(lua_State *L, const char *what, const struct l_option *row, const char *expected)
{
    luaL_error(L, "%s: %s: %s is expected, not %s", what, row->name, expected,
               luaL_tolstring(L, -1, NULL));
}

/* The value stands on the top of the stack. */
static void set_option(lua_State *L, const char *what, const struct l_option *row, char *into)
{
    uint64_t number = 0;
    int64_t ms = 0;
    switch (row->kind) {
    case OPTION_BOOL:
        if (!lua_isboolean(L, -1))
            wrong(L, what, row, "true or false");
        *(bool *)(into + row->at) = lua_toboolean(L, -1);
        return;
    case OPTION_TIME:
        if (!time_of(L, -1, &ms))
            wrong(L, what, row, "a time (seconds, or text like \"500ms\", \"2m\")");
        *(int64_t *)(into + row->at) = ms;
        number = (uint64_t)ms;
        break;
    case OPTION_SIZE:
    case OPTION_COUNT:
        if (!size_of(L, -1, &number))
            wrong(L, what, row,
                  row->kind == OPTION_SIZE ? "a size (bytes, or text like \"64K\")"
                                           : "a whole number");
        *(uint64_t *)(into + row->at) = number;
        break;
    case OPTION_OTHER:
        return;
    }
    if (row->max && (number < row->min || number > row->max))
        luaL_error(L, "%s: %s must lie between %I and %I", what, row->name, (lua_Integer)row->min,
                   (lua_Integer)row->max);
}

static const struct l_option *find(lua_State *L, const struct l_option *rows, size_t count)
{
    if (lua_type(L, -2) != LUA_TSTRING)
        return NULL;
    slice name = slice_str(lua_tostring(L, -2));
    for (size_t i = 0; i < count; i++)
        if (slice_is(name, slice_str(rows[i].name)))
            return &rows[i];
    return NULL;
}

void l_read_options(lua_State *L, int index, const char *what, const struct l_option *rows,
                    size_t count, void *into)
{
    index = lua_absindex(L, index);
    if (!lua_istable(L, index))
        luaL_error(L, "%s: a table of options is expected, as in %s{...}", what, what);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        const struct l_option *row = find(L, rows, count);
        if (!row)
            refuse_unknown(L, what, rows, count);
        set_option(L, what, row, into);
        lua_pop(L, 1);
    }
}
