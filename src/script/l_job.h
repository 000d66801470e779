/* l_job: something that a task waits for while a worker does it, in C memory that no finalizer has
 * to find.
 *
 * Embedded first in the binding's own struct. The userdata that l_job_begin pushes leads to it by a
 * link (l_link.h), so a job whose task was killed, or whose result raised an error on its way to
 * Lua, goes with the userdata; what a lost finalizer leaves behind goes with the version. While it
 * is away it is never freed, and holds its version.
 *
 *     l_job_begin -> fill in, start -> return l_job_wait(L, job, k)    ...    l_job_back -> k(L,
 * status, ctx): l_job_of(ctx)
 *                 -> l_job_end
 */
#ifndef SCRIPT_L_JOB_H
#define SCRIPT_L_JOB_H

#include "script/l_api.h"
#include "script/l_link.h"
#include "script/l_task.h"

struct l_job {
    /* public */
    void (*drop)(struct l_job *job); /* frees what its owner put into it; NULL = nothing. Never
                                        while it is away */
    void (*cancel)(
        struct l_job *job); /* nobody wants it any more, while it is away; NULL = nothing */
    /* read-only */
    struct version *version;
    /* private */
    struct list_node node; /* in version->jobs */
    struct l_link *link;
    struct l_task *task; /* waits for it, or NULL */
    size_t bytes;
    bool is_away;
};

/* [bytes] zeroed, the struct l_job first; pushes its userdata. [what] names the function for a
 * caller that cannot wait. RAISES. */
void *l_job_begin(lua_State *L, size_t bytes, const char *what);

/* To be returned by the binding when the job has been started: it is away now. */
int l_job_wait(lua_State *L, struct l_job *job, lua_KFunction k);

/* In the loop: it has come back. May run the task, and free the job: nothing of it may be touched
 * afterwards. */
void l_job_back(struct l_job *job);

/* Is anybody waiting for it still? For workers' jobs that come back in several steps. */
static inline bool l_job_is_wanted(const struct l_job *job)
{
    return job->task != NULL;
}

static inline bool l_job_is_away(const struct l_job *job)
{
    return job->is_away;
}

/* __gc of a userdata whose link leads to a job. */
int l_job_collect(lua_State *L);

/* It is over: frees it. The values that were made of it have been pushed. */
void l_job_end(struct l_job *job);

/* When the version's state has been closed. */
void l_job_free_all(struct version *v);

void l_open_job(lua_State *L);

#endif
