/* store_list: lists of values: rings that double when they are full and halve when they are three
 * quarters empty. */
#include "base/check.h"
#include "service/store_parts.h"

#include <errno.h>

#define LEAST_ITEMS 4u
#define MOST_ITEMS  (1u << 28)

/* ---- The ring. ---- */

static void move_items(struct store *s, struct store_list *l, struct store_item *items,
                       uint32_t cap)
{
    for (uint32_t i = 0; i < l->count; i++)
        items[i] = *store_list_at(l, i);
    mem_free(&s->owner, l->items, l->cap * sizeof *items);
    l->items = items;
    l->cap = cap;
    l->head = 0;
}

static int grow(struct store *s, struct store_list *l)
{
    uint32_t cap = l->cap ? 2 * l->cap : LEAST_ITEMS;
    void *items;
    if (l->cap >= MOST_ITEMS)
        return -ENOSPC;
    int error = store_take(s, cap * sizeof *l->items, l->cap * sizeof *l->items, &items);
    if (!error)
        move_items(s, l, items, cap);
    return error;
}

/* Without memory it stays large. */
static void shrink(struct store *s, struct store_list *l)
{
    if (l->cap <= LEAST_ITEMS || l->count > l->cap / 4)
        return;
    uint32_t cap = l->cap;
    while (cap > LEAST_ITEMS && l->count <= cap / 4)
        cap /= 2;
    struct store_item *items = mem_alloc(&s->owner, cap * sizeof *items);
    if (items)
        move_items(s, l, items, cap);
}

int store_list_push(struct store *s, struct store_entry *e, enum store_side side,
                    struct store_value v)
{
    struct store_list *l = &e->list;
    struct store_item item;
    int error = store_item_init(s, &item, v, 0);
    if (error)
        return error;
    if (l->count == l->cap && (error = grow(s, l))) {
        store_item_fini(s, &item);
        return error;
    }
    if (side == STORE_LEFT)
        l->head = (l->head - 1) & (l->cap - 1);
    l->count++;
    l->bytes += item.n;
    *store_list_at(l, side == STORE_LEFT ? 0 : l->count - 1) = item;
    return 0;
}

/* The item is the caller's. */
static struct store_item take_out(struct store_list *l, enum store_side side)
{
    struct store_item *at = store_list_at(l, side == STORE_LEFT ? 0 : l->count - 1);
    if (side == STORE_LEFT)
        l->head = (l->head + 1) & (l->cap - 1);
    l->count--;
    l->bytes -= at->n;
    return *at;
}

void store_list_drop(struct store *s, struct store_list *l, enum store_side side, size_t n)
{
    while (n--) {
        struct store_item item = take_out(l, side);
        store_item_fini(s, &item);
    }
    shrink(s, l);
}

void store_list_fini(struct store *s, struct store_list *l)
{
    for (uint32_t i = 0; i < l->count; i++)
        store_item_fini(s, store_list_at(l, i));
    mem_free(&s->owner, l->items, l->cap * sizeof *l->items);
    *l = (struct store_list){.cap = 0};
}

/* ---- By key. ---- */

/* *out is NULL when there is no such key. */
static int find_list(struct store *s, slice key, struct store_entry **out)
{
    *out = store_find(s, key);
    return *out && !(*out)->is_list ? -EPROTOTYPE : 0;
}

int store_push(struct store *s, enum store_side side, slice key, struct store_value value,
               size_t *length_out)
{
    struct store_entry *e;
    int error = store_check(key, value.bytes);
    if (!error)
        error = find_list(s, key, &e);
    if (error)
        return error;
    bool is_new = !e;
    if (is_new && (error = store_entry_new(s, key, &e)))
        return error;
    e->is_list = true;
    error = store_list_push(s, e, side, value);
    if (error) {
        if (is_new)
            store_entry_drop(s, e);
        return error;
    }
    const struct store_item *item =
        store_list_at(&e->list, side == STORE_LEFT ? 0 : e->list.count - 1);
    struct store_change c = {.op = side == STORE_LEFT ? STORE_OP_PUSH_LEFT : STORE_OP_PUSH_RIGHT,
                             .type = item->type,
                             .key = store_node_key(&e->node),
                             .bytes = store_item_bytes(item)};
    *length_out = e->list.count;
    store_changed(s, e, &c);
    return 0;
}

/* After [n] items went. An empty list goes too: the same follows from the record. */
static void note_drop(struct store *s, struct store_entry *e, enum store_side side, size_t n)
{
    struct store_change c = {.op = side == STORE_LEFT ? STORE_OP_DROP_LEFT : STORE_OP_DROP_RIGHT,
                             .key = store_node_key(&e->node),
                             .arg = (int64_t)n,
                             .remains = e->list.count};
    store_changed(s, e, &c);
    if (e->list.count == 0)
        store_entry_drop(s, e);
}

int store_pop(struct store *s, enum store_side side, slice key, struct store_value *out)
{
    struct store_entry *e;
    int error = find_list(s, key, &e);
    if (error || !e)
        return error ? error : -ENOENT;
    store_item_fini(s, &s->popped);
    s->popped = take_out(&e->list, side);
    shrink(s, &e->list);
    note_drop(s, e, side, 1);
    *out = store_item_value(&s->popped);
    return 0;
}

ssize_t store_length(struct store *s, slice key)
{
    struct store_entry *e;
    int error = find_list(s, key, &e);
    if (error || !e)
        return error;
    return e->list.count;
}

int store_index(struct store *s, slice key, int64_t at, struct store_value *out)
{
    struct store_entry *e;
    int error = find_list(s, key, &e);
    if (error || !e)
        return error ? error : -ENOENT;
    if (at < 0)
        at += e->list.count;
    if (at < 0 || at >= e->list.count)
        return -ENOENT;
    *out = store_item_value(store_list_at(&e->list, (size_t)at));
    return 0;
}

/* [first, last] as people write it becomes [*first, *end): empty when *first >= *end. */
static void clamp(const struct store_list *l, int64_t *first, int64_t last, int64_t *end)
{
    if (*first < 0)
        *first = MAX(*first + (int64_t)l->count, 0);
    if (last < 0)
        last += (int64_t)l->count;
    *end = MIN(last, (int64_t)l->count - 1) + 1;
}

ssize_t store_range(struct store *s, slice key, int64_t first, int64_t last,
                    struct store_value *out, size_t room)
{
    struct store_entry *e;
    int64_t end;
    int error = find_list(s, key, &e);
    if (error || !e)
        return error;
    size_t n = 0;
    clamp(&e->list, &first, last, &end);
    for (; first < end && n < room; first++)
        out[n++] = store_item_value(store_list_at(&e->list, (size_t)first));
    return (ssize_t)n;
}

static void trim_side(struct store *s, struct store_entry *e, enum store_side side, size_t n)
{
    if (n == 0)
        return;
    store_list_drop(s, &e->list, side, n);
    note_drop(s, e, side, n);
}

int store_trim(struct store *s, slice key, int64_t first, int64_t last)
{
    struct store_entry *e;
    int64_t end;
    int error = find_list(s, key, &e);
    if (error || !e)
        return error ? error : -ENOENT;
    clamp(&e->list, &first, last, &end);
    if (first >= end) {
        store_del(s, key);
        return 0;
    }
    size_t after = e->list.count - (size_t)end;
    trim_side(s, e, STORE_LEFT, (size_t)first);
    trim_side(s, e, STORE_RIGHT, after);
    return 0;
}
