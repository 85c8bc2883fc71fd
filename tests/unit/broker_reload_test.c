/* broker: another configuration without a restart. What ring and table go through, and what kills do to it: machine_set_test,
 * machine_storm_test, broker_reload_death_test. */
#include "broker_stage.h"

#include <poll.h>
#include <signal.h>

#include "conf.h"
#include "control.h"
#include "log.h"

#define M1 "  - {id: m1, name: One, ip: 10.0.0.1, port: 3200}\n"
#define M2 "  - {id: m2, ip: 10.0.0.2, profile: delta-as, simulator: true}\n"
#define M3 "  - {id: m3, ip: 10.0.0.3, profile: future}\n"
#define M4 "  - {id: m4, name: Four, ip: 10.0.0.4, port: 3200}\n"

#define UNKNOWN   "The command was sent; whether it was carried out is unknown"
#define NOT_FOUND "Machine not found"

static void reload(struct stage *stage, const char *machines)
{
    uint64_t before = counter(stage, "reloads");
    write_conf(stage, 1, machines);
    kill(stage->broker, SIGHUP);
    wait_counter(stage, "reloads", before + 1);
    read_ring(stage);
}

static const char *topic(const struct stage *stage, size_t n)
{
    return nth(stage, RECORD_MACHINE, n)->topics[0];
}

static void machines_come_and_go_and_nobody_else_notices(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    worker_open(stage, &worker, 900, UINT32_MAX);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    const struct seen_record *said = wait_record(stage, RECORD_STATE, 3);
    uint64_t digest = counter(stage, "conf_digest");
    reload(stage, M4 M1 M2);
    assert_int_equal(count_of(stage, RECORD_MACHINE), 2);
    shows(nth(stage, RECORD_MACHINE, 0), "{\"type\":\"machine_removed\"");
    assert_string_equal(topic(stage, 0), "event/m3");
    shows(nth(stage, RECORD_MACHINE, 1), "{\"type\":\"machine_added\"");
    assert_string_equal(topic(stage, 1), "event/m4");
    assert_int_equal(count_of(stage, RECORD_STATE), 5); /* and m4's first */
    table_agrees(stage, 0, said);                       /* m1 is where it was, and as it was */
    say_state(&agent, CONNECTION_CONNECTED, 218, 16);
    table_agrees(stage, 0, wait_record(stage, RECORD_STATE, 5));
    assert_int_equal(counter(stage, "machines"), 3);
    assert_true(counter(stage, "conf_digest") != digest);
    assert_int_equal(agent.downs + worker.downs, 0);
    reload(stage, M1 M2 M3);
    assert_int_equal(count_of(stage, RECORD_MACHINE), 4);
    assert_int_equal(counter(stage, "conf_digest"), digest);
    assert_int_equal(worker.downs, 0);
}

/* What a caller is told, whose machine goes: nothing was sent, or it cannot be known. */
static void whose_machine_goes_is_told_so(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    worker_open(stage, &worker, 900, UINT32_MAX);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    say_command(&worker, 1, "m1", 5000, false);
    wait_for(stage, &agent.commands, 1);
    reload(stage, M2 M3);
    const struct seen_record *answer = wait_refusal(stage, 0, 1, UNKNOWN, "OUTCOME_UNKNOWN");
    assert_true(answer->position <
                nth(stage, RECORD_MACHINE, 0)->position); /* while it still has a machine */
    wait_for(stage, &agent.refusals, 1);
    assert_string_equal(agent.reason, "the machine is not configured any more");
    say_command(&worker, 2, "m1", 5000, false);
    wait_refusal(stage, 1, 2, NOT_FOUND, "MACHINE_NOT_FOUND");
    say_command(&worker, 1, "m1", 5000, true); /* it has its answer */
    say_command(&worker, 3, "m1", 5000, true);
    wait_refusal(stage, 2, 3, UNKNOWN, "OUTCOME_UNKNOWN");
    wait_gauge(stage, "commands_live", 0);
    assert_int_equal(counter(stage, "disconnected"), 0); /* it is gone, and not lost */
}

