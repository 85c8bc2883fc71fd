/* The command queue: what succeeds, what is refused, stopping. */
#include "queue_play.h"

/* --- success ------------------------------------------------------------------------------------------------------- */

static void move_and_completion(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    pass_ms(play, 10);
    send(play, 1, 7);
    assert_int_equal(fake->request.command, 1);
    assert_int_equal(fake->request.argument, 7);
    pass_ms(play, 5);
    reply(play, RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(last(play)->position, 3);
    assert_int_equal(last(play)->elapsed_ms, 5);
    assert_string_equal(last(play)->text, "");
    for (uint8_t position = 4; position < 7; position++) {
        until_asked(play);
        reply(play, RUNNING, position);
    }
    until_asked(play);
    reply(play, RUNNING, 7); /* at the target, not yet standing */
    assert_int_equal(play->count, 1);
    until_asked(play);
    reply(play, AT_REST, 7);
    assert_int_equal(play->count, 2);
    expect_completion(play, CODE_NONE, "", 7);
    assert_int_equal(last(play)->elapsed_ms, 5 * MOVING_MS);
    assert_int_equal(fake->written[1], 1);
    assert_int_equal(queue_counts(play->queue)->written, 1);
    end(play);
}

static void already_there(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(7);
    send(play, 1, 7);
    reply(play, AT_REST, 7);
    assert_int_equal(play->count, 2);
    assert_int_equal(play->outcomes[0].kind, OUTCOME_RESULT);
    expect_completion(play, CODE_NONE, "", 7);
    end(play);
}

/* The PLC replies before it moves, and the whole move falls between two readings. */
static void short_move_nobody_saw(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 4);
    reply(play, AT_REST, 3);
    assert_int_equal(play->count, 1);
    pass_ms(play, MOVING_MS); /* watched, it is polled as if it moved */
    assert_true(fake->busy);
    reply(play, AT_REST, 3); /* not begun: nothing to say yet */
    assert_int_equal(play->count, 1);
    until_asked(play);
    reply(play, AT_REST, 4);
    expect_completion(play, CODE_NONE, "", 4);
    end(play);
}

static void status_command_reads(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 0, 5); /* an argument that the PLC would take for a command is not written */
    assert_int_equal(fake->request.command, 0);
    assert_int_equal(fake->request.argument, DRIVER_NO_ARGUMENT);
    reply(play, ALARM, 3);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(last(play)->position, 3);
    assert_int_equal(last(play)->argument, 5);
    send(play, 0, -1); /* interlocks do not concern it */
    reply(play, ALARM, 3);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(play->count, 2);
    end(play);
}

