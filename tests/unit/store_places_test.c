/* store_places_test.c — what the store computes of places: distance and box, folded texts, risk. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect_weather.h"
#include "fold.h"
#include "geo.h"
#include "predict.h"

/* --- distance ------------------------------------------------------------------------------------------------------- */

static void assert_km(double got, double expected, double off)
{
    if (fabs(got - expected) > off)
        fail_msg("%.9f km, not %.9f", got, expected);
}

static void known_distances(void **state)
{
    (void)state;
    const double quarter = M_PI / 2 * GEO_EARTH_KM;
    assert_km(geo_distance_km(0, 0, 0, 0), 0, 0);
    assert_km(geo_distance_km(0, 0, 90, 0), quarter, 1e-6);
    assert_km(geo_distance_km(0, 0, 0, 90), quarter, 1e-6);
    assert_km(geo_distance_km(0, 0, 0, 180), 2 * quarter, 1e-6);
    assert_km(geo_distance_km(90, 0, -90, 77), 2 * quarter, 1e-6);
    assert_km(geo_distance_km(90, 10, 90, -170), 0, 1e-6);                     /* one pole */
    assert_km(geo_distance_km(10, 180, 10, -180), 0, 1e-6);                    /* one meridian */
    assert_km(geo_distance_km(0, 179.5, 0, -179.5), quarter / 90, 1e-6);       /* over the date line */
    assert_km(geo_distance_km(40.4168, -3.7038, 41.3874, 2.1686), 505.4, 0.5); /* Madrid, Barcelona */
    assert_km(geo_distance_km(0, 0, 0, 1e-9), quarter / 90e9, 1e-12);          /* 0.1 mm */
}

static bool in_box(const struct geo_box *box, double latitud, double longitud)
{
    if (latitud < box->south || latitud > box->north)
        return false;
    return (longitud >= box->west[0] && longitud <= box->east[0]) ||
           (longitud >= box->west[1] && longitud <= box->east[1]);
}

/* Where one comes to from a place in a direction, after so many kilometres. */
static void go(double latitud, double longitud, double direction, double km, double *to_latitud,
               double *to_longitud)
{
    double phi = latitud * M_PI / 180, far = km / GEO_EARTH_KM;
    double there = asin(fmax(-1, fmin(1, sin(phi) * cos(far) + cos(phi) * sin(far) * cos(direction))));
    double turn = atan2(sin(direction) * sin(far) * cos(phi), cos(far) - sin(phi) * sin(there));
    *to_latitud = there * 180 / M_PI;
    *to_longitud = remainder(longitud + turn * 180 / M_PI, 360);
}

static void everything_near_is_in_the_box(void **state)
{
    (void)state;
    uint64_t random = 3;
    const double latitudes[] = {0, 40.4, -33, 66, 89, 89.99, 90, -90, -89.5};
    const double longitudes[] = {0, -3.7, 179.9, -179.9, 180, -180};
    for (unsigned i = 0; i < 200000; i++) {
        double latitud = latitudes[i % 9], longitud = longitudes[i / 9 % 6], to_latitud, to_longitud;
        double radius = pow(10, weather_between(&random, -3, 4.31));
        go(latitud, longitud, weather_between(&random, 0, 2 * M_PI), radius * weather_uniform(&random),
           &to_latitud, &to_longitud);
        struct geo_box box = geo_box(latitud, longitud, radius);
        if (geo_distance_km(latitud, longitud, to_latitud, to_longitud) <= radius &&
            !in_box(&box, to_latitud, to_longitud))
            fail_msg("%.9f %.9f lies within %.9f km of %.4f %.4f", to_latitud, to_longitud, radius, latitud,
                     longitud);
        assert_true(box.west[0] >= -180 && box.east[0] <= 180);
    }
}

static void the_box_is_no_larger_than_it_must_be(void **state)
{
    (void)state;
    struct geo_box box = geo_box(40, -3, 10);
    assert_km((box.north - box.south) * M_PI / 180 * GEO_EARTH_KM, 20, 0.001);
    assert_km((box.east[0] - box.west[0]) * cos(40 * M_PI / 180) * M_PI / 180 * GEO_EARTH_KM, 20, 0.02);
    assert_true(box.west[1] > box.east[1]);
    box = geo_box(0, 179.99, 10);
    assert_true(box.east[0] == 180 && box.west[1] == -180 && box.east[1] < -179.9);
    box = geo_box(89.99, 0, 10); /* the pole is 1.1 km away */
    assert_true(box.west[0] == -180 && box.east[0] == 180);
    box = geo_box(10, 20, 1e9);
    assert_true(box.south <= -90 && box.north >= 90 && box.west[0] == -180 && box.east[0] == 180);
    box = geo_box(10, 180, 0); /* −180 is the same place */
    assert_true(in_box(&box, 10, 180) && in_box(&box, 10, -180));
}

