/* l_events: req:events(): an answer that never ends: server-sent events (WHATWG HTML 9.2).
 *
 * Any task may send; the handler usually waits in events:wait. The object and its request point at
 * each other, and whichever goes first clears the other's pointer. A comment goes out by itself
 * when nothing was sent for a while: proxies close what is silent, and a client whose network has
 * gone is only noticed when it is written to. One that closes is noticed at once (exchange_watch).
 */
#include "script/http_unit.h"

#include "script/l_task.h"
#include "script/l_text.h"
#include "script/libs.h"

#include "loop/loop.h"

#define HEAD                                                                                  \
    SLICE("Content-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: " \
          "no\r\n")

struct l_events {
    struct l_request *r;   /* NULL: the request is over */
    struct list_node link; /* in version->events while it is open */
    struct list_node waiters;
    struct timeout timeout;
    struct loop *loop;
    int64_t idle_ms, sent_ms;
    bool is_closed;
};

/* A task that waits; in a userdata of its stack. */
struct waiter {
    struct list_node link;
    struct l_task *task;
    bool for_room; /* else for the end */
};

/* ---- News ---- */

void l_events_wake(struct list_node *waiters)
{
    for (struct list_node *n; (n = list_pop_front(waiters));)
        l_task_wake(CONTAINER_OF(n, struct waiter, link)->task);
}

/* No more of it; whoever waits for anything is to be told. */
static void end_events(struct l_events *e, struct list_node *waiters_out)
{
    timeout_clear(&e->timeout);
    list_remove(&e->link);
    list_move_all(waiters_out, &e->waiters);
}

void l_events_detach(struct l_events *e, struct list_node *waiters_out)
{
    e->r = NULL;
    end_events(e, waiters_out);
}

/* Lua code may run in here. */
static void close_events(struct l_events *e)
{
    struct list_node waiters;
    e->is_closed = true;
    end_events(e, &waiters);
    l_events_wake(&waiters);
}

void l_events_on_room(struct l_events *e)
{
    struct list_node now;
    list_init(&now);
    LIST_EACH_SAFE (n, &e->waiters) {
        if (!CONTAINER_OF(n, struct waiter, link)->for_room)
            continue;
        list_remove(n);
        list_push_back(&now, n);
    }
    l_events_wake(&now);
}

void l_events_close_all(struct version *v)
{
    while (!list_is_empty(&v->events))
        close_events(CONTAINER_OF(v->events.next, struct l_events, link));
}

static void on_timeout(struct timeout *t)
{
    struct l_events *e = CONTAINER_OF(t, struct l_events, timeout);
    int64_t now = loop_now_ms(e->loop);
    if (now - e->sent_ms >= e->idle_ms) {
        e->sent_ms = now;
        if (!stream_is_full(&e->r->ex->session->stream) &&
            !exchange_write(e->r->ex, SLICE(":\n\n")))
            return; /* it is being aborted: on_gone follows */
    }
    timeout_set(loop_wheel(e->loop), t, e->sent_ms + e->idle_ms);
}

/* ---- Objects ---- */

static int collect(lua_State *L)
{
    struct l_events *e = lua_touserdata(L, 1);
    if (e->r)
        e->r->events = NULL;
    timeout_clear(&e->timeout);
    list_remove(&e->link);
    return 0;
}

static struct l_events *check_events(lua_State *L)
{
    return l_check_object(L, 1, META_EVENTS, "events");
}

static bool is_open(const struct l_events *e)
{
    return e->r && !e->is_closed && stream_is_open(&e->r->ex->session->stream);
}

static int give_closed(lua_State *L, const struct l_events *e)
{
    return l_fail(L, e->r && e->is_closed ? "closed" : "the client is gone");
}

struct events_options {
    int64_t keepalive;
};

const struct l_option l_events_options[] = {
    {"keepalive", OPTION_TIME, offsetof(struct events_options, keepalive), 100, 86400000,
     "after so long without an event a comment is sent (15s)"},
};
const size_t l_events_option_count = COUNT_OF(l_events_options);

/* The request keeps the object on the top. */
static void anchor(lua_State *L)
{
    static const char key;
    if (lua_getiuservalue(L, 1, 1) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 1);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, 1);
    }
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, &key);
    lua_pop(L, 1);
}

