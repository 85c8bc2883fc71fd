/* blackbox_test.c — what is left of a process that died: by SIGKILL, by each fatal signal, by an assertion; and black boxes full of
 * garbage. */
#include "blackbox.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"
#include "must.h"
#include "proc.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

struct death {
    int status;
    struct blackbox_story story;
    char error[65536]; /* what it wrote to standard error */
};

static void become_child(int box, int error_fd)
{
    struct rlimit none = {0, 0};
    char number[16];
    setrlimit(RLIMIT_CORE, &none);
    dup2(error_fd, STDERR_FILENO);
    snprintf(number, sizeof number, "%d", box);
    setenv("NORIA_ORPHAN", "1", 1);
    if (box >= 0)
        setenv("NORIA_BLACKBOX_FD", number, 1);
    if (!proc_boot())
        _exit(99);
    log_init("victim", LOG_INFO);
}

/* Runs `body` in a child that booted, with a black box if `boxed`, until it dies. */
static struct death *die(void (*body)(int), int arg, bool boxed)
{
    static struct death death;
    FILE *error = tmpfile();
    assert_non_null(error);
    int box = boxed ? blackbox_new() : -1;
    assert_true(!boxed || box >= 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        become_child(box, fileno(error));
        body(arg);
        _exit(98);
    }
    assert_int_equal(waitpid(pid, &death.status, 0), pid);
    blackbox_read(box, &death.story);
    rewind(error);
    size_t got = fread(death.error, 1, sizeof death.error - 1, error);
    death.error[got] = '\0';
    fclose(error);
    if (boxed)
        close(box);
    return &death;
}

/* --- log lines ------------------------------------------------------------------------------------------------------- */

static void log_and_kill(int lines)
{
    for (int i = 0; i < lines; i++)
        log_info("step", "number=%d", i);
    raise(SIGKILL);
}

static void sigkill_loses_no_line(void **state)
{
    (void)state;
    struct death *death = die(log_and_kill, 3, true);
    assert_int_equal(WTERMSIG(death->status), SIGKILL);
    assert_string_equal(death->story.where, "");
    assert_string_equal(death->story.lines, death->error);
    assert_non_null(strstr(death->story.lines, " info  victim step number=2\n"));
}

static void only_the_last_whole_lines_are_kept(void **state)
{
    (void)state;
    struct death *death = die(log_and_kill, 1000, true);
    size_t kept = strlen(death->story.lines), said = strlen(death->error);
    assert_true(kept > BLACKBOX_BYTES / 2 && kept < BLACKBOX_BYTES);
    assert_true(said > kept);
    assert_string_equal(death->story.lines, death->error + said - kept);
    assert_int_equal(death->error[said - kept - 1], '\n');
}

static void endless(int fd)
{
    for (int i = 0;; i++) {
        log_info("step", "number=%d text=\"%.*s\"", i, i % 300, "0123456789012345678901234567890123456789");
        (void)!write(fd, "x", 1);
    }
}

/* Killed at any instant: what is kept is whole lines in order, the newest within one of what it had told. */
static void any_instant_leaves_whole_lines(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        int told[2], box = blackbox_new();
        char drop[512];
        assert_int_equal(pipe(told), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(told[0]);
            become_child(box, open("/dev/null", O_WRONLY));
            endless(told[1]);
        }
        close(told[1]);
        for (ssize_t seen = 0, got; seen < 200 + round * 37; seen += got)
            assert_true((got = read(told[0], drop, sizeof drop)) > 0);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(told[0]);

        struct blackbox_story story;
        blackbox_read(box, &story);
        close(box);
        long last = -1, lines = 0;
        for (char *line = strtok(story.lines, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
            char *number = strstr(line, "number=");
            assert_true(line[4] == '-' && number != NULL && line[strlen(line) - 1] == '"');
            long value = strtol(number + 7, NULL, 10);
            assert_true(last < 0 || value == last + 1);
            last = value;
        }
        assert_true(lines > 20 && last >= 199);
    }
}

