/* Databases over real files and threads; runs under ThreadSanitizer too. */
#include "base/rand.h"
#include "service/database.h"

#include "test_kinds.h"
#include "wire_test.h"

#include "temp_dir.h"

#include <errno.h>
#include <sqlite3.h>

/* ---- Rig. ---- */

struct rig {
    struct temp_dir dir;
    struct test_net *net;
    struct databases *dbs;
    struct database *db;
    struct database_settings settings;
    char path[128];
};

/* An answer that is waited for. */
struct answer {
    struct database_result *r;
    bool is_there;
    int order; /* of all answers */
};

static int answers;

static void on_done(void *owner, struct database_result *r)
{
    struct answer *a = owner;
    assert_false(a->is_there);
    a->r = r;
    a->is_there = true;
    a->order = ++answers;
}

static bool is_true(void *arg)
{
    return *(bool *)arg;
}

static bool is_there(void *arg)
{
    return ((struct answer *)arg)->is_there;
}

static void on_closed(void *owner)
{
    *(bool *)owner = true;
}

static struct database *open_db(struct rig *r)
{
    struct database *db;
    assert_int_equal(database_open(r->dbs, slice_str(r->path), &r->settings, &db), 0);
    return db;
}

static void rig_begin_with(struct rig *r, struct database_settings settings)
{
    *r = (struct rig){.settings = settings};
    temp_dir_make(&r->dir);
    snprintf(r->path, sizeof r->path, "%s/db", r->dir.path);
    r->net = net_new(NET_EPOLL_UNIX, 0);
    r->dbs = databases_new(r->net->loop, &(struct databases_settings){.linger_ms = 50});
    assert_non_null(r->dbs);
    r->db = open_db(r);
}

static void rig_begin(struct rig *r)
{
    rig_begin_with(r, (struct database_settings){.foreign_keys = true});
}

static void rig_end(struct rig *r)
{
    bool closed = false;
    database_close(&r->db);
    databases_close(&r->dbs, on_closed, &closed);
    assert_true(net_until(r->net, is_true, &closed));
    net_free(&r->net);
    temp_dir_remove(&r->dir);
}

static struct database_request request(const char *sql, struct answer *a)
{
    *a = (struct answer){.is_there = false};
    return (struct database_request){.sql = slice_str(sql), .done = on_done, .owner = a};
}

static void ask(struct database *db, const char *sql, struct answer *a)
{
    struct database_request q = request(sql, a);
    assert_int_equal(database_query(db, &q, NULL), 0);
}

static void ask_within(struct database *db, struct database_transaction *t, const char *sql,
                       struct answer *a)
{
    struct database_request q = request(sql, a);
    q.transaction = t;
    assert_int_equal(database_query(db, &q, NULL), 0);
}

/* Waits; the error. */
static enum database_error wait_for(struct rig *r, struct answer *a)
{
    assert_true(net_until(r->net, is_there, a));
    return a->r->error;
}

/* The error of an answer that is not looked at further. */
static enum database_error end_of(struct rig *r, struct answer *a)
{
    enum database_error error = wait_for(r, a);
    database_result_free(&a->r);
    return error;
}

static enum database_error run(struct rig *r, const char *sql)
{
    struct answer a;
    ask(r->db, sql, &a);
    return end_of(r, &a);
}

/* The first cell as an integer. */
static int64_t number(struct rig *r, const char *sql)
{
    struct answer a;
    ask(r->db, sql, &a);
    if (wait_for(r, &a))
        print_error("%s\n", a.r->message);
    assert_int_equal(a.r->error, 0);
    assert_true(a.r->row_count == 1 && database_cell(a.r, 0, 0)->type == DATABASE_INT);
    int64_t n = database_cell(a.r, 0, 0)->integer;
    database_result_free(&a.r);
    return n;
}

static const char endless[] =
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c";

/* ---- Values. ---- */

static void test_types(void **state)
{
    struct rig r;
    struct answer a;
    char blob[] = {0, 1, 2, (char)0xff};
    struct database_param params[] = {
        {.value = {.type = DATABASE_NULL}},
        {.value = {.type = DATABASE_INT, .integer = INT64_MIN}},
        {.value = {.type = DATABASE_DOUBLE, .real = 0.1}},
        {.value = {.type = DATABASE_TEXT, .bytes = SLICE("t\xc3\xa4xt\0nul")}},
        {.value = {.type = DATABASE_BLOB, .bytes = slice_of(blob, sizeof blob)}},
        {.value = {.type = DATABASE_TEXT, .bytes = SLICE("")}},
        {.value = {.type = DATABASE_BLOB, .bytes = SLICE("")}},
    };
    rig_begin(&r);
    struct database_request q = request("SELECT ? AS a, ? AS b, ?, ?, ?, ?, ?", &a);
    q.params = params;
    q.param_count = COUNT_OF(params);
    for (int i = 0; i < 3; i++) { /* from the cache too */
        a.is_there = false;
        assert_int_equal(database_query(r.db, &q, NULL), 0);
        assert_int_equal(wait_for(&r, &a), DATABASE_OK);
        assert_int_equal(a.r->column_count, 7);
        assert_int_equal(a.r->row_count, 1);
        assert_slice(a.r->columns[1], SLICE("b"));
        for (size_t c = 0; c < 7; c++)
            assert_int_equal(database_cell(a.r, 0, c)->type, params[c].value.type);
        assert_true(database_cell(a.r, 0, 1)->integer == INT64_MIN);
        assert_true(database_cell(a.r, 0, 2)->real == 0.1);
        for (size_t c = 3; c < 7; c++)
            assert_slice(database_cell(a.r, 0, c)->bytes, params[c].value.bytes);
        database_result_free(&a.r);
        database_result_free(&a.r);
    }
    rig_end(&r);
}

