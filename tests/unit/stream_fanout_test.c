/* fanout: stream messages. Who gets one, once; in which order; what a sender does not get; and who is closed, and why,
 * because nothing of a stream can be had otherwise. */
#include <fcntl.h>

#include "fanout_stage.h"
#include "ring_page.h"

/* A client with some streams open. */
static struct socket *with_streams(struct stage *stage, unsigned i, unsigned first, unsigned count)
{
    struct socket *s = arrive(stage, i, PLENTY);
    for (unsigned n = 0; n < count; n++)
        assert_int_equal(open_stream(stage, s, first + n), ERR_OK);
    return s;
}

static unsigned say(struct stage *stage, unsigned sender, unsigned first, unsigned count, size_t pad)
{
    unsigned streams[1000];
    for (unsigned i = 0; i < count; i++)
        streams[i] = first + i;
    return publish_message(stage, sender, false, streams, count, pad);
}

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

/* --- limits -------------------------------------------------------------------------------------------------------- */

/* The tail waits for the rounds, so that no log must hold more than a piece of it. */
static void a_burst_is_not_held_against_who_reads(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 3; i++)
        with_streams(stage, i, 0, 1);
    for (unsigned n = 0; n < 5000; n++)
        say(stage, 0, 0, 1, 0);
    assert_true(tail_drain(&stage->tail, 100000));
    assert_true(audiences_pressed(&stage->audiences));
    assert_true(stage->audiences.appends < AUDIENCE_PRESSURE / AUDIENCE_FRAME_COST);
    assert_true(tail_drain(&stage->tail, 100000)); /* one more, each time that it is asked */
    assert_true(stage->audiences.appends < AUDIENCE_PRESSURE / AUDIENCE_FRAME_COST + 1);
    pump(stage);
    for (unsigned i = 1; i < 3; i++)
        assert_int_equal(listen_to(&stage->sockets[i]).messages, 5000);
    stage->audiences.hard_bytes = stage->outbox.limits.hard_bytes = 64 * 1024;
    for (unsigned n = 0; n < 7; n++)
        say(stage, 0, 0, 1, 100000);
    pump(stage);
    assert_int_equal(listen_to(&stage->sockets[1]).messages, 5007);
    assert_int_equal(stage->outbox.counts.closed_slow, 0);
    assert_false(audiences_pressed(&stage->audiences));
}

/* States have their own way not to be too much: the newest ones. */
static void states_and_full_sockets_press_nobody(void **state)
{
    struct stage *stage = *state;
    subscribe(stage, arrive(stage, 5, PLENTY), TOPIC_STATE, NULL);
    for (unsigned i = 0; i < 2; i++)
        with_streams(stage, i, 0, 1)->room = 0;
    say(stage, NO_SENDER, 0, 1, 0);
    pump(stage); /* both are full now */
    for (unsigned n = 0; n < 60; n++) {
        publish_state(stage, 1, n + 2, 5000);
        say(stage, NO_SENDER, 0, 1, 5000);
    }
    tail_drain(&stage->tail, 1000);
    assert_false(tail_has_more(&stage->tail));
    assert_false(audiences_pressed(&stage->audiences));
    pump(stage);
    assert_int_equal(listen_to(&stage->sockets[5]).state[1], 61);
}

/* Beyond what it may be behind with: closed, and nobody else is touched. `members`: of its audience. */
static void play_hard_limit(struct stage *stage, unsigned members)
{
    struct socket *carousel = arrive(stage, 20, PLENTY);
    subscribe(stage, carousel, TOPIC_STATE, NULL);
    for (unsigned i = 0; i < members; i++)
        with_streams(stage, i, 0, 1);
    struct socket *slow = &stage->sockets[1];
    slow->room = 0;
    unsigned said = 0;
    for (; said < 1000 && !slow->closed; said++) {
        say(stage, 0, 0, 1, 5000);
        publish_state(stage, 1, said + 2, 0);
        pump(stage);
        clock_manual_advance_ns(&stage->clock, NS_PER_MS);
        outbox_tick(&stage->outbox);
    }
    assert_true(slow->closed && slow->close_code == 1013);
    assert_in_range(said, AUDIENCE_HARD_BYTES / 5020, AUDIENCE_HARD_BYTES / 5000 + 2);
    assert_int_equal(stage->outbox.counts.closed_hard, 1);
    assert_int_equal(stage->outbox.counts.closed_slow, 1);
    for (unsigned i = 2; i < members; i++)
        assert_int_equal(listen_to(&stage->sockets[i]).messages, said);
    assert_int_equal(listen_to(carousel).state[1], said + 1);
    assert_int_equal(listen_to(carousel).gaps, 0);
}

