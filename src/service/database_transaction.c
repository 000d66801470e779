/* database_transaction: who holds the database. While one does, its own jobs run only; the others
 * wait in the file's queue, the beginnings of other transactions among them. */
#include "base/check.h"
#include "service/database_parts.h"

#include <errno.h>

#define TIMEOUT_MS ((int64_t)30000)

/* It is over before its user has ended it: all that is asked of it is answered by that. */
static void lose(struct database_transaction *t, const char *why)
{
    struct database_file *f = t->db->file;
    if (t->is_lost)
        return;
    t->is_lost = true;
    t->why = why;
    timeout_clear(&t->timeout);
    while (!list_is_empty(&t->queue))
        database_job_fail(CONTAINER_OF(t->queue.next, struct database_job, queue), DATABASE_LOST,
                          why);
    if (t->begin && !t->begin->is_running)
        database_job_fail(t->begin, DATABASE_TIMEOUT, "another transaction took too long");
    t->begin = NULL;
    if (f->running && f->running->transaction == t)
        database_job_stop(f->running);
    if (f->holder == t) {
        f->holder = NULL;
        f->needs_rollback = true;
    }
}

static void free_transaction(struct database_transaction *t);

/* The same; and when its COMMIT was still waiting, nobody will end it any more. */
static void lose_and_end(struct database_transaction *t, const char *why)
{
    const struct database_job *running = t->db->file->running;
    lose(t, why);
    bool is_committing = running && running->transaction == t && running->task == DATABASE_COMMIT;
    if (t->is_ending && !is_committing)
        free_transaction(t);
}

static void on_timeout(struct timeout *timeout)
{
    struct database_transaction *t = CONTAINER_OF(timeout, struct database_transaction, timeout);
    struct database_file *f = t->db->file;
    f->dbs->timeouts++;
    lose_and_end(t, "the transaction took too long and was rolled back");
    database_file_step(f);
}

int database_begin(struct database *db, enum database_begin how, int64_t timeout_ms,
                   database_done_fn done, void *owner, struct database_transaction **out)
{
    struct databases *dbs = db->file->dbs;
    struct database_transaction *t = mem_alloc0(&dbs->owner, sizeof *t);
    if (!t)
        return -ENOMEM;
    struct database_job *job = database_job_new(db, DATABASE_BEGIN, 0);
    if (!job) {
        mem_free(&dbs->owner, t, sizeof *t);
        return -ENOMEM;
    }
    if (timeout_ms <= 0)
        timeout_ms = TIMEOUT_MS;
    t->db = db;
    t->begin = job;
    list_init(&t->queue);
    list_push_back(&db->transactions, &t->link);
    timeout_init(&t->timeout, on_timeout);
    timeout_set(loop_wheel(dbs->loop), &t->timeout, loop_now_ms(dbs->loop) + timeout_ms);
    job->transaction = t;
    job->how = how;
    job->done = done;
    job->owner = owner;
    *out = t;
    database_job_enqueue(job, timeout_ms);
    return 0;
}

/* Its jobs no longer know it. */
static void free_transaction(struct database_transaction *t)
{
    struct database_file *f = t->db->file;
    BUG_ON(!list_is_empty(&t->queue));
    if (f->running && f->running->transaction == t)
        f->running->transaction = NULL;
    if (t->begin)
        t->begin->transaction = NULL;
    timeout_clear(&t->timeout);
    list_remove(&t->link);
    mem_free(&f->dbs->owner, t, sizeof *t);
}

void database_rollback(struct database_transaction **at)
{
    struct database_transaction *t = *at;
    *at = NULL;
    if (!t)
        return;
    struct database_file *f = t->db->file;
    if (t->begin)
        database_job_cancel(t->begin);
    lose(t, "the transaction was rolled back");
    free_transaction(t);
    database_file_step(f);
}

int database_commit(struct database_transaction **at, database_done_fn done, void *owner)
{
    struct database_transaction *t = *at;
    struct database_job *job = database_job_new(t->db, DATABASE_COMMIT, 0);
    if (!job)
        return -ENOMEM;
    *at = NULL;
    t->is_ending = true;
    job->transaction = t;
    job->done = done;
    job->owner = owner;
    if (t->is_lost) {
        database_job_fail(job, DATABASE_LOST, t->why);
        job->transaction = NULL;
        free_transaction(t);
        return 0;
    }
    database_job_enqueue(job, MAX(t->timeout.due_ms - loop_now_ms(t->db->file->dbs->loop), 1));
    return 0;
}

static void after_begin(struct database_transaction *t, const struct database_job *job)
{
    t->begin = NULL;
    if (t->is_lost || job->has_transaction)
        return;
    t->db->file->holder = NULL; /* there is nothing to roll back */
    lose_and_end(t, "the transaction could not begin");
}

void database_transaction_after(struct database_transaction *t, struct database_job *job)
{
    struct database_file *f = t->db->file;
    switch (job->task) {
    case DATABASE_BEGIN:
        after_begin(t, job);
        return;
    case DATABASE_COMMIT:
        if (f->holder == t)
            f->holder = NULL;
        lose(t, "the transaction is over");
        free_transaction(t);
        return;
    case DATABASE_QUERY:
        if (!job->has_transaction)
            lose_and_end(t, "the transaction was rolled back");
        return;
    case DATABASE_ROLLBACK:
    case DATABASE_CLOSE:
        return;
    }
}
