/* shared: a thing that several may hold at once and that is freed by the last. Embedded as a member
 * of such things.
 *
 * Only four kinds of things are counted (buf, vfs node, configuration, TLS context); everything
 * else has one owner. The count belongs to the loop's thread. */
#ifndef BASE_SHARED_H
#define BASE_SHARED_H

#include "base/check.h"

struct shared {
    void (*free)(struct shared *s);
    unsigned holders;
};

/* Held once, by the caller. */
static inline void shared_init(struct shared *s, void (*free_fn)(struct shared *s))
{
    *s = (struct shared){.free = free_fn, .holders = 1};
}

static inline struct shared *shared_hold(struct shared *s)
{
    s->holders++;
    return s;
}

/* NULL is accepted. */
static inline void shared_release(struct shared *s)
{
    if (!s)
        return;
    BUG_ON(s->holders == 0);
    if (--s->holders == 0)
        s->free(s);
}

#endif
