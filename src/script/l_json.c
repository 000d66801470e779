/* l_json: medusa.json: text into tables and back, straight from the tokens to the Lua stack.
 *
 * JSON's null is medusa.json.null, so that it can stand in a table. A table is an array when it has
 * no keys but 1..n; an empty one is an object, unless it came from JSON as an array or was made by
 * medusa.json.array. */
#include "script/l_api.h"
#include "script/l_text.h"
#include "script/libs.h"

#include "wire/json.h"

#define DEPTH_MAX 100

/* ---- Decoding ---- */

static const char null_key = 0; /* its address is null; there is one in all versions */

void l_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&null_key);
}

bool l_is_null(lua_State *L, int at)
{
    return lua_touserdata(L, at) == &null_key;
}

static void push_text(lua_State *L, const struct json *j)
{
    if (!j->has_escapes) {
        l_push_slice(L, j->text);
        return;
    }
    luaL_Buffer b;
    char *room = luaL_buffinitsize(L, &b, j->text.n);
    luaL_pushresultsize(&b, json_unescape(j->text, room).n);
}

void l_json_mark_array(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[META_JSON_ARRAY]);
    lua_setmetatable(L, -2);
}

static int fail_decode(lua_State *L, const struct json *j)
{
    unsigned line, column;
    json_where(j, &line, &column);
    lua_pushnil(L);
    lua_pushfstring(L, "line %d, column %d: %s", (int)line, (int)column, j->why);
    return 2;
}

/* The value on the top goes into the container below it: under the key below that, or at the end of
 * the array. */
static void put_in(lua_State *L, const bool *is_object, lua_Integer *lengths, unsigned depth)
{
    if (depth == 0)
        return;
    if (is_object[depth - 1])
        lua_rawset(L, -3);
    else
        lua_rawseti(L, -2, ++lengths[depth - 1]);
}

static int l_decode(lua_State *L)
{
    struct json j;
    bool is_object[JSON_DEPTH_MAX];
    lua_Integer lengths[JSON_DEPTH_MAX];
    unsigned depth = 0;
    json_init(&j, l_check_slice(L, 1));
    luaL_checkstack(L, 2 * JSON_DEPTH_MAX + 8, "JSON is nested too deep");
    for (enum json_token token; (token = json_next(&j)) != JSON_DONE;) {
        switch (token) {
        case JSON_ERROR:
        case JSON_DONE:
            return fail_decode(L, &j);
        case JSON_OBJECT:
        case JSON_ARRAY:
            lua_newtable(L);
            is_object[depth] = token == JSON_OBJECT;
            lengths[depth++] = 0;
            if (token == JSON_ARRAY)
                l_json_mark_array(L);
            continue;
        case JSON_KEY:
            push_text(L, &j);
            continue;
        case JSON_OBJECT_END:
        case JSON_ARRAY_END:
            depth--;
            break;
        case JSON_STRING:
            push_text(L, &j);
            break;
        case JSON_INTEGER:
            lua_pushinteger(L, j.integer);
            break;
        case JSON_REAL:
            lua_pushnumber(L, j.real);
            break;
        case JSON_TRUE:
        case JSON_FALSE:
            lua_pushboolean(L, token == JSON_TRUE);
            break;
        case JSON_NULL:
            l_push_null(L);
            break;
        }
        put_in(L, is_object, lengths, depth);
    }
    return 1;
}

/* ---- Encoding ---- */

static void put(void *arg, slice piece)
{
    l_text_put(arg, piece);
}

static void encode(lua_State *L, struct l_text *out, int at, unsigned depth);

static void encode_string(lua_State *L, struct l_text *out, int at)
{
    size_t n;
    const char *p = lua_tolstring(L, at, &n);
    if (!json_put_string(slice_of(p, n), JSON_UTF8_REFUSE, put, out))
        luaL_error(
            L, "a string that is not UTF-8 cannot be JSON: encode it first (medusa.base64.encode)");
}

static void encode_number(lua_State *L, struct l_text *out, int at)
{
    char room[64];
    struct fmt f = fmt_on(room, sizeof room);
    if (lua_isinteger(L, at))
        json_put_integer(lua_tointeger(L, at), &f);
    else if (!json_put_real(lua_tonumber(L, at), &f))
        luaL_error(L, "infinite numbers and NaN cannot be JSON");
    l_text_put(out, fmt_done(&f));
}

