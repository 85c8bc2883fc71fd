/* broker: kill -9 in the middle of everything, again and again: of the broker alone, and of its agents, too. */
#include "broker_stage.h"

#include <signal.h>

#include "log.h"

#define STORM_KILLS    40
#define STORM_COMMANDS (STORM_KILLS * 4)

/* An agent and a worker that keep what link.h's owners must keep: unacknowledged outcomes, unanswered commands, the
 * newest state. The agent's journal outlives it: the n-th command that was carried out has outcomes 2n-1, the result, and 2n, the
 * completion. A process that follows a dead one says again what the journal does not note as told, under numbers of its own. */
struct storm {
    struct end agent, worker;
    uint64_t carried_out[STORM_COMMANDS], carried_count; /* serials, in order */
    uint64_t before; /* outcomes of the journal that this process of the agent need not say */
    uint64_t taken;  /* commands that it has carried out, or knew */
    bool agents_die;
    uint64_t agent_ups, worker_ups, said_outcomes;
    uint64_t sent_commands, number; /* of the newest state */
    uint64_t restarted_ms, ups_at_restart;
    bool slow; /* once at least this test took so long to come back that the agent was given up, rightly */
};

static void storm_outcomes(struct storm *storm)
{
    while (storm->said_outcomes < 2 * storm->carried_count) {
        uint64_t n = storm->said_outcomes + 1;
        struct wire_message message = outcome_message(
            &storm->agent, n - storm->before, n % 2 == 1 ? OUTCOME_RESULT : OUTCOME_COMPLETION,
            storm->worker.incarnation, storm->carried_out[(n - 1) / 2]);
        if (link_send(storm->agent.link, &message) != ERR_OK)
            return;
        storm->said_outcomes = n;
    }
}

static void storm_carry_out(struct storm *storm, uint64_t serial)
{
    for (uint64_t i = 0; i < storm->carried_count; i++)
        if (storm->carried_out[i] == serial)
            return; /* known: never twice */
    storm->carried_out[storm->carried_count++] = serial;
}

static void storm_state(struct storm *storm)
{
    struct wire_message message = {.type = WIRE_STATE};
    message.state = (struct wire_state){.agent_gen = storm->agent.incarnation,
                                        .state_seq = ++storm->agent.state_seq,
                                        .machine = wire_text("m1"),
                                        .connection = CONNECTION_CONNECTED,
                                        .has_reading = true,
                                        .raw_status = 218,
                                        .position = storm->number % 256,
                                        .read_wall_ms = storm->number};
    link_send(storm->agent.link, &message);
}

static void storm_command(struct storm *storm, uint64_t serial, bool resent)
{
    struct wire_message message = command_message(&storm->worker, serial, 60000);
    message.command.resent = resent;
    link_send(storm->worker.link, &message);
}

static size_t storm_answers(const struct stage *stage, uint64_t serial)
{
    size_t count = 0;
    for (size_t i = 0; i < stage->record_count; i++) {
        const struct seen_record *record = &stage->records[i];
        count += (record->kind == RECORD_RESULT || record->kind == RECORD_REFUSAL) &&
                 record->origin_mode != ORIGIN_NOT && record->outcome.command_serial == serial;
    }
    return count;
}

/* A broker waits for its agents for a second after it is ready. */
static void storm_watch_the_clock(struct storm *storm)
{
    bool away = storm->agent.ups == storm->ups_at_restart;
    storm->slow |= away && real_ms() - storm->restarted_ms > 900;
}

/* One round of servicing, and what the owners of links do after each HELLO_OK. */
static void storm_pump(struct stage *stage, struct storm *storm)
{
    pump(stage);
    storm_watch_the_clock(storm);
    if (storm->agent.ups != storm->agent_ups) {
        storm->agent_ups = storm->agent.ups;
        storm_state(storm);
        storm->said_outcomes = storm->before + storm->agent.acked;
    }
    for (; storm->taken < storm->agent.commands; storm->taken++)
        storm_carry_out(storm, storm->agent.serials[storm->taken % ARRAY_LEN(storm->agent.serials)]);
    storm_outcomes(storm);
    if (storm->worker.ups != storm->worker_ups) {
        storm->worker_ups = storm->worker.ups;
        for (uint64_t serial = 1; serial <= storm->sent_commands; serial++)
            if (storm_answers(stage, serial) == 0)
                storm_command(storm, serial, true);
    }
}

static bool storm_is_over(struct stage *stage, const struct storm *storm)
{
    const struct seen_record *last = NULL;
    for (size_t i = 0; i < stage->record_count; i++)
        if (stage->records[i].kind == RECORD_STATE && stage->records[i].state.slot == 0)
            last = &stage->records[i];
    for (uint64_t serial = 1; serial <= storm->sent_commands; serial++)
        if (storm_answers(stage, serial) == 0)
            return false;
    return last != NULL && last->state.read_wall_ms == storm->number &&
           storm->before + storm->agent.acked == 2 * storm->carried_count;
}

