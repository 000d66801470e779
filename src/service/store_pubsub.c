/* store_pubsub: channels and who listens. A channel exists while somebody listens to it; prefixes
 * are channels of their own kind. Publishing asks the table for the very name and for each of its
 * beginnings that is as long as some prefix: what others listen to costs nothing. */
#include "base/check.h"
#include "service/store_parts.h"

#include <errno.h>

#define MOST_DEEP 16

bool store_subs_init(struct store *s)
{
    rand_fill(&s->subs.key, sizeof s->subs.key);
    return hash_table_init(&s->subs.table, &s->owner, 16);
}

void store_subs_fini(struct store *s)
{
    BUG_ON(s->subs.subscribers != 0);
    hash_table_fini(&s->subs.table);
}

/* A prefix and a name of the same letters differ. */
static uint64_t hash_of(const struct store_subs *t, slice name, bool is_prefix)
{
    return hash_bytes(&t->key, name) ^ is_prefix;
}

static struct store_channel *find_channel(const struct store_subs *t, slice name, bool is_prefix)
{
    struct hash_node *n = hash_table_first(&t->table, hash_of(t, name, is_prefix));
    for (; n; n = hash_table_next(n)) {
        struct store_channel *c = CONTAINER_OF(n, struct store_channel, node);
        if (c->is_prefix == is_prefix && slice_is(slice_of(c->name, c->name_bytes), name))
            return c;
    }
    return NULL;
}

static int channel_new(struct store *s, slice name, bool is_prefix, struct store_channel **out)
{
    void *p;
    int error = store_take(s, sizeof **out + name.n, 0, &p);
    if (error)
        return error;
    struct store_channel *c = p;
    *c = (struct store_channel){.name_bytes = (uint16_t)name.n, .is_prefix = is_prefix};
    if (name.n)
        memcpy(c->name, name.p, name.n);
    list_init(&c->subs);
    hash_table_add(&s->subs.table, &c->node, hash_of(&s->subs, name, is_prefix));
    if (is_prefix)
        s->subs.prefixes[name.n]++;
    s->subs.channels++;
    *out = c;
    return 0;
}

static void free_if_unused(struct store *s, struct store_channel *c)
{
    if (c->deliveries || !list_is_empty(&c->subs))
        return;
    hash_table_remove(&s->subs.table, &c->node);
    if (c->is_prefix)
        s->subs.prefixes[c->name_bytes]--;
    s->subs.channels--;
    mem_free(&s->owner, c, sizeof *c + c->name_bytes);
}

int store_subscribe(struct store *s, struct store_sub *sub)
{
    slice name = sub->channel;
    BUG_ON(sub->at);
    if (name.n == 0)
        return -EINVAL;
    bool is_prefix = name.p[name.n - 1] == '*';
    if (is_prefix)
        name.n--;
    if (name.n > STORE_CHANNEL_MAX - is_prefix)
        return -EMSGSIZE;
    struct store_channel *c = find_channel(&s->subs, name, is_prefix);
    int error = c ? 0 : channel_new(s, name, is_prefix, &c);
    if (error)
        return error;
    sub->at = c;
    sub->since = ++s->subs.clock;
    list_push_back(&c->subs, &sub->link);
    s->subs.subscribers++;
    return 0;
}

void store_unsubscribe(struct store *s, struct store_sub *sub)
{
    struct store_channel *c = sub->at;
    if (!c)
        return;
    for (struct store_delivery *d = s->subs.deliveries; d; d = d->outer)
        if (d->next == &sub->link)
            d->next = sub->link.next;
    list_remove(&sub->link);
    sub->at = NULL;
    s->subs.subscribers--;
    free_if_unused(s, c);
}

/* A message on its way. */
struct mail {
    slice channel, message;
    uint64_t until; /* those who subscribed later do not get it */
};

static ssize_t deliver_to(struct store *s, struct store_channel *c, const struct mail *mail)
{
    ssize_t delivered = 0;
    struct store_delivery d = {.outer = s->subs.deliveries, .next = c->subs.next};
    s->subs.deliveries = &d;
    c->deliveries++;
    while (d.next != &c->subs) {
        struct store_sub *sub = CONTAINER_OF(d.next, struct store_sub, link);
        d.next = d.next->next;
        if (sub->since > mail->until)
            break; /* and so are all after it */
        sub->on_message(sub, mail->channel, mail->message);
        delivered++;
    }
    c->deliveries--;
    s->subs.deliveries = d.outer;
    free_if_unused(s, c);
    return delivered;
}

ssize_t store_publish(struct store *s, slice channel, slice message)
{
    struct store_subs *t = &s->subs;
    if (channel.n > STORE_CHANNEL_MAX)
        return -EMSGSIZE;
    if (t->depth == MOST_DEEP)
        return -ELOOP;
    t->depth++;
    ssize_t delivered = 0;
    struct mail mail = {.channel = channel, .message = message, .until = t->clock};
    struct store_channel *c = find_channel(t, channel, false);
    if (c)
        delivered += deliver_to(s, c, &mail);
    for (size_t n = 0; n <= MIN(channel.n, STORE_CHANNEL_MAX - 1); n++) {
        c = t->prefixes[n] ? find_channel(t, slice_head(channel, n), true) : NULL;
        if (c)
            delivered += deliver_to(s, c, &mail);
    }
    t->depth--;
    s->published++;
    s->delivered += (uint64_t)delivered;
    return delivered;
}
