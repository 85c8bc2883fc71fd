/* conf: what is read, from where, and what it is without being said. What is refused: conf_refused_test, conf_mistakes_test; hostile
 * files: conf_hostile_test. */
#include "conf_files.h"

static void defaults_are_those_of_the_table(void **state)
{
    (void)state;
    struct conf *conf;
    assert_int_equal(load("machines:\n  - {id: m, ip: 10.0.0.1}\n", &conf), ERR_OK);
    assert_string_equal(conf->file, scratch());
    assert_string_equal(conf->runtime_dir, "/run/noria");
    assert_string_equal(conf->state_dir, "/var/lib/noria");
    assert_int_equal(conf->journal_keep_mib, 64);
    assert_int_equal(conf->journal_keep_days, 400);
    assert_int_equal(conf->store.keep_days, 400);
    assert_int_equal(conf->store.keep_mib, 4096);
    assert_int_equal(conf->store.events_keep_days, 30);
    assert_int_equal(conf->store.events_keep_mib, 1024);
    assert_int_equal(conf->store.delete_rows, 1000);
    assert_int_equal(conf->store.integrity, CONF_INTEGRITY_QUICK);
    assert_false(conf_serves(conf, "carousel"));
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
    assert_false(conf->streams_echo);
    assert_true(conf->streams_errors);
    assert_true(conf->streams_admin);
    assert_int_equal(conf->streams_max_streams, 1000);
    assert_int_equal(conf->streams_max_channels, 100000);
    assert_int_equal(conf->bridge_count, 0);
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
    assert_true(m->rearm_manual);
    assert_int_equal(m->sim_positions, 26);
    assert_int_equal(m->sim_ms_per_position, 400);
    assert_null(conf_machine(conf, "other"));
    conf_free(&conf);
    assert_null(conf);
}

static const char every_key[] =
    "runtime_dir: /tmp/x\n"
    "state_dir: /srv/noria state\n"
    "journal: {keep_mib: 16, keep_days: 3}\n"
    "store: {keep_days: 4, keep_mib: 17, events_keep_days: 5, events_keep_mib: 6, delete_rows: 8, "
    "integrity_check: "
    "full}\n"
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
    "streams: {echo: on, errors: off, admin: no, max_streams: 7, max_channels: 1000000}\n"
    "simulator: {base_port: 4000, positions: 99, ms_per_position: 5}\n"
    "machine_defaults: {poll_interval_ms: 100, mode: single, profile: delta-as}\n"
    "listeners:\n"
    "  - {name: a, dialects: [rest, carousel], address: 0.0.0.0, port: 9001}\n"
    "  - {name: b, address: '::1', port: 0}\n"
    "machines:\n"
    "  - {id: s1, name: Señal, ip: 1.2.3.4, port: 1, simulator: true, connection: per_request}\n"
    "  - {id: r1, ip: '::2', connect_timeout_ms: 11, reply_timeout_ms: 12, poll_interval_ms: 30,\n"
    "     poll_moving_ms: 14, backoff_min_ms: 15, backoff_max_ms: 16, stale_after_ms: 117,\n"
    "     command_deadline_ms: 18, move_timeout_ms: 19, profile: nobody-knows, mode: multi,\n"
    "     rearm: automatic}\n"
    "  - {id: s2, ip: 1.2.3.5, simulator: true, sim_positions: 5, sim_ms_per_position: 6}\n";

static void every_key_is_read(void **state)
{
    (void)state;
    struct conf *conf;
    assert_int_equal(load(every_key, &conf), ERR_OK);
    assert_string_equal(conf->runtime_dir, "/tmp/x");
    assert_string_equal(conf->state_dir, "/srv/noria state");
    assert_int_equal(conf->journal_keep_mib, 16);
    assert_int_equal(conf->journal_keep_days, 3);
    assert_int_equal(conf->store.keep_days, 4);
    assert_int_equal(conf->store.keep_mib, 17);
    assert_int_equal(conf->store.events_keep_days, 5);
    assert_int_equal(conf->store.events_keep_mib, 6);
    assert_int_equal(conf->store.delete_rows, 8);
    assert_int_equal(conf->store.integrity, CONF_INTEGRITY_FULL);
    assert_true(conf_serves(conf, "rest"));
    assert_false(conf_serves(conf, "streams"));
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
    assert_true(conf->streams_echo);
    assert_false(conf->streams_errors);
    assert_false(conf->streams_admin);
    assert_int_equal(conf->streams_max_streams, 7);
    assert_int_equal(conf->streams_max_channels, 1000000);
    assert_int_equal(conf->listener_count, 2);
    assert_string_equal(conf->listeners[0].address, "0.0.0.0");
    assert_int_equal(conf->listeners[0].port, 9001);
    assert_string_equal(conf->listeners[1].name, "b");
    assert_string_equal(conf->listeners[1].dialects[0], "carousel");
    char path[CONF_PATH_MAX];
    conf_path(conf, "shm/ring", path);
    assert_string_equal(path, "/tmp/x/shm/ring");
    conf_free(&conf);
}

static void every_key_of_a_machine_is_read(void **state)
{
    (void)state;
    struct conf *conf;
    assert_int_equal(load(every_key, &conf), ERR_OK);
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
    assert_false(r1->rearm_manual);
    assert_true(s1->rearm_manual);
    assert_string_equal(r1->profile_name, "nobody-knows");
    assert_null(r1->profile);
    assert_false(r1->mode_single);
    assert_int_equal(s2->connect_port, 4001);
    assert_int_equal(s2->sim_positions, 5);
    assert_int_equal(s2->sim_ms_per_position, 6);
    conf_free(&conf);
}

static void the_environment_overrides(void **state)
{
    (void)state;
    struct conf *conf;
    setenv("NORIA_RUNTIME_DIR", "/tmp/elsewhere", 1);
    setenv("NORIA_STATE_DIR", "/srv/elsewhere", 1);
    setenv("WEBSOCKET_MAX_CONNECTIONS", "123", 1);
    setenv("WEBSOCKET_PING_INTERVAL", "7", 1);
    setenv("WEBSOCKET_PING_TIMEOUT", "0.25", 1);
    assert_int_equal(load("websocket: {max_connections: 5}\nruntime_dir: /tmp/x\n", &conf), ERR_OK);
    unsetenv("NORIA_RUNTIME_DIR");
    unsetenv("NORIA_STATE_DIR");
    assert_string_equal(conf->runtime_dir, "/tmp/elsewhere");
    assert_string_equal(conf->state_dir, "/srv/elsewhere");
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
        cmocka_unit_test(every_key_of_a_machine_is_read),
        cmocka_unit_test(the_environment_overrides),
        cmocka_unit_test(many_machines_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
