/* The journal on a disk in memory whose power goes between any two operations, and on one that fails at any operation.
 *
 * Held against what was promised: a record that settled durable is there after a power cut, one that settled at all is there
 * after a kill; the chain verifies, numbers have no gaps; what was told not to be safe is not in it; the next agent starts.
 * The same check must fail where syncing does nothing: that is tested, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "journal_store.h"
#include "memory_disk.h"
#include "must.h"

#define KEEP_BYTES   (256u * 1024) /* segments of 16 and 48 KiB */
#define PROMISES_MAX 4096
#define BATCHES      70

struct promise {
    enum journal_chain_e chain;
    uint64_t n, tag;
    bool durable, revoked; /* revoked: told that it is not safe */
};

struct play {
    struct memory_disk disk;
    struct journal_disk ops;
    struct journal_store *store;
    struct journal_now now;
    uint64_t random, tags;
    struct promise promises[PROMISES_MAX];
    size_t count, pending; /* pending: from here on not settled */
    char problem[300];
};

static struct play play;

static uint64_t draw(void)
{
    return play.random = hash_u64(play.random + 1);
}

static void begin(uint64_t seed)
{
    memory_disk_init(&play.disk, seed);
    play.ops = memory_disk_ops(&play.disk);
    play.random = seed;
    play.now = (struct journal_now){1700000000000, 5000000000};
    play.count = play.pending = 0;
    play.tags = 0;
    play.problem[0] = '\0';
}

static void end(void)
{
    journal_store_free(&play.store);
    memory_disk_fini(&play.disk);
}

static void agent_starts(void)
{
    struct journal_store_config config = {.directory = "/j",
                                          .disk = &play.ops,
                                          .incarnation = 7,
                                          .keep_bytes = KEEP_BYTES,
                                          .keep_ms = 86400000};
    play.store = journal_store_new(&config);
    assert_non_null(play.store);
}

/* Without a word to the disk: a process that is killed closes nothing. */
static void agent_dies(void)
{
    play.disk.dies_at = 1;
    journal_store_free(&play.store);
    play.disk.dies_at = 0;
}

static bool opens(void)
{
    struct journal_replay replay;
    bool fine = journal_store_open(play.store, &play.now, &replay);
    if (fine)
        free(replay.records);
    return fine;
}

/* --- acts -------------------------------------------------------------------------------------------------------- */

static struct journal_record make_record(enum journal_chain_e chain, uint64_t tag)
{
    struct journal_record record = {
        .event = chain == JOURNAL_COMMANDS && tag % 2 == 0 ? JOURNAL_INTENT : JOURNAL_RESULT,
        .chain = chain,
        .n = journal_store_n(play.store, chain) + 1,
        .wall_ms = play.now.wall_ms,
        .mono_ns = play.now.mono_ns,
        .worker = 1,
        .session = 2,
        .serial = tag,
        .command = COMMAND_MOVE,
        .argument = 3,
        .position = 4,
    };
    snprintf(record.request_id, sizeof record.request_id, "request %llu", (unsigned long long)tag);
    return record;
}

static bool put_one(enum journal_chain_e chain, bool durable)
{
    struct journal_record record = make_record(chain, ++play.tags);
    MUST(play.count < PROMISES_MAX);
    play.promises[play.count++] = (struct promise){chain, record.n, record.serial, durable, false};
    return journal_store_put(play.store, &record);
}

/* As the thread does it: a batch, its sync if somebody asked for it, and now and then a lazy one. */
static bool one_batch(void)
{
    unsigned durable = 0;
    for (uint64_t left = 1 + draw() % 3; left > 0; left--) {
        enum journal_chain_e chain = draw() % 3 == 0 ? JOURNAL_REFUSALS : JOURNAL_COMMANDS;
        bool wants = draw() % 3 == 0;
        durable |= wants ? 1u << chain : 0;
        if (!put_one(chain, wants))
            return false;
    }
    if (!journal_store_write(play.store) || (durable != 0 && !journal_store_sync(play.store, durable)))
        return false;
    journal_store_settle(play.store);
    play.pending = play.count;
    play.now.mono_ns += 1000000;
    play.now.wall_ms += 1;
    return draw() % 8 != 0 || journal_store_sync(play.store, ~0u);
}

