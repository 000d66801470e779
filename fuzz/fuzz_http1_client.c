/* The HTTP client in the simulated loop, answered with anything, in pieces of any size: every
 * request ends once, and in the same way however the bytes were cut, and nothing is kept.
 *
 * The first byte of the input chooses the request and how the answer is cut. Every connection gets
 * the same answer, and then its end. */
#include "base/check.h"
#include "loop/loop_sim.h"
#include "protocol/http/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct outcome {
    struct http_request r; /* first */
    unsigned heads, dones;
    int error, status;
    uint64_t bytes, sum; /* of the body */
};

static struct outcome *of(struct http_request *r)
{
    return CONTAINER_OF(r, struct outcome, r);
}

static void on_head(struct http_request *r)
{
    struct outcome *o = of(r);
    BUG_ON(o->heads || o->dones || r->status < 200);
    o->heads++;
    o->status = r->status;
}

static void add(struct outcome *o, slice data)
{
    for (size_t i = 0; i < data.n; i++)
        o->sum = o->sum * 31 + (unsigned char)data.p[i];
    o->bytes += data.n;
}

static void on_data(struct http_request *r, slice data)
{
    struct outcome *o = of(r);
    BUG_ON(o->heads != 1 || o->dones || r->is_paused || !data.n);
    add(o, data);
    if (data.p[0] == 'p')
        http_request_pause(r);
}

static void on_done(struct http_request *r, int error)
{
    struct outcome *o = of(r);
    o->dones++;
    o->error = error;
    BUG_ON(o->dones > 1 || error > 0 || !http_client_error_text(error));
    if (r->collected.p)
        add(o, r->collected);
}

static void choose(struct http_request *r, uint8_t choice)
{
    static const char *methods[] = {"GET", "HEAD", "POST", "GET"};
    const char *why;
    http_request_init(r);
    BUG_ON(!url_parse(SLICE("http://192.0.2.1/a/b"), &r->url, &why));
    r->method = slice_str(methods[choice & 3]);
    r->redirects = choice & 3 ? 0 : 3;
    r->max_body = 4000;
    r->max_head = 1000;
    r->total_ms = 100000;
    r->on_head = on_head;
    r->on_data = choice & 4 ? on_data : NULL;
    r->on_done = on_done;
}

static void answer(struct loop_sim *sim, slice bytes)
{
    for (struct sim_peer *p; (p = loop_sim_arrived(sim, sim_ipv4("192.0.2.1", 80)));) {
        sim_peer_send(p, bytes);
        sim_peer_shutdown(p);
    }
}

static void ask(struct outcome *o, uint8_t choice, slice bytes, uint32_t recv_max)
{
    struct loop_sim_settings network = {.seed = choice, .recv_max = recv_max};
    struct sim_place place = {.listener = -1};
    struct http_client_settings settings;
    struct mem_book book;
    struct log log = {0};
    struct io io;
    *o = (struct outcome){.heads = 0};
    mem_book_init(&book, 0);
    struct loop_sim *sim = loop_sim_new(&network);
    struct loop *loop = loop_new_on(loop_sim_backend(sim), &book, &log);
    io_init(&io, loop, &book);
    http_client_settings_default(&settings);
    struct http_client *client = http_client_new(&io, &book, NULL, &settings);
    loop_sim_place(sim, sim_ipv4("192.0.2.1", 80), &place);
    choose(&o->r, choice);
    BUG_ON(http_request_start(client, &o->r) != 0);
    for (unsigned i = 0; i < 5000 && !o->dones; i++) {
        loop_sim_settle(sim);
        answer(sim, bytes);
        loop_sim_settle(sim);
        http_request_resume(&o->r);
    }
    BUG_ON(o->dones != 1); /* every answer has an end, so no time-out is needed */
    http_client_free(&client);
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    io_fini(&io);
    loop_free(&loop);
    mem_book_fini(&book);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct outcome whole, cut;
    if (n < 1 || n > 20000)
        return 0;
    slice bytes = slice_of(data + 1, n - 1);
    ask(&whole, data[0], bytes, 0);
    ask(&cut, data[0], bytes, 1 + (data[0] >> 3));
    if (whole.r.hops || cut.r.hops) /* what follows an answer may come before the next request, or
                                       after it, and be taken for its answer */
        return 0;
    BUG_ON(whole.error != cut.error || whole.status != cut.status || whole.heads != cut.heads);
    BUG_ON(!whole.error && (whole.bytes != cut.bytes || whole.sum != cut.sum));
    return 0;
}
