/* Kinds of output of a stream, and everything that can go wrong with it: producers that wait or
 * fail, files cut short, memory and calls that fail, connections cut at every byte. */
#include "stream_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- Shared bytes and files, held until they are sent ---- */

struct holding {
    struct shared shared;
    char bytes[50000];
    int file;
    int freed;
};

static void holding_freed(struct shared *s)
{
    struct holding *h = CONTAINER_OF(s, struct holding, shared);
    h->freed++;
    if (h->file >= 0)
        close(h->file); /* the simulator sees it if that is too early */
    memset(h->bytes, 'x', sizeof h->bytes);
}

static void holding_init(struct holding *h, size_t from)
{
    h->freed = 0;
    shared_init(&h->shared, holding_freed);
    test_pattern(h->bytes, sizeof h->bytes, from);
    h->file = memfd_create("test", MFD_CLOEXEC);
    assert_true(h->file >= 0);
    assert_int_equal(write(h->file, h->bytes, sizeof h->bytes), sizeof h->bytes);
}

/* Copy, shared, file, copy: the pattern goes on through all. False: no memory. */
static bool push_kinds(struct rig *r, struct holding *h)
{
    struct outq *q = &r->stream.out;
    holding_init(h, 700);
    bool ok = rig_push(r, 700) &&
              outq_push_shared(q, &r->io, slice_of(h->bytes, 20000), &h->shared) &&
              outq_push_file(q, &r->io, h->file, 20000, 30000, &h->shared);
    r->given = 50700;
    ok = ok && rig_push(r, 300);
    shared_release(&h->shared);
    return ok;
}

static void all_kinds_in_order(struct test_net *net)
{
    struct rig *r = rig_open(net);
    struct holding h;
    assert_true(push_kinds(r, &h));
    stream_close(&r->stream, false);
    assert_true(net_until(net, peer_has_ended, r->peer));
    assert_true(peer_is_eof(r->peer));
    rig_expect_received(r, 51000);
    assert_int_equal(h.freed, 1);
    rig_free(r);
}
ON_ALL(all_kinds_in_order)

static void abort_releases(struct test_net *net)
{
    struct rig *r = rig_open(net);
    struct holding h;
    peer_slow(r->peer, true);
    assert_true(push_kinds(r, &h));
    assert_true(rig_push(r, 100000));
    for (int i = 0; i < 3; i++)
        net_turn(net);
    stream_abort(&r->stream, -ECANCELED);
    assert_int_equal(h.freed, 1);
    rig_free(r);
    assert_int_equal(h.freed, 1);
}
ON_ALL(abort_releases)

static void file_cut_short(struct test_net *net)
{
    struct rig *r = rig_open(net);
    struct holding h;
    assert_true(push_kinds(r, &h));
    assert_return_code(ftruncate(h.file, 25000), errno);
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->error, -EIO);
    assert_int_equal(h.freed, 1);
    rig_free(r);
}
ON_ALL(file_cut_short)

/* ---- Producers ---- */

struct maker {
    struct producer producer;
    struct timeout wake;
    struct rig *rig;
    size_t left, chunk;
    int wait_every; /* 0: never */
    int fail_at;    /* call that fails; 0: none */
    int abort_at, idle_at, idle_for;
    int calls, freed;
    size_t most_before; /* bytes that were queued when it was asked */
};

static enum producer_result maker_more(struct producer *p, struct outq *q)
{
    struct maker *m = CONTAINER_OF(p, struct maker, producer);
    struct rig *r = m->rig;
    assert_int_equal(m->freed, 0);
    m->calls++;
    m->most_before = MAX(m->most_before, q->bytes);
    if (m->calls == m->fail_at)
        return PRODUCER_FAILED;
    if (m->calls == m->abort_at)
        stream_abort(&r->stream, -ECANCELED);
    if (m->calls >= m->idle_at && m->calls < m->idle_at + m->idle_for)
        return PRODUCER_MORE; /* nothing this time */
    if (m->wait_every && m->calls % m->wait_every == 0) {
        timeout_set(loop_wheel(r->net->loop), &m->wake, loop_now_ms(r->net->loop) + 1);
        return PRODUCER_WAIT;
    }
    size_t n = MIN(m->left, m->chunk);
    if (!rig_push(r, n))
        return PRODUCER_FAILED;
    m->left -= n;
    return m->left ? PRODUCER_MORE : PRODUCER_DONE;
}

