/* broker: what it tells the clients of channels itself, and that each thing is told once, whichever broker dies when. */
#include "broker_store_stage.h"

#include <sys/wait.h>

/* The broker's own events, in order: "level message data" of each, from the n-th on, is exactly this. */
static void says(struct stage *stage, size_t n, const char *level, const char *message, const char *data)
{
    char expected[512];
    const struct seen_record *event = wait_event(stage, 0, n);
    int len = snprintf(
        expected, sizeof expected,
        "{\"type\":\"system_event\",\"level\":\"%s\",\"message\":\"%s\",\"data\":%s,\"timestamp\":\"", level,
        message, data);
    if (strncmp(event->frame, expected, (size_t)len) != 0)
        fail_msg("event %zu is\n%s\n    and not\n%s", n, event->frame, expected);
    char seq[64];
    snprintf(seq, sizeof seq, "Z\",\"seq\":\"%08x-%llu\"}", ring_reader_id(stage->ring),
             (unsigned long long)event->position / RECORD_ALIGN);
    size_t timestamp = strlen("2026-11-22T22:02:28.895");
    assert_string_equal(event->frame + len + timestamp, seq);
    assert_int_equal(event->topic_count, 1);
    assert_string_equal(event->topics[0], "channel/general");
    assert_int_equal(event->dialect, DIALECT_CHANNELS);
    assert_int_equal(event->origin_mode, ORIGIN_NONE);
}

/* Nothing more has been told than `count` events; what is asked about is public before this. */
static void says_no_more(struct stage *stage, size_t count)
{
    read_ring(stage);
    const struct seen_record *more = nth_event(stage, 0, count);
    if (more != NULL)
        fail_msg("one more:\n%s", more->frame);
}

#define STARTED                                                                                              \
    "Sistema iniciado correctamente", "{\"module\":\"websocket\",\"version\":\"" NORIA_VERSION "\"}"

/* --- the broker's own life --------------------------------------------------------------------------------------------- */

static void the_first_record_of_a_ring_says_that_the_system_has_started(void **state)
{
    struct stage *stage = *state;
    says(stage, 0, "info", STARTED);
    assert_ptr_equal(nth_event(stage, 0, 0), &stage->records[0]);
    says_no_more(stage, 1);
    assert_int_equal(counter(stage, "system_events"), 1);
}

static void a_killed_broker_has_been_restarted_and_a_stopped_one_starts(void **state)
{
    struct stage *stage = *state;
    restart(stage);
    says(stage, 1, "warning", "Proceso reiniciado", "{\"process\":\"broker\"}");
    restart(stage);
    says(stage, 2, "warning", "Proceso reiniciado", "{\"process\":\"broker\"}");
    assert_int_equal(stop_broker(stage, SIGTERM), 0);
    says(stage, 3, "info", "Sistema detenido", "{\"module\":\"websocket\"}");
    assert_int_equal(start_broker(stage), -1);
    says(stage, 4, "info", STARTED);
    restart(stage);
    says(stage, 5, "warning", "Proceso reiniciado", "{\"process\":\"broker\"}");
    says_no_more(stage, 6);
}

/* --- processes --------------------------------------------------------------------------------------------------------- */

static void processes_that_are_lost_leave_or_come_back_are_told_of(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static struct end worker, other;
    struct mute mute;
    worker_open(stage, &worker, 900, 1);
    store_open(stage, &store, 700);
    worker_open(stage, &other, 901, 0);
    end_leaves(stage, &worker);
    says(stage, 1, "info", "Proceso detenido", "{\"process\":\"worker.1\"}");
    mute_open(stage, &mute, WIRE_WORKER, 902, 1);
    says(stage, 2, "info", "Proceso reiniciado", "{\"process\":\"worker.1\"}");
    mute_vanishes(&mute);
    says(stage, 3, "warning", "Proceso caído", "{\"process\":\"worker.1\"}");
    end_leaves(stage, &store.end);
    says(stage, 4, "info", "Proceso detenido", "{\"process\":\"store\"}");
    mute_open(stage, &mute, WIRE_STORE, 701, UINT32_MAX);
    says(stage, 5, "info", "Proceso reiniciado", "{\"process\":\"store\"}");
    mute_vanishes(&mute);
    says(stage, 6, "warning", "Proceso caído", "{\"process\":\"store\"}");
    worker_open(stage, &worker, 903, 1);
    says(stage, 7, "info", "Proceso reiniciado", "{\"process\":\"worker.1\"}");
    says_no_more(stage, 8);
    assert_int_equal(other.downs, 0);
}

