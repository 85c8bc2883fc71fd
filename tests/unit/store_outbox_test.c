/* store_outbox.h over a real database, against a broker that loses, repeats, forgets and comes anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db_stage.h"
#include "store_metrics.h"
#include "store_outbox.h"

#define RING 0x1111u

struct house {
    struct db_stage stage;
    struct store_outbox outbox;
    struct stats stats;
    uint64_t memory[2048];
    /* the broker */
    uint64_t source_asked, published[600];
    unsigned asked, published_count, events_heard;
    uint64_t last, unacked[WIRE_EVENTS_WINDOW + 1];
    unsigned unacked_count;
    bool full; /* takes nothing */
};

static enum err_e on_send(void *arg, struct wire_message *message)
{
    struct house *house = arg;
    if (house->full)
        return ERR_FULL;
    if (message->type == WIRE_SOURCE) {
        house->asked++;
        house->source_asked = message->source.source;
        return ERR_OK;
    }
    assert_int_equal(message->type, WIRE_EVENT);
    assert_true(house->unacked_count < WIRE_EVENTS_WINDOW);
    assert_int_equal(message->event.source, db_source(house->stage.db));
    house->events_heard++;
    if (message->event.source_seq > house->last) {
        house->last = message->event.source_seq;
        house->published[house->published_count++] = house->last;
    }
    house->unacked[house->unacked_count++] = message->event.source_seq;
    return ERR_OK;
}

static uint64_t on_new_source(void *arg)
{
    (void)arg;
    return 0xabcdef;
}

static void start(struct house *house)
{
    house->outbox = (struct store_outbox){.db = house->stage.db,
                                          .stats = &house->stats,
                                          .clock = &house->stage.clock.clock,
                                          .send = on_send,
                                          .new_source = on_new_source,
                                          .arg = house};
    store_outbox_init(&house->outbox);
}

static int setup(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    assert_true(stats_size(store_metric_defs, STORE_METRIC_COUNT) <= sizeof house->memory);
    stats_init(&house->stats, house->memory, store_metric_defs, STORE_METRIC_COUNT);
    db_stage_open(&house->stage);
    start(house);
    *state = house;
    return 0;
}

static int teardown(void **state)
{
    struct house *house = *state;
    db_stage_close(&house->stage);
    free(house);
    return 0;
}

static void make(struct house *house, unsigned events)
{
    for (unsigned i = 0; i < events; i++)
        assert_int_equal(ask(&house->stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0,
                             row(text(ARG_TIPO, "t"), text(ARG_MODELO, "m")))
                             ->status,
                         201);
}

static void pump(struct house *house)
{
    while (store_outbox_pump(&house->outbox))
        ;
}

static void ack(struct house *house, uint64_t seq)
{
    struct wire_event_ack message = {db_source(house->stage.db), seq, RING, seq * 64};
    store_outbox_acked(&house->outbox, &message);
}

static void ack_all(struct house *house)
{
    for (unsigned i = 0; i < house->unacked_count; i++)
        ack(house, house->unacked[i]);
    house->unacked_count = 0;
}

static void introduce(struct house *house)
{
    house->unacked_count = 0;
    store_outbox_up(&house->outbox);
    assert_false(house->full);
    ack(house, house->last); /* SOURCE's answer */
}

static void advance(struct house *house, uint64_t ns)
{
    clock_manual_advance_ns(&house->stage.clock, ns);
    store_outbox_tick(&house->outbox);
}

static void nothing_goes_before_the_broker_says_what_it_has(void **state)
{
    struct house *house = *state;
    make(house, 3);
    pump(house);
    assert_false(house->outbox.settled);
    store_outbox_up(&house->outbox);
    pump(house);
    assert_int_equal(house->asked, 1);
    assert_int_equal(house->events_heard, 0);
    ack(house, 0);
    assert_true(house->outbox.settled);
    pump(house);
    assert_int_equal(house->published_count, 3);
}

