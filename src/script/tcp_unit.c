/* tcp_unit: sessions of scripted TCP servers.
 *
 *     style "handle":  on_open -> one task, until the function returns; then the connection is
 * closed style "events":  for each line, piece or end a short task; the next waits until it has
 * ended
 */
#include "script/tcp_unit.h"

#include "base/check.h"
#include "script/l_log.h"
#include "script/l_task.h"
#include "wire/frame_line.h"

#include <errno.h>

struct live_tcp {
    struct live base; /* first */
    struct server server;
};

struct tcp_session {
    struct session session; /* first */
    struct conn conn;
    struct l_task *task;
    int anchor; /* events: keeps the userdata while the connection lives */
    bool is_eventful;
    bool is_told;    /* on_open was called, or the task was begun */
    bool is_looping; /* next_event is on the C stack */
};

static struct tcp_session *of_stream(struct stream *s)
{
    return CONTAINER_OF(session_of_stream(s), struct tcp_session, session);
}

static struct live_tcp *live_of(const struct tcp_session *ts)
{
    return CONTAINER_OF(session_server(&ts->session), struct live_tcp, server);
}

static struct declared_tcp *declared_of(const struct live_tcp *lt)
{
    return CONTAINER_OF(lt->base.declared, struct declared_tcp, base);
}

/* ---- Tasks ---- */

static void log_failure(struct l_task *t, struct tcp_session *ts, const char *error)
{
    if (slice_is(slice_str(error), SLICE("cancelled")))
        return;
    char room[80];
    struct fmt f = fmt_on(room, sizeof room);
    fmt_put(&f, SLICE("connection"));
    if (ts) {
        fmt_put(&f, SLICE(" from "));
        peer_addr_put(&f, &ts->session.peer);
    }
    l_log_error(t->version, "script.error", fmt_done(&f), error);
}

static void end_session(struct tcp_session *ts)
{
    ts->task = NULL;
    conn_finish(&ts->conn);
}

/* The function has returned, or failed: either way it is the end of this connection. */
static void on_handled(struct l_task *t, const char *error)
{
    struct tcp_session *ts = t->owner;
    if (error)
        log_failure(t, ts, error);
    if (ts)
        end_session(ts);
}

static int returned(lua_State *L, int status, lua_KContext ctx)
{
    return 0;
}

static int handle_body(lua_State *L)
{
    struct tcp_session *ts = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, declared_of(live_of(ts))->functions[TCP_HANDLE]);
    conn_push(L, &ts->conn, &ts->session.peer);
    lua_callk(L, 1, 0, 0, returned);
    return 0;
}

static void start_handle(struct tcp_session *ts)
{
    struct l_task *t = l_task_new(ts->conn.version);
    if (!t) {
        stream_abort(&ts->session.stream, -ENOMEM);
        return;
    }
    ts->task = t;
    t->owner = ts;
    t->on_done = on_handled;
    l_task_start(t, handle_body, ts);
}

/* ---- Events ---- */

static void next_event(struct tcp_session *ts);

/* An event as the task's body needs it; on the C stack while the task begins. */
struct event {
    struct tcp_session *ts;
    int function;
    slice data;
    size_t used; /* consumed when the data has been pushed */
    bool has_data;
};

static void on_event_done(struct l_task *t, const char *error)
{
    struct tcp_session *ts = t->owner;
    if (error)
        log_failure(t, ts, error);
    if (!ts)
        return;
    ts->task = NULL;
    if (error)
        conn_finish(&ts->conn);
    else
        next_event(ts);
}

static void push_handle(lua_State *L, struct tcp_session *ts)
{
    if (ts->anchor == LUA_NOREF) {
        conn_push(L, &ts->conn, &ts->session.peer);
        lua_pushvalue(L, -1);
        ts->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    } else {
        lua_rawgeti(L, LUA_REGISTRYINDEX, ts->anchor);
    }
}

static int event_body(lua_State *L)
{
    struct event *e = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->function);
    push_handle(L, e->ts);
    if (e->has_data) {
        l_push_slice(L, e->data);
        stream_consume(&e->ts->session.stream, e->used);
        e->ts->conn.scanned = 0;
    }
    lua_callk(L, e->has_data ? 2 : 1, 0, 0, returned);
    return 0;
}

