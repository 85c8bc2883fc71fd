/* What of a chain a successor is told: the window, what is open however old, and times in this boot's clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "journal_memory.h"
#include "journal_numbers.h"

#define NOW_NS  (50000 * NS_PER_S)
#define WALL_MS 1700000000000ULL

static struct journal_memory memory;
static struct journal_replay replay;
static uint64_t n;

static void begin(void)
{
    struct journal_now now = {WALL_MS, NOW_NS};
    journal_memory_init(&memory, &now, "this-boot", "10.0.0.7:2000");
    n = 0;
}

/* `age_s` seconds ago. */
static struct journal_record record_of(enum journal_event_e event, uint64_t serial, uint64_t age_s)
{
    return (struct journal_record){
        .event = event,
        .n = event == JOURNAL_SEGMENT ? n : ++n,
        .wall_ms = WALL_MS - age_s * 1000,
        .mono_ns = NOW_NS - age_s * NS_PER_S,
        .serial = serial,
        .command = COMMAND_MOVE,
        .sent = true,
    };
}

static void take(struct journal_record record)
{
    journal_memory_take(&memory, &record);
}

static void note(enum journal_event_e event, uint64_t serial, uint64_t age_s)
{
    struct journal_record record = record_of(event, serial, age_s);
    if (event == JOURNAL_SEGMENT || event == JOURNAL_START)
        strcpy(record.boot, "this-boot");
    take(record);
}

static void end(void)
{
    assert_true(journal_memory_end(&memory, &replay));
    journal_memory_fini(&memory);
}

static void is(size_t i, enum journal_event_e event, uint64_t serial)
{
    assert_true(i < replay.count);
    assert_int_equal(replay.records[i].event, event);
    assert_int_equal(replay.records[i].serial, serial);
}

static void nothing_was_there(void **state)
{
    (void)state;
    begin();
    end();
    assert_int_equal(replay.count, 0);
    assert_int_equal(replay.since_ns, NOW_NS);
    free(replay.records);
}

static void ten_minutes(void **state)
{
    (void)state;
    begin();
    note(JOURNAL_SEGMENT, 0, 2000);
    note(JOURNAL_INTENT, 1, 700);
    note(JOURNAL_RESULT, 1, 699);
    note(JOURNAL_COMPLETION, 1, 690);
    note(JOURNAL_INTENT, 2, 601);
    note(JOURNAL_RESULT, 2, 600);
    note(JOURNAL_COMPLETION, 2, 590);
    end();
    assert_int_equal(replay.count, 4);
    is(0, JOURNAL_SEGMENT, 0);
    is(1, JOURNAL_INTENT, 2); /* was open when the window began */
    is(2, JOURNAL_RESULT, 2);
    is(3, JOURNAL_COMPLETION, 2);
    assert_int_equal(replay.since_ns, NOW_NS - 600 * NS_PER_S);
    free(replay.records);
}

static void what_is_open_stays(void **state)
{
    (void)state;
    begin();
    note(JOURNAL_SEGMENT, 0, 9000);
    note(JOURNAL_INTENT, 1, 8000);
    note(JOURNAL_RESULT, 1, 7999); /* a move on its way */
    struct journal_record told = record_of(JOURNAL_TOLD, 0, 7998);
    told.upto = 1;
    take(told);
    struct journal_record repeat = record_of(JOURNAL_RESULT, 2, 7997); /* no move of its own */
    repeat.repeat = true;
    take(repeat);
    told = record_of(JOURNAL_TOLD, 0, 7996);
    told.upto = 4;
    take(told);
    note(JOURNAL_LATCHED, 0, 7995);
    note(JOURNAL_INTENT, 3, 7994);
    note(JOURNAL_START, 0, 1);
    end();
    assert_int_equal(replay.count, 5);
    is(0, JOURNAL_SEGMENT, 0);
    assert_true(replay.records[0].latched);
    is(1, JOURNAL_RESULT, 1);
    is(2, JOURNAL_TOLD, 0);
    assert_int_equal(replay.records[2].upto, 4);
    is(3, JOURNAL_INTENT, 3);
    is(4, JOURNAL_START, 0);
    free(replay.records);
}

