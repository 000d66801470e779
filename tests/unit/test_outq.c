/* Output queues alone: what is pushed comes out in order, however it is taken. */
#include "io/outq.h"

#include "base/buf.h"
#include "base/rand.h"
#include "io/stream.h"
#include "test_net.h"

#include "cmocka_all.h"

struct rig {
    struct test_net *net;
    struct io io;
    struct outq q;
};

static void rig_begin(struct rig *r)
{
    *r = (struct rig){.net = net_new(NET_SIM_CALM, 0)};
    io_init(&r->io, r->net->loop, &r->net->book);
}

static void rig_end(struct rig *r)
{
    outq_clear(&r->q, &r->io);
    assert_int_equal(r->q.bytes, 0);
    io_fini(&r->io);
    net_free(&r->net);
}

/* ---- Something that counts its holders ---- */

struct thing {
    struct shared shared;
    char bytes[3000];
    int freed;
};

static void thing_freed(struct shared *s)
{
    CONTAINER_OF(s, struct thing, shared)->freed++;
}

static void thing_init(struct thing *t, size_t from)
{
    t->freed = 0;
    shared_init(&t->shared, thing_freed);
    test_pattern(t->bytes, sizeof t->bytes, from);
}

/* ---- Taking, as a stream does, into one string. A range of a file is its pattern. ---- */

struct taken {
    char *p;
    size_t n;
};

static size_t take(struct rig *r, struct taken *t, size_t max)
{
    int file;
    uint64_t offset;
    size_t count, done = 0;
    struct iovec iov[3];
    bool more;
    if (outq_head_file(&r->q, &file, &offset, &count)) {
        done = MIN(count, max);
        assert_int_equal(file, 99);
        test_pattern(t->p + t->n, done, offset);
    } else {
        int pieces = outq_gather(&r->q, iov, 3, &more);
        assert_true(pieces > 0);
        for (int i = 0; i < pieces && done < max; i++) {
            size_t n = MIN(iov[i].iov_len, max - done);
            assert_true(n > 0);
            memcpy(t->p + t->n + done, iov[i].iov_base, n);
            done += n;
        }
    }
    t->n += done;
    outq_sent(&r->q, &r->io, done);
    return done;
}

static void take_all(struct rig *r, struct taken *t, size_t step, struct prng *prng)
{
    while (r->q.bytes) {
        size_t before = r->q.bytes;
        size_t n = take(r, t, prng ? 1 + prng_below(prng, step) : step);
        assert_int_equal(r->q.bytes, before - n);
    }
    assert_int_equal(outq_gather(&r->q, &(struct iovec){0}, 1, &(bool){0}), 0);
}

static void push_pattern(struct rig *r, size_t n, size_t from)
{
    char *bytes = malloc(n);
    assert_non_null(bytes);
    test_pattern(bytes, n, from);
    assert_true(outq_push_copy(&r->q, &r->io, slice_of(bytes, n)));
    free(bytes);
}

/* One of each kind; the pattern goes on through all. */
static size_t push_all_kinds(struct rig *r, struct thing *t)
{
    size_t at = 0;
    push_pattern(r, 10, at);
    at += 10;
    push_pattern(r, 2500, at); /* does not fit the small block */
    at += 2500;
    thing_init(t, at);
    assert_true(outq_push_shared(&r->q, &r->io, slice_of(t->bytes, 700), &t->shared));
    at += 700;
    char *room = outq_reserve(&r->q, &r->io, 500);
    assert_non_null(room);
    test_pattern(room, 300, at);
    outq_commit(&r->q, 300); /* fewer than reserved */
    at += 300;
    assert_true(outq_push_file(&r->q, &r->io, 99, at, 400, &t->shared));
    at += 400;
    assert_true(outq_push_copy(&r->q, &r->io, slice_of("", 0)));
    assert_true(outq_push_shared(&r->q, &r->io, slice_of("", 0), &t->shared));
    push_pattern(r, 20000, at); /* larger than any block */
    at += 20000;
    assert_int_equal(r->q.bytes, at);
    shared_release(&t->shared);
    return at;
}

static void test_every_split(void **state)
{
    char *room = malloc(50000);
    for (size_t step = 1; step < 24000; step += step < 50 ? 1 : step / 7) {
        struct rig r;
        rig_begin(&r);
        struct thing t;
        struct taken taken = {.p = room};
        size_t n = push_all_kinds(&r, &t);
        take_all(&r, &taken, step, NULL);
        assert_int_equal(taken.n, n);
        assert_true(test_is_pattern(slice_of(taken.p, taken.n), 0));
        assert_int_equal(t.freed, 1);
        rig_end(&r);
    }
    free(room);
}

