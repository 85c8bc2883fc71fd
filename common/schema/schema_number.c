/* See schema_number.h. */
#include "schema_number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "schema_json.h"
#include "schema_pattern_internal.h"

struct span {
    const char *at, *end;
};

/* The space at `at`: its bytes; 0: there is none. */
static size_t space_bytes(const char *at, const char *end)
{
    const char *behind = at;
    return pattern_in_ranges(schema_spaces, schema_spaces_count, pattern_next_code(&behind, end))
               ? (size_t)(behind - at)
               : 0;
}

static struct span trim(const char *text, size_t len)
{
    struct span span = {text, text + len};
    size_t bytes;
    while (span.at < span.end && (bytes = space_bytes(span.at, span.end)) > 0)
        span.at += bytes;
    while (span.end > span.at) {
        const char *last = span.end - 1;
        while (last > span.at && ((unsigned char)*last & 0xc0) == 0x80 && span.end - last < 4)
            last--;
        bytes = space_bytes(last, span.end);
        if (bytes != (size_t)(span.end - last))
            break;
        span.end = last;
    }
    return span;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* --- integers ------------------------------------------------------------------------------------------------------- */

/* Cuts ".000" off. False: something else stands behind the point. */
static bool cut_zeros(struct span *span)
{
    const char *point = memchr(span->at, '.', (size_t)(span->end - span->at));
    if (point == NULL)
        return true;
    if (point + 1 == span->end)
        return false;
    for (const char *p = point + 1; p < span->end; p++) {
        if (*p != '0')
            return false;
    }
    span->end = point;
    return true;
}

/* Zeros before the number and whatever underscores stand among them; of zeros alone the last remains. */
static void skip_zeros(struct span *span)
{
    if (span->at == span->end || *span->at != '0')
        return;
    while (span->end - span->at > 1 && (*span->at == '0' || *span->at == '_'))
        span->at++;
}

/* Digits with single underscores between them. */
static enum number_e read_digits(struct span span, bool negative, int64_t *out)
{
    uint64_t value = 0;
    bool large = false, digit = false;
    for (const char *p = span.at; p < span.end; p++) {
        if (*p == '_' && digit && p + 1 < span.end) {
            digit = false;
            continue;
        }
        if (!is_digit(*p))
            return NUMBER_NONE;
        digit = true;
        large = large || __builtin_mul_overflow(value, 10u, &value) ||
                __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
    }
    if (!digit)
        return NUMBER_NONE;
    if (large || value > (uint64_t)INT64_MAX + negative)
        return NUMBER_LARGE;
    *out = (int64_t)(negative ? 0 - value : value);
    return NUMBER_OK;
}

enum number_e schema_text_to_int(const char *text, size_t len, int64_t *out)
{
    struct span span = trim(text, len);
    bool negative = span.at < span.end && *span.at == '-';
    span.at += negative || (span.at < span.end && *span.at == '+');
    if (span.at == span.end || !is_digit(*span.at) || !cut_zeros(&span))
        return NUMBER_NONE;
    skip_zeros(&span);
    return read_digits(span, negative, out);
}

enum number_e schema_float_to_int(double value, int64_t *out)
{
    if (!isfinite(value) || fabs(value) >= SCHEMA_JSON_HUGE)
        return NUMBER_INFINITE;
    if (trunc(value) < value || trunc(value) > value)
        return NUMBER_FRACTION;
    if (value <= -0x1p63 || value >= 0x1p63)
        return NUMBER_LARGE;
    *out = (int64_t)value;
    return NUMBER_OK;
}

/* --- floats --------------------------------------------------------------------------------------------------------- */

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

static bool is_float_text(struct span span)
{
    const char *at = span.at, *end = span.end;
    at += at < end && (*at == '+' || *at == '-');
    const char *point = skip_digits(at, end), *behind = point;
    if (point < end && *point == '.')
        behind = skip_digits(point + 1, end);
    if (point == at && behind - point < 2)
        return false;
    if (behind < end && (*behind == 'e' || *behind == 'E')) {
        const char *power = behind + 1;
        power += power < end && (*power == '+' || *power == '-');
        behind = skip_digits(power, end);
        if (behind == power)
            return false;
    }
    return behind == end;
}

static bool is_infinite_text(struct span span)
{
    static const char *const names[] = {"inf", "infinity", "nan"};
    span.at += span.at < span.end && (*span.at == '+' || *span.at == '-');
    size_t len = (size_t)(span.end - span.at);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (len == strlen(names[i]) && strncasecmp(span.at, names[i], len) == 0)
            return true;
    }
    return false;
}

