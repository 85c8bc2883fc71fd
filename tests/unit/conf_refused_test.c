/* conf: what is refused, with the line, the key, and what was expected. */
#include "conf_files.h"

static void wrong_values_are_told_with_line_and_key(void **state)
{
    (void)state;
    refuses(
        "machines:\n"
        "  - id: m1\n"
        "    ip: 10.0.0.1\n"
        "  - id: m 2\n"
        "    ip: 10.0.0.256\n"
        "    port: 70000\n"
        "    simulator: maybe\n"
        "    connection: sometimes\n"
        "    poll_interval_ms: 12abc\n"
        "    stale_after_ms: -1\n",
        "4: machines[1].id: m 2 is not an id (1 to 64 of A-Z a-z 0-9 _ . : -)\n"
        "5: machines[1].ip: 10.0.0.256 is not a numeric IPv4 or IPv6 address\n"
        "6: machines[1].port: 70000 is not a port (1 to 65535)\n"
        "7: machines[1].simulator: maybe is not true or false\n"
        "8: machines[1].connection: sometimes is not one of per_request, persistent\n"
        "9: machines[1].poll_interval_ms: 12abc is not a number (1 to 600000 ms); write digits only, in ms\n"
        "10: machines[1].stale_after_ms: -1 is not a number (1 to 3600000 ms)\n");
    refuses("ring: {size_mib: 48}\nlog:\n  level: loud\nmax_machines: 0\nruntime_dir: run\nworkers: {count: "
            "65}\n",
            "5: runtime_dir: run is not an absolute path of at most 80 bytes\n"
            "4: max_machines: 0 is not a number (1 to 65536)\n"
            "3: log.level: loud is not one of error, warn, info, debug\n"
            "1: ring.size_mib: 48 is not a power of two (1 to 4096 MiB)\n"
            "6: workers.count: 65 is not a number (0 to 64 processes)\n");
    refuses(
        "runtime_dir: /123456789012345678901234567890123456789012345678901234567890123456789012345678901\n",
        "1: runtime_dir: /12345678901234567890123456789012345678901234567890123456789… is not an absolute "
        "path of at "
        "most 80 bytes\n");
    refuses("state_dir: state\njournal: {keep_mib: 15, keep_days: 0}\nmachine_defaults: {rearm: never}\n",
            "1: state_dir: state is not an absolute path of at most 200 bytes\n"
            "2: journal.keep_mib: 15 is not a number (16 to 1048576 MiB)\n"
            "2: journal.keep_days: 0 is not a number (1 to 36500 days)\n"
            "3: machine_defaults.rearm: never is not one of automatic, manual\n");
    refuses("store: {keep_days: 0, keep_mib: 15, events_keep_days: -1, events_keep_mib: 0, delete_rows: 0, "
            "integrity_check: on}\n",
            "1: store.keep_days: 0 is not a number (1 to 36500 days)\n"
            "1: store.keep_mib: 15 is not a number (16 to 1048576 MiB)\n"
            "1: store.events_keep_days: -1 is not a number (1 to 36500 days)\n"
            "1: store.events_keep_mib: 0 is not a number (1 to 1048576 MiB)\n"
            "1: store.delete_rows: 0 is not a number (1 to 100000 rows)\n"
            "1: store.integrity_check: on is not one of quick, full, off\n");
    refuses("machines: [{id: '..', ip: 1.1.1.1}, {id: '.', ip: 1.1.1.2}]\n",
            "1: machines[0].id: .. is not an id (1 to 64 of A-Z a-z 0-9 _ . : -)\n"
            "1: machines[1].id: . is not an id (1 to 64 of A-Z a-z 0-9 _ . : -)\n");
    refuses("max_machines:\n", "1: max_machines: nothing found, expected a number (1 to 65536)\n");
    refuses("max_machines: 99999999999\n", "1: max_machines: 99999999999 is not a number (1 to 65536)\n");
    refuses("machines: [{id: a, ip: 1.1.1.1, name: \"bell\\a\"}]\n",
            "1: machines[0].name: bell? is not a text of 1 to 96 bytes without control characters\n");
    refuses(
        "websocket: {allowed_origins: [\"https://ok\", \"https://Upper\", \"*\", \"http://a/path\", \"\"]}\n",
        "1: websocket.allowed_origins[1]: https://Upper is not an origin (scheme://host or "
        "scheme://host:port in "
        "lower case, or null)\n"
        "1: websocket.allowed_origins[2]: * is not an origin (scheme://host or scheme://host:port in lower "
        "case, or "
        "null)\n"
        "1: websocket.allowed_origins[3]: http://a/path is not an origin (scheme://host or "
        "scheme://host:port in "
        "lower case, or null)\n"
        "1: websocket.allowed_origins[4]: nothing found, expected an origin (scheme://host or "
        "scheme://host:port in "
        "lower case, or null)\n");
}

