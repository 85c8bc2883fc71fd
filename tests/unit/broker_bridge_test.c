/* broker: bridges, from a machine's states, results and events to streams: what goes there, what does not, and that both records
 * become visible together or not at all. How topics are put together: bridges_test. */
#include "broker_stage.h"

#include <signal.h>
#include <sys/wait.h>

#include "log.h"

#define BRIDGES                                                                                              \
    "bridges:\n"                                                                                             \
    "  - {from: states, stream: hall}\n"                                                                     \
    "  - {from: states, stream: one's own, machines: [m1]}\n"                                                \
    "  - {from: results, stream: wms, machines: [m1]}\n"                                                     \
    "  - {from: results, stream: hall, machines: [m1]}\n"                                                    \
    "  - {from: events, stream: alarms, machines: [m2]}\n"                                                   \
    "  - {from: events, stream: hall}\n"

static const char *const hall[] = {"hall", NULL}, *const states_of_m1[] = {"hall", "one's own", NULL},
                         *const results_of_m1[] = {"wms", "hall", NULL},
                         *const events_of_m2[] = {"hall", "alarms", NULL};

static void start_with(struct stage *stage, const char *machines, const char *bridges)
{
    char text[2048];
    snprintf(text, sizeof text, "%s%s", machines, bridges);
    write_conf(stage, 1, text);
    assert_int_equal(start_broker(stage), -1);
    read_ring(stage);
}

/* The stage's machines stand in the ring, without a copy; from now on there are bridges. */
static int bridges_set_up(void **state)
{
    if (stage_set_up(state) != 0)
        return -1;
    struct stage *stage = *state;
    wait_record(stage, RECORD_STATE, 2);
    assert_int_equal(stop_broker(stage, SIGTERM), 0);
    start_with(stage, demo_machines, BRIDGES);
    assert_int_equal(count_of(stage, RECORD_STREAM), 0);
    return 0;
}

#define BRIDGED_PLAY(name) cmocka_unit_test_setup_teardown(name, bridges_set_up, stage_tear_down)

static const struct seen_record *behind(const struct stage *stage, const struct seen_record *record)
{
    return record + 1 < stage->records + stage->record_count ? record + 1 : NULL;
}

/* Right behind the record stands its copy, for exactly these streams. */
static void is_bridged(const struct stage *stage, const struct seen_record *record,
                       const char *const *streams)
{
    const struct seen_record *copy = behind(stage, record);
    uint64_t hashes = 0;
    uint32_t count = 0;
    assert_non_null(copy);
    assert_int_equal(copy->kind, RECORD_STREAM);
    assert_int_equal(copy->dialect, DIALECT_STREAMS);
    assert_int_equal(copy->origin_mode, ORIGIN_NONE);
    assert_true(copy->origin.worker == 0 && copy->origin.serial == 0);
    assert_true(copy->stream.publish_seq == 0 && copy->stream.part == 0 && copy->stream.parts == 1);
    assert_true(copy->source_ns == record->source_ns);
    for (; streams[count] != NULL; count++) {
        struct topic topic;
        topic_make_stream(&topic, streams[count], strlen(streams[count]));
        hashes += topic.hash;
    }
    assert_int_equal(copy->topic_count, count);
    assert_true(copy->topics_hash == hashes);
    char expected[sizeof record->frame];
    const char *seq = strstr(record->frame, ",\"seq\":\"");
    assert_non_null(seq);
    snprintf(expected, sizeof expected, "%.*s}", (int)(seq - record->frame), record->frame);
    assert_string_equal(copy->frame, expected);
}

static void is_not_bridged(const struct stage *stage, const struct seen_record *record)
{
    const struct seen_record *next = behind(stage, record);
    assert_true(next == NULL || next->kind != RECORD_STREAM);
}

/* Every record of the kinds that somebody wants is bridged, and nothing else is: as many copies as `bridged` counts. */
static void copies_are(struct stage *stage, size_t count)
{
    read_ring(stage);
    assert_int_equal(count_of(stage, RECORD_STREAM), count);
}

/* --- what goes to streams ----------------------------------------------------------------------------------------- */

