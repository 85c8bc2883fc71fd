/* fanout: stream messages. Who gets one, once; in which order; what a sender does not get. Who is closed is in
 * stream_limits_test.c. */
#include "fanout_stage.h"

static void a_message_reaches_everybody_who_shares_a_stream_once(void **state)
{
    struct stage *stage = *state;
    struct socket *sender = with_streams(stage, 0, 0, 3), *all = with_streams(stage, 1, 0, 3);
    struct socket *one = with_streams(stage, 2, 2, 1), *other = with_streams(stage, 3, 3, 1);
    struct socket *none = arrive(stage, 4, PLENTY);
    for (unsigned n = 1; n <= 3; n++) {
        say(stage, 0, 0, 3, 0);
        pump(stage);
        assert_int_equal(listen_to(all).messages, n);
        assert_int_equal(listen_to(one).messages, n);
    }
    assert_false(listen_to(all).backwards);
    assert_int_equal(sender->heard_len, 0);
    assert_int_equal(other->heard_len, 0);
    assert_int_equal(none->heard_len, 0);
    assert_int_equal(stage->published, 3);
}

static void with_echo_the_sender_is_one_of_them(void **state)
{
    struct stage *stage = *state;
    struct socket *sender = with_streams(stage, 0, 0, 1), *other = with_streams(stage, 1, 0, 1);
    publish_message(stage, 0, true, (unsigned[]){0}, 1, 0);
    pump(stage);
    assert_int_equal(listen_to(sender).messages, 1);
    assert_int_equal(listen_to(other).messages, 1);
    assert_int_equal(stage->published, 1);
}

static void only_this_workers_numbers_are_told(void **state)
{
    struct stage *stage = *state;
    struct socket *s = with_streams(stage, 0, 0, 1);
    say(stage, NO_SENDER, 0, 1, 0);
    pump(stage);
    assert_int_equal(listen_to(s).messages, 1);
    assert_int_equal(stage->published, 0);
}

/* Members of small audiences read references, those of large ones a log. */
static void a_thousand_streams_in_parts(void **state)
{
    struct stage *stage = *state;
    struct socket *sender = with_streams(stage, 0, 0, 1000);
    for (unsigned i = 1; i < 21; i++) /* one in the first part, some in several, some in the last */
        with_streams(stage, i, i < 11 ? 985 : i * 16, i % 3 + 1);
    struct socket *outside = with_streams(stage, 21, 1000, 2);
    for (unsigned n = 0; n < 20; n++) {
        say(stage, 0, 0, 1000, n * 100);
        if (n % 3 == 0)
            assert_true(tail_drain(&stage->tail, 1)); /* never stands between two parts */
        assert_int_equal(stage->tail.message.next, 0);
        pump(stage);
    }
    assert_int_equal(stage->tail.counts.parts, 20 * 62);
    assert_int_equal(stage->tail.counts.parts_ignored, 0);
    for (unsigned i = 1; i < 21; i++) {
        assert_int_equal(listen_to(&stage->sockets[i]).messages, 20);
        assert_false(listen_to(&stage->sockets[i]).backwards);
    }
    assert_int_equal(sender->heard_len + outside->heard_len, 0);
    assert_int_equal(stage->published, 20);
}

static void append_part(struct stage *stage, uint64_t number, uint32_t part, uint32_t parts,
                        const char *stream)
{
    struct topic topic;
    struct record_stream meta = {number, part, parts};
    unsigned char frame[64];
    topic_make_stream(&topic, stream, strlen(stream));
    struct ring_entry entry = {.kind = RECORD_STREAM,
                               .dialect = DIALECT_STREAMS,
                               .origin_mode = ORIGIN_NOT,
                               .origin = {WORKER, 0},
                               .topics = &topic,
                               .topic_count = 1,
                               .meta = &meta,
                               .meta_len = sizeof meta,
                               .frame = frame};
    if (part == 0)
        entry.frame_len = make_frame(frame, "M1=1;", 5, 0);
    assert_int_equal(ring_writer_append(stage->ring, &entry), ERR_OK);
    ring_writer_publish(stage->ring);
}

