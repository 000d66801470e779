/* l_log: what scripts and their errors put into the log. */
#ifndef SCRIPT_L_LOG_H
#define SCRIPT_L_LOG_H

#include "script/unit.h"

/* A message of several lines (a traceback), each a line of the log. [what] says who failed: "GET
 * /x", "timer". */
void l_log_error(struct version *v, const char *id, slice what, const char *message);

#endif
