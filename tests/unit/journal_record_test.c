/* One line of the journal: what is written is read back, what was altered is not, nothing crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "journal_record.h"
#include "must.h"

static char line[JOURNAL_LINE_MAX + 1];

static size_t write_line(const struct journal_record *record, uint8_t hash[JOURNAL_HASH])
{
    struct out out = out_init(line, JOURNAL_LINE_MAX);
    journal_record_write(record, hash, &out);
    assert_false(out.overflow);
    line[out.len] = '\0';
    assert_int_equal(line[out.len - 1], '\n');
    return out.len - 1;
}

static struct journal_record full(enum journal_event_e event)
{
    struct journal_record record = {
        .event = event,
        .n = 42,
        .wall_ms = 1737973800123,
        .mono_ns = 9876543210,
        .worker = 0xfedcba9876543210,
        .session = 12,
        .serial = 3,
        .dialect = 1,
        .command = COMMAND_MOVE,
        .argument = 25,
        .arrived_wall_ms = 1737973800100,
        .arrived_mono_ns = 9876000000,
        .deadline_ms = 5000,
        .before = {true, 218, 3},
        .after = {true, 219, 4},
        .sent = true,
        .repeat = true,
        .reconciled = true,
        .written_mono_ns = 9876540000,
        .code = CODE_OUTCOME_UNKNOWN,
        .position = 4,
        .elapsed_ms = 23,
        .upto = 40,
        .incarnation = 0x1122334455667788,
        .latched = true,
    };
    strcpy(record.request_id, "R \"1\"\n");
    strcpy(record.scope, "p:ana");
    strcpy(record.who, "ana");
    strcpy(record.from, "127.0.0.1:43210");
    strcpy(record.text, "Señal perdida");
    strcpy(record.boot, "5f0c0a52-7a0e-4a53-b1dc-0d9c0a1b2c3d");
    strcpy(record.plc, "[::2]:2000");
    for (unsigned i = 0; i < JOURNAL_HASH; i++)
        record.prev[i] = (uint8_t)(i * 7);
    return record;
}

/* The text that people and other programs read; the hash by itself in `says_the_hash`. */
static void the_lines(void **state)
{
    (void)state;
    static const char *const expected[JOURNAL_EVENT_COUNT] = {
        [JOURNAL_SEGMENT] =
            "{\"n\":42,\"event\":\"segment\",\"time\":\"2025-01-27T10:30:00.123Z\",\"mono_ns\":9876543210,"
            "\"boot\":\"5f0c0a52-7a0e-4a53-b1dc-0d9c0a1b2c3d\",\"plc\":\"[::2]:2000\",\"latched\":true,"
            "\"prev\":"
            "\"00070e151c232a31383f"
            "464d545b626970777e858c939aa1a8afb6bdc4cbd2d9\"",
        [JOURNAL_START] =
            "{\"n\":42,\"event\":\"start\",\"time\":\"2025-01-27T10:30:00.123Z\",\"mono_ns\":9876543210,"
            "\"incarnation\":\"1122334455667788\",\"boot\":\"5f0c0a52-7a0e-4a53-b1dc-0d9c0a1b2c3d\","
            "\"plc\":\"[::2]:2000\"",
        [JOURNAL_INTENT] =
            "{\"n\":42,\"event\":\"intent\",\"time\":\"2025-01-27T10:30:00.123Z\",\"mono_ns\":9876543210,"
            "\"key\":\"fedcba9876543210-12-3\",\"dialect\":1,\"request_id\":\"R "
            "\\\"1\\\"\\n\",\"scope\":\"p:ana\","
            "\"who\":\"ana\",\"from\":\"127.0.0.1:43210\",\"command\":1,\"argument\":25,"
            "\"arrived\":\"2025-01-27T10:30:00.100Z\",\"arrived_mono_ns\":9876000000,\"deadline_ms\":5000,"
            "\"before\":{\"raw\":218,\"position\":3}",
        [JOURNAL_RESULT] =
            "{\"n\":42,\"event\":\"result\",\"time\":\"2025-01-27T10:30:00.123Z\",\"mono_ns\":9876543210,"
            "\"key\":\"fedcba9876543210-12-3\",\"dialect\":1,\"request_id\":\"R "
            "\\\"1\\\"\\n\",\"scope\":\"p:ana\","
            "\"who\":\"ana\",\"from\":\"127.0.0.1:43210\",\"command\":1,\"argument\":25,"
            "\"arrived\":\"2025-01-27T10:30:00.100Z\",\"arrived_mono_ns\":9876000000,"
            "\"before\":{\"raw\":218,\"position\":3},\"after\":{\"raw\":219,\"position\":4},\"sent\":true,"
            "\"repeat\":true,\"reconciled\":true,\"written_mono_ns\":9876540000,"
            "\"code\":\"OUTCOME_UNKNOWN\",\"text\":\"Señal perdida\",\"position\":4,\"elapsed_ms\":23",
        [JOURNAL_COMPLETION] =
            "{\"n\":42,\"event\":\"completion\",\"time\":\"2025-01-27T10:30:00.123Z\",\"mono_ns\":9876543210,"
            "\"key\":\"fedcba9876543210-12-3\",\"dialect\":1,\"request_id\":\"R "
            "\\\"1\\\"\\n\",\"scope\":\"p:ana\","
            "\"who\":\"ana\",\"from\":\"127.0.0.1:43210\",\"command\":1,\"argument\":25,"
            "\"after\":{\"raw\":219,\"position\":4},\"repeat\":true,\"written_mono_ns\":9876540000,"
            "\"code\":\"OUTCOME_UNKNOWN\",\"text\":\"Señal perdida\",\"position\":4,\"elapsed_ms\":23",
        [JOURNAL_TOLD] = "{\"n\":42,\"event\":\"told\",\"time\":\"2025-01-27T10:30:00.123Z\",\"mono_ns\":"
                         "9876543210,\"upto\":40",
        [JOURNAL_LATCHED] =
            "{\"n\":42,\"event\":\"latched\",\"time\":\"2025-01-27T10:30:00.123Z\",\"mono_ns\":9876543210",
        [JOURNAL_REARMED] =
            "{\"n\":42,\"event\":\"rearmed\",\"time\":\"2025-01-27T10:30:00.123Z\",\"mono_ns\":9876543210,"
            "\"request_id\":\"R "
            "\\\"1\\\"\\n\",\"scope\":\"p:ana\",\"who\":\"ana\",\"from\":\"127.0.0.1:43210\"",
    };
    for (enum journal_event_e event = JOURNAL_SEGMENT; event < JOURNAL_EVENT_COUNT; event++) {
        uint8_t hash[JOURNAL_HASH] = {0};
        struct journal_record record = full(event);
        size_t len = write_line(&record, hash);
        char *tail = strstr(line, ",\"hash\":");
        assert_non_null(tail);
        assert_int_equal(len - (size_t)(tail - line), 9 + 64 + 2);
        *tail = '\0';
        assert_string_equal(line, expected[event]);
    }
}

