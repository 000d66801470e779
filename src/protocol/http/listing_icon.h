/* listing_icon: which small picture stands before a name. A private part of listing. */
#ifndef PROTOCOL_HTTP_LISTING_ICON_H
#define PROTOCOL_HTTP_LISTING_ICON_H

#include "base/slice.h"

/* One <svg> that shows nothing and defines a symbol for each icon: id "d" is a directory, "u" the
 * way up, the others are what listing_icon_of returns. */
slice listing_icons(void);

/* The symbol's id for a file's name, by its extension. */
char listing_icon_of(slice name);

#endif
