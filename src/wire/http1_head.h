/* http1_head: what the heads of requests and of responses have in common (RFC 9112 2 and 5): lines,
 * fields, Connection, Content-Length. For http1_req and http1_resp; pure functions over bytes. */
#ifndef WIRE_HTTP1_HEAD_H
#define WIRE_HTTP1_HEAD_H

#include "wire/char_class.h"
#include "wire/http_field.h"

#define HTTP1_FIELDS_MAX 100

struct http1_limits {
    uint32_t target_bytes; /* longer request targets are refused; nothing to a response */
    uint32_t head_bytes;   /* longer heads (first line and fields together) are refused */
    uint32_t fields;       /* more fields are refused; at most HTTP1_FIELDS_MAX */
};

/* ---- Lines ---- */

enum http1_found { HTTP1_FOUND_MORE, HTTP1_FOUND_END, HTTP1_FOUND_BAD };

/* Where the lines end: the offsets of their CRs. Lines beyond the last are counted only. */
struct http1_lines {
    size_t count;
    uint32_t end[HTTP1_FIELDS_MAX + 1];
};

/* Runs over [in] from *at on and looks at control characters only: each must be the CR of a CRLF,
 * or a tab. *at becomes the offset of the first byte not judged yet (MORE), of the CR of the empty
 * line (END), or of the bad byte (BAD). *lines names the lines that ended on the way. */
enum http1_found http1_scan_lines(slice in, size_t *at, struct http1_lines *lines);

/* Why [c] at the place of HTTP1_FOUND_BAD is bad, for people. */
const char *http1_why_bad(char c);

/* ---- Fields ---- */

/* Why [line], of which [n] bytes are tchar, has no name before a colon: for people. */
COLD const char *http1_why_no_name(slice line, size_t n);

static inline bool http1_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* RFC 9112 5: field-name ":" OWS field-value OWS. [line] is one of http1_scan_lines, not empty.
 * NULL, or why it is not one (a literal). In the header for the sake of the loop over all lines. */
static inline const char *http1_read_field(slice line, struct http_field *field)
{
    size_t n = 0;
    while (n < line.n && char_is(line.p[n], CHAR_TOKEN))
        n++;
    if (UNLIKELY(n == 0 || n == line.n || line.p[n] != ':'))
        return http1_why_no_name(line, n);
    const char *from = line.p + n + 1, *to = line.p + line.n;
    while (from < to && http1_is_blank(*from))
        from++;
    while (from < to && http1_is_blank(to[-1]))
        to--;
    field->name = slice_head(line, n);
    field->value = slice_of(from, (size_t)(to - from));
    field->id = http_field_id_of(field->name);
    return NULL;
}

/* RFC 9110 7.6.1: a list of tokens in any number of lines; those that we do not know are not ours.
 */
struct http1_connection {
    bool close, keep_alive, upgrade;
};

/* Adds what one line says. */
void http1_read_connection(slice value, struct http1_connection *c);

/* RFC 9110 8.6: 1*DIGIT. Lists, signs and leading zeros are what other parsers read differently. */
MUST_USE bool http1_read_length(slice value, uint64_t *out);

#endif
