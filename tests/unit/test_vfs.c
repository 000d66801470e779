/* test_vfs: names, what they lead to, and how changes are seen: real directories, the real loop. */
#include "vfs_rig.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

/* ---- What is found. ---- */

static void test_file_and_directory(void **state)
{
    struct rig *r = *state;
    put(r, "hello.txt", "hello");
    put(r, "empty", "");
    make_dir(r, "sub");
    put(r, "sub/deep.txt", "deep");
    rig_tree(r);
    assert_file(r, "/hello.txt", "hello");
    assert_file(r, "/empty", "");
    assert_file(r, "/sub/deep.txt", "deep");
    struct stat st;
    assert_int_equal(stat(on_disk(r, "hello.txt"), &st), 0);
    struct vfs_node *node = get(r, "/hello.txt");
    assert_true(node->ino == st.st_ino && node->dev == st.st_dev && node->mode == st.st_mode);
    assert_true(node->mtime_s == st.st_mtim.tv_sec && node->mtime_ns == st.st_mtim.tv_nsec);
    assert_true(slice_is(node->path, SLICE("/hello.txt")));
    vfs_node_release(node);
    const char *dirs[] = {"/", "/sub", "/sub/"};
    for (size_t i = 0; i < COUNT_OF(dirs); i++) {
        node = get(r, dirs[i]);
        assert_int_equal(node->kind, VFS_DIR);
        vfs_node_release(node);
    }
    assert_int_equal(get_error(r, "/nothing"), -ENOENT);
    assert_int_equal(get_error(r, "/hello.txt/"), -ENOTDIR);
    assert_int_equal(get_error(r, "/hello.txt/more"), -ENOTDIR);
    assert_int_equal(stats(r).open_files, 0);
}

static void test_hit_is_at_once(void **state)
{
    struct rig *r = *state;
    put(r, "a", "a");
    rig_tree(r);
    struct ask first, second;
    ask_start(r, &first, SLICE("/a"));
    assert_false(first.was_at_once);
    rig_until(r, &first.is_done);
    uint64_t allocations = r->book.bytes;
    r->book.fail_at = 1; /* a hit allocates nothing */
    r->book.fail_forever = true;
    ask_start(r, &second, SLICE("/a"));
    assert_true(second.was_at_once);
    assert_ptr_equal(first.open.node, second.open.node);
    assert_int_equal(r->book.bytes, allocations);
    assert_int_equal(r->book.fail_at, 1);
    r->book.fail_at = 0;
    assert_int_equal(stats(r).hits, 1);
    assert_int_equal(stats(r).misses, 1);
    vfs_node_release(first.open.node);
    vfs_node_release(second.open.node);
}

static void test_bad_paths(void **state)
{
    struct rig *r = *state;
    make_dir(r, "sub");
    put(r, "../secret", "secret");
    rig_tree(r);
    static const slice bad[] = {
        {"", 0},         SLICE("a"),         SLICE("//"),      SLICE("/a//b"),
        SLICE("/."),     SLICE("/.."),       SLICE("/sub/.."), SLICE("/../x"),
        SLICE("/./sub"), SLICE("/sub/./"),   SLICE("/a\0b"),   SLICE("/sub/../../secret"),
        SLICE("/\0"),    SLICE("../secret"),
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct ask a;
        ask_start(r, &a, bad[i]);
        assert_true(a.was_at_once);
        assert_int_equal(a.open.node->kind, VFS_ABSENT);
        assert_int_equal(a.open.node->error, -EINVAL);
        assert_true(slice_is(a.open.node->path, bad[i]));
        vfs_open_cancel(&a.open); /* harmless */
        vfs_node_release(a.open.node);
    }
    assert_int_equal(stats(r).entries, 0);
    assert_int_equal(get_error(r, "/..."), -ENOENT);
    assert_int_equal(get_error(r, "/.hidden"), -ENOENT);
}

