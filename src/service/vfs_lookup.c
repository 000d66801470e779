/* vfs_lookup: from "somebody wants to know" to "this is what stands there": one job for all who ask
 * for the same name. */
#include "service/vfs_tree.h"

#include <errno.h>

struct vfs_lookup *vfs_lookup_find(const struct vfs *vfs, slice path, uint64_t hash)
{
    struct hash_node *at = hash_table_first(&vfs->lookups, hash);
    for (; at; at = hash_table_next(at)) {
        struct vfs_lookup *l = CONTAINER_OF(at, struct vfs_lookup, hash);
        if (slice_is(slice_of(l->path, l->look.path_bytes), path))
            return l;
    }
    return NULL;
}

static void run_look(struct work_job *job)
{
    struct vfs_lookup *l = CONTAINER_OF(job, struct vfs_lookup, task.job);
    l->look.room = l->task.granted_bytes;
    vfs_look_run(&l->look);
}

/* It is no longer under way: who asks from now on begins another one. */
static void forget(struct vfs_lookup *l)
{
    if (l->is_outdated)
        return;
    hash_table_remove(&l->vfs->lookups, &l->hash);
    list_remove(&l->link);
    if (l->old)
        l->old->refresh = NULL;
}

void vfs_lookup_outdate(struct vfs *vfs, slice path)
{
    LIST_EACH_SAFE (node, &vfs->looking) {
        struct vfs_lookup *l = CONTAINER_OF(node, struct vfs_lookup, link);
        if (!vfs_path_is_below(slice_of(l->path, l->look.path_bytes), path))
            continue;
        forget(l);
        l->is_outdated = true;
    }
}

static void lookup_free(struct vfs_lookup *l)
{
    vfs_cnode_release(l->old);
    vfs_cnode_release(l->fresh);
    mem_free(&l->vfs->owner, l, l->bytes);
}

void vfs_lookup_abandon(struct vfs_lookup *l)
{
    if (!list_is_empty(&l->waiters) || !vfs_lane_take_back(&l->task))
        return;
    forget(l);
    lookup_free(l);
}

/* Passing lack of memory, descriptors, or luck: says nothing about the file. */
static bool is_passing(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EAGAIN ||
           error == -EINTR || error == -EIO || error == -ETIMEDOUT || error == -ESTALE;
}

/* A link led out of its mount: into another one, or out of the root. Only a second look, on the
 * lane for such cases, can tell. */
static bool go_on_crossing(struct vfs_lookup *l)
{
    if (l->look.seen.error != -EXDEV || l->look.from.may_cross)
        return false;
    struct vfs_lane *lane = vfs_lane_crossing(&l->vfs->lanes);
    if (!lane) {
        l->look.seen.error = -ENOMEM;
        return false;
    }
    l->look.from.may_cross = true;
    vfs_lane_submit(lane, &l->task);
    return true;
}

/* The node that answers. Not held for the caller; the lookup holds it. */
static struct vfs_cnode *settle(struct vfs_lookup *l)
{
    struct vfs *vfs = l->vfs;
    struct vfs_cnode *n = l->fresh;
    if (l->look.is_unchanged) {
        n = l->old;
        n->is_recent = l->look.is_recent;
    } else {
        vfs_cnode_set(n, &l->look, l->task.lane);
    }
    n->is_crossing = l->task.lane == vfs->lanes.crossing;
    n->checked_ms = l->task.started_ms;
    if (n->node.error == -EMFILE || n->node.error == -ENFILE)
        vfs_cache_expire_files(&vfs->cache, INT64_MAX);
    else if (!l->is_outdated && !is_passing(n->node.error))
        vfs_cache_put(&vfs->cache, n, l->hash.hash, loop_now_ms(vfs->loop));
    if (n->fd >= 0 && !timeout_is_set(&vfs->sweep))
        timeout_set(loop_wheel(vfs->loop), &vfs->sweep, loop_now_ms(vfs->loop) + VFS_IDLE_MS / 2);
    return n;
}

static void lookup_done(struct vfs_task *t)
{
    struct vfs_lookup *l = CONTAINER_OF(t, struct vfs_lookup, task);
    if (go_on_crossing(l))
        return;
    struct vfs_cnode *n = settle(l);
    forget(l);
    struct list_node *link;
    while ((link = list_pop_front(&l->waiters))) { /* any of them may cancel any other */
        struct vfs_open *o = CONTAINER_OF(link, struct vfs_open, link);
        o->lookup = NULL;
        o->node = &vfs_cnode_hold(n)->node;
        o->done(o);
    }
    lookup_free(l);
}

static void fill_look(struct vfs_lookup *l, slice path)
{
    struct vfs *vfs = l->vfs;
    memcpy(l->path, path.p, path.n);
    l->path[path.n] = '\0';
    l->look.from.root = vfs->root;
    l->look.path = l->path;
    l->look.path_bytes = path.n;
    l->look.suffixes = vfs->settings.siblings;
    l->look.fd = -1;
    if (!l->old)
        return;
    l->look.known = &l->old->seen;
    l->look.known_content = l->old->node.content;
    l->look.known_is_recent = l->old->is_recent;
}

/* The lane for it; where its file was found through a link into another mount, the next look goes
 * there at once. */
static struct vfs_lane *choose_lane(struct vfs_lookup *l, slice path)
{
    struct vfs_lane *lane = vfs_lane_of(&l->vfs->lanes, path, &l->look.from);
    if (!l->old || !l->old->is_crossing)
        return lane;
    l->look.from.may_cross = true;
    return vfs_lane_crossing(&l->vfs->lanes);
}

struct vfs_lookup *vfs_lookup_start(struct vfs *vfs, slice path, uint64_t hash,
                                    struct vfs_cnode *old)
{
    size_t bytes = sizeof(struct vfs_lookup) + path.n + VFS_SUFFIX_MAX + 1;
    struct vfs_lookup *l = mem_alloc0(&vfs->owner, bytes);
    if (!l)
        return NULL;
    l->vfs = vfs;
    l->bytes = bytes;
    list_init(&l->waiters);
    l->old = old ? vfs_cnode_hold(old) : NULL;
    l->fresh = vfs_cnode_new(&vfs->cache, path);
    fill_look(l, path);
    struct vfs_lane *lane = l->fresh ? choose_lane(l, path) : NULL;
    if (!lane) {
        lookup_free(l);
        return NULL;
    }
    hash_table_add(&vfs->lookups, &l->hash, hash);
    list_push_back(&vfs->looking, &l->link);
    if (old)
        old->refresh = l;
    l->task.job.run = run_look;
    l->task.done = lookup_done;
    l->task.wants_bytes = vfs->settings.content_bytes + 1;
    vfs_lane_submit(lane, &l->task);
    return l;
}
