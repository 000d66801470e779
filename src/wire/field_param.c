/* field_param: parameters one by one. */
#include "wire/field_param.h"

#include "wire/char_class.h"

#include <errno.h>

slice field_value_of(slice field, slice *rest_out)
{
    ssize_t at = slice_find(field, ';');
    *rest_out = at < 0 ? SLICE("") : slice_skip(field, (size_t)at);
    return slice_trim(at < 0 ? field : slice_head(field, (size_t)at));
}

static slice cut_token(slice *s)
{
    size_t n = 0;
    while (n < s->n && char_is(s->p[n], CHAR_TOKEN))
        n++;
    slice token = slice_head(*s, n);
    *s = slice_skip(*s, n);
    return token;
}

/* RFC 9110 5.6.4, with its opening quote; .p is NULL when it does not end. */
static slice cut_quoted(slice *s)
{
    for (size_t n = 1; n < s->n; n++) {
        if (s->p[n] == '"') {
            slice inner = slice_of(s->p + 1, n - 1);
            *s = slice_skip(*s, n + 1);
            return inner;
        }
        if (char_is(s->p[n], CHAR_CONTROL) && s->p[n] != '\t')
            break;
        n += s->p[n] == '\\' && n + 1 < s->n && (s->p[n + 1] == '"' || s->p[n + 1] == '\\');
    }
    return (slice){NULL, 0};
}

static int malformed(slice *rest)
{
    *rest = SLICE("="); /* it stays malformed */
    return -EINVAL;
}

int field_param_next(slice *rest, struct field_param *param)
{
    slice s = slice_trim(*rest);
    if (!s.n)
        return 0;
    if (s.p[0] != ';')
        return malformed(rest);
    while (s.n && s.p[0] == ';')
        s = slice_trim(slice_skip(s, 1));
    if (!s.n) {
        *rest = s;
        return 0;
    }
    param->name = cut_token(&s);
    if (!param->name.n || !s.n || s.p[0] != '=')
        return malformed(rest);
    s = slice_skip(s, 1);
    bool is_quoted = s.n && s.p[0] == '"';
    param->value = is_quoted ? cut_quoted(&s) : cut_token(&s);
    if (!param->value.p || (!is_quoted && !param->value.n))
        return malformed(rest);
    *rest = s;
    return 1;
}

slice field_param_unquote(slice value, char *room)
{
    size_t n = 0;
    for (size_t i = 0; i < value.n; i++) {
        bool is_escape = value.p[i] == '\\' && i + 1 < value.n &&
                         (value.p[i + 1] == '"' || value.p[i + 1] == '\\');
        i += is_escape;
        room[n++] = value.p[i];
    }
    return slice_of(room, n);
}
