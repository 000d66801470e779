/* vfs_resolve: openat2(2).
 *
 * RESOLVE_BENEATH makes the kernel check every step against the root while it walks, so that a
 * rename or a link that changes in the middle of the walk cannot lead out: nothing that a check in
 * user space could promise. */
#include "service/vfs_resolve.h"

#include "service/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

/* With "..": in a link, the kernel gives up with EAGAIN when something was renamed or mounted
 * meanwhile. */
#define TRIES 64

int vfs_path_check(slice path)
{
    if (path.n == 0 || path.p[0] != '/' || slice_find(path, '\0') >= 0)
        return -EINVAL;
    if (path.n >= VFS_PATH_BYTES)
        return -ENAMETOOLONG;
    slice rest = slice_skip(path, 1);
    while (rest.n) {
        slice name;
        if (!slice_cut(&rest, '/', &name) || name.n == 0)
            return -EINVAL;
        if (slice_is(name, SLICE(".")) || slice_is(name, SLICE("..")))
            return -EINVAL;
    }
    return 0;
}

static int open_at(int dir, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = resolve};
    for (int tries = 0;;) {
        long fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
        if (fd >= 0)
            return (int)fd;
        if (errno == EINTR || (errno == EAGAIN && ++tries < TRIES))
            continue;
        return -errno;
    }
}

int vfs_root_open(const char *root)
{
    return open_at(AT_FDCWD, root, O_PATH | O_DIRECTORY, 0);
}

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)

/* Below a mount point, the walk starts there, and so can be kept inside. The mount's descriptor is
 * not kept between calls: it would keep the operator from unmounting. */
static int resolve_in_mount(const struct vfs_from *from, const char *path, int flags)
{
    char mount[VFS_PATH_BYTES];
    size_t n = from->mount_bytes;
    memcpy(mount, path, n);
    mount[n] = '\0';
    int dir = open_at(from->root, mount + 1, O_PATH | O_DIRECTORY, BENEATH | RESOLVE_NO_SYMLINKS);
    if (dir < 0)
        return dir;
    int fd = open_at(dir, path + n + 1, flags, BENEATH | RESOLVE_NO_XDEV);
    close(dir);
    return fd;
}

int vfs_resolve(const struct vfs_from *from, const char *path, int flags)
{
    const char *below = path[1] ? path + 1 : ".";
    if (from->may_cross)
        return open_at(from->root, below, flags, BENEATH);
    size_t n = from->mount_bytes;
    if (n == 0)
        return open_at(from->root, below, flags, BENEATH | RESOLVE_NO_XDEV);
    if (path[n] == '/' && path[n + 1])
        return resolve_in_mount(from, path, flags);
    return open_at(from->root, below, flags,
                   BENEATH | RESOLVE_NO_SYMLINKS); /* the mount point itself */
}
