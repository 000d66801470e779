/* test_vfs_send: files on their way through a stream, directories listed, and all of it without
 * memory. */
#include "vfs_rig.h"

#include <sys/socket.h>
#include <sys/wait.h>

/* A stream into one end of a socket pair; the test reads the other. */
struct pipe {
    struct stream stream;
    struct stream_class cls;
    int peer;
    bool is_closed;
    int error;
};

static void on_nothing(struct stream *s)
{
}

static void on_closed(struct stream *s, int error)
{
    struct pipe *p = CONTAINER_OF(s, struct pipe, stream);
    p->is_closed = true;
    p->error = error;
}

static const struct stream_ops ops = {.on_input = on_nothing,
                                      .on_room = on_nothing,
                                      .on_deadline = on_nothing,
                                      .on_closed = on_closed};

static void pipe_open(struct rig *r, struct pipe *p)
{
    int s[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s), 0);
    *p = (struct pipe){.cls = {.ops = &ops,
                               .io = &r->io,
                               .low_bytes = 64 * KIB,
                               .high_bytes = 256 * KIB,
                               .linger_ms = 1000},
                       .peer = s[1]};
    assert_int_equal(stream_open(&p->stream, &p->cls, s[0]), 0);
}

static void pipe_close(struct rig *r, struct pipe *p)
{
    stream_abort(&p->stream, 0);
    rig_until(r, &p->is_closed);
    close(p->peer);
}

/* Reads until [want] bytes or the end; returns how many there were. */
static size_t drain(struct rig *r, struct pipe *p, char *to, size_t want)
{
    size_t n = 0;
    for (int turns = 0; n < want; turns++) {
        ssize_t got = recv(p->peer, to + n, want - n, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return n;
        if (got < 0)
            loop_turn(r->loop, loop_now_ms(r->loop) + 1000);
        else
            n += (size_t)got;
        assert_true(turns < 1000000);
    }
    return n;
}

static bool push(struct rig *r, struct pipe *p, struct vfs_node *node, uint64_t offset,
                 uint64_t count)
{
    bool ok = vfs_push(r->vfs, node, offset, count, &p->stream.out);
    stream_touch(&p->stream);
    return ok;
}

/* The range arrives as it is in a pattern file. */
static void assert_sends(struct rig *r, struct vfs_node *node, uint64_t offset, size_t count)
{
    struct pipe p;
    char *want = pattern(offset + count), *got = malloc(count + 1);
    pipe_open(r, &p);
    assert_true(push(r, &p, node, offset, count));
    assert_int_equal(drain(r, &p, got, count), count);
    assert_memory_equal(got, want + offset, count);
    loop_turn(r->loop, loop_now_ms(r->loop));
    assert_int_equal(p.stream.out.bytes, 0);
    pipe_close(r, &p);
    free(want);
    free(got);
}

static void assert_sends_ranges(struct rig *r, struct vfs_node *node, size_t size)
{
    assert_sends(r, node, 0, size);
    assert_sends(r, node, 0, 1);
    assert_sends(r, node, size - 1, 1);
    assert_sends(r, node, 4095, 2);
    assert_sends(r, node, 100, size - 200);
    assert_sends(r, node, size, 0);
}

static void test_content(void **state)
{
    struct rig *r = *state;
    put_pattern(r, "a", 200 * KIB);
    rig_tree(r);
    struct vfs_node *node = get(r, "/a");
    assert_non_null(node->content);
    assert_sends_ranges(r, node, 200 * KIB);
    vfs_node_release(node);
}

#define LARGE (3 * MIB + 1234)

/* The same file in each of the ways in which file systems differ. */
static void test_every_way(void **state)
{
    struct rig *r = *state;
    put_pattern(r, "a", LARGE);
    rig_tree(r);
    struct vfs_node *node = get(r, "/a");
    assert_null(node->content);
    static const enum vfs_way ways[] = {VFS_WAY_NOWAIT, VFS_WAY_CACHED, VFS_WAY_MEMORY,
                                        VFS_WAY_COPY};
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        inside(node)->way = ways[i];
        assert_sends_ranges(r, node, LARGE);
    }
    vfs_node_release(node);
}

