/* l_sqlite: medusa.sqlite: databases, statements, transactions. */
#include "script/l_sqlite.h"

#include "script/dbs.h"
#include "script/l_api.h"
#include "script/l_path.h"
#include "script/libs.h"

#include <errno.h>

/* The userdata of a database and of a transaction; a transaction's user value is its database. */
struct l_handle {
    struct l_link *link;
};

static struct l_handle *check_db(lua_State *L)
{
    return l_check_object(L, 1, META_DB, "database");
}

static struct l_handle *check_transaction(lua_State *L)
{
    return l_check_object(L, 1, META_TRANSACTION, "transaction");
}

/* ---- Opening ---- */

struct open_options {
    struct database_settings settings;
    int64_t timeout_ms, busy_ms;
    uint64_t max_rows, max_bytes, max_pages;
};

static const struct l_option rows[] = {
    {"timeout", OPTION_TIME, offsetof(struct open_options, timeout_ms), 1, 86400000,
     "of each statement and transaction, waiting included (30s)"},
    {"max_rows", OPTION_COUNT, offsetof(struct open_options, max_rows), 1, 10000000,
     "of a result (10000)"},
    {"max_bytes", OPTION_SIZE, offsetof(struct open_options, max_bytes), 1, 1024 * MIB,
     "of a result (16M)"},
    {"max_pages", OPTION_COUNT, offsetof(struct open_options, max_pages), 1, UINT32_MAX - 1,
     "of the file"},
    {"busy", OPTION_TIME, offsetof(struct open_options, busy_ms), 1, 3600000,
     "how long to wait for other processes (5s)"},
    {"readonly", OPTION_BOOL, offsetof(struct open_options, settings.is_readonly), 0, 0,
     "nothing can be changed"},
    {"must_exist", OPTION_BOOL, offsetof(struct open_options, settings.must_exist), 0, 0,
     "the file is not created"},
    {"attach", OPTION_BOOL, offsetof(struct open_options, settings.may_attach), 0, 0,
     "ATTACH and VACUUM INTO are allowed"},
    {"foreign_keys", OPTION_BOOL, offsetof(struct open_options, settings.foreign_keys), 0, 0,
     "are enforced (true)"},
    {"sync", OPTION_OTHER, 0, 0, 0, "\"normal\", \"full\" or \"off\""},
    {"journal", OPTION_OTHER, 0, 0, 0, "\"wal\", \"delete\" or \"memory\""},
};

static int read_choice(lua_State *L, const char *name, const char *const *names)
{
    lua_getfield(L, 2, name);
    slice said = lua_type(L, -1) == LUA_TSTRING ? l_check_slice(L, -1) : slice_of(NULL, 0);
    int i = 0;
    while (!lua_isnil(L, -1) && names[i] && !slice_is(said, slice_str(names[i])))
        i++;
    if (!names[i])
        luaL_error(L, "medusa.sqlite: %s: \"%s\", \"%s\" or \"%s\" is expected", name, names[0],
                   names[1], names[2]);
    lua_pop(L, 1);
    return i;
}

static struct open_options read_open_options(lua_State *L)
{
    static const char *const syncs[] = {"normal", "full", "off", NULL}; /* as the enums count */
    static const char *const journals[] = {"wal", "delete", "memory", NULL};
    struct open_options o = {.settings.foreign_keys = true};
    if (lua_isnoneornil(L, 2))
        return o;
    l_read_options(L, 2, "medusa.sqlite", rows, COUNT_OF(rows), &o);
    o.settings.sync = (enum database_sync)read_choice(L, "sync", syncs);
    o.settings.journal = (enum database_journal)read_choice(L, "journal", journals);
    o.settings.busy_ms = o.busy_ms;
    o.settings.page_count_max = (uint32_t)o.max_pages;
    return o;
}

