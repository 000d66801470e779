/* timeout: deadlines in a hierarchical timer wheel. Setting and clearing are O(1), and moving a
 * deadline further away costs one store: the wheel's entry stays where it is and is moved only if
 * it comes due too early. So a connection can move its idle deadline on every request, and ten
 * thousand idle ones cost nothing.
 *
 * Granularity is one millisecond; a timeout never fires early. Thread: the loop's. */
#ifndef LOOP_TIMEOUT_H
#define LOOP_TIMEOUT_H

#include "base/list.h"

struct timeout;
typedef void (*timeout_fn)(struct timeout *t);

/* Embedded in its owner. Zero-initialised with timeout_init; 40 bytes. */
struct timeout {
    struct list_node link;
    int64_t due_ms;   /* when it shall fire; INT64_MAX = not set */
    int64_t wheel_ms; /* where in the wheel it stands */
    timeout_fn fn;
};

#define TIMEOUT_LEVELS 6
#define TIMEOUT_SLOTS  64

struct timeout_wheel {
    int64_t now_ms;
    uint64_t occupied[TIMEOUT_LEVELS]; /* bit s: slot s may hold something */
    struct list_node slots[TIMEOUT_LEVELS][TIMEOUT_SLOTS];
    struct list_node due; /* taken out of the wheel, waiting to be run */
};

void timeout_wheel_init(struct timeout_wheel *w, int64_t now_ms);

void timeout_init(struct timeout *t, timeout_fn fn);

/* Fires once when the wheel's time reaches [due_ms] (at the next run when that has passed).
 * Replaces what was set. */
void timeout_set(struct timeout_wheel *w, struct timeout *t, int64_t due_ms);

/* Will not fire any more. Harmless when it is not set. Must be called before the owner's memory
 * goes. */
void timeout_clear(struct timeout *t);

static inline bool timeout_is_set(const struct timeout *t)
{
    return t->due_ms != INT64_MAX;
}

/* Moves time to [now_ms] and runs what is due, in order of the millisecond. A timeout that is set
 * to a time already past from within a callback runs in the next call, so that no callback can keep
 * the wheel busy for ever. */
void timeout_wheel_run(struct timeout_wheel *w, int64_t now_ms);

/* The earliest time at which timeout_wheel_run may have something to do; INT64_MAX when nothing is
 * set. May be earlier than the first deadline (an entry has to be moved), never later. */
int64_t timeout_wheel_next(const struct timeout_wheel *w);

#endif
