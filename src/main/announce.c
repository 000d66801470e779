/* announce: one URL per line, as a browser takes it. */
#include "main/announce.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

static void print_url(slice host, uint16_t port, const char *remark)
{
    if (port == 80)
        (void)printf("  http://%.*s/%s\n", SLICE_ARGS(host), remark);
    else
        (void)printf("  http://%.*s:%u/%s\n", SLICE_ARGS(host), port, remark);
}

/* The machine's own IPv4 addresses: what another computer or a phone in the house would use. */
static void print_interfaces(uint16_t port)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) < 0)
        return;
    unsigned shown = 0;
    for (struct ifaddrs *i = all; i && shown < 3; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || i->ifa_flags & IFF_LOOPBACK ||
            !(i->ifa_flags & IFF_UP))
            continue;
        char text[PEER_TEXT_MAX];
        struct fmt f = fmt_on(text, sizeof text);
        struct peer_addr p = peer_addr_of(i->ifa_addr, sizeof(struct sockaddr_in));
        peer_addr_put(&f, &p);
        print_url(fmt_done(&f), port, "");
        shown++;
    }
    freeifaddrs(all);
}

void announce_port(const struct server_port *port)
{
    const struct addr *addr = &port->listener.addr;
    const char *remark = port->proxied ? "  (behind a proxy that speaks the PROXY protocol)" : "";
    char text[160];
    struct fmt f = fmt_on(text, sizeof text);
    addr_put(&f, addr);
    slice name = fmt_done(&f);
    if (addr->any.sa_family == AF_UNIX) {
        (void)printf("  %.*s%s\n", SLICE_ARGS(name), remark);
    } else if (addr->is_any) {
        print_url(SLICE("localhost"), addr_port(addr), remark);
        if (!port->proxied)
            print_interfaces(addr_port(addr));
    } else {
        print_url(slice_head(name, (size_t)slice_find_last(name, ':')), addr_port(addr), remark);
    }
}

void announce(const struct server *server, const char *root)
{
    (void)printf("Medusa serves %s at\n", root);
    for (const struct server_port *port = server->ports; port; port = port->next)
        announce_port(port);
    (void)printf("Ctrl-C ends it.\n");
    (void)fflush(stdout);
}