static void test_long_names(void **state)
{
    struct rig *r = *state;
    char name[256], path[4200];
    memset(name, 'n', 255);
    name[255] = '\0';
    put(r, name, "long");
    rig_tree(r);
    snprintf(path, sizeof path, "/%s", name);
    struct vfs_node *node = get(r, path);
    assert_content(node, "long"); /* a sibling's name would be too long: it is not there */
    assert_int_equal(node->siblings, 0);
    vfs_node_release(node);
    snprintf(path, sizeof path, "/%sn", name);
    assert_int_equal(get_error(r, path), -ENAMETOOLONG);
    memset(path, 'n', sizeof path);
    for (size_t i = 0; i < sizeof path; i += 100)
        path[i] = '/';
    path[4095] = '\0';
    assert_int_equal(get_error(r, path), -ENOENT);
    path[4095] = 'n';
    path[4096] = '\0';
    assert_int_equal(get_error(r, path), -ENAMETOOLONG);
}

static void test_links(void **state)
{
    struct rig *r = *state;
    make_dir(r, "sub");
    make_dir(r, "../out");
    put(r, "../out/secret", "secret");
    put(r, "a", "a");
    put(r, "sub/b", "b");
    make_link(r, "a", "inside");
    make_link(r, "../a", "sub/up");
    make_link(r, "sub", "dir");
    make_link(r, "sub/", "slashed");
    make_link(r, "../out/secret", "relative");
    make_link(r, "/etc/passwd", "absolute");
    make_link(r, on_disk(r, "a"), "home");
    make_link(r, "../out", "outdir");
    make_link(r, "../root/a", "around");
    make_link(r, "loop", "loop");
    make_link(r, "nowhere", "dangling");
    make_link(r, "/proc/self/root/etc/passwd", "magic");
    rig_tree(r);
    assert_file(r, "/inside", "a");
    assert_file(r, "/sub/up", "a");
    assert_file(r, "/dir/b", "b");
    assert_file(r, "/slashed/up", "a");
    static const char *const out[] = {"/relative",      "/absolute", "/home", "/outdir",
                                      "/outdir/secret", "/around",   "/magic"};
    for (size_t i = 0; i < COUNT_OF(out); i++)
        assert_int_equal(get_error(r, out[i]), -EXDEV);
    assert_int_equal(get_error(r, "/loop"), -ELOOP);
    assert_int_equal(get_error(r, "/dangling"), -ENOENT);
    assert_int_equal(get_error(r, "/inside/"), -ENOTDIR);
    struct vfs_node *node = get(r, "/dir/");
    assert_int_equal(node->kind, VFS_DIR);
    vfs_node_release(node);
}

/* Opening a FIFO waits for a writer, opening a device may do something: none of it happens. */
static void test_special_files(void **state)
{
    struct rig *r = *state;
    assert_int_equal(mkfifo(on_disk(r, "fifo"), 0644), 0);
    make_link(r, "fifo", "link");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    assert_true(strlen(r->root) + sizeof "/socket" <= sizeof a.sun_path);
    snprintf(a.sun_path, sizeof a.sun_path, "%.80s/socket", r->root);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof a), 0);
    bool has_device = mknod(on_disk(r, "device"), S_IFCHR | 0666, makedev(1, 3)) == 0;
    rig_tree(r);
    assert_int_equal(get_error(r, "/fifo"), -EACCES);
    assert_int_equal(get_error(r, "/link"), -EACCES);
    assert_int_equal(get_error(r, "/socket"), -EACCES);
    if (has_device)
        assert_int_equal(get_error(r, "/device"), -EACCES);
    assert_int_equal(open(on_disk(r, "fifo"), O_WRONLY | O_NONBLOCK), -1);
    assert_int_equal(errno, ENXIO); /* nobody has it open for reading */
    close(s);
}

/* In a child that is nobody: root may read everything. */
static void test_permission(void **state)
{
    struct rig *r = *state;
    put(r, "closed", "x");
    put(r, "open", "y");
    make_dir(r, "dir");
    put(r, "dir/a", "a");
    assert_int_equal(chmod(on_disk(r, "closed"), 0), 0);
    assert_int_equal(chmod(on_disk(r, "dir"), 0), 0);
    assert_int_equal(chmod(r->dir, 0755), 0);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(2);
        rig_tree(r);
        bool ok = get_error(r, "/closed") == -EACCES && get_error(r, "/dir/a") == -EACCES &&
                  get_error(r, "/open") == 0;
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(chmod(on_disk(r, "dir"), 0755), 0);
}

