/* What loop.h promises of a turn: the order of things in it, time, jobs, signals, waking, stopping.
 * Passed by every engine. */
#include "loop/loop_core.h"
#include "test_kinds.h"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

/* A diary of who was called. */
struct diary {
    struct test_net *net;
    char text[200];
    size_t n;
};

static void note(struct diary *d, char c)
{
    assert_true(d->n < sizeof d->text - 1);
    d->text[d->n++] = c;
    d->text[d->n] = 0;
}

/* Any object that can be called back; writes its letter. */
struct thing {
    struct loop_deferred deferred;
    struct timeout timeout;
    struct work_job job;
    struct loop_fd lfd;
    struct diary *diary;
    char letter;
    int64_t fired_ms;
    void (*also)(struct thing *t);
    struct thing *other;
    int again;
    pthread_t ran_in, done_in;
    sem_t *gate;
};

static void act(struct thing *t)
{
    note(t->diary, t->letter);
    if (t->also)
        t->also(t);
}

static void on_deferred(struct loop_deferred *d)
{
    act(CONTAINER_OF(d, struct thing, deferred));
}

static void on_timeout(struct timeout *timeout)
{
    struct thing *t = CONTAINER_OF(timeout, struct thing, timeout);
    t->fired_ms = loop_now_ms(t->diary->net->loop);
    act(t);
}

static void on_recv(struct loop_fd *fd, slice in, int end)
{
    act(CONTAINER_OF(fd, struct thing, lfd));
}

static void thing_init(struct thing *t, struct diary *d, char letter)
{
    *t = (struct thing){.diary = d, .letter = letter};
    loop_deferred_init(&t->deferred, on_deferred);
    timeout_init(&t->timeout, on_timeout);
}

static void things_init(struct thing *t, size_t n, struct diary *d, struct test_net *net)
{
    *d = (struct diary){.net = net};
    for (size_t i = 0; i < n; i++)
        thing_init(&t[i], d, (char)('a' + i));
}

static struct loop *loop_of(struct thing *t)
{
    return t->diary->net->loop;
}

static bool is_noted(void *arg)
{
    return ((struct diary *)arg)->n > 0;
}

/* ---- Deferred calls ---- */

static void defer_other(struct thing *t)
{
    loop_defer(loop_of(t), &t->other->deferred);
}

static void deferred_in_order(struct test_net *net)
{
    struct diary d;
    struct thing t[4];
    things_init(t, 4, &d, net);
    for (int i = 0; i < 4; i++)
        loop_defer(net->loop, &t[i].deferred);
    loop_defer(net->loop, &t[0].deferred); /* twice is once */
    loop_defer_cancel(&t[2].deferred);
    loop_defer_cancel(&t[2].deferred);
    assert_string_equal(d.text, ""); /* never from inside the call */
    net_turn(net);
    assert_string_equal(d.text, "abd");
    net_turn(net);
    assert_string_equal(d.text, "abd");
}
ON_ALL(deferred_in_order)

static void deferred_from_deferred_is_next_turn(struct test_net *net)
{
    struct diary d;
    struct thing t[3];
    things_init(t, 3, &d, net);
    t[0].also = defer_other;
    t[0].other = &t[0]; /* itself, for ever */
    loop_defer(net->loop, &t[0].deferred);
    loop_defer(net->loop, &t[1].deferred);
    int64_t before = loop_now_ms(net->loop);
    for (int i = 0; i < 5; i++)
        loop_turn(net->loop, before + 3600000); /* does not wait */
    assert_string_equal(d.text, "abaaaa");
    assert_true(loop_now_ms(net->loop) < before + 3600000);
    loop_defer_cancel(&t[0].deferred);
}
ON_ALL(deferred_from_deferred_is_next_turn)

static void cancel_other(struct thing *t)
{
    loop_defer_cancel(&t->other->deferred);
}

