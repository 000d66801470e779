/* l_link: see l_link.h. */
#include "script/l_link.h"

#include "base/check.h"

#include <lauxlib.h>

struct l_link *l_link_new(lua_State *L, void *object)
{
    struct version *v = version_of(L);
    struct l_link *link = pool_get(&v->host->links);
    if (!link)
        luaL_error(L, "not enough memory");
    *link = (struct l_link){.object = object, .version = v, .holders = 2};
    list_push_back(&v->links, &link->node);
    return link;
}

static void release(struct l_link *link)
{
    BUG_ON(link->holders == 0);
    if (--link->holders > 0)
        return;
    list_remove(&link->node);
    pool_put(&link->version->host->links, link);
}

void l_link_cut(struct l_link **link)
{
    struct l_link *l = *link;
    *link = NULL;
    if (!l)
        return;
    l->object = NULL;
    release(l);
}

void *l_link_drop(struct l_link **link)
{
    struct l_link *l = *link;
    *link = NULL;
    if (!l)
        return NULL;
    void *object = l->object;
    l->object = NULL;
    release(l);
    return object;
}

void l_link_free_all(struct version *v)
{
    for (struct list_node *n; (n = list_pop_front(&v->links));)
        pool_put(&v->host->links, CONTAINER_OF(n, struct l_link, node));
}
