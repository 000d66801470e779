/* route: patterns and their faults, who wins, large tables, and a model that knows no tree. */
#include "wire_test.h"

#include "base/rand.h"
#include "protocol/http/route.h"

struct world {
    struct mem_book book;
    struct mem_owner owner;
    struct route_table *table;
};

static int setup(void **state)
{
    static struct world w;
    mem_book_init(&w.book, 0);
    mem_owner_init(&w.owner, &w.book, "route");
    w.table = route_table_new(&w.owner);
    *state = &w;
    return w.table ? 0 : -1;
}

static int teardown(void **state)
{
    struct world *w = *state;
    route_table_free(&w->table);
    assert_null(w->table);
    mem_owner_fini(&w->owner);
    mem_book_fini(&w->book);
    return 0;
}

static void add(struct route_table *t, const char *pattern, unsigned target)
{
    const char *why = NULL;
    slice copy = exact_copy(slice_str(pattern));
    if (!route_add(t, copy, target, &why)) {
        print_error("%s: %s\n", pattern, why);
        fail();
    }
    exact_free(copy);
}

/* The answer as text: "3 id=7 rest=a/b", "none", "slash", "GET, HEAD". */
static slice ask(const struct route_table *t, const char *host, enum http_method method,
                 const char *path, char room[static 512])
{
    struct route_match m;
    struct fmt f = fmt_on(room, 512);
    switch (route_find(t, slice_str(host), method, slice_str(path), &m)) {
    case ROUTE_NONE:
        fmt_str(&f, "none");
        break;
    case ROUTE_SLASH:
        fmt_str(&f, "slash");
        break;
    case ROUTE_METHOD:
        route_allow_put(m.allowed, &f);
        break;
    case ROUTE_FOUND:
        fmt_printf(&f, "%u", m.target);
        for (unsigned i = 0; i < m.params.count; i++)
            fmt_printf(&f, " %.*s=%.*s", SLICE_ARGS(m.params.at[i].name),
                       SLICE_ARGS(m.params.at[i].value));
        if (m.rest.p)
            fmt_printf(&f, " rest=%.*s", SLICE_ARGS(m.rest));
    }
    return fmt_done(&f);
}

static void expect_for(const struct route_table *t, const char *host, enum http_method method,
                       const char *path, const char *answer)
{
    char room[512];
    slice got = ask(t, host, method, path, room);
    if (!slice_is(got, slice_str(answer))) {
        print_error("//%s %s: got %.*s, expected %s\n", host, path, SLICE_ARGS(got), answer);
        fail();
    }
}

static void expect(const struct route_table *t, const char *path, const char *answer)
{
    expect_for(t, "example.org", HTTP_GET, path, answer);
}

static void test_route_empty_table(void **state)
{
    struct world *w = *state;
    expect(w->table, "/", "none");
    expect(w->table, "/a/b", "none");
    expect(w->table, "*", "none");
    expect(w->table, "", "none");
    assert_int_equal(route_count(w->table), 0);
}

static void test_route_exact(void **state)
{
    struct route_table *t = ((struct world *)*state)->table;
    add(t, "/a", 1);
    add(t, "/a/b", 2);
    add(t, "/A", 3);
    expect(t, "/a", "1");
    expect(t, "/a/b", "2");
    expect(t, "/A", "3");
    expect(t, "/a/", "none");
    expect(t, "/a/b/", "none");
    expect(t, "/", "none");
    expect(t, "/B", "none");
    expect(t, "a", "none");
    assert_int_equal(route_count(t), 3);
}

