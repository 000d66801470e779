/* dgram: a datagram socket (UDP, or Unix): each datagram that comes is told, each that is sent goes
 * now or never.
 *
 * Datagrams may be lost, doubled and overtaken on the way, so nothing here waits: what the kernel
 * has no room for is dropped and counted, as the network would. Addresses are what people expect
 * also on a socket for both IPv4 and IPv6: 192.0.2.1 comes and goes as such. */
#ifndef IO_DGRAM_H
#define IO_DGRAM_H

#include "io/addr.h"
#include "loop/loop.h"

/* Embedded in its owner, who may free it when the turn of dgram_close has ended (loop_bury). */
struct dgram {
    /* public */
    /* One has come, perhaps empty; [in] and [from] are valid during the call. */
    void (*on_datagram)(struct dgram *d, slice in, const struct addr *from);
    /* read-only */
    struct loop_fd lfd;
    struct addr addr; /* with the true port */
    uint64_t received, sent;
    uint64_t dropped; /* dgram_send failed */
    /* private */
    struct loop *loop;
};

/* A new socket, bound to [at]; ":0" takes a free port, and ":port" is for IPv6 and IPv4 (IPv4 alone
 * when the machine has no IPv6). Nothing is told before dgram_start. d->on_datagram is set. 0 or
 * -errno. */
MUST_USE int dgram_open(struct dgram *d, struct loop *loop, const struct addr *at);

/* The same with a socket that is there already: from outside, or the simulator's. It is made
 * non-blocking. On failure [fd] is still the caller's. */
MUST_USE int dgram_adopt(struct dgram *d, struct loop *loop, int fd);

/* Tell on_datagram / no longer: they wait in the kernel, which drops what is too much. */
void dgram_start(struct dgram *d);
void dgram_stop(struct dgram *d);

/* Sends [data] as one datagram. < 0: -errno, it is lost (-EAGAIN: no room, -EMSGSIZE: too long). */
MUST_USE int dgram_send(struct dgram *d, slice data, const struct addr *to);

/* Closes (removes no file). Harmless when it is closed. */
void dgram_close(struct dgram *d);

#endif