static void the_hard_limit_of_a_few(void **state)
{
    play_hard_limit(*state, 4);
}

static void the_hard_limit_of_many(void **state)
{
    play_hard_limit(*state, 12);
}

static void the_soft_limit_is_one_of_time(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 3; i++)
        with_streams(stage, i, 0, 1);
    stage->sockets[1].room = stage->sockets[2].room = 0;
    for (unsigned n = 0; n < 60; n++)
        say(stage, 0, 0, 1, 5000); /* 300 KiB: above 256, below 1024 */
    pump(stage);
    for (unsigned second = 0; second < 9; second++) {
        clock_manual_advance_ns(&stage->clock, NS_PER_S);
        outbox_tick(&stage->outbox);
    }
    assert_int_equal(stage->outbox.counts.closed_slow, 0);
    give_room(stage, &stage->sockets[2], PLENTY);
    for (unsigned second = 0; second < 3; second++) {
        clock_manual_advance_ns(&stage->clock, NS_PER_S);
        outbox_tick(&stage->outbox);
    }
    assert_true(stage->sockets[1].closed && stage->sockets[1].close_code == 1013);
    assert_int_equal(stage->outbox.counts.closed_soft, 1);
    assert_int_equal(stage->outbox.counts.closed_slow, 1);
    assert_int_equal(listen_to(&stage->sockets[2]).messages, 60);
}

/* `members`: 3, references; 10, a log. */
static void play_refused_memory(struct stage *stage, unsigned members)
{
    struct socket *carousel = arrive(stage, 20, PLENTY);
    subscribe(stage, carousel, TOPIC_STATE, NULL);
    for (unsigned i = 0; i < members; i++)
        with_streams(stage, i, 0, 1);
    struct framelog_budget before = stage->audiences.budget, main_before = stage->audiences.main_budget;
    stage->audiences.budget.limit_bytes = stage->audiences.main_budget.limit_bytes = 0;
    say(stage, 0, 0, 1, 9000);
    pump(stage);
    stage->audiences.budget.limit_bytes = before.limit_bytes;
    stage->audiences.main_budget.limit_bytes = main_before.limit_bytes;
    assert_false(stage->sockets[0].closed); /* the sender has lost nothing */
    for (unsigned i = 1; i < members; i++)
        assert_true(stage->sockets[i].closed && stage->sockets[i].close_code == 1013);
    assert_int_equal(stage->outbox.counts.closed_slow, members - 1);
    assert_int_equal(stage->outbox.counts.closed_memory + stage->outbox.counts.closed_hard, members - 1);
    publish_state(stage, 1, 2, 0);
    with_streams(stage, 15, 0, 1);
    say(stage, 15, 0, 1, 0);
    pump(stage);
    assert_int_equal(listen_to(&stage->sockets[0]).messages, 1);
    assert_int_equal(listen_to(carousel).state[1], 2);
}

static void refused_memory_closes_who_lost_something(void **state)
{
    play_refused_memory(*state, 3);
}

static void refused_memory_of_a_log(void **state)
{
    play_refused_memory(*state, 10);
}

/* The sender is behind with another's message, and its own finds no memory: it must not take that for all that it missed. */
static void refused_memory_while_the_sender_is_behind(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 10; i++)
        with_streams(stage, i, 0, 1);
    struct socket *sender = &stage->sockets[0];
    sender->room = 0;
    say(stage, 1, 0, 1, 4000);
    pump(stage);
    stage->audiences.budget.limit_bytes = 0;
    say(stage, 0, 0, 1, 4001); /* as long as what waits, and a byte: the head's step */
    pump(stage);
    stage->audiences.budget.limit_bytes = AUDIENCE_BUDGET;
    assert_true(sender->closed && sender->close_code == 1013);
}

/* --- what happens to the ring -------------------------------------------------------------------------------------- */

