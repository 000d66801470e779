/* log: what the program tells its operator: one line per event, with a level and a stable id.
 *
 * The line is handed to a sink; who writes it where, and that this never blocks the loop, is the
 * sink's matter (service/logsink). Peer-chosen bytes are escaped here, so a client cannot forge a
 * line. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/fmt.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_DEBUG };

struct log;
typedef void (*log_sink_fn)(struct log *log, enum log_level level, slice line);

struct log {
    /* public */
    enum log_level level; /* what is less important is dropped */
    log_sink_fn sink;     /* gets the line without a newline, valid during the call; NULL drops */
    void *sink_owner;
    /* read-only */
    uint64_t counts[4]; /* lines by level, dropped ones too */
};

#define LOG_LINE_MAX 1024

/* [id] is a short stable word ("listen.emfile") that documentation and alarms can refer to. */
PRINTF(4, 5)
void log_line(struct log *log, enum log_level level, const char *id, const char *format, ...);

/* Writes [s] with control characters, quotes, backslashes and bytes above 126 as \xHH. */
void log_escape(struct fmt *f, slice s);

#endif
