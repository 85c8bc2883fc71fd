/* broker: last numbers and places of events, per source; and how much the store may be asked. Pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "must.h"
#include "sources.h"
#include "store_window.h"

#define RING 1024u

static struct sources sources;

static uint64_t position_of(uint64_t id, uint64_t seq)
{
    return sources_position(sources_find(&sources, id), seq);
}

static uint64_t last_of(uint64_t id)
{
    return sources_last(sources_find(&sources, id));
}

static void nothing_is_known_of_a_source_that_has_said_nothing(void **state)
{
    (void)state;
    sources_init(&sources, RING);
    assert_null(sources_find(&sources, 7));
    assert_null(sources_find(&sources, 0));
    assert_int_equal(last_of(7), 0);
    assert_true(position_of(7, 1) == SOURCES_NOWHERE);
    assert_null(sources_due(&sources, UINT64_MAX - 1));
}

static void the_places_of_the_last_numbers_are_known(void **state)
{
    (void)state;
    sources_init(&sources, RING);
    for (uint64_t seq = 10; seq < 10 + 2 * SOURCES_POSITIONS; seq++)
        sources_note(&sources, 7, seq, seq * 64, seq * 64);
    uint64_t last = 10 + 2 * SOURCES_POSITIONS - 1;
    assert_int_equal(last_of(7), last);
    for (uint64_t seq = last; seq > last - SOURCES_POSITIONS; seq--)
        assert_true(position_of(7, seq) == seq * 64);
    assert_true(position_of(7, last - SOURCES_POSITIONS) == SOURCES_NOWHERE);
    assert_true(position_of(7, last + 1) == SOURCES_NOWHERE);
    assert_true(position_of(7, 0) == SOURCES_NOWHERE);
}

/* Whatever the jump, no number has another's place. */
static void numbers_that_were_jumped_have_no_place(void **state)
{
    (void)state;
    static const uint64_t jumps[] = {2,
                                     3,
                                     SOURCES_POSITIONS - 1,
                                     SOURCES_POSITIONS,
                                     SOURCES_POSITIONS + 1,
                                     3 * SOURCES_POSITIONS,
                                     UINT64_MAX - 600};
    for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
        sources_init(&sources, RING);
        for (uint64_t seq = 1; seq <= 300; seq++)
            sources_note(&sources, 7, seq, seq * 64, seq * 64);
        uint64_t next = 300 + jumps[i];
        sources_note(&sources, 7, next, 1 << 20, 1 << 20);
        assert_true(position_of(7, next) == 1 << 20);
        for (uint64_t back = 1; back < SOURCES_POSITIONS; back++) {
            uint64_t seq = next - back;
            assert_true(position_of(7, seq) == (seq <= 300 ? seq * 64 : SOURCES_NOWHERE));
        }
    }
}

static void a_record_is_due_after_half_a_ring(void **state)
{
    (void)state;
    sources_init(&sources, RING);
    sources_note(&sources, 7, 1, 640, 640);
    sources_note(&sources, 8, 1, 704, 704);
    assert_null(sources_due(&sources, 640 + RING / 2 - 64));
    const struct source *due = sources_due(&sources, 640 + RING / 2);
    assert_non_null(due);
    assert_true(due->id == 7);
    sources_note(&sources, 7, 1, 640, 640 + RING / 2); /* its floor */
    assert_null(sources_due(&sources, 640 + RING / 2));
    due = sources_due(&sources, 704 + RING / 2);
    assert_true(due != NULL && due->id == 8);
    sources_note(&sources, 8, 2, 704 + RING / 2, 704 + RING / 2); /* an event is as good */
    assert_null(sources_due(&sources, 640 + RING - 64));
    due = sources_due(&sources, 640 + RING);
    assert_true(due != NULL && due->id == 7);
    assert_true(position_of(7, 1) == 640);
}

/* As a ring is read back: floors of what is known already, or is newer than they are. */
static void floors_are_read_back(void **state)
{
    (void)state;
    sources_init(&sources, RING);
    sources_note(&sources, 7, 41, 64, 6400); /* a floor, its event is gone */
    assert_true(last_of(7) == 41 && position_of(7, 41) == 64);
    assert_true(position_of(7, 40) == SOURCES_NOWHERE);
    sources_note(&sources, 7, 42, 6464, 6464);
    sources_note(&sources, 7, 41, 64, 6528); /* says less than is known */
    assert_true(last_of(7) == 42 && position_of(7, 42) == 6464 && position_of(7, 41) == 64);
    assert_null(sources_due(&sources, 6464 + RING / 2 - 64));
    assert_non_null(sources_due(&sources, 6464 + RING / 2));
}

