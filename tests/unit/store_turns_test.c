/* store_group.h over a real database: deletions of many rows, in turns of three: who is served in between, and who is told what when. */
#include "store_group_house.h"

#define TURN 3u

/* A sensor with so many readings; turns are of three rows. Its number. */
static uint64_t large_sensor(struct house *house, unsigned readings)
{
    static struct store_row rows[STORE_ROWS_MAX];
    uint64_t sensor = made_id(ask(&house->stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0,
                                  row(text(ARG_TIPO, "t"), text(ARG_MODELO, "m"))));
    for (unsigned i = 0; i < readings; i++)
        rows[i] =
            row(whole(ARG_SENSOR_ID, (int64_t)sensor), real(ARG_TEMPERATURA, 20), real(ARG_HUMEDAD, 50));
    assert_int_equal(ask_many(&house->stage, rows, readings)->status, 201);
    db_set_delete_rows(house->stage.db, TURN);
    return sensor;
}

static void take_delete(struct house *house, uint64_t serial, uint64_t sensor, int64_t deadline_ms)
{
    take_of(house, serial, STORE_OP_DELETE, ENTITY_SENSOR, sensor, nothing, deadline_ms);
}

static size_t readings(struct house *house)
{
    json_t *rows = rows_of(&house->stage, ENTITY_READING);
    size_t count = json_array_size(rows);
    json_decref(rows);
    return count;
}

static void a_large_deletion_lets_others_in_between_its_turns(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 300);
    take_delete(house, 1, sensor, 60000);
    uint64_t left = 300;
    for (uint64_t serial = 2; store_group_run(&house->group); serial++) {
        assert_in_range(left - readings(house), 1, 2 * TURN); /* the first run: the request and a turn */
        left = readings(house);
        assert_int_equal(house->answered, serial - 2); /* all but the deletion */
        if (serial % 2 == 0)
            take_read(house, serial);
        else
            take_write(house, serial);
    }
    assert_int_equal(stats_get(&house->stats, STORE_DELETE_TURNS), 100);
    assert_int_equal(stats_get(&house->stats, STORE_DELETIONS), 0);
    assert_int_equal(house->answers[house->answered - 1].serial, 1);
    assert_int_equal(house->answers[house->answered - 1].status, 204);
    assert_int_equal(house->answers[house->answered - 1].len, 0);
    assert_int_equal(with_status(house, 200) + with_status(house, 201), house->answered - 1);
    assert_true(store_group_is_idle(&house->group));
    db_stage_check(&house->stage);
}

static void it_is_answered_when_its_last_turn_is_on_the_disk(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 6);
    take_delete(house, 1, sensor, 60000);
    assert_true(store_group_run(&house->group));
    assert_int_equal(house->committed, 2);
    assert_int_equal(house->answered, 0);
    assert_false(store_group_run(&house->group));
    assert_int_equal(house->committed, 3);
    assert_int_equal(house->committed_at, 0);
    assert_int_equal(with_status(house, 204), 1);
    assert_int_equal(stats_get(&house->stats, STORE_WRITES), 1);
}

static void of_several_who_ask_one_is_told_204(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30), other = large_sensor(house, 30);
    take_delete(house, 1, sensor, 60000);
    take_delete(house, 2, sensor, 60000);
    take_delete(house, 3, other, 60000);
    assert_true(store_group_run(&house->group));
    take_delete(house, 4, sensor, 60000);
    take_delete(house, 5, other, 60000);
    run(house);
    assert_int_equal(house->answered, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(house->answers[i].status,
                         house->answers[i].serial == 1 || house->answers[i].serial == 3 ? 204 : 404);
}

static void whose_time_is_over_is_told_202_and_it_goes_on(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30);
    take_delete(house, 1, sensor, 100);
    take_delete(house, 2, sensor, 60000);
    assert_true(store_group_run(&house->group));
    clock_manual_advance_ns(&house->stage.clock, 100 * NS_PER_MS - 1);
    assert_true(store_group_run(&house->group));
    assert_int_equal(house->answered, 0);
    clock_manual_advance_ns(&house->stage.clock, 1);
    assert_true(store_group_run(&house->group));
    assert_int_equal(house->answered, 1);
    assert_int_equal(house->answers[0].serial, 1);
    assert_int_equal(house->answers[0].status, 202);
    assert_string_equal(house->body, "{\"detail\":\"El borrado ha comenzado y sigue en curso: terminará sin "
                                     "repetirlo\"}");
    run(house);
    assert_int_equal(house->answers[1].status, 204); /* now the first of those who wait */
    assert_int_equal(sensors(house), 0);
}

