/* The wheel against the simplest possible model: a list of deadlines, looked through each time. */
#include "loop/timeout.h"

#include "base/rand.h"
#include "cmocka_all.h"

#define TIMERS 200

struct model {
    struct timeout_wheel wheel;
    struct prng prng;
    struct entry {
        struct timeout t;
        struct model *model;
        int64_t due; /* INT64_MAX: not set */
        int64_t set_at;
    } e[TIMERS];
    int64_t now;
    int64_t last_due; /* of the one that fired last in this run */
    size_t fired;
    bool is_mean; /* callbacks set and clear others */
};

static void set(struct model *m, struct entry *e, int64_t due)
{
    e->due = due;
    e->set_at = m->now;
    timeout_set(&m->wheel, &e->t, due);
    assert_int_equal(timeout_is_set(&e->t), due != INT64_MAX);
}

static void clear(struct entry *e)
{
    e->due = INT64_MAX;
    timeout_clear(&e->t);
    assert_false(timeout_is_set(&e->t));
}

/* Times near and far, on and beside the borders of slots and levels. */
static int64_t some_time(struct model *m)
{
    uint64_t span = (uint64_t)1 << prng_below(&m->prng, 40);
    int64_t due = m->now + (int64_t)prng_below(&m->prng, span + 1);
    switch (prng_below(&m->prng, 8)) {
    case 0:
        return due & ~(int64_t)63;
    case 1:
        return due | 4095;
    case 2:
        return m->now - (int64_t)prng_below(&m->prng, 100);
    case 3:
        return INT64_MAX - 1 - (int64_t)prng_below(&m->prng, 3);
    default:
        return due;
    }
}

static void fire(struct timeout *t)
{
    struct entry *e = CONTAINER_OF(t, struct entry, t);
    struct model *m = e->model;
    assert_true(e->due <= m->now);   /* it was set, and is not early */
    assert_false(timeout_is_set(t)); /* may be set again, or freed */
    if (!m->is_mean)
        assert_true(MAX(e->due, e->set_at) >= m->last_due); /* in order */
    m->last_due = MAX(e->due, e->set_at);
    e->due = INT64_MAX;
    m->fired++;
    if (!m->is_mean)
        return;
    if (prng_below(&m->prng, 2))
        set(m, e, some_time(m));
    if (prng_below(&m->prng, 4) == 0)
        clear(&m->e[prng_below(&m->prng, TIMERS)]);
    if (prng_below(&m->prng, 4) == 0)
        set(m, &m->e[prng_below(&m->prng, TIMERS)], some_time(m));
}

static int64_t earliest(const struct model *m)
{
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < TIMERS; i++)
        first = MIN(first, m->e[i].due);
    return first;
}

static void check_next(const struct model *m)
{
    int64_t next = timeout_wheel_next(&m->wheel), first = earliest(m);
    assert_true(first == INT64_MAX || next <= MAX(first, m->now));
    if (first == INT64_MAX) /* an entry that was cleared leaves nothing behind for ever */
        assert_true(next == INT64_MAX || next > m->now);
}

static void run_to(struct model *m, int64_t now)
{
    m->now = now;
    m->last_due = INT64_MIN;
    timeout_wheel_run(&m->wheel, now);
    if (!m->is_mean) /* all that was due has fired */
        assert_true(earliest(m) > now);
    check_next(m);
}

static int64_t some_jump(struct model *m)
{
    int64_t next = timeout_wheel_next(&m->wheel);
    switch (prng_below(&m->prng, 6)) {
    case 0:
        return m->now;
    case 1:
        return next < INT64_MAX - 100000 && next >= m->now ? next : m->now + 1;
    case 2:
        return m->now + (int64_t)prng_below(&m->prng, (uint64_t)1 << prng_below(&m->prng, 36));
    case 3:
        return m->now | 63;
    default:
        return m->now + (int64_t)prng_below(&m->prng, 70);
    }
}

static struct model *model_new(uint64_t seed, int64_t now, bool is_mean)
{
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->prng.state = seed;
    m->now = now;
    m->is_mean = is_mean;
    timeout_wheel_init(&m->wheel, now);
    for (size_t i = 0; i < TIMERS; i++) {
        m->e[i].model = m;
        m->e[i].due = INT64_MAX;
        timeout_init(&m->e[i].t, fire);
    }
    return m;
}

static void random_operations(uint64_t seed, bool is_mean)
{
    fprintf(stderr, "%llu ", (unsigned long long)seed);
    struct model *m =
        model_new(seed, (int64_t)prng_below(&(struct prng){seed}, (uint64_t)1 << 38), is_mean);
    for (int step = 0; step < 3000; step++) {
        struct entry *e = &m->e[prng_below(&m->prng, TIMERS)];
        uint64_t what = prng_below(&m->prng, 10);
        if (what < 6)
            set(m, e, some_time(m));
        else if (what < 7)
            clear(e);
        else
            run_to(m, some_jump(m));
        check_next(m);
    }
    assert_true(m->fired > 0);
    free(m);
}

