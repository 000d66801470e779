/* http1: the carrier for HTTP/1.1 and HTTP/1.0 (RFC 9112). */
#ifndef PROTOCOL_HTTP_HTTP1_H
#define PROTOCOL_HTTP_HTTP1_H

#include "protocol/server.h"

extern const struct server_ops http1_server_ops;

#endif
