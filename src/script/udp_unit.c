/* udp_unit: servers of datagrams. Each datagram is a task of its own; when as many as may are at
 * work, others wait in a queue. */
#include "script/udp_unit.h"

#include "base/check.h"
#include "script/l_log.h"
#include "script/l_task.h"

#include <errno.h>

struct live_udp {
    struct live base; /* first */
    struct list_node ports;
};

struct udp_port {
    struct dgram dgram;
    struct live_udp *live;
    struct host *host;
    struct list_node node; /* in live->ports */
    struct list_node handles;
    struct udp_handle *current; /* of the version that answers; its userdata is anchored */
    struct udp_queue queue;
    unsigned running;
    bool is_leaving, is_looping;
    struct loop_deferred more; /* the queue goes on in the next turn */
    struct loop_deferred grave;
};

static struct live_udp *of_live(struct live *l)
{
    return CONTAINER_OF(l, struct live_udp, base);
}

static const struct declared_udp *declared_of(const struct live_udp *lu)
{
    return CONTAINER_OF(lu->base.declared, struct declared_udp, base);
}

/* ---- Queues ---- */

void udp_queue_init(struct udp_queue *q, struct mem_owner *owner, unsigned max)
{
    *q = (struct udp_queue){.owner = owner, .max = max};
    list_init(&q->list);
}

void udp_queue_put(struct udp_queue *q, slice data, const struct addr *from)
{
    struct udp_datagram *d = q->count < q->max ? mem_alloc(q->owner, sizeof *d + data.n) : NULL;
    if (!d) {
        q->dropped++;
        return;
    }
    *d = (struct udp_datagram){.from = *from, .n = data.n};
    if (data.n)
        memcpy(d->data, data.p, data.n);
    list_push_back(&q->list, &d->node);
    q->count++;
}

struct udp_datagram *udp_queue_head(const struct udp_queue *q)
{
    return q->count ? CONTAINER_OF(q->list.next, struct udp_datagram, node) : NULL;
}

void udp_queue_drop_head(struct udp_queue *q)
{
    struct udp_datagram *d = udp_queue_head(q);
    list_remove(&d->node);
    q->count--;
    mem_free(q->owner, d, sizeof *d + d->n);
}

void udp_queue_clear(struct udp_queue *q)
{
    while (q->count)
        udp_queue_drop_head(q);
}

/* ---- Handles ---- */

static void free_handle(struct udp_handle *h)
{
    struct host *host = h->port->host;
    if (h->port->current == h)
        h->port->current = NULL;
    l_link_cut(&h->link);
    list_remove(&h->base.node);
    list_remove(&h->node);
    mem_free(&host->owner, h, sizeof *h);
}

static void end_handle(struct belonging *b)
{
    free_handle(CONTAINER_OF(b, struct udp_handle, base));
}

static void forget_current(struct udp_port *port)
{
    struct udp_handle *h = port->current;
    port->current = NULL;
    if (h)
        luaL_unref(h->version->L, LUA_REGISTRYINDEX, h->anchor);
}

static void make_handle(lua_State *L, struct udp_port *port)
{
    struct l_link **userdata = l_new_object(L, META_UDP, sizeof *userdata, 0);
    *userdata = l_link_new(L, NULL);
    struct l_link *link = *userdata;
    struct udp_handle *h = mem_alloc0(&port->host->owner, sizeof *h);
    if (!h) {
        l_link_cut(&link);
        luaL_error(L, "not enough memory");
        return;
    }
    *h = (struct udp_handle){.dgram = &port->dgram,
                             .queue = &port->queue,
                             .link = link,
                             .version = version_of(L),
                             .port = port};
    link->object = h;
    version_own(h->version, &h->base, end_handle);
    list_push_back(&port->handles, &h->node);
    lua_pushvalue(L, -1);
    h->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    port->current = h;
}

/* ---- Tasks ---- */

struct event {
    struct udp_port *port;
    slice data;
    const struct addr *from;
};

static int returned(lua_State *L, int status, lua_KContext ctx)
{
    return 0;
}

static int body(lua_State *L)
{
    const struct event *e = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, declared_of(e->port->live)->function);
    if (e->port->current)
        lua_rawgeti(L, LUA_REGISTRYINDEX, e->port->current->anchor);
    else
        make_handle(L, e->port);
    udp_push(L, e->data, e->from);
    lua_callk(L, 4, 0, 0, returned);
    return 0;
}

static void run_queue(struct udp_port *port);

static void on_done(struct l_task *t, const char *error)
{
    struct udp_port *port = t->owner;
    if (error && !slice_is(slice_str(error), SLICE("cancelled")))
        l_log_error(t->version, "script.error", SLICE("datagram"), error);
    port->running--;
    run_queue(port);
}

static void start_task(struct udp_port *port, slice data, const struct addr *from)
{
    struct l_task *t = l_task_new(port->live->base.declared->version);
    if (!t) {
        port->queue.dropped++;
        return;
    }
    t->owner = port;
    t->on_done = on_done;
    port->running++;
    BUG_ON(port->host->running);
    struct event e = {port, data, from};
    l_task_start(t, body, &e);
}

