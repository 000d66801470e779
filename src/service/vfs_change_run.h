/* vfs_change_run: the part of vfs_change that blocks. For worker threads: touches only the struct,
 * what it points to, and the kernel. */
#ifndef SERVICE_VFS_CHANGE_RUN_H
#define SERVICE_VFS_CHANGE_RUN_H

#include "service/vfs_change.h"
#include "service/vfs_resolve.h"

struct vfs_change_run {
    /* in */
    enum vfs_change_op op;
    struct vfs_from from, to_from;
    const char *path, *to; /* checked (vfs_path_check) */
    slice data;
    size_t max;
    bool is_synced, is_exclusive;
    /* out */
    int error;  /* not 0 before: nothing is done */
    char *text; /* mem_raw_alloc; NULL or text_room bytes */
    size_t bytes, text_room;
    struct stat st;
};

void vfs_change_run(struct vfs_change_run *r);

#endif