static void test_changes(void **state)
{
    struct rig r;
    struct answer a;
    rig_begin(&r);
    ask(r.db,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t(v) VALUES (1),(2),(3); -- end",
        &a);
    assert_int_equal(wait_for(&r, &a), DATABASE_OK);
    assert_int_equal(a.r->changes, 3);
    assert_int_equal(a.r->last_rowid, 3);
    assert_int_equal(a.r->row_count, 0);
    database_result_free(&a.r);
    ask(r.db, "UPDATE t SET v = 9 WHERE id > 1 RETURNING id", &a);
    assert_int_equal(wait_for(&r, &a), DATABASE_OK);
    assert_int_equal(a.r->changes, 2);
    assert_int_equal(a.r->row_count, 2);
    database_result_free(&a.r);
    ask(r.db, "SELECT 1; SELECT id FROM t ORDER BY id;", &a);
    assert_int_equal(wait_for(&r, &a), DATABASE_OK);
    assert_int_equal(a.r->row_count, 3);
    database_result_free(&a.r);
    assert_int_equal(run(&r, ""), DATABASE_OK);
    assert_int_equal(run(&r, " -- nothing\n/* at all */ ;; "), DATABASE_OK);
    rig_end(&r);
}

static void test_named_parameters(void **state)
{
    struct rig r;
    struct answer a;
    struct database_param params[] = {
        {.name = SLICE(":b"), .value = {.type = DATABASE_INT, .integer = 2}},
        {.name = SLICE(":a"), .value = {.type = DATABASE_INT, .integer = 1}},
    };
    rig_begin(&r);
    struct database_request q = request("SELECT :a * 10 + :b", &a);
    q.params = params;
    q.param_count = 2;
    assert_int_equal(database_query(r.db, &q, NULL), 0);
    assert_int_equal(wait_for(&r, &a), DATABASE_OK);
    assert_int_equal(database_cell(a.r, 0, 0)->integer, 12);
    database_result_free(&a.r);
    q = request("SELECT :a + :c", &a);
    q.params = params;
    q.param_count = 2;
    assert_int_equal(database_query(r.db, &q, NULL), 0);
    assert_int_equal(wait_for(&r, &a), DATABASE_MISUSE);
    assert_string_equal(a.r->message, "the statement has no parameter \":b\"");
    database_result_free(&a.r);
    rig_end(&r);
}

/* ---- Errors. ---- */

static void test_errors(void **state)
{
    struct rig r;
    struct answer a;
    struct database_param one = {.value = {.type = DATABASE_INT, .integer = 1}};
    rig_begin(&r);
    ask(r.db, "SELEC 1", &a);
    assert_int_equal(wait_for(&r, &a), DATABASE_FAILED);
    assert_string_equal(a.r->message, "near \"SELEC\": syntax error");
    assert_int_equal(a.r->code, SQLITE_ERROR);
    database_result_free(&a.r);
    assert_int_equal(run(&r, "CREATE TABLE t(a UNIQUE NOT NULL)"), DATABASE_OK);
    assert_int_equal(run(&r, "INSERT INTO t VALUES (1), (1)"), DATABASE_CONSTRAINT);
    assert_int_equal(run(&r, "INSERT INTO t VALUES (NULL)"), DATABASE_CONSTRAINT);
    assert_int_equal(number(&r, "SELECT count(*) FROM t"), 0);
    struct database_request q = request("SELECT ?; SELECT ?", &a);
    q.params = &one;
    q.param_count = 1;
    assert_int_equal(database_query(r.db, &q, NULL), 0);
    assert_int_equal(end_of(&r, &a), DATABASE_MISUSE);
    assert_int_equal(run(&r, "SELECT ?"), DATABASE_MISUSE);
    q = request("SELECT 1", &a);
    q.sql = SLICE("SELECT\0 1");
    assert_int_equal(database_query(r.db, &q, NULL), 0);
    assert_int_equal(end_of(&r, &a), DATABASE_MISUSE);
    q.sql = slice_of(r.path, DATABASE_SQL_MAX + 1);
    assert_int_equal(database_query(r.db, &q, NULL), -EMSGSIZE);
    assert_int_equal(run(&r, "BEGIN"), DATABASE_MISUSE); /* others would be in it */
    assert_int_equal(run(&r, "BEGIN; INSERT INTO t VALUES (5)"), DATABASE_MISUSE);
    assert_int_equal(run(&r, "BEGIN; INSERT INTO t VALUES (6); COMMIT"), DATABASE_OK);
    assert_int_equal(number(&r, "SELECT sum(a) FROM t"), 6);
    rig_end(&r);
}

