/* A whole HTTP server in the simulated loop, fed with anything, in pieces of any size: it neither
 * crashes nor hangs nor keeps a byte, and it never answers more often than there can be requests.
 * The first byte of the input says how the rest is cut. */
#include "loop/loop_sim.h"
#include "protocol/http/http.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void ignore(struct exchange *ex)
{
}

static void on_body(struct exchange *ex, slice data, bool is_last)
{
    if (!is_last)
        return;
    ex->on_gone = NULL;
    exchange_send(ex, 200, SLICE(""), SLICE("body"));
}

static void handle(struct http_handler *h, struct exchange *ex)
{
    if (ex->body_done || ex->req->method == HTTP_PUT) { /* PUT: answered before its body is read */
        exchange_send(ex, 200, SLICE(""), ex->path);
        return;
    }
    ex->on_gone = ignore;
    exchange_read_body(ex, on_body);
}

/* Each answer needs a request line, of 16 bytes at least ("GET / HTTP/1.0\r\n"), but for the last,
 * which refuses. */
static void check_answers(slice got, size_t sent)
{
    size_t answers = 0;
    for (char *at; (at = memmem(got.p, got.n, "\r\nServer: Medusa\r\n", 18));) {
        answers++;
        got = slice_skip(got, (size_t)(at - got.p) + 18);
    }
    BUG_ON(answers > sent / 16 + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct http_handler_ops ops = {.name = "fuzz", .handle = handle};
    if (n < 1)
        return 0;
    struct mem_book book;
    struct log log = {0};
    struct io io;
    struct http_handler handler = {.ops = &ops};
    struct http_settings settings;
    struct loop_sim_settings network = {
        .seed = data[0], .recv_max = data[0] % 67 + 1, .send_max = data[0] % 5 ? 0 : 90};
    mem_book_init(&book, 0);
    struct loop_sim *sim = loop_sim_new(&network);
    struct loop *loop = loop_new_on(loop_sim_backend(sim), &book, &log);
    io_init(&io, loop, &book);
    http_settings_default(&settings);
    settings.body_bytes = 2048;
    struct http_server *http = malloc(sizeof *http);
    http_server_init(http, &io, &book, &settings, &handler);
    int fd;
    struct sim_peer *peer = loop_sim_peer(sim, &fd);
    struct peer_addr who = {.family = 4};
    BUG_ON(!server_adopt(&http->server, fd, &who, data[0] & 0x80));
    sim_peer_send(peer, slice_of(data + 1, n - 1));
    sim_peer_shutdown(peer);
    BUG_ON(!loop_sim_drain(sim, 600000)); /* whatever it was, the deadlines end it */
    check_answers(sim_peer_received(peer), n - 1);
    server_abort_all(&http->server);
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    http_server_fini(http);
    free(http);
    io_fini(&io);
    loop_free(&loop);
    mem_book_fini(&book);
    return 0;
}
