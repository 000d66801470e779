/* h_file: from a path to a response: find the node, choose the index or the compressed form, check
 * the conditions, send.
 *
 * Each look at the tree may be answered at once (it is in the cache) or later; so the way is a
 * chain of steps, and a task in the exchange's arena says which comes next. When all is in the
 * cache the whole chain runs inside handle(). */
#include "protocol/http/h_file.h"

#include "protocol/http/exchange.h"
#include "protocol/http/file_body.h"
#include "protocol/http/file_head.h"
#include "protocol/http/file_list.h"
#include "protocol/http/http.h"
#include "wire/http_cond.h"
#include "wire/mime.h"
#include "wire/uri.h"

#include <errno.h>

#define ALLOW SLICE("Allow: GET, HEAD, OPTIONS\r\n")

static const struct {
    slice suffix;
    enum http_coding coding;
} codings[] = {
    {SLICE(".br"), CODING_BR},
    {SLICE(".zst"), CODING_ZSTD},
    {SLICE(".gz"), CODING_GZIP},
};

struct task {
    struct vfs_open open;
    struct h_file *hf;
    struct exchange *ex;
    slice path;             /* of the file, in the arena */
    struct vfs_node *plain; /* the file as it is, while a coding of it is looked for */
    void (*step)(struct task *t,
                 struct vfs_node *node); /* what to do with the node; it then owns it */
    enum http_coding coding;
    unsigned index; /* in settings.index */
};

void h_file_siblings(slice siblings[VFS_SIBLINGS_MAX])
{
    for (size_t i = 0; i < COUNT_OF(codings); i++)
        siblings[i] = codings[i].suffix;
}

void h_file_settings_default(struct h_file_settings *settings)
{
    *settings = (struct h_file_settings){
        .max_entries = 20000, .index = {SLICE("index.html"), SLICE("index.htm")}, .index_count = 2};
}

/* ---- Looking things up ---- */

static void on_opened(struct vfs_open *o)
{
    struct task *t = CONTAINER_OF(o, struct task, open);
    t->ex->on_gone = NULL;
    t->step(t, o->node);
}

static void on_gone(struct exchange *ex)
{
    struct task *t = ex->state;
    vfs_open_cancel(&t->open);
    vfs_node_release(t->plain);
    t->plain = NULL;
}

/* [step] is called with what stands at [path]: now or later. */
static void look_up(struct task *t, slice path, void (*step)(struct task *t, struct vfs_node *node))
{
    t->step = step;
    if (vfs_open(t->hf->vfs, path, &t->open))
        step(t, t->open.node);
    else
        t->ex->on_gone = on_gone;
}

/* A name made of two parts, in the arena; .p is NULL without memory. */
static slice join(struct task *t, slice a, slice b)
{
    char *p = arena_alloc(&t->ex->arena, a.n + b.n);
    if (!p)
        return (slice){NULL, 0};
    struct fmt f = fmt_on(p, a.n + b.n);
    fmt_put(&f, a);
    fmt_put(&f, b);
    return fmt_done(&f);
}

static void fail(struct task *t, int status)
{
    vfs_node_release(t->plain);
    t->plain = NULL;
    exchange_fail(t->ex, status, SLICE(""));
}

int h_file_status(int error)
{
    switch (error) {
    case -ENOENT:
    case -ENOTDIR:
    case -ENAMETOOLONG:
    case -EINVAL:
        return 404;
    case -EACCES:
    case -EPERM:
    case -EXDEV:
    case -ELOOP:
        return 403;
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
        return 503;
    default:
        return 500;
    }
}

/* ---- Files ---- */

/* Without memory the file is sent without them. */
static void add_lines(struct task *t)
{
    slice lines = t->hf->settings.lines;
    if (lines.n)
        (void)!exchange_add_lines(t->ex, lines);
}

