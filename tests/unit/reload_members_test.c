/* reload: members that come and go while all are asked, or after the commit, from which there is no way back.
 */
#include "reload_stage.h"

/* --- members that come and go --------------------------------------------------------------------------------------------- */

static void who_is_away_is_not_asked(void **state)
{
    (void)state;
    player("store")->start = 0;
    player("store")->state = RELOAD_AWAY;
    begin(SECOND);
    says("plc-sim", CONTROL_PREPARED, 1, "");
    says("broker", CONTROL_PREPARED, 1, "");
    says("worker.0", CONTROL_PREPARED, 1, "");
    assert_string_equal(player("broker")->heard, "RC");
    assert_string_equal(player("store")->heard, "");
    says("plc-sim", CONTROL_DONE, 1, "");
    says("broker", CONTROL_DONE, 1, "");
    says("worker.0", CONTROL_DONE, 1, "");
    is_in_force();
}

static void who_starts_is_waited_for(void **state)
{
    (void)state;
    player("store")->state = RELOAD_STARTING;
    begin(SECOND);
    all_heard("");
    pass(RELOAD_WAIT_NS / 2);
    starts("store", 3, RELOAD_READY);
    all_heard("R");
    all_say(CONTROL_PREPARED, 1);
    all_say(CONTROL_DONE, 1);
    is_in_force();
}

/* It read what was in force when it started. */
static void who_starts_for_too_long_is_started_anew(void **state)
{
    (void)state;
    player("store")->state = RELOAD_STARTING;
    begin(SECOND);
    pass(RELOAD_WAIT_NS);
    assert_string_equal(player("store")->heard, "");
    says("plc-sim", CONTROL_PREPARED, 1, "");
    says("broker", CONTROL_PREPARED, 1, "");
    says("worker.0", CONTROL_PREPARED, 1, "");
    assert_int_equal(player("store")->restarts, 1);
    assert_int_equal(player("broker")->restarts, 0);
    says("plc-sim", CONTROL_DONE, 1, "");
    says("broker", CONTROL_DONE, 1, "");
    says("worker.0", CONTROL_DONE, 1, "");
    is_in_force();
}

static void who_came_while_others_were_asked_is_started_anew(void **state)
{
    (void)state;
    player("store")->start = 0;
    player("store")->state = RELOAD_AWAY;
    begin(SECOND);
    starts("store", 9, RELOAD_STARTING);
    starts("store", 9, RELOAD_READY);
    assert_int_equal(done, 0);
    for (size_t i = 0; i < MEMBERS; i++)
        if (i != 2)
            says(players[i].name, CONTROL_PREPARED, 1, "");
    assert_int_equal(player("store")->restarts, 1);
    assert_string_equal(player("store")->heard, "");
    for (size_t i = 0; i < MEMBERS; i++)
        if (i != 2)
            says(players[i].name, CONTROL_DONE, 1, "");
    is_in_force();
}

static void who_is_being_replaced_is_waited_for_and_then_refuses(void **state)
{
    (void)state;
    player("worker.0")->state = RELOAD_REPLACED;
    begin(SECOND);
    pass(RELOAD_WAIT_NS);
    assert_string_equal(problem, "worker.0 is just being replaced; nothing has changed");
    all_heard("");
    player("worker.0")->state = RELOAD_READY;
    begin(SECOND);
    player("worker.0")->state = RELOAD_REPLACED;
    reload_family_changed(reload);
    all_say(CONTROL_PREPARED, 2);
    assert_string_equal(problem, "worker.0 is just being replaced; nothing has changed");
    all_heard("RA");
    nothing_changed();
}

/* --- after the commit there is no way back -------------------------------------------------------------------------------- */

static void who_dies_after_the_commit_comes_back_with_it(void **state)
{
    (void)state;
    begin(SECOND);
    all_say(CONTROL_PREPARED, 1);
    dies("broker");
    starts("broker", 50, RELOAD_STARTING);
    says("plc-sim", CONTROL_DONE, 1, "");
    says("store", CONTROL_DONE, 1, "");
    says("worker.0", CONTROL_DONE, 1, "");
    is_in_force();
    assert_int_equal(player("broker")->restarts, 0);
}

static void all_may_die_after_the_commit(void **state)
{
    (void)state;
    begin(SECOND);
    all_say(CONTROL_PREPARED, 1);
    for (size_t i = 0; i < MEMBERS; i++)
        dies(players[i].name);
    is_in_force();
}

static void who_does_not_say_done_is_restarted(void **state)
{
    (void)state;
    begin(SECOND);
    for (size_t i = 0; i + 1 < MEMBERS; i++)
        says(players[i].name, CONTROL_PREPARED, 1, "");
    player("store")->deaf = true; /* does not read COMMIT */
    says("worker.0", CONTROL_PREPARED, 1, "");
    says("plc-sim", CONTROL_DONE, 1, "");
    says("broker", CONTROL_DONE, 1, "");
    pass(RELOAD_ANSWER_NS);
    is_in_force();
    assert_int_equal(player("store")->restarts, 1);
    assert_int_equal(player("worker.0")->restarts, 1);
    assert_int_equal(player("broker")->restarts, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(who_is_away_is_not_asked),
        T(who_starts_is_waited_for),
        T(who_starts_for_too_long_is_started_anew),
        T(who_came_while_others_were_asked_is_started_anew),
        T(who_is_being_replaced_is_waited_for_and_then_refuses),
        T(who_dies_after_the_commit_comes_back_with_it),
        T(all_may_die_after_the_commit),
        T(who_does_not_say_done_is_restarted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
