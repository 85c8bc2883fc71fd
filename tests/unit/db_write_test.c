/* db_write_test.c — rows are made, read, listed, changed and deleted, each change with its event and each refusal without a trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db_stage.h"
#include "must.h"

#define NOW "2030-03-17T17:46:40.000Z"

static struct db_stage stage;

static int set_up(void **state)
{
    (void)state;
    db_stage_open(&stage);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    db_stage_check(&stage);
    db_stage_close(&stage);
    return 0;
}

static uint64_t sensor(void)
{
    return made_id(ask(&stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0,
                       row(text(ARG_TIPO, "temperatura"), text(ARG_MODELO, "DHT22"))));
}

static struct store_row reading_row(uint64_t of, double temperatura, double humedad)
{
    return row(whole(ARG_SENSOR_ID, (int64_t)of), real(ARG_TEMPERATURA, temperatura),
               real(ARG_HUMEDAD, humedad));
}

static uint64_t reading(uint64_t of, double temperatura, double humedad)
{
    return made_id(ask(&stage, STORE_OP_CREATE, ENTITY_READING, 0, 0, reading_row(of, temperatura, humedad)));
}

static uint64_t location(uint64_t of, double latitud, double longitud)
{
    return made_id(ask(
        &stage, STORE_OP_CREATE, ENTITY_LOCATION, 0, 0,
        row(whole(ARG_SENSOR_ID, (int64_t)of), real(ARG_LATITUD, latitud), real(ARG_LONGITUD, longitud))));
}

static uint64_t prediction(uint64_t of)
{
    return made_id(ask(&stage, STORE_OP_CREATE, ENTITY_PREDICTION, 0, 0,
                       row(whole(ARG_UBICACION_ID, (int64_t)of), real(ARG_PROBABILIDAD, 0.5))));
}

static void expect_said(const struct said *said, unsigned status, const char *body)
{
    if (said->status != status || strcmp(said->text, body) != 0)
        fail_msg("%u %s", said->status, said->text);
}

/* The text of the only event above `seq`. */
static void expect_event(uint64_t seq, const char *channel, const char *payload)
{
    struct db_event event;
    assert_int_equal(db_next_event(stage.db, seq, &event), ERR_OK);
    assert_string_equal(event.channel, channel);
    if (event.len != strlen(payload) || memcmp(event.payload, payload, event.len) != 0)
        fail_msg("%.*s", (int)event.len, event.payload);
    assert_int_equal(db_next_event(stage.db, event.seq, &event), ERR_NOT_FOUND);
}

static void expect_no_event(uint64_t seq)
{
    struct db_event event;
    assert_int_equal(db_next_event(stage.db, seq, &event), ERR_NOT_FOUND);
    assert_int_equal(db_last_event(stage.db), seq);
}

static void a_sensor_and_its_event_are_the_document_s(void **state)
{
    (void)state;
    const struct said *said = ask(&stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0,
                                  row(text(ARG_TIPO, "temperatura"), text(ARG_MODELO, "DHT22")));
    expect_said(said, 201,
                "{\"id\":1,\"tipo\":\"temperatura\",\"modelo\":\"DHT22\",\"created_at\":\"" NOW
                "\",\"updated_at\":\"" NOW "\"}");
    assert_int_equal(said->version, 1);
    expect_event(
        0, "sensors",
        "{\"type\":\"entity_event\",\"entity_type\":\"sensor\",\"event_type\":\"created\",\"entity_id\":1,"
        "\"data\":{\"id\":1,\"tipo\":\"temperatura\",\"modelo\":\"DHT22\",\"created_at\":\"" NOW "\"},"
        "\"timestamp\":\"" NOW "\",\"metadata\":{\"action\":\"create_sensor\"}}");
    said = ask(&stage, STORE_OP_READ, ENTITY_SENSOR, 1, 0, nothing);
    assert_int_equal(said->status, 200);
    assert_int_equal(said->version, 1);
}

