/* The journal on a disk in memory whose power goes between any two operations, and on one that fails at any operation.
 *
 * Held against what was promised: a record that settled durable is there after a power cut, one that settled at all is there
 * after a kill; the chain verifies, numbers have no gaps; what was told not to be safe is not in it; the next agent starts.
 * The same check must fail where syncing does nothing: that is tested, too. */
#include "journal_life.h"

/* --- a cut at every operation ------------------------------------------------------------------------------------ */

static unsigned operations_of_a_life(void)
{
    begin(1);
    agent_starts();
    assert_true(opens());
    assert_true(batches(BATCHES));
    unsigned operations = play.disk.operations;
    end();
    return operations;
}

/* What settled durable, up to now, is what must be there for ever; the rest may be gone after a power cut. */
static void after_cut(enum cut_e mode)
{
    size_t kept = 0;
    for (size_t i = 0; i < play.pending; i++)
        if (mode == CUT_KILL || play.promises[i].durable)
            play.promises[kept++] = play.promises[i];
    play.count = play.pending = kept;
}

/* A life cut at `cut`; a second one cut early, while it repairs what the first left; a third one that works. */
static bool lives(unsigned cut, enum cut_e mode, uint64_t seed, bool sync_works)
{
    begin(seed);
    play.disk.sync_does_nothing = !sync_works;
    agent_starts();
    play.disk.dies_at = cut;
    if (opens())
        batches(play.length);
    forget_pending(); /* nobody was told */
    agent_dies();
    memory_disk_power_cut(&play.disk, mode);
    if (!keeps_promises(mode == CUT_KILL))
        return false;
    after_cut(mode);
    agent_starts();
    play.disk.dies_at = 1 + (unsigned)(draw() % 16);
    if (opens())
        batches(3);
    forget_pending();
    agent_dies();
    memory_disk_power_cut(&play.disk, mode);
    if (!keeps_promises(mode == CUT_KILL))
        return false;
    after_cut(mode);
    agent_starts();
    if (!opens() || !batches(3))
        return problem(journal_store_why(play.store), 0, 0);
    return keeps_promises(true);
}

static void a_cut_between_any_two_operations(void **state)
{
    (void)state;
    unsigned operations = operations_of_a_life();
    assert_true(operations > 120);
    for (unsigned cut = 1; cut <= operations; cut++)
        for (unsigned mode = 0; mode < CUT_COUNT; mode++) {
            if (!lives(cut, mode, 1, true))
                fail_msg("cut at operation %u of %u, mode %u: %s", cut, operations, mode, play.problem);
            end();
        }
}

/* Other records, and lives that are long enough for old segments to be removed. */
static void other_lives(void **state)
{
    (void)state;
    unsigned removed = 0;
    for (uint64_t seed = 2; seed < 150; seed++) {
        bool is_long = seed % 10 == 0;
        play.random = seed;
        unsigned cut = 1 + (unsigned)(draw() % (is_long ? 2500 : 250));
        enum cut_e mode = (enum cut_e)(draw() % CUT_COUNT);
        play.length = is_long ? LONG_LIFE : BATCHES;
        if (!lives(cut, mode, seed, true))
            fail_msg("seed %u, cut at operation %u, mode %u: %s", (unsigned)seed, cut, mode, play.problem);
        removed += play.disk.removed;
        end();
    }
    play.length = BATCHES;
    assert_true(removed > 5);
}

/* The planted defect: without it the loop above would prove nothing. */
static void without_sync_it_shows(void **state)
{
    (void)state;
    unsigned operations = operations_of_a_life(), shown = 0, tried = 0;
    for (unsigned cut = 20; cut <= operations; cut += 10, tried++) {
        shown += !lives(cut, CUT_LOSE, 1, false);
        end();
    }
    assert_true(tried > 10);
    assert_true(shown > tried * 9 / 10);
}

/* --- a disk that fails once, and works again --------------------------------------------------------------------- */

static void a_life_with_a_failure(unsigned at, int error, enum cut_e mode)
{
    begin(3);
    agent_starts();
    play.disk.fails_at = at;
    play.disk.fails_with = error;
    unsigned tries = 0;
    for (unsigned left = BATCHES; left > 0 && tries < 5;) {
        bool fine = (tries == 0 && left == BATCHES) || play.pending < play.count ? opens() : true;
        revoke_pending();
        while (fine && left > 0 && (fine = one_batch()))
            left--;
        if (!fine) {
            tries++;
            revoke_pending();
            while (!opens())
                assert_true(++tries < 5);
        }
    }
    assert_true(tries <= 1); /* one failure, one repair */
    must_keep(true, at, 99);
    agent_dies();
    memory_disk_power_cut(&play.disk, mode);
    must_keep(mode == CUT_KILL, at, mode);
    agent_starts();
    assert_true(opens());
    must_keep(mode == CUT_KILL, at, mode);
    end();
}

static void a_failure_of_any_operation(void **state)
{
    (void)state;
    unsigned operations = operations_of_a_life();
    for (unsigned at = 1; at <= operations; at++)
        a_life_with_a_failure(at, at % 2 == 0 ? EIO : ENOSPC, (enum cut_e)(at % CUT_COUNT));
}

/* A sync that failed leaves pages that the kernel takes for clean: what had settled as written is on the disk after the next
 * good sync all the same. */
static void a_failed_sync_is_repaired(void **state)
{
    (void)state;
    begin(4);
    agent_starts();
    assert_true(opens());
    for (int i = 0; i < 20; i++)
        assert_true(put_one(JOURNAL_COMMANDS, false) && journal_store_write(play.store));
    journal_store_settle(play.store);
    play.pending = play.count;
    play.disk.fails_syncing = true;
    play.disk.fails_with = EIO;
    assert_false(journal_store_sync(play.store, ~0u));
    assert_non_null(
        strstr(journal_store_why(play.store), "Input/output error: cannot sync commands-00000001.jsonl"));
    assert_false(opens());
    play.disk.fails_syncing = false;
    assert_true(opens());
    for (size_t i = 0; i < play.count; i++)
        play.promises[i].durable = true;
    agent_dies();
    memory_disk_power_cut(&play.disk, CUT_LOSE);
    must_keep(false, 0, CUT_LOSE);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_between_any_two_operations),
        cmocka_unit_test(other_lives),
        cmocka_unit_test(without_sync_it_shows),
        cmocka_unit_test(a_failure_of_any_operation),
        cmocka_unit_test(a_failed_sync_is_repaired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
