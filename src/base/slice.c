/* slice: comparisons and cuts that are too long for the header. */
#include "base/slice.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool slice_is_nocase(slice a, slice b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

slice slice_trim(slice s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_skip(s, 1);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool slice_cut(slice *s, char c, slice *item_out)
{
    if (!s->p)
        return false;
    ssize_t at = slice_find(*s, c);
    if (at < 0) {
        *item_out = *s;
        *s = (slice){NULL, 0};
    } else {
        *item_out = slice_head(*s, (size_t)at);
        *s = slice_skip(*s, (size_t)at + 1);
    }
    return true;
}

int slice_cmp(slice a, slice b)
{
    size_t n = MIN(a.n, b.n);
    int order = n ? memcmp(a.p, b.p, n) : 0;
    if (order)
        return order;
    return (a.n > b.n) - (a.n < b.n);
}
