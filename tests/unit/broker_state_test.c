/* broker: states, from an agent's word to ring and table. */
#include "broker_stage.h"

#include <signal.h>

#include "log.h"

static void machines_never_read_are_disconnected_and_empty(void **state)
{
    struct stage *stage = *state;
    static const char *const ids[] = {"m1", "m2", "m3"};
    wait_record(stage, RECORD_STATE, 2);
    for (uint32_t i = 0; i < 3; i++) {
        const struct seen_record *record = nth(stage, RECORD_STATE, i);
        char topic[32];
        snprintf(topic, sizeof topic, "state/%s", ids[i]);
        assert_int_equal(record->state.slot, i);
        assert_int_equal(record->topic_count, 2);
        assert_string_equal(record->topics[0], topic);
        assert_string_equal(record->topics[1], "state/#");
        assert_int_equal(record->origin_mode, ORIGIN_NONE);
        assert_string_equal(record->text, "\"status\":{},\"position\":null,\"raw_status\":null,"
                                          "\"connection_status\":\"disconnected\"");
        table_agrees(stage, i, record);
    }
}

static void a_birth_becomes_a_record_and_the_table_repeats_it(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    assert_true(agent.agrees);
    assert_int_equal(agent.slot, 0);
    assert_int_equal(agent.ring_id, ring_reader_id(stage->ring));
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    const struct seen_record *record = wait_record(stage, RECORD_STATE, 3);
    char seq[64];
    snprintf(seq, sizeof seq, "}},\"seq\":\"%08x-%llu\"}", ring_reader_id(stage->ring),
             (unsigned long long)record->position / 64);
    shows(record, "{\"type\":\"status_broadcast\",\"timestamp\":\"20");
    shows(
        record,
        "\"status\":{\"m1\":{\"status\":{\"READY\":\"OK\",\"RUN\":\"Detenido\",\"MODO_OPERACION\":\"Remoto\","
        "\"ALARMA\":\"Desactivada\"},\"position\":15,\"raw_status\":218,\"connection_status\":\"connected\"}"
        "}");
    shows(record, seq);
    assert_true(record->state.agent_gen == 100);
    table_agrees(stage, 0, record);
    assert_int_equal(counter(stage, "hop_d7_ns"), 1);
}

static void only_differences_are_published_and_only_in_order(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15); /* nothing new */
    agent.state_seq = 0;
    say_state(&agent, CONNECTION_CONNECTED, 219, 3); /* number 1 again: old */
    agent.state_seq = 2;
    say_state(&agent, CONNECTION_CONNECTED, 219, 16); /* the marker */
    const struct seen_record *record = wait_record(stage, RECORD_STATE, 4);
    assert_int_equal(record->state.position, 16);
    assert_int_equal(nth(stage, RECORD_STATE, 3)->state.position, 15);
    assert_int_equal(counter(stage, "states_unchanged"), 1);
    assert_int_equal(counter(stage, "states_old"), 1);
    table_agrees(stage, 0, record);
}

