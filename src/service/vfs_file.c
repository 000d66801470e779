/* vfs_file: one job that goes to the lane and back again for each operation. */
#include "service/vfs_file.h"

#include "service/vfs_change_run.h"
#include "service/vfs_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum file_op { OP_OPEN, OP_READ, OP_WRITE, OP_CLOSE };

struct vfs_file {
    struct vfs_task task;
    struct vfs *vfs;
    struct vfs_lane *lane; /* held once it is open */
    vfs_file_fn done;
    void *owner;
    bool is_busy, is_dropped;
    enum vfs_file_mode mode;
    enum file_op op;
    /* The worker's while it is away. */
    struct vfs_from from;
    struct vfs_place place; /* dir -1: none */
    char temporary[64];     /* "": none */
    int fd;
    int error;  /* of this operation */
    int broken; /* of the first write that failed: nothing is kept then */
    bool keeps, syncs;
    char *p; /* data, charged to the tree */
    size_t n, room;
    size_t bytes;
    char path[];
};

/* ---- On the worker ---- */

static int open_temporary(struct vfs_file *f)
{
    struct stat st;
    bool is_there = fstatat(f->place.dir, f->place.name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (is_there && f->mode == VFS_FILE_CREATE)
        return -EEXIST;
    if (is_there && S_ISDIR(st.st_mode))
        return -EISDIR;
    char name[sizeof f->temporary];
    vfs_place_name(name);
    f->fd = openat(f->place.dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (f->fd < 0)
        return -errno;
    memcpy(f->temporary, name, sizeof name);
    if (is_there && S_ISREG(st.st_mode) && fchmod(f->fd, st.st_mode & 07777) < 0)
        return -errno;
    return 0;
}

/* As vfs_change: what is there is found by its whole path, links within the tree included. */
static int open_named(struct vfs_file *f)
{
    int flags = f->mode == VFS_FILE_READ ? O_RDONLY | O_NONBLOCK : O_WRONLY | O_APPEND | O_NONBLOCK;
    f->fd = vfs_resolve(&f->from, f->path, flags | O_NOCTTY);
    if (f->fd == -ENOENT && f->mode == VFS_FILE_APPEND) {
        int made =
            openat(f->place.dir, f->place.name, flags | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
        f->fd = made < 0 ? -errno : made;
    }
    struct stat st;
    if (f->fd < 0)
        return f->fd;
    if (fstat(f->fd, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) ? 0 : S_ISDIR(st.st_mode) ? -EISDIR : -EACCES;
}

static int run_open(struct vfs_file *f)
{
    slice path = slice_str(f->path);
    if (path.p[path.n - 1] == '/')
        return -EISDIR;
    int error = f->mode == VFS_FILE_READ ? 0 : vfs_place_find(&f->from, f->path, &f->place);
    if (error) {
        f->place.dir = -1;
        return error;
    }
    bool is_beside = f->mode == VFS_FILE_REPLACE || f->mode == VFS_FILE_CREATE;
    return is_beside ? open_temporary(f) : open_named(f);
}

static int run_read(struct vfs_file *f)
{
    for (;;) {
        ssize_t n = read(f->fd, f->p, f->room);
        f->n = n > 0 ? (size_t)n : 0;
        if (n >= 0 || errno != EINTR)
            return n < 0 ? -errno : 0;
    }
}

static void close_all(struct vfs_file *f)
{
    if (f->temporary[0])
        (void)unlinkat(f->place.dir, f->temporary, 0);
    if (f->fd >= 0)
        close(f->fd);
    if (f->place.dir >= 0)
        close(f->place.dir);
    f->fd = f->place.dir = -1;
    f->temporary[0] = '\0';
}

static int keep_file(struct vfs_file *f)
{
    if (f->syncs && fsync(f->fd) < 0)
        return -errno;
    int fd = f->fd;
    f->fd = -1;
    if (close(fd) < 0)
        return -errno;
    if (!f->temporary[0])
        return 0;
    int error = vfs_place_put(&f->place, f->temporary, f->mode == VFS_FILE_CREATE);
    if (error)
        return error;
    f->temporary[0] = '\0';
    return f->syncs ? vfs_place_sync(f->place.dir) : 0;
}

static void run_file(struct work_job *job)
{
    struct vfs_file *f = CONTAINER_OF(job, struct vfs_file, task.job);
    switch (f->op) {
    case OP_OPEN:
        f->error = f->error ? f->error : run_open(f);
        if (f->error)
            close_all(f);
        break;
    case OP_READ:
        f->error = run_read(f);
        break;
    case OP_WRITE:
        f->error = vfs_write_all(f->fd, slice_of(f->p, f->n));
        if (f->error)
            f->broken = f->error;
        break;
    case OP_CLOSE:
        f->error = !f->keeps || f->fd < 0 ? 0 : f->broken ? f->broken : keep_file(f);
        close_all(f);
        break;
    }
}

/* ---- In the loop ---- */

static void submit(struct vfs_file *f, enum file_op op)
{
    f->op = op;
    f->is_busy = true;
    vfs_lane_submit(f->lane, &f->task);
}

static void free_file(struct vfs_file *f)
{
    vfs_lane_release(f->lane);
    mem_free(&f->vfs->owner, f->p, f->room);
    mem_free(&f->vfs->owner, f, f->bytes);
}

static bool go_on_crossing(struct vfs_file *f)
{
    if (f->op != OP_OPEN || f->error != -EXDEV || f->from.may_cross)
        return false;
    struct vfs_lane *lane = vfs_lane_crossing(&f->vfs->lanes);
    if (!lane)
        return false;
    vfs_lane_release(f->lane);
    vfs_lane_hold(lane);
    f->lane = lane;
    f->from.may_cross = true;
    f->error = 0;
    submit(f, OP_OPEN);
    return true;
}

static void file_done(struct vfs_task *t)
{
    struct vfs_file *f = CONTAINER_OF(t, struct vfs_file, task);
    if (go_on_crossing(f))
        return;
    f->is_busy = false;
    bool changes = f->mode != VFS_FILE_READ && f->op != OP_READ;
    if (changes)
        vfs_forget(f->vfs, slice_str(f->path));
    bool is_over = f->op == OP_CLOSE;
    if (f->is_dropped && !is_over) {
        f->keeps = false;
        submit(f, OP_CLOSE);
        return;
    }
    if (!f->is_dropped)
        f->done(f, f->error, f->op == OP_READ ? slice_of(f->p, f->n) : SLICE(""), f->owner);
    if (is_over)
        free_file(f);
}

struct vfs_file *vfs_file_open(struct vfs *vfs, slice path, enum vfs_file_mode mode,
                               vfs_file_fn done, void *owner)
{
    int error = vfs_path_check(path);
    if (error)
        path = SLICE("/");
    size_t bytes = sizeof(struct vfs_file) + path.n + 1;
    struct vfs_file *f = mem_alloc0(&vfs->owner, bytes);
    if (!f)
        return NULL;
    *f = (struct vfs_file){.vfs = vfs, .done = done, .owner = owner, .mode = mode, .bytes = bytes};
    f->fd = f->place.dir = -1;
    f->from.root = vfs->root;
    memcpy(f->path, path.p, path.n);
    f->task.job.run = run_file;
    f->task.done = file_done;
    f->lane = vfs_lane_of(&vfs->lanes, path, &f->from);
    if (!f->lane) {
        mem_free(&vfs->owner, f, bytes);
        return NULL;
    }
    vfs_lane_hold(f->lane);
    f->error = error;
    submit(f, OP_OPEN);
    return f;
}

/* Room for [n] bytes of data. */
static bool need(struct vfs_file *f, size_t n)
{
    BUG_ON(f->is_busy || f->is_dropped);
    if (n <= f->room)
        return true;
    mem_free(&f->vfs->owner, f->p, f->room);
    f->p = mem_alloc(&f->vfs->owner, n);
    f->room = f->p ? n : 0;
    return f->p != NULL;
}

bool vfs_file_read(struct vfs_file *f, size_t n)
{
    BUG_ON(f->mode != VFS_FILE_READ || n == 0);
    if (f->room > n) { /* room says how much to read */
        mem_free(&f->vfs->owner, f->p, f->room);
        f->p = NULL;
        f->room = 0;
    }
    if (!need(f, n))
        return false;
    submit(f, OP_READ);
    return true;
}

bool vfs_file_write(struct vfs_file *f, slice data)
{
    BUG_ON(f->mode == VFS_FILE_READ);
    if (!need(f, MAX(data.n, 1)))
        return false;
    if (data.n)
        memcpy(f->p, data.p, data.n);
    f->n = data.n;
    submit(f, OP_WRITE);
    return true;
}

void vfs_file_close(struct vfs_file *f, bool keep, bool sync)
{
    BUG_ON(f->is_busy || f->is_dropped);
    f->keeps = keep;
    f->syncs = sync;
    submit(f, OP_CLOSE);
}

void vfs_file_drop(struct vfs_file *f)
{
    BUG_ON(f->is_dropped);
    f->is_dropped = true;
    if (f->is_busy)
        return; /* file_done closes it */
    f->keeps = false;
    submit(f, OP_CLOSE);
}
