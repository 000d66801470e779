/* declare: the transaction. First everything that can fail is done beside what is there, then it is
 * switched over. */
#include "script/declare.h"

#include "base/check.h"
#include "base/fmt.h"
#include "protocol/server.h"

#include <errno.h>

static struct live *of_link(struct list_node *n)
{
    return CONTAINER_OF(n, struct live, link);
}

static struct declared *declared_of(struct list_node *n)
{
    return CONTAINER_OF(n, struct declared, link);
}

static struct live_port *port_at(struct live *l, const char *text)
{
    for (unsigned i = 0; i < l->port_count; i++)
        if (slice_is(slice_str(l->ports[i].text), slice_str(text)))
            return &l->ports[i];
    return NULL;
}

/* ---- Which live server goes on as which declaration ---- */

static bool is_claimed(const struct version *v, const struct live *l)
{
    LIST_EACH (n, &v->declared)
        if (declared_of(n)->live == l)
            return true;
    return false;
}

static struct live *find_heir(struct declared *d)
{
    struct unit *unit = d->version->unit;
    LIST_EACH (n, &unit->servers) {
        struct live *l = of_link(n);
        if (l->kind != d->kind || is_claimed(d->version, l))
            continue;
        for (unsigned i = 0; i < d->listen_count; i++)
            if (port_at(l, d->listen[i].text))
                return l;
    }
    return NULL;
}

static void add_live(struct unit *unit, struct live *l, const struct declared *d)
{
    l->kind = d->kind;
    l->host = unit->host;
    l->is_new = true;
    list_push_back(&unit->servers, &l->link);
}

/* ---- Sockets ---- */

static void explain(char *error, size_t bytes, const struct declared *d, const struct listen_at *at,
                    int code)
{
    struct fmt f = fmt_on(error, bytes - 1);
    uint16_t port = addr_port(&at->addr);
    fmt_printf(&f, "%s: ", d->where);
    if (code == -EACCES && port && port < 1024)
        fmt_printf(&f,
                   "port %u needs root: run with sudo (and medusa.user), or use a port above 1023",
                   port);
    else if (code == -EADDRINUSE)
        fmt_printf(&f,
                   "%s is in use by another program (or server of this script): stop that one, or "
                   "choose another port",
                   at->text);
    else if (code == -EADDRNOTAVAIL)
        fmt_printf(&f, "%s is not an address of this machine", at->text);
    else
        fmt_printf(&f, "%s cannot be listened on: %s", at->text, strerror(-code));
    error[fmt_done(&f).n] = 0;
}

static int open_port(struct live *l, const struct listen_at *at)
{
    if (l->port_count == LISTEN_MAX)
        return -EMFILE;
    struct live_port *p = &l->ports[l->port_count];
    *p = (struct live_port){.is_wanted = true, .is_new = true};
    int error = l->kind->listen(l, &at->addr, at->proxied, &p->port);
    if (error < 0)
        return error;
    memcpy(p->text, at->text, sizeof p->text);
    l->port_count++;
    return 0;
}

static bool open_ports(struct declared *d, char *error, size_t bytes)
{
    for (unsigned i = 0; i < d->listen_count; i++) {
        struct live_port *p = port_at(d->live, d->listen[i].text);
        if (p) {
            p->is_wanted = true;
            continue;
        }
        int code = open_port(d->live, &d->listen[i]);
        if (code < 0) {
            explain(error, bytes, d, &d->listen[i], code);
            return false;
        }
    }
    return true;
}

/* Closes the ports for which [is_new] (undo) or which are not wanted (commit). */
static void close_ports(struct live *l, bool undo)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < l->port_count; i++) {
        struct live_port *p = &l->ports[i];
        if (undo ? p->is_new : !p->is_wanted)
            l->kind->unlisten(l, p->port);
        else
            l->ports[kept++] = *p;
    }
    l->port_count = kept;
    for (unsigned i = 0; i < kept; i++)
        l->ports[i].is_new = l->ports[i].is_wanted = false;
}