static void test_route_prefix(void **state)
{
    struct route_table *t = ((struct world *)*state)->table;
    add(t, "/a/", 1);
    add(t, "/a/b/c/", 2);
    add(t, "/a/b/c/d", 3);
    expect(t, "/a/", "1 rest=");
    expect(t, "/a/x", "1 rest=x");
    expect(t, "/a/b/", "1 rest=b/");
    expect(t, "/a/b/c/", "2 rest=");
    expect(t, "/a/b/c/x/y/", "2 rest=x/y/");
    expect(t, "/a/b/c/d", "3");
    expect(t, "/a/b/c/d/", "2 rest=d/");
    expect(t, "/a", "slash");
    expect(t, "/a/b/c", "slash");
    expect(t, "/a/b", "1 rest=b");
    expect(t, "/ab", "none");
    expect(t, "/", "none");
    add(t, "/", 4);
    expect(t, "/", "4 rest=");
    expect(t, "/ab", "4 rest=ab");
    expect(t, "/a", "slash");
    add(t, "/a", 5);
    expect(t, "/a", "5");
    expect(t, "/a/", "1 rest=");
}

static void test_route_params(void **state)
{
    struct route_table *t = ((struct world *)*state)->table;
    add(t, "/users/:id", 1);
    add(t, "/users/:id/posts/:post_2", 2);
    add(t, "/users/:id/", 3);
    add(t, "/files/*path", 4);
    add(t, "/:lang/doc/*rest", 5);
    expect(t, "/users/7", "1 id=7");
    expect(t, "/users/7/posts/x y", "2 id=7 post_2=x y");
    expect(t, "/users/7/", "3 id=7 rest=");
    expect(t, "/users/7/posts", "3 id=7 rest=posts");
    expect(t, "/users/7/posts/", "3 id=7 rest=posts/");
    expect(t, "/users/", "none");
    expect(t, "/users", "none");
    expect(t, "/files/", "4 path= rest=");
    expect(t, "/files/a/b", "4 path=a/b rest=a/b");
    expect(t, "/files", "slash");
    expect(t, "/en/doc/a", "5 lang=en rest=a rest=a");
    expect(t, "/en/doc", "slash");
    struct route_match m;
    assert_int_equal(route_find(t, SLICE(""), HTTP_GET, SLICE("/users/7/posts/9"), &m),
                     ROUTE_FOUND);
    assert_slice(route_param(&m.params, SLICE("id")), SLICE("7"));
    assert_slice(route_param(&m.params, SLICE("post_2")), SLICE("9"));
    assert_null(route_param(&m.params, SLICE("other")).p);
}

/* The order of steps in route.h, and ways back out of the tree. */
static void test_route_precedence(void **state)
{
    struct route_table *t = ((struct world *)*state)->table;
    add(t, "/:x/:y", 1);
    add(t, "/:x/b", 2);
    add(t, "/a/:y", 3);
    add(t, "/a/b", 4);
    add(t, "/a/", 5);
    add(t, "/:x/:y/:z", 6);
    add(t, "/a/b/c/d", 7);
    add(t, "/:x/b/", 8);
    expect(t, "/a/b", "4");
    expect(t, "/a/c", "3 y=c");
    expect(t, "/c/b", "2 x=c");
    expect(t, "/c/d", "1 x=c y=d");
    expect(t, "/a/b/c", "6 x=a y=b z=c");  /* the whole path before a prefix */
    expect(t, "/a/b/c/", "8 x=a rest=c/"); /* the longer prefix */
    expect(t, "/a/c/c/", "5 rest=c/c/");
    expect(t, "/a/b/c/d", "7");
    expect(t, "/a/b/c/e", "8 x=a rest=c/e");
}

