/* http1_req: two steps over the head of a request.
 *
 * Step one (http1_scan_lines) runs over every byte once and looks for control characters
 * only: each must be the CR of a CRLF, or a tab. It finds the lines and the end of the head, and
 * refuses bare CR, bare LF and NUL the moment they arrive. It is all that runs while a head is
 * incomplete, from where it stopped last time.
 *
 * Step two (read_head) runs when the head is there: every line is known to be terminated and clean,
 * so the readers of the grammar need no "more input" paths, and field values need not be looked at
 * again.
 *
 * Invariant: the answer depends on the bytes, not on how they were cut. So what is refused before
 * the head is complete (control characters, a request line that is bad or too long, a head that is
 * too long) is refused in the order of the bytes; all else only when the head is complete. */
#include "wire/http1_req.h"

#include "wire/uri.h"

/* RFC 9112 2.2 asks for "at least one". */
#define EMPTY_LINES_MAX 2

/* Longest method that we take for one. */
#define METHOD_MAX ((size_t)32)

struct parse {
    slice head;   /* the input, as far as a head may reach */
    size_t start; /* of the request line */
    const struct http1_limits *limits;
    struct http1_req *req;
    const char **why;
};

static COLD int refuse(const struct parse *p, int status, const char *why)
{
    *p->why = why;
    return -status;
}

/* RFC 9112 2.2: empty lines before the request line are ignored. */
static size_t skip_empty_lines(slice in)
{
    size_t at = 0;
    while (at < EMPTY_LINES_MAX * 2 && at + 1 < in.n && in.p[at] == '\r' && in.p[at + 1] == '\n')
        at += 2;
    return at;
}

/* --- step two: the request line, RFC 9112 3 --- */

/* RFC 9112 3.1: token SP. Returns its length, or < 0. */
static ssize_t read_method(const struct parse *p, slice line)
{
    struct http1_req *req = p->req;
    if (LIKELY(line.n > 4 && memcmp(line.p, "GET ", 4) == 0)) {
        req->method_name = slice_head(line, 3);
        req->method = HTTP_GET;
        return 3;
    }
    size_t n = 0;
    while (n < line.n && n <= METHOD_MAX && char_is(line.p[n], CHAR_TOKEN))
        n++;
    if (n > METHOD_MAX)
        return refuse(p, 400, "The method is too long.");
    if (n == 0 || n == line.n || line.p[n] != ' ')
        return refuse(p, 400, "The request line does not begin with a method and one space.");
    req->method_name = slice_head(line, n);
    req->method = http_method_of(req->method_name);
    return (ssize_t)n;
}

/* Length of the target at the start of [rest]: up to the first byte that no target holds.
 * *query_at_out: offset of the first
 * "?", or its length. */
static size_t target_length(slice rest, size_t *query_at_out)
{
    size_t n = 0;
    while (n < rest.n && char_is(rest.p[n], CHAR_PATH))
        n++;
    *query_at_out = n;
    if (n < rest.n && rest.p[n] == '?')
        while (n < rest.n && char_is(rest.p[n], CHAR_QUERY))
            n++;
    return n;
}

/* RFC 9112 2.3: HTTP-version = "HTTP/" DIGIT "." DIGIT, in this case and at the end of the line.
 * RFC 9110 2.5: a higher minor version is answered as the highest that we know. */
static int read_version(const struct parse *p, slice s)
{
    if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0 || !char_is(s.p[5], CHAR_DIGIT) || s.p[6] != '.' ||
        !char_is(s.p[7], CHAR_DIGIT))
        return refuse(p, 400, "The request line does not end with an HTTP version.");
    if (s.p[5] != '1')
        return refuse(p, 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
    p->req->minor = s.p[7] != '0';
    return 0;
}

/* RFC 9112 3.2.2: "http://" authority [path] ["?" query]. [query_at] is the offset of the first "?"
 * in the target. */
