/* client_dial: from a URL to a connected socket: a path, an address, or a name that is looked up.
 *
 * An object of its own, because it is large and short-lived, and because what it waits for may
 * still refer to it in the turn in which the request is given up: it is freed at the turn's end. */
#include "protocol/http/client_impl.h"

#include "io/connect.h"
#include "service/resolver.h"

#include <errno.h>

struct http_dial {
    struct http_client *client;
    struct http_request *r; /* NULL: given up */
    struct resolve resolve;
    struct connect connect;
    struct loop_deferred end;
    int64_t timeout_ms;
    struct addr addr; /* when there is nothing to look up */
};

static void bury(struct loop_deferred *d)
{
    struct http_dial *dial = CONTAINER_OF(d, struct http_dial, end);
    struct http_client *client = dial->client;
    mem_free(&client->owner, dial, sizeof *dial);
    http_client_release(client);
}

/* It is the request's no longer. */
static struct http_request *give_up(struct http_dial *dial)
{
    struct http_request *r = dial->r;
    dial->r = NULL;
    r->dial = NULL;
    dial->client->open--;
    loop_bury(dial->client->io->loop, &dial->end);
    return r;
}

static void on_connected(struct connect *c, int sock)
{
    struct http_dial *dial = CONTAINER_OF(c, struct http_dial, connect);
    http_client_dialled(give_up(dial), sock);
}

static int start_connect(struct http_dial *dial, const struct addr *addrs, unsigned count)
{
    dial->connect.done = on_connected;
    return connect_start(&dial->connect, dial->client->io->loop, addrs, count, dial->timeout_ms);
}

static void on_resolved(struct resolve *q)
{
    struct http_dial *dial = CONTAINER_OF(q, struct http_dial, resolve);
    int error = HTTP_CLIENT_NO_ADDRESS;
    if (q->error == 0)
        error = start_connect(dial, q->addrs, q->count);
    else
        dial->r->why = resolver_error_text(q->error);
    if (error < 0)
        http_client_dialled(give_up(dial), error);
}

static int start_resolve(struct http_dial *dial, const struct url *url)
{
    struct resolver *resolver = dial->client->resolver;
    if (!resolver)
        return HTTP_CLIENT_NO_RESOLVER;
    dial->resolve.done = on_resolved;
    int error = resolver_start(resolver, &dial->resolve, url->host, url->port, AF_UNSPEC);
    if (error == 0 || error == -ENOMEM)
        return error;
    dial->r->why = resolver_error_text(error);
    return HTTP_CLIENT_NO_ADDRESS;
}

/* The address that the URL names itself, if it does. */
static bool read_address(const struct url *url, struct addr *out)
{
    char text[sizeof(struct sockaddr_un) + 16];
    struct fmt f = fmt_on(text, sizeof text);
    const char *why;
    if (url->scheme == URL_UNIX) {
        fmt_put(&f, SLICE("unix:"));
        fmt_put(&f, url->host);
        return !f.full && addr_parse(fmt_done(&f), out, &why);
    }
    bool is_v6 = slice_find(url->host, ':') >= 0;
    bool is_v4 = url->host.n && char_is(url->host.p[url->host.n - 1], CHAR_DIGIT) &&
                 char_is(url->host.p[0], CHAR_DIGIT);
    if (!is_v6 && !is_v4)
        return false;
    fmt_put(&f, is_v6 ? SLICE("[") : SLICE(""));
    fmt_put(&f, url->host);
    fmt_put(&f, is_v6 ? SLICE("]:") : SLICE(":"));
    fmt_u64(&f, url->port);
    return !f.full && addr_parse(fmt_done(&f), out, &why);
}

static int begin(struct http_dial *dial, const struct url *url)
{
    if (read_address(url, &dial->addr))
        return start_connect(dial, &dial->addr, 1);
    return url->scheme == URL_UNIX ? HTTP_CLIENT_BAD_URL : start_resolve(dial, url);
}

int http_dial_start(struct http_request *r, int64_t timeout_ms)
{
    struct http_client *client = r->client;
    struct http_dial *dial = mem_alloc0(&client->owner, sizeof *dial);
    if (!dial)
        return -ENOMEM;
    dial->client = client;
    dial->r = r;
    dial->timeout_ms = timeout_ms;
    loop_deferred_init(&dial->end, bury);
    client->open++;
    client->holds++;
    r->dial = dial;
    int error = begin(dial, &r->at);
    if (error < 0)
        give_up(dial);
    return error;
}

void http_dial_cancel(struct http_request *r)
{
    struct http_dial *dial = r->dial;
    if (dial->client->resolver)
        resolver_cancel(dial->client->resolver, &dial->resolve);
    connect_cancel(&dial->connect);
    give_up(dial);
}
