/* file_body: 200, 206 with one range, 206 with several (multipart/byteranges), 416. */
#include "protocol/http/file_body.h"

#include "base/rand.h"
#include "wire/http_cond.h"
#include "wire/http_range.h"

#include <errno.h>

static void push(struct exchange *ex, struct vfs *vfs, struct vfs_node *node, struct outq *q,
                 struct http_range range)
{
    if (!q || ex->no_body || !node->size)
        return;
    if (!vfs_push(vfs, node, range.first, range.last - range.first + 1, q))
        stream_abort(&ex->session->stream, -ENOMEM);
}

static void send_whole(struct exchange *ex, struct vfs *vfs, struct vfs_node *node,
                       const struct file_head *head)
{
    struct outq *q = exchange_begin(ex, 200, head->all, (int64_t)node->size);
    push(ex, vfs, node, q, (struct http_range){0, node->size ? node->size - 1 : 0});
    exchange_end(ex);
}

static void send_one_range(struct exchange *ex, struct vfs *vfs, struct vfs_node *node,
                           const struct file_head *head, struct http_range range)
{
    char room[1024];
    struct fmt f = fmt_on(room, sizeof room);
    fmt_put(&f, head->all);
    fmt_put(&f, SLICE("Content-Range: "));
    http_content_range_put(&f, range, node->size);
    fmt_put(&f, SLICE("\r\n"));
    struct outq *q = exchange_begin(ex, 206, fmt_done(&f), (int64_t)(range.last - range.first + 1));
    push(ex, vfs, node, q, range);
    exchange_end(ex);
}

static void send_unsatisfiable(struct exchange *ex, const struct vfs_node *node)
{
    char room[128];
    struct fmt f = fmt_on(room, sizeof room);
    fmt_put(&f, SLICE("Content-Range: "));
    http_content_range_put_unsatisfied(&f, node->size);
    fmt_put(&f, SLICE("\r\n"));
    exchange_fail(ex, 416, fmt_done(&f));
}

/* ---- Several ranges: one part after another, each when the last has been taken. ---- */

#define BOUNDARY_BYTES 24
#define PART_HEAD_MAX  512

struct parts {
    struct exchange *ex;
    struct vfs *vfs;
    struct vfs_node *node; /* held */
    slice type;            /* in the node's head */
    char boundary[BOUNDARY_BYTES];
    unsigned count, next;
    struct http_range ranges[HTTP_RANGES_MAX];
};

static void make_boundary(struct parts *p)
{
    unsigned char random[BOUNDARY_BYTES];
    rand_fill(random, sizeof random);
    for (size_t i = 0; i < BOUNDARY_BYTES; i++)
        p->boundary[i] = "0123456789abcdefghijklmnopqrstuv"[random[i] & 31];
}

/* RFC 9110 14.6, RFC 2046 5.1. Part [i], or the end when i == count. */
static slice put_delimiter(const struct parts *p, unsigned i, char *room)
{
    struct fmt f = fmt_on(room, PART_HEAD_MAX);
    fmt_put(&f, SLICE("\r\n--"));
    fmt_put(&f, slice_of(p->boundary, BOUNDARY_BYTES));
    if (i == p->count) {
        fmt_put(&f, SLICE("--\r\n"));
        return fmt_done(&f);
    }
    fmt_put(&f, SLICE("\r\nContent-Type: "));
    fmt_put(&f, p->type);
    fmt_put(&f, SLICE("\r\nContent-Range: "));
    http_content_range_put(&f, p->ranges[i], p->node->size);
    fmt_put(&f, SLICE("\r\n\r\n"));
    return fmt_done(&f);
}

static uint64_t total_of(const struct parts *p)
{
    char room[PART_HEAD_MAX];
    uint64_t total = put_delimiter(p, p->count, room).n;
    for (unsigned i = 0; i < p->count; i++)
        total += put_delimiter(p, i, room).n + (p->ranges[i].last - p->ranges[i].first + 1);
    return total;
}

