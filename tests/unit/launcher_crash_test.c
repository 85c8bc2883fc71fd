/* launcher_crash_test.c — crash records: what stands in one, how many stay, and a disk that refuses. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "blackbox.h"
#include "launch_crash.h"
#include "log.h"

struct scene {
    char dir[64], shelf_dir[96];
    struct clock_manual clock;
    struct loop *loop;
    struct crash_shelf *shelf;
    int blackbox;
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    snprintf(s->dir, sizeof s->dir, "/tmp/launcher_crash.XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->shelf_dir, sizeof s->shelf_dir, "%s/state/crashes", s->dir);
    clock_manual_init(&s->clock, 1000 * NS_PER_S, 1795000000000);
    s->loop = loop_new(&s->clock.clock);
    s->shelf = crash_shelf_new(s->loop, s->shelf_dir);
    assert_true(s->loop != NULL && s->shelf != NULL);
    s->blackbox = -1;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    char command[160];
    crash_shelf_free(&s->shelf);
    loop_free(&s->loop);
    if (s->blackbox >= 0)
        close(s->blackbox);
    snprintf(command, sizeof command, "rm -rf '%s'", s->dir);
    assert_int_equal(system(command), 0);
    free(s);
    return 0;
}

static struct family_death death_of(const struct scene *s, const char *name, pid_t pid, int status)
{
    return (struct family_death){.member = {.name = name, .stage = FAMILY_WORKER},
                                 .pid = pid,
                                 .status = status,
                                 .uptime_ms = 4711,
                                 .started_wall_ms = s->clock.wall_now_ms - 4711,
                                 .deaths = 3,
                                 .told = "nothing",
                                 .next = "it is started again",
                                 .blackbox = s->blackbox};
}

/* Names, sorted. */
static int list(const struct scene *s, char names[200][256])
{
    struct dirent **entries;
    int count = scandir(s->shelf_dir, &entries, NULL, alphasort), kept = 0;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.' || strlen(entries[i]->d_name) > 2)
            snprintf(names[kept++], 256, "%s", entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return kept;
}

static const char *content(const struct scene *s, const char *name)
{
    static char text[20000];
    char path[400];
    snprintf(path, sizeof path, "%s/%s", s->shelf_dir, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static char names[200][256];

/* The process writes what blackbox_open() makes it write; here a child does. */
static int filled_blackbox(void)
{
    int fd = blackbox_new();
    assert_true(fd >= 0);
    pid_t pid = fork();
    if (pid == 0) {
        char number[16];
        snprintf(number, sizeof number, "%d", dup(fd));
        setenv("NORIA_BLACKBOX_FD", number, 1);
        blackbox_open();
        log_info("first-line", "n=1");
        log_warn("last-line", "n=2");
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return fd;
}

static void a_record_tells_what_happened(void **state)
{
    struct scene *s = *state;
    s->blackbox = filled_blackbox();
    struct family_death death = death_of(s, "worker.0", 4711, SIGSEGV);
    crash_shelf_put(s->shelf, &death);
    close(s->blackbox); /* its process is forgotten before the record is written */
    s->blackbox = -1;
    assert_int_equal(list(s, names), 0);
    loop_poll(s->loop);
    assert_int_equal(list(s, names), 1);
    assert_string_equal(names[0], "20261118T110640.000Z-worker.0-4711.txt");
    const char *text = content(s, names[0]);
    assert_non_null(strstr(text, "process:  worker.0, pid 4711, of Noria " NORIA_VERSION "\n"));
    assert_non_null(strstr(text, "when:     2026-11-18T11:06:40.000Z\n"));
    assert_non_null(strstr(text, "ended:    signal 11 (SIGSEGV)\n"));
    assert_non_null(strstr(text, "uptime:   4711 ms, since 2026-11-18T11:06:35.289Z\n"));
    assert_non_null(strstr(text, "told:     nothing\nnext:     it is started again\ndeaths:   3"));
    const char *first = strstr(text, "first-line n=1\n"), *last = strstr(text, "last-line n=2\n");
    assert_true(first != NULL && last > first);
    assert_int_equal(crash_shelf_written(s->shelf), 1);
    assert_int_equal(crash_shelf_failed(s->shelf), 0);
}

static void a_program_of_the_users_has_no_black_box(void **state)
{
    struct scene *s = *state;
    struct family_death death = death_of(s, "handler.chat.0", 5, 3 << 8);
    crash_shelf_put(s->shelf, &death);
    loop_poll(s->loop);
    assert_int_equal(list(s, names), 1);
    assert_non_null(strstr(content(s, names[0]), "ended:    exit code 3\n"));
    assert_non_null(strstr(content(s, names[0]), "no black box"));
}

static void the_newest_hundred_stay(void **state)
{
    struct scene *s = *state;
    char path[400];
    for (int i = 0; i < CRASH_KEEP + 20; i++) {
        struct family_death death = death_of(s, "broker", 1000 + i, SIGKILL);
        crash_shelf_put(s->shelf, &death);
        clock_manual_advance_ns(&s->clock, NS_PER_S);
        if (i % 7 == 0)
            loop_poll(s->loop);
        if (i == 10) { /* somebody's own file is nobody's to remove */
            snprintf(path, sizeof path, "%s/README.txt", s->shelf_dir);
            fclose(fopen(path, "w"));
        }
    }
    loop_poll(s->loop);
    assert_int_equal(list(s, names), CRASH_KEEP + 1);
    assert_non_null(strstr(names[0], "-broker-1020.txt"));
    assert_non_null(strstr(names[CRASH_KEEP - 1], "-broker-1119.txt"));
    assert_string_equal(names[CRASH_KEEP], "README.txt");
}

static void many_deaths_at_once_are_bounded(void **state)
{
    struct scene *s = *state;
    struct family_death death = death_of(s, "agent.a", 7, SIGKILL);
    for (int i = 0; i < CRASH_WAITING + 5; i++, death.pid++)
        crash_shelf_put(s->shelf, &death);
    loop_poll(s->loop);
    assert_int_equal(crash_shelf_written(s->shelf), CRASH_WAITING);
    assert_int_equal(crash_shelf_failed(s->shelf), 5);
}

static int count_lines(const char *path, const char *text)
{
    char line[2048];
    int count = 0;
    FILE *file = fopen(path, "r");
    while (fgets(line, sizeof line, file) != NULL)
        count += strstr(line, text) != NULL;
    fclose(file);
    return count;
}

static void a_disk_that_refuses_costs_one_line(void **state)
{
    struct scene *s = *state;
    char path[128], log[128];
    snprintf(path, sizeof path, "%s/state", s->dir);
    fclose(fopen(path, "w")); /* no directory can be made there */
    snprintf(log, sizeof log, "%s/log", s->dir);
    int before = dup(STDERR_FILENO);
    assert_non_null(freopen(log, "w", stderr));
    struct family_death death = death_of(s, "worker.0", 7, SIGKILL);
    for (int i = 0; i < 5; i++) {
        crash_shelf_put(s->shelf, &death);
        loop_poll(s->loop);
    }
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    assert_int_equal(count_lines(log, "crash-record-failed"), 1);
    assert_int_equal(crash_shelf_failed(s->shelf), 5);
    unlink(path);
    crash_shelf_put(s->shelf, &death);
    loop_poll(s->loop);
    assert_int_equal(crash_shelf_written(s->shelf), 1);
}

static void what_waits_is_written_at_the_end(void **state)
{
    struct scene *s = *state;
    struct family_death death = death_of(s, "worker.0", 7, SIGKILL);
    crash_shelf_put(s->shelf, &death);
    crash_shelf_free(&s->shelf);
    assert_int_equal(list(s, names), 1);
    s->shelf = crash_shelf_new(s->loop, s->shelf_dir);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_tells_what_happened),
        TEST(a_program_of_the_users_has_no_black_box),
        TEST(the_newest_hundred_stay),
        TEST(many_deaths_at_once_are_bounded),
        TEST(a_disk_that_refuses_costs_one_line),
        TEST(what_waits_is_written_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
