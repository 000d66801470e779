/* route: a hash table of whole paths in front of a tree of segments, for each host.
 *
 * Three tables, shared by all hosts: sites by host, leaves by site and path, nodes by parent and
 * segment. The hash of a name is mixed with the number of its site or parent, so a path is hashed
 * once even when it is looked up for several hosts. Their key is fixed: what is in them comes from
 * the configuration, a client can only ask.
 *
 * Whole paths without parameters are in the leaves only, everything else in the tree only. */
#include "protocol/http/route.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/hash.h"
#include "protocol/http/route_pattern.h"

#define BUCKETS   16
#define BYTES_MAX (64 * MIB) /* far beyond what ROUTES_MAX patterns can take */

static const struct hash_key fixed_key = {0x726f757465, 0x7461626c65};

/* One pattern, for some methods. */
struct route {
    struct route *next;
    uint32_t methods; /* 0: all that no other route of the leaf names */
    unsigned target;
    unsigned name_n;
    const slice *names;
};

/* All routes of one shape. */
struct leaf {
    struct route *routes;
    uint32_t allowed; /* of those with methods */
};

struct exact {
    struct hash_node node;
    uint64_t site;
    slice path;
    struct leaf leaf;
};

struct branch {
    struct hash_node node;
    struct branch *parent; /* NULL: the root of a site, or what a parameter leads to */
    slice segment;
    uint64_t id;
    struct branch *param;
    bool has_children; /* by segment */
    struct leaf whole, prefix;
};

struct site {
    struct hash_node node;
    slice host; /* in lower case; ".example.org" for "*.example.org" */
    struct branch root;
};

struct route_table {
    struct mem_owner *owner;
    struct arena arena;
    struct hash_table sites, exacts, branches;
    struct site any;    /* the routes without a host */
    uint64_t ids;       /* given to branches; a site has that of its root */
    unsigned count;     /* of routes */
    unsigned depth;     /* most segments in the tree */
    unsigned wild_dots; /* most dots of a "*." host, that one included */
    bool has_sites;
};

struct route_table *route_table_new(struct mem_owner *owner)
{
    struct route_table *t = mem_alloc0(owner, sizeof *t);
    if (!t)
        return NULL;
    t->owner = owner;
    arena_init(&t->arena, owner, NULL, 0, BYTES_MAX);
    if (hash_table_init(&t->sites, owner, BUCKETS)) {
        if (hash_table_init(&t->exacts, owner, BUCKETS)) {
            if (hash_table_init(&t->branches, owner, BUCKETS))
                return t;
            hash_table_fini(&t->exacts);
        }
        hash_table_fini(&t->sites);
    }
    mem_free(owner, t, sizeof *t);
    return NULL;
}

void route_table_free(struct route_table **table)
{
    struct route_table *t = *table;
    *table = NULL;
    if (!t)
        return;
    hash_table_fini(&t->sites);
    hash_table_fini(&t->exacts);
    hash_table_fini(&t->branches);
    arena_fini(&t->arena);
    mem_free(t->owner, t, sizeof *t);
}

unsigned route_count(const struct route_table *t)
{
    return t->count;
}

/* [hash] of a name as it stands in the table of [id]: an odd constant spreads the numbers. */
static inline uint64_t mixed(uint64_t hash, uint64_t id)
{
    return hash ^ (id * UINT64_C(0x9e3779b97f4a7c15));
}

static struct exact *find_exact(const struct route_table *t, uint64_t site, uint64_t hash,
                                slice path)
{
    struct hash_node *n = hash_table_first(&t->exacts, mixed(hash, site));
    for (; n; n = hash_table_next(n)) {
        struct exact *e = CONTAINER_OF(n, struct exact, node);
        if (e->site == site && slice_is(e->path, path))
            return e;
    }
    return NULL;
}

static struct branch *find_child(const struct route_table *t, const struct branch *parent,
                                 uint64_t hash, slice segment)
{
    if (!parent->has_children)
        return NULL;
    struct hash_node *n = hash_table_first(&t->branches, mixed(hash, parent->id));
    for (; n; n = hash_table_next(n)) {
        struct branch *b = CONTAINER_OF(n, struct branch, node);
        if (b->parent == parent && slice_is(b->segment, segment))
            return b;
    }
    return NULL;
}