/* An agent that comes again is refused as before, and one of a machine that is back is taken. */
static void an_agent_of_a_machine_that_is_gone_is_refused_until_it_is_back(void **state)
{
    struct stage *stage = *state;
    static struct end early, late;
    reload(stage, M2 M3);
    early = (struct end){.role = WIRE_AGENT, .incarnation = 100, .machine = "m1"};
    end_open(stage, &early);
    wait_for(stage, &early.refusals, 1);
    assert_string_equal(early.reason, "the machine is not configured");
    reload(stage, M2 M3 M1);
    agent_open(stage, &late, "m1", "standard", 101);
    say_state(&late, CONNECTION_CONNECTED, 218, 9);
    for (size_t n = count_of(stage, RECORD_STATE);; n++) {
        const struct seen_record *record = wait_record(stage, RECORD_STATE, n);
        if (record->state.position == 9)
            break;
    }
}

/* The agent of a machine whose PLC has another address speaks of another PLC: it is not heard, however it comes, until it says that it
 * reads the new one. */
static void an_agent_that_reads_another_plc_is_not_heard(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker, successor;
    worker_open(stage, &worker, 900, UINT32_MAX);
    agent = (struct end){.role = WIRE_AGENT,
                         .incarnation = 100,
                         .machine = "m1",
                         .profile_hash = profile_hash(profile_builtin("standard")),
                         .address = wire_address("10.0.0.1", 3200)};
    end_open(stage, &agent);
    wait_for(stage, &agent.ups, 1);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    say_command(&worker, 1, "m1", 5000, false);
    wait_for(stage, &agent.commands, 1);
    reload(stage, "  - {id: m1, name: One, ip: 10.0.0.9, port: 3200}\n" M2 M3);
    wait_refusal(stage, 0, 1, UNKNOWN, "OUTCOME_UNKNOWN");
    assert_int_equal(count_of(stage, RECORD_MACHINE), 2); /* another machine by the same id */
    size_t states = count_of(stage, RECORD_STATE);
    say_state(&agent, CONNECTION_CONNECTED, 218, 3); /* is asked to introduce itself … */
    wait_counter(stage, "hellos_elsewhere", 1);      /* … and not answered */
    assert_int_equal(agent.refusals, 0);
    successor = agent;
    successor.link = NULL;
    successor.incarnation = 101;
    successor.ups = successor.state_seq = 0;
    successor.address = wire_address("10.0.0.9", 3200);
    end_open(stage, &successor);
    wait_for(stage, &successor.ups, 1);
    say_state(&successor, CONNECTION_CONNECTED, 218, 4);
    assert_int_equal(wait_record(stage, RECORD_STATE, states)->state.position, 4);
    assert_int_equal(counter(stage, "agents_replaced"), 0);
}

/* One that started with the new configuration before the broker had it is let in when it has. */
static void an_agent_that_is_ahead_of_the_broker_waits_for_it(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent = (struct end){.role = WIRE_AGENT,
                         .incarnation = 100,
                         .machine = "m1",
                         .profile_hash = profile_hash(profile_builtin("standard")),
                         .address = wire_address("10.0.0.9", 3200)};
    end_open(stage, &agent);
    wait_counter(stage, "hellos_elsewhere", 1);
    assert_int_equal(agent.ups, 0);
    reload(stage, "  - {id: m1, name: One, ip: 10.0.0.9, port: 3200}\n" M2 M3);
    wait_for(stage, &agent.ups, 1); /* it asks once a second */
    assert_true(agent.agrees);
}

