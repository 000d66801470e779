/* l_sqlite: what the files of medusa.sqlite have in common. */
#ifndef SCRIPT_L_SQLITE_H
#define SCRIPT_L_SQLITE_H

#include "service/database.h"

#include <lua.h>

/* What a caller wants of the rows. */
enum l_rows { ROWS_ALL, ROWS_FIRST, ROWS_VALUE, ROWS_NONE };

/* The arguments from [at] on, or the table of names there, as parameters; they and their memory
 * stay valid while what this has pushed stays on the stack. RAISES for what cannot be stored. */
struct database_param *l_sqlite_params(lua_State *L, int at, size_t *count_out);

/* Pushes what was found: how many values. RAISES. */
int l_sqlite_push(lua_State *L, const struct database_result *r, enum l_rows rows);

/* nil, the sentence and the kind of an error. RAISES. */
int l_sqlite_fail(lua_State *L, const struct database_result *r);

/* medusa.sqlite.blob */
int l_sqlite_blob(lua_State *L);
void l_open_sqlite_values(lua_State *L);

#endif
