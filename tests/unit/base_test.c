/* base: clocks, byte cursors, hash, map, list, log limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "bytes.h"
#include "clock.h"
#include "entropy.h"
#include "errcode.h"
#include "hash.h"
#include "list.h"
#include "log.h"
#include "map.h"
#include "must.h"

static void iso8601_agrees_with_the_c_library(void **state)
{
    (void)state;
    static const uint64_t days[] = {0, 58, 59, 60, 364, 365, 789, 11016, 11017, 20119, 24855, 47482, 2932896};
    for (size_t i = 0; i < ARRAY_LEN(days); i++) {
        for (uint64_t ms = 0; ms < 86400000; ms += 7654321) {
            char mine[CLOCK_ISO_LEN + 1], theirs[64], millis[8];
            time_t seconds = (time_t)(days[i] * 86400 + ms / 1000);
            struct tm tm;
            clock_iso8601(days[i] * 86400000 + ms, mine);
            assert_int_not_equal(
                strftime(theirs, sizeof theirs, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm)), 0);
            snprintf(millis, sizeof millis, ".%03uZ", (unsigned)(ms % 1000));
            strcat(theirs, millis);
            assert_string_equal(mine, theirs);
        }
    }
    char far[CLOCK_ISO_LEN + 1];
    clock_iso8601(UINT64_MAX, far);
    assert_memory_equal(far, "9999", 4);
}

static void a_manual_clock_stands_still(void **state)
{
    (void)state;
    struct clock_manual manual;
    clock_manual_init(&manual, 5, 1000);
    assert_int_equal(clock_mono_ns(&manual.clock), 5);
    clock_manual_advance_ns(&manual, 1500 * NS_PER_US);
    clock_manual_advance_ns(&manual, 1500 * NS_PER_US);
    assert_int_equal(clock_mono_ns(&manual.clock), 5 + 3 * NS_PER_MS);
    assert_int_equal(clock_wall_ms(&manual.clock), 1003);
    uint64_t a = clock_mono_ns(clock_system());
    assert_true(clock_mono_ns(clock_system()) >= a);
}

static void out_never_writes_past_its_end(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 24; cap++) {
        char *memory = malloc(cap + 1);
        struct out out = out_init(memory, cap);
        out_u64(&out, UINT64_MAX);
        out_char(&out, ',');
        assert_int_equal(out.overflow, cap < 21);
        assert_true(out.len <= cap);
        out_literal(&out, ""); /* overflow stays */
        assert_int_equal(out.overflow, cap < 21);
        free(memory);
    }
}

static void numbers(void **state)
{
    (void)state;
    char memory[128];
    struct out out = out_init(memory, sizeof memory);
    out_u64(&out, 0);
    out_char(&out, ' ');
    out_i64(&out, INT64_MIN);
    out_char(&out, ' ');
    out_i64(&out, 42);
    out_char(&out, ' ');
    out_hex32(&out, 0x0badcafe);
    assert_memory_equal(memory, "0 -9223372036854775808 42 0badcafe", out.len);
}

static void json_strings(void **state)
{
    (void)state;
    char memory[128];
    struct out out = out_init(memory, sizeof memory);
    out_json_string(&out,
                    "a\"b\\c\n\r\t\x01\x1f\x7f"
                    "é",
                    13);
    static const char expected[] = "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u001f\x7f"
                                   "é\"";
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(memory, expected, out.len);
}

static void in_never_reads_past_its_end(void **state)
{
    (void)state;
    struct in in = in_init("abc", 3);
    assert_int_equal(in_u8(&in), 'a');
    assert_null(in_bytes(&in, 3));
    assert_true(in.underflow);
    assert_null(in_bytes(&in, 1)); /* stays */
}

