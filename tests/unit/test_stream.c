/* Streams over every engine: input, back-pressure, ends, deadlines. Kinds of output, producers and
 * the sweeps of faults are in test_stream_out.c. */
#include "stream_rig.h"

#include "base/rand.h"

#include <errno.h>

/* ---- An echo, with back-pressure as a protocol would do it ---- */

static void echo(struct rig *r)
{
    struct stream *s = &r->stream;
    while (stream_peek(s).n && !stream_is_full(s)) {
        slice in = slice_head(stream_peek(s), 1000);
        assert_true(outq_push_copy(&s->out, &r->io, in));
        stream_consume(s, in.n);
        r->eaten += in.n;
    }
    stream_touch(s);
    if (stream_peek(s).n)
        stream_pause(s);
    else
        stream_resume(s);
    if (stream_is_eof(s) && !stream_peek(s).n)
        stream_close(s, false);
}

static void echoes(struct test_net *net)
{
    struct rig *r = rig_open(net);
    struct prng prng = {net->kind};
    r->input = r->room = echo;
    for (size_t at = 0, n; at < 300000; at += n) {
        n = 1 + prng_below(&prng, 20000);
        n = MIN(n, 300000 - at);
        rig_peer_sends(r, n, at);
        net_turn(net);
    }
    peer_shutdown(r->peer);
    assert_true(net_until(net, peer_has_ended, r->peer));
    assert_true(peer_is_eof(r->peer));
    rig_expect_received(r, 300000);
    assert_true(r->most_queued < r->cls.high_bytes + 1000);
    assert_int_equal(r->error, 0);
    assert_true(r->stream.bytes_in == 300000 && r->stream.bytes_out == 300000);
    rig_free(r);
}
ON_ALL(echoes)

static bool nothing_more(void *arg)
{
    struct rig *r = arg;
    size_t before = r->eaten;
    net_settle(r->net);
    return r->eaten == before;
}

static void echo_to_a_slow_reader(struct test_net *net)
{
    const size_t all = net->sim ? 200 * KIB : 2 * MIB;
    struct rig *r = rig_open(net);
    r->input = r->room = echo;
    peer_slow(r->peer, true);
    rig_peer_sends(r, all, 0);
    assert_true(net_until(net, nothing_more, r));
    assert_true(r->eaten < all); /* it does not read what it cannot answer */
    assert_true(r->most_queued < r->cls.high_bytes + 1000);
    assert_true(r->io.owner.bytes < 400 * KIB);
    for (int i = 0; i < 20; i++) {
        peer_read(r->peer, 1 + (size_t)i * 700);
        net_settle(net);
        assert_true(r->most_queued < r->cls.high_bytes + 1000);
    }
    peer_slow(r->peer, false);
    peer_shutdown(r->peer);
    assert_true(net_until(net, peer_has_ended, r->peer));
    rig_expect_received(r, all);
    rig_free(r);
}
ON_ALL(echo_to_a_slow_reader)

/* ---- Input ---- */

/* Takes records of 100 bytes only; what is shown is always all that is unread. */
static void eat_records(struct rig *r)
{
    slice in = stream_peek(&r->stream);
    assert_true(test_is_pattern(in, r->eaten));
    size_t n = in.n / 100 * 100;
    stream_consume(&r->stream, n / 2);
    stream_consume(&r->stream, n - n / 2);
    r->eaten += n;
    assert_int_equal(stream_peek(&r->stream).n, in.n - n);
    if (stream_is_eof(&r->stream))
        stream_close(&r->stream, false);
}

static void partial_input_is_kept(struct test_net *net)
{
    struct rig *r = rig_open(net);
    r->input = eat_records;
    for (size_t at = 0; at < 5050; at += 101) {
        rig_peer_sends(r, 101, at);
        net_turn(net);
    }
    peer_shutdown(r->peer);
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->eaten, 5000);
    rig_free(r);
}
ON_ALL(partial_input_is_kept)

/* Consumes nothing before the end. */
static void eat_at_end(struct rig *r)
{
    slice in = stream_peek(&r->stream);
    assert_true(test_is_pattern(in, 0));
    if (!stream_is_eof(&r->stream))
        return;
    r->eaten = in.n;
    stream_consume(&r->stream, in.n);
    stream_close(&r->stream, false);
}

static void unread_input_grows(struct test_net *net)
{
    struct rig *r = rig_open(net);
    r->input = eat_at_end;
    for (size_t i = 0; i < 10; i++)
        rig_peer_sends(r, 20000, i * 20000);
    peer_shutdown(r->peer);
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->eaten, 200000);
    rig_free(r);
}
ON_ALL(unread_input_grows)

