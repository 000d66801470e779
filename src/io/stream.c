/* stream: input handed up, output gathered and sent once per turn, deadlines, and the several ways
 * to end. */
#include "io/stream.h"

#include "base/check.h"

#include <errno.h>
#include <unistd.h>

/* stream.state */
enum { OPEN, CLOSING, LINGERING, CLOSED };

/* stream.flags */
enum {
    AT_EOF = 1,
    PAUSED = 2,
    IN_FLIGHT = 4, /* a send is with the loop: the queue's head must stay as it is */
    WAS_FULL = 8,  /* on_room is owed */
    WATCHED = 16,  /* output waits: the peer's rate is measured */
    LINGER = 32,
    CORKED = 64, /* a large file is under way: full segments only */
    SHUT = 128,  /* after what is queued comes the end of our side */
};

#define IOV_MAX_OUT    32
#define FLUSH_PER_TURN (4 * MIB) /* of one stream, before others have their turn */
#define INPUT_FIRST    512
#define LINGER_MAX     (1 * MIB) /* bytes that are dropped while we wait for the peer's end */

struct stream_input {
    size_t start, n, cap; /* unread: n bytes from start */
    char data[];
};

static struct io *io_of(const struct stream *s)
{
    return s->cls->io;
}

static struct loop *loop_of(const struct stream *s)
{
    return s->cls->io->loop;
}

static struct stream *of_lfd(struct loop_fd *lfd)
{
    return CONTAINER_OF(lfd, struct stream, lfd);
}

/* ---- Kept input ---- */

static void free_input(struct stream *s)
{
    if (s->in)
        mem_free(&io_of(s)->owner, s->in, sizeof *s->in + s->in->cap);
    s->in = NULL;
}

static bool grow_input(struct stream *s, size_t need)
{
    struct mem_owner *owner = &io_of(s)->owner;
    size_t old = s->in ? s->in->cap : 0;
    size_t cap = MAX(old * 2, INPUT_FIRST);
    while (cap < need)
        cap *= 2;
    struct stream_input *in = s->in ? mem_resize(owner, s->in, sizeof *in + old, sizeof *in + cap)
                                    : mem_alloc(owner, sizeof *in + cap);
    if (!in)
        return false;
    if (!s->in)
        in->start = in->n = 0;
    in->cap = cap;
    s->in = in;
    return true;
}

/* Appends to the unread bytes that are kept. */
static bool keep_input(struct stream *s, slice more)
{
    struct stream_input *in = s->in;
    if (in && in->start) {
        memmove(in->data, in->data + in->start, in->n);
        in->start = 0;
    }
    size_t have = in ? in->n : 0;
    if ((!in || in->cap - have < more.n) && !grow_input(s, have + more.n))
        return false;
    memcpy(s->in->data + have, more.p, more.n);
    s->in->n += more.n;
    return true;
}

slice stream_peek(const struct stream *s)
{
    const struct io *io = io_of(s);
    if (io->reading == s)
        return io->view;
    return s->in ? slice_of(s->in->data + s->in->start, s->in->n) : slice_of("", 0);
}

void stream_consume(struct stream *s, size_t n)
{
    struct io *io = io_of(s);
    BUG_ON(n > stream_peek(s).n);
    if (io->reading == s) {
        io->view = slice_skip(io->view, n);
    } else if (s->in) {
        s->in->start += n;
        s->in->n -= n;
        if (!s->in->n)
            free_input(s);
    }
}

bool stream_is_eof(const struct stream *s)
{
    return s->flags & AT_EOF;
}

/* ---- Deadlines: one timeout serves the owner's deadline, the rate watch and lingering. ---- */

static void set_timeout(struct stream *s)
{
    int64_t now = loop_now_ms(loop_of(s));
    int64_t due = s->deadline_ms;
    if (s->flags & WATCHED) {
        int64_t rate_due = now + (int32_t)(s->rate_due - (uint32_t)now);
        due = MIN(due, rate_due);
    }
    timeout_set(loop_wheel(loop_of(s)), &s->timeout, due);
}

/* Bytes that have reached the peer. */
static uint64_t delivered(struct stream *s)
{
    return s->bytes_out - loop_unsent(loop_of(s), &s->lfd);
}

/* What the peer must take in a window. Whoever is not held to a rate must at least take something
 * when only that keeps the connection: nothing else would ever end it. */
static uint64_t least(const struct stream *s)
{
    return s->cls->rate_bytes || s->state != CLOSING ? s->cls->rate_bytes : 1;
}

static void watch_rate(struct stream *s)
{
    s->flags |= WATCHED;
    s->rate_mark = delivered(s);
    uint32_t window = s->cls->rate_ms ? s->cls->rate_ms : STREAM_RATE_MS;
    s->rate_due = (uint32_t)loop_now_ms(loop_of(s)) + window;
    set_timeout(s);
}

static void unwatch_rate(struct stream *s)
{
    s->flags &= (uint8_t)~WATCHED;
    set_timeout(s);
}

static void check_rate(struct stream *s)
{
    uint64_t progress = delivered(s) - s->rate_mark;
    if (progress < least(s))
        stream_abort(s, -ETIMEDOUT);
    else
        watch_rate(s);
}

