/* loop_sim_job: the dice, the script of accidents, and jobs, which run here in the loop's thread,
 * later, and in any order. Limits of lanes are work.c's matter. */
#include "loop/loop_sim_impl.h"

#include <errno.h>

bool sim_chance(struct loop_sim *sim, unsigned per_mille)
{
    return per_mille && prng_below(&sim->prng, 1000) < per_mille;
}

size_t sim_some_of(struct loop_sim *sim, size_t n)
{
    switch (prng_below(&sim->prng, 3)) {
    case 0:
        return 1;
    case 1:
        return 1 + prng_below(&sim->prng, MIN(n, 16));
    default:
        return 1 + prng_below(&sim->prng, n);
    }
}

int64_t sim_later_ns(struct loop_sim *sim)
{
    uint64_t most = (uint64_t)sim->settings.delay_ms * (uint64_t)NS_PER_MS;
    return sim->now_ns + (int64_t)(most ? prng_below(&sim->prng, most + 1) : 0);
}

struct loop_sim_settings loop_sim_wild(uint64_t seed)
{
    return (struct loop_sim_settings){
        .seed = seed,
        .buffer_bytes = 16 * KIB,
        .delay_ms = 20,
        .turn_ns = 1000,
        .recv_short = 400,
        .send_short = 400,
        .send_blocked = 150,
        .send_delayed = 150,
        .held = 200,
        .spurious = 50,
        .accept_fails = 200,
        .dgram_lost = 100,
        .shuffle = true,
    };
}

/* ---- Script. ---- */

static int fault_of(struct sim_fault *f)
{
    if (f->nth == 0)
        return 0;
    if (f->nth > 1) {
        f->nth--;
        return 0;
    }
    if (!f->forever)
        f->nth = 0;
    return -f->error;
}

int sim_call(struct loop_sim *sim, enum sim_call call)
{
    sim->calls[call]++;
    sim->calls[SIM_ANY]++;
    int error = fault_of(&sim->faults[call]);
    int any = fault_of(&sim->faults[SIM_ANY]);
    return error ? error : any;
}

void loop_sim_fail(struct loop_sim *sim, enum sim_call call, uint64_t nth, int error, bool forever)
{
    sim->faults[call] = (struct sim_fault){.nth = nth, .error = error, .forever = forever};
}

uint64_t loop_sim_calls(const struct loop_sim *sim, enum sim_call call)
{
    return sim->calls[call];
}

/* ---- Jobs. ---- */

static const char **hang_of(struct loop_sim *sim, const char *lane)
{
    for (size_t i = 0; i < SIM_HANGS; i++)
        if (sim->hangs[i] && slice_is(slice_str(sim->hangs[i]), slice_str(lane)))
            return &sim->hangs[i];
    return NULL;
}

void loop_sim_hang(struct loop_sim *sim, const char *lane, bool hang)
{
    const char **at = hang_of(sim, lane);
    if (at) {
        *at = hang ? lane : NULL;
        return;
    }
    for (size_t i = 0; hang && i < SIM_HANGS; i++) {
        if (!sim->hangs[i]) {
            sim->hangs[i] = lane;
            return;
        }
    }
    BUG_ON(hang); /* more lanes than SIM_HANGS */
}

void sim_jobs_submit(struct loop_backend *b, struct work_job *job)
{
    struct loop_sim *sim = sim_of(b);
    struct sim_job *j = sim_alloc(sizeof *j);
    j->job = job;
    j->due_ns = sim_later_ns(sim);
    list_push_back(&sim->jobs, &j->link);
}

static bool hangs(const struct loop_sim *sim, const struct sim_job *j)
{
    return hang_of((struct loop_sim *)sim, work_lane_name(j->job->lane)) != NULL;
}

int64_t sim_jobs_next(const struct loop_sim *sim)
{
    int64_t next = SIM_NEVER;
    LIST_EACH (n, &sim->jobs) {
        const struct sim_job *j = CONTAINER_OF(n, struct sim_job, link);
        if (!hangs(sim, j))
            next = MIN(next, j->due_ns);
    }
    return next;
}

/* One of the due jobs: the first, or any. */
static struct sim_job *pick(struct loop_sim *sim)
{
    struct sim_job *picked = NULL;
    uint64_t due = 0;
    LIST_EACH (n, &sim->jobs) {
        struct sim_job *j = CONTAINER_OF(n, struct sim_job, link);
        if (j->due_ns > sim->now_ns || hangs(sim, j))
            continue;
        due++;
        if (!picked || (sim->settings.shuffle && prng_below(&sim->prng, due) == 0))
            picked = j;
    }
    return picked;
}

size_t sim_jobs_run(struct loop_sim *sim)
{
    size_t ran = 0;
    for (struct sim_job *j; (j = pick(sim)); ran++) {
        struct work_job *job = j->job;
        list_remove(&j->link);
        free(j);
        job->run(job);
        work_finished(sim->backend.loop, job);
    }
    return ran;
}
