/* test_vfs_model: the tree against the C library's view of the same directory, under random
 * changes; and under changes that happen while it looks. A failure prints the seed: MEDUSA_SEED=n
 * repeats it. */
#include "vfs_rig.h"

#include "base/num.h"
#include "base/rand.h"

#include <pthread.h>

static uint64_t seed;

/* The names that the changes play with: two directories deep. */
static const char *const names[] = {"a",   "b",     "c",     "d",     "d/a",     "d/b",
                                    "d/e", "d/e/a", "d/e/b", "f.css", "f.css.gz"};

static const char *random_name(struct prng *g)
{
    return names[prng_below(g, COUNT_OF(names))];
}

static void clear_name(struct rig *r, const char *name)
{
    nftw(on_disk(r, name), rig_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_file(struct rig *r, struct prng *g, const char *name)
{
    static char bytes[2000];
    size_t n = prng_below(g, 8) ? prng_below(g, 10) : 1000 + prng_below(g, 1000);
    memset(bytes, (int)('a' + prng_below(g, 26)), n);
    int fd = open(on_disk(r, name), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (fd < 0)
        return;
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

static void link_name(struct rig *r, struct prng *g, const char *name)
{
    static const char *const targets[] = {"a",  "d",    "d/e",   "../a",   "../d/b", "../../a", "b",
                                          "./", "d//e", "e/../", "../out", "/a",     "nothing"};
    clear_name(r, name);
    if (symlink(targets[prng_below(g, COUNT_OF(targets))], on_disk(r, name)) < 0)
        assert_true(errno == ENOENT || errno == ENOTDIR || errno == EEXIST || errno == ELOOP);
}

static void change(struct rig *r, struct prng *g)
{
    const char *name = random_name(g);
    char from[4096];
    switch (prng_below(g, 6)) {
    case 0:
    case 1:
        write_file(r, g, name);
        return;
    case 2:
        clear_name(r, name);
        return;
    case 3:
        mkdir(on_disk(r, name), 0755);
        return;
    case 4:
        link_name(r, g, name);
        return;
    case 5:
        memcpy(from, on_disk(r, random_name(g)), sizeof from);
        rename(from, on_disk(r, name));
        return;
    }
}

/* What the C library finds: by its own walk, and inside or not by the real path. */
struct found {
    int error;
    struct stat st;
    char content[2048];
};

static void find(struct rig *r, const char *name, struct found *f)
{
    char real[4096];
    *f = (struct found){0};
    const char *path = on_disk(r, name);
    if (stat(path, &f->st) < 0) {
        f->error = -errno;
        return;
    }
    assert_non_null(realpath(path, real));
    size_t n = strlen(r->root);
    if (strncmp(real, r->root, n) != 0 || (real[n] && real[n] != '/')) {
        f->error = -EXDEV;
        return;
    }
    if (!S_ISREG(f->st.st_mode))
        return;
    int fd = open(real, O_RDONLY);
    assert_int_equal(read(fd, f->content, sizeof f->content), f->st.st_size);
    close(fd);
}

static void assert_same(struct rig *r, const char *name)
{
    struct found f;
    char path[64];
    find(r, name, &f);
    snprintf(path, sizeof path, "/%s", name);
    struct vfs_node *node = get(r, path);
    if (f.error) {
        assert_int_equal(node->kind, VFS_ABSENT);
        /* The C library walks on outside of the root and may find nothing there; the tree stops. */
        assert_true(node->error == f.error || node->error == -EXDEV);
    } else if (node->kind == VFS_ABSENT) {
        assert_int_equal(node->error, -EXDEV); /* out and in again */
    } else {
        assert_true(node->ino == f.st.st_ino && node->dev == f.st.st_dev);
        assert_int_equal(node->kind, S_ISDIR(f.st.st_mode) ? VFS_DIR : VFS_FILE);
    }
    if (node->kind == VFS_FILE) {
        assert_int_equal(node->size, f.st.st_size);
        if (node->content)
            assert_memory_equal(node->content->p, f.content, node->size);
        else
            assert_true(node->size > r->settings.content_bytes);
    }
    vfs_node_release(node);
}

static void test_random_changes(void **state)
{
    struct rig *r = *state;
    struct prng g = {seed};
    r->settings.content_bytes = 1500;
    r->settings.cache_entries = 8; /* fewer than there are names */
    put(r, "../out", "outside");
    rig_tree(r);
    for (int round = 0; round < 1500; round++) {
        for (uint64_t n = prng_below(&g, 4); n; n--)
            change(r, &g);
        age(r, (int64_t)prng_below(&g, 2) ? VFS_FRESH_MS + 1 : 2 * VFS_FRESH_MS);
        for (int i = 0; i < 4; i++)
            assert_same(r, random_name(&g));
    }
}

/* ---- Changes while it looks. ---- */

struct writer {
    struct rig *r;
    uint64_t seed;
    bool stop; /* atomic */
};

/* Puts files in the place of others, each of one letter; the letter says the size. Links come and
 * go that lead out, and directories that are moved, which makes ".." in links a race. */
static void *write_on(void *arg)
{
    struct writer *w = arg;
    struct prng g = {w->seed};
    char temp[4096], name[4096], bytes[26 * 40];
    snprintf(temp, sizeof temp, "%s/../temp", w->r->root);
    while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
        size_t letter = prng_below(&g, 26);
        snprintf(name, sizeof name, "%s/%s", w->r->root, prng_below(&g, 2) ? "x" : "d/x");
        if (prng_below(&g, 8) == 0) {
            if (symlink(prng_below(&g, 2) ? "../secret" : "../../secret", temp) == 0)
                rename(temp, name);
            continue;
        }
        memset(bytes, (int)('a' + letter), letter * 40);
        int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
        if (fd >= 0) {
            if (write(fd, bytes, letter * 40) >= 0)
                rename(temp, name);
            close(fd);
        }
        snprintf(name, sizeof name, "%s/d", w->r->root);
        if (rename(name, temp) == 0)
            rename(temp, name);
    }
    return NULL;
}

static void assert_whole(struct rig *r, struct vfs_node *node)
{
    if (node->kind == VFS_ABSENT) {
        assert_true(node->error == -EXDEV || node->error == -ENOENT || node->error == -EAGAIN ||
                    node->error == -ENOTDIR);
        return;
    }
    assert_int_equal(node->kind, VFS_FILE);
    char want[26 * 40], got[26 * 40];
    assert_true(node->size % 40 == 0 && node->size <= 25 * 40);
    memset(want, (int)('a' + node->size / 40), node->size);
    if (node->content)
        memcpy(got, node->content->p, node->size);
    else
        assert_int_equal(pread(inside(node)->fd, got, sizeof got, 0), node->size);
    assert_memory_equal(got, want, node->size);
}

/* Never a mixture of two files, never what is outside. */
static void test_changes_meanwhile(void **state)
{
    struct rig *r = *state;
    struct writer w = {.r = r, .seed = seed};
    put(r, "../secret", "this is outside");
    make_dir(r, "d");
    make_dir(r, "d/s");
    make_link(r, "../x", "d/up");
    make_link(r, "../../d/x", "d/s/up");
    r->settings.content_bytes = 15 * 40;
    r->settings.threads = 2;
    rig_tree(r);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
    static const char *const asked[] = {"/x", "/d/x", "/d/up", "/d/s/up"};
    for (int i = 0; i < 10000; i++) {
        struct vfs_node *node = get(r, asked[i % COUNT_OF(asked)]);
        assert_whole(r, node);
        vfs_node_release(node);
        age(r, 2000);
    }
    __atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_random_changes),
        RIG_TEST(test_changes_meanwhile),
    };
    const char *given = getenv("MEDUSA_SEED");
    if (!given || !num_u64(slice_str(given), &seed))
        rand_fill(&seed, sizeof seed);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (failed)
        fprintf(stderr, "MEDUSA_SEED=%llu repeats this\n", (unsigned long long)seed);
    return failed;
}
