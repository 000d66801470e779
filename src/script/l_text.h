/* l_text: text that grows while a binding builds it, whatever else is on the stack (luaL_Buffer
 * wants the top for itself). Its memory is a userdata in a slot of the stack, so it goes by itself
 * when an error is raised. */
#ifndef SCRIPT_L_TEXT_H
#define SCRIPT_L_TEXT_H

#include "base/slice.h"

#include <lua.h>

struct l_text {
    lua_State *L;
    char *p;
    size_t n, room;
    int at; /* the slot */
};

/* Pushes the slot. RAISES. */
struct l_text l_text_new(lua_State *L);
void l_text_put(struct l_text *t, slice piece); /* RAISES */
/* Pushes the text as a string. RAISES. */
void l_text_push(struct l_text *t);

#endif
