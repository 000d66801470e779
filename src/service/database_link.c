/* database_link: a connection to SQLite, as the worker has it: what is allowed there, and the
 * statements that are kept prepared. */
#include "service/database_parts.h"

#define BUSY_MS       ((int64_t)5000)
#define BUSY_SLEEP_MS 5
#define STEPS \
    1000 /* of SQLite's machine between two looks at the clock: well below a millisecond */

int64_t database_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* ---- Called by SQLite. ---- */

static bool must_stop(struct database_job *job)
{
    if (atomic_load_explicit(&job->stop, memory_order_relaxed))
        return true;
    if (job->deadline_ns && database_clock_ns() >= job->deadline_ns)
        job->was_late = true;
    return job->was_late;
}

static int on_progress(void *arg)
{
    struct database_link *l = arg;
    return l->job && must_stop(l->job);
}

/* Another process has the lock. Not sqlite3_busy_timeout: a deadline shall end the waiting too. */
static int on_busy(void *arg, int times)
{
    struct database_link *l = arg;
    int64_t most = l->settings.busy_ms ? l->settings.busy_ms : BUSY_MS;
    if ((l->job && must_stop(l->job)) || (int64_t)times * BUSY_SLEEP_MS >= most)
        return 0;
    sqlite3_sleep(BUSY_SLEEP_MS);
    return 1;
}

static bool is_nocase(const char *a, const char *b)
{
    return a && sqlite3_stricmp(a, b) == 0;
}

/* Those that change more than this connection, or map the file into memory (where a file that is
 * cut by others kills the process). */
static bool is_pragma_denied(const char *name)
{
    static const char *const denied[] = {"temp_store_directory", "data_store_directory",
                                         "soft_heap_limit", "hard_heap_limit", "mmap_size"};
    for (size_t i = 0; i < COUNT_OF(denied); i++)
        if (is_nocase(name, denied[i]))
            return true;
    return false;
}

/* [file] is NULL when the name is not written out in the text. VACUUM attaches a file without a
 * name. */
static bool may_attach(const struct database_link *l, const char *file)
{
    if (file && (*file == '\0' || is_nocase(file, ":memory:")))
        return true;
    return l->settings.may_attach && file && sqlite3_strnicmp(file, "file:", 5) != 0;
}

static int on_authorize(void *arg, int action, const char *a, const char *b, const char *schema,
                        const char *trigger)
{
    const struct database_link *l = arg;
    if (!l->is_set_up)
        return SQLITE_OK;
    if (action == SQLITE_ATTACH && !may_attach(l, a))
        return SQLITE_DENY;
    if (action == SQLITE_PRAGMA && b && is_pragma_denied(a))
        return SQLITE_DENY;
    if (action == SQLITE_FUNCTION && is_nocase(b, "load_extension"))
        return SQLITE_DENY;
    return SQLITE_OK;
}

/* ---- Opening. ---- */

/* Lower than SQLite's own: what recurses shall fit the stack of a worker. */
static void set_limits(sqlite3 *db)
{
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, DATABASE_VALUE_MAX);
    sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, DATABASE_SQL_MAX);
    sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, 200);
    sqlite3_limit(db, SQLITE_LIMIT_COMPOUND_SELECT, 200);
    sqlite3_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000);
    sqlite3_limit(db, SQLITE_LIMIT_TRIGGER_DEPTH, 100);
    sqlite3_limit(db, SQLITE_LIMIT_VARIABLE_NUMBER, DATABASE_PARAMS_MAX);
    sqlite3_limit(db, SQLITE_LIMIT_WORKER_THREADS, 0);
}

static void set_up(struct database_link *l)
{
    set_limits(l->db);
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0, NULL);
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_ENABLE_FKEY, l->settings.foreign_keys, NULL);
    sqlite3_busy_handler(l->db, on_busy, l);
    sqlite3_progress_handler(l->db, STEPS, on_progress, l);
    sqlite3_set_authorizer(l->db, on_authorize, l);
}

/* The first read of the file is here: what is no database is found out. */
static int set_modes(struct database_link *l)
{
    static const char *const journals[] = {"WAL", "DELETE", "MEMORY"};
    static const char *const syncs[] = {"NORMAL", "FULL", "OFF"};
    char text[200];
    struct fmt f = fmt_on(text, sizeof text - 1);
    fmt_printf(&f, "PRAGMA synchronous=%s;", syncs[l->settings.sync]);
    if (l->settings.page_count_max)
        fmt_printf(&f, "PRAGMA max_page_count=%u;", l->settings.page_count_max);
    if (l->settings.is_readonly)
        fmt_str(&f, "PRAGMA schema_version;");
    else
        fmt_printf(&f, "PRAGMA journal_mode=%s;", journals[l->settings.journal]);
    *f.p = '\0';
    return sqlite3_exec(l->db, text, NULL, NULL, NULL);
}

