/* http1: one request after another on one connection.
 *
 * There is at most one exchange at a time: the next head is looked at when the answer to the last
 * is wholly in the output queue. So pipelined replies are in order by construction, and all that
 * arrived together is answered with one write. While an exchange cannot go on (its handler is
 * waiting, or the client takes no more), reading is paused: the kernel's window closes, and a
 * client that sends on fills nobody's memory but its own.
 *
 *     between requests --head complete--> exchange: body in | response out --both done--> between
 * requests, or close
 *
 * Everything is driven by run(): it goes on until it must wait for bytes, for room, or for the
 * handler. */
#include "protocol/http/http1.h"

#include "base/check.h"
#include "protocol/http/http.h"

#include <errno.h>

/* http1.flags */
enum {
    RUNNING = 1,    /* run() is on the stack: calls from the handler only leave notes for it */
    HAS_EX = 2,     /* .ex is valid, else .scanned */
    HEAD_BEGUN = 4, /* some bytes of the next head are there, and its deadline runs */
    TAKEN = 8,      /* the exchange's head has left the input: it was copied */
};

struct http1 {
    struct session session;
    union {
        struct exchange *ex; /* at work */
        size_t scanned;      /* of the head that is not complete yet */
    };
    uint32_t requests;
    uint8_t flags;
};

static struct http1 *of_session(struct session *session)
{
    return CONTAINER_OF(session, struct http1, session);
}

static struct http1 *of_stream(struct stream *s)
{
    return of_session(session_of_stream(s));
}

static struct http_server *http_of(struct http1 *h)
{
    return CONTAINER_OF(session_server(&h->session), struct http_server, server);
}

static void run(struct http1 *h);

/* ---- The response ---- */

static uint64_t written(const struct stream *s)
{
    return s->bytes_out + s->out.bytes;
}

static slice connection_line(const struct exchange *ex)
{
    if (!ex->keep_alive)
        return SLICE("Connection: close\r\n");
    return ex->req->minor ? SLICE("") : SLICE("Connection: keep-alive\r\n");
}

static void put_status_line(struct fmt *f, int status)
{
    if (LIKELY(status == 200)) {
        fmt_put(f, SLICE("HTTP/1.1 200 OK\r\n"));
        return;
    }
    fmt_put(f, SLICE("HTTP/1.1 "));
    fmt_u64(f, (uint64_t)status);
    fmt_char(f, ' ');
    fmt_put(f, http_status_reason(status));
    fmt_put(f, SLICE("\r\n"));
}

static void put_framing(struct fmt *f, struct exchange *ex, int64_t length)
{
    if (length >= 0) {
        if (ex->status == 204 || ex->status == 304)
            return; /* RFC 9110 8.6: 304 would have to name the length of the 200 */
        fmt_put(f, SLICE("Content-Length: "));
        fmt_u64(f, (uint64_t)length);
        fmt_put(f, SLICE("\r\n"));
    } else if (ex->req->minor) {
        ex->is_chunked = !ex->no_body;
        fmt_put(f, SLICE("Transfer-Encoding: chunked\r\n"));
    } else {
        ex->keep_alive =
            false; /* to HTTP/1.0 the end of such a body is the end of the connection */
    }
}

/* An answer before the whole request was read: can the rest be read away, or must the connection
 * end? */
static void decide_keep_alive(struct http_server *http, struct exchange *ex)
{
    if (http->server.is_draining)
        ex->keep_alive = false;
    if (ex->body_done || ex->on_body)
        return;
    bool too_much = !ex->req->chunked && ex->body_left > http->settings.discard_bytes;
    if (ex->wants_continue || too_much)
        ex->keep_alive = false; /* nobody knows whether a body will follow: RFC 9110 10.1.1 */
}

#define HEAD_EXTRA 256 /* status line, framing, Connection */
#define BODY_BESIDE \
    (8 * KIB) /* bodies up to this are copied behind their head: one piece, one send() */

