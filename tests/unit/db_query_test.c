/* db_query_test.c — readings of a sensor, places by word and by distance; and that queries go by indexes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db_internal.h"
#include "db_query_stage.h"

#define HOUR_MS 3600000ULL

static struct db_stage stage;

static int open_stage(void **state)
{
    (void)state;
    db_stage_open(&stage);
    return 0;
}

static int close_stage(void **state)
{
    (void)state;
    db_stage_check(&stage);
    db_stage_close(&stage);
    return 0;
}

static struct said *query(enum store_op_e op, uint64_t id, struct store_row args)
{
    return ask(&stage, op, ENTITY_NONE, id, 0, args);
}

/* --- readings ------------------------------------------------------------------------------------------------------- */

static void readings_of_a_sensor_newest_first(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage), other = a_sensor(&stage);
    assert_string_equal(query(STORE_OP_READINGS_OF_SENSOR, sensor, nothing)->text, "[]");
    a_reading_at(&stage, sensor, 5000);
    a_reading_at(&stage, sensor, 9000);
    a_reading_at(&stage, other, 7000);
    a_reading_at(&stage, sensor, 1000);
    a_reading_at(&stage, sensor, 9000);
    assert_string_equal(ids(query(STORE_OP_READINGS_OF_SENSOR, sensor, nothing)), "5 2 1 4");
    assert_string_equal(
        ids(query(STORE_OP_READINGS_OF_SENSOR, sensor, row(whole(ARG_SKIP, 1), whole(ARG_LIMIT, 2)))), "2 1");
    assert_string_equal(ids(query(STORE_OP_READINGS_OF_SENSOR, sensor, row(whole(ARG_SKIP, 4)))), "");
    assert_int_equal(query(STORE_OP_READINGS_OF_SENSOR, 77, nothing)->status, 404);
    assert_string_equal(detail(&stage.said), "Sensor no encontrado");
}

static void recent_readings(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage), now = STAGE_START_MS;
    a_reading_at(&stage, sensor, now - 24 * HOUR_MS - 1);
    a_reading_at(&stage, sensor, now - 24 * HOUR_MS);
    a_reading_at(&stage, sensor, now - HOUR_MS / 2);
    a_reading_at(&stage, sensor, now + HOUR_MS); /* a clock that is fast */
    a_reading_at(&stage, sensor, now - 30 * 24 * HOUR_MS);
    assert_string_equal(ids(query(STORE_OP_READINGS_RECENT, sensor, nothing)), "4 3 2");
    assert_string_equal(ids(query(STORE_OP_READINGS_RECENT, sensor, row(real(ARG_HOURS, 0.5)))), "4 3");
    assert_string_equal(ids(query(STORE_OP_READINGS_RECENT, sensor, row(real(ARG_HOURS, 0)))), "4");
    assert_string_equal(ids(query(STORE_OP_READINGS_RECENT, sensor, row(real(ARG_HOURS, 1e300)))),
                        "4 3 2 1 5");
    assert_string_equal(ids(query(STORE_OP_READINGS_RECENT, sensor, row(real(ARG_HOURS, -1e300)))), "");
    assert_string_equal(
        ids(query(STORE_OP_READINGS_RECENT, sensor, row(real(ARG_HOURS, 1e300), whole(ARG_LIMIT, 2)))),
        "4 3");
    assert_int_equal(query(STORE_OP_READINGS_RECENT, 77, nothing)->status, 404);
}

static void averages_of_a_sensor(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage), other = a_sensor(&stage);
    assert_string_equal(query(STORE_OP_READINGS_STATS, sensor, nothing)->text,
                        "{\"temperatura_promedio\":null,\"humedad_promedio\":null,\"total_lecturas\":0}");
    a_reading(&stage, sensor, 20, 40.5);
    a_reading(&stage, sensor, 25, 50);
    a_reading(&stage, other, -10, 99);
    assert_string_equal(query(STORE_OP_READINGS_STATS, sensor, nothing)->text,
                        "{\"temperatura_promedio\":22.5,\"humedad_promedio\":45.25,\"total_lecturas\":2}");
    assert_int_equal(query(STORE_OP_READINGS_STATS, 77, nothing)->status, 404);
}

