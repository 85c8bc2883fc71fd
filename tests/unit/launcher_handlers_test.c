/* launcher_handlers_test.c — handlers in the launcher's family: users' programs that may exit at once, never end, or not be there,
 * and what one is given: its socket, its environment, its arguments, its place. */
#include "launcher_fixture.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "conf.h"
#include "launch_handlers.h"
#include "launch_program.h"

static void add_handler(struct troupe *t, const char *name, const char *script)
{
    struct family_member member = {
        .stage = FAMILY_HANDLER, .argv = {"/bin/sh", "-c", script}, .handler = name, .directory = t->dir};
    snprintf(member.name, sizeof member.name, "handler.%s.0", name);
    assert_int_equal(family_add(t->family, &member), ERR_OK);
}

static void add_others(struct troupe *t)
{
    troupe_add(t, FAMILY_BROKER, "b", STOPS("broker") SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "a", STOPS("agent") SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "w", STOPS("worker") SAY_READY WAIT);
}

/* --- start and stop ------------------------------------------------------------------------------------------------ */

static void they_start_before_the_workers_and_stop_after_them(void **state)
{
    struct troupe *t = *state;
    add_others(t);
    add_handler(t, "h", STOPS("handler") MARK("handler") WAIT); /* and never says READY */
    family_start(t->family);
    UNTIL(t, t->ready_told > 0 && troupe_marked(t, "handler\n"));
    assert_true(family_is_ready(t->family, "handler.h.0"));
    troupe_advance(t, 10 * READY_NS); /* nobody waits for it */
    assert_int_equal(family_tally(t->family).deaths, 0);
    family_stop(t->family);
    UNTIL(t, t->stopped_told > 0);
    assert_string_equal(strstr(troupe_log(t), "stop-"),
                        "stop-worker\nstop-handler\nstop-agent\nstop-broker\n");
    assert_int_equal(t->exit_code, 0);
}

static void workers_start_whatever_handlers_do(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "b", SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "w", MARK("worker") WAIT);
    add_handler(t, "h", "while ! test -e $T/go; do :; done; " MARK("handler") WAIT);
    family_start(t->family);
    UNTIL(t, troupe_marked(t, "worker\n"));
    assert_true(family_pid(t->family, "handler.h.0") > 0); /* it was started before */
    assert_false(troupe_marked(t, "handler\n"));
    troupe_touch(t, "go");
    UNTIL(t, troupe_marked(t, "handler\n"));
}

static void one_that_exits_at_once_is_started_with_growing_pauses(void **state)
{
    struct troupe *t = *state;
    add_others(t);
    add_handler(t, "h", MARK("handler") "exit 0");
    family_start(t->family);
    static const unsigned pauses_ms[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    UNTIL(t, t->ready_told > 0 && family_tally(t->family).deaths == 2); /* the first was answered at once */
    assert_false(family_is_ready(t->family, "handler.h.0"));
    for (size_t i = 0; i < ARRAY_LEN(pauses_ms); i++) {
        troupe_advance(t, pauses_ms[i] * NS_PER_MS - 1);
        assert_int_equal(family_tally(t->family).starts, 5 + i);
        troupe_advance(t, 1);
        assert_int_equal(family_tally(t->family).starts, 6 + i);
        UNTIL(t, family_tally(t->family).deaths == 3 + i);
    }
    assert_int_equal(t->ready_told, 1);
    assert_int_equal(t->stopped_told, 0);
}

static void one_that_does_not_end_is_killed_when_its_share_is_over(void **state)
{
    struct troupe *t = *state;
    add_others(t);
    add_handler(t, "h", "trap 'echo deaf >>$T/log' TERM; " MARK("handler") WAIT);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0 && troupe_marked(t, "handler\n"));
    family_stop(t->family);
    UNTIL(t, troupe_marked(t, "deaf"));
    troupe_advance(t, 3 * NS_PER_S - 1);
    assert_int_equal(family_tally(t->family).killed, 0);
    assert_false(troupe_marked(t, "stop-agent"));
    troupe_advance(t, 1);
    UNTIL(t, t->stopped_told > 0);
    assert_string_equal(strstr(troupe_log(t), "stop-worker"), "stop-worker\ndeaf\nstop-agent\nstop-broker\n");
    assert_int_equal(family_tally(t->family).killed, 1);
    assert_int_equal(t->exit_code, 0);
}