static void parts_without_their_first_are_ignored(void **state)
{
    struct stage *stage = *state;
    with_streams(stage, 0, 0, 3);
    struct socket *s = with_streams(stage, 1, 1, 1);
    append_part(stage, 7, 1, 3, "s1"); /* its part 0 was never seen */
    append_part(stage, 8, 0, 3, "s0");
    append_part(stage, 9, 1, 3, "s1"); /* of another message */
    append_part(stage, 8, 2, 3, "s1"); /* too late */
    append_part(stage, 10, 0, 3, "s0");
    append_part(stage, 10, 2, 3, "s1"); /* not the next */
    append_part(stage, 11, 0, 0, "s1"); /* no message at all */
    append_part(stage, 12, 5, 5, "s1");
    append_part(stage, 13, 0, 64, "s1");
    append_part(stage, 14, 0, 3, "s0");
    publish_state(stage, 0, 2, 0);
    append_part(stage, 14, 1, 3, "s1");
    pump(stage);
    assert_int_equal(s->heard_len, 0);
    assert_int_equal(stage->tail.counts.parts_ignored, 8);
    assert_int_equal(stage->sockets[0].heard_len, 0); /* its own, whole or not */
    say(stage, 0, 0, 40, 0);
    pump(stage);
    assert_int_equal(listen_to(s).messages, 1);
    assert_int_equal(stage->published, 14);
}

/* --- order, and what is its own ------------------------------------------------------------------------------------ */

static void each_hears_the_others_in_the_order_of_the_ring(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 12; i++)
        with_streams(stage, i, 0, i % 4 + 1);
    for (unsigned n = 0; n < 600; n++) {
        say(stage, n % 12, 0, n % 12 % 4 + 1, n % 50);
        if (n % 7 == 0)
            pump(stage);
        else if (n % 5 == 0)
            give_room(stage, &stage->sockets[n % 12], 10);
        if (n % 11 == 0)
            stage->sockets[n % 12].room = 100;
    }
    for (unsigned i = 0; i < 12; i++) {
        give_room(stage, &stage->sockets[i], PLENTY);
        pump(stage);
        struct heard heard = listen_to(&stage->sockets[i]);
        assert_false(heard.backwards);
        assert_int_equal(heard.messages, 600 - 50);
    }
    assert_int_equal(stage->outbox.counts.closed_slow, 0);
}

/* A sender whose own socket is full for a while owes it nothing but the other's messages. */
static void play_a_sender_that_is_behind(struct stage *stage, unsigned members)
{
    for (unsigned i = 0; i < members; i++)
        with_streams(stage, i, 0, 1);
    struct socket *sender = &stage->sockets[0];
    sender->room = 0;
    say(stage, 1, 0, 1, 0);
    pump(stage);
    for (unsigned n = 0; n < 3000; n++) {
        say(stage, 0, 0, 1, 0);
        if (n == 1500)
            say(stage, 1, 0, 1, 0);
        pump(stage);
    }
    assert_true(sender->client.own_bytes > 0 && sender->client.own_bytes < 1000); /* two stretches */
    give_room(stage, sender, PLENTY);
    pump(stage);
    assert_int_equal(listen_to(sender).messages, 2);
    assert_int_equal(sender->client.own_bytes, 0);
    say(stage, 1, 0, 1, 0);
    pump(stage);
    assert_int_equal(listen_to(sender).messages, 3);
    for (unsigned i = 2; i < members; i++)
        assert_int_equal(listen_to(&stage->sockets[i]).messages, 3003);
    assert_false(sender->closed);
}

static void a_sender_that_is_behind_skips_what_it_said_as_one(void **state)
{
    play_a_sender_that_is_behind(*state, 3);
}

static void also_in_a_log_of_its_own(void **state)
{
    play_a_sender_that_is_behind(*state, 10);
}

