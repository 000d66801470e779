/* store_tree: all without recursion, by following the place where a link stands. */
#include "service/store_tree.h"

#include "base/check.h"

struct store_node *store_tree_find(struct store_node *root, slice key)
{
    while (root) {
        int order = slice_cmp(key, store_node_key(root));
        if (order == 0)
            return root;
        root = order < 0 ? root->left : root->right;
    }
    return NULL;
}

struct store_node *store_tree_from(struct store_node *root, slice key, bool or_equal)
{
    struct store_node *found = NULL;
    while (root) {
        int order = slice_cmp(key, store_node_key(root));
        if (order < 0 || (order == 0 && or_equal)) {
            found = root;
            root = root->left;
        } else {
            root = root->right;
        }
    }
    return found;
}

/* All of [root] that is before [key] goes to *left, the rest to *right. */
static void split(struct store_node *root, slice key, struct store_node **left,
                  struct store_node **right)
{
    while (root) {
        if (slice_cmp(store_node_key(root), key) < 0) {
            *left = root;
            left = &root->right;
            root = root->right;
        } else {
            *right = root;
            right = &root->left;
            root = root->left;
        }
    }
    *left = *right = NULL;
}

void store_tree_add(struct store_node **root, struct store_node *n)
{
    slice key = store_node_key(n);
    while (*root && (*root)->rank >= n->rank)
        root = slice_cmp(key, store_node_key(*root)) < 0 ? &(*root)->left : &(*root)->right;
    split(*root, key, &n->left, &n->right);
    *root = n;
}

void store_tree_remove(struct store_node **root, struct store_node *n)
{
    slice key = store_node_key(n);
    while (*root != n) {
        BUG_ON(!*root);
        root = slice_cmp(key, store_node_key(*root)) < 0 ? &(*root)->left : &(*root)->right;
    }
    struct store_node *left = n->left, *right = n->right;
    while (left && right) {
        if (left->rank >= right->rank) {
            *root = left;
            root = &left->right;
            left = left->right;
        } else {
            *root = right;
            root = &right->left;
            right = right->left;
        }
    }
    *root = left ? left : right;
    n->left = n->right = NULL;
}
