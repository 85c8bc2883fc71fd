/* detect_weather.h — readings of an invented sensor, of which it is known what is wrong: a daily cycle, a slow drift, noise, the steps of
 * the sensor's scale (0.1), spikes of a single reading, and changes of level that last. The same seed gives the same series.
 */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "detect.h"

#define WEATHER_PER_DAY 288u /* a reading every five minutes */
#define WEATHER_DAYS    90u
#define WEATHER_COUNT   (WEATHER_PER_DAY * WEATHER_DAYS)

enum weather_truth_e { WEATHER_NORMAL, WEATHER_SPIKE, WEATHER_SHIFT };

struct weather_kind { /* of one of the two quantities */
    double middle, day_amplitude, drift_per_day, noise, spike_min, spike_max, shift_min, shift_max;
};

static const struct weather_kind weather_temperatura = {22, 4, 0.03, 0.3, 2, 8, 2.5, 5};
static const struct weather_kind weather_humedad = {55, -12, 0.05, 1.2, 7, 25, 8, 15};

struct weather_series {
    double value[WEATHER_COUNT];
    enum weather_truth_e truth[WEATHER_COUNT];
    unsigned spikes, shifts;
};

static inline double weather_uniform(uint64_t *random) /* (0, 1) */
{
    uint64_t z = *random += 0x9e3779b97f4a7c15ULL; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return ((double)((z ^ z >> 31) >> 11) + 0.5) / 9007199254740992.0;
}

static inline double weather_between(uint64_t *random, double from, double to)
{
    return from + (to - from) * weather_uniform(random);
}

static inline double weather_signed(uint64_t *random, double from, double to)
{
    double size = weather_between(random, from, to);
    return weather_uniform(random) < 0.5 ? -size : size;
}

static inline double weather_normal(uint64_t *random) /* Box and Muller */
{
    double radius = sqrt(-2 * log(weather_uniform(random)));
    return radius * cos(2 * M_PI * weather_uniform(random));
}

/* A spike in 250 readings; a level lasts 1 to 4 days, every other one is the usual one. */
static inline void weather_make(struct weather_series *series, const struct weather_kind *kind, uint64_t seed)
{
    uint64_t random = seed;
    double level = 0;
    unsigned next_shift = WEATHER_PER_DAY * 3;
    series->spikes = series->shifts = 0;
    for (unsigned i = 0; i < WEATHER_COUNT; i++) {
        double days = (double)i / WEATHER_PER_DAY;
        bool shifts = i == next_shift, spikes = !shifts && weather_uniform(&random) < 1.0 / 250;
        if (shifts) {
            level = level == 0 ? weather_signed(&random, kind->shift_min, kind->shift_max) : 0;
            next_shift += (unsigned)(WEATHER_PER_DAY * weather_between(&random, 1, 4));
        }
        double value = kind->middle + kind->day_amplitude * sin(2 * M_PI * days) +
                       kind->drift_per_day * days + level + kind->noise * weather_normal(&random) +
                       (spikes ? weather_signed(&random, kind->spike_min, kind->spike_max) : 0);
        series->value[i] = round(value * 10) / 10;
        series->truth[i] = shifts ? WEATHER_SHIFT : spikes ? WEATHER_SPIKE : WEATHER_NORMAL;
        series->spikes += spikes;
        series->shifts += shifts;
    }
}
