/* l_work: medusa.work: Lua code on a thread, for what blocks: files, programs, long sums.
 *
 * The code runs in a bare state of its own, with a heap limit and a time limit; only plain data
 * goes in and out. The struct is the worker's while it is away, but for is_cancelled. Nothing here
 * can interrupt a C function: an io.read that hangs holds its thread, and so one of THREADS. */
#include "script/l_job.h"
#include "script/libs.h"
#include "script/plain.h"

#include <lualib.h>
#include <stdatomic.h>
#include <time.h>

#define THREADS         4
#define STACK_BYTES     MIB /* string.gsub and its kin recurse in C */
#define HOOK_COUNT      10000
#define MEMORY_DEFAULT  (64 * MIB)
#define MEMORY_LEAST    (256 * KIB)
#define TIMEOUT_DEFAULT 60000
#define COPIED_MAX      (64 * MIB)

struct work_call {
    struct l_job base; /* first */
    struct work_job job;
    struct plain code, args, results;
    bool is_dump;
    char name[128]; /* of the chunk */
    uint64_t memory, used;
    int64_t timeout_ms, until_ms;
    atomic_bool is_cancelled;
    bool has_failed;
    char error[1024];
    size_t charged; /* of what is copied */
};

/* ---- On the worker ---- */

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / NS_PER_MS;
}

static void *work_alloc(void *ctx, void *p, size_t old, size_t n)
{
    struct work_call *c = ctx;
    if (!p)
        old = 0;
    if (n == 0) {
        mem_raw_free(p);
        c->used -= old;
        return NULL;
    }
    if (n > old && n - old > c->memory - c->used)
        return NULL;
    void *q = p ? mem_raw_resize(p, n) : mem_raw_alloc(n);
    if (!q)
        return n <= old ? p : NULL; /* Lua relies on it that shrinking cannot fail */
    c->used += n - old;
    return q;
}

static struct work_call *call_of(lua_State *L)
{
    return *(struct work_call **)lua_getextraspace(L);
}

/* From then on at every instruction: pcall must not swallow it. */
static void on_count(lua_State *L, lua_Debug *ar)
{
    struct work_call *c = call_of(L);
    if (!atomic_load_explicit(&c->is_cancelled, memory_order_relaxed) && clock_ms() < c->until_ms)
        return;
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    luaL_error(L, "the work took longer than its %d seconds", (int)(c->timeout_ms / 1000));
}

static void remove_names(lua_State *L, const char *library, const char *const *names)
{
    lua_getglobal(L, library);
    for (; *names; names++) {
        lua_pushnil(L);
        lua_setfield(L, -2, *names);
    }
    lua_pop(L, 1);
}

/* All but what ends or changes the whole process, or could break Lua. */
static void open_work_libraries(lua_State *L)
{
    static const luaL_Reg libraries[] = {
        {LUA_GNAME, luaopen_base},        {LUA_TABLIBNAME, luaopen_table},
        {LUA_STRLIBNAME, luaopen_string}, {LUA_MATHLIBNAME, luaopen_math},
        {LUA_UTF8LIBNAME, luaopen_utf8},  {LUA_COLIBNAME, luaopen_coroutine},
        {LUA_OSLIBNAME, luaopen_os},      {LUA_IOLIBNAME, luaopen_io}};
    static const char *const globals[] = {"dofile", "loadfile", NULL};
    static const char *const of_os[] = {"exit", "setlocale", NULL};
    static const char *const of_string[] = {"dump", NULL};
    for (size_t i = 0; i < COUNT_OF(libraries); i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        lua_pop(L, 1);
    }
    remove_names(L, LUA_GNAME, globals);
    remove_names(L, LUA_OSLIBNAME, of_os);
    remove_names(L, LUA_STRLIBNAME, of_string);
    lua_register(L, "load", l_load_text);
    lua_register(L, "setmetatable", l_setmetatable_safely);
}

