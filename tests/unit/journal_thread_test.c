/* The journal with its thread: on a real directory, and on a disk in memory that hangs, fails and fills up. The loop's clock
 * stands still unless a test moves it; waiting is for what the journal says, with a deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "journal.h"
#include "memory_disk.h"

#define DEADLINE_NS  (20 * NS_PER_S)
#define REPLAYED_MAX 4000

static struct {
    struct clock_manual clock;
    struct loop *loop;
    struct memory_disk disk;
    struct journal_disk ops;
    struct journal *journal;
    const char *plc;
    char directory[64];
    uint64_t settled, failed; /* the last numbers that were named */
    unsigned ups, downs, replays;
    bool is_up;
    char why[400];
    struct journal_record replayed[REPLAYED_MAX];
} play;

static void on_settled(void *arg, uint64_t upto, bool ok)
{
    (void)arg;
    assert_true(upto > play.settled && upto > play.failed);
    if (ok)
        play.settled = upto;
    else
        play.failed = upto;
}

static void on_replay(void *arg, const struct journal_record *record)
{
    (void)arg;
    assert_int_equal(play.ups, 0);
    assert_true(play.replays < REPLAYED_MAX);
    play.replayed[play.replays++] = *record;
}

static void on_state(void *arg, bool up, const char *why)
{
    (void)arg;
    play.ups += up;
    play.downs += !up;
    play.is_up = up;
    snprintf(play.why, sizeof play.why, "%s", why);
}

static const struct journal_events events = {on_settled, on_replay, on_state};

static bool passes(uint64_t deadline)
{
    loop_poll(play.loop);
    sched_yield();
    return clock_mono_ns(clock_system()) < deadline;
}

