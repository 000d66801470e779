/* client_conn: one connection to a server: the request goes out, the answer comes in, then it
 * idles.
 *
 * A connection carries one request at a time; none is sent before the answer to the last has been
 * read to its end. It goes back to the pool only if nothing is in doubt: the request was taken
 * wholly, the answer had an end of its own, and nothing follows it. In all other cases it is
 * closed: a connection is cheap, and an answer given to the wrong question is not.
 *
 * run() reads as far as it goes. A callback may cancel the request (conn->r is another then), so
 * after each of them it is looked at again. The memory stays until the turn's end (on_closed). */
#include "protocol/http/client_impl.h"

#include <errno.h>
#include <unistd.h>

/* A body up to this is copied behind its head; a larger one is a producer. */
#define BODY_BESIDE (8 * KIB)
#define BODY_PIECE  (16 * KIB)

/* RFC 9110 15.2: any number of interim answers may come. */
#define INTERIMS_MAX 20

/* So much of a redirect's body is read to save the connection. */
#define DISCARD_MAX (64 * KIB)

static struct http_conn *of_stream(struct stream *s)
{
    return CONTAINER_OF(s, struct http_conn, stream);
}

static void run(struct http_conn *conn);

/* It is nobody's any more, and does not count. */
static void leave(struct http_conn *conn)
{
    loop_defer_cancel(&conn->later);
    if (!list_is_linked(&conn->link))
        return;
    list_remove(&conn->link);
    conn->client->open--;
}

/* Takes the request from it. */
static struct http_request *detach(struct http_conn *conn)
{
    struct http_request *r = conn->r;
    conn->r = NULL;
    if (r)
        r->conn = NULL;
    return r;
}

static void fail(struct http_conn *conn, int error)
{
    http_client_finish(conn->r, error);
}

/* ---- The request ---- */

static enum producer_result more_body(struct producer *p, struct outq *q)
{
    struct http_conn *conn = CONTAINER_OF(p, struct http_conn, body);
    slice rest = slice_skip(conn->r->body, conn->body_at);
    slice piece = slice_head(rest, BODY_PIECE);
    if (!outq_push_copy(q, conn->client->io, piece))
        return PRODUCER_FAILED;
    conn->body_at += piece.n;
    return piece.n == rest.n ? PRODUCER_DONE : PRODUCER_MORE;
}

static void free_body(struct producer *p)
{
}

static const struct producer_ops body_ops = {
    .name = "request body", .more = more_body, .free = free_body};

static bool put_body(struct http_conn *conn, const struct http_request *r)
{
    struct outq *q = &conn->stream.out;
    if (!r->body.n)
        return true;
    if (r->body.n <= BODY_BESIDE)
        return outq_push_copy(q, conn->client->io, r->body);
    conn->body = (struct producer){.ops = &body_ops};
    conn->body_at = 0;
    return outq_push_producer(q, conn->client->io, &conn->body);
}

int http_conn_begin(struct http_conn *conn, struct http_request *r)
{
    struct stream *s = &conn->stream;
    struct http_client *client = conn->client;
    conn->r = r;
    r->conn = conn;
    conn->scanned = 0;
    conn->interims = 0;
    conn->in_body = false;
    conn->in_mark = s->bytes_in;
    list_remove(&conn->link);
    list_push_back(&client->busy, &conn->link);
    stream_set_deadline(s, -1);
    if (r->is_paused)
        stream_pause(s);
    bool keep_alive = client->settings.idle && client->settings.idle_per_host;
    if (!http_client_put_head(r, &s->out, client->io, keep_alive) || !put_body(conn, r)) {
        http_conn_drop(conn);
        return -ENOMEM;
    }
    stream_touch(s);
    http_client_set_phase(r, PHASE_HEAD);
    if (r->is_pushed) {
        conn->owes_room = true;
        http_conn_wake(conn);
    }
    return 0;
}

/* ---- The answer ---- */

/* Is [r] still at work here, after a callback? */
static bool is_mine(const struct http_conn *conn, const struct http_request *r)
{
    return conn->r == r && stream_is_open(&conn->stream);
}