static int read_absolute_form(const struct parse *p, size_t query_at)
{
    struct http1_req *req = p->req;
    slice before_query = slice_head(req->target, query_at);
    ssize_t colon = slice_find(before_query, ':');
    req->form = TARGET_ABSOLUTE;
    req->scheme = slice_head(before_query, colon < 0 ? 0 : (size_t)colon);
    slice rest = slice_skip(before_query, req->scheme.n);
    if (!slice_has_prefix(rest, SLICE("://")) || !(slice_is_nocase(req->scheme, SLICE("http")) ||
                                                   slice_is_nocase(req->scheme, SLICE("https"))))
        return refuse(p, 400, "The target is neither a path nor an http URI.");
    rest = slice_skip(rest, 3);
    ssize_t slash = slice_find(rest, '/');
    req->authority = slice_head(rest, slash < 0 ? rest.n : (size_t)slash);
    req->path = slash < 0 ? SLICE("/") : slice_skip(rest, (size_t)slash);
    /* RFC 9110 4.2.1, 4.2.4: no empty host, no user */
    if (!uri_is_authority(req->authority))
        return refuse(p, 400, "The target's host is not valid.");
    return 0;
}

/* RFC 9112 3.2.3: uri-host ":" port, and nothing else, with CONNECT. */
static int read_authority_form(const struct parse *p)
{
    struct http1_req *req = p->req;
    req->form = TARGET_AUTHORITY;
    req->authority = req->target;
    req->path = slice_head(req->target, 0);
    if (!uri_is_authority(req->target) || slice_find_last(req->target, ':') < 0 ||
        !char_is(req->target.p[req->target.n - 1], CHAR_DIGIT))
        return refuse(p, 400, "The target of CONNECT is not host:port.");
    return 0;
}

/* RFC 9112 3.2: which of the four forms the target has. */
static int read_target_form(const struct parse *p, size_t query_at)
{
    struct http1_req *req = p->req;
    slice target = req->target;
    if (query_at < target.n)
        req->query = slice_skip(target, query_at + 1);
    if (UNLIKELY(req->method == HTTP_CONNECT))
        return read_authority_form(p);
    if (LIKELY(target.p[0] == '/')) {
        req->form = TARGET_ORIGIN;
        req->path = slice_head(target, query_at);
        return 0;
    }
    if (!slice_is(target, SLICE("*")))
        return read_absolute_form(p, query_at);
    /* RFC 9112 3.2.4 */
    if (req->method != HTTP_OPTIONS)
        return refuse(p, 400, "The target \"*\" is for OPTIONS only.");
    req->form = TARGET_ASTERISK;
    req->path = target;
    return 0;
}

static int read_request_line(const struct parse *p, slice line)
{
    ssize_t method_n = read_method(p, line);
    if (UNLIKELY(method_n < 0))
        return (int)method_n;
    slice rest = slice_skip(line, (size_t)method_n + 1);
    size_t query_at;
    size_t n = target_length(rest, &query_at);
    if (UNLIKELY(n > p->limits->target_bytes))
        return refuse(p, 414, "The request target is too long.");
    if (UNLIKELY(n == rest.n))
        return refuse(p, 400, "The request line has no HTTP version.");
    if (UNLIKELY(n == 0 || rest.p[n] != ' '))
        return refuse(p, 400,
                      "The request target is empty or holds a character that it may not hold.");
    p->req->target = slice_head(rest, n);
    int status = read_version(p, slice_skip(rest, n + 1));
    return LIKELY(!status) ? read_target_form(p, query_at) : status;
}

/* --- step two: the fields, RFC 9112 5 --- */

/* The names that CGI and its heirs make of these are the same as with "-". */
static bool is_disguised(slice name)
{
    static const slice framing[] = {
        SLICE("content-length"),
        SLICE("transfer-encoding"),
        SLICE("host"),
    };
    char plain[17];
    if (name.n > sizeof plain)
        return false;
    for (size_t i = 0; i < name.n; i++)
        plain[i] = name.p[i] == '_' ? '-' : name.p[i];
    for (size_t i = 0; i < COUNT_OF(framing); i++)
        if (slice_is_nocase(slice_of(plain, name.n), framing[i]))
            return true;
    return false;
}

static int read_content_length(const struct parse *p, slice value)
{
    if (!http1_read_length(value, &p->req->content_length))
        return refuse(p, 400, "Content-Length is not one decimal number.");
    p->req->has_content_length = true;
    return 0;
}

