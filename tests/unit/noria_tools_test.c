/* noria's one-shot tools: check-config, profile, hash-token; what they print and their exit codes. */
#include "conf_fixture.h"

#include <argon2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_config.h"
#include "hash_password.h"
#include "hash_token.h"
#include "interlock.h"
#include "machine.h"
#include "must.h"
#include "scratch_dir.h"
#include "show_profile.h"

static char shown[256 * 1024], said[16 * 1024];

static int set_up(void **state)
{
    (void)state;
    return scratch_make("noria_tools");
}

static int tear_down(void **state)
{
    (void)state;
    unlink(scratch_file("c.yaml"));
    unlink(scratch_file("m.json"));
    unlink(scratch_file("closed"));
    rmdir(scratch_file("open"));
    return scratch_remove();
}

static void take(FILE *stream, char *text, size_t size)
{
    rewind(stream);
    size_t len = fread(text, 1, size - 1, stream);
    text[len] = '\0';
    fclose(stream);
}

static int check(const char *name)
{
    FILE *out = tmpfile(), *err = tmpfile();
    int code = check_config(scratch_file(name), out, err);
    take(out, shown, sizeof shown);
    take(err, said, sizeof said);
    return code;
}

static void shows(const char *text)
{
    if (strstr(shown, text) == NULL)
        fail_msg("\"%s\" is not in:\n%s", text, shown);
}

/* --- check-config --------------------------------------------------------------------------------------------------- */

static void a_summary(void **state)
{
    (void)state;
    char text[2048];
    snprintf(
        text, sizeof text,
        "runtime_dir: %s\n"
        "machines_from: m.json\n"
        "ring: {size_mib: 1}\n"
        "max_machines: 8\n"
        "workers: {count: 3}\n"
        "websocket: {max_connections: 500}\n"
        "auth: {tokens: [{principal: w, sha256: "
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}]}\n"
        "listeners:\n"
        "  - {name: main, port: 9001}\n"
        "  - {name: http, address: '::', port: 9002, auth: token, dialects: [rest, carousel]}\n"
        "profiles:\n"
        "  - name: lift\n"
        "    version: 3\n"
        "    bits:\n"
        "      - {bit: 0, key: RUN, zero: {text: a, meaning: stopped}, one: {text: b, meaning: moving}}\n"
        "      - {bit: 1, key: M, zero: {text: a, meaning: manual}, one: {text: b, meaning: remote}}\n"
        "machines:\n"
        "  - {id: one, name: Uno, ip: 10.0.0.1, profile: lift, connection: per_request, poll_interval_ms: "
        "400}\n"
        "  - {id: two, ip: 10.0.0.2, profile: nobody}\n"
        "  - {id: five, ip: 10.0.0.5}\n"
        "  - {id: six, ip: 10.0.0.6}\n"
        "bridges:\n"
        "  - {from: states, stream: hall 1}\n"
        "  - {from: results, stream: wms, machines: [one, three, two, five, six]}\n",
        scratch_dir);
    scratch_write("c.yaml", text);
    scratch_write(
        "m.json",
        "{\"api_config\": {}, \"plc_machines\": [{\"id\": \"three\", \"ip\": \"10.0.0.3\", \"port\": 77,"
        "\"simulator\": true}]}");
    setenv("WEBSOCKET_PING_INTERVAL", "7", 1);
    assert_int_equal(check("c.yaml"), 0);
    unsetenv("WEBSOCKET_PING_INTERVAL");
    assert_string_equal(said, "");
    shows("c.yaml is fine\n");
    shows("  state directory    /var/lib/noria; journals of up to 64 MiB and 400 days per machine\n");
    shows("  workers            3, each with up to 500 connections\n");
    shows("  shared memory      ring 1 MiB, table for 8 machines up to 0.0 MiB\n");
    shows("  listeners          2\n");
    shows("    main  127.0.0.1:9001  carousel; without authentication\n");
    shows("    http  [::]:9002  rest, carousel; with a token\n");
    shows("  tokens             1\n");
    shows("  machines           5, of which 1 simulated; 1 from m.json\n");
    shows("    one  \"Uno\"  PLC at 10.0.0.1:3200; profile lift 3; read every 400 ms, 50 moving, a "
          "connection each\n");
    shows("    two  \"two\"  PLC at 10.0.0.2:3200; unknown profile nobody, read-only; read every 250 ms, 50 "
          "moving\n");
    shows("    three  \"three\"  simulator at 127.0.0.1:3201, shown as 10.0.0.3:77; profile standard 1; read "
          "every 250 ms");
    shows("  bridges            2\n"
          "    states of all machines to stream \"hall 1\"\n"
          "    results of one, three, two, five and 1 more to stream \"wms\"\n");
    shows("  own profile        lift 3, 2 bits\n");
    shows("  environment        WEBSOCKET_PING_INTERVAL=7 wins over websocket.ping_interval_ms\n");
    shows("c.yaml:19: machines[1].profile: there is no profile nobody: machine two is read-only\n");
    shows("m.json:1: api_config is ignored");
}

