/* vfs_resolve: from a path within the tree to a descriptor, by the kernel and never out of the
 * root.
 *
 * Blocking: for worker threads. Touches nothing but the kernel and its arguments. */
#ifndef SERVICE_VFS_RESOLVE_H
#define SERVICE_VFS_RESOLVE_H

#include "base/slice.h"

/* From where, and how far. */
struct vfs_from {
    int root; /* O_PATH */
    /* The first so many bytes of the path are a mount point below the root ("/m"); 0: none is. */
    size_t mount_bytes;
    /* Links may lead into other mounts. When false, what would touch another mount is -EXDEV at
     * once, as is a link out of the root: so a mount that hangs cannot catch a thread that works
     * for another one. */
    bool may_cross;
};

/* The longest path, NUL included (PATH_MAX). */
#define VFS_PATH_BYTES 4096

/* 0 when [path] is what vfs.h demands; -EINVAL, -ENAMETOOLONG. */
MUST_USE int vfs_path_check(slice path);

/* Opens the checked [path] (NUL-terminated) with [flags] (O_CLOEXEC is added): a descriptor, or
 * -errno. */
MUST_USE int vfs_resolve(const struct vfs_from *from, const char *path, int flags);

#endif
