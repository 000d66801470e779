/* fetch: a request of a script to another server: what it says, copied, and what of the answer has
 * come and has not been taken.
 *
 * It belongs to its version: when that goes, or the script forgets it, the request is cancelled. A
 * streamed answer is read no further than FETCH_AHEAD beyond what was taken. Its texts are on the
 * account of the script. */
#ifndef SCRIPT_FETCH_H
#define SCRIPT_FETCH_H

#include "protocol/http/client.h"
#include "script/l_link.h"

#define FETCH_AHEAD      (64 * KIB)
#define FETCH_FIELDS_MAX 64

struct l_task;

/* What is asked; all of it is copied. */
struct fetch_spec {
    slice url, method;
    slice body; /* .p NULL: none */
    struct http_field fields[FETCH_FIELDS_MAX];
    unsigned field_count;
    int64_t timeout_ms, connect_ms;
    uint64_t redirects, max_body;
    bool is_streamed; /* the timeout is for the head, and between pieces; else it is for everything
                       */
};

enum fetch_wait { FETCH_HEAD, FETCH_DATA, FETCH_END };

struct fetch {
    /* read-only */
    bool has_head, has_ended;
    int status;
    struct http_field *fields; /* of the answer */
    unsigned field_count;
    slice data; /* that came and was not taken */
    /* private */
    struct belonging base;
    struct loop_deferred grave;
    struct l_link *link;
    struct host *host;
    struct mem_owner *owner;
    struct http_request r;
    struct l_task *task;
    enum fetch_wait wait;
    bool is_streamed;
    int error;
    char why[128];
    char *asked, *head, *room; /* copies: the request; the answer's fields; its body */
    size_t asked_n, head_n, room_n;
};

/* Linked to [link]. NULL: *why_out is a sentence, valid until the turn ends. */
MUST_USE struct fetch *fetch_new(struct version *v, const struct fetch_spec *spec,
                                 struct l_link *link, const char **why_out);

/* [t] is woken when there is what it waits for, or the end. */
void fetch_wait(struct fetch *f, struct l_task *t, enum fetch_wait wait);

/* f->data was taken. */
void fetch_taken(struct fetch *f);

/* NULL when it has not ended, or well. */
const char *fetch_error(const struct fetch *f);

/* Cancels what is going on. */
void fetch_free(struct fetch *f);

#endif
