/* The command queue: time, connections, lost replies, and the end of a move. */
#include "queue_play.h"

/* --- deadlines ----------------------------------------------------------------------------------------------------- */

static struct wire_command send_within(struct play *play, int64_t deadline_ms)
{
    struct wire_command c = a_command(play, 1, 7);
    c.deadline_ms = deadline_ms;
    give(play, &c);
    return c;
}

static void deadline_on_arrival(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    const int64_t passed[] = {0, -2, INT64_MIN};
    for (int i = 0; i < 3; i++) {
        send_within(play, passed[i]);
        expect_refusal(play, CODE_TIMEOUT, NULL);
    }
    struct wire_command c = a_command(play, 1, 7); /* the default, used up on the way */
    c.age_ms = DEADLINE_MS;
    give(play, &c);
    expect_refusal(play, CODE_TIMEOUT, NULL);
    assert_int_equal(fake->exchanges, 1);
    end(play);
}

static void deadline_reaches_the_driver(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send_within(play, 40);
    assert_int_equal(fake->request.send_by_ns, loop_now_ns(play->loop) + 40 * NS_PER_MS);
    lose(play, DRIVER_TIMEOUT, DRIVER_NOT_SENT); /* connecting took longer */
    expect_refusal(play, CODE_TIMEOUT, NULL);
    fake->open = true;
    struct wire_command c = a_command(play, 1, 7);
    c.age_ms = 1000;
    give(play, &c);
    assert_int_equal(fake->request.send_by_ns, loop_now_ns(play->loop) + (DEADLINE_MS - 1000) * NS_PER_MS);
    reply(play, RUNNING, 3);
    end(play);
}

static void endless_deadline_is_bounded(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send_within(play, INT64_MAX);
    assert_int_equal(fake->request.send_by_ns, loop_now_ns(play->loop) + 24 * 3600 * NS_PER_S);
    reply(play, RUNNING, 3);
    end(play);
}

static void deadline_passes_while_waiting(void **state)
{
    (void)state;
    struct play *play = begin(); /* the first poll is in flight, and stays there */
    send_within(play, 300);
    pass_ms(play, 299);
    assert_int_equal(play->count, 0);
    pass_ms(play, 1);
    expect_refusal(play, CODE_TIMEOUT, NULL);
    reply(play, AT_REST, 3);
    assert_false(fake->busy); /* never sent late */
    end(play);
}

/* The poll ends at the deadline itself, and the loop reports it before the timer. */
static void deadline_and_turn_at_once(void **state)
{
    (void)state;
    struct play *play = begin();
    send_within(play, 300);
    clock_manual_advance_ns(&play->clock, 300 * NS_PER_MS);
    reply(play, AT_REST, 3);
    expect_refusal(play, CODE_TIMEOUT, NULL);
    assert_false(fake->busy);
    end(play);
}

/* --- no connection ------------------------------------------------------------------------------------------------- */

static void waits_for_the_poll_in_flight(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    until_asked(play);
    send(play, 1, 7);
    assert_int_equal(play->count, 0);
    assert_int_equal(fake->request.command, 0);
    reply(play, ALARM, 3); /* interlocks are checked on the newest reading */
    expect_refusal(play, CODE_INTERLOCK, "alarm");
    end(play);
}