static void missing_keys_are_told(void **state)
{
    (void)state;
    refuses("machines:\n  - {id: m1}\n  - ip: 1.1.1.1\nlisteners:\n- port: 1\n",
            "5: listeners[0]: the key name is missing, expected a name (1 to 32 of A-Z a-z 0-9 _ . -)\n"
            "2: machines[0]: the key ip is missing, expected a numeric IPv4 or IPv6 address\n"
            "3: machines[1]: the key id is missing, expected an id (1 to 64 of A-Z a-z 0-9 _ . : -)\n");
}

static void unknown_keys_name_the_nearest(void **state)
{
    (void)state;
    refuses("machines:\n"
            "  - {id: m1, ip: 1.1.1.1, prot: 3200}\n"
            "websocket:\n"
            "  ping_intervall_ms: 3\n"
            "zebra:\n"
            "  x: [1, 2, {a: b}]\n"
            "listener: []\n"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: 1\n"
            "max_machines: 70000\n",
            "2: machines[0].prot: is an unknown key, did you mean port?\n"
            "4: websocket.ping_intervall_ms: is an unknown key, did you mean ping_interval_ms?\n"
            "5: zebra: is an unknown key\n"
            "7: listener: is an unknown key, did you mean listeners?\n"
            "8: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: is an unknown key\n"
            "9: max_machines: 70000 is not a number (1 to 65536)\n");
}

static void wrong_shapes_are_told(void **state)
{
    (void)state;
    refuses(
        "machines: {id: a}\nlog: info\nring: []\nmax_machines: [1]\nlisteners:\n  - 5\n  - {name: []}\n"
        "websocket: {allowed_origins: {}}\nworkers:\n",
        "1: machines: a mapping found, expected a list of at most 65536 entries, each beginning with \"- \"\n"
        "2: log: a single value found, expected a mapping of keys to values, such as {level: …}\n"
        "3: ring: a list found, expected a mapping of keys to values, such as {size_mib: …}\n"
        "4: max_machines: a list found, expected a number (1 to 65536)\n"
        "6: listeners[0]: a single value found, expected a mapping of keys to values, such as {name: …}\n"
        "7: listeners[1].name: a list found, expected a name (1 to 32 of A-Z a-z 0-9 _ . -)\n"
        "8: websocket.allowed_origins: a mapping found, expected a list of at most 64 values\n"
        "9: workers: nothing found, expected a mapping of keys to values, such as {count: …}\n");
    refuses("log: {level: info}\nlog: {level: warn}\n", "2: log: stands here a second time\n");
    refuses("- a\n- b\n", "1: found no settings, expected a mapping of keys to values\n");
    refuses("", " found no settings, expected a mapping of keys to values\n");
    refuses("# only a comment\n", " found no settings, expected a mapping of keys to values\n");
    refuses("log: {level: info}\n---\nlog: {}\n", "2: holds a second YAML document, expected one\n");
    refuses("? [a, b]\n: c\n", "1: found a mapping or list as a key, expected a word\n");
    refuses("machines: [{id: \"a\\0b\"}]\n", "1: machines[0]: contains a NUL character\n");
}

