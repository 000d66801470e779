/* http_date: the three date forms of RFC 9110 5.6.7, and the calendar beneath them.
 *
 * Used by the Date and Last-Modified fields and by the conditions of http_cond. Invariant: what
 * http_date_put writes, http_date_parse reads back as the same second. It knows no clock: the
 * caller brings "now". */
#include "wire/http_date.h"

#define SECONDS_PER_DAY 86400
/* 0000-01-01 00:00:00 and 9999-12-31 23:59:59 */
#define DATE_FIRST INT64_C(-62167219200)
#define DATE_LAST  INT64_C(253402300799)

struct civil {
    int64_t year;
    int64_t month; /* 1 to 12 */
    int64_t day;   /* 1 to 31 */
    int64_t hour, minute, second;
};

static const slice day_names[7] = {
    SLICE("Sunday"),   SLICE("Monday"), SLICE("Tuesday"),  SLICE("Wednesday"),
    SLICE("Thursday"), SLICE("Friday"), SLICE("Saturday"),
};

static const char month_names[12][4] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};

/* Days since 1970-01-01. Years begin in March here: the leap day is then the last day of its year,
 * and the days before a month follow (153 * m + 2) / 5. 719468 days lie between 0000-03-01 and
 * 1970-01-01. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int64_t seconds_of(const struct civil *c)
{
    return days_of(c->year, c->month, c->day) * SECONDS_PER_DAY + c->hour * 3600 + c->minute * 60 +
           c->second;
}

/* The inverse of days_of. */
static struct civil civil_of(int64_t unix_seconds)
{
    int64_t rest = unix_seconds % SECONDS_PER_DAY;
    int64_t days = unix_seconds / SECONDS_PER_DAY;
    if (rest < 0) {
        rest += SECONDS_PER_DAY;
        days--;
    }
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march + (month_from_march < 10 ? 3 : -9);
    return (struct civil){
        .year = year_of_era + era * 400 + (month <= 2),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
    };
}

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
    unix_seconds = MAX(DATE_FIRST, MIN(DATE_LAST, unix_seconds));
    struct civil c = civil_of(unix_seconds);
    char room[HTTP_DATE_BYTES];
    struct fmt date = fmt_on(room, sizeof room);
    fmt_put(&date, slice_head(day_names[weekday_of(unix_seconds)], 3));
    fmt_str(&date, ", ");
    fmt_u64_wide(&date, (uint64_t)c.day, 2);
    fmt_char(&date, ' ');
    fmt_str(&date, month_names[c.month - 1]);
    fmt_char(&date, ' ');
    fmt_u64_wide(&date, (uint64_t)c.year, 4);
    fmt_char(&date, ' ');
    fmt_u64_wide(&date, (uint64_t)c.hour, 2);
    fmt_char(&date, ':');
    fmt_u64_wide(&date, (uint64_t)c.minute, 2);
    fmt_char(&date, ':');
    fmt_u64_wide(&date, (uint64_t)c.second, 2);
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
    for (size_t i = 0; i < COUNT_OF(month_names); i++)
        if (take(s, slice_of(month_names[i], 3))) {
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
    struct civil limit = civil_of(MAX(DATE_FIRST, MIN(DATE_LAST, now_unix)));
    limit.year += 50;
    int64_t digits = c->year;
    c->year = limit.year - limit.year % 100 + digits;
    if (c->year > limit.year)
        c->year -= 100;
    if (seconds_of(c) > seconds_of(&limit))
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
    *unix_seconds_out = seconds_of(&c);
    return true;
}
