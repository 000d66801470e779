/* outq: the chain. Own bytes stand in blocks of 2 or 16 KiB behind their piece's head; the other
 * kinds are small pieces that point elsewhere. */
#include "io/outq.h"

#include "base/buf.h"
#include "base/check.h"
#include "io/stream.h"

enum piece_kind { PIECE_SMALL, PIECE_BIG, PIECE_SHARED, PIECE_FILE, PIECE_PRODUCER };

struct outq_piece {
    struct outq_piece *next;
    enum piece_kind kind;
    int file;
    size_t n; /* bytes left */
    union {
        char *p;                   /* memory: the first byte left */
        uint64_t offset;           /* file */
        struct producer *producer; /* producer */
    };
    union {
        char *end;            /* own block: end of its room */
        struct shared *owner; /* shared, file */
    };
};

#define SMALL_BYTES (2 * KIB - 16)
#define BIG_BYTES   (16 * KIB - 16)

_Static_assert(BIG_BYTES - sizeof(struct outq_piece) >= OUTQ_RESERVE_MAX,
               "a reservation fits a block");

void io_init(struct io *io, struct loop *loop, struct mem_book *book)
{
    *io = (struct io){.loop = loop};
    mem_owner_init(&io->owner, book, "streams");
    pool_init(&io->small, &io->owner, SMALL_BYTES);
    pool_init(&io->big, &io->owner, BIG_BYTES);
    pool_init(&io->pieces, &io->owner, sizeof(struct outq_piece));
}

void io_fini(struct io *io)
{
    pool_fini(&io->small);
    pool_fini(&io->big);
    pool_fini(&io->pieces);
    mem_owner_fini(&io->owner);
}

static bool is_block(const struct outq_piece *piece)
{
    return piece->kind <= PIECE_BIG;
}

static bool is_memory(const struct outq_piece *piece)
{
    return piece->kind <= PIECE_SHARED;
}

static void append(struct outq *q, struct outq_piece *piece)
{
    piece->next = NULL;
    if (q->tail)
        q->tail->next = piece;
    else
        q->head = piece;
    q->tail = piece;
}

static void free_piece(struct io *io, struct outq_piece *piece)
{
    switch (piece->kind) {
    case PIECE_SMALL:
        pool_put(&io->small, piece);
        return;
    case PIECE_BIG:
        pool_put(&io->big, piece);
        return;
    case PIECE_SHARED:
    case PIECE_FILE:
        shared_release(piece->owner);
        break;
    case PIECE_PRODUCER:
        piece->producer->outq = NULL;
        piece->producer->ops->free(piece->producer);
        break;
    }
    pool_put(&io->pieces, piece);
}

static struct outq_piece *new_piece(struct io *io, enum piece_kind kind)
{
    struct outq_piece *piece = pool_get(&io->pieces);
    if (piece)
        *piece = (struct outq_piece){.kind = kind};
    return piece;
}

/* A small block for a first small answer, a big one for what is large or follows. */
static struct outq_piece *new_block(struct outq *q, struct io *io, size_t n)
{
    bool small = n <= SMALL_BYTES - sizeof(struct outq_piece) && !q->tail;
    struct outq_piece *piece = pool_get(small ? &io->small : &io->big);
    if (!piece)
        return NULL;
    *piece = (struct outq_piece){.kind = small ? PIECE_SMALL : PIECE_BIG, .p = (char *)(piece + 1)};
    piece->end = (char *)piece + (small ? SMALL_BYTES : BIG_BYTES);
    append(q, piece);
    return piece;
}

char *outq_reserve(struct outq *q, struct io *io, size_t n)
{
    BUG_ON(n > OUTQ_RESERVE_MAX || q->has_producer);
    struct outq_piece *tail = q->tail;
    if (tail && is_block(tail) && (size_t)(tail->end - (tail->p + tail->n)) >= n)
        return tail->p + tail->n;
    tail = new_block(q, io, n);
    return tail ? tail->p : NULL;
}

void outq_commit(struct outq *q, size_t n)
{
    BUG_ON(!q->tail || !is_block(q->tail) ||
           (size_t)(q->tail->end - (q->tail->p + q->tail->n)) < n);
    q->tail->n += n;
    q->bytes += (uint32_t)n;
}

static bool push_large_copy(struct outq *q, struct io *io, slice data)
{
    struct buf *b = buf_new(&io->owner, data.n);
    if (!b)
        return false;
    memcpy(b->p, data.p, data.n);
    b->n = data.n;
    bool ok = outq_push_shared(q, io, buf_slice(b), &b->shared);
    buf_release(&b);
    return ok;
}

