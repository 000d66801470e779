/* buf: bytes that several may hold at once: filled by one, then never changed again, freed by the last.
 *
 * One of the few counted things. The count belongs to the loop's thread. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/mem.h"
#include "base/slice.h"

struct buf {
    /* public until it is shared */
    size_t n; /* bytes in use */
    char *p;
    /* read-only */
    size_t cap;
    /* private */
    struct mem_owner *owner;
    unsigned holders;
};

/* Room for [cap] bytes, held once by the caller; NULL without memory. */
MUST_USE struct buf *buf_new(struct mem_owner *owner, size_t cap);

static inline struct buf *buf_hold(struct buf *b)
{
    b->holders++;
    return b;
}

/* Gives up the caller's hold and nulls its pointer. NULL is accepted. */
void buf_release(struct buf **b);

static inline slice buf_slice(const struct buf *b)
{
    return slice_of(b->p, b->n);
}

#endif