static void test_what_is_denied(void **state)
{
    struct rig r;
    struct database *db;
    rig_begin(&r);
    assert_int_equal(run(&r, "ATTACH '/tmp/other.db' AS o"), DATABASE_DENIED);
    assert_int_equal(run(&r, "ATTACH 'file:/tmp/other.db?mode=rwc' AS o"), DATABASE_DENIED);
    assert_int_equal(run(&r, "ATTACH '/tmp/' || 'other.db' AS o"), DATABASE_DENIED);
    assert_int_equal(run(&r, "VACUUM INTO '/tmp/other.db'"), DATABASE_DENIED);
    assert_int_equal(run(&r, "VACUUM"), DATABASE_OK);
    assert_int_equal(run(&r, "PRAGMA mmap_size=1000000"), DATABASE_DENIED);
    assert_int_equal(run(&r, "PRAGMA hard_heap_limit=1000000"), DATABASE_DENIED);
    assert_int_equal(run(&r, "PRAGMA user_version=5"), DATABASE_OK);
    assert_true(run(&r, "SELECT load_extension('x')") != DATABASE_OK);
    assert_int_equal(number(&r, "PRAGMA user_version"), 5);
    assert_int_equal(number(&r, "PRAGMA foreign_keys"), 1);
    assert_int_equal(database_open(r.dbs, SLICE(""), &r.settings, &db), -EINVAL);
    assert_int_equal(database_open(r.dbs, SLICE("FILE:x"), &r.settings, &db), -EINVAL);
    assert_int_equal(database_open(r.dbs, SLICE("a\0b"), &r.settings, &db), -EINVAL);
    rig_end(&r);
    rig_begin_with(&r, (struct database_settings){.may_attach = true});
    char sql[200];
    snprintf(sql, sizeof sql, "ATTACH '%s2' AS o", r.path);
    assert_int_equal(run(&r, sql), DATABASE_OK);
    assert_int_equal(run(&r, "ATTACH 'file:/tmp/other.db?mode=rwc' AS p"), DATABASE_DENIED);
    rig_end(&r);
}

#define VIEWS 1000

/* What recurses within SQLite fits the stack of a worker. */
static void test_deep(void **state)
{
    struct rig r;
    rig_begin(&r);
    size_t cap = 300000;
    char *sql = malloc(cap);
    const char *forms[][3] = {{"SELECT json('", "[", "')"},
                              {"SELECT ", "(", "1"},
                              {"SELECT ", "- ", "1"},
                              {"SELECT 1", " UNION SELECT 1", ""},
                              {"SELECT 1", "+1", ""},
                              {"SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' LIKE '", "%a", "b'"},
                              {"SELECT json_extract('{}', '$", ".a", "')"}};
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        for (int times = 50; times <= 6400; times *= 2) {
            struct fmt f = fmt_on(sql, cap - 1);
            fmt_str(&f, forms[i][0]);
            for (int n = 0; n < times; n++)
                fmt_str(&f, forms[i][1]);
            fmt_str(&f, forms[i][2]);
            *f.p = '\0';
            struct answer a;
            struct database_request q = request(sql, &a);
            q.timeout_ms = 300;
            assert_int_equal(database_query(r.db, &q, NULL), 0);
            end_of(&r, &a);
        }
    }
    free(sql);
    /* views upon views */
    char text[100];
    assert_int_equal(run(&r, "CREATE VIEW v0 AS SELECT 1 AS x"), DATABASE_OK);
    for (int i = 1; i < VIEWS; i++) {
        snprintf(text, sizeof text, "CREATE VIEW v%d AS SELECT DISTINCT x FROM v%d LIMIT 5", i,
                 i - 1);
        assert_int_equal(run(&r, text), DATABASE_OK);
    }
    snprintf(text, sizeof text, "SELECT * FROM v%d", VIEWS - 1);
    run(&r, text);
    rig_end(&r);
}

static void test_bounds(void **state)
{
    struct rig r;
    struct answer a;
    rig_begin(&r);
    struct database_request q = request(
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 1000) SELECT x FROM c",
        &a);
    q.max_rows = 1000;
    assert_int_equal(database_query(r.db, &q, NULL), 0);
    assert_int_equal(wait_for(&r, &a), DATABASE_OK);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(database_cell(a.r, i, 0)->integer, i + 1);
    database_result_free(&a.r);
    a.is_there = false;
    q.max_rows = 999;
    assert_int_equal(database_query(r.db, &q, NULL), 0);
    assert_int_equal(wait_for(&r, &a), DATABASE_TOO_LARGE);
    assert_string_equal(a.r->message, "there are more than 999 rows");
    assert_int_equal(a.r->row_count, 0);
    database_result_free(&a.r);
    q = request("SELECT zeroblob(100000), zeroblob(100000)", &a);
    q.max_bytes = 150000;
    assert_int_equal(database_query(r.db, &q, NULL), 0);
    assert_int_equal(end_of(&r, &a), DATABASE_TOO_LARGE);
    assert_int_equal(run(&r, "SELECT zeroblob(100000000)"), DATABASE_TOO_LARGE);
    rig_end(&r);
}

static void test_deadline(void **state)
{
    struct rig r;
    struct answer a, b;
    rig_begin(&r);
    struct database_request q = request(endless, &a);
    q.timeout_ms = 50;
    struct database_request late = request("SELECT 1", &b);
    late.timeout_ms = 20; /* waits behind the other one for too long */
    assert_int_equal(database_query(r.db, &q, NULL), 0);
    assert_int_equal(database_query(r.db, &late, NULL), 0);
    assert_int_equal(wait_for(&r, &a), DATABASE_TIMEOUT);
    assert_true(b.is_there);
    assert_int_equal(b.r->error, DATABASE_TIMEOUT);
    assert_true(b.order < a.order);
    database_result_free(&a.r);
    database_result_free(&b.r);
    assert_int_equal(number(&r, "SELECT 1"), 1); /* it goes on */
    rig_end(&r);
}

