/* db_judge_test.c — anomalies and predictions in the database: made once, in the transaction of the reading, and counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db_query_stage.h"
#include "detect.h"

#define HOUR_NS (3600 * NS_PER_S)

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

/* Enough readings for a verdict. */
static void settle(uint64_t sensor)
{
    static struct store_row rows[DETECT_READINGS];
    for (unsigned i = 0; i < DETECT_READINGS; i++)
        rows[i] = reading_row(sensor, 20, 50);
    assert_int_equal(ask_many(&stage, rows, DETECT_READINGS)->status, 201);
}

static unsigned count_of(const char *event_type)
{
    json_t *events = events_of(&stage, 0), *event;
    unsigned count = 0;
    size_t i;
    json_array_foreach(events, i, event) count +=
        strcmp(json_string_value(json_object_get(event, "event_type")), event_type) == 0;
    json_decref(events);
    return count;
}

/* --- new readings --------------------------------------------------------------------------------------------------- */

static void a_new_reading_is_judged(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage);
    assert_string_equal(anomalies_of(&stage, a_reading(&stage, sensor, 35, 90)), "");
    assert_string_equal(anomalies_of(&stage, a_reading(&stage, sensor, 35.5, 95)),
                        "temperatura_alta 35.5, humedad_alta 95");
    assert_string_equal(anomalies_of(&stage, a_reading(&stage, sensor, -3, 9.5)),
                        "temperatura_baja -3, humedad_baja 9.5");
    assert_int_equal(count_of("anomaly_detected"), 4);
    ask(&stage, STORE_OP_READ, ENTITY_ANOMALY, 1, 0, nothing);
    assert_string_equal(stage.said.text, "{\"id\":1,\"lectura_id\":2,\"machine_id\":null,\"tipo\":"
                                         "\"temperatura_alta\",\"valor\":35.5,\"resuelta\":false,"
                                         "\"resuelta_at\":null,\"created_at\":\"2030-03-17T17:46:40.000Z\","
                                         "\"updated_at\":\"2030-03-17T17:46:40.000Z\"}");
}

static void what_is_unusual_for_a_sensor(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage), other = a_sensor(&stage);
    settle(sensor);
    assert_string_equal(anomalies_of(&stage, a_reading(&stage, sensor, 25, 60)),
                        "temperatura_atipica 25, humedad_atipica 60");
    assert_string_equal(anomalies_of(&stage, a_reading(&stage, other, 25, 60)), "");
    assert_string_equal(anomalies_of(&stage, a_reading(&stage, sensor, 36, 50)),
                        "temperatura_alta 36, temperatura_atipica 36");
    assert_string_equal(anomalies_of(&stage, a_reading(&stage, sensor, 20, 50)), "");
}

static void a_store_that_starts_anew_judges_the_same(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage);
    settle(sensor);
    db_stage_again(&stage);
    assert_string_equal(anomalies_of(&stage, a_reading(&stage, sensor, 25, 50)), "temperatura_atipica 25");
}

/* Three readings of 26 make it usual; had those of the refused request stayed in the window, the third would not be told. */
static void what_was_refused_says_nothing_of_what_is_usual(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage);
    settle(sensor);
    struct store_row rows[] = {reading_row(sensor, 26, 50), reading_row(sensor, 26, 50),
                               reading_row(sensor, 26, 50), reading_row(sensor, 26, 50),
                               reading_row(99, 26, 50)};
    assert_int_equal(ask_many(&stage, rows, 5)->status, 404);
    assert_int_equal(count_of("anomaly_detected"), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_string_equal(anomalies_of(&stage, a_reading(&stage, sensor, 26, 50)),
                            "temperatura_atipica 26");
    assert_string_equal(anomalies_of(&stage, a_reading(&stage, sensor, 26, 50)), "");
}

static void a_group_that_is_rolled_back_neither(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage);
    settle(sensor);
    assert_int_equal(db_begin(stage.db), ERR_OK);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(
            ask_within(&stage, STORE_OP_CREATE, ENTITY_READING, 0, 0, reading_row(sensor, 26, 50))->status,
            201);
    db_rollback(stage.db);
    for (unsigned i = 0; i < 3; i++)
        assert_string_equal(anomalies_of(&stage, a_reading(&stage, sensor, 26, 50)),
                            "temperatura_atipica 26");
    assert_string_equal(anomalies_of(&stage, a_reading(&stage, sensor, 26, 50)), "");
}

