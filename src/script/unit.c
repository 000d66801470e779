/* unit: from the file to the running version.
 *
 *     unit_load: read the file (on a worker) -> run it as a task -> declare_commit -> the new
 * version is current
 */
#include "script/unit.h"

#include "base/check.h"
#include "base/fmt.h"
#include "script/dbs.h"
#include "script/declare.h"
#include "script/host_store.h"
#include "script/l_job.h"
#include "script/l_link.h"
#include "script/l_task.h"
#include "script/libs.h"
#include "script/read_file.h"
#include "script/subs.h"
#include "script/tree.h"

#include <errno.h>
#include <lauxlib.h>

#define SCRIPT_MAX (4 * MIB)

struct unit_load {
    struct unit *unit;
    struct version *version;
    unit_loaded_fn done;
    void *owner;
    struct read_file file;
    slice text; /* of the script: in file, or own_text */
    char *own_text;
};

void unit_limits_default(struct unit_limits *limits)
{
    *limits = (struct unit_limits){.heap_bytes = 64 * MIB, .slice_ms = 10, .run_ms = 1000};
}

/* ---- Units ---- */

struct unit *unit_find(struct host *host, slice name)
{
    LIST_EACH (n, &host->units) {
        struct unit *unit = CONTAINER_OF(n, struct unit, link);
        if (slice_is(slice_str(unit->name), name))
            return unit;
    }
    return NULL;
}

static void put_text(char *to, size_t room, slice text)
{
    memcpy(to, text.p, text.n);
    to[MIN(text.n, room - 1)] = 0;
}

static void remove_now(struct loop_deferred *d)
{
    unit_remove(CONTAINER_OF(d, struct unit, removal));
}

struct unit *unit_new(struct host *host, slice name, slice path, const struct unit_limits *limits)
{
    if (!name.n || name.n >= UNIT_NAME_MAX || path.n >= UNIT_PATH_MAX || unit_find(host, name))
        return NULL;
    struct unit *unit = mem_alloc0(&host->owner, sizeof *unit);
    if (!unit)
        return NULL;
    unit->host = host;
    unit->limits = *limits;
    put_text(unit->name, sizeof unit->name, name);
    if (path.n)
        put_text(unit->path, sizeof unit->path, path);
    (void)snprintf(unit->owner_name, sizeof unit->owner_name, "script %s", unit->name);
    mem_owner_init(&unit->heap, host->book, unit->owner_name);
    list_init(&unit->servers);
    loop_deferred_init(&unit->removal, remove_now);
    list_push_back(&host->units, &unit->link);
    return unit;
}

/* A removed unit goes with its last version and its last load. */
static void check_gone(struct unit *unit)
{
    if (!unit->is_removed || unit->versions || unit->loading)
        return;
    struct host *host = unit->host;
    mem_owner_fini(&unit->heap);
    list_remove(&unit->link);
    mem_free(&host->owner, unit, sizeof *unit);
}

static void retire_version(struct version *v)
{
    v->is_over = true;
    subs_retire(v);
    l_task_kill_background(v);
    l_events_close_all(v);
    l_task_drop_idle(v);
    version_release(v);
}

void unit_remove_later(struct unit *unit)
{
    loop_defer(unit->host->loop, &unit->removal);
}

void unit_remove(struct unit *unit)
{
    if (unit->is_removed)
        return;
    loop_defer_cancel(&unit->removal);
    unit->is_removed = true;
    declare_retire_all(unit);
    struct version *v = unit->current;
    unit->current = NULL;
    if (v) {
        version_hold(v);
        retire_version(v);
        l_task_kill_all(v);
        version_release(v);
    }
    if (unit->loading)
        l_task_kill_all(unit->loading);
    check_gone(unit);
}

/* ---- Versions ---- */

/* Lua's memory: exact to the byte, within the limit of the version and the budget of the process.
 */
static void *heap_alloc(void *ctx, void *p, size_t old, size_t n)
{
    struct version *v = ctx;
    struct mem_owner *owner = &v->unit->heap;
    if (!p)
        old = 0; /* Lua tells the kind of object there */
    if (n == 0) {
        mem_free(owner, p, old);
        v->heap_bytes -= old;
        return NULL;
    }
    if (n <= old && p) { /* Lua relies on it that shrinking cannot fail */
        void *q = mem_raw_resize(p, n);
        mem_discharge(owner, old - n);
        v->heap_bytes -= old - n;
        return q ? q : p;
    }
    if (n - old > v->heap_limit - v->heap_bytes)
        return NULL;
    void *q = p ? mem_resize(owner, p, old, n) : mem_alloc(owner, n);
    if (q)
        v->heap_bytes += n - old;
    return q;
}

