/* connect: tries addresses, overlapping, until one answers. */
#include "io/connect.h"

#include "base/check.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

static void on_connected(struct loop_fd *lfd, int error);

static const struct loop_fd_ops ops = {.on_connected = on_connected};

/* Starts one more, skipping those that fail at once. False: none is left. */
static bool try_next(struct connect *c)
{
    while (c->next < c->count) {
        struct connect_try *t = &c->tries[c->next];
        const struct addr *to = &c->addrs[c->next++];
        t->of = c;
        int error = loop_connect(c->loop, &t->lfd, &to->any, to->bytes, &ops);
        if (error < 0) {
            c->error = error;
            continue;
        }
        c->open++;
        if (c->next < c->count)
            timeout_set(loop_wheel(c->loop), &c->pause, loop_now_ms(c->loop) + CONNECT_NEXT_MS);
        return true;
    }
    return false;
}

/* Ends all but what was handed out. */
static void stop(struct connect *c)
{
    timeout_clear(&c->limit);
    timeout_clear(&c->pause);
    for (unsigned i = 0; i < c->next; i++)
        loop_close(c->loop, &c->tries[i].lfd);
    c->next = c->count;
    c->open = 0;
}

static void win(struct connect *c, struct connect_try *t)
{
    int one = 1;
    c->won = (unsigned)(t - c->tries);
    int sock = loop_release(c->loop, &t->lfd);
    stop(c);
    if (c->addrs[c->won].any.sa_family != AF_UNIX)
        (void)!setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->done(c, sock);
}

static void on_connected(struct loop_fd *lfd, int error)
{
    struct connect_try *t = CONTAINER_OF(lfd, struct connect_try, lfd);
    struct connect *c = t->of;
    if (error == 0) {
        win(c, t);
        return;
    }
    c->error = error;
    c->open--;
    loop_close(c->loop, lfd);
    timeout_clear(&c->pause);
    if (try_next(c) || c->open)
        return;
    stop(c);
    c->done(c, c->error);
}

static void on_pause(struct timeout *t)
{
    try_next(CONTAINER_OF(t, struct connect, pause));
}

static void on_limit(struct timeout *t)
{
    struct connect *c = CONTAINER_OF(t, struct connect, limit);
    stop(c);
    c->done(c, -ETIMEDOUT);
}

int connect_start(struct connect *c, struct loop *loop, const struct addr *addrs, unsigned count,
                  int64_t timeout_ms)
{
    BUG_ON(count == 0 || timeout_ms <= 0);
    c->loop = loop;
    c->addrs = addrs;
    c->count = MIN(count, CONNECT_ADDRS_MAX);
    c->next = c->open = c->won = 0;
    c->error = 0;
    timeout_init(&c->limit, on_limit);
    timeout_init(&c->pause, on_pause);
    for (unsigned i = 0; i < CONNECT_ADDRS_MAX; i++)
        c->tries[i].lfd.fd = -1;
    if (!try_next(c))
        return c->error;
    timeout_set(loop_wheel(loop), &c->limit, loop_now_ms(loop) + timeout_ms);
    return 0;
}

void connect_cancel(struct connect *c)
{
    if (c->open)
        stop(c);
}
