/* client_rig: the HTTP client in the simulated loop, requests that remember what they were told,
 * and scripted servers at addresses of the simulator. */
#ifndef TESTS_UNIT_CLIENT_RIG_H
#define TESTS_UNIT_CLIENT_RIG_H

#include "cmocka_all.h"

#include "loop/loop_sim.h"
#include "protocol/http/client.h"

#define RIG_PEERS 16
#define RIG_IP    "192.0.2.1"
#define RIG_URL   "http://" RIG_IP

/* A connection that a scripted server has got. */
struct rig_peer {
    struct sim_peer *peer;
    unsigned answered;
};

struct rig {
    struct mem_book book;
    struct log log;
    struct loop_sim *sim;
    struct loop *loop;
    struct io io;
    struct http_client *client;
    struct rig_peer peers[RIG_PEERS]; /* all that arrived, in order */
    unsigned peer_count;
};

/* A request, and what became of it. */
struct ask {
    struct http_request r; /* first */
    struct rig *rig;
    unsigned heads, dones, rooms, parts;
    int status, error;
    size_t data_n;
    char data[4096];
    char fields[2048]; /* "Name: value\n" of the answer */
    size_t fields_n;
    slice collected;             /* own copy */
    void (*then)(struct ask *a); /* in on_done */
};

static inline struct sim_addr rig_at(uint16_t port)
{
    return sim_ipv4(RIG_IP, port);
}

/* A scripted server: the test plays it. */
static inline void rig_listen(struct rig *rig, uint16_t port)
{
    struct sim_place place = {.listener = -1};
    loop_sim_place(rig->sim, rig_at(port), &place);
}

static inline struct rig *rig_new(const struct loop_sim_settings *network,
                                  const struct http_client_settings *settings)
{
    static const struct loop_sim_settings calm;
    struct rig *rig = calloc(1, sizeof *rig);
    struct http_client_settings usual;
    http_client_settings_default(&usual);
    mem_book_init(&rig->book, 0);
    rig->sim = loop_sim_new(network ? network : &calm);
    rig->loop = loop_new_on(loop_sim_backend(rig->sim), &rig->book, &rig->log);
    assert_non_null(rig->loop);
    io_init(&rig->io, rig->loop, &rig->book);
    rig->client = http_client_new(&rig->io, &rig->book, NULL, settings ? settings : &usual);
    assert_non_null(rig->client);
    rig_listen(rig, 80);
    return rig;
}

/* Nothing may be held afterwards. */
static inline void rig_free(struct rig *rig)
{
    if (rig->client)
        http_client_cancel_all(rig->client);
    http_client_free(&rig->client);
    loop_turn(rig->loop, 0);
    loop_turn(rig->loop, 0);
    io_fini(&rig->io);
    loop_free(&rig->loop);
    mem_book_fini(&rig->book);
    free(rig);
}

/* ---- Requests ---- */

static inline struct ask *ask_of(struct http_request *r)
{
    return CONTAINER_OF(r, struct ask, r);
}

static inline void ask_on_head(struct http_request *r)
{
    struct ask *a = ask_of(r);
    struct fmt f = fmt_on(a->fields, sizeof a->fields);
    assert_int_equal(a->heads + a->dones, 0);
    a->heads++;
    a->status = r->status;
    assert_int_equal(r->answer->status, r->status);
    for (size_t i = 0; i < r->answer->field_count; i++) {
        fmt_put(&f, r->answer->fields[i].name);
        fmt_put(&f, SLICE(": "));
        fmt_put(&f, r->answer->fields[i].value);
        fmt_char(&f, '\n');
    }
    a->fields_n = fmt_done(&f).n;
}

static inline void ask_on_data(struct http_request *r, slice data)
{
    struct ask *a = ask_of(r);
    assert_int_equal(a->heads, 1);
    assert_int_equal(a->dones, 0);
    assert_false(r->is_paused);
    assert_true(a->data_n + data.n <= sizeof a->data);
    memcpy(a->data + a->data_n, data.p, data.n);
    a->data_n += data.n;
    a->parts++;
}

