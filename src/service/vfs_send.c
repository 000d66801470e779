/* vfs_send: the bytes of a file on their way to a client.
 *
 * Content in memory is pushed as it is. Else the file goes out window by window, each by sendfile,
 * and before that it is made sure that the window is in the page cache: sendfile of what is not
 * would wait for the disk, and the loop with it. What is cold is read once by a worker, which
 * leaves it in the page cache. Where nothing can be known (FUSE, network), the worker reads into
 * memory of ours, and that is sent. */
#include "service/vfs_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* A window is what is in the output queue at a time. It grows while the client is fast; a slow one
 * gets small ones, because what was found in memory may not be there any more when its turn comes.
 */
#define WINDOW_FIRST (256 * KIB)
#define WINDOW_MIN   (64 * KIB)
#define WINDOW_MAX   (4 * MIB)
/* Blocks that are read into memory count against the budget: smaller. */
#define BLOCK_FIRST (64 * KIB)
#define BLOCK_MIN   (16 * KIB)
#define BLOCK_MAX   (256 * KIB)
#define FAST_MS     250
#define WARM_MS     500 /* a whole small file that was in the page cache is taken to be there still */
#define COPY_MAX \
    (8 * KIB) /* content up to this is copied into the output queue, more is referred to */
#define SLOW_MS 2000
/* Without cachestat, one byte is tried in each such stretch. */
#define PROBE_BYTES (64 * KIB)

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
struct cachestat_range {
    uint64_t offset, bytes;
};
struct cachestat_pages {
    uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

struct sender {
    struct producer producer;
    struct vfs_task task;
    struct vfs *vfs;
    struct vfs_cnode *node; /* held */
    uint64_t at, end;       /* what was not pushed yet */
    uint64_t warm_end;      /* up to here a worker has just read */
    size_t window;
    int64_t pushed_ms; /* the window before */
    struct buf *block; /* read, or to be read, by the worker */
    size_t away_bytes; /* what the worker reads, from at */
    int error;         /* of the worker */
    bool is_away;
    bool is_orphan; /* freed while the worker was at it: task.done frees it */
};

/* ---- What is in memory? ---- */

/* 1: all pages of the range are in the page cache; 0: not all; < 0: the kernel does not say
 * (before 6.5; files of others). */
static int ask_cachestat(int fd, uint64_t offset, size_t n)
{
    struct cachestat_range range = {.offset = offset, .bytes = n};
    struct cachestat_pages pages;
    if (syscall(SYS_cachestat, fd, &range, &pages, 0) < 0)
        return -errno;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    return pages.cached > (offset + n - 1) / page - offset / page;
}

/* Is the byte there, read already? (cachestat counts pages that are still being read.) */
static bool probe_byte(int fd, uint64_t offset)
{
    char byte;
    struct iovec one = {.iov_base = &byte, .iov_len = 1};
    return preadv2(fd, &one, 1, (off_t)offset, RWF_NOWAIT) == 1;
}

static bool probe_bytes(int fd, uint64_t offset, size_t n)
{
    for (uint64_t at = offset; at < offset + n; at += PROBE_BYTES)
        if (!probe_byte(fd, at))
            return false;
    return probe_byte(fd, offset + n - 1);
}

/* False also when the file is shorter now: the worker will find out. */
static bool is_in_memory(const struct vfs_cnode *node, uint64_t offset, size_t n)
{
    if (node->way == VFS_WAY_MEMORY)
        return true;
    if (node->way == VFS_WAY_COPY)
        return false;
    int all = ask_cachestat(node->fd, offset, n);
    if (node->way == VFS_WAY_CACHED)
        return all > 0;
    if (all >= 0)
        return all > 0 && probe_byte(node->fd, offset + n - 1);
    return probe_bytes(node->fd, offset, n);
}

/* ---- The worker's part. ---- */

/* Reads [n] bytes to [p], or, when that is NULL, only into the page cache. */
static int read_range(int fd, char *p, uint64_t offset, size_t n)
{
    char scratch[32 * KIB];
    while (n) {
        size_t want = p ? n : MIN(n, sizeof scratch);
        ssize_t got = pread(fd, p ? p : scratch, want, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ENODATA; /* it became shorter */
        offset += (uint64_t)got;
        n -= (size_t)got;
        p = p ? p + got : NULL;
    }
    return 0;
}

static void run_read(struct work_job *job)
{
    struct sender *s = CONTAINER_OF(job, struct sender, task.job);
    int fd = s->node->fd;
    s->error = read_range(fd, s->block ? s->block->p : NULL, s->at, s->away_bytes);
    if (s->error == 0 && !s->block) /* the next one comes while this one is being sent */
        posix_fadvise(fd, (off_t)(s->at + s->away_bytes), WINDOW_MAX, POSIX_FADV_WILLNEED);
}

/* ---- The loop's part. ---- */

static void sender_free(struct sender *s)
{
    s->vfs->senders--;
    buf_release(&s->block);
    vfs_cnode_release(s->node);
    mem_free(&s->vfs->owner, s, sizeof *s);
}

static void read_done(struct vfs_task *t)
{
    struct sender *s = CONTAINER_OF(t, struct sender, task);
    s->is_away = false;
    if (s->is_orphan) {
        sender_free(s);
        return;
    }
    s->warm_end = s->at + s->away_bytes;
    producer_wake(&s->producer);
}

static enum producer_result read_away(struct sender *s, size_t n)
{
    s->task.job.run = run_read;
    s->task.done = read_done;
    s->away_bytes = n;
    s->is_away = true;
    vfs_lane_submit(s->node->lane, &s->task);
    return PRODUCER_WAIT;
}

static bool copies(const struct sender *s)
{
    return s->node->way == VFS_WAY_COPY;
}

/* The window before this one took so long. */
static void adapt_window(struct sender *s)
{
    int64_t now = loop_now_ms(s->vfs->loop), took = now - s->pushed_ms;
    if (s->pushed_ms && took < FAST_MS)
        s->window = MIN(s->window * 2, copies(s) ? BLOCK_MAX : WINDOW_MAX);
    else if (s->pushed_ms && took > SLOW_MS)
        s->window = MAX(s->window / 2, copies(s) ? BLOCK_MIN : WINDOW_MIN);
    s->pushed_ms = now;
}

static enum producer_result pushed(struct sender *s, bool ok, size_t n)
{
    if (!ok)
        return PRODUCER_FAILED;
    s->at += n;
    adapt_window(s);
    return s->at == s->end ? PRODUCER_DONE : PRODUCER_MORE;
}

static enum producer_result more_block(struct sender *s, struct outq *q, size_t n)
{
    if (s->block) { /* it has come back */
        bool ok = outq_push_shared(q, s->vfs->io, buf_slice(s->block), &s->block->shared);
        n = s->block->n;
        buf_release(&s->block);
        return pushed(s, ok, n);
    }
    s->block = buf_new(&s->vfs->owner, n);
    if (!s->block && n > BLOCK_MIN) {
        n = BLOCK_MIN;
        s->block = buf_new(&s->vfs->owner, n);
    }
    if (!s->block)
        return PRODUCER_FAILED;
    s->block->n = n;
    return read_away(s, n);
}

static enum producer_result more_window(struct sender *s, struct outq *q, size_t n)
{
    if (s->at < s->warm_end)
        n = (size_t)(s->warm_end - s->at); /* whatever became of it meanwhile: not asked for ever */
    else if (!is_in_memory(s->node, s->at, n))
        return read_away(s, n);
    return pushed(s, outq_push_file(q, s->vfs->io, s->node->fd, s->at, n, &s->node->node.shared),
                  n);
}

static enum producer_result sender_more(struct producer *p, struct outq *q)
{
    struct sender *s = CONTAINER_OF(p, struct sender, producer);
    if (s->is_away)
        return PRODUCER_WAIT;
    if (s->error)
        return PRODUCER_FAILED;
    size_t n = (size_t)MIN(s->end - s->at, (uint64_t)s->window);
    return copies(s) ? more_block(s, q, n) : more_window(s, q, n);
}

static void sender_drop(struct producer *p)
{
    struct sender *s = CONTAINER_OF(p, struct sender, producer);
    if (s->is_away && !vfs_lane_take_back(&s->task))
        s->is_orphan = true;
    else
        sender_free(s);
}

static const struct producer_ops sender_ops = {
    .name = "file", .more = sender_more, .free = sender_drop};

static bool push_sender(struct vfs *vfs, struct vfs_cnode *node, uint64_t offset, uint64_t count,
                        struct outq *q)
{
    struct sender *s = mem_alloc0(&vfs->owner, sizeof *s);
    if (!s)
        return false;
    s->producer.ops = &sender_ops;
    s->vfs = vfs;
    s->node = vfs_cnode_hold(node);
    s->at = offset;
    s->end = offset + count;
    s->window = copies(s) ? BLOCK_FIRST : WINDOW_FIRST;
    vfs->senders++;
    return outq_push_producer(q, vfs->io, &s->producer);
}

/* A little is copied to stand behind its header: one piece, one block, one send() for many
 * pipelined answers. */
static bool push_content(struct vfs *vfs, struct vfs_cnode *n, uint64_t offset, size_t count,
                         struct outq *q)
{
    slice bytes = slice_head(slice_skip(buf_slice(n->node.content), offset), count);
    if (count <= COPY_MAX)
        return outq_push_copy(q, vfs->io, bytes);
    return outq_push_shared(q, vfs->io, bytes, &n->node.shared);
}

/* As is_in_memory, but a file that is asked for all the time is looked at once in a while only: its
 * pages stay because they are used. */
static bool is_warm(struct vfs *vfs, struct vfs_cnode *n, uint64_t offset, size_t count)
{
    bool is_whole = offset == 0 && count == n->node.size;
    int64_t now = loop_now_ms(vfs->loop);
    if (is_whole && now < n->warm_until_ms)
        return true;
    if (!is_in_memory(n, offset, count))
        return false;
    if (is_whole)
        n->warm_until_ms = now + WARM_MS;
    return true;
}

bool vfs_push(struct vfs *vfs, struct vfs_node *node, uint64_t offset, uint64_t count,
              struct outq *q)
{
    struct vfs_cnode *n = CONTAINER_OF(node, struct vfs_cnode, node);
    BUG_ON(node->kind != VFS_FILE || offset > node->size || count > node->size - offset);
    if (count == 0)
        return true;
    if (node->content)
        return push_content(vfs, n, offset, (size_t)count, q);
    if (count <= WINDOW_FIRST && is_warm(vfs, n, offset, (size_t)count))
        return outq_push_file(q, vfs->io, n->fd, offset, (size_t)count, &node->shared);
    return push_sender(vfs, n, offset, count, q);
}
