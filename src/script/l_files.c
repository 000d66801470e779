/* l_files: medusa.files and medusa.http.files: from a directory's name to a tree, and from a tree
 * to a handler. */
#include "script/l_files.h"

#include "script/http_unit.h"
#include "script/l_job.h"
#include "script/libs.h"

#include <errno.h>

#define LINES_MAX (4 * KIB)

/* ---- Opening ---- */

/* What a task waits for: a tree by its path. */
struct opening {
    struct l_job base; /* first */
    struct tree_open open;
    bool can_write;
    char path[2 * UNIT_PATH_MAX];
};

static void on_open(struct tree_open *o)
{
    struct opening *opening = CONTAINER_OF(o, struct opening, open);
    if (!o->error)
        o->error = tree_keep(opening->base.version, o->tree);
    l_job_back(&opening->base);
}

/* Relative names begin where the script stands. */
static void put_path(lua_State *L, struct opening *o, slice path)
{
    const struct unit *unit = version_of(L)->unit;
    slice script = slice_str(unit->path);
    ssize_t slash = slice_find_last(script, '/');
    struct fmt f = fmt_on(o->path, sizeof o->path - 1);
    if (path.p[0] != '/' && slash >= 0)
        fmt_put(&f, slice_head(script, (size_t)slash + 1));
    fmt_put(&f, path);
    if (f.full || slice_find(path, '\0') >= 0)
        luaL_argerror(L, 1, "the name of the directory is too long, or holds a NUL");
    o->path[fmt_done(&f).n] = '\0';
}

static const char *why(int error)
{
    switch (error) {
    case -ENOENT:
        return "there is no such directory";
    case -ENOTDIR:
        return "it is not a directory";
    case -ENOSYS:
    case -EPERM:
        return "this system does not allow openat2 (Linux 5.6 or later; a container's profile may "
               "forbid it)";
    case -E2BIG:
        return "the script uses too many trees, or too many sets of options for one tree";
    default:
        return strerror(-error);
    }
}

/* Pushes the tree, or RAISES. */
static void finish_open(lua_State *L, struct opening *o)
{
    if (o->open.error)
        luaL_error(L, "%s cannot be used: %s", o->path, why(o->open.error));
    struct l_tree *t = l_new_object(L, META_TREE, sizeof *t, 0);
    t->tree = o->open.tree;
    t->can_write = o->can_write;
    l_job_end(&o->base);
}

/* To be returned: opens the directory [path]; k finds the struct opening in its ctx. */
static int start_open(lua_State *L, slice path, bool can_write, const char *what, lua_KFunction k)
{
    if (!path.n)
        return luaL_argerror(L, 1, "the name of a directory is expected");
    struct opening *o = l_job_begin(L, sizeof *o, what);
    put_path(L, o, path);
    o->can_write = can_write;
    o->open.done = on_open;
    int error = tree_open_start(&o->open, version_of(L)->host, slice_str(o->path));
    if (error)
        return luaL_error(L, "%s cannot be used: %s", o->path, why(error));
    return l_job_wait(L, &o->base, k);
}

/* ---- medusa.files ---- */

struct tree_options {
    bool can_write;
};

const struct l_option l_files_options[] = {
    {"write", OPTION_BOOL, offsetof(struct tree_options, can_write), 0, 0,
     "may files be changed through this tree?"},
};
const size_t l_files_option_count = COUNT_OF(l_files_options);

static int opened(lua_State *L, int status, lua_KContext ctx)
{
    finish_open(L, (struct opening *)ctx);
    return 1;
}

static int l_files(lua_State *L)
{
    struct tree_options o = {0};
    slice path = l_check_slice(L, 1);
    if (!lua_isnoneornil(L, 2))
        l_read_options(L, 2, "medusa.files", l_files_options, l_files_option_count, &o);
    return start_open(L, path, o.can_write, "medusa.files", opened);
}

/* ---- medusa.http.files ---- */

struct file_options {
    bool listing, hidden;
    uint64_t max_entries;
    int64_t max_age;
};

#define AT(member) offsetof(struct file_options, member)

