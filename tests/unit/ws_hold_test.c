/* ws: connections that are not read for a while because their messages cannot be passed on, messages that cost more than
 * one, and connections that say nothing for hours. */
#include "ws_stage.h"

static void send_many(struct raw_client *c, unsigned count)
{
    static unsigned char all[7 * 3000];
    size_t len = 0;
    for (unsigned i = 0; i < count; i++)
        len += raw_frame(all + len, 0x81, "x", 1, true);
    raw_send(c, all, len);
}

static void expect_messages(unsigned count)
{
    PUMP_UNTIL(&server->loop, server->messages == count);
}

/* What the client has sent lies in the socket, and this loop, which serves others, does not touch it. */
static void expect_unread(struct raw_client *c, struct raw_client *other)
{
    unsigned before = server->messages;
    send_many(c, 1);
    for (int i = 0; i < 3; i++) {
        raw_send_frame(other, 0x81, "free", 4);
        raw_expect_frame(other, 0x81, "free", 4);
    }
    assert_int_equal(server->messages, before + 3);
    server->messages = before;
}

static void who_is_held_is_not_read_until_it_is_released(void **state)
{
    (void)state;
    struct raw_client other = client_open("/echo"), c = client_open("/hold");
    struct ws_conn *conn = server->last;
    send_many(&c, 3);
    expect_messages(3); /* what one read has brought is delivered */
    assert_int_equal(server->ws->counts.held, 1);
    expect_unread(&c, &other);
    ws_hold(conn); /* again: nothing */
    ws_release(conn);
    expect_messages(4);
    assert_int_equal(server->ws->counts.held, 2);
    ws_release(conn);
    ws_release(conn);
    send_many(&c, 1);
    expect_messages(5);
    raw_close(&c);
    raw_close(&other);
}

/* The limit is 1000 per second here, over two seconds. */
static void a_hold_and_a_pause_end_each_by_its_own(void **state)
{
    (void)state;
    struct raw_client other = client_open("/echo"), c = client_open("/hold");
    struct ws_conn *conn = server->last;
    server->ws->config.max_messages_per_s = 1000;
    send_many(&c, 2300);
    expect_messages(2300);
    assert_true(conn->held && conn->resume_ns != 0);
    ws_release(conn);
    expect_unread(&c, &other);
    clock_manual_advance_ns(&server->clock, NS_PER_S); /* the pause's end */
    expect_messages(2301);
    assert_true(conn->held);
    clock_manual_advance_ns(&server->clock, 10 * NS_PER_S);
    expect_unread(&c, &other);
    ws_release(conn);
    expect_messages(2302);
    assert_int_equal(conn->resume_ns, 0);
    assert_int_equal(server->ws->counts.throttled, 1);
    ws_release(conn);
    send_many(&c, 2200); /* and the pause ends while it is held */
    expect_messages(4502);
    clock_manual_advance_ns(&server->clock, NS_PER_S);
    PUMP_UNTIL(&server->loop, conn->resume_ns == 0);
    expect_unread(&c, &other);
    ws_release(conn);
    expect_messages(4503);
    raw_close(&c);
    raw_close(&other);
}

/* The wheel is looked at more often; what is due says the clock. */
static void turn_faster(void)
{
    uv_timer_set_repeat(&server->ws->tick, 1);
    uv_timer_again(&server->ws->tick);
}

static void being_held_counts_as_an_answer(void **state)
{
    (void)state;
    struct raw_client c = client_open("/hold");
    struct ws_conn *conn = server->last;
    send_many(&c, 1);
    expect_messages(1);
    turn_faster();
    for (int i = 0; i < 20; i++) { /* no pong of its can be read */
        clock_manual_advance_ns(&server->clock, 31 * NS_PER_S);
        raw_expect_frame(&c, 0x89, "hi", 2);
        clock_manual_advance_ns(&server->clock, 11 * NS_PER_S);
        PUMP_UNTIL(&server->loop, conn->waiting_since_ns == 0);
    }
    clock_manual_advance_ns(&server->clock, 31 * NS_PER_S);
    raw_expect_frame(&c, 0x89, "hi", 2);
    ws_release(conn);
    assert_int_equal(conn->waiting_since_ns, 0);
    clock_manual_advance_ns(&server->clock, 31 * NS_PER_S); /* from now on it must answer */
    raw_expect_frame(&c, 0x89, "hi", 2);
    clock_manual_advance_ns(&server->clock, 11 * NS_PER_S);
    raw_expect_close(&c, 1008);
    raw_close(&c);
    PUMP_UNTIL(&server->loop, server->closes == 1);
}

