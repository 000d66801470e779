/* http1_head: the scan that finds the lines, and the words that both kinds of heads use. */
#include "wire/http1_head.h"

#include "base/num.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Offset of the first control character at or after [at], or in.n. */
static inline size_t next_control(slice in, size_t at)
{
#ifdef __SSE2__
    const __m128i last_control = _mm_set1_epi8(0x1f), del = _mm_set1_epi8(0x7f);
    for (; at + 16 <= in.n; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(in.p + at));
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
        int mask = _mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(bytes, del)));
        if (mask)
            return at + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    while (at < in.n && !char_is(in.p[at], CHAR_CONTROL))
        at++;
    return at;
}

enum http1_found http1_scan_lines(slice in, size_t *at, struct http1_lines *lines)
{
    size_t i = *at, count = 0;
    enum http1_found found = HTTP1_FOUND_MORE;
    for (;; i++) {
        i = next_control(in, i);
        if (i >= in.n)
            break;
        if (in.p[i] == '\t')
            continue;
        if (in.p[i] == '\r' && i + 1 == in.n)
            break;
        if (in.p[i] != '\r' || in.p[i + 1] != '\n') {
            found = HTTP1_FOUND_BAD;
            break;
        }
        if (i == 0 || in.p[i - 1] == '\n') {
            found = HTTP1_FOUND_END;
            break;
        }
        if (LIKELY(count < COUNT_OF(lines->end)))
            lines->end[count] = (uint32_t)i;
        count++;
        i++;
    }
    lines->count = count;
    *at = i;
    return found;
}

const char *http1_why_bad(char c)
{
    if (c == '\n')
        return "A line ends with LF alone.";
    if (c == '\r')
        return "There is a CR without LF.";
    return "The head holds a control character.";
}

const char *http1_why_no_name(slice line, size_t at)
{
    /* RFC 9112 2.2 and 5.2 */
    if (at == 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
        return "A header line begins with white space.";
    if (at == line.n)
        return "A header line has no colon.";
    if (at == 0)
        return "A header field has no name.";
    /* RFC 9112 5.1 */
    if (line.p[at] == ' ' || line.p[at] == '\t')
        return "There is white space between a header field's name and its colon.";
    return "A header field's name holds a character that it may not hold.";
}

void http1_read_connection(slice value, struct http1_connection *c)
{
    for (slice item; slice_cut(&value, ',', &item);) {
        item = slice_trim(item);
        if (slice_is_nocase(item, SLICE("keep-alive")))
            c->keep_alive = true;
        else if (slice_is_nocase(item, SLICE("close")))
            c->close = true;
        else if (slice_is_nocase(item, SLICE("upgrade")))
            c->upgrade = true;
    }
}

bool http1_read_length(slice value, uint64_t *out)
{
    return !(value.n > 1 && value.p[0] == '0') && num_u64(value, out);
}
