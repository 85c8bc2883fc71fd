/* The program plc-agent as a process: its arguments, its exit codes, readiness, and its end by SIGTERM and by kill -9,
 * against a fake broker and a simulated PLC in the test's own process. */
#include "plc_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "command.h"
#include "fake_broker.h"

struct play {
    struct plc_fixture f;
    struct fake_broker broker;
    struct sim_plc *plc;
    char conf[96], bus[96], out[96], state[96];
    pid_t pid;
    int ready;
};

static void write_conf_as(struct play *play, const char *settings, const char *more)
{
    FILE *file = fopen(play->conf, "w");
    assert_non_null(file);
    fprintf(file,
            "runtime_dir: %s\nstate_dir: %s\nmachines:\n"
            "  - {id: m1, name: One, ip: 127.0.0.1, port: %u, poll_moving_ms: 5, %s}\n%s",
            play->f.dir, play->state, (unsigned)play->plc->port, settings, more);
    fclose(file);
}

static void write_conf(struct play *play, const char *more)
{
    write_conf_as(play, "poll_interval_ms: 10", more);
}

static struct play *begin(void)
{
    struct play *play = calloc(1, sizeof *play);
    plc_begin(&play->f, true);
    play->plc = plc_add(&play->f, "m1", "standard", 0);
    snprintf(play->bus, sizeof play->bus, "%s/bus", play->f.dir);
    snprintf(play->conf, sizeof play->conf, "%s/conf.yaml", play->f.dir);
    snprintf(play->out, sizeof play->out, "%s/out", play->f.dir);
    snprintf(play->state, sizeof play->state, "%s/state", play->f.dir);
    assert_int_equal(mkdir(play->bus, 0700), 0);
    broker_begin(&play->broker, play->bus);
    write_conf(play, "");
    return play;
}