#define WAIT(condition)                                                                                      \
    do {                                                                                                     \
        uint64_t deadline = clock_mono_ns(clock_system()) + DEADLINE_NS;                                     \
        while (!(condition))                                                                                 \
            if (!passes(deadline))                                                                           \
                fail_msg("never: %s", #condition);                                                           \
    } while (0)

static void starts(const struct journal_disk *disk, const char *directory)
{
    struct journal_config config = {
        .loop = play.loop,
        .directory = directory,
        .plc = play.plc,
        .incarnation = 42,
        .keep_bytes = 16 << 20,
        .keep_ms = 400ULL * 86400000,
        .disk = disk,
        .events = &events,
    };
    play.settled = play.failed = 0;
    play.ups = play.downs = play.replays = 0;
    play.is_up = false;
    assert_int_equal(journal_new(&config, &play.journal), ERR_OK);
}

static void starts_in_memory(void)
{
    starts(&play.ops, "/j");
    WAIT(play.is_up);
}

static int set_up(void **state)
{
    (void)state;
    memset(&play, 0, sizeof play);
    clock_manual_init(&play.clock, 1000 * NS_PER_S, 1700000000000);
    play.loop = loop_new(&play.clock.clock);
    memory_disk_init(&play.disk, 1);
    play.ops = memory_disk_ops(&play.disk);
    strcpy(play.directory, "/tmp/noria_journal.XXXXXX");
    return mkdtemp(play.directory) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    journal_free(&play.journal);
    loop_free(&play.loop);
    memory_disk_fini(&play.disk);
    snprintf(command, sizeof command, "rm -rf %s", play.directory);
    return system(command);
}

static struct journal_record record_of(enum journal_event_e event, enum journal_chain_e chain,
                                       uint64_t serial)
{
    return (struct journal_record){
        .event = event,
        .chain = chain,
        .worker = 0xfedcba9876543210,
        .session = 1,
        .serial = serial,
        .command = COMMAND_MOVE,
        .argument = 7,
        .position = -1,
        .arrived_mono_ns = clock_mono_ns(&play.clock.clock),
        .sent = event == JOURNAL_RESULT && chain == JOURNAL_COMMANDS,
    };
}

static uint64_t append(enum journal_event_e event, enum journal_chain_e chain, uint64_t serial,
                       enum journal_safety_e safety)
{
    struct journal_record record = record_of(event, chain, serial);
    return journal_append(play.journal, &record, safety);
}

static unsigned disk_count(const unsigned *which)
{
    pthread_mutex_lock(&play.disk.mutex);
    unsigned count = *which;
    pthread_mutex_unlock(&play.disk.mutex);
    return count;
}

static unsigned descriptors(void)
{
    unsigned count = 0;
    DIR *open_ones = opendir("/proc/self/fd");
    while (readdir(open_ones) != NULL)
        count++;
    closedir(open_ones);
    return count;
}

/* --- lives ------------------------------------------------------------------------------------------------------- */

static void what_was_noted_is_replayed(void **state)
{
    (void)state;
    unsigned before = descriptors();
    char path[128];
    snprintf(path, sizeof path, "%s/a/b", play.directory);
    play.plc = "10.0.0.7:2000";
    starts(NULL, path);
    WAIT(play.is_up);
    assert_int_equal(play.replays, 0);
    assert_int_equal(journal_since_ns(play.journal), 1000 * NS_PER_S);
    assert_int_equal(append(JOURNAL_INTENT, JOURNAL_COMMANDS, 1, JOURNAL_DURABLE), 1);
    assert_int_equal(append(JOURNAL_RESULT, JOURNAL_REFUSALS, 2, JOURNAL_WRITTEN), 2);
    assert_int_equal(append(JOURNAL_RESULT, JOURNAL_COMMANDS, 1, JOURNAL_DURABLE), 3);
    assert_int_equal(append(JOURNAL_LATCHED, JOURNAL_COMMANDS, 0, JOURNAL_WRITTEN), 4);
    struct journal_record told = {.event = JOURNAL_TOLD, .chain = JOURNAL_COMMANDS, .upto = 3};
    assert_int_equal(journal_append(play.journal, &told, JOURNAL_WRITTEN), 5);
    WAIT(play.settled == 5);
    assert_int_equal(journal_counts(play.journal)->records, 5);
    journal_free(&play.journal);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0750 & ~umask(umask(0)));
    assert_int_equal(descriptors(), before);

    clock_manual_advance_ns(&play.clock, 60 * NS_PER_S);
    play.plc = "10.0.0.7:2001";
    starts(NULL, path);
    WAIT(play.is_up);
    static const struct {
        enum journal_event_e event;
        enum journal_chain_e chain;
        uint64_t n;
    } expected[] = {
        {JOURNAL_SEGMENT, JOURNAL_COMMANDS, 0}, {JOURNAL_START, JOURNAL_COMMANDS, 1},
        {JOURNAL_INTENT, JOURNAL_COMMANDS, 2},  {JOURNAL_RESULT, JOURNAL_COMMANDS, 3},
        {JOURNAL_LATCHED, JOURNAL_COMMANDS, 4}, {JOURNAL_TOLD, JOURNAL_COMMANDS, 5},
        {JOURNAL_SEGMENT, JOURNAL_REFUSALS, 0}, {JOURNAL_START, JOURNAL_REFUSALS, 1},
        {JOURNAL_RESULT, JOURNAL_REFUSALS, 2},
    };
    assert_int_equal(play.replays, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < play.replays; i++) {
        assert_int_equal(play.replayed[i].event, expected[i].event);
        assert_int_equal(play.replayed[i].chain, expected[i].chain);
        assert_int_equal(play.replayed[i].n, expected[i].n);
        assert_int_equal(play.replayed[i].mono_ns, 1000 * NS_PER_S);
        assert_true(play.replayed[i].elsewhere);
        bool names = expected[i].event == JOURNAL_SEGMENT || expected[i].event == JOURNAL_START;
        assert_string_equal(play.replayed[i].plc, names ? "10.0.0.7:2000" : "");
    }
    assert_int_equal(play.replayed[2].worker, 0xfedcba9876543210);
    assert_int_equal(play.replayed[5].upto, 3);
    assert_int_equal(journal_since_ns(play.journal), 1000 * NS_PER_S);
    journal_free(&play.journal);
    assert_int_equal(descriptors(), before);
}

static void two_agents_do_not_share_it(void **state)
{
    (void)state;
    starts(NULL, play.directory);
    WAIT(play.is_up);
    struct journal *first = play.journal;
    starts(NULL, play.directory);
    WAIT(play.downs == 1);
    assert_non_null(strstr(play.why, "another agent of this machine holds it"));
    assert_int_equal(append(JOURNAL_INTENT, JOURNAL_COMMANDS, 1, JOURNAL_DURABLE), 0);
    assert_int_equal(journal_room(play.journal), 0);
    journal_free(&first);
    clock_manual_advance_ns(&play.clock, JOURNAL_RETRY_NS);
    WAIT(play.is_up);
    assert_true(append(JOURNAL_INTENT, JOURNAL_COMMANDS, 1, JOURNAL_DURABLE) > 0);
}

static void a_directory_that_cannot_be(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/file", play.directory);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    unsigned before = descriptors();
    strcat(path, "/agents/m");
    starts(NULL, path);
    WAIT(play.downs == 1);
    assert_non_null(strstr(play.why, "/file/agents/m: cannot be made, opened or locked: Not a directory"));
    for (unsigned i = 2; i < 5; i++) {
        clock_manual_advance_ns(&play.clock, JOURNAL_RETRY_NS);
        WAIT(journal_counts(play.journal)->failures == i);
    }
    assert_int_equal(play.downs, 1); /* nothing new to say */
    assert_int_equal(descriptors(), before + 1);
    snprintf(path, sizeof path, "%s/file", play.directory);
    unlink(path);
    clock_manual_advance_ns(&play.clock, JOURNAL_RETRY_NS);
    WAIT(play.is_up);
}