static void gone_for_good_stops_nothing(void **state)
{
    struct troupe *t = *state;
    add_others(t);
    add_handler(t, "h", MARK("handler") "exit 78");
    family_start(t->family);
    UNTIL(t, t->ready_told > 0 && family_tally(t->family).deaths == 1);
    troupe_advance(t, 3600 * NS_PER_S);
    for (int i = 0; i < 20; i++)
        loop_poll(t->loop);
    assert_int_equal(family_tally(t->family).starts, 4);
    assert_int_equal(t->stopped_told, 0);
    assert_true(family_is_ready(t->family, "w"));
}

/* --- programs ------------------------------------------------------------------------------------------------------ */

static void make_program(struct troupe *t, const char *name, const char *text, mode_t mode)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", t->dir, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(chmod(path, mode), 0);
}

static void add_program(struct troupe *t, const char *program)
{
    struct family_member member = {.stage = FAMILY_HANDLER,
                                   .name = "handler.h.0",
                                   .argv = {program, "-x", "a  b", ""},
                                   .handler = "h",
                                   .directory = t->dir};
    assert_int_equal(family_add(t->family, &member), ERR_OK);
}

/* Told once, never counted as a death; started as soon as it is there. "go" is a name that the fixture cleans up. */
static void one_that_is_missing_is_started_when_it_is_there(void **state)
{
    struct troupe *t = *state;
    add_others(t);
    add_program(t, "go");
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    for (int i = 0; i < 10; i++)
        troupe_advance(t, 10 * NS_PER_S);
    assert_int_equal(family_tally(t->family).starts, 3);
    assert_int_equal(family_tally(t->family).deaths, 0);
    make_program(t, "go", MARK("$0 $#") WAIT, 0600);
    troupe_advance(t, 10 * NS_PER_S);
    assert_int_equal(family_tally(t->family).starts, 3); /* it may not be executed yet */
    make_program(t, "go", MARK("\"$# $1,$2,$3,\"") WAIT, 0700);
    troupe_advance(t, 10 * NS_PER_S);
    UNTIL(t, troupe_marked(t, "3 -x,a  b,,\n")); /* a script without #!, by the shell */
    assert_int_equal(family_tally(t->family).starts, 4);
    assert_int_equal(family_tally(t->family).deaths, 0);
}

static void one_whose_interpreter_is_missing_is_tried_again(void **state)
{
    struct troupe *t = *state;
    add_others(t);
    make_program(t, "go", "#!/nonexistent/python\n", 0700);
    add_program(t, "go");
    family_start(t->family);
    UNTIL(t, t->ready_told > 0 && family_tally(t->family).deaths == 2);
    make_program(t, "go", "#!/bin/sh\n" MARK("up") WAIT, 0700);
    troupe_advance(t, 100 * NS_PER_MS);
    UNTIL(t, troupe_marked(t, "up\n"));
    assert_int_equal(t->stopped_told, 0);
}

static void programs_are_found_as_the_shell_finds_them(void **state)
{
    struct troupe *t = *state;
    char found[PATH_MAX], fault[PROGRAM_FAULT_MAX], path[300], expected[300], before[PATH_MAX];
    make_program(t, "go", "", 0700);
    make_program(t, "go2", "", 0600);
    snprintf(expected, sizeof expected, "%s/go", t->dir);
    snprintf(path, sizeof path, "/nonexistent:%s:/bin", t->dir);
    assert_true(program_find("go", path, found, fault));
    assert_string_equal(found, expected);
    assert_true(program_find(expected, "", found, fault));
    assert_string_equal(found, expected);
    assert_true(program_find("sh", NULL, found, fault)); /* the system's own PATH */
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(t->dir), 0);
    assert_true(program_find("go", "/bin::/usr/bin", found, fault)); /* an empty directory is this one */
    assert_string_equal(found, expected);
    assert_true(program_find("go", ".", found, fault));
    snprintf(expected, sizeof expected, "%s/./go", t->dir);
    assert_string_equal(found, expected);
    assert_int_equal(chdir(before), 0);
    assert_false(program_find("gone", path, found, fault));
    assert_string_equal(fault, "is not found in PATH");
    assert_false(program_find("go2", path, found, fault));
    assert_string_equal(fault, "cannot be executed: Permission denied");
    assert_false(program_find(t->dir, path, found, fault));
    assert_string_equal(fault, "cannot be executed: Permission denied");
    assert_false(program_find("/nonexistent/x", path, found, fault));
    assert_string_equal(fault, "cannot be executed: No such file or directory");
    char *longest = malloc(PATH_MAX + 10);
    memset(longest, 'x', PATH_MAX + 9);
    longest[PATH_MAX + 9] = '\0';
    assert_false(program_find(longest, path, found, fault));
    longest[0] = '/';
    assert_false(program_find(longest, path, found, fault));
    free(longest);
    family_stop(t->family);
}

