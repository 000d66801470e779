/* test_vfs_mount: trees of several mounts, and a mount that hangs. In a mount namespace of its own;
 * where that is not allowed, only the parser is tested. */
#include "vfs_rig.h"

#include "fuse_rig.h"

#include <sched.h>
#include <sys/socket.h>

static bool is_allowed;

/* ---- The table. ---- */

static void assert_points(const char *text, const char *root, const char *const *want)
{
    slice points[VFS_MOUNTS_MAX];
    size_t n = strlen(text), used, count;
    char *copy = malloc(n); /* of its exact size: a read past the end is seen */
    memcpy(copy, text, n);
    count = vfs_mounts_parse(copy, n, slice_str(root), points, &used);
    assert_true(used <= n);
    size_t i = 0;
    for (; want[i]; i++) {
        assert_true(i < count);
        assert_true(slice_is(points[i], slice_str(want[i])));
    }
    assert_int_equal(count, i);
    free(copy);
}

static void test_parse(void **state)
{
    static const char table[] =
        "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
        "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
        "30 27 0:9 / /srv/www rw - ext4 /dev/vdb rw\n"
        "31 30 0:10 /sub /srv/www/m rw master:1 - ext4 /dev/vdb rw\n"
        "32 30 0:11 / /srv/www/with\\040blank\\134and\\011more rw - tmpfs none rw\n"
        "33 30 0:12 / /srv/www2/m rw - tmpfs none rw\n"
        "34 30 0:13 / /srv/www/m/deep rw - tmpfs none rw\n"
        "nonsense\n"
        "1 2 3 4\n"
        "\n"
        "35 30 0:13 / /srv/www/bad\\0 rw - tmpfs none rw\n"
        "36 30 0:13 / /srv/www/cut";
    static const char *const www[] = {"/m", "/with blank\\and\tmore", "/m/deep", "/bad\\0", "/cut",
                                      NULL};
    assert_points(table, "/srv/www", www);
    static const char *const all[] = {
        "/proc",       "/srv/www",        "/srv/www/m",      "/srv/www/with blank\\and\tmore",
        "/srv/www2/m", "/srv/www/m/deep", "/srv/www/bad\\0", "/srv/www/cut",
        NULL};
    assert_points(table, "/", all);
    assert_points("", "/", (const char *const[]){NULL});
    assert_points("\n\n", "/", (const char *const[]){NULL});
}

static void test_parse_many(void **state)
{
    struct fmt f = fmt_on(malloc(64 * KIB), 64 * KIB);
    for (int i = 0; i < 1000; i++)
        fmt_printf(&f, "%d 1 0:1 / /r/%d rw - tmpfs none rw\n", i, i);
    slice points[VFS_MOUNTS_MAX];
    size_t used;
    slice text = fmt_done(&f);
    assert_int_equal(vfs_mounts_parse(f.start, text.n, SLICE("/r"), points, &used), VFS_MOUNTS_MAX);
    free(f.start);
}

