/* dbs: who owns what while the worker has it. */
#include "script/dbs.h"

#include <errno.h>

static struct databases *databases_of(struct host *host)
{
    static const struct databases_settings settings = {.linger_ms = 0};
    if (!host->databases && !host->is_stopping)
        host->databases = databases_new(host->loop, &settings);
    return host->databases;
}

int db_open(struct version *v, slice path, const struct database_settings *settings,
            struct db **out)
{
    struct databases *dbs = databases_of(v->host);
    struct db *db = dbs ? mem_alloc0(&v->host->owner, sizeof *db) : NULL;
    if (!db)
        return -ENOMEM;
    int error = database_open(dbs, path, settings, &db->database);
    if (error) {
        mem_free(&v->host->owner, db, sizeof *db);
        return error;
    }
    db->version = v;
    list_init(&db->transactions);
    list_push_back(&v->host->dbs, &db->link);
    *out = db;
    return 0;
}

/* ---- Waiting ---- */

struct db_wait *db_wait_new(struct db *db, struct l_task *task)
{
    struct host *host = db->version->host;
    struct db_wait *w = mem_alloc0(&host->owner, sizeof *w);
    if (!w)
        return NULL;
    w->version = db->version;
    w->db = db;
    w->task = task;
    list_push_back(&host->db_waits, &w->link);
    return w;
}

void db_wait_free(struct db_wait *w)
{
    database_result_free(&w->result);
    list_remove(&w->link);
    mem_free(&w->version->host->owner, w, sizeof *w);
}

void db_wait_done(void *owner, struct database_result *r)
{
    struct db_wait *w = owner;
    struct l_task *t = w->task;
    w->result = r;
    w->job = NULL;
    w->begins = NULL;
    w->task = NULL;
    if (t)
        l_task_wake(t);
    else
        db_wait_free(w);
}

void db_wait_cancel(struct l_task *t, void *what)
{
    struct db_wait *w = what;
    w->task = NULL;
    if (w->begins)
        db_transaction_end(w->begins);
    else if (w->job)
        database_cancel(&w->job);
    else
        return; /* a commit goes on: freed when it is done */
    db_wait_free(w);
}

/* ---- Transactions ---- */

struct db_transaction *db_transaction_new(struct db *db)
{
    struct db_transaction *tx = mem_alloc0(&db->version->host->owner, sizeof *tx);
    if (!tx)
        return NULL;
    tx->db = db;
    list_push_back(&db->transactions, &tx->link);
    return tx;
}

void db_transaction_end(struct db_transaction *tx)
{
    database_rollback(&tx->transaction);
}

void db_transaction_free(struct db_transaction **at)
{
    struct db_transaction *tx = *at;
    *at = NULL;
    if (!tx)
        return;
    db_transaction_end(tx);
    l_link_cut(&tx->handle);
    list_remove(&tx->link);
    mem_free(&tx->db->version->host->owner, tx, sizeof *tx);
}

/* ---- Ends ---- */

/* Tasks wait only while their userdata live: so Lua code is running now, and those that are woken
 * go on later; each frees its own. */
static void close_waits(struct host *host, const struct db *db)
{
    LIST_EACH_SAFE (n, &host->db_waits) {
        struct db_wait *w = CONTAINER_OF(n, struct db_wait, link);
        if (w->db != db)
            continue;
        struct l_task *t = w->task;
        bool is_back = w->result != NULL;
        w->db = NULL;
        w->job = NULL;
        w->begins = NULL;
        w->task = NULL;
        if (t)
            l_task_wake(t);
        else if (!is_back)
            db_wait_free(w);
    }
}

void db_close(struct db **at)
{
    struct db *db = *at;
    *at = NULL;
    if (!db)
        return;
    struct host *host = db->version->host;
    l_link_cut(&db->handle);
    while (!list_is_empty(&db->transactions)) {
        struct db_transaction *tx =
            CONTAINER_OF(db->transactions.next, struct db_transaction, link);
        tx->transaction = NULL; /* goes with the database */
        db_transaction_free(&tx);
    }
    database_close(&db->database);
    close_waits(host, db);
    list_remove(&db->link);
    mem_free(&host->owner, db, sizeof *db);
}

void dbs_free(struct version *v)
{
    LIST_EACH_SAFE (n, &v->host->dbs) {
        struct db *db = CONTAINER_OF(n, struct db, link);
        if (db->version == v)
            db_close(&db);
    }
    LIST_EACH_SAFE (
        n, &v->host->db_waits) { /* of tasks that were killed when they were about to go on */
        struct db_wait *w = CONTAINER_OF(n, struct db_wait, link);
        if (w->version == v)
            db_wait_free(w);
    }
}

static void on_closed(void *owner)
{
    ((struct host *)owner)->databases_are_closing = false;
}

void dbs_check_end(struct host *host)
{
    if (!host->is_stopping || host->version_count || !host->databases)
        return;
    host->databases_are_closing = true;
    databases_close(&host->databases, on_closed, host);
}