/* RFC 9112 6.1, 7: which answer a list of codings other than "chunked" alone gets. */
static COLD int refuse_codings(const struct parse *p, slice value)
{
    bool chunked = false;
    for (slice item; slice_cut(&value, ',', &item);) {
        item = slice_trim(item);
        if (!http_is_token(item))
            return refuse(p, 400, "Transfer-Encoding is not a list of plain codings.");
        if (chunked)
            return refuse(p, 400, "Transfer-Encoding: \"chunked\" must come once, and last.");
        chunked = slice_is_nocase(item, SLICE("chunked"));
    }
    return refuse(p, 501, "The only Transfer-Encoding that is known here is \"chunked\".");
}

/* RFC 9112 6.1, 6.3: what says how long the body is must say it once, and in one way. */
static int read_framing(const struct parse *p)
{
    struct http1_req *req = p->req;
    unsigned length_at = req->first[FIELD_CONTENT_LENGTH];
    unsigned coding_at = req->first[FIELD_TRANSFER_ENCODING];
    if (LIKELY(!length_at && !coding_at))
        return 0;
    if (length_at && coding_at)
        return refuse(p, 400, "Both Content-Length and Transfer-Encoding are there.");
    if (length_at)
        return read_content_length(p, req->fields[length_at - 1].value);
    if (req->minor == 0)
        return refuse(p, 400, "HTTP/1.0 has no Transfer-Encoding.");
    slice coding = req->fields[coding_at - 1].value;
    if (!slice_is_nocase(coding, SLICE("chunked")))
        return refuse_codings(p, coding);
    req->chunked = true;
    return 0;
}

/* RFC 9112 3.2 */
static int read_host(const struct parse *p)
{
    struct http1_req *req = p->req;
    unsigned at = req->first[FIELD_HOST];
    if (UNLIKELY(!at))
        return req->minor == 0 ? 0 : refuse(p, 400, "There is no Host field.");
    slice host = req->fields[at - 1].value;
    if (UNLIKELY(!uri_is_authority(host)))
        return refuse(p, 400, "Host is not a host name with an optional port.");
    /* RFC 9112 3.2.2: with absolute-form, Host is ignored */
    if (LIKELY(req->form == TARGET_ORIGIN || req->form == TARGET_ASTERISK))
        req->authority = host;
    return 0;
}

/* RFC 9110 10.1.1: the only expectation is 100-continue; HTTP/1.0 has none. */
static int read_expect(const struct parse *p)
{
    struct http1_req *req = p->req;
    if (LIKELY(!req->first[FIELD_EXPECT]) || req->minor == 0)
        return 0;
    for (size_t i = req->first[FIELD_EXPECT] - 1u; i < req->field_count; i++)
        if (req->fields[i].id == FIELD_EXPECT &&
            !slice_is_nocase(req->fields[i].value, SLICE("100-continue")))
            return refuse(p, 417, "The only expectation that is known here is \"100-continue\".");
    req->expect_continue = true;
    return 0;
}

/* RFC 9112 9.3. RFC 9110 7.8: Upgrade is ignored in HTTP/1.0. */
static void decide_persistence(struct http1_req *req, const struct http1_connection *c)
{
    req->keep_alive = !c->close && (req->minor > 0 || c->keep_alive);
    req->upgrade = c->upgrade && req->minor > 0 && req->first[FIELD_UPGRADE];
}

/* What one field means for the others. */
static int note_field(const struct parse *p, const struct http_field *field,
                      struct http1_connection *c)
{
    uint8_t *first = &p->req->first[field->id];
    switch (field->id) {
    case FIELD_OTHER:
        if (UNLIKELY(memchr(field->name.p, '_', field->name.n)) && is_disguised(field->name))
            return refuse(p, 400, "A header field is disguised by an underscore.");
        return 0;
    case FIELD_HOST:
    case FIELD_CONTENT_LENGTH:
    case FIELD_TRANSFER_ENCODING:
        if (UNLIKELY(*first))
            return refuse(p, 400, "Host, Content-Length or Transfer-Encoding is there twice.");
        break;
    case FIELD_CONNECTION:
        http1_read_connection(field->value, c);
        break;
    default:
        break;
    }
    if (!*first)
        *first = (uint8_t)(field - p->req->fields + 1);
    return 0;
}

