/* db_delete_test.c — deletions in turns of three rows: bounded, each row with its event once, finite, and made to the end whoever comes in between. After
 * each test the events make the rows (db_stage_check()). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db_query_stage.h"
#include "must.h"

#define TURN 3u

static struct db_stage stage;

static int set_up(void **state)
{
    (void)state;
    db_stage_open(&stage);
    stage.delete_rows = TURN;
    db_stage_again(&stage);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    db_stage_check(&stage);
    db_stage_close(&stage);
    return 0;
}

static void anomaly(uint64_t of)
{
    made_id(ask(&stage, STORE_OP_CREATE, ENTITY_ANOMALY, 0, 0,
                row(whole(ARG_LECTURA_ID, (int64_t)of), text(ARG_TIPO, "t"), real(ARG_VALOR, 1))));
}

static void prediction(uint64_t of)
{
    made_id(ask(&stage, STORE_OP_CREATE, ENTITY_PREDICTION, 0, 0,
                row(whole(ARG_UBICACION_ID, (int64_t)of), real(ARG_PROBABILIDAD, 0.5))));
}

/* Sensor 1 with 8 rows below it: readings 1 to 4, the second with an anomaly of its own, place 1 with two predictions. And sensor 2 with reading 5. */
static void two_sensors(void)
{
    a_sensor(&stage);
    a_sensor(&stage);
    for (int i = 0; i < 4; i++)
        a_reading(&stage, 1, i == 1 ? 40 : 20, 50);
    a_place(&stage, 1, 1, 1, "Nave");
    prediction(1);
    prediction(1);
    a_reading(&stage, 2, 20, 50);
}

static const struct said *delete (enum entity_e entity, uint64_t id, uint64_t version)
{
    return ask(&stage, STORE_OP_DELETE, entity, id, version, nothing);
}

static void expect(const struct said *said, unsigned status, const char *text)
{
    if (said->status != status || (text != NULL && strstr(said->text, text) == NULL))
        fail_msg("%u %s instead of %u %s", said->status, said->text, status, text != NULL ? text : "");
}

static unsigned turns(void)
{
    unsigned count = 0;
    for (; db_deletions(stage.db) > 0; count++) {
        uint64_t before = db_last_event(stage.db);
        assert_int_equal(db_stage_turn(&stage), ERR_OK);
        assert_in_range(db_last_event(stage.db) - before, 1, TURN);
    }
    return count;
}

/* "lectura 2 <sensor, …": what events above a number say was deleted, and from what. */
static const char *deleted(uint64_t above)
{
    static char text[4096];
    json_t *events = events_of(&stage, above), *event;
    size_t i, len = 0;
    text[0] = '\0';
    json_array_foreach(events, i, event)
    {
        json_t *metadata = json_object_get(event, "metadata");
        const char *from = json_string_value(json_object_get(metadata, "cascade_from"));
        assert_string_equal(json_string_value(json_object_get(event, "event_type")), "deleted");
        len += (size_t)snprintf(text + len, sizeof text - len, "%s %lld%s%s, ",
                                json_string_value(json_object_get(event, "entity_type")),
                                json_integer_value(json_object_get(event, "entity_id")),
                                from != NULL ? "<" : "", from != NULL ? from : "");
    }
    json_decref(events);
    return text;
}

static unsigned kept(enum entity_e entity)
{
    json_t *rows = rows_of(&stage, entity);
    unsigned count = (unsigned)json_array_size(rows);
    json_decref(rows);
    return count;
}

/* --- what is done when ------------------------------------------------------------------------------------------------------ */

static void what_fits_a_turn_goes_at_once(void **state)
{
    (void)state;
    a_sensor(&stage);
    a_reading(&stage, 1, 20, 50);
    a_reading(&stage, 1, 20, 50);
    struct db_counts before, after;
    db_get_counts(stage.db, &before);
    uint64_t last = db_last_event(stage.db);
    expect(delete (ENTITY_SENSOR, 1, 1), 204, "");
    db_get_counts(stage.db, &after);
    assert_int_equal(after.commits - before.commits, 1);
    assert_string_equal(deleted(last), "lectura 1<sensor, lectura 2<sensor, sensor 1, ");
    assert_int_equal(db_deletions(stage.db), 0);
}

