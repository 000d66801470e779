/* loop_sim_send: what becomes of bytes that the loop sends: taken at once, in part, later or never;
 * and the watch over the memory of a pending send. */
#include "loop/loop_sim_impl.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* 0: it may go on; else why not. Counts the call. */
static int refuse_send(struct sim_end *e, enum sim_call call)
{
    BUG_ON(e->send.is_pending); /* on_sent has not told the end of the last one */
    int error = sim_call(e->sim, call);
    if (error)
        return error;
    if (e->cut_sent == e->sent_bytes && !e->is_reset)
        sim_end_reset(e);
    if (e->is_shut)
        return -EPIPE;
    return e->is_reset ? (e->is_told ? -EPIPE : -ECONNRESET) : 0;
}

static ssize_t pend(struct sim_end *e, bool takes)
{
    e->send.is_pending = true;
    e->send.takes = takes;
    e->send.due_ns = sim_later_ns(e->sim);
    e->send.count = 0;
    e->send.file = -1;
    return LOOP_PENDING;
}

/* How many of [n] bytes are taken; 0: none now. */
static size_t amount(struct sim_end *e, size_t n)
{
    n = MIN(n, sim_end_room(e));
    if (e->sim->settings.send_max)
        n = MIN(n, e->sim->settings.send_max);
    if (n && sim_chance(e->sim, e->sim->settings.send_short))
        n = sim_some_of(e->sim, n);
    return n;
}

static size_t bytes_in(const struct iovec *iov, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    return n;
}

static void take(struct sim_end *e, const struct iovec *iov, size_t n)
{
    for (; n; iov++) {
        size_t part = MIN(n, iov->iov_len);
        if (part)
            sim_end_push(e, slice_of(iov->iov_base, part));
        n -= part;
    }
}

static ssize_t take_later(struct sim_end *e, const struct iovec *iov, int count, size_t n)
{
    ssize_t result = pend(e, true);
    struct sim_send *s = &e->send;
    memcpy(s->iov, iov, (size_t)count * sizeof *iov);
    s->count = count;
    s->copy = sim_alloc(n);
    s->copy_bytes = n;
    size_t at = 0;
    for (int i = 0; i < count; at += iov[i++].iov_len)
        if (iov[i].iov_len)
            memcpy(s->copy + at, iov[i].iov_base, iov[i].iov_len);
    return result;
}

ssize_t sim_send(struct loop_backend *b, struct loop_fd *lfd, const struct iovec *iov, int count,
                 bool more)
{
    struct sim_end *e = sim_end_of_lfd(b, lfd);
    if (!e)
        return -EBADF;
    size_t all = bytes_in(iov, count);
    BUG_ON(all == 0);
    int error = refuse_send(e, SIM_SEND);
    if (error)
        return error;
    size_t n = amount(e, all);
    if (n == 0 || sim_chance(e->sim, e->sim->settings.send_blocked))
        return pend(e, false);
    if (count <= (int)COUNT_OF(e->send.iov) && sim_chance(e->sim, e->sim->settings.send_delayed))
        return take_later(e, iov, count, all);
    take(e, iov, n);
    return (ssize_t)n;
}

/* Reads from the real file. 0: it has no such bytes. */
static ssize_t take_file(struct sim_end *e, int file, uint64_t offset, size_t n)
{
    char *room = sim_alloc(n);
    ssize_t got = pread(file, room, n, (off_t)offset);
    if (got < 0)
        got = -errno;
    if (got > 0)
        sim_end_push(e, slice_of(room, (size_t)got));
    free(room);
    return got;
}

ssize_t sim_sendfile(struct loop_backend *b, struct loop_fd *lfd, int file, uint64_t offset,
                     size_t count)
{
    struct sim_end *e = sim_end_of_lfd(b, lfd);
    if (!e)
        return -EBADF;
    BUG_ON(count == 0);
    int error = refuse_send(e, SIM_SENDFILE);
    if (error)
        return error;
    size_t n = MIN(amount(e, count), SIM_CHUNK);
    if (n == 0 || sim_chance(e->sim, e->sim->settings.send_blocked))
        return pend(e, false);
    if (!sim_chance(e->sim, e->sim->settings.send_delayed))
        return take_file(e, file, offset, n);
    struct stat st;
    BUG_ON(fstat(file, &st) < 0);
    if ((uint64_t)st.st_size <= offset)
        return 0; /* at once: later it could not be told */
    ssize_t result = pend(e, true);
    e->send.file = file;
    e->send.offset = offset;
    e->send.file_bytes = MIN(count, SIM_CHUNK);
    e->send.dev = st.st_dev;
    e->send.ino = st.st_ino;
    return result;
}

/* What a pending send named is as it was (BUG otherwise). */
static void check_memory(const struct sim_send *s)
{
    const char *copy = s->copy;
    for (int i = 0; i < s->count; copy += s->iov[i++].iov_len) {
        bool is_memory_of_a_pending_send_unchanged =
            s->iov[i].iov_len == 0 || memcmp(copy, s->iov[i].iov_base, s->iov[i].iov_len) == 0;
        BUG_ON(!is_memory_of_a_pending_send_unchanged);
    }
    struct stat st;
    if (s->file < 0)
        return;
    bool is_file_of_a_pending_send_open =
        fstat(s->file, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino;
    BUG_ON(!is_file_of_a_pending_send_open);
}

void sim_tell_sent(struct sim_end *e)
{
    struct sim_send *s = &e->send;
    if (s->takes)
        check_memory(s);
    s->is_pending = false;
    if (e->cut_sent == e->sent_bytes && !e->is_reset)
        sim_end_reset(e);
    ssize_t n = 0;
    if (e->is_reset) {
        n = -ECONNRESET;
    } else if (s->takes && s->file >= 0) {
        n = take_file(e, s->file, s->offset, MIN(sim_end_room(e), s->file_bytes));
    } else if (s->takes) {
        n = (ssize_t)amount(e, s->copy_bytes);
        take(e, s->iov, (size_t)n);
    }
    free(s->copy);
    s->copy = NULL;
    e->lfd->ops->on_sent(e->lfd, n);
}
