/* uri: the path of a request target as a name in a file tree (RFC 3986 2.1, 5.2.4, 6.2.2). */
#ifndef WIRE_URI_H
#define WIRE_URI_H

#include "base/fmt.h"

#define URI_PATH_MAX 4095

/* Writes the decoded path: percent-encodings resolved, "." and ".." removed, runs of "/" made one.
 * [encoded] begins with "/". The result begins with "/" and holds no NUL, no "//", no "." or ".." segment; a final "/" stays.
 * False: it is malformed (a bad %HH, %00, an encoded control character or slash (%2F), ".." above the root, or too long): 400. */
MUST_USE bool uri_path_decode(slice encoded, struct fmt *out);

/* Writes [path] percent-encoded so that it can stand in a URI path (RFC 3986 3.3: pchar and "/" stay). */
void uri_path_encode(slice path, struct fmt *out);

/* Value of the parameter [name] in a query ("a=1&b=2"), still encoded; .p is NULL when there is none. */
slice uri_query_get(slice query, slice name);

/* host [":" port] of RFC 9110 7.2 / RFC 3986 3.2.2 without userinfo: reg-name, IPv4 or [IPv6]; not empty. */
MUST_USE bool uri_is_authority(slice s);

#endif
