/* The journal: torn at every byte, damaged, on a disk that fails, without memory, rewritten while
 * everything changes, and killed. The system calls of service/store_disk.c fail when this file says
 * so. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <stdbool.h>

static struct faults {
    long writes_left; /* bytes that still fit on the disk; -1 = no end */
    int sync_error, rename_error, truncate_error, open_error;
    bool syncs_really; /* for these tests it makes no difference, but for their time */
} faults = {.writes_left = -1};

static int failing(int error)
{
    errno = error;
    return -1;
}

static ssize_t fake_pwrite(int fd, const void *p, size_t n, off_t at)
{
    if (faults.writes_left >= 0 && n > (size_t)faults.writes_left)
        n = (size_t)faults.writes_left;
    if (n == 0)
        return failing(ENOSPC);
    if (faults.writes_left >= 0)
        faults.writes_left -= (long)n;
    return pwrite(fd, p, n, at);
}

static int fake_rename(const char *from, const char *to);
static int fake_open(const char *path, int flags, ...);

#define pwrite fake_pwrite
#define fdatasync(fd) \
    (faults.sync_error ? failing(faults.sync_error) : faults.syncs_really ? fdatasync(fd) : 0)
#define fsync(fd) \
    (faults.sync_error ? failing(faults.sync_error) : faults.syncs_really ? fsync(fd) : 0)
#define ftruncate(f, n) (faults.truncate_error ? failing(faults.truncate_error) : ftruncate(f, n))
#define rename          fake_rename
#define open            fake_open
#include "service/store_disk.c"
#undef pwrite
#undef fdatasync
#undef fsync
#undef ftruncate
#undef rename
#undef open

static int fake_rename(const char *from, const char *to)
{
    return faults.rename_error ? failing(faults.rename_error) : rename(from, to);
}

static int fake_open(const char *path, int flags, ...)
{
    return faults.open_error ? failing(faults.open_error) : open(path, flags, 0600);
}

#include "base/rand.h"
#include "service/store_journal.h"
#include "test_kinds.h"
#include "wire_test.h"

#include "temp_dir.h"

#include <sys/wait.h>

/* ---- Rig. ---- */

struct rig {
    struct temp_dir dir;
    struct test_net *net;
    struct store *store;
    struct store_journal_settings settings;
    char path[128];
    unsigned notices;
};

static void on_closed(void *owner)
{
    *(bool *)owner = true;
}

static bool is_true(void *arg)
{
    return *(bool *)arg;
}

static void count_line(struct log *log, enum log_level level, slice line)
{
    ((struct rig *)log->sink_owner)->notices++;
}

static void rig_loop(struct rig *r, enum net_kind kind)
{
    r->net = net_new(kind, 1);
    r->net->log.level = LOG_NOTICE;
    r->net->log.sink = count_line;
    r->net->log.sink_owner = r;
    r->notices = 0;
}

static int rig_open(struct rig *r, uint64_t *offset)
{
    r->store = store_new(r->net->loop, 0);
    assert_non_null(r->store);
    return store_journal_open(r->store, &r->settings, offset);
}

static void rig_close(struct rig *r)
{
    bool is_closed = false;
    if (r->store) {
        store_close(&r->store, on_closed, &is_closed);
        assert_true(net_until(r->net, is_true, &is_closed));
    }
    net_free(&r->net);
}

static void rig_begin(struct rig *r)
{
    *r = (struct rig){.settings = {.compact_min = UINT64_MAX}};
    faults = (struct faults){.writes_left = -1};
    temp_dir_make(&r->dir);
    snprintf(r->path, sizeof r->path, "%s/j", r->dir.path);
    r->settings.path = r->path;
    rig_loop(r, NET_SIM_CALM);
    assert_int_equal(rig_open(r, NULL), 0);
}

static void rig_end(struct rig *r)
{
    rig_close(r);
    temp_dir_remove(&r->dir);
}

/* A new process, as it were. */
static void rig_again(struct rig *r)
{
    rig_close(r);
    rig_loop(r, NET_SIM_CALM);
    assert_int_equal(rig_open(r, NULL), 0);
}

static struct store_value text(const char *t)
{
    return (struct store_value){.bytes = slice_str(t)};
}

static void set(struct store *s, const char *key, const char *value)
{
    assert_int_equal(store_set(s, slice_str(key), text(value), 0, STORE_ALWAYS), 0);
}

static void push(struct store *s, enum store_side side, const char *key, const char *value)
{
    size_t n;
    assert_int_equal(store_push(s, side, slice_str(key), text(value), &n), 0);
}

#define assert_value(s, key, expected)                            \
    do {                                                          \
        struct store_value v_;                                    \
        assert_int_equal(store_get((s), slice_str(key), &v_), 0); \
        assert_slice(v_.bytes, slice_str(expected));              \
    } while (0)

struct synced {
    struct store_sync sync;
    bool is_done;
    int error;
};

