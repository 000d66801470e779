/* subs: queues between publishers and units. No Lua code runs from here but in tasks. */
#include "script/subs.h"

#include "base/check.h"
#include "script/l_log.h"

#include <errno.h>
#include <lauxlib.h>

/* ---- Mail ---- */

static struct mail *mail_new(struct host *host, slice channel, size_t n)
{
    struct mail *m = mem_alloc(&host->owner, sizeof *m + n);
    if (!m)
        return NULL;
    m->holders = 1;
    m->bytes = n;
    m->channel_bytes = (uint8_t)channel.n;
    if (channel.n)
        memcpy(m->channel, channel.p, channel.n);
    return m;
}

static void mail_release(struct host *host, struct mail *m)
{
    if (--m->holders == 0)
        mem_free(&host->owner, m, sizeof *m + m->bytes);
}

void letter_free(struct host *host, struct letter **at)
{
    struct letter *letter = *at;
    *at = NULL;
    if (!letter)
        return;
    mail_release(host, letter->mail);
    mem_free(&host->owner, letter, sizeof *letter);
}

struct letter *sub_take(struct sub *sub)
{
    struct list_node *n = list_pop_front(&sub->letters);
    if (!n)
        return NULL;
    struct letter *letter = CONTAINER_OF(n, struct letter, link);
    sub->count--;
    sub->bytes -= letter->mail->bytes;
    return letter;
}

static void drop_letters(struct sub *sub)
{
    for (struct letter *letter; (letter = sub_take(sub));)
        letter_free(sub->version->host, &letter);
}

/* ---- Ends ---- */

static void sub_free(struct sub *sub)
{
    struct version *v = sub->version;
    BUG_ON(sub->task || sub->base.at);
    drop_letters(sub);
    list_remove(&sub->link);
    l_link_cut(&sub->handle);
    luaL_unref(v->L, LUA_REGISTRYINDEX, sub->function);
    mem_free(&v->host->owner, sub, sizeof *sub);
}

/* A listener that has ended stays for its userdata, which reads what is left. */
static void free_if_unused(struct sub *sub)
{
    bool is_read = sub->function == LUA_NOREF && sub->handle;
    if (sub->is_ended && !sub->task && !is_read && list_is_empty(&sub->letters))
        sub_free(sub);
}

void sub_end(struct sub *sub, bool drops)
{
    if (drops)
        drop_letters(sub);
    if (!sub->is_ended && sub->version->host->store)
        store_unsubscribe(sub->version->host->store, &sub->base);
    sub->is_ended = true;
    sub->is_pending = false;
    if (sub->function == LUA_NOREF && sub->task) {
        struct l_task *t = sub->task;
        sub->task = NULL;
        l_task_wake(t); /* *sub may be gone now */
        return;
    }
    free_if_unused(sub);
}

void sub_forget(struct sub *sub)
{
    l_link_cut(&sub->handle);
    if (sub->function == LUA_NOREF)
        sub_end(sub, true);
}

/* ---- A task for each message of a function ---- */

static void on_done(struct l_task *t, const char *error);

/* Posted: one message per turn, so a long queue leaves room for others. */
static void start_next(struct sub *sub)
{
    if (sub->task || sub->function == LUA_NOREF || list_is_empty(&sub->letters))
        return;
    struct l_task *t = l_task_new(sub->version);
    if (!t)
        return; /* the next message tries again */
    t->owner = sub;
    t->on_done = on_done;
    sub->task = t;
    sub->current = sub_take(sub);
    l_task_post(t, l_sub_run, sub);
}

static void on_done(struct l_task *t, const char *error)
{
    struct sub *sub = t->owner;
    bool is_cancelled = error && slice_is(slice_str(error), SLICE("cancelled"));
    if (error && !(is_cancelled && sub->is_ended))
        l_log_error(sub->version, "script.error", slice_of(sub->channel, sub->base.channel.n),
                    error);
    letter_free(sub->version->host, &sub->current);
    sub->task = NULL;
    if (is_cancelled && sub->is_ended)
        drop_letters(sub);
    start_next(sub);
    if (sub->is_ended && !sub->task)
        drop_letters(sub);
    free_if_unused(sub);
}

/* ---- Messages come ---- */

static void tell_dropped(struct sub *sub)
{
    struct host *host = sub->version->host;
    host->letters_dropped++;
    sub->dropped++;
    if (sub->is_told)
        return;
    sub->is_told = true;
    char room[300];
    struct fmt f = fmt_on(room, sizeof room);
    log_escape(&f, slice_head(sub->base.channel, 60));
    log_line(host->log, LOG_WARNING, "script.drop",
             "%s: a subscription to %.*s is too slow: its oldest messages are dropped, %zu wait",
             sub->version->unit->name, SLICE_ARGS(fmt_done(&f)), sub->count);
}

