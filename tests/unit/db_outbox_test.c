/* db_outbox_test.c — events: waiting, published, asked for, forgotten; and what machines and the ring leave in the database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db_stage.h"
#include "must.h"

#define DAY_MS 86400000ULL
#define RING_A 0x0000a001u
#define RING_B 0xf000b002u

static struct db_stage stage;

static int set_up(void **state)
{
    (void)state;
    db_stage_open(&stage);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    db_stage_close(&stage);
    return 0;
}

static void sensors(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(
            ask(&stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0, row(text(ARG_TIPO, "t"), text(ARG_MODELO, "m")))
                ->status,
            201);
}

static void published(uint64_t seq, uint32_t ring, uint64_t n)
{
    assert_int_equal(db_begin(stage.db), ERR_OK);
    assert_int_equal(db_note_published(stage.db, seq, ring, n * 64), ERR_OK);
    assert_int_equal(db_commit(stage.db), ERR_OK);
}

static void foreign(uint32_t ring, uint64_t n, const char *channel)
{
    const char *payload = "{\"type\":\"system_event\"}";
    assert_int_equal(db_begin(stage.db), ERR_OK);
    assert_int_equal(db_note_foreign(stage.db, ring, n * 64, channel, payload, strlen(payload)), ERR_OK);
    assert_int_equal(db_commit(stage.db), ERR_OK);
}

/* "seq"s of the answer, with a space behind each. */
static const char *seqs(struct store_row args)
{
    static char all[1024];
    const struct said *said = ask(&stage, STORE_OP_EVENTS, ENTITY_NONE, 0, 0, args);
    json_t *event;
    size_t i, len = 0;
    if (said->status != 200) {
        snprintf(all, sizeof all, "%u", said->status);
        return all;
    }
    all[0] = '\0';
    json_array_foreach(said->json, i, event) len += (size_t)snprintf(
        all + len, sizeof all - len, "%s ", json_string_value(json_object_get(event, "seq")));
    return all;
}

static void an_event_waits_until_it_is_published(void **state)
{
    (void)state;
    assert_int_equal(db_last_event(stage.db), 0);
    assert_int_equal(db_first_unpublished(stage.db), 1);
    sensors(3);
    assert_int_equal(db_first_unpublished(stage.db), 1);
    published(1, RING_A, 10);
    published(3, RING_A, 12);
    assert_int_equal(db_first_unpublished(stage.db), 2);
    db_stage_again(&stage);
    assert_int_equal(db_first_unpublished(stage.db), 2);
    published(2, RING_A, 11);
    assert_int_equal(db_first_unpublished(stage.db), 4);
    published(2, RING_B, 99); /* said again: the first is true */
    published(77, RING_A, 5);
    assert_string_equal(seqs(nothing), "0000a001-10 0000a001-11 0000a001-12 ");
}

static void a_note_that_is_rolled_back_is_none(void **state)
{
    (void)state;
    sensors(1);
    assert_int_equal(db_begin(stage.db), ERR_OK);
    assert_int_equal(db_note_published(stage.db, 1, RING_A, 640), ERR_OK);
    db_rollback(stage.db);
    assert_int_equal(db_first_unpublished(stage.db), 1);
}

static void events_are_answered_in_the_order_of_rings_and_places(void **state)
{
    (void)state;
    sensors(4);
    published(1, RING_B, 1000); /* seen first */
    published(2, RING_A, 5);
    published(3, RING_A, 6);
    foreign(RING_B, 1001, "general");
    foreign(RING_A, 7, "sensors");
    foreign(RING_A, 7, "sensors"); /* read again */
    assert_string_equal(seqs(nothing), "f000b002-1000 f000b002-1001 0000a001-5 0000a001-6 0000a001-7 ");
    assert_string_equal(seqs(row(text(ARG_CHANNEL, "general"))), seqs(nothing));
    assert_string_equal(seqs(row(text(ARG_CHANNEL, "sensors"))),
                        "f000b002-1000 0000a001-5 0000a001-6 0000a001-7 ");
    assert_string_equal(seqs(row(text(ARG_CHANNEL, "readings"))), "");
    assert_string_equal(seqs(row(whole(ARG_SINCE_RING, RING_B), whole(ARG_SINCE_N, 1000))),
                        "f000b002-1001 0000a001-5 0000a001-6 0000a001-7 ");
    assert_string_equal(seqs(row(whole(ARG_SINCE_RING, RING_A), whole(ARG_SINCE_N, 5), whole(ARG_LIMIT, 1))),
                        "0000a001-6 ");
    assert_string_equal(seqs(row(whole(ARG_SINCE_RING, RING_A), whole(ARG_SINCE_N, INT64_MAX))), "");
    assert_string_equal(seqs(row(whole(ARG_SINCE_RING, 1), whole(ARG_SINCE_N, 5))), "404");
    assert_int_equal(db_last_event(stage.db), 4); /* foreign ones are none of ours */
    sensors(1);
    struct db_event event;
    assert_int_equal(db_next_event(stage.db, 4, &event), ERR_OK);
    assert_true(event.seq > 6 && event.seq == db_last_event(stage.db));
    db_stage_check(&stage);
}

