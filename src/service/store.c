/* store: keys, single values, time to live. Lists are in store_list.c, channels in store_pubsub.c.
 *
 * What a change needs is allocated first, then it is made, then it is noted for the journal: so a
 * change that fails has left no trace. */
#include "base/check.h"
#include "service/store_parts.h"

#include <errno.h>

/* ---- Memory. ---- */

int store_take(struct store *s, size_t n, size_t credit, void **out)
{
    size_t used = s->owner.bytes - MIN(credit, s->owner.bytes);
    if (s->limit && (n > s->limit || used > s->limit - n)) {
        s->refused++;
        return -ENOSPC;
    }
    *out = mem_alloc(&s->owner, n);
    return *out ? 0 : -ENOMEM;
}

int store_item_init(struct store *s, struct store_item *i, struct store_value v, size_t credit)
{
    *i = (struct store_item){.type = v.type, .n = (uint32_t)v.bytes.n};
    char *to = i->small;
    if (v.bytes.n > sizeof i->small) {
        void *p;
        int error = store_take(s, v.bytes.n, credit, &p);
        if (error)
            return error;
        to = i->p = p;
    }
    if (v.bytes.n)
        memcpy(to, v.bytes.p, v.bytes.n);
    return 0;
}

void store_item_fini(struct store *s, struct store_item *i)
{
    if (i->n > sizeof i->small)
        mem_free(&s->owner, i->p, i->n);
    *i = (struct store_item){.n = 0};
}

static size_t item_cost(const struct store_item *i)
{
    return i->n > sizeof i->small ? i->n : 0;
}

/* ---- Entries. ---- */

int store_check(slice key, slice value)
{
    return key.n > STORE_KEY_MAX || value.n > STORE_VALUE_MAX ? -EMSGSIZE : 0;
}

int store_entry_new(struct store *s, slice key, struct store_entry **out)
{
    void *p;
    int error = store_take(s, sizeof(struct store_entry) + key.n, 0, &p);
    if (error)
        return error;
    struct store_entry *e = p;
    *e = (struct store_entry){.node = {.rank = (uint32_t)prng_next(&s->prng)}};
    if (key.n)
        memcpy(e->key, key.p, key.n);
    e->node.key = e->key;
    e->node.key_bytes = (uint16_t)key.n;
    e->is_kept = s->journal && store_journal_wants(s->journal, key);
    store_tree_add(&s->root, &e->node);
    s->keys++;
    *out = e;
    return 0;
}

static void drop_expiry(struct store *s, struct store_entry *e)
{
    if (!e->expiry)
        return;
    timeout_clear(&e->expiry->timeout);
    mem_free(&s->owner, e->expiry, sizeof *e->expiry);
    e->expiry = NULL;
}

static void drop_value(struct store *s, struct store_entry *e)
{
    if (e->is_list)
        store_list_fini(s, &e->list);
    else
        store_item_fini(s, &e->item);
}

void store_entry_drop(struct store *s, struct store_entry *e)
{
    store_tree_remove(&s->root, &e->node);
    s->keys--;
    s->kept_bytes -= e->noted;
    drop_expiry(s, e);
    drop_value(s, e);
    mem_free(&s->owner, e, sizeof *e + e->node.key_bytes);
}

void store_entry_account(struct store *s, struct store_entry *e)
{
    if (!e->is_kept)
        return;
    size_t each = STORE_RECORD_BYTES + e->node.key_bytes;
    size_t now = e->is_list ? e->list.count * each + e->list.bytes : each + e->item.n;
    s->kept_bytes += now - e->noted;
    e->noted = now;
}

void store_changed(struct store *s, struct store_entry *e, const struct store_change *c)
{
    if (!e->is_kept)
        return;
    store_entry_account(s, e);
    if (s->journal)
        store_journal_note(s->journal, c);
}

/* Noted before it goes: its key is named. */
static void drop_noted(struct store *s, struct store_entry *e)
{
    struct store_change c = {.op = STORE_OP_DEL, .key = store_node_key(&e->node)};
    store_changed(s, e, &c);
    store_entry_drop(s, e);
}

