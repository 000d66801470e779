/* hangfs: a FUSE file system that shows a directory, read only, until it is told to hang.
 *
 *     hangfs DIRECTORY MOUNTPOINT      stays in the foreground; prints "ready" when it is mounted
 *
 *     SIGUSR1   hang: from now on no request is answered (open, stat, read, directory reads, all)
 *     SIGUSR2   go on: what waited is answered, late
 *     SIGTERM, SIGINT   unmount and end
 *
 * To hang it simply stops reading from the kernel: so requests wait in the kernel's queue, where
 * their processes can still be killed, and when hangfs ends by whatever way, even kill -9, the
 * kernel fails what waits (ENOTCONN, ECONNABORTED): no process stays stuck. Nothing is cached by
 * the kernel (lifetimes of zero, direct I/O), so that every access really comes here; --cache
 * SECONDS changes that.
 *
 * One thread, no locks. Compile: cc hangfs.c -o hangfs $(pkg-config --cflags --libs fuse3) */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

struct hangfs {
    int root; /* the directory that is shown */
    double cache_seconds;
    bool hanging;
    bool ending;
};

static struct hangfs *self(void)
{
    return fuse_get_context()->private_data;
}

/* Paths come as "/a/b"; relative to [root] they are "a/b", and the root itself is ".". */
static const char *below(const char *path)
{
    return path[1] ? path + 1 : ".";
}

/* ---- the file system ---- */

static void *fs_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    (void)connection;
    struct hangfs *fs = self();
    config->entry_timeout = config->attr_timeout = config->negative_timeout = fs->cache_seconds;
    config->direct_io = fs->cache_seconds <= 0;
    config->use_ino = 1;
    return fs;
}

static int fs_getattr(const char *path, struct stat *st, struct fuse_file_info *info)
{
    (void)info;
    return fstatat(self()->root, below(path), st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int fs_readlink(const char *path, char *target, size_t room)
{
    ssize_t n = readlinkat(self()->root, below(path), target, room - 1);
    if (n < 0)
        return -errno;
    target[n] = 0;
    return 0;
}

static int fs_open(const char *path, struct fuse_file_info *info)
{
    if ((info->flags & O_ACCMODE) != O_RDONLY)
        return -EROFS;
    int fd = openat(self()->root, below(path), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    info->fh = (uint64_t)fd;
    return 0;
}

static int fs_read(const char *path, char *to, size_t room, off_t offset,
                   struct fuse_file_info *info)
{
    (void)path;
    ssize_t n = pread((int)info->fh, to, room, offset);
    return n < 0 ? -errno : (int)n;
}

static int fs_release(const char *path, struct fuse_file_info *info)
{
    (void)path;
    close((int)info->fh);
    return 0;
}

static int fs_readdir(const char *path, void *list, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    (void)offset, (void)info, (void)flags;
    int fd = openat(self()->root, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return -error;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        fill(list, entry->d_name, NULL, 0, 0);
    closedir(dir);
    return 0;
}

static const struct fuse_operations operations = {
    .init = fs_init,
    .getattr = fs_getattr,
    .readlink = fs_readlink,
    .open = fs_open,
    .read = fs_read,
    .release = fs_release,
    .readdir = fs_readdir,
};

/* ---- the loop: signals, and the kernel's requests unless we hang ---- */

static void on_signal(struct hangfs *fs, int signals)
{
    struct signalfd_siginfo info;
    if (read(signals, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGUSR1)
        fs->hanging = true;
    else if (info.ssi_signo == SIGUSR2)
        fs->hanging = false;
    else
        fs->ending = true;
}

static void serve(struct hangfs *fs, struct fuse_session *session, int signals)
{
    struct fuse_buf buffer = {.mem = NULL};
    struct pollfd wait[2] = {{.fd = signals, .events = POLLIN}, {.events = POLLIN}};
    while (!fs->ending && !fuse_session_exited(session)) {
        wait[1].fd = fs->hanging ? -1 : fuse_session_fd(session);
        if (poll(wait, 2, -1) < 0)
            continue;
        if (wait[0].revents)
            on_signal(fs, signals);
        else if (wait[1].revents && fuse_session_receive_buf(session, &buffer) > 0)
            fuse_session_process_buf(session, &buffer);
        else if (wait[1].revents & (POLLERR | POLLHUP))
            break; /* unmounted or aborted by somebody else */
    }
    free(buffer.mem);
}

/* Signals are read from a descriptor, by the loop, and by nobody else. */
static int open_signals(void)
{
    static const int wanted[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGHUP};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        sigaddset(&set, wanted[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int run(struct hangfs *fs, const char *mountpoint)
{
    char *arguments[] = {"hangfs", "-o",          "ro,fsname=hangfs,default_permissions",
                         "-o",     "allow_other", NULL};
    bool root =
        geteuid() == 0; /* only root may let other users in without a setting in /etc/fuse.conf */
    struct fuse_args args = FUSE_ARGS_INIT(root ? 5 : 3, arguments);
    int signals = open_signals();
    struct fuse *fuse = fuse_new(&args, &operations, sizeof operations, fs);
    if (signals < 0 || !fuse || fuse_mount(fuse, mountpoint) != 0) {
        fprintf(stderr,
                "hangfs: cannot mount on %s (is /dev/fuse there, and fusermount3 installed?)\n",
                mountpoint);
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    serve(fs, fuse_get_session(fuse), signals);
    fuse_unmount(fuse);
    fuse_destroy(fuse);
    return 0;
}

static void usage(void)
{
    fprintf(stderr, "usage: hangfs [--cache SECONDS] DIRECTORY MOUNTPOINT\n");
    exit(2);
}

int main(int argc, char **argv)
{
    struct hangfs fs = {.root = -1};
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--cache") == 0) {
        char *end = NULL;
        fs.cache_seconds = strtod(argv[2], &end);
        if (end == argv[2] || *end)
            usage();
        first = 3;
    }
    if (argc - first != 2)
        usage();
    fs.root = open(argv[first], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fs.root < 0) {
        fprintf(stderr, "hangfs: %s: %s\n", argv[first], strerror(errno));
        return 1;
    }
    return run(&fs, argv[first + 1]);
}
