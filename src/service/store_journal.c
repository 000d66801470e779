/* store_journal: what is to be written when, and what to do when that fails.
 *
 * One job at a time is away, of six kinds (journal_run). When it is back, `step` decides on the
 * next: changes first, then a slice of the new file. The two sides are the file that there is (now)
 * and the one that will take its place (next). */
#include "service/store_journal_parts.h"

#include "base/check.h"

#include <errno.h>
#include <unistd.h>

static void step(struct store_journal *j);

/* ---- On the worker. ---- */

static int append(struct journal_job *b)
{
    return store_disk_append(b->fd, b->offset, slice_of(b->mark, sizeof b->mark), b->bytes,
                             &b->is_lost);
}

/* The last part, and the name. */
static int publish(struct journal_job *b, const struct store_journal *j)
{
    int error = store_disk_write(b->fd, b->offset, b->bytes);
    if (!error)
        error = store_disk_write(b->fd, b->offset + b->bytes.n, slice_of(b->mark, sizeof b->mark));
    if (!error)
        error = store_disk_publish(b->fd, j->new_path, j->path, &b->is_renamed);
    if (b->is_renamed)
        close(b->old_fd);
    return error;
}

static int discard(struct journal_job *b, const struct store_journal *j)
{
    close(b->fd);
    return unlink(j->new_path) < 0 ? -errno : 0;
}

static void journal_run(struct work_job *job)
{
    struct journal_job *b = CONTAINER_OF(job, struct journal_job, job);
    const struct store_journal *j = CONTAINER_OF(b, struct store_journal, job);
    b->is_lost = b->is_renamed = false;
    switch (b->task) {
    case JOURNAL_APPEND:
        b->result = append(b);
        break;
    case JOURNAL_CREATE:
        b->result = store_disk_create(j->new_path, b->salt);
        break;
    case JOURNAL_WRITE:
        b->result = store_disk_write(b->fd, b->offset, b->bytes);
        break;
    case JOURNAL_PUBLISH:
        b->result = publish(b, j);
        break;
    case JOURNAL_DISCARD:
        b->result = discard(b, j);
        break;
    case JOURNAL_CLOSE:
        b->result = close(b->fd);
        break;
    }
}

/* ---- Bytes. ---- */

void journal_bytes_free(struct store_journal *j, struct journal_bytes *b)
{
    mem_free(&j->owner, b->p, b->cap);
    *b = (struct journal_bytes){.n = 0};
}

static bool reserve(struct store_journal *j, struct journal_bytes *b, size_t n)
{
    if (n <= b->cap - b->n)
        return true;
    size_t cap = MAX(MAX(2 * b->cap, 4 * KIB), b->n + n);
    char *p = mem_resize(&j->owner, b->p, b->cap, cap);
    if (!p)
        return false;
    b->p = p;
    b->cap = cap;
    return true;
}

bool journal_put(struct store_journal *j, struct journal_side *side, const struct store_change *c)
{
    size_t n = store_record_bytes(c);
    if (!reserve(j, &side->pending, n))
        return false;
    store_record_put(side->pending.p + side->pending.n, side->seed, c);
    side->pending.n += n;
    return true;
}

static bool put_limited(struct store_journal *j, struct journal_side *side,
                        const struct store_change *c)
{
    bool fits = side->pending.n + store_record_bytes(c) <= j->pending_max;
    return fits && journal_put(j, side, c);
}

static void start_writing(struct store_journal *j, struct journal_side *side)
{
    journal_bytes_free(j, &side->writing);
    side->writing = side->pending;
    side->pending = (struct journal_bytes){.n = 0};
}

/* The next step throws the new file away. */
static void break_rewrite(struct store_journal *j, int error)
{
    j->is_broken = true;
    j->rewrite_error = error;
}

/* ---- Changes come. ---- */

void journal_arm(struct store_journal *j, int64_t ms)
{
    if (!timeout_is_set(&j->timer) && !j->is_closing)
        timeout_set(loop_wheel(j->store->loop), &j->timer, loop_now_ms(j->store->loop) + ms);
}

