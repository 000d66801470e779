/* l_shared: medusa.shared: keys with values and lists, of all units together. Channels are in
 * l_sub.c, the journal in l_shared_journal.c. */
#include "script/l_shared.h"
#include "script/host_store.h"
#include "script/l_api.h"
#include "script/l_value.h"
#include "script/libs.h"

#include <errno.h>
#include <math.h>

#define RANGE_MAX 100000

struct store *l_store_of(lua_State *L)
{
    struct host *host = version_of(L)->host;
    struct store *s = host_store(host);
    if (!s)
        luaL_error(L, host->is_stopping ? "the process is ending: there is no shared data any more"
                                        : "not enough memory");
    return s;
}

int l_fail_store(lua_State *L, int error)
{
    switch (error) {
    case -ENOSPC:
        return l_fail(L, "shared data has reached its limit (medusa.shared.limit)");
    case -ENOMEM:
        return l_fail(L, "there is not enough memory");
    case -EMSGSIZE:
        return l_fail(L, "too long: a key has at most 1024 bytes, a value 16 MiB");
    case -EPROTOTYPE:
        return l_fail(L, "this key holds another kind of value");
    case -ERANGE:
        return l_fail(L, "the result would be out of range");
    default:
        return l_fail_errno(L, error);
    }
}

static int push_boolean(lua_State *L, bool b)
{
    lua_pushboolean(L, b);
    return 1;
}

/* True when there was such a key, false when not. */
static int was_there(lua_State *L, int error)
{
    return error && error != -ENOENT ? l_fail_store(L, error) : push_boolean(L, error == 0);
}

/* ---- Single values ---- */

static int l_get(lua_State *L)
{
    struct store_value v;
    int error = store_get(l_store_of(L), l_check_slice(L, 1), &v);
    if (error == -EPROTOTYPE)
        return l_fail(L, "this key holds a list: ask by medusa.shared.range or index");
    if (error)
        lua_pushnil(L);
    else
        l_value_push(L, v);
    return 1;
}

struct set_options {
    int64_t ttl_ms;
    enum store_when when;
};

static void read_when(lua_State *L, int at, struct set_options *o)
{
    static const char *const names[] = {"absent", "present", NULL};
    lua_getfield(L, at, "only_if");
    if (!lua_isnil(L, -1))
        o->when = luaL_checkoption(L, -1, NULL, names) == 0 ? STORE_IF_ABSENT : STORE_IF_PRESENT;
    lua_pop(L, 1);
}

static struct set_options read_set_options(lua_State *L, int at)
{
    static const struct l_option rows[] = {
        {"ttl", OPTION_TIME, offsetof(struct set_options, ttl_ms), 1, STORE_TTL_MAX_MS,
         "how long it lives; without: until it is deleted"},
        {"only_if", OPTION_OTHER, 0, 0, 0, "\"absent\" or \"present\": else nothing is changed"},
    };
    struct set_options o = {.when = STORE_ALWAYS};
    if (lua_isnoneornil(L, at))
        return o;
    l_read_options(L, at, "medusa.shared.set", rows, COUNT_OF(rows), &o);
    read_when(L, at, &o);
    return o;
}

static int l_set(lua_State *L)
{
    slice key = l_check_slice(L, 1);
    luaL_checkany(L, 2);
    struct set_options o = read_set_options(L, 3);
    struct store *s = l_store_of(L);
    if (lua_isnil(L, 2)) {
        luaL_argcheck(L, lua_isnoneornil(L, 3), 3, "nil deletes the key: that knows no options");
        (void)store_del(s, key);
        return push_boolean(L, true);
    }
    struct l_value v;
    l_value_read(L, 2, &v);
    int error = v.is_too_large ? -EMSGSIZE : store_set(s, key, v.value, o.ttl_ms, o.when);
    if (error && error != -EEXIST && error != -ENOENT)
        return l_fail_store(L, error);
    return push_boolean(L, error == 0);
}

