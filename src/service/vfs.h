/* vfs: a tree of files that every protocol serves from.
 *
 * Names are resolved by the kernel inside the root: openat2(RESOLVE_BENEATH |
 * RESOLVE_NO_MAGICLINKS), so that neither ".." nor a symbolic link leaves it. What was opened is
 * kept in a cache (node: descriptor, stat, content when small, and what a protocol prepared from
 * it): a hot file costs no system call, and a change on disk is seen within VFS_FRESH_MS.
 * Everything that can block (open, stat, read of what is not in memory, directory reads, closing)
 * runs on the worker lane of the mount that it concerns: a disk that hangs stalls only those who
 * ask for its files.
 *
 * Paths are absolute within the tree ("/a/b"), decoded, without "." and "..", "//" or NUL
 * (wire/uri.h makes them so); a path that is not is answered -EINVAL. A final "/" demands a
 * directory. */
#ifndef SERVICE_VFS_H
#define SERVICE_VFS_H

#include "base/buf.h"
#include "base/shared.h"
#include "io/stream.h"

#include <sys/stat.h>

#define VFS_FRESH_MS                                                             \
    1000 /* what was looked at longer ago is looked at again before it is served \
          */
#define VFS_REFRESH_MS \
    500 /* what is asked for after this time is looked at again in the background */
#define VFS_IDLE_MS      10000 /* an open file that nobody asked for so long is closed */
#define VFS_SIBLINGS_MAX 4

struct vfs;

struct vfs_settings {
    size_t cache_entries; /* nodes kept at most (default 4096) */
    size_t cache_files;   /* descriptors kept open at most (default 1024) */
    size_t cache_bytes;   /* content kept in memory at most (default 32 MiB) */
    size_t content_bytes; /* largest file whose content is kept in memory (default 32 KiB: for
                             larger ones sendfile is cheaper) */
    unsigned threads;     /* worker threads per mount (default 4) */
    /* Suffixes of files that stand beside others (".br", ".zst", ".gz"): each node says which of
     * them were there. */
    slice siblings[VFS_SIBLINGS_MAX];
};
void vfs_settings_default(struct vfs_settings *settings);

enum vfs_kind { VFS_FILE, VFS_DIR, VFS_ABSENT };

/* One name and what stands there. Counted; never changes after it was handed out (a changed file
 * becomes a new node), but for the fields marked so. */
struct vfs_node {
    /* read-only */
    struct shared shared;
    enum vfs_kind kind;
    int error; /* VFS_ABSENT: -ENOENT, -EACCES, -EXDEV (a link out of the root), -ELOOP,
                  -ENAMETOOLONG, -ENOTDIR ... */
    uint64_t size;
    int64_t mtime_s;
    uint32_t mtime_ns;
    mode_t mode;
    dev_t dev;
    ino_t ino;
    unsigned siblings;   /* bit i: path + settings.siblings[i] is a regular file too */
    slice path;          /* as asked */
    struct buf *content; /* whole content when it is small enough, else NULL */
    /* public: what a protocol prepared from this node (header lines), freed with it; NULL at first
     */
    struct shared *prepared;
    /* private members follow in vfs_cache.h */
};

/* A request for a node; embedded in the caller. */
struct vfs_open {
    /* public: */
    void (*done)(struct vfs_open *o); /* the node is there; the caller releases it */
    /* read-only: the answer, held for the caller. NULL only when there was no memory. */
    struct vfs_node *node;
    /* private */
    struct list_node link;
    struct vfs_lookup *lookup; /* that it waits for, or NULL */
};

/* [root] is a directory, opened once: what is put in its place later is not seen. NULL and
 * *error_out = -errno; -ENOSYS or -EPERM: the kernel (before 5.6) or the container does not let us
 * use openat2; -EINVAL: a suffix has more than 16 bytes, or '/' or NUL. Settings are copied; [io]
 * and [book] outlive the tree. */
MUST_USE struct vfs *vfs_new(struct io *io, struct mem_book *book, const char *root,
                             const struct vfs_settings *settings, int *error_out);

/* A directory to make a tree of: a descriptor, or -errno as above. Blocking: for worker threads. */
MUST_USE int vfs_root_open(const char *root);

