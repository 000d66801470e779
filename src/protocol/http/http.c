/* http: the server around the carriers. */
#include "protocol/http/http.h"

#include "base/check.h"
#include "protocol/http/http1.h"
#include "service/accesslog.h"
#include "wire/http_date.h"
#include "wire/uri.h"

#define ARENA_LIMIT (128 * KIB)

void http_settings_default(struct http_settings *settings)
{
    *settings = (struct http_settings){
        .limits = {.target_bytes = 8 * KIB, .head_bytes = 32 * KIB, .fields = HTTP1_FIELDS_MAX},
        .body_bytes = 1 * MIB,
        .discard_bytes = 64 * KIB,
        .keepalive_ms = 75000,
        .header_ms = 20000,
        .rate_bytes = 3000,
        .rate_ms = 30000,
    };
    server_settings_default(&settings->server);
}

void http_server_init(struct http_server *http, struct io *io, struct mem_book *book,
                      const struct http_settings *settings, struct http_handler *handler)
{
    *http = (struct http_server){.settings = *settings, .handler = handler, .date_s = -1};
    server_init(&http->server, &http1_server_ops, io, book, &settings->server);
    mem_owner_init(&http->owner, book, "exchanges");
    pool_init(&http->exchanges, &http->owner, sizeof(struct exchange));
    error_pages_init(&http->pages, &http->owner);
}

void http_server_change(struct http_server *http, const struct http_settings *settings)
{
    http->settings = *settings;
    server_change(&http->server, &settings->server);
}

void http_server_fini(struct http_server *http)
{
    server_fini(&http->server);
    error_pages_fini(&http->pages);
    pool_fini(&http->exchanges);
    mem_owner_fini(&http->owner);
}

slice http_date_line(struct http_server *http)
{
    int64_t now = loop_unix_s(http->server.io->loop);
    if (UNLIKELY(now != http->date_s)) {
        struct fmt f = fmt_on(http->date_line, sizeof http->date_line);
        fmt_put(&f, SLICE("Server: Medusa\r\nDate: "));
        http_date_put(&f, now);
        fmt_put(&f, SLICE("\r\n"));
        BUG_ON(f.full);
        http->date_bytes = fmt_done(&f).n;
        http->date_s = now;
    }
    return slice_of(http->date_line, http->date_bytes);
}

struct exchange *http_exchange_new(struct http_server *http, struct session *session)
{
    struct exchange *ex = pool_get(&http->exchanges);
    if (!ex)
        return NULL;
    memset(ex, 0, offsetof(struct exchange, room));
    ex->server = http;
    ex->session = session;
    ex->began_ms = loop_now_ms(http->server.io->loop);
    arena_init(&ex->arena, &http->owner, ex->room, sizeof ex->room, ARENA_LIMIT);
    return ex;
}

static void write_accesslog(struct http_server *http, struct exchange *ex, uint32_t number)
{
    const struct http1_req *req = ex->req;
    const struct session *session = ex->session;
    struct loop *loop = http->server.io->loop;
    int64_t took_ms = loop_now_ms(loop) - ex->began_ms;
    char peer_text[PEER_TEXT_MAX];
    struct fmt peer = fmt_on(peer_text, sizeof peer_text);
    peer_addr_put(&peer, &session->peer);
    uint64_t out = session->stream.bytes_out + session->stream.out.bytes - ex->sent_mark;
    struct accesslog_entry entry = {
        .unix_ms = loop_unix_ms(loop) - took_ms,
        .duration_us = took_ms * 1000,
        .peer = fmt_done(&peer),
        .method = req->method_name,
        .target = req->target,
        .protocol = req->minor ? SLICE("HTTP/1.1") : SLICE("HTTP/1.0"),
        .referer = http1_req_field(req, FIELD_REFERER),
        .user_agent = http1_req_field(req, FIELD_USER_AGENT),
        .host = req->authority,
        .bytes_sent = ex->has_begun && out > ex->head_out ? out - ex->head_out : 0,
        .session_id = session->id,
        .request_number = number,
        .status = ex->status,
    };
    accesslog_put(http->accesslog, &entry);
}

void http_exchange_free(struct http_server *http, struct exchange *ex, uint32_t number)
{
    http->stats.requests++;
    http->stats.by_class[MIN((unsigned)ex->status / 100, 5)]++;
    if (accesslog_is_on(http->accesslog))
        write_accesslog(http, ex, number);
    if (ex->on_free)
        ex->on_free(ex);
    arena_fini(&ex->arena);
    pool_put(&http->exchanges, ex);
}

/* The name of an authority without its port, and without a final dot. */
static slice host_of(slice authority)
{
    ssize_t colon = slice_find_last(authority, ':');
    ssize_t bracket = slice_find_last(authority, ']');
    slice host = colon > bracket ? slice_head(authority, (size_t)colon) : authority;
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    return host;
}

/* RFC 9110 7.4: a request for an origin that this server does not speak for. */
static bool is_ours(const struct http_settings *settings, const struct http1_req *req)
{
    if (req->scheme.n && !slice_is_nocase(req->scheme, SLICE("http")))
        return false;
    if (!settings->host_count || !req->authority.n)
        return true;
    slice host = host_of(req->authority);
    for (unsigned i = 0; i < settings->host_count; i++)
        if (slice_is_nocase(host, settings->hosts[i]))
            return true;
    return false;
}

/* What is wrong with this request before anybody looks at what it asks for; 0 = nothing. */
static int objection(struct http_server *http, struct exchange *ex)
{
    const struct http1_req *req = ex->req;
    if (!is_ours(&http->settings, req))
        return 421;
    if (req->method == HTTP_CONNECT ||
        (req->method == HTTP_OTHER && !http->handler->ops->any_method))
        return 501;
    if (req->has_content_length && req->content_length > http->settings.body_bytes)
        return 413;
    if (req->chunked && http->handler->ops->needs_length)
        return 411;
    return 0;
}

/* 0, or a status. */
static int decode_path(struct exchange *ex)
{
    slice encoded = ex->req->path;
    char *room = arena_alloc(&ex->arena, MIN(encoded.n, URI_PATH_MAX) + 1);
    if (!room)
        return 503;
    struct fmt f = fmt_on(room, MIN(encoded.n, URI_PATH_MAX) + 1);
    int status = uri_path_decode(encoded, &f);
    if (status == 0)
        ex->path = ex->whole_path = fmt_done(&f);
    return -status;
}

void http_dispatch(struct http_server *http, struct exchange *ex)
{
    int status = objection(http, ex);
    if (status) {
        if (status == 413)
            ex->keep_alive = false;
        exchange_fail(ex, status, SLICE(""));
    } else if (ex->req->form == TARGET_ASTERISK) { /* OPTIONS *: RFC 9110 9.3.7 */
        exchange_send(ex, 204, SLICE("Allow: GET, HEAD, OPTIONS\r\n"), SLICE(""));
    } else if ((status = decode_path(ex)) != 0) {
        exchange_fail(ex, status, SLICE(""));
    } else {
        http->handler->ops->handle(http->handler, ex);
    }
}
