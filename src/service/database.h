/* database: SQLite files for scripts. One thread per file does all the work; the loop never waits,
 * not even to open or to close.
 *
 * Needs the loop and libsqlite3. Files are pooled by their path: who opens the same path shares a
 * connection, which stays for a while after the last one has closed it, so that a script that is
 * loaded again finds it open. One statement runs at a time; the others wait in order. All functions
 * are for the loop's thread; no callback is made before a function returns.
 *
 * Owner: struct databases owns the files; who opened a struct database closes it. A struct
 * database_result belongs to whoever it was given to. Memory is charged to an owner "database", but
 * for SQLite's own, which is limited by heap_bytes for all files together. */
#ifndef SERVICE_DATABASE_H
#define SERVICE_DATABASE_H

#include "loop/loop.h"

#define DATABASE_SQL_MAX    MIB
#define DATABASE_VALUE_MAX  (64 * MIB)
#define DATABASE_PARAMS_MAX 10000

struct databases;
struct database;
struct database_job;
struct database_transaction;

/* ---- The pool. ---- */

struct databases_settings {
    int64_t linger_ms; /* a file that nobody has open stays open for so long; 0 = 10 s */
    size_t heap_bytes; /* of SQLite itself, in the whole process; 0 = 256 MiB */
};

/* NULL without memory. Sets SQLite up for the process. */
MUST_USE struct databases *databases_new(struct loop *loop,
                                         const struct databases_settings *settings);

/* All are closed by those who opened them (BUG otherwise). Waits for what is running (it is
 * interrupted), closes the files, frees all; then [on_closed] (may be NULL) is told, in a later
 * turn. Results must be freed by then (BUG otherwise). NULL is accepted; nothing is told then. */
void databases_close(struct databases **dbs, void (*on_closed)(void *owner), void *owner);

/* ---- One of them. ---- */

enum database_sync { DATABASE_SYNC_NORMAL, DATABASE_SYNC_FULL, DATABASE_SYNC_OFF };
enum database_journal { DATABASE_JOURNAL_WAL, DATABASE_JOURNAL_DELETE, DATABASE_JOURNAL_MEMORY };

struct database_settings {
    bool is_readonly;
    bool must_exist; /* else it is created */
    bool may_attach; /* other files by ATTACH and VACUUM INTO */
    bool foreign_keys;
    enum database_sync sync;
    enum database_journal journal;
    int64_t busy_ms;         /* how long to wait for locks of other processes; 0 = 5 s */
    uint32_t page_count_max; /* of the file; 0 = no limit */
};

/* The file is opened with the first statement; errors come there. Where the path is open already,
 * those settings hold that it was first opened with. ":memory:" is one database for all who open
 * that. -EINVAL: an empty path, one with a NUL, or one that begins with "file:"; -ENAMETOOLONG;
 * -ENOMEM. */
MUST_USE int database_open(struct databases *dbs, slice path,
                           const struct database_settings *settings, struct database **out);

/* Its statements are cancelled (their done is not called), its transactions rolled back; both kinds
 * of pointers are dead then. A commit that has not been answered yet may have taken place or not.
 * NULL is accepted. */
void database_close(struct database **db);

/* ---- Values and results. ---- */

enum database_type { DATABASE_NULL, DATABASE_INT, DATABASE_DOUBLE, DATABASE_TEXT, DATABASE_BLOB };

struct database_value {
    enum database_type type;
    union {
        int64_t integer;
        double real;
        slice bytes; /* TEXT (UTF-8) and BLOB */
    };
};

struct database_param {
    slice name; /* as in the text, ":id"; empty: by its place */
    struct database_value value;
};

