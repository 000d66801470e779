/* database: files, who has them open, and the queue of each: one job at a time is with the file's
 * thread. */
#include "service/database.h"

#include "base/check.h"
#include "service/database_parts.h"

#include <errno.h>
#include <limits.h>

#define LINGER_MS  ((int64_t)10000)
#define HEAP_BYTES (256 * MIB)
#define TIMEOUT_MS ((int64_t)30000)
#define GRACE_MS   ((int64_t)1000) /* for a statement to stop */
#define MAX_ROWS   10000
#define MAX_BYTES  (16 * MIB)
/* SQLite does not count how deep views stand upon views: three thousand want more than 256 KiB.
 * Only what is used is memory. */
#define STACK_BYTES (8 * MIB)

/* ---- Jobs. ---- */

struct database_job *database_job_new(struct database *db, enum database_task task, size_t extra)
{
    struct database_file *f = db->file;
    struct databases *dbs = f->dbs;
    struct database_job *job = mem_alloc(&dbs->owner, sizeof *job + extra);
    if (!job)
        return NULL;
    *job = (struct database_job){
        .task = task, .file = f, .db = db, .total_bytes = sizeof *job + extra};
    job->answer = database_answer_new(dbs);
    if (!job->answer) {
        mem_free(&dbs->owner, job, job->total_bytes);
        return NULL;
    }
    list_init(&job->queue);
    list_push_back(&db->jobs, &job->of_db);
    timeout_init(&job->timeout, NULL);
    return job;
}

static void free_job(struct database_job *job)
{
    struct databases *dbs = job->file->dbs;
    timeout_clear(&job->timeout);
    list_remove(&job->queue);
    if (job->db)
        list_remove(&job->of_db);
    if (job->answer)
        database_answer_free(job->answer);
    mem_free(&dbs->owner, job, job->total_bytes);
}

/* Out of its queue. */
static void unqueue(struct database_job *job)
{
    if (!list_is_linked(&job->queue))
        return;
    list_remove(&job->queue);
    job->file->dbs->waiting--;
}

/* Tells the user, and is gone. */
static void deliver(struct database_job *job)
{
    struct databases *dbs = job->file->dbs;
    database_done_fn done = job->done;
    void *owner = job->owner;
    struct database_result *r = NULL;
    if (job->answer->public.error)
        dbs->errors++;
    if (!job->is_cancelled && done) {
        r = &job->answer->public;
        job->answer = NULL;
    }
    free_job(job);
    if (r)
        done(owner, r);
}

static void answer_failed(struct loop_deferred *d)
{
    struct databases *dbs = CONTAINER_OF(d, struct databases, answer_failed);
    struct list_node failed;
    list_move_all(&failed, &dbs->failed);
    for (struct list_node *n; (n = list_pop_front(&failed));)
        deliver(CONTAINER_OF(n, struct database_job, queue));
}

void database_job_fail(struct database_job *job, enum database_error error, const char *why)
{
    struct databases *dbs = job->file->dbs;
    BUG_ON(job->is_running);
    unqueue(job);
    timeout_clear(&job->timeout);
    job->transaction = NULL;
    database_answer_fail(job->answer, error, 0, "%s", why);
    list_push_back(&dbs->failed, &job->queue);
    loop_defer(dbs->loop, &dbs->answer_failed);
}

/* It was told to stop a while ago. The job stays away, but nobody waits for it any more. */
static void abandon(struct database_job *job)
{
    struct databases *dbs = job->file->dbs;
    struct database_answer *a = job->is_cancelled || !job->done ? NULL : database_answer_new(dbs);
    if (!a)
        return;
    job->is_cancelled = true;
    dbs->errors++;
    database_answer_fail(a, DATABASE_TIMEOUT, 0, "the database does not answer");
    job->done(job->owner, &a->public);
}

static void on_timeout(struct timeout *t)
{
    struct database_job *job = CONTAINER_OF(t, struct database_job, timeout);
    struct databases *dbs = job->file->dbs;
    if (job->is_running && atomic_load(&job->stop)) {
        abandon(job);
        return;
    }
    dbs->timeouts++;
    if (job->is_running)
        database_job_stop(job);
    else
        database_job_fail(job, DATABASE_TIMEOUT, "the database was busy with others for too long");
}

