/* broker: commands and outcomes, and what the caller gets. */
#include "broker_stage.h"

#include <signal.h>

#include "log.h"

static void a_command_gets_one_result_and_one_completion(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", 5000, false);
    wait_for(stage, &agent.commands, 1);
    assert_true(agent.last.session_worker == 900 && agent.last.session_serial == 5 &&
                agent.last.command_serial == 1);
    assert_true(agent.last.deadline_ms > 4000 && agent.last.deadline_ms <= 5000);
    assert_int_equal(agent.last.command, COMMAND_MOVE);
    assert_int_equal(agent.last.argument, 7);
    assert_string_equal(agent.last_request_id, "req-1");
    assert_string_equal(agent.last_who, "wms");
    assert_string_equal(agent.last_from, "127.0.0.1:4321");
    say_command(&worker, 1, "m1", 5000, true); /* the same again: not handed over twice */

    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1); /* repeated: only acknowledged */
    say_outcome(&agent, 2, OUTCOME_COMPLETION, &worker, 1);
    wait_for(stage, &agent.acks, 3);
    assert_int_equal(agent.acked, 2);
    const struct seen_record *result = wait_record(stage, RECORD_RESULT, 0);
    shows(result,
          "{\"type\":\"command_result\",\"machine_id\":\"m1\",\"success\":true,\"data\":{\"command_sent\":1,"
          "\"argument\":7,\"result\":\"Comando ejecutado correctamente\"},\"request_id\":\"req-1\"");
    assert_int_equal(result->origin_mode, ORIGIN_ALSO);
    assert_true(result->origin.worker == 900 && result->origin.serial == 5);
    assert_string_equal(result->topics[0], "result/m1");
    assert_string_equal(result->topics[1], "result/#");
    assert_int_equal(result->outcome.command_serial, 1);
    assert_int_equal(result->outcome.slot, 0);
    assert_true(result->outcome.agent_gen == 100 && result->outcome.outcome_seq == 1);
    const struct seen_record *completion = wait_record(stage, RECORD_COMPLETION, 0);
    shows(completion,
          "{\"type\":\"command_completed\",\"machine_id\":\"m1\",\"command\":{\"command\":1,\"argument\":7},"
          "\"success\":true,\"position\":7,\"elapsed_ms\":12");
    assert_int_equal(completion->origin_mode, ORIGIN_ALSO);
    assert_int_equal(count_of(stage, RECORD_RESULT), 1);
    assert_int_equal(counter(stage, "outcomes_repeated"), 1);
    wait_counter(stage, "commands_repeated", 1); /* it came by another connection than the outcomes */
    assert_int_equal(counter(stage, "commands_handed"), 1);
    say_command(&worker, 1, "m1", 5000, true); /* and not after its answer either */
    wait_counter(stage, "commands_repeated", 2);
    wait_gauge(stage, "commands_live", 0);
    assert_int_equal(agent.commands, 1);
}

static void an_agent_that_answers_again_under_a_new_number_is_heard_once(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", 20000, false);
    wait_for(stage, &agent.commands, 1);
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 2, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 3, OUTCOME_COMPLETION, &worker, 1);
    say_outcome(&agent, 4, OUTCOME_COMPLETION, &worker, 1);
    wait_for(stage, &agent.acks, 4);
    assert_int_equal(stop_broker(stage, SIGKILL),
                     1000 + SIGKILL); /* and the next broker knows it from the ring */
    assert_int_equal(start_broker(stage), -1);
    wait_for(stage, &agent.ups, 2);
    say_outcome(&agent, 5, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 6, OUTCOME_COMPLETION, &worker, 1);
    say_outcome(&agent, 7, OUTCOME_RESULT, &worker, 2); /* the marker */
    wait_record(stage, RECORD_RESULT, 1);
    assert_int_equal(nth(stage, RECORD_RESULT, 1)->outcome.command_serial, 2);
    assert_int_equal(count_of(stage, RECORD_RESULT), 2);
    assert_int_equal(count_of(stage, RECORD_COMPLETION), 1);
    assert_int_equal(counter(stage, "outcomes_repeated"), 2);
}

