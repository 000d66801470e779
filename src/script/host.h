/* host: what all scripts of the process have in common: the loop, the log, the units, and which Lua
 * code is running right now.
 *
 * Stands above the protocols and below main/, which embeds it, fills in what is public and loads
 * the configuration as a unit (unit.h). Nothing here is touched by another thread but struct
 * watchdog. */
#ifndef SCRIPT_HOST_H
#define SCRIPT_HOST_H

#include "base/log.h"
#include "base/pool.h"
#include "io/stream.h"

struct lua_State;
struct mime_table;
struct watchdog;
struct accesslog;
struct process_settings;

struct host {
    /* public: filled in before host_init; all outlive the host */
    struct io *io;
    struct mem_book *book;
    struct log *log;
    const struct mime_table *mime;
    struct accesslog *accesslog; /* of every HTTP server, or NULL */
    size_t max_sessions;         /* no server can have more */
    uint64_t connections;        /* what the main unit has said, see settings.h */
    /* Settings of the process, just before the servers of the same load take effect: what can fail
     * is done beside what is there. False: [error] says why not, and nothing is left of it. Both
     * may be NULL. */
    bool (*prepare)(struct host *host, const struct process_settings *settings, char *error,
                    size_t error_bytes);
    /* Afterwards, when prepare was true: they hold from now on (or not: the load has failed after
     * all). */
    void (*settle)(struct host *host, const struct process_settings *settings, bool is_taken);
    /* A server that was told to end has ended; may be NULL. */
    void (*on_left)(struct host *host);

    /* read-only */
    struct loop *loop;
    struct mem_owner owner; /* "scripts": all but the heaps, which have owners of their own */
    struct list_node units;
    struct list_node leaving; /* live servers that only wait for their last sessions (declare.h) */
    struct list_node trees;   /* file trees in use (tree.h) */
    struct work_lane *lane;   /* reads of scripts, and other short jobs on files */
    struct work_lane *blocking; /* medusa.work: made when it is first used, or NULL */
    unsigned version_count;     /* Lua states that exist, in all units */

    /* private to l_task.c */
    struct pool tasks;
    struct pool links;      /* l_link.c */
    struct list_node ready; /* tasks to go on with at the end of the turn */
    struct loop_deferred run_ready;
    struct l_task *running; /* whose Lua code is on the C stack, or NULL */
    struct watchdog *watchdog;
    struct lua_State
        *volatile running_L; /* the coroutine of it that runs: for the watchdog's signal */
    volatile unsigned ticks; /* periods that the present entry into Lua has lasted */

    /* private to host_net.c */
    struct resolver *resolver; /* made when they are first used, or NULL */
    struct http_client *client;
    struct stream_class out_class; /* of connections that scripts open */
    unsigned out_count;            /* their structs, and those of sockets, that are not freed yet */
    bool is_stopping;
    /* private to host_store.c */
    struct store *store;
    char *journal_path;
    size_t shared_limit;
    bool has_shared_limit, store_is_closing;

    /* private to dbs.c */
    struct databases *databases;
    struct list_node dbs, db_waits;
    bool databases_are_closing;

    /* private to subs.c */
    struct list_node subs;
    struct mail *mail; /* is being published */
    uint64_t letters_dropped;
};

/* What units there are and their heaps, to the log. */
void host_status_log(struct host *host);

/* 0 or -errno: no thread could be started, no memory. */
MUST_USE int host_init(struct host *host);

/* Unloads every unit: servers stop, connections are cut, tasks end. Call host_fini when
 * host_is_empty, after some more turns. */
void host_stop(struct host *host);
bool host_is_empty(const struct host *host);
void host_fini(struct host *host);

#endif