static void trouble(struct store_journal *j, int error)
{
    j->errors++;
    j->error = error;
    if (!j->is_told)
        log_line(loop_log(j->store->loop), LOG_WARNING, "store.journal",
                 "%s cannot be written: %s; shared data is kept in memory, and it is tried again",
                 j->path, strerrordesc_np(-error));
    j->is_told = true;
}

/* Changes can no longer be appended. */
static void lose(struct store_journal *j, int error)
{
    j->is_lost = true;
    journal_bytes_free(j, &j->now.pending);
    trouble(j, error);
}

void store_journal_note(struct store_journal *j, const struct store_change *change)
{
    struct store_change c = *change;
    j->noted++;
    if (!j->is_lost && !put_limited(j, &j->now, &c))
        lose(j, -ENOBUFS);
    bool is_told = journal_forwards(j, &c);
    if (is_told && !j->is_broken && !put_limited(j, &j->next, &c))
        break_rewrite(j, -ENOBUFS);
    journal_arm(j, j->interval_ms);
}

bool store_journal_wants(const struct store_journal *j, slice key)
{
    for (size_t i = 0; i < j->prefix_count; i++)
        if (slice_has_prefix(key, j->prefixes[i]))
            return true;
    return j->prefix_count == 0;
}

/* ---- Those who wait for the disk. ---- */

/* Those up to [upto]. */
static void answer(struct store *s, uint64_t upto, int error)
{
    struct list_node ready;
    list_init(&ready);
    LIST_EACH_SAFE (n, &s->syncs) {
        if (CONTAINER_OF(n, struct store_sync, link)->upto > upto)
            continue;
        list_remove(n);
        list_push_back(&ready, n);
    }
    for (struct list_node *n; (n = list_pop_front(&ready));) {
        struct store_sync *sync = CONTAINER_OF(n, struct store_sync, link);
        sync->done(sync, error);
    }
}

void store_syncs_run(struct store *s)
{
    struct store_journal *j = s->journal;
    if (!j) {
        answer(s, UINT64_MAX, -ENXIO);
        return;
    }
    answer(s, j->durable, 0);
    step(j);
}

void store_syncs_cancel(struct store *s)
{
    answer(s, UINT64_MAX, -ECANCELED);
}

void store_sync(struct store *s, struct store_sync *sync)
{
    sync->store = s;
    sync->upto = s->journal ? s->journal->noted : 0;
    list_init(&sync->link);
    list_push_back(&s->syncs, &sync->link);
    loop_defer(s->loop, &s->syncs_due);
}

void store_sync_cancel(struct store_sync *sync)
{
    if (sync->store)
        list_remove(&sync->link);
}

/* ---- Jobs go. ---- */

static void submit(struct store_journal *j, enum journal_task task, struct journal_side *side)
{
    struct journal_job *b = &j->job;
    b->task = task;
    b->fd = side->fd;
    b->old_fd = j->now.fd;
    b->offset = side->bytes;
    b->bytes = slice_of(side->writing.p, side->writing.n);
    j->is_away = true;
    work_submit(j->lane, &b->job);
}

static void start_append(struct store_journal *j)
{
    j->is_due = false;
    timeout_clear(&j->timer);
    if (j->now.writing.n == 0) { /* else the last attempt failed: once more */
        start_writing(j, &j->now);
        j->writing_upto = j->noted;
    }
    store_mark_put(j->job.mark, j->now.seed, j->now.bytes);
    submit(j, JOURNAL_APPEND, &j->now);
}

static void start_rewrite(struct store_journal *j)
{
    j->is_due = false;
    j->phase = REWRITE_CREATING;
    j->is_broken = j->has_cursor = j->is_partial = false;
    rand_fill(&j->job.salt, sizeof j->job.salt);
    j->next = (struct journal_side){.fd = -1, .seed = store_file_seed(j->job.salt)};
    submit(j, JOURNAL_CREATE, &j->next);
}

