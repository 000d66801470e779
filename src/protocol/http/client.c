/* client: a request's life: from the pool or a new connection, through retries and redirects, to
 * its one end.
 *
 * A request that is at work has either a dial or a connection, and stands in client->requests.
 * Every way to end goes through http_client_finish or http_request_cancel. */
#include "protocol/http/client_impl.h"

#include "base/check.h"

#include <errno.h>
#include <unistd.h>

#define CHUNK_LINE 24

void http_client_settings_default(struct http_client_settings *settings)
{
    *settings = (struct http_client_settings){
        .connections = 256, .idle = 64, .idle_per_host = 8, .idle_ms = 30000};
}

void http_request_init(struct http_request *r)
{
    *r = (struct http_request){
        .method = SLICE("GET"),
        .connect_ms = 30000,
        .head_ms = 60000,
        .idle_ms = 60000,
        .max_head = 32 * KIB,
        .max_body = 1 * MIB,
    };
    list_init(&r->link);
}

/* ---- Times ---- */

static int64_t now_of(const struct http_request *r)
{
    return loop_now_ms(r->client->io->loop);
}

static int64_t due_in(const struct http_request *r, int64_t ms)
{
    return ms > 0 ? now_of(r) + ms : INT64_MAX;
}

static void set_timeout(struct http_request *r)
{
    int64_t due = MIN(r->total_due, r->phase_due);
    if (due == INT64_MAX)
        timeout_clear(&r->timeout);
    else
        timeout_set(loop_wheel(r->client->io->loop), &r->timeout, due);
}

/* Bytes of the request that the kernel has taken / that were queued for it. */
static uint64_t bytes_out(const struct http_request *r)
{
    return r->conn ? r->conn->stream.bytes_out : 0;
}

static uint64_t bytes_queued(const struct http_request *r)
{
    return r->conn ? r->conn->stream.bytes_out + r->conn->stream.out.bytes : 0;
}

void http_client_set_phase(struct http_request *r, int phase)
{
    const int64_t limit_ms[] = {
        [PHASE_DIAL] = r->connect_ms, [PHASE_HEAD] = r->head_ms, [PHASE_BODY] = r->idle_ms};
    r->phase = (uint8_t)phase;
    r->phase_due = due_in(r, limit_ms[phase]);
    r->out_mark = bytes_queued(r);
    set_timeout(r);
}

/* Is it the caller that lets the other side wait, or has that taken more than was queued when the
 * time began? */
static bool is_excused(const struct http_request *r)
{
    if (r->phase == PHASE_DIAL)
        return false;
    bool owes_body = r->is_pushed && !r->has_ended && !r->conn->stream.out.bytes;
    return r->is_paused || owes_body || bytes_out(r) > r->out_mark;
}

static void on_timeout(struct timeout *t)
{
    static const int errors[] = {[PHASE_DIAL] = HTTP_CLIENT_CONNECT_TIMEOUT,
                                 [PHASE_HEAD] = HTTP_CLIENT_HEAD_TIMEOUT,
                                 [PHASE_BODY] = HTTP_CLIENT_IDLE_TIMEOUT};
    struct http_request *r = CONTAINER_OF(t, struct http_request, timeout);
    if (r->total_due <= now_of(r))
        http_client_finish(r, HTTP_CLIENT_TOTAL_TIMEOUT);
    else if (is_excused(r))
        http_client_set_phase(r, r->phase);
    else
        http_client_finish(r, errors[r->phase]);
}

/* ---- Beginnings ---- */

/* Is there room for one more connection, perhaps in the place of an idle one? */
static bool has_room(struct http_client *client)
{
    if (client->open < client->settings.connections)
        return true;
    if (list_is_empty(&client->idle))
        return false;
    http_conn_drop(CONTAINER_OF(client->idle.prev, struct http_conn, link));
    return true;
}

