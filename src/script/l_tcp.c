/* l_tcp: medusa.tcp.server{...}. */
#include "script/l_task.h"
#include "script/libs.h"
#include "script/tcp_unit.h"

#define WHAT "medusa.tcp.server"

struct tcp_options {
    uint64_t max_connections, backlog, max_line, min_rate;
    int64_t idle, rate_window, linger;
};

#define AT(member) offsetof(struct tcp_options, member)

const struct l_option l_tcp_options[] = {
    {"listen", OPTION_OTHER, 0, 0, 0,
     "where: \":7007\", \"127.0.0.1:7007\", \"unix:/path\", or a list of them"},
    {"handle", OPTION_OTHER, 0, 0, 0,
     "function(conn): called for each connection, which is closed when it returns"},
    {"on_open", OPTION_OTHER, 0, 0, 0, "function(conn), instead of handle: a client has come"},
    {"on_line", OPTION_OTHER, 0, 0, 0, "function(conn, line): a line has come"},
    {"on_data", OPTION_OTHER, 0, 0, 0, "function(conn, bytes): bytes have come"},
    {"on_close", OPTION_OTHER, 0, 0, 0, "function(conn): the connection has ended"},
    {"idle", OPTION_TIME, AT(idle), 0, 0, "longest wait for input or room; 0 = any (5m)"},
    {"max_line", OPTION_SIZE, AT(max_line), 1, 67108864, "longest line (64K)"},
    {"unix_mode", OPTION_OTHER, 0, 0, 0, "permissions of Unix sockets, octal, as text (\"0666\")"},
    {"max_connections", OPTION_COUNT, AT(max_connections), 0, 1000000,
     "clients at once; further ones wait; 0 = medusa.max_connections (0)"},
    {"backlog", OPTION_COUNT, AT(backlog), 1, 65535, "connections that wait in the kernel (4096)"},
    {"min_rate", OPTION_SIZE, AT(min_rate), 0, 1 << 30,
     "bytes a second that a client must take while it is sent to, averaged over rate_window; 0 = "
     "any (100)"},
    {"rate_window", OPTION_TIME, AT(rate_window), 1000, 3600000,
     "how long a client may pause that is fast else (30s)"},
    {"linger", OPTION_TIME, AT(linger), 0, 60000,
     "after the server has ended the connection, how long the client may go on sending (2s)"},
};
const size_t l_tcp_option_count = COUNT_OF(l_tcp_options);

static void read_settings(lua_State *L, struct declared_tcp *d)
{
    struct server_settings *s = &d->settings;
    server_settings_default(s);
    struct tcp_options o = {.max_connections = 0,
                            .backlog = (uint64_t)s->backlog,
                            .max_line = 64 * KIB,
                            .min_rate = s->rate_bytes * 1000 / s->rate_ms,
                            .rate_window = s->rate_ms,
                            .linger = s->linger_ms,
                            .idle = 300000};
    l_read_options(L, 1, WHAT, l_tcp_options, l_tcp_option_count, &o);
    s->max_sessions = o.max_connections ? (size_t)o.max_connections : SIZE_MAX; /* see declare.h */
    s->backlog = (int)o.backlog;
    s->linger_ms = (uint32_t)o.linger;
    s->rate_ms = (uint32_t)o.rate_window;
    s->rate_bytes = o.min_rate * (uint64_t)o.rate_window / 1000;
    l_declare_unix_mode(L, WHAT, s);
    d->max_line = (uint32_t)o.max_line;
    d->idle_ms = (uint32_t)MIN(o.idle, (int64_t)UINT32_MAX);
}

static void read_functions(lua_State *L, struct declared_tcp *d)
{
    static const char *const names[TCP_EVENTS] = {"handle", "on_open", "on_line", "on_data",
                                                  "on_close"};
    for (int i = 0; i < TCP_EVENTS; i++) {
        int type = lua_getfield(L, 1, names[i]);
        d->functions[i] = LUA_NOREF;
        if (type == LUA_TFUNCTION)
            d->functions[i] = luaL_ref(L, LUA_REGISTRYINDEX);
        else if (type != LUA_TNIL)
            luaL_error(L, WHAT ": %s: a function is expected, not %s", names[i],
                       luaL_typename(L, -1));
        else
            lua_pop(L, 1);
    }
    bool line = d->functions[TCP_ON_LINE] != LUA_NOREF,
         data = d->functions[TCP_ON_DATA] != LUA_NOREF;
    bool handle = d->functions[TCP_HANDLE] != LUA_NOREF;
    if (!handle && !line && !data)
        luaL_error(L, WHAT ": handle = function(conn) ... end is missing (or on_line, or on_data)");
    if (handle + line + data > 1)
        luaL_error(L, WHAT
                   ": one of handle, on_line and on_data answers a connection, not two of them");
}

static int l_server(lua_State *L)
{
    lua_settop(L, 1);
    struct declared_tcp *d = l_declare(L, &tcp_kind, sizeof *d, WHAT);
    read_settings(L, d);
    d->base.settings = &d->settings;
    read_functions(L, d);
    l_declare_listen(L, &d->base, WHAT, d->listen);
    return 0;
}

const struct l_function l_tcp_functions[] = {
    {"medusa.tcp.server", l_server, "{listen = ADDRESS, handle = function(conn) ... end, ...}",
     "Declares a TCP server: handle is called for each connection, as a task of its own. Or "
     "on_line / on_data (and on_open, "
     "on_close): functions that are called for what comes; an idle connection then costs less than "
     "half the memory."},
};
const size_t l_tcp_function_count = COUNT_OF(l_tcp_functions);

void l_open_tcp(lua_State *L)
{
    l_open_conn(L);
    lua_newtable(L);
    l_set_functions(L, l_tcp_functions, l_tcp_function_count);
    lua_setfield(L, -2, "tcp");
}