static void one_more_takes_a_turn_more(void **state)
{
    (void)state;
    a_sensor(&stage);
    for (int i = 0; i < 3; i++)
        a_reading(&stage, 1, 20, 50);
    uint64_t last = db_last_event(stage.db), ended = db_deletions_ended(stage.db);
    expect(delete (ENTITY_SENSOR, 1, 1), 202, "sigue en curso");
    assert_int_equal(db_deletions(stage.db), 1);
    assert_true(db_is_deleting(stage.db, ENTITY_SENSOR, 1));
    assert_int_equal(kept(ENTITY_READING), 0);
    expect(ask(&stage, STORE_OP_READ, ENTITY_SENSOR, 1, 0, nothing), 200, NULL);
    assert_int_equal(db_deletions_ended(stage.db), ended);
    assert_int_equal(turns(), 1);
    assert_int_equal(db_deletions_ended(stage.db), ended + 1);
    assert_false(db_is_deleting(stage.db, ENTITY_SENSOR, 1));
    expect(ask(&stage, STORE_OP_READ, ENTITY_SENSOR, 1, 0, nothing), 404, NULL);
    assert_string_equal(deleted(last), "lectura 1<sensor, lectura 2<sensor, lectura 3<sensor, sensor 1, ");
}

static const char all_of_it[] = "lectura 1<sensor, anomalia 1<sensor, lectura 2<sensor, lectura 3<sensor, "
                                "lectura 4<sensor, prediccion 1<sensor, prediccion 2<sensor, "
                                "ubicacion 1<sensor, sensor 1, ";

static void the_innermost_go_first_three_at_a_time(void **state)
{
    (void)state;
    two_sensors();
    uint64_t last = db_last_event(stage.db);
    expect(delete (ENTITY_SENSOR, 1, 0), 202, NULL);
    assert_int_equal(db_last_event(stage.db) - last, TURN);
    assert_int_equal(turns(), 2);
    assert_string_equal(deleted(last), all_of_it);
    assert_int_equal(kept(ENTITY_READING), 1);
    assert_int_equal(db_stage_turn(&stage), ERR_OK); /* nothing is under way: nothing */
}

static void a_restart_in_the_middle_goes_on_where_it_was(void **state)
{
    (void)state;
    two_sensors();
    uint64_t last = db_last_event(stage.db);
    expect(delete (ENTITY_SENSOR, 1, 0), 202, NULL);
    for (unsigned n = 1; n <= 2; n++) {
        db_stage_again(&stage);
        db_stage_check(&stage);
        assert_int_equal(db_deletions(stage.db), 1);
        assert_int_equal(db_stage_turn(&stage), ERR_OK);
    }
    assert_int_equal(db_deletions(stage.db), 0);
    db_stage_again(&stage);
    assert_int_equal(db_deletions(stage.db), 0);
    assert_string_equal(deleted(last), all_of_it);
}

static void what_is_rolled_back_was_no_turn(void **state)
{
    (void)state;
    two_sensors();
    uint64_t last = db_last_event(stage.db);
    assert_int_equal(db_begin(stage.db), ERR_OK);
    expect(ask_within(&stage, STORE_OP_DELETE, ENTITY_SENSOR, 1, 0, nothing), 202, NULL);
    db_rollback(stage.db);
    assert_int_equal(db_deletions(stage.db), 0);
    a_reading(&stage, 1, 20, 50);
    expect(delete (ENTITY_READING, 6, 0), 204, NULL);
    last = db_last_event(stage.db);
    expect(delete (ENTITY_SENSOR, 1, 0), 202, NULL);
    while (kept(ENTITY_SENSOR) == 2) {
        unsigned rows = kept(ENTITY_READING), places = kept(ENTITY_LOCATION);
        assert_int_equal(db_begin(stage.db), ERR_OK);
        assert_int_equal(db_delete_turn(stage.db), ERR_OK);
        db_rollback(stage.db);
        assert_int_equal(db_deletions(stage.db), 1);
        assert_int_equal(kept(ENTITY_READING), rows);
        assert_int_equal(kept(ENTITY_LOCATION), places);
        assert_int_equal(db_stage_turn(&stage), ERR_OK);
    }
    assert_int_equal(db_deletions(stage.db), 0);
    assert_string_equal(deleted(last), all_of_it);
}

