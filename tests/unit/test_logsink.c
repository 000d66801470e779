/* logsink: order and wholeness of lines, a full ring, files that fail, reopening, the end. Nothing
 * here sleeps: logsink_flush and logsink_close are the meeting points with the writer. */
#include "wire_test.h"

#include "service/log_ring.h"
#include "service/logsink.h"
#include "temp_dir.h"

#include <errno.h>
#include <sys/resource.h>

#define WAIT_MS 20000 /* never reached unless something is broken */

/* What the log was told, one line behind the other. */
struct told {
    struct log log;
    char text[4096];
    size_t n;
};

static void hear(struct log *log, enum log_level level, slice line)
{
    struct told *told = CONTAINER_OF(log, struct told, log);
    assert_true(told->n + line.n + 1 < sizeof told->text);
    memcpy(told->text + told->n, line.p, line.n);
    told->n += line.n;
    told->text[told->n++] = '\n';
    told->text[told->n] = 0;
}

static size_t count_in(slice text, const char *what)
{
    size_t found = 0;
    for (size_t i = 0; i < text.n; i++)
        found += slice_has_prefix(slice_skip(text, i), slice_str(what));
    return found;
}

static size_t times_told(const struct told *told, const char *what)
{
    return count_in(slice_of(told->text, told->n), what);
}

struct fixture {
    struct temp_dir dir;
    struct mem_book book;
    struct told told;
    struct logsink *sink;
};

static int set_up(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    assert_non_null(x);
    temp_dir_make(&x->dir);
    mem_book_init(&x->book, 0);
    x->told.log = (struct log){.level = LOG_DEBUG, .sink = hear};
    *state = x;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *x = *state;
    logsink_close(&x->sink);
    mem_book_fini(&x->book);
    temp_dir_remove(&x->dir);
    free(x);
    return 0;
}

static void open_sink(struct fixture *x, const char *name, size_t bytes)
{
    int error = -1;
    x->sink = logsink_new(&x->book, temp_path(&x->dir, name), bytes, &error);
    assert_non_null(x->sink);
    assert_int_equal(error, 0);
    logsink_watch(x->sink, &x->told.log);
}

static void put(struct fixture *x, const char *line)
{
    assert_true(logsink_put(x->sink, slice_str(line)));
}

static void flush(struct fixture *x)
{
    assert_true(logsink_flush(x->sink, WAIT_MS));
}

static struct logsink_stats stats(const struct fixture *x)
{
    struct logsink_stats s;
    logsink_stats(x->sink, &s);
    return s;
}

/* Puts numbered lines until one is refused; how many were taken. */
static unsigned fill(struct fixture *x)
{
    char text[64];
    for (unsigned i = 0;; i++) {
        struct fmt f = fmt_on(text, sizeof text);
        fmt_printf(&f, "line %u ..................................", i);
        if (!logsink_put(x->sink, fmt_done(&f)))
            return i;
    }
}

/* ---- The ring ---- */

static void test_ring_holds_whole_lines(void **state)
{
    char room[16];
    struct log_ring r;
    struct iovec v[2];
    log_ring_init(&r, room, sizeof room);
    assert_int_equal(log_ring_peek(&r, 16, v), 0);
    assert_false(log_ring_put(&r, SLICE("0123456789abcdef")));
    assert_true(log_ring_put(&r, SLICE("0123456789abcde")));
    assert_false(log_ring_put(&r, SLICE("")));
    assert_int_equal(log_ring_first_line(&r), 16);
    assert_int_equal(log_ring_whole_lines(&r, 15), 0);
    log_ring_take(&r, 16);
    assert_int_equal(log_ring_first_line(&r), 0);
    assert_int_equal(log_ring_used(&r), 0);
}

/* Every place of the end of the room within two lines. */
static void test_ring_wraps(void **state)
{
    for (size_t shift = 0; shift < 16; shift++) {
        char room[16];
        struct log_ring r;
        log_ring_init(&r, room, sizeof room);
        for (size_t i = 0; i < shift; i++) {
            assert_true(log_ring_put(&r, SLICE("")));
            log_ring_take(&r, 1);
        }
        assert_true(log_ring_put(&r, SLICE("abcde")));
        assert_true(log_ring_put(&r, SLICE("fghi")));
        assert_int_equal(log_ring_whole_lines(&r, 16), 11);
        assert_int_equal(log_ring_whole_lines(&r, 10), 6);
        assert_int_equal(log_ring_whole_lines(&r, 5), 0);
        assert_int_equal(log_ring_first_line(&r), 6);
        char text[16];
        struct fmt f = fmt_on(text, sizeof text);
        struct iovec v[2];
        int count = log_ring_peek(&r, 16, v);
        for (int i = 0; i < count; i++)
            fmt_put(&f, slice_of(v[i].iov_base, v[i].iov_len));
        assert_slice(fmt_done(&f), SLICE("abcde\nfghi\n"));
        assert_int_equal(log_ring_drop(&r), 2);
        assert_int_equal(log_ring_used(&r), 0);
    }
}

