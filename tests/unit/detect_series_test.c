/* detect_series_test.c — how good the test for unusual readings is, on 90 days of an invented sensor whose faults are known (detect_weather.h),
 * and how good the plain one is (distance to the mean over three standard deviations of the same window).
 *
 * A spike is found if it is flagged. A change of level is found if one of its first six readings (half an hour) is; further flags while the new level
 * is not usual yet, SETTLES readings, are neither right nor wrong. Everything else that is flagged is false.
 *     recall = found ÷ (spikes + changes)      precision = found ÷ (found + false)
 * Thresholds: recall 0.95, the smallest faults here being six times the noise: a test that misses more of those is not worth its alarms; precision
 * 0.95 and at most one false alarm in ten days and quantity: people stop looking when calls are for nothing, and a site has tens of
 * sensors. Series are the same in every run (fixed seeds); five of them, so that none is a lucky one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect_weather.h"

#define SEED    20261122u
#define SETTLES (DETECT_READINGS / 2)
#define SOON    6u

struct verdict {
    unsigned spikes, spikes_found, shifts, shifts_found, false_flags, settling_flags;
};

/* Is that reading flagged? Asked for one after the other. */
typedef bool flags_f(const struct weather_series *weather, unsigned at, double scale_min);

static bool robust(const struct weather_series *weather, unsigned at, double scale_min)
{
    static struct detect_window window;
    if (at == 0)
        detect_window_clear(&window);
    double score = detect_score(&window.temperatura, weather->value[at], scale_min);
    detect_window_add(&window, &(struct detect_reading){weather->value[at], 0});
    return fabs(score) > DETECT_SCORE_MAX;
}

/* Distance to the mean of the last values over three standard deviations. */
static bool plain(const struct weather_series *weather, unsigned at, double scale_min)
{
    unsigned count = at < DETECT_READINGS ? at : DETECT_READINGS;
    const double *values = weather->value + at - count;
    double sum = 0, squares = 0;
    if (count < DETECT_COUNT_MIN)
        return false;
    for (unsigned i = 0; i < count; i++)
        sum += values[i];
    double mean = sum / count;
    for (unsigned i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return fabs(weather->value[at] - mean) > 3 * fmax(sqrt(squares / (count - 1)), scale_min);
}

static struct verdict judge(const struct weather_series *weather, flags_f *flags, double scale_min)
{
    struct verdict verdict = {.spikes = weather->spikes, .shifts = weather->shifts};
    unsigned since_shift = SETTLES;
    bool found = true;
    for (unsigned i = 0; i < WEATHER_COUNT; i++) {
        bool flagged = flags(weather, i, scale_min);
        if (weather->truth[i] == WEATHER_SHIFT) {
            since_shift = 0;
            found = false;
        }
        if (weather->truth[i] == WEATHER_SPIKE)
            verdict.spikes_found += flagged;
        else if (flagged && !found && since_shift < SOON) {
            verdict.shifts_found++;
            found = true;
        } else if (flagged && since_shift < SETTLES)
            verdict.settling_flags++;
        else
            verdict.false_flags += flagged;
        since_shift++;
    }
    return verdict;
}

static double recall(const struct verdict *v)
{
    return (double)(v->spikes_found + v->shifts_found) / (v->spikes + v->shifts);
}

static double precision(const struct verdict *v)
{
    unsigned found = v->spikes_found + v->shifts_found;
    return found + v->false_flags == 0 ? 0 : (double)found / (found + v->false_flags);
}

static void show(const char *name, const struct verdict *v)
{
    printf("%-19s precision %.3f  recall %.3f  (spikes %u of %u, changes of level %u of %u, false %u, while "
           "settling %u)\n",
           name, precision(v), recall(v), v->spikes_found, v->spikes, v->shifts_found, v->shifts,
           v->false_flags, v->settling_flags);
}

static struct weather_series weather;

static void meets_its_thresholds(const struct weather_kind *kind, double scale_min, const char *name)
{
    for (unsigned seed = SEED; seed < SEED + 5; seed++) {
        weather_make(&weather, kind, seed);
        struct verdict ours = judge(&weather, robust, scale_min);
        struct verdict usual = judge(&weather, plain, scale_min);
        show(name, &ours);
        show("   mean and 3 sigma", &usual);
        assert_true(precision(&ours) >= 0.95);
        assert_true(recall(&ours) >= 0.95);
        assert_true(ours.false_flags <= WEATHER_DAYS / 10);
        assert_true(recall(&ours) > recall(&usual) + 0.1);
    }
}

static void temperature(void **state)
{
    (void)state;
    meets_its_thresholds(&weather_temperatura, DETECT_SCALE_MIN_TEMPERATURA, "temperatura");
}

static void humidity(void **state)
{
    (void)state;
    meets_its_thresholds(&weather_humedad, DETECT_SCALE_MIN_HUMEDAD, "humedad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temperature),
        cmocka_unit_test(humidity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
