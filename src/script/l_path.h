/* l_path: paths that scripts name are relative to the script's directory, not to where the process
 * was started. */
#ifndef SCRIPT_L_PATH_H
#define SCRIPT_L_PATH_H

#include <lua.h>

/* The path at [at], made absolute or relative to the working directory, pushed; what the C string
 * returned is valid as long as that. RAISES for what is no path. */
const char *l_push_path(lua_State *L, int at);

#endif
