/* l_task: coroutines on the loop.
 *
 *     NEW --start--> RUNNING --l_task_wait--> WAITING --wake--> RUNNING ... --returns--> IDLE
 *                     +--its slice is used up--> READY (goes on in the next turn)
 *
 * A finished coroutine is kept and used again: that saves its creation, which is dearer than all
 * the rest. */
#include "script/l_task.h"

#include "base/check.h"
#include "script/watchdog.h"

#include <errno.h>
#include <lauxlib.h>

#define PERIOD_MS  5  /* of the watchdog */
#define TURN_MS    20 /* all scripts together, before the clients of the rest have their turn */
#define STUCK_MS   30 /* code that cannot be interrupted (in table.sort, __close) may run so long */
#define TIME_IS_UP "time is up: this code ran too long without waiting"
#define IDLE_MAX   64 /* coroutines that a version keeps for later tasks */

enum state { IDLE, NEW, READY, WAITING, RUNNING };

static struct l_task *of_link(struct list_node *n)
{
    return CONTAINER_OF(n, struct l_task, link);
}

/* ---- Time ---- */

static void on_count(lua_State *L, lua_Debug *ar);

static void on_late(void *ctx)
{
    struct host *host = ctx;
    host->ticks++;
    lua_State *L = host->running_L;
    if (L)
        lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
}

static void make_ready(struct l_task *t)
{
    struct host *host = t->version->host;
    t->state = READY;
    list_push_back(&host->ready, &t->ready);
    loop_defer(host->loop, &host->run_ready);
}

/* The last word of a doomed task. It yields and is never resumed: no pcall can catch that. Where it
 * cannot yield (in table.sort's callback) an error brings it, sooner or later, to where it can: it
 * gets one at every instruction. */
static void end_doomed(lua_State *L, struct l_task *t)
{
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    if (!lua_isyieldable(L))
        luaL_error(L, "%s", t->used_ms ? TIME_IS_UP : "cancelled");
    t->state = WAITING;
    lua_yield(L, 0);
}

static bool has_spent_its_time(lua_State *L, struct l_task *t)
{
    const struct unit_limits *limits = &t->version->limits;
    uint32_t now_ms = t->version->host->ticks * PERIOD_MS;
    if (t->used_ms + now_ms < limits->run_ms && (lua_isyieldable(L) || now_ms < STUCK_MS))
        return false;
    t->used_ms += now_ms;
    t->version->host->ticks = 0;
    t->is_doomed = true;
    return true;
}

/* Called by Lua before an instruction, after on_late asked for it. */
static void on_count(lua_State *L, lua_Debug *ar)
{
    struct l_task *t = version_of(L)->host->running;
    if (t && (t->is_doomed || has_spent_its_time(L, t))) {
        end_doomed(L, t);
        return;
    }
    lua_sethook(L, NULL, 0, 0);
    if (!t || !lua_isyieldable(L) ||
        t->version->host->ticks * PERIOD_MS < t->version->limits.slice_ms)
        return;
    make_ready(t);
    lua_yield(L, 0);
}

static void enter(struct l_task *t)
{
    struct host *host = t->version->host;
    BUG_ON(host->running);
    host->running = t;
    host->ticks = 0;
    t->state = RUNNING;
    host->running_L = t->co;
    watchdog_enter(host->watchdog);
}

static void leave(struct l_task *t)
{
    struct host *host = t->version->host;
    watchdog_leave(host->watchdog);
    host->running_L = NULL;
    host->running = NULL;
    if (t->is_doomed)
        return;
    t->used_ms = t->state == WAITING ? 0 : t->used_ms + host->ticks * PERIOD_MS;
}

/* ---- Making and ending ---- */

static void on_timeout(struct timeout *timeout)
{
    l_task_wake(CONTAINER_OF(timeout, struct l_task, timeout));
}

