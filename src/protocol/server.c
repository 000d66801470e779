/* server: from accept to the end of a session. */
#include "protocol/server.h"

#include "base/check.h"

#include <errno.h>
#include <unistd.h>

#define NEW_S 2 /* so long is a session that says nothing not idle yet */

void server_settings_default(struct server_settings *settings)
{
    *settings = (struct server_settings){
        .max_sessions = 10000,
        .backlog = 4096,
        .unix_mode = 0666,
        .low_bytes = 32 * KIB,
        .high_bytes = 64 * KIB,
        .rate_bytes = 3000, /* 100 bytes a second */
        .rate_ms = 30000,
        .linger_ms = 2000,
    };
}

static struct server *of_stream(struct stream *s)
{
    return session_server(session_of_stream(s));
}

static uint32_t age_s(const struct server *server)
{
    return (uint32_t)((loop_now_ms(server->io->loop) - server->began_ms) / 1000);
}

static bool has_room(const struct server *server)
{
    return server->session_count < server->settings.max_sessions;
}

static void hold_ports(struct server *server)
{
    for (struct server_port *port = server->ports; port; port = port->next)
        listener_hold(&port->listener);
}

static void release_ports(struct server *server)
{
    for (struct server_port *port = server->ports; port; port = port->next)
        listener_go_on(&port->listener);
}

/* The end of every session: called when nothing of the turn can refer to it any more. */
static void on_closed(struct stream *s, int error)
{
    struct session *session = session_of_stream(s);
    struct server *server = of_stream(s);
    server->ops->on_closed(session, error);
    bool was_full = !has_room(server);
    list_remove(&session->link);
    server->session_count--;
    pool_put(&server->pool, session);
    if (was_full && !server->is_draining)
        release_ports(server);
    if (server->is_draining && server->session_count == 0 && server->on_empty)
        server->on_empty(server);
}

void server_init(struct server *server, const struct server_ops *ops, struct io *io,
                 struct mem_book *book, const struct server_settings *settings)
{
    *server =
        (struct server){.ops = ops, .settings = *settings, .stream_ops = ops->stream, .io = io};
    server->stream_ops.on_closed = on_closed;
    server->cls = (struct stream_class){
        .ops = &server->stream_ops,
        .io = io,
        .low_bytes = settings->low_bytes,
        .high_bytes = settings->high_bytes,
        .rate_bytes = settings->rate_bytes,
        .rate_ms = settings->rate_ms,
        .linger_ms = settings->linger_ms,
    };
    server->began_ms = loop_now_ms(io->loop);
    list_init(&server->sessions);
    mem_owner_init(&server->owner, book, ops->name);
    pool_init(&server->pool, &server->owner, ops->session_bytes);
}

void server_change(struct server *server, const struct server_settings *settings)
{
    bool was_full = !has_room(server);
    server->settings = *settings;
    server->cls.low_bytes = settings->low_bytes;
    server->cls.high_bytes = settings->high_bytes;
    server->cls.rate_bytes = settings->rate_bytes;
    server->cls.rate_ms = settings->rate_ms;
    server->cls.linger_ms = settings->linger_ms;
    if (was_full && has_room(server))
        release_ports(server);
    else if (!was_full && !has_room(server))
        hold_ports(server);
}

bool server_adopt(struct server *server, int sock, const struct peer_addr *peer, bool proxied)
{
    struct session *session = pool_get(&server->pool);
    if (!session) {
        close(sock);
        return false;
    }
    memset(session, 0, server->ops->session_bytes);
    if (stream_open(&session->stream, &server->cls, sock) < 0) {
        pool_put(&server->pool, session);
        return false;
    }
    session->id = ++server->last_id;
    session->peer = *peer;
    if (proxied)
        session->peer.family = PEER_AWAITED;
    session->opened_s = age_s(server);
    list_push_back(&server->sessions, &session->link);
    server->session_count++;
    server->accepted++;
    server->ops->on_open(session);
    if (!has_room(server))
        hold_ports(server);
    return true;
}

static void on_accept(struct listener *l, int sock, const struct peer_addr *peer)
{
    struct server_port *port = CONTAINER_OF(l, struct server_port, listener);
    server_adopt(port->server, sock, peer, port->proxied);
}

static void free_port(struct loop_deferred *d)
{
    struct server_port *port = CONTAINER_OF(d, struct server_port, burial);
    struct server *server = port->server;
    struct server_port **at = &server->leaving;
    while (*at != port)
        at = &(*at)->next;
    *at = port->next;
    mem_free(&server->owner, port, sizeof *port);
}