/* --- meanwhile ---------------------------------------------------------------------------------------------------------------- */

static void what_is_being_deleted_takes_nothing_new(void **state)
{
    (void)state;
    two_sensors();
    anomaly(4);
    expect(delete (ENTITY_SENSOR, 1, 0), 202, NULL); /* readings 1 and 2 are gone */
    uint64_t last = db_last_event(stage.db);
    const char sensor[] = "{\"detail\":\"El sensor se está borrando\"}";
    expect(ask(&stage, STORE_OP_CREATE, ENTITY_READING, 0, 0, reading_row(1, 20, 50)), 409, sensor);
    struct store_row rows[] = {reading_row(2, 20, 50), reading_row(1, 20, 50)};
    expect(ask_many(&stage, rows, 2), 409,
           "{\"detail\":\"El sensor se está borrando\",\"loc\":[\"body\",1,\"sensor_id\"]}");
    expect(ask(&stage, STORE_OP_CREATE, ENTITY_LOCATION, 0, 0,
               row(whole(ARG_SENSOR_ID, 1), real(ARG_LATITUD, 1), real(ARG_LONGITUD, 1))),
           409, sensor);
    expect(ask(&stage, STORE_OP_CREATE, ENTITY_ANOMALY, 0, 0,
               row(whole(ARG_LECTURA_ID, 4), text(ARG_TIPO, "t"), real(ARG_VALOR, 1))),
           409, sensor);
    expect(ask(&stage, STORE_OP_CREATE, ENTITY_ANOMALY, 0, 0,
               row(whole(ARG_LECTURA_ID, 1), text(ARG_TIPO, "t"), real(ARG_VALOR, 1))),
           404, "Lectura no encontrada"); /* gone already */
    expect(ask(&stage, STORE_OP_ANOMALIES_DETECT, ENTITY_NONE, 4, 0, nothing), 409, sensor);
    expect(ask(&stage, STORE_OP_CREATE, ENTITY_PREDICTION, 0, 0,
               row(whole(ARG_UBICACION_ID, 1), real(ARG_PROBABILIDAD, 0.5))),
           409, sensor);
    expect(ask(&stage, STORE_OP_PREDICTIONS_GENERATE, ENTITY_NONE, 0, 0, row(whole(ARG_UBICACION_ID, 1))),
           409, sensor);
    expect(ask(&stage, STORE_OP_UPDATE, ENTITY_READING, 5, 0, row(whole(ARG_SENSOR_ID, 1))), 409, sensor);
    assert_int_equal(db_last_event(stage.db), last);
    a_reading(&stage, 2, 20, 50);
    turns();
}

