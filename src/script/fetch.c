/* fetch: see fetch.h. */
#include "script/fetch.h"

#include "script/host_net.h"
#include "script/l_task.h"

#include <errno.h>

static struct fetch *of_request(struct http_request *r)
{
    return CONTAINER_OF(r, struct fetch, r);
}

static void wake(struct fetch *f)
{
    struct l_task *t = f->task;
    f->task = NULL;
    if (t)
        l_task_wake(t);
}

static void end_with(struct fetch *f, int error, const char *why)
{
    f->has_ended = true;
    f->error = error;
    if (why)
        (void)snprintf(f->why, sizeof f->why, "%s", why);
    wake(f);
}

/* ---- Copies ---- */

static slice put(char **at, slice s)
{
    char *p = *at;
    if (s.n)
        memcpy(p, s.p, s.n);
    *at += s.n;
    return slice_of(p, s.n);
}

/* Fields and their texts in one block. NULL without memory. */
static struct http_field *copy_fields(struct mem_owner *owner, const struct http_field *fields,
                                      unsigned count, size_t more, size_t *bytes_out,
                                      char **rest_out)
{
    size_t bytes = count * sizeof *fields + more + 1;
    for (unsigned i = 0; i < count; i++)
        bytes += fields[i].name.n + fields[i].value.n;
    struct http_field *copy = mem_alloc(owner, bytes);
    if (!copy)
        return NULL;
    char *at = (char *)(copy + count);
    for (unsigned i = 0; i < count; i++)
        copy[i] = (struct http_field){.name = put(&at, fields[i].name),
                                      .value = put(&at, fields[i].value),
                                      .id = fields[i].id};
    *bytes_out = bytes;
    *rest_out = at;
    return copy;
}

/* ---- The answer ---- */

static void on_head(struct http_request *r)
{
    struct fetch *f = of_request(r);
    char *rest;
    f->status = r->status;
    f->fields =
        copy_fields(f->owner, r->answer->fields, r->answer->field_count, 0, &f->head_n, &rest);
    f->head = (char *)f->fields;
    if (!f->fields) {
        http_request_cancel(r);
        end_with(f, -ENOMEM, NULL);
        return;
    }
    f->field_count = r->answer->field_count;
    f->has_head = true;
    if (f->wait == FETCH_HEAD)
        wake(f);
}

static bool append(struct fetch *f, slice data)
{
    if (f->room_n - f->data.n < data.n) {
        size_t room = MAX(f->data.n + data.n, MAX(f->room_n * 2, 4096));
        char *p =
            f->room ? mem_resize(f->owner, f->room, f->room_n, room) : mem_alloc(f->owner, room);
        if (!p)
            return false;
        f->room = p;
        f->room_n = room;
    }
    memcpy(f->room + f->data.n, data.p, data.n);
    f->data = slice_of(f->room, f->data.n + data.n);
    return true;
}

static void on_data(struct http_request *r, slice data)
{
    struct fetch *f = of_request(r);
    if (data.n && !append(f, data)) {
        http_request_cancel(r);
        end_with(f, -ENOMEM, NULL);
        return;
    }
    if (f->is_streamed && f->data.n >= FETCH_AHEAD)
        http_request_pause(r);
    if (f->wait == FETCH_DATA && f->data.n)
        wake(f);
}

static void on_done(struct http_request *r, int error)
{
    end_with(of_request(r), error, error ? r->why : NULL);
}

void fetch_wait(struct fetch *f, struct l_task *t, enum fetch_wait wait)
{
    f->task = t;
    f->wait = wait;
}

void fetch_taken(struct fetch *f)
{
    mem_free(f->owner, f->room, f->room_n);
    f->room = NULL;
    f->room_n = 0;
    f->data = slice_of(NULL, 0);
    if (!f->has_ended)
        http_request_resume(&f->r);
}

const char *fetch_error(const struct fetch *f)
{
    if (!f->has_ended || !f->error)
        return NULL;
    return f->why[0] ? f->why : http_client_error_text(f->error);
}

/* ---- Beginning and end ---- */

void fetch_free(struct fetch *f)
{
    http_request_cancel(&f->r);
    l_link_cut(&f->link);
    list_remove(&f->base.node);
    mem_free(f->owner, f->asked, f->asked_n);
    mem_free(f->owner, f->head, f->head_n);
    mem_free(f->owner, f->room, f->room_n);
    f->data = slice_of(NULL, 0);
    loop_bury(f->host->loop, &f->grave); /* the client may be calling it just now */
}

static void bury(struct loop_deferred *d)
{
    struct fetch *f = CONTAINER_OF(d, struct fetch, grave);
    struct host *host = f->host;
    host->out_count--;
    mem_free(&host->owner, f, sizeof *f);
}

static void end(struct belonging *b)
{
    fetch_free(CONTAINER_OF(b, struct fetch, base));
}

static bool fill(struct fetch *f, const struct fetch_spec *spec, const char **why_out)
{
    struct http_request *r = &f->r;
    char *at;
    size_t more = spec->url.n + spec->method.n + spec->body.n;
    r->fields = copy_fields(f->owner, spec->fields, spec->field_count, more, &f->asked_n, &at);
    f->asked = (char *)r->fields;
    *why_out = "not enough memory";
    if (!r->fields)
        return false;
    r->field_count = spec->field_count;
    r->method = put(&at, spec->method);
    if (!url_parse(put(&at, spec->url), &r->url, why_out))
        return false;
    if (spec->body.p)
        r->body = put(&at, spec->body);
    r->redirects = (unsigned)spec->redirects;
    r->connect_ms = spec->connect_ms;
    r->total_ms = spec->is_streamed ? 0 : spec->timeout_ms;
    r->head_ms = r->idle_ms = spec->timeout_ms;
    r->max_body = spec->max_body;
    r->on_head = on_head;
    r->on_data = on_data;
    r->on_done = on_done;
    f->is_streamed = spec->is_streamed;
    return true;
}

static bool start(struct fetch *f, const char **why_out)
{
    int error;
    struct http_client *client = host_client(f->host, &error);
    if (client)
        error = http_request_start(client, &f->r);
    if (error < 0)
        *why_out = client && f->r.why ? f->r.why : http_client_error_text(error);
    return client && error == 0;
}

struct fetch *fetch_new(struct version *v, const struct fetch_spec *spec, struct l_link *link,
                        const char **why_out)
{
    struct fetch *f = mem_alloc0(&v->host->owner, sizeof *f);
    *why_out = "not enough memory";
    if (!f) {
        l_link_cut(&link);
        return NULL;
    }
    f->owner = &v->unit->heap;
    f->host = v->host;
    f->host->out_count++;
    loop_deferred_init(&f->grave, bury);
    f->link = link;
    link->object = f;
    version_own(v, &f->base, end);
    http_request_init(&f->r);
    if (fill(f, spec, why_out) && start(f, why_out))
        return f;
    fetch_free(f);
    return NULL;
}
