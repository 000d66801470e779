/* status: counters, memory by owner, sessions. */
#include "main/status.h"

#define SESSIONS_SHOWN 100

#define LL(x)          ((unsigned long long)(x))

void status_add(struct status_count *c, const struct server *server, const struct http_stats *http)
{
    c->open += server->session_count;
    c->most += server->settings.max_sessions;
    c->accepted += server->accepted;
    if (!http)
        return;
    c->is_http = true;
    c->http.requests += http->requests;
    c->http.refused += http->refused;
    for (size_t i = 0; i < COUNT_OF(c->http.by_class); i++)
        c->http.by_class[i] += http->by_class[i];
}

void status_connections(struct log *log, slice name, const struct status_count *c)
{
    const struct http_stats *h = &c->http;
    char room[600];
    struct fmt f = fmt_on(room, sizeof room);
    if (name.n) {
        fmt_put(&f, name);
        fmt_put(&f, SLICE(": "));
    }
    fmt_printf(&f, "connections: %zu open of %zu, %llu accepted", c->open, c->most,
               LL(c->accepted));
    if (c->is_http)
        fmt_printf(&f, "; requests: %llu (2xx %llu, 3xx %llu, 4xx %llu, 5xx %llu, malformed %llu)",
                   LL(h->requests), LL(h->by_class[2]), LL(h->by_class[3]), LL(h->by_class[4]),
                   LL(h->by_class[5]), LL(h->refused));
    slice text = fmt_done(&f);
    log_line(log, LOG_NOTICE, c->is_http ? "status.http" : "status.server", "%.*s",
             SLICE_ARGS(text));
}

void status_files(struct log *log, const struct vfs *vfs)
{
    struct vfs_stats v;
    vfs_stats(vfs, &v);
    log_line(log, LOG_NOTICE, "status.files",
             "file cache: %zu names, %zu open files, %zu bytes; %llu hits, %llu misses, %llu "
             "looked at again; %zu jobs at work",
             v.entries, v.open_files, v.content_bytes, LL(v.hits), LL(v.misses), LL(v.refreshes),
             v.jobs_pending);
}

void status_loop(struct log *log, const struct loop *loop)
{
    const struct loop_stats *l = loop_stats(loop);
    log_line(log, LOG_NOTICE, "status.loop",
             "loop: %llu turns, %llu events, slowest turn %lld ms, %llu over 10 ms", LL(l->turns),
             LL(l->events), (long long)l->slowest_ms, LL(l->slow_turns));
}

void status_memory(struct log *log, const struct mem_book *book)
{
    log_line(log, LOG_NOTICE, "status.memory",
             "memory: %zu bytes held, at most %zu, budget %zu, %llu refused", book->bytes,
             book->peak, book->budget, LL(book->refused));
    LIST_EACH (n, &book->owners) {
        const struct mem_owner *o = CONTAINER_OF(n, struct mem_owner, link);
        log_line(log, LOG_NOTICE, "status.owner", "memory of %s: %zu bytes, at most %zu", o->name,
                 o->bytes, o->peak);
    }
}

void status_sessions(struct log *log, const struct server *server)
{
    int64_t now_s = (loop_now_ms(server->io->loop) - server->began_ms) / 1000;
    unsigned shown = 0;
    LIST_EACH (n, &server->sessions) {
        const struct session *session = CONTAINER_OF(n, struct session, link);
        if (shown++ == SESSIONS_SHOWN)
            break;
        char room[400];
        struct fmt f = fmt_on(room, sizeof room);
        peer_addr_put(&f, &session->peer);
        fmt_put(&f, SLICE(": "));
        server->ops->describe(session, &f);
        slice text = fmt_done(&f);
        log_line(log, LOG_NOTICE, "status.session",
                 "session %llu %.*s, in %llu, out %llu, %llds old", LL(session->id),
                 SLICE_ARGS(text), LL(session->stream.bytes_in), LL(session->stream.bytes_out),
                 (long long)(now_s - session->opened_s));
    }
}