/* --- what one is given --------------------------------------------------------------------------------------------- */

static struct conf *configured(struct troupe *t, const char *handlers)
{
    char path[96], text[2000], told[1000] = "";
    struct conf *conf;
    snprintf(path, sizeof path, "%s/conf.yaml", t->dir);
    snprintf(text, sizeof text, "runtime_dir: %s\nhandlers: %s\n", t->dir, handlers);
    enum err_e err = conf_load_text(path, text, strlen(text), NULL, told, &conf);
    assert_int_equal(err, ERR_OK);
    snprintf(path, sizeof path, "%s/handlers", t->dir);
    assert_int_equal(mkdir(path, 0750), 0);
    return conf;
}

static void unconfigure(struct troupe *t, struct conf **conf, struct launch_handlers **handlers)
{
    char path[CONF_PATH_MAX];
    for (size_t i = 0; i < launch_handlers_count(*conf); i++) {
        uint32_t k;
        const struct conf_handler *handler = launch_handlers_at(*conf, i, &k);
        conf_handler_socket(*conf, handler, k, path);
        unlink(path);
    }
    launch_handlers_close(handlers);
    conf_free(conf);
    snprintf(path, sizeof path, "%s/handlers", t->dir);
    assert_int_equal(rmdir(path), 0);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static void each_process_has_a_socket(void **state)
{
    struct troupe *t = *state;
    struct conf *conf =
        configured(t, "[{name: a, command: [x], processes: 2}, {name: far, socket: /nonexistent/far},"
                      " {name: b, command: [y]}]");
    struct launch_handlers *handlers;
    char path[CONF_PATH_MAX];
    uint32_t k;
    assert_int_equal(launch_handlers_count(conf), 3);
    assert_ptr_equal(launch_handlers_at(conf, 1, &k), &conf->handlers[0]);
    assert_int_equal(k, 1);
    assert_ptr_equal(launch_handlers_at(conf, 2, &k), &conf->handlers[2]);
    assert_int_equal(k, 0);
    conf_handler_socket(conf, &conf->handlers[2], 0, path);
    close(open(path, O_CREAT | O_WRONLY, 0600)); /* left by somebody: replaced */
    assert_int_equal(launch_handlers_open(conf, &handlers), ERR_OK);
    for (size_t i = 0; i < 3; i++) {
        struct stat info;
        struct child_sockets sockets = launch_handlers_of(handlers, i);
        assert_int_equal(sockets.count, 1);
        assert_string_equal(sockets.names, i < 2 ? "a" : "b");
        assert_true(fcntl(sockets.fds[0], F_GETFD) & FD_CLOEXEC);
        const struct conf_handler *handler = launch_handlers_at(conf, i, &k);
        conf_handler_socket(conf, handler, k, path);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & (S_IFMT | 0777), S_IFSOCK | 0660);
        int fd = connect_to(path);
        assert_true(fd >= 0);
        close(fd);
    }
    launch_handlers_close(&handlers);
    assert_int_equal(connect_to(path), -1);
    assert_int_equal(launch_handlers_open(conf, &handlers), ERR_OK); /* over what the last time left */
    unconfigure(t, &conf, &handlers);
    family_stop(t->family);
}

