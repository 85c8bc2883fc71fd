/* The agent between a simulated PLC and brokers that forget it, acknowledge nothing, refuse it, or die while a machine moves: births again, outcomes
 * kept until acknowledged, and no move twice.
 */
#include "agent_fixture.h"

/* --- brokers that forget, die, refuse -------------------------------------------------------------------------------- */

static void is_born_again_after_each_hello(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    for (unsigned i = 2; i < 6; i++) {
        size_t before = play->broker.state_count;
        struct wire_message again = {.type = WIRE_RE_HELLO, .re_hello = {play->incarnation}};
        broker_send(&play->broker, &again);
        PLAY_UNTIL(play, play->broker.hellos == i && play->broker.state_count > before);
        assert_true(play->broker.states[before].birth);
        assert_int_equal(play->broker.states[before].connection, CONNECTION_CONNECTED);
        assert_int_equal(play->broker.states[before].raw_status, 218);
        assert_int_equal(play->broker.states[before].state_seq,
                         play->broker.states[before - 1].state_seq + 1);
    }
    play_end(play);
}

static void unacknowledged_outcomes_come_again(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    play->broker.keep_acks = true;
    for (int i = 0; i < 5; i++) {
        play_send(play, 0, -1);
        PLAY_UNTIL(play, play_outcomes(play, play->serial, OUTCOME_RESULT, NULL) == 1);
    }
    broker_ack(&play->broker, play->incarnation, 2);
    broker_ack(&play->broker, play->incarnation, 1);     /* older: nothing */
    broker_ack(&play->broker, play->incarnation + 1, 5); /* somebody else's */
    broker_ack(&play->broker, play->incarnation, 6);     /* never given */
    struct wire_message again = {.type = WIRE_RE_HELLO, .re_hello = {play->incarnation}};
    broker_send(&play->broker, &again);
    PLAY_UNTIL(play, play->broker.outcome_count == 8);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(play->broker.outcomes[5 + i].wire.outcome_seq, 3 + i);
        assert_int_equal(play->broker.outcomes[5 + i].wire.command_serial, 3 + i);
    }
    assert_int_equal(play_metric(play, UPLINK_METRIC_OUTCOMES_RESENT), 3);
    play_send(play, 0, -1); /* the next marker on the same way: nothing else came */
    PLAY_UNTIL(play, play_outcomes(play, 6, OUTCOME_RESULT, NULL) == 1);
    assert_int_equal(play->broker.outcome_count, 9);
    assert_int_equal(play->broker.outcomes[8].wire.outcome_seq, 6);
    play_end(play);
}

static void same_command_again(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    struct wire_message command = play_send(play, 1, 7);
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_COMPLETION, NULL) == 1);
    play_polls(play, 5); /* the acknowledgements are there */
    const struct seen_outcome *first = NULL, *second = NULL;
    play_outcomes(play, 1, OUTCOME_RESULT, &first);
    command.command.resent = true;
    command.command.age_ms = 3600000;
    broker_send(&play->broker, &command);
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_RESULT, &second) == 2);
    assert_int_equal(first->wire.outcome_seq, 1);
    assert_int_equal(second->wire.outcome_seq, 3);
    assert_int_equal(second->wire.code, CODE_NONE);
    assert_int_equal(second->wire.position, first->wire.position);
    assert_int_equal(plc_log_count(&play->f, "m1", "0107"), 1);
    assert_int_equal(play_metric(play, UPLINK_METRIC_COMMANDS_REPEATED), 1);
    play_end(play);
}

/* The broker dies with the move accepted and its result unacknowledged; the next one is told result, then completion,
 * by their old numbers, and the worker's copy of the command does not reach the PLC. */