/* --- places by word ------------------------------------------------------------------------------------------------- */

static const char *search(const char *word)
{
    return ids(query(STORE_OP_LOCATIONS_SEARCH, 0, row(text(ARG_Q, word))));
}

static void places_by_word(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage);
    a_place(&stage, sensor, 1, 1, "Almacén Norte, pasillo 3");
    a_place(&stage, sensor, 1, 2, "ALMACE\u0301N SUR");
    a_place(&stage, sensor, 1, 3, "Cámara de Ñandúes 100%");
    a_place(&stage, sensor, 1, 4, "");
    ask(&stage, STORE_OP_CREATE, ENTITY_LOCATION, 0, 0,
        row(whole(ARG_SENSOR_ID, (int64_t)sensor), real(ARG_LATITUD, 1), real(ARG_LONGITUD, 5),
            null(ARG_DESCRIPCION)));
    assert_string_equal(search("almacen"), "1 2");
    assert_string_equal(search("ALMACÉN"), "1 2");
    assert_string_equal(search("nandú"), "3");
    assert_string_equal(search("pasillo 3"), "1");
    assert_string_equal(search("%"), "3"); /* means itself */
    assert_string_equal(search("a_macen"), "");
    assert_string_equal(search("cocina"), "");
    assert_string_equal(search(""), "1 2 3 4");
    assert_string_equal(ids(query(STORE_OP_LOCATIONS_SEARCH, 0,
                                  row(text(ARG_Q, "a"), whole(ARG_SKIP, 1), whole(ARG_LIMIT, 1)))),
                        "2");
}

static void long_words_and_long_texts(void **state)
{
    (void)state;
    static char long_text[DB_TEXT_MAX + 2];
    memset(long_text, 'x', DB_TEXT_MAX);
    long_text[3000] = 'y';
    uint64_t sensor = a_sensor(&stage);
    a_place(&stage, sensor, 1, 1, long_text);
    assert_string_equal(search("XYX"), "1");
    assert_string_equal(search("yy"), "");
    assert_string_equal(search(long_text), "1");
    long_text[DB_TEXT_MAX] = 'x';
    assert_int_equal(query(STORE_OP_LOCATIONS_SEARCH, 0, row(text(ARG_Q, long_text)))->status, 422);
}

/* --- places by distance --------------------------------------------------------------------------------------------- */

static struct said *near(double latitud, double longitud, double radio)
{
    return query(STORE_OP_LOCATIONS_NEARBY, 0,
                 row(real(ARG_LATITUD, latitud), real(ARG_LONGITUD, longitud), real(ARG_RADIO, radio)));
}

static double km_of(unsigned at)
{
    return json_number_value(json_object_get(json_array_get(stage.said.json, at), "distancia_km"));
}

static void places_by_distance(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage);
    a_place(&stage, sensor, 40.4168, -3.7038, "Madrid");
    a_place(&stage, sensor, 41.3874, 2.1686, "Barcelona");
    a_place(&stage, sensor, 40.4530, -3.6883, "Chamartín");
    assert_string_equal(ids(near(40.4168, -3.7038, 10)), "1 3");
    assert_true(km_of(0) == 0);
    assert_true(km_of(1) > 4.2 && km_of(1) < 4.3);
    assert_string_equal(ids(near(40.4168, -3.7038, 504)), "1 3");
    assert_string_equal(ids(near(40.4168, -3.7038, 506)), "1 3 2");
    assert_string_equal(ids(near(41.3874, 2.1686, 1000)), "2 3 1");
    assert_string_equal(ids(near(41.3874, 2.1686, 0)), "2");
    assert_string_equal(ids(near(0, 0, 100)), "");
    near(41.3874, 2.1686, 0);
    assert_true(strstr(stage.said.text, ",\"distancia_km\":0") != NULL);
}