static void contradictions_are_told(void **state)
{
    (void)state;
    refuses(
        "listeners:\n"
        "  - {name: a, port: 9001}\n"
        "  - {name: a, port: 9002}\n"
        "  - {name: c, port: 9001}\n"
        "  - {name: d, address: '::1', port: 9001}\n"
        "  - {name: e, port: 0}\n"
        "  - {name: f, port: 0}\n"
        "  - {name: g, address: '::', port: 9001}\n",
        "3: listeners[1].name: a is the name of listeners[0] too\n"
        "4: listeners[2].port: 127.0.0.1 port 9001 is taken by listeners[0] (127.0.0.1 port 9001)\n"
        "8: listeners[6].address: :: can be reached from other hosts, and this listener has no "
        "authentication: set auth: token here, or bind 127.0.0.1 or ::1, or set allow_unauthenticated: true\n"
        "8: listeners[6].port: :: port 9001 is taken by listeners[0] (127.0.0.1 port 9001)\n"
        "8: listeners[6].port: :: port 9001 is taken by listeners[2] (127.0.0.1 port 9001)\n"
        "8: listeners[6].port: :: port 9001 is taken by listeners[3] (::1 port 9001)\n");
    refuses("machines:\n"
            "  - {id: m1, ip: 1.1.1.1}\n"
            "  - {id: m2, ip: 1.1.1.1}\n"
            "  - {id: m1, ip: 1.1.1.3}\n"
            "  - {id: m4, ip: 1.1.1.1, port: 9}\n"
            "  - {id: m5, ip: 1.1.1.1, simulator: true}\n",
            "3: machines[1].ip: 1.1.1.1 port 3200 is the PLC of machines[0] too; a PLC takes one client\n"
            "4: machines[2].id: m1 is the id of machines[0] too\n");
    refuses("machine_defaults: {poll_interval_ms: 20}\n"
            "machines:\n"
            "  - {id: m1, ip: 1.1.1.1}\n"
            "  - {id: m2, ip: 1.1.1.2, poll_moving_ms: 21, backoff_min_ms: 40000, stale_after_ms: 20}\n",
            "1: machine_defaults.poll_interval_ms: poll_moving_ms 50 is above poll_interval_ms 20\n"
            "4: machines[1].poll_moving_ms: poll_moving_ms 21 is above poll_interval_ms 20\n"
            "4: machines[1].backoff_min_ms: backoff_min_ms 40000 is above backoff_max_ms 30000\n"
            "4: machines[1].stale_after_ms: poll_interval_ms 20 is not below stale_after_ms 20\n");
    refuses("max_machines: 1\nmachines: [{id: a, ip: 1.1.1.1}, {id: b, ip: 1.1.1.2}]\n",
            "2: machines: 2 machines, but max_machines is 1\n");
    refuses("simulator: {base_port: 65535}\n"
            "listeners: [{name: a, port: 65535}]\n"
            "machines:\n"
            "  - {id: a, ip: 1.1.1.1, simulator: true}\n"
            "  - {id: b, ip: 1.1.1.2, simulator: true}\n",
            "4: machines[0].simulator: its simulator would listen on 127.0.0.1 port 65535, which is taken by "
            "listeners[0]\n"
            "5: machines[1].simulator: its simulator would listen on port 65536, which is none (1 to 65535): "
            "lower "
            "simulator.base_port\n");
}

static void open_listeners_need_leave(void **state)
{
    (void)state;
    struct conf *conf;
    static const char *const loopback[] = {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"};
    static const char *const open[] = {"0.0.0.0", "::", "10.0.0.1", "::2", "fe80::1", "::ffff:10.0.0.1"};
    char text[200];
    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++) {
        snprintf(text, sizeof text, "listeners: [{name: a, address: '%s'}]\n", loopback[i]);
        assert_int_equal(load(text, &conf), ERR_OK);
        conf_free(&conf);
    }
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        snprintf(text, sizeof text, "listeners: [{name: a, address: '%s'}]\n", open[i]);
        assert_int_equal(load(text, &conf), ERR_CONFIG);
        assert_non_null(strstr(conf_told, "allow_unauthenticated"));
        snprintf(text, sizeof text, "allow_unauthenticated: true\nlisteners: [{name: a, address: '%s'}]\n",
                 open[i]);
        assert_int_equal(load(text, &conf), ERR_OK);
        conf_free(&conf);
    }
}

static void unreadable_files_are_told(void **state)
{
    (void)state;
    struct conf *conf;
    conf_told[0] = '\0';
    assert_int_equal(conf_load("/nonexistent/x.yaml", conf_collect, NULL, &conf), ERR_CONFIG);
    assert_string_equal(conf_told, "/nonexistent/x.yaml: cannot be opened: No such file or directory\n");
    conf_told[0] = '\0';
    assert_int_equal(conf_load("/tmp", conf_collect, NULL, &conf), ERR_CONFIG);
    assert_string_equal(conf_told, "/tmp: is not a regular file\n");
    assert_int_equal(conf_load("/tmp", NULL, NULL, &conf), ERR_CONFIG);
    refuses("log: [\n", "2: is not YAML: did not find expected node content while parsing a flow node\n");
    refuses("a: b: c\n", "1: is not YAML: mapping values are not allowed in this context; is the line "
                         "indented like the one before, "
                         "and a colon in a value quoted?\n");
    refuses("\xff\xfe"
            "a",
            "1: is UTF-16, expected UTF-8\n");
    assert_int_equal(load("log: {level: \"\xc3\x28\"}\n", &conf), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_values_are_told_with_line_and_key),
        cmocka_unit_test(missing_keys_are_told),
        cmocka_unit_test(unknown_keys_name_the_nearest),
        cmocka_unit_test(wrong_shapes_are_told),
        cmocka_unit_test(contradictions_are_told),
        cmocka_unit_test(open_listeners_need_leave),
        cmocka_unit_test(unreadable_files_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
