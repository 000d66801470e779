/* l_text: see l_text.h. */
#include "script/l_text.h"

#define FIRST_ROOM 512

struct l_text l_text_new(lua_State *L)
{
    struct l_text t = {.L = L, .room = FIRST_ROOM};
    t.p = lua_newuserdatauv(L, t.room, 0);
    t.at = lua_gettop(L);
    return t;
}

static void grow(struct l_text *t, size_t more)
{
    size_t room = MAX(t->room * 2, t->n + more);
    char *p = lua_newuserdatauv(t->L, room, 0);
    memcpy(p, t->p, t->n);
    lua_replace(t->L, t->at);
    t->p = p;
    t->room = room;
}

void l_text_put(struct l_text *t, slice piece)
{
    if (UNLIKELY(piece.n > t->room - t->n))
        grow(t, piece.n);
    if (piece.n)
        memcpy(t->p + t->n, piece.p, piece.n);
    t->n += piece.n;
}

void l_text_push(struct l_text *t)
{
    lua_pushlstring(t->L, t->p, t->n);
}
