/* serve: builds the graph from the options, runs it, takes it down. */
#ifndef MAIN_SERVE_H
#define MAIN_SERVE_H

#include "main/options.h"

/* Returns the exit status of the program; what went wrong has been told on standard error. */
int serve(const struct options *o);

#endif