static void what_is_closed_goes(void **state)
{
    (void)state;
    begin();
    note(JOURNAL_SEGMENT, 0, 9000);
    note(JOURNAL_LATCHED, 0, 8500);
    note(JOURNAL_INTENT, 1, 8000);
    note(JOURNAL_RESULT, 1, 7999);
    note(JOURNAL_COMPLETION, 2, 7990); /* somebody else's */
    note(JOURNAL_COMPLETION, 1, 7989);
    note(JOURNAL_REARMED, 0, 7988);
    struct journal_record failed = record_of(JOURNAL_RESULT, 4, 7980);
    failed.code = CODE_OUTCOME_UNKNOWN;
    take(failed);
    end();
    assert_int_equal(replay.count, 1);
    is(0, JOURNAL_SEGMENT, 0);
    assert_false(replay.records[0].latched);
    free(replay.records);
}

static void so_many_and_no_more(void **state)
{
    (void)state;
    begin();
    note(JOURNAL_SEGMENT, 0, 500);
    for (uint64_t i = 1; i <= JOURNAL_REMEMBER + 10; i++) {
        note(JOURNAL_INTENT, i, 400 - i / 10);
        note(JOURNAL_RESULT, i, 400 - i / 10);
        note(JOURNAL_COMPLETION, i, 400 - i / 10);
    }
    end();
    is(0, JOURNAL_SEGMENT, 0);
    is(1, JOURNAL_RESULT, 10);
    is(2, JOURNAL_COMPLETION, 10); /* what follows the last result that fell out stays */
    is(3, JOURNAL_INTENT, 11);
    assert_int_equal(replay.count, 1 + 2 + 3 * JOURNAL_REMEMBER);
    assert_int_equal(replay.since_ns, NOW_NS - (400 - 1) * NS_PER_S);
    free(replay.records);
}

/* However many of what is no result. */
static void bounded_in_any_case(void **state)
{
    (void)state;
    begin();
    note(JOURNAL_SEGMENT, 0, 500);
    note(JOURNAL_INTENT, 7, 400);
    for (unsigned i = 0; i < 3 * JOURNAL_MEMORY_RECORDS; i++)
        note(JOURNAL_TOLD, 0, 300);
    end();
    assert_true(replay.count <= JOURNAL_MEMORY_RECORDS + 4);
    is(1, JOURNAL_INTENT, 7);
    assert_int_equal(replay.since_ns, NOW_NS - 300 * NS_PER_S);
    free(replay.records);
}

static struct journal_record of_boot(enum journal_event_e event, const char *boot, uint64_t wall_ago_ms,
                                     uint64_t mono_ns)
{
    struct journal_record record = record_of(event, 1, 0);
    record.wall_ms = WALL_MS - wall_ago_ms;
    record.mono_ns = mono_ns;
    strcpy(record.boot, boot);
    return record;
}

static void times_of_another_boot(void **state)
{
    (void)state;
    begin();
    take(of_boot(JOURNAL_SEGMENT, "that-boot", 400000, 777));
    struct journal_record result = of_boot(JOURNAL_RESULT, "", 300000, 99 * NS_PER_S);
    result.arrived_mono_ns = 97 * NS_PER_S;
    result.written_mono_ns = 98 * NS_PER_S;
    take(result);
    result.written_mono_ns = 0;
    result.arrived_mono_ns = 200 * NS_PER_S; /* after it was noted: nonsense */
    take(result);
    take(of_boot(JOURNAL_START, "this-boot", 100000,
                 NOW_NS - 50 * NS_PER_S)); /* the wall clock jumped since */
    take(of_boot(JOURNAL_LATCHED, "", 100000, NOW_NS - 49 * NS_PER_S));
    take(of_boot(JOURNAL_START, "a-third", 0, 5));
    struct journal_record ahead = of_boot(JOURNAL_TOLD, "", 0, 6);
    ahead.wall_ms = WALL_MS + 1000000;
    take(ahead);
    end();
    assert_int_equal(replay.count, 7);
    assert_int_equal(replay.records[0].mono_ns, NOW_NS - 400 * NS_PER_S);
    assert_int_equal(replay.records[1].mono_ns, NOW_NS - 300 * NS_PER_S);
    assert_int_equal(replay.records[1].arrived_mono_ns, NOW_NS - 302 * NS_PER_S);
    assert_int_equal(replay.records[1].written_mono_ns, NOW_NS - 301 * NS_PER_S);
    assert_int_equal(replay.records[2].arrived_mono_ns, NOW_NS - 300 * NS_PER_S);
    assert_int_equal(replay.records[2].written_mono_ns, 0);
    assert_int_equal(replay.records[4].mono_ns, NOW_NS - 49 * NS_PER_S);
    assert_int_equal(replay.records[6].mono_ns, NOW_NS);
    assert_int_equal(replay.since_ns, NOW_NS - 400 * NS_PER_S);
    free(replay.records);
}

