/* run: the server that a script describes. */
#ifndef MAIN_RUN_H
#define MAIN_RUN_H

/* Loads [path] as the unit "main" and serves until a signal ends it. The process's exit status. */
int run_script(const char *path);

#endif
