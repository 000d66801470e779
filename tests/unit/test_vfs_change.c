/* test_vfs_change: files that are read, written, moved and removed through a tree, and what the
 * cache says then. */
#include "vfs_rig.h"

#include "service/vfs_change.h"
#include "service/vfs_file.h"

#include <sys/resource.h>

struct ask_change {
    struct vfs_change c;
    bool is_done;
};

static void on_done(struct vfs_change *c)
{
    CONTAINER_OF(c, struct ask_change, c)->is_done = true;
}

/* Runs it to its end; the result is the caller's to free. */
static int run(struct rig *r, struct ask_change *a)
{
    a->is_done = false;
    a->c.done = on_done;
    assert_true(vfs_change_start(r->vfs, &a->c));
    assert_false(a->is_done);
    rig_until(r, &a->is_done);
    return a->c.error;
}

static int do_op(struct rig *r, enum vfs_change_op op, slice path, slice more)
{
    struct ask_change a = {.c = {.op = op, .path = path, .to = more, .data = more, .max = 100}};
    int error = run(r, &a);
    vfs_change_fini(&a.c);
    vfs_change_fini(&a.c); /* harmless */
    return error;
}

static void assert_text(struct rig *r, slice path, const char *text)
{
    struct ask_change a = {.c = {.op = VFS_READ, .path = path, .max = strlen(text)}};
    assert_int_equal(run(r, &a), 0);
    assert_true(slice_is(a.c.text, slice_str(text)));
    vfs_change_fini(&a.c);
}

/* ---- What works ---- */

static void test_write_and_read(void **state)
{
    struct rig *r = *state;
    rig_tree(r);
    assert_int_equal(get_error(r, "/a"), -ENOENT);
    assert_int_equal(do_op(r, VFS_WRITE, SLICE("/a"), SLICE("one")), 0);
    assert_text(r, SLICE("/a"), "one");
    assert_file(r, "/a", "one"); /* the cache knew that it was not there */
    assert_int_equal(do_op(r, VFS_WRITE, SLICE("/a"), SLICE("two")), 0);
    assert_file(r, "/a", "two");
    assert_int_equal(do_op(r, VFS_APPEND, SLICE("/a"), SLICE("!")), 0);
    assert_file(r, "/a", "two!");
    assert_int_equal(do_op(r, VFS_APPEND, SLICE("/b"), SLICE("new")), 0);
    assert_file(r, "/b", "new");
    assert_int_equal(do_op(r, VFS_WRITE, SLICE("/a"), SLICE("")), 0);
    assert_file(r, "/a", "");
    struct ask_change a = {.c = {.op = VFS_STAT, .path = SLICE("/b")}};
    assert_int_equal(run(r, &a), 0);
    assert_int_equal(a.c.st.st_size, 3);
    vfs_change_fini(&a.c);
}

static void test_siblings_are_forgotten(void **state)
{
    struct rig *r = *state;
    put(r, "page", "page");
    rig_tree(r);
    struct vfs_node *node = get(r, "/page");
    assert_int_equal(node->siblings, 0);
    vfs_node_release(node);
    assert_int_equal(do_op(r, VFS_WRITE, SLICE("/page.gz"), SLICE("gz")), 0);
    node = get(r, "/page");
    assert_int_equal(node->siblings, 1 << 2);
    vfs_node_release(node);
}

static void test_remove_and_rename(void **state)
{
    struct rig *r = *state;
    make_dir(r, "d");
    put(r, "d/f", "f");
    put(r, "a", "a");
    rig_tree(r);
    assert_file(r, "/d/f", "f");
    assert_int_equal(get_error(r, "/e/f"), -ENOENT);
    assert_int_equal(do_op(r, VFS_RENAME, SLICE("/d"), SLICE("/e")), 0);
    assert_int_equal(get_error(r, "/d/f"), -ENOENT);
    assert_file(r, "/e/f", "f");
    assert_int_equal(do_op(r, VFS_RENAME, SLICE("/a"), SLICE("/e/f")), 0);
    assert_file(r, "/e/f", "a");
    assert_int_equal(do_op(r, VFS_RMDIR, SLICE("/e"), SLICE("")), -ENOTEMPTY);
    assert_int_equal(do_op(r, VFS_REMOVE, SLICE("/e"), SLICE("")), -EISDIR);
    assert_int_equal(do_op(r, VFS_REMOVE, SLICE("/e/f"), SLICE("")), 0);
    assert_int_equal(get_error(r, "/e/f"), -ENOENT);
    assert_int_equal(do_op(r, VFS_RMDIR, SLICE("/e/"), SLICE("")), 0);
    assert_int_equal(do_op(r, VFS_MKDIR, SLICE("/m"), SLICE("")), 0);
    struct vfs_node *node = get(r, "/m/");
    assert_int_equal(node->kind, VFS_DIR);
    vfs_node_release(node);
}

