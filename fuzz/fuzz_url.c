/* fuzz_url: what URLs promise: nothing in their parts that could end a line or name another host,
 * and references that lead to what can be read again.
 *
 * The input is a base URL, a newline, and a reference. */
#include "base/check.h"
#include "wire/uri.h"
#include "wire/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_clean(slice s)
{
    for (size_t i = 0; i < s.n; i++)
        BUG_ON((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f || s.p[i] == '\\' ||
               s.p[i] == '#');
}

static void check_promises(const struct url *u)
{
    BUG_ON(u->scheme == URL_NONE || !url_is_valid(u) || !url_is_same_origin(u, u));
    BUG_ON((u->scheme == URL_UNIX) != (u->port == 0));
    BUG_ON(!u->host.n || (slice_find(u->host, '@') >= 0 && u->scheme != URL_UNIX));
    BUG_ON(slice_find(u->authority, '@') >= 0);
    check_clean(u->host);
    check_clean(u->authority);
    check_clean(u->target);
}

static void check_reference(const struct url *base, slice ref)
{
    static char room[3 * URL_MAX];
    struct fmt f = fmt_on(room, sizeof room);
    if (!url_resolve(base, ref, &f))
        return;
    struct url u;
    const char *why = NULL;
    if (url_parse(fmt_done(&f), &u, &why))
        check_promises(&u);
    else
        BUG_ON(!why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice in = slice_of(data, size);
    ssize_t newline = slice_find(in, '\n');
    slice text = slice_head(in, newline < 0 ? in.n : (size_t)newline);
    slice ref = slice_skip(in, newline < 0 ? in.n : (size_t)newline + 1);
    struct url u;
    const char *why = NULL;
    if (url_parse(text, &u, &why)) {
        check_promises(&u);
        check_reference(&u, ref);
    } else {
        BUG_ON(!why);
    }
    return 0;
}
