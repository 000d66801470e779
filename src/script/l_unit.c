/* l_unit: units that scripts add, reload and remove: medusa.unit. */
#include "script/l_api.h"
#include "script/l_task.h"
#include "script/libs.h"

#define WHY_MAX 512

/* A load that a task waits for, on that task's stack. */
struct waiting {
    bool is_done, is_loaded;
    char why[WHY_MAX];
};

/* Between the load and whoever asked for it; freed when the load has ended. */
struct asked {
    struct host *host;
    struct l_task *task; /* NULL: nobody waits any more */
    struct waiting *waiting;
};

static void on_loaded(struct unit *unit, const char *error, void *owner)
{
    struct asked *asked = owner;
    struct l_task *t = asked->task;
    if (t) {
        asked->waiting->is_done = true;
        asked->waiting->is_loaded = !error;
        (void)snprintf(asked->waiting->why, WHY_MAX, "%s", error ? error : "");
    }
    mem_free(&asked->host->owner, asked, sizeof *asked);
    if (error && !unit->current)
        unit_remove(unit); /* a new one that did not come to be */
    if (t)
        l_task_wake(t);
}

static void forget(struct l_task *t, void *what)
{
    ((struct asked *)what)->task = NULL;
}

static int loaded(lua_State *L, int status, lua_KContext ctx)
{
    const struct waiting *w = lua_touserdata(L, -1);
    if (!w->is_loaded)
        return l_fail(L, w->why);
    lua_pushboolean(L, true);
    return 1;
}

static int load(lua_State *L, struct unit *unit)
{
    struct host *host = unit->host;
    l_task_check_wait(L, "loading a unit");
    struct waiting *w = lua_newuserdatauv(L, sizeof *w, 0);
    *w = (struct waiting){0};
    struct asked *asked = mem_alloc(&host->owner, sizeof *asked);
    if (!asked)
        return luaL_error(L, "not enough memory");
    *asked = (struct asked){.host = host, .task = l_task_current(L), .waiting = w};
    if (!unit_load(unit, on_loaded, asked)) {
        mem_free(&host->owner, asked, sizeof *asked);
        return l_fail(L, "another load of this unit is going on, or there is not enough memory");
    }
    return l_task_wait(L, forget, asked, loaded, 0);
}

static struct unit *check_unit(lua_State *L, int at)
{
    struct unit *unit = lua_isnoneornil(L, at)
                            ? version_of(L)->unit
                            : unit_find(version_of(L)->host, l_check_slice(L, at));
    if (!unit || unit->is_removed)
        luaL_error(L, "there is no unit %s", lua_tostring(L, at));
    return unit;
}

/* medusa.unit.add(name, path) */
static int l_add(lua_State *L)
{
    struct host *host = version_of(L)->host;
    slice name = l_check_slice(L, 1), path = l_check_slice(L, 2);
    luaL_argcheck(L, name.n > 0 && name.n < UNIT_NAME_MAX, 1,
                  "a name of 1 to 63 bytes is expected");
    luaL_argcheck(L, path.n > 0 && path.n < UNIT_PATH_MAX && !memchr(path.p, 0, path.n), 2,
                  "the path of a script is expected");
    l_task_check_wait(L, "medusa.unit.add");
    if (unit_find(host, name))
        return l_fail(L, "there is a unit of this name already");
    struct unit_limits limits;
    unit_limits_default(&limits);
    struct unit *unit = unit_new(host, name, path, &limits);
    return unit ? load(L, unit) : luaL_error(L, "not enough memory");
}

static int l_reload(lua_State *L)
{
    return load(L, check_unit(L, 1));
}

static int l_remove(lua_State *L)
{
    (void)l_check_slice(L, 1);
    unit_remove_later(check_unit(L, 1));
    return 0;
}

static int l_list(lua_State *L)
{
    struct host *host = version_of(L)->host;
    lua_newtable(L);
    LIST_EACH (n, &host->units) {
        const struct unit *unit = CONTAINER_OF(n, struct unit, link);
        if (unit->is_removed)
            continue;
        lua_createtable(L, 0, 5);
        lua_pushstring(L, unit->path);
        lua_setfield(L, -2, "path");
        lua_pushinteger(L, (lua_Integer)unit->heap.bytes);
        lua_setfield(L, -2, "heap");
        lua_pushinteger(L, (lua_Integer)unit->loads);
        lua_setfield(L, -2, "loads");
        lua_pushinteger(L, (lua_Integer)unit->errors);
        lua_setfield(L, -2, "errors");
        lua_pushinteger(L, unit->versions);
        lua_setfield(L, -2, "versions");
        lua_setfield(L, -2, unit->name);
    }
    return 1;
}

const struct l_function l_unit_functions[] = {
    {"medusa.unit.add", l_add, "(name, path) -> true | nil, error",
     "Loads the script at path as a unit of its own, beside this one: with a heap, servers and "
     "tasks of its own.",
     true},
    {"medusa.unit.reload", l_reload, "([name]) -> true | nil, error",
     "Loads a unit again (this one, without a name). If that fails nothing has changed.", true},
    {"medusa.unit.remove", l_remove, "(name)",
     "Ends a unit at the end of this turn: its servers stop, its tasks are cancelled."},
    {"medusa.unit.list", l_list, "() -> table",
     "The units by name: path, heap (bytes), loads, errors, versions (that are still in use)."},
};
const size_t l_unit_function_count = COUNT_OF(l_unit_functions);

void l_open_unit(lua_State *L)
{
    lua_newtable(L);
    l_set_functions(L, l_unit_functions, l_unit_function_count);
    lua_setfield(L, -2, "unit");
}