struct store_entry *store_find(struct store *s, slice key)
{
    struct store_entry *e = store_entry_of(store_tree_find(s->root, key));
    if (!e || !e->expiry || e->expiry->timeout.due_ms > loop_now_ms(s->loop))
        return e;
    s->expired++;
    drop_noted(s, e);
    return NULL;
}

/* ---- Time to live. ---- */

static void on_time(struct timeout *t)
{
    struct store_expiry *x = CONTAINER_OF(t, struct store_expiry, timeout);
    x->store->expired++;
    drop_noted(x->store, x->entry);
}

/* An expiry that is not set yet, unless it has one. */
static int take_expiry(struct store *s, struct store_expiry **out)
{
    void *p;
    int error = store_take(s, sizeof **out, 0, &p);
    if (error)
        return error;
    *out = p;
    **out = (struct store_expiry){.store = s};
    timeout_init(&(*out)->timeout, on_time);
    return 0;
}

static void set_expiry(struct store_entry *e, struct store_expiry *x, int64_t at_unix_ms)
{
    struct loop *loop = x->store->loop;
    int64_t ttl = at_unix_ms - loop_unix_ms(loop);
    e->expiry = x;
    x->entry = e;
    x->at_unix_ms = at_unix_ms;
    timeout_set(loop_wheel(loop), &x->timeout, loop_now_ms(loop) + ttl);
}

int store_entry_expires(struct store *s, struct store_entry *e, int64_t at_unix_ms)
{
    if (at_unix_ms == 0) {
        drop_expiry(s, e);
        return 0;
    }
    struct store_expiry *x = e->expiry;
    int error = x ? 0 : take_expiry(s, &x);
    if (!error)
        set_expiry(e, x, at_unix_ms);
    return error;
}

static void note_expiry(struct store *s, struct store_entry *e)
{
    struct store_change c = {
        .op = STORE_OP_EXPIRE, .key = store_node_key(&e->node), .arg = store_expires_at(e)};
    store_changed(s, e, &c);
}

int store_expire(struct store *s, slice key, int64_t ttl_ms)
{
    struct store_entry *e = store_find(s, key);
    if (!e)
        return -ENOENT;
    if (ttl_ms > STORE_TTL_MAX_MS)
        return -ERANGE;
    if (ttl_ms <= 0) {
        drop_noted(s, e);
        return 0;
    }
    int error = store_entry_expires(s, e, loop_unix_ms(s->loop) + ttl_ms);
    if (!error)
        note_expiry(s, e);
    return error;
}

int store_ttl(struct store *s, slice key, int64_t *ms_out)
{
    const struct store_entry *e = store_find(s, key);
    if (!e)
        return -ENOENT;
    *ms_out = e->expiry ? e->expiry->timeout.due_ms - loop_now_ms(s->loop) : -1;
    return 0;
}

int store_persist(struct store *s, slice key)
{
    struct store_entry *e = store_find(s, key);
    if (!e)
        return -ENOENT;
    if (e->expiry) {
        drop_expiry(s, e);
        note_expiry(s, e);
    }
    return 0;
}

/* ---- Values. ---- */

int store_get(struct store *s, slice key, struct store_value *out)
{
    const struct store_entry *e = store_find(s, key);
    if (!e)
        return -ENOENT;
    if (e->is_list)
        return -EPROTOTYPE;
    *out = store_item_value(&e->item);
    return 0;
}

static void note_set(struct store *s, struct store_entry *e)
{
    struct store_change c = {.op = STORE_OP_SET,
                             .type = e->item.type,
                             .key = store_node_key(&e->node),
                             .arg = store_expires_at(e),
                             .bytes = store_item_bytes(&e->item)};
    store_changed(s, e, &c);
}

