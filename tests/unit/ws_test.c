/* ws: handshakes, messages, breaches of the protocol. */
#include "ws_stage.h"

/* --- the plain cases ------------------------------------------------------------------------------------------------ */

static void echoes_a_text(void **state)
{
    (void)state;
    struct raw_client c = client_open("/echo");
    raw_send_frame(&c, 0x81, "hé", 3);
    raw_expect_frame(&c, 0x81, "hé", 3);
    raw_send_frame(&c, 0x82, "\0\xff", 2);
    raw_expect_frame(&c, 0x82, "\0\xff", 2);
    raw_send_frame(&c, 0x81, "", 0);
    raw_expect_frame(&c, 0x81, "", 0);
    assert_int_equal(ws_count(server->ws), 1);
    raw_close(&c);
    PUMP_UNTIL(&server->loop, server->closes == 1);
    assert_int_equal(ws_count(server->ws), 0);
}

static void writes_in_open_follow_the_101(void **state)
{
    (void)state;
    struct raw_client c = client_open("/hello");
    raw_expect_frame(&c, 0x81, "hello", 5);
    raw_close(&c);
}

static void first_frames_right_behind_the_head(void **state)
{
    (void)state;
    unsigned char all[2048];
    int head = snprintf((char *)all, sizeof all,
                        "GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: " RAW_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n");
    size_t len = (size_t)head;
    len += raw_frame(all + len, 0x81, "one", 3, true);
    len += raw_frame(all + len, 0x81, "two", 3, true);
    struct raw_client c = raw_connect(&server->loop, server->port);
    raw_send(&c, all, len);
    raw_expect_101(&c);
    raw_expect_frame(&c, 0x81, "one", 3);
    raw_expect_frame(&c, 0x81, "two", 3);
    raw_close(&c);
}

static void open_may_refuse(void **state)
{
    (void)state;
    struct raw_client c = raw_connect(&server->loop, server->port);
    raw_send_upgrade(&c, "/refuse");
    raw_until_end(&c);
    assert_int_equal(server->refused, 1);
    assert_int_equal(server->closes, 0);
    assert_int_equal(ws_count(server->ws), 0);
    raw_close(&c);
}

static void unknown_path_is_404(void **state)
{
    (void)state;
    struct raw_client c = raw_connect(&server->loop, server->port);
    raw_send_upgrade(&c, "/unknown");
    raw_until_end(&c);
    assert_int_equal(raw_status(&c), 404);
    assert_false(c.reset);
    raw_close(&c);
}

static void bearer_subprotocol_is_answered(void **state)
{
    (void)state;
    struct raw_client c = raw_connect(&server->loop, server->port);
    raw_send_text(&c, "GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Protocol: bearer, abc.def\r\n"
                      "Sec-WebSocket-Key: " RAW_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n");
    size_t head = raw_need_head(&c);
    assert_non_null(strstr((char *)c.in, "Sec-WebSocket-Protocol: bearer\r\n"));
    raw_consume(&c, head);
    raw_send_frame(&c, 0x81, "x", 1);
    raw_expect_frame(&c, 0x81, "x", 1);
    raw_close(&c);
}

/* --- messages -------------------------------------------------------------------------------------------------------- */

static void joins_fragments_with_control_frames_between(void **state)
{
    (void)state;
    struct raw_client c = client_open("/echo");
    raw_send_frame(&c, 0x01, "caf\xc3", 4); /* ends inside a character */
    raw_send_frame(&c, 0x8a, "hi", 2);      /* a pong between */
    raw_send_frame(&c, 0x89, "p", 1);
    raw_send_frame(&c, 0x00, "", 0);
    raw_send_frame(&c, 0x80, "\xa9!", 2);
    struct raw_got got = {0};
    assert_true(raw_get_frame(&c, &got));
    bool pong_first = got.first == 0x8a; /* either order is right */
    if (pong_first)
        raw_expect_frame(&c, 0x8a, "p", 1);
    raw_expect_frame(&c, 0x81, "caf\xc3\xa9!", 6);
    if (!pong_first)
        raw_expect_frame(&c, 0x8a, "p", 1);
    assert_int_equal(server->ws->join_bytes, 0);
    raw_close(&c);
}

static void large_messages_up_to_the_limit(void **state)
{
    (void)state;
    static char text[MAX_MESSAGE];
    memset(text, 'a', sizeof text);
    struct raw_client c = client_open("/echo");
    for (size_t len = 124; len <= 128; len++) {
        raw_send_frame(&c, 0x81, text, len);
        raw_expect_frame(&c, 0x81, text, len);
    }
    raw_send_frame(&c, 0x81, text, sizeof text);
    raw_expect_frame(&c, 0x81, text, sizeof text);
    raw_close(&c);
}

static void above_the_limit_is_1009(void **state)
{
    (void)state;
    static char text[MAX_MESSAGE + 1];
    memset(text, 'a', sizeof text);
    struct raw_client c = client_open("/echo");
    raw_send_frame(&c, 0x81, text, sizeof text);
    raw_expect_close(&c, 1009);
    assert_int_equal(server->messages, 0);
    assert_int_equal(server->ws->counts.too_large, 1);
    raw_send_frame(&c, 0x88, "\x03\xf1", 2);
    raw_until_end(&c);
    raw_close(&c);
}

static void announced_length_alone_is_1009(void **state)
{
    (void)state;
    struct raw_client c = client_open("/echo");
    raw_send(&c, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\1\2\3\4x", 15);
    raw_expect_close(&c, 1009);
    assert_int_equal(server->ws->join_bytes, 0);
    raw_close(&c);
}

static void fragments_above_the_limit_are_1009(void **state)
{
    (void)state;
    static char text[MAX_MESSAGE / 2 + 1];
    memset(text, 'a', sizeof text);
    struct raw_client c = client_open("/echo");
    raw_send_frame(&c, 0x01, text, sizeof text);
    raw_send_frame(&c, 0x80, text, sizeof text);
    raw_expect_close(&c, 1009);
    assert_int_equal(server->ws->join_bytes, 0);
    raw_close(&c);
}

/* One after the other, so that it is known who is over the budget. */
static void unfinished_messages_have_one_budget(void **state)
{
    (void)state;
    static char text[MAX_MESSAGE];
    struct raw_client c[5];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i] = client_open("/echo");
        raw_send_frame(&c[i], 0x01, text, sizeof text);
        PUMP_UNTIL(&server->loop, server->ws->counts.bytes_in == (i + 1) * sizeof text || i == 4);
    }
    raw_expect_close(&c[4], 1013);
    assert_int_equal(server->ws->counts.over_budget, 1);
    assert_int_equal(server->ws->join_bytes, BUDGET);
    raw_send_frame(&c[0], 0x80, "", 0); /* the others are served, and give their part back */
    raw_expect_frame(&c[0], 0x81, text, sizeof text);
    assert_int_equal(server->ws->join_bytes, BUDGET - MAX_MESSAGE);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        raw_close(&c[i]);
    PUMP_UNTIL(&server->loop, server->closes == ARRAY_LEN(c));
    assert_int_equal(server->ws->join_bytes, 0);
}

static void invalid_utf8_is_1007(void **state)
{
    (void)state;
    struct raw_client c = client_open("/echo");
    raw_send_frame(&c, 0x81, "\xc3\x28", 2);
    raw_expect_close(&c, 1007);
    assert_int_equal(server->messages, 0);
    raw_close(&c);
}

static void utf8_table(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {{"", true},
                {"plain ASCII of more than eight bytes", true},
                {"\xc2\x80", true},
                {"\xc1\xbf", false},
                {"\xe0\xa0\x80", true},
                {"\xe0\x9f\xbf", false},
                {"\xed\x9f\xbf", true},
                {"\xed\xa0\x80", false},
                {"\xf0\x90\x80\x80", true},
                {"\xf0\x8f\xbf\xbf", false},
                {"\xf4\x8f\xbf\xbf", true},
                {"\xf4\x90\x80\x80", false},
                {"\xf5\x80\x80\x80", false},
                {"\x80", false},
                {"abcdefgh\xe2\x82", false},
                {"\xff", false},
                {"1234567\xc3\xa9 12345678", true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(utf8_is_valid(rows[i].text, strlen(rows[i].text)), rows[i].valid);
}

/* --- breaches of the protocol ---------------------------------------------------------------------------------------- */

static void breaches_are_1002(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"\xc1\x81\0\0\0\0x", 7},                    /* a reserved bit */
        {"\x83\x80\0\0\0\0", 6},                     /* a reserved opcode */
        {"\x8b\x80\0\0\0\0", 6},                     /* a reserved control opcode */
        {"\x09\x80\0\0\0\0", 6},                     /* a fragmented ping */
        {"\x80\x80\0\0\0\0", 6},                     /* a continuation of nothing */
        {"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 12},    /* a new message inside one */
        {"\x89\xfe\0\x7e\0\0\0\0", 8},               /* a control frame above 125 bytes */
        {"\x82\xff\x80\0\0\0\0\0\0\1\0\0\0\0x", 15}, /* a length with its top bit set */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct raw_client c = client_open("/echo");
        raw_send(&c, rows[i].bytes, rows[i].len);
        raw_expect_close(&c, 1002);
        assert_int_equal(server->ws->counts.protocol_errors, i + 1);
        raw_send_frame(&c, 0x88, "\x03\xea", 2); /* after some breaches nothing is understood any more */
        clock_manual_advance_ns(&server->clock, 3 * NS_PER_S);
        raw_until_end(&c);
        raw_close(&c);
        PUMP_UNTIL(&server->loop, server->closes == i + 1);
    }
}

static void unmasked_frames_are_1002(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len, messages; /* delivered before */
    } rows[] = {
        {"\x81\x03"
         "abc",
         5, 0},
        {"\x81\x00", 2, 0},
        {"\x88\x00", 2, 0},
        {"\x89\x02"
         "hi",
         4, 0},
        {"\x82\x7e\x01\x00", 4, 0},
        {"\x81\x81\0\0\0\0x\x81\x01y", 10, 1},
        {"\x82\xfe\0\x7e\1\2\3\4......................................................................."
         ".......................................................\x8a\x00",
         136, 1},
        {"\x82\xff\0\0\0\0\0\0\0\x03\1\2\3\4...\x81\x01z", 20, 0}, /* and a length in too many bytes */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct raw_client c = client_open("/sink");
        unsigned before = server->messages;
        for (size_t n = 0; n < rows[i].len; n++) { /* byte by byte: each is read alone */
            raw_send(&c, rows[i].bytes + n, 1);
            PUMP_UNTIL(&server->loop, server->last == NULL || unread(server->last->fd) == 0);
        }
        raw_expect_close(&c, 1002);
        assert_int_equal(server->messages, before + rows[i].messages);
        assert_int_equal(server->ws->counts.protocol_errors, i + 1);
        raw_close(&c);
        PUMP_UNTIL(&server->loop, server->closes == i + 1);
    }
}

static void unmasked_frame_behind_the_head(void **state)
{
    (void)state;
    struct raw_client c = raw_connect(&server->loop, server->port);
    raw_send_text(&c, "GET /sink HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Key: " RAW_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x01x");
    raw_expect_101(&c);
    raw_expect_close(&c, 1002);
    assert_int_equal(server->messages, 0);
    raw_close(&c);
}

static void close_codes_are_answered(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        size_t len;
        unsigned answer;
    } rows[] = {{"", 0, 0},
                {"\x03\xe8", 2, 1000},
                {"\x03\xe9 bye", 6, 1001},
                {"\x0b\xb8", 2, 3000},
                {"\x03", 1, 1002},
                {"\x03\xed", 2, 1002}, /* 1005 */
                {"\x00\x00", 2, 1002},
                {"\x07\xd0", 2, 1002}, /* 2000 */
                {"\x03\xe8\xff", 3, 1007}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct raw_client c = client_open("/echo");
        raw_send_frame(&c, 0x88, rows[i].payload, rows[i].len);
        raw_expect_close(&c, rows[i].answer);
        raw_until_end(&c);
        assert_int_equal(c.len, 0);
        raw_close(&c);
        PUMP_UNTIL(&server->loop, server->closes == i + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(echoes_a_text),
        T(writes_in_open_follow_the_101),
        T(first_frames_right_behind_the_head),
        T(open_may_refuse),
        T(unknown_path_is_404),
        T(bearer_subprotocol_is_answered),
        T(joins_fragments_with_control_frames_between),
        T(large_messages_up_to_the_limit),
        T(above_the_limit_is_1009),
        T(announced_length_alone_is_1009),
        T(fragments_above_the_limit_are_1009),
        T(unfinished_messages_have_one_budget),
        T(invalid_utf8_is_1007),
        cmocka_unit_test(utf8_table),
        T(breaches_are_1002),
        T(unmasked_frames_are_1002),
        T(unmasked_frame_behind_the_head),
        T(close_codes_are_answered),
    };
    return cmocka_run_group_tests_name("ws", tests, NULL, NULL);
}
