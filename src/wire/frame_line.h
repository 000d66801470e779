/* frame_line: where a line or a block ends, for protocols of text over a contiguous view of unread
 * bytes.
 *
 * Pure functions. *scanned is 0 for a new line and is kept by the caller between calls while more
 * of the same bytes arrive (they may have moved): so much is known to hold no end, and what comes
 * byte by byte costs linear time. It is 0 again after a result other than 0. The result depends on
 * the bytes alone, not on how they were cut; what is too long is refused as soon as that is sure.
 *
 * - > 0: bytes of the line with its end; the caller consumes them;
 * - 0: not complete yet;
 * - -EMSGSIZE: longer than [max], without its end. */
#ifndef WIRE_FRAME_LINE_H
#define WIRE_FRAME_LINE_H

#include "base/slice.h"

/* A line ends with LF; one CR before it is not part of the line. */
MUST_USE ssize_t frame_line_find(slice view, size_t *scanned, size_t max, slice *line_out);

/* All before the first [needle], which is not empty. */
MUST_USE ssize_t frame_line_find_until(slice view, slice needle, size_t *scanned, size_t max,
                                       slice *block_out);

/* Exactly [n] bytes, for protocols that tell a length first: > 0 or 0 as above; n > 0. */
MUST_USE ssize_t frame_line_take(slice view, size_t n, slice *block_out);

#endif
