/* detect_test.c — limits, and medians kept in step against medians made anew. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect.h"
#include "detect_weather.h"

static struct detect_window window;

static unsigned judge(double temperatura, double humedad)
{
    return detect(&window, &(struct detect_reading){temperatura, humedad});
}

static void add(double temperatura, double humedad)
{
    detect_window_add(&window, &(struct detect_reading){temperatura, humedad});
}

/* A sensor that has said the same for long, give or take 0.1. */
static void settle(double temperatura, double humedad)
{
    detect_window_clear(&window);
    for (unsigned i = 0; i < 2 * DETECT_READINGS; i++)
        add(temperatura + (i % 3) * 0.1, humedad);
}

/* --- limits --------------------------------------------------------------------------------------------------------- */

static void limits_are_no_anomalies(void **state)
{
    (void)state;
    detect_window_clear(&window);
    assert_int_equal(judge(35, 90), 0);
    assert_int_equal(judge(5, 10), 0);
    assert_int_equal(judge(nextafter(35, 36), 50), 1u << DETECT_TEMPERATURA_ALTA);
    assert_int_equal(judge(nextafter(5, 4), 50), 1u << DETECT_TEMPERATURA_BAJA);
    assert_int_equal(judge(20, nextafter(90, 91)), 1u << DETECT_HUMEDAD_ALTA);
    assert_int_equal(judge(20, nextafter(10, 9)), 1u << DETECT_HUMEDAD_BAJA);
    assert_int_equal(judge(36, 95), 1u << DETECT_TEMPERATURA_ALTA | 1u << DETECT_HUMEDAD_ALTA);
    assert_int_equal(judge(-10, 5), 1u << DETECT_TEMPERATURA_BAJA | 1u << DETECT_HUMEDAD_BAJA);
}

static void kinds_have_names_and_values(void **state)
{
    (void)state;
    const struct detect_reading reading = {36, 95};
    const char *names[] = {"temperatura_alta", "temperatura_baja",    "humedad_alta",
                           "humedad_baja",     "temperatura_atipica", "humedad_atipica"};
    assert_int_equal(DETECT_KIND_COUNT, 6);
    for (unsigned kind = 0; kind < DETECT_KIND_COUNT; kind++) {
        const char *name = detect_tipo((enum detect_kind_e)kind);
        assert_string_equal(name, names[kind]);
        assert_true(detect_valor((enum detect_kind_e)kind, &reading) == (name[0] == 't' ? 36 : 95));
    }
}

/* --- what is unusual ------------------------------------------------------------------------------------------------ */

static void no_verdict_before_enough_readings(void **state)
{
    (void)state;
    detect_window_clear(&window);
    for (unsigned i = 0; i < DETECT_NEAR + DETECT_COUNT_MIN; i++) {
        assert_int_equal(judge(30, 50), 0);
        add(20, 50);
    }
    assert_int_equal(judge(30, 50), 1u << DETECT_TEMPERATURA_ATIPICA);
}

static void a_still_sensor_may_take_a_step(void **state)
{
    (void)state;
    detect_window_clear(&window);
    for (unsigned i = 0; i < 100; i++)
        add(20, 50);
    const double step = DETECT_SCORE_MAX * DETECT_SCALE_MIN_TEMPERATURA;
    assert_int_equal(judge(20.1, 51), 0);
    assert_int_equal(judge(20 + step - 0.01, 50), 0);
    assert_int_equal(judge(20 + step + 0.01, 50), 1u << DETECT_TEMPERATURA_ATIPICA);
    assert_int_equal(judge(20 - step - 0.01, 50), 1u << DETECT_TEMPERATURA_ATIPICA);
    assert_int_equal(judge(20, 50 + DETECT_SCORE_MAX * DETECT_SCALE_MIN_HUMEDAD + 0.01),
                     1u << DETECT_HUMEDAD_ATIPICA);
}

static void one_quantity_says_nothing_of_the_other(void **state)
{
    (void)state;
    settle(20, 50);
    assert_int_equal(judge(30, 50), 1u << DETECT_TEMPERATURA_ATIPICA);
    assert_int_equal(judge(20, 70), 1u << DETECT_HUMEDAD_ATIPICA);
    assert_int_equal(judge(30, 95), 1u << DETECT_TEMPERATURA_ATIPICA | 1u << DETECT_HUMEDAD_ATIPICA |
                                        1u << DETECT_HUMEDAD_ALTA);
}

static void spikes_hide_no_spike(void **state)
{
    (void)state;
    settle(20, 50);
    for (unsigned i = 0; i < 200; i++) { /* every fifth is wrong */
        bool spike = i % 5 == 0;
        assert_int_equal(judge(spike ? 30 : 20, 50), spike ? 1u << DETECT_TEMPERATURA_ATIPICA : 0);
        add(spike ? 30 : 20, 50);
    }
}