static void what_is_being_deleted_is_not_changed(void **state)
{
    (void)state;
    two_sensors();
    anomaly(4);
    expect(delete (ENTITY_SENSOR, 1, 1), 202, NULL);
    uint64_t last = db_last_event(stage.db);
    const char sensor[] = "El sensor se está borrando";
    expect(ask(&stage, STORE_OP_UPDATE, ENTITY_SENSOR, 1, 0, row(text(ARG_MODELO, "x"))), 409, sensor);
    expect(ask(&stage, STORE_OP_UPDATE, ENTITY_SENSOR, 1, 1, row(text(ARG_MODELO, "x"))), 409, sensor);
    expect(ask(&stage, STORE_OP_UPDATE, ENTITY_SENSOR, 1, 2, row(text(ARG_MODELO, "x"))), 412, NULL);
    expect(ask(&stage, STORE_OP_UPDATE, ENTITY_SENSOR, 1, 0, nothing), 409, sensor);
    expect(ask(&stage, STORE_OP_UPDATE, ENTITY_READING, 4, 0, row(real(ARG_HUMEDAD, 1))), 409, sensor);
    expect(ask(&stage, STORE_OP_UPDATE, ENTITY_READING, 4, 0, row(whole(ARG_SENSOR_ID, 2))), 409, sensor);
    expect(ask(&stage, STORE_OP_UPDATE, ENTITY_LOCATION, 1, 0, row(text(ARG_DESCRIPCION, "x"))), 409, sensor);
    expect(ask(&stage, STORE_OP_UPDATE, ENTITY_ANOMALY, 2, 0, row(truth(ARG_RESUELTA, true))), 409, sensor);
    expect(ask(&stage, STORE_OP_UPDATE, ENTITY_PREDICTION, 2, 0, row(text(ARG_COMENTARIO, "x"))), 409,
           sensor);
    assert_int_equal(db_last_event(stage.db), last);
    expect(ask(&stage, STORE_OP_UPDATE, ENTITY_SENSOR, 2, 0, row(text(ARG_MODELO, "x"))), 200, NULL);
    expect(ask(&stage, STORE_OP_UPDATE, ENTITY_READING, 5, 0, row(real(ARG_HUMEDAD, 1))), 200, NULL);
    turns();
}

static void what_is_being_deleted_can_be_read_and_deleted(void **state)
{
    (void)state;
    two_sensors();
    expect(delete (ENTITY_SENSOR, 1, 2), 412, NULL);
    expect(delete (ENTITY_SENSOR, 1, 1), 202, NULL);
    expect(ask(&stage, STORE_OP_READ, ENTITY_SENSOR, 1, 0, nothing), 200, "\"id\":1,");
    expect(ask(&stage, STORE_OP_READ, ENTITY_READING, 1, 0, nothing), 404, NULL);
    expect(ask(&stage, STORE_OP_READINGS_OF_SENSOR, ENTITY_NONE, 1, 0, nothing), 200, "\"id\":4,");
    expect(ask(&stage, STORE_OP_READINGS_STATS, ENTITY_NONE, 1, 0, nothing), 200, "\"total_lecturas\":2");
    uint64_t last = db_last_event(stage.db);
    expect(delete (ENTITY_SENSOR, 1, 0), 202, NULL);
    expect(delete (ENTITY_SENSOR, 1, 1), 202, NULL);
    expect(delete (ENTITY_SENSOR, 1, 2), 412, NULL);
    assert_int_equal(db_last_event(stage.db), last);
    assert_int_equal(db_deletions(stage.db), 1);
    expect(delete (ENTITY_READING, 4, 0), 204, NULL);
    expect(delete (ENTITY_LOCATION, 1, 0), 204, NULL);
    assert_int_equal(turns(), 1);
    assert_string_equal(deleted(last), "lectura 4, prediccion 1<ubicacion, prediccion 2<ubicacion, "
                                       "ubicacion 1, lectura 3<sensor, sensor 1, ");
    expect(delete (ENTITY_SENSOR, 1, 1), 404, NULL);
}

/* A reading is judged by what is there: also by one that is half deleted, and not any more by one that is gone. */
static void windows_follow(void **state)
{
    (void)state;
    a_sensor(&stage);
    for (int i = 0; i < 20;
         i++) /* with the next one: five values before it and 16 distances, the fewest for a verdict */
        a_reading(&stage, 1, 20, 50);
    for (int i = 0; i < 4; i++)
        anomaly(7);
    expect(delete (ENTITY_READING, 7, 0), 202, NULL);
    a_reading(&stage, 1, 20, 50);
    turns();
    a_reading(&stage, 1, 30, 50);
    unsigned with_20 = kept(ENTITY_ANOMALY);
    a_reading(&stage, 1, 30, 50);
    assert_int_equal(with_20, 0);
    assert_int_not_equal(kept(ENTITY_ANOMALY), 0);
}

