/* ws: closing, pings and their limits, rates. */
#include "ws_stage.h"

/* --- closing --------------------------------------------------------------------------------------------------------- */

static void closing_from_every_callback(void **state)
{
    (void)state;
    struct raw_client c = client_open("/close-in-open");
    raw_expect_close(&c, 1008);
    raw_send_frame(&c, 0x88, "\x03\xf0", 2);
    raw_until_end(&c);
    raw_close(&c);
    c = client_open("/close-in-message");
    raw_send_frame(&c, 0x81, "one", 3);
    raw_send_frame(&c, 0x81, "two", 3);
    raw_expect_close(&c, 1001);
    raw_send_frame(&c, 0x88, "\x03\xe9", 2);
    raw_until_end(&c);
    assert_int_equal(c.len, 0);
    assert_int_equal(server->messages, 1);
    raw_close(&c);
    PUMP_UNTIL(&server->loop, server->closes == 2);
}

/* Two messages, and what ends the connection, in one read: what was kept goes before the Close, whoever's it is. */
static void what_the_owner_has_kept_goes_before_a_close(void **state)
{
    (void)state;
    static const struct {
        unsigned first;
        const char *payload;
        unsigned code;
    } ends[] = {{0x88, "\x03\xe8", 1000}, {0x83, "no", 1002}, {0x81, "\xff\xff", 1007}};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct raw_client c = client_open("/keep");
        unsigned char bytes[64];
        size_t len = raw_frame(bytes, 0x81, "one", 3, true);
        len += raw_frame(bytes + len, 0x81, "two", 3, true);
        len += raw_frame(bytes + len, ends[i].first, ends[i].payload, 2, true);
        raw_send(&c, bytes, len);
        raw_expect_frame(&c, 0x81, "onetwo", 6);
        raw_expect_close(&c, ends[i].code);
        raw_close(&c);
        PUMP_UNTIL(&server->loop, server->closes == i + 1);
    }
}

static void what_the_owner_has_kept_goes_when_a_read_is_through(void **state)
{
    (void)state;
    struct raw_client c = client_open("/keep");
    unsigned char bytes[64];
    size_t len = raw_frame(bytes, 0x81, "one", 3, true);
    len += raw_frame(bytes + len, 0x81, "two", 3, true);
    raw_send(&c, bytes, len);
    raw_expect_frame(&c, 0x81, "onetwo", 6);
    assert_int_equal(server->settles, 1);
    raw_send_frame(&c, 0x81, "three", 5);
    raw_expect_frame(&c, 0x81, "three", 5);
    strcpy(server->kept, "last"); /* an answer from elsewhere */
    ws_close(server->last, WS_CLOSE_GOING_AWAY, "bye");
    raw_expect_frame(&c, 0x81, "last", 4);
    raw_expect_close(&c, 1001);
    raw_close(&c);
}

static void a_peer_that_does_not_answer_a_close(void **state)
{
    (void)state;
    struct raw_client c = client_open("/echo");
    ws_close(server->last, WS_CLOSE_NORMAL, NULL);
    assert_false(ws_can_write(server->last));
    size_t taken;
    assert_int_equal(ws_write(server->last, "\x81\0", 2, &taken), ERR_CLOSED);
    raw_expect_close(&c, 1000);
    clock_manual_advance_ns(&server->clock, 1900 * NS_PER_MS);
    for (int i = 0; i < 20; i++)
        raw_turn(&server->loop, -1);
    assert_int_equal(server->closes, 0);
    clock_manual_advance_ns(&server->clock, 300 * NS_PER_MS);
    PUMP_UNTIL(&server->loop, server->closes == 1);
    raw_until_end(&c);
    raw_close(&c);
}

static void close_all(void **state)
{
    (void)state;
    struct raw_client c[5];
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        c[i] = client_open("/echo");
    ws_close_all(server->ws, WS_CLOSE_RESTARTING, "back soon");
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        raw_expect_close(&c[i], 1012);
        raw_send_frame(&c[i], 0x88, "\x03\xf4", 2);
    }
    PUMP_UNTIL(&server->loop, ws_count(server->ws) == 0);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        raw_close(&c[i]);
}

static void free_drops_what_is_left(void **state)
{
    (void)state;
    struct raw_client c = client_open("/echo");
    ws_free(&server->ws);
    assert_int_equal(server->closes, 1);
    raw_until_end(&c);
    raw_close(&c);
    gate_pause(server->gate, true);
}

/* --- pings ----------------------------------------------------------------------------------------------------------- */

static void pings_and_their_limit(void **state)
{
    (void)state;
    struct raw_client c = client_open("/echo");
    clock_manual_advance_ns(&server->clock, 31 * NS_PER_S);
    raw_expect_frame(&c, 0x89, "hi", 2);
    raw_send_frame(&c, 0x8a, "hi", 2);
    PUMP_UNTIL(&server->loop, server->last->waiting_since_ns == 0);
    clock_manual_advance_ns(&server->clock, 11 * NS_PER_S);
    raw_send_frame(&c, 0x81, "still here", 10);
    raw_expect_frame(&c, 0x81, "still here", 10);
    clock_manual_advance_ns(&server->clock, 21 * NS_PER_S);
    raw_expect_frame(&c, 0x89, "hi", 2);
    raw_send_frame(&c, 0x81, "counts as well", 14);
    raw_expect_frame(&c, 0x81, "counts as well", 14);
    clock_manual_advance_ns(&server->clock, 31 * NS_PER_S);
    raw_expect_frame(&c, 0x89, "hi", 2);
    clock_manual_advance_ns(&server->clock, 11 * NS_PER_S);
    raw_expect_close(&c, 1008);
    PUMP_UNTIL(&server->loop, server->closes == 1);
    assert_int_equal(server->ws->counts.ping_timeouts, 1);
    assert_int_equal(server->ws->counts.pings, 3);
    raw_close(&c);
}

