/* The gate on real sockets: what it accepts and hands on, what it answers, how it pauses and ends. What it does when there is too much
 * of everything: gate_limits_test. */
#include "gate_stage.h"

#include <sys/ioctl.h>

/* --- good ones -------------------------------------------------------------------------------------------------------- */

static void a_good_head_is_handed_on(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client c = arrive(0);
    raw_send_text(&c, GOOD("/chat") "behind");
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    assert_string_equal(door->path, "/chat");
    assert_string_equal(door->method, "GET");
    assert_true(door->upgrade);
    assert_int_equal(door->listener, 0);
    assert_int_equal(door->behind_len, 6);
    assert_memory_equal(door->behind, "behind", 6);
    int value = 0;
    socklen_t len = sizeof value;
    assert_true(fcntl(door->fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(door->fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(door->fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    assert_int_equal(value, 1);
    assert_int_equal(getsockopt(door->fd, SOL_SOCKET, SO_SNDBUF, &value, &len), 0);
    assert_int_equal(value, 2 * 65536); /* the kernel doubles it */
    assert_int_equal(counts()->upgrades, 1);
    assert_int_equal(counts()->half_open, 0);
    raw_close(&c);
}

static void byte_by_byte(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client c = arrive(0);
    static const char head[] = GOOD("/slowly") "xy";
    for (size_t i = 0; i < sizeof head - 3; i++) {
        assert_int_equal(door->accepted, 0);
        raw_send(&c, head + i, 1);
        PUMP_UNTIL(&door->loop, door->accepted == 1 ||
                                    (!list_empty(&door->gate->reading) &&
                                     LIST_ENTRY(door->gate->reading.next, struct half, link)->have == i + 1));
    }
    assert_int_equal(door->accepted, 1);
    assert_string_equal(door->path, "/slowly");
    assert_int_equal(door->behind_len, 0); /* they had not arrived */
    raw_close(&c);
}

static void listeners_have_their_own_rules(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client c = arrive(1);
    raw_send_text(&c, "POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}");
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    assert_int_equal(door->listener, 1);
    assert_false(door->upgrade);
    assert_string_equal(door->method, "POST");
    assert_memory_equal(door->behind, "{}", 2);
    assert_int_equal(counts()->plain, 1);
    raw_close(&c);
    c = arrive(1);
    raw_send_text(&c, GOOD("/only0"));
    raw_until_end(&c);
    assert_int_equal(raw_status(&c), 404);
    raw_close(&c);
    c = arrive(0);
    raw_send_text(&c, GOOD("/only0"));
    PUMP_UNTIL(&door->loop, door->accepted == 2);
    raw_close(&c);
}

/* --- answers ---------------------------------------------------------------------------------------------------------- */

static void every_answer_can_be_read(void **state)
{
    (void)state;
    static const struct {
        int listener;
        unsigned status;
        const char *head, *header; /* that the answer must have */
    } rows[] = {
        {0, 400, "nonsense\r\n\r\n", "Connection: close\r\n"},
        {0, 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "Content-Type: text/plain\r\n"},
        {0, 403,
         "GET / HTTP/1.1\r\nHost: h\r\nOrigin: http://evil\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: " RAW_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n",
         ""},
        {0, 404, GOOD("/nowhere"), ""},
        {0, 405, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "Allow: GET\r\n"},
        {1, 405, "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", "Allow: GET, HEAD, POST"},
        {1, 413, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello hello", ""},
        {0, 426, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"},
        {0, 505, "GET / HTTP/1.0\r\n\r\n", ""},
    };
    start(door, 0, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct raw_client c = arrive(rows[i].listener);
        raw_send_text(&c, rows[i].head);
        size_t head = raw_need_head(&c), length = 0;
        assert_int_equal(raw_status(&c), rows[i].status);
        assert_non_null(strstr((char *)c.in, rows[i].header));
        const char *field = strstr((char *)c.in, "Content-Length: ");
        assert_non_null(field);
        assert_int_equal(sscanf(field, "Content-Length: %zu", &length), 1);
        raw_send_text(&c, "more that nobody wanted"); /* no reset may overtake the answer */
        assert_true(raw_need(&c, head + length));
        raw_until_end(&c);
        assert_int_equal(c.len, head + length);
        assert_int_equal(c.in[c.len - 1], '\n');
        assert_false(c.reset);
        raw_close(&c);
        PUMP_UNTIL(&door->loop, counts()->half_open == 0);
    }
    assert_int_equal(counts()->refused_400, 2);
    assert_int_equal(counts()->refused_405, 2);
    assert_int_equal(counts()->refused_426, 1);
    assert_int_equal(door->accepted, 0);
}

static void a_head_that_is_too_large(void **state)
{
    (void)state;
    static char head[3 * GATE_HEAD_MAX];
    memset(head, 'a', sizeof head);
    memcpy(head, "GET /", 5);
    start(door, 0, 0);
    struct raw_client c = arrive(0);
    raw_send(&c, head, sizeof head);
    raw_until_end(&c);
    assert_int_equal(raw_status(&c), 431);
    assert_false(c.reset);
    raw_close(&c);
}

static void no_room_is_503(void **state)
{
    (void)state;
    start(door, 0, 0);
    door->no_room = true;
    struct raw_client c = arrive(0);
    raw_send_text(&c, GOOD("/chat"));
    raw_until_end(&c);
    assert_int_equal(raw_status(&c), 503);
    assert_non_null(strstr((char *)c.in, "Retry-After: 1\r\n"));
    raw_close(&c);
}

static void a_refused_one_that_goes_on_sending_is_cut_off(void **state)
{
    (void)state;
    static char flood[1 << 16];
    start(door, 0, 0);
    struct raw_client c = arrive(0);
    raw_send_text(&c, "nonsense\r\n\r\n");
    raw_need_head(&c);
    for (int i = 0; i < 64 && counts()->half_open > 0; i++) {
        raw_send(&c, flood, sizeof flood);
        raw_turn(&door->loop, -1);
    }
    PUMP_UNTIL(&door->loop, counts()->half_open == 0);
    raw_close(&c);
}

static void a_refused_one_that_stays_is_cut_off(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client c = arrive(0);
    raw_send_text(&c, "nonsense\r\n\r\n");
    raw_until_end(&c);
    assert_int_equal(counts()->half_open, 1);
    clock_manual_advance_ns(&door->clock, 3 * NS_PER_S);
    PUMP_UNTIL(&door->loop, counts()->half_open == 0);
    assert_int_equal(counts()->timeouts, 0);
    raw_close(&c);
}

/* --- pausing and ending ------------------------------------------------------------------------------------------------ */

static void pausing_leaves_them_in_the_queue(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client half = arrive(0);
    PUMP_UNTIL(&door->loop, counts()->half_open == 1);
    gate_pause(door->gate, true);
    struct raw_client c = arrive(0);
    raw_send_text(&c, GOOD("/later"));
    raw_send_text(&half, GOOD("/half"));
    PUMP_UNTIL(&door->loop, door->accepted == 1); /* the half-open one goes on */
    assert_string_equal(door->path, "/half");
    assert_int_equal(counts()->accepted, 1);
    gate_pause(door->gate, false);
    PUMP_UNTIL(&door->loop, door->accepted == 2);
    assert_string_equal(door->path, "/later");
    raw_close(&half);
    raw_close(&c);
}

static void freed_with_half_open_ones(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client a = arrive(0), b = arrive(0);
    raw_send_text(&a, "GET / HTTP");
    raw_send_text(&b, "nonsense\r\n\r\n");
    raw_need_head(&b);
    PUMP_UNTIL(&door->loop, counts()->half_open == 2);
    gate_free(&door->gate);
    raw_until_end(&a);
    raw_close(&a);
    raw_close(&b);
}

static void freed_in_its_own_callback(void **state)
{
    (void)state;
    start(door, 0, 0);
    door->free_in_accepted = true;
    struct raw_client half = arrive(0), a = arrive(0), b = arrive(0);
    raw_send_text(&a, GOOD("/a"));
    raw_send_text(&b, GOOD("/b"));
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    raw_close(&half);
    raw_close(&a);
    raw_close(&b);
}

static void a_bad_listener_is_an_error(void **state)
{
    (void)state;
    struct gate_listener listener = {.fd = -1};
    struct gate_config config = {.loop = &door->loop,
                                 .clock = &door->clock.clock,
                                 .listeners = &listener,
                                 .listener_count = 1,
                                 .accepted = accepted,
                                 .arg = door};
    assert_int_equal(gate_new(&config, &door->gate), ERR_SYSTEM);
    assert_null(door->gate);
}
int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_good_head_is_handed_on),
        T(byte_by_byte),
        T(listeners_have_their_own_rules),
        T(every_answer_can_be_read),
        T(a_head_that_is_too_large),
        T(no_room_is_503),
        T(a_refused_one_that_goes_on_sending_is_cut_off),
        T(a_refused_one_that_stays_is_cut_off),
        T(pausing_leaves_them_in_the_queue),
        T(freed_with_half_open_ones),
        T(freed_in_its_own_callback),
        T(a_bad_listener_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
