/* The store against a model, on the simulator's clock; failures of memory; subscribers that change
 * everything while they are told. */
#include "base/crc32c.h"
#include "base/rand.h"
#include "service/store.h"

#include "test_kinds.h"
#include "wire_test.h"

#include <errno.h>
#include <math.h>

static bool is_closed;

static void on_closed(void *owner)
{
    *(bool *)owner = true;
}

static void end(struct test_net *net, struct store *s)
{
    is_closed = false;
    store_close(&s, on_closed, &is_closed);
    assert_null(s);
    net_settle(net);
    assert_true(is_closed);
    net_free(&net);
}

static struct store *begin(struct test_net **net, size_t limit)
{
    *net = net_new(NET_SIM_CALM, 0);
    struct store *s = store_new((*net)->loop, limit);
    assert_non_null(s);
    return s;
}

static struct store_value text(const char *t)
{
    return (struct store_value){.type = STORE_STRING, .bytes = slice_str(t)};
}

static void set(struct store *s, const char *key, const char *value)
{
    assert_int_equal(store_set(s, slice_str(key), text(value), 0, STORE_ALWAYS), 0);
}

#define assert_value(s, key, expected)                            \
    do {                                                          \
        struct store_value v_;                                    \
        assert_int_equal(store_get((s), slice_str(key), &v_), 0); \
        assert_slice(v_.bytes, slice_str(expected));              \
    } while (0)

#define KEY(literal) SLICE(literal)

static void test_values(void **state)
{
    struct test_net *net;
    struct store *s = begin(&net, 0);
    struct store_value v;
    char longer[] = "longer than what fits in place", wide[STORE_KEY_MAX + 1] = "";
    assert_int_equal(store_get(s, KEY("a"), &v), -ENOENT);
    set(s, "a", "1");
    set(s, "a", longer);
    assert_value(s, "a", longer);
    set(s, "", "");
    assert_value(s, "", "");
    assert_int_equal(store_set(s, KEY("a"), text("2"), 0, STORE_IF_ABSENT), -EEXIST);
    assert_int_equal(store_set(s, KEY("b"), text("2"), 0, STORE_IF_PRESENT), -ENOENT);
    assert_int_equal(store_set(s, KEY("b"), text("2"), 0, STORE_IF_ABSENT), 0);
    assert_int_equal(store_set(s, KEY("b"), text("3"), 0, STORE_IF_PRESENT), 0);
    assert_int_equal(store_set(s, slice_of(wide, sizeof wide), text(""), 0, STORE_ALWAYS),
                     -EMSGSIZE);
    assert_int_equal(store_set(s, KEY("b"), text(""), -1, STORE_ALWAYS), -ERANGE);
    assert_int_equal(store_set(s, slice_of(wide, STORE_KEY_MAX), text("w"), 0, STORE_ALWAYS), 0);
    assert_int_equal(store_count(s), 4);
    /* from one's own bytes */
    assert_int_equal(store_get(s, KEY("a"), &v), 0);
    assert_int_equal(store_set(s, KEY("a"), v, 0, STORE_ALWAYS), 0);
    assert_value(s, "a", longer);
    assert_true(store_del(s, KEY("a")));
    assert_false(store_del(s, KEY("a")));
    assert_false(store_exists(s, KEY("a")));
    assert_true(store_exists(s, KEY("b")));
    end(net, s);
}

