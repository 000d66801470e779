/* l_include: medusa.include and require: files beside the script.
 *
 * Only below the script's directory; a link that stands there is followed, for whoever may make one
 * there may change the script too. A file is read on a worker while the task waits, so two tasks
 * may want the same module at once: the second waits for the first, and a circle of them is found
 * by who waits for whom. */
#include "script/l_job.h"
#include "script/libs.h"
#include "script/read_file.h"

#include "service/vfs_resolve.h"

#include <errno.h>

#define FILE_MAX_BYTES (4 * MIB)
#define LOOK_AGAIN_MS  5
#define CIRCLE_MAX     64
#define LOADED         "medusa.loaded"  /* in the registry: modules by name */
#define LOADING        "medusa.loading" /* struct l_module by name */

/* ---- Reading ---- */

struct reading {
    struct l_job base; /* first */
    struct read_file file;
    char path[2 * UNIT_PATH_MAX]; /* with an "@" in front, as Lua names it */
};

static void drop(struct l_job *job)
{
    read_file_fini(&CONTAINER_OF(job, struct reading, base)->file);
}

static void on_read(struct read_file *file)
{
    l_job_back(&CONTAINER_OF(file, struct reading, file)->base);
}

/* "/" and [name] are what a tree would take: no "..", nothing absolute. */
static void check_name(lua_State *L, slice name)
{
    char room[UNIT_PATH_MAX];
    struct fmt f = fmt_on(room, sizeof room);
    fmt_char(&f, '/');
    fmt_put(&f, name);
    if (!name.n || f.full || vfs_path_check(fmt_done(&f)) != 0)
        luaL_error(L,
                   "%s cannot be included: only files below the script's own directory can, named "
                   "without \"..\"",
                   name.n ? name.p : "a file without a name");
}

/* To be returned: reads the file [name] with [suffix], beside the script. */
static int start_reading(lua_State *L, slice name, const char *suffix, const char *what,
                         lua_KFunction k)
{
    struct version *v = version_of(L);
    struct reading *r = l_job_begin(L, sizeof *r, what);
    slice script = slice_str(v->unit->path);
    ssize_t slash = slice_find_last(script, '/');
    struct fmt f = fmt_on(r->path, sizeof r->path - 1);
    fmt_char(&f, '@');
    fmt_put(&f, slice_head(script, (size_t)(slash + 1)));
    fmt_put(&f, name);
    fmt_str(&f, suffix);
    r->path[fmt_done(&f).n] = '\0';
    r->base.drop = drop;
    int error = f.full ? -ENAMETOOLONG
                       : read_file_start(&r->file, v->host, slice_skip(fmt_done(&f), 1),
                                         FILE_MAX_BYTES, on_read);
    if (error)
        return luaL_error(L, "%s cannot be read: %s", r->path + 1, strerror(-error));
    return l_job_wait(L, &r->base, k);
}

/* Pushes the chunk; frees the job. RAISES, with the file's name. */
static void push_chunk(lua_State *L, struct reading *r)
{
    if (r->file.error == -EFBIG)
        luaL_error(L, "%s cannot be read: it is larger than 4 MiB", r->path + 1);
    if (r->file.error)
        luaL_error(L, "%s cannot be read: %s", r->path + 1, strerror(-r->file.error));
    slice text = script_text(r->file.text);
    int status = luaL_loadbufferx(L, text.n ? text.p : "", text.n, r->path, "t");
    l_job_end(&r->base);
    if (status != LUA_OK)
        lua_error(L);
}

/* ---- medusa.include ---- */

/* Stack: the path (1), the job's userdata (2), then the results. */
static int included(lua_State *L, int status, lua_KContext ctx)
{
    return lua_gettop(L) - 2;
}

static int run_included(lua_State *L, int status, lua_KContext ctx)
{
    push_chunk(L, (struct reading *)ctx);
    lua_callk(L, 0, LUA_MULTRET, 0, included);
    return included(L, LUA_OK, 0);
}