static int begin(struct http_request *r)
{
    struct http_client *client = r->client;
    bool wants_fresh = r->is_fresh || r->was_retried;
    struct http_conn *conn = wants_fresh ? NULL : http_conn_take(client, &r->at);
    if (conn) {
        client->stats.reused++;
        return http_conn_begin(conn, r);
    }
    if (!has_room(client))
        return HTTP_CLIENT_BUSY;
    client->stats.dialled++;
    http_client_set_phase(r, PHASE_DIAL);
    return http_dial_start(r, r->connect_ms > 0 ? r->connect_ms + 1 : INT32_MAX);
}

void http_client_dialled(struct http_request *r, int sock)
{
    int error = sock;
    if (sock >= 0) {
        struct http_conn *conn = http_conn_new(r->client, &r->at, sock, &error);
        if (conn)
            error = http_conn_begin(conn, r);
    }
    if (error < 0)
        http_client_finish(r, error);
}

/* ---- Ends ---- */

/* Of no list, no timer, no connection: the caller's memory again, but for what it holds. */
static void let_go(struct http_request *r)
{
    list_remove(&r->link);
    timeout_clear(&r->timeout);
    if (r->conn)
        http_conn_drop(r->conn);
    if (r->dial)
        http_dial_cancel(r);
}

/* What a request holds of the client's memory. */
struct holdings {
    struct http_client *client;
    char *hop, *next_hop, *room;
    size_t hop_n, next_hop_n, room_n;
};

static struct holdings take_holdings(struct http_request *r)
{
    struct holdings h = {.client = r->client,
                         .hop = r->hop,
                         .next_hop = r->next_hop,
                         .room = r->room,
                         .hop_n = r->hop_n,
                         .next_hop_n = r->next_hop_n,
                         .room_n = r->room_n};
    r->client = NULL;
    r->hop = r->next_hop = r->room = NULL;
    return h;
}

static void free_holdings(const struct holdings *h)
{
    mem_free(&h->client->owner, h->hop, h->hop_n);
    mem_free(&h->client->owner, h->next_hop, h->next_hop_n);
    mem_free(&h->client->owner, h->room, h->room_n);
}

/* What was held is freed after on_done, which may look at it, and may free the request, and the
 * client. */
void http_client_finish(struct http_request *r, int error)
{
    struct http_client *client = r->client;
    let_go(r);
    struct holdings held = take_holdings(r);
    if (error < 0) {
        client->stats.failed++;
        r->collected = slice_of(NULL, 0);
    }
    client->holds++;
    if (r->on_done)
        r->on_done(r, error);
    free_holdings(&held);
    http_client_release(client);
}

void http_request_cancel(struct http_request *r)
{
    if (!r->client)
        return;
    let_go(r);
    struct holdings held = take_holdings(r);
    free_holdings(&held);
}

/* RFC 9110 9.2.2 */
static bool is_idempotent(enum http_method method)
{
    switch (method) {
    case HTTP_GET:
    case HTTP_HEAD:
    case HTTP_OPTIONS:
    case HTTP_TRACE:
    case HTTP_PUT:
    case HTTP_DELETE:
    case HTTP_PROPFIND:
        return true;
    default:
        return false;
    }
}

void http_client_lost(struct http_request *r, int error, bool is_stale)
{
    if (is_stale && !r->was_retried && !r->is_pushed && is_idempotent(r->method_id)) {
        r->was_retried = true;
        r->client->stats.retried++;
        error = begin(r);
        if (!error)
            return;
    }
    http_client_finish(r, error);
}

/* ---- Redirects ---- */

static bool is_redirect(const struct http_request *r, int status)
{
    bool is_kind =
        status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    return is_kind && r->redirects && (r->method_id == HTTP_GET || r->method_id == HTTP_HEAD) &&
           !http_request_has_body(r);
}

/* The one Location. False: there are two. .p is NULL when there is none. */
static bool find_location(const struct http1_resp *resp, slice *out)
{
    *out = slice_of(NULL, 0);
    for (size_t i = 0; i < resp->field_count; i++) {
        if (!slice_is_nocase(resp->fields[i].name, SLICE("location")))
            continue;
        if (out->p)
            return false;
        *out = resp->fields[i].value;
    }
    return true;
}

