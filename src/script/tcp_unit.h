/* tcp_unit: TCP servers that scripts declare. Two styles: handle(conn), a coroutine for each
 * connection; or functions that are called for each line or piece of data, where a connection that
 * is idle has no coroutine. */
#ifndef SCRIPT_TCP_UNIT_H
#define SCRIPT_TCP_UNIT_H

#include "protocol/server.h"
#include "script/conn.h"

enum tcp_event { TCP_HANDLE, TCP_ON_OPEN, TCP_ON_LINE, TCP_ON_DATA, TCP_ON_CLOSE, TCP_EVENTS };

/* In a userdata of the version. */
struct declared_tcp {
    struct declared base; /* first */
    struct listen_at listen[LISTEN_MAX];
    struct server_settings settings;
    int functions[TCP_EVENTS]; /* in the registry, or LUA_NOREF */
    uint32_t idle_ms, max_line;
};

extern const struct server_kind tcp_kind;

#endif
