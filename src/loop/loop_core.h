/* loop_core: the inside of struct loop, for the files of this folder only. */
#ifndef LOOP_LOOP_CORE_H
#define LOOP_LOOP_CORE_H

#include "loop/loop_backend.h"

#include <pthread.h>

struct loop {
    struct loop_backend *backend;
    const struct loop_backend_ops *ops;
    struct mem_book *book;
    struct log *log;
    struct mem_owner owner; /* "loop" */
    int64_t now_ms;
    int64_t unix_s;
    int64_t unix_ms;
    int64_t unix_at_ms; /* when these were read */
    struct timeout_wheel wheel;
    struct list_node deferred;
    struct list_node graves;
    bool stopping;
    struct loop_stats stats;

    /* signals */
    struct loop_fd signal_fd;
    loop_signal_fn on_signal;
    void *signal_owner;

    /* work: jobs that came back from threads; the only part that other threads touch */
    struct list_node lanes;
    pthread_mutex_t done_lock;
    struct list_node done; /* under done_lock */
    bool done_told;        /* the loop was woken already; written under done_lock, atomically */
};

/* work.c: calls done() of the jobs that came back. */
void work_run_done(struct loop *loop);

#endif
