/* conf: the streams dialect's settings and the bridges: what goes from machines to streams. */
#include "conf_fixture.h"

#include <stdlib.h>
#include <time.h>

#include "topic.h"

#define LISTENER "listeners: [{name: a, dialects: [streams]}]\n"
#define MACHINES "machines: [{id: m1, ip: 10.0.0.1}, {id: m2, ip: 10.0.0.2}]\n"
#define FRONT    LISTENER MACHINES "bridges:\n" /* bridges begin on line 4 */

static void bridges_are_read(void **state)
{
    (void)state;
    struct conf *conf = conf_good("c.yaml", FRONT "  - {from: states, stream: hall 1}\n"
                                                  "  - {from: results, stream: wms, machines: [m2, m1]}\n"
                                                  "  - from: events\n"
                                                  "    stream: \"lift/\\u20ac \\U0001F3A1\"\n"
                                                  "    machines: [m1]\n");
    assert_int_equal(conf->bridge_count, 3);
    assert_int_equal(conf->bridges[0].from, BRIDGE_STATES);
    assert_string_equal(conf->bridges[0].stream, "hall 1");
    assert_int_equal(conf->bridges[0].machine_count, 0);
    assert_null(conf->bridges[0].machines);
    assert_int_equal(conf->bridges[1].from, BRIDGE_RESULTS);
    assert_int_equal(conf->bridges[1].machine_count, 2);
    assert_string_equal(conf->bridges[1].machines[0], "m2");
    assert_string_equal(conf->bridges[1].machines[1], "m1");
    assert_int_equal(conf->bridges[2].from, BRIDGE_EVENTS);
    assert_string_equal(conf->bridges[2].stream, "lift/€ 🎡");
    assert_int_equal(conf->warning_count, 0);
    assert_string_equal(conf_bridge_source(BRIDGE_STATES), "states");
    assert_string_equal(conf_bridge_source(BRIDGE_RESULTS), "results");
    assert_string_equal(conf_bridge_source(BRIDGE_EVENTS), "events");
    conf_free(&conf);
}

/* One stream for several sources, and for each machine by a bridge of its own. */
static void overlaps_that_are_none(void **state)
{
    (void)state;
    struct conf *conf = conf_good("c.yaml", FRONT "  - {from: states, stream: x}\n"
                                                  "  - {from: results, stream: x}\n"
                                                  "  - {from: events, stream: x, machines: [m1]}\n"
                                                  "  - {from: events, stream: x, machines: [m2]}\n"
                                                  "  - {from: states, stream: y, machines: [m2]}\n");
    assert_int_equal(conf->bridge_count, 5);
    conf_free(&conf);
    conf = conf_good("c.yaml", LISTENER MACHINES);
    assert_int_equal(conf->bridge_count, 0);
    conf_free(&conf);
    conf = conf_good("c.yaml", LISTENER "bridges: [{from: states, stream: x}]\n"); /* no machines yet */
    assert_int_equal(conf->bridge_count, 1);
    conf_free(&conf);
}

static void ids_of_streams(void **state)
{
    (void)state;
    char text[600], id[STREAM_ID_MAX + 2];
    memset(id, 'x', sizeof id);
    id[STREAM_ID_MAX] = '\0';
    snprintf(text, sizeof text, FRONT "  - {from: states, stream: %s}\n", id);
    struct conf *conf = conf_good("c.yaml", text);
    assert_string_equal(conf->bridges[0].stream, id);
    conf_free(&conf);
    snprintf(text, sizeof text, FRONT "  - {from: states, stream: %sy}\n", id);
    conf_refuses("c.yaml", text,
                 "c.yaml:4: bridges[0].stream: "
                 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… is not a text of 1 to 128 "
                 "bytes without control characters\n");
    conf_refuses("c.yaml",
                 FRONT "  - {from: states, stream: \"\"}\n"
                       "  - {from: states, stream: }\n"
                       "  - {from: states, stream: \"a\\tb\"}\n",
                 "c.yaml:4: bridges[0].stream: nothing found, expected a text of 1 to 128 bytes without "
                 "control characters\n"
                 "c.yaml:5: bridges[1].stream: nothing found, expected a text of 1 to 128 bytes without "
                 "control characters\n"
                 "c.yaml:6: bridges[2].stream: a?b is not a text of 1 to 128 bytes without control "
                 "characters\n");
    conf_refuses("c.yaml", FRONT "  - {from: states, stream: \"a\xc3(\"}\n",
                 "c.yaml:4: is not YAML: invalid trailing UTF-8 octet\n");
    conf_refuses("c.yaml", FRONT "  - {from: states, stream: \"\\ud800\"}\n",
                 "c.yaml:4: is not YAML: found invalid Unicode character escape code while parsing a quoted "
                 "scalar\n");
    conf_refuses("c.yaml", FRONT "  - {from: states, stream: \"a\\0b\"}\n",
                 "c.yaml:4: bridges[0]: contains a NUL character\n");
}

