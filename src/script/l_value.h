/* l_value: plain data of Lua as values of the store, and back: booleans, integers, floats, strings,
 * and tables of these.
 *
 * A table becomes a compact form, always the same bytes for the same content (keys are sorted), so
 * that stored tables can be compared. Its metatable is ignored, but for the mark of
 * medusa.json.array. */
#ifndef SCRIPT_L_VALUE_H
#define SCRIPT_L_VALUE_H

#include "service/store.h"

#include <lua.h>

struct l_value {
    struct store_value value;
    char room[8];
    bool is_too_large; /* more than STORE_VALUE_MAX: there are no bytes */
};

/* The value at [at], which is not nil. A table's bytes lie in a slot that is pushed: they are valid
 * while it and the value stay on the stack. RAISES for what is no plain data. */
void l_value_read(lua_State *L, int at, struct l_value *out);

/* Pushes what was read. The bytes may lie in the store: they are not looked at any more when
 * something is allocated. RAISES. */
void l_value_push(lua_State *L, struct store_value v);

#endif
