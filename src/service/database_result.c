/* database_result: rows as they are copied on the worker. Bytes lie in chunks, which do not move;
 * the values in one array, which does. */
#include "service/database_parts.h"

#include <stdarg.h>

#define CHUNK_BYTES  (16 * KIB)
#define FIRST_VALUES 64

struct database_answer *database_answer_new(struct databases *dbs)
{
    struct database_answer *a = mem_alloc0(&dbs->owner, sizeof *a);
    if (a)
        a->dbs = dbs;
    return a;
}

void database_answer_adopt(struct database_answer *a)
{
    mem_adopt(&a->dbs->owner, a->raw_bytes);
}

static void free_rows(struct database_answer *a)
{
    for (struct database_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        mem_raw_free(c);
    }
    mem_raw_free(a->values);
    a->chunks = NULL;
    a->values = NULL;
    a->values_cap = 0;
}

void database_answer_free(struct database_answer *a)
{
    struct databases *dbs = a->dbs;
    free_rows(a);
    mem_discharge(&dbs->owner, a->raw_bytes);
    mem_free(&dbs->owner, a, sizeof *a);
}

void database_result_free(struct database_result **at)
{
    struct database_result *r = *at;
    *at = NULL;
    if (r)
        database_answer_free(CONTAINER_OF(r, struct database_answer, public));
}

void database_answer_fail(struct database_answer *a, enum database_error error, int code,
                          const char *format, ...)
{
    if (!a || a->public.error)
        return;
    a->public.error = error;
    a->public.code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(a->public.message, sizeof a->public.message, format, args);
    va_end(args);
}

/* ---- On the worker. ---- */

void database_answer_reset(struct database_answer *a)
{
    free_rows(a);
    a->raw_bytes = 0;
    a->public.column_count = a->public.row_count = 0;
    a->public.columns = NULL;
    a->public.values = NULL;
}

static bool no_memory(struct database_answer *a)
{
    database_answer_fail(a, DATABASE_NO_MEMORY, 0, "there is no memory for the result");
    return false;
}

static bool may_take(struct database_answer *a, size_t n)
{
    if (n <= a->max_bytes && a->raw_bytes <= a->max_bytes - n)
        return true;
    database_answer_fail(a, DATABASE_TOO_LARGE, 0, "the result is larger than %zu bytes",
                         a->max_bytes);
    return false;
}

/* [n] bytes, aligned; NULL: the error is set. */
static char *take(struct database_answer *a, size_t n)
{
    n = (n + 7) & ~(size_t)7;
    struct database_chunk *c = a->chunks;
    if (!c || c->cap - c->n < n) {
        size_t cap = MAX(n, CHUNK_BYTES);
        if (!may_take(a, n))
            return NULL;
        cap = MIN(cap, MAX(n, a->max_bytes - a->raw_bytes));
        c = mem_raw_alloc(sizeof *c + cap);
        if (!c) {
            no_memory(a);
            return NULL;
        }
        *c = (struct database_chunk){.next = a->chunks, .cap = cap};
        a->chunks = c;
        a->raw_bytes += cap;
    }
    c->n += n;
    return c->bytes + c->n - n;
}

/* False: the error is set. */
static bool copy(struct database_answer *a, const void *p, size_t n, slice *out)
{
    *out = SLICE("");
    if (n == 0)
        return true;
    char *to = p ? take(a, n) : NULL;
    if (!to)
        return p ? false : no_memory(a); /* SQLite had none to convert it */
    memcpy(to, p, n);
    *out = slice_of(to, n);
    return true;
}

bool database_answer_columns(struct database_answer *a, sqlite3_stmt *statement)
{
    size_t count = (size_t)sqlite3_column_count(statement);
    slice *columns = (slice *)(void *)take(a, count * sizeof *columns);
    if (!columns)
        return false;
    for (size_t i = 0; i < count; i++) {
        const char *name = sqlite3_column_name(statement, (int)i);
        if (!copy(a, name ? name : "", name ? strlen(name) : 0, &columns[i]))
            return false;
    }
    a->public.columns = columns;
    a->public.column_count = count;
    return true;
}

static bool grow_values(struct database_answer *a, size_t wants)
{
    if (wants <= a->values_cap)
        return true;
    size_t cap = MAX(MAX(2 * a->values_cap, wants), (size_t)FIRST_VALUES);
    size_t more = (cap - a->values_cap) * sizeof *a->values;
    if (!may_take(a, more)) {
        return false;
    }
    struct database_value *values = mem_raw_resize(a->values, cap * sizeof *values);
    if (!values)
        return no_memory(a);
    a->values = values;
    a->values_cap = cap;
    a->raw_bytes += more;
    a->public.values = values;
    return true;
}

static bool copy_value(struct database_answer *a, sqlite3_stmt *s, int column,
                       struct database_value *v)
{
    switch (sqlite3_column_type(s, column)) {
    case SQLITE_INTEGER:
        *v = (struct database_value){.type = DATABASE_INT,
                                     .integer = sqlite3_column_int64(s, column)};
        return true;
    case SQLITE_FLOAT:
        *v = (struct database_value){.type = DATABASE_DOUBLE,
                                     .real = sqlite3_column_double(s, column)};
        return true;
    case SQLITE_TEXT: {
        v->type = DATABASE_TEXT;
        const void *p = sqlite3_column_text(s, column);
        return copy(a, p, (size_t)sqlite3_column_bytes(s, column), &v->bytes);
    }
    case SQLITE_BLOB: {
        v->type = DATABASE_BLOB;
        const void *p = sqlite3_column_blob(s, column);
        return copy(a, p, (size_t)sqlite3_column_bytes(s, column), &v->bytes);
    }
    default:
        *v = (struct database_value){.type = DATABASE_NULL};
        return true;
    }
}

bool database_answer_row(struct database_answer *a, sqlite3_stmt *statement)
{
    size_t columns = a->public.column_count, at = a->public.row_count * columns;
    if (a->public.row_count >= a->max_rows) {
        database_answer_fail(a, DATABASE_TOO_LARGE, 0, "there are more than %zu rows", a->max_rows);
        return false;
    }
    if (!grow_values(a, at + columns))
        return false;
    for (size_t i = 0; i < columns; i++)
        if (!copy_value(a, statement, (int)i, &a->values[at + i]))
            return false;
    a->public.row_count++;
    return true;
}
