/* bench_ref_log_test.c — the common order of state frames, and of stream messages: what counts as a gap, a snapshot, a
 * repetition, a loss. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ref_log.h"
#include "stream_text.h"

struct text {
    unsigned char bytes[1024];
    size_t len;
};

static struct text state_frame(unsigned machine, unsigned position, unsigned raw, unsigned long seq)
{
    struct text text;
    text.len = (size_t)snprintf(
        (char *)text.bytes, sizeof text.bytes,
        "{\"type\":\"status_broadcast\",\"timestamp\":\"2025-01-27T10:30:00.000Z\",\"status\":{"
        "\"bench_%u\":{\"status\":{},\"position\":%u,\"raw_status\":%u,"
        "\"connection_status\":\"connected\"}},\"seq\":\"0badcafe-%lu\"}",
        machine, position, raw, seq);
    return text;
}

static struct text snapshot_frame(unsigned long seq)
{
    struct text text;
    text.len = (size_t)snprintf(
        (char *)text.bytes, sizeof text.bytes,
        "{\"type\":\"status_broadcast\",\"timestamp\":\"2025-01-27T10:30:00.000Z\",\"status\":{"
        "\"bench_0\":{\"status\":{},\"position\":1,\"raw_status\":2,\"connection_status\":\"connected\"},"
        "\"bench_1\":{\"status\":{},\"position\":1,\"raw_status\":2,\"connection_status\":\"connected\"}},"
        "\"seq\":\"0badcafe-%lu\"}",
        seq);
    return text;
}

struct fixture {
    struct ref_log log;
    struct source_table *table;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->table = source_table_new(4);
    assert_non_null(f->table);
    assert_int_equal(ref_log_init(&f->log, REF_STATES, f->table), ERR_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    ref_log_fini(&f->log);
    source_table_free(&f->table);
    free(f);
    return 0;
}

static struct text stream_message(size_t len, uint64_t sent_ns, uint64_t number)
{
    struct text text = {.len = len};
    char *end = (char *)text.bytes + len;
    stream_text_make((char *)text.bytes, len);
    stream_text_digits(end - STREAM_TEXT_TIME_BACK, sent_ns);
    stream_text_digits(end - STREAM_TEXT_NUMBER_BACK, number);
    return text;
}

/* Follows, or is placed: as the generator does. */
static struct ref_place take(struct fixture *f, struct ref_cursor *cursor, struct text text)
{
    struct ref *ref = ref_log_follow(&f->log, cursor, text.bytes, text.len);
    if (ref != NULL)
        return (struct ref_place){REF_KNOWN, ref, 0, 0};
    return ref_log_place(&f->log, cursor, text.bytes, text.len);
}

static void note_sent(struct fixture *f, unsigned machine, unsigned position, unsigned raw, uint64_t number)
{
    struct source_entry *entry = &f->table->entries[machine * SOURCE_PAIRS + (position << 8 | raw)];
    atomic_store(&entry->number, number);
    atomic_store(&entry->sent_ns, 1000 + number);
}

static void the_text_is_read(void **state)
{
    (void)state;
    struct text text = state_frame(37, 200, 218, 123456789);
    struct ref_state said;
    assert_true(ref_parse(text.bytes, text.len, &said));
    assert_int_equal(said.machine, 37);
    assert_int_equal(said.position, 200);
    assert_int_equal(said.raw, 218);
    assert_int_equal(said.seq, 123456789);
    static const char other[] =
        "{\"type\":\"pong\",\"timestamp\":\"2025-01-27T10:30:00.000Z\",\"seq\":\"0badcafe-7\"}";
    assert_false(ref_parse((const unsigned char *)other, sizeof other - 1, &said));
}

static void two_connections_in_step(void **state)
{
    struct fixture *f = *state;
    struct ref_cursor a = REF_CURSOR_START, b = REF_CURSOR_START;
    for (unsigned i = 0; i < 100; i++) {
        struct text text = state_frame(i % 2, i, 218, 1000 + 8 * i);
        assert_int_equal(take(f, &a, text).kind, REF_NEW);
        struct ref_place place = take(f, &b, text);
        assert_int_equal(place.kind, REF_KNOWN);
        assert_int_equal(place.skipped, 0);
    }
    assert_int_equal(a.index, 100);
    assert_int_equal(b.index, 100);
}

