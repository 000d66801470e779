/* timeout: the wheel. Level l has 64 slots of 64^l milliseconds each; an entry stands on the lowest
 * level on which its time and the present fall into the same turn of that level. When time enters a
 * slot of a higher level, its entries move down.
 *
 * Alternatives: a heap costs O(log n) and cache misses for each of ten thousand idle connections;
 * one list per duration (h2o's older way) is O(1) too, but only for few durations, and scripts will
 * set any. */
#include "loop/timeout.h"

#include "base/check.h"

#define SLOT_BITS 6
#define SLOT_MASK (TIMEOUT_SLOTS - 1)
#define HORIZON   ((int64_t)1 << (SLOT_BITS * TIMEOUT_LEVELS))

void timeout_wheel_init(struct timeout_wheel *w, int64_t now_ms)
{
    *w = (struct timeout_wheel){.now_ms = now_ms};
    for (int level = 0; level < TIMEOUT_LEVELS; level++)
        for (int slot = 0; slot < TIMEOUT_SLOTS; slot++)
            list_init(&w->slots[level][slot]);
    list_init(&w->due);
}

void timeout_init(struct timeout *t, timeout_fn fn)
{
    *t = (struct timeout){.due_ms = INT64_MAX, .wheel_ms = INT64_MAX, .fn = fn};
    list_init(&t->link);
}

/* The lowest level whose 64 slots, counted from the present turn, reach [at]. */
static int level_of(int64_t now, int64_t at)
{
    uint64_t differs = (uint64_t)(now ^ at) >> SLOT_BITS;
    int level = 0;
    while (differs && level < TIMEOUT_LEVELS - 1) {
        differs >>= SLOT_BITS;
        level++;
    }
    return level;
}

/* Puts [t] where it belongs: what has passed already to the next run, what is far to the horizon
 * (it is moved again when that is reached). */
static void insert(struct timeout_wheel *w, struct timeout *t)
{
    if (t->due_ms <= w->now_ms) {
        t->wheel_ms = t->due_ms;
        list_push_back(&w->due, &t->link);
        return;
    }
    int64_t at = MIN(t->due_ms, w->now_ms | (HORIZON - 1));
    at = MAX(at, w->now_ms + 1);
    t->wheel_ms = at;
    int level = level_of(w->now_ms, at);
    int slot = (int)(at >> (SLOT_BITS * level)) & SLOT_MASK;
    list_push_back(&w->slots[level][slot], &t->link);
    w->occupied[level] |= (uint64_t)1 << slot;
}

void timeout_set(struct timeout_wheel *w, struct timeout *t, int64_t due_ms)
{
    if (due_ms == INT64_MAX) {
        timeout_clear(t);
        return;
    }
    t->due_ms = due_ms;
    if (list_is_linked(&t->link) && t->wheel_ms > w->now_ms && t->wheel_ms <= due_ms)
        return; /* stays where it is: moved when that time comes */
    list_remove(&t->link);
    insert(w, t);
}

void timeout_clear(struct timeout *t)
{
    t->due_ms = INT64_MAX;
    list_remove(&t->link);
}

/* Moves the entries of a slot that time has entered to where they belong now. */
static void spill(struct timeout_wheel *w, int level, int slot)
{
    struct list_node moved;
    list_move_all(&moved, &w->slots[level][slot]);
    w->occupied[level] &= ~((uint64_t)1 << slot);
    for (struct list_node *n; (n = list_pop_front(&moved));)
        insert(w, CONTAINER_OF(n, struct timeout, link));
}

/* The next time after [now] at which a slot of this level begins that may hold something. */
static int64_t next_on_level(const struct timeout_wheel *w, int level)
{
    int shift = SLOT_BITS * level;
    int here = (int)(w->now_ms >> shift) & SLOT_MASK;
    uint64_t ahead = here == SLOT_MASK ? 0 : w->occupied[level] >> (here + 1) << (here + 1);
    int64_t turn = w->now_ms >> shift >> SLOT_BITS << SLOT_BITS; /* number of slot 0 of this turn */
    if (ahead)
        return (turn + __builtin_ctzll(ahead)) << shift;
    if (w->occupied[level] && level == TIMEOUT_LEVELS - 1)
        return (turn + TIMEOUT_SLOTS + __builtin_ctzll(w->occupied[level])) << shift;
    return INT64_MAX;
}

/* The next time at which some slot has to be looked into. */
static int64_t next_slot(const struct timeout_wheel *w)
{
    int64_t next = INT64_MAX;
    for (int level = 0; level < TIMEOUT_LEVELS; level++)
        next = MIN(next, next_on_level(w, level));
    return next;
}

int64_t timeout_wheel_next(const struct timeout_wheel *w)
{
    return list_is_empty(&w->due) ? next_slot(w) : w->now_ms;
}

static void enter(struct timeout_wheel *w, int64_t ms)
{
    w->now_ms = ms;
    for (int level = TIMEOUT_LEVELS - 1; level >= 0; level--) {
        int64_t low = ms & (((int64_t)1 << (SLOT_BITS * level)) - 1);
        if (low == 0) /* this level's slot begins just now */
            spill(w, level, (int)(ms >> (SLOT_BITS * level)) & SLOT_MASK);
    }
}

void timeout_wheel_run(struct timeout_wheel *w, int64_t now_ms)
{
    for (int64_t next; (next = next_slot(w)) <= now_ms;)
        enter(w, next);
    if (now_ms > w->now_ms)
        w->now_ms = now_ms;
    struct list_node due;
    list_move_all(&due, &w->due);
    for (struct list_node *n; (n = list_pop_front(&due));) {
        struct timeout *t = CONTAINER_OF(n, struct timeout, link);
        t->due_ms = INT64_MAX;
        t->fn(t);
    }
}
