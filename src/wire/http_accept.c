/* http_accept: proactive negotiation by Accept and Accept-Encoding (RFC 9110 12).
 *
 * Invariant: always an answer. It only weighs; the caller knows which forms exist and sends Vary.
 */
#include "wire/http_accept.h"

#define QUALITY_MAX   1000
#define QUALITY_UNSET (-1)

/* One element of a list: name *( ";" parameter ) with its weight taken out. */
struct wish {
    slice name;
    int quality;
    bool has_parameters; /* others than q and charset=utf-8 */
};

/* The part of *s before the next [separator] that is not inside a quoted-string (RFC 9110 5.6.4),
 * trimmed; *s becomes the part after it. False when *s was exhausted before. */
static bool cut_unquoted(slice *s, char separator, slice *item_out)
{
    if (!s->p)
        return false;
    bool quoted = false;
    size_t n = 0;
    for (; n < s->n && (quoted || s->p[n] != separator); n++) {
        if (s->p[n] == '"')
            quoted = !quoted;
        else if (quoted && s->p[n] == '\\' && n + 1 < s->n)
            n++;
    }
    *item_out = slice_trim(slice_head(*s, n));
    *s = n < s->n ? slice_skip(*s, n + 1) : (slice){NULL, 0};
    return true;
}

/* qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )  (RFC 9110 12.4.2) */
static bool parse_quality(slice s, int *quality_out)
{
    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return false;
    int quality = (s.p[0] - '0') * QUALITY_MAX;
    int scale = QUALITY_MAX / 10;
    for (size_t i = 2; i < s.n; i++, scale /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        quality += (s.p[i] - '0') * scale;
    }
    *quality_out = quality;
    return quality <= QUALITY_MAX;
}

/* One parameter of an element. What comes after the weight are extensions of Accept (RFC
 * 7231 5.3.2), without meaning by now. False: the weight is malformed. */
static bool read_parameter(slice parameter, struct wish *w, bool *has_weight)
{
    slice value = parameter, name;
    if (*has_weight || parameter.n == 0 || !slice_cut(&value, '=', &name))
        return true;
    if (slice_is_nocase(name, SLICE("q"))) {
        *has_weight = true;
        return parse_quality(value, &w->quality);
    }
    bool is_utf8 =
        slice_is_nocase(name, SLICE("charset")) &&
        (slice_is_nocase(value, SLICE("utf-8")) || slice_is_nocase(value, SLICE("\"utf-8\"")));
    w->has_parameters = w->has_parameters || !is_utf8;
    return true;
}

static bool parse_wish(slice item, struct wish *w)
{
    *w = (struct wish){.quality = QUALITY_MAX};
    if (!cut_unquoted(&item, ';', &w->name) || w->name.n == 0)
        return false;
    bool has_weight = false;
    for (slice parameter; cut_unquoted(&item, ';', &parameter);)
        if (!read_parameter(parameter, w, &has_weight))
            return false;
    return true;
}

/* The next element of the list *s that can be read. */
static bool next_wish(slice *s, struct wish *w)
{
    for (slice item; cut_unquoted(s, ',', &item);)
        if (parse_wish(item, w))
            return true;
    return false;
}

slice http_coding_name(enum http_coding coding)
{
    static const slice names[CODING_COUNT] = {
        [CODING_IDENTITY] = SLICE("identity"),
        [CODING_GZIP] = SLICE("gzip"),
        [CODING_BR] = SLICE("br"),
        [CODING_ZSTD] = SLICE("zstd"),
    };
    return names[coding];
}

/* CODING_COUNT for one that we do not know. */
static enum http_coding coding_of(slice name)
{
    if (slice_is_nocase(name, SLICE("x-gzip"))) /* RFC 9110 8.4.1.3: equivalent to gzip */
        return CODING_GZIP;
    unsigned coding = 0;
    while (coding < CODING_COUNT && !slice_is_nocase(name, http_coding_name(coding)))
        coding++;
    return coding;
}

/* RFC 9110 12.5.3: the weight of each coding; the asterisk stands for all that are not named.
 * Identity that is neither named nor covered by an asterisk is acceptable, here with the least
 * weight: who lists codings wants them. */
static void weigh_codings(slice accept_encoding, int quality_out[CODING_COUNT])
{
    int others = QUALITY_UNSET;
    for (unsigned i = 0; i < CODING_COUNT; i++)
        quality_out[i] = QUALITY_UNSET;
    for (struct wish w; next_wish(&accept_encoding, &w);) {
        enum http_coding coding = coding_of(w.name);
        int *quality = slice_is(w.name, SLICE("*")) ? &others
                       : coding < CODING_COUNT      ? &quality_out[coding]
                                                    : NULL;
        if (quality)
            *quality = MAX(*quality, w.quality);
    }
    for (unsigned i = 0; i < CODING_COUNT; i++)
        if (quality_out[i] == QUALITY_UNSET)
            quality_out[i] = MAX(others, 0);
}

unsigned http_accept_coding(slice accept_encoding, unsigned available)
{
    static const enum http_coding preference[] = {CODING_BR, CODING_ZSTD, CODING_GZIP,
                                                  CODING_IDENTITY};
    int quality[CODING_COUNT];
    unsigned best = CODING_IDENTITY;
    int best_quality = 0;
    weigh_codings(accept_encoding, quality);
    for (unsigned i = 0; i < COUNT_OF(preference); i++) {
        enum http_coding coding = preference[i];
        bool is_there = coding == CODING_IDENTITY || (available & 1u << coding);
        if (is_there && quality[coding] > best_quality) {
            best = coding;
            best_quality = quality[coding];
        }
    }
    return best;
}

/* RFC 9110 12.5.1: how closely a media-range covers [type]: 3 by name, 2 by its
 * type alone, 1 as anything, 0 not at all. */
static int specificity(const struct wish *w, slice type)
{
    if (w->has_parameters)
        return 0;
    if (slice_is_nocase(w->name, type))
        return 3;
    if (slice_is(w->name, SLICE("*/*")))
        return 1;
    if (!slice_has_suffix(w->name, SLICE("/*")))
        return 0;
    slice major = slice_head(w->name, w->name.n - 1); /* with its slash */
    return slice_is_nocase(slice_head(type, major.n), major) ? 2 : 0;
}

/* Quality of [type]; in *specificity_out how closely the deciding range named it. */
static int weigh_type(slice accept, slice type, int *specificity_out)
{
    int quality = 0, best = 0;
    for (struct wish w; next_wish(&accept, &w);) {
        int s = specificity(&w, type);
        if (s == 0 || s < best)
            continue;
        quality = s > best ? w.quality : MAX(quality, w.quality);
        best = s;
    }
    *specificity_out = best;
    return quality;
}

int http_accept_quality(slice accept, slice type)
{
    int closeness;
    if (slice_trim(accept).n == 0)
        return QUALITY_MAX;
    return weigh_type(accept, type, &closeness);
}

bool http_accept_prefers_json(slice accept)
{
    int json_closeness, html_closeness;
    int json = weigh_type(accept, SLICE("application/json"), &json_closeness);
    int html = weigh_type(accept, SLICE("text/html"), &html_closeness);
    return json_closeness == 3 && json > 0 && json >= html;
}
