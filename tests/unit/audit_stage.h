/* audit_stage.h — for the tests of `noria audit`: journals of two machines that the test writes, one of everything, and the program's words on them.
 */
#pragma once

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

static inline const char *path_of(const char *machine, enum journal_chain_e chain, uint32_t number)
{
    static char path[256];
    char name[JOURNAL_NAME_MAX];
    journal_file_name(chain, number, name);
    snprintf(path, sizeof path, "%s/state/agents/%s/%s", directory, machine, name);
    return path;
}

static inline void append_text(const struct writer *writer, const char *text, size_t len)
{
    FILE *file = fopen(path_of(writer->machine, writer->chain, writer->number), "ab");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

static inline void note(struct writer *writer, struct journal_record record)
{
    char line[JOURNAL_LINE_MAX];
    struct out out = out_init(line, sizeof line);
    record.n = record.event == JOURNAL_SEGMENT ? writer->n : ++writer->n;
    record.wall_ms = writer->now_ms;
    journal_record_write(&record, writer->hash, &out);
    append_text(writer, line, out.len);
}

static inline void next_segment(struct writer *writer)
{
    struct journal_record segment = {.event = JOURNAL_SEGMENT};
    if (writer->number > 0) /* the first one is of before addresses were noted */
        strcpy(segment.plc, "10.0.0.7:2000");
    memcpy(segment.prev, writer->hash, JOURNAL_HASH);
    writer->number++;
    note(writer, segment);
}

static inline struct writer begin(const char *machine, enum journal_chain_e chain)
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

static inline struct journal_record command(uint64_t serial, const char *request_id, uint64_t arrived_ms)
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

static inline struct journal_record result(struct journal_record record, enum command_code_e code,
                                           const char *text)
{
    record.event = JOURNAL_RESULT;
    record.code = code;
    record.sent = code == CODE_NONE || code == CODE_OUTCOME_UNKNOWN;
    record.after = (struct journal_reading){record.sent, 219, 4};
    record.elapsed_ms = 12;
    snprintf(record.text, sizeof record.text, "%s", text);
    return record;
}

static inline struct journal_record completion(struct journal_record record)
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
static inline struct writer write_journals(void)
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

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
{
    (void)state;
    char remove_all[96];
    snprintf(remove_all, sizeof remove_all, "rm -rf %s", directory);
    return system(remove_all);
}

static inline void take(FILE *stream, char *text, size_t size)
{
    rewind(stream);
    text[fread(text, 1, size - 1, stream)] = '\0';
    fclose(stream);
}

/* `audit` and the words of `line`, -c FILE in front. */
static inline int audit(const char *line)
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

static inline void says(const char *text, const char *expected)
{
    if (strstr(text, expected) == NULL)
        fail_msg("\"%s\" is not in:\n%s", expected, text);
}

static inline unsigned lines(const char *text)
{
    unsigned count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}