static int add_traceback(lua_State *L)
{
    luaL_traceback(
        L, L, lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static int run_in_state(lua_State *L)
{
    struct work_call *c = call_of(L);
    open_work_libraries(L);
    lua_pushcfunction(L, add_traceback);
    if (luaL_loadbufferx(L, c->code.p, c->code.n, c->name, c->is_dump ? "b" : "t") != LUA_OK)
        return lua_error(L);
    int count = plain_push_all(L, slice_of(c->args.p, c->args.n));
    if (lua_pcall(L, count, LUA_MULTRET, 1) != LUA_OK)
        return lua_error(L);
    for (int i = 2; i <= lua_gettop(L); i++) {
        const char *why = plain_put(L, i, &c->results);
        if (why)
            return luaL_error(L, "result %d of the work: %s", i - 1, why);
    }
    return 0;
}

static void note_error(struct work_call *c, lua_State *L)
{
    const char *text = L && lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    c->has_failed = true;
    (void)snprintf(c->error, sizeof c->error, "%s", text ? text : "not enough memory for the work");
}

static void run_work(struct work_job *job)
{
    struct work_call *c = CONTAINER_OF(job, struct work_call, job);
    c->until_ms = clock_ms() + c->timeout_ms;
    lua_State *L = lua_newstate(work_alloc, c);
    if (!L) {
        note_error(c, NULL);
        return;
    }
    *(struct work_call **)lua_getextraspace(L) = c;
    lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_COUNT);
    lua_pushcfunction(L, run_in_state);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK)
        note_error(c, L);
    lua_close(L);
}

/* ---- In the loop ---- */

static void drop(struct l_job *job)
{
    struct work_call *c = CONTAINER_OF(job, struct work_call, base);
    mem_discharge(&job->version->unit->heap, c->charged);
    plain_free(&c->code);
    plain_free(&c->args);
    plain_free(&c->results);
}

static void cancel(struct l_job *job)
{
    struct work_call *c = CONTAINER_OF(job, struct work_call, base);
    atomic_store_explicit(&c->is_cancelled, true, memory_order_relaxed);
}

/* What was copied has an account from now on. */
static bool charge(struct work_call *c, size_t bytes)
{
    if (!bytes)
        return true;
    if (!mem_charge(&c->base.version->unit->heap, bytes))
        return false;
    c->charged += bytes;
    return true;
}

static void work_done(struct work_job *job)
{
    struct work_call *c = CONTAINER_OF(job, struct work_call, job);
    if (!c->has_failed && !charge(c, c->results.room))
        note_error(c, NULL);
    l_job_back(&c->base);
}

static int give_results(lua_State *L, int status, lua_KContext ctx)
{
    struct work_call *c = (struct work_call *)ctx;
    int count = 2;
    if (c->has_failed)
        (void)l_fail(L, c->error);
    else
        count = plain_push_all(L, slice_of(c->results.p, c->results.n));
    l_job_end(&c->base);
    return count;
}

static int put_dump(lua_State *L, const void *p, size_t n, void *ctx)
{
    return !plain_put_bytes(ctx, p, n);
}

/* Its globals are the only thing that a function may bring along: they are those of the new state.
 */
static void check_upvalues(lua_State *L, int at)
{
    for (int i = 1;; i++) {
        const char *name = lua_getupvalue(L, at, i);
        if (!name)
            return;
        lua_pop(L, 1);
        if (i > 1 || !slice_is(slice_str(name), SLICE("_ENV")))
            luaL_error(L,
                       "medusa.work: the function uses the local variable %s from outside of it: "
                       "give it as an argument",
                       name);
    }
}