static void test_route_methods(void **state)
{
    struct route_table *t = ((struct world *)*state)->table;
    const char *why = NULL;
    add(t, "GET /a", 1);
    add(t, "POST,PUT /a", 2);
    add(t, "DELETE /a/", 3);
    add(t, "GET, PATCH /b", 4);
    add(t, "/b", 5);
    add(t, "GET /c/:x", 6);
    add(t, "HEAD /c/:y", 7);
    expect_for(t, "", HTTP_GET, "/a", "1");
    expect_for(t, "", HTTP_HEAD, "/a", "1");
    expect_for(t, "", HTTP_PUT, "/a", "2");
    expect_for(t, "", HTTP_DELETE, "/a", "slash");
    expect_for(t, "", HTTP_PATCH, "/a", "GET, HEAD, POST, PUT, DELETE");
    expect_for(t, "", HTTP_GET, "/a/x", "DELETE");
    expect_for(t, "", HTTP_PATCH, "/b", "4");
    expect_for(t, "", HTTP_HEAD, "/b", "4");
    expect_for(t, "", HTTP_POST, "/b", "5");
    expect_for(t, "", HTTP_GET, "/c/1", "6 x=1");
    expect_for(t, "", HTTP_HEAD, "/c/1", "7 y=1");
    expect_for(t, "", HTTP_POST, "/c/1", "GET, HEAD");
    expect_for(t, "", HTTP_OTHER, "/b", "5");
    assert_false(route_add(t, SLICE("PUT,GET /b/../c"), 0, &why));
    add(t, "/", 8);
    expect_for(t, "", HTTP_POST, "/c/1", "8 rest=c/1"); /* it goes on to what is for POST */
    expect_for(t, "", HTTP_GET, "/a/x", "8 rest=a/x");
}

static void test_route_hosts(void **state)
{
    struct route_table *t = ((struct world *)*state)->table;
    add(t, "/a", 1);
    add(t, "//example.org/a", 2);
    add(t, "//*.Example.ORG/", 3);
    add(t, "//*.b.example.org/a", 4);
    add(t, "GET //x.b.example.org/only", 5);
    add(t, "//[::1]/", 6);
    add(t, "/z", 7);
    expect_for(t, "other", HTTP_GET, "/a", "1");
    expect_for(t, "", HTTP_GET, "/a", "1");
    expect_for(t, "EXAMPLE.org", HTTP_GET, "/a", "2");
    expect_for(t, "example.org.", HTTP_GET, "/a", "2");
    expect_for(t, "example.org", HTTP_GET, "/z", "7");
    expect_for(t, "www.example.org", HTTP_GET, "/a", "3 rest=a");
    expect_for(t, "www.example.org", HTTP_GET, "/z", "3 rest=z");
    expect_for(t, "x.B.example.org", HTTP_GET, "/a", "4");
    expect_for(t, "y.x.b.example.org", HTTP_GET, "/a", "4");
    expect_for(t, "b.example.org", HTTP_GET, "/a", "3 rest=a");
    expect_for(t, "x.b.example.org", HTTP_GET, "/only", "5");
    expect_for(t, "x.b.example.org", HTTP_POST, "/only", "3 rest=only");
    expect_for(t, "wexample.org", HTTP_GET, "/a", "1");
    expect_for(t, ".example.org", HTTP_GET, "/a", "1");
    expect_for(t, "[::1]", HTTP_GET, "/x", "6 rest=x");
    char room[400];
    memset(room, 'a', sizeof room - 1);
    room[sizeof room - 1] = 0;
    expect_for(t, room, HTTP_GET, "/a", "1");
}