/* Agents are machines' business, and tools nobody's. */
static void agents_and_tools_are_not_told_of(void **state)
{
    struct stage *stage = *state;
    static struct end agent, tool, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    tool_open(stage, &tool, 800);
    end_leaves(stage, &agent);
    end_leaves(stage, &tool);
    worker_open(stage, &worker, 900, 0);
    end_leaves(stage, &worker);
    says(stage, 1, "info", "Proceso detenido", "{\"process\":\"worker.0\"}");
    says_no_more(stage, 2);
}

/* The next broker knows from the ring who is missing. */
static void who_was_missing_is_told_of_by_the_next_broker_when_it_is_back(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static struct end worker, stays;
    struct mute mute;
    worker_open(stage, &stays, 899, 0);
    worker_open(stage, &worker, 900, 1);
    mute_open(stage, &mute, WIRE_STORE, 700, UINT32_MAX);
    end_leaves(stage, &worker);
    mute_vanishes(&mute);
    says(stage, 2, "warning", "Proceso caído", "{\"process\":\"store\"}");
    restart(stage);
    says(stage, 3, "warning", "Proceso reiniciado", "{\"process\":\"broker\"}");
    wait_for(stage, &stays.ups, 2);
    store_open(stage, &store, 701);
    says(stage, 4, "info", "Proceso reiniciado", "{\"process\":\"store\"}");
    restart(stage);
    wait_for(stage, &store.end.ups, 2);
    worker_open(stage, &worker, 901, 1);
    says(stage, 5, "warning", "Proceso reiniciado", "{\"process\":\"broker\"}");
    says(stage, 6, "info", "Proceso reiniciado", "{\"process\":\"worker.1\"}");
    says_no_more(stage, 7);
}

/* --- machines ---------------------------------------------------------------------------------------------------------- */

static void a_machine_that_loses_its_connection_and_gets_it_again_is_told_of(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_ERROR, -1, 0);
    say_state(&agent, CONNECTION_CONNECTED, 218, 1); /* it never was */
    say_state(&agent, CONNECTION_ERROR, 218, 1);
    says(stage, 1, "warning", "Máquina sin conexión",
         "{\"machine_id\":\"m1\",\"connection_status\":\"error\"}");
    say_state(&agent, CONNECTION_DISCONNECTED, 218, 1); /* still without */
    say_state(&agent, CONNECTION_CONNECTED, 218, 2);
    says(stage, 2, "info", "Máquina conectada", "{\"machine_id\":\"m1\"}");
    end_leaves(stage, &agent);
    says(stage, 3, "warning", "Máquina sin conexión",
         "{\"machine_id\":\"m1\",\"connection_status\":\"disconnected\"}");
    says_no_more(stage, 4);
    /* In the same move of the head as its state, behind it. */
    const struct seen_record *state_record = nth(stage, RECORD_STATE, count_of(stage, RECORD_STATE) - 1);
    assert_ptr_equal(nth_event(stage, 0, 3), state_record + 1);
}

static void a_stale_machine_is_one_without_a_connection(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    agent.reading_age_ms = 60000;
    say_state(&agent, CONNECTION_CONNECTED, 218, 1);
    says(stage, 1, "warning", "Máquina sin conexión",
         "{\"machine_id\":\"m1\",\"connection_status\":\"stale\"}");
    agent.reading_age_ms = 0;
    says(stage, 2, "info", "Máquina conectada", "{\"machine_id\":\"m1\"}");
}

