/* multipart: a machine that looks for one string, CR LF "--" boundary, and reads lines between.
 *
 * A boundary holds no CR, so in the delimiter only the first byte is one: what was matched and then
 * turns out to be data is a beginning of the delimiter, which *m knows by heart, and the next match
 * can only begin at the byte at hand. That is why nothing needs to be kept between pieces. */
#include "wire/multipart.h"

#include "wire/char_class.h"
#include "wire/field_param.h"

enum state {
    FIRST,        /* before the first boundary */
    DATA,         /* of a part */
    BOUNDARY,     /* right behind a boundary */
    BOUNDARY_PAD, /* blanks behind it (RFC 2046 5.1.1 transport-padding) */
    BOUNDARY_LF,
    HEAD,      /* the header lines of a part, with their empty line */
    LAST_DASH, /* behind "-" behind a boundary */
    LAST,      /* behind the last boundary */
    LAST_LF,
    DONE, /* the line of the last boundary is over */
    BAD,
};

#define PADDING_MAX 64

static enum multipart_event fail(struct multipart *m, const char *why)
{
    m->why = why;
    m->state = BAD;
    return MULTIPART_ERROR;
}

/* RFC 2046 5.1.1: 0*69<bchars> bcharsnospace */
static bool is_boundary(slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_alnum && (!c || !strchr("'()+_,-./:=? ", c)))
            return false;
    }
    return s.n && s.n <= MULTIPART_BOUNDARY_MAX && s.p[s.n - 1] != ' ';
}

static const char *find_boundary(slice content_type, slice *boundary_out)
{
    slice rest;
    if (!slice_is_nocase(field_value_of(content_type, &rest), SLICE("multipart/form-data")))
        return "the body is not multipart/form-data";
    struct field_param param;
    int result;
    boundary_out->p = NULL;
    while ((result = field_param_next(&rest, &param)) > 0) {
        if (!slice_is_nocase(param.name, SLICE("boundary")))
            continue;
        if (boundary_out->p)
            return "the body has two boundaries";
        *boundary_out = param.value;
    }
    if (result < 0)
        return "the type of the body is malformed";
    if (!boundary_out->p)
        return "the body has no boundary";
    return is_boundary(*boundary_out) ? NULL : "the boundary of the body is malformed";
}

bool multipart_init(struct multipart *m, slice content_type, char *room, size_t room_n,
                    unsigned parts_max, const char **why)
{
    slice boundary;
    const char *fault = find_boundary(content_type, &boundary);
    if (fault) {
        *why = fault;
        return false;
    }
    *m = (struct multipart){.room = room, .room_n = room_n, .parts_max = parts_max};
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.p, boundary.n);
    m->delimiter_n = (uint8_t)(4 + boundary.n);
    m->matched = 2; /* the body begins a line */
    return true;
}

bool multipart_is_done(const struct multipart *m)
{
    return m->state >= LAST && m->state <= DONE;
}

/* --- the header lines of a part --- */

static bool refuse(struct multipart *m, const char *why)
{
    fail(m, why);
    return false;
}

/* A value of [param] in its place in the room. */
static bool keep_param(struct multipart *m, const struct field_param *param, slice *out)
{
    if (out->p)
        return refuse(m, "a part has two names");
    *out = field_param_unquote(param->value, (char *)param->value.p);
    return true;
}

/* RFC 7578 4.2; filename* has no place in it. */
static bool read_disposition(struct multipart *m, slice value)
{
    slice rest;
    if (m->name.p)
        return refuse(m, "a part has two dispositions");
    if (!slice_is_nocase(field_value_of(value, &rest), SLICE("form-data")))
        return refuse(m, "a part is not form-data");
    struct field_param param;
    int result;
    while ((result = field_param_next(&rest, &param)) > 0) {
        if (slice_is_nocase(param.name, SLICE("name")) && !keep_param(m, &param, &m->name))
            return false;
        if (slice_is_nocase(param.name, SLICE("filename")) && !keep_param(m, &param, &m->filename))
            return false;
    }
    if (result < 0)
        return refuse(m, "the disposition of a part is malformed");
    return m->name.p || refuse(m, "a part has no name");
}

