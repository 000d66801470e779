/* l_sub: publishing and subscribing for scripts. */
#include "script/host_store.h"
#include "script/l_api.h"
#include "script/l_shared.h"
#include "script/l_task.h"
#include "script/l_value.h"
#include "script/subs.h"

#include <errno.h>

#define MESSAGE_MAX MIB

/* The userdata. */
struct l_sub {
    struct l_link *link;
    uint64_t dropped; /* when it is gone */
};

static int l_publish(lua_State *L)
{
    slice channel = l_check_slice(L, 1);
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "a message cannot be nil");
    struct l_value v;
    struct store *s = l_store_of(L);
    l_value_read(L, 2, &v);
    if (v.is_too_large || v.value.bytes.n > MESSAGE_MAX)
        return l_fail(L, "a message has at most 1 MiB");
    ssize_t receivers = subs_publish(version_of(L)->host, s, channel, v.value);
    if (receivers == -EMSGSIZE)
        return l_fail(L, "the name of a channel has at most 255 bytes");
    if (receivers < 0)
        return l_fail_store(L, (int)receivers);
    lua_pushinteger(L, receivers);
    return 1;
}

/* ---- Subscribing ---- */

struct sub_options {
    uint64_t queue;
};

static size_t read_queue(lua_State *L, int at, const char *what)
{
    static const struct l_option rows[] = {
        {"queue", OPTION_COUNT, offsetof(struct sub_options, queue), 1, QUEUE_MAX,
         "most messages that wait"},
    };
    struct sub_options o = {.queue = QUEUE_DEFAULT};
    if (!lua_isnoneornil(L, at))
        l_read_options(L, at, what, rows, COUNT_OF(rows), &o);
    return (size_t)o.queue;
}

static slice check_channel(lua_State *L)
{
    slice channel = l_check_slice(L, 1);
    luaL_argcheck(
        L, channel.n > 0 && channel.n <= STORE_CHANNEL_MAX, 1,
        "the name of a channel has 1 to 255 bytes; a \"*\" at its end means all that begin so");
    return channel;
}

/* Pushes the userdata of a sub that is not subscribed yet; the caller has nothing to undo when this
 * RAISES. */
static struct sub *push_sub(lua_State *L, slice channel, size_t most)
{
    struct l_sub *handle = l_new_object(L, META_SUB, sizeof *handle, 0);
    handle->link = l_link_new(L, NULL);
    struct sub *sub = sub_new(version_of(L), channel, most);
    if (!sub)
        luaL_error(L, "not enough memory");
    handle->link->object = sub;
    sub->handle = handle->link;
    return sub;
}

/* The userdata is on the top. */
static int begin(lua_State *L, struct sub *sub, struct store *s)
{
    int error = sub_begin(sub, s);
    if (!error)
        return 1;
    sub_end(sub, true);
    return l_fail_store(L, error);
}

static int l_subscribe(lua_State *L)
{
    slice channel = check_channel(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    size_t most = read_queue(L, 3, "medusa.shared.subscribe");
    struct store *s = l_store_of(L);
    if (version_of(L)->is_over)
        return l_fail(L, "this script has been replaced: its functions get no messages any more");
    lua_pushvalue(L, 2);
    int function = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushinteger(L, function);
    struct sub *sub = push_sub(L, channel, most);
    sub->function = function;
    return begin(L, sub, s);
}

static int l_listen(lua_State *L)
{
    slice channel = check_channel(L);
    size_t most = read_queue(L, 2, "medusa.shared.listen");
    struct store *s = l_store_of(L);
    return begin(L, push_sub(L, channel, most), s);
}

/* ---- Delivering ---- */

/* Message and channel. */
static void push_letter(lua_State *L, const struct letter *letter)
{
    const struct mail *m = letter->mail;
    l_value_push(L, (struct store_value){.type = (uint8_t)m->message[0],
                                         .bytes = slice_of(m->message + 1, m->bytes - 1)});
    l_push_slice(L, slice_of(m->channel, m->channel_bytes));
}

static int end_run(lua_State *L, int status, lua_KContext ctx)
{
    return 0;
}

int l_sub_run(lua_State *L)
{
    struct sub *sub = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, sub->function);
    push_letter(L, sub->current);
    letter_free(sub->version->host, &sub->current);
    lua_callk(L, 2, 0, 0, end_run);
    return 0;
}

static struct l_sub *check_sub(lua_State *L)
{
    return l_check_object(L, 1, META_SUB, "subscription");
}

static void cancel_next(struct l_task *t, void *what)
{
    struct sub *sub = l_link_object(what);
    if (sub && sub->task == t)
        sub->task = NULL;
}

/* When there is no memory to copy it, it stays in the queue; when there is none to build the value,
 * it is lost. */
static int deliver(lua_State *L, struct sub *sub)
{
    struct host *host = sub->version->host;
    const struct mail *m = CONTAINER_OF(sub->letters.next, struct letter, link)->mail;
    l_push_slice(L, slice_of(m->message, m->bytes)); /* copies: what raises below holds no letter */
    l_push_slice(L, slice_of(m->channel, m->channel_bytes));
    struct letter *letter = sub_take(sub);
    letter_free(host, &letter);
    slice bytes = l_check_slice(L, -2);
    l_value_push(L,
                 (struct store_value){.type = (uint8_t)bytes.p[0], .bytes = slice_skip(bytes, 1)});
    lua_insert(L, -2);
    return 2;
}

