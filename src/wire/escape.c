/* escape: HTML and JSON escapes over checked UTF-8.
 *
 * For listings, error pages, JSON answers and logs. Invariant: whatever came in, the text that goes
 * out is valid and contains nothing that ends the string or element it stands in. Plain runs are
 * copied in one piece. */
#include "wire/escape.h"

#include "base/utf8.h"

#define REPLACEMENT SLICE("\xef\xbf\xbd") /* U+FFFD */

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
