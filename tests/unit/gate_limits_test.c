/* The gate when there is too much of everything: heads that never end, one address that takes all, more than it has room for, no
 * descriptors left. */
#include "gate_stage.h"

#include <sys/ioctl.h>
#include <sys/resource.h>

static void heads_that_never_end(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client silent = arrive(0), slow = arrive(0);
    raw_send_text(&slow, "GET / HTTP/1.1\r\nHost: h\r\n");
    PUMP_UNTIL(&door->loop, counts()->half_open == 2);
    clock_manual_advance_ns(&door->clock, 4900 * NS_PER_MS);
    raw_send_text(&slow, "X: still here\r\n"); /* does not move the limit */
    for (int i = 0; i < 20; i++)
        raw_turn(&door->loop, -1);
    assert_int_equal(counts()->half_open, 2);
    clock_manual_advance_ns(&door->clock, 200 * NS_PER_MS);
    PUMP_UNTIL(&door->loop, counts()->half_open == 0);
    assert_int_equal(counts()->timeouts, 2);
    raw_until_end(&silent);
    raw_until_end(&slow);
    raw_close(&silent);
    raw_close(&slow);
}

static void peers_that_leave(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client a = arrive(0), b = arrive(0), c = arrive(0);
    raw_send_text(&b, "GET / HT");
    raw_send_text(&c, "GET / HT");
    PUMP_UNTIL(&door->loop, counts()->half_open == 3);
    raw_close(&a);
    raw_close(&b);
    raw_reset(&c);
    PUMP_UNTIL(&door->loop, counts()->half_open == 0);
    assert_int_equal(counts()->abandoned, 3);
}

static void kept_heads_cost_at_most_double(void **state)
{
    (void)state;
    static char head[GATE_HEAD_MAX];
    start(door, 0, 0);
    struct raw_client c = arrive(0);
    memset(head, 'a', sizeof head);
    for (size_t sent = 0; sent + 100 < sizeof head; sent += 100) {
        raw_send(&c, head, 100);
        PUMP_UNTIL(&door->loop,
                   !list_empty(&door->gate->reading) &&
                       LIST_ENTRY(door->gate->reading.next, struct half, link)->have == sent + 100);
        const struct half *half = LIST_ENTRY(door->gate->reading.next, struct half, link);
        assert_true(half->cap <= 2 * half->have || half->cap <= 128);
    }
    raw_close(&c);
}

static void one_address_has_its_share(void **state)
{
    (void)state;
    struct raw_client c[4];
    start(door, 0, 3);
    for (size_t i = 0; i < 3; i++)
        c[i] = arrive(0);
    PUMP_UNTIL(&door->loop, counts()->half_open == 3);
    c[3] = arrive(0);
    raw_until_end(&c[3]);
    assert_int_equal(raw_status(&c[3]), 429);
    assert_int_equal(counts()->refused_429, 1);
    raw_send_text(&c[0], GOOD("/chat")); /* one less */
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    raw_close(&c[3]);
    c[3] = arrive(0);
    PUMP_UNTIL(&door->loop, counts()->half_open == 3);
    assert_int_equal(counts()->refused_429, 1);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        raw_close(&c[i]);
    PUMP_UNTIL(&door->loop, counts()->half_open == 0);
    assert_int_equal(door->gate->addresses.count, 0);
}

static void the_oldest_gives_way(void **state)
{
    (void)state;
    struct raw_client c[5];
    start(door, 4, 100);
    for (size_t i = 0; i < 4; i++) {
        c[i] = arrive(0);
        raw_send_text(&c[i], "GET ");
        PUMP_UNTIL(&door->loop, counts()->half_open == i + 1);
    }
    c[4] = arrive(0);
    raw_send_text(&c[4], GOOD("/new"));
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    assert_string_equal(door->path, "/new");
    raw_until_end(&c[0]);
    assert_int_equal(raw_status(&c[0]), 503);
    assert_int_equal(counts()->evicted, 1);
    raw_send_text(&c[3], GOOD("/old") + 4);
    PUMP_UNTIL(&door->loop, door->accepted == 2);
    assert_string_equal(door->path, "/old");
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        raw_close(&c[i]);
}

static void many_at_once(void **state)
{
    (void)state;
    struct raw_client c[300];
    start(door, 64, 1000);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i] = arrive((int)(i % 2));
        raw_send_text(&c[i], GOOD("/chat"));
    }
    PUMP_UNTIL(&door->loop, door->accepted == ARRAY_LEN(c));
    assert_int_equal(counts()->evicted, 0);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        raw_close(&c[i]);
}

/* Takes every descriptor that the process may still have; returns how many. */
static size_t take_descriptors(int *taken, size_t max)
{
    size_t count = 0;
    while (count < max && (taken[count] = dup(0)) >= 0)
        count++;
    return count;
}

static void out_of_descriptors(void **state)
{
    (void)state;
    const char *preload = getenv("LD_PRELOAD");
    if (preload != NULL && strstr(preload, "vgpreload") != NULL)
        skip(); /* valgrind plays the limit itself, and closes what the kernel has accepted */
    struct rlimit old, low = {.rlim_cur = 64};
    int taken[128];
    struct raw_client c[3];
    start(door, 0, 0);
    uv_run(&door->loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i] = arrive(0); /* stands in the kernel's queue */
        raw_send_text(&c[i], GOOD("/chat"));
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    size_t count = take_descriptors(taken, ARRAY_LEN(taken));
    assert_true(count > 0);
    raw_until_end(&c[0]);
    assert_int_equal(raw_status(&c[0]), 503);
    assert_int_equal(counts()->no_descriptors, 1);
    for (int i = 0; i < 20; i++) /* it waits, it does not spin */
        raw_turn(&door->loop, -1);
    assert_int_equal(counts()->no_descriptors, 1);
    for (size_t i = 0; i < count; i++)
        close(taken[i]);
    setrlimit(RLIMIT_NOFILE, &old);
    clock_manual_advance_ns(&door->clock, 200 * NS_PER_MS);
    PUMP_UNTIL(&door->loop, door->accepted == 2);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        raw_close(&c[i]);
}

static void the_last_descriptors_are_left_to_others(void **state)
{
    (void)state;
    struct rlimit old, low;
    int taken[128];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = (struct rlimit){.rlim_cur = 128, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    start(door, 0, 0);
    setrlimit(RLIMIT_NOFILE, &old);
    size_t count = 0;
    while (count < ARRAY_LEN(taken) && (taken[count] = dup(0)) < 70)
        count++;
    struct raw_client c = arrive(0);
    raw_send_text(&c, GOOD("/chat"));
    raw_until_end(&c);
    assert_int_equal(raw_status(&c), 503);
    assert_int_equal(counts()->no_descriptors, 1);
    raw_close(&c);
    for (size_t i = 0; i <= count; i++)
        close(taken[i]);
    c = arrive(0);
    raw_send_text(&c, GOOD("/chat"));
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    raw_close(&c);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(heads_that_never_end),
        T(peers_that_leave),
        T(kept_heads_cost_at_most_double),
        T(one_address_has_its_share),
        T(the_oldest_gives_way),
        T(many_at_once),
        T(out_of_descriptors),
        T(the_last_descriptors_are_left_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
