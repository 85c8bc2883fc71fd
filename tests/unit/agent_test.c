/* The agent between a simulated PLC and a fake broker: birth and differences, heartbeats, commands, and its end. "Is told nothing" waits
 * for polls to pass and for a later message.
 */
#include "agent_fixture.h"

/* --- states -------------------------------------------------------------------------------------------------------- */

static void introduces_itself(void **state)
{
    (void)state;
    struct agent_play *play = play_set("delta-as", 0);
    play_start_agent(play);
    PLAY_UNTIL(play, play->broker.hellos == 1);
    assert_string_equal(play->broker.machine, "m1");
    assert_int_equal(play->broker.hello.role, WIRE_AGENT);
    assert_int_equal(play->broker.hello.version, WIRE_VERSION);
    assert_int_equal(play->broker.hello.incarnation, play->incarnation);
    assert_true(play->broker.hello.profile_hash == profile_hash(profile_builtin("delta-as")));
    PLAY_UNTIL(play, play_state(play) != NULL);
    assert_true(play->broker.states[0].birth);
    assert_int_equal(play->broker.states[0].state_seq, 1);
    assert_int_equal(play->broker.states[0].agent_gen, play->incarnation);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 0x14, 0));
    for (size_t i = 1; i < play->broker.state_count; i++) {
        assert_false(play->broker.states[i].birth);
        assert_int_equal(play->broker.states[i].state_seq, i + 1);
    }
    assert_true(play_state(play)->source_ns <= loop_now_ns(play->f.loop));
    assert_true(play_state(play)->read_wall_ms > 0);
    play_end(play);
}

static void never_read_is_disconnected(void **state)
{
    (void)state;
    struct agent_play *play = play_set("standard", 0);
    plc_tell(&play->f, "fault m1 refused");
    play_start_agent(play);
    PLAY_UNTIL(play, play_state(play) != NULL);
    PLAY_UNTIL(play, play_metric(play, UPLINK_METRIC_CONNECT_FAILURES) >= 3);
    assert_int_equal(play->broker.state_count, 1);
    assert_true(play->broker.states[0].birth);
    assert_false(play->broker.states[0].has_reading);
    assert_int_equal(play->broker.states[0].connection, CONNECTION_DISCONNECTED);
    PLAY_UNTIL(play, play->broker.heartbeats == 1);
    assert_int_equal(play->broker.reading_age_ms, -1);
    plc_tell(&play->f, "clear m1");
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 0));
    assert_int_equal(play->broker.state_count, 2);
    play_end(play);
}

static void tells_differences_only(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    size_t before = play->broker.state_count;
    uint64_t seq = play_state(play)->state_seq;
    play_polls(play, 20);
    plc_tell(&play->f, "set m1 position 9");
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 9));
    assert_int_equal(play->broker.state_count, before + 1);
    assert_int_equal(play_state(play)->state_seq, seq + 1);
    play_polls(play, 20);
    plc_tell(&play->f, "set m1 alarm on");
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, sim_plc_status(play->plc), 9));
    assert_int_equal(play->broker.state_count, before + 2);
    play_end(play);
}

static void loses_and_finds_its_plc(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    plc_tell(&play->f, "set m1 position 4");
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 4));
    plc_tell(&play->f, "fault m1 refused");
    PLAY_UNTIL(play, play_shows(play, CONNECTION_DISCONNECTED, 218, 4)); /* the last reading is kept */
    assert_true(play_state(play)->has_reading);
    plc_tell(&play->f, "set m1 position 5");
    plc_tell(&play->f, "clear m1");
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 5));
    plc_tell(&play->f, "fault m1 garbage 010203");
    PLAY_UNTIL(play, play_shows(play, CONNECTION_ERROR, 218, 5));
    plc_tell(&play->f, "clear m1");
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 5));
    play_end(play);
}

static void one_lost_reply_is_not_shown(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    size_t before = play->broker.state_count;
    for (int i = 0; i < 5; i++) {
        plc_tell(&play->f, "fault m1 reset count 1");
        PLAY_UNTIL(play, play->plc->fault.kind == SIM_FAULT_NONE);
        play_polls(play, 2);
    }
    plc_tell(&play->f, "set m1 position 2");
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 2));
    assert_int_equal(play->broker.state_count, before + 1);
    play_end(play);
}

