/* cookie: pairs of a Cookie field, and Set-Cookie with all that may stand in it. */
#include "wire/cookie.h"

#include "wire/http_date.h"
#include "wire/http_field.h"
#include "wire/uri.h"

static slice without_quotes(slice s)
{
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        return slice_of(s.p + 1, s.n - 2);
    return s;
}

bool cookie_next(slice *rest, slice *name_out, slice *value_out)
{
    for (slice pair, name; slice_cut(rest, ';', &pair);) {
        slice value = pair;
        slice_cut(&value, '=', &name);
        name = slice_trim(name);
        if (!value.p || !name.n)
            continue;
        *name_out = name;
        *value_out = without_quotes(slice_trim(value));
        return true;
    }
    return false;
}

slice cookie_get(slice field, slice name)
{
    for (slice n, value; cookie_next(&field, &n, &value);)
        if (slice_is(n, name))
            return value;
    return (slice){NULL, 0};
}

/* RFC 6265 4.1.1 cookie-octet: visible ASCII but quote, comma, semicolon and backslash */
static bool is_value(slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x21 || s.p[i] > 0x7e || strchr("\",;\\", s.p[i]))
            return false;
    return true;
}

/* RFC 6265 4.1.1 path-value, and 5.2.4: others than those with "/" in front are not obeyed */
static bool is_path(slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7e || s.p[i] == ';')
            return false;
    return !s.n || s.p[0] == '/';
}

static bool is_domain(slice s)
{
    if (s.n && s.p[0] == '.')
        s = slice_skip(s, 1); /* RFC 6265 5.2.3: allowed and without meaning */
    return uri_is_authority(s) && !slice_has_prefix(s, SLICE(".")) && slice_find(s, ':') < 0 &&
           slice_find(s, ';') < 0;
}

static bool has_prefix_nocase(slice s, slice prefix)
{
    return slice_is_nocase(slice_head(s, prefix.n), prefix);
}

/* Why the cookie cannot be written or would not be kept; NULL: all is well. */
static const char *fault_of(const struct cookie *c)
{
    if (!http_is_token(c->name))
        return "the name of a cookie has a character that may not stand in it, or none";
    if (!is_value(c->value))
        return "the value of a cookie has a character that must be encoded";
    if (c->name.n + c->value.n > COOKIE_BYTES_MAX)
        return "a cookie has at most 4096 bytes";
    if (!is_path(c->path) || c->path.n > COOKIE_BYTES_MAX)
        return "this is not the path of a cookie";
    if (c->domain.n && !is_domain(c->domain))
        return "this is not the domain of a cookie";
    if (c->same_site == SAME_SITE_NONE && !c->secure)
        return "SameSite=None needs Secure";
    if (c->partitioned && !c->secure)
        return "Partitioned needs Secure";
    if (has_prefix_nocase(c->name, SLICE("__Secure-")) && !c->secure)
        return "a name with __Secure- needs Secure";
    if (has_prefix_nocase(c->name, SLICE("__Host-")) &&
        (!c->secure || c->domain.n || !slice_is(c->path, SLICE("/"))))
        return "a name with __Host- needs Secure, the path \"/\" and no domain";
    return NULL;
}

static void put_attribute(struct fmt *out, const char *name, slice value)
{
    if (!value.n)
        return;
    fmt_str(out, name);
    fmt_put(out, value);
}

static void put_life(const struct cookie *c, struct fmt *out)
{
    if (c->has_max_age)
        fmt_printf(out, "; Max-Age=%lld", (long long)MAX(c->max_age_s, 0));
    if (c->has_expires) {
        fmt_str(out, "; Expires=");
        http_date_put(out, c->expires_unix);
    }
}

bool cookie_put(const struct cookie *c, struct fmt *out, const char **why)
{
    static const char *const same_site[] = {"", "; SameSite=Lax", "; SameSite=Strict",
                                            "; SameSite=None"};
    const char *fault = fault_of(c);
    if (fault) {
        *why = fault;
        return false;
    }
    fmt_put(out, c->name);
    fmt_char(out, '=');
    fmt_put(out, c->value);
    put_attribute(out, "; Path=", c->path);
    put_attribute(out, "; Domain=", c->domain);
    put_life(c, out);
    fmt_str(out, same_site[c->same_site]);
    fmt_str(out, c->secure ? "; Secure" : "");
    fmt_str(out, c->http_only ? "; HttpOnly" : "");
    fmt_str(out, c->partitioned ? "; Partitioned" : "");
    return true;
}
