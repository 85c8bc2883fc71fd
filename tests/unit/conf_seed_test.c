/* conf: config_multi_plc.json as it is, beside a YAML file and instead of one. */
#include "conf_fixture.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "scratch_dir.h"

/* The shape that its servers write. */
static const char seed[] =
    "{\n"
    "  \"api_config\": {\"host\": \"0.0.0.0\", \"port\": 5000, \"deep\": [[1, [2, {\"a\": []}]]]},\n"
    "  \"plc_machines\": [\n"
    "    {\n"
    "      \"id\": \"machine_1\",\n"
    "      \"name\": \"Carrusel Principal \\u00e9\",\n"
    "      \"ip\": \"192.168.1.50\",\n"
    "      \"port\": 3200,\n"
    "      \"simulator\": false,\n"
    "      \"description\": \"Planta baja\"\n"
    "    },\n"
    "    {\"id\": \"machine_2\", \"ip\": \"192.168.1.51\", \"simulator\": true,\n"
    "     \"vendor\": {\"x\": [1, 2]}, \"name\": null}\n"
    "  ]\n"
    "}\n";

static void a_bare_file_is_a_configuration(void **state)
{
    (void)state;
    struct conf *conf = conf_good("plant/config_multi_plc.json", seed);
    assert_int_equal(conf->machine_count, 2);
    assert_int_equal(conf->machines_from_count, 2);
    const struct conf_machine *one = conf_machine(conf, "machine_1"), *two = conf_machine(conf, "machine_2");
    assert_string_equal(one->info.name, "Carrusel Principal é");
    assert_string_equal(one->connect_host, "192.168.1.50");
    assert_int_equal(one->connect_port, 3200);
    assert_false(one->info.simulator);
    assert_ptr_equal(one->profile, profile_builtin("standard"));
    assert_int_equal(one->poll_interval_ms, 250);
    assert_string_equal(two->info.name, "machine_2");
    assert_string_equal(two->info.ip, "192.168.1.51"); /* what clients see */
    assert_int_equal(two->info.port, 3200);
    assert_true(two->info.simulator);
    assert_string_equal(two->connect_host, "127.0.0.1");
    assert_int_equal(two->connect_port, 3201);
    assert_int_equal(conf->listener_count, 2);
    assert_string_equal(conf->listeners[0].dialects[0], "carousel");
    assert_int_equal(conf->listeners[0].port, 8765);
    assert_string_equal(conf->listeners[1].dialects[0], "rest");
    assert_int_equal(conf->listeners[1].port, 8000);
    assert_int_equal(conf->warning_count, 1);
    assert_string_equal(conf->warnings[0],
                        "plant/config_multi_plc.json:1: api_config is ignored: addresses and ports for "
                        "clients are this configuration's listeners");
    conf_free(&conf);
}

static void errors_have_member_and_line(void **state)
{
    (void)state;
    conf_refuses(
        "m.json",
        "{\"plc_machines\": [\n"
        "  {\"id\": \"a b\", \"ip\": \"10.0.0.1\"},\n"
        "  {\"id\": \"b\",\n"
        "   \"ip\": \"plc.local\",\n"
        "   \"port\":\n"
        "     \"3200\",\n"
        "   \"simulator\": \"yes\"},\n"
        "  {\"id\": 7, \"ip\": [\"10.0.0.3\"], \"port\": 3200.0, \"simulator\": 1},\n"
        "  \"machine\",\n"
        "  {\"id\": \"e\", \"ip\": \"10.0.0.5\", \"port\": 70000},\n"
        "  {\"id\": \"f\", \"ip\": \"10.0.0.6\", \"port\": -1},\n"
        "  {}\n"
        "]}\n",
        "m.json:6: plc_machines[1].port: a string found, expected an integer\n"
        "m.json:7: plc_machines[1].simulator: a string found, expected true or false\n"
        "m.json:8: plc_machines[2].id: an integer found, expected a string\n"
        "m.json:8: plc_machines[2].ip: a list found, expected a string\n"
        "m.json:8: plc_machines[2].port: a number with a fraction found, expected an integer\n"
        "m.json:8: plc_machines[2].simulator: an integer found, expected true or false\n"
        "m.json:9: plc_machines[3]: a string found, expected a mapping with id, ip and port\n"
        "m.json:2: plc_machines[0].id: a b is not an id (1 to 64 of A-Z a-z 0-9 _ . : -)\n"
        "m.json:4: plc_machines[1].ip: plc.local is not a numeric IPv4 or IPv6 address; names are not looked "
        "up\n"
        "m.json:8: plc_machines[2]: the key id is missing, expected an id (1 to 64 of A-Z a-z 0-9 _ . : -)\n"
        "m.json:8: plc_machines[2]: the key ip is missing, expected a numeric IPv4 or IPv6 address\n"
        "m.json:10: plc_machines[4].port: 70000 is not a port (1 to 65535)\n"
        "m.json:11: plc_machines[5].port: -1 is not a port (1 to 65535)\n"
        "m.json:12: plc_machines[6]: the key id is missing, expected an id (1 to 64 of A-Z a-z 0-9 _ . : -)\n"
        "m.json:12: plc_machines[6]: the key ip is missing, expected a numeric IPv4 or IPv6 address\n");
}

