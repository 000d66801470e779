/* vfs_look: O_PATH first, then open.
 *
 * Opening a FIFO or a device can wait, or do something; looking with O_PATH cannot. So only what is
 * a regular file is opened, and what was opened must be what was looked at: else it was replaced in
 * between, and all begins anew. */
#include "service/vfs_look.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TRIES 4

/* Time stamps of file systems are as coarse as two seconds (FAT); most tick with the kernel, 1 to
 * 10 ms. */
#define RECENT_S 2

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same(const struct vfs_seen *a, const struct vfs_seen *b)
{
    if (a->kind != b->kind || a->error != b->error)
        return false;
    if (a->kind == VFS_ABSENT)
        return true;
    return a->dev == b->dev && a->ino == b->ino && a->mode == b->mode && a->size == b->size &&
           is_same_time(a->mtime, b->mtime) && is_same_time(a->ctime, b->ctime) &&
           a->siblings == b->siblings;
}

static void see(struct vfs_seen *seen, const struct stat *st)
{
    seen->dev = st->st_dev;
    seen->ino = st->st_ino;
    seen->mode = st->st_mode;
    seen->size = (uint64_t)st->st_size;
    seen->mtime = st->st_mtim;
    seen->ctime = st->st_ctim;
    if (S_ISREG(st->st_mode)) {
        seen->kind = VFS_FILE;
    } else if (S_ISDIR(st->st_mode)) {
        seen->kind = VFS_DIR;
    } else {
        seen->kind = VFS_ABSENT;
        seen->error = -EACCES;
    }
}

static void be_absent(struct vfs_look *l, int error)
{
    l->seen = (struct vfs_seen){.kind = VFS_ABSENT, .error = error};
}

static int stat_path(const struct vfs_look *l, struct stat *st)
{
    int fd = vfs_resolve(&l->from, l->path, O_PATH);
    if (fd < 0)
        return fd;
    int error = fstat(fd, st) < 0 ? -errno : 0;
    close(fd); /* an O_PATH descriptor: nothing is flushed */
    return error;
}

static unsigned find_siblings(struct vfs_look *l)
{
    unsigned found = 0;
    for (unsigned i = 0; i < VFS_SIBLINGS_MAX; i++) {
        slice suffix = l->suffixes[i];
        struct stat st;
        if (suffix.n == 0)
            continue;
        memcpy(l->path + l->path_bytes, suffix.p, suffix.n);
        l->path[l->path_bytes + suffix.n] = '\0';
        if (stat_path(l, &st) == 0 && S_ISREG(st.st_mode))
            found |= 1u << i;
    }
    l->path[l->path_bytes] = '\0';
    return found;
}

/* 1: all [n] bytes; 0: the file is shorter now; or -errno. */
static int read_all(int fd, char *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = pread(fd, p + at, n - at, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : 0;
        at += (size_t)got;
    }
    return 1;
}

/* The whole content, if the file did not change under our hands (then 0) and can be read (else
 * -errno). */
static int read_content(struct vfs_look *l, int fd)
{
    struct buf *b = buf_new(NULL, (size_t)l->seen.size);
    if (!b)
        return 0;
    b->n = (size_t)l->seen.size;
    int got = read_all(fd, b->p, b->n);
    struct stat st;
    if (got > 0 && fstat(fd, &st) == 0) {
        struct vfs_seen after = l->seen;
        see(&after, &st);
        if (is_same(&after, &l->seen)) {
            l->content = b;
            return 1;
        }
        got = 0;
    }
    buf_release(&b);
    return got < 0 ? got : 0;
}

static enum vfs_way find_way(int fd)
{
    char byte;
    struct iovec one = {.iov_base = &byte, .iov_len = 1};
    if (preadv2(fd, &one, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN)
        return VFS_WAY_NOWAIT;
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        return VFS_WAY_COPY;
    if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)
        return VFS_WAY_MEMORY;
    return fs.f_type == OVERLAYFS_SUPER_MAGIC ? VFS_WAY_CACHED : VFS_WAY_COPY;
}

/* Opens what was seen. False: it was replaced meanwhile. */
static bool load_file(struct vfs_look *l)
{
    int fd = vfs_resolve(&l->from, l->path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        be_absent(l, fd);
        return true;
    }
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_dev != l->seen.dev ||
        st.st_ino != l->seen.ino) {
        close(fd);
        return false;
    }
    see(&l->seen, &st);
    int got = l->seen.size < l->room ? read_content(l, fd) : 0;
    if (got == 0) {
        l->fd = fd;
        l->way = find_way(fd);
        return true;
    }
    if (got < 0)
        be_absent(l, got);
    close(fd);
    return true;
}

static bool must_load(const struct vfs_look *l)
{
    if (l->seen.kind != VFS_FILE)
        return false;
    if (!l->known || !is_same(l->known, &l->seen))
        return true;
    /* A file that was read when it had just been changed, or that is held by descriptor though it
     * is small enough to be read (there was no room then). */
    return l->known_content ? l->known_is_recent : l->seen.size < l->room;
}

static bool has_known_content(const struct vfs_look *l)
{
    const struct buf *known = l->known_content;
    if (!known)
        return !l->content;
    return l->content && slice_is(buf_slice(known), buf_slice(l->content));
}

/* Decides whether what is known still holds, and then drops what was loaded. */
static void compare(struct vfs_look *l, bool was_loaded)
{
    if (!l->known || !is_same(l->known, &l->seen) || (was_loaded && !has_known_content(l)))
        return;
    l->is_unchanged = true;
    buf_release(&l->content);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

static bool look_once(struct vfs_look *l)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    l->seen = (struct vfs_seen){0};
    struct stat st;
    int error = stat_path(l, &st);
    if (error < 0)
        be_absent(l, error);
    else
        see(&l->seen, &st);
    if (l->seen.kind == VFS_FILE)
        l->seen.siblings = find_siblings(l);
    bool loads = must_load(l);
    if (loads && !load_file(l))
        return false;
    l->is_recent = l->seen.ctime.tv_sec >= now.tv_sec - RECENT_S;
    compare(l, loads);
    return true;
}

void vfs_look_run(struct vfs_look *l)
{
    l->is_unchanged = false;
    l->content = NULL;
    l->fd = -1;
    for (int tries = 0; tries < TRIES; tries++)
        if (look_once(l))
            return;
    be_absent(l, -EAGAIN);
}