static void every_entity_shows_its_members_in_order(void **state)
{
    (void)state;
    sensor();
    expect_said(ask(&stage, STORE_OP_CREATE, ENTITY_READING, 0, 0,
                    row(whole(ARG_SENSOR_ID, 1), real(ARG_TEMPERATURA, 23.5), real(ARG_HUMEDAD, 65.2),
                        whole(ARG_TIMESTAMP, 1753007400000))),
                201,
                "{\"id\":1,\"sensor_id\":1,\"temperatura\":23.5,\"humedad\":65.2,\"timestamp\":\"2025-07-"
                "20T10:30:00.000Z\","
                "\"created_at\":\"" NOW "\",\"updated_at\":\"" NOW "\"}");
    expect_said(ask(&stage, STORE_OP_CREATE, ENTITY_LOCATION, 0, 0,
                    row(whole(ARG_SENSOR_ID, 1), real(ARG_LATITUD, -12), real(ARG_LONGITUD, -0.0),
                        text(ARG_DESCRIPCION, "Almacén \"1\"\n"))),
                201,
                "{\"id\":1,\"sensor_id\":1,\"latitud\":-12.0,\"longitud\":0.0,\"descripcion\":\"Almacén "
                "\\\"1\\\"\\n\","
                "\"created_at\":\"" NOW "\",\"updated_at\":\"" NOW "\"}");
    expect_said(ask(&stage, STORE_OP_CREATE, ENTITY_PREDICTION, 0, 0,
                    row(whole(ARG_UBICACION_ID, 1), real(ARG_PROBABILIDAD, 0.1), null(ARG_COMENTARIO))),
                201,
                "{\"id\":1,\"ubicacion_id\":1,\"probabilidad\":0.1,\"comentario\":null,\"created_at\":\"" NOW
                "\",\"updated_at\":\"" NOW "\"}");
    expect_said(ask(&stage, STORE_OP_CREATE, ENTITY_ANOMALY, 0, 0,
                    row(whole(ARG_LECTURA_ID, 1), text(ARG_TIPO, "manual"), real(ARG_VALOR, 1e22))),
                201,
                "{\"id\":1,\"lectura_id\":1,\"machine_id\":null,\"tipo\":\"manual\",\"valor\":1e+22,"
                "\"resuelta\":false,\"resuelta_at\":null,"
                "\"created_at\":\"" NOW "\",\"updated_at\":\"" NOW "\"}");
}

static void what_is_missing_or_wrong_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    sensor();
    location(1, 10, 20);
    uint64_t seq = db_last_event(stage.db);
    expect_said(
        ask(&stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0, row(text(ARG_TIPO, "t"))), 422,
        "{\"detail\":[{\"loc\":[\"body\",\"modelo\"],\"type\":\"value_error\",\"msg\":\"Falta el valor\"}]}");
    expect_said(ask(&stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0, row(text(ARG_TIPO, "t"), null(ARG_MODELO))),
                422,
                "{\"detail\":[{\"loc\":[\"body\",\"modelo\"],\"type\":\"value_error\",\"msg\":\"No puede ser "
                "null\"}]}");
    expect_said(ask(&stage, STORE_OP_CREATE, ENTITY_READING, 0, 0, reading_row(7, 1, 1)), 404,
                "{\"detail\":\"Sensor no encontrado\"}");
    expect_said(ask(&stage, STORE_OP_CREATE, ENTITY_READING, 0, 0, reading_row(1, 60.5, 1)), 422,
                "{\"detail\":[{\"loc\":[\"body\",\"temperatura\"],\"type\":\"value_error\",\"msg\":\"Valor "
                "fuera de rango\"}]}");
    expect_said(ask(&stage, STORE_OP_CREATE, ENTITY_LOCATION, 0, 0,
                    row(whole(ARG_SENSOR_ID, 1), real(ARG_LATITUD, 10), real(ARG_LONGITUD, 20))),
                409, "{\"detail\":\"Ya existe una ubicación con esas coordenadas\"}");
    assert_string_equal(detail(ask(&stage, STORE_OP_CREATE, ENTITY_ANOMALY, 0, 0,
                                   row(whole(ARG_LECTURA_ID, 9), text(ARG_TIPO, "x"), real(ARG_VALOR, 1)))),
                        "Lectura no encontrada");
    assert_string_equal(detail(ask(&stage, STORE_OP_CREATE, ENTITY_PREDICTION, 0, 0,
                                   row(whole(ARG_UBICACION_ID, INT64_MAX), real(ARG_PROBABILIDAD, 1)))),
                        "Ubicación no encontrada");
    assert_int_equal(ask(&stage, STORE_OP_CREATE, ENTITY_NONE, 0, 0, nothing)->status, 400);
    assert_int_equal(ask(&stage, STORE_OP_CREATE, (enum entity_e)77, 0, 0, nothing)->status, 400);
    assert_int_equal(ask(&stage, STORE_OP_NONE, ENTITY_SENSOR, 0, 0, nothing)->status, 400);
    assert_int_equal(ask(&stage, STORE_OP_READ, ENTITY_SENSOR, UINT64_MAX, 0, nothing)->status, 404);
    expect_no_event(seq);
}

