/* accesslog: lines from entries. The worst line (every byte escaped) fits the room on the stack, so
 * nothing here can fail but the sink. */
#include "service/accesslog.h"

#include "base/check.h"
#include "base/civil.h"
#include "base/log.h"
#include "service/logsink.h"
#include "wire/escape.h"

#define CUT SLICE("...")

/* One byte becomes six at most (\u00XX). One target, three fields, four words, names and numbers.
 */
#define LINE_MAX_BYTES \
    (6 * (ACCESSLOG_TARGET_MAX + 3 * ACCESSLOG_FIELD_MAX + 4 * ACCESSLOG_WORD_MAX) + 1024)

void accesslog_init(struct accesslog *log, struct logsink *sink, enum accesslog_format format)
{
    *log = (struct accesslog){.sink = sink, .format = format, .cached_s = INT64_MIN};
    if (!sink)
        return;
    if (format == ACCESSLOG_JSON)
        logsink_lost_text(sink, "{\"lost_lines\":", "}");
    else
        logsink_lost_text(sink, "# ", " lines were lost");
}

bool accesslog_format_of(slice name, enum accesslog_format *format_out)
{
    if (slice_is(name, SLICE("combined")))
        *format_out = ACCESSLOG_COMBINED;
    else if (slice_is(name, SLICE("json")))
        *format_out = ACCESSLOG_JSON;
    else
        return false;
    return true;
}

/* "10/Oct/2026:13:55:36 +0000" */
static void put_apache_time(struct fmt *f, int64_t unix_s)
{
    struct civil c = civil_within(unix_s);
    fmt_u64_wide(f, (uint64_t)c.day, 2);
    fmt_char(f, '/');
    fmt_str(f, civil_months[c.month - 1]);
    fmt_char(f, '/');
    fmt_u64_wide(f, (uint64_t)c.year, 4);
    fmt_char(f, ':');
    civil_put_time(f, &c);
    fmt_put(f, SLICE(" +0000"));
}

/* The text of a second, made once: thousands of requests share it. */
static void put_second(struct accesslog *log, struct fmt *f, int64_t unix_s)
{
    if (unix_s != log->cached_s) {
        struct fmt text = fmt_on(log->time_text, sizeof log->time_text);
        if (log->format == ACCESSLOG_JSON)
            civil_put_rfc3339(&text, unix_s);
        else
            put_apache_time(&text, unix_s);
        log->time_bytes = fmt_done(&text).n;
        log->cached_s = unix_s;
    }
    fmt_put(f, slice_of(log->time_text, log->time_bytes));
}

/* ---- combined ---- */

/* Within quotes; "-" when there is nothing to say. */
static void put_quoted(struct fmt *f, slice s, size_t max)
{
    if (!s.n)
        fmt_char(f, '-');
    log_escape(f, slice_head(s, max));
    if (s.n > max)
        fmt_put(f, CUT);
}

/* Where a blank would end it: outside quotes, and within the request line. */
static void put_unbroken(struct fmt *f, slice s, size_t max)
{
    slice rest = slice_head(s, max);
    if (!rest.n)
        fmt_char(f, '-');
    for (slice part; slice_cut(&rest, ' ', &part);) {
        log_escape(f, part);
        if (rest.p)
            fmt_put(f, SLICE("\\x20"));
    }
    if (s.n > max)
        fmt_put(f, CUT);
}

/* The line as it was sent, as far as it was understood. */
static void put_request_line(struct fmt *f, const struct accesslog_entry *e)
{
    put_unbroken(f, e->method, ACCESSLOG_WORD_MAX);
    if (!e->method.n)
        return;
    fmt_char(f, ' ');
    put_unbroken(f, e->target, ACCESSLOG_TARGET_MAX);
    if (!e->protocol.n)
        return;
    fmt_char(f, ' ');
    put_unbroken(f, e->protocol, ACCESSLOG_WORD_MAX);
}

