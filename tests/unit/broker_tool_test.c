/* broker: rearming a machine, by a worker's client and by a tool; and the program `noria rearm`. */
#include "broker_stage.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "log.h"
#include "peers.h"

static struct wire_message rearm_message(const struct end *asker, uint64_t serial, const char *machine)
{
    struct wire_message message = command_message(asker, serial, 5000);
    message.command.machine = wire_text(machine);
    message.command.command = COMMAND_REARM;
    message.command.argument = -1;
    message.command.from = wire_text("noria rearm, uid 7");
    return message;
}

static void say_rearm(struct end *asker, uint64_t serial, const char *machine)
{
    struct wire_message message = rearm_message(asker, serial, machine);
    assert_int_equal(link_send(asker->link, &message), ERR_OK);
}

/* --- by a worker's client ----------------------------------------------------------------------------------------- */

static void a_rearm_is_its_askers_business_alone(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_rearm(&worker, 1, "m1");
    wait_for(stage, &agent.commands, 1);
    assert_int_equal(agent.last.command, COMMAND_REARM);
    assert_int_equal(agent.last.argument, -1);
    say_fate(&agent, 1, CODE_NONE, "");
    const struct seen_record *result = wait_record(stage, RECORD_RESULT, 0);
    shows(result, "\"success\":true,\"data\":{\"command_sent\":256,\"argument\":null,");
    assert_int_equal(result->origin_mode, ORIGIN_ONLY);
    assert_int_equal(result->topic_count, 0);
    say_rearm(&worker, 2, "m1");
    wait_for(stage, &agent.commands, 2);
    struct wire_message message = outcome_message(&agent, 2, OUTCOME_RESULT, 900, 2);
    message.outcome.command = COMMAND_REARM;
    message.outcome.argument = -1;
    message.outcome.code = CODE_INTERLOCK;
    message.outcome.text = wire_text("emergency stop");
    assert_true(message.outcome.sent); /* whatever it says: nobody else hears of it */
    assert_int_equal(link_send(agent.link, &message), ERR_OK);
    wait_refusal(stage, 0, 2, "emergency stop", "INTERLOCK");
    message.outcome.outcome_seq =
        3; /* said again, and by another process; then a completion, which there is none of */
    assert_int_equal(link_send(agent.link, &message), ERR_OK);
    message.outcome.outcome_seq = 4;
    message.outcome.kind = OUTCOME_COMPLETION;
    assert_int_equal(link_send(agent.link, &message), ERR_OK);
    wait_counter(stage, "invalid", 1); /* a link that is closed leaves what has not left within 100 ms */
    end_close(stage, &agent);
    agent_open(stage, &agent, "m1", "standard", 101);
    message = outcome_message(&agent, 1, OUTCOME_RESULT, 900, 1);
    message.outcome.command = COMMAND_REARM;
    message.outcome.argument = -1;
    assert_int_equal(link_send(agent.link, &message), ERR_OK);
    say_outcome(&agent, 2, OUTCOME_RESULT, &worker, 3); /* the marker */
    wait_record(stage, RECORD_RESULT, 1);
    assert_int_equal(nth(stage, RECORD_RESULT, 1)->outcome.command_serial, 3);
    assert_int_equal(count_of(stage, RECORD_REFUSAL), 1);
    assert_int_equal(count_of(stage, RECORD_COMPLETION), 0);
    assert_int_equal(counter(stage, "outcomes_results"), 1);
    assert_int_equal(counter(stage, "invalid"), 1);
}

/* It moves nothing: a profile that nobody knows, a state that is old are no reason. */
static void a_rearm_is_no_move(void **state)
{
    struct stage *stage = *state;
    static struct end agent, blind, worker;
    worker_open(stage, &worker, 900, UINT32_MAX);
    agent_open(stage, &blind, "m3", "future", 300);
    say_rearm(&worker, 1, "m3");
    wait_for(stage, &blind.commands, 1);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    agent.reading_age_ms = 60000;
    wait_counter(stage, "stale", 1);
    say_rearm(&worker, 2, "m1");
    wait_for(stage, &agent.commands, 1);
    say_rearm(&worker, 3, "ghost");
    wait_refusal(stage, 0, 3, "Machine not found", "MACHINE_NOT_FOUND");
    struct wire_message message = rearm_message(&worker, 4, "m1");
    message.command.argument = 1;
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    wait_refusal(stage, 1, 4, "Invalid command", "INVALID_COMMAND");
    assert_int_equal(agent.commands, 1);
}

