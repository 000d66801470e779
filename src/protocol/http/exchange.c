/* exchange: what handlers call; the carrier does the work. */
#include "protocol/http/exchange.h"

#include "protocol/http/http.h"

#include <errno.h>

struct io *exchange_io(const struct exchange *ex)
{
    return ex->session->stream.cls->io;
}

struct outq *exchange_begin(struct exchange *ex, int status, slice lines, int64_t length)
{
    BUG_ON(ex->has_begun);
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
