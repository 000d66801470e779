/* vfs_tree: what the files of service/vfs share: the tree, and the lookups that are under way.
 * Private to vfs*.c. */
#ifndef SERVICE_VFS_TREE_H
#define SERVICE_VFS_TREE_H

#include "service/vfs_cache.h"

struct vfs {
    struct io *io;
    struct loop *loop;
    struct mem_owner owner; /* "cache" */
    struct vfs_settings settings;
    char suffixes[VFS_SIBLINGS_MAX][VFS_SUFFIX_MAX]; /* what settings.siblings are slices of */
    int root;
    struct vfs_lanes lanes;
    struct vfs_cache cache;
    struct hash_table lookups; /* under way, by path */
    struct list_node looking;  /* the same, in a list */
    size_t senders;            /* files being sent by a producer */
    struct timeout sweep;      /* set while there are open files */
    uint64_t hits, misses, refreshes;
};

/* One look at one name, for all who wait for it. */
struct vfs_lookup {
    struct vfs_task task;
    struct vfs_look look;
    struct vfs *vfs;
    struct hash_node hash;
    struct list_node link;    /* in vfs->looking, unless it is outdated */
    struct list_node waiters; /* struct vfs_open */
    struct vfs_cnode *old;    /* what is looked at again, held; or NULL */
    struct vfs_cnode *fresh;  /* what will be filled, held */
    size_t bytes;
    bool is_outdated; /* it began before a change: what it finds is not kept, and nobody joins it */
    char path[];      /* look.path */
};

/* The lookup of [path] that is under way, or NULL. */
struct vfs_lookup *vfs_lookup_find(const struct vfs *vfs, slice path, uint64_t hash);

/* Begins one; [old] is the cached node of that path, or NULL. NULL without memory. */
MUST_USE struct vfs_lookup *vfs_lookup_start(struct vfs *vfs, slice path, uint64_t hash,
                                             struct vfs_cnode *old);

/* Those of [path] and below it are outdated. */
void vfs_lookup_outdate(struct vfs *vfs, slice path);

/* Nobody waits any more: it is given up if it has not begun. */
void vfs_lookup_abandon(struct vfs_lookup *l);

#endif
