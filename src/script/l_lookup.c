/* l_lookup: a question to the resolver, linked to a userdata on the stack of the task that waits.
 */
#include "script/l_lookup.h"

#include "base/num.h"
#include "script/host_net.h"
#include "script/l_link.h"
#include "script/l_task.h"
#include "service/resolver.h"

#include <errno.h>

struct lookup {
    struct belonging base;
    struct resolve resolve;
    struct host *host;
    struct l_link *link;
    struct l_task *task; /* waits */
    bool is_done;
};

struct l_lookup {
    struct l_link *link;
};

static void free_lookup(struct lookup *k)
{
    struct host *host = k->host;
    if (host->resolver)
        resolver_cancel(host->resolver, &k->resolve);
    l_link_cut(&k->link);
    list_remove(&k->base.node);
    mem_free(&host->owner, k, sizeof *k);
}

static void end(struct belonging *b)
{
    free_lookup(CONTAINER_OF(b, struct lookup, base));
}

static int collect(lua_State *L)
{
    struct l_lookup *handle = lua_touserdata(L, 1);
    struct lookup *k = l_link_drop(&handle->link);
    if (k)
        free_lookup(k);
    return 0;
}

static void on_done(struct resolve *r)
{
    struct lookup *k = CONTAINER_OF(r, struct lookup, resolve);
    struct l_task *t = k->task;
    k->is_done = true;
    k->task = NULL;
    if (t)
        l_task_wake(t);
}

int l_lookup_start(lua_State *L, slice name, uint16_t port)
{
    struct version *v = version_of(L);
    int error;
    struct l_lookup *handle = l_new_object(L, META_LOOKUP, sizeof *handle, 0);
    struct resolver *resolver = host_resolver(v->host, &error);
    if (!resolver)
        return error;
    handle->link = l_link_new(L, NULL);
    struct lookup *k = mem_alloc0(&v->host->owner, sizeof *k);
    struct l_link *link = handle->link;
    if (!k) {
        l_link_cut(&link);
        return -ENOMEM;
    }
    k->host = v->host;
    k->link = link;
    link->object = k;
    version_own(v, &k->base, end);
    k->resolve.done = on_done;
    error = resolver_start(resolver, &k->resolve, name, port, AF_UNSPEC);
    if (error < 0)
        free_lookup(k);
    return error;
}

static void cancel(struct l_task *t, void *what)
{
    free_lookup(what);
}

int l_lookup_wait(lua_State *L, lua_KFunction k, lua_KContext ctx)
{
    struct lookup *lookup = l_link_object(lua_touserdata(L, -1));
    l_task_check_wait(L, "looking up a name");
    lookup->task = l_task_current(L);
    return l_task_wait(L, cancel, lookup, k, ctx);
}

int l_lookup_take(lua_State *L, int at, struct addr *out)
{
    struct lookup *k = l_link_object(lua_touserdata(L, at));
    if (!k)
        return -ECANCELED;
    int result = k->resolve.error ? k->resolve.error : (int)k->resolve.count;
    for (unsigned i = 0; i < k->resolve.count && result > 0; i++)
        out[i] = k->resolve.addrs[i];
    free_lookup(k);
    return result;
}

int l_lookup_fail(lua_State *L, int error)
{
    return l_fail(L, resolver_error_text(error));
}

bool l_split_address(slice text, slice *host_out, uint16_t *port_out)
{
    *host_out = text;
    *port_out = 0;
    if (slice_has_prefix(text, SLICE("unix:")))
        return true;
    ssize_t colon = slice_find_last(text, ':');
    uint64_t port;
    if (colon <= 0 || !num_u64(slice_skip(text, (size_t)colon + 1), &port) || port < 1 ||
        port > 65535)
        return false;
    slice host = slice_head(text, (size_t)colon);
    if (host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = slice_of(host.p + 1, host.n - 2);
    *host_out = host;
    *port_out = (uint16_t)port;
    return host.n > 0;
}

void l_open_lookup(lua_State *L)
{
    const struct l_class class = {.meta = META_LOOKUP, .name = "lookup", .gc = collect};
    l_make_meta(L, &class);
}
