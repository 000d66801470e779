/* vfs_cache: table, lists, limits. */
#include "service/vfs_cache.h"

#include "base/check.h"
#include "base/rand.h"

#include <unistd.h>

/* What is asked for again and again is passed over so often before something goes after all. */
#define CHANCES 64

/* A descriptor on its way to be closed: on the lane, because a network file system may take its
 * time. It stands in the memory of the node that had it, so closing needs none. */
struct closing {
    struct vfs_task task;
    struct vfs_cache *cache;
    struct vfs_lane *lane;
    size_t bytes;
    int fd;
};
_Static_assert(sizeof(struct closing) <= sizeof(struct vfs_cnode),
               "closing stands in a node's memory");

bool vfs_cache_init(struct vfs_cache *c, struct mem_owner *owner,
                    const struct vfs_settings *settings)
{
    *c = (struct vfs_cache){.owner = owner,
                            .max_entries = settings->cache_entries,
                            .max_files = settings->cache_files,
                            .max_bytes = settings->cache_bytes};
    rand_fill(&c->key, sizeof c->key);
    for (int i = 0; i < VFS_CLASSES; i++)
        list_init(&c->lists[i]);
    return hash_table_init(&c->table, owner, 64);
}

static struct vfs_cnode *cnode_at(struct list_node *link)
{
    return CONTAINER_OF(link, struct vfs_cnode, link);
}

void vfs_cache_close(struct vfs_cache *c)
{
    c->max_entries = 0;
    for (int i = 0; i < VFS_CLASSES; i++)
        LIST_EACH_SAFE (link, &c->lists[i])
            vfs_cache_drop(c, cnode_at(link));
}

void vfs_cache_fini(struct vfs_cache *c)
{
    c->is_ending = true;
    vfs_cache_close(c);
    BUG_ON(c->alive != 0); /* somebody still holds a node */
    hash_table_fini(&c->table);
}

/* ---- The life of a node. ---- */

static size_t cnode_bytes(const struct vfs_cnode *n)
{
    return sizeof *n + n->node.path.n;
}

static void run_closing(struct work_job *job)
{
    close(CONTAINER_OF(job, struct closing, task.job)->fd);
}

static void closing_done(struct vfs_task *t)
{
    struct closing *closing = CONTAINER_OF(t, struct closing, task);
    struct vfs_cache *c = closing->cache;
    c->open_files--;
    vfs_lane_release(closing->lane);
    mem_free(c->owner, closing, closing->bytes);
}

static void close_file(struct vfs_cnode *n)
{
    struct closing closing = {.task = {.job = {.run = run_closing}, .done = closing_done},
                              .cache = n->cache,
                              .lane = n->lane,
                              .bytes = cnode_bytes(n),
                              .fd = n->fd};
    struct closing *at = (void *)n;
    n->cache->files--;
    memcpy(at, &closing, sizeof closing);
    vfs_lane_submit(at->lane, &at->task);
}

static void cnode_free(struct shared *s)
{
    struct vfs_cnode *n = CONTAINER_OF(s, struct vfs_cnode, node.shared);
    BUG_ON(vfs_cnode_is_cached(n));
    shared_release(n->node.prepared);
    buf_release(&n->node.content);
    n->cache->alive--;
    if (n->fd >= 0 && !n->cache->is_ending) {
        close_file(n);
        return;
    }
    if (n->fd >= 0) {
        close(n->fd);
        vfs_lane_release(n->lane);
    }
    mem_free(n->cache->owner, n, cnode_bytes(n));
}

struct vfs_cnode *vfs_cnode_new(struct vfs_cache *c, slice path)
{
    struct vfs_cnode *n = mem_alloc0(c->owner, sizeof *n + path.n);
    if (!n)
        return NULL;
    if (path.n)
        memcpy(n->path, path.p, path.n);
    n->node.path = slice_of(n->path, path.n);
    n->node.kind = VFS_ABSENT;
    n->cache = c;
    n->fd = -1;
    list_init(&n->link);
    shared_init(&n->node.shared, cnode_free);
    c->alive++;
    return n;
}

static enum vfs_class class_of(const struct vfs_cnode *n)
{
    if (n->fd >= 0)
        return VFS_CLASS_OPEN;
    return n->node.kind == VFS_ABSENT ? VFS_CLASS_ABSENT : VFS_CLASS_KEPT;
}

void vfs_cnode_set(struct vfs_cnode *n, struct vfs_look *look, struct vfs_lane *lane)
{
    const struct vfs_seen *seen = &look->seen;
    n->seen = *seen;
    n->node.kind = seen->kind;
    n->node.error = seen->error;
    n->node.size = seen->size;
    n->node.mtime_s = seen->mtime.tv_sec;
    n->node.mtime_ns = (uint32_t)seen->mtime.tv_nsec;
    n->node.mode = seen->mode;
    n->node.dev = seen->dev;
    n->node.ino = seen->ino;
    n->node.siblings = seen->siblings;
    n->is_recent = look->is_recent;
    n->node.content = look->content;
    look->content = NULL;
    if (n->node.content)
        buf_adopt(n->node.content, n->cache->owner);
    n->fd = look->fd;
    n->way = look->way;
    look->fd = -1;
    if (n->fd >= 0) {
        n->cache->files++;
        n->cache->open_files++;
        n->lane = lane;
        vfs_lane_hold(lane);
    }
    n->class = class_of(n);
}

/* ---- In and out. ---- */

