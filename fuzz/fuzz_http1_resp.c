/* fuzz_http1_resp: heads of responses, whole and in pieces: all must give the same answer, and an
 * answer that keeps its promises.
 *
 * The first byte chooses the limits, the method and the size of the pieces. */
#include "base/check.h"
#include "wire/http1_resp.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http1_resp whole, part;

static slice copy_of(slice s)
{
    char *p = malloc(s.n ? s.n : 1);
    BUG_ON(!p);
    if (s.n)
        memcpy(p, s.p, s.n);
    return slice_of(p, s.n);
}

static bool is_inside(slice inner, slice in)
{
    return !inner.n || (inner.p >= in.p && inner.p + inner.n <= in.p + in.n);
}

static void check_promises(const struct http1_resp *r, slice head, enum http_method method,
                           const struct http1_limits *limits)
{
    BUG_ON(head.n > limits->head_bytes || r->field_count > limits->fields);
    BUG_ON(r->status < 100 || r->status > 999 || r->minor > 1 || !is_inside(r->reason, head));
    BUG_ON(method == HTTP_HEAD && r->framing != FRAMING_NONE && r->status != 101);
    BUG_ON(r->framing == FRAMING_LENGTH && !r->content_length);
    BUG_ON(r->framing == FRAMING_CHUNKED && (r->has_content_length || !r->minor));
    BUG_ON(r->framing >= FRAMING_CLOSE && r->keep_alive);
    BUG_ON((r->status == 204 || r->status == 304) && r->framing != FRAMING_NONE &&
           method != HTTP_CONNECT);
    for (size_t i = 0; i < r->field_count; i++) {
        const struct http_field *f = &r->fields[i];
        BUG_ON(!http_is_token(f->name) || !is_inside(f->name, head) || !is_inside(f->value, head));
        BUG_ON(f->id != http_field_id_of(f->name) || (f->id && !r->first[f->id]));
        BUG_ON(!slice_is(f->value, slice_trim(f->value)));
        BUG_ON(slice_find(f->value, '\r') >= 0 || slice_find(f->value, '\n') >= 0);
        BUG_ON(slice_find(f->value, '\0') >= 0);
    }
}

/* The first answer that is not "more", with [step] bytes more each time, each time at another
 * address. */
static ssize_t parse_slowly(slice in, size_t step, enum http_method method,
                            const struct http1_limits *limits, const char **why)
{
    size_t scanned = 0;
    for (size_t n = MIN(step, in.n);; n = MIN(n + step, in.n)) {
        slice piece = copy_of(slice_head(in, n));
        ssize_t result = http1_resp_parse(piece, limits, method, &scanned, &part, why);
        free((char *)piece.p);
        BUG_ON(scanned > n || (result && scanned));
        if (result || n == in.n)
            return result;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http1_limits usual = {.head_bytes = 16000, .fields = 100},
                                     small = {.head_bytes = 100, .fields = 4};
    static const enum http_method methods[] = {HTTP_GET, HTTP_HEAD, HTTP_CONNECT, HTTP_GET};
    if (!size)
        return 0;
    const struct http1_limits *limits = data[0] & 1 ? &small : &usual;
    enum http_method method = methods[data[0] >> 1 & 3];
    size_t step = 1 + (data[0] >> 3);
    slice in = copy_of(slice_of(data + 1, size - 1));
    size_t scanned = 0;
    const char *why = NULL, *part_why = NULL;
    ssize_t result = http1_resp_parse(in, limits, method, &scanned, &whole, &why);
    BUG_ON(result > (ssize_t)in.n || (result < 0) != (why != NULL));
    BUG_ON(result < 0 && result != -EPROTO && result != -EMSGSIZE);
    BUG_ON(result != parse_slowly(in, step, method, limits, &part_why) || why != part_why);
    if (result > 0) {
        BUG_ON(whole.framing != part.framing || whole.status != part.status);
        BUG_ON(whole.field_count != part.field_count || whole.keep_alive != part.keep_alive);
        BUG_ON(whole.content_length != part.content_length);
        check_promises(&whole, slice_head(in, (size_t)result), method, limits);
    }
    free((char *)in.p);
    return 0;
}
