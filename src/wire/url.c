/* url: cut from left to right; each part is judged by the classes of its characters. */
#include "wire/url.h"

#include "base/num.h"
#include "wire/char_class.h"
#include "wire/uri.h"

#include <arpa/inet.h>
#include <sys/un.h>

#define UNIX_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

/* Offset of the first byte of [s] that is one of [set], or s.n. */
static size_t find_any(slice s, const char *set)
{
    size_t n = 0;
    while (n < s.n && slice_find(slice_str(set), s.p[n]) < 0)
        n++;
    return n;
}

static bool is_all(slice s, enum char_class class)
{
    for (size_t i = 0; i < s.n; i++)
        if (!char_is(s.p[i], class))
            return false;
    return true;
}

bool url_is_target(slice s)
{
    if (slice_is(s, SLICE("*")))
        return true;
    size_t path_n = find_any(s, "?");
    if (path_n && s.p[0] != '/')
        return false;
    return is_all(slice_head(s, path_n), CHAR_PATH) && is_all(slice_skip(s, path_n), CHAR_QUERY);
}

/* A host whose last label begins with a digit is an address to some resolvers, in forms that go
 * back to inet_aton. It must be one to all. */
static bool is_plain_host(slice host)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (slice_find(host, '%') >= 0)
        return false;
    slice body = slice_has_suffix(host, SLICE(".")) ? slice_head(host, host.n - 1) : host;
    slice label = slice_skip(body, (size_t)(slice_find_last(body, '.') + 1));
    if (!label.n || !char_is(label.p[0], CHAR_DIGIT))
        return label.n > 0;
    if (body.n >= sizeof text)
        return false;
    struct fmt f = fmt_on(text, sizeof text);
    fmt_put(&f, body);
    fmt_char(&f, '\0');
    return inet_pton(AF_INET, text, &address) == 1;
}

/* Cuts an authority that uri_is_authority has found good. */
static void split_authority(slice authority, slice *host, slice *port)
{
    *port = slice_head(authority, 0);
    if (authority.p[0] == '[') {
        size_t close = (size_t)slice_find(authority, ']');
        *host = slice_of(authority.p + 1, close - 1);
        *port = slice_skip(authority, close + 2);
        return;
    }
    size_t n = find_any(authority, ":");
    *host = slice_head(authority, n);
    *port = slice_skip(authority, n + 1);
}

static bool fail(const char **why, const char *sentence)
{
    *why = sentence;
    return false;
}

static bool read_authority(slice authority, struct url *out, const char **why)
{
    if (slice_find(authority, '@') >= 0)
        return fail(why, "The URL holds a user's name before the host.");
    if (!uri_is_authority(authority))
        return fail(why, "The URL's host or port is not valid.");
    slice port;
    uint64_t number = out->scheme == URL_HTTPS ? 443 : 80;
    split_authority(authority, &out->host, &port);
    if (authority.p[0] != '[' && !is_plain_host(out->host))
        return fail(why, "The URL's host is neither a plain name nor a plain address.");
    if (port.n && (!num_u64(port, &number) || !number))
        return fail(why, "The URL's port is not valid.");
    out->port = (uint16_t)number;
    out->authority = authority;
    return true;
}

/* "unix:" was read. */
static bool read_unix(slice rest, struct url *out, const char **why)
{
    size_t n = find_any(rest, ":");
    out->scheme = URL_UNIX;
    out->host = slice_head(rest, n);
    out->authority = SLICE("localhost");
    out->target = slice_skip(rest, n + 1);
    if (!out->host.n || out->host.p[0] != '/' || n > UNIX_PATH_MAX)
        return fail(why, "A URL of a Unix socket is unix:/path/of/socket:/target.");
    if (out->target.n && out->target.p[0] != '/')
        return fail(why, "What follows the path of a Unix socket is \":/\".");
    return true;
}

static bool read_parts(slice text, struct url *out, const char **why)
{
    size_t n = find_any(text, ":");
    slice scheme = slice_head(text, n), rest = slice_skip(text, n + 1);
    if (slice_is_nocase(scheme, SLICE("unix")))
        return read_unix(rest, out, why);
    if (slice_is_nocase(scheme, SLICE("http")))
        out->scheme = URL_HTTP;
    else if (slice_is_nocase(scheme, SLICE("https")))
        out->scheme = URL_HTTPS;
    if (out->scheme == URL_NONE || !slice_has_prefix(rest, SLICE("//")))
        return fail(why, "The URL does not begin with http://, https:// or unix:.");
    rest = slice_skip(rest, 2);
    n = find_any(rest, "/?");
    out->target = slice_skip(rest, n);
    return read_authority(slice_head(rest, n), out, why);
}

