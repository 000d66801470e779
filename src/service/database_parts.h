/* database_parts: what the files of the database service share. For service/database*.c only.
 *
 * The loop's side (database.c, database_transaction.c) queues and answers; the worker's side
 * (database_run.c, database_link.c) talks to SQLite and touches nothing but its job, the job's
 * result, and the file's link. */
#ifndef SERVICE_DATABASE_PARTS_H
#define SERVICE_DATABASE_PARTS_H

#include "service/database.h"

#include <sqlite3.h>
#include <stdatomic.h>

#define DATABASE_CACHED 64

/* ---- Worker: a connection. ---- */

struct database_cached {
    sqlite3_stmt *statement; /* NULL: the place is free */
    uint64_t used;
};

/* What the connection allows and wants; the same for its life. */
struct database_link {
    sqlite3 *db; /* NULL = not open */
    struct database_settings settings;
    const char *path;
    struct database_job *job; /* at work: for SQLite's callbacks */
    bool is_set_up;           /* what is executed comes from a script */
    uint64_t clock;
    struct database_cached cached[DATABASE_CACHED];
};

/* ---- Results. ---- */

struct database_chunk {
    struct database_chunk *next;
    size_t n, cap;
    char bytes[];
};

struct database_answer {
    struct database_result public;
    struct mem_owner *owner;
    struct databases *dbs;
    struct database_chunk *chunks;
    struct database_value *values;
    size_t values_cap; /* in values */
    size_t raw_bytes;  /* in chunks and values; charged when it is back */
    size_t max_rows, max_bytes;
};

/* Loop. */
struct database_answer *database_answer_new(struct databases *dbs);
void database_answer_adopt(struct database_answer *a);
void database_answer_free(struct database_answer *a);
/* Worker, all of these. False: too much, or no memory; the error is set. */
void database_answer_reset(struct database_answer *a);
MUST_USE bool database_answer_columns(struct database_answer *a, sqlite3_stmt *statement);
MUST_USE bool database_answer_row(struct database_answer *a, sqlite3_stmt *statement);
/* Either side. The first error stays. */
PRINTF(4, 5)
void database_answer_fail(struct database_answer *a, enum database_error error, int code,
                          const char *format, ...);

/* ---- Jobs. ---- */

enum database_task {
    DATABASE_QUERY,
    DATABASE_BEGIN,
    DATABASE_COMMIT,
    DATABASE_ROLLBACK,
    DATABASE_CLOSE
};

struct database_job {
    struct work_job work;
    enum database_task task;
    struct database_file *file;
    struct database_transaction *transaction; /* loop only */
    struct database *db;                      /* loop only */
    struct list_node of_db;
    struct list_node queue; /* while it waits */
    struct timeout timeout;
    int64_t due_ms;
    database_done_fn done;
    void *owner;
    bool is_cancelled, is_running;
    size_t total_bytes;
    /* for the worker, from here on */
    struct database_link *link;
    struct database_answer *answer; /* NULL for the file's own */
    bool is_within;                 /* a transaction */
    enum database_begin how;
    int64_t left_ms;
    int64_t deadline_ns;  /* CLOCK_MONOTONIC */
    atomic_bool stop;     /* set by the loop */
    bool was_late;        /* it stopped because of the deadline, not of [stop] alone */
    bool has_transaction; /* result: one is open now */
    slice sql;
    size_t param_count;
    struct database_param *params;
};

void database_run(struct work_job *work);
int64_t database_clock_ns(void);

/* ---- Worker: the connection. ---- */

/* Opens it when it is not. False: the error is in the answer (which may be NULL). */
MUST_USE bool database_link_open(struct database_link *l, struct database_answer *a);
void database_link_close(struct database_link *l);
/* A statement of this text, from the cache or new. *tail_out: what follows it. NULL and SQLITE_OK
 * in *code_out: there is nothing but blanks and comments. */
sqlite3_stmt *database_link_prepare(struct database_link *l, slice sql, slice *tail_out,
                                    int *code_out);
/* The statement of database_link_prepare is no longer used; it is kept for the next time if it
 * [may_cache]. */
void database_link_done(struct database_link *l, sqlite3_stmt *statement, bool may_cache);
/* An error of SQLite as ours. */
void database_link_fail(struct database_link *l, struct database_answer *a, int code);

/* ---- Loop. ---- */

struct databases {
    struct loop *loop;
    struct mem_owner owner;
    int64_t linger_ms;
    struct list_node files;
    struct list_node failed; /* jobs to answer at the end of the turn */
    struct loop_deferred answer_failed;
    struct loop_deferred grave;
    size_t users, waiting;
    uint64_t statements, errors, timeouts;
    bool is_closing;
    void (*on_closed)(void *owner);
    void *on_closed_owner;
};

struct database_file {
    struct list_node link;
    struct databases *dbs;
    struct work_lane *lane;
    unsigned users;
    struct list_node queue;              /* jobs outside the holder's transaction */
    struct database_transaction *holder; /* the transaction that is open */
    struct database_job *running;
    struct database_job own; /* ROLLBACK and CLOSE */
    bool needs_rollback;
    bool is_open; /* the worker has, or may have, the connection open */
    bool is_idle_over;
    struct timeout linger;
    struct database_link connection; /* the worker's while a job is away */
    size_t path_bytes;               /* with its NUL */
    char path[];
};

struct database {
    struct database_file *file;
    struct list_node jobs;
    struct list_node transactions;
};

struct database_transaction {
    struct list_node link; /* of its database */
    struct database *db;
    struct database_job *begin; /* until it has begun */
    struct list_node queue;
    struct timeout timeout;
    bool is_lost;
    bool is_ending; /* its user has handed it to a COMMIT */
    const char *why;
};

/* What can be run now is. */
void database_file_step(struct database_file *f);
/* A job with its answer, of [db]; NULL without memory. [extra] bytes follow it. */
MUST_USE struct database_job *database_job_new(struct database *db, enum database_task task,
                                               size_t extra);
/* Takes it into its queue, with a deadline. */
void database_job_enqueue(struct database_job *job, int64_t timeout_ms);
void database_job_cancel(struct database_job *job);
/* It runs: it shall come back. When it does not, because the disk hangs, it is answered without. */
void database_job_stop(struct database_job *job);
/* It waits, or was never queued: done will tell [error] later in this turn. */
void database_job_fail(struct database_job *job, enum database_error error, const char *why);
/* The job of a transaction has come back. */
void database_transaction_after(struct database_transaction *t, struct database_job *job);

#endif
