/* pressure: the ladder. */
#include "main/pressure.h"

#define LOOK_MS  100
#define DRAIN_MS 10 /* between two walks through all sessions */

static void hold(struct pressure *p, bool on)
{
    if (p->is_holding == on)
        return;
    p->is_holding = on;
    for (struct server_port *port = p->server->ports; port; port = port->next) {
        if (on)
            listener_hold(&port->listener);
        else if (p->server->session_count < p->server->settings.max_sessions)
            listener_go_on(&port->listener);
    }
    log_line(loop_log(p->server->io->loop), LOG_WARNING, on ? "memory.high" : "memory.normal",
             on ? "memory is nearly spent (%zu of %zu bytes): new connections wait"
                : "memory is free again (%zu of %zu bytes)",
             p->book->bytes, p->book->budget);
}

static void relieve(struct pressure *p)
{
    size_t budget = p->book->budget, bytes = p->book->bytes;
    int64_t now = loop_now_ms(p->server->io->loop);
    if (bytes > budget / 100 * 75)
        vfs_shrink(p->vfs, bytes - budget / 100 * 70);
    if (p->book->bytes > budget / 100 * 85 && now >= p->drain_ms) {
        server_drain_oldest(p->server, 100);
        p->drain_ms = now + DRAIN_MS;
    }
    hold(p, p->book->bytes > budget / 100 * (p->is_holding ? 85 : 92));
}

static void look(struct timeout *t)
{
    struct pressure *p = CONTAINER_OF(t, struct pressure, timeout);
    struct loop *loop = p->server->io->loop;
    relieve(p);
    timeout_set(loop_wheel(loop), t, loop_now_ms(loop) + LOOK_MS);
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
    loop_defer(p->server->io->loop, &p->now);
}

void pressure_start(struct pressure *p, struct mem_book *book, struct server *server,
                    struct vfs *vfs)
{
    *p = (struct pressure){.book = book, .server = server, .vfs = vfs};
    timeout_init(&p->timeout, look);
    loop_deferred_init(&p->now, look_now);
    if (!book->budget)
        return;
    book->high = book->budget / 100 * 75;
    book->high_owner = p;
    book->on_high = on_high;
    look(&p->timeout);
}

void pressure_stop(struct pressure *p)
{
    p->book->high = SIZE_MAX;
    loop_defer_cancel(&p->now);
    timeout_clear(&p->timeout);
}
