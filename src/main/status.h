/* status: what the process is doing, as text for people: lines in the log. A report is put together
 * of these parts, in this order: servers, trees, the loop, memory, sessions. */
#ifndef MAIN_STATUS_H
#define MAIN_STATUS_H

#include "protocol/http/http.h"
#include "service/vfs.h"

/* Counters of servers, added up. */
struct status_count {
    size_t open, most;
    uint64_t accepted;
    bool is_http; /* http is meant */
    struct http_stats http;
};

/* [http] is NULL when the server's is another protocol. */
void status_add(struct status_count *c, const struct server *server, const struct http_stats *http);

/* "connections: ... open of ..."; [name] stands in front when it is not empty. */
void status_connections(struct log *log, slice name, const struct status_count *c);
void status_files(struct log *log, const struct vfs *vfs);
void status_loop(struct log *log, const struct loop *loop);
void status_memory(struct log *log, const struct mem_book *book);
/* The first hundred, a line each. */
void status_sessions(struct log *log, const struct server *server);

#endif
