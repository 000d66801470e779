/* store_parts: what the files of the store share. For service/store*.c only. */
#ifndef SERVICE_STORE_PARTS_H
#define SERVICE_STORE_PARTS_H

#include "base/rand.h"
#include "service/store.h"
#include "service/store_tree.h"

struct store_journal;

/* A value in memory: short ones, hence all numbers, need no allocation. */
struct store_item {
    union {
        char small[8];
        char *p;
    };
    uint32_t n;
    uint8_t type;
};

/* A ring; never empty while its entry lives. */
struct store_list {
    struct store_item *items;
    uint32_t cap; /* a power of two */
    uint32_t head, count;
    size_t bytes; /* of all items */
};

struct store_expiry {
    struct timeout timeout;
    struct store *store;
    struct store_entry *entry;
    int64_t at_unix_ms;
};

struct store_entry {
    struct store_node node;
    struct store_expiry *expiry; /* NULL: lives for ever */
    union {
        struct store_item item;
        struct store_list list;
    };
    size_t noted; /* its share of store->kept_bytes */
    bool is_list;
    bool is_kept; /* in the journal */
    char key[];
};

struct store_channel {
    struct hash_node node;
    struct list_node subs;
    unsigned deliveries; /* at work in it: it stays */
    uint16_t name_bytes;
    bool is_prefix;
    char name[];
};

/* A delivery at work: where it goes on. Unsubscribing moves it along. */
struct store_delivery {
    struct store_delivery *outer;
    struct list_node *next;
};

struct store_subs {
    struct hash_table table;
    struct hash_key key;
    struct store_delivery *deliveries;
    unsigned depth;
    uint64_t clock;                       /* of subscribing */
    uint32_t prefixes[STORE_CHANNEL_MAX]; /* how many channels have a prefix of this length */
    size_t subscribers, channels;
};

struct store {
    struct loop *loop;
    struct mem_owner owner;
    size_t limit;
    struct store_node *root;
    struct prng prng;
    size_t keys;
    struct store_item popped; /* what store_pop has handed out */
    struct store_subs subs;
    struct store_journal *journal;
    struct list_node syncs; /* struct store_sync */
    struct loop_deferred syncs_due;
    size_t kept_bytes; /* of a journal that held just what there is now */
    uint64_t expired, published, delivered, refused;
    struct loop_deferred grave;
    void (*on_closed)(void *owner);
    void *on_closed_owner;
};

/* ---- Changes, as the journal writes and reads them. ---- */

enum store_op {
    STORE_OP_SET = 1, /* arg: expires at (Unix time, ms), 0 = never */
    STORE_OP_DEL,
    STORE_OP_PUSH_LEFT,
    STORE_OP_PUSH_RIGHT,
    STORE_OP_DROP_LEFT, /* arg: so many */
    STORE_OP_DROP_RIGHT,
    STORE_OP_EXPIRE, /* arg as for SET */
    STORE_OP_SYNC    /* the journal's own */
};

struct store_change {
    enum store_op op;
    uint8_t type;
    slice key;
    int64_t arg;
    slice bytes;
    uint32_t remains; /* DROP_RIGHT: how many the list still has; not written */
};

/* Bytes of a record besides key and value. */
#define STORE_RECORD_BYTES ((size_t)20)

/* Makes the change as it was made when it was noted; notes nothing, minds no limit. -ENOMEM;
 * -EBADMSG: it does not fit to what is there. */
MUST_USE int store_apply(struct store *s, const struct store_change *c);

/* ---- Entries. store.c ---- */

static inline slice store_item_bytes(const struct store_item *i)
{
    return slice_of(i->n <= sizeof i->small ? i->small : i->p, i->n);
}

static inline struct store_value store_item_value(const struct store_item *i)
{
    return (struct store_value){.type = i->type, .bytes = store_item_bytes(i)};
}

static inline struct store_entry *store_entry_of(struct store_node *n)
{
    return n ? CONTAINER_OF(n, struct store_entry, node) : NULL;
}

static inline int64_t store_expires_at(const struct store_entry *e)
{
    return e->expiry ? e->expiry->at_unix_ms : 0;
}

/* Memory within the limit; [credit] bytes will be given back by the caller. 0, -ENOSPC, -ENOMEM. */
MUST_USE int store_take(struct store *s, size_t n, size_t credit, void **out);

MUST_USE int store_item_init(struct store *s, struct store_item *i, struct store_value v,
                             size_t credit);
void store_item_fini(struct store *s, struct store_item *i);

/* The entry, unless it has expired. */
struct store_entry *store_find(struct store *s, slice key);
/* A new one, in the tree, without a value: the caller gives it one or drops it. */
MUST_USE int store_entry_new(struct store *s, slice key, struct store_entry **out);
void store_entry_drop(struct store *s, struct store_entry *e);
/* Its size is counted anew for the journal. */
void store_entry_account(struct store *s, struct store_entry *e);
MUST_USE int store_check(slice key, slice value);
/* Counts it, and hands it to the journal when that wants the key. After the change. */
void store_changed(struct store *s, struct store_entry *e, const struct store_change *c);
/* [at_unix_ms] as in struct store_change. */
MUST_USE int store_entry_expires(struct store *s, struct store_entry *e, int64_t at_unix_ms);

/* ---- Lists. store_list.c ---- */

MUST_USE int store_list_push(struct store *s, struct store_entry *e, enum store_side side,
                             struct store_value v);
/* [n] <= count. */
void store_list_drop(struct store *s, struct store_list *l, enum store_side side, size_t n);
void store_list_fini(struct store *s, struct store_list *l);
static inline struct store_item *store_list_at(const struct store_list *l, size_t i)
{
    return &l->items[(l->head + i) & (l->cap - 1)];
}

/* ---- Subscribers. store_pubsub.c ---- */

MUST_USE bool store_subs_init(struct store *s);
void store_subs_fini(struct store *s);

/* ---- Journal. store_journal.c ---- */

void store_journal_note(struct store_journal *j, const struct store_change *c);
MUST_USE bool store_journal_wants(const struct store_journal *j, slice key);
/* Writes what is left, frees itself, then calls [then] in a later turn. */
void store_journal_close(struct store_journal *j, void (*then)(struct store *s));

/* Answers those whose changes are on disk, and sees that the others' get there. */
void store_syncs_run(struct store *s);
/* The store ends. */
void store_syncs_cancel(struct store *s);

/* ---- End. store.c ---- */

void store_free_all(struct store *s);

#endif