static void maker_free(struct producer *p)
{
    struct maker *m = CONTAINER_OF(p, struct maker, producer);
    m->freed++;
    timeout_clear(&m->wake);
}

static void maker_wake(struct timeout *t)
{
    struct maker *m = CONTAINER_OF(t, struct maker, wake);
    int calls = m->calls;
    producer_wake(&m->producer);
    assert_int_equal(m->calls, calls); /* not from inside */
}

static const struct producer_ops maker_ops = {
    .name = "maker", .more = maker_more, .free = maker_free};

static void maker_init(struct maker *m, struct rig *r, size_t n)
{
    *m = (struct maker){.producer.ops = &maker_ops, .rig = r, .left = n, .chunk = 1500};
    timeout_init(&m->wake, maker_wake);
}

static void maker_push(struct maker *m)
{
    struct rig *r = m->rig;
    assert_true(outq_push_producer(&r->stream.out, &r->io, &m->producer));
    stream_touch(&r->stream);
    assert_int_equal(m->calls, 0);
}

static void producer_is_pulled(struct test_net *net)
{
    struct rig *r = rig_open(net);
    struct maker m;
    maker_init(&m, r, 200000);
    m.wait_every = 5;
    m.idle_at = 3;
    m.idle_for = 7;
    maker_push(&m);
    assert_true(stream_is_full(&r->stream));
    stream_close(&r->stream, false);
    assert_true(net_until(net, peer_has_ended, r->peer));
    rig_expect_received(r, 200000);
    assert_int_equal(m.freed, 1);
    assert_true(m.most_before < r->cls.low_bytes);
    rig_free(r);
}
ON_ALL(producer_is_pulled)

/* ---- A large file: full segments while there is more of it, and nothing is held back when there
 * is not. ---- */

struct filer {
    struct producer producer;
    struct rig *rig;
    struct holding holding;
    uint64_t at;
    bool waits;
    bool is_paced;
};

static bool is_corked(const struct rig *r)
{
    int on = 0;
    socklen_t n = sizeof on;
    (void)!getsockopt(r->stream.lfd.fd, IPPROTO_TCP, TCP_CORK, &on, &n);
    return on;
}

/* Five windows; it has to wait before the third. */
static enum producer_result filer_more(struct producer *p, struct outq *q)
{
    struct filer *f = CONTAINER_OF(p, struct filer, producer);
    const uint64_t window = sizeof f->holding.bytes / 5;
    if (f->rig->net->kind == NET_EPOLL_TCP && f->at)
        assert_true(is_corked(f->rig) == !f->is_paced || f->at == 2 * window);
    if (f->at == 2 * window && !f->waits) {
        f->waits = true;
        return PRODUCER_WAIT;
    }
    assert_true(outq_push_file(q, &f->rig->io, f->holding.file, f->at, window, &f->holding.shared));
    f->at += window;
    return f->at == sizeof f->holding.bytes ? PRODUCER_DONE : PRODUCER_MORE;
}

static void filer_free(struct producer *p)
{
    struct filer *f = CONTAINER_OF(p, struct filer, producer);
    shared_release(&f->holding.shared);
}

static bool has_two_windows(void *rig)
{
    return peer_received(((struct rig *)rig)->peer).n == 20000;
}

static bool has_all(void *rig)
{
    return peer_received(((struct rig *)rig)->peer).n == 50000;
}

