/* l_api: how functions are bound: each by a row that says its name, arguments and what it does; the
 * help and the reference are made from the same rows. And tables of options, in which a misspelt
 * name is refused. */
#ifndef SCRIPT_L_API_H
#define SCRIPT_L_API_H

#include "base/slice.h"
#include "io/addr.h"
#include "script/declare.h"

#include <lauxlib.h>

/* Signature conventions: "(path, [options]) -> tree | nil, error"; units in the text. */
struct l_function {
    const char *name;      /* "medusa.sleep"; a method: "conn:read_line" */
    lua_CFunction call;    /* NULL: described only (a field) */
    const char *signature; /* "(seconds)" */
    const char *text;      /* sentences: what it does, units, errors */
    bool waits;            /* the calling task may be suspended */
};

/* Sets the rows' functions in the table on the top of the stack, under the last part of their
 * names. RAISES. */
void l_set_functions(lua_State *L, const struct l_function *rows, size_t count);

/* All described functions, module by module, for the help: the [i]th array; NULL after the last.
 * (l_described.c: add yours there.) */
const struct l_function *l_described(size_t i, size_t *count_out);
/* The options of the function of that name ("medusa.http.server"), for the help; NULL: it has none.
 */
const struct l_option *l_described_options(slice function, size_t *count_out);

/* ---- Objects ---- */

enum l_meta {
    META_REQUEST,
    META_CONN,
    META_HANDLER,
    META_DECLARED,
    META_TREE,
    META_TASK,
    META_UPLOAD,
    META_EVENTS,
    META_UDP,
    META_RESPONSE,
    META_DB,
    META_SUB,
    META_TIMER,
    META_TRANSACTION,
    META_FILE,
    META_HEADERS,
    META_LOOKUP,
    META_HASH,
    META_JSON_ARRAY,
    META_JOB,
    META_MODULE,
    META_BLOB
};
_Static_assert(META_BLOB < L_META_COUNT, "unit.h keeps room for all");

/* A kind of object. */
struct l_class {
    enum l_meta meta;
    const char *name; /* __name: what errors call it */
    const struct l_function *methods;
    size_t count;
    lua_CFunction
        index; /* __index, with the table of methods as its upvalue; NULL: the table itself is it */
    lua_CFunction gc; /* may be NULL */
};

/* Makes the metatable of a class and keeps it in the version. RAISES. */
void l_make_meta(lua_State *L, const struct l_class *c);

/* An __index for l_class: the methods, then the table that is the userdata's first user value, if
 * there is one. */
int l_index_own(lua_State *L);

/* A userdata of that kind with [user_values]; zeroed. RAISES. */
void *l_new_object(lua_State *L, enum l_meta meta, size_t bytes, int user_values);

/* The userdata at [at] when it is of that kind, else NULL. */
void *l_test_object(lua_State *L, int at, enum l_meta meta);
/* The same; RAISES with the expected name. */
void *l_check_object(lua_State *L, int at, enum l_meta meta, const char *name);

/* ---- Functions of Lua that are ours (l_base.c): they need no version. ---- */

int l_load_text(lua_State *L);           /* load, for text only */
int l_setmetatable_safely(lua_State *L); /* without __gc */

/* ---- Arguments ---- */

slice l_check_slice(lua_State *L, int at); /* a string (or number); RAISES */
slice l_opt_slice(lua_State *L, int at);   /* .p == NULL for nil */
/* A time in seconds (number, fractions allowed) or as text ("500ms", "2m"), in milliseconds.
 * RAISES. */
int64_t l_check_time(lua_State *L, int at);
/* A size in bytes as a number or as text ("64K"). RAISES. */
uint64_t l_check_size(lua_State *L, int at);

void l_push_slice(lua_State *L, slice s);

/* ---- Tables of options ---- */

enum l_option_kind {
    OPTION_SIZE,  /* uint64_t bytes */
    OPTION_TIME,  /* int64_t ms */
    OPTION_COUNT, /* uint64_t */
    OPTION_BOOL,  /* bool */
    OPTION_OTHER, /* allowed; its reader takes it from the table itself */
};

struct l_option {
    const char *name;
    enum l_option_kind kind;
    size_t at; /* offset in the struct */
    uint64_t min, max;
    const char *text; /* for the help */
};

/* Reads the table at [index] of L into *into. An unknown name, a wrong type or a value out of range
 * RAISES, with the nearest known name. [what] is the function's name for the message. */
void l_read_options(lua_State *L, int index, const char *what, const struct l_option *rows,
                    size_t count, void *into);

/* "file:line" of the script code that called. */
void l_where(lua_State *L, char *out, size_t bytes);

/* A declaration of the version that is being loaded: a zeroed userdata of [bytes] with struct
 * declared at its head, which lives as long as the version. RAISES when nothing is being loaded. */
void *l_declare(lua_State *L, const struct server_kind *kind, size_t bytes, const char *what);

/* Reads the option "listen" of the table at index 1 into [listen] (LISTEN_MAX). RAISES. */
void l_declare_listen(lua_State *L, struct declared *base, const char *what,
                      struct listen_at *listen);
/* Its option "unix_mode". RAISES. */
void l_declare_unix_mode(lua_State *L, const char *what, struct server_settings *settings);

/* The value at [at] as JSON text, pushed. RAISES. */
void l_json_push(lua_State *L, int at);

/* medusa.json.null, which stands for nil where a table cannot hold it. */
void l_push_null(lua_State *L);
bool l_is_null(lua_State *L, int at);

/* The table on the top becomes one that is [] when it is empty; is the value at [at] such a one? */
void l_json_mark_array(lua_State *L);
bool l_json_is_array(lua_State *L, int at);

/* nil, message: what functions return for failures that are no mistakes of the caller. */
int l_fail(lua_State *L, const char *message);
int l_fail_errno(lua_State *L, int error);

#endif