static bool storm_carried(const struct storm *storm, uint64_t serial)
{
    for (uint64_t i = 0; i < storm->carried_count; i++)
        if (storm->carried_out[i] == serial)
            return true;
    return false;
}

static void storm_check(struct stage *stage, const struct storm *storm)
{
    uint64_t number = 0;
    size_t completions[STORM_COMMANDS + 1] = {0};
    for (size_t i = 0; i < stage->record_count; i++) {
        const struct seen_record *record = &stage->records[i];
        if (record->kind == RECORD_STATE && record->state.slot == 0) {
            assert_true(record->state.read_wall_ms >= number); /* in order, and never disconnected again */
            number = record->state.read_wall_ms;
            if (number == 0 || !(storm->slow || storm->agents_die))
                assert_int_equal(record->state.connection,
                                 number == 0 ? CONNECTION_DISCONNECTED : CONNECTION_CONNECTED);
        }
        if (record->kind == RECORD_COMPLETION)
            completions[record->outcome.command_serial]++;
    }
    for (uint64_t serial = 1; serial <= storm->sent_commands; serial++) {
        assert_int_equal(storm_answers(stage, serial), 1);
        assert_int_equal(completions[serial], storm_carried(storm, serial));
    }
    if (!storm->agents_die) /* else some were refused while there was none */
        assert_int_equal(storm->carried_count, storm->sent_commands);
    assert_true(storm->carried_count > storm->sent_commands / 2);
    assert_int_equal(count_of(stage, RECORD_RESULT), storm->carried_count);
}

/* The agent is killed; what it was told of and has not noted as told, the next one says again. */
static void storm_successor(struct stage *stage, struct storm *storm)
{
    uint64_t incarnation = storm->agent.incarnation + 1, told = storm->before + storm->agent.acked;
    uint64_t untold = (uint64_t)(rand() % 5);
    end_close(stage, &storm->agent);
    storm->before = storm->said_outcomes = told > untold ? told - untold : 0;
    storm->taken = storm->agent_ups = 0;
    agent_open(stage, &storm->agent, "m1", "standard", incarnation);
}

static void storm_kill_something(struct stage *stage, struct storm *storm)
{
    int what = storm->agents_die ? rand() % 4 : 0; /* the broker, its agent, one and then the other */
    storm_watch_the_clock(storm);
    if (what >= 2)
        storm_successor(stage, storm);
    storm->restarted_ms = real_ms();
    storm->ups_at_restart = storm->agent.ups;
    if (what != 2)
        restart(stage);
    if (what == 1)
        storm_successor(stage, storm);
}

static void storm_play(struct stage *stage, bool agents_die)
{
    static struct storm storm;
    storm = (struct storm){.agents_die = agents_die};
    srand(41);
    agent_open(stage, &storm.agent, "m1", "standard", 100);
    worker_open(stage, &storm.worker, 900, 0);
    storm.ups_at_restart = UINT64_MAX;
    for (int kills = 0; kills < STORM_KILLS; kills++) {
        for (int i = 0; i < 4; i++) {
            storm.number++;
            storm_state(&storm);
            storm_command(&storm, ++storm.sent_commands, false);
            for (int pumps = rand() % 4; pumps > 0; pumps--)
                storm_pump(stage, &storm);
        }
        storm_kill_something(stage, &storm);
        for (int pumps = rand() % 20; pumps > 0; pumps--) /* sometimes before everybody is back */
            storm_pump(stage, &storm);
    }
    for (uint64_t deadline = real_ms() + DEADLINE_MS; !storm_is_over(stage, &storm);
         storm_pump(stage, &storm))
        if (real_ms() > deadline)
            fail_msg("something was lost");
    storm_check(stage, &storm);
    const struct seen_record *last = NULL;
    for (size_t i = 0; i < count_of(stage, RECORD_STATE); i++)
        if (nth(stage, RECORD_STATE, i)->state.slot == 0)
            last = nth(stage, RECORD_STATE, i);
    table_agrees(stage, 0, last);
}

static void nothing_is_lost_or_said_twice_however_often_the_broker_is_killed(void **state)
{
    storm_play(*state, false);
}

static void nor_if_its_agents_are_killed_too(void **state)
{
    storm_play(*state, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(nothing_is_lost_or_said_twice_however_often_the_broker_is_killed),
        PLAY(nor_if_its_agents_are_killed_too),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_storm_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker storms", tests, NULL, NULL);
}
