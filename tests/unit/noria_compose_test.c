/* noria compose: the file of the demonstration, what differs with the configuration, and what containers cannot do. */
#include "conf_fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "compose.h"
#include "containers.h"

#define HEAD "listeners: [{name: c, address: 0.0.0.0, port: 8765}]\nallow_unauthenticated: true\n"

static const struct compose_options plain = {
    .image = "noria", .conf_dir = "./conf", .workers = 0, .made_from = "c.yaml"};

static char *written(const char *text, const struct compose_options *options)
{
    char *made = NULL;
    size_t len = 0;
    struct conf *conf = conf_good("/x/c.yaml", text);
    FILE *out = open_memstream(&made, &len), *err = tmpfile();
    assert_int_equal(compose_problems(conf, err), 0);
    compose_write(conf, options, out);
    fclose(out);
    fclose(err);
    conf_free(&conf);
    return made;
}

static const char *problems(const char *text)
{
    static char said[8192];
    struct conf *conf = conf_good("/x/c.yaml", text);
    FILE *err = fmemopen(said, sizeof said, "w");
    size_t count = compose_problems(conf, err);
    fclose(err);
    conf_free(&conf);
    size_t lines = 0;
    for (const char *at = said; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_int_equal(lines, count);
    return said;
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void has_not(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("\"%s\" is in:\n%s", part, text);
}

/* The label of an agent, 16 hex digits. */
static const char *label(const char *made, const char *service, char out[17])
{
    const char *key = "noria.configuration: \"", *at = strstr(made, service);
    assert_non_null(at);
    at = strstr(at, key);
    assert_non_null(at);
    snprintf(out, 17, "%s", at + strlen(key));
    return out;
}

static int to_the_tree(void **state)
{
    (void)state;
    return chdir(NORIA_TREE);
}

static void the_committed_file_is_that_of_the_demonstration(void **state)
{
    (void)state;
    static char committed[64 * 1024];
    char *made = NULL;
    size_t len = 0;
    const char *argv[] = {"compose", "-c", "deploy/conf/compose-demo.yaml", "--conf-dir", "./conf", NULL};
    FILE *out = open_memstream(&made, &len), *file = fopen("deploy/compose.yaml", "r");
    assert_int_equal(containers_main(5, (char **)argv, out, stderr), 0);
    fclose(out);
    assert_non_null(file);
    committed[fread(committed, 1, sizeof committed - 1, file)] = '\0';
    fclose(file);
    if (strcmp(made, committed) != 0)
        fail_msg("deploy/compose.yaml is to be made anew: bin/noria compose -c deploy/conf/compose-demo.yaml "
                 "--conf-dir ./conf > deploy/compose.yaml");
    free(made);
}

static void an_agents_label_follows_what_it_would_notice(void **state)
{
    (void)state;
    static const char *const texts[] = {
        HEAD "machines: [{id: a, ip: 10.0.0.1}, {id: b, ip: 10.0.0.2}]\n",
        HEAD "machines: [{id: b, ip: 10.0.0.2, name: Another}, {id: a, ip: 10.0.0.1}]\n", /* same for both */
        HEAD "machines: [{id: a, ip: 10.0.0.1, poll_interval_ms: 100}, {id: b, ip: 10.0.0.2}]\n",
        HEAD "machines: [{id: a, ip: 10.0.0.3}, {id: b, ip: 10.0.0.2}]\n",
        HEAD "machines: [{id: a, ip: 10.0.0.1, profile: delta-as}, {id: b, ip: 10.0.0.2}]\n",
    };
    char a[sizeof texts / sizeof *texts][17], b[17], first_b[17];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *made = written(texts[i], &plain);
        label(made, "  agent-a:\n", a[i]);
        label(made, "  agent-b:\n", i == 0 ? first_b : b);
        if (i > 0)
            assert_string_equal(b, first_b);
        free(made);
    }
    assert_string_equal(a[0], a[1]);
    for (size_t i = 2; i < sizeof texts / sizeof *texts; i++)
        for (size_t k = 0; k < i; k++)
            if (k != 1)
                assert_string_not_equal(a[i], a[k]);
}

static void names_and_texts_are_made_fit(void **state)
{
    (void)state;
    char *made = NULL;
    struct compose_options options = plain;
    options.conf_dir = "/srv/a \"b\" $c\\";
    options.image = "registry/noria:7";
    options.workers = 5;
    made = written(HEAD "machines: [{id: \"hall:lift-1.x\", ip: 10.0.0.1}]\n", &options);
    has(made, "source: \"/srv/a \\\"b\\\" $$c\\\\\"}");
    has(made, "  image: ${NORIA_IMAGE:-registry/noria:7}\n");
    has(made, "\n  agent-hall-lift-1.x:\n");
    has(made, "image: ${NORIA_IMAGE_HALL_LIFT_1_X:-registry/noria:7}\n");
    has(made, "-m, \"hall:lift-1.x\"]");
    has(made, "[CMD, noria, health, \"hall:lift-1.x\"]");
    has(made, "\"agent-hall-lift-1.x:/var/lib/noria\"");
    has(made, "scale: ${NORIA_WORKERS:-5}");
    has_not(made, "  store:");
    has_not(made, "plc-sim");
    has(made, "\n  plc: {}\n");
    free(made);
}

static void what_the_configuration_decides(void **state)
{
    (void)state;
    char *made = written(
        "listeners:\n"
        "  - {name: c, address: 10.0.0.8, port: 8765}\n"
        "  - {name: d, dialects: [channels], address: \"::\", port: 8000}\n"
        "  - {name: e, dialects: [rest], address: 10.0.0.9, port: 8765}\n"
        "allow_unauthenticated: true\nring: {size_mib: 16}\nmax_machines: 160\nworkers: {drain_ms: 55000}\n"
        "handlers:\n"
        "  - {name: one, socket: /run/mine/one.sock}\n"
        "  - {name: two, socket: /run/mine/two.sock}\n"
        "  - {name: three, socket: /run/theirs/three.sock}\n"
        "endpoints: [{path: /one, handler: one}]\n",
        &plain);
    has(made, ":8765:8765\" # c\n");
    has(made, ":8000:8000\" # d\n");
    has_not(made, "# e\n"); /* the same port once */
    has(made, "\n  store:\n");
    has(made, "o: \"size=106m,");
    has(made, "mem_limit: 288m\n");
    has(made, "stop_grace_period: 120s\n");
    has(made, "      - handlers-0:/run/mine\n      - handlers-2:/run/theirs\n");
    has(made, "  handlers-0: {}");
    has_not(made, "handlers-1");
    free(made);
}

static char *many(size_t count, const char *head)
{
    size_t len = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &len);
    fprintf(out, "%s%smachines:\n", HEAD, head);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "  - {id: m%zu, ip: 10.%zu.%zu.1, simulator: true}\n", i, i / 200, i % 200);
    fclose(out);
    return text;
}

