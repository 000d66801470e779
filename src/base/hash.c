/* hash: SipHash-1-3 (Aumasson, Bernstein) and a chained table that doubles when it is full. */
#include "base/hash.h"

#include "base/check.h"

#define ROTL(x, b) ((x) << (b) | (x) >> (64 - (b)))

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = ROTL(s->v1, 13) ^ s->v0;
    s->v0 = ROTL(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = ROTL(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = ROTL(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = ROTL(s->v1, 17) ^ s->v2;
    s->v2 = ROTL(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t m)
{
    s->v3 ^= m;
    sip_round(s);
    s->v0 ^= m;
}

uint64_t hash_bytes(const struct hash_key *key, slice in)
{
    struct sip s = {key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du,
                    key->k0 ^ 0x6c7967656e657261u, key->k1 ^ 0x7465646279746573u};
    uint64_t last = (uint64_t)in.n << 56;
    for (; in.n >= 8; in = slice_skip(in, 8)) {
        uint64_t m;
        memcpy(&m, in.p, 8);
        sip_word(&s, m);
    }
    for (size_t i = 0; i < in.n; i++)
        last |= (uint64_t)(unsigned char)in.p[i] << (8 * i);
    sip_word(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

bool hash_table_init(struct hash_table *t, struct mem_owner *owner, size_t buckets)
{
    BUG_ON(buckets == 0 || (buckets & (buckets - 1)));
    *t = (struct hash_table){.owner = owner, .mask = buckets - 1};
    t->buckets = mem_alloc0(owner, buckets * sizeof *t->buckets);
    return t->buckets != NULL;
}

void hash_table_fini(struct hash_table *t)
{
    mem_free(t->owner, t->buckets, (t->mask + 1) * sizeof *t->buckets);
    t->buckets = NULL;
}

struct hash_node *hash_table_first(const struct hash_table *t, uint64_t hash)
{
    struct hash_node *n = t->buckets[hash & t->mask];
    while (n && n->hash != hash)
        n = n->next;
    return n;
}

struct hash_node *hash_table_next(const struct hash_node *n)
{
    uint64_t hash = n->hash;
    do
        n = n->next;
    while (n && n->hash != hash);
    return (struct hash_node *)n;
}

static void link_node(struct hash_node **buckets, size_t mask, struct hash_node *n)
{
    n->next = buckets[n->hash & mask];
    buckets[n->hash & mask] = n;
}

static COLD void grow(struct hash_table *t)
{
    size_t old = t->mask + 1;
    struct hash_node **buckets = mem_alloc0(t->owner, 2 * old * sizeof *buckets);
    if (!buckets)
        return;
    for (size_t i = 0; i < old; i++)
        for (struct hash_node *n = t->buckets[i], *next; n; n = next) {
            next = n->next;
            link_node(buckets, 2 * old - 1, n);
        }
    mem_free(t->owner, t->buckets, old * sizeof *t->buckets);
    t->buckets = buckets;
    t->mask = 2 * old - 1;
}

void hash_table_add(struct hash_table *t, struct hash_node *n, uint64_t hash)
{
    n->hash = hash;
    if (t->count > t->mask)
        grow(t);
    link_node(t->buckets, t->mask, n);
    t->count++;
}

void hash_table_remove(struct hash_table *t, struct hash_node *n)
{
    struct hash_node **at = &t->buckets[n->hash & t->mask];
    while (*at && *at != n)
        at = &(*at)->next;
    BUG_ON(!*at);
    *at = n->next;
    n->next = NULL;
    t->count--;
}