static void one_whose_place_nobody_knows_counts_as_behind_the_one_before(void **state)
{
    (void)state;
    sensors(4);
    published(1, 0, 0);
    published(2, RING_A, 8);
    published(3, 0, 0);
    published(4, RING_A, 20);
    assert_string_equal(seqs(nothing), "0000a001-8 0000a001-8 0000a001-20 ");
    assert_int_equal(db_first_unpublished(stage.db), 5);
}

static void an_older_copy_goes_on_as_a_new_source(void **state)
{
    (void)state;
    sensors(2);
    assert_int_equal(db_change_source(stage.db, 42), ERR_OK);
    assert_int_equal(db_source(stage.db), 42);
    assert_int_equal(db_first_unpublished(stage.db), 3);
    sensors(1);
    db_stage_again(&stage);
    assert_int_equal(db_source(stage.db), 42);
    assert_int_equal(db_first_unpublished(stage.db), 3);
}

static void a_test_event_is_one(void **state)
{
    struct db_event event;
    (void)state;
    const struct said *said = ask(&stage, STORE_OP_TEST_EVENT, ENTITY_NONE, 0, 0,
                                  row(text(ARG_CHANNEL, "general"), text(ARG_MESSAGE, "Prueba")));
    assert_string_equal(said->text,
                        "{\"message\":\"Evento de prueba enviado al canal 'general'\",\"data\":\"Prueba\"}");
    assert_int_equal(db_next_event(stage.db, 0, &event), ERR_OK);
    assert_memory_equal(
        event.payload,
        "{\"type\":\"system_event\",\"level\":\"info\",\"message\":\"Prueba\",\"data\":{\"test\":true},"
        "\"timestamp\":\"2030-03-17T17:46:40.000Z\"}",
        event.len);
    assert_int_equal(ask(&stage, STORE_OP_TEST_EVENT, ENTITY_NONE, 0, 0,
                         row(text(ARG_CHANNEL, "a b"), text(ARG_MESSAGE, "x")))
                         ->status,
                     422);
    assert_int_equal(
        ask(&stage, STORE_OP_TEST_EVENT, ENTITY_NONE, 0, 0, row(null(ARG_CHANNEL), text(ARG_MESSAGE, "x")))
            ->status,
        422);
    assert_int_equal(
        ask(&stage, STORE_OP_TEST_EVENT, ENTITY_NONE, 0, 0, row(text(ARG_CHANNEL, "a"), null(ARG_MESSAGE)))
            ->status,
        422);
}

/* --- machines ------------------------------------------------------------------------------------------------------------------ */

static void machine(const char *name, uint32_t active)
{
    assert_int_equal(db_begin(stage.db), ERR_OK);
    assert_int_equal(db_machine(stage.db, name, active, stage.clock.wall_now_ms), ERR_OK);
    assert_int_equal(db_commit(stage.db), ERR_OK);
}

static unsigned unsolved(void)
{
    return (unsigned)json_array_size(
        ask(&stage, STORE_OP_LIST, ENTITY_ANOMALY, 0, 0, row(truth(ARG_RESUELTA, false)))->json);
}

static void a_condition_is_an_anomaly_until_it_ends(void **state)
{
    (void)state;
    machine("m1", 0);
    machine("m1", 1u << DB_ALARM | 1u << DB_ESTOP);
    machine("m1", 1u << DB_ALARM | 1u << DB_ESTOP);
    machine("m2", 1u << DB_ALARM);
    assert_int_equal(db_last_event(stage.db), 3);
    assert_int_equal(unsolved(), 3);
    db_stage_again(&stage);
    machine("m1", 1u << DB_ESTOP);
    const struct said *said = ask(&stage, STORE_OP_READ, ENTITY_ANOMALY, 1, 0, nothing);
    assert_string_equal(
        said->text,
        "{\"id\":1,\"lectura_id\":null,\"machine_id\":\"m1\",\"tipo\":\"alarma\",\"valor\":1.0,\"resuelta\":"
        "true,"
        "\"resuelta_at\":\"2030-03-17T17:46:40.000Z\",\"created_at\":\"2030-03-17T17:46:40.000Z\","
        "\"updated_at\":\"2030-03-17T17:46:40.000Z\"}");
    json_t *events = events_of(&stage, 3);
    assert_int_equal(json_array_size(events), 1);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(json_array_get(events, 0), "metadata"), "action")),
        "resolve_anomalia");
    json_decref(events);
    db_stage_check(&stage);
}