const struct l_option l_http_files_options[] = {
    {"listing", OPTION_BOOL, AT(listing), 0, 0,
     "a directory without an index file is listed (default false: 403)"},
    {"hidden", OPTION_BOOL, AT(hidden), 0, 0,
     "names that begin with a dot are served too; else only /.well-known"},
    {"max_entries", OPTION_COUNT, AT(max_entries), 1, 1000000, "of a listing"},
    {"index", OPTION_OTHER, 0, 0, 0,
     "a name or a list of names that stand for their directory; false: none does"},
    {"max_age", OPTION_TIME, AT(max_age), 0, 0, "Cache-Control: max-age of files"},
    {"cache_control", OPTION_OTHER, 0, 0, 0, "Cache-Control of files, as it is sent"},
    {"headers", OPTION_OTHER, 0, 0, 0, "further headers of files: {Name = \"value\"}"},
};
const size_t l_http_files_option_count = COUNT_OF(l_http_files_options);

static void add_index(lua_State *L, struct h_file_settings *s)
{
    slice name = lua_type(L, -1) == LUA_TSTRING ? l_check_slice(L, -1) : SLICE("");
    if (!name.n || slice_find(name, '/') >= 0 || slice_find(name, '\0') >= 0)
        luaL_error(L,
                   "medusa.http.files: index: names of files are expected, as in {\"index.html\"}");
    if (s->index_count == H_FILE_INDEX_MAX)
        luaL_error(L, "medusa.http.files: index: at most %d names", H_FILE_INDEX_MAX);
    s->index[s->index_count++] = name;
}

/* The names stay in the table of options. */
static void read_index(lua_State *L, int at, struct h_file_settings *s)
{
    int type = lua_getfield(L, at, "index");
    if (type != LUA_TNIL)
        s->index_count = 0;
    if (type == LUA_TTABLE) {
        lua_Integer count = luaL_len(L, -1);
        for (lua_Integer i = 1; i <= count; i++) {
            lua_rawgeti(L, -1, i);
            add_index(L, s);
            lua_pop(L, 1);
        }
    } else if (type != LUA_TNIL && (type != LUA_TBOOLEAN || lua_toboolean(L, -1))) {
        add_index(L, s);
    }
    lua_pop(L, 1);
}

static void put_line(lua_State *L, struct fmt *f, slice name, slice value)
{
    if (!exchange_check_field(name, value))
        luaL_error(L,
                   "medusa.http.files: the header %s cannot be sent: it is no name, holds control "
                   "characters, or is the "
                   "server's own",
                   name.p);
    fmt_put(f, name);
    fmt_put(f, SLICE(": "));
    fmt_put(f, value);
    fmt_put(f, SLICE("\r\n"));
}