static void texts_that_no_event_can_hold_are_refused(void **state)
{
    static char bells[DB_TEXT_MAX + 2];
    (void)state;
    memset(bells, 7, DB_TEXT_MAX); /* \u0007 each */
    assert_int_equal(
        ask(&stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0, row(text(ARG_TIPO, bells), text(ARG_MODELO, "")))
            ->status,
        422);
    memset(bells, 'x', DB_TEXT_MAX + 1);
    assert_int_equal(
        ask(&stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0, row(text(ARG_TIPO, bells), text(ARG_MODELO, "")))
            ->status,
        422);
    bells[DB_TEXT_MAX] = '\0';
    assert_int_equal(
        ask(&stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0, row(text(ARG_TIPO, bells), text(ARG_MODELO, "")))
            ->status,
        201);
    assert_int_equal(db_last_event(stage.db), 1);
}

static void a_change_tells_what_changed_and_nothing_else(void **state)
{
    (void)state;
    sensor();
    stage.clock.wall_now_ms += 1500;
    const struct said *said = ask(&stage, STORE_OP_UPDATE, ENTITY_SENSOR, 1, 1,
                                  row(text(ARG_TIPO, "temperatura"), text(ARG_MODELO, "BME280")));
    expect_said(said, 200,
                "{\"id\":1,\"tipo\":\"temperatura\",\"modelo\":\"BME280\",\"created_at\":\"" NOW
                "\",\"updated_at\":\"2030-03-17T17:46:41.500Z\"}");
    assert_int_equal(said->version, 2);
    expect_event(
        1, "sensors",
        "{\"type\":\"entity_event\",\"entity_type\":\"sensor\",\"event_type\":\"updated\",\"entity_id\":1,"
        "\"data\":{\"id\":1,\"modelo\":\"BME280\",\"updated_at\":\"2030-03-17T17:46:41.500Z\"},"
        "\"timestamp\":\"2030-03-17T17:46:41.500Z\",\"metadata\":{\"action\":\"update_sensor\",\"fields_"
        "updated\":[\"modelo\"]}}");
    said = ask(&stage, STORE_OP_UPDATE, ENTITY_SENSOR, 1, 2, row(text(ARG_MODELO, "BME280"))); /* as it is */
    assert_int_equal(said->status, 200);
    assert_int_equal(said->version, 2);
    assert_int_equal(ask(&stage, STORE_OP_UPDATE, ENTITY_SENSOR, 1, 1, row(text(ARG_MODELO, "X")))->status,
                     412);
    assert_int_equal(ask(&stage, STORE_OP_UPDATE, ENTITY_SENSOR, 2, 0, row(text(ARG_MODELO, "X")))->status,
                     404);
    assert_int_equal(ask(&stage, STORE_OP_UPDATE, ENTITY_SENSOR, 1, 0, row(null(ARG_MODELO)))->status, 422);
    assert_int_equal(ask(&stage, STORE_OP_UPDATE, ENTITY_SENSOR, 1, 0, nothing)->status, 200);
    expect_no_event(2);
}

