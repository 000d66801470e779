/* l_log: errors of scripts, line by line. */
#include "script/l_log.h"

#define TRACE_LINES 24

void l_log_error(struct version *v, const char *id, slice what, const char *message)
{
    char room[LOG_LINE_MAX];
    slice rest = slice_str(message);
    unsigned lines = 0;
    for (slice line; lines < TRACE_LINES && slice_cut(&rest, '\n', &line); lines++) {
        struct fmt f = fmt_on(room, sizeof room);
        log_escape(&f, slice_head(slice_trim(line), 200));
        if (lines == 0) {
            char who[256];
            struct fmt w = fmt_on(who, sizeof who);
            log_escape(&w, slice_head(what, 60));
            log_line(v->host->log, LOG_ERROR, id, "%s: %.*s: %.*s", v->unit->name,
                     SLICE_ARGS(fmt_done(&w)), SLICE_ARGS(fmt_done(&f)));
        } else {
            log_line(v->host->log, LOG_ERROR, id, "    %.*s", SLICE_ARGS(fmt_done(&f)));
        }
    }
}