static void deferred_cancels_another(struct test_net *net)
{
    struct diary d;
    struct thing t[3];
    things_init(t, 3, &d, net);
    t[0].also = cancel_other;
    t[0].other = &t[1];
    for (int i = 0; i < 3; i++)
        loop_defer(net->loop, &t[i].deferred);
    net_turn(net);
    assert_string_equal(d.text, "ac");
}
ON_ALL(deferred_cancels_another)

/* ---- The order of a turn ---- */

static void job_run(struct work_job *job)
{
    struct thing *t = CONTAINER_OF(job, struct thing, job);
    t->ran_in = pthread_self();
    if (t->gate)
        sem_wait(t->gate);
}

static void job_done(struct work_job *job)
{
    struct thing *t = CONTAINER_OF(job, struct thing, job);
    t->done_in = pthread_self();
    act(t);
}

static void submit(struct work_lane *lane, struct thing *t)
{
    t->job = (struct work_job){.run = job_run, .done = job_done};
    work_submit(lane, &t->job);
}

/* From on_recv: everything else of a turn is started, in the wrong order. */
static void start_all(struct thing *t)
{
    struct thing *all = t->other;
    struct loop *loop = loop_of(t);
    loop_bury(loop, &all[4].deferred);
    loop_defer(loop, &all[3].deferred);
    timeout_set(loop_wheel(loop), &all[2].timeout, loop_now_ms(loop));
    loop_recv_stop(loop, &t->lfd);
}

static void order_of_a_turn(struct test_net *net)
{
    static const struct loop_fd_ops ops = {.on_recv = on_recv};
    struct diary d;
    struct thing t[5];
    things_init(t, 5, &d, net);
    int fd;
    struct test_peer *p = net_peer(net, &fd);
    assert_int_equal(loop_open(net->loop, &t[0].lfd, fd, &ops), 0);
    loop_recv_start(net->loop, &t[0].lfd);
    t[0].also = start_all;
    t[0].other = t;
    t[3].also = defer_other; /* a deferred call posts one for the next turn: after the graves */
    t[3].other = &t[1];
    peer_send(p, SLICE("x"));
    assert_true(net_until(net, is_noted, &d));
    assert_string_equal(d.text, "acde");
    net_turn(net);
    assert_string_equal(d.text, "acdeb");
    loop_close(net->loop, &t[0].lfd);
}
ON_ALL(order_of_a_turn)

static void bury_both(struct thing *t)
{
    loop_defer(loop_of(t), &t->other->deferred);
    loop_bury(loop_of(t), &t->other->deferred); /* replaces the deferred call */
}

static void grave_replaces_deferred(struct test_net *net)
{
    struct diary d;
    struct thing t[3];
    things_init(t, 3, &d, net);
    t[0].also = bury_both;
    t[0].other = &t[1];
    loop_defer(net->loop, &t[0].deferred);
    loop_defer(net->loop, &t[2].deferred);
    net_turn(net);
    assert_string_equal(d.text, "acb");
}
ON_ALL(grave_replaces_deferred)

/* ---- Time ---- */

static bool all_fired(void *arg)
{
    struct diary *d = arg;
    return d->n == 3;
}

static void timers_in_order_never_early(struct test_net *net)
{
    struct diary d;
    struct thing t[3];
    things_init(t, 3, &d, net);
    int64_t now = loop_now_ms(net->loop);
    timeout_set(loop_wheel(net->loop), &t[0].timeout, now + 9);
    timeout_set(loop_wheel(net->loop), &t[1].timeout, now + 3);
    timeout_set(loop_wheel(net->loop), &t[2].timeout, now + 6);
    assert_true(net_until(net, all_fired, &d));
    assert_string_equal(d.text, "bca");
    assert_true(t[0].fired_ms >= now + 9);
    assert_true(t[1].fired_ms >= now + 3);
    assert_true(t[2].fired_ms >= now + 6);
}
ON_ALL(timers_in_order_never_early)

static void rearm_now(struct thing *t)
{
    if (--t->again > 0)
        timeout_set(loop_wheel(loop_of(t)), &t->timeout, loop_now_ms(loop_of(t)));
}