static void test_numbers(void **state)
{
    struct test_net *net;
    struct store *s = begin(&net, 0);
    int64_t n;
    double d;
    char room[8];
    struct store_value v;
    assert_int_equal(store_incr(s, KEY("n"), 5, &n), 0);
    assert_int_equal(store_incr(s, KEY("n"), -7, &n), 0);
    assert_int_equal(n, -2);
    assert_int_equal(store_set(s, KEY("n"), store_int(INT64_MAX, room), 0, STORE_ALWAYS), 0);
    assert_int_equal(store_incr(s, KEY("n"), 1, &n), -ERANGE);
    assert_int_equal(store_incr(s, KEY("n"), -1, &n), 0);
    assert_true(n == INT64_MAX - 1);
    assert_int_equal(store_incr_double(s, KEY("d"), 0.5, &d), 0);
    assert_int_equal(store_incr_double(s, KEY("d"), 1, &d), 0);
    assert_true(d == 1.5);
    assert_int_equal(store_incr(s, KEY("d"), 1, &n), -EPROTOTYPE);
    assert_int_equal(store_incr_double(s, KEY("d"), INFINITY, &d), -ERANGE);
    assert_int_equal(store_set(s, KEY("d"), store_double(1e308, room), 0, STORE_ALWAYS), 0);
    assert_int_equal(store_incr_double(s, KEY("d"), 1e308, &d), -ERANGE);
    assert_int_equal(store_set(s, KEY("n"), store_int(2, room), 0, STORE_ALWAYS), 0);
    assert_int_equal(store_incr_double(s, KEY("n"), 0.25, &d), 0);
    assert_int_equal(store_get(s, KEY("n"), &v), 0);
    assert_true(store_is_double(&v, &d) && d == 2.25);
    assert_false(store_is_int(&v, &n));
    set(s, "t", "12");
    assert_int_equal(store_incr(s, KEY("t"), 1, &n), -EPROTOTYPE);
    assert_int_equal(store_incr_double(s, KEY("t"), 1, &d), -EPROTOTYPE);
    end(net, s);
}

static void test_swap(void **state)
{
    struct test_net *net;
    struct store *s = begin(&net, 0);
    struct store_value a = text("a"), b = text("b"), other = {.type = 9, .bytes = SLICE("a")};
    size_t n;
    assert_int_equal(store_swap(s, KEY("k"), &a, &b), -ESTALE);
    assert_int_equal(store_swap(s, KEY("k"), NULL, &a), 0);
    assert_int_equal(store_swap(s, KEY("k"), NULL, &a), -ESTALE);
    assert_int_equal(store_swap(s, KEY("k"), &b, &a), -ESTALE);
    assert_int_equal(store_swap(s, KEY("k"), &other, &b), -ESTALE);
    assert_int_equal(store_expire(s, KEY("k"), 100), 0);
    assert_int_equal(store_swap(s, KEY("k"), &a, &b), 0);
    int64_t ttl;
    assert_int_equal(store_ttl(s, KEY("k"), &ttl), 0);
    assert_int_equal(ttl, 100);
    assert_int_equal(store_swap(s, KEY("k"), &b, NULL), 0);
    assert_int_equal(store_swap(s, KEY("k"), NULL, NULL), 0);
    assert_int_equal(store_push(s, STORE_LEFT, KEY("k"), a, &n), 0);
    assert_int_equal(store_swap(s, KEY("k"), &a, &b), -EPROTOTYPE);
    end(net, s);
}

static void test_time_to_live(void **state)
{
    struct test_net *net;
    struct store *s = begin(&net, 0);
    int64_t ttl;
    assert_int_equal(store_set(s, KEY("k"), text("v"), 1000, STORE_ALWAYS), 0);
    assert_int_equal(store_ttl(s, KEY("k"), &ttl), 0);
    assert_int_equal(ttl, 1000);
    loop_sim_advance(net->sim, 999);
    assert_true(store_exists(s, KEY("k")));
    assert_int_equal(store_count(s), 1);
    loop_sim_advance(net->sim, 1);
    assert_int_equal(store_count(s), 0); /* without being asked for */
    assert_int_equal(store_ttl(s, KEY("k"), &ttl), -ENOENT);
    assert_int_equal(store_expire(s, KEY("k"), 5), -ENOENT);
    assert_int_equal(store_persist(s, KEY("k")), -ENOENT);
    assert_int_equal(store_set(s, KEY("k"), text("v"), 10, STORE_ALWAYS), 0);
    assert_int_equal(store_persist(s, KEY("k")), 0);
    assert_int_equal(store_ttl(s, KEY("k"), &ttl), 0);
    assert_int_equal(ttl, -1);
    assert_int_equal(store_expire(s, KEY("k"), 20), 0);
    assert_int_equal(store_expire(s, KEY("k"), 30), 0);
    assert_int_equal(store_expire(s, KEY("k"), INT64_MAX), -ERANGE);
    loop_sim_advance(net->sim, 29);
    assert_true(store_exists(s, KEY("k")));
    set(s, "k", "again"); /* for ever */
    loop_sim_advance(net->sim, 1000);
    assert_value(s, "k", "again");
    assert_int_equal(store_expire(s, KEY("k"), 0), 0);
    assert_int_equal(store_count(s), 0);
    end(net, s);
}