static void a_missing_frame_is_a_gap(void **state)
{
    struct fixture *f = *state;
    struct ref_cursor a = REF_CURSOR_START, b = REF_CURSOR_START;
    for (unsigned i = 0; i < 10; i++)
        take(f, &a, state_frame(0, i, 218, 1000 + 8 * i));
    take(f, &b, state_frame(0, 0, 218, 1000));
    struct ref_place place = take(f, &b, state_frame(0, 4, 218, 1032));
    assert_int_equal(place.kind, REF_KNOWN);
    assert_int_equal(place.skipped, 3);
    place = take(f, &b, state_frame(0, 10, 218, 1080)); /* new, but 5 to 9 are missing */
    assert_int_equal(place.kind, REF_NEW);
    assert_int_equal(place.skipped, 5);
}

static void a_repetition_is_out_of_order(void **state)
{
    struct fixture *f = *state;
    struct ref_cursor a = REF_CURSOR_START;
    take(f, &a, state_frame(0, 1, 218, 1000));
    take(f, &a, state_frame(0, 2, 218, 1008));
    assert_int_equal(take(f, &a, state_frame(0, 2, 218, 1008)).kind, REF_OLD);
    assert_int_equal(take(f, &a, state_frame(0, 1, 218, 1000)).kind, REF_OLD);
    assert_int_equal(a.index, 2);
}

static void a_snapshot_moves_the_cursor(void **state)
{
    struct fixture *f = *state;
    struct ref_cursor a = REF_CURSOR_START, b = REF_CURSOR_START;
    for (unsigned i = 0; i < 10; i++)
        take(f, &a, state_frame(0, i, 218, 1000 + 8 * i));
    take(f, &b, state_frame(0, 0, 218, 1000));
    struct ref_place place = take(f, &b, snapshot_frame(1050)); /* complete up to the record before */
    assert_int_equal(place.kind, REF_SNAPSHOT);
    assert_int_equal(place.covered, 6);
    assert_int_equal(place.skipped, 0);
    place = take(f, &b, state_frame(0, 7, 218, 1056));
    assert_int_equal(place.kind, REF_KNOWN);
    assert_int_equal(place.skipped, 0);
}

/* A client whose backlog was given up is ahead of all others: its snapshot covers frames nobody has been seen to get. */
static void a_snapshot_ahead_of_everybody_is_no_gap_later(void **state)
{
    struct fixture *f = *state;
    struct ref_cursor a = REF_CURSOR_START, b = REF_CURSOR_START;
    take(f, &a, state_frame(0, 0, 218, 1000));
    take(f, &b, state_frame(0, 0, 218, 1000));
    assert_int_equal(take(f, &b, snapshot_frame(1050)).kind, REF_SNAPSHOT); /* covers 1008 to 1048 */
    for (unsigned i = 1; i <= 6; i++)
        take(f, &a, state_frame(0, i, 218, 1000 + 8 * i));
    struct ref_place place = take(f, &b, state_frame(0, 7, 218, 1056));
    assert_int_equal(place.skipped, 0);
    assert_int_equal(place.covered, 6);
}

/* … but what is missing behind that snapshot still is one. */
static void a_gap_behind_a_snapshot_is_a_gap(void **state)
{
    struct fixture *f = *state;
    struct ref_cursor a = REF_CURSOR_START, b = REF_CURSOR_START;
    take(f, &b, state_frame(0, 0, 218, 1000));
    take(f, &b, snapshot_frame(1020)); /* covers 1008 and 1016 */
    for (unsigned i = 0; i <= 6; i++)
        take(f, &a, state_frame(0, i, 218, 1000 + 8 * i));
    struct ref_place place = take(f, &b, state_frame(0, 6, 218, 1048)); /* 1024, 1032, 1040 are missing */
    assert_int_equal(place.covered, 2);
    assert_int_equal(place.skipped, 3);
}

static void a_message_that_nobody_got_is_lost(void **state)
{
    struct fixture *f = *state;
    struct ref_cursor a = REF_CURSOR_START;
    for (unsigned i = 1; i <= 6; i++)
        note_sent(f, 0, i, 218, i);
    struct ref_place place = take(f, &a, state_frame(0, 1, 218, 1000));
    assert_int_equal(place.ref->source_ns, 1001);
    take(f, &a, state_frame(0, 2, 218, 1008));
    assert_int_equal(f->log.lost, 0);
    take(f, &a, state_frame(0, 6, 218, 1016));
    assert_int_equal(f->log.lost, 3);
}