/* RFC 7578 4.7: deprecated, and nobody sends it; data that is coded would be taken for what it is
 * not. */
static bool is_identity(slice coding)
{
    return slice_is_nocase(coding, SLICE("binary")) || slice_is_nocase(coding, SLICE("8bit")) ||
           slice_is_nocase(coding, SLICE("7bit"));
}

static bool read_line(struct multipart *m, slice line)
{
    slice value = line, name;
    slice_cut(&value, ':', &name);
    if (!value.p || !name.n)
        return refuse(m, "a header line of a part is malformed");
    for (size_t i = 0; i < name.n; i++)
        if (!char_is(name.p[i], CHAR_TOKEN))
            return refuse(m, "a header line of a part is malformed");
    value = slice_trim(value);
    if (slice_is_nocase(name, SLICE("Content-Disposition")))
        return read_disposition(m, value);
    if (slice_is_nocase(name, SLICE("Content-Transfer-Encoding")) && !is_identity(value))
        return refuse(m, "a part has a transfer coding");
    if (slice_is_nocase(name, SLICE("Content-Type"))) {
        if (m->content_type.p)
            return refuse(m, "a part has two types");
        m->content_type = value;
    }
    return true;
}

/* The room holds all lines, the empty one as well. */
static enum multipart_event read_head(struct multipart *m)
{
    slice rest = slice_of(m->room, m->head_n - 2), line;
    m->name = m->filename = m->content_type = (slice){NULL, 0};
    while (rest.n && slice_cut(&rest, '\n', &line))
        if (!read_line(m, slice_head(line, line.n - 1)))
            return MULTIPART_ERROR;
    if (!m->name.p)
        return fail(m, "a part has no disposition");
    m->state = DATA;
    m->parts++;
    return MULTIPART_PART;
}

/* Lines end with CR LF, both or none. */
static const char *head_fault(const struct multipart *m, char c)
{
    bool after_cr = m->head_n && m->room[m->head_n - 1] == '\r';
    if (m->head_n == m->room_n)
        return "the header lines of a part are too long";
    if (after_cr != (c == '\n'))
        return "a header line of a part does not end with CR LF";
    if (char_is(c, CHAR_CONTROL) && c != '\t' && c != '\r' && c != '\n')
        return "a header line of a part has a control character";
    return NULL;
}

static enum multipart_event take_head(struct multipart *m, slice *in)
{
    while (in->n) {
        char c = in->p[0];
        const char *fault = head_fault(m, c);
        if (fault)
            return fail(m, fault);
        *in = slice_skip(*in, 1);
        m->room[m->head_n++] = c;
        if (c == '\n' && (m->head_n == 2 || m->room[m->head_n - 3] == '\n'))
            return read_head(m);
    }
    return MULTIPART_MORE;
}

/* --- data --- */

/* How many bytes of [in] are data for sure: up to the delimiter, or up to what may begin it. */
static size_t data_length(const struct multipart *m, slice in)
{
    const char *hit = memmem(in.p, in.n, m->delimiter, m->delimiter_n);
    if (hit)
        return (size_t)(hit - in.p);
    size_t tail_n = MIN(in.n, (size_t)m->delimiter_n - 1);
    slice tail = slice_skip(in, in.n - tail_n);
    ssize_t at = slice_find_last(tail, '\r');
    if (at < 0)
        return in.n;
    tail = slice_skip(tail, (size_t)at);
    return slice_has_prefix(slice_of(m->delimiter, m->delimiter_n), tail) ? in.n - tail.n : in.n;
}

