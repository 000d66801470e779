/* num: strict readers of numbers, sizes and durations. */
#include "base/num.h"

bool num_u64(slice s, uint64_t *out)
{
    uint64_t value = 0;
    if (!s.n)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return true;
}

bool num_hex(slice s, uint64_t *out)
{
    uint64_t value = 0;
    if (!s.n)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        int digit = num_hex_digit(s.p[i]);
        if (digit < 0 || value >> 60)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    *out = value;
    return true;
}

struct unit {
    slice name;
    uint64_t factor;
};

/* [s] split into its digits and one of [units], multiplied. */
static bool scaled(slice s, const struct unit *units, size_t count, uint64_t *out)
{
    size_t digits = 0;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    uint64_t value;
    if (!num_u64(slice_head(s, digits), &value))
        return false;
    slice name = slice_skip(s, digits);
    for (size_t i = 0; i < count; i++)
        if (slice_is_nocase(name, units[i].name))
            return !__builtin_mul_overflow(value, units[i].factor, out);
    return false;
}

bool num_size(slice s, uint64_t *bytes_out)
{
    static const struct unit units[] = {
        {SLICE(""), 1},
        {SLICE("B"), 1},
        {SLICE("K"), 1 << 10},
        {SLICE("KB"), 1 << 10},
        {SLICE("KiB"), 1 << 10},
        {SLICE("M"), 1 << 20},
        {SLICE("MB"), 1 << 20},
        {SLICE("MiB"), 1 << 20},
        {SLICE("G"), 1 << 30},
        {SLICE("GB"), 1 << 30},
        {SLICE("GiB"), 1 << 30},
        {SLICE("T"), (uint64_t)1 << 40},
        {SLICE("TB"), (uint64_t)1 << 40},
    };
    return scaled(s, units, COUNT_OF(units), bytes_out);
}

bool num_duration(slice s, int64_t *ms_out)
{
    static const struct unit units[] = {
        {SLICE(""), 1000},     {SLICE("ms"), 1},      {SLICE("s"), 1000},     {SLICE("m"), 60000},
        {SLICE("min"), 60000}, {SLICE("h"), 3600000}, {SLICE("d"), 86400000},
    };
    uint64_t ms;
    if (!scaled(s, units, COUNT_OF(units), &ms) || ms > INT64_MAX / NS_PER_MS)
        return false;
    *ms_out = (int64_t)ms;
    return true;
}
