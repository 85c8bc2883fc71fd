/* Control lines and command lines: what is taken, what is refused and with which text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "must.h"
#include "sim_command.h"
#include "sim_options.h"

static struct sim_command parse(const char *line)
{
    struct sim_command command;
    char problem[SIM_PROBLEM_MAX];
    if (sim_command_parse(line, strlen(line), &command, problem) != ERR_OK)
        fail_msg("\"%s\": %s", line, problem);
    assert_string_equal(problem, "");
    return command;
}

static void good_lines(void **state)
{
    (void)state;
    assert_int_equal(parse("list").verb, SIM_VERB_LIST);
    assert_int_equal(parse("  get\tm:1.a-b_C ").verb, SIM_VERB_GET);
    assert_string_equal(parse("get m:1.a-b_C").id, "m:1.a-b_C");
    assert_int_equal(parse("counts m").verb, SIM_VERB_COUNTS);
    assert_int_equal(parse("clear m").verb, SIM_VERB_CLEAR);
    assert_int_equal(parse("release m").verb, SIM_VERB_RELEASE);
    assert_int_equal(parse("step m").number, 1);
    assert_int_equal(parse("step m 12").number, 12);
    assert_true(parse("pace m manual").by_hand);
    assert_int_equal(parse("pace m 0").number, 0);
    assert_false(parse("pace m 3600000").by_hand);
    assert_int_equal(parse("hold m").command_code, SIM_ANY_COMMAND);
    assert_int_equal(parse("hold m command 0").command_code, 0);
}

static void good_sets(void **state)
{
    (void)state;
    for (enum sim_condition_e c = 0; c < SIM_CONDITION_COUNT; c++) {
        char line[80];
        snprintf(line, sizeof line, "set m %s on", sim_condition_word(c));
        struct sim_command on = parse(line);
        assert_int_equal(on.condition, c);
        assert_true(on.on && !on.set_position);
    }
    assert_false(parse("set m alarm off").on);
    struct sim_command place = parse("set m position 255");
    assert_true(place.set_position);
    assert_int_equal(place.number, 255);
}

static void good_faults(void **state)
{
    (void)state;
    struct sim_fault late = parse("fault m late 250 undone command 1 count 3").fault;
    assert_int_equal(late.kind, SIM_FAULT_LATE);
    assert_int_equal(late.ms, 250);
    assert_int_equal(late.command, 1);
    assert_int_equal(late.left, 3);
    assert_true(late.undone);
    struct sim_fault garbage = parse("fault m garbage 00fFA5").fault;
    assert_int_equal(garbage.garbage_len, 3);
    assert_memory_equal(garbage.garbage, "\x00\xff\xa5", 3);
    assert_int_equal(garbage.left, 0);
    assert_int_equal(garbage.command, SIM_ANY_COMMAND);
    assert_int_equal(parse("fault m split 0").fault.kind, SIM_FAULT_SPLIT);
    assert_int_equal(parse("fault m missing").fault.kind, SIM_FAULT_MISSING);
    assert_int_equal(parse("fault m duplicated count 1").fault.kind, SIM_FAULT_DUPLICATED);
    assert_int_equal(parse("fault m reset").fault.kind, SIM_FAULT_RESET);
    assert_int_equal(parse("fault m half-open").fault.kind, SIM_FAULT_HALF_OPEN);
    assert_int_equal(parse("fault m refused").fault.kind, SIM_FAULT_REFUSED);
    assert_int_equal(parse("fault m reboot 2000").fault.ms, 2000);
}

static void good_waits(void **state)
{
    (void)state;
    struct sim_command wait = parse("wait m position 7 deadline 500");
    assert_int_equal(wait.wait, SIM_WAIT_POSITION);
    assert_int_equal(wait.number, 7);
    assert_int_equal(wait.deadline_ms, 500);
    assert_int_equal(parse("wait m idle").deadline_ms, SIM_WAIT_DEFAULT_MS);
    assert_int_equal(parse("wait m held").wait, SIM_WAIT_HELD);
    struct sim_command requests = parse("wait m requests 1 4");
    assert_int_equal(requests.command_code, 1);
    assert_int_equal(requests.number, 4);
}

static void bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *problem;
    } bad[] = {
        {"", "empty line"},
        {" \t ", "empty line"},
        {"LIST", "\"LIST\" is no command"},
        {"lists", "\"lists\" is no command"},
        {"list all", "\"all\" is one word too many"},
        {"get", "a machine's id expected at the end"},
        {"get a/b", "\"a/b\" is no machine id"},
        {"get m n", "\"n\" is one word too many"},
        {"set m", "position or a condition expected at the end"},
        {"set m fire on", "\"fire\" is neither position nor a condition"},
        {"set m alarm", "on or off expected at the end"},
        {"set m alarm yes", "\"yes\" is not on or off"},
        {"set m position", "position expected at the end"},
        {"set m position 256", "position: \"256\" is not a number from 0 to 255"},
        {"set m position -1", "position: \"-1\" is not a number from 0 to 255"},
        {"set m position 1x", "position: \"1x\" is not a number from 0 to 255"},
        {"pace m", "ms per position, or manual expected at the end"},
        {"pace m 3600001", "ms per position, or manual: \"3600001\" is not a number from 0 to 3600000"},
        {"pace m 99999999999999999999999",
         "ms per position, or manual: \"99999999999999999999999\" is not a number from 0 to 3600000"},
        {"step m 0", "steps: \"0\" is not a number from 1 to 256"},
        {"step m 1 1", "\"1\" is one word too many"},
        {"fault m", "a kind of fault expected at the end"},
        {"fault m none", "\"none\" is no kind of fault"},
        {"fault m late", "milliseconds expected at the end"},
        {"fault m late soon", "milliseconds: \"soon\" is not a number from 0 to 3600000"},
        {"fault m garbage", "bytes in hex expected at the end"},
        {"fault m garbage abc", "\"abc\" is not 1 to 64 bytes in hex"},
        {"fault m garbage xy", "\"xy\" is not 1 to 64 bytes in hex"},
        {"fault m missing count 0", "count: \"0\" is not a number from 1 to 4294967295"},
        {"fault m missing count", "count expected at the end"},
        {"fault m missing command 256", "command code: \"256\" is not a number from 0 to 255"},
        {"fault m missing count 1 command 1", "\"command\" is one word too many"},
        {"fault m refused count 1", "\"count\" is one word too many"},
        {"fault m reboot 5 undone", "\"undone\" is one word too many"},
        {"hold m 1", "\"1\" is one word too many"},
        {"hold m command", "command code expected at the end"},
        {"wait m", "what to wait for expected at the end"},
        {"wait m luck", "\"luck\" is nothing to wait for"},
        {"wait m position", "position expected at the end"},
        {"wait m requests 1", "requests expected at the end"},
        {"wait m idle deadline 600001", "deadline: \"600001\" is not a number from 0 to 600000"},
        {"get m\x01", "byte 0x01 at 5 is not printable ASCII"},
        {"get \xc3\xa9", "byte 0xc3 at 4 is not printable ASCII"},
        {"a a a a a a a a a a a a a a a a a", "more than 16 words"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct sim_command command;
        char problem[SIM_PROBLEM_MAX];
        assert_int_equal(sim_command_parse(bad[i].line, strlen(bad[i].line), &command, problem),
                         ERR_MALFORMED);
        assert_string_equal(problem, bad[i].problem);
    }
}

static void lengths(void **state)
{
    (void)state;
    char line[SIM_LINE_MAX + 2], problem[SIM_PROBLEM_MAX];
    struct sim_command command;
    memset(line, ' ', sizeof line);
    memcpy(line, "list", 4);
    assert_int_equal(sim_command_parse(line, SIM_LINE_MAX, &command, problem), ERR_OK);
    assert_int_equal(sim_command_parse(line, SIM_LINE_MAX + 1, &command, problem), ERR_MALFORMED);
    assert_string_equal(problem, "line longer than 512 bytes");
    memset(line, 'x', sizeof line);
    assert_int_equal(sim_command_parse(line, SIM_LINE_MAX, &command, problem), ERR_MALFORMED);
    assert_int_equal(sim_command_parse("get\0m", 5, &command, problem), ERR_MALFORMED);
    assert_string_equal(problem, "byte 0x00 at 3 is not printable ASCII");
}

/* Words in random order, cut and spoilt at random: never more than an error. */
static void random_lines(void **state)
{
    (void)state;
    static const char *const words[] = {
        "list",     "get",  "set",  "pace",    "step",   "fault", "hold",  "wait",
        "m",        "late", "0",    "garbage", "00ff",   "on",    "alarm", "command",
        "position", "7",    "idle", "held",    "undone", "count", "-1",    "999999999999999999999"};
    uint64_t random = 42;
    for (int round = 0; round < 20000; round++) {
        char line[SIM_LINE_MAX + 1], problem[SIM_PROBLEM_MAX];
        size_t len = 0;
        for (int w = 0; w < 7; w++) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            len += (size_t)snprintf(line + len, sizeof line - len, "%s ",
                                    words[(random >> 33) % ARRAY_LEN(words)]);
        }
        line[(random >> 13) % len] = (char)(random >> 40);
        struct sim_command command;
        enum err_e err = sim_command_parse(line, (random >> 21) % (len + 1), &command, problem);
        assert_true(err == ERR_OK || (err == ERR_MALFORMED && strlen(problem) > 0));
    }
}

