/* loop_sim_net: places that the loop can connect to, and datagrams. */
#include "loop/loop_core.h"
#include "loop/loop_sim_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#define DATAGRAMS_PER_TURN 4
#define QUEUE_MAX          64 /* datagrams that wait for one socket; more are lost */
#define DATAGRAM_MAX       65507

struct sim_addr sim_addr_of(const struct sockaddr *a, socklen_t bytes)
{
    struct sim_addr at = {.bytes = bytes};
    BUG_ON(bytes > sizeof at.raw);
    memcpy(at.raw, a, bytes);
    return at;
}

struct sim_addr sim_ipv4(const char *ip, uint16_t port)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    BUG_ON(inet_pton(AF_INET, ip, &in4.sin_addr) != 1);
    return sim_addr_of((struct sockaddr *)&in4, sizeof in4);
}

static bool same(const struct sim_addr *a, const struct sim_addr *b)
{
    return a->bytes == b->bytes && memcmp(a->raw, b->raw, a->bytes) == 0;
}

/* ---- Connecting. ---- */

static struct sim_place_known *find_place(struct loop_sim *sim, const struct sim_addr *at)
{
    LIST_EACH (n, &sim->places) {
        struct sim_place_known *k = CONTAINER_OF(n, struct sim_place_known, link);
        if (same(&k->at, at))
            return k;
    }
    return NULL;
}

void loop_sim_place(struct loop_sim *sim, struct sim_addr at, const struct sim_place *place)
{
    struct sim_place_known *k = find_place(sim, &at);
    if (!k) {
        k = sim_alloc(sizeof *k);
        k->at = at;
        list_init(&k->arrived);
        list_push_back(&sim->places, &k->link);
    }
    k->place = *place;
}

struct sim_peer *loop_sim_arrived(struct loop_sim *sim, struct sim_addr at)
{
    struct sim_place_known *k = find_place(sim, &at);
    struct list_node *n = k ? list_pop_front(&k->arrived) : NULL;
    return n ? CONTAINER_OF(n, struct sim_end, backlog)->peer : NULL;
}

int sim_connect(struct loop_backend *b, struct loop_fd *lfd, const struct sockaddr *to,
                socklen_t to_bytes)
{
    struct loop_sim *sim = sim_of(b);
    int error = sim_call(sim, SIM_CONNECT);
    if (error)
        return error;
    struct sim_end *e = sim_end_new(sim);
    int fd = sim_end_take_fd(e);
    if (fd < 0) {
        sim_end_close(e);
        return fd;
    }
    lfd->fd = fd;
    lfd->want = LOOP_WANT_CONNECT;
    e->lfd = lfd;
    e->is_opened = true;
    sim->loose--;
    struct sim_addr at = sim_addr_of(to, to_bytes);
    struct sim_place_known *k = find_place(sim, &at);
    e->connect = (struct sim_connecting){
        .is_pending = true, .due_ns = sim_later_ns(sim), .error = -ECONNREFUSED, .place = k};
    if (k) {
        e->connect.due_ns =
            k->place.is_silent ? SIM_NEVER : e->connect.due_ns + k->place.delay_ms * NS_PER_MS;
        e->connect.error = -k->place.error;
    }
    return 0;
}

/* Somebody is there: joins the two. < 0: -errno. */
static int join(struct sim_end *e, struct sim_place_known *k)
{
    if (k->place.listener < 0) {
        struct sim_peer *p = sim_peer_new_at(e);
        list_push_back(&k->arrived, &p->end.backlog);
        return 0;
    }
    sim_watch_loose(e->sim);
    struct sim_end *listener = sim_end_of_fd(e->sim, k->place.listener);
    if (!listener || !listener->is_listener)
        return -ECONNREFUSED;
    struct sim_end *accepted = sim_end_new(e->sim);
    sim_end_join(e, accepted);
    list_push_back(&listener->backlog, &accepted->backlog);
    return 0;
}

static void tell_connected(struct sim_end *e)
{
    e->connect.is_pending = false;
    int error = e->connect.error ? e->connect.error : join(e, e->connect.place);
    e->lfd->want = 0;
    e->lfd->ops->on_connected(e->lfd, error);
}

/* ---- Datagrams. ---- */

int loop_sim_dgram(struct loop_sim *sim, struct sim_addr at)
{
    struct sim_end *e = sim_end_new(sim);
    e->is_dgram = true;
    e->at = at;
    int fd = sim_end_take_fd(e);
    if (fd < 0)
        sim_end_close(e);
    return fd;
}

static struct sim_end *find_dgram(struct loop_sim *sim, const struct sim_addr *at)
{
    sim_watch_loose(sim);
    LIST_EACH (n, &sim->ends) {
        struct sim_end *e = CONTAINER_OF(n, struct sim_end, link);
        if (e->is_dgram && !e->is_closed && same(&e->at, at))
            return e;
    }
    return NULL;
}