static void test_route_faults(void **state)
{
    static const struct {
        const char *pattern, *why;
    } rows[] = {
        {"", "a pattern needs a path that begins with \"/\""},
        {"a", "a pattern needs a path that begins with \"/\""},
        {"GET", "a pattern needs a path that begins with \"/\""},
        {"GET/a", "a pattern is methods, a space and a path that begins with \"/\""},
        {"a/b", "a pattern is methods, a space and a path that begins with \"/\""},
        {"get /a", "a method is not known; they are written in capitals"},
        {" /a", "a method is not known; they are written in capitals"},
        {"GET,,PUT /a", "a method is not known; they are written in capitals"},
        {"GET PUT /a", "a method is not known; they are written in capitals"},
        {"//example.org", "a host needs a path behind it, \"/\" for all"},
        {"//", "a host needs a path behind it, \"/\" for all"},
        {"///a", "this is not a host"},
        {"//*/a", "this is not a host"},
        {"//*./a", "this is not a host"},
        {"//*.*.a/", "this is not a host"},
        {"//*..a/", "this is not a host"},
        {"//a.*/", "this is not a host"},
        {"//a b/", "this is not a host"},
        {"//example.org:80/a", "a host stands without its port"},
        {"//[::1]:80/a", "a host stands without its port"},
        {"/x/:", "a parameter needs a name"},
        {"/x/*", "a parameter needs a name"},
        {"/:a-b", "the name of a parameter is letters, digits and \"_\""},
        {"/:a/:b/:a", "two parameters have the same name"},
        {"/:a/*a", "two parameters have the same name"},
        {"/*a/b", "\"*name\" can only stand at the end"},
        {"/*a/", "\"*name\" can only stand at the end"},
        {"/a//b", "a path has no empty segment"},
        {"/a//", "a path has no empty segment"},
        {"/a/../b", "a path has no segment \".\" or \"..\""},
        {"/.", "a path has no segment \".\" or \"..\""},
        {"/a\tb", "a path has no control characters"},
        {"/a?b=c", "a pattern has no query"},
        {"/:1/:2/:3/:4/:5/:6/:7/:8/:9/:10/:11/:12/:13/:14/:15/:16/:17",
         "a pattern has at most 16 parameters"},
        {"/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
         "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a",
         "a pattern has at most 64 segments"},
        {"/same", "two routes are the same"},
        {"PUT,GET /get", "two routes are the same"},
        {"/same/:other", "two routes are the same"},
        {"/same/:x/*all", "two routes are the same"},
        {"//HOST/same", "two routes are the same"},
    };
    struct world *w = *state;
    add(w->table, "/same", 1);
    add(w->table, "GET /get", 1);
    add(w->table, "/same/:name", 1);
    add(w->table, "/same/:name/", 1);
    add(w->table, "//host/same", 1);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *why = NULL;
        slice copy = exact_copy(slice_str(rows[i].pattern));
        bool ok = route_add(w->table, copy, 9, &why);
        if (ok || strcmp(why, rows[i].why) != 0) {
            print_error("%s\n", ok ? "taken" : why);
            ROW_FAILED(i, copy);
        }
        exact_free(copy);
    }
    assert_int_equal(route_count(w->table), 5);
    static char longest[ROUTE_PATTERN_MAX + 2] = "/";
    memset(longest + 1, 'a', ROUTE_PATTERN_MAX);
    const char *why = NULL;
    assert_true(route_add(w->table, slice_of(longest, ROUTE_PATTERN_MAX), 0, &why));
    assert_false(route_add(w->table, slice_of(longest, ROUTE_PATTERN_MAX + 1), 0, &why));
}

/* "before 7 after" */
static char *numbered(const char *before, unsigned i, const char *after, char room[static 64])
{
    struct fmt f = fmt_on(room, 63);
    fmt_str(&f, before);
    fmt_u64(&f, i);
    fmt_str(&f, after);
    *f.p = 0;
    return room;
}

static void test_route_full_table(void **state)
{
    static const struct {
        const char *before, *after, *asked, *answer;
    } kinds[] = {
        {"/dir", "/page", "/page", ""},
        {"/dir", "/:id/x", "/7/x", " id=7"},
        {"//h", ".org/", "/", " rest="},
        {"/d", "/", "/z", " rest=z"},
    };
    struct route_table *t = ((struct world *)*state)->table;
    char room[64], host[64], answer[64];
    const char *why = NULL;
    for (unsigned i = 0; i < ROUTES_MAX; i++)
        add(t, numbered(kinds[i % 4].before, i, kinds[i % 4].after, room), i);
    assert_false(route_add(t, SLICE("/one/more"), 0, &why));
    assert_string_equal(why, "there are too many routes");
    for (unsigned i = 0; i < ROUTES_MAX; i++) {
        numbered(kinds[i % 4].before, i, kinds[i % 4].asked, room);
        numbered("", i, kinds[i % 4].answer, answer);
        numbered("h", i, ".org", host);
        expect_for(t, host, HTTP_GET, i % 4 == 2 ? "/" : room, answer);
    }
    expect(t, "/dir1/page", "none");
    expect(t, "/d3", "slash");
}

