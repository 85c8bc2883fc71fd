/* detect.c — see detect.h. A series keeps its distances twice: as they came, to know the oldest, and sorted, so that their median is a look-up
 * and what they differ from it by are two sorted runs, one on each side, that are merged from the middle outwards up to their middle.
 */
#include "detect.h"

#include <math.h>
#include <string.h>

#include "must.h"

#define NORMAL_QUARTILE 0.6745 /* of the standard normal distribution: MAD ÷ standard deviation */

/* --- a series ------------------------------------------------------------------------------------------------------- */

/* Of the first value that is not below `value`. */
static unsigned place_of(const struct detect_series *series, double value)
{
    unsigned from = 0, to = series->count;
    while (from < to) {
        unsigned middle = (from + to) / 2;
        if (series->sorted[middle] < value)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static void drop(struct detect_series *series, double value)
{
    unsigned place = place_of(series, value);
    MUST(place < series->count);
    series->count--;
    memmove(series->sorted + place, series->sorted + place + 1,
            (series->count - place) * sizeof series->sorted[0]);
}

static void put(struct detect_series *series, double value)
{
    unsigned place = place_of(series, value);
    memmove(series->sorted + place + 1, series->sorted + place,
            (series->count - place) * sizeof series->sorted[0]);
    series->sorted[place] = value;
    series->count++;
}

static void add_distance(struct detect_series *series, double distance)
{
    if (series->count == DETECT_WINDOW)
        drop(series, series->came[series->next]);
    put(series, distance);
    series->came[series->next] = distance;
    series->next = (series->next + 1) % DETECT_WINDOW;
}

/* The median of the last values, of which there are DETECT_NEAR. */
static double expected(const struct detect_series *series)
{
    double sorted[DETECT_NEAR];
    for (unsigned i = 0; i < DETECT_NEAR; i++) {
        unsigned place = i;
        for (; place > 0 && sorted[place - 1] > series->near[i]; place--)
            sorted[place] = sorted[place - 1];
        sorted[place] = series->near[i];
    }
    return sorted[DETECT_NEAR / 2];
}

static void series_add(struct detect_series *series, double value)
{
    MUST(isfinite(value));
    if (series->near_count == DETECT_NEAR)
        add_distance(series, value - expected(series));
    else
        series->near_count++;
    series->near[series->near_next] = value;
    series->near_next = (series->near_next + 1) % DETECT_NEAR;
}

/* --- median and MAD ------------------------------------------------------------------------------------------------- */

static double median_of(const struct detect_series *series)
{
    unsigned half = series->count / 2;
    const double *sorted = series->sorted;
    return series->count % 2 != 0 ? sorted[half] : sorted[half - 1] / 2 + sorted[half] / 2;
}

/* Takes the smallest distance to `median` that is left: below it from *low down, above it from *high up. */
static double next_distance(const struct detect_series *series, double median, unsigned *low, unsigned *high)
{
    double below = *low > 0 ? median - series->sorted[*low - 1] : INFINITY;
    double above = *high < series->count ? series->sorted[*high] - median : INFINITY;
    if (below <= above) {
        --*low;
        return below;
    }
    ++*high;
    return above;
}

static double mad_of(const struct detect_series *series, double median)
{
    unsigned low = place_of(series, median), high = low;
    double before = 0, distance = 0;
    for (unsigned i = 0; i <= series->count / 2; i++) {
        before = distance;
        distance = next_distance(series, median, &low, &high);
    }
    return series->count % 2 != 0 ? distance : before / 2 + distance / 2;
}

double detect_score(const struct detect_series *series, double value, double scale_min)
{
    if (series->count < DETECT_COUNT_MIN)
        return 0;
    double median = median_of(series), distance = value - expected(series);
    return NORMAL_QUARTILE * (distance - median) / fmax(mad_of(series, median), NORMAL_QUARTILE * scale_min);
}

/* --- readings ------------------------------------------------------------------------------------------------------- */

static void series_clear(struct detect_series *series)
{
    series->near_count = series->near_next = series->count = series->next = 0;
}

void detect_window_clear(struct detect_window *window)
{
    series_clear(&window->temperatura);
    series_clear(&window->humedad);
}

void detect_window_add(struct detect_window *window, const struct detect_reading *reading)
{
    series_add(&window->temperatura, reading->temperatura);
    series_add(&window->humedad, reading->humedad);
}

static bool is_unusual(const struct detect_series *series, double value, double scale_min)
{
    return fabs(detect_score(series, value, scale_min)) > DETECT_SCORE_MAX;
}

unsigned detect(const struct detect_window *window, const struct detect_reading *reading)
{
    double temperatura = reading->temperatura, humedad = reading->humedad;
    const bool shows[] = {
        [DETECT_TEMPERATURA_ALTA] = temperatura > DETECT_TEMPERATURA_MAX,
        [DETECT_TEMPERATURA_BAJA] =
            temperatura<DETECT_TEMPERATURA_MIN, [DETECT_HUMEDAD_ALTA] = humedad> DETECT_HUMEDAD_MAX,
        [DETECT_HUMEDAD_BAJA] = humedad < DETECT_HUMEDAD_MIN,
        [DETECT_TEMPERATURA_ATIPICA] =
            is_unusual(&window->temperatura, temperatura, DETECT_SCALE_MIN_TEMPERATURA),
        [DETECT_HUMEDAD_ATIPICA] = is_unusual(&window->humedad, humedad, DETECT_SCALE_MIN_HUMEDAD),
    };
    _Static_assert(ARRAY_LEN(shows) == DETECT_KIND_COUNT, "one each");
    unsigned kinds = 0;
    for (unsigned kind = 0; kind < DETECT_KIND_COUNT; kind++)
        kinds |= (unsigned)shows[kind] << kind;
    return kinds;
}

const char *detect_tipo(enum detect_kind_e kind)
{
    static const char *const names[] = {
#define D(NAME, tipo, member) tipo,
        DETECT_TABLE(D)
#undef D
    };
    MUST((unsigned)kind < DETECT_KIND_COUNT);
    return names[kind];
}

double detect_valor(enum detect_kind_e kind, const struct detect_reading *reading)
{
    switch (kind) {
#define D(NAME, tipo, member)                                                                                \
    case DETECT_##NAME:                                                                                      \
        return reading->member;
        DETECT_TABLE(D)
#undef D
    case DETECT_KIND_COUNT:
        break;
    }
    MUST_NOT_REACH();
}