bool l_json_is_array(lua_State *L, int at)
{
    if (!lua_getmetatable(L, at))
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, version_of(L)->meta[META_JSON_ARRAY]);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* The number of elements when the keys are 1..n, else -1. */
static lua_Integer array_length(lua_State *L, int at)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, at), count = 0;
    if (n == 0 && l_json_is_array(L, at))
        return 0;
    lua_pushnil(L);
    while (lua_next(L, at)) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > n) {
            lua_pop(L, 1);
            return -1;
        }
        count++;
    }
    return count == n && n ? n : -1;
}

static void encode_array(lua_State *L, struct l_text *out, int at, lua_Integer n, unsigned depth)
{
    l_text_put(out, SLICE("["));
    for (lua_Integer i = 1; i <= n; i++) {
        if (i > 1)
            l_text_put(out, SLICE(","));
        lua_rawgeti(L, at, i);
        encode(L, out, lua_gettop(L), depth);
        lua_pop(L, 1);
    }
    l_text_put(out, SLICE("]"));
}

static void encode_key(lua_State *L, struct l_text *out, int at)
{
    if (lua_type(L, at) == LUA_TSTRING) {
        encode_string(L, out, at);
        return;
    }
    if (!lua_isinteger(L, at))
        luaL_error(L, "the names of a JSON object are strings, not a %s", luaL_typename(L, at));
    l_text_put(out, SLICE("\""));
    encode_number(L, out, at);
    l_text_put(out, SLICE("\""));
}

static void encode_object(lua_State *L, struct l_text *out, int at, unsigned depth)
{
    bool first = true;
    l_text_put(out, SLICE("{"));
    lua_pushnil(L);
    while (lua_next(L, at)) {
        if (!first)
            l_text_put(out, SLICE(","));
        first = false;
        encode_key(L, out, lua_gettop(L) - 1);
        l_text_put(out, SLICE(":"));
        encode(L, out, lua_gettop(L), depth);
        lua_pop(L, 1);
    }
    l_text_put(out, SLICE("}"));
}

static void encode_table(lua_State *L, struct l_text *out, int at, unsigned depth)
{
    if (depth > DEPTH_MAX)
        luaL_error(L, "a table that is nested more than %d deep (or in itself) cannot be JSON",
                   DEPTH_MAX);
    luaL_checkstack(L, 8, "JSON is nested too deep");
    lua_Integer n = array_length(L, at);
    if (n >= 0)
        encode_array(L, out, at, n, depth);
    else
        encode_object(L, out, at, depth);
}

static void encode(lua_State *L, struct l_text *out, int at, unsigned depth)
{
    switch (lua_type(L, at)) {
    case LUA_TSTRING:
        encode_string(L, out, at);
        return;
    case LUA_TNUMBER:
        encode_number(L, out, at);
        return;
    case LUA_TBOOLEAN:
        l_text_put(out, lua_toboolean(L, at) ? SLICE("true") : SLICE("false"));
        return;
    case LUA_TTABLE:
        encode_table(L, out, at, depth + 1);
        return;
    default:
        if (!lua_isnil(L, at) && !l_is_null(L, at))
            luaL_error(L, "a %s cannot be JSON", luaL_typename(L, at));
        l_text_put(out, SLICE("null"));
    }
}

void l_json_push(lua_State *L, int at)
{
    at = lua_absindex(L, at);
    struct l_text out = l_text_new(L);
    encode(L, &out, at, 0);
    l_text_push(&out);
    lua_remove(L, out.at);
}

static int l_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    l_json_push(L, 1);
    return 1;
}

static int l_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1))
        lua_newtable(L);
    else
        luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    l_json_mark_array(L);
    return 1;
}

const struct l_function l_json_functions[] = {
    {"medusa.json.encode", l_encode, "(value) -> text",
     "A table with the keys 1..n becomes an array, any other an object; an empty one is {} unless "
     "medusa.json.array made it."},
    {"medusa.json.decode", l_decode, "(text) -> value | nil, error",
     "Whole numbers become integers; null becomes medusa.json.null. The error names line and "
     "column."},
    {"medusa.json.array", l_array, "([table]) -> table",
     "Marks a table as an array, so that it is [] when it is empty."},
    {"medusa.json.null", NULL, "", "What null is in Lua: a value that is equal to itself only."},
};
const size_t l_json_function_count = COUNT_OF(l_json_functions);

void l_open_json(lua_State *L)
{
    lua_newtable(L);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    version_of(L)->meta[META_JSON_ARRAY] = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    l_set_functions(L, l_json_functions, COUNT_OF(l_json_functions));
    l_push_null(L);
    lua_setfield(L, -2, "null");
    lua_setfield(L, -2, "json");
}