/* --- settled ----------------------------------------------------------------------------------------------------- */

static void written_is_synced_a_little_later(void **state)
{
    (void)state;
    starts_in_memory();
    unsigned syncs = disk_count(&play.disk.syncs);
    uint64_t last = append(JOURNAL_RESULT, JOURNAL_REFUSALS, 1, JOURNAL_WRITTEN);
    WAIT(play.settled == last);
    assert_int_equal(disk_count(&play.disk.syncs), syncs);
    clock_manual_advance_ns(&play.clock, 799 * NS_PER_MS);
    last = append(JOURNAL_RESULT, JOURNAL_REFUSALS, 2, JOURNAL_WRITTEN);
    WAIT(play.settled == last);
    assert_int_equal(disk_count(&play.disk.syncs), syncs);
    clock_manual_advance_ns(&play.clock, NS_PER_MS);
    WAIT(disk_count(&play.disk.syncs) == syncs + 1);
}

static void durable_waits_for_the_disk_and_the_loop_does_not(void **state)
{
    (void)state;
    starts_in_memory();
    memory_disk_set(&play.disk, &play.disk.hangs, true);
    uint64_t first = append(JOURNAL_INTENT, JOURNAL_COMMANDS, 1, JOURNAL_DURABLE);
    WAIT(disk_count(&play.disk.waiting) == 1);
    assert_int_equal(play.settled, 0);
    assert_int_equal(journal_room(play.journal), JOURNAL_ROOM - 1);
    uint64_t last = first;
    while (journal_room(play.journal) > 0)
        last = append(JOURNAL_RESULT, last % 2 ? JOURNAL_REFUSALS : JOURNAL_COMMANDS, last, JOURNAL_DURABLE);
    assert_int_equal(last, JOURNAL_ROOM);
    assert_int_equal(append(JOURNAL_RESULT, JOURNAL_COMMANDS, 9, JOURNAL_WRITTEN), 0);
    unsigned syncs = disk_count(&play.disk.syncs);
    memory_disk_set(&play.disk, &play.disk.hangs, false);
    WAIT(play.settled == last);
    assert_true(disk_count(&play.disk.syncs) - syncs < 40); /* group commit: 511 records */
    assert_int_equal(journal_room(play.journal), JOURNAL_ROOM);
}

static void a_failing_disk_is_down_and_comes_back(void **state)
{
    (void)state;
    starts_in_memory();
    uint64_t kept = append(JOURNAL_INTENT, JOURNAL_COMMANDS, 1, JOURNAL_DURABLE);
    WAIT(play.settled == kept);
    play.disk.fails_with = EIO;
    memory_disk_set(&play.disk, &play.disk.fails_writing, true);
    append(JOURNAL_RESULT, JOURNAL_COMMANDS, 1, JOURNAL_DURABLE);
    uint64_t lost = append(JOURNAL_RESULT, JOURNAL_REFUSALS, 2, JOURNAL_WRITTEN);
    WAIT(play.downs == 1);
    assert_int_equal(play.failed, lost);
    assert_int_equal(play.settled, kept);
    assert_string_equal(play.why, "/j: Input/output error: cannot write commands-00000001.jsonl");
    assert_int_equal(journal_room(play.journal), 0);
    assert_int_equal(append(JOURNAL_INTENT, JOURNAL_COMMANDS, 3, JOURNAL_DURABLE), 0);
    clock_manual_advance_ns(&play.clock, JOURNAL_RETRY_NS);
    WAIT(journal_counts(play.journal)->failures == 2);
    assert_false(play.is_up);
    memory_disk_set(&play.disk, &play.disk.fails_writing, false);
    clock_manual_advance_ns(&play.clock, JOURNAL_RETRY_NS);
    WAIT(play.is_up);
    assert_int_equal(play.replays, 0); /* only before the first time */
    uint64_t again = append(JOURNAL_RESULT, JOURNAL_COMMANDS, 1, JOURNAL_DURABLE);
    assert_true(again > lost);
    WAIT(play.settled == again);
    journal_free(&play.journal);
    starts_in_memory();
    assert_int_equal(play.replays, 5 + 3); /* segment, START, INTENT, START, RESULT; segment, START, START */
    assert_int_equal(play.replayed[4].event, JOURNAL_RESULT);
    assert_int_equal(play.replayed[4].n, 4);
}

