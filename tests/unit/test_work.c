/* Jobs on threads, on the epoll engine; runs under ThreadSanitizer too. What both engines promise
 * is in test_loop_turn.c. */
#include <errno.h>
#include <pthread.h>

static _Bool no_threads;

static int create_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                         void *arg)
{
    return no_threads ? EAGAIN : pthread_create(thread, attr, fn, arg);
}

#define pthread_create create_thread
#include "loop/work.c"
#undef pthread_create

#include "test_kinds.h"

#include <semaphore.h>
#include <stdatomic.h>

#define JOBS 2000

struct crowd {
    struct test_net *net;
    atomic_int running, most, at_gate;
    int done;
    pthread_t loop_thread;
    sem_t gate;
};

struct job {
    struct work_job job;
    struct crowd *crowd;
    char *result; /* the job's own while it is away */
    int again;
};

static void job_run(struct work_job *w)
{
    struct job *j = CONTAINER_OF(w, struct job, job);
    int now = atomic_fetch_add(&j->crowd->running, 1) + 1;
    int most = atomic_load(&j->crowd->most);
    while (now > most && !atomic_compare_exchange_weak(&j->crowd->most, &most, now))
        ;
    j->result = mem_raw_alloc(16);
    assert_non_null(j->result);
    memset(j->result, 'r', 16);
    atomic_fetch_sub(&j->crowd->running, 1);
}

static void done(struct work_job *w)
{
    struct job *j = CONTAINER_OF(w, struct job, job);
    assert_true(pthread_equal(pthread_self(), j->crowd->loop_thread));
    assert_int_equal(j->result[15], 'r');
    mem_raw_free(j->result);
    j->crowd->done++;
    if (j->again-- > 0) {
        work_submit(w->lane, w);
        return;
    }
    free(j);
}

static struct job *job_new(struct crowd *c)
{
    struct job *j = calloc(1, sizeof *j);
    assert_non_null(j);
    j->crowd = c;
    j->job = (struct work_job){.run = job_run, .done = done};
    return j;
}

static bool all_done(void *arg)
{
    return ((struct crowd *)arg)->done == JOBS;
}

static void crowd_begin(struct crowd *c)
{
    *c = (struct crowd){.net = net_new(NET_EPOLL_UNIX, 0), .loop_thread = pthread_self()};
    sem_init(&c->gate, 0, 0);
}

static void crowd_end(struct crowd *c)
{
    sem_destroy(&c->gate);
    net_free(&c->net);
}

static void test_many_jobs_on_many_lanes(void **state)
{
    struct crowd c;
    struct work_lane *lanes[4];
    crowd_begin(&c);
    for (unsigned i = 0; i < 4; i++)
        lanes[i] = work_lane_new(c.net->loop, "lane", i + 1);
    for (int i = 0; i < JOBS / 4; i++) {
        struct job *j = job_new(&c);
        j->again = 3;
        work_submit(lanes[i % 4], &j->job);
    }
    assert_true(net_until(c.net, all_done, &c));
    assert_true(atomic_load(&c.most) <= 10);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(work_lane_pending(lanes[i]), 0);
        work_lane_free(&lanes[i]);
    }
    crowd_end(&c);
}

static void test_lane_without_jobs(void **state)
{
    struct crowd c;
    crowd_begin(&c);
    struct work_lane *lane = work_lane_new(c.net->loop, "none", 2);
    assert_string_equal(work_lane_name(lane), "none");
    work_lane_free(&lane);
    work_lane_free(&lane); /* NULL is accepted */
    c.net->book.fail_at = 1;
    assert_null(work_lane_new(c.net->loop, "no memory", 1));
    crowd_end(&c);
}

/* ---- A job that hangs ---- */

static void run_gated(struct work_job *w)
{
    struct job *j = CONTAINER_OF(w, struct job, job);
    atomic_fetch_add(&j->crowd->at_gate, 1);
    while (sem_wait(&j->crowd->gate) < 0)
        ;
    job_run(w);
}

static bool is_one_done(void *arg)
{
    return ((struct crowd *)arg)->done == 1;
}

static bool are_three_done(void *arg)
{
    return ((struct crowd *)arg)->done == 3;
}

static void test_hung_jobs_hold_up_their_lane_alone(void **state)
{
    struct crowd c;
    crowd_begin(&c);
    struct work_lane *bad = work_lane_new(c.net->loop, "bad", 1);
    struct work_lane *good = work_lane_new(c.net->loop, "good", 1);
    for (int i = 0; i < 2; i++) {
        struct job *j = job_new(&c);
        j->job.run = run_gated;
        work_submit(bad, &j->job);
    }
    work_submit(good, &job_new(&c)->job);
    assert_true(net_until(c.net, is_one_done, &c));
    assert_int_equal(work_lane_pending(bad), 2);
    assert_int_equal(work_lane_pending(good), 0);
    work_lane_free(&good);
    sem_post(&c.gate);
    sem_post(&c.gate);
    assert_true(net_until(c.net, are_three_done, &c));
    work_lane_free(&bad);
    crowd_end(&c);
}

static bool are_two_at_gate(void *arg)
{
    return atomic_load(&((struct crowd *)arg)->at_gate) >= 2;
}

static void test_never_more_at_once_than_threads(void **state)
{
    struct crowd c;
    crowd_begin(&c);
    struct work_lane *two = work_lane_new(c.net->loop, "two", 2);
    struct work_lane *other = work_lane_new(c.net->loop, "other", 1);
    for (int i = 0; i < 10; i++) {
        struct job *j = job_new(&c);
        j->job.run = run_gated;
        work_submit(two, &j->job);
    }
    assert_true(net_until(c.net, are_two_at_gate, &c));
    struct job *j = job_new(&c);
    j->again = JOBS - 11;
    work_submit(other,
                &j->job); /* while this one goes to and fro, a third would come to the gate */
    while (c.done < JOBS - 10)
        net_turn(c.net);
    assert_int_equal(atomic_load(&c.at_gate), 2);
    for (int i = 0; i < 10; i++)
        sem_post(&c.gate);
    assert_true(net_until(c.net, all_done, &c));
    work_lane_free(&two);
    work_lane_free(&other);
    crowd_end(&c);
}

/* ---- No thread can be had ---- */

static void test_without_threads_jobs_run_in_the_loop(void **state)
{
    struct crowd c;
    crowd_begin(&c);
    struct work_lane *lane = work_lane_new(c.net->loop, "poor", 1);
    struct job *j = job_new(&c);
    no_threads = true;
    work_submit(lane, &j->job);
    no_threads = false;
    assert_int_equal(c.done, 0); /* never before returning */
    assert_true(net_until(c.net, is_one_done, &c));
    assert_int_equal(c.net->warnings, 1);
    c.net->warnings = 0;
    work_lane_free(&lane);
    crowd_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_jobs_on_many_lanes),
        cmocka_unit_test(test_never_more_at_once_than_threads),
        cmocka_unit_test(test_lane_without_jobs),
        cmocka_unit_test(test_hung_jobs_hold_up_their_lane_alone),
        cmocka_unit_test(test_without_threads_jobs_run_in_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
