/* l_declare: the part of a declaration that all kinds of servers have: where it listens. */
#include "protocol/server.h"
#include "script/l_api.h"

#include <stdlib.h>

static void read_address(lua_State *L, const char *what, struct listen_at *at)
{
    if (lua_type(L, -1) != LUA_TSTRING && !lua_isinteger(L, -1))
        luaL_error(L,
                   "%s: listen: an address is expected (\":8080\", \"127.0.0.1:80\", "
                   "\"unix:/path\") or a list of them, not %s",
                   what, luaL_typename(L, -1));
    slice text = l_check_slice(L, -1);
    if (text.n >= sizeof at->text)
        luaL_error(L, "%s: listen: an address is at most %d bytes long", what,
                   (int)sizeof at->text - 1);
    memcpy(at->text, text.p, text.n + 1);
    at->proxied = slice_has_suffix(text, SLICE(",proxy"));
    const char *why;
    if (!addr_parse(at->proxied ? slice_head(text, text.n - 6) : text, &at->addr, &why))
        luaL_error(L, "%s: listen: \"%s\": %s", what, at->text, why);
}

static unsigned read_listen(lua_State *L, const char *what, struct listen_at *listen)
{
    if (lua_getfield(L, 1, "listen") == LUA_TNIL)
        luaL_error(L, "%s: listen is missing: where to listen, as in listen = \":8080\"", what);
    if (!lua_istable(L, -1)) {
        read_address(L, what, &listen[0]);
        lua_pop(L, 1);
        return 1;
    }
    lua_Integer count = luaL_len(L, -1);
    if (count < 1 || count > LISTEN_MAX)
        luaL_error(L, "%s: listen: 1 to %d addresses are expected", what, LISTEN_MAX);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        read_address(L, what, &listen[i - 1]);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return (unsigned)count;
}

void *l_declare(lua_State *L, const struct server_kind *kind, size_t bytes, const char *what)
{
    struct version *v = version_of(L);
    if (!v->is_loading)
        luaL_error(L, "%s: servers are declared while a script is loaded, not later", what);
    struct declared *d = lua_newuserdatauv(L, bytes, 0);
    memset(d, 0, bytes);
    (void)luaL_ref(L, LUA_REGISTRYINDEX);
    d->kind = kind;
    d->version = v;
    l_where(L, d->where, sizeof d->where);
    list_push_back(&v->declared, &d->link);
    return d;
}

void l_declare_unix_mode(lua_State *L, const char *what, struct server_settings *settings)
{
    int type = lua_getfield(L, 1, "unix_mode");
    const char *text = type == LUA_TSTRING ? lua_tostring(L, -1) : "";
    char *end = NULL;
    unsigned long mode = strtoul(text, &end, 8);
    if (type != LUA_TNIL && (!text[0] || *end || mode > 0777 || text[0] < '0' || text[0] > '7'))
        luaL_error(L, "%s: unix_mode: permissions as octal text are expected, as in \"0660\"",
                   what);
    if (type != LUA_TNIL)
        settings->unix_mode = (mode_t)mode;
    lua_pop(L, 1);
}

void l_declare_listen(lua_State *L, struct declared *base, const char *what,
                      struct listen_at *listen)
{
    base->listen = listen;
    base->listen_count = read_listen(L, what, listen);
}