static enum sim_options_e options(struct sim_options *out, const char *a, const char *b, const char *c,
                                  const char *d)
{
    char *argv[] = {(char *)"plc-sim", (char *)a, (char *)b, (char *)c, (char *)d, NULL};
    int argc = 1;
    while (argv[argc] != NULL)
        argc++;
    return sim_options_parse(argc, argv, out);
}

static void command_lines(void **state)
{
    (void)state;
    struct sim_options o;
    assert_int_equal(options(&o, "--port", "3200", NULL, NULL), SIM_OPTIONS_RUN);
    assert_int_equal(o.port, 3200);
    assert_int_equal(o.machines, 1);
    assert_string_equal(o.address, "127.0.0.1");
    assert_string_equal(o.profile->name, "standard");
    assert_false(o.refuse_second);
    assert_int_equal(options(&o, "-c", "x.yaml", "--second", "refuse"), SIM_OPTIONS_RUN);
    assert_string_equal(o.conf_file, "x.yaml");
    assert_true(o.refuse_second);
    assert_int_equal(options(&o, "--port", "0", "--unlisted-bits", "a0"), SIM_OPTIONS_RUN);
    assert_int_equal(o.unlisted, 0xa0);
    static const char *const bad[][4] = {
        {NULL},
        {"--machines", "3"},
        {"-c", "x.yaml", "--port", "1"},
        {"--port", "65536"},
        {"--port", "65535", "--machines", "2"},
        {"--port", "1", "--positions", "1"},
        {"--port", "1", "--positions", "257"},
        {"--port", "1", "--profile", "unknown"},
        {"--port", "1", "--second", "maybe"},
        {"--port", "1", "--unlisted-bits", "xyz"},
        {"--port", "1", "--id-prefix", "a b"},
        {"--port", "1", "stray"},
        {"--port"},
        {"--nonsense"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(options(&o, bad[i][0], bad[i][1], bad[i][2], bad[i][3]), SIM_OPTIONS_WRONG);
    assert_int_equal(options(&o, "--version", NULL, NULL, NULL), SIM_OPTIONS_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines),   cmocka_unit_test(good_sets),     cmocka_unit_test(good_faults),
        cmocka_unit_test(good_waits),   cmocka_unit_test(bad_lines),     cmocka_unit_test(lengths),
        cmocka_unit_test(random_lines), cmocka_unit_test(command_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
