/* fuzz_uri: what paths promise: no way out of the root, nothing that a name may not hold, and
 * encoding brings them back as they were. */
#include "base/check.h"
#include "wire/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(slice path)
{
    BUG_ON(!path.n || path.n > URI_PATH_MAX || path.p[0] != '/');
    for (size_t i = 0; i < path.n; i++)
        BUG_ON((unsigned char)path.p[i] < 0x20 || path.p[i] == 0x7f);
    slice rest = slice_skip(path, 1), segment;
    while (slice_cut(&rest, '/', &segment)) {
        BUG_ON(!segment.n && rest.p); /* "//" */
        BUG_ON(slice_is(segment, SLICE(".")) || slice_is(segment, SLICE("..")));
    }
}

static void check_round_trip(slice path)
{
    static char there[3 * URI_PATH_MAX], back[URI_PATH_MAX];
    struct fmt f = fmt_on(there, sizeof there), g = fmt_on(back, sizeof back);
    uri_path_encode(path, &f);
    BUG_ON(f.full || uri_path_decode(fmt_done(&f), &g) != 0);
    BUG_ON(!slice_is(fmt_done(&g), path));
}

/* In a room that is just large enough, or not quite. */
static void try_path(slice encoded, size_t room_n)
{
    char *room = malloc(room_n ? room_n : 1);
    BUG_ON(!room);
    struct fmt f = fmt_on(room, room_n);
    if (uri_path_decode(encoded, &f) == 0) {
        check_path(fmt_done(&f));
        check_round_trip(fmt_done(&f));
    } else {
        BUG_ON(fmt_done(&f).n);
    }
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    BUG_ON(!copy);
    if (size)
        memcpy(copy, data, size);
    slice in = slice_of(copy, size);
    try_path(in, size);
    try_path(in, size / 2);
    slice value = uri_query_get(in, SLICE("a"));
    BUG_ON(value.p && (value.p < in.p || value.p + value.n > in.p + in.n));
    if (uri_is_authority(in))
        BUG_ON(slice_find(in, '@') >= 0 || slice_find(in, '/') >= 0 || slice_find(in, ',') >= 0);
    free(copy);
    return 0;
}