static bool may_start(const struct udp_port *port)
{
    return port->running < declared_of(port->live)->max_tasks && !l_task_is_turn_spent(port->host);
}

static void on_datagram(struct dgram *d, slice in, const struct addr *from)
{
    struct udp_port *port = CONTAINER_OF(d, struct udp_port, dgram);
    if (!port->queue.count && may_start(port)) {
        port->is_looping = true; /* for on_done: one task after the other, not one in the other */
        start_task(port, in, from);
        port->is_looping = false;
    } else {
        udp_queue_put(&port->queue, in, from);
    }
    run_queue(port);
}

/* ---- Ports ---- */

static void bury_port(struct loop_deferred *d)
{
    struct udp_port *port = CONTAINER_OF(d, struct udp_port, grave);
    struct host *host = port->host;
    host->out_count--;
    mem_free(&host->owner, port, sizeof *port);
}

static void close_port(struct udp_port *port)
{
    struct live_udp *lu = port->live;
    forget_current(port);
    LIST_EACH_SAFE (n, &port->handles)
        free_handle(CONTAINER_OF(n, struct udp_handle, node));
    udp_queue_clear(&port->queue);
    dgram_close(&port->dgram);
    loop_defer_cancel(&port->more);
    list_remove(&port->node);
    loop_bury(port->host->loop, &port->grave);
    live_check_empty(&lu->base);
}

/* Starts what waits, and ends a port whose last task has ended. */
static void run_queue(struct udp_port *port)
{
    if (port->is_looping)
        return;
    port->is_looping = true;
    while (port->queue.count && may_start(port)) {
        struct udp_datagram *d = udp_queue_head(&port->queue);
        list_remove(&d->node);
        port->queue.count--;
        start_task(port, slice_of(d->data, d->n), &d->from);
        mem_free(port->queue.owner, d, sizeof *d + d->n);
    }
    port->is_looping = false;
    if (port->is_leaving && !port->running)
        close_port(port);
    else if (port->queue.count && !port->running)
        loop_defer(port->host->loop, &port->more);
}

static void on_more(struct loop_deferred *d)
{
    run_queue(CONTAINER_OF(d, struct udp_port, more));
}

/* ---- The kind ---- */

static struct live *make(struct declared *d)
{
    struct live_udp *lu = mem_alloc0(&d->version->host->owner, sizeof *lu);
    if (!lu)
        return NULL;
    list_init(&lu->ports);
    return &lu->base;
}

static void adopt(struct live *l)
{
    LIST_EACH (n, &of_live(l)->ports) {
        struct udp_port *port = CONTAINER_OF(n, struct udp_port, node);
        forget_current(port);
        port->queue.max = declared_of(port->live)->max_queue;
    }
}

static int listen_at(struct live *l, const struct addr *addr, bool proxied, void **port_out)
{
    struct host *host = l->host;
    struct udp_port *port = mem_alloc0(&host->owner, sizeof *port);
    if (!port)
        return -ENOMEM;
    port->dgram.on_datagram = on_datagram;
    int error = proxied ? -EINVAL : dgram_open(&port->dgram, host->loop, addr);
    if (error < 0) {
        mem_free(&host->owner, port, sizeof *port);
        return error;
    }
    port->live = of_live(l);
    port->host = host;
    host->out_count++;
    list_init(&port->handles);
    udp_queue_init(&port->queue, &host->owner, 0);
    loop_deferred_init(&port->more, on_more);
    loop_deferred_init(&port->grave, bury_port);
    list_push_back(&port->live->ports, &port->node);
    *port_out = port;
    return 0;
}

static const struct addr *address(void *port)
{
    return &((struct udp_port *)port)->dgram.addr;
}

static void start(struct live *l)
{
    LIST_EACH (n, &of_live(l)->ports)
        dgram_start(&CONTAINER_OF(n, struct udp_port, node)->dgram);
}

/* Tasks that are at work may still answer. */
static void unlisten(struct live *l, void *at)
{
    struct udp_port *port = at;
    port->is_leaving = true;
    dgram_stop(&port->dgram);
    udp_queue_clear(&port->queue);
    run_queue(port);
}

static void nothing(struct live *l)
{
}

static bool is_empty(const struct live *l)
{
    return list_is_empty(&of_live((struct live *)l)->ports);
}

static void free_live(struct live *l)
{
    struct live_udp *lu = of_live(l);
    mem_free(&l->host->owner, lu, sizeof *lu);
}

static struct server *no_sessions(struct live *l)
{
    return NULL;
}

const struct server_kind udp_kind = {
    .name = "udp",
    .make = make,
    .adopt = adopt,
    .listen = listen_at,
    .address = address,
    .start = start,
    .unlisten = unlisten,
    .drain = nothing,
    .abort = nothing,
    .is_empty = is_empty,
    .server = no_sessions,
    .free = free_live,
};
