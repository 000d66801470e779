/* pressure: the ladder. */
#include "main/pressure.h"

#define LOOK_MS 100

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

static void look(struct timeout *t)
{
    struct pressure *p = CONTAINER_OF(t, struct pressure, timeout);
    struct loop *loop = p->server->io->loop;
    size_t budget = p->book->budget, bytes = p->book->bytes;
    if (bytes > budget / 100 * 75)
        vfs_shrink(p->vfs, bytes - budget / 100 * 70);
    if (p->book->bytes > budget / 100 * 85)
        server_drain_oldest(p->server, 100);
    hold(p, p->book->bytes > budget / 100 * (p->is_holding ? 85 : 92));
    timeout_set(loop_wheel(loop), t, loop_now_ms(loop) + LOOK_MS);
}

void pressure_start(struct pressure *p, struct mem_book *book, struct server *server,
                    struct vfs *vfs)
{
    *p = (struct pressure){.book = book, .server = server, .vfs = vfs};
    timeout_init(&p->timeout, look);
    if (book->budget)
        look(&p->timeout);
}

void pressure_stop(struct pressure *p)
{
    timeout_clear(&p->timeout);
}