static void a_state_goes_to_all_its_streams_in_one_record(void **state)
{
    struct stage *stage = *state;
    static struct end first, second;
    agent_open(stage, &first, "m1", "standard", 100);
    agent_open(stage, &second, "m2", "delta-as", 200);
    say_state(&first, CONNECTION_CONNECTED, 218, 15);
    const struct seen_record *record = wait_record(stage, RECORD_STATE, 3);
    is_bridged(stage, record, states_of_m1);
    assert_true(record->source_ns != 0);
    shows(behind(stage, record), "{\"type\":\"status_broadcast\",\"timestamp\":\"20");
    say_state(&second, CONNECTION_CONNECTED, 0x10, 3);
    is_bridged(stage, wait_record(stage, RECORD_STATE, 4), hall);
    say_state(&first, CONNECTION_CONNECTED, 218, 15); /* nothing new: nothing for streams */
    say_state(&first, CONNECTION_CONNECTED, 219, 16);
    is_bridged(stage, wait_record(stage, RECORD_STATE, 5), states_of_m1);
    copies_are(stage, 3);
    assert_int_equal(counter(stage, "bridged"), 3);
    assert_int_equal(counter(stage, "states_published"), 3);
}

/* What time alone changes is a state like any other. */
static void what_time_does_goes_to_streams_too(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    agent.reading_age_ms = 60000;
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    const struct seen_record *stale = wait_record(stage, RECORD_STATE, 4);
    shows(stale, "\"connection_status\":\"stale\"");
    is_bridged(stage, stale, states_of_m1);
    end_close(stage, &agent);
    const struct seen_record *gone = wait_record(stage, RECORD_STATE, 5);
    shows(gone, "\"connection_status\":\"disconnected\"");
    is_bridged(stage, gone, states_of_m1);
}

static void results_and_completions_go_and_what_is_the_callers_alone_stays(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "ghost", -1, false); /* a refusal */
    is_not_bridged(stage, wait_record(stage, RECORD_REFUSAL, 0));
    for (uint64_t serial = 2; serial <= 4; serial++) {
        say_command(&worker, serial, "m1", 20000, false);
        wait_for(stage, &agent.commands, serial - 1);
    }
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 2);
    say_outcome(&agent, 2, OUTCOME_COMPLETION, &worker, 2);
    say_failure(&agent, 3, &worker, 3, CODE_BUSY, false); /* never sent: the caller's alone */
    say_failure(&agent, 4, &worker, 4, CODE_OUTCOME_UNKNOWN, true);
    wait_for(stage, &agent.acks, 4);
    is_bridged(stage, wait_record(stage, RECORD_RESULT, 0), results_of_m1);
    shows(behind(stage, nth(stage, RECORD_RESULT, 0)), "\"request_id\":\"req-1\"");
    is_bridged(stage, wait_record(stage, RECORD_COMPLETION, 0), results_of_m1);
    is_not_bridged(stage, nth(stage, RECORD_REFUSAL, 1));
    is_not_bridged(stage, nth(stage, RECORD_REFUSAL, 2));
    const struct seen_record *failed = nth(stage, RECORD_RESULT, 1);
    shows(failed, "\"success\":false");
    is_bridged(stage, failed, results_of_m1);
    assert_int_equal(count_of(stage, RECORD_REFUSAL), 3);
    copies_are(stage, 3);
}

/* Outcomes that are known already, and repeats for another asker, which are his alone. */
static void an_outcome_goes_to_streams_once(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    for (uint64_t serial = 1; serial <= 2; serial++) {
        say_command(&worker, serial, "m1", 20000, false);
        wait_for(stage, &agent.commands, serial);
    }
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 2, OUTCOME_RESULT, &worker, 1);
    struct wire_message repeat = outcome_message(&agent, 3, OUTCOME_RESULT, 900, 2);
    repeat.outcome.repeat = true;
    assert_int_equal(link_send(agent.link, &repeat), ERR_OK);
    repeat = outcome_message(&agent, 4, OUTCOME_COMPLETION, 900, 2);
    repeat.outcome.repeat = true;
    assert_int_equal(link_send(agent.link, &repeat), ERR_OK);
    say_outcome(&agent, 5, OUTCOME_COMPLETION, &worker, 1); /* the marker */
    wait_for(stage, &agent.acks, 5);
    wait_record(stage, RECORD_COMPLETION, 1);
    is_bridged(stage, nth(stage, RECORD_RESULT, 0), results_of_m1);
    assert_int_equal(nth(stage, RECORD_RESULT, 1)->origin_mode, ORIGIN_ONLY);
    is_not_bridged(stage, nth(stage, RECORD_RESULT, 1));
    is_not_bridged(stage, nth(stage, RECORD_COMPLETION, 0));
    is_bridged(stage, nth(stage, RECORD_COMPLETION, 1), results_of_m1);
    copies_are(stage, 2);
}

