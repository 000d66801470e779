/* utf8: well-formed UTF-8 by RFC 3629: no overlong forms, no surrogates, up to U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

/* Bytes of the sequence at the start of [s] (not empty), or 0 when it is not well-formed. */
size_t utf8_sequence(slice s);

/* How many bytes at the start of [s] are whole, well-formed sequences; s.n when all are. */
size_t utf8_valid(slice s);

/* Writes the sequence of a code point (up to U+10FFFF, no surrogate); its length. */
size_t utf8_put(uint32_t code_point, char out[static 4]);

#endif