/* Many ways through the tree: all are tried, none is tried twice. */
static void test_route_deep(void **state)
{
    struct route_table *t = ((struct world *)*state)->table;
    for (unsigned bits = 0; bits < 1024; bits++) {
        char room[64];
        struct fmt f = fmt_on(room, sizeof room - 1);
        for (unsigned i = 0; i < 10; i++)
            fmt_printf(&f, bits & 1u << i ? "/a" : "/:p%u", i);
        fmt_str(&f, "/z");
        *f.p = 0;
        add(t, room, bits);
    }
    expect(t, "/a/a/a/a/a/a/a/a/a/a/z", "1023");
    expect(t, "/b/a/a/a/a/a/a/a/a/c/z", "510 p0=b p9=c");
    expect(t, "/a/a/a/a/a/a/a/a/a/a/y", "none");
    expect(t, "/a/a/a/a/a/a/a/a/a/a/z/z", "none");
}

/* --- the model: every pattern against the path, and the best by rank --- */

#define MODEL_MAX 40

struct model {
    unsigned count;
    char text[MODEL_MAX][80];
};

struct verdict {
    enum route_result result;
    unsigned target;
    uint32_t allowed;
    char rank[64]; /* greater wins */
    slice rest;
};

static uint32_t model_methods(slice *text)
{
    uint32_t methods = 0;
    ssize_t at = slice_find(*text, '/');
    slice list = slice_head(*text, at ? (size_t)at - 1 : 0);
    *text = slice_skip(*text, (size_t)at);
    for (slice name; list.n && slice_cut(&list, ',', &name);)
        methods |= 1u << http_method_of(name);
    return methods;
}

/* '0': not this host; else the greater the better. */
static char model_host(slice *text, slice host)
{
    if (!slice_has_prefix(*text, SLICE("//")))
        return '1';
    slice rest = slice_skip(*text, 2), want;
    slice_cut(&rest, '/', &want);
    *text = slice_of(rest.p - 1, rest.n + 1);
    if (want.p[0] != '*')
        return slice_is(want, host) ? '~' : '0';
    want = slice_skip(want, 1);
    return slice_has_suffix(host, want) && host.n > want.n ? (char)('2' + want.n) : '0';
}

/* The rank of the match of one path, from f on; 'w' whole, 's' slash, 'p' prefix; 0: none. */
static char model_path(slice pattern, slice path, struct fmt *rank, slice *rest_out)
{
    slice ranks = {NULL, 0}, want = slice_skip(pattern, 1), have = slice_skip(path, 1), a, b;
    char room[32];
    struct fmt f = fmt_on(room, sizeof room);
    char kind = 'w';
    *rest_out = (slice){NULL, 0};
    while (slice_cut(&want, '/', &a)) {
        if (!want.p && (!a.n || a.p[0] == '*')) {
            kind = have.p ? 'p' : 's';
            *rest_out = have.p ? have : (slice){NULL, 0};
            have.p = NULL;
            break;
        }
        if (!slice_cut(&have, '/', &b) || !b.n || (a.p[0] != ':' && !slice_is(a, b)))
            return 0;
        fmt_char(&f, a.p[0] == ':' ? '1' : '2');
    }
    if (have.p)
        return 0;
    ranks = fmt_done(&f);
    fmt_char(rank, kind);
    if (kind == 'p')
        fmt_char(rank, (char)('0' + ranks.n));
    fmt_put(rank, ranks);
    return kind;
}

