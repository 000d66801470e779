/* l_conn: the methods of connections. */
#include "script/conn.h"
#include "script/l_task.h"

#include "base/check.h"
#include "wire/frame_line.h"

#include <errno.h>

/* ---- Both ends of the pointer ---- */

void conn_push(lua_State *L, struct conn *c, const struct peer_addr *peer)
{
    struct l_conn *handle = l_new_object(L, META_CONN, sizeof *handle, 1);
    handle->peer = *peer;
    c->link = handle->link = l_link_new(L, c);
}

static int collect(lua_State *L)
{
    struct l_conn *handle = lua_touserdata(L, 1);
    struct conn *c = l_link_drop(&handle->link);
    if (c)
        conn_finish(c); /* nobody can read or write it any more */
    return 0;
}

static struct l_conn *check_handle(lua_State *L)
{
    return l_check_object(L, 1, META_CONN, "connection");
}

static void wake(struct l_task **waiting)
{
    struct l_task *t = *waiting;
    *waiting = NULL;
    if (t)
        l_task_wake(t);
}

void conn_gone(struct conn *c)
{
    struct l_task *reader = c->reader, *writer = c->writer;
    l_link_cut(&c->link);
    c->reader = c->writer = NULL;
    if (reader)
        l_task_wake(reader);
    if (writer && writer != reader)
        l_task_wake(writer);
}

void conn_finish(struct conn *c)
{
    if (c->finish)
        c->finish(c);
    else
        stream_close(c->stream, false);
}

/* ---- News ---- */

void conn_on_input(struct conn *c)
{
    if (c->reader)
        wake(&c->reader);
    else
        stream_pause(c->stream);
}

void conn_on_room(struct conn *c)
{
    if (c->writer && !stream_is_full(c->stream))
        wake(&c->writer);
}

void conn_on_deadline(struct conn *c)
{
    struct l_task *reader = c->reader, *writer = c->writer;
    if (!reader && !writer)
        return; /* set for a wait that is over */
    c->writer = NULL;
    c->has_timed_out = true;
    wake(&c->reader); /* *c may be gone now */
    if (writer && writer != reader)
        l_task_wake(writer);
}

/* ---- Waiting ---- */

static void cancel_wait(struct l_task *t, void *what)
{
    struct l_conn *handle = what;
    struct conn *c = l_link_object(handle);
    if (c && c->reader == t)
        c->reader = NULL;
    if (c && c->writer == t)
        c->writer = NULL;
}

static int64_t now_of(const struct conn *c)
{
    return loop_now_ms(c->stream->cls->io->loop);
}

/* [idle_ms] from now, or at the deadline that the script has set; 0: at that only. */
static void set_deadline(struct conn *c, uint32_t idle_ms)
{
    int64_t left = idle_ms ? idle_ms : INT64_MAX;
    if (c->deadline_ms != INT64_MAX)
        left = MIN(left, MAX(c->deadline_ms - now_of(c), 0));
    stream_set_deadline(c->stream, left == INT64_MAX ? -1 : left);
}

static bool is_late(const struct conn *c)
{
    return c->has_timed_out || (c->deadline_ms != INT64_MAX && now_of(c) >= c->deadline_ms);
}

static int wait_input(lua_State *L, struct l_conn *handle, lua_KFunction k, lua_KContext ctx)
{
    struct conn *c = l_link_object(handle);
    l_task_check_wait(L, "reading from a connection");
    if (c->reader)
        return luaL_error(L, "another task is reading from this connection already");
    c->reader = l_task_current(L);
    set_deadline(c, c->idle_ms);
    stream_resume(c->stream);
    return l_task_wait(L, cancel_wait, handle, k, ctx);
}

/* nil and why no more can be read; has_timed_out is told once. */
static int end_of_input(lua_State *L, struct conn *c)
{
    if (!c)
        return l_fail(L, "closed");
    if (c->has_timed_out) {
        c->has_timed_out = false;
        return l_fail(L, "timeout");
    }
    return l_fail(L, is_late(c) ? "timeout" : "closed");
}

/* Must nothing more be waited for? */
static bool is_over(const struct conn *c)
{
    return !c || !stream_is_open(c->stream) || stream_is_eof(c->stream) || is_late(c);
}

static int take(lua_State *L, struct conn *c, slice data, size_t used)
{
    l_push_slice(L, data);
    c->scanned = 0;
    stream_consume(c->stream, used);
    return 1;
}

/* ---- Reading ---- */