/* medusa.sqlite(path, [options]); 0 is the table that was called. */
static int l_open(lua_State *L)
{
    lua_remove(L, 1);
    lua_settop(L, 2);
    slice path = l_check_slice(L, 1);
    struct open_options o = read_open_options(L);
    if (!slice_is(path, SLICE(":memory:")))
        path = slice_str(l_push_path(L, 1));
    struct l_handle *handle = l_new_object(L, META_DB, sizeof *handle, 0);
    handle->link = l_link_new(L, NULL);
    struct db *db;
    int error = db_open(version_of(L), path, &o.settings, &db);
    if (error == -EINVAL)
        return luaL_argerror(L, 1, "this is no path of a database");
    if (error)
        return l_fail_errno(L, error);
    db->timeout_ms = o.timeout_ms;
    db->max_rows = (size_t)o.max_rows;
    db->max_bytes = (size_t)o.max_bytes;
    db->handle = handle->link;
    handle->link->object = db;
    return 1;
}

static int l_close(lua_State *L)
{
    struct db *db = l_link_object(check_db(L));
    db_close(&db);
    return 0;
}

static int collect_db(lua_State *L)
{
    struct db *db = l_link_drop(&((struct l_handle *)lua_touserdata(L, 1))->link);
    db_close(&db);
    return 0;
}

/* ---- Statements ---- */

static int push_result(lua_State *L)
{
    const struct db_wait *w = lua_touserdata(L, 1);
    if (!w->result)
        return l_fail(L, "the database was closed");
    return w->result->error ? l_sqlite_fail(L, w->result)
                            : l_sqlite_push(L, w->result, (enum l_rows)w->wants);
}

/* The result is freed also when there is no memory for the rows. */
static int end_query(lua_State *L, int status, lua_KContext ctx)
{
    struct db_wait *w = (struct db_wait *)ctx;
    int top = lua_gettop(L);
    lua_pushcfunction(L, push_result);
    lua_pushlightuserdata(L, w);
    status = lua_pcall(L, 1, LUA_MULTRET, 0);
    db_wait_free(w);
    return status == LUA_OK ? lua_gettop(L) - top : lua_error(L);
}

/* Stack: the userdata, the text, parameters. */
static int query(lua_State *L, struct db *db, struct db_transaction *tx, enum l_rows wants)
{
    size_t count;
    l_task_check_wait(L, "a statement of a database");
    const struct database_param *params = l_sqlite_params(L, 3, &count);
    struct db_wait *w = db_wait_new(db, l_task_current(L));
    if (!w)
        return l_fail(L, "there is not enough memory");
    w->wants = wants;
    struct database_request request = {.sql = l_check_slice(L, 2),
                                       .params = params,
                                       .param_count = count,
                                       .transaction = tx ? tx->transaction : NULL,
                                       .timeout_ms = db->timeout_ms,
                                       .max_rows = db->max_rows,
                                       .max_bytes = db->max_bytes,
                                       .done = db_wait_done,
                                       .owner = w};
    int error = database_query(db->database, &request, &w->job);
    if (!error)
        return l_task_wait(L, db_wait_cancel, w, end_query, (lua_KContext)w);
    db_wait_free(w);
    return l_fail(L, error == -EMSGSIZE ? "the statement or a parameter is too long"
                                        : "there is not enough memory");
}

static int start(lua_State *L, enum l_rows wants)
{
    struct l_handle *handle = l_test_object(L, 1, META_DB);
    struct db *db = handle ? l_link_object(handle) : NULL;
    struct db_transaction *tx = NULL;
    if (!handle) {
        tx = l_link_object(check_transaction(L));
        db = tx && tx->transaction ? tx->db : NULL;
    }
    (void)l_check_slice(L, 2);
    if (!db)
        return l_fail(L, handle ? "the database was closed" : "the transaction is over");
    return query(L, db, tx, wants);
}

static int l_query(lua_State *L)
{
    return start(L, ROWS_ALL);
}

static int l_row(lua_State *L)
{
    return start(L, ROWS_FIRST);
}

static int l_value(lua_State *L)
{
    return start(L, ROWS_VALUE);
}

static int l_exec(lua_State *L)
{
    return start(L, ROWS_NONE);
}

/* ---- Transactions ---- */

#define FIRST_RESULT 4 /* the stack: database, function, transaction, results */

static struct db_transaction *transaction_at(lua_State *L, int at)
{
    return l_link_object(lua_touserdata(L, at));
}

