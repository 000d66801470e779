/* store_disk: the journal's system calls. A worker makes them, but for opening.
 *
 * After fsync has failed, the kernel may take what it could not write for written: such a file is
 * lost, and only a new one helps. */
#include "base/fmt.h"
#include "service/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int store_disk_write(int fd, uint64_t offset, slice bytes)
{
    while (bytes.n) {
        ssize_t n = pwrite(fd, bytes.p, bytes.n, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        bytes = slice_skip(bytes, (size_t)n);
        offset += (uint64_t)n;
    }
    return 0;
}

int store_disk_append(int fd, uint64_t offset, slice mark, slice bytes, bool *is_lost_out)
{
    *is_lost_out = false;
    int error = store_disk_write(fd, offset, mark);
    if (!error)
        error = store_disk_write(fd, offset + mark.n, bytes);
    if (error) {
        *is_lost_out = ftruncate(fd, (off_t)offset) < 0;
        return error;
    }
    if (fdatasync(fd) < 0) {
        *is_lost_out = true;
        return -errno;
    }
    return 0;
}

static int close_with(int fd, int error)
{
    close(fd);
    return error;
}

int store_disk_create(const char *path, uint64_t salt)
{
    char head[STORE_FILE_HEAD];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return close_with(fd, -errno);
    store_head_put(head, salt);
    int error = store_disk_write(fd, 0, slice_of(head, sizeof head));
    return error ? close_with(fd, error) : fd;
}

/* Is [fd] still what the name stands for? Another process may have put a new file in its place just
 * before we got the lock. */
static bool is_current(int fd, const char *path)
{
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

int store_disk_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return close_with(fd, -errno);
    if (!is_current(fd, path))
        return close_with(fd, -EWOULDBLOCK);
    return fd;
}

static int sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    slice name = slice_str(path);
    ssize_t slash = slice_find_last(name, '/');
    struct fmt f = fmt_on(folder, sizeof folder - 1);
    fmt_put(&f, slash < 0 ? SLICE(".") : slice_head(name, (size_t)slash + 1));
    *f.p = '\0';
    int fd = f.full ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return f.full ? -ENAMETOOLONG : -errno;
    int error = fsync(fd) < 0 ? -errno : 0;
    return close_with(fd, error);
}

int store_disk_publish(int fd, const char *from, const char *to, bool *is_renamed_out)
{
    *is_renamed_out = false;
    if (fsync(fd) < 0 || rename(from, to) < 0)
        return -errno;
    *is_renamed_out = true;
    return sync_folder_of(to);
}

int store_disk_cut(int fd, uint64_t bytes)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if ((uint64_t)st.st_size > bytes && ftruncate(fd, (off_t)bytes) < 0)
        return -errno;
    return fdatasync(fd) < 0 ? -errno : 0;
}