static void handlers_and_endpoints(void **state)
{
    (void)state;
    char text[2048];
    scratch_write("m.json", "{\"type\":\"object\"}");
    snprintf(text, sizeof text,
             "runtime_dir: %s\n"
             "handlers:\n"
             "  - {name: chat, command: [no-such-program, -a, b, c, d], processes: 2, deadline_ms: 100}\n"
             "  - {name: shell, command: [sh]}\n"
             "  - {name: far, socket: /nonexistent/far.sock}\n"
             "endpoints:\n"
             "  - {path: /chat, handler: chat, schema: m.json, reply_schema: m.json, binary: true, "
             "error_object: true}\n"
             "  - {path: /raw, handler: far}\n",
             scratch_dir);
    scratch_write("c.yaml", text);
    assert_int_equal(check("c.yaml"), 0);
    shows("  handlers           3\n"
          "    chat  no-such-program -a b c …, 2 processes; answers within 100 ms, killed after 30000 ms "
          "without "
          "one\n"
          "    shell  sh, 1 process; answers within 5000 ms, killed after 30000 ms without one\n"
          "    far  socket /nonexistent/far.sock; answers within 5000 ms, left after 30000 ms without one\n"
          "  endpoints          2\n");
    snprintf(text, sizeof text,
             "    /chat  handler chat; messages as in %s/m.json, replies as in %s/m.json, in binary frames, "
             "errors "
             "as a tree, too\n"
             "    /raw  handler far; traditional\n",
             scratch_dir, scratch_dir);
    shows(text);
    shows("warning: handler chat: no-such-program is not found in PATH; its endpoints would answer 503\n");
    shows("endpoints: nobody can reach them: no listener has endpoints among its dialects\n");
    assert_null(strstr(shown, "handler shell:"));
    scratch_write("m.json", "{\"type\":\"object\",");
    assert_int_equal(check("c.yaml"), 1);
    assert_string_equal(shown, "");
    snprintf(text, sizeof text, "%s/m.json:1:", scratch_dir);
    assert_ptr_equal(strstr(said, text), said);
    assert_null(strchr(strchr(said, '\n') + 1, '\n')); /* one file, told once */
}

static void problems_end_with_1(void **state)
{
    (void)state;
    scratch_write("c.yaml", "listeners:\n  - {name: a, prot: 1}\n  - {name: a}\n");
    assert_int_equal(check("c.yaml"), 1);
    assert_string_equal(shown, "");
    assert_non_null(strstr(said, "c.yaml:2: listeners[0].prot: is an unknown key, did you mean port?\n"));
    assert_non_null(strstr(said, "c.yaml:3: listeners[1].name: a is the name of listeners[0] too\n"));
    assert_int_equal(check("nowhere.yaml"), 1);
    assert_non_null(strstr(said, "nowhere.yaml: cannot be opened: No such file or directory\n"));
}

static void with_directories(const char *runtime, const char *state, const char *more)
{
    char text[512];
    snprintf(text, sizeof text,
             "runtime_dir: %s\nstate_dir: %s\nlisteners: [{name: a}]\nmachines: [{id: m, ip: 10.0.0.1}]\n%s",
             runtime, state, more);
    scratch_write("c.yaml", text);
    assert_int_equal(check("c.yaml"), 0);
}

static void with_runtime_dir(const char *path, const char *more)
{
    with_directories(path, scratch_dir, more);
}

