/* vfs_lane: a queue in front of work.h's lanes, and the list of lanes by mount point. */
#include "service/vfs_lane.h"

#include "base/check.h"

struct vfs_lane {
    struct list_node link;
    struct vfs_lanes *lanes;
    struct work_lane *work;
    struct list_node queue;
    unsigned away;  /* tasks handed to work */
    unsigned users; /* tasks, holders */
    size_t point_bytes;
    char point[]; /* mount point */
};

static struct vfs_lane *lane_new(struct vfs_lanes *ls, slice point)
{
    struct vfs_lane *lane = mem_alloc0(ls->owner, sizeof *lane + point.n);
    if (!lane)
        return NULL;
    lane->work = work_lane_new(ls->loop, "vfs", ls->threads);
    if (!lane->work) {
        mem_free(ls->owner, lane, sizeof *lane + point.n);
        return NULL;
    }
    lane->lanes = ls;
    list_init(&lane->queue);
    list_push_back(&ls->list, &lane->link);
    lane->point_bytes = point.n;
    if (point.n)
        memcpy(lane->point, point.p, point.n);
    return lane;
}

static void lane_free(struct vfs_lane *lane)
{
    BUG_ON(lane->users != 0);
    list_remove(&lane->link);
    work_lane_free(&lane->work);
    mem_free(lane->lanes->owner, lane, sizeof *lane + lane->point_bytes);
}

bool vfs_lanes_init(struct vfs_lanes *ls, struct loop *loop, struct mem_owner *owner, int root,
                    unsigned threads)
{
    *ls = (struct vfs_lanes){.loop = loop, .owner = owner, .threads = threads};
    list_init(&ls->list);
    ls->root = lane_new(ls, SLICE(""));
    if (!ls->root)
        return false;
    vfs_mounts_init(&ls->mounts, owner, root);
    return true;
}

void vfs_lanes_fini(struct vfs_lanes *ls)
{
    BUG_ON(ls->busy != 0);
    LIST_EACH_SAFE (node, &ls->list)
        lane_free(CONTAINER_OF(node, struct vfs_lane, link));
    vfs_mounts_fini(&ls->mounts);
}

static slice point_of(const struct vfs_lane *lane)
{
    return slice_of(lane->point, lane->point_bytes);
}

static bool is_mounted(const struct vfs_mounts *m, slice point)
{
    for (size_t i = 0; i < m->count; i++)
        if (slice_is(m->points[i], point))
            return true;
    return false;
}

/* After the table of mounts changed. */
static COLD void drop_unmounted(struct vfs_lanes *ls)
{
    LIST_EACH_SAFE (node, &ls->list) {
        struct vfs_lane *lane = CONTAINER_OF(node, struct vfs_lane, link);
        bool stays = lane == ls->root || lane == ls->crossing || lane->users;
        if (!stays && !is_mounted(&ls->mounts, point_of(lane)))
            lane_free(lane);
    }
}

struct vfs_lane *vfs_lane_of(struct vfs_lanes *ls, slice path, struct vfs_from *from)
{
    if (vfs_mounts_update(&ls->mounts))
        drop_unmounted(ls);
    from->mount_bytes = vfs_mounts_match(&ls->mounts, path);
    from->may_cross = ls->mounts.count == 0; /* there is nothing to cross into */
    if (from->mount_bytes == 0)
        return ls->root;
    slice point = slice_head(path, from->mount_bytes);
    LIST_EACH (node, &ls->list) {
        struct vfs_lane *lane = CONTAINER_OF(node, struct vfs_lane, link);
        if (slice_is(point_of(lane), point))
            return lane;
    }
    return lane_new(ls, point);
}

struct vfs_lane *vfs_lane_crossing(struct vfs_lanes *ls)
{
    if (!ls->crossing)
        ls->crossing = lane_new(ls, SLICE("(crossing)")); /* no mount point: those begin with "/" */
    return ls->crossing;
}

void vfs_lane_hold(struct vfs_lane *lane)
{
    lane->users++;
}

void vfs_lane_release(struct vfs_lane *lane)
{
    BUG_ON(lane->users == 0);
    lane->users--;
}

static void start(struct vfs_lane *lane, struct vfs_task *t)
{
    struct vfs_lanes *ls = lane->lanes;
    bool is_granted = t->wants_bytes && mem_charge(ls->owner, t->wants_bytes);
    t->granted_bytes = is_granted ? t->wants_bytes : 0;
    t->started_ms = loop_now_ms(ls->loop);
    lane->away++;
    work_submit(lane->work, &t->job);
}

static void start_next(struct vfs_lane *lane)
{
    if (lane->away >= 2 * lane->lanes->threads || list_is_empty(&lane->queue))
        return;
    struct list_node *node = list_pop_front(&lane->queue);
    struct vfs_task *t = CONTAINER_OF(node, struct vfs_task, link);
    t->is_queued = false;
    start(lane, t);
}

static void on_done(struct work_job *job)
{
    struct vfs_task *t = CONTAINER_OF(job, struct vfs_task, job);
    struct vfs_lane *lane = t->lane;
    struct vfs_lanes *ls = lane->lanes;
    lane->away--;
    if (t->granted_bytes)
        mem_discharge(ls->owner, t->granted_bytes);
    start_next(lane);
    ls->busy--;
    t->done(t); /* may free t; the lane stays, for this task still counts as its user */
    lane->users--;
}

void vfs_lane_submit(struct vfs_lane *lane, struct vfs_task *t)
{
    t->job.done = on_done;
    t->lane = lane;
    lane->users++;
    lane->lanes->busy++;
    t->is_queued = lane->away >= 2 * lane->lanes->threads;
    if (t->is_queued)
        list_push_back(&lane->queue, &t->link);
    else
        start(lane, t);
}

bool vfs_lane_take_back(struct vfs_task *t)
{
    if (!t->is_queued)
        return false;
    list_remove(&t->link);
    t->is_queued = false;
    t->lane->users--;
    t->lane->lanes->busy--;
    return true;
}
