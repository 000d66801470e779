/* http_range: Range and Content-Range for byte ranges (RFC 9110 14.1.2, 14.2, 14.4).
 *
 * http_cond decides before whether the field counts at all (If-Range). Invariant: what is handed
 * out lies within the representation and no byte is in two ranges, so an answer is never longer
 * than the whole. */
#include "wire/http_range.h"

/* One range-spec as it was written. */
struct range_spec {
    bool is_suffix;
    uint64_t first, last; /* of a suffix only [last]: its length */
};

/* 1*DIGIT from the front of *s. A number that is too large to represent is still a number: it
 * becomes the largest one, which lies behind the end of every file. */
static bool take_number(slice *s, uint64_t *out)
{
    uint64_t value = 0;
    bool over = false;
    size_t n = 0;
    for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++)
        over = over || __builtin_mul_overflow(value, 10, &value) ||
               __builtin_add_overflow(value, (unsigned)(s->p[n] - '0'), &value);
    *out = over ? UINT64_MAX : value;
    *s = slice_skip(*s, n);
    return n > 0;
}

/* RFC 9110 14.1.1:
 *   int-range    = first-pos "-" [ last-pos ]
 *   suffix-range = "-" suffix-length
 * "An int-range is invalid if the last-pos value is present and less than first-pos." */
static bool parse_spec(slice s, struct range_spec *spec)
{
    spec->is_suffix = !take_number(&s, &spec->first);
    if (s.n == 0 || s.p[0] != '-')
        return false;
    s = slice_skip(s, 1);
    bool has_last = take_number(&s, &spec->last);
    if (s.n != 0)
        return false;
    if (spec->is_suffix)
        return has_last;
    if (!has_last)
        spec->last = UINT64_MAX;
    return spec->first <= spec->last;
}

/* RFC 9110 14.1.2: what the spec means for [size] bytes. False: not satisfiable. */
static bool resolve(const struct range_spec *spec, uint64_t size, struct http_range *range_out)
{
    if (size == 0)
        return false;
    if (spec->is_suffix) {
        uint64_t length = MIN(spec->last, size);
        *range_out = (struct http_range){size - length, size - 1};
        return length > 0;
    }
    *range_out = (struct http_range){spec->first, MIN(spec->last, size - 1)};
    return spec->first < size;
}

/* RFC 9110 14.2: a server may ignore ranges that overlap: they cost more than the whole
 * representation. */
static bool overlaps_any(struct http_range r, const struct http_range *ranges, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (r.first <= ranges[i].last && ranges[i].first <= r.last)
            return true;
    return false;
}

/* range-set = 1#range-spec, with the empty elements that a recipient of a list accepts (RFC
 * 9110 5.6.1.2). */
static enum http_range_result parse_set(slice set, uint64_t size, struct http_range *ranges,
                                        unsigned *count_out)
{
    unsigned specs = 0, count = 0;
    bool is_suffix_of_nothing = false;
    for (slice item; slice_cut(&set, ',', &item);) {
        item = slice_trim(item);
        struct range_spec spec;
        struct http_range range;
        if (item.n == 0)
            continue;
        if (!parse_spec(item, &spec))
            return RANGE_NONE;
        specs++;
        is_suffix_of_nothing |= size == 0 && spec.is_suffix && spec.last > 0;
        if (!resolve(&spec, size, &range))
            continue;
        if (count == HTTP_RANGES_MAX || overlaps_any(range, ranges, count))
            return RANGE_NONE;
        ranges[count++] = range;
    }
    if (specs == 0 || is_suffix_of_nothing)
        return RANGE_NONE;
    *count_out = count;
    return count ? RANGE_OK : RANGE_UNSATISFIABLE;
}

enum http_range_result http_range_parse(slice value, uint64_t size,
                                        struct http_range ranges[HTTP_RANGES_MAX],
                                        unsigned *count_out)
{
    *count_out = 0;
    slice set = value, unit;
    /* ranges-specifier = range-unit "=" range-set */
    if (!slice_cut(&set, '=', &unit) || !slice_is_nocase(unit, SLICE("bytes")))
        return RANGE_NONE;
    return parse_set(set, size, ranges, count_out);
}

void http_content_range_put(struct fmt *f, struct http_range range, uint64_t size)
{
    fmt_str(f, "bytes ");
    fmt_u64(f, range.first);
    fmt_char(f, '-');
    fmt_u64(f, range.last);
    fmt_char(f, '/');
    fmt_u64(f, size);
}

void http_content_range_put_unsatisfied(struct fmt *f, uint64_t size)
{
    fmt_str(f, "bytes */");
    fmt_u64(f, size);
}
