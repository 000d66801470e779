/* vfs_lane: which worker threads a task runs on: those of the mount that it concerns.
 *
 * One lane per mount, made when it is first needed. Tasks beyond twice the lane's threads wait
 * here, in the loop, where they can still be taken back: on a disk that hangs only requests that
 * somebody waits for pile up. */
#ifndef SERVICE_VFS_LANE_H
#define SERVICE_VFS_LANE_H

#include "loop/loop.h"
#include "service/vfs_mount.h"
#include "service/vfs_resolve.h"

struct vfs_lane;

/* One piece of work, embedded in its owner. */
struct vfs_task {
    /* public: filled before submitting; job.done is set here */
    struct work_job job; /* job.run */
    void (*done)(struct vfs_task *t);
    /* Memory that run may take with mem_raw_alloc: charged from when the task leaves for its thread
     * until just before done. */
    size_t wants_bytes;
    /* read-only */
    size_t granted_bytes; /* wants_bytes, or 0: there was none */
    int64_t started_ms;   /* loop_now_ms when it left for its thread */
    /* private */
    struct list_node link;
    struct vfs_lane *lane;
    bool is_queued;
};

struct vfs_lanes {
    /* read-only */
    size_t busy; /* tasks that wait or run */
    struct vfs_mounts mounts;
    /* private */
    struct loop *loop;
    struct mem_owner *owner;
    unsigned threads;
    struct list_node list;
    struct vfs_lane *root;     /* of the root's own mount */
    struct vfs_lane *crossing; /* of whatever a link led to in another mount; made when needed */
};

/* False without memory; nothing to undo then. [owner] and the descriptor [root] are the caller's.
 */
MUST_USE bool vfs_lanes_init(struct vfs_lanes *ls, struct loop *loop, struct mem_owner *owner,
                             int root, unsigned threads);

/* No task is left, no lane held (BUG otherwise). */
void vfs_lanes_fini(struct vfs_lanes *ls);

/* The lane of [path], and in *from what is to be resolved there (mount_bytes, may_cross). NULL
 * without memory. */
MUST_USE struct vfs_lane *vfs_lane_of(struct vfs_lanes *ls, slice path, struct vfs_from *from);

/* The lane for what crosses from one mount into another. NULL without memory. */
MUST_USE struct vfs_lane *vfs_lane_crossing(struct vfs_lanes *ls);

/* Lanes of mounts that are gone are freed, unless somebody holds them (an open file). */
void vfs_lane_hold(struct vfs_lane *lane);
void vfs_lane_release(struct vfs_lane *lane);

/* done will be called in a later turn. */
void vfs_lane_submit(struct vfs_lane *lane, struct vfs_task *t);

/* True: the task had not begun and is the caller's again; done will not be called. False: it is on
 * its way (or was never submitted). */
MUST_USE bool vfs_lane_take_back(struct vfs_task *t);

#endif
