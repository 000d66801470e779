/* l_coroutine: the library coroutine, so that code inside a user's coroutine may wait for the loop
 * like any other.
 *
 * A binding function that waits yields; inside coroutine.wrap that would hand the word to whoever
 * resumed it. So our resume looks at what it was: a user's yield ends the resume; a wait of the
 * task is passed on outwards, and when the task goes on, the inner coroutine is resumed again where
 * it was. */
#include "script/l_task.h"
#include "script/libs.h"

#include <lauxlib.h>

static lua_State *check_coroutine(lua_State *L, int at)
{
    lua_State *co = lua_tothread(L, at);
    luaL_argexpected(L, co, at, "coroutine");
    return co;
}

enum { WRAP = 1 }; /* in the continuation's context: errors are raised, not returned */

static int go_on(lua_State *L, int status, lua_KContext ctx);

static int refuse(lua_State *L, lua_KContext ctx, const char *why)
{
    lua_pushstring(L, why);
    if (ctx & WRAP)
        return lua_error(L);
    lua_pushboolean(L, false);
    lua_insert(L, -2);
    return 2;
}

/* The results of co, behind true. */
static int give_results(lua_State *L, lua_State *co, int count, lua_KContext ctx)
{
    if (!lua_checkstack(L, count + 2)) {
        lua_pop(co, count);
        return refuse(L, ctx, "too many results to resume");
    }
    if (!(ctx & WRAP))
        lua_pushboolean(L, true);
    lua_xmove(co, L, count);
    return ctx & WRAP ? count : count + 1;
}

static int give_error(lua_State *L, lua_State *co, lua_KContext ctx)
{
    if (!(ctx & WRAP)) {
        lua_pushboolean(L, false);
        lua_xmove(co, L, 1);
        return 2;
    }
    if (lua_status(co) > LUA_YIELD)
        lua_resetthread(co); /* its <close> variables; the error stays on its stack */
    lua_xmove(co, L, 1);
    return lua_error(L);
}

/* co stands at index 1 of L; [nargs] values for it on its own stack. */
static int resume(lua_State *L, lua_State *co, int nargs, lua_KContext ctx)
{
    int count;
    l_task_enter(L, co);
    int status = lua_resume(co, L, nargs, &count);
    if (l_task_leave(L)) {
        version_mark_waiting(co, true);
        return lua_yieldk(L, 0, ctx, go_on);
    }
    if (status == LUA_OK || status == LUA_YIELD)
        return give_results(L, co, count, ctx);
    return give_error(L, co, ctx);
}

/* The task goes on: what was waiting is the coroutine at index 1. */
static int go_on(lua_State *L, int status, lua_KContext ctx)
{
    lua_State *co = lua_tothread(L, 1);
    version_mark_waiting(co, false);
    return resume(L, co, 0, ctx);
}

static int begin(lua_State *L, lua_State *co, lua_KContext ctx)
{
    int nargs = lua_gettop(L) - 1;
    if (co != L && (!l_task_current(L) || version_is_waiting(co)))
        return refuse(L, ctx, "cannot resume a coroutine that waits, or that is a task's own");
    if (co == L || (lua_status(co) == LUA_OK && lua_gettop(co) == 0))
        return refuse(L, ctx,
                      co == L ? "cannot resume non-suspended coroutine"
                              : "cannot resume dead coroutine");
    if (!lua_checkstack(co, nargs))
        return refuse(L, ctx, "too many arguments to resume");
    lua_xmove(L, co, nargs);
    return resume(L, co, nargs, ctx);
}

static int co_resume(lua_State *L)
{
    return begin(L, check_coroutine(L, 1), 0);
}

static int call_wrap(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    return begin(L, co, WRAP);
}

static int co_create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int co_wrap(lua_State *L)
{
    co_create(L);
    lua_pushcclosure(L, call_wrap, 1);
    return 1;
}

static int co_yield (lua_State *L)
{
    struct l_task *t = l_task_current(L);
    if (t && t->co == L)
        return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

/* Whoever waits in it would be told by nobody, or by somebody who finds another there. */
static int co_close(lua_State *L)
{
    if (version_is_waiting(check_coroutine(L, 1)))
        return luaL_error(L, "cannot close a coroutine that waits, or that is a task's own");
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int co_isyieldable(lua_State *L)
{
    struct l_task *t = l_task_current(L);
    lua_State *co = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    lua_pushboolean(L, lua_isyieldable(co) && !(t && t->co == co));
    return 1;
}

static int co_running(lua_State *L)
{
    struct l_task *t = l_task_current(L);
    lua_pushthread(L);
    lua_pushboolean(L, !t || t->co == L);
    return 2;
}

/* The rest of the library is Lua's own. */
void l_open_coroutine(lua_State *L)
{
    static const luaL_Reg ours[] = {
        {"create", co_create}, {"resume", co_resume},           {"wrap", co_wrap},
        {"yield", co_yield },  {"isyieldable", co_isyieldable}, {"running", co_running},
        {NULL, NULL}};
    lua_getglobal(L, "coroutine");
    luaL_setfuncs(L, ours, 0);
    lua_getfield(L, -1, "close");
    lua_pushcclosure(L, co_close, 1);
    lua_setfield(L, -2, "close");
    lua_pop(L, 1);
}