static void client_pings_are_answered(void **state)
{
    (void)state;
    struct raw_client c = client_open("/echo");
    raw_send_frame(&c, 0x89, "abc", 3);
    raw_expect_frame(&c, 0x8a, "abc", 3);
    raw_send_frame(&c, 0x89, "", 0);
    raw_expect_frame(&c, 0x8a, "", 0);
    raw_close(&c);
}

/* --- rates ------------------------------------------------------------------------------------------------------------ */

/* More pings than PONGS_MAX bytes of pongs hold, in one read, and one that comes in pieces between fragments. */
static void every_ping_of_a_burst_is_answered(void **state)
{
    (void)state;
    unsigned char all[16000], payload[120];
    size_t len = 0;
    struct raw_client c = client_open("/echo");
    memset(payload, 'p', sizeof payload);
    for (unsigned n = 0; n < 100; n++) {
        payload[0] = (unsigned char)n;
        len += raw_frame(all + len, 0x89, payload, sizeof payload, true);
    }
    raw_send(&c, all, len);
    for (unsigned n = 0; n < 100; n++) {
        payload[0] = (unsigned char)n;
        raw_expect_frame(&c, 0x8a, payload, sizeof payload);
    }
    raw_close(&c);
}

static void send_many(struct raw_client *c, unsigned count)
{
    static unsigned char all[7 * 3000];
    size_t len = 0;
    for (unsigned i = 0; i < count; i++)
        len += raw_frame(all + len, 0x81, "x", 1, true);
    raw_send(c, all, len);
}

static void turn_often(void)
{
    for (int i = 0; i < 20; i++)
        raw_turn(&server->loop, -1);
}

/* The limit is 1000 per second here, over two seconds. */
static void who_sends_too_much_is_not_read_for_a_while(void **state)
{
    (void)state;
    struct raw_client c = client_open("/sink"), other = client_open("/echo");
    server->ws->config.max_messages_per_s = 1000;
    send_many(&c, 2000);
    PUMP_UNTIL(&server->loop, server->messages == 2000);
    assert_int_equal(server->ws->counts.throttled, 0);
    send_many(&c, 100); /* read, and too much */
    PUMP_UNTIL(&server->loop, server->messages == 2100);
    assert_int_equal(server->ws->counts.throttled, 1);
    send_many(&c, 1);
    turn_often();
    assert_int_equal(server->messages, 2100);
    raw_send_frame(&other, 0x81, "free", 4); /* nobody else notices */
    raw_expect_frame(&other, 0x81, "free", 4);
    clock_manual_advance_ns(&server->clock, 90 * NS_PER_MS);
    turn_often();
    assert_int_equal(server->messages, 2101);
    clock_manual_advance_ns(&server->clock, 110 * NS_PER_MS);
    PUMP_UNTIL(&server->loop, server->messages == 2102);
    assert_int_equal(server->ws->counts.throttled, 1);
    raw_close(&c);
    raw_close(&other);
}

/* A pause is no silence: it outlasts the limit for a pong here. And a close ends it. */
static void a_pause_counts_as_an_answer(void **state)
{
    (void)state;
    struct raw_client c = client_open("/sink");
    struct ws_conn *conn = server->last;
    server->ws->config.max_messages_per_s = 1;
    send_many(&c, 60);
    PUMP_UNTIL(&server->loop, server->messages == 60);
    clock_manual_advance_ns(&server->clock, 31 * NS_PER_S);
    raw_expect_frame(&c, 0x89, "hi", 2);
    clock_manual_advance_ns(&server->clock, 11 * NS_PER_S);
    turn_often();
    assert_int_equal(server->closes, 0);
    assert_true(conn->resume_ns != 0);
    ws_close(conn, WS_CLOSE_GOING_AWAY, "bye");
    assert_true(conn->resume_ns == 0);
    raw_send_frame(&c, 0x88, "\x03\xe9", 2);
    raw_expect_close(&c, 1001);
    raw_until_end(&c);
    raw_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(closing_from_every_callback),
        T(what_the_owner_has_kept_goes_before_a_close),
        T(what_the_owner_has_kept_goes_when_a_read_is_through),
        T(a_peer_that_does_not_answer_a_close),
        T(close_all),
        T(free_drops_what_is_left),
        T(pings_and_their_limit),
        T(client_pings_are_answered),
        T(every_ping_of_a_burst_is_answered),
        T(who_sends_too_much_is_not_read_for_a_while),
        T(a_pause_counts_as_an_answer),
    };
    return cmocka_run_group_tests_name("ws_life", tests, NULL, NULL);
}