/* … and if others' messages stand between them, it is bounded all the same. */
static void places_to_skip_are_bounded(void **state)
{
    struct stage *stage = *state;
    stage->audiences.hard_bytes = 64u << 20;
    for (unsigned i = 0; i < 10; i++)
        with_streams(stage, i, 0, 1);
    struct socket *sender = &stage->sockets[0];
    sender->room = 0;
    for (unsigned n = 0; n < 100000 && !sender->closed; n++) {
        say(stage, n % 2, 0, 1, 0);
        pump(stage);
    }
    assert_true(sender->closed);
    assert_int_equal(sender->close_code, 1013);
    assert_int_equal(stage->outbox.counts.closed_own, 1);
    assert_true(stage->outbox.counts.own_bytes <= OUTBOX_OWN_MAX + 64);
}

static void changing_streams_while_behind_loses_nothing(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 3; i++)
        with_streams(stage, i, 0, 2);
    struct socket *s = &stage->sockets[0];
    s->room = 0;
    say(stage, 1, 0, 2, 0);
    say(stage, 0, 0, 2, 0); /* its own in between */
    say(stage, 2, 1, 1, 0);
    pump(stage);
    assert_int_equal(open_stream(stage, s, 5), ERR_OK);
    say(stage, 1, 5, 1, 0);
    say(stage, 1, 0, 2, 0);
    pump(stage);
    assert_int_equal(close_streams(stage, s), ERR_OK);
    say(stage, 1, 0, 2, 0); /* not for it any more */
    pump(stage);
    give_room(stage, s, PLENTY);
    pump(stage);
    assert_int_equal(listen_to(s).messages, 4);
    assert_int_equal(listen_to(s).message, 5);
    assert_false(listen_to(s).backwards);
}

static void streams_and_endpoints_do_not_meet(void **state)
{
    struct stage *stage = *state;
    struct socket *stream = with_streams(stage, 0, 0, 2);
    say(stage, NO_SENDER, 0, 1, 0);
    stage->of_endpoints = true;
    struct socket *endpoint = with_streams(stage, 1, 0, 2);
    say(stage, 0, 0, 1, 0);
    say(stage, 1, 1, 1, 0);
    unsigned last = say(stage, NO_SENDER, 0, 20, 0);
    pump(stage);
    assert_int_equal(listen_to(stream).messages, 1);
    assert_int_equal(listen_to(endpoint).messages, 2);
    assert_int_equal(listen_to(endpoint).message, last);
    assert_int_equal(stage->history.head - stage->history.tail, 0); /* neither is kept */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_message_reaches_everybody_who_shares_a_stream_once),
        PLAY(with_echo_the_sender_is_one_of_them),
        PLAY(only_this_workers_numbers_are_told),
        PLAY(a_thousand_streams_in_parts),
        PLAY(parts_without_their_first_are_ignored),
        PLAY(each_hears_the_others_in_the_order_of_the_ring),
        PLAY(a_sender_that_is_behind_skips_what_it_said_as_one),
        PLAY(also_in_a_log_of_its_own),
        PLAY(places_to_skip_are_bounded),
        PLAY(changing_streams_while_behind_loses_nothing),
        PLAY(streams_and_endpoints_do_not_meet),
        PLAY_ENDPOINTS(a_message_reaches_everybody_who_shares_a_stream_once),
        PLAY_ENDPOINTS(with_echo_the_sender_is_one_of_them),
        PLAY_ENDPOINTS(only_this_workers_numbers_are_told),
        PLAY_ENDPOINTS(a_thousand_streams_in_parts),
        PLAY_ENDPOINTS(each_hears_the_others_in_the_order_of_the_ring),
        PLAY_ENDPOINTS(a_sender_that_is_behind_skips_what_it_said_as_one),
        PLAY_ENDPOINTS(also_in_a_log_of_its_own),
        PLAY_ENDPOINTS(places_to_skip_are_bounded),
        PLAY_ENDPOINTS(changing_streams_while_behind_loses_nothing),
    };
    return cmocka_run_group_tests_name("stream_fanout", tests, NULL, NULL);
}
