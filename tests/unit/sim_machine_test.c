/* The carousel's mechanics on a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "must.h"
#include "sim_machine.h"

#define PACE_MS 100

struct play {
    struct clock_manual clock;
    struct sim_machine machine;
    uint32_t seen[64]; /* positions passed, in order */
    size_t seen_count;
};

static void begin(struct play *play, uint32_t positions)
{
    clock_manual_init(&play->clock, 5 * NS_PER_S, 0);
    sim_machine_init(&play->machine, &play->clock.clock, positions, PACE_MS);
    play->seen_count = 0;
}

static void look(struct play *play)
{
    while (sim_machine_advance(&play->machine))
        play->seen[play->seen_count++] = play->machine.position;
}

static void pass_ms(struct play *play, uint64_t ms)
{
    clock_manual_advance_ns(&play->clock, ms * NS_PER_MS);
    look(play);
}

static void expect_seen(const struct play *play, const uint32_t *positions, size_t count)
{
    assert_int_equal(play->seen_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(play->seen[i], positions[i]);
}

#define EXPECT_SEEN(play, ...)                                                                               \
    expect_seen(play, (const uint32_t[]){__VA_ARGS__}, ARRAY_LEN(((const uint32_t[]){__VA_ARGS__})))

static void stands_at_zero(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    assert_int_equal(p.machine.position, 0);
    assert_false(p.machine.moving);
    assert_true(sim_machine_next_ns(&p.machine) == UINT64_MAX);
    pass_ms(&p, 100000);
    assert_int_equal(p.seen_count, 0);
}

static void moves_up_through_every_position(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    assert_int_equal(sim_machine_move(&p.machine, 3), SIM_MOVE_STARTED);
    assert_true(p.machine.moving && p.machine.upward);
    assert_int_equal(p.machine.position, 0);
    pass_ms(&p, PACE_MS - 1);
    assert_int_equal(p.seen_count, 0);
    pass_ms(&p, 1);
    EXPECT_SEEN(&p, 1);
    pass_ms(&p, PACE_MS);
    assert_true(p.machine.moving);
    pass_ms(&p, PACE_MS);
    EXPECT_SEEN(&p, 1, 2, 3);
    assert_false(p.machine.moving);
}

static void a_late_look_sees_every_position(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    sim_machine_move(&p.machine, 4);
    pass_ms(&p, 60000);
    EXPECT_SEEN(&p, 1, 2, 3, 4);
    assert_false(p.machine.moving);
}

static void a_late_look_does_not_slow_it(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    sim_machine_move(&p.machine, 2);
    pass_ms(&p, PACE_MS + 60);
    EXPECT_SEEN(&p, 1);
    pass_ms(&p, 40);
    EXPECT_SEEN(&p, 1, 2);
}

static void the_short_way_is_down_over_zero(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    sim_machine_place(&p.machine, 1);
    assert_int_equal(sim_machine_move(&p.machine, 24), SIM_MOVE_STARTED);
    assert_false(p.machine.upward);
    pass_ms(&p, 60000);
    EXPECT_SEEN(&p, 0, 25, 24);
}

static void the_short_way_is_up_over_the_end(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    sim_machine_place(&p.machine, 24);
    sim_machine_move(&p.machine, 1);
    assert_true(p.machine.upward);
    pass_ms(&p, 60000);
    EXPECT_SEEN(&p, 25, 0, 1);
}

static void equal_ways_go_up(void **state)
{
    (void)state;
    for (uint32_t from = 0; from < 8; from++) {
        struct play p;
        begin(&p, 8);
        sim_machine_place(&p.machine, from);
        sim_machine_move(&p.machine, (from + 4) % 8);
        assert_true(p.machine.upward);
        pass_ms(&p, 60000);
        assert_int_equal(p.seen_count, 4);
        assert_int_equal(p.machine.position, (from + 4) % 8);
    }
}

static void every_way_is_the_shortest(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= 9; n++) {
        for (uint32_t i = 0; i < n * n; i++) {
            uint32_t from = i / n, to = i % n, up = (to + n - from) % n, down = (from + n - to) % n;
            struct play p;
            begin(&p, n);
            sim_machine_place(&p.machine, from);
            sim_machine_move(&p.machine, to);
            pass_ms(&p, 60000);
            assert_int_equal(p.machine.position, to);
            assert_int_equal(p.seen_count, up < down ? up : down);
        }
    }
}

static void the_target_itself_is_no_move(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    assert_int_equal(sim_machine_move(&p.machine, 0), SIM_MOVE_THERE);
    assert_false(p.machine.moving);
}

static void a_position_that_is_not_there(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    assert_int_equal(sim_machine_move(&p.machine, 26), SIM_MOVE_NOWHERE);
    assert_int_equal(sim_machine_move(&p.machine, 255), SIM_MOVE_NOWHERE);
    assert_false(p.machine.moving);
    sim_machine_move(&p.machine, 5);
    assert_int_equal(sim_machine_move(&p.machine, 26), SIM_MOVE_NOWHERE);
    assert_true(p.machine.moving);
    assert_int_equal(p.machine.target, 5);
    assert_int_equal(sim_machine_place(&p.machine, 26), ERR_NOT_FOUND);
}

static void a_new_target_on_the_way_keeps_the_beat(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    sim_machine_move(&p.machine, 2);
    pass_ms(&p, 150);
    assert_int_equal(sim_machine_move(&p.machine, 3), SIM_MOVE_STARTED);
    pass_ms(&p, 50);
    EXPECT_SEEN(&p, 1, 2);
    assert_true(p.machine.moving);
    pass_ms(&p, 100);
    EXPECT_SEEN(&p, 1, 2, 3);
}

