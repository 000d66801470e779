/* pressure: the ladder. */
#include "main/pressure.h"

#define LOOK_MS        100
#define DRAIN_MS       10  /* between two walks through all sessions */
#define DRAIN_SESSIONS 100 /* in one walk */

/* This one's part of what is wanted, at least one: [has] of p->total. */
static size_t share(const struct pressure *p, size_t has)
{
    return (size_t)((double)p->wanted * (double)has / (double)MAX(p->total, 1)) + 1;
}

/* ---- Trees ---- */

static size_t weight_of(const struct vfs *vfs)
{
    struct vfs_stats stats;
    vfs_stats(vfs, &stats);
    return stats.content_bytes + stats.entries;
}

static void add_tree(struct pressure *p, struct vfs *vfs)
{
    p->total += weight_of(vfs);
}

static void shrink_tree(struct pressure *p, struct vfs *vfs)
{
    (void)vfs_shrink(vfs, share(p, weight_of(vfs)));
}

static void shrink(struct pressure *p, size_t bytes)
{
    p->wanted = bytes;
    p->total = 0;
    p->ops->trees(p->owner, add_tree, p);
    p->ops->trees(p->owner, shrink_tree, p);
}

/* ---- Servers ---- */

static void add_server(struct pressure *p, struct server *server)
{
    p->total += server->session_count;
}

static void drain_server(struct pressure *p, struct server *server)
{
    size_t count = MIN(share(p, server->session_count), DRAIN_SESSIONS);
    (void)server_drain_oldest(server, count);
}

static void drain(struct pressure *p)
{
    p->wanted = DRAIN_SESSIONS;
    p->total = 0;
    p->ops->servers(p->owner, add_server, p);
    p->ops->servers(p->owner, drain_server, p);
}

static void hold_server(struct pressure *p, struct server *server)
{
    for (struct server_port *port = server->ports; port; port = port->next) {
        if (p->is_holding)
            listener_hold(&port->listener);
        else if (server->session_count < server->settings.max_sessions)
            listener_go_on(&port->listener);
    }
}

/* While it holds, it says so at every look: ports may have come, or gone on for a reason of their
 * own. */
static void hold(struct pressure *p, bool on)
{
    bool is_news = p->is_holding != on;
    p->is_holding = on;
    if (on || is_news)
        p->ops->servers(p->owner, hold_server, p);
    if (is_news)
        log_line(loop_log(p->loop), LOG_WARNING, on ? "memory.high" : "memory.normal",
                 on ? "memory is nearly spent (%zu of %zu bytes): new connections wait"
                    : "memory is free again (%zu of %zu bytes)",
                 p->book->bytes, p->book->budget);
}

/* ---- Looking ---- */

static void relieve(struct pressure *p)
{
    size_t budget = p->book->budget, bytes = p->book->bytes;
    int64_t now = loop_now_ms(p->loop);
    if (bytes > budget / 100 * 75)
        shrink(p, bytes - budget / 100 * 70);
    if (p->book->bytes > budget / 100 * 85 && now >= p->drain_ms) {
        drain(p);
        p->drain_ms = now + DRAIN_MS;
    }
    hold(p, p->book->bytes > budget / 100 * (p->is_holding ? 85 : 92));
}

static void look(struct timeout *t)
{
    struct pressure *p = CONTAINER_OF(t, struct pressure, timeout);
    relieve(p);
    timeout_set(loop_wheel(p->loop), t, loop_now_ms(p->loop) + LOOK_MS);
}

static void look_now(struct loop_deferred *d)
{
    relieve(CONTAINER_OF(d, struct pressure, now));
}

/* A burst of clients fills in a few turns what is left: waiting for the next look, they would be
 * refused while the cache keeps what nobody asks for. */
static void on_high(struct mem_book *book)
{
    struct pressure *p = book->high_owner;
    loop_defer(p->loop, &p->now);
}

void pressure_start(struct pressure *p, struct loop *loop, struct mem_book *book,
                    const struct pressure_ops *ops, void *owner)
{
    *p = (struct pressure){.loop = loop, .book = book, .ops = ops, .owner = owner};
    timeout_init(&p->timeout, look);
    loop_deferred_init(&p->now, look_now);
    book->high_owner = p;
    book->on_high = on_high;
    pressure_change(p);
}

void pressure_change(struct pressure *p)
{
    if (p->book->budget) {
        p->book->high = p->book->budget / 100 * 75;
        timeout_clear(&p->timeout);
        look(&p->timeout);
    } else {
        pressure_stop(p);
        hold(p, false);
    }
}

void pressure_stop(struct pressure *p)
{
    p->book->high = SIZE_MAX;
    loop_defer_cancel(&p->now);
    timeout_clear(&p->timeout);
}