static void eat_all(struct rig *r)
{
    size_t n = stream_peek(&r->stream).n;
    assert_true(test_is_pattern(stream_peek(&r->stream), r->eaten));
    stream_consume(&r->stream, n);
    r->eaten += n;
}

static bool ate_1000(void *arg)
{
    return ((struct rig *)arg)->eaten == 1000;
}

static void idle_stream_owns_nothing(struct test_net *net)
{
    struct rig *r = rig_open(net);
    r->input = eat_all;
    rig_peer_sends(r, 1000, 0);
    assert_true(net_until(net, ate_1000, r));
    assert_true(rig_push(r, 1000));
    net_settle(net);
    rig_expect_received(r, 1000);
    pool_trim(&r->io.small);
    pool_trim(&r->io.big);
    pool_trim(&r->io.pieces);
    assert_int_equal(r->io.owner.bytes, 0);
    rig_free(r);
}
ON_ALL(idle_stream_owns_nothing)

static void eat_and_pause(struct rig *r)
{
    stream_pause(&r->stream);
}

static void pauses_and_resumes(struct test_net *net)
{
    struct rig *r = rig_open(net);
    r->input = eat_and_pause;
    rig_peer_sends(r, 500, 0);
    net_settle(net);
    unsigned told = r->inputs;
    assert_int_equal(told, 1);
    rig_peer_sends(r, 500, 500);
    net_settle(net);
    assert_int_equal(r->inputs, told);
    r->input = eat_all;
    stream_resume(&r->stream);
    eat_all(r); /* the owner's own call */
    assert_true(net_until(net, ate_1000, r));
    rig_free(r);
}
ON_ALL(pauses_and_resumes)

/* ---- Ends ---- */

static void answer_at_end(struct rig *r)
{
    eat_all(r);
    if (!stream_is_eof(&r->stream))
        return;
    assert_true(rig_push(r, 100000));
    stream_close(&r->stream, false);
}

static void half_closed_peer_gets_its_answer(struct test_net *net)
{
    struct rig *r = rig_open(net);
    r->input = answer_at_end;
    rig_peer_sends(r, 10, 0);
    peer_shutdown(r->peer);
    assert_true(net_until(net, peer_has_ended, r->peer));
    assert_true(peer_is_eof(r->peer));
    rig_expect_received(r, 100000);
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->error, 0);
    rig_free(r);
}
ON_ALL(half_closed_peer_gets_its_answer)

static void refuse(struct rig *r)
{
    assert_true(rig_push(r, 5000));
    stream_close(&r->stream, true);
    stream_close(&r->stream, true); /* harmless */
    assert_false(stream_is_open(&r->stream));
}

static void lingers_until_the_peer_ends(struct test_net *net)
{
    struct rig *r = rig_open(net);
    r->input = refuse;
    rig_peer_sends(r, 100000, 0); /* too much, but it shall be able to read our answer */
    assert_true(net_until(net, peer_has_ended, r->peer));
    assert_true(peer_is_eof(r->peer));
    rig_expect_received(r, 5000);
    assert_int_equal(r->inputs, 1);
    assert_int_equal(r->closes, 0);
    peer_close(r->peer);
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->error, 0);
    rig_free(r);
}
ON_ALL(lingers_until_the_peer_ends)

static void lingers_not_for_ever(struct test_net *net)
{
    struct rig *r = rig_open(net);
    r->input = refuse;
    rig_peer_sends(r, 10, 0);
    assert_true(net_until(net, peer_has_ended, r->peer));
    loop_sim_advance(net->sim, 1800);
    assert_int_equal(r->closes, 0);
    loop_sim_advance(net->sim, 400);
    assert_int_equal(r->closes, 1);
    assert_int_equal(r->error, 0);
    rig_free(r);
}
ON_SIM(lingers_not_for_ever)

static void lingers_not_for_everything(struct test_net *net)
{
    struct rig *r = rig_open(net);
    r->input = refuse;
    r->cls.linger_ms = 1000000000;
    rig_peer_sends(r, 3 * MIB, 0);
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->error, 0);
    rig_free(r);
}
ON_ALL(lingers_not_for_everything)

static void reset_is_told(struct test_net *net)
{
    if (net->kind == NET_EPOLL_UNIX)
        return;
    struct rig *r = rig_open(net);
    peer_reset(r->peer);
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->error, -ECONNRESET);
    rig_free(r);
}
ON_ALL(reset_is_told)

static void end_our_side(struct rig *r)
{
    eat_all(r);
    if (stream_is_shut(&r->stream))
        return;
    assert_true(rig_push(r, 100000));
    stream_shutdown(&r->stream);
    assert_true(stream_is_shut(&r->stream));
}