/* The results of the function lie below. */
static int committed(lua_State *L, int status, lua_KContext ctx)
{
    const struct db_wait *w = (struct db_wait *)ctx;
    if (!w->result || w->result->error)
        return end_query(L, status, ctx);
    db_wait_free((struct db_wait *)ctx);
    if (lua_gettop(L) < FIRST_RESULT)
        lua_pushboolean(L, true);
    return lua_gettop(L) - FIRST_RESULT + 1;
}

static int commit(lua_State *L, int status, lua_KContext ctx)
{
    struct db_transaction *tx = transaction_at(L, 3);
    if (!tx)
        return l_fail(L, "the database was closed");
    if (!tx->transaction) /* it was rolled back, as the function wished */
        return lua_gettop(L) - FIRST_RESULT + 1;
    struct db_wait *w = db_wait_new(tx->db, l_task_current(L));
    if (!w)
        return l_fail(L, "there is not enough memory");
    if (database_commit(&tx->transaction, db_wait_done, w) == 0)
        return l_task_wait(L, db_wait_cancel, w, committed, (lua_KContext)w);
    db_wait_free(w);
    return l_fail(L, "there is not enough memory");
}

/* An error in the function, or its end, closes the transaction's userdata, which rolls back. */
static int begun(lua_State *L, int status, lua_KContext ctx)
{
    struct db_wait *w = (struct db_wait *)ctx;
    if (!w->result || w->result->error)
        return end_query(L, status, ctx);
    db_wait_free(w);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_callk(L, 1, LUA_MULTRET, 0, commit);
    return commit(L, LUA_OK, 0);
}