static void status_command_while_moving(void **state)
{
    (void)state;
    struct play *play = begin_moving();
    send(play, 0, -1);
    reply(play, AT_REST, 7); /* the same reading ends the move; its completion comes first */
    assert_int_equal(play->count, 3);
    assert_int_equal(play->outcomes[1].kind, OUTCOME_COMPLETION);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void other_codes_have_no_completion(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 200, 9);
    assert_int_equal(fake->request.command, 200);
    assert_int_equal(fake->request.argument, 9);
    reply(play, RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    until_asked(play);
    reply(play, AT_REST, 9);
    assert_int_equal(play->count, 1);
    send(play, 2, -1);
    assert_int_equal(fake->request.argument, DRIVER_NO_ARGUMENT);
    reply(play, AT_REST, 9);
    assert_int_equal(play->count, 2);
    end(play);
}

/* --- refusals ------------------------------------------------------------------------------------------------------ */

static void invalid_commands(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    const struct {
        uint64_t command;
        int64_t argument;
        const char *text;
    } wrong[] = {
        {257, -1, "command is not in 0..255"},       {UINT64_MAX, 0, "command is not in 0..255"},
        {1, -2, "argument is not in 0..255"},        {1, 256, "argument is not in 0..255"},
        {0, INT64_MIN, "argument is not in 0..255"}, {3, INT64_MAX, "argument is not in 0..255"},
        {1, -1, "a move needs a position"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        send(play, wrong[i].command, wrong[i].argument);
        expect_refusal(play, CODE_INVALID_COMMAND, wrong[i].text);
    }
    assert_int_equal(fake->exchanges, 1);
    end(play);
}

static void interlock(const char *profile, uint8_t raw, const char *text)
{
    struct play *play = begin_with(profile_builtin(profile), true, INTERVAL_MS);
    reply(play, raw, 3);
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERLOCK, text);
    send(play, 99, -1); /* an unknown code is treated as a move */
    expect_refusal(play, CODE_INTERLOCK, text);
    assert_false(fake->busy);
    end(play);
}

static void interlocks(void **state)
{
    (void)state;
    interlock("standard", ALARM, "alarm");
    interlock("standard", MANUAL, "manual mode");
    interlock("delta-as", DELTA_REST & (uint8_t)~0x10, "emergency stop");
    interlock("delta-as", DELTA_REST | 0x08, "alarm");
    interlock("delta-as", DELTA_REST & (uint8_t)~0x04, "manual mode");
    interlock("delta-as", DELTA_REST | 0x20, "drive fault");
    interlock("delta-as", DELTA_REST | 0x40, "positioning error");
    interlock("delta-as", 0x08, "emergency stop"); /* the gravest of several */
}

static void unknown_profile(void **state)
{
    (void)state;
    struct play *play = begin_with(NULL, true, INTERVAL_MS);
    reply(play, AT_REST, 3);
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERLOCK, "unknown profile");
    send(play, 0, -1);
    reply(play, AT_REST, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void profiles_disagree(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    queue_profile_agrees(play->queue, false);
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERLOCK, "unknown profile");
    queue_profile_agrees(play->queue, true);
    send(play, 1, 7);
    reply(play, RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void stale_state(void **state)
{
    (void)state;
    struct play *play = begin_with(profile_builtin("standard"), true, 2 * STALE_MS);
    reply(play, AT_REST, 3);
    pass_ms(play, STALE_MS + 1);
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERLOCK, "stale state");
    end(play);
}

static void busy_with_another(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    send(play, 1, 8); /* the first is written */
    expect_refusal(play, CODE_BUSY, NULL);
    send(play, 0, -1);
    expect_refusal(play, CODE_BUSY, NULL);
    reply(play, RUNNING, 3);
    play->serial = 1;
    expect_result(play, CODE_NONE, true);
    play->serial = 10;
    send(play, 1, 8); /* it moves */
    expect_result(play, CODE_BUSY, false);
    assert_int_equal(fake->written[1], 1);
    end(play);
}

static void busy_until_completion(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    reply(play, AT_REST, 3); /* taken, RUN not up yet */
    until_asked(play);
    reply(play, AT_REST, 3);
    send(play, 1, 8);
    expect_result(play, CODE_BUSY, false);
    until_asked(play);
    reply(play, AT_REST, 7);
    send(play, 1, 8);
    reply(play, RUNNING, 7);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(fake->written[1], 2);
    end(play);
}

static void busy_while_it_moves_by_itself(void **state)
{
    (void)state;
    struct play *play = begin();
    reply(play, RUNNING, 3);
    send(play, 1, 7);
    expect_refusal(play, CODE_BUSY, NULL);
    until_asked(play);
    reply(play, AT_REST, 4);
    send(play, 1, 7);
    reply(play, RUNNING, 4);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void busy_while_one_waits(void **state)
{
    (void)state;
    struct play *play = begin(); /* the first poll is in flight */
    send(play, 1, 7);
    send(play, 1, 8);
    expect_refusal(play, CODE_BUSY, NULL);
    reply(play, AT_REST, 3);
    assert_int_equal(fake->request.argument, 7);
    reply(play, RUNNING, 3);
    assert_int_equal(play->count, 2);
    end(play);
}

static void room_for_outcomes_runs_out(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    play->room = QUEUE_ROOM - 1;
    send(play, 1, 7);
    assert_int_equal(play->count, 0);
    assert_int_equal(queue_counts(play->queue)->dropped, 1);
    assert_false(fake->busy);
    play->room = QUEUE_ROOM;
    send(play, 1, 7);
    reply(play, RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

/* --- stopping ------------------------------------------------------------------------------------------------------ */

static void stop_refuses_what_waits(void **state)
{
    (void)state;
    struct play *play = begin();
    send(play, 1, 7);
    queue_stop(play->queue);
    expect_refusal(play, CODE_CONNECTION_ERROR, "The agent is stopping");
    assert_true(queue_idle(play->queue));
    send(play, 1, 7);
    expect_refusal(play, CODE_CONNECTION_ERROR, "The agent is stopping");
    end(play);
}

static void stop_lets_a_written_one_end(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    queue_stop(play->queue);
    assert_false(queue_idle(play->queue));
    reply(play, RUNNING, 3);
    assert_true(queue_idle(play->queue));
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void stop_gives_up_honestly(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    queue_stop(play->queue);
    queue_give_up(play->queue);
    expect_result(play, CODE_OUTCOME_UNKNOWN, true);
    queue_give_up(play->queue);
    assert_int_equal(play->count, 1);
    end(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(move_and_completion),
        cmocka_unit_test(already_there),
        cmocka_unit_test(short_move_nobody_saw),
        cmocka_unit_test(status_command_reads),
        cmocka_unit_test(status_command_while_moving),
        cmocka_unit_test(other_codes_have_no_completion),
        cmocka_unit_test(invalid_commands),
        cmocka_unit_test(interlocks),
        cmocka_unit_test(unknown_profile),
        cmocka_unit_test(profiles_disagree),
        cmocka_unit_test(stale_state),
        cmocka_unit_test(busy_with_another),
        cmocka_unit_test(busy_until_completion),
        cmocka_unit_test(busy_while_it_moves_by_itself),
        cmocka_unit_test(busy_while_one_waits),
        cmocka_unit_test(room_for_outcomes_runs_out),
        cmocka_unit_test(stop_refuses_what_waits),
        cmocka_unit_test(stop_lets_a_written_one_end),
        cmocka_unit_test(stop_gives_up_honestly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
