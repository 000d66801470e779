/* server: one protocol's service on its listeners, and all its sessions.
 *
 * The protocol says in struct server_ops what a session of it is; what is common to all is done
 * here: accepting, the limit of connections, the list, closing one by its id, draining. */
#ifndef PROTOCOL_SERVER_H
#define PROTOCOL_SERVER_H

#include "io/listener.h"
#include "protocol/session.h"

struct server_ops {
    const char *name; /* "http" */
    size_t session_bytes;
    bool client_speaks_first;
    struct stream_ops stream; /* on_closed is filled by the server */
    /* The stream is open; deadlines are the protocol's. */
    void (*on_open)(struct session *session);
    /* The stream has ended: release everything but the session's own memory. */
    void (*on_closed)(struct session *session, int error);
    /* End as soon as what is being done is done; at once when nothing is. */
    void (*drain)(struct session *session);
    /* What it is doing, for status: a few words. */
    void (*describe)(const struct session *session, struct fmt *f);
};

struct server_settings {
    size_t max_sessions; /* further clients wait in the backlog */
    int backlog;
    mode_t unix_mode;
    uint32_t low_bytes, high_bytes; /* marks of each session's output */
    uint64_t rate_bytes;            /* this and the next: see struct stream_class */
    uint32_t rate_ms, linger_ms;
};
void server_settings_default(struct server_settings *settings);

struct server_port {
    struct listener listener;
    struct server *server;
    struct server_port *next;
    struct loop_deferred burial;
    bool proxied; /* connections begin with a PROXY header */
};

/* Embedded in the protocol's own server struct. */
struct server {
    /* read-only */
    const struct server_ops *ops;
    struct server_settings settings;
    struct stream_class cls;
    struct stream_ops stream_ops;
    struct list_node sessions; /* newest last */
    size_t session_count;
    uint64_t accepted, last_id;
    bool is_draining;
    struct server_port *ports; /* in the order of server_listen */
    /* private */
    struct server_port *leaving; /* closed in this turn, freed at its end */
    struct io *io;
    struct mem_owner owner; /* "<name>": sessions and ports */
    struct pool pool;
    int64_t began_ms;
    void (*on_empty)(struct server *server);
};

void server_init(struct server *server, const struct server_ops *ops, struct io *io,
                 struct mem_book *book, const struct server_settings *settings);

/* Other settings, for the sessions that are there too. */
void server_change(struct server *server, const struct server_settings *settings);

/* Binds one more address; accepts nothing before server_start (listener_start for this one alone).
 * 0 or -errno. *port_out (may be NULL) lives until server_unlisten, server_release_port or
 * server_fini. */
MUST_USE int server_listen(struct server *server, const struct addr *addr, bool proxied,
                           struct server_port **port_out);
/* The same with a socket that listens already (listener_adopt); on failure it is still the
 * caller's. [keeps_file]: the file of a Unix socket stays when the port is closed. */
MUST_USE int server_listen_on(struct server *server, int fd, bool keeps_file, bool proxied,
                              struct server_port **port_out);

/* Ends one port; the others, and its sessions, go on. *port is gone at the end of the turn. */
void server_unlisten(struct server *server, struct server_port *port);

/* The same, but the socket goes on listening: for another server's server_listen_on. -1: it was
 * closed. */
MUST_USE int server_release_port(struct server *server, struct server_port *port);

/* Accepts on all ports. */
void server_start(struct server *server);

/* Takes over a connected socket as if it had been accepted. False: no memory; it was closed. */
bool server_adopt(struct server *server, int sock, const struct peer_addr *peer, bool proxied);

/* Closes the listeners and tells every session to end when it can. [on_empty] is called in a later
 * turn, once, when none is left. */
void server_drain(struct server *server, void (*on_empty)(struct server *server));

/* Ends every session now. */
void server_abort_all(struct server *server);

/* False: there is no such session. */
bool server_close_session(struct server *server, uint64_t id);

/* Closes idle sessions, those that were opened first at first, at most [count]; not those that have
 * only just come, whose first request is on its way. For times when memory is short. */
size_t server_drain_oldest(struct server *server, size_t count);

/* No sessions are left (BUG otherwise). */
void server_fini(struct server *server);

#endif
