/* l_udp: medusa.udp: declared servers, sockets of a script's own, and their methods. */
#include "script/udp_unit.h"

#include "script/l_lookup.h"
#include "script/l_task.h"
#include "script/libs.h"
#include "service/resolver.h"

#include <errno.h>

#define DATAGRAM_MAX 65507

struct udp_client {
    struct udp_handle handle;
    struct dgram dgram;
    struct udp_queue queue;
    struct host *host;
    struct l_task *reader;
    struct loop_deferred grave;
};

void udp_push(lua_State *L, slice data, const struct addr *from)
{
    char room[PEER_TEXT_MAX];
    struct fmt f = fmt_on(room, sizeof room);
    struct peer_addr peer = peer_addr_of(&from->any, from->bytes);
    peer_addr_put(&f, &peer);
    l_push_slice(L, data);
    l_push_slice(L, fmt_done(&f));
    lua_pushinteger(L, peer.port);
}

/* The handle behind the userdata at 1, or NULL when it is closed. */
static struct udp_handle *check_socket(lua_State *L)
{
    return l_link_object(l_check_object(L, 1, META_UDP, "UDP socket"));
}

/* ---- medusa.udp.server ---- */

#define SERVER "medusa.udp.server"

struct udp_options {
    uint64_t tasks, queue;
};

#define AT(member) offsetof(struct udp_options, member)

static const struct l_option server_options[] = {
    {"listen", OPTION_OTHER, 0, 0, 0,
     "where: \":5353\", \"127.0.0.1:5353\", \"unix:/path\", or a list of them"},
    {"on_datagram", OPTION_OTHER, 0, 0, 0,
     "function(socket, data, address, port): called for each, as a task of its own"},
    {"tasks", OPTION_COUNT, AT(tasks), 1, 10000, "so many at a time (1: one after the other)"},
    {"queue", OPTION_COUNT, AT(queue), 0, 100000,
     "so many wait meanwhile; further ones are dropped and counted (256)"},
};

static int l_server(lua_State *L)
{
    lua_settop(L, 1);
    struct declared_udp *d = l_declare(L, &udp_kind, sizeof *d, SERVER);
    struct udp_options o = {.tasks = 1, .queue = 256};
    l_read_options(L, 1, SERVER, server_options, COUNT_OF(server_options), &o);
    d->max_tasks = (unsigned)o.tasks;
    d->max_queue = (unsigned)o.queue;
    if (lua_getfield(L, 1, "on_datagram") != LUA_TFUNCTION)
        luaL_error(L, SERVER
                   ": on_datagram = function(socket, data, address, port) ... end is missing");
    d->function = luaL_ref(L, LUA_REGISTRYINDEX);
    l_declare_listen(L, &d->base, SERVER, d->listen);
    return 0;
}

/* ---- medusa.udp.open ---- */

static void bury(struct loop_deferred *d)
{
    struct udp_client *c = CONTAINER_OF(d, struct udp_client, grave);
    struct host *host = c->host;
    host->out_count--;
    mem_free(&host->owner, c, sizeof *c);
}

static void close_client(struct udp_client *c)
{
    dgram_close(&c->dgram);
    udp_queue_clear(&c->queue);
    l_link_cut(&c->handle.link);
    list_remove(&c->handle.base.node);
    loop_bury(c->host->loop, &c->grave);
}

static void end_client(struct belonging *b)
{
    close_client(CONTAINER_OF(b, struct udp_client, handle.base));
}

static void on_datagram(struct dgram *d, slice in, const struct addr *from)
{
    struct udp_client *c = CONTAINER_OF(d, struct udp_client, dgram);
    struct l_task *reader = c->reader;
    udp_queue_put(&c->queue, in, from);
    c->reader = NULL;
    if (reader)
        l_task_wake(reader);
}

static const struct l_option open_options[] = {
    {"listen", OPTION_OTHER, 0, 0, 0, "the own address (any free port)"},
    {"queue", OPTION_COUNT, AT(queue), 1, 100000,
     "so many wait to be received; further ones are dropped and counted (256)"},
};

static void read_own_address(lua_State *L, struct addr *addr)
{
    const char *why;
    slice text = SLICE(":0");
    if (lua_istable(L, 1) && lua_getfield(L, 1, "listen") != LUA_TNIL) {
        if (lua_type(L, -1) != LUA_TSTRING && !lua_isinteger(L, -1))
            luaL_error(L, "medusa.udp.open: listen: an address is expected, not %s",
                       luaL_typename(L, -1));
        text = l_check_slice(L, -1);
    }
    if (!addr_parse(text, addr, &why))
        luaL_error(L, "medusa.udp.open: listen: \"%s\": %s", text.p, why);
}

