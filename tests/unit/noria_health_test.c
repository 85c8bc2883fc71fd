/* noria health: what an engine is told of a process. What /proc would say of process 1 is a folder here, in which `status` leads to a process that turns, or
 * to one that hangs. */
#include "conf_fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "health.h"
#include "log.h"

static char directory[64], said[512];
static pid_t turning, hanging;

static const char *path_of(const char *name)
{
    static char path[2][160];
    static unsigned next;
    char *out = path[next++ % 2];
    snprintf(out, sizeof path[0], "%s/%s", directory, name);
    return out;
}

static void put(const char *name, const char *bytes, size_t len)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

static pid_t spawn(bool turns)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    for (;;)
        if (turns)
            poll(NULL, 0, 1);
        else
            pause();
}

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/noria_health.XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    log_init("test", LOG_ERROR);
    turning = spawn(true);
    hanging = spawn(false);
    return turning > 0 && hanging > 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    const char *const names[] = {"cmdline", "status", "maps", "sim.sock", "front/front.sock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(path_of(names[i]));
    kill(turning, SIGKILL);
    kill(hanging, SIGKILL);
    waitpid(turning, NULL, 0);
    waitpid(hanging, NULL, 0);
    rmdir(path_of("front"));
    return rmdir(directory);
}

/* --- health --------------------------------------------------------------------------------------------------------- */

static void process_is(const char *cmdline, size_t len, pid_t sleeper, const char *maps)
{
    char status[64];
    put("cmdline", cmdline, len);
    put("maps", maps, strlen(maps));
    unlink(path_of("status"));
    snprintf(status, sizeof status, "/proc/%d/status", sleeper);
    assert_int_equal(symlink(status, path_of("status")), 0);
}
#define IS(cmdline, sleeper, maps) process_is(cmdline, sizeof cmdline, sleeper, maps)

static int asked(const char *what)
{
    FILE *out = fmemopen(said, sizeof said, "w");
    struct health_request request = {.what = what,
                                     .process = directory,
                                     .runtime_dir = directory,
                                     .clock = clock_system(),
                                     .turn_ms = 300,
                                     .out = out,
                                     .err = out};
    int code = health(&request);
    fclose(out);
    return code;
}

static const char *mapping(const char *file)
{
    static char line[400];
    snprintf(
        line, sizeof line,
        "7f00-7f01 r--p 0 fd:00 1 /usr/lib/x.so\n7f02-7f03 rw-s 00000000 00:3f 12                %s/shm/%s\n",
        directory, file);
    return line;
}

static void roles_are_known_by_their_program(void **state)
{
    (void)state;
    IS("noria-broker\0-c\0/etc/noria/c.yaml", turning, mapping("broker"));
    assert_int_equal(asked("broker"), 0);
    assert_string_equal(said, "healthy\n");
    assert_int_equal(asked("store"), 1);
    assert_non_null(strstr(said, "noria-broker: is not what is asked for"));
    IS("/usr/local/bin/noria-worker\0-c\0x", turning, mapping("worker.3"));
    assert_int_equal(asked("worker"), 0);
    IS("plc-agent\0-c\0x\0-m\0lift-1", turning, "");
    assert_int_equal(asked("lift-1"), 0);
    assert_int_equal(asked("lift-2"), 1);
    assert_int_equal(asked("-c"), 1);
    IS("plc-agent\0-c\0x\0-m\0broker", turning, ""); /* a machine may be called so */
    assert_int_equal(asked("broker"), 0);
    assert_int_equal(asked(NULL), 0);
    IS("noria\0compose\0-c", turning, "");
    assert_int_equal(asked("front"), 1);
    assert_int_equal(asked(NULL), 1);
    IS("noria\0up\0-c", turning, ""); /* no control.sock here */
    assert_int_equal(asked("launcher"), 1);
    assert_string_equal(said, "launcher: its socket does not accept\n");
    IS("sh", turning, mapping("broker"));
    assert_int_equal(asked("broker"), 1);
    put("cmdline", "", 0);
    assert_int_equal(asked("broker"), 1);
    assert_non_null(strstr(said, "there is no such process"));
}

static void a_loop_that_hangs_is_ill(void **state)
{
    (void)state;
    IS("plc-agent\0-m\0lift-1", hanging, "");
    assert_int_equal(asked("lift-1"), 1);
    assert_string_equal(said, "agent: its loop does not turn\n");
    unlink(path_of("status"));
    assert_int_equal(asked("lift-1"), 1);
}

static void who_should_have_a_segment_has_it(void **state)
{
    (void)state;
    static const char *const others[] = {"ring", "broker2", "worker.0", "broker (deleted)", "broker.tmp"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        IS("noria-broker", turning, mapping(others[i]));
        assert_int_equal(asked("broker"), 1);
        assert_non_null(strstr(said, "no segment in shm"));
    }
    IS("noria-worker", turning, mapping("worker.0 (deleted)"));
    assert_int_equal(asked("worker"), 1);
    IS("noria-worker", turning, mapping("worker."));
    assert_int_equal(asked("worker"), 1);
    IS("noria-store", turning, "");
    assert_int_equal(asked("store"), 1);
}

static void who_should_listen_does(const char *role, const char *socket_name, int type)
{
    struct sockaddr_un address;
    char ill[80];
    snprintf(ill, sizeof ill, "%s: its socket does not accept\n", role);
    assert_int_equal(asked(role), 1);
    assert_string_equal(said, ill);
    assert_true(health_address(path_of(socket_name), &address));
    int fd = socket(AF_UNIX, type, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(asked(role), 1); /* nobody listens yet */
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(asked(role), 0);
    close(fd);
    assert_int_equal(asked(role), 1);
}

static void simulator_and_front_accept(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path_of("front"), 0700), 0);
    IS("plc-sim\0-c\0x", turning, "");
    who_should_listen_does("plc-sim", "sim.sock", SOCK_STREAM);
    IS("noria\0front", turning, "");
    who_should_listen_does("front", "front/front.sock", SOCK_SEQPACKET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_are_known_by_their_program),
        cmocka_unit_test(a_loop_that_hangs_is_ill),
        cmocka_unit_test(who_should_have_a_segment_has_it),
        cmocka_unit_test(simulator_and_front_accept),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
