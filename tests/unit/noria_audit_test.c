/* `noria audit` on journals that the test writes: what it shows, what it calls sound, broken and torn, its exit codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "audit_time.h"
#include "journal_files.h"
#include "must.h"

#define NOON_MS 1767268800000ULL /* 2026-01-01T12:00:00Z */

static char directory[64], shown[64 * 1024], said[16 * 1024], conf_file[128];

struct writer { /* of one chain */
    char machine[32];
    enum journal_chain_e chain;
    uint32_t number;
    uint64_t n, now_ms;
    uint8_t hash[JOURNAL_HASH];
};

static const char *path_of(const char *machine, enum journal_chain_e chain, uint32_t number)
{
    static char path[256];
    char name[JOURNAL_NAME_MAX];
    journal_file_name(chain, number, name);
    snprintf(path, sizeof path, "%s/state/agents/%s/%s", directory, machine, name);
    return path;
}

static void append_text(const struct writer *writer, const char *text, size_t len)
{
    FILE *file = fopen(path_of(writer->machine, writer->chain, writer->number), "ab");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

static void note(struct writer *writer, struct journal_record record)
{
    char line[JOURNAL_LINE_MAX];
    struct out out = out_init(line, sizeof line);
    record.n = record.event == JOURNAL_SEGMENT ? writer->n : ++writer->n;
    record.wall_ms = writer->now_ms;
    journal_record_write(&record, writer->hash, &out);
    append_text(writer, line, out.len);
}

static void next_segment(struct writer *writer)
{
    struct journal_record segment = {.event = JOURNAL_SEGMENT};
    if (writer->number > 0) /* the first one is of before addresses were noted */
        strcpy(segment.plc, "10.0.0.7:2000");
    memcpy(segment.prev, writer->hash, JOURNAL_HASH);
    writer->number++;
    note(writer, segment);
}

static struct writer begin(const char *machine, enum journal_chain_e chain)
{
    struct writer writer = {.chain = chain, .now_ms = NOON_MS};
    char path[256];
    snprintf(writer.machine, sizeof writer.machine, "%s", machine);
    snprintf(path, sizeof path, "%s/state/agents/%s", directory, machine);
    mkdir(path, 0750);
    next_segment(&writer);
    note(&writer, (struct journal_record){.event = JOURNAL_START, .incarnation = 1});
    return writer;
}

static struct journal_record command(uint64_t serial, const char *request_id, uint64_t arrived_ms)
{
    struct journal_record record = {.event = JOURNAL_INTENT,
                                    .worker = 9,
                                    .session = 1,
                                    .serial = serial,
                                    .command = COMMAND_MOVE,
                                    .argument = 25,
                                    .arrived_wall_ms = arrived_ms,
                                    .deadline_ms = 5000,
                                    .before = {true, 218, 3},
                                    .position = -1};
    snprintf(record.request_id, sizeof record.request_id, "%s", request_id);
    strcpy(record.who, "ana");
    strcpy(record.from, "10.0.0.7:40001");
    return record;
}

static struct journal_record result(struct journal_record record, enum command_code_e code, const char *text)
{
    record.event = JOURNAL_RESULT;
    record.code = code;
    record.sent = code == CODE_NONE || code == CODE_OUTCOME_UNKNOWN;
    record.after = (struct journal_reading){record.sent, 219, 4};
    record.elapsed_ms = 12;
    snprintf(record.text, sizeof record.text, "%s", text);
    return record;
}

static struct journal_record completion(struct journal_record record)
{
    record.event = JOURNAL_COMPLETION;
    record.code = CODE_NONE;
    record.text[0] = '\0';
    record.after = (struct journal_reading){true, 218, 25};
    record.position = 25;
    record.elapsed_ms = 8123;
    return record;
}

/* One of everything on m1, a little on m2. */
static struct writer write_journals(void)
{
    struct writer commands = begin("m1", JOURNAL_COMMANDS), refusals = begin("m1", JOURNAL_REFUSALS);
    struct journal_record move = command(1, "R-1", NOON_MS + 1000), again = command(2, "R-1", NOON_MS + 3000);
    note(&commands, move);
    note(&commands, result(move, CODE_NONE, ""));
    again = result(again, CODE_NONE, "");
    again.repeat = true;
    note(&commands, again);
    next_segment(&commands);
    note(&commands, completion(move));
    note(&commands, completion(again));
    note(&commands, (struct journal_record){.event = JOURNAL_TOLD, .upto = 6});
    struct journal_record other = command(3, "R-2", NOON_MS + 20000);
    other.command = 7;
    other.argument = -1;
    other.who[0] = '\0';
    note(&commands, other);
    struct journal_record unknown = result(other, CODE_OUTCOME_UNKNOWN, "The reply was lost");
    unknown.reconciled = true;
    note(&commands, unknown);
    commands.now_ms = refusals.now_ms = NOON_MS + 30000;
    note(&commands, (struct journal_record){.event = JOURNAL_LATCHED});
    struct journal_record rearmed = {.event = JOURNAL_REARMED};
    strcpy(rearmed.who, "uid 0");
    strcpy(rearmed.from, "noria rearm");
    commands.now_ms += 1000;
    note(&commands, rearmed);
    note(&commands, command(5, "R-5", NOON_MS + 40000));
    struct journal_record busy = command(4, "evil \x1b[2J", NOON_MS + 2000);
    note(&refusals, result(busy, CODE_BUSY, "Machine is busy"));
    begin("m2", JOURNAL_COMMANDS);
    return commands;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/noria_audit.XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    char path[128];
    snprintf(path, sizeof path, "%s/state", directory);
    mkdir(path, 0750);
    snprintf(path, sizeof path, "%s/state/agents", directory);
    mkdir(path, 0750);
    snprintf(conf_file, sizeof conf_file, "%s/c.yaml", directory);
    FILE *file = fopen(conf_file, "w");
    fprintf(file, "state_dir: %s/state\nlisteners: [{name: a}]\nmachines: [{id: m1, ip: 10.0.0.1}]\n",
            directory);
    return fclose(file);
}

static int tear_down(void **state)
{
    (void)state;
    char remove_all[96];
    snprintf(remove_all, sizeof remove_all, "rm -rf %s", directory);
    return system(remove_all);
}

static void take(FILE *stream, char *text, size_t size)
{
    rewind(stream);
    text[fread(text, 1, size - 1, stream)] = '\0';
    fclose(stream);
}

/* `audit` and the words of `line`, -c FILE in front. */
static int audit(const char *line)
{
    static char words[1024];
    char *argv[24] = {"audit", "-c", conf_file};
    int argc = 3;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    FILE *out = tmpfile(), *err = tmpfile();
    int code = audit_main(argc, argv, NOON_MS + 60000, out, err);
    take(out, shown, sizeof shown);
    take(err, said, sizeof said);
    return code;
}

static void says(const char *text, const char *expected)
{
    if (strstr(text, expected) == NULL)
        fail_msg("\"%s\" is not in:\n%s", expected, text);
}

static unsigned lines(const char *text)
{
    unsigned count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

/* --- show -------------------------------------------------------------------------------------------------------- */

static void a_line_per_command(void **state)
{
    (void)state;
    write_journals();
    assert_int_equal(audit("show"), 0);
    assert_string_equal(said, "");
    assert_string_equal(shown, "2026-01-01T12:00:01.000Z  m1          ana       10.0.0.7:40001         move "
                               "25         R-1           218/3 → 218/25  "
                               "completed  8123 ms\n"
                               "2026-01-01T12:00:03.000Z  m1          ana       10.0.0.7:40001         move "
                               "25         R-1           218/3 → 218/25  "
                               "completed (repeat)  8123 ms\n"
                               "2026-01-01T12:00:20.000Z  m1          -         10.0.0.7:40001         "
                               "command 7       R-2           218/3 → 219/4  "
                               "OUTCOME_UNKNOWN \"The reply was lost\" (reconciled)  12 ms\n"
                               "2026-01-01T12:00:30.000Z  m1          -         -                      "
                               "emergency stop  -             - → -  "
                               "latched\n"
                               "2026-01-01T12:00:31.000Z  m1          uid 0     noria rearm            rearm "
                               "          -             - → -  "
                               "rearmed\n"
                               "2026-01-01T12:00:40.000Z  m1          ana       10.0.0.7:40001         move "
                               "25         R-5           218/3 → -  no "
                               "result\n");
}

static void refusals_by_time(void **state)
{
    (void)state;
    write_journals();
    assert_int_equal(audit("show --refusals -m m1"), 0);
    assert_int_equal(lines(shown), 7);
    const char *second = strchr(shown, '\n') + 1;
    assert_memory_equal(second, "2026-01-01T12:00:02.000Z", 24);
    says(second, "evil ?[2J");
    says(second, "BUSY \"Machine is busy\"  12 ms\n");
}

static void only_what_is_asked_for(void **state)
{
    (void)state;
    write_journals();
    assert_int_equal(audit("show --request R-1"), 0);
    assert_int_equal(lines(shown), 2);
    assert_int_equal(audit("show --since 2026-01-01T12:00:03Z --until 2026-01-01T12:00:30"), 0);
    assert_int_equal(lines(shown), 2);
    assert_int_equal(audit("show --since 30s"), 0);
    assert_int_equal(lines(shown), 3);
    assert_int_equal(audit("show -m m2"), 0);
    assert_string_equal(shown, "");
    assert_int_equal(audit("show -m m3"), 1);
    says(said, "/state/agents/m3 has no journal\n");
}

static void as_json(void **state)
{
    (void)state;
    write_journals();
    assert_int_equal(audit("show --json --request R-2"), 0);
    assert_string_equal(
        shown,
        "{\"time\":\"2026-01-01T12:00:20.000Z\",\"machine\":\"m1\",\"chain\":\"commands\",\"n\":8,"
        "\"from\":\"10.0.0.7:40001\",\"request_id\":\"R-2\",\"key\":\"0000000000000009-1-3\","
        "\"command\":7,\"before\":{\"raw\":218,\"position\":3},\"after\":{\"raw\":219,\"position\":4},"
        "\"outcome\":\"OUTCOME_UNKNOWN\",\"text\":\"The reply was lost\",\"elapsed_ms\":12,\"sent\":true,"
        "\"repeat\":false,\"reconciled\":true}\n");
}

/* A move that never ends does not hold back what comes after it for ever. */
static void many_wait_for_one(void **state)
{
    (void)state;
    struct writer commands = begin("m1", JOURNAL_COMMANDS);
    struct journal_record move = command(1, "R-1", NOON_MS);
    note(&commands, move);
    note(&commands, result(move, CODE_NONE, ""));
    for (uint64_t i = 2; i < 300; i++) {
        struct journal_record again = result(command(i, "R-1", NOON_MS + i), CODE_NONE, "");
        again.repeat = true;
        note(&commands, again);
    }
    assert_int_equal(audit("show"), 0);
    assert_int_equal(lines(shown), 299);
    says(shown, "2026-01-01T12:00:00.000Z  m1          ana       10.0.0.7:40001         move 25         R-1  "
                "         218/3 → "
                "219/4  accepted  12 ms\n");
}

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

/* --- words ------------------------------------------------------------------------------------------------------- */

static void usage_is_2(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "prove",
        "show more",
        "show --nonsense",
        "show --since yesterday",
        "show --until 2026-02-30",
        "show -m ../x",
        "verify --head m1",
        "verify --head m1:commands:1:abc",
        "verify --head m1:other:1:0000000000000000000000000000000000000000000000000000000000000000",
        "verify --head m1:commands:-1:0000000000000000000000000000000000000000000000000000000000000000",
        "verify --head",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (audit(wrong[i]) != 2)
            fail_msg("\"%s\" is no usage error", wrong[i]);
        says(said, "see noria audit --help\n");
    }
    assert_int_equal(audit("--help"), 0);
    says(shown, "usage: noria audit show");
    assert_int_equal(audit("verify"), 1);
    says(said, "/state/agents has no journal\n");
    assert_int_equal(audit("verify -c /nowhere.yaml"), 78);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms; /* 0: none */
    } cases[] = {
        {"2026-01-01", NOON_MS - 12 * 3600 * 1000},
        {"2026-01-01T12:00:00Z", NOON_MS},
        {"2026-01-01 12:00", NOON_MS},
        {"2026-01-01T12:00:07", NOON_MS + 7000},
        {"90s", NOON_MS - 90000},
        {"15m", NOON_MS - 900000},
        {"2h", NOON_MS - 7200000},
        {"3d", NOON_MS - 259200000},
        {"2026-13-01", 0},
        {"2026-02-29", 0},
        {"2026-01-01x", 0},
        {"", 0},
        {"-2h", 0},
        {"2w", 0},
        {"1969-12-31", 0},
        {"99999999999d", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ms = 0;
        assert_int_equal(audit_time_parse(cases[i].text, NOON_MS, &ms), cases[i].ms != 0);
        if (cases[i].ms != 0)
            assert_int_equal(ms, cases[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_per_command, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals_by_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_what_is_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(as_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_wait_for_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sound_chains, set_up, tear_down),
        cmocka_unit_test_setup_teardown(heads_that_were_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_removed_line_and_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_torn_tail_is_sound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hole_is_torn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(records_behind_a_bad_line_are_a_break, set_up, tear_down),
        cmocka_unit_test_setup_teardown(garbage_in_the_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(usage_is_2, set_up, tear_down),
        cmocka_unit_test(times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