static struct outq *h1_begin(struct exchange *ex, int status, slice lines, int64_t length)
{
    struct http_server *http = ex->server;
    struct stream *s = &ex->session->stream;
    decide_keep_alive(http, ex);
    slice date = http_date_line(http);
    size_t head_max = HEAD_EXTRA + date.n + lines.n;
    size_t beside =
        length > 0 && (uint64_t)length <= BODY_BESIDE && !ex->no_body ? (size_t)length : 0;
    if (!stream_is_open(s))
        return NULL;
    char *room = head_max + beside <= OUTQ_RESERVE_MAX
                     ? outq_reserve(&s->out, s->cls->io, head_max + beside)
                     : NULL;
    if (!room) {
        stream_abort(s, -ENOMEM);
        return NULL;
    }
    struct fmt f = fmt_on(room, head_max);
    put_status_line(&f, status);
    fmt_put(&f, date);
    put_framing(&f, ex, length);
    fmt_put(&f, connection_line(ex));
    fmt_put(&f, lines);
    fmt_put(&f, SLICE("\r\n"));
    BUG_ON(f.full);
    ex->sent_mark = written(s);
    ex->head_out = fmt_done(&f).n;
    outq_commit(&s->out, ex->head_out);
    stream_touch(s);
    return &s->out;
}

/* RFC 9112 7.1 */
static bool h1_write(struct exchange *ex, slice data)
{
    struct stream *s = &ex->session->stream;
    struct io *io = s->cls->io;
    if (!data.n || !stream_is_open(s))
        return stream_is_open(s);
    char size_text[24];
    struct fmt f = fmt_on(size_text, sizeof size_text);
    if (ex->is_chunked) {
        fmt_hex(&f, data.n);
        fmt_put(&f, SLICE("\r\n"));
    }
    bool ok = outq_push_copy(&s->out, io, fmt_done(&f)) && outq_push_copy(&s->out, io, data) &&
              (!ex->is_chunked || outq_push_copy(&s->out, io, SLICE("\r\n")));
    if (!ok)
        stream_abort(s, -ENOMEM);
    stream_touch(s);
    return ok;
}

static void h1_end(struct exchange *ex)
{
    struct stream *s = &ex->session->stream;
    if (ex->is_chunked && stream_is_open(s) &&
        !outq_push_copy(&s->out, s->cls->io, SLICE("0\r\n\r\n")))
        stream_abort(s, -ENOMEM);
    stream_touch(s);
    run(of_session(ex->session));
}

static void h1_watch(struct exchange *ex)
{
    run(of_session(ex->session));
}

/* ---- The request's body ---- */

/* RFC 9110 10.1.1: the client waits for this before it sends. */
static void send_continue(struct exchange *ex)
{
    struct stream *s = &ex->session->stream;
    ex->wants_continue = false;
    if (!outq_push_copy(&s->out, s->cls->io, SLICE("HTTP/1.1 100 Continue\r\n\r\n")))
        stream_abort(s, -ENOMEM);
    stream_touch(s);
}

static void h1_read_body(struct exchange *ex)
{
    if (ex->wants_continue && stream_is_open(&ex->session->stream))
        send_continue(ex);
    run(of_session(ex->session));
}

/* The next run of body bytes out of [in]: how many bytes of input it took; 0 = more must come; < 0:
 * malformed. */
static ssize_t next_data(struct exchange *ex, slice in, slice *data)
{
    if (ex->req->chunked) {
        ssize_t n = http1_chunk_read(&ex->chunk, in, data);
        ex->body_done = ex->chunk.is_done;
        return n;
    }
    *data = slice_head(in, (size_t)MIN((uint64_t)in.n, ex->body_left));
    ex->body_left -= data->n;
    ex->body_done = ex->body_left == 0;
    return (ssize_t)data->n;
}

/* The rest of the request cannot be understood, or is refused. */
static void break_off(struct exchange *ex, int status)
{
    ex->keep_alive = false;
    ex->body_done = true;
    ex->on_body = NULL;
    if (ex->has_ended)
        return;
    if (ex->has_begun) { /* no other answer can be given any more: the connection is all that we can
                            cut */
        stream_abort(&ex->session->stream, -EPROTO);
        return;
    }
    if (ex->on_gone)
        ex->on_gone(ex);
    ex->on_gone = NULL;
    exchange_fail(ex, status, SLICE(""));
}

static void give_body(struct exchange *ex, slice data)
{
    exchange_body_fn on_body = ex->on_body;
    if (on_body)
        on_body(ex, data, ex->body_done);
}

static bool is_too_long(const struct exchange *ex, uint64_t limit)
{
    uint64_t announced = ex->req->chunked ? http1_chunk_announced(&ex->chunk) : 0;
    return ex->body_seen > limit || announced > limit - ex->body_seen;
}

