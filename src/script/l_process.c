/* l_process: settings of the process, one function each. They take effect with the load, or not at
 * all. */
#include "script/l_api.h"
#include "script/libs.h"

static struct process_settings *settings_of(lua_State *L, const char *what)
{
    struct version *v = version_of(L);
    if (!v->is_loading)
        luaL_error(L, "%s is said while the script is loaded, not later", what);
    if (!v->unit->is_main)
        luaL_error(L, "%s: the main script says that, for the whole process", what);
    return &v->settings;
}

static void keep(lua_State *L, int at, char *to, size_t room)
{
    slice text = l_check_slice(L, at);
    luaL_argcheck(L, text.n > 0 && text.n < room && !memchr(text.p, 0, text.n), at,
                  "a name is expected");
    memcpy(to, text.p, text.n + 1);
}

static int l_memory(lua_State *L)
{
    uint64_t bytes = l_check_size(L, 1);
    luaL_argcheck(L, bytes == 0 || bytes >= 8 * MIB, 1, "at least \"8M\" are needed");
    settings_of(L, "medusa.memory")->memory_bytes = bytes;
    return 0;
}

static int l_user(lua_State *L)
{
    keep(L, 1, settings_of(L, "medusa.user")->user, SETTINGS_TEXT_MAX);
    return 0;
}

static int l_access_log(lua_State *L)
{
    static const char *const formats[] = {"combined", "json", NULL};
    struct process_settings *s = settings_of(L, "medusa.access_log");
    const char *format = formats[luaL_checkoption(L, 2, "combined", formats)];
    keep(L, 1, s->access_log, SETTINGS_TEXT_MAX);
    memcpy(s->access_format, format, strlen(format) + 1);
    return 0;
}

static int l_log_file(lua_State *L)
{
    keep(L, 1, settings_of(L, "medusa.log_file")->log, SETTINGS_TEXT_MAX);
    return 0;
}

static int l_drain_timeout(lua_State *L)
{
    int64_t ms = l_check_time(L, 1);
    luaL_argcheck(L, ms <= 86400000, 1, "at most a day is expected");
    settings_of(L, "medusa.drain_timeout")->drain_ms = ms;
    return 0;
}

static int l_verbose(lua_State *L)
{
    settings_of(L, "medusa.verbose")->is_verbose = lua_isnone(L, 1) || lua_toboolean(L, 1);
    return 0;
}

static int l_max_connections(lua_State *L)
{
    uint64_t count = l_check_size(L, 1);
    luaL_argcheck(L, count <= 1000000, 1, "at most 1000000");
    settings_of(L, "medusa.max_connections")->connections = count;
    return 0;
}

struct limits {
    uint64_t heap;
    int64_t slice, run;
};

const struct l_option l_limits_options[] = {
    {"heap", OPTION_SIZE, offsetof(struct limits, heap), 256 * KIB, (uint64_t)1 << 40,
     "memory of this script's objects (64M)"},
    {"slice", OPTION_TIME, offsetof(struct limits, slice), 5, 60000,
     "code that runs so long without waiting lets others go first (10ms)"},
    {"run", OPTION_TIME, offsetof(struct limits, run), 10, 3600000,
     "code that runs so long without waiting is ended with an error (1s)"},
};
const size_t l_limits_option_count = COUNT_OF(l_limits_options);

/* They belong to the version: what a load that fails has said is gone with it. */
static int l_limits(lua_State *L)
{
    struct version *v = version_of(L);
    if (!v->is_loading)
        luaL_error(L, "medusa.limits is said while the script is loaded, not later");
    struct limits o = {.heap = v->heap_limit, .slice = v->limits.slice_ms, .run = v->limits.run_ms};
    l_read_options(L, 1, "medusa.limits", l_limits_options, l_limits_option_count, &o);
    if (o.heap < v->heap_bytes)
        luaL_error(L, "medusa.limits: heap: the script holds %I bytes already",
                   (lua_Integer)v->heap_bytes);
    if (o.run < o.slice)
        luaL_error(L, "medusa.limits: run is at least as long as slice");
    v->heap_limit = v->limits.heap_bytes = (size_t)o.heap;
    v->limits.slice_ms = (uint32_t)o.slice;
    v->limits.run_ms = (uint32_t)o.run;
    return 0;
}

const struct l_function l_process_functions[] = {
    {"medusa.memory", l_memory, "(size)",
     "Most memory for clients, caches, logs and scripts together, at least \"8M\"; 0 = no limit."},
    {"medusa.user", l_user, "(name)",
     "The user to become once the ports are open, when started as root."},
    {"medusa.access_log", l_access_log, "(path, [format])",
     "A line per HTTP request; \"-\" is standard output; the format is \"combined\" or \"json\"."},
    {"medusa.log_file", l_log_file, "(path)",
     "Errors and notices go there instead of standard error."},
    {"medusa.drain_timeout", l_drain_timeout, "(time)",
     "After SIGTERM, how long what is in flight may take (30s)."},
    {"medusa.verbose", l_verbose, "([boolean])", "Says more in the log."},
    {"medusa.limits", l_limits, "{heap = SIZE, slice = TIME, run = TIME}",
     "What this script may take, while it is loaded and from then on. What is not named stays."},
    {"medusa.max_connections", l_max_connections, "(count)",
     "Most clients of each server; 0 = as many as open files allow."},
};
const size_t l_process_function_count = COUNT_OF(l_process_functions);

void l_open_process(lua_State *L)
{
    l_set_functions(L, l_process_functions, l_process_function_count);
}
