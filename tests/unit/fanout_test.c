/* fanout: who gets a frame, in what order, and what a slow client gets instead. Clients that lag with frames that cannot be
 * merged, and the promise of seq, are in lag_test.c. */
#include "fanout_stage.h"

static void a_frame_goes_to_whoever_shares_a_topic_and_once(void **state)
{
    struct stage *stage = *state;
    struct socket *one = arrive(stage, 0, PLENTY), *all = arrive(stage, 1, PLENTY);
    struct socket *both = arrive(stage, 2, PLENTY), *none = arrive(stage, 3, PLENTY);
    subscribe(stage, one, TOPIC_STATE, "m1");
    subscribe(stage, all, TOPIC_STATE, NULL);
    subscribe(stage, both, TOPIC_STATE, "m1");
    subscribe(stage, both, TOPIC_STATE, NULL);
    publish_state(stage, 1, 2, 0);
    publish_state(stage, 2, 2, 0);
    pump(stage);
    assert_int_equal(listen_to(one).frames, 2);
    assert_int_equal(listen_to(one).state[1], 2);
    assert_int_equal(listen_to(one).state[2], 0);
    assert_int_equal(listen_to(all).frames, 3);
    assert_int_equal(listen_to(both).frames, 4); /* two snapshots, each change once */
    assert_int_equal(none->heard_len, 0);
}

static void topics_can_be_given_up_again(void **state)
{
    struct stage *stage = *state;
    struct socket *s = arrive(stage, 0, PLENTY);
    subscribe(stage, s, TOPIC_RESULT, "m1");
    subscribe(stage, s, TOPIC_RESULT, "m2");
    assert_int_equal(drop_topic(stage, s, TOPIC_RESULT, "m3"), ERR_OK); /* it never had that */
    publish_number(stage, RECORD_RESULT, 1, 0, NO_ORIGIN);
    pump(stage);
    assert_int_equal(drop_topic(stage, s, TOPIC_RESULT, "m1"), ERR_OK);
    publish_number(stage, RECORD_RESULT, 1, 0, NO_ORIGIN);
    publish_number(stage, RECORD_RESULT, 2, 0, NO_ORIGIN);
    pump(stage);
    assert_int_equal(listen_to(s).numbers, 2);
    assert_int_equal(listen_to(s).number, 3);
    assert_int_equal(drop_topic(stage, s, TOPIC_RESULT, "m2"), ERR_OK);
    assert_null(s->client.audience);
    assert_int_equal(stage->audiences.topics.count, 0);
}

static void own_frames_keep_their_place_in_the_log(void **state)
{
    struct stage *stage = *state;
    struct socket *s = arrive(stage, 0, PLENTY);
    subscribe(stage, s, TOPIC_RESULT, NULL);
    s->room = 0;
    publish_number(stage, RECORD_RESULT, 0, 0, NO_ORIGIN);
    pump(stage);
    reply(stage, s, "P=9;");
    publish_number(stage, RECORD_RESULT, 1, 0, NO_ORIGIN);
    pump(stage);
    assert_int_equal(s->heard_len, 0);
    give_room(stage, s, PLENTY);
    assert_string_equal(listen_to(s).order, "RPR");
    assert_false(listen_to(s).backwards);
}

static void skipped_frames_are_skipped_for_the_origin_alone(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 2; i++)
        subscribe(stage, arrive(stage, i, PLENTY), TOPIC_RESULT, NULL);
    struct socket *origin = &stage->sockets[0];
    for (unsigned round = 0; round < 2; round++) {
        origin->room = round == 0 ? PLENTY : 0; /* caught up, then choked with a backlog */
        publish_number(stage, RECORD_RESULT, 0, 0, NO_ORIGIN);
        tail_drain(&stage->tail, 10);
        outbox_skip(&stage->outbox, &origin->client,
                    stage->audiences.main_log.head - stage->audiences.main_offset);
        publish_number(stage, RECORD_RESULT, 1, 0, NO_ORIGIN);
        pump(stage);
        give_room(stage, origin, PLENTY);
    }
    assert_int_equal(listen_to(origin).numbers, 2);
    assert_int_equal(listen_to(origin).number, 4);
    assert_int_equal(listen_to(&stage->sockets[1]).numbers, 4);
}

static void a_slow_state_client_gets_the_newest_states_and_no_backlog(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 10; i++) /* own log */
        subscribe(stage, arrive(stage, i, i == 0 ? 40 : PLENTY), TOPIC_STATE, NULL);
    for (unsigned n = 2; n < 8000; n++) {
        publish_state(stage, n % MACHINES, n, 200);
        pump(stage);
    }
    struct socket *slow = &stage->sockets[0];
    assert_true(slow->heard_len < 1000);
    for (unsigned i = 0; i < 100 && stage->outbox.counts.lags == 0; i++)
        give_room(stage, slow, 400);
    give_room(stage, slow, 1 << 20);
    struct heard heard = listen_to(slow);
    assert_false(heard.backwards);
    for (unsigned i = 0; i < MACHINES; i++)
        assert_int_equal(heard.state[i], stage->machines[i].state.read_wall_ms);
    assert_true(heard.frames < 100);
    assert_int_equal(stage->outbox.counts.closed_slow, 0);
}