/* What the agent may leave: its machine's journal, and nothing beside it. */
static void remove_state(const struct play *play)
{
    char path[128];
    snprintf(path, sizeof path, "%s/agents/m1", play->state);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        unlinkat(dirfd(dir), e->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    for (size_t cut = 0; cut < 3; cut++) {
        rmdir(path);
        *strrchr(path, '/') = '\0';
    }
}

static void end(struct play *play)
{
    broker_end(&play->broker);
    unlink(play->conf);
    unlink(play->out);
    remove_state(play);
    assert_int_equal(rmdir(play->bus), 0); /* it leaves nothing behind */
    plc_end(&play->f);
    free(play);
}

static void start(struct play *play, const char *const *arguments)
{
    int ready[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    play->pid = fork();
    assert_true(play->pid >= 0);
    if (play->pid == 0) {
        char number[16];
        const char *argv[8] = {PLC_AGENT};
        int out = open(play->out, O_CREAT | O_TRUNC | O_WRONLY, 0600);
        dup2(out, 1);
        dup2(out, 2);
        snprintf(number, sizeof number, "%d", dup(ready[1]));
        setenv("NORIA_READY_FD", number, 1);
        for (size_t i = 0; i < 6 && arguments[i] != NULL; i++)
            argv[i + 1] = arguments[i];
        execv(PLC_AGENT, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(ready[1]);
    play->ready = ready[0];
}

static int exit_code(struct play *play)
{
    int status;
    assert_int_equal(waitpid(play->pid, &status, 0), play->pid);
    close(play->ready);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool said(const struct play *play, const char *text)
{
    char all[8192];
    FILE *file = fopen(play->out, "r");
    assert_non_null(file);
    size_t len = fread(all, 1, sizeof all - 1, file);
    fclose(file);
    all[len] = '\0';
    return strstr(all, text) != NULL;
}

#define RUN_UNTIL(play_, condition)                                                                          \
    do {                                                                                                     \
        uint64_t run_until = clock_mono_ns(clock_system()) + PLC_DEADLINE_NS;                                \
        while (!(condition)) {                                                                               \
            if (clock_mono_ns(clock_system()) > run_until)                                                   \
                fail_msg("never came true: %s", #condition);                                                 \
            loop_poll((play_)->f.loop);                                                                      \
            broker_turn(&(play_)->broker);                                                                   \
        }                                                                                                    \
    } while (0)

static void start_agent(struct play *play)
{
    const char *arguments[] = {"-c", play->conf, "-m", "m1", NULL};
    char text[8];
    start(play, arguments);
    struct pollfd p = {.fd = play->ready, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 20000), 1);
    assert_int_equal(read(play->ready, text, sizeof text), 6);
    size_t before = play->broker.state_count;
    RUN_UNTIL(play, play->broker.state_count > before &&
                        play->broker.states[play->broker.state_count - 1].connection == CONNECTION_CONNECTED);
}

/* --- plays --------------------------------------------------------------------------------------------------------- */

static void arguments(void **state)
{
    (void)state;
    struct play *play = begin();
    const struct {
        const char *arguments[6];
        int code;
        const char *says;
    } calls[] = {
        {{"--help"}, 0, "Usage: plc-agent -c FILE -m MACHINE_ID"},
        {{"--version"}, 0, "plc-agent " NORIA_VERSION},
        {{NULL}, 2, "Usage"},
        {{"-c", "x"}, 2, "Usage"},
        {{"-m", "m1"}, 2, "Usage"},
        {{"-c", "x", "-m", "m1", "more"}, 2, "Usage"},
        {{"--wrong"}, 2, "wrong"},
        {{"-c", "/nowhere/conf.yaml", "-m", "m1"}, 78, "/nowhere/conf.yaml"},
        {{"-c", play->conf, "-m", "m2"}, 78, "machine=m2 error=\"there is no such machine\""},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        start(play, calls[i].arguments);
        int code = exit_code(play);
        if (code != calls[i].code || !said(play, calls[i].says))
            fail_msg("call %zu: exit %d, or does not say \"%s\"", i, code, calls[i].says);
    }
    write_conf(play, "mashines: []\n");
    const char *wrong[] = {"-c", play->conf, "-m", "m1", NULL};
    start(play, wrong);
    assert_int_equal(exit_code(play), 78);
    assert_true(said(play, "mashines"));
    end(play);
}

static void runs_and_stops(void **state)
{
    (void)state;
    const int signals[] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        struct play *play = begin();
        start_agent(play);
        kill(play->pid, signals[i]);
        RUN_UNTIL(play, play->broker.goodbyes == 1);
        assert_int_equal(exit_code(play), 0);
        end(play);
    }
}

static void refused_by_the_broker(void **state)
{
    (void)state;
    struct play *play = begin();
    play->broker.refuse = true;
    const char *arguments[] = {"-c", play->conf, "-m", "m1", NULL};
    start(play, arguments);
    RUN_UNTIL(play, play->broker.hellos == 1);
    RUN_UNTIL(play, play->broker.closed == 1);
    assert_int_equal(exit_code(play), 78);
    assert_true(said(play, "another agent has this machine"));
    end(play);
}

static void killed_and_replaced(void **state)
{
    (void)state;
    struct play *play = begin();
    uint64_t incarnation = 0;
    for (unsigned i = 0; i < 3; i++) {
        start_agent(play);
        assert_true(play->broker.hello.incarnation != incarnation); /* another one each time */
        incarnation = play->broker.hello.incarnation;
        kill(play->pid, SIGKILL);
        int status;
        assert_int_equal(waitpid(play->pid, &status, 0), play->pid);
        close(play->ready);
        RUN_UNTIL(play, play->broker.closed == i + 1); /* the end of its socket tells */
    }
    assert_int_equal(play->broker.goodbyes, 0);
    end(play);
}

/* --- SIGHUP, where there is no launcher ------------------------------------------------------------------------------ */

static void another_configuration_of_other_things_is_nothing_to_it(void **state)
{
    (void)state;
    struct play *play = begin();
    start_agent(play);
    write_conf(play, "  - {id: m2, ip: 127.0.0.9}\nlog: {format: json}\n");
    kill(play->pid, SIGHUP);
    RUN_UNTIL(play, said(play, "\"event\":\"reload\""));
    write_conf(play, "mashines: []\n"); /* a mistake is said, and changes nothing */
    kill(play->pid, SIGHUP);
    RUN_UNTIL(play, said(play, "\"event\":\"reload-refused\""));
    size_t before = play->broker.state_count;
    plc_tell(&play->f, "set m1 position 6");
    RUN_UNTIL(play, play->broker.state_count > before);
    assert_int_equal(play->broker.goodbyes, 0);
    kill(play->pid, SIGTERM);
    RUN_UNTIL(play, play->broker.goodbyes == 1);
    assert_int_equal(exit_code(play), 0);
    end(play);
}

static void another_configuration_of_its_machine_makes_it_leave(void **state)
{
    (void)state;
    for (unsigned gone = 0; gone < 2; gone++) {
        struct play *play = begin();
        start_agent(play);
        if (gone) {
            FILE *file = fopen(play->conf, "w");
            fprintf(file, "runtime_dir: %s\nstate_dir: %s\n", play->f.dir, play->state);
            fclose(file);
        } else {
            write_conf_as(play, "poll_interval_ms: 20", "");
        }
        kill(play->pid, SIGHUP);
        RUN_UNTIL(play, play->broker.goodbyes == 1);
        assert_int_equal(exit_code(play), 0);
        assert_true(said(play, gone ? "not configured any more" : "configured otherwise"));
        end(play);
    }
}

/* It does not leave a move alone. */
static void it_leaves_behind_the_move(void **state)
{
    (void)state;
    struct play *play = begin();
    plc_tell(&play->f, "pace m1 30");
    start_agent(play);
    struct wire_message move = {.type = WIRE_COMMAND,
                                .command = {.session_worker = 1,
                                            .session_serial = 1,
                                            .command_serial = 1,
                                            .dialect = 1,
                                            .machine = wire_text("m1"),
                                            .command = 1,
                                            .argument = 4,
                                            .deadline_ms = -1}};
    broker_send(&play->broker, &move);
    RUN_UNTIL(play, play->broker.outcome_count == 1);
    assert_int_equal(play->broker.outcomes[0].wire.code, CODE_NONE);
    write_conf_as(play, "poll_interval_ms: 20", "");
    kill(play->pid, SIGHUP);
    RUN_UNTIL(play, play->broker.goodbyes == 1);
    assert_int_equal(play->broker.outcome_count, 2);
    assert_int_equal(play->broker.outcomes[1].wire.kind, OUTCOME_COMPLETION);
    assert_int_equal(play->broker.outcomes[1].wire.position, 4);
    assert_int_equal(exit_code(play), 0);
    assert_int_equal(plc_log_count(&play->f, "m1", "01"), 1);
    end(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments),
        cmocka_unit_test(runs_and_stops),
        cmocka_unit_test(refused_by_the_broker),
        cmocka_unit_test(killed_and_replaced),
        cmocka_unit_test(another_configuration_of_other_things_is_nothing_to_it),
        cmocka_unit_test(another_configuration_of_its_machine_makes_it_leave),
        cmocka_unit_test(it_leaves_behind_the_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