static struct l_events *push_events(lua_State *L, struct l_request *r, int64_t idle_ms)
{
    struct l_events *e = l_new_object(L, META_EVENTS, sizeof *e, 0);
    struct version *v = version_of(L);
    e->loop = v->host->loop;
    e->idle_ms = idle_ms;
    e->sent_ms = loop_now_ms(e->loop);
    list_init(&e->link);
    list_init(&e->waiters);
    timeout_init(&e->timeout, on_timeout);
    anchor(L);
    list_push_back(&v->events, &e->link);
    e->r = r;
    r->events = e;
    return e;
}

int l_request_events(lua_State *L)
{
    struct l_request *r = l_check_request(L, 1);
    struct events_options o = {.keepalive = 15000};
    if (!lua_isnoneornil(L, 2))
        l_read_options(L, 2, "req:events", l_events_options, COUNT_OF(l_events_options), &o);
    if (r->ex->has_begun)
        return luaL_error(L, "the answer has begun already");
    struct l_events *e = push_events(L, r, o.keepalive);
    if (!exchange_begin(r->ex, 200, HEAD, -1))
        return luaL_error(L, "not enough memory");
    exchange_watch(r->ex);
    timeout_set(loop_wheel(e->loop), &e->timeout, e->sent_ms + e->idle_ms);
    if (r->ex->no_body)
        e->is_closed = true; /* HEAD: that was all */
    return 1;
}

/* ---- Waiting ---- */

static void cancel_wait(struct l_task *t, void *what)
{
    struct waiter *w = what;
    list_remove(&w->link);
}

/* The waiter stays on the stack, until k takes it off. */
static int wait(lua_State *L, struct l_events *e, bool for_room, lua_KFunction k)
{
    l_task_check_wait(L, for_room ? "events:send" : "events:wait");
    struct waiter *w = lua_newuserdatauv(L, sizeof *w, 0);
    *w = (struct waiter){.task = l_task_current(L), .for_room = for_room};
    list_push_back(&e->waiters, &w->link);
    return l_task_wait(L, cancel_wait, w, k, 0);
}

static int end_wait(lua_State *L, int status, lua_KContext ctx)
{
    struct l_events *e = lua_touserdata(L, 1);
    lua_settop(L, 1);
    return is_open(e) ? wait(L, e, false, end_wait) : 0;
}

static int l_wait(lua_State *L)
{
    (void)check_events(L);
    return end_wait(L, LUA_OK, 0);
}

/* ---- Sending ---- */

/* Stack: the object (1), the text (2). */
static int push_text(lua_State *L, int status, lua_KContext ctx)
{
    struct l_events *e = lua_touserdata(L, 1);
    lua_settop(L, 2);
    if (!is_open(e))
        return give_closed(L, e);
    if (stream_is_full(&e->r->ex->session->stream))
        return wait(L, e, true, push_text);
    if (!exchange_write(e->r->ex, l_check_slice(L, 2)))
        return l_fail(L, "the client is gone");
    e->sent_ms = loop_now_ms(e->loop);
    lua_settop(L, 1);
    return 1;
}

/* Each line of [text] with [before] in front: CR LF, LF and CR end a line. */
static void put_lines(struct l_text *out, slice before, slice text)
{
    for (;;) {
        size_t n = 0;
        while (n < text.n && text.p[n] != '\n' && text.p[n] != '\r')
            n++;
        l_text_put(out, before);
        l_text_put(out, slice_head(text, n));
        l_text_put(out, SLICE("\n"));
        if (n == text.n)
            return;
        bool is_pair = text.p[n] == '\r' && n + 1 < text.n && text.p[n + 1] == '\n';
        text = slice_skip(text, n + (is_pair ? 2 : 1));
    }
}

/* A name or id: one line. */
static void put_field(lua_State *L, struct l_text *out, const char *name)
{
    int type = lua_getfield(L, 2, name);
    if (type == LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
        luaL_error(L, "events:send: %s must be a string, not %s", name, luaL_typename(L, -1));
    slice value = l_check_slice(L, -1);
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == '\n' || value.p[i] == '\r' || !value.p[i])
            luaL_error(L, "events:send: %s must be one line", name);
    l_text_put(out, slice_str(name));
    put_lines(out, SLICE(": "), value);
    lua_pop(L, 1);
}

