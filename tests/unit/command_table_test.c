/* command table: states, deadlines with times as numbers, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "command_table.h"

#define MS   NS_PER_MS
#define T0   (1000 * NS_PER_S)
#define HOLD (T0 + 1000 * MS)

static struct command_table table;
static struct list_node machine;

static int set_up(void **state)
{
    (void)state;
    list_init(&machine);
    return command_table_init(&table, 4, 3, 99) == ERR_OK ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    command_table_fini(&table);
    return 0;
}

static struct command_key key(uint64_t serial)
{
    return (struct command_key){1, 2, serial};
}

/* A command that arrived at T0 with two seconds to go and is given up a second after. */
static struct command_entry *add(uint64_t serial)
{
    struct command_key k = key(serial);
    struct command_entry *entry = command_table_add(&table, &k, &machine);
    if (entry != NULL) {
        entry->ask->deadline_ns = T0 + 2000 * MS;
        entry->ask->give_up_ns = T0 + 3000 * MS;
    }
    return entry;
}

static struct command_entry *find(uint64_t serial)
{
    struct command_key k = key(serial);
    return command_table_find(&table, &k);
}

static void a_command_goes_from_held_to_handed_to_answered(void **state)
{
    (void)state;
    struct command_entry *entry = add(1);
    assert_ptr_equal(find(1), entry);
    assert_null(find(2));
    assert_int_equal(entry->state, COMMAND_HELD);
    assert_ptr_equal(machine.next, &entry->at_machine);
    command_table_handed(entry, 77);
    assert_int_equal(entry->state, COMMAND_HANDED);
    assert_int_equal(table.live_count, 1);
    struct command_key k = key(1);
    assert_ptr_equal(command_table_note_answered(&table, &k, true), entry);
    assert_int_equal(find(1)->state, COMMAND_ANSWERED);
    assert_null(entry->ask);
    assert_int_equal(table.live_count, 0);
    assert_true(list_empty(&machine));
    assert_null(command_table_add(&table, &k, &machine)); /* the key is taken */
}

static void live_commands_are_bounded_and_the_oldest_answers_forgotten(void **state)
{
    (void)state;
    for (uint64_t serial = 1; serial <= 4; serial++)
        assert_non_null(add(serial));
    assert_null(add(5));
    for (uint64_t serial = 11; serial <= 13; serial++) {
        struct command_key k = key(serial);
        command_table_note_answered(&table, &k, true);
    }
    assert_non_null(find(11));
    struct command_key k = key(14);
    command_table_note_answered(&table, &k, true); /* live ones stay, whatever is answered */
    assert_null(find(11));
    assert_int_equal(find(14)->state, COMMAND_ANSWERED);
    for (uint64_t serial = 1; serial <= 4; serial++)
        assert_int_equal(find(serial)->state, COMMAND_HELD);
    k = key(2);
    command_table_note_answered(&table, &k, true);
    assert_non_null(add(5));
    assert_null(add(6));
    assert_int_equal(find(2)->state, COMMAND_ANSWERED);
}

static void a_churn_of_commands_stays_within_its_memory(void **state)
{
    (void)state;
    for (uint64_t serial = 1; serial < 20000; serial++) {
        struct command_entry *entry = add(serial);
        assert_non_null(entry);
        if (serial % 3 == 0)
            command_table_handed(entry, 1);
        struct command_key k = key(serial);
        command_table_note_answered(&table, &k, serial % 2 == 0);
        if (serial > 6) /* three of each sort */
            assert_null(find(serial - 6));
        assert_non_null(find(serial));
    }
    assert_true(table.used <= 7 + 1);
    assert_int_equal(table.by_hash.count, 6);
    assert_int_equal(table.asks_used, 1);
}

/* However many are refused to their callers alone, what subscribers have read is not forgotten; and a key that was refused
 * and then has a public record is of the other sort, and the newest. */
static void what_is_public_outlasts_what_was_refused(void **state)
{
    (void)state;
    for (uint64_t serial = 1; serial <= 2; serial++) {
        struct command_key k = key(serial);
        command_table_note_answered(&table, &k, serial == 1)->completed = true;
    }
    struct command_key second = key(2), first = key(1);
    command_table_note_answered(&table, &second, true);
    for (uint64_t serial = 100; serial < 200; serial++) {
        struct command_key k = key(serial);
        command_table_note_answered(&table, &k, false);
    }
    assert_true(find(1)->completed && find(2)->completed);
    assert_null(find(196));
    assert_non_null(find(197));
    command_table_note_answered(&table, &first,
                                false); /* one more word of it: public for good, and the newest */
    for (uint64_t serial = 200; serial < 202; serial++) {
        struct command_key k = key(serial);
        command_table_note_answered(&table, &k, true);
    }
    assert_null(find(2));
    assert_true(find(1)->completed);
    assert_non_null(find(199));
}

