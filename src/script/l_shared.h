/* l_shared: what the files of medusa.shared have in common. */
#ifndef SCRIPT_L_SHARED_H
#define SCRIPT_L_SHARED_H

#include "service/store.h"

#include <lua.h>

/* RAISES without memory, and when the process is ending. */
struct store *l_store_of(lua_State *L);

/* nil and a sentence for an error of the store. */
int l_fail_store(lua_State *L, int error);

/* Each adds to the table medusa.shared on the top of the stack. RAISES. */
void l_open_shared_journal(lua_State *L);
void l_open_subs(lua_State *L);

#endif
