/* addr: text to address and back. */
#include "io/addr.h"

#include "base/num.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static bool parse_unix(slice path, struct addr *out, const char **why)
{
    if (!path.n || path.n >= sizeof out->local.sun_path) {
        *why = "the path of a Unix socket has 1 to 107 bytes, as in unix:/run/medusa.sock";
        return false;
    }
    out->local.sun_family = AF_UNIX;
    memcpy(out->local.sun_path, path.p, path.n);
    out->bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return true;
}

static bool parse_port(slice text, uint16_t *port)
{
    uint64_t value;
    if (!num_u64(text, &value) || value > 65535)
        return false;
    *port = (uint16_t)value;
    return true;
}

/* inet_pton wants a C string. */
static bool numeric_host(int family, slice host, void *ip)
{
    char text[INET6_ADDRSTRLEN + 1];
    if (host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = 0;
    return inet_pton(family, text, ip) == 1;
}

static void set_v6(struct addr *out, const struct in6_addr *ip, uint16_t port)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->storage;
    *in6 =
        (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *ip};
    out->bytes = sizeof *in6;
}

static void set_v4(struct addr *out, const struct in_addr *ip, uint16_t port)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)&out->storage;
    *in4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = *ip};
    out->bytes = sizeof *in4;
}

struct addr addr_of_ip(int family, const void *ip, uint16_t port)
{
    struct addr a = {0};
    struct in_addr v4;
    struct in6_addr v6;
    if (family == AF_INET) {
        memcpy(&v4, ip, sizeof v4);
        set_v4(&a, &v4, port);
    } else {
        memcpy(&v6, ip, sizeof v6);
        set_v6(&a, &v6, port);
    }
    return a;
}

bool addr_of_host(slice host, uint16_t port, struct addr *out)
{
    char ip[sizeof(struct in6_addr)];
    bool has_brackets = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (has_brackets)
        host = slice_of(host.p + 1, host.n - 2);
    int family = memchr(host.p, ':', host.n) ? AF_INET6 : AF_INET;
    if ((has_brackets && family == AF_INET) || !numeric_host(family, host, ip))
        return false;
    *out = addr_of_ip(family, ip, port);
    return true;
}

static bool parse_host(slice host, uint16_t port, struct addr *out)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (host.n == 0 || slice_is(host, SLICE("*"))) {
        out->is_any = true;
        set_v6(out, &in6addr_any, port);
        return true;
    }
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
        if (!numeric_host(AF_INET6, slice_of(host.p + 1, host.n - 2), &v6))
            return false;
        set_v6(out, &v6, port);
        return true;
    }
    if (slice_is_nocase(host, SLICE("localhost")))
        host = SLICE("127.0.0.1");
    if (!numeric_host(AF_INET, host, &v4))
        return false;
    set_v4(out, &v4, port);
    return true;
}

bool addr_parse(slice text, struct addr *out, const char **why)
{
    *out = (struct addr){0};
    if (slice_has_prefix(text, SLICE("unix:")))
        return parse_unix(slice_skip(text, 5), out, why);
    ssize_t colon = slice_find_last(text, ':');
    slice host = colon < 0 ? slice_of("", 0) : slice_head(text, (size_t)colon);
    slice port_text = slice_skip(text, (size_t)(colon + 1));
    uint16_t port;
    if (!parse_port(port_text, &port)) {
        *why = "it needs a port from 0 to 65535 at the end, as in :8080 or 127.0.0.1:8080";
        return false;
    }
    if (!parse_host(host, port, out)) {
        *why = "the host must be a numeric address: 127.0.0.1:8080, [::1]:8080, or :8080 for all "
               "interfaces";
        return false;
    }
    return true;
}

struct addr addr_any_v4(uint16_t port)
{
    struct in_addr any = {.s_addr = htonl(INADDR_ANY)};
    struct addr a = {.is_any = true};
    set_v4(&a, &any, port);
    return a;
}

uint16_t addr_port(const struct addr *a)
{
    if (a->any.sa_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&a->storage)->sin_port);
    if (a->any.sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&a->storage)->sin6_port);
    return 0;
}

void addr_put(struct fmt *f, const struct addr *a)
{
    if (a->any.sa_family == AF_UNIX) {
        fmt_put(f, SLICE("unix:"));
        fmt_str(f, a->local.sun_path);
        return;
    }
    struct peer_addr p = peer_addr_of(&a->any, a->bytes);
    if (p.family == 6)
        fmt_char(f, '[');
    peer_addr_put(f, &p);
    if (p.family == 6)
        fmt_char(f, ']');
    fmt_char(f, ':');
    fmt_u64(f, addr_port(a));
}

struct peer_addr peer_addr_of(const struct sockaddr *a, socklen_t bytes)
{
    struct peer_addr p = {0};
    if (a->sa_family == AF_INET && bytes >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)a;
        p.family = 4;
        p.port = ntohs(in4->sin_port);
        memcpy(p.ip, &in4->sin_addr, 4);
    } else if (a->sa_family == AF_INET6 && bytes >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
        p.family = mapped ? 4 : 6;
        p.port = ntohs(in6->sin6_port);
        memcpy(p.ip, in6->sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
    }
    return p;
}

void peer_addr_put(struct fmt *f, const struct peer_addr *p)
{
    char text[INET6_ADDRSTRLEN];
    if (p->family == 0)
        fmt_put(f, SLICE("unix"));
    else if (inet_ntop(p->family == 4 ? AF_INET : AF_INET6, p->ip, text, sizeof text))
        fmt_str(f, text);
}