static void a_lapped_worker_shows_snapshots(void **state)
{
    struct stage *stage = *state;
    struct socket *s = arrive(stage, 0, PLENTY);
    subscribe(stage, s, TOPIC_STATE, NULL);
    for (unsigned n = 2; n < 200; n++) /* 200 × 10 KiB is more than the 1 MiB ring holds */
        publish_state(stage, n % MACHINES, n, 10000);
    pump(stage);
    assert_int_equal(stage->losses, 1);
    struct heard heard = listen_to(s);
    assert_false(heard.backwards);
    for (unsigned i = 0; i < MACHINES; i++)
        assert_int_equal(heard.state[i], stage->machines[i].state.read_wall_ms);
}

/* The broker stands between its store of the head and its put of the slot (tests/proof/publish.pml). */
static void publish_without_slot(struct stage *stage, unsigned slot, unsigned reading)
{
    struct lvt_machine before = stage->machines[slot];
    lvt_writer_settle(stage->lvt, ring_writer_head(stage->ring));
    publish_state(stage, slot, reading, 0);
    assert_int_equal(lvt_writer_put(stage->lvt, slot, &before), ERR_OK);
}

static void a_state_without_its_slot_is_not_lost_to_a_lapped_worker(void **state)
{
    struct stage *stage = *state;
    struct socket *s = arrive(stage, 0, PLENTY);
    subscribe(stage, s, TOPIC_STATE, NULL);
    for (unsigned i = 0; i < 1200; i++)
        publish_state(stage, 0, i + 2, 1000);
    publish_without_slot(stage, 2, 9);
    pump(stage);
    assert_int_equal(stage->tail.counts.lapped, 1);
    assert_int_equal(listen_to(s).state[0], 1201);
    assert_int_equal(listen_to(s).state[2], 9);
    assert_false(listen_to(s).backwards);
}

static void a_state_without_its_slot_is_not_lost_to_a_new_worker(void **state)
{
    struct stage *stage = *state;
    publish_without_slot(stage, 2, 9);
    mirror_fini(&stage->mirror);
    tail_close(&stage->tail);
    assert_int_equal(tail_attach(&stage->tail, ring_writer_id(stage->ring)), ERR_OK);
    struct socket *s = arrive(stage, 0, PLENTY);
    subscribe(stage, s, TOPIC_STATE, NULL);
    pump(stage);
    assert_int_equal(listen_to(s).state[2], 9);
}

/* --- machines that come ------------------------------------------------------------------------------------------------ */

/* As the broker does: the table first or the state first, then the event. */
static void a_new_machine_is_in_the_mirror_before_its_event_goes_out(void **state)
{
    struct stage *stage = *state;
    struct socket *s = arrive(stage, 0, PLENTY);
    struct lvt_machine *last = &stage->machines[MACHINES - 1];
    subscribe(stage, s, TOPIC_STATE, NULL);
    subscribe(stage, s, TOPIC_EVENT, NULL);
    snprintf(last->info.id, sizeof last->info.id, "new"); /* its slot changes hands */
    publish_state(stage, MACHINES - 1, 77, 0);
    tail_drain(&stage->tail, 1);
    assert_non_null(
        mirror_find(&stage->mirror, "new", 3)); /* the record's topic is another than the mirror's */
    pump(stage);
    assert_int_equal(listen_to(s).state[MACHINES - 1], 77);
    assert_string_equal(listen_to(s).order, "SSSSSSS");
}

static void a_state_that_ran_ahead_of_the_table_is_owed_when_the_machine_is_announced(void **state)
{
    struct stage *stage = *state;
    struct socket *s = arrive(stage, 0, PLENTY);
    struct lvt_machine before = stage->machines[0];
    subscribe(stage, s, TOPIC_STATE, NULL);
    subscribe(stage, s, TOPIC_EVENT, NULL);
    snprintf(stage->machines[0].info.id, sizeof stage->machines[0].info.id, "new");
    publish_state(stage, 0, 77, 0);
    struct lvt_machine after = stage->machines[0];
    lvt_writer_put(stage->lvt, 0, &before); /* the worker is faster than the broker's next instruction */
    pump(stage);
    assert_int_equal(listen_to(s).state[0], 1);
    assert_int_equal(stage->tail.counts.corrupt, 1);
    lvt_writer_put(stage->lvt, 0, &after);
    publish_number(stage, RECORD_MACHINE, 0, 0, NO_ORIGIN);
    pump(stage);
    struct heard heard = listen_to(s);
    assert_int_equal(heard.state[0], 77);
    assert_int_equal(heard.numbers, 1);
    assert_non_null(mirror_find(&stage->mirror, "new", 3));
}

