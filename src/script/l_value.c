/* l_value: the compact form of tables. All numbers are little endian.
 *
 *     value = 'z' (null) | 'T' | 'F' | 'i' 8 bytes | 'd' 8 bytes | 's' length:4 bytes
 *           | ('t' | 'a') elements:4 value... pairs:4 (key value)...
 *
 * The elements are those under 1..n; pairs are in the order of their bytes; 'a' is what
 * medusa.json.array has marked. */
#include "script/l_value.h"

#include "script/l_api.h"
#include "script/l_text.h"

#include <endian.h>
#include <stdlib.h>

#define DEPTH_MAX 100

struct encoder {
    lua_State *L;
    struct l_text text;
    bool is_too_large;
};

static void encode(struct encoder *e, int at, unsigned depth);

static void put(struct encoder *e, slice piece)
{
    if (piece.n > STORE_VALUE_MAX - e->text.n)
        e->is_too_large = true;
    if (!e->is_too_large)
        l_text_put(&e->text, piece);
}

static void put_u32(struct encoder *e, size_t n)
{
    uint32_t bits = htole32((uint32_t)n);
    put(e, slice_of((char *)&bits, sizeof bits));
}

static void put_string(struct encoder *e, int at)
{
    size_t n;
    const char *p = lua_tolstring(e->L, at, &n);
    put(e, SLICE("s"));
    put_u32(e, n);
    put(e, slice_of(p, n));
}

static void put_number(struct encoder *e, int at)
{
    char room[8];
    bool is_whole = lua_isinteger(e->L, at);
    struct store_value v = is_whole ? store_int(lua_tointeger(e->L, at), room)
                                    : store_double(lua_tonumber(e->L, at), room);
    put(e, is_whole ? SLICE("i") : SLICE("d"));
    put(e, v.bytes);
}

/* ---- Tables ---- */

static size_t element_count(lua_State *L, int at)
{
    size_t n = 0;
    while (lua_rawgeti(L, at, (lua_Integer)n + 1) != LUA_TNIL) {
        lua_pop(L, 1);
        n++;
    }
    lua_pop(L, 1);
    return n;
}

static bool is_element(lua_State *L, int key, size_t elements)
{
    return lua_isinteger(L, key) && lua_tointeger(L, key) >= 1 &&
           (size_t)lua_tointeger(L, key) <= elements;
}

static size_t pair_count(lua_State *L, int at, size_t elements)
{
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1))
        n += !is_element(L, -2, elements);
    return n;
}

/* Where a pair lies in the text; while they are sorted, the bytes themselves. */
struct piece {
    union {
        size_t at;
        const char *p;
    };
    size_t n;
};

static int compare_pieces(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    return slice_cmp(slice_of(x->p, x->n), slice_of(y->p, y->n));
}

/* Equal tables have equal bytes, in whatever order Lua walks them. */
static void sort_pairs(struct encoder *e, struct piece *pieces, size_t count, size_t begin)
{
    size_t n = e->text.n - begin;
    char *sorted = lua_newuserdatauv(e->L, n, 0), *to = sorted;
    for (size_t i = 0; i < count; i++)
        pieces[i].p = e->text.p + pieces[i].at;
    qsort(pieces, count, sizeof *pieces, compare_pieces);
    for (size_t i = 0; i < count; to += pieces[i++].n)
        memcpy(to, pieces[i].p, pieces[i].n);
    memcpy(e->text.p + begin, sorted, n);
    lua_pop(e->L, 1);
}

static void put_pairs(struct encoder *e, int at, size_t elements, unsigned depth)
{
    lua_State *L = e->L;
    size_t count = pair_count(L, at, elements), i = 0;
    put_u32(e, count);
    if (count == 0)
        return;
    size_t begin = e->text.n;
    struct piece *pieces = lua_newuserdatauv(L, count * sizeof *pieces, 0);
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
        if (is_element(L, -2, elements))
            continue;
        int top = lua_gettop(L);
        size_t from = e->text.n;
        encode(e, top - 1, depth);
        encode(e, top, depth);
        pieces[i++] = (struct piece){.at = from, .n = e->text.n - from};
    }
    if (!e->is_too_large)
        sort_pairs(e, pieces, count, begin);
    lua_pop(L, 1);
}

static void put_table(struct encoder *e, int at, unsigned depth)
{
    lua_State *L = e->L;
    if (depth > DEPTH_MAX)
        luaL_error(L, "a table that is nested more than %d deep (or in itself) cannot be shared",
                   DEPTH_MAX);
    luaL_checkstack(L, 12, "the table is nested too deep");
    size_t elements = element_count(L, at);
    put(e, l_json_is_array(L, at) ? SLICE("a") : SLICE("t"));
    put_u32(e, elements);
    for (size_t i = 1; i <= elements && !e->is_too_large; i++) {
        lua_rawgeti(L, at, (lua_Integer)i);
        encode(e, lua_gettop(L), depth);
        lua_pop(L, 1);
    }
    put_pairs(e, at, elements, depth);
}

