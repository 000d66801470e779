/* logsink_parts: what the two halves of a sink share: logsink.c, which runs in its owner's thread,
 * and logsink_writer.c, which runs in the writer's. A private part of logsink. */
#ifndef SERVICE_LOGSINK_PARTS_H
#define SERVICE_LOGSINK_PARTS_H

#include "base/mem.h"
#include "service/log_ring.h"

#include <pthread.h>

struct log;

/* What a put has to do to be noticed. */
enum writer_state {
    WRITER_AWAKE,   /* nothing: it looks by itself, or waits for the file */
    WRITER_NAPPING, /* wake it when the ring is half full */
    WRITER_SLEEPING /* wake it */
};

struct logsink {
    /* the owner's thread */
    struct mem_owner owner;
    size_t charged;
    struct log *log;
    const char *lost_before, *lost_after;
    uint64_t lines;
    uint64_t lost_written; /* of [lost], those that a line in the file tells of */
    uint64_t lost_logged;  /* of [lost], those that [log] was told of */
    bool failing_told, is_reporting;
    pthread_t thread;

    /* the writer's thread (the owner's before it starts) */
    int fd; /* -1: not open (a FIFO without reader) */
    bool is_regular, is_midline;
    unsigned reopens_done;

    /* constant */
    bool has_path;
    int wake, told;
    const char *path;

    /* both */
    struct log_ring ring;
    _Atomic int state; /* enum writer_state */
    _Atomic unsigned reopens_wanted, flushes_wanted, flushes_done;
    _Atomic uint64_t reopen_at; /* lines before this place of the ring go to the old file */
    _Atomic int64_t stop_ms;    /* 0: no; else give up at this time */
    _Atomic bool is_finished;
    _Atomic bool is_failing;
    _Atomic int error; /* errno of the last attempt */
    /* errno, set by the writer and cleared by the owner when it has told the log */
    _Atomic int write_error, reopen_error;
    _Atomic uint64_t bytes, writes, errors, reopened, lost;
    _Atomic int holders; /* 2: owner and writer */
};

/* The writer's thread: pthread_create's function. */
void *logsink_write(void *sink);

/* A new descriptor of the sink's path, or -errno; -ENXIO: a FIFO that nobody reads. */
MUST_USE int logsink_open_path(const struct logsink *s);

/* [fd] is what is written to from now on; the one before is closed. Before the writer starts, the
 * owner calls it too. */
void logsink_use_fd(struct logsink *s, int fd);

/* One of the holders goes; the last one frees. */
void logsink_release(struct logsink *s);

int64_t logsink_now_ms(void);

/* Event descriptors: neither blocks. */
void logsink_event_set(int fd);
void logsink_event_clear(int fd);

#endif