static void a_change_may_break_no_rule_either(void **state)
{
    (void)state;
    sensor();
    location(1, 1, 1);
    location(1, 2, 2);
    reading(1, 20, 50);
    uint64_t seq = db_last_event(stage.db);
    assert_int_equal(
        ask(&stage, STORE_OP_UPDATE, ENTITY_LOCATION, 2, 0, row(real(ARG_LATITUD, 1), real(ARG_LONGITUD, 1)))
            ->status,
        409);
    assert_int_equal(
        ask(&stage, STORE_OP_UPDATE, ENTITY_LOCATION, 2, 0, row(whole(ARG_SENSOR_ID, 5)))->status, 404);
    assert_int_equal(ask(&stage, STORE_OP_UPDATE, ENTITY_LOCATION, 2, 0, row(real(ARG_LATITUD, 91)))->status,
                     422);
    assert_int_equal(
        ask(&stage, STORE_OP_UPDATE, ENTITY_READING, 1, 0, row(whole(ARG_TIMESTAMP, -1)))->status, 422);
    expect_no_event(seq);
    assert_int_equal(
        ask(&stage, STORE_OP_UPDATE, ENTITY_LOCATION, 2, 0, row(text(ARG_DESCRIPCION, "aquí")))->status, 200);
    assert_int_equal(ask(&stage, STORE_OP_UPDATE, ENTITY_LOCATION, 2, 0, row(null(ARG_DESCRIPCION)))->status,
                     200);
    assert_int_equal(db_last_event(stage.db), seq + 2);
}

static void an_anomaly_is_solved_and_opened_again(void **state)
{
    (void)state;
    sensor();
    reading(1, 20, 50);
    ask(&stage, STORE_OP_CREATE, ENTITY_ANOMALY, 0, 0,
        row(whole(ARG_LECTURA_ID, 1), text(ARG_TIPO, "x"), real(ARG_VALOR, 2)));
    expect_said(ask(&stage, STORE_OP_UPDATE, ENTITY_ANOMALY, 1, 0, row(truth(ARG_RESUELTA, true))), 200,
                "{\"id\":1,\"lectura_id\":1,\"machine_id\":null,\"tipo\":\"x\",\"valor\":2.0,\"resuelta\":"
                "true,\"resuelta_at\":\"" NOW "\",\"created_at\":\"" NOW "\",\"updated_at\":\"" NOW "\"}");
    expect_event(
        3, "anomalies",
        "{\"type\":\"entity_event\",\"entity_type\":\"anomalia\",\"event_type\":\"updated\",\"entity_id\":1,"
        "\"data\":{\"id\":1,\"resuelta\":true,\"resuelta_at\":\"" NOW "\",\"updated_at\":\"" NOW "\"},"
        "\"timestamp\":\"" NOW
        "\",\"metadata\":{\"action\":\"resolve_anomalia\",\"fields_updated\":[\"resuelta\"]}}");
    assert_int_equal(
        ask(&stage, STORE_OP_UPDATE, ENTITY_ANOMALY, 1, 0, row(truth(ARG_RESUELTA, true)))->status, 200);
    assert_int_equal(db_last_event(stage.db), 4);
    ask(&stage, STORE_OP_UPDATE, ENTITY_ANOMALY, 1, 0, row(truth(ARG_RESUELTA, false), real(ARG_VALOR, 3)));
    expect_event(
        4, "anomalies",
        "{\"type\":\"entity_event\",\"entity_type\":\"anomalia\",\"event_type\":\"updated\",\"entity_id\":1,"
        "\"data\":{\"id\":1,\"valor\":3.0,\"resuelta\":false,\"resuelta_at\":null,\"updated_at\":\"" NOW
        "\"},"
        "\"timestamp\":\"" NOW
        "\",\"metadata\":{\"action\":\"update_anomalia\",\"fields_updated\":[\"valor\",\"resuelta\"]}}");
}

static void a_sensor_takes_everything_of_it_along_innermost_first(void **state)
{
    static const char *const order[] = {"anomalia",   "lectura",   "lectura", "prediccion",
                                        "prediccion", "ubicacion", "sensor"};
    (void)state;
    sensor();
    sensor();
    reading(1, 40, 50); /* and temperatura_alta */
    reading(1, 20, 50);
    reading(2, 20, 50);
    location(1, 1, 1);
    prediction(1);
    prediction(1);
    uint64_t seq = db_last_event(stage.db);
    assert_int_equal(ask(&stage, STORE_OP_DELETE, ENTITY_SENSOR, 1, 2, nothing)->status, 412);
    expect_no_event(seq);
    const struct said *said = ask(&stage, STORE_OP_DELETE, ENTITY_SENSOR, 1, 1, nothing);
    expect_said(said, 204, "");
    json_t *events = events_of(&stage, seq), *event;
    size_t i;
    assert_int_equal(json_array_size(events), ARRAY_LEN(order));
    json_array_foreach(events, i, event)
    {
        const char *from =
            json_string_value(json_object_get(json_object_get(event, "metadata"), "cascade_from"));
        assert_string_equal(json_string_value(json_object_get(event, "entity_type")), order[i]);
        assert_string_equal(json_string_value(json_object_get(event, "event_type")), "deleted");
        assert_true(i + 1 < ARRAY_LEN(order) ? strcmp(from, "sensor") == 0 : from == NULL);
    }
    json_decref(events);
    assert_int_equal(ask(&stage, STORE_OP_DELETE, ENTITY_SENSOR, 1, 0, nothing)->status, 404);
    assert_int_equal(ask(&stage, STORE_OP_READ, ENTITY_READING, 3, 0, nothing)->status, 200);
    assert_int_equal(sensor(), 3); /* the number of a deleted one is not given again */
}

