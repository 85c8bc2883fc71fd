/* Publishing at the endpoint API: senders that are held, other reasons to hold, and what topics and messages cost. */
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

static void acknowledge_all(struct stage *stage)
{
    publish_window_acknowledged(&publishing(stage)->window, publishing(stage)->window.last_seq);
    host_tick(&stage->host);
}

/* Whoever is held again at once waits behind all others. */
static void who_has_waited_longest_is_let_go_first(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < CONNS; i++)
        open_conn(stage, i, 0, 1);
    broker_dies(stage);
    fill(stage, 0, PUBLISH_SOFT_BYTES);
    for (unsigned i = 0; i < CONNS; i++)
        assert_int_equal(say(stage, i, "x"), ERR_OK);
    acknowledge_all(stage);
    for (unsigned i = 0; i < CONNS; i++)
        assert_int_equal(stage->sockets[i].held, i >= PUBLISH_RELEASE);
    fill(stage, 0, PUBLISH_SOFT_BYTES);
    assert_true(stage->sockets[0].held);
    acknowledge_all(stage);
    assert_true(stage->sockets[0].held);
    for (unsigned i = 1; i < 2 * PUBLISH_RELEASE; i++)
        assert_false(stage->sockets[i].held);
}

/* --- who publishes by topic, and has no sender to hold -------------------------------------------------------------------- */

static void tell(struct stage *stage, size_t bytes)
{
    const struct topic topic = chat("");
    memset(kib, 'k', 1024);
    while (publishing(stage)->window.bytes <= bytes)
        assert_int_equal(endpoint_publish_to(&stage->endpoints, &topic, 1, kib, 1024, false, NULL), ERR_OK);
}

static void between_the_marks_nobody_may_publish(void **state)
{
    struct stage *stage = *state;
    open_chat(stage, 0, "red");
    broker_dies(stage);
    assert_true(endpoint_may_publish(&stage->endpoints));
    tell(stage, PUBLISH_SOFT_BYTES - 3000);
    assert_true(endpoint_may_publish(&stage->endpoints));
    tell(stage, PUBLISH_SOFT_BYTES);
    assert_false(endpoint_may_publish(&stage->endpoints));
    assert_false(endpoint_may_publish(&stage->endpoint)); /* one window for all */
    tell(stage, PUBLISH_SOFT_BYTES + 100000);             /* it may all the same */
    assert_false(stage->sockets[0].held);
    broker_comes(stage);
    while (publishing(stage)->window.bytes >= PUBLISH_SOFT_BYTES / 2) {
        assert_false(endpoint_may_publish(&stage->endpoints));
        tail_drain(&stage->host.tail, 1);
    }
    assert_true(endpoint_may_publish(&stage->endpoints));
    tell(stage, PUBLISH_SOFT_BYTES);
    assert_false(endpoint_may_publish(&stage->endpoints));
    publishing_lost(&stage->host); /* all that was sent has gone */
    host_tick(&stage->host);
    assert_true(endpoint_may_publish(&stage->endpoints));
}

/* Between the marks senders are held, and who publishes by topic waits for the same end: neither starves beside the other. */
static void a_source_that_asks_lets_held_senders_have_their_turn(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    open_chat(stage, 1, "red");
    broker_dies(stage);
    tell(stage, PUBLISH_SOFT_BYTES);
    assert_int_equal(say(stage, 0, "x"), ERR_OK);
    assert_true(stage->sockets[0].held);
    broker_comes(stage);
    for (unsigned n = 0; stage->sockets[0].held; n++) {
        assert_true(n < 10000);
        tail_drain(&stage->host.tail, 1);
        while (endpoint_may_publish(&stage->endpoints) && stage->sockets[0].held)
            tell(stage, publishing(stage)->window.bytes);
    }
}

/* --- two reasons to hold ------------------------------------------------------------------------------------------------- */

static void a_dialect_may_hold_its_connections(void **state)
{
    struct stage *stage = *state;
    struct endpoint_conn *conn = open_chat(stage, 0, "red");
    struct socket *s = &stage->sockets[0];
    endpoint_hold(conn, false); /* as it is */
    assert_false(s->held);
    endpoint_hold(conn, true);
    endpoint_hold(conn, true);
    assert_true(s->held && s->holds == 1);
    host_tick(&stage->host);
    assert_true(s->held);
    endpoint_hold(conn, false);
    endpoint_hold(conn, false);
    assert_false(s->held);
    endpoint_hold(conn, true);
    close_conn(stage, 0); /* held: nobody lets it go */
    assert_true(s->held);
}

static void make_it_read_on(struct stage *stage)
{
    publish_window_acknowledged(&publishing(stage)->window, publishing(stage)->window.last_seq);
    host_tick(&stage->host);
}

static void it_is_read_when_neither_holds_it(void **state)
{
    struct stage *stage = *state;
    struct endpoint_conn *conn = open_conn(stage, 0, 0, 1);
    struct socket *s = &stage->sockets[0];
    broker_dies(stage);
    endpoint_hold(conn, true);
    fill(stage, 0, PUBLISH_SOFT_BYTES); /* both */
    assert_int_equal(publishing(stage)->held_count, 1);
    make_it_read_on(stage); /* the dialect still does */
    assert_int_equal(publishing(stage)->held_count, 0);
    assert_true(s->held && s->holds == 1);
    fill(stage, 0, PUBLISH_SOFT_BYTES); /* both again */
    endpoint_hold(conn, false);         /* publishing still does */
    assert_true(s->held && s->holds == 1);
    make_it_read_on(stage);
    assert_false(s->held);
    fill(stage, 0, PUBLISH_SOFT_BYTES);
    assert_true(s->held && s->holds == 2);
    endpoint_hold(conn, true);
    close_conn(stage, 0);
    assert_int_equal(publishing(stage)->held_count, 0);
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
        PLAY(who_has_waited_longest_is_let_go_first),
        PLAY(between_the_marks_nobody_may_publish),
        PLAY(a_source_that_asks_lets_held_senders_have_their_turn),
        PLAY(a_dialect_may_hold_its_connections),
        PLAY(it_is_read_when_neither_holds_it),
        PLAY(topics_are_charged),
        PLAY(small_questions),
    };
    return cmocka_run_group_tests_name("publishing_hold", tests, NULL, NULL);
}