static void a_host_that_just_booted(void **state)
{
    (void)state;
    struct journal_now now = {WALL_MS, 30 * NS_PER_S};
    n = 0;
    journal_memory_init(&memory, &now, "this-boot", "10.0.0.7:2000");
    take(of_boot(JOURNAL_SEGMENT, "that-boot", 100000, 777));
    struct journal_record result = of_boot(JOURNAL_RESULT, "", 90000, 99 * NS_PER_S);
    result.written_mono_ns = 98 * NS_PER_S;
    take(result);
    end();
    assert_int_equal(replay.count, 2);
    assert_int_equal(replay.records[1].mono_ns, 1);
    assert_int_equal(replay.records[1].written_mono_ns, 1);
    assert_int_equal(replay.since_ns, 1);
    free(replay.records);
}

/* Two boots whose names cannot be known are not the same. */
static void no_boot_is_no_boot(void **state)
{
    (void)state;
    struct journal_now now = {WALL_MS, NOW_NS};
    n = 0;
    journal_memory_init(&memory, &now, "", "");
    take(of_boot(JOURNAL_SEGMENT, "", 1000, 77));
    end();
    assert_int_equal(replay.records[0].mono_ns, NOW_NS - NS_PER_S);
    free(replay.records);
}

static void a_broken_chain_counts_for_nothing(void **state)
{
    (void)state;
    begin();
    note(JOURNAL_SEGMENT, 0, 100);
    note(JOURNAL_LATCHED, 0, 99);
    note(JOURNAL_INTENT, 1, 98);
    journal_memory_broken(&memory);
    note(JOURNAL_SEGMENT, 0, 50);
    note(JOURNAL_RESULT, 2, 49);
    end();
    assert_int_equal(replay.since_ns, NOW_NS - 50 * NS_PER_S);
    assert_int_equal(replay.count, 3);
    assert_true(replay.records[0].latched);
    is(1, JOURNAL_SEGMENT, 0);
    is(2, JOURNAL_RESULT, 2);
    free(replay.records);
    begin();
    note(JOURNAL_SEGMENT, 0, 100);
    journal_memory_broken(&memory);
    end();
    assert_int_equal(replay.since_ns, NOW_NS);
    assert_int_equal(replay.count, 1);
    free(replay.records);
}

static void takes_over(enum journal_event_e event, const char *plc, uint64_t age_s)
{
    struct journal_record record = record_of(event, 0, age_s);
    strcpy(record.boot, "this-boot");
    strcpy(record.plc, plc);
    take(record);
}

static void went_elsewhere(size_t i, bool expected)
{
    assert_true(i < replay.count);
    if (replay.records[i].elsewhere != expected)
        fail_msg("record %zu: elsewhere is not %d", i, expected);
}

