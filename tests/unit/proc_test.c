/* proc_test.c — start, readiness, inherited sockets, and the end of a child whose launcher dies. */
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs `body` in a child process and returns its exit code, or 1000 + the signal that ended it. */
static int in_child(int (*body)(void *), void *arg)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(body(arg));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int listening_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

/* --- boot ------------------------------------------------------------------------------------------------------- */

static int boot_body(void *arg)
{
    (void)arg;
    struct rlimit limit;
    sigset_t mask;
    close(STDIN_FILENO);
    sigfillset(&mask);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    if (!proc_boot())
        return 1;
    raise(SIGPIPE); /* ends a process that did not boot */
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur != limit.rlim_max)
        return 2;
    if (umask(0) != 0027)
        return 3;
    if (sigprocmask(SIG_BLOCK, NULL, &mask) != 0 || sigismember(&mask, SIGTERM))
        return 4;
    return fcntl(STDIN_FILENO, F_GETFD) >= 0 ? 0 : 5;
}

static void boot_prepares_the_process(void **state)
{
    (void)state;
    assert_int_equal(in_child(boot_body, NULL), 0);
}

static int gone_body(void *arg)
{
    setenv("NORIA_LAUNCHER_PID", arg, 1);
    return proc_boot() ? 0 : 7;
}

static void boot_notices_a_launcher_that_is_gone(void **state)
{
    (void)state;
    char pid[24];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_int_equal(in_child(gone_body, pid), 0);
    assert_int_equal(in_child(gone_body, "1"), getpid() == 1 ? 0 : 7);
}

static int orphan_body(void *arg)
{
    setenv("NORIA_ORPHAN", "1", 1);
    return gone_body(arg);
}

static void an_orphan_asks_for_no_launcher(void **state)
{
    (void)state;
    assert_int_equal(in_child(orphan_body, "1"), 0);
}

/* The launcher (a child of the test) starts a child that boots, tells so, and waits; then the launcher is killed. The
 * child's end shows as the end of file on the pipe that it held. */
static void a_child_ends_with_its_launcher(void **state)
{
    (void)state;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t launcher = fork();
    if (launcher == 0) {
        if (fork() == 0) {
            bool fine = proc_boot();
            if (!fine || write(pipe_fds[1], "b", 1) != 1)
                _exit(1);
        }
        for (;;)
            pause();
    }
    close(pipe_fds[1]);
    char byte;
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    kill(launcher, SIGKILL);
    assert_int_equal(waitpid(launcher, NULL, 0), launcher);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
    close(pipe_fds[0]);
}

/* --- readiness -------------------------------------------------------------------------------------------------- */

static void ready_is_told_once(void **state)
{
    (void)state;
    int pipe_fds[2];
    char number[16], text[32] = "";
    assert_int_equal(pipe(pipe_fds), 0);
    snprintf(number, sizeof number, "%d", pipe_fds[1]);
    setenv("NORIA_READY_FD", number, 1);
    proc_ready();
    proc_ready();
    assert_int_equal(read(pipe_fds[0], text, sizeof text), 6);
    assert_string_equal(text, "READY\n");
    assert_int_equal(read(pipe_fds[0], text, sizeof text), 0); /* closed */
    close(pipe_fds[0]);
    assert_null(getenv("NORIA_READY_FD"));
}

static void ready_survives_nonsense(void **state)
{
    (void)state;
    static const char *const values[] = {"", "x", "-1", "2", "99999", "3x", "99999999999999999999"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        setenv("NORIA_READY_FD", values[i], 1);
        proc_ready();
        assert_null(getenv("NORIA_READY_FD"));
    }
    assert_true(fcntl(STDERR_FILENO, F_GETFD) >= 0);
}

/* --- inherited sockets ------------------------------------------------------------------------------------------ */

struct promise {
    const char *fds, *pid, *names;
};