/* One bit of the record behind the one at `position`. */
static void damage_record_after(struct stage *stage, uint64_t position)
{
    struct ring_record_header header;
    unsigned char byte;
    int fd = open(stage->ring_path, O_RDWR);
    assert_true(fd >= 0);
    off_t at = (off_t)(RING_DATA_OFFSET + position % RING_SIZE_MIN);
    assert_int_equal(pread(fd, &header, sizeof header, at), sizeof header);
    at = (off_t)(RING_DATA_OFFSET + (position + header.length) % RING_SIZE_MIN + sizeof header);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* The broker is another one. With another size it makes a new ring, and tells each state again. */
static void renew_broker(struct stage *stage, uint64_t ring_bytes)
{
    bool continued, table_continued;
    ring_writer_close(&stage->ring);
    lvt_writer_close(&stage->lvt);
    assert_int_equal(ring_writer_open(stage->ring_path, ring_bytes, &stage->ring, &continued), ERR_OK);
    uint32_t id = ring_writer_id(stage->ring);
    assert_int_equal(lvt_writer_open(stage->lvt_path, 64, id, &stage->lvt, &table_continued), ERR_OK);
    for (unsigned i = 0; i < MACHINES && !continued; i++)
        publish_state(stage, i, 1, 0);
    while (tail_drain(&stage->tail, 1000))
        ;
    assert_int_equal(tail_attach(&stage->tail, id), ERR_OK);
}

/* --- records that this worker has lost ----------------------------------------------------------------------------- */

static void check_lost(struct stage *stage, unsigned streams, struct socket *carousel, unsigned reading)
{
    for (unsigned i = 0; i < streams; i++)
        assert_true(stage->sockets[i].closed && stage->sockets[i].close_code == 1013);
    assert_int_equal(stage->outbox.counts.closed_lost, streams);
    assert_int_equal(stage->outbox.counts.closed_slow, streams);
    assert_false(carousel->closed);
    assert_int_equal(listen_to(carousel).state[1], reading);
}

static struct socket *with_a_carousel_client(struct stage *stage, unsigned streams)
{
    struct socket *carousel = arrive(stage, 20, PLENTY);
    subscribe(stage, carousel, TOPIC_STATE, NULL);
    for (unsigned i = 0; i < streams; i++)
        with_streams(stage, i, 0, 1);
    stage->sockets[1].room = 0; /* behind, too */
    say(stage, 0, 0, 1, 0);
    pump(stage);
    return carousel;
}

static void a_lapped_worker_closes_who_has_streams(void **state)
{
    struct stage *stage = *state;
    struct socket *carousel = with_a_carousel_client(stage, 3);
    for (unsigned n = 0; n < 150; n++)
        say(stage, 0, 0, 1, 10000);
    publish_state(stage, 1, 2, 0);
    pump(stage);
    assert_int_equal(stage->tail.counts.lapped, 1);
    check_lost(stage, 3, carousel, 2);
}

static void a_damaged_record_does(void **state)
{
    struct stage *stage = *state;
    struct socket *carousel = with_a_carousel_client(stage, 3);
    uint64_t at = ring_writer_next(stage->ring);
    say(stage, 0, 0, 40, 0); /* in three parts, of which the second is damaged */
    say(stage, 0, 0, 1, 0);
    publish_state(stage, 1, 2, 0);
    damage_record_after(stage, at);
    pump(stage);
    assert_int_equal(stage->tail.counts.corrupt, 1);
    assert_int_equal(stage->tail.message.next, 0);
    check_lost(stage, 3, carousel, 2);
}

static void a_new_ring_does(void **state)
{
    struct stage *stage = *state;
    struct socket *carousel = with_a_carousel_client(stage, 3);
    renew_broker(stage, 2u << 20);
    publish_state(stage, 1, 2, 0);
    pump(stage);
    check_lost(stage, 3, carousel, 2);
}

static void a_broker_that_goes_on_with_the_ring_closes_nobody(void **state)
{
    struct stage *stage = *state;
    struct socket *carousel = with_a_carousel_client(stage, 3);
    renew_broker(stage, 1u << 20);
    say(stage, 0, 0, 1, 0);
    publish_state(stage, 1, 2, 0);
    pump(stage);
    give_room(stage, &stage->sockets[1], PLENTY);
    pump(stage);
    for (unsigned i = 1; i < 3; i++)
        assert_int_equal(listen_to(&stage->sockets[i]).messages, 2);
    assert_int_equal(stage->outbox.counts.closed_slow, 0);
    assert_int_equal(listen_to(carousel).state[1], 2);
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
        PLAY(a_burst_is_not_held_against_who_reads),
        PLAY(states_and_full_sockets_press_nobody),
        PLAY(the_hard_limit_of_a_few),
        PLAY(the_hard_limit_of_many),
        PLAY(the_soft_limit_is_one_of_time),
        PLAY(refused_memory_closes_who_lost_something),
        PLAY(refused_memory_of_a_log),
        PLAY(refused_memory_while_the_sender_is_behind),
        PLAY(a_lapped_worker_closes_who_has_streams),
        PLAY(a_damaged_record_does),
        PLAY(a_new_ring_does),
        PLAY(a_broker_that_goes_on_with_the_ring_closes_nobody),
    };
    return cmocka_run_group_tests_name("stream_fanout", tests, NULL, NULL);
}
