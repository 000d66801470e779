/* l_sqlite_values: Lua's values as parameters, rows as tables.
 *
 * nil and medusa.json.null are NULL; booleans are 0 and 1; a string is TEXT, unless
 * medusa.sqlite.blob marked it. Coming back, TEXT and BLOB are strings and NULL is nil: a row has
 * no such field then. */
#include "script/l_sqlite.h"

#include "script/l_api.h"

/* ---- Blobs ---- */

/* A userdata that marks the string in its user value. */
int l_sqlite_blob(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_settop(L, 1);
    (void)l_new_object(L, META_BLOB, 1, 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

void l_open_sqlite_values(lua_State *L)
{
    const struct l_class class = {.meta = META_BLOB, .name = "blob"};
    l_make_meta(L, &class);
}

/* ---- Parameters ---- */

static slice bytes_at(lua_State *L, int at)
{
    size_t n;
    const char *p = lua_tolstring(L, at, &n);
    return slice_of(p, n);
}

static struct database_value blob_at(lua_State *L, int at)
{
    lua_getiuservalue(L, at, 1); /* stays in the userdata */
    struct database_value v = {.type = DATABASE_BLOB, .bytes = bytes_at(L, -1)};
    lua_pop(L, 1);
    return v;
}

static struct database_value value_at(lua_State *L, int at)
{
    switch (lua_type(L, at)) {
    case LUA_TNIL:
        return (struct database_value){.type = DATABASE_NULL};
    case LUA_TBOOLEAN:
        return (struct database_value){.type = DATABASE_INT, .integer = lua_toboolean(L, at)};
    case LUA_TSTRING:
        return (struct database_value){.type = DATABASE_TEXT, .bytes = bytes_at(L, at)};
    case LUA_TNUMBER:
        if (lua_isinteger(L, at))
            return (struct database_value){.type = DATABASE_INT, .integer = lua_tointeger(L, at)};
        return (struct database_value){.type = DATABASE_DOUBLE, .real = lua_tonumber(L, at)};
    default:
        if (l_is_null(L, at))
            return (struct database_value){.type = DATABASE_NULL};
        if (!l_test_object(L, at, META_BLOB))
            luaL_error(L,
                       "a %s cannot be a parameter: nil, booleans, numbers, strings and "
                       "medusa.sqlite.blob(string) can",
                       luaL_typename(L, at));
        return blob_at(L, at);
    }
}

static struct database_param *new_params(lua_State *L, size_t count)
{
    if (count > DATABASE_PARAMS_MAX)
        luaL_error(L, "more than %d parameters", DATABASE_PARAMS_MAX);
    struct database_param *params = lua_newuserdatauv(L, (count + 1) * sizeof *params, 0);
    memset(params, 0, (count + 1) * sizeof *params);
    return params;
}

static size_t pair_count(lua_State *L, int at)
{
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_argerror(
                L, at,
                "a table of parameters has names: {id = 1} for \":id\"; give others one by one");
        n++;
    }
    return n;
}

/* ":id" for "id"; what has such a sign already stays. Kept in the table at [names]. */
static slice name_of(lua_State *L, int key, int names, size_t i)
{
    slice name = bytes_at(L, key);
    if (name.n && memchr(":@$", name.p[0], 3))
        return name;
    lua_pushliteral(L, ":");
    lua_pushvalue(L, key);
    lua_concat(L, 2);
    name = bytes_at(L, -1);
    lua_rawseti(L, names, (lua_Integer)i + 1);
    return name;
}

static struct database_param *named_params(lua_State *L, int at, size_t *count_out)
{
    size_t count = pair_count(L, at), i = 0;
    struct database_param *params = new_params(L, count);
    lua_createtable(L, (int)count, 0);
    int names = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
        int top = lua_gettop(L);
        params[i].value = value_at(L, top);
        params[i].name = name_of(L, top - 1, names, i);
        i++;
    }
    *count_out = count;
    return params;
}