static void the_network_of_plcs_has_room_for_all(void **state)
{
    (void)state;
    char *text = many(100, "simulator: {address: 10.213.7.10}\n"), *made = written(text, &plain);
    has(made, "{subnet: 10.213.7.0/24, gateway: 10.213.7.1, ip_range: 10.213.7.128/25}");
    has(made, "networks: {plc: {ipv4_address: 10.213.7.10}}");
    free(text);
    free(made);
    text = many(101, "simulator: {address: 10.213.8.10}\n");
    made = written(text, &plain);
    has(made, "{subnet: 10.213.8.0/21, gateway: 10.213.8.1, ip_range: 10.213.12.0/22}");
    free(text);
    free(made);
    text = many(1001, "simulator: {address: 10.213.8.10}\n");
    has(problems(text), "1001 machines: a network of containers has room for 1000");
    free(text);
}

static void what_containers_cannot_do(void **state)
{
    (void)state;
    const char *said =
        problems("listeners: [{name: c, address: 127.0.0.1, port: 8765}, {name: d, dialects: [rest], "
                 "address: \"::1\", port: 0}]\n"
                 "handlers: [{name: h, command: [x]}]\n"
                 "endpoints: [{path: /h, handler: h, schema: ../y/s.json}]\n"
                 "machines: [{id: \"a:b\", ip: 10.0.0.1}, {id: a-b, ip: 10.0.0.2, simulator: true}]\n");
    has(said, "listeners[0] (c): 127.0.0.1 is the container's own loopback");
    has(said, "listeners[1] (d): ::1 is the container's own loopback");
    has(said, "listeners[1] (d): a port that is published needs a number");
    has(said, "handlers[0] (h): nobody starts its command here");
    has(said, "endpoints[0]: /x/../y/s.json is outside of /x/");
    has(said, "machines a:b and a-b");
    has(said, "simulator.address: 127.0.0.1 is not reached from other containers");
    has(problems(HEAD
                 "simulator: {address: 10.0.0.200}\nmachines: [{id: a, ip: 10.0.0.2, simulator: true}]\n"),
        "its last number must be 2 to 126");
}

static int call(const char *const *words)
{
    char *argv[8] = {0};
    int argc = 0;
    while (words[argc] != NULL) {
        argv[argc] = (char *)words[argc];
        argc++;
    }
    FILE *nowhere = fopen("/dev/null", "w");
    optind = 0;
    int code = containers_main(argc, argv, nowhere, nowhere);
    fclose(nowhere);
    return code;
}

static void usage_and_exit_codes(void **state)
{
    (void)state;
    assert_true(containers_has("compose") && containers_has("front") && containers_has("health"));
    assert_false(containers_has("up"));
    assert_int_equal(call((const char *[]){"compose", NULL}), 2);
    assert_int_equal(call((const char *[]){"compose", "--help", NULL}), 0);
    assert_int_equal(call((const char *[]){"compose", "-c", "x.yaml", "--workers", "0", NULL}), 2);
    assert_int_equal(call((const char *[]){"compose", "-c", "x.yaml", "--workers", "1025", NULL}), 2);
    assert_int_equal(call((const char *[]){"compose", "-c", "/nowhere/x.yaml", NULL}), 78);
    assert_int_equal(call((const char *[]){"compose", "-c", "deploy/conf/demo.yaml", NULL}), 1);
    assert_int_equal(call((const char *[]){"front", "x", NULL}), 2);
    assert_int_equal(call((const char *[]){"health", "-c", "x.yaml", NULL}), 2);
    assert_int_equal(call((const char *[]){"health", "a", "b", NULL}), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_committed_file_is_that_of_the_demonstration),
        cmocka_unit_test(an_agents_label_follows_what_it_would_notice),
        cmocka_unit_test(names_and_texts_are_made_fit),
        cmocka_unit_test(what_the_configuration_decides),
        cmocka_unit_test(the_network_of_plcs_has_room_for_all),
        cmocka_unit_test(what_containers_cannot_do),
        cmocka_unit_test(usage_and_exit_codes),
    };
    return cmocka_run_group_tests(tests, to_the_tree, NULL);
}