static void free_version(struct loop_deferred *d)
{
    struct version *v = CONTAINER_OF(d, struct version, grave);
    struct unit *unit = v->unit;
    for (struct list_node *n; (n = list_pop_front(&v->belongings));) {
        struct belonging *b = CONTAINER_OF(n, struct belonging, node);
        b->end(b);
    }
    if (v->L) {
        l_task_drop_idle(v);
        subs_free(v);
        dbs_free(v);
        declare_free_all(v);
        lua_close(v->L);
    }
    l_job_free_all(v);
    tree_release_all(v);
    l_link_free_all(v);
    BUG_ON(v->heap_bytes != 0 || !list_is_empty(&v->tasks));
    mem_free(&unit->host->owner, v, sizeof *v);
    unit->host->version_count--;
    dbs_check_end(unit->host);
    unit->versions--;
    check_gone(unit);
}

void version_own(struct version *v, struct belonging *b, void (*end)(struct belonging *b))
{
    b->end = end;
    list_push_back(&v->belongings, &b->node);
}

void version_hold(struct version *v)
{
    v->holders++;
}

void version_release(struct version *v)
{
    BUG_ON(v->holders == 0);
    if (--v->holders == 0)
        loop_bury(v->host->loop, &v->grave);
}

/* Errors outside of a protected call are our bugs. */
static int on_panic(lua_State *L)
{
    check_bug(lua_tostring(L, -1), "Lua panic", 0);
}

static int open_libraries(lua_State *L)
{
    l_open_base(L);
    l_open_coroutine(L);
    lua_newtable(L);
    l_open_core(L);
    l_open_process(L);
    l_open_http(L);
    l_open_upload(L);
    l_open_events(L);
    l_open_wrappers(L);
    l_open_tcp(L);
    l_open_net(L);
    l_open_client(L);
    l_open_udp(L);
    l_open_json(L);
    l_open_unit(L);
    l_open_shared(L);
    l_open_encodings(L);
    l_open_hash(L);
    l_open_random(L);
    l_open_job(L);
    l_open_files(L);
    l_open_include(L);
    l_open_work(L);
    l_open_sqlite(L);
    lua_setglobal(L, "medusa");
    return 0;
}

struct version *version_new(struct unit *unit)
{
    struct host *host = unit->host;
    struct version *v = mem_alloc0(&host->owner, sizeof *v);
    if (!v)
        return NULL;
    *v = (struct version){.unit = unit,
                          .host = host,
                          .heap_limit = unit->limits.heap_bytes,
                          .limits = unit->limits,
                          .number = unit->loads,
                          .holders = 1};
    v->settings.drain_ms = 30000;
    list_init(&v->tasks);
    list_init(&v->events);
    list_init(&v->declared);
    list_init(&v->links);
    list_init(&v->belongings);
    list_init(&v->jobs);
    list_init(&v->trees);
    list_init(&v->idle);
    loop_deferred_init(&v->grave, free_version);
    unit->versions++;
    host->version_count++;
    v->L = lua_newstate(heap_alloc, v);
    if (v->L) {
        lua_atpanic(v->L, on_panic);
        *(struct version **)lua_getextraspace(v->L) = v;
        if (!l_protected(v, open_libraries, NULL))
            return v;
    }
    version_release(v);
    return NULL;
}

/* ---- Loading ---- */

static void free_load(struct unit_load *load)
{
    struct host *host = load->unit->host;
    read_file_fini(&load->file);
    if (load->own_text)
        mem_free(&host->owner, load->own_text, load->text.n + 1);
    mem_free(&host->owner, load, sizeof *load);
}

static void end_load(struct unit_load *load, const char *error)
{
    struct unit *unit = load->unit;
    struct version *v = load->version;
    unit->loading = NULL;
    v->is_loading = false;
    v->load = NULL;
    if (error) {
        v->is_over = true;
        subs_retire(v);
        l_task_kill_background(v);
        version_release(v);
    } else {
        struct version *old = unit->current;
        unit->current = v;
        if (old)
            retire_version(old);
        if (v->has_shared_limit)
            host_store_limit(unit->host, v->shared_limit);
        subs_begin(v);
    }
    if (load->done)
        load->done(unit, error, load->owner);
    free_load(load);
    check_gone(unit);
}

