/* mime: the media type of a file, by the extension of its name.
 *
 * A table begins with the types of the modern web, built in; the text of /etc/mime.types (the
 * caller reads it) is laid over it. All memory is charged to the owner of mime_new and given back
 * by mime_free. */
#ifndef WIRE_MIME_H
#define WIRE_MIME_H

#include "base/mem.h"
#include "base/slice.h"

struct mime_table;

/* The built-in table; NULL when there is no memory. [owner] must outlive it. */
MUST_USE struct mime_table *mime_new(struct mem_owner *owner);

/* Accepts NULL; nulls *t. */
void mime_free(struct mime_table **t);

/* Reads text of the form "type/subtype extension extension # comment", one type a line, copies what
 * it needs. A later line wins over an earlier one (as in Apache httpd and in Python), so a site's
 * own lines can come after the system's, and any line wins over the built-in table. Lines and
 * extensions that are malformed are passed over. False when there is no memory; the lines before
 * stay in force. */
MUST_USE bool mime_load(struct mime_table *t, slice text);

/* The same for the text of the system's /etc/mime.types; then a few extensions get their type of
 * the web again, which it means otherwise (.ts is a film, not a translation). */
MUST_USE bool mime_load_system(struct mime_table *t, slice text);

/* The value of Content-Type for a file name (a path may stand before it). Case does not matter.
 * Never empty: text types and JavaScript get "; charset=utf-8", because browsers guess otherwise.
 * Not JSON (always UTF-8, RFC 8259 8.1; it has no charset parameter), not application/xml, SVG and
 * the like (the document itself declares its encoding); names without an extension are
 * "application/octet-stream", but README, LICENSE, Makefile and their kin are plain text; a dot at
 * the start of a name (".html") begins no extension. Only the last extension counts: "a.tar.gz" is
 * application/gzip. Valid until mime_free. */
slice mime_of(const struct mime_table *t, slice file_name);

#endif