/* A process whose descriptors 3 and 5 listen and 4 is a file; prints to its exit code what proc_listen_fds() found. */
static int listen_body(void *arg)
{
    const struct promise *promise = arg;
    int first = listening_socket(), second = listening_socket(), file = open("/dev/null", O_RDONLY);
    int moved[3] = {fcntl(first, F_DUPFD, 20), fcntl(file, F_DUPFD, 20), fcntl(second, F_DUPFD, 20)};
    for (int i = 0; i < 3; i++)
        dup2(moved[i], 3 + i);
    setenv("LISTEN_FDS", promise->fds, 1);
    if (promise->names != NULL)
        setenv("LISTEN_FDNAMES", promise->names, 1);
    char pid[24];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    if (promise->pid != NULL)
        setenv("LISTEN_PID", strcmp(promise->pid, "own") == 0 ? pid : promise->pid, 1);
    struct proc_listen_fd fds[PROC_LISTEN_MAX];
    size_t count = proc_listen_fds(fds);
    if (getenv("LISTEN_FDS") != NULL || getenv("LISTEN_PID") != NULL || getenv("LISTEN_FDNAMES") != NULL)
        return 90;
    for (size_t i = 0; i < count; i++)
        if ((fcntl(fds[i].fd, F_GETFL) & O_NONBLOCK) == 0 || (fcntl(fds[i].fd, F_GETFD) & FD_CLOEXEC) == 0)
            return 91;
    if (count == 2 && (fds[0].fd != 3 || fds[1].fd != 5))
        return 92;
    if (count == 2 && promise->names != NULL &&
        (strcmp(fds[0].name, "a") != 0 || strcmp(fds[1].name, "c") != 0))
        return 93;
    if (count == 2 && promise->names == NULL && strcmp(fds[1].name, "unknown") != 0)
        return 94;
    return (int)count;
}

static void inherited_sockets_are_found(void **state)
{
    (void)state;
    assert_int_equal(in_child(listen_body, &(struct promise){"3", NULL, "a:b:c"}), 2);
    assert_int_equal(in_child(listen_body, &(struct promise){"3", "own", "a:b:c:d"}), 2);
    assert_int_equal(in_child(listen_body, &(struct promise){"3", NULL, NULL}), 2);
    assert_int_equal(in_child(listen_body, &(struct promise){"1", NULL, NULL}), 1);
    assert_int_equal(in_child(listen_body, &(struct promise){"9999", NULL, "a:b:c"}), 0);
    assert_int_equal(in_child(listen_body, &(struct promise){"3", "1", "a:b:c"}), getpid() == 1 ? 2 : 0);
    assert_int_equal(in_child(listen_body, &(struct promise){"0", NULL, NULL}), 0);
    assert_int_equal(in_child(listen_body, &(struct promise){"-3", NULL, NULL}), 0);
    assert_int_equal(in_child(listen_body, &(struct promise){"three", NULL, NULL}), 0);
    assert_int_equal(in_child(listen_body, &(struct promise){"3", "", NULL}), 0);
}

static void no_promise_no_sockets(void **state)
{
    (void)state;
    struct proc_listen_fd fds[PROC_LISTEN_MAX];
    assert_int_equal(proc_listen_fds(fds), 0);
}

/* --- directories ------------------------------------------------------------------------------------------------ */

static void directories_are_made(void **state)
{
    (void)state;
    char base[] = "/tmp/proc_test.XXXXXX", path[PATH_MAX];
    assert_non_null(mkdtemp(base));
    snprintf(path, sizeof path, "%s/a/b/c/", base);
    assert_int_equal(proc_make_dirs(path), ERR_OK);
    assert_int_equal(proc_make_dirs(path), ERR_OK);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0750 & ~022);
    snprintf(path, sizeof path, "%s/a/file", base);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(proc_make_dirs(path), ERR_SYSTEM);
    snprintf(path, sizeof path, "%s/a/file/below", base);
    assert_int_equal(proc_make_dirs(path), ERR_SYSTEM);
    assert_int_equal(proc_make_dirs(""), ERR_SYSTEM);
    snprintf(path, sizeof path, "rm -r %s", base);
    assert_int_equal(system(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boot_prepares_the_process),
        cmocka_unit_test(boot_notices_a_launcher_that_is_gone),
        cmocka_unit_test(an_orphan_asks_for_no_launcher),
        cmocka_unit_test(a_child_ends_with_its_launcher),
        cmocka_unit_test(ready_is_told_once),
        cmocka_unit_test(ready_survives_nonsense),
        cmocka_unit_test(inherited_sockets_are_found),
        cmocka_unit_test(no_promise_no_sockets),
        cmocka_unit_test(directories_are_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