static void test_match(void **state)
{
    static struct vfs_mounts m = {.points = {{"/m", 2}, {"/m/deep", 7}, {"/mm", 3}}, .count = 3};
    static const struct {
        const char *path;
        size_t n;
    } cases[] = {{"/", 0},         {"/a/m", 0},   {"/m", 2},          {"/m/", 2},
                 {"/m/a", 2},      {"/m/dee", 2}, {"/m/deep/a/b", 7}, {"/m/deep", 7},
                 {"/m/deeper", 2}, {"/mm/a", 3},  {"/mmm", 0},        {"/M/a", 0}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(vfs_mounts_match(&m, slice_str(cases[i].path)), cases[i].n);
}

/* ---- Several mounts. ---- */

static void mount_tmpfs(struct rig *r, const char *name)
{
    assert_int_equal(mount("none", on_disk(r, name), "tmpfs", 0, "size=4m"), 0);
}

static size_t lanes(struct rig *r)
{
    size_t n = 0;
    LIST_EACH (link, &r->vfs->lanes.list)
        n++;
    return n;
}

static void test_two_mounts(void **state)
{
    struct rig *r = *state;
    if (!is_allowed)
        skip();
    make_dir(r, "m");
    put(r, "a", "a");
    put(r, "m/hidden", "beneath the mount");
    rig_tree(r);
    assert_file(r, "/m/hidden", "beneath the mount");
    assert_int_equal(lanes(r), 1);
    mount_tmpfs(r, "m"); /* while the tree is at work */
    make_dir(r, "m/sub");
    put(r, "m/x", "x");
    put(r, "m/sub/y", "y");
    make_link(r, "../a", "m/up");
    make_link(r, "../../a", "m/out");
    make_link(r, "x", "m/same");
    make_link(r, "m/x", "down");
    make_link(r, "m", "dir");
    make_link(r, "/etc/passwd", "absolute");
    assert_file(r, "/m/x", "x");
    assert_file(r, "/m/sub/y", "y");
    assert_file(r, "/m/same", "x");
    assert_int_equal(get_error(r, "/m/none"), -ENOENT);
    assert_int_equal(lanes(r), 2);
    assert_file(r, "/m/up", "a"); /* from here on the crossing lane is used */
    assert_int_equal(lanes(r), 3);
    assert_file(r, "/down", "x");
    assert_file(r, "/dir/sub/y", "y");
    assert_int_equal(get_error(r, "/m/out"), -EXDEV);
    assert_int_equal(get_error(r, "/absolute"), -EXDEV);
    const char *dirs[] = {"/m", "/m/", "/m/sub", "/m/sub/", "/dir/"};
    for (size_t i = 0; i < COUNT_OF(dirs); i++) {
        struct vfs_node *node = get(r, dirs[i]);
        assert_int_equal(node->kind, VFS_DIR);
        vfs_node_release(node);
    }
    age(r, 2000); /* the same once more, as looks again */
    struct vfs_node *node = get(r, "/down");
    assert_true(inside(node)->is_crossing);
    vfs_node_release(node);
    assert_file(r, "/m/up", "a");
    age(r, 2000);
    assert_int_equal(get_error(r, "/m/hidden"), -ENOENT);
    rig_idle(r);
    assert_int_equal(umount(on_disk(r, "m")), 0); /* nothing of ours holds it */
    age(r, 2000);
    assert_file(r, "/m/hidden", "beneath the mount");
    assert_int_equal(lanes(r), 2);
    assert_int_equal(get_error(r, "/down"), -ENOENT);
}

static void test_mount_of_one_file(void **state)
{
    struct rig *r = *state;
    if (!is_allowed)
        skip();
    char target[4096];
    put(r, "a", "a");
    put(r, "b", "b");
    memcpy(target, on_disk(r, "b"), sizeof target);
    rig_tree(r);
    assert_int_equal(mount(on_disk(r, "a"), target, NULL, MS_BIND, NULL), 0);
    assert_file(r, "/b", "a");
    assert_int_equal(umount(target), 0);
    age(r, 2000);
    assert_file(r, "/b", "b");
}

/* Files in memory need no look at the page cache; a lane goes with its mount only. */
static void test_three_mounts(void **state)
{
    struct rig *r = *state;
    if (!is_allowed)
        skip();
    make_dir(r, "m");
    make_dir(r, "n");
    mount_tmpfs(r, "m");
    mount_tmpfs(r, "n");
    put_pattern(r, "m/large", 300 * KIB);
    put(r, "n/x", "x");
    rig_tree(r);
    struct vfs_node *node = get(r, "/m/large");
    assert_int_equal(inside(node)->way, VFS_WAY_MEMORY);
    vfs_node_release(node);
    assert_file(r, "/n/x", "x");
    assert_int_equal(lanes(r), 3);
    rig_idle(r);
    assert_int_equal(umount(on_disk(r, "n")), 0);
    assert_int_equal(get_error(r, "/y"), -ENOENT);
    assert_int_equal(lanes(r), 2);
    vfs_shrink(r->vfs, SIZE_MAX); /* the file is open: nobody could unmount it */
    rig_idle(r);
    assert_int_equal(umount(on_disk(r, "m")), 0);
    assert_int_equal(get_error(r, "/z"), -ENOENT);
    assert_int_equal(lanes(r), 1);
}

struct listing {
    struct vfs_list list;
    bool is_done;
};

static void list_is_done(struct vfs_list *l)
{
    CONTAINER_OF(l, struct listing, list)->is_done = true;
}

static size_t list_count(struct rig *r, const char *path)
{
    struct listing l = {.list = {.done = list_is_done, .max_entries = 100}};
    assert_true(vfs_list(r->vfs, slice_str(path), &l.list));
    rig_until(r, &l.is_done);
    assert_int_equal(l.list.error, 0);
    size_t count = l.list.count;
    vfs_list_fini(&l.list);
    return count;
}

static void test_list_across(void **state)
{
    struct rig *r = *state;
    if (!is_allowed)
        skip();
    make_dir(r, "m");
    mount_tmpfs(r, "m");
    put(r, "m/x", "x");
    make_link(r, "../..", "m/out");
    make_link(r, "m/x", "link");
    make_link(r, "m", "dir");
    make_link(r, "/etc", "absolute");
    rig_tree(r);
    assert_int_equal(list_count(r, "/"), 3);
    assert_int_equal(list_count(r, "/m"), 1);
    assert_int_equal(list_count(r, "/dir/"), 1);
    assert_int_equal(umount(on_disk(r, "m")), 0);
}

static void try_everything(struct rig *r)
{
    int error;
    r->vfs = vfs_new(&r->io, &r->book, r->root, &r->settings, &error);
    if (!r->vfs)
        return;
    static const char *const paths[] = {"/m/x", "/m/up", "/dir/x", "/none", "/dir"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct vfs_node *node = get(r, paths[i]);
        assert_true(!node || (node->kind == VFS_ABSENT) == (i == 3) || node->error == -ENOMEM);
        vfs_node_release(node);
    }
    static const char *const dirs[] = {"/", "/m"};
    for (size_t i = 0; i < COUNT_OF(dirs); i++) {
        struct listing l = {.list = {.done = list_is_done, .max_entries = 100}};
        if (!vfs_list(r->vfs, slice_str(dirs[i]), &l.list))
            continue;
        rig_until(r, &l.is_done);
        assert_true(l.list.error == -ENOMEM || (l.list.error == 0 && l.list.count == 2));
        vfs_list_fini(&l.list);
    }
}

static void test_allocation_failures(void **state)
{
    struct rig *r = *state;
    if (!is_allowed)
        skip();
    make_dir(r, "m");
    mount_tmpfs(r, "m");
    put(r, "m/x", "x");
    make_link(r, "../dir", "m/up");
    make_link(r, "m", "dir");
    for (int forever = 0; forever < 2; forever++) {
        bool was_reached = true;
        for (uint64_t n = 1; was_reached; n++) {
            uint64_t refused = r->book.refused;
            r->book.fail_at = n;
            r->book.fail_forever = forever;
            try_everything(r);
            r->book.fail_at = 0;
            was_reached = r->book.refused != refused;
            if (r->vfs)
                rig_no_tree(r);
            assert_true(n < 1000);
        }
    }
    assert_int_equal(umount(on_disk(r, "m")), 0);
}

/* ---- A mount that hangs. ---- */

static bool hang_up(struct rig *r, struct fuse_rig *f)
{
    if (!is_allowed)
        return false;
    make_dir(r, "m");
    put(r, "a", "a");
    put(r, "b", "b");
    if (!fuse_up(f, on_disk(r, "m")))
        return false;
    rig_tree(r);
    return true;
}

/* Lets the loop turn until so many requests hang in the file system. */
static void until_hung(struct rig *r, const struct fuse_rig *f, unsigned n)
{
    for (int turns = 0; fuse_hung(f) < n; turns++) {
        loop_turn(r->loop, loop_now_ms(r->loop) + 1);
        assert_true(turns < 100000);
    }
}

static void test_hang(void **state)
{
    struct rig *r = *state;
    struct fuse_rig f;
    if (!hang_up(r, &f))
        skip();
    assert_file(r, "/m/small", "small");
    static struct ask asks[30], links[10];
    char path[16];
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        snprintf(path, sizeof path, "/m/hang%zu", i);
        ask_start(r, &asks[i], slice_str(path));
    }
    until_hung(r, &f, r->settings.threads);
    assert_file(r, "/a", "a"); /* all others are served */
    assert_int_equal(get_error(r, "/none"), -ENOENT);
    assert_int_equal(list_count(r, "/"), 3);
    for (size_t i = 0; i < COUNT_OF(links); i++) {
        snprintf(path, sizeof path, "link%zu", i);
        make_link(r, "m/hangl", path);
        snprintf(path, sizeof path, "/link%zu", i);
        ask_start(r, &links[i], slice_str(path));
    }
    until_hung(r, &f, r->settings.threads + 1); /* the kernel asks once for one name */
    assert_file(r, "/b", "b");
    age(r, 2000);
    assert_file(r, "/a", "a");
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        assert_false(asks[i].is_done);
        vfs_open_cancel(&asks[i].open);
    }
    assert_true(stats(r).jobs_pending <= 4 * r->settings.threads + COUNT_OF(links));
    fuse_down(&f);
    for (size_t i = 0; i < COUNT_OF(links); i++) {
        rig_until(r, &links[i].is_done);
        assert_int_equal(links[i].open.node->kind, VFS_ABSENT);
        vfs_node_release(links[i].open.node);
    }
}

