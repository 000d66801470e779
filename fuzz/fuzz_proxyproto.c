/* fuzz_proxyproto: PROXY headers, whole and byte by byte: both must give the same answer.
 *
 * The input is also escaped as HTML and JSON, as everything is that a peer says and a log shows. */
#include "base/check.h"
#include "wire/escape.h"
#include "wire/proxyproto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first answer that is not "more", with one byte more each time. Heap blocks of exact size show
 * a read too far. */
static ssize_t parse_slowly(slice in, struct proxyproto *out)
{
    for (size_t n = 0; n <= in.n && n <= PROXYPROTO_MAX; n++) {
        char *part = malloc(n ? n : 1);
        BUG_ON(!part);
        if (n)
            memcpy(part, in.p, n);
        ssize_t result = proxyproto_parse(slice_of(part, n), out);
        free(part);
        if (result)
            return result;
    }
    return 0;
}

static void try_escape(slice in)
{
    size_t room = 6 * in.n + 1;
    char *text = malloc(room);
    BUG_ON(!text);
    struct fmt f = fmt_on(text, room);
    escape_html(&f, in);
    BUG_ON(f.full);
    f = fmt_on(text, room);
    escape_json(&f, in);
    BUG_ON(f.full);
    slice json = fmt_done(&f);
    for (size_t i = 0; i < json.n; i++)
        BUG_ON((unsigned char)json.p[i] < 0x20);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice in = slice_of(data, size);
    struct proxyproto whole = {.family = 99}, slow = {.family = 99};
    ssize_t result = proxyproto_parse(in, &whole);
    BUG_ON(result != parse_slowly(in, &slow));
    BUG_ON(result > 0 && ((size_t)result > size || result > PROXYPROTO_MAX));
    BUG_ON(result <= 0 ? whole.family != 99
                       : whole.family != 0 && whole.family != 4 && whole.family != 6);
    BUG_ON(whole.family != slow.family || whole.source_port != slow.source_port);
    BUG_ON(memcmp(whole.source, slow.source, sizeof whole.source) != 0);
    try_escape(slice_head(in, 4096));
    return 0;
}