static void start_slice(struct store_journal *j)
{
    enum copy_result copied = j->is_broken ? COPY_FAILED : journal_copy(j);
    start_writing(j, &j->next);
    switch (copied) {
    case COPY_FAILED:
        if (!j->is_broken)
            break_rewrite(j, -ENOMEM);
        submit(j, JOURNAL_DISCARD, &j->next);
        break;
    case COPY_MORE:
        submit(j, JOURNAL_WRITE, &j->next);
        break;
    case COPY_ALL:
        j->phase = REWRITE_FINISHING;
        j->copied_upto = j->noted;
        store_mark_put(j->job.mark, j->next.seed, j->next.bytes + j->next.writing.n);
        submit(j, JOURNAL_PUBLISH, &j->next);
        break;
    }
}

/* ---- Jobs come back. ---- */

/* What could not be done will be tried again; nobody is left waiting meanwhile. */
static void failed(struct store_journal *j, int error)
{
    trouble(j, error);
    timeout_clear(&j->timer);
    journal_arm(j, j->retry_ms);
    if (j->is_closing)
        j->gave_up = true;
    answer(j->store, UINT64_MAX, error);
}

static void succeeded(struct store_journal *j)
{
    if (j->is_lost)
        return;
    j->error = 0;
    if (j->is_told)
        log_line(loop_log(j->store->loop), LOG_NOTICE, "store.journal", "%s is written again",
                 j->path);
    j->is_told = false;
}

static void append_done(struct store_journal *j, const struct journal_job *b)
{
    if (b->result == 0) {
        j->now.bytes += sizeof b->mark + j->now.writing.n;
        j->durable = j->writing_upto;
        j->groups++;
        journal_bytes_free(j, &j->now.writing);
        succeeded(j);
        return;
    }
    if (b->is_lost) {
        journal_bytes_free(j, &j->now.writing);
        lose(j, b->result);
    }
    failed(j, b->result);
}

static void end_rewrite(struct store_journal *j)
{
    j->phase = REWRITE_NONE;
    j->next.fd = -1;
    journal_bytes_free(j, &j->next.pending);
    journal_bytes_free(j, &j->next.writing);
}

/* Where the old file goes on, that is no trouble but for its size. */
static void tell_rewrite(struct store_journal *j, int error)
{
    if (!j->is_rewrite_told)
        log_line(loop_log(j->store->loop), LOG_WARNING, "store.journal",
                 "%s cannot be written anew: %s; it goes on growing, and it is tried again",
                 j->path, strerrordesc_np(-error));
    j->is_rewrite_told = true;
    j->errors++;
}

/* The new file is not to be. */
static void rewrite_failed(struct store_journal *j, int error)
{
    end_rewrite(j);
    j->rewrite_at_ms = loop_now_ms(j->store->loop) + j->retry_ms;
    if (j->is_lost && !j->gave_up)
        failed(j, error);
    else if (!j->is_closing)
        tell_rewrite(j, error);
}

static void create_done(struct store_journal *j, const struct journal_job *b)
{
    if (b->result < 0) {
        rewrite_failed(j, b->result);
        return;
    }
    j->next.fd = b->result;
    j->next.bytes = STORE_FILE_HEAD;
    j->phase = REWRITE_COPYING;
}

static void slice_done(struct store_journal *j, const struct journal_job *b)
{
    j->next.bytes += j->next.writing.n;
    if (b->result == 0)
        return;
    break_rewrite(j, b->result);
}

/* The new file has the name: it is the one. */
static void change_sides(struct store_journal *j, const struct journal_job *b)
{
    journal_bytes_free(j, &j->now.pending);
    journal_bytes_free(j, &j->now.writing);
    j->next.bytes += j->next.writing.n + sizeof b->mark;
    j->now = (struct journal_side){
        .fd = j->next.fd, .seed = j->next.seed, .bytes = j->next.bytes, .pending = j->next.pending};
    j->next.pending = (struct journal_bytes){.n = 0};
    j->is_lost = j->is_broken || b->result < 0;
    if (j->is_lost)
        journal_bytes_free(j, &j->now.pending);
    end_rewrite(j);
}

static void publish_done(struct store_journal *j, const struct journal_job *b)
{
    if (!b->is_renamed) {
        j->phase = REWRITE_COPYING;
        break_rewrite(j, b->result);
        return;
    }
    change_sides(j, b);
    if (b->result < 0) {
        failed(j, b->result);
        return;
    }
    j->durable = MAX(j->durable, j->copied_upto);
    j->rewrites++;
    j->is_rewrite_told = false;
    succeeded(j);
}