static void encode(struct encoder *e, int at, unsigned depth)
{
    lua_State *L = e->L;
    switch (lua_type(L, at)) {
    case LUA_TBOOLEAN:
        put(e, lua_toboolean(L, at) ? SLICE("T") : SLICE("F"));
        return;
    case LUA_TNUMBER:
        put_number(e, at);
        return;
    case LUA_TSTRING:
        put_string(e, at);
        return;
    case LUA_TTABLE:
        put_table(e, at, depth + 1);
        return;
    default:
        if (!l_is_null(L, at))
            luaL_error(L,
                       "a %s cannot be shared: booleans, numbers, strings and tables of these can",
                       luaL_typename(L, at));
        put(e, SLICE("z"));
    }
}

static void read_encoded(lua_State *L, int at, struct l_value *out)
{
    luaL_checkstack(L, 12, NULL);
    struct encoder e = {.L = L, .text = l_text_new(L)};
    encode(&e, at, 0);
    out->is_too_large = e.is_too_large;
    out->value = (struct store_value){.type = STORE_ENCODED, .bytes = slice_of(e.text.p, e.text.n)};
}

void l_value_read(lua_State *L, int at, struct l_value *out)
{
    size_t n;
    at = lua_absindex(L, at);
    out->is_too_large = false;
    switch (lua_type(L, at)) {
    case LUA_TBOOLEAN:
        out->room[0] = (char)lua_toboolean(L, at);
        out->value = (struct store_value){.type = STORE_BOOL, .bytes = slice_of(out->room, 1)};
        return;
    case LUA_TNUMBER:
        out->value = lua_isinteger(L, at) ? store_int(lua_tointeger(L, at), out->room)
                                          : store_double(lua_tonumber(L, at), out->room);
        return;
    case LUA_TSTRING:
        out->value.type = STORE_STRING;
        out->value.bytes.p = lua_tolstring(L, at, &n);
        out->value.bytes.n = n;
        out->is_too_large = n > STORE_VALUE_MAX;
        return;
    default:
        read_encoded(L, at, out);
    }
}

/* ---- Back ---- */

static slice take(lua_State *L, slice *in, size_t n)
{
    if (n > in->n)
        luaL_error(L, "this shared value is damaged");
    slice taken = slice_head(*in, n);
    *in = slice_skip(*in, n);
    return taken;
}

static size_t take_u32(lua_State *L, slice *in)
{
    uint32_t bits;
    memcpy(&bits, take(L, in, sizeof bits).p, sizeof bits);
    return le32toh(bits);
}

static void push_number(lua_State *L, struct store_value v)
{
    int64_t whole;
    double real;
    if (store_is_int(&v, &whole))
        lua_pushinteger(L, whole);
    else if (store_is_double(&v, &real))
        lua_pushnumber(L, real);
    else
        luaL_error(L, "this shared value is damaged");
}

static void decode(lua_State *L, slice *in, unsigned depth);

static void decode_table(lua_State *L, slice *in, bool is_array, unsigned depth)
{
    if (depth > DEPTH_MAX)
        luaL_error(L, "this shared value is damaged");
    luaL_checkstack(L, 8, "the table is nested too deep");
    size_t elements = take_u32(L, in);
    lua_createtable(L, (int)MIN(elements, in->n), 0); /* each has a byte at least */
    for (size_t i = 1; i <= elements; i++) {
        decode(L, in, depth);
        lua_rawseti(L, -2, (lua_Integer)i);
    }
    for (size_t pairs = take_u32(L, in); pairs; pairs--) {
        decode(L, in, depth);
        decode(L, in, depth);
        lua_rawset(L, -3);
    }
    if (is_array)
        l_json_mark_array(L);
}

static void decode(lua_State *L, slice *in, unsigned depth)
{
    char tag = take(L, in, 1).p[0];
    switch (tag) {
    case 'z':
        l_push_null(L);
        return;
    case 'T':
    case 'F':
        lua_pushboolean(L, tag == 'T');
        return;
    case 'i':
    case 'd':
        push_number(L, (struct store_value){.type = tag == 'i' ? STORE_INT : STORE_DOUBLE,
                                            .bytes = take(L, in, 8)});
        return;
    case 's':
        l_push_slice(L, take(L, in, take_u32(L, in)));
        return;
    case 't':
    case 'a':
        decode_table(L, in, tag == 'a', depth + 1);
        return;
    default:
        luaL_error(L, "this shared value is damaged");
    }
}

void l_value_push(lua_State *L, struct store_value v)
{
    if (v.type == STORE_INT || v.type == STORE_DOUBLE) {
        push_number(L, v);
        return;
    }
    if (v.type == STORE_BOOL) {
        lua_pushboolean(L, v.bytes.n && v.bytes.p[0]);
        return;
    }
    l_push_slice(L, v.bytes);
    if (v.type != STORE_ENCODED)
        return;
    slice in =
        l_check_slice(L, -1); /* a copy: building a table may collect, and so change the store */
    decode(L, &in, 0);
    lua_remove(L, -2);
}