static int l_swap(lua_State *L)
{
    slice key = l_check_slice(L, 1);
    struct l_value old = {0}, new = {0};
    lua_settop(L, 3);
    bool has_old = !lua_isnil(L, 2), has_new = !lua_isnil(L, 3);
    if (has_old)
        l_value_read(L, 2, &old);
    if (has_new)
        l_value_read(L, 3, &new);
    int error = old.is_too_large || new.is_too_large
                    ? -EMSGSIZE
                    : store_swap(l_store_of(L), key, has_old ? &old.value : NULL,
                                 has_new ? &new.value : NULL);
    if (error && error != -ESTALE)
        return l_fail_store(L, error);
    return push_boolean(L, error == 0);
}

static int l_delete(lua_State *L)
{
    return push_boolean(L, store_del(l_store_of(L), l_check_slice(L, 1)));
}

static int l_exists(lua_State *L)
{
    return push_boolean(L, store_exists(l_store_of(L), l_check_slice(L, 1)));
}

static int incr_double(lua_State *L, struct store *s, slice key, double by)
{
    double result;
    int error = store_incr_double(s, key, by, &result);
    if (error == -EPROTOTYPE)
        return l_fail(L, "this key does not hold a number");
    if (error)
        return l_fail_store(L, error);
    lua_pushnumber(L, result);
    return 1;
}

static int l_incr(lua_State *L)
{
    slice key = l_check_slice(L, 1);
    if (lua_isnoneornil(L, 2)) {
        lua_settop(L, 1);
        lua_pushinteger(L, 1);
    }
    luaL_argcheck(L, lua_type(L, 2) == LUA_TNUMBER, 2, "a number is expected");
    struct store *s = l_store_of(L);
    if (!lua_isinteger(L, 2))
        return incr_double(L, s, key, lua_tonumber(L, 2));
    int64_t result;
    int error = store_incr(s, key, lua_tointeger(L, 2), &result);
    if (error == -EPROTOTYPE) /* a float? */
        return incr_double(L, s, key, (double)lua_tointeger(L, 2));
    if (error)
        return l_fail_store(L, error);
    lua_pushinteger(L, result);
    return 1;
}

/* ---- Time to live ---- */

static int l_expire(lua_State *L)
{
    slice key = l_check_slice(L, 1);
    return was_there(L, store_expire(l_store_of(L), key, l_check_time(L, 2)));
}

static int l_ttl(lua_State *L)
{
    int64_t ms;
    if (store_ttl(l_store_of(L), l_check_slice(L, 1), &ms))
        lua_pushnil(L);
    else
        lua_pushnumber(L, ms < 0 ? HUGE_VAL : (lua_Number)ms / 1000);
    return 1;
}

static int l_persist(lua_State *L)
{
    return was_there(L, store_persist(l_store_of(L), l_check_slice(L, 1)));
}

/* ---- Lists ---- */

static enum store_side check_side(lua_State *L, int at, const char *otherwise)
{
    static const char *const names[] = {"left", "right", NULL};
    return luaL_checkoption(L, at, otherwise, names) == 0 ? STORE_LEFT : STORE_RIGHT;
}

/* Places count from 1, as everywhere in Lua; from the end as in the store. */
static int64_t check_place(lua_State *L, int at, lua_Integer otherwise)
{
    lua_Integer place = luaL_optinteger(L, at, otherwise);
    luaL_argcheck(L, place != 0, at, "places count from 1, or from -1, the last");
    return place > 0 ? place - 1 : place;
}

static int l_push(lua_State *L)
{
    slice key = l_check_slice(L, 1);
    enum store_side side = check_side(L, 3, "right");
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "nil cannot be in a list");
    struct l_value v;
    size_t length;
    l_value_read(L, 2, &v);
    int error = v.is_too_large ? -EMSGSIZE : store_push(l_store_of(L), side, key, v.value, &length);
    if (error)
        return l_fail_store(L, error);
    lua_pushinteger(L, (lua_Integer)length);
    return 1;
}