static void test_full(void **state)
{
    struct rig r;
    rig_begin_with(&r, (struct database_settings){.page_count_max = 10});
    assert_int_equal(run(&r, "CREATE TABLE t(v)"), DATABASE_OK);
    int stored = 0;
    enum database_error error;
    while ((error = run(&r, "INSERT INTO t VALUES (zeroblob(3000))")) == DATABASE_OK)
        stored++;
    assert_int_equal(error, DATABASE_FULL);
    assert_true(stored > 3);
    assert_int_equal(number(&r, "SELECT count(*) FROM t"), stored);
    assert_int_equal(run(&r, "DELETE FROM t"), DATABASE_OK);
    assert_int_equal(run(&r, "INSERT INTO t VALUES (zeroblob(3000))"), DATABASE_OK);
    rig_end(&r);
}

/* ---- Files. ---- */

static void test_files_that_cannot_be_opened(void **state)
{
    struct rig r;
    struct answer a;
    rig_begin(&r);
    temp_write(&r.dir, "text",
               SLICE("this is no database, but it is long enough to be looked at as one .........."
                     "..................................................................."));
    const char *paths[] = {"/nonexistent/folder/db", r.dir.path, temp_path(&r.dir, "text")};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct database *db;
        assert_int_equal(database_open(r.dbs, slice_str(paths[i]), &r.settings, &db), 0);
        ask(db, "SELECT 1", &a);
        assert_int_equal(wait_for(&r, &a), DATABASE_CANNOT_OPEN);
        assert_true(slice_has_prefix(slice_str(a.r->message), slice_str(paths[i])));
        database_result_free(&a.r);
        database_close(&db);
    }
    struct database *db;
    struct database_settings must = {.must_exist = true};
    assert_int_equal(database_open(r.dbs, slice_str(temp_path(&r.dir, "none")), &must, &db), 0);
    ask(db, "SELECT 1", &a);
    assert_int_equal(end_of(&r, &a), DATABASE_CANNOT_OPEN);
    temp_write(&r.dir, "none", SLICE("")); /* now it is there */
    ask(db, "SELECT 1", &a);
    assert_int_equal(end_of(&r, &a), DATABASE_OK);
    database_close(&db);
    rig_end(&r);
}

static void test_readonly(void **state)
{
    struct rig r;
    struct answer a;
    rig_begin(&r);
    assert_int_equal(run(&r, "CREATE TABLE t(v); INSERT INTO t VALUES (7)"), DATABASE_OK);
    struct database *db;
    char path[200];
    snprintf(path, sizeof path, "%s/./db", r.dir.path); /* the same by another name */
    assert_int_equal(database_open(r.dbs, slice_str(path),
                                   &(struct database_settings){.is_readonly = true}, &db),
                     0);
    ask(db, "SELECT v FROM t", &a);
    assert_int_equal(wait_for(&r, &a), DATABASE_OK);
    assert_int_equal(database_cell(a.r, 0, 0)->integer, 7);
    database_result_free(&a.r);
    ask(db, "DELETE FROM t", &a);
    assert_int_equal(end_of(&r, &a), DATABASE_READONLY);
    database_close(&db);
    rig_end(&r);
}

static bool has_no_files(void *arg)
{
    struct databases_stats stats;
    databases_stats(arg, &stats);
    return stats.files == 0;
}

static void test_two_users_and_reload(void **state)
{
    struct rig r;
    struct answer a;
    struct databases_stats stats;
    rig_begin(&r);
    struct database *second = open_db(&r);
    assert_int_equal(run(&r, "CREATE TEMP TABLE t(v); INSERT INTO t VALUES (1)"), DATABASE_OK);
    ask(second, "SELECT v FROM temp.t", &a); /* the very same connection */
    assert_int_equal(end_of(&r, &a), DATABASE_OK);
    databases_stats(r.dbs, &stats);
    assert_int_equal(stats.files, 1);
    /* nobody has it open for a moment */
    database_close(&second);
    database_close(&r.db);
    net_turn(r.net);
    r.db = open_db(&r);
    assert_int_equal(number(&r, "SELECT v FROM temp.t"), 1);
    /* nobody for longer */
    database_close(&r.db);
    assert_true(net_until(r.net, has_no_files, r.dbs));
    assert_int_equal(access(temp_path(&r.dir, "db-wal"), F_OK), -1); /* it was closed properly */
    r.db = open_db(&r);
    assert_int_equal(run(&r, "SELECT v FROM temp.t"), DATABASE_FAILED);
    rig_end(&r);
}

