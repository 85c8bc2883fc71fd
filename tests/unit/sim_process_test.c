/* The program plc-sim as a process: start, readiness, -c, stop on SIGTERM, refusal to start, kill -9 and again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 20000

struct play {
    char directory[64], socket[96], log[96], conf[96];
    pid_t pid;
};

static void begin(struct play *play)
{
    strcpy(play->directory, "/tmp/sim_process_test.XXXXXX");
    assert_non_null(mkdtemp(play->directory));
    snprintf(play->socket, sizeof play->socket, "%s/sim.sock", play->directory);
    snprintf(play->log, sizeof play->log, "%s/sim.log", play->directory);
    snprintf(play->conf, sizeof play->conf, "%s/conf.yaml", play->directory);
}

static void end(struct play *play)
{
    unlink(play->log);
    unlink(play->conf);
    assert_int_equal(rmdir(play->directory), 0); /* nothing else is left */
}

/* Starts plc-sim and waits until it is ready (true), or has ended (false). */
static bool start(struct play *play, const char *const *arguments)
{
    int ready[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    play->pid = fork();
    assert_true(play->pid >= 0);
    if (play->pid == 0) {
        char number[16];
        int fd = dup(ready[1]); /* without close-on-exec */
        snprintf(number, sizeof number, "%d", fd);
        setenv("NORIA_READY_FD", number, 1);
        const char *argv[16] = {PLC_SIM};
        for (size_t i = 0; i < 14 && arguments[i] != NULL; i++)
            argv[i + 1] = arguments[i];
        execv(PLC_SIM, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(ready[1]);
    struct pollfd p = {.fd = ready[0], .events = POLLIN};
    assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
    char text[8];
    ssize_t n = read(ready[0], text, sizeof text);
    close(ready[0]);
    return n == 6 && memcmp(text, "READY\n", 6) == 0;
}

static int exit_status(struct play *play)
{
    int status;
    assert_int_equal(waitpid(play->pid, &status, 0), play->pid);
    return status;
}

static int exit_code(struct play *play)
{
    int status = exit_status(play);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void ask(const struct play *play, const char *command, char *answer, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", play->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, command, strlen(command), MSG_NOSIGNAL), strlen(command));
    shutdown(fd, SHUT_WR);
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = recv(fd, answer + len, size - 1 - len, 0)) > 0)
        len += (size_t)n;
    answer[len] = '\0';
    close(fd);
}

static void serves_and_stops(void **state)
{
    (void)state;
    struct play p;
    begin(&p);
    const char *arguments[] = {"--port", "0",   "--machines",  "3", "--control", p.socket,
                               "--log",  p.log, "--id-prefix", "m", NULL};
    assert_true(start(&p, arguments));
    char answer[512];
    ask(&p, "list\n", answer, sizeof answer);
    unsigned ports[3];
    assert_int_equal(sscanf(answer, "ok m1=%u m2=%u m3=%u", &ports[0], &ports[1], &ports[2]), 3);
    kill(p.pid, SIGTERM);
    assert_int_equal(exit_code(&p), 0);
    assert_int_equal(access(p.socket, F_OK), -1);
    end(&p);
}

static void a_second_one_does_not_start_and_a_killed_one_is_replaced(void **state)
{
    (void)state;
    struct play p, second;
    begin(&p);
    const char *arguments[] = {"--port", "0", "--control", p.socket, NULL};
    assert_true(start(&p, arguments));
    second = p;
    assert_false(start(&second, arguments));
    assert_int_equal(exit_code(&second), 1);
    kill(p.pid, SIGKILL);
    assert_true(WIFSIGNALED(exit_status(&p)));
    assert_int_equal(access(p.socket, F_OK), 0);
    assert_true(start(&p, arguments));
    char answer[512];
    ask(&p, "counts machine_1\n", answer, sizeof answer);
    assert_memory_equal(answer, "ok requests=0 ", 14);
    kill(p.pid, SIGINT);
    assert_int_equal(exit_code(&p), 0);
    end(&p);
}

/* A port that is free now; nobody else of this test takes it meanwhile. */
static unsigned some_port(struct play *play)
{
    const char *arguments[] = {"--port", "0", "--control", play->socket, NULL};
    assert_true(start(play, arguments));
    char answer[512];
    unsigned port;
    ask(play, "list\n", answer, sizeof answer);
    assert_int_equal(sscanf(answer, "ok machine_1=%u", &port), 1);
    kill(play->pid, SIGTERM);
    assert_int_equal(exit_code(play), 0);
    return port;
}

static void write_conf(const struct play *play, bool simulator, unsigned port)
{
    FILE *file = fopen(play->conf, "w");
    fprintf(file, "runtime_dir: %s\nsimulator: {base_port: %u}\nmachines:\n", play->directory, port);
    fprintf(file, "  - {id: left, name: L, ip: 192.168.1.50, port: 3200, simulator: %s}\n",
            simulator ? "true" : "false");
    fprintf(file, "  - {id: right, name: R, ip: 192.168.1.51, port: 3200}\n");
    fclose(file);
}

static void machines_of_a_configuration(void **state)
{
    (void)state;
    struct play p;
    begin(&p);
    unsigned port = some_port(&p);
    write_conf(&p, true, port);
    const char *arguments[] = {"-c", p.conf, NULL};
    assert_true(start(&p, arguments));
    char answer[512], want[64];
    ask(&p, "list\n", answer, sizeof answer); /* socket and log are where the configuration puts them */
    snprintf(want, sizeof want, "ok left=%u\n", port);
    assert_string_equal(answer, want);
    assert_int_equal(access(p.log, F_OK), 0);
    kill(p.pid, SIGTERM);
    assert_int_equal(exit_code(&p), 0);
    end(&p);
}

static void what_cannot_start(void **state)
{
    (void)state;
    struct play p;
    begin(&p);
    const char *usage[] = {"--nonsense", NULL};
    assert_false(start(&p, usage));
    assert_int_equal(exit_code(&p), 2);
    const char *missing[] = {"-c", p.conf, NULL};
    assert_false(start(&p, missing));
    assert_int_equal(exit_code(&p), 78);
    write_conf(&p, false, 3201);
    assert_false(start(&p, missing));
    assert_int_equal(exit_code(&p), 78);
    const char *address[] = {"--port", "0", "--address", "localhost", NULL};
    assert_false(start(&p, address));
    assert_int_equal(exit_code(&p), 78);
    const char *script[] = {"--port", "0", "--script", p.conf, NULL};
    assert_false(start(&p, script));
    assert_int_equal(exit_code(&p), 78);
    const char *log[] = {"--port", "0", "--log", p.directory, NULL};
    assert_false(start(&p, log));
    assert_int_equal(exit_code(&p), 1);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_and_stops),
        cmocka_unit_test(a_second_one_does_not_start_and_a_killed_one_is_replaced),
        cmocka_unit_test(machines_of_a_configuration),
        cmocka_unit_test(what_cannot_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