static void poll_in_flight_fails_then_another_helps(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    until_asked(play);
    send(play, 1, 7);
    lose(play, DRIVER_CLOSED, DRIVER_SENT);
    assert_true(fake->busy);
    assert_int_equal(fake->request.command, 0);
    reply(play, AT_REST, 3);
    assert_int_equal(fake->request.command, 1);
    reply(play, RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void not_connected(void **state)
{
    (void)state;
    struct play *play = begin();
    lose(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
    send(play, 1, 7); /* tried a moment ago */
    expect_refusal(play, CODE_CONNECTION_ERROR, NULL);
    assert_false(fake->busy);
    until_asked(play);
    lose(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
    pass_ms(play, MIN_MS);
    assert_false(fake->busy); /* in back-off */
    send(play, 1, 7);
    assert_true(fake->busy); /* one try for it */
    assert_int_equal(fake->request.command, 0);
    lose(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
    expect_refusal(play, CODE_CONNECTION_ERROR, NULL);
    end(play);
}

static void command_brings_the_connection_back(void **state)
{
    (void)state;
    struct play *play = begin();
    for (int i = 0; i < 4; i++) {
        lose(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
        until_asked(play);
    }
    lose(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
    pass_ms(play, MIN_MS);
    send(play, 1, 7);
    reply(play, AT_REST, 3);
    assert_int_equal(fake->request.command, 1);
    reply(play, RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

/* Persistent, and the PLC has ended the connection since: a poll makes the new one, not the command. */
static void no_command_as_first_on_a_connection(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    fake->open = false;
    send(play, 1, 7);
    assert_int_equal(fake->request.command, 0);
    reply(play, AT_REST, 3);
    assert_int_equal(fake->request.command, 1);
    reply(play, RUNNING, 3);
    end(play);
}

static void not_sent_is_tried_three_times(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fake->request.command, 1);
        assert_int_equal(play->count, 0);
        lose(play, i % 2 ? DRIVER_CLOSED : DRIVER_REFUSED, DRIVER_NOT_SENT);
        if (i == 2)
            break;
        assert_int_equal(fake->request.command, 0); /* each try after a new reading */
        reply(play, AT_REST, 3);
    }
    expect_refusal(play, CODE_CONNECTION_ERROR, NULL);
    assert_int_equal(fake->written[1], 0);
    end(play);
}

static void not_sent_then_forbidden(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    lose(play, DRIVER_CLOSED, DRIVER_NOT_SENT);
    reply(play, MANUAL, 3);
    expect_refusal(play, CODE_INTERLOCK, "manual mode");
    end(play);
}

/* --- lost replies -------------------------------------------------------------------------------------------------- */

static const struct {
    enum driver_result_e result;
    enum driver_sent_e sent;
} losses[] = {
    {DRIVER_TIMEOUT, DRIVER_SENT},
    {DRIVER_CLOSED, DRIVER_SENT},
    {DRIVER_BAD_REPLY, DRIVER_SENT},
    {DRIVER_CLOSED, DRIVER_PARTLY_SENT},
};
#define EACH_LOSS(i) (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++)

static void lost_reply_at_target(void **state)
{
    (void)state;
    for
        EACH_LOSS(i)
        {
            struct play *play = begin_lost(losses[i].result, losses[i].sent);
            reply(play, AT_REST, 7);
            assert_int_equal(play->count, 2);
            assert_int_equal(play->outcomes[0].code, CODE_NONE);
            assert_int_equal(play->outcomes[0].position, 7);
            expect_completion(play, CODE_NONE, "", 7);
            assert_int_equal(fake->written[1], 1);
            end(play);
        }
}

static void lost_reply_moving(void **state)
{
    (void)state;
    for
        EACH_LOSS(i)
        {
            struct play *play = begin_lost(losses[i].result, losses[i].sent);
            reply(play, RUNNING, 4);
            expect_result(play, CODE_NONE, true);
            until_asked(play);
            reply(play, RUNNING, 6);
            until_asked(play);
            reply(play, AT_REST, 7);
            expect_completion(play, CODE_NONE, "", 7);
            assert_int_equal(fake->written[1], 1);
            end(play);
        }
}

static void lost_reply_moving_elsewhere(void **state)
{
    (void)state;
    struct play *play = begin_lost(DRIVER_TIMEOUT, DRIVER_SENT);
    reply(play, RUNNING, 2);
    expect_result(play, CODE_NONE, true);
    until_asked(play);
    reply(play, AT_REST, 1);
    expect_completion(play, CODE_INTERLOCK, "stopped elsewhere", 1);
    end(play);
}

static void lost_reply_elsewhere(void **state)
{
    (void)state;
    for
        EACH_LOSS(i)
        {
            struct play *play = begin_lost(losses[i].result, losses[i].sent);
            reply(play, AT_REST, 3);
            expect_result(play, CODE_OUTCOME_UNKNOWN, true);
            until_asked(play);
            reply(play, AT_REST, 7); /* too late to be told */
            assert_int_equal(play->count, 1);
            assert_int_equal(fake->written[1], 1);
            end(play);
        }
}

static void lost_reply_unreachable(void **state)
{
    (void)state;
    struct play *play = begin_lost(DRIVER_TIMEOUT, DRIVER_SENT);
    uint64_t begun = loop_now_ns(play->loop);
    while (play->count == 0) {
        if (fake->busy)
            lose(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
        pass_ms(play, 1);
        assert_true(loop_now_ns(play->loop) - begun < 2 * DEADLINE_MS * NS_PER_MS);
    }
    expect_result(play, CODE_OUTCOME_UNKNOWN, true);
    assert_int_equal((loop_now_ns(play->loop) - begun) / NS_PER_MS, DEADLINE_MS);
    end(play);
}

static void lost_reply_reachable_again(void **state)
{
    (void)state;
    struct play *play = begin_lost(DRIVER_CLOSED, DRIVER_SENT);
    lose(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
    until_asked(play);
    lose(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
    assert_int_equal(play->count, 0);
    until_asked(play);
    reply(play, AT_REST, 7);
    assert_int_equal(play->count, 2);
    expect_completion(play, CODE_NONE, "", 7);
    end(play);
}

/* The deadline is over before the lost reply is given up: still one look. */
static void lost_reply_after_the_deadline(void **state)
{
    (void)state;
    for (int found = 0; found < 2; found++) {
        struct play *play = begin_at_rest(3);
        send_within(play, 100);
        pass_ms(play, 1000);
        lose(play, DRIVER_TIMEOUT, DRIVER_SENT);
        loop_poll(play->loop);
        loop_poll(play->loop);
        assert_int_equal(play->count, 0);
        assert_int_equal(fake->request.command, 0);
        if (found)
            reply(play, RUNNING, 4);
        else
            lose(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
        expect_result(play, found ? CODE_NONE : CODE_OUTCOME_UNKNOWN, true);
        end(play);
    }
}

static void deadline_during_the_look(void **state)
{
    (void)state;
    struct play *play = begin_lost(DRIVER_TIMEOUT, DRIVER_SENT);
    pass_ms(play, DEADLINE_MS + 1);
    assert_int_equal(play->count, 0); /* the look is still in flight */
    reply(play, AT_REST, 7);
    assert_int_equal(play->outcomes[0].code, CODE_NONE);
    assert_int_equal(play->count, 2);
    end(play);
}

static void lost_reply_of_other_commands(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 9, 1);
    lose(play, DRIVER_TIMEOUT, DRIVER_SENT);
    expect_result(play, CODE_OUTCOME_UNKNOWN, true); /* nothing to reconcile it by */
    until_asked(play);
    reply(play, AT_REST, 3);
    send(play, 0, -1);
    lose(play, DRIVER_TIMEOUT, DRIVER_SENT);
    loop_poll(play->loop);
    reply(play, AT_REST, 3); /* a reading is what it asked for */
    expect_result(play, CODE_NONE, true);
    assert_int_equal(play->count, 2);
    end(play);
}

/* --- the end of a move --------------------------------------------------------------------------------------------- */

static void move_times_out(void **state)
{
    (void)state;
    struct play *play = begin_moving();
    uint64_t begun = loop_now_ns(play->loop);
    while (play->count == 1) {
        if (fake->busy)
            reply(play, RUNNING, 4);
        pass_ms(play, 10);
        assert_true(loop_now_ns(play->loop) - begun <= MOVE_MS * NS_PER_MS);
    }
    expect_completion(play, CODE_TIMEOUT, "move timeout", 4);
    assert_int_equal(last(play)->elapsed_ms, MOVE_MS);
    send(play, 1, 8);
    if (fake->busy && fake->request.command == 0)
        reply(play, RUNNING, 4);
    expect_result(play, CODE_BUSY, false); /* it still moves */
    end(play);
}

static void move_is_never_begun(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 99); /* no such position, says the PLC by doing nothing */
    reply(play, AT_REST, 3);
    while (play->count == 1) {
        until_asked(play);
        reply(play, AT_REST, 3);
    }
    expect_completion(play, CODE_TIMEOUT, "move timeout", 3);
    end(play);
}

static void stopped_by(const char *profile, uint8_t rest, uint8_t running, uint8_t raw, const char *text)
{
    struct play *play = begin_with(profile_builtin(profile), true, INTERVAL_MS);
    reply(play, rest, 3);
    send(play, 1, 7);
    reply(play, running, 3);
    until_asked(play);
    reply(play, raw, 5);
    assert_int_equal(play->count, 2);
    expect_completion(play, CODE_INTERLOCK, text, 5);
    end(play);
}

static void move_is_stopped(void **state)
{
    (void)state;
    uint8_t rest = DELTA_REST, running = DELTA_REST | 2;
    stopped_by("standard", AT_REST, RUNNING, ALARM, "alarm");
    stopped_by("standard", AT_REST, RUNNING, ALARM | 1, "alarm"); /* RUN still up */
    stopped_by("standard", AT_REST, RUNNING, AT_REST, "stopped elsewhere");
    stopped_by("standard", AT_REST, RUNNING, MANUAL, "stopped elsewhere");
    stopped_by("delta-as", rest, running, rest & (uint8_t)~0x10, "emergency stop");
    stopped_by("delta-as", rest, running, rest | 0x20, "drive fault");
    stopped_by("delta-as", rest, running, rest | 0x40, "positioning error");
}

static void manual_mode_alone_ends_no_move(void **state)
{
    (void)state;
    struct play *play = begin_moving();
    until_asked(play);
    reply(play, MANUAL | 1, 5);
    assert_int_equal(play->count, 1);
    until_asked(play);
    reply(play, MANUAL, 7);
    expect_completion(play, CODE_NONE, "", 7);
    end(play);
}

static void connection_lost_while_moving(void **state)
{
    (void)state;
    struct play *play = begin_moving();
    for (int i = 0; i < 3; i++) {
        until_asked(play);
        lose(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
    }
    assert_int_equal(play->count, 1);
    until_asked(play);
    reply(play, AT_REST, 7);
    expect_completion(play, CODE_NONE, "", 7);
    assert_int_equal(fake->written[1], 1);
    end(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadline_on_arrival),
        cmocka_unit_test(deadline_reaches_the_driver),
        cmocka_unit_test(endless_deadline_is_bounded),
        cmocka_unit_test(deadline_passes_while_waiting),
        cmocka_unit_test(deadline_and_turn_at_once),
        cmocka_unit_test(waits_for_the_poll_in_flight),
        cmocka_unit_test(poll_in_flight_fails_then_another_helps),
        cmocka_unit_test(not_connected),
        cmocka_unit_test(command_brings_the_connection_back),
        cmocka_unit_test(no_command_as_first_on_a_connection),
        cmocka_unit_test(not_sent_is_tried_three_times),
        cmocka_unit_test(not_sent_then_forbidden),
        cmocka_unit_test(lost_reply_at_target),
        cmocka_unit_test(lost_reply_moving),
        cmocka_unit_test(lost_reply_moving_elsewhere),
        cmocka_unit_test(lost_reply_elsewhere),
        cmocka_unit_test(lost_reply_unreachable),
        cmocka_unit_test(lost_reply_reachable_again),
        cmocka_unit_test(lost_reply_after_the_deadline),
        cmocka_unit_test(deadline_during_the_look),
        cmocka_unit_test(lost_reply_of_other_commands),
        cmocka_unit_test(move_times_out),
        cmocka_unit_test(move_is_never_begun),
        cmocka_unit_test(move_is_stopped),
        cmocka_unit_test(manual_mode_alone_ends_no_move),
        cmocka_unit_test(connection_lost_while_moving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
