/* temp_dir: a directory of a test's own, and whole files as slices. Include after wire_test.h. */
#ifndef TESTS_TEMP_DIR_H
#define TESTS_TEMP_DIR_H

#include "base/slice.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

struct temp_dir {
    char path[64];
    char name[PATH_MAX]; /* of temp_path */
};

static inline void temp_dir_make(struct temp_dir *t)
{
    snprintf(t->path, sizeof t->path, "/tmp/medusa-test.XXXXXX");
    assert_non_null(mkdtemp(t->path));
}

static inline int temp_remove_one(const char *path, const struct stat *st, int kind,
                                  struct FTW *where)
{
    return remove(path);
}

static inline void temp_dir_remove(struct temp_dir *t)
{
    assert_int_equal(nftw(t->path, temp_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* The path of [name] within; valid until the next call. */
static inline const char *temp_path(struct temp_dir *t, const char *name)
{
    snprintf(t->name, sizeof t->name, "%s/%s", t->path, name);
    return t->name;
}

static inline void temp_rename(struct temp_dir *t, const char *from, const char *to)
{
    char old[PATH_MAX];
    snprintf(old, sizeof old, "%s/%s", t->path, from);
    assert_int_equal(rename(old, temp_path(t, to)), 0);
}

static inline void temp_write(struct temp_dir *t, const char *name, slice content)
{
    int fd = open(temp_path(t, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.p, content.n), (ssize_t)content.n);
    close(fd);
}

/* All that can be read from [fd] now; free((void *)s.p). */
static inline slice read_now(int fd)
{
    size_t n = 0, cap = 4096;
    char *p = malloc(cap);
    for (ssize_t got; p && (got = read(fd, p + n, cap - n)) > 0;) {
        n += (size_t)got;
        if (n == cap)
            p = realloc(p, cap *= 2);
    }
    assert_non_null(p);
    return slice_of(p, n);
}

static inline slice temp_read(struct temp_dir *t, const char *name)
{
    int fd = open(temp_path(t, name), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    slice s = read_now(fd);
    close(fd);
    return s;
}

#define assert_file(t, name, expected)               \
    do {                                             \
        slice content_ = temp_read((t), (name));     \
        assert_slice(content_, slice_str(expected)); \
        free((void *)content_.p);                    \
    } while (0)

#endif
