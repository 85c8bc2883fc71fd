/* Publishing at the endpoint API: the window, the ring as its acknowledgement, brokers that come and go. */
#include "publishing_stage.h"

static void a_message_goes_to_the_others_once(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 3);
    open_conn(stage, 1, 0, 3);
    open_conn(stage, 2, 2, 1);
    open_conn(stage, 3, 7, 1);
    assert_int_equal(say(stage, 0, "one"), ERR_OK);
    assert_int_equal(say(stage, 2, "two"), ERR_OK);
    assert_int_equal(publish_window_count(&publishing(stage)->window), 2);
    pump(stage);
    assert_int_equal(publish_window_count(&publishing(stage)->window), 0);
    expect_heard(stage, 0, "two ");
    expect_heard(stage, 1, "one two ");
    expect_heard(stage, 2, "one ");
    expect_heard(stage, 3, "");
    assert_int_equal(endpoint_publish(stage->sockets[0].conn, "", 0, true), ERR_OK);
    pump(stage);
    expect_heard(stage, 0, " ");
    expect_heard(stage, 1, " ");
    assert_int_equal(publishing(stage)->counts.published, 3);
    assert_int_equal(publishing(stage)->counts.resent, 0);
    assert_int_equal(stage->host.counts.answers_without_client, 0);
}

static void what_cannot_be_published_is_refused(void **state)
{
    struct stage *stage = *state;
    static char large[ENDPOINT_PUBLISH_MAX + 1];
    struct endpoint_conn *conn = open_conn(stage, 0, 0, 0);
    memset(large, 'x', sizeof large);
    assert_int_equal(endpoint_publish(conn, "x", 1, false), ERR_NOT_FOUND);
    conn = open_conn(stage, 1, 0, 1000);
    assert_int_equal(endpoint_publish(conn, large, sizeof large, false), ERR_TOO_LARGE);
    assert_int_equal(endpoint_publish(conn, large, sizeof large - 1, false), ERR_OK);
    conn = open_conn(stage, 2, 0, 1001);
    assert_int_equal(endpoint_publish(conn, "x", 1, false), ERR_TOO_LARGE);
    endpoint_close(conn, 1000, "");
    assert_int_equal(endpoint_publish(conn, "x", 1, false), ERR_CLOSED);
    assert_int_equal(publishing(stage)->counts.published, 1);
    assert_int_equal(publish_window_count(&publishing(stage)->window), 1);
    pump(stage);
    assert_int_equal(stage->host.tail.counts.parts, 62);
}

static void nothing_is_lost_while_the_broker_is_away(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    open_conn(stage, 1, 0, 1);
    broker_dies(stage);
    stage->up = true; /* it answers already, but its ring is not attached to */
    assert_int_equal(say(stage, 0, "a"), ERR_OK);
    assert_int_equal(say(stage, 1, "b"), ERR_OK);
    let_time_pass(stage, 60 * NS_PER_S);
    assert_int_equal(stage->sent, 0);
    assert_int_equal(publishing(stage)->counts.given_up, 0);
    broker_comes(stage);
    assert_int_equal(stage->sent, 2);
    pump(stage);
    expect_heard(stage, 0, "b ");
    expect_heard(stage, 1, "a ");
    assert_int_equal(publishing(stage)->counts.resent, 0);
}

/* It has published some of what it was sent, and the worker has read some of that. */
static void play_a_death(struct stage *stage, unsigned published, bool read)
{
    static const char *const all[] = {"1", "2", "3", "4", "5"};
    stage->limit = published;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(say(stage, 0, all[i]), ERR_OK);
    if (read)
        pump(stage);
    broker_dies(stage);
    assert_int_equal(say(stage, 0, "6"), ERR_OK);
    broker_comes(stage);
    assert_int_equal(stage->repeats, read ? 0 : published);
    pump(stage);
    expect_heard(stage, 1, "1 2 3 4 5 6 ");
    expect_heard(stage, 0, "");
    assert_int_equal(publish_window_count(&publishing(stage)->window), 0);
}

static void every_message_is_published_once_whenever_the_broker_dies(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    open_conn(stage, 1, 0, 1);
    for (unsigned published = 1; published <= 5; published++)
        for (int read = 0; read < 2; read++) {
            broker_dies(stage);
            broker_comes(stage);
            play_a_death(stage, published, read);
        }
    assert_int_equal(publishing(stage)->counts.given_up, 0);
}

