/* conf_copy: a configuration in force, kept as bytes. What is read from a copy is what was written, whatever stands in the file by then, whoever is
 * killed between two steps, and however often it is replaced meanwhile. */
#include "conf_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], file[128], machines[128], current[128], next[128];

/* While one of this size is read, the file is written to. */
static const char *changed_while_read;
ssize_t __real_read(int fd, void *buf, size_t count);
ssize_t __wrap_read(int fd, void *buf, size_t count);

static void write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

ssize_t __wrap_read(int fd, void *buf, size_t count)
{
    ssize_t n = __real_read(fd, buf, count);
    if (changed_while_read != NULL && n > 0) {
        write_file(file, changed_while_read);
        changed_while_read = NULL;
    }
    return n;
}

static struct conf *load(void)
{
    struct conf *conf;
    conf_told[0] = '\0';
    if (conf_load(file, conf_collect, NULL, &conf) != ERR_OK)
        fail_msg("refused: %s", conf_told);
    return conf;
}

static void make(const char *path, const char *text)
{
    unsetenv(CONF_COPY_VARIABLE);
    write_file(file, text);
    struct conf *conf = load();
    assert_int_equal(conf_copy_write(conf, path), ERR_OK);
    conf_free(&conf);
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/conf_copy_test.XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/noria.yaml", dir);
    snprintf(machines, sizeof machines, "%s/plcs.json", dir);
    snprintf(current, sizeof current, "%s/conf/current", dir);
    snprintf(next, sizeof next, "%s/conf/next", dir);
    write_file(machines, "{\"plc_machines\": [{\"id\": \"seed\", \"ip\": \"10.0.0.1\"}]}");
    return 0;
}

static int teardown(void **state)
{
    char path[160];
    (void)state;
    unsetenv(CONF_COPY_VARIABLE);
    conf_copy_remove(current);
    conf_copy_remove(next);
    snprintf(path, sizeof path, "%s/conf", dir);
    rmdir(path);
    unlink(file);
    unlink(machines);
    return rmdir(dir); /* nothing else was left */
}

static void what_is_in_force_outlives_its_file(void **state)
{
    (void)state;
    make(current, "machines: [{id: a, ip: 10.0.0.9}]\nmachines_from: plcs.json\n");
    write_file(file, "this: [is broken");
    write_file(machines, "nor is this JSON");
    setenv(CONF_COPY_VARIABLE, current, 1);
    struct conf *conf = load();
    assert_int_equal(conf->machine_count, 2);
    assert_string_equal(conf->machines[1].info.id, "seed");
    assert_string_equal(conf->file, file);
    assert_int_equal(conf->directory[strlen(conf->directory) - 1], '/');
    assert_memory_equal(conf->directory, dir, strlen(dir));
    conf_free(&conf);
}

static void problems_of_a_copy_have_the_names_of_the_files(void **state)
{
    (void)state;
    char expected[300], path[160];
    make(current, "ring: {size_mib: 64}\n");
    snprintf(path, sizeof path, "%s/config", current);
    write_file(path, "ring: {size_mib: 65}\n");
    setenv(CONF_COPY_VARIABLE, current, 1);
    struct conf *conf;
    conf_told[0] = '\0';
    assert_int_equal(conf_load(file, conf_collect, NULL, &conf), ERR_CONFIG);
    snprintf(expected, sizeof expected, "%s:1: ring.size_mib: 65 is not a power of two (1 to 4096 MiB)\n",
             file);
    assert_string_equal(conf_told, expected);
}

static void a_missing_copy_is_told(void **state)
{
    (void)state;
    struct conf *conf;
    write_file(file, "{}");
    setenv(CONF_COPY_VARIABLE, current, 1);
    conf_told[0] = '\0';
    assert_int_equal(conf_load(file, conf_collect, NULL, &conf), ERR_CONFIG);
    assert_non_null(strstr(conf_told, "its copy "));
    assert_non_null(strstr(conf_told, "No such file"));
}

static void the_next_one_is_read_beside_it(void **state)
{
    (void)state;
    struct conf *conf;
    make(current, "ring: {size_mib: 1}\n");
    make(next, "ring: {size_mib: 2}\n");
    write_file(file, "ring: {size_mib: 4}\n");
    assert_int_equal(conf_load_next(file, conf_collect, NULL, &conf), ERR_OK);
    assert_int_equal(conf->ring_mib, 4); /* without the variable: the file */
    conf_free(&conf);
    setenv(CONF_COPY_VARIABLE, current, 1);
    assert_int_equal(conf_load_next(file, conf_collect, NULL, &conf), ERR_OK);
    assert_int_equal(conf->ring_mib, 2);
    conf_free(&conf);
    assert_int_equal(conf_copy_promote(next, current), ERR_OK);
    conf = load();
    assert_int_equal(conf->ring_mib, 2);
    conf_free(&conf);
    assert_int_not_equal(access(next, F_OK), 0);
}

static void a_digest_is_of_all_bytes_and_of_nothing_else(void **state)
{
    (void)state;
    struct conf *a, *b;
    write_file(file, "machines_from: plcs.json\n");
    a = load();
    b = load();
    assert_true(a->digest == b->digest && a->digest != 0);
    conf_free(&b);
    write_file(machines, "{\"plc_machines\": [{\"id\": \"seed\", \"ip\": \"10.0.0.2\"}]}");
    b = load();
    assert_false(a->digest == b->digest);
    conf_free(&b);
    write_file(file, "machines_from: plcs.json \n");
    write_file(machines, "{\"plc_machines\": [{\"id\": \"seed\", \"ip\": \"10.0.0.1\"}]}");
    b = load();
    assert_false(a->digest == b->digest);
    conf_free(&a);
    assert_int_equal(conf_copy_write(b, current), ERR_OK);
    setenv(CONF_COPY_VARIABLE, current, 1);
    a = load();
    assert_true(a->digest == b->digest);
    conf_free(&a);
    conf_free(&b);
}