static void test_siblings(void **state)
{
    struct rig *r = *state;
    put(r, "a.css", "a");
    make_dir(r, "a.css.gz");
    rig_tree(r);
    struct vfs_node *plain = get(r, "/a.css");
    assert_int_equal(plain->siblings, 0); /* a directory is none */
    put(r, "a.css.br", "br");
    age(r, 2000);
    struct vfs_node *one = get(r, "/a.css");
    assert_ptr_not_equal(plain, one);
    assert_int_equal(one->siblings, 1);
    assert_int_equal(rmdir(on_disk(r, "a.css.gz")), 0);
    make_link(r, "a.css.br", "a.css.gz");
    age(r, 2000);
    struct vfs_node *two = get(r, "/a.css");
    assert_int_equal(two->siblings, 5);
    unlink(on_disk(r, "a.css.br"));
    age(r, 2000);
    struct vfs_node *none = get(r, "/a.css");
    assert_int_equal(none->siblings, 0); /* the link dangles */
    struct vfs_node *all[] = {plain, one, two, none};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        assert_content(all[i], "a");
        vfs_node_release(all[i]);
    }
}

/* ---- Changes. ---- */

static void test_unchanged_stays(void **state)
{
    struct rig *r = *state;
    put(r, "a", "a");
    rig_tree(r);
    struct vfs_node *first = get(r, "/a");
    age(r, 2000);
    struct vfs_node *second = get(r, "/a");
    assert_ptr_equal(first, second);
    assert_int_equal(stats(r).misses, 2); /* it was waited for */
    int absent = get_error(r, "/b");
    assert_int_equal(absent, -ENOENT);
    age(r, 2000);
    assert_int_equal(get_error(r, "/b"), -ENOENT);
    assert_int_equal(stats(r).entries, 2);
    vfs_node_release(first);
    vfs_node_release(second);
}

static void test_refresh_in_background(void **state)
{
    struct rig *r = *state;
    put(r, "a", "old");
    rig_tree(r);
    vfs_node_release(get(r, "/a"));
    put(r, "a", "new");
    age(r, VFS_REFRESH_MS + 100);
    struct ask a;
    for (int i = 0; i < 3; i++) { /* served at once, one look is enough */
        ask_start(r, &a, SLICE("/a"));
        assert_true(a.was_at_once);
        assert_content(a.open.node, "old");
        vfs_node_release(a.open.node);
        assert_int_equal(stats(r).jobs_pending, 1);
    }
    assert_int_equal(stats(r).refreshes, 1);
    rig_idle(r);
    ask_start(r, &a, SLICE("/a"));
    assert_true(a.was_at_once);
    assert_content(a.open.node, "new");
    vfs_node_release(a.open.node);
}

/* Who comes when it is too old joins the look that began in the background. */
static void test_wait_for_refresh(void **state)
{
    struct rig *r = *state;
    put(r, "a", "old");
    rig_tree(r);
    vfs_node_release(get(r, "/a"));
    put(r, "a", "new");
    age(r, VFS_REFRESH_MS + 100);
    struct ask a, b;
    ask_start(r, &a, SLICE("/a"));
    age(r, 2000);
    ask_start(r, &b, SLICE("/a"));
    assert_false(b.was_at_once);
    assert_int_equal(stats(r).jobs_pending, 1);
    rig_until(r, &b.is_done);
    assert_content(b.open.node, "new");
    assert_content(a.open.node, "old");
    vfs_node_release(a.open.node);
    vfs_node_release(b.open.node);
}

