/* unit: a script with a name. A version is one load of it: a Lua state of its own, whose heap has
 * an exact limit and an owner in the accounts of memory.
 *
 * A load is a transaction: running the script only collects what it declares (servers, listeners);
 * when it has ended without an error all of that takes effect, else none of it and the version that
 * was there goes on. What is in flight on the old version finishes there; when its last holder is
 * gone, the old state is freed whole.
 *
 *     host ---- unit ---- current version ---- lua_State
 *                 |            +- tasks (coroutines), declarations
 *                 +- live servers (sockets, sessions): they outlive versions
 */
#ifndef SCRIPT_UNIT_H
#define SCRIPT_UNIT_H

#include "script/host.h"
#include "script/settings.h"

#include <lua.h>

struct l_task;
struct version;

#define L_META_COUNT   32
#define UNIT_NAME_MAX  64
#define UNIT_PATH_MAX  1024
#define UNIT_ERROR_MAX 2048

struct unit_limits {
    size_t heap_bytes; /* of each version (default 64 MiB) */
    uint32_t
        slice_ms; /* Lua code that runs so long without waiting lets others go first (default 10) */
    uint32_t run_ms; /* ... and after so long it is ended with an error (default 1000) */
};
void unit_limits_default(struct unit_limits *limits);

struct unit {
    /* read-only */
    struct host *host;
    struct list_node link; /* in host->units */
    char name[UNIT_NAME_MAX];
    char path[UNIT_PATH_MAX];  /* of the script; "" when it came as text */
    struct unit_limits limits; /* each version begins with these; medusa.limits changes its own */
    struct version *current;   /* NULL before the first load and after unit_remove */
    struct version *loading;
    struct list_node servers; /* live ones: declare.h */
    struct mem_owner heap;    /* "script NAME" */
    unsigned versions;        /* that are not freed yet */
    uint64_t loads, errors;
    bool is_main; /* public: what it says of the process holds (settings.h) */
    bool is_removed;
    /* private */
    struct loop_deferred removal;
    char owner_name[UNIT_NAME_MAX + 8];
};

struct version {
    /* read-only */
    struct unit *unit;
    struct host *host;
    lua_State *L; /* its main thread: nothing runs on it but short protected calls */
    uint64_t number;
    size_t heap_bytes; /* held by Lua now */
    size_t heap_limit;
    struct list_node tasks;  /* that have begun and not ended */
    struct list_node events; /* open streams of events: l_events.c */
    struct list_node links;  /* l_link.h */
    struct list_node belongings;
    struct list_node jobs;     /* l_job.h */
    struct list_node trees;    /* tree.h */
    struct list_node declared; /* struct declared, in the order of the script */
    struct process_settings settings;
    struct unit_limits limits; /* its heap's is heap_limit */
    bool is_loading;           /* the main chunk runs: servers may be declared */
    size_t shared_limit;       /* of shared data, when has_shared_limit */
    bool has_shared_limit;
    bool is_over;           /* replaced or removed: background tasks were cancelled */
    int meta[L_META_COUNT]; /* registry references of metatables: see l_api.h */
    /* private */
    unsigned holders;
    unsigned idle_count;
    struct list_node idle; /* tasks whose coroutine waits for more work */
    struct loop_deferred grave;
    struct unit_load *load;
};

/* Told when a load has ended: [error] is NULL, or what to tell the person who asked for it (valid
 * during the call), with file and line. */
typedef void (*unit_loaded_fn)(struct unit *unit, const char *error, void *owner);

/* A unit that has no version yet. NULL without memory, or when the name is taken or too long. */
MUST_USE struct unit *unit_new(struct host *host, slice name, slice path,
                               const struct unit_limits *limits);

/* Loads the script at unit->path again (or for the first time). [done] is told once, in a later
 * turn. False without memory, or while another load of it is going on. */
MUST_USE bool unit_load(struct unit *unit, unit_loaded_fn done, void *owner);

/* The same with [text] as the script (copied), under the name of unit->path or "=text". */
MUST_USE bool unit_load_text(struct unit *unit, slice text, unit_loaded_fn done, void *owner);

/* Stops its servers and tasks; the unit frees itself when nothing uses it any more. */
void unit_remove(struct unit *unit);

/* The same at the end of the turn: for Lua code, which may be of that very unit. */
void unit_remove_later(struct unit *unit);

struct unit *unit_find(struct host *host, slice name);

/* A version stays while somebody holds it: its unit, a task, an exchange, a session. */
void version_hold(struct version *v);
void version_release(struct version *v);

/* Of the code that is running on L. Every coroutine carries its version's address; its lowest bit
 * says that the coroutine waits for the loop inside another one (l_coroutine.c), or is a task's
 * own: nobody else may resume or close it. */
static inline struct version *version_of(lua_State *L)
{
    return (struct version *)(*(uintptr_t *)lua_getextraspace(L) & ~(uintptr_t)1);
}

static inline bool version_is_waiting(lua_State *co)
{
    return *(uintptr_t *)lua_getextraspace(co) & 1;
}

static inline void version_mark_waiting(lua_State *co, bool is_waiting)
{
    *(uintptr_t *)lua_getextraspace(co) = (uintptr_t)version_of(co) | is_waiting;
}

/* Streams of events would never end by themselves (l_events.c). */
void l_events_close_all(struct version *v);
/* Embedded in C objects that a version's script has made and that do not hold the version
 * (connections that it opened, sockets): what is left of them when the version goes is told [end],
 * which takes it out of any further use; its memory may go later. The object takes itself out by
 * list_remove when it ends before. */
struct belonging {
    struct list_node node; /* in version->belongings */
    void (*end)(struct belonging *b);
};
void version_own(struct version *v, struct belonging *b, void (*end)(struct belonging *b));

/* ---- For the parts of the load (unit.c, declare.c). ---- */

/* A Lua state with the libraries that its unit may use and the table medusa. NULL: no memory. */
MUST_USE struct version *version_new(struct unit *unit);

#endif