static void alarms_come_and_go_as_events_behind_their_state(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m2", "delta-as", 100);
    say_state(&agent, CONNECTION_CONNECTED, 0x10, 1); /* no e-stop, no alarm */
    say_state(&agent, CONNECTION_CONNECTED, 0x18, 1); /* alarm */
    say_state(&agent, CONNECTION_CONNECTED, 0x68,
              1); /* alarm stays; e-stop, drive fault, positioning error */
    say_state(&agent, CONNECTION_CONNECTED, 0x10, 1); /* all gone */
    wait_record(stage, RECORD_EVENT, 7);
    static const char *const expected[] = {"\"condition\":\"alarm\",\"active\":true",
                                           "\"condition\":\"estop\",\"active\":true",
                                           "\"condition\":\"drive_fault\",\"active\":true",
                                           "\"condition\":\"positioning_error\",\"active\":true",
                                           "\"condition\":\"alarm\",\"active\":false",
                                           "\"condition\":\"estop\",\"active\":false",
                                           "\"condition\":\"drive_fault\",\"active\":false",
                                           "\"condition\":\"positioning_error\",\"active\":false"};
    for (size_t i = 0; i < 8; i++) {
        shows(nth(stage, RECORD_EVENT, i), expected[i]);
        shows(nth(stage, RECORD_EVENT, i), "{\"type\":\"alarm\",\"machine_id\":\"m2\"");
        assert_int_equal(nth(stage, RECORD_EVENT, i)->topic_count, 2);
        assert_string_equal(nth(stage, RECORD_EVENT, i)->topics[0], "event/m2");
        assert_string_equal(nth(stage, RECORD_EVENT, i)->topics[1], "event/#");
    }
    assert_true(nth(stage, RECORD_EVENT, 0)->position > nth(stage, RECORD_STATE, 4)->position);
    assert_true(nth(stage, RECORD_EVENT, 0)->position < nth(stage, RECORD_STATE, 5)->position);
    assert_int_equal(counter(stage, "alarm_events"), 8);
}

static void a_machine_turns_stale_and_recovers(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    agent.reading_age_ms = 60000; /* its readings have stopped */
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    const struct seen_record *record = wait_record(stage, RECORD_STATE, 4);
    shows(record, "\"position\":15,\"raw_status\":218,\"connection_status\":\"stale\"");
    table_agrees(stage, 0, record);
    assert_int_equal(counter(stage, "stale"), 1);
    agent.reading_age_ms = 5;
    record = wait_record(stage, RECORD_STATE, 5);
    shows(record, "\"connection_status\":\"connected\"");
    agent.reading_age_ms = 60000;
    wait_record(stage, RECORD_STATE, 6);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15); /* a fresh reading, unchanged */
    record = wait_record(stage, RECORD_STATE, 7);
    shows(record, "\"connection_status\":\"connected\"");
}

static void an_agent_that_leaves_disconnects_its_machine_and_the_reading_stays(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    end_close(stage, &agent);
    const struct seen_record *record = wait_record(stage, RECORD_STATE, 4);
    shows(record, "\"position\":15,\"raw_status\":218,\"connection_status\":\"disconnected\"");
    assert_int_equal(counter(stage, "goodbyes"), 1);
    table_agrees(stage, 0, record);

    agent_open(stage, &agent, "m1", "standard",
               101); /* another process: born without a reading, then with one */
    say_state(&agent, CONNECTION_DISCONNECTED, -1, 0);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    record = wait_record(stage, RECORD_STATE, 5);
    shows(record, "\"position\":15,\"raw_status\":218,\"connection_status\":\"connected\"");
    assert_true(record->state.agent_gen == 101);
}

static void senseless_states_are_dropped(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_STALE, 218, 15);
    say_state(&agent, (enum connection_e)77, 218, 15);
    say_state(&agent, CONNECTION_CONNECTED, 300, 15);
    agent.machine = "m2";
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    agent.machine = "m1";
    say_command(&agent, 1, "m2", -1, false); /* not an agent's word */
    say_state(&agent, CONNECTION_CONNECTED, 218, 1);
    assert_int_equal(wait_record(stage, RECORD_STATE, 3)->state.position, 1);
    assert_int_equal(counter(stage, "invalid"), 5);
    assert_int_equal(agent.downs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(machines_never_read_are_disconnected_and_empty),
        PLAY(a_birth_becomes_a_record_and_the_table_repeats_it),
        PLAY(only_differences_are_published_and_only_in_order),
        PLAY(alarms_come_and_go_as_events_behind_their_state),
        PLAY(a_machine_turns_stale_and_recovers),
        PLAY(an_agent_that_leaves_disconnects_its_machine_and_the_reading_stays),
        PLAY(senseless_states_are_dropped),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_state_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker states", tests, NULL, NULL);
}
