/* vfs_change: the job, from the loop to the worker and back. */
#include "service/vfs_change.h"

#include "service/vfs_change_run.h"
#include "service/vfs_tree.h"

#include <errno.h>

struct vfs_change_job {
    struct vfs_task task;
    struct vfs *vfs;
    struct vfs_change *change; /* NULL: nobody wants to hear of it */
    struct vfs_change_run run;
    bool is_done;
    size_t charged; /* of run.text, in the loop */
    size_t bytes;
    char room[]; /* path, to, data */
};

static void run_change(struct work_job *job)
{
    vfs_change_run(&CONTAINER_OF(job, struct vfs_change_job, task.job)->run);
}

static void job_free(struct vfs_change_job *j)
{
    mem_raw_free(j->run.text);
    mem_discharge(&j->vfs->owner, j->charged);
    mem_free(&j->vfs->owner, j, j->bytes);
}

/* A link led out of its mount: into another one, or out of the root. */
static bool go_on_crossing(struct vfs_change_job *j)
{
    if (j->run.error != -EXDEV || j->run.from.may_cross)
        return false;
    struct vfs_lane *lane = vfs_lane_crossing(&j->vfs->lanes);
    if (!lane) {
        j->run.error = -ENOMEM;
        return false;
    }
    j->run.from.may_cross = j->run.to_from.may_cross = true;
    j->run.error = 0;
    vfs_lane_submit(lane, &j->task);
    return true;
}

static void forget_changed(struct vfs_change_job *j)
{
    if (j->run.op == VFS_READ || j->run.op == VFS_STAT)
        return;
    vfs_forget(j->vfs,
               slice_str(j->run.path)); /* after an error too: some of it may have happened */
    if (j->run.op == VFS_RENAME)
        vfs_forget(j->vfs, slice_str(j->run.to));
}

static void take_text(struct vfs_change_job *j)
{
    if (!j->run.text_room)
        return;
    if (mem_charge(&j->vfs->owner, j->run.text_room)) {
        j->charged = j->run.text_room;
        return;
    }
    j->run.error = -ENOMEM;
    j->run.bytes = 0;
}

static void change_done(struct vfs_task *t)
{
    struct vfs_change_job *j = CONTAINER_OF(t, struct vfs_change_job, task);
    if (go_on_crossing(j))
        return;
    forget_changed(j);
    struct vfs_change *c = j->change;
    if (!c) {
        job_free(j);
        return;
    }
    take_text(j);
    j->is_done = true;
    c->error = j->run.error;
    c->text = slice_of(j->run.text, j->run.error ? 0 : j->run.bytes);
    c->st = j->run.st;
    c->done(c);
}

/* Behind one another, each with a NUL. */
static char *keep(char **at, slice text)
{
    char *p = *at;
    if (text.n)
        memcpy(p, text.p, text.n);
    p[text.n] = '\0';
    *at += text.n + 1;
    return p;
}

static struct vfs_change_job *job_new(struct vfs *vfs, struct vfs_change *c)
{
    size_t bytes = sizeof(struct vfs_change_job) + c->path.n + c->to.n + c->data.n + 3;
    struct vfs_change_job *j = mem_alloc0(&vfs->owner, bytes);
    if (!j)
        return NULL;
    j->vfs = vfs;
    j->change = c;
    j->bytes = bytes;
    char *at = j->room;
    j->run.op = c->op;
    j->run.path = keep(&at, c->path);
    j->run.to = keep(&at, c->to);
    j->run.data = slice_of(keep(&at, c->data), c->data.n);
    j->run.max = c->max;
    j->run.is_synced = c->is_synced;
    j->run.is_exclusive = c->is_exclusive;
    j->run.from.root = j->run.to_from.root = vfs->root;
    j->task.job.run = run_change;
    j->task.done = change_done;
    return j;
}

/* What is no path is refused by the job: the answer comes in a later turn like any other. */
static void check_paths(struct vfs_change *c, int *error_out)
{
    *error_out = vfs_path_check(c->path);
    if (!*error_out && c->op == VFS_RENAME)
        *error_out = vfs_path_check(c->to);
    if (!*error_out)
        return;
    c->path = c->to = SLICE("/");
}

bool vfs_change_start(struct vfs *vfs, struct vfs_change *c)
{
    int error;
    check_paths(c, &error);
    struct vfs_change_job *j = c->job = job_new(vfs, c);
    if (!j)
        return false;
    j->run.error = error;
    struct vfs_lane *lane = vfs_lane_of(&vfs->lanes, c->path, &j->run.from);
    if (lane && c->op == VFS_RENAME && !vfs_lane_of(&vfs->lanes, c->to, &j->run.to_from))
        lane = NULL;
    if (!lane) {
        c->job = NULL;
        job_free(j);
        return false;
    }
    vfs_lane_submit(lane, &j->task);
    return true;
}

void vfs_change_fini(struct vfs_change *c)
{
    struct vfs_change_job *j = c->job;
    c->job = NULL;
    c->text = slice_of(NULL, 0);
    if (!j)
        return;
    if (j->is_done)
        job_free(j);
    else
        j->change = NULL; /* change_done frees it */
}
