/* pressure: keeps the process within its memory budget, by giving up what is least missed, in this
 * order: cached files, idle connections (oldest first), then new ones wait. Looks ten times a
 * second, and at the end of each turn that allocates above the first rung; within a turn the
 * accounts refuse what would go over, and that session ends.
 *
 * Of several trees and servers each gives its share: in proportion to what it has cached, and to
 * how many connections it has. */
#ifndef MAIN_PRESSURE_H
#define MAIN_PRESSURE_H

#include "protocol/server.h"
#include "service/vfs.h"

struct pressure;

/* What there is to take from, asked at every look: each function calls [visit] for all there are.
 */
struct pressure_ops {
    void (*servers)(void *owner, void (*visit)(struct pressure *p, struct server *server),
                    struct pressure *p);
    void (*trees)(void *owner, void (*visit)(struct pressure *p, struct vfs *vfs),
                  struct pressure *p);
};

struct pressure {
    struct timeout timeout;
    struct loop_deferred now;
    int64_t drain_ms; /* idle connections are looked for again from then on */
    struct loop *loop;
    struct mem_book *book;
    const struct pressure_ops *ops;
    void *owner;
    bool is_holding; /* accepting was stopped */
    /* of the present walk */
    size_t wanted, total;
};

/* Does nothing when the book has no budget. */
void pressure_start(struct pressure *p, struct loop *loop, struct mem_book *book,
                    const struct pressure_ops *ops, void *owner);
/* The book's budget is another now; 0: none. */
void pressure_change(struct pressure *p);
void pressure_stop(struct pressure *p);

#endif
