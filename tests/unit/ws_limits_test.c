/* ws: other limits while connections are there; and the walk over those that are open. */
#include "ws_stage.h"

static struct ws_limits limits_now(void)
{
    const struct ws_config *config = &server->ws->config;
    return (struct ws_limits){config->max_message_bytes, config->ping_interval_ms, config->ping_timeout_ms,
                              config->max_messages_per_s};
}

static void set_pings(uint32_t interval_ms, uint32_t timeout_ms)
{
    struct ws_limits limits = limits_now();
    limits.ping_interval_ms = interval_ms;
    limits.ping_timeout_ms = timeout_ms;
    ws_set_limits(server->ws, &limits);
}

/* Nothing is due: the wheel has been turned up to now. */
static void expect_no_ping(struct raw_client *c)
{
    uint64_t before = server->ws->counts.pings;
    for (int i = 0; i < 30; i++)
        raw_turn(&server->loop, -1);
    raw_send_frame(c, 0x81, "marker", 6);
    raw_expect_frame(c, 0x81, "marker", 6);
    assert_int_equal(server->ws->counts.pings, before);
}

static void a_shorter_ping_interval_reaches_who_is_there(void **state)
{
    (void)state;
    struct raw_client c = client_open("/echo");
    clock_manual_advance_ns(&server->clock, 2 * NS_PER_S);
    expect_no_ping(&c);
    set_pings(1000, 10000);
    clock_manual_advance_ns(&server->clock, 1100 * NS_PER_MS);
    raw_expect_frame(&c, 0x89, "hi", 2);
    set_pings(3600000, 10000);
    raw_send_frame(&c, 0x8a, "hi", 2);
    clock_manual_advance_ns(&server->clock, 60 * NS_PER_S);
    expect_no_ping(&c);
    raw_close(&c);
}

static void pings_off_and_on(void **state)
{
    (void)state;
    struct raw_client c = client_open("/echo");
    struct ws_conn *conn = server->last;
    set_pings(1000, 1000);
    clock_manual_advance_ns(&server->clock, 1100 * NS_PER_MS);
    raw_expect_frame(&c, 0x89, "hi", 2);
    assert_true(conn->waiting_since_ns != 0);
    set_pings(0, 1000); /* what it owes an answer to is forgotten */
    clock_manual_advance_ns(&server->clock, 100 * NS_PER_S);
    expect_no_ping(&c);
    set_pings(1000, 1000);
    clock_manual_advance_ns(&server->clock, 1100 * NS_PER_MS);
    raw_expect_frame(&c, 0x89, "hi", 2);
    clock_manual_advance_ns(&server->clock, 1100 * NS_PER_MS);
    raw_expect_close(&c, 1008);
    raw_close(&c);
}

static void a_shorter_patience_reaches_who_owes_an_answer(void **state)
{
    (void)state;
    struct raw_client c = client_open("/echo");
    set_pings(3600000, 3600000);
    set_pings(30000, 3600000);
    clock_manual_advance_ns(&server->clock, 31 * NS_PER_S);
    raw_expect_frame(&c, 0x89, "hi", 2);
    set_pings(30000, 500);
    clock_manual_advance_ns(&server->clock, 600 * NS_PER_MS);
    raw_expect_close(&c, 1008);
    assert_int_equal(server->ws->counts.ping_timeouts, 1);
    raw_close(&c);
}

static void a_smaller_message_is_too_large_in_the_middle(void **state)
{
    (void)state;
    struct raw_client c = client_open("/echo");
    struct ws_limits limits = limits_now();
    static char part[200];
    memset(part, 'x', sizeof part);
    raw_send_frame(&c, 0x01, part, sizeof part); /* a first fragment */
    raw_send_frame(&c, 0x89, "?", 1);
    raw_expect_frame(&c, 0x8a, "?", 1);
    limits.max_message_bytes = 100;
    ws_set_limits(server->ws, &limits);
    raw_send_frame(&c, 0x80, "x", 1);
    raw_expect_close(&c, 1009);
    assert_int_equal(server->ws->counts.too_large, 1);
    raw_close(&c);
}

static void who_paused_by_the_old_rate_is_read_on(void **state)
{
    (void)state;
    static unsigned char all[7 * 300];
    struct ws_limits limits = limits_now();
    struct raw_client c = client_open("/echo");
    struct ws_conn *conn = server->last;
    size_t len = 0;
    for (unsigned i = 0; i < 300; i++)
        len += raw_frame(all + len, 0x81, "x", 1, true);
    limits.max_messages_per_s = 1;
    ws_set_limits(server->ws, &limits);
    raw_send(&c, all, len);
    PUMP_UNTIL(&server->loop, conn->resume_ns != 0);
    limits.max_messages_per_s = 1000;
    ws_set_limits(server->ws, &limits);
    assert_int_equal(conn->resume_ns, 0);
    for (unsigned i = 0; i < 300; i++)
        raw_expect_frame(&c, 0x81, "x", 1);
    raw_send_frame(&c, 0x81, "more", 4);
    raw_expect_frame(&c, 0x81, "more", 4);
    raw_close(&c);
}

static size_t walk(void)
{
    size_t cursor = 0, count = 0;
    while (ws_next(server->ws, &cursor) != NULL)
        count++;
    return count;
}

static void open_ones_are_met_once(void **state)
{
    (void)state;
    enum { COUNT = 70 }; /* more than a chunk */
    static struct raw_client clients[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        clients[i] = client_open("/echo");
    assert_int_equal(ws_open_count(server->ws), COUNT);
    assert_int_equal(walk(), COUNT);
    size_t cursor = 0;
    ws_close(ws_next(server->ws, &cursor), WS_CLOSE_RESTARTING, "bye");
    assert_int_equal(ws_open_count(server->ws), COUNT - 1);
    assert_int_equal(ws_count(server->ws), COUNT);
    assert_int_equal(walk(), COUNT - 1);
    for (unsigned i = 0; i < COUNT; i++)
        raw_close(&clients[i]);
    PUMP_UNTIL(&server->loop, ws_count(server->ws) == 0);
    assert_int_equal(ws_open_count(server->ws), 0);
    assert_int_equal(walk(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_shorter_ping_interval_reaches_who_is_there),  T(pings_off_and_on),
        T(a_shorter_patience_reaches_who_owes_an_answer), T(a_smaller_message_is_too_large_in_the_middle),
        T(who_paused_by_the_old_rate_is_read_on),         T(open_ones_are_met_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