static void on_synced(struct store_sync *sync, int error)
{
    struct synced *s = CONTAINER_OF(sync, struct synced, sync);
    s->is_done = true;
    s->error = error;
}

static int sync_now(struct rig *r)
{
    struct synced s = {.sync.done = on_synced};
    store_sync(r->store, &s.sync);
    assert_false(s.is_done);
    assert_true(net_until(r->net, is_true, &s.is_done));
    return s.error;
}

static struct store_journal_stats stats_of(struct rig *r)
{
    struct store_journal_stats stats;
    assert_true(store_journal_stats(r->store, &stats));
    return stats;
}

/* All of a store as text; free((void *)s.p). */
static slice dump(struct store *s)
{
    char key[STORE_KEY_MAX];
    size_t cap = 8 * MIB;
    char *room = malloc(cap);
    struct fmt f = fmt_on(room, cap);
    slice at = {NULL, 0}, found;
    while (store_next(s, SLICE(""), at, &found)) {
        struct store_value v;
        int64_t ttl;
        memcpy(key, found.p, found.n);
        at = slice_of(key, found.n);
        assert_int_equal(store_ttl(s, at, &ttl), 0);
        fmt_printf(&f, "%.*s (%d):", SLICE_ARGS(at), ttl >= 0);
        if (store_is_list(s, at)) {
            for (int64_t i = 0; store_index(s, at, i, &v) == 0; i++)
                fmt_printf(&f, " %u:%.*s,", v.type, SLICE_ARGS(v.bytes));
        } else {
            assert_int_equal(store_get(s, at, &v), 0);
            fmt_printf(&f, " %u:%.*s", v.type, SLICE_ARGS(v.bytes));
        }
        fmt_char(&f, '\n');
    }
    assert_false(f.full);
    return fmt_done(&f);
}

static void assert_survives(struct rig *r)
{
    slice before = dump(r->store);
    rig_again(r);
    slice after = dump(r->store);
    assert_slice(after, before);
    free((void *)before.p);
    free((void *)after.p);
}

/* ---- What is written comes back. ---- */

static void change_everything(struct store *s)
{
    int64_t n;
    double d;
    struct store_value v;
    set(s, "a", "1");
    set(s, "a", "a longer value than eight bytes");
    set(s, "gone", "x");
    store_del(s, SLICE("gone"));
    assert_int_equal(store_incr(s, SLICE("n"), 41, &n), 0);
    assert_int_equal(store_incr(s, SLICE("n"), 1, &n), 0);
    assert_int_equal(store_incr_double(s, SLICE("d"), 0.5, &d), 0);
    for (int i = 0; i < 10; i++)
        push(s, i % 2 ? STORE_LEFT : STORE_RIGHT, "l", i % 3 ? "short" : "an item that is long");
    assert_int_equal(store_pop(s, STORE_LEFT, SLICE("l"), &v), 0);
    assert_int_equal(store_trim(s, SLICE("l"), 1, -3), 0);
    push(s, STORE_LEFT, "emptied", "x");
    assert_int_equal(store_pop(s, STORE_LEFT, SLICE("emptied"), &v), 0);
    assert_int_equal(store_set(s, SLICE("t"), text("v"), 1000000, STORE_ALWAYS), 0);
    assert_int_equal(store_expire(s, SLICE("l"), 2000000), 0);
    assert_int_equal(store_expire(s, SLICE("a"), 2000000), 0);
    assert_int_equal(store_persist(s, SLICE("a")), 0);
    store_del(s, SLICE("s"));
    assert_int_equal(store_swap(s, SLICE("s"), NULL, &(struct store_value){.type = 7}), 0);
    set(s, "", "the empty key");
}

static void test_survives(void **state)
{
    struct rig r;
    rig_begin(&r);
    change_everything(r.store);
    assert_survives(&r);
    assert_survives(&r);
    change_everything(r.store);
    assert_survives(&r);
    assert_int_equal(r.notices, 0);
    rig_end(&r);
}

static void test_groups_and_sync(void **state)
{
    struct rig r;
    rig_begin(&r);
    assert_int_equal(sync_now(&r), 0); /* nothing to wait for */
    set(r.store, "a", "1");
    set(r.store, "b", "1");
    loop_sim_advance(r.net->sim, 999);
    assert_int_equal(stats_of(&r).groups, 0);
    loop_sim_advance(r.net->sim, 1);
    assert_int_equal(stats_of(&r).groups, 1);
    set(r.store, "a", "2");
    assert_int_equal(sync_now(&r), 0); /* at once */
    assert_int_equal(stats_of(&r).groups, 2);
    loop_sim_advance(r.net->sim, 5000);
    assert_int_equal(stats_of(&r).groups, 2);
    struct synced cancelled = {.sync.done = on_synced};
    set(r.store, "a", "3");
    store_sync(r.store, &cancelled.sync);
    store_sync_cancel(&cancelled.sync);
    assert_int_equal(sync_now(&r), 0);
    assert_false(cancelled.is_done);
    store_sync_cancel(&cancelled.sync);
    rig_end(&r);
}

