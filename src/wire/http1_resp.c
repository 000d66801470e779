/* http1_resp: two steps over the head of a response, as in http1_req: the lines are found first,
 * and read when they are all there.
 *
 * The part of the status line that has a fixed form is compared byte by byte as it arrives: whoever
 * speaks another protocol is known by the first wrong byte. */
#include "wire/http1_resp.h"

#include <errno.h>

/* RFC 9112 4: HTTP-version SP status-code [ SP reason ]. 'd' is a digit, '1' and 's' below. */
static const char pattern[] = "HTTP/1.d sdd ";
#define CODE_AT   9
#define REASON_AT 13 /* also the length of the pattern */

struct parse {
    slice head; /* the input, as far as a head may reach */
    const struct http1_limits *limits;
    enum http_method method;
    struct http1_resp *resp;
    const char **why;
};

static COLD int refuse(const struct parse *p, int error, const char *why)
{
    *p->why = why;
    return error;
}

/* --- the status line --- */

static bool fits(char c, size_t at)
{
    switch (pattern[at]) {
    case 'd':
        return char_is(c, CHAR_DIGIT);
    case 's': /* RFC 9110 15: no status below 100 */
        return char_is(c, CHAR_DIGIT) && c != '0';
    default:
        return c == pattern[at];
    }
}

/* Is the beginning of the head, as far as it is there, one of a status line? Without a reason the
 * line may end before the last space. */
static int judge_start(const struct parse *p)
{
    size_t n = MIN(p->head.n, (size_t)REASON_AT);
    for (size_t i = 0; i < n; i++) {
        char c = p->head.p[i];
        if (LIKELY(fits(c, i)) || (i == REASON_AT - 1 && c == '\r'))
            continue;
        if (i == 5 && char_is(c, CHAR_DIGIT))
            return refuse(p, -EPROTO, "The answer is not in HTTP/1.0 or HTTP/1.1.");
        return refuse(p, -EPROTO, "The answer does not begin with a status line of HTTP.");
    }
    return 0;
}