/* Reads what there is. True: the body is complete (or given up). */
static bool read_body(struct http1 *h, struct exchange *ex)
{
    struct stream *s = &h->session.stream;
    const struct http_settings *settings = &http_of(h)->settings;
    while (!ex->body_done && stream_is_open(s)) {
        slice in = stream_peek(s), data;
        if (!in.n)
            return false;
        ssize_t n = next_data(ex, in, &data);
        if (n < 0) {
            break_off(ex, (int)-n);
            return true;
        }
        if (n == 0 && !ex->body_done)
            return false;
        ex->body_seen += data.n;
        if (is_too_long(ex, settings->body_bytes)) {
            break_off(ex, 413);
            return true;
        }
        if (data.n || ex->body_done)
            give_body(ex, data);
        stream_consume(s, (size_t)n);
        if (ex->body_paused)
            return ex->body_done;
    }
    return true;
}

/* ---- One exchange ---- */

static bool is_complete(const struct http1 *h, const struct exchange *ex)
{
    return ex->has_ended && ex->body_done && !h->session.stream.out.has_producer;
}

static void finish(struct http1 *h, struct exchange *ex)
{
    struct stream *s = &h->session.stream;
    struct http_server *http = http_of(h);
    bool keep_alive = ex->keep_alive;
    bool linger = ex->body_seen || ex->req->method == HTTP_OTHER;
    size_t head_bytes = h->flags & TAKEN ? 0 : ex->head_bytes;
    http_exchange_free(http, ex, h->requests);
    stream_consume(s, head_bytes);
    h->flags &= (uint8_t) ~(HAS_EX | TAKEN | HEAD_BEGUN);
    h->scanned = 0;
    if (keep_alive)
        stream_set_deadline(s, http->settings.keepalive_ms);
    else
        stream_close(s, linger || stream_peek(s).n);
}

/* An answer is there while a body that nobody reads is still coming. True: the exchange can end. */
static bool discard_rest(struct http1 *h, struct exchange *ex)
{
    if (!ex->keep_alive) {
        ex->body_done = true; /* lingering reads it away */
        ex->body_seen = 1;
        return true;
    }
    ex->body_paused = false;
    ex->on_body = NULL; /* whoever wanted it has answered */
    return read_body(h, ex);
}

static void move_slice(slice *s, slice from, slice to)
{
    if (s->p >= from.p && s->p < from.p + from.n)
        s->p = to.p + (s->p - from.p);
}

/* What points into [from] points into its copy [to] from now on. */
static void move_req(struct http1_req *req, slice from, slice to)
{
    move_slice(&req->method_name, from, to);
    move_slice(&req->target, from, to);
    move_slice(&req->path, from, to);
    move_slice(&req->query, from, to);
    move_slice(&req->authority, from, to);
    move_slice(&req->scheme, from, to);
    for (unsigned i = 0; i < req->field_count; i++) {
        move_slice(&req->fields[i].name, from, to);
        move_slice(&req->fields[i].value, from, to);
    }
}

/* The head is copied out of the stream's input, for an exchange that does not end at once. */
static bool move_head(struct http1 *h, struct exchange *ex)
{
    const struct http1_req *old = ex->req;
    size_t bytes = offsetof(struct http1_req, fields) + old->field_count * sizeof old->fields[0];
    slice in = slice_head(stream_peek(&h->session.stream), ex->head_bytes);
    struct http1_req *req = arena_alloc(&ex->arena, bytes);
    slice copy = arena_copy(&ex->arena, in);
    if (!req || !copy.p)
        return false;
    memcpy(req, old, bytes);
    move_req(req, in, copy);
    ex->req = req;
    return true;
}

/* Most exchanges are complete when the handler returns: their head stays where it is until it has
 * been logged. For the others it leaves the input. */
static void take_head(struct http1 *h, struct exchange *ex)
{
    struct stream *s = &h->session.stream;
    if (!stream_is_open(s) || is_complete(h, ex))
        return;
    if (!move_head(h, ex)) {
        stream_abort(s, -ENOMEM);
        return;
    }
    h->flags |= TAKEN;
    stream_consume(s, ex->head_bytes);
}

static void await_body(struct http1 *h, struct exchange *ex)
{
    struct stream *s = &h->session.stream;
    if (ex->body_paused) { /* the handler's time */
        stream_pause(s);
        stream_set_deadline(s, -1);
        ex->body_mark = 0;
        return;
    }
    if (stream_is_eof(s)) { /* the body will never be complete */
        stream_abort(s, -ECONNRESET);
        return;
    }
    stream_resume(s);
    if (ex->body_mark == 0) {
        ex->body_mark = s->bytes_in;
        stream_set_deadline(s, http_of(h)->settings.rate_ms);
    }
}