static void hash_spreads_and_is_stable(void **state)
{
    (void)state;
    /* Fixed values: shared memory and bus depend on them. */
    assert_true(hash_bytes("", 0, 0) == hash_bytes(NULL, 0, 0));
    uint64_t seen[512];
    unsigned char bytes[64] = {0};
    size_t n = 0;
    for (size_t len = 0; len < 64; len++)
        seen[n++] = hash_bytes(bytes, len, 0);
    for (size_t bit = 0; bit < 448; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        seen[n++] = hash_bytes(bytes, sizeof bytes, 0);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            assert_true(seen[i] != seen[k]);
    assert_true(hash_bytes("x", 1, 1) != hash_bytes("x", 1, 2));
}

static void map_behaves_as_an_array_of_pairs(void **state)
{
    (void)state;
    enum { KEYS = 300 };
    static int values[KEYS];
    bool present[KEYS] = {false};
    struct map map;
    map_init(&map);
    srand(1);
    for (int step = 0; step < 100000; step++) {
        unsigned k = (unsigned)rand() % KEYS;
        uint64_t key = k * 1024 + 1; /* collide in low bits */
        if (rand() % 2) {
            assert_int_equal(map_put(&map, key, &values[k]), ERR_OK);
            present[k] = true;
        } else {
            assert_ptr_equal(map_remove(&map, key), present[k] ? &values[k] : NULL);
            present[k] = false;
        }
        k = (unsigned)rand() % KEYS;
        assert_ptr_equal(map_get(&map, k * 1024 + 1), present[k] ? &values[k] : NULL);
    }
    size_t count = 0;
    for (int k = 0; k < KEYS; k++)
        count += present[k];
    assert_int_equal(map.count, count);
    map_fini(&map);
    assert_null(map_get(&map, 1));
    assert_null(map_remove(&map, 1));
}

static void a_reserved_map_does_not_grow(void **state)
{
    (void)state;
    struct map map;
    map_init(&map);
    assert_int_equal(map_reserve(&map, 1000), ERR_OK);
    size_t capacity = map.capacity;
    for (uint64_t key = 1; key <= 1000; key++)
        assert_int_equal(map_put(&map, key, &map), ERR_OK);
    assert_int_equal(map.capacity, capacity);
    map_fini(&map);
}

struct item {
    int value;
    struct list_node node;
};

static void lists(void **state)
{
    (void)state;
    struct list_node head;
    struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
    int sum = 0;
    list_init(&head);
    for (int i = 0; i < 3; i++)
        list_append(&head, &items[i].node);
    LIST_FOREACH (it, &head) {
        sum = sum * 10 + LIST_ENTRY(it, struct item, node)->value;
        list_remove(it);
        list_remove(it); /* twice is allowed */
    }
    assert_int_equal(sum, 123);
    assert_true(list_empty(&head));
}

static void log_limit_lets_a_burst_through_and_counts_the_rest(void **state)
{
    (void)state;
    struct log_limit limit = {0};
    uint32_t suppressed;
    for (int i = 0; i < 10; i++)
        assert_int_equal(log_limit_ok(&limit, NS_PER_S, NS_PER_S, 3, &suppressed), i < 3);
    assert_true(log_limit_ok(&limit, 2 * NS_PER_S, NS_PER_S, 3, &suppressed));
    assert_int_equal(suppressed, 7);
    assert_true(log_limit_ok(&limit, 2 * NS_PER_S, NS_PER_S, 3, &suppressed));
    assert_int_equal(suppressed, 0);
}

static void names(void **state)
{
    (void)state;
    enum log_level_e level;
    assert_true(log_level_parse("warn", &level));
    assert_int_equal(level, LOG_WARN);
    assert_false(log_level_parse("loud", &level));
    assert_string_equal(err_text(ERR_OK), "ok");
    assert_string_equal(err_text((enum err_e)999), "unknown error");
    assert_true(entropy_u64() != entropy_u64());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iso8601_agrees_with_the_c_library),
        cmocka_unit_test(a_manual_clock_stands_still),
        cmocka_unit_test(out_never_writes_past_its_end),
        cmocka_unit_test(numbers),
        cmocka_unit_test(json_strings),
        cmocka_unit_test(in_never_reads_past_its_end),
        cmocka_unit_test(hash_spreads_and_is_stable),
        cmocka_unit_test(map_behaves_as_an_array_of_pairs),
        cmocka_unit_test(a_reserved_map_does_not_grow),
        cmocka_unit_test(lists),
        cmocka_unit_test(log_limit_lets_a_burst_through_and_counts_the_rest),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
