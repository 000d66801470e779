/* file_head: validators and fields of a file (RFC 9110 8.3, 8.4, 8.8). */
#include "protocol/http/file_head.h"

#include "base/fmt.h"
#include "wire/http_date.h"

static void free_head(struct shared *s)
{
    struct file_head *head = CONTAINER_OF(s, struct file_head, shared);
    if (head->next)
        shared_release(&head->next->shared);
    mem_free(head->owner, head, head->bytes);
}

/* Strong: size and time to the nanosecond; a coding of the same file is another representation (RFC
 * 9110 8.8.3.3), with the coding's own file behind it. */
static void put_etag(struct fmt *f, const struct vfs_node *node, enum http_coding coding)
{
    fmt_char(f, '"');
    fmt_hex(f, (uint64_t)node->mtime_s);
    fmt_char(f, '.');
    fmt_hex(f, node->mtime_ns);
    fmt_char(f, '-');
    fmt_hex(f, node->size);
    if (coding != CODING_IDENTITY) {
        fmt_char(f, '-');
        fmt_put(f, http_coding_name(coding));
    }
    fmt_char(f, '"');
}

static void put_line(struct fmt *f, slice name, slice value)
{
    fmt_put(f, name);
    fmt_put(f, SLICE(": "));
    fmt_put(f, value);
    fmt_put(f, SLICE("\r\n"));
}

static void put_validators(struct file_head *head, struct fmt *f, const struct vfs_node *node,
                           bool varies)
{
    fmt_put(f, SLICE("Last-Modified: "));
    http_date_put(f, node->mtime_s);
    fmt_put(f, SLICE("\r\nETag: "));
    const char *etag = f->p;
    put_etag(f, node, head->coding);
    head->etag = slice_of(etag, (size_t)(f->p - etag));
    fmt_put(f, SLICE("\r\n"));
    if (varies)
        put_line(f, SLICE("Vary"), SLICE("Accept-Encoding"));
    head->validators = fmt_done(f);
}

static void put_lines(struct file_head *head, struct fmt *f, const struct vfs_node *node,
                      slice type, bool varies)
{
    put_validators(head, f, node, varies);
    put_line(f, SLICE("Accept-Ranges"), SLICE("bytes"));
    if (head->coding != CODING_IDENTITY)
        put_line(f, SLICE("Content-Encoding"), http_coding_name(head->coding));
    head->untyped = fmt_done(f);
    put_line(f, SLICE("Content-Type"), type);
    head->type = slice_of(f->p - type.n - 2, type.n);
    head->all = fmt_done(f);
}

struct file_head *file_head_make(struct vfs_node *node, struct mem_owner *owner,
                                 enum http_coding coding, slice type, bool varies)
{
    size_t room = 256 + type.n;
    struct file_head *head = mem_alloc(owner, sizeof *head + room);
    if (!head)
        return NULL;
    *head = (struct file_head){.owner = owner, .bytes = sizeof *head + room, .coding = coding};
    shared_init(&head->shared, free_head);
    struct fmt f = fmt_on((char *)(head + 1), room);
    put_lines(head, &f, node, type, varies);
    BUG_ON(f.full);
    if (node->prepared)
        head->next = CONTAINER_OF(node->prepared, struct file_head, shared);
    node->prepared = &head->shared;
    return head;
}

struct file_head *file_head_find(struct vfs_node *node, enum http_coding coding)
{
    struct file_head *head =
        node->prepared ? CONTAINER_OF(node->prepared, struct file_head, shared) : NULL;
    while (head && head->coding != coding)
        head = head->next;
    return head;
}
