/* outq: what a stream still has to send, as a chain of pieces: own bytes, shared bytes, ranges of
 * files, and perhaps a producer at the end.
 *
 * Owned by its stream. Bytes are counted, so "how full" costs nothing. Nothing here talks to the
 * kernel: the stream gathers at the end of the turn and then says what was taken. Memory comes from
 * struct io (stream.h). */
#ifndef IO_OUTQ_H
#define IO_OUTQ_H

#include "base/shared.h"
#include "base/slice.h"
#include "io/producer.h"

#include <sys/uio.h>

struct io;
struct outq_piece;

struct outq {
    /* read-only */
    uint32_t bytes;    /* in all pieces; a producer's future output is not counted */
    bool has_producer; /* it is the tail */
    /* private */
    struct outq_piece *head, *tail;
};

/* All push functions return false when there is no memory; nothing was pushed then. Once a producer
 * was pushed, only that producer pushes (from its more()), until it is done (BUG otherwise). */

/* Appends a copy. Small neighbours are merged. */
MUST_USE bool outq_push_copy(struct outq *q, struct io *io, slice data);

/* Room for [n] bytes (at most OUTQ_RESERVE_MAX) to write in place; then outq_commit says how many
 * it became (0 is fine). Nothing else may be pushed in between. NULL without memory. */
#define OUTQ_RESERVE_MAX (15 * KIB)
MUST_USE char *outq_reserve(struct outq *q, struct io *io, size_t n);
void outq_commit(struct outq *q, size_t n);

/* Appends bytes by reference: [owner] is held until they are sent. */
MUST_USE bool outq_push_shared(struct outq *q, struct io *io, slice data, struct shared *owner);

/* Appends [count] bytes of [file] from [offset], by sendfile: they must be in the page cache
 * already. [owner] is held until they are sent. 0 < count < 1 GiB. */
MUST_USE bool outq_push_file(struct outq *q, struct io *io, int file, uint64_t offset, size_t count,
                             struct shared *owner);

/* Appends a producer, which the queue owns from now on, also when it returns false (no memory: it
 * was freed). */
MUST_USE bool outq_push_producer(struct outq *q, struct io *io, struct producer *p);

/* ---- For the stream. ---- */

/* The memory pieces from the head on as up to [max] entries; *more_out: other output follows at
 * once. Returns their number: 0 when the head is a range of a file or a producer, or there is
 * nothing. */
int outq_gather(const struct outq *q, struct iovec *iov, int max, bool *more_out);

/* The head, when it is a range of a file. */
bool outq_head_file(const struct outq *q, int *file_out, uint64_t *offset_out, size_t *count_out);

/* [n] bytes from the head on have been taken by the kernel. */
void outq_sent(struct outq *q, struct io *io, size_t n);

/* Asks the producer once. WAIT when it waits already; DONE when there is none. After DONE and
 * FAILED it is gone. */
enum producer_result outq_pull(struct outq *q, struct io *io);

/* Drops everything. */
void outq_clear(struct outq *q, struct io *io);

#endif