struct pipe {
    struct stream stream;
    struct stream_class cls;
    int peer;
    bool is_closed;
};

static void on_nothing(struct stream *s)
{
}

static void on_closed(struct stream *s, int error)
{
    CONTAINER_OF(s, struct pipe, stream)->is_closed = true;
}

static const struct stream_ops ops = {.on_input = on_nothing,
                                      .on_room = on_nothing,
                                      .on_deadline = on_nothing,
                                      .on_closed = on_closed};

static void pipe_send(struct rig *r, struct pipe *p, struct vfs_node *node)
{
    int s[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s), 0);
    *p = (struct pipe){
        .cls = {.ops = &ops, .io = &r->io, .low_bytes = 64 * KIB, .high_bytes = 256 * KIB},
        .peer = s[1]};
    assert_int_equal(stream_open(&p->stream, &p->cls, s[0]), 0);
    assert_true(vfs_push(r->vfs, node, 0, node->size, &p->stream.out));
    stream_touch(&p->stream);
}

static void pipe_close(struct rig *r, struct pipe *p)
{
    stream_abort(&p->stream, 0);
    rig_until(r, &p->is_closed);
    close(p->peer);
}

/* Where the kernel cannot say what is in memory, the worker reads, and not one byte is different.
 */
static void test_send_from_fuse(void **state)
{
    struct rig *r = *state;
    struct fuse_rig f;
    struct pipe p;
    if (!hang_up(r, &f))
        skip();
    struct vfs_node *node = get(r, "/m/data");
    assert_int_equal(node->size, FUSE_DATA_BYTES);
    assert_null(node->content);
    assert_int_equal(inside(node)->way, VFS_WAY_COPY);
    pipe_send(r, &p, node);
    for (size_t n = 0; n < FUSE_DATA_BYTES;) {
        char some[4096];
        ssize_t got = recv(p.peer, some, sizeof some, 0);
        assert_true(got > 0 || (got < 0 && errno == EAGAIN));
        if (got < 0)
            loop_turn(r->loop, loop_now_ms(r->loop) + 1000);
        for (ssize_t i = 0; i < got; i++, n++)
            assert_int_equal(some[i], fuse_byte(n));
    }
    pipe_close(r, &p);
    vfs_node_release(node);
    vfs_stop(r->vfs);
    rig_idle(r);
    fuse_down(&f);
}