static void heartbeats_carry_metrics(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    PLAY_UNTIL(play, play->broker.heartbeats == 1);
    assert_int_equal(play->broker.metric_count, UPLINK_METRICS);
    assert_true(play->broker.metrics[UPLINK_METRIC_POLLS] > 0);
    assert_int_equal(play->broker.metrics[UPLINK_METRIC_IMAGE_CONNECTION], CONNECTION_CONNECTED);
    assert_int_equal(play->broker.metrics[UPLINK_METRIC_CONNECTS], 1);
    assert_int_equal(play->broker.metrics[UPLINK_METRIC_HELLOS], 1);
    assert_int_equal(play->broker.metrics[UPLINK_METRIC_STATES_SENT], play->broker.state_count);
    assert_in_range(play->broker.reading_age_ms, 0, 20000);
    play_end(play);
}

/* How old readings and commands are; of a command only by the clock that its client's message was timed with. */
static void heartbeats_carry_ages(void **state)
{
    (void)state;
    struct agent_play *play = play_set_on(true, "standard", 0);
    play_start_agent(play);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 0));
    struct wire_message ours = play_command(play, 0, -1), theirs = play_command(play, 0, -1);
    ours.command.source_ns = theirs.command.source_ns = clock_mono_ns(clock_system());
    ours.command.boot = wire_boot();
    theirs.command.boot = ~ours.command.boot;
    broker_send(&play->broker, &ours);
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_RESULT, NULL) == 1);
    broker_send(&play->broker, &theirs);
    PLAY_UNTIL(play, play_outcomes(play, 2, OUTCOME_RESULT, NULL) == 1);
    unsigned rounds = play->broker.rounds; /* one of them may have begun before the commands */
    PLAY_UNTIL(play, play->broker.rounds >= rounds + 2);
    assert_in_range(broker_ages(&play->broker, AGE_PLC_ROUND_TRIP), 3,
                    play->broker.metrics[UPLINK_METRIC_POLLS] + 2);
    assert_true(broker_ages(&play->broker, AGE_POLL_LAG) > 0);
    assert_in_range(broker_ages(&play->broker, AGE_HOP_D5), 1, play->broker.state_count);
    assert_int_equal(broker_ages(&play->broker, AGE_HOP_C5), 1);
    assert_int_equal(broker_ages(&play->broker, AGE_HOP_C6), 1);
    assert_true(play->broker.hello.slot == wire_address("127.0.0.1", play->machine.connect_port));
    play_end(play);
}

/* --- commands ------------------------------------------------------------------------------------------------------ */

static void move_from_end_to_end(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(1);
    play_send(play, 1, 4);
    const struct seen_outcome *result = NULL, *completion = NULL;
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_COMPLETION, &completion) == 1);
    assert_int_equal(play_outcomes(play, 1, OUTCOME_RESULT, &result), 1);
    assert_true(result < completion);
    assert_int_equal(result->wire.code, CODE_NONE);
    assert_true(result->wire.sent);
    assert_string_equal(result->request_id, "r");
    assert_int_equal(completion->wire.code, CODE_NONE);
    assert_int_equal(completion->wire.position, 4);
    assert_int_equal(completion->wire.outcome_seq, result->wire.outcome_seq + 1);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 4));
    assert_int_equal(plc_log_count(&play->f, "m1", "0104\n"), 1);
    play_end(play);
}

static void each_condition_forbids_a_move(void **state)
{
    (void)state;
    struct agent_play *play = play_set("delta-as", 0);
    play_start_agent(play);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 0x14, 0));
    const char *conditions[][2] = {{"estop", "emergency stop"},
                                   {"manual", "manual mode"},
                                   {"alarm", "alarm"},
                                   {"drive_fault", "drive fault"},
                                   {"positioning_error", "positioning error"}};
    for (size_t i = 0; i < 5; i++) {
        const struct seen_outcome *o = NULL;
        size_t states = play->broker.state_count;
        plc_tell(&play->f, "set m1 %s on", conditions[i][0]);
        PLAY_UNTIL(play, play->broker.state_count == states + 1);
        play_send(play, 1, 4);
        PLAY_UNTIL(play, play_outcomes(play, play->serial, OUTCOME_RESULT, &o) == 1);
        assert_int_equal(o->wire.code, CODE_INTERLOCK);
        assert_string_equal(o->text, conditions[i][1]);
        assert_false(o->wire.sent);
        plc_tell(&play->f, "set m1 %s off", conditions[i][0]);
        PLAY_UNTIL(play, play->broker.state_count == states + 2);
    }
    assert_int_equal(play->plc->counts.request[1], 0);
    play_end(play);
}

