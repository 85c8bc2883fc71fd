/* Agents that follow one another at the same machine and journal: what the next one knows, reports, watches and refuses.
 */
#include "agent_fixture.h"

#include "journal_disk.h"

/* The predecessor's result was not acknowledged, and its move is under way: the new agent reports the one again and watches
 * the other. The command sent again is known. */
static void successor_knows(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    plc_tell(&play->f, "pace m1 manual");
    play->broker.keep_acks = true;
    struct wire_message command = play_send(play, 1, 5);
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_RESULT, NULL) == 1);
    agent_free(&play->agent);
    play_start_agent(play);
    const struct seen_outcome *again = NULL;
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_RESULT, &again) == 2);
    assert_int_equal(again->wire.code, CODE_NONE);
    assert_true(again->wire.sent);
    assert_int_equal(again->wire.agent_gen, play->incarnation);
    assert_int_equal(again->wire.outcome_seq, 1);
    command.command.resent = true;
    command.command.age_ms = 60000;
    broker_send(&play->broker, &command);
    PLAY_UNTIL(play, play_metric(play, UPLINK_METRIC_COMMANDS_REPEATED) == 1);
    plc_tell(&play->f, "step m1 5");
    const struct seen_outcome *completion = NULL;
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_COMPLETION, &completion) == 1);
    assert_int_equal(completion->wire.code, CODE_NONE);
    assert_int_equal(completion->wire.position, 5);
    assert_int_equal(play_metric(play, UPLINK_METRIC_COMMANDS_RECOVERED), 2);
    play_polls(play, 3);
    assert_int_equal(play->plc->counts.request[1], 1);
    play_end(play);
}

/* What the broker has acknowledged is not reported again; who asks again is told all the same. */
static void successor_is_told_what_was_told(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    struct wire_message command = play_command(play, 1, 5);
    command.command.scope = wire_text("u:");
    command.command.who = wire_text("wms");
    command.command.from = wire_text("127.0.0.1:4711");
    broker_send(&play->broker, &command);
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_COMPLETION, NULL) == 1);
    play_polls(play, 3);
    agent_stop(play->agent); /* a stop notes at once what was acknowledged */
    PLAY_UNTIL(play, play->ended == 0);
    agent_free(&play->agent);
    play_start_agent(play);
    PLAY_UNTIL(play, play->broker.hellos == 2);
    command.command.command_serial = ++play->serial;
    command.command.session_serial++;
    broker_send(&play->broker, &command);
    const struct seen_outcome *o = NULL;
    PLAY_UNTIL(play, play_outcomes(play, 2, OUTCOME_COMPLETION, &o) == 1);
    assert_true(o->wire.repeat);
    assert_int_equal(o->wire.position, 5);
    assert_int_equal(play_outcomes(play, 1, OUTCOME_RESULT, NULL), 1);
    assert_int_equal(play_metric(play, UPLINK_METRIC_COMMANDS_RECOVERED), 0);
    assert_int_equal(play->plc->counts.request[1], 1);
    play_end(play);
}

/* A command that the predecessor never noted was never written: it is carried out. */
static void successor_carries_out_what_was_never_noted(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    agent_free(&play->agent);
    play_start_agent(play);
    PLAY_UNTIL(play, play->broker.hellos == 2 && play_metric(play, UPLINK_METRIC_POLLS) > 0);
    struct wire_message command = play_command(play, 1, 5);
    command.command.resent = true;
    broker_send(&play->broker, &command);
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_COMPLETION, NULL) == 1);
    assert_int_equal(play->plc->counts.request[1], 1);
    play_end(play);
}

/* Another agent holds the journal: readings go on, nothing is written; and works as soon as that one is gone. */
static void journal_held_by_another(void **state)
{
    (void)state;
    struct agent_play *play = play_set("standard", 0);
    mkdir(play->journal, 0700);
    struct journal_directory other = {-1, -1};
    struct journal_disk disk = journal_disk_real(&other);
    assert_int_equal(disk.enter(disk.arg, play->journal), 0);
    play_start_agent(play);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 0));
    const struct seen_outcome *o = NULL;
    play_send(play, 1, 5);
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_RESULT, &o) == 1);
    assert_int_equal(o->wire.code, CODE_INTERNAL_ERROR);
    assert_string_equal(o->text, "the command journal is down: another agent of this machine holds it");
    assert_false(o->wire.sent);
    struct wire_message resent = play_command(play, 1, 6);
    resent.command.resent = true;
    broker_send(&play->broker, &resent);
    PLAY_UNTIL(play, play_outcomes(play, 2, OUTCOME_RESULT, &o) == 1);
    assert_int_equal(o->wire.code, CODE_OUTCOME_UNKNOWN);
    play_send(play, 0, -1);
    PLAY_UNTIL(play, play_outcomes(play, 3, OUTCOME_RESULT, &o) == 1);
    assert_int_equal(o->wire.code, CODE_NONE);
    assert_int_equal(play->plc->counts.request[1], 0);
    disk.leave(disk.arg);
    do { /* it is tried again every second */
        play_polls(play, 10);
        play_send(play, 1, 7);
        PLAY_UNTIL(play, play_outcomes(play, play->serial, OUTCOME_RESULT, &o) == 1);
    } while (o->wire.code == CODE_INTERNAL_ERROR);
    assert_int_equal(o->wire.code, CODE_NONE);
    play_end(play);
}