void database_job_stop(struct database_job *job)
{
    struct loop *loop = job->file->dbs->loop;
    atomic_store(&job->stop, true);
    if (job != &job->file->own)
        timeout_set(loop_wheel(loop), &job->timeout, loop_now_ms(loop) + GRACE_MS);
}

void database_job_enqueue(struct database_job *job, int64_t timeout_ms)
{
    struct database_file *f = job->file;
    struct loop *loop = f->dbs->loop;
    bool is_begin = job->task == DATABASE_BEGIN;
    job->is_within = job->transaction && !is_begin;
    job->due_ms = loop_now_ms(loop) + timeout_ms;
    list_push_back(job->is_within ? &job->transaction->queue : &f->queue, &job->queue);
    f->dbs->waiting++;
    /* Beginnings and endings have that of their transaction. */
    timeout_init(&job->timeout, on_timeout);
    if (job->task == DATABASE_QUERY)
        timeout_set(loop_wheel(loop), &job->timeout, job->due_ms);
    database_file_step(f);
}

void database_job_cancel(struct database_job *job)
{
    job->is_cancelled = true;
    if (job->is_running) {
        atomic_store(&job->stop, true);
        return;
    }
    if (job->transaction && job->transaction->begin == job)
        job->transaction->begin = NULL;
    if (job->answer && job->answer->public.error == DATABASE_OK)
        job->file->dbs->waiting -= list_is_linked(&job->queue);
    free_job(job);
}

void database_cancel(struct database_job **at)
{
    struct database_job *job = *at;
    *at = NULL;
    if (job)
        database_job_cancel(job);
}

/* ---- The queue. ---- */

static void file_freed(struct database_file *f);
static void on_done(struct work_job *work);

static void submit(struct database_file *f, struct database_job *job)
{
    struct databases *dbs = f->dbs;
    f->running = job;
    f->is_open = true;
    job->link = &f->connection;
    job->is_running = true;
    job->work = (struct work_job){.run = database_run, .done = on_done};
    if (job->due_ms)
        job->left_ms = MAX(job->due_ms - loop_now_ms(dbs->loop), 1);
    work_submit(f->lane, &job->work);
}

static void submit_own(struct database_file *f, enum database_task task)
{
    f->own = (struct database_job){.task = task, .file = f};
    list_init(&f->own.queue);
    submit(f, &f->own);
}

static void submit_next(struct database_file *f, struct list_node *queue)
{
    struct database_job *job = CONTAINER_OF(queue->next, struct database_job, queue);
    unqueue(job);
    if (job->task == DATABASE_BEGIN)
        f->holder = job->transaction;
    f->dbs->statements++;
    submit(f, job);
}

void database_file_step(struct database_file *f)
{
    struct list_node *queue = f->holder ? &f->holder->queue : &f->queue;
    if (f->running)
        return;
    if (f->needs_rollback) {
        f->needs_rollback = false;
        submit_own(f, DATABASE_ROLLBACK);
    } else if (!list_is_empty(queue)) {
        submit_next(f, queue);
    } else if (f->users == 0 && (f->is_idle_over || f->dbs->is_closing)) {
        if (f->is_open)
            submit_own(f, DATABASE_CLOSE);
        else
            file_freed(f);
    } else if (f->users == 0 && !timeout_is_set(&f->linger)) {
        timeout_set(loop_wheel(f->dbs->loop), &f->linger,
                    loop_now_ms(f->dbs->loop) + f->dbs->linger_ms);
    }
}

static void on_linger(struct timeout *t)
{
    struct database_file *f = CONTAINER_OF(t, struct database_file, linger);
    f->is_idle_over = true;
    database_file_step(f);
}

static void on_done(struct work_job *work)
{
    struct database_job *job = CONTAINER_OF(work, struct database_job, work);
    struct database_file *f = job->file;
    f->running = NULL;
    job->is_running = false;
    if (job->task == DATABASE_CLOSE)
        f->is_open = false;
    if (job == &f->own) {
        database_file_step(f);
        return;
    }
    timeout_clear(&job->timeout);
    database_answer_adopt(job->answer);
    if (job->transaction)
        database_transaction_after(job->transaction, job);
    else if (job->has_transaction)
        f->needs_rollback = true; /* of one that was given up meanwhile */
    database_file_step(f);
    deliver(job);
}

/* ---- Files. ---- */

static void free_files_end(struct databases *dbs)
{
    if (dbs->is_closing && list_is_empty(&dbs->files))
        loop_bury(dbs->loop, &dbs->grave);
}