static void test_locked_by_another(void **state)
{
    struct rig r;
    struct answer a;
    sqlite3 *other;
    rig_begin_with(&r, (struct database_settings){.busy_ms = 100});
    assert_int_equal(run(&r, "CREATE TABLE t(v)"), DATABASE_OK);
    assert_int_equal(sqlite3_open(r.path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(run(&r, "INSERT INTO t VALUES (1)"), DATABASE_BUSY);
    struct database_request q = request("INSERT INTO t VALUES (1)", &a);
    q.timeout_ms = 20;
    assert_int_equal(database_query(r.db, &q, NULL), 0);
    assert_int_equal(end_of(&r, &a), DATABASE_TIMEOUT);
    struct database_transaction *t;
    a.is_there = false;
    assert_int_equal(database_begin(r.db, DATABASE_IMMEDIATE, 0, on_done, &a, &t), 0);
    assert_int_equal(end_of(&r, &a), DATABASE_BUSY);
    database_rollback(&t);
    /* what was asked before it has begun, too */
    for (int commits = 0; commits < 2; commits++) {
        struct answer b, c = {.is_there = false};
        a.is_there = false;
        assert_int_equal(database_begin(r.db, DATABASE_IMMEDIATE, 0, on_done, &a, &t), 0);
        ask_within(r.db, t, "SELECT 1", &b);
        if (commits)
            assert_int_equal(database_commit(&t, on_done, &c), 0);
        assert_int_equal(end_of(&r, &a), DATABASE_BUSY);
        assert_int_equal(end_of(&r, &b), DATABASE_LOST);
        if (commits)
            assert_int_equal(end_of(&r, &c), DATABASE_LOST);
        database_rollback(&t);
    }
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(run(&r, "INSERT INTO t VALUES (1)"), DATABASE_OK);
    rig_end(&r);
}

/* ---- Transactions. ---- */

static struct database_transaction *begin(struct rig *r, struct database *db, int64_t timeout_ms)
{
    struct answer a = {.is_there = false};
    struct database_transaction *t;
    assert_int_equal(database_begin(db, DATABASE_IMMEDIATE, timeout_ms, on_done, &a, &t), 0);
    assert_int_equal(end_of(r, &a), DATABASE_OK);
    return t;
}

static enum database_error commit(struct rig *r, struct database_transaction **t)
{
    struct answer a = {.is_there = false};
    assert_int_equal(database_commit(t, on_done, &a), 0);
    assert_null(*t);
    return end_of(r, &a);
}

static void test_isolation(void **state)
{
    struct rig r;
    struct answer a, b, c, other_begun = {.is_there = false};
    struct database_transaction *t, *u;
    rig_begin(&r);
    struct database *second = open_db(&r);
    assert_int_equal(run(&r, "CREATE TABLE t(v)"), DATABASE_OK);
    t = begin(&r, r.db, 0);
    ask(second, "SELECT count(*) FROM t", &b); /* waits until all is over */
    assert_int_equal(database_begin(second, DATABASE_DEFERRED, 0, on_done, &other_begun, &u), 0);
    ask(second, "SELECT count(*) FROM t", &c);
    ask_within(r.db, t, "INSERT INTO t VALUES (1)", &a);
    assert_int_equal(end_of(&r, &a), DATABASE_OK);
    net_settle(r.net);
    assert_false(b.is_there);
    ask_within(r.db, t, "INSERT INTO t VALUES (2)", &a);
    assert_int_equal(commit(&r, &t), DATABASE_OK);
    assert_true(a.is_there); /* before */
    database_result_free(&a.r);
    assert_int_equal(wait_for(&r, &b), DATABASE_OK);
    assert_int_equal(database_cell(b.r, 0, 0)->integer, 2);
    database_result_free(&b.r);
    assert_int_equal(end_of(&r, &other_begun), DATABASE_OK);
    net_settle(r.net);
    assert_false(c.is_there);
    ask_within(second, u, "DELETE FROM t", &a);
    assert_int_equal(end_of(&r, &a), DATABASE_OK);
    database_rollback(&u);
    assert_null(u);
    assert_int_equal(wait_for(&r, &c), DATABASE_OK);
    assert_int_equal(database_cell(c.r, 0, 0)->integer, 2);
    database_result_free(&c.r);
    database_close(&second);
    rig_end(&r);
}

static void test_lost_transactions(void **state)
{
    struct rig r;
    struct answer a, b;
    struct database_transaction *t;
    rig_begin(&r);
    assert_int_equal(run(&r, "CREATE TABLE t(v UNIQUE)"), DATABASE_OK);
    /* an error of a statement does not end it */
    t = begin(&r, r.db, 0);
    ask_within(r.db, t, "INSERT INTO t VALUES (1)", &a);
    ask_within(r.db, t, "INSERT INTO t VALUES (1)", &b);
    assert_int_equal(end_of(&r, &a), DATABASE_OK);
    assert_int_equal(end_of(&r, &b), DATABASE_CONSTRAINT);
    assert_int_equal(commit(&r, &t), DATABASE_OK);
    /* a conflict clause does */
    t = begin(&r, r.db, 0);
    ask_within(r.db, t, "INSERT INTO t VALUES (2)", &a);
    assert_int_equal(end_of(&r, &a), DATABASE_OK);
    ask_within(r.db, t, "INSERT OR ROLLBACK INTO t VALUES (1)", &a);
    ask_within(r.db, t, "INSERT INTO t VALUES (3)", &b);
    assert_int_equal(end_of(&r, &a), DATABASE_CONSTRAINT);
    assert_int_equal(end_of(&r, &b), DATABASE_LOST);
    ask_within(r.db, t, "INSERT INTO t VALUES (4)", &b);
    assert_int_equal(end_of(&r, &b), DATABASE_LOST);
    assert_int_equal(commit(&r, &t), DATABASE_LOST);
    /* so does the script's own text */
    t = begin(&r, r.db, 0);
    ask_within(r.db, t, "ROLLBACK; INSERT INTO t VALUES (5)", &a);
    assert_int_equal(end_of(&r, &a), DATABASE_LOST);
    database_rollback(&t);
    /* with the commit waiting behind it */
    t = begin(&r, r.db, 0);
    ask_within(r.db, t, "ROLLBACK", &a);
    b.is_there = false;
    assert_int_equal(database_commit(&t, on_done, &b), 0);
    assert_int_equal(end_of(&r, &a), DATABASE_OK);
    assert_int_equal(end_of(&r, &b), DATABASE_LOST);
    assert_int_equal(number(&r, "SELECT sum(v) FROM t"), 1);
    /* a commit that is not possible */
    assert_int_equal(run(&r, "CREATE TABLE p(id INTEGER PRIMARY KEY);"
                             "CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED)"),
                     DATABASE_OK);
    t = begin(&r, r.db, 0);
    ask_within(r.db, t, "INSERT INTO c VALUES (1)", &a);
    assert_int_equal(end_of(&r, &a), DATABASE_OK);
    assert_int_equal(commit(&r, &t), DATABASE_CONSTRAINT);
    assert_int_equal(number(&r, "SELECT count(*) FROM c"), 0);
    rig_end(&r);
}

static void test_transaction_that_takes_too_long(void **state)
{
    struct rig r;
    struct answer a, b, c = {.is_there = false}, d;
    struct database_transaction *t, *u;
    rig_begin(&r);
    assert_int_equal(run(&r, "CREATE TABLE t(v)"), DATABASE_OK);
    t = begin(&r, r.db, 60);
    ask_within(r.db, t, "INSERT INTO t VALUES (1)", &a);
    assert_int_equal(database_begin(r.db, DATABASE_IMMEDIATE, 20, on_done, &c, &u), 0);
    ask(r.db, "SELECT count(*) FROM t", &b); /* gets through when the time is over */
    assert_int_equal(end_of(&r, &a), DATABASE_OK);
    assert_int_equal(end_of(&r, &c), DATABASE_TIMEOUT); /* waited too long to begin */
    database_rollback(&u);
    assert_int_equal(wait_for(&r, &b), DATABASE_OK);
    assert_int_equal(database_cell(b.r, 0, 0)->integer, 0);
    database_result_free(&b.r);
    ask_within(r.db, t, "INSERT INTO t VALUES (2)", &a);
    assert_int_equal(end_of(&r, &a), DATABASE_LOST);
    database_rollback(&t);
    /* while a statement runs, another and the commit wait */
    t = begin(&r, r.db, 60);
    ask_within(r.db, t, endless, &a);
    ask_within(r.db, t, "SELECT 1", &d);
    b.is_there = false;
    assert_int_equal(database_commit(&t, on_done, &b), 0);
    assert_int_equal(end_of(&r, &a), DATABASE_TIMEOUT);
    assert_int_equal(end_of(&r, &d), DATABASE_LOST);
    assert_int_equal(end_of(&r, &b), DATABASE_LOST);
    assert_int_equal(number(&r, "SELECT count(*) FROM t"), 0);
    rig_end(&r);
}

static void test_rollback_at_any_time(void **state)
{
    struct rig r;
    struct answer a, b = {.is_there = false}, c;
    struct database_transaction *t, *u;
    rig_begin(&r);
    assert_int_equal(run(&r, "CREATE TABLE t(v)"), DATABASE_OK);
    /* before it has begun: is not told */
    assert_int_equal(database_begin(r.db, DATABASE_IMMEDIATE, 0, on_done, &b, &t), 0);
    database_rollback(&t);
    assert_int_equal(number(&r, "SELECT count(*) FROM t"), 0);
    assert_false(b.is_there);
    /* while it waits for its turn */
    t = begin(&r, r.db, 0);
    assert_int_equal(database_begin(r.db, DATABASE_IMMEDIATE, 0, on_done, &b, &u), 0);
    database_rollback(&u);
    /* while its statements run and wait */
    ask_within(r.db, t, endless, &a);
    ask_within(r.db, t, "INSERT INTO t VALUES (1)", &c);
    net_settle(r.net);
    database_rollback(&t);
    assert_int_equal(end_of(&r, &c), DATABASE_LOST);
    assert_int_equal(end_of(&r, &a), DATABASE_TIMEOUT);
    assert_int_equal(number(&r, "SELECT count(*) FROM t"), 0);
    database_rollback(&t); /* NULL is accepted */
    assert_false(b.is_there);
    rig_end(&r);
}

/* ---- Cancelling. ---- */

static void test_cancel(void **state)
{
    struct rig r;
    struct answer a, b;
    struct database_job *running, *waiting;
    rig_begin(&r);
    struct database_request q = request(endless, &a);
    assert_int_equal(database_query(r.db, &q, &running), 0);
    struct database_request w = request("CREATE TABLE never(v)", &b);
    assert_int_equal(database_query(r.db, &w, &waiting), 0);
    net_settle(r.net);
    database_cancel(&waiting);
    database_cancel(&running);
    database_cancel(&running);
    assert_int_equal(run(&r, "SELECT * FROM never"), DATABASE_FAILED);
    assert_false(a.is_there || b.is_there);
    struct databases_stats stats;
    databases_stats(r.dbs, &stats);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.running, 0);
    rig_end(&r);
}

static void test_close_while_all_is_busy(void **state)
{
    for (int turns = 0; turns < 6; turns++) {
        struct rig r;
        struct answer a[5], begun = {.is_there = false};
        struct database_transaction *t, *u;
        rig_begin(&r);
        assert_int_equal(database_begin(r.db, DATABASE_IMMEDIATE, 0, on_done, &begun, &t), 0);
        ask_within(r.db, t, "CREATE TABLE t(v)", &a[0]);
        ask_within(r.db, t, endless, &a[1]);
        ask_within(r.db, t, "SELECT 1", &a[2]);
        ask(r.db, endless, &a[3]);
        ask(r.db, "SELECT 1", &a[4]);
        assert_int_equal(database_begin(r.db, DATABASE_IMMEDIATE, 0, on_done, &begun, &u), 0);
        for (int i = 0; i < turns; i++)
            net_turn(r.net);
        for (int i = 0; i < 5; i++)
            if (a[i].is_there)
                database_result_free(&a[i].r);
        if (begun.is_there)
            database_result_free(&begun.r);
        rig_end(&r);
        for (int i = 1; i < 5; i++)
            assert_false(a[i].is_there);
    }
}

static void test_no_memory(void **state)
{
    for (uint64_t at = 1; at < 40; at++) {
        struct rig r;
        struct answer a, b;
        struct database_transaction *t = NULL;
        rig_begin(&r);
        struct database_request q = request("SELECT 1", &a);
        r.net->book.fail_at = at;
        int error = database_query(r.db, &q, NULL);
        int begun = database_begin(r.db, DATABASE_IMMEDIATE, 0, on_done, &b, &t);
        b.is_there = false;
        struct database *db = NULL;
        int opened = database_open(r.dbs, SLICE("/tmp/other"), &r.settings, &db);
        r.net->book.fail_at = 0;
        assert_true(error == 0 || error == -ENOMEM);
        assert_true(begun == 0 || begun == -ENOMEM);
        assert_true(opened == 0 || opened == -ENOMEM);
        if (error == 0)
            assert_int_equal(end_of(&r, &a), DATABASE_OK);
        if (begun == 0)
            assert_int_equal(end_of(&r, &b), DATABASE_OK);
        database_rollback(&t);
        database_close(&db);
        rig_end(&r);
        if (error == 0 && begun == 0 && opened == 0)
            break;
    }
}

/* In the simulator, where jobs come back when they like. */
static void test_simulated(void **state)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct rig r = {.settings = {.is_readonly = false}};
        struct answer a[20];
        r.net = net_new(NET_SIM_WILD, seed);
        r.dbs = databases_new(r.net->loop, &(struct databases_settings){.linger_ms = 5});
        snprintf(r.path, sizeof r.path, ":memory:");
        r.db = open_db(&r);
        ask(r.db, "CREATE TABLE t(v)", &a[0]);
        for (int i = 1; i < 20; i++)
            ask(r.db, i % 2 ? "INSERT INTO t VALUES (1)" : "SELECT count(*) FROM t", &a[i]);
        for (int i = 0; i < 20; i++) {
            assert_int_equal(wait_for(&r, &a[i]), DATABASE_OK);
            assert_true(i == 0 || a[i].order > a[i - 1].order);
            assert_true(i == 0 || i % 2 || database_cell(a[i].r, 0, 0)->integer == i / 2);
            database_result_free(&a[i].r);
        }
        bool closed = false;
        database_close(&r.db);
        databases_close(&r.dbs, on_closed, &closed);
        assert_true(net_until(r.net, is_true, &closed));
        net_free(&r.net);
    }
}

