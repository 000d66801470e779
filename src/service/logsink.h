/* logsink: lines into a file, without ever blocking the loop.
 *
 * The loop's thread appends whole lines to a bounded ring; one writer thread per sink writes them
 * out: at once when nothing was written in the last LOGSINK_BATCH_MS, else gathered for so long or
 * until the ring is half full; one write per batch (O_APPEND). When the ring is full, lines are
 * dropped and counted, and a line that says how many is written as soon as there is room again.
 *
 * What goes wrong below (full disk, FIFO without reader, file that cannot be opened again) is
 * counted, tried again about once a second, and told once through a struct log, from the loop's
 * thread: logsink_watch.
 *
 * Owner: whoever called logsink_new. Threads: all functions are for the thread that made the sink.
 */
#ifndef SERVICE_LOGSINK_H
#define SERVICE_LOGSINK_H

#include "base/log.h"
#include "base/mem.h"

#define LOGSINK_BUFFER_BYTES MIB /* what [buffer_bytes] 0 means */
#define LOGSINK_BATCH_MS \
    100 /* at most so long does a line wait, and at most ten wake-ups a second */
#define LOGSINK_RETRY_MS 1000 /* after an error */
#define LOGSINK_CLOSE_MS                                                     \
    1000 /* logsink_close waits at most so long for what was not written yet \
          */

struct logsink;

struct logsink_stats {
    uint64_t lines;    /* taken by logsink_put */
    uint64_t lost;     /* refused because the ring was full, or given up at the end */
    uint64_t bytes;    /* written */
    uint64_t writes;   /* calls that wrote them */
    uint64_t errors;   /* failed attempts to write or to open */
    uint64_t reopened; /* successful reopens */
    int error;         /* errno of the last attempt, 0 when it succeeded */
    size_t buffered;   /* bytes that wait in the ring */
};

/* [path] is opened for appending (created with mode 0640 when it is not there), and again by name
 * on logsink_reopen; "-" is standard output. A FIFO without a reader is no error: it is opened when
 * one comes. [buffer_bytes] is rounded up to a power of two; 0 = LOGSINK_BUFFER_BYTES. NULL and
 * *error_out = -errno on failure. Blocks no longer than open() does: call it at start. */
MUST_USE struct logsink *logsink_new(struct mem_book *book, const char *path, size_t buffer_bytes,
                                     int *error_out);

/* The same onto a descriptor that exists (2 for the error log); it is duplicated, [name] is for
 * messages, logsink_reopen does nothing. */
MUST_USE struct logsink *logsink_new_fd(struct mem_book *book, int fd, const char *name,
                                        size_t buffer_bytes, int *error_out);

/* Where troubles of this sink are told; NULL = nowhere. Not the log that writes into this very
 * sink. */
void logsink_watch(struct logsink *sink, struct log *log);

/* The line that is written in place of lost ones: [before], their number, [after]. Literals.
 * Default: "" and " lines were lost: they came faster than they could be written". */
void logsink_lost_text(struct logsink *sink, const char *before, const char *after);

/* Appends [line], which holds no newline, and a newline. False: the ring is full; the line is lost
 * and counted. Costs a copy, and a system call only when the writer sleeps. */
bool logsink_put(struct logsink *sink, slice line);

/* The file is opened by its name again (it was renamed: SIGUSR1), by the writer. When that fails,
 * writing to the old one goes on. Lines put before this call go to the old file. */
void logsink_reopen(struct logsink *sink);

/* Tells the log what has gone wrong or right since the last time. Called by logsink_put anyway;
 * call it now and then (each second) for sinks where nothing is put. */
void logsink_report(struct logsink *sink);

/* Waits until the writer has written all that was put (and reopened, if that was asked for), or
 * could not, at most [timeout_ms]. True: all is written. For the end of the program and for tests:
 * it blocks the caller. */
bool logsink_flush(struct logsink *sink, int timeout_ms);

void logsink_stats(const struct logsink *sink, struct logsink_stats *out);

/* Writes what is left, for at most LOGSINK_CLOSE_MS, tells the log if lines were lost, frees all
 * and nulls the pointer. NULL is accepted. A writer that hangs in the kernel is left behind. */
void logsink_close(struct logsink **sink);

/* ---- The error log: lines of a struct log, with the time in front. ---- */

/* Lines of [log] go to [sink], as "2026-03-01T12:34:56.789Z error: text [id]". */
void logsink_carry(struct logsink *sink, struct log *log);

#endif
