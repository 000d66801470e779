/* l_encodings: medusa.base64, medusa.hex, medusa.html. */
#include "script/l_encodings.h"

#include "script/l_text.h"
#include "script/libs.h"

#include "wire/base64.h"
#include "wire/escape.h"
#include "wire/hex.h"

slice l_check_encodable(lua_State *L, int at)
{
    slice text = l_check_slice(L, at);
    luaL_argcheck(L, text.n <= ENCODE_MAX, at,
                  "at most 16 MiB can be encoded or decoded at once: take it in pieces");
    return text;
}

/* ---- base64 ---- */

static enum base64_form check_form(lua_State *L, int at)
{
    static const char *const names[] = {"standard", "url", "url_padded", NULL};
    static const enum base64_form forms[] = {BASE64, BASE64_URL, BASE64_URL_PAD};
    return forms[luaL_checkoption(L, at, "standard", names)];
}

static int l_base64_encode(lua_State *L)
{
    slice bytes = l_check_encodable(L, 1);
    enum base64_form form = check_form(L, 2);
    size_t n = base64_length(bytes.n, form);
    luaL_Buffer b;
    struct fmt f = fmt_on(luaL_buffinitsize(L, &b, n), n);
    base64_put(bytes, form, &f);
    luaL_pushresultsize(&b, fmt_done(&f).n);
    return 1;
}

static int l_base64_decode(lua_State *L)
{
    slice text = l_check_encodable(L, 1);
    enum base64_form form = check_form(L, 2);
    size_t n = base64_bytes_max(text.n);
    luaL_Buffer b;
    struct fmt f = fmt_on(luaL_buffinitsize(L, &b, n), n);
    if (!base64_read(text, form, &f))
        return l_fail(L, form == BASE64 ? "this is not base64"
                                        : "this is not base64 in the form for URLs");
    luaL_pushresultsize(&b, fmt_done(&f).n);
    return 1;
}

/* ---- hex ---- */

static int l_hex_encode(lua_State *L)
{
    slice bytes = l_check_encodable(L, 1);
    luaL_Buffer b;
    struct fmt f = fmt_on(luaL_buffinitsize(L, &b, bytes.n * 2), bytes.n * 2);
    hex_put(bytes, &f);
    luaL_pushresultsize(&b, fmt_done(&f).n);
    return 1;
}

static int l_hex_decode(lua_State *L)
{
    slice text = l_check_encodable(L, 1);
    luaL_Buffer b;
    struct fmt f = fmt_on(luaL_buffinitsize(L, &b, text.n / 2), text.n / 2);
    if (!hex_read(text, &f))
        return l_fail(L, "this is not hexadecimal: pairs of the digits 0-9 and a-f are");
    luaL_pushresultsize(&b, fmt_done(&f).n);
    return 1;
}

/* ---- HTML ---- */

#define HTML_PIECE 512

/* Where a piece may end: never inside a character (UTF-8), as far as there are characters. */
static size_t piece_of(slice text)
{
    if (text.n <= HTML_PIECE)
        return text.n;
    for (size_t n = HTML_PIECE; n > HTML_PIECE - 4; n--)
        if (((unsigned char)text.p[n] & 0xc0) != 0x80)
            return n;
    return HTML_PIECE;
}

static int l_html_escape(lua_State *L)
{
    slice text = l_check_encodable(L, 1);
    lua_settop(L, 1);
    struct l_text out = l_text_new(L);
    while (text.n) {
        char room[HTML_PIECE * 6];
        struct fmt f = fmt_on(room, sizeof room);
        size_t n = piece_of(text);
        escape_html(&f, slice_head(text, n));
        l_text_put(&out, fmt_done(&f));
        text = slice_skip(text, n);
    }
    l_text_push(&out);
    return 1;
}

/* ---- Rows ---- */

const struct l_function l_encoding_functions[] = {
    {"medusa.base64.encode", l_base64_encode, "(bytes, [form]) -> text",
     "The form is \"standard\", \"url\" (\"-\" and \"_\", no padding) or \"url_padded\". At most "
     "16 MiB."},
    {"medusa.base64.decode", l_base64_decode, "(text, [form]) -> bytes | nil, error",
     "Strict: no white space, and padding as the form says."},
    {"medusa.hex.encode", l_hex_encode, "(bytes) -> text",
     "Two digits for each byte, in lower case. At most 16 MiB."},
    {"medusa.hex.decode", l_hex_decode, "(text) -> bytes | nil, error",
     "Digits in either case, nothing between them."},
    {"medusa.html.escape", l_html_escape, "(text) -> text",
     "For the content of elements and for attributes in quotes; the result is always valid UTF-8. "
     "At most 16 MiB."},
};
const size_t l_encoding_function_count = COUNT_OF(l_encoding_functions);

/* Some of the rows as the table medusa.[module]. */
static void open_module(lua_State *L, const char *module, size_t from, size_t count)
{
    lua_createtable(L, 0, (int)count);
    l_set_functions(L, l_encoding_functions + from, count);
    lua_setfield(L, -2, module);
}

void l_open_encodings(lua_State *L)
{
    open_module(L, "base64", 0, 2);
    open_module(L, "hex", 2, 2);
    open_module(L, "html", 4, 1);
    lua_createtable(L, 0, (int)l_url_function_count);
    l_set_functions(L, l_url_functions, l_url_function_count);
    lua_setfield(L, -2, "url");
}
