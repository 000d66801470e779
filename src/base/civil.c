/* civil: days to dates and back. */
#include "base/civil.h"

#define SECONDS_PER_DAY 86400

const char civil_months[12][4] = {
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

int64_t civil_seconds(const struct civil *c)
{
    return days_of(c->year, c->month, c->day) * SECONDS_PER_DAY + c->hour * 3600 + c->minute * 60 +
           c->second;
}

/* The inverse of days_of. */
struct civil civil_of(int64_t unix_seconds)
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

struct civil civil_within(int64_t unix_seconds)
{
    return civil_of(MAX(CIVIL_FIRST, MIN(CIVIL_LAST, unix_seconds)));
}

void civil_put_time(struct fmt *f, const struct civil *c)
{
    fmt_u64_wide(f, (uint64_t)c->hour, 2);
    fmt_char(f, ':');
    fmt_u64_wide(f, (uint64_t)c->minute, 2);
    fmt_char(f, ':');
    fmt_u64_wide(f, (uint64_t)c->second, 2);
}

void civil_put_rfc3339(struct fmt *f, int64_t unix_seconds)
{
    struct civil c = civil_within(unix_seconds);
    fmt_u64_wide(f, (uint64_t)c.year, 4);
    fmt_char(f, '-');
    fmt_u64_wide(f, (uint64_t)c.month, 2);
    fmt_char(f, '-');
    fmt_u64_wide(f, (uint64_t)c.day, 2);
    fmt_char(f, 'T');
    civil_put_time(f, &c);
}