static struct site *find_site(const struct route_table *t, slice host)
{
    struct hash_node *n = hash_table_first(&t->sites, hash_bytes(&fixed_key, host));
    for (; n; n = hash_table_next(n)) {
        struct site *s = CONTAINER_OF(n, struct site, node);
        if (slice_is(s->host, host))
            return s;
    }
    return NULL;
}

/* Without a final dot, in lower case; empty when it is too long to be a host of ours. */
static slice plain_host(slice host, char room[static ROUTE_HOST_MAX])
{
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    if (host.n > ROUTE_HOST_MAX)
        return SLICE("");
    for (size_t i = 0; i < host.n; i++)
        room[i] = host.p[i] >= 'A' && host.p[i] <= 'Z' ? (char)(host.p[i] | 0x20) : host.p[i];
    return slice_of(room, host.n);
}

/* --- adding --- */

static unsigned dots_of(slice host)
{
    unsigned n = 0;
    for (size_t i = 0; i < host.n; i++)
        n += host.p[i] == '.';
    return n;
}

static void *alloc0(struct route_table *t, size_t n)
{
    void *p = arena_alloc(&t->arena, n);
    if (p)
        memset(p, 0, n);
    return p;
}

/* The site of a pattern, made when it is not there; NULL: no memory. */
static struct site *need_site(struct route_table *t, slice host)
{
    char room[ROUTE_HOST_MAX];
    host = plain_host(host, room);
    if (!host.n)
        return &t->any;
    struct site *s = find_site(t, host);
    if (s)
        return s;
    s = alloc0(t, sizeof *s);
    host = arena_copy(&t->arena, host);
    if (!s || !host.p)
        return NULL;
    s->host = host;
    s->root.id = ++t->ids;
    hash_table_add(&t->sites, &s->node, hash_bytes(&fixed_key, host));
    t->has_sites = true;
    if (host.p[0] == '.')
        t->wild_dots = MAX(t->wild_dots, dots_of(host));
    return s;
}

static struct leaf *need_exact(struct route_table *t, const struct site *s, slice path)
{
    uint64_t hash = hash_bytes(&fixed_key, path);
    struct exact *e = find_exact(t, s->root.id, hash, path);
    if (e)
        return &e->leaf;
    e = alloc0(t, sizeof *e);
    path = arena_copy(&t->arena, path);
    if (!e || !path.p)
        return NULL;
    e->site = s->root.id;
    e->path = path;
    hash_table_add(&t->exacts, &e->node, mixed(hash, e->site));
    return &e->leaf;
}

static struct branch *need_child(struct route_table *t, struct branch *parent, slice segment)
{
    uint64_t hash = segment.p ? hash_bytes(&fixed_key, segment) : 0;
    struct branch *b = segment.p ? find_child(t, parent, hash, segment) : parent->param;
    if (b)
        return b;
    b = alloc0(t, sizeof *b);
    if (!b)
        return NULL;
    b->id = ++t->ids;
    if (!segment.p)
        return parent->param = b;
    b->segment = arena_copy(&t->arena, segment);
    if (!b->segment.p)
        return NULL;
    b->parent = parent;
    parent->has_children = true;
    hash_table_add(&t->branches, &b->node, mixed(hash, parent->id));
    return b;
}

static struct leaf *need_leaf(struct route_table *t, struct site *s, const struct route_pattern *p)
{
    if (!p->is_prefix && !p->param_n)
        return need_exact(t, s, p->path);
    struct branch *b = &s->root;
    for (unsigned i = 0; i < p->segment_n && b; i++)
        b = need_child(t, b, p->segments[i]);
    if (!b)
        return NULL;
    t->depth = MAX(t->depth, p->segment_n);
    return p->is_prefix ? &b->prefix : &b->whole;
}

static bool is_taken(const struct leaf *leaf, uint32_t methods)
{
    for (const struct route *r = leaf->routes; r; r = r->next)
        if (methods ? r->methods & methods : !r->methods)
            return true;
    return false;
}