static void test_cleared_at_every_point(void **state)
{
    char *room = malloc(50000);
    for (size_t upto = 0; upto < 4100; upto += 13) {
        struct rig r;
        rig_begin(&r);
        struct thing t;
        struct taken taken = {.p = room};
        push_all_kinds(&r, &t);
        while (taken.n < upto)
            take(&r, &taken, upto - taken.n);
        rig_end(&r);
        assert_int_equal(t.freed, 1);
    }
    free(room);
}

/* Pushing and taking mixed, by chance: what is in the queue is always the pattern's next part. */
static void test_by_chance(void **state)
{
    char *room = malloc(2 * MIB);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct prng prng = {seed};
        struct rig r;
        rig_begin(&r);
        struct taken taken = {.p = room};
        size_t given = 0;
        for (int i = 0; i < 400; i++) {
            size_t n = 1 + prng_below(&prng, 3000);
            switch (prng_below(&prng, 4)) {
            case 0:
                push_pattern(&r, n, given);
                given += n;
                break;
            case 1: {
                struct buf *b = buf_new(&r.io.owner, n);
                assert_non_null(b);
                test_pattern(b->p, n, given);
                assert_true(outq_push_shared(&r.q, &r.io, slice_of(b->p, n), &b->shared));
                buf_release(&b);
                given += n;
                break;
            }
            case 2: {
                char *p = outq_reserve(&r.q, &r.io, n);
                assert_non_null(p);
                test_pattern(p, n / 2, given);
                outq_commit(&r.q, n / 2);
                given += n / 2;
                break;
            }
            default:
                if (r.q.bytes)
                    take(&r, &taken, n);
            }
            assert_int_equal(r.q.bytes, given - taken.n);
        }
        take_all(&r, &taken, 5000, &prng);
        assert_int_equal(taken.n, given);
        assert_true(test_is_pattern(slice_of(taken.p, taken.n), 0));
        rig_end(&r);
    }
    free(room);
}

static void test_small_neighbours_are_one_piece(void **state)
{
    struct rig r;
    rig_begin(&r);
    for (size_t i = 0; i < 100; i++)
        push_pattern(&r, 10, i * 10);
    struct iovec iov[4];
    bool more;
    assert_int_equal(outq_gather(&r.q, iov, 4, &more), 1);
    assert_int_equal(iov[0].iov_len, 1000);
    assert_false(more);
    rig_end(&r);
}

static void test_more_follows(void **state)
{
    struct rig r;
    rig_begin(&r);
    struct thing t;
    struct iovec iov[4];
    bool more;
    push_all_kinds(&r, &t);
    outq_gather(&r.q, iov, 1, &more);
    assert_true(more); /* no room for all */
    outq_gather(&r.q, iov, 4, &more);
    assert_true(more); /* the file */
    rig_end(&r);
}

static void test_empty_reservation_before_a_file(void **state)
{
    struct rig r;
    rig_begin(&r);
    struct thing t;
    struct taken taken = {.p = (char[500]){0}};
    thing_init(&t, 0);
    assert_non_null(outq_reserve(&r.q, &r.io, 100));
    outq_commit(&r.q, 0);
    assert_non_null(outq_reserve(&r.q, &r.io, OUTQ_RESERVE_MAX)); /* another block */
    outq_commit(&r.q, 0);
    assert_true(outq_push_file(&r.q, &r.io, 99, 0, 400, &t.shared));
    take_all(&r, &taken, 400, NULL);
    assert_int_equal(taken.n, 400);
    shared_release(&t.shared);
    assert_int_equal(t.freed, 1);
    rig_end(&r);
}

static void test_idle_queue_holds_nothing(void **state)
{
    struct rig r;
    rig_begin(&r);
    assert_non_null(outq_reserve(&r.q, &r.io, 100));
    outq_commit(&r.q, 0);
    outq_sent(&r.q, &r.io, 0);
    assert_int_equal(r.io.small.used + r.io.big.used + r.io.pieces.used, 0);
    rig_end(&r);
}

/* ---- No memory ---- */

static size_t try_all(struct rig *r, struct thing *t)
{
    size_t bytes = 0;
    bytes += outq_push_copy(&r->q, &r->io, slice_of(t->bytes, 100)) ? 100 : 0;
    bytes += outq_push_shared(&r->q, &r->io, slice_of(t->bytes, 200), &t->shared) ? 200 : 0;
    bytes += outq_push_copy(&r->q, &r->io, slice_of(t->bytes, 3000)) ? 3000 : 0;
    bytes += outq_push_file(&r->q, &r->io, 99, 0, 400, &t->shared) ? 400 : 0;
    if (outq_reserve(&r->q, &r->io, 5)) {
        outq_commit(&r->q, 5);
        bytes += 5;
    }
    char large[16000] = {0};
    bytes += outq_push_copy(&r->q, &r->io, slice_of(large, sizeof large)) ? sizeof large : 0;
    return bytes;
}

