/* The ladder of memory pressure, step by step, over real sessions and a real file cache: what is
 * given up, in which order, and that no more is given up than has to be. Virtual time. */
#include "wire_test.h"

#include "loop/loop_sim.h"
#include "main/pressure.h"
#include "protocol/http/http.h"
#include "temp_dir.h"

#define BUDGET     (16 * MIB)
#define LOOK_MS    100
#define FILES      100
#define FILE_BYTES (30 * KIB)
#define CLIENTS    350
#define BUSY       10 /* the oldest of them are in the middle of a head */

struct rig {
    struct temp_dir dir;
    struct mem_book book;
    struct mem_owner ballast; /* whatever else needs memory */
    struct log log;
    struct loop_sim *sim;
    struct loop *loop;
    struct io io;
    struct vfs *vfs;
    struct http_handler handler;
    struct http_server http, other; /* other: no connections at first */
    struct pressure pressure;
    struct sim_peer *peers[CLIENTS];
};

static void visit_servers(void *owner, void (*visit)(struct pressure *p, struct server *server),
                          struct pressure *p)
{
    struct rig *r = owner;
    visit(p, &r->http.server);
    visit(p, &r->other.server);
}

static void visit_trees(void *owner, void (*visit)(struct pressure *p, struct vfs *vfs),
                        struct pressure *p)
{
    visit(p, ((struct rig *)owner)->vfs);
}

static const struct pressure_ops pressure_ops = {.servers = visit_servers, .trees = visit_trees};

static void handle(struct http_handler *h, struct exchange *ex)
{
    exchange_send(ex, 200, SLICE(""), SLICE("hello"));
}

static void on_opened(struct vfs_open *o)
{
    assert_non_null(o->node->content);
    vfs_node_release(o->node);
}

static void fill_cache(struct rig *r)
{
    static char content[FILE_BYTES];
    for (int i = 0; i < FILES; i++) {
        char name[16];
        snprintf(name, sizeof name, "/f%d", i);
        temp_write(&r->dir, name + 1, slice_of(content, sizeof content));
        struct vfs_open o = {.done = on_opened};
        if (vfs_open(r->vfs, slice_str(name), &o))
            on_opened(&o);
        loop_sim_settle(r->sim);
    }
}