static void it_waits_while_its_events_are_behind(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30);
    house->behind = true;
    take_delete(house, 1, sensor, 100);
    assert_false(store_group_run(&house->group)); /* the first rows; and no reason to come back at once */
    assert_int_equal(readings(house), 27);
    assert_false(store_group_is_idle(&house->group));
    take_read(house, 2);
    assert_false(store_group_run(&house->group));
    assert_int_equal(house->answers[0].serial, 2);
    clock_manual_advance_ns(&house->stage.clock, 100 * NS_PER_MS);
    assert_false(store_group_run(&house->group));
    assert_int_equal(house->answers[1].status, 202);
    assert_int_equal(readings(house), 27);
    house->behind = false;
    run(house);
    assert_int_equal(sensors(house), 0);
}

static void a_turn_that_fails_is_made_again_a_second_later(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30);
    take_delete(house, 1, sensor, 60000);
    assert_true(store_group_run(&house->group));
    house->join_says = ERR_SYSTEM;
    assert_false(store_group_run(&house->group));
    assert_int_equal(stats_get(&house->stats, STORE_DELETE_TURNS_FAILED), 1);
    assert_int_equal(readings(house), 24);
    house->join_says = ERR_OK;
    clock_manual_advance_ns(&house->stage.clock, NS_PER_S - 1);
    assert_false(store_group_run(&house->group));
    assert_int_equal(readings(house), 24);
    clock_manual_advance_ns(&house->stage.clock, 1);
    run(house);
    assert_int_equal(with_status(house, 204), 1);
    db_stage_check(&house->stage);
}

static void a_group_that_fails_has_begun_no_deletion(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30);
    house->join_says = ERR_SYSTEM;
    take_delete(house, 1, sensor, 60000);
    assert_false(store_group_run(&house->group));
    assert_int_equal(with_status(house, 503), 1);
    house->join_says = ERR_OK;
    assert_true(store_group_is_idle(&house->group));
    assert_int_equal(readings(house), 30);
}

/* Whoever asked is gone; the next store goes on by itself, and who asks it again waits with it. */
static void without_anybody_who_waits_it_goes_on(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30);
    take_delete(house, 1, sensor, 60000);
    assert_true(store_group_run(&house->group));
    store_group_forget(&house->group);
    db_stage_again(&house->stage);
    db_set_delete_rows(house->stage.db, TURN);
    house->group.db = house->stage.db;
    assert_false(store_group_is_idle(&house->group));
    assert_true(store_group_run(&house->group));
    assert_int_equal(stats_get(&house->stats, STORE_DELETIONS), 1);
    take_delete(house, 2, sensor, 60000);
    run(house);
    assert_int_equal(house->answered, 1);
    assert_int_equal(with_status(house, 204), 1);
    assert_int_equal(sensors(house), 0);
    db_stage_check(&house->stage);
}

static void at_the_end_who_waits_is_told_that_it_goes_on(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30);
    take_delete(house, 1, sensor, 60000);
    assert_true(store_group_run(&house->group));
    store_group_leave(&house->group);
    assert_int_equal(with_status(house, 202), 1);
    assert_int_equal(house->group.waiting, 0);
}

/* A reading and its sensor: the reading goes with the sensor, and who asked for it alone is told. */
static void who_waits_for_what_goes_with_another_is_told(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(&house->stage, STORE_OP_CREATE, ENTITY_ANOMALY, 0, 0,
                             row(whole(ARG_LECTURA_ID, 1), text(ARG_TIPO, "t"), real(ARG_VALOR, 1)))
                             ->status,
                         201);
    house->behind = true; /* no turns */
    take_of(house, 1, STORE_OP_DELETE, ENTITY_READING, 1, nothing, 60000);
    assert_false(store_group_run(&house->group));
    take_delete(house, 2, sensor, 60000);
    assert_false(store_group_run(&house->group));
    assert_int_equal(house->answered, 1);
    assert_int_equal(house->answers[0].serial, 1);
    assert_int_equal(house->answers[0].status, 204);
    house->behind = false;
    run(house);
    assert_int_equal(house->answers[1].status, 204);
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_large_deletion_lets_others_in_between_its_turns),
        PLAY(it_is_answered_when_its_last_turn_is_on_the_disk),
        PLAY(of_several_who_ask_one_is_told_204),
        PLAY(whose_time_is_over_is_told_202_and_it_goes_on),
        PLAY(it_waits_while_its_events_are_behind),
        PLAY(a_turn_that_fails_is_made_again_a_second_later),
        PLAY(a_group_that_fails_has_begun_no_deletion),
        PLAY(without_anybody_who_waits_it_goes_on),
        PLAY(at_the_end_who_waits_is_told_that_it_goes_on),
        PLAY(who_waits_for_what_goes_with_another_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