static void acknowledgements_reach_the_database(void **state)
{
    struct house *house = *state;
    introduce(house);
    make(house, 3);
    pump(house);
    ack_all(house);
    assert_int_equal(db_first_unpublished(house->stage.db), house->published[0]);
    assert_true(store_outbox_due_ns(&house->outbox) != UINT64_MAX);
    advance(house, OUTBOX_NOTE_NS - 1);
    assert_int_equal(db_first_unpublished(house->stage.db), house->published[0]);
    advance(house, 1);
    assert_int_equal(db_first_unpublished(house->stage.db), db_last_event(house->stage.db) + 1);
    assert_int_equal(store_outbox_due_ns(&house->outbox), UINT64_MAX);
}

static void a_store_that_died_sends_again_what_it_does_not_know_published(void **state)
{
    struct house *house = *state;
    introduce(house);
    make(house, 5);
    pump(house);
    ack_all(house); /* and dies before the notes */
    db_stage_again(&house->stage);
    start(house);
    introduce(house);
    pump(house);
    assert_int_equal(house->events_heard, 10);
    assert_int_equal(house->published_count, 5); /* the broker knows repeats */
    ack_all(house);
    advance(house, OUTBOX_NOTE_NS);
    assert_int_equal(db_first_unpublished(house->stage.db), db_last_event(house->stage.db) + 1);
}

static void a_broker_that_comes_anew_gets_what_is_not_acknowledged(void **state)
{
    struct house *house = *state;
    introduce(house);
    make(house, 4);
    pump(house);
    ack(house, house->unacked[0]);
    store_outbox_down(&house->outbox);
    pump(house);
    house->last = house->published[1]; /* it had only published two */
    house->published_count = 2;
    introduce(house);
    pump(house);
    assert_int_equal(house->published_count, 4);
    assert_int_equal(house->unacked_count, 3);
    assert_int_equal(house->unacked[0], house->published[1]);
}

static void what_is_not_acknowledged_in_time_goes_again(void **state)
{
    struct house *house = *state;
    introduce(house);
    make(house, 2);
    pump(house);
    house->unacked_count = 0; /* acknowledgements were lost */
    advance(house, OUTBOX_AGAIN_NS - 1);
    pump(house);
    assert_int_equal(house->events_heard, 2);
    advance(house, 1);
    pump(house);
    assert_int_equal(house->events_heard, 4);
    assert_int_equal(house->published_count, 2);
}

static void an_unanswered_question_is_asked_again(void **state)
{
    struct house *house = *state;
    house->full = true;
    store_outbox_up(&house->outbox);
    house->full = false;
    assert_int_equal(house->asked, 0);
    advance(house, OUTBOX_AGAIN_NS);
    assert_int_equal(house->asked, 1);
}

static void no_more_than_the_window(void **state)
{
    struct house *house = *state;
    introduce(house);
    make(house, WIRE_EVENTS_WINDOW + 40);
    pump(house);
    assert_int_equal(house->unacked_count, WIRE_EVENTS_WINDOW);
    ack_all(house);
    pump(house);
    assert_int_equal(house->unacked_count, 40);
    for (unsigned i = 1; i < house->published_count; i++)
        assert_true(house->published[i] > house->published[i - 1]);
}

static void a_broker_that_takes_nothing_is_waited_for(void **state)
{
    struct house *house = *state;
    introduce(house);
    make(house, 3);
    house->full = true;
    pump(house);
    house->full = false;
    pump(house);
    assert_int_equal(house->published_count, 3);
}