/* nil when there is none: no error. */
static int push_found(lua_State *L, int error, struct store_value v)
{
    if (error && error != -ENOENT)
        return l_fail_store(L, error);
    if (error)
        lua_pushnil(L);
    else
        l_value_push(L, v);
    return 1;
}

static int l_pop(lua_State *L)
{
    slice key = l_check_slice(L, 1);
    struct store_value v = {0};
    int error = store_pop(l_store_of(L), check_side(L, 2, "left"), key, &v);
    return push_found(L, error, v);
}

static int l_length(lua_State *L)
{
    ssize_t n = store_length(l_store_of(L), l_check_slice(L, 1));
    if (n < 0)
        return l_fail_store(L, (int)n);
    lua_pushinteger(L, n);
    return 1;
}

static int l_index(lua_State *L)
{
    slice key = l_check_slice(L, 1);
    struct store_value v = {0};
    luaL_checkinteger(L, 2);
    int error = store_index(l_store_of(L), key, check_place(L, 2, 1), &v);
    return push_found(L, error, v);
}

/* One by one: what is pushed may collect, and what is collected may change the store. */
static int push_range(lua_State *L, struct store *s, slice key, int64_t first, int64_t last)
{
    struct store_value v;
    lua_newtable(L);
    for (int64_t at = first; at <= last && store_index(s, key, at, &v) == 0; at++) {
        l_value_push(L, v);
        lua_rawseti(L, -2, at - first + 1);
    }
    return 1;
}

static int l_range(lua_State *L)
{
    slice key = l_check_slice(L, 1);
    int64_t first = check_place(L, 2, 1), last = check_place(L, 3, -1);
    struct store *s = l_store_of(L);
    ssize_t n = store_length(s, key);
    if (n < 0)
        return l_fail_store(L, (int)n);
    first = MAX(first < 0 ? first + n : first, 0);
    last = MIN(last < 0 ? last + n : last, n - 1);
    if (last - first >= RANGE_MAX)
        return l_fail(L, "more than 100000 values are asked for: ask in parts");
    return push_range(L, s, key, first, last);
}

static int l_trim(lua_State *L)
{
    slice key = l_check_slice(L, 1);
    luaL_checkinteger(L, 2);
    return was_there(L,
                     store_trim(l_store_of(L), key, check_place(L, 2, 1), check_place(L, 3, -1)));
}

/* ---- All keys ---- */

/* Upvalues: the prefix, the key before. */
static int next_key(lua_State *L)
{
    slice key;
    if (!store_next(l_store_of(L), l_check_slice(L, lua_upvalueindex(1)),
                    l_opt_slice(L, lua_upvalueindex(2)), &key))
        return 0;
    l_push_slice(L, key);
    lua_pushvalue(L, -1);
    lua_replace(L, lua_upvalueindex(2));
    return 1;
}

static int l_keys(lua_State *L)
{
    l_push_slice(L, lua_isnoneornil(L, 1) ? SLICE("") : l_check_slice(L, 1));
    lua_pushnil(L);
    lua_pushcclosure(L, next_key, 2);
    return 1;
}

static int l_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)store_count(l_store_of(L)));
    return 1;
}

static int l_clear(lua_State *L)
{
    slice prefix = l_check_slice(L, 1);
    lua_pushinteger(L, (lua_Integer)store_clear(l_store_of(L), prefix));
    return 1;
}

static int l_limit(lua_State *L)
{
    struct version *v = version_of(L);
    uint64_t bytes = l_check_size(L, 1);
    if (!v->is_loading)
        return luaL_error(L, "medusa.shared.limit is said while the script is loaded, not later");
    v->shared_limit = bytes;
    v->has_shared_limit = true;
    return 0;
}

