/* json: RFC 8259, strictly: a reader that is pulled for tokens, and what a writer needs.
 *
 * The reader looks at a whole text and has no memory of its own: strings are slices of the input.
 *
 *     struct json j;
 *     json_init(&j, text);
 *     while ((token = json_next(&j)) > JSON_DONE) ...
 *     if (token == JSON_ERROR) ... j.why, json_where(&j, &line, &column)
 *
 * Stricter than the grammar where RFC 8259 leaves the choice: strings are well-formed UTF-8 and
 * have no escape of half a surrogate pair; a number is at most JSON_NUMBER_MAX bytes and not beyond
 * the range of a double; nesting is at most JSON_DEPTH_MAX; no byte order mark. Names that come
 * twice in an object are the caller's affair.
 *
 * Numbers go through strtod and printf, whose decimal point depends on the locale: the program
 * never calls setlocale, so it is the point. */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include "base/fmt.h"

#define JSON_DEPTH_MAX  128
#define JSON_NUMBER_MAX 1000

enum json_token {
    JSON_ERROR = -1, /* and so for ever */
    JSON_DONE,       /* the text was one value; and so for ever */
    JSON_OBJECT,
    JSON_OBJECT_END,
    JSON_ARRAY,
    JSON_ARRAY_END,
    JSON_KEY,     /* .text; the next token begins its value */
    JSON_STRING,  /* .text */
    JSON_INTEGER, /* .integer: no fraction, no exponent, fits; but "-0" is real */
    JSON_REAL,    /* .real: all other numbers */
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

struct json {
    /* read-only */
    slice text; /* of the last key, string or number, as it stands in the input, without quotes */
    bool has_escapes; /* in .text: it needs json_unescape */
    int64_t integer;
    double real;
    unsigned depth;  /* objects and arrays that are open */
    const char *why; /* JSON_ERROR: a sentence (a literal) */
    /* private */
    slice in;
    size_t at;
    uint8_t state;
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* which of the open ones are objects */
};

/* [in] must stay as it is while *j and its slices are in use. */
void json_init(struct json *j, slice in);

enum json_token json_next(struct json *j);

/* Where JSON_ERROR was found: line and character in it, both from 1. */
void json_where(const struct json *j, unsigned *line_out, unsigned *column_out);

/* The string that [text] of a key or string stands for, written to [room] of at least text.n bytes;
 * it may hold NUL. */
slice json_unescape(slice text, char *room);

/* Where text goes, in pieces. */
typedef void (*json_out_fn)(void *arg, slice piece);

/* A json_out_fn that writes to the struct fmt [arg]. */
void json_to_fmt(void *arg, slice piece);

enum json_utf8 {
    JSON_UTF8_REFUSE,  /* what is not UTF-8 cannot be written */
    JSON_UTF8_REPLACE, /* each wrong byte becomes U+FFFD */
    JSON_UTF8_PASS,    /* goes out as it is: the text is no valid JSON then */
};

/* Writes a string with its quotes. False: refused for its UTF-8, nothing was written. */
MUST_USE bool json_put_string(slice s, enum json_utf8 mode, json_out_fn out, void *arg);

void json_put_integer(int64_t value, struct fmt *out);

/* The first of 15, 16 or 17 digits that reads back as the same number; whole numbers without ".0".
 * False: infinite or not a number, which JSON does not have; nothing was written. */
MUST_USE bool json_put_real(double value, struct fmt *out);

#endif