static bool start_event(struct event *e)
{
    struct tcp_session *ts = e->ts;
    struct l_task *t = l_task_new(ts->conn.version);
    if (!t) {
        stream_abort(&ts->session.stream, -ENOMEM);
        return false;
    }
    ts->task = t;
    t->owner = ts;
    t->on_done = on_event_done;
    BUG_ON(t->version->host->running);
    l_task_start(t, event_body, e);
    return true;
}

static void drop_anchor(struct tcp_session *ts)
{
    if (ts->anchor != LUA_NOREF)
        luaL_unref(ts->conn.version->L, LUA_REGISTRYINDEX, ts->anchor);
    ts->anchor = LUA_NOREF;
}

/* A reload has brought newer code: the next event is its. */
static void follow_version(struct tcp_session *ts)
{
    struct version *now = declared_of(live_of(ts))->base.version;
    struct version *old = ts->conn.version;
    if (now == old)
        return;
    drop_anchor(ts);
    l_link_cut(&ts->conn.link);
    version_hold(now);
    ts->conn.version = now;
    version_release(old);
}

static bool find_event(struct tcp_session *ts, struct event *e)
{
    const struct declared_tcp *d = declared_of(live_of(ts));
    struct stream *s = &ts->session.stream;
    *e = (struct event){.ts = ts, .function = d->functions[TCP_ON_OPEN]};
    if (!ts->is_told) {
        ts->is_told = true;
        if (e->function != LUA_NOREF)
            return true;
    }
    e->has_data = true;
    e->data = stream_peek(s);
    e->used = e->data.n;
    e->function = d->functions[TCP_ON_DATA];
    if (e->function != LUA_NOREF)
        return e->data.n > 0;
    e->function = d->functions[TCP_ON_LINE];
    if (e->function == LUA_NOREF) { /* the newer code is of the other style */
        stream_close(s, false);
        return false;
    }
    ssize_t used = frame_line_find(stream_peek(s), &ts->conn.scanned, d->max_line, &e->data);
    if (used < 0)
        stream_abort(s, -EMSGSIZE);
    e->used = (size_t)MAX(used, 0);
    return used > 0;
}

/* on_event_done calls this again: a loop here, not a recursion for each line. */
static void next_event(struct tcp_session *ts)
{
    struct stream *s = &ts->session.stream;
    if (ts->is_looping)
        return;
    ts->is_looping = true;
    while (stream_is_open(s) && !ts->task) {
        follow_version(ts);
        struct event e;
        if (!find_event(ts, &e)) {
            if (stream_is_open(s) && stream_is_eof(s))
                stream_close(s, false);
            else
                stream_resume(s);
            break;
        }
        if (!start_event(&e))
            break;
    }
    if (ts->task)
        stream_pause(s);
    stream_set_deadline(s, ts->task || !ts->conn.idle_ms ? -1 : (int64_t)ts->conn.idle_ms);
    ts->is_looping = false;
}

/* ---- The session ---- */

static void begin(struct tcp_session *ts)
{
    if (!ts->is_told) {
        ts->is_told = true;
        start_handle(ts);
    }
}

static void on_open(struct session *session)
{
    struct tcp_session *ts = CONTAINER_OF(session, struct tcp_session, session);
    const struct declared_tcp *d = declared_of(live_of(ts));
    ts->conn = (struct conn){.stream = &session->stream,
                             .version = d->base.version,
                             .deadline_ms = INT64_MAX,
                             .idle_ms = d->idle_ms,
                             .max_line = d->max_line};
    ts->anchor = LUA_NOREF;
    ts->is_eventful = d->functions[TCP_HANDLE] == LUA_NOREF;
    version_hold(ts->conn.version);
    if (session->peer.family == PEER_AWAITED)
        return;
    if (ts->is_eventful)
        next_event(ts);
    else
        begin(ts);
}

static void on_input(struct stream *s)
{
    struct tcp_session *ts = of_stream(s);
    if (!session_is_known(&ts->session))
        return;
    if (ts->is_eventful)
        next_event(ts);
    else if (ts->is_told)
        conn_on_input(&ts->conn);
    else
        begin(ts);
}

static void on_room(struct stream *s)
{
    conn_on_room(&of_stream(s)->conn);
}

static void on_deadline(struct stream *s)
{
    struct tcp_session *ts = of_stream(s);
    if (ts->is_eventful && !ts->task)
        stream_close(s, false);
    else
        conn_on_deadline(&ts->conn);
}

