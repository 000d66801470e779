/* l_task: Lua code that runs as a coroutine on the loop. Every entry into Lua is one.
 *
 * A task begins with a C function as its body (which calls the user's function with lua_callk), so
 * that all preparations, too, happen where an error is caught. A binding function that must wait
 * calls l_task_wait as its last deed; whoever brings the news calls l_task_wake, and the
 * continuation finds the results in its own C object. Lua code is never entered while other Lua
 * code is on the C stack: what is woken then goes on at the end of the turn.
 *
 * Time: code that does not wait is interrupted after unit_limits.slice_ms and goes on in the next
 * turn; after run_ms in all it gets an error that pcall cannot swallow. */
#ifndef SCRIPT_L_TASK_H
#define SCRIPT_L_TASK_H

#include "script/unit.h"

struct l_task {
    /* public, set between l_task_new and l_task_start */
    /* The task has ended: [error] is NULL, or a message (with traceback) that is valid during the
     * call. The task's memory is gone afterwards. Never called from inside l_task_start's caller's
     * Lua code. */
    void (*on_done)(struct l_task *t, const char *error);
    void *owner;
    bool is_background; /* cancelled when its version is replaced */

    /* read-only */
    struct version *version;
    lua_State *co;
    /* An error value of the form {status = N} had this number; else 0. For on_done. */
    int error_status;

    /* private */
    struct list_node link; /* in version->tasks or version->idle */
    struct list_node ready;
    int anchor; /* in the registry */
    uint8_t state;
    bool is_doomed;   /* killed, or its time is up: every instruction raises from now on */
    bool is_killed;   /* ends at the end of the turn */
    uint32_t used_ms; /* running without waiting */
    void (*cancel)(struct l_task *t, void *what);
    void *what;
    struct timeout timeout; /* l_task_wait_until */
};

/* NULL without memory. */
MUST_USE struct l_task *l_task_new(struct version *v);

/* Calls body(co) with the light userdata [arg] as its only argument, now, or at the end of the turn
 * while other Lua code is running. on_done may be called before this returns. */
void l_task_start(struct l_task *t, lua_CFunction body, void *arg);

/* Has Lua code had its share of this turn? What can begin later then should be posted. */
bool l_task_is_turn_spent(const struct host *host);

/* As l_task_start, always at the end of the turn. */
void l_task_post(struct l_task *t, lua_CFunction body, void *arg);

/* As l_task_start for a function and [nargs] arguments on the top of L, which are moved to the
 * task. Posted. RAISES. */
void l_task_post_call(struct l_task *t, lua_State *L, int nargs);

/* The task that is running. */
struct l_task *l_task_current(lua_State *L);

/* To be returned by a binding function: gives the loop the word until l_task_wake; then k(L,
 * LUA_YIELD, ctx) goes on. [cancel] (may be NULL) is called with [what] when the task is killed
 * meanwhile: wake must not come after that. RAISES when L cannot wait here: inside table.sort's or
 * string.gsub's callback, and while closing. */
int l_task_wait(lua_State *L, void (*cancel)(struct l_task *t, void *what), void *what,
                lua_KFunction k, lua_KContext ctx);

/* The same; woken by itself at [due_ms] of loop_now_ms's clock too (INT64_MAX: never). */
int l_task_wait_until(lua_State *L, int64_t due_ms, void (*cancel)(struct l_task *t, void *what),
                      void *what, lua_KFunction k, lua_KContext ctx);

/* Goes on, now, or at the end of the turn while other Lua code is running. The task may have ended
 * when this returns. */
void l_task_wake(struct l_task *t);

/* RAISES unless L may wait here: [what] names the function for the message. */
void l_task_check_wait(lua_State *L, const char *what);

/* Ends a task that is waiting (or is ready): its to-be-closed variables are closed, on_done is told
 * "cancelled", in this call, or at the end of the turn while other Lua code is running. One that is
 * running gets an error at its next instruction. */
void l_task_kill(struct l_task *t);

/* Ends all tasks of a version / those marked is_background. */
void l_task_kill_all(struct version *v);
void l_task_kill_background(struct version *v);

/* Frees the idle coroutines of a version that is going. */
void l_task_drop_idle(struct version *v);

/* For our coroutine.resume: L's resume of [co] begins / is over. Returns whether the code in co
 * waits for the loop. */
void l_task_enter(lua_State *L, lua_State *co);
bool l_task_leave(lua_State *L);

/* Calls [f] with the light userdata [arg] in protected mode on the version's main thread, outside
 * any task; short C code only. NULL, or the error's message, valid until the next call. */
const char *l_protected(struct version *v, lua_CFunction f, void *arg);

/* 0 or -errno. */
MUST_USE int l_task_host_init(struct host *host);
void l_task_host_fini(struct host *host);

#endif
