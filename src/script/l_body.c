/* l_body: a request's body, whole or piece by piece.
 *
 * Bytes come outside of Lua and are kept in memory that is charged to the script; a function that
 * takes pieces slower than they come makes the client wait. */
#include "script/http_unit.h"
#include "script/l_task.h"

#define PIECE_MAX (64 * KIB) /* read ahead of a function that takes pieces */

static struct mem_owner *owner_of(struct exchange *ex)
{
    struct version *v = ex->owner;
    return &v->unit->heap;
}

static void drop(struct mem_owner *owner, struct l_body *b)
{
    mem_free(owner, b->p, b->room);
    b->p = NULL;
    b->n = b->room = 0;
}

void l_body_free(struct version *v, struct l_request *r)
{
    drop(&v->unit->heap, &r->body);
}

static bool append(struct mem_owner *owner, struct l_body *b, slice data)
{
    if (b->room - b->n < data.n) {
        size_t room = MAX(b->n + data.n, MAX((size_t)b->room * 2, 1024));
        char *p = b->p ? mem_resize(owner, b->p, b->room, room) : mem_alloc(owner, room);
        if (!p)
            return false;
        b->p = p;
        b->room = (uint32_t)room;
    }
    if (data.n)
        memcpy(b->p + b->n, data.p, data.n);
    b->n += (uint32_t)data.n;
    return true;
}

static void on_body(struct exchange *ex, slice data, bool is_last)
{
    struct l_request *r = ex->state;
    struct l_body *b = &r->body;
    if (!append(owner_of(ex), b, data))
        b->has_failed = true;
    b->has_ended = is_last;
    if (b->is_streamed && b->n >= PIECE_MAX)
        exchange_pause_body(ex);
    struct l_task *waiter = b->waiter;
    if (waiter && (is_last || b->has_failed || (b->is_streamed && b->n))) {
        b->waiter = NULL;
        l_task_wake(waiter);
    }
}

void l_body_begin(lua_State *L, struct l_request *r, bool is_streamed)
{
    struct l_body *b = &r->body;
    b->is_streamed = is_streamed;
    if (b->has_begun)
        return;
    b->has_begun = true;
    if (r->ex->body_done)
        b->has_ended = true;
    else if (r->ex->has_begun)
        luaL_error(L, "the body must be read before the answer begins");
    else
        exchange_read_body(r->ex, on_body);
}

static int take(lua_State *L, struct l_request *r)
{
    struct l_body *b = &r->body;
    lua_pushlstring(L, b->p ? b->p : "", b->n);
    drop(&version_of(L)->unit->heap, b);
    return 1;
}

static void cancel_wait(struct l_task *t, void *what)
{
    struct l_request *r = what;
    r->body.waiter = NULL;
}

int l_body_wait(lua_State *L, struct l_request *r, lua_KFunction k)
{
    l_task_check_wait(L, "reading a body");
    if (r->body.waiter)
        return luaL_error(L, "another task is reading this body");
    r->body.waiter = l_task_current(L);
    return l_task_wait(L, cancel_wait, r, k, 0);
}

static bool is_broken(const struct l_request *r)
{
    return !r->ex || r->body.has_failed;
}

int l_body_give_broken(lua_State *L, const struct l_request *r)
{
    return l_fail(L, r->ex ? "not enough memory" : "the client is gone, or its body was refused");
}

static int give_body(lua_State *L, int status, lua_KContext ctx)
{
    struct l_request *r = lua_touserdata(L, 1);
    if (is_broken(r))
        return l_body_give_broken(L, r);
    return r->body.has_ended ? take(L, r) : l_body_wait(L, r, give_body);
}

int l_request_body(lua_State *L)
{
    struct l_request *r = l_check_request(L, 1);
    l_body_begin(L, r, false);
    exchange_resume_body(r->ex);
    return give_body(L, LUA_OK, 0);
}

static int give_piece(lua_State *L, int status, lua_KContext ctx)
{
    struct l_request *r = lua_touserdata(L, 1);
    if (is_broken(r))
        return l_body_give_broken(L, r);
    if (r->body.n)
        return take(L, r);
    if (r->body.has_ended)
        return 0;
    exchange_resume_body(r->ex);
    return r->ex && (r->body.n || r->body.has_ended) ? give_piece(L, LUA_OK, 0)
                                                     : l_body_wait(L, r, give_piece);
}

int l_request_read(lua_State *L)
{
    l_body_begin(L, l_check_request(L, 1), true);
    return give_piece(L, LUA_OK, 0);
}