/* ---- Anything at any time: each is answered once, or never when it was cancelled. ---- */

#define ASKED 4000

struct chaos {
    struct rig rig;
    struct prng prng;
    struct database *users[3];
    struct database_transaction *transactions[3];
    struct asked {
        struct database_job *job;
        unsigned user;
        bool is_there, is_cancelled;
        bool is_query;
    } asked[ASKED];
    size_t count;
};

static void on_chaos(void *owner, struct database_result *result)
{
    struct asked *a = owner;
    assert_false(a->is_there);
    assert_false(a->is_cancelled);
    a->is_there = true;
    database_result_free(&result);
}

static void chaos_query(struct chaos *c, unsigned user, struct asked *a)
{
    static const char *const texts[] = {"INSERT INTO t VALUES (1)",
                                        "SELECT * FROM t",
                                        "ROLLBACK",
                                        "nonsense",
                                        "BEGIN",
                                        "DELETE FROM t"};
    struct database_request q = {.sql = slice_str(texts[prng_below(&c->prng, COUNT_OF(texts))]),
                                 .done = on_chaos,
                                 .owner = a,
                                 .timeout_ms = 1 + (int64_t)prng_below(&c->prng, 200)};
    if (prng_below(&c->prng, 2))
        q.transaction = c->transactions[user];
    a->is_query = true;
    assert_int_equal(database_query(c->users[user], &q, &a->job), 0);
}