static void alarm_while_moving(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    plc_tell(&play->f, "pace m1 manual");
    play_send(play, 1, 9);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 219, 0));
    plc_tell(&play->f, "step m1 2");
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 219, 2));
    plc_tell(&play->f, "set m1 alarm on");
    const struct seen_outcome *o = NULL;
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_COMPLETION, &o) == 1);
    assert_int_equal(o->wire.code, CODE_INTERLOCK);
    assert_string_equal(o->text, "alarm");
    assert_int_equal(o->wire.position, 2);
    play_end(play);
}

/* With real bytes: the reply is lost in each way, the move was carried out or not, the PLC is asked once. */
static void lost_replies_are_reconciled(void **state)
{
    (void)state;
    const char *faults[] = {"missing", "reset", "garbage 010203", "duplicated", "half-open", "late 60000"};
    for (size_t i = 0; i < 2 * sizeof faults / sizeof faults[0]; i++) {
        bool undone = i % 2 || strcmp(faults[i / 2], "half-open") == 0; /* a dead line carries nothing out */
        struct agent_play *play = play_set("standard", 0);
        play->machine.reply_timeout_ms = 50;
        play_start_agent(play);
        PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 0));
        plc_tell(&play->f, "fault m1 %s%s command 1 count 1", faults[i / 2], i % 2 ? " undone" : "");
        const struct seen_outcome *o = NULL;
        play_send(play, 1, 5);
        PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_RESULT, &o) == 1);
        if (o->wire.code != (undone ? CODE_OUTCOME_UNKNOWN : CODE_NONE))
            fail_msg("%s undone=%d: %s", faults[i / 2], undone,
                     command_code_name((enum command_code_e)o->wire.code));
        assert_true(o->wire.sent);
        if (!undone)
            PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_COMPLETION, &o) == 1);
        if (!undone)
            assert_int_equal(o->wire.code, CODE_NONE);
        assert_int_equal(play->plc->counts.request[1], 1);
        play_end(play);
    }
}

static void messages_that_make_no_sense(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    struct wire_message other = play_command(play, 1, 5);
    other.command.machine = wire_text("m2");
    broker_send(&play->broker, &other);
    struct wire_message bye = {.type = WIRE_GOODBYE};
    broker_send(&play->broker, &bye);
    struct wire_message birth = {.type = WIRE_STATE, .state.machine = wire_text("m1")};
    broker_send(&play->broker, &birth);
    play_send(play, 0, -1);
    PLAY_UNTIL(play, play_outcomes(play, play->serial, OUTCOME_RESULT, NULL) == 1);
    assert_int_equal(play->broker.outcome_count, 1);
    assert_int_equal(play->plc->counts.request[1], 0);
    play_end(play);
}

static void disagreeing_broker_makes_it_read_only(void **state)
{
    (void)state;
    struct agent_play *play = play_set("standard", 0);
    play->broker.disagree = true;
    play_start_agent(play);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 0));
    const struct seen_outcome *o = NULL;
    play_send(play, 1, 5);
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_RESULT, &o) == 1);
    assert_int_equal(o->wire.code, CODE_INTERLOCK);
    assert_string_equal(o->text, "unknown profile");
    play_end(play);
}

/* A broker that acknowledges nothing: the list fills, and no command is taken that could not be answered. */
static void outcomes_are_bounded(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    play->broker.keep_acks = true;
    unsigned fits = UPLINK_OUTCOMES - QUEUE_ROOM + 1;
    for (unsigned i = 0; i < fits; i++) {
        struct wire_message message = play_command(play, 257, -1);
        broker_send(&play->broker, &message);
        PLAY_UNTIL(play, play->broker.outcome_count == i + 1);
    }
    struct wire_message lost = play_send(play, 1, 5);
    PLAY_UNTIL(play, play_metric(play, UPLINK_METRIC_COMMANDS) == fits + 1);
    play_polls(play, 3);
    assert_int_equal(play->broker.outcome_count, fits);
    assert_int_equal(play->plc->counts.request[1], 0);
    broker_ack(&play->broker, play->incarnation, fits);
    broker_send(&play->broker, &lost);
    PLAY_UNTIL(play, play_outcomes(play, lost.command.command_serial, OUTCOME_COMPLETION, NULL) == 1);
    play_end(play);
}

/* --- the end ------------------------------------------------------------------------------------------------------- */

