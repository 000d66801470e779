/* pool: objects of one size, from slabs of 64 KiB, without a header per object.
 *
 * Put and get are a few instructions; the object given back last is handed out first, because it is
 * still in the processor's cache. A slab whose objects are all free goes back to the system (a few
 * are kept), so a crowd that has left leaves no memory behind. Under ASan the free objects are
 * poisoned. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/mem.h"

struct pool {
    /* read-only */
    size_t object_bytes;
    size_t used; /* objects handed out */
    /* private */
    struct mem_owner *owner;
    struct list_node partial; /* slabs with room, best candidate first */
    struct list_node full;
    struct list_node spare; /* empty slabs that are kept */
    unsigned spares;
    unsigned per_slab;
};

/* Objects of [object_bytes] (at most POOL_MAX_OBJECT), aligned to 16, charged to [owner] slab by
 * slab. */
#define POOL_SLAB_BYTES (64 * KIB)
#define POOL_MAX_OBJECT (POOL_SLAB_BYTES - 64)
void pool_init(struct pool *pool, struct mem_owner *owner, size_t object_bytes);

/* All objects are back (BUG otherwise). */
void pool_fini(struct pool *pool);

/* An uninitialised object, or NULL. */
MUST_USE void *pool_get(struct pool *pool);

/* NULL is accepted. */
void pool_put(struct pool *pool, void *object);

/* Gives the spare slabs back too: for a process that wants to be small now. */
void pool_trim(struct pool *pool);

#endif
