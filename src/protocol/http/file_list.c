/* file_list: the directory is read on a worker (vfs), the page is made on another: sorting ten
 * thousand names takes milliseconds, which the loop does not have. What is away on a worker owns
 * its memory: the exchange may end meanwhile. */
#include "protocol/http/file_list.h"

#include "protocol/http/listing.h"
#include "wire/http_accept.h"
#include "wire/uri.h"

#include <errno.h>

struct list_task {
    struct work_job job;
    struct vfs_list list;
    struct h_file *hf;
    struct exchange *ex; /* NULL: the client has gone */
    bool json;
    slice path, shown, sort, order; /* behind the struct */
    size_t bytes;
    struct buf *page;
};

static void free_task(struct list_task *t)
{
    vfs_list_fini(&t->list);
    mem_free(&t->hf->owner, t, t->bytes);
}

static void on_gone_listing(struct exchange *ex)
{
    free_task(ex->state);
}

static void on_gone_rendering(struct exchange *ex)
{
    struct list_task *t = ex->state;
    t->ex = NULL;
}

/* On a worker. */
static void render(struct work_job *job)
{
    struct list_task *t = CONTAINER_OF(job, struct list_task, job);
    struct listing_request request = {
        .path = t->shown, .sort = t->sort, .order = t->order, .list = &t->list};
    t->page = t->json ? listing_json(NULL, &request) : listing_html(NULL, &request);
}

static void answer(struct exchange *ex, struct buf *page, bool json)
{
    slice lines = json ? SLICE("Content-Type: application/json\r\nVary: Accept\r\n")
                       : SLICE("Content-Type: text/html; charset=utf-8\r\nVary: Accept\r\n"
                               "Content-Security-Policy: " LISTING_CSP "\r\n");
    struct outq *q = exchange_begin(ex, 200, lines, (int64_t)page->n);
    if (q && !ex->no_body && !outq_push_shared(q, exchange_io(ex), buf_slice(page), &page->shared))
        stream_abort(&ex->session->stream, -ENOMEM);
    exchange_end(ex);
}

static void on_rendered(struct work_job *job)
{
    struct list_task *t = CONTAINER_OF(job, struct list_task, job);
    struct exchange *ex = t->ex;
    struct buf *page = t->page;
    bool json = t->json;
    if (page)
        buf_adopt(page, &t->hf->owner);
    free_task(t);
    if (ex) {
        ex->on_gone = NULL;
        if (page)
            answer(ex, page, json);
        else
            exchange_fail(ex, 503, SLICE(""));
    }
    buf_release(&page);
}

static void on_listed(struct vfs_list *list)
{
    struct list_task *t = CONTAINER_OF(list, struct list_task, list);
    struct exchange *ex = t->ex;
    if (list->error) {
        int status = h_file_status(list->error);
        ex->on_gone = NULL;
        free_task(t);
        exchange_fail(ex, status, SLICE(""));
        return;
    }
    ex->on_gone = on_gone_rendering;
    t->job = (struct work_job){.run = render, .done = on_rendered};
    work_submit(t->hf->lane, &t->job);
}

/* The task with copies of what a worker will read. */
static struct list_task *new_task(struct exchange *ex, struct h_file *hf)
{
    slice sort = uri_query_get(ex->req->query, SLICE("sort"));
    slice order = uri_query_get(ex->req->query, SLICE("order"));
    size_t bytes = sizeof(struct list_task) + ex->path.n + ex->whole_path.n + sort.n + order.n;
    struct list_task *t = mem_alloc0(&hf->owner, bytes);
    if (!t)
        return NULL;
    struct fmt f = fmt_on((char *)(t + 1), bytes - sizeof *t);
    fmt_put(&f, ex->path);
    fmt_put(&f, ex->whole_path);
    fmt_put(&f, sort);
    fmt_put(&f, order);
    slice text = fmt_done(&f);
    t->path = slice_head(text, ex->path.n);
    text = slice_skip(text, ex->path.n);
    t->shown = slice_head(text, ex->whole_path.n);
    text = slice_skip(text, ex->whole_path.n);
    t->sort = slice_head(text, sort.n);
    t->order = slice_skip(text, sort.n);
    t->bytes = bytes;
    t->hf = hf;
    t->ex = ex;
    t->json = http_accept_prefers_json(exchange_field(ex, FIELD_ACCEPT));
    return t;
}

void file_list_send(struct exchange *ex, struct h_file *hf)
{
    struct list_task *t = new_task(ex, hf);
    if (!t) {
        exchange_fail(ex, 503, SLICE(""));
        return;
    }
    t->list.done = on_listed;
    t->list.max_entries = hf->settings.max_entries;
    t->list.hidden = hf->settings.hidden;
    ex->state = t;
    if (vfs_list(hf->vfs, t->path, &t->list)) {
        ex->on_gone = on_gone_listing;
    } else {
        mem_free(&hf->owner, t, t->bytes);
        exchange_fail(ex, 503, SLICE(""));
    }
}
