/* db_fault_test.c — at each operation of the disk and at each allocation in turn something fails, or the power goes: the database is
 * afterwards what it was before the step that failed, or (a cut) what it is after it, never between; and no failure goes unnoticed.
 *
 * As SQLite's own tests do it (https://www.sqlite.org/testing.html, 3.1 to 3.3): the Nth fails, for N from 1 until nothing fails any more. The saga
 * (db_saga.h) is done to its end each time; a step that failed is done again.
 */
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "db_saga.h"
#include "fault_vfs.h"
#include "log.h"
#include "must.h"

#define STEPS_MAX 32
#define TRIES_MAX 8

static uint64_t digests[STEPS_MAX + 1]; /* before step i, in the run in which nothing fails */
static unsigned long allocations, fails_at_allocation;

/* --- memory ------------------------------------------------------------------------------------------------------------------------ */

static sqlite3_mem_methods real_memory;

static bool memory_fails(void)
{
    return ++allocations == fails_at_allocation;
}

static void *sqlite_malloc(int size)
{
    return memory_fails() ? NULL : real_memory.xMalloc(size);
}

static void *sqlite_realloc(void *at, int size)
{
    return memory_fails() ? NULL : real_memory.xRealloc(at, size);
}

/* The linker puts these in place of libc's for all code of Noria's in this program (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);
static bool counts_ours;

void *__wrap_malloc(size_t size)
{
    return counts_ours && memory_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return counts_ours && memory_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *at, size_t size)
{
    return counts_ours && memory_fails() ? NULL : __real_realloc(at, size);
}

static int set_up_all(void **state)
{
    sqlite3_mem_methods failing;
    (void)state;
    log_init("test", LOG_ERROR);
    if (getenv("NORIA_TEST_LOUD") == NULL)
        MUST(freopen("/dev/null", "w", stderr) != NULL); /* each failure is logged */
    MUST(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) == SQLITE_OK);
    failing = real_memory;
    failing.xMalloc = sqlite_malloc;
    failing.xRealloc = sqlite_realloc;
    MUST(sqlite3_config(SQLITE_CONFIG_MALLOC, &failing) == SQLITE_OK);
    MUST(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) == SQLITE_OK); /* each allocation can fail */
    MUST(sqlite3_initialize() == SQLITE_OK);
    fault_vfs_install();
    return 0;
}

/* --- the saga --------------------------------------------------------------------------------------------------------------------- */

static void begin(struct db_stage *stage)
{
    fault_vfs_reset();
    fails_at_allocation = allocations = 0;
    db_stage_open(stage);
    db_close(&stage->db);
    fault_vfs_reset();
    allocations = 0;
}

/* The files in `dir` are as before step `at`, or, if `or_after`, as after it. */
static void expect_picture(const char *dir, unsigned at, bool or_after)
{
    char path[128];
    struct db_stage after = {0};
    snprintf(path, sizeof path, "%s/noria.db", dir);
    strcpy(after.path, path);
    clock_manual_init(&after.clock, NS_PER_S, STAGE_START_MS);
    after.config = (struct db_config){after.path, &after.clock.clock, STAGE_SOURCE, DB_INTEGRITY_FULL};
    if (db_stage_try(&after) != ERR_OK)
        fail_msg("%s", after.why);
    uint64_t digest = saga_digest(path);
    if (digest != digests[at] && (!or_after || digest != digests[at + 1]))
        fail_msg("%s: step %u, %s the next; operation %u", dir, at,
                 digest == digests[at + 1] ? "as after" : "not as after", fault_vfs.fails_at);
    db_close(&after.db);
}

