/* Clients that lag: states from the mirror, everything else in order, limits; and replays. The promise of seq is played
 * against a model in promise_test.c. */
#include "fanout_stage.h"

/* --- a mixed audience ------------------------------------------------------------------------------------------------- */

static struct socket *mixed(struct stage *stage, unsigned i, size_t room)
{
    struct socket *s = arrive(stage, i, PLENTY);
    subscribe(stage, s, TOPIC_STATE, NULL);
    subscribe(stage, s, TOPIC_RESULT, NULL);
    s->room = room;
    return s;
}

static void states_are_merged_and_results_are_not(void **state)
{
    struct stage *stage = *state;
    struct socket *s = mixed(stage, 0, 0);
    for (unsigned i = 1; i < 10; i++)
        mixed(stage, i, PLENTY);
    for (unsigned n = 2; n < 8000; n++) { /* 1.9 MiB of states in the log, and through the ring */
        publish_state(stage, n % MACHINES, n, 200);
        if (n % 400 == 0)
            publish_number(stage, RECORD_RESULT, n % MACHINES, 100, NO_ORIGIN);
        pump(stage);
    }
    give_room(stage, s, PLENTY);
    struct heard heard = listen_to(s);
    assert_false(s->closed);
    assert_false(heard.backwards);
    assert_int_equal(heard.numbers, 19);
    assert_true(heard.frames < 200);
    assert_true(heard.seq < stage->outbox.position / RECORD_ALIGN);
    for (unsigned m = 0; m < MACHINES; m++)
        assert_int_equal(heard.state[m], stage->machines[m].state.read_wall_ms);
    assert_int_equal(listen_to(&stage->sockets[1]).numbers, 19);
}

/* The portion before a result that is still owed says no more than the result's predecessor. */
static void a_pass_promises_only_what_was_sent(void **state)
{
    struct stage *stage = *state;
    struct socket *s = mixed(stage, 0, 0);
    publish_number(stage, RECORD_RESULT, 0, 0, NO_ORIGIN);
    uint64_t result = stage->outbox.position / RECORD_ALIGN;
    for (unsigned n = 2; n < 10; n++)
        publish_state(stage, n % MACHINES, n, 0);
    pump(stage);
    outbox_conflate(&stage->outbox, &s->client, stage->outbox.position, false);
    size_t before = s->heard_len;
    give_room(stage, s, 1); /* the portion, and nothing more */
    assert_string_equal(listen_to(s).order + MACHINES, "SSSSSS");
    assert_true(s->heard_len > before);
    assert_int_equal(listen_to(s).seq, result - 1);
    give_room(stage, s, PLENTY);
    assert_int_equal(listen_to(s).numbers, 1);
    assert_false(listen_to(s).backwards);
}

static void a_reply_does_not_wait_for_the_pass(void **state)
{
    struct stage *stage = *state;
    struct socket *s = mixed(stage, 0, 0);
    publish_state(stage, 0, 2, 0);
    publish_number(stage, RECORD_RESULT, 0, 0, NO_ORIGIN);
    pump(stage);
    reply(stage, s, "P=1;");
    assert_false(outbox_may_seq(&s->client)); /* the result stands before */
    outbox_conflate(&stage->outbox, &s->client, stage->outbox.position, false);
    assert_false(outbox_may_seq(&s->client));
    reply(stage, s, "P=2;");
    give_room(stage, s, PLENTY);
    assert_string_equal(listen_to(s).order + MACHINES, "PPSR");
    assert_true(outbox_may_seq(&s->client));
}

static void a_result_for_one_client_keeps_its_place(void **state)
{
    struct stage *stage = *state;
    struct socket *s = arrive(stage, 0, PLENTY);
    unsigned char frame[64];
    subscribe(stage, s, TOPIC_EVENT, NULL);
    s->room = 0;
    publish_number(stage, RECORD_EVENT, 0, 0, NO_ORIGIN);
    tail_drain(&stage->tail, 1);
    outbox_own_record(&stage->outbox, &s->client, stage->audiences.position + RECORD_ALIGN, frame,
                      make_frame(frame, "P=1;", 4, 0));
    publish_number(stage, RECORD_EVENT, 0, 0, NO_ORIGIN);
    pump(stage);
    outbox_conflate(&stage->outbox, &s->client, stage->outbox.position, false);
    give_room(stage, s, PLENTY);
    assert_string_equal(listen_to(s).order, "EPE");
}

