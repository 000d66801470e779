/* l_http_options: the settings of medusa.http.server{...}: the table in the script into struct
 * http_settings. */
#include "protocol/http/error_page.h"
#include "script/http_unit.h"

#include <errno.h>

#define WHAT "medusa.http.server"

struct http_options {
    uint64_t max_connections, backlog, max_target, max_header, max_fields, max_body, max_requests,
        min_rate;
    int64_t keepalive, header_timeout, rate_window, linger;
};

#define AT(member) offsetof(struct http_options, member)
#define DAY_MS     86400000

const struct l_option l_http_options[] = {
    {"listen", OPTION_OTHER, 0, 0, 0,
     "where: \":8080\", \"127.0.0.1:80\", \"[::1]:80\", \"unix:/path\", or a list of them; with "
     "\",proxy\" behind it the PROXY "
     "protocol is expected"},
    {"routes", OPTION_OTHER, 0, 0, 0, "what answers what: a table of patterns"},
    {"hosts", OPTION_OTHER, 0, 0, 0,
     "a name, or a list of at most 64: requests for other hosts are 421; port, case and a final "
     "dot do not count (all)"},
    {"error_pages", OPTION_OTHER, 0, 0, 0,
     "a directory whose 404.html and the like replace the server's own pages; read at each load, "
     "at most 64K each"},
    {"unix_mode", OPTION_OTHER, 0, 0, 0, "permissions of Unix sockets, octal, as text (\"0666\")"},
    {"max_connections", OPTION_COUNT, AT(max_connections), 0, 1000000,
     "clients at once; further ones wait; 0 = medusa.max_connections (0)"},
    {"backlog", OPTION_COUNT, AT(backlog), 1, 65535, "connections that wait in the kernel (4096)"},
    {"max_target", OPTION_SIZE, AT(max_target), 64, MIB, "longest request target: 414 (8K)"},
    {"max_header", OPTION_SIZE, AT(max_header), 512, MIB, "largest request head: 431 (32K)"},
    {"max_fields", OPTION_COUNT, AT(max_fields), 1, HTTP1_FIELDS_MAX,
     "header fields of a request: 431 (100)"},
    {"max_body", OPTION_SIZE, AT(max_body), 0, (uint64_t)1 << 50, "largest request body: 413 (1M)"},
    {"max_requests", OPTION_COUNT, AT(max_requests), 0, UINT32_MAX,
     "requests per connection; 0 = any number (0)"},
    {"keepalive", OPTION_TIME, AT(keepalive), 1, DAY_MS,
     "how long a connection may be idle between requests (75s)"},
    {"header_timeout", OPTION_TIME, AT(header_timeout), 1, DAY_MS,
     "time for a whole request head: 408 (20s)"},
    {"min_rate", OPTION_SIZE, AT(min_rate), 0, 1 << 30,
     "bytes a second that a client must send or take, averaged over rate_window; 0 = any (100)"},
    {"rate_window", OPTION_TIME, AT(rate_window), 1000, 3600000,
     "how long a client may pause that is fast else (30s)"},
    {"linger", OPTION_TIME, AT(linger), 0, 60000,
     "after an answer that ends the connection, how long the client may go on sending (2s)"},
};
const size_t l_http_option_count = COUNT_OF(l_http_options);

static void read_numbers(lua_State *L, struct http_settings *s)
{
    struct http_options o = {.max_connections = 0,
                             .backlog = (uint64_t)s->server.backlog,
                             .max_target = s->limits.target_bytes,
                             .max_header = s->limits.head_bytes,
                             .max_fields = s->limits.fields,
                             .max_body = s->body_bytes,
                             .max_requests = s->requests,
                             .min_rate = s->rate_bytes * 1000 / (uint64_t)s->rate_ms,
                             .keepalive = s->keepalive_ms,
                             .header_timeout = s->header_ms,
                             .rate_window = s->rate_ms,
                             .linger = s->server.linger_ms};
    l_read_options(L, 1, WHAT, l_http_options, l_http_option_count, &o);
    s->server.max_sessions =
        o.max_connections ? (size_t)o.max_connections : SIZE_MAX; /* see declare.h */
    s->server.backlog = (int)o.backlog;
    s->server.linger_ms = (uint32_t)o.linger;
    s->limits = (struct http1_limits){.target_bytes = (uint32_t)o.max_target,
                                      .head_bytes = (uint32_t)o.max_header,
                                      .fields = (uint32_t)o.max_fields};
    s->body_bytes = o.max_body;
    s->requests = (uint32_t)o.max_requests;
    s->keepalive_ms = o.keepalive;
    s->header_ms = o.header_timeout;
    s->rate_ms = o.rate_window;
    s->server.rate_ms = (uint32_t)o.rate_window;
    s->rate_bytes = s->server.rate_bytes = o.min_rate * (uint64_t)o.rate_window / 1000;
}

/* The name on the top. The registry keeps the text as long as the version. */
static void add_host(lua_State *L, struct http_settings *s)
{
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, WHAT ": hosts: a name or a list of names is expected, not %s",
                   luaL_typename(L, -1));
    slice name = l_check_slice(L, -1);
    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    if (!name.n || slice_find(name, '/') >= 0 || (slice_find(name, ':') >= 0 && name.p[0] != '['))
        luaL_error(L,
                   WHAT ": hosts: \"%s\" is not the name of a host: it has no scheme, port or path",
                   lua_tostring(L, -1));
    if (s->host_count == HTTP_HOSTS_MAX)
        luaL_error(L, WHAT ": hosts: at most %d names", HTTP_HOSTS_MAX);
    s->hosts[s->host_count++] = name;
    (void)luaL_ref(L, LUA_REGISTRYINDEX);
}

static void read_hosts(lua_State *L, struct http_settings *s)
{
    int type = lua_getfield(L, 1, "hosts");
    if (type == LUA_TTABLE) {
        lua_Integer count = luaL_len(L, -1);
        for (lua_Integer i = 1; i <= count; i++) {
            lua_rawgeti(L, -1, i);
            add_host(L, s);
        }
        if (count < 1)
            luaL_error(L, WHAT ": hosts: the list is empty: nobody would be answered");
    } else if (type != LUA_TNIL) {
        lua_pushvalue(L, -1);
        add_host(L, s);
    }
    lua_pop(L, 1);
}

static void read_error_pages(lua_State *L, struct declared_http *d)
{
    error_pages_init(&d->pages, &version_of(L)->host->owner);
    int type = lua_getfield(L, 1, "error_pages");
    const char *dir = type == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    if (!dir && type != LUA_TNIL)
        luaL_error(L, WHAT ": error_pages: the path of a directory is expected, not %s",
                   luaL_typename(L, -1));
    int status = 0, n = dir ? error_pages_load(&d->pages, dir, &status) : 1;
    if (n < 0 && status)
        luaL_error(L, WHAT ": error_pages: %s/%d.html cannot be used: %s", dir, status,
                   n == -EFBIG ? "it is larger than 64 KiB" : strerror(-n));
    if (n < 0)
        luaL_error(L, WHAT ": error_pages: %s cannot be read: %s", dir, strerror(-n));
    if (n == 0)
        luaL_error(
            L, WHAT ": error_pages: %s holds none: they are named by their status, as in 404.html",
            dir);
    lua_pop(L, 1);
}

void l_http_read_settings(lua_State *L, struct declared_http *d)
{
    struct http_settings *s = &d->settings;
    http_settings_default(s);
    d->base.settings = &s->server;
    read_numbers(L, s);
    read_hosts(L, s);
    read_error_pages(L, d);
    l_declare_unix_mode(L, WHAT, &s->server);
}