/* Also of what is older than the window, and when only the segment's head says it. */
static void whose_plc_it_went_to(void **state)
{
    (void)state;
    begin();
    takes_over(JOURNAL_SEGMENT, "10.0.0.8:2000", 9000); /* the agent before had begun its segment's end */
    note(JOURNAL_INTENT, 1, 8000);
    note(JOURNAL_RESULT, 1, 7999); /* a move on its way */
    takes_over(JOURNAL_START, "10.0.0.9:2000", 7000);
    note(JOURNAL_INTENT, 2, 6999);
    takes_over(JOURNAL_START, "", 500); /* an older agent, which does not tell */
    note(JOURNAL_INTENT, 3, 400);
    takes_over(JOURNAL_START, "10.0.0.7:2000", 300);
    note(JOURNAL_INTENT, 4, 290);
    takes_over(JOURNAL_START, "10.0.0.7:2001", 200);
    note(JOURNAL_INTENT, 5, 190);
    takes_over(JOURNAL_SEGMENT, "10.0.0.7:2000", 100);
    note(JOURNAL_INTENT, 6, 90);
    end();
    static const struct {
        enum journal_event_e event;
        uint64_t serial;
        bool elsewhere;
    } expected[] = {
        {JOURNAL_SEGMENT, 0, true},  {JOURNAL_RESULT, 1, true},  {JOURNAL_INTENT, 2, true},
        {JOURNAL_START, 0, false},   {JOURNAL_INTENT, 3, false}, {JOURNAL_START, 0, false},
        {JOURNAL_INTENT, 4, false},  {JOURNAL_START, 0, true},   {JOURNAL_INTENT, 5, true},
        {JOURNAL_SEGMENT, 0, false}, {JOURNAL_INTENT, 6, false},
    };
    assert_int_equal(replay.count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < replay.count; i++) {
        is(i, expected[i].event, expected[i].serial);
        went_elsewhere(i, expected[i].elsewhere);
    }
    free(replay.records);
}

/* A journal of before addresses were noted; and an agent that does not know its own. */
static void no_address_is_the_same(void **state)
{
    (void)state;
    begin();
    note(JOURNAL_SEGMENT, 0, 100);
    note(JOURNAL_START, 0, 99);
    note(JOURNAL_INTENT, 1, 98);
    end();
    for (size_t i = 0; i < 3; i++)
        went_elsewhere(i, false);
    free(replay.records);
    begin();
    memory.plc[0] = '\0';
    takes_over(JOURNAL_SEGMENT, "10.0.0.8:2000", 100);
    note(JOURNAL_INTENT, 1, 98);
    end();
    went_elsewhere(1, false);
    free(replay.records);
}

static void numbers_of_append(void **state)
{
    (void)state;
    static struct journal_numbers numbers;
    numbers.replayed = 40;
    journal_numbers_reset(&numbers, 41);
    assert_int_equal(journal_numbers_find(&numbers, 0), 40);
    for (uint64_t i = 1; i <= 3000; i++)
        assert_int_equal(journal_numbers_add(&numbers, 2 * i), 41 + i);
    assert_int_equal(journal_numbers_find(&numbers, 100), 40); /* too long ago to know */
    assert_int_equal(journal_numbers_find(&numbers, 5001), 41 + 2500);
    assert_int_equal(journal_numbers_find(&numbers, 5000), 41 + 2500);
    assert_int_equal(journal_numbers_find(&numbers, 4999), 41 + 2500); /* told is told */
    assert_int_equal(journal_numbers_find(&numbers, 999999), 41 + 3000);
    journal_numbers_reset(&numbers, 2000); /* the files held less */
    assert_int_equal(journal_numbers_find(&numbers, 999999), 2000);
    assert_int_equal(journal_numbers_add(&numbers, 7000), 2001);
    assert_int_equal(journal_numbers_find(&numbers, 6999), 2000);
    assert_int_equal(journal_numbers_find(&numbers, 7000), 2001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_was_there),     cmocka_unit_test(ten_minutes),
        cmocka_unit_test(what_is_open_stays),    cmocka_unit_test(what_is_closed_goes),
        cmocka_unit_test(so_many_and_no_more),   cmocka_unit_test(bounded_in_any_case),
        cmocka_unit_test(times_of_another_boot), cmocka_unit_test(a_host_that_just_booted),
        cmocka_unit_test(no_boot_is_no_boot),    cmocka_unit_test(a_broken_chain_counts_for_nothing),
        cmocka_unit_test(whose_plc_it_went_to),  cmocka_unit_test(no_address_is_the_same),
        cmocka_unit_test(numbers_of_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