static void read_status_line(const struct parse *p, slice line)
{
    struct http1_resp *resp = p->resp;
    const char *code = line.p + CODE_AT;
    resp->minor = line.p[7] != '0';
    resp->status = (uint16_t)((code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0'));
    resp->reason = slice_skip(line, REASON_AT);
}

/* --- the fields --- */

static int note_field(const struct parse *p, const struct http_field *field,
                      struct http1_connection *c)
{
    uint8_t *first = &p->resp->first[field->id];
    switch (field->id) {
    case FIELD_OTHER:
        return 0;
    case FIELD_CONTENT_LENGTH:
    case FIELD_TRANSFER_ENCODING:
        if (*first)
            return refuse(p, -EPROTO, "Content-Length or Transfer-Encoding is there twice.");
        break;
    case FIELD_CONNECTION:
        http1_read_connection(field->value, c);
        break;
    default:
        break;
    }
    if (!*first)
        *first = (uint8_t)(field - p->resp->fields + 1);
    return 0;
}

static int read_fields(const struct parse *p, const struct http1_lines *lines)
{
    struct http1_resp *resp = p->resp;
    struct http1_connection connection = {0};
    size_t count = lines->count - 1;
    if (count > MIN(p->limits->fields, HTTP1_FIELDS_MAX))
        return refuse(p, -EMSGSIZE, "The answer has too many header fields.");
    for (size_t i = 0; i < count; i++) {
        size_t from = lines->end[i] + 2u;
        slice line = slice_of(p->head.p + from, lines->end[i + 1] - from);
        const char *why = http1_read_field(line, &resp->fields[i]);
        int error = why ? refuse(p, -EPROTO, why) : note_field(p, &resp->fields[i], &connection);
        if (error)
            return error;
    }
    resp->field_count = (uint16_t)count;
    /* RFC 9112 9.3 */
    resp->keep_alive = !connection.close && (resp->minor > 0 || connection.keep_alive);
    return 0;
}

/* --- the framing, RFC 9112 6.3 --- */

/* RFC 9112 6.3, 1 and 2: statuses and methods whose answers have no body, whatever the fields say.
 */
static bool is_bodiless(const struct parse *p)
{
    int status = p->resp->status;
    return p->method == HTTP_HEAD || status < 200 || status == 204 || status == 304;
}

static bool is_tunnel(const struct parse *p)
{
    int status = p->resp->status;
    return status == 101 || (p->method == HTTP_CONNECT && status >= 200 && status < 300);
}

/* RFC 9112 6.1: we named no other coding in TE, so no other may come. */
static int read_coding(const struct parse *p, slice coding)
{
    struct http1_resp *resp = p->resp;
    if (resp->minor == 0)
        return refuse(p, -EPROTO, "HTTP/1.0 has no Transfer-Encoding.");
    if (!slice_is_nocase(coding, SLICE("chunked")))
        return refuse(p, -EPROTO, "The Transfer-Encoding is not \"chunked\" alone.");
    resp->framing = FRAMING_CHUNKED;
    return 0;
}

static int read_length(const struct parse *p, slice value)
{
    struct http1_resp *resp = p->resp;
    if (!http1_read_length(value, &resp->content_length))
        return refuse(p, -EPROTO, "Content-Length is not one decimal number.");
    resp->has_content_length = true;
    resp->framing = resp->content_length ? FRAMING_LENGTH : FRAMING_NONE;
    return 0;
}

/* What says how long the body is must say it once, and in one way, also where there is no body. */
static int read_framing(const struct parse *p)
{
    struct http1_resp *resp = p->resp;
    unsigned length_at = resp->first[FIELD_CONTENT_LENGTH];
    unsigned coding_at = resp->first[FIELD_TRANSFER_ENCODING];
    if (length_at && coding_at)
        return refuse(p, -EPROTO, "Both Content-Length and Transfer-Encoding are there.");
    resp->framing = FRAMING_CLOSE;
    int error = 0;
    if (length_at)
        error = read_length(p, resp->fields[length_at - 1].value);
    else if (coding_at)
        error = read_coding(p, resp->fields[coding_at - 1].value);
    if (error)
        return error;
    if (is_tunnel(p)) {
        resp->framing = FRAMING_TUNNEL;
    } else if (is_bodiless(p)) {
        /* RFC 9110 8.6, RFC 9112 6.1: 1xx and 204 may not name a length. Who does so may well send
         * the bytes too: they must not become the next answer. */
        bool is_doubtful = (resp->status < 200 || resp->status == 204) &&
                           (resp->framing == FRAMING_LENGTH || resp->framing == FRAMING_CHUNKED);
        resp->keep_alive = resp->keep_alive && !is_doubtful;
        resp->framing = FRAMING_NONE;
    }
    if (resp->framing >= FRAMING_CLOSE)
        resp->keep_alive = false;
    return 0;
}

static int read_head(const struct parse *p, const struct http1_lines *lines)
{
    read_status_line(p, slice_head(p->head, lines->end[0]));
    int error = read_fields(p, lines);
    return error ? error : read_framing(p);
}

/* No blank line yet, or a byte that no head may hold at [at]. */
static int judge_part(const struct parse *p, size_t at, enum http1_found found)
{
    if (found == HTTP1_FOUND_BAD)
        return refuse(p, -EPROTO, http1_why_bad(p->head.p[at]));
    if (p->head.n == p->limits->head_bytes)
        return refuse(p, -EMSGSIZE, "The answer's header is too long.");
    return 0;
}

ssize_t http1_resp_parse(slice in, const struct http1_limits *limits, enum http_method method,
                         size_t *scanned, struct http1_resp *resp, const char **why)
{
    struct http1_lines lines;
    struct parse p = {
        .head = slice_head(in, limits->head_bytes),
        .limits = limits,
        .method = method,
        .resp = resp,
        .why = why,
    };
    memset(resp, 0, offsetof(struct http1_resp, fields));
    size_t at = *scanned;
    *scanned = 0;
    int error = judge_start(&p);
    if (error)
        return error;
    bool is_resumed = at > 0;
    enum http1_found found = http1_scan_lines(p.head, &at, &lines);
    if (found == HTTP1_FOUND_END && is_resumed) { /* where the first lines ended was forgotten */
        at = 0;
        found = http1_scan_lines(p.head, &at, &lines);
    }
    error = found == HTTP1_FOUND_END ? read_head(&p, &lines) : judge_part(&p, at, found);
    if (error)
        return error;
    if (found == HTTP1_FOUND_END)
        return (ssize_t)at + 2;
    *scanned = at;
    return 0;
}
