/* fuse_rig: a file system that hangs when it is told to: a few fixed names, served by a child
 * process that speaks the kernel's FUSE protocol itself. What hangs is never answered until
 * fuse_down, when all of it fails. (A process of its own, that dies with the test: else a test that
 * fails could not be killed while it hangs.)
 *
 * Names: "data" (FUSE_DATA_BYTES of fuse_byte), "small" ("small"), "noread" (a read is never
 * answered), "noclose" (a close is not), "ioerror" (5 bytes that cannot be read); anything that
 * begins with "hang" is not even found. */
#ifndef FUSE_RIG_H
#define FUSE_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUSE_DATA_BYTES (700 * 1024)

enum { FUSE_DATA = 2, FUSE_SMALL, FUSE_NOREAD, FUSE_NOCLOSE, FUSE_IOERROR };

struct fuse_rig {
    int fd; /* /dev/fuse, in the child */
    pid_t child;
    char point[128];
    unsigned *hung; /* requests that wait for ever; shared with the child, atomic */
};

static inline char fuse_byte(size_t i)
{
    return (char)(i * 17 + (i >> 9));
}

static void fuse_reply(struct fuse_rig *f, const struct fuse_in_header *in, int error,
                       const void *p, size_t n)
{
    struct fuse_out_header out = {
        .len = (uint32_t)(sizeof out + n), .error = error, .unique = in->unique};
    struct iovec iov[2] = {{&out, sizeof out}, {(void *)p, n}};
    if (writev(f->fd, iov, 2) < 0 && errno != ENOENT && errno != ENODEV)
        perror("fuse_rig");
}

static void fuse_hang(struct fuse_rig *f)
{
    __atomic_add_fetch(f->hung, 1, __ATOMIC_SEQ_CST);
}

static struct fuse_attr fuse_attr_of(uint64_t node)
{
    struct fuse_attr a = {
        .ino = node, .mode = S_IFREG | 0644, .nlink = 1, .mtime = 1000000, .blksize = 4096};
    if (node == FUSE_ROOT_ID)
        a.mode = S_IFDIR | 0755;
    a.size = node == FUSE_SMALL || node == FUSE_IOERROR ? 5 : FUSE_DATA_BYTES;
    return a;
}

static void fuse_lookup(struct fuse_rig *f, const struct fuse_in_header *in, const char *name)
{
    static const char *const names[] = {[FUSE_DATA] = "data",
                                        [FUSE_SMALL] = "small",
                                        [FUSE_NOREAD] = "noread",
                                        [FUSE_NOCLOSE] = "noclose",
                                        [FUSE_IOERROR] = "ioerror"};
    if (strncmp(name, "hang", 4) == 0) {
        fuse_hang(f);
        return;
    }
    for (uint64_t i = FUSE_DATA; i <= FUSE_IOERROR; i++)
        if (strcmp(names[i], name) == 0) {
            struct fuse_entry_out e = {.nodeid = i, .attr = fuse_attr_of(i)};
            fuse_reply(f, in, 0, &e, sizeof e);
            return;
        }
    fuse_reply(f, in, -ENOENT, NULL, 0);
}

static void fuse_read_reply(struct fuse_rig *f, const struct fuse_in_header *in,
                            const struct fuse_read_in *r)
{
    static char bytes[128 * 1024];
    size_t n = r->size < sizeof bytes ? r->size : sizeof bytes;
    if (in->nodeid == FUSE_NOREAD) {
        fuse_hang(f);
        return;
    }
    if (in->nodeid == FUSE_IOERROR) {
        fuse_reply(f, in, -EIO, NULL, 0);
        return;
    }
    if (in->nodeid == FUSE_SMALL) {
        fuse_reply(f, in, 0, "small", r->offset ? 0 : 5);
        return;
    }
    if (r->offset + n > FUSE_DATA_BYTES)
        n = r->offset < FUSE_DATA_BYTES ? FUSE_DATA_BYTES - r->offset : 0;
    for (size_t i = 0; i < n; i++)
        bytes[i] = fuse_byte(r->offset + i);
    fuse_reply(f, in, 0, bytes, n);
}

static void fuse_answer(struct fuse_rig *f, const struct fuse_in_header *in, const void *body)
{
    struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION,
                                 .minor = 31,
                                 .max_write = 32768,
                                 .flags = FUSE_PARALLEL_DIROPS};
    struct fuse_attr_out attr = {.attr = fuse_attr_of(in->nodeid)};
    struct fuse_statfs_out statfs = {.st = {.bsize = 4096, .namelen = 255, .frsize = 4096}};
    struct fuse_open_out opened = {.fh = in->nodeid};
    switch (in->opcode) {
    case FUSE_INIT:
        fuse_reply(f, in, 0, &init, sizeof init);
        return;
    case FUSE_LOOKUP:
        fuse_lookup(f, in, body);
        return;
    case FUSE_GETATTR:
        fuse_reply(f, in, 0, &attr, sizeof attr);
        return;
    case FUSE_STATFS:
        fuse_reply(f, in, 0, &statfs, sizeof statfs);
        return;
    case FUSE_OPEN:
        fuse_reply(f, in, 0, &opened, sizeof opened);
        return;
    case FUSE_READ:
        fuse_read_reply(f, in, body);
        return;
    case FUSE_FLUSH:
        if (in->nodeid == FUSE_NOCLOSE)
            fuse_hang(f);
        else
            fuse_reply(f, in, 0, NULL, 0);
        return;
    case FUSE_RELEASE:
        fuse_reply(f, in, 0, NULL, 0);
        return;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        return;
    default:
        fuse_reply(f, in, -ENOSYS, NULL, 0);
    }
}

static void fuse_serve(struct fuse_rig *f)
{
    static _Alignas(8) char request[128 * 1024];
    for (;;) {
        ssize_t n = read(f->fd, request, sizeof request);
        if (n < 0 && (errno == EINTR || errno == ENOENT))
            continue;
        if (n < (ssize_t)sizeof(struct fuse_in_header))
            return; /* unmounted */
        fuse_answer(f, (void *)request, request + sizeof(struct fuse_in_header));
    }
}

/* False: this machine does not let us. */
static bool fuse_up(struct fuse_rig *f, const char *point)
{
    char options[128];
    *f = (struct fuse_rig){0};
    f->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (f->fd < 0)
        return false;
    f->hung =
        mmap(NULL, sizeof *f->hung, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(f->point, sizeof f->point, "%.127s", point);
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u", f->fd,
             (unsigned)getuid(), (unsigned)getgid());
    if (mount("medusa-test", point, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
        close(f->fd);
        return false;
    }
    f->child = fork();
    if (f->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fuse_serve(f);
        _exit(0);
    }
    close(f->fd);
    return f->child > 0;
}

static unsigned fuse_hung(const struct fuse_rig *f)
{
    return __atomic_load_n(f->hung, __ATOMIC_SEQ_CST);
}

/* All that hangs fails now. */
static void fuse_down(struct fuse_rig *f)
{
    kill(f->child, SIGKILL);
    waitpid(f->child, NULL, 0);
    umount2(f->point, MNT_DETACH);
    munmap(f->hung, sizeof *f->hung);
}

#endif
