/* launcher_up_handlers_test.c — `noria up` with handlers: where they run, what is said of them, what does not wait for them. */
#include "up_stage.h"

/* Notes what it was given, ends on SIGTERM, says nothing. */
static const char hand[] =
    "#!/bin/sh\n"
    "trap 'echo hand >>$T/ended; exit 0' TERM\n"
    "echo \"hand $# $1 $2 fds=$LISTEN_FDS names=$LISTEN_FDNAMES handler=$NORIA_HANDLER "
    "ready=$NORIA_READY_FD in=$PWD\" >>$T/args\n"
    "while :; do read x <$T/never; done\n";

static const char conf_text[] =
    "workers: {count: 1}\n"
    "listeners:\n"
    "  - {name: main, port: 0, dialects: [endpoints, carousel]}\n"
    "  - {name: six, address: '::1', port: 0, dialects: [rest, endpoints], auth: token}\n"
    "auth: {tokens: [{principal: a, sha256: "
    "e4ead8b4707b06425cbb45c4a97114017e4c2491db5496a825fc8acbd40b6fa8}]}\n"
    "machines: [{id: left, ip: 10.0.0.1}]\n"
    "handlers:\n"
    "  - {name: chat, command: [bin/hand, one, 'two  words'], processes: 2}\n"
    "  - {name: gone, command: [no-such-program-anywhere]}\n"
    "  - {name: far, socket: /nonexistent/far.sock}\n"
    "endpoints:\n"
    "  - {path: /chat, handler: chat, schema: chat.json}\n"
    "  - {path: /raw, handler: gone}\n"
    "  - {path: /far, handler: far}\n";

static int with_handlers(void **state)
{
    int code = setup(state);
    if (code != 0)
        return code;
    write_file("bin/hand", hand, 0700);
    write_file("bad.yaml", conf_text, 0600);
    write_file("chat.json", "{\"type\":\"object\",\"properties\":{\"message\":{\"type\":\"string\"}}}", 0600);
    return 0;
}

static void handlers_are_started_and_announced(void **state)
{
    (void)state;
    pid_t pid = start_up_with("bad.yaml");
    UNTIL(says("out", "noria: ready\n") && lines_with("args", "hand 2") == 2);
    char text[300];
    snprintf(text, sizeof text, "hand 2 one two  words fds=1 names=chat handler=chat ready= in=%s\n", base);
    assert_int_equal(lines_with("args", text), 2);
    expect("out", "/chat   (endpoint, handler chat)\n");
    expect("out", "/raw   (endpoint, handler gone)\n");
    expect("out", "/far   (endpoint, handler far)\n");
    expect("out", "/far   (endpoint, handler far; with a token)\n");
    expect("out", "/chat   then type {}   (the answer says what is expected)\n");
    assert_int_equal(lines_with("out", "  try       python3 -m websockets ws://127.0.0.1:"),
                     2); /* carousel, too */
    expect("err", "name=handler.gone.0 program=no-such-program-anywhere error=\"is not found in PATH\"");
    assert_int_equal(access(below("run/handlers/chat.1"), F_OK), 0);
    assert_int_equal(access(below("run/handlers/gone.0"), F_OK), 0);
    kill(pid, SIGINT);
    assert_int_equal(exit_code(pid), 0);
    assert_string_equal(content("ended"), "noria-worker\nhand\nhand\nplc-agent\nnoria-broker\n");
    expect("err", "deaths=0 not_ready=0 killed=0");
    assert_int_not_equal(access(below("run"), F_OK), 0);
}

static void a_killed_launchers_handlers_end_and_are_succeeded(void **state)
{
    (void)state;
    pid_t pid = start_up_with("bad.yaml");
    UNTIL(says("out", "noria: ready\n") && lines_with("args", "hand 2") == 2);
    kill(pid, SIGKILL);
    assert_int_equal(exit_code(pid), 1000 + SIGKILL);
    UNTIL(lines_with("ended", "hand\n") == 2);
    assert_int_equal(access(below("run/handlers/chat.0"), F_OK), 0); /* left behind, and replaced */
    pid = start_up_with("bad.yaml");
    UNTIL(says("out", "noria: ready\n") && lines_with("args", "hand 2") == 4);
    kill(pid, SIGINT);
    assert_int_equal(exit_code(pid), 0);
}

/* One that does not end with its launcher keeps no other away: it has no lock. */
static void a_handler_that_outlives_its_launcher_keeps_nobody_away(void **state)
{
    (void)state;
    write_file("bin/hand",
               "#!/bin/sh\ntrap '' TERM\necho \"deaf $$\" >>$T/args\nwhile :; do read x <$T/never; done\n",
               0700);
    pid_t pid = start_up_with("bad.yaml");
    UNTIL(says("out", "noria: ready\n") && lines_with("args", "deaf ") == 2);
    pid_t survivors[2];
    const char *at = content("args");
    for (size_t i = 0; i < 2; i++) {
        at = strstr(at, "deaf ") + strlen("deaf ");
        survivors[i] = (pid_t)atoi(at);
    }
    kill(pid, SIGKILL);
    assert_int_equal(exit_code(pid), 1000 + SIGKILL);
    write_file("bin/hand", hand, 0700);
    pid = start_up_with("bad.yaml");
    UNTIL(says("out", "noria: ready\n") && lines_with("args", "hand 2") == 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(kill(survivors[i], SIGKILL), 0); /* they were there all the time */
    kill(pid, SIGINT);
    assert_int_equal(exit_code(pid), 0);
}

static void a_broken_schema_starts_nothing(void **state)
{
    (void)state;
    char text[200];
    write_file("chat.json", "{\"type\":\"object\",}", 0600);
    assert_int_equal(exit_code(start_up_with("bad.yaml")), PROC_EXIT_PERMANENT);
    snprintf(text, sizeof text, "%s:1:", below("chat.json"));
    expect("err", text);
    const char *const argv[] = {"noria", "check-config", below("bad.yaml"), NULL};
    assert_int_equal(run(argv), PROC_EXIT_FAILURE);
    expect("err", text);
    assert_int_equal(unlink(below("chat.json")), 0);
    assert_int_equal(exit_code(start_up_with("bad.yaml")), PROC_EXIT_PERMANENT);
    snprintf(text, sizeof text,
             "%s:12: endpoints[0].schema: %s cannot be opened: No such file or directory\n",
             below("bad.yaml"), below("chat.json"));
    expect("err", text);
    assert_int_not_equal(access(below("run"), F_OK), 0);
    assert_int_not_equal(access(below("args"), F_OK), 0);
}

#define PLAY_WITH(test) cmocka_unit_test_setup_teardown(test, with_handlers, teardown)

int main(void)
{
    find_noria();
    const struct CMUnitTest tests[] = {
        PLAY_WITH(handlers_are_started_and_announced),
        PLAY_WITH(a_killed_launchers_handlers_end_and_are_succeeded),
        PLAY_WITH(a_handler_that_outlives_its_launcher_keeps_nobody_away),
        PLAY_WITH(a_broken_schema_starts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
