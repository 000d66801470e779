/* json: a machine of six states over bits that say what is open; and the writer's helpers.
 *
 * The machine remembers nothing of a value but that it was there, so the caller decides what
 * memory a text may cost. Every way to fail has its own sentence and its place. */
#include "wire/json.h"

#include "base/num.h"
#include "base/utf8.h"

#include <math.h>

enum state {
    FIRST,        /* the whole text's value */
    VALUE,        /* a value must come */
    VALUE_OR_END, /* after "[" */
    NAME,         /* after "," in an object */
    NAME_OR_END,  /* after "{" */
    AFTER,        /* after a value */
    BAD,
};

void json_init(struct json *j, slice in)
{
    *j = (struct json){.in = in, .state = FIRST};
}

static enum json_token fail_at(struct json *j, size_t at, const char *why)
{
    j->at = at;
    j->why = why;
    j->state = BAD;
    return JSON_ERROR;
}

static enum json_token fail(struct json *j, const char *why)
{
    return fail_at(j, j->at, why);
}

static bool is_in_object(const struct json *j)
{
    unsigned top = j->depth - 1;
    return j->depth && j->objects[top / 64] >> top % 64 & 1;
}

static inline bool is_end(const struct json *j)
{
    return j->at == j->in.n;
}

/* The byte at hand; NUL, which is nowhere allowed, at the end. */
static inline char peek(const struct json *j)
{
    return is_end(j) ? '\0' : j->in.p[j->at];
}

static void skip_blanks(struct json *j)
{
    for (; j->at < j->in.n; j->at++) {
        char c = j->in.p[j->at];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return;
    }
}

/* --- strings --- */