/* [at] is a function or a text. */
static void put_code(lua_State *L, int at, struct work_call *c)
{
    c->is_dump = lua_type(L, at) == LUA_TFUNCTION;
    (void)snprintf(c->name, sizeof c->name, "=work");
    bool is_put;
    if (c->is_dump) {
        check_upvalues(L, at);
        lua_pushvalue(L, at);
        is_put = lua_dump(L, put_dump, &c->code, 0) == 0;
        lua_pop(L, 1);
    } else {
        slice text = l_check_slice(L, at);
        is_put = plain_put_bytes(&c->code, text.p, text.n);
    }
    if (!is_put)
        luaL_error(L, "medusa.work: not enough memory");
}

struct work_options {
    uint64_t memory;
    int64_t timeout;
};

const struct l_option l_work_options[] = {
    {"run", OPTION_OTHER, 0, 0, 0, "the function, or the text of a script"},
    {"memory", OPTION_SIZE, offsetof(struct work_options, memory), MEMORY_LEAST, (uint64_t)1 << 40,
     "of its Lua state (default 64M)"},
    {"timeout", OPTION_TIME, offsetof(struct work_options, timeout), 1,
     (uint64_t)365 * 86400 * 1000, "time that it may take (default 1m)"},
};
const size_t l_work_option_count = COUNT_OF(l_work_options);

/* The code stands at index 1 afterwards. */
static void read_arguments(lua_State *L, struct work_options *o)
{
    *o = (struct work_options){.memory = MEMORY_DEFAULT, .timeout = TIMEOUT_DEFAULT};
    if (lua_istable(L, 1)) {
        l_read_options(L, 1, "medusa.work", l_work_options, l_work_option_count, o);
        lua_getfield(L, 1, "run");
        lua_replace(L, 1);
    }
    int type = lua_type(L, 1);
    if ((type != LUA_TFUNCTION && type != LUA_TSTRING) || lua_iscfunction(L, 1))
        luaL_argerror(L, 1,
                      "a function of Lua, or the text of a script, is expected, or {run = "
                      "function, timeout = \"5m\", ...}");
}

static struct work_lane *lane_of(struct host *host)
{
    if (host->blocking)
        return host->blocking;
    host->blocking = work_lane_new(host->loop, "script work", THREADS);
    if (host->blocking)
        work_lane_stack(host->blocking, STACK_BYTES);
    return host->blocking;
}

static int l_work(lua_State *L)
{
    struct work_options o;
    read_arguments(L, &o);
    int last = lua_gettop(L);
    struct work_call *c = l_job_begin(L, sizeof *c, "medusa.work");
    c->base.drop = drop;
    c->base.cancel = cancel;
    c->code.max = c->args.max = c->results.max = COPIED_MAX;
    c->memory = o.memory;
    c->timeout_ms = o.timeout;
    put_code(L, 1, c);
    for (int i = 2; i <= last; i++) {
        const char *why = plain_put(L, i, &c->args);
        if (why)
            return luaL_argerror(L, i, why);
    }
    struct work_lane *lane = lane_of(version_of(L)->host);
    if (!lane || !charge(c, c->code.room + c->args.room))
        return luaL_error(L, "medusa.work: not enough memory");
    c->job = (struct work_job){.run = run_work, .done = work_done};
    work_submit(lane, &c->job);
    return l_job_wait(L, &c->base, give_results);
}

const struct l_function l_work_functions[] = {
    {"medusa.work", l_work,
     "(function or text or {run = ..., timeout = \"5m\", memory = \"256M\"}, ...) -> ... | nil, "
     "error",
     "Runs Lua code on a thread, for what blocks or takes long; the other tasks go on meanwhile. "
     "It has a Lua state of its own, with "
     "Lua's libraries, io and os among them, but nothing of this script: the function may not use "
     "local variables from outside, and "
     "arguments and results are nil, booleans, numbers, strings and tables of them, which are "
     "copied. At most 4 run at once, the "
     "others wait. timeout (default 1m) ends Lua code, but not an io function that hangs.",
     true},
};
const size_t l_work_function_count = COUNT_OF(l_work_functions);

void l_open_work(lua_State *L)
{
    l_set_functions(L, l_work_functions, l_work_function_count);
}