static void test_exclusive(void **state)
{
    struct rig *r = *state;
    put(r, "there", "there");
    put(r, "a", "a");
    rig_tree(r);
    struct ask_change a = {
        .c = {.op = VFS_WRITE, .path = SLICE("/there"), .data = SLICE("x"), .is_exclusive = true}};
    assert_int_equal(run(r, &a), -EEXIST);
    vfs_change_fini(&a.c);
    a.c.path = SLICE("/new");
    a.c.is_synced = true;
    assert_int_equal(run(r, &a), 0);
    vfs_change_fini(&a.c);
    assert_text(r, SLICE("/there"), "there");
    assert_text(r, SLICE("/new"), "x");
    a.c = (struct vfs_change){
        .op = VFS_RENAME, .path = SLICE("/a"), .to = SLICE("/there"), .is_exclusive = true};
    assert_int_equal(run(r, &a), -EEXIST);
    vfs_change_fini(&a.c);
    assert_text(r, SLICE("/a"), "a");
}

static void test_the_mode_stays(void **state)
{
    struct rig *r = *state;
    put(r, "a", "a");
    assert_int_equal(chmod(on_disk(r, "a"), 0640), 0);
    rig_tree(r);
    assert_int_equal(do_op(r, VFS_WRITE, SLICE("/a"), SLICE("b")), 0);
    struct stat st;
    assert_int_equal(stat(on_disk(r, "a"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void test_large(void **state)
{
    struct rig *r = *state;
    static const size_t n = 3 * MIB + 17;
    char *bytes = pattern(n);
    rig_tree(r);
    assert_int_equal(do_op(r, VFS_WRITE, SLICE("/big"), slice_of(bytes, n)), 0);
    struct ask_change a = {.c = {.op = VFS_READ, .path = SLICE("/big"), .max = n}};
    assert_int_equal(run(r, &a), 0);
    assert_true(slice_is(a.c.text, slice_of(bytes, n)));
    vfs_change_fini(&a.c);
    a.c.max = n - 1;
    assert_int_equal(run(r, &a), -EFBIG);
    assert_int_equal(a.c.text.n, 0);
    vfs_change_fini(&a.c);
    free(bytes);
}

/* ---- What is refused ---- */

static void test_no_way_out(void **state)
{
    struct rig *r = *state;
    make_dir(r, "sub");
    make_dir(r, "../out");
    put(r, "../out/secret", "secret");
    put(r, "a", "a");
    make_link(r, "../out", "outdir");
    make_link(r, "../out/secret", "link");
    make_link(r, "/tmp", "absolute");
    rig_tree(r);
    static const slice bad[] = {
        SLICE(""),          SLICE("a"),   SLICE("/.."),  SLICE("/../out/secret"),
        SLICE("/sub/../a"), SLICE("//a"), SLICE("/./a"), SLICE("/a\0b")};
    for (int op = VFS_READ; op <= VFS_RMDIR; op++) {
        for (size_t i = 0; i < COUNT_OF(bad); i++)
            assert_int_equal(do_op(r, op, bad[i], SLICE("/x")), -EINVAL);
        assert_int_equal(do_op(r, op, SLICE("/outdir/secret"), SLICE("/x")), -EXDEV);
        assert_int_equal(do_op(r, op, SLICE("/absolute/x"), SLICE("/x")), -EXDEV);
    }
    assert_int_equal(do_op(r, VFS_RENAME, SLICE("/a"), SLICE("/../out/x")), -EINVAL);
    assert_int_equal(do_op(r, VFS_RENAME, SLICE("/a"), SLICE("/outdir/x")), -EXDEV);
    assert_int_equal(do_op(r, VFS_READ, SLICE("/link"), SLICE("")), -EXDEV);
    assert_int_equal(do_op(r, VFS_APPEND, SLICE("/link"), SLICE("x")), -EXDEV);
    assert_int_equal(do_op(r, VFS_WRITE, SLICE("/link"), SLICE("x")),
                     0); /* the link itself is replaced */
    assert_int_equal(do_op(r, VFS_WRITE, SLICE("/"), SLICE("x")), -EISDIR);
    assert_int_equal(do_op(r, VFS_RMDIR, SLICE("/"), SLICE("x")), -EBUSY);
    struct stat st;
    assert_int_equal(stat(on_disk(r, "../out/secret"), &st), 0);
    assert_int_equal(st.st_size, 6);
    assert_int_equal(stat(on_disk(r, "../out/x"), &st), -1);
}

static void test_long_names(void **state)
{
    struct rig *r = *state;
    char path[VFS_PATH_BYTES + 8];
    memset(path, 'n', sizeof path);
    path[0] = '/';
    rig_tree(r);
    for (int op = VFS_READ; op <= VFS_RMDIR; op++) {
        assert_int_equal(do_op(r, op, slice_of(path, 257), SLICE("/x")), -ENAMETOOLONG);
        assert_int_equal(do_op(r, op, slice_of(path, VFS_PATH_BYTES), SLICE("/x")), -ENAMETOOLONG);
    }
    assert_int_equal(do_op(r, VFS_WRITE, slice_of(path, 256), SLICE("x")), 0);
}

static void test_no_regular_file(void **state)
{
    struct rig *r = *state;
    make_dir(r, "d");
    assert_int_equal(mkfifo(on_disk(r, "fifo"), 0644), 0);
    rig_tree(r);
    assert_int_equal(do_op(r, VFS_READ, SLICE("/d"), SLICE("")), -EISDIR);
    assert_int_equal(do_op(r, VFS_READ, SLICE("/fifo"), SLICE("")), -EACCES);
    assert_true(do_op(r, VFS_APPEND, SLICE("/fifo"), SLICE("x")) <
                0); /* nobody reads there: it does not wait for one */
    assert_int_equal(do_op(r, VFS_WRITE, SLICE("/d"), SLICE("x")), -EISDIR);
}

/* A disk that is full: what was there stays, and no temporary name. */
static void test_too_large_for_the_disk(void **state)
{
    struct rig *r = *state;
    struct rlimit old, small = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    put(r, "a", "old");
    rig_tree(r);
    char *bytes = pattern(10000);
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGXFSZ, &ignore, &before);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int error = do_op(r, VFS_WRITE, SLICE("/a"), slice_of(bytes, 10000));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    sigaction(SIGXFSZ, &before, NULL);
    free(bytes);
    assert_int_equal(error, -EFBIG);
    assert_file(r, "/a", "old");
    assert_int_equal(unlink(on_disk(r, "a")), 0);
    assert_int_equal(rmdir(r->root), 0); /* nothing else is left in it */
    assert_int_equal(mkdir(r->root, 0755), 0);
}

/* ---- Together ---- */

static void test_lookup_that_began_before(void **state)
{
    struct rig *r = *state;
    rig_tree(r);
    for (int i = 0; i < 50; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        struct ask before, after;
        struct ask_change a = {
            .c = {.op = VFS_WRITE, .path = SLICE("/a"), .data = slice_str(text), .done = on_done}};
        ask_start(r, &before, SLICE("/a"));
        assert_true(vfs_change_start(r->vfs, &a.c));
        rig_until(r, &a.is_done);
        assert_int_equal(a.c.error, 0);
        vfs_change_fini(&a.c);
        ask_start(r, &after, SLICE("/a")); /* never joins the look that may have seen the old one */
        rig_until(r, &after.is_done);
        rig_until(r, &before.is_done);
        assert_content(after.open.node, text);
        vfs_node_release(before.open.node);
        vfs_node_release(after.open.node);
        assert_file(r, "/a", text);
    }
}

static void test_writers_do_not_mix(void **state)
{
    struct rig *r = *state;
    static char texts[16][5000];
    struct ask_change asks[16] = {0};
    rig_tree(r);
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        memset(texts[i], 'a' + (int)i, sizeof texts[i]);
        asks[i].c = (struct vfs_change){.op = VFS_WRITE,
                                        .path = SLICE("/a"),
                                        .data = slice_of(texts[i], sizeof texts[i]),
                                        .done = on_done};
        assert_true(vfs_change_start(r->vfs, &asks[i].c));
    }
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        rig_until(r, &asks[i].is_done);
        assert_int_equal(asks[i].c.error, 0);
        vfs_change_fini(&asks[i].c);
    }
    struct ask_change a = {.c = {.op = VFS_READ, .path = SLICE("/a"), .max = 10000}};
    assert_int_equal(run(r, &a), 0);
    assert_int_equal(a.c.text.n, sizeof texts[0]);
    for (size_t i = 1; i < a.c.text.n; i++)
        assert_int_equal(a.c.text.p[i], a.c.text.p[0]);
    vfs_change_fini(&a.c);
}

static void test_given_up(void **state)
{
    struct rig *r = *state;
    rig_tree(r);
    struct ask_change a = {
        .c = {.op = VFS_WRITE, .path = SLICE("/a"), .data = SLICE("x"), .done = on_done}};
    assert_true(vfs_change_start(r->vfs, &a.c));
    vfs_change_fini(&a.c);
    rig_idle(r);
    assert_false(a.is_done);
    assert_file(r, "/a", "x"); /* it happened all the same */
}

static void test_unused(void **state)
{
    struct rig *r = *state;
    put(r, "a", "a");
    rig_tree(r);
    struct vfs_node *node = get(r, "/a");
    vfs_stop(r->vfs);
    rig_idle(r);
    assert_false(vfs_is_unused(r->vfs));
    vfs_node_release(node);
    rig_idle(r);
    assert_true(vfs_is_unused(r->vfs));
}

static void test_no_memory(void **state)
{
    struct rig *r = *state;
    put(r, "a", "a");
    rig_tree(r);
    for (uint64_t n = 1; n < 20; n++)
        for (int op = VFS_READ; op <= VFS_RMDIR; op++) {
            struct ask_change a = {.c = {.op = op,
                                         .path = SLICE("/a"),
                                         .to = SLICE("/b"),
                                         .data = SLICE("x"),
                                         .max = 10,
                                         .done = on_done}};
            r->book.fail_at = n;
            if (vfs_change_start(r->vfs, &a.c))
                rig_until(r, &a.is_done);
            r->book.fail_at = 0;
            vfs_change_fini(&a.c);
        }
}

/* ---- Open files ---- */

struct ask_file {
    struct vfs_file *file;
    bool is_done;
    int error;
    char text[64];
    size_t n;
};

static void on_file(struct vfs_file *file, int error, slice data, void *owner)
{
    struct ask_file *a = owner;
    a->is_done = true;
    a->error = error;
    a->n = data.n;
    assert_true(data.n <= sizeof a->text);
    if (data.n)
        memcpy(a->text, data.p, data.n);
}

static int wait_file(struct rig *r, struct ask_file *a)
{
    rig_until(r, &a->is_done);
    a->is_done = false;
    return a->error;
}

static int open_file(struct rig *r, struct ask_file *a, slice path, enum vfs_file_mode mode)
{
    *a = (struct ask_file){0};
    a->file = vfs_file_open(r->vfs, path, mode, on_file, a);
    assert_non_null(a->file);
    return wait_file(r, a);
}

static int close_file(struct rig *r, struct ask_file *a, bool keep)
{
    vfs_file_close(a->file, keep, true);
    return wait_file(r, a);
}

static int write_file(struct rig *r, struct ask_file *a, slice data)
{
    assert_true(vfs_file_write(a->file, data));
    return wait_file(r, a);
}

static void test_files_piece_by_piece(void **state)
{
    struct rig *r = *state;
    struct ask_file a;
    put(r, "f", "old");
    rig_tree(r);
    assert_int_equal(open_file(r, &a, SLICE("/f"), VFS_FILE_REPLACE), 0);
    assert_int_equal(write_file(r, &a, SLICE("one ")), 0);
    assert_int_equal(write_file(r, &a, SLICE("")), 0);
    assert_int_equal(write_file(r, &a, SLICE("two")), 0);
    assert_file(r, "/f", "old");
    assert_int_equal(close_file(r, &a, true), 0);
    assert_file(r, "/f", "one two");
    assert_int_equal(open_file(r, &a, SLICE("/f"), VFS_FILE_APPEND), 0);
    assert_int_equal(write_file(r, &a, SLICE("!")), 0);
    assert_int_equal(close_file(r, &a, true), 0);
    assert_int_equal(open_file(r, &a, SLICE("/f"), VFS_FILE_READ), 0);
    static const struct {
        size_t n;
        const char *text;
    } pieces[] = {{4, "one "}, {3, "two"}, {10, "!"}, {10, ""}};
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        assert_true(vfs_file_read(a.file, pieces[i].n));
        assert_int_equal(wait_file(r, &a), 0);
        assert_true(slice_is(slice_of(a.text, a.n), slice_str(pieces[i].text)));
    }
    assert_int_equal(close_file(r, &a, false), 0);
}