static void stops_and_says_goodbye(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    agent_stop(play->agent);
    assert_int_equal(play->ended, 0);
    agent_free(&play->agent);
    PLAY_UNTIL(play, play->broker.goodbyes == 1);
    play_end(play);
}

/* Making way for another configuration: at once where nothing is under way, else behind the move, with its completion. */
static void leaves_when_its_move_has_ended(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(20);
    play_send(play, 1, 3);
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_RESULT, NULL) == 1);
    agent_leave(play->agent);
    struct wire_message between = play_send(play, 0, -1); /* is served */
    PLAY_UNTIL(play, play_outcomes(play, between.command.command_serial, OUTCOME_RESULT, NULL) == 1);
    assert_int_equal(play_outcomes(play, 1, OUTCOME_COMPLETION, NULL), 0);
    assert_int_equal(play->ended, -1);
    PLAY_UNTIL(play, play->ended == 0);
    const struct seen_outcome *completion = NULL;
    agent_free(&play->agent);
    PLAY_UNTIL(play, play->broker.goodbyes == 1);
    assert_int_equal(play_outcomes(play, 1, OUTCOME_COMPLETION, &completion), 1);
    assert_int_equal(completion->wire.position, 3);
    play_start_agent(play);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 3));
    agent_leave(play->agent);
    assert_int_equal(play->ended, 0);
    play_end(play);
}

static void stops_after_the_reply(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    plc_tell(&play->f, "hold m1 command 1");
    play_send(play, 1, 5);
    PLAY_UNTIL(play, play->plc->conn.state == SIM_CONN_HELD);
    agent_stop(play->agent);
    assert_int_equal(play->ended, -1);
    plc_tell(&play->f, "release m1");
    PLAY_UNTIL(play, play->ended == 0);
    agent_free(&play->agent);
    PLAY_UNTIL(play, play->broker.goodbyes == 1);
    const struct seen_outcome *o = NULL;
    assert_int_equal(play_outcomes(play, 1, OUTCOME_RESULT, &o), 1);
    assert_int_equal(o->wire.code, CODE_NONE);
    play_end(play);
}

static void stops_in_bounded_time(void **state)
{
    (void)state;
    struct agent_play *play = play_set("standard", 0);
    play->machine.reply_timeout_ms = 600000;
    play_start_agent(play);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 0));
    plc_tell(&play->f, "hold m1 command 1");
    play_send(play, 1, 5);
    PLAY_UNTIL(play, play->plc->conn.state == SIM_CONN_HELD);
    agent_stop(play->agent);
    PLAY_UNTIL(play, play->ended == 0);
    const struct seen_outcome *o = NULL;
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_RESULT, &o) == 1);
    assert_int_equal(o->wire.code, CODE_OUTCOME_UNKNOWN);
    play_end(play);
}

static void leaves_no_descriptor(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    agent_free(&play->agent);
    PLAY_UNTIL(play, play->broker.closed == 1 && play->plc->conn.state == SIM_CONN_NONE);
    unsigned before = open_descriptors();
    for (unsigned i = 0; i < 10; i++) {
        play_start_agent(play);
        play_polls(play, 1);
        agent_free(&play->agent);
        PLAY_UNTIL(play, play->broker.closed == i + 2 && play->plc->conn.state == SIM_CONN_NONE);
    }
    PLAY_UNTIL(play, open_descriptors() <= before); /* ZeroMQ closes in a thread of its own */
    play_end(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(introduces_itself),
        cmocka_unit_test(never_read_is_disconnected),
        cmocka_unit_test(tells_differences_only),
        cmocka_unit_test(loses_and_finds_its_plc),
        cmocka_unit_test(one_lost_reply_is_not_shown),
        cmocka_unit_test(heartbeats_carry_metrics),
        cmocka_unit_test(heartbeats_carry_ages),
        cmocka_unit_test(move_from_end_to_end),
        cmocka_unit_test(each_condition_forbids_a_move),
        cmocka_unit_test(alarm_while_moving),
        cmocka_unit_test(lost_replies_are_reconciled),
        cmocka_unit_test(messages_that_make_no_sense),
        cmocka_unit_test(disagreeing_broker_makes_it_read_only),
        cmocka_unit_test(outcomes_are_bounded),
        cmocka_unit_test(stops_and_says_goodbye),
        cmocka_unit_test(leaves_when_its_move_has_ended),
        cmocka_unit_test(stops_after_the_reply),
        cmocka_unit_test(stops_in_bounded_time),
        cmocka_unit_test(leaves_no_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