static void machines_without_such_a_bridge(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m2", "delta-as", 200);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m2", 20000, false);
    wait_for(stage, &agent.commands, 1);
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 2, OUTCOME_COMPLETION, &worker, 1);
    wait_for(stage, &agent.acks, 2);
    wait_record(stage, RECORD_COMPLETION, 0);
    is_not_bridged(stage, nth(stage, RECORD_RESULT, 0));
    copies_are(stage, 0);
    assert_int_equal(counter(stage, "bridged"), 0);
}

static void alarms_go_behind_their_state(void **state)
{
    struct stage *stage = *state;
    static struct end first, second;
    agent_open(stage, &first, "m1", "standard", 100);
    agent_open(stage, &second, "m2", "delta-as", 200);
    say_state(&second, CONNECTION_CONNECTED, 0x10, 1); /* no e-stop, no alarm */
    say_state(&second, CONNECTION_CONNECTED, 0x68, 1); /* alarm, e-stop, drive fault, positioning error */
    wait_record(stage, RECORD_EVENT, 3);
    is_bridged(stage, nth(stage, RECORD_STATE, 4), hall);
    for (size_t i = 0; i < 4; i++)
        is_bridged(stage, nth(stage, RECORD_EVENT, i), events_of_m2);
    say_state(&first, CONNECTION_CONNECTED, 218, 1);
    say_state(&first, CONNECTION_CONNECTED, 222, 1); /* alarm */
    is_bridged(stage, wait_record(stage, RECORD_EVENT, 4), hall);
    copies_are(stage, 4 + 5); /* four states, five events */
}

/* m2 goes, and with it its bridge; m1 is another machine now, m9 is new: it gets what goes out for all. */
static void machines_that_come_and_go(void **state)
{
    struct stage *stage = *state;
    assert_int_equal(stop_broker(stage, SIGTERM), 0);
    start_with(stage,
               "  - {id: m9, ip: 10.0.0.9}\n"
               "  - {id: m1, name: Uno, ip: 10.0.0.1}\n"
               "  - {id: m3, ip: 10.0.0.3, profile: future}\n",
               "bridges:\n"
               "  - {from: events, stream: hall}\n"
               "  - {from: events, stream: own, machines: [m1, m9]}\n"
               "  - {from: states, stream: hall}\n");
    static const char *const own[] = {"hall", "own", NULL};
    wait_record(stage, RECORD_STATE, 4);
    assert_int_equal(count_of(stage, RECORD_MACHINE), 4);
    for (size_t i = 0; i < 4; i++) {
        const struct seen_record *event = nth(stage, RECORD_MACHINE, i);
        is_bridged(stage, event, strstr(event->frame, "\"machine_id\":\"m2\"") != NULL ? hall : own);
    }
    is_bridged(stage, nth(stage, RECORD_STATE, 3), hall);
    is_bridged(stage, nth(stage, RECORD_STATE, 4), hall);
    copies_are(stage, 6);
}

static void without_bridges_nothing_is_copied(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    say_state(&agent, CONNECTION_CONNECTED, 222, 15);
    wait_record(stage, RECORD_EVENT, 0);
    copies_are(stage, 0);
    assert_int_equal(counter(stage, "bridged"), 0);
}

static void as_many_streams_as_a_record_holds(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    char bridges[4096], ids[16][STREAM_ID_MAX + 1];
    const char *streams[17] = {NULL};
    size_t len = (size_t)snprintf(bridges, sizeof bridges, "bridges:\n");
    for (unsigned i = 0; i < 16; i++) { /* the longest ids */
        snprintf(ids[i], sizeof ids[i], "%0*u", (int)STREAM_ID_MAX, i);
        streams[i] = ids[i];
        len += (size_t)snprintf(bridges + len, sizeof bridges - len, "  - {from: states, stream: '%s'}\n",
                                ids[i]);
    }
    assert_int_equal(stop_broker(stage, SIGTERM), 0);
    char text[6000];
    snprintf(text, sizeof text, "%s%s", demo_machines, bridges);
    write_conf(stage, 1, text);
    assert_int_equal(start_broker(stage), -1);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    is_bridged(stage, wait_record(stage, RECORD_STATE, 3), streams);
}

/* --- killed ------------------------------------------------------------------------------------------------------- */

