/* status: counters, memory by owner, sessions. */
#include "main/status.h"

#define SESSIONS_SHOWN 100

#define LL(x)          ((unsigned long long)(x))

static void log_memory(struct log *log, const struct mem_book *book)
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

static void log_sessions(struct log *log, const struct server *server)
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

void status_log(struct log *log, const struct http_server *http, const struct vfs *vfs)
{
    const struct server *server = &http->server;
    const struct http_stats *s = &http->stats;
    const struct loop_stats *l = loop_stats(server->io->loop);
    struct vfs_stats v;
    vfs_stats(vfs, &v);
    log_line(log, LOG_NOTICE, "status.http",
             "connections: %zu open of %zu, %llu accepted; requests: %llu (2xx %llu, 3xx %llu, 4xx "
             "%llu, 5xx %llu, malformed %llu)",
             server->session_count, server->settings.max_sessions, LL(server->accepted),
             LL(s->requests), LL(s->by_class[2]), LL(s->by_class[3]), LL(s->by_class[4]),
             LL(s->by_class[5]), LL(s->refused));
    log_line(log, LOG_NOTICE, "status.files",
             "file cache: %zu names, %zu open files, %zu bytes; %llu hits, %llu misses, %llu "
             "looked at again; %zu jobs at work",
             v.entries, v.open_files, v.content_bytes, LL(v.hits), LL(v.misses), LL(v.refreshes),
             v.jobs_pending);
    log_line(log, LOG_NOTICE, "status.loop",
             "loop: %llu turns, %llu events, slowest turn %lld ms, %llu over 10 ms", LL(l->turns),
             LL(l->events), (long long)l->slowest_ms, LL(l->slow_turns));
    log_memory(log, server->io->owner.book);
    log_sessions(log, server);
}
