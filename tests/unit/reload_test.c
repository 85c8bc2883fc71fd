/* reload: all of the processes take a configuration, or none does; what is in force is what whoever starts next will read. Who asks, and what refuses. */
#include "reload_stage.h"

/* --- all go along ------------------------------------------------------------------------------------------------------- */

static void all_processes_take_it(void **state)
{
    (void)state;
    begin(SECOND);
    assert_string_equal(lines, "log.level: error → debug\nmachines[b]: added\n");
    all_heard("R");
    assert_int_equal(level_in_copy(), LOG_ERROR);
    for (size_t i = 0; i + 1 < MEMBERS; i++)
        says(players[i].name, CONTROL_PREPARED, 1, "");
    all_heard("R");
    says("worker.0", CONTROL_PREPARED, 1, "");
    all_heard("RC");
    assert_int_equal(level_in_copy(), LOG_DEBUG);
    assert_int_equal(done + applied, 0); /* agents come after all others */
    all_say(CONTROL_DONE, 1);
    is_in_force();
    assert_true(players[0].digest == in_force->digest);
}

static void a_file_without_a_change_runs_through_too(void **state)
{
    (void)state;
    begin(FIRST);
    assert_string_equal(lines, "no key has another value\n");
    all_say(CONTROL_PREPARED, 1);
    all_say(CONTROL_DONE, 1);
    assert_int_equal(done * 10 + applied, 11);
    assert_string_equal(problem, "");
}

static void a_dry_run_asks_nobody(void **state)
{
    (void)state;
    write_file(SECOND);
    assert_int_equal(reload_begin(reload, true, on_line, on_done, lines), ERR_OK);
    assert_int_equal(done, 1);
    assert_string_equal(problem, "");
    assert_string_equal(lines, "log.level: error → debug\nmachines[b]: added\n");
    all_heard("");
    nothing_changed();
}

/* --- refusals ------------------------------------------------------------------------------------------------------------- */

static void a_broken_file_is_refused_with_all_problems(void **state)
{
    (void)state;
    char expected[500];
    begin("log: {level: loud}\nring: {size_mib: 3}\n");
    snprintf(expected, sizeof expected,
             "%s:3: log.level: loud is not one of error, warn, info, debug\n"
             "%s:4: ring.size_mib: 3 is not a power of two (1 to 4096 MiB)\n",
             file, file);
    assert_string_equal(lines, expected);
    assert_int_equal(done, 1);
    assert_non_null(strstr(problem, file));
    all_heard("");
    nothing_changed();
}

static void a_schema_that_is_broken_is_refused(void **state)
{
    (void)state;
    begin(FIRST
          "handlers: [{name: h, socket: /h}]\nendpoints: [{path: /e, handler: h, schema: none.json}]\n");
    assert_non_null(strstr(lines, "none.json cannot be opened"));
    assert_non_null(strstr(problem, "a schema or a key cannot be used"));
    nothing_changed();
}

static void a_key_that_is_broken_is_refused(void **state)
{
    (void)state;
    begin(FIRST "auth: {keys: [{kid: k, alg: RS256, file: noria.yaml}]}\n"); /* no PEM */
    assert_non_null(strstr(lines, "k"));
    assert_non_null(strstr(problem, "a key of auth.keys cannot be used"));
    nothing_changed();
}

static void what_takes_a_restart_refuses_all(void **state)
{
    (void)state;
    begin("ring: {size_mib: 2}\nlog: {level: debug}\nworkers: {count: 61}\nmachines: [{id: a, ip: "
          "10.0.0.1}]\n");
    assert_non_null(
        strstr(lines, "log.level: error → debug\nring.size_mib: 1 → 2: takes a restart\nworkers.count: "));
    assert_string_equal(problem, "ring.size_mib and 1 more: takes a restart; nothing has changed");
    all_heard("");
    nothing_changed();
}

static void a_program_that_is_missing_refuses(void **state)
{
    (void)state;
    impossible = "there is no plc-sim";
    begin(SECOND);
    assert_string_equal(problem, "there is no plc-sim");
    all_heard("");
    nothing_changed();
}

static void one_that_refuses_refuses_for_all(void **state)
{
    (void)state;
    begin(SECOND);
    says("broker", CONTROL_PREPARED, 1, "");
    says("store", CONTROL_REFUSED, 1, "no room");
    assert_int_equal(done, 1);
    assert_string_equal(problem, "store: no room; nothing has changed");
    assert_string_equal(player("broker")->heard, "RA");
    assert_string_equal(player("worker.0")->heard, "RA");
    nothing_changed();
    says("worker.0", CONTROL_PREPARED, 1, ""); /* comes late, and means nothing */
    assert_int_equal(done, 1);
}

static void one_that_dies_refuses_for_all(void **state)
{
    (void)state;
    begin(SECOND);
    says("plc-sim", CONTROL_PREPARED, 1, "");
    dies("worker.0");
    assert_string_equal(problem, "worker.0 has ended meanwhile; nothing has changed");
    assert_string_equal(player("plc-sim")->heard, "RA");
    assert_string_equal(player("broker")->heard, "RA");
    assert_string_equal(player("worker.0")->heard, "R");
    nothing_changed();
}