/* As vfs_new, without blocking: takes over the descriptor, also on failure. */
MUST_USE struct vfs *vfs_new_at(struct io *io, struct mem_book *book, int root,
                                const struct vfs_settings *settings, int *error_out);

/* The end, in this order: requests are cancelled and nodes released; vfs_stop begins to close what
 * is open; the loop runs until vfs_is_idle (never, perhaps, on a disk that hangs: then leave
 * without freeing); vfs_free (BUG when something is pending or held). Not from inside done(). */
void vfs_stop(struct vfs *vfs);
bool vfs_is_idle(const struct vfs *vfs);
void vfs_free(struct vfs **vfs);

/* After vfs_stop: is it idle, and has everybody let go of its nodes (what is still to be sent holds
 * them)? Then vfs_free may be called. */
bool vfs_is_unused(const struct vfs *vfs);

/* True: answered at once, o->node is set (NULL: no memory), done is not called. False: done will be
 * called in a later turn; [path] was copied; all who ask for the same path meanwhile wait for the
 * same job. A symbolic link is followed when it stays inside the root at every step; one with an
 * absolute target leads out (-EXDEV), wherever that is. What is neither a regular file nor a
 * directory is VFS_ABSENT with -EACCES, and so is a file that may not be read (of a directory only
 * vfs_list says so). */
MUST_USE bool vfs_open(struct vfs *vfs, slice path, struct vfs_open *o);

/* What stands at [path], and below it, has been changed by us: who asks from now on sees it as it
 * is now. Other names of the same file (links) may show what was there for VFS_FRESH_MS. */
void vfs_forget(struct vfs *vfs, slice path);

/* done will not be called. Harmless after the answer, and on a zeroed struct. */
void vfs_open_cancel(struct vfs_open *o);

static inline void vfs_node_release(struct vfs_node *node)
{
    if (node)
        shared_release(&node->shared);
}

/* Pushes [count] bytes of a VFS_FILE from [offset] to [q]: from memory when the content is kept;
 * else by a producer that sends by sendfile what is in the page cache and has a worker read what is
 * not. Where the kernel cannot say what is in memory (FUSE, network), a worker reads all of it. The
 * node is held meanwhile, the tree must be there. Nothing else may be pushed to [q] while
 * q->has_producer. A file that became shorter, or cannot be read, aborts the stream. False without
 * memory: nothing was pushed. */
MUST_USE bool vfs_push(struct vfs *vfs, struct vfs_node *node, uint64_t offset, uint64_t count,
                       struct outq *q);

/* ---- Directories. Not cached. Names with a control character are left out: they cannot be asked
 * for. ---- */
struct vfs_entry {
    slice name;
    enum vfs_kind kind; /* VFS_FILE or VFS_DIR, of what a link leads to inside the root; others are
                           left out */
    uint64_t size;
    int64_t mtime_s;
};

struct vfs_list {
    /* public: */
    void (*done)(
        struct vfs_list *l); /* the caller calls vfs_list_fini when it has used the result */
    size_t max_entries;
    bool hidden; /* names that begin with a dot too */
    /* read-only result */
    int error;                 /* 0 or -errno */
    struct vfs_entry *entries; /* in no order */
    size_t count;
    bool is_cut; /* there were more than max_entries */
    /* private */
    struct vfs_list_job *job;
};

/* Reads the directory [path] on a worker; done is called in a later turn, l->error says what
 * happened. False without memory: done is not called. */
MUST_USE bool vfs_list(struct vfs *vfs, slice path, struct vfs_list *l);

/* Frees the result, or, before done was called, gives the request up: done will not be called. */
void vfs_list_fini(struct vfs_list *l);

struct vfs_stats {
    size_t entries, open_files, content_bytes, jobs_pending;
    uint64_t hits, misses, refreshes, evictions;
};
void vfs_stats(const struct vfs *vfs, struct vfs_stats *out);

/* Memory is short: drops cached nodes that nobody holds, absent names first, until about [bytes]
 * are free. Returns the bytes freed. */
size_t vfs_shrink(struct vfs *vfs, size_t bytes);

#endif