static void chaos_cancel(struct chaos *c)
{
    struct asked *a = &c->asked[prng_below(&c->prng, c->count)];
    if (a->is_there || a->is_cancelled || !a->is_query)
        return;
    a->is_cancelled = true;
    database_cancel(&a->job);
}

/* Its transaction goes too, and what was asked is not answered. */
static void chaos_close(struct chaos *c, unsigned user)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->asked[i].user == user && !c->asked[i].is_there)
            c->asked[i].is_cancelled = true;
    c->transactions[user] = NULL;
    database_close(&c->users[user]);
}

static void chaos_step(struct chaos *c)
{
    unsigned user = (unsigned)prng_below(&c->prng, 3);
    struct database_transaction **t = &c->transactions[user];
    if (!c->users[user])
        c->users[user] = open_db(&c->rig);
    struct asked *a = &c->asked[c->count++];
    a->user = user;
    switch (prng_below(&c->prng, 12)) {
    case 0:
        if (!*t) {
            assert_int_equal(database_begin(c->users[user], DATABASE_IMMEDIATE,
                                            1 + (int64_t)prng_below(&c->prng, 300), on_chaos, a, t),
                             0);
            return;
        }
        break;
    case 1:
        if (*t) {
            assert_int_equal(database_commit(t, on_chaos, a), 0);
            return;
        }
        break;
    case 2:
        database_rollback(t);
        break;
    case 3:
        chaos_cancel(c);
        break;
    case 4:
        if (prng_below(&c->prng, 8) == 0)
            chaos_close(c, user);
        break;
    default:
        chaos_query(c, user, a);
        return;
    }
    a->is_there = true; /* nothing was asked */
}

