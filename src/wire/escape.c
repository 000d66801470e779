/* escape: HTML and JSON escapes over checked UTF-8.
 *
 * For listings, error pages, JSON answers and logs. Invariant: whatever came in, the text that goes
 * out is valid and contains nothing that ends the string or element it stands in. Plain runs are
 * copied in one piece. */
#include "wire/escape.h"

#define REPLACEMENT SLICE("\xef\xbf\xbd") /* U+FFFD */

static bool is_in(unsigned char c, unsigned low, unsigned high)
{
    return c >= low && c <= high;
}

/* Bytes of the UTF-8 sequence at the start of [s] (not empty), or 0 when it is not well-formed. RFC
 * 3629 4: UTF8-2 = %xC2-DF UTF8-tail UTF8-3 = %xE0 %xA0-BF UTF8-tail / %xE1-EC 2( UTF8-tail ) /
 * %xED %x80-9F UTF8-tail / %xEE-EF 2( UTF8-tail ) UTF8-4 = %xF0 %x90-BF 2( UTF8-tail ) / %xF1-F3 3(
 * UTF8-tail ) / %xF4 %x80-8F 2( UTF8-tail ) */
static size_t utf8_sequence(slice s)
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

/* What stands for one ASCII character; .p NULL: itself. [room] has 6 bytes for what is made on the
 * spot. */
typedef slice (*escape_fn)(unsigned char c, char room[static 6]);

static slice html_for(unsigned char c, char room[static 6])
{
    switch (c) {
    case '&':
        return SLICE("&amp;");
    case '<':
        return SLICE("&lt;");
    case '>':
        return SLICE("&gt;");
    case '"':
        return SLICE("&quot;");
    case '\'':
        return SLICE("&#39;");
    case '\t':
    case '\n':
    case '\r':
        return (slice){NULL, 0};
    default:
        return c < 0x20 || c == 0x7f ? REPLACEMENT : (slice){NULL, 0};
    }
}

static slice json_for(unsigned char c, char room[static 6])
{
    if (c == '"')
        return SLICE("\\\"");
    if (c == '\\')
        return SLICE("\\\\");
    if (c >= 0x20 && c != 0x7f)
        return (slice){NULL, 0};
    struct fmt f = fmt_on(room, 6);
    fmt_str(&f, "\\u00");
    fmt_char(&f, "0123456789abcdef"[c >> 4]);
    fmt_char(&f, "0123456789abcdef"[c & 15]);
    return fmt_done(&f);
}

static inline void escape_with(struct fmt *f, slice s, escape_fn replace)
{
    size_t plain = 0; /* bytes at the start of s that go out as they are */
    while (plain < s.n) {
        char room[6];
        slice rest = slice_skip(s, plain);
        size_t n = utf8_sequence(rest);
        slice instead = n == 0   ? REPLACEMENT
                        : n == 1 ? replace((unsigned char)rest.p[0], room)
                                 : (slice){NULL, 0};
        if (!instead.p) {
            plain += n;
            continue;
        }
        fmt_put(f, slice_head(s, plain));
        fmt_put(f, instead);
        s = slice_skip(rest, 1);
        plain = 0;
    }
    fmt_put(f, s);
}

void escape_html(struct fmt *f, slice s)
{
    escape_with(f, s, html_for);
}

void escape_json(struct fmt *f, slice s)
{
    escape_with(f, s, json_for);
}
