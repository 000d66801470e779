/* frame_line: one memchr or memmem over what is new. */
#include "wire/frame_line.h"

#include "base/check.h"

#include <errno.h>

static ssize_t end_with(size_t *scanned, ssize_t result)
{
    *scanned = 0;
    return result;
}

ssize_t frame_line_find(slice view, size_t *scanned, size_t max, slice *line_out)
{
    size_t window = max > SIZE_MAX - 2 ? SIZE_MAX : max + 2; /* CR LF */
    slice seen = slice_head(view, window);
    ssize_t at = slice_find(slice_skip(seen, *scanned), '\n');
    size_t n = at < 0 ? seen.n : *scanned + (size_t)at;
    slice line = slice_head(seen, n);
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--; /* without an end as well: LF may come next */
    if (line.n > max)
        return end_with(scanned, -EMSGSIZE);
    if (at < 0) {
        *scanned = n;
        return 0;
    }
    *line_out = line;
    return end_with(scanned, (ssize_t)n + 1);
}

ssize_t frame_line_find_until(slice view, slice needle, size_t *scanned, size_t max,
                              slice *block_out)
{
    BUG_ON(!needle.n);
    size_t window = max > SIZE_MAX - needle.n ? SIZE_MAX : max + needle.n;
    slice seen = slice_head(view, window), fresh = slice_skip(seen, *scanned);
    const char *at = fresh.n ? memmem(fresh.p, fresh.n, needle.p, needle.n) : NULL;
    if (at) {
        *block_out = slice_of(view.p, (size_t)(at - view.p));
        return end_with(scanned, (ssize_t)(block_out->n + needle.n));
    }
    if (seen.n == window)
        return end_with(scanned, -EMSGSIZE);
    *scanned = seen.n < needle.n ? 0 : seen.n - needle.n + 1;
    return 0;
}

ssize_t frame_line_take(slice view, size_t n, slice *block_out)
{
    BUG_ON(!n);
    if (view.n < n)
        return 0;
    *block_out = slice_head(view, n);
    return (ssize_t)n;
}