static void other_files_are_told(void **state)
{
    (void)state;
    conf_refuses("m.json", "{\"plc_machines\": [\n  {\"id\": \"a\",}\n]}\n",
                 "m.json:2: is not JSON: string or '}' expected near '}'\n");
    conf_refuses("m.json", "", "m.json:1: is not JSON: '[' or '{' expected near end of file\n");
    conf_refuses("m.json", "[]", "m.json: holds no plc_machines, expected a JSON object with that list\n");
    conf_refuses("m.json", "{\"machines\": []}",
                 "m.json: holds no plc_machines, expected a JSON object with that list\n");
    conf_refuses("m.json", "{\n\"plc_machines\": {}}",
                 "m.json:2: plc_machines: a mapping found, expected a list\n");
    conf_refuses("m.json", "{\"plc_machines\": [\n{\"id\": \"a\", \"ip\": \"1.1.1.1\",\n\"id\": \"b\"}]}",
                 "m.json:3: is not JSON: duplicate object key near '\"id\"'\n");
    conf_refuses(
        "m.json", "{\"plc_machines\": [{\"id\": \"a\\u0000\"}]}",
        "m.json:1: is not JSON: \\u0000 is not allowed without JSON_ALLOW_NUL near '\"a\\u0000\"'\n");
}

static void odd_but_valid_json(void **state)
{
    (void)state;
    static const char odd[] = "\xef\xbb\xbf" /* a byte order mark */
                              "\t{ \"a\\\"b\" :{\"plc_machines\":[1]},\"api_config\"\r\n:\r\nnull ,\r\n "
                              "\"plc_machines\"\n\n:\n[ {\"id\":\"a\",\r\n"
                              "\"x\":\"{[\\\\\",\"emoji\":\"\\ud83d\\ude00\",\"ip\":\"bad\"},{\"ip\":\"1.1.1."
                              "2\",\"id\"\n:\n\"b\"}]}";
    conf_refuses(
        "m.json", odd,
        "m.json:8: plc_machines[0].ip: bad is not a numeric IPv4 or IPv6 address; names are not looked up\n");
    struct conf *conf = conf_good("m.json", "{\"plc_machines\":[]}");
    assert_int_equal(conf->machine_count, 0);
    conf_free(&conf);
}

static void contradictions(void **state)
{
    (void)state;
    conf_refuses(
        "m.json",
        "{\"plc_machines\": [\n"
        "  {\"id\": \"a\", \"ip\": \"10.0.0.1\"},\n"
        "  {\"id\": \"a\", \"ip\": \"10.0.0.2\"},\n"
        "  {\"id\": \"c\", \"ip\": \"10.0.0.1\", \"port\": 3200},\n"
        "  {\"id\": \"d\", \"ip\": \"10.0.0.1\", \"simulator\": true},\n"
        "  {\"id\": \"e\", \"ip\": \"127.0.0.1\", \"port\": 3201}]}\n",
        "m.json:3: plc_machines[1].id: a is the id of plc_machines[0] too\n"
        "m.json:4: plc_machines[2].ip: 10.0.0.1 port 3200 is the PLC of plc_machines[0] too; a PLC takes one "
        "client\n"
        "m.json:6: plc_machines[4].ip: 127.0.0.1 port 3201 is the simulator of plc_machines[3] too; a PLC "
        "takes "
        "one client\n");
}

