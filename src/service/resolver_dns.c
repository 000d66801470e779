/* resolver_dns: c-ares, in two places.
 *
 * In the loop: a channel whose sockets the loop watches (loop_poll) and whose clock is one timeout.
 * On the lane: what reads files. c-ares reads /etc/resolv.conf when a channel is made, so that is
 * done there and the channel handed over; and it would read /etc/hosts at each question, so it is
 * told to ask servers only ("b"), and the lane looks into that file beforehand, by a channel that
 * never leaves the lane. */
#include "service/resolver_parts.h"

#include "base/check.h"

#include <errno.h>
#include <netdb.h>
#include <sys/stat.h>
#include <sys/time.h>

#define TRY_MS 2000 /* one server, the first time; later tries wait longer */
#define TRIES  2

/* ---- The lane. ---- */

static void on_socket(void *resolver, ares_socket_t fd, int readable, int writable);

static const char *conf_path(const struct resolver *r)
{
    return r->settings.conf ? r->settings.conf : "/etc/resolv.conf";
}

static bool has_own_servers(const struct resolver *r)
{
    return r->settings.servers && *r->settings.servers;
}

static int make_channel(struct resolver *r, ares_channel *out)
{
    struct ares_options options = {.timeout = TRY_MS,
                                   .tries = TRIES,
                                   .udp_port = r->settings.port,
                                   .tcp_port = r->settings.port,
                                   .lookups = (char[]){"b"},
                                   .sock_state_cb = on_socket,
                                   .sock_state_cb_data = r,
                                   .resolvconf_path = (char *)conf_path(r)}; /* it is copied */
    int given = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB |
                ARES_OPT_RESOLVCONF;
    if (r->settings.port)
        given |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
    int status = ares_init_options(out, &options, given);
    if (status != ARES_SUCCESS) {
        *out = NULL;
        return status;
    }
    if (has_own_servers(r))
        status = ares_set_servers_ports_csv(*out, r->settings.servers);
    if (status != ARES_SUCCESS) {
        ares_destroy(*out);
        *out = NULL;
    }
    return status;
}

static struct resolver_conf conf_now(const struct resolver *r)
{
    struct stat st;
    if (has_own_servers(r) || stat(conf_path(r), &st) < 0)
        return (struct resolver_conf){0};
    return (struct resolver_conf){
        .dev = st.st_dev, .ino = st.st_ino, .bytes = st.st_size, .changed = st.st_mtim};
}

static bool same_conf(const struct resolver_conf *a, const struct resolver_conf *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->bytes == b->bytes &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* The file is looked at before it is read: what changes in between is found the next time. */
static void make_channel_if_wanted(struct resolver_question *q)
{
    struct resolver *r = q->resolver;
    struct resolver_conf now = conf_now(r);
    q->is_newer = !same_conf(&now, &r->conf_was);
    if (!q->wants_channel && !q->is_newer)
        return;
    q->status = make_channel(r, &q->channel);
    if (q->channel)
        r->conf_was = now;
}

static void add_file_host(struct resolver_question *q, int family)
{
    struct hostent *h = NULL;
    bool is_wanted = q->family == AF_UNSPEC || q->family == family;
    if (!is_wanted || ares_gethostbyname_file(q->resolver->files, q->name, family, &h) != 0)
        return;
    for (char **ip = h->h_addr_list; *ip && q->count < RESOLVE_MAX; ip++)
        q->found[q->count++] = addr_of_ip(h->h_addrtype, *ip, q->port);
    ares_free_hostent(h);
}

/* Touches of the resolver only its settings, which never change, and what is the lane's. */
void resolver_dns_files(struct resolver_question *q)
{
    struct resolver *r = q->resolver;
    if (!r->files && ares_init(&r->files) != ARES_SUCCESS)
        r->files = NULL;
    if (r->files) {
        add_file_host(q, AF_INET6);
        add_file_host(q, AF_INET);
    }
    if (q->count == 0)
        make_channel_if_wanted(q);
}

/* ---- The loop: sockets and time. ---- */

/* When c-ares wants to be called although nothing came. */
static void set_tick(struct resolver *r)
{
    struct timeval most = {.tv_sec = 60}, left;
    timeout_clear(&r->tick);
    if (!r->channel || !ares_timeout(r->channel, NULL, &left))
        return;
    const struct timeval *wait = timercmp(&left, &most, <) ? &left : &most;
    int64_t ms = wait->tv_sec * 1000 + (wait->tv_usec + 999) / 1000;
    timeout_set(loop_wheel(r->loop), &r->tick, loop_now_ms(r->loop) + MAX(ms, 1));
}

static void on_tick(struct timeout *t)
{
    struct resolver *r = CONTAINER_OF(t, struct resolver, tick);
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_tick(r);
}

static void on_ready(struct loop_fd *lfd, unsigned events)
{
    struct resolver *r = CONTAINER_OF(lfd, struct resolver_watch, lfd)->resolver;
    ares_process_fd(r->channel, events & LOOP_READABLE ? lfd->fd : ARES_SOCKET_BAD,
                    events & LOOP_WRITABLE ? lfd->fd : ARES_SOCKET_BAD);
    set_tick(r);
}

static struct resolver_watch *find_watch(struct resolver *r, int fd)
{
    LIST_EACH (n, &r->watches) {
        struct resolver_watch *w = CONTAINER_OF(n, struct resolver_watch, link);
        if (w->lfd.fd == fd)
            return w;
    }
    return NULL;
}

static void free_watch(struct loop_deferred *d)
{
    struct resolver_watch *w = CONTAINER_OF(d, struct resolver_watch, burial);
    list_remove(&w->link);
    mem_free(&w->resolver->owner, w, sizeof *w);
}

static struct resolver_watch *new_watch(struct resolver *r, int fd)
{
    static const struct loop_fd_ops ops = {.on_ready = on_ready};
    struct resolver_watch *w = mem_alloc0(&r->owner, sizeof *w);
    if (!w)
        return NULL;
    if (loop_open(r->loop, &w->lfd, fd, &ops) < 0) {
        mem_free(&r->owner, w, sizeof *w);
        return NULL;
    }
    w->resolver = r;
    loop_deferred_init(&w->burial, free_watch);
    list_push_back(&r->watches, &w->link);
    return w;
}

/* c-ares will close it. */
static void end_watch(struct resolver_watch *w)
{
    (void)!loop_release(w->resolver->loop, &w->lfd);
    loop_bury(w->resolver->loop, &w->burial);
}

/* News of c-ares about a socket of its own. One that we cannot watch is as if its server were
 * silent: the tick ends that. */
static void on_socket(void *resolver, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = resolver;
    struct resolver_watch *w = find_watch(r, fd);
    unsigned events = (readable ? (unsigned)LOOP_READABLE : 0) | (writable ? LOOP_WRITABLE : 0);
    if (!w && events)
        w = new_watch(r, fd);
    if (!w)
        return;
    if (!events || loop_poll(r->loop, &w->lfd, events) < 0)
        end_watch(w);
}

/* ---- The loop: questions. ---- */

static int error_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENOTFOUND:
    case ARES_ENONAME:
        return -ENOENT;
    case ARES_ENODATA:
        return -ENODATA;
    case ARES_ETIMEOUT:
        return -ETIMEDOUT;
    case ARES_ECONNREFUSED:
        return -ECONNREFUSED;
    case ARES_EBADNAME:
    case ARES_EBADQUERY:
        return -EINVAL;
    case ARES_EBADRESP:
        return -EBADMSG;
    case ARES_ENOMEM:
        return -ENOMEM;
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED:
        return -ECANCELED;
    default: /* SERVFAIL, REFUSED, NOTIMP, FORMERR, and what later versions may add */
        return -EREMOTEIO;
    }
}

