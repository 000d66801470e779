/* vfs: the face of the tree: what is fresh is answered at once, for the rest one waits. */
#include "service/vfs_tree.h"

#include <errno.h>
#include <unistd.h>

void vfs_settings_default(struct vfs_settings *settings)
{
    *settings = (struct vfs_settings){.cache_entries = 4096,
                                      .cache_files = 1024,
                                      .cache_bytes = 32 * MIB,
                                      .content_bytes = 32 * KIB,
                                      .threads = 4};
}

/* ---- Life. ---- */

/* Files that nobody asks for are closed: they keep deleted files on the disk and mounts from being
 * unmounted. */
static void on_sweep(struct timeout *t)
{
    struct vfs *vfs = CONTAINER_OF(t, struct vfs, sweep);
    int64_t now = loop_now_ms(vfs->loop);
    vfs_cache_expire_files(&vfs->cache, now - VFS_IDLE_MS);
    if (vfs->cache.files)
        timeout_set(loop_wheel(vfs->loop), &vfs->sweep, now + VFS_IDLE_MS / 2);
}

static bool copy_settings(struct vfs *vfs, const struct vfs_settings *settings)
{
    vfs->settings = *settings;
    vfs->settings.threads = MAX(settings->threads, 1);
    vfs->settings.content_bytes = MIN(settings->content_bytes, settings->cache_bytes);
    for (int i = 0; i < VFS_SIBLINGS_MAX; i++) {
        slice from = settings->siblings[i];
        if (from.n > VFS_SUFFIX_MAX || slice_find(from, '/') >= 0 || slice_find(from, '\0') >= 0)
            return false;
        if (from.n)
            memcpy(vfs->suffixes[i], from.p, from.n);
        vfs->settings.siblings[i] = slice_of(vfs->suffixes[i], from.n);
    }
    return true;
}

static int tree_init(struct vfs *vfs)
{
    if (!vfs_cache_init(&vfs->cache, &vfs->owner, &vfs->settings))
        goto err0;
    if (!hash_table_init(&vfs->lookups, &vfs->owner, 16))
        goto err1;
    if (!vfs_lanes_init(&vfs->lanes, vfs->loop, &vfs->owner, vfs->root, vfs->settings.threads))
        goto err2;
    return 0;
err2:
    hash_table_fini(&vfs->lookups);
err1:
    vfs_cache_fini(&vfs->cache);
err0:
    return -ENOMEM;
}

static void tree_free(struct vfs *vfs)
{
    mem_discharge(&vfs->owner, sizeof *vfs);
    mem_owner_fini(&vfs->owner);
    mem_raw_free(vfs);
}

struct vfs *vfs_new_at(struct io *io, struct mem_book *book, int root,
                       const struct vfs_settings *settings, int *error_out)
{
    struct vfs *vfs = mem_raw_alloc(sizeof *vfs);
    *error_out = -ENOMEM;
    if (!vfs) {
        close(root);
        return NULL;
    }
    *vfs = (struct vfs){.io = io, .loop = io->loop, .root = root};
    mem_owner_init(&vfs->owner, book, "cache"); /* the account stands in what it accounts for */
    mem_adopt(&vfs->owner, sizeof *vfs);
    timeout_init(&vfs->sweep, on_sweep);
    list_init(&vfs->looking);
    *error_out = copy_settings(vfs, settings) ? tree_init(vfs) : -EINVAL;
    if (*error_out == 0)
        return vfs;
    close(root);
    tree_free(vfs);
    return NULL;
}

struct vfs *vfs_new(struct io *io, struct mem_book *book, const char *root,
                    const struct vfs_settings *settings, int *error_out)
{
    int fd = vfs_root_open(root);
    *error_out = fd;
    return fd < 0 ? NULL : vfs_new_at(io, book, fd, settings, error_out);
}

void vfs_stop(struct vfs *vfs)
{
    timeout_clear(&vfs->sweep);
    vfs_cache_close(&vfs->cache);
}

bool vfs_is_idle(const struct vfs *vfs)
{
    return vfs->lanes.busy == 0;
}

bool vfs_is_unused(const struct vfs *vfs)
{
    return vfs_is_idle(vfs) && vfs->cache.alive == 0 && vfs->cache.open_files == 0 &&
           vfs->senders == 0;
}