/* --- beside a YAML file ------------------------------------------------------------------------------------------- */

static int make_directory(void **state)
{
    (void)state;
    return scratch_make("conf_seed");
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(scratch_file("c.yaml"));
    unlink(scratch_file("sub/m.json"));
    rmdir(scratch_file("sub"));
    return scratch_remove();
}

/* What conf_load() says, with the directory cut out. */
static const char *load_file(struct conf **conf)
{
    static char shown[sizeof conf_told];
    size_t prefix = strlen(scratch_dir) + 1, len = 0;
    conf_told[0] = '\0';
    enum err_e err = conf_load(scratch_file("c.yaml"), conf_collect, NULL, conf);
    assert_int_equal(err == ERR_OK, *conf != NULL);
    for (const char *at = conf_told; *at != '\0'; at++) {
        if (strncmp(at, scratch_dir, prefix - 1) == 0)
            at += prefix;
        shown[len++] = *at;
    }
    shown[len] = '\0';
    return shown;
}

static void both_sources_together(void **state)
{
    (void)state;
    struct conf *conf;
    scratch_write("c.yaml", "machines_from: sub/m.json\n"
                            "machine_defaults: {profile: delta-as, poll_interval_ms: 100}\n"
                            "simulator: {base_port: 4000, positions: 9}\n"
                            "listeners: [{name: a}]\n"
                            "machines:\n"
                            "  - {id: mine, ip: 10.0.0.9, simulator: true, profile: standard}\n");
    assert_int_equal(mkdir(scratch_file("sub"), 0700), 0);
    scratch_write("sub/m.json", seed);
    assert_string_equal(load_file(&conf), "");
    assert_int_equal(conf->machine_count, 3);
    assert_int_equal(conf->machines_from_count, 2);
    assert_string_equal(conf->machines[0].info.id, "mine");
    assert_int_equal(conf->machines[0].connect_port, 4000);
    assert_string_equal(conf->machines[1].info.id, "machine_1");
    assert_ptr_equal(conf->machines[1].profile, profile_builtin("delta-as"));
    assert_int_equal(conf->machines[1].poll_interval_ms, 100);
    assert_int_equal(conf->machines[2].connect_port, 4001); /* after those of the YAML file */
    assert_int_equal(conf->machines[2].sim_positions, 9);
    conf_free(&conf);
}

static void problems_name_the_right_file(void **state)
{
    (void)state;
    struct conf *conf;
    assert_int_equal(mkdir(scratch_file("sub"), 0700), 0);
    scratch_write("sub/m.json", seed);
    scratch_write("c.yaml", "machines_from: sub/m.json\n"
                            "machines:\n"
                            "  - {id: machine_2, ip: 10.0.0.9}\n"
                            "  - {id: x, ip: 192.168.1.50, port: 3200, mode: mono}\n");
    const char *told = load_file(&conf);
    assert_null(conf);
    char expected[1024];
    snprintf(
        expected, sizeof expected,
        "c.yaml:4: machines[1].mode: mono is not one of multi, single\n"
        "sub/m.json:7: plc_machines[0].ip: 192.168.1.50 port 3200 is the PLC of machines[1] of c.yaml too; a "
        "PLC takes one client\n"
        "sub/m.json:12: plc_machines[1].id: machine_2 is the id of machines[0] of c.yaml too\n");
    assert_string_equal(told, expected);
    unlink(scratch_file("sub/m.json"));
    assert_string_equal(load_file(&conf),
                        "c.yaml:1: machines_from: sub/m.json cannot be opened: No such file or directory\n"
                        "c.yaml:4: machines[1].mode: mono is not one of multi, single\n");
    scratch_write("sub/m.json", "{\"plc_machines\": 1}");
    assert_string_equal(load_file(&conf), "sub/m.json:1: plc_machines: an integer found, expected a list\n"
                                          "c.yaml:4: machines[1].mode: mono is not one of multi, single\n");
}