/* A value and a time to live (0: none) for [e], or for a new entry when that is NULL. */
static int put(struct store *s, struct store_entry *e, slice key, struct store_value v,
               int64_t at_unix_ms)
{
    struct store_item item;
    struct store_expiry *x = e ? e->expiry : NULL;
    bool is_new = !e;
    bool takes_expiry = at_unix_ms && !x;
    int error = store_item_init(s, &item, v, e && !e->is_list ? item_cost(&e->item) : 0);
    if (error)
        return error;
    if (takes_expiry && (error = take_expiry(s, &x)))
        goto err0;
    if (is_new && (error = store_entry_new(s, key, &e)))
        goto err1;
    drop_value(s, e);
    e->is_list = false;
    e->item = item;
    if (at_unix_ms)
        set_expiry(e, x, at_unix_ms);
    else
        drop_expiry(s, e);
    note_set(s, e);
    return 0;
err1:
    if (takes_expiry)
        mem_free(&s->owner, x, sizeof *x);
err0:
    store_item_fini(s, &item);
    return error;
}

int store_set(struct store *s, slice key, struct store_value value, int64_t ttl_ms,
              enum store_when when)
{
    int error = store_check(key, value.bytes);
    if (error)
        return error;
    if (ttl_ms < 0 || ttl_ms > STORE_TTL_MAX_MS)
        return -ERANGE;
    struct store_entry *e = store_find(s, key);
    if (e && when == STORE_IF_ABSENT)
        return -EEXIST;
    if (!e && when == STORE_IF_PRESENT)
        return -ENOENT;
    return put(s, e, key, value, ttl_ms ? loop_unix_ms(s->loop) + ttl_ms : 0);
}

static bool is_as_expected(const struct store_entry *e, const struct store_value *expected)
{
    if (!e || !expected)
        return !e && !expected;
    return e->item.type == expected->type && slice_is(store_item_bytes(&e->item), expected->bytes);
}

int store_swap(struct store *s, slice key, const struct store_value *expected,
               const struct store_value *value)
{
    int error = store_check(key, value ? value->bytes : SLICE(""));
    if (error)
        return error;
    struct store_entry *e = store_find(s, key);
    if (e && e->is_list)
        return -EPROTOTYPE;
    if (!is_as_expected(e, expected))
        return -ESTALE;
    if (value)
        return put(s, e, key, *value, e ? store_expires_at(e) : 0);
    if (e)
        drop_noted(s, e);
    return 0;
}

bool store_del(struct store *s, slice key)
{
    struct store_entry *e = store_find(s, key);
    if (e)
        drop_noted(s, e);
    return e != NULL;
}

bool store_exists(struct store *s, slice key)
{
    return store_find(s, key) != NULL;
}

bool store_is_list(struct store *s, slice key)
{
    const struct store_entry *e = store_find(s, key);
    return e && e->is_list;
}

/* ---- All keys. ---- */

size_t store_count(const struct store *s)
{
    return s->keys;
}

/* Expired or not. */
static struct store_entry *next_entry(const struct store *s, slice prefix, slice after)
{
    bool is_first = !after.p || slice_cmp(after, prefix) < 0;
    struct store_node *n = store_tree_from(s->root, is_first ? prefix : after, is_first);
    return n && slice_has_prefix(store_node_key(n), prefix) ? store_entry_of(n) : NULL;
}

bool store_next(struct store *s, slice prefix, slice after, slice *key_out)
{
    /* What is found in the tree but not by store_find has just gone: [after] may have been its key,
     * which the caller owns then. */
    for (struct store_entry *e; (e = next_entry(s, prefix, after));) {
        if (store_find(s, store_node_key(&e->node))) {
            *key_out = store_node_key(&e->node);
            return true;
        }
    }
    return false;
}

size_t store_clear(struct store *s, slice prefix)
{
    size_t cleared = 0;
    for (struct store_entry *e; (e = next_entry(s, prefix, (slice){NULL, 0}));) {
        drop_noted(s, e);
        cleared++;
    }
    return cleared;
}

/* ---- Replay. ---- */

static int apply_push(struct store *s, struct store_entry *e, const struct store_change *c)
{
    if (e && !e->is_list)
        return -EBADMSG;
    bool is_new = !e;
    int error = is_new ? store_entry_new(s, c->key, &e) : 0;
    if (error)
        return error;
    enum store_side side = c->op == STORE_OP_PUSH_LEFT ? STORE_LEFT : STORE_RIGHT;
    e->is_list = true;
    struct store_value v = {.type = c->type, .bytes = c->bytes};
    error = store_list_push(s, e, side, v);
    if (error && is_new)
        store_entry_drop(s, e);
    return error;
}

