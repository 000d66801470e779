/* vfs_change: what programs do to a tree, other than serve it: read a whole file, write, remove,
 * rename, make directories.
 *
 * All of it runs on the worker lane of the mount, and every name is resolved by the kernel inside
 * the root (vfs_resolve.h): neither ".." nor a link leads out. The last part of a name is never
 * followed when it is changed: what is removed, renamed or replaced is the link itself. When [done]
 * is told, the cache has forgotten what was changed.
 *
 * A file is written under another name beside it (".medusa-*.tmp") and then renamed: who reads sees
 * the old one or the new one, whole. After a crash such a name may be left behind. */
#ifndef SERVICE_VFS_CHANGE_H
#define SERVICE_VFS_CHANGE_H

#include "service/vfs.h"

struct vfs_change_job;

enum vfs_change_op {
    VFS_READ,   /* text: the whole file, of at most max bytes, else -EFBIG */
    VFS_STAT,   /* st; links are followed */
    VFS_WRITE,  /* [data] becomes the file; the mode of a file that is replaced is kept */
    VFS_APPEND, /* [data] to its end, in one write as far as the system does it; made when it is not
                   there */
    VFS_REMOVE, /* a file or a link */
    VFS_RENAME, /* [path] becomes [to], which is replaced when it is a file */
    VFS_MKDIR,
    VFS_RMDIR, /* an empty directory */
};

struct vfs_change {
    /* public: filled before vfs_change_start, which copies what slices lead to */
    enum vfs_change_op op;
    slice path, to, data;
    size_t max;        /* VFS_READ */
    bool is_synced;    /* VFS_WRITE, VFS_APPEND: on the disk when it is done */
    bool is_exclusive; /* VFS_WRITE, VFS_RENAME: -EEXIST when the name is there */
    void (*done)(struct vfs_change *c);

    /* read-only result */
    int error; /* 0 or -errno; -EINVAL: a path is none; -EXDEV: it leads out of the tree, or [to] is
                  in another mount */
    slice text;
    struct stat st;

    /* private */
    struct vfs_change_job *job;
};

/* done is called in a later turn. False without memory: it is not called then. */
MUST_USE bool vfs_change_start(struct vfs *vfs, struct vfs_change *c);

/* Frees the result. Before done was called: it will not be, but what was asked for may still
 * happen. Harmless on a zeroed struct, and again. */
void vfs_change_fini(struct vfs_change *c);

#endif
