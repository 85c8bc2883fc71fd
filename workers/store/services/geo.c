/* geo.c — see geo.h. */
#include "geo.h"

#include <math.h>

#define RADIANS  (M_PI / 180)
#define ROUNDING 1e-9 /* degrees, 0.1 mm: what formula and box may differ by */

static double square(double x)
{
    return x * x;
}

double geo_distance_km(double latitud_a, double longitud_a, double latitud_b, double longitud_b)
{
    double a = square(sin((latitud_b - latitud_a) * RADIANS / 2)) +
               cos(latitud_a * RADIANS) * cos(latitud_b * RADIANS) *
                   square(sin((longitud_b - longitud_a) * RADIANS / 2));
    return 2 * GEO_EARTH_KM * asin(fmin(1, sqrt(a)));
}

static void all_longitudes(struct geo_box *box)
{
    box->west[0] = -180;
    box->east[0] = 180;
}

/* From `west` to `east`, of which one may lie beyond the date line. */
static void longitudes(struct geo_box *box, double west, double east)
{
    if (east - west >= 360) {
        all_longitudes(box);
        return;
    }
    box->west[0] = fmax(west, -180);
    box->east[0] = fmin(east, 180);
    if (west <= -180) {
        box->west[1] = west + 360;
        box->east[1] = 180;
    } else if (east >= 180) {
        box->west[1] = -180;
        box->east[1] = east - 360;
    }
}

struct geo_box geo_box(double latitud, double longitud, double radius_km)
{
    double angle = fmin(radius_km / GEO_EARTH_KM, M_PI), degrees = angle / RADIANS + ROUNDING;
    struct geo_box box = {.south = latitud - degrees, .north = latitud + degrees, .west = {0, 1}};
    if (box.south <= -90 || box.north >= 90) {
        all_longitudes(&box);
        return box;
    }
    double width = asin(fmin(1, sin(angle) / cos(latitud * RADIANS))) / RADIANS + ROUNDING;
    longitudes(&box, longitud - width, longitud + width);
    return box;
}