static void nor_what_was_deleted_or_changed(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage), made[5];
    settle(sensor);
    for (unsigned i = 0; i < 5; i++)
        made[i] = a_reading(&stage, sensor, 26, 50);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(ask(&stage, STORE_OP_DELETE, ENTITY_READING, made[i], 0, nothing)->status, 204);
    for (unsigned i = 2; i < 5; i++)
        assert_int_equal(
            ask(&stage, STORE_OP_UPDATE, ENTITY_READING, made[i], 0, row(real(ARG_TEMPERATURA, 20)))->status,
            200);
    assert_string_equal(anomalies_of(&stage, a_reading(&stage, sensor, 26, 50)), "temperatura_atipica 26");
}

static void many_at_once_as_one_by_one(void **state)
{
    (void)state;
    static struct store_row rows[200];
    uint64_t bulk = a_sensor(&stage), single = a_sensor(&stage);
    for (unsigned i = 0; i < 200; i++)
        rows[i] = reading_row(bulk, 20 + (i % 40 == 39 ? 8 : i % 4 * 0.1), i % 50 == 49 ? 95 : 60);
    assert_int_equal(ask_many(&stage, rows, 200)->status, 201);
    for (unsigned i = 0; i < 200; i++) {
        store_row_set(&rows[i], ARG_SENSOR_ID,
                      (struct store_value){.kind = STORE_INT, .whole = (int64_t)single});
        made_id(ask(&stage, STORE_OP_CREATE, ENTITY_READING, 0, 0, rows[i]));
    }
    unsigned found = 0;
    for (unsigned i = 1; i <= 200; i++) {
        char one[512];
        strcpy(one, anomalies_of(&stage, i));
        assert_string_equal(one, anomalies_of(&stage, i + 200));
        found += one[0] != '\0';
    }
    assert_int_equal(found, 8); /* 5 spikes, 4 humid ones, of which one is both */
}

/* --- when somebody asks --------------------------------------------------------------------------------------------- */

static void asked_again_makes_only_what_is_missing(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage);
    settle(sensor);
    uint64_t reading = a_reading(&stage, sensor, 36, 95);
    const char *all = "temperatura_alta 36, humedad_alta 95, temperatura_atipica 36, humedad_atipica 95";
    assert_string_equal(tipos(query(STORE_OP_ANOMALIES_DETECT, reading, nothing)), all);
    assert_int_equal(count_of("anomaly_detected"), 4);
    assert_int_equal(ask(&stage, STORE_OP_DELETE, ENTITY_ANOMALY, 3, 0, nothing)->status, 204);
    assert_int_equal(
        ask(&stage, STORE_OP_UPDATE, ENTITY_ANOMALY, 1, 0, row(truth(ARG_RESUELTA, true)))->status, 200);
    for (unsigned i = 0; i < 10; i++)
        a_reading(&stage, sensor, 36, 95); /* what came later says nothing of it */
    unsigned before = count_of("anomaly_detected");
    assert_string_equal(tipos(query(STORE_OP_ANOMALIES_DETECT, reading, nothing)),
                        "temperatura_alta 36, humedad_alta 95, humedad_atipica 95, temperatura_atipica 36");
    assert_int_equal(count_of("anomaly_detected"), before + 1);
    assert_string_equal(query(STORE_OP_ANOMALIES_DETECT, 1, nothing)->text, "[]");
    assert_int_equal(query(STORE_OP_ANOMALIES_DETECT, 7777, nothing)->status, 404);
    assert_string_equal(detail(&stage.said), "Lectura no encontrada");
}

static void a_changed_reading_may_be_judged_again(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage), reading = a_reading(&stage, sensor, 20, 50);
    ask(&stage, STORE_OP_UPDATE, ENTITY_READING, reading, 0, row(real(ARG_TEMPERATURA, 40)));
    assert_string_equal(anomalies_of(&stage, reading), "");
    assert_string_equal(tipos(query(STORE_OP_ANOMALIES_DETECT, reading, nothing)), "temperatura_alta 40");
}

/* --- lists and counts ----------------------------------------------------------------------------------------------- */

static void recent_and_critical_anomalies(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage);
    a_reading(&stage, sensor, 36, 50);
    clock_manual_advance_ns(&stage.clock, 2 * HOUR_NS);
    a_reading(&stage, sensor, 20, 95);
    clock_manual_advance_ns(&stage.clock, 23 * HOUR_NS);
    a_reading(&stage, sensor, 50.5, 92);
    assert_string_equal(ids(query(STORE_OP_ANOMALIES_RECENT, 0, nothing)), "4 3 2");
    assert_string_equal(ids(query(STORE_OP_ANOMALIES_RECENT, 0, row(real(ARG_HOURS, 1)))), "4 3");
    assert_string_equal(
        ids(query(STORE_OP_ANOMALIES_RECENT, 0, row(real(ARG_HOURS, 48), whole(ARG_LIMIT, 1)))), "4");
    assert_string_equal(ids(query(STORE_OP_ANOMALIES_CRITICAL, 0, nothing)), "2 4 3");
    assert_string_equal(ids(query(STORE_OP_ANOMALIES_CRITICAL, 0, row(real(ARG_THRESHOLD, 92)))), "2 4");
    ask(&stage, STORE_OP_UPDATE, ENTITY_ANOMALY, 2, 0, row(truth(ARG_RESUELTA, true)));
    assert_string_equal(ids(query(STORE_OP_ANOMALIES_CRITICAL, 0, row(real(ARG_THRESHOLD, 1)))), "4 3 1");
}

