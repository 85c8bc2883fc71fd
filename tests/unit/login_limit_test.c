/* login_limit: token buckets, by a clock that is a number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "login_limit.h"

#define S 1000000000ULL

static struct login_limit limit;

static int set_up(void **state)
{
    (void)state;
    login_limit_init(&limit, 3, 6 * S, 42);
    return 0;
}

static uint64_t take(uint64_t key, uint64_t now)
{
    return login_limit_take(&limit, key, now);
}

static void so_many_at_once_and_one_more_each(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(7, 1), 0);
    assert_int_equal(take(7, 1), 6 * S);
    assert_int_equal(take(7, 1), 6 * S); /* asking costs nothing */
    assert_int_equal(take(7, 1 + 6 * S - 1), 1);
    assert_int_equal(take(7, 1 + 6 * S), 0);
    assert_int_equal(take(7, 1 + 6 * S), 6 * S);
    assert_int_equal(take(8, 1), 0); /* another is another */
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(7, 1000 * S), 0); /* never more than three */
    assert_int_equal(take(7, 1000 * S), 6 * S);
}

static void what_is_given_back_is_there(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(take(7, 5), 0);
        login_limit_give(&limit, 7, 5);
    }
    for (int i = 0; i < 10; i++)
        login_limit_give(&limit, 7, 5); /* more than was taken */
    login_limit_give(&limit, 9, 5);     /* to nobody */
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(7, 5), 0);
    assert_int_equal(take(7, 5), 6 * S);
}

/* Nobody gets another's tries by filling the table: those with more left give way first. */
static void the_fullest_gives_way(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(5, 1), 0);
    for (uint64_t k = 1; k <= 100; k++) /* the same set */
        assert_int_equal(take(5 + k * LOGIN_LIMIT_SETS, 1), 0);
    assert_int_equal(take(5, 1), 6 * S);
}

static void the_table_does_not_grow(void **state)
{
    (void)state;
    for (uint64_t k = 1; k < 100000; k++) {
        uint64_t key = login_limit_key(&limit, &k, sizeof k);
        assert_int_not_equal(key, 0);
        assert_int_equal(take(key, k), 0);
    }
}

static void keys_depend_on_the_seed(void **state)
{
    (void)state;
    struct login_limit *other = calloc(1, sizeof *other);
    login_limit_init(other, 3, 6 * S, 43);
    assert_int_not_equal(login_limit_key(&limit, "ana", 3), login_limit_key(other, "ana", 3));
    assert_int_equal(login_limit_key(&limit, "ana", 3), login_limit_key(&limit, "ana", 3));
    assert_int_not_equal(login_limit_key(&limit, "ana", 3), login_limit_key(&limit, "anb", 3));
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(so_many_at_once_and_one_more_each, set_up),
        cmocka_unit_test_setup(what_is_given_back_is_there, set_up),
        cmocka_unit_test_setup(the_fullest_gives_way, set_up),
        cmocka_unit_test_setup(the_table_does_not_grow, set_up),
        cmocka_unit_test_setup(keys_depend_on_the_seed, set_up),
    };
    return cmocka_run_group_tests_name("login_limit", tests, NULL, NULL);
}