static struct route *new_route(struct route_table *t, const struct route_pattern *p)
{
    struct route *r = arena_alloc(&t->arena, sizeof *r);
    slice *names = arena_alloc(&t->arena, MAX(p->param_n, 1u) * sizeof *names);
    if (!r || !names)
        return NULL;
    for (unsigned i = 0; i < p->param_n; i++) {
        names[i] = arena_copy(&t->arena, p->params[i]);
        if (!names[i].p)
            return NULL;
    }
    *r = (struct route){.methods = p->methods, .name_n = p->param_n, .names = names};
    return r;
}

static void add_to_leaf(struct leaf *leaf, struct route *r)
{
    r->next = leaf->routes;
    leaf->routes = r;
    leaf->allowed |= r->methods;
    if (r->methods & 1u << HTTP_GET)
        leaf->allowed |= 1u << HTTP_HEAD;
}

bool route_add(struct route_table *t, slice text, unsigned target, const char **why)
{
    struct route_pattern p;
    if (!route_pattern_parse(text, &p, why))
        return false;
    *why = "there are too many routes";
    if (t->count == ROUTES_MAX)
        return false;
    *why = "there is no memory for it";
    struct site *s = need_site(t, p.host);
    struct leaf *leaf = s ? need_leaf(t, s, &p) : NULL;
    if (!leaf)
        return false;
    if (is_taken(leaf, p.methods)) {
        *why = "two routes are the same";
        return false;
    }
    struct route *r = new_route(t, &p);
    if (!r)
        return false;
    r->target = target;
    add_to_leaf(leaf, r);
    t->count++;
    return true;
}

/* --- finding --- */

struct search {
    const struct route_table *t;
    slice path;
    enum http_method method;
    uint32_t allowed; /* by leaves of the path that are not for the method */
    /* The path's segments, but no more than one beyond the depth of the tree. */
    bool is_cut;
    unsigned segment_n;
    slice segments[ROUTE_SEGMENTS_MAX + 1];
    uint64_t hashes[ROUTE_SEGMENTS_MAX + 1];
    /* On the way to the branch that is looked at. */
    slice values[ROUTE_PARAMS_MAX];
    /* The best so far. */
    const struct route *prefix;
    unsigned prefix_n; /* segments */
    bool is_slash;
    struct route_match *match;
};

/* The leaf's route for the method, or NULL. */
static const struct route *route_of(const struct leaf *leaf, enum http_method method)
{
    const struct route *get = NULL, *any = NULL;
    for (const struct route *r = leaf->routes; r; r = r->next) {
        if (r->methods & 1u << method)
            return r;
        if (method == HTTP_HEAD && r->methods & 1u << HTTP_GET)
            get = r;
        if (!r->methods)
            any = r;
    }
    return get ? get : any;
}

static const struct route *try_leaf(struct search *s, const struct leaf *leaf)
{
    const struct route *r = route_of(leaf, s->method);
    if (!r)
        s->allowed |= leaf->allowed;
    return r;
}

/* What was found with the values on the way to it; those of a "*name" are added by the caller. */
static void note(struct search *s, const struct route *r, unsigned value_n)
{
    struct route_params *params = &s->match->params;
    s->match->target = r->target;
    s->match->rest = (slice){NULL, 0};
    params->count = r->name_n;
    for (unsigned i = 0; i < value_n; i++)
        params->at[i] = (struct route_param){r->names[i], s->values[i]};
}

static void try_prefix(struct search *s, const struct branch *b, unsigned depth, unsigned value_n)
{
    const struct route *r = try_leaf(s, &b->prefix);
    if (!r || (s->prefix && depth <= s->prefix_n))
        return;
    note(s, r, value_n);
    s->prefix = r;
    s->prefix_n = depth;
    const char *from = s->segments[depth].p;
    slice rest = slice_of(from, (size_t)(s->path.p + s->path.n - from));
    s->match->rest = rest;
    if (r->name_n > value_n)
        s->match->params.at[value_n] = (struct route_param){r->names[value_n], rest};
}

