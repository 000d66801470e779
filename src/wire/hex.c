/* hex: two digits a byte, the high one first. */
#include "wire/hex.h"

#include "base/num.h"

void hex_put(slice bytes, struct fmt *out)
{
    static const char digits[] = "0123456789abcdef";
    if (out->full || bytes.n > fmt_room(out) / 2) {
        out->full = true;
        return;
    }
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char byte = (unsigned char)bytes.p[i];
        *out->p++ = digits[byte >> 4];
        *out->p++ = digits[byte & 15];
    }
}

bool hex_read(slice text, struct fmt *out)
{
    if (text.n % 2 || out->full || text.n / 2 > fmt_room(out))
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (num_hex_digit(text.p[i]) < 0)
            return false;
    for (size_t i = 0; i < text.n; i += 2)
        *out->p++ = (char)(num_hex_digit(text.p[i]) << 4 | num_hex_digit(text.p[i + 1]));
    return true;
}