/* What is not in memory is read by the worker first. */
static void test_cold(void **state)
{
    struct rig *r = *state;
    put_pattern(r, "a", LARGE);
    rig_tree(r);
    struct vfs_node *node = get(r, "/a");
    int fd = inside(node)->fd;
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* a hint: the assertions hold either way */
    assert_sends(r, node, 0, LARGE);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    assert_sends(r, node, LARGE - 1000, 1000);
    vfs_node_release(node);
}

/* In a child that does not own the file: cachestat is refused, the bytes are tried instead. */
static void test_file_of_others(void **state)
{
    struct rig *r = *state;
    put_pattern(r, "a", LARGE);
    assert_int_equal(chmod(r->dir, 0755), 0);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(2);
        rig_tree(r);
        struct vfs_node *node = get(r, "/a");
        assert_sends(r, node, 0, LARGE);
        assert_sends(r, node, 5, LARGE / 3);
        vfs_node_release(node);
        exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void assert_cut(struct rig *r, enum vfs_way way)
{
    struct pipe p;
    put_pattern(r, "a", LARGE);
    age(r, 2000);
    struct vfs_node *node = get(r, "/a");
    inside(node)->way = way;
    assert_int_equal(truncate(on_disk(r, "a"), 700 * KIB), 0);
    char *want = pattern(LARGE), *got = malloc(LARGE);
    pipe_open(r, &p);
    assert_true(push(r, &p, node, 0, LARGE));
    size_t n = drain(r, &p, got, LARGE);
    assert_true(n <= 700 * KIB);
    assert_memory_equal(got, want, n);
    rig_until(r, &p.is_closed);
    assert_true(p.error < 0);
    close(p.peer);
    vfs_node_release(node);
    free(want);
    free(got);
}

/* Less than was promised: the connection is cut, so that nobody takes it for the whole. */
static void test_shorter(void **state)
{
    struct rig *r = *state;
    rig_tree(r);
    assert_cut(r, VFS_WAY_NOWAIT);
    assert_cut(r, VFS_WAY_CACHED);
    assert_cut(r, VFS_WAY_MEMORY);
    assert_cut(r, VFS_WAY_COPY);
}

/* The stream dies at every stage of the transfer, the worker being away or not. */
static void test_abort(void **state)
{
    struct rig *r = *state;
    put_pattern(r, "a", LARGE);
    r->settings.threads = 1;
    rig_tree(r);
    struct vfs_node *node = get(r, "/a");
    char some[1000];
    for (int turns = 0; turns < 20; turns++) {
        struct pipe p[5]; /* more than the lane takes at once */
        inside(node)->way = turns % 2 ? VFS_WAY_COPY : VFS_WAY_NOWAIT;
        for (size_t i = 0; i < COUNT_OF(p); i++) {
            pipe_open(r, &p[i]);
            assert_true(push(r, &p[i], node, 0, LARGE));
        }
        for (int i = 0; i < turns / 2; i++) {
            loop_turn(r->loop, 0);
            assert_true(recv(p[0].peer, some, sizeof some, 0) != 0);
        }
        for (size_t i = 0; i < COUNT_OF(p); i++)
            pipe_close(r, &p[i]);
    }
    rig_idle(r);
    assert_int_equal(r->vfs->senders, 0);
    assert_int_equal(node->shared.holders, 2); /* the cache and we */
    vfs_node_release(node);
}

/* The name gets a new file while the old one is being sent: all of the old one arrives. */
static void test_replaced_while_sent(void **state)
{
    struct rig *r = *state;
    struct pipe p;
    put_pattern(r, "a", LARGE);
    rig_tree(r);
    struct vfs_node *node = get(r, "/a");
    char *want = pattern(LARGE), *got = malloc(LARGE);
    pipe_open(r, &p);
    assert_true(push(r, &p, node, 0, LARGE));
    vfs_node_release(node);
    assert_int_equal(drain(r, &p, got, 1000), 1000);
    put(r, "b", "new");
    move(r, "b", "a");
    age(r, 2000);
    assert_file(r, "/a", "new");
    assert_int_equal(drain(r, &p, got + 1000, LARGE - 1000), LARGE - 1000);
    assert_memory_equal(got, want, LARGE);
    pipe_close(r, &p);
    rig_idle(r);
    assert_int_equal(stats(r).open_files, 0);
    free(want);
    free(got);
}

/* ---- Directories. ---- */

struct listing {
    struct vfs_list list;
    bool is_done;
};

static void list_is_done(struct vfs_list *l)
{
    CONTAINER_OF(l, struct listing, list)->is_done = true;
}

static void list_start(struct rig *r, struct listing *l, const char *path, size_t max, bool hidden)
{
    *l = (struct listing){.list = {.done = list_is_done, .max_entries = max, .hidden = hidden}};
    assert_true(vfs_list(r->vfs, slice_str(path), &l->list));
    assert_false(l->is_done);
}

static void list_all(struct rig *r, struct listing *l, const char *path)
{
    list_start(r, l, path, 1000, false);
    rig_until(r, &l->is_done);
}

static const struct vfs_entry *entry(const struct listing *l, const char *name)
{
    for (size_t i = 0; i < l->list.count; i++)
        if (slice_is(l->list.entries[i].name, slice_str(name)))
            return &l->list.entries[i];
    return NULL;
}

static void fill_directory(struct rig *r)
{
    make_dir(r, "d");
    make_dir(r, "d/sub");
    put(r, "d/a", "12345");
    put(r, "d/.hidden", "x");
    put(r, "d/name with spaces & \xff", "");
    put(r, "d/two\nlines", ""); /* nobody can ask for it */
    put(r, "outer", "1234567");
    make_link(r, "../outer", "d/link");
    make_link(r, "sub", "d/dirlink");
    make_link(r, "../../../etc", "d/out");
    make_link(r, "/etc/passwd", "d/absolute");
    make_link(r, "nothing", "d/dangling");
    make_link(r, "loop", "d/loop");
    assert_int_equal(mkfifo(on_disk(r, "d/fifo"), 0644), 0);
}

static void test_list(void **state)
{
    struct rig *r = *state;
    struct listing l;
    fill_directory(r);
    rig_tree(r);
    const char *paths[] = {"/d", "/d/"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        list_all(r, &l, paths[i]);
        assert_int_equal(l.list.error, 0);
        assert_false(l.list.is_cut);
        assert_int_equal(l.list.count, 5);
        const struct vfs_entry *a = entry(&l, "a"), *link = entry(&l, "link");
        struct stat st;
        assert_int_equal(stat(on_disk(r, "d/a"), &st), 0);
        assert_true(a->kind == VFS_FILE && a->size == 5 && a->mtime_s == st.st_mtim.tv_sec);
        assert_true(link->kind == VFS_FILE && link->size == 7);
        assert_int_equal(entry(&l, "sub")->kind, VFS_DIR);
        assert_int_equal(entry(&l, "dirlink")->kind, VFS_DIR);
        assert_non_null(entry(&l, "name with spaces & \xff"));
        vfs_list_fini(&l.list);
    }
    list_start(r, &l, "/d", 1000, true);
    rig_until(r, &l.is_done);
    assert_int_equal(l.list.count, 6);
    assert_non_null(entry(&l, ".hidden"));
    vfs_list_fini(&l.list);
}

static void test_list_errors(void **state)
{
    struct rig *r = *state;
    fill_directory(r);
    rig_tree(r);
    static const struct {
        const char *path;
        int error;
    } cases[] = {
        {"/none", -ENOENT}, {"/outer", -ENOTDIR},   {"/d/out", -EXDEV}, {"/d/loop", -ELOOP},
        {"d", -EINVAL},     {"/d/../../", -EINVAL}, {"", -EINVAL},      {"/d/fifo", -ENOTDIR},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct listing l;
        list_all(r, &l, cases[i].path);
        assert_int_equal(l.list.error, cases[i].error);
        assert_int_equal(l.list.count, 0);
        vfs_list_fini(&l.list);
        vfs_list_fini(&l.list); /* harmless */
    }
}

static void test_list_cut(void **state)
{
    struct rig *r = *state;
    char name[300];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "%0250d", i);
        put(r, name, "");
    }
    rig_tree(r);
    static const size_t limits[] = {0, 1, 7, 299, 300, 301};
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        struct listing l;
        list_start(r, &l, "/", limits[i], false);
        rig_until(r, &l.is_done);
        assert_int_equal(l.list.count, MIN(limits[i], 300));
        assert_int_equal(l.list.is_cut, limits[i] < 300);
        for (size_t k = 0; k < l.list.count; k++)
            assert_int_equal(l.list.entries[k].name.n, 250);
        vfs_list_fini(&l.list);
    }
}