static void test_without_a_journal(void **state)
{
    struct rig r = {.notices = 0};
    rig_loop(&r, NET_SIM_CALM);
    r.store = store_new(r.net->loop, 0);
    struct store_journal_stats stats;
    assert_false(store_journal_stats(r.store, &stats));
    assert_int_equal(sync_now(&r), -ENXIO);
    struct synced left = {.sync.done = on_synced};
    store_sync(r.store, &left.sync);
    rig_close(&r);
    assert_true(left.is_done);
}

static void test_prefixes(void **state)
{
    struct rig r;
    slice prefixes[] = {SLICE("keep/"), SLICE("also")};
    rig_begin(&r);
    rig_close(&r);
    r.settings.prefixes = prefixes;
    r.settings.prefix_count = 2;
    rig_loop(&r, NET_SIM_CALM);
    assert_int_equal(rig_open(&r, NULL), 0);
    set(r.store, "keep/a", "1");
    set(r.store, "keep", "2");
    set(r.store, "also", "3");
    push(r.store, STORE_LEFT, "alt", "4");
    rig_again(&r);
    assert_int_equal(store_count(r.store), 2);
    assert_value(r.store, "keep/a", "1");
    assert_value(r.store, "also", "3");
    rig_end(&r);
}

static void test_time_to_live(void **state)
{
    struct rig r;
    int64_t ttl;
    rig_begin(&r);
    assert_int_equal(store_set(r.store, SLICE("k"), text("v"), 60000, STORE_ALWAYS), 0);
    assert_int_equal(store_set(r.store, SLICE("short"), text("v"), 5000, STORE_ALWAYS), 0);
    push(r.store, STORE_LEFT, "again", "old");
    assert_int_equal(store_expire(r.store, SLICE("again"), 4000), 0);
    loop_sim_advance(r.net->sim, 4000);
    push(r.store, STORE_LEFT, "again", "new"); /* not one with the old */
    int64_t wall = loop_unix_ms(r.net->loop);
    rig_close(&r);
    rig_loop(&r, NET_SIM_CALM);
    int64_t passed = wall - loop_unix_ms(r.net->loop);
    assert_int_equal(rig_open(&r, NULL), 0);
    assert_int_equal(store_ttl(r.store, SLICE("k"), &ttl), 0);
    assert_int_equal(ttl, 56000 + passed);
    assert_int_equal(store_ttl(r.store, SLICE("short"), &ttl), 0);
    assert_int_equal(store_length(r.store, SLICE("again")), 1);
    rig_close(&r);
    /* it ends while nobody is there */
    rig_loop(&r, NET_SIM_CALM);
    loop_sim_advance(r.net->sim, 1000000);
    assert_int_equal(rig_open(&r, NULL), 0);
    assert_false(store_exists(r.store, SLICE("k")));
    assert_int_equal(store_length(r.store, SLICE("again")), 1);
    rig_end(&r);
}

/* ---- Torn and damaged. ---- */

static void write_file(struct rig *r, slice content)
{
    temp_write(&r->dir, "j", content);
}

/* Groups of "n" = 1, 2, 3 ... */
static slice grouped_file(struct rig *r, int groups)
{
    int64_t n;
    for (int i = 0; i < groups; i++) {
        assert_int_equal(store_incr(r->store, SLICE("n"), 1, &n), 0);
        push(r->store, STORE_RIGHT, "l", "item");
        assert_int_equal(sync_now(r), 0);
    }
    rig_close(r);
    return temp_read(&r->dir, "j");
}

static void test_torn_at_every_byte(void **state)
{
    struct rig r;
    rig_begin(&r);
    slice whole = grouped_file(&r, 4);
    ssize_t before = 0;
    for (size_t n = 0; n <= whole.n; n++) {
        write_file(&r, slice_head(whole, n));
        rig_loop(&r, NET_SIM_CALM);
        assert_int_equal(rig_open(&r, NULL), 0);
        ssize_t items = store_length(r.store, SLICE("l"));
        assert_true(items == before || items == before + 1);
        before = items;
        set(r.store, "z", "goes on"); /* behind what was cut */
        rig_again(&r);
        assert_value(r.store, "z", "goes on");
        assert_int_equal(store_length(r.store, SLICE("l")), items);
        rig_close(&r);
    }
    assert_int_equal(before, 4);
    free((void *)whole.p);
    temp_dir_remove(&r.dir);
}

