/* What the agent remembers of its answers, by itself; with the queue: queue_repeat_test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "recent.h"

static void answers_are_forgotten_by_age(void **state)
{
    (void)state;
    struct recent *recent = NULL;
    assert_int_equal(recent_new(4, 100, 1000, &recent), ERR_OK);
    assert_int_equal(recent_horizon_ns(recent), 1000);
    struct outcome o = {.key = {1, 2, 3}};
    recent_put(recent, &o, 1, 1010, 1020);
    assert_non_null(recent_find(recent, &o.key, 1120));
    assert_int_equal(recent_horizon_ns(recent), 1000);
    assert_null(recent_find(recent, &o.key, 1121));
    assert_int_equal(recent_horizon_ns(recent), 1010);
    for (uint64_t i = 0; i < 100; i++) {
        o.key.serial = 10 + i;
        recent_put(recent, &o, i, 2000 + i, 2000 + i);
        assert_int_equal(recent_find(recent, &o.key, 2000 + i)->seq, i);
        assert_true(recent_count(recent) <= 4);
    }
    o.key.serial = 10 + 95;
    assert_null(recent_find(recent, &o.key, 2100));
    o.key.serial = 10 + 96;
    assert_non_null(recent_find(recent, &o.key, 2100));
    assert_int_equal(recent_horizon_ns(recent), 2095);
    recent_free(&recent);
}

/* The journal's chains are replayed one after the other: a refusal that is older than the commands comes behind them, with its
 * own time until the replay ends. */
static void a_time_before_an_answer_forgets_nothing(void **state)
{
    (void)state;
    struct recent *recent = NULL;
    assert_int_equal(recent_new(4, 100, 1000, &recent), ERR_OK);
    struct outcome moved = {.key = {1, 2, 3}, .command = 1, .sent = true};
    struct outcome refused = {.key = {1, 2, 4}, .code = CODE_BUSY};
    recent_put(recent, &moved, 1, 5000, 5000);
    recent_put(recent, &refused, 2, 4000, 4000);
    assert_non_null(recent_find(recent, &moved.key, 5001));
    assert_int_equal(recent_count(recent), 2 - 1); /* the refusal is too old by then */
    recent_free(&recent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_forgotten_by_age),
        cmocka_unit_test(a_time_before_an_answer_forgets_nothing),
    };
    return cmocka_run_group_tests_name("recent", tests, NULL, NULL);
}