/* --- fatal signals ---------------------------------------------------------------------------------------------------- */

static void raise_it(int number)
{
    log_info("about", "signal=%d", number);
    raise(number);
}

static void every_fatal_signal_is_told_and_stays_true(void **state)
{
    (void)state;
    static const struct {
        int number;
        const char *name;
    } all[] = {{SIGSEGV, "SIGSEGV"},
               {SIGBUS, "SIGBUS"},
               {SIGILL, "SIGILL"},
               {SIGFPE, "SIGFPE"},
               {SIGABRT, "SIGABRT"}};
    if (SANITIZED)
        skip();
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char want[80];
        struct death *death = die(raise_it, all[i].number, true);
        assert_true(WIFSIGNALED(death->status));
        assert_int_equal(WTERMSIG(death->status), all[i].number);
        snprintf(want, sizeof want, "signal %d (%s) code ", all[i].number, all[i].name);
        assert_memory_equal(death->story.where, want, strlen(want));
        assert_non_null(strstr(death->story.where, "\nblackbox_test+0x"));
        assert_non_null(strstr(death->error, " error victim fatal-signal where=\"signal "));
        assert_non_null(strstr(death->story.lines, " about signal="));
    }
}

__attribute__((noinline)) static void write_there(volatile int *there)
{
    *there = 1;
}

static void touch(int where)
{
    write_there((volatile int *)(uintptr_t)where); // NOLINT
}

static void a_fault_names_address_and_place(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    struct death *death = die(touch, 0x123, true);
    assert_int_equal(WTERMSIG(death->status), SIGSEGV);
    assert_non_null(strstr(death->story.where, " address 0x123\nblackbox_test+0x"));
    death = die(touch, 0x123, false); /* nobody's child */
    assert_int_equal(WTERMSIG(death->status), SIGSEGV);
    assert_string_equal(death->story.where, "");
    assert_non_null(strstr(death->error, " address 0x123 blackbox_test+0x"));
}

__attribute__((noinline)) static int deeper(volatile int *depth)
{
    volatile char page[4096];
    page[0] = (char)*depth;
    *depth += 1;
    return *depth < 0 ? 0 : deeper(depth) + page[0];
}

static void overflow(int unused)
{
    (void)unused;
    volatile int depth = 0;
    (void)deeper(&depth);
}

static void a_full_stack_is_told_too(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    struct death *death = die(overflow, 0, true);
    assert_int_equal(WTERMSIG(death->status), SIGSEGV);
    assert_memory_equal(death->story.where, "signal 11 (SIGSEGV)", 19);
}

static void jump_nowhere(int unused)
{
    (void)unused;
    void (*volatile nowhere)(void) = NULL;
    nowhere();
}

static void json_stays_json(int unused)
{
    (void)unused;
    log_format(LOG_JSON);
    raise(SIGILL);
}

static void a_wild_jump_is_told_in_json_too(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    struct death *death = die(jump_nowhere, 0, true);
    assert_int_equal(WTERMSIG(death->status), SIGSEGV);
    assert_non_null(strstr(death->story.where, " address 0x0\n0x0\n"));
    death = die(json_stays_json, 0, false);
    assert_non_null(strstr(death->error, "\"event\":\"fatal-signal\",\"where\":\"signal 4 (SIGILL) code"));
    assert_string_equal(death->error + strlen(death->error) - 3, "\"}\n");
}

static void fail_an_assertion(int two)
{
    MUST(two + two == 5);
}

static void an_assertion_stands_in_the_box(void **state)
{
    (void)state;
    struct death *death = die(fail_an_assertion, 2, true);
    if (!SANITIZED)
        assert_int_equal(WTERMSIG(death->status), SIGABRT);
    assert_non_null(strstr(death->story.lines, " error victim assertion file="));
    assert_non_null(strstr(death->story.lines, " function=fail_an_assertion failed=\"two + two == 5\"\n"));
}