/* Goes on in the delimiter; true when it is complete. */
static bool match_more(struct multipart *m, slice *in)
{
    while (in->n && m->matched < m->delimiter_n && in->p[0] == m->delimiter[m->matched]) {
        m->matched++;
        *in = slice_skip(*in, 1);
    }
    return m->matched == m->delimiter_n;
}

static enum multipart_event begin_boundary(struct multipart *m, enum multipart_event event)
{
    m->matched = 0;
    m->state = BOUNDARY;
    return event;
}

static enum multipart_event take_data(struct multipart *m, slice *in)
{
    if (!m->matched) {
        m->data = slice_head(*in, data_length(m, *in));
        *in = slice_skip(*in, m->data.n);
        if (m->data.n)
            return MULTIPART_DATA;
    }
    if (match_more(m, in))
        return begin_boundary(m, MULTIPART_PART_END);
    if (!in->n)
        return MULTIPART_MORE;
    m->data = slice_of(m->delimiter, m->matched); /* it was none */
    m->matched = 0;
    return MULTIPART_DATA;
}

static bool begins_empty_line(const struct multipart *m, slice in)
{
    return m->matched == 2 && in.n && in.p[0] == '\r';
}

/* MULTIPART_MORE with input left: go on. */
static enum multipart_event take_first(struct multipart *m, slice *in)
{
    if (begins_empty_line(m, *in))
        m->matched = 0;
    if (match_more(m, in))
        return begin_boundary(m, MULTIPART_MORE);
    if (!in->n || begins_empty_line(m, *in))
        return MULTIPART_MORE;
    return fail(m, "the body does not begin with its boundary");
}

/* --- the line of a boundary --- */

static enum state after_boundary(struct multipart *m, char c)
{
    bool is_last = m->state == LAST || m->state == LAST_LF;
    switch (m->state) {
    case BOUNDARY:
        m->head_n = 0; /* counts blanks here */
        if (c == '-')
            return LAST_DASH;
        break;
    case LAST_DASH:
        m->head_n = 0;
        return c == '-' ? LAST : BAD;
    case BOUNDARY_LF:
        m->head_n = 0;
        return c == '\n' ? HEAD : BAD;
    case LAST_LF:
        return c == '\n' ? DONE : BAD;
    }
    if (c == '\r')
        return is_last ? LAST_LF : BOUNDARY_LF;
    if ((c != ' ' && c != '\t') || ++m->head_n > PADDING_MAX)
        return BAD;
    return is_last ? LAST : BOUNDARY_PAD;
}

static enum multipart_event take_boundary_byte(struct multipart *m, slice *in)
{
    enum state before = m->state;
    m->state = (uint8_t)after_boundary(m, in->p[0]);
    if (m->state == BAD)
        return fail(m, "a boundary is followed by something else");
    *in = slice_skip(*in, 1);
    if (m->state == HEAD && m->parts == m->parts_max)
        return fail(m, "the body has too many parts");
    return before == LAST_DASH ? MULTIPART_END : MULTIPART_MORE;
}

static enum multipart_event step(struct multipart *m, slice *in)
{
    switch ((enum state)m->state) {
    case FIRST:
        return take_first(m, in);
    case DATA:
        return take_data(m, in);
    case HEAD:
        return take_head(m, in);
    case DONE:
        *in = slice_skip(*in, in->n);
        return MULTIPART_MORE;
    case BAD:
        return MULTIPART_ERROR;
    case BOUNDARY:
    case BOUNDARY_PAD:
    case BOUNDARY_LF:
    case LAST_DASH:
    case LAST:
    case LAST_LF:
        break;
    }
    return take_boundary_byte(m, in);
}

enum multipart_event multipart_next(struct multipart *m, slice *in)
{
    enum multipart_event event = m->state == BAD ? MULTIPART_ERROR : MULTIPART_MORE;
    while (in->n && event == MULTIPART_MORE)
        event = step(m, in);
    return event;
}
