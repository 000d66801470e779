/* read_file: the job. */
#include "script/read_file.h"

#include "script/host.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_ROOM 4096

struct read_job {
    struct work_job job;
    struct host *host;
    struct read_file *file; /* NULL: given up */
    size_t max;
    int error;
    char *text;
    size_t bytes;
    char path[PATH_ROOM];
};

static void read_all(struct read_job *r, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        r->error = -errno;
        return;
    }
    if (!S_ISREG(st.st_mode) || (size_t)st.st_size > r->max) {
        r->error = S_ISDIR(st.st_mode) ? -EISDIR : !S_ISREG(st.st_mode) ? -EINVAL : -EFBIG;
        return;
    }
    r->text = mem_raw_alloc((size_t)st.st_size + 1);
    while (r->text && r->bytes < (size_t)st.st_size) {
        ssize_t n = read(fd, r->text + r->bytes, (size_t)st.st_size - r->bytes);
        if (n < 0)
            r->error = -errno;
        if (n <= 0)
            return;
        r->bytes += (size_t)n;
    }
    r->error = r->text ? 0 : -ENOMEM;
}

static void run(struct work_job *job)
{
    struct read_job *r = CONTAINER_OF(job, struct read_job, job);
    int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        r->error = -errno;
        return;
    }
    read_all(r, fd);
    close(fd);
}

static void free_job(struct read_job *r)
{
    mem_raw_free(r->text);
    mem_free(&r->host->owner, r, sizeof *r);
}

static void finished(struct work_job *job)
{
    struct read_job *r = CONTAINER_OF(job, struct read_job, job);
    struct read_file *file = r->file;
    if (!file) {
        free_job(r);
        return;
    }
    file->error = r->error;
    file->text = slice_of(r->text, r->bytes);
    r->file = NULL; /* from now on it is only kept for its text */
    file->done(file);
}

int read_file_start(struct read_file *file, struct host *host, slice path, size_t max,
                    void (*done)(struct read_file *file))
{
    *file = (struct read_file){.host = host, .done = done};
    struct read_job *r = mem_alloc0(&host->owner, sizeof *r);
    if (!r || path.n >= PATH_ROOM) {
        mem_free(&host->owner, r, sizeof *r);
        return path.n >= PATH_ROOM ? -ENAMETOOLONG : -ENOMEM;
    }
    r->job = (struct work_job){.run = run, .done = finished};
    r->host = host;
    r->file = file;
    r->max = max;
    memcpy(r->path, path.p, path.n);
    file->job = r;
    work_submit(host->lane, &r->job);
    return 0;
}

void read_file_fini(struct read_file *file)
{
    struct read_job *r = file->job;
    if (!r)
        return;
    file->job = NULL;
    if (r->file)
        r->file = NULL; /* finished() frees it */
    else
        free_job(r);
}

slice script_text(slice text)
{
    if (!text.n || text.p[0] != '#')
        return text;
    ssize_t end = slice_find(text, '\n');
    return slice_skip(text, end < 0 ? text.n : (size_t)end);
}