static int apply_drop(struct store *s, struct store_entry *e, const struct store_change *c)
{
    if (!e || !e->is_list || c->arg < 0 || c->arg > e->list.count)
        return -EBADMSG;
    enum store_side side = c->op == STORE_OP_DROP_LEFT ? STORE_LEFT : STORE_RIGHT;
    store_list_drop(s, &e->list, side, (size_t)c->arg);
    if (e->list.count == 0)
        store_entry_drop(s, e);
    return 0;
}

int store_apply(struct store *s, const struct store_change *c)
{
    struct store_entry *e = store_entry_of(store_tree_find(s->root, c->key));
    switch (c->op) {
    case STORE_OP_SET:
        return put(s, e, c->key, (struct store_value){.type = c->type, .bytes = c->bytes}, c->arg);
    case STORE_OP_DEL:
        if (e)
            store_entry_drop(s, e);
        return 0;
    case STORE_OP_PUSH_LEFT:
    case STORE_OP_PUSH_RIGHT:
        return apply_push(s, e, c);
    case STORE_OP_DROP_LEFT:
    case STORE_OP_DROP_RIGHT:
        return apply_drop(s, e, c);
    case STORE_OP_EXPIRE:
        return e ? store_entry_expires(s, e, c->arg) : -EBADMSG;
    case STORE_OP_SYNC:
        return 0;
    }
    return -EBADMSG;
}

/* ---- Life. ---- */

static void on_syncs_due(struct loop_deferred *d)
{
    store_syncs_run(CONTAINER_OF(d, struct store, syncs_due));
}

struct store *store_new(struct loop *loop, size_t limit_bytes)
{
    struct store *s = mem_raw_alloc(sizeof *s); /* counted below: the account is within */
    if (!s)
        return NULL;
    *s = (struct store){.loop = loop, .limit = limit_bytes};
    list_init(&s->syncs);
    loop_deferred_init(&s->syncs_due, on_syncs_due);
    mem_owner_init(&s->owner, loop_book(loop), "shared");
    rand_fill(&s->prng, sizeof s->prng);
    if (!mem_charge(&s->owner, sizeof *s))
        goto err1;
    if (!store_subs_init(s))
        goto err2;
    return s;
err2:
    mem_discharge(&s->owner, sizeof *s);
err1:
    mem_owner_fini(&s->owner);
    mem_raw_free(s);
    return NULL;
}

void store_set_limit(struct store *s, size_t limit_bytes)
{
    s->limit = limit_bytes;
}

void store_free_all(struct store *s)
{
    void (*on_closed)(void *owner) = s->on_closed;
    void *owner = s->on_closed_owner;
    loop_defer_cancel(&s->syncs_due);
    store_syncs_cancel(s);
    while (s->root)
        store_entry_drop(s, store_entry_of(s->root));
    store_item_fini(s, &s->popped);
    store_subs_fini(s);
    mem_discharge(&s->owner, sizeof *s);
    mem_owner_fini(&s->owner);
    mem_raw_free(s);
    if (on_closed)
        on_closed(owner);
}

static void on_grave(struct loop_deferred *d)
{
    store_free_all(CONTAINER_OF(d, struct store, grave));
}

void store_close(struct store **at, void (*on_closed)(void *owner), void *owner)
{
    struct store *s = *at;
    *at = NULL;
    if (!s)
        return;
    s->on_closed = on_closed;
    s->on_closed_owner = owner;
    if (s->journal) {
        store_journal_close(s->journal, store_free_all);
        return;
    }
    loop_deferred_init(&s->grave, on_grave);
    loop_bury(s->loop, &s->grave);
}

void store_stats(const struct store *s, struct store_stats *out)
{
    *out = (struct store_stats){.keys = s->keys,
                                .bytes = s->owner.bytes,
                                .limit_bytes = s->limit,
                                .subscribers = s->subs.subscribers,
                                .channels = s->subs.channels,
                                .expired = s->expired,
                                .published = s->published,
                                .delivered = s->delivered,
                                .refused = s->refused};
}