/* Stack: handle (1), limit or nil (2). */
static int read_line(lua_State *L, int status, lua_KContext ctx)
{
    struct l_conn *handle = lua_touserdata(L, 1);
    struct conn *c = l_link_object(handle);
    if (!c)
        return l_fail(L, "closed");
    slice line;
    ssize_t used =
        frame_line_find(stream_peek(c->stream), &c->scanned, (size_t)lua_tointeger(L, 2), &line);
    if (used > 0)
        return take(L, c, line, (size_t)used);
    if (used < 0)
        return l_fail(L, "line too long");
    return is_over(c) ? end_of_input(L, c) : wait_input(L, handle, read_line, 0);
}

static uint32_t max_line_of(const struct l_conn *handle)
{
    const struct conn *c = l_link_object(handle);
    return c ? c->max_line : 0;
}

/* Pushes the limit in its place on the stack. */
static void check_limit(lua_State *L, struct l_conn *handle, int at)
{
    uint64_t max = lua_isnoneornil(L, at) ? max_line_of(handle) : l_check_size(L, at);
    luaL_argcheck(L, max <= 64 * MIB, at, "at most 64 MiB can be read at once");
    lua_settop(L, at - 1);
    lua_pushinteger(L, (lua_Integer)max);
}

/* A search that begins: what was seen may have been looked at for another end. */
static void begin_search(struct l_conn *handle)
{
    struct conn *c = l_link_object(handle);
    if (c)
        c->scanned = 0;
}

static int l_read_line(lua_State *L)
{
    struct l_conn *handle = check_handle(L);
    check_limit(L, handle, 2);
    begin_search(handle);
    return read_line(L, LUA_OK, 0);
}

/* for line in conn:lines(): upvalue 1 is the connection. */
static int next_line(lua_State *L)
{
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, lua_upvalueindex(2));
    begin_search(lua_touserdata(L, 1));
    return read_line(L, LUA_OK, 0);
}

static int l_lines(lua_State *L)
{
    check_limit(L, check_handle(L), 2);
    lua_pushcclosure(L, next_line, 2);
    return 1;
}

/* Stack: handle (1), number of bytes (2). */
static int read_count(lua_State *L, int status, lua_KContext ctx)
{
    struct l_conn *handle = lua_touserdata(L, 1);
    struct conn *c = l_link_object(handle);
    size_t n = (size_t)lua_tointeger(L, 2);
    if (!c)
        return l_fail(L, "closed");
    slice in = stream_peek(c->stream);
    if (in.n >= n)
        return take(L, c, slice_head(in, n), n);
    return is_over(c) ? end_of_input(L, c) : wait_input(L, handle, read_count, 0);
}

/* What is there, and if nothing is, what comes next. */
static int read_some(lua_State *L, int status, lua_KContext ctx)
{
    struct l_conn *handle = lua_touserdata(L, 1);
    struct conn *c = l_link_object(handle);
    if (!c)
        return l_fail(L, "closed");
    slice in = stream_peek(c->stream);
    if (in.n)
        return take(L, c, in, in.n);
    return is_over(c) ? end_of_input(L, c) : wait_input(L, handle, read_some, 0);
}

static int l_read(lua_State *L)
{
    struct l_conn *handle = check_handle(L);
    if (lua_isnoneornil(L, 2))
        return read_some(L, LUA_OK, 0);
    check_limit(L, handle, 2);
    return read_count(L, LUA_OK, 0);
}

/* Stack: handle (1), what ends it (2), limit (3). */
static int read_until(lua_State *L, int status, lua_KContext ctx)
{
    struct l_conn *handle = lua_touserdata(L, 1);
    struct conn *c = l_link_object(handle);
    if (!c)
        return l_fail(L, "closed");
    size_t n;
    const char *end = lua_tolstring(L, 2, &n);
    slice block;
    ssize_t used = frame_line_find_until(stream_peek(c->stream), slice_of(end, n), &c->scanned,
                                         (size_t)lua_tointeger(L, 3), &block);
    if (used > 0)
        return take(L, c, block, (size_t)used);
    if (used < 0)
        return l_fail(L, "too long");
    return is_over(c) ? end_of_input(L, c) : wait_input(L, handle, read_until, 0);
}

static int l_read_until(lua_State *L)
{
    struct l_conn *handle = check_handle(L);
    luaL_argcheck(L, l_check_slice(L, 2).n > 0, 2, "the end must not be empty");
    check_limit(L, handle, 3);
    begin_search(handle);
    return read_until(L, LUA_OK, 0);
}

/* ---- Writing ---- */

static bool can_write(const struct conn *c)
{
    return stream_is_open(c->stream) && !stream_is_shut(c->stream);
}

/* Pushes from the arguments' bytes [from] on, until they end or the stream is full; where it
 * stopped. < 0: it is over. */