static void what_the_host_says(void **state)
{
    (void)state;
    char path[128];
    with_runtime_dir(scratch_dir, "");
    assert_null(strstr(shown, "warning: runtime_dir"));
    snprintf(path, sizeof path, "%s/a/b/c", scratch_dir); /* would be made */
    with_runtime_dir(path, "");
    assert_null(strstr(shown, "warning: runtime_dir"));
    snprintf(path, sizeof path, "%s/c.yaml/run", scratch_dir);
    with_runtime_dir(path, "");
    shows("c.yaml is no directory\n");
    assert_int_equal(mkdir(scratch_file("open"), 0700) | chmod(scratch_file("open"), 0777), 0);
    with_runtime_dir(scratch_file("open"), "");
    shows("is writable by all, and will be refused\n");
    with_runtime_dir(scratch_dir, "websocket: {max_connections: 1000000}\n");
    shows("warning: websocket.max_connections 1000000: a process may open ");
    if (geteuid() != 0) {
        with_runtime_dir("/proc/none", "");
        shows("this user may not write /proc");
    }
}

static void what_the_host_says_of_the_journals(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/state/agents", scratch_dir); /* would be made */
    with_directories(scratch_dir, path, "");
    assert_null(strstr(shown, "may not write"));
    assert_null(strstr(shown, "no directory"));
    snprintf(path, sizeof path, "%s/c.yaml/state", scratch_dir);
    with_directories(scratch_dir, path, "");
    shows("warning: state_dir ");
    shows("c.yaml is no directory\n");
    assert_int_equal(mkdir(scratch_file("open"), 0700) | chmod(scratch_file("open"), 0777), 0);
    with_directories(scratch_dir, scratch_file("open"), "");
    shows("is writable by all, who could rewrite the audit trail\n");
    with_directories(scratch_dir, "/dev/shm/noria-state", "");
    shows("warning: state_dir /dev/shm/noria-state: is on a tmpfs: the journals do not survive a restart of "
          "the "
          "host or a power cut\n");
    with_directories(scratch_dir, scratch_dir, "journal: {keep_mib: 1048576}\n");
    shows("and the journals may take 1048576 MiB\n");
    if (geteuid() != 0) {
        with_directories(scratch_dir, "/proc/none", "");
        shows("an agent that cannot note a command refuses it");
    }
}

static void what_is_said_of_the_store(void **state)
{
    (void)state;
    scratch_write("c.yaml",
                  "store: {keep_days: 5}\nlisteners: [{name: a}]\nmachines: [{id: m, ip: 10.0.0.1}]\n");
    assert_int_equal(check("c.yaml"), 0);
    shows("c.yaml:1: store: no listener has the dialect channels: there is no store\n");
    assert_null(strstr(shown, "  store  "));
    scratch_write(
        "c.yaml",
        "state_dir: /dev/shm/noria-state\nstore: {keep_mib: 1048576, keep_days: 5, events_keep_mib: 7}\n"
        "listeners: [{name: a, dialects: [channels]}]\n");
    assert_int_equal(check("c.yaml"), 0);
    shows("  store              store/noria.db there, up to 1048576 MiB and 5 days; events 7 MiB and 30 "
          "days\n");
    shows("warning: state_dir /dev/shm/noria-state: is on a tmpfs: the database's rows do not survive");
    shows("and the database may take 1048583 MiB\n");
    assert_null(strstr(shown, "there is no store"));
}

/* --- profile ------------------------------------------------------------------------------------------------------ */

static void show(const struct profile *profile)
{
    FILE *out = tmpfile();
    show_profile(profile, out);
    take(out, shown, sizeof shown);
}

static void the_table_has_every_byte(void **state)
{
    (void)state;
    show(profile_builtin("standard"));
    shows("profile standard, version 1\n");
    shows("  bit 0  RUN  0: Detenido (stopped)  1: En movimiento (moving)\n");
    shows("\n218   da  11011010  OK     Detenido       Remoto          Desactivada  ready stopped remote "
          "no_alarm      yes\n");
    shows("\n219   db  11011011  OK     En movimiento  Remoto          Desactivada  ready moving remote "
          "no_alarm       no: "
          "BUSY, it moves\n");
    shows("\n  0   00  00000000  Error  Detenido       Local           Desactivada  not_ready stopped manual "
          "no_alarm  no: "
          "INTERLOCK, manual mode\n");
    for (unsigned raw = 0; raw < 256; raw++) {
        char line[16];
        snprintf(line, sizeof line, "\n%3u   %02x  ", raw, raw);
        shows(line);
    }
}