/* The handler's time, or watched by the stream's rate. What a client sends meanwhile stays where it
 * is. */
static void await_handler(struct http1 *h, struct exchange *ex)
{
    struct stream *s = &h->session.stream;
    stream_set_deadline(s, -1);
    if (!ex->is_watched || ex->has_ended || !(h->flags & TAKEN) || stream_peek(s).n)
        stream_pause(s);
    else if (stream_is_eof(s))
        stream_abort(s, -ECONNRESET);
    else
        stream_resume(s);
}

/* Takes the exchange as far as it goes. True: it is over. */
static bool go_on(struct http1 *h)
{
    struct stream *s = &h->session.stream;
    struct exchange *ex = h->ex;
    if (!ex->body_done && ex->has_ended && !discard_rest(h, ex)) {
        await_body(h, ex);
        return false;
    }
    if (!ex->body_done && ex->on_body && (ex->body_paused || !read_body(h, ex))) {
        await_body(h, ex);
        return false;
    }
    if (!stream_is_open(s))
        return false;
    if (!ex->has_ended || stream_is_full(s)) {
        if (!is_complete(h, ex)) {
            await_handler(h, ex);
            return false;
        }
    }
    finish(h, ex);
    return true;
}

/* ---- Heads ---- */

static void start_body(struct exchange *ex, const struct http1_req *req)
{
    ex->body_left = req->has_content_length ? req->content_length : 0;
    ex->body_done = !req->chunked && ex->body_left == 0;
    ex->wants_continue = req->expect_continue && !ex->body_done;
    if (req->chunked)
        http1_chunk_init(&ex->chunk);
}

static struct exchange *new_exchange(struct http1 *h)
{
    static const struct exchange_ops ops = {.begin = h1_begin,
                                            .write = h1_write,
                                            .end = h1_end,
                                            .read_body = h1_read_body,
                                            .watch = h1_watch};
    struct http_server *http = http_of(h);
    struct exchange *ex = http_exchange_new(http, &h->session);
    if (!ex) {
        stream_abort(&h->session.stream, -ENOMEM);
        return NULL;
    }
    ex->ops = &ops;
    ex->req = &http->scratch;
    h->ex = ex;
    h->flags |= HAS_EX;
    h->requests++;
    return ex;
}

static void begin_exchange(struct http1 *h, size_t head_bytes)
{
    struct http_server *http = http_of(h);
    struct exchange *ex = new_exchange(h);
    if (!ex)
        return;
    ex->head_bytes = head_bytes;
    ex->keep_alive =
        ex->req->keep_alive && (!http->settings.requests || h->requests < http->settings.requests);
    start_body(ex, ex->req);
    http_dispatch(http, ex);
    take_head(h, ex);
}

/* A head that is refused: answered, then the connection ends, for nobody knows where the next
 * request would begin. */
static void refuse(struct http1 *h, int status)
{
    struct http_server *http = http_of(h);
    struct exchange *ex = new_exchange(h);
    if (!ex)
        return;
    http->stats.refused++;
    http->scratch.field_count = 0;
    memset(http->scratch.first, 0, sizeof http->scratch.first);
    ex->body_done = true;
    ex->body_seen = 1; /* linger: more is on its way */
    exchange_fail(ex, status, SLICE(""));
    take_head(h, ex);
}

/* Nothing, or a part of a head, is there. */
static void await_head(struct http1 *h, bool some)
{
    struct stream *s = &h->session.stream;
    if (stream_is_eof(s)) {
        stream_close(s, false);
        return;
    }
    stream_resume(s);
    if (!stream_has_deadline(s))
        stream_set_deadline(s, http_of(h)->settings.keepalive_ms);
    if (some && !(h->flags & HEAD_BEGUN)) {
        h->flags |= HEAD_BEGUN;
        if (h->requests) /* the first head's time runs since the connection was made */
            stream_set_deadline(s, http_of(h)->settings.header_ms);
    }
}

