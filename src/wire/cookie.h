/* cookie: RFC 6265, the server's side: Cookie is read leniently, Set-Cookie is written strictly.
 *
 * What comes back in Cookie is whatever the client says: checking it is for who set it. */
#ifndef WIRE_COOKIE_H
#define WIRE_COOKIE_H

#include "base/fmt.h"

#define COOKIE_BYTES_MAX 4096 /* of name and value; RFC 6265 6.1 asks clients for no more */

/* The next name and value of a Cookie field (RFC 6265 4.2.1), without quotes around the value.
 * What has no "=" or no name is passed over. False at the end. */
bool cookie_next(slice *rest, slice *name_out, slice *value_out);

/* Value of the first cookie of this name (case matters); .p is NULL when there is none. */
slice cookie_get(slice field, slice name);

enum cookie_same_site {
    SAME_SITE_UNSET,
    SAME_SITE_LAX,
    SAME_SITE_STRICT,
    SAME_SITE_NONE,
};

/* All zero but name and value: a cookie of this host and directory until the browser ends. */
struct cookie {
    slice name, value;
    slice path, domain; /* empty: not said */
    bool has_max_age;
    bool has_expires;
    int64_t max_age_s; /* <= 0: forget it now */
    int64_t expires_unix;
    enum cookie_same_site same_site;
    bool secure, http_only, partitioned;
};

/* Writes the value of a Set-Cookie field (RFC 6265 4.1.1). False, and nothing is written: what
 * could end the field or mean something else in it, or what browsers would not keep (RFC 6265bis:
 * "__Host-" and "__Secure-" names, SameSite=None without Secure); *why is a sentence (a literal).
 * What does not fit sets out->full, as in fmt.h. */
MUST_USE bool cookie_put(const struct cookie *c, struct fmt *out, const char **why);

#endif
