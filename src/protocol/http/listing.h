/* listing: a directory as a web page, or as JSON.
 *
 * Pure functions over a vfs_list result: no loop, no files, no state; 10,000 entries take some
 * milliseconds, so call them on a worker when there are many.
 *
 * The page needs nothing but itself: styles and icons are within, there is no script. A
 * Content-Security-Policy of LISTING_CSP fits it. Links are relative, so it may be mounted
 * anywhere; names are escaped, whatever bytes they hold. */
#ifndef PROTOCOL_HTTP_LISTING_H
#define PROTOCOL_HTTP_LISTING_H

#include "base/buf.h"

struct vfs_list;

#define LISTING_CSP \
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

struct listing_request {
    slice path;  /* decoded, as the client sees it; begins and ends with "/" */
    slice sort;  /* "name", "size" or "time", from the query; anything else is "name" */
    slice order; /* "asc" or "desc"; anything else is "asc" */
    const struct vfs_list *list; /* its result, without error; not changed */
};

/* The page, held once by the caller; NULL without memory. Folders first, then by [sort]; names in
 * natural order ("file2" before "file10", case does not matter).
 *
 * Memory is charged to [owner]. On a worker [owner] is NULL: the result has no account, and the
 * loop's thread gives it one with buf_adopt. */
MUST_USE struct buf *listing_html(struct mem_owner *owner, const struct listing_request *request);

/* The same as {"path":"/a/","entries":[{"name":"b.txt","type":"file","size":12,
 * "modified":"2026-03-01T12:34:56Z"}],"cut":false}. type is "file" or "directory"; a directory's
 * size is null, and so is a time that no calendar has. Names that are not UTF-8 hold U+FFFD. */
MUST_USE struct buf *listing_json(struct mem_owner *owner, const struct listing_request *request);

#endif