static void push(struct store *s, enum store_side side, const char *key, const char *value)
{
    size_t n;
    assert_int_equal(store_push(s, side, slice_str(key), text(value), &n), 0);
    assert_int_equal((ssize_t)n, store_length(s, slice_str(key)));
}

static void test_lists(void **state)
{
    struct test_net *net;
    struct store *s = begin(&net, 0);
    struct store_value v, some[8];
    push(s, STORE_RIGHT, "l", "b");
    push(s, STORE_LEFT, "l", "a");
    push(s, STORE_RIGHT, "l", "c, which is longer than eight");
    assert_int_equal(store_index(s, KEY("l"), 0, &v), 0);
    assert_slice(v.bytes, SLICE("a"));
    assert_int_equal(store_index(s, KEY("l"), -2, &v), 0);
    assert_slice(v.bytes, SLICE("b"));
    assert_int_equal(store_index(s, KEY("l"), 3, &v), -ENOENT);
    assert_int_equal(store_index(s, KEY("l"), -4, &v), -ENOENT);
    assert_int_equal(store_range(s, KEY("l"), 0, -1, some, 8), 3);
    assert_int_equal(store_range(s, KEY("l"), 0, -1, some, 2), 2);
    assert_int_equal(store_range(s, KEY("l"), -100, 100, some, 8), 3);
    assert_int_equal(store_range(s, KEY("l"), 2, 1, some, 8), 0);
    assert_int_equal(store_range(s, KEY("none"), 0, 1, some, 8), 0);
    assert_int_equal(store_get(s, KEY("l"), &v), -EPROTOTYPE);
    assert_true(store_is_list(s, KEY("l")));
    assert_int_equal(store_pop(s, STORE_RIGHT, KEY("l"), &v), 0);
    assert_slice(v.bytes, SLICE("c, which is longer than eight"));
    assert_int_equal(store_trim(s, KEY("l"), 1, -1), 0);
    assert_int_equal(store_length(s, KEY("l")), 1);
    assert_int_equal(store_pop(s, STORE_LEFT, KEY("l"), &v), 0);
    assert_slice(v.bytes, SLICE("b"));
    assert_false(store_exists(s, KEY("l")));
    assert_int_equal(store_pop(s, STORE_LEFT, KEY("l"), &v), -ENOENT);
    assert_int_equal(store_trim(s, KEY("l"), 0, 1), -ENOENT);
    push(s, STORE_RIGHT, "l", "x");
    assert_int_equal(store_trim(s, KEY("l"), 5, 9), 0);
    assert_false(store_exists(s, KEY("l")));
    set(s, "v", "x");
    assert_int_equal(store_length(s, KEY("v")), -EPROTOTYPE);
    push(s, STORE_RIGHT, "l", "x");
    set(s, "l", "replaced");
    assert_value(s, "l", "replaced");
    end(net, s);
}

static void test_keys_in_order(void **state)
{
    struct test_net *net;
    struct store *s = begin(&net, 0);
    struct prng g = {1};
    char key[32], after[32] = "";
    slice at = {NULL, 0}, found;
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "user:%03d", i);
        set(s, key, "x");
    }
    set(s, "user", "x");
    set(s, "user;", "x");
    int seen = 0;
    while (store_next(s, KEY("user:"), at, &found)) {
        int number = (int)strtol(found.p + 5, NULL, 10);
        assert_true(number >= seen); /* what was deleted is not seen, nothing twice */
        seen = number + 1;
        memcpy(after, found.p, found.n);
        at = slice_of(after, found.n);
        snprintf(key, sizeof key, "user:%03d", (int)prng_below(&g, 1000));
        store_del(s, slice_str(key));
    }
    assert_int_equal(seen > 900, 1);
    size_t all = store_count(s);
    assert_int_equal(store_clear(s, KEY("user:")), all - 2);
    assert_int_equal(store_count(s), 2);
    set(s, "", "the empty key");
    assert_int_equal(store_clear(s, SLICE("")), 3);
    end(net, s);
}

