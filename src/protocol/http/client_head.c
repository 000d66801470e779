/* client_head: what a caller may put into a request, and how it is written.
 *
 * Invariant: no byte of the caller can end a line, and none of his lines can say where the message
 * ends. What is written was checked by http_client_check. */
#include "protocol/http/client_impl.h"

#include "wire/uri.h"

#define METHOD_MAX 32
#define HEAD_MAX   (64 * KIB)

/* ---- Checks ---- */

/* RFC 9110 7.6.1, RFC 9112 6: said by the client itself, or by nobody. */
static bool is_reserved(slice name)
{
    switch (http_field_id_of(name)) {
    case FIELD_CONNECTION:
    case FIELD_CONTENT_LENGTH:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_TE:
    case FIELD_TRAILER:
    case FIELD_UPGRADE:
    case FIELD_EXPECT:
        return true;
    default:
        return slice_is_nocase(name, SLICE("keep-alive")) ||
               slice_is_nocase(name, SLICE("proxy-connection"));
    }
}

/* RFC 9110 5.5 */
static bool is_value(slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (char_is(s.p[i], CHAR_CONTROL) && s.p[i] != '\t')
            return false;
    return true;
}

static int check_fields(struct http_request *r)
{
    size_t bytes = 0;
    bool has_host = false;
    if (r->field_count > HTTP1_FIELDS_MAX)
        return HTTP_CLIENT_BAD_FIELD;
    for (size_t i = 0; i < r->field_count; i++) {
        const struct http_field *f = &r->fields[i];
        bool is_host = http_field_id_of(f->name) == FIELD_HOST;
        if (!http_is_token(f->name) || !is_value(f->value) || is_reserved(f->name))
            return HTTP_CLIENT_BAD_FIELD;
        if (is_host && (has_host || !uri_is_authority(f->value)))
            return HTTP_CLIENT_BAD_FIELD;
        has_host = has_host || is_host;
        bytes += f->name.n + f->value.n + 4;
        if (bytes > HEAD_MAX)
            return HTTP_CLIENT_BAD_FIELD;
    }
    return 0;
}

int http_client_check(struct http_request *r)
{
    if (r->method.n > METHOD_MAX || !http_is_token(r->method))
        return HTTP_CLIENT_BAD_METHOD;
    r->method_id = http_method_of(r->method);
    if (r->method_id == HTTP_CONNECT)
        return HTTP_CLIENT_BAD_METHOD;
    if (!url_is_valid(&r->url) ||
        (slice_is(r->url.target, SLICE("*")) && r->method_id != HTTP_OPTIONS))
        return HTTP_CLIENT_BAD_URL;
    if (r->url.scheme == URL_HTTPS)
        return HTTP_CLIENT_NO_TLS;
    if (r->is_pushed && r->body.p)
        return HTTP_CLIENT_BAD_BODY;
    return check_fields(r);
}

/* ---- Writing ---- */

struct out {
    struct outq *q;
    struct io *io;
    bool ok;
};

static void put(struct out *o, slice s)
{
    o->ok = o->ok && (!s.n || outq_push_copy(o->q, o->io, s));
}

/* Secrets of one server, and its name, are not for another to which it redirects. */
static bool is_private(slice name)
{
    switch (http_field_id_of(name)) {
    case FIELD_AUTHORIZATION:
    case FIELD_COOKIE:
    case FIELD_HOST:
        return true;
    default:
        return slice_is_nocase(name, SLICE("proxy-authorization"));
    }
}

static void put_fields(struct out *o, const struct http_request *r)
{
    bool is_elsewhere = !url_is_same_origin(&r->url, &r->at);
    bool has_host = false;
    for (size_t i = 0; i < r->field_count; i++) {
        const struct http_field *f = &r->fields[i];
        if (is_elsewhere && is_private(f->name))
            continue;
        has_host = has_host || http_field_id_of(f->name) == FIELD_HOST;
        put(o, f->name);
        put(o, SLICE(": "));
        put(o, f->value);
        put(o, SLICE("\r\n"));
    }
    if (!has_host) {
        put(o, SLICE("Host: "));
        put(o, r->at.authority);
        put(o, SLICE("\r\n"));
    }
}

/* RFC 9110 8.6: a method that expects a body says that there is none. */
static bool expects_body(enum http_method method)
{
    return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
}

static void put_framing(struct out *o, const struct http_request *r)
{
    if (http_request_is_chunked(r)) {
        put(o, SLICE("Transfer-Encoding: chunked\r\n"));
        return;
    }
    if (!http_request_has_body(r) && !expects_body(r->method_id))
        return;
    char text[48];
    struct fmt f = fmt_on(text, sizeof text);
    fmt_put(&f, SLICE("Content-Length: "));
    fmt_u64(&f, r->is_pushed ? (uint64_t)r->push_length : r->body.n);
    fmt_put(&f, SLICE("\r\n"));
    put(o, fmt_done(&f));
}

/* RFC 9112 3.2.1: origin-form. */
bool http_client_put_head(const struct http_request *r, struct outq *q, struct io *io,
                          bool keep_alive)
{
    struct out o = {.q = q, .io = io, .ok = true};
    put(&o, r->method);
    bool is_bare = !r->at.target.n || r->at.target.p[0] == '?';
    put(&o, is_bare ? SLICE(" /") : SLICE(" "));
    put(&o, r->at.target);
    put(&o, SLICE(" HTTP/1.1\r\n"));
    put_fields(&o, r);
    put_framing(&o, r);
    if (!keep_alive)
        put(&o, SLICE("Connection: close\r\n"));
    put(&o, SLICE("\r\n"));
    return o.ok;
}
