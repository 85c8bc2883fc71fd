/* carousel_message: what clients may say, and what they are told when it is something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "carousel_message.h"
#include "must.h"

static bool single; /* as the tests but one want it: false */
static struct carousel_message message;
static struct carousel_problem problem;

static bool parse(const char *text)
{
    size_t len = strlen(text);
    char *exact = malloc(len + 1); /* so that a read past the end shows */
    memcpy(exact, text, len);
    bool ok = carousel_parse(exact, len, single, &message, &problem);
    free(exact);
    return ok;
}

static void the_documents_messages(void **state)
{
    (void)state;
    assert_true(
        parse("{\"type\":\"get_status\",\"machine_id\":\"a\",\"timestamp\":\"2025-01-27T10:30:00.000Z\"}"));
    assert_int_equal(message.type, CAROUSEL_GET_STATUS);
    assert_true(message.has_machine);
    assert_string_equal(message.machine.text, "a");
    assert_true(parse(
        "{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":{\"command\":1,\"argument\":25}}"));
    assert_int_equal(message.type, CAROUSEL_SEND_COMMAND);
    assert_int_equal(message.command, 1);
    assert_int_equal(message.argument, 25);
    assert_int_equal(message.deadline_ms, -1);
    assert_true(parse(
        "{\"type\":\"subscribe\",\"subscription_type\":\"status_updates\",\"machine_ids\":[\"a\",\"b\"]}"));
    assert_int_equal(message.subscription, CAROUSEL_STATUS_UPDATES);
    assert_false(message.all_machines);
    assert_int_equal(message.id_count, 2);
    assert_string_equal(message.ids[1].text, "b");
    assert_true(parse("{\"type\":\"subscribe\",\"subscription_type\":\"all_events\"}"));
    assert_int_equal(message.subscription, CAROUSEL_ALL_EVENTS);
    assert_true(message.all_machines);
    assert_true(parse("{\"type\":\"ping\"}"));
}

static void flat_commands_and_options(void **state)
{
    (void)state;
    assert_true(parse("{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":0,\"request_id\":\"r\","
                      "\"deadline_ms\":1500}"));
    assert_int_equal(message.command, 0);
    assert_int_equal(message.argument, -1);
    assert_string_equal(message.request_id, "r");
    assert_int_equal(message.deadline_ms, 1500);
    assert_true(parse("{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":255,\"argument\":0}"));
    assert_int_equal(message.argument, 0);
    assert_true(parse("{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":9,\"argument\":null,"
                      "\"request_id\":null}"));
    assert_int_equal(message.argument, -1);
    assert_true(parse("{\"type\":\"subscribe\",\"machine_ids\":null}"));
    assert_true(message.all_machines);
    assert_int_equal(message.subscription, CAROUSEL_STATUS_UPDATES);
    assert_true(parse("{\"type\":\"get_status\",\"machine_id\":null,\"unknown\":[{}]}"));
    assert_false(message.has_machine);
}

static const struct {
    const char *text;
    enum command_code_e code;
    const char *says;
} mistakes[] = {
    {"", CODE_INVALID_MESSAGE_FORMAT, "Invalid JSON at line"},
    {"{\"type\":", CODE_INVALID_MESSAGE_FORMAT, "Invalid JSON at line"},
    {"hello", CODE_INVALID_MESSAGE_FORMAT, "Invalid JSON at line"},
    {"{\"type\":\"ping\"}x", CODE_INVALID_MESSAGE_FORMAT, "Invalid JSON at line"},
    {"{\"type\":\"ping\",\"type\":\"ping\"}", CODE_INVALID_MESSAGE_FORMAT, "Duplicate member at line 1"},
    {"{\"type\":\"ping\",\"a\":{\"b\":1,\"b\":1}}", CODE_INVALID_MESSAGE_FORMAT,
     "Duplicate member at line 1"},
    {"{\"type\":\"p\\u0000\"}", CODE_INVALID_MESSAGE_FORMAT, "type: unknown \"p\""},
    {"{\"type\":\"ping\\u0000\"}", CODE_INVALID_MESSAGE_FORMAT, "type: unknown \"ping\""},
    {"{\"type\":\"ping\",\"a\\u0000\":1}", CODE_INVALID_MESSAGE_FORMAT, "NUL in a member's name at"},
    {"{\"type\":\"get_status\",\"machine_id\":\"a\\u0000b\"}", CODE_INVALID_MESSAGE_FORMAT,
     "machine_id: holds a NUL"},
    {"{\"type\":\"ping\",\"a\":[1e400,01]}", CODE_INVALID_MESSAGE_FORMAT, "Invalid JSON at line"},
    {"{\"type\":\"ping\",\"a\":9223372036854775808x}", CODE_INVALID_MESSAGE_FORMAT, "Invalid JSON at line"},
    {"[]", CODE_INVALID_MESSAGE_FORMAT, "Expected a JSON object"},
    {"\"ping\"", CODE_INVALID_MESSAGE_FORMAT, "Expected a JSON object"},
    {"17", CODE_INVALID_MESSAGE_FORMAT, "Expected a JSON object"},
    {"null", CODE_INVALID_MESSAGE_FORMAT, "Expected a JSON object"},
    {"{}", CODE_INVALID_MESSAGE_FORMAT, "type: missing"},
    {"{\"type\":1}", CODE_INVALID_MESSAGE_FORMAT, "type: expected a string"},
    {"{\"type\":\"fly\"}", CODE_INVALID_MESSAGE_FORMAT, "type: unknown \"fly\""},
    {"{\"type\":\"get_status\",\"machine_id\":1}", CODE_INVALID_MESSAGE_FORMAT,
     "machine_id: expected a string"},
    {"{\"type\":\"send_command\",\"command\":1}", CODE_INVALID_MESSAGE_FORMAT, "machine_id: missing"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\"}", CODE_INVALID_MESSAGE_FORMAT, "command: missing"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":{}}", CODE_INVALID_MESSAGE_FORMAT,
     "command: missing"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":true}", CODE_INVALID_COMMAND,
     "command: expected an integer"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":\"1\"}", CODE_INVALID_COMMAND,
     "command: expected an integer"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":1.0}", CODE_INVALID_COMMAND,
     "command: expected an integer"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":-1}", CODE_INVALID_COMMAND,
     "command: expected an integer"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":256}", CODE_INVALID_COMMAND,
     "command: expected an integer"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":1,\"argument\":1.0}", CODE_INVALID_COMMAND,
     "argument: expected"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":1,\"argument\":256}", CODE_INVALID_COMMAND,
     "argument: expected"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":1,\"argument\":99999999999999999999}",
     CODE_INVALID_COMMAND, "argument: expected an integer"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":9223372036854775808}", CODE_INVALID_COMMAND,
     "command: expected an integer"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":-9223372036854775809}",
     CODE_INVALID_COMMAND, "command: expected an integer"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":1e400}", CODE_INVALID_COMMAND,
     "command: expected an integer"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":0,\"deadline_ms\":1e999}",
     CODE_INVALID_MESSAGE_FORMAT, "deadline_ms: expected"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":1}", CODE_INVALID_COMMAND,
     "argument: missing"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":0,\"request_id\":5}",
     CODE_INVALID_MESSAGE_FORMAT, "request_id: expected a string"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":0,\"deadline_ms\":0}",
     CODE_INVALID_MESSAGE_FORMAT, "deadline_ms: expected"},
    {"{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":0,\"deadline_ms\":1e3}",
     CODE_INVALID_MESSAGE_FORMAT, "deadline_ms: expected"},
    {"{\"type\":\"subscribe\",\"subscription_type\":\"all\"}", CODE_INVALID_MESSAGE_FORMAT,
     "subscription_type: expected"},
    {"{\"type\":\"subscribe\",\"subscription_type\":[]}", CODE_INVALID_MESSAGE_FORMAT,
     "subscription_type: expected a string"},
    {"{\"type\":\"subscribe\",\"machine_ids\":\"a\"}", CODE_INVALID_MESSAGE_FORMAT,
     "machine_ids: expected an array"},
    {"{\"type\":\"subscribe\",\"since\":7}", CODE_INVALID_MESSAGE_FORMAT, "since: expected a string"},
    {"{\"type\":\"subscribe\",\"since\":\"00000000-123456789012345678901234\"}", CODE_INVALID_MESSAGE_FORMAT,
     "since: longer than 31 bytes"},
    {"{\"type\":\"unsubscribe\",\"subscription_type\":\"all\"}", CODE_INVALID_MESSAGE_FORMAT,
     "subscription_type: expected"},
    {"{\"type\":\"unsubscribe\",\"machine_ids\":[\"a\",\"b\\u0000\"]}", CODE_INVALID_MESSAGE_FORMAT,
     "machine_ids[1]: holds a NUL"},
    {"{\"type\":\"unsubscribe\",\"machine_ids\":{}}", CODE_INVALID_MESSAGE_FORMAT,
     "machine_ids: expected an array"},
    {"{\"type\":\"subscribe\",\"machine_ids\":[\"a\",7]}", CODE_INVALID_MESSAGE_FORMAT,
     "machine_ids[1]: expected a string"},
};

static void every_mistake_names_its_member(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        if (parse(mistakes[i].text) || problem.code != mistakes[i].code ||
            strstr(problem.text, mistakes[i].says) != problem.text)
            fail_msg("%s → %s %s", mistakes[i].text, command_code_name(problem.code), problem.text);
    }
}