/* Every line's last column is the agent's decision, and its columns begin where the head's do. */
static void the_table_is_the_agents_decision(void **state)
{
    (void)state;
    const struct profile *profile = profile_builtin("delta-as");
    show(profile);
    const char *line = strstr(shown, "\ndec") + 1;
    for (unsigned raw = 0; raw < 256; raw++) {
        line = strchr(line, '\n') + 1;
        const char *text, *end = strchr(line, '\n');
        enum command_code_e code = interlock_admits(profile, (uint8_t)raw, &text);
        char expected[64];
        snprintf(expected, sizeof expected, "  %s%s%s%s",
                 code == CODE_NONE ? "yes" : "no: ", code == CODE_NONE ? "" : command_code_name(code),
                 code == CODE_NONE ? "" : ", ",
                 code == CODE_NONE ? ""
                 : text != NULL    ? text
                                   : "it moves");
        assert_int_equal(strtoul(line, NULL, 10), raw);
        assert_memory_equal(end - strlen(expected), expected, strlen(expected));
    }
}

static void the_list_names_origin_and_use(void **state)
{
    (void)state;
    struct conf *conf =
        conf_good("c.yaml", "profiles:\n  - name: lift\n    bits:\n"
                            "      - {bit: 0, key: K, zero: {text: a}, one: {text: b}}\n"
                            "machines: [{id: a, ip: 10.0.0.1, profile: lift}, {id: b, ip: 10.0.0.2}]\n");
    FILE *out = tmpfile();
    show_profiles(conf, out);
    take(out, shown, sizeof shown);
    assert_string_equal(shown, "standard  version 1, 4 bits, built in, used by 1 machine\n"
                               "delta-as  version 1, 8 bits, built in, used by 0 machines\n"
                               "lift  version 1, 1 bit, c.yaml, used by 1 machine\n");
    conf_free(&conf);
    out = tmpfile();
    show_profiles(NULL, out);
    take(out, shown, sizeof shown);
    assert_string_equal(shown,
                        "standard  version 1, 4 bits, built in\ndelta-as  version 1, 8 bits, built in\n");
}

/* --- hash-token --------------------------------------------------------------------------------------------------- */

static int hash(const char *principal, const char *token, size_t len)
{
    FILE *in = NULL, *out = tmpfile(), *err = tmpfile();
    if (token != NULL) {
        in = tmpfile();
        fwrite(token, 1, len, in);
        rewind(in);
    }
    int code = hash_token(principal, in, out, err);
    if (in != NULL)
        fclose(in);
    take(out, shown, sizeof shown);
    take(err, said, sizeof said);
    return code;
}

static void a_token_becomes_its_line(void **state)
{
    (void)state;
    static const char good[] = "0123456789abcdef0123456789abcdef\r\n";
    assert_int_equal(hash("wms", good, sizeof good - 1), 0);
    /* printf 0123456789abcdef0123456789abcdef | sha256sum */
    assert_string_equal(shown, "- {principal: wms, sha256: "
                               "3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9}\n");
    assert_string_equal(said, "");
    assert_int_equal(hash("wms", "abc", 3), 0);
    assert_string_equal(shown, "- {principal: wms, sha256: "
                               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}\n");
    assert_non_null(strstr(said, "can be guessed"));
}

static void new_tokens_differ_and_open_the_door(void **state)
{
    (void)state;
    char first[512], text[1024], token[64];
    assert_int_equal(hash("wms", NULL, 0), 0);
    snprintf(first, sizeof first, "%.500s", shown);
    assert_int_equal(hash("wms", NULL, 0), 0);
    assert_string_not_equal(first, shown);
    assert_int_equal(sscanf(shown, "# the token, for the client; it is kept nowhere: %63s", token), 1);
    assert_int_equal(strlen(token), 32);
    assert_int_equal(strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 32);
    const char *line = strstr(shown, "\n- {");
    assert_non_null(line);
    snprintf(text, sizeof text, "auth:\n  tokens:\n    %.900s", line + 1);
    struct conf *conf = conf_good("c.yaml", text);
    assert_int_equal(conf->token_count, 1);
    conf_free(&conf);
}

