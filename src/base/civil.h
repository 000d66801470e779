/* civil: the calendar (proleptic Gregorian, UTC, no leap seconds), by own arithmetic: nothing here
 * depends on the time zone, on the locale or on a lock inside the C library. */
#ifndef BASE_CIVIL_H
#define BASE_CIVIL_H

#include "base/fmt.h"

/* 0000-01-01 00:00:00 and 9999-12-31 23:59:59: what four digits of a year can say. */
#define CIVIL_FIRST INT64_C(-62167219200)
#define CIVIL_LAST  INT64_C(253402300799)

struct civil {
    int64_t year;
    int64_t month; /* 1 to 12 */
    int64_t day;   /* 1 to 31 */
    int64_t hour, minute, second;
};

/* For seconds within some hundred million years around 1970. */
struct civil civil_of(int64_t unix_seconds);
int64_t civil_seconds(const struct civil *c);

/* "Jan" ... "Dec", whatever the locale. */
extern const char civil_months[12][4];

/* As civil_of; what is outside FIRST..LAST becomes the nearest one inside. */
struct civil civil_within(int64_t unix_seconds);

/* "12:34:56" */
void civil_put_time(struct fmt *f, const struct civil *c);

/* "2026-03-01T12:34:56" (RFC 3339 5.6 without the zone: the caller adds "Z", or the fraction and
 * "Z"). What is outside FIRST..LAST is written as the nearest one inside. */
void civil_put_rfc3339(struct fmt *f, int64_t unix_seconds);

#endif
