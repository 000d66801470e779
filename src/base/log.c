/* log: formats a line and hands it to the sink. */
#include "base/log.h"

#include <stdarg.h>

static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void log_escape(struct fmt *f, slice s)
{
    while (s.n) {
        size_t plain = 0;
        while (plain < s.n && is_plain(s.p[plain]))
            plain++;
        fmt_put(f, slice_head(s, plain));
        s = slice_skip(s, plain);
        if (!s.n)
            return;
        unsigned char c = (unsigned char)s.p[0];
        char hex[4] = {'\\', 'x', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};
        fmt_put(f, slice_of(hex, sizeof hex));
        s = slice_skip(s, 1);
    }
}

void log_line(struct log *log, enum log_level level, const char *id, const char *format, ...)
{
    log->counts[level]++;
    if (level > log->level || !log->sink)
        return;
    char text[LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0)
        return;
    n = MIN(n, (int)sizeof text - 1);
    for (int i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
    char line[LOG_LINE_MAX + 128];
    struct fmt f = fmt_on(line, sizeof line);
    static const char *const names[] = {"error", "warning", "notice", "debug"};
    fmt_str(&f, names[level]);
    fmt_put(&f, SLICE(": "));
    fmt_put(&f, slice_of(text, (size_t)n));
    fmt_put(&f, SLICE(" ["));
    fmt_str(&f, id);
    fmt_char(&f, ']');
    if (!f.full)
        log->sink(log, level, fmt_done(&f));
}
