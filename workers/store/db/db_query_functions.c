/* db_query_functions.c — SQL functions of queries: noria_holds(text, folded), noria_km(latitud, longitud, latitud, longitud).
 *
 * noria_holds is 1 if the folded text (fold.h) has `folded` in it, 0 if not or if the text is NULL. noria_km is a distance (geo.h), rounded
 * to a millimetre, so that places equally far stand in the order of their ids whatever the last bit says. Both are deterministic and see
 * nothing but their arguments.
 */
#include <math.h>

#include "db_query.h"
#include "fold.h"
#include "geo.h"

#define MM_PER_KM 1e6

static void holds(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    const char *text = (const char *)sqlite3_value_text(values[0]);
    const char *wanted = (const char *)sqlite3_value_text(values[1]);
    size_t len = (size_t)sqlite3_value_bytes(values[0]), wanted_len = (size_t)sqlite3_value_bytes(values[1]);
    if (text == NULL || wanted == NULL) {
        sqlite3_result_int(context, 0);
        return;
    }
    char *folded = sqlite3_malloc64(len + 1);
    if (folded == NULL) {
        sqlite3_result_error_nomem(context);
        return;
    }
    size_t folded_len = fold_text(text, len, folded);
    sqlite3_result_int(context, memmem(folded, folded_len, wanted, wanted_len) != NULL);
    sqlite3_free(folded);
}

static void km(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    double distance = geo_distance_km(sqlite3_value_double(values[0]), sqlite3_value_double(values[1]),
                                      sqlite3_value_double(values[2]), sqlite3_value_double(values[3]));
    sqlite3_result_double(context, round(distance * MM_PER_KM) / MM_PER_KM);
}

int db_query_functions(sqlite3 *sqlite)
{
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    int code = sqlite3_create_function_v2(sqlite, "noria_holds", 2, flags, NULL, holds, NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return code;
    return sqlite3_create_function_v2(sqlite, "noria_km", 4, flags, NULL, km, NULL, NULL, NULL);
}
