/* l_path: see l_path.h. */
#include "script/l_path.h"

#include "script/l_api.h"

const char *l_push_path(lua_State *L, int at)
{
    slice path = l_check_slice(L, at);
    luaL_argcheck(L, path.n > 0 && path.n < UNIT_PATH_MAX && !memchr(path.p, 0, path.n), at,
                  "a path of 1 to 1023 bytes is expected");
    slice script = slice_str(version_of(L)->unit->path);
    while (script.n && script.p[script.n - 1] != '/')
        script.n--;
    if (path.p[0] == '/')
        script.n = 0;
    l_push_slice(L, script);
    l_push_slice(L, path);
    lua_concat(L, 2);
    return lua_tostring(L, -1);
}