/* ---- Leaving ---- */

/* The declaration that answers; NULL: none any more. */
static void set_declared(struct live *l, struct declared *d)
{
    struct declared *old = l->declared;
    if (d)
        version_hold(d->version);
    l->declared = d;
    if (old)
        version_release(old->version);
}

static void free_live(struct live *l)
{
    list_remove(&l->link);
    set_declared(l, NULL);
    l->kind->free(l);
}

void declare_each(struct host *host, void (*visit)(struct live *l, void *ctx), void *ctx)
{
    LIST_EACH (u, &host->units)
        LIST_EACH (n, &CONTAINER_OF(u, struct unit, link)->servers)
            visit(of_link(n), ctx);
    LIST_EACH (n, &host->leaving)
        visit(of_link(n), ctx);
}

void live_check_empty(struct live *l)
{
    if (!l->is_leaving || !l->kind->is_empty(l))
        return;
    struct host *host = l->host;
    free_live(l);
    if (host->on_left)
        host->on_left(host);
}

static void retire(struct live *l)
{
    for (unsigned i = 0; i < l->port_count; i++)
        l->kind->unlisten(l, l->ports[i].port);
    l->port_count = 0;
    l->is_leaving = true;
    list_remove(&l->link);
    list_push_back(&l->host->leaving, &l->link);
    l->kind->drain(l);
    live_check_empty(l);
}

void declare_retire_all(struct unit *unit)
{
    LIST_EACH_SAFE (n, &unit->servers)
        retire(of_link(n));
}

void declare_free_all(struct version *v)
{
    for (struct list_node *n; (n = list_pop_front(&v->declared));)
        if (declared_of(n)->kind->forget)
            declared_of(n)->kind->forget(declared_of(n));
}

void declare_abort_all(struct host *host)
{
    LIST_EACH_SAFE (n, &host->leaving)
        of_link(n)->kind->abort(of_link(n));
}

/* ---- The transaction ---- */

static void roll_back(struct unit *unit)
{
    LIST_EACH_SAFE (n, &unit->servers) {
        struct live *l = of_link(n);
        close_ports(l, true);
        if (l->is_new)
            free_live(l);
    }
}

/* The script may have said medusa.max_connections behind the declaration. */
static void fit_sessions(struct declared *d)
{
    const struct version *v = d->version;
    size_t most = v->host->max_sessions;
    uint64_t said = v->unit->is_main ? v->settings.connections : v->host->connections;
    if (said)
        most = (size_t)MIN(said, most);
    if (d->settings)
        d->settings->max_sessions = MIN(d->settings->max_sessions, most);
}

static bool prepare(struct version *v, char *error, size_t bytes)
{
    LIST_EACH (n, &v->declared) {
        struct declared *d = declared_of(n);
        fit_sessions(d);
        d->live = find_heir(d);
    }
    LIST_EACH (n, &v->declared) {
        struct declared *d = declared_of(n);
        if (!d->live) {
            d->live = d->kind->make(d);
            if (!d->live) {
                (void)snprintf(error, bytes, "%s: there is not enough memory", d->where);
                return false;
            }
            add_live(v->unit, d->live, d);
        }
        if (!open_ports(d, error, bytes))
            return false;
    }
    return true;
}

static void switch_over(struct version *v)
{
    LIST_EACH_SAFE (n, &v->unit->servers)
        if (!is_claimed(v, of_link(n)))
            retire(of_link(n));
    LIST_EACH (n, &v->declared) {
        struct declared *d = declared_of(n);
        struct live *l = d->live;
        set_declared(l, d);
        l->is_new = false;
        close_ports(l, false);
        l->kind->adopt(l);
        l->kind->start(l);
    }
}

bool declare_commit(struct version *v, char *error, size_t error_bytes)
{
    if (!prepare(v, error, error_bytes)) {
        roll_back(v->unit);
        LIST_EACH (n, &v->declared)
            declared_of(n)->live = NULL;
        return false;
    }
    switch_over(v);
    return true;
}