static int l_include(lua_State *L)
{
    slice name = l_check_slice(L, 1);
    lua_settop(L, 1);
    check_name(L, name);
    return start_reading(L, name, "", "medusa.include", run_included);
}

/* ---- require ---- */

/* A module that is being loaded; in a userdata, as long as it stands in LOADING. */
struct l_module {
    struct l_task *loader;
    const struct l_module *wants; /* its loader waits for that one; may be gone already */
};

static bool is_alive(struct version *v, const struct l_task *t)
{
    LIST_EACH (n, &v->tasks)
        if (CONTAINER_OF(n, struct l_task, link) == t)
            return true;
    return false;
}

/* The one that some module of [loader] waits for, if it is there still; with loader NULL: is
 * [wanted] there still? */
static struct l_module *find_wanted(lua_State *L, const struct l_task *loader,
                                    const struct l_module *wanted)
{
    struct l_module *found = NULL;
    lua_getfield(L, LUA_REGISTRYINDEX, LOADING);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        struct l_module *m = lua_touserdata(L, -1);
        if (loader ? m->loader == loader && m->wants : m == wanted)
            found = m;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    if (!found || !loader)
        return found;
    return find_wanted(L, NULL, found->wants);
}

/* Does [m] wait, by however many others, for what this task is loading? */
static bool is_circle(lua_State *L, const struct l_module *m)
{
    const struct l_task *me = l_task_current(L);
    for (int i = 0; m && i < CIRCLE_MAX; i++) {
        if (m->loader == me)
            return true;
        m = find_wanted(L, m->loader, NULL);
    }
    return false;
}

/* Whatever this task is loading waits for [wanted] now. */
static void note_wanted(lua_State *L, const struct l_module *wanted)
{
    const struct l_task *me = l_task_current(L);
    lua_getfield(L, LUA_REGISTRYINDEX, LOADING);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        struct l_module *m = lua_touserdata(L, -1);
        if (m->loader == me)
            m->wants = wanted;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* TABLE[name at index 1], pushed. */
static int get_by_name(lua_State *L, const char *table)
{
    lua_getfield(L, LUA_REGISTRYINDEX, table);
    lua_pushvalue(L, 1);
    int type = lua_rawget(L, -2);
    lua_remove(L, -2);
    return type;
}

/* Takes the value from the top. */
static void set_by_name(lua_State *L, const char *table)
{
    lua_getfield(L, LUA_REGISTRYINDEX, table);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 2);
}

/* __close of a module: loaded or failed, nobody loads it any more. Its name is its value. */
static int close_module(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LOADING);
    lua_getiuservalue(L, 1, 1);
    lua_pushnil(L);
    lua_rawset(L, -3);
    return 0;
}

/* "a.b" as "a/b", pushed. */
static slice push_file_name(lua_State *L, slice name)
{
    static const char *const rule = "a module's name is made of letters, digits, \"_\" and \"-\", "
                                    "with dots between: \"a.b\" is a/b.lua";
    char room[UNIT_PATH_MAX];
    luaL_argcheck(L, name.n && name.n < sizeof room, 1, rule);
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool is_end = i + 1 == name.n || i == 0 || name.p[i - 1] == '.';
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-';
        luaL_argcheck(L, is_word || (c == '.' && !is_end), 1, rule);
        room[i] = c;
        if (c == '.')
            room[i] = '/';
    }
    lua_pushlstring(L, room, name.n);
    return l_check_slice(L, -1);
}

/* Stack: the name (1), the module (2), the file's name without suffix (3), jobs, then the value. */
static int required(lua_State *L, int status, lua_KContext ctx)
{
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, true);
    }
    lua_pushvalue(L, -1);
    set_by_name(L, LOADED);
    return 1;
}

