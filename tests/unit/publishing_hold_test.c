/* Publishing at the endpoint API: senders that are held, and what topics and messages cost. */
#include "publishing_stage.h"

static char kib[1025];

static void fill(struct stage *stage, unsigned i, size_t bytes)
{
    memset(kib, 'k', 1024);
    while (publishing(stage)->window.bytes <= bytes)
        assert_int_equal(say(stage, i, kib), ERR_OK);
}

static void above_the_soft_mark_senders_are_held(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 4; i++)
        open_conn(stage, i, i < 2 ? 0 : 5, 1);
    broker_dies(stage);
    fill(stage, 0, PUBLISH_SOFT_BYTES - 3000);
    assert_false(stage->sockets[0].held);
    fill(stage, 0, PUBLISH_SOFT_BYTES);
    assert_true(stage->sockets[0].held);
    assert_int_equal(say(stage, 0, "the rest of the read"), ERR_OK);
    assert_int_equal(say(stage, 2, "me, too"), ERR_OK);
    assert_true(stage->sockets[2].held);
    assert_false(stage->sockets[1].held || stage->sockets[3].held); /* have not sent anything */
    close_conn(stage, 2);
    assert_int_equal(publishing(stage)->held_count, 1);
    host_tick(&stage->host);
    assert_true(stage->sockets[0].held);
    broker_comes(stage);
    assert_true(stage->sockets[0].held); /* taken, but not in the ring yet, for all that is known */
    while (publishing(stage)->window.bytes >= PUBLISH_SOFT_BYTES / 2) {
        assert_true(stage->sockets[0].held);
        tail_drain(&stage->host.tail, 1);
    }
    assert_false(stage->sockets[0].held);
    assert_int_equal(stage->sockets[0].holds, 1);
    pump(stage);
    assert_int_equal(stage->sockets[1].frames, publishing(stage)->counts.published - 1);
    assert_int_equal(stage->sockets[3].frames, 1);
}

static void the_hard_bound_refuses_and_holds(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    open_conn(stage, 1, 0, 1);
    broker_dies(stage);
    memset(kib, 'k', 1024);
    while (say(stage, 0, kib) == ERR_OK)
        assert_true(publishing(stage)->window.block_bytes <= PUBLISH_HARD_BYTES);
    uint64_t published = publishing(stage)->counts.published;
    assert_int_equal(say(stage, 1, kib), ERR_FULL);
    assert_true(stage->sockets[1].held);
    assert_int_equal(publishing(stage)->counts.full, 2);
    assert_int_equal(publishing(stage)->counts.published, published);
    broker_comes(stage);
    for (unsigned n = 0; publish_window_count(&publishing(stage)->window) > 0; n++) {
        assert_true(n < 100);
        pump(stage);
    }
    assert_int_equal(stage->sockets[1].frames, published);
    assert_int_equal(publishing(stage)->held_count, 0);
}

static void many_are_let_go_in_portions(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < CONNS; i++)
        open_conn(stage, i, 0, 1);
    broker_dies(stage);
    fill(stage, 0, PUBLISH_SOFT_BYTES);
    for (unsigned i = 0; i < CONNS; i++)
        assert_int_equal(say(stage, i, "x"), ERR_OK);
    assert_int_equal(publishing(stage)->held_count, CONNS);
    for (unsigned i = 0; i < CONNS; i += 3)
        close_conn(stage, i);
    assert_int_equal(publishing(stage)->held_count, CONNS * 2 / 3);
    publish_window_acknowledged(&publishing(stage)->window, publishing(stage)->window.last_seq);
    host_tick(&stage->host);
    assert_int_equal(publishing(stage)->held_count, CONNS * 2 / 3 - PUBLISH_RELEASE);
    host_tick(&stage->host);
    assert_int_equal(publishing(stage)->held_count, 0);
    for (unsigned i = 0; i < CONNS; i++)
        assert_true(stage->sockets[i].conn == NULL || !stage->sockets[i].held);
}

/* --- what it costs ----------------------------------------------------------------------------------------------------- */

static void topics_are_charged(void **state)
{
    struct stage *stage = *state;
    struct topic topics[40];
    struct socket *s = &stage->sockets[0];
    open_conn(stage, 0, 0, 16);
    assert_int_equal(say(stage, 0, "x"), ERR_OK);
    assert_int_equal(s->charged, 0);
    close_conn(stage, 0);
    open_conn(stage, 0, 0, 40);
    assert_int_equal(s->charged, 0);
    assert_int_equal(say(stage, 0, "x"), ERR_OK);
    assert_int_equal(s->charged, 2);
    close_conn(stage, 0);
    open_conn(stage, 0, 0, 640);
    assert_int_equal(s->charged, 10);
    uint32_t count = 40;
    for (uint32_t i = 0; i < count; i++)
        topics[i] = *audience_topic(s->conn->client.audience, i * 16);
    assert_int_equal(endpoint_subscribe(s->conn, topics, count), ERR_OK); /* nothing new */
    assert_int_equal(endpoint_subscribe(s->conn, NULL, 0), ERR_OK);
    assert_int_equal(s->charged, 10);
    topic_make_stream(&topics[20], "new", 3);
    assert_int_equal(endpoint_subscribe(s->conn, topics, count), ERR_OK);
    assert_int_equal(s->charged, 20);
    endpoint_charge(s->conn, 5);
    assert_int_equal(s->charged, 25);
    assert_int_equal(endpoint_unsubscribe(s->conn, topics, 1), ERR_OK);
    assert_int_equal(s->charged, 35);
}

static void small_questions(void **state)
{
    struct stage *stage = *state;
    char peer[ENDPOINT_PEER_MAX];
    struct endpoint_conn *conn = open_conn(stage, 4, 0, 1);
    assert_int_equal(endpoint_serial(conn), 5);
    endpoint_peer(conn, peer);
    assert_string_equal(peer, "127.0.0.1:9");
    assert_true(endpoint_is_writable(conn));
    stage->sockets[4].full = true;
    assert_false(endpoint_is_writable(conn));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(above_the_soft_mark_senders_are_held),
        PLAY(the_hard_bound_refuses_and_holds),
        PLAY(many_are_let_go_in_portions),
        PLAY(topics_are_charged),
        PLAY(small_questions),
    };
    return cmocka_run_group_tests_name("publishing_hold", tests, NULL, NULL);
}
