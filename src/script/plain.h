/* plain: nil, booleans, numbers, strings and tables of them as bytes: what can go from one Lua
 * state to another.
 *
 * Raw memory without an account, for it crosses threads. Metatables are left behind; a table that
 * is met twice becomes two. */
#ifndef SCRIPT_PLAIN_H
#define SCRIPT_PLAIN_H

#include "base/slice.h"

#include <lua.h>

struct plain {
    size_t max; /* public: bytes at most */
    /* read-only */
    char *p;
    size_t n, room;
};

/* Appends bytes. False: too much, or no memory. */
MUST_USE bool plain_put_bytes(struct plain *out, const void *p, size_t n);

/* Appends the value at [at]; pops nothing. NULL, or why not (a literal): then [out] is spoilt. Does
 * not raise. */
MUST_USE const char *plain_put(lua_State *L, int at, struct plain *out);

/* Pushes the values of [in], which plain_put made; returns their number. RAISES without memory. */
int plain_push_all(lua_State *L, slice in);

void plain_free(struct plain *out);

#endif