/* A server on the network may not send us to a socket of this machine. */
static int judge_target(const struct http_request *r, const struct url *to)
{
    if (to->scheme == URL_HTTPS)
        return HTTP_CLIENT_NO_TLS;
    if ((to->scheme == URL_UNIX || r->at.scheme == URL_UNIX) && !url_is_same_origin(to, &r->at))
        return HTTP_CLIENT_BAD_REDIRECT;
    return r->hops < r->redirects ? 0 : HTTP_CLIENT_TOO_MANY_REDIRECTS;
}

int http_client_check_redirect(struct http_request *r, bool *follows_out)
{
    const struct http1_resp *resp = &r->client->scratch;
    slice location;
    char text[URL_MAX];
    struct fmt f = fmt_on(text, sizeof text);
    struct url to;
    if (!is_redirect(r, resp->status))
        return 0;
    if (!find_location(resp, &location))
        return HTTP_CLIENT_BAD_REDIRECT;
    if (!location.p)
        return 0;
    if (!url_resolve(&r->at, location, &f) || !url_parse(fmt_done(&f), &to, &r->why))
        return HTTP_CLIENT_BAD_REDIRECT;
    int error = judge_target(r, &to);
    if (error)
        return error;
    if (r->may_follow && !r->may_follow(r, &to))
        return 0;
    slice url = fmt_done(&f);
    r->next_hop = mem_alloc(&r->client->owner, url.n);
    if (!r->next_hop)
        return -ENOMEM;
    memcpy(r->next_hop, url.p, url.n);
    r->next_hop_n = url.n;
    *follows_out = true;
    return 0;
}

void http_client_follow(struct http_request *r)
{
    mem_free(&r->client->owner, r->hop, r->hop_n);
    r->hop = r->next_hop;
    r->hop_n = r->next_hop_n;
    r->next_hop = NULL;
    r->hops++;
    r->status = 0;
    r->taken = 0;
    r->was_retried = false;
    r->client->stats.redirected++;
    bool ok = url_parse(slice_of(r->hop, r->hop_n), &r->at, &r->why);
    int error = ok ? begin(r) : HTTP_CLIENT_BAD_REDIRECT;
    if (error < 0)
        http_client_finish(r, error);
}

/* ---- What the caller says ---- */

static void reset(struct http_request *r, struct http_client *client)
{
    r->answer = NULL;
    r->status = 0;
    r->taken = r->pushed = 0;
    r->collected = slice_of(NULL, 0);
    r->why = NULL;
    r->at = r->url;
    r->hops = 0;
    r->was_retried = r->is_paused = r->has_ended = false;
    r->client = client;
    r->dial = NULL;
    r->conn = NULL;
    r->hop = r->next_hop = r->room = NULL;
    r->hop_n = r->next_hop_n = r->room_n = 0;
    timeout_init(&r->timeout, on_timeout);
}

int http_request_start(struct http_client *client, struct http_request *r)
{
    BUG_ON(r->client || client->is_dying);
    int error = http_client_check(r);
    if (error)
        return error;
    reset(r, client);
    list_push_back(&client->requests, &r->link);
    client->stats.requests++;
    r->total_due = due_in(r, r->total_ms);
    error = begin(r);
    if (error < 0) {
        client->stats.failed++;
        http_request_cancel(r);
    }
    return error;
}

void http_request_pause(struct http_request *r)
{
    r->is_paused = true;
    if (r->conn)
        stream_pause(&r->conn->stream);
}

void http_request_resume(struct http_request *r)
{
    if (!r->is_paused)
        return;
    r->is_paused = false;
    if (!r->conn)
        return;
    http_client_set_phase(r, r->phase);
    stream_resume(&r->conn->stream);
    http_conn_wake(r->conn);
}

static bool is_pushing(const struct http_request *r)
{
    return r->conn && r->is_pushed && !r->has_ended && stream_is_open(&r->conn->stream);
}

/* RFC 9112 7.1 */
static bool push(struct http_request *r, slice data)
{
    struct io *io = r->client->io;
    struct outq *q = &r->conn->stream.out;
    if (!http_request_is_chunked(r))
        return outq_push_copy(q, io, data);
    char line[CHUNK_LINE];
    struct fmt f = fmt_on(line, sizeof line);
    fmt_hex(&f, data.n);
    fmt_put(&f, SLICE("\r\n"));
    return outq_push_copy(q, io, fmt_done(&f)) && outq_push_copy(q, io, data) &&
           outq_push_copy(q, io, SLICE("\r\n"));
}