static lua_KContext push_from(lua_State *L, struct conn *c, lua_KContext from)
{
    lua_KContext before = 0;
    int top = lua_gettop(L);
    for (int i = 2; i <= top; i++) {
        size_t n;
        const char *p = lua_tolstring(L, i, &n);
        while (before + (lua_KContext)n > from) {
            slice rest = slice_skip(slice_of(p, n), (size_t)(from - before));
            slice piece = slice_head(rest, 32 * KIB);
            if (!can_write(c) || !outq_push_copy(&c->stream->out, c->stream->cls->io, piece))
                return -1;
            from += (lua_KContext)piece.n;
            if (stream_is_full(c->stream))
                break;
        }
        before += (lua_KContext)n;
        if (stream_is_full(c->stream))
            break;
    }
    stream_touch(c->stream);
    return from;
}

static int write_rest(lua_State *L, int status, lua_KContext from)
{
    struct l_conn *handle = lua_touserdata(L, 1);
    struct conn *c = l_link_object(handle);
    if (!c || is_late(c))
        return end_of_input(L, c);
    from = push_from(L, c, from);
    if (from < 0)
        return l_fail(L, "closed");
    if (stream_is_full(c->stream)) {
        l_task_check_wait(L, "writing to a connection");
        if (c->writer)
            return luaL_error(L, "another task is writing to this connection and waits for room");
        c->writer = l_task_current(L);
        set_deadline(c, c->idle_ms);
        return l_task_wait(L, cancel_wait, handle, write_rest, from);
    }
    lua_settop(L, 1);
    return 1;
}

static int l_write(lua_State *L)
{
    struct l_conn *handle = check_handle(L);
    int top = lua_gettop(L);
    for (int i = 2; i <= top; i++)
        (void)l_check_slice(L, i);
    if (!l_link_object(handle))
        return l_fail(L, "closed");
    return write_rest(L, LUA_OK, 0);
}

static int l_shutdown(lua_State *L)
{
    struct l_conn *handle = check_handle(L);
    struct conn *c = l_link_object(handle);
    if (!c || !stream_is_open(c->stream))
        return l_fail(L, "closed");
    stream_shutdown(c->stream);
    lua_settop(L, 1);
    return 1;
}

/* ---- From one connection to another ---- */

/* In a userdata at index 3, above both handles: lives as long as the wait. */
struct pipe_ends {
    const struct l_conn *from, *to;
};

/* The task is the reader of the one and the writer of the other, so that it hears of the end of
 * either. */
static void leave_pipe(struct l_task *t, void *what)
{
    const struct pipe_ends *ends = what;
    struct conn *from = l_link_object(ends->from), *to = l_link_object(ends->to);
    if (from && from->reader == t)
        from->reader = NULL;
    if (to && to->writer == t)
        to->writer = NULL;
}

/* Copies what is there and fits. */
static bool pump(struct conn *from, struct conn *to, lua_KContext *copied)
{
    struct stream *in = from->stream, *out = to->stream;
    while (stream_peek(in).n && !stream_is_full(out)) {
        slice piece = slice_head(stream_peek(in), 32 * KIB);
        if (!outq_push_copy(&out->out, out->cls->io, piece))
            return false;
        stream_consume(in, piece.n);
        *copied += (lua_KContext)piece.n;
    }
    from->scanned = 0;
    stream_touch(out);
    return true;
}

static int pipe_rest(lua_State *L, int status, lua_KContext copied);

static int wait_pipe(lua_State *L, struct pipe_ends *ends, lua_KContext copied)
{
    struct conn *from = l_link_object(ends->from), *to = l_link_object(ends->to);
    l_task_check_wait(L, "copying between connections");
    if (from->reader)
        return luaL_error(L, "another task is reading from this connection already");
    if (to->writer)
        return luaL_error(L, "another task is writing to that connection already");
    to->writer = l_task_current(L);
    if (stream_is_full(to->stream)) {
        set_deadline(from, from->writer ? from->idle_ms : 0);
        set_deadline(to, to->idle_ms);
    } else {
        from->reader = to->writer;
        if (!to->reader)
            set_deadline(to, 0);
        set_deadline(from, from->idle_ms);
        stream_resume(from->stream);
    }
    return l_task_wait(L, leave_pipe, ends, pipe_rest, copied);
}

static int pipe_rest(lua_State *L, int status, lua_KContext copied)
{
    struct pipe_ends *ends = lua_touserdata(L, 3);
    leave_pipe(l_task_current(L), ends);
    struct conn *from = l_link_object(ends->from), *to = l_link_object(ends->to);
    if (!from || !to || !stream_is_open(from->stream) || !can_write(to))
        return l_fail(L, "closed");
    if (is_late(from) || is_late(to))
        return end_of_input(L, is_late(from) ? from : to);
    if (!pump(from, to, &copied))
        return l_fail(L, "not enough memory");
    if (!stream_is_eof(from->stream) || stream_peek(from->stream).n)
        return wait_pipe(L, ends, copied);
    lua_pushinteger(L, (lua_Integer)copied);
    return 1;
}

