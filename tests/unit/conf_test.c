/* conf_test.c — the configuration: what is accepted, every kind of refusal with its line, hostile files. */
#include "conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char told[64 * 1024];
static size_t told_count;

static void collect(void *arg, const char *text)
{
    (void)arg;
    size_t len = strlen(told);
    snprintf(told + len, sizeof told - len, "%s\n", text);
    told_count++;
}

static const char *scratch(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/conf_test.%d.yaml", (int)getpid());
    return path;
}

static void write_file(const char *text, size_t len)
{
    FILE *file = fopen(scratch(), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

static enum err_e load_bytes(const char *text, size_t len, struct conf **conf)
{
    told[0] = '\0';
    told_count = 0;
    write_file(text, len);
    enum err_e err = conf_load(scratch(), collect, NULL, conf);
    unlink(scratch());
    assert_int_equal(err == ERR_OK, *conf != NULL);
    assert_int_equal(err == ERR_CONFIG, told_count > 0);
    return err;
}

static enum err_e load(const char *text, struct conf **conf)
{
    return load_bytes(text, strlen(text), conf);
}

/* Loads `text`, which must be refused with exactly the lines of `expected` ("LINE: rest", the file's name left out). */
static void refuses(const char *text, const char *expected)
{
    struct conf *conf;
    assert_int_equal(load(text, &conf), ERR_CONFIG);
    char shown[sizeof told], *out = shown;
    size_t prefix = strlen(scratch()) + 1;
    for (char *line = strtok(told, "\n"); line != NULL; line = strtok(NULL, "\n"))
        out += sprintf(out, "%s\n", strncmp(line, scratch(), prefix - 1) == 0 ? line + prefix : line);
    *out = '\0';
    assert_string_equal(shown, expected);
}

#define LISTENER "listeners:\n  - {name: a, port: 9001}\n"

static void defaults_are_those_of_the_table(void **state)
{
    (void)state;
    struct conf *conf;
    assert_int_equal(load("machines:\n  - {id: m, ip: 10.0.0.1}\n", &conf), ERR_OK);
    assert_string_equal(conf->file, scratch());
    assert_string_equal(conf->runtime_dir, "/run/noria");
    assert_int_equal(conf->log_level, LOG_INFO);
    assert_int_equal(conf->ring_mib, 64);
    assert_int_equal(conf->max_machines, 4096);
    assert_in_range(conf->workers, 1, 64);
    assert_false(conf->allow_unauthenticated);
    assert_int_equal(conf->max_message_bytes, 65536);
    assert_int_equal(conf->max_connections, 0);
    assert_int_equal(conf->ping_interval_ms, 30000);
    assert_int_equal(conf->ping_timeout_ms, 10000);
    assert_int_equal(conf->handshake_timeout_ms, 5000);
    assert_int_equal(conf->allowed_origin_count, 0);
    assert_false(conf->carousel_auto_subscribe);
    assert_int_equal(conf->simulator_base_port, 3201);
    assert_int_equal(conf->listener_count, 0);
    assert_int_equal(conf->machine_count, 1);
    const struct conf_machine *m = conf_machine(conf, "m");
    assert_string_equal(m->info.name, "m");
    assert_int_equal(m->info.port, 3200);
    assert_false(m->info.simulator);
    assert_ptr_equal(m->profile, profile_builtin("standard"));
    assert_false(m->mode_single);
    assert_string_equal(m->connect_host, "10.0.0.1");
    assert_int_equal(m->connect_port, 3200);
    assert_true(m->persistent);
    assert_int_equal(m->connect_timeout_ms, 2000);
    assert_int_equal(m->reply_timeout_ms, 1000);
    assert_int_equal(m->poll_interval_ms, 250);
    assert_int_equal(m->poll_moving_ms, 50);
    assert_int_equal(m->backoff_min_ms, 500);
    assert_int_equal(m->backoff_max_ms, 30000);
    assert_int_equal(m->stale_after_ms, 3000);
    assert_int_equal(m->command_deadline_ms, 5000);
    assert_int_equal(m->move_timeout_ms, 60000);
    assert_int_equal(m->sim_positions, 26);
    assert_int_equal(m->sim_ms_per_position, 400);
    assert_null(conf_machine(conf, "other"));
    conf_free(&conf);
    assert_null(conf);
}

static void every_key_is_read(void **state)
{
    (void)state;
    struct conf *conf;
    assert_int_equal(
        load("runtime_dir: /tmp/x\n"
             "max_machines: 10\n"
             "allow_unauthenticated: true\n"
             "log: {level: debug}\n"
             "ring: {size_mib: 1}\n"
             "workers: {count: 3}\n"
             "websocket:\n"
             "  max_message_bytes: 1000\n"
             "  max_connections: 7\n"
             "  ping_interval_ms: 100\n"
             "  ping_timeout_ms: 200\n"
             "  handshake_timeout_ms: 300\n"
             "  allowed_origins: [\"https://a.example:8443\", null]\n"
             "carousel: {auto_subscribe: yes}\n"
             "simulator: {base_port: 4000, positions: 99, ms_per_position: 5}\n"
             "machine_defaults: {poll_interval_ms: 100, mode: single, profile: delta-as}\n"
             "listeners:\n"
             "  - {name: a, dialects: [rest, carousel], address: 0.0.0.0, port: 9001}\n"
             "  - {name: b, address: '::1', port: 0}\n"
             "machines:\n"
             "  - {id: s1, name: Señal, ip: 1.2.3.4, port: 1, simulator: true, connection: per_request}\n"
             "  - {id: r1, ip: '::2', connect_timeout_ms: 11, reply_timeout_ms: 12, poll_interval_ms: 30,\n"
             "     poll_moving_ms: 14, backoff_min_ms: 15, backoff_max_ms: 16, stale_after_ms: 117,\n"
             "     command_deadline_ms: 18, move_timeout_ms: 19, profile: nobody-knows, mode: multi}\n"
             "  - {id: s2, ip: 1.2.3.5, simulator: true, sim_positions: 5, sim_ms_per_position: 6}\n",
             &conf),
        ERR_OK);
    assert_string_equal(conf->runtime_dir, "/tmp/x");
    assert_int_equal(conf->max_machines, 10);
    assert_true(conf->allow_unauthenticated);
    assert_int_equal(conf->log_level, LOG_DEBUG);
    assert_int_equal(conf->ring_mib, 1);
    assert_int_equal(conf->workers, 3);
    assert_int_equal(conf->max_message_bytes, 1000);
    assert_int_equal(conf->max_connections, 7);
    assert_int_equal(conf->ping_interval_ms, 100);
    assert_int_equal(conf->ping_timeout_ms, 200);
    assert_int_equal(conf->handshake_timeout_ms, 300);
    assert_int_equal(conf->allowed_origin_count, 2);
    assert_string_equal(conf->allowed_origins[0], "https://a.example:8443");
    assert_string_equal(conf->allowed_origins[1], "null");
    assert_true(conf->carousel_auto_subscribe);
    assert_int_equal(conf->listener_count, 2);
    assert_string_equal(conf->listeners[0].address, "0.0.0.0");
    assert_int_equal(conf->listeners[0].port, 9001);
    assert_string_equal(conf->listeners[1].name, "b");
    assert_string_equal(conf->listeners[1].dialects[0], "carousel");
    const struct conf_machine *s1 = conf_machine(conf, "s1"), *r1 = conf_machine(conf, "r1"),
                              *s2 = conf_machine(conf, "s2");
    assert_string_equal(s1->info.name, "Señal");
    assert_string_equal(s1->info.ip, "1.2.3.4");
    assert_int_equal(s1->info.port, 1);
    assert_string_equal(s1->connect_host, "127.0.0.1");
    assert_int_equal(s1->connect_port, 4000);
    assert_false(s1->persistent);
    assert_true(s1->mode_single);
    assert_int_equal(s1->poll_interval_ms, 100);
    assert_ptr_equal(s1->profile, profile_builtin("delta-as"));
    assert_int_equal(s1->sim_positions, 99);
    assert_int_equal(s1->sim_ms_per_position, 5);
    assert_string_equal(r1->connect_host, "::2");
    assert_int_equal(r1->connect_timeout_ms, 11);
    assert_int_equal(r1->reply_timeout_ms, 12);
    assert_int_equal(r1->poll_interval_ms, 30);
    assert_int_equal(r1->poll_moving_ms, 14);
    assert_int_equal(r1->backoff_min_ms, 15);
    assert_int_equal(r1->backoff_max_ms, 16);
    assert_int_equal(r1->stale_after_ms, 117);
    assert_int_equal(r1->command_deadline_ms, 18);
    assert_int_equal(r1->move_timeout_ms, 19);
    assert_string_equal(r1->profile_name, "nobody-knows");
    assert_null(r1->profile);
    assert_false(r1->mode_single);
    assert_int_equal(s2->connect_port, 4001);
    assert_int_equal(s2->sim_positions, 5);
    assert_int_equal(s2->sim_ms_per_position, 6);
    char path[CONF_PATH_MAX];
    conf_path(conf, "shm/ring", path);
    assert_string_equal(path, "/tmp/x/shm/ring");
    conf_free(&conf);
}

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
        assert_non_null(strstr(told, "allow_unauthenticated"));
        snprintf(text, sizeof text, "allow_unauthenticated: true\nlisteners: [{name: a, address: '%s'}]\n",
                 open[i]);
        assert_int_equal(load(text, &conf), ERR_OK);
        conf_free(&conf);
    }
}

