/* host_net: the services of the network that all scripts of a host share: who looks up names, and
 * the client for HTTP with its pool of connections. Each is made when it is first used. */
#ifndef SCRIPT_HOST_NET_H
#define SCRIPT_HOST_NET_H

#include "script/host.h"

/* NULL and *error_out = -errno on failure. */
MUST_USE struct resolver *host_resolver(struct host *host, int *error_out);
MUST_USE struct http_client *host_client(struct host *host, int *error_out);

/* For host.c. */
void host_net_init(struct host *host);
/* No more questions are taken. */
void host_net_stop(struct host *host);
bool host_net_is_empty(const struct host *host);
/* It is empty. Idle connections close in the turn that follows. */
void host_net_fini(struct host *host);

#endif