static void people_may_solve_and_delete_them_by_hand(void **state)
{
    (void)state;
    machine("m1", 1u << DB_ALARM | 1u << DB_LOST);
    assert_int_equal(
        ask(&stage, STORE_OP_UPDATE, ENTITY_ANOMALY, 1, 0, row(truth(ARG_RESUELTA, true)))->status, 200);
    assert_int_equal(ask(&stage, STORE_OP_DELETE, ENTITY_ANOMALY, 2, 0, nothing)->status, 204);
    uint64_t last = db_last_event(stage.db);
    machine("m1", 1u << DB_ALARM | 1u << DB_LOST); /* still there; no new ones */
    machine("m1", 0);
    assert_int_equal(db_last_event(stage.db), last);
    machine("m1", 1u << DB_ALARM);
    assert_int_equal(unsolved(), 1);
    db_stage_check(&stage);
}

static void how_far_the_ring_was_read_is_kept(void **state)
{
    uint32_t ring;
    uint64_t position;
    (void)state;
    assert_int_equal(db_get_ring(stage.db, &ring, &position), ERR_OK);
    assert_int_equal(ring, 0);
    assert_int_equal(db_begin(stage.db), ERR_OK);
    assert_int_equal(db_set_ring(stage.db, RING_B, 1ULL << 62), ERR_OK);
    assert_int_equal(db_commit(stage.db), ERR_OK);
    db_stage_again(&stage);
    assert_int_equal(db_get_ring(stage.db, &ring, &position), ERR_OK);
    assert_int_equal(ring, RING_B);
    assert_true(position == 1ULL << 62);
}

/* --- retention ------------------------------------------------------------------------------------------------------------------ */

static void expire(struct db_keep keep, unsigned limit, bool expected_more)
{
    bool more;
    assert_int_equal(db_begin(stage.db), ERR_OK);
    assert_int_equal(db_expire(stage.db, &keep, limit, &more), ERR_OK);
    assert_int_equal(db_commit(stage.db), ERR_OK);
    assert_int_equal(more, expected_more);
}

static void readings(unsigned count, double temperatura)
{
    static struct store_row rows[STORE_ROWS_MAX];
    for (unsigned i = 0; i < count; i++)
        rows[i] = row(whole(ARG_SENSOR_ID, 1), real(ARG_TEMPERATURA, temperatura), real(ARG_HUMEDAD, 50));
    assert_int_equal(ask_many(&stage, rows, count)->status, 201);
}

static unsigned kept(enum entity_e entity)
{
    json_t *rows = rows_of(&stage, entity);
    unsigned count = (unsigned)json_array_size(rows);
    json_decref(rows);
    return count;
}

static void old_rows_go_in_bounded_steps_with_their_events(void **state)
{
    (void)state;
    sensors(1);
    readings(10, 40); /* with an anomaly each */
    machine("m1", 1u << DB_ALARM);
    machine("m1", 1u << DB_LOST); /* the alarm is solved, the loss goes on */
    stage.clock.wall_now_ms += 10 * DAY_MS;
    readings(5, 20);
    uint64_t last = db_last_event(stage.db);
    expire((struct db_keep){.days = 30}, 100, false);
    assert_int_equal(db_last_event(stage.db), last);
    expire((struct db_keep){.days = 5}, 8, true);
    assert_int_equal(kept(ENTITY_READING), 11);
    expire((struct db_keep){.days = 5}, 100, false);
    assert_int_equal(kept(ENTITY_READING), 5);
    assert_int_equal(kept(ENTITY_ANOMALY), 1); /* the loss */
    assert_int_equal(kept(ENTITY_SENSOR), 1);
    json_t *events = events_of(&stage, last), *first = json_array_get(events, 0),
           *second = json_array_get(events, 1);
    assert_int_equal(json_array_size(events), 21);
    assert_string_equal(json_string_value(json_object_get(json_object_get(first, "metadata"), "action")),
                        "expire_anomalia");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(first, "metadata"), "cascade_from")), "lectura");
    assert_string_equal(json_string_value(json_object_get(json_object_get(second, "metadata"), "action")),
                        "expire_lectura");
    json_decref(events);
    db_stage_check(&stage);
}