static void test_changes_are_seen(void **state)
{
    struct rig *r = *state;
    rig_tree(r);
    assert_int_equal(get_error(r, "/a"), -ENOENT);
    put(r, "a", "one");
    assert_int_equal(get_error(r, "/a"), -ENOENT); /* within the second */
    age(r, 2000);
    assert_file(r, "/a", "one");
    put(r, "a", "two"); /* same size, perhaps the same times */
    age(r, 2000);
    assert_file(r, "/a", "two");
    put(r, "b", "three");
    move(r, "b", "a");
    age(r, 2000);
    assert_file(r, "/a", "three");
    unlink(on_disk(r, "a"));
    age(r, 2000);
    assert_int_equal(get_error(r, "/a"), -ENOENT);
    make_dir(r, "a");
    age(r, 2000);
    struct vfs_node *node = get(r, "/a");
    assert_int_equal(node->kind, VFS_DIR);
    vfs_node_release(node);
    assert_int_equal(rmdir(on_disk(r, "a")), 0);
    make_link(r, "/etc/passwd", "a");
    age(r, 2000);
    assert_int_equal(get_error(r, "/a"), -EXDEV);
}

/* Long after it was written, the same times do prove the same content: it is not read again. */
static void test_old_file_is_not_read_again(void **state)
{
    struct rig *r = *state;
    put(r, "a", "a");
    rig_tree(r);
    struct vfs_node *node = get(r, "/a");
    assert_true(inside(node)->is_recent);
    inside(node)->is_recent = false;
    node->content->p[0] = 'z'; /* would be noticed */
    age(r, 2000);
    struct vfs_node *again = get(r, "/a");
    assert_ptr_equal(node, again);
    vfs_node_release(again);
    vfs_node_release(node);
}

static void test_prepared_goes_with_its_node(void **state)
{
    struct rig *r = *state;
    put(r, "a", "a");
    rig_tree(r);
    struct mem_owner owner;
    mem_owner_init(&owner, &r->book, "prepared");
    struct vfs_node *node = get(r, "/a");
    node->prepared = &buf_new(&owner, 100)->shared;
    vfs_node_release(node);
    assert_true(owner.bytes > 0);
    put(r, "a", "bb");
    age(r, 2000);
    node = get(r, "/a");
    assert_null(node->prepared);
    assert_int_equal(owner.bytes, 0);
    vfs_node_release(node);
    mem_owner_fini(&owner);
}

/* ---- Many at once. ---- */

static void test_one_job_for_all(void **state)
{
    struct rig *r = *state;
    put(r, "a", "a");
    rig_tree(r);
    static struct ask asks[1000];
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        ask_start(r, &asks[i], SLICE("/a"));
        assert_false(asks[i].was_at_once);
    }
    assert_int_equal(stats(r).jobs_pending, 1);
    for (size_t i = 0; i < COUNT_OF(asks); i += 2)
        vfs_open_cancel(&asks[i].open);
    rig_until(r, &asks[999].is_done);
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        assert_int_equal(asks[i].is_done, i % 2);
        if (i % 2)
            assert_ptr_equal(asks[i].open.node, asks[1].open.node);
        vfs_node_release(asks[i].open.node);
    }
}

static struct ask *victim;

static void cancel_victim(struct vfs_open *o)
{
    ask_done(o);
    vfs_open_cancel(&victim->open);
}

static void test_cancel_from_done(void **state)
{
    struct rig *r = *state;
    rig_tree(r);
    struct ask a[3];
    for (int i = 0; i < 3; i++)
        ask_start(r, &a[i], SLICE("/a"));
    victim = &a[1];
    a[0].open.done = cancel_victim;
    rig_until(r, &a[2].is_done);
    assert_true(a[0].is_done);
    assert_false(a[1].is_done);
    assert_null(a[1].open.node);
    vfs_node_release(a[0].open.node);
    vfs_node_release(a[2].open.node);
    struct vfs_open never = {0};
    vfs_open_cancel(&never);
}

