/* test_kinds: one test body on every engine; on the wild simulator with many seeds.
 *
 *     static void echoes(struct test_net *net) { ... }
 *     ON_ALL(echoes)
 *     cmocka_unit_test(test_echoes)
 *
 * MEDUSA_SEED=n in the environment runs the wild simulator with this seed alone. */
#ifndef TESTS_LIB_TEST_KINDS_H
#define TESTS_LIB_TEST_KINDS_H

#include "test_net.h"

#include "cmocka_all.h"

typedef void (*test_body_fn)(struct test_net *net);

#define TEST_SEEDS 40

static inline void test_on(enum net_kind kind, uint64_t seed, test_body_fn body)
{
    struct test_net *net = net_new(kind, seed);
    body(net);
    net_free(&net);
}

static inline void test_on_wild(uint64_t seeds, test_body_fn body)
{
    const char *chosen = getenv("MEDUSA_SEED");
    if (chosen) {
        test_on(NET_SIM_WILD, strtoull(chosen, NULL, 10), body);
        return;
    }
    for (uint64_t seed = 1; seed <= seeds; seed++)
        test_on(NET_SIM_WILD, seed, body);
}

static inline void test_on_sim(test_body_fn body)
{
    test_on(NET_SIM_CALM, 0, body);
    test_on_wild(TEST_SEEDS, body);
}

static inline void test_on_all(test_body_fn body)
{
    test_on(NET_EPOLL_TCP, 0, body);
    test_on(NET_EPOLL_UNIX, 0, body);
    test_on_sim(body);
}

#define ON_ALL(body)                      \
    static void test_##body(void **state) \
    {                                     \
        test_on_all(body);                \
    }
#define ON_SIM(body)                      \
    static void test_##body(void **state) \
    {                                     \
        test_on_sim(body);                \
    }

#endif
