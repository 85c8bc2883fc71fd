/* store_fold.h: conditions of machines out of states, and the broker's own events out of records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "db.h"
#include "frames_seq.h"
#include "store_fold.h"
#include "topic.h"
#include "ws_frame.h"

#define RING 0x0a1b2c3du

static uint32_t conditions(enum connection_e connection, bool read, uint8_t raw, const char *profile)
{
    struct machine_state state = {.connection = connection, .has_reading = read, .raw_status = raw};
    uint32_t active = 0xffff;
    bool says = store_fold_conditions(&state, profile != NULL ? profile_builtin(profile) : NULL, &active);
    return says ? active : UINT32_MAX;
}

static void conditions_are_those_of_the_profile(void **state)
{
    (void)state;
    assert_int_equal(conditions(CONNECTION_CONNECTED, true, 218, "standard"), 0);
    assert_int_equal(conditions(CONNECTION_CONNECTED, true, 218 | 4, "standard"), 1u << DB_ALARM);
    /* delta-as: bit 3 alarm, bit 4 clear: estop, bit 5 drive fault, bit 6 positioning error */
    assert_int_equal(conditions(CONNECTION_CONNECTED, true, 0x14, "delta-as"), 0);
    assert_int_equal(conditions(CONNECTION_CONNECTED, true, 0x04, "delta-as"), 1u << DB_ESTOP);
    assert_int_equal(conditions(CONNECTION_CONNECTED, true, 0x7c, "delta-as"),
                     1u << DB_ALARM | 1u << DB_DRIVE_FAULT | 1u << DB_POSITIONING_ERROR);
}

static void a_machine_that_is_not_connected_is_lost(void **state)
{
    (void)state;
    assert_int_equal(conditions(CONNECTION_DISCONNECTED, true, 218, "standard"), 1u << DB_LOST);
    assert_int_equal(conditions(CONNECTION_STALE, true, 218, "standard"), 1u << DB_LOST);
    assert_int_equal(conditions(CONNECTION_ERROR, true, 218 | 4, "standard"), 1u << DB_LOST | 1u << DB_ALARM);
    assert_int_equal(conditions(CONNECTION_DISCONNECTED, true, 218 | 4, NULL), 1u << DB_LOST);
}

static void one_that_was_never_read_says_nothing(void **state)
{
    (void)state;
    assert_int_equal(conditions(CONNECTION_DISCONNECTED, false, 0, "standard"), UINT32_MAX);
}

/* --- records -------------------------------------------------------------------------------------------------------- */

static void name(struct ring_record *record, unsigned i, const char *topic)
{
    record->topics[i] = (struct ring_topic){topic_hash(topic, strlen(topic)), topic, (uint8_t)strlen(topic)};
    if (record->topic_count <= i)
        record->topic_count = i + 1;
}

static void states_name_their_machine(void **state)
{
    (void)state;
    struct record_state meta = {.connection = CONNECTION_CONNECTED, .has_reading = 1, .raw_status = 219};
    struct ring_record record = {.kind = RECORD_STATE, .meta = &meta, .meta_len = sizeof meta};
    char id[MACHINE_ID_MAX + 1];
    struct machine_state folded;
    name(&record, 0, "state/lift:1");
    assert_int_equal(store_fold_state(&record, id, &folded), ERR_OK);
    assert_string_equal(id, "lift:1");
    assert_int_equal(folded.raw_status, 219);
    name(&record, 0, "result/lift:1");
    assert_int_equal(store_fold_state(&record, id, &folded), ERR_MALFORMED);
    name(&record, 0, "state/#");
    assert_int_equal(store_fold_state(&record, id, &folded), ERR_MALFORMED);
    name(&record, 0, "state/");
    assert_int_equal(store_fold_state(&record, id, &folded), ERR_MALFORMED);
    name(&record, 0, "state/lift:1");
    meta.connection = CONNECTION_COUNT;
    assert_int_equal(store_fold_state(&record, id, &folded), ERR_MALFORMED);
    meta.connection = CONNECTION_CONNECTED;
    record.meta_len--;
    assert_int_equal(store_fold_state(&record, id, &folded), ERR_MALFORMED);
}