bool outq_push_copy(struct outq *q, struct io *io, slice data)
{
    if (!data.n)
        return true;
    if (data.n > OUTQ_RESERVE_MAX)
        return push_large_copy(q, io, data);
    char *room = outq_reserve(q, io, data.n);
    if (!room)
        return false;
    memcpy(room, data.p, data.n);
    outq_commit(q, data.n);
    return true;
}

bool outq_push_shared(struct outq *q, struct io *io, slice data, struct shared *owner)
{
    BUG_ON(q->has_producer || data.n > UINT32_MAX / 2);
    if (!data.n)
        return true;
    struct outq_piece *piece = new_piece(io, PIECE_SHARED);
    if (!piece)
        return false;
    piece->p = (char *)data.p;
    piece->n = data.n;
    piece->owner = shared_hold(owner);
    append(q, piece);
    q->bytes += (uint32_t)data.n;
    return true;
}

bool outq_push_file(struct outq *q, struct io *io, int file, uint64_t offset, size_t count,
                    struct shared *owner)
{
    BUG_ON(q->has_producer || count == 0 || count >= 1 << 30);
    outq_sent(q, io,
              0); /* drops a reservation that came to nothing: the file may become the head */
    struct outq_piece *piece = new_piece(io, PIECE_FILE);
    if (!piece)
        return false;
    piece->file = file;
    piece->offset = offset;
    piece->n = count;
    piece->owner = shared_hold(owner);
    append(q, piece);
    q->bytes += (uint32_t)count;
    return true;
}

bool outq_push_producer(struct outq *q, struct io *io, struct producer *p)
{
    BUG_ON(q->has_producer);
    struct outq_piece *piece = new_piece(io, PIECE_PRODUCER);
    if (!piece) {
        p->ops->free(p);
        return false;
    }
    p->outq = q;
    p->is_waiting = false;
    piece->producer = p;
    append(q, piece);
    q->has_producer = true;
    return true;
}

int outq_gather(const struct outq *q, struct iovec *iov, int max, bool *more_out)
{
    int count = 0;
    const struct outq_piece *piece = q->head;
    for (; piece && is_memory(piece) && count < max; piece = piece->next)
        if (piece->n)
            iov[count++] = (struct iovec){.iov_base = piece->p, .iov_len = piece->n};
    *more_out = piece && piece->kind != PIECE_PRODUCER;
    return count;
}

bool outq_head_file(const struct outq *q, int *file_out, uint64_t *offset_out, size_t *count_out)
{
    if (!q->head || q->head->kind != PIECE_FILE)
        return false;
    *file_out = q->head->file;
    *offset_out = q->head->offset;
    *count_out = q->head->n;
    return true;
}

static void drop_head(struct outq *q, struct io *io)
{
    struct outq_piece *piece = q->head;
    q->head = piece->next;
    if (!q->head)
        q->tail = NULL;
    free_piece(io, piece);
}

void outq_sent(struct outq *q, struct io *io, size_t n)
{
    BUG_ON(n > q->bytes);
    q->bytes -= (uint32_t)n;
    while (q->head && q->head->kind != PIECE_PRODUCER && n >= q->head->n) {
        n -= q->head->n;
        drop_head(q, io);
    }
    if (!n)
        return;
    q->head->n -= n;
    if (q->head->kind == PIECE_FILE)
        q->head->offset += n;
    else
        q->head->p += n;
}

/* The producer's piece is taken off the end, so that what it pushes comes before it. */
static struct outq_piece *detach_producer(struct outq *q)
{
    struct outq_piece *piece = q->tail, *before = NULL;
    for (struct outq_piece *at = q->head; at != piece; at = at->next)
        before = at;
    q->tail = before;
    if (before)
        before->next = NULL;
    else
        q->head = NULL;
    q->has_producer = false;
    return piece;
}

enum producer_result outq_pull(struct outq *q, struct io *io)
{
    if (!q->has_producer)
        return PRODUCER_DONE;
    if (q->tail->producer->is_waiting)
        return PRODUCER_WAIT;
    struct outq_piece *piece = detach_producer(q);
    struct producer *p = piece->producer;
    enum producer_result result = p->ops->more(p, q);
    if (result == PRODUCER_DONE || result == PRODUCER_FAILED) {
        free_piece(io, piece);
        return result;
    }
    p->is_waiting = result == PRODUCER_WAIT;
    append(q, piece);
    q->has_producer = true;
    return result;
}

void outq_clear(struct outq *q, struct io *io)
{
    while (q->head)
        drop_head(q, io);
    q->bytes = 0;
    q->has_producer = false;
}

void producer_wake(struct producer *p)
{
    if (!p->outq || !p->is_waiting)
        return;
    p->is_waiting = false;
    stream_touch(CONTAINER_OF(p->outq, struct stream, out));
}
