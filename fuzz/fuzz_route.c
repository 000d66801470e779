/* fuzz_route: any patterns, any questions. A pattern that was taken is refused the second time;
 * what is found was added; values and the rest lie in the path; the same question has the same
 * answer after a pattern for a host that was not asked.
 *
 * Input: lines; "+PATTERN" adds, all others ask: a byte for the method, the host, the path from the
 * first "/" on. */
#include "base/check.h"
#include "protocol/http/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(slice all, slice s)
{
    BUG_ON(s.p && (s.p < all.p || s.p + s.n > all.p + all.n));
}

static void check_found(slice path, const struct route_match *m, unsigned count)
{
    BUG_ON(m->target >= count || m->params.count > ROUTE_PARAMS_MAX);
    check_within(path, m->rest);
    for (unsigned i = 0; i < m->params.count; i++) {
        const struct route_param *p = &m->params.at[i];
        check_within(path, p->value);
        BUG_ON(!p->name.n || !p->value.p);
        BUG_ON(route_param(&m->params, p->name).p != p->value.p);
        BUG_ON(!p->value.n && i + 1 < m->params.count); /* only a rest may be empty */
    }
}

static void ask(struct route_table *t, slice line)
{
    ssize_t at = slice_find(line, '/');
    if (at < 1)
        return;
    enum http_method method = (unsigned char)line.p[0] % HTTP_METHOD_COUNT;
    slice host = slice_of(line.p + 1, (size_t)at - 1), path = slice_skip(line, (size_t)at);
    struct route_match m = {0}, again = {0};
    enum route_result result = route_find(t, host, method, path, &m);
    if (result == ROUTE_FOUND)
        check_found(path, &m, route_count(t));
    BUG_ON(result == ROUTE_METHOD && (!m.allowed || m.allowed & 1u << method));
    BUG_ON(result == ROUTE_SLASH && slice_has_suffix(path, SLICE("/")));
    const char *why;
    (void)!route_add(t, SLICE("//a.host.nobody.asks/:a/*b"), route_count(t), &why);
    BUG_ON(route_find(t, host, method, path, &again) != result);
    BUG_ON(result == ROUTE_FOUND && m.target != again.target);
}

static void add(struct route_table *t, slice pattern)
{
    const char *why = NULL;
    unsigned count = route_count(t);
    bool ok = route_add(t, pattern, count, &why);
    BUG_ON(route_count(t) != count + ok || (!ok && !why));
    BUG_ON(ok && route_add(t, pattern, 0, &why));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_book book;
    struct mem_owner owner;
    mem_book_init(&book, 0);
    mem_owner_init(&owner, &book, "route");
    struct route_table *t = route_table_new(&owner);
    BUG_ON(!t);
    slice in = slice_of(size ? (const char *)data : "", size);
    for (slice line; slice_cut(&in, '\n', &line);) {
        if (slice_has_prefix(line, SLICE("+")))
            add(t, slice_skip(line, 1));
        else
            ask(t, line);
    }
    route_table_free(&t);
    mem_owner_fini(&owner);
    mem_book_fini(&book);
    return 0;
}
