/* l_net: medusa.resolve and medusa.tcp.connect. */
#include "script/l_lookup.h"
#include "script/l_task.h"
#include "script/libs.h"
#include "script/out_conn.h"

#include <errno.h>

/* ---- medusa.resolve ---- */

static int resolved(lua_State *L, int status, lua_KContext ctx)
{
    struct addr addrs[RESOLVE_MAX];
    int count = l_lookup_take(L, 2, addrs);
    if (count < 0)
        return l_lookup_fail(L, count);
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        char room[160];
        struct fmt f = fmt_on(room, sizeof room);
        if (addrs[i].any.sa_family == AF_UNIX) {
            addr_put(&f, &addrs[i]);
        } else {
            struct peer_addr peer = peer_addr_of(&addrs[i].any, addrs[i].bytes);
            peer_addr_put(&f, &peer);
        }
        l_push_slice(L, fmt_done(&f));
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int l_resolve(lua_State *L)
{
    slice name = l_check_slice(L, 1);
    l_task_check_wait(L, "medusa.resolve");
    lua_settop(L, 1);
    int error = l_lookup_start(L, name, 0);
    return error < 0 ? l_lookup_fail(L, error) : l_lookup_wait(L, resolved, 0);
}

/* ---- medusa.tcp.connect ---- */

#define WHAT "medusa.tcp.connect"

struct connect_options {
    int64_t timeout, idle;
    uint64_t max_line;
};

#define AT(member) offsetof(struct connect_options, member)

const struct l_option l_connect_options[] = {
    {"timeout", OPTION_TIME, AT(timeout), 1, 3600000,
     "longest time until the connection is there, with the look-up of the name (10s)"},
    {"idle", OPTION_TIME, AT(idle), 0, 0, "longest wait for input or room; 0 = any (5m)"},
    {"max_line", OPTION_SIZE, AT(max_line), 1, 67108864, "longest line (64K)"},
};
const size_t l_connect_option_count = COUNT_OF(l_connect_options);

static int fail_connect(lua_State *L, int error, bool is_resolution)
{
    if (error == -ETIMEDOUT && !is_resolution)
        return l_fail(L, "timeout");
    return is_resolution ? l_lookup_fail(L, error) : l_fail_errno(L, error);
}

/* The handle is at 1. */
static int connected(lua_State *L, int status, lua_KContext ctx)
{
    struct l_conn *handle = lua_touserdata(L, 1);
    struct conn *c = l_link_object(handle);
    if (!c)
        return l_fail(L, "closed");
    struct out_conn *oc = CONTAINER_OF(c, struct out_conn, conn);
    if (oc->state != OUT_OPEN) {
        int error = oc->error;
        bool is_resolution = oc->is_resolution;
        out_conn_drop(oc);
        return fail_connect(L, error, is_resolution);
    }
    handle->peer = peer_addr_of(&oc->addr.any, oc->addr.bytes);
    lua_settop(L, 1);
    return 1;
}

static void cancel(struct l_task *t, void *what)
{
    out_conn_drop(what);
}

/* ("host:port", [options]) or (host, port, [options]); where the options may stand. */
static int read_address(lua_State *L, slice *host, uint16_t *port)
{
    slice text = l_check_slice(L, 1);
    if (lua_isinteger(L, 2)) {
        lua_Integer n = lua_tointeger(L, 2);
        luaL_argcheck(L, n >= 1 && n <= 65535, 2, "a port is a number from 1 to 65535");
        *port = (uint16_t)n;
        *host = text;
        return 3;
    }
    if (!l_split_address(text, host, port))
        luaL_argerror(
            L, 1,
            "an address is expected: \"host:port\", \"[::1]:port\", \"unix:/path\", or host, port");
    return 2;
}

static int l_connect(lua_State *L)
{
    struct connect_options o = {.timeout = 10000, .idle = 300000, .max_line = 64 * KIB};
    slice host;
    uint16_t port;
    int at = read_address(L, &host, &port);
    if (!lua_isnoneornil(L, at))
        l_read_options(L, at, WHAT, l_connect_options, l_connect_option_count, &o);
    l_task_check_wait(L, WHAT);
    struct l_conn *handle = l_new_object(L, META_CONN, sizeof *handle, 1);
    handle->link = l_link_new(L, NULL);
    int error;
    struct out_conn *oc =
        out_conn_start(version_of(L), host, port, o.timeout, handle->link, &error);
    if (!oc)
        return fail_connect(L, error, true);
    oc->conn.idle_ms = (uint32_t)MIN(o.idle, (int64_t)UINT32_MAX);
    oc->conn.max_line = (uint32_t)o.max_line;
    oc->task = l_task_current(L);
    lua_replace(L, 1);
    return l_task_wait(L, cancel, oc, connected, 0);
}

const struct l_function l_net_functions[] = {
    {"medusa.resolve", l_resolve, "(name) -> {address, ...} | nil, error",
     "The addresses of a host, best first: as the system's files and name servers say.", true},
    {"medusa.tcp.connect", l_connect, "(\"host:port\", [options]) -> conn | nil, error",
     "Opens a connection; also (host, port, [options]) and \"unix:/path\". Options: timeout (10s), "
     "idle (5m; 0 = any), "
     "max_line (64K). It is closed when the script forgets it, and when a reload has replaced the "
     "script's last user of it.",
     true},
};
const size_t l_net_function_count = COUNT_OF(l_net_functions);

void l_open_net(lua_State *L)
{
    l_open_lookup(L);
    l_set_functions(L, l_net_functions, 1);
    lua_getfield(L, -1, "tcp");
    l_set_functions(L, l_net_functions + 1, COUNT_OF(l_net_functions) - 1);
    lua_pop(L, 1);
}
