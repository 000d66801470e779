/* exchange: what handlers call; the carrier does the work. */
#include "protocol/http/exchange.h"

#include "protocol/http/http.h"

#include <errno.h>

struct exchange_line {
    struct exchange_line *next;
    slice text; /* "Name: value\r\n" */
};

struct io *exchange_io(const struct exchange *ex)
{
    return ex->session->stream.cls->io;
}

/* Is it one that the carrier writes itself, and must? */
static bool is_carriers(slice name)
{
    static const slice names[] = {
        SLICE("content-length"), SLICE("transfer-encoding"), SLICE("connection"), SLICE("date"),
        SLICE("server"),         SLICE("keep-alive"),        SLICE("upgrade"),    SLICE("trailer")};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (slice_is_nocase(name, names[i]))
            return true;
    return false;
}

/* RFC 9110 5.5: no control characters but the tab. */
static bool is_field_value(slice value)
{
    for (size_t i = 0; i < value.n; i++)
        if (((unsigned char)value.p[i] < ' ' && value.p[i] != '\t') || value.p[i] == 127)
            return false;
    return true;
}

bool exchange_check_field(slice name, slice value)
{
    return http_is_token(name) && !is_carriers(name) && is_field_value(value);
}

static void append(struct exchange *ex, struct exchange_line *line, slice text)
{
    *line = (struct exchange_line){.text = text};
    struct exchange_line **at = &ex->extra;
    while (*at)
        at = &(*at)->next;
    *at = line;
    ex->extra_bytes += text.n;
}

int exchange_add_lines(struct exchange *ex, slice lines)
{
    if (ex->has_begun)
        return -EALREADY;
    struct exchange_line *line = arena_alloc(&ex->arena, sizeof *line);
    if (!line)
        return -ENOMEM;
    append(ex, line, lines);
    return 0;
}

int exchange_add_field(struct exchange *ex, slice name, slice value)
{
    if (ex->has_begun)
        return -EALREADY;
    if (!exchange_check_field(name, value))
        return -EINVAL;
    size_t room = name.n + value.n + 4;
    struct exchange_line *line = arena_alloc(&ex->arena, sizeof *line + room);
    if (!line)
        return -ENOMEM;
    struct fmt f = fmt_on((char *)(line + 1), room);
    fmt_put(&f, name);
    fmt_put(&f, SLICE(": "));
    fmt_put(&f, value);
    fmt_put(&f, SLICE("\r\n"));
    append(ex, line, fmt_done(&f));
    return 0;
}

/* [lines] and behind them what was added. Without memory what was added is lost: better than the
 * answer. */
static slice with_extra(struct exchange *ex, slice lines)
{
    char *room = arena_alloc(&ex->arena, lines.n + ex->extra_bytes);
    if (!room)
        return lines;
    struct fmt f = fmt_on(room, lines.n + ex->extra_bytes);
    fmt_put(&f, lines);
    for (struct exchange_line *line = ex->extra; line; line = line->next)
        fmt_put(&f, line->text);
    return fmt_done(&f);
}

struct outq *exchange_begin(struct exchange *ex, int status, slice lines, int64_t length)
{
    BUG_ON(ex->has_begun);
    if (UNLIKELY(ex->extra))
        lines = with_extra(ex, lines);
    ex->has_begun = true;
    ex->status = status;
    ex->no_body = ex->req->method == HTTP_HEAD || status == 204 || status == 304;
    return ex->ops->begin(ex, status, lines, length);
}

bool exchange_write(struct exchange *ex, slice data)
{
    BUG_ON(!ex->has_begun || ex->has_ended);
    return ex->no_body || ex->ops->write(ex, data);
}

void exchange_end(struct exchange *ex)
{
    BUG_ON(!ex->has_begun || ex->has_ended);
    ex->has_ended = true;
    ex->on_body = NULL; /* perhaps it is on_body that has answered, and more is there */
    ex->ops->end(ex);
}

void exchange_send(struct exchange *ex, int status, slice lines, slice body)
{
    struct outq *q = exchange_begin(ex, status, lines, (int64_t)body.n);
    if (q && !ex->no_body && !outq_push_copy(q, exchange_io(ex), body))
        stream_abort(&ex->session->stream, -ENOMEM);
    exchange_end(ex);
}

void exchange_fail(struct exchange *ex, int status, slice lines)
{
    if (ex->has_begun) {
        stream_abort(&ex->session->stream, -EIO);
        return;
    }
    bool html = error_page_wants_html(exchange_field(ex, FIELD_ACCEPT));
    struct buf *page = error_page(&ex->server->pages, status, html);
    char room[1024];
    struct fmt f = fmt_on(room, sizeof room);
    fmt_put(&f, lines);
    fmt_put(&f, SLICE("Content-Type: "));
    fmt_str(&f, html ? ERROR_PAGE_HTML_TYPE : ERROR_PAGE_TEXT_TYPE);
    fmt_put(&f, SLICE("\r\n"));
    exchange_send(ex, status, fmt_done(&f), page ? buf_slice(page) : SLICE(""));
}

void exchange_read_body(struct exchange *ex, exchange_body_fn on_body)
{
    BUG_ON(ex->on_body || ex->has_begun);
    ex->on_body = on_body;
    ex->ops->read_body(ex);
}

void exchange_watch(struct exchange *ex)
{
    ex->is_watched = true;
    ex->ops->watch(ex);
}

void exchange_pause_body(struct exchange *ex)
{
    ex->body_paused = true;
}

void exchange_resume_body(struct exchange *ex)
{
    if (!ex->body_paused)
        return;
    ex->body_paused = false;
    ex->ops->read_body(ex);
}