static void test_list_cancel(void **state)
{
    struct rig *r = *state;
    struct listing l[20];
    fill_directory(r);
    r->settings.threads = 1;
    rig_tree(r);
    for (int i = 0; i < 20; i++)
        list_start(r, &l[i], "/d", 10, false);
    for (int i = 0; i < 20; i++)
        vfs_list_fini(&l[i].list);
    assert_int_equal(stats(r).jobs_pending, 2);
    rig_idle(r);
    for (int i = 0; i < 20; i++)
        assert_false(l[i].is_done);
}

/* ---- Without memory. ---- */

static void try_open(struct rig *r, const char *path)
{
    struct vfs_node *node = get(r, path);
    assert_true(!node || node->kind == VFS_FILE || node->error == -ENOENT ||
                node->error == -EXDEV || node->error == -EINVAL || node->error == -ENOMEM);
    vfs_node_release(node);
}

static void try_send(struct rig *r, enum vfs_way way)
{
    struct pipe p;
    struct vfs_node *node = get(r, "/large");
    if (!node)
        return;
    inside(node)->way = node->content ? inside(node)->way : way;
    uint64_t fail_at = r->book.fail_at;
    r->book.fail_at = 0;
    pipe_open(r, &p);
    r->book.fail_at = fail_at;
    char *got = malloc(LARGE);
    if (push(r, &p, node, 0, LARGE))
        assert_true(drain(r, &p, got, LARGE) == LARGE || p.is_closed);
    free(got);
    pipe_close(r, &p);
    vfs_node_release(node);
}

