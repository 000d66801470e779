/* vfs_cache: the nodes that are kept, by path, within limits of number, descriptors and bytes.
 *
 * A node is in the cache or out of it; in both cases it lives while somebody holds it (the cache is
 * one holder). Three classes are kept in an order of age each: content and directories, open files,
 * absent names. Asking for a node only notes the time; when one must go, those at the old end that
 * were asked for since are moved to the young end instead (second chance), so a hit touches no
 * list. Thread: the loop's. */
#ifndef SERVICE_VFS_CACHE_H
#define SERVICE_VFS_CACHE_H

#include "base/hash.h"
#include "service/vfs_lane.h"
#include "service/vfs_look.h"

enum vfs_class { VFS_CLASS_KEPT, VFS_CLASS_OPEN, VFS_CLASS_ABSENT, VFS_CLASSES };

struct vfs_cache;

/* A node with what only service/vfs knows of it. */
struct vfs_cnode {
    struct vfs_node node;
    struct hash_node hash;
    struct list_node link; /* of its class; linked = in the cache */
    struct vfs_cache *cache;
    struct vfs_lane *lane;      /* held while there is a descriptor */
    struct vfs_lookup *refresh; /* what is looking at it again, or NULL */
    struct vfs_seen seen;
    int64_t checked_ms;    /* not before this time it was as it is here */
    int64_t used_ms;       /* asked for */
    int64_t warm_until_ms; /* until then its bytes are taken to be in the page cache (vfs_send) */
    int64_t queued_ms;     /* put at the young end of its list */
    int fd;                /* -1 = none */
    enum vfs_way way;
    enum vfs_class class;
    bool is_recent;
    bool is_crossing; /* its lane is the crossing one */
    char path[];
};

struct vfs_cache {
    /* read-only */
    size_t files;         /* nodes that live and have a descriptor */
    size_t open_files;    /* the same, and descriptors that are being closed */
    size_t alive;         /* nodes that live */
    size_t content_bytes; /* content in the cache */
    size_t counts[VFS_CLASSES];
    uint64_t evictions;
    /* private */
    struct mem_owner *owner;
    struct hash_key key;
    struct hash_table table;
    struct list_node lists[VFS_CLASSES];
    size_t bytes; /* content and nodes in the cache */
    size_t max_entries, max_files, max_bytes;
    bool is_ending;
};

/* False without memory; nothing to undo then. */
MUST_USE bool vfs_cache_init(struct vfs_cache *c, struct mem_owner *owner,
                             const struct vfs_settings *settings);

/* All nodes are dropped, and none is kept from now on. */
void vfs_cache_close(struct vfs_cache *c);

/* All nodes are dropped, files closed here and now; nobody may hold one (BUG otherwise). */
void vfs_cache_fini(struct vfs_cache *c);

static inline uint64_t vfs_cache_hash(const struct vfs_cache *c, slice path)
{
    return hash_bytes(&c->key, path);
}

/* Not held for the caller. */
struct vfs_cnode *vfs_cache_find(const struct vfs_cache *c, slice path, uint64_t hash);

/* An absent node out of the cache, held once by the caller, to be filled by vfs_cnode_set. NULL
 * without memory. */
MUST_USE struct vfs_cnode *vfs_cnode_new(struct vfs_cache *c, slice path);

/* Fills [n] with what [look] found, and takes over its content and its descriptor (of [lane]). */
void vfs_cnode_set(struct vfs_cnode *n, struct vfs_look *look, struct vfs_lane *lane);

/* Into the cache, in the place of the node of the same path if there is one; then what is too much
 * goes. */
void vfs_cache_put(struct vfs_cache *c, struct vfs_cnode *n, uint64_t hash, int64_t now_ms);
void vfs_cache_drop(struct vfs_cache *c, struct vfs_cnode *n);

static inline bool vfs_cnode_is_cached(const struct vfs_cnode *n)
{
    return list_is_linked(&n->link);
}

static inline struct vfs_cnode *vfs_cnode_hold(struct vfs_cnode *n)
{
    shared_hold(&n->node.shared);
    return n;
}

static inline void vfs_cnode_release(struct vfs_cnode *n)
{
    if (n)
        shared_release(&n->node.shared);
}

/* Is [path] the name [top], or below it? [top] has no final "/". */
static inline bool vfs_path_is_below(slice path, slice top)
{
    slice rest = slice_skip(path, top.n);
    return slice_has_prefix(path, top) && (rest.n == 0 || rest.p[0] == '/');
}

/* Drops the nodes of [top] and below it. */
void vfs_cache_forget(struct vfs_cache *c, slice top);

/* Drops nodes that nobody else holds: all open files that were not asked for since [before_ms];
 * nodes until about [bytes] are free (returns how many became free). */
void vfs_cache_expire_files(struct vfs_cache *c, int64_t before_ms);
size_t vfs_cache_shrink(struct vfs_cache *c, size_t bytes);

#endif
