/* num: numbers out of text, strictly: the whole slice must be the number, overflow is refused. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/slice.h"

/* 1*DIGIT, no sign, no blanks. False leaves *out alone. */
MUST_USE bool num_u64(slice s, uint64_t *out);

/* 1*HEXDIG, no prefix. */
MUST_USE bool num_hex(slice s, uint64_t *out);

/* A size as people write it: "512", "16K", "64M", "2G" (powers of 1024; a final "B" or "iB" is
 * allowed). */
MUST_USE bool num_size(slice s, uint64_t *bytes_out);

/* A time as people write it: "30" or "30s", "500ms", "2m", "1h". */
MUST_USE bool num_duration(slice s, int64_t *ms_out);

/* Value of one hexadecimal digit, or -1. */
static inline int num_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

#endif
