/* store_journal_copy: the data as records, in slices, while it changes.
 *
 * A cursor goes through the keys in order. What is before it is in the new file, so changes there
 * are told to the new file too; what is after it will be copied as it is then. A long list is
 * copied in pieces: of its changes the new file hears those of the part that it has. */
#include "service/store_journal_parts.h"

#define SLICE_ENTRIES 2000

/* ---- Changes behind the cursor. ---- */

static bool forward_drop_right(struct store_journal *j, struct store_change *c)
{
    if (j->index <= c->remains)
        return false;
    c->arg = (int64_t)(j->index - c->remains);
    j->index = c->remains;
    return true;
}

/* Of the list that is being copied. */
static bool forward_partial(struct store_journal *j, struct store_change *c)
{
    switch (c->op) {
    case STORE_OP_SET:
    case STORE_OP_DEL:
        j->is_partial = false;
        return true;
    case STORE_OP_PUSH_LEFT:
        j->index++;
        return true;
    case STORE_OP_DROP_LEFT:
        c->arg = MIN(c->arg, (int64_t)j->index);
        j->index -= (uint32_t)c->arg;
        j->is_partial = c->remains > 0;
        return c->arg > 0;
    case STORE_OP_DROP_RIGHT:
        j->is_partial = c->remains > 0;
        return forward_drop_right(j, c);
    case STORE_OP_PUSH_RIGHT: /* comes with the rest */
    case STORE_OP_EXPIRE:     /* comes after the rest */
    case STORE_OP_SYNC:
        return false;
    }
    return false;
}

bool journal_forwards(struct store_journal *j, struct store_change *c)
{
    if (j->phase == REWRITE_FINISHING)
        return true;
    if (j->phase != REWRITE_COPYING || !j->has_cursor)
        return false;
    int order = slice_cmp(c->key, slice_of(j->cursor, j->cursor_bytes));
    if (order != 0 || !j->is_partial)
        return order <= 0;
    return forward_partial(j, c);
}

/* ---- Copying. ---- */

static bool put_item(struct store_journal *j, const struct store_entry *e, enum store_op op,
                     const struct store_item *item)
{
    struct store_change c = {.op = op,
                             .type = item->type,
                             .key = store_node_key(&e->node),
                             .arg = op == STORE_OP_SET ? store_expires_at(e) : 0,
                             .bytes = store_item_bytes(item)};
    return journal_put(j, &j->next, &c);
}

/* More of the list at the cursor. */
static bool copy_list(struct store_journal *j, const struct store_entry *e)
{
    while (j->index < e->list.count) {
        if (j->next.pending.n >= j->slice_bytes)
            return true;
        if (!put_item(j, e, STORE_OP_PUSH_RIGHT, store_list_at(&e->list, j->index)))
            return false;
        j->index++;
    }
    j->is_partial = false;
    struct store_change c = {
        .op = STORE_OP_EXPIRE, .key = store_node_key(&e->node), .arg = store_expires_at(e)};
    return !e->expiry || journal_put(j, &j->next, &c);
}

static void set_cursor(struct store_journal *j, const struct store_entry *e)
{
    slice key = store_node_key(&e->node);
    if (key.n)
        memcpy(j->cursor, key.p, key.n);
    j->cursor_bytes = (uint16_t)key.n;
    j->has_cursor = true;
    j->is_partial = e->is_kept && e->is_list;
    j->index = 0;
}

enum copy_result journal_copy(struct store_journal *j)
{
    for (int i = 0; i < SLICE_ENTRIES && j->next.pending.n < j->slice_bytes; i++) {
        slice at = slice_of(j->cursor, j->cursor_bytes);
        struct store_node *root = j->store->root;
        bool is_here = !j->has_cursor || j->is_partial;
        struct store_entry *e =
            store_entry_of(store_tree_from(root, j->has_cursor ? at : SLICE(""), is_here));
        if (!e)
            return COPY_ALL;
        if (!j->is_partial)
            set_cursor(j, e);
        if (!e->is_kept)
            continue;
        bool is_done = e->is_list ? copy_list(j, e) : put_item(j, e, STORE_OP_SET, &e->item);
        if (!is_done)
            return COPY_FAILED;
    }
    return COPY_MORE;
}
