/* escape: text that comes from outside (file names, request targets, field values), made harmless
 * inside HTML or JSON.
 *
 * Input may be any bytes; output is always valid UTF-8. Every byte that is not part of a
 * well-formed UTF-8 sequence (RFC 3629: no overlong forms, no surrogates, up to U+10FFFF) becomes
 * U+FFFD. What does not fit sets f->full, as in fmt.h; what was written then may end in the middle
 * of the text, never of a sequence or an escape. */
#ifndef WIRE_ESCAPE_H
#define WIRE_ESCAPE_H

#include "base/fmt.h"

/* For element content and for attribute values in either kind of quotes: & < > " ' become
 * references. Tab, line feed and carriage return stay; other control characters (and DEL), which
 * HTML cannot hold, become U+FFFD. At most 6 bytes for one. */
void escape_html(struct fmt *f, slice s);

/* For the inside of a JSON string (RFC 8259 7), without the quotes around it: quote and backslash
 * get a backslash, control characters (and DEL) become \u00XX. At most 6 bytes for one. */
void escape_json(struct fmt *f, slice s);

#endif