const struct l_function l_shared_functions[] = {
    {"medusa.shared.get", l_get, "(key) -> value | nil, [error]",
     "The value of a key, nil when there is none. Shared data belongs to the process: all units "
     "see the same, and it stays when a script is "
     "loaded again. Tables are copies: changing one does not change what is stored. Keys are "
     "strings of at most 1024 bytes, any bytes."},
    {"medusa.shared.set", l_set, "(key, value, [{ttl=, only_if=}]) -> boolean | nil, error",
     "Stores a boolean, integer, float, string or a table of these (copied, at most 16 MiB; "
     "medusa.json.null may stand in it) in place of "
     "what was there. ttl is a time after which it goes by itself. only_if = \"absent\" or "
     "\"present\": false when that is not so; nothing has "
     "changed then. nil as the value deletes the key."},
    {"medusa.shared.swap", l_swap, "(key, old, new) -> boolean | nil, error",
     "Stores new only if old is there now (compared by content, tables too; 1 and 1.0 differ); nil "
     "means no such key, for both. False: "
     "something else is there. The time to live stays."},
    {"medusa.shared.delete", l_delete, "(key) -> boolean", "False when there was no such key."},
    {"medusa.shared.exists", l_exists, "(key) -> boolean", "Is there a value or a list?"},
    {"medusa.shared.incr", l_incr, "(key, [by]) -> number | nil, error",
     "Adds by (1) to a number and returns the result; no key counts as 0. Integers stay integers "
     "and do not overflow; with a float the result is "
     "a float. The time to live stays."},
    {"medusa.shared.expire", l_expire, "(key, time) -> boolean | nil, error",
     "The key goes by itself that time from now (0: at once). False when there is no such key."},
    {"medusa.shared.ttl", l_ttl, "(key) -> seconds | nil",
     "How long the key will live: math.huge for ever; nil when there is none."},
    {"medusa.shared.persist", l_persist, "(key) -> boolean",
     "The key lives for ever. False when there is none."},
    {"medusa.shared.push", l_push, "(key, value, [side]) -> length | nil, error",
     "Appends to the list, which is made when there is none, on the side \"right\" (the end) or "
     "\"left\"."},
    {"medusa.shared.pop", l_pop, "(key, [side]) -> value | nil, [error]",
     "Takes a value off the list, from \"left\" (the beginning) or \"right\"; nil when there is "
     "none. A list that is empty is gone."},
    {"medusa.shared.length", l_length, "(key) -> count | nil, error",
     "Of a list; 0 when there is none."},
    {"medusa.shared.index", l_index, "(key, place) -> value | nil, [error]",
     "Places of a list count from 1, and from -1, which is the last."},
    {"medusa.shared.range", l_range, "(key, [from], [to]) -> values | nil, error",
     "The values of a list from one place to another, both included; without them all. At most "
     "100000 at once."},
    {"medusa.shared.trim", l_trim, "(key, from, [to]) -> boolean | nil, error",
     "Keeps only the values from one place to another. False when there is no such list."},
    {"medusa.shared.keys", l_keys, "([prefix]) -> iterator",
     "for key in medusa.shared.keys \"user:\" do ... end: in the order of their bytes. Anything "
     "may be changed meanwhile: a key that is there "
     "all the time comes exactly once."},
    {"medusa.shared.count", l_count, "() -> count", "How many keys there are."},
    {"medusa.shared.clear", l_clear, "(prefix) -> count",
     "Deletes all keys that begin with prefix (\"\": all); how many those were."},
    {"medusa.shared.limit", l_limit, "(size)",
     "While loading: most memory for shared data, \"256M\" if nothing is said, 0 = no limit but "
     "the process's. Beyond it changes are refused: "
     "nothing is dropped to make room."},
};
const size_t l_shared_function_count = COUNT_OF(l_shared_functions);

void l_open_shared(lua_State *L)
{
    lua_newtable(L);
    l_set_functions(L, l_shared_functions, l_shared_function_count);
    l_open_shared_journal(L);
    l_open_subs(L);
    lua_setfield(L, -2, "shared");
}
