/* hex: bytes as pairs of hexadecimal digits (RFC 4648 8). */
#ifndef WIRE_HEX_H
#define WIRE_HEX_H

#include "base/fmt.h"

/* In lower case. */
void hex_put(slice bytes, struct fmt *out);

/* In either case. False: another character, half a byte or too little room; nothing was written. */
MUST_USE bool hex_read(slice text, struct fmt *out);

#endif
