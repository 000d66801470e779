/* work: lanes of threads. Each lane has its own lock and queue, so that a lane that hangs is nobody
 * else's matter; what is done goes to one list of the loop, which is woken once per batch.
 *
 * A thread that found nothing to do for IDLE_S seconds ends. Threads are detached from the lane's
 * life by counting: the lane is freed by the loop's thread only when all its threads have ended. */
#include "loop/work.h"

#include "base/check.h"
#include "loop/loop_core.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#define IDLE_S      10
#define STACK_BYTES (256 * KIB)

struct work_lane {
    struct list_node link; /* in loop->lanes */
    struct loop *loop;
    const char *name;
    unsigned max_threads;
    size_t stack_bytes;
    /* loop thread only */
    size_t pending;           /* submitted, done() not called yet */
    unsigned with_engine;     /* of these, handed to an engine that runs jobs itself */
    struct list_node waiting; /* for their turn with the engine */

    pthread_mutex_t lock;
    pthread_cond_t wanted; /* a job was queued, or the lane ends */
    pthread_cond_t ended;  /* a thread has ended */
    struct list_node queue;
    size_t queued;
    unsigned threads, idle;
    bool ending;
};

static void init_conditions(struct work_lane *lane)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&lane->wanted, &attr);
    pthread_condattr_destroy(&attr);
    pthread_cond_init(&lane->ended, NULL);
    pthread_mutex_init(&lane->lock, NULL);
}

struct work_lane *work_lane_new(struct loop *loop, const char *name, unsigned threads)
{
    struct work_lane *lane = mem_alloc0(&loop->owner, sizeof *lane);
    if (!lane)
        return NULL;
    lane->loop = loop;
    lane->name = name;
    lane->max_threads = MAX(threads, 1);
    lane->stack_bytes = STACK_BYTES;
    list_init(&lane->queue);
    list_init(&lane->waiting);
    init_conditions(lane);
    list_push_back(&loop->lanes, &lane->link);
    return lane;
}

void work_lane_stack(struct work_lane *lane, size_t bytes)
{
    lane->stack_bytes = bytes;
}

void work_lane_free(struct work_lane **at)
{
    struct work_lane *lane = *at;
    *at = NULL;
    if (!lane)
        return;
    BUG_ON(lane->pending != 0);
    pthread_mutex_lock(&lane->lock);
    lane->ending = true;
    pthread_cond_broadcast(&lane->wanted);
    while (lane->threads)
        pthread_cond_wait(&lane->ended, &lane->lock);
    pthread_mutex_unlock(&lane->lock);
    pthread_mutex_destroy(&lane->lock);
    pthread_cond_destroy(&lane->wanted);
    pthread_cond_destroy(&lane->ended);
    list_remove(&lane->link);
    mem_free(&lane->loop->owner, lane, sizeof *lane);
}

size_t work_lane_pending(const struct work_lane *lane)
{
    return lane->pending;
}

const char *work_lane_name(const struct work_lane *lane)
{
    return lane->name;
}

/* For an engine that runs jobs itself: as many at once as there would be threads. */
static void feed_engine(struct work_lane *lane)
{
    struct loop *loop = lane->loop;
    while (lane->with_engine < lane->max_threads && !list_is_empty(&lane->waiting)) {
        struct list_node *n = list_pop_front(&lane->waiting);
        lane->with_engine++;
        loop->ops->work(loop->backend, CONTAINER_OF(n, struct work_job, link));
    }
}

/* Any thread. */
void work_finished(struct loop *loop, struct work_job *job)
{
    pthread_mutex_lock(&loop->done_lock);
    list_push_back(&loop->done, &job->link);
    bool tell = !__atomic_load_n(&loop->done_told, __ATOMIC_RELAXED);
    __atomic_store_n(&loop->done_told, true, __ATOMIC_RELAXED);
    if (tell)
        loop->ops->wake(loop->backend);
    pthread_mutex_unlock(&loop->done_lock);
}

void work_run_done(struct loop *loop)
{
    /* A glance without the lock: a job that comes back just now wakes the loop for another turn. */
    if (!__atomic_load_n(&loop->done_told, __ATOMIC_RELAXED))
        return;
    struct list_node done;
    pthread_mutex_lock(&loop->done_lock);
    list_move_all(&done, &loop->done);
    __atomic_store_n(&loop->done_told, false, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&loop->done_lock);
    for (struct list_node *n; (n = list_pop_front(&done));) {
        struct work_job *job = CONTAINER_OF(n, struct work_job, link);
        struct work_lane *lane = job->lane;
        lane->pending--;
        if (loop->ops->work) {
            lane->with_engine--;
            feed_engine(lane);
        }
        job->done(job); /* may free the job, and the lane after its last */
    }
}

/* With the lock held: the next job, or NULL when there was none for a while or the lane ends. */
static struct work_job *next_job(struct work_lane *lane)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_S;
    while (list_is_empty(&lane->queue)) {
        if (lane->ending)
            return NULL;
        lane->idle++;
        int error = pthread_cond_timedwait(&lane->wanted, &lane->lock, &until);
        lane->idle--;
        if (error == ETIMEDOUT && list_is_empty(&lane->queue))
            return NULL;
    }
    lane->queued--;
    return CONTAINER_OF(list_pop_front(&lane->queue), struct work_job, link);
}

static void *worker(void *arg)
{
    struct work_lane *lane = arg;
    pthread_mutex_lock(&lane->lock);
    for (struct work_job *job; (job = next_job(lane));) {
        pthread_mutex_unlock(&lane->lock);
        job->run(job);
        work_finished(lane->loop, job);
        pthread_mutex_lock(&lane->lock);
    }
    lane->threads--;
    pthread_cond_signal(&lane->ended);
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

/* With the lock held. The thread takes no signals: they are the loop's. */
static bool start_thread(struct work_lane *lane)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, lane->stack_bytes);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int error = pthread_create(&thread, &attr, worker, lane);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (error)
        return false;
    lane->threads++;
    return true;
}

/* No thread could be had, ever: better late in the loop than never. */
static void run_here(struct work_lane *lane, struct work_job *job)
{
    log_line(lane->loop->log, LOG_WARNING, "work.no-thread",
             "no thread could be started for %s; its work runs in the event loop", lane->name);
    job->run(job);
    work_finished(lane->loop, job);
}

void work_submit(struct work_lane *lane, struct work_job *job)
{
    struct loop *loop = lane->loop;
    job->lane = lane;
    lane->pending++;
    list_init(&job->link);
    if (loop->ops->work) {
        list_push_back(&lane->waiting, &job->link);
        feed_engine(lane);
        return;
    }
    pthread_mutex_lock(&lane->lock);
    list_push_back(&lane->queue, &job->link);
    lane->queued++;
    bool wants_thread = lane->queued > lane->idle && lane->threads < lane->max_threads;
    if (wants_thread && !start_thread(lane) && lane->threads == 0) {
        list_remove(&job->link);
        lane->queued--;
        pthread_mutex_unlock(&lane->lock);
        run_here(lane, job);
        return;
    }
    if (lane->idle)
        pthread_cond_signal(&lane->wanted);
    pthread_mutex_unlock(&lane->lock);
}
