/* broker: an agent dies with a command in its hands, and another process of the machine comes. */
#include "broker_stage.h"

#include <signal.h>

#include "log.h"

/* Nothing came of what was said before: the next record of the path is this one's. */
static void marker(struct stage *stage, struct end *agent, uint64_t seq, const struct end *worker,
                   uint64_t serial, size_t results)
{
    say_outcome(agent, seq, OUTCOME_RESULT, worker, serial);
    assert_int_equal(wait_record(stage, RECORD_RESULT, results)->outcome.command_serial, serial);
    assert_int_equal(count_of(stage, RECORD_RESULT), results + 1);
}

static void a_command_is_handed_to_the_same_agent_again_and_then_to_its_successors(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    struct wire_message message = command_message(&worker, 1, 60000);
    message.command.age_ms = 3000;
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    wait_for(stage, &agent.commands, 1);
    assert_false(agent.last.resent);
    end_leaves(stage, &agent);
    agent_open(stage, &agent, "m1", "standard", 100); /* as after a lost connection */
    wait_for(stage, &agent.commands, 1);
    assert_false(agent.last.resent);
    wait_counter(stage, "commands_again", 1); /* counted when it is sent */
    int64_t left_ms = agent.last.deadline_ms;
    for (uint64_t incarnation = 101; incarnation <= 102; incarnation++) { /* both die with it */
        end_leaves(stage, &agent);
        agent_open(stage, &agent, "m1", "standard", incarnation);
        wait_for(stage, &agent.commands, 1);
        assert_true(agent.last.resent);
        assert_int_equal(agent.last.command_serial, 1);
        assert_true(agent.last.age_ms >= 3000 && agent.last.deadline_ms <= left_ms);
        assert_string_equal(agent.last_who, "wms");
        left_ms = agent.last.deadline_ms;
    }
    wait_counter(stage, "commands_passed_on", 2);
    say_command(&worker, 2, "m1", 60000, false); /* a new one stays new */
    wait_for(stage, &agent.commands, 2);
    assert_false(agent.last.resent);
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
    assert_int_equal(wait_record(stage, RECORD_RESULT, 0)->origin_mode, ORIGIN_ALSO);
    say_outcome(&agent, 2, OUTCOME_RESULT, &worker, 2);
    wait_for(stage, &agent.acks, 2);
    end_leaves(stage, &agent);
    agent_open(stage, &agent, "m1", "standard", 103); /* what has its answer is not handed to anybody */
    say_command(&worker, 3, "m1", 60000, false);
    wait_for(stage, &agent.commands, 1);
    assert_int_equal(agent.last.command_serial, 3);
    assert_int_equal(counter(stage, "commands_passed_on"), 2);
}

/* Only the journal of a read-only machine's agent knows whether the command was written when it was none. */
static void what_may_have_been_handed_over_goes_to_the_agent_whatever_stands_against_it(void **state)
{
    struct stage *stage = *state;
    static struct end agent, blind, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", 60000, false);
    wait_for(stage, &agent.commands, 1);
    end_leaves(stage, &agent);
    agent_open(stage, &agent, "m1", "delta-as", 101); /* decodes otherwise than the broker */
    assert_false(agent.agrees);
    wait_for(stage, &agent.commands, 1);
    assert_true(agent.last.resent);
    say_command(&worker, 2, "m1", 60000, false);
    wait_refusal(stage, 0, 2, "unknown profile", "INTERLOCK");
    agent_open(stage, &blind, "m3", "future", 300);
    say_command(&worker, 3, "m3", 60000, true);
    wait_for(stage, &blind.commands, 1);
    say_command(&worker, 4, "ghost", 60000, true); /* its machine was configured when it was handed over */
    wait_refusal(stage, 1, 4, "The command was sent; whether it was carried out is unknown",
                 "OUTCOME_UNKNOWN");
}

static void what_one_agent_has_said_is_not_heard_again_from_another(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", 20000, false);
    wait_for(stage, &agent.commands, 1);
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 2, OUTCOME_COMPLETION, &worker, 1);
    wait_for(stage, &agent.acks, 2);
    end_leaves(stage, &agent);
    agent_open(stage, &agent, "m1", "standard", 101); /* its journal does not say that the broker was told */
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 2, OUTCOME_COMPLETION, &worker, 1);
    wait_for(stage, &agent.acks, 2);
    marker(stage, &agent, 3, &worker, 2, 1);
    assert_int_equal(count_of(stage, RECORD_COMPLETION), 1);
    assert_int_equal(counter(stage, "outcomes_repeated"), 2);
}

