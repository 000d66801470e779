/* session: who the client is. */
#include "protocol/session.h"

#include "protocol/server.h"
#include "wire/proxyproto.h"

#include <errno.h>

struct server *session_server(const struct session *session)
{
    return CONTAINER_OF((struct stream_class *)session->stream.cls, struct server, cls);
}

/* The address of the connection itself: what counts when the header does not name another. */
static struct peer_addr true_peer(const struct session *session)
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof a;
    if (getpeername(session->stream.lfd.fd, (struct sockaddr *)&a, &n) < 0)
        return (struct peer_addr){0};
    return peer_addr_of((struct sockaddr *)&a, n);
}

bool session_read_proxy_header(struct session *session)
{
    struct stream *s = &session->stream;
    struct proxyproto header;
    ssize_t n = proxyproto_parse(stream_peek(s), &header);
    if (n == 0 && !stream_is_eof(s))
        return false;
    if (n <= 0) {
        log_line(loop_log(s->cls->io->loop), LOG_NOTICE, "proxy.header",
                 "session %llu was closed: it did not begin with a PROXY header, as this listener "
                 "demands",
                 (unsigned long long)session->id);
        stream_abort(s, -EPROTO);
        return false;
    }
    stream_consume(s, (size_t)n);
    if (header.family == 0) {
        session->peer = true_peer(session);
    } else {
        session->peer.family = header.family;
        session->peer.port = header.source_port;
        memcpy(session->peer.ip, header.source, sizeof header.source);
    }
    return true;
}