static void what_cannot_be_done_is_refused_to_the_caller_alone(void **state)
{
    struct stage *stage = *state;
    static struct end agent, other, blind, worker;
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "ghost", -1, false);
    wait_refusal(stage, 0, 1, "Machine not found", "MACHINE_NOT_FOUND");
    assert_int_equal(nth(stage, RECORD_REFUSAL, 0)->outcome.slot, UINT32_MAX);
    say_command(&worker, 2, "m1", 60000, false); /* held for an agent that may come back, then answered */
    wait_refusal(stage, 1, 2, "No connection to the PLC", "CONNECTION_ERROR");
    say_command(&worker, 3, "m3", -1, false);
    wait_refusal(stage, 2, 3, "unknown profile", "INTERLOCK");
    agent_open(stage, &blind, "m3", "future", 300);
    assert_false(blind.agrees);
    say_command(&worker, 4, "m3", -1, false);
    wait_refusal(stage, 3, 4, "unknown profile", "INTERLOCK");
    agent_open(stage, &other, "m2", "standard", 200); /* decodes otherwise than the broker */
    assert_false(other.agrees);
    say_command(&worker, 5, "m2", -1, false);
    wait_refusal(stage, 4, 5, "unknown profile", "INTERLOCK");
    agent_open(stage, &agent, "m1", "standard", 100);
    say_command(&worker, 6, "m1", 0, false);
    wait_refusal(stage, 5, 6, "Deadline passed before the command was sent", "TIMEOUT");

    struct wire_message message = {.type = WIRE_COMMAND};
    message.command = (struct wire_command){.session_worker = 900,
                                            .session_serial = 5,
                                            .command_serial = 7,
                                            .dialect = DIALECT_CAROUSEL,
                                            .machine = wire_text("m1"),
                                            .request_id = wire_text("req-1"),
                                            .command = COMMAND_REARM + 1,
                                            .argument = -1,
                                            .deadline_ms = -1};
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    wait_refusal(stage, 6, 7, "Invalid command", "INVALID_COMMAND");
    message.command.command = COMMAND_STATUS; /* reading is no acting: an unknown profile does not matter */
    message.command.command_serial = 8;
    message.command.machine = wire_text("m3");
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    wait_for(stage, &blind.commands, 1);
    assert_int_equal(agent.commands + other.commands, 0);
    assert_int_equal(counter(stage, "refusals_interlock"), 3);
    assert_int_equal(count_of(stage, RECORD_RESULT), 0);
}

static void failures_reach_the_caller_and_if_sent_the_subscribers(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    for (uint64_t serial = 1; serial <= 2; serial++) {
        say_command(&worker, serial, "m1", 5000, false);
        wait_for(stage, &agent.commands, serial);
    }
    say_failure(&agent, 1, &worker, 1, CODE_BUSY, false);
    wait_refusal(stage, 0, 1, "Machine is busy", "BUSY");
    say_failure(&agent, 2, &worker, 2, CODE_OUTCOME_UNKNOWN, true);
    wait_refusal(stage, 1, 2, "The command was sent; whether it was carried out is unknown",
                 "OUTCOME_UNKNOWN");
    const struct seen_record *result = wait_record(stage, RECORD_RESULT, 0);
    shows(result, "{\"type\":\"command_result\",\"machine_id\":\"m1\",\"success\":false");
    shows(result, "\"code\":\"OUTCOME_UNKNOWN\"");
    assert_int_equal(result->origin_mode, ORIGIN_NOT);
    assert_int_equal(result->outcome.command_serial, 2);
    assert_int_equal(count_of(stage, RECORD_RESULT), 1);
    wait_for(stage, &agent.acks, 2);
}

static void a_silent_agent_means_outcome_unknown_and_a_late_result_is_not_the_callers(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", -1, false); /* the machine's default: 400 ms */
    wait_for(stage, &agent.commands, 1);
    assert_true(agent.last.deadline_ms <= 400);
    wait_refusal(stage, 0, 1, "The command was sent; whether it was carried out is unknown",
                 "OUTCOME_UNKNOWN");
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 2, OUTCOME_COMPLETION, &worker, 1);
    assert_int_equal(wait_record(stage, RECORD_RESULT, 0)->origin_mode, ORIGIN_NOT);
    assert_int_equal(wait_record(stage, RECORD_COMPLETION, 0)->origin_mode, ORIGIN_ALSO);
    assert_int_equal(counter(stage, "outcomes_late"), 1);
}

/* What the agent says to others who asked for the same request is theirs alone; subscribers have heard it. */
static void a_repeated_answer_reaches_its_asker_alone(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker, late;
    static const enum outcome_kind_e kinds[] = {OUTCOME_RESULT, OUTCOME_COMPLETION};
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    worker_open(stage, &late, 901, UINT32_MAX);
    say_command(&worker, 1, "m1", 20000, false);
    struct wire_message command = command_message(&late, 1, 20000);
    command.command.scope = wire_text("u:");
    assert_int_equal(link_send(late.link, &command), ERR_OK);
    wait_for(stage, &agent.commands, 2);
    uint64_t seq = 0;
    for (int i = 0; i < 2; i++) {
        say_outcome(&agent, ++seq, kinds[i], &worker, 1);
        struct wire_message message = outcome_message(&agent, ++seq, kinds[i], 901, 1);
        message.outcome.repeat = true;
        assert_int_equal(link_send(agent.link, &message), ERR_OK);
    }
    struct wire_message failure = outcome_message(&agent, ++seq, OUTCOME_RESULT, 901, 2);
    failure.outcome.repeat = true;
    failure.outcome.code = CODE_OUTCOME_UNKNOWN;
    assert_int_equal(link_send(agent.link, &failure), ERR_OK);
    wait_for(stage, &agent.acks, seq);
    wait_record(stage, RECORD_REFUSAL, 0);
    assert_int_equal(count_of(stage, RECORD_RESULT), 2);
    assert_int_equal(count_of(stage, RECORD_COMPLETION), 2);
    for (int i = 0; i < 2; i++) {
        enum record_kind_e kind = i == 0 ? RECORD_RESULT : RECORD_COMPLETION;
        const struct seen_record *first = nth(stage, kind, 0), *second = nth(stage, kind, 1);
        assert_int_equal(first->origin_mode, ORIGIN_ALSO);
        assert_int_equal(second->origin_mode, ORIGIN_ONLY);
        assert_int_equal(second->topic_count, 0);
        assert_true(second->origin.worker == 901 && second->origin.serial == 5);
        assert_int_equal(second->outcome.command_serial, 1);
        shows(second, i == 0 ? "\"success\":true,\"data\":{\"command_sent\":1,\"argument\":7"
                             : "\"success\":true,\"position\":7,\"elapsed_ms\":12");
    }
    assert_int_equal(counter(stage, "outcomes_for_one"), 3);
    assert_int_equal(counter(stage, "outcomes_results"), 1);
}

