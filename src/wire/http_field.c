/* http_field: the tables of names, and how to find a name in them. */
#include "wire/http_field.h"

#include "wire/char_class.h"

static const slice methods[HTTP_METHOD_COUNT] = {
    [HTTP_OTHER] = SLICE(""),
    [HTTP_GET] = SLICE("GET"),
    [HTTP_HEAD] = SLICE("HEAD"),
    [HTTP_POST] = SLICE("POST"),
    [HTTP_PUT] = SLICE("PUT"),
    [HTTP_DELETE] = SLICE("DELETE"),
    [HTTP_CONNECT] = SLICE("CONNECT"),
    [HTTP_OPTIONS] = SLICE("OPTIONS"),
    [HTTP_TRACE] = SLICE("TRACE"),
    [HTTP_PATCH] = SLICE("PATCH"),
    [HTTP_PROPFIND] = SLICE("PROPFIND"),
    [HTTP_PROPPATCH] = SLICE("PROPPATCH"),
    [HTTP_MKCOL] = SLICE("MKCOL"),
    [HTTP_COPY] = SLICE("COPY"),
    [HTTP_MOVE] = SLICE("MOVE"),
    [HTTP_LOCK] = SLICE("LOCK"),
    [HTTP_UNLOCK] = SLICE("UNLOCK"),
};

enum http_method http_method_of(slice name)
{
    for (unsigned m = HTTP_GET; m < HTTP_METHOD_COUNT; m++)
        if (slice_is(name, methods[m]))
            return m;
    return HTTP_OTHER;
}

slice http_method_name(enum http_method method)
{
    return methods[method];
}

/* In lower case. [mask] has 0x20 under each letter: (c | mask) == name is then "equal but for
 * case", and exact. */
struct field_name {
    uint8_t n;
    char name[23];
    char mask[24];
};

#define H  "\0"
#define L  "\x20"
#define L2 L L
#define L4 L2 L2
#define L5 L4 L
#define L6 L4 L2
#define L7 L6 L
#define L8 L4 L4
#define NAME(text, bits)             \
    {                                \
        sizeof(text) - 1, text, bits \
    }

static const struct field_name field_names[FIELD_ID_COUNT] = {
    [FIELD_ACCEPT] = NAME("accept", L6),
    [FIELD_ACCEPT_ENCODING] = NAME("accept-encoding", L6 H L8),
    [FIELD_AUTHORIZATION] = NAME("authorization", L8 L5),
    [FIELD_CONNECTION] = NAME("connection", L8 L2),
    [FIELD_CONTENT_ENCODING] = NAME("content-encoding", L7 H L8),
    [FIELD_CONTENT_LENGTH] = NAME("content-length", L7 H L6),
    [FIELD_CONTENT_TYPE] = NAME("content-type", L7 H L4),
    [FIELD_COOKIE] = NAME("cookie", L6),
    [FIELD_EXPECT] = NAME("expect", L6),
    [FIELD_HOST] = NAME("host", L4),
    [FIELD_IF_MATCH] = NAME("if-match", L2 H L5),
    [FIELD_IF_MODIFIED_SINCE] = NAME("if-modified-since", L2 H L8 H L5),
    [FIELD_IF_NONE_MATCH] = NAME("if-none-match", L2 H L4 H L5),
    [FIELD_IF_RANGE] = NAME("if-range", L2 H L5),
    [FIELD_IF_UNMODIFIED_SINCE] = NAME("if-unmodified-since", L2 H L8 L2 H L5),
    [FIELD_RANGE] = NAME("range", L5),
    [FIELD_REFERER] = NAME("referer", L7),
    [FIELD_TE] = NAME("te", L2),
    [FIELD_TRAILER] = NAME("trailer", L7),
    [FIELD_TRANSFER_ENCODING] = NAME("transfer-encoding", L8 H L8),
    [FIELD_UPGRADE] = NAME("upgrade", L7),
    [FIELD_USER_AGENT] = NAME("user-agent", L4 H L5),
};

static bool is_field(slice s, enum http_field_id id)
{
    const struct field_name *f = &field_names[id];
    unsigned differ = 0;
    for (size_t i = 0; i < f->n; i++)
        differ |= (unsigned char)((s.p[i] | f->mask[i]) ^ f->name[i]);
    return !differ;
}