static bool is_reusable(const struct http_conn *conn, const struct http_request *r)
{
    return conn->keep_alive && http_conn_has_sent(conn, r) && !stream_peek(&conn->stream).n &&
           !stream_is_eof(&conn->stream) && stream_is_open(&conn->stream);
}

/* The answer has been read to its end. */
static void complete(struct http_conn *conn)
{
    bool is_good = is_reusable(conn, conn->r);
    struct http_request *r = detach(conn);
    conn->served++;
    if (is_good)
        http_conn_park(conn);
    else
        http_conn_drop(conn);
    if (r->next_hop)
        http_client_follow(r);
    else
        http_client_finish(r, 0);
}

/* The input has ended, or the connection is gone, before the head of the answer. */
static void lose(struct http_conn *conn, int error)
{
    bool is_stale = conn->served && conn->stream.bytes_in == conn->in_mark;
    struct http_request *r = detach(conn);
    http_conn_drop(conn);
    http_client_lost(r, error, is_stale);
}

/* What the final head says of the body. False: the request has ended, or is another's. */
static bool begin_body(struct http_conn *conn, const struct http1_resp *resp)
{
    struct http_request *r = conn->r;
    bool follows = false;
    int error = http_client_check_redirect(r, &follows);
    if (!error && !follows && r->max_body && resp->framing == FRAMING_LENGTH &&
        resp->content_length > r->max_body)
        error = HTTP_CLIENT_BODY_TOO_LONG;
    if (error) {
        fail(conn, error);
        return false;
    }
    conn->framing = resp->framing;
    conn->left = resp->content_length;
    conn->keep_alive = resp->keep_alive;
    conn->in_body = true;
    if (conn->framing == FRAMING_CHUNKED)
        http1_chunk_init(&conn->chunk);
    r->status = resp->status;
    http_client_set_phase(r, PHASE_BODY);
    if (follows || !r->on_head)
        return true;
    r->answer = resp;
    r->on_head(r);
    if (!is_mine(conn, r))
        return false;
    r->answer = NULL;
    return true;
}

/* RFC 9110 15.2 */
static bool skip_interim(struct http_conn *conn, const struct http1_resp *resp, size_t head_n)
{
    if (resp->framing == FRAMING_TUNNEL) {
        fail(conn, HTTP_CLIENT_UPGRADED);
        return false;
    }
    if (!resp->keep_alive || ++conn->interims > INTERIMS_MAX) {
        conn->r->why = "There are too many interim answers, or one that is not whole.";
        fail(conn, HTTP_CLIENT_BAD_HEAD);
        return false;
    }
    stream_consume(&conn->stream, head_n);
    return true;
}

/* No bytes, or not all of a head. */
static bool await_head(struct http_conn *conn, bool some)
{
    if (!stream_is_eof(&conn->stream))
        return false;
    lose(conn, some || conn->interims ? HTTP_CLIENT_CUT_SHORT : HTTP_CLIENT_NO_ANSWER);
    return false;
}

/* True: there may be more to read. */
static bool read_head(struct http_conn *conn)
{
    struct http_request *r = conn->r;
    struct http1_resp *resp = &conn->client->scratch;
    slice in = stream_peek(&conn->stream);
    if (!in.n)
        return await_head(conn, false);
    struct http1_limits limits = {.head_bytes = r->max_head, .fields = HTTP1_FIELDS_MAX};
    const char *why;
    ssize_t n = http1_resp_parse(in, &limits, r->method_id, &conn->scanned, resp, &why);
    if (n == 0)
        return await_head(conn, true);
    if (n < 0) {
        r->why = why;
        fail(conn, n == -EMSGSIZE ? HTTP_CLIENT_HEAD_TOO_LONG : HTTP_CLIENT_BAD_HEAD);
        return false;
    }
    if (resp->status < 200)
        return skip_interim(conn, resp, (size_t)n);
    if (!begin_body(conn, resp))
        return false;
    stream_consume(&conn->stream, (size_t)n);
    return true;
}

/* The next run of body bytes out of [in], which is not empty. Bytes of input that it took; < 0:
 * malformed. */