static struct server_port *new_port(struct server *server, bool proxied)
{
    struct server_port *port = mem_alloc0(&server->owner, sizeof *port);
    if (!port)
        return NULL;
    port->server = server;
    port->proxied = proxied;
    port->listener.on_accept = on_accept;
    loop_deferred_init(&port->burial, free_port);
    return port;
}

static struct listener_settings listener_settings_of(const struct server *server)
{
    return (struct listener_settings){.backlog = server->settings.backlog,
                                      .client_speaks_first = server->ops->client_speaks_first,
                                      .unix_mode = server->settings.unix_mode};
}

/* [error]: how opening its listener ended. */
static int add_port(struct server *server, struct server_port *port, int error,
                    struct server_port **port_out)
{
    if (error < 0) {
        mem_free(&server->owner, port, sizeof *port);
        return error;
    }
    struct server_port **end = &server->ports;
    while (*end)
        end = &(*end)->next;
    *end = port;
    if (!has_room(server))
        listener_hold(&port->listener);
    if (port_out)
        *port_out = port;
    return 0;
}

int server_listen(struct server *server, const struct addr *addr, bool proxied,
                  struct server_port **port_out)
{
    struct server_port *port = new_port(server, proxied);
    if (!port)
        return -ENOMEM;
    struct listener_settings settings = listener_settings_of(server);
    int error = listener_open(&port->listener, server->io->loop, addr, &settings);
    return add_port(server, port, error, port_out);
}

int server_listen_on(struct server *server, int fd, bool keeps_file, bool proxied,
                     struct server_port **port_out)
{
    struct server_port *port = new_port(server, proxied);
    if (!port)
        return -ENOMEM;
    struct listener_settings settings = listener_settings_of(server);
    settings.keeps_file = keeps_file;
    int error = listener_adopt(&port->listener, server->io->loop, fd, &settings);
    return add_port(server, port, error, port_out);
}

/* Its listener has ended; the loop may still look at it in this turn. */
static void bury_port(struct server *server, struct server_port *port)
{
    struct server_port **at = &server->ports;
    while (*at && *at != port)
        at = &(*at)->next;
    BUG_ON(!*at); /* not one of ours */
    *at = port->next;
    port->next = server->leaving;
    server->leaving = port;
    loop_bury(server->io->loop, &port->burial);
}

void server_unlisten(struct server *server, struct server_port *port)
{
    listener_close(&port->listener);
    bury_port(server, port);
}

int server_release_port(struct server *server, struct server_port *port)
{
    int fd = listener_release(&port->listener);
    bury_port(server, port);
    return fd;
}

void server_start(struct server *server)
{
    for (struct server_port *port = server->ports; port; port = port->next)
        listener_start(&port->listener);
}

void server_drain(struct server *server, void (*on_empty)(struct server *server))
{
    server->is_draining = true;
    server->on_empty = on_empty;
    for (struct server_port *port = server->ports; port; port = port->next)
        listener_close(&port->listener);
    LIST_EACH_SAFE (n, &server->sessions) {
        server->ops->drain(CONTAINER_OF(n, struct session, link));
    }
}

void server_abort_all(struct server *server)
{
    LIST_EACH_SAFE (n, &server->sessions) {
        stream_abort(&CONTAINER_OF(n, struct session, link)->stream, -ECANCELED);
    }
}

bool server_close_session(struct server *server, uint64_t id)
{
    LIST_EACH (n, &server->sessions) {
        struct session *session = CONTAINER_OF(n, struct session, link);
        if (session->id != id)
            continue;
        stream_abort(&session->stream, -ECANCELED);
        return true;
    }
    return false;
}

size_t server_drain_oldest(struct server *server, size_t count)
{
    size_t done = 0;
    uint32_t now_s = age_s(server);
    LIST_EACH_SAFE (n, &server->sessions) {
        struct session *session = CONTAINER_OF(n, struct session, link);
        if (done == count || now_s - session->opened_s < NEW_S)
            break;
        server->ops->drain(session);
        if (!stream_is_open(&session->stream))
            done++;
    }
    return done;
}

void server_fini(struct server *server)
{
    BUG_ON(server->session_count != 0);
    while (server->ports)
        server_unlisten(server, server->ports);
    while (server->leaving) {
        loop_defer_cancel(&server->leaving->burial);
        free_port(&server->leaving->burial);
    }
    pool_fini(&server->pool);
    mem_owner_fini(&server->owner);
}