/* ---- The model: arrays that are searched. ---- */

#define KEYS  24
#define ITEMS 12

struct model {
    struct entry {
        bool is_there, is_list;
        int64_t due; /* 0 = never */
        int count;
        char items[ITEMS][24];
    } entries[KEYS];
    int64_t now;
};

static struct entry *look(struct model *m, int k)
{
    struct entry *e = &m->entries[k];
    if (e->is_there && e->due && e->due <= m->now)
        e->is_there = false;
    return e;
}

static void name_of(int k, char *out)
{
    snprintf(out, 16, "k%d%s", k, k % 3 ? "" : "/x");
}

static void model_set(struct store *s, struct model *m, int k, struct prng *g)
{
    char key[16], value[24];
    struct entry *e = look(m, k);
    name_of(k, key);
    int64_t ttl = prng_below(g, 3) ? 0 : 1 + (int64_t)prng_below(g, 50);
    enum store_when when = (enum store_when)prng_below(g, 3);
    snprintf(value, sizeof value, "%.*s", (int)prng_below(g, 20), "abcdefghijklmnopqrstuv");
    int error = store_set(s, slice_str(key), text(value), ttl, when);
    if (when == STORE_IF_ABSENT && e->is_there) {
        assert_int_equal(error, -EEXIST);
    } else if (when == STORE_IF_PRESENT && !e->is_there) {
        assert_int_equal(error, -ENOENT);
    } else {
        assert_int_equal(error, 0);
        *e = (struct entry){.is_there = true, .count = 1, .due = ttl ? m->now + ttl : 0};
        memcpy(e->items[0], value, sizeof value);
    }
}

static void model_push(struct store *s, struct model *m, int k, struct prng *g)
{
    char key[16], value[24];
    struct entry *e = look(m, k);
    size_t n;
    name_of(k, key);
    if (e->is_there && e->is_list && e->count == ITEMS)
        return;
    enum store_side side = (enum store_side)prng_below(g, 2);
    snprintf(value, sizeof value, "%.*s", (int)prng_below(g, 20), "zyxwvutsrqponmlkjihg");
    int error = store_push(s, side, slice_str(key), text(value), &n);
    if (e->is_there && !e->is_list) {
        assert_int_equal(error, -EPROTOTYPE);
        return;
    }
    assert_int_equal(error, 0);
    if (!e->is_there)
        *e = (struct entry){.is_there = true, .is_list = true};
    if (side == STORE_LEFT)
        memmove(e->items[1], e->items[0], (size_t)e->count * sizeof e->items[0]);
    memcpy(e->items[side == STORE_LEFT ? 0 : e->count], value, sizeof value);
    e->count++;
    assert_int_equal(n, e->count);
}

static void cut(struct entry *e, int first, int end)
{
    e->count = end - first;
    memmove(e->items[0], e->items[first], (size_t)e->count * sizeof e->items[0]);
    e->is_there = e->count > 0;
}

static void model_pop(struct store *s, struct model *m, int k, struct prng *g)
{
    char key[16];
    struct entry *e = look(m, k);
    struct store_value v;
    name_of(k, key);
    enum store_side side = (enum store_side)prng_below(g, 2);
    int error = store_pop(s, side, slice_str(key), &v);
    if (!e->is_there || !e->is_list) {
        assert_int_equal(error, e->is_there ? -EPROTOTYPE : -ENOENT);
        return;
    }
    assert_int_equal(error, 0);
    assert_slice(v.bytes, slice_str(e->items[side == STORE_LEFT ? 0 : e->count - 1]));
    cut(e, side == STORE_LEFT, e->count - (side == STORE_RIGHT));
}