static void many_readings_are_made_all_or_none(void **state)
{
    struct store_row rows[3];
    (void)state;
    sensor();
    for (unsigned i = 0; i < 3; i++)
        rows[i] = reading_row(1, 36 + i, 50);
    const struct said *said = ask_many(&stage, rows, 3);
    assert_int_equal(said->status, 201);
    assert_int_equal(json_array_size(said->json), 3);
    assert_int_equal(db_last_event(stage.db), 1 + 6);
    rows[2] = reading_row(9, 20, 20);
    expect_said(ask_many(&stage, rows, 3), 404,
                "{\"detail\":\"Sensor no encontrado\",\"loc\":[\"body\",2,\"sensor_id\"]}");
    rows[1] = reading_row(1, -51, 20);
    expect_said(ask_many(&stage, rows, 3), 422,
                "{\"detail\":[{\"loc\":[\"body\",1,\"temperatura\"],\"type\":\"value_error\",\"msg\":\"Valor "
                "fuera de rango\"}]}");
    assert_int_equal(ask_many(&stage, rows, 0)->status, 422);
    static struct store_row too_many[STORE_ROWS_MAX + 1];
    for (unsigned i = 0; i <= STORE_ROWS_MAX; i++)
        too_many[i] = reading_row(1, 20, 50);
    assert_int_equal(ask_many(&stage, too_many, STORE_ROWS_MAX + 1)->status, 422);
    expect_no_event(7);
    assert_int_equal(ask_many(&stage, too_many, STORE_ROWS_MAX)->status, 201);
}

static unsigned listed(enum entity_e entity, struct store_row filters)
{
    const struct said *said = ask(&stage, STORE_OP_LIST, entity, 0, 0, filters);
    assert_int_equal(said->status, 200);
    return (unsigned)json_array_size(said->json);
}

static void lists_take_filters_of_all_members(void **state)
{
    (void)state;
    sensor();
    sensor();
    for (unsigned i = 0; i < 10; i++) {
        stage.clock.wall_now_ms += 1000;
        reading(1 + i % 2, 20 + i, 50);
    }
    location(1, 1, 1);
    ask(&stage, STORE_OP_UPDATE, ENTITY_LOCATION, 1, 0, row(text(ARG_DESCRIPCION, "d")));
    location(1, 1, 2);
    assert_int_equal(listed(ENTITY_READING, nothing), 10);
    assert_int_equal(listed(ENTITY_READING, row(whole(ARG_SENSOR_ID, 2))), 5);
    assert_int_equal(listed(ENTITY_READING, row(whole(ARG_SENSOR_ID, 2), real(ARG_TEMPERATURA, 21))), 1);
    assert_int_equal(listed(ENTITY_READING, row(whole(ARG_DESDE, STAGE_START_MS + 9000))), 2);
    assert_int_equal(listed(ENTITY_READING, row(whole(ARG_HASTA, STAGE_START_MS + 9000))), 9);
    assert_int_equal(listed(ENTITY_READING, row(whole(ARG_DESDE, STAGE_START_MS + 3000),
                                                whole(ARG_HASTA, STAGE_START_MS + 5000))),
                     3);
    assert_int_equal(listed(ENTITY_READING, row(whole(ARG_SKIP, 8), whole(ARG_LIMIT, 5))), 2);
    assert_int_equal(listed(ENTITY_READING, row(whole(ARG_LIMIT, 0))), 0);
    assert_int_equal(listed(ENTITY_READING, row(whole(ARG_LIMIT, INT64_MIN), whole(ARG_SKIP, INT64_MAX))), 0);
    assert_int_equal(listed(ENTITY_LOCATION, row(null(ARG_DESCRIPCION))), 1);
    assert_int_equal(listed(ENTITY_LOCATION, row(text(ARG_DESCRIPCION, "d"))), 1);
    assert_int_equal(listed(ENTITY_LOCATION, row(text(ARG_DESCRIPCION, "' OR 1=1 --"))), 0);
    assert_int_equal(listed(ENTITY_SENSOR, row(text(ARG_MODELO, "DHT22"), whole(ARG_DESDE, 0))), 2);
    const struct said *said =
        ask(&stage, STORE_OP_LIST, ENTITY_READING, 0, 0, row(whole(ARG_SENSOR_ID, 1), whole(ARG_DESDE, 0)));
    for (size_t i = 1; i < json_array_size(said->json); i++) /* newest last */
        assert_true(json_integer_value(json_object_get(json_array_get(said->json, i - 1), "id")) <
                    json_integer_value(json_object_get(json_array_get(said->json, i), "id")));
}