/* Another profile: the text changes at once, and nothing moves until an agent reads it likewise. */
static void another_profile_makes_a_machine_read_only_until_its_agent_has_it(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker, successor;
    worker_open(stage, &worker, 900, UINT32_MAX);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    reload(stage, "  - {id: m1, name: One, ip: 10.0.0.1, port: 3200, profile: delta-as}\n" M2 M3);
    assert_int_equal(count_of(stage, RECORD_MACHINE), 0);
    const struct seen_record *again = wait_record(stage, RECORD_STATE, 4);
    assert_int_equal(again->state.position, 15);
    assert_string_not_equal(again->text, nth(stage, RECORD_STATE, 3)->text);
    say_command(&worker, 1, "m1", 5000, false);
    wait_refusal(stage, 0, 1, "unknown profile", "INTERLOCK");
    size_t events = count_of(stage, RECORD_CHANNEL);
    end_leaves(stage, &agent); /* for its successor, which is to come in a second */
    agent_open(stage, &successor, "m1", "delta-as", 101);
    assert_true(successor.agrees);
    say_state(&successor, CONNECTION_CONNECTED, 218, 16);
    assert_int_equal(wait_record(stage, RECORD_STATE, 5)->state.position, 16); /* and nothing in between */
    assert_int_equal(counter(stage, "disconnected"), 0);
    assert_int_equal(count_of(stage, RECORD_CHANNEL), events);
    say_command(&worker, 2, "m1", 5000, false);
    wait_for(stage, &successor.commands, 1);
}

/* An agent with the new profile before the broker had it learns that they agree. */
static void agents_hear_when_they_agree(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "delta-as", 100);
    assert_false(agent.agrees);
    reload(stage, "  - {id: m1, name: One, ip: 10.0.0.1, port: 3200, profile: delta-as}\n" M2 M3);
    wait_for(stage, &agent.ups, 2);
    assert_true(agent.agrees);
}

/* A command that comes while the agent makes way waits for the next one; if none comes, the machine is shown disconnected. */
static void commands_wait_while_an_agent_makes_way(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker, successor;
    worker_open(stage, &worker, 900, UINT32_MAX);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    reload(stage, "  - {id: m1, name: One, ip: 10.0.0.1, port: 3200, reply_timeout_ms: 150}\n" M2 M3);
    end_leaves(stage, &agent);
    say_command(&worker, 1, "m1", 5000, false);
    wait_counter(stage, "commands_held", 1);
    agent_open(stage, &successor, "m1", "standard", 101);
    wait_for(stage, &successor.commands, 1);
    assert_false(successor.last.resent); /* nobody had it */
    end_leaves(stage, &successor);       /* nobody follows this one */
    shows(wait_record(stage, RECORD_STATE, 4), "\"connection_status\":\"disconnected\"");
    assert_int_equal(counter(stage, "disconnected"), 1);
}

static void one_that_makes_way_for_nobody_is_lost_in_a_second(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    reload(stage, "  - {id: m1, name: One, ip: 10.0.0.1, port: 3200, reply_timeout_ms: 150}\n" M2 M3);
    end_leaves(stage, &agent);
    assert_int_equal(counter(stage, "disconnected"), 0);
    shows(wait_record(stage, RECORD_STATE, 4), "\"connection_status\":\"disconnected\"");
}

/* A name is nothing to an agent: it stays, and what it reported is the new machine's first reading. */
static void another_name_is_another_machine_with_the_same_agent(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    worker_open(stage, &worker, 900, UINT32_MAX);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    say_command(&worker, 1, "m1", 5000, false);
    wait_for(stage, &agent.commands, 1);
    reload(stage, "  - {id: m1, name: Uno, ip: 10.0.0.1, port: 3200}\n" M2 M3);
    assert_int_equal(count_of(stage, RECORD_MACHINE), 2);
    shows(nth(stage, RECORD_MACHINE, 0), "\"name\":\"One\"");
    shows(nth(stage, RECORD_MACHINE, 1), "\"name\":\"Uno\"");
    const struct seen_record *last = wait_record(stage, RECORD_STATE, 5); /* behind its empty first one */
    assert_int_equal(last->state.position, 15);
    table_agrees(stage, 0, last);
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1); /* and its command goes on */
    wait_record(stage, RECORD_RESULT, 0);
    assert_int_equal(agent.downs, 0);
}

