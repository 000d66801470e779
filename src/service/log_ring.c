/* log_ring: positions are counted from the beginning of time and masked where the bytes are
 * touched. */
#include "service/log_ring.h"

void log_ring_init(struct log_ring *r, char *room, size_t bytes)
{
    r->room = room;
    r->bytes = bytes;
    atomic_init(&r->tail, 0);
    atomic_init(&r->head, 0);
}

size_t log_ring_used(const struct log_ring *r)
{
    /* The head first: it can only have come nearer to the tail meanwhile, so this is never
     * negative. */
    uint64_t head = atomic_load(&r->head);
    return (size_t)(atomic_load(&r->tail) - head);
}

static void copy_in(struct log_ring *r, uint64_t at, slice s)
{
    size_t offset = (size_t)at & (r->bytes - 1);
    size_t first = MIN(s.n, r->bytes - offset);
    if (first)
        memcpy(r->room + offset, s.p, first);
    if (s.n > first)
        memcpy(r->room, s.p + first, s.n - first);
}

bool log_ring_put(struct log_ring *r, slice line)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    size_t used = (size_t)(tail - atomic_load_explicit(&r->head, memory_order_acquire));
    if (line.n >= r->bytes - used)
        return false;
    copy_in(r, tail, line);
    copy_in(r, tail + line.n, SLICE("\n"));
    /* In the one order of all: the putter looks next whether the writer sleeps, and the writer says
     * that it sleeps before it looks here once more. One of them sees the other. */
    atomic_store(&r->tail, tail + line.n + 1);
    return true;
}

int log_ring_peek(const struct log_ring *r, size_t max, struct iovec pieces[static 2])
{
    size_t offset = (size_t)atomic_load(&r->head) & (r->bytes - 1);
    size_t n = MIN(log_ring_used(r), max);
    size_t first = MIN(n, r->bytes - offset);
    pieces[0] = (struct iovec){r->room + offset, first};
    pieces[1] = (struct iovec){r->room, n - first};
    return (first > 0) + (n > first);
}

void log_ring_take(struct log_ring *r, size_t n)
{
    atomic_fetch_add(&r->head, n);
}

static slice piece_slice(const struct iovec *piece)
{
    return slice_of(piece->iov_base, piece->iov_len);
}

size_t log_ring_whole_lines(const struct log_ring *r, size_t max)
{
    struct iovec pieces[2];
    int count = log_ring_peek(r, max, pieces);
    for (int i = count - 1; i >= 0; i--) {
        ssize_t at = slice_find_last(piece_slice(&pieces[i]), '\n');
        if (at >= 0)
            return (i ? pieces[0].iov_len : 0) + (size_t)at + 1;
    }
    return 0;
}

size_t log_ring_first_line(const struct log_ring *r)
{
    struct iovec pieces[2];
    int count = log_ring_peek(r, r->bytes, pieces);
    for (int i = 0; i < count; i++) {
        ssize_t at = slice_find(piece_slice(&pieces[i]), '\n');
        if (at >= 0)
            return (i ? pieces[0].iov_len : 0) + (size_t)at + 1;
    }
    return 0;
}

uint64_t log_ring_drop(struct log_ring *r)
{
    uint64_t lines = 0;
    for (size_t n; (n = log_ring_first_line(r)) > 0; lines++)
        log_ring_take(r, n);
    return lines;
}