static void put_retry(lua_State *L, struct l_text *out)
{
    if (lua_getfield(L, 2, "retry") != LUA_TNIL) {
        char room[64];
        struct fmt f = fmt_on(room, sizeof room);
        fmt_str(&f, "retry: ");
        fmt_u64(&f, (uint64_t)l_check_time(L, -1));
        fmt_char(&f, '\n');
        l_text_put(out, fmt_done(&f));
    }
    lua_pop(L, 1);
}

/* The value on the top; it is popped. */
static void put_data(lua_State *L, struct l_text *out)
{
    if (lua_istable(L, -1)) {
        l_json_push(L, -1);
        lua_replace(L, -2);
    }
    if (!lua_isstring(L, -1))
        luaL_error(L,
                   "events:send: the data must be a string, or a table that becomes JSON, not %s",
                   luaL_typename(L, -1));
    put_lines(out, SLICE("data: "), l_check_slice(L, -1));
    lua_pop(L, 1);
}

static void put_event(lua_State *L, struct l_text *out)
{
    static const struct l_option names[] = {{"event", OPTION_OTHER},
                                            {"id", OPTION_OTHER},
                                            {"retry", OPTION_OTHER},
                                            {"data", OPTION_OTHER}};
    if (!lua_istable(L, 2)) {
        luaL_checkstring(L, 2);
        lua_pushvalue(L, 2);
        put_data(L, out);
        return;
    }
    l_read_options(L, 2, "events:send", names, COUNT_OF(names), NULL);
    put_field(L, out, "event");
    put_field(L, out, "id");
    put_retry(L, out);
    if (lua_getfield(L, 2, "data") != LUA_TNIL)
        put_data(L, out);
    else
        lua_pop(L, 1);
}

/* The text becomes the second value of the stack. */
static int send_text(lua_State *L, struct l_text *out)
{
    l_text_put(out, SLICE("\n"));
    l_text_push(out);
    lua_replace(L, 2);
    return push_text(L, LUA_OK, 0);
}

static int l_send(lua_State *L)
{
    (void)check_events(L);
    lua_settop(L, 2);
    struct l_text out = l_text_new(L);
    put_event(L, &out);
    return send_text(L, &out);
}

static int l_comment(lua_State *L)
{
    (void)check_events(L);
    slice text = l_check_slice(L, 2);
    lua_settop(L, 2);
    struct l_text out = l_text_new(L);
    put_lines(&out, SLICE(": "), text);
    return send_text(L, &out);
}

/* ---- The rest ---- */

static int l_is_open(lua_State *L)
{
    lua_pushboolean(L, is_open(check_events(L)));
    return 1;
}

static int l_close(lua_State *L)
{
    struct l_events *e = check_events(L);
    if (e->r && !e->is_closed)
        close_events(e);
    return 0;
}

const struct l_function l_events_methods[] = {
    {"events:send", l_send, "(text or {data =, event =, id =, retry =}) -> events | nil, error",
     "Sends an event. data is text (each of its lines becomes a line of data) or a table that "
     "becomes JSON; event is its name and id what the client tells "
     "in Last-Event-ID when it comes again, each one line; retry is the time until it comes again. "
     "Any task may send; it waits while the client "
     "takes less than it is given.",
     true},
    {"events:comment", l_comment, "(text) -> events | nil, error",
     "Sends a comment, which clients pass over.", true},
    {"events:wait", l_wait, "()", "Waits until the client is gone, or events:close was called.",
     true},
    {"events:close", l_close, "()",
     "No more events: events:wait comes back, and when the handler returns the answer ends."},
    {"events:is_open", l_is_open, "() -> boolean",
     "False when it was closed or the client is known to be gone."},
};
const size_t l_events_method_count = COUNT_OF(l_events_methods);

void l_open_events(lua_State *L)
{
    const struct l_class class = {.meta = META_EVENTS,
                                  .name = "events",
                                  .methods = l_events_methods,
                                  .count = COUNT_OF(l_events_methods),
                                  .gc = collect};
    l_make_meta(L, &class);
}
