/* out_conn: see out_conn.h. */
#include "script/out_conn.h"

#include "base/check.h"
#include "script/host_net.h"
#include "script/l_task.h"

#include <errno.h>

static struct out_conn *of_stream(struct stream *s)
{
    return CONTAINER_OF(s, struct out_conn, stream);
}

/* ---- Ends ---- */

static void free_out(struct out_conn *oc)
{
    struct host *host = oc->host;
    host->out_count--;
    mem_free(&host->owner, oc, sizeof *oc);
}

static void bury(struct loop_deferred *d)
{
    free_out(CONTAINER_OF(d, struct out_conn, grave));
}

static void stop_dial(struct out_conn *oc)
{
    timeout_clear(&oc->limit);
    resolver_cancel(oc->host->resolver, &oc->resolve);
    connect_cancel(&oc->connect);
}

void out_conn_drop(struct out_conn *oc)
{
    BUG_ON(oc->state == OUT_OPEN || oc->state == OUT_GONE);
    stop_dial(oc);
    oc->state = OUT_GONE;
    oc->task = NULL;
    l_link_cut(&oc->conn.link);
    list_remove(&oc->base.node);
    loop_bury(oc->host->loop, &oc->grave);
}

static void finish(struct conn *c)
{
    struct out_conn *oc = CONTAINER_OF(c, struct out_conn, conn);
    if (oc->state == OUT_OPEN)
        stream_close(&oc->stream, false);
    else
        out_conn_drop(oc);
}

/* The version goes. */
static void end(struct belonging *b)
{
    struct out_conn *oc = CONTAINER_OF(b, struct out_conn, base);
    l_link_cut(&oc->conn.link);
    oc->conn.version = NULL;
    if (oc->state == OUT_OPEN && oc->host->is_stopping)
        stream_abort(&oc->stream, -ECANCELED);
    else
        finish(&oc->conn);
}

/* ---- News of the stream ---- */

static void on_input(struct stream *s)
{
    conn_on_input(&of_stream(s)->conn);
}

static void on_room(struct stream *s)
{
    conn_on_room(&of_stream(s)->conn);
}

static void on_deadline(struct stream *s)
{
    conn_on_deadline(&of_stream(s)->conn);
}

static void on_closed(struct stream *s, int error)
{
    struct out_conn *oc = of_stream(s);
    oc->state = OUT_GONE;
    list_remove(&oc->base.node);
    conn_gone(&oc->conn);
    free_out(oc);
}

const struct stream_ops out_conn_ops = {
    .on_input = on_input, .on_room = on_room, .on_deadline = on_deadline, .on_closed = on_closed};

/* ---- The way there ---- */

static void wake(struct out_conn *oc)
{
    struct l_task *t = oc->task;
    oc->task = NULL;
    if (t)
        l_task_wake(t);
}

static void fail(struct out_conn *oc, int error)
{
    stop_dial(oc);
    oc->state = OUT_FAILED;
    oc->error = error;
    wake(oc);
}

static void on_connected(struct connect *c, int sock)
{
    struct out_conn *oc = CONTAINER_OF(c, struct out_conn, connect);
    if (sock < 0) {
        fail(oc, sock);
        return;
    }
    oc->addr = oc->resolve.addrs[c->won];
    int error = stream_open(&oc->stream, &oc->host->out_class, sock);
    if (error < 0) {
        fail(oc, error);
        return;
    }
    timeout_clear(&oc->limit);
    oc->state = OUT_OPEN;
    wake(oc);
}

static void on_resolved(struct resolve *r)
{
    struct out_conn *oc = CONTAINER_OF(r, struct out_conn, resolve);
    oc->is_resolution = r->error != 0;
    int error = r->error;
    if (!error) {
        oc->state = OUT_CONNECTING;
        int64_t left = MAX(oc->due_ms - loop_now_ms(oc->host->loop), 1);
        error = connect_start(&oc->connect, oc->host->loop, r->addrs, r->count, left);
    }
    if (error)
        fail(oc, error);
}

static void on_limit(struct timeout *t)
{
    fail(CONTAINER_OF(t, struct out_conn, limit), -ETIMEDOUT);
}

static struct out_conn *make(struct version *v, struct l_link *link, int64_t timeout_ms)
{
    struct host *host = v->host;
    struct out_conn *oc = mem_alloc0(&host->owner, sizeof *oc);
    if (!oc)
        return NULL;
    host->out_count++;
    oc->host = host;
    oc->conn = (struct conn){.stream = &oc->stream,
                             .version = v,
                             .finish = finish,
                             .link = link,
                             .deadline_ms = INT64_MAX};
    link->object = &oc->conn;
    oc->resolve.done = on_resolved;
    oc->connect.done = on_connected;
    oc->due_ms = loop_now_ms(host->loop) + timeout_ms;
    loop_deferred_init(&oc->grave, bury);
    timeout_init(&oc->limit, on_limit);
    timeout_set(loop_wheel(host->loop), &oc->limit, oc->due_ms);
    version_own(v, &oc->base, end);
    return oc;
}

struct out_conn *out_conn_start(struct version *v, slice host, uint16_t port, int64_t timeout_ms,
                                struct l_link *link, int *error_out)
{
    struct resolver *resolver = host_resolver(v->host, error_out);
    struct out_conn *oc = resolver ? make(v, link, timeout_ms) : NULL;
    if (!oc) {
        *error_out = resolver ? -ENOMEM : *error_out;
        l_link_cut(&link);
        return NULL;
    }
    *error_out = resolver_start(resolver, &oc->resolve, host, port, AF_UNSPEC);
    if (*error_out == 0)
        return oc;
    out_conn_drop(oc);
    return NULL;
}
