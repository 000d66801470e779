/* fmt: numbers and printf into bounded room. */
#include "base/fmt.h"

#include <stdarg.h>

void fmt_u64_wide(struct fmt *f, uint64_t value, unsigned width)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (at > 0 && sizeof digits - at < width)
        digits[--at] = '0';
    fmt_put(f, slice_of(digits + at, sizeof digits - at));
}

void fmt_u64(struct fmt *f, uint64_t value)
{
    fmt_u64_wide(f, value, 1);
}

void fmt_hex(struct fmt *f, uint64_t value)
{
    char digits[16];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value);
    fmt_put(f, slice_of(digits + at, sizeof digits - at));
}

void fmt_printf(struct fmt *f, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text)
        f->full = true;
    else
        fmt_put(f, slice_of(text, (size_t)n));
}