static void a_sync_in_the_background_that_fails(void **state)
{
    (void)state;
    starts_in_memory();
    uint64_t written = append(JOURNAL_RESULT, JOURNAL_REFUSALS, 1, JOURNAL_WRITTEN);
    WAIT(play.settled == written);
    play.disk.fails_with = EIO;
    memory_disk_set(&play.disk, &play.disk.fails_syncing, true);
    clock_manual_advance_ns(&play.clock, NS_PER_S);
    WAIT(play.downs == 1);
    assert_int_equal(play.failed, 0); /* it had settled: the repair writes it again */
    memory_disk_set(&play.disk, &play.disk.fails_syncing, false);
    clock_manual_advance_ns(&play.clock, JOURNAL_RETRY_NS);
    WAIT(play.is_up);
}

static void the_end_does_not_wait_for_a_dead_disk(void **state)
{
    (void)state;
    static struct journal *kept; /* what is left to the end of the process is no leak */
    starts_in_memory();
    memory_disk_set(&play.disk, &play.disk.hangs, true);
    append(JOURNAL_INTENT, JOURNAL_COMMANDS, 1, JOURNAL_DURABLE);
    WAIT(disk_count(&play.disk.waiting) == 1);
    kept = play.journal;
    journal_free(&play.journal);
    assert_null(play.journal);
    assert_non_null(kept);
    memory_disk_set(&play.disk, &play.disk.hangs, false); /* the thread finds its end */
    uint64_t deadline = clock_mono_ns(clock_system()) + DEADLINE_NS;
    for (bool locked = true; locked && clock_mono_ns(clock_system()) < deadline;) {
        pthread_mutex_lock(&play.disk.mutex);
        locked = play.disk.locked;
        pthread_mutex_unlock(&play.disk.mutex);
    }
}

static void the_end_takes_along_what_waits(void **state)
{
    (void)state;
    starts_in_memory();
    for (uint64_t i = 1; i <= 200; i++)
        assert_int_equal(append(JOURNAL_RESULT, JOURNAL_COMMANDS, i, JOURNAL_WRITTEN), i);
    journal_free(&play.journal);
    memory_disk_power_cut(&play.disk, CUT_LOSE);
    starts_in_memory();
    assert_int_equal(play.replays, 2 + 200 + 2);
    assert_int_equal(play.replayed[201].serial, 200);
}

/* --- told -------------------------------------------------------------------------------------------------------- */

static void told_becomes_the_chains_number(void **state)
{
    (void)state;
    struct journal_record told = {.event = JOURNAL_TOLD, .chain = JOURNAL_REFUSALS};
    starts_in_memory();
    for (uint64_t i = 1; i <= 6; i++) /* commands 2 4 6, refusals 1 3 5; START has n 1 in both */
        append(JOURNAL_RESULT, i % 2 ? JOURNAL_REFUSALS : JOURNAL_COMMANDS, i, JOURNAL_WRITTEN);
    told.upto = 4;
    journal_append(play.journal, &told, JOURNAL_WRITTEN);
    told.chain = JOURNAL_COMMANDS;
    told.upto = 3;
    journal_append(play.journal, &told, JOURNAL_WRITTEN);
    told.upto = 0;
    journal_append(play.journal, &told, JOURNAL_WRITTEN);
    journal_free(&play.journal);
    starts_in_memory();
    uint64_t found[3], count = 0;
    for (unsigned i = 0; i < play.replays; i++)
        if (play.replayed[i].event == JOURNAL_TOLD)
            found[count++] = play.replayed[i].upto;
    assert_int_equal(count, 3);
    assert_int_equal(found[0], 2); /* commands: append 2 is n 2 */
    assert_int_equal(found[1], 2); /* nothing was replayed: as before */
    assert_int_equal(found[2], 3); /* refusals: append 3 is n 3 */
    told.upto = 0;
    told.chain = JOURNAL_REFUSALS;
    uint64_t last = journal_append(play.journal, &told, JOURNAL_WRITTEN);
    WAIT(play.settled == last);
    journal_free(&play.journal);
    starts_in_memory();
    assert_int_equal(play.replayed[play.replays - 1].event, JOURNAL_TOLD);
    assert_int_equal(play.replayed[play.replays - 1].upto, 6); /* START, three, TOLD, START */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_noted_is_replayed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_agents_do_not_share_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_directory_that_cannot_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(written_is_synced_a_little_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(durable_waits_for_the_disk_and_the_loop_does_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failing_disk_is_down_and_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_sync_in_the_background_that_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_end_does_not_wait_for_a_dead_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_end_takes_along_what_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(told_becomes_the_chains_number, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