static void model_trim(struct store *s, struct model *m, int k, struct prng *g)
{
    char key[16];
    struct entry *e = look(m, k);
    name_of(k, key);
    int first = (int)prng_below(g, 8) - 4, last = (int)prng_below(g, 16) - 8;
    int error = store_trim(s, slice_str(key), first, last);
    if (!e->is_there || !e->is_list) {
        assert_int_equal(error, e->is_there ? -EPROTOTYPE : -ENOENT);
        return;
    }
    assert_int_equal(error, 0);
    first = first < 0 ? MAX(first + e->count, 0) : first;
    last = last < 0 ? last + e->count : MIN(last, e->count - 1);
    if (first > last)
        e->is_there = false;
    else
        cut(e, first, last + 1);
}

static void model_time(struct store *s, struct model *m, int k, struct prng *g)
{
    char key[16];
    struct entry *e = look(m, k);
    name_of(k, key);
    int64_t ttl = (int64_t)prng_below(g, 60) - 2;
    int error =
        prng_below(g, 3) ? store_expire(s, slice_str(key), ttl) : store_persist(s, slice_str(key));
    assert_int_equal(error, e->is_there ? 0 : -ENOENT);
    int64_t left = -1;
    if (e->is_there && store_ttl(s, slice_str(key), &left) == -ENOENT)
        e->is_there = false;
    e->due = left < 0 ? 0 : m->now + left;
    assert_true(left <= MAX(ttl, 0) || left == -1);
}

static void model_check(struct store *s, struct model *m)
{
    size_t there = 0;
    for (int k = 0; k < KEYS; k++) {
        char key[16];
        struct entry *e = look(m, k);
        struct store_value v[ITEMS + 1];
        name_of(k, key);
        assert_int_equal(store_exists(s, slice_str(key)), e->is_there);
        if (!e->is_there)
            continue;
        there++;
        int n = e->is_list ? (int)store_range(s, slice_str(key), 0, -1, v, ITEMS + 1)
                           : store_get(s, slice_str(key), v) + 1;
        assert_int_equal(n, e->count);
        for (int i = 0; i < n; i++)
            assert_slice(v[i].bytes, slice_str(e->items[i]));
    }
    assert_int_equal(store_count(s), there);
}

static void model_run(struct test_net *net, struct store *s, struct model *m, struct prng *g)
{
    void (*steps[])(struct store *, struct model *, int, struct prng *) = {
        model_set, model_push, model_push, model_pop, model_trim, model_time};
    for (int i = 0; i < 3000; i++) {
        m->now = loop_now_ms(net->loop);
        int k = (int)prng_below(g, KEYS);
        steps[prng_below(g, COUNT_OF(steps))](s, m, k, g);
        if (prng_below(g, 10) == 0) {
            char key[16];
            name_of(k, key);
            assert_int_equal(store_del(s, slice_str(key)), look(m, k)->is_there);
            look(m, k)->is_there = false;
        }
        if (prng_below(g, 5) == 0)
            loop_sim_advance(net->sim, (int64_t)prng_below(g, 20));
        m->now = loop_now_ms(net->loop);
        if (i % 50 == 0)
            model_check(s, m);
    }
}

static void test_model(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct test_net *net;
        struct store *s = begin(&net, 0);
        struct prng g = {seed};
        static struct model m;
        m = (struct model){.now = 0};
        model_run(net, s, &m, &g);
        end(net, s);
    }
}

/* ---- Limits and memory. ---- */