static void the_path_may_be_absolute(void **state)
{
    (void)state;
    struct conf *conf;
    char text[256];
    assert_int_equal(mkdir(scratch_file("sub"), 0700), 0);
    scratch_write("sub/m.json", seed);
    snprintf(text, sizeof text, "machines_from: %s\nmachines: []\n", scratch_file("sub/m.json"));
    scratch_write("c.yaml", text);
    assert_string_equal(load_file(&conf), "");
    assert_int_equal(conf->machine_count, 2);
    conf_free(&conf);
}

static void a_text_in_memory_reads_no_file(void **state)
{
    (void)state;
    conf_refuses("c.yaml", "machines_from: /etc/passwd\n",
                 "c.yaml:1: machines_from: no other file is read here\n");
}

/* Random damage must never do more than refuse it. */
static void damaged_files_do_no_harm(void **state)
{
    (void)state;
    static const char marks[] = "{}[]:,\"\\ \n\tntf01-.eu\0\xff";
    unsigned random = 20261122;
    for (int round = 0; round < 5000; round++) {
        char text[sizeof seed];
        memcpy(text, seed, sizeof seed);
        size_t changes = 1 + (size_t)rand_r(&random) % 3, len = sizeof seed - 1;
        for (size_t i = 0; i < changes; i++)
            text[(size_t)rand_r(&random) % len] = marks[(size_t)rand_r(&random) % (sizeof marks - 1)];
        if (round % 8 == 0)
            len = (size_t)rand_r(&random) % len;
        struct conf *conf;
        conf_told[0] = '\0';
        enum err_e err = conf_load_text("m.json", text, len, conf_collect, NULL, &conf);
        assert_int_equal(err == ERR_OK, conf != NULL);
        conf_free(&conf);
    }
}

static void floods_are_bounded(void **state)
{
    (void)state;
    size_t size = 1u << 20, len = 0;
    char *text = malloc(size + 100);
    len += (size_t)sprintf(text, "{\"plc_machines\":[");
    while (len + 4 < size)
        len += (size_t)sprintf(text + len, "{},");
    text[len - 1] = ']';
    text[len++] = '}';
    struct conf *conf;
    conf_told[0] = '\0';
    assert_int_equal(conf_load_text("m.json", text, len, conf_collect, NULL, &conf), ERR_CONFIG);
    assert_string_equal(conf_told, "m.json: holds more values than any list of machines needs\n");
    len = (size_t)sprintf(text, "{\"api_config\":");
    memset(text + len, '[', size - len);
    conf_told[0] = '\0';
    assert_int_equal(conf_load_text("m.json", text, size, conf_collect, NULL, &conf), ERR_CONFIG);
    assert_non_null(strstr(conf_told, "maximum parsing depth reached"));
    conf_told[0] = '\0';
    assert_int_equal(conf_load_text("m.json", text, size + 1, conf_collect, NULL, &conf), ERR_CONFIG);
    assert_string_equal(conf_told, "m.json: is longer than 1048576 bytes\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bare_file_is_a_configuration),
        cmocka_unit_test(errors_have_member_and_line),
        cmocka_unit_test(other_files_are_told),
        cmocka_unit_test(odd_but_valid_json),
        cmocka_unit_test(contradictions),
        cmocka_unit_test_setup_teardown(both_sources_together, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(problems_name_the_right_file, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(the_path_may_be_absolute, make_directory, remove_directory),
        cmocka_unit_test(a_text_in_memory_reads_no_file),
        cmocka_unit_test(damaged_files_do_no_harm),
        cmocka_unit_test(floods_are_bounded),
    };
    return cmocka_run_group_tests_name("conf_seed", tests, NULL, NULL);
}
