/* near: what somebody may have meant: the known word that is nearest to a misspelt one. */
#ifndef BASE_NEAR_H
#define BASE_NEAR_H

#include "base/slice.h"

/* Index of the word among [words] that takes the fewest edits (insert, delete, change, swap
 * neighbours), or -1 when none is near enough to be meant. */
int near_word(slice typed, const slice *words, size_t count);

#endif