static void chaos_run(struct chaos *c)
{
    loop_sim_settle(c->rig.net->sim);
    while (c->count < ASKED) {
        chaos_step(c);
        if (prng_below(&c->prng, 3) == 0)
            loop_turn(c->rig.net->loop, 0);
        if (prng_below(&c->prng, 10) == 0)
            loop_sim_advance(c->rig.net->sim, (int64_t)prng_below(&c->prng, 100));
        if (prng_below(&c->prng, 300) == 0)
            loop_sim_hang(c->rig.net->sim, "database", true);
        if (prng_below(&c->prng, 60) == 0)
            loop_sim_hang(c->rig.net->sim, "database", false);
    }
    loop_sim_hang(c->rig.net->sim, "database", false);
    loop_sim_advance(c->rig.net->sim, 5000);
}

static void test_chaos(void **state)
{
    static struct chaos c;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        c = (struct chaos){.prng = {seed}};
        c.rig.net = net_new(NET_SIM_WILD, seed);
        c.rig.dbs = databases_new(c.rig.net->loop, &(struct databases_settings){.linger_ms = 20});
        snprintf(c.rig.path, sizeof c.rig.path, ":memory:");
        chaos_run(&c);
        for (size_t i = 0; i < c.count; i++)
            assert_true(c.asked[i].is_there || c.asked[i].is_cancelled || !c.asked[i].is_query);
        for (unsigned user = 0; user < 3; user++)
            database_close(&c.users[user]);
        bool closed = false;
        databases_close(&c.rig.dbs, on_closed, &closed);
        assert_true(net_until(c.rig.net, is_true, &closed));
        net_free(&c.rig.net);
    }
}

/* A disk that hangs: who waits is answered nevertheless. */
static void test_hanging(void **state)
{
    struct rig r = {.settings = {.is_readonly = false}};
    struct answer a, b, begun = {.is_there = false}, committed = {.is_there = false};
    struct database_transaction *t;
    for (int within = 0; within < 2; within++) {
        r.net = net_new(NET_SIM_CALM, 1);
        r.dbs = databases_new(r.net->loop, &(struct databases_settings){.linger_ms = 5});
        snprintf(r.path, sizeof r.path, ":memory:");
        r.db = open_db(&r);
        loop_sim_hang(r.net->sim, "database", true);
        begun.is_there = committed.is_there = false;
        if (within) {
            assert_int_equal(database_begin(r.db, DATABASE_DEFERRED, 500, on_done, &begun, &t), 0);
            ask_within(r.db, t, "SELECT 1", &a);
            assert_int_equal(database_commit(&t, on_done, &committed), 0);
        } else {
            ask(r.db, "SELECT 1", &a);
        }
        ask(r.db, "SELECT 1", &b);
        loop_sim_advance(r.net->sim, 32000);
        assert_true(a.is_there && b.is_there && begun.is_there == within &&
                    committed.is_there == within);
        assert_int_equal(end_of(&r, &a), within ? DATABASE_LOST : DATABASE_TIMEOUT);
        assert_int_equal(end_of(&r, &b), DATABASE_TIMEOUT);
        if (within) {
            assert_int_equal(end_of(&r, &begun), DATABASE_TIMEOUT);
            assert_int_equal(end_of(&r, &committed), DATABASE_LOST);
        }
        loop_sim_hang(r.net->sim, "database", false);
        loop_sim_settle(r.net->sim);
        assert_int_equal(number(&r, "SELECT 1"), 1);
        bool closed = false;
        database_close(&r.db);
        databases_close(&r.dbs, on_closed, &closed);
        assert_true(net_until(r.net, is_true, &closed));
        net_free(&r.net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_named_parameters),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_what_is_denied),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_files_that_cannot_be_opened),
        cmocka_unit_test(test_readonly),
        cmocka_unit_test(test_two_users_and_reload),
        cmocka_unit_test(test_locked_by_another),
        cmocka_unit_test(test_isolation),
        cmocka_unit_test(test_lost_transactions),
        cmocka_unit_test(test_transaction_that_takes_too_long),
        cmocka_unit_test(test_rollback_at_any_time),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_close_while_all_is_busy),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_simulated),
        cmocka_unit_test(test_hanging),
        cmocka_unit_test(test_chaos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