static int run_required(lua_State *L, int status, lua_KContext ctx)
{
    struct reading *r = (struct reading *)ctx;
    lua_pushstring(L, r->path + 1);
    int path_at = lua_gettop(L);
    push_chunk(L, r);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, path_at);
    lua_callk(L, 2, 1, 0, required);
    return required(L, LUA_OK, 0);
}

/* There was no name.lua: it may be a directory with an init.lua. */
static int run_init(lua_State *L, int status, lua_KContext ctx)
{
    const struct reading *r = (struct reading *)ctx;
    if (r->file.error == -ENOENT || r->file.error == -ENOTDIR)
        return luaL_error(
            L, "module %s is not there: neither %s.lua nor %s/init.lua beside the script",
            lua_tostring(L, 1), lua_tostring(L, 3), lua_tostring(L, 3));
    return run_required(L, status, ctx);
}

static int run_first(lua_State *L, int status, lua_KContext ctx)
{
    struct reading *r = (struct reading *)ctx;
    if (r->file.error != -ENOENT)
        return run_required(L, status, ctx);
    l_job_end(&r->base);
    return start_reading(L, l_check_slice(L, 3), "/init.lua", "require", run_init);
}

static int load_module(lua_State *L)
{
    struct l_module *m = l_new_object(L, META_MODULE, sizeof *m, 1);
    m->loader = l_task_current(L);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 2, 1);
    lua_pushvalue(L, 2);
    set_by_name(L, LOADING);
    lua_toclose(L, 2);
    slice file = push_file_name(L, l_check_slice(L, 1));
    return start_reading(L, file, ".lua", "require", run_first);
}

static int require_again(lua_State *L, int status, lua_KContext ctx);

static int l_require(lua_State *L)
{
    l_check_slice(L, 1);
    lua_settop(L, 1);
    lua_tostring(L, 1); /* a number becomes its text */
    if (get_by_name(L, LOADED) != LUA_TNIL)
        return 1;
    lua_settop(L, 1);
    (void)push_file_name(L, l_check_slice(L, 1));
    l_task_check_wait(L, "require");
    lua_settop(L, 1);
    struct l_module *m = get_by_name(L, LOADING) == LUA_TUSERDATA ? lua_touserdata(L, -1) : NULL;
    bool is_loading = m && is_alive(version_of(L), m->loader);
    lua_settop(L, 1);
    if (!is_loading)
        return load_module(L);
    if (is_circle(L, m))
        return luaL_error(L,
                          "module %s is required in a circle: it is being loaded, and what it "
                          "needs requires it again",
                          lua_tostring(L, 1));
    note_wanted(L, m);
    return l_task_wait_until(L, loop_now_ms(version_of(L)->host->loop) + LOOK_AGAIN_MS, NULL, NULL,
                             require_again, 0);
}

static int require_again(lua_State *L, int status, lua_KContext ctx)
{
    note_wanted(L, NULL);
    return l_require(L);
}

/* ---- Rows ---- */

const struct l_function l_include_functions[] = {
    {"medusa.include", l_include, "(path) -> ...",
     "Runs the file path, below the script's directory, each time it is called, and returns what "
     "it returns. Raises when it cannot "
     "be read or has an error.",
     true},
};

const struct l_function l_require_functions[] = {
    {"require", l_require, "(name) -> value",
     "The module name: what name.lua or name/init.lua beside the script returned (\"a.b\" is "
     "a/b.lua). It is run once in each load of "
     "the script. Modules that require each other in a circle are an error.",
     true},
};

const size_t l_include_function_count = COUNT_OF(l_include_functions),
             l_require_function_count = COUNT_OF(l_require_functions);

void l_open_include(lua_State *L)
{
    const struct l_class class = {.meta = META_MODULE, .name = "module"};
    l_make_meta(L, &class);
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[META_MODULE]);
    lua_pushcfunction(L, close_module);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LOADED);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LOADING);
    l_set_functions(L, l_include_functions, l_include_function_count);
    lua_pushglobaltable(L);
    l_set_functions(L, l_require_functions, l_require_function_count);
    lua_pop(L, 1);
}
