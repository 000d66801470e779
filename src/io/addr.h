/* addr: addresses to listen on and addresses of peers. */
#ifndef IO_ADDR_H
#define IO_ADDR_H

#include "base/fmt.h"

#include <sys/socket.h>
#include <sys/un.h>

/* A place to listen on, as people write it. */
struct addr {
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
        struct sockaddr_un local;
    };
    socklen_t bytes;
    bool is_any; /* written without a host: ":8080", all interfaces, IPv6 and IPv4 */
};

/* ":8080" or "8080" (all interfaces), "127.0.0.1:8080", "[::1]:8080", "localhost:8080" (127.0.0.1),
 * "unix:/path". Host names are not looked up. False: *why is a sentence (a literal). */
MUST_USE bool addr_parse(slice text, struct addr *out, const char **why);

/* A numeric host, "192.0.2.1", "2001:db8::1" or "[2001:db8::1]"; false for anything else. */
MUST_USE bool addr_of_host(slice host, uint16_t port, struct addr *out);

/* The same of bytes: [family] is AF_INET or AF_INET6, [ip] has 4 or 16 bytes in network order. */
struct addr addr_of_ip(int family, const void *ip, uint16_t port);

/* As it would be written: "127.0.0.1:8080", "[::1]:8080", "unix:/path". */
void addr_put(struct fmt *f, const struct addr *a);

/* All IPv4 interfaces: what ":port" means on a machine without IPv6. */
struct addr addr_any_v4(uint16_t port);

/* 0 for Unix sockets. */
uint16_t addr_port(const struct addr *a);

/* Who is at the other end, in the fewest bytes: there is one in each session. */
struct peer_addr {
    uint8_t family; /* 4, 6, or 0: a Unix socket or unknown */
    uint16_t port;
    uint8_t ip[16]; /* network order; IPv4 in the first 4 */
};

/* IPv4 in IPv6 (::ffff:1.2.3.4) becomes IPv4. */
struct peer_addr peer_addr_of(const struct sockaddr *a, socklen_t bytes);

/* Without the port: "192.0.2.1", "2001:db8::1", "unix". At most PEER_TEXT_MAX bytes. */
#define PEER_TEXT_MAX 46
void peer_addr_put(struct fmt *f, const struct peer_addr *p);

#endif
