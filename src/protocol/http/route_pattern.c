/* route_pattern: methods, host and segments of a pattern, each fault with its own sentence.
 *
 * What a decoded path can never be (wire/uri.h: "//", "..", control characters) is a fault here:
 * such a route would never be asked. */
#include "protocol/http/route_pattern.h"

#include "wire/char_class.h"
#include "wire/uri.h"

static bool refuse(const char **why, const char *sentence)
{
    *why = sentence;
    return false;
}

/* What stands before the first "/" . */
static bool parse_methods(slice list, struct route_pattern *p, const char **why)
{
    if (!list.n)
        return true;
    if (list.p[list.n - 1] != ' ')
        return refuse(why, "a pattern is methods, a space and a path that begins with \"/\"");
    for (slice name; slice_cut(&list, ',', &name);) {
        enum http_method method = http_method_of(slice_trim(name));
        if (method == HTTP_OTHER)
            return refuse(why, "a method is not known; they are written in capitals");
        p->methods |= 1u << method;
    }
    return true;
}

/* *path begins behind "//"; the host is cut off. */
static bool parse_host(slice *path, struct route_pattern *p, const char **why)
{
    ssize_t end = slice_find(*path, '/');
    if (end < 0)
        return refuse(why, "a host needs a path behind it, \"/\" for all");
    slice host = slice_head(*path, (size_t)end), name;
    *path = slice_skip(*path, (size_t)end);
    if (slice_has_prefix(host, SLICE("*.")))
        host = slice_skip(host, 1);
    name = host.n && host.p[0] == '.' ? slice_skip(host, 1) : host;
    if (!uri_is_authority(name) || name.p[0] == '.' || slice_find(name, '*') >= 0)
        return refuse(why, "this is not a host");
    if (name.p[0] == '[' ? name.p[name.n - 1] != ']' : slice_find(name, ':') >= 0)
        return refuse(why, "a host stands without its port");
    if (host.n > ROUTE_HOST_MAX)
        return refuse(why, "the host is too long");
    p->host = host;
    return true;
}

static bool is_name(slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] == '_' || (s.p[i] >= '0' && s.p[i] <= '9') ||
              ((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'z')))
            return false;
    return s.n > 0;
}

static bool add_param(slice name, struct route_pattern *p, const char **why)
{
    if (!name.n)
        return refuse(why, "a parameter needs a name");
    if (!is_name(name))
        return refuse(why, "the name of a parameter is letters, digits and \"_\"");
    if (p->param_n == ROUTE_PARAMS_MAX)
        return refuse(why, "a pattern has at most 16 parameters");
    for (unsigned i = 0; i < p->param_n; i++)
        if (slice_is(p->params[i], name))
            return refuse(why, "two parameters have the same name");
    p->params[p->param_n++] = name;
    return true;
}

static bool is_plain_segment(slice s, const char **why)
{
    if (!s.n)
        return refuse(why, "a path has no empty segment");
    if (slice_is(s, SLICE(".")) || slice_is(s, SLICE("..")))
        return refuse(why, "a path has no segment \".\" or \"..\"");
    for (size_t i = 0; i < s.n; i++) {
        if (char_is(s.p[i], CHAR_CONTROL))
            return refuse(why, "a path has no control characters");
        if (s.p[i] == '?')
            return refuse(why, "a pattern has no query");
    }
    return true;
}

static bool add_segment(slice s, struct route_pattern *p, const char **why)
{
    bool is_param = s.n && s.p[0] == ':';
    if (is_param ? !add_param(slice_skip(s, 1), p, why) : !is_plain_segment(s, why))
        return false;
    if (p->segment_n == ROUTE_SEGMENTS_MAX)
        return refuse(why, "a pattern has at most 64 segments");
    p->segments[p->segment_n++] = is_param ? (slice){NULL, 0} : s;
    return true;
}

static bool parse_path(slice path, struct route_pattern *p, const char **why)
{
    p->path = path;
    slice rest = slice_skip(path, 1), segment;
    while (slice_cut(&rest, '/', &segment)) {
        bool is_last = !rest.p;
        bool is_star = segment.n && segment.p[0] == '*';
        if (is_star && !is_last)
            return refuse(why, "\"*name\" can only stand at the end");
        p->is_prefix = is_star || (is_last && !segment.n);
        if (is_star && !add_param(slice_skip(segment, 1), p, why))
            return false;
        if (!p->is_prefix && !add_segment(segment, p, why))
            return false;
    }
    return true;
}

bool route_pattern_parse(slice text, struct route_pattern *p, const char **why)
{
    ssize_t path_at = slice_find(text, '/');
    p->methods = p->segment_n = p->param_n = 0;
    p->host = SLICE("");
    p->is_prefix = false;
    if (text.n > ROUTE_PATTERN_MAX)
        return refuse(why, "a pattern has at most 1024 bytes");
    if (path_at < 0)
        return refuse(why, "a pattern needs a path that begins with \"/\"");
    slice path = slice_skip(text, (size_t)path_at);
    if (!parse_methods(slice_head(text, (size_t)path_at), p, why))
        return false;
    if (slice_has_prefix(path, SLICE("//"))) {
        path = slice_skip(path, 2);
        if (!parse_host(&path, p, why))
            return false;
    }
    return parse_path(path, p, why);
}
