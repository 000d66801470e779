/* list: doubly linked, intrusive, circular. The node lives in the object, so adding cannot fail.
 *
 * A node is either in one list or points to itself / is zeroed by list_node_init. Removing is O(1)
 * and leaves the node initialised, so removing twice is harmless. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/defs.h"

struct list_node {
    struct list_node *next, *prev;
};

static inline void list_init(struct list_node *n)
{
    n->next = n->prev = n;
}

static inline bool list_is_empty(const struct list_node *head)
{
    return head->next == head;
}

/* Is [n] a member of some list? (It was initialised before.) */
static inline bool list_is_linked(const struct list_node *n)
{
    return n->next != n;
}

static inline void list_insert_before(struct list_node *at, struct list_node *n)
{
    n->prev = at->prev;
    n->next = at;
    at->prev->next = n;
    at->prev = n;
}

static inline void list_push_back(struct list_node *head, struct list_node *n)
{
    list_insert_before(head, n);
}

static inline void list_push_front(struct list_node *head, struct list_node *n)
{
    list_insert_before(head->next, n);
}

static inline void list_remove(struct list_node *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

/* The first node, taken out, or NULL. */
static inline struct list_node *list_pop_front(struct list_node *head)
{
    if (list_is_empty(head))
        return NULL;
    struct list_node *n = head->next;
    list_remove(n);
    return n;
}

/* Moves all nodes of [from] to the empty list [to]. */
static inline void list_move_all(struct list_node *to, struct list_node *from)
{
    if (list_is_empty(from)) {
        list_init(to);
        return;
    }
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    list_init(from);
}

#define LIST_EACH(node, head) \
    for (struct list_node *node = (head)->next; node != (head); node = node->next)

/* As LIST_EACH; the current node may be removed in the body. */
#define LIST_EACH_SAFE(node, head)                                                         \
    for (struct list_node *node = (head)->next, *node##_next = node->next; node != (head); \
         node = node##_next, node##_next = node->next)

#endif
