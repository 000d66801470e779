/* http1_chunk: a machine that takes the framing byte by byte and the data by runs.
 *
 * It never asks to see a byte twice, so the caller needs no room for long extensions and trailers.
 * Each state says what the next byte may be; all else is malformed. */
#include "wire/http1_chunk.h"

#include "base/num.h"
#include "wire/char_class.h"

enum state {
    SIZE_START,
    SIZE,
    EXT_START, /* after ";" */
    EXT_NAME,
    EXT_NAME_BLANK, /* white space after the name */
    EXT_EQUALS,     /* after "=" */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_QUOTED_PAIR, /* after "\" */
    EXT_QUOTED_END,  /* after the closing quote */
    EXT_VALUE_BLANK,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, /* at the start of a line of the trailer section */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
    BAD,
};

/* 2^64 has 16 hexadecimal digits; leading zeros count. */
#define DIGITS_MAX 16

void http1_chunk_init(struct http1_chunk *c)
{
    *c = (struct http1_chunk){.state = SIZE_START};
}

static inline bool is_blank(char ch)
{
    return ch == ' ' || ch == '\t';
}

/* RFC 9112 7.1: 1*HEXDIG. No white space after it: some parsers stop there, some do not. */
static enum state after_size_byte(struct http1_chunk *c, char ch)
{
    int digit = num_hex_digit(ch);
    if (digit >= 0) {
        if (c->digits == DIGITS_MAX)
            return BAD;
        c->digits++;
        c->left = c->left << 4 | (unsigned)digit;
        return SIZE;
    }
    if (c->state == SIZE_START)
        return BAD;
    return ch == '\r' ? SIZE_LF : ch == ';' ? EXT_START : BAD;
}

/* RFC 9112 7.1.1: *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ), but for BWS
 * before the first ";". */
static enum state after_ext_byte(enum state state, char ch)
{
    bool is_token = char_is(ch, CHAR_TOKEN);
    switch (state) {
    case EXT_START:
        return is_token ? EXT_NAME : is_blank(ch) ? EXT_START : BAD;
    case EXT_NAME:
        if (is_token)
            return EXT_NAME;
        return ch == '\r'     ? SIZE_LF
               : ch == ';'    ? EXT_START
               : ch == '='    ? EXT_EQUALS
               : is_blank(ch) ? EXT_NAME_BLANK
                              : BAD;
    case EXT_NAME_BLANK:
        return is_blank(ch) ? EXT_NAME_BLANK : ch == ';' ? EXT_START : ch == '=' ? EXT_EQUALS : BAD;
    case EXT_EQUALS:
        return is_token ? EXT_VALUE : ch == '"' ? EXT_QUOTED : is_blank(ch) ? EXT_EQUALS : BAD;
    case EXT_VALUE:
    case EXT_QUOTED_END:
        if (is_token)
            return state == EXT_VALUE ? EXT_VALUE : BAD;
        return ch == '\r' ? SIZE_LF : ch == ';' ? EXT_START : is_blank(ch) ? EXT_VALUE_BLANK : BAD;
    default: /* EXT_VALUE_BLANK */
        return is_blank(ch) ? EXT_VALUE_BLANK : ch == ';' ? EXT_START : BAD;
    }
}

/* RFC 9110 5.6.4 */
static enum state after_quoted_byte(enum state state, char ch)
{
    if (char_is(ch, CHAR_CONTROL) && ch != '\t')
        return BAD;
    if (state == EXT_QUOTED_PAIR)
        return EXT_QUOTED;
    return ch == '"' ? EXT_QUOTED_END : ch == '\\' ? EXT_QUOTED_PAIR : EXT_QUOTED;
}

/* RFC 9110 6.5.1: fields that frame or route a message have no place in trailers. */
static bool is_forbidden_trailer(slice name)
{
    enum http_field_id id = http_field_id_of(name);
    return id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING || id == FIELD_HOST;
}

/* RFC 9112 7.1.2: field lines until an empty one. The first bytes of the name are kept to know it
 * by. */
static enum state after_trailer_byte(struct http1_chunk *c, char ch)
{
    switch (c->state) {
    case TRAILER_START:
        c->name_n = 0;
        if (ch == '\r')
            return END_LF;
        if (ch == ':')
            return BAD;
        /* fall through */
    case TRAILER_NAME:
        if (char_is(ch, CHAR_TOKEN)) {
            if (c->name_n < sizeof c->name)
                c->name[c->name_n++] = ch == '_' ? '-' : ch;
            return TRAILER_NAME;
        }
        if (ch != ':' || is_forbidden_trailer(slice_of(c->name, c->name_n)))
            return BAD;
        return TRAILER_VALUE;
    default:
        if (ch == '\r')
            return TRAILER_LF;
        return char_is(ch, CHAR_CONTROL) && ch != '\t' ? BAD : TRAILER_VALUE;
    }
}

/* RFC 9112 7.1: the chunk of size zero is the last. */
static enum state after_size_line(struct http1_chunk *c)
{
    c->digits = 0;
    return c->left ? DATA : TRAILER_START;
}

/* One byte of framing. */
static enum state after_byte(struct http1_chunk *c, char ch)
{
    switch ((enum state)c->state) {
    case SIZE_START:
    case SIZE:
        return after_size_byte(c, ch);
    case EXT_START:
    case EXT_NAME:
    case EXT_NAME_BLANK:
    case EXT_EQUALS:
    case EXT_VALUE:
    case EXT_QUOTED_END:
    case EXT_VALUE_BLANK:
        c->overhead++;
        return after_ext_byte(c->state, ch);
    case EXT_QUOTED:
    case EXT_QUOTED_PAIR:
        c->overhead++;
        return after_quoted_byte(c->state, ch);
    case SIZE_LF:
        return ch == '\n' ? after_size_line(c) : BAD;
    case DATA_CR:
        return ch == '\r' ? DATA_LF : BAD;
    case DATA_LF:
        return ch == '\n' ? SIZE_START : BAD;
    case TRAILER_START:
    case TRAILER_NAME:
    case TRAILER_VALUE:
        c->overhead++;
        return after_trailer_byte(c, ch);
    case TRAILER_LF:
        return ch == '\n' ? TRAILER_START : BAD;
    case END_LF:
        return ch == '\n' ? DONE : BAD;
    case DATA:
    case DONE:
    case BAD:
        break;
    }
    return BAD;
}

/* The run of data at the start of [in]. */
static slice take_data(struct http1_chunk *c, slice in)
{
    slice run = slice_head(in, (size_t)MIN(c->left, (uint64_t)in.n));
    c->left -= run.n;
    if (!c->left)
        c->state = DATA_CR;
    return run;
}

ssize_t http1_chunk_read(struct http1_chunk *c, slice in, slice *data_out)
{
    *data_out = slice_head(in, 0);
    size_t used = 0;
    while (used < in.n && c->state != DONE) {
        if (c->state == DATA) {
            *data_out = take_data(c, slice_skip(in, used));
            return (ssize_t)(used + data_out->n);
        }
        c->state = after_byte(c, in.p[used++]);
        if (c->overhead > HTTP1_CHUNK_OVERHEAD_MAX) {
            c->state = BAD;
            return -431;
        }
        if (c->state == BAD)
            return -400;
    }
    c->is_done = c->state == DONE;
    return (ssize_t)used;
}