static void test_any_byte_damaged(void **state)
{
    struct rig r;
    rig_begin(&r);
    slice whole = grouped_file(&r, 3);
    size_t last_group = whole.n - (20 + 20 + 1 + 8 + 20 + 1 + 4);
    for (size_t i = 0; i < whole.n; i++) {
        uint64_t offset = 0;
        ((char *)whole.p)[i] ^= 0x20;
        write_file(&r, whole);
        rig_loop(&r, NET_SIM_CALM);
        int error = rig_open(&r, &offset);
        assert_int_equal(error, i < last_group ? -EBADMSG : 0);
        assert_true(error == 0 || (offset <= i && offset + 40 > i));
        if (error) {
            assert_int_equal(store_count(r.store), 0);
            assert_true(r.notices > 0);
            slice now = temp_read(&r.dir, "j"); /* left alone */
            assert_slice(now, whole);
            free((void *)now.p);
        } else {
            assert_int_equal(store_length(r.store, SLICE("l")) >= 2, 1);
        }
        rig_close(&r);
        ((char *)whole.p)[i] ^= 0x20;
    }
    free((void *)whole.p);
    temp_dir_remove(&r.dir);
}

static void test_damage_is_skipped_on_demand(void **state)
{
    struct rig r;
    rig_begin(&r);
    slice whole = grouped_file(&r, 3);
    ((char *)whole.p)[60] ^= 1; /* in the first group */
    write_file(&r, whole);
    r.settings.skips_damage = true;
    rig_loop(&r, NET_SIM_CALM);
    assert_int_equal(rig_open(&r, NULL), 0);
    assert_int_equal(r.notices, 1);
    assert_int_equal(store_length(r.store, SLICE("l")), 2);
    loop_sim_advance(r.net->sim, 2000); /* written anew, without the damage */
    rig_again(&r);
    assert_int_equal(r.notices, 0);
    assert_int_equal(store_length(r.store, SLICE("l")), 2);
    free((void *)whole.p);
    rig_end(&r);
}

static void test_foreign_files(void **state)
{
    struct rig r;
    rig_begin(&r);
    struct store *second = store_new(r.net->loop, 0);
    assert_int_equal(store_journal_open(second, &r.settings, NULL), -EWOULDBLOCK);
    set(second, "a", "b");
    assert_int_equal(store_journal_open(second, &r.settings, NULL), -EBUSY);
    store_close(&second, NULL, NULL);
    assert_int_equal(store_journal_open(r.store, &r.settings, NULL), -EBUSY);
    rig_close(&r);
    write_file(&r, SLICE("something else altogether, and long enough"));
    rig_loop(&r, NET_SIM_CALM);
    assert_int_equal(rig_open(&r, NULL), -EBADMSG);
    rig_close(&r);
    write_file(&r, SLICE("else"));
    rig_loop(&r, NET_SIM_CALM);
    assert_int_equal(rig_open(&r, NULL), -EBADMSG);
    assert_file(&r.dir, "j", "else");
    rig_close(&r);
    rig_loop(&r, NET_SIM_CALM);
    r.settings.path = "/nonexistent/folder/j";
    assert_int_equal(rig_open(&r, NULL), -ENOENT);
    rig_end(&r);
}

/* ---- Disks that fail. ---- */

static void test_full_disk(void **state)
{
    struct rig r;
    rig_begin(&r);
    set(r.store, "a", "1");
    assert_int_equal(sync_now(&r), 0);
    for (long left = 0; left < 60; left++) {
        faults.writes_left = left;
        set(r.store, "a", "2");
        set(r.store, "b", "2");
        assert_int_equal(sync_now(&r), -ENOSPC);
        assert_int_equal(stats_of(&r).error, -ENOSPC);
    }
    assert_int_equal(r.notices, 1);
    faults.writes_left = -1;
    assert_int_equal(stats_of(&r).groups, 1);
    loop_sim_advance(r.net->sim, 5000); /* tried again by itself */
    assert_int_equal(stats_of(&r).error, 0);
    assert_int_equal(r.notices, 2); /* and told that it is well */
    assert_true(stats_of(&r).groups > 1);
    assert_survives(&r);
    rig_end(&r);
}

static void test_disk_without_room_for_the_new_file(void **state)
{
    struct rig r;
    rig_begin(&r);
    rig_close(&r);
    r.settings.compact_min = 1000;
    rig_loop(&r, NET_SIM_CALM);
    assert_int_equal(rig_open(&r, NULL), 0);
    faults.rename_error = EACCES;
    for (int i = 0; i < 100; i++) {
        set(r.store, "a", "the same again and again");
        loop_sim_advance(r.net->sim, 1000);
    }
    assert_int_equal(r.notices, 1);
    assert_int_equal(stats_of(&r).rewrites, 0);
    assert_true(stats_of(&r).groups > 90);
    faults.rename_error = 0;
    set(r.store, "a", "once more");
    loop_sim_advance(r.net->sim, 10000);
    assert_int_equal(stats_of(&r).rewrites, 1);
    assert_true(stats_of(&r).file_bytes < 500);
    assert_survives(&r);
    rig_end(&r);
}

