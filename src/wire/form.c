/* form: pairs cut at "&" and "=", and the two encodings that differ in the blank. */
#include "wire/form.h"

#include "base/num.h"

bool form_next(slice *rest, struct form_pair *pair)
{
    slice item;
    do {
        if (!slice_cut(rest, '&', &item))
            return false;
    } while (!item.n);
    pair->value = item;
    slice_cut(&pair->value, '=', &pair->name);
    return true;
}

/* The byte that "%HH" at [at] stands for, or -1. */
static int percent_byte(slice s, size_t at)
{
    if (s.n - at < 3)
        return -1;
    int high = num_hex_digit(s.p[at + 1]), low = num_hex_digit(s.p[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool form_decode(slice encoded, char *room, slice *text_out)
{
    bool is_clean = true;
    size_t n = 0;
    for (size_t i = 0; i < encoded.n; i++) {
        char c = encoded.p[i] == '+' ? ' ' : encoded.p[i];
        int byte = c == '%' ? percent_byte(encoded, i) : -1;
        is_clean &= c != '%' || byte >= 0;
        if (byte >= 0) {
            c = (char)byte;
            i += 2;
        }
        room[n++] = c;
    }
    *text_out = slice_of(room, n);
    return is_clean;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Bytes at the start of [s] that stay; [marks] are those besides letters and digits. */
static size_t plain_length(slice s, slice marks)
{
    size_t n = 0;
    while (n < s.n && (is_alnum(s.p[n]) || slice_find(marks, s.p[n]) >= 0))
        n++;
    return n;
}

static void encode(slice text, slice marks, bool is_form, struct fmt *out)
{
    static const char digits[] = "0123456789ABCDEF";
    while (text.n) {
        size_t plain = plain_length(text, marks);
        fmt_put(out, slice_head(text, plain));
        text = slice_skip(text, plain);
        if (!text.n)
            return;
        unsigned char byte = (unsigned char)text.p[0];
        char hex[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        fmt_put(out, is_form && byte == ' ' ? SLICE("+") : slice_of(hex, sizeof hex));
        text = slice_skip(text, 1);
    }
}

void form_encode(slice text, struct fmt *out)
{
    encode(text, SLICE("*-._"), true, out);
}

void form_encode_component(slice text, struct fmt *out)
{
    encode(text, SLICE("-._~"), false, out);
}