static void the_environment_overrides(void **state)
{
    (void)state;
    struct conf *conf;
    setenv("NORIA_RUNTIME_DIR", "/tmp/elsewhere", 1);
    setenv("WEBSOCKET_MAX_CONNECTIONS", "123", 1);
    setenv("WEBSOCKET_PING_INTERVAL", "7", 1);
    setenv("WEBSOCKET_PING_TIMEOUT", "0.25", 1);
    assert_int_equal(load("websocket: {max_connections: 5}\nruntime_dir: /tmp/x\n", &conf), ERR_OK);
    unsetenv("NORIA_RUNTIME_DIR");
    assert_string_equal(conf->runtime_dir, "/tmp/elsewhere");
    assert_int_equal(conf->max_connections, 123);
    assert_int_equal(conf->ping_interval_ms, 7000);
    assert_int_equal(conf->ping_timeout_ms, 250);
    conf_free(&conf);

    setenv("NORIA_RUNTIME_DIR", "relative", 1);
    setenv("WEBSOCKET_MAX_CONNECTIONS", "many", 1);
    setenv("WEBSOCKET_PING_INTERVAL", "0", 1);
    setenv("WEBSOCKET_PING_TIMEOUT", "1.", 1);
    refuses("log: {level: info}\n",
            " NORIA_RUNTIME_DIR: relative is not an absolute path of at most 80 bytes\n"
            " WEBSOCKET_MAX_CONNECTIONS: many is not a number (0 to 1000000)\n"
            " WEBSOCKET_PING_INTERVAL: 0 is not a number (1 to 3600 seconds)\n"
            " WEBSOCKET_PING_TIMEOUT: 1. is not a number (1 to 3600 seconds)\n");
    static const char *const names[] = {"NORIA_RUNTIME_DIR", "WEBSOCKET_MAX_CONNECTIONS",
                                        "WEBSOCKET_PING_INTERVAL", "WEBSOCKET_PING_TIMEOUT"};
    for (size_t i = 0; i < 4; i++)
        setenv(names[i], "", 1);
    assert_int_equal(load("log: {level: info}\n", &conf), ERR_OK);
    assert_int_equal(conf->ping_interval_ms, 30000);
    conf_free(&conf);
    for (size_t i = 0; i < 4; i++)
        unsetenv(names[i]);
}