/* Pushes its userdata, to be closed. */
static struct db_transaction *push_transaction(lua_State *L, struct db *db)
{
    struct l_handle *handle = l_new_object(L, META_TRANSACTION, sizeof *handle, 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    handle->link = l_link_new(L, NULL);
    lua_toclose(L, -1);
    struct db_transaction *tx = db_transaction_new(db);
    if (!tx)
        luaL_error(L, "not enough memory");
    tx->handle = handle->link;
    handle->link->object = tx;
    return tx;
}

static int l_transaction(lua_State *L)
{
    static const char *const kinds[] = {"immediate", "deferred", NULL};
    struct db *db = l_link_object(check_db(L));
    luaL_checktype(L, 2, LUA_TFUNCTION);
    enum database_begin how =
        luaL_checkoption(L, 3, "immediate", kinds) ? DATABASE_DEFERRED : DATABASE_IMMEDIATE;
    l_task_check_wait(L, "db:transaction");
    if (!db)
        return l_fail(L, "the database was closed");
    lua_settop(L, 2);
    struct db_transaction *tx = push_transaction(L, db);
    struct db_wait *w = db_wait_new(db, l_task_current(L));
    if (!w)
        return l_fail(L, "there is not enough memory");
    w->begins = tx;
    if (database_begin(db->database, how, db->timeout_ms, db_wait_done, w, &tx->transaction) == 0)
        return l_task_wait(L, db_wait_cancel, w, begun, (lua_KContext)w);
    db_wait_free(w);
    return l_fail(L, "there is not enough memory");
}

static int l_rollback(lua_State *L)
{
    struct db_transaction *tx = l_link_object(check_transaction(L));
    if (tx)
        db_transaction_end(tx);
    return 0;
}

static int collect_transaction(lua_State *L)
{
    struct db_transaction *tx = l_link_drop(&((struct l_handle *)lua_touserdata(L, 1))->link);
    db_transaction_free(&tx);
    return 0;
}

/* ---- Rows ---- */

const struct l_function l_sqlite_functions[] = {
    {"medusa.sqlite", NULL, "(path, [options]) -> db | nil, error",
     "A database of SQLite; the path is relative to the script, or \":memory:\". The file is "
     "opened, or made, with the first statement: what "
     "is wrong with it is told there. All who open the same path share one connection, with the "
     "options of the first, which outlives a reload; one "
     "statement runs at a time, on a thread of its own. Options: timeout (of each statement and "
     "transaction, waiting included, 30s), max_rows "
     "(of a result, 10000), max_bytes (16M), max_pages (of the file), busy (how long to wait for "
     "other processes, 5s), readonly, "
     "must_exist, attach (ATTACH is allowed), foreign_keys (true), sync (\"normal\", \"full\", "
     "\"off\"), journal (\"wal\", \"delete\", \"memory\")."},
    {"medusa.sqlite.blob", l_sqlite_blob, "(string) -> blob",
     "Marks a string as a BLOB for a parameter; else it is TEXT."},
};
const size_t l_sqlite_function_count = COUNT_OF(l_sqlite_functions);

#define PARAMETERS                                                                       \
    " Parameters, one by one for \"?\" or as one table of names for \":name\": nil and " \
    "medusa.json.null are NULL, booleans 0 and 1, "                                      \
    "integers and floats stay what they are."

const struct l_function l_db_methods[] = {
    {"db:query", l_query, "(sql, ...) -> rows, columns | nil, error, kind",
     "All rows, each a table by the names of the columns, where NULL is nil; and the list of these "
     "names." PARAMETERS
     " Errors have a sentence and a kind: \"constraint\", \"busy\", \"timeout\", \"full\", "
     "\"readonly\", \"denied\", \"too large\", \"cannot open\", "
     "\"lost\" (the transaction is over), \"misuse\" (parameters), \"no memory\" or \"failed\".",
     true},
    {"db:row", l_row, "(sql, ...) -> row | nil, [error, kind]",
     "The first row, nil when there is none.", true},
    {"db:value", l_value, "(sql, ...) -> value | nil, [error, kind]",
     "The first column of the first row.", true},
    {"db:exec", l_exec, "(sql, ...) -> changes, last_id | nil, error, kind",
     "How many rows were inserted, changed or deleted, and the rowid of the last that was "
     "inserted. Several statements may stand in the text, if there "
     "are no parameters.",
     true},
    {"db:transaction", l_transaction,
     "(function(tx), [\"deferred\"]) -> results | nil, error, kind",
     "Calls the function in a transaction: tx has the methods query, row, value and exec. When it "
     "returns, the transaction is committed, and "
     "what it returned, or true, is the result; when it raises an error, or its task is cancelled, "
     "all is rolled back. Statements of db itself "
     "wait until it is over: use tx within.",
     true},
    {"db:close", l_close, "()",
     "What still waits gets nil, \"the database was closed\". It happens by itself when db is "
     "collected."},
};
const struct l_function l_transaction_methods[] = {
    {"tx:query", l_query, "(sql, ...) -> rows, columns | nil, error, kind", "As db:query.", true},
    {"tx:row", l_row, "(sql, ...) -> row | nil, [error, kind]", "As db:row.", true},
    {"tx:value", l_value, "(sql, ...) -> value | nil, [error, kind]", "As db:value.", true},
    {"tx:exec", l_exec, "(sql, ...) -> changes, last_id | nil, error, kind", "As db:exec.", true},
    {"tx:rollback", l_rollback, "()",
     "Undoes everything; the function may go on and return without an error."},
};
const size_t l_db_method_count = COUNT_OF(l_db_methods),
             l_transaction_method_count = COUNT_OF(l_transaction_methods);

static void make_closable(lua_State *L, enum l_meta meta, lua_CFunction close)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[meta]);
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
}

void l_open_sqlite(lua_State *L)
{
    const struct l_class class = {.meta = META_DB,
                                  .name = "database",
                                  .methods = l_db_methods,
                                  .count = l_db_method_count,
                                  .gc = collect_db};
    l_make_meta(L, &class);
    const struct l_class transaction = {.meta = META_TRANSACTION,
                                        .name = "transaction",
                                        .methods = l_transaction_methods,
                                        .count = l_transaction_method_count,
                                        .gc = collect_transaction};
    l_make_meta(L, &transaction);
    make_closable(L, META_DB, l_close);
    make_closable(L, META_TRANSACTION, l_rollback);
    l_open_sqlite_values(L);
    lua_newtable(L);
    l_set_functions(L, l_sqlite_functions, l_sqlite_function_count);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, l_open);
    lua_setfield(L, -2, "__call");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "sqlite");
}