/* sha256 of 32 zero bytes and the body, reckoned by sha256sum. */
static void says_the_hash(void **state)
{
    (void)state;
    uint8_t hash[JOURNAL_HASH] = {0};
    struct journal_record record = {.event = JOURNAL_TOLD, .n = 1, .upto = 0};
    write_line(&record, hash);
    assert_string_equal(
        line,
        "{\"n\":1,\"event\":\"told\",\"time\":\"1970-01-01T00:00:00.000Z\",\"mono_ns\":0,\"upto\":0,\"hash\":"
        "\"941ffdec1385bd7babee136e59a43edc41d374bfaee5115f361974edbb2e815b\"}\n");
}

static void assert_same(const struct journal_record *a, const struct journal_record *b)
{
    uint8_t one[JOURNAL_HASH] = {0}, other[JOURNAL_HASH] = {0};
    char first[JOURNAL_LINE_MAX + 1];
    write_line(a, one);
    strcpy(first, line);
    write_line(b, other);
    assert_string_equal(first, line);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    uint8_t hash[JOURNAL_HASH] = {0}, follows[JOURNAL_HASH] = {0};
    for (enum journal_event_e event = JOURNAL_SEGMENT; event < JOURNAL_EVENT_COUNT; event++) {
        struct journal_record record = full(event), read;
        size_t len = write_line(&record, hash);
        assert_int_equal(journal_record_read(line, len, follows, &read), ERR_OK);
        assert_memory_equal(hash, follows, JOURNAL_HASH);
        assert_same(&record, &read);
        assert_int_equal(read.wall_ms, record.wall_ms);
        assert_int_equal(read.event, event);
        struct journal_record bare = {.event = event, .argument = -1, .deadline_ms = -1, .position = -1};
        len = write_line(&bare, hash);
        assert_int_equal(journal_record_read(line, len, follows, &read), ERR_OK);
        assert_memory_equal(&read, &bare, sizeof bare);
    }
    assert_int_equal(journal_record_read(line, strlen(line) - 1, follows, &(struct journal_record){0}),
                     ERR_CORRUPT);
}