/* --- garbage --------------------------------------------------------------------------------------------------------- */

static void assert_bearable(int box)
{
    struct blackbox_story story;
    blackbox_read(box, &story);
    assert_true(strlen(story.where) < sizeof story.where && strlen(story.lines) < sizeof story.lines);
    for (const unsigned char *p = (const void *)story.lines; *p != '\0'; p++)
        assert_true(*p == '\n' || (*p >= 0x20 && *p != 0x7f));
    for (const unsigned char *p = (const void *)story.where; *p != '\0'; p++)
        assert_true(*p == '\n' || (*p >= 0x20 && *p != 0x7f));
}

static void any_content_is_bearable(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252ULL;
    int box = blackbox_new();
    unsigned char bytes[2048 + BLACKBOX_BYTES];
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            bytes[i] = (unsigned char)random;
        }
        uint64_t begun = random >> (round % 60), done = begun - (uint64_t)(round % 9000);
        if (round % 3 != 0) {
            memcpy(bytes + 2048, &begun, sizeof begun);
            memcpy(bytes + 2056, &done, sizeof done);
        }
        assert_int_equal(pwrite(box, bytes, sizeof bytes, 0), sizeof bytes);
        assert_bearable(box);
    }
    assert_int_equal(ftruncate(box, 10), -1); /* sealed: the victim's mapping cannot be cut */
    close(box);
    assert_bearable(-1);
    int empty = open("/dev/null", O_RDONLY);
    assert_bearable(empty);
    close(empty);
}

static void say_hello(int unused)
{
    (void)unused;
    log_info("hello", "it runs");
    raise(SIGKILL);
}

static void a_descriptor_that_is_none_is_refused(void **state)
{
    (void)state;
    setenv("NORIA_BLACKBOX_FD", "987", 1);
    struct death *death = die(say_hello, 0, false);
    assert_non_null(strstr(death->error, "hello it runs"));
    char number[16];
    FILE *small = tmpfile();
    snprintf(number, sizeof number, "%d", fileno(small));
    setenv("NORIA_BLACKBOX_FD", number, 1);
    death = die(say_hello, 0, false);
    assert_non_null(strstr(death->error, "blackbox descriptor="));
    assert_non_null(strstr(death->error, "hello it runs"));
    unsetenv("NORIA_BLACKBOX_FD");
    fclose(small);
}

static void tie_and_hit(int unused)
{
    struct sigaction action;
    (void)unused;
    for (int number = 1; number < 32; number++)
        if (number != SIGKILL && number != SIGSTOP)
            signal(number, SIG_DFL);
    if (!proc_tie() || sigaction(SIGSEGV, NULL, &action) != 0 || action.sa_handler != SIG_DFL)
        _exit(97);
    _exit(0);
}

static void a_tie_alone_installs_nothing(void **state)
{
    (void)state; /* what libnoria-handler calls in a user's program */
    struct death *death = die(tie_and_hit, 0, false);
    assert_true(WIFEXITED(death->status));
    assert_int_equal(WEXITSTATUS(death->status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigkill_loses_no_line),
        cmocka_unit_test(only_the_last_whole_lines_are_kept),
        cmocka_unit_test(any_instant_leaves_whole_lines),
        cmocka_unit_test(every_fatal_signal_is_told_and_stays_true),
        cmocka_unit_test(a_fault_names_address_and_place),
        cmocka_unit_test(a_full_stack_is_told_too),
        cmocka_unit_test(a_wild_jump_is_told_in_json_too),
        cmocka_unit_test(an_assertion_stands_in_the_box),
        cmocka_unit_test(a_tie_alone_installs_nothing),
        cmocka_unit_test(any_content_is_bearable),
        cmocka_unit_test(a_descriptor_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
