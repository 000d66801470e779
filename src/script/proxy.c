/* proxy: one struct forward for each request, freed at the end of the turn in which either side
 * ended. */
#include "script/proxy.h"

#include "protocol/http/exchange.h"
#include "script/fetch.h"
#include "script/host_net.h"

#include <errno.h>

#define ADDED_MAX 3 /* fields */

struct forward {
    struct http_request r;
    struct exchange *ex; /* NULL: over */
    struct host *host;
    char *asked; /* copies of the fields, and the target */
    size_t asked_n;
    bool is_waiting; /* the request's body, for the other server */
    struct loop_deferred grave;
};

static struct forward *of_request(struct http_request *r)
{
    return CONTAINER_OF(r, struct forward, r);
}

/* ---- Ends ---- */

static void bury(struct loop_deferred *d)
{
    struct forward *f = CONTAINER_OF(d, struct forward, grave);
    struct host *host = f->host;
    host->out_count--;
    mem_free(&host->owner, f->asked, f->asked_n);
    mem_free(&host->owner, f, sizeof *f);
}

/* The exchange is none of ours any more. */
static void let_go(struct forward *f)
{
    struct exchange *ex = f->ex;
    f->ex = NULL;
    ex->state = NULL;
    ex->on_gone = NULL;
    ex->on_room = NULL;
    http_request_cancel(&f->r);
    loop_bury(f->host->loop, &f->grave);
}

static void fail(struct forward *f, int error)
{
    struct exchange *ex = f->ex;
    bool is_late = error == HTTP_CLIENT_CONNECT_TIMEOUT || error == HTTP_CLIENT_HEAD_TIMEOUT ||
                   error == HTTP_CLIENT_IDLE_TIMEOUT || error == -ETIMEDOUT;
    int status = error == HTTP_CLIENT_BUSY || error == -ENOMEM ? 503 : is_late ? 504 : 502;
    let_go(f);
    exchange_fail(ex, status, SLICE(""));
}

static void on_gone(struct exchange *ex)
{
    let_go(ex->state);
}

/* ---- Fields ---- */

/* Does the field Connection among [fields] name it? */
static bool is_named(slice name, const struct http_field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        slice list = fields[i].value, item;
        if (fields[i].id != FIELD_CONNECTION)
            continue;
        while (slice_cut(&list, ',', &item)) {
            while (item.n && (*item.p == ' ' || *item.p == '\t'))
                item = slice_skip(item, 1);
            while (item.n && (item.p[item.n - 1] == ' ' || item.p[item.n - 1] == '\t'))
                item.n--;
            if (slice_is_nocase(item, name))
                return true;
        }
    }
    return false;
}

static bool is_of_the_hop(const struct http_field *f, const struct http_field *all, unsigned count)
{
    static const slice names[] = {SLICE("Keep-Alive"), SLICE("Proxy-Connection"),
                                  SLICE("Proxy-Authenticate"), SLICE("Proxy-Authorization")};
    static const uint8_t ids[] = {
        FIELD_CONNECTION, FIELD_CONTENT_LENGTH,    FIELD_EXPECT, FIELD_HOST, FIELD_TE,
        FIELD_TRAILER,    FIELD_TRANSFER_ENCODING, FIELD_UPGRADE};
    for (unsigned i = 0; i < COUNT_OF(ids); i++)
        if (f->id == ids[i])
            return true;
    for (unsigned i = 0; i < COUNT_OF(names); i++)
        if (slice_is_nocase(f->name, names[i]))
            return true;
    return is_named(f->name, all, count);
}

/* "who sent it before, the client": what came with the request is kept, unless it is very long. */
static slice forwarded_for(const struct exchange *ex, char *room, size_t bytes)
{
    const struct http1_req *req = ex->req;
    struct fmt f = fmt_on(room, bytes);
    size_t used = 0;
    for (unsigned i = 0; i < req->field_count; i++) {
        const struct http_field *field = &req->fields[i];
        if (!slice_is_nocase(field->name, SLICE("X-Forwarded-For")) ||
            used + field->value.n + 64 > bytes)
            continue;
        fmt_put(&f, field->value);
        fmt_put(&f, SLICE(", "));
        used += field->value.n + 2;
    }
    peer_addr_put(&f, &ex->session->peer);
    return fmt_done(&f);
}

static bool copy_request(struct forward *f, const struct proxy *p)
{
    const struct http1_req *req = f->ex->req;
    struct http_field fields[HTTP1_FIELDS_MAX + ADDED_MAX];
    char room[1024], *rest;
    unsigned count = 0;
    for (unsigned i = 0; i < req->field_count; i++)
        if (!is_of_the_hop(&req->fields[i], req->fields, req->field_count) &&
            !slice_is_nocase(req->fields[i].name, SLICE("X-Forwarded-For")) &&
            !slice_is_nocase(req->fields[i].name, SLICE("X-Forwarded-Host")))
            fields[count++] = req->fields[i];
    fields[count++] = (struct http_field){.name = SLICE("X-Forwarded-For"),
                                          .value = forwarded_for(f->ex, room, sizeof room)};
    if (req->authority.n)
        fields[count++] =
            (struct http_field){.name = SLICE("X-Forwarded-Host"), .value = req->authority};
    if (req->authority.n && p->keeps_host)
        fields[count++] = (struct http_field){.name = SLICE("Host"), .value = req->authority};
    slice base = p->url.target;
    if (base.n && base.p[base.n - 1] == '/')
        base.n--;
    size_t more = base.n + req->path.n + req->query.n + 1 + req->method_name.n;
    f->r.fields = fetch_copy_fields(&f->host->owner, fields, count, more, &f->asked_n, &rest);
    f->asked = (char *)f->r.fields;
    if (!f->asked)
        return false;
    struct fmt target = fmt_on(rest, more + 1);
    fmt_put(&target, req->method_name);
    fmt_put(&target, base);
    fmt_put(&target, req->path);
    if (req->query.p) {
        fmt_char(&target, '?');
        fmt_put(&target, req->query);
    }
    slice all = fmt_done(&target);
    f->r.field_count = count;
    f->r.method = slice_head(all, req->method_name.n);
    f->r.url = p->url;
    f->r.url.target = slice_skip(all, req->method_name.n);
    return true;
}