static void free_journal(struct store_journal *j)
{
    struct store *s = j->store;
    void (*then)(struct store *) = j->then;
    journal_bytes_free(j, &j->now.pending);
    journal_bytes_free(j, &j->now.writing);
    timeout_clear(&j->timer);
    work_lane_free(&j->lane);
    s->journal = NULL;
    mem_discharge(&j->owner, j->total_bytes);
    mem_owner_fini(&j->owner);
    mem_raw_free(j);
    then(s);
}

static void journal_done(struct work_job *job)
{
    struct journal_job *b = CONTAINER_OF(job, struct journal_job, job);
    struct store_journal *j = CONTAINER_OF(b, struct store_journal, job);
    j->is_away = false;
    switch (b->task) {
    case JOURNAL_APPEND:
        append_done(j, b);
        break;
    case JOURNAL_CREATE:
        create_done(j, b);
        break;
    case JOURNAL_WRITE:
        slice_done(j, b);
        break;
    case JOURNAL_PUBLISH:
        publish_done(j, b);
        break;
    case JOURNAL_DISCARD:
        rewrite_failed(j, j->rewrite_error);
        break;
    case JOURNAL_CLOSE:
        free_journal(j);
        return;
    }
    answer(j->store, j->durable, 0);
    step(j);
}

/* ---- What is next. ---- */

static bool is_wanted(const struct store_journal *j)
{
    return j->is_due || !list_is_empty(&j->store->syncs);
}

static bool wants_append(const struct store_journal *j)
{
    return !j->is_lost && !j->gave_up && is_wanted(j) && (j->now.writing.n || j->now.pending.n);
}

static bool wants_rewrite(const struct store_journal *j)
{
    if (j->phase != REWRITE_NONE || j->gave_up)
        return false;
    if (j->is_lost)
        return is_wanted(j);
    bool is_large =
        j->now.bytes > j->compact_min &&
        j->now.bytes > 2 * (STORE_FILE_HEAD + STORE_RECORD_BYTES + j->store->kept_bytes);
    return is_large && !j->is_closing && loop_now_ms(j->store->loop) >= j->rewrite_at_ms;
}

static void step(struct store_journal *j)
{
    if (j->is_away)
        return;
    if (j->is_closing && j->phase == REWRITE_COPYING && (!j->is_lost || j->gave_up))
        break_rewrite(j, -ECANCELED);
    if (wants_append(j)) {
        start_append(j);
        return;
    }
    if (j->phase == REWRITE_COPYING) {
        start_slice(j);
        return;
    }
    if (wants_rewrite(j)) {
        start_rewrite(j);
        return;
    }
    if (j->is_closing) {
        submit(j, JOURNAL_CLOSE, &j->now);
        return;
    }
    j->is_due = false;
    if (j->is_lost || j->now.writing.n || j->now.pending.n)
        journal_arm(j, j->interval_ms);
}

static void on_time(struct timeout *t)
{
    struct store_journal *j = CONTAINER_OF(t, struct store_journal, timer);
    j->is_due = true;
    step(j);
}

/* ---- Life. ---- */

void journal_init(struct store_journal *j)
{
    j->job.job = (struct work_job){.run = journal_run, .done = journal_done};
    timeout_init(&j->timer, on_time);
}

void store_journal_close(struct store_journal *j, void (*then)(struct store *s))
{
    j->then = then;
    j->is_closing = j->is_due = true;
    timeout_clear(&j->timer);
    step(j);
}

bool store_journal_stats(const struct store *s, struct store_journal_stats *out)
{
    const struct store_journal *j = s->journal;
    if (!j)
        return false;
    *out = (struct store_journal_stats){.file_bytes = j->now.bytes,
                                        .data_bytes =
                                            STORE_FILE_HEAD + STORE_RECORD_BYTES + s->kept_bytes,
                                        .pending_bytes = j->now.pending.n + j->now.writing.n +
                                                         j->next.pending.n + j->next.writing.n,
                                        .groups = j->groups,
                                        .rewrites = j->rewrites,
                                        .errors = j->errors,
                                        .error = j->error};
    return true;
}