static void shutdown_sends_all_and_still_reads(struct test_net *net)
{
    struct rig *r = rig_open(net);
    r->input = end_our_side;
    rig_peer_sends(r, 10, 0);
    assert_true(net_until(net, peer_has_ended, r->peer));
    assert_true(peer_is_eof(r->peer));
    rig_expect_received(r, 100000);
    assert_true(stream_is_open(&r->stream) && r->closes == 0);
    rig_peer_sends(r, 500, 10);
    peer_shutdown(r->peer);
    net_settle(net);
    assert_int_equal(r->eaten, 510);
    assert_true(stream_is_eof(&r->stream));
    stream_shutdown(&r->stream); /* twice is once */
    stream_close(&r->stream, true);
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->error, 0);
    stream_shutdown(&r->stream); /* harmless */
    rig_free(r);
}
ON_ALL(shutdown_sends_all_and_still_reads)

static void abort_it(struct rig *r)
{
    stream_abort(&r->stream, -ECANCELED);
    assert_int_equal(r->closes, 0); /* never before returning */
    assert_int_equal(stream_peek(&r->stream).n, 0);
}

static void closed_is_told_once(struct test_net *net)
{
    struct rig *r = rig_open(net);
    assert_true(rig_push(r, 100));
    abort_it(r);
    stream_abort(&r->stream, -EIO); /* the first one counts */
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->error, -ECANCELED);
    /* All is harmless now. */
    stream_abort(&r->stream, 0);
    stream_close(&r->stream, true);
    stream_pause(&r->stream);
    stream_resume(&r->stream);
    stream_touch(&r->stream);
    stream_set_deadline(&r->stream, 10);
    assert_int_equal(stream_peek(&r->stream).n, 0);
    assert_false(stream_is_open(&r->stream));
    rig_free(r);
}
ON_ALL(closed_is_told_once)

static void abort_in_input(struct test_net *net)
{
    struct rig *r = rig_open(net);
    r->input = abort_it;
    rig_peer_sends(r, 100, 0);
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->inputs, 1);
    assert_int_equal(r->error, -ECANCELED);
    rig_free(r);
}
ON_ALL(abort_in_input)

static void push_much(struct rig *r)
{
    while (!stream_is_full(&r->stream))
        assert_true(rig_push(r, 3000));
}

static void abort_in_room(struct test_net *net)
{
    struct rig *r = rig_open(net);
    r->room = abort_it;
    push_much(r);
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->rooms, 1);
    rig_free(r);
}
ON_ALL(abort_in_room)

static void abort_in_deadline(struct test_net *net)
{
    struct rig *r = rig_open(net);
    r->deadline = abort_it;
    stream_set_deadline(&r->stream, 2);
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->deadlines, 1);
    rig_free(r);
}
ON_ALL(abort_in_deadline)

static void abort_then_push(struct rig *r)
{
    abort_it(r);
    (void)!rig_push(r, 100); /* a careless owner leaks nothing */
}

static void push_after_abort(struct test_net *net)
{
    struct rig *r = rig_open(net);
    r->input = abort_then_push;
    rig_peer_sends(r, 100, 0);
    assert_true(net_until(net, rig_is_closed, r));
    rig_free(r);
}
ON_ALL(push_after_abort)

static void open_can_fail(struct test_net *net)
{
    struct rig *r = rig_new(net);
    loop_sim_fail(net->sim, SIM_OPEN, 1, ENOMEM, false);
    assert_int_equal(rig_try_open(r), -ENOMEM);
    assert_true(net_until(net, peer_has_ended, r->peer)); /* the descriptor was closed */
    stream_abort(&r->stream, 0);                          /* harmless, as on any closed stream */
    net_settle(net);
    assert_int_equal(r->closes, 0);
    r->closes = 1;
    rig_free(r);
}
ON_SIM(open_can_fail)

/* ---- Deadlines ---- */

static void deadlines_move(struct test_net *net)
{
    struct rig *r = rig_open(net);
    stream_set_deadline(&r->stream, 1000);
    loop_sim_advance(net->sim, 900);
    stream_set_deadline(&r->stream, 1000);
    loop_sim_advance(net->sim, 900);
    assert_int_equal(r->deadlines, 0);
    loop_sim_advance(net->sim, 200);
    assert_int_equal(r->deadlines, 1); /* once */
    loop_sim_advance(net->sim, 5000);
    assert_int_equal(r->deadlines, 1);
    stream_set_deadline(&r->stream, 5000);
    stream_set_deadline(&r->stream, 100); /* nearer */
    loop_sim_advance(net->sim, 200);
    assert_int_equal(r->deadlines, 2);
    stream_set_deadline(&r->stream, 100);
    stream_set_deadline(&r->stream, -1);
    loop_sim_advance(net->sim, 10000);
    assert_int_equal(r->deadlines, 2);
    rig_free(r);
}
ON_SIM(deadlines_move)