static int l_pipe_to(lua_State *L)
{
    struct l_conn *from = check_handle(L);
    struct l_conn *to = l_check_object(L, 2, META_CONN, "connection");
    lua_settop(L, 2);
    struct pipe_ends *ends = lua_newuserdatauv(L, sizeof *ends, 0);
    *ends = (struct pipe_ends){from, to};
    return pipe_rest(L, LUA_OK, 0);
}

/* ---- The rest ---- */

static int l_deadline(lua_State *L)
{
    struct l_conn *handle = check_handle(L);
    int64_t ms = lua_isnoneornil(L, 2) ? INT64_MAX : l_check_time(L, 2);
    struct conn *c = l_link_object(handle);
    if (c) {
        c->deadline_ms = ms == INT64_MAX ? ms : now_of(c) + ms;
        c->has_timed_out = false;
    }
    lua_settop(L, 1);
    return 1;
}

static int l_close(lua_State *L)
{
    struct l_conn *handle = check_handle(L);
    struct conn *c = l_link_object(handle);
    if (c)
        conn_finish(c);
    return 0;
}

static int l_is_open(lua_State *L)
{
    struct l_conn *handle = check_handle(L);
    const struct conn *c = l_link_object(handle);
    lua_pushboolean(L, c && stream_is_open(c->stream));
    return 1;
}

static int l_peer(lua_State *L)
{
    struct l_conn *handle = check_handle(L);
    char room[PEER_TEXT_MAX];
    struct fmt f = fmt_on(room, sizeof room);
    peer_addr_put(&f, &handle->peer);
    l_push_slice(L, fmt_done(&f));
    lua_pushinteger(L, handle->peer.port);
    return 2;
}

/* A script may put fields of its own into a connection. Upvalue 1: the table of methods, which
 * would hide one of that name. */
static int new_index(lua_State *L)
{
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return luaL_error(L, "conn.%s is a method: a field of your own needs another name",
                          lua_tostring(L, 2));
    lua_settop(L, 3);
    if (lua_getiuservalue(L, 1, 1) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 2);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, 1);
    }
    lua_insert(L, 2);
    lua_rawset(L, 2);
    return 0;
}

const struct l_function l_conn_methods[] = {
    {"conn:read_line", l_read_line, "([max]) -> line | nil, error",
     "The next line without its end (LF or CR LF). nil and \"closed\", \"timeout\" or \"line too "
     "long\" (more than max bytes: the server's max_line).",
     true},
    {"conn:lines", l_lines, "([max]) -> iterator",
     "for line in conn:lines() do ... end: until the client closes or is too slow.", true},
    {"conn:read", l_read, "([count]) -> bytes | nil, error",
     "Exactly count bytes; without count, what is there, waiting until there is something.", true},
    {"conn:read_until", l_read_until, "(end, [max]) -> bytes | nil, error",
     "What comes before the text end, which is taken too.", true},
    {"conn:write", l_write, "(text, ...) -> conn | nil, error",
     "Sends; waits while the client takes less than it is given.", true},
    {"conn:pipe_to", l_pipe_to, "(other) -> bytes | nil, error",
     "Copies everything that comes, until the other side ends, to another connection, no faster "
     "than that one takes it. Then "
     "other:shutdown() hands the end on.",
     true},
    {"conn:shutdown", l_shutdown, "() -> conn | nil, error",
     "Sends what was written, then tells the other side that no more will come. It can still be "
     "read from."},
    {"conn:deadline", l_deadline, "([time]) -> conn",
     "From that time on, counted from now, reads and writes return nil, \"timeout\". Without a "
     "time there is no deadline."},
    {"conn:close", l_close, "()", "Sends what was written, then ends the connection."},
    {"conn:is_open", l_is_open, "() -> boolean", "False when it was closed by either side."},
    {"conn:peer", l_peer, "() -> address, port", "Who is at the other end."},
};
const size_t l_conn_method_count = COUNT_OF(l_conn_methods);

void l_open_conn(lua_State *L)
{
    static const struct l_class class = {.meta = META_CONN,
                                         .name = "connection",
                                         .methods = l_conn_methods,
                                         .count = COUNT_OF(l_conn_methods),
                                         .index = l_index_own,
                                         .gc = collect};
    l_make_meta(L, &class);
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[META_CONN]);
    lua_getfield(L, -1, "__index");
    lua_getupvalue(L, -1, 1);
    lua_pushcclosure(L, new_index, 1);
    lua_setfield(L, -3, "__newindex");
    lua_pop(L, 1);
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
}