static void file_freed(struct database_file *f)
{
    struct databases *dbs = f->dbs;
    timeout_clear(&f->linger);
    list_remove(&f->link);
    work_lane_free(&f->lane);
    mem_free(&dbs->owner, f, sizeof *f + f->path_bytes);
    free_files_end(dbs);
}

static struct database_file *find_file(struct databases *dbs, slice path)
{
    LIST_EACH (n, &dbs->files) {
        struct database_file *f = CONTAINER_OF(n, struct database_file, link);
        if (slice_is(slice_of(f->path, f->path_bytes - 1), path))
            return f;
    }
    return NULL;
}

static struct database_file *new_file(struct databases *dbs, slice path,
                                      const struct database_settings *settings)
{
    struct database_file *f = mem_alloc0(&dbs->owner, sizeof *f + path.n + 1);
    if (!f)
        return NULL;
    f->lane = work_lane_new(dbs->loop, "database", 1);
    if (!f->lane) {
        mem_free(&dbs->owner, f, sizeof *f + path.n + 1);
        return NULL;
    }
    work_lane_stack(f->lane, STACK_BYTES);
    f->dbs = dbs;
    f->path_bytes = path.n + 1;
    memcpy(f->path, path.p, path.n);
    f->connection.path = f->path;
    f->connection.settings = *settings;
    list_init(&f->queue);
    timeout_init(&f->linger, on_linger);
    list_push_back(&dbs->files, &f->link);
    return f;
}

int database_open(struct databases *dbs, slice path, const struct database_settings *settings,
                  struct database **out)
{
    if (path.n == 0 || slice_find(path, '\0') >= 0 ||
        slice_is_nocase(slice_head(path, 5), SLICE("file:")))
        return -EINVAL;
    if (path.n >= PATH_MAX)
        return -ENAMETOOLONG;
    struct database *db = mem_alloc0(&dbs->owner, sizeof *db);
    if (!db)
        return -ENOMEM;
    db->file = find_file(dbs, path);
    if (!db->file)
        db->file = new_file(dbs, path, settings);
    if (!db->file) {
        mem_free(&dbs->owner, db, sizeof *db);
        return -ENOMEM;
    }
    list_init(&db->jobs);
    list_init(&db->transactions);
    db->file->users++;
    db->file->is_idle_over = false;
    timeout_clear(&db->file->linger);
    dbs->users++;
    *out = db;
    return 0;
}

void database_close(struct database **at)
{
    struct database *db = *at;
    *at = NULL;
    if (!db)
        return;
    struct database_file *f = db->file;
    while (!list_is_empty(&db->transactions)) {
        struct database_transaction *t =
            CONTAINER_OF(db->transactions.next, struct database_transaction, link);
        database_rollback(&t);
    }
    LIST_EACH_SAFE (n, &db->jobs) {
        struct database_job *job = CONTAINER_OF(n, struct database_job, of_db);
        list_remove(&job->of_db);
        job->db = NULL;
        database_job_cancel(job);
    }
    f->users--;
    f->dbs->users--;
    mem_free(&f->dbs->owner, db, sizeof *db);
    database_file_step(f);
}

/* ---- Statements. ---- */

static bool is_bytes(const struct database_param *p)
{
    return p->value.type == DATABASE_TEXT || p->value.type == DATABASE_BLOB;
}

static int measure(const struct database_request *q, size_t *extra_out)
{
    if (q->sql.n > DATABASE_SQL_MAX || q->param_count > DATABASE_PARAMS_MAX)
        return -EMSGSIZE;
    size_t extra = q->param_count * sizeof *q->params + q->sql.n;
    for (size_t i = 0; i < q->param_count; i++) {
        size_t n = is_bytes(&q->params[i]) ? q->params[i].value.bytes.n : 0;
        if (n > DATABASE_VALUE_MAX || q->params[i].name.n > 127)
            return -EMSGSIZE;
        extra += n + q->params[i].name.n;
    }
    *extra_out = extra;
    return 0;
}

static slice copy_bytes(char **at, slice s)
{
    slice copied = slice_of(*at, s.n);
    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copied;
}