/* After a failed fsync nothing can be appended: a new file it must be. */
static void test_failed_sync(void **state)
{
    struct rig r;
    rig_begin(&r);
    change_everything(r.store);
    faults.sync_error = EIO;
    assert_int_equal(sync_now(&r), -EIO);
    set(r.store, "later", "1");
    assert_int_equal(sync_now(&r), -EIO); /* the new file fails as well */
    loop_sim_advance(r.net->sim, 20000);
    assert_int_equal(r.notices, 1);
    faults.sync_error = 0;
    set(r.store, "later", "2");
    assert_int_equal(sync_now(&r), 0);
    assert_int_equal(stats_of(&r).rewrites, 1);
    assert_int_equal(r.notices, 2);
    set(r.store, "later", "3");
    assert_survives(&r);
    /* as when what was written cannot be taken back */
    faults.truncate_error = EIO;
    faults.writes_left = 30;
    set(r.store, "b", "1");
    assert_int_equal(sync_now(&r), -ENOSPC);
    faults = (struct faults){.writes_left = -1};
    assert_int_equal(sync_now(&r), 0);
    assert_int_equal(stats_of(&r).rewrites, 1);
    assert_survives(&r);
    rig_end(&r);
}

/* More changes than are remembered while the disk hangs. */
static void test_too_much_pending(void **state)
{
    struct rig r;
    rig_begin(&r);
    rig_close(&r);
    r.settings.pending_max = 4 * KIB;
    rig_loop(&r, NET_SIM_CALM);
    assert_int_equal(rig_open(&r, NULL), 0);
    set(r.store, "a", "1");
    struct synced first = {.sync.done = on_synced};
    store_sync(r.store, &first.sync);
    loop_sim_hang(r.net->sim, "store", true);
    loop_sim_settle(r.net->sim);
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i % 300);
        set(r.store, key, "a value that takes some room");
    }
    assert_true(stats_of(&r).pending_bytes < 8 * KIB);
    assert_false(first.is_done);
    loop_sim_hang(r.net->sim, "store", false);
    loop_sim_settle(r.net->sim);
    assert_true(first.is_done && first.error == 0);
    loop_sim_advance(r.net->sim, 10000);
    assert_int_equal(stats_of(&r).rewrites, 1);
    assert_int_equal(stats_of(&r).error, 0);
    assert_survives(&r);
    rig_end(&r);
}

static void test_closing_on_a_failed_disk(void **state)
{
    struct rig r;
    rig_begin(&r);
    set(r.store, "a", "1");
    assert_int_equal(sync_now(&r), 0);
    set(r.store, "a", "2");
    faults.writes_left = 0;
    rig_close(&r); /* tries, tells, and gives up */
    assert_int_equal(r.notices, 1);
    faults.writes_left = -1;
    rig_loop(&r, NET_SIM_CALM);
    assert_int_equal(rig_open(&r, NULL), 0);
    assert_value(r.store, "a", "1");
    set(r.store, "a", "3");
    faults.sync_error = EIO;
    rig_close(&r);
    faults.sync_error = 0;
    rig_loop(&r, NET_SIM_CALM);
    assert_int_equal(rig_open(&r, NULL), 0);
    rig_end(&r);
}

static void test_open_fails(void **state)
{
    struct rig r;
    rig_begin(&r);
    rig_close(&r);
    remove(r.path);
    rig_loop(&r, NET_SIM_CALM);
    struct faults each[] = {{.writes_left = 10},
                            {.writes_left = -1, .sync_error = EIO},
                            {.writes_left = -1, .rename_error = EIO},
                            {.writes_left = -1, .open_error = EMFILE}};
    for (size_t i = 0; i < COUNT_OF(each); i++) {
        faults = each[i];
        assert_true(rig_open(&r, NULL) < 0);
        store_close(&r.store, NULL, NULL);
    }
    faults = (struct faults){.writes_left = -1};
    assert_int_equal(rig_open(&r, NULL), 0);
    rig_end(&r);
}

static void test_no_memory(void **state)
{
    struct rig r;
    rig_begin(&r);
    change_everything(r.store);
    slice before = dump(r.store);
    rig_close(&r);
    for (uint64_t at = 1;; at++) {
        rig_loop(&r, NET_SIM_CALM);
        r.net->book.fail_at = at;
        r.store = store_new(r.net->loop, 0);
        int error = r.store ? store_journal_open(r.store, &r.settings, NULL) : -ENOMEM;
        bool is_over = r.net->book.fail_at != 0;
        r.net->book.fail_at = 0;
        if (error && r.store) {
            assert_int_equal(error, -ENOMEM);
            assert_int_equal(store_count(r.store), 0);
            assert_int_equal(store_journal_open(r.store, &r.settings, NULL), 0);
        }
        if (r.store) {
            slice after = dump(r.store);
            assert_slice(after, before);
            free((void *)after.p);
        }
        rig_close(&r);
        if (is_over)
            break;
        assert_true(at < 1000);
    }
    free((void *)before.p);
    temp_dir_remove(&r.dir);
}