static void a_refusal_in_a_group_leaves_the_others(void **state)
{
    (void)state;
    assert_int_equal(db_begin(stage.db), ERR_OK);
    assert_int_equal(ask_within(&stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0,
                                row(text(ARG_TIPO, "a"), text(ARG_MODELO, "b")))
                         ->status,
                     201);
    struct store_row bad = reading_row(1, 40, 50);
    bad.values[ARG_HUMEDAD].real = 101;
    assert_int_equal(ask_within(&stage, STORE_OP_CREATE, ENTITY_READING, 0, 0, bad)->status, 422);
    assert_int_equal(
        ask_within(&stage, STORE_OP_CREATE, ENTITY_READING, 0, 0, reading_row(1, 40, 50))->status, 201);
    assert_int_equal(ask_within(&stage, STORE_OP_DELETE, ENTITY_SENSOR, 1, 5, nothing)->status, 412);
    assert_int_equal(db_last_event(stage.db), 0); /* nothing is committed */
    assert_int_equal(db_commit(stage.db), ERR_OK);
    assert_int_equal(db_last_event(stage.db), 3);
}

static void a_group_that_is_rolled_back_never_was(void **state)
{
    (void)state;
    sensor();
    assert_int_equal(db_begin(stage.db), ERR_OK);
    assert_int_equal(
        ask_within(&stage, STORE_OP_CREATE, ENTITY_READING, 0, 0, reading_row(1, 40, 50))->status, 201);
    db_rollback(stage.db);
    assert_int_equal(db_last_event(stage.db), 1);
    assert_int_equal(listed(ENTITY_READING, nothing), 0);
    assert_int_equal(reading(1, 20, 20), 1); /* a number that nobody has seen */
}

static void arguments_that_no_worker_makes_are_400(void **state)
{
    struct db_request request = {.op = STORE_OP_CREATE_MANY,
                                 .entity = ENTITY_READING,
                                 .who = "",
                                 .args = {(const unsigned char *)"\x03\x01z", 3}};
    struct db_answer answer;
    (void)state;
    assert_int_equal(db_begin(stage.db), ERR_OK);
    db_execute(stage.db, &request, &answer);
    assert_int_equal(answer.status, 400);
    assert_int_equal(db_commit(stage.db), ERR_OK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_sensor_and_its_event_are_the_document_s),
        T(every_entity_shows_its_members_in_order),
        T(what_is_missing_or_wrong_is_refused_and_changes_nothing),
        T(texts_that_no_event_can_hold_are_refused),
        T(a_change_tells_what_changed_and_nothing_else),
        T(a_change_may_break_no_rule_either),
        T(an_anomaly_is_solved_and_opened_again),
        T(a_sensor_takes_everything_of_it_along_innermost_first),
        T(many_readings_are_made_all_or_none),
        T(lists_take_filters_of_all_members),
        T(a_refusal_in_a_group_leaves_the_others),
        T(a_group_that_is_rolled_back_never_was),
        T(arguments_that_no_worker_makes_are_400),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
