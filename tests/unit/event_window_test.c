/* event_window.h: which events are with the broker, which acknowledgements wait for the database; against a model, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event_window.h"

static struct event_note note_of(uint64_t seq)
{
    return (struct event_note){seq, (uint32_t)(seq * 7 + 1), seq * 64};
}

static bool ack(struct event_window *window, uint64_t seq)
{
    struct event_note note = note_of(seq);
    return event_window_acked(window, &note);
}

static void acknowledgements_become_notes_in_their_order(void **state)
{
    (void)state;
    struct event_window window;
    event_window_init(&window, 10);
    for (uint64_t seq = 11; seq <= 14; seq++)
        event_window_sent(&window, seq);
    assert_int_equal(window.cursor, 14);
    assert_true(ack(&window, 12));
    assert_true(ack(&window, 11));
    assert_false(ack(&window, 11));
    assert_false(ack(&window, 10));
    assert_false(ack(&window, 15));
    assert_int_equal(window.sent_count, 2);
    assert_int_equal(window.note_count, 2);
    assert_int_equal(window.notes[0].seq, 12);
    assert_int_equal(window.notes[1].position, 11 * 64);
    event_window_noted(&window, 1);
    assert_int_equal(window.notes[0].seq, 11);
}

static void numbers_may_have_gaps(void **state)
{
    (void)state;
    struct event_window window;
    event_window_init(&window, 0);
    event_window_sent(&window, 3);
    event_window_sent(&window, 9);
    assert_false(ack(&window, 4));
    assert_true(ack(&window, 9));
    event_window_again(&window);
    assert_int_equal(window.cursor, 2);
    assert_int_equal(window.note_count, 1);
}

static void what_is_not_acknowledged_goes_again(void **state)
{
    (void)state;
    struct event_window window;
    event_window_init(&window, 0);
    for (uint64_t seq = 1; seq <= 5; seq++)
        event_window_sent(&window, seq);
    ack(&window, 1);
    ack(&window, 2);
    event_window_again(&window);
    assert_int_equal(window.cursor, 2);
    assert_int_equal(window.sent_count, 0);
    for (uint64_t seq = 3; seq <= 5; seq++)
        event_window_sent(&window, seq);
    for (uint64_t seq = 3; seq <= 5; seq++)
        assert_true(ack(&window, seq));
    event_window_again(&window); /* nothing is missing: nothing goes again */
    assert_int_equal(window.cursor, 5);
}

static void no_more_than_the_bus_allows(void **state)
{
    (void)state;
    struct event_window window;
    event_window_init(&window, 0);
    uint64_t seq = 0;
    while (event_window_has_room(&window))
        event_window_sent(&window, ++seq);
    assert_int_equal(seq, WIRE_EVENTS_WINDOW);
    assert_true(ack(&window, 1));
    assert_true(event_window_has_room(&window));
}

/* A disk that takes no notes: sending stops before a note would have no room. */
static void every_note_has_room(void **state)
{
    (void)state;
    struct event_window window;
    event_window_init(&window, 0);
    uint64_t seq = 0, acked = 0;
    while (event_window_has_room(&window) || acked < seq) {
        while (event_window_has_room(&window))
            event_window_sent(&window, ++seq);
        assert_true(ack(&window, ++acked));
    }
    assert_int_equal(window.note_count, EVENT_NOTES_MAX);
    assert_int_equal(window.sent_count, 0);
    event_window_noted(&window, EVENT_NOTES_MAX);
    assert_true(event_window_has_room(&window));
}

/* Random sends, acknowledgements in and out of turn, new brokers, commits: every event is noted once or more, none is forgotten. */
static void nothing_is_forgotten(void **state)
{
    (void)state;
    enum { EVENTS = 3000 };
    static uint8_t noted[EVENTS + 1];
    struct event_window window;
    unsigned seed = 20251122;
    memset(noted, 0, sizeof noted);
    event_window_init(&window, 0);
    for (unsigned step = 0; step < 200000; step++) {
        int what = rand_r(&seed) % 100;
        if (what < 50 && window.cursor < EVENTS && event_window_has_room(&window))
            event_window_sent(&window, window.cursor + 1);
        else if (what < 90 && window.sent_count > 0)
            ack(&window, window.sent[(unsigned)rand_r(&seed) % window.sent_count]);
        else if (what < 92)
            event_window_again(&window);
        else if (window.note_count > 0) {
            unsigned count = 1 + (unsigned)rand_r(&seed) % window.note_count;
            for (unsigned i = 0; i < count; i++)
                noted[window.notes[i].seq] = 1;
            event_window_noted(&window, count);
        }
    }
    for (unsigned i = 0; i < window.note_count; i++)
        noted[window.notes[i].seq] = 1;
    assert_int_equal(window.cursor, EVENTS);
    for (unsigned i = 0; i < window.sent_count; i++)
        noted[window.sent[i]] = 1;
    for (unsigned seq = 1; seq <= EVENTS; seq++)
        assert_true(noted[seq]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledgements_become_notes_in_their_order),
        cmocka_unit_test(numbers_may_have_gaps),
        cmocka_unit_test(what_is_not_acknowledged_goes_again),
        cmocka_unit_test(no_more_than_the_bus_allows),
        cmocka_unit_test(every_note_has_room),
        cmocka_unit_test(nothing_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