bool url_parse(slice text, struct url *out, const char **why)
{
    *out = (struct url){.scheme = URL_NONE};
    if (text.n > URL_MAX)
        return fail(why, "The URL is too long.");
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == ' ' || text.p[i] == '\\' || text.p[i] & '\x80' ||
            char_is(text.p[i], CHAR_CONTROL))
            return fail(why, "The URL holds a character that must be percent-encoded.");
    text = slice_head(text, find_any(text, "#"));
    if (!read_parts(text, out, why))
        return false;
    if (!url_is_target(out->target) || slice_is(out->target, SLICE("*")))
        return fail(why, "The URL's path holds a character that must be percent-encoded.");
    return true;
}

bool url_is_valid(const struct url *u)
{
    slice host, port;
    if (u->target.n > URL_MAX || !url_is_target(u->target) || !uri_is_authority(u->authority))
        return false;
    if (u->scheme == URL_UNIX)
        return u->host.n && u->host.n <= UNIX_PATH_MAX && u->host.p[0] == '/' &&
               slice_find(u->host, '\0') < 0;
    split_authority(u->authority, &host, &port);
    return u->scheme != URL_NONE && u->port && u->host.n && uri_is_authority(u->authority) &&
           (slice_find(u->host, ':') >= 0 ? u->host.n < INET6_ADDRSTRLEN
                                          : uri_is_authority(u->host) && is_plain_host(u->host));
}

bool url_is_same_origin(const struct url *a, const struct url *b)
{
    if (a->scheme != b->scheme || a->port != b->port)
        return false;
    return a->scheme == URL_UNIX ? slice_is(a->host, b->host) : slice_is_nocase(a->host, b->host);
}

/* ---- References, RFC 3986 5.2 ---- */

static void put_origin(const struct url *u, struct fmt *out)
{
    if (u->scheme == URL_UNIX) {
        fmt_put(out, SLICE("unix:"));
        fmt_put(out, u->host);
        fmt_char(out, ':');
        return;
    }
    fmt_put(out, u->scheme == URL_HTTPS ? SLICE("https://") : SLICE("http://"));
    fmt_put(out, u->authority);
}

/* RFC 3986 5.2.4, on [start, out->p), which begins with "/". */
static void remove_dots(struct fmt *out, char *start)
{
    slice rest = slice_of(start, (size_t)(out->p - start));
    char *to = start;
    while (rest.n) { /* rest begins with "/" */
        size_t n = 1 + find_any(slice_skip(rest, 1), "/");
        slice segment = slice_of(rest.p + 1, n - 1);
        bool is_last = n == rest.n;
        bool is_up = slice_is(segment, SLICE(".."));
        if (is_up || slice_is(segment, SLICE("."))) {
            if (is_up)
                to = to == start ? start : (char *)memrchr(start, '/', (size_t)(to - start));
            if (is_last)
                *to++ = '/';
        } else {
            memmove(to, rest.p, n);
            to += n;
        }
        rest = slice_skip(rest, n);
    }
    out->p = to;
}

/* The path and query of [ref], which has no scheme and no authority, behind the origin. */
static void put_target(const struct url *base, slice ref, struct fmt *out)
{
    slice base_path = slice_head(base->target, find_any(base->target, "?"));
    size_t path_n = find_any(ref, "?");
    slice path = slice_head(ref, path_n), query = slice_skip(ref, path_n);
    if (!base_path.n)
        base_path = SLICE("/");
    if (!path.n) {
        fmt_put(out, base_path);
        fmt_put(out, query.n ? query : slice_skip(base->target, find_any(base->target, "?")));
        return;
    }
    char *start = out->p;
    if (path.p[0] != '/')
        fmt_put(out, slice_head(base_path, (size_t)slice_find_last(base_path, '/') + 1));
    fmt_put(out, path);
    if (out->full)
        return;
    remove_dots(out, start);
    fmt_put(out, query);
}

/* RFC 3986 3.1. */
static bool has_scheme(slice ref)
{
    size_t n = find_any(ref, ":/?");
    return n < ref.n && ref.p[n] == ':';
}

bool url_resolve(const struct url *base, slice ref, struct fmt *out)
{
    ref = slice_head(ref, find_any(ref, "#"));
    if (ref.n > URL_MAX || slice_find(ref, '\0') >= 0)
        return false;
    if (has_scheme(ref)) {
        fmt_put(out, ref);
    } else if (slice_has_prefix(ref, SLICE("//"))) {
        if (base->scheme == URL_UNIX)
            return false;
        fmt_put(out, base->scheme == URL_HTTPS ? SLICE("https:") : SLICE("http:"));
        fmt_put(out, ref);
    } else {
        put_origin(base, out);
        put_target(base, ref, out);
    }
    return !out->full;
}