static void send_large_file(struct test_net *net, const char *congestion)
{
    static const struct producer_ops ops = {
        .name = "filer", .more = filer_more, .free = filer_free};
    struct rig *r = rig_open(net);
    struct filer f = {.producer.ops = &ops, .rig = r};
    if (setsockopt(r->stream.lfd.fd, IPPROTO_TCP, TCP_CONGESTION, congestion,
                   (socklen_t)strlen(congestion)) == 0)
        f.is_paced = strcmp(congestion, "bbr") == 0;
    holding_init(&f.holding, 0);
    assert_true(outq_push_producer(&r->stream.out, &r->io, &f.producer));
    stream_touch(&r->stream);
    assert_true(net_until(net, has_two_windows, r));
    net_settle(net);
    assert_true(f.waits);
    assert_false(is_corked(r)); /* what it has is on its way although more will follow */
    producer_wake(&f.producer);
    assert_true(net_until(net, has_all, r));
    net_settle(net);
    assert_false(is_corked(r));
    rig_expect_received(r, 50000);
    assert_int_equal(f.holding.freed, 1);
    rig_free(r);
}

static void large_file_is_corked(struct test_net *net)
{
    send_large_file(net, "reno"); /* always there */
}
ON_ALL(large_file_is_corked)

static void test_large_file_is_not_corked_when_paced(void **state)
{
    struct test_net *net = net_new(NET_EPOLL_TCP, 0);
    int fd = net_listen(net); /* is BBR here? */
    bool has_bbr = setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3) == 0;
    close(fd);
    if (has_bbr)
        send_large_file(net, "bbr");
    net_free(&net);
}

static void nobody_reads_nobody_produces(struct test_net *net)
{
    struct rig *r = rig_open(net);
    struct maker m;
    peer_slow(r->peer, true);
    maker_init(&m, r, 100 * MIB);
    maker_push(&m);
    net_settle(net);
    net_settle(net);
    int calls = m.calls;
    net_settle(net);
    if (net->sim) /* a kernel may find some more room, late */
        assert_int_equal(m.calls, calls);
    assert_true(m.left > 50 * MIB);
    assert_true(m.most_before < r->cls.low_bytes);
    assert_true(r->stream.out.bytes < r->cls.low_bytes + m.chunk);
    stream_abort(&r->stream, 0);
    assert_int_equal(m.freed, 1);
    rig_free(r);
}
ON_ALL(nobody_reads_nobody_produces)

static void idle_producer_stalls_nobody(struct test_net *net)
{
    struct rig *r = rig_open(net);
    struct maker m;
    maker_init(&m, r, 1000);
    m.idle_for = 1 << 30; /* never has anything, and does not say that it waits */
    maker_push(&m);
    for (int i = 0; i < 100; i++)
        net_turn(net);
    assert_true(m.calls <= 201); /* turns, of which a simulated one may be two */
    rig_free(r);
    assert_int_equal(m.freed, 1);
}
ON_ALL(idle_producer_stalls_nobody)

static bool has_room(void *arg)
{
    return ((struct rig *)arg)->rooms > 0;
}

static void room_is_told_after_a_producer(struct test_net *net)
{
    struct rig *r = rig_open(net);
    struct maker m;
    maker_init(&m, r, 20000);
    maker_push(&m);
    assert_true(stream_is_full(&r->stream));
    assert_true(net_until(net, has_room, r));
    assert_int_equal(m.freed, 1);
    assert_false(stream_is_full(&r->stream));
    net_settle(net);
    assert_int_equal(r->rooms, 1);
    rig_expect_received(r, 20000);
    rig_free(r);
}
ON_ALL(room_is_told_after_a_producer)

static void failed_producer_ends_the_stream(struct test_net *net)
{
    struct rig *r = rig_open(net);
    struct maker m;
    maker_init(&m, r, 20000);
    m.fail_at = 4;
    maker_push(&m);
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->error, -EIO);
    assert_int_equal(m.freed, 1);
    rig_free(r);
}
ON_ALL(failed_producer_ends_the_stream)