/* RFC 9110 13.2.2. True: answered without the file. */
static bool answer_conditions(struct task *t, struct vfs_node *node, const struct file_head *head)
{
    struct exchange *ex = t->ex;
    struct http_conditions conditions = {
        .if_match = exchange_field(ex, FIELD_IF_MATCH),
        .if_none_match = exchange_field(ex, FIELD_IF_NONE_MATCH),
        .if_modified_since = exchange_field(ex, FIELD_IF_MODIFIED_SINCE),
        .if_unmodified_since = exchange_field(ex, FIELD_IF_UNMODIFIED_SINCE),
    };
    if (!conditions.if_match.p && !conditions.if_none_match.p && !conditions.if_modified_since.p &&
        !conditions.if_unmodified_since.p)
        return false;
    struct http_validators validators = {.etag = head->etag, .last_modified = node->mtime_s};
    switch (http_cond_check(&conditions, &validators, true, loop_unix_s(exchange_io(ex)->loop))) {
    case COND_PROCEED:
        return false;
    case COND_NOT_MODIFIED:
        add_lines(t);
        exchange_send(ex, 304, head->validators, SLICE(""));
        return true;
    case COND_FAILED:
        exchange_fail(ex, 412, SLICE(""));
        return true;
    }
    return false;
}

static COLD struct file_head *make_head(struct task *t, struct vfs_node *node)
{
    bool varies = t->plain || node->siblings;
    return file_head_make(node, &t->hf->owner, t->coding, mime_of(t->hf->mime, t->path), varies);
}

/* [node] is sent (and released); t->plain, when set, is the file that it is a coding of. */
static void send_node(struct task *t, struct vfs_node *node)
{
    struct file_head *head = file_head_find(node, t->coding);
    if (UNLIKELY(!head))
        head = make_head(t, node);
    vfs_node_release(t->plain);
    t->plain = NULL;
    if (!head) {
        exchange_fail(t->ex, 503, SLICE(""));
    } else if (!answer_conditions(t, node, head)) {
        add_lines(t);
        file_body_send(t->ex, t->hf->vfs, node, head);
    }
    vfs_node_release(node);
}

static bool is_older(const struct vfs_node *a, const struct vfs_node *b)
{
    return a->mtime_s != b->mtime_s ? a->mtime_s < b->mtime_s : a->mtime_ns < b->mtime_ns;
}

/* The compressed form was found; one that is older than the file itself was forgotten by somebody,
 * and is not sent. */
static void step_coded(struct task *t, struct vfs_node *node)
{
    if (node && node->kind == VFS_FILE && !is_older(node, t->plain)) {
        send_node(t, node);
        return;
    }
    vfs_node_release(node);
    t->coding = CODING_IDENTITY;
    node = t->plain;
    t->plain = NULL;
    send_node(t, node);
}

static enum http_coding choose_coding(const struct task *t, const struct vfs_node *node)
{
    slice accept = exchange_field(t->ex, FIELD_ACCEPT_ENCODING);
    if (!node->siblings || !accept.p)
        return CODING_IDENTITY;
    unsigned available = 1u << CODING_IDENTITY;
    for (size_t i = 0; i < COUNT_OF(codings); i++)
        if (node->siblings & 1u << i)
            available |= 1u << codings[i].coding;
    return (enum http_coding)http_accept_coding(accept, available);
}

static void serve_file(struct task *t, struct vfs_node *node)
{
    t->coding = choose_coding(t, node);
    if (t->coding == CODING_IDENTITY) {
        send_node(t, node);
        return;
    }
    size_t i = 0;
    while (codings[i].coding != t->coding)
        i++;
    t->plain = node;
    slice path = join(t, t->path, codings[i].suffix);
    if (path.p)
        look_up(t, path, step_coded);
    else
        fail(t, 503);
}

/* ---- Directories ---- */