static void test_files_given_up(void **state)
{
    struct rig *r = *state;
    struct ask_file a;
    put(r, "f", "old");
    rig_tree(r);
    assert_int_equal(open_file(r, &a, SLICE("/f"), VFS_FILE_REPLACE), 0);
    assert_int_equal(write_file(r, &a, SLICE("new")), 0);
    assert_int_equal(close_file(r, &a, false), 0);
    assert_int_equal(open_file(r, &a, SLICE("/f"), VFS_FILE_REPLACE), 0);
    vfs_file_drop(a.file);
    assert_int_equal(open_file(r, &a, SLICE("/n"), VFS_FILE_CREATE), 0);
    assert_true(vfs_file_write(a.file, SLICE("x")));
    vfs_file_drop(a.file); /* on its way */
    a.file = vfs_file_open(r->vfs, SLICE("/f"), VFS_FILE_READ, on_file, &a);
    vfs_file_drop(a.file);
    rig_idle(r);
    assert_false(a.is_done);
    assert_file(r, "/f", "old");
    assert_int_equal(get_error(r, "/n"), -ENOENT);
    assert_int_equal(unlink(on_disk(r, "f")), 0);
    assert_int_equal(rmdir(r->root), 0); /* nothing else is left in it */
    assert_int_equal(mkdir(r->root, 0755), 0);
}