/* Is there a route for the whole path below [b]? It is noted then; else the best prefix is. */
static bool walk(struct search *s, const struct branch *b, unsigned depth, unsigned value_n)
{
    if (depth == s->segment_n) {
        const struct route *r = s->is_cut ? NULL : try_leaf(s, &b->whole);
        if (r)
            note(s, r, value_n);
        else if (!s->is_cut && try_leaf(s, &b->prefix))
            s->is_slash = true;
        return r != NULL;
    }
    slice segment = s->segments[depth];
    const struct branch *child = find_child(s->t, b, s->hashes[depth], segment);
    if (child && walk(s, child, depth + 1, value_n))
        return true;
    if (b->param && segment.n) {
        s->values[value_n] = segment;
        if (walk(s, b->param, depth + 1, value_n + 1))
            return true;
    }
    if (b->prefix.routes)
        try_prefix(s, b, depth, value_n);
    return false;
}

static void split(struct search *s)
{
    slice rest = slice_skip(s->path, 1), segment;
    while (slice_cut(&rest, '/', &segment)) {
        s->segments[s->segment_n] = segment;
        s->hashes[s->segment_n++] = hash_bytes(&fixed_key, segment);
        s->is_cut = rest.p != NULL;
        if (s->segment_n > s->t->depth)
            return;
    }
}

static enum route_result find_in_tree(struct search *s, const struct branch *root)
{
    if (!s->segment_n)
        split(s);
    s->prefix = NULL;
    s->is_slash = false;
    if (walk(s, root, 0, 0))
        return ROUTE_FOUND;
    return s->is_slash ? ROUTE_SLASH : s->prefix ? ROUTE_FOUND : ROUTE_NONE;
}

/* All routes of one host, or of none. */
static enum route_result find_in_site(struct search *s, const struct site *site, uint64_t hash)
{
    const struct exact *e = find_exact(s->t, site->root.id, hash, s->path);
    const struct route *r = e ? try_leaf(s, &e->leaf) : NULL;
    if (r) {
        note(s, r, 0);
        return ROUTE_FOUND;
    }
    const struct branch *root = &site->root;
    bool has_tree = root->has_children || root->param || root->prefix.routes;
    return has_tree ? find_in_tree(s, root) : ROUTE_NONE;
}

/* The exact host, then each "*." above it, the longest first. */
static enum route_result find_by_host(struct search *s, slice host, uint64_t hash)
{
    char room[ROUTE_HOST_MAX];
    host = plain_host(host, room);
    unsigned dots = dots_of(host);
    for (size_t i = 0; i < host.n; i++) {
        bool is_dot = host.p[i] == '.';
        const struct site *site = NULL;
        if (i == 0 ? !is_dot : is_dot && dots <= s->t->wild_dots)
            site = find_site(s->t, slice_skip(host, i));
        enum route_result result = site ? find_in_site(s, site, hash) : ROUTE_NONE;
        if (result != ROUTE_NONE)
            return result;
        dots -= is_dot;
    }
    return ROUTE_NONE;
}

HOT enum route_result route_find(const struct route_table *t, slice host, enum http_method method,
                                 slice path, struct route_match *match)
{
    if (!path.n || path.p[0] != '/')
        return ROUTE_NONE;
    struct search s;
    s.t = t;
    s.path = path;
    s.method = method;
    s.allowed = 0;
    s.segment_n = 0;
    s.match = match;
    uint64_t hash = hash_bytes(&fixed_key, path);
    enum route_result result = ROUTE_NONE;
    if (t->has_sites)
        result = find_by_host(&s, host, hash);
    if (result == ROUTE_NONE)
        result = find_in_site(&s, &t->any, hash);
    match->allowed = s.allowed;
    return result == ROUTE_NONE && s.allowed ? ROUTE_METHOD : result;
}

slice route_param(const struct route_params *params, slice name)
{
    for (unsigned i = 0; i < params->count; i++)
        if (slice_is(params->at[i].name, name))
            return params->at[i].value;
    return (slice){NULL, 0};
}

void route_allow_put(uint32_t allowed, struct fmt *out)
{
    bool is_first = true;
    for (unsigned m = HTTP_GET; m < HTTP_METHOD_COUNT; m++) {
        if (!(allowed & 1u << m))
            continue;
        if (!is_first)
            fmt_str(out, ", ");
        fmt_put(out, http_method_name(m));
        is_first = false;
    }
}