static void places_over_the_date_line(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage);
    a_place(&stage, sensor, 0, 179.9, "oeste");
    a_place(&stage, sensor, 0, -179.9, "este");
    a_place(&stage, sensor, 0, 180, "línea");
    a_place(&stage, sensor, 0, -180, "línea, también");
    a_place(&stage, sensor, 0, 0, "lejos");
    assert_string_equal(ids(near(0, 180, 12)), "3 4 1 2");
    assert_string_equal(ids(near(0, -179.9, 12)), "2 3 4");
    assert_string_equal(ids(near(0, -180, 0)), "3 4");
}

static void places_around_the_poles(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage);
    a_place(&stage, sensor, 90, 0, "polo");
    a_place(&stage, sensor, 89.95, 10, "aquí");
    a_place(&stage, sensor, 89.95, -170, "al otro lado");
    a_place(&stage, sensor, -89.99, 30, "sur");
    assert_string_equal(ids(near(89.95, 10, 12)), "2 1 3");
    assert_string_equal(ids(near(90, 123, 6)), "1 2 3");
    assert_string_equal(ids(near(-90, 0, 2)), "4");
    assert_string_equal(ids(near(0, 0, 30000)), "2 4 1 3");
}

static void places_need_a_place(void **state)
{
    (void)state;
    assert_int_equal(
        query(STORE_OP_LOCATIONS_NEARBY, 0, row(real(ARG_LATITUD, 1), real(ARG_LONGITUD, 1)))->status, 422);
    assert_int_equal(
        query(STORE_OP_LOCATIONS_NEARBY, 0, row(real(ARG_LATITUD, 1), real(ARG_RADIO, 1)))->status, 422);
    assert_int_equal(query(STORE_OP_LOCATIONS_NEARBY, 0, nothing)->status, 422);
}

/* --- how they are found --------------------------------------------------------------------------------------------- */

/* Of statements run so far: those that looked at every row of a table, or sorted, by SQLite's own counts. */
static unsigned slow_statements(int counter, const char *but)
{
    unsigned slow = 0;
    for (size_t i = 0; i < stage.db->statements.capacity; i++) {
        sqlite3_stmt *statement = stage.db->statements.entries[i].value;
        if (stage.db->statements.entries[i].key == 0 || strstr(sqlite3_sql(statement), but) != NULL)
            continue;
        if (sqlite3_stmt_status(statement, counter, 0) > 0) {
            print_error("%s\n", sqlite3_sql(statement));
            slow++;
        }
    }
    return slow;
}

static void fill(unsigned count)
{
    static struct store_row rows[STORE_ROWS_MAX];
    uint64_t sensor = a_sensor(&stage);
    for (unsigned i = 0; i < count; i++)
        rows[i] = reading_row(sensor, 20 + i % 20, 50);
    assert_int_equal(ask_many(&stage, rows, count)->status, 201);
    for (unsigned i = 0; i < 50; i++) {
        uint64_t place = a_place(&stage, sensor, i, i, "x");
        made_id(query(STORE_OP_PREDICTIONS_GENERATE, 0,
                      row(whole(ARG_UBICACION_ID, (int64_t)place),
                          real(ARG_TEMPERATURA_PROMEDIO, 20 + i % 20), real(ARG_HUMEDAD_PROMEDIO, 40))));
    }
}

static void queries_go_by_indexes(void **state)
{
    (void)state;
    fill(400);
    query(STORE_OP_READINGS_OF_SENSOR, 1, nothing);
    query(STORE_OP_READINGS_RECENT, 1, nothing);
    query(STORE_OP_READINGS_STATS, 1, nothing);
    query(STORE_OP_ANOMALIES_RECENT, 0, nothing);
    query(STORE_OP_ANOMALIES_CRITICAL, 0, row(real(ARG_THRESHOLD, 36)));
    query(STORE_OP_ANOMALIES_DETECT, 300, nothing);
    query(STORE_OP_PREDICTIONS_HIGH_RISK, 0, nothing);
    query(STORE_OP_PREDICTIONS_RECENT, 0, nothing);
    query(STORE_OP_PREDICTIONS_OF_LOCATION, 7, nothing);
    query(STORE_OP_PREDICTIONS_LATEST, 7, nothing);
    assert_int_equal(slow_statements(SQLITE_STMTSTATUS_FULLSCAN_STEP, "noria_holds"), 0);
    assert_int_equal(slow_statements(SQLITE_STMTSTATUS_SORT, "LIMIT ?3) ORDER BY id"),
                     0); /* the 69 of a window */
    near(10, 10, 100);
    assert_int_equal(slow_statements(SQLITE_STMTSTATUS_FULLSCAN_STEP, "noria_holds"), 0);
}