static void a_change_that_lasts_is_told_and_then_usual(void **state)
{
    (void)state;
    settle(20, 50);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(judge(26, 50), i <= DETECT_NEAR / 2 ? 1u << DETECT_TEMPERATURA_ATIPICA : 0);
        add(26, 50);
    }
    assert_int_equal(judge(20, 50), 1u << DETECT_TEMPERATURA_ATIPICA);
}

static void a_noisy_sensor_may_be_noisy(void **state)
{
    (void)state;
    uint64_t random = 7;
    detect_window_clear(&window);
    for (unsigned i = 0; i < 200; i++)
        add(20 + 4 * weather_normal(&random), 50);
    assert_int_equal(judge(30, 50), 0);
    settle(20, 50);
    assert_int_equal(judge(30, 50), 1u << DETECT_TEMPERATURA_ATIPICA);
}

/* --- against medians made anew -------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(const double *values, unsigned count)
{
    double sorted[DETECT_WINDOW];
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, by_size);
    return count % 2 ? sorted[count / 2] : sorted[count / 2 - 1] / 2 + sorted[count / 2] / 2;
}

/* As the header's top has it, from all values so far. */
static double score_anew(const double *values, unsigned count, double value, double scale_min)
{
    double far[DETECT_WINDOW], apart[DETECT_WINDOW];
    unsigned distances = count < DETECT_NEAR ? 0 : count - DETECT_NEAR;
    if (distances > DETECT_WINDOW)
        distances = DETECT_WINDOW;
    if (distances < DETECT_COUNT_MIN)
        return 0;
    for (unsigned i = 0; i < distances; i++) {
        const double *at = values + count - distances + i;
        far[i] = *at - median_of(at - DETECT_NEAR, DETECT_NEAR);
    }
    double median = median_of(far, distances);
    for (unsigned i = 0; i < distances; i++)
        apart[i] = fabs(far[i] - median);
    double scale = fmax(median_of(apart, distances) / 0.6745, scale_min);
    return (value - median_of(values + count - DETECT_NEAR, DETECT_NEAR) - median) / scale;
}

/* Few different values, so that equal ones, both zeros and MAD 0 happen all the time; many; drifting. */
static double some_value(unsigned kind, unsigned i, uint64_t *random)
{
    if (kind == 0)
        return floor(weather_between(random, -2, 2)) * 0.0 + floor(weather_between(random, -2, 2));
    return kind == 1 ? 20 * weather_normal(random) : i * 0.01 + floor(weather_between(random, 0, 4)) * 0.1;
}

static void the_same_as_from_all_values(void **state)
{
    (void)state;
    static double values[2000];
    uint64_t random = 1;
    for (unsigned kind = 0; kind < 3; kind++) {
        detect_window_clear(&window);
        for (unsigned i = 0; i < 2000; i++) {
            values[i] = some_value(kind, i, &random);
            double expected = score_anew(values, i, values[i], 0.3);
            double got = detect_score(&window.temperatura, values[i], 0.3);
            assert_true(fabs(got - expected) <= 1e-9 * fmax(1, fabs(expected)));
            add(values[i], 0);
        }
    }
}

/* What a store does that starts anew: only the last DETECT_READINGS are read. */
static void the_last_readings_are_all_that_counts(void **state)
{
    (void)state;
    static double values[500];
    static struct detect_window young;
    uint64_t random = 2;
    detect_window_clear(&window);
    for (unsigned i = 0; i < 500; i++) {
        values[i] = floor(weather_between(&random, 0, 100)) / 10;
        add(values[i], 0);
        detect_window_clear(&young);
        for (unsigned k = i + 1 < DETECT_READINGS ? 0 : i + 1 - DETECT_READINGS; k <= i; k++)
            detect_window_add(&young, &(struct detect_reading){values[k], 0});
        double old_score = detect_score(&window.temperatura, 12.3, 0.3);
        double young_score = detect_score(&young.temperatura, 12.3, 0.3);
        assert_memory_equal(&old_score, &young_score, sizeof old_score);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_no_anomalies),
        cmocka_unit_test(kinds_have_names_and_values),
        cmocka_unit_test(no_verdict_before_enough_readings),
        cmocka_unit_test(a_still_sensor_may_take_a_step),
        cmocka_unit_test(one_quantity_says_nothing_of_the_other),
        cmocka_unit_test(spikes_hide_no_spike),
        cmocka_unit_test(a_change_that_lasts_is_told_and_then_usual),
        cmocka_unit_test(a_noisy_sensor_may_be_noisy),
        cmocka_unit_test(the_same_as_from_all_values),
        cmocka_unit_test(the_last_readings_are_all_that_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