static int open_flags(const struct database_settings *s)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (s->is_readonly)
        return flags | SQLITE_OPEN_READONLY;
    return flags | SQLITE_OPEN_READWRITE | (s->must_exist ? 0 : SQLITE_OPEN_CREATE);
}

bool database_link_open(struct database_link *l, struct database_answer *a)
{
    if (l->db)
        return true;
    int code = sqlite3_open_v2(l->path, &l->db, open_flags(&l->settings), NULL);
    if (code == SQLITE_OK) {
        set_up(l);
        code = set_modes(l);
    }
    l->is_set_up = code == SQLITE_OK;
    if (l->is_set_up)
        return true;
    int reason = code & 0xff;
    if (reason == SQLITE_CANTOPEN || reason == SQLITE_NOTADB || reason == SQLITE_PERM)
        database_answer_fail(a, DATABASE_CANNOT_OPEN, code, "%s cannot be opened: %s", l->path,
                             l->db ? sqlite3_errmsg(l->db) : sqlite3_errstr(code));
    else
        database_link_fail(l, a, code);
    database_link_close(l);
    return false;
}

void database_link_close(struct database_link *l)
{
    for (size_t i = 0; i < DATABASE_CACHED; i++)
        sqlite3_finalize(l->cached[i].statement);
    memset(l->cached, 0, sizeof l->cached);
    l->is_set_up = false;
    sqlite3_close_v2(l->db);
    l->db = NULL;
}

/* ---- Statements. ---- */

static bool is_text_of(sqlite3_stmt *statement, slice sql)
{
    return slice_is(slice_str(sqlite3_sql(statement)), sql);
}

sqlite3_stmt *database_link_prepare(struct database_link *l, slice sql, slice *tail_out,
                                    int *code_out)
{
    *code_out = SQLITE_OK;
    *tail_out = SLICE("");
    for (size_t i = 0; i < DATABASE_CACHED; i++) {
        sqlite3_stmt *found = l->cached[i].statement;
        if (found && !sqlite3_stmt_busy(found) && is_text_of(found, sql)) {
            l->cached[i].statement = NULL; /* database_link_done puts it back */
            return found;
        }
    }
    sqlite3_stmt *statement = NULL;
    const char *tail = sql.p;
    *code_out =
        sqlite3_prepare_v3(l->db, sql.p, (int)sql.n, SQLITE_PREPARE_PERSISTENT, &statement, &tail);
    if (tail)
        *tail_out = slice_skip(sql, (size_t)(tail - sql.p));
    return statement;
}

/* In a free place, or in that of the one which has not been used for longest. */
static void keep(struct database_link *l, sqlite3_stmt *statement)
{
    struct database_cached *place = &l->cached[0];
    for (size_t i = 0; i < DATABASE_CACHED && place->statement; i++)
        if (!l->cached[i].statement || l->cached[i].used < place->used)
            place = &l->cached[i];
    sqlite3_finalize(place->statement);
    *place = (struct database_cached){.statement = statement, .used = ++l->clock};
}

void database_link_done(struct database_link *l, sqlite3_stmt *statement, bool may_cache)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    if (may_cache)
        keep(l, statement);
    else
        sqlite3_finalize(statement);
}

/* ---- Errors. ---- */

static enum database_error error_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return DATABASE_BUSY;
    case SQLITE_CONSTRAINT:
        return DATABASE_CONSTRAINT;
    case SQLITE_FULL:
        return DATABASE_FULL;
    case SQLITE_READONLY:
        return DATABASE_READONLY;
    case SQLITE_AUTH:
        return DATABASE_DENIED;
    case SQLITE_NOMEM:
        return DATABASE_NO_MEMORY;
    case SQLITE_TOOBIG:
        return DATABASE_TOO_LARGE;
    case SQLITE_CANTOPEN:
    case SQLITE_NOTADB:
        return DATABASE_CANNOT_OPEN;
    default:
        return DATABASE_FAILED;
    }
}

void database_link_fail(struct database_link *l, struct database_answer *a, int code)
{
    struct database_job *job = l->job;
    bool was_stopped = job && (job->was_late || atomic_load(&job->stop));
    bool is_stop = (code & 0xff) == SQLITE_INTERRUPT || (code & 0xff) == SQLITE_BUSY;
    if (was_stopped && is_stop)
        database_answer_fail(a, DATABASE_TIMEOUT, code,
                             "the statement was stopped: its time was over");
    else
        database_answer_fail(a, error_of(code), code, "%s",
                             l->db ? sqlite3_errmsg(l->db) : sqlite3_errstr(code));
}