static void bridges_are_exchanged(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 1);
    wait_record(stage, RECORD_STATE, 3);
    assert_int_equal(count_of(stage, RECORD_STREAM), 0);
    reload(stage,
           M1 M2 M3 "bridges: [{from: states, stream: hall}, {from: states, stream: own, machines: [m1]}]\n");
    say_state(&agent, CONNECTION_CONNECTED, 218, 2);
    assert_int_equal(wait_record(stage, RECORD_STREAM, 0)->topic_count, 2);
    reload(stage,
           M2 M1 "bridges: [{from: states, stream: own, machines: [m1]}, {from: events, stream: e}]\n");
    shows(nth(stage, RECORD_STREAM, 1), "machine_removed"); /* by what is in force now */
    say_state(&agent, CONNECTION_CONNECTED, 218, 3);
    assert_int_equal(wait_record(stage, RECORD_STREAM, 2)->topic_count, 1);
    reload(stage, M1 M2);
    say_state(&agent, CONNECTION_CONNECTED, 218, 4);
    wait_record(stage, RECORD_STATE, 6);
    assert_int_equal(count_of(stage, RECORD_STREAM), 3);
}

/* --- as the launcher asks for it ----------------------------------------------------------------------------------- */

static void restart_with_control(struct stage *stage)
{
    stop_broker(stage, SIGTERM);
    stage->with_control = true;
    assert_int_equal(start_broker(stage), -1);
    open_shared(stage);
}

static void say(struct stage *stage, enum control_type_e type, uint32_t number, uint64_t digest)
{
    struct control_message message = {.type = type, .number = number, .digest = digest};
    assert_int_equal(control_send(stage->control, &message), ERR_OK);
}

static struct control_message hear(struct stage *stage, enum control_type_e type, uint32_t number)
{
    static struct control_message message;
    struct pollfd poller = {stage->control, POLLIN, 0};
    assert_int_equal(poll(&poller, 1, DEADLINE_MS), 1);
    assert_int_equal(control_receive(stage->control, &message), ERR_OK);
    if (message.type != type)
        fail_msg("%s \"%s\" instead of %s", control_type_name(message.type), message.text,
                 control_type_name(type));
    assert_int_equal(message.number, number);
    return message;
}

static void print_problem(void *arg, const char *text)
{
    (void)arg;
    print_message("%s\n", text);
}

static uint64_t digest_of(const struct stage *stage)
{
    struct conf *conf = NULL;
    assert_int_equal(conf_load(stage->conf, print_problem, NULL, &conf), ERR_OK);
    uint64_t digest = conf->digest;
    conf_free(&conf);
    return digest;
}

static void prepared_is_not_in_force_and_can_be_forgotten(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    restart_with_control(stage);
    uint64_t digest = counter(stage, "conf_digest");
    agent_open(stage, &agent, "m1", "standard", 100);
    write_conf(stage, 1, M4 M2);
    for (uint32_t number = 1; number < 5; number++) {
        say(stage, CONTROL_RELOAD, number, digest_of(stage));
        hear(stage, CONTROL_PREPARED, number);
        say_state(&agent, CONNECTION_CONNECTED, 218, (int)number);
        wait_counter(stage, "states_published", number);
        if (number % 2 == 0) /* else the next one replaces it */
            say(stage, CONTROL_ABORT, number, 0);
    }
    assert_int_equal(counter(stage, "conf_digest"), digest);
    assert_int_equal(counter(stage, "reloads"), 0);
    say(stage, CONTROL_RELOAD, 9, digest_of(stage));
    hear(stage, CONTROL_PREPARED, 9);
    say(stage, CONTROL_COMMIT, 9, 0);
    hear(stage, CONTROL_DONE, 9);
    assert_int_equal(counter(stage, "reloads"), 1);
    assert_int_equal(counter(stage, "conf_digest"), digest_of(stage));
    read_ring(stage);
    assert_int_equal(count_of(stage, RECORD_MACHINE), 3);
    wait_for(stage, &agent.refusals, 1);
    say(stage, CONTROL_RELOAD, 10, digest_of(stage)); /* and one that is prepared when the broker ends */
    hear(stage, CONTROL_PREPARED, 10);
}