static void ends_of_who_is_held(void **state)
{
    (void)state;
    struct raw_client c = client_open("/hold");
    struct ws_conn *conn = server->last;
    send_many(&c, 1);
    expect_messages(1);
    ws_close(conn, WS_CLOSE_TRY_LATER, "enough"); /* its answer is read */
    assert_false(conn->held);
    ws_release(conn);
    ws_hold(conn);
    assert_false(conn->held);
    raw_expect_close(&c, 1013);
    raw_send_frame(&c, 0x88, "\x03\xf5", 2);
    raw_until_end(&c);
    raw_close(&c);
    PUMP_UNTIL(&server->loop, server->closes == 1);
    c = client_open("/hold"); /* it goes without a word, and is noticed when it is read again */
    conn = server->last;
    send_many(&c, 1);
    expect_messages(2);
    raw_close(&c);
    ws_release(conn);
    PUMP_UNTIL(&server->loop, server->closes == 2);
    c = client_open("/hold"); /* and what is left at the end is dropped */
    send_many(&c, 1);
    expect_messages(3);
    ws_free(&server->ws);
    assert_int_equal(server->closes, 3);
    raw_close(&c);
    gate_pause(server->gate, true);
}

static void a_message_may_cost_more_than_one(void **state)
{
    (void)state;
    struct raw_client other = client_open("/echo"), c = client_open("/dear");
    server->ws->config.max_messages_per_s = 1000;
    send_many(&c, 1);
    expect_messages(1);
    send_many(&c, 1);
    expect_messages(2);
    assert_int_equal(server->ws->counts.throttled, 0);
    send_many(&c, 1); /* three seconds' worth: read, and too much */
    expect_messages(3);
    assert_int_equal(server->ws->counts.throttled, 1);
    expect_unread(&c, &other);
    clock_manual_advance_ns(&server->clock, 1100 * NS_PER_MS);
    expect_messages(4);
    raw_close(&c);
    raw_close(&other);
}

/* --- for hours ------------------------------------------------------------------------------------------------------- */

static void idle_for_six_hours(void **state)
{
    (void)state;
    struct raw_client deaf = client_open("/sink"), quiet = client_open("/echo");
    const uint64_t hours_ns = 6 * 3600 * NS_PER_S, begin = server->clock.mono_now_ns;
    unsigned pings = 0;
    turn_faster();
    while (server->clock.mono_now_ns - begin < hours_ns) {
        clock_manual_advance_ns(&server->clock, 30 * NS_PER_S);
        raw_expect_frame(&quiet, 0x89, "hi", 2);
        raw_send_frame(&quiet, 0x8a, "hi", 2);
        pings++;
        if (pings == 2) /* one it got, and nothing came in the ten seconds after that */
            raw_until_end(&deaf);
        PUMP_UNTIL(&server->loop, server->ws->open_count == 1 || pings < 2);
        PUMP_UNTIL(&server->loop, server->last == NULL || server->last->waiting_since_ns == 0);
    }
    assert_int_equal(pings, 720);
    assert_int_equal(server->closes, 1);
    assert_int_equal(server->ws->counts.ping_timeouts, 1);
    raw_send_frame(&quiet, 0x81, "still here", 10);
    raw_expect_frame(&quiet, 0x81, "still here", 10);
    raw_close(&quiet);
    raw_close(&deaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(who_is_held_is_not_read_until_it_is_released),
        T(a_hold_and_a_pause_end_each_by_its_own),
        T(being_held_counts_as_an_answer),
        T(ends_of_who_is_held),
        T(a_message_may_cost_more_than_one),
        T(idle_for_six_hours),
    };
    return cmocka_run_group_tests_name("ws_hold", tests, NULL, NULL);
}