/* A floor makes nobody younger. */
static void the_source_with_the_oldest_event_is_forgotten_for_a_new_one(void **state)
{
    (void)state;
    sources_init(&sources, RING);
    for (uint64_t id = 1; id <= SOURCES_MAX; id++)
        sources_note(&sources, id, 5, id * 64, id * 64);
    sources_note(&sources, 2, 5, 2 * 64, 5000 * 64);
    sources_note(&sources, 1, 6, 6000 * 64, 6000 * 64);
    sources_note(&sources, 100, 1, 7000 * 64, 7000 * 64);
    assert_int_equal(last_of(2), 0);
    assert_int_equal(last_of(1), 6);
    assert_int_equal(last_of(3), 5);
    assert_int_equal(last_of(100), 1);
    assert_true(position_of(100, 1) == 7000 * 64);
    for (uint64_t seq = 2; seq <= SOURCES_POSITIONS; seq++)
        assert_true(position_of(100, seq) == SOURCES_NOWHERE);
}

/* --- the window ---------------------------------------------------------------------------------------------------------- */

static struct store_window window;

static void window_begins(void)
{
    assert_int_equal(store_window_init(&window, 99), ERR_OK);
}

static void so_many_requests_may_be_open(void **state)
{
    (void)state;
    window_begins();
    for (uint64_t i = 0; i < STORE_WINDOW_REQUESTS; i++)
        assert_true(store_window_take(&window, 900 + i % 2, 1 + i / 2, 0, 5));
    assert_int_equal(window.count, STORE_WINDOW_REQUESTS);
    assert_false(store_window_take(&window, 902, 1, 0, 5));
    assert_true(store_window_has(&window, 901, STORE_WINDOW_REQUESTS / 2));
    assert_false(store_window_has(&window, 901, STORE_WINDOW_REQUESTS / 2 + 1));
    store_window_give(&window, 902, 1); /* unknown: nothing */
    assert_int_equal(window.count, STORE_WINDOW_REQUESTS);
    store_window_give(&window, 901, 7);
    assert_false(store_window_has(&window, 901, 7));
    assert_true(store_window_take(&window, 902, 1, 0, 5));
    assert_false(store_window_take(&window, 902, 2, 0, 5));
    store_window_clear(&window);
    assert_int_equal(window.count, 0);
    for (uint64_t i = 0; i < STORE_WINDOW_REQUESTS; i++)
        assert_true(store_window_take(&window, 900, 1 + i, 0, 5));
    assert_false(store_window_take(&window, 901, 1, 0, 5));
    store_window_fini(&window);
}

static void so_many_bytes_may_be_open(void **state)
{
    (void)state;
    window_begins();
    assert_true(store_window_take(&window, 900, 1, STORE_WINDOW_BYTES - 10, 5));
    assert_false(store_window_take(&window, 900, 2, 11, 5));
    assert_true(store_window_take(&window, 900, 2, 10, 5));
    assert_false(store_window_take(&window, 900, 3, 1, 5));
    assert_true(store_window_take(&window, 900, 3, 0, 5));
    store_window_give(&window, 900, 1);
    assert_int_equal(window.bytes, 10);
    assert_true(store_window_take(&window, 900, 4, STORE_WINDOW_BYTES - 10, 5));
    store_window_fini(&window);
}

static void what_is_never_answered_does_not_count_for_ever(void **state)
{
    (void)state;
    window_begins();
    assert_false(store_window_expire(&window, UINT64_MAX));
    assert_true(store_window_take(&window, 900, 1, 100, NS_PER_S));
    assert_true(store_window_take(&window, 900, 2, 200, 2 * NS_PER_S));
    assert_false(store_window_expire(&window, NS_PER_S + STORE_WINDOW_NS));
    assert_true(store_window_expire(&window, NS_PER_S + STORE_WINDOW_NS + 1));
    assert_false(store_window_expire(&window, NS_PER_S + STORE_WINDOW_NS + 1));
    assert_false(store_window_has(&window, 900, 1));
    assert_true(store_window_has(&window, 900, 2));
    assert_int_equal(window.bytes, 200);
    store_window_fini(&window);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_of_a_source_that_has_said_nothing),
        cmocka_unit_test(the_places_of_the_last_numbers_are_known),
        cmocka_unit_test(numbers_that_were_jumped_have_no_place),
        cmocka_unit_test(a_record_is_due_after_half_a_ring),
        cmocka_unit_test(floors_are_read_back),
        cmocka_unit_test(the_source_with_the_oldest_event_is_forgotten_for_a_new_one),
        cmocka_unit_test(so_many_requests_may_be_open),
        cmocka_unit_test(so_many_bytes_may_be_open),
        cmocka_unit_test(what_is_never_answered_does_not_count_for_ever),
    };
    return cmocka_run_group_tests_name("sources", tests, NULL, NULL);
}