static enum number_e read_float(struct span span, double *out)
{
    if (is_infinite_text(span))
        return NUMBER_INFINITE;
    if (!is_float_text(span))
        return NUMBER_NONE;
    *out = strtod(span.at, NULL); /* ends by itself where the span does: at a NUL or a space */
    return fabs(*out) >= SCHEMA_JSON_HUGE ? NUMBER_INFINITE : NUMBER_OK;
}

/* Single underscores go, wherever they stand but at the ends; as there, spaces are not looked at again. */
__attribute__((noinline)) static enum number_e read_underscored(const char *text, size_t len, double *out)
{
    char room[SCHEMA_JSON_NUMBER + 1], *put = room;
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '_')
            *put++ = text[i];
        else if (i == 0 || i + 1 == len || text[i + 1] == '_')
            return NUMBER_NONE;
    }
    *put = '\0';
    return read_float((struct span){room, put}, out);
}

enum number_e schema_text_to_float(const char *text, size_t len, double *out)
{
    if (len > SCHEMA_JSON_NUMBER)
        return NUMBER_NONE;
    enum number_e found = read_float(trim(text, len), out);
    return found == NUMBER_NONE && memchr(text, '_', len) != NULL ? read_underscored(text, len, out) : found;
}

/* --- texts ---------------------------------------------------------------------------------------------------------- */

/* The shortest digits that read as the same again: "-d.ddde±xx". */
static void shortest(double value, char text[40])
{
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, 40, "%.*e", precision, value);
        double again = strtod(text, NULL);
        if (again <= value && again >= value)
            return;
    }
}

/* Sign and digits without point to `digits`; the power of ten of the first one is returned. */
static int take_apart(double value, char digits[24], bool *negative)
{
    char text[40], *put = digits;
    shortest(value, text);
    *negative = text[0] == '-';
    const char *at = text + *negative;
    for (; *at != 'e'; at++) {
        if (*at != '.')
            *put++ = *at;
    }
    *put = '\0';
    return (int)strtol(at + 1, NULL, 10);
}

/* `count` zeros. */
static char *zeros(char *put, int count)
{
    if (count <= 0)
        return put;
    memset(put, '0', (size_t)count);
    return put + count;
}

void schema_float_to_text(double value, char out[SCHEMA_NUMBER_TEXT])
{
    char digits[24], *put = out;
    bool negative;
    int power = take_apart(value, digits, &negative), count = (int)strlen(digits);
    if (negative)
        *put++ = '-';
    if (power < 0) {
        put = zeros(put, 1);
        *put++ = '.';
        put = zeros(put, -power - 1);
        strcpy(put, digits);
    } else if (power + 1 >= count) {
        put = stpcpy(put, digits);
        *zeros(put, power + 1 - count) = '\0';
    } else {
        memcpy(put, digits, (size_t)power + 1);
        put[power + 1] = '.';
        strcpy(put + power + 2, digits + power + 1);
    }
}

void schema_float_to_repr(double value, char out[32])
{
    char digits[24], text[SCHEMA_NUMBER_TEXT];
    bool negative;
    int power = take_apart(value, digits, &negative);
    if (power < -4 || power >= 16) {
        snprintf(out, 32, "%s%c%s%.16se%c%02u", negative ? "-" : "", digits[0], digits[1] != '\0' ? "." : "",
                 digits + 1, power < 0 ? '-' : '+', (unsigned)abs(power) % 1000u);
        return;
    }
    schema_float_to_text(value, text);
    snprintf(out, 32, "%.28s%s", text, strchr(text, '.') == NULL ? ".0" : "");
}
