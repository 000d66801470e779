/* route: nanoseconds per question, the best of many rounds.
 *
 * Build and run from the root of the project:
 *     gcc -std=gnu17 -D_GNU_SOURCE -O3 -flto -Isrc bench/micro/route.c \
 *         src/protocol/http/route*.c src/wire/{char_class,http_field,uri}.c \
 *         src/base/{arena,check,fmt,hash,mem,num,slice}.c -o /tmp/bench_route && /tmp/bench_route
 */
#include "protocol/http/route.h"

#define ROUNDS    200
#define QUESTIONS 10000

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double one_round(const struct route_table *t, slice host, slice path)
{
    struct route_match match;
    double start = now_ns();
    for (int i = 0; i < QUESTIONS; i++)
        if (route_find(t, host, HTTP_GET, path, &match) != ROUTE_FOUND)
            abort();
    return (now_ns() - start) / QUESTIONS;
}

static void bench(const struct route_table *t, slice path)
{
    double best = one_round(t, SLICE("www.example.org"), path);
    for (int i = 0; i < ROUNDS; i++) {
        double ns = one_round(t, SLICE("www.example.org"), path);
        best = MIN(best, ns);
    }
    printf("  %-32.*s %7.1f ns\n", SLICE_ARGS(path), best);
}

static void add(struct route_table *t, slice pattern)
{
    const char *why;
    if (!route_add(t, pattern, 1, &why))
        abort();
}

static void bench_table(unsigned routes, bool with_host)
{
    struct mem_book book;
    struct mem_owner owner;
    mem_book_init(&book, 0);
    mem_owner_init(&owner, &book, "bench");
    struct route_table *t = route_table_new(&owner);
    if (!t)
        abort();
    add(t, SLICE("GET /api/items"));
    add(t, SLICE("/api/items/:id/parts/:part"));
    add(t, SLICE("/static/"));
    if (with_host)
        add(t, SLICE("//www.example.org/other"));
    for (unsigned i = 4; i < routes; i++) {
        char room[64];
        struct fmt f = fmt_on(room, sizeof room);
        fmt_printf(&f, "/some/path%u%s", i, i % 2 ? "/x" : "/:y");
        add(t, fmt_done(&f));
    }
    printf("%u routes%s, %zu bytes\n", route_count(t), with_host ? ", one of a host" : "",
           owner.bytes);
    bench(t, SLICE("/api/items"));
    bench(t, SLICE("/api/items/17/parts/wheel"));
    bench(t, SLICE("/static/css/site.css"));
    route_table_free(&t);
}

int main(void)
{
    bench_table(3, false);
    bench_table(4000, false);
    bench_table(4000, true);
    return 0;
}