static void on_timeout(struct timeout *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, timeout);
    int64_t now = loop_now_ms(loop_of(s));
    if (s->state == LINGERING) {
        stream_abort(s, 0);
        return;
    }
    if (s->flags & WATCHED && (int32_t)((uint32_t)now - s->rate_due) >= 0)
        check_rate(s);
    if (s->state == OPEN && s->deadline_ms <= now) {
        s->deadline_ms = INT64_MAX;
        s->cls->ops->on_deadline(s);
    }
    if (s->state != CLOSED && !timeout_is_set(&s->timeout))
        set_timeout(s);
}

void stream_set_deadline(struct stream *s, int64_t ms)
{
    if (s->state != OPEN)
        return;
    s->deadline_ms = ms < 0 ? INT64_MAX : loop_now_ms(loop_of(s)) + ms;
    set_timeout(s);
}

/* ---- Ends ---- */

static void bury(struct loop_deferred *d)
{
    struct stream *s = CONTAINER_OF(d, struct stream, turn_end);
    outq_clear(&s->out, io_of(s)); /* what was pushed after the abort */
    s->cls->ops->on_closed(s, s->error);
}

void stream_abort(struct stream *s, int error)
{
    if (s->state == CLOSED)
        return;
    s->state = CLOSED;
    s->error = error;
    timeout_clear(&s->timeout);
    loop_close(loop_of(s), &s->lfd);
    outq_clear(&s->out, io_of(s));
    free_input(s);
    if (io_of(s)->reading == s)
        io_of(s)->view = slice_of("", 0);
    s->turn_end.fn = bury;
    loop_bury(loop_of(s), &s->turn_end);
}

static void begin_linger(struct stream *s)
{
    s->state = LINGERING;
    s->rate_mark = 0; /* from here on: bytes dropped */
    loop_shutdown(loop_of(s), &s->lfd);
    timeout_set(loop_wheel(loop_of(s)), &s->timeout, loop_now_ms(loop_of(s)) + s->cls->linger_ms);
    loop_recv_start(loop_of(s), &s->lfd);
}

/* All output is with the kernel. */
static void finish_close(struct stream *s)
{
    if (s->flags & LINGER && !(s->flags & AT_EOF))
        begin_linger(s);
    else
        stream_abort(s, 0);
}

void stream_close(struct stream *s, bool linger)
{
    if (s->state != OPEN)
        return;
    s->state = CLOSING;
    s->deadline_ms = INT64_MAX;
    set_timeout(s);
    if (linger)
        s->flags |= LINGER;
    loop_recv_stop(loop_of(s), &s->lfd);
    stream_touch(s);
}

/* ---- Output ---- */

void stream_shutdown(struct stream *s)
{
    if (s->state != OPEN || s->flags & SHUT)
        return;
    s->flags |= SHUT;
    stream_touch(s);
}

bool stream_is_shut(const struct stream *s)
{
    return s->flags & SHUT;
}

void stream_touch(struct stream *s)
{
    if (s->state <= CLOSING)
        loop_defer(loop_of(s), &s->turn_end);
}

bool stream_is_full(struct stream *s)
{
    bool full = s->out.bytes >= s->cls->high_bytes || s->out.has_producer;
    if (full) /* whoever asked wants to be told when that changes */
        s->flags |= WAS_FULL;
    return full;
}

/* Asks the producer until the low mark is reached. One that has nothing yet, but does not wait, is
 * asked again in the next turn. False: the stream is gone (more() may have aborted it). */
static bool pull(struct stream *s)
{
    while (s->out.has_producer && s->out.bytes < s->cls->low_bytes) {
        uint32_t before = s->out.bytes;
        enum producer_result result = outq_pull(&s->out, io_of(s));
        if (result == PRODUCER_FAILED)
            stream_abort(s, -EIO);
        if (s->state == CLOSED)
            return false;
        if (result == PRODUCER_WAIT)
            return true;
        if (result == PRODUCER_MORE && s->out.bytes == before) {
            stream_touch(s);
            return true;
        }
    }
    return true;
}

/* While a file of more than one window goes out (measured with 1 GiB: a sixth less time for a
 * byte). A file that goes out in one call is not worth two more. */
static void cork(struct stream *s, bool on)
{
    if (on == !!(s->flags & CORKED))
        return;
    s->flags ^= CORKED;
    loop_cork(loop_of(s), &s->lfd, on);
}

static ssize_t send_head(struct stream *s)
{
    struct loop *loop = loop_of(s);
    int file;
    uint64_t offset;
    size_t count;
    if (outq_head_file(&s->out, &file, &offset, &count)) {
        if (s->out.has_producer)
            cork(s, true);
        ssize_t n = loop_sendfile(loop, &s->lfd, file, offset, count);
        return n == 0 ? -EIO : n; /* the file became shorter: the promised length cannot be kept */
    }
    struct iovec iov[IOV_MAX_OUT];
    bool more;
    int pieces = outq_gather(&s->out, iov, IOV_MAX_OUT, &more);
    return loop_send(loop, &s->lfd, iov, pieces, more);
}

