/* base64: three bytes are four characters of six bits. */
#include "wire/base64.h"

static const char alphabets[2][65] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

static bool is_padded(enum base64_form form)
{
    return form != BASE64_URL;
}

size_t base64_length(size_t n, enum base64_form form)
{
    if (n > SIZE_MAX / 4 * 3 - 3)
        return SIZE_MAX;
    size_t rest = n % 3;
    size_t tail = !rest ? 0 : is_padded(form) ? 4 : rest + 1;
    return n / 3 * 4 + tail;
}

/* The characters of 1 to 3 bytes, always four. */
static void put_group(slice in, const char *alphabet, char *out)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; i++)
        bits = bits << 8 | (i < in.n ? (unsigned char)in.p[i] : 0);
    for (int i = 0; i < 4; i++)
        out[i] = alphabet[bits >> (18 - 6 * i) & 63];
}

void base64_put(slice bytes, enum base64_form form, struct fmt *out)
{
    const char *alphabet = alphabets[form != BASE64];
    size_t n = base64_length(bytes.n, form);
    if (out->full || n > fmt_room(out)) {
        out->full = true;
        return;
    }
    for (; bytes.n >= 3; bytes = slice_skip(bytes, 3), out->p += 4)
        put_group(bytes, alphabet, out->p);
    if (!bytes.n)
        return;
    char group[4];
    put_group(bytes, alphabet, group);
    fmt_put(out, slice_of(group, bytes.n + 1));
    if (is_padded(form))
        fmt_put(out, slice_head(SLICE("=="), 3 - bytes.n));
}

/* The six bits of a character, or -1. */
static int value_of(char c, bool is_url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (is_url ? '-' : '+'))
        return 62;
    return c == (is_url ? '_' : '/') ? 63 : -1;
}

/* Up to four characters at [text] to the bytes that they are; false: refused. */
static bool read_group(slice text, bool is_url, struct fmt *out)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < text.n; i++) {
        int value = value_of(text.p[i], is_url);
        if (value < 0)
            return false;
        bits = bits << 6 | (unsigned)value;
    }
    size_t n = text.n * 6 / 8;
    unsigned left = (unsigned)(text.n * 6 % 8);
    if (text.n == 1 || (bits & ((1u << left) - 1)))
        return false;
    bits >>= left;
    char bytes[3];
    for (size_t i = n; i > 0; i--, bits >>= 8)
        bytes[i - 1] = (char)bits;
    fmt_put(out, slice_of(bytes, n));
    return !out->full;
}

bool base64_read(slice text, enum base64_form form, struct fmt *out)
{
    const struct fmt before = *out;
    bool ok = !out->full;
    if (is_padded(form) && text.n) {
        ok = ok && text.n % 4 == 0;
        for (int i = 0; i < 2 && text.n && text.p[text.n - 1] == '='; i++)
            text.n--;
    }
    for (; ok && text.n; text = slice_skip(text, 4))
        ok = read_group(slice_head(text, 4), form != BASE64, out);
    if (!ok)
        *out = before;
    return ok;
}