static inline void ask_on_room(struct http_request *r)
{
    ask_of(r)->rooms++;
}

static inline void ask_on_done(struct http_request *r, int error)
{
    struct ask *a = ask_of(r);
    a->dones++;
    assert_int_equal(a->dones, 1);
    a->error = error;
    assert_non_null(http_client_error_text(error));
    assert_true(error <= 0);
    if (error)
        assert_null(r->collected.p);
    if (r->collected.n) {
        assert_true(r->collected.n <= sizeof a->data);
        memcpy(a->data, r->collected.p, r->collected.n);
        a->data_n = r->collected.n;
    }
    if (a->then)
        a->then(a);
}

static inline struct ask *ask_new(struct rig *rig, const char *url)
{
    struct ask *a = calloc(1, sizeof *a);
    const char *why = NULL;
    a->rig = rig;
    http_request_init(&a->r);
    if (!url_parse(slice_str(url), &a->r.url, &why))
        fail_msg("%s: %s", url, why);
    a->r.on_head = ask_on_head;
    a->r.on_data = ask_on_data;
    a->r.on_room = ask_on_room;
    a->r.on_done = ask_on_done;
    return a;
}

static inline void ask_start(struct ask *a)
{
    assert_int_equal(http_request_start(a->rig->client, &a->r), 0);
    assert_int_equal(a->heads + a->dones + a->rooms, 0);
}

static inline struct ask *ask_get(struct rig *rig, const char *url)
{
    struct ask *a = ask_new(rig, url);
    ask_start(a);
    return a;
}

static inline slice ask_data(const struct ask *a)
{
    return slice_of(a->data, a->data_n);
}

#define assert_data(a, expected) assert_true(slice_is(ask_data(a), slice_str(expected)))

/* Starting is refused with [error]. */
static inline void ask_refused(struct ask *a, int error)
{
    assert_int_equal(http_request_start(a->rig->client, &a->r), error);
    assert_int_equal(a->heads + a->dones + a->rooms, 0);
    free(a);
}

/* It has ended, with [error]. */
static inline void ask_ends(struct ask *a, int error)
{
    if (a->dones != 1 || a->error != error)
        print_error("%s (%s), status %d\n",
                    a->dones ? http_client_error_text(a->error) : "not done",
                    a->r.why ? a->r.why : "", a->status);
    assert_int_equal(a->dones, 1);
    assert_int_equal(a->error, error);
    free(a);
}

/* ---- The servers ---- */

/* Lets things happen; those who connected to [port] become peers. */
static inline void rig_settle_at(struct rig *rig, uint16_t port)
{
    loop_sim_settle(rig->sim);
    for (struct sim_peer *p; (p = loop_sim_arrived(rig->sim, rig_at(port)));) {
        assert_true(rig->peer_count < RIG_PEERS);
        rig->peers[rig->peer_count++].peer = p;
    }
}

static inline void rig_settle(struct rig *rig)
{
    rig_settle_at(rig, 80);
}

/* The connection that arrived as number [i], which is there. */
static inline struct sim_peer *rig_peer(struct rig *rig, unsigned i)
{
    rig_settle(rig);
    assert_true(i < rig->peer_count);
    return rig->peers[i].peer;
}

/* What it was sent, and forgets it. */
static inline void rig_expect(struct rig *rig, unsigned i, const char *request)
{
    struct sim_peer *p = rig_peer(rig, i);
    slice got = sim_peer_received(p);
    if (!slice_is(got, slice_str(request)))
        print_error("got: %.*s\n", SLICE_ARGS(got));
    assert_true(slice_is(got, slice_str(request)));
    sim_peer_forget(p);
}

static inline void rig_say(struct rig *rig, unsigned i, slice answer)
{
    sim_peer_send(rig_peer(rig, i), answer);
    rig_settle(rig);
}

static inline void rig_hang_up(struct rig *rig, unsigned i)
{
    sim_peer_shutdown(rig_peer(rig, i));
    rig_settle(rig);
}

#endif
