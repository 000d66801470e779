/* accesslog: one line per request, into a logsink.
 *
 * Two formats: "combined", as Apache and all its readers know it, and JSON, one object per line.
 * Whatever a peer chose (target, user, referer ...) is bounded and escaped: it cannot begin a new
 * line, end a quoted field, or hide behind control characters.
 *
 * combined   peer - user [10/Oct/2026:13:55:36 +0000] "GET /a HTTP/1.1" 200 1234 "referer" "agent"
 *            Quotes, backslashes, control characters and bytes above 126 become \xHH. What is not
 *            known is "-"; so is the byte count 0.
 * JSON       {"time":"2026-10-10T13:55:36.123Z","peer":"...","user":null,"method":"GET",
 *            "target":"/a","protocol":"HTTP/1.1","status":200,"bytes":1234,"duration_ms":1.204,
 *            "referer":null,"user_agent":null,"host":"...","session":7,"request":1}
 *            What is not known is null; bytes that are not UTF-8 become U+FFFD.
 *
 * Thread: the loop's. */
#ifndef SERVICE_ACCESSLOG_H
#define SERVICE_ACCESSLOG_H

#include "base/slice.h"

struct logsink;

/* Longer values are cut, and end with "..." then. */
#define ACCESSLOG_TARGET_MAX 2048
#define ACCESSLOG_FIELD_MAX  512 /* referer, user agent, host */
#define ACCESSLOG_WORD_MAX   64  /* peer, user, method, protocol */

enum accesslog_format { ACCESSLOG_COMBINED, ACCESSLOG_JSON };

/* What is said of one request. Empty slices are "not known": so are all that a malformed request
 * did not get to. */
struct accesslog_entry {
    int64_t unix_ms;     /* when the request arrived */
    int64_t duration_us; /* until its last byte was sent, or the connection ended */
    slice peer;          /* address without the port */
    slice user;          /* who was let in by password or certificate */
    slice method;
    slice target; /* as it was sent */
    slice protocol;
    slice referer;
    slice user_agent;
    slice host;
    uint64_t bytes_sent; /* of the body */
    uint64_t session_id;
    uint32_t request_number; /* within its session, from 1 */
    int status;
};

struct accesslog {
    /* private */
    struct logsink *sink;
    enum accesslog_format format;
    int64_t cached_s; /* the second whose text [time_text] is */
    char time_text[32];
    size_t time_bytes;
};

/* [sink] belongs to the caller and outlives *log; it is told to announce lost lines in this format.
 * NULL: nothing is logged. May be called again, with another sink. Nothing to finish. */
void accesslog_init(struct accesslog *log, struct logsink *sink, enum accesslog_format format);

/* False: no entry needs to be made; [log] may be NULL. */
static inline bool accesslog_is_on(const struct accesslog *log)
{
    return log && log->sink;
}

/* One line. False: the sink had no room (it counts that). */
bool accesslog_put(struct accesslog *log, const struct accesslog_entry *entry);

/* "combined" or "json", as a user writes it. */
MUST_USE bool accesslog_format_of(slice name, enum accesslog_format *format_out);

#endif