static int read_fields(const struct parse *p, const struct http1_lines *lines)
{
    struct http1_req *req = p->req;
    struct http1_connection connection = {0};
    size_t count = lines->count - 1;
    if (UNLIKELY(count > MIN(p->limits->fields, HTTP1_FIELDS_MAX)))
        return refuse(p, 431, "There are too many header fields.");
    for (size_t i = 0; i < count; i++) {
        size_t from = lines->end[i] + 2u;
        slice line = slice_of(p->head.p + from, lines->end[i + 1] - from);
        const char *why = http1_read_field(line, &req->fields[i]);
        int status = UNLIKELY(why != NULL) ? refuse(p, 400, why)
                                           : note_field(p, &req->fields[i], &connection);
        if (UNLIKELY(status))
            return status;
    }
    req->field_count = (uint16_t)count;
    decide_persistence(req, &connection);
    return 0;
}

/* Refusals in the order of their weight: what could smuggle first, what only disappoints last. */
static int read_head(const struct parse *p, const struct http1_lines *lines)
{
    if (UNLIKELY(!lines->count))
        return refuse(p, 400, "There are too many empty lines before the request line.");
    int status = read_request_line(p, slice_of(p->head.p + p->start, lines->end[0] - p->start));
    if (LIKELY(!status))
        status = read_fields(p, lines);
    if (LIKELY(!status))
        status = read_framing(p);
    if (LIKELY(!status))
        status = read_host(p);
    return LIKELY(!status) ? read_expect(p) : status;
}

/* --- before the head is complete --- */

/* What can be said of a request line without its end, as [line]; [known] bytes of it were judged
 * before. */
static int judge_open_line(const struct parse *p, slice line, size_t known)
{
    const size_t target_max = p->limits->target_bytes;
    if (known > METHOD_MAX + 1 + target_max)
        return 0;
    ssize_t space = slice_find(slice_head(line, METHOD_MAX + 1), ' ');
    if (space < 0)
        return line.n > METHOD_MAX ? (int)read_method(p, line) : 0;
    slice rest = slice_skip(line, (size_t)space + 1);
    if (rest.n <= target_max)
        return 0;
    size_t query_at;
    if (target_length(rest, &query_at) <= target_max)
        return 0;
    return read_request_line(p, line);
}

/* The request line is judged when it is complete, and its length before. [from] is where this
 * call's scan began: what was judged by an earlier call is not judged again, which keeps the sum of
 * all calls linear. */
static int judge_request_line(const struct parse *p, const struct http1_lines *lines, size_t from,
                              size_t at)
{
    slice seen = slice_of(p->head.p + p->start, at - p->start);
    if (!lines->count)
        return judge_open_line(p, seen, from - p->start);
    slice line = slice_head(seen, lines->end[0] - p->start);
    return memrchr(line.p, '\n', line.n) ? 0 : read_request_line(p, line);
}

/* No blank line yet, or a byte that no head may hold at [at]. */
static COLD int judge_part(const struct parse *p, const struct http1_lines *lines, size_t from,
                           size_t at, enum http1_found found)
{
    int status = judge_request_line(p, lines, from, at);
    if (status)
        return status;
    if (found == HTTP1_FOUND_BAD)
        return refuse(p, 400, http1_why_bad(p->head.p[at]));
    if (p->head.n == p->limits->head_bytes)
        return refuse(p, 431, "The request's header is too long.");
    return 0;
}

/* All but fields[], which is 4 KiB and says by field_count what is in it. */
static void forget(struct http1_req *req)
{
    memset(req, 0, offsetof(struct http1_req, fields));
}

ssize_t http1_req_parse(slice in, const struct http1_limits *limits, size_t *scanned,
                        struct http1_req *req, const char **why)
{
    struct http1_lines lines;
    struct parse p = {
        .head = slice_head(in, limits->head_bytes),
        .limits = limits,
        .req = req,
        .why = why,
    };
    p.start = skip_empty_lines(p.head);
    forget(req);

    size_t from = MAX(*scanned, p.start), at = from;
    enum http1_found found = http1_scan_lines(p.head, &at, &lines);
    bool is_over = found != HTTP1_FOUND_MORE || p.head.n == limits->head_bytes;
    if (UNLIKELY(is_over && from > p.start)) {
        from = at = p.start;
        found = http1_scan_lines(p.head, &at, &lines);
    }
    int status = LIKELY(found == HTTP1_FOUND_END) ? read_head(&p, &lines)
                                                  : judge_part(&p, &lines, from, at, found);
    bool is_open = found == HTTP1_FOUND_MORE && !status;
    *scanned = is_open ? at : 0;
    return status || is_open ? status : (ssize_t)at + 2;
}