/* What a broker notes for the next one: no frame, no topics, not kept. */
static void a_floor_is_for_nobody(void **state)
{
    struct stage *stage = *state;
    struct socket *s = arrive(stage, 0, PLENTY);
    struct record_source meta = {.source = 1, .source_seq = 2, .position = 64};
    struct ring_entry floor = {
        .kind = RECORD_FLOOR, .dialect = DIALECT_CHANNELS, .meta = &meta, .meta_len = sizeof meta};
    subscribe(stage, s, TOPIC_STATE, NULL);
    subscribe(stage, s, TOPIC_EVENT, NULL);
    pump(stage);
    struct heard before = listen_to(s);
    uint64_t records = stage->tail.counts.records;
    publish_number(stage, RECORD_EVENT, 0, 0, NO_ORIGIN);
    assert_int_equal(ring_writer_append(stage->ring, &floor), ERR_OK);
    publish_number(stage, RECORD_EVENT, 0, 0, NO_ORIGIN);
    pump(stage);
    struct heard heard = listen_to(s);
    assert_int_equal(heard.numbers, before.numbers + 2);
    assert_int_equal(strlen(heard.order), strlen(before.order) + 2);
    assert_int_equal(stage->tail.counts.corrupt, 0);
    assert_int_equal(stage->outbox.position, ring_writer_head(stage->ring));
    assert_int_equal(stage->tail.counts.records, records + 3);
}

/* --- memory ------------------------------------------------------------------------------------------------------------ */

static void refused_memory_makes_clients_lag_and_loses_nothing(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 12; i++) /* ten in one audience with an own log, two alone */
        subscribe(stage, arrive(stage, i, PLENTY), TOPIC_STATE,
                  i < 10 ? NULL : stage->machines[i - 10].info.id);
    for (unsigned n = 2; n < 100; n++) {
        stage->audiences.budget.limit_bytes = n % 3 == 0 ? 0 : AUDIENCE_BUDGET;
        publish_state(stage, n % MACHINES, n, 5000);
        pump(stage);
    }
    assert_true(stage->audiences.given_up > 20);
    assert_true(stage->audiences.budget.used_bytes < 64 * 1024);
    for (unsigned i = 0; i < 12; i++)
        for (unsigned m = 0; m < MACHINES; m++)
            if (i < 10 || m == i - 10)
                assert_int_equal(listen_to(&stage->sockets[i]).state[m],
                                 stage->machines[m].state.read_wall_ms);
    assert_int_equal(stage->outbox.counts.closed_slow, 0);
}

static void leaving_costs_the_same_however_many_share_a_topic(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < CLIENTS; i++) { /* every one another set, all with events */
        struct socket *s = arrive(stage, i, PLENTY);
        subscribe(stage, s, TOPIC_EVENT, NULL);
        for (unsigned m = 0; m < MACHINES; m++)
            if ((i + 1) & 1u << m)
                subscribe(stage, s, TOPIC_RESULT, stage->machines[m].info.id);
    }
    assert_int_equal(stage->audiences.by_key.count, CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i += 2)
        leave(stage, &stage->sockets[i]);
    publish_number(stage, RECORD_EVENT, 0, 0, NO_ORIGIN);
    publish_number(stage, RECORD_RESULT, 1, 0, NO_ORIGIN);
    pump(stage);
    for (unsigned i = 1; i < CLIENTS; i += 2)
        assert_int_equal(listen_to(&stage->sockets[i]).numbers, (i + 1) & 2 ? 2 : 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_frame_goes_to_whoever_shares_a_topic_and_once),
        PLAY(topics_can_be_given_up_again),
        PLAY(own_frames_keep_their_place_in_the_log),
        PLAY(skipped_frames_are_skipped_for_the_origin_alone),
        PLAY(a_slow_state_client_gets_the_newest_states_and_no_backlog),
        PLAY(a_lapped_worker_shows_snapshots),
        PLAY(a_state_without_its_slot_is_not_lost_to_a_lapped_worker),
        PLAY(a_state_without_its_slot_is_not_lost_to_a_new_worker),
        PLAY(a_new_machine_is_in_the_mirror_before_its_event_goes_out),
        PLAY(a_state_that_ran_ahead_of_the_table_is_owed_when_the_machine_is_announced),
        PLAY(a_floor_is_for_nobody),
        PLAY(refused_memory_makes_clients_lag_and_loses_nothing),
        PLAY(leaving_costs_the_same_however_many_share_a_topic),
    };
    return cmocka_run_group_tests_name("fanout", tests, NULL, NULL);
}