static void test_files_refused(void **state)
{
    struct rig *r = *state;
    struct ask_file a;
    put(r, "f", "old");
    make_dir(r, "d");
    make_dir(r, "../out");
    make_link(r, "../out", "outdir");
    rig_tree(r);
    static const struct {
        slice path;
        enum vfs_file_mode mode;
        int error;
    } cases[] = {
        {SLICE("/none"), VFS_FILE_READ, -ENOENT},      {SLICE("/d"), VFS_FILE_READ, -EISDIR},
        {SLICE("/d"), VFS_FILE_REPLACE, -EISDIR},      {SLICE("/f"), VFS_FILE_CREATE, -EEXIST},
        {SLICE("/../f"), VFS_FILE_READ, -EINVAL},      {SLICE("/../f"), VFS_FILE_REPLACE, -EINVAL},
        {SLICE("/outdir/x"), VFS_FILE_APPEND, -EXDEV}, {SLICE("/f/"), VFS_FILE_READ, -EISDIR},
        {SLICE("/none/x"), VFS_FILE_REPLACE, -ENOENT}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(open_file(r, &a, cases[i].path, cases[i].mode), cases[i].error);
        vfs_file_drop(a.file);
    }
}

/* A write that failed keeps nothing, whatever comes after it. */
static void test_files_that_broke(void **state)
{
    struct rig *r = *state;
    struct ask_file a;
    put(r, "f", "old");
    rig_tree(r);
    assert_int_equal(open_file(r, &a, SLICE("/f"), VFS_FILE_REPLACE), 0);
    struct rlimit old, small;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGXFSZ, &ignore, &before);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){.rlim_cur = 4, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int error = write_file(r, &a, SLICE("too long"));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    sigaction(SIGXFSZ, &before, NULL);
    assert_int_equal(error, -EFBIG);
    assert_int_equal(write_file(r, &a, SLICE("x")), 0);
    assert_int_equal(close_file(r, &a, true), -EFBIG);
    assert_file(r, "/f", "old");
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    rig_up(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_down(*state);
    free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_write_and_read),
        TEST(test_siblings_are_forgotten),
        TEST(test_remove_and_rename),
        TEST(test_exclusive),
        TEST(test_the_mode_stays),
        TEST(test_large),
        TEST(test_no_way_out),
        TEST(test_long_names),
        TEST(test_no_regular_file),
        TEST(test_too_large_for_the_disk),
        TEST(test_lookup_that_began_before),
        TEST(test_writers_do_not_mix),
        TEST(test_given_up),
        TEST(test_unused),
        TEST(test_no_memory),
        TEST(test_files_piece_by_piece),
        TEST(test_files_given_up),
        TEST(test_files_refused),
        TEST(test_files_that_broke),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