static bool batches(unsigned count)
{
    while (count > 0 && one_batch())
        count--;
    return count == 0;
}

static void revoke_pending(void)
{
    for (; play.pending < play.count; play.pending++)
        play.promises[play.pending].revoked = true;
}

static void forget_pending(void)
{
    play.count = play.pending;
}

/* --- the check --------------------------------------------------------------------------------------------------- */

struct seen {
    uint64_t first, last;       /* numbers in the files */
    uint64_t tag[PROMISES_MAX]; /* by n */
};

static bool problem(const char *text, unsigned long long a, unsigned long long b)
{
    snprintf(play.problem, sizeof play.problem, "%s (%llu, %llu)", text, a, b);
    return false;
}

static bool read_chain(enum journal_chain_e chain, struct journal_segments *segments, struct seen *seen)
{
    static struct journal_reader reader;
    enum journal_read_e read = JOURNAL_READ_END;
    struct journal_record record;
    *seen = (struct seen){0};
    journal_reader_init(&reader, &play.ops.shelf, chain);
    for (size_t i = 0; i < segments->count; i++) {
        if (journal_reader_open(&reader, segments->list[i].number, i + 1 == segments->count) != 0)
            return problem("a segment cannot be opened", segments->list[i].number, 0);
        while ((read = journal_reader_next(&reader, &record)) == JOURNAL_READ_RECORD) {
            if (record.event == JOURNAL_SEGMENT)
                continue;
            MUST(record.n < PROMISES_MAX);
            seen->first = seen->first == 0 ? record.n : seen->first;
            seen->last = record.n;
            seen->tag[record.n] = record.serial;
        }
        journal_reader_close(&reader);
        if (read == JOURNAL_READ_BROKEN || read == JOURNAL_READ_FAILED)
            return problem(reader.why != NULL ? reader.why : "cannot be read", segments->list[i].number,
                           reader.line + 1);
    }
    if (seen->first > 1 && play.disk.removed == 0)
        return problem("the beginning is gone", seen->first, 0);
    return true;
}

/* `killed`: what was only written must be there, too. */
static bool keeps_promises(bool killed)
{
    static struct seen seen[JOURNAL_CHAINS];
    struct journal_segments segments[JOURNAL_CHAINS] = {0};
    bool fine = journal_segments_list(&play.ops.shelf, segments) == 0;
    for (enum journal_chain_e i = 0; i < JOURNAL_CHAINS && fine; i++)
        fine = read_chain(i, &segments[i], &seen[i]);
    journal_segments_free(segments);
    for (const struct promise *p = play.promises; p < play.promises + play.count && fine; p++) {
        const struct seen *in = &seen[p->chain];
        bool there = p->n >= in->first && p->n <= in->last && in->tag[p->n] == p->tag;
        bool retired = p->n < in->first;
        if (p->revoked && there)
            fine = problem("told not to be safe, and there", p->n, p->tag);
        else if (!p->revoked && (p->durable || killed) && !there && !retired)
            fine = problem("settled, and not there", p->n, p->tag);
    }
    return fine;
}

static void must_keep(bool killed, unsigned cut, unsigned mode)
{
    if (!keeps_promises(killed))
        fail_msg("cut at operation %u, mode %u: %s", cut, mode, play.problem);
}

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
        batches(BATCHES);
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
    assert_true(operations > 150);
    for (unsigned cut = 1; cut <= operations; cut++)
        for (unsigned mode = 0; mode < CUT_COUNT; mode++) {
            if (!lives(cut, mode, 1, true))
                fail_msg("cut at operation %u of %u, mode %u: %s", cut, operations, mode, play.problem);
            end();
        }
}