/* The broker and the agent die; what either of them knew is in the ring. */
static void nor_by_a_broker_that_only_reads_of_it_in_the_ring(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    for (uint64_t serial = 1; serial <= 2; serial++) {
        say_command(&worker, serial, "m1", 20000, false);
        wait_for(stage, &agent.commands, serial);
        say_outcome(&agent, 2 * serial - 1, OUTCOME_RESULT, &worker, serial);
        if (serial == 1)
            say_outcome(&agent, 2, OUTCOME_COMPLETION, &worker, 1);
    }
    wait_for(stage, &agent.acks, 3);
    end_close(stage, &agent);
    restart(stage);
    agent_open(stage, &agent, "m1", "standard", 101);
    for (uint64_t serial = 1; serial <= 2; serial++) {
        say_outcome(&agent, 2 * serial - 1, OUTCOME_RESULT, &worker, serial);
        say_outcome(&agent, 2 * serial, OUTCOME_COMPLETION, &worker,
                    serial); /* of the second one it is news */
    }
    wait_for(stage, &agent.acks, 4);
    assert_int_equal(counter(stage, "outcomes_repeated"), 3);
    assert_int_equal(counter(stage, "outcomes_unasked"), 0);
    end_leaves(stage, &agent);
    restart(stage);
    agent_open(stage, &agent, "m1", "standard", 102); /* and once more, from the ring and from the table */
    for (int i = 0; i < 2; i++)
        say_outcome(&agent, (uint64_t)i + 1, OUTCOME_COMPLETION, &worker, 2);
    marker(stage, &agent, 3, &worker, 3, 2);
    assert_int_equal(count_of(stage, RECORD_COMPLETION), 2);
    assert_int_equal(nth(stage, RECORD_COMPLETION, 1)->outcome.command_serial, 2);
}

/* A completion whose result the ring has lost (or a new ring never had) tells that there was one. */
static void a_completion_of_an_unknown_command_is_said_once_and_stands_for_its_result(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    worker_open(stage, &worker, 900, UINT32_MAX);
    for (uint64_t incarnation = 100; incarnation < 103; incarnation++) {
        agent_open(stage, &agent, "m1", "standard", incarnation);
        say_outcome(&agent, 1, OUTCOME_COMPLETION, &worker, 1);
        say_outcome(&agent, 2, OUTCOME_RESULT, &worker, 1);
        wait_for(stage, &agent.acks, 2);
        end_leaves(stage, &agent);
    }
    agent_open(stage, &agent, "m1", "standard", 103);
    marker(stage, &agent, 1, &worker, 2, 0);
    assert_int_equal(count_of(stage, RECORD_COMPLETION), 1);
    say_command(&worker, 1, "m1", 20000, true); /* and it had its answer */
    wait_counter(stage, "commands_repeated", 1);
}

/* The broker gave it up; then its agent's successor knows. Once. */
static void what_was_given_up_is_resolved_by_a_successor_once(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", -1, false);
    wait_for(stage, &agent.commands, 1);
    end_leaves(stage, &agent);
    wait_refusal(stage, 0, 1, "The command was sent; whether it was carried out is unknown",
                 "OUTCOME_UNKNOWN");
    for (uint64_t incarnation = 101; incarnation <= 102; incarnation++) {
        agent_open(stage, &agent, "m1", "standard", incarnation);
        say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
        say_outcome(&agent, 2, OUTCOME_COMPLETION, &worker, 1);
        wait_for(stage, &agent.acks, 2);
        assert_int_equal(agent.commands, 0);
        end_leaves(stage, &agent);
    }
    agent_open(stage, &agent, "m1", "standard", 103);
    marker(stage, &agent, 1, &worker, 2, 1);
    assert_int_equal(nth(stage, RECORD_RESULT, 0)->origin_mode, ORIGIN_NOT);
    assert_int_equal(count_of(stage, RECORD_COMPLETION), 1);
    assert_int_equal(nth(stage, RECORD_COMPLETION, 0)->origin_mode, ORIGIN_ALSO);
    assert_int_equal(counter(stage, "outcomes_late"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_command_is_handed_to_the_same_agent_again_and_then_to_its_successors),
        PLAY(what_may_have_been_handed_over_goes_to_the_agent_whatever_stands_against_it),
        PLAY(what_one_agent_has_said_is_not_heard_again_from_another),
        PLAY(nor_by_a_broker_that_only_reads_of_it_in_the_ring),
        PLAY(a_completion_of_an_unknown_command_is_said_once_and_stands_for_its_result),
        PLAY(what_was_given_up_is_resolved_by_a_successor_once),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_agent_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker and its agents", tests, NULL, NULL);
}
