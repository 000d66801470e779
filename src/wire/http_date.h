/* http_date: times as HTTP writes them (RFC 9110 5.6.7).
 *
 * Own calendar arithmetic (proleptic Gregorian, UTC, no leap seconds), so nothing here depends on
 * the time zone, on the locale or on a lock inside the C library. */
#ifndef WIRE_HTTP_DATE_H
#define WIRE_HTTP_DATE_H

#include "base/fmt.h"

/* Length of an IMF-fixdate: "Sun, 06 Nov 1994 08:49:37 GMT". */
#define HTTP_DATE_BYTES 29

/* Writes an IMF-fixdate. The form has room for the years 0000 to 9999; a time outside is written as
 * the nearest one inside. */
void http_date_put(struct fmt *f, int64_t unix_seconds);

/* Reads one of the three forms that a recipient must accept: IMF-fixdate, RFC 850, asctime. Strict:
 * the slice is the date and nothing else, case matters, every number is in range, the day exists in
 * its month. The name of the weekday must be one, but is not compared with the date, which it adds
 * nothing to. [now_unix] decides the century of an RFC 850 year: the latest one that is not more
 * than 50 years ahead. False leaves *unix_seconds_out alone. */
MUST_USE bool http_date_parse(slice s, int64_t now_unix, int64_t *unix_seconds_out);

#endif