/* --- several -------------------------------------------------------------------------------------------------------------------- */

static void several_take_turns(void **state)
{
    (void)state;
    for (int sensor = 1; sensor <= 3; sensor++) {
        a_sensor(&stage);
        for (int i = 0; i < 9 - sensor; i++)
            a_reading(&stage, (uint64_t)sensor, 20, 50);
        expect(delete (ENTITY_SENSOR, (uint64_t)sensor, 0), 202, NULL);
    }
    uint64_t last = db_last_event(stage.db);
    assert_int_equal(db_deletions(stage.db), 3);
    assert_int_equal(turns(), 6);
    assert_string_equal(deleted(last), "lectura 4<sensor, lectura 5<sensor, lectura 6<sensor, "
                                       "lectura 12<sensor, lectura 13<sensor, lectura 14<sensor, "
                                       "lectura 19<sensor, lectura 20<sensor, lectura 21<sensor, "
                                       "lectura 7<sensor, lectura 8<sensor, sensor 1, "
                                       "lectura 15<sensor, sensor 2, sensor 3, ");
}

static void one_within_another_ends_with_it(void **state)
{
    (void)state;
    a_sensor(&stage);
    a_reading(&stage, 1, 20, 50);
    for (int i = 0; i < 5; i++)
        anomaly(1);
    expect(delete (ENTITY_READING, 1, 0), 202, NULL);
    uint64_t ended = db_deletions_ended(stage.db);
    expect(delete (ENTITY_SENSOR, 1, 0), 202, NULL); /* the last two anomalies, and the reading */
    assert_int_equal(db_deletions_ended(stage.db), ended + 1);
    assert_false(db_is_deleting(stage.db, ENTITY_READING, 1));
    assert_int_equal(db_deletions(stage.db), 1);
    assert_int_equal(turns(), 1);
    assert_int_equal(db_deletions_ended(stage.db), ended + 2);
}

static void retention_leaves_what_is_large_to_turns(void **state)
{
    bool more;
    struct db_counts counts;
    (void)state;
    a_sensor(&stage);
    a_reading(&stage, 1, 20, 50);
    for (int i = 0; i < 8; i++)
        anomaly(1);
    a_reading(&stage, 1, 20, 50);
    uint64_t last = db_last_event(stage.db);
    stage.clock.wall_now_ms += 2 * 86400000ULL;
    assert_int_equal(db_begin(stage.db), ERR_OK);
    assert_int_equal(db_expire(stage.db, &(struct db_keep){.days = 1}, 4, &more), ERR_OK);
    assert_int_equal(db_commit(stage.db), ERR_OK);
    assert_true(more);
    assert_int_equal(db_last_event(stage.db) - last, 4);
    assert_true(db_is_deleting(stage.db, ENTITY_READING, 1));
    db_stage_again(&stage);
    assert_int_equal(turns(), 2);
    json_t *events = events_of(&stage, last), *event;
    size_t i;
    json_array_foreach(events, i, event)
        assert_string_equal(json_string_value(json_object_get(json_object_get(event, "metadata"), "action")),
                            i < 8 ? "expire_anomalia" : "expire_lectura");
    assert_int_equal(json_array_size(events), 9);
    json_decref(events);
    db_get_counts(stage.db, &counts);
    assert_int_equal(counts.expired, 5); /* since it was opened */
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(what_fits_a_turn_goes_at_once),
        T(one_more_takes_a_turn_more),
        T(the_innermost_go_first_three_at_a_time),
        T(a_restart_in_the_middle_goes_on_where_it_was),
        T(what_is_rolled_back_was_no_turn),
        T(what_is_being_deleted_takes_nothing_new),
        T(what_is_being_deleted_is_not_changed),
        T(what_is_being_deleted_can_be_read_and_deleted),
        T(windows_follow),
        T(several_take_turns),
        T(one_within_another_ends_with_it),
        T(retention_leaves_what_is_large_to_turns),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