static void try_list(struct rig *r)
{
    struct listing l = {.list = {.done = list_is_done, .max_entries = 100}};
    if (vfs_list(r->vfs, SLICE("/d"), &l.list))
        rig_until(r, &l.is_done);
    assert_true(l.list.error == 0 || l.list.error == -ENOMEM);
    vfs_list_fini(&l.list);
}

static void do_everything(struct rig *r)
{
    int error;
    r->vfs = vfs_new(&r->io, &r->book, r->root, &r->settings, &error);
    if (!r->vfs) {
        assert_int_equal(error, -ENOMEM);
        return;
    }
    for (int i = 0; i < 2; i++) {
        try_open(r, "/outer");
        try_open(r, "/none");
        try_open(r, "/d/absolute");
        try_open(r, "bad");
        put(r, "outer", i ? "changed" : "7654321");
        age(r, VFS_REFRESH_MS + 1);
        try_open(r, "/outer");
        age(r, 2000);
    }
    try_send(r, VFS_WAY_NOWAIT);
    try_send(r, VFS_WAY_COPY);
    try_list(r);
}

static void test_allocation_failures(void **state)
{
    struct rig *r = *state;
    fill_directory(r);
    put_pattern(r, "large", LARGE);
    for (int forever = 0; forever < 2; forever++) {
        bool was_reached = true;
        for (uint64_t n = 1; was_reached; n++) {
            r->book.fail_at = n;
            r->book.fail_forever = forever;
            uint64_t refused = r->book.refused;
            do_everything(r);
            r->book.fail_at = 0;
            was_reached = r->book.refused != refused;
            if (r->vfs)
                rig_no_tree(r);
            assert_true(n < 1000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_content),
        RIG_TEST(test_every_way),
        RIG_TEST(test_cold),
        RIG_TEST(test_shorter),
        RIG_TEST(test_file_of_others),
        RIG_TEST(test_abort),
        RIG_TEST(test_replaced_while_sent),
        RIG_TEST(test_list),
        RIG_TEST(test_list_errors),
        RIG_TEST(test_list_cut),
        RIG_TEST(test_list_cancel),
        RIG_TEST(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
