/* arena: bump allocation in chunks. */
#include "base/arena.h"

#define CHUNK_BYTES (2 * KIB)

struct arena_chunk {
    struct arena_chunk *next;
    size_t bytes;
};

void arena_init(struct arena *a, struct mem_owner *owner, void *room, size_t room_bytes,
                size_t limit)
{
    *a =
        (struct arena){.p = room, .end = (char *)room + room_bytes, .owner = owner, .limit = limit};
}

void arena_fini(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *chunk = a->chunks;
        a->chunks = chunk->next;
        mem_free(a->owner, chunk, chunk->bytes);
    }
    a->p = a->end = NULL;
}

static bool grow(struct arena *a, size_t n)
{
    size_t bytes = MAX(n + sizeof(struct arena_chunk), CHUNK_BYTES);
    if (bytes < n || bytes > a->limit)
        return false;
    struct arena_chunk *chunk = mem_alloc(a->owner, bytes);
    if (!chunk)
        return false;
    *chunk = (struct arena_chunk){.next = a->chunks, .bytes = bytes};
    a->chunks = chunk;
    a->limit -= bytes;
    a->p = (char *)(chunk + 1);
    a->end = (char *)chunk + bytes;
    return true;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t pad = -(uintptr_t)a->p & 7;
    if (n > SIZE_MAX / 2)
        return NULL;
    if ((size_t)(a->end - a->p) < n + pad) {
        if (!grow(a, n))
            return NULL;
        pad = 0;
    }
    void *p = a->p + pad;
    a->p += pad + n;
    return p;
}

slice arena_copy(struct arena *a, slice s)
{
    char *p = arena_alloc(a, s.n ? s.n : 1);
    if (!p)
        return (slice){NULL, 0};
    if (s.n)
        memcpy(p, s.p, s.n);
    return slice_of(p, s.n);
}
