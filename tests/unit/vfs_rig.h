/* vfs_rig: what the tests of the file tree share: a directory of their own, a loop, a tree, ways to
 * wait, and to let time pass without sleeping. */
#ifndef VFS_RIG_H
#define VFS_RIG_H

#include "base/fmt.h"
#include "service/vfs_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

struct rig {
    struct mem_book book;
    struct log log;
    struct loop *loop;
    struct io io;
    struct vfs *vfs;
    struct vfs_settings settings;
    char dir[64];  /* holds root/ and what is outside of it */
    char root[80]; /* the tree's */
    char path[4096];
};

UNUSED static void rig_tree(struct rig *r)
{
    int error;
    r->vfs = vfs_new(&r->io, &r->book, r->root, &r->settings, &error);
    assert_int_equal(error, 0);
    assert_non_null(r->vfs);
}

UNUSED static void rig_up(struct rig *r)
{
    int error;
    *r = (struct rig){0};
    mem_book_init(&r->book, 0);
    r->log.level = LOG_ERROR;
    r->loop = loop_new(&r->book, &r->log, &error);
    assert_non_null(r->loop);
    io_init(&r->io, r->loop, &r->book);
    snprintf(r->dir, sizeof r->dir, "/tmp/medusa-vfs-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->root, sizeof r->root, "%s/root", r->dir);
    assert_int_equal(mkdir(r->root, 0755), 0);
    vfs_settings_default(&r->settings);
    r->settings.content_bytes = 256 * KIB;
    r->settings.siblings[0] = SLICE(".br");
    r->settings.siblings[2] = SLICE(".gz");
}

static int rig_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

/* Runs the loop until [*flag]; a test that would hang ends here instead. */
UNUSED static void rig_until(struct rig *r, const bool *flag)
{
    for (int turns = 0; !*flag; turns++) {
        loop_turn(r->loop, loop_now_ms(r->loop) + 1000);
        assert_true(turns < 100000);
    }
}

UNUSED static void rig_idle(struct rig *r)
{
    for (int turns = 0; !vfs_is_idle(r->vfs); turns++) {
        loop_turn(r->loop, loop_now_ms(r->loop) + 1000);
        assert_true(turns < 100000);
    }
}

UNUSED static void rig_no_tree(struct rig *r)
{
    vfs_stop(r->vfs);
    rig_idle(r);
    assert_int_equal(r->vfs->cache.open_files, 0);
    vfs_free(&r->vfs);
}

UNUSED static void rig_down(struct rig *r)
{
    if (r->vfs)
        rig_no_tree(r);
    loop_turn(r->loop, 0);
    io_fini(&r->io);
    loop_free(&r->loop);
    mem_book_fini(&r->book);
    nftw(r->dir, rig_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path on disk of [name] in the tree ("../x": beside it). Valid until the next call. */
UNUSED static const char *on_disk(struct rig *r, const char *name)
{
    snprintf(r->path, sizeof r->path, "%s/%s", r->root, name);
    return r->path;
}

UNUSED static void put_bytes(struct rig *r, const char *name, const void *p, size_t n)
{
    int fd = open(on_disk(r, name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    for (size_t at = 0; at < n;) {
        ssize_t wrote = write(fd, (const char *)p + at, n - at);
        assert_true(wrote > 0);
        at += (size_t)wrote;
    }
    close(fd);
}

UNUSED static void put(struct rig *r, const char *name, const char *text)
{
    put_bytes(r, name, text, strlen(text));
}

/* [n] bytes of which each says where it stands. */
UNUSED static char *pattern(size_t n)
{
    char *p = malloc(n + 1);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 31 + (i >> 8) * 7 + (i >> 16));
    return p;
}

UNUSED static void put_pattern(struct rig *r, const char *name, size_t n)
{
    char *p = pattern(n);
    put_bytes(r, name, p, n);
    free(p);
}

UNUSED static void make_link(struct rig *r, const char *target, const char *name)
{
    assert_int_equal(symlink(target, on_disk(r, name)), 0);
}

UNUSED static void make_dir(struct rig *r, const char *name)
{
    assert_int_equal(mkdir(on_disk(r, name), 0755), 0);
}

UNUSED static void move(struct rig *r, const char *from, const char *to)
{
    char target[4096];
    memcpy(target, on_disk(r, to), sizeof target);
    assert_int_equal(rename(on_disk(r, from), target), 0);
}

struct ask {
    struct vfs_open open;
    bool is_done;
    bool was_at_once;
};

static void ask_done(struct vfs_open *o)
{
    CONTAINER_OF(o, struct ask, open)->is_done = true;
}

UNUSED static void ask_start(struct rig *r, struct ask *a, slice path)
{
    *a = (struct ask){.open.done = ask_done};
    a->was_at_once = vfs_open(r->vfs, path, &a->open);
    a->is_done = a->was_at_once;
}

/* Asks and waits; the caller releases the node. */
UNUSED static struct vfs_node *get(struct rig *r, const char *path)
{
    struct ask a;
    ask_start(r, &a, slice_str(path));
    rig_until(r, &a.is_done);
    return a.open.node;
}

/* Asks, and lets go. */
UNUSED static int get_error(struct rig *r, const char *path)
{
    struct vfs_node *node = get(r, path);
    assert_non_null(node);
    int error = node->kind == VFS_ABSENT ? node->error : 0;
    assert_true(node->kind != VFS_ABSENT || error < 0);
    vfs_node_release(node);
    return error;
}

static inline struct vfs_cnode *inside(struct vfs_node *node)
{
    return CONTAINER_OF(node, struct vfs_cnode, node);
}

/* All that is cached becomes [ms] older. */
UNUSED static void age(struct rig *r, int64_t ms)
{
    for (int i = 0; i < VFS_CLASSES; i++)
        LIST_EACH (link, &r->vfs->cache.lists[i]) {
            struct vfs_cnode *n = CONTAINER_OF(link, struct vfs_cnode, link);
            n->checked_ms -= ms;
            n->used_ms -= ms;
            n->queued_ms -= ms;
        }
}

UNUSED static struct vfs_stats stats(struct rig *r)
{
    struct vfs_stats s;
    vfs_stats(r->vfs, &s);
    return s;
}

UNUSED static void assert_content(struct vfs_node *node, const char *text)
{
    assert_int_equal(node->kind, VFS_FILE);
    assert_non_null(node->content);
    assert_int_equal(node->size, strlen(text));
    assert_true(slice_is(buf_slice(node->content), slice_str(text)));
}

UNUSED static void assert_file(struct rig *r, const char *path, const char *text)
{
    struct vfs_node *node = get(r, path);
    assert_content(node, text);
    vfs_node_release(node);
}

/* As cmocka's test functions: each gets a fresh rig. */
UNUSED static int rig_setup(void **state)
{
    struct rig *r = malloc(sizeof *r);
    rig_up(r);
    *state = r;
    return 0;
}

UNUSED static int rig_teardown(void **state)
{
    rig_down(*state);
    free(*state);
    return 0;
}

#define RIG_TEST(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)

#endif
