/* arena: memory that lives as long as one exchange or one command and is freed as a whole.
 *
 * The first bytes come from room inside the owner's own object; what is more comes in chunks from
 * the account. Nothing in an arena is freed on its own, so code that uses it has no clean-up to
 * forget. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/mem.h"
#include "base/slice.h"

struct arena {
    char *p, *end;
    struct mem_owner *owner;
    struct arena_chunk *chunks;
    size_t limit; /* bytes that it may still take from the account */
};

/* [room] is the caller's and must outlive the arena. At most [limit] bytes are taken beyond it. */
void arena_init(struct arena *a, struct mem_owner *owner, void *room, size_t room_bytes,
                size_t limit);
void arena_fini(struct arena *a);

/* [n] bytes aligned to 8, uninitialised, or NULL when the limit or the memory is spent. */
MUST_USE void *arena_alloc(struct arena *a, size_t n);

/* A copy of [s]; .p is NULL when there was no room. */
MUST_USE slice arena_copy(struct arena *a, slice s);

#endif