static void broker_dies_while_moving(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    plc_tell(&play->f, "pace m1 manual");
    play->broker.keep_acks = true;
    struct wire_message command = play_send(play, 1, 5);
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_RESULT, NULL) == 1 &&
                         play_shows(play, CONNECTION_CONNECTED, 219, 0));
    /* first what was true, then what became of the command */
    assert_int_equal(play->broker.states[play->broker.outcomes[0].states_before - 1].raw_status, 219);
    broker_end(&play->broker);
    play_polls(play, 3);
    plc_tell(&play->f, "step m1 5"); /* it arrives while nobody listens */
    play_polls(play, 3);
    play->broker.state_count = play->broker.outcome_count = play->broker.hellos = 0;
    play->broker.keep_acks = false;
    broker_open(&play->broker, 2002);
    PLAY_UNTIL(play, play->broker.hellos == 1);
    command.command.resent = true;
    command.command.age_ms = 3600000;
    broker_send(&play->broker, &command);
    PLAY_UNTIL(play, play->broker.outcome_count >= 2 && play_shows(play, CONNECTION_CONNECTED, 218, 5));
    assert_true(play->broker.states[0].birth);
    assert_int_equal(play->broker.outcomes[0].wire.kind, OUTCOME_RESULT);
    assert_int_equal(play->broker.outcomes[0].wire.outcome_seq, 1);
    assert_int_equal(play->broker.outcomes[1].wire.kind, OUTCOME_COMPLETION);
    assert_int_equal(play->broker.outcomes[1].wire.outcome_seq, 2);
    assert_int_equal(play->broker.outcomes[1].wire.code, CODE_NONE);
    play_send(play, 0, -1);
    PLAY_UNTIL(play, play_outcomes(play, 2, OUTCOME_RESULT, NULL) == 1);
    assert_int_equal(play_outcomes(play, 1, OUTCOME_COMPLETION, NULL), 1);
    assert_int_equal(plc_log_count(&play->f, "m1", "01"), 1);
    play_end(play);
}

/* The broker dies while the command waits for its reply. */
static void broker_dies_before_the_reply(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    play->machine.reply_timeout_ms = 20000;
    agent_free(&play->agent);
    PLAY_UNTIL(play, play->broker.goodbyes == 1);
    play_start_agent(play);
    PLAY_UNTIL(play, play->broker.hellos == 2 && play_shows(play, CONNECTION_CONNECTED, 218, 0));
    plc_tell(&play->f, "hold m1 command 1");
    struct wire_message command = play_send(play, 1, 5);
    PLAY_UNTIL(play, play->plc->conn.state == SIM_CONN_HELD);
    broker_end(&play->broker);
    broker_open(&play->broker, 2002);
    PLAY_UNTIL(play, play->broker.hellos == 3);
    command.command.resent = true;
    broker_send(&play->broker, &command);
    PLAY_UNTIL(play, play_metric(play, UPLINK_METRIC_COMMANDS_REPEATED) == 1);
    plc_tell(&play->f, "release m1");
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_COMPLETION, NULL) == 1);
    assert_int_equal(play_outcomes(play, 1, OUTCOME_RESULT, NULL), 1);
    assert_int_equal(plc_log_count(&play->f, "m1", "01"), 1);
    play_end(play);
}

static void refused_for_good(void **state)
{
    (void)state;
    struct agent_play *play = play_set("standard", 0);
    play->broker.refuse = true;
    play_start_agent(play);
    PLAY_UNTIL(play, play->ended != -1);
    assert_int_equal(play->ended, 78);
    play_end(play);
}

/* Its machine was taken out of the configuration while a move was being written: the reply is waited for, and noted. */
static void refused_with_a_command_written(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    plc_tell(&play->f, "hold m1 command 1");
    play_send(play, 1, 5);
    PLAY_UNTIL(play, play->plc->conn.state == SIM_CONN_HELD);
    uint64_t noted = play_metric(play, UPLINK_METRIC_JOURNAL_RECORDS);
    struct wire_message no = {.type = WIRE_REFUSED, .refused.reason = wire_text("gone")};
    broker_send(&play->broker, &no);
    plc_tell(&play->f, "set m1 position 0"); /* answered behind it; the loop has turned */
    assert_int_equal(play->ended, -1);
    plc_tell(&play->f, "release m1");
    PLAY_UNTIL(play, play->ended != -1);
    assert_int_equal(play->ended, 78);
    assert_true(play_metric(play, UPLINK_METRIC_JOURNAL_RECORDS) > noted);
    assert_int_equal(plc_log_count(&play->f, "m1", "01"), 1);
    play_end(play);
}

static void works_without_a_broker(void **state)
{
    (void)state;
    struct agent_play *play = play_set("standard", 0);
    broker_end(&play->broker);
    play_start_agent(play);
    play_polls(play, 10);
    plc_tell(&play->f, "set m1 position 6");
    play_polls(play, 2);
    broker_open(&play->broker, 3003);
    PLAY_UNTIL(play, play->broker.state_count > 0);
    assert_int_equal(play->broker.states[0].position, 6);
    assert_true(play->broker.states[0].birth);
    play_end(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_born_again_after_each_hello),
        cmocka_unit_test(unacknowledged_outcomes_come_again),
        cmocka_unit_test(same_command_again),
        cmocka_unit_test(broker_dies_while_moving),
        cmocka_unit_test(broker_dies_before_the_reply),
        cmocka_unit_test(refused_for_good),
        cmocka_unit_test(refused_with_a_command_written),
        cmocka_unit_test(works_without_a_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