/* Sends until the kernel takes no more, the queue is empty or the turn's share is spent. */
static void send_all(struct stream *s)
{
    size_t budget = FLUSH_PER_TURN;
    while (!(s->flags & IN_FLIGHT)) {
        if (!pull(s))
            return;
        if (!s->out.bytes) {
            cork(s,
                 false); /* also while the producer waits: what the client has got is not held up */
            return;
        }
        ssize_t n = send_head(s);
        if (n == LOOP_PENDING) {
            s->flags |= IN_FLIGHT;
        } else if (n < 0) {
            stream_abort(s, (int)n);
            return;
        } else {
            outq_sent(&s->out, io_of(s), (size_t)n);
            s->bytes_out += (uint64_t)n;
            if ((size_t)n >= budget) {
                stream_touch(s);
                return;
            }
            budget -= (size_t)n;
        }
    }
}

static void flush(struct loop_deferred *d)
{
    struct stream *s = CONTAINER_OF(d, struct stream, turn_end);
    send_all(s);
    if (s->state == CLOSED)
        return;
    bool waits = s->flags & IN_FLIGHT && least(s);
    if (waits && !(s->flags & WATCHED))
        watch_rate(s);
    else if (!waits && s->flags & WATCHED && !s->out.bytes)
        unwatch_rate(s);
    if (s->state == CLOSING) {
        if (!s->out.bytes && !s->out.has_producer)
            finish_close(s);
        return;
    }
    if (s->flags & SHUT && !s->out.bytes && !s->out.has_producer)
        loop_shutdown(loop_of(s), &s->lfd);
    if (s->flags & WAS_FULL && s->out.bytes < s->cls->low_bytes && !s->out.has_producer) {
        s->flags &= (uint8_t)~WAS_FULL;
        s->cls->ops->on_room(s);
    }
}

static void on_sent(struct loop_fd *lfd, ssize_t n)
{
    struct stream *s = of_lfd(lfd);
    s->flags &= (uint8_t)~IN_FLIGHT;
    if (n < 0) {
        stream_abort(s, (int)n);
        return;
    }
    outq_sent(&s->out, io_of(s), (size_t)n);
    s->bytes_out += (uint64_t)n;
    stream_touch(s);
}

/* ---- Input ---- */

/* Shows the loop's own buffer to the owner; only what it leaves unread is copied. */
static void show_view(struct stream *s, slice in)
{
    struct io *io = io_of(s);
    io->reading = s;
    io->view = in;
    s->cls->ops->on_input(s);
    slice left = io->view;
    io->reading = NULL;
    if (left.n && s->state == OPEN && !keep_input(s, left))
        stream_abort(s, -ENOMEM);
}

static void drop_lingering(struct stream *s, slice in, int end)
{
    s->rate_mark += in.n;
    if (!in.n || s->rate_mark > LINGER_MAX)
        stream_abort(s, 0);
}

static void take_input(struct stream *s, slice in, int end)
{
    if (s->state == LINGERING) {
        drop_lingering(s, in, end);
    } else if (end < 0) {
        stream_abort(s, end);
    } else if (in.n && !s->in) {
        show_view(s, in);
    } else if (in.n && !keep_input(s, in)) {
        stream_abort(s, -ENOMEM);
    } else {
        if (!in.n)
            s->flags |= AT_EOF;
        s->cls->ops->on_input(s);
    }
}

/* What the owner says to these bytes goes out now, not after all other streams have had theirs: the
 * blocks that hold it are still in the processor's cache, and the next stream gets the same ones
 * (measured: pipelined requests cost a third). */
static void on_recv(struct loop_fd *lfd, slice in, int end)
{
    struct stream *s = of_lfd(lfd);
    s->bytes_in += in.n;
    take_input(s, in, end);
    if (s->state <= CLOSING && list_is_linked(&s->turn_end.link)) {
        loop_defer_cancel(&s->turn_end);
        flush(&s->turn_end);
    }
}

void stream_pause(struct stream *s)
{
    if (s->state != OPEN || s->flags & PAUSED)
        return;
    s->flags |= PAUSED;
    loop_recv_stop(loop_of(s), &s->lfd);
}

void stream_resume(struct stream *s)
{
    if (s->state != OPEN || !(s->flags & PAUSED))
        return;
    s->flags &= (uint8_t)~PAUSED;
    if (!(s->flags & AT_EOF))
        loop_recv_start(loop_of(s), &s->lfd);
}

int stream_open(struct stream *s, const struct stream_class *cls, int fd)
{
    static const struct loop_fd_ops ops = {.on_recv = on_recv, .on_sent = on_sent};
    *s = (struct stream){.cls = cls, .deadline_ms = INT64_MAX};
    timeout_init(&s->timeout, on_timeout);
    loop_deferred_init(&s->turn_end, flush);
    int error = loop_open(cls->io->loop, &s->lfd, fd, &ops);
    if (error < 0) {
        s->state = CLOSED;
        close(fd);
        return error;
    }
    loop_recv_start(cls->io->loop, &s->lfd);
    return 0;
}
