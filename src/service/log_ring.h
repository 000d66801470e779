/* log_ring: lines on their way from the loop's thread to one writer thread, without a lock.
 *
 * One thread puts whole lines at the tail, one other takes bytes from the head. Both positions only
 * grow; what stands between them belongs to the taker, the rest to the putter. A private part of
 * logsink. */
#ifndef SERVICE_LOG_RING_H
#define SERVICE_LOG_RING_H

#include "base/slice.h"

#include <stdatomic.h>
#include <sys/uio.h>

struct log_ring {
    char *room;
    size_t bytes; /* a power of two */
    _Atomic uint64_t tail;
    char apart[64]; /* not in the same cache line: the two threads would fight over it */
    _Atomic uint64_t head;
};

/* [room] is the caller's; [bytes] is a power of two. */
void log_ring_init(struct log_ring *r, char *room, size_t bytes);

/* Either thread: bytes that wait. */
size_t log_ring_used(const struct log_ring *r);

/* The putter: [line] and a newline, or false when there is no room. */
MUST_USE bool log_ring_put(struct log_ring *r, slice line);

/* The taker: at most [max] bytes from the head, in up to two pieces; the number of pieces. */
int log_ring_peek(const struct log_ring *r, size_t max, struct iovec pieces[static 2]);

/* The taker: the first [n] bytes are done. */
void log_ring_take(struct log_ring *r, size_t n);

/* The taker: bytes of the whole lines within the first [max] bytes; 0 when not one ends there. */
size_t log_ring_whole_lines(const struct log_ring *r, size_t max);

/* The taker: bytes up to and including the first newline; 0 when the ring is empty. */
size_t log_ring_first_line(const struct log_ring *r);

/* The taker: drops everything; the number of newlines that were in it. */
uint64_t log_ring_drop(struct log_ring *r);

#endif