static void test_against_the_model(void **state)
{
    for (uint64_t seed = 1; seed <= 60; seed++)
        random_operations(seed, false);
}

static void test_callbacks_that_set_and_clear(void **state)
{
    for (uint64_t seed = 1; seed <= 60; seed++)
        random_operations(seed, true);
}

static void test_every_distance(void **state)
{
    struct model *m = model_new(1, 0, false);
    for (int64_t start = 0; start < 5000; start += 61) {
        for (int64_t ahead = 1; ahead < 9000; ahead += 83) {
            run_to(m, m->now + start);
            set(m, &m->e[0], m->now + ahead);
            size_t before = m->fired;
            int64_t due = m->now + ahead;
            run_to(m, due - 1);
            assert_int_equal(m->fired, before);
            run_to(m, due);
            assert_int_equal(m->fired, before + 1);
        }
    }
    free(m);
}

static void test_sleeping_until_next_is_exact(void **state)
{
    for (int shift = 0; shift < 45; shift++) {
        struct model *m = model_new(1, 12345, false);
        int64_t due = m->now + ((int64_t)1 << shift) + 7;
        set(m, &m->e[0], due);
        int turns = 0;
        while (!m->fired) { /* as the loop does */
            int64_t next = timeout_wheel_next(&m->wheel);
            assert_true(next > m->now && next <= due);
            assert_true(++turns < 2000);
            run_to(m, next);
        }
        assert_int_equal(m->now, due);
        assert_int_equal(timeout_wheel_next(&m->wheel), INT64_MAX);
        free(m);
    }
}

static void test_limits(void **state)
{
    struct model *m = model_new(1, 1000, false);
    set(m, &m->e[0], INT64_MAX); /* = not set */
    set(m, &m->e[1], INT64_MAX - 1);
    set(m, &m->e[2], INT64_MIN);
    set(m, &m->e[3], 0);
    run_to(m, 1000); /* what has passed fires at the next run, without time passing */
    assert_int_equal(m->fired, 2);
    run_to(m, (int64_t)1 << 50);
    assert_int_equal(m->fired, 2);
    clear(&m->e[1]);
    clear(&m->e[1]);
    run_to(m, ((int64_t)1 << 50) + 100);
    assert_int_equal(m->fired, 2);
    free(m);
}

static void test_time_does_not_go_back(void **state)
{
    struct model *m = model_new(1, 1000, false);
    set(m, &m->e[0], 1010);
    timeout_wheel_run(&m->wheel, 900);
    assert_int_equal(m->fired, 0);
    run_to(m, 1010);
    assert_int_equal(m->fired, 1);
    free(m);
}

static void test_moving_away_costs_nothing(void **state)
{
    struct model *m = model_new(1, 0, false);
    set(m, &m->e[0], 100);
    struct list_node *stands = m->e[0].t.link.next;
    for (int64_t due = 101; due < 5000; due++)
        set(m, &m->e[0], due);
    assert_ptr_equal(m->e[0].t.link.next, stands);
    run_to(m, 4998);
    assert_int_equal(m->fired, 0);
    run_to(m, 4999);
    assert_int_equal(m->fired, 1);
    free(m);
}

/* ---- Many ---- */

static size_t crowd_fired;

static void crowd_fire(struct timeout *t)
{
    crowd_fired++;
}

static void test_hundred_thousand(void **state)
{
    enum { N = 100000 };
    static struct timeout crowd[N];
    struct timeout_wheel w;
    struct prng prng = {7};
    timeout_wheel_init(&w, 0);
    for (int i = 0; i < N; i++) {
        timeout_init(&crowd[i], crowd_fire);
        timeout_set(&w, &crowd[i], 1 + (int64_t)prng_below(&prng, 60000));
    }
    for (int i = 0; i < N; i += 2) /* every second one goes */
        timeout_clear(&crowd[i]);
    for (int64_t now = 0; now <= 60000; now += 7)
        timeout_wheel_run(&w, now);
    timeout_wheel_run(&w, 60000);
    assert_int_equal(crowd_fired, N / 2);
    assert_int_equal(timeout_wheel_next(&w), INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_the_model),
        cmocka_unit_test(test_callbacks_that_set_and_clear),
        cmocka_unit_test(test_every_distance),
        cmocka_unit_test(test_sleeping_until_next_is_exact),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_time_does_not_go_back),
        cmocka_unit_test(test_moving_away_costs_nothing),
        cmocka_unit_test(test_hundred_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