static void a_rearm_is_handed_to_the_next_agent_too(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_rearm(&worker, 1, "m1");
    wait_for(stage, &agent.commands, 1);
    end_leaves(stage, &agent);
    agent_open(stage, &agent, "m1", "standard", 101);
    wait_for(stage, &agent.commands, 1);
    assert_true(agent.last.resent && agent.last.command == COMMAND_REARM);
    say_fate(&agent, 1, CODE_NONE, "");
    assert_int_equal(wait_record(stage, RECORD_RESULT, 0)->origin_mode, ORIGIN_ONLY);
}

/* --- by a tool -------------------------------------------------------------------------------------------------------- */

static void a_tool_has_its_answers_by_the_bus(void **state)
{
    struct stage *stage = *state;
    static struct end agent, tool;
    tool_open(stage, &tool, 700);
    assert_true(tool.slot == UINT32_MAX);
    wait_counter(stage, "tools", 1);
    assert_int_equal(counter(stage, "workers"), 0);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_rearm(&tool, 1, "m1");
    wait_for(stage, &agent.commands, 1);
    assert_string_equal(agent.last_who, "wms");
    assert_string_equal(agent.last_from, "noria rearm, uid 7");
    say_fate(&agent, 1, CODE_NONE, "");
    wait_for(stage, &tool.outcomes, 1);
    assert_true(tool.last_outcome.command_serial == 1 && tool.last_outcome.code == CODE_NONE);
    say_rearm(&tool, 2, "m1");
    wait_for(stage, &agent.commands, 2);
    say_fate(&agent, 2, CODE_INTERLOCK, "emergency stop");
    wait_for(stage, &tool.outcomes, 2);
    assert_true(tool.last_outcome.command_serial == 2 && tool.last_outcome.code == CODE_INTERLOCK);
    assert_string_equal(tool.last_text, "emergency stop");
    say_rearm(&tool, 3, "ghost"); /* what the broker says itself, too */
    wait_for(stage, &tool.outcomes, 3);
    assert_true(tool.last_outcome.command_serial == 3 && tool.last_outcome.code == CODE_MACHINE_NOT_FOUND);
    wait_for(stage, &agent.acks, 2);
    assert_int_equal(count_of(stage, RECORD_RESULT) + count_of(stage, RECORD_REFUSAL), 0);
    wait_counter(stage, "outcomes_to_tools", 3);
}

/* A tool's move is everybody's news, like any other. */
static void subscribers_hear_of_a_tools_move(void **state)
{
    struct stage *stage = *state;
    static struct end agent, tool;
    tool_open(stage, &tool, 700);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_command(&tool, 1, "m1", 5000, false);
    wait_for(stage, &agent.commands, 1);
    say_outcome(&agent, 1, OUTCOME_RESULT, &tool, 1);
    say_outcome(&agent, 2, OUTCOME_COMPLETION, &tool, 1);
    wait_for(stage, &tool.outcomes, 2);
    assert_int_equal(tool.last_outcome.kind, OUTCOME_COMPLETION);
    assert_int_equal(wait_record(stage, RECORD_COMPLETION, 0)->topic_count, 2);
    assert_int_equal(wait_record(stage, RECORD_RESULT, 0)->topic_count, 2);
}

static void a_tool_speaks_for_itself_and_says_nothing_else(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker, tool;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    tool_open(stage, &tool, 700);
    struct wire_message message = rearm_message(&worker, 1, "m1"); /* in the worker's name */
    assert_int_equal(link_send(tool.link, &message), ERR_OK);
    message = outcome_message(&agent, 1, OUTCOME_RESULT, 900, 1);
    assert_int_equal(link_send(tool.link, &message), ERR_OK);
    wait_counter(stage, "invalid", 2);
    say_rearm(&tool, 2, "m1"); /* and it is still welcome */
    wait_for(stage, &agent.commands, 1);
    assert_int_equal(agent.last.command_serial, 2);
    assert_int_equal(count_of(stage, RECORD_RESULT), 0);
    static struct end thief;
    tool_open(stage, &thief, 900); /* calls itself as the worker does: gets none of its answers */
    say_rearm(&worker, 3, "ghost");
    wait_refusal(stage, 0, 3, "Machine not found", "MACHINE_NOT_FOUND");
    say_rearm(&worker, 4, "m1");
    wait_for(stage, &agent.commands, 2);
    say_fate(&agent, 1, CODE_NONE, "");
    wait_record(stage, RECORD_RESULT, 0);
    say_rearm(&thief, 5, "ghost");
    wait_refusal(stage, 1, 5, "Machine not found", "MACHINE_NOT_FOUND");
    assert_int_equal(thief.outcomes, 0);
}