static void subscriptions(void **state)
{
    (void)state;
    assert_true(parse("{\"type\":\"subscribe\",\"since\":\"0000abcd-12\"}"));
    assert_int_equal(message.type, CAROUSEL_SUBSCRIBE);
    assert_true(message.has_since);
    assert_string_equal(message.since, "0000abcd-12");
    assert_true(parse("{\"type\":\"subscribe\",\"since\":\"\"}"));
    assert_true(message.has_since); /* and no place in any ring: refused where rings are known */
    assert_true(parse("{\"type\":\"subscribe\",\"since\":null}"));
    assert_false(message.has_since);
    assert_true(parse("{\"type\":\"unsubscribe\",\"since\":7}"));
    assert_int_equal(message.type, CAROUSEL_UNSUBSCRIBE);
    assert_false(message.has_since);
    assert_true(message.all_machines);
    assert_int_equal(message.subscription, CAROUSEL_STATUS_UPDATES);
    assert_true(
        parse("{\"type\":\"unsubscribe\",\"subscription_type\":\"command_results\",\"machine_ids\":[]}"));
    assert_int_equal(message.subscription, CAROUSEL_COMMAND_RESULTS);
    assert_false(message.all_machines);
    assert_int_equal(message.id_count, 0);
    assert_true(parse("{\"type\":\"get_machines\",\"machine_id\":7}"));
    assert_int_equal(message.type, CAROUSEL_GET_MACHINES);
}

