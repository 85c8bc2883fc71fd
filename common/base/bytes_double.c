/* bytes_double.c — out_double() of bytes.h. Most numbers that people and sensors write have few places, which are found without printf and
 * strtod: 5 to 20 times as fast. The others are printed with more and more digits until they read back the same. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

/* %g leaves "3" of 3.0; a float stays one. */
static void put_real(struct out *out, const char *text)
{
    out_text(out, text);
    if (strpbrk(text, ".e") == NULL)
        out_literal(out, ".0");
}

static bool same(double a, double b)
{
    return a <= b && a >= b;
}

/* A whole number below 2^53 divided by a power of ten is rounded once, and so is what a reader makes of its digits: if it is the value,
 * these digits are. Fewer places would have been found before. */
static bool put_decimal(struct out *out, double value)
{
    uint64_t scale = 1;
    for (unsigned places = 1; places <= 6; places++) {
        scale *= 10;
        double scaled = value * (double)scale;
        if (fabs(scaled) >= 0x1p52)
            return false;
        double whole = (double)(int64_t)(scaled + (value < 0 ? -0.5 : 0.5));
        if (!same(whole / (double)scale, value))
            continue;
        uint64_t digits = (uint64_t)fabs(whole);
        if (value < 0)
            out_char(out, '-');
        out_u64(out, digits / scale);
        out_char(out, '.');
        for (uint64_t place = scale / 10; place > 0; place /= 10)
            out_char(out, (char)('0' + digits / place % 10));
        return true;
    }
    return false;
}

/* What few places do not show. */
static void put_digits(struct out *out, double value)
{
    char text[40];
    for (int digits = fabs(value) < DBL_MIN ? 1 : DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (digits == DBL_DECIMAL_DIG || same(strtod(text, NULL), value))
            break;
    }
    put_real(out, text);
}

void out_double(struct out *out, double value)
{
    double size = fabs(value);
    if (size >= 1 && size < 1e15 && same(size, (double)(int64_t)size)) {
        out_i64(out, (int64_t)value);
        out_literal(out, ".0");
    } else if (size < 1e-4 || size >= 1e15 || !put_decimal(out, value)) {
        put_digits(out, value);
    }
}
