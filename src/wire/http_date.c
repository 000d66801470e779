/* http_date: the three date forms of RFC 9110 5.6.7.
 *
 * Used by the Date and Last-Modified fields and by the conditions of http_cond. Invariant: what
 * http_date_put writes, http_date_parse reads back as the same second. It knows no clock: the
 * caller brings "now". */
#include "wire/http_date.h"

#include "base/civil.h"

#define SECONDS_PER_DAY 86400

static const slice day_names[7] = {
    SLICE("Sunday"),   SLICE("Monday"), SLICE("Tuesday"),  SLICE("Wednesday"),
    SLICE("Thursday"), SLICE("Friday"), SLICE("Saturday"),
};

/* 1970-01-01 was a Thursday. */
static unsigned weekday_of(int64_t unix_seconds)
{
    int64_t days = unix_seconds / SECONDS_PER_DAY - (unix_seconds % SECONDS_PER_DAY < 0);
    return (unsigned)(((days + 4) % 7 + 7) % 7);
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const int8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

void http_date_put(struct fmt *f, int64_t unix_seconds)
{
    unix_seconds = MAX(CIVIL_FIRST, MIN(CIVIL_LAST, unix_seconds));
    struct civil c = civil_of(unix_seconds);
    char room[HTTP_DATE_BYTES];
    struct fmt date = fmt_on(room, sizeof room);
    fmt_put(&date, slice_head(day_names[weekday_of(unix_seconds)], 3));
    fmt_str(&date, ", ");
    fmt_u64_wide(&date, (uint64_t)c.day, 2);
    fmt_char(&date, ' ');
    fmt_str(&date, civil_months[c.month - 1]);
    fmt_char(&date, ' ');
    fmt_u64_wide(&date, (uint64_t)c.year, 4);
    fmt_char(&date, ' ');
    civil_put_time(&date, &c);
    fmt_str(&date, " GMT");
    fmt_put(f, fmt_done(&date)); /* whole or not at all */
}

/* The readers below take from the front of *s and answer whether it was there. */

static bool take(slice *s, slice literal)
{
    if (!slice_has_prefix(*s, literal))
        return false;
    *s = slice_skip(*s, literal.n);
    return true;
}

static bool take_digits(slice *s, size_t count, int64_t *out)
{
    if (s->n < count)
        return false;
    int64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        value = value * 10 + (s->p[i] - '0');
    }
    *s = slice_skip(*s, count);
    *out = value;
    return true;
}

/* day-name when [letters] is 3, else day-name-l. */
static bool take_day_name(slice *s, size_t letters)
{
    for (size_t i = 0; i < COUNT_OF(day_names); i++)
        if (take(s, slice_head(day_names[i], letters)))
            return true;
    return false;
}

static bool take_month(slice *s, int64_t *month)
{
    for (size_t i = 0; i < COUNT_OF(civil_months); i++)
        if (take(s, slice_of(civil_months[i], 3))) {
            *month = (int64_t)i + 1;
            return true;
        }
    return false;
}

/* time-of-day = hour ":" minute ":" second */
static bool take_time(slice *s, struct civil *c)
{
    return take_digits(s, 2, &c->hour) && take(s, SLICE(":")) && take_digits(s, 2, &c->minute) &&
           take(s, SLICE(":")) && take_digits(s, 2, &c->second);
}

/* IMF-fixdate = day-name "," SP day SP month SP year SP time-of-day SP GMT */
static bool parse_imf(slice s, struct civil *c)
{
    return take_day_name(&s, 3) && take(&s, SLICE(", ")) && take_digits(&s, 2, &c->day) &&
           take(&s, SLICE(" ")) && take_month(&s, &c->month) && take(&s, SLICE(" ")) &&
           take_digits(&s, 4, &c->year) && take(&s, SLICE(" ")) && take_time(&s, c) &&
           slice_is(s, SLICE(" GMT"));
}

/* RFC 9110 5.6.7: a two-digit year that appears to be more than 50 years in the future is the most
 * recent year in the past with the same last two digits. */
static void choose_century(struct civil *c, int64_t now_unix)
{
    struct civil limit = civil_within(now_unix);
    limit.year += 50;
    int64_t digits = c->year;
    c->year = limit.year - limit.year % 100 + digits;
    if (c->year > limit.year)
        c->year -= 100;
    if (civil_seconds(c) > civil_seconds(&limit))
        c->year -= 100;
}

/* rfc850-date = day-name-l "," SP day "-" month "-" 2DIGIT SP time-of-day SP GMT */
static bool parse_rfc850(slice s, int64_t now_unix, struct civil *c)
{
    bool ok = take_day_name(&s, SIZE_MAX) && take(&s, SLICE(", ")) && take_digits(&s, 2, &c->day) &&
              take(&s, SLICE("-")) && take_month(&s, &c->month) && take(&s, SLICE("-")) &&
              take_digits(&s, 2, &c->year) && take(&s, SLICE(" ")) && take_time(&s, c) &&
              slice_is(s, SLICE(" GMT"));
    if (ok)
        choose_century(c, now_unix);
    return ok;
}

/* asctime-date = day-name SP month SP ( 2DIGIT / ( SP 1DIGIT )) SP time-of-day SP year */
static bool parse_asctime(slice s, struct civil *c)
{
    return take_day_name(&s, 3) && take(&s, SLICE(" ")) && take_month(&s, &c->month) &&
           take(&s, SLICE(" ")) &&
           (take(&s, SLICE(" ")) ? take_digits(&s, 1, &c->day) : take_digits(&s, 2, &c->day)) &&
           take(&s, SLICE(" ")) && take_time(&s, c) && take(&s, SLICE(" ")) &&
           take_digits(&s, 4, &c->year) && s.n == 0;
}

/* A leap second (23:59:60) is a valid time; it counts as the first second of the next day. */
static bool is_possible(const struct civil *c)
{
    bool leap_second = c->hour == 23 && c->minute == 59 && c->second == 60;
    return c->day >= 1 && c->day <= days_in_month(c->year, c->month) && c->hour <= 23 &&
           c->minute <= 59 && (c->second <= 59 || leap_second);
}

bool http_date_parse(slice s, int64_t now_unix, int64_t *unix_seconds_out)
{
    struct civil c;
    if (!parse_imf(s, &c) && !parse_rfc850(s, now_unix, &c) && !parse_asctime(s, &c))
        return false;
    if (!is_possible(&c))
        return false;
    *unix_seconds_out = civil_seconds(&c);
    return true;
}