static void a_lag_goes_along_to_other_subscriptions(void **state)
{
    struct stage *stage = *state;
    struct socket *s = mixed(stage, 0, 0);
    publish_state(stage, 3, 5, 30000);
    publish_number(stage, RECORD_RESULT, 1, 30000, NO_ORIGIN);
    publish_number(stage, RECORD_EVENT, 2, 0, NO_ORIGIN); /* before it is subscribed to */
    pump(stage);
    subscribe(stage, s, TOPIC_EVENT, NULL);
    assert_non_null(s->client.lag);
    assert_true(s->client.own_bytes < 1000);
    publish_number(stage, RECORD_EVENT, 2, 0, NO_ORIGIN);
    publish_number(stage, RECORD_RESULT, 1, 0, NO_ORIGIN);
    pump(stage);
    assert_int_equal(drop_topic(stage, s, TOPIC_RESULT, NULL), ERR_OK);
    publish_number(stage, RECORD_RESULT, 1, 0, NO_ORIGIN); /* after it is given up */
    publish_number(stage, RECORD_EVENT, 2, 0, NO_ORIGIN);
    pump(stage);
    give_room(stage, s, PLENTY);
    struct heard heard = listen_to(s);
    assert_int_equal(heard.numbers, 4); /* 1, 3, 4, 6 */
    assert_int_equal(heard.number, 6);
    assert_int_equal(heard.state[3], 5);
    assert_false(heard.backwards);
    assert_null(s->client.lag);
}

static void what_is_owed_arrives_when_all_subscriptions_are_given_up(void **state)
{
    struct stage *stage = *state;
    struct socket *s = mixed(stage, 0, 0);
    publish_number(stage, RECORD_RESULT, 1, 0, NO_ORIGIN);
    pump(stage);
    assert_int_equal(drop_topic(stage, s, TOPIC_STATE, NULL), ERR_OK);
    assert_int_equal(drop_topic(stage, s, TOPIC_RESULT, NULL), ERR_OK);
    assert_null(s->client.audience);
    give_room(stage, s, PLENTY);
    assert_null(s->client.lag);
    assert_int_equal(listen_to(s).numbers, 1);
    assert_int_equal(s->client.own_bytes, 0);
}

/* --- limits -------------------------------------------------------------------------------------------------------------- */

static void beyond_the_hard_limit_a_client_is_closed_and_nobody_else(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 3; i++)
        subscribe(stage, arrive(stage, i, PLENTY), i == 2 ? TOPIC_STATE : TOPIC_RESULT, NULL);
    struct socket *s = &stage->sockets[0], *other = &stage->sockets[1];
    struct socket *states = &stage->sockets[2];
    s->room = states->room = 0;
    for (unsigned n = 0; n < 17; n++) { /* 17 × 60,000 < 1 MiB */
        publish_number(stage, RECORD_RESULT, 0, 60000, NO_ORIGIN);
        publish_state(stage, 0, n + 2, 0);
        pump(stage);
    }
    assert_false(s->closed);
    publish_number(stage, RECORD_RESULT, 0, 60000, NO_ORIGIN);
    pump(stage);
    assert_true(s->closed);
    assert_int_equal(s->close_code, 1013);
    assert_int_equal(stage->outbox.counts.closed_hard, 1);
    assert_int_equal(stage->outbox.counts.closed_slow, 1);
    assert_int_equal(listen_to(other).numbers, 18);
    assert_false(states->closed);
}

static void the_soft_limit_closes_after_its_time_also_when_nothing_happens(void **state)
{
    struct stage *stage = *state;
    struct socket *s = mixed(stage, 0, 0), *brief = mixed(stage, 1, 0);
    for (unsigned n = 0; n < 5; n++)
        publish_number(stage, RECORD_RESULT, 0, 60000, NO_ORIGIN);
    pump(stage);
    for (unsigned second = 0; second < 10; second++) {
        outbox_tick(&stage->outbox);
        clock_manual_advance_ns(&stage->clock, NS_PER_S);
        if (second == 5) { /* below the limit for a moment: its time begins again */
            give_room(stage, brief, 130000);
            publish_number(stage, RECORD_RESULT, 0, 60000, NO_ORIGIN);
            pump(stage);
            assert_true(brief->client.choked);
            outbox_tick(&stage->outbox);
            for (unsigned n = 0; n < 3; n++)
                publish_number(stage, RECORD_RESULT, 0, 60000, NO_ORIGIN);
            pump(stage);
        }
    }
    assert_false(s->closed);
    outbox_tick(&stage->outbox);
    assert_true(s->closed);
    assert_false(brief->closed);
    assert_int_equal(stage->outbox.counts.closed_soft, 1);
    for (unsigned second = 0; second < 10 && !brief->closed; second++) {
        clock_manual_advance_ns(&stage->clock, NS_PER_S);
        outbox_tick(&stage->outbox);
    }
    assert_true(brief->closed);
}