static void test_limit(void **state)
{
    struct test_net *net;
    struct store *s = begin(&net, 64 * KIB);
    struct store_stats stats;
    char value[1000], key[16];
    memset(value, 'v', sizeof value);
    struct store_value v = {.bytes = slice_of(value, sizeof value)};
    int error = 0, n = 0;
    for (; !error; n++) {
        snprintf(key, sizeof key, "%d", n);
        error = store_set(s, slice_str(key), v, 0, STORE_ALWAYS);
    }
    assert_int_equal(error, -ENOSPC);
    assert_int_equal(store_count(s), (size_t)n - 1);                 /* nobody was driven out */
    assert_int_equal(store_set(s, KEY("0"), v, 0, STORE_ALWAYS), 0); /* in its own place */
    size_t length;
    do
        error = store_push(s, STORE_LEFT, KEY("l"), text("x"), &length);
    while (!error);
    assert_int_equal(error, -ENOSPC);
    store_stats(s, &stats);
    assert_true(stats.bytes <= 64 * KIB && stats.bytes > 60 * KIB);
    assert_true(stats.refused >= 2);
    size_t all = store_count(s);
    assert_int_equal(store_clear(s, SLICE("")), all);
    assert_int_equal(store_count(s), 0);
    end(net, s);
}

static void on_nothing(struct store_sub *sub, slice channel, slice message)
{
}

/* Everything that allocates, each allocation failing once: nothing is half done. */
static int sweep_once(struct store *s)
{
    struct store_value v = text("a value that does not fit in place");
    struct store_sub sub = {.channel = SLICE("c"), .on_message = on_nothing};
    size_t n;
    int64_t number;
    int error;
    if ((error = store_set(s, KEY("a"), v, 100, STORE_ALWAYS)) ||
        (error = store_set(s, KEY("b"), v, 0, STORE_ALWAYS)) ||
        (error = store_expire(s, KEY("b"), 5)) || (error = store_incr(s, KEY("n"), 1, &number)))
        return error;
    for (int i = 0; i < 9; i++)
        if ((error = store_push(s, STORE_RIGHT, KEY("l"), v, &n)))
            return error;
    struct store_value popped;
    while (store_pop(s, STORE_LEFT, KEY("l"), &popped) == 0)
        ;
    error = store_subscribe(s, &sub);
    store_unsubscribe(s, &sub);
    return error;
}

static void test_no_memory(void **state)
{
    for (uint64_t at = 1;; at++) {
        struct test_net *net = net_new(NET_SIM_CALM, 0);
        net->book.fail_at = at;
        struct store *s = store_new(net->loop, 0);
        int error = s ? sweep_once(s) : -ENOMEM;
        bool is_over = net->book.fail_at != 0;
        net->book.fail_at = 0;
        if (s && error) {
            assert_int_equal(error, -ENOMEM);
            assert_int_equal(sweep_once(s), 0);
        }
        if (s)
            end(net, s);
        else
            net_free(&net);
        if (is_over)
            break;
        assert_true(at < 200);
    }
}

/* ---- Channels. ---- */

struct ear {
    struct store_sub sub;
    struct store *store;
    struct ear *other;
    int heard;
    enum { HEARS, LEAVES, SENDS_OTHER_AWAY, BRINGS_OTHER, ECHOES } does;
};

static void on_message(struct store_sub *sub, slice channel, slice message)
{
    struct ear *e = CONTAINER_OF(sub, struct ear, sub);
    e->heard++;
    assert_slice(message, SLICE("hello"));
    switch (e->does) {
    case HEARS:
        break;
    case LEAVES:
        store_unsubscribe(e->store, sub);
        break;
    case SENDS_OTHER_AWAY:
        store_unsubscribe(e->store, &e->other->sub);
        break;
    case BRINGS_OTHER:
        if (!e->other->sub.at)
            assert_int_equal(store_subscribe(e->store, &e->other->sub), 0);
        break;
    case ECHOES:
        if (e->heard == 1)
            assert_true(store_publish(e->store, channel, message) > 0);
        break;
    }
}

static void listen_to(struct ear *e, struct store *s, const char *channel)
{
    e->sub = (struct store_sub){.channel = slice_str(channel), .on_message = on_message};
    e->store = s;
    e->heard = 0;
    assert_int_equal(store_subscribe(s, &e->sub), 0);
}

