/* char_class: which bytes may stand where, as one table for all parsers of HTTP and URIs.
 *
 * One load answers the question for every class at once, so a parser can also OR the classes of a
 * run of bytes. */
#ifndef WIRE_CHAR_CLASS_H
#define WIRE_CHAR_CLASS_H

#include "base/defs.h"

enum char_class {
    CHAR_TOKEN = 1,     /* tchar, RFC 9110 5.6.2 */
    CHAR_PATH = 2,      /* what we accept in the path of a request target, see http1_req.h */
    CHAR_QUERY = 4,     /* the same for its query */
    CHAR_URI_PATH = 8,  /* pchar without "%", and "/": what we write in paths, RFC 3986 3.3 */
    CHAR_REG_NAME = 16, /* RFC 3986 3.2.2 reg-name, without "%" and the comma */
    CHAR_DIGIT = 32,
    CHAR_CONTROL = 64, /* below 0x20, and DEL */
};

extern const uint8_t char_class[256];

static inline bool char_is(char c, enum char_class class)
{
    return char_class[(unsigned char)c] & class;
}

#endif
