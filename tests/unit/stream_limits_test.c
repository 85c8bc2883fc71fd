/* fanout: streams. Who is closed, and why, because nothing of a stream can be had otherwise; and who is not. */
#include <fcntl.h>

#include "fanout_stage.h"
#include "ring_page.h"

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
        PLAY_ENDPOINTS(a_burst_is_not_held_against_who_reads),
        PLAY_ENDPOINTS(states_and_full_sockets_press_nobody),
        PLAY_ENDPOINTS(the_hard_limit_of_a_few),
        PLAY_ENDPOINTS(the_hard_limit_of_many),
        PLAY_ENDPOINTS(the_soft_limit_is_one_of_time),
        PLAY_ENDPOINTS(refused_memory_closes_who_lost_something),
        PLAY_ENDPOINTS(refused_memory_of_a_log),
        PLAY_ENDPOINTS(refused_memory_while_the_sender_is_behind),
        PLAY_ENDPOINTS(a_lapped_worker_closes_who_has_streams),
        PLAY_ENDPOINTS(a_damaged_record_does),
        PLAY_ENDPOINTS(a_new_ring_does),
        PLAY_ENDPOINTS(a_broker_that_goes_on_with_the_ring_closes_nobody),
    };
    return cmocka_run_group_tests_name("stream_limits", tests, NULL, NULL);
}
