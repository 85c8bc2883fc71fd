/* The stats block: round trips, histogram edges, quantiles, and hostile blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hash.h"
#include "stats.h"

enum { FRAMES, CLIENTS, LATENCY, ERRORS, METRICS };

static const struct stats_def defs[METRICS] = {
    [FRAMES] = {"frames_sent", STATS_COUNTER},
    [CLIENTS] = {"clients", STATS_GAUGE},
    [LATENCY] = {"latency_d7_to_d11", STATS_HISTOGRAM},
    [ERRORS] = {"a_name_of_exactly_forty_seven_bytes_0123456789a", STATS_COUNTER},
};

static uint64_t *block_new(struct stats *stats, size_t *size)
{
    *size = stats_size(defs, METRICS);
    uint64_t *block = malloc(*size);
    assert_non_null(block);
    memset(block, 0xee, *size);
    stats_init(stats, block, defs, METRICS);
    return block;
}

static void a_block_describes_itself(void **state)
{
    (void)state;
    struct stats stats;
    struct stats_view view;
    size_t size;
    uint64_t *block = block_new(&stats, &size);
    assert_int_equal(size, (4 + METRICS * 8 + 3 + STATS_BUCKETS + 2) * 8);
    stats_add(&stats, FRAMES, 5);
    stats_add(&stats, FRAMES, 2);
    stats_set(&stats, CLIENTS, 9);
    stats_set(&stats, CLIENTS, 3);
    stats_observe_ns(&stats, LATENCY, 1000);
    stats_add(&stats, ERRORS, UINT64_MAX);
    assert_int_equal(stats_get(&stats, FRAMES), 7);

    assert_int_equal(stats_view_open(&view, block, size), ERR_OK);
    assert_int_equal(view.count, METRICS);
    const uint64_t values[METRICS] = {7, 3, 1, UINT64_MAX};
    for (size_t i = 0; i < METRICS; i++) {
        char name[STATS_NAME_MAX + 1];
        enum stats_kind_e kind;
        uint64_t value;
        assert_true(stats_view_metric(&view, i, name, &kind, &value));
        assert_string_equal(name, defs[i].name);
        assert_int_equal(kind, defs[i].kind);
        assert_true(value == values[i]);
    }
    char name[STATS_NAME_MAX + 1];
    enum stats_kind_e kind;
    uint64_t value;
    assert_false(stats_view_metric(&view, METRICS, name, &kind, &value));
    assert_false(stats_view_metric(&view, SIZE_MAX, name, &kind, &value));
    free(block);
}

static void an_empty_table_is_a_block(void **state)
{
    (void)state;
    struct stats stats;
    struct stats_view view;
    uint64_t block[4];
    assert_int_equal(stats_size(NULL, 0), sizeof block);
    stats_init(&stats, block, NULL, 0);
    assert_int_equal(stats_view_open(&view, block, sizeof block), ERR_OK);
    assert_int_equal(view.count, 0);
}

/* One observation: every quantile is its bucket's upper edge, never below it and at most a quarter above. */
static void quantiles_of_single_values(void **state)
{
    (void)state;
    for (unsigned power = 0; power < 64; power++) {
        for (int64_t around = -1; around <= 1; around++) {
            uint64_t ns = (1ULL << power) + (uint64_t)around;
            struct stats stats;
            struct stats_view view;
            size_t size;
            uint64_t *block = block_new(&stats, &size);
            stats_observe_ns(&stats, LATENCY, ns);
            assert_int_equal(stats_view_open(&view, block, size), ERR_OK);
            uint64_t low = stats_view_quantile_ns(&view, LATENCY, 0);
            assert_true(low == stats_view_quantile_ns(&view, LATENCY, 1));
            if (ns < 1ULL << 41) {
                assert_true(low >= ns);
                assert_true(low - ns <= ns / 4);
            } else {
                assert_true(low == (1ULL << 41) - 1); /* the last bucket takes everything */
            }
            free(block);
        }
    }
}