/* What had not begun is not done for nobody; what had begun fills the cache. */
static void test_cancel_all(void **state)
{
    struct rig *r = *state;
    r->settings.threads = 1;
    rig_tree(r);
    struct ask a[50];
    char path[16];
    for (int i = 0; i < 50; i++) {
        snprintf(path, sizeof path, "/%d", i);
        ask_start(r, &a[i], slice_str(path));
    }
    assert_int_equal(stats(r).jobs_pending, 50);
    for (int i = 0; i < 50; i++)
        vfs_open_cancel(&a[i].open);
    assert_int_equal(stats(r).jobs_pending, 2);
    rig_idle(r);
    assert_int_equal(stats(r).entries, 2);
    for (int i = 0; i < 50; i++)
        assert_false(a[i].is_done);
}

/* ---- Limits. ---- */

static void test_entries_limit(void **state)
{
    struct rig *r = *state;
    char name[16];
    r->settings.cache_entries = 40;
    rig_tree(r);
    put(r, "hot", "hot");
    vfs_node_release(get(r, "/hot"));
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "f%d", i);
        put(r, name, name);
        age(r, 1);
        vfs_node_release(get(r, "/hot"));
        snprintf(name, sizeof name, "/f%d", i);
        assert_file(r, name, name + 1);
        assert_true(stats(r).entries <= 40);
    }
    struct vfs_stats before = stats(r);
    assert_int_equal(before.entries, 40);
    assert_int_equal(before.evictions, 201 - 40);
    vfs_node_release(get(r, "/hot")); /* what is asked for stays */
    assert_int_equal(stats(r).hits, before.hits + 1);
}

static void test_absent_names_push_nothing_out(void **state)
{
    struct rig *r = *state;
    char name[16];
    r->settings.cache_entries = 40;
    rig_tree(r);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "f%d", i);
        put(r, name, name);
        snprintf(name, sizeof name, "/f%d", i);
        vfs_node_release(get(r, name));
    }
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "/none%d", i);
        assert_int_equal(get_error(r, name), -ENOENT);
    }
    assert_int_equal(r->vfs->cache.counts[VFS_CLASS_ABSENT], 10);
    assert_int_equal(r->vfs->cache.counts[VFS_CLASS_KEPT], 20);
}

static void test_bytes_limit(void **state)
{
    struct rig *r = *state;
    char name[16];
    r->settings.cache_bytes = 64 * KIB;
    r->settings.content_bytes = 10 * KIB;
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "f%d", i);
        put_pattern(r, name, (size_t)i * 350);
    }
    rig_tree(r);
    struct vfs_node *held = get(r, "/f29");
    assert_non_null(held->content);
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "/f%d", i);
        vfs_node_release(get(r, name));
        assert_true(stats(r).content_bytes <= 64 * KIB);
    }
    size_t freed = vfs_shrink(r->vfs, 10 * KIB);
    assert_true(freed >= 10 * KIB && freed < 24 * KIB);
    vfs_shrink(r->vfs, SIZE_MAX);
    assert_true(stats(r).entries <= 1); /* the one that is held, if it was still there */
    assert_int_equal(held->content->n, 29 * 350);
    vfs_node_release(held);
}

static void test_files_limit(void **state)
{
    struct rig *r = *state;
    char name[16];
    struct vfs_node *held[4];
    r->settings.cache_files = 8;
    r->settings.content_bytes = 10;
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "f%d", i);
        put_pattern(r, name, 100);
    }
    rig_tree(r);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "/f%d", i);
        held[i] = get(r, name);
        assert_null(held[i]->content);
        assert_true(inside(held[i])->fd >= 0);
    }
    for (int i = 4; i < 40; i++) {
        snprintf(name, sizeof name, "/f%d", i);
        vfs_node_release(get(r, name));
        assert_true(r->vfs->cache.files <= 8);
    }
    rig_idle(r);
    assert_int_equal(stats(r).open_files, 8);
    struct stat st;
    for (int i = 0; i < 4; i++) { /* what is held stays open, in the cache or not */
        assert_int_equal(fstat(inside(held[i])->fd, &st), 0);
        assert_true(st.st_ino == held[i]->ino);
        vfs_node_release(held[i]);
    }
    vfs_shrink(r->vfs, SIZE_MAX);
    rig_idle(r);
    assert_int_equal(stats(r).open_files, 0);
}

/* A file that nobody asks for is closed after a while: else a deleted one would stay on the disk.
 */
