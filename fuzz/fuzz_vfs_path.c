/* fuzz_vfs_path: whatever the path, what is opened lies beneath the root.
 *
 * The first byte chooses: bit 0, the rest is a request target to be decoded first (wire/uri.h); bit
 * 1, it is resolved even though it is no path at all, as if the check were not there; bit 2, links
 * may not cross; bit 3, its first directory is taken for a mount. The tree is real, with links of
 * all kinds in it, and the names that the fuzzer should find are one letter long. */
#include "service/vfs_look.h"
#include "wire/uri.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

#define MEMBERS_MAX 64

static struct {
    char dir[64]; /* root is below it, and what is outside */
    int root;
    struct stat members[MEMBERS_MAX];
    size_t count;
} tree;

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void make(const char *name, char kind, const char *target)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", tree.dir, name);
    if (kind == 'd') {
        must(mkdir(path, 0755) == 0);
    } else if (kind == 'l') {
        must(symlink(target, path) == 0);
    } else {
        int fd = open(path, O_WRONLY | O_CREAT, 0644);
        must(fd >= 0 && write(fd, name, strlen(name)) > 0);
        close(fd);
    }
}

static int add_member(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    must(tree.count < MEMBERS_MAX);
    tree.members[tree.count++] = *st;
    return 0;
}

static int remove_member(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static void clean_up(void)
{
    nftw(tree.dir, remove_member, 16, FTW_DEPTH | FTW_PHYS);
}

static void plant(void)
{
    static const struct {
        const char *name;
        char kind;
        const char *target;
    } plan[] = {
        {"s", 'f', NULL},
        {"o", 'd', NULL},
        {"o/s", 'f', NULL},
        {"r", 'd', NULL},
        {"r/a", 'f', NULL},
        {"r/a.gz", 'f', NULL},
        {"r/d", 'd', NULL},
        {"r/d/a", 'f', NULL},
        {"r/d/e", 'd', NULL},
        {"r/d/e/a", 'f', NULL},
        {"r/l", 'l', "a"},
        {"r/d/u", 'l', "../a"},
        {"r/d/e/u", 'l', "../../d"},
        {"r/x", 'l', "../s"},
        {"r/d/x", 'l', "../../s"},
        {"r/o", 'l', "../o"},
        {"r/d/o", 'l', "../../o/"},
        {"r/t", 'l', "../r"},
        {"r/p", 'l', ".."},
        {"r/d/p", 'l', ".."},
        {"r/d/e/p", 'l', "../../.."},
        {"r/z", 'l', "/"},
        {"r/c", 'l', "z/etc/passwd"},
        {"r/y", 'l', "y"},
        {"r/m", 'l', "/proc/self/root"},
        {"r/n", 'l', "/proc/self/fd"},
        {"r/d/z", 'l', "/etc"},
    };
    char path[128];
    snprintf(tree.dir, sizeof tree.dir, "/tmp/medusa-fuzz-XXXXXX");
    must(mkdtemp(tree.dir) != NULL);
    atexit(clean_up);
    for (size_t i = 0; i < COUNT_OF(plan); i++)
        make(plan[i].name, plan[i].kind, plan[i].target);
    snprintf(path, sizeof path, "%s/r", tree.dir);
    must(nftw(path, add_member, 16, FTW_PHYS) == 0);
    tree.root = vfs_root_open(path);
    must(tree.root >= 0);
}

static bool is_member(dev_t dev, ino_t ino)
{
    for (size_t i = 0; i < tree.count; i++)
        if (tree.members[i].st_dev == dev && tree.members[i].st_ino == ino)
            return true;
    return false;
}

static void check_resolve(const struct vfs_from *from, const char *path)
{
    static const int flags[] = {O_PATH, O_RDONLY | O_NONBLOCK, O_RDONLY | O_DIRECTORY};
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        struct stat st;
        int fd = vfs_resolve(from, path, flags[i]);
        if (fd < 0)
            continue;
        must(fstat(fd, &st) == 0 && is_member(st.st_dev, st.st_ino));
        close(fd);
    }
}

static void check_look(const struct vfs_from *from, const char *path, size_t n)
{
    static const slice suffixes[VFS_SIBLINGS_MAX] = {SLICE(".gz")};
    char room[VFS_PATH_BYTES + VFS_SUFFIX_MAX];
    memcpy(room, path, n + 1);
    struct vfs_look l = {
        .from = *from, .path = room, .path_bytes = n, .suffixes = suffixes, .room = 100};
    vfs_look_run(&l);
    if (l.seen.kind == VFS_ABSENT) {
        must(l.seen.error < 0 && !l.content && l.fd < 0);
        return;
    }
    must(is_member(l.seen.dev, l.seen.ino) && l.fd < 0);
    must((l.seen.kind == VFS_FILE) == (l.content != NULL));
    must(strcmp(room, path) == 0); /* as it was */
    buf_release(&l.content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[VFS_PATH_BYTES + 1];
    if (!tree.count)
        plant();
    if (size < 2 || size > VFS_PATH_BYTES)
        return 0;
    unsigned how = data[0];
    slice input = slice_of(data + 1, size - 1);
    struct fmt f = fmt_on(path, VFS_PATH_BYTES - 1);
    if (!(how & 1))
        fmt_put(&f, input);
    else if (input.p[0] != '/' || uri_path_decode(input, &f) != 0)
        return 0;
    slice decoded = fmt_done(&f);
    path[decoded.n] = '\0';
    int error = vfs_path_check(decoded);
    must(!(how & 1) || error == 0); /* what was decoded is a path */
    if (decoded.n == 0 || decoded.p[0] != '/')
        return 0;
    struct vfs_from from = {.root = tree.root, .may_cross = !(how & 4)};
    if (how & 8 && decoded.n > 2 && decoded.p[1] != '.' && decoded.p[1] != '/' &&
        decoded.p[2] == '/')
        from.mount_bytes = 2;
    if (error == 0 || how & 2)
        check_resolve(&from, path);
    if (error == 0)
        check_look(&from, path, decoded.n);
    return 0;
}
