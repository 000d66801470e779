/* vfs_change_run: the directory that a name stands in is resolved by openat2; then everything
 * happens to the last part of the name, relative to that descriptor, so nothing that others rename
 * meanwhile can lead elsewhere. */
#include "service/vfs_change_run.h"

#include "base/fmt.h"
#include "base/mem.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define READ_FIRST (4 * KIB)

int vfs_place_find(const struct vfs_from *from, const char *path, struct vfs_place *place)
{
    char parent[VFS_PATH_BYTES];
    slice whole = slice_str(path);
    while (whole.n > 1 && whole.p[whole.n - 1] == '/')
        whole.n--;
    if (whole.n <= 1)
        return -EBUSY; /* the root itself is not changed */
    ssize_t slash = slice_find_last(whole, '/');
    if (slash < 0 || whole.n >= sizeof parent)
        return -EINVAL;
    size_t cut = (size_t)slash;
    slice name = slice_skip(whole, cut + 1);
    if (name.n >= sizeof place->name)
        return -ENAMETOOLONG;
    memcpy(place->name, name.p, name.n);
    place->name[name.n] = '\0';
    memcpy(parent, whole.p, MAX(cut, 1));
    parent[MAX(cut, 1)] = '\0';
    struct vfs_from of_parent = *from;
    if (from->mount_bytes > cut)
        of_parent.mount_bytes = 0; /* the path is a mount point itself */
    place->dir = vfs_resolve(&of_parent, parent, O_PATH | O_DIRECTORY);
    return place->dir < 0 ? place->dir : 0;
}

/* -errno of a system call that returned [result]. */
static int error_of(int result)
{
    return result < 0 ? -errno : 0;
}

/* ---- Reading ---- */

static bool grow(struct vfs_change_run *r, size_t room)
{
    char *p = r->text ? mem_raw_resize(r->text, room) : mem_raw_alloc(room);
    if (!p)
        return false;
    r->text = p;
    r->text_room = room;
    return true;
}

/* To its end, wherever that is: the size of some files (/proc) says nothing, and others grow. */
static int read_all(struct vfs_change_run *r, int fd)
{
    size_t room = MIN(MAX((size_t)r->st.st_size + 1, READ_FIRST), r->max + 1);
    for (;;) {
        if (r->bytes == r->text_room &&
            !grow(r, r->text_room ? MIN(2 * r->text_room, r->max + 1) : room))
            return -ENOMEM;
        ssize_t n = read(fd, r->text + r->bytes, r->text_room - r->bytes);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        r->bytes += n > 0 ? (size_t)n : 0;
        if (r->bytes > r->max)
            return -EFBIG;
    }
}

static int check_regular(struct vfs_change_run *r, int fd)
{
    if (fstat(fd, &r->st) < 0)
        return -errno;
    if (S_ISDIR(r->st.st_mode))
        return -EISDIR;
    return S_ISREG(r->st.st_mode) ? 0 : -EACCES;
}