static void who_reads_nothing_is_cut_off(struct test_net *net)
{
    struct rig *r = rig_new(net);
    r->cls.rate_bytes = 1000;
    r->cls.rate_ms = 10000;
    assert_int_equal(rig_try_open(r), 0);
    peer_slow(r->peer, true);
    loop_sim_advance(net->sim, 60000); /* nothing to send: nothing to measure */
    assert_true(rig_push(r, 100000));
    loop_sim_advance(net->sim, 9000);
    assert_int_equal(r->closes, 0);
    loop_sim_advance(net->sim, 12000);
    assert_int_equal(r->closes, 1);
    assert_int_equal(r->error, -ETIMEDOUT);
    rig_free(r);
}
ON_SIM(who_reads_nothing_is_cut_off)

static void who_reads_slowly_but_enough_lives(struct test_net *net)
{
    struct rig *r = rig_new(net);
    r->cls.rate_bytes = 1000;
    r->cls.rate_ms = 10000;
    assert_int_equal(rig_try_open(r), 0);
    peer_slow(r->peer, true);
    assert_true(rig_push(r, 100000));
    stream_close(&r->stream, false); /* the rate holds while it is closing, too */
    for (int i = 0; i < 150 && !r->closes; i++) {
        loop_sim_advance(net->sim, 3000);
        peer_read(r->peer, 700);
    }
    peer_slow(r->peer, false);
    assert_true(net_until(net, rig_is_closed, r));
    assert_int_equal(r->error, 0);
    rig_expect_received(r, 100000);
    rig_free(r);
}
ON_SIM(who_reads_slowly_but_enough_lives)

/* Without a rate a closing stream ends, too: some progress is asked for, no speed. */
static void closing_does_not_wait_for_ever(struct test_net *net)
{
    struct rig *r = rig_new(net);
    assert_int_equal(rig_try_open(r), 0);
    peer_slow(r->peer, true);
    assert_true(rig_push(r, 100000));
    loop_sim_advance(net->sim, 3600000); /* open: as long as it likes */
    assert_int_equal(r->closes, 0);
    stream_close(&r->stream, true);
    for (int i = 0; i < 20; i++) {
        loop_sim_advance(net->sim, STREAM_RATE_MS * 2 / 3);
        peer_read(r->peer, 1);
    }
    assert_int_equal(r->closes, 0);
    loop_sim_advance(net->sim, 2 * STREAM_RATE_MS + 5000);
    assert_int_equal(r->closes, 1);
    assert_int_equal(r->error, -ETIMEDOUT);
    rig_free(r);
}
ON_SIM(closing_does_not_wait_for_ever)

static void rate_is_not_asked_of_who_has_all(struct test_net *net)
{
    struct rig *r = rig_new(net);
    r->cls.rate_bytes = 1000;
    r->cls.rate_ms = 10000;
    assert_int_equal(rig_try_open(r), 0);
    for (int i = 0; i < 5; i++) {
        assert_true(rig_push(r, 100000));
        loop_sim_advance(net->sim, 60000);
    }
    assert_int_equal(r->closes, 0);
    rig_expect_received(r, 500000);
    rig_free(r);
}
ON_SIM(rate_is_not_asked_of_who_has_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echoes),
        cmocka_unit_test(test_echo_to_a_slow_reader),
        cmocka_unit_test(test_partial_input_is_kept),
        cmocka_unit_test(test_unread_input_grows),
        cmocka_unit_test(test_idle_stream_owns_nothing),
        cmocka_unit_test(test_pauses_and_resumes),
        cmocka_unit_test(test_half_closed_peer_gets_its_answer),
        cmocka_unit_test(test_shutdown_sends_all_and_still_reads),
        cmocka_unit_test(test_lingers_until_the_peer_ends),
        cmocka_unit_test(test_lingers_not_for_ever),
        cmocka_unit_test(test_lingers_not_for_everything),
        cmocka_unit_test(test_reset_is_told),
        cmocka_unit_test(test_closed_is_told_once),
        cmocka_unit_test(test_abort_in_input),
        cmocka_unit_test(test_abort_in_room),
        cmocka_unit_test(test_abort_in_deadline),
        cmocka_unit_test(test_push_after_abort),
        cmocka_unit_test(test_open_can_fail),
        cmocka_unit_test(test_deadlines_move),
        cmocka_unit_test(test_who_reads_nothing_is_cut_off),
        cmocka_unit_test(test_who_reads_slowly_but_enough_lives),
        cmocka_unit_test(test_closing_does_not_wait_for_ever),
        cmocka_unit_test(test_rate_is_not_asked_of_who_has_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