/* One copy for all who get this message. */
static struct mail *mail_of(struct host *host, slice channel, slice message)
{
    struct mail *m = host->mail;
    if (m && m->message == message.p) {
        m->holders++;
        return m;
    }
    m = mail_new(host, channel, message.n);
    if (m && message.n)
        memcpy(m->message, message.p, message.n);
    return m;
}

static bool add_letter(struct sub *sub, slice channel, slice message)
{
    struct host *host = sub->version->host;
    struct letter *letter = mem_alloc(&host->owner, sizeof *letter);
    if (!letter)
        return false;
    letter->mail = mail_of(host, channel, message);
    if (!letter->mail) {
        mem_free(&host->owner, letter, sizeof *letter);
        return false;
    }
    list_init(&letter->link);
    list_push_back(&sub->letters, &letter->link);
    sub->count++;
    sub->bytes += message.n;
    return true;
}

static void on_message(struct store_sub *base, slice channel, slice message)
{
    struct sub *sub = CONTAINER_OF(base, struct sub, base);
    if (list_is_empty(&sub->letters))
        sub->is_told = false;
    while (sub->count && (sub->count >= sub->most || sub->bytes + message.n > QUEUE_BYTES)) {
        struct letter *oldest = sub_take(sub);
        letter_free(sub->version->host, &oldest);
        tell_dropped(sub);
    }
    if (!add_letter(sub, channel, message))
        tell_dropped(sub);
    if (sub->function != LUA_NOREF) {
        start_next(sub);
        return;
    }
    struct l_task *t = sub->task;
    sub->task = NULL;
    if (t)
        l_task_wake(t);
}

static ssize_t publish(struct host *host, struct store *s, struct mail *m)
{
    host->mail = m;
    ssize_t receivers =
        store_publish(s, slice_of(m->channel, m->channel_bytes), slice_of(m->message, m->bytes));
    host->mail = NULL;
    return receivers;
}

ssize_t subs_publish(struct host *host, struct store *s, slice channel, struct store_value v)
{
    if (channel.n > STORE_CHANNEL_MAX)
        return -EMSGSIZE;
    struct mail *m = mail_new(host, channel, v.bytes.n + 1);
    if (!m)
        return -ENOMEM;
    m->message[0] = (char)v.type;
    if (v.bytes.n)
        memcpy(m->message + 1, v.bytes.p, v.bytes.n);
    ssize_t receivers = publish(host, s, m);
    mail_release(host, m);
    return receivers;
}

/* ---- Beginnings ---- */

struct sub *sub_new(struct version *v, slice channel, size_t most)
{
    struct sub *sub = mem_alloc0(&v->host->owner, sizeof *sub);
    if (!sub)
        return NULL;
    memcpy(sub->channel, channel.p, channel.n);
    sub->base =
        (struct store_sub){.channel = slice_of(sub->channel, channel.n), .on_message = on_message};
    sub->version = v;
    sub->most = most;
    sub->function = LUA_NOREF;
    list_init(&sub->letters);
    list_push_back(&v->host->subs, &sub->link);
    return sub;
}

int sub_begin(struct sub *sub, struct store *s)
{
    sub->is_pending = sub->function != LUA_NOREF && sub->version->is_loading;
    return sub->is_pending ? 0 : store_subscribe(s, &sub->base);
}

static struct sub *of_link(struct list_node *n)
{
    return CONTAINER_OF(n, struct sub, link);
}

void subs_begin(struct version *v)
{
    LIST_EACH_SAFE (n, &v->host->subs) {
        struct sub *sub = of_link(n);
        if (sub->version != v || !sub->is_pending)
            continue;
        sub->is_pending = false;
        int error = v->host->store ? store_subscribe(v->host->store, &sub->base) : -ECANCELED;
        if (error == 0)
            continue;
        log_line(v->host->log, LOG_ERROR, "script.subscribe", "%s: a subscription has failed: %s",
                 v->unit->name, strerror(-error));
        sub_end(sub, true);
    }
}

/* Nothing of Lua runs in these: functions' tasks are only posted. */
void subs_retire(struct version *v)
{
    LIST_EACH_SAFE (n, &v->host->subs) {
        struct sub *sub = of_link(n);
        if (sub->version == v && sub->function != LUA_NOREF && !sub->is_ended)
            sub_end(sub, false);
    }
}

void subs_free(struct version *v)
{
    LIST_EACH_SAFE (n, &v->host->subs) {
        struct sub *sub = of_link(n);
        if (sub->version != v)
            continue;
        l_link_cut(&sub->handle);
        sub_end(sub, true);
    }
}

/* What is woken or killed here may free others: each is looked at once, from the head of the list.
 */
void subs_stop(struct host *host)
{
    struct list_node all;
    list_move_all(&all, &host->subs);
    for (struct list_node *n; (n = list_pop_front(&all));) {
        struct sub *sub = of_link(n);
        list_push_back(&host->subs, n);
        struct l_task *t = sub->function != LUA_NOREF ? sub->task : NULL;
        sub_end(sub, true); /* frees it, unless there is such a task */
        if (t)
            l_task_kill(t);
    }
}