static int run_read(struct vfs_change_run *r)
{
    int fd = vfs_resolve(&r->from, r->path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fd;
    int error = check_regular(r, fd);
    if (!error && (uint64_t)r->st.st_size > r->max)
        error = -EFBIG;
    if (!error)
        error = read_all(r, fd);
    close(fd);
    return error;
}

static int run_stat(struct vfs_change_run *r)
{
    int fd = vfs_resolve(&r->from, r->path, O_PATH);
    if (fd < 0)
        return fd;
    int error = error_of(fstat(fd, &r->st));
    close(fd);
    return error;
}

/* ---- Writing ---- */

int vfs_write_all(int fd, slice data)
{
    while (data.n) {
        ssize_t n = write(fd, data.p, data.n);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            data = slice_skip(data, (size_t)n);
    }
    return 0;
}

void vfs_place_name(char name[64])
{
    uint64_t random;
    rand_fill(&random, sizeof random);
    (void)snprintf(name, 64, ".medusa-%016llx.tmp", (unsigned long long)random);
}

int vfs_place_sync(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 ? -errno : error_of(fsync(fd));
    if (fd >= 0)
        close(fd);
    return error;
}

int vfs_place_put(const struct vfs_place *to, const char *temporary, bool is_exclusive)
{
    if (!is_exclusive)
        return error_of(renameat(to->dir, temporary, to->dir, to->name));
    int error = error_of(renameat2(to->dir, temporary, to->dir, to->name, RENAME_NOREPLACE));
    if (error != -EINVAL && error != -ENOSYS)
        return error;
    error = error_of(
        linkat(to->dir, temporary, to->dir, to->name, 0)); /* a file system that cannot do that */
    return error ? error : error_of(unlinkat(to->dir, temporary, 0));
}

static int fill(const struct vfs_change_run *r, const struct vfs_place *to, int fd)
{
    struct stat st;
    if (fstatat(to->dir, to->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (r->is_exclusive)
            return -EEXIST;
        if (S_ISDIR(st.st_mode))
            return -EISDIR;
        if (S_ISREG(st.st_mode) && fchmod(fd, st.st_mode & 07777) < 0)
            return -errno;
    }
    int error = vfs_write_all(fd, r->data);
    return !error && r->is_synced ? error_of(fsync(fd)) : error;
}

static int write_beside(const struct vfs_change_run *r, const struct vfs_place *to)
{
    char temporary[64];
    vfs_place_name(temporary);
    int fd = openat(to->dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    int error = fill(r, to, fd);
    int closed = error_of(close(fd)); /* where a full disk of some network file systems is told */
    if (!error)
        error = closed;
    if (!error)
        error = vfs_place_put(to, temporary, r->is_exclusive);
    if (error)
        (void)unlinkat(to->dir, temporary, 0);
    else if (r->is_synced)
        error = vfs_place_sync(to->dir);
    return error;
}

/* What is there is opened by its whole path, so that links within the tree lead to their file; else
 * it is made. */
static int open_to_append(const struct vfs_change_run *r, const struct vfs_place *to)
{
    int fd = vfs_resolve(&r->from, r->path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
    if (fd != -ENOENT)
        return fd;
    fd = openat(to->dir, to->name,
                O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    return fd < 0 ? -errno : fd;
}

static int append(struct vfs_change_run *r, const struct vfs_place *to)
{
    int fd = open_to_append(r, to);
    if (fd < 0)
        return fd;
    int error = check_regular(r, fd);
    if (!error)
        error = vfs_write_all(fd, r->data);
    if (!error && r->is_synced)
        error = error_of(fsync(fd));
    int closed = error_of(close(fd));
    return error ? error : closed;
}

static int rename_to(const struct vfs_change_run *r, const struct vfs_place *at)
{
    struct vfs_place to;
    int error = vfs_place_find(&r->to_from, r->to, &to);
    if (error)
        return error;
    error = error_of(
        renameat2(at->dir, at->name, to.dir, to.name, r->is_exclusive ? RENAME_NOREPLACE : 0));
    close(to.dir);
    return error;
}

static int change_at(struct vfs_change_run *r, const struct vfs_place *at)
{
    switch (r->op) {
    case VFS_WRITE:
        return write_beside(r, at);
    case VFS_APPEND:
        return append(r, at);
    case VFS_REMOVE:
        return error_of(unlinkat(at->dir, at->name, 0));
    case VFS_RENAME:
        return rename_to(r, at);
    case VFS_MKDIR:
        return error_of(mkdirat(at->dir, at->name, 0777));
    case VFS_RMDIR:
        return error_of(unlinkat(at->dir, at->name, AT_REMOVEDIR));
    case VFS_READ:
    case VFS_STAT:
        break;
    }
    return -EINVAL;
}

/* "/a/" is a directory: no file is written or removed under that name. */
static bool is_file_op(enum vfs_change_op op)
{
    return op == VFS_WRITE || op == VFS_APPEND || op == VFS_REMOVE;
}

static int run_change(struct vfs_change_run *r)
{
    slice path = slice_str(r->path);
    struct vfs_place at;
    if (is_file_op(r->op) && path.p[path.n - 1] == '/')
        return -EISDIR;
    int error = vfs_place_find(&r->from, r->path, &at);
    if (error)
        return error;
    error = change_at(r, &at);
    close(at.dir);
    return error;
}

void vfs_change_run(struct vfs_change_run *r)
{
    if (r->error)
        return;
    if (r->op == VFS_READ)
        r->error = run_read(r);
    else if (r->op == VFS_STAT)
        r->error = run_stat(r);
    else
        r->error = run_change(r);
}