static void a_file_that_changes_while_it_is_read_is_refused(void **state)
{
    (void)state;
    struct conf *conf;
    write_file(file, "machines: [{id: a, ip: 10.0.0.1}]\n");
    struct timespec long_ago[2] = {{1, 0}, {1, 0}};
    assert_int_equal(utimensat(AT_FDCWD, file, long_ago, 0), 0);
    conf_told[0] = '\0';
    changed_while_read = "machines: [{id: b, ip: 10.0.0.1}]\n"; /* as long as the other */
    assert_int_equal(conf_load(file, conf_collect, NULL, &conf), ERR_CONFIG);
    assert_non_null(strstr(conf_told, "is being written: it changed while it was read"));
    conf = load();
    assert_string_equal(conf->machines[0].info.id, "b");
    conf_free(&conf);
}

/* --- kills ---------------------------------------------------------------------------------------------------------- */

#ifdef NORIA_FAULT_POINTS
/* In a program of its own: the point is read once in a process's life. */
static int write_as_told(char **argv)
{
    struct conf *conf;
    unsetenv(CONF_COPY_VARIABLE);
    if (conf_load(argv[1], conf_collect, NULL, &conf) != ERR_OK)
        return 1;
    (void)conf_copy_write(conf, argv[2]);
    conf_free(&conf);
    return 7;
}

static void write_and_die(const char *point)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("NORIA_FAULT", point, 1);
        execl("/proc/self/exe", "conf_copy_test", file, current, (char *)NULL);
        _exit(8);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void a_kill_at_any_step_leaves_the_old_one_or_the_new_one(void **state)
{
    (void)state;
    static const struct {
        const char *point;
        unsigned ring_mib;
    } points[] = {{"conf.copy.made", 1}, {"conf.copy.written", 1}, {"conf.copy.exchanged", 2}};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        make(current, "ring: {size_mib: 1}\n");
        write_file(file, "ring: {size_mib: 2}\n");
        struct conf *conf = load();
        write_and_die(points[i].point);
        setenv(CONF_COPY_VARIABLE, current, 1);
        struct conf *after = load();
        assert_int_equal(after->ring_mib, points[i].ring_mib);
        conf_free(&after);
        assert_int_equal(conf_copy_write(conf, current), ERR_OK); /* over what the kill left */
        after = load();
        assert_int_equal(after->ring_mib, 2);
        conf_free(&after);
        conf_free(&conf);
    }
}
#endif

static void who_reads_while_it_is_replaced_finds_one_or_the_other(void **state)
{
    (void)state;
    write_file(file, "machines: [{id: a, ip: 10.0.0.9}]\n");
    struct conf *plain = load();
    write_file(file, "machines_from: plcs.json\n");
    struct conf *seeded = load();
    assert_int_equal(conf_copy_write(plain, current), ERR_OK);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
        for (unsigned i = 0;; i++)
            if (conf_copy_write(i % 2 == 0 ? seeded : plain, current) != ERR_OK)
                _exit(1);
    setenv(CONF_COPY_VARIABLE, current, 1);
    unsigned plains = 0, seededs = 0;
    for (unsigned i = 0; i < 200000 && (plains < 100 || seededs < 100); i++) {
        struct conf *conf = load();
        plains += conf->digest == plain->digest;
        seededs += conf->digest == seeded->digest;
        assert_int_equal(plains + seededs, i + 1);
        conf_free(&conf);
    }
    assert_true(plains >= 100 && seededs >= 100);
    assert_int_equal(kill(pid, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    conf_free(&plain);
    conf_free(&seeded);
}

static void nobody_else_reads_it(void **state)
{
    (void)state;
    struct stat info;
    char path[160];
    mode_t mask = umask(0027);
    make(current, "{}\n");
    umask(mask);
    snprintf(path, sizeof path, "%s/config", current);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    assert_int_equal(stat(current, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0750);
}

static void a_disk_that_refuses_is_an_error(void **state)
{
    (void)state;
    write_file(file, "{}\n");
    struct conf *conf = load();
    assert_int_equal(conf_copy_write(conf, "/proc/none/current"), ERR_SYSTEM);
    conf_free(&conf);
}

int main(int argc, char **argv)
{
#ifdef NORIA_FAULT_POINTS
    if (argc == 3)
        return write_as_told(argv);
#endif
    (void)argc;
    (void)argv;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_in_force_outlives_its_file, setup, teardown),
        cmocka_unit_test_setup_teardown(problems_of_a_copy_have_the_names_of_the_files, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_copy_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_one_is_read_beside_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_digest_is_of_all_bytes_and_of_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_changes_while_it_is_read_is_refused, setup, teardown),
#ifdef NORIA_FAULT_POINTS
        cmocka_unit_test_setup_teardown(a_kill_at_any_step_leaves_the_old_one_or_the_new_one, setup,
                                        teardown),
#endif
        cmocka_unit_test_setup_teardown(who_reads_while_it_is_replaced_finds_one_or_the_other, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nobody_else_reads_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_refuses_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