/* A directory was named without its final slash: links in its pages would lead astray. */
static void redirect(struct task *t)
{
    slice path = t->ex->whole_path, query = t->ex->req->query;
    size_t room = 3 * path.n + query.n + 32;
    char *p = arena_alloc(&t->ex->arena, room);
    if (!p) {
        fail(t, 503);
        return;
    }
    struct fmt f = fmt_on(p, room);
    fmt_put(&f, SLICE("Location: "));
    uri_path_encode(path, &f);
    fmt_char(&f, '/');
    if (query.p) {
        fmt_char(&f, '?');
        fmt_put(&f, query);
    }
    fmt_put(&f, SLICE("\r\n"));
    exchange_send(t->ex, 301, fmt_done(&f), SLICE(""));
}

static void serve_directory(struct task *t)
{
    if (t->hf->settings.listing)
        file_list_send(t->ex, t->hf);
    else
        fail(t, 403);
}

static void look_for_index(struct task *t);

static void step_index(struct task *t, struct vfs_node *node)
{
    if (node && node->kind == VFS_FILE) {
        serve_file(t, node);
        return;
    }
    vfs_node_release(node);
    t->index++;
    look_for_index(t);
}

static void look_for_index(struct task *t)
{
    if (t->index == t->hf->settings.index_count) {
        serve_directory(t);
        return;
    }
    t->path = join(t, t->ex->path, t->hf->settings.index[t->index]);
    if (t->path.p)
        look_up(t, t->path, step_index);
    else
        fail(t, 503);
}

/* ---- Beginning ---- */

static void step_named(struct task *t, struct vfs_node *node)
{
    if (!node) {
        fail(t, 503);
        return;
    }
    enum vfs_kind kind = node->kind;
    int error = node->error;
    if (kind == VFS_FILE) {
        serve_file(t, node);
        return;
    }
    vfs_node_release(node);
    if (kind == VFS_ABSENT)
        fail(t, h_file_status(error));
    else if (t->hf->settings.files_only)
        fail(t, 404);
    else if (t->ex->path.p[t->ex->path.n - 1] != '/')
        redirect(t);
    else
        look_for_index(t);
}

/* A segment that begins with a dot, other than /.well-known. */
static bool is_hidden(slice path)
{
    if (slice_is(path, SLICE("/.well-known")) || slice_has_prefix(path, SLICE("/.well-known/")))
        path = slice_skip(path, 2);
    return memmem(path.p, path.n, "/.", 2) != NULL;
}

static void handle(struct http_handler *handler, struct exchange *ex)
{
    struct h_file *hf = CONTAINER_OF(handler, struct h_file, handler);
    if (ex->req->method == HTTP_OPTIONS) {
        exchange_send(ex, 204, ALLOW, SLICE(""));
        return;
    }
    if (!exchange_is_get_or_head(ex)) {
        exchange_fail(ex, 405, ALLOW);
        return;
    }
    if (!hf->settings.hidden && is_hidden(ex->path)) {
        exchange_fail(ex, 404, SLICE(""));
        return;
    }
    struct task *t = arena_alloc(&ex->arena, sizeof *t);
    if (!t) {
        exchange_fail(ex, 503, SLICE(""));
        return;
    }
    *t = (struct task){.open.done = on_opened, .hf = hf, .ex = ex, .path = ex->path};
    ex->state = t;
    look_up(t, ex->path, step_named);
}

bool h_file_init(struct h_file *hf, struct loop *loop, struct mem_book *book, struct vfs *vfs,
                 const struct mime_table *mime, const struct h_file_settings *settings)
{
    static const struct http_handler_ops ops = {.name = "files", .handle = handle};
    *hf = (struct h_file){.handler.ops = &ops, .vfs = vfs, .mime = mime, .settings = *settings};
    mem_owner_init(&hf->owner, book, "files");
    hf->lane = work_lane_new(loop, "listings", 1);
    if (!hf->lane)
        mem_owner_fini(&hf->owner);
    return hf->lane != NULL;
}

void h_file_fini(struct h_file *hf)
{
    work_lane_free(&hf->lane);
    mem_owner_fini(&hf->owner);
}