/* True: an exchange has begun. */
static bool next_head(struct http1 *h)
{
    struct stream *s = &h->session.stream;
    struct http_server *http = http_of(h);
    if (stream_is_full(s)) {
        stream_pause(s);
        stream_set_deadline(
            s, -1); /* the client must take first what it asked for: the stream watches its rate */
        return false;
    }
    slice in = stream_peek(s);
    if (!in.n) {
        if (http->server.is_draining)
            stream_close(s, false);
        else
            await_head(h, false);
        return false;
    }
    const char *why;
    ssize_t n = http1_req_parse(in, &http->settings.limits, &h->scanned, &http->scratch, &why);
    if (n == 0) {
        await_head(h, true);
        return false;
    }
    if (n > 0)
        begin_exchange(h, (size_t)n);
    else
        refuse(h, (int)-n);
    return true;
}

static void run(struct http1 *h)
{
    struct stream *s = &h->session.stream;
    if (h->flags & RUNNING)
        return;
    h->flags |= RUNNING;
    bool goes_on = true;
    while (goes_on && stream_is_open(s))
        goes_on = h->flags & HAS_EX ? go_on(h) : next_head(h);
    h->flags &= (uint8_t)~RUNNING;
}

/* ---- News ---- */

static void on_open(struct session *session)
{
    struct http1 *h = of_session(session);
    stream_set_deadline(&session->stream, http_of(h)->settings.header_ms);
}

static void on_input(struct stream *s)
{
    struct http1 *h = of_stream(s);
    if (session_is_known(&h->session))
        run(h);
}

static void on_room(struct stream *s)
{
    struct http1 *h = of_stream(s);
    if (h->flags & HAS_EX && h->ex->has_begun && !h->ex->has_ended && h->ex->on_room)
        h->ex->on_room(h->ex);
    run(h);
}

/* Is the body still coming fast enough? (RFC 9110 15.5.9) */
static void check_body_rate(struct http1 *h, struct exchange *ex)
{
    struct stream *s = &h->session.stream;
    const struct http_settings *settings = &http_of(h)->settings;
    if (s->bytes_in - ex->body_mark >= settings->rate_bytes) {
        ex->body_mark = s->bytes_in;
        stream_set_deadline(s, settings->rate_ms);
        return;
    }
    break_off(ex, 408);
    run(h);
}

static void on_deadline(struct stream *s)
{
    struct http1 *h = of_stream(s);
    if (h->flags & HAS_EX) {
        check_body_rate(h, h->ex);
    } else if (h->flags & HEAD_BEGUN) {
        http_of(h)->scratch = (struct http1_req){0};
        h->flags |= RUNNING;
        refuse(h, 408);
        h->flags &= (uint8_t)~RUNNING;
        run(h);
    } else {
        stream_close(s, false); /* idle: RFC 9112 9.5 */
    }
}

static void on_closed(struct session *session, int error)
{
    struct http1 *h = of_session(session);
    if (!(h->flags & HAS_EX))
        return;
    struct exchange *ex = h->ex;
    h->flags &= (uint8_t)~HAS_EX;
    if (ex->on_gone)
        ex->on_gone(ex);
    static const struct http1_req nothing;
    if (!(h->flags & TAKEN)) /* its head went with the stream's input */
        ex->req = &nothing;
    http_exchange_free(http_of(h), ex, h->requests);
}

static void drain(struct session *session)
{
    struct http1 *h = of_session(session);
    if (!(h->flags & (HAS_EX | HEAD_BEGUN)) && stream_peek(&session->stream).n == 0 &&
        !session->stream.out.bytes)
        stream_close(&session->stream, false);
    else if (h->flags & HAS_EX && !h->ex->has_begun)
        h->ex->keep_alive = false;
}

static void describe(const struct session *session, struct fmt *f)
{
    struct http1 *h = of_session((struct session *)session);
    if (h->flags & HAS_EX) {
        fmt_put(f, h->ex->has_begun ? SLICE("sending ") : SLICE("handling "));
        log_escape(f, slice_head(h->ex->req->target, 200));
    } else {
        fmt_put(f, h->flags & HEAD_BEGUN ? SLICE("reading a request") : SLICE("idle"));
    }
    fmt_put(f, SLICE(", requests "));
    fmt_u64(f, h->requests);
}

const struct server_ops http1_server_ops = {
    .name = "http",
    .session_bytes = sizeof(struct http1),
    .client_speaks_first = true,
    .stream = {.on_input = on_input, .on_room = on_room, .on_deadline = on_deadline},
    .on_open = on_open,
    .on_closed = on_closed,
    .drain = drain,
    .describe = describe,
};

_Static_assert(sizeof(struct http1) <= 240,
               "an idle connection costs 240 bytes, and the manual says so");
