/* plain: a byte for the type, then the value; a table is pairs of values up to an END. */
#include "script/plain.h"

#include "base/defs.h"
#include "base/mem.h"

#include <lauxlib.h>
#include <string.h>

#define DEPTH_MAX  64
#define ROOM_FIRST 256

enum tag { TAG_NIL, TAG_FALSE, TAG_TRUE, TAG_INTEGER, TAG_NUMBER, TAG_STRING, TAG_TABLE, TAG_END };

static const char too_much[] = "this is too much to copy, or there is not enough memory";

bool plain_put_bytes(struct plain *out, const void *p, size_t n)
{
    if (n > out->max - out->n)
        return false;
    if (n > out->room - out->n) {
        size_t room = MIN(MAX(MAX(2 * out->room, out->n + n), ROOM_FIRST), out->max);
        char *q = out->p ? mem_raw_resize(out->p, room) : mem_raw_alloc(room);
        if (!q)
            return false;
        out->p = q;
        out->room = room;
    }
    if (n)
        memcpy(out->p + out->n, p, n);
    out->n += n;
    return true;
}

static bool put_tag(struct plain *out, enum tag tag)
{
    char c = (char)tag;
    return plain_put_bytes(out, &c, 1);
}

static const char *put_fixed(struct plain *out, enum tag tag, const void *p, size_t n)
{
    return put_tag(out, tag) && plain_put_bytes(out, p, n) ? NULL : too_much;
}

static const char *put_number(lua_State *L, int at, struct plain *out)
{
    if (lua_isinteger(L, at)) {
        lua_Integer i = lua_tointeger(L, at);
        return put_fixed(out, TAG_INTEGER, &i, sizeof i);
    }
    lua_Number d = lua_tonumber(L, at);
    return put_fixed(out, TAG_NUMBER, &d, sizeof d);
}

static const char *put_string(lua_State *L, int at, struct plain *out)
{
    size_t n;
    const char *p = lua_tolstring(L, at, &n);
    const char *why = put_fixed(out, TAG_STRING, &n, sizeof n);
    return why ? why : plain_put_bytes(out, p, n) ? NULL : too_much;
}

static const char *put_value(lua_State *L, int at, struct plain *out, int depth);

static const char *put_table(lua_State *L, int at, struct plain *out, int depth)
{
    if (depth == DEPTH_MAX || !lua_checkstack(L, 4))
        return "a table that is nested too deep, or holds itself, cannot be copied";
    if (!put_tag(out, TAG_TABLE))
        return too_much;
    lua_pushnil(L);
    while (lua_next(L, at)) {
        int top = lua_gettop(L);
        const char *why = put_value(L, top - 1, out, depth + 1);
        if (!why)
            why = put_value(L, top, out, depth + 1);
        lua_pop(L, why ? 2 : 1);
        if (why)
            return why;
    }
    return put_tag(out, TAG_END) ? NULL : too_much;
}

static const char *put_value(lua_State *L, int at, struct plain *out, int depth)
{
    switch (lua_type(L, at)) {
    case LUA_TNIL:
        return put_tag(out, TAG_NIL) ? NULL : too_much;
    case LUA_TBOOLEAN:
        return put_tag(out, lua_toboolean(L, at) ? TAG_TRUE : TAG_FALSE) ? NULL : too_much;
    case LUA_TNUMBER:
        return put_number(L, at, out);
    case LUA_TSTRING:
        return put_string(L, at, out);
    case LUA_TTABLE:
        return put_table(L, at, out, depth);
    case LUA_TFUNCTION:
        return "a function cannot be copied: only nil, booleans, numbers, strings and tables of "
               "them can";
    default:
        return "an object cannot be copied: only nil, booleans, numbers, strings and tables of "
               "them can";
    }
}

const char *plain_put(lua_State *L, int at, struct plain *out)
{
    return put_value(L, lua_absindex(L, at), out, 0);
}

static void take(slice *in, void *to, size_t n)
{
    memcpy(to, in->p, n);
    *in = slice_skip(*in, n);
}

/* False: it was an END, nothing is pushed. */
static bool push_value(lua_State *L, slice *in)
{
    lua_Integer i;
    lua_Number d;
    size_t n;
    char tag;
    take(in, &tag, 1);
    luaL_checkstack(L, 4, NULL);
    switch ((enum tag)tag) {
    case TAG_NIL:
        lua_pushnil(L);
        break;
    case TAG_FALSE:
    case TAG_TRUE:
        lua_pushboolean(L, tag == TAG_TRUE);
        break;
    case TAG_INTEGER:
        take(in, &i, sizeof i);
        lua_pushinteger(L, i);
        break;
    case TAG_NUMBER:
        take(in, &d, sizeof d);
        lua_pushnumber(L, d);
        break;
    case TAG_STRING:
        take(in, &n, sizeof n);
        lua_pushlstring(L, in->p, n);
        *in = slice_skip(*in, n);
        break;
    case TAG_TABLE:
        lua_newtable(L);
        while (push_value(L, in)) {
            (void)push_value(L, in);
            lua_rawset(L, -3);
        }
        break;
    case TAG_END:
        return false;
    }
    return true;
}

int plain_push_all(lua_State *L, slice in)
{
    int count = 0;
    for (; in.n; count++)
        (void)push_value(L, &in);
    return count;
}

void plain_free(struct plain *out)
{
    mem_raw_free(out->p);
    out->p = NULL;
    out->n = out->room = 0;
}