static ssize_t next_data(struct http_conn *conn, slice in, slice *data, bool *is_last)
{
    *is_last = false;
    if (conn->framing == FRAMING_CHUNKED) {
        ssize_t n = http1_chunk_read(&conn->chunk, in, data);
        *is_last = conn->chunk.is_done;
        return n;
    }
    *data = in;
    if (conn->framing == FRAMING_LENGTH) {
        *data = slice_head(in, (size_t)MIN(conn->left, (uint64_t)in.n));
        conn->left -= data->n;
        *is_last = conn->left == 0;
    }
    return (ssize_t)data->n;
}

static bool grow_room(struct http_request *r, size_t need)
{
    size_t cap = MAX(r->room_n * 2, (size_t)1024);
    while (cap < need)
        cap *= 2;
    struct mem_owner *owner = &r->client->owner;
    char *room = r->room ? mem_resize(owner, r->room, r->room_n, cap) : mem_alloc(owner, cap);
    if (!room)
        return false;
    r->room = room;
    r->room_n = cap;
    return true;
}

static bool collect(struct http_request *r, slice data)
{
    size_t have = r->collected.n;
    if (r->room_n - have < data.n && !grow_room(r, have + data.n))
        return false;
    memcpy(r->room + have, data.p, data.n);
    r->collected = slice_of(r->room, have + data.n);
    return true;
}

/* False: the request has ended, or is another's. */
static bool give(struct http_conn *conn, slice data)
{
    struct http_request *r = conn->r;
    r->taken += data.n;
    if (r->next_hop) {
        if (r->taken <= DISCARD_MAX)
            return true;
        conn->keep_alive = false;
        complete(conn);
        return false;
    }
    if (r->max_body && r->taken > r->max_body) {
        fail(conn, HTTP_CLIENT_BODY_TOO_LONG);
        return false;
    }
    http_client_set_phase(r, PHASE_BODY);
    if (!data.n)
        return true;
    if (r->on_data) {
        r->on_data(r, data);
        return is_mine(conn, r);
    }
    if (!collect(r, data)) {
        fail(conn, -ENOMEM);
        return false;
    }
    return true;
}

/* All that there is was read, and the body is not complete. */
static bool await_body(struct http_conn *conn)
{
    if (!stream_is_eof(&conn->stream))
        return false;
    if (conn->framing == FRAMING_CLOSE)
        complete(conn);
    else
        fail(conn, HTTP_CLIENT_CUT_SHORT);
    return false;
}

/* True: there may be more to read. */
static bool read_body(struct http_conn *conn)
{
    if (conn->framing == FRAMING_NONE) {
        complete(conn);
        return false;
    }
    slice in = stream_peek(&conn->stream), data;
    if (!in.n)
        return await_body(conn);
    bool is_last;
    ssize_t n = next_data(conn, in, &data, &is_last);
    if (n < 0) {
        fail(conn, HTTP_CLIENT_BAD_CHUNKS);
        return false;
    }
    if (!give(conn, data))
        return false;
    stream_consume(&conn->stream, (size_t)n);
    if (!is_last)
        return true;
    complete(conn);
    return false;
}

/* Bytes that nobody asked for, or the end: it is of no use any more. */
static void judge_idle(struct http_conn *conn)
{
    if (stream_peek(&conn->stream).n || stream_is_eof(&conn->stream))
        http_conn_drop(conn);
}

static void run(struct http_conn *conn)
{
    bool goes_on = true;
    while (goes_on && conn->r && stream_is_open(&conn->stream) && !conn->r->is_paused)
        goes_on = conn->in_body ? read_body(conn) : read_head(conn);
    if (!conn->r)
        judge_idle(conn);
}

/* ---- News ---- */

static void on_input(struct stream *s)
{
    run(of_stream(s));
}

static void tell_room(struct http_conn *conn)
{
    struct http_request *r = conn->r;
    if (r && r->is_pushed && !r->has_ended && r->on_room)
        r->on_room(r);
}

static void on_room(struct stream *s)
{
    tell_room(of_stream(s));
}

static void on_deadline(struct stream *s)
{
    http_conn_drop(of_stream(s));
}