/* Its answer comes when it is gone: nobody is told, and the agent is done with it. */
static void a_tool_that_leaves_leaves_nothing_behind(void **state)
{
    struct stage *stage = *state;
    static struct end agent, tool;
    agent_open(stage, &agent, "m1", "standard", 100);
    tool_open(stage, &tool, 700);
    say_rearm(&tool, 1, "m1");
    wait_for(stage, &agent.commands, 1);
    end_close(stage, &tool);
    wait_counter(stage, "goodbyes", 1);
    say_fate(&agent, 1, CODE_NONE, "");
    wait_for(stage, &agent.acks, 1);
    wait_gauge(stage, "commands_live", 0);
    tool_open(stage, &tool, 701);
    wait_counter(stage, "tools", 1);
    say_rearm(&tool, 1, "m1");
    wait_for(stage, &agent.commands, 2);
    assert_int_equal(counter(stage, "outcomes_to_tools"), 0);
}

static void a_tool_asks_the_next_broker(void **state)
{
    struct stage *stage = *state;
    static struct end agent, tool;
    agent_open(stage, &agent, "m1", "standard", 100);
    tool_open(stage, &tool, 700);
    say_rearm(&tool, 1, "m1");
    wait_for(stage, &agent.commands, 1);
    restart(stage);
    wait_for(stage, &agent.ups, 2);
    wait_for(stage, &tool.ups, 2);
    struct wire_message message = rearm_message(&tool, 1, "m1");
    message.command.resent = true;
    assert_int_equal(link_send(tool.link, &message), ERR_OK);
    wait_for(stage, &agent.commands, 2);
    assert_true(agent.last.resent);
    say_fate(&agent, 1, CODE_NONE, "");
    wait_for(stage, &tool.outcomes, 1);
    assert_int_equal(tool.last_outcome.code, CODE_NONE);
}

static int say_hello_as_tool(void *raw, uint64_t incarnation)
{
    unsigned char buffer[WIRE_MAX];
    struct wire_message message = {.type = WIRE_HELLO};
    message.hello = (struct wire_hello){WIRE_VERSION, WIRE_TOOL, incarnation, UINT32_MAX, 0, wire_text("")};
    zmq_send(raw, buffer, wire_encode(&message, buffer, sizeof buffer), 0);
    int len = zmq_recv(raw, buffer, sizeof buffer, 0);
    assert_int_equal(wire_decode(buffer, (size_t)len, &message), ERR_OK);
    return message.type;
}

static void only_so_many_tools_at_once(void **state)
{
    struct stage *stage = *state;
    void *context = zmq_ctx_new(), *raw[PEERS_TOOLS + 1];
    int zero = 0, patience_ms = DEADLINE_MS;
    for (size_t i = 0; i <= PEERS_TOOLS; i++) {
        raw[i] = zmq_socket(context, ZMQ_DEALER);
        zmq_setsockopt(raw[i], ZMQ_LINGER, &zero, sizeof zero);
        zmq_setsockopt(raw[i], ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms);
        assert_int_equal(zmq_connect(raw[i], stage->endpoint), 0);
        assert_int_equal(say_hello_as_tool(raw[i], 700 + i), i < PEERS_TOOLS ? WIRE_HELLO_OK : WIRE_REFUSED);
    }
    zmq_close(raw[3]);
    wait_counter(stage, "peers_closed", 1);
    assert_int_equal(say_hello_as_tool(raw[PEERS_TOOLS], 800), WIRE_HELLO_OK); /* it could come again */
    for (size_t i = 0; i <= PEERS_TOOLS; i++)
        if (i != 3)
            zmq_close(raw[i]);
    zmq_ctx_term(context);
    wait_counter(stage, "peers_closed", PEERS_TOOLS + 1);
}

/* --- the program ---------------------------------------------------------------------------------------------------- */