static void put_combined(struct accesslog *log, struct fmt *f, const struct accesslog_entry *e)
{
    put_unbroken(f, e->peer, ACCESSLOG_WORD_MAX);
    fmt_put(f, SLICE(" - "));
    put_unbroken(f, e->user, ACCESSLOG_WORD_MAX);
    fmt_put(f, SLICE(" ["));
    put_second(log, f, e->unix_ms / 1000);
    fmt_put(f, SLICE("] \""));
    put_request_line(f, e);
    fmt_put(f, SLICE("\" "));
    fmt_u64(f, (uint64_t)MAX(0, e->status));
    fmt_char(f, ' ');
    if (e->bytes_sent)
        fmt_u64(f, e->bytes_sent);
    else
        fmt_char(f, '-');
    fmt_put(f, SLICE(" \""));
    put_quoted(f, e->referer, ACCESSLOG_FIELD_MAX);
    fmt_put(f, SLICE("\" \""));
    put_quoted(f, e->user_agent, ACCESSLOG_FIELD_MAX);
    fmt_char(f, '"');
}

/* ---- JSON ---- */

/* At most [max] bytes, and no half of a UTF-8 sequence at the end that was whole before. */
static slice head_utf8(slice s, size_t max)
{
    if (s.n <= max)
        return s;
    size_t n = max;
    while (n > max - 3 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return slice_head(s, ((unsigned char)s.p[n] & 0xc0) == 0x80 ? max : n);
}

/* ,"name":"value" */
static void put_string(struct fmt *f, const char *name, slice s, size_t max)
{
    fmt_put(f, SLICE(",\""));
    fmt_str(f, name);
    if (!s.n) {
        fmt_put(f, SLICE("\":null"));
        return;
    }
    fmt_put(f, SLICE("\":\""));
    escape_json(f, head_utf8(s, max));
    if (s.n > max)
        fmt_put(f, CUT);
    fmt_char(f, '"');
}

static void put_number(struct fmt *f, const char *name, uint64_t value)
{
    fmt_put(f, SLICE(",\""));
    fmt_str(f, name);
    fmt_put(f, SLICE("\":"));
    fmt_u64(f, value);
}

static void put_json(struct accesslog *log, struct fmt *f, const struct accesslog_entry *e)
{
    uint64_t duration_us = (uint64_t)MAX(0, e->duration_us);
    fmt_put(f, SLICE("{\"time\":\""));
    put_second(log, f, e->unix_ms / 1000);
    fmt_char(f, '.');
    fmt_u64_wide(f, (uint64_t)(e->unix_ms % 1000), 3);
    fmt_put(f, SLICE("Z\""));
    put_string(f, "peer", e->peer, ACCESSLOG_WORD_MAX);
    put_string(f, "user", e->user, ACCESSLOG_WORD_MAX);
    put_string(f, "method", e->method, ACCESSLOG_WORD_MAX);
    put_string(f, "target", e->target, ACCESSLOG_TARGET_MAX);
    put_string(f, "protocol", e->protocol, ACCESSLOG_WORD_MAX);
    put_number(f, "status", (uint64_t)MAX(0, e->status));
    put_number(f, "bytes", e->bytes_sent);
    put_number(f, "duration_ms", duration_us / 1000);
    fmt_char(f, '.');
    fmt_u64_wide(f, duration_us % 1000, 3);
    put_string(f, "referer", e->referer, ACCESSLOG_FIELD_MAX);
    put_string(f, "user_agent", e->user_agent, ACCESSLOG_FIELD_MAX);
    put_string(f, "host", e->host, ACCESSLOG_FIELD_MAX);
    put_number(f, "session", e->session_id);
    put_number(f, "request", e->request_number);
    fmt_char(f, '}');
}

bool accesslog_put(struct accesslog *log, const struct accesslog_entry *entry)
{
    char line[LINE_MAX_BYTES];
    struct fmt f = fmt_on(line, sizeof line);
    struct accesslog_entry e = *entry;
    e.unix_ms = MAX(0, e.unix_ms);
    if (log->format == ACCESSLOG_JSON)
        put_json(log, &f, &e);
    else
        put_combined(log, &f, &e);
    BUG_ON(f.full);
    return logsink_put(log->sink, fmt_done(&f));
}
