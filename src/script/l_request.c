/* l_request: a request in the hands of a Lua function.
 *
 * The task's body makes the userdata, calls the function and turns what it returns into the answer;
 * all of that is inside the coroutine, so an error anywhere in it is this request's 500.
 * exchange_end comes after the coroutine has ended: it may begin the next request of the
 * connection, and Lua is never entered twice. */
#include "script/http_unit.h"
#include "script/l_log.h"
#include "script/l_task.h"
#include "script/upload.h"

#include "base/check.h"

#include <errno.h>

/* What the body needs to begin: on the C stack of l_request_start, or kept until the task's turn
 * comes. */
struct start {
    struct exchange *ex; /* NULL: gone before that */
    int function;
    const struct route_match *match;
    bool has_begun; /* there is a request object, whose task's end answers */
    bool is_kept;
    struct route_match own_match;
};

/* ---- Objects ---- */

struct l_request *l_check_request(lua_State *L, int at)
{
    struct l_request *r = l_check_object(L, at, META_REQUEST, "request");
    if (!r->ex)
        luaL_error(L, "this request is over");
    return r;
}

/* The request's end, seen from the exchange: nothing of it may be touched any more. Every task's
 * end comes here (on_done), so the userdata needs no finalizer: that costs 3 % of a small request.
 * [waiters]: tasks to be told when nothing of *r is needed any more (l_events_wake). */
static void detach(struct l_request *r, struct list_node *waiters_out)
{
    struct exchange *ex = r->ex;
    list_init(waiters_out);
    if (!ex)
        return;
    r->waits_for_room = false;
    l_body_free(ex->owner, r);
    upload_end_all(&r->uploads);
    if (r->events)
        l_events_detach(r->events, waiters_out);
    r->events = NULL;
    r->ex = NULL;
    ex->state = NULL;
    ex->on_gone = NULL;
    ex->on_room = NULL;
}

/* Whoever waits for the body of a request that is over, perhaps another task. */
static struct l_task *take_reader(struct l_request *r)
{
    struct l_task *reader = r->body.waiter;
    r->body.waiter = NULL;
    return reader;
}

/* The client is gone. The function is told when it looks. */
static void on_gone(struct exchange *ex)
{
    struct l_request *r = ex->state;
    struct l_task *writer = r->waits_for_room ? r->task : NULL;
    struct l_task *reader = take_reader(r);
    struct list_node waiters;
    detach(r, &waiters);
    l_events_wake(&waiters);
    if (reader)
        l_task_wake(reader);
    if (writer)
        l_task_wake(writer);
}

static void on_room(struct exchange *ex)
{
    struct l_request *r = ex->state;
    struct l_task *writer = r->waits_for_room ? r->task : NULL;
    r->waits_for_room = false;
    if (r->events)
        l_events_on_room(r->events); /* *r may be gone now */
    if (writer)
        l_task_wake(writer);
}

/* ---- The task ---- */

static void on_done(struct l_task *t, const char *error);

static int answered(lua_State *L, int status, lua_KContext ctx)
{
    struct l_request *r = lua_touserdata(L, 2);
    if (r->ex && !r->delegate)
        l_reply(L, r, 3);
    return 0;
}

/* Parameters outlive this call only when there are any. */
static void keep_match(lua_State *L, struct l_request *r, struct exchange *ex,
                       const struct route_match *match)
{
    if (!match->params.count && !match->rest.p)
        return;
    r->match = arena_alloc(&ex->arena, sizeof *match);
    if (!r->match)
        luaL_error(L, "not enough memory");
    *r->match = *match;
}

/* Stack: the start (1), the request (2), then the function and its argument. */
static int body(lua_State *L)
{
    struct start *start = lua_touserdata(L, 1);
    struct exchange *ex = start->ex;
    int function = start->function;
    if (!ex)
        return 0;
    struct l_request *r = l_new_object(L, META_REQUEST, sizeof *r, 1);
    list_init(&r->uploads);
    keep_match(L, r, ex, start->match);
    r->ex = ex;
    r->task = l_task_current(L);
    r->task->owner = r;
    r->task->on_done = on_done;
    ex->state = r;
    ex->on_gone = on_gone;
    ex->on_room = on_room;
    start->has_begun = true;
    if (start->is_kept)
        mem_free(&r->task->version->host->owner, start, sizeof *start);
    lua_rawgeti(L, LUA_REGISTRYINDEX, function);
    lua_pushvalue(L, 2);
    lua_callk(L, 1, LUA_MULTRET, 0, answered);
    return answered(L, LUA_OK, 0);
}