static void abort_in_more(struct test_net *net)
{
    for (int wait = 0; wait < 2; wait++) {
        struct rig *r = rig_open(net);
        struct maker m;
        maker_init(&m, r, 20000);
        m.abort_at = 3;
        m.wait_every = wait ? 3 : 0; /* it waits, or pushes, nevertheless */
        maker_push(&m);
        assert_true(net_until(net, rig_is_closed, r));
        assert_int_equal(r->error, -ECANCELED);
        assert_int_equal(m.freed, 1);
        assert_int_equal(m.calls, 3);
        rig_free(r);
    }
}
ON_ALL(abort_in_more)

static void waiting_producer_dies_with_its_stream(struct test_net *net)
{
    struct rig *r = rig_open(net);
    struct maker m;
    maker_init(&m, r, 20000);
    m.wait_every = 1;
    maker_push(&m);
    net_turn(net);
    stream_abort(&r->stream, 0);
    assert_int_equal(m.freed, 1);
    producer_wake(&m.producer); /* a wake-up that was on its way */
    rig_free(r);
}
ON_ALL(waiting_producer_dies_with_its_stream)

/* ---- A conversation, to be cut and starved in every way ---- */

/* Answers each 10 bytes with 100, of several kinds, and a producer at the end. */
struct talk {
    struct rig *rig;
    struct maker maker;
    struct holding *held;
    bool out_of_memory;
};

static bool answer(struct talk *t)
{
    struct rig *r = t->rig;
    struct outq *q = &r->stream.out;
    size_t from = r->given;
    bool ok = rig_push(r, 40);
    ok = ok && outq_push_shared(q, &r->io, slice_of(t->held->bytes + from % 251 + 40, 40),
                                &t->held->shared);
    r->given = from + 80;
    return ok && rig_push(r, 20);
}

static void talk_input(struct rig *r)
{
    struct talk *t = r->more;
    struct stream *s = &r->stream;
    for (; stream_peek(s).n >= 10 && stream_is_open(s); stream_consume(s, 10)) {
        if (answer(t))
            continue;
        stream_abort(s, -ENOMEM);
        return;
    }
    stream_touch(s);
    if (!stream_is_eof(s) || !stream_is_open(s))
        return;
    maker_init(&t->maker, r, 5000);
    t->maker.wait_every = 2;
    if (!outq_push_producer(&s->out, &r->io, &t->maker.producer))
        stream_abort(s, -ENOMEM);
    stream_close(s, true);
}

#define TALK_REQUESTS 5
#define TALK_SENT     (10 * TALK_REQUESTS)
#define TALK_RECEIVED (100 * TALK_REQUESTS + 5000)

/* Whatever happens: it ends, nothing is held, and the peer has a true beginning of the answer. */
static void talk(struct test_net *net, struct talk *t, uint64_t cut_received, uint64_t cut_sent)
{
    struct holding h;
    holding_init(&h, 0);
    t->rig = rig_new(net);
    t->held = &h;
    t->rig->more = t;
    t->rig->input = talk_input;
    if (rig_try_open(t->rig) < 0) {
        t->rig->closes = 1;
    } else {
        sim_peer_reset_at(peer_sim(t->rig->peer), cut_received, cut_sent);
        for (size_t i = 0; i < TALK_SENT; i += 5) {
            rig_peer_sends(t->rig, 5, i);
            if (i % 15 == 0)
                net_turn(net);
        }
        peer_shutdown(t->rig->peer);
        if (!net_until(net, rig_is_closed, t->rig)) /* an accident that nobody could notice */
            assert_true(peer_is_reset(t->rig->peer));
    }
    assert_true(test_is_pattern(peer_received(t->rig->peer), 0));
    net->book.fail_at = 0;
    loop_sim_fail(net->sim, SIM_ANY, 0, 0, false);
    t->out_of_memory = net->book.refused > 0;
    shared_release(&h.shared);
    struct rig *r = t->rig;
    if (!r->closes)
        stream_abort(&r->stream, 0);
    net_settle(net);
    assert_int_equal(h.freed, 1);
    rig_free(r);
}

