/* vfs_list: what a directory holds, read on a worker.
 *
 * The names are read in one go and looked at one by one. A link counts as what it leads to, if that
 * is inside the root; other special things are left out. The result is built in memory without an
 * account and charged when it is back in the loop. */
#include "service/vfs_tree.h"
#include "wire/char_class.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct vfs_list_job {
    struct vfs_task task;
    struct vfs *vfs;
    struct vfs_list *list; /* whom to tell; NULL = nobody any more */
    struct vfs_from from;
    size_t max_entries;
    bool hidden;
    bool is_done; /* in the loop */
    /* result */
    int error;
    bool is_cut;
    bool is_crossing; /* a link leads into another mount: only the crossing lane may follow it */
    struct vfs_entry *entries;
    size_t count, room;
    char *names; /* entries[i].name.p is NULL until the end: they stand here one after another */
    size_t names_bytes, names_room;
    size_t charged; /* of entries and names, in the loop */
    size_t path_bytes;
    char path[]; /* and room for "/", a name and a NUL */
};

#define NAME_BYTES 256

/* ---- The worker's part. ---- */

/* Doubles an array of [room] bytes until [need] fit. */
static bool grow(void *array, size_t *room, size_t need, size_t used)
{
    if (need <= *room)
        return true;
    char **at = array, *old = *at;
    size_t more = MAX(MAX(2 * *room, need), 4 * KIB);
    char *p = mem_raw_alloc(more);
    if (!p)
        return false;
    if (used)
        memcpy(p, old, used);
    mem_raw_free(old);
    *at = p;
    *room = more;
    return true;
}

static int add_entry(struct vfs_list_job *j, slice name, const struct stat *st)
{
    if (!grow(&j->entries, &j->room, (j->count + 1) * sizeof *j->entries,
              j->count * sizeof *j->entries) ||
        !grow(&j->names, &j->names_room, j->names_bytes + name.n, j->names_bytes))
        return -ENOMEM;
    memcpy(j->names + j->names_bytes, name.p, name.n);
    j->names_bytes += name.n;
    j->entries[j->count++] = (struct vfs_entry){.name.n = name.n,
                                                .kind = S_ISDIR(st->st_mode) ? VFS_DIR : VFS_FILE,
                                                .size = (uint64_t)st->st_size,
                                                .mtime_s = st->st_mtim.tv_sec};
    return 0;
}

