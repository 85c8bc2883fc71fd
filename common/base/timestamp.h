/* timestamp.h — a time as clients write it, into milliseconds since 1970. Pure; any bytes are safe (tests/fuzz/timestamp_fuzz.c).
 *
 * What Pydantic 2 takes for a datetime in lax mode (its parser is pydantic/speedate), and its words for what it does not take:
 *
 *     2025-07-20T10:30:00.123456+02:00    date, `T`, `t`, `_` or a space, HH:MM, seconds and a fraction if wanted (`.` or `,`; what is beyond a
 *                                         millisecond is cut off), `Z`, `z` or an offset (+HH:MM, +HHMM, a minus may be U+2212); without one: UTC
 *     2025-07-20                          midnight, UTC
 *     1753007400, "1753007400.5"          a number: seconds since 1970, or milliseconds if it is beyond ±2·10^10
 *
 * Where this differs: times before 1970 and after 9999 are refused here, as nothing in Noria could show them. A second of 60 is
 * refused, as there. clock_iso8601() is the other direction.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* T(NAME, "speedate's text") */
#define TIMESTAMP_TABLE(T)                                                                                   \
    T(OK, "")                                                                                                \
    T(TOO_SHORT, "input is too short")                                                                       \
    T(EXTRA, "unexpected extra characters at the end of the input")                                          \
    T(YEAR, "invalid character in year")                                                                     \
    T(DATE_SEPARATOR, "invalid date separator, expected `-`")                                                \
    T(MONTH, "invalid character in month")                                                                   \
    T(DAY, "invalid character in day")                                                                       \
    T(MONTH_RANGE, "month value is outside expected range of 1-12")                                          \
    T(DAY_RANGE, "day value is outside expected range")                                                      \
    T(NUMBER_SMALL, "dates before 1600 are not supported as unix timestamps")                                \
    T(NUMBER_LARGE, "dates after 9999 are not supported as unix timestamps")                                 \
    T(EARLY, "Input should be greater than or equal to 1970-01-01T00:00:00Z")                                \
    T(LATE, "Input should be less than or equal to 9999-12-31T23:59:59.999000Z")

enum timestamp_e {
#define T(NAME, text) TIMESTAMP_##NAME,
    TIMESTAMP_TABLE(T)
#undef T
};

/* *wall_ms is set with TIMESTAMP_OK only. A fault behind a date that is right is TIMESTAMP_EXTRA, whatever it is: Pydantic tries a date when it
 * could read no datetime, and tells what was wrong with that. EARLY and LATE are well-formed times out of Noria's range. */
enum timestamp_e timestamp_parse(const char *text, size_t len, uint64_t *wall_ms);
enum timestamp_e timestamp_from_whole(int64_t number, uint64_t *wall_ms);
enum timestamp_e timestamp_from_real(double number, uint64_t *wall_ms); /* finite */

const char *timestamp_text(enum timestamp_e fault);