static void log_failure(struct l_task *t, const struct exchange *ex, const char *error)
{
    char room[128];
    struct fmt f = fmt_on(room, sizeof room);
    fmt_put(&f, slice_head(ex->req->method_name, 20));
    fmt_char(&f, ' ');
    fmt_put(&f, slice_head(ex->req->target, 60));
    l_log_error(t->version, "script.error", fmt_done(&f), error);
}

static void fail(struct exchange *ex, int status)
{
    exchange_fail(ex, status >= ERROR_PAGE_MIN && status <= ERROR_PAGE_MAX ? status : 500,
                  SLICE(""));
}

/* To the handler its part of the tree is all there is: as for a route that leads to it at once. */
static void set_delegate_path(struct exchange *ex, const struct l_request *r)
{
    if (r->delegate_path.p)
        ex->path = r->delegate_path;
    else if (r->match && r->match->rest.p)
        ex->path = slice_of(r->match->rest.p - 1, r->match->rest.n + 1);
}

static void on_done(struct l_task *t, const char *error)
{
    struct l_request *r = t->owner;
    struct exchange *ex = r ? r->ex : NULL;
    if (!ex) {
        if (error && !slice_is(slice_str(error), SLICE("cancelled")))
            l_log_error(t->version, "script.error", SLICE("a request that was over"), error);
        return;
    }
    struct http_handler *delegate = r->delegate;
    int status = error ? t->error_status : r->fail_status;
    bool has_failed = error || status;
    struct l_task *reader = take_reader(r);
    if (delegate)
        set_delegate_path(ex, r);
    r->task = NULL;
    struct list_node waiters;
    detach(r, &waiters);
    if (error && !status)
        log_failure(t, ex, error);
    l_events_wake(&waiters);
    if (reader)
        l_task_wake(reader);
    /* *r and [error] may be gone from here on: the task has ended, and Lua has run. */
    if (has_failed)
        fail(ex, status);
    else if (delegate)
        delegate->ops->handle(delegate, ex);
    else
        exchange_end(ex);
}

/* ---- Beginning ---- */

static void gone_before(struct exchange *ex)
{
    struct start *start = ex->state;
    start->ex = NULL;
}

/* It was killed, or failed, before there was a request object. */
static void on_done_before(struct l_task *t, const char *error)
{
    struct start *start = t->owner;
    struct exchange *ex = start->ex;
    mem_free(&t->version->host->owner, start, sizeof *start);
    if (!ex)
        return;
    ex->on_gone = NULL;
    exchange_fail(ex, 503, SLICE(""));
}

/* Scripts have had their share of this turn: other clients come first. */
static void begin_later(struct l_task *t, const struct start *begin)
{
    struct exchange *ex = begin->ex;
    struct start *start = mem_alloc(&t->version->host->owner, sizeof *start);
    if (!start) {
        l_task_kill(t);
        exchange_fail(ex, 503, SLICE(""));
        return;
    }
    *start = *begin;
    start->is_kept = true;
    start->own_match = *begin->match;
    start->match = &start->own_match;
    ex->state = start;
    ex->on_gone = gone_before;
    t->owner = start;
    t->on_done = on_done_before;
    l_task_post(t, body, start);
}

void l_request_start(struct version *v, const struct target *target, struct exchange *ex,
                     const struct route_match *match)
{
    BUG_ON(v->host->running); /* requests come from the loop */
    struct start start = {.ex = ex, .function = target->function, .match = match};
    struct l_task *t = l_task_new(v);
    if (t && l_task_is_turn_spent(v->host)) {
        begin_later(t, &start);
        return;
    }
    if (t)
        l_task_start(t, body, &start);
    if (!start.has_begun)
        exchange_fail(ex, 503, SLICE(""));
}
