/* uri: percent-encoding, dot segments, queries and authorities.
 *
 * Decoding and the removal of dot segments are one step: "%2e%2e" is "..", whoever wrote it. */
#include "wire/uri.h"

#include "base/num.h"
#include "wire/char_class.h"

#include <arpa/inet.h>

/* RFC 1035 2.3.4, which RFC 3986 3.2.2 recommends for registered names. */
#define HOST_MAX 255

/* RFC 3986 2.1. The byte that "%HH" at the start of [s] stands for, or -1. */
static int percent_byte(slice s)
{
    if (s.n < 3)
        return -1;
    int high = num_hex_digit(s.p[1]);
    int low = num_hex_digit(s.p[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* One byte of a segment; false when it may not stand in a name. */
static bool decode_byte(slice *rest, char *out)
{
    int byte = (unsigned char)rest->p[0];
    size_t used = 1;
    if (byte == '%') {
        byte = percent_byte(*rest);
        used = 3;
        if (byte == '/')
            return false;
    }
    if (byte < 0 || char_is((char)byte, CHAR_CONTROL))
        return false;
    *rest = slice_skip(*rest, used);
    *out = (char)byte;
    return true;
}

/* RFC 3986 5.2.4 for the segment that was just written as [segment, end): where the output
 * continues, or NULL when it leaves the root. [root] is the first "/". */
static char *end_segment(char *root, char *segment, char *end)
{
    size_t n = (size_t)(end - segment);
    if (n == 1 && segment[0] == '.')
        return segment;
    if (n != 2 || segment[0] != '.' || segment[1] != '.')
        return end;
    if (segment == root + 1)
        return NULL;
    const char *parent = memrchr(root, '/', (size_t)(segment - 1 - root));
    return root + (parent - root) + 1;
}

/* Writes the path to [root] and says where it ends. 0, or a status. */
static int decode_path(slice rest, char *root, const char *limit, char **end_out)
{
    char *p = root, *segment;
    *p++ = '/';
    segment = p;
    while (rest.n) {
        if (rest.p[0] == '/') {
            rest = slice_skip(rest, 1);
            p = end_segment(root, segment, p);
            if (!p)
                return -400;
            if (p[-1] != '/') {
                if (p == limit)
                    return -404;
                *p++ = '/';
            }
            segment = p;
        } else if (p == limit) {
            return -404;
        } else if (!decode_byte(&rest, p++)) {
            return -400;
        }
    }
    *end_out = end_segment(root, segment, p);
    return *end_out ? 0 : -400;
}

int uri_path_decode(slice encoded, struct fmt *out)
{
    size_t room = MIN(fmt_room(out), (size_t)URI_PATH_MAX);
    if (!encoded.n || encoded.p[0] != '/')
        return -400;
    if (!room || out->full)
        return -404;
    char *end;
    int status = decode_path(slice_skip(encoded, 1), out->p, out->p + room, &end);
    if (status == 0)
        out->p = end;
    return status;
}

void uri_path_encode(slice path, struct fmt *out)
{
    static const char digits[] = "0123456789ABCDEF";
    while (path.n) {
        size_t plain = 0;
        while (plain < path.n && char_is(path.p[plain], CHAR_URI_PATH))
            plain++;
        fmt_put(out, slice_head(path, plain));
        path = slice_skip(path, plain);
        if (path.n) {
            unsigned char byte = (unsigned char)path.p[0];
            char hex[3] = {'%', digits[byte >> 4], digits[byte & 15]};
            fmt_put(out, slice_of(hex, sizeof hex));
            path = slice_skip(path, 1);
        }
    }
}

slice uri_query_get(slice query, slice name)
{
    for (slice pair; slice_cut(&query, '&', &pair);) {
        ssize_t eq = slice_find(pair, '=');
        size_t name_n = eq < 0 ? pair.n : (size_t)eq;
        if (slice_is(slice_head(pair, name_n), name))
            return slice_skip(pair, eq < 0 ? pair.n : name_n + 1);
    }
    return (slice){NULL, 0};
}

/* RFC 3986 3.2.3 allows any digits, or none; a port is a number of 16 bits. */
static bool is_port(slice s)
{
    uint64_t port;
    return !s.n || (s.n <= 5 && num_u64(s, &port) && port <= UINT16_MAX);
}

/* RFC 3986 3.2.2 reg-name; an IPv4 address is one too. The comma is left out: a gateway that joins
 * two Host fields makes one. */
static bool is_reg_name(slice s)
{
    if (!s.n || s.n > HOST_MAX)
        return false;
    while (s.n) {
        size_t used = 1;
        if (s.p[0] == '%') {
            if (percent_byte(s) < 0)
                return false;
            used = 3;
        } else if (!char_is(s.p[0], CHAR_REG_NAME)) {
            return false;
        }
        s = slice_skip(s, used);
    }
    return true;
}

/* What stands between the brackets; IPvFuture and zones are not for us. */
static bool is_ipv6(slice s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (s.n >= sizeof text || slice_find(s, '\0') >= 0)
        return false;
    struct fmt f = fmt_on(text, sizeof text);
    fmt_put(&f, s);
    fmt_char(&f, '\0');
    return inet_pton(AF_INET6, text, &address) == 1;
}

bool uri_is_authority(slice s)
{
    if (!s.n)
        return false;
    ssize_t colon;
    if (s.p[0] == '[') {
        ssize_t close = slice_find(s, ']');
        if (close < 0 || !is_ipv6(slice_of(s.p + 1, (size_t)close - 1)))
            return false;
        s = slice_skip(s, (size_t)close + 1);
        return !s.n || (s.p[0] == ':' && is_port(slice_skip(s, 1)));
    }
    colon = slice_find(s, ':');
    if (colon < 0)
        return is_reg_name(s);
    return is_reg_name(slice_head(s, (size_t)colon)) && is_port(slice_skip(s, (size_t)colon + 1));
}
