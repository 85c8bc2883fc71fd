/* expiry: who is told, when, and once; by a clock that is set by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "expiry.h"

#define WALL 1800000000000ULL

struct stand {
    struct clock_manual clock;
    struct expiry expiry;
    unsigned told[4096], count;
    uint64_t forgets; /* when one is told, this one is forgotten */
};

static struct stand stand;

static void on_expired(void *arg, void *what)
{
    assert_ptr_equal(arg, &stand);
    stand.told[(uintptr_t)what]++;
    stand.count++;
    if (stand.forgets != 0)
        expiry_forget(&stand.expiry, stand.forgets);
}

static int set_up(void **state)
{
    (void)state;
    memset(&stand, 0, sizeof stand);
    clock_manual_init(&stand.clock, 12345, WALL);
    return expiry_init(&stand.expiry, &stand.clock.clock, on_expired, &stand) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    expiry_fini(&stand.expiry);
    return 0;
}

static void watch(uint64_t number, uint64_t in_ms)
{
    assert_int_equal(expiry_watch(&stand.expiry, number, WALL + in_ms, (void *)(uintptr_t)number), ERR_OK);
}

static void pass_ms(uint64_t ms)
{
    clock_manual_advance_ns(&stand.clock, ms * NS_PER_MS);
    expiry_sweep(&stand.expiry);
}

static void told_once_and_not_before(void **state)
{
    (void)state;
    watch(1, 2000);
    watch(2, 5000);
    pass_ms(1999);
    assert_int_equal(stand.count, 0);
    pass_ms(EXPIRY_TICK_MS + 1); /* a tick of the wheel, and one millisecond more */
    assert_int_equal(stand.told[1], 1);
    pass_ms(1000);
    assert_int_equal(stand.count, 1);
    pass_ms(2000);
    assert_int_equal(stand.told[2], 1);
    pass_ms(100000);
    assert_int_equal(stand.count, 2);
    assert_int_equal(stand.expiry.by_number.count, 0);
    assert_int_equal(stand.expiry.wheel.count, 0);
}

static void who_is_forgotten_is_not_told(void **state)
{
    (void)state;
    watch(1, 1000);
    watch(2, 1000);
    watch(3, 1000);
    expiry_forget(&stand.expiry, 2);
    expiry_forget(&stand.expiry, 2);
    expiry_forget(&stand.expiry, 99);
    stand.forgets = 3; /* while 1 is told, or 1 while 3 is */
    pass_ms(2000);
    assert_int_equal(stand.told[2], 0);
    assert_int_equal(stand.told[1], 1);
    assert_true(stand.told[3] <= 1);
    assert_int_equal(stand.expiry.by_number.count, 0);
}

/* A token of a day, swept ten times a second: due at each look, told at the end. */
static void days(void **state)
{
    (void)state;
    watch(1, 86400000);
    for (int i = 0; i < 864000 - 1; i++)
        pass_ms(100);
    assert_int_equal(stand.count, 0);
    pass_ms(100);
    pass_ms(100);
    assert_int_equal(stand.count, 1);
}

/* The wall clock is set: an hour forth, and the token is over within a look; an hour back, and it goes on. */
static void the_wall_clock_is_set(void **state)
{
    (void)state;
    watch(1, 3600000);
    watch(2, 1000);
    stand.clock.wall_now_ms -= 3600000;
    pass_ms(2000);
    assert_int_equal(stand.count, 0); /* not at its old time */
    stand.clock.wall_now_ms += 3600000;
    pass_ms(EXPIRY_LOOK_MS + EXPIRY_TICK_MS);
    assert_int_equal(stand.told[2], 1);
    assert_int_equal(stand.told[1], 0);
    stand.clock.wall_now_ms += 3600000;
    pass_ms(EXPIRY_LOOK_MS + EXPIRY_TICK_MS);
    assert_int_equal(stand.told[1], 1);
}

static void who_comes_too_late(void **state)
{
    (void)state;
    stand.clock.wall_now_ms += 1000;
    watch(1, 0); /* it expired while it was let in */
    pass_ms(EXPIRY_TICK_MS);
    pass_ms(EXPIRY_TICK_MS);
    assert_int_equal(stand.told[1], 1);
}

static void many_at_once_in_slices(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 2500; i++)
        watch(i, 1000);
    pass_ms(2000);
    assert_int_equal(stand.count, EXPIRY_AT_ONCE);
    expiry_sweep(&stand.expiry);
    expiry_sweep(&stand.expiry);
    assert_int_equal(stand.count, 2500);
    for (unsigned i = 1; i <= 2500; i++)
        assert_int_equal(stand.told[i], 1);
}

/* Those who are watched when it ends are nobody's leak. */
static void it_ends_with_some_watched(void **state)
{
    (void)state;
    watch(1, 1000);
    watch(2, 2000);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(told_once_and_not_before),  CASE(who_is_forgotten_is_not_told), CASE(days),
        CASE(the_wall_clock_is_set),     CASE(who_comes_too_late),           CASE(many_at_once_in_slices),
        CASE(it_ends_with_some_watched),
    };
    return cmocka_run_group_tests_name("expiry", tests, NULL, NULL);
}
