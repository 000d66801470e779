/* l_file_ops: the methods of a tree. Each is a job on the disk's own worker; the task waits. */
#include "script/l_files.h"
#include "script/l_job.h"

#include "service/vfs_change.h"
#include "wire/char_class.h"

#include <errno.h>
#include <stdlib.h>

#define READ_DEFAULT (16 * MIB)
#define LIST_DEFAULT 10000

struct file_job {
    struct l_job base; /* first */
    struct vfs_change change;
    struct vfs_list list;
    bool is_list;
};

/* ---- Failing ---- */

/* What belongs behind the name. */
static const char *why(int error)
{
    switch (error) {
    case -EXDEV:
        return "it leads out of the tree, or into another file system";
    case -EINVAL:
        return "this is no name within the tree: \"..\", \".\", \"//\" and NUL are not allowed";
    case -EFBIG:
        return "the file is larger than allowed";
    case -EBUSY:
        return "it is in use, or the tree itself";
    case -EACCES:
        return "permission denied, or no regular file";
    default:
        return strerror(-error);
    }
}

/* nil and a sentence that names what was asked for. */
int l_tree_fail(lua_State *L, const char *path, int error)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, why(error));
    return 2;
}

/* ---- Jobs ---- */

static void drop(struct l_job *job)
{
    struct file_job *j = CONTAINER_OF(job, struct file_job, base);
    if (j->is_list)
        vfs_list_fini(&j->list);
    else
        vfs_change_fini(&j->change);
}

static void on_changed(struct vfs_change *c)
{
    l_job_back(&CONTAINER_OF(c, struct file_job, change)->base);
}

static void on_listed(struct vfs_list *l)
{
    l_job_back(&CONTAINER_OF(l, struct file_job, list)->base);
}

static const struct l_tree *check_tree(lua_State *L)
{
    return l_check_object(L, 1, META_TREE, "tree");
}

static struct file_job *begin(lua_State *L, const char *what, enum vfs_change_op op)
{
    const struct l_tree *t = check_tree(L);
    bool changes = op != VFS_READ && op != VFS_STAT;
    if (changes && !t->can_write)
        luaL_error(
            L, "%s: this tree is for reading only: open it by medusa.files(path, {write = true})",
            what);
    struct file_job *j = l_job_begin(L, sizeof *j, what);
    j->change.op = op;
    j->change.done = on_changed;
    j->base.drop = drop;
    return j;
}

/* The path at argument [at], kept on the stack. */
slice l_tree_path_arg(lua_State *L, int at)
{
    (void)check_tree(L);
    slice path = l_tree_path(L, l_check_slice(L, at));
    lua_replace(L, at);
    return path;
}

static int start(lua_State *L, struct file_job *j, lua_KFunction k)
{
    const struct l_tree *t = lua_touserdata(L, 1);
    if (!vfs_change_start(t->tree->vfs, &j->change))
        return luaL_error(L, "not enough memory");
    return l_job_wait(L, &j->base, k);
}

/* true, or nil and why. */
static int give_done(lua_State *L, int status, lua_KContext ctx)
{
    struct file_job *j = (struct file_job *)ctx;
    int error = j->change.error;
    l_job_end(&j->base);
    if (error)
        return l_tree_fail(L, lua_tostring(L, 2), error);
    lua_pushboolean(L, true);
    return 1;
}

/* ---- Reading ---- */

static int give_text(lua_State *L, int status, lua_KContext ctx)
{
    struct file_job *j = (struct file_job *)ctx;
    int error = j->change.error;
    if (!error)
        l_push_slice(L, j->change.text);
    l_job_end(&j->base);
    return error ? l_tree_fail(L, lua_tostring(L, 2), error) : 1;
}

static int l_read(lua_State *L)
{
    lua_settop(L, 3);
    slice path = l_tree_path_arg(L, 2);
    uint64_t max = lua_isnil(L, 3) ? READ_DEFAULT : l_check_size(L, 3);
    luaL_argcheck(L, max <= UINT32_MAX, 3, "at most 4G");
    struct file_job *j = begin(L, "tree:read", VFS_READ);
    j->change.path = path;
    j->change.max = (size_t)max;
    return start(L, j, give_text);
}

static void push_entry(lua_State *L, const char *kind, uint64_t size, int64_t mtime)
{
    lua_createtable(L, 0, 4);
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    lua_pushinteger(L, (lua_Integer)size);
    lua_setfield(L, -2, "size");
    lua_pushinteger(L, mtime);
    lua_setfield(L, -2, "mtime");
}