/* Memory fails while changes are noted and copied: the data survives, sooner or later also on disk.
 */
static void test_no_memory_at_work(void **state)
{
    for (uint64_t at = 1; at < 60; at++) {
        struct rig r;
        rig_begin(&r);
        rig_close(&r);
        r.settings.compact_min = 500;
        rig_loop(&r, NET_SIM_CALM);
        assert_int_equal(rig_open(&r, NULL), 0);
        set(r.store, "a", "0");
        for (int i = 0; i < 60; i++) {
            char value[64];
            r.net->book.fail_at = i == 20 ? at : r.net->book.fail_at;
            snprintf(value, sizeof value, "%d: a value that is allocated", i);
            int error = store_set(r.store, SLICE("a"), text(value), 0, STORE_ALWAYS);
            assert_true(error == 0 || error == -ENOMEM);
            loop_sim_advance(r.net->sim, 1000);
        }
        r.net->book.fail_at = 0;
        loop_sim_advance(r.net->sim, 20000);
        assert_int_equal(stats_of(&r).error, 0);
        assert_survives(&r);
        rig_end(&r);
    }
}

/* ---- Written anew. ---- */

static void random_change(struct store *s, struct prng *g)
{
    char key[16], value[64];
    size_t length;
    int64_t number;
    struct store_value v;
    int k = (int)prng_below(g, 40);
    snprintf(key, sizeof key, "%c%d", "nlv"[k % 3], k);
    snprintf(value, sizeof value, "%.*s", (int)prng_below(g, 40),
             "0123456789012345678901234567890123456789");
    slice name = slice_str(key);
    int ignored = 0;
    switch (prng_below(g, 9)) {
    case 0:
        store_del(s, name);
        break;
    case 1:
        ignored = store_incr(s, name, 1, &number);
        break;
    case 2:
        ignored = store_set(s, name, text(value), prng_below(g, 2) ? 0 : 100, STORE_ALWAYS);
        break;
    case 3:
        ignored = store_trim(s, name, (int64_t)prng_below(g, 4), -(int64_t)prng_below(g, 8) - 1);
        break;
    case 4:
        ignored = store_pop(s, prng_below(g, 2) ? STORE_LEFT : STORE_RIGHT, name, &v);
        break;
    case 5:
        ignored = store_expire(s, name, 1 + (int64_t)prng_below(g, 5000));
        break;
    default:
        for (int i = 0; i < 6; i++)
            ignored = store_push(s, prng_below(g, 2) ? STORE_LEFT : STORE_RIGHT, name, text(value),
                                 &length);
    }
    (void)ignored;
}

/* The file as it is on the disk at any moment, read by another store, is the data at some sync. */
static void test_rewriting_while_it_changes(void **state)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct rig r;
        struct prng g = {seed};
        rig_begin(&r);
        rig_close(&r);
        r.settings.compact_min = 2000;
        r.settings.interval_ms = 5;
        r.settings.slice_bytes = seed % 2 ? 200 : 0;
        rig_loop(&r, NET_SIM_CALM);
        assert_int_equal(rig_open(&r, NULL), 0);
        for (int i = 0; i < 3000; i++) {
            random_change(r.store, &g);
            if (prng_below(&g, 4) == 0)
                loop_turn(r.net->loop, 0);
            if (prng_below(&g, 40) == 0)
                loop_sim_advance(r.net->sim, (int64_t)prng_below(&g, 100));
        }
        assert_true(stats_of(&r).rewrites > 3);
        assert_int_equal(r.notices, 0);
        /* no time passes, so that what expires does not differ */
        assert_int_equal(sync_now(&r), 0);
        assert_survives(&r);
        rig_end(&r);
    }
}

static void persist_all(struct store *s)
{
    char key[16];
    for (int k = 0; k < 40; k++) {
        snprintf(key, sizeof key, "%c%d", "nlv"[k % 3], k);
        int error = store_persist(s, slice_str(key));
        assert_true(error == 0 || error == -ENOENT);
    }
}

