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

/* ---- For vfs_file.c, on a worker too. ---- */

/* Where the last part of a path is changed: the caller closes dir. */
struct vfs_place {
    int dir; /* O_PATH */
    char name[256];
};

/* 0 or -errno. */
MUST_USE int vfs_place_find(const struct vfs_from *from, const char *path, struct vfs_place *place);

/* A name for what is being written beside it. */
void vfs_place_name(char name[64]);

/* What stands under [temporary] becomes the place's name; when [is_exclusive] only if that is free.
 * 0 or -errno. */
MUST_USE int vfs_place_put(const struct vfs_place *to, const char *temporary, bool is_exclusive);

/* The names of the directory are on the disk. 0 or -errno. */
MUST_USE int vfs_place_sync(int dir);

/* 0 or -errno. */
MUST_USE int vfs_write_all(int fd, slice data);

#endif
