/* http_accept: what the client would like to get: Accept-Encoding and Accept (RFC 9110 12.5).
 *
 * Preferences, not orders: an element that cannot be read is left out and the rest still counts. A
 * name that stands twice counts with its greatest weight. Qualities are in thousandths, 0 to 1000;
 * 0 means "not acceptable". In every slice .p NULL means that there is no such field. */
#ifndef WIRE_HTTP_ACCEPT_H
#define WIRE_HTTP_ACCEPT_H

#include "base/slice.h"

enum http_coding { CODING_IDENTITY, CODING_GZIP, CODING_BR, CODING_ZSTD, CODING_COUNT };

/* The enum http_coding to answer with, out of the bit set [available] (1u << CODING_x; identity is
 * always there). The greatest weight wins, of equal ones br, then zstd, then gzip, then identity.
 * Identity that is neither named nor covered by an asterisk comes after every coding that is
 * acceptable. When nothing at all is acceptable it is identity too: a wrong form is of more use
 * than an error. */
unsigned http_accept_coding(slice accept_encoding, unsigned available);

/* Content-Encoding of a coding: "gzip", "br", "zstd", "identity". */
slice http_coding_name(enum http_coding coding);

/* Quality of the media [type] ("text/html", without parameters): that of the most specific range
 * that covers it. Ranges with parameters do not cover it, but for charset=utf-8. No field, or an
 * empty one: 1000. */
int http_accept_quality(slice accept, slice type);

/* application/json is named in so many words (not by a wildcard), is acceptable, and wanted no less
 * than text/html: a program asks. Browsers never do. */
bool http_accept_prefers_json(slice accept);

#endif
