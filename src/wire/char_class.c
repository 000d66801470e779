/* char_class: the table. */
#include "wire/char_class.h"

#define T CHAR_TOKEN
#define P CHAR_PATH
#define Q CHAR_QUERY
#define U CHAR_URI_PATH
#define R CHAR_REG_NAME

/* RFC 3986 2.3 unreserved, and those sub-delims that are also tchar */
#define COMMON (T | P | Q | U | R)

const uint8_t char_class[256] = {
    [0x00 ... 0x1f] = CHAR_CONTROL,
    [0x7f] = CHAR_CONTROL,
    ['0' ... '9'] = COMMON | CHAR_DIGIT,
    ['A' ... 'Z'] = COMMON,
    ['a' ... 'z'] = COMMON,
    ['-'] = COMMON,
    ['.'] = COMMON,
    ['_'] = COMMON,
    ['~'] = COMMON,
    ['!'] = COMMON,
    ['$'] = COMMON,
    ['&'] = COMMON,
    ['\''] = COMMON,
    ['*'] = COMMON,
    ['+'] = COMMON,
    ['('] = P | Q | U | R,
    [')'] = P | Q | U | R,
    [';'] = P | Q | U | R,
    ['='] = P | Q | U | R,
    [','] = P | Q | U,
    ['/'] = P | Q | U,
    [':'] = P | Q | U,
    ['@'] = P | Q | U,
    ['%'] = T | P | Q,
    ['?'] = Q,
    ['#'] = T,
    ['['] = P | Q,
    [']'] = P | Q,
    ['^'] = T | P | Q,
    ['|'] = T | P | Q,
    ['`'] = T | Q,
    ['{'] = Q,
    ['}'] = Q,
};