static void other_lives(void **state)
{
    (void)state;
    for (uint64_t seed = 2; seed < 150; seed++) {
        play.random = seed;
        unsigned cut = 1 + (unsigned)(draw() % 250);
        enum cut_e mode = (enum cut_e)(draw() % CUT_COUNT);
        if (!lives(cut, mode, seed, true))
            fail_msg("seed %u, cut at operation %u, mode %u: %s", (unsigned)seed, cut, mode, play.problem);
        end();
    }
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
        strstr(journal_store_why(play.store), "cannot sync commands-00000001.jsonl: Input/output error"));
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

static void a_full_disk_is_survived(void **state)
{
    (void)state;
    begin(5);
    play.disk.room = 9000;
    agent_starts();
    assert_true(opens());
    while (one_batch())
        ;
    assert_non_null(strstr(journal_store_why(play.store), "No space left on device"));
    revoke_pending();
    must_keep(true, 0, 0);
    play.disk.room = 8000;
    for (int i = 0; i < 3; i++)
        assert_false(opens());
    play.disk.room = 100000;
    assert_true(opens());
    assert_true(batches(20));
    must_keep(true, 0, 0);
    end();
}

/* --- files that others left -------------------------------------------------------------------------------------- */

static void a_tail_cut_at_any_byte(void **state)
{
    (void)state;
    static unsigned char text[8192];
    begin(6);
    agent_starts();
    assert_true(opens());
    for (int i = 0; i < 3; i++)
        assert_true(put_one(JOURNAL_COMMANDS, true) && journal_store_sync(play.store, ~0u));
    journal_store_settle(play.store);
    play.pending = play.count;
    agent_dies();
    struct memory_file *file = memory_disk_file(&play.disk, "commands-00000001.jsonl");
    assert_non_null(file);
    size_t len = file->len;
    assert_true(len < sizeof text);
    memcpy(text, file->now, len);
    for (size_t cut = 0; cut < len; cut++) {
        memory_disk_put(&play.disk, "commands-00000001.jsonl", text, cut);
        size_t whole = 0;
        for (size_t i = 0; i < cut; i++)
            whole += text[i] == '\n';
        agent_starts();
        assert_true(opens());
        /* segment and START, then the three; and the START of this life */
        assert_int_equal(journal_store_n(play.store, JOURNAL_COMMANDS), (whole > 0 ? whole - 1 : 0) + 1);
        const char *note = journal_store_note(play.store);
        bool torn = cut == 0 || text[cut - 1] != '\n';
        assert_int_equal(note != NULL && strstr(note, "a torn tail, which is cut off") != NULL, torn);
        journal_store_free(&play.store);
    }
    end();
}

static void a_broken_chain_goes_on_in_a_new_file(void **state)
{
    (void)state;
    begin(7);
    agent_starts();
    assert_true(opens());
    for (int i = 0; i < 5; i++)
        assert_true(put_one(JOURNAL_COMMANDS, true) && journal_store_sync(play.store, ~0u));
    journal_store_settle(play.store);
    journal_store_free(&play.store);
    struct memory_file *file = memory_disk_file(&play.disk, "commands-00000001.jsonl");
    assert_non_null(file);
    unsigned char *digit = memmem(file->now, file->len, "request 2", 9);
    assert_non_null(digit);
    digit[8] = '7';
    size_t len = file->len;
    for (int life = 0; life < 2; life++) {
        agent_starts();
        assert_true(opens());
        const char *note = journal_store_note(play.store);
        assert_non_null(note);
        assert_non_null(strstr(note, "commands-00000001.jsonl:4: does not follow the line before"));
        assert_int_equal(file->len, len); /* evidence */
        assert_non_null(memory_disk_file(&play.disk, "commands-00000002.jsonl"));
        /* START and the first record were good; then START again, once a life */
        assert_int_equal(journal_store_n(play.store, JOURNAL_COMMANDS), 3 + life);
        journal_store_free(&play.store);
    }
    end();
}

