/* session: one connection of one client, whatever the protocol: what is listed, counted and can be
 * closed.
 *
 * Embedded as the first member in the protocol's own session struct (http1's, ftp's ...), which
 * comes from the server's pool: one allocation for the whole connection. Its memory is freed by the
 * server when the stream is closed. */
#ifndef PROTOCOL_SESSION_H
#define PROTOCOL_SESSION_H

#include "io/addr.h"
#include "io/stream.h"

struct server;

struct session {
    struct stream stream;
    /* read-only */
    struct list_node link; /* in server->sessions */
    uint64_t id;           /* never used again within the process */
    struct peer_addr peer;
    uint32_t opened_s; /* seconds since the server began */
};

static inline struct session *session_of_stream(struct stream *s)
{
    return CONTAINER_OF(s, struct session, stream);
}

struct server *session_server(const struct session *session);

/* peer.family while the header of the PROXY protocol, which will tell who it is, has not come yet.
 */
#define PEER_AWAITED 0xff

/* Reads that header from the stream's input. */
MUST_USE bool session_read_proxy_header(struct session *session);

/* To be asked first in a protocol's on_input: false while the PROXY header is not complete, or was
 * wrong (the session is closed then). */
static inline bool session_is_known(struct session *session)
{
    return LIKELY(session->peer.family != PEER_AWAITED) || session_read_proxy_header(session);
}

#endif
