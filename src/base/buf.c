/* buf: a count and its bytes in one allocation. */
#include "base/buf.h"

static void free_buf(struct shared *s)
{
    struct buf *b = CONTAINER_OF(s, struct buf, shared);
    if (b->owner)
        mem_free(b->owner, b, sizeof *b + b->cap);
    else
        mem_raw_free(b);
}

struct buf *buf_new(struct mem_owner *owner, size_t cap)
{
    size_t bytes = sizeof(struct buf) + cap;
    struct buf *b = owner ? mem_alloc(owner, bytes) : mem_raw_alloc(bytes);
    if (!b)
        return NULL;
    *b = (struct buf){.p = (char *)(b + 1), .cap = cap, .owner = owner};
    shared_init(&b->shared, free_buf);
    return b;
}

void buf_adopt(struct buf *b, struct mem_owner *owner)
{
    BUG_ON(b->owner);
    b->owner = owner;
    mem_adopt(owner, sizeof *b + b->cap);
}

bool buf_resize(struct buf **at, size_t cap)
{
    struct buf *b = *at;
    BUG_ON(b->shared.holders != 1 || cap < b->n);
    size_t old = sizeof *b + b->cap, bytes = sizeof *b + cap;
    b = b->owner ? mem_resize(b->owner, b, old, bytes) : mem_raw_resize(b, bytes);
    if (!b)
        return false;
    b->p = (char *)(b + 1);
    b->cap = cap;
    *at = b;
    return true;
}