static void too_many_rows_go_oldest_first(void **state)
{
    struct db_counts counts;
    bool more = true;
    (void)state;
    sensors(1);
    for (int i = 0; i < 25; i++)
        readings(1000, 20);
    for (int i = 0; i < 100 && more; i++) {
        assert_int_equal(db_begin(stage.db), ERR_OK);
        assert_int_equal(db_expire(stage.db, &(struct db_keep){.mib = 1}, 500, &more), ERR_OK);
        assert_int_equal(db_commit(stage.db), ERR_OK);
    }
    assert_false(more);
    db_get_counts(stage.db, &counts);
    assert_true(counts.file_bytes - counts.event_bytes < 1200000);
    assert_true(counts.expired > 1000 && counts.expired < 24000);
    assert_int_equal(ask(&stage, STORE_OP_READ, ENTITY_READING, 25000, 0, nothing)->status, 200);
    assert_int_equal(ask(&stage, STORE_OP_READ, ENTITY_READING, 1, 0, nothing)->status, 404);
}

static void old_events_go_but_never_one_that_waits_or_the_last(void **state)
{
    struct db_keep keep = {.events_days = 1};
    (void)state;
    sensors(6);
    stage.clock.wall_now_ms += 2 * DAY_MS;
    expire(keep, 100, false);
    assert_int_equal(db_first_unpublished(stage.db), 1); /* none has been published */
    for (uint64_t seq = 1; seq <= 5; seq++)
        published(seq, seq < 3 ? RING_A : RING_B, 10 + seq);
    assert_string_equal(seqs(row(whole(ARG_SINCE_RING, RING_A), whole(ARG_SINCE_N, 11), whole(ARG_LIMIT, 1))),
                        "0000a001-12 ");
    expire(keep, 2, true);
    assert_string_equal(seqs(nothing), "f000b002-13 f000b002-14 f000b002-15 ");
    assert_string_equal(seqs(row(whole(ARG_SINCE_RING, RING_A), whole(ARG_SINCE_N, 11))),
                        "410"); /* 12 is gone */
    assert_string_equal(seqs(row(whole(ARG_SINCE_RING, RING_A), whole(ARG_SINCE_N, 12))),
                        "f000b002-13 f000b002-14 f000b002-15 ");
    published(6, RING_B, 16);
    expire(keep, 100, false);
    assert_string_equal(seqs(nothing), "f000b002-16 ");
    assert_string_equal(seqs(row(whole(ARG_SINCE_RING, RING_A), whole(ARG_SINCE_N, 12))), "410");
    db_stage_again(&stage);
    assert_int_equal(db_last_event(stage.db), 6);
    sensors(1);
    assert_int_equal(db_last_event(stage.db), 7);
}

static void events_are_bounded_in_size(void **state)
{
    struct db_counts counts;
    bool more = true;
    (void)state;
    sensors(1);
    readings(1000, 20);
    for (int i = 0; i < 9; i++)
        readings(1000, 20);
    assert_int_equal(db_begin(stage.db), ERR_OK);
    for (uint64_t seq = 1; seq <= 10001; seq++)
        assert_int_equal(db_note_published(stage.db, seq, RING_A, seq * 64), ERR_OK);
    while (more)
        assert_int_equal(db_expire(stage.db, &(struct db_keep){.events_mib = 1}, 1000, &more), ERR_OK);
    assert_int_equal(db_commit(stage.db), ERR_OK);
    db_get_counts(stage.db, &counts);
    assert_in_range(counts.event_bytes, 1000000, 1500000);
    db_stage_again(&stage);
    struct db_counts again;
    db_get_counts(stage.db, &again);
    assert_int_equal(again.event_bytes, counts.event_bytes);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_event_waits_until_it_is_published),
        T(a_note_that_is_rolled_back_is_none),
        T(events_are_answered_in_the_order_of_rings_and_places),
        T(one_whose_place_nobody_knows_counts_as_behind_the_one_before),
        T(an_older_copy_goes_on_as_a_new_source),
        T(a_test_event_is_one),
        T(a_condition_is_an_anomaly_until_it_ends),
        T(people_may_solve_and_delete_them_by_hand),
        T(how_far_the_ring_was_read_is_kept),
        T(old_rows_go_in_bounded_steps_with_their_events),
        T(too_many_rows_go_oldest_first),
        T(old_events_go_but_never_one_that_waits_or_the_last),
        T(events_are_bounded_in_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
