/* drain_test.c — clients told to go, on a manual clock: evenly, whatever comes and goes meanwhile; who is not through last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"
#include "drain.h"

#define CROWD_MAX 20000u

struct guest {
    bool here, busy;
    uint64_t told_ns;
};

static struct crowd {
    struct guest guests[CROWD_MAX];
    size_t open;
    uint64_t opened, asked;
    struct clock_manual clock;
    struct drain drain;
    uint64_t visit_ns; /* what a look at a client costs */
} crowd;

static size_t open_count(void *arg)
{
    return ((struct crowd *)arg)->open;
}

static uint64_t opened_count(void *arg)
{
    return ((struct crowd *)arg)->opened;
}

static void *next(void *arg, size_t *cursor)
{
    struct crowd *c = arg;
    for (; *cursor < CROWD_MAX; ++*cursor)
        if (c->guests[*cursor].here)
            return &c->guests[(*cursor)++];
    return NULL;
}

static bool fit(void *arg, void *client)
{
    struct crowd *c = arg;
    c->asked++;
    clock_manual_advance_ns(&c->clock, c->visit_ns);
    return !((struct guest *)client)->busy;
}

static void go(void *arg, void *client)
{
    struct crowd *c = arg;
    struct guest *guest = client;
    assert_true(guest->here);
    guest->here = false;
    guest->told_ns = clock_mono_ns(&c->clock.clock);
    c->open--;
}

static const struct drain_ops ops = {open_count, opened_count, next, fit, go};

static void come(size_t count)
{
    for (size_t i = 0; i < CROWD_MAX && count > 0; i++)
        if (!crowd.guests[i].here && crowd.guests[i].told_ns == 0) {
            crowd.guests[i] = (struct guest){.here = true};
            crowd.open++;
            crowd.opened++;
            count--;
        }
}

static void leave(size_t index)
{
    assert_true(crowd.guests[index].here);
    crowd.guests[index].here = false;
    crowd.guests[index].told_ns = UINT64_MAX;
    crowd.open--;
}

static int setup(void **state)
{
    (void)state;
    crowd = (struct crowd){0};
    clock_manual_init(&crowd.clock, 1000 * NS_PER_S, 0);
    return 0;
}

static void begin(uint32_t window_ms)
{
    drain_begin(&crowd.drain, &ops, &crowd, &crowd.clock.clock, window_ms);
}

static bool turn_after_ms(uint64_t ms)
{
    clock_manual_advance_ns(&crowd.clock, ms * NS_PER_MS);
    return drain_turn(&crowd.drain, 2 * NS_PER_MS);
}

/* At every moment the share of those who were told is the share of the window that has passed, to one client. */
static void evenly_over_the_window(void **state)
{
    (void)state;
    const size_t counts[] = {1, 2, 5, 97, 10000};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        setup(NULL);
        come(counts[k]);
        begin(10000);
        assert_false(drain_turn(&crowd.drain, 2 * NS_PER_MS) && counts[k] > 1);
        for (uint64_t ms = 0; ms < 10000; ms += 5) {
            uint64_t due = counts[k] * ms / 10000 + 1;
            uint64_t told = counts[k] - crowd.open;
            assert_in_range(told, due > 1 ? due - 1 : 1, due);
            (void)turn_after_ms(5);
        }
        assert_true(drain_window_over(&crowd.drain));
        assert_int_equal(crowd.open, 0);
        assert_int_equal(crowd.drain.told, counts[k]);
        assert_int_equal(crowd.drain.told_late, 0);
    }
}

static void nobody_is_there(void **state)
{
    (void)state;
    begin(1000);
    assert_false(drain_turn(&crowd.drain, NS_PER_MS));
    assert_true(turn_after_ms(1000));
}

static void a_window_of_nothing_is_at_once(void **state)
{
    (void)state;
    come(1000);
    begin(0);
    assert_true(drain_turn(&crowd.drain, NS_PER_S));
    assert_int_equal(crowd.drain.told, 1000);
}

/* Who waits for an answer is passed by, told when it is through, or at the end. */
static void who_is_busy_goes_last(void **state)
{
    (void)state;
    come(10);
    crowd.guests[0].busy = crowd.guests[1].busy = true;
    begin(1000);
    for (unsigned i = 0; i < 85; i++)
        assert_false(turn_after_ms(10));
    assert_int_equal(crowd.open, 2);
    assert_true(crowd.guests[0].here && crowd.guests[1].here);
    crowd.guests[1].busy = false;
    assert_false(turn_after_ms(100));
    assert_false(crowd.guests[1].here);
    assert_true(crowd.guests[0].here);
    assert_true(turn_after_ms(100));
    assert_false(crowd.guests[0].here);
    assert_int_equal(crowd.drain.told_late, 1);
    assert_int_equal(crowd.drain.told, 10);
}

static void those_who_go_by_themselves_count(void **state)
{
    (void)state;
    come(10);
    begin(1000);
    assert_false(drain_turn(&crowd.drain, NS_PER_MS));
    for (size_t i = 5; i < 10; i++)
        leave(i);
    assert_false(turn_after_ms(500)); /* six are due, and six are gone */
    assert_int_equal(crowd.drain.told, 1);
    assert_false(turn_after_ms(100));
    assert_int_equal(crowd.drain.told, 2);
}

static void those_who_come_meanwhile_go_too(void **state)
{
    (void)state;
    come(4);
    begin(1000);
    assert_false(turn_after_ms(500));
    assert_int_equal(crowd.drain.told, 3);
    come(4);
    assert_false(turn_after_ms(250)); /* seven of eight */
    assert_int_equal(crowd.drain.told, 7);
    come(2);
    assert_true(turn_after_ms(250));
    assert_int_equal(crowd.drain.told, 10);
    come(1);
    assert_true(turn_after_ms(10));
    assert_int_equal(crowd.open, 0);
}

/* However many are due at once: no turn takes longer than its budget and a portion. */
static void a_turn_keeps_its_budget(void **state)
{
    (void)state;
    come(10000);
    crowd.visit_ns = 50 * NS_PER_US;
    begin(0);
    unsigned turns = 0;
    bool over = false;
    while (!over) {
        uint64_t before = clock_mono_ns(&crowd.clock.clock);
        over = drain_turn(&crowd.drain, 2 * NS_PER_MS);
        assert_in_range(clock_mono_ns(&crowd.clock.clock) - before, 0, 3 * NS_PER_MS);
        assert_in_range(++turns, 1, 400);
    }
    assert_int_equal(crowd.drain.told, 10000);
}

/* All are busy: each is asked once per turn, and nothing turns for ever. */
static void all_are_busy(void **state)
{
    (void)state;
    come(50);
    for (size_t i = 0; i < 50; i++)
        crowd.guests[i].busy = true;
    begin(1000);
    assert_false(turn_after_ms(900));
    assert_int_equal(crowd.asked, 50);
    assert_int_equal(crowd.open, 50);
    assert_true(turn_after_ms(100));
    assert_int_equal(crowd.drain.told_late, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(evenly_over_the_window, setup),
        cmocka_unit_test_setup(nobody_is_there, setup),
        cmocka_unit_test_setup(a_window_of_nothing_is_at_once, setup),
        cmocka_unit_test_setup(who_is_busy_goes_last, setup),
        cmocka_unit_test_setup(those_who_go_by_themselves_count, setup),
        cmocka_unit_test_setup(those_who_come_meanwhile_go_too, setup),
        cmocka_unit_test_setup(a_turn_keeps_its_budget, setup),
        cmocka_unit_test_setup(all_are_busy, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
