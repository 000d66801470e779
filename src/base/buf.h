/* buf: bytes that several may hold at once: filled by one, then never changed again, freed by the
 * last. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/mem.h"
#include "base/shared.h"
#include "base/slice.h"

struct buf {
    struct shared shared;
    /* public until it is shared */
    size_t n; /* bytes in use */
    char *p;
    /* read-only */
    size_t cap;
    /* private */
    struct mem_owner *owner;
};

/* Room for [cap] bytes, held once by the caller; NULL without memory. On a worker [owner] is NULL:
 * the bytes have no account until the loop's thread calls buf_adopt (or releases the buf). */
MUST_USE struct buf *buf_new(struct mem_owner *owner, size_t cap);

/* Gives a buf that was made on a worker its account. */
void buf_adopt(struct buf *b, struct mem_owner *owner);

/* Makes the room of *at [cap] bytes, which are not fewer than b->n: it may move. Only while the
 * caller is its only holder (BUG otherwise). False without memory: it is as it was. */
MUST_USE bool buf_resize(struct buf **at, size_t cap);

static inline struct buf *buf_hold(struct buf *b)
{
    shared_hold(&b->shared);
    return b;
}

/* Gives up the caller's hold and nulls its pointer. NULL is accepted. */
static inline void buf_release(struct buf **at)
{
    struct buf *b = *at;
    *at = NULL;
    if (b)
        shared_release(&b->shared);
}

static inline slice buf_slice(const struct buf *b)
{
    return slice_of(b->p, b->n);
}

#endif