/* Its agent has the request by another key, and is away: nobody may say that nothing was sent, and no other process gets it
 * as if it were new. */
static void a_request_that_was_handed_over_is_not_new_by_another_key(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    struct wire_message message = command_message(&worker, 1, 60000);
    message.command.scope = wire_text("u:");
    message.command.age_ms = 5000;
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    wait_for(stage, &agent.commands, 1);
    assert_string_equal(agent.last_scope, "u:");
    assert_false(agent.last.resent);
    end_leaves(stage, &agent);
    message.command.command_serial = 2;
    message.command.age_ms = 1;
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    message.command.command_serial =
        3; /* another request, though of the same name: refused, because nothing was sent */
    message.command.scope = wire_text("p:wms");
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    wait_refusal(stage, 0, 3, "No connection to the PLC", "CONNECTION_ERROR");
    assert_int_equal(counter(stage, "commands_held"), 1);
    agent_open(stage, &agent, "m1", "standard", 101);
    wait_for(stage, &agent.commands, 2);
    assert_int_equal(agent.last.command_serial, 2);
    assert_true(agent.last.resent && agent.last.age_ms >= 5000);
}

/* It lay in a socket for three seconds, because somebody stood still: they are gone from its deadline. */
static void the_way_of_a_command_counts_against_its_deadline(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    struct wire_message message = command_message(&worker, 1, 20000);
    message.command.source_ns = clock_mono_ns(clock_system()) - 3 * NS_PER_S;
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    wait_for(stage, &agent.commands, 1);
    assert_true(agent.last.age_ms >= 3000 && agent.last.deadline_ms <= 17000 && agent.last.deadline_ms > 0);
    message.command.command_serial = 2;
    message.command.deadline_ms = 2500;
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    wait_refusal(stage, 0, 2, "Deadline passed before the command was sent", "TIMEOUT");
}

static void senseless_outcomes_are_acknowledged_and_not_shown(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    struct wire_message message = outcome_message(&agent, 1, OUTCOME_RESULT, 900, 1);
    message.outcome.dialect = 99;
    assert_int_equal(link_send(agent.link, &message), ERR_OK);
    message = outcome_message(&agent, 2, (enum outcome_kind_e)9, 900, 1);
    assert_int_equal(link_send(agent.link, &message), ERR_OK);
    wait_for(stage, &agent.acks, 2);
    message = outcome_message(&agent, 3, OUTCOME_RESULT, 900, 1);
    message.outcome.text = wire_text("not \xff UTF-8");
    assert_int_equal(link_send(agent.link, &message), ERR_OK);
    message = outcome_message(&agent, 4, OUTCOME_RESULT, 900, 1);
    assert_int_equal(link_send(agent.link, &message), ERR_OK);
    const struct seen_record *record = wait_record(stage, RECORD_RESULT, 0);
    assert_true(record->outcome.outcome_seq == 4);
    assert_int_equal(counter(stage, "invalid"), 3);
    assert_int_equal(counter(stage, "outcomes_unasked"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_command_gets_one_result_and_one_completion),
        PLAY(an_agent_that_answers_again_under_a_new_number_is_heard_once),
        PLAY(what_cannot_be_done_is_refused_to_the_caller_alone),
        PLAY(failures_reach_the_caller_and_if_sent_the_subscribers),
        PLAY(a_silent_agent_means_outcome_unknown_and_a_late_result_is_not_the_callers),
        PLAY(a_repeated_answer_reaches_its_asker_alone),
        PLAY(a_request_that_was_handed_over_is_not_new_by_another_key),
        PLAY(the_way_of_a_command_counts_against_its_deadline),
        PLAY(senseless_outcomes_are_acknowledged_and_not_shown),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_command_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker commands", tests, NULL, NULL);
}