static void a_new_target_behind_turns_round(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    sim_machine_move(&p.machine, 5);
    pass_ms(&p, 250);
    assert_int_equal(sim_machine_move(&p.machine, 1), SIM_MOVE_STARTED);
    assert_false(p.machine.upward);
    pass_ms(&p, 99);
    EXPECT_SEEN(&p, 1, 2);
    pass_ms(&p, 1);
    EXPECT_SEEN(&p, 1, 2, 1);
    assert_false(p.machine.moving);
}

static void the_present_position_as_target_stops_it(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    sim_machine_move(&p.machine, 5);
    pass_ms(&p, 250);
    assert_int_equal(sim_machine_move(&p.machine, 2), SIM_MOVE_THERE);
    pass_ms(&p, 60000);
    assert_int_equal(p.machine.position, 2);
    assert_false(p.machine.moving);
}

static void every_condition_stops_and_blocks(void **state)
{
    (void)state;
    for (enum sim_condition_e c = 0; c < SIM_CONDITION_COUNT; c++) {
        struct play p;
        begin(&p, 26);
        sim_machine_move(&p.machine, 5);
        pass_ms(&p, 250);
        sim_machine_set(&p.machine, c, true);
        assert_false(p.machine.moving);
        assert_int_equal(sim_machine_move(&p.machine, 7), SIM_MOVE_BLOCKED);
        pass_ms(&p, 60000);
        EXPECT_SEEN(&p, 1, 2);
        sim_machine_set(&p.machine, c, false);
        pass_ms(&p, 60000);
        assert_int_equal(p.machine.position, 2); /* taking it away starts nothing */
        assert_int_equal(sim_machine_move(&p.machine, 3), SIM_MOVE_STARTED);
    }
}

static void one_condition_of_two_still_blocks(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    sim_machine_set(&p.machine, SIM_ALARM, true);
    sim_machine_set(&p.machine, SIM_MANUAL, true);
    sim_machine_set(&p.machine, SIM_ALARM, false);
    assert_int_equal(sim_machine_move(&p.machine, 1), SIM_MOVE_BLOCKED);
    sim_machine_set(&p.machine, SIM_MANUAL, false);
    assert_int_equal(sim_machine_move(&p.machine, 1), SIM_MOVE_STARTED);
}

static void by_hand_only_steps_move(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    sim_machine_pace_by_hand(&p.machine);
    assert_int_equal(sim_machine_step(&p.machine, 1), 0);
    sim_machine_move(&p.machine, 24);
    assert_true(sim_machine_next_ns(&p.machine) == UINT64_MAX);
    pass_ms(&p, 60000);
    assert_int_equal(p.machine.position, 0);
    assert_true(p.machine.moving);
    assert_int_equal(sim_machine_step(&p.machine, 1), 1);
    assert_int_equal(p.machine.position, 25);
    assert_int_equal(sim_machine_step(&p.machine, 9), 1);
    assert_int_equal(p.machine.position, 24);
    assert_false(p.machine.moving);
}

static void back_from_hand_the_position_begins_anew(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    sim_machine_pace_by_hand(&p.machine);
    sim_machine_move(&p.machine, 2);
    pass_ms(&p, 60000);
    sim_machine_pace(&p.machine, 10);
    pass_ms(&p, 9);
    assert_int_equal(p.seen_count, 0);
    pass_ms(&p, 11);
    EXPECT_SEEN(&p, 1, 2);
}

static void pace_zero_arrives_at_once(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    sim_machine_pace(&p.machine, 0);
    assert_int_equal(sim_machine_move(&p.machine, 3), SIM_MOVE_STARTED);
    look(&p);
    EXPECT_SEEN(&p, 1, 2, 3);
    assert_false(p.machine.moving);
}

static void placing_and_halting_end_a_movement(void **state)
{
    (void)state;
    struct play p;
    begin(&p, 26);
    sim_machine_move(&p.machine, 5);
    assert_int_equal(sim_machine_place(&p.machine, 25), ERR_OK);
    assert_false(p.machine.moving);
    sim_machine_move(&p.machine, 0);
    sim_machine_halt(&p.machine);
    pass_ms(&p, 60000);
    assert_int_equal(p.machine.position, 25);
    assert_int_equal(p.machine.target, 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stands_at_zero),
        cmocka_unit_test(moves_up_through_every_position),
        cmocka_unit_test(a_late_look_sees_every_position),
        cmocka_unit_test(a_late_look_does_not_slow_it),
        cmocka_unit_test(the_short_way_is_down_over_zero),
        cmocka_unit_test(the_short_way_is_up_over_the_end),
        cmocka_unit_test(equal_ways_go_up),
        cmocka_unit_test(every_way_is_the_shortest),
        cmocka_unit_test(the_target_itself_is_no_move),
        cmocka_unit_test(a_position_that_is_not_there),
        cmocka_unit_test(a_new_target_on_the_way_keeps_the_beat),
        cmocka_unit_test(a_new_target_behind_turns_round),
        cmocka_unit_test(the_present_position_as_target_stops_it),
        cmocka_unit_test(every_condition_stops_and_blocks),
        cmocka_unit_test(one_condition_of_two_still_blocks),
        cmocka_unit_test(by_hand_only_steps_move),
        cmocka_unit_test(back_from_hand_the_position_begins_anew),
        cmocka_unit_test(pace_zero_arrives_at_once),
        cmocka_unit_test(placing_and_halting_end_a_movement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
