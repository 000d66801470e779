/* http_cond: the preconditions of RFC 9110 13, over http_date.
 *
 * Invariant: doubt never produces a 304 and never lets a change happen; at worst a body is sent
 * that the client had already. */
#include "wire/http_cond.h"

#include "wire/http_date.h"

struct etag {
    bool is_weak;
    slice opaque; /* with the quotes */
};

enum list_result { LIST_MATCHES, LIST_DIFFERS, LIST_MALFORMED };

/* etagc = %x21 / %x23-7E / obs-text (RFC 9110 8.8.3): no blank, no quote, no control character */
static bool is_etagc(char c)
{
    unsigned char b = (unsigned char)c;
    return b == 0x21 || (b >= 0x23 && b != 0x7f);
}

/* entity-tag = [ weak ] DQUOTE *etagc DQUOTE, from the front of *s; weak = %s"W/" */
static bool take_etag(slice *s, struct etag *tag_out)
{
    tag_out->is_weak = slice_has_prefix(*s, SLICE("W/"));
    if (tag_out->is_weak)
        *s = slice_skip(*s, 2);
    if (s->n == 0 || s->p[0] != '"')
        return false;
    size_t n = 1;
    while (n < s->n && is_etagc(s->p[n]))
        n++;
    if (n == s->n || s->p[n] != '"')
        return false;
    tag_out->opaque = slice_head(*s, n + 1);
    *s = slice_skip(*s, n + 1);
    return true;
}

/* RFC 9110 8.8.3.2. The strong comparison also asks that neither is weak. */
static bool etag_is(const struct etag *a, const struct etag *b, bool strong)
{
    return !(strong && (a->is_weak || b->is_weak)) && slice_is(a->opaque, b->opaque);
}

/* The server's own tag; false when there is none. */
static bool own_etag(const struct http_validators *v, struct etag *tag_out)
{
    slice s = v->etag;
    return take_etag(&s, tag_out) && s.n == 0;
}

/* Does [list] name our tag? list = "*" / #entity-tag, with the empty elements that a recipient
 * accepts (RFC 9110 5.6.1.2). It is read to its end before the answer is given: one bad element
 * spoils it all. */
static enum list_result list_match(slice list, const struct http_validators *v, bool strong)
{
    list = slice_trim(list);
    if (slice_is(list, SLICE("*")))
        return v ? LIST_MATCHES : LIST_DIFFERS;
    struct etag own, tag;
    bool has_own = v && own_etag(v, &own);
    bool matches = false;
    unsigned tags = 0;
    for (;;) {
        list = slice_trim(list);
        if (list.n && list.p[0] != ',') {
            if (!take_etag(&list, &tag))
                return LIST_MALFORMED;
            tags++;
            matches = matches || (has_own && etag_is(&tag, &own, strong));
            list = slice_trim(list);
        }
        if (list.n == 0)
            break;
        if (list.p[0] != ',')
            return LIST_MALFORMED;
        list = slice_skip(list, 1);
    }
    if (tags == 0)
        return LIST_MALFORMED;
    return matches ? LIST_MATCHES : LIST_DIFFERS;
}

/* RFC 9110 13.1.4: ignored without a valid date, and when the resource has no modification date. */
static bool unmodified_since(slice field, const struct http_validators *v, int64_t now)
{
    int64_t date;
    if (!v || v->last_modified < 0 || !http_date_parse(field, now, &date))
        return true;
    return v->last_modified <= date;
}

/* RFC 9110 13.1.3: the same, and the question turned round. */
static bool modified_since(slice field, const struct http_validators *v, int64_t now)
{
    int64_t date;
    if (!v || v->last_modified < 0 || !http_date_parse(field, now, &date))
        return true;
    return v->last_modified > date;
}

/* Steps 1 and 2 of RFC 9110 13.2.2: may the method be applied to this state at all? */
static bool state_is_expected(const struct http_conditions *c, const struct http_validators *v,
                              int64_t now)
{
    if (c->if_match.p) /* 13.1.1: strong comparison */
        return list_match(c->if_match, v, true) == LIST_MATCHES;
    return !c->if_unmodified_since.p || unmodified_since(c->if_unmodified_since, v, now);
}

/* Steps 3 and 4 of RFC 9110 13.2.2: has the client this state already? */
enum http_cond_result http_cond_check(const struct http_conditions *c,
                                      const struct http_validators *v, bool is_get_or_head,
                                      int64_t now)
{
    if (!state_is_expected(c, v, now))
        return COND_FAILED;
    if (c->if_none_match.p) { /* 13.1.2: weak comparison; If-Modified-Since is ignored */
        enum list_result result = list_match(c->if_none_match, v, false);
        if (is_get_or_head)
            return result == LIST_MATCHES ? COND_NOT_MODIFIED : COND_PROCEED;
        return result == LIST_DIFFERS ? COND_PROCEED : COND_FAILED;
    }
    if (is_get_or_head && c->if_modified_since.p && !modified_since(c->if_modified_since, v, now))
        return COND_NOT_MODIFIED;
    return COND_PROCEED;
}

/* If-Range = entity-tag / HTTP-date. A quote within the first three characters makes it a tag. */
bool http_cond_if_range(slice if_range, const struct http_validators *v, int64_t now)
{
    if (!if_range.p)
        return true;
    slice s = slice_trim(if_range);
    if (slice_find(slice_head(s, 3), '"') >= 0) {
        struct etag own, tag;
        return take_etag(&s, &tag) && s.n == 0 && own_etag(v, &own) && etag_is(&tag, &own, true);
    }
    int64_t date;
    return http_date_parse(s, now, &date) && v->last_modified >= 0 && v->last_modified == date;
}
