/* subs: who is subscribed to a channel of the shared data, and the messages that wait for them.
 *
 *     publish -> struct mail (one, counted) -> a letter in the queue of each sub -> a task per
 * message, or sub:next()
 *
 * A *function* is called in a task of its own for each message, one after the other. It belongs to
 * its version: subscribed when the load has succeeded, no longer when the version is replaced; what
 * is in its queue then is still delivered. A *listener* belongs to a userdata, whose task asks for
 * messages.
 *
 * Owner: the version, in host->subs; a sub frees itself when it has ended and nobody needs it any
 * more. */
#ifndef SCRIPT_SUBS_H
#define SCRIPT_SUBS_H

#include "script/l_link.h"
#include "script/l_task.h"
#include "service/store.h"

#define QUEUE_DEFAULT 1000
#define QUEUE_MAX     100000
#define QUEUE_BYTES   (16 * MIB) /* of messages that wait for one sub; a single one may be larger */

/* A message: its value's bytes after a byte that is its type. */
struct mail {
    unsigned holders;
    size_t bytes;
    uint8_t channel_bytes;
    char channel[STORE_CHANNEL_MAX];
    char message[];
};

struct letter {
    struct list_node link;
    struct mail *mail;
};

struct sub {
    struct store_sub base;
    struct list_node link; /* in host->subs */
    struct version *version;
    struct l_link *handle;
    struct list_node letters;
    size_t count, bytes; /* of letters */
    size_t most;         /* more: the oldest are dropped */
    uint64_t dropped;
    struct letter *current; /* the function's task has it */
    struct l_task *task;    /* the function's; or who waits in sub:next() */
    int function;           /* in the registry; LUA_NOREF: a listener */
    bool is_pending;        /* until its version's load has succeeded */
    bool is_ended, is_told;
    char channel[STORE_CHANNEL_MAX];
};

/* Not subscribed yet. NULL without memory. */
MUST_USE struct sub *sub_new(struct version *v, slice channel, size_t most);

/* As store_subscribe; later, when the version is being loaded and *sub is a function. */
MUST_USE int sub_begin(struct sub *sub, struct store *s);

/* No more messages come. With [drops] those that wait are dropped. *sub may be gone then. */
void sub_end(struct sub *sub, bool drops);

/* Its userdata goes. */
void sub_forget(struct sub *sub);

/* The oldest letter, which is the caller's; NULL: there is none. */
struct letter *sub_take(struct sub *sub);
void letter_free(struct host *host, struct letter **letter);

/* The body of a function's task (l_sub.c): gets *sub, whose current letter is set. */
int l_sub_run(lua_State *L);

/* As store_publish: every sub gets a reference to one copy. -ENOMEM. */
ssize_t subs_publish(struct host *host, struct store *s, slice channel, struct store_value v);

/* ---- Hooks of unit.c and host.c ---- */

void subs_begin(struct version *v);  /* its load has succeeded */
void subs_retire(struct version *v); /* it was replaced, or did not come to be: functions end */
void subs_free(struct version *v);   /* all that is left; before its state is closed */
void subs_stop(struct host *host);   /* all of the host end, with their tasks */

#endif
