/* store_op.h — what a worker may ask of the store (`operation` of STORE_REQUEST).
 *
 *     O(NAME, writes, "what it does, with which arguments; what it answers")
 *
 * Bodies of answers are JSON, ready for the client. A status of 400 or more has {"detail": …}. One that writes is answered after its
 * commit; it answers 503 if that failed, and nothing was written then. `limit` is at most STORE_LIMIT_MAX and defaults to 100, `skip` to 0.
 */
#pragma once

#include <stdbool.h>

#define STORE_LIMIT_MAX     1000u
#define STORE_LIMIT_DEFAULT 100u
#define STORE_ROWS_MAX      1000u /* of one CREATE */

#define STORE_OP_TABLE(O)                                                                                    \
    O(CREATE, true, "entity, one row: 201, the entity, its version")                                         \
    O(CREATE_MANY, true, "readings, 1 to STORE_ROWS_MAX rows, all or none: 201, an array of them in order")  \
    O(READ, false, "entity, id: 200, or 404")                                                                \
    O(LIST, false, "entity; a row of filters: 200, an array, newest last (by id)")                           \
    O(UPDATE, true,                                                                                          \
      "entity, id, version; a row: 200 as it is now; 404, 412; nothing changed: 200, no event")              \
    O(DELETE, true,                                                                                          \
      "entity, id, version: 204; 202 if its time is over before everything is gone: it goes on; 404, 412")   \
    O(READINGS_OF_SENSOR, false, "id of the sensor, skip, limit: 200, newest first; 404")                    \
    O(READINGS_RECENT, false, "id of the sensor, hours (24): 200, newest first; 404")                        \
    O(READINGS_STATS, false, "id of the sensor: 200, averages (null without readings) and count; 404")       \
    O(LOCATIONS_SEARCH, false, "q, skip, limit: 200, those whose description has it, whatever the case")     \
    O(LOCATIONS_NEARBY, false, "latitud, longitud, radio in km: 200, nearest first, each with distancia_km") \
    O(ANOMALIES_DETECT, true, "id of a reading: 200, its anomalies, those it has not yet are made; 404")     \
    O(ANOMALIES_RECENT, false, "hours (24): 200, newest first")                                              \
    O(ANOMALIES_CRITICAL, false, "threshold (50): 200, unsolved with valor >= threshold, greatest first")    \
    O(ANOMALIES_STATISTICS, false, "200")                                                                    \
    O(PREDICTIONS_GENERATE, true, "ubicacion_id, averages, comentario: 201; 404; 422 without any average")   \
    O(PREDICTIONS_HIGH_RISK, false, "threshold (0.7): 200, greatest first")                                  \
    O(PREDICTIONS_RECENT, false, "hours (24): 200, newest first")                                            \
    O(PREDICTIONS_OF_LOCATION, false, "id of the location, skip, limit: 200, newest first; 404")             \
    O(PREDICTIONS_LATEST, false, "id of the location: 200; 404 without one")                                 \
    O(PREDICTIONS_STATISTICS, false, "200")                                                                  \
    O(EVENTS, false,                                                                                         \
      "channel (general: all), since_ring and since_n, limit: 200, an array of events in order, each with "  \
      "its seq")                                                                                             \
    O(TEST_EVENT, true, "channel, message: 200; a system_event on that channel")

enum store_op_e {
    STORE_OP_NONE,
#define O(NAME, writes, text) STORE_OP_##NAME,
    STORE_OP_TABLE(O)
#undef O
        STORE_OP_COUNT
};

bool store_op_writes(enum store_op_e op);
const char *store_op_name(enum store_op_e op); /* "CREATE"; "?" for none */