/* `noria rearm` with up to three operands; what it prints goes to the file "said". */
static pid_t noria_starts(const struct stage *stage, const char *const operands[3])
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    int fd = open(in_dir(stage, "said"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    execl(NORIA_PROGRAM, "noria", "rearm", "-c", stage->conf, operands[0], operands[1], operands[2],
          (char *)NULL);
    _exit(127);
}

static int noria_ends(struct stage *stage, pid_t pid, char said[512])
{
    int status;
    for (uint64_t deadline = real_ms() + DEADLINE_MS; waitpid(pid, &status, WNOHANG) == 0; pump(stage))
        if (real_ms() > deadline) {
            kill(pid, SIGKILL);
            fail_msg("noria does not end");
        }
    FILE *file = fopen(in_dir(stage, "said"), "r");
    assert_non_null(file);
    said[fread(said, 1, 511, file)] = '\0';
    fclose(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void the_program_rearms_and_says_what_came_of_it(void **state)
{
    struct stage *stage = *state;
    static struct end one, two;
    char said[512], from[64];
    agent_open(stage, &one, "m1", "standard", 100);
    agent_open(stage, &two, "m2", "delta-as", 200);
    pid_t pid = noria_starts(stage, (const char *[]){"m1", NULL, NULL});
    wait_for(stage, &one.commands, 1);
    snprintf(from, sizeof from, "noria rearm, uid %u", (unsigned)getuid());
    assert_string_equal(one.last_from, from);
    assert_true(one.last_who[0] != '\0');
    assert_true(one.last.deadline_ms > 0 && one.last.deadline_ms <= 5000);
    assert_false(one.last.resent);
    say_fate(&one, 1, CODE_NONE, "");
    assert_int_equal(noria_ends(stage, pid, said), 0);
    assert_string_equal(said, "m1: rearmed\n");

    pid = noria_starts(stage, (const char *[]){"m1", "ghost", "m2"});
    wait_for(stage, &one.commands, 2);
    wait_for(stage, &two.commands, 1);
    say_fate(&two, 1, CODE_NONE, "");
    wait_for(stage, &two.acks, 1);
    say_fate(&one, 2, CODE_INTERLOCK, "emergency stop");
    assert_int_equal(noria_ends(stage, pid, said), 1);
    assert_string_equal(said,
                        "ghost: refused: Machine not found\nm2: rearmed\nm1: refused: emergency stop\n");
    wait_gauge(stage, "tools", 0);
    assert_int_equal(count_of(stage, RECORD_RESULT) + count_of(stage, RECORD_REFUSAL), 0);
}

static void the_program_waits_for_a_broker_that_is_killed(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    char said[512];
    agent_open(stage, &agent, "m1", "standard", 100);
    pid_t pid = noria_starts(stage, (const char *[]){"m1", NULL, NULL});
    wait_for(stage, &agent.commands, 1);
    restart(stage);
    wait_for(stage, &agent.commands, 2);
    assert_true(agent.last.resent);
    say_fate(&agent, 1, CODE_NONE, "");
    assert_int_equal(noria_ends(stage, pid, said), 0);
    assert_string_equal(said, "m1: rearmed\n");
}

static void the_program_says_why_not(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    char said[512], expected[256];
    pid_t pid = noria_starts(stage, (const char *[]){NULL, NULL, NULL});
    assert_int_equal(noria_ends(stage, pid, said), 2);
    pid = noria_starts(stage, (const char *[]){"no id", NULL, NULL});
    assert_int_equal(noria_ends(stage, pid, said), 2);
    assert_string_equal(said, "noria rearm: \"no id\" cannot be a machine's id\n");
    agent_open(stage, &agent, "m1", "standard", 100); /* and says nothing */
    pid = noria_starts(stage, (const char *[]){"m1", NULL, NULL});
    assert_int_equal(noria_ends(stage, pid, said), 1);
    assert_string_equal(said, "m1: no answer within 5 s\n");
    assert_int_equal(stop_broker(stage, SIGTERM), 0);
    pid = noria_starts(stage, (const char *[]){"m1", NULL, NULL});
    assert_int_equal(noria_ends(stage, pid, said), 1);
    snprintf(expected, sizeof expected, "noria rearm: no broker at %s\n", in_dir(stage, "bus/broker.sock"));
    assert_string_equal(said, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_rearm_is_its_askers_business_alone),
        PLAY(a_rearm_is_no_move),
        PLAY(a_rearm_is_handed_to_the_next_agent_too),
        PLAY(a_tool_has_its_answers_by_the_bus),
        PLAY(subscribers_hear_of_a_tools_move),
        PLAY(a_tool_speaks_for_itself_and_says_nothing_else),
        PLAY(a_tool_that_leaves_leaves_nothing_behind),
        PLAY(a_tool_asks_the_next_broker),
        PLAY(only_so_many_tools_at_once),
        PLAY(the_program_rearms_and_says_what_came_of_it),
        PLAY(the_program_waits_for_a_broker_that_is_killed),
        PLAY(the_program_says_why_not),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_tool_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker and tools", tests, NULL, NULL);
}