static const char *kind_of(mode_t mode)
{
    return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "directory" : "other";
}

static int give_stat(lua_State *L, int status, lua_KContext ctx)
{
    struct file_job *j = (struct file_job *)ctx;
    int error = j->change.error;
    struct stat st = j->change.st;
    l_job_end(&j->base);
    if (error)
        return l_tree_fail(L, lua_tostring(L, 2), error);
    push_entry(L, kind_of(st.st_mode), S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0,
               st.st_mtim.tv_sec);
    lua_pushinteger(L, st.st_mode & 07777);
    lua_setfield(L, -2, "mode");
    return 1;
}

static int l_stat(lua_State *L)
{
    lua_settop(L, 2);
    slice path = l_tree_path_arg(L, 2);
    struct file_job *j = begin(L, "tree:stat", VFS_STAT);
    j->change.path = path;
    return start(L, j, give_stat);
}

/* ---- Listing ---- */

static int by_name(const void *a, const void *b)
{
    slice x = ((const struct vfs_entry *)a)->name, y = ((const struct vfs_entry *)b)->name;
    int order = memcmp(x.p, y.p, MIN(x.n, y.n));
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

static void push_entries(lua_State *L, struct vfs_list *l)
{
    if (l->count)
        qsort(l->entries, l->count, sizeof *l->entries, by_name);
    lua_createtable(L, (int)l->count, 0);
    for (size_t i = 0; i < l->count; i++) {
        const struct vfs_entry *e = &l->entries[i];
        bool is_file = e->kind == VFS_FILE;
        push_entry(L, is_file ? "file" : "directory", is_file ? e->size : 0, e->mtime_s);
        l_push_slice(L, e->name);
        lua_setfield(L, -2, "name");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushboolean(L, l->is_cut);
}

static int give_list(lua_State *L, int status, lua_KContext ctx)
{
    struct file_job *j = (struct file_job *)ctx;
    int error = j->list.error;
    if (!error)
        push_entries(L, &j->list);
    l_job_end(&j->base);
    return error ? l_tree_fail(L, lua_tostring(L, 2), error) : 2;
}

struct list_options {
    bool hidden;
    uint64_t max;
};

const struct l_option l_tree_list_options[] = {
    {"hidden", OPTION_BOOL, offsetof(struct list_options, hidden), 0, 0,
     "names that begin with a dot too"},
    {"max", OPTION_COUNT, offsetof(struct list_options, max), 1, 1000000,
     "entries at most (default 10000)"},
};
const size_t l_tree_list_option_count = COUNT_OF(l_tree_list_options);

static int l_list(lua_State *L)
{
    struct list_options o = {.max = LIST_DEFAULT};
    lua_settop(L, 3);
    if (lua_isnil(L, 2)) {
        lua_pushliteral(L, "/");
        lua_replace(L, 2);
    }
    if (!lua_isnil(L, 3))
        l_read_options(L, 3, "tree:list", l_tree_list_options, l_tree_list_option_count, &o);
    const struct l_tree *t = check_tree(L);
    slice path = l_tree_path_arg(L, 2);
    struct file_job *j = l_job_begin(L, sizeof *j, "tree:list");
    j->base.drop = drop;
    j->is_list = true;
    j->list.done = on_listed;
    j->list.hidden = o.hidden;
    j->list.max_entries = (size_t)o.max;
    if (!vfs_list(t->tree->vfs, path, &j->list))
        return luaL_error(L, "not enough memory");
    return l_job_wait(L, &j->base, give_list);
}

/* ---- Changing ---- */

struct write_options {
    bool append, sync, exclusive;
};

const struct l_option l_tree_write_options[] = {
    {"append", OPTION_BOOL, offsetof(struct write_options, append), 0, 0, "to the end of the file"},
    {"sync", OPTION_BOOL, offsetof(struct write_options, sync), 0, 0,
     "return when it is on the disk"},
    {"exclusive", OPTION_BOOL, offsetof(struct write_options, exclusive), 0, 0,
     "fail when the file is there already"},
};
const size_t l_tree_write_option_count = COUNT_OF(l_tree_write_options);

static int l_write(lua_State *L)
{
    struct write_options o = {0};
    lua_settop(L, 4);
    if (!lua_isnil(L, 4))
        l_read_options(L, 4, "tree:write", l_tree_write_options, l_tree_write_option_count, &o);
    if (o.append && o.exclusive)
        return luaL_argerror(L, 4, "append and exclusive do not go together");
    slice path = l_tree_path_arg(L, 2), text = l_check_slice(L, 3);
    struct file_job *j = begin(L, "tree:write", o.append ? VFS_APPEND : VFS_WRITE);
    j->change.path = path;
    j->change.data = text;
    j->change.is_synced = o.sync;
    j->change.is_exclusive = o.exclusive;
    return start(L, j, give_done);
}

static int change_one(lua_State *L, const char *what, enum vfs_change_op op)
{
    lua_settop(L, 2);
    slice path = l_tree_path_arg(L, 2);
    struct file_job *j = begin(L, what, op);
    j->change.path = path;
    return start(L, j, give_done);
}

static int l_remove(lua_State *L)
{
    return change_one(L, "tree:remove", VFS_REMOVE);
}

static int l_mkdir(lua_State *L)
{
    return change_one(L, "tree:mkdir", VFS_MKDIR);
}

static int l_rmdir(lua_State *L)
{
    return change_one(L, "tree:rmdir", VFS_RMDIR);
}

const struct l_option l_tree_rename_options[] = {
    {"exclusive", OPTION_BOOL, offsetof(struct write_options, exclusive), 0, 0,
     "fail when the new name is there already"},
};
const size_t l_tree_rename_option_count = COUNT_OF(l_tree_rename_options);

static int l_rename(lua_State *L)
{
    struct write_options o = {0};
    lua_settop(L, 4);
    if (!lua_isnil(L, 4))
        l_read_options(L, 4, "tree:rename", l_tree_rename_options, l_tree_rename_option_count, &o);
    slice path = l_tree_path_arg(L, 2), to = l_tree_path_arg(L, 3);
    struct file_job *j = begin(L, "tree:rename", VFS_RENAME);
    j->change.path = path;
    j->change.to = to;
    j->change.is_exclusive = o.exclusive;
    return start(L, j, give_done);
}

/* ---- Answering ---- */

static int l_file(lua_State *L)
{
    (void)check_tree(L);
    l_push_tree_file(L, 1, l_check_slice(L, 2));
    return 1;
}

const struct l_function l_tree_methods[] = {
    {"tree:read", l_read, "(path, [max]) -> text | nil, error",
     "The whole file. One that is larger than max (default 16 MiB) is an error.", true},
    {"tree:stat", l_stat, "(path) -> {kind, size, mtime, mode} | nil, error",
     "What stands there now: kind is \"file\", \"directory\" or \"other\"; mtime in seconds since "
     "1970. Links are followed within the tree.",
     true},
    {"tree:list", l_list,
     "([path], [{hidden = true, max = N}]) -> {{name, kind, size, mtime}, ...}, is_cut | nil, "
     "error",
     "The files and directories in a directory, by name. is_cut: there are more than max.", true},
    {"tree:write", l_write,
     "(path, text, [{append = true, sync = true, exclusive = true}]) -> true | nil, error",
     "Writes a whole file: who reads it meanwhile sees the old one or the new one. append adds to "
     "its end instead; sync waits for "
     "the disk; exclusive fails when it is there. Needs a tree with write = true, as do the "
     "following.",
     true},
    {"tree:remove", l_remove, "(path) -> true | nil, error", "Removes a file, or a link.", true},
    {"tree:rename", l_rename, "(path, new_path, [{exclusive = true}]) -> true | nil, error",
     "Gives a file or directory another name within the tree. A file of that name is replaced, "
     "unless exclusive.",
     true},
    {"tree:mkdir", l_mkdir, "(path) -> true | nil, error",
     "Makes a directory; the one above it must be there.", true},
    {"tree:rmdir", l_rmdir, "(path) -> true | nil, error", "Removes an empty directory.", true},
    {"tree:open", l_tree_open, "(path, [mode]) -> file | nil, error",
     "Opens a file to be read or written piece by piece. mode: \"r\" (default), \"w\": written "
     "anew, \"x\": the same, but it may not be "
     "there yet, \"a\": to its end. With \"w\" and \"x\" nobody sees the new file before "
     "file:close.",
     true},
    {"tree:file", l_file, "(path) -> handler",
     "For return tree:file(\"/name\"): the answer is this file, with conditions and ranges; 404 "
     "when it is none. The same as "
     "return {file = \"/name\", tree = tree}, which may have headers too."},
};
const size_t l_tree_method_count = COUNT_OF(l_tree_methods);