static void timer_set_again_runs_in_another_turn(struct test_net *net)
{
    struct diary d;
    struct thing t[2];
    things_init(t, 2, &d, net);
    t[0].also = rearm_now;
    t[0].again = 3;
    timeout_set(loop_wheel(net->loop), &t[0].timeout, loop_now_ms(net->loop));
    assert_true(net_until(net, is_noted, &d));
    assert_string_equal(d.text, "a");
    assert_true(net_until(net, all_fired, &d));
    assert_string_equal(d.text, "aaa");
}
ON_ALL(timer_set_again_runs_in_another_turn)

static void clear_other(struct thing *t)
{
    timeout_clear(&t->other->timeout);
}

static void timer_clears_another(struct test_net *net)
{
    struct diary d;
    struct thing t[2];
    things_init(t, 2, &d, net);
    int64_t due = loop_now_ms(net->loop) + 2;
    for (int i = 0; i < 2; i++) {
        t[i].also = clear_other;
        t[i].other = &t[1 - i];
        timeout_set(loop_wheel(net->loop), &t[i].timeout, due);
    }
    assert_true(net_until(net, is_noted, &d));
    net_settle(net);
    assert_string_equal(d.text, "a");
}
ON_ALL(timer_clears_another)

static void clock_of_the_turn(struct test_net *net)
{
    int64_t unix_s = loop_unix_s(net->loop);
    assert_true(unix_s >= 1700000000);
    int64_t now = loop_now_ms(net->loop);
    for (int i = 0; i < 5; i++) {
        net_turn(net);
        assert_true(loop_now_ms(net->loop) >= now);
        now = loop_now_ms(net->loop);
        assert_true(loop_unix_s(net->loop) >= unix_s);
    }
}
ON_ALL(clock_of_the_turn)

/* ---- Running and stopping ---- */

static void stop(struct thing *t)
{
    loop_stop(loop_of(t));
}

static void runs_until_stopped(struct test_net *net)
{
    struct diary d;
    struct thing t[2];
    things_init(t, 2, &d, net);
    t[0].also = stop;
    for (int i = 0; i < 2; i++) { /* twice: it can run again */
        timeout_set(loop_wheel(net->loop), &t[0].timeout, loop_now_ms(net->loop) + 3);
        loop_defer(net->loop, &t[1].deferred);
        loop_run(net->loop);
    }
    assert_string_equal(d.text, "baba");
}
ON_ALL(runs_until_stopped)

static void *wake_thread(void *arg)
{
    struct loop *loop = arg;
    loop->ops->wake(loop->backend);
    return NULL;
}

static void woken_by_a_thread(struct test_net *net)
{
    pthread_t thread;
    net_turn(net);
    int64_t before = loop_now_ms(net->loop);
    assert_int_equal(pthread_create(&thread, NULL, wake_thread, net->loop), 0);
    if (net->sim)
        pthread_join(thread, NULL); /* its waiting takes no time in which a thread could come */
    loop_turn(net->loop, before + 60000);
    loop_turn(net->loop, 0); /* the clock is that of the turn's beginning */
    assert_true(loop_now_ms(net->loop) < before + 30000);
    if (!net->sim)
        pthread_join(thread, NULL);
}
ON_ALL(woken_by_a_thread)

/* ---- Jobs ---- */

static bool four_done(void *arg)
{
    return ((struct diary *)arg)->n == 4;
}

static void one_thread_keeps_order(struct test_net *net)
{
    struct diary d;
    struct thing t[4];
    things_init(t, 4, &d, net);
    struct work_lane *lane = work_lane_new(net->loop, "disk", 1);
    for (int i = 0; i < 4; i++)
        submit(lane, &t[i]);
    assert_string_equal(d.text, ""); /* never before returning */
    assert_int_equal(work_lane_pending(lane), 4);
    assert_true(net_until(net, four_done, &d));
    assert_string_equal(d.text, "abcd");
    for (int i = 0; i < 4; i++) {
        assert_true(pthread_equal(t[i].done_in, pthread_self()));
        assert_int_equal(pthread_equal(t[i].ran_in, pthread_self()) != 0, net->sim != NULL);
    }
    assert_int_equal(work_lane_pending(lane), 0);
    work_lane_free(&lane);
}
ON_ALL(one_thread_keeps_order)

