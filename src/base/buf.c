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

static struct buf *set_up(struct buf *b, size_t cap, struct mem_owner *owner)
{
    if (!b)
        return NULL;
    *b = (struct buf){.p = (char *)(b + 1), .cap = cap, .owner = owner};
    shared_init(&b->shared, free_buf);
    return b;
}

struct buf *buf_new(struct mem_owner *owner, size_t cap)
{
    return set_up(mem_alloc(owner, sizeof(struct buf) + cap), cap, owner);
}

struct buf *buf_new_raw(size_t cap)
{
    return set_up(mem_raw_alloc(sizeof(struct buf) + cap), cap, NULL);
}

void buf_adopt(struct buf *b, struct mem_owner *owner)
{
    BUG_ON(b->owner);
    b->owner = owner;
    mem_adopt(owner, sizeof *b + b->cap);
}
