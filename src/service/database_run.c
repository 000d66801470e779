/* database_run: a job, on its file's thread. */
#include "service/database_parts.h"

/* ---- Parameters. ---- */

static int bind_value(sqlite3_stmt *s, int at, const struct database_value *v)
{
    switch (v->type) {
    case DATABASE_NULL:
        return sqlite3_bind_null(s, at);
    case DATABASE_INT:
        return sqlite3_bind_int64(s, at, v->integer);
    case DATABASE_DOUBLE:
        return sqlite3_bind_double(s, at, v->real);
    case DATABASE_TEXT:
        return sqlite3_bind_text(s, at, v->bytes.n ? v->bytes.p : "", (int)v->bytes.n,
                                 SQLITE_STATIC);
    case DATABASE_BLOB:
        return v->bytes.n ? sqlite3_bind_blob(s, at, v->bytes.p, (int)v->bytes.n, SQLITE_STATIC)
                          : sqlite3_bind_zeroblob(s, at, 0);
    }
    return SQLITE_MISUSE;
}

/* 0: there is none of this name. */
static int place_of(sqlite3_stmt *s, const struct database_param *p, size_t i)
{
    char name[128];
    struct fmt f = fmt_on(name, sizeof name - 1);
    if (p->name.n == 0)
        return (int)i + 1;
    fmt_put(&f, p->name);
    *f.p = '\0';
    return f.full ? 0 : sqlite3_bind_parameter_index(s, name);
}

static bool bind_all(struct database_job *job, sqlite3_stmt *s)
{
    int wanted = sqlite3_bind_parameter_count(s);
    if ((size_t)wanted != job->param_count) {
        database_answer_fail(job->answer, DATABASE_MISUSE, 0,
                             "the statement has %d parameters, but %zu were given", wanted,
                             job->param_count);
        return false;
    }
    for (size_t i = 0; i < job->param_count; i++) {
        const struct database_param *p = &job->params[i];
        int at = place_of(s, p, i);
        if (at == 0) {
            database_answer_fail(job->answer, DATABASE_MISUSE, 0,
                                 "the statement has no parameter \"%.*s\"", SLICE_ARGS(p->name));
            return false;
        }
        int code = bind_value(s, at, &p->value);
        if (code != SQLITE_OK) {
            database_link_fail(job->link, job->answer, code);
            return false;
        }
    }
    return true;
}

/* ---- Statements. ---- */

static bool step_all(struct database_job *job, sqlite3_stmt *s)
{
    struct database_answer *a = job->answer;
    int code;
    if (sqlite3_column_count(s) > 0) {
        database_answer_reset(a);
        if (!database_answer_columns(a, s))
            return false;
    }
    while ((code = sqlite3_step(s)) == SQLITE_ROW)
        if (!database_answer_row(a, s))
            return false;
    if (code != SQLITE_DONE)
        database_link_fail(job->link, a, code);
    return code == SQLITE_DONE;
}

static bool is_blank(slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!memchr(" \t\r\n\f;", s.p[i], 6))
            return false;
    return true;
}

/* The first statement of *sql, which becomes what follows. */
static bool run_one(struct database_job *job, slice *sql)
{
    struct database_link *l = job->link;
    slice tail;
    int code;
    if (job->is_within && sqlite3_get_autocommit(l->db)) {
        database_answer_fail(job->answer, DATABASE_LOST, 0, "the transaction is over");
        return false;
    }
    sqlite3_stmt *s = database_link_prepare(l, *sql, &tail, &code);
    bool is_only = sql->p == job->sql.p && tail.n == 0;
    if (code != SQLITE_OK) {
        database_link_fail(l, job->answer, code);
        return false;
    }
    *sql = tail;
    if (!s)
        return tail.n > 0; /* a comment, or the end */
    bool fits = job->param_count == 0 || is_blank(tail);
    if (!fits)
        database_answer_fail(job->answer, DATABASE_MISUSE, 0,
                             "several statements at once cannot have parameters");
    bool is_good = fits && bind_all(job, s) && step_all(job, s);
    database_link_done(l, s, is_only);
    return is_good;
}

static int run_text(struct database_link *l, const char *text)
{
    return sqlite3_exec(l->db, text, NULL, NULL, NULL);
}

/* A query on its own leaves no transaction behind: others would find themselves in it. */
static void check_left_open(struct database_job *job)
{
    if (job->is_within || sqlite3_get_autocommit(job->link->db))
        return;
    run_text(job->link, "ROLLBACK");
    database_answer_fail(job->answer, DATABASE_MISUSE, 0,
                         "the statement left a transaction open; it was rolled back");
}

static void run_query(struct database_job *job)
{
    struct database_answer *a = job->answer;
    sqlite3 *db = job->link->db;
    int64_t before = sqlite3_total_changes64(db);
    slice sql = job->sql;
    while (sql.n && run_one(job, &sql))
        ;
    check_left_open(job);
    a->public.changes = sqlite3_total_changes64(db) - before;
    a->public.last_rowid = sqlite3_last_insert_rowid(db);
    if (a->public.error)
        database_answer_reset(a);
}

static void run_exec(struct database_job *job, const char *text)
{
    int code = run_text(job->link, text);
    if (code != SQLITE_OK)
        database_link_fail(job->link, job->answer, code);
}

static void run_commit(struct database_job *job)
{
    if (sqlite3_get_autocommit(job->link->db)) {
        database_answer_fail(job->answer, DATABASE_LOST, 0, "the transaction was over already");
        return;
    }
    run_exec(job, "COMMIT");
    if (!sqlite3_get_autocommit(job->link->db)) {
        job->link->job = NULL; /* the deadline is no longer a reason to stop */
        run_text(job->link, "ROLLBACK");
    }
}

static void run_rollback(struct database_job *job)
{
    job->link->job = NULL;
    if (job->link->db && !sqlite3_get_autocommit(job->link->db))
        run_text(job->link, "ROLLBACK");
}

static void run_task(struct database_job *job)
{
    switch (job->task) {
    case DATABASE_QUERY:
        run_query(job);
        break;
    case DATABASE_BEGIN:
        run_exec(job, job->how == DATABASE_IMMEDIATE ? "BEGIN IMMEDIATE" : "BEGIN");
        break;
    case DATABASE_COMMIT:
        run_commit(job);
        break;
    case DATABASE_ROLLBACK:
    case DATABASE_CLOSE:
        break;
    }
}

void database_run(struct work_job *work)
{
    struct database_job *job = CONTAINER_OF(work, struct database_job, work);
    struct database_link *l = job->link;
    l->job = job;
    if (job->left_ms)
        job->deadline_ns = database_clock_ns() + job->left_ms * NS_PER_MS;
    if (job->task == DATABASE_CLOSE)
        database_link_close(l);
    else if (job->task == DATABASE_ROLLBACK)
        run_rollback(job);
    else if (database_link_open(l, job->answer))
        run_task(job);
    job->has_transaction = l->db && !sqlite3_get_autocommit(l->db);
    l->job = NULL;
}
