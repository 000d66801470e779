/* dbs: the database files that scripts have open, the statements that tasks wait for, and
 * transactions.
 *
 * Everything here belongs to a struct db, which belongs to a version (host->dbs) and goes with its
 * userdata, by db_close, or with the version at the latest. The files themselves are the host's:
 * database.h keeps them open for a while, so a reload finds them open. */
#ifndef SCRIPT_DBS_H
#define SCRIPT_DBS_H

#include "script/l_link.h"
#include "script/l_task.h"
#include "service/database.h"

struct db {
    struct list_node link; /* in host->dbs */
    struct version *version;
    struct l_link *handle;
    struct database *database;
    struct list_node transactions;
    int64_t timeout_ms; /* of each statement and transaction; 0 = 30 s */
    size_t max_rows, max_bytes;
};

struct db_transaction {
    struct list_node link; /* in db->transactions */
    struct db *db;
    struct l_link *handle;
    struct database_transaction *transaction; /* NULL: it is over */
};

/* What a task waits for. */
struct db_wait {
    struct list_node link; /* in host->db_waits: it may outlive its database */
    struct version *version;
    struct db *db;                  /* NULL: it was closed */
    struct l_task *task;            /* NULL: nobody waits any more */
    struct database_job *job;       /* of a statement, until it is done */
    struct db_transaction *begins;  /* this is its beginning */
    unsigned wants;                 /* enum l_rows */
    struct database_result *result; /* when it is done; NULL: the database was closed */
};

/* 0 or -errno, as database_open. */
MUST_USE int db_open(struct version *v, slice path, const struct database_settings *settings,
                     struct db **out);

/* Who waits is told that it was closed; its transactions are rolled back. Nulls the pointer; NULL
 * is accepted. */
void db_close(struct db **db);

/* NULL without memory. */
MUST_USE struct db_wait *db_wait_new(struct db *db, struct l_task *task);
/* A database_done_fn; wakes the task. */
void db_wait_done(void *wait, struct database_result *r);
/* For l_task_wait: the task is killed. */
void db_wait_cancel(struct l_task *t, void *wait);
void db_wait_free(struct db_wait *wait);

/* Not begun. NULL without memory. */
MUST_USE struct db_transaction *db_transaction_new(struct db *db);
/* Rolls back, unless it is over. */
void db_transaction_end(struct db_transaction *tx);
/* The same, and frees it. Nulls the pointer; NULL is accepted. */
void db_transaction_free(struct db_transaction **tx);

/* ---- Hooks of unit.c and host.c ---- */

void dbs_free(struct version *v); /* before its state is closed */
void dbs_check_end(
    struct host *host); /* a version has gone, or the host stops: closes the files after the last */

#endif