static bool take_effect(struct version *v, char *why, size_t bytes)
{
    struct host *host = v->host;
    bool is_main = v->unit->is_main;
    if (is_main && host->prepare && !host->prepare(host, &v->settings, why, bytes))
        return false;
    bool ok = declare_commit(v, why, bytes);
    if (is_main && host->settle)
        host->settle(host, &v->settings, ok);
    return ok;
}

/* The main chunk has ended: on the last instant, everything that it declared becomes true at once.
 */
static void on_run(struct l_task *t, const char *error)
{
    struct unit_load *load = t->owner;
    char why[UNIT_ERROR_MAX];
    if (!error && load->unit->is_removed)
        error = "the unit was removed meanwhile";
    if (!error && !take_effect(load->version, why, sizeof why))
        error = why;
    end_load(load, error);
}

static int end_chunk(lua_State *L, int status, lua_KContext ctx)
{
    return 0;
}

/* The body of the load's task. */
static int run_chunk(lua_State *L)
{
    struct unit_load *load = lua_touserdata(L, 1);
    char name[UNIT_PATH_MAX + 1];
    (void)snprintf(name, sizeof name, "%c%s", load->unit->path[0] ? '@' : '=',
                   load->unit->path[0] ? load->unit->path : load->unit->name);
    slice text = script_text(load->text);
    if (luaL_loadbufferx(L, text.n ? text.p : "", text.n, name, "t") != LUA_OK)
        return lua_error(L);
    lua_callk(L, 0, 0, 0, end_chunk);
    return end_chunk(L, LUA_OK, 0);
}

static void run_script(struct unit_load *load)
{
    struct l_task *t = l_task_new(load->version);
    if (!t) {
        end_load(load, "there is not enough memory");
        return;
    }
    t->owner = load;
    t->on_done = on_run;
    l_task_post(t, run_chunk, load);
}

static void on_read(struct read_file *file)
{
    struct unit_load *load = CONTAINER_OF(file, struct unit_load, file);
    load->text = file->text;
    if (!file->error) {
        run_script(load);
        return;
    }
    char why[UNIT_PATH_MAX + 128];
    (void)snprintf(why, sizeof why, "%s cannot be read: %s", load->unit->path,
                   file->error == -EFBIG ? "it is larger than 4 MiB" : strerror(-file->error));
    end_load(load, why);
}

static struct unit_load *begin_load(struct unit *unit, unit_loaded_fn done, void *owner)
{
    if (unit->loading || unit->is_removed)
        return NULL;
    struct unit_load *load = mem_alloc0(&unit->host->owner, sizeof *load);
    if (!load)
        return NULL;
    unit->loads++;
    *load = (struct unit_load){.unit = unit, .done = done, .owner = owner};
    load->version = version_new(unit);
    if (!load->version) {
        mem_free(&unit->host->owner, load, sizeof *load);
        return NULL;
    }
    load->version->is_loading = true;
    load->version->load = load;
    unit->loading = load->version;
    return load;
}

/* Before it really began. */
static void give_up(struct unit_load *load)
{
    load->unit->loading = NULL;
    load->version->is_over = true;
    version_release(load->version);
    free_load(load);
}

bool unit_load(struct unit *unit, unit_loaded_fn done, void *owner)
{
    struct unit_load *load = begin_load(unit, done, owner);
    if (!load)
        return false;
    if (read_file_start(&load->file, unit->host, slice_str(unit->path), SCRIPT_MAX, on_read) == 0)
        return true;
    give_up(load);
    return false;
}

bool unit_load_text(struct unit *unit, slice text, unit_loaded_fn done, void *owner)
{
    struct unit_load *load = begin_load(unit, done, owner);
    if (!load)
        return false;
    load->own_text = mem_alloc(&unit->host->owner, text.n + 1);
    if (load->own_text) {
        memcpy(load->own_text, text.p, text.n);
        load->text = slice_of(load->own_text, text.n);
        run_script(load);
        return true;
    }
    give_up(load);
    return false;
}
