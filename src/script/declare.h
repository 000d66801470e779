/* declare: what a script declares while it is loaded (servers), and how it takes effect: all of it,
 * or nothing.
 *
 * A *declaration* belongs to a version. A *live server* belongs to the unit and has the sockets and
 * sessions; it outlives versions: when a reload declares the same kind on an address that it has,
 * it keeps its sockets and connections and is handed the new declaration, which answers from the
 * next request on. */
#ifndef SCRIPT_DECLARE_H
#define SCRIPT_DECLARE_H

#include "io/addr.h"
#include "script/unit.h"

#define LISTEN_MAX 16

struct server;
struct server_settings;
struct declared;
struct live;

/* A kind of server: a row for each of http, tcp, udp ... */
struct server_kind {
    const char *name;
    /* A live server without sockets. NULL without memory. */
    struct live *(*make)(struct declared *d);
    /* From now on *d answers (l->declared is set already). */
    void (*adopt)(struct live *l);
    /* 0 or -errno. */
    int (*listen)(struct live *l, const struct addr *addr, bool proxied, void **port_out);
    /* Where it really listens (":0" has become a port). */
    const struct addr *(*address)(void *port);
    void (*start)(struct live *l);
    void (*unlisten)(struct live *l, void *port);
    /* No new sessions; tell every session to end when it can; live_is_empty says when. */
    void (*drain)(struct live *l);
    void (*abort)(struct live *l);
    bool (*is_empty)(const struct live *l);
    /* Its sessions. May be NULL: a kind without. */
    struct server *(*server)(struct live *l);
    void (*free)(struct live *l);
    /* What a declaration has beside its userdata; called before the state is closed. May be NULL.
     */
    void (*forget)(struct declared *d);
};

struct listen_at {
    struct addr addr;
    bool proxied;
    char text[128]; /* as written: it is the same when this is the same */
};

/* Embedded at the head of a userdata that the version's registry holds. */
struct declared {
    struct list_node link; /* in version->declared */
    const struct server_kind *kind;
    struct version *version;
    unsigned listen_count;
    struct listen_at *listen; /* LISTEN_MAX of them, in the same userdata */
    struct server_settings
        *settings;     /* there too, or NULL: its most sessions are fitted to the process's */
    char where[128];   /* "site.lua:12": for messages */
    struct live *live; /* private to the commit: what shall serve it */
};

struct live_port {
    char text[128];
    void *port;
    bool is_wanted, is_new; /* private to the commit */
};

/* Embedded first in the kind's own struct. */
struct live {
    struct list_node link; /* in unit->servers, or the host's leaving ones */
    const struct server_kind *kind;
    struct host *host;
    struct declared *declared; /* answers; its version is held */
    unsigned port_count;
    struct live_port ports[LISTEN_MAX];
    bool is_new, is_leaving;
};

/* Makes all declarations of [v] live. False: nothing has changed, [error] says why. */
MUST_USE bool declare_commit(struct version *v, char *error, size_t error_bytes);

/* All live servers of the unit stop listening and drain; they are freed when they are empty. */
void declare_retire_all(struct unit *unit);

/* Calls forget for all declarations of the version. */
void declare_free_all(struct version *v);

/* All live servers of the host, those that are leaving too. [visit] must not end one. */
void declare_each(struct host *host, void (*visit)(struct live *l, void *ctx), void *ctx);

/* Cuts every session of every live server of the host, for its end. */
void declare_abort_all(struct host *host);

/* Called by kinds when a leaving server may have become empty. */
void live_check_empty(struct live *l);

#endif
