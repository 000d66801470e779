/* store_tree: the keys of a store in order: a treap, that is a search tree whose shape is as if the
 * keys had come in random order, whatever order they come in. The nodes live in the entries.
 *
 * Why no hash table: keys are also asked for in order (by prefix, after a cursor), and a second
 * index would cost memory and a pause whenever it grows. */
#ifndef SERVICE_STORE_TREE_H
#define SERVICE_STORE_TREE_H

#include "base/slice.h"

struct store_node {
    struct store_node *left, *right;
    uint32_t rank; /* random; no child's is higher than its parent's */
    uint16_t key_bytes;
    const char *key;
};

static inline slice store_node_key(const struct store_node *n)
{
    return slice_of(n->key, n->key_bytes);
}

struct store_node *store_tree_find(struct store_node *root, slice key);

/* The first key that is not before [key] ([or_equal]) or that comes after it; NULL = none. */
struct store_node *store_tree_from(struct store_node *root, slice key, bool or_equal);

/* [n] has its key and its rank; no such key is there. */
void store_tree_add(struct store_node **root, struct store_node *n);

/* [n] is there. */
void store_tree_remove(struct store_node **root, struct store_node *n);

#endif