/* The ring knows more than the database ever had. */
static void an_older_copy_takes_a_new_source(void **state)
{
    struct house *house = *state;
    make(house, 3);
    db_stage_again(&house->stage);
    start(house);
    uint64_t old = db_source(house->stage.db), last = db_last_event(house->stage.db);
    store_outbox_up(&house->outbox);
    ack(house, last + 1);
    assert_int_equal(db_source(house->stage.db), 0xabcdef);
    assert_int_equal(stats_get(&house->stats, STORE_SOURCE_CHANGES), 1);
    assert_int_equal(house->asked, 2);
    assert_int_equal(house->source_asked, 0xabcdef);
    assert_false(house->outbox.settled);
    struct wire_event_ack stray = {old, last, RING, 64};
    store_outbox_acked(&house->outbox, &stray);
    assert_false(house->outbox.settled);
    ack(house, 0);
    assert_true(house->outbox.settled);
    pump(house);
    assert_int_equal(house->published_count, 0); /* what it had counts as published */
    make(house, 2);
    pump(house);
    assert_int_equal(house->published_count, 2);
}

/* What this process sent is known to it, whatever the database said when it was opened. */
static void its_own_events_do_not_make_it_a_copy(void **state)
{
    struct house *house = *state;
    introduce(house);
    make(house, 3);
    pump(house);
    store_outbox_down(&house->outbox);
    introduce(house);
    assert_int_equal(stats_get(&house->stats, STORE_SOURCE_CHANGES), 0);
    assert_true(house->outbox.state == OUTBOX_SENDING);
}

static void notes_ride_along_with_a_group(void **state)
{
    struct house *house = *state;
    unsigned count;
    introduce(house);
    make(house, 3);
    pump(house);
    ack_all(house);
    assert_int_equal(db_begin(house->stage.db), ERR_OK);
    assert_int_equal(store_outbox_note(&house->outbox, &count), ERR_OK);
    assert_int_equal(count, 3);
    db_rollback(house->stage.db); /* the group failed: they wait */
    assert_int_equal(house->outbox.window.note_count, 3);
    assert_int_equal(db_begin(house->stage.db), ERR_OK);
    assert_int_equal(store_outbox_note(&house->outbox, &count), ERR_OK);
    assert_int_equal(db_commit(house->stage.db), ERR_OK);
    store_outbox_noted(&house->outbox, count);
    assert_int_equal(db_first_unpublished(house->stage.db), db_last_event(house->stage.db) + 1);
    assert_int_equal(store_outbox_due_ns(&house->outbox), UINT64_MAX);
}

static void what_a_predecessor_left_makes_it_incomplete(void **state)
{
    struct house *house = *state;
    assert_true(store_outbox_is_complete(&house->outbox));
    make(house, 2);
    assert_true(store_outbox_is_complete(&house->outbox)); /* its own are on their way */
    db_stage_again(&house->stage);
    start(house);
    assert_false(store_outbox_is_complete(&house->outbox));
    introduce(house);
    pump(house);
    ack_all(house);
    assert_false(store_outbox_is_complete(&house->outbox));
    advance(house, OUTBOX_NOTE_NS);
    assert_true(store_outbox_is_complete(&house->outbox));
}

static void strays_are_counted(void **state)
{
    struct house *house = *state;
    introduce(house);
    ack(house, 77);
    struct wire_event_ack other = {4711, 1, RING, 64};
    store_outbox_acked(&house->outbox, &other);
    assert_int_equal(stats_get(&house->stats, STORE_STRAY_ACKS), 2);
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(nothing_goes_before_the_broker_says_what_it_has),
        PLAY(acknowledgements_reach_the_database),
        PLAY(a_store_that_died_sends_again_what_it_does_not_know_published),
        PLAY(a_broker_that_comes_anew_gets_what_is_not_acknowledged),
        PLAY(what_is_not_acknowledged_in_time_goes_again),
        PLAY(an_unanswered_question_is_asked_again),
        PLAY(no_more_than_the_window),
        PLAY(a_broker_that_takes_nothing_is_waited_for),
        PLAY(an_older_copy_takes_a_new_source),
        PLAY(its_own_events_do_not_make_it_a_copy),
        PLAY(notes_ride_along_with_a_group),
        PLAY(what_a_predecessor_left_makes_it_incomplete),
        PLAY(strays_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