static int close_body(lua_State *L)
{
    int *refs = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, refs[0]);
    lua_rawgeti(L, LUA_REGISTRYINDEX, refs[1]);
    luaL_unref(L, LUA_REGISTRYINDEX, refs[1]);
    lua_callk(L, 1, 0, 0, returned);
    return 0;
}

static void on_close_done(struct l_task *t, const char *error)
{
    if (error)
        log_failure(t, NULL, error);
}

/* on_close(conn): the connection is closed already, its fields are still there. */
static void tell_close(struct tcp_session *ts)
{
    int function = declared_of(live_of(ts))->functions[TCP_ON_CLOSE];
    if (function == LUA_NOREF || ts->anchor == LUA_NOREF ||
        ts->conn.version != declared_of(live_of(ts))->base.version)
        return;
    struct l_task *t = l_task_new(ts->conn.version);
    if (!t)
        return;
    t->on_done = on_close_done;
    int refs[2] = {function, ts->anchor};
    ts->anchor = LUA_NOREF;
    BUG_ON(t->version->host->running);
    l_task_start(t, close_body, refs);
}

static void on_closed(struct session *session, int error)
{
    struct tcp_session *ts = CONTAINER_OF(session, struct tcp_session, session);
    struct version *v = ts->conn.version;
    if (ts->task)
        ts->task->owner = NULL;
    conn_gone(&ts->conn);
    tell_close(ts);
    drop_anchor(ts);
    version_release(v);
}

static void drain(struct session *session)
{
    struct tcp_session *ts = CONTAINER_OF(session, struct tcp_session, session);
    if (!ts->task)
        stream_close(&session->stream, false);
}

static void describe(const struct session *session, struct fmt *f)
{
    const struct tcp_session *ts = CONTAINER_OF(session, struct tcp_session, session);
    fmt_put(f, ts->conn.reader ? SLICE("waiting for input")
               : ts->task      ? SLICE("at work")
                               : SLICE("idle"));
}

static const struct server_ops ops = {
    .name = "tcp",
    .session_bytes = sizeof(struct tcp_session),
    .stream = {.on_input = on_input, .on_room = on_room, .on_deadline = on_deadline},
    .on_open = on_open,
    .on_closed = on_closed,
    .drain = drain,
    .describe = describe,
};

/* ---- The kind ---- */

static struct live_tcp *of_live(struct live *l)
{
    return CONTAINER_OF(l, struct live_tcp, base);
}

static struct live *make(struct declared *d)
{
    struct host *host = d->version->host;
    struct live_tcp *lt = mem_alloc0(&host->owner, sizeof *lt);
    if (!lt)
        return NULL;
    server_init(&lt->server, &ops, host->io, host->book,
                &CONTAINER_OF(d, struct declared_tcp, base)->settings);
    return &lt->base;
}

static void adopt(struct live *l)
{
    server_change(&of_live(l)->server, &declared_of(of_live(l))->settings);
}

static int listen_at(struct live *l, const struct addr *addr, bool proxied, void **port_out)
{
    struct server_port *port = NULL;
    int error = server_listen(&of_live(l)->server, addr, proxied, &port);
    *port_out = port;
    return error;
}

static const struct addr *address(void *port)
{
    return &((struct server_port *)port)->listener.addr;
}

static void start(struct live *l)
{
    server_start(&of_live(l)->server);
}

static void unlisten(struct live *l, void *port)
{
    server_unlisten(&of_live(l)->server, port);
}

static void on_empty(struct server *server)
{
    live_check_empty(&CONTAINER_OF(server, struct live_tcp, server)->base);
}

static void drain_all(struct live *l)
{
    server_drain(&of_live(l)->server, on_empty);
}

static void abort_all(struct live *l)
{
    server_abort_all(&of_live(l)->server);
}

static bool is_empty(const struct live *l)
{
    return CONTAINER_OF(l, struct live_tcp, base)->server.session_count == 0;
}

static struct server *server_of(struct live *l)
{
    return &of_live(l)->server;
}

static void free_live(struct live *l)
{
    struct live_tcp *lt = of_live(l);
    struct host *host = l->host;
    server_fini(&lt->server);
    mem_free(&host->owner, lt, sizeof *lt);
}

const struct server_kind tcp_kind = {
    .name = "tcp",
    .make = make,
    .adopt = adopt,
    .listen = listen_at,
    .address = address,
    .start = start,
    .unlisten = unlisten,
    .drain = drain_all,
    .abort = abort_all,
    .is_empty = is_empty,
    .server = server_of,
    .free = free_live,
};
