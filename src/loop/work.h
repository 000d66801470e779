/* work: blocking jobs on threads, so that the loop never blocks.
 *
 * A *lane* stands for one thing that may hang: a disk, a mount, a database. Each lane has threads
 * of its own, started when they are needed and ended when idle, and a limit of how many run at
 * once: a lane whose jobs all hang holds up only itself.
 *
 * A job owns its memory while it is away and touches nothing else. run() is called on a worker
 * thread; done() in the loop's thread, in a later turn, exactly once per submitted job. A job is
 * never interrupted: who no longer wants its result marks that in the job and frees it in done().
 * In the simulated loop there are no threads: run() is called after a virtual delay. */
#ifndef LOOP_WORK_H
#define LOOP_WORK_H

#include "base/list.h"
#include "base/mem.h"

struct loop;
struct work_lane;

struct work_job {
    /* public: filled before submitting */
    void (*run)(struct work_job *job);  /* on a worker */
    void (*done)(struct work_job *job); /* in the loop; may free the job */
    /* private */
    struct list_node link;
    struct work_lane *lane;
};

/* At most [threads] jobs of this lane run at once; the others wait in order. [name] (a literal) is
 * for status and thread names. NULL without memory. */
MUST_USE struct work_lane *work_lane_new(struct loop *loop, const char *name, unsigned threads);

/* Its threads have stacks of [bytes] instead of 256 KiB: for libraries that recurse. Before the
 * first job is submitted. */
void work_lane_stack(struct work_lane *lane, size_t bytes);

/* All jobs are done (BUG otherwise) unless the loop is being freed. */
void work_lane_free(struct work_lane **lane);

/* Never calls back before returning. Cannot fail: when no thread can be started the job waits for
 * one that exists, or, if the lane has none at all, runs in the loop's thread at the end of the
 * turn. */
void work_submit(struct work_lane *lane, struct work_job *job);

const char *work_lane_name(const struct work_lane *lane);

/* Jobs that are waiting or running. */
size_t work_lane_pending(const struct work_lane *lane);

#endif
