/* The journal's store on what a disk can hold: full, torn at any byte, broken, garbage, somebody else's; and what it removes. */
#include "journal_life.h"

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