static void talk_goes_well(struct test_net *net)
{
    struct talk t = {0};
    talk(net, &t, UINT64_MAX, UINT64_MAX);
    assert_int_equal(t.maker.freed, 1);
}
ON_SIM(talk_goes_well)

static void test_cut_at_every_byte(void **state)
{
    for (uint64_t at = 0; at < TALK_RECEIVED; at += at < 700 ? 1 : 97) {
        for (uint64_t seed = 0; seed < 2; seed++) {
            struct test_net *net = net_new(seed ? NET_SIM_WILD : NET_SIM_CALM, at);
            struct talk t = {0};
            talk(net, &t, at, UINT64_MAX);
            net_free(&net);
        }
    }
    for (uint64_t at = 0; at < TALK_SENT; at++) {
        struct test_net *net = net_new(NET_SIM_WILD, at);
        struct talk t = {0};
        talk(net, &t, UINT64_MAX, at);
        net_free(&net);
    }
}

static void starve(uint64_t n, bool forever, bool *failed)
{
    struct test_net *net = net_new(NET_SIM_CALM, 0);
    struct talk t = {0};
    net->book.fail_forever = forever;
    net->book.fail_at = n;
    talk(net, &t, UINT64_MAX, UINT64_MAX);
    *failed = t.out_of_memory;
    net_free(&net);
}

static void test_every_allocation_fails(void **state)
{
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        assert_true(n < 1000);
        starve(n, true, &failed);
        starve(n, false, &failed);
    }
}

static void test_every_call_fails(void **state)
{
    static const int errors[] = {ECONNRESET, ENOMEM, EPIPE};
    uint64_t made = 1; /* calls in the longest of the runs */
    for (uint64_t n = 1; n <= made; n++) {
        assert_true(n < 1000);
        for (int i = 0; i < 6; i++) {
            struct test_net *net = net_new(NET_SIM_CALM, 0);
            struct talk t = {0};
            loop_sim_fail(net->sim, SIM_ANY, n, errors[i % 3], i >= 3);
            talk(net, &t, UINT64_MAX, UINT64_MAX);
            made = MAX(made, loop_sim_calls(net->sim, SIM_ANY));
            net_free(&net);
        }
    }
}

static void test_byte_by_byte(void **state)
{
    for (uint32_t in = 0; in < 3; in++) {
        for (uint32_t out = 0; out < 3; out++) {
            struct loop_sim_settings set = {.recv_max = in, .send_max = out, .buffer_bytes = 77};
            struct test_net *net = net_new_sim(&set);
            struct talk t = {0};
            talk(net, &t, UINT64_MAX, UINT64_MAX);
            assert_int_equal(t.maker.freed, 1);
            net_free(&net);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_kinds_in_order),
        cmocka_unit_test(test_abort_releases),
        cmocka_unit_test(test_file_cut_short),
        cmocka_unit_test(test_producer_is_pulled),
        cmocka_unit_test(test_large_file_is_corked),
        cmocka_unit_test(test_large_file_is_not_corked_when_paced),
        cmocka_unit_test(test_nobody_reads_nobody_produces),
        cmocka_unit_test(test_idle_producer_stalls_nobody),
        cmocka_unit_test(test_room_is_told_after_a_producer),
        cmocka_unit_test(test_failed_producer_ends_the_stream),
        cmocka_unit_test(test_abort_in_more),
        cmocka_unit_test(test_waiting_producer_dies_with_its_stream),
        cmocka_unit_test(test_talk_goes_well),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_every_allocation_fails),
        cmocka_unit_test(test_every_call_fails),
        cmocka_unit_test(test_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