static void wrong_bridges(void **state)
{
    (void)state;
    conf_refuses("c.yaml",
                 FRONT "  - {from: status, stream: x}\n"
                       "  - {from: [states, results], stream: x}\n"
                       "  - {stream: x}\n"
                       "  - {from: states}\n",
                 "c.yaml:5: bridges[1].from: a list found, expected one of states, results, events\n");
    conf_refuses("c.yaml",
                 FRONT "  - {from: status, stream: x}\n"
                       "  - {stream: x}\n"
                       "  - {from: states}\n",
                 "c.yaml:4: bridges[0].from: status is not one of states, results, events; did you mean "
                 "states?\n"
                 "c.yaml:5: bridges[1]: the key from is missing, expected one of states, results, events\n"
                 "c.yaml:6: bridges[2]: the key stream is missing, expected a text of 1 to 128 bytes without "
                 "control characters\n");
    conf_refuses(
        "c.yaml", FRONT "  - {from: states, stream: x, machines: []}\n",
        "c.yaml:4: bridges[0].machines: an empty list found, expected a list of 1 to 65536 values\n");
    conf_refuses("c.yaml", FRONT "  - {from: states, stream: x, machines: [m1, Máquina]}\n",
                 "c.yaml:4: bridges[0].machines[1]: Máquina is not an id (1 to 64 of A-Z a-z 0-9 _ . : -)\n");
}

static void machines_that_are_none(void **state)
{
    (void)state;
    conf_refuses("c.yaml",
                 LISTENER "machines: [{id: machine_1, ip: 10.0.0.1}, {id: machine_2, ip: 10.0.0.2}]\n"
                          "bridges:\n"
                          "  - from: states\n"
                          "    stream: x\n"
                          "    machines:\n"
                          "      - machine_1\n"
                          "      - machin_2\n"
                          "      - machine_1\n"
                          "      - other\n"
                          "  - {from: states, stream: y, machines: [machine_2, machine_2, machine_2]}\n",
                 "c.yaml:8: bridges[0].machines[1]: there is no machine machin_2, did you mean machine_2?\n"
                 "c.yaml:9: bridges[0].machines[2]: names machine_1 a second time\n"
                 "c.yaml:10: bridges[0].machines[3]: there is no machine other\n"
                 "c.yaml:11: bridges[1].machines[1]: names machine_2 a second time\n"
                 "c.yaml:11: bridges[1].machines[2]: names machine_2 a second time\n");
    conf_refuses("c.yaml", /* what is wrong with machines is told first, and alone */
                 LISTENER "machines: [{id: m1, ip: here}]\n"
                          "bridges: [{from: states, stream: x, machines: [m2]}]\n",
                 "c.yaml:2: machines[0].ip: here is not a numeric IPv4 or IPv6 address; names are not looked "
                 "up\n");
}

static void the_same_bridge_twice(void **state)
{
    (void)state;
    conf_refuses("c.yaml",
                 FRONT "  - {from: states, stream: x}\n"
                       "  - {from: results, stream: x}\n"
                       "  - {from: states, stream: x}\n",
                 "c.yaml:6: bridges[2].stream: states of m1 go to x by bridges[0] already\n");
    conf_refuses("c.yaml",
                 FRONT "  - {from: events, stream: x, machines: [m2]}\n"
                       "  - from: events\n"
                       "    stream: x\n",
                 "c.yaml:6: bridges[1].stream: events of m2 go to x by bridges[0] already\n");
    conf_refuses("c.yaml",
                 FRONT "  - {from: results, stream: x}\n"
                       "  - {from: results, stream: x, machines: [m2, m1, m2]}\n",
                 "c.yaml:5: bridges[1].stream: results of m2 go to x by bridges[0] already\n"
                 "c.yaml:5: bridges[1].machines[2]: names m2 a second time\n");
}

static void at_most_16_streams_of_one(void **state)
{
    (void)state;
    char text[4096];
    size_t len = (size_t)snprintf(text, sizeof text, FRONT);
    for (unsigned i = 0; i < 15; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "  - {from: states, stream: s%u}\n", i);
    len += (size_t)snprintf(text + len, sizeof text - len,
                            "  - {from: states, stream: m2 alone, machines: [m2]}\n"
                            "  - {from: results, stream: r}\n"
                            "  - {from: states, stream: m1 alone, machines: [m1]}\n");
    struct conf *conf = conf_good("c.yaml", text);
    assert_int_equal(conf->bridge_count, 18);
    conf_free(&conf);
    snprintf(text + len, sizeof text - len,
             "  - {from: states, stream: too many}\n"
             "  - {from: states, stream: too, machines: [m2]}\n"
             "  - {from: events, stream: fine}\n");
    conf_refuses("c.yaml", text,
                 "c.yaml:22: bridges[18].stream: states of m1 go to 16 streams already, which is the most\n"
                 "c.yaml:23: bridges[19].stream: states of m2 go to 16 streams already, which is the most\n");
}