static void a_connection_far_behind_is_gapped(void **state)
{
    struct fixture *f = *state;
    struct ref_cursor a = REF_CURSOR_START, b = REF_CURSOR_START;
    take(f, &b, state_frame(0, 0, 218, 1000));
    for (unsigned i = 0; i < REF_CAP + 10; i++)
        take(f, &a, state_frame(0, i % 256, 218, 1000 + 8 * i));
    struct ref_place place = take(f, &b, state_frame(0, (REF_CAP + 9) % 256, 218, 1000 + 8 * (REF_CAP + 9)));
    assert_int_equal(place.kind, REF_KNOWN);
    assert_int_equal(place.skipped, REF_CAP + 8);
}

/* --- messages of a stream --------------------------------------------------------------------------------------------- */

static int set_up_stream(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_int_equal(ref_log_init(&f->log, REF_STREAM, NULL), ERR_OK);
    *state = f;
    return 0;
}

static void a_message_says_when_it_was_sent(void **state)
{
    struct fixture *f = *state;
    uint64_t ns, number;
    struct text text = stream_message(150, 0x123456789abcdef0, UINT64_MAX);
    assert_true(stream_text_read(text.bytes, text.len, &ns, &number));
    assert_true(ns == 0x123456789abcdef0 && number == UINT64_MAX);
    text.bytes[text.len - 1] = 'g';
    assert_false(stream_text_read(text.bytes, text.len, &ns, &number));
    struct ref_cursor a = REF_CURSOR_START;
    struct ref_place place = take(f, &a, stream_message(STREAM_TEXT_MIN, 77, 1));
    assert_int_equal(place.kind, REF_NEW);
    assert_int_equal(place.ref->source_ns, 77);
    assert_int_equal(take(f, &a, state_frame(0, 1, 218, 1000)).kind, REF_OTHER);
}

static void messages_in_step(void **state)
{
    struct fixture *f = *state;
    struct ref_cursor a = REF_CURSOR_START, b = REF_CURSOR_START;
    for (uint64_t i = 1; i <= 300; i++) {
        struct text text = stream_message(150, 1000 + i, i);
        assert_int_equal(take(f, &a, text).kind, REF_NEW);
        struct ref_place place = take(f, &b, text);
        assert_int_equal(place.kind, REF_KNOWN);
        assert_int_equal(place.skipped, 0);
        assert_int_equal(place.ref->source_ns, 1000 + i);
    }
    assert_int_equal(f->log.lost, 0);
}

static void a_missing_message_is_a_gap_or_lost(void **state)
{
    struct fixture *f = *state;
    struct ref_cursor a = REF_CURSOR_START, b = REF_CURSOR_START;
    for (uint64_t i = 1; i <= 10; i++)
        take(f, &a, stream_message(150, i, i));
    take(f, &b, stream_message(150, 1, 1));
    assert_int_equal(take(f, &b, stream_message(150, 5, 5)).skipped, 3);
    assert_int_equal(take(f, &a, stream_message(150, 13, 13)).kind, REF_NEW);
    assert_int_equal(f->log.lost, 2); /* 11 and 12 reached nobody */
}

static void a_repeated_message_is_out_of_order(void **state)
{
    struct fixture *f = *state;
    struct ref_cursor a = REF_CURSOR_START;
    take(f, &a, stream_message(150, 1, 1));
    take(f, &a, stream_message(150, 2, 2));
    assert_int_equal(take(f, &a, stream_message(150, 2, 2)).kind, REF_OLD);
    assert_int_equal(take(f, &a, stream_message(150, 1, 1)).kind, REF_OLD);
    assert_int_equal(take(f, &a, stream_message(150, 3, 3)).kind, REF_NEW);
}

int main(void)
{
#define STREAM(f) cmocka_unit_test_setup_teardown(f, set_up_stream, tear_down)
#define TEST(f)   cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_text_is_read),
        TEST(two_connections_in_step),
        TEST(a_missing_frame_is_a_gap),
        TEST(a_repetition_is_out_of_order),
        TEST(a_snapshot_moves_the_cursor),
        TEST(a_snapshot_ahead_of_everybody_is_no_gap_later),
        TEST(a_gap_behind_a_snapshot_is_a_gap),
        TEST(a_message_that_nobody_got_is_lost),
        TEST(a_connection_far_behind_is_gapped),
        STREAM(a_message_says_when_it_was_sent),
        STREAM(messages_in_step),
        STREAM(a_missing_message_is_a_gap_or_lost),
        STREAM(a_repeated_message_is_out_of_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