static void unreadable_files_are_told(void **state)
{
    (void)state;
    struct conf *conf;
    told[0] = '\0';
    assert_int_equal(conf_load("/nonexistent/x.yaml", collect, NULL, &conf), ERR_CONFIG);
    assert_string_equal(told, "/nonexistent/x.yaml: cannot be opened: No such file or directory\n");
    told[0] = '\0';
    assert_int_equal(conf_load("/tmp", collect, NULL, &conf), ERR_CONFIG);
    assert_string_equal(told, "/tmp: is not a regular file\n");
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

/* --- hostile files ---------------------------------------------------------------------------------------------- */

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void refuses_quickly(char *text, size_t len, const char *needle)
{
    struct conf *conf;
    double start = cpu_seconds();
    assert_int_equal(load_bytes(text, len, &conf), ERR_CONFIG);
    double took = cpu_seconds() - start;
    if (strstr(told, needle) == NULL)
        fail_msg("expected \"%s\", told: %.300s", needle, told);
    if (took > 10) /* CPU time, under sanitizers and valgrind; natively each takes under 0.3 s (README) */
        fail_msg("took %.1f s", took);
    free(text);
}

/* `unit` repeated up to `size` bytes, after `head`. */
static char *repeated(const char *head, const char *unit, size_t size, size_t *len)
{
    char *text = malloc(size);
    size_t n = strlen(unit);
    *len = strlen(head);
    memcpy(text, head, *len);
    while (*len + n <= size) {
        memcpy(text + *len, unit, n);
        *len += n;
    }
    return text;
}

#define MIB ((size_t)1 << 20)

static void hostile_files_cost_little(void **state)
{
    (void)state;
    struct conf *conf;
    refuses("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
            "2: b: uses a YAML alias (*name), which is not supported\n");
    refuses("log: &x {level: info}\nring:\n  <<: *x\n",
            "3: ring: uses a YAML alias (*name), which is not supported\n");
    size_t len;
    char *text = repeated("x: ", "[", MIB, &len);
    refuses_quickly(text, len, "is nested deeper than any setting");
    text = repeated("x: ", "{a: ", MIB, &len);
    refuses_quickly(text, len, "is nested deeper than any setting");
    text = repeated("x:\n", "- ", MIB, &len);
    refuses_quickly(text, len, "is nested deeper than any setting");
    text = repeated("", "? ", MIB, &len);
    refuses_quickly(text, len, "found a mapping or list as a key");
    text = repeated("x: [", "a,", MIB, &len);
    refuses_quickly(text, len, "holds more values than any configuration needs");
    text = repeated("", "a: &b c\n", MIB / 2, &len);
    refuses_quickly(text, len, "and 65486 more problems");
    text = repeated("", "port: 1\n", MIB / 2, &len);
    refuses_quickly(text, len, "is an unknown key");
    text = repeated("machines:\n", "- {}\n", MIB, &len);
    refuses_quickly(text, len, "holds more values");
    text = repeated("machines:\n", "- {}\n", MIB / 4, &len);
    refuses_quickly(text, len, "and 104803 more problems");
    text = repeated("", "%TAG !a! b\n", MIB, &len);
    refuses_quickly(text, len, "uses a YAML directive");
    text = repeated("--- a\n", "%TAG !a! b\n", MIB, &len);
    refuses_quickly(text, len, "uses a YAML directive");
    text = repeated("a: ", "!", MIB, &len);
    refuses_quickly(text, len, "a: is an unknown key");
    text = repeated("a: ", "'' ", MIB, &len);
    refuses_quickly(text, len, "is not YAML");
    text = repeated("a: \"", "\\n", MIB, &len);
    refuses_quickly(text, len, "is not YAML");
    text = repeated("", "x", MIB + 1, &len);
    refuses_quickly(text, len, "is longer than 1048576 bytes");
    text = repeated("a: b\n", "\n", MIB + 1, &len);
    refuses_quickly(text, len, "is longer than 1048576 bytes");
    text = repeated("log: {level: info}\n", "# comment\n", MIB, &len);
    assert_int_equal(load_bytes(text, len, &conf), ERR_OK);
    conf_free(&conf);
    free(text);
}

/* Random damage to a good file must never do more than refuse it. */
static void damaged_files_do_no_harm(void **state)
{
    (void)state;
    static const char good[] =
        "runtime_dir: /tmp/x\nlog: {level: debug}\nwebsocket:\n  allowed_origins: [\"http://a\"]\n"
        "listeners:\n  - {name: a, port: 9001}\nmachines:\n  - id: \"m\\x31\"\n    ip: 1.1.1.1\n"
        "    simulator: true\n  - {id: m2, ip: 1.1.1.2, poll_moving_ms: 20}\n";
    static const char marks[] = "{}[]:,-?&*!|>'\"%@`#\n \t\\\0\xff~0";
    unsigned seed = 20261122;
    for (int round = 0; round < 3000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        size_t changes = 1 + (size_t)rand_r(&seed) % 4, len = sizeof good - 1;
        for (size_t i = 0; i < changes; i++)
            text[(size_t)rand_r(&seed) % len] = marks[(size_t)rand_r(&seed) % (sizeof marks - 1)];
        if (round % 8 == 0)
            len = (size_t)rand_r(&seed) % len;
        struct conf *conf;
        if (load_bytes(text, len, &conf) == ERR_OK)
            conf_free(&conf);
    }
}

static void many_machines_load(void **state)
{
    (void)state;
    char *text = malloc(MIB);
    size_t len = (size_t)sprintf(text, "machines:\n");
    for (unsigned i = 0; i < 4096; i++)
        len += (size_t)sprintf(text + len, "  - {id: machine_%u, ip: 10.1.%u.%u}\n", i, i / 256, i % 256);
    struct conf *conf;
    assert_int_equal(load_bytes(text, len, &conf), ERR_OK);
    assert_int_equal(conf->machine_count, 4096);
    assert_string_equal(conf_machine(conf, "machine_4095")->connect_host, "10.1.15.255");
    conf_free(&conf);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(wrong_values_are_told_with_line_and_key),
        cmocka_unit_test(missing_keys_are_told),
        cmocka_unit_test(unknown_keys_name_the_nearest),
        cmocka_unit_test(wrong_shapes_are_told),
        cmocka_unit_test(contradictions_are_told),
        cmocka_unit_test(open_listeners_need_leave),
        cmocka_unit_test(the_environment_overrides),
        cmocka_unit_test(unreadable_files_are_told),
        cmocka_unit_test(hostile_files_cost_little),
        cmocka_unit_test(damaged_files_do_no_harm),
        cmocka_unit_test(many_machines_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
