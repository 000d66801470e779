/* udp_unit: datagrams for scripts: servers that they declare, and sockets that they open.
 *
 * A userdata is linked to a struct udp_handle, which belongs to the version and knows the socket as
 * long as that is open. A server's socket outlives versions and has a handle for each that has seen
 * it; an opened socket is one with its handle. */
#ifndef SCRIPT_UDP_UNIT_H
#define SCRIPT_UDP_UNIT_H

#include "io/dgram.h"
#include "script/declare.h"
#include "script/l_api.h"
#include "script/l_link.h"

struct udp_port;
struct udp_client;

/* One that waits for the script. */
struct udp_datagram {
    struct list_node node;
    struct addr from;
    size_t n;
    char data[];
};

/* In the order in which they came; those beyond [max] are dropped. */
struct udp_queue {
    struct list_node list;
    struct mem_owner *owner;
    unsigned count, max;
    uint64_t dropped;
};

struct udp_handle {
    /* read-only */
    struct dgram *dgram;
    const struct udp_queue *queue;
    struct udp_client *client; /* NULL: a server's */
    /* private */
    struct belonging base;
    struct l_link *link;
    struct version *version;
    struct udp_port *port;
    struct list_node node; /* in port->handles */
    int anchor;
};

struct declared_udp {
    struct declared base; /* first */
    struct listen_at listen[LISTEN_MAX];
    int function; /* in the registry */
    unsigned max_tasks, max_queue;
};

extern const struct server_kind udp_kind;

void udp_queue_init(struct udp_queue *q, struct mem_owner *owner, unsigned max);
/* Copies it, or drops and counts it. */
void udp_queue_put(struct udp_queue *q, slice data, const struct addr *from);
struct udp_datagram *udp_queue_head(const struct udp_queue *q);
void udp_queue_drop_head(struct udp_queue *q);
void udp_queue_clear(struct udp_queue *q);

/* Pushes the bytes, address and port. RAISES. */
void udp_push(lua_State *L, slice data, const struct addr *from);

extern const struct l_function l_udp_functions[], l_udp_methods[];
extern const size_t l_udp_function_count, l_udp_method_count;

#endif