static void remove_dir(const char *dir)
{
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

#define PICTURES access("/dev/shm", W_OK) == 0 ? "/dev/shm/noria-cut.XXXXXX" : "/tmp/noria-cut.XXXXXX"

/* Who dies after a failure that was told leaves nothing of it either. */
static void expect_nothing_of(const struct db_stage *stage, unsigned n)
{
    char dir[40];
    struct fault_vfs before = fault_vfs;
    strcpy(dir, PICTURES);
    assert_non_null(mkdtemp(dir));
    fault_vfs.cut_dir = dir;
    fault_vfs.cut = CUT_KILL;
    fault_vfs_picture();
    fault_vfs.cut_at = 0;
    fault_vfs.fails_for = 0;
    expect_picture(dir, n, db_in_doubt(stage->db));
    fault_vfs = before;
    remove_dir(dir);
}

/* A step, as often as it takes. */
static void step(struct db_stage *stage, unsigned n)
{
    for (unsigned tries = 0;; tries++) {
        counts_ours = fails_at_allocation != 0;
        bool done = saga_step(stage, n);
        counts_ours = false;
        if (done)
            return;
        assert_true(tries < TRIES_MAX);
        if (fault_vfs.failed > 0 && stage->db != NULL)
            expect_nothing_of(stage, n);
    }
}

static void end(struct db_stage *stage, uint64_t expected)
{
    db_close(&stage->db);
    fault_vfs_reset();
    fails_at_allocation = 0;
    assert_true(saga_digest(stage->path) == expected);
    db_stage_again(stage); /* with SQLite's whole check */
    db_stage_close(stage);
}

/* Every Nth by default, which takes a minute; with NORIA_FAULTS_ALL all of them. */
static unsigned stride(unsigned usual)
{
    return getenv("NORIA_FAULTS_ALL") != NULL ? 1 : usual;
}

static unsigned operations_of_a_saga, allocations_of_a_saga;

static void a_saga_without_faults(void **state)
{
    struct db_stage stage;
    (void)state;
    begin(&stage);
    MUST(saga_steps() < STEPS_MAX);
    digests[0] = saga_digest(stage.path);
    for (unsigned n = 0; n < saga_steps(); n++) {
        step(&stage, n);
        digests[n + 1] = saga_digest(stage.path);
    }
    end(&stage, digests[saga_steps()]);
    begin(&stage);
    for (unsigned n = 0; n < saga_steps(); n++)
        step(&stage, n);
    operations_of_a_saga = fault_vfs.operations;
    allocations_of_a_saga = (unsigned)allocations;
    end(&stage, digests[saga_steps()]);
    print_message("%u operations, %u allocations\n", operations_of_a_saga, allocations_of_a_saga);
}

static void one_saga(unsigned fails_at, unsigned fails_for, int code, bool only_changes)
{
    struct db_stage stage;
    begin(&stage);
    fault_vfs.fails_at = fails_at;
    fault_vfs.fails_for = fails_for;
    fault_vfs.fails_with = code;
    fault_vfs.only_changes = only_changes;
    for (unsigned n = 0; n < saga_steps(); n++)
        step(&stage, n);
    assert_true(fault_vfs.failed > 0 || only_changes);
    end(&stage, digests[saga_steps()]);
}

static void the_nth_operation_fails(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= operations_of_a_saga; n += stride(4))
        one_saga(n, 1, SQLITE_IOERR_WRITE, false);
}

static void the_disk_is_full_for_a_while(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= operations_of_a_saga; n += stride(5))
        one_saga(n, 1 + n % 7, SQLITE_FULL, true);
}

static void the_nth_allocation_fails(void **state)
{
    (void)state;
    for (unsigned at = 1; at <= allocations_of_a_saga; at += stride(1 + allocations_of_a_saga / 100)) {
        struct db_stage stage;
        begin(&stage);
        fails_at_allocation = at;
        for (unsigned n = 0; n < saga_steps(); n++)
            step(&stage, n);
        end(&stage, digests[saga_steps()]);
    }
}

/* --- cuts of power ---------------------------------------------------------------------------------------------------------------- */

static void one_cut(unsigned cut_at, enum vfs_cut_e cut)
{
    struct db_stage stage;
    char dir[40];
    unsigned n = 0;
    strcpy(dir, PICTURES);
    assert_non_null(mkdtemp(dir));
    begin(&stage);
    fault_vfs.cut_at = cut_at;
    fault_vfs.cut = cut;
    fault_vfs.cut_dir = dir;
    fault_vfs.random = cut_at;
    for (; n < saga_steps() && !fault_vfs.was_cut; n++)
        step(&stage, n);
    if (fault_vfs.was_cut)
        expect_picture(dir, n - 1, true);
    end(&stage, digests[n]);
    remove_dir(dir);
}

static void the_power_goes_at_the_nth_operation(void **state)
{
    (void)state;
    for (unsigned cut = 0; cut < CUT_COUNT; cut++)
        for (unsigned n = 1 + cut; n <= operations_of_a_saga; n += stride(9))
            one_cut(n, (enum vfs_cut_e)cut);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_saga_without_faults),
        cmocka_unit_test(the_nth_operation_fails),
        cmocka_unit_test(the_disk_is_full_for_a_while),
        cmocka_unit_test(the_nth_allocation_fails),
        cmocka_unit_test(the_power_goes_at_the_nth_operation),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, set_up_all, NULL);
}
