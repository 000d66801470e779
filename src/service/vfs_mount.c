/* vfs_mount: the kernel's table of mounts.
 *
 * poll() on the open table reports POLLERR | POLLPRI once after each change
 * (proc_pid_mountinfo(5)), so that being up to date costs one system call per cold lookup. A line:
 *     36 35 98:0 /sub /mnt/point rw,noatime master:1 - ext3 /dev/root rw
 * The fifth field is the mount point; blank, tab, newline and backslash stand there as \ooo. */
#include "service/vfs_mount.h"

#include "base/fmt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define FIRST_BYTES (16 * KIB)
#define MOST_BYTES  (4 * MIB)
#define PATH_BYTES  4096

void vfs_mounts_init(struct vfs_mounts *m, struct mem_owner *owner, int root)
{
    *m = (struct vfs_mounts){.owner = owner, .root = root, .is_stale = true};
    m->fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
}

static void drop_text(struct vfs_mounts *m)
{
    mem_free(m->owner, m->text, m->text_bytes);
    m->text = NULL;
    m->text_bytes = 0;
    m->count = 0;
}

void vfs_mounts_fini(struct vfs_mounts *m)
{
    drop_text(m);
    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
}

static bool is_octal(slice s)
{
    if (s.n < 4 || s.p[0] != '\\')
        return false;
    for (int i = 1; i <= 3; i++)
        if (s.p[i] < '0' || s.p[i] > '7')
            return false;
    return true;
}

/* Decodes [s] to [to], which may be where s stands or before it. Returns the end. */
static char *decode(char *to, slice s)
{
    while (s.n) {
        if (is_octal(s)) {
            *to++ = (char)((s.p[1] - '0') << 6 | (s.p[2] - '0') << 3 | (s.p[3] - '0'));
            s = slice_skip(s, 4);
        } else {
            *to++ = *s.p;
            s = slice_skip(s, 1);
        }
    }
    return to;
}

/* [point] without [root]: "/m", or nothing when it is the root itself or stands elsewhere. */
static slice below(slice point, slice root)
{
    if (slice_is(root, SLICE("/")))
        root.n = 0;
    if (!slice_has_prefix(point, root))
        return slice_of(NULL, 0);
    slice rest = slice_skip(point, root.n);
    return rest.n > 1 && rest.p[0] == '/' ? rest : slice_of(NULL, 0);
}

size_t vfs_mounts_parse(char *text, size_t n, slice root, slice points[VFS_MOUNTS_MAX],
                        size_t *used_out)
{
    size_t count = 0;
    char *to = text;
    slice rest = slice_of(text, n), line, point;
    while (count < VFS_MOUNTS_MAX && slice_cut(&rest, '\n', &line)) {
        int field = 0;
        while (field < 5 && slice_cut(&line, ' ', &point))
            field++;
        if (field < 5)
            continue;
        char *end = decode(to, point);
        slice found = below(slice_of(to, (size_t)(end - to)), root);
        if (found.n == 0)
            continue;
        points[count++] = found;
        to = end;
    }
    *used_out = (size_t)(to - text);
    return count;
}

/* Reads the whole table into m->text. */
static ssize_t read_table(struct vfs_mounts *m)
{
    size_t n = 0;
    if (lseek(m->fd, 0, SEEK_SET) < 0)
        return -errno;
    for (;;) {
        if (n == m->text_bytes) {
            size_t more = m->text_bytes ? 2 * m->text_bytes : FIRST_BYTES;
            char *text =
                more > MOST_BYTES ? NULL : mem_resize(m->owner, m->text, m->text_bytes, more);
            if (!text)
                return -ENOMEM;
            m->text = text;
            m->text_bytes = more;
        }
        ssize_t got = read(m->fd, m->text + n, m->text_bytes - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return (ssize_t)n;
        n += (size_t)got;
    }
}

static ssize_t real_path(int fd, char path[PATH_BYTES])
{
    char link[64];
    struct fmt f = fmt_on(link, sizeof link);
    fmt_printf(&f, "/proc/self/fd/%d", fd);
    fmt_char(&f, '\0');
    return readlink(link, path, PATH_BYTES);
}

/* Moves the [used] bytes that the points need to a block of their own size, when there is memory.
 */
static void shrink_text(struct vfs_mounts *m, size_t used)
{
    char *text = m->count ? mem_alloc(m->owner, used) : NULL;
    if (m->count && !text)
        return;
    if (text)
        memcpy(text, m->text, used);
    for (size_t i = 0; i < m->count; i++)
        m->points[i].p = text + (m->points[i].p - m->text);
    mem_free(m->owner, m->text, m->text_bytes);
    m->text = text;
    m->text_bytes = text ? used : 0;
}

static bool reload(struct vfs_mounts *m)
{
    char root[PATH_BYTES];
    drop_text(m);
    size_t used = 0;
    ssize_t root_bytes = real_path(m->root, root);
    ssize_t n = root_bytes <= 0 ? -ENOENT : read_table(m);
    if (n < 0) {
        drop_text(m);
        return false;
    }
    m->count =
        vfs_mounts_parse(m->text, (size_t)n, slice_of(root, (size_t)root_bytes), m->points, &used);
    shrink_text(m, used);
    return true;
}

bool vfs_mounts_update(struct vfs_mounts *m)
{
    if (m->fd < 0)
        return false;
    struct pollfd p = {.fd = m->fd, .events = POLLPRI};
    if (poll(&p, 1, 0) > 0 && (p.revents & (POLLPRI | POLLERR)))
        m->is_stale = true;
    if (!m->is_stale)
        return false;
    m->is_stale = !reload(m);
    return true;
}

size_t vfs_mounts_match(const struct vfs_mounts *m, slice path)
{
    size_t best = 0;
    for (size_t i = 0; i < m->count; i++) {
        slice point = m->points[i];
        if (point.n > best && slice_has_prefix(path, point) &&
            (path.n == point.n || path.p[point.n] == '/'))
            best = point.n;
    }
    return best;
}