static void what_cannot_be_taken_changes_nothing(void **state)
{
    struct stage *stage = *state;
    static const struct {
        const char *text, *why;
    } wrong[] = {{"  - {id: m1, ip: 10.0.0.1, prot: 3200}\n", "prot"},
                 {M1 M2 M3 "state_dir: /tmp/elsewhere\n", "state_dir"},
                 {"  - {id: a, ip: 10.0.0.1}\n  - {id: b, ip: 10.0.0.2}\n  - {id: c, ip: 10.0.0.3}\n"
                  "  - {id: d, ip: 10.0.0.4}\n  - {id: e, ip: 10.0.0.5}\n  - {id: f, ip: 10.0.0.6}\n"
                  "  - {id: g, ip: 10.0.0.7}\n  - {id: h, ip: 10.0.0.8}\n  - {id: i, ip: 10.0.0.9}\n",
                  "max_machines"}};
    restart_with_control(stage);
    uint64_t digest = counter(stage, "conf_digest");
    for (uint32_t i = 0; i < ARRAY_LEN(wrong); i++) {
        write_conf(stage, 1, wrong[i].text);
        say(stage, CONTROL_RELOAD, i, i == 1 ? digest_of(stage) : 0);
        struct control_message refused = hear(stage, CONTROL_REFUSED, i);
        assert_non_null(strstr(refused.text, wrong[i].why));
    }
    read_ring(stage);
    assert_int_equal(count_of(stage, RECORD_MACHINE), 0);
    assert_int_equal(counter(stage, "conf_digest"), digest);
    assert_int_equal(counter(stage, "machines"), 3);
    kill(stage->broker, SIGHUP); /* is the launcher's business */
    write_conf(stage, 1, M1);
    say(stage, CONTROL_RELOAD, 7, digest_of(stage));
    hear(stage, CONTROL_PREPARED, 7);
    assert_int_equal(counter(stage, "reloads"), 0);
}

/* A place that became free is given away last, and all places can be given away. */
static void machines_change_places_until_all_are_used(void **state)
{
    struct stage *stage = *state;
    char machines[1024] = "";
    for (unsigned i = 0; i < 8; i++)
        snprintf(machines + strlen(machines), sizeof machines - strlen(machines),
                 "  - {id: n%u, ip: 10.0.1.%u}\n", i, i + 1);
    for (unsigned round = 0; round < 3; round++) {
        reload(stage, machines);
        assert_int_equal(counter(stage, "machines"), 8);
        reload(stage, M3 M2 M1);
        assert_int_equal(counter(stage, "machines"), 3);
    }
    assert_int_equal(count_of(stage, RECORD_MACHINE), 3 * (3 + 8 + 8 + 3));
    restart(stage); /* which reads it all back, and has nothing to tell */
    read_ring(stage);
    assert_int_equal(count_of(stage, RECORD_MACHINE), 3 * (3 + 8 + 8 + 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(machines_come_and_go_and_nobody_else_notices),
        PLAY(whose_machine_goes_is_told_so),
        PLAY(an_agent_of_a_machine_that_is_gone_is_refused_until_it_is_back),
        PLAY(an_agent_that_reads_another_plc_is_not_heard),
        PLAY(an_agent_that_is_ahead_of_the_broker_waits_for_it),
        PLAY(another_profile_makes_a_machine_read_only_until_its_agent_has_it),
        PLAY(agents_hear_when_they_agree),
        PLAY(commands_wait_while_an_agent_makes_way),
        PLAY(one_that_makes_way_for_nobody_is_lost_in_a_second),
        PLAY(another_name_is_another_machine_with_the_same_agent),
        PLAY(bridges_are_exchanged),
        PLAY(prepared_is_not_in_force_and_can_be_forgotten),
        PLAY(what_cannot_be_taken_changes_nothing),
        PLAY(machines_change_places_until_all_are_used),
    };
    log_init("broker_reload_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker reload", tests, NULL, NULL);
}
