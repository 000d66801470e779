/* resolver: questions: what needs no asking, who waits, for how long. */
#include "service/resolver_parts.h"

#include "base/check.h"

#include <errno.h>
#include <netinet/in.h>

#define TIMEOUT_MS 10000

/* ---- Telling. ---- */

static void tell(struct loop_deferred *d)
{
    struct resolver *resolver = CONTAINER_OF(d, struct resolver, telling);
    struct list_node now;
    list_move_all(&now, &resolver->ready);
    for (struct list_node *n; (n = list_pop_front(&now));) {
        struct resolve *r = CONTAINER_OF(n, struct resolve, ready);
        r->done(r);
    }
}

static void make_ready(struct resolver *resolver, struct resolve *r, int error)
{
    r->error = error || r->count ? error : -ENODATA;
    r->question = NULL;
    list_push_back(&resolver->ready, &r->ready);
    loop_defer(resolver->loop, &resolver->telling);
}

/* ---- What needs no asking. ---- */

static bool is_wanted(int family, const struct addr *a)
{
    return family == AF_UNSPEC || a->any.sa_family == family || a->any.sa_family == AF_UNIX;
}

static void add(struct resolve *r, const struct addr *a, int family)
{
    if (r->count < RESOLVE_MAX && is_wanted(family, a))
        r->addrs[r->count++] = *a;
}

/* RFC 6761 6.3: such names mean this machine, whoever is asked. */
static bool is_localhost(slice host)
{
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    if (slice_is_nocase(host, SLICE("localhost")))
        return true;
    return host.n > 10 && slice_is_nocase(slice_skip(host, host.n - 10), SLICE(".localhost"));
}

static void add_localhost(struct resolve *r, uint16_t port, int family)
{
    static const uint8_t v4[4] = {127, 0, 0, 1};
    struct addr four = addr_of_ip(AF_INET, v4, port);
    struct addr six = addr_of_ip(AF_INET6, &in6addr_loopback, port);
    add(r, &four, family);
    add(r, &six, family);
}

/* True: the answer is in [r]. */
static bool is_known(struct resolve *r, slice host, uint16_t port, int family)
{
    struct addr a;
    const char *why;
    if (is_localhost(host)) {
        add_localhost(r, port, family);
        return true;
    }
    bool is_unix = slice_has_prefix(host, SLICE("unix:"));
    if (is_unix ? !addr_parse(host, &a, &why) : !addr_of_host(host, port, &a))
        return false;
    add(r, &a, family);
    return true;
}

/* Something that a name server could be asked: printable, and no path or numeric address gone
 * wrong.
 */
static bool is_name(slice host)
{
    if (host.n == 0 || host.n > RESOLVER_NAME_MAX || slice_has_prefix(host, SLICE(".")))
        return false;
    for (size_t i = 0; i < host.n; i++)
        if (host.p[i] <= ' ' || host.p[i] > '~' || strchr("/:[]\\@", host.p[i]))
            return false;
    return true;
}

/* ---- Questions. ---- */

static void free_question(struct resolver_question *q)
{
    struct resolver *resolver = q->resolver;
    timeout_clear(&q->limit);
    list_remove(&q->link);
    resolver->question_count--;
    mem_free(&resolver->owner, q, sizeof *q + q->name_bytes + 1);
}

/* The best of those that are left: of [family] if there is one. */
static unsigned pick(const struct resolver_question *q, unsigned left, int family)
{
    for (unsigned i = 0; i < q->count; i++)
        if (left & 1U << i && q->found[i].any.sa_family == family)
            return i;
    return (unsigned)__builtin_ctz(left);
}

/* RFC 8305 4: the families take turns, the best one's first, so that one that leads nowhere costs
 * whoever connects one attempt and not all of them. */
static void add_found(struct resolve *r, const struct resolver_question *q)
{
    int family = q->found[0].any.sa_family;
    for (unsigned left = (1U << q->count) - 1; left;) {
        unsigned i = pick(q, left, family);
        left &= ~(1U << i);
        add(r, &q->found[i], q->family);
        family = q->found[i].any.sa_family == AF_INET ? AF_INET6 : AF_INET;
    }
}

/* The asker gets his answer; the question itself may have to stay. */
static void answer(struct resolver_question *q, int error)
{
    struct resolve *r = q->asker;
    timeout_clear(&q->limit);
    q->asker = NULL;
    if (!r)
        return;
    if (error == 0)
        add_found(r, q);
    make_ready(q->resolver, r, error);
}

void resolver_question_end(struct resolver_question *q, int error)
{
    answer(q, error);
    free_question(q);
}

static void on_limit(struct timeout *t)
{
    answer(CONTAINER_OF(t, struct resolver_question, limit), -ETIMEDOUT);
}

static void run(struct work_job *job)
{
    resolver_dns_files(CONTAINER_OF(job, struct resolver_question, job));
}

