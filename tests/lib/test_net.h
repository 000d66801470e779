/* test_net: a loop on one of the engines, and peers that talk to it, so that one test body runs on
 * all of them: the contract of loop.h is what passes everywhere.
 *
 * Nothing here sleeps: a test says what it waits for (net_until), and time passes in the loop. On
 * the simulator that time is virtual. */
#ifndef TESTS_LIB_TEST_NET_H
#define TESTS_LIB_TEST_NET_H

#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/loop_sim.h"

enum net_kind {
    NET_EPOLL_TCP,  /* loopback */
    NET_EPOLL_UNIX, /* socket pairs */
    NET_SIM_CALM,
    NET_SIM_WILD,
};
#define NET_KINDS 4

struct test_peer;

struct test_net {
    enum net_kind kind;
    struct mem_book book;
    struct log log;
    struct loop *loop;
    struct loop_sim *sim; /* NULL on epoll */
    struct list_node peers;
    int descriptors;   /* open ones before */
    unsigned warnings; /* lines that were not expected: net_free fails on them */
};

const char *net_kind_name(enum net_kind kind);
static inline bool net_is_sim(enum net_kind kind)
{
    return kind >= NET_SIM_CALM;
}

/* [seed] is for the simulator; printed when it is wild. */
struct test_net *net_new(enum net_kind kind, uint64_t seed);
struct test_net *net_new_sim(const struct loop_sim_settings *settings);
/* Peers are freed, the loop too; then nothing may be held and no descriptor open (test fails). */
void net_free(struct test_net **net);

/* One turn; waits a little if there is nothing to do. Peers send and read. */
void net_turn(struct test_net *net);
/* Turns until cond(arg); false after a minute without. */
bool net_until(struct test_net *net, bool (*cond)(void *arg), void *arg);
/* Turns until nothing happens any more (for what shall not happen). */
void net_settle(struct test_net *net);

/* A connection: *fd_out is for the code under test. */
struct test_peer *net_peer(struct test_net *net, int *fd_out);
/* A listening descriptor for the code under test, and a client of it. */
int net_listen(struct test_net *net);
struct test_peer *net_connect(struct test_net *net, int listener);

/* ---- The peer reads everything at once unless it is slow. ---- */
void peer_send(struct test_peer *p, slice data); /* never blocks: the rest is sent as it goes */
void peer_shutdown(struct test_peer *p);         /* when all was sent */
void peer_close(struct test_peer *p);
void peer_reset(struct test_peer *p); /* not on NET_EPOLL_UNIX */
void peer_slow(struct test_peer *p, bool is_slow);
size_t peer_read(struct test_peer *p, size_t n); /* up to n bytes */
slice peer_received(const struct test_peer *p);
bool peer_is_eof(const struct test_peer *p);
bool peer_is_reset(const struct test_peer *p);
size_t peer_unsent(const struct test_peer *p); /* what peer_send could not get rid of yet */
void peer_free(struct test_peer **p);          /* closes */

/* For what only the simulator can do. */
struct sim_peer *peer_sim(struct test_peer *p);

/* Conditions for net_until. */
bool peer_has_ended(void *peer); /* eof or reset */

/* Bytes that differ by place, so that a lost or doubled piece shows: n bytes from offset [from]. */
void test_pattern(char *p, size_t n, size_t from);
bool test_is_pattern(slice s, size_t from);

#endif