static void model_try(const struct model *m, unsigned i, struct verdict *v, slice host,
                      enum http_method method, slice path)
{
    slice text = slice_str(m->text[i]), rest;
    struct fmt rank = fmt_on((char[64]){0}, 63);
    uint32_t methods = model_methods(&text);
    char host_rank = model_host(&text, host);
    fmt_char(&rank, host_rank);
    char kind = host_rank == '0' ? 0 : model_path(text, path, &rank, &rest);
    if (!kind)
        return;
    bool has = methods & 1u << method;
    bool by_get = method == HTTP_HEAD && methods & 1u << HTTP_GET;
    if (methods && !has && !by_get) {
        v->allowed |= methods | (methods & 1u << HTTP_GET ? 1u << HTTP_HEAD : 0);
        return;
    }
    fmt_char(&rank, has ? '3' : by_get ? '2' : '1');
    if (strcmp(rank.start, v->rank) <= 0)
        return;
    memcpy(v->rank, rank.start, sizeof v->rank);
    v->result = kind == 's' ? ROUTE_SLASH : ROUTE_FOUND;
    v->target = i;
    v->rest = rest;
}

static struct verdict model_find(const struct model *m, slice host, enum http_method method,
                                 slice path)
{
    struct verdict v = {.result = ROUTE_NONE};
    for (unsigned i = 0; i < m->count; i++)
        model_try(m, i, &v, host, method, path);
    if (v.result == ROUTE_NONE && v.allowed)
        v.result = ROUTE_METHOD;
    return v;
}

static void random_pattern(struct prng *g, struct fmt *f)
{
    static const char *const heads[] = {"",     "",         "",          "",       "GET ",
                                        "PUT ", "GET,PUT ", "HEAD,GET ", "DELETE "};
    static const char *const hosts[] = {"", "", "", "//a.b", "//*.b", "//*.a.b", "//b"};
    fmt_str(f, heads[prng_below(g, COUNT_OF(heads))]);
    fmt_str(f, hosts[prng_below(g, COUNT_OF(hosts))]);
    uint64_t n = prng_below(g, 5);
    for (uint64_t i = 0; i < n; i++) {
        if (prng_below(g, 3) == 0)
            fmt_printf(f, "/:p%u", (unsigned)i);
        else
            fmt_printf(f, "/%c", (char)('a' + prng_below(g, 2)));
    }
    if (n == 0 || prng_below(g, 3) == 0)
        fmt_str(f, prng_below(g, 2) ? "/" : "/*r");
    *f->p = 0;
}

static void random_path(struct prng *g, struct fmt *f)
{
    uint64_t n = prng_below(g, 6);
    for (uint64_t i = 0; i < n; i++)
        fmt_printf(f, "/%c", (char)('a' + prng_below(g, 3)));
    if (n == 0 || prng_below(g, 3) == 0)
        fmt_char(f, '/');
}

/* Each value stands in the path where the pattern has its name. */
static void check_params(const struct model *m, const struct route_match *match, slice path)
{
    slice text = slice_str(m->text[match->target]), host_less, a, b;
    model_methods(&text);
    if (slice_has_prefix(text, SLICE("//"))) {
        host_less = slice_skip(text, 2);
        text = slice_skip(host_less, (size_t)slice_find(host_less, '/'));
    }
    unsigned n = 0;
    slice want = slice_skip(text, 1), have = slice_skip(path, 1);
    while (slice_cut(&want, '/', &a)) {
        slice all = have;
        slice_cut(&have, '/', &b);
        if (!a.n || (a.p[0] != ':' && a.p[0] != '*'))
            continue;
        assert_true(n < match->params.count);
        assert_slice(match->params.at[n].name, slice_skip(a, 1));
        assert_slice(match->params.at[n++].value, a.p[0] == '*' ? all : b);
    }
    assert_int_equal(n, match->params.count);
}

