/* entities.h — what the store keeps: one table of entities and of their members, from which the worker makes schemas, routes and
 * arguments, and the store columns, events and JSON.
 *
 *     X(NAME, english, spanish, entity_type, channel)      path /api/v1/ENGLISH, alias /api/v1/SPANISH; events: entity_type, "action_" + it
 *     F(ARGUMENT, required, null, change)                  a member that clients write, in the order of its JSON:
 *                                                          required on creation; may be null; may be changed by PUT
 *
 * Of every entity there are also `id` (from 1, never reused), `created_at`, `updated_at`, and a version, which counts its changes from 1
 * and is shown as ETag. Times are milliseconds since 1970 here, and ISO 8601 in JSON. Pure.
 *
 *     sensor      {"id","tipo","modelo","created_at","updated_at"}
 *     reading     {"id","sensor_id","temperatura","humedad","timestamp",…}        timestamp: when it was measured; default now
 *     location    {"id","sensor_id","latitud","longitud","descripcion",…}         (latitud, longitud) is unique: else 409
 *     anomaly     {"id","lectura_id","machine_id","tipo","valor","resuelta","resuelta_at",…}   of a reading, or of a machine
 *     prediction  {"id","ubicacion_id","probabilidad","comentario",…}
 *
 * Deleting a sensor deletes its readings and locations, deleting a reading its anomalies, deleting a location its predictions: one event each,
 * the innermost first.
 */
#pragma once

#include "store_args.h"

#define ENTITY_TABLE(X)                                                                                      \
    X(SENSOR, "sensors", "sensores", "sensor", "sensors")                                                    \
    X(READING, "readings", "lecturas", "lectura", "readings")                                                \
    X(LOCATION, "locations", "ubicaciones", "ubicacion", "locations")                                        \
    X(ANOMALY, "anomalies", "anomalias", "anomalia", "anomalies")                                            \
    X(PREDICTION, "predictions", "predicciones", "prediccion", "predictions")

enum entity_e {
    ENTITY_NONE,
#define X(NAME, english, spanish, type, channel) ENTITY_##NAME,
    ENTITY_TABLE(X)
#undef X
        ENTITY_COUNT
};

#define ENTITY_SENSOR_FIELDS(F)                                                                              \
    F(TIPO, true, false, true)                                                                               \
    F(MODELO, true, false, true)
#define ENTITY_READING_FIELDS(F)                                                                             \
    F(SENSOR_ID, true, false, true)                                                                          \
    F(TEMPERATURA, true, false, true)                                                                        \
    F(HUMEDAD, true, false, true)                                                                            \
    F(TIMESTAMP, false, false, true)
#define ENTITY_LOCATION_FIELDS(F)                                                                            \
    F(SENSOR_ID, true, false, true)                                                                          \
    F(LATITUD, true, false, true)                                                                            \
    F(LONGITUD, true, false, true)                                                                           \
    F(DESCRIPCION, false, true, true)
#define ENTITY_ANOMALY_FIELDS(F)                                                                             \
    F(LECTURA_ID, true, false, false)                                                                        \
    F(TIPO, true, false, true)                                                                               \
    F(VALOR, true, false, true)                                                                              \
    F(RESUELTA, false, false, true)
#define ENTITY_PREDICTION_FIELDS(F)                                                                          \
    F(UBICACION_ID, true, false, true)                                                                       \
    F(PROBABILIDAD, true, false, true)                                                                       \
    F(COMENTARIO, false, true, true)

struct entity_field {
    enum store_arg_e arg;
    bool required, nullable, changeable;
};

#define ENTITY_FIELDS_MAX 4u

struct entity {
    const char *english, *spanish; /* segments of paths */
    const char *type;              /* entity_type of its events; actions are "create_" + type, … */
    const char *channel;
    const struct entity_field *fields;
    unsigned field_count;
};

const struct entity *entity_of(enum entity_e entity); /* NULL: ENTITY_NONE, or none */
/* By English or Spanish segment of a path; ENTITY_NONE. */
enum entity_e entity_find(const char *segment);
