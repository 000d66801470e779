/* hash: keyed hashing (SipHash-1-3: a client cannot choose names that collide) and an intrusive
 * table. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/mem.h"
#include "base/slice.h"

struct hash_key {
    uint64_t k0, k1;
};

uint64_t hash_bytes(const struct hash_key *key, slice s);

/* Lives in the object; the table never allocates per entry. */
struct hash_node {
    struct hash_node *next;
    uint64_t hash;
};

struct hash_table {
    /* read-only */
    size_t count;
    /* private */
    struct mem_owner *owner;
    struct hash_node **buckets;
    size_t mask; /* buckets - 1 */
};

/* [buckets] is a power of two. False when there is no memory. */
MUST_USE bool hash_table_init(struct hash_table *t, struct mem_owner *owner, size_t buckets);

/* The objects are the caller's; only the table itself is freed. */
void hash_table_fini(struct hash_table *t);

/* The first node of this hash, or NULL; then the next one. The caller compares the names. */
struct hash_node *hash_table_first(const struct hash_table *t, uint64_t hash);
struct hash_node *hash_table_next(const struct hash_node *n);

/* Cannot fail: when the table cannot grow it becomes slower. */
void hash_table_add(struct hash_table *t, struct hash_node *n, uint64_t hash);
void hash_table_remove(struct hash_table *t, struct hash_node *n);

#endif