/* Out of a journal of before addresses were noted. */
static void a_start_without_an_address(void **state)
{
    (void)state;
    uint8_t hash[JOURNAL_HASH] = {0};
    struct journal_record read;
    const char *old =
        "{\"n\":1,\"event\":\"start\",\"time\":\"2025-01-27T10:30:00.123Z\",\"mono_ns\":9876543210,"
        "\"incarnation\":\"1122334455667788\",\"boot\":\"5f0c0a52-7a0e-4a53-b1dc-0d9c0a1b2c3d\","
        "\"hash\":\"cd88161fdbee7f669bdd4713994333a505a37858243d6eabfed8ad9ffffd84d1\"}";
    assert_int_equal(journal_record_read(old, strlen(old), hash, &read), ERR_OK);
    assert_int_equal(read.incarnation, 0x1122334455667788);
    assert_string_equal(read.plc, "");
}

static void every_day_is_read(void **state)
{
    (void)state;
    for (uint64_t day = 0; day < 47482; day++) { /* to 2100 */
        uint8_t hash[JOURNAL_HASH] = {0}, follows[JOURNAL_HASH] = {0};
        struct journal_record record = {.event = JOURNAL_LATCHED, .wall_ms = day * 86400000 + 86399999}, read;
        if (day % 31 != 0 && day % 365 > 3)
            continue;
        size_t len = write_line(&record, hash);
        assert_int_equal(journal_record_read(line, len, follows, &read), ERR_OK);
        assert_int_equal(read.wall_ms, record.wall_ms);
    }
}

static void an_altered_byte_never_passes(void **state)
{
    (void)state;
    for (enum journal_event_e event = JOURNAL_SEGMENT; event < JOURNAL_EVENT_COUNT; event++) {
        uint8_t hash[JOURNAL_HASH] = {1, 2, 3};
        struct journal_record record = full(event), read;
        size_t len = write_line(&record, hash);
        for (size_t at = 0; at < len; at++)
            for (unsigned bit = 0; bit < 8; bit++) {
                uint8_t before[JOURNAL_HASH] = {1, 2, 3};
                line[at] = (char)(line[at] ^ 1 << bit);
                assert_int_not_equal(journal_record_read(line, len, before, &read), ERR_OK);
                assert_int_equal(before[0], 1);
                line[at] = (char)(line[at] ^ 1 << bit);
            }
        for (size_t cut = 0; cut < len; cut++)
            assert_int_equal(journal_record_read(line, cut, hash, &read), ERR_MALFORMED);
    }
}

/* Well-formed for a JSON parser, and not what this program writes. */
static void only_its_own_form(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"n\":1,\"event\":\"told\",\"time\":\"1970-01-01T00:00:00.000Z\",\"mono_ns\":0", /* upto is missing */
        "{\"n\":01,\"event\":\"told\",\"time\":\"1970-01-01T00:00:00.000Z\",\"mono_ns\":0,\"upto\":0", /* 01 */
        "{\"n\":1, \"event\":\"told\",\"time\":\"1970-01-01T00:00:00.000Z\",\"mono_ns\":0,\"upto\":0",
        "{\"n\":1,\"n\":1,\"event\":\"told\",\"time\":\"1970-01-01T00:00:00.000Z\",\"mono_ns\":0,\"upto\":0",
        "{\"n\":-1,\"event\":\"told\",\"time\":\"1970-01-01T00:00:00.000Z\",\"mono_ns\":0,\"upto\":0",
        "{\"n\":1.0,\"event\":\"told\",\"time\":\"1970-01-01T00:00:00.000Z\",\"mono_ns\":0,\"upto\":0",
        "{\"n\":1,\"event\":\"told\",\"time\":\"1970-02-30T00:00:00.000Z\",\"mono_ns\":0,\"upto\":0",
        "{\"n\":1,\"event\":\"none\",\"time\":\"1970-01-01T00:00:00.000Z\",\"mono_ns\":0,\"upto\":0",
        "{\"n\":1,\"event\":\"told\",\"time\":\"1970-01-01T00:00:00.000Z\",\"mono_ns\":0,\"upto\":0,\"more\":"
        "1",
        "{\"n\":99999999999999999999,\"event\":\"latched\",\"time\":\"1970-01-01T00:00:00.000Z\",\"mono_ns\":"
        "0",
        "[\"n\"",
        "",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        uint8_t hash[JOURNAL_HASH] = {0};
        struct journal_record read;
        int len = snprintf(line, sizeof line, "%s,\"hash\":\"%064d\"}", bodies[i], 0);
        assert_int_equal(journal_record_read(line, (size_t)len, hash, &read), ERR_MALFORMED);
        assert_int_equal(read.event, JOURNAL_NONE);
    }
}