/* The four digits of \uXXXX at [s], or -1. */
static int32_t unit_of(slice s)
{
    int32_t unit = 0;
    if (s.n < 6 || s.p[0] != '\\' || s.p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = num_hex_digit(s.p[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static bool is_high(int32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low(int32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/* RFC 8259 7: the bytes of the escape at [s], which begins with "\"; 0: *why. */
static size_t escape_length(slice s, const char **why)
{
    if (s.n < 2) {
        *why = "the text ends inside a string";
        return 0;
    }
    *why = "there is no such escape";
    if (s.p[1] != 'u')
        return s.p[1] && strchr("\"\\/bfnrt", s.p[1]) ? 2 : 0;
    *why = "\\u needs four hexadecimal digits";
    int32_t unit = unit_of(s);
    if (unit < 0)
        return 0;
    *why = "half of a surrogate pair stands alone";
    if (is_high(unit))
        return is_low(unit_of(slice_skip(s, 6))) ? 12 : 0;
    return is_low(unit) ? 0 : 6;
}

static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* What is neither plain nor a quote: its length; 0: *why. */
static size_t special_length(slice s, const char **why)
{
    if (s.p[0] == '\\')
        return escape_length(s, why);
    *why = (unsigned char)s.p[0] < 0x20 ? "a control character in a string must be escaped"
                                        : "a string is not valid UTF-8";
    return (unsigned char)s.p[0] < 0x20 ? 0 : utf8_sequence(s);
}

/* From behind the opening quote to behind the closing one; .text is what is between. */
static bool read_string(struct json *j)
{
    const char *why = NULL;
    size_t start = ++j->at;
    j->has_escapes = false;
    while (j->at < j->in.n) {
        unsigned char c = (unsigned char)j->in.p[j->at];
        if (is_plain(c)) {
            j->at++;
            continue;
        }
        if (c == '"') {
            j->text = slice_of(j->in.p + start, j->at++ - start);
            return true;
        }
        size_t n = special_length(slice_skip(j->in, j->at), &why);
        if (!n) {
            fail(j, why);
            return false;
        }
        j->has_escapes |= c == '\\';
        j->at += n;
    }
    fail(j, "the text ends inside a string");
    return false;
}

/* The escape at the start of *s, which is good. */
static size_t put_escape(slice *s, char *out)
{
    static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    if (s->p[1] != 'u') {
        *out = bytes[strchr(names, s->p[1]) - names];
        *s = slice_skip(*s, 2);
        return 1;
    }
    uint32_t c = (uint32_t)unit_of(*s);
    *s = slice_skip(*s, 6);
    if (is_high((int32_t)c)) {
        c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)unit_of(*s) - 0xdc00);
        *s = slice_skip(*s, 6);
    }
    char room[4];
    size_t n = utf8_put(c, room);
    memcpy(out, room, n);
    return n;
}

slice json_unescape(slice text, char *room)
{
    char *p = room;
    while (text.n) {
        ssize_t at = slice_find(text, '\\');
        size_t plain = at < 0 ? text.n : (size_t)at;
        memcpy(p, text.p, plain);
        p += plain;
        text = slice_skip(text, plain);
        const char *why;
        if (text.n && !escape_length(text, &why))
            break; /* not what the reader hands out */
        if (text.n)
            p += put_escape(&text, p);
    }
    return slice_of(room, (size_t)(p - room));
}

/* --- numbers --- */

static size_t digits_at(const struct json *j, size_t at)
{
    size_t n = 0;
    while (at + n < j->in.n && j->in.p[at + n] >= '0' && j->in.p[at + n] <= '9')
        n++;
    return n;
}

static bool is_at(const struct json *j, size_t at, char a, char b)
{
    return at < j->in.n && (j->in.p[at] == a || j->in.p[at] == b);
}

/* RFC 8259 6: the end of the number at hand; 0: refused. */
static size_t number_end(struct json *j, bool *is_whole_out)
{
    size_t at = j->at + is_at(j, j->at, '-', '-');
    size_t n = digits_at(j, at);
    *is_whole_out = true;
    if (!n || (n > 1 && j->in.p[at] == '0')) {
        fail_at(j, at, n ? "a number has no zeros in front" : "a number needs digits");
        return 0;
    }
    at += n;
    if (is_at(j, at, '.', '.')) {
        *is_whole_out = false;
        n = digits_at(j, ++at);
        at += n;
    }
    if (n && is_at(j, at, 'e', 'E')) {
        *is_whole_out = false;
        at++;
        at += is_at(j, at, '+', '-');
        n = digits_at(j, at);
        at += n;
    }
    if (!n) {
        fail_at(j, at, "a number needs digits");
        return 0;
    }
    return at;
}

/* False when it does not fit. [s] is a whole number. */
static bool read_integer(slice s, int64_t *out)
{
    bool is_negative = s.p[0] == '-';
    uint64_t value;
    if (!num_u64(slice_skip(s, is_negative), &value))
        return false;
    if (value > (uint64_t)INT64_MAX + is_negative || (is_negative && !value))
        return false;
    *out = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

static enum json_token read_number(struct json *j)
{
    bool is_whole;
    size_t end = number_end(j, &is_whole);
    if (!end)
        return JSON_ERROR;
    slice s = slice_of(j->in.p + j->at, end - j->at);
    if (s.n > JSON_NUMBER_MAX)
        return fail(j, "a number is too long");
    j->text = s;
    if (is_whole && read_integer(s, &j->integer)) {
        j->at = end;
        return JSON_INTEGER;
    }
    char room[JSON_NUMBER_MAX + 1];
    memcpy(room, s.p, s.n);
    room[s.n] = '\0';
    j->real = strtod(room, NULL);
    if (isinf(j->real))
        return fail(j, "a number is too large");
    j->at = end;
    return JSON_REAL;
}

/* --- tokens --- */

static enum json_token open(struct json *j, bool is_object)
{
    unsigned top = j->depth;
    if (top == JSON_DEPTH_MAX)
        return fail(j, "objects and arrays are nested too deep");
    uint64_t bit = UINT64_C(1) << top % 64;
    j->objects[top / 64] = is_object ? j->objects[top / 64] | bit : j->objects[top / 64] & ~bit;
    j->depth++;
    j->at++;
    j->state = is_object ? NAME_OR_END : VALUE_OR_END;
    return is_object ? JSON_OBJECT : JSON_ARRAY;
}

static enum json_token close_top(struct json *j)
{
    bool was_object = is_in_object(j);
    j->depth--;
    j->at++;
    j->state = AFTER;
    return was_object ? JSON_OBJECT_END : JSON_ARRAY_END;
}

static enum json_token read_word(struct json *j, slice word, enum json_token token)
{
    if (!slice_has_prefix(slice_skip(j->in, j->at), word))
        return fail(j, "this is not a value");
    j->at += word.n;
    return token;
}

static enum json_token read_scalar(struct json *j)
{
    switch (peek(j)) {
    case '"':
        return read_string(j) ? JSON_STRING : JSON_ERROR;
    case 't':
        return read_word(j, SLICE("true"), JSON_TRUE);
    case 'f':
        return read_word(j, SLICE("false"), JSON_FALSE);
    case 'n':
        return read_word(j, SLICE("null"), JSON_NULL);
    case '-':
    case '0' ... '9':
        return read_number(j);
    case ',':
    case ']':
    case '}':
        return fail(j, "a value is missing");
    case '\xef':
        if (j->at == 0 && slice_has_prefix(j->in, SLICE("\xef\xbb\xbf")))
            return fail(j, "the text begins with a byte order mark");
        /* fall through */
    default:
        return fail(j, "this is not a value");
    }
}

static enum json_token read_value(struct json *j)
{
    char c = peek(j);
    if (c == '{' || c == '[')
        return open(j, c == '{');
    enum json_token token = read_scalar(j);
    if (token != JSON_ERROR)
        j->state = AFTER;
    return token;
}

static enum json_token read_key(struct json *j)
{
    if (peek(j) != '"')
        return fail(j, "a name in quotes is missing");
    if (!read_string(j))
        return JSON_ERROR;
    skip_blanks(j);
    if (peek(j) != ':')
        return fail(j, is_end(j) ? "the text ends too early" : "a colon is missing");
    j->at++;
    j->state = VALUE;
    return JSON_KEY;
}

/* After a value: a comma leads on, an end ends; JSON_DONE: on to what the comma announces. */
static enum json_token read_after(struct json *j)
{
    char c = peek(j);
    bool in_object = is_in_object(j);
    if (c == (in_object ? '}' : ']'))
        return close_top(j);
    if (c != ',')
        return fail(j, in_object ? "a comma or \"}\" is missing" : "a comma or \"]\" is missing");
    j->at++;
    j->state = in_object ? NAME : VALUE;
    skip_blanks(j);
    return JSON_DONE;
}

enum json_token json_next(struct json *j)
{
    if (j->state == BAD)
        return JSON_ERROR;
    skip_blanks(j);
    if (j->state == AFTER && j->depth) {
        enum json_token token = is_end(j) ? JSON_DONE : read_after(j);
        if (token != JSON_DONE)
            return token;
    }
    if (j->state == AFTER && !j->depth)
        return is_end(j) ? JSON_DONE : fail(j, "there is more behind the value");
    if (is_end(j))
        return fail(j, j->state == FIRST ? "there is no value" : "the text ends too early");
    if (j->state == NAME || j->state == NAME_OR_END)
        return j->state == NAME_OR_END && peek(j) == '}' ? close_top(j) : read_key(j);
    if (j->state == VALUE_OR_END && peek(j) == ']')
        return close_top(j);
    return read_value(j);
}

void json_where(const struct json *j, unsigned *line_out, unsigned *column_out)
{
    slice before = slice_head(j->in, j->at);
    unsigned line = 1, column = 1;
    for (size_t i = 0; i < before.n; i++) {
        bool is_tail = ((unsigned char)before.p[i] & 0xc0) == 0x80; /* within a character */
        column = before.p[i] == '\n' ? 1 : column + !is_tail;
        line += before.p[i] == '\n';
    }
    *line_out = line;
    *column_out = column;
}

/* --- writing --- */

void json_to_fmt(void *arg, slice piece)
{
    fmt_put(arg, piece);
}

/* What stands for an ASCII character that cannot stand for itself. */
static slice escape_of(unsigned char c, char room[static 6])
{
    static const char names[] = "\"\\bfnrt", bytes[] = "\"\\\b\f\n\r\t";
    struct fmt f = fmt_on(room, 6);
    const char *at = c ? strchr(bytes, c) : NULL;
    if (at)
        fmt_printf(&f, "\\%c", names[at - bytes]);
    else
        fmt_printf(&f, "\\u%04x", (unsigned)c);
    return fmt_done(&f);
}

/* Bytes at the start of [s] that can stand as they are. */
static size_t plain_length(slice s, enum json_utf8 mode)
{
    size_t n = 0;
    while (n < s.n) {
        unsigned char c = (unsigned char)s.p[n];
        size_t used = is_plain(c) || (c >= 0x80 && mode == JSON_UTF8_PASS) ? 1 : 0;
        if (c >= 0x80 && !used)
            used = utf8_sequence(slice_skip(s, n));
        if (!used)
            break;
        n += used;
    }
    return n;
}

bool json_put_string(slice s, enum json_utf8 mode, json_out_fn out, void *arg)
{
    if (mode == JSON_UTF8_REFUSE && utf8_valid(s) != s.n)
        return false;
    out(arg, SLICE("\""));
    while (s.n) {
        size_t n = plain_length(s, mode);
        if (n)
            out(arg, slice_head(s, n));
        s = slice_skip(s, n);
        if (!s.n)
            break;
        char room[6];
        unsigned char c = (unsigned char)s.p[0];
        out(arg, c < 0x80 ? escape_of(c, room) : SLICE("\xef\xbf\xbd"));
        s = slice_skip(s, 1);
    }
    out(arg, SLICE("\""));
    return true;
}

void json_put_integer(int64_t value, struct fmt *out)
{
    fmt_printf(out, "%lld", (long long)value);
}

bool json_put_real(double value, struct fmt *out)
{
    char room[40];
    if (!isfinite(value))
        return false;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(room, sizeof room, "%.*g", digits, value);
        if (strtod(room, NULL) == value)
            break;
    }
    fmt_str(out, room);
    return true;
}
