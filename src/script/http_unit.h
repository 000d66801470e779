/* http_unit: HTTP servers that scripts declare: the live server, its routes, and how a request
 * reaches a Lua function.
 *
 *     exchange -> answer() -> route_find -> a C handler, or l_request_start -> task -> the function
 * -> l_reply
 */
#ifndef SCRIPT_HTTP_UNIT_H
#define SCRIPT_HTTP_UNIT_H

#include "protocol/http/http.h"
#include "protocol/http/route.h"
#include "script/declare.h"
#include "script/l_api.h"

struct l_task;
struct l_events;

/* What a route leads to. */
struct target {
    int function;                 /* in the registry; or LUA_NOREF */
    struct http_handler *handler; /* of C, when there is no function */
    struct buf *text;             /* or a fixed text */
};

/* medusa.http.server{...}: in a userdata of the version. */
struct declared_http {
    struct declared base; /* first */
    struct listen_at listen[LISTEN_MAX];
    struct http_settings settings;
    struct error_pages pages; /* the site's own; none by default */
    struct route_table *routes;
    struct target *targets;
    unsigned target_count, target_room;
};

struct live_http {
    struct live base; /* first */
    struct http_server http;
    struct http_handler handler;
};

extern const struct server_kind http_kind;

/* Reads all but routes and listen from the table at index 1 (l_http_options.c). RAISES. */
void l_http_read_settings(lua_State *L, struct declared_http *d);

/* A C handler as a Lua value: medusa.http.files(...) and its kin return one. [hold] is released
 * with it (may be NULL). RAISES. */
void l_push_handler(lua_State *L, struct http_handler *handler);
/* The same for one path of its tree only, whatever the request's is. RAISES. */
void l_push_file_handler(lua_State *L, struct http_handler *handler, slice path);
/* The handler at [at], or NULL when something else is there. */
struct http_handler *l_to_handler(lua_State *L, int at);

/* ---- Requests (l_request.c) ---- */

/* What has been read of a request's body and not been taken yet. */
struct l_body {
    char *p; /* charged to the unit's heap */
    uint32_t n, room;
    bool has_begun, has_ended, is_streamed, has_failed;
    struct l_task *waiter; /* for more */
};

/* A request as the script sees it; in a userdata. ex is NULL when the request is over. */
struct l_request {
    struct exchange *ex;
    struct l_task *task;
    struct route_match *match;     /* in the exchange's arena; NULL without parameters */
    struct http_handler *delegate; /* answers when the function has returned ... */
    slice delegate_path; /* ... for this path, in the exchange's arena; .p NULL: for what the route
                            left of it */
    struct l_body body;
    struct l_events
        *events; /* its answer, when that is a stream of events; kept in the table of its fields */
    struct list_node uploads; /* of its form: upload.h */
    bool waits_for_room;
    int16_t fail_status; /* the server's own page for this status is the answer */
};

/* Calls the target's function for the exchange. */
void l_request_start(struct version *v, const struct target *target, struct exchange *ex,
                     const struct route_match *match);

/* The request at [at], still alive; RAISES. */
struct l_request *l_check_request(lua_State *L, int at);

/* Answers with the value(s) from index [first] on to the top of L: see the manual, "What a handler
 * returns". RAISES. */
void l_reply(lua_State *L, struct l_request *r, int first);

/* The handler at [at] answers the request when the function has returned. False: there is none.
 * RAISES. */
bool l_delegate(lua_State *L, struct l_request *r, int at);

/* Adds the fields of the table at [at] ({Name = value or {values}}) to the response. RAISES. */
void l_reply_fields(lua_State *L, struct exchange *ex, int at);

/* Queries (l_query.c) and cookies (l_cookie.c). */
int l_request_query_all(lua_State *L);
int l_request_set_cookie(lua_State *L);
void l_push_cookies(lua_State *L, const struct http1_req *req); /* a table; RAISES */
/* Adds a Set-Cookie for each in the table at [at]. RAISES. */
void l_reply_cookies(lua_State *L, struct exchange *ex, int at);

/* Methods on bodies (l_body.c). */
int l_request_body(lua_State *L);
int l_request_read(lua_State *L);
/* Streams of events (l_events.c). */
int l_request_events(lua_State *L);
/* Its request is over; the waiting tasks are put on that list, to be told by l_events_wake. */
void l_events_detach(struct l_events *e, struct list_node *waiters_out);
void l_events_wake(struct list_node *waiters);
void l_events_on_room(struct l_events *e);

/* What has come was taken, or nobody will. */
void l_body_free(struct version *v, struct l_request *r);
int l_request_form(lua_State *L); /* l_form.c */
/* Asks for the body when nobody has yet: whole, or in pieces (what has come stands in r->body, and
 * not much more comes before exchange_resume_body). RAISES. */
void l_body_begin(lua_State *L, struct l_request *r, bool is_streamed);
/* To be returned by a binding function: k goes on when more has come, the body has ended or the
 * request is over. RAISES. */
int l_body_wait(lua_State *L, struct l_request *r, lua_KFunction k);
/* What is returned then. RAISES. */
int l_body_give_broken(lua_State *L, const struct l_request *r);

extern const struct l_function l_request_methods[];
extern const size_t l_request_method_count;
/* __index of requests; upvalue 1: the table of methods. */
int l_request_index(lua_State *L);
int l_request_newindex(lua_State *L);
/* Puts the names of the fields into the table of methods on the top. RAISES. */
void l_request_name_fields(lua_State *L);
/* Pushes the table of header fields: one string a name. RAISES. */
void l_push_headers(lua_State *L, const struct http_field *fields, unsigned count);
/* __index of the table req.headers. */
int l_headers_index(lua_State *L);

#endif
