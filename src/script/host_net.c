/* host_net: made late, ended in the order in which they need each other. */
#include "script/host_net.h"

#include "protocol/http/client.h"
#include "script/out_conn.h"
#include "service/resolver.h"

#include <errno.h>

struct resolver *host_resolver(struct host *host, int *error_out)
{
    *error_out = -ECANCELED;
    if (!host->resolver && !host->is_stopping)
        host->resolver = resolver_new(host->loop, host->book, NULL, error_out);
    return host->resolver;
}

struct http_client *host_client(struct host *host, int *error_out)
{
    struct resolver *resolver = host_resolver(host, error_out);
    if (!resolver || host->client)
        return resolver ? host->client : NULL;
    struct http_client_settings settings;
    http_client_settings_default(&settings);
    *error_out = -ENOMEM;
    host->client = http_client_new(host->io, host->book, resolver, &settings);
    return host->client;
}

void host_net_init(struct host *host)
{
    host->out_class = (struct stream_class){
        .ops = &out_conn_ops, .io = host->io, .low_bytes = 16 * KIB, .high_bytes = 64 * KIB};
}

void host_net_stop(struct host *host)
{
    host->is_stopping = true;
    if (host->resolver)
        resolver_stop(host->resolver);
}

bool host_net_is_empty(const struct host *host)
{
    return host->out_count == 0 && (!host->resolver || resolver_is_idle(host->resolver));
}

void host_net_fini(struct host *host)
{
    http_client_free(&host->client);
    if (host->resolver)
        resolver_free(&host->resolver);
}
