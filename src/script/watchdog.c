/* watchdog: the thread that looks, and the signal that tells. */
#include "script/watchdog.h"

#include "base/check.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define IDLE_LOOKS 50 /* so many looks without any entry: the thread sleeps until there is one */

struct watchdog {
    struct mem_owner *owner;
    void (*on_late)(void *ctx);
    void *ctx;
    unsigned period_ms;
    pthread_t looker, watched;
    _Atomic uint64_t entry; /* odd: inside */
    _Atomic bool asleep;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
};

/* SIGURG is ignored by default, so one that comes late hurts nobody. */
#define LATE_SIGNAL SIGURG

static void on_signal(int signo, siginfo_t *info, void *context)
{
    if (info->si_code != SI_QUEUE)
        return;
    int saved = errno;
    struct watchdog *w = info->si_value.sival_ptr;
    if (atomic_load_explicit(&w->entry, memory_order_relaxed) & 1)
        w->on_late(w->ctx);
    errno = saved;
}

static void rest(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * NS_PER_MS};
    (void)nanosleep(&t, NULL);
}

/* Until the next entry, or the end. */
static void sleep_deep(struct watchdog *w)
{
    pthread_mutex_lock(&w->lock);
    uint64_t seen = atomic_load(&w->entry);
    atomic_store(&w->asleep, true);
    while (!w->stop && atomic_load(&w->entry) == seen && atomic_load(&w->asleep))
        pthread_cond_wait(&w->wake, &w->lock);
    atomic_store(&w->asleep, false);
    pthread_mutex_unlock(&w->lock);
}

static bool is_stopped(struct watchdog *w)
{
    pthread_mutex_lock(&w->lock);
    bool stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    return stop;
}

static void *look(void *arg)
{
    struct watchdog *w = arg;
    uint64_t last = 0;
    unsigned quiet = 0;
    while (!is_stopped(w)) {
        rest(w->period_ms);
        uint64_t now = atomic_load_explicit(&w->entry, memory_order_relaxed);
        if (now & 1 && now == last)
            (void)pthread_sigqueue(w->watched, LATE_SIGNAL, (union sigval){.sival_ptr = w});
        quiet = now == last && !(now & 1) ? quiet + 1 : 0;
        last = now;
        if (quiet >= IDLE_LOOKS) {
            sleep_deep(w);
            quiet = 0;
        }
    }
    return NULL;
}

/* All signals are the loop's: the looker takes none. */
static int start_looker(struct watchdog *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&w->looker, NULL, look, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

static void take_signal(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(LATE_SIGNAL, &action, NULL);
}

struct watchdog *watchdog_new(struct mem_owner *owner, unsigned period_ms,
                              void (*on_late)(void *ctx), void *ctx, int *error_out)
{
    struct watchdog *w = mem_alloc0(owner, sizeof *w);
    *error_out = -ENOMEM;
    if (!w)
        return NULL;
    *w = (struct watchdog){.owner = owner,
                           .on_late = on_late,
                           .ctx = ctx,
                           .period_ms = period_ms,
                           .watched = pthread_self(),
                           .lock = PTHREAD_MUTEX_INITIALIZER,
                           .wake = PTHREAD_COND_INITIALIZER};
    take_signal();
    *error_out = start_looker(w);
    if (*error_out == 0)
        return w;
    mem_free(owner, w, sizeof *w);
    return NULL;
}

void watchdog_free(struct watchdog **wp)
{
    struct watchdog *w = *wp;
    if (!w)
        return;
    *wp = NULL;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->looker, NULL);
    /* A signal that was queued and not delivered yet would find freed memory. */
    struct timespec none = {0};
    sigset_t late, before;
    sigemptyset(&late);
    sigaddset(&late, LATE_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &late, &before);
    while (sigtimedwait(&late, NULL, &none) > 0)
        ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    mem_free(w->owner, w, sizeof *w);
}

static void wake_looker(struct watchdog *w)
{
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->asleep, false);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

void watchdog_enter(struct watchdog *w)
{
    uint64_t entry = atomic_load_explicit(&w->entry, memory_order_relaxed);
    BUG_ON(entry & 1);
    /* Ordered before the look at asleep: else both could miss each other, and the thread sleep on.
     */
    atomic_store(&w->entry, entry + 1);
    if (UNLIKELY(atomic_load(&w->asleep)))
        wake_looker(w);
}

void watchdog_leave(struct watchdog *w)
{
    uint64_t entry = atomic_load_explicit(&w->entry, memory_order_relaxed);
    BUG_ON(!(entry & 1));
    atomic_store_explicit(&w->entry, entry + 1, memory_order_relaxed);
}