/* An emergency stop outlives the agent that saw it, until somebody rearms. */
static void latch_outlives_the_agent(void **state)
{
    (void)state;
    struct agent_play *play = play_set("delta-as", 0);
    play->machine.rearm_manual = true;
    play_start_agent(play);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 0x14, 0));
    plc_tell(&play->f, "set m1 estop on");
    PLAY_UNTIL(play, play_metric(play, UPLINK_METRIC_REARM_NEEDED) == 1);
    agent_free(&play->agent);
    plc_tell(&play->f, "set m1 estop off");
    play->broker.state_count = 0;
    play_start_agent(play);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 0x14, 0));
    assert_int_equal(play_metric(play, UPLINK_METRIC_REARM_NEEDED), 1);
    const struct seen_outcome *o = NULL;
    play_send(play, 1, 5);
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_RESULT, &o) == 1);
    assert_string_equal(o->text, "emergency stop: not rearmed");
    play_send(play, COMMAND_REARM, -1);
    PLAY_UNTIL(play, play_outcomes(play, 2, OUTCOME_RESULT, &o) == 1);
    assert_int_equal(o->wire.code, CODE_NONE);
    assert_true(o->wire.repeat);
    play_send(play, 1, 5);
    PLAY_UNTIL(play, play_outcomes(play, 3, OUTCOME_COMPLETION, NULL) == 1);
    agent_free(&play->agent);
    play_start_agent(play);
    PLAY_UNTIL(play, play_metric(play, UPLINK_METRIC_HELLOS) == 1);
    assert_int_equal(play_metric(play, UPLINK_METRIC_REARM_NEEDED), 0);
    play_end(play);
}

/* The machine is at another address when the next agent comes; the PLC there stands where the first one was sent to. */
static void moves_to_another_plc(struct agent_play *play)
{
    struct sim_plc *other = plc_add(&play->f, "m2", "standard", 0);
    plc_tell(&play->f, "set m2 position 5");
    agent_free(&play->agent);
    play->machine.connect_port = other->port;
    play->broker.state_count = 0;
    play_start_agent(play);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 5));
}

static void expect_another_plc(struct agent_play *play, enum outcome_kind_e kind)
{
    const struct seen_outcome *o = NULL;
    PLAY_UNTIL(play, play_outcomes(play, 1, kind, &o) == 1);
    assert_int_equal(o->wire.code, CODE_OUTCOME_UNKNOWN);
    assert_string_equal(o->text, "the PLC's address has changed");
    play_polls(play, 3);
    assert_int_equal(play_outcomes(play, 1, OUTCOME_COMPLETION, NULL), kind == OUTCOME_COMPLETION);
    assert_int_equal(sim_server_find(play->f.sim, "m2")->counts.request[1], 0);
    play_send(play, 1, 6); /* nothing is under way any more */
    PLAY_UNTIL(play, play_outcomes(play, 2, OUTCOME_COMPLETION, &o) == 1);
    assert_int_equal(o->wire.code, CODE_NONE);
}

static void a_doubt_is_not_judged_by_another_plc(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    plc_tell(&play->f, "hold m1 command 1");
    play_send(play, 1, 5);
    PLAY_UNTIL(play, play->plc->counts.request[1] == 1);
    moves_to_another_plc(play);
    expect_another_plc(play, OUTCOME_RESULT);
    play_end(play);
}

static void a_move_is_not_watched_at_another_plc(void **state)
{
    (void)state;
    struct agent_play *play = play_begin(0);
    plc_tell(&play->f, "pace m1 manual");
    play_send(play, 1, 5);
    PLAY_UNTIL(play, play_outcomes(play, 1, OUTCOME_RESULT, NULL) == 1);
    moves_to_another_plc(play);
    expect_another_plc(play, OUTCOME_COMPLETION);
    play_end(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(successor_knows),
        cmocka_unit_test(successor_is_told_what_was_told),
        cmocka_unit_test(successor_carries_out_what_was_never_noted),
        cmocka_unit_test(journal_held_by_another),
        cmocka_unit_test(latch_outlives_the_agent),
        cmocka_unit_test(a_doubt_is_not_judged_by_another_plc),
        cmocka_unit_test(a_move_is_not_watched_at_another_plc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
