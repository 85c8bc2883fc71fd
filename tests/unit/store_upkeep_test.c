/* store_upkeep.h over a real database: in bounded steps, at once where nobody waits, slowly where somebody does, and always in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "db_stage.h"
#include "store_metrics.h"
#include "store_upkeep.h"

#define DAY_NS (24 * 3600 * NS_PER_S)

struct house {
    struct db_stage stage;
    struct store_upkeep upkeep;
    struct stats stats;
    uint64_t memory[2048];
};

static int setup(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    stats_init(&house->stats, house->memory, store_metric_defs, STORE_METRIC_COUNT);
    db_stage_open(&house->stage);
    house->upkeep = (struct store_upkeep){.db = house->stage.db,
                                          .stats = &house->stats,
                                          .clock = &house->stage.clock.clock,
                                          .keep = {.days = 10}};
    store_upkeep_init(&house->upkeep);
    *state = house;
    return 0;
}

static int teardown(void **state)
{
    struct house *house = *state;
    db_stage_close(&house->stage);
    free(house);
    return 0;
}

static void make(struct house *house, unsigned readings)
{
    static struct store_row rows[500];
    uint64_t sensor = made_id(ask(&house->stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0,
                                  row(text(ARG_TIPO, "t"), text(ARG_MODELO, "m"))));
    for (unsigned i = 0; i < readings; i++)
        rows[i] =
            row(whole(ARG_SENSOR_ID, (int64_t)sensor), real(ARG_TEMPERATURA, 20), real(ARG_HUMEDAD, 50));
    assert_int_equal(ask_many(&house->stage, rows, readings)->status, 201);
}

static size_t left(struct house *house)
{
    json_t *rows = rows_of(&house->stage, ENTITY_READING);
    size_t count = json_array_size(rows);
    json_decref(rows);
    return count;
}

static void tick(struct house *house, uint64_t ns, bool busy)
{
    clock_manual_advance_ns(&house->stage.clock, ns);
    store_upkeep_tick(&house->upkeep, busy);
}

static void old_rows_go_step_by_step(void **state)
{
    struct house *house = *state;
    make(house, 450);
    tick(house, 9 * DAY_NS, false);
    assert_int_equal(left(house), 450);
    tick(house, DAY_NS + UPKEEP_PERIOD_NS, false);
    assert_int_equal(left(house), 450 - UPKEEP_ROWS);
    tick(house, UPKEEP_IDLE_NS - 1, false);
    assert_int_equal(left(house), 450 - UPKEEP_ROWS);
    tick(house, 1, false);
    tick(house, UPKEEP_IDLE_NS, false);
    assert_int_equal(left(house), 0);
    db_stage_check(&house->stage);
    uint64_t due = house->upkeep.due_ns;
    assert_true(due >= clock_mono_ns(&house->stage.clock.clock) + UPKEEP_PERIOD_NS - NS_PER_S);
}

static void who_waits_is_served_between_steps(void **state)
{
    struct house *house = *state;
    make(house, 450);
    tick(house, 11 * DAY_NS, true);
    assert_int_equal(left(house), 450 - UPKEEP_ROWS);
    tick(house, UPKEEP_IDLE_NS, true);
    assert_int_equal(left(house), 450 - UPKEEP_ROWS);
    tick(house, UPKEEP_BUSY_NS, true);
    tick(house, UPKEEP_BUSY_NS, true);
    assert_int_equal(left(house), 0);
}

static void without_a_bound_nothing_goes(void **state)
{
    struct house *house = *state;
    make(house, 10);
    house->upkeep.keep.days = 0;
    tick(house, 11 * DAY_NS, false);
    assert_int_equal(left(house), 10);
    house->upkeep.keep.days = 10;
    tick(house, UPKEEP_PERIOD_NS, false);
    assert_int_equal(left(house), 0);
    assert_int_equal(stats_get(&house->stats, STORE_EXPIRE_STEPS), 2);
}

static void other_limits_hold_at_once(void **state)
{
    struct house *house = *state;
    make(house, 10);
    tick(house, 5 * DAY_NS, false);
    assert_int_equal(left(house), 10);
    store_upkeep_keep(&house->upkeep, &(struct conf_store){.keep_days = 4, .keep_mib = 16});
    tick(house, 0, false);
    assert_int_equal(left(house), 0);
    assert_int_equal(house->upkeep.keep.mib, 16);
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(old_rows_go_step_by_step),
        PLAY(who_waits_is_served_between_steps),
        PLAY(without_a_bound_nothing_goes),
        PLAY(other_limits_hold_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
