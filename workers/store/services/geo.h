/* geo.h — distances on the earth, and the box of coordinates around a circle, for which an index is of use.
 *
 * The haversine formula on a sphere of the earth's mean radius (IUGG's R1, 6371.0088 km; H. Moritz, "Geodetic Reference System 1980"): at
 * most 0.56 % off the ellipsoid's distance, and well-conditioned for small ones, where the cosine rule is not (R. W. Sinnott, "Virtues of the
 * haversine", Sky & Telescope 68, 1984). The box: J. P. Matuschek, "Finding points within a distance of a latitude/longitude using
 * bounding coordinates": its meridians touch the circle, which is wider than the circle's width at its own latitude. A circle that holds a
 * pole takes all longitudes; one that crosses the date line takes two intervals. Degrees, kilometres. Pure.
 */
#pragma once

#define GEO_EARTH_KM 6371.0088

/* Of two places; latitudes −90 … 90, longitudes −180 … 180. */
double geo_distance_km(double latitud_a, double longitud_a, double latitud_b, double longitud_b);

struct geo_box { /* all bounds belong to it; west[1] > east[1]: there is no second interval */
    double south, north, west[2], east[2];
};

/* Holds every place within `radius_km` (at least 0), and some more. */
struct geo_box geo_box(double latitud, double longitud, double radius_km);
