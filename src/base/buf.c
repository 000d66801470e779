/* buf: a count and its bytes in one allocation. */
#include "base/buf.h"

#include "base/check.h"

struct buf *buf_new(struct mem_owner *owner, size_t cap)
{
    struct buf *b = mem_alloc(owner, sizeof *b + cap);
    if (b)
        *b = (struct buf){.p = (char *)(b + 1), .cap = cap, .owner = owner, .holders = 1};
    return b;
}

void buf_release(struct buf **at)
{
    struct buf *b = *at;
    *at = NULL;
    if (!b)
        return;
    BUG_ON(b->holders == 0);
    if (--b->holders == 0)
        mem_free(b->owner, b, sizeof *b + b->cap);
}
