/* broker: killed, restarted, reconfigured. */
#include "broker_stage.h"

#include <signal.h>
#include <unistd.h>

#include "log.h"

static void a_broker_restart_is_seen_by_nobody_and_nothing_is_said_twice(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, 3);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    say_command(&worker, 1, "m1", 20000, false);
    say_command(&worker, 2, "m1", 20000, false);
    wait_for(stage, &agent.commands, 2);
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
    wait_for(stage, &agent.acks, 1);
    wait_record(stage, RECORD_STATE, 3);
    size_t records = stage->record_count, states = count_of(stage, RECORD_STATE);
    uint32_t ring_id = agent.ring_id;

    restart(stage);
    wait_for(stage, &agent.ups, 2);
    wait_for(stage, &worker.ups, 2);
    assert_int_equal(agent.ring_id, ring_id);
    assert_int_equal(worker.slot, 3);
    assert_int_equal(counter(stage, "ring_continued"), 1);
    agent.state_seq = 0; /* its birth */
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    say_command(&worker, 1, "m1", 18000, true); /* had its answer: it is in the ring */
    say_command(&worker, 2, "m1", 18000, true); /* has not: the agent knows it */
    wait_for(stage, &agent.commands, 3);
    assert_true(agent.last.resent);
    assert_int_equal(agent.last.command_serial, 2);
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1); /* sent again: published before */
    say_outcome(&agent, 2, OUTCOME_RESULT, &worker, 2);
    say_outcome(&agent, 3, OUTCOME_COMPLETION, &worker, 2);
    wait_for(stage, &agent.acks, 4);
    wait_record(stage, RECORD_COMPLETION, 0);
    assert_int_equal(count_of(stage, RECORD_RESULT), 2);
    assert_int_equal(nth(stage, RECORD_RESULT, 0)->outcome.command_serial, 1);
    assert_int_equal(nth(stage, RECORD_RESULT, 1)->outcome.command_serial, 2);
    assert_int_equal(counter(stage, "outcomes_repeated"), 1);
    assert_int_equal(count_of(stage, RECORD_STATE), states);
    assert_int_equal(stage->record_count, records + 2 + 1); /* and that the broker began anew */
    table_agrees(stage, 0, nth(stage, RECORD_STATE, 3));
}

static void an_agent_that_does_not_come_back_is_disconnected_after_a_restart(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    table_agrees(stage, 0, nth(stage, RECORD_STATE, 3));
    assert_int_equal(stop_broker(stage, SIGKILL), 1000 + SIGKILL);
    end_close(stage, &agent);
    uint64_t start_ms = real_ms();
    assert_int_equal(start_broker(stage), -1);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", 100,
                true); /* a dead broker may have handed it over, and its agent does not come back */
    const struct seen_record *record = wait_record(stage, RECORD_STATE, 4);
    shows(record, "\"position\":15,\"raw_status\":218,\"connection_status\":\"disconnected\"");
    assert_true(real_ms() - start_ms >= 900);
    wait_refusal(stage, 0, 1, "The command was sent; whether it was carried out is unknown",
                 "OUTCOME_UNKNOWN");
}

static void a_command_is_held_while_its_agent_may_come_back(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    assert_int_equal(stop_broker(stage, SIGKILL), 1000 + SIGKILL);
    end_close(stage, &agent);
    assert_int_equal(start_broker(stage), -1);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", 60000, false);
    say_command(&worker, 2, "m1", 60000, true);
    wait_counter(stage, "commands_held", 2);
    agent_open(stage, &agent, "m1", "standard", 101);
    wait_for(stage, &agent.commands, count_of(stage, RECORD_REFUSAL) == 0 ? 2 : 1);
}

static void a_second_broker_keeps_its_hands_off(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    pid_t first = stage->broker;
    assert_int_equal(start_broker(stage), 78);
    assert_int_equal(stage->broker, first);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
}

static void tells(const struct stage *stage, size_t n, const char *what, const char *id)
{
    char topic[80];
    const struct seen_record *record = nth(stage, RECORD_MACHINE, n);
    shows(record, what);
    snprintf(topic, sizeof topic, "event/%s", id);
    assert_int_equal(record->topic_count, 2);
    assert_string_equal(record->topics[0], topic);
    assert_string_equal(record->topics[1], "event/#");
    assert_int_equal(record->origin_mode, ORIGIN_NONE);
}