/* ---- Files ---- */

static void test_lines_arrive_in_order(void **state)
{
    struct fixture *x = *state;
    open_sink(x, "log", 0);
    put(x, "one");
    put(x, "");
    put(x, "three");
    flush(x);
    assert_file(&x->dir, "log", "one\n\nthree\n");
    put(x, "four");
    flush(x);
    assert_file(&x->dir, "log", "one\n\nthree\nfour\n");
    struct logsink_stats s = stats(x);
    assert_int_equal(s.lines, 4);
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.bytes, 16);
    assert_int_equal(s.buffered, 0);
    assert_int_equal(s.error, 0);
    struct stat st;
    assert_int_equal(stat(temp_path(&x->dir, "log"), &st), 0);
    assert_int_equal(st.st_mode & 07777 & ~0640, 0);
    assert_int_equal(x->told.n, 0);
}

static void test_existing_file_is_appended_to(void **state)
{
    struct fixture *x = *state;
    temp_write(&x->dir, "log", SLICE("old\n"));
    open_sink(x, "log", 0);
    put(x, "new");
    logsink_close(&x->sink);
    assert_null(x->sink);
    assert_file(&x->dir, "log", "old\nnew\n");
}

/* A small ring, a fast putter: each line is either in the file, whole and in order, or counted. */
static void test_flood(void **state)
{
    struct fixture *x = *state;
    enum { LINES = 100000 };
    open_sink(x, "log", 4096);
    logsink_watch(x->sink, NULL);
    for (unsigned i = 0; i < LINES; i++) {
        char text[32];
        struct fmt f = fmt_on(text, sizeof text);
        fmt_u64_wide(&f, i, 1 + i % 20);
        if (!logsink_put(x->sink, fmt_done(&f)) && i % 3 == 0)
            flush(x);
    }
    flush(x);
    struct logsink_stats s = stats(x);
    assert_int_equal(s.lines + s.lost, LINES);
    slice text = temp_read(&x->dir, "log"), rest = text;
    unsigned long long seen = 0, lost = 0, next = 0;
    for (slice line; slice_cut(&rest, '\n', &line) && rest.p;) {
        unsigned long long number = strtoull(line.p, NULL, 10);
        if (slice_find(line, ' ') >= 0) {
            lost += number;
            continue;
        }
        assert_true(number >= next);
        next = number + 1;
        seen++;
    }
    free((void *)text.p);
    assert_int_equal(seen, s.lines);
    assert_true(lost <= s.lost);
}

static void test_reopen_after_rename(void **state)
{
    struct fixture *x = *state;
    open_sink(x, "log", 0);
    put(x, "a");
    flush(x);
    temp_rename(&x->dir, "log", "log.1");
    put(x, "b");
    logsink_reopen(x->sink);
    put(x, "c");
    flush(x);
    assert_file(&x->dir, "log.1", "a\nb\n");
    assert_file(&x->dir, "log", "c\n");
    assert_int_equal(stats(x).reopened, 1);
    assert_int_equal(x->told.n, 0);
}

static void test_reopen_that_fails(void **state)
{
    struct fixture *x = *state;
    open_sink(x, "log", 0);
    temp_rename(&x->dir, "log", "log.1");
    assert_int_equal(mkdir(temp_path(&x->dir, "log"), 0700), 0);
    logsink_reopen(x->sink);
    put(x, "a");
    flush(x);
    put(x, "b");
    flush(x);
    assert_file(&x->dir, "log.1", "a\nb\n");
    assert_int_equal(times_told(&x->told, "Is a directory"), 1);
    assert_int_equal(times_told(&x->told, "[log.reopen]"), 1);
    assert_int_equal(stats(x).errors, 1);
    assert_int_equal(stats(x).reopened, 0);
}

static void test_cannot_open(void **state)
{
    struct fixture *x = *state;
    int error = 0;
    assert_null(logsink_new(&x->book, temp_path(&x->dir, "no/log"), 0, &error));
    assert_int_equal(error, -ENOENT);
    assert_null(logsink_new_fd(&x->book, -1, "nothing", 0, &error));
    assert_int_equal(error, -EBADF);
    x->book.fail_at = 1;
    assert_null(logsink_new(&x->book, temp_path(&x->dir, "log"), 0, &error));
    assert_int_equal(error, -ENOMEM);
    x->book.budget = 64 * KIB;
    assert_null(logsink_new(&x->book, temp_path(&x->dir, "log"), 0, &error));
    assert_int_equal(error, -ENOMEM);
    logsink_close(&x->sink);
}

