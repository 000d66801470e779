/* base64: RFC 4648, both alphabets, read strictly: one text for one value. */
#ifndef WIRE_BASE64_H
#define WIRE_BASE64_H

#include "base/fmt.h"

enum base64_form {
    BASE64,         /* section 4: "+", "/", padded with "=" */
    BASE64_URL,     /* section 5: "-", "_", not padded */
    BASE64_URL_PAD, /* section 5, padded */
};

/* The length of what base64_put writes for [n] bytes; SIZE_MAX when that is no size. */
size_t base64_length(size_t n, enum base64_form form);

/* At most so many bytes come out of [n] characters. */
static inline size_t base64_bytes_max(size_t n)
{
    return n / 4 * 3 + n % 4;
}

void base64_put(slice bytes, enum base64_form form, struct fmt *out);

/* Writes the bytes that [text] stands for. Padding must be there as the form says. False: another
 * character, padding or length, bits behind the last byte that are not zero (RFC 4648 3.5), or
 * too little room; nothing was written. */
MUST_USE bool base64_read(slice text, enum base64_form form, struct fmt *out);

#endif
