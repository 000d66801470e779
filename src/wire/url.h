/* url: an absolute URL as somebody who connects needs it: host, port and what to ask for
 * (RFC 3986, RFC 9110 4.2).
 *
 * Strict, because other readers of the same text (a filter, a log) must see the same host: no user
 * information, no backslash, no white space, no control characters, no bytes above 0x7f, no
 * percent-encoded host, no number that only some readers take for an address ("127.1",
 * "0x7f000001"). A fragment is dropped: it is never sent. */
#ifndef WIRE_URL_H
#define WIRE_URL_H

#include "base/fmt.h"

enum url_scheme {
    URL_NONE,  /* not filled */
    URL_HTTP,  /* http://host[:port][/path][?query] */
    URL_HTTPS, /* the same, encrypted */
    URL_UNIX,  /* unix:/path/of/socket[:/path[?query]] */
};

/* Slices of the text that was read. */
struct url {
    enum url_scheme scheme;
    uint16_t port;   /* 80 or 443 when none was named; 0 for URL_UNIX */
    slice host;      /* without the brackets of an IPv6 address; the socket's path for URL_UNIX */
    slice authority; /* host[:port], for the Host field; "localhost" for URL_UNIX */
    slice target;    /* path and query as they stand there; may be empty or begin with "?": a "/"
                        belongs before it then */
};

#define URL_MAX 8000

/* False: *why is a sentence (a literal), *out is not valid. */
MUST_USE bool url_parse(slice text, struct url *out, const char **why);

/* Is [s] what may be sent as a request target (RFC 9112 3.2.1, "/" before it if needed), or "*"? */
MUST_USE bool url_is_target(slice s);

/* Is [u], filled by hand, as url_parse could have filled it? */
MUST_USE bool url_is_valid(const struct url *u);

/* Writes the absolute URL that the reference [ref] means at [base] (RFC 3986 5.2), without a
 * fragment. False: it is not a reference that we can follow, or longer than the room. What was
 * written is still to be read by url_parse. */
MUST_USE bool url_resolve(const struct url *base, slice ref, struct fmt *out);

/* The same scheme, host and port (RFC 6454 5). */
bool url_is_same_origin(const struct url *a, const struct url *b);

#endif