/* Stack: the userdata (1), until when (2). */
static int next_message(lua_State *L, int status, lua_KContext ctx)
{
    struct l_sub *handle = lua_touserdata(L, 1);
    struct sub *sub = l_link_object(handle);
    lua_Integer due = lua_tointeger(L, 2);
    if (sub && sub->task == l_task_current(L))
        sub->task = NULL;
    if (sub && !list_is_empty(&sub->letters))
        return deliver(L, sub);
    if (!sub || sub->is_ended)
        return l_fail(L, "closed");
    if (due <= loop_now_ms(version_of(L)->host->loop))
        return l_fail(L, "timeout");
    if (sub->task)
        return luaL_error(L, "another task is waiting for a message of this subscription");
    l_task_check_wait(L, "waiting for a message");
    sub->task = l_task_current(L);
    return l_task_wait_until(L, due, cancel_next, handle, next_message, 0);
}

static int l_next(lua_State *L)
{
    struct l_sub *handle = check_sub(L);
    const struct sub *sub = l_link_object(handle);
    if (sub && sub->function != LUA_NOREF)
        return luaL_error(
            L, "sub:next is for medusa.shared.listen: this subscription calls a function");
    int64_t due = lua_isnoneornil(L, 2)
                      ? INT64_MAX
                      : loop_now_ms(version_of(L)->host->loop) + l_check_time(L, 2);
    lua_settop(L, 1);
    lua_pushinteger(L, due);
    return next_message(L, LUA_OK, 0);
}

static int iterate(lua_State *L)
{
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushinteger(L, INT64_MAX);
    return next_message(L, LUA_OK, 0);
}

static int l_messages(lua_State *L)
{
    check_sub(L);
    lua_settop(L, 1);
    lua_pushcclosure(L, iterate, 1);
    return 1;
}

static int l_cancel(lua_State *L)
{
    struct l_sub *handle = check_sub(L);
    struct sub *sub = l_link_object(handle);
    if (sub) {
        handle->dropped = sub->dropped;
        sub_end(sub, true);
    }
    return 0;
}

static int l_dropped(lua_State *L)
{
    const struct l_sub *handle = check_sub(L);
    const struct sub *sub = l_link_object(handle);
    lua_pushinteger(L, (lua_Integer)(sub ? sub->dropped : handle->dropped));
    return 1;
}

static int l_is_open(lua_State *L)
{
    const struct sub *sub = l_link_object(check_sub(L));
    lua_pushboolean(L, sub && !sub->is_ended);
    return 1;
}

static int collect(lua_State *L)
{
    struct l_sub *handle = lua_touserdata(L, 1);
    struct sub *sub = l_link_drop(&handle->link);
    if (sub)
        sub_forget(sub);
    return 0;
}

const struct l_function l_sub_functions[] = {
    {"medusa.shared.publish", l_publish, "(channel, message) -> receivers | nil, error",
     "Sends a message, any value that medusa.shared.set takes but at most 1 MiB, to all who are "
     "subscribed in this moment, in all units. "
     "Returns how many those are; it does not wait for them."},
    {"medusa.shared.subscribe", l_subscribe,
     "(channel, function(message, channel), [{queue=}]) -> sub | nil, error",
     "Calls the function, which may wait, in a task for each message, in order: the next message "
     "waits until it has returned. A channel "
     "\"room:*\" stands for all that begin so. At most queue (1000) messages and 16 MiB wait; then "
     "the oldest are dropped, which the log tells once. It "
     "begins when the load has succeeded and ends by sub:cancel() or when the script is replaced: "
     "what waits then is still delivered, to the "
     "old code. An error is logged, and the next message comes."},
    {"medusa.shared.listen", l_listen, "(channel, [{queue=}]) -> sub | nil, error",
     "The same for sub:next() and sub:messages(), at once. It ends when sub is collected, or by "
     "sub:cancel(); local sub <close> = ... does that."},
};
const size_t l_sub_function_count = COUNT_OF(l_sub_functions);

const struct l_function l_sub_methods[] = {
    {"sub:next", l_next, "([time]) -> message, channel | nil, error",
     "The next message, waiting for it (for that time). nil and \"timeout\" or \"closed\".", true},
    {"sub:messages", l_messages, "() -> iterator",
     "for message, channel in sub:messages() do ... end: until it is cancelled.", true},
    {"sub:cancel", l_cancel, "()",
     "No message comes any more; those that wait are dropped. A call that is going on goes on."},
    {"sub:dropped", l_dropped, "() -> count",
     "How many messages were dropped, because the queue was full or memory was short."},
    {"sub:is_open", l_is_open, "() -> boolean", "False when it has ended."},
};
const size_t l_sub_method_count = COUNT_OF(l_sub_methods);

void l_open_subs(lua_State *L)
{
    const struct l_class class = {.meta = META_SUB,
                                  .name = "subscription",
                                  .methods = l_sub_methods,
                                  .count = l_sub_method_count,
                                  .gc = collect};
    l_make_meta(L, &class);
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[META_SUB]);
    lua_pushcfunction(L, l_cancel);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
    l_set_functions(L, l_sub_functions, l_sub_function_count);
}