struct database_param *l_sqlite_params(lua_State *L, int at, size_t *count_out)
{
    int top = lua_gettop(L);
    luaL_checkstack(L, 8, NULL);
    if (top == at && lua_istable(L, at))
        return named_params(L, at, count_out);
    *count_out = top >= at ? (size_t)(top - at + 1) : 0;
    struct database_param *params = new_params(L, *count_out);
    for (int i = at; i <= top; i++)
        params[i - at].value = value_at(L, i);
    return params;
}

/* ---- Results ---- */

static void push_value(lua_State *L, const struct database_value *v)
{
    switch (v->type) {
    case DATABASE_NULL:
        lua_pushnil(L);
        break;
    case DATABASE_INT:
        lua_pushinteger(L, v->integer);
        break;
    case DATABASE_DOUBLE:
        lua_pushnumber(L, v->real);
        break;
    case DATABASE_TEXT:
    case DATABASE_BLOB:
        l_push_slice(L, v->bytes);
        break;
    }
}

/* The names of the columns are the values of the table at [names]. */
static void push_row(lua_State *L, const struct database_result *r, size_t row, int names)
{
    lua_createtable(L, 0, (int)r->column_count);
    for (size_t c = 0; c < r->column_count; c++) {
        lua_rawgeti(L, names, (lua_Integer)c + 1);
        push_value(L, database_cell(r, row, c));
        lua_rawset(L, -3);
    }
}

static int push_names(lua_State *L, const struct database_result *r)
{
    lua_createtable(L, (int)r->column_count, 0);
    for (size_t c = 0; c < r->column_count; c++) {
        l_push_slice(L, r->columns[c]);
        lua_rawseti(L, -2, (lua_Integer)c + 1);
    }
    return lua_gettop(L);
}

static int push_rows(lua_State *L, const struct database_result *r)
{
    int names = push_names(L, r);
    lua_createtable(L, (int)r->row_count, 0);
    for (size_t i = 0; i < r->row_count; i++) {
        push_row(L, r, i, names);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    l_json_mark_array(L);
    lua_insert(L, names);
    return 2;
}

int l_sqlite_push(lua_State *L, const struct database_result *r, enum l_rows rows)
{
    bool is_empty = r->row_count == 0 || r->column_count == 0;
    switch (rows) {
    case ROWS_ALL:
        return push_rows(L, r);
    case ROWS_FIRST:
        if (is_empty)
            lua_pushnil(L);
        else
            push_row(L, r, 0, push_names(L, r));
        return 1;
    case ROWS_VALUE:
        if (is_empty)
            lua_pushnil(L);
        else
            push_value(L, database_cell(r, 0, 0));
        return 1;
    case ROWS_NONE:
        lua_pushinteger(L, r->changes);
        lua_pushinteger(L, r->last_rowid);
        return 2;
    }
    return 0;
}

int l_sqlite_fail(lua_State *L, const struct database_result *r)
{
    static const char *const kinds[] = {[DATABASE_OK] = "",
                                        [DATABASE_FAILED] = "failed",
                                        [DATABASE_CANNOT_OPEN] = "cannot open",
                                        [DATABASE_BUSY] = "busy",
                                        [DATABASE_CONSTRAINT] = "constraint",
                                        [DATABASE_FULL] = "full",
                                        [DATABASE_READONLY] = "readonly",
                                        [DATABASE_DENIED] = "denied",
                                        [DATABASE_TIMEOUT] = "timeout",
                                        [DATABASE_TOO_LARGE] = "too large",
                                        [DATABASE_LOST] = "lost",
                                        [DATABASE_MISUSE] = "misuse",
                                        [DATABASE_NO_MEMORY] = "no memory"};
    lua_pushnil(L);
    lua_pushstring(L, r->message);
    lua_pushstring(L, kinds[r->error]);
    return 3;
}
