#include "timestamp.h"

#include <stdbool.h>
#include <string.h>

#include "must.h"

#define LAST_MS   253402300799999LL /* 9999-12-31T23:59:59.999Z */
#define FIRST_S   (-11676096000LL)  /* 1600-01-01, where speedate's numbers begin */
#define WATERSHED 20000000000LL     /* beyond it, either way, a number is milliseconds */
#define DAY_S     86400

const char *timestamp_text(enum timestamp_e fault)
{
    static const char *const texts[] = {
#define T(NAME, text) [TIMESTAMP_##NAME] = text,
        TIMESTAMP_TABLE(T)
#undef T
    };
    MUST(fault < ARRAY_LEN(texts));
    return texts[fault];
}

/* --- numbers --------------------------------------------------------------------------------------------------------- */

static enum timestamp_e in_range(int64_t ms, uint64_t *wall_ms)
{
    if (ms < 0)
        return TIMESTAMP_EARLY;
    if (ms > LAST_MS)
        return TIMESTAMP_LATE;
    *wall_ms = (uint64_t)ms;
    return TIMESTAMP_OK;
}

enum timestamp_e timestamp_from_whole(int64_t number, uint64_t *wall_ms)
{
    bool is_ms = number > WATERSHED || number < -WATERSHED;
    if (is_ms && number > LAST_MS)
        return TIMESTAMP_NUMBER_LARGE;
    if (number < (is_ms ? FIRST_S * 1000 : FIRST_S))
        return TIMESTAMP_NUMBER_SMALL;
    return in_range(is_ms ? number : number * 1000, wall_ms);
}

enum timestamp_e timestamp_from_real(double number, uint64_t *wall_ms)
{
    bool is_ms = number > (double)WATERSHED || number < -(double)WATERSHED;
    double ms = is_ms ? number : number * 1000;
    if (ms >= (double)LAST_MS + 1)
        return TIMESTAMP_NUMBER_LARGE;
    if (ms < (double)FIRST_S * 1000)
        return TIMESTAMP_NUMBER_SMALL;
    int64_t whole = (int64_t)ms;
    return in_range((double)whole > ms ? whole - 1 : whole, wall_ms);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "-12.5": nothing else than digits, a sign and a point; long ones are beyond every range anyway. */
static bool read_number(const char *text, size_t len, double *number)
{
    size_t at = len > 0 && (text[0] == '-' || text[0] == '+'), digits = 0;
    double value = 0, unit = 1;
    for (; at < len && is_digit(text[at]); at++, digits++)
        value = 10 * value + (text[at] - '0');
    if (digits > 0 && at < len && text[at] == '.')
        for (at++; at < len && is_digit(text[at]); at++)
            value += (text[at] - '0') * (unit /= 10);
    *number = text[0] == '-' ? -value : value;
    return digits > 0 && at == len && value < 1e18;
}

/* --- texts ----------------------------------------------------------------------------------------------------------- */

struct reading {
    const char *at, *end;
};

/* `count` digits, as a number; -1: there are others. */
static int take_digits(struct reading *r, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (r->at == r->end || !is_digit(*r->at))
            return -1;
        value = 10 * value + (*r->at++ - '0');
    }
    return value;
}

static bool take(struct reading *r, const char *text)
{
    size_t len = strlen(text);
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, text, len) != 0)
        return false;
    r->at += len;
    return true;
}

static bool take_one_of(struct reading *r, const char *chars)
{
    bool found = r->at < r->end && *r->at != '\0' && strchr(chars, *r->at) != NULL;
    r->at += found;
    return found;
}

/* Days since 1970-01-01 of the proleptic Gregorian calendar: years counted from March, so that the leap day is the last. Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms", days_from_civil. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static enum timestamp_e take_date(struct reading *r, int64_t *days)
{
    if (r->end - r->at < 10)
        return TIMESTAMP_TOO_SHORT;
    int year = take_digits(r, 4);
    if (year < 0)
        return TIMESTAMP_YEAR;
    if (!take(r, "-"))
        return TIMESTAMP_DATE_SEPARATOR;
    int month = take_digits(r, 2);
    if (month < 0)
        return TIMESTAMP_MONTH;
    if (!take(r, "-"))
        return TIMESTAMP_DATE_SEPARATOR;
    int day = take_digits(r, 2);
    if (day < 0)
        return TIMESTAMP_DAY;
    if (month < 1 || month > 12)
        return TIMESTAMP_MONTH_RANGE;
    if (day < 1 || day > days_in(year, month))
        return TIMESTAMP_DAY_RANGE;
    *days = days_of(year, month, day);
    return TIMESTAMP_OK;
}

/* Digits behind the point, any number of them; at least one. */
static bool take_fraction(struct reading *r, int64_t *ms)
{
    const char *from = r->at;
    for (int64_t unit = 100; r->at < r->end && is_digit(*r->at); r->at++, unit /= 10)
        *ms += unit * (*r->at - '0');
    return r->at > from;
}

static bool take_time(struct reading *r, int64_t *ms)
{
    int hour = take_digits(r, 2);
    if (hour < 0 || hour > 23 || !take(r, ":"))
        return false;
    int minute = take_digits(r, 2), second = 0;
    if (minute < 0 || minute > 59)
        return false;
    int64_t fraction = 0;
    if (take(r, ":")) {
        second = take_digits(r, 2);
        if (second < 0 || second > 59)
            return false;
        if (take_one_of(r, ".,") && !take_fraction(r, &fraction))
            return false;
    }
    *ms = (int64_t)(hour * 3600 + minute * 60 + second) * 1000 + fraction;
    return true;
}

/* Nothing, or an offset: how much is to be subtracted. */
static bool take_offset(struct reading *r, int64_t *ms)
{
    *ms = 0;
    if (r->at == r->end || take_one_of(r, "Zz"))
        return true;
    int64_t sign = take(r, "+") ? 1 : take(r, "-") || take(r, "\xe2\x88\x92") ? -1 : 0;
    int hour = take_digits(r, 2);
    if (sign == 0 || hour < 0 || hour > 23)
        return false;
    (void)take(r, ":");
    int minute = take_digits(r, 2);
    if (minute < 0 || minute > 59)
        return false;
    *ms = sign * (hour * 3600 + minute * 60) * 1000;
    return true;
}

enum timestamp_e timestamp_parse(const char *text, size_t len, uint64_t *wall_ms)
{
    struct reading r = {text, text + len};
    int64_t days = 0, time = 0, offset = 0;
    double number;
    enum timestamp_e date = take_date(&r, &days);
    if (date != TIMESTAMP_OK && len > 0 && read_number(text, len, &number))
        return timestamp_from_real(number, wall_ms);
    if (date != TIMESTAMP_OK)
        return date;
    if (r.at < r.end && !(take_one_of(&r, "Tt _") && take_time(&r, &time) && take_offset(&r, &offset)))
        return TIMESTAMP_EXTRA;
    return r.at == r.end ? in_range(days * DAY_S * 1000 + time - offset, wall_ms) : TIMESTAMP_EXTRA;
}