static void a_directory_of_garbage(void **state)
{
    (void)state;
    static const char *const names[] = {"commands-00000001.jsonl",
                                        "commands-1.jsonl",
                                        "commands-00000000.jsonl",
                                        "refusals-00000009.jsonl",
                                        "core",
                                        "commands-00000002.jsonl.bak"};
    begin(8);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        memory_disk_put(&play.disk, names[i], "\xff{{{\nnonsense\n\n{}\n", 18);
    agent_starts();
    assert_true(opens());
    assert_true(batches(10));
    must_keep(true, 0, 0);
    end();
}

static void another_agent_holds_it(void **state)
{
    (void)state;
    begin(9);
    play.disk.held_by_other = true;
    agent_starts();
    assert_false(opens());
    assert_string_equal(journal_store_why(play.store), "/j: another agent of this machine holds it");
    play.disk.held_by_other = false;
    assert_true(opens());
    end();
}

static size_t bytes_of(enum journal_chain_e chain, size_t *segments)
{
    size_t sum = 0;
    *segments = 0;
    for (size_t i = 0; i < MEMORY_FILES; i++) {
        enum journal_chain_e of;
        uint32_t number;
        if (!play.disk.files[i].exists || !journal_file_parse(play.disk.files[i].name, &of, &number) ||
            of != chain)
            continue;
        sum += play.disk.files[i].len;
        ++*segments;
    }
    return sum;
}

static void only_whole_oldest_segments_go(void **state)
{
    (void)state;
    size_t segments;
    begin(10);
    agent_starts();
    assert_true(opens());
    for (int i = 0; i < 30; i++) {
        for (int k = 0; k < 30; k++)
            assert_true(put_one(i % 2 ? JOURNAL_REFUSALS : JOURNAL_COMMANDS, false) &&
                        journal_store_write(play.store));
        journal_store_settle(play.store);
        play.pending = play.count;
        assert_true(bytes_of(JOURNAL_REFUSALS, &segments) <= KEEP_BYTES / 4);
        assert_true(bytes_of(JOURNAL_COMMANDS, &segments) <= KEEP_BYTES * 3 / 4);
    }
    assert_true(bytes_of(JOURNAL_REFUSALS, &segments) > KEEP_BYTES / 8);
    assert_in_range(segments, 3, 4);
    assert_true(play.disk.removed > 0);
    must_keep(true, 0, 0);
    end();
}

/* A segment a sixteenth of keep_ms; each new one takes along one that is too old. */
static void age_removes_too(void **state)
{
    (void)state;
    size_t segments;
    begin(11);
    agent_starts();
    assert_true(opens());
    for (int i = 0; i < 100; i++) {
        play.now.wall_ms += 86400000 / 10; /* of keep_ms */
        assert_true(put_one(JOURNAL_COMMANDS, false) && journal_store_write(play.store));
        journal_store_settle(play.store);
        play.pending = play.count;
    }
    bytes_of(JOURNAL_COMMANDS, &segments);
    assert_in_range(segments, 10, 13);
    must_keep(true, 0, 0);
    play.now.wall_ms += 100ULL * 365 * 86400000; /* a clock gone mad */
    assert_true(put_one(JOURNAL_COMMANDS, false) && journal_store_write(play.store));
    size_t after;
    bytes_of(JOURNAL_COMMANDS, &after);
    assert_int_equal(after, segments); /* one came, one went */
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
        cmocka_unit_test(a_full_disk_is_survived),
        cmocka_unit_test(a_tail_cut_at_any_byte),
        cmocka_unit_test(a_broken_chain_goes_on_in_a_new_file),
        cmocka_unit_test(a_directory_of_garbage),
        cmocka_unit_test(another_agent_holds_it),
        cmocka_unit_test(only_whole_oldest_segments_go),
        cmocka_unit_test(age_removes_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