static void bridges_that_nobody_can_read(void **state)
{
    (void)state;
    static const char bridge[] = "bridges: [{from: states, stream: x}]\n";
    char text[600];
    snprintf(text, sizeof text, "listeners: [{name: a}]\n" MACHINES "%s", bridge);
    assert_string_equal(conf_warnings_of("c.yaml", text),
                        "c.yaml:3: bridges: nobody can read these streams: no listener has streams among its "
                        "dialects\n");
    snprintf(text, sizeof text,
             "listeners: [{name: a}, {name: b, port: 1, dialects: [rest, streams]}]\n" MACHINES "%s", bridge);
    assert_string_equal(conf_warnings_of("c.yaml", text), "");
    assert_string_equal(conf_warnings_of("c.yaml", "listeners: [{name: a}]\n" MACHINES), "");
}

static void limits_of_the_dialect(void **state)
{
    (void)state;
    conf_refuses("c.yaml",
                 "streams: {echo: maybe, errors: 0, admin: all, max_streams: 1001, max_channels: 1000001}\n",
                 "c.yaml:1: streams.echo: maybe is not true or false\n"
                 "c.yaml:1: streams.errors: 0 is not true or false\n"
                 "c.yaml:1: streams.admin: all is not true or false\n"
                 "c.yaml:1: streams.max_streams: 1001 is not a number (1 to 1000 streams)\n"
                 "c.yaml:1: streams.max_channels: 1000001 is not a number (1 to 1000000 channels)\n");
    conf_refuses("c.yaml", "streams: {max_streams: 0, max_channels: 0}\n",
                 "c.yaml:1: streams.max_streams: 0 is not a number (1 to 1000 streams)\n"
                 "c.yaml:1: streams.max_channels: 0 is not a number (1 to 1000000 channels)\n");
}

/* --- many --------------------------------------------------------------------------------------------------------- */

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Each bridge names one machine, <prefix><number>; prefix NULL: all. */
static char *many(const char *prefix, size_t bridges, size_t machines)
{
    char *text = malloc(1 << 20);
    size_t len = (size_t)sprintf(text, LISTENER "max_machines: 65536\nmachines:\n");
    for (size_t i = 0; i < machines; i++)
        len += (size_t)sprintf(text + len, "- {id: m%zu, ip: 10.%zu.%zu.1}\n", i, i / 256, i % 256);
    len += (size_t)sprintf(text + len, "bridges:\n");
    for (size_t i = 0; i < bridges; i++)
        len += prefix != NULL
                   ? (size_t)sprintf(text + len, "- {from: states, stream: s%zu, machines: [%s%zu]}\n", i,
                                     prefix, i)
                   : (size_t)sprintf(text + len, "- {from: states, stream: s%zu}\n", i);
    assert_true(len < 1 << 20);
    return text;
}

/* A stream for each source and machine of a large installation. */
static void a_bridge_for_each_machine(void **state)
{
    (void)state;
    char *text = many("m", 4096, 4096);
    double start = cpu_seconds();
    struct conf *conf = conf_good("c.yaml", text);
    assert_int_equal(conf->bridge_count, 4096);
    assert_string_equal(conf->bridges[4095].machines[0], "m4095");
    assert_true(cpu_seconds() - start < 10); /* as in conf_hostile_test: under sanitizers and valgrind */
    conf_free(&conf);
    free(text);
}

static void wrong_ones_cost_little(void **state)
{
    (void)state;
    double start = cpu_seconds();
    struct conf *conf;
    char *text = many(NULL, 14000, 12000);
    assert_int_equal(conf_from("c.yaml", text, &conf), ERR_CONFIG);
    assert_non_null(strstr(conf_told, "and 13934 more problems"));
    free(text);
    text = many("n", 8000, 12000);
    assert_int_equal(conf_from("c.yaml", text, &conf), ERR_CONFIG);
    assert_non_null(strstr(conf_told, "there is no machine n0, did you mean m0?"));
    assert_non_null(strstr(conf_told, "and 7950 more problems"));
    free(text);
    text = many(NULL, 16385, 1);
    assert_int_equal(conf_from("c.yaml", text, &conf), ERR_CONFIG);
    assert_non_null(
        strstr(conf_told, "bridges: more entries found, expected a list of at most 16384 entries"));
    free(text);
    if (cpu_seconds() - start > 20)
        fail_msg("took %.1f s", cpu_seconds() - start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bridges_are_read),
        cmocka_unit_test(overlaps_that_are_none),
        cmocka_unit_test(ids_of_streams),
        cmocka_unit_test(wrong_bridges),
        cmocka_unit_test(machines_that_are_none),
        cmocka_unit_test(the_same_bridge_twice),
        cmocka_unit_test(at_most_16_streams_of_one),
        cmocka_unit_test(bridges_that_nobody_can_read),
        cmocka_unit_test(limits_of_the_dialect),
        cmocka_unit_test(a_bridge_for_each_machine),
        cmocka_unit_test(wrong_ones_cost_little),
    };
    return cmocka_run_group_tests_name("conf_bridges", tests, NULL, NULL);
}