static void test_no_memory(void **state)
{
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        for (int forever = 0; forever < 2; forever++) {
            struct rig r;
            rig_begin(&r);
            struct thing t;
            thing_init(&t, 0);
            r.net->book.fail_forever = forever;
            r.net->book.fail_at = n;
            size_t bytes = try_all(&r, &t);
            failed = r.net->book.refused > 0;
            assert_int_equal(r.q.bytes, bytes);
            r.net->book.fail_at = 0;
            outq_clear(&r.q, &r.io);
            shared_release(&t.shared);
            assert_int_equal(t.freed, 1);
            rig_end(&r);
        }
        assert_true(n < 100);
    }
}

/* ---- Producers, asked by hand ---- */

struct counter {
    struct producer producer;
    struct io *io;
    int left, freed;
    bool waits;
};

static enum producer_result counter_more(struct producer *p, struct outq *q)
{
    struct counter *c = CONTAINER_OF(p, struct counter, producer);
    if (c->waits)
        return PRODUCER_WAIT;
    if (c->left < 0)
        return PRODUCER_FAILED;
    if (!outq_push_copy(q, c->io, SLICE("abc")))
        return PRODUCER_FAILED;
    return --c->left ? PRODUCER_MORE : PRODUCER_DONE;
}

static void counter_free(struct producer *p)
{
    CONTAINER_OF(p, struct counter, producer)->freed++;
}

static const struct producer_ops counter_ops = {
    .name = "counter", .more = counter_more, .free = counter_free};

static void test_producer(void **state)
{
    struct rig r;
    rig_begin(&r);
    struct counter c = {.producer.ops = &counter_ops, .io = &r.io, .left = 3};
    struct iovec iov[2];
    bool more;
    assert_int_equal(outq_pull(&r.q, &r.io), PRODUCER_DONE); /* there is none */
    push_pattern(&r, 10, 0);
    assert_true(outq_push_producer(&r.q, &r.io, &c.producer));
    assert_true(r.q.has_producer);
    assert_int_equal(r.q.bytes, 10);
    assert_int_equal(outq_pull(&r.q, &r.io), PRODUCER_MORE);
    assert_int_equal(r.q.bytes, 13);
    assert_int_equal(outq_gather(&r.q, iov, 2, &more), 1); /* before the producer: merged */
    outq_sent(&r.q, &r.io, 13);
    assert_int_equal(outq_gather(&r.q, iov, 2, &more), 0);
    assert_int_equal(outq_pull(&r.q, &r.io), PRODUCER_MORE);
    assert_int_equal(c.freed, 0);
    assert_int_equal(outq_pull(&r.q, &r.io), PRODUCER_DONE);
    assert_int_equal(c.freed, 1);
    assert_false(r.q.has_producer);
    assert_int_equal(r.q.bytes, 6);
    rig_end(&r);
    assert_int_equal(c.freed, 1);
}

static void test_producer_waits_fails_is_dropped(void **state)
{
    struct rig r;
    rig_begin(&r);
    struct counter c = {.producer.ops = &counter_ops, .io = &r.io, .waits = true};
    assert_true(outq_push_producer(&r.q, &r.io, &c.producer));
    assert_int_equal(outq_pull(&r.q, &r.io), PRODUCER_WAIT);
    c.waits = false;
    assert_int_equal(outq_pull(&r.q, &r.io), PRODUCER_WAIT); /* not asked until it is awake */
    outq_clear(&r.q, &r.io);
    assert_int_equal(c.freed, 1);
    producer_wake(&c.producer); /* harmless */
    c = (struct counter){.producer.ops = &counter_ops, .io = &r.io, .left = -1};
    assert_true(outq_push_producer(&r.q, &r.io, &c.producer));
    assert_int_equal(outq_pull(&r.q, &r.io), PRODUCER_FAILED);
    assert_int_equal(c.freed, 1);
    assert_false(r.q.has_producer);
    c.freed = 0;
    r.net->book.fail_at = 1;
    pool_trim(&r.io.pieces);
    assert_false(outq_push_producer(&r.q, &r.io, &c.producer));
    assert_int_equal(c.freed, 1); /* also then */
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_cleared_at_every_point),
        cmocka_unit_test(test_by_chance),
        cmocka_unit_test(test_small_neighbours_are_one_piece),
        cmocka_unit_test(test_more_follows),
        cmocka_unit_test(test_empty_reservation_before_a_file),
        cmocka_unit_test(test_idle_queue_holds_nothing),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_producer),
        cmocka_unit_test(test_producer_waits_fails_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
