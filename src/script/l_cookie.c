/* l_cookie: cookies of requests and answers. */
#include "script/http_unit.h"

#include "wire/cookie.h"

#include <errno.h>

/* ---- Those that came ---- */

/* Of a name that is there several times, the first counts: it belongs to the longest path (RFC
 * 6265 5.4). */
static void push_field(lua_State *L, slice field)
{
    slice name, value;
    while (cookie_next(&field, &name, &value)) {
        l_push_slice(L, name);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TNIL) {
            lua_pop(L, 1);
            l_push_slice(L, value);
            lua_rawset(L, -3);
        } else {
            lua_pop(L, 2);
        }
    }
}

void l_push_cookies(lua_State *L, const struct http1_req *req)
{
    lua_createtable(L, 0, 4);
    for (unsigned i = 0; i < req->field_count; i++)
        if (slice_is_nocase(req->fields[i].name, SLICE("cookie")))
            push_field(L, req->fields[i].value);
}

/* ---- Those that are set ---- */

struct cookie_options {
    int64_t max_age;
    bool secure, http_only, partitioned;
};

#define AT(member) offsetof(struct cookie_options, member)

const struct l_option l_cookie_options[] = {
    {"value", OPTION_OTHER, 0, 0, 0, "what the client sends back (in a table of cookies)"},
    {"path", OPTION_OTHER, 0, 0, 0, "below which it is sent back (\"/\")"},
    {"domain", OPTION_OTHER, 0, 0, 0,
     "also to hosts below that domain; without, to this host only"},
    {"same_site", OPTION_OTHER, 0, 0, 0,
     "\"lax\", \"strict\" or \"none\": whether requests that other sites cause carry it"},
    {"max_age", OPTION_TIME, AT(max_age), 0, 0,
     "how long the client keeps it; 0 = forget it; without, until the browser ends"},
    {"secure", OPTION_BOOL, AT(secure), 0, 0, "over HTTPS only"},
    {"http_only", OPTION_BOOL, AT(http_only), 0, 0, "scripts in the page cannot read it"},
    {"partitioned", OPTION_BOOL, AT(partitioned), 0, 0, "one for each site that embeds this one"},
};
const size_t l_cookie_option_count = COUNT_OF(l_cookie_options);

/* A string of the table at [at], which keeps it alive. */
static slice text_option(lua_State *L, int at, slice name, const char *key, slice otherwise)
{
    int type = lua_getfield(L, at, key);
    if (type != LUA_TSTRING && type != LUA_TNIL)
        luaL_error(L, "the cookie %s: %s must be a string, not %s", name.p, key,
                   luaL_typename(L, -1));
    slice text = type == LUA_TSTRING ? l_check_slice(L, -1) : otherwise;
    lua_pop(L, 1);
    return text;
}

static enum cookie_same_site same_site(lua_State *L, int at, slice name)
{
    slice text = text_option(L, at, name, "same_site", SLICE(""));
    if (!text.n)
        return SAME_SITE_UNSET;
    if (slice_is_nocase(text, SLICE("lax")))
        return SAME_SITE_LAX;
    if (slice_is_nocase(text, SLICE("strict")))
        return SAME_SITE_STRICT;
    if (!slice_is_nocase(text, SLICE("none")))
        luaL_error(L, "the cookie %s: same_site is \"lax\", \"strict\" or \"none\"", name.p);
    return SAME_SITE_NONE;
}

static void read_options(lua_State *L, int at, struct cookie *c)
{
    struct cookie_options o = {.max_age = -1};
    l_read_options(L, at, "a cookie", l_cookie_options, l_cookie_option_count, &o);
    c->path = text_option(L, at, c->name, "path", c->path);
    c->domain = text_option(L, at, c->name, "domain", SLICE(""));
    c->same_site = same_site(L, at, c->name);
    c->secure = o.secure;
    c->http_only = o.http_only;
    c->partitioned = o.partitioned;
    if (o.max_age >= 0) {
        c->has_max_age = true;
        c->max_age_s = (o.max_age + 999) / 1000;
    }
}

/* What has no value is to be forgotten. */
static void set_value(lua_State *L, int at, struct cookie *c)
{
    int type = lua_type(L, at);
    if (type == LUA_TSTRING || type == LUA_TNUMBER) {
        c->value = l_check_slice(L, at);
    } else if (type == LUA_TNIL || type == LUA_TNONE ||
               (type == LUA_TBOOLEAN && !lua_toboolean(L, at))) {
        c->has_max_age = true;
        c->max_age_s = 0;
    } else {
        luaL_error(L,
                   "the cookie %s: its value must be a string, or nil to have it forgotten, not %s",
                   c->name.p, luaL_typename(L, at));
    }
}

static void add_cookie(lua_State *L, struct exchange *ex, const struct cookie *c)
{
    char room[COOKIE_BYTES_MAX + 1024];
    struct fmt f = fmt_on(room, sizeof room);
    const char *why = "";
    if (!cookie_put(c, &f, &why))
        luaL_error(L, "the cookie %s cannot be sent: %s", c->name.p, why);
    if (f.full)
        luaL_error(L, "the cookie %s cannot be sent: it is too long", c->name.p);
    int error = exchange_add_field(ex, SLICE("Set-Cookie"), fmt_done(&f));
    if (error < 0)
        luaL_error(L,
                   error == -EALREADY ? "the cookie %s comes too late: the answer has begun"
                                      : "the cookie %s: the headers of the answer are too large",
                   c->name.p);
}

static struct cookie named(slice name)
{
    return (struct cookie){.name = name, .value = SLICE(""), .path = SLICE("/")};
}

int l_request_set_cookie(lua_State *L)
{
    struct l_request *r = l_check_request(L, 1);
    struct cookie c = named(l_check_slice(L, 2));
    if (!lua_isnoneornil(L, 4))
        read_options(L, 4, &c);
    set_value(L, 3, &c);
    add_cookie(L, r->ex, &c);
    lua_settop(L, 1);
    return 1;
}

void l_reply_cookies(lua_State *L, struct exchange *ex, int at)
{
    at = lua_absindex(L, at);
    if (!lua_istable(L, at))
        luaL_error(L, "an answer's cookies must be a table: {name = \"value\"} or {name = {value = "
                      "\"...\", max_age = \"1h\"}}");
    lua_pushnil(L);
    while (lua_next(L, at)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "cookies are a table of names: {name = \"value\"}");
        struct cookie c = named(l_check_slice(L, -2));
        if (lua_istable(L, -1)) {
            read_options(L, lua_gettop(L), &c);
            lua_getfield(L, -1, "value");
            lua_replace(L,
                        -2); /* its options' strings were copied, or belong to the answer's table */
        }
        set_value(L, -1, &c);
        add_cookie(L, ex, &c);
        lua_pop(L, 1);
    }
}
