/* l_file: an open file in the hands of a script.
 *
 * It is an l_job that goes away and comes back for each operation; a file that is collected, or
 * whose task was killed while it was away, is given up: what was written with "w" or "x" never gets
 * its name. */
#include "script/l_files.h"
#include "script/l_job.h"

#include "service/vfs_file.h"

#define PIECE_DEFAULT (64 * KIB)
#define PIECE_MAX     (16 * MIB)

struct open_file {
    struct l_job base;     /* first */
    struct vfs_file *file; /* NULL: closed */
    bool can_write, is_closing;
    int error; /* of the last operation */
    slice data;
    char path[256]; /* for messages */
};

static void drop(struct l_job *job)
{
    struct open_file *o = CONTAINER_OF(job, struct open_file, base);
    if (o->file)
        vfs_file_drop(o->file);
}

static void on_done(struct vfs_file *file, int error, slice data, void *owner)
{
    struct open_file *o = owner;
    o->error = error;
    o->data = data;
    if (o->is_closing)
        o->file = NULL;
    l_job_back(&o->base);
}

/* ---- tree:open ---- */

static int opened(lua_State *L, int status, lua_KContext ctx)
{
    struct open_file *o = (struct open_file *)ctx;
    int error = o->error;
    if (!error)
        return 1; /* the userdata is on the top */
    l_job_end(&o->base);
    return l_tree_fail(L, lua_tostring(L, 2), error);
}

static enum vfs_file_mode check_mode(lua_State *L)
{
    static const char *const names[] = {"r", "w", "x", "a", NULL};
    static const enum vfs_file_mode modes[] = {VFS_FILE_READ, VFS_FILE_REPLACE, VFS_FILE_CREATE,
                                               VFS_FILE_APPEND};
    return modes[luaL_checkoption(L, 3, "r", names)];
}

int l_tree_open(lua_State *L)
{
    lua_settop(L, 3);
    slice path = l_tree_path_arg(L, 2);
    const struct l_tree *t = lua_touserdata(L, 1);
    enum vfs_file_mode mode = check_mode(L);
    if (mode != VFS_FILE_READ && !t->can_write)
        return luaL_error(L, "tree:open: this tree is for reading only: open it by "
                             "medusa.files(path, {write = true})");
    struct open_file *o = l_job_begin(L, sizeof *o, "tree:open");
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[META_FILE]);
    lua_setmetatable(L, -2);
    o->base.drop = drop;
    o->can_write = mode != VFS_FILE_READ;
    (void)snprintf(o->path, sizeof o->path, "%s", path.p);
    o->file = vfs_file_open(t->tree->vfs, path, mode, on_done, o);
    if (!o->file)
        return luaL_error(L, "not enough memory");
    return l_job_wait(L, &o->base, opened);
}

/* ---- Methods ---- */

/* NULL: it is closed. RAISES when it is not to be used now. */
static struct open_file *check_file(lua_State *L, const char *what)
{
    void *handle = l_check_object(L, 1, META_FILE, "file");
    struct open_file *o = l_link_object(handle);
    if (o && l_job_is_away(&o->base))
        luaL_error(L, "%s: another task is using this file", what);
    if (o)
        l_task_check_wait(L, what);
    return o;
}

static int gave_piece(lua_State *L, int status, lua_KContext ctx)
{
    struct open_file *o = (struct open_file *)ctx;
    if (o->error)
        return l_tree_fail(L, o->path, o->error);
    if (o->data.n)
        l_push_slice(L, o->data);
    else
        lua_pushnil(L);
    return 1;
}

static int l_read(lua_State *L)
{
    struct open_file *o = check_file(L, "file:read");
    uint64_t n = lua_isnoneornil(L, 2) ? PIECE_DEFAULT : l_check_size(L, 2);
    luaL_argcheck(L, n > 0 && n <= PIECE_MAX, 2, "from 1 byte to 16M");
    if (!o)
        return l_fail(L, "closed");
    if (o->can_write)
        return luaL_error(L, "file:read: this file was opened for writing");
    if (!vfs_file_read(o->file, (size_t)n))
        return luaL_error(L, "not enough memory");
    return l_job_wait(L, &o->base, gave_piece);
}

static int wrote(lua_State *L, int status, lua_KContext ctx)
{
    struct open_file *o = (struct open_file *)ctx;
    if (o->error)
        return l_tree_fail(L, o->path, o->error);
    lua_pushboolean(L, true);
    return 1;
}

static int l_write(lua_State *L)
{
    struct open_file *o = check_file(L, "file:write");
    slice text = l_check_slice(L, 2);
    if (!o)
        return l_fail(L, "closed");
    if (!o->can_write)
        return luaL_error(L, "file:write: this file was opened for reading");
    if (!vfs_file_write(o->file, text))
        return luaL_error(L, "not enough memory");
    return l_job_wait(L, &o->base, wrote);
}

static int closed(lua_State *L, int status, lua_KContext ctx)
{
    struct open_file *o = (struct open_file *)ctx;
    int count = 1;
    if (o->error)
        count = l_tree_fail(L, o->path, o->error);
    else
        lua_pushboolean(L, true);
    l_job_end(&o->base);
    return count;
}

struct close_options {
    bool sync;
};

const struct l_option l_file_close_options[] = {
    {"sync", OPTION_BOOL, offsetof(struct close_options, sync), 0, 0,
     "return when it is on the disk"},
};
const size_t l_file_close_option_count = COUNT_OF(l_file_close_options);

static int l_close(lua_State *L)
{
    struct close_options options = {0};
    struct open_file *o = check_file(L, "file:close");
    if (!lua_isnoneornil(L, 2))
        l_read_options(L, 2, "file:close", l_file_close_options, l_file_close_option_count,
                       &options);
    if (!o)
        return l_fail(L, "closed");
    o->is_closing = true;
    vfs_file_close(o->file, o->can_write, options.sync);
    return l_job_wait(L, &o->base, closed);
}

static int l_discard(lua_State *L)
{
    struct open_file *o = l_link_object(l_check_object(L, 1, META_FILE, "file"));
    if (o && l_job_is_away(&o->base))
        return luaL_error(L, "file:discard: another task is using this file");
    if (o)
        l_job_end(&o->base);
    return 0;
}

/* A <close> variable: its task may have been killed in the middle of an operation. */
static int close_variable(lua_State *L)
{
    struct open_file *o = l_link_object(l_check_object(L, 1, META_FILE, "file"));
    if (o && !l_job_is_away(&o->base))
        l_job_end(&o->base);
    return 0;
}

const struct l_function l_file_methods[] = {
    {"file:read", l_read, "([n]) -> text | nil, error",
     "The next bytes, at most n (default 64K); nil at the end of the file.", true},
    {"file:write", l_write, "(text) -> true | nil, error", "Writes all of text.", true},
    {"file:close", l_close, "([{sync = true}]) -> true | nil, error",
     "Ends it. A file that was written anew gets its name now, unless a write failed. sync waits "
     "for "
     "the disk.",
     true},
    {"file:discard", l_discard, "()",
     "Ends it without keeping what was written with \"w\" or \"x\". So does the end of a <close> "
     "variable."},
};
const size_t l_file_method_count = COUNT_OF(l_file_methods);

void l_open_file(lua_State *L)
{
    const struct l_class class = {.meta = META_FILE,
                                  .name = "file",
                                  .methods = l_file_methods,
                                  .count = l_file_method_count,
                                  .gc = l_job_collect};
    l_make_meta(L, &class);
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[META_FILE]);
    lua_pushcfunction(L, close_variable);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
}