static void on_closed(struct stream *s, int error)
{
    struct http_conn *conn = of_stream(s);
    struct http_client *client = conn->client;
    leave(conn);
    struct http_request *r = detach(conn);
    bool is_dead = error == 0 || error == -ECONNRESET || error == -EPIPE;
    bool is_stale = is_dead && conn->served && s->bytes_in == conn->in_mark && !conn->in_body;
    mem_free(&client->owner, conn, sizeof *conn + conn->host_n);
    if (r)
        http_client_lost(r, error ? error : HTTP_CLIENT_NO_ANSWER, is_stale);
    http_client_release(client);
}

const struct stream_ops http_conn_ops = {
    .on_input = on_input, .on_room = on_room, .on_deadline = on_deadline, .on_closed = on_closed};

static void do_later(struct loop_deferred *d)
{
    struct http_conn *conn = CONTAINER_OF(d, struct http_conn, later);
    if (!stream_is_open(&conn->stream))
        return;
    if (conn->owes_room) {
        conn->owes_room = false;
        tell_room(conn);
    }
    if (conn->r && stream_is_open(&conn->stream))
        run(conn);
}

void http_conn_wake(struct http_conn *conn)
{
    if (stream_is_open(&conn->stream))
        loop_defer(conn->client->io->loop, &conn->later);
}

/* ---- Life ---- */

struct http_conn *http_conn_new(struct http_client *client, const struct url *url, int sock,
                                int *error_out)
{
    struct http_conn *conn = mem_alloc0(&client->owner, sizeof *conn + url->host.n);
    if (!conn) {
        close(sock);
        *error_out = -ENOMEM;
        return NULL;
    }
    int error = stream_open(&conn->stream, &client->cls, sock);
    if (error < 0) {
        mem_free(&client->owner, conn, sizeof *conn + url->host.n);
        *error_out = error;
        return NULL;
    }
    conn->client = client;
    conn->scheme = url->scheme;
    conn->port = url->port;
    conn->host_n = url->host.n;
    memcpy(conn->host, url->host.p, url->host.n);
    list_init(&conn->link);
    list_push_back(&client->busy, &conn->link);
    loop_deferred_init(&conn->later, do_later);
    client->open++;
    client->holds++;
    return conn;
}

void http_conn_drop(struct http_conn *conn)
{
    detach(conn);
    leave(conn);
    stream_abort(&conn->stream, 0);
}

static bool is_to(const struct http_conn *conn, const struct url *url)
{
    slice host = slice_of(conn->host, conn->host_n);
    if (conn->port != url->port || conn->scheme != url->scheme)
        return false;
    return url->scheme == URL_UNIX ? slice_is(host, url->host) : slice_is_nocase(host, url->host);
}

struct http_conn *http_conn_take(struct http_client *client, const struct url *url)
{
    LIST_EACH (n, &client->idle) {
        struct http_conn *conn = CONTAINER_OF(n, struct http_conn, link);
        if (stream_is_open(&conn->stream) && is_to(conn, url))
            return conn;
    }
    return NULL;
}

/* The pool holds too many, or too many to this host: the one that has waited longest goes. */
static void trim(struct http_client *client, const struct http_conn *newest)
{
    struct url url = {.scheme = newest->scheme,
                      .port = newest->port,
                      .host = slice_of(newest->host, newest->host_n)};
    uint32_t count = 0, same = 0;
    struct http_conn *oldest = NULL, *oldest_same = NULL;
    LIST_EACH (n, &client->idle) {
        struct http_conn *conn = CONTAINER_OF(n, struct http_conn, link);
        count++;
        oldest = conn;
        if (is_to(conn, &url)) {
            same++;
            oldest_same = conn;
        }
    }
    if (same > client->settings.idle_per_host)
        http_conn_drop(oldest_same);
    else if (count > client->settings.idle)
        http_conn_drop(oldest);
}

void http_conn_park(struct http_conn *conn)
{
    struct http_client *client = conn->client;
    if (client->is_dying) {
        http_conn_drop(conn);
        return;
    }
    list_remove(&conn->link);
    list_push_front(&client->idle, &conn->link);
    stream_set_deadline(&conn->stream, client->settings.idle_ms);
    stream_resume(&conn->stream);
    trim(client, conn);
}
