/* proxyproto: the PROXY protocol, versions 1 (a line) and 2 (binary): who is behind the proxy that
 * connected to us.
 *
 * After haproxy's doc/proxy-protocol.txt, strictly. To be used only on listeners that ask for it,
 * and there it is required: a peer that may or may not send it could name any address it likes. */
#ifndef WIRE_PROXYPROTO_H
#define WIRE_PROXYPROTO_H

#include "base/slice.h"

/* The longest header that is read: a v1 line, and a v2 header with its TLVs. (The protocol would
 * allow 65551; a TLV with a client's certificate fits in here.) */
#define PROXYPROTO_V1_MAX 107
#define PROXYPROTO_MAX    4096

struct proxyproto {
    uint8_t family; /* 4, 6, or 0: keep the addresses of the connection itself */
    bool is_local;  /* v2 LOCAL: the proxy speaks for itself (a health check); family is 0 */
    uint8_t source[16],
        destination[16]; /* in network order; of IPv4 the first 4 bytes, the rest is 0 */
    uint16_t source_port, destination_port; /* in host order */
};

/* Reads one header at the start of [in].
 * > 0: its bytes, *out is filled; they are to be consumed before anything else (TLS too) is read.
 *   0: not complete yet.
 *  -1: malformed, too long, or a CRC-32c that is wrong; close, there is nobody to answer.
 * UNKNOWN, UNSPEC, Unix sockets and datagrams are valid and give family 0. TLVs are checked for
 * their bounds, and passed over. */
MUST_USE ssize_t proxyproto_parse(slice in, struct proxyproto *out);

#endif
