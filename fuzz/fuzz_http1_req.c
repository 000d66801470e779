/* fuzz_http1_req: heads of requests, whole and in pieces: all must give the same answer, and an
 * answer that keeps its promises.
 *
 * The first byte chooses the limits and the size of the pieces. */
#include "base/check.h"
#include "wire/http1_req.h"
#include "wire/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http1_req whole_req, part_req;

static slice copy_of(slice s)
{
    char *p = malloc(s.n ? s.n : 1);
    BUG_ON(!p);
    if (s.n)
        memcpy(p, s.p, s.n);
    return slice_of(p, s.n);
}

static bool is_inside(slice part, slice in)
{
    return !part.n || (part.p >= in.p && part.p + part.n <= in.p + in.n);
}

static void check_promises(const struct http1_req *req, slice head,
                           const struct http1_limits *limits)
{
    BUG_ON(head.n > limits->head_bytes || req->target.n > limits->target_bytes);
    BUG_ON(req->field_count > MIN(limits->fields, HTTP1_FIELDS_MAX));
    BUG_ON(!http_is_token(req->method_name) || !is_inside(req->method_name, head));
    BUG_ON(!req->target.n || !is_inside(req->target, head) || !is_inside(req->query, req->target));
    BUG_ON(req->minor > 1 || (req->minor && !uri_is_authority(req->authority)));
    BUG_ON(req->chunked && (req->has_content_length || !req->minor));
    BUG_ON(req->form == TARGET_ORIGIN && req->path.p[0] != '/');
    for (size_t i = 0; i < req->field_count; i++) {
        const struct http_field *f = &req->fields[i];
        BUG_ON(!http_is_token(f->name) || !is_inside(f->name, head) || !is_inside(f->value, head));
        BUG_ON(f->id != http_field_id_of(f->name) || (f->id && !req->first[f->id]));
        BUG_ON(!slice_is(f->value, slice_trim(f->value)));
        BUG_ON(slice_find(f->value, '\r') >= 0 || slice_find(f->value, '\n') >= 0);
        BUG_ON(slice_find(f->value, '\0') >= 0);
    }
}

/* The first answer that is not "more", with [step] bytes more each time, each time at another
 * address. */
static ssize_t parse_slowly(slice in, size_t step, const struct http1_limits *limits,
                            const char **why)
{
    size_t scanned = 0;
    for (size_t n = MIN(step, in.n);; n = MIN(n + step, in.n)) {
        slice part = copy_of(slice_head(in, n));
        ssize_t result = http1_req_parse(part, limits, &scanned, &part_req, why);
        free((char *)part.p);
        BUG_ON(scanned > n || (result && scanned));
        if (result || n == in.n)
            return result;
    }
}

static void must_agree(void)
{
    BUG_ON(whole_req.field_count != part_req.field_count || whole_req.form != part_req.form);
    BUG_ON(whole_req.method != part_req.method || whole_req.minor != part_req.minor);
    BUG_ON(whole_req.method_name.n != part_req.method_name.n);
    BUG_ON(whole_req.target.n != part_req.target.n || whole_req.path.n != part_req.path.n);
    BUG_ON(whole_req.content_length != part_req.content_length);
    BUG_ON(whole_req.keep_alive != part_req.keep_alive || whole_req.chunked != part_req.chunked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http1_limits usual = {8000, 16000, 100}, small = {20, 100, 4};
    if (!size)
        return 0;
    const struct http1_limits *limits = data[0] & 1 ? &small : &usual;
    size_t step = 1 + (data[0] >> 1);
    slice in = copy_of(slice_of(data + 1, size - 1));
    size_t scanned = 0;
    const char *whole_why = NULL, *part_why = NULL;
    ssize_t result = http1_req_parse(in, limits, &scanned, &whole_req, &whole_why);
    BUG_ON(result > (ssize_t)in.n || (result < 0) != (whole_why != NULL));
    BUG_ON(result != parse_slowly(in, step, limits, &part_why) || whole_why != part_why);
    if (result)
        must_agree();
    if (result > 0)
        check_promises(&whole_req, slice_head(in, (size_t)result), limits);
    free((char *)in.p);
    return 0;
}
