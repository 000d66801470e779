/* privs: giving up root. */
#ifndef MAIN_PRIVS_H
#define MAIN_PRIVS_H

#include "base/defs.h"

/* Becomes user [name] with its groups, for good: all threads, no way back. 0; -ENOENT: no such
 * user; -EPERM: not root; other -errno. */
MUST_USE int privs_drop(const char *name);

#endif