static void connect_all(struct rig *r)
{
    struct peer_addr who = {.family = 4, .ip = {127, 0, 0, 1}};
    for (int i = 0; i < CLIENTS; i++) {
        int fd;
        r->peers[i] = loop_sim_peer(r->sim, &fd);
        assert_true(server_adopt(&r->http.server, fd, &who, false));
        sim_peer_send(r->peers[i], SLICE("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
        if (i < BUSY)
            sim_peer_send(r->peers[i], SLICE("GET / HT"));
    }
    loop_sim_settle(r->sim);
    assert_int_equal(r->http.server.session_count, CLIENTS);
}

static struct rig *rig_new(void)
{
    static const struct http_handler_ops ops = {.name = "hello", .handle = handle};
    struct loop_sim_settings calm = {0};
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    temp_dir_make(&r->dir);
    mem_book_init(&r->book, BUDGET);
    mem_owner_init(&r->ballast, &r->book, "ballast");
    r->sim = loop_sim_new(&calm);
    r->loop = loop_new_on(loop_sim_backend(r->sim), &r->book, &r->log);
    io_init(&r->io, r->loop, &r->book);
    struct vfs_settings files;
    vfs_settings_default(&files);
    int error;
    r->vfs = vfs_new(&r->io, &r->book, r->dir.path, &files, &error);
    assert_non_null(r->vfs);
    struct http_settings http;
    http_settings_default(&http);
    r->handler.ops = &ops;
    http_server_init(&r->http, &r->io, &r->book, &http, &r->handler);
    http_server_init(&r->other, &r->io, &r->book, &http, &r->handler);
    fill_cache(r);
    connect_all(r);
    loop_sim_advance(r->sim, 5000); /* now they are idle */
    pressure_start(&r->pressure, r->loop, &r->book, &pressure_ops, r);
    return r;
}

static void rig_free(struct rig *r)
{
    pressure_stop(&r->pressure);
    mem_discharge(&r->ballast, r->ballast.bytes);
    server_abort_all(&r->http.server);
    server_abort_all(&r->other.server);
    vfs_stop(r->vfs);
    loop_sim_settle(r->sim);
    assert_true(vfs_is_idle(r->vfs));
    http_server_fini(&r->http);
    http_server_fini(&r->other);
    vfs_free(&r->vfs);
    loop_turn(r->loop, 0);
    io_fini(&r->io);
    loop_free(&r->loop);
    mem_owner_fini(&r->ballast);
    mem_book_fini(&r->book);
    temp_dir_remove(&r->dir);
    free(r);
}

/* From now on [percent] of the budget is in use: one look, at the end of this turn. */
static void load(struct rig *r, size_t percent)
{
    size_t wanted = BUDGET / 100 * percent, others = r->book.bytes - r->ballast.bytes;
    assert_true(wanted > others);
    mem_discharge(&r->ballast, r->ballast.bytes);
    assert_true(mem_charge(&r->ballast, wanted - others));
    loop_sim_settle(r->sim);
}

static size_t cached(const struct rig *r)
{
    struct vfs_stats stats;
    vfs_stats(r->vfs, &stats);
    return stats.content_bytes;
}

/* Of the peers from [from] to [to]. */
static int count_gone(const struct rig *r, int from, int to)
{
    int gone = 0;
    for (int i = from; i < to; i++)
        gone += sim_peer_is_gone(r->peers[i]);
    return gone;
}

static void test_ladder(void **state)
{
    struct rig *r = rig_new();
    size_t all = FILES * FILE_BYTES;
    assert_int_equal(cached(r), all);
    load(r, 74); /* nothing is short */
    assert_int_equal(cached(r), all);

    load(r, 76); /* of the files as much as brings it to 70 %; nobody else notices */
    assert_in_range(r->book.bytes, BUDGET / 100 * 69, BUDGET / 100 * 71);
    assert_in_range(cached(r), all / 2, all - 1);
    assert_int_equal(count_gone(r, 0, CLIENTS), 0);

    load(r, 84); /* it does not come below 75 % with what is left of them */
    load(r, 84);
    assert_int_equal(cached(r), 0);
    assert_int_equal(count_gone(r, 0, CLIENTS), 0);
    assert_false(r->pressure.is_holding);

    load(r, 86); /* idle connections, a hundred of the oldest; not those at work */
    assert_int_equal(count_gone(r, 0, BUSY), 0);
    assert_int_equal(count_gone(r, BUSY, BUSY + 100), 100);
    assert_int_equal(count_gone(r, BUSY + 100, CLIENTS), 0);
    loop_sim_advance(r->sim, LOOK_MS); /* and a hundred more with every look */
    assert_int_equal(count_gone(r, BUSY, BUSY + 200), 200);
    assert_int_equal(count_gone(r, BUSY + 200, CLIENTS), 0);
    assert_false(r->pressure.is_holding);

    load(r, 93); /* new ones wait, until there is room again */
    assert_true(r->pressure.is_holding);
    load(r, 86);
    assert_true(r->pressure.is_holding);
    load(r, 84);
    assert_false(r->pressure.is_holding);
    loop_sim_advance(r->sim, 10 * LOOK_MS);
    assert_int_equal(count_gone(r, 0, BUSY), 0);
    sim_peer_forget(r->peers[0]);
    sim_peer_send(r->peers[0], SLICE("TP/1.1\r\nHost: x\r\n\r\n"));
    loop_sim_settle(r->sim);
    assert_true(slice_has_suffix(sim_peer_received(r->peers[0]), SLICE("hello")));
    rig_free(r);
}

/* Nothing is left to give up: the account refuses, the session ends, the server lives. */
static void test_all_of_it(void **state)
{
    struct rig *r = rig_new();
    load(r, 99);
    load(r, 99); /* without the cache */
    for (int i = 0; i < 10; i++)
        loop_sim_advance(r->sim, LOOK_MS);
    assert_int_equal(cached(r), 0);
    assert_int_equal(r->http.server.session_count, BUSY);
    assert_true(mem_charge(&r->ballast, BUDGET - r->book.bytes));
    struct peer_addr who = {.family = 4, .ip = {127, 0, 0, 1}};
    int fd, refused = 0;
    for (int i = 0; i < 1000 && !refused; i++) {
        assert_non_null(loop_sim_peer(r->sim, &fd));
        refused = !server_adopt(&r->http.server, fd, &who, false);
    }
    assert_int_equal(refused, 1);
    assert_true(r->book.bytes <= BUDGET);
    sim_peer_forget(r->peers[0]);
    mem_discharge(&r->ballast, r->ballast.bytes);
    sim_peer_send(r->peers[0], SLICE("TP/1.1\r\nHost: x\r\n\r\n"));
    loop_sim_settle(r->sim);
    assert_true(slice_has_suffix(sim_peer_received(r->peers[0]), SLICE("hello")));
    rig_free(r);
}

/* Who has only just come is not idle. */
static void test_new_ones_are_spared(void **state)
{
    struct rig *r = rig_new();
    load(r, 90);
    load(r, 90); /* without the cache */
    loop_sim_advance(r->sim, 10 * LOOK_MS);
    assert_int_equal(r->http.server.session_count, BUSY);
    struct peer_addr who = {.family = 4, .ip = {127, 0, 0, 1}};
    int fd;
    struct sim_peer *fresh = loop_sim_peer(r->sim, &fd);
    assert_true(server_adopt(&r->http.server, fd, &who, false));
    loop_sim_advance(r->sim, 900);
    assert_false(sim_peer_is_gone(fresh));
    loop_sim_advance(r->sim, 2200);
    assert_true(sim_peer_is_gone(fresh));
    rig_free(r);
}

/* It does not wait for the next look when much is wanted at once. */
static void test_burst(void **state)
{
    struct rig *r = rig_new();
    load(r, 70);
    assert_true(mem_charge(&r->ballast, BUDGET / 100 * 12));
    int64_t now = loop_sim_now_ms(r->sim);
    loop_turn(r->loop, 0);
    assert_true(r->book.bytes <= BUDGET / 100 * 71);
    assert_true(mem_charge(&r->ballast, BUDGET / 100 * 25)); /* and once more in the same moment */
    loop_turn(r->loop, 0);
    assert_int_equal(loop_sim_now_ms(r->sim), now);
    assert_int_equal(cached(r), 0);
    rig_free(r);
}

/* Without a budget nobody looks. */
static void test_no_budget(void **state)
{
    struct rig *r = rig_new();
    pressure_stop(&r->pressure);
    r->book.budget = 0;
    pressure_start(&r->pressure, r->loop, &r->book, &pressure_ops, r);
    load(r, 200);
    assert_int_equal(cached(r), FILES * FILE_BYTES);
    assert_int_equal(r->http.server.session_count, CLIENTS);
    rig_free(r);
}

/* The budget goes and comes while the process runs. */
static void test_another_budget(void **state)
{
    struct rig *r = rig_new();
    load(r, 93);
    load(r, 93); /* without the cache */
    assert_true(r->pressure.is_holding);
    size_t left = r->http.server.session_count;
    r->book.budget = 0;
    pressure_change(&r->pressure);
    assert_false(r->pressure.is_holding);
    loop_sim_advance(r->sim, 10 * LOOK_MS);
    assert_int_equal(r->http.server.session_count, left);
    r->book.budget = BUDGET;
    pressure_change(&r->pressure);
    assert_true(r->pressure.is_holding);
    loop_sim_advance(r->sim, 10 * LOOK_MS);
    assert_int_equal(r->http.server.session_count, BUSY);
    rig_free(r);
}

/* Two servers give in proportion to what they have. */
static void test_two_servers(void **state)
{
    struct rig *r = rig_new();
    struct peer_addr who = {.family = 4, .ip = {127, 0, 0, 1}};
    for (int i = 0; i < CLIENTS; i++) {
        int fd;
        struct sim_peer *peer = loop_sim_peer(r->sim, &fd);
        assert_true(server_adopt(&r->other.server, fd, &who, false));
        sim_peer_send(peer, SLICE("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    loop_sim_settle(r->sim);
    loop_sim_advance(r->sim, 5000);
    load(r, 84);
    load(r, 84);
    load(r, 86);
    assert_in_range(r->http.server.session_count, CLIENTS - 51, CLIENTS - 50);
    assert_in_range(r->other.server.session_count, CLIENTS - 51, CLIENTS - 50);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ladder),
        cmocka_unit_test(test_all_of_it),
        cmocka_unit_test(test_new_ones_are_spared),
        cmocka_unit_test(test_burst),
        cmocka_unit_test(test_no_budget),
        cmocka_unit_test(test_another_budget),
        cmocka_unit_test(test_two_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
