/* l_lookup: the addresses of a name, for a task that waits for them. */
#ifndef SCRIPT_L_LOOKUP_H
#define SCRIPT_L_LOOKUP_H

#include "script/l_api.h"

struct lookup;

/* Asks for [name]; what it is kept in is pushed. 0, or the error that l_lookup_fail tells. RAISES.
 */
MUST_USE int l_lookup_start(lua_State *L, slice name, uint16_t port);

/* As l_task_wait, for the lookup on the top of the stack. RAISES. */
int l_lookup_wait(lua_State *L, lua_KFunction k, lua_KContext ctx);

/* In k: the number of addresses, copied to [out] (RESOLVE_MAX), best first; or the error. The
 * lookup at [at] is over. */
MUST_USE int l_lookup_take(lua_State *L, int at, struct addr *out);

/* nil and the sentence for [error]. */
int l_lookup_fail(lua_State *L, int error);

/* "host:port", "[::1]:53", "unix:/path": false when there is no port in it. */
MUST_USE bool l_split_address(slice text, slice *host_out, uint16_t *port_out);

void l_open_lookup(lua_State *L);

#endif