/* --- bounds ----------------------------------------------------------------------------------------------------------- */

static void expect_too_wide(const struct said *said)
{
    assert_int_equal(said->status, 413);
    assert_string_equal(said->text, "{\"detail\":\"Consulta demasiado amplia: acótela con filtros\"}");
}

static void a_question_that_looks_through_too_much_is_413(void **state)
{
    static struct store_row rows[STORE_ROWS_MAX];
    (void)state;
    a_sensor(&stage);
    a_place(&stage, 1, 1, 1, "Nave");
    for (unsigned i = 0; i < STORE_ROWS_MAX; i++)
        rows[i] = reading_row(1, i % 2 == 0 ? 40 : 41, 50); /* and an anomaly each */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ask_many(&stage, rows, STORE_ROWS_MAX)->status, 201);
    const struct store_row nowhere = row(real(ARG_TEMPERATURA, 7));
    assert_string_equal(ask(&stage, STORE_OP_LIST, ENTITY_READING, 0, 0, nowhere)->text, "[]");
    db_set_read_steps(stage.db, 1000);
    expect_too_wide(ask(&stage, STORE_OP_LIST, ENTITY_READING, 0, 0, nowhere));
    expect_too_wide(ask(&stage, STORE_OP_LIST, ENTITY_READING, 0, 0, row(whole(ARG_SKIP, 1000000))));
    expect_too_wide(query(STORE_OP_READINGS_STATS, 1, nothing));
    expect_too_wide(query(STORE_OP_ANOMALIES_STATISTICS, 0, nothing));
    uint64_t last = db_last_event(stage.db);
    expect_too_wide(query(STORE_OP_PREDICTIONS_GENERATE, 0, row(whole(ARG_UBICACION_ID, 1))));
    assert_int_equal(stage.committed, ERR_OK);
    assert_int_equal(db_last_event(stage.db), last);
    assert_int_equal(ask_many(&stage, rows, STORE_ROWS_MAX)->status, 201); /* what writes is not bounded so */
    assert_int_equal(ask(&stage, STORE_OP_LIST, ENTITY_READING, 0, 0, row(whole(ARG_LIMIT, 10)))->status,
                     200);
    assert_int_equal(ask(&stage, STORE_OP_READ, ENTITY_READING, 4000, 0, nothing)->status, 200);
    db_set_read_steps(stage.db, DB_READ_STEPS);
    assert_int_equal(query(STORE_OP_READINGS_STATS, 1, nothing)->status, 200);
    assert_int_equal(query(STORE_OP_PREDICTIONS_GENERATE, 0, row(whole(ARG_UBICACION_ID, 1)))->status, 201);
}

#define IN_DATABASE(test) cmocka_unit_test_setup_teardown(test, open_stage, close_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DATABASE(readings_of_a_sensor_newest_first),
        IN_DATABASE(recent_readings),
        IN_DATABASE(averages_of_a_sensor),
        IN_DATABASE(places_by_word),
        IN_DATABASE(long_words_and_long_texts),
        IN_DATABASE(places_by_distance),
        IN_DATABASE(places_over_the_date_line),
        IN_DATABASE(places_around_the_poles),
        IN_DATABASE(places_need_a_place),
        IN_DATABASE(queries_go_by_indexes),
        IN_DATABASE(a_question_that_looks_through_too_much_is_413),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
