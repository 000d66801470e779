/* watchdog: tells Lua code in the loop's thread that its time is up, at no cost for code that keeps
 * to it.
 *
 * A count hook that is always on would make every instruction of Lua dearer. Instead a thread looks
 * at a word that changes at each entry; when it has stayed the same for too long, it sends the
 * loop's thread a signal, whose handler calls back. lua_sethook is the one function of Lua that may
 * be called there. While nothing runs the thread sleeps without waking up. */
#ifndef SCRIPT_WATCHDOG_H
#define SCRIPT_WATCHDOG_H

#include "base/mem.h"

struct watchdog;

/* [on_late] is called in a signal handler of the calling thread (the loop's), again and again while
 * the same entry goes on, each [period_ms] after the last. NULL and *error_out = -errno. */
MUST_USE struct watchdog *watchdog_new(struct mem_owner *owner, unsigned period_ms,
                                       void (*on_late)(void *ctx), void *ctx, int *error_out);
void watchdog_free(struct watchdog **w);

/* Around each stretch of code that is watched; not nested. */
void watchdog_enter(struct watchdog *w);
void watchdog_leave(struct watchdog *w);

#endif