/* ---- Full disks ---- */

static void test_full_disk_and_after(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(symlink("/dev/full", temp_path(&x->dir, "log")), 0);
    open_sink(x, "log", 0);
    put(x, "a");
    assert_false(logsink_flush(x->sink, WAIT_MS));
    assert_int_equal(stats(x).error, ENOSPC);
    for (int i = 0; i < 3; i++) {
        put(x, "b");
        assert_false(logsink_flush(x->sink, WAIT_MS));
    }
    assert_true(stats(x).errors >= 4);
    assert_int_equal(times_told(&x->told, "No space left on device"), 1);
    assert_int_equal(unlink(temp_path(&x->dir, "log")), 0);
    logsink_reopen(x->sink);
    flush(x);
    put(x, "c");
    flush(x);
    assert_file(&x->dir, "log", "a\nb\nb\nb\nc\n");
    assert_int_equal(times_told(&x->told, "can be written again"), 1);
    assert_int_equal(stats(x).lost, 0);
    assert_int_equal(stats(x).error, 0);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The disk takes half of a line, later the other half. */
static void test_half_a_line_is_completed(void **state)
{
    struct fixture *x = *state;
    open_sink(x, "log", 0);
    limit_files(10);
    put(x, "12345");
    put(x, "67890");
    bool done = logsink_flush(x->sink, WAIT_MS);
    slice half = temp_read(&x->dir, "log"); /* now: without the limit the writer may go on */
    limit_files(RLIM_INFINITY);
    assert_false(done);
    assert_slice(half, SLICE("12345\n6789"));
    free((void *)half.p);
    flush(x);
    assert_file(&x->dir, "log", "12345\n67890\n");
    assert_int_equal(stats(x).lost, 0);
}

/* The other half does not begin the next file. */
static void test_half_a_line_is_dropped(void **state)
{
    struct fixture *x = *state;
    open_sink(x, "log", 0);
    logsink_lost_text(x->sink, "", "");
    limit_files(10);
    put(x, "12345");
    put(x, "67890");
    put(x, "next");
    bool done = logsink_flush(x->sink, WAIT_MS);
    temp_rename(&x->dir, "log", "log.1");
    logsink_reopen(x->sink);
    bool reopened = logsink_flush(x->sink, WAIT_MS) && logsink_flush(x->sink, WAIT_MS);
    limit_files(RLIM_INFINITY);
    assert_false(done);
    assert_true(reopened);
    assert_file(&x->dir, "log.1", "12345\n6789");
    assert_file(&x->dir, "log", "next\n1\n");
    assert_int_equal(stats(x).lost, 1);
}

/* ---- Pipes ---- */

/* Nobody reads the FIFO: lines wait, then are lost and counted; when a reader comes it gets what
 * there is, and hears how much is missing. */
static void test_fifo_without_reader(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(mkfifo(temp_path(&x->dir, "fifo"), 0600), 0);
    open_sink(x, "fifo", 4096);
    unsigned taken = fill(x);
    assert_false(logsink_flush(x->sink, WAIT_MS));
    for (int i = 0; i < 4; i++)
        fill(x);
    assert_int_equal(stats(x).lost, 5);
    assert_int_equal(stats(x).errors, 0);
    int reader = open(temp_path(&x->dir, "fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    flush(x);
    put(x, "after");
    flush(x);
    slice got = read_now(reader);
    assert_int_equal(count_in(got, "line "), taken);
    assert_int_equal(count_in(got, "\n5 lines were lost: "), 1);
    assert_true(slice_has_suffix(got, SLICE("\nafter\n")));
    assert_true(times_told(&x->told, "[log.lost]") >= 1);
    free((void *)got.p);
    close(reader);
}

/* The reader leaves and another one comes. */
static void test_fifo_changes_reader(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(mkfifo(temp_path(&x->dir, "fifo"), 0600), 0);
    int reader = open(temp_path(&x->dir, "fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    open_sink(x, "fifo", 0);
    put(x, "one");
    flush(x);
    close(reader);
    put(x, "two");
    assert_false(logsink_flush(x->sink, WAIT_MS));
    reader = open(temp_path(&x->dir, "fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    flush(x);
    slice got = read_now(reader);
    assert_slice(got, SLICE("two\n"));
    free((void *)got.p);
    close(reader);
}

/* A pipe that is given to us, blocking, and read slowly: the putter never waits. */
static void test_full_pipe(void **state)
{
    struct fixture *x = *state;
    int ends[2], error;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    x->sink = logsink_new_fd(&x->book, ends[1], "a pipe", 256 * KIB, &error);
    assert_non_null(x->sink);
    unsigned taken = fill(x);
    assert_true(taken >= 2000);
    assert_false(logsink_flush(x->sink, WAIT_MS));
    assert_true(stats(x).buffered > 0);
    size_t got_lines = 0;
    while (got_lines < taken) {
        slice got = read_now(ends[0]);
        assert_true(got.n == 0 || slice_has_suffix(got, SLICE("\n")));
        got_lines += count_in(got, "line ");
        free((void *)got.p);
        bool done = logsink_flush(x->sink, WAIT_MS);
        (void)done;
    }
    assert_int_equal(got_lines, taken);
    assert_int_equal(stats(x).lost, 1);
    close(ends[0]);
    close(ends[1]);
}

/* Lines longer than a pipe takes in one piece. */
static void test_long_lines_through_a_pipe(void **state)
{
    struct fixture *x = *state;
    static char text[10000];
    int ends[2], error;
    memset(text, 'x', sizeof text);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    x->sink = logsink_new_fd(&x->book, ends[1], "a pipe", 0, &error);
    assert_non_null(x->sink);
    assert_true(logsink_put(x->sink, slice_of(text, sizeof text)));
    put(x, "short");
    flush(x);
    slice got = read_now(ends[0]);
    assert_int_equal(got.n, sizeof text + 7);
    assert_true(slice_has_suffix(got, SLICE("xxx\nshort\n")));
    free((void *)got.p);
    close(ends[0]);
    close(ends[1]);
}

/* The reader of standard output has gone: an error, told once. */
static void test_broken_pipe(void **state)
{
    struct fixture *x = *state;
    int ends[2], error;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    x->sink = logsink_new_fd(&x->book, ends[1], "a pipe", 0, &error);
    assert_non_null(x->sink);
    logsink_watch(x->sink, &x->told.log);
    close(ends[0]);
    put(x, "a");
    assert_false(logsink_flush(x->sink, WAIT_MS));
    logsink_reopen(x->sink);
    put(x, "b");
    assert_false(logsink_flush(x->sink, WAIT_MS));
    logsink_report(x->sink);
    assert_int_equal(times_told(&x->told, "Cannot write the log a pipe: Broken pipe"), 1);
    close(ends[1]);
}

/* ---- The end, and the error log ---- */

static void test_close_gives_up(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(mkfifo(temp_path(&x->dir, "fifo"), 0600), 0);
    open_sink(x, "fifo", 0);
    put(x, "a");
    put(x, "b");
    logsink_close(&x->sink);
    assert_int_equal(times_told(&x->told, "2 lines"), 1);
    assert_int_equal(times_told(&x->told, "[log.unwritten]"), 1);
    assert_int_equal(x->book.bytes, 0);
}

static void test_lost_text(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(mkfifo(temp_path(&x->dir, "fifo"), 0600), 0);
    open_sink(x, "fifo", 4096);
    logsink_lost_text(x->sink, "{\"lost_lines\":", "}");
    fill(x);
    int reader = open(temp_path(&x->dir, "fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    flush(x);
    flush(x);
    slice got = read_now(reader);
    assert_true(slice_has_suffix(got, SLICE("\n{\"lost_lines\":1}\n")));
    free((void *)got.p);
    close(reader);
}

static void test_carries_the_error_log(void **state)
{
    struct fixture *x = *state;
    open_sink(x, "log", 0);
    struct log log = {.level = LOG_NOTICE};
    logsink_carry(x->sink, &log);
    log_line(&log, LOG_ERROR, "a.b", "text %d", 7);
    log_line(&log, LOG_DEBUG, "a.b", "dropped");
    flush(x);
    slice got = temp_read(&x->dir, "log");
    assert_int_equal(got.n, 24 + 1 + 19 + 1);
    assert_int_equal(got.p[10], 'T');
    assert_slice(slice_skip(got, 23), SLICE("Z error: text 7 [a.b]\n"));
    free((void *)got.p);
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_holds_whole_lines),
        cmocka_unit_test(test_ring_wraps),
        WITH_FILES(test_lines_arrive_in_order),
        WITH_FILES(test_existing_file_is_appended_to),
        WITH_FILES(test_flood),
        WITH_FILES(test_reopen_after_rename),
        WITH_FILES(test_reopen_that_fails),
        WITH_FILES(test_cannot_open),
        WITH_FILES(test_full_disk_and_after),
        WITH_FILES(test_half_a_line_is_completed),
        WITH_FILES(test_half_a_line_is_dropped),
        WITH_FILES(test_fifo_without_reader),
        WITH_FILES(test_fifo_changes_reader),
        WITH_FILES(test_full_pipe),
        WITH_FILES(test_long_lines_through_a_pipe),
        WITH_FILES(test_broken_pipe),
        WITH_FILES(test_close_gives_up),
        WITH_FILES(test_lost_text),
        WITH_FILES(test_carries_the_error_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
