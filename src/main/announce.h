/* announce: tells the person at the terminal where to look. */
#ifndef MAIN_ANNOUNCE_H
#define MAIN_ANNOUNCE_H

#include "protocol/server.h"

/* Prints the URLs of all listeners of an HTTP server to standard output. */
void announce(const struct server *server, const char *root);

/* The URLs of one port of an HTTP server, a line each. */
void announce_port(const struct server_port *port);

#endif
