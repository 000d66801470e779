/* l_shared_journal: shared data on the disk. */
#include "script/host_store.h"
#include "script/l_api.h"
#include "script/l_path.h"
#include "script/l_shared.h"
#include "script/l_task.h"

#include <errno.h>

struct journal_options {
    int64_t interval_ms, retry_ms;
    uint64_t pending, compact;
    bool skip_damage;
};

const struct l_option l_shared_journal_options[] = {
    {"path", OPTION_OTHER, 0, 0, 0, "the file, relative to the script"},
    {"prefixes", OPTION_OTHER, 0, 0, 0, "keys that begin with one of these are kept; without: all"},
    {"interval", OPTION_TIME, offsetof(struct journal_options, interval_ms), 1, 3600000,
     "changes are written so often (1s)"},
    {"retry", OPTION_TIME, offsetof(struct journal_options, retry_ms), 1, 3600000,
     "when the disk failed, again after this (5s)"},
    {"pending", OPTION_SIZE, offsetof(struct journal_options, pending), 64 * KIB, 1024 * MIB,
     "most memory for changes that wait (16M)"},
    {"compact", OPTION_SIZE, offsetof(struct journal_options, compact), 4 * KIB, UINT64_MAX / 2,
     "smaller files are not written anew (1M)"},
    {"skip_damage", OPTION_BOOL, offsetof(struct journal_options, skip_damage), 0, 0,
     "read what can be read of a damaged file"},
};
const size_t l_shared_journal_option_count = COUNT_OF(l_shared_journal_options);

/* The strings stay in the table at index 1. */
static size_t read_prefixes(lua_State *L, slice *out)
{
    size_t count = 0;
    lua_getfield(L, 1, "prefixes");
    if (lua_isnil(L, -1))
        return 0;
    if (!lua_istable(L, -1))
        luaL_error(L, "medusa.shared.journal: prefixes: a list of texts is expected");
    for (; lua_rawgeti(L, -1, (lua_Integer)count + 1) != LUA_TNIL; lua_pop(L, 1)) {
        if (lua_type(L, -1) != LUA_TSTRING || count == STORE_PREFIXES_MAX)
            luaL_error(L, "medusa.shared.journal: prefixes: a list of at most %d texts is expected",
                       STORE_PREFIXES_MAX);
        out[count++] = l_check_slice(L, -1);
    }
    lua_pop(L, 1);
    if (count == 0)
        luaL_error(L, "medusa.shared.journal: prefixes: an empty list would keep nothing; without "
                      "it, all is kept");
    return count;
}

static int refuse_journal(lua_State *L, const char *path, int error, uint64_t offset)
{
    switch (error) {
    case -EBADMSG:
        return luaL_error(L,
                          "the journal %s is damaged at byte %d, or is none: skip_damage = true "
                          "reads what can be read",
                          path, (int)offset);
    case -EWOULDBLOCK:
        return luaL_error(L, "the journal %s is in use by another process", path);
    case -EBUSY:
        return luaL_error(L, "medusa.shared.journal comes before the first key is set, and after a "
                             "reload the process must be restarted");
    case -EALREADY:
        return luaL_error(
            L, "shared data has another journal already: that can only be changed by a restart");
    default:
        return luaL_error(L, "the journal %s cannot be opened: %s", path, strerror(-error));
    }
}

/* It blocks, which harms nobody at the start; and what follows in the script finds the data. */
static int l_journal(lua_State *L)
{
    struct journal_options o = {0};
    slice prefixes[STORE_PREFIXES_MAX];
    if (!version_of(L)->is_loading)
        return luaL_error(L, "medusa.shared.journal is said while the script is loaded, not later");
    l_read_options(L, 1, "medusa.shared.journal", l_shared_journal_options,
                   l_shared_journal_option_count, &o);
    lua_settop(L, 1);
    lua_getfield(L, 1, "path");
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "medusa.shared.journal: path: the path of a file is expected");
    const char *path = l_push_path(L, 2);
    struct store_journal_settings settings = {.path = path,
                                              .prefixes = prefixes,
                                              .prefix_count = read_prefixes(L, prefixes),
                                              .interval_ms = o.interval_ms,
                                              .retry_ms = o.retry_ms,
                                              .pending_max = o.pending,
                                              .compact_min = o.compact,
                                              .skips_damage = o.skip_damage};
    uint64_t offset = 0;
    int error = host_store_journal(version_of(L)->host, &settings, &offset);
    return error ? refuse_journal(L, path, error, offset) : 0;
}

/* ---- Waiting for the disk ---- */

struct waiting {
    struct store_sync sync;
    struct l_task *task;
    int error;
    bool is_done;
};

static void on_sync(struct store_sync *sync, int error)
{
    struct waiting *w = CONTAINER_OF(sync, struct waiting, sync);
    w->error = error;
    w->is_done = true;
    l_task_wake(w->task);
}

static void cancel_sync(struct l_task *t, void *what)
{
    store_sync_cancel(&((struct waiting *)what)->sync);
}

static int end_sync(lua_State *L, int status, lua_KContext ctx)
{
    const struct waiting *w = lua_touserdata(L, -1);
    if (w->error == -ENXIO)
        return l_fail(L, "shared data has no journal (medusa.shared.journal)");
    if (w->error)
        return l_fail_errno(L, w->error);
    lua_pushboolean(L, true);
    return 1;
}

static int l_sync(lua_State *L)
{
    l_task_check_wait(L, "medusa.shared.sync");
    struct store *s = l_store_of(L);
    struct waiting *w = lua_newuserdatauv(L, sizeof *w, 0);
    *w = (struct waiting){.sync.done = on_sync, .task = l_task_current(L)};
    store_sync(s, &w->sync);
    return l_task_wait(L, cancel_sync, w, end_sync, 0);
}

const struct l_function l_shared_journal_functions[] = {
    {"medusa.shared.journal", l_journal, "{path=, [prefixes=], [interval=], ...}",
     "While loading, before the first key is set: shared data is kept in this file, relative to "
     "the script, and is there again after a "
     "restart, what follows in the script finds it. Options: prefixes = {\"user:\", ...} (only "
     "keys that begin so; without: all), interval "
     "(changes are written so often, 1s), retry (after an error of the disk, 5s), pending (size, "
     "most memory for changes that wait, 16M), compact (size: "
     "smaller files are not written anew, 1M), skip_damage = true. The file is read at once, so a "
     "large one delays the start. A reload "
     "that says the same path again changes nothing; another path needs a restart. What is wrong "
     "with the file is an error of the load."},
    {"medusa.shared.sync", l_sync, "() -> true | nil, error",
     "Waits until all that was changed before is on the disk: a crash does not lose it then. When "
     "the disk failed it is tried again by itself.",
     true},
};
const size_t l_shared_journal_function_count = COUNT_OF(l_shared_journal_functions);

void l_open_shared_journal(lua_State *L)
{
    l_set_functions(L, l_shared_journal_functions, l_shared_journal_function_count);
}