/* A disk that fails in any way, at any time: when it is well again, all is on it. */
static void test_accidents(void **state)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rig r;
        struct prng g = {seed};
        rig_begin(&r);
        rig_close(&r);
        r.settings = (struct store_journal_settings){.path = r.path,
                                                     .compact_min = 2000,
                                                     .interval_ms = 5,
                                                     .retry_ms = 20,
                                                     .slice_bytes = seed % 2 ? 200 : 0,
                                                     .pending_max = seed % 3 ? 0 : 3000};
        rig_loop(&r, NET_SIM_WILD);
        assert_int_equal(rig_open(&r, NULL), 0);
        struct synced waiting = {.is_done = true, .sync.done = on_synced};
        for (int i = 0; i < 2000; i++) {
            random_change(r.store, &g);
            if (prng_below(&g, 30) == 0)
                faults = (struct faults){
                    .writes_left = prng_below(&g, 2) ? -1 : (long)prng_below(&g, 3000),
                    .sync_error = prng_below(&g, 4) ? 0 : EIO,
                    .rename_error = prng_below(&g, 4) ? 0 : EACCES,
                    .truncate_error = prng_below(&g, 4) ? 0 : EIO,
                    .open_error = prng_below(&g, 4) ? 0 : EMFILE,
                };
            if (prng_below(&g, 50) == 0)
                loop_sim_hang(r.net->sim, "store", prng_below(&g, 2));
            if (waiting.is_done && prng_below(&g, 20) == 0) {
                waiting.is_done = false;
                store_sync(r.store, &waiting.sync);
            }
            if (prng_below(&g, 4) == 0)
                loop_turn(r.net->loop, 0);
            if (prng_below(&g, 20) == 0)
                loop_sim_advance(r.net->sim, (int64_t)prng_below(&g, 40));
        }
        faults = (struct faults){.writes_left = -1};
        loop_sim_hang(r.net->sim, "store", false);
        for (int i = 0; i < 5 && sync_now(&r) != 0; i++)
            loop_sim_advance(r.net->sim, 50);
        assert_true(waiting.is_done);
        persist_all(
            r.store); /* nothing expires between the last writing and the look at the file */
        assert_int_equal(sync_now(&r), 0);
        assert_int_equal(stats_of(&r).error, 0);
        /* As if it was killed now: a copy of the file is all there is. */
        slice before = dump(r.store);
        slice file = temp_read(&r.dir, "j");
        rig_close(&r);
        write_file(&r, file);
        rig_loop(&r, NET_SIM_CALM);
        assert_int_equal(rig_open(&r, NULL), 0);
        assert_int_equal(r.notices, 0);
        slice after = dump(r.store);
        assert_slice(after, before);
        free((void *)before.p);
        free((void *)after.p);
        free((void *)file.p);
        rig_end(&r);
    }
}

/* Too much for the memory of changes, while any of the jobs is away. */
static void test_too_much_while_rewriting(void **state)
{
    for (int turns = 0; turns < 16; turns++) {
        struct rig r;
        char value[100];
        rig_begin(&r);
        rig_close(&r);
        r.settings.compact_min = 1000;
        r.settings.pending_max = 4000;
        r.settings.retry_ms = 10;
        rig_loop(&r, NET_SIM_CALM);
        assert_int_equal(rig_open(&r, NULL), 0);
        for (int i = 0; i < 30; i++) {
            snprintf(value, sizeof value, "%0*d", 90, i);
            set(r.store, "a", value);
        }
        struct synced waiting = {.sync.done = on_synced};
        store_sync(r.store, &waiting.sync);
        for (int i = 0; i < turns; i++)
            loop_turn(r.net->loop, 0);
        loop_sim_hang(r.net->sim, "store", true);
        for (int i = 0; i < 100; i++) {
            snprintf(value, sizeof value, "%0*d", 90, 1000 + i);
            char key[16];
            snprintf(key, sizeof key, "k%d", i);
            set(r.store, key, value);
        }
        loop_sim_settle(r.net->sim);
        loop_sim_hang(r.net->sim, "store", false);
        loop_sim_advance(r.net->sim, 10000);
        assert_true(waiting.is_done);
        slice file = temp_read(&r.dir, "j");
        rig_close(&r);
        write_file(&r, file);
        rig_loop(&r, NET_SIM_CALM);
        assert_int_equal(rig_open(&r, NULL), 0);
        assert_value(r.store, "k99", value);
        free((void *)file.p);
        rig_end(&r);
    }
}