static void who_does_not_read_replies_is_closed(void **state)
{
    struct stage *stage = *state;
    struct socket *s = arrive(stage, 0, 0);
    unsigned char frame[40000];
    uint32_t len = make_frame(frame, "P=1;", 4, 32000);
    unsigned n = 0;
    for (; n < 100 && !s->closed; n++)
        outbox_own_frame(&stage->outbox, &s->client, frame, len);
    assert_int_equal(n, OUTBOX_OWN_MAX / len + 2);
    assert_int_equal(stage->outbox.counts.closed_own, 1);
}

static void a_lapped_worker_tells_the_gap_and_goes_on(void **state)
{
    struct stage *stage = *state;
    struct socket *s = mixed(stage, 0, 0);
    publish_number(stage, RECORD_RESULT, 0, 0, NO_ORIGIN);
    pump(stage);
    for (unsigned n = 2; n < 200; n++)
        publish_state(stage, n % MACHINES, n, 10000);
    publish_number(stage, RECORD_RESULT, 0, 0, NO_ORIGIN); /* lost */
    pump(stage);
    publish_number(stage, RECORD_RESULT, 0, 0, NO_ORIGIN);
    pump(stage);
    give_room(stage, s, PLENTY);
    struct heard heard = listen_to(s);
    assert_int_equal(stage->losses, 1);
    assert_int_equal(heard.gaps, 1);
    assert_int_equal(heard.numbers, 2); /* the first was kept */
    assert_int_equal(heard.number, 3);
    assert_false(heard.backwards);
    for (unsigned m = 0; m < MACHINES; m++)
        assert_int_equal(heard.state[m], stage->machines[m].state.read_wall_ms);
}

static void another_ring_ends_what_had_a_place_in_the_old_one(void **state)
{
    struct stage *stage = *state;
    bool continued;
    struct socket *s = mixed(stage, 0, 0);
    publish_number(stage, RECORD_RESULT, 0, 0, NO_ORIGIN);
    pump(stage);
    ring_writer_close(&stage->ring);
    lvt_writer_close(&stage->lvt);
    unlink(stage->ring_path);
    unlink(stage->lvt_path);
    assert_int_equal(ring_writer_open(stage->ring_path, 1 << 20, &stage->ring, &continued), ERR_OK);
    uint32_t id = ring_writer_id(stage->ring);
    assert_int_equal(lvt_writer_open(stage->lvt_path, 64, id, &stage->lvt, &continued), ERR_OK);
    for (unsigned m = 0; m < MACHINES; m++)
        publish_state(stage, m, 50 + m, 0);
    assert_int_equal(tail_attach(&stage->tail, id), ERR_OK);
    publish_number(stage, RECORD_RESULT, 0, 0, NO_ORIGIN);
    pump(stage);
    give_room(stage, s, PLENTY);
    struct heard heard = listen_to(s);
    assert_int_equal(heard.gaps, 1);
    assert_int_equal(heard.numbers, 1);
    assert_int_equal(heard.number, 2);
    for (unsigned m = 0; m < MACHINES; m++)
        assert_int_equal(heard.state[m], 50 + m);
    assert_null(s->client.lag);
}

/* --- replays ------------------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Everything kept of the client's topics from `since` on, as an endpoint asks for it. */
static bool replay(struct stage *stage, struct socket *s, uint64_t since)
{
    uint64_t hashes[64];
    uint32_t count = 0;
    for (uint32_t i = 0; s->client.audience != NULL && i < 1; i++)
        count = audience_kept_hashes(s->client.audience, hashes);
    qsort(hashes, count, sizeof hashes[0], by_value);
    const struct history_filter filter = {hashes, count, DIALECT_CAROUSEL};
    bool known = since >= stage->history.known_from;
    outbox_replay(&stage->outbox, &s->client, &filter, since);
    return known;
}

static void a_replay_comes_in_its_place_and_as_fast_as_it_is_read(void **state)
{
    struct stage *stage = *state;
    uint64_t since = stage->outbox.position;
    for (unsigned n = 0; n < 100; n++) {
        publish_number(stage, n % 2 ? RECORD_RESULT : RECORD_EVENT, n % 3, 1000, NO_ORIGIN);
        publish_state(stage, n % MACHINES, n + 2, 0);
    }
    pump(stage);
    struct socket *s = arrive(stage, 0, PLENTY);
    subscribe(stage, s, TOPIC_RESULT, "m1");
    subscribe(stage, s, TOPIC_EVENT, NULL);
    reply(stage, s, "P=1;");
    s->room = 100;
    assert_true(replay(stage, s, since));
    assert_false(outbox_may_seq(&s->client));
    assert_true(s->client.own_bytes < 200);
    publish_number(stage, RECORD_RESULT, 1, 0, NO_ORIGIN);
    pump(stage);
    reply(stage, s, "P=2;");
    for (unsigned i = 0; i < 1000 && s->client.choked; i++)
        give_room(stage, s, 999);
    struct heard heard = listen_to(s);
    assert_false(heard.backwards);
    assert_int_equal(heard.numbers, 50 + 17 + 1);
    assert_int_equal(heard.order[0], 'P');
    assert_int_equal(stage->gaps, 0);
    assert_int_equal(s->client.own_bytes, 0);
}