/* --- texts ---------------------------------------------------------------------------------------------------------- */

static void assert_folds(const char *text, const char *folded)
{
    char room[256];
    size_t len = strlen(text);
    assert_true(len <= sizeof room);
    size_t made = fold_text(text, len, room);
    assert_int_equal(made, strlen(folded));
    assert_memory_equal(room, folded, made);
    memcpy(room, text, len); /* in place */
    assert_int_equal(fold_text(room, len, room), made);
    assert_memory_equal(room, folded, made);
}

static void texts_fold(void **state)
{
    (void)state;
    assert_folds("", "");
    assert_folds("ALMACÉN Nº 1: Ñandú, Güell, CIGÜEÑA", "almacen nº 1: nandu, guell, ciguena");
    assert_folds("e\u0301", "e"); /* é in two characters */
    assert_folds("Straße Æther Œuvre Łódź Øre İzmir Çağ ŉ ĳ",
                 "strasse aether oeuvre lodz ore izmir cag n ij");
    assert_folds("ÀÁÂÃÄÅàáâãäåÇçÈÉÊËèéêëÌÍÎÏìíîïÐðÑñÒÓÔÕÖØòóôõöøÙÚÛÜùúûüÝýÿ",
                 "aaaaaaaaaaaacceeeeeeeeiiiiiiiiddnnoooooooooooouuuuuuuuyyy");
    assert_folds("×÷Þþ", "×÷þþ");
    assert_folds("ΑΘΉΝΑ ς", "αθηνα σ");
    assert_folds("МОСКВА Ёлка Ћ", "москва елка ћ");
    assert_folds("Ẁ ẞ 日本 🌡 %_", "ẁ ss 日本 🌡 %_");
    assert_folds("\xff\xc3", "\xff\xc3");
}

static void folding_again_changes_nothing_and_never_grows(void **state)
{
    (void)state;
    for (uint32_t c = 1; c < 0x2000; c++) {
        char text[5] = {0}, once[4], twice[4];
        size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : 3;
        if (len == 1)
            text[0] = (char)c;
        for (size_t i = len - 1, rest = c; len > 1 && i < len; i--, rest >>= 6)
            text[i] = (char)(i > 0 ? 0x80 | (rest & 0x3f) : (len == 2 ? 0xc0 : 0xe0) | rest);
        size_t made = fold_text(text, len, once);
        assert_true(made <= len);
        assert_int_equal(fold_text(once, made, twice), made);
        assert_memory_equal(once, twice, made);
    }
}

/* --- risk ----------------------------------------------------------------------------------------------------------- */

static void risk_of_known_places(void **state)
{
    (void)state;
    const struct {
        double temperatura, humedad, p;
    } cases[] = {{20, 80, 0},    {40, 0, 1},   {-50, 100, 0},  {60, 0, 1},     {30, 40, 0.5},
                 {40, 100, 0.6}, {20, 0, 0.4}, {25, 80, 0.15}, {35, 20, 0.75}, {1e308, -1e308, 1}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_true(fabs(predict_probability(cases[i].temperatura, cases[i].humedad) - cases[i].p) < 1e-12);
}

static void risk_stays_a_probability(void **state)
{
    (void)state;
    for (double t = -60; t <= 70; t += 0.37)
        for (double h = -10; h <= 110; h += 0.37) {
            double p = predict_probability(t, h);
            assert_true(p >= 0 && p <= 1);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_distances),
        cmocka_unit_test(everything_near_is_in_the_box),
        cmocka_unit_test(the_box_is_no_larger_than_it_must_be),
        cmocka_unit_test(texts_fold),
        cmocka_unit_test(folding_again_changes_nothing_and_never_grows),
        cmocka_unit_test(risk_of_known_places),
        cmocka_unit_test(risk_stays_a_probability),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