static void a_socket_that_cannot_be_made_is_told(void **state)
{
    struct troupe *t = *state;
    struct conf *conf = configured(t, "[{name: a, command: [x]}, {name: b, command: [y]}]");
    struct launch_handlers *handlers;
    char path[CONF_PATH_MAX];
    conf_handler_socket(conf, &conf->handlers[1], 0, path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(launch_handlers_open(conf, &handlers), ERR_SYSTEM);
    assert_null(handlers);
    assert_int_equal(rmdir(path), 0);
    unconfigure(t, &conf, &handlers);
    family_stop(t->family);
}

/* Exactly what launch_child.h says, and a connection that was made while nobody was there. The predecessor left its socket
 * non-blocking; the launcher itself was started by somebody who waits for its READY and gave it sockets.
 * Descriptor 4 is the shell's own, on the directory of descriptors. */
static void what_a_process_is_given(void **state)
{
    struct troupe *t = *state;
    struct conf *conf = configured(t, "[{name: my.h, command: [x]}]");
    struct launch_handlers *handlers;
    char path[CONF_PATH_MAX], expected[400];
    assert_int_equal(launch_handlers_open(conf, &handlers), ERR_OK);
    struct family_member member = {
        .stage = FAMILY_HANDLER,
        .name = "handler.my.h.0",
        .argv =
            {"/bin/sh", "-c",
             "test $LISTEN_PID = $$ && me=yes; "
             "for fd in /proc/self/fd/*; do open=\"$open${fd##*/} \"; done; "
             "while read key value; do test $key != flags: || flags=$value; done </proc/self/fdinfo/3; "
             "echo \"fds=$LISTEN_FDS $LISTEN_FDNAMES $me handler=$NORIA_HANDLER ready=$NORIA_READY_FD $0 $1 "
             "open=${open}flags=$flags nice=$(nice) in=$PWD\" >>$T/log; " WAIT,
             "zero", "a  b"},
        .sockets = launch_handlers_of(handlers, 0),
        .handler = conf->handlers[0].name,
        .directory = t->dir};
    assert_int_equal(fcntl(member.sockets.fds[0], F_SETFL, O_NONBLOCK), 0);
    conf_handler_socket(conf, &conf->handlers[0], 0, path);
    int early = connect_to(path);
    assert_true(early >= 0);
    setenv("NORIA_READY_FD", "7", 1);
    setenv("LISTEN_FDS", "2", 1);
    setenv("NORIA_HANDLER", "other", 1);
    troupe_add(t, FAMILY_BROKER, "b",
               "echo broker-${NORIA_HANDLER}-${LISTEN_FDS}. >>$T/log; " SAY_READY WAIT);
    assert_int_equal(family_add(t->family, &member), ERR_OK);
    family_start(t->family);
    UNTIL(t, troupe_marked(t, "in="));
    unsetenv("NORIA_READY_FD");
    unsetenv("LISTEN_FDS");
    unsetenv("NORIA_HANDLER");
    int nice_here = getpriority(PRIO_PROCESS, 0);
    snprintf(
        expected, sizeof expected,
        "broker--.\nfds=1 my.h yes handler=my.h ready= zero a  b open=0 1 2 3 4 flags=02 nice=%d in=%s\n",
        nice_here + CHILD_HANDLER_NICE < 19 ? nice_here + CHILD_HANDLER_NICE : 19, t->dir);
    assert_string_equal(troupe_log(t), expected);
    int accepted = accept(member.sockets.fds[0], NULL, NULL);
    assert_true(accepted >= 0);
    close(accepted);
    close(early);
    family_kill(t->family);
    UNTIL(t, t->stopped_told > 0);
    unconfigure(t, &conf, &handlers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(they_start_before_the_workers_and_stop_after_them),
        PLAY(workers_start_whatever_handlers_do),
        PLAY(one_that_exits_at_once_is_started_with_growing_pauses),
        PLAY(one_that_does_not_end_is_killed_when_its_share_is_over),
        PLAY(gone_for_good_stops_nothing),
        PLAY(one_that_is_missing_is_started_when_it_is_there),
        PLAY(one_whose_interpreter_is_missing_is_tried_again),
        PLAY(programs_are_found_as_the_shell_finds_them),
        PLAY(each_process_has_a_socket),
        PLAY(a_socket_that_cannot_be_made_is_told),
        PLAY(what_a_process_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