static void test_idle_files_are_closed(void **state)
{
    struct rig *r = *state;
    r->settings.content_bytes = 0;
    put(r, "a", "a");
    rig_tree(r);
    vfs_node_release(get(r, "/a"));
    assert_int_equal(stats(r).open_files, 1);
    assert_true(timeout_is_set(&r->vfs->sweep));
    r->vfs->sweep.fn(&r->vfs->sweep);
    assert_int_equal(stats(r).open_files, 1);
    age(r, VFS_IDLE_MS + 1);
    timeout_clear(&r->vfs->sweep);
    r->vfs->sweep.fn(&r->vfs->sweep);
    assert_false(timeout_is_set(&r->vfs->sweep));
    rig_idle(r);
    assert_int_equal(stats(r).open_files, 0);
    assert_int_equal(stats(r).entries, 0);
}

/* Descriptors ran out: said so, not kept, and what nobody needs is closed. */
static void test_no_descriptors(void **state)
{
    struct rig *r = *state;
    struct rlimit old, none;
    r->settings.content_bytes = 0;
    put(r, "a", "a");
    put(r, "b", "b");
    rig_tree(r);
    vfs_node_release(get(r, "/a"));
    assert_int_equal(stats(r).open_files, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int error = get_error(r, "/b");
    rig_idle(r);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(error, -EMFILE);
    assert_int_equal(stats(r).open_files, 0);
    assert_int_equal(stats(r).entries, 0);
    assert_int_equal(get_error(r, "/b"), 0);
}

static void test_budget(void **state)
{
    struct rig *r = *state;
    put_pattern(r, "a", 100 * KIB);
    rig_tree(r);
    r->book.budget = r->book.bytes + 150 * KIB; /* no room for what a worker might read */
    struct vfs_node *node = get(r, "/a");
    assert_int_equal(node->kind, VFS_FILE);
    assert_null(node->content);
    assert_true(inside(node)->fd >= 0);
    vfs_node_release(node);
    assert_true(r->book.peak <= r->book.budget);
    r->book.budget = 0;
    age(r, 2000);
    node = get(r, "/a"); /* now there is */
    assert_non_null(node->content);
    vfs_node_release(node);
}

/* ---- Beginning. ---- */

static void test_bad_roots(void **state)
{
    struct rig *r = *state;
    int error;
    put(r, "file", "x");
    assert_null(vfs_new(&r->io, &r->book, on_disk(r, "none"), &r->settings, &error));
    assert_int_equal(error, -ENOENT);
    assert_null(vfs_new(&r->io, &r->book, on_disk(r, "file"), &r->settings, &error));
    assert_int_equal(error, -ENOTDIR);
    r->settings.siblings[1] = SLICE("/etc/passwd");
    assert_null(vfs_new(&r->io, &r->book, r->root, &r->settings, &error));
    assert_int_equal(error, -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_file_and_directory),
        RIG_TEST(test_hit_is_at_once),
        RIG_TEST(test_bad_paths),
        RIG_TEST(test_long_names),
        RIG_TEST(test_links),
        RIG_TEST(test_special_files),
        RIG_TEST(test_permission),
        RIG_TEST(test_siblings),
        RIG_TEST(test_unchanged_stays),
        RIG_TEST(test_refresh_in_background),
        RIG_TEST(test_wait_for_refresh),
        RIG_TEST(test_changes_are_seen),
        RIG_TEST(test_old_file_is_not_read_again),
        RIG_TEST(test_prepared_goes_with_its_node),
        RIG_TEST(test_one_job_for_all),
        RIG_TEST(test_cancel_from_done),
        RIG_TEST(test_cancel_all),
        RIG_TEST(test_entries_limit),
        RIG_TEST(test_absent_names_push_nothing_out),
        RIG_TEST(test_bytes_limit),
        RIG_TEST(test_files_limit),
        RIG_TEST(test_idle_files_are_closed),
        RIG_TEST(test_no_descriptors),
        RIG_TEST(test_budget),
        RIG_TEST(test_bad_roots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