static void compare(const struct model *m, const struct route_table *t, struct prng *g)
{
    static const char *const hosts[] = {"", "b", "a.b", "x.b", "x.a.b", "y.x.a.b", "c"};
    char room[64];
    struct fmt f = fmt_on(room, sizeof room);
    random_path(g, &f);
    slice path = fmt_done(&f), host = slice_str(hosts[prng_below(g, COUNT_OF(hosts))]);
    enum http_method method = (enum http_method)(1 + prng_below(g, 5));
    struct verdict v = model_find(m, host, method, path);
    struct route_match match;
    enum route_result result = route_find(t, host, method, path, &match);
    if (result != v.result || (result == ROUTE_FOUND && match.target != v.target)) {
        print_error("//%.*s%.*s method %d: result %d target %u, model %d %u (%s)\n",
                    SLICE_ARGS(host), SLICE_ARGS(path), method, result, match.target, v.result,
                    v.target, m->text[v.target]);
        fail();
    }
    if (result == ROUTE_METHOD)
        assert_int_equal(match.allowed, v.allowed);
    if (result != ROUTE_FOUND)
        return;
    assert_int_equal(match.rest.p != NULL, v.rest.p != NULL);
    assert_slice(match.rest, v.rest);
    check_params(m, &match, path);
}

static void test_route_model(void **state)
{
    struct world *w = *state;
    struct prng g = {20};
    unsigned answers = 0;
    for (int round = 0; round < 2000; round++) {
        static struct model m;
        struct route_table *t = route_table_new(&w->owner);
        unsigned want = 1 + (unsigned)prng_below(&g, MODEL_MAX);
        m.count = 0;
        for (unsigned tries = 0; m.count < want && tries < 2 * MODEL_MAX; tries++) {
            struct fmt f = fmt_on(m.text[m.count], sizeof m.text[0] - 1);
            const char *why = NULL;
            random_pattern(&g, &f);
            if (route_add(t, fmt_done(&f), m.count, &why))
                m.count++;
            else
                assert_string_equal(why, "two routes are the same");
        }
        for (int i = 0; i < 60; i++, answers++)
            compare(&m, t, &g);
        route_table_free(&t);
    }
    assert_int_equal(answers, 120000);
}

/* Each allocation fails once: what was there answers as before, and the next try succeeds. */
static void test_route_out_of_memory(void **state)
{
    static const char *const patterns[] = {"/a", "//h/a/b", "//*.h/:x/y", "GET /a/:b/*c"};
    struct world *w = *state;
    for (uint64_t n = 1;; n++) {
        w->book.fail_at = n;
        struct route_table *t = route_table_new(&w->owner);
        if (!t)
            continue;
        const char *why = NULL;
        for (unsigned i = 0; i < COUNT_OF(patterns); i++) {
            if (route_add(t, slice_str(patterns[i]), i, &why))
                continue;
            assert_string_equal(why, "there is no memory for it");
            assert_int_equal(route_count(t), i);
            expect(t, "/a/b/c", "none");
            add(t, patterns[i], i);
        }
        expect(t, "/a", "0");
        expect_for(t, "h", HTTP_GET, "/a/b", "1");
        expect_for(t, "x.h", HTTP_GET, "/1/y", "2 x=1");
        expect(t, "/a/b/c", "3 b=b c=c rest=c");
        route_table_free(&t);
        bool all_went = w->book.fail_at > 0;
        w->book.fail_at = 0;
        if (all_went)
            break;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_route_empty_table), TEST(test_route_exact),      TEST(test_route_prefix),
        TEST(test_route_params),      TEST(test_route_precedence), TEST(test_route_methods),
        TEST(test_route_hosts),       TEST(test_route_faults),     TEST(test_route_full_table),
        TEST(test_route_deep),        TEST(test_route_model),      TEST(test_route_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