static void back_from_lane(struct work_job *job)
{
    struct resolver_question *q = CONTAINER_OF(job, struct resolver_question, job);
    int error = resolver_dns_take(q);
    if (!q->asker || q->count)
        resolver_question_end(q, 0);
    else if (error)
        resolver_question_end(q, error);
    else
        resolver_dns_ask(q);
}

static struct resolver_question *new_question(struct resolver *resolver, slice host)
{
    size_t bytes = sizeof(struct resolver_question) + host.n + 1;
    struct resolver_question *q = mem_alloc0(&resolver->owner, bytes);
    if (!q)
        return NULL;
    q->resolver = resolver;
    q->name_bytes = host.n;
    memcpy(q->name, host.p, host.n);
    timeout_init(&q->limit, on_limit);
    list_push_back(&resolver->questions, &q->link);
    resolver->question_count++;
    return q;
}

static int ask(struct resolver *resolver, struct resolve *r, slice host, uint16_t port, int family)
{
    if (resolver->question_count == RESOLVER_QUESTIONS_MAX)
        return -EBUSY;
    if (!resolver->lane)
        resolver->lane = work_lane_new(resolver->loop, "names", 1);
    struct resolver_question *q = resolver->lane ? new_question(resolver, host) : NULL;
    if (!q)
        return -ENOMEM;
    q->asker = r;
    q->port = port;
    q->family = family;
    q->wants_channel = !resolver->channel;
    q->job.run = run;
    q->job.done = back_from_lane;
    r->question = q;
    timeout_set(loop_wheel(resolver->loop), &q->limit,
                loop_now_ms(resolver->loop) + resolver->settings.timeout_ms);
    work_submit(resolver->lane, &q->job);
    return 0;
}

int resolver_start(struct resolver *resolver, struct resolve *r, slice host, uint16_t port,
                   int family)
{
    r->error = 0;
    r->count = 0;
    r->question = NULL;
    list_init(&r->ready);
    if (resolver->is_stopped)
        return -ECANCELED;
    if (is_known(r, host, port, family)) {
        make_ready(resolver, r, 0);
        return 0;
    }
    return is_name(host) ? ask(resolver, r, host, port, family) : -EINVAL;
}

void resolver_cancel(struct resolver *resolver, struct resolve *r)
{
    if (r->ready.next)
        list_remove(&r->ready);
    if (r->question) {
        timeout_clear(&r->question->limit);
        r->question->asker = NULL;
    }
    r->question = NULL;
}

const char *resolver_error_text(int error)
{
    switch (error) {
    case 0:
        return "it has addresses";
    case -ENOENT:
        return "there is no such host name";
    case -ENODATA:
        return "the host name has no address of that kind";
    case -ETIMEDOUT:
        return "no name server answered in time";
    case -ECONNREFUSED:
        return "no name server can be reached, or none has an answer";
    case -EREMOTEIO:
        return "the name server could not answer";
    case -EBADMSG:
        return "the name server's answer makes no sense";
    case -EINVAL:
        return "this is not a host name";
    case -EBUSY:
        return "too many host names are being looked up";
    case -ENOMEM:
        return "there is no memory left";
    case -ECANCELED:
        return "the server is ending";
    default:
        return "the host name could not be looked up";
    }
}

/* ---- Life. ---- */

struct resolver *resolver_new(struct loop *loop, struct mem_book *book,
                              const struct resolver_settings *settings, int *error_out)
{
    *error_out = -ENOMEM;
    struct resolver *resolver = calloc(1, sizeof *resolver); /* the account stands in it */
    if (!resolver)
        return NULL;
    mem_owner_init(&resolver->owner, book, "resolver");
    if (!mem_charge(&resolver->owner, sizeof *resolver)) {
        mem_owner_fini(&resolver->owner);
        free(resolver);
        return NULL;
    }
    resolver->loop = loop;
    if (settings)
        resolver->settings = *settings;
    if (resolver->settings.timeout_ms <= 0)
        resolver->settings.timeout_ms = TIMEOUT_MS;
    list_init(&resolver->questions);
    list_init(&resolver->ready);
    loop_deferred_init(&resolver->telling, tell);
    resolver_dns_init(resolver);
    *error_out = 0;
    return resolver;
}

void resolver_stop(struct resolver *resolver)
{
    resolver->is_stopped = true;
    LIST_EACH (n, &resolver->questions)
        answer(CONTAINER_OF(n, struct resolver_question, link), -ECANCELED);
    resolver_dns_stop(resolver);
}

bool resolver_is_idle(const struct resolver *resolver)
{
    return list_is_empty(&resolver->ready) && resolver->question_count == 0;
}

void resolver_free(struct resolver **at)
{
    struct resolver *resolver = *at;
    *at = NULL;
    if (!resolver)
        return;
    BUG_ON(!resolver_is_idle(resolver));
    loop_defer_cancel(&resolver->telling);
    work_lane_free(&resolver->lane);
    resolver_dns_fini(resolver);
    mem_discharge(&resolver->owner, sizeof *resolver);
    mem_owner_fini(&resolver->owner);
    free(resolver);
}