static void a_full_bus_is_tried_again(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    open_conn(stage, 1, 0, 1);
    stage->full = true;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(say(stage, 0, "x"), ERR_OK);
    host_tick(&stage->host);
    stage->full = false;
    publishing_send(&stage->host); /* the link was served */
    assert_int_equal(stage->sent, 3);
    stage->full = true;
    assert_int_equal(say(stage, 0, "y"), ERR_OK);
    stage->full = false;
    host_tick(&stage->host);
    assert_int_equal(stage->sent, 4);
    stage->full = true;
    assert_int_equal(say(stage, 0, "z"), ERR_OK);
    stage->full = false;
    pump(stage); /* what comes back makes room */
    pump(stage);
    expect_heard(stage, 1, "x x x y z ");
}

static void what_a_broker_refuses_is_given_up_in_time(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    open_conn(stage, 1, 0, 1);
    stage->refuses = true;
    assert_int_equal(say(stage, 0, "bad"), ERR_OK);
    let_time_pass(stage, 20 * NS_PER_S);
    assert_int_equal(say(stage, 0, "bad, too"), ERR_OK);
    let_time_pass(stage, 11 * NS_PER_S);
    assert_int_equal(publishing(stage)->counts.given_up, 1);
    broker_dies(stage);
    let_time_pass(stage, 60 * NS_PER_S); /* away: it may yet come */
    assert_int_equal(publishing(stage)->counts.given_up, 1);
    broker_comes(stage);
    let_time_pass(stage, 29 * NS_PER_S); /* that one has had it for 29 seconds */
    assert_int_equal(publishing(stage)->counts.given_up, 1);
    let_time_pass(stage, NS_PER_S);
    assert_int_equal(publishing(stage)->counts.given_up, 2);
    stage->refuses = false;
    assert_int_equal(say(stage, 0, "good"), ERR_OK);
    pump(stage);
    expect_heard(stage, 1, "good ");
    assert_int_equal(publish_window_count(&publishing(stage)->window), 0);
}

static void a_later_message_in_the_ring_settles_a_refused_one(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    stage->refuses = true;
    assert_int_equal(say(stage, 0, "bad"), ERR_OK);
    stage->refuses = false;
    assert_int_equal(say(stage, 0, "good"), ERR_OK);
    pump(stage);
    assert_int_equal(publish_window_count(&publishing(stage)->window), 0);
    let_time_pass(stage, 60 * NS_PER_S);
    assert_int_equal(publishing(stage)->counts.given_up, 0);
}

static void a_sender_may_be_gone_when_its_message_comes(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    open_conn(stage, 1, 0, 1);
    assert_int_equal(say(stage, 0, "last words"), ERR_OK);
    close_conn(stage, 0);
    broker_dies(stage);
    broker_comes(stage);
    pump(stage);
    expect_heard(stage, 1, "last words ");
    assert_int_equal(stage->host.counts.answers_without_client, 0);
}

static void overtake(struct stage *stage)
{
    static const char frame[128 * 1024];
    struct ring_entry entry = {
        .kind = RECORD_EVENT, .dialect = DIALECT_CAROUSEL, .frame = frame, .frame_len = sizeof frame};
    for (size_t bytes = 0; bytes < 20u << 20; bytes += sizeof frame) {
        assert_int_equal(ring_writer_append(stage->ring, &entry), ERR_OK);
        ring_writer_publish(stage->ring);
    }
}

/* The number may have stood in what was lost, and the next broker may not know it any more. */
static void what_was_sent_before_a_loss_is_not_sent_to_another_broker(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    assert_int_equal(say(stage, 0, "in the ring"), ERR_OK);
    overtake(stage);
    stage->full = true;
    assert_int_equal(say(stage, 0, "not sent yet"), ERR_OK);
    pump(stage);
    assert_true(stage->sockets[0].closed);
    assert_int_equal(publishing(stage)->counts.unknown, 1);
    broker_dies(stage);
    stage->floor = 0;
    broker_comes(stage);
    assert_int_equal(stage->sent, 1);
    assert_int_equal(stage->last, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_message_goes_to_the_others_once),
        PLAY(what_cannot_be_published_is_refused),
        PLAY(nothing_is_lost_while_the_broker_is_away),
        PLAY(every_message_is_published_once_whenever_the_broker_dies),
        PLAY(a_full_bus_is_tried_again),
        PLAY(what_a_broker_refuses_is_given_up_in_time),
        PLAY(a_later_message_in_the_ring_settles_a_refused_one),
        PLAY(a_sender_may_be_gone_when_its_message_comes),
        PLAY(what_was_sent_before_a_loss_is_not_sent_to_another_broker),
    };
    return cmocka_run_group_tests_name("publishing", tests, NULL, NULL);
}
