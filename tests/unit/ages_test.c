/* ages: an agent's latency histograms, and that what its heartbeats carry of them becomes the same histograms elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ages.h"
#include "clock.h"

struct mirror { /* what a broker has taken */
    uint64_t buckets[AGES][STATS_BUCKETS], sum_us[AGES];
};

static size_t take(struct mirror *mirror, const unsigned char *bytes, size_t len)
{
    struct wire_text rest = {(const char *)bytes, (uint32_t)len};
    struct wire_histogram_entry entry;
    size_t count = 0;
    for (; wire_histogram_next(&rest, &entry); count++) {
        assert_in_range(entry.histogram, 0, AGES - 1);
        assert_true(entry.value > 0);
        if (entry.bucket == WIRE_HISTOGRAM_SUM)
            mirror->sum_us[entry.histogram] = entry.value;
        else
            mirror->buckets[entry.histogram][entry.bucket] = entry.value;
    }
    assert_int_equal(rest.len, 0);
    return count;
}

static void is_the_same(const struct mirror *mirror, const struct ages *ages)
{
    for (unsigned age = 0; age < AGES; age++) {
        assert_int_equal(mirror->sum_us[age], stats_sum_ns(&ages->stats, age) / NS_PER_US);
        for (unsigned bucket = 0; bucket < STATS_BUCKETS; bucket++)
            assert_int_equal(mirror->buckets[age][bucket], stats_bucket(&ages->stats, age, bucket));
    }
}

static void nothing_seen_nothing_told(void **state)
{
    struct ages ages;
    unsigned char bytes[512];
    (void)state;
    ages_init(&ages);
    assert_int_equal(ages_fill(&ages, bytes, sizeof bytes), 0);
    ages_observe_since(&ages, AGE_HOP_C5, 0, 5); /* nobody said since when */
    ages_observe_since(&ages, AGE_HOP_C5, 9, 5); /* another clock */
    ages_observe_since(&ages, AGE_HOP_C5, 5, 5); /* at once */
    assert_int_equal(ages_fill(&ages, bytes, sizeof bytes), WIRE_HISTOGRAM_ENTRY);
    assert_int_equal(stats_get(&ages.stats, AGE_HOP_C5), 1);
    assert_int_equal(ages_fill(&ages, bytes, WIRE_HISTOGRAM_ENTRY - 1), 0);
}

/* More than a heartbeat holds: in turn, none left out, and none twice in one. */
static void all_is_told_in_turn(void **state)
{
    static struct ages ages;
    static struct mirror mirror;
    unsigned char bytes[WIRE_HISTOGRAM_ENTRIES * WIRE_HISTOGRAM_ENTRY];
    size_t told = 0, entries = 0, beats = 0;
    (void)state;
    ages_init(&ages);
    for (unsigned age = 0; age < AGES; age++)
        for (unsigned power = 0; power < 42; power++) {
            ages_observe(&ages, age, 1ULL << power);
            ages_observe(&ages, age, 3ULL << power >> 1);
        }
    for (unsigned age = 0; age < AGES; age++)
        for (unsigned bucket = 0; bucket < STATS_BUCKETS; bucket++)
            entries += stats_bucket(&ages.stats, age, bucket) > 0;
    entries += AGES;
    assert_true(entries > 2 * WIRE_HISTOGRAM_ENTRIES);
    for (; told < entries; beats++)
        told += take(&mirror, bytes, ages_fill(&ages, bytes, sizeof bytes));
    assert_int_equal(beats, (entries + WIRE_HISTOGRAM_ENTRIES - 1) / WIRE_HISTOGRAM_ENTRIES);
    is_the_same(&mirror, &ages);
}

/* Lost heartbeats and all: what is told later replaces what was. */
static void what_is_lost_is_told_again(void **state)
{
    static struct ages ages;
    static struct mirror mirror;
    unsigned char bytes[WIRE_HISTOGRAM_ENTRIES * WIRE_HISTOGRAM_ENTRY];
    (void)state;
    ages_init(&ages);
    srand(2);
    for (unsigned beat = 0; beat < 200; beat++) {
        for (unsigned i = 0; i < 20; i++)
            ages_observe(&ages, (unsigned)rand() % AGES, (uint64_t)rand() << rand() % 12);
        size_t len = ages_fill(&ages, bytes, sizeof bytes);
        if (rand() % 3 > 0)
            take(&mirror, bytes, len);
    }
    for (unsigned beat = 0; beat < AGES * (STATS_BUCKETS + 1) / WIRE_HISTOGRAM_ENTRIES + 1; beat++)
        take(&mirror, bytes, ages_fill(&ages, bytes, sizeof bytes));
    is_the_same(&mirror, &ages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_seen_nothing_told),
        cmocka_unit_test(all_is_told_in_turn),
        cmocka_unit_test(what_is_lost_is_told_again),
    };
    return cmocka_run_group_tests_name("ages", tests, NULL, NULL);
}
