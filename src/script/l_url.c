/* l_url: medusa.url. */
#include "script/l_encodings.h"

#include "script/l_text.h"

#include "wire/form.h"
#include "wire/url.h"

#include <stdlib.h>

#define PIECE 1024

static void put_component(struct l_text *out, slice text)
{
    while (text.n) {
        char room[PIECE * 3];
        struct fmt f = fmt_on(room, sizeof room);
        slice piece = slice_head(text, PIECE);
        form_encode_component(piece, &f);
        l_text_put(out, fmt_done(&f));
        text = slice_skip(text, piece.n);
    }
}

static int l_encode(lua_State *L)
{
    slice text = l_check_encodable(L, 1);
    lua_settop(L, 1);
    struct l_text out = l_text_new(L);
    put_component(&out, text);
    l_text_push(&out);
    return 1;
}

void l_push_form_decoded(lua_State *L, slice encoded)
{
    luaL_Buffer b;
    slice text;
    char *room = luaL_buffinitsize(L, &b, encoded.n);
    (void)form_decode(encoded, room, &text);
    luaL_pushresultsize(&b, text.n);
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

/* Unlike in a form, "+" is itself here. */
static int l_decode(lua_State *L)
{
    slice in = l_check_encodable(L, 1);
    luaL_Buffer b;
    char *room = luaL_buffinitsize(L, &b, in.n), *to = room;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] != '%') {
            *to++ = in.p[i];
            continue;
        }
        int high = in.n - i > 2 ? digit_of(in.p[i + 1]) : -1;
        int low = high >= 0 ? digit_of(in.p[i + 2]) : -1;
        if (low < 0)
            return l_fail(L, "a \"%\" without two hexadecimal digits behind it");
        *to++ = (char)(high << 4 | low);
        i += 2;
    }
    luaL_pushresultsize(&b, (size_t)(to - room));
    return 1;
}

/* ---- Whole URLs ---- */

static void set_text(lua_State *L, const char *name, slice text)
{
    l_push_slice(L, text);
    lua_setfield(L, -2, name);
}

static int l_parse(lua_State *L)
{
    static const char *const schemes[] = {
        [URL_NONE] = "", [URL_HTTP] = "http", [URL_HTTPS] = "https", [URL_UNIX] = "unix"};
    slice text = l_check_slice(L, 1);
    struct url u;
    const char *why = "";
    if (!url_parse(text, &u, &why))
        return l_fail(L, why);
    lua_createtable(L, 0, 8);
    lua_pushstring(L, schemes[u.scheme]);
    lua_setfield(L, -2, "scheme");
    set_text(L, "host", u.host);
    set_text(L, "authority", u.authority);
    if (u.scheme != URL_UNIX) {
        lua_pushinteger(L, u.port);
        lua_setfield(L, -2, "port");
    }
    ssize_t at = slice_find(u.target, '?');
    slice path = at < 0 ? u.target : slice_head(u.target, (size_t)at);
    set_text(L, "path", path.n ? path : SLICE("/"));
    if (at >= 0) {
        slice query = slice_skip(u.target, (size_t)at + 1);
        set_text(L, "query_string", query);
        l_push_query(L, query);
        lua_setfield(L, -2, "query");
    }
    return 1;
}

/* ---- Queries ---- */

static int l_parse_query(lua_State *L)
{
    l_push_query(L, l_check_encodable(L, 1));
    return 1;
}

/* The names of the table at [at], sorted, so that the result is always the same. They are kept
 * alive by the table. */
static slice *sorted_names(lua_State *L, int at, size_t *count_out)
{
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
        luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING, at,
                      "its names must be strings: {name = value}");
        count++;
    }
    slice *names = lua_newuserdatauv(L, MAX(count, 1) * sizeof *names, 0);
    size_t i = 0;
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1))
        names[i++] = l_check_slice(L, -2);
    *count_out = count;
    return names;
}

static int compare(const void *a, const void *b)
{
    return slice_cmp(*(const slice *)a, *(const slice *)b);
}

static void put_pair(lua_State *L, struct l_text *out, slice name, int at)
{
    slice value = SLICE("");
    if (lua_type(L, at) == LUA_TBOOLEAN)
        value = lua_toboolean(L, at) ? SLICE("true") : SLICE("false");
    else if (lua_isstring(L, at))
        value = l_check_slice(L, at);
    else
        luaL_error(L,
                   "medusa.url.build_query: %s must be a string, a number, a boolean or a list of "
                   "them, not %s",
                   name.p, luaL_typename(L, at));
    if (out->n)
        l_text_put(out, SLICE("&"));
    put_component(out, name);
    l_text_put(out, SLICE("="));
    put_component(out, value);
}

/* The value on the top, perhaps a list: the same name again and again. */
static void put_values(lua_State *L, struct l_text *out, slice name)
{
    int at = lua_gettop(L);
    if (!lua_istable(L, at)) {
        put_pair(L, out, name, at);
        return;
    }
    for (lua_Integer i = 1; lua_rawgeti(L, at, i) != LUA_TNIL; i++) {
        put_pair(L, out, name, at + 1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static int l_build_query(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    size_t count;
    slice *names = sorted_names(L, 1, &count);
    qsort(names, count, sizeof *names, compare);
    struct l_text out = l_text_new(L);
    for (size_t i = 0; i < count; i++) {
        l_push_slice(L, names[i]);
        lua_rawget(L, 1);
        put_values(L, &out, names[i]);
        lua_pop(L, 1);
    }
    l_text_push(&out);
    return 1;
}

const struct l_function l_url_functions[] = {
    {"medusa.url.encode", l_encode, "(text) -> text",
     "As one component of a URL (a segment, a name or value of a query): all but letters, digits "
     "and \"-._~\" become %HH. At most 16 MiB."},
    {"medusa.url.decode", l_decode, "(text) -> text | nil, error",
     "Every %HH becomes a byte; \"+\" stays. For queries and forms: parse_query."},
    {"medusa.url.parse", l_parse, "(url) -> table | nil, error",
     "An absolute URL, http, https or unix, read strictly: {scheme, host, port, authority, path, "
     "query_string, query}; path and query_string are "
     "still encoded, query is a table of decoded values; a fragment is dropped."},
    {"medusa.url.parse_query", l_parse_query, "(text) -> table",
     "\"a=1&b=2\" as {a = \"1\", b = \"2\"}, decoded (\"+\" is a blank); of a name that is there "
     "several times the last counts."},
    {"medusa.url.build_query", l_build_query, "(table) -> text",
     "{a = 1, b = {\"x\", \"y\"}} as \"a=1&b=x&b=y\", encoded, sorted by name."},
};
const size_t l_url_function_count = COUNT_OF(l_url_functions);
