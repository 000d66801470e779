/* resolver_parts: what the two halves of the resolver share: resolver.c (questions) and
 * resolver_dns.c (c-ares in the loop, and on the lane). Nobody else includes it. */
#ifndef SERVICE_RESOLVER_PARTS_H
#define SERVICE_RESOLVER_PARTS_H

#include "service/resolver.h"

#include <ares.h>

/* Where a question is. It lives until c-ares and the lane are through with it, whether or not
 * somebody still waits. */
struct resolver_question {
    struct work_job job;
    struct list_node link; /* in resolver->questions */
    struct resolver *resolver;
    struct resolve *asker; /* NULL: nobody waits any more */
    struct timeout limit;
    uint16_t port;
    int family;
    bool wants_channel; /* the lane shall make one */
    bool is_newer;      /* it did so because /etc/resolv.conf has changed */
    /* from the lane */
    ares_channel channel;
    int status; /* of making it: ARES_SUCCESS ... */
    struct addr found[RESOLVE_MAX];
    unsigned count;
    size_t name_bytes;
    char name[]; /* terminated */
};

/* A descriptor of c-ares, known to the loop. */
struct resolver_watch {
    struct list_node link; /* in resolver->watches until it is freed */
    struct loop_fd lfd;
    struct loop_deferred burial;
    struct resolver *resolver;
};

/* Which /etc/resolv.conf it was; all zero: none. */
struct resolver_conf {
    dev_t dev;
    ino_t ino;
    off_t bytes;
    struct timespec changed;
};

struct resolver {
    struct loop *loop;
    struct mem_owner owner; /* "resolver" */
    struct resolver_settings settings;
    struct work_lane *lane; /* NULL: nobody has asked yet */
    struct list_node questions;
    unsigned question_count;
    struct list_node ready; /* struct resolve: their done is to be called */
    struct loop_deferred telling;
    bool is_stopped;
    /* c-ares in the loop */
    ares_channel channel; /* NULL: not made yet */
    struct timeout tick;
    struct list_node watches;
    /* The lane's own: only its one thread touches it. */
    ares_channel files;            /* for /etc/hosts */
    struct resolver_conf conf_was; /* when a channel was made of it last */
};

/* ---- resolver_dns.c ---- */

/* On the lane: looks into /etc/hosts; if it has no answer, makes a channel when one is wanted. */
void resolver_dns_files(struct resolver_question *q);

/* Back in the loop: takes over the channel that [q] has made, if it is of use; questions of an
 * older one are asked again. < 0: -errno, there is none to ask. */
MUST_USE int resolver_dns_take(struct resolver_question *q);

/* Asks name servers; resolver_question_end tells, perhaps before this returns. */
void resolver_dns_ask(struct resolver_question *q);

void resolver_dns_init(struct resolver *r);
/* Ends all that is being asked; resolver_question_end is called for each. */
void resolver_dns_stop(struct resolver *r);
void resolver_dns_fini(struct resolver *r);

/* ---- resolver.c ---- */

/* [q] is answered and freed. 0: with what was found. */
void resolver_question_end(struct resolver_question *q, int error);

#endif
