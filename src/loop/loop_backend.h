/* loop_backend: what an engine (epoll, simulator, later io_uring) provides below the face of
 * loop.h.
 *
 * The functions correspond to those of loop.h, where their contracts stand. An engine holds its own
 * state in a struct that begins with struct loop_backend. It calls fd->ops from wait() only. */
#ifndef LOOP_LOOP_BACKEND_H
#define LOOP_LOOP_BACKEND_H

#include "loop/loop.h"

enum {
    LOOP_WANT_RECV = 1,
    LOOP_WANT_SEND = 2,
    LOOP_WANT_ACCEPT = 4,
    LOOP_WANT_CONNECT = 8,
    LOOP_WANT_DATAGRAMS = 16,
    LOOP_WANT_POLL = 32,
};

struct loop_backend {
    const struct loop_backend_ops *ops;
    struct loop *loop;
};

struct loop_backend_ops {
    const char *name;
    void (*free)(struct loop_backend *b);

    /* Monotonic nanoseconds; the same as cheaply as can be, some milliseconds behind perhaps; and
     * milliseconds since 1970. */
    int64_t (*now_ns)(struct loop_backend *b);
    int64_t (*about_now_ns)(struct loop_backend *b);
    int64_t (*unix_ms)(struct loop_backend *b);

    /* Waits until something happened or [deadline_ns], then tells all owners, within a budget per
     * descriptor so that one busy peer cannot starve the others. After it has waited it calls
     * loop_tick() once before it tells anything. Returns the events told. */
    size_t (*wait)(struct loop_backend *b, int64_t deadline_ns);

    int (*open)(struct loop_backend *b, struct loop_fd *lfd);
    void (*close)(struct loop_backend *b, struct loop_fd *lfd);
    void (*release)(struct loop_backend *b, struct loop_fd *lfd);
    void (*recv_start)(struct loop_backend *b, struct loop_fd *lfd);
    void (*recv_stop)(struct loop_backend *b, struct loop_fd *lfd);
    ssize_t (*send)(struct loop_backend *b, struct loop_fd *lfd, const struct iovec *iov, int count,
                    bool more);
    ssize_t (*sendfile)(struct loop_backend *b, struct loop_fd *lfd, int file, uint64_t offset,
                        size_t count);
    void (*shutdown)(struct loop_backend *b, struct loop_fd *lfd);
    size_t (*unsent)(struct loop_backend *b, struct loop_fd *lfd);
    void (*accept_start)(struct loop_backend *b, struct loop_fd *lfd);
    void (*accept_stop)(struct loop_backend *b, struct loop_fd *lfd);
    /* Sets lfd->fd when it succeeds. */
    int (*connect)(struct loop_backend *b, struct loop_fd *lfd, const struct sockaddr *to,
                   socklen_t to_bytes);
    void (*datagrams_start)(struct loop_backend *b, struct loop_fd *lfd);
    void (*datagrams_stop)(struct loop_backend *b, struct loop_fd *lfd);
    int (*send_to)(struct loop_backend *b, struct loop_fd *lfd, slice data,
                   const struct sockaddr *to, socklen_t to_bytes);
    int (*poll)(struct loop_backend *b, struct loop_fd *lfd, unsigned events);

    /* Any thread: makes wait() return soon. */
    void (*wake)(struct loop_backend *b);

    /* Where jobs run: NULL = on threads (work.c); else the engine calls job->run itself, later, and
     * then work_finished(). */
    void (*work)(struct loop_backend *b, struct work_job *job);
};

/* For engines: a loop around this back end, which it owns from then on. NULL without memory. */
MUST_USE struct loop *loop_new_on(struct loop_backend *b, struct mem_book *book, struct log *log);

/* For engines: reads the clock for this turn. */
void loop_tick(struct loop *loop);

/* For engines: the job's run() has returned; done() is called in this turn or the next. */
void work_finished(struct loop *loop, struct work_job *job);

/* The epoll engine. NULL and -errno on failure. */
MUST_USE struct loop_backend *loop_epoll_new(struct mem_book *book, int *error_out);

#endif