/* NULL without memory; else its socket is not open yet. */
static struct udp_client *make_client(struct version *v, struct l_link *link, unsigned queue)
{
    struct host *host = v->host;
    struct udp_client *c = mem_alloc0(&host->owner, sizeof *c);
    if (!c)
        return NULL;
    c->host = host;
    host->out_count++;
    c->handle = (struct udp_handle){.dgram = &c->dgram,
                                    .queue = &c->queue,
                                    .client = c,
                                    .link = link,
                                    .version = v,
                                    .anchor = LUA_NOREF};
    link->object = &c->handle;
    version_own(v, &c->handle.base, end_client);
    udp_queue_init(&c->queue, &host->owner, queue);
    loop_deferred_init(&c->grave, bury);
    c->dgram.on_datagram = on_datagram;
    return c;
}

static int l_open(lua_State *L)
{
    struct udp_options o = {.queue = 256};
    struct addr addr;
    lua_settop(L, 1);
    if (!lua_isnil(L, 1))
        l_read_options(L, 1, "medusa.udp.open", open_options, COUNT_OF(open_options), &o);
    read_own_address(L, &addr);
    struct l_link **userdata = l_new_object(L, META_UDP, sizeof *userdata, 0);
    *userdata = l_link_new(L, NULL);
    struct l_link *link = *userdata;
    struct udp_client *c = make_client(version_of(L), link, (unsigned)o.queue);
    if (!c) {
        l_link_cut(&link);
        return l_fail(L, "not enough memory");
    }
    int error = dgram_open(&c->dgram, c->host->loop, &addr);
    if (error < 0) {
        c->dgram = (struct dgram){.lfd.fd = -1, .loop = c->host->loop};
        close_client(c);
        return l_fail_errno(L, error);
    }
    dgram_start(&c->dgram);
    return 1;
}

/* ---- Methods ---- */

static int send_to(lua_State *L, const struct addr *addrs, int count)
{
    struct udp_handle *h = check_socket(L);
    if (!h)
        return l_fail(L, "closed");
    int error = -EAFNOSUPPORT;
    for (int i = 0; i < count && error < 0; i++)
        error = dgram_send(h->dgram, l_check_slice(L, 2), &addrs[i]);
    if (error < 0)
        return l_fail_errno(L, error);
    lua_settop(L, 1);
    return 1;
}

static int send_resolved(lua_State *L, int status, lua_KContext ctx)
{
    struct addr addrs[RESOLVE_MAX];
    int count = l_lookup_take(L, 3, addrs);
    return count < 0 ? l_lookup_fail(L, count) : send_to(L, addrs, count);
}

static void read_target(lua_State *L, slice *host, uint16_t *port)
{
    slice text = l_check_slice(L, 3);
    if (lua_isnoneornil(L, 4)) {
        if (!l_split_address(text, host, port))
            luaL_argerror(L, 3, "an address is expected: \"host:port\", or host, port");
        return;
    }
    lua_Integer n = luaL_checkinteger(L, 4);
    luaL_argcheck(L, n >= 1 && n <= 65535, 4, "a port is a number from 1 to 65535");
    *host = text;
    *port = (uint16_t)n;
}

static int l_send(lua_State *L)
{
    struct addr addr;
    slice host;
    uint16_t port;
    const char *why;
    struct udp_handle *h = check_socket(L);
    luaL_argcheck(L, l_check_slice(L, 2).n <= DATAGRAM_MAX, 2,
                  "a datagram has at most 65507 bytes");
    read_target(L, &host, &port);
    if (!h)
        return l_fail(L, "closed");
    bool is_unix = slice_has_prefix(host, SLICE("unix:"));
    if (is_unix ? addr_parse(host, &addr, &why) : addr_of_host(host, port, &addr))
        return send_to(L, &addr, 1);
    l_task_check_wait(L, "socket:send to a name");
    int error = l_lookup_start(L, host, port);
    if (error < 0)
        return l_lookup_fail(L, error);
    lua_replace(L, 3);
    lua_settop(L, 3);
    return l_lookup_wait(L, send_resolved, 0);
}

static void cancel_receive(struct l_task *t, void *what)
{
    struct udp_handle *h = l_link_object(what);
    if (h && h->client->reader == t)
        h->client->reader = NULL;
}