static void one_that_died_and_came_back_is_another(void **state)
{
    (void)state;
    begin(SECOND);
    player("worker.0")->start = 77; /* in one turn of the loop */
    reload_family_changed(reload);
    assert_string_equal(problem, "worker.0 has ended meanwhile; nothing has changed");
    nothing_changed();
}

static void silence_refuses_after_ten_seconds(void **state)
{
    (void)state;
    begin(SECOND);
    says("plc-sim", CONTROL_PREPARED, 1, "");
    says("store", CONTROL_PREPARED, 1, "");
    says("worker.0", CONTROL_PREPARED, 1, "");
    pass(RELOAD_ANSWER_NS - 1);
    assert_int_equal(done, 0);
    pass(1);
    assert_string_equal(problem, "broker did not answer within 10 s; nothing has changed");
    all_heard("RA");
    nothing_changed();
}

static void one_that_does_not_read_refuses(void **state)
{
    (void)state;
    player("store")->deaf = true;
    begin(SECOND);
    assert_string_equal(problem, "store cannot be asked (no room); nothing has changed");
    assert_string_equal(player("broker")->heard, "RA");
    nothing_changed();
}

static void one_that_ended_before_it_was_asked_refuses_likewise(void **state)
{
    (void)state;
    player("worker.0")->start = 0; /* and the family has not told yet */
    begin(SECOND);
    assert_string_equal(problem, "worker.0 has ended meanwhile; nothing has changed");
    assert_string_equal(player("broker")->heard, "RA");
    nothing_changed();
}

static void an_answer_of_an_earlier_reload_is_none(void **state)
{
    (void)state;
    begin(SECOND);
    says("store", CONTROL_REFUSED, 1, "no room");
    lines[0] = '\0';
    begin(SECOND);
    all_say(CONTROL_PREPARED, 1);
    assert_null(strchr(player("broker")->heard, 'C'));
    all_say(CONTROL_PREPARED, 2);
    all_say(CONTROL_DONE, 2);
    assert_int_equal(done, 2);
    assert_int_equal(applied, 1);
}

/* --- who asks ------------------------------------------------------------------------------------------------------------- */

static void one_at_a_time(void **state)
{
    (void)state;
    begin(SECOND);
    assert_true(reload_busy(reload));
    assert_int_equal(reload_begin(reload, false, on_line, on_done, lines), ERR_BUSY);
    all_say(CONTROL_PREPARED, 1);
    all_say(CONTROL_DONE, 1);
    is_in_force();
}

static void a_signal_meanwhile_is_not_lost(void **state)
{
    (void)state;
    begin(SECOND);
    write_file(FIRST);
    reload_signal(reload);
    reload_signal(reload);
    all_say(CONTROL_PREPARED, 1);
    all_say(CONTROL_DONE, 1);
    is_in_force();
    pass(0);
    assert_true(reload_busy(reload));
    all_heard("RCR");
    all_say(CONTROL_PREPARED, 2);
    all_say(CONTROL_DONE, 2);
    assert_int_equal(level_in_copy(), LOG_ERROR);
    assert_int_equal(done, 1); /* nobody is told of a signal's */
    pass(0);
    assert_false(reload_busy(reload));
}

static void who_asked_may_go(void **state)
{
    (void)state;
    begin(SECOND);
    reload_forget(reload, &time); /* somebody else */
    reload_forget(reload, lines);
    all_say(CONTROL_PREPARED, 1);
    all_say(CONTROL_DONE, 1);
    assert_int_equal(done, 0);
    assert_int_equal(applied, 1);
}

static void a_launcher_that_stops_forgets_it(void **state)
{
    (void)state;
    char path[160];
    begin(SECOND);
    reload_free(&reload);
    assert_int_equal(done, 0);
    assert_int_equal(level_in_copy(), LOG_ERROR);
    snprintf(path, sizeof path, "%s/" CONF_COPY_NEXT, dir);
    conf_copy_remove(path); /* as rundir does */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(all_processes_take_it),
        T(a_file_without_a_change_runs_through_too),
        T(a_dry_run_asks_nobody),
        T(a_broken_file_is_refused_with_all_problems),
        T(a_schema_that_is_broken_is_refused),
        T(a_key_that_is_broken_is_refused),
        T(what_takes_a_restart_refuses_all),
        T(a_program_that_is_missing_refuses),
        T(one_that_refuses_refuses_for_all),
        T(one_that_dies_refuses_for_all),
        T(one_that_died_and_came_back_is_another),
        T(silence_refuses_after_ten_seconds),
        T(one_that_does_not_read_refuses),
        T(one_that_ended_before_it_was_asked_refuses_likewise),
        T(an_answer_of_an_earlier_reload_is_none),
        T(one_at_a_time),
        T(a_signal_meanwhile_is_not_lost),
        T(who_asked_may_go),
        T(a_launcher_that_stops_forgets_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
