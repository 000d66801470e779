/* process: what every kind of server process has, whatever it serves: accounts of memory, loop,
 * logs, the table of media types, signals, giving up root, draining, the end.
 *
 * Embedded in the struct of serve.c or run.c, which build on it what is theirs and take that down
 * again.
 *
 *     process_begin -> process_take_log, process_load_mime -> (build, listen) ->
 * process_give_up_root
 *     -> process_start -> loop_run -> (abort what is left) -> process_wind_down
 *     -> true: (free what was built) -> process_free;   false: process_abandon, _exit */
#ifndef MAIN_PROCESS_H
#define MAIN_PROCESS_H

#include "base/log.h"
#include "io/stream.h"
#include "service/accesslog.h"
#include "service/logsink.h"
#include "wire/mime.h"

struct process;

struct process_ops {
    /* The first TERM or INT: end what is there when it can end; process_stop when nothing is left.
     * After p->drain_ms, or at the second signal, the loop is stopped anyway. */
    void (*drain)(struct process *p);
    /* USR2: tell the log what is going on. */
    void (*status)(struct process *p);
    /* HUP, when the log files have been opened again; may be NULL. */
    void (*reload)(struct process *p);
    /* How many connections are open. */
    size_t (*sessions)(struct process *p);
    /* Everything has ended, and can be freed. */
    bool (*is_empty)(struct process *p);
};

struct process {
    /* public */
    int64_t drain_ms;
    /* read-only */
    const struct process_ops *ops;
    struct mem_book book;
    struct mem_owner owner; /* "main" */
    struct log log;
    struct logsink *log_sink, *access_sink; /* access_sink: NULL = no access log */
    struct accesslog accesslog;             /* for HTTP servers; off without access_sink */
    struct loop *loop;
    struct io io;
    struct mime_table *mime;
    bool is_started, is_draining;
    /* private */
    struct timeout drain_timeout;
    struct timeout report_timeout;
};

/* Loop, accounts with a budget of [memory] bytes (0: none), signals. False: it has complained, and
 * the process can only end. Nothing may have started a thread before. */
MUST_USE bool process_begin(struct process *p, const struct process_ops *ops, size_t memory);

/* A sink for the log: the file at [path], or standard error for NULL. NULL and *error_out. */
MUST_USE struct logsink *process_open_log(struct process *p, const char *path, int *error_out);

/* From now on that is where the log (the access log; NULL: there is none) goes. The one before is
 * closed; for the access log, it may be the same with another format. */
void process_take_log(struct process *p, struct logsink *sink);
void process_take_access_log(struct process *p, struct logsink *sink, enum accesslog_format format);

/* The system's table of media types, when there is one: /etc/mime.types of the package media-types.
 * False: it has complained. */
MUST_USE bool process_load_mime(struct process *p);

/* Raises the limit of open files to what is allowed. How many clients fit below it. */
MUST_USE size_t process_most_connections(void);

/* Becomes [user], for good; NULL stays what it is, and warns when that is root. [setting] is what
 * the user's name is called ("--user"), [advice] what to do about root. False: it has complained.
 */
MUST_USE bool process_give_up_root(const char *user, const char *setting, const char *advice);

/* It serves: from now on a signal drains. */
void process_start(struct process *p);

/* Ends loop_run. */
void process_stop(struct process *p);

/* Lets the loop turn until is_empty, for a second at most. True: it is. */
MUST_USE bool process_wind_down(struct process *p);

void process_free(struct process *p);

/* A disk hangs below a worker: nothing can be freed safely, and need not be. Writes out the logs.
 */
void process_abandon(struct process *p);

#endif