static void bad_tokens_are_refused(void **state)
{
    (void)state;
    char longest[CONF_TOKEN_MAX + 1];
    memset(longest, 'a', sizeof longest);
    assert_int_equal(hash("wms", "", 0), 1);
    assert_non_null(strstr(said, "no token found"));
    assert_int_equal(hash("wms", "\n", 1), 1);
    assert_int_equal(hash("wms", "two words", 9), 1);
    assert_non_null(strstr(said, "no client could send it"));
    assert_int_equal(hash("wms", "cut\0short", 9), 1);
    assert_int_equal(hash("wms", "\xc3\xa9", 2), 1);
    assert_int_equal(hash("wms", longest, CONF_TOKEN_MAX), 0);
    assert_int_equal(hash("wms", longest, CONF_TOKEN_MAX + 1), 1);
    assert_non_null(strstr(said, "longer than 512 bytes"));
    assert_int_equal(hash("w: x", "abc", 3), 2);
    assert_string_equal(shown, "");
}

/* --- hash-password --------------------------------------------------------------------------------------------------- */

static int hash_of(const char *in, size_t len, char *out, char *err)
{
    FILE *from = fmemopen((void *)(uintptr_t)in, len > 0 ? len : 1, "r"), *to = fmemopen(out, 300, "w"),
         *told = fmemopen(err, 300, "w");
    assert_true(from != NULL && to != NULL && told != NULL);
    if (len == 0)
        assert_int_equal(fgetc(from), '\0'); /* fmemopen has no empty files */
    int code = hash_password(from, to, told);
    fclose(from);
    fclose(to);
    fclose(told);
    return code;
}

static void a_password_becomes_a_hash(void **state)
{
    (void)state;
    char first[300] = "", second[300] = "", err[300] = "", long_one[1026];
    struct conf_argon2 cost;
    static const char *const same[] = {"hunter2", "hunter2\n", "hunter2\r\n", "hunter2\nmore\n"};
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        assert_int_equal(hash_of(same[i], strlen(same[i]), first, err), 0);
        assert_string_equal(err, "");
        assert_non_null(strchr(first, '\n'));
        *strchr(first, '\n') = '\0';
        assert_true(conf_argon2(first, &cost));
        assert_true(cost.kib == HASH_PASSWORD_KIB && cost.passes == HASH_PASSWORD_PASSES &&
                    cost.lanes == HASH_PASSWORD_LANES);
        assert_int_equal(argon2id_verify(first, "hunter2", 7), ARGON2_OK);
    }
    assert_int_equal(hash_of("hunter2", 7, second, err), 0);
    assert_string_not_equal(first, second); /* a salt of its own */
    memset(long_one, 'a', sizeof long_one);
    assert_int_equal(hash_of(long_one, 1024, first, err), 0);
    assert_int_equal(hash_of(long_one, 1025, first, err), 1);
    assert_string_equal(err, "noria hash-password: the password is longer than 1024 bytes\n");
    assert_int_equal(hash_of("", 0, first, err), 1);
    assert_string_equal(err, "noria hash-password: no password found on standard input\n");
    assert_int_equal(hash_of("\n", 1, first, err), 1);
    assert_string_equal(err, "noria hash-password: no password found on standard input\n");
    assert_int_equal(hash_of("a\0b", 3, first, err), 1);
    assert_non_null(strstr(err, "a NUL in it"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_password_becomes_a_hash),
        cmocka_unit_test_setup_teardown(a_summary, set_up, tear_down),
        cmocka_unit_test_setup_teardown(handlers_and_endpoints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(problems_end_with_1, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_host_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_host_says_of_the_journals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_said_of_the_store, set_up, tear_down),
        cmocka_unit_test(the_table_has_every_byte),
        cmocka_unit_test(the_table_is_the_agents_decision),
        cmocka_unit_test(the_list_names_origin_and_use),
        cmocka_unit_test(a_token_becomes_its_line),
        cmocka_unit_test(new_tokens_differ_and_open_the_door),
        cmocka_unit_test(bad_tokens_are_refused),
    };
    return cmocka_run_group_tests_name("noria_tools", tests, NULL, NULL);
}
