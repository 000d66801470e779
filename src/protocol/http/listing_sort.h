/* listing_sort: in which order a directory's entries stand in a listing. A private part of listing.
 */
#ifndef PROTOCOL_HTTP_LISTING_SORT_H
#define PROTOCOL_HTTP_LISTING_SORT_H

#include "base/slice.h"

struct vfs_entry;
struct vfs_list;

enum listing_key { LISTING_NAME, LISTING_SIZE, LISTING_TIME };

struct listing_item {
    uint64_t key; /* private: what decides nearly always */
    const struct vfs_entry *entry;
};

/* Fills items[list->count] with the entries of [list]: directories first, each part sorted.
 * Directories have no size: by size they stand by name. What is equal stands by name, upwards.
 * Returns how many directories there are. */
size_t listing_sort(const struct vfs_list *list, enum listing_key key, bool descending,
                    struct listing_item *items);

/* Natural order: runs of digits by their value, letters without case (ASCII), all else by byte. 0
 * only for equal names. */
int listing_name_cmp(slice a, slice b);

#endif
