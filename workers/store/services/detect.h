/* detect.h — which anomalies a reading shows: fixed limits, and what is out of the ordinary for this sensor.
 *
 *     reading ─▶ detect(window of the sensor, reading) ─▶ set of kinds ─▶ detect_window_add(window, reading)
 *                limits:  temperatura > 35, < 5; humedad > 90, < 10
 *                unusual: |0.6745 (r − median r) / MAD r| > 4.5, r = x − median of the 5 values before it;
 *                         median and MAD (median of distances to the median) over the 64 r before it, once there are 16
 *
 * Method: a Hampel filter: the distance to a running median (J. W. Tukey, "Exploratory Data Analysis", 1977; F. R. Hampel, "The influence curve
 * and its role in robust estimation", JASA 69, 1974; for process data: R. K. Pearson, "Outliers in process modeling and identification",
 * IEEE Trans. Control Systems Technology 10, 2002), judged by the modified z-score of B. Iglewicz and D. C. Hoaglin ("How to Detect and
 * Handle Outliers", ASQC 1993; NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.17). Medians, not means, so that outliers may stay in the window:
 * up to half of it may be wrong before it moves far. Pearson's running median lies around the value; what follows it is not known
 * here, so it is that of the values before.
 * Two windows: the short one gives what is to be expected now, so that a daily cycle or a drift is nothing unusual and a change that
 * lasts is reported and usual after 3 readings; the long one tells how much this sensor scatters. Rejected, with figures in README.md: one window for both (on the
 * slope of a daily cycle every sixth flag was right), and 3.5, which Iglewicz and Hoaglin propose for one look at one sample: a sensor is
 * looked at 288 times a day.
 * Where the values hardly differ (MAD 0: a still sensor with steps of 0.1), the standard deviation is not taken to be below
 * DETECT_SCALE_MIN_…. Temperature and humidity are judged apart. Order is that of arrival (of ids), not of measurement.
 *
 * What a window says depends on the last DETECT_READINGS readings and on nothing else. It takes 2.2 KiB; judging and adding cost two binary
 * searches, moves of at most 512 bytes and 2 × 33 comparisons each for either quantity. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define DETECT_TABLE(D)                                                                                      \
    D(TEMPERATURA_ALTA, "temperatura_alta", temperatura)                                                     \
    D(TEMPERATURA_BAJA, "temperatura_baja", temperatura)                                                     \
    D(HUMEDAD_ALTA, "humedad_alta", humedad)                                                                 \
    D(HUMEDAD_BAJA, "humedad_baja", humedad)                                                                 \
    D(TEMPERATURA_ATIPICA, "temperatura_atipica", temperatura)                                               \
    D(HUMEDAD_ATIPICA, "humedad_atipica", humedad)

enum detect_kind_e {
#define D(NAME, tipo, member) DETECT_##NAME,
    DETECT_TABLE(D)
#undef D
        DETECT_KIND_COUNT
};

#define DETECT_TEMPERATURA_MAX 35.0
#define DETECT_TEMPERATURA_MIN 5.0
#define DETECT_HUMEDAD_MAX     90.0
#define DETECT_HUMEDAD_MIN     10.0

#define DETECT_NEAR      5u  /* values before it that say what to expect; odd */
#define DETECT_WINDOW    64u /* distances that say how much it scatters */
#define DETECT_COUNT_MIN 16u /* distances; fewer: no verdict of what is unusual */
#define DETECT_READINGS  (DETECT_NEAR + DETECT_WINDOW)
#define DETECT_SCORE_MAX 4.5
/* Standard deviations below which no sensor's noise is taken to be: °C, % of relative humidity. */
#define DETECT_SCALE_MIN_TEMPERATURA 0.3
#define DETECT_SCALE_MIN_HUMEDAD     1.0

struct detect_reading {
    double temperatura, humedad; /* finite */
};

struct detect_series {        /* of one quantity */
    double near[DETECT_NEAR]; /* the last values, as a ring */
    unsigned near_count, near_next;
    double came[DETECT_WINDOW],
        sorted[DETECT_WINDOW]; /* the last distances: as they came (a ring), and by size */
    unsigned count, next;
};

struct detect_window {
    struct detect_series temperatura, humedad;
};

void detect_window_clear(struct detect_window *window);
/* Readings are added in the order of their ids; the last DETECT_READINGS of them are what counts. */
void detect_window_add(struct detect_window *window, const struct detect_reading *reading);

/* Bit 1 << DETECT_… for each kind that the reading shows. It is not in the window yet. */
unsigned detect(const struct detect_window *window, const struct detect_reading *reading);

const char *detect_tipo(enum detect_kind_e kind); /* "temperatura_alta" */
double detect_valor(enum detect_kind_e kind,
                    const struct detect_reading *reading); /* the value that is unusual */

/* The modified z-score of a value; 0 with fewer than DETECT_COUNT_MIN distances. */
double detect_score(const struct detect_series *series, double value, double scale_min);