static void quantiles_of_a_spread(void **state)
{
    (void)state;
    struct stats stats;
    struct stats_view view;
    size_t size;
    uint64_t *block = block_new(&stats, &size);
    assert_int_equal(stats_view_open(&view, block, size), ERR_OK);
    assert_int_equal(stats_view_quantile_ns(&view, LATENCY, 0.5), 0);
    for (uint64_t us = 1; us <= 1000; us++)
        stats_observe_ns(&stats, LATENCY, us * 1000);
    const struct {
        double q;
        uint64_t ns;
    } expected[] = {{0.001, 1000}, {0.25, 250000}, {0.5, 500000}, {0.99, 990000}, {1, 1000000}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        uint64_t ns = stats_view_quantile_ns(&view, LATENCY, expected[i].q);
        assert_true(ns >= expected[i].ns && ns <= expected[i].ns * 5 / 4);
    }
    assert_int_equal(stats_view_quantile_ns(&view, FRAMES, 0.5), 0);
    assert_int_equal(stats_view_quantile_ns(&view, METRICS, 0.5), 0);
    assert_true(stats_view_quantile_ns(&view, LATENCY, 7) == stats_view_quantile_ns(&view, LATENCY, 1));
    assert_true(stats_view_quantile_ns(&view, LATENCY, -7) == stats_view_quantile_ns(&view, LATENCY, 0));
    assert_true(stats_view_quantile_ns(&view, LATENCY, __builtin_nan("")) > 0);
    free(block);
}

/* Everything a reader may do with a block. */
static void read_all(const void *memory, size_t size)
{
    struct stats_view view;
    if (stats_view_open(&view, memory, size) != ERR_OK)
        return;
    for (size_t i = 0; i < view.count + 2; i++) {
        char name[STATS_NAME_MAX + 1];
        enum stats_kind_e kind;
        uint64_t value;
        if (stats_view_metric(&view, i, name, &kind, &value))
            assert_true(strlen(name) > 0 && strlen(name) <= STATS_NAME_MAX && kind <= STATS_HISTOGRAM);
        stats_view_quantile_ns(&view, i, 0.99);
    }
}

static void headers_that_make_no_sense(void **state)
{
    (void)state;
    struct stats stats;
    struct stats_view view;
    size_t size;
    uint64_t *block = block_new(&stats, &size);
    assert_int_equal(stats_view_open(&view, NULL, 0), ERR_MALFORMED);
    assert_int_equal(stats_view_open(&view, (char *)block + 4, size - 8), ERR_MALFORMED);
    for (size_t less = 8; less <= size; less += 8)
        assert_int_equal(stats_view_open(&view, block, size - less), ERR_MALFORMED);
    const struct {
        size_t word;
        uint64_t value;
        enum err_e err;
    } wrong[] = {{0, 0, ERR_MALFORMED},          {1, 2, ERR_VERSION},   {2, 1000, ERR_MALFORMED},
                 {2, UINT64_MAX, ERR_MALFORMED}, {3, 3, ERR_MALFORMED}, {3, UINT64_MAX, ERR_MALFORMED}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t before = block[wrong[i].word];
        block[wrong[i].word] = wrong[i].value;
        assert_int_equal(stats_view_open(&view, block, size), wrong[i].err);
        block[wrong[i].word] = before;
    }
    free(block);
}

static void descriptors_that_make_no_sense(void **state)
{
    (void)state;
    struct stats stats;
    struct stats_view view;
    size_t size;
    uint64_t *block = block_new(&stats, &size);
    const size_t at = 4 + LATENCY * 8;
    const struct {
        size_t word;
        uint64_t value;
    } wrong[] = {{0, 0},
                 {0, 0x1b5b1b5b1b5b1b5b},
                 {5, UINT64_MAX},
                 {6, 3},
                 {6, UINT64_MAX},
                 {7, 0},
                 {7, 4 + METRICS * 8 - 1},
                 {7, size / 8 - STATS_BUCKETS - 1},
                 {7, size / 8},
                 {7, UINT64_MAX - 5}};
    assert_int_equal(stats_view_open(&view, block, size), ERR_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char name[STATS_NAME_MAX + 1];
        enum stats_kind_e kind;
        uint64_t value, before = block[at + wrong[i].word];
        block[at + wrong[i].word] = wrong[i].value;
        assert_false(stats_view_metric(&view, LATENCY, name, &kind, &value));
        read_all(block, size);
        block[at + wrong[i].word] = before;
        assert_true(stats_view_metric(&view, LATENCY, name, &kind, &value));
    }
    free(block);
}

