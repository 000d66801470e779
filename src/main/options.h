/* options: the settings of a server and their names on the command line. One table row per option:
 * parsing, help, and the manual's list come from it. */
#ifndef MAIN_OPTIONS_H
#define MAIN_OPTIONS_H

#include "protocol/http/h_file.h"
#include "protocol/http/http.h"

#define OPTIONS_LISTEN_MAX 16

struct options {
    const char *root;
    slice listen[OPTIONS_LISTEN_MAX];
    unsigned listen_count;
    slice hosts[HTTP_HOSTS_MAX];
    unsigned host_count;
    const char *access_log, *log_format, *log, *user, *error_pages;
    bool no_listing, hidden, verbose;
    uint64_t max_connections, max_header, max_target, max_fields, max_body, max_requests;
    uint64_t cache, memory, min_rate;
    int64_t keepalive_ms, header_ms, drain_ms, rate_window_ms, linger_ms;
};

void options_default(struct options *o);

/* Reads the words after "serve". False: a sentence has been written to [error] (room for
 * OPTIONS_ERROR_MAX bytes, terminated). */
#define OPTIONS_ERROR_MAX 512
MUST_USE bool options_parse(struct options *o, int count, char **words, char *error);

/* The list of options as text for people. */
void options_help(FILE *to);

#endif