static void what_nobody_asked_for_may_be_anything_that_is_json(void **state)
{
    (void)state;
    assert_true(
        parse("{\"type\":\"ping\",\"a\":[1e400,-9223372036854775809,18446744073709551616],\"b\":1e-400}"));
    assert_true(parse("{\"type\":\"ping\",\"a\":\"1e400 \\\" \\u0000\",\"b\":1E+999}"));
    /* numbers inside strings stay what they are, also when the text is read a second time */
    assert_true(
        parse("{\"a\":1e400,\"type\":\"get_status\",\"machine_id\":\"m\\\\\\\"99999999999999999999\"}"));
    assert_string_equal(message.machine.text, "m\\\"99999999999999999999");
    /* and so do those that fit */
    assert_true(parse("{\"a\":1e400,\"type\":\"send_command\",\"machine_id\":\"m\",\"command\":255,"
                      "\"argument\":7,\"deadline_ms\":600000,\"b\":9223372036854775807}"));
    assert_int_equal(message.command, 255);
    assert_int_equal(message.argument, 7);
    assert_int_equal(message.deadline_ms, 600000);
}

static void a_single_machine_needs_no_name(void **state)
{
    (void)state;
    single = true;
    assert_true(parse("{\"type\":\"send_command\",\"command\":1,\"argument\":25}"));
    assert_false(message.has_machine);
    assert_int_equal(message.argument, 25);
    assert_true(parse("{\"type\":\"send_command\",\"command\":{\"command\":0}}"));
    assert_true(parse("{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":0}"));
    assert_true(message.has_machine);
    assert_false(parse("{\"type\":\"send_command\"}"));
    assert_string_equal(problem.text, "command: missing");
    assert_false(parse("{\"type\":\"send_command\",\"machine_id\":7,\"command\":0}"));
    assert_string_equal(problem.text, "machine_id: expected a string");
    single = false;
}

static void a_mistake_tells_machine_and_request_where_they_were_readable(void **state)
{
    (void)state;
    assert_false(
        parse("{\"type\":\"send_command\",\"machine_id\":\"a\",\"request_id\":\"r1\",\"command\":256}"));
    assert_string_equal(problem.machine.text, "a");
    assert_string_equal(problem.request_id, "r1");
    assert_false(parse("{}"));
    assert_string_equal(problem.machine.text, "");
    assert_string_equal(problem.request_id, "");
}

static void limits(void **state)
{
    (void)state;
    char text[64 * 1024], id[MACHINE_ID_MAX + 2] = {0};
    memset(id, 'x', MACHINE_ID_MAX);
    snprintf(text, sizeof text, "{\"type\":\"get_status\",\"machine_id\":\"%s\"}", id);
    assert_true(parse(text));
    id[MACHINE_ID_MAX] = 'x';
    snprintf(text, sizeof text, "{\"type\":\"get_status\",\"machine_id\":\"%s\"}", id);
    assert_false(parse(text));
    assert_non_null(strstr(problem.text, "machine_id: longer than 64 bytes"));
    for (unsigned n = CAROUSEL_IDS_MAX; n <= CAROUSEL_IDS_MAX + 1; n++) {
        size_t len = (size_t)snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"machine_ids\":[");
        for (unsigned i = 0; i < n; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s\"m%u\"", i ? "," : "", i);
        snprintf(text + len, sizeof text - len, "]}");
        assert_int_equal(parse(text), n == CAROUSEL_IDS_MAX);
    }
    memset(text, '[', 60000);
    text[60000] = '\0';
    assert_false(parse(text)); /* depth */
}

