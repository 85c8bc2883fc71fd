/* bench_hist_test.c — the bench's histogram: edges, error bound, quantiles, differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench_hist.h"

static void small_values_are_exact(void **state)
{
    (void)state;
    for (unsigned v = 0; v < HIST_SUBS; v++) {
        assert_int_equal(hist_index(v), v);
        assert_int_equal(hist_upper_edge(v), v);
    }
}

static void buckets_meet_without_hole_or_overlap(void **state)
{
    (void)state;
    for (unsigned i = 0; i + 1 < HIST_BUCKETS; i++) {
        uint64_t edge = hist_upper_edge(i);
        assert_int_equal(hist_index(edge), i);
        assert_int_equal(hist_index(edge + 1), i + 1);
    }
    assert_int_equal(hist_upper_edge(HIST_BUCKETS - 1), (1ULL << HIST_EXP_MAX) - 1);
}

static void error_is_below_one_in_sixty_four(void **state)
{
    (void)state;
    for (uint64_t v = 1; v < 1ULL << HIST_EXP_MAX; v = v * 9 / 8 + 1) {
        uint64_t edge = hist_upper_edge(hist_index(v));
        assert_true(edge >= v);
        assert_true((edge - v) * HIST_SUBS <= v);
    }
}

static void huge_values_go_to_the_last_bucket(void **state)
{
    (void)state;
    assert_int_equal(hist_index(1ULL << HIST_EXP_MAX), HIST_BUCKETS - 1);
    assert_int_equal(hist_index(UINT64_MAX), HIST_BUCKETS - 1);
}

static void quantiles_of_known_values(void **state)
{
    (void)state;
    struct hist *hist = calloc(1, sizeof *hist);
    assert_int_equal(hist_quantile(hist, 0.5), 0);
    for (uint64_t v = 1; v <= 1000; v++)
        hist_add(hist, v);
    assert_int_equal(hist->count, 1000);
    assert_int_equal(hist_quantile(hist, 0), 1);
    assert_in_range(hist_quantile(hist, 0.5), 500, 508);
    assert_in_range(hist_quantile(hist, 0.99), 990, 1006);
    assert_in_range(hist_quantile(hist, 1), 1000, 1016);
    assert_true(hist_mean(hist) > 500.4 && hist_mean(hist) < 500.6);
    free(hist);
}

static void difference_and_sum(void **state)
{
    (void)state;
    struct hist *before = calloc(1, sizeof *before), *now = calloc(1, sizeof *now);
    hist_add_many(now, 1000, 5);
    *before = *now;
    hist_add_many(now, 2000000, 3);
    hist_subtract(now, before);
    assert_int_equal(now->count, 3);
    assert_int_equal(now->sum, 6000000);
    assert_in_range(hist_quantile(now, 0), 2000000, 2031250);
    hist_merge(now, before);
    assert_int_equal(now->count, 8);
    assert_in_range(hist_quantile(now, 0.5), 1000, 1015);
    free(before);
    free(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(buckets_meet_without_hole_or_overlap),
        cmocka_unit_test(error_is_below_one_in_sixty_four),
        cmocka_unit_test(huge_values_go_to_the_last_bucket),
        cmocka_unit_test(quantiles_of_known_values),
        cmocka_unit_test(difference_and_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