/* The length leaves three candidates at most. */
#define LENGTH_MAX     19
#define CANDIDATES_MAX 3
static const uint8_t by_length[LENGTH_MAX + 1][CANDIDATES_MAX] = {
    [2] = {FIELD_TE},
    [4] = {FIELD_HOST},
    [5] = {FIELD_RANGE},
    [6] = {FIELD_ACCEPT, FIELD_COOKIE, FIELD_EXPECT},
    [7] = {FIELD_REFERER, FIELD_UPGRADE, FIELD_TRAILER},
    [8] = {FIELD_IF_RANGE, FIELD_IF_MATCH},
    [10] = {FIELD_CONNECTION, FIELD_USER_AGENT},
    [12] = {FIELD_CONTENT_TYPE},
    [13] = {FIELD_IF_NONE_MATCH, FIELD_AUTHORIZATION},
    [14] = {FIELD_CONTENT_LENGTH},
    [15] = {FIELD_ACCEPT_ENCODING},
    [16] = {FIELD_CONTENT_ENCODING},
    [17] = {FIELD_IF_MODIFIED_SINCE, FIELD_TRANSFER_ENCODING},
    [19] = {FIELD_IF_UNMODIFIED_SINCE},
};

enum http_field_id http_field_id_of(slice name)
{
    if (name.n > LENGTH_MAX)
        return FIELD_OTHER;
    const uint8_t *candidates = by_length[name.n];
    for (unsigned i = 0; i < CANDIDATES_MAX && candidates[i]; i++) {
        enum http_field_id id = candidates[i];
        if ((name.p[0] | 0x20) == field_names[id].name[0] && is_field(name, id))
            return id;
    }
    return FIELD_OTHER;
}

/* RFC 9110 15 and the IANA registry */
static const char *const reasons[] = {
    [100] = "Continue",
    [101] = "Switching Protocols",
    [102] = "Processing",
    [103] = "Early Hints",
    [200] = "OK",
    [201] = "Created",
    [202] = "Accepted",
    [203] = "Non-Authoritative Information",
    [204] = "No Content",
    [205] = "Reset Content",
    [206] = "Partial Content",
    [207] = "Multi-Status",
    [208] = "Already Reported",
    [226] = "IM Used",
    [300] = "Multiple Choices",
    [301] = "Moved Permanently",
    [302] = "Found",
    [303] = "See Other",
    [304] = "Not Modified",
    [305] = "Use Proxy",
    [307] = "Temporary Redirect",
    [308] = "Permanent Redirect",
    [400] = "Bad Request",
    [401] = "Unauthorized",
    [402] = "Payment Required",
    [403] = "Forbidden",
    [404] = "Not Found",
    [405] = "Method Not Allowed",
    [406] = "Not Acceptable",
    [407] = "Proxy Authentication Required",
    [408] = "Request Timeout",
    [409] = "Conflict",
    [410] = "Gone",
    [411] = "Length Required",
    [412] = "Precondition Failed",
    [413] = "Content Too Large",
    [414] = "URI Too Long",
    [415] = "Unsupported Media Type",
    [416] = "Range Not Satisfiable",
    [417] = "Expectation Failed",
    [421] = "Misdirected Request",
    [422] = "Unprocessable Content",
    [423] = "Locked",
    [424] = "Failed Dependency",
    [425] = "Too Early",
    [426] = "Upgrade Required",
    [428] = "Precondition Required",
    [429] = "Too Many Requests",
    [431] = "Request Header Fields Too Large",
    [451] = "Unavailable For Legal Reasons",
    [500] = "Internal Server Error",
    [501] = "Not Implemented",
    [502] = "Bad Gateway",
    [503] = "Service Unavailable",
    [504] = "Gateway Timeout",
    [505] = "HTTP Version Not Supported",
    [506] = "Variant Also Negotiates",
    [507] = "Insufficient Storage",
    [508] = "Loop Detected",
    [511] = "Network Authentication Required",
};

slice http_status_reason(int status)
{
    bool known = status >= 0 && (size_t)status < COUNT_OF(reasons) && reasons[status];
    return known ? slice_str(reasons[status]) : SLICE("Unknown");
}

bool http_is_token(slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!char_is(s.p[i], CHAR_TOKEN))
            return false;
    return s.n > 0;
}
