/* stream: bytes in, bytes out, with back-pressure and deadlines, over one descriptor (TCP, Unix
 * socket; later TLS inside).
 *
 * Input: on_input is told when there are unread bytes; the owner looks at them with stream_peek and
 * says with stream_consume what it has understood. A stream with nothing unread owns no input
 * buffer: the bytes stand in the loop's shared one. Output: the owner appends to the output queue;
 * when its input has been dealt with (or, for what is pushed at other times, at the
 * end of the turn) all of it goes out in one call. While more than the high mark is queued,
 * the owner should stop producing (stream_is_full) and is told on_room when it is below the low
 * mark again.
 *
 * Lifetime: embedded in its owner (a session). stream_open ... stream_close or stream_abort ...
 * on_closed, once, at the end of a turn: there the owner may free it. All functions but stream_open
 * are harmless on a closed stream. Nothing here calls back before returning. */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include "base/mem.h"
#include "base/pool.h"
#include "io/outq.h"
#include "loop/loop.h"

struct stream;

struct stream_ops {
    /* There are unread bytes, or the input has ended (stream_is_eof), or both. What is not consumed
     * is kept and shown again with the next bytes. */
    void (*on_input)(struct stream *s);
    /* Told once after stream_is_full has answered true: when less than the low mark is queued and
     * no producer is at work. Not told to who has not asked, nor after stream_close. */
    void (*on_room)(struct stream *s);
    /* The time of stream_set_deadline has come. */
    void (*on_deadline)(struct stream *s);
    /* It is over; [error] is 0 or a negative errno (-ETIMEDOUT: the peer took or sent too little).
     */
    void (*on_closed)(struct stream *s, int error);
};

/* What all streams have in common: memory, pools, the loop. One per loop. */
struct io {
    /* read-only */
    struct loop *loop;
    struct mem_owner owner; /* "streams" */
    /* private */
    struct pool small, big, pieces; /* blocks and pieces of output queues */
    struct stream *reading;         /* whose unread bytes stand in the loop's buffer */
    slice view;
};
void io_init(struct io *io, struct loop *loop, struct mem_book *book);
void io_fini(struct io *io);

#define STREAM_RATE_MS 30000

/* What the streams of one server have in common. Outlives its streams. */
struct stream_class {
    const struct stream_ops *ops;
    struct io *io;
    uint32_t low_bytes, high_bytes; /* marks of the output queue */
    uint64_t rate_bytes; /* a peer that takes less than this per rate_ms while output waits is cut
                            off; 0 = never, but after stream_close it must take something */
    uint32_t rate_ms;    /* 0 = STREAM_RATE_MS */
    uint32_t linger_ms;  /* longest time to wait for the peer's end after stream_close(s, true) */
};

struct stream {
    /* read-only */
    struct loop_fd lfd;
    const struct stream_class *cls;
    struct outq out; /* push with outq_push_*, then stream_touch */
    uint64_t bytes_in, bytes_out;
    /* private */
    struct timeout timeout;
    struct loop_deferred turn_end; /* flush, or bury */
    struct stream_input *in;       /* unread bytes that had to be kept */
    int64_t deadline_ms;
    union {
        uint64_t rate_mark; /* bytes that the peer had when the rate window began; while it lingers:
                               bytes dropped */
        int error;          /* closed: for on_closed */
    };
    uint32_t rate_due; /* when the rate window ends: low bits of loop_now_ms */
    uint8_t state;
    uint8_t flags;
};

/* [fd] is the stream's from now on, also on failure (it is closed then). < 0: -errno; on_closed is
 * not called then. Input is told from this turn on. */
MUST_USE int stream_open(struct stream *s, const struct stream_class *cls, int fd);

/* All unread bytes, contiguous. Valid until the caller returns to the loop or consumes. */
slice stream_peek(const struct stream *s);
void stream_consume(struct stream *s, size_t n);
/* The peer will send no more (what is unread is all). */
bool stream_is_eof(const struct stream *s);

/* Stops on_input (and reading: the kernel's window closes) / goes on; unread bytes are shown again
 * by the owner's own call of peek. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* Something was pushed: the stream is served at the end of the turn. */
void stream_touch(struct stream *s);
/* Above the high mark, or a producer is at work. */
bool stream_is_full(struct stream *s);

/* on_deadline is told [ms] from now; replaces; < 0 clears. */
void stream_set_deadline(struct stream *s, int64_t ms);

static inline bool stream_has_deadline(const struct stream *s)
{
    return s->deadline_ms != INT64_MAX;
}

/* No more input is told; what is queued is sent, then the connection ends. [linger]: the peer may
 * still be sending: end our side, read and drop its bytes for a while, so that it can read our
 * answer (RFC 9112 9.6). */
void stream_close(struct stream *s, bool linger);

/* Nothing more will be pushed: when what is queued has been sent the peer is told the end (TCP
 * FIN). Input goes on; the connection lasts until stream_close or stream_abort. */
void stream_shutdown(struct stream *s);
bool stream_is_shut(const struct stream *s);

/* At once; queued output is lost. [error] is handed to on_closed. */
void stream_abort(struct stream *s, int error);

static inline bool stream_is_open(const struct stream *s)
{
    return s->state == 0;
}

#endif