/* [due]: in loop_now_ms's time. */
static int receive(lua_State *L, int status, lua_KContext due)
{
    struct udp_handle *h = check_socket(L);
    struct udp_client *c = h ? h->client : NULL;
    if (!c)
        return l_fail(L, "closed");
    if (c->reader == l_task_current(L))
        c->reader = NULL; /* its time is over */
    struct udp_datagram *d = udp_queue_head(&c->queue);
    if (d) {
        udp_push(L, slice_of(d->data, d->n), &d->from);
        udp_queue_drop_head(&c->queue);
        return 3;
    }
    if (loop_now_ms(c->host->loop) >= due)
        return l_fail(L, "timeout");
    l_task_check_wait(L, "socket:receive");
    if (c->reader)
        return luaL_error(L, "another task is receiving from this socket already");
    c->reader = l_task_current(L);
    return l_task_wait_until(L, due, cancel_receive, lua_touserdata(L, 1), receive, due);
}

static int l_receive(lua_State *L)
{
    const struct udp_handle *h = check_socket(L);
    if (h && !h->client)
        return luaL_error(L, "what comes to a server goes to its on_datagram");
    int64_t due = INT64_MAX;
    if (!lua_isnoneornil(L, 2))
        due = l_check_time(L, 2) + loop_now_ms(version_of(L)->host->loop);
    lua_settop(L, 1);
    return receive(L, LUA_OK, due);
}

static int l_address(lua_State *L)
{
    const struct udp_handle *h = check_socket(L);
    if (!h)
        return l_fail(L, "closed");
    char room[160];
    struct fmt f = fmt_on(room, sizeof room);
    addr_put(&f, &h->dgram->addr);
    l_push_slice(L, fmt_done(&f));
    return 1;
}

static int l_dropped(lua_State *L)
{
    const struct udp_handle *h = check_socket(L);
    lua_pushinteger(L, h ? (lua_Integer)h->queue->dropped : 0);
    return 1;
}

static int l_close(lua_State *L)
{
    struct udp_handle *h = check_socket(L);
    if (h && !h->client)
        return luaL_error(
            L, "a server's socket is closed by a reload that does not declare it any more");
    struct l_task *reader = h ? h->client->reader : NULL;
    if (h)
        close_client(h->client);
    if (reader)
        l_task_wake(reader);
    return 0;
}

static int collect(lua_State *L)
{
    struct l_link **userdata = lua_touserdata(L, 1);
    struct udp_handle *h = l_link_drop(userdata);
    if (!h)
        return 0;
    if (h->client)
        close_client(h->client);
    else
        h->base.end(&h->base);
    return 0;
}

const struct l_function l_udp_functions[] = {
    {"medusa.udp.server", l_server,
     "{listen = ADDRESS, on_datagram = function(socket, data, address, port) ... end, ...}",
     "Declares a server of datagrams. on_datagram is called for each, as a task of its own; tasks "
     "= N (1) are at work at a time, "
     "queue = N (256) others wait, the rest is dropped and counted."},
    {"medusa.udp.open", l_open, "([options]) -> socket | nil, error",
     "A socket to send from and receive with. Options: listen (any free port), queue (256 "
     "datagrams that wait to be received)."},
};
const size_t l_udp_function_count = COUNT_OF(l_udp_functions);

const struct l_function l_udp_methods[] = {
    {"socket:send", l_send, "(data, address, port) -> socket | nil, error",
     "Sends one datagram, now or never; also (data, \"host:port\"). Waits only when a name must be "
     "looked up.",
     true},
    {"socket:receive", l_receive, "([timeout]) -> data, address, port | nil, error",
     "The next datagram, of a socket of medusa.udp.open; nil, \"timeout\" when none comes in that "
     "time.",
     true},
    {"socket:address", l_address, "() -> text", "Its own address, \"127.0.0.1:5353\"."},
    {"socket:dropped", l_dropped, "() -> count", "Datagrams that came and found the queue full."},
    {"socket:close", l_close, "()",
     "Closes a socket of medusa.udp.open; forgetting it does the same, later."},
};
const size_t l_udp_method_count = COUNT_OF(l_udp_methods);

void l_open_udp(lua_State *L)
{
    const struct l_class class = {.meta = META_UDP,
                                  .name = "UDP socket",
                                  .methods = l_udp_methods,
                                  .count = COUNT_OF(l_udp_methods),
                                  .gc = collect};
    l_make_meta(L, &class);
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[META_UDP]);
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
    lua_newtable(L);
    l_set_functions(L, l_udp_functions, COUNT_OF(l_udp_functions));
    lua_setfield(L, -2, "udp");
}
