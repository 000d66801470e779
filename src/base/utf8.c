/* utf8: the grammar of RFC 3629 4 as ranges for the second byte. */
#include "base/utf8.h"

static bool is_in(unsigned char c, unsigned low, unsigned high)
{
    return c >= low && c <= high;
}

/* RFC 3629 4:
 * UTF8-2 = %xC2-DF UTF8-tail
 * UTF8-3 = %xE0 %xA0-BF UTF8-tail / %xE1-EC 2( UTF8-tail ) /
 *          %xED %x80-9F UTF8-tail / %xEE-EF 2( UTF8-tail )
 * UTF8-4 = %xF0 %x90-BF 2( UTF8-tail ) / %xF1-F3 3( UTF8-tail ) / %xF4 %x80-8F 2( UTF8-tail ) */
size_t utf8_sequence(slice s)
{
    const unsigned char *b = (const unsigned char *)s.p;
    if (b[0] < 0x80)
        return 1;
    size_t n = is_in(b[0], 0xc2, 0xdf) ? 2 : is_in(b[0], 0xe0, 0xef) ? 3 : 4;
    if (!is_in(b[0], 0xc2, 0xf4) || s.n < n)
        return 0;
    unsigned low = b[0] == 0xe0 ? 0xa0 : b[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = b[0] == 0xed ? 0x9f : b[0] == 0xf4 ? 0x8f : 0xbf;
    if (!is_in(b[1], low, high))
        return 0;
    for (size_t i = 2; i < n; i++)
        if (!is_in(b[i], 0x80, 0xbf))
            return 0;
    return n;
}

size_t utf8_valid(slice s)
{
    size_t at = 0;
    while (at < s.n) {
        uint64_t word;
        if (s.n - at >= sizeof word) {
            memcpy(&word, s.p + at, sizeof word);
            if (!(word & UINT64_C(0x8080808080808080))) {
                at += sizeof word;
                continue;
            }
        }
        size_t n = utf8_sequence(slice_skip(s, at));
        if (!n)
            break;
        at += n;
    }
    return at;
}

size_t utf8_put(uint32_t c, char out[static 4])
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[n] | c);
    return n;
}
