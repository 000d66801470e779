/* stream_rig: one stream on any engine, its owner's callbacks, and its peer. */
#ifndef TESTS_UNIT_STREAM_RIG_H
#define TESTS_UNIT_STREAM_RIG_H

#include "io/stream.h"
#include "test_kinds.h"

struct rig {
    struct test_net *net;
    struct io io;
    struct stream_class cls;
    struct stream stream;
    struct test_peer *peer;
    /* the test's; NULL does nothing */
    void (*input)(struct rig *r);
    void (*room)(struct rig *r);
    void (*deadline)(struct rig *r);
    void *more; /* of the test */
    /* what was told */
    unsigned inputs, rooms, deadlines, closes;
    int error;
    size_t most_queued;
    size_t eaten; /* bytes that the test consumed, and */
    size_t given; /* bytes that it pushed */
};

static struct rig *rig_of(struct stream *s)
{
    return CONTAINER_OF(s, struct rig, stream);
}

static void rig_measure(struct rig *r)
{
    r->most_queued = MAX(r->most_queued, r->stream.out.bytes);
}

static void rig_input(struct stream *s)
{
    struct rig *r = rig_of(s);
    assert_int_equal(r->closes, 0);
    r->inputs++;
    if (r->input)
        r->input(r);
    rig_measure(r);
}

static void rig_room(struct stream *s)
{
    struct rig *r = rig_of(s);
    assert_int_equal(r->closes, 0);
    r->rooms++;
    if (r->room)
        r->room(r);
    rig_measure(r);
}

static void rig_deadline(struct stream *s)
{
    struct rig *r = rig_of(s);
    assert_int_equal(r->closes, 0);
    r->deadlines++;
    if (r->deadline)
        r->deadline(r);
}

static void rig_closed(struct stream *s, int error)
{
    struct rig *r = rig_of(s);
    r->closes++;
    r->error = error;
}

static const struct stream_ops rig_ops = {
    .on_input = rig_input,
    .on_room = rig_room,
    .on_deadline = rig_deadline,
    .on_closed = rig_closed,
};

/* Not opened yet: the test may change the class. */
static inline struct rig *rig_new(struct test_net *net)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->net = net;
    io_init(&r->io, net->loop, &net->book);
    r->cls = (struct stream_class){.ops = &rig_ops,
                                   .io = &r->io,
                                   .low_bytes = 4 * KIB,
                                   .high_bytes = 16 * KIB,
                                   .linger_ms = 2000};
    return r;
}

static inline int rig_try_open(struct rig *r)
{
    int fd;
    r->peer = net_peer(r->net, &fd);
    return stream_open(&r->stream, &r->cls, fd);
}

static inline struct rig *rig_open(struct test_net *net)
{
    struct rig *r = rig_new(net);
    assert_int_equal(rig_try_open(r), 0);
    return r;
}

static bool rig_is_closed(void *arg)
{
    return ((struct rig *)arg)->closes > 0;
}

/* Nothing is held when the stream has gone; told so exactly once. */
static inline void rig_free(struct rig *r)
{
    if (!r->closes) {
        stream_abort(&r->stream, 0);
        net_turn(r->net);
    }
    assert_int_equal(r->closes, 1);
    net_settle(r->net);
    assert_int_equal(r->closes, 1);
    io_fini(&r->io);
    free(r);
}

static inline void rig_peer_sends(struct rig *r, size_t n, size_t from)
{
    char *bytes = malloc(n ? n : 1);
    assert_non_null(bytes);
    test_pattern(bytes, n, from);
    peer_send(r->peer, slice_of(bytes, n));
    free(bytes);
}

/* Pushes [n] bytes of the pattern, from where it stands. */
static inline bool rig_push(struct rig *r, size_t n)
{
    char *bytes = malloc(n ? n : 1);
    assert_non_null(bytes);
    test_pattern(bytes, n, r->given);
    bool ok = outq_push_copy(&r->stream.out, &r->io, slice_of(bytes, n));
    free(bytes);
    if (ok)
        r->given += n;
    stream_touch(&r->stream);
    return ok;
}

static inline void rig_expect_received(struct rig *r, size_t n)
{
    assert_int_equal(peer_received(r->peer).n, n);
    assert_true(test_is_pattern(peer_received(r->peer), 0));
}

#endif
