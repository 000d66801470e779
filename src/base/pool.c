/* pool: slabs aligned to their size, so that an object finds its slab by masking its address. */
#include "base/pool.h"

#include "base/check.h"

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_ASAN 1
#endif
#endif
#ifdef POOL_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define SPARES_MAX 4 /* a burst that comes every turn must not map and unmap memory every turn */

struct free_object {
    struct free_object *next;
};

struct pool_slab {
    struct list_node link;
    struct free_object *free;
    unsigned used;  /* objects handed out */
    unsigned fresh; /* objects never handed out yet start here: untouched pages stay untouched */
};

static struct pool_slab *slab_of(void *object)
{
    return (struct pool_slab *)((uintptr_t)object & ~(uintptr_t)(POOL_SLAB_BYTES - 1));
}

static char *objects_of(struct pool_slab *slab)
{
    return (char *)slab + 64;
}

void pool_init(struct pool *pool, struct mem_owner *owner, size_t object_bytes)
{
    object_bytes = (MAX(object_bytes, sizeof(struct free_object)) + 15) & ~(size_t)15;
    BUG_ON(object_bytes > POOL_MAX_OBJECT);
    *pool = (struct pool){.object_bytes = object_bytes,
                          .owner = owner,
                          .per_slab = (unsigned)(POOL_MAX_OBJECT / object_bytes)};
    list_init(&pool->partial);
    list_init(&pool->full);
    list_init(&pool->spare);
}

/* 64 KiB at a multiple of 64 KiB: twice as much is mapped and the ends are given back. */
static void *map_aligned(void)
{
    char *p =
        mmap(NULL, 2 * POOL_SLAB_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t before = -(uintptr_t)p & (POOL_SLAB_BYTES - 1);
    if (before)
        munmap(p, before);
    if (POOL_SLAB_BYTES - before)
        munmap(p + before + POOL_SLAB_BYTES, POOL_SLAB_BYTES - before);
    return p + before;
}

static void slab_free(struct pool *pool, struct pool_slab *slab)
{
    UNPOISON(slab, POOL_SLAB_BYTES);
    munmap(slab, POOL_SLAB_BYTES);
    mem_discharge(pool->owner, POOL_SLAB_BYTES);
}

static COLD struct pool_slab *slab_new(struct pool *pool)
{
    struct list_node *kept = list_pop_front(&pool->spare);
    struct pool_slab *slab;
    if (kept) {
        slab = CONTAINER_OF(kept, struct pool_slab, link);
        pool->spares--;
    } else {
        if (!mem_charge(pool->owner, POOL_SLAB_BYTES))
            return NULL;
        slab = map_aligned();
        if (!slab) {
            mem_discharge(pool->owner, POOL_SLAB_BYTES);
            return NULL;
        }
        *slab = (struct pool_slab){0};
        POISON(objects_of(slab), POOL_MAX_OBJECT);
    }
    list_push_front(&pool->partial, &slab->link);
    return slab;
}

static void *take(struct pool *pool, struct pool_slab *slab)
{
    struct free_object *object = slab->free;
    if (object) {
        UNPOISON(object, pool->object_bytes);
        slab->free = object->next;
    } else {
        object = (void *)(objects_of(slab) + (size_t)slab->fresh++ * pool->object_bytes);
        UNPOISON(object, pool->object_bytes);
    }
    return object;
}

void *pool_get(struct pool *pool)
{
    struct pool_slab *slab;
    if (LIKELY(!list_is_empty(&pool->partial)))
        slab = CONTAINER_OF(pool->partial.next, struct pool_slab, link);
    else if (!(slab = slab_new(pool)))
        return NULL;
    void *object = take(pool, slab);
    pool->used++;
    if (++slab->used == pool->per_slab) {
        list_remove(&slab->link);
        list_push_back(&pool->full, &slab->link);
    }
    return object;
}

static COLD void slab_is_empty(struct pool *pool, struct pool_slab *slab)
{
    list_remove(&slab->link);
    if (pool->spares == SPARES_MAX) {
        slab_free(pool, slab);
        return;
    }
    list_push_front(&pool->spare, &slab->link);
    pool->spares++;
}

void pool_put(struct pool *pool, void *p)
{
    if (!p)
        return;
    struct pool_slab *slab = slab_of(p);
    struct free_object *object = p;
    object->next = slab->free;
    slab->free = object;
    POISON(object, pool->object_bytes);
    BUG_ON(pool->used == 0 || slab->used == 0);
    pool->used--;
    if (slab->used-- == pool->per_slab) {
        list_remove(&slab->link);
        list_push_front(&pool->partial, &slab->link);
    }
    if (UNLIKELY(slab->used == 0) && slab->link.next != slab->link.prev)
        slab_is_empty(pool, slab);
}

void pool_trim(struct pool *pool)
{
    for (struct list_node *n; (n = list_pop_front(&pool->spare));)
        slab_free(pool, CONTAINER_OF(n, struct pool_slab, link));
    pool->spares = 0;
    LIST_EACH_SAFE (node, &pool->partial) {
        struct pool_slab *slab = CONTAINER_OF(node, struct pool_slab, link);
        if (slab->used)
            continue;
        list_remove(&slab->link);
        slab_free(pool, slab);
    }
}

void pool_fini(struct pool *pool)
{
    BUG_ON(pool->used != 0);
    pool_trim(pool);
}
