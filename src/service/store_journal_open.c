/* store_journal_open: a journal's beginning: the file is made, or read into the store. This alone
 * blocks. */
#include "service/store_journal_parts.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#define INTERVAL_MS ((int64_t)1000)
#define RETRY_MS    ((int64_t)5000)
#define PENDING_MAX (16 * MIB)
#define COMPACT_MIN MIB
#define SLICE_BYTES (64 * KIB)

static char *copy_text(char **at, slice s)
{
    char *to = *at;
    if (s.n)
        memcpy(to, s.p, s.n);
    *at += s.n;
    return to;
}

static void copy_names(struct store_journal *j, const struct store_journal_settings *o)
{
    char *at = (char *)(j + 1);
    j->path = copy_text(&at, slice_of(o->path, strlen(o->path) + 1));
    j->new_path = copy_text(&at, slice_str(o->path));
    copy_text(&at, slice_of(".new", sizeof ".new"));
    j->prefix_count = o->prefix_count;
    for (size_t i = 0; i < o->prefix_count; i++)
        j->prefixes[i] = slice_of(copy_text(&at, o->prefixes[i]), o->prefixes[i].n);
}

static int check_settings(const struct store_journal_settings *o, size_t *names_out)
{
    size_t n = strlen(o->path);
    if (n > PATH_MAX - sizeof ".new" || o->prefix_count > STORE_PREFIXES_MAX)
        return -EMSGSIZE;
    *names_out = 2 * n + 1 + sizeof ".new";
    for (size_t i = 0; i < o->prefix_count; i++) {
        if (o->prefixes[i].n > STORE_KEY_MAX)
            return -EMSGSIZE;
        *names_out += o->prefixes[i].n;
    }
    return 0;
}

static int new_journal(struct store *s, const struct store_journal_settings *o,
                       struct store_journal **out)
{
    size_t names;
    int error = check_settings(o, &names);
    if (error)
        return error;
    struct store_journal *j = mem_raw_alloc(sizeof *j + names);
    if (!j)
        return -ENOMEM;
    *j = (struct store_journal){
        .store = s,
        .interval_ms = o->interval_ms ? o->interval_ms : INTERVAL_MS,
        .retry_ms = o->retry_ms ? o->retry_ms : RETRY_MS,
        .pending_max = o->pending_max ? o->pending_max : PENDING_MAX,
        .compact_min = o->compact_min ? o->compact_min : COMPACT_MIN,
        .slice_bytes = o->slice_bytes ? o->slice_bytes : SLICE_BYTES,
        .now.fd = -1,
        .next.fd = -1,
        .total_bytes = sizeof *j + names,
    };
    copy_names(j, o);
    journal_init(j);
    mem_owner_init(&j->owner, loop_book(s->loop), "shared journal");
    *out = j;
    if (mem_charge(&j->owner, j->total_bytes)) {
        j->lane = work_lane_new(s->loop, "store", 1);
        if (j->lane)
            return 0;
        mem_discharge(&j->owner, j->total_bytes);
    }
    mem_owner_fini(&j->owner);
    mem_raw_free(j);
    return -ENOMEM;
}

/* An empty file in place of none. */
static int make_file(struct store_journal *j)
{
    uint64_t salt;
    bool is_renamed;
    rand_fill(&salt, sizeof salt);
    int fd = store_disk_create(j->new_path, salt);
    if (fd < 0)
        return fd;
    int error = store_disk_publish(fd, j->new_path, j->path, &is_renamed);
    if (error) {
        close(fd);
        return error;
    }
    if (j->now.fd >= 0)
        close(j->now.fd);
    j->now =
        (struct journal_side){.fd = fd, .seed = store_file_seed(salt), .bytes = STORE_FILE_HEAD};
    return 0;
}

static int read_file(struct store_journal *j, bool skips_damage, uint64_t *offset_out)
{
    struct store_replay r = {.store = j->store,
                             .owner = &j->owner,
                             .path = j->path,
                             .fd = j->now.fd,
                             .skips_damage = skips_damage};
    int error = store_replay(&r);
    if (offset_out)
        *offset_out = r.offset;
    if (error)
        return error;
    if (r.is_empty)
        return make_file(j);
    j->now.seed = r.seed;
    j->now.bytes = r.bytes;
    j->is_lost = r.had_damage; /* written anew, without the damage */
    return store_disk_cut(j->now.fd, r.bytes);
}

/* What was read becomes what is kept. */
static void adopt_entries(struct store_journal *j)
{
    struct store *s = j->store;
    struct store_node *n = store_tree_from(s->root, SLICE(""), true);
    for (; n; n = store_tree_from(s->root, store_node_key(n), false)) {
        struct store_entry *e = store_entry_of(n);
        e->is_kept = store_journal_wants(j, store_node_key(n));
        store_entry_account(s, e);
    }
}

static int open_file(struct store_journal *j, bool skips_damage, uint64_t *offset_out)
{
    j->now.fd = store_disk_open(j->path);
    if (j->now.fd == -ENOENT) {
        j->now.fd = -1;
        return make_file(j);
    }
    if (j->now.fd < 0)
        return j->now.fd;
    int error = read_file(j, skips_damage, offset_out);
    if (!error && unlink(j->new_path) < 0 && errno != ENOENT)
        error = -errno;
    return error;
}

int store_journal_open(struct store *s, const struct store_journal_settings *settings,
                       uint64_t *offset_out)
{
    struct store_journal *j;
    if (s->journal || s->keys)
        return -EBUSY;
    int error = new_journal(s, settings, &j);
    if (error)
        return error;
    size_t limit = s->limit;
    s->limit = 0;
    error = open_file(j, settings->skips_damage, offset_out);
    s->limit = limit;
    if (error) {
        store_clear(s, SLICE(""));
        if (j->now.fd >= 0)
            close(j->now.fd);
        work_lane_free(&j->lane);
        mem_discharge(&j->owner, j->total_bytes);
        mem_owner_fini(&j->owner);
        mem_raw_free(j);
        return error;
    }
    adopt_entries(j);
    s->journal = j;
    if (j->is_lost)
        journal_arm(j, j->interval_ms);
    return 0;
}
