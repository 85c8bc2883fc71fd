/* `noria audit verify` on journals that the test writes and then damages: what it calls sound, broken and torn, and its exit codes. */
#include "audit_stage.h"

/* --- verify ------------------------------------------------------------------------------------------------------ */

static void flip(const char *path, const char *text)
{
    static char content[64 * 1024];
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    size_t len = fread(content, 1, sizeof content, file);
    char *at = memmem(content, len, text, strlen(text));
    assert_non_null(at);
    fseek(file, at - content, SEEK_SET);
    fputc(*at ^ 1, file);
    fclose(file);
}

static void sound_chains(void **state)
{
    (void)state;
    write_journals();
    assert_int_equal(audit("verify"), 0);
    assert_string_equal(said, "");
    assert_int_equal(lines(shown), 4);
    says(shown, "m1 commands: sound: 12 records in 2 files, 1 (2026-01-01T12:00:00.000Z) to 12 "
                "(2026-01-01T12:00:31.000Z), "
                "head 12:");
    says(shown, "m1 refusals: sound: 2 records in 1 files, 1 ");
    says(shown, "m2 commands: sound: 1 records in 1 files");
    says(shown, "m2 refusals: sound: 0 records in 0 files\n");
}

static void put_head(char *text, size_t size, const char *machine, uint64_t n,
                     const uint8_t hash[JOURNAL_HASH])
{
    int len = snprintf(text, size, "verify --head %s:commands:%u:", machine, (unsigned)n);
    for (size_t i = 0; i < JOURNAL_HASH; i++)
        len += snprintf(text + len, size - (size_t)len, "%02x", hash[i]);
}

static void heads_that_were_noted(void **state)
{
    (void)state;
    char line[256];
    struct writer commands = begin("a:b", JOURNAL_COMMANDS);
    struct journal_record move = command(1, "R-1", NOON_MS);
    note(&commands, move);
    uint8_t before[JOURNAL_HASH];
    memcpy(before, commands.hash, sizeof before);
    next_segment(&commands);
    note(&commands, result(move, CODE_NONE, ""));
    put_head(line, sizeof line, "a:b", 3, commands.hash);
    assert_int_equal(audit(line), 0);
    put_head(line, sizeof line, "a:b", 2, before);
    assert_int_equal(audit(line), 0);
    unlink(path_of("a:b", JOURNAL_COMMANDS, 1)); /* retired: what was before is still known */
    assert_int_equal(audit(line), 0);
    commands.hash[5] ^= 1;
    put_head(line, sizeof line, "a:b", 3, commands.hash);
    assert_int_equal(audit(line), 1);
    says(shown, "a:b commands: broken: record 3 with the given hash is not there");
    put_head(line, sizeof line, "a:b", 4, before); /* somebody cut the end off */
    assert_int_equal(audit(line), 1);
}

static void a_changed_line(void **state)
{
    (void)state;
    write_journals();
    flip(path_of("m1", JOURNAL_COMMANDS, 1), "\"argument\":25");
    assert_int_equal(audit("verify"), 1);
    says(shown, "m1 commands: broken at ");
    says(shown, "/state/agents/m1/commands-00000001.jsonl:3: ");
    says(shown, "m1 commands: BROKEN: 9 records in 2 files");
    says(shown, "m1 refusals: sound");
    assert_int_equal(audit("verify -m m2"), 0);
    assert_int_equal(audit("show"), 1);
    says(said, "commands-00000001.jsonl:3: ");
    says(said, "what follows in this file is not shown");
    says(shown, "OUTCOME_UNKNOWN");
}

static void remove_line(const char *path, unsigned number)
{
    char line[96], edit[400];
    snprintf(line, sizeof line, "sed -i %ud", number);
    snprintf(edit, sizeof edit, "%s '%s'", line, path);
    assert_int_equal(system(edit), 0);
}

static void a_removed_line_and_file(void **state)
{
    (void)state;
    write_journals();
    remove_line(path_of("m1", JOURNAL_COMMANDS, 2), 4);
    assert_int_equal(audit("verify -m m1"), 1);
    says(shown, "commands-00000002.jsonl:4: has not the number that is due\n");
    unlink(path_of("m1", JOURNAL_COMMANDS, 2));
    assert_int_equal(audit("verify -m m1"), 0); /* only a head that was noted tells */
    struct writer third = {.chain = JOURNAL_COMMANDS, .number = 2, .n = 17, .now_ms = NOON_MS};
    strcpy(third.machine, "m1");
    next_segment(&third);
    note(&third, (struct journal_record){.event = JOURNAL_LATCHED});
    assert_int_equal(audit("verify -m m1"), 1);
    says(shown, "commands-00000003.jsonl:1: does not go on where the file before ends\n");
}

static void a_torn_tail_is_sound(void **state)
{
    (void)state;
    struct writer commands = write_journals();
    append_text(&commands, "{\"n\":13,\"event\":\"res", 20);
    assert_int_equal(audit("verify -m m1"), 0);
    says(shown, "m1 commands: sound: 12 records");
    says(shown, "m1 commands: torn tail after record 12: ");
    says(shown, "commands-00000002.jsonl:10 does not end (20 bytes)");
    append_text(&commands, "\n\n\xff\xff\n", 5);
    assert_int_equal(audit("verify -m m1"), 0);
    struct writer next = commands;
    next_segment(&next); /* now it is in the middle */
    assert_int_equal(audit("verify -m m1"), 1);
    says(shown, "commands-00000002.jsonl:10: is no record\n");
}

/* Zeros in the newest file, records behind them: blocks that were not written before the power went. */
static void a_hole_is_torn(void **state)
{
    (void)state;
    struct writer commands = write_journals(), after = commands;
    append_text(&commands, "\0\0\0\0", 4);
    note(&after, (struct journal_record){.event = JOURNAL_LATCHED});
    note(&after, (struct journal_record){.event = JOURNAL_LATCHED});
    assert_int_equal(audit("verify -m m1"), 0);
    says(shown, "torn tail after record 12");
}

static void records_behind_a_bad_line_are_a_break(void **state)
{
    (void)state;
    struct writer commands = write_journals(), after = commands;
    append_text(&commands, "nonsense\n", 9);
    note(&after, (struct journal_record){.event = JOURNAL_LATCHED});
    assert_int_equal(audit("verify -m m1"), 1);
    says(shown, "commands-00000002.jsonl:10: is no record\n");
}

static void garbage_in_the_directory(void **state)
{
    (void)state;
    char path[256];
    write_journals();
    snprintf(path, sizeof path, "%s/state/agents/m1/commands-00000007.jsonl", directory);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/state/agents/m1/refusals-00000007.jsonl", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/state/agents/stray", directory);
    fclose(fopen(path, "w"));
    assert_int_equal(audit("verify"), 0);
    assert_int_equal(lines(shown), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sound_chains, set_up, tear_down),
        cmocka_unit_test_setup_teardown(heads_that_were_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_removed_line_and_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_torn_tail_is_sound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hole_is_torn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(records_behind_a_bad_line_are_a_break, set_up, tear_down),
        cmocka_unit_test_setup_teardown(garbage_in_the_directory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
