/* store_replay: reads a journal into a store: once to see that it is sound, and where its torn end
 * begins, and once more to apply it. So a damaged file leaves nothing half read behind. */
#include "service/store_file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES MIB

static int read_at(int fd, char *to, size_t n, uint64_t offset)
{
    while (n) {
        ssize_t got = pread(fd, to, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        to += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

static void seek(struct store_replay *r, uint64_t at)
{
    r->at = at;
    r->from = r->n = 0;
}

/* More bytes, at least [wants] in all, unless the file ends. */
static int fill(struct store_replay *r, size_t wants)
{
    if (wants > r->cap) {
        char *p = mem_resize(r->owner, r->buffer, r->cap, wants + BUFFER_BYTES);
        if (!p)
            return -ENOMEM;
        r->buffer = p;
        r->cap = wants + BUFFER_BYTES;
    }
    memmove(r->buffer, r->buffer + r->from, r->n);
    r->from = 0;
    uint64_t left = r->size - r->at - r->n;
    size_t n = (size_t)MIN((uint64_t)(r->cap - r->n), left);
    int error = read_at(r->fd, r->buffer + r->n, n, r->at + r->n);
    if (!error)
        r->n += n;
    return error;
}

/* 1: a record; 0: the end of the file; -EBADMSG: no record stands at r->at; other -errno. */
static int next_record(struct store_replay *r, struct store_change *c)
{
    size_t wants = 0;
    for (;;) {
        if (r->at == r->size)
            return 0;
        slice in = r->n ? slice_of(r->buffer + r->from, r->n) : SLICE("");
        ssize_t used = store_record_get(in, r->seed, c, &wants);
        if (used < 0)
            return -EBADMSG;
        if (used > 0) {
            r->from += (size_t)used;
            r->n -= (size_t)used;
            r->at += (uint64_t)used;
            return 1;
        }
        if (wants > r->size - r->at)
            return -EBADMSG; /* torn */
        int error = fill(r, wants);
        if (error)
            return error;
    }
}

static bool is_mark(const struct store_replay *r)
{
    char mark[STORE_RECORD_BYTES];
    store_mark_put(mark, r->seed, r->at);
    return r->n >= sizeof mark && memcmp(mark, r->buffer + r->from, sizeof mark) == 0;
}

/* Goes to the first mark after [from]: 1 there is one; 0; -errno. */
static int seek_mark(struct store_replay *r, uint64_t from)
{
    seek(r, from);
    for (;;) {
        if (r->n < STORE_RECORD_BYTES) {
            if (r->size - r->at < STORE_RECORD_BYTES)
                return 0;
            int error = fill(r, STORE_RECORD_BYTES);
            if (error)
                return error;
        }
        /* Cheap before thorough: the operation first. */
        if (r->buffer[r->from + 8] == STORE_OP_SYNC && is_mark(r))
            return 1;
        r->from++;
        r->n--;
        r->at++;
    }
}

static void tell_damage(struct store_replay *r, uint64_t at, uint64_t until)
{
    log_line(loop_log(r->store->loop), r->skips_damage ? LOG_WARNING : LOG_ERROR, "store.damaged",
             "%s is damaged from byte %llu to byte %llu%s", r->path, (unsigned long long)at,
             (unsigned long long)until,
             r->skips_damage ? "; the changes there are lost" : "; it is left alone");
}

/* Behind a bad record: 1 goes on after damage; 0 it was the torn end; < 0 error. */
static int behind_bad(struct store_replay *r, bool is_first)
{
    uint64_t bad = r->at;
    int found = seek_mark(r, bad + 1);
    if (found < 0)
        return found;
    if (found == 0) {
        r->bytes = bad;
        return 0;
    }
    r->offset = bad;
    r->had_damage = true;
    if (is_first)
        tell_damage(r, bad, r->at);
    return r->skips_damage ? 1 : -EBADMSG;
}

static int apply(struct store_replay *r, const struct store_change *c)
{
    int error = store_apply(r->store, c);
    if (error == -EBADMSG && r->skips_damage)
        return 0; /* what it changes was in the damaged part */
    if (error == -EBADMSG)
        tell_damage(r, r->offset, r->at);
    return error;
}

/* Once through the file. */
static int pass(struct store_replay *r, bool applies)
{
    struct store_change c;
    seek(r, STORE_FILE_HEAD);
    for (;;) {
        uint64_t at = r->at;
        int got = next_record(r, &c);
        if (got == -EBADMSG)
            got = behind_bad(r, !applies);
        else if (got == 0)
            r->bytes = r->size;
        else if (got > 0 && applies) {
            r->offset = at;
            int error = apply(r, &c);
            got = error ? error : 1;
        }
        if (got <= 0)
            return got;
    }
}

static int read_head(struct store_replay *r)
{
    char head[STORE_FILE_HEAD] = "", expected[STORE_FILE_HEAD];
    struct stat st;
    if (fstat(r->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    r->size = (uint64_t)st.st_size;
    size_t n = (size_t)MIN(r->size, (uint64_t)STORE_FILE_HEAD);
    int error = read_at(r->fd, head, n, 0);
    if (error)
        return error;
    store_head_put(expected, 0);
    r->is_empty = n < STORE_FILE_HEAD && memcmp(head, expected, MIN(n, (size_t)8)) == 0;
    if (r->is_empty || store_head_get(head, &r->seed))
        return 0;
    log_line(loop_log(r->store->loop), LOG_ERROR, "store.damaged", "%s is no journal of a store",
             r->path);
    return -EBADMSG;
}

static int run(struct store_replay *r)
{
    int error = pass(r, false);
    if (error)
        return error;
    if (r->bytes < r->size)
        log_line(loop_log(r->store->loop), LOG_NOTICE, "store.torn",
                 "%s: its last %llu bytes were not written completely, and are cut off", r->path,
                 (unsigned long long)(r->size - r->bytes));
    r->size = r->bytes;
    return pass(r, true);
}

int store_replay(struct store_replay *r)
{
    r->offset = 0;
    int error = read_head(r);
    if (!error && !r->is_empty)
        error = run(r);
    mem_free(r->owner, r->buffer, r->cap);
    r->buffer = NULL;
    if (error)
        store_clear(r->store, SLICE(""));
    return error;
}