/* ---- The request's body ---- */

static void on_body(struct exchange *ex, slice data, bool is_last)
{
    struct forward *f = ex->state;
    if (!f || (data.n && !http_request_write(&f->r, data)))
        return; /* on_done tells */
    if (is_last) {
        http_request_end(&f->r);
    } else if (http_request_is_full(&f->r)) {
        f->is_waiting = true;
        exchange_pause_body(ex);
    }
}

static void on_request_room(struct http_request *r)
{
    struct forward *f = of_request(r);
    if (!f->is_waiting)
        return;
    f->is_waiting = false;
    exchange_resume_body(f->ex);
}

static void read_body(struct forward *f)
{
    struct exchange *ex = f->ex;
    f->r.is_pushed = true;
    f->r.push_length = ex->req->has_content_length ? (int64_t)ex->req->content_length : -1;
    f->r.on_room = on_request_room;
    f->is_waiting = true;
}

/* ---- The answer ---- */

static slice answer_lines(struct forward *f)
{
    const struct http1_resp *a = f->r.answer;
    size_t bytes = 1;
    for (unsigned i = 0; i < a->field_count; i++)
        bytes += a->fields[i].name.n + a->fields[i].value.n + 4;
    char *text = arena_alloc(&f->ex->arena, bytes);
    if (!text)
        return slice_of(NULL, 0);
    struct fmt lines = fmt_on(text, bytes);
    for (unsigned i = 0; i < a->field_count; i++) {
        const struct http_field *field = &a->fields[i];
        if (is_of_the_hop(field, a->fields, a->field_count) ||
            slice_is_nocase(field->name, SLICE("Date")) ||
            slice_is_nocase(field->name, SLICE("Server")))
            continue;
        fmt_put(&lines, field->name);
        fmt_put(&lines, SLICE(": "));
        fmt_put(&lines, field->value);
        fmt_put(&lines, SLICE("\r\n"));
    }
    return fmt_done(&lines);
}

static void on_head(struct http_request *r)
{
    struct forward *f = of_request(r);
    slice lines = answer_lines(f);
    if (!lines.p) {
        fail(f, -ENOMEM);
        return;
    }
    int64_t length = r->answer->has_content_length ? (int64_t)r->answer->content_length : -1;
    if (r->status == 204 || r->status == 304)
        length = 0;
    (void)!exchange_begin(f->ex, r->status, lines, length);
}

static bool push(struct exchange *ex, slice data)
{
    struct stream *s = &ex->session->stream;
    if (ex->is_chunked)
        return exchange_write(ex, data);
    if (!stream_is_open(s) || !outq_push_copy(&s->out, exchange_io(ex), data))
        return false;
    stream_touch(s);
    return true;
}

static void on_data(struct http_request *r, slice data)
{
    struct forward *f = of_request(r);
    if (!data.n || f->ex->no_body)
        return;
    if (!push(f->ex, data))
        fail(f, -ENOMEM);
    else if (stream_is_full(&f->ex->session->stream))
        http_request_pause(r);
}

static void on_room(struct exchange *ex)
{
    struct forward *f = ex->state;
    http_request_resume(&f->r);
}

static void on_done(struct http_request *r, int error)
{
    struct forward *f = of_request(r);
    struct exchange *ex = f->ex;
    if (error) {
        fail(f, error);
        return;
    }
    let_go(f);
    exchange_end(ex);
}

/* ---- The handler ---- */

static struct forward *new_forward(const struct proxy *p, struct exchange *ex)
{
    struct forward *f = mem_alloc0(&p->host->owner, sizeof *f);
    if (!f)
        return NULL;
    f->host = p->host;
    f->host->out_count++;
    f->ex = ex;
    loop_deferred_init(&f->grave, bury);
    http_request_init(&f->r);
    f->r.connect_ms = p->connect_ms;
    f->r.head_ms = f->r.idle_ms = p->timeout_ms;
    f->r.max_body = 0;
    f->r.on_head = on_head;
    f->r.on_data = on_data;
    f->r.on_done = on_done;
    ex->state = f;
    ex->on_gone = on_gone;
    ex->on_room = on_room;
    return f;
}

static void handle(struct http_handler *h, struct exchange *ex)
{
    const struct proxy *p = CONTAINER_OF(h, struct proxy, handler);
    if (!ex->req->path.n || ex->req->path.p[0] != '/') {
        exchange_fail(ex, 400, SLICE(""));
        return;
    }
    int error = -ENOMEM;
    struct http_client *client = host_client(p->host, &error);
    struct forward *f = client ? new_forward(p, ex) : NULL;
    if (!f) {
        exchange_fail(ex, 503, SLICE(""));
        return;
    }
    bool has_body = ex->req->chunked || (ex->req->has_content_length && ex->req->content_length);
    if (has_body)
        read_body(f);
    error = copy_request(f, p) ? http_request_start(client, &f->r) : -ENOMEM;
    if (error < 0) {
        fail(f, error);
        return;
    }
    if (has_body) {
        exchange_read_body(ex, on_body);
        exchange_pause_body(ex); /* until the connection is there */
    }
}

const struct http_handler_ops proxy_ops = {.name = "proxy", .any_method = true, .handle = handle};
