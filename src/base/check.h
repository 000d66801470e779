/* check: what to do about our own bugs.
 *
 * BUG_ON is for states that only our own bug can reach: it is always compiled in, says where, and
 * aborts. A peer, the kernel or the disk can never reach one: their behaviour is handled, not
 * asserted. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include "base/defs.h"

/* Prints [what] with its place and a backtrace to stderr, then aborts. Uses no allocation. */
COLD NORETURN void check_bug(const char *what, const char *file, int line);

#define BUG_ON(cond)                              \
    do {                                          \
        if (UNLIKELY(cond))                       \
            check_bug(#cond, __FILE__, __LINE__); \
    } while (0)

#endif
