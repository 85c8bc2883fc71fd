/* launcher_up_test.c — the program `noria` itself, with scripts in the place of its processes: what it starts and says, how
 * it ends, what it leaves; and `noria stats` over real segments. */
#include "up_stage.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "segment.h"

/* --- up --------------------------------------------------------------------------------------------------------- */

static void up_starts_all_and_leaves_nothing(void **state)
{
    (void)state;
    pid_t pid = start_up();
    UNTIL(says("out", "noria: ready\n"));
    char text[256];
    expect("out", "connect   ws://127.0.0.1:");
    expect("out", "connect   ws://[::1]:");
    expect("out", "machine   left \"Izquierda\", simulated at 127.0.0.1 port 3201\n");
    expect("out", "machine   right \"right\", PLC at 10.0.0.2 port 3200\n");
    expect("out", "\"machine_id\":\"left\"");
    expect("out", "then type {\"ws_op\":\"open\",\"ws_stream_ids\":[\"a \\\"b\\\"\"]}\n");
    assert_int_equal(lines_with("out", "  try       python3 -m websockets ws://127.0.0.1:"), 1);
    assert_int_equal(lines_with("out", "  try       python3 -m websockets ws://[::1]:"), 1);
    expect("out", "try       curl http://[::1]:");
    expect("err", "profile-unknown machine=right profile=not-built-in");
    snprintf(text, sizeof text, "plc-sim -c %s fds= names= dir=%s\n", below("conf.yaml"), below("run"));
    assert_ptr_equal(strstr(content("args"), text), content("args"));
    snprintf(text, sizeof text, "plc-agent -c %s -m right fds= names= dir=%s\n", below("conf.yaml"),
             below("run"));
    expect("args", text);
    snprintf(text, sizeof text, "noria-worker -c %s fds=2 names=main:six dir=%s\n", below("conf.yaml"),
             below("run"));
    expect("args", text);
    assert_int_equal(lines_with("args", "noria-worker"), 2);
    kill(pid, SIGINT);
    assert_int_equal(exit_code(pid), 0);
    assert_string_equal(content("ended"),
                        "noria-worker\nnoria-worker\nplc-agent\nplc-agent\nnoria-broker\nplc-sim\n");
    assert_int_not_equal(access(below("run"), F_OK), 0);
}

static void one_wish_told_twice_kills_nobody(void **state)
{
    (void)state;
    pid_t pid = start_up();
    UNTIL(says("out", "noria: ready\n"));
    kill(pid, SIGINT);
    UNTIL(says("err", "a second signal kills"));
    kill(pid, SIGINT);
    assert_int_equal(exit_code(pid), 0);
    expect("err", "killed=0");
}

static void a_second_wish_kills(void **state)
{
    (void)state;
    write_file("bin/noria-worker",
               "#!/bin/sh\ntrap '' TERM\necho READY >&$NORIA_READY_FD\n"
               "while :; do read x <$T/never; done\n",
               0700);
    pid_t pid = start_up();
    UNTIL(says("out", "noria: ready\n"));
    int status = 0, wishes = 0;
    do /* those that come too soon behind the first are the same wish */
        assert_true(kill(pid, SIGINT) == 0 && ++wishes < 600);
    while (!ended(pid, 50 * NS_PER_MS, &status));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect("err", "second signal: killing");
}

static void a_second_up_is_refused(void **state)
{
    (void)state;
    pid_t first = start_up();
    UNTIL(says("out", "noria: ready\n"));
    pid_t second = start_up();
    assert_int_equal(exit_code(second), PROC_EXIT_FAILURE);
    expect("err", "another noria up runs here");
    kill(first, SIGTERM);
    assert_int_equal(exit_code(first), 0);
}

static void a_killed_launchers_family_stops_and_is_succeeded(void **state)
{
    (void)state;
    pid_t pid = start_up();
    UNTIL(says("out", "noria: ready\n"));
    kill(pid, SIGKILL);
    assert_int_equal(exit_code(pid), 1000 + SIGKILL);
    UNTIL(lines_with("ended", "\n") == 6);
    assert_int_equal(access(below("run/bus/broker.sock"), F_OK), 0);
    pid = start_up();
    UNTIL(says("out", "noria: ready\n"));
    kill(pid, SIGINT);
    assert_int_equal(exit_code(pid), 0);
}

static void a_child_that_dies_is_started_again(void **state)
{
    (void)state;
    pid_t pid = start_up();
    UNTIL(says("out", "noria: ready\n"));
    const char *at = strstr(content("err"), "process-started name=broker pid=");
    assert_non_null(at);
    kill((pid_t)atoi(at + strlen("process-started name=broker pid=")), SIGKILL);
    UNTIL(lines_with("args", "noria-broker") == 2);
    UNTIL(lines_with("err", "process-ready name=broker") == 2);
    expect("err", "process-died name=broker");
    expect("err", "ended=\"SIGKILL\"");
    kill(pid, SIGINT);
    assert_int_equal(exit_code(pid), 0);
    assert_int_equal(lines_with("out", "noria: ready"), 1);
}