static void on_answer(void *question, int status, int timeouts, struct ares_addrinfo *info)
{
    struct resolver_question *q = question;
    if (status == ARES_EDESTRUCTION && q->asker && q->resolver->channel != q->channel) {
        resolver_dns_ask(q);
        return;
    }
    for (struct ares_addrinfo_node *n = info ? info->nodes : NULL; n; n = n->ai_next) {
        if (q->count == RESOLVE_MAX)
            break;
        const void *ip = n->ai_family == AF_INET
                             ? (const void *)&((struct sockaddr_in *)n->ai_addr)->sin_addr
                             : (const void *)&((struct sockaddr_in6 *)n->ai_addr)->sin6_addr;
        if (n->ai_family == AF_INET || n->ai_family == AF_INET6)
            q->found[q->count++] = addr_of_ip(n->ai_family, ip, q->port);
    }
    if (info)
        ares_freeaddrinfo(info);
    resolver_question_end(q, error_of(status));
}

void resolver_dns_ask(struct resolver_question *q)
{
    struct resolver *r = q->resolver;
    struct ares_addrinfo_hints hints = {.ai_family = q->family, .ai_socktype = SOCK_STREAM};
    q->channel = r->channel;
    ares_getaddrinfo(r->channel, q->name, NULL, &hints, on_answer, q);
    set_tick(r);
}

/* Two may have been sent to make a channel: the first one counts, unless the other is newer. */
int resolver_dns_take(struct resolver_question *q)
{
    struct resolver *r = q->resolver;
    ares_channel made = q->channel, old = r->channel;
    q->channel = NULL;
    if (made && (r->is_stopped || (old && !q->is_newer))) {
        ares_destroy(made);
    } else if (made) {
        r->channel = made;
        if (old)
            ares_destroy(old); /* on_answer asks the new one */
    }
    return r->channel ? 0 : q->status == ARES_ENOMEM ? -ENOMEM : -EIO;
}

/* ---- Life. ---- */

void resolver_dns_init(struct resolver *r)
{
    list_init(&r->watches);
    timeout_init(&r->tick, on_tick);
}

void resolver_dns_stop(struct resolver *r)
{
    timeout_clear(&r->tick);
    if (r->channel)
        ares_destroy(r->channel);
    r->channel = NULL; /* not before: on_answer would ask again */
}

void resolver_dns_fini(struct resolver *r)
{
    resolver_dns_stop(r);
    if (r->files)
        ares_destroy(r->files);
    LIST_EACH_SAFE (n, &r->watches) {
        struct resolver_watch *w = CONTAINER_OF(n, struct resolver_watch, link);
        loop_defer_cancel(&w->burial);
        free_watch(&w->burial);
    }
}