static void fill(char *text, size_t size, char with)
{
    memset(text, with, size - 1);
    text[size - 1] = '\0';
}

static void the_longest_line_has_room(void **state)
{
    (void)state;
    struct journal_record record = full(JOURNAL_RESULT), read;
    uint8_t hash[JOURNAL_HASH] = {0}, follows[JOURNAL_HASH] = {0};
    record.n = record.mono_ns = record.session = record.serial = record.dialect = record.command = UINT64_MAX;
    record.arrived_mono_ns = record.written_mono_ns = record.elapsed_ms = UINT64_MAX;
    record.argument = record.position = INT64_MAX;
    fill(record.request_id, sizeof record.request_id, 1);
    fill(record.scope, sizeof record.scope, 1);
    fill(record.who, sizeof record.who, 1);
    fill(record.from, sizeof record.from, 1);
    fill(record.text, sizeof record.text, 1);
    size_t len = write_line(&record, hash);
    assert_in_range(len, JOURNAL_LINE_MAX - 400, JOURNAL_LINE_MAX - 2);
    assert_int_equal(journal_record_read(line, len, follows, &read), ERR_OK);
    assert_int_equal(read.n, INT64_MAX);
    assert_int_equal(read.session, UINT64_MAX);
    assert_string_equal(read.text, record.text);
}

static void a_text_cut_within_a_character(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } cases[] = {{"Se\xc3\xb1", "Señ"},        {"Se\xc3", "Se?"},
                 {"\xed\xa0\x80x", "???x"},    {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
                 {"\xf0\x9f\x98", "???"},      {"\xc0\xaf\xff", "???"},
                 {"\xf4\x90\x80\x80", "????"}, {"\xe2\x82", "??"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct journal_record record = full(JOURNAL_RESULT), read;
        uint8_t hash[JOURNAL_HASH] = {0}, follows[JOURNAL_HASH] = {0};
        strcpy(record.text, cases[i].text);
        size_t len = write_line(&record, hash);
        assert_int_equal(journal_record_read(line, len, follows, &read), ERR_OK);
        assert_string_equal(read.text, cases[i].shown);
    }
}

static void garbage_is_no_record(void **state)
{
    (void)state;
    uint64_t random = 1;
    struct journal_record read;
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t hash[JOURNAL_HASH] = {0};
        struct journal_record record = full(JOURNAL_SEGMENT + i % (JOURNAL_EVENT_COUNT - 1));
        size_t len = write_line(&record, hash);
        for (unsigned k = 0; k < 1 + i % 5; k++) {
            random = hash_u64(random + 1);
            line[random % len] = (char)(random >> 32);
        }
        memset(hash, 0, sizeof hash);
        enum err_e err = journal_record_read(line, len, hash, &read);
        assert_true(err == ERR_MALFORMED || err == ERR_CORRUPT || strlen(line) == len + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lines),
        cmocka_unit_test(says_the_hash),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_start_without_an_address),
        cmocka_unit_test(every_day_is_read),
        cmocka_unit_test(an_altered_byte_never_passes),
        cmocka_unit_test(only_its_own_form),
        cmocka_unit_test(the_longest_line_has_room),
        cmocka_unit_test(a_text_cut_within_a_character),
        cmocka_unit_test(garbage_is_no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