static size_t queue_length(const struct sim_end *e)
{
    size_t n = 0;
    LIST_EACH (node, &e->datagrams)
        n++;
    return n;
}

static struct sim_datagram *datagram(const struct sim_addr *from, const struct sim_addr *to,
                                     slice data)
{
    struct sim_datagram *d = sim_alloc(sizeof *d + data.n);
    d->from = *from;
    d->to = *to;
    d->n = data.n;
    if (data.n)
        memcpy(d->bytes, data.p, data.n);
    return d;
}

bool loop_sim_datagram(struct loop_sim *sim, struct sim_addr from, struct sim_addr to, slice data)
{
    struct sim_end *e = find_dgram(sim, &to);
    if (!e || queue_length(e) == QUEUE_MAX || sim_chance(sim, sim->settings.dgram_lost))
        return false;
    struct list_node *d = &datagram(&from, &to, data)->link;
    if (sim->settings.shuffle && prng_below(&sim->prng, 4) == 0)
        list_push_front(&e->datagrams, d); /* it overtakes the others */
    else
        list_push_back(&e->datagrams, d);
    return true;
}

int sim_send_to(struct loop_backend *b, struct loop_fd *lfd, slice data, const struct sockaddr *to,
                socklen_t to_bytes)
{
    struct loop_sim *sim = sim_of(b);
    struct sim_end *e = sim_end_of_lfd(b, lfd);
    if (!e || !e->is_dgram)
        return -EBADF;
    int error = sim_call(sim, SIM_SEND_TO);
    if (error)
        return error;
    if (data.n > DATAGRAM_MAX)
        return -EMSGSIZE;
    struct sim_addr at = sim_addr_of(to, to_bytes);
    if (find_dgram(sim, &at))
        (void)loop_sim_datagram(sim, e->at, at, data);
    else if (!sim_chance(sim, sim->settings.dgram_lost))
        list_push_back(&sim->outbox, &datagram(&e->at, &at, data)->link);
    return 0;
}

ssize_t loop_sim_datagram_sent(struct loop_sim *sim, struct sim_addr *from_out,
                               struct sim_addr *to_out, char *bytes, size_t room)
{
    struct list_node *n = list_pop_front(&sim->outbox);
    if (!n)
        return -EAGAIN;
    struct sim_datagram *d = CONTAINER_OF(n, struct sim_datagram, link);
    *from_out = d->from;
    *to_out = d->to;
    ssize_t got = (ssize_t)MIN(d->n, room);
    memcpy(bytes, d->bytes, (size_t)got);
    free(d);
    return got;
}

/* Memory of its own for each, gone afterwards: see the head of loop_sim.h. */
static void tell_datagram(struct sim_end *e)
{
    struct sim_datagram *d = CONTAINER_OF(list_pop_front(&e->datagrams), struct sim_datagram, link);
    char *copy = sim_alloc(d->n ? d->n : 1);
    struct sockaddr_storage from = {0};
    memcpy(copy, d->bytes, d->n);
    memcpy(&from, d->from.raw, d->from.bytes);
    socklen_t from_bytes = d->from.bytes;
    size_t n = d->n;
    free(d);
    e->lfd->ops->on_datagram(e->lfd, slice_of(copy, n), (struct sockaddr *)&from, from_bytes);
    memset(copy, 0xdd, n);
    free(copy);
}

void sim_end_drop_datagrams(struct sim_end *e)
{
    for (struct list_node *n; (n = list_pop_front(&e->datagrams));)
        free(CONTAINER_OF(n, struct sim_datagram, link));
}

/* ---- Both. ---- */

static bool can_tell_datagram(const struct sim_end *e)
{
    return e->is_dgram && e->lfd && e->wants_recv && !list_is_empty(&e->datagrams);
}

int64_t sim_net_due(const struct sim_end *e)
{
    if (e->connect.is_pending)
        return e->connect.due_ns;
    return can_tell_datagram(e) ? e->sim->now_ns : SIM_NEVER;
}

size_t sim_net_tell(struct sim_end *e)
{
    size_t told = 0;
    if (e->connect.is_pending && sim_net_due(e) <= e->sim->now_ns) {
        tell_connected(e);
        return 1;
    }
    for (; can_tell_datagram(e) && told < DATAGRAMS_PER_TURN; told++)
        tell_datagram(e);
    return told;
}

void sim_net_fini(struct loop_sim *sim)
{
    for (struct list_node *n; (n = list_pop_front(&sim->places));)
        free(CONTAINER_OF(n, struct sim_place_known, link));
    for (struct list_node *n; (n = list_pop_front(&sim->outbox));)
        free(CONTAINER_OF(n, struct sim_datagram, link));
}