/* Behind the alarms of the same state, and a bridge's copy is of the state alone. */
static void a_lost_connection_stands_behind_the_alarms(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 1);
    say_state(&agent, CONNECTION_ERROR, 218 | 4, 1);
    says(stage, 1, "warning", "Máquina sin conexión",
         "{\"machine_id\":\"m1\",\"connection_status\":\"error\"}");
    const struct seen_record *alarm = wait_record(stage, RECORD_EVENT, 0);
    assert_ptr_equal(nth_event(stage, 0, 1), alarm + 1);
}

#ifdef NORIA_FAULT_POINTS
static size_t told_of_m1(const struct stage *stage)
{
    size_t count = 0;
    const struct seen_record *event;
    for (size_t n = 0; (event = nth_event(stage, 0, n)) != NULL; n++)
        count += strstr(event->frame, "\"machine_id\":\"m1\"") != NULL;
    return count;
}

/* The broker dies with the change in its hands; whoever shows the change, tells of it. */
static void dies_at(struct stage *stage, const char *point, size_t known)
{
    static struct end agent;
    stop_broker(stage, SIGKILL);
    assert_int_equal(start_broker(stage), -1);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 1);
    wait_counter(stage, "states_published", 1);
    stop_broker(stage, SIGKILL);
    setenv("NORIA_FAULT", point, 1);
    assert_int_equal(start_broker(stage), -1);
    unsetenv("NORIA_FAULT");
    read_ring(stage);
    size_t before = told_of_m1(stage);
    wait_for(stage, &agent.ups, 2);
    agent.state_seq = 0;
    say_state(&agent, CONNECTION_ERROR, 218, 1);
    int status;
    wait_for(stage, &agent.downs, 2);
    assert_int_equal(waitpid(stage->broker, &status, 0), stage->broker);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    stage->broker = 0;
    read_ring(stage);
    assert_int_equal(told_of_m1(stage), before + known);
    assert_int_equal(start_broker(stage), -1);
    wait_for(stage, &agent.ups, 3);
    agent.state_seq = 0;
    say_state(&agent, CONNECTION_ERROR, 218, 1);
    say_state(&agent, CONNECTION_ERROR, 218, 2); /* a marker */
    wait_counter(stage, "states_published", 1);
    size_t states = count_of(stage, RECORD_STATE);
    while (nth(stage, RECORD_STATE, count_of(stage, RECORD_STATE) - 1)->state.position != 2)
        wait_record(stage, RECORD_STATE, states++);
    assert_int_equal(told_of_m1(stage), before + 1);
    end_close(stage, &agent);
}
#endif

static void a_change_is_told_as_often_as_it_is_shown_whenever_the_broker_is_killed(void **state)
{
#ifdef NORIA_FAULT_POINTS
    struct stage *stage = *state;
    static const struct {
        const char *point;
        size_t known;
    } deaths[] = {{"broker.encoded", 0},   {"broker.appended", 0},
                  {"broker.published", 1}, {"broker.slot.odd", 1},
                  {"broker.slot.put", 1},  {"broker.rung:2", 1}}; /* once for its own beginning */
    for (size_t i = 0; i < ARRAY_LEN(deaths); i++)
        dies_at(stage, deaths[i].point, deaths[i].known);
#else
    (void)state;
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(the_first_record_of_a_ring_says_that_the_system_has_started),
        PLAY(a_killed_broker_has_been_restarted_and_a_stopped_one_starts),
        PLAY(processes_that_are_lost_leave_or_come_back_are_told_of),
        PLAY(agents_and_tools_are_not_told_of),
        PLAY(who_was_missing_is_told_of_by_the_next_broker_when_it_is_back),
        PLAY(a_machine_that_loses_its_connection_and_gets_it_again_is_told_of),
        PLAY(a_stale_machine_is_one_without_a_connection),
        PLAY(a_lost_connection_stands_behind_the_alarms),
        PLAY(a_change_is_told_as_often_as_it_is_shown_whenever_the_broker_is_killed),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_system_event_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker system events", tests, NULL, NULL);
}
