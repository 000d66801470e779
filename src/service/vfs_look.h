/* vfs_look: looks at one name on disk: what stands there, is it still what it was, its content when
 * it is small.
 *
 * Blocking: run on a worker. Touches only the struct and what it points to, which stays as it is
 * meanwhile. */
#ifndef SERVICE_VFS_LOOK_H
#define SERVICE_VFS_LOOK_H

#include "base/buf.h"
#include "service/vfs.h"
#include "service/vfs_resolve.h"

#define VFS_SUFFIX_MAX 16

/* What was seen of a name. Two that are equal stand for the same file in the same state. */
struct vfs_seen {
    enum vfs_kind kind;
    int error;
    dev_t dev;
    ino_t ino;
    mode_t mode;
    uint64_t size;
    struct timespec mtime, ctime;
    unsigned siblings;
};

/* How an open file may be sent without blocking the loop. */
enum vfs_way {
    VFS_WAY_NOWAIT, /* preadv2(RWF_NOWAIT) says what is in memory */
    VFS_WAY_CACHED, /* that is not supported, but cachestat can be believed (overlayfs) */
    VFS_WAY_MEMORY, /* a file system in memory */
    VFS_WAY_COPY,   /* nothing is known (FUSE, network): a worker reads it */
};

struct vfs_look {
    /* in */
    struct vfs_from from;
    char *path; /* path_bytes and a NUL, in room for VFS_SUFFIX_MAX more */
    size_t path_bytes;
    const slice *suffixes; /* VFS_SIBLINGS_MAX of them */
    size_t room;           /* a file of fewer bytes than this is read; 0: none */
    /* What was seen before, NULL for the first look; and its content when that was read. */
    const struct vfs_seen *known;
    const struct buf *known_content;
    bool known_is_recent; /* as is_recent then: the same times do not prove the same content */

    /* out */
    bool is_unchanged; /* [known] still holds; no content and no descriptor then */
    struct vfs_seen seen;
    struct buf *content; /* raw (buf_new without owner), of exactly seen.size */
    int fd;              /* of a file whose content was not read, else -1 */
    enum vfs_way way;
    bool
        is_recent; /* it was changed so shortly ago that another change may not show in its times */
};

void vfs_look_run(struct vfs_look *l);

#endif
