/* pending: keys, shares, time limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "caller.h"
#include "clock.h"
#include "must.h"
#include "pending.h"

static struct caller caller_named(uint64_t serial)
{
    return (struct caller){.serial = serial};
}

static const struct endpoint_command move = {.machine = "m", .command = 1, .argument = 7, .deadline_ms = -1};

static void entries_are_found_by_session_and_serial(void **state)
{
    (void)state;
    struct pending pending;
    struct caller a = caller_named(1), b = caller_named(2);
    assert_int_equal(pending_init(&pending), ERR_OK);
    struct pending_entry *first = pending_add(&pending, &a, &move, 0, 10),
                         *second = pending_add(&pending, &a, &move, 0, 10);
    struct pending_entry *other = pending_add(&pending, &b, &move, 0, 10);
    assert_int_equal(first->command_serial, 1);
    assert_int_equal(second->command_serial, 2);
    assert_ptr_equal(pending_find(&pending, 1, 2), second);
    assert_ptr_equal(pending_find(&pending, 2, 1), other);
    assert_null(pending_find(&pending, 2, 2));
    pending_remove(&pending, first);
    assert_null(pending_find(&pending, 1, 1));
    assert_int_equal(a.pending, 1);
    pending_drop_caller(&pending, &a);
    assert_int_equal(a.pending, 0);
    assert_int_equal(pending.used, 1);
    assert_null(pending_find(&pending, 1, 2));
    pending_fini(&pending);
}

static void a_client_has_its_share_and_the_table_its_end(void **state)
{
    (void)state;
    static struct caller callers[PENDING_MAX / PENDING_PER_CALLER + 1];
    struct pending pending;
    assert_int_equal(pending_init(&pending), ERR_OK);
    size_t full = ARRAY_LEN(callers) - 1;
    for (size_t i = 0; i <= full; i++) {
        callers[i] = caller_named(i + 1);
        for (unsigned n = 0; n < PENDING_PER_CALLER; n++)
            assert_int_equal(pending_add(&pending, &callers[i], &move, 0, 1) != NULL, i < full);
        assert_null(pending_add(&pending, &callers[i], &move, 0, 1));
    }
    assert_int_equal(pending.used, PENDING_MAX);
    for (size_t i = 0; i < full; i++)
        pending_drop_caller(&pending, &callers[i]);
    assert_int_equal(pending.used, 0);
    assert_int_equal(pending.by_key.count, 0);
    assert_non_null(pending_add(&pending, &callers[full], &move, 0, 1));
    pending_fini(&pending);
}

static void an_unsent_command_fails_at_its_deadline_a_sent_one_is_unknown_later(void **state)
{
    (void)state;
    struct pending_entry entry = {.deadline_ns = 5 * NS_PER_S};
    assert_int_equal(pending_verdict(&entry, 5 * NS_PER_S - 1), CODE_NONE);
    assert_int_equal(pending_verdict(&entry, 5 * NS_PER_S), CODE_CONNECTION_ERROR);
    entry.taken = true;
    assert_int_equal(pending_verdict(&entry, 5 * NS_PER_S), CODE_NONE);
    assert_int_equal(pending_verdict(&entry, 5 * NS_PER_S + PENDING_GRACE_NS - 1), CODE_NONE);
    assert_int_equal(pending_verdict(&entry, 5 * NS_PER_S + PENDING_GRACE_NS), CODE_OUTCOME_UNKNOWN);
}

static void remove_each(void *arg, struct pending_entry *entry)
{
    struct pending *pending = arg;
    if (entry->command_serial % 2 == 0)
        pending_remove(pending, entry);
}

static void each_may_remove(void **state)
{
    (void)state;
    struct pending pending;
    struct caller a = caller_named(1);
    assert_int_equal(pending_init(&pending), ERR_OK);
    for (int i = 0; i < 10; i++)
        pending_add(&pending, &a, &move, 0, 1);
    pending_each(&pending, remove_each, &pending);
    assert_int_equal(pending.used, 5);
    assert_non_null(pending_find(&pending, 1, 9));
    pending_fini(&pending);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_found_by_session_and_serial),
        cmocka_unit_test(a_client_has_its_share_and_the_table_its_end),
        cmocka_unit_test(an_unsent_command_fails_at_its_deadline_a_sent_one_is_unknown_later),
        cmocka_unit_test(each_may_remove),
    };
    return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
