/* buf: a count and its bytes in one allocation. */
#include "base/buf.h"

static void free_buf(struct shared *s)
{
    struct buf *b = CONTAINER_OF(s, struct buf, shared);
    mem_free(b->owner, b, sizeof *b + b->cap);
}

struct buf *buf_new(struct mem_owner *owner, size_t cap)
{
    struct buf *b = mem_alloc(owner, sizeof *b + cap);
    if (!b)
        return NULL;
    *b = (struct buf){.p = (char *)(b + 1), .cap = cap, .owner = owner};
    shared_init(&b->shared, free_buf);
    return b;
}