/* What the link [name] leads to. False: nothing that could be opened. */
static bool follow(struct vfs_list_job *j, slice name, struct stat *st)
{
    char *end = j->path + j->path_bytes;
    if (end[-1] != '/')
        *end++ = '/';
    memcpy(end, name.p, name.n);
    end[name.n] = '\0';
    int fd = vfs_resolve(&j->from, j->path, O_PATH);
    j->path[j->path_bytes] = '\0';
    if (fd == -EXDEV && !j->from.may_cross)
        j->is_crossing = true;
    bool ok = fd >= 0 && fstat(fd, st) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* A directory may be the point where a mount that hangs begins, and is not worth waiting for. */
static bool look_at(int dir, const struct dirent *d, struct stat *st)
{
    struct statx x;
    int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    if (d->d_type == DT_DIR)
        flags |= AT_STATX_DONT_SYNC;
    if (statx(dir, d->d_name, flags, STATX_BASIC_STATS, &x) < 0)
        return false;
    st->st_mode = x.stx_mode;
    st->st_size = (off_t)x.stx_size;
    st->st_mtim.tv_sec = x.stx_mtime.tv_sec;
    return true;
}

/* No URL leads there: uri_path_decode lets no control character through. */
static bool is_unreachable(slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if (char_is(name.p[i], CHAR_CONTROL))
            return true;
    return false;
}

static bool is_wanted(const struct vfs_list_job *j, slice name)
{
    if (slice_is(name, SLICE(".")) || slice_is(name, SLICE("..")) || name.n >= NAME_BYTES)
        return false;
    return (j->hidden || name.p[0] != '.') && !is_unreachable(name);
}

static int read_entry(struct vfs_list_job *j, int dir, const struct dirent *d)
{
    slice name = slice_str(d->d_name);
    struct stat st;
    if (!is_wanted(j, name) || !look_at(dir, d, &st))
        return 0;
    if (S_ISLNK(st.st_mode) && !follow(j, name, &st))
        return 0;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return 0;
    if (j->count == j->max_entries) {
        j->is_cut = true;
        return 0;
    }
    return add_entry(j, name, &st);
}

static int read_dir(struct vfs_list_job *j, DIR *dir)
{
    int error = 0;
    while (!error && !j->is_cut && !j->is_crossing) {
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (!d)
            return -errno;
        error = read_entry(j, dirfd(dir), d);
    }
    return error;
}

static void set_names(struct vfs_list_job *j)
{
    const char *p = j->names;
    for (size_t i = 0; i < j->count; i++) {
        j->entries[i].name.p = p;
        p += j->entries[i].name.n;
    }
}

static void run_list(struct work_job *job)
{
    struct vfs_list_job *j = CONTAINER_OF(job, struct vfs_list_job, task.job);
    if (j->error)
        return; /* the path is none */
    int fd = vfs_resolve(&j->from, j->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir) {
        j->error = read_dir(j, dir);
        closedir(dir);
    } else {
        j->error = fd < 0 ? fd : -ENOMEM;
        if (fd >= 0)
            close(fd);
    }
    set_names(j);
}

/* ---- The loop's part. ---- */

static void drop_result(struct vfs_list_job *j)
{
    mem_raw_free(j->entries);
    mem_raw_free(j->names);
    mem_discharge(&j->vfs->owner, j->charged);
    j->entries = NULL;
    j->names = NULL;
    j->count = j->room = j->names_bytes = j->names_room = j->charged = 0;
}

static size_t job_bytes(size_t path_bytes)
{
    return sizeof(struct vfs_list_job) + path_bytes + 1 + NAME_BYTES + 1;
}

static void job_free(struct vfs_list_job *j)
{
    drop_result(j);
    mem_free(&j->vfs->owner, j, job_bytes(j->path_bytes));
}

/* Again, where links may lead into other mounts. */
static bool go_on_crossing(struct vfs_list_job *j)
{
    if (j->from.may_cross || !j->list || (!j->is_crossing && j->error != -EXDEV))
        return false;
    drop_result(j);
    struct vfs_lane *lane = vfs_lane_crossing(&j->vfs->lanes);
    j->error = lane ? 0 : -ENOMEM;
    if (!lane)
        return false;
    j->is_crossing = false;
    j->is_cut = false;
    j->from.may_cross = true;
    vfs_lane_submit(lane, &j->task);
    return true;
}

static void list_done(struct vfs_task *t)
{
    struct vfs_list_job *j = CONTAINER_OF(t, struct vfs_list_job, task);
    if (go_on_crossing(j))
        return;
    struct vfs_list *l = j->list;
    if (!l) {
        job_free(j);
        return;
    }
    size_t bytes = j->room + j->names_room;
    if (bytes && mem_charge(&j->vfs->owner, bytes))
        j->charged = bytes;
    else if (bytes)
        j->error = -ENOMEM;
    if (j->error)
        drop_result(j);
    j->is_done = true;
    l->error = j->error;
    l->entries = j->entries;
    l->count = j->count;
    l->is_cut = j->is_cut;
    l->done(l);
}

bool vfs_list(struct vfs *vfs, slice path, struct vfs_list *l)
{
    int error = vfs_path_check(path);
    if (error)
        path = SLICE("/");
    struct vfs_list_job *j = mem_alloc0(&vfs->owner, job_bytes(path.n));
    l->job = j;
    if (!j)
        return false;
    memcpy(j->path, path.p, path.n);
    j->path_bytes = path.n;
    j->vfs = vfs;
    j->list = l;
    j->error = error;
    j->max_entries = l->max_entries;
    j->hidden = l->hidden;
    j->from.root = vfs->root;
    j->task.job.run = run_list;
    j->task.done = list_done;
    struct vfs_lane *lane = vfs_lane_of(&vfs->lanes, path, &j->from);
    if (!lane) {
        l->job = NULL;
        job_free(j);
        return false;
    }
    vfs_lane_submit(lane, &j->task);
    return true;
}

void vfs_list_fini(struct vfs_list *l)
{
    struct vfs_list_job *j = l->job;
    l->job = NULL;
    l->entries = NULL;
    l->count = 0;
    if (!j)
        return;
    if (j->is_done || vfs_lane_take_back(&j->task))
        job_free(j);
    else
        j->list = NULL; /* list_done frees it */
}