/* What cannot be read is an error of the disk, not kept for a moment. */
static void test_unreadable(void **state)
{
    struct rig *r = *state;
    struct fuse_rig f;
    if (!hang_up(r, &f))
        skip();
    size_t before = stats(r).entries;
    assert_int_equal(get_error(r, "/m/ioerror"), -EIO);
    assert_int_equal(stats(r).entries, before);
    vfs_stop(r->vfs);
    rig_idle(r);
    fuse_down(&f);
}

/* A read and a close that hang: others do not notice, and in the end nothing is left. */
static void test_read_and_close_hang(void **state)
{
    struct rig *r = *state;
    struct fuse_rig f;
    struct pipe p;
    if (!hang_up(r, &f))
        skip();
    struct vfs_node *node = get(r, "/m/noclose");
    assert_true(inside(node)->fd >= 0);
    vfs_node_release(node);
    vfs_shrink(r->vfs, SIZE_MAX);
    until_hung(r, &f, 1);
    node = get(r, "/m/noread");
    pipe_send(r, &p, node);
    vfs_node_release(node);
    until_hung(r, &f, 2);
    assert_file(r, "/a", "a");
    pipe_close(r, &p); /* the client is gone, the read is not */
    assert_false(vfs_is_idle(r->vfs));
    assert_file(r, "/b", "b");
    fuse_down(&f);
    rig_idle(r);
    assert_int_equal(r->vfs->senders, 0);
}

/* A namespace of our own: what is mounted here is nobody else's matter, and gone when we end. */
static bool enter_namespace(void)
{
    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return false;
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_many),
        cmocka_unit_test(test_match),
        RIG_TEST(test_two_mounts),
        RIG_TEST(test_mount_of_one_file),
        RIG_TEST(test_list_across),
        RIG_TEST(test_hang),
        RIG_TEST(test_send_from_fuse),
        RIG_TEST(test_read_and_close_hang),
        RIG_TEST(test_three_mounts),
        RIG_TEST(test_allocation_failures),
        RIG_TEST(test_unreadable),
    };
    is_allowed = enter_namespace();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