static void release_parts(struct exchange *ex)
{
    struct parts *p = ex->state;
    vfs_node_release(p->node);
    p->node = NULL;
}

/* Pushes parts until there is no more room, then waits for on_room; ends the exchange after the
 * last. */
static void push_parts(struct exchange *ex)
{
    struct parts *p = ex->state;
    struct stream *s = &ex->session->stream;
    while (stream_is_open(s) && !ex->no_body) {
        if (stream_is_full(s))
            return;
        char room[PART_HEAD_MAX];
        if (!outq_push_copy(&s->out, s->cls->io, put_delimiter(p, p->next, room))) {
            stream_abort(s, -ENOMEM);
            return;
        }
        if (p->next == p->count)
            break;
        push(ex, p->vfs, p->node, &s->out, p->ranges[p->next++]);
        stream_touch(s);
    }
    if (!stream_is_open(s))
        return;
    release_parts(ex);
    ex->on_gone = ex->on_room = NULL;
    exchange_end(ex);
}

static void send_parts(struct exchange *ex, struct parts *p, const struct file_head *head)
{
    char room[1024];
    struct fmt f = fmt_on(room, sizeof room);
    fmt_put(&f, head->untyped);
    fmt_put(&f, SLICE("Content-Type: multipart/byteranges; boundary="));
    fmt_put(&f, slice_of(p->boundary, BOUNDARY_BYTES));
    fmt_put(&f, SLICE("\r\n"));
    ex->state = p;
    ex->on_gone = release_parts;
    ex->on_room = push_parts;
    if (exchange_begin(ex, 206, fmt_done(&f), (int64_t)total_of(p)))
        push_parts(ex);
}

static void send_ranges(struct exchange *ex, struct vfs *vfs, struct vfs_node *node,
                        const struct file_head *head, const struct http_range *ranges,
                        unsigned count)
{
    struct parts *p = arena_alloc(&ex->arena, sizeof *p);
    slice type = p ? arena_copy(&ex->arena, head->type) : (slice){NULL, 0};
    if (!type.p) {
        exchange_fail(ex, 503, SLICE(""));
        return;
    }
    *p = (struct parts){.ex = ex, .vfs = vfs, .node = node, .type = type, .count = count};
    memcpy(p->ranges, ranges, count * sizeof *ranges);
    shared_hold(&node->shared);
    make_boundary(p);
    send_parts(ex, p, head);
}

/* RFC 9110 14.2: Range counts for GET only, and with If-Range only while that is true. */
static bool range_counts(const struct exchange *ex, const struct vfs_node *node,
                         const struct file_head *head)
{
    if (ex->req->method != HTTP_GET || !exchange_field(ex, FIELD_RANGE).p)
        return false;
    slice if_range = exchange_field(ex, FIELD_IF_RANGE);
    struct http_validators validators = {.etag = head->etag, .last_modified = node->mtime_s};
    return !if_range.p ||
           http_cond_if_range(if_range, &validators, loop_unix_s(exchange_io(ex)->loop));
}

void file_body_send(struct exchange *ex, struct vfs *vfs, struct vfs_node *node,
                    const struct file_head *head)
{
    struct http_range ranges[HTTP_RANGES_MAX];
    unsigned count = 0;
    enum http_range_result result = RANGE_NONE;
    if (UNLIKELY(range_counts(ex, node, head)))
        result = http_range_parse(exchange_field(ex, FIELD_RANGE), node->size, ranges, &count);
    switch (result) {
    case RANGE_NONE:
        send_whole(ex, vfs, node, head);
        return;
    case RANGE_UNSATISFIABLE:
        send_unsatisfiable(ex, node);
        return;
    case RANGE_OK:
        if (count == 1)
            send_one_range(ex, vfs, node, head, ranges[0]);
        else
            send_ranges(ex, vfs, node, head, ranges, count);
        return;
    }
}