enum database_error {
    DATABASE_OK = 0,
    DATABASE_FAILED,      /* by SQLite, in a way that is not named below */
    DATABASE_CANNOT_OPEN, /* the file; also when it is none of SQLite's */
    DATABASE_BUSY,        /* locked by another process for longer than busy_ms */
    DATABASE_CONSTRAINT,
    DATABASE_FULL, /* the disk, or page_count_max */
    DATABASE_READONLY,
    DATABASE_DENIED,    /* not allowed here: ATTACH, LOAD EXTENSION ... */
    DATABASE_TIMEOUT,   /* the deadline has passed: while it waited or while it ran */
    DATABASE_TOO_LARGE, /* more rows or bytes than were allowed */
    DATABASE_LOST,   /* the transaction is over: rolled back by an error, by a statement or by its
                        deadline */
    DATABASE_MISUSE, /* parameters that do not fit; a transaction left open */
    DATABASE_NO_MEMORY,
};

/* Read-only. */
struct database_result {
    enum database_error error;
    int code;          /* SQLite's extended one, 0 when it has none */
    char message[256]; /* one sentence; empty without an error */
    size_t column_count, row_count;
    const slice *columns;                /* names */
    const struct database_value *values; /* row by row */
    int64_t changes;                     /* rows inserted, changed, deleted */
    int64_t last_rowid;
};

static inline const struct database_value *database_cell(const struct database_result *r,
                                                         size_t row, size_t column)
{
    return &r->values[row * r->column_count + column];
}

/* Nulls the pointer; NULL is accepted. */
void database_result_free(struct database_result **r);

/* The result is the callee's from now on. It may do anything, closing the database too. */
typedef void (*database_done_fn)(void *owner, struct database_result *r);

/* ---- Statements. ---- */

struct database_request {
    slice sql; /* several statements only without parameters; copied, and so are the parameters */
    const struct database_param *params;
    size_t param_count;
    struct database_transaction *transaction; /* within; NULL: on its own */
    int64_t timeout_ms;                       /* from now, waiting included; 0 = 30 s */
    size_t max_rows;                          /* 0 = 10,000 */
    size_t max_bytes;                         /* of the result; 0 = 16 MiB */
    database_done_fn done;                    /* may be NULL */
    void *owner;
};

/* done is called exactly once, unless it is cancelled or the database is closed. Rows are those of
 * the last statement that has any. *job_out (may be NULL) is valid until done. -EMSGSIZE: text, a
 * parameter or their number; -ENOMEM. */
MUST_USE int database_query(struct database *db, const struct database_request *request,
                            struct database_job **job_out);

/* It is not run, or interrupted, or its result dropped; what it has changed outside a transaction
 * may stay. done is not called. Nulls the pointer; NULL is accepted. */
void database_cancel(struct database_job **job);

/* ---- Transactions: a sequence of statements between which no other of this process comes. ---- */

enum database_begin { DATABASE_IMMEDIATE, DATABASE_DEFERRED };

/* Waits for its turn; done tells when it has begun (DATABASE_OK), or why it has not. It must be
 * ended in any case, by one of the two below, at any time after this call. When it is not over
 * after [timeout_ms] (0 = 30 s), waiting included, it is rolled back, and what is asked of it after
 * that is answered by DATABASE_LOST. -ENOMEM. */
MUST_USE int database_begin(struct database *db, enum database_begin how, int64_t timeout_ms,
                            database_done_fn done, void *owner, struct database_transaction **out);

/* After what was asked before, its beginning too. When it fails, all is rolled back, and done
 * tells why. Nulls the pointer, unless -ENOMEM is returned. */
MUST_USE int database_commit(struct database_transaction **t, database_done_fn done, void *owner);

/* Statements of it that are waiting are answered by DATABASE_LOST. Nulls the pointer; NULL is
 * accepted. */
void database_rollback(struct database_transaction **t);

/* ---- Figures. ---- */

struct databases_stats {
    size_t files, waiting, running, bytes;
    uint64_t statements, errors, timeouts;
};
void databases_stats(const struct databases *dbs, struct databases_stats *out);

#endif