#ifdef NORIA_FAULT_POINTS
static void start_to_die(struct stage *stage, const char *fault)
{
    assert_int_equal(stop_broker(stage, SIGTERM), 0);
    setenv("NORIA_FAULT", fault, 1);
    assert_int_equal(start_broker(stage), -1);
    unsetenv("NORIA_FAULT");
}

static void wait_death(struct stage *stage)
{
    for (uint64_t deadline = real_ms() + DEADLINE_MS; stage->broker != 0; pump(stage)) {
        siginfo_t info = {0};
        assert_int_equal(waitid(P_PID, (id_t)stage->broker, &info, WEXITED | WNOHANG | WNOWAIT), 0);
        if (info.si_pid == stage->broker)
            assert_int_equal(stop_broker(stage, SIGKILL), 1000 + SIGKILL);
        else if (real_ms() > deadline)
            fail_msg("the broker lives");
    }
    read_ring(stage);
}

static void killed_between_append_and_head_neither_is_there(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    start_to_die(stage, "broker.appended");
    agent_open(stage, &agent, "m1", "standard", 100);
    size_t before = stage->record_count;
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_death(stage);
    assert_int_equal(stage->record_count, before);
    assert_int_equal(start_broker(stage), -1);
    wait_for(stage, &agent.ups, 2);
    agent.state_seq = 0; /* its birth */
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    is_bridged(stage, wait_record(stage, RECORD_STATE, 3), states_of_m1);
    copies_are(stage, 1);
}

/* The table does not show the state, so the next broker publishes it again: to streams, too, where states are idempotent. */
static void killed_behind_the_head_both_are_there_and_come_again(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    start_to_die(stage, "broker.published");
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_death(stage);
    is_bridged(stage, nth(stage, RECORD_STATE, 3), states_of_m1);
    copies_are(stage, 1);
    assert_int_equal(start_broker(stage), -1);
    const struct seen_record *again = wait_record(stage, RECORD_STATE, 4);
    shows(again, "\"position\":15");
    is_bridged(stage, again, states_of_m1);
    assert_int_equal(counter(stage, "states_restored"), 1);
    copies_are(stage, 2);
}

static void a_result_is_told_once_however_brokers_die(void **state)
{
    static const char *const faults[] = {"broker.outcome.received", "broker.outcome.appended",
                                         "broker.outcome.published", "broker.outcome.acked"};
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    for (uint64_t i = 0; i < 4; i++) {
        start_to_die(stage, faults[i]);
        wait_for(stage, &agent.ups, 2 * i + 2);
        wait_for(stage, &worker.ups, 2 * i + 2);
        say_command(&worker, i + 1, "m1", 20000, false);
        wait_for(stage, &agent.commands, i + 1);
        say_outcome(&agent, i + 1, OUTCOME_RESULT, &worker, i + 1);
        wait_death(stage);
        copies_are(stage, i + (i >= 2));
        assert_int_equal(start_broker(stage), -1);
        wait_for(stage, &agent.ups, 2 * i + 3);
        wait_for(stage, &worker.ups, 2 * i + 3);
        uint64_t acks = agent.acks;
        say_outcome(&agent, i + 1, OUTCOME_RESULT, &worker, i + 1);
        wait_for(stage, &agent.acks, acks + 1);
        is_bridged(stage, wait_record(stage, RECORD_RESULT, i), results_of_m1);
        copies_are(stage, i + 1);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        BRIDGED_PLAY(a_state_goes_to_all_its_streams_in_one_record),
        BRIDGED_PLAY(what_time_does_goes_to_streams_too),
        BRIDGED_PLAY(results_and_completions_go_and_what_is_the_callers_alone_stays),
        BRIDGED_PLAY(an_outcome_goes_to_streams_once),
        BRIDGED_PLAY(machines_without_such_a_bridge),
        BRIDGED_PLAY(alarms_go_behind_their_state),
        BRIDGED_PLAY(machines_that_come_and_go),
        PLAY(without_bridges_nothing_is_copied),
        PLAY(as_many_streams_as_a_record_holds),
#ifdef NORIA_FAULT_POINTS
        BRIDGED_PLAY(killed_between_append_and_head_neither_is_there),
        BRIDGED_PLAY(killed_behind_the_head_both_are_there_and_come_again),
        BRIDGED_PLAY(a_result_is_told_once_however_brokers_die),
#endif
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_bridge_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker bridges", tests, NULL, NULL);
}