/* One list that is much longer than a slice, changed at both ends while it is copied. */
static void test_rewriting_a_long_list(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rig r;
        struct prng g = {seed};
        char value[64];
        struct store_value v;
        rig_begin(&r);
        for (int i = 0; i < 20000; i++) {
            snprintf(value, sizeof value, "item %d of a long list", i);
            push(r.store, STORE_RIGHT, "l", value);
        }
        set(r.store, "a", "before it");
        set(r.store, "z", "behind it");
        rig_close(&r);
        r.settings.compact_min = 2000;
        rig_loop(&r, NET_SIM_CALM);
        assert_int_equal(rig_open(&r, NULL), 0);
        for (int i = 0; i < 5 && seed % 2; i++)
            assert_int_equal(store_expire(r.store, SLICE("l"), 1000000), 0);
        for (int i = 0; stats_of(&r).rewrites == 0 && i < 100000; i++) {
            snprintf(value, sizeof value, "new %d", i);
            switch (prng_below(&g, 8)) {
            case 0:
                assert_int_equal(store_trim(r.store, SLICE("l"), (int64_t)prng_below(&g, 90),
                                            -1 - (int64_t)prng_below(&g, 90)),
                                 0);
                break;
            case 1:
                assert_int_equal(store_pop(r.store, STORE_LEFT, SLICE("l"), &v), 0);
                break;
            case 2:
                assert_int_equal(store_pop(r.store, STORE_RIGHT, SLICE("l"), &v), 0);
                break;
            case 3:
                push(r.store, STORE_LEFT, "l", value);
                break;
            case 4:
                push(r.store, STORE_RIGHT, "l", value);
                break;
            default:
                set(r.store, prng_below(&g, 2) ? "a" : "z", value);
            }
            if (seed % 5 == 0 && i == 3000) {
                store_del(r.store, SLICE("l"));
                push(r.store, STORE_LEFT, "l", "a new list");
                for (int n = 0; n < 200; n++)
                    push(r.store, STORE_LEFT, "l", "a new list");
            }
            if (store_length(r.store, SLICE("l")) < 200)
                for (int n = 0; n < 200; n++)
                    push(r.store, STORE_LEFT, "l", "more");
            if (i % 16 == 0)
                loop_turn(r.net->loop, 0);
            if (i % 400 == 0)
                loop_sim_advance(r.net->sim, 1000);
        }
        assert_int_equal(stats_of(&r).rewrites, 1);
        assert_survives(&r);
        rig_end(&r);
    }
}

/* ---- Killed. ---- */

struct child {
    struct rig *rig;
    struct store_sync sync;
    int64_t number;
    int pipe;
};

static void write_more(struct child *c);

static void on_child_synced(struct store_sync *sync, int error)
{
    struct child *c = CONTAINER_OF(sync, struct child, sync);
    if (error || write(c->pipe, &c->number, sizeof c->number) < 0)
        _exit(1);
    write_more(c);
}

static void write_more(struct child *c)
{
    struct store *s = c->rig->store;
    char value[300];
    size_t n;
    memset(value, 'x', sizeof value);
    int error = store_incr(s, SLICE("n"), 1, &c->number);
    for (int i = 0; i < 20 && !error; i++)
        error = store_push(s, STORE_RIGHT, SLICE("l"),
                           (struct store_value){.bytes = slice_of(value, sizeof value)}, &n);
    if (!error)
        error = store_trim(s, SLICE("l"), -50, -1);
    if (error)
        _exit(2);
    store_sync(s, &c->sync);
}

static void child_run(struct rig *r, int pipe)
{
    struct child c = {.rig = r, .pipe = pipe, .sync.done = on_child_synced};
    rig_loop(r, NET_EPOLL_UNIX);
    if (rig_open(r, NULL) != 0)
        _exit(3);
    write_more(&c);
    loop_run(r->net->loop);
    _exit(4);
}

static int64_t kill_one(struct rig *r, int us)
{
    int ends[2];
    int64_t number = 0, told = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child_run(r, ends[1]);
    }
    close(ends[1]);
    usleep((useconds_t)us);
    kill(pid, SIGKILL);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    while (read(ends[0], &number, sizeof number) == sizeof number)
        told = number;
    close(ends[0]);
    return told;
}

static void test_killed(void **state)
{
    struct rig r;
    struct prng g = {7};
    rig_begin(&r);
    rig_close(&r);
    r.settings.compact_min = 20000;
    faults.syncs_really = true;
    int64_t most = 0;
    for (int i = 0; i < 25; i++) {
        int64_t told = kill_one(&r, 10000 + (int)prng_below(&g, 60000));
        int64_t n = 0;
        rig_loop(&r, NET_SIM_CALM);
        assert_int_equal(rig_open(&r, NULL), 0);
        assert_true(store_incr(r.store, SLICE("n"), 0, &n) == 0);
        assert_true(n >= told && n >= most);
        assert_true(store_length(r.store, SLICE("l")) <= 70);
        most = n;
        rig_close(&r);
    }
    assert_true(most > 0);
    temp_dir_remove(&r.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed), /* first: it forks, and there are no threads yet */
        cmocka_unit_test(test_survives),
        cmocka_unit_test(test_groups_and_sync),
        cmocka_unit_test(test_without_a_journal),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_time_to_live),
        cmocka_unit_test(test_torn_at_every_byte),
        cmocka_unit_test(test_any_byte_damaged),
        cmocka_unit_test(test_damage_is_skipped_on_demand),
        cmocka_unit_test(test_foreign_files),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_disk_without_room_for_the_new_file),
        cmocka_unit_test(test_failed_sync),
        cmocka_unit_test(test_too_much_pending),
        cmocka_unit_test(test_closing_on_a_failed_disk),
        cmocka_unit_test(test_open_fails),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_at_work),
        cmocka_unit_test(test_rewriting_while_it_changes),
        cmocka_unit_test(test_accidents),
        cmocka_unit_test(test_too_much_while_rewriting),
        cmocka_unit_test(test_rewriting_a_long_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
