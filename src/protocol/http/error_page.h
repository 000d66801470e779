/* error_page: what a person sees when a request fails: a small page of our own, or the site's.
 *
 * Pages are made when they are first needed and kept. They hold the status, its name and a sentence
 * that helps, never anything of the request or of the server's inside. Each is there as HTML and
 * as plain text (for curl and its kin). */
#ifndef PROTOCOL_HTTP_ERROR_PAGE_H
#define PROTOCOL_HTTP_ERROR_PAGE_H

#include "base/buf.h"

#define ERROR_PAGE_MIN       400
#define ERROR_PAGE_MAX       599
#define ERROR_PAGE_FILE_MAX  (64 * KIB) /* larger files are not taken as custom pages */
#define ERROR_PAGE_HTML_TYPE "text/html; charset=utf-8"
#define ERROR_PAGE_TEXT_TYPE "text/plain; charset=utf-8"

struct error_pages {
    /* private */
    struct mem_owner *owner;
    struct buf *html[ERROR_PAGE_MAX - ERROR_PAGE_MIN + 1];
    struct buf *text[ERROR_PAGE_MAX - ERROR_PAGE_MIN + 1];
};

/* [owner] outlives *pages. */
void error_pages_init(struct error_pages *pages, struct mem_owner *owner);
void error_pages_fini(struct error_pages *pages);

/* Takes the files NNN.html (404.html) of [dir] as the HTML pages of these statuses, instead of our
 * own. Blocks: call it at start. The number of pages taken, or -errno of the first that could not
 * be: the directory or a file could not be read (-EFBIG: it is larger than ERROR_PAGE_FILE_MAX);
 * *status_out is then that file's status, 0 for the directory itself. Pages taken before stay. */
MUST_USE int error_pages_load(struct error_pages *pages, const char *dir, int *status_out);

/* Gives up what *pages has, and takes what [site] has loaded (by reference). */
void error_pages_share(struct error_pages *pages, const struct error_pages *site);

/* The page of [status]: HTML when [html], else text. It belongs to *pages: hold it to keep it
 * beyond error_pages_fini. NULL without memory, or when [status] is not in MIN..MAX: answer with an
 * empty body. */
MUST_USE struct buf *error_page(struct error_pages *pages, int status, bool html);

/* Does a client with this Accept field (.p NULL: none was sent) want HTML? Browsers name text/html;
 * curl does not. */
bool error_page_wants_html(slice accept);

#endif