/* Not even the owner believes a descriptor that points out of the values: it is put right, and nothing else is touched. */
static void the_owner_restores_a_descriptor_that_points_outside(void **state)
{
    (void)state;
    struct stats stats;
    const size_t words = stats_size(defs, METRICS) / 8, first = 4 + METRICS * 8, beyond = 4;
    uint64_t *block = malloc((words + beyond) * 8);
    assert_non_null(block);
    for (size_t metric = 0; metric < METRICS; metric++) {
        const size_t at = 4 + metric * 8 + 7, values = metric == LATENCY ? STATS_BUCKETS + 2 : 1;
        const uint64_t wrong[] = {0, 4, first - 1, words - values + 1, words, words + 1};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            memset(block, 0xee, (words + beyond) * 8);
            stats_init(&stats, block, defs, METRICS);
            uint64_t right = block[at], descriptors = hash_bytes(block, first * 8, 0);
            stats_set(&stats, metric, 40);
            block[at] = wrong[i];
            stats_add(&stats, metric, 2);
            assert_true(stats_get(&stats, metric) == 42 && block[right] == 42);
            assert_true(block[at] == right && hash_bytes(block, first * 8, 0) == descriptors);
            for (size_t word = words; word < words + beyond; word++)
                assert_true(block[word] == 0xeeeeeeeeeeeeeeee);
        }
    }
    free(block);
}

/* Single bits and whole words, everywhere: numbers may be wrong, nothing else (ASan watches the edges). */
static void garbage_in_a_block(void **state)
{
    (void)state;
    struct stats stats;
    size_t size;
    uint64_t *block = block_new(&stats, &size);
    for (size_t bit = 0; bit < size * 8; bit++) {
        block[bit / 64] ^= 1ULL << bit % 64;
        read_all(block, size);
        block[bit / 64] ^= 1ULL << bit % 64;
    }
    for (uint64_t round = 0; round < 2000; round++) {
        stats_init(&stats, block, defs, METRICS);
        for (uint64_t i = 0; i < 8; i++) {
            uint64_t dice = hash_u64(round * 8 + i);
            size_t word = 2 + dice % (size / 8 - 2);
            block[word] = dice % 3 == 0 ? dice : dice >> 52;
        }
        read_all(block, size);
    }
    free(block);
}

/* A histogram that is carried to another block part by part is the same there. */
static void a_histogram_is_carried_over(void **state)
{
    (void)state;
    struct stats from, to;
    struct stats_view view;
    size_t size;
    uint64_t *source = block_new(&from, &size), *target = block_new(&to, &size);
    stats_set_bucket(&to, LATENCY, 3, 77); /* what stood there is replaced */
    for (uint64_t i = 1; i < 500; i++)
        stats_observe_ns(&from, LATENCY, i * i * i);
    for (size_t bucket = 0; bucket < STATS_BUCKETS; bucket++)
        stats_set_bucket(&to, LATENCY, bucket, stats_bucket(&from, LATENCY, bucket));
    stats_set_sum_ns(&to, LATENCY, stats_sum_ns(&from, LATENCY));
    assert_int_equal(stats_get(&to, LATENCY), 499);
    assert_memory_equal(source, target, size);
    assert_int_equal(stats_view_open(&view, target, size), ERR_OK);
    assert_true(stats_view_quantile_ns(&view, LATENCY, 0.5) >= 250ULL * 250 * 250);
    free(source);
    free(target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_describes_itself),
        cmocka_unit_test(an_empty_table_is_a_block),
        cmocka_unit_test(quantiles_of_single_values),
        cmocka_unit_test(quantiles_of_a_spread),
        cmocka_unit_test(headers_that_make_no_sense),
        cmocka_unit_test(descriptors_that_make_no_sense),
        cmocka_unit_test(the_owner_restores_a_descriptor_that_points_outside),
        cmocka_unit_test(garbage_in_a_block),
        cmocka_unit_test(a_histogram_is_carried_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
