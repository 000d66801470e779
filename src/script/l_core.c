/* l_core: medusa.log, time, tasks and timers. */
#include "script/l_api.h"
#include "script/l_link.h"
#include "script/l_log.h"
#include "script/l_task.h"
#include "script/libs.h"

#include "base/check.h"
#include "loop/loop.h"

/* ---- The log ---- */

static int put_log(lua_State *L, enum log_level level)
{
    struct version *v = version_of(L);
    char room[LOG_LINE_MAX];
    struct fmt f = fmt_on(room, sizeof room);
    log_escape(&f, slice_head(l_check_slice(L, 1), 200));
    log_line(v->host->log, level, "script.log", "%s: %.*s", v->unit->name,
             SLICE_ARGS(fmt_done(&f)));
    return 0;
}

static int l_log_notice(lua_State *L)
{
    return put_log(L, LOG_NOTICE);
}

static int l_log_warning(lua_State *L)
{
    return put_log(L, LOG_WARNING);
}

/* ---- Time ---- */

static int64_t now_ms(lua_State *L)
{
    return loop_now_ms(version_of(L)->host->loop);
}

static int l_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)now_ms(L) / 1000);
    return 1;
}

static int l_time(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)loop_unix_ms(version_of(L)->host->loop) / 1000);
    return 1;
}

static int end_sleep(lua_State *L, int status, lua_KContext ctx)
{
    return 0;
}

static int l_sleep(lua_State *L)
{
    return l_task_wait_until(L, now_ms(L) + l_check_time(L, 1), NULL, NULL, end_sleep, 0);
}

/* ---- Background tasks ---- */

/* What a script holds of a task; the task may be over. */
struct l_handle {
    struct l_link *link;
};

static void on_background_done(struct l_task *t, const char *error)
{
    struct l_link *link = t->owner;
    l_link_cut(&link);
    if (error && !slice_is(slice_str(error), SLICE("cancelled")))
        l_log_error(t->version, "script.error", SLICE("background task"), error);
}

/* Leaves the handle on the stack. */
static struct l_task *new_background(lua_State *L)
{
    struct l_handle *handle = l_new_object(L, META_TASK, sizeof *handle, 0);
    handle->link = l_link_new(L, NULL);
    struct l_task *t = l_task_new(version_of(L));
    if (!t)
        luaL_error(L, "not enough memory");
    t->on_done = on_background_done;
    t->is_background = true;
    t->owner = handle->link;
    handle->link->object = t;
    return t;
}

static int l_spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    int nargs = lua_gettop(L) - 1;
    struct l_task *t = new_background(L);
    lua_insert(L, 1);
    l_task_post_call(t, L, nargs);
    return 1;
}

/* A timer's task: its stack holds the function (1), the period in ms (2) and whether it repeats
 * (3). */
static int wait_for_timer(lua_State *L);

static int traceback(lua_State *L)
{
    luaL_traceback(L, L, lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : luaL_typename(L, 1),
                   1);
    return 1;
}

static int after_timer(lua_State *L, int status, lua_KContext ctx)
{
    if (status != LUA_OK && status != LUA_YIELD)
        l_log_error(version_of(L), "script.error", SLICE("timer"), lua_tostring(L, -1));
    if (!lua_toboolean(L, 3))
        return 0;
    lua_settop(L, 3);
    return wait_for_timer(L);
}

static int on_timer(lua_State *L, int status, lua_KContext ctx)
{
    lua_settop(L, 3);
    lua_pushcfunction(L, traceback);
    lua_pushvalue(L, 1);
    return after_timer(L, lua_pcallk(L, 0, 0, 4, 0, after_timer), 0);
}

static int wait_for_timer(lua_State *L)
{
    return l_task_wait_until(L, now_ms(L) + lua_tointeger(L, 2), NULL, NULL, on_timer, 0);
}

static int make_timer(lua_State *L, bool repeats)
{
    int64_t ms = l_check_time(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_argcheck(L, !repeats || ms > 0, 1, "the period must be more than 0");
    struct l_task *t = new_background(L);
    lua_pushcfunction(L, wait_for_timer);
    lua_pushvalue(L, 2);
    lua_pushinteger(L, ms);
    lua_pushboolean(L, repeats);
    l_task_post_call(t, L, 3);
    return 1;
}

static int l_after(lua_State *L)
{
    return make_timer(L, false);
}

static int l_every(lua_State *L)
{
    return make_timer(L, true);
}

static int l_cancel(lua_State *L)
{
    struct l_task *t = l_link_object(l_check_object(L, 1, META_TASK, "medusa task"));
    if (t)
        l_task_kill(t);
    return 0;
}

static int l_is_running(lua_State *L)
{
    lua_pushboolean(L, l_link_object(l_check_object(L, 1, META_TASK, "medusa task")) != NULL);
    return 1;
}

static int collect_handle(lua_State *L)
{
    struct l_handle *handle = lua_touserdata(L, 1);
    (void)l_link_drop(&handle->link);
    return 0;
}

/* ---- Rows ---- */

const struct l_function l_core_functions[] = {
    {"medusa.log", l_log_notice, "(text)", "Writes a line to the log."},
    {"medusa.warn", l_log_warning, "(text)", "Writes a line to the log as a warning."},
    {"medusa.now", l_now, "() -> seconds",
     "Monotonic time in seconds, with milliseconds: for measuring."},
    {"medusa.time", l_time, "() -> seconds", "Seconds since 1970, with milliseconds."},
    {"medusa.sleep", l_sleep, "(time)",
     "Waits that long: seconds (0.5) or text (\"500ms\", \"2m\", \"1h\").", true},
    {"medusa.spawn", l_spawn, "(function, ...) -> task",
     "Runs function(...) as a task of its own, from the end of this turn on. It is ended when the "
     "script is replaced; an error in it is "
     "logged."},
    {"medusa.after", l_after, "(time, function) -> task",
     "Calls function() once, that time from now."},
    {"medusa.every", l_every, "(time, function) -> task",
     "Calls function() again and again, with that time between its end and its next call. An error "
     "is logged and does not stop it."},
};

const struct l_function l_task_methods[] = {
    {"task:cancel", l_cancel, "()",
     "Ends the task: it does not come back from where it waits; its <close> variables are closed."},
    {"task:is_running", l_is_running, "() -> boolean", "False when it has ended."},
};

const size_t l_core_count = COUNT_OF(l_core_functions),
             l_task_method_count = COUNT_OF(l_task_methods);

void l_open_core(lua_State *L)
{
    static const struct l_class class = {.meta = META_TASK,
                                         .name = "medusa task",
                                         .methods = l_task_methods,
                                         .count = COUNT_OF(l_task_methods),
                                         .gc = collect_handle};
    l_make_meta(L, &class);
    l_set_functions(L, l_core_functions, COUNT_OF(l_core_functions));
}