static void damaged_messages_never_read_outside(void **state)
{
    (void)state;
    static const char *const seeds[] = {
        "{\"type\":\"send_command\",\"machine_id\":\"a\",\"command\":{\"command\":1,\"argument\":25},"
        "\"request_id\":\"é\"}",
        "{\"type\":\"subscribe\",\"subscription_type\":\"all_events\",\"machine_ids\":[\"a\",\"b\"]}",
        "{\"type\":\"subscribe\",\"since\":\"0000abcd-12\",\"x\":[1e400,-18446744073709551616,\"\\\\\\\"9\"]"
        "}",
    };
    srand(99);
    for (int round = 0; round < 50000; round++) {
        char text[256];
        const char *seed = seeds[round % 3];
        size_t len = strlen(seed);
        memcpy(text, seed, len + 1);
        for (int hits = 1 + rand() % 5; hits > 0; hits--)
            text[(size_t)rand() % len] = (char)rand();
        if (!carousel_parse(text, len - (size_t)(rand() % 3), rand() % 2, &message, &problem))
            assert_true(problem.text[0] != '\0' && problem.code != CODE_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documents_messages),
        cmocka_unit_test(flat_commands_and_options),
        cmocka_unit_test(every_mistake_names_its_member),
        cmocka_unit_test(subscriptions),
        cmocka_unit_test(what_nobody_asked_for_may_be_anything_that_is_json),
        cmocka_unit_test(a_single_machine_needs_no_name),
        cmocka_unit_test(a_mistake_tells_machine_and_request_where_they_were_readable),
        cmocka_unit_test(limits),
        cmocka_unit_test(damaged_messages_never_read_outside),
    };
    return cmocka_run_group_tests_name("carousel_message", tests, NULL, NULL);
}