/* m2 goes, m3 gets a name, m9 comes; killed and restarted once more, nothing is said again. */
static void changes_of_the_configuration_are_told_and_slots_outlive_them(void **state)
{
    struct stage *stage = *state;
    struct lvt_machine machine;
    wait_record(stage, RECORD_STATE, 2);
    assert_int_equal(stop_broker(stage, SIGTERM), 0);
    write_conf(stage, 1,
               "  - {id: m9, ip: 10.0.0.9}\n"
               "  - {id: m3, name: Three, ip: 10.0.0.3, profile: future}\n"
               "  - {id: m1, name: One, ip: 10.0.0.1, port: 3200}\n");
    assert_int_equal(start_broker(stage), -1);
    wait_record(stage, RECORD_STATE, 4); /* m9 and the renamed m3 */
    tells(stage, 0, "{\"type\":\"machine_removed\",\"machine_id\":\"m2\",\"machine\":{\"id\":\"m2\",", "m2");
    tells(stage, 1, "{\"type\":\"machine_removed\",\"machine_id\":\"m3\",", "m3");
    tells(
        stage, 2,
        "{\"type\":\"machine_added\",\"machine_id\":\"m9\",\"machine\":{\"id\":\"m9\",\"name\":\"m9\",\"ip\":"
        "\"10.0.0.9\",\"port\":3200,\"type\":\"Real PLC\"},\"timestamp\":\"",
        "m9");
    tells(stage, 3,
          "{\"type\":\"machine_added\",\"machine_id\":\"m3\",\"machine\":{\"id\":\"m3\",\"name\":\"Three\",",
          "m3");
    assert_true(nth(stage, RECORD_STATE, 3)->position > nth(stage, RECORD_MACHINE, 2)->position);
    assert_int_equal(count_of(stage, RECORD_MACHINE), 4);
    assert_int_equal(lvt_reader_get(stage->lvt, 0, &machine), LVT_OK);
    assert_string_equal(machine.info.id, "m1");
    assert_int_equal(lvt_reader_get(stage->lvt, 1, &machine), LVT_EMPTY);
    assert_int_equal(lvt_reader_get(stage->lvt, 2, &machine), LVT_OK);
    assert_string_equal(machine.info.id, "m3");
    assert_string_equal(machine.info.name, "Three");
    assert_int_equal(lvt_reader_get(stage->lvt, 3, &machine), LVT_OK);
    assert_string_equal(machine.info.id, "m9");
    assert_int_equal(counter(stage, "machine_events"), 4);
    assert_int_equal(counter(stage, "states_restored"), 0);
    size_t records = stage->record_count;
    restart(stage);
    read_ring(stage);
    assert_int_equal(stage->record_count, records + 1); /* that the broker began anew */
    write_conf(stage, 1, demo_machines);
}

static void a_ring_of_another_size_is_replaced(void **state)
{
    struct stage *stage = *state;
    struct ring_record record;
    uint32_t before = ring_reader_id(stage->ring);
    read_ring(stage);
    assert_int_equal(stop_broker(stage, SIGTERM), 0);
    write_conf(stage, 2, demo_machines);
    assert_int_equal(start_broker(stage), -1);
    enum ring_status_e status;
    for (uint64_t deadline = real_ms() + DEADLINE_MS;
         (status = ring_reader_next(stage->ring, &record)) != RING_GONE;)
        assert_true(real_ms() < deadline);
    open_shared(stage);
    assert_int_not_equal(ring_reader_id(stage->ring), before);
    wait_record(stage, RECORD_STATE, 2);
    assert_int_equal(counter(stage, "ring_continued"), 0);
}

static void a_clean_stop_leaves_no_socket_and_keeps_what_the_next_one_needs(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    assert_int_equal(stop_broker(stage, SIGTERM), 0);
    assert_int_not_equal(access(in_dir(stage, "bus/broker.sock"), F_OK), 0);
    assert_int_not_equal(access(in_dir(stage, "bus/bell.sock"), F_OK), 0);
    assert_int_not_equal(access(in_dir(stage, "shm/broker"), F_OK), 0);
    assert_int_not_equal(access(in_dir(stage, "shm/agent.0"), F_OK), 0);
    assert_int_equal(access(in_dir(stage, "shm/ring"), F_OK), 0);
    assert_int_equal(access(in_dir(stage, "shm/lvt"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_broker_restart_is_seen_by_nobody_and_nothing_is_said_twice),
        PLAY(an_agent_that_does_not_come_back_is_disconnected_after_a_restart),
        PLAY(a_command_is_held_while_its_agent_may_come_back),
        PLAY(a_second_broker_keeps_its_hands_off),
        PLAY(changes_of_the_configuration_are_told_and_slots_outlive_them),
        PLAY(a_ring_of_another_size_is_replaced),
        PLAY(a_clean_stop_leaves_no_socket_and_keeps_what_the_next_one_needs),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_restart_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker restarts", tests, NULL, NULL);
}