static void submit_again(struct thing *t)
{
    if (--t->again > 0)
        submit(t->job.lane, t);
}

static void job_submitted_from_done(struct test_net *net)
{
    struct diary d;
    struct thing t[1];
    things_init(t, 1, &d, net);
    t[0].also = submit_again;
    t[0].again = 4;
    struct work_lane *lane = work_lane_new(net->loop, "disk", 2);
    submit(lane, &t[0]);
    assert_true(net_until(net, four_done, &d));
    assert_string_equal(d.text, "aaaa");
    work_lane_free(&lane);
}
ON_ALL(job_submitted_from_done)

/* Hanging: in the simulator by its lane's name, else at a gate. */
static void hung_lane_holds_up_only_itself(struct test_net *net)
{
    struct diary d, hung;
    struct thing t[4], h[4];
    sem_t gate;
    sem_init(&gate, 0, 0);
    things_init(t, 4, &d, net);
    things_init(h, 4, &hung, net);
    struct work_lane *bad = work_lane_new(net->loop, "bad", 2);
    struct work_lane *good = work_lane_new(net->loop, "good", 2);
    if (net->sim)
        loop_sim_hang(net->sim, "bad", true);
    for (int i = 0; i < 4; i++) {
        h[i].gate = net->sim ? NULL : &gate;
        submit(bad, &h[i]);
        submit(good, &t[i]);
    }
    assert_true(net_until(net, four_done, &d));
    assert_int_equal(hung.n, 0);
    assert_int_equal(work_lane_pending(bad), 4);
    if (net->sim)
        loop_sim_hang(net->sim, "bad", false);
    for (int i = 0; i < 4; i++)
        sem_post(&gate);
    assert_true(net_until(net, four_done, &hung));
    work_lane_free(&bad);
    work_lane_free(&good);
    sem_destroy(&gate);
}
ON_ALL(hung_lane_holds_up_only_itself)

/* ---- Signals ---- */

static void on_signal(void *owner, int signo)
{
    note(owner, signo == SIGUSR1 ? '1' : signo == SIGUSR2 ? '2' : '?');
}

static bool two_noted(void *arg)
{
    return ((struct diary *)arg)->n == 2;
}

static void signals_are_told(struct test_net *net)
{
    struct diary d = {.net = net};
    const int signos[] = {SIGUSR1, SIGUSR2};
    assert_int_equal(loop_signals(net->loop, signos, 2, on_signal, &d), 0);
    if (net->sim)
        loop_sim_signal(net->sim, SIGUSR2);
    else
        kill(getpid(), SIGUSR2);
    assert_true(net_until(net, is_noted, &d));
    if (net->sim)
        loop_sim_signal(net->sim, SIGUSR1);
    else
        kill(getpid(), SIGUSR1);
    assert_true(net_until(net, two_noted, &d));
    assert_string_equal(d.text, "21");
}
ON_ALL(signals_are_told)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deferred_in_order),
        cmocka_unit_test(test_deferred_from_deferred_is_next_turn),
        cmocka_unit_test(test_deferred_cancels_another),
        cmocka_unit_test(test_order_of_a_turn),
        cmocka_unit_test(test_grave_replaces_deferred),
        cmocka_unit_test(test_timers_in_order_never_early),
        cmocka_unit_test(test_timer_set_again_runs_in_another_turn),
        cmocka_unit_test(test_timer_clears_another),
        cmocka_unit_test(test_clock_of_the_turn),
        cmocka_unit_test(test_runs_until_stopped),
        cmocka_unit_test(test_woken_by_a_thread),
        cmocka_unit_test(test_one_thread_keeps_order),
        cmocka_unit_test(test_job_submitted_from_done),
        cmocka_unit_test(test_hung_lane_holds_up_only_itself),
        cmocka_unit_test(test_signals_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