static void put_headers(lua_State *L, int at, struct fmt *f)
{
    if (lua_getfield(L, at, "headers") != LUA_TNIL) {
        luaL_argexpected(L, lua_istable(L, -1), 2, "headers = {Name = \"value\"}");
        lua_pushnil(L);
        while (lua_next(L, -2)) {
            if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
                luaL_error(
                    L,
                    "medusa.http.files: headers are a table of names: {[\"X-Name\"] = \"value\"}");
            put_line(L, f, l_check_slice(L, -2), l_check_slice(L, -1));
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

static void put_cache_control(lua_State *L, int at, const struct file_options *o, struct fmt *f)
{
    char room[64];
    if (lua_getfield(L, at, "cache_control") != LUA_TNIL) {
        if (o->max_age >= 0)
            luaL_error(
                L, "medusa.http.files: max_age and cache_control say the same: give one of them");
        put_line(L, f, SLICE("Cache-Control"), l_check_slice(L, -1));
    } else if (o->max_age >= 0) {
        (void)snprintf(room, sizeof room, "max-age=%lld", (long long)(o->max_age / 1000));
        put_line(L, f, SLICE("Cache-Control"), slice_str(room));
    }
    lua_pop(L, 1);
}

/* Pushes the handler of the tree at index 1 with the options at index 2. */
static int push_handler(lua_State *L)
{
    const struct l_tree *t = lua_touserdata(L, 1);
    struct h_file_settings s;
    h_file_settings_default(&s);
    char lines[LINES_MAX];
    struct fmt f = fmt_on(lines, sizeof lines);
    struct file_options o = {.max_entries = s.max_entries, .max_age = -1};
    if (!lua_isnoneornil(L, 2)) {
        l_read_options(L, 2, "medusa.http.files", l_http_files_options, l_http_files_option_count,
                       &o);
        read_index(L, 2, &s);
        put_headers(L, 2, &f);
        put_cache_control(L, 2, &o, &f);
    }
    if (f.full)
        return luaL_error(L, "medusa.http.files: the headers are too large");
    s.listing = o.listing;
    s.hidden = o.hidden;
    s.max_entries = (size_t)o.max_entries;
    s.lines = fmt_done(&f);
    struct tree_files *files;
    int error = tree_keep_files(version_of(L), t->tree, &s, &files);
    if (error)
        return luaL_error(L, "medusa.http.files: %s", why(error));
    l_push_handler(L, &files->file.handler);
    return 1;
}

static int opened_for_handler(lua_State *L, int status, lua_KContext ctx)
{
    finish_open(L, (struct opening *)ctx);
    lua_replace(L, 1);
    return push_handler(L);
}

static int l_http_files(lua_State *L)
{
    lua_settop(L, 2);
    if (l_test_object(L, 1, META_TREE))
        return push_handler(L);
    if (lua_type(L, 1) != LUA_TSTRING)
        return luaL_typeerror(L, 1, "the name of a directory, or a tree of medusa.files");
    return start_open(L, l_check_slice(L, 1), false, "medusa.http.files", opened_for_handler);
}

/* ---- One file as an answer ---- */

slice l_tree_path(lua_State *L, slice path)
{
    if (!path.n || path.p[0] != '/')
        lua_pushliteral(L, "/");
    else
        lua_pushliteral(L, "");
    l_push_slice(L, path);
    lua_concat(L, 2);
    return l_check_slice(L, -1);
}

void l_push_tree_file(lua_State *L, int at, slice path)
{
    const struct l_tree *t = l_test_object(L, at, META_TREE);
    if (!t)
        luaL_error(
            L,
            "an answer with a file needs its tree: {file = \"/name\", tree = medusa.files(...)}");
    struct h_file_settings s = {.hidden = true, .files_only = true};
    struct tree_files *files;
    int error = tree_keep_files(version_of(L), t->tree, &s, &files);
    if (error)
        luaL_error(L, "a file cannot be sent: %s", why(error));
    l_push_file_handler(L, &files->file.handler, l_tree_path(L, path));
    lua_remove(L, -2);
}

/* ---- Rows ---- */

const struct l_function l_files_functions[] = {
    {"medusa.files", l_files, "(path, [{write = true}]) -> tree",
     "Opens a directory as a tree of files; a relative path begins where the script stands. All "
     "scripts that name the same "
     "directory share its cache. No name leads out of it: neither \"..\" nor a symbolic link. "
     "Without write = true it cannot be "
     "changed. Raises when it is not there.",
     true},
};

const struct l_function l_http_files_functions[] = {
    {"medusa.http.files", l_http_files, "(path or tree, [options]) -> handler",
     "A handler that serves a directory: types, conditions, ranges, compressed forms that stand "
     "beside (.br, .zst, .gz), index files. "
     "For routes: [\"/static/\"] = medusa.http.files(\"./static\"); or in a function: return "
     "files(req). Options: listing, hidden, "
     "index, max_entries, max_age, cache_control, headers.",
     true},
};

const size_t l_files_function_count = COUNT_OF(l_files_functions),
             l_http_files_function_count = COUNT_OF(l_http_files_functions);

void l_open_files(lua_State *L)
{
    l_open_file(L);
    const struct l_class class = {
        .meta = META_TREE, .name = "tree", .methods = l_tree_methods, .count = l_tree_method_count};
    l_make_meta(L, &class);
    l_set_functions(L, l_files_functions, l_files_function_count);
    lua_getfield(L, -1, "http");
    l_set_functions(L, l_http_files_functions, l_http_files_function_count);
    lua_pop(L, 1);
}