void vfs_free(struct vfs **at)
{
    struct vfs *vfs = *at;
    *at = NULL;
    if (!vfs)
        return;
    BUG_ON(!vfs_is_idle(vfs));
    BUG_ON(vfs->lookups.count != 0 || vfs->senders != 0);
    timeout_clear(&vfs->sweep);
    vfs_cache_fini(&vfs->cache);
    hash_table_fini(&vfs->lookups);
    vfs_lanes_fini(&vfs->lanes);
    close(vfs->root);
    tree_free(vfs);
}

/* ---- Asking. ---- */

/* What cannot be a path needs no disk. NULL without memory. */
static COLD struct vfs_node *refuse(struct vfs *vfs, slice path, int error)
{
    struct vfs_cnode *n = vfs_cnode_new(&vfs->cache, path);
    if (!n)
        return NULL;
    n->seen.error = n->node.error = error;
    n->seen.kind = VFS_ABSENT;
    return &n->node;
}

static bool answer(struct vfs_open *o, struct vfs_node *node)
{
    o->lookup = NULL;
    o->node = node;
    return true;
}

/* [n] is the node in the cache, too old to be served, or NULL. */
static bool open_slow(struct vfs *vfs, slice path, uint64_t hash, struct vfs_cnode *n,
                      struct vfs_open *o)
{
    int error = n ? 0 : vfs_path_check(path);
    if (error < 0)
        return answer(o, refuse(vfs, path, error));
    vfs->misses++;
    struct vfs_lookup *l = n ? n->refresh : vfs_lookup_find(vfs, path, hash);
    if (!l)
        l = vfs_lookup_start(vfs, path, hash, n);
    if (!l)
        return answer(o, NULL);
    o->node = NULL;
    o->lookup = l;
    list_push_back(&l->waiters, &o->link);
    return false;
}

/* Without memory it stays as it is, and is looked at again when it is too old. */
static void refresh(struct vfs *vfs, struct vfs_cnode *n)
{
    if (vfs_lookup_start(vfs, n->node.path, n->hash.hash, n))
        vfs->refreshes++;
}

bool vfs_open(struct vfs *vfs, slice path, struct vfs_open *o)
{
    uint64_t hash = vfs_cache_hash(&vfs->cache, path);
    struct vfs_cnode *n = vfs_cache_find(&vfs->cache, path, hash);
    if (UNLIKELY(!n))
        return open_slow(vfs, path, hash, NULL, o);
    n->used_ms = loop_now_ms(vfs->loop);
    int64_t age = n->used_ms - n->checked_ms;
    if (UNLIKELY(age > VFS_FRESH_MS))
        return open_slow(vfs, path, hash, n, o);
    if (UNLIKELY(age > VFS_REFRESH_MS) && !n->refresh)
        refresh(vfs, n);
    vfs->hits++;
    return answer(o, &vfs_cnode_hold(n)->node);
}

/* A name that stands beside others as a compressed form of them: what was seen of those names tells
 * of it. */
static slice without_suffix(const struct vfs *vfs, slice path)
{
    for (int i = 0; i < VFS_SIBLINGS_MAX; i++) {
        slice suffix = vfs->settings.siblings[i];
        if (suffix.n && slice_has_suffix(path, suffix))
            return slice_head(path, path.n - suffix.n);
    }
    return slice_of(NULL, 0);
}

static void forget(struct vfs *vfs, slice path)
{
    vfs_cache_forget(&vfs->cache, path);
    vfs_lookup_outdate(vfs, path);
}

void vfs_forget(struct vfs *vfs, slice path)
{
    while (path.n > 0 && path.p[path.n - 1] == '/')
        path.n--;
    forget(vfs, path);
    slice plain = without_suffix(vfs, path);
    if (plain.n > 1)
        forget(vfs, plain);
}

void vfs_open_cancel(struct vfs_open *o)
{
    struct vfs_lookup *l = o->lookup;
    if (!l)
        return;
    o->lookup = NULL;
    list_remove(&o->link);
    vfs_lookup_abandon(l);
}

/* ---- Status. ---- */

void vfs_stats(const struct vfs *vfs, struct vfs_stats *out)
{
    const struct vfs_cache *c = &vfs->cache;
    *out = (struct vfs_stats){.entries = c->table.count,
                              .open_files = c->open_files,
                              .content_bytes = c->content_bytes,
                              .jobs_pending = vfs->lanes.busy,
                              .hits = vfs->hits,
                              .misses = vfs->misses,
                              .refreshes = vfs->refreshes,
                              .evictions = c->evictions};
}

size_t vfs_shrink(struct vfs *vfs, size_t bytes)
{
    return vfs_cache_shrink(&vfs->cache, bytes);
}