struct vfs_cnode *vfs_cache_find(const struct vfs_cache *c, slice path, uint64_t hash)
{
    struct hash_node *at = hash_table_first(&c->table, hash);
    for (; at; at = hash_table_next(at)) {
        struct vfs_cnode *n = CONTAINER_OF(at, struct vfs_cnode, hash);
        if (LIKELY(slice_is(n->node.path, path)))
            return n;
    }
    return NULL;
}

static size_t content_bytes(const struct vfs_cnode *n)
{
    return n->node.content ? n->node.content->cap : 0;
}

void vfs_cache_drop(struct vfs_cache *c, struct vfs_cnode *n)
{
    if (!vfs_cnode_is_cached(n))
        return;
    hash_table_remove(&c->table, &n->hash);
    list_remove(&n->link);
    c->counts[n->class]--;
    c->bytes -= cnode_bytes(n) + content_bytes(n);
    c->content_bytes -= content_bytes(n);
    vfs_cnode_release(n);
}

static bool is_held(const struct vfs_cnode *n)
{
    return n->node.shared.holders > 1;
}

/* The node of this class that goes first, or NULL. Which are held do not go when [spare_held]:
 * their going frees nothing. */
static struct vfs_cnode *oldest(struct vfs_cache *c, enum vfs_class class, bool spare_held)
{
    struct list_node *list = &c->lists[class];
    for (int chances = 0; chances < CHANCES && !list_is_empty(list); chances++) {
        struct vfs_cnode *n = cnode_at(list->prev);
        bool is_used = n->used_ms > n->queued_ms;
        if (!is_used && !(spare_held && is_held(n)))
            return n;
        n->queued_ms = n->used_ms;
        list_remove(&n->link);
        list_push_front(list, &n->link);
    }
    if (list_is_empty(list) || (spare_held && is_held(cnode_at(list->prev))))
        return NULL;
    return cnode_at(list->prev);
}

static void evict(struct vfs_cache *c, struct vfs_cnode *n)
{
    c->evictions++;
    vfs_cache_drop(c, n);
}

/* Of the oldest of each class, the one that was asked for longest ago. */
static struct vfs_cnode *oldest_of_all(struct vfs_cache *c)
{
    struct vfs_cnode *found = NULL;
    for (int i = 0; i < VFS_CLASSES; i++) {
        struct vfs_cnode *n = oldest(c, (enum vfs_class)i, false);
        if (n && (!found || n->used_ms < found->used_ms))
            found = n;
    }
    return found;
}

static size_t count_all(const struct vfs_cache *c)
{
    return c->counts[VFS_CLASS_KEPT] + c->counts[VFS_CLASS_OPEN] + c->counts[VFS_CLASS_ABSENT];
}

static void keep_limits(struct vfs_cache *c)
{
    struct vfs_cnode *n;
    /* A client that asks for names by chance must not push out what others need. */
    while (c->counts[VFS_CLASS_ABSENT] > c->max_entries / 4 &&
           (n = oldest(c, VFS_CLASS_ABSENT, false)))
        evict(c, n);
    while (c->files > c->max_files && (n = oldest(c, VFS_CLASS_OPEN, true)))
        evict(c, n);
    while (count_all(c) > c->max_entries && (n = oldest_of_all(c)))
        evict(c, n);
    while (c->bytes > c->max_bytes &&
           ((n = oldest(c, VFS_CLASS_KEPT, false)) || (n = oldest_of_all(c))))
        evict(c, n);
}

void vfs_cache_put(struct vfs_cache *c, struct vfs_cnode *n, uint64_t hash, int64_t now_ms)
{
    struct vfs_cnode *old = vfs_cache_find(c, n->node.path, hash);
    if (old == n)
        return;
    if (old)
        vfs_cache_drop(c, old);
    vfs_cnode_hold(n);
    n->used_ms = n->queued_ms = now_ms;
    hash_table_add(&c->table, &n->hash, hash);
    list_push_front(&c->lists[n->class], &n->link);
    c->counts[n->class]++;
    c->bytes += cnode_bytes(n) + content_bytes(n);
    c->content_bytes += content_bytes(n);
    keep_limits(c);
}

void vfs_cache_forget(struct vfs_cache *c, slice top)
{
    for (int i = 0; i < VFS_CLASSES; i++)
        LIST_EACH_SAFE (link, &c->lists[i])
            if (vfs_path_is_below(cnode_at(link)->node.path, top))
                vfs_cache_drop(c, cnode_at(link));
}

/* ---- When there is too much. ---- */

void vfs_cache_expire_files(struct vfs_cache *c, int64_t before_ms)
{
    LIST_EACH_SAFE (link, &c->lists[VFS_CLASS_OPEN]) {
        struct vfs_cnode *n = cnode_at(link);
        if (n->used_ms < before_ms && !is_held(n))
            vfs_cache_drop(c, n);
    }
}

size_t vfs_cache_shrink(struct vfs_cache *c, size_t bytes)
{
    size_t freed = 0;
    static const enum vfs_class order[] = {VFS_CLASS_ABSENT, VFS_CLASS_KEPT, VFS_CLASS_OPEN};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        struct list_node *list = &c->lists[order[i]], *before;
        for (struct list_node *at = list->prev; at != list && freed < bytes; at = before) {
            before = at->prev;
            struct vfs_cnode *n = cnode_at(at);
            if (is_held(n))
                continue;
            freed += cnode_bytes(n) + content_bytes(n);
            evict(c, n);
        }
    }
    return freed;
}
