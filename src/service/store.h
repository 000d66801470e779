/* store: data of the process that outlives the code which uses it: keys with values or lists of
 * values, that may expire, and channels on which messages are published. Optionally kept on disk:
 * service/store_journal.h.
 *
 * Needs the loop (time, timeouts). One owner, who made it; all of it is for the loop's thread.
 * Memory is charged to an owner "shared" and limited: when the limit is reached, what would add is
 * refused with -ENOSPC; nothing is ever dropped to make room.
 *
 * Errors, the same everywhere: -ENOENT no such key; -EEXIST it is there; -EPROTOTYPE it holds
 * another kind of value (a list, no list, no number); -ERANGE the number or the time is out of
 * range; -EMSGSIZE key or value is too long; -ENOSPC over the limit; -ENOMEM no memory. After an
 * error nothing has changed.
 *
 * Slices that are handed out point into the store: they are valid until the next call that changes
 * something. */
#ifndef SERVICE_STORE_H
#define SERVICE_STORE_H

#include "base/hash.h"
#include "loop/loop.h"

#define STORE_KEY_MAX     ((size_t)1024)
#define STORE_VALUE_MAX   (16 * MIB)
#define STORE_CHANNEL_MAX ((size_t)255)
#define STORE_TTL_MAX_MS  ((int64_t)1 << 46) /* two thousand years */

struct store;

/* What the bytes are. The store itself knows the first three; other tags are its users' own. */
enum store_type {
    STORE_STRING = 0,
    STORE_INT = 1,    /* 8 bytes, little endian: store_int */
    STORE_DOUBLE = 2, /* 8 bytes, little endian: store_double */
    STORE_BOOL = 3,   /* one byte, 0 or 1 */
    STORE_ENCODED = 4 /* whatever a user's own encoder made */
};

struct store_value {
    uint8_t type;
    slice bytes;
};

/* A number as a value, whose bytes are put into [room]; and back: false when it is none. */
struct store_value store_int(int64_t number, char room[8]);
struct store_value store_double(double number, char room[8]);
MUST_USE bool store_is_int(const struct store_value *v, int64_t *out);
MUST_USE bool store_is_double(const struct store_value *v, double *out);

/* ---- Life. ---- */

/* [limit_bytes] 0: no limit of its own. NULL without memory. */
MUST_USE struct store *store_new(struct loop *loop, size_t limit_bytes);

/* Writes what the journal, if there is one, still has to write, then frees all; [on_closed] (may be
 * NULL) is told in a later turn, after that. No subscriber is left (BUG otherwise). The pointer is
 * nulled at once. NULL is accepted; nothing is told then. */
void store_close(struct store **store, void (*on_closed)(void *owner), void *owner);

/* From now on; what is there stays, even when it is more. */
void store_set_limit(struct store *s, size_t limit_bytes);

struct store_stats {
    size_t keys, bytes, limit_bytes, subscribers, channels;
    uint64_t expired, published, delivered, refused; /* refused: -ENOSPC */
};
void store_stats(const struct store *s, struct store_stats *out);

/* ---- Values. ---- */

enum store_when { STORE_ALWAYS, STORE_IF_ABSENT, STORE_IF_PRESENT };

MUST_USE int store_get(struct store *s, slice key, struct store_value *out);

/* Replaces whatever was there, its time to live too: [ttl_ms] from now, 0 = for ever. -EEXIST,
 * -ENOENT as [when] demands. [value] may point into the store. */
MUST_USE int store_set(struct store *s, slice key, struct store_value value, int64_t ttl_ms,
                       enum store_when when);

/* Compare and set: only when [expected] (NULL: no such key) is what is there, [value] (NULL:
 * deletes) takes its place; the time to live stays. -ESTALE: something else is there. */
MUST_USE int store_swap(struct store *s, slice key, const struct store_value *expected,
                        const struct store_value *value);

/* Adds to a number; an absent key counts as 0 and is made. The time to live stays. STORE_INT stays
 * an integer with store_incr, -ERANGE on overflow; store_incr_double takes both and makes a double,
 * -ERANGE when the result is not finite. */
MUST_USE int store_incr(struct store *s, slice key, int64_t by, int64_t *result_out);
MUST_USE int store_incr_double(struct store *s, slice key, double by, double *result_out);

/* Of any kind. False: it was not there. */
bool store_del(struct store *s, slice key);
MUST_USE bool store_exists(struct store *s, slice key);
MUST_USE bool store_is_list(struct store *s, slice key);

/* ---- Time to live, in milliseconds. Gone to the turn in which the time has come. ---- */

/* 0 and less: gone at once. */
MUST_USE int store_expire(struct store *s, slice key, int64_t ttl_ms);
/* -1 in *ms_out: lives for ever. */
MUST_USE int store_ttl(struct store *s, slice key, int64_t *ms_out);
MUST_USE int store_persist(struct store *s, slice key);

/* ---- Lists. One that has become empty is gone. Places count from 0, negative ones from the end
 * (-1: the last). ---- */

enum store_side { STORE_LEFT, STORE_RIGHT };

/* Makes the list when there is none. */
MUST_USE int store_push(struct store *s, enum store_side side, slice key, struct store_value value,
                        size_t *length_out);

/* *out is valid until the next call of store_pop. */
MUST_USE int store_pop(struct store *s, enum store_side side, slice key, struct store_value *out);

/* 0: no such list. */
MUST_USE ssize_t store_length(struct store *s, slice key);

/* -ENOENT: no such list or place. */
MUST_USE int store_index(struct store *s, slice key, int64_t at, struct store_value *out);

/* The values from [first] to [last] inclusive, at most [room]; how many. */
MUST_USE ssize_t store_range(struct store *s, slice key, int64_t first, int64_t last,
                             struct store_value *out, size_t room);

/* Keeps only those from [first] to [last] inclusive. */
MUST_USE int store_trim(struct store *s, slice key, int64_t first, int64_t last);

/* ---- All keys. ---- */

size_t store_count(const struct store *s);

/* The first key with this prefix that comes after [after] (.p NULL: the very first), in order of
 * bytes. [after] is any key, there or not, so the store may change between two calls as it likes: a
 * key that is there all the time is seen exactly once. */
MUST_USE bool store_next(struct store *s, slice prefix, slice after, slice *key_out);

/* Deletes all keys with this prefix (empty: all keys); how many. */
size_t store_clear(struct store *s, slice prefix);

/* ---- Publishing. ---- */

struct store_sub {
    /* public: filled before subscribing */
    slice channel; /* the name of one, or a prefix and a final '*'; copied */
    /* Both slices are valid during the call. It may subscribe, unsubscribe (itself, others),
     * publish, and change data. It may free itself after unsubscribing. */
    void (*on_message)(struct store_sub *sub, slice channel, slice message);
    /* private */
    struct list_node link;
    struct store_channel *at;
    uint64_t since;
};

/* -EMSGSIZE: the name is too long; -EINVAL: it is empty; -ENOSPC; -ENOMEM. Gets what is published
 * from now on, not what is just being delivered. */
MUST_USE int store_subscribe(struct store *s, struct store_sub *sub);

/* Harmless when it is not subscribed and was zeroed. on_message is not called any more, even by a
 * delivery that is at work. */
void store_unsubscribe(struct store *s, struct store_sub *sub);

/* Calls each subscriber of this very channel, then those of prefixes, before it returns. How many
 * there were. -EMSGSIZE; -ELOOP: published from within deliveries from within deliveries, too deep.
 */
ssize_t store_publish(struct store *s, slice channel, slice message);

#endif