static void anomalies_counted(void **state)
{
    (void)state;
    assert_string_equal(
        query(STORE_OP_ANOMALIES_STATISTICS, 0, nothing)->text,
        "{\"total_anomalias\":0,\"resueltas\":0,\"pendientes\":0,\"ultimas_24h\":0,\"por_tipo\":{}}");
    uint64_t sensor = a_sensor(&stage);
    a_reading(&stage, sensor, 36, 95);
    clock_manual_advance_ns(&stage.clock, 25 * HOUR_NS);
    a_reading(&stage, sensor, 20, 95);
    ask(&stage, STORE_OP_UPDATE, ENTITY_ANOMALY, 1, 0, row(truth(ARG_RESUELTA, true)));
    ask(&stage, STORE_OP_CREATE, ENTITY_ANOMALY, 0, 0,
        row(whole(ARG_LECTURA_ID, 1), text(ARG_TIPO, "a \"b\"\n"), real(ARG_VALOR, 1)));
    assert_string_equal(
        query(STORE_OP_ANOMALIES_STATISTICS, 0, nothing)->text,
        "{\"total_anomalias\":4,\"resueltas\":1,\"pendientes\":3,\"ultimas_24h\":2,\"por_tipo\":"
        "{\"humedad_alta\":2,\"a \\\"b\\\"\\n\":1,\"temperatura_alta\":1}}");
}

/* --- predictions ---------------------------------------------------------------------------------------------------- */

static struct said *generate(uint64_t place, double temperatura, double humedad)
{
    return query(STORE_OP_PREDICTIONS_GENERATE, 0,
                 row(whole(ARG_UBICACION_ID, (int64_t)place), real(ARG_TEMPERATURA_PROMEDIO, temperatura),
                     real(ARG_HUMEDAD_PROMEDIO, humedad)));
}

static double probability(const struct said *said)
{
    made_id(said);
    return json_number_value(json_object_get(said->json, "probabilidad"));
}

static void a_prediction_from_the_request(void **state)
{
    (void)state;
    uint64_t place = a_place(&stage, a_sensor(&stage), 1, 1, "x");
    query(STORE_OP_PREDICTIONS_GENERATE, 0,
          row(whole(ARG_UBICACION_ID, (int64_t)place), real(ARG_TEMPERATURA_PROMEDIO, 30),
              real(ARG_HUMEDAD_PROMEDIO, 40), text(ARG_COMENTARIO, "ola de calor")));
    assert_int_equal(stage.said.status, 201);
    assert_string_equal(
        stage.said.text,
        "{\"id\":1,\"ubicacion_id\":1,\"probabilidad\":0.5,\"comentario\":\"ola de calor\","
        "\"created_at\":\"2030-03-17T17:46:40.000Z\",\"updated_at\":\"2030-03-17T17:46:40.000Z\"}");
    assert_int_equal(stage.said.version, 1);
    assert_int_equal(count_of("prediction_completed"), 1);
    assert_true(probability(generate(place, -50, 100)) == 0);
    assert_true(probability(generate(place, 60, 0)) == 1);
    assert_true(json_is_null(json_object_get(stage.said.json, "comentario")));
}

static void a_prediction_from_stored_readings(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage), place = a_place(&stage, sensor, 1, 1, "x");
    struct store_row request = row(whole(ARG_UBICACION_ID, (int64_t)place));
    assert_int_equal(query(STORE_OP_PREDICTIONS_GENERATE, 0, request)->status, 422);
    assert_int_equal(count_of("prediction_completed"), 0);
    store_row_set(&request, ARG_TEMPERATURA_PROMEDIO, (struct store_value){.kind = STORE_REAL, .real = 40});
    assert_int_equal(query(STORE_OP_PREDICTIONS_GENERATE, 0, request)->status, 422); /* and the humidity? */
    a_reading(&stage, sensor, 25, 50);
    a_reading(&stage, sensor, 35, 30);
    a_reading(&stage, a_sensor(&stage), 60, 0);
    assert_true(probability(query(STORE_OP_PREDICTIONS_GENERATE, 0, request)) == 0.6 + 0.4 * 0.5);
    request = row(whole(ARG_UBICACION_ID, (int64_t)place), null(ARG_TEMPERATURA_PROMEDIO));
    assert_true(probability(query(STORE_OP_PREDICTIONS_GENERATE, 0, request)) == 0.6 * 0.5 + 0.4 * 0.5);
}

