/* launcher_rundir_test.c — the runtime directory: made and removed, one launcher at a time, taken over from a launcher that
 * was killed only when its children are gone. */
#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "launch_child.h"
#include "must.h"

static char base[64];

static int setup(void **state)
{
    (void)state;
    snprintf(base, sizeof base, "/tmp/rundir_test.XXXXXX");
    return mkdtemp(base) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(base); /* empty, or a test left something */
}

static const char *below(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", base, name);
    return path;
}

static bool exists(const char *name)
{
    return access(below(name), F_OK) == 0;
}

static void make_file(const char *name)
{
    int fd = open(below(name), O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void what_was_made_is_removed(void **state)
{
    (void)state;
    struct rundir *dir;
    assert_int_equal(rundir_open(below("p/run"), 0, &dir), ERR_OK);
    struct stat info;
    static const char *const directories[] = {"p/run/bus", "p/run/shm", "p/run/handlers"};
    for (size_t i = 0; i < ARRAY_LEN(directories); i++) {
        assert_int_equal(stat(below(directories[i]), &info), 0);
        assert_int_equal(info.st_mode & 0777, 0750 & ~022);
    }
    make_file("p/run/shm/ring");
    make_file("p/run/handlers/chat.0");
    make_file("p/run/bus/broker.sock");
    make_file("p/run/sim.sock");
    make_file("p/run/sim.log");
    rundir_close(&dir);
    assert_null(dir);
    assert_false(exists("p/run"));
    assert_int_equal(rmdir(below("p")), 0);
}

static void what_was_there_stays(void **state)
{
    (void)state;
    struct rundir *dir;
    assert_int_equal(mkdir(below("run"), 0750), 0);
    make_file("run/somebody-elses");
    assert_int_equal(rundir_open(below("run"), 0, &dir), ERR_OK);
    make_file("run/shm/ring");
    make_file("run/sim.log");
    rundir_close(&dir);
    assert_false(exists("run/shm"));
    assert_false(exists("run/bus"));
    assert_false(exists("run/handlers"));
    assert_false(exists("run/launcher.lock"));
    assert_true(exists("run/sim.log"));
    assert_int_equal(unlink(below("run/sim.log")), 0);
    assert_int_equal(unlink(below("run/somebody-elses")), 0);
    assert_int_equal(rmdir(below("run")), 0);
}

static void unknown_files_are_never_removed(void **state)
{
    (void)state;
    struct rundir *dir;
    assert_int_equal(rundir_open(below("run"), 0, &dir), ERR_OK);
    make_file("run/notes.txt");
    rundir_close(&dir);
    assert_int_equal(unlink(below("run/notes.txt")), 0);
    assert_int_equal(rmdir(below("run")), 0);
}

static void a_second_launcher_is_refused(void **state)
{
    (void)state;
    struct rundir *first, *second;
    assert_int_equal(rundir_open(below("run"), 0, &first), ERR_OK);
    assert_int_equal(rundir_open(below("run"), 0, &second), ERR_BUSY);
    assert_null(second);
    rundir_close(&first);
    assert_int_equal(rundir_open(below("run"), 0, &first), ERR_OK);
    rundir_close(&first);
}

static void unsafe_places_are_refused(void **state)
{
    (void)state;
    struct rundir *dir;
    assert_int_equal(mkdir(below("open"), 0750), 0);
    assert_int_equal(chmod(below("open"), 0777), 0);
    assert_int_equal(rundir_open(below("open"), 0, &dir), ERR_SYSTEM);
    assert_int_equal(rmdir(below("open")), 0);
    make_file("file");
    assert_int_equal(rundir_open(below("file"), 0, &dir), ERR_SYSTEM);
    assert_int_equal(rundir_open(below("file/run"), 0, &dir), ERR_SYSTEM);
    assert_int_equal(unlink(below("file")), 0);
    if (geteuid() == 0) {
        assert_int_equal(mkdir(below("theirs"), 0750), 0);
        assert_int_equal(chown(below("theirs"), 65534, 65534), 0);
        assert_int_equal(rundir_open(below("theirs"), 0, &dir), ERR_SYSTEM);
        assert_int_equal(rmdir(below("theirs")), 0);
    }
}

/* The launcher, a child of the test: takes the directory, starts a process that ignores SIGTERM and ends when `let_go` is
 * closed, says so, and waits to be killed. */
static void be_launcher(int let_go, int say)
{
    struct rundir *dir;
    pid_t pid;
    int ready_fd;
    char script[128];
    snprintf(script, sizeof script, "trap '' TERM; echo READY >&$NORIA_READY_FD; read x <&%d", let_go);
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    if (rundir_open(below("run"), 0, &dir) != ERR_OK ||
        child_start(&(struct child){.program = argv[0], .argv = argv}, rundir_family_fd(dir), &pid,
                    &ready_fd) != ERR_OK)
        _exit(1);
    char text[8] = "";
    while (read(ready_fd, text, 6) < 0 && errno == EAGAIN)
        continue;
    make_file("run/shm/worker.0");
    if (write(say, text, 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static void a_killed_launchers_children_are_waited_for(void **state)
{
    (void)state;
    int let_go[2], say[2];
    char byte;
    assert_int_equal(pipe(let_go), 0);
    assert_int_equal(pipe(say), 0);
    int kept = 9; /* dash reads from single-digit descriptors only */
    assert_int_equal(dup2(let_go[0], kept), kept);
    pid_t launcher = fork();
    if (launcher == 0) {
        close(let_go[1]);
        be_launcher(kept, say[1]);
    }
    close(let_go[0]);
    close(kept);
    assert_int_equal(read(say[0], &byte, 1), 1);
    assert_int_equal(byte, 'R');
    struct rundir *dir;
    assert_int_equal(rundir_open(below("run"), 0, &dir), ERR_BUSY); /* the launcher lives */
    kill(launcher, SIGKILL);
    assert_int_equal(waitpid(launcher, NULL, 0), launcher);
    assert_int_equal(rundir_open(below("run"), 40, &dir), ERR_BUSY); /* its child lives */
    assert_true(exists("run/shm/worker.0"));
    close(let_go[1]);
    assert_int_equal(rundir_open(below("run"), 30000, &dir), ERR_OK);
    assert_false(exists("run/shm/worker.0"));
    rundir_close(&dir);
    assert_false(exists("run")); /* it remembers who made the directory */
    close(say[0]);
    close(say[1]);
}

#define PLAY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(what_was_made_is_removed),        PLAY(what_was_there_stays),
        PLAY(unknown_files_are_never_removed), PLAY(a_second_launcher_is_refused),
        PLAY(unsafe_places_are_refused),       PLAY(a_killed_launchers_children_are_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
