/* uri: the path of a request target as a name in a file tree (RFC 3986 2.1, 5.2.4, 6.2.2). */
#ifndef WIRE_URI_H
#define WIRE_URI_H

#include "base/fmt.h"

#define URI_PATH_MAX 4095

/* Writes the decoded path: percent-encodings resolved, "." and ".." removed, runs of "/" made one.
 * [encoded] begins with "/". The result begins with "/" and holds no control character, no "//", no
 * "." or ".." segment; a final "/" stays. Bytes above 0x7f are part of a name like any other.
 *
 * 0, or what is found first, with [out] as it was: -400, malformed (a bad %HH, a control character,
 * encoded or not, an encoded slash, ".." above the root); -404, longer than URI_PATH_MAX or the
 * room: nothing has such a name (RFC 9112 3: lines of 8000 bytes should be taken, so it is not
 * 414).
 */
MUST_USE int uri_path_decode(slice encoded, struct fmt *out);

/* Writes [path] percent-encoded for a URI path (RFC 3986 3.3: pchar and "/" stay). */
void uri_path_encode(slice path, struct fmt *out);

/* Value of the first parameter [name] in a query ("a=1&b=2"), still encoded; .p is NULL when there
 * is none. */
slice uri_query_get(slice query, slice name);

/* host [":" port] of RFC 9110 7.2 / RFC 3986 3.2.2 without userinfo: reg-name, IPv4 or [IPv6]; not
 * empty. Stricter than the grammar: no comma, no IPvFuture, at most 255 bytes, ports of 16 bits. */
MUST_USE bool uri_is_authority(slice s);

#endif