static struct record_source source;
static unsigned char memory[STORE_FOREIGN_MAX + 256];

static struct ring_record event_of(const char *text, size_t len, uint64_t position)
{
    struct out out = out_init((char *)memory + WS_HEADER_MAX, sizeof memory - WS_HEADER_MAX);
    out_bytes(&out, text, len - 1);
    frames_put_seq(&out, (struct frames_seq){RING, position});
    struct ring_record record = {.kind = RECORD_CHANNEL,
                                 .position = position,
                                 .meta = &source,
                                 .meta_len = sizeof source,
                                 .frame = ws_frame_prepend(memory + WS_HEADER_MAX, out.len, WS_TEXT)};
    record.frame_len = (uint32_t)(out.len + ws_frame_header_len(out.len));
    name(&record, 0, "channel/general");
    return record;
}

static bool folds(const struct ring_record *record, struct store_foreign *foreign)
{
    static char text[STORE_FOREIGN_MAX];
    return store_fold_foreign(record, RING, text, foreign);
}

static void events_of_the_broker_are_taken_without_seq(void **state)
{
    (void)state;
    struct store_foreign foreign;
    static char text[70000];
    static const size_t sizes[] = {7, 80, 93, 94, 95, 96, 97, 200, 16384, 65490, 65536};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t len = sizes[i];
        memset(text, 'x', len);
        memcpy(text, "{\"a\":\"", 6);
        text[len - 1] = '}';
        struct ring_record record = event_of(text, len, 640 * (i + 1));
        bool fits = record.frame_len - 10 <= STORE_FOREIGN_MAX;
        assert_int_equal(folds(&record, &foreign), fits);
        if (!fits)
            continue;
        assert_int_equal(foreign.len, len);
        assert_memory_equal(foreign.payload, text, len);
        assert_string_equal(foreign.channel, "general");
    }
}

static void its_own_channel_wins_over_general(void **state)
{
    (void)state;
    struct store_foreign foreign;
    struct ring_record record = event_of("{\"a\":1}", 7, 64);
    name(&record, 1, "channel/pruebas");
    assert_true(folds(&record, &foreign));
    assert_string_equal(foreign.channel, "pruebas");
    name(&record, 0, "channel/pruebas");
    name(&record, 1, "channel/general");
    assert_true(folds(&record, &foreign));
    assert_string_equal(foreign.channel, "pruebas");
}

static void nothing_else_is_taken(void **state)
{
    (void)state;
    struct store_foreign foreign;
    struct ring_record record = event_of("{\"a\":1}", 7, 64);
    source.source = 5;
    assert_false(folds(&record, &foreign));
    source.source = 0;
    assert_true(folds(&record, &foreign));
    record.position = 128; /* its frame says another address */
    assert_false(folds(&record, &foreign));
    record.position = 64;
    name(&record, 0, "stream/general");
    assert_false(folds(&record, &foreign));
    name(&record, 0, "channel/general");
    for (uint32_t len = 0; len < record.frame_len; len++) {
        struct ring_record cut = record;
        cut.frame_len = len;
        assert_false(folds(&cut, &foreign));
    }
    memory[WS_HEADER_MAX - 2] = 0x82; /* binary */
    assert_false(folds(&record, &foreign));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_are_those_of_the_profile),
        cmocka_unit_test(a_machine_that_is_not_connected_is_lost),
        cmocka_unit_test(one_that_was_never_read_says_nothing),
        cmocka_unit_test(states_name_their_machine),
        cmocka_unit_test(events_of_the_broker_are_taken_without_seq),
        cmocka_unit_test(its_own_channel_wins_over_general),
        cmocka_unit_test(nothing_else_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