static void what_cannot_start_says_why(void **state)
{
    (void)state;
    int taken = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(taken, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(taken, 1), 0);
    assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &size), 0);
    char text[256];
    snprintf(text, sizeof text, "listeners: [{name: main, port: %u}]\n", ntohs(address.sin_port));
    write_file("bad.yaml", text, 0600);
    const char *const argv[] = {"noria",           "up",         "-c",
                                below("bad.yaml"), "--bin-dir",  below("bin"),
                                "--runtime-dir",   below("run"), NULL};
    assert_int_equal(run(argv), PROC_EXIT_FAILURE);
    snprintf(text, sizeof text, "name=main address=127.0.0.1 port=%u error=\"the port is in use",
             ntohs(address.sin_port));
    expect("err", text);
    close(taken);
    assert_int_not_equal(access(below("run"), F_OK), 0);

    write_file("bad.yaml", "listeners: [{name: main, prot: 1}]\n", 0600);
    assert_int_equal(run(argv), PROC_EXIT_PERMANENT);
    expect("err", "bad.yaml:1: listeners[0].prot: is an unknown key, did you mean port?");

    write_file("bad.yaml", "machines: [{id: a, ip: 1.1.1.1}]\n", 0600);
    unlink(below("bin/plc-agent"));
    assert_int_equal(run(argv), PROC_EXIT_FAILURE);
    expect("err", "bin/plc-agent error=\"No such file or directory\"");
}

static void the_command_line_is_checked(void **state)
{
    (void)state;
    const char *const help[] = {"noria", "--help", NULL},
                      *const version[] = {"noria", "up", "--version", NULL},
                      *const reference[] = {"noria", "reference", NULL}, *const none[] = {"noria", NULL},
                      *const unknown[] = {"noria", "down", NULL}, *const no_file[] = {"noria", "up", NULL},
                      *const option[] = {"noria", "up", "--sideways", NULL},
                      *const operand[] = {"noria", "up", "-c", "x", "y", NULL};
    assert_int_equal(run(help), 0);
    expect("out", "usage: noria up -c FILE");
    assert_int_equal(run(version), 0);
    expect("out", "noria " NORIA_VERSION);
    assert_int_equal(run(reference), 0);
    expect("out", "## machines[]");
    assert_int_equal(run(none), PROC_EXIT_USAGE);
    assert_int_equal(run(unknown), PROC_EXIT_USAGE);
    assert_int_equal(run(no_file), PROC_EXIT_USAGE);
    expect("err", "-c FILE is missing");
    assert_int_equal(run(option), PROC_EXIT_USAGE);
    assert_int_equal(run(operand), PROC_EXIT_USAGE);
}

/* --- stats ------------------------------------------------------------------------------------------------------ */

static int run_stats(const char *prefix)
{
    const char *const argv[] = {"noria",         "stats",      "-c",   below("conf.yaml"),
                                "--runtime-dir", below("run"), prefix, NULL};
    return run(argv);
}

static void stats_shows_every_segment(void **state)
{
    (void)state;
    static const struct stats_def defs[] = {
        {"frames", STATS_COUNTER}, {"clients", STATS_GAUGE}, {"round_ns", STATS_HISTOGRAM}};
    assert_int_equal(run_stats(NULL), PROC_EXIT_FAILURE);
    expect("err", "nothing runs in ");
    assert_int_equal(proc_make_dirs(below("run/shm")), ERR_OK);
    assert_int_equal(run_stats(NULL), PROC_EXIT_FAILURE);

    struct segment *worker, *broker;
    struct stats stats;
    assert_int_equal(segment_create(below("run/shm/worker.10"), "worker.10", "", 7, defs, 3, &worker, &stats),
                     ERR_OK);
    stats_add(&stats, 0, 42);
    stats_set(&stats, 1, 3);
    for (int i = 0; i < 100; i++)
        stats_observe_ns(&stats, 2, 1000000);
    assert_int_equal(segment_create(below("run/shm/broker"), "broker", "", 9, defs, 1, &broker, &stats),
                     ERR_OK);
    write_file("run/shm/ring", "not a segment, and not asked", 0600);
    write_file("run/shm/lvt", "likewise", 0600);
    assert_int_equal(run_stats(NULL), 0);
    char text[64];
    snprintf(text, sizeof text, "worker.10 pid %d\nworker.10 incarnation 7\n", (int)getpid());
    expect("out", text);
    expect("out", "worker.10 frames 42\nworker.10 clients 3\nworker.10 round_ns count 100 p50_us ");
    expect("out", "broker incarnation 9\nbroker frames 0\n");
    assert_string_equal(content("err"), "");
    assert_int_equal(run_stats("worker.10 c"), 0);
    assert_string_equal(content("out"), "worker.10 clients 3\n");

    write_file("run/shm/worker.11", "damaged", 0600);
    assert_int_equal(run_stats(NULL), PROC_EXIT_FAILURE);
    expect("err", "shm/worker.11: ");
    expect("out", "worker.10 frames 42\n");
    segment_close(&worker, true);
    segment_close(&broker, true);
    static const char *const names[] = {"run/shm/ring", "run/shm/lvt", "run/shm/worker.11"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_int_equal(unlink(below(names[i])), 0);
    assert_int_equal(rmdir(below("run/shm")), 0);
    assert_int_equal(rmdir(below("run")), 0);
}

int main(void)
{
    find_noria();
    const struct CMUnitTest tests[] = {
        PLAY(up_starts_all_and_leaves_nothing),
        PLAY(one_wish_told_twice_kills_nobody),
        PLAY(a_second_wish_kills),
        PLAY(a_second_up_is_refused),
        PLAY(a_killed_launchers_family_stops_and_is_succeeded),
        PLAY(a_child_that_dies_is_started_again),
        PLAY(what_cannot_start_says_why),
        PLAY(the_command_line_is_checked),
        PLAY(stats_shows_every_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
