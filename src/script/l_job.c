/* l_job: see l_job.h. */
#include "script/l_job.h"

#include "base/check.h"
#include "script/libs.h"

struct l_job_handle {
    struct l_link *link; /* first */
};

void *l_job_begin(lua_State *L, size_t bytes, const char *what)
{
    l_task_check_wait(L, what);
    struct version *v = version_of(L);
    struct l_job_handle *handle = l_new_object(L, META_JOB, sizeof *handle, 0);
    struct l_link *link = l_link_new(L, NULL);
    handle->link = link;
    struct l_job *job = mem_alloc0(&v->unit->heap, bytes);
    if (!job) {
        l_link_cut(&link);
        luaL_error(L, "not enough memory");
        return NULL;
    }
    job->bytes = bytes;
    job->version = v;
    job->link = link;
    link->object = job;
    list_push_back(&v->jobs, &job->node);
    return job;
}

void l_job_end(struct l_job *job)
{
    BUG_ON(job->is_away);
    l_link_cut(&job->link);
    if (job->drop)
        job->drop(job);
    list_remove(&job->node);
    mem_free(&job->version->unit->heap, job, job->bytes);
}

/* The task was killed. */
static void cancel(struct l_task *t, void *what)
{
    struct l_job *job = what;
    job->task = NULL;
    if (job->cancel)
        job->cancel(job);
}

int l_job_wait(lua_State *L, struct l_job *job, lua_KFunction k)
{
    job->is_away = true;
    job->task = l_task_current(L);
    version_hold(job->version);
    return l_task_wait(L, cancel, job, k, (lua_KContext)job);
}

void l_job_back(struct l_job *job)
{
    struct l_task *t = job->task;
    struct version *v = job->version;
    job->is_away = false;
    job->task = NULL;
    if (t)
        l_task_wake(t);
    else
        l_job_end(job);
    version_release(v);
}

int l_job_collect(lua_State *L)
{
    struct l_job_handle *handle = lua_touserdata(L, 1);
    struct l_job *job = l_link_drop(&handle->link);
    if (!job)
        return 0;
    job->task = NULL;
    if (!job->is_away) {
        l_job_end(job);
        return 0;
    }
    l_link_cut(&job->link);
    if (job->cancel)
        job->cancel(job);
    return 0;
}

void l_job_free_all(struct version *v)
{
    LIST_EACH_SAFE (n, &v->jobs)
        l_job_end(CONTAINER_OF(n, struct l_job, node));
}

void l_open_job(lua_State *L)
{
    const struct l_class class = {.meta = META_JOB, .name = "job", .gc = l_job_collect};
    l_make_meta(L, &class);
}