bool http_request_write(struct http_request *r, slice data)
{
    if (!is_pushing(r))
        return false;
    if (!data.n)
        return true;
    struct stream *s = &r->conn->stream;
    r->pushed += data.n;
    if (r->push_length >= 0 && r->pushed > (uint64_t)r->push_length) {
        stream_abort(s, HTTP_CLIENT_BAD_BODY);
        return false;
    }
    if (!push(r, data)) {
        stream_abort(s, -ENOMEM);
        return false;
    }
    stream_touch(s);
    return true;
}

bool http_request_is_full(struct http_request *r)
{
    return !is_pushing(r) || stream_is_full(&r->conn->stream);
}

void http_request_end(struct http_request *r)
{
    if (!is_pushing(r))
        return;
    struct stream *s = &r->conn->stream;
    r->has_ended = true;
    if (r->push_length >= 0 && r->pushed != (uint64_t)r->push_length)
        stream_abort(s, HTTP_CLIENT_BAD_BODY);
    else if (r->push_length < 0 && !outq_push_copy(&s->out, r->client->io, SLICE("0\r\n\r\n")))
        stream_abort(s, -ENOMEM);
    stream_touch(s);
    http_client_set_phase(r, r->phase);
}

/* ---- The client ---- */

struct http_client *http_client_new(struct io *io, struct mem_book *book, struct resolver *resolver,
                                    const struct http_client_settings *settings)
{
    struct http_client *client = mem_raw_alloc(sizeof *client);
    if (!client)
        return NULL;
    memset(client, 0, sizeof *client);
    mem_owner_init(&client->owner, book, "http client"); /* it stands in what it accounts for */
    mem_adopt(&client->owner, sizeof *client);
    client->holds = 1;
    client->io = io;
    client->resolver = resolver;
    client->settings = *settings;
    client->cls = (struct stream_class){
        .ops = &http_conn_ops, .io = io, .low_bytes = 16 * KIB, .high_bytes = 64 * KIB};
    list_init(&client->requests);
    list_init(&client->idle);
    list_init(&client->busy);
    return client;
}

void http_client_release(struct http_client *client)
{
    if (--client->holds)
        return;
    mem_discharge(&client->owner, sizeof *client);
    mem_owner_fini(&client->owner);
    mem_raw_free(client);
}

void http_client_free(struct http_client **at)
{
    struct http_client *client = *at;
    *at = NULL;
    if (!client)
        return;
    BUG_ON(!list_is_empty(&client->requests));
    client->is_dying = true;
    http_client_trim(client);
    http_client_release(client);
}

void http_client_cancel_all(struct http_client *client)
{
    while (!list_is_empty(&client->requests))
        http_request_cancel(CONTAINER_OF(client->requests.next, struct http_request, link));
}

void http_client_trim(struct http_client *client)
{
    while (!list_is_empty(&client->idle))
        http_conn_drop(CONTAINER_OF(client->idle.next, struct http_conn, link));
}

static uint32_t count(const struct list_node *list)
{
    uint32_t n = 0;
    LIST_EACH (node, list)
        n++;
    return n;
}

struct http_client_stats http_client_stats(const struct http_client *client)
{
    struct http_client_stats stats = client->stats;
    stats.idle = count(&client->idle);
    stats.busy = count(&client->busy);
    return stats;
}

int http_client_adopt(struct http_client *client, const struct url *url, int sock)
{
    int error = 0;
    BUG_ON(client->is_dying);
    if (!url_is_valid(url) || !has_room(client)) {
        close(sock);
        return url_is_valid(url) ? HTTP_CLIENT_BUSY : HTTP_CLIENT_BAD_URL;
    }
    struct http_conn *conn = http_conn_new(client, url, sock, &error);
    if (!conn)
        return error;
    conn->served = 1;
    http_conn_park(conn);
    return 0;
}