static void a_prediction_needs_a_place(void **state)
{
    (void)state;
    assert_int_equal(generate(1, 30, 40)->status, 404);
    assert_string_equal(detail(&stage.said), "Ubicación no encontrada");
    assert_int_equal(query(STORE_OP_PREDICTIONS_GENERATE, 0, nothing)->status, 422);
}

static void predictions_listed(void **state)
{
    (void)state;
    uint64_t sensor = a_sensor(&stage), here = a_place(&stage, sensor, 1, 1, "x"),
             there = a_place(&stage, sensor, 2, 2, "y");
    assert_int_equal(query(STORE_OP_PREDICTIONS_LATEST, here, nothing)->status, 404);
    assert_string_equal(detail(&stage.said), "Predicción no encontrada");
    generate(here, 40, 80); /* 0.6 */
    generate(here, 40, 0);  /* 1 */
    clock_manual_advance_ns(&stage.clock, 25 * HOUR_NS);
    generate(there, 40, 60); /* 0.7 */
    generate(here, 20, 80);  /* 0 */
    assert_string_equal(ids(query(STORE_OP_PREDICTIONS_HIGH_RISK, 0, nothing)), "2 3");
    assert_string_equal(ids(query(STORE_OP_PREDICTIONS_HIGH_RISK, 0, row(real(ARG_THRESHOLD, 0.5)))),
                        "2 3 1");
    assert_string_equal(ids(query(STORE_OP_PREDICTIONS_RECENT, 0, nothing)), "4 3");
    assert_string_equal(ids(query(STORE_OP_PREDICTIONS_OF_LOCATION, here, nothing)), "4 2 1");
    assert_string_equal(
        ids(query(STORE_OP_PREDICTIONS_OF_LOCATION, here, row(whole(ARG_SKIP, 1), whole(ARG_LIMIT, 1)))),
        "2");
    assert_int_equal(query(STORE_OP_PREDICTIONS_LATEST, here, nothing)->status, 200);
    assert_int_equal(json_integer_value(json_object_get(stage.said.json, "id")), 4);
    assert_int_equal(query(STORE_OP_PREDICTIONS_OF_LOCATION, 9, nothing)->status, 404);
    assert_int_equal(query(STORE_OP_PREDICTIONS_LATEST, 9, nothing)->status, 404);
    assert_string_equal(detail(&stage.said), "Ubicación no encontrada");
}

static void predictions_counted(void **state)
{
    (void)state;
    assert_string_equal(
        query(STORE_OP_PREDICTIONS_STATISTICS, 0, nothing)->text,
        "{\"total_predicciones\":0,\"probabilidad_promedio\":null,\"probabilidad_maxima\":null,"
        "\"alto_riesgo\":0,\"ultimas_24h\":0}");
    uint64_t place = a_place(&stage, a_sensor(&stage), 1, 1, "x");
    generate(place, 40, 0);
    clock_manual_advance_ns(&stage.clock, 25 * HOUR_NS);
    generate(place, 30, 40);
    assert_string_equal(
        query(STORE_OP_PREDICTIONS_STATISTICS, 0, nothing)->text,
        "{\"total_predicciones\":2,\"probabilidad_promedio\":0.75,\"probabilidad_maxima\":1.0,"
        "\"alto_riesgo\":1,\"ultimas_24h\":1}");
}

#define IN_DATABASE(test) cmocka_unit_test_setup_teardown(test, open_stage, close_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DATABASE(a_new_reading_is_judged),
        IN_DATABASE(what_is_unusual_for_a_sensor),
        IN_DATABASE(a_store_that_starts_anew_judges_the_same),
        IN_DATABASE(what_was_refused_says_nothing_of_what_is_usual),
        IN_DATABASE(a_group_that_is_rolled_back_neither),
        IN_DATABASE(nor_what_was_deleted_or_changed),
        IN_DATABASE(many_at_once_as_one_by_one),
        IN_DATABASE(asked_again_makes_only_what_is_missing),
        IN_DATABASE(a_changed_reading_may_be_judged_again),
        IN_DATABASE(recent_and_critical_anomalies),
        IN_DATABASE(anomalies_counted),
        IN_DATABASE(a_prediction_from_the_request),
        IN_DATABASE(a_prediction_from_stored_readings),
        IN_DATABASE(a_prediction_needs_a_place),
        IN_DATABASE(predictions_listed),
        IN_DATABASE(predictions_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