static void noting_an_answer_ends_a_live_command(void **state)
{
    (void)state;
    struct command_key k = key(1);
    add(1);
    command_table_note_answered(&table, &k, false);
    assert_int_equal(find(1)->state, COMMAND_ANSWERED);
    assert_int_equal(table.live_count, 0);
    command_table_note_answered(&table, &k, false);
    assert_int_equal(table.by_hash.count, 1);
}

static void what_was_handed_over_ends_as_unknown(void **state)
{
    (void)state;
    struct command_entry *entry = add(1);
    command_table_handed(entry, 77);
    assert_int_equal(command_table_verdict(entry, T0 + 2999 * MS, HOLD, true), CODE_NONE);
    assert_int_equal(command_table_verdict(entry, T0 + 2999 * MS, HOLD, false), CODE_NONE);
    assert_int_equal(command_table_verdict(entry, T0 + 3000 * MS, HOLD, true), CODE_OUTCOME_UNKNOWN);
    assert_int_equal(command_table_verdict(entry, T0 + 3000 * MS, HOLD, false), CODE_OUTCOME_UNKNOWN);
}

static void what_was_not_ends_as_what_it_is(void **state)
{
    (void)state;
    struct command_entry *entry = add(1);
    assert_int_equal(command_table_verdict(entry, HOLD - 1, HOLD, false), CODE_NONE);
    assert_int_equal(command_table_verdict(entry, HOLD, HOLD, false), CODE_CONNECTION_ERROR);
    assert_int_equal(command_table_verdict(entry, HOLD, HOLD, true), CODE_NONE);
    assert_int_equal(command_table_verdict(entry, T0 + 2000 * MS, HOLD, true), CODE_TIMEOUT);
    assert_int_equal(command_table_verdict(entry, T0 + 2000 * MS, T0 + 9000 * MS, false), CODE_TIMEOUT);
    entry->ask->resent = true; /* a broker that is gone may have handed it over */
    assert_int_equal(command_table_verdict(entry, T0 + 2999 * MS, HOLD, false), CODE_NONE);
    assert_int_equal(command_table_verdict(entry, T0 + 3000 * MS, HOLD, false), CODE_OUTCOME_UNKNOWN);
}

static void time_left_is_never_negative(void **state)
{
    (void)state;
    struct command_entry *entry = add(1);
    assert_int_equal(command_table_left_ms(entry->ask, T0), 2000);
    assert_int_equal(command_table_left_ms(entry->ask, T0 + 1), 1999);
    assert_int_equal(command_table_left_ms(entry->ask, T0 + 2000 * MS), 0);
    assert_int_equal(command_table_left_ms(entry->ask, UINT64_MAX), 0);
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static struct command_entry *add_request(uint64_t serial, const char *scope, const char *request_id)
{
    struct command_entry *entry = add(serial);
    strcpy(entry->ask->scope, scope);
    strcpy(entry->ask->request_id, request_id);
    entry->ask->received_ns = T0;
    return entry;
}

static void a_request_handed_over_before_is_as_old_and_resent(void **state)
{
    (void)state;
    struct command_entry *first = add_request(1, "u:", "r");
    first->ask->age_ms = 100;
    struct command_entry *second = add_request(2, "u:", "r");
    command_table_inherit(second, &machine, T0 + 50 * MS);
    assert_false(second->ask->resent); /* the first is only held: nothing can have been done */
    command_table_handed(first, 7);
    command_table_inherit(second, &machine, T0 + 50 * MS);
    assert_true(second->ask->resent);
    assert_int_equal(second->ask->age_ms, 150);
    struct command_entry *third = add_request(3, "u:", "r2");
    command_table_inherit(third, &machine, T0 + 50 * MS);
    assert_false(third->ask->resent);
    strcpy(third->ask->request_id, "r");
    strcpy(third->ask->scope, "p:x");
    command_table_inherit(third, &machine, T0 + 50 * MS);
    assert_false(third->ask->resent);
    third->ask->scope[0] = '\0'; /* no scope, no request */
    first->ask->scope[0] = second->ask->scope[0] = '\0';
    command_table_inherit(third, &machine, T0 + 50 * MS);
    assert_false(third->ask->resent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_command_goes_from_held_to_handed_to_answered),
        PLAY(live_commands_are_bounded_and_the_oldest_answers_forgotten),
        PLAY(a_churn_of_commands_stays_within_its_memory),
        PLAY(what_is_public_outlasts_what_was_refused),
        PLAY(noting_an_answer_ends_a_live_command),
        PLAY(what_was_handed_over_ends_as_unknown),
        PLAY(what_was_not_ends_as_what_it_is),
        PLAY(time_left_is_never_negative),
        PLAY(a_request_handed_over_before_is_as_old_and_resent),
    };
    return cmocka_run_group_tests_name("command_table", tests, NULL, NULL);
}
