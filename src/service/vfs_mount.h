/* vfs_mount: which mount below the root a path belongs to, from /proc/self/mountinfo.
 *
 * Only names are compared, no disk is touched: a link that leads into another mount is noticed when
 * it is resolved (vfs_resolve.h). Where there is no /proc, no mounts are known. */
#ifndef SERVICE_VFS_MOUNT_H
#define SERVICE_VFS_MOUNT_H

#include "base/mem.h"
#include "base/slice.h"

#define VFS_MOUNTS_MAX 256 /* those beyond count as part of the mount that they stand in */

struct vfs_mounts {
    /* read-only */
    slice points[VFS_MOUNTS_MAX]; /* below the root: "/m" */
    size_t count;
    /* private */
    struct mem_owner *owner;
    int root;
    int fd; /* /proc/self/mountinfo, or -1 */
    bool is_stale;
    char *text; /* what points are slices of */
    size_t text_bytes;
};

/* [root] is the descriptor of the tree's root; it stays the caller's. */
void vfs_mounts_init(struct vfs_mounts *m, struct mem_owner *owner, int root);
void vfs_mounts_fini(struct vfs_mounts *m);

/* Reads the table again if the kernel says that it changed (one poll when not). True when it was
 * read. */
bool vfs_mounts_update(struct vfs_mounts *m);

/* How many first bytes of [path] are a mount point; 0: it belongs to the root's mount. */
size_t vfs_mounts_match(const struct vfs_mounts *m, slice path);

/* Finds in the mountinfo [text] of [n] bytes the mount points below [root] (a real path), relative
 * to it. They are decoded into the front of text; *used_out says how much of it. Returns their
 * number. */
size_t vfs_mounts_parse(char *text, size_t n, slice root, slice points[VFS_MOUNTS_MAX],
                        size_t *used_out);

#endif
