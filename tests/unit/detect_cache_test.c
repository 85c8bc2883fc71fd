/* detect_cache_test.c — which sensors are known, after use, rollback and want of room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "detect_cache.h"

static struct detect_cache *cache_of(unsigned sensors)
{
    struct detect_cache *cache = detect_cache_new(sensors);
    assert_non_null(cache);
    return cache;
}

static void hear(struct detect_cache *cache, uint64_t sensor, double temperatura)
{
    struct detect_window *window = detect_cache_find(cache, sensor);
    if (window == NULL)
        window = detect_cache_make(cache, sensor);
    detect_window_add(window, &(struct detect_reading){temperatura, 50});
}

static unsigned heard(struct detect_cache *cache, uint64_t sensor)
{
    struct detect_window *window = detect_cache_find(cache, sensor);
    return window ? window->temperatura.near_count : 0;
}

static void a_window_is_kept(void **state)
{
    (void)state;
    struct detect_cache *cache = cache_of(4);
    assert_null(detect_cache_find(cache, 7));
    hear(cache, 7, 20);
    hear(cache, 7, 21);
    hear(cache, 8, 20);
    assert_int_equal(heard(cache, 7), 2);
    assert_int_equal(heard(cache, 8), 1);
    assert_int_equal(detect_cache_count(cache), 2);
    detect_cache_free(&cache);
    assert_null(cache);
    detect_cache_free(&cache);
}

static void the_one_not_used_for_longest_makes_room(void **state)
{
    (void)state;
    struct detect_cache *cache = cache_of(3);
    hear(cache, 1, 20);
    hear(cache, 2, 20);
    hear(cache, 3, 20);
    hear(cache, 1, 20);
    hear(cache, 4, 20);
    assert_int_equal(detect_cache_count(cache), 3);
    assert_int_equal(heard(cache, 2), 0);
    assert_int_equal(heard(cache, 1), 2);
    assert_int_equal(heard(cache, 4), 1); /* and begins empty, in another's place */
    detect_cache_free(&cache);
}

static void room_for_one(void **state)
{
    (void)state;
    struct detect_cache *cache = cache_of(1);
    hear(cache, 1, 20);
    hear(cache, 1, 20);
    assert_int_equal(heard(cache, 1), 2);
    hear(cache, 2, 20);
    assert_int_equal(heard(cache, 1), 0);
    detect_cache_forget_since(cache, 0);
    assert_int_equal(detect_cache_count(cache), 0);
    detect_cache_free(&cache);
}

/* A group of three requests; the second fails, then the group. */
static void what_is_rolled_back_is_unknown(void **state)
{
    (void)state;
    struct detect_cache *cache = cache_of(8);
    hear(cache, 1, 20);
    hear(cache, 2, 20);
    hear(cache, 9, 20);
    uint64_t group = detect_cache_mark(cache);
    hear(cache, 1, 21);
    uint64_t request = detect_cache_mark(cache);
    hear(cache, 2, 21);
    hear(cache, 3, 21);
    detect_cache_forget_since(cache, request);
    assert_int_equal(detect_cache_count(cache), 2);
    assert_null(detect_cache_find(cache, 2));
    assert_null(detect_cache_find(cache, 3));
    hear(cache, 4, 21);
    assert_int_equal(heard(cache, 4), 1);
    detect_cache_forget_since(cache, group);
    assert_int_equal(detect_cache_count(cache), 1);
    assert_int_equal(heard(cache, 9), 1);
    detect_cache_forget_since(cache, detect_cache_mark(cache));
    assert_int_equal(detect_cache_count(cache), 1);
    detect_cache_free(&cache);
}

static void a_sensor_is_forgotten(void **state)
{
    (void)state;
    struct detect_cache *cache = cache_of(2);
    hear(cache, 1, 20);
    hear(cache, 2, 20);
    detect_cache_forget(cache, 2);
    detect_cache_forget(cache, 77);
    assert_int_equal(heard(cache, 2), 0);
    hear(cache, 3, 20); /* its place, not that of 1 */
    assert_int_equal(heard(cache, 1), 1);
    assert_int_equal(heard(cache, 3), 1);
    detect_cache_free(&cache);
}

/* --- against a table that is looked through ------------------------------------------------------------------------- */

#define SENSORS 40u
#define ROOM    16u

struct plain {
    uint64_t used[SENSORS]; /* 0: unknown */
    unsigned count;
};

static void plain_forget_since(struct plain *plain, uint64_t mark)
{
    for (unsigned i = 0; i < SENSORS; i++)
        if (plain->used[i] > mark) {
            plain->used[i] = 0;
            plain->count--;
        }
}

static void plain_make_room(struct plain *plain)
{
    unsigned oldest = SENSORS;
    for (unsigned i = 0; i < SENSORS; i++)
        if (plain->used[i] != 0 && (oldest == SENSORS || plain->used[i] < plain->used[oldest]))
            oldest = i;
    plain->used[oldest] = 0;
    plain->count--;
}

static void use_both(struct detect_cache *cache, struct plain *plain, unsigned sensor)
{
    bool known = plain->used[sensor] != 0;
    assert_int_equal(detect_cache_find(cache, sensor + 1) != NULL, known);
    if (!known) {
        if (plain->count == ROOM)
            plain_make_room(plain);
        detect_cache_make(cache, sensor + 1);
        plain->count++;
    }
    plain->used[sensor] = detect_cache_mark(cache);
    assert_int_equal(detect_cache_count(cache), plain->count);
}

static void like_a_plain_table(void **state)
{
    (void)state;
    struct plain plain = {0};
    uint64_t random = 1;
    struct detect_cache *cache = cache_of(ROOM);
    for (unsigned step = 0; step < 20000; step++) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        unsigned sensor = (unsigned)(random >> 33) % SENSORS;
        uint64_t now = detect_cache_mark(cache), back = random >> 40 & 7;
        if (random >> 60 != 0) {
            use_both(cache, &plain, sensor);
        } else if (now > back) {
            detect_cache_forget_since(cache, now - back);
            plain_forget_since(&plain, now - back);
        }
    }
    detect_cache_free(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_is_kept),      cmocka_unit_test(the_one_not_used_for_longest_makes_room),
        cmocka_unit_test(room_for_one),          cmocka_unit_test(what_is_rolled_back_is_unknown),
        cmocka_unit_test(a_sensor_is_forgotten), cmocka_unit_test(like_a_plain_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
