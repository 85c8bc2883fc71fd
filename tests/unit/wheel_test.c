#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clock.h"
#include "must.h"
#include "wheel.h"

#define TICK 10u

struct timed {
    struct wheel_node node;
    uint64_t due; /* 0: not started */
    unsigned fired;
};

static struct wheel *make(size_t slots, uint64_t now)
{
    static struct wheel wheel;
    assert_int_equal(wheel_init(&wheel, TICK, slots, now), ERR_OK);
    return &wheel;
}

static struct timed *take(struct wheel *wheel, uint64_t now)
{
    struct wheel_node *node = wheel_take(wheel, now);
    return node ? LIST_ENTRY(node, struct timed, node) : NULL;
}

static void never_early_and_at_most_a_tick_late(void **state)
{
    (void)state;
    for (uint64_t due = 1001; due < 1400; due += 7) {
        struct wheel *wheel = make(8, 1000);
        struct timed timed = {0};
        wheel_node_init(&timed.node);
        wheel_start(wheel, &timed.node, due);
        uint64_t now = 1000;
        while (take(wheel, now) == NULL)
            now++;
        assert_true(now >= due && now <= due + TICK);
        assert_int_equal(wheel->count, 0);
        assert_false(wheel_node_started(&timed.node));
        wheel_fini(wheel);
    }
}

static void past_times_are_due_at_the_next_tick(void **state)
{
    (void)state;
    struct wheel *wheel = make(8, 1000);
    struct timed timed = {0};
    wheel_node_init(&timed.node);
    wheel_start(wheel, &timed.node, 5);
    assert_null(take(wheel, 1009));
    assert_ptr_equal(take(wheel, 1010), &timed);
    wheel_fini(wheel);
}

static void stop_and_move(void **state)
{
    (void)state;
    struct wheel *wheel = make(8, 0);
    struct timed a = {0}, b = {0};
    wheel_node_init(&a.node);
    wheel_node_init(&b.node);
    wheel_stop(wheel, &a.node); /* not started: nothing */
    wheel_start(wheel, &a.node, 50);
    wheel_start(wheel, &b.node, 50);
    wheel_start(wheel, &b.node, 500);
    wheel_stop(wheel, &a.node);
    wheel_stop(wheel, &a.node);
    assert_int_equal(wheel->count, 1);
    assert_null(take(wheel, 499));
    assert_ptr_equal(take(wheel, 500), &b);
    assert_null(take(wheel, 10000));
    wheel_fini(wheel);
}

static void expired_ones_may_be_stopped_before_they_are_taken(void **state)
{
    (void)state;
    struct wheel *wheel = make(8, 0);
    struct timed t[3] = {0};
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        wheel_node_init(&t[i].node);
        wheel_start(wheel, &t[i].node, 20);
    }
    assert_ptr_equal(take(wheel, 100), &t[0]);
    wheel_stop(wheel, &t[1].node);
    wheel_start(wheel, &t[0].node, 30); /* passed already, but this round ends */
    assert_ptr_equal(take(wheel, 100), &t[2]);
    assert_null(take(wheel, 100));
    assert_ptr_equal(take(wheel, 110), &t[0]);
    wheel_fini(wheel);
}

static void a_jump_over_many_turns_finds_everything_once(void **state)
{
    (void)state;
    struct wheel *wheel = make(4, 0);
    struct timed t[100] = {0};
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        wheel_node_init(&t[i].node);
        wheel_start(wheel, &t[i].node, 1 + i * 13);
    }
    for (struct timed *timed; (timed = take(wheel, 1000000)) != NULL;)
        timed->fired++;
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(t[i].fired, 1);
    wheel_fini(wheel);
}

/* Against the obvious model, with a fixed seed. */
static void agrees_with_a_model(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    static struct timed t[COUNT];
    struct wheel *wheel = make(16, 0);
    uint64_t now = 0, random = 88172645463325252ULL;
    for (size_t i = 0; i < COUNT; i++)
        wheel_node_init(&t[i].node);
    for (unsigned step = 0; step < 20000; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        struct timed *timed = &t[random % COUNT];
        if (random >> 32 & 1) {
            timed->due = now + 1 + (random >> 40) % 1000;
            wheel_start(wheel, &timed->node, timed->due);
        } else {
            timed->due = 0;
            wheel_stop(wheel, &timed->node);
        }
        now += (random >> 20) % 40;
        while ((timed = take(wheel, now)) != NULL) {
            assert_true(timed->due != 0 && timed->due <= now);
            timed->due = 0;
        }
        size_t started = 0;
        for (size_t i = 0; i < COUNT; i++) {
            assert_true(t[i].due == 0 || t[i].due > now - now % TICK);
            started += t[i].due != 0;
        }
        assert_int_equal(wheel->count, started);
    }
    wheel_fini(wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_early_and_at_most_a_tick_late),
        cmocka_unit_test(past_times_are_due_at_the_next_tick),
        cmocka_unit_test(stop_and_move),
        cmocka_unit_test(expired_ones_may_be_stopped_before_they_are_taken),
        cmocka_unit_test(a_jump_over_many_turns_finds_everything_once),
        cmocka_unit_test(agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