static void test_channels(void **state)
{
    struct test_net *net;
    struct store *s = begin(&net, 0);
    struct ear exact = {0}, prefix = {0}, all = {0}, literal = {0};
    char name[300];
    memset(name, 'n', sizeof name);
    listen_to(&exact, s, "news/a");
    listen_to(&prefix, s, "news/*");
    listen_to(&all, s, "*");
    listen_to(&literal, s, "news/");
    assert_int_equal(store_publish(s, SLICE("news/a"), SLICE("hello")), 3);
    assert_int_equal(store_publish(s, SLICE("news/"), SLICE("hello")), 3);
    assert_int_equal(store_publish(s, SLICE("new"), SLICE("hello")), 1);
    assert_int_equal(store_publish(s, SLICE(""), SLICE("hello")), 1);
    assert_int_equal(store_publish(s, slice_of(name, 255), SLICE("hello")), 1);
    assert_int_equal(store_publish(s, slice_of(name, 256), SLICE("hello")), -EMSGSIZE);
    assert_int_equal(exact.heard, 1);
    assert_int_equal(prefix.heard, 2);
    assert_int_equal(all.heard, 5);
    assert_int_equal(literal.heard, 1);
    store_unsubscribe(s, &exact.sub);
    store_unsubscribe(s, &exact.sub);
    store_unsubscribe(s, &prefix.sub);
    store_unsubscribe(s, &all.sub);
    store_unsubscribe(s, &literal.sub);
    assert_int_equal(store_publish(s, SLICE("news/a"), SLICE("hello")), 0);
    exact.sub.channel = SLICE("");
    assert_int_equal(store_subscribe(s, &exact.sub), -EINVAL);
    exact.sub.channel = slice_of(name, 256);
    assert_int_equal(store_subscribe(s, &exact.sub), -EMSGSIZE);
    end(net, s);
}

static void test_changes_while_delivering(void **state)
{
    struct test_net *net;
    struct store *s = begin(&net, 0);
    for (int does = HEARS; does <= ECHOES; does++) {
        struct ear ears[4] = {0};
        for (int i = 0; i < 3; i++)
            listen_to(&ears[i], s, "c");
        ears[1].does = does;
        ears[1].other = does == BRINGS_OTHER ? &ears[3] : &ears[2];
        ears[3].sub = (struct store_sub){.channel = SLICE("c"), .on_message = on_message};
        ears[3].store = s;
        assert_int_equal(store_publish(s, SLICE("c"), SLICE("hello")),
                         3 - (does == SENDS_OTHER_AWAY));
        assert_int_equal(ears[0].heard, 1 + (does == ECHOES));
        assert_int_equal(ears[2].heard, does == SENDS_OTHER_AWAY ? 0 : 1 + (does == ECHOES));
        assert_int_equal(ears[3].heard, 0);
        store_publish(s, SLICE("c"), SLICE("hello"));
        assert_int_equal(ears[3].heard, does == BRINGS_OTHER);
        for (int i = 0; i < 4; i++)
            store_unsubscribe(s, &ears[i].sub);
    }
    struct store_stats stats;
    store_stats(s, &stats);
    assert_int_equal(stats.channels, 0);
    assert_int_equal(stats.subscribers, 0);
    end(net, s);
}

static ssize_t deepest;

static void on_endless(struct store_sub *sub, slice channel, slice message)
{
    ssize_t n = store_publish(CONTAINER_OF(sub, struct ear, sub)->store, channel, message);
    if (n < 0)
        deepest = n;
}

static void test_endless_echo(void **state)
{
    struct test_net *net;
    struct store *s = begin(&net, 0);
    struct ear e = {.store = s, .sub = {.channel = SLICE("c"), .on_message = on_endless}};
    assert_int_equal(store_subscribe(s, &e.sub), 0);
    assert_int_equal(store_publish(s, SLICE("c"), SLICE("x")), 1);
    assert_int_equal(deepest, -ELOOP);
    store_unsubscribe(s, &e.sub);
    end(net, s);
}

static void test_checksum(void **state)
{
    assert_int_equal(crc32c(0, SLICE("123456789")), 0xe3069283);
    assert_int_equal(crc32c(crc32c(0, SLICE("1234")), SLICE("56789")), 0xe3069283);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_swap),
        cmocka_unit_test(test_time_to_live),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_keys_in_order),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_changes_while_delivering),
        cmocka_unit_test(test_endless_echo),
        cmocka_unit_test(test_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
