/* complain: what a person at the terminal is told when the program cannot begin. */
#ifndef MAIN_COMPLAIN_H
#define MAIN_COMPLAIN_H

#include "base/defs.h"

/* One sentence on standard error; returns false, for "return complain(...)". */
PRINTF(1, 2) bool complain(const char *format, ...);

#endif
