/* db_query_stage.h — sensors, readings and places on a db_stage, in a word each, for the tests of queries. */
#pragma once

#include "db_stage.h"

static inline uint64_t a_sensor(struct db_stage *stage)
{
    return made_id(ask(stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0,
                       row(text(ARG_TIPO, "temperatura"), text(ARG_MODELO, "DHT22"))));
}

static inline struct store_row reading_row(uint64_t sensor, double temperatura, double humedad)
{
    return row(whole(ARG_SENSOR_ID, (int64_t)sensor), real(ARG_TEMPERATURA, temperatura),
               real(ARG_HUMEDAD, humedad));
}

static inline uint64_t a_reading(struct db_stage *stage, uint64_t sensor, double temperatura, double humedad)
{
    return made_id(
        ask(stage, STORE_OP_CREATE, ENTITY_READING, 0, 0, reading_row(sensor, temperatura, humedad)));
}

static inline uint64_t a_reading_at(struct db_stage *stage, uint64_t sensor, uint64_t wall_ms)
{
    struct store_row reading = reading_row(sensor, 20, 50);
    store_row_set(&reading, ARG_TIMESTAMP,
                  (struct store_value){.kind = STORE_INT, .whole = (int64_t)wall_ms});
    return made_id(ask(stage, STORE_OP_CREATE, ENTITY_READING, 0, 0, reading));
}

static inline uint64_t a_place(struct db_stage *stage, uint64_t sensor, double latitud, double longitud,
                               const char *descripcion)
{
    return made_id(ask(stage, STORE_OP_CREATE, ENTITY_LOCATION, 0, 0,
                       row(whole(ARG_SENSOR_ID, (int64_t)sensor), real(ARG_LATITUD, latitud),
                           real(ARG_LONGITUD, longitud), text(ARG_DESCRIPCION, descripcion))));
}

/* "3 1 2": the ids of an array, in its order. */
static inline const char *ids(const struct said *said)
{
    static char all[512];
    size_t i, len = 0;
    json_t *each;
    all[0] = '\0';
    if (said->status != 200)
        fail_msg("%u %s", said->status, said->text);
    json_array_foreach(said->json, i, each)
    {
        long long id = json_integer_value(json_object_get(each, "id"));
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%lld", i > 0 ? " " : "", id);
        assert_true(len < sizeof all);
    }
    return all;
}

/* "temperatura_alta 36, humedad_alta 95": what anomalies of an array are. */
static inline const char *tipos(const struct said *said)
{
    static char all[512];
    size_t i, len = 0;
    json_t *each;
    all[0] = '\0';
    if (said->status != 200)
        fail_msg("%u %s", said->status, said->text);
    json_array_foreach(said->json, i, each)
    {
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%s %g", i > 0 ? ", " : "",
                                json_string_value(json_object_get(each, "tipo")),
                                json_number_value(json_object_get(each, "valor")));
        assert_true(len < sizeof all);
    }
    return all;
}

static inline const char *anomalies_of(struct db_stage *stage, uint64_t reading)
{
    return tipos(
        ask(stage, STORE_OP_LIST, ENTITY_ANOMALY, 0, 0, row(whole(ARG_LECTURA_ID, (int64_t)reading))));
}
