/* pressure: keeps the process within its memory budget, by giving up what is least missed, in this
 * order: cached files, idle connections (oldest first), then new ones wait. Looks ten times a
 * second, and at the end of each turn that allocates above the first rung; within a turn the
 * accounts refuse what would go over, and that session ends. */
#ifndef MAIN_PRESSURE_H
#define MAIN_PRESSURE_H

#include "protocol/server.h"
#include "service/vfs.h"

struct pressure {
    struct timeout timeout;
    struct loop_deferred now;
    int64_t drain_ms; /* idle connections are looked for again from then on */
    struct mem_book *book;
    struct server *server;
    struct vfs *vfs;
    bool is_holding; /* accepting was stopped */
};

/* Does nothing when the book has no budget. */
void pressure_start(struct pressure *p, struct mem_book *book, struct server *server,
                    struct vfs *vfs);
void pressure_stop(struct pressure *p);

#endif