static void a_replay_that_is_overtaken_tells_one_gap_and_goes_on(void **state)
{
    struct stage *stage = *state;
    uint64_t since = stage->outbox.position;
    for (unsigned n = 0; n < 20; n++)
        publish_number(stage, RECORD_RESULT, 0, 100, NO_ORIGIN);
    pump(stage);
    struct socket *s = arrive(stage, 0, PLENTY);
    subscribe(stage, s, TOPIC_RESULT, "m0");
    s->room = 1;
    replay(stage, s, since);
    reply(stage, s, "P=1;");
    for (unsigned n = 0; n < 142; n++) { /* 142 × 60,000 bytes are more than the copies hold */
        publish_number(stage, RECORD_RESULT, 1, 60000, NO_ORIGIN);
        pump(stage);
    }
    publish_number(stage, RECORD_RESULT, 0, 0, NO_ORIGIN);
    pump(stage);
    give_room(stage, s, PLENTY);
    struct heard heard = listen_to(s);
    assert_string_equal(heard.order, "RGPR"); /* one was on its way, the others are gone */
    assert_int_equal(heard.number, stage->numbers);
}

/* Frames older than the copies are read from the ring. */
static void a_replay_reads_from_the_ring_what_is_not_copied(void **state)
{
    struct stage *stage = *state;
    uint64_t since = stage->outbox.position;
    for (unsigned n = 0; n < 200; n++)
        publish_number(stage, RECORD_RESULT, n % 3, 1000, NO_ORIGIN);
    pump(stage);
    stage->history.copy_head += HISTORY_COPY_BYTES; /* as if as much had been copied since */
    struct socket *s = arrive(stage, 0, PLENTY);
    subscribe(stage, s, TOPIC_RESULT, "m0");
    assert_true(replay(stage, s, since));
    assert_int_equal(listen_to(s).numbers, 67);
    assert_false(listen_to(s).backwards);
}

static void a_replay_goes_along_when_its_client_lags(void **state)
{
    struct stage *stage = *state;
    uint64_t since = stage->outbox.position;
    for (unsigned n = 0; n < 20; n++)
        publish_number(stage, RECORD_RESULT, 0, 100, NO_ORIGIN);
    pump(stage);
    struct socket *s = mixed(stage, 0, 0);
    replay(stage, s, since);
    publish_number(stage, RECORD_RESULT, 0, 100, NO_ORIGIN);
    publish_state(stage, 0, 9, 0);
    pump(stage);
    outbox_conflate(&stage->outbox, &s->client, stage->outbox.position, false);
    publish_number(stage, RECORD_RESULT, 0, 100, NO_ORIGIN);
    pump(stage);
    give_room(stage, s, PLENTY);
    struct heard heard = listen_to(s);
    assert_int_equal(heard.numbers, 22);
    assert_int_equal(heard.state[0], 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(states_are_merged_and_results_are_not),
        PLAY(a_pass_promises_only_what_was_sent),
        PLAY(a_reply_does_not_wait_for_the_pass),
        PLAY(a_result_for_one_client_keeps_its_place),
        PLAY(a_lag_goes_along_to_other_subscriptions),
        PLAY(what_is_owed_arrives_when_all_subscriptions_are_given_up),
        PLAY(beyond_the_hard_limit_a_client_is_closed_and_nobody_else),
        PLAY(the_soft_limit_closes_after_its_time_also_when_nothing_happens),
        PLAY(who_does_not_read_replies_is_closed),
        PLAY(a_lapped_worker_tells_the_gap_and_goes_on),
        PLAY(another_ring_ends_what_had_a_place_in_the_old_one),
        PLAY(a_replay_comes_in_its_place_and_as_fast_as_it_is_read),
        PLAY(a_replay_that_is_overtaken_tells_one_gap_and_goes_on),
        PLAY(a_replay_reads_from_the_ring_what_is_not_copied),
        PLAY(a_replay_goes_along_when_its_client_lags),
    };
    return cmocka_run_group_tests_name("lag", tests, NULL, NULL);
}