static void copy_request(struct database_job *job, const struct database_request *q)
{
    job->params = (struct database_param *)(void *)(job + 1);
    char *at = (char *)(job->params + q->param_count);
    job->param_count = q->param_count;
    for (size_t i = 0; i < q->param_count; i++) {
        job->params[i] = q->params[i];
        job->params[i].name = copy_bytes(&at, q->params[i].name);
        if (is_bytes(&q->params[i]))
            job->params[i].value.bytes = copy_bytes(&at, q->params[i].value.bytes);
    }
    job->sql = copy_bytes(&at, q->sql);
    job->answer->max_rows = q->max_rows ? q->max_rows : MAX_ROWS;
    job->answer->max_bytes = q->max_bytes ? q->max_bytes : MAX_BYTES;
    job->done = q->done;
    job->owner = q->owner;
}

int database_query(struct database *db, const struct database_request *q,
                   struct database_job **job_out)
{
    size_t extra;
    int error = measure(q, &extra);
    if (error)
        return error;
    struct database_job *job = database_job_new(db, DATABASE_QUERY, extra);
    if (!job)
        return -ENOMEM;
    copy_request(job, q);
    if (job_out)
        *job_out = job;
    if (slice_find(q->sql, '\0') >= 0) {
        database_job_fail(job, DATABASE_MISUSE, "the statement has a NUL in it");
    } else if (q->transaction && q->transaction->is_lost) {
        database_job_fail(job, DATABASE_LOST, q->transaction->why);
    } else {
        job->transaction = q->transaction;
        database_job_enqueue(job, q->timeout_ms > 0 ? q->timeout_ms : TIMEOUT_MS);
    }
    return 0;
}

/* ---- The pool. ---- */

static void on_grave(struct loop_deferred *d)
{
    struct databases *dbs = CONTAINER_OF(d, struct databases, grave);
    void (*on_closed)(void *owner) = dbs->on_closed;
    void *owner = dbs->on_closed_owner;
    loop_defer_cancel(&dbs->answer_failed);
    mem_discharge(&dbs->owner, sizeof *dbs);
    mem_owner_fini(&dbs->owner);
    mem_raw_free(dbs);
    if (on_closed)
        on_closed(owner);
}

/* For the process, before its first use; when another pool came first, that has done the same. */
static void set_sqlite_up(const struct databases_settings *o)
{
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD); /* each connection belongs to one thread */
    sqlite3_config(SQLITE_CONFIG_URI, 0);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 1); /* the limit below needs it */
    sqlite3_initialize();
    sqlite3_hard_heap_limit64((sqlite3_int64)(o->heap_bytes ? o->heap_bytes : HEAP_BYTES));
}

struct databases *databases_new(struct loop *loop, const struct databases_settings *settings)
{
    struct databases *dbs = mem_raw_alloc(sizeof *dbs); /* counted below: the account is within */
    if (!dbs)
        return NULL;
    *dbs = (struct databases){.loop = loop,
                              .linger_ms = settings->linger_ms ? settings->linger_ms : LINGER_MS};
    mem_owner_init(&dbs->owner, loop_book(loop), "database");
    if (!mem_charge(&dbs->owner, sizeof *dbs)) {
        mem_owner_fini(&dbs->owner);
        mem_raw_free(dbs);
        return NULL;
    }
    list_init(&dbs->files);
    list_init(&dbs->failed);
    loop_deferred_init(&dbs->answer_failed, answer_failed);
    loop_deferred_init(&dbs->grave, on_grave);
    set_sqlite_up(settings);
    return dbs;
}

void databases_close(struct databases **at, void (*on_closed)(void *owner), void *owner)
{
    struct databases *dbs = *at;
    *at = NULL;
    if (!dbs)
        return;
    BUG_ON(dbs->users != 0);
    dbs->is_closing = true;
    dbs->on_closed = on_closed;
    dbs->on_closed_owner = owner;
    if (list_is_empty(&dbs->files))
        free_files_end(dbs);
    LIST_EACH_SAFE (n, &dbs->files)
        database_file_step(CONTAINER_OF(n, struct database_file, link));
}

void databases_stats(const struct databases *dbs, struct databases_stats *out)
{
    *out = (struct databases_stats){.waiting = dbs->waiting,
                                    .bytes = dbs->owner.bytes,
                                    .statements = dbs->statements,
                                    .errors = dbs->errors,
                                    .timeouts = dbs->timeouts};
    LIST_EACH (n, &dbs->files) {
        out->files++;
        out->running += CONTAINER_OF(n, struct database_file, link)->running != NULL;
    }
}