static int make_coroutine(lua_State *L)
{
    struct l_task *t = lua_touserdata(L, 1);
    t->co = lua_newthread(L);
    version_mark_waiting(t->co, true); /* for ever: only the task may resume it */
    t->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static struct l_task *make_task(struct version *v)
{
    struct l_task *t = pool_get(&v->host->tasks);
    if (!t)
        return NULL;
    *t = (struct l_task){.version = v, .anchor = LUA_NOREF};
    list_init(&t->link);
    list_init(&t->ready);
    timeout_init(&t->timeout, on_timeout);
    if (!l_protected(v, make_coroutine, t))
        return t;
    pool_put(&v->host->tasks, t);
    return NULL;
}

struct l_task *l_task_new(struct version *v)
{
    struct list_node *n = list_pop_front(&v->idle);
    struct l_task *t = n ? of_link(n) : make_task(v);
    if (!t)
        return NULL;
    if (n)
        v->idle_count--;
    version_hold(v);
    list_push_back(&v->tasks, &t->link);
    t->on_done = NULL;
    t->owner = NULL;
    t->is_background = false;
    t->is_doomed = t->is_killed = false;
    t->error_status = 0;
    t->used_ms = 0;
    t->cancel = NULL;
    t->state = NEW;
    return t;
}

static void free_task(struct l_task *t)
{
    lua_State *L = t->version->L;
    luaL_unref(L, LUA_REGISTRYINDEX, t->anchor);
    pool_put(&t->version->host->tasks, t);
}

void l_task_drop_idle(struct version *v)
{
    for (struct list_node *n; (n = list_pop_front(&v->idle));)
        free_task(of_link(n));
    v->idle_count = 0;
}

/* Runs what is to be closed (<close> variables), which is Lua code too: it is watched, and cannot
 * wait. */
static void reset_coroutine(struct l_task *t)
{
    t->is_doomed = false;
    t->used_ms = 0;
    enter(t);
    lua_resetthread(t->co);
    leave(t);
    lua_sethook(t->co, NULL, 0, 0);
}

static void recycle(struct l_task *t, bool is_clean)
{
    struct version *v = t->version;
    /* An error that a hook raised leaves the coroutine without hooks for ever (Lua restores them in
     * a pcall only): nothing may run in it any more, and its <close> variables are not closed. */
    bool is_spoilt = t->is_doomed && lua_status(t->co) != LUA_YIELD;
    is_clean &= !t->is_doomed; /* it ended with its last breath: "return task:cancel()" */
    if (!is_clean && !is_spoilt)
        reset_coroutine(t);
    t->state = IDLE;
    list_remove(&t->link);
    if (!is_spoilt)
        lua_settop(t->co, 0);
    if (v->idle_count < IDLE_MAX && !v->is_over && is_clean) {
        list_push_front(&v->idle, &t->link);
        v->idle_count++;
    } else {
        free_task(t);
    }
    version_release(v);
}

/* ---- Errors ---- */

/* What an error value says. Nothing of the script's is called here: a __tostring could do anything.
 */
static const char *message_of(lua_State *L, struct l_task *t)
{
    if (lua_type(L, -1) == LUA_TSTRING || lua_type(L, -1) == LUA_TNUMBER)
        return lua_tostring(L, -1);
    if (lua_type(L, -1) != LUA_TTABLE)
        return lua_pushfstring(L, "(an error that is a %s)", luaL_typename(L, -1));
    lua_pushliteral(L, "status");
    lua_rawget(L, -2);
    t->error_status = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : 0;
    lua_pop(L, 1);
    lua_pushliteral(L, "message");
    lua_rawget(L, -2);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    return text ? text : lua_pushfstring(L, "(an error table, status %d)", t->error_status);
}

static int put_message(lua_State *L)
{
    struct l_task *t = lua_touserdata(L, 1);
    if (t->is_doomed)
        lua_pushstring(L, t->used_ms ? TIME_IS_UP : "cancelled");
    else
        lua_xmove(t->co, L, 1);
    luaL_traceback(L, t->co, message_of(L, t), 0);
    return luaL_error(L, "%s", lua_tostring(L, -1));
}

static void finish(struct l_task *t, int status)
{
    BUG_ON(status == LUA_YIELD && !t->is_doomed);
    if (status == LUA_OK) {
        if (t->on_done)
            t->on_done(t, NULL);
        recycle(t, true);
        return;
    }
    const char *message =
        status == LUA_ERRMEM ? "not enough memory" : l_protected(t->version, put_message, t);
    t->version->unit->errors++;
    if (t->on_done)
        t->on_done(t, message);
    recycle(t, false);
}

const char *l_protected(struct version *v, lua_CFunction f, void *arg)
{
    lua_State *L = v->L;
    lua_settop(L, 0);
    lua_pushcfunction(L, f);
    lua_pushlightuserdata(L, arg);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return NULL;
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    return text ? text : "not enough memory";
}

/* ---- Running ---- */

static void run(struct l_task *t, int nargs)
{
    int results;
    timeout_clear(&t->timeout);
    enter(t);
    int status = lua_resume(t->co, NULL, nargs, &results);
    leave(t);
    BUG_ON(status == LUA_YIELD && t->state == RUNNING); /* our coroutine.yield refuses that */
    if (status != LUA_YIELD || t->is_doomed)
        finish(t, status);
}

/* Arguments of a task that has not begun lie on its stack, below them its function. */
static int args_of(const struct l_task *t)
{
    return lua_status(t->co) == LUA_OK ? lua_gettop(t->co) - 1 : 0;
}

static void end_killed(struct l_task *t)
{
    t->is_killed = false;
    if (t->on_done)
        t->on_done(t, "cancelled");
    recycle(t, false);
}

bool l_task_is_turn_spent(const struct host *host)
{
    return loop_turn_ms(host->loop) >= TURN_MS;
}

static void run_ready(struct loop_deferred *d)
{
    struct host *host = CONTAINER_OF(d, struct host, run_ready);
    struct list_node now;
    list_move_all(&now, &host->ready);
    for (struct list_node *n; !l_task_is_turn_spent(host) && (n = list_pop_front(&now));) {
        struct l_task *t = CONTAINER_OF(n, struct l_task, ready);
        if (t->is_killed)
            end_killed(t);
        else
            run(t, args_of(t));
    }
    if (list_is_empty(&now))
        return;
    /* The others are first in the next turn. */
    struct list_node later;
    list_move_all(&later, &host->ready);
    list_move_all(&host->ready, &now);
    for (struct list_node *n; (n = list_pop_front(&later));)
        list_push_back(&host->ready, n);
    loop_defer(host->loop, &host->run_ready);
}

void l_task_post(struct l_task *t, lua_CFunction body, void *arg)
{
    lua_pushcfunction(t->co, body);
    lua_pushlightuserdata(t->co, arg);
    make_ready(t);
}

void l_task_start(struct l_task *t, lua_CFunction body, void *arg)
{
    if (t->version->host->running) {
        l_task_post(t, body, arg);
        return;
    }
    lua_pushcfunction(t->co, body);
    lua_pushlightuserdata(t->co, arg);
    run(t, 1);
}

void l_task_post_call(struct l_task *t, lua_State *L, int nargs)
{
    if (!lua_checkstack(t->co, nargs + 8)) {
        l_task_kill(t);
        luaL_error(L, "too many arguments");
    }
    lua_xmove(L, t->co, nargs + 1);
    make_ready(t);
}

struct l_task *l_task_current(lua_State *L)
{
    return version_of(L)->host->running;
}

void l_task_check_wait(lua_State *L, const char *what)
{
    if (!lua_isyieldable(L) || !l_task_current(L))
        luaL_error(L,
                   "%s cannot wait here: inside the callback of table.sort or string.gsub, and in "
                   "__close, nothing can",
                   what);
}

int l_task_wait_until(lua_State *L, int64_t due_ms, void (*cancel)(struct l_task *t, void *what),
                      void *what, lua_KFunction k, lua_KContext ctx)
{
    l_task_check_wait(L, "this function");
    struct l_task *t = l_task_current(L);
    t->cancel = cancel;
    t->what = what;
    t->state = WAITING;
    if (due_ms != INT64_MAX)
        timeout_set(loop_wheel(t->version->host->loop), &t->timeout, due_ms);
    return lua_yieldk(L, 0, ctx, k);
}

int l_task_wait(lua_State *L, void (*cancel)(struct l_task *t, void *what), void *what,
                lua_KFunction k, lua_KContext ctx)
{
    return l_task_wait_until(L, INT64_MAX, cancel, what, k, ctx);
}

void l_task_wake(struct l_task *t)
{
    if (t->state != WAITING)
        return; /* woken twice in one turn, or its slice was used up: it will see the news when it
                   goes on */
    t->cancel = NULL;
    if (t->version->host->running)
        make_ready(t);
    else
        run(t, 0);
}

void l_task_kill(struct l_task *t)
{
    BUG_ON(t->state == IDLE);
    if (t->state == RUNNING) {
        t->is_doomed = true;
        lua_sethook(t->version->host->running_L, on_count, LUA_MASKCOUNT, 1);
        return;
    }
    timeout_clear(&t->timeout);
    list_remove(&t->ready);
    if (t->state == WAITING && t->cancel)
        t->cancel(t, t->what);
    t->cancel = NULL;
    if (!t->version->host->running) {
        end_killed(t);
        return;
    }
    t->is_killed = true;
    make_ready(t);
}

static void kill_some(struct version *v, bool background_only)
{
    version_hold(v);
    /* A task that is killed may begin others, and end others: the list is looked at from its head
     * again. */
    for (bool found = true; found;) {
        found = false;
        LIST_EACH (n, &v->tasks) {
            struct l_task *t = of_link(n);
            if (background_only && !t->is_background)
                continue;
            BUG_ON(t->state == RUNNING);
            l_task_kill(t);
            found = true;
            break;
        }
    }
    version_release(v);
}

void l_task_kill_all(struct version *v)
{
    kill_some(v, false);
}

void l_task_kill_background(struct version *v)
{
    kill_some(v, true);
}

/* ---- User coroutines (l_coroutine.c) ---- */

void l_task_enter(lua_State *L, lua_State *co)
{
    version_of(L)->host->running_L = co;
}

bool l_task_leave(lua_State *L)
{
    struct host *host = version_of(L)->host;
    struct l_task *t = host->running;
    host->running_L = L;
    if (t->is_doomed)
        lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    return t->state != RUNNING;
}

/* ---- The host's part ---- */

int l_task_host_init(struct host *host)
{
    int error;
    list_init(&host->ready);
    loop_deferred_init(&host->run_ready, run_ready);
    pool_init(&host->tasks, &host->owner, sizeof(struct l_task));
    host->watchdog = watchdog_new(&host->owner, PERIOD_MS, on_late, host, &error);
    return host->watchdog ? 0 : error;
}

void l_task_host_fini(struct host *host)
{
    watchdog_free(&host->watchdog);
    loop_defer_cancel(&host->run_ready);
    pool_fini(&host->tasks);
}
