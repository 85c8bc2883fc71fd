/* gate and ws together: real sockets, a real libuv loop, raw clients in the same thread. The server's behaviour is
 * chosen by the path that a client asks for. */
#include "raw_client.h"

#include <sys/ioctl.h>

#include "gate.h"
#include "must.h"
#include "ws.h"
#include "ws_frame.h"
#include "ws_internal.h"

enum { MAX_MESSAGE = 65536, BUDGET = 256 * 1024 };

struct user {
    char path[32];
    uint64_t magic;
    unsigned writables;
};

struct server {
    uv_loop_t loop;
    struct clock_manual clock;
    struct gate *gate;
    struct ws *ws;
    int listen_fd;
    uint16_t port;
    struct ws_conn *last; /* the newest open connection */
    unsigned opens, refused, messages, writables, closes, message_after_close;
    size_t last_len;
    bool last_binary;
    void (*go_on)(struct ws_conn *conn); /* what `writable` does for /slow */
};

static struct server *server;

static void write_text(struct ws_conn *conn, const char *data, size_t len, enum ws_opcode_e opcode)
{
    unsigned char *room = malloc(len + WS_HEADER_MAX);
    size_t taken;
    assert_non_null(room);
    memcpy(room + WS_HEADER_MAX, data, len);
    unsigned char *frame = ws_frame_prepend(room + WS_HEADER_MAX, len, opcode);
    size_t total = (size_t)(room + WS_HEADER_MAX + len - frame);
    if (ws_write(conn, frame, total, &taken) == ERR_OK)
        assert_int_equal(taken, total);
    free(room);
}

static bool on_open(void *arg, struct ws_conn *conn, const struct gate_request *request, unsigned listener)
{
    struct user *user = ws_user(conn);
    assert_ptr_equal(arg, server);
    assert_int_equal(listener, 0);
    for (size_t i = 0; i < sizeof *user; i++)
        assert_int_equal(((const char *)user)[i], 0);
    snprintf(user->path, sizeof user->path, "%s", request->path);
    user->magic = 0x1234567890abcdefULL;
    if (strcmp(user->path, "/refuse") == 0) {
        server->refused++;
        return false;
    }
    server->opens++;
    server->last = conn;
    if (strcmp(user->path, "/hello") == 0)
        write_text(conn, "hello", 5, WS_TEXT);
    if (strcmp(user->path, "/close-in-open") == 0)
        ws_close(conn, WS_CLOSE_POLICY, "Token inválido");
    return true;
}

static void on_message(void *arg, struct ws_conn *conn, const char *data, size_t len, bool binary)
{
    const struct user *user = ws_user(conn);
    (void)arg;
    assert_true(user->magic == 0x1234567890abcdefULL);
    server->messages++;
    server->last_len = len;
    server->last_binary = binary;
    if (strcmp(user->path, "/echo") == 0)
        write_text(conn, data, len, binary ? WS_BINARY : WS_TEXT);
    if (strcmp(user->path, "/close-in-message") == 0)
        ws_close(conn, WS_CLOSE_GOING_AWAY, "bye");
}

static void on_writable(void *arg, struct ws_conn *conn)
{
    struct user *user = ws_user(conn);
    (void)arg;
    server->writables++;
    user->writables++;
    if (strcmp(user->path, "/close-in-writable") == 0)
        ws_close(conn, WS_CLOSE_TRY_LATER, "slow");
    if (server->go_on != NULL)
        server->go_on(conn);
}

static void on_closed(void *arg, struct ws_conn *conn)
{
    const struct user *user = ws_user(conn);
    (void)arg;
    assert_true(user->magic == 0x1234567890abcdefULL);
    ws_close(conn, WS_CLOSE_NORMAL, "too late"); /* nothing happens */
    assert_false(ws_can_write(conn));
    server->closes++;
    if (server->last == conn)
        server->last = NULL;
}

static void on_accepted(void *arg, int fd, const struct gate_request *request, unsigned listener)
{
    struct server *s = arg;
    ws_adopt(s->ws, fd, request, listener);
}

static bool path_known(void *arg, unsigned listener, const char *path)
{
    (void)arg;
    (void)listener;
    return strcmp(path, "/unknown") != 0;
}

static int setup(void **state)
{
    static const struct ws_events events = {on_open, on_message, on_writable, on_closed};
    struct server *s = calloc(1, sizeof *s);
    assert_non_null(s);
    server = s;
    *state = s;
    clock_manual_init(&s->clock, 1000 * NS_PER_S, 0);
    assert_int_equal(uv_loop_init(&s->loop), 0);
    s->listen_fd = raw_listen(&s->port);
    struct ws_config ws_config = {.loop = &s->loop,
                                  .clock = &s->clock.clock,
                                  .user_bytes = sizeof(struct user),
                                  .max_message_bytes = MAX_MESSAGE,
                                  .message_budget_bytes = BUDGET,
                                  .ping_interval_ms = 30000,
                                  .ping_timeout_ms = 10000,
                                  .events = &events,
                                  .arg = s};
    assert_int_equal(ws_new(&ws_config, &s->ws), ERR_OK);
    struct gate_listener listener = {.fd = s->listen_fd};
    struct gate_config gate_config = {.loop = &s->loop,
                                      .clock = &s->clock.clock,
                                      .listeners = &listener,
                                      .listener_count = 1,
                                      .send_buffer_bytes = 65536,
                                      .path_known = path_known,
                                      .accepted = on_accepted,
                                      .arg = s};
    assert_int_equal(gate_new(&gate_config, &s->gate), ERR_OK);
    return 0;
}

static int teardown(void **state)
{
    struct server *s = *state;
    gate_free(&s->gate);
    ws_free(&s->ws);
    assert_int_equal(s->closes, s->opens);
    assert_int_equal(uv_run(&s->loop, UV_RUN_NOWAIT), 0);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    close(s->listen_fd);
    free(s);
    server = NULL;
    return 0;
}

static int unread(int fd)
{
    int bytes = 0;
    ioctl(fd, FIONREAD, &bytes);
    return bytes;
}

static struct raw_client client_open(const char *path)
{
    return raw_open(&server->loop, server->port, path);
}

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
    struct raw_got got;
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

/* --- short writes ---------------------------------------------------------------------------------------------------- */

/* Frame n: its number and a filling that depends on it, of a length that depends on it. */
static size_t numbered_frame(unsigned char *out, uint32_t n)
{
    size_t len = 4 + (n * 7919u) % 3000;
    unsigned char *payload = out + WS_HEADER_MAX;
    memcpy(payload, &n, 4);
    for (size_t i = 4; i < len; i++)
        payload[i] = (unsigned char)(n + i);
    unsigned char *start = ws_frame_prepend(payload, len, WS_BINARY);
    size_t total = (size_t)(payload + len - start);
    memmove(out, start, total);
    return total;
}

struct batch {
    unsigned char *bytes;
    size_t *starts; /* of each frame, and the end */
    size_t count;
};

static struct batch make_batch(size_t count)
{
    struct batch batch = {malloc(count * 3020), calloc(count + 1, sizeof(size_t)), count};
    assert_non_null(batch.bytes);
    assert_non_null(batch.starts);
    for (uint32_t n = 0; n < count; n++)
        batch.starts[n + 1] = batch.starts[n] + numbered_frame(batch.bytes + batch.starts[n], n);
    return batch;
}

static void free_batch(struct batch *batch)
{
    free(batch->bytes);
    free(batch->starts);
}

static size_t expect_boundary(const struct batch *batch, size_t at)
{
    for (size_t i = 0; i <= batch->count; i++)
        if (batch->starts[i] == at)
            return i;
    fail_msg("%zu is no frame boundary", at);
    return 0;
}

/* As many pieces as the test wants, cut at frames. */
static enum err_e write_some(struct ws_conn *conn, const struct batch *batch, size_t *at, bool in_pieces)
{
    size_t taken, first = expect_boundary(batch, *at);
    struct iovec pieces[16];
    int count = 0;
    for (size_t i = first; in_pieces && i < batch->count && count < 16; i += 3, count++) {
        size_t end = i + 3 < batch->count ? i + 3 : batch->count;
        pieces[count] =
            (struct iovec){batch->bytes + batch->starts[i], batch->starts[end] - batch->starts[i]};
    }
    enum err_e err = in_pieces
                         ? ws_writev(conn, pieces, count, &taken)
                         : ws_write(conn, batch->bytes + *at, batch->starts[batch->count] - *at, &taken);
    *at += taken;
    expect_boundary(batch, *at);
    return err;
}

static struct {
    struct batch batch;
    size_t at;
    bool in_pieces;
} flow;

static void flow_on(struct ws_conn *conn)
{
    while (ws_can_write(conn) && flow.at < flow.batch.starts[flow.batch.count])
        assert_int_equal(write_some(conn, &flow.batch, &flow.at, flow.in_pieces), ERR_OK);
}

static void slow_reader(bool in_pieces)
{
    struct raw_client c = client_open("/slow");
    struct ws_conn *conn = server->last;
    size_t got = 0;
    unsigned char expected[3020];
    bool pong = false;
    flow.batch = make_batch(1200);
    flow.at = 0;
    flow.in_pieces = in_pieces;
    flow_on(conn);
    assert_true(flow.at < flow.batch.starts[flow.batch.count]);
    assert_true(server->ws->counts.short_writes > 0);
    size_t stuck = flow.at;
    assert_int_equal(write_some(conn, &flow.batch, &flow.at, in_pieces), ERR_OK);
    assert_int_equal(flow.at, stuck);
    server->go_on = flow_on;
    raw_send_frame(&c, 0x89, "between", 7); /* a pong has to find its place between whole frames */
    while (got < flow.batch.count || !pong) {
        struct raw_got frame;
        assert_true(raw_get_frame(&c, &frame));
        if (frame.first == 0x8a) {
            pong = true;
        } else {
            size_t len = numbered_frame(expected, (uint32_t)got++);
            assert_int_equal(frame.total, len);
            assert_memory_equal(c.in, expected, len);
        }
        raw_consume(&c, frame.total);
    }
    assert_true(server->writables > 0);
    raw_close(&c);
    free_batch(&flow.batch);
}

static void a_slow_reader_gets_every_frame_whole(void **state)
{
    (void)state;
    slow_reader(false);
}

static void a_slow_reader_of_pieces_too(void **state)
{
    (void)state;
    slow_reader(true);
}

static void fill(struct ws_conn *conn, const struct batch *batch)
{
    for (size_t at = 0; ws_can_write(conn);) {
        assert_int_equal(write_some(conn, batch, &at, false), ERR_OK);
        if (at == batch->starts[batch->count])
            at = 0;
    }
}

static void a_close_behind_a_remainder(void **state)
{
    (void)state;
    struct batch batch = make_batch(400);
    struct raw_client c = client_open("/slow");
    struct raw_got got;
    fill(server->last, &batch);
    ws_close(server->last, WS_CLOSE_TRY_LATER, "slow");
    for (bool closed = false; !closed;) {
        assert_true(raw_get_frame(&c, &got));
        closed = got.first == 0x88;
        assert_true(closed || got.first == 0x82);
        raw_consume(&c, got.total);
    }
    raw_send_frame(&c, 0x88, "\x03\xf5", 2);
    raw_until_end(&c);
    assert_int_equal(c.len, 0);
    raw_close(&c);
    free_batch(&batch);
}

static void closing_in_writable(void **state)
{
    (void)state;
    struct batch batch = make_batch(400);
    struct raw_client c = client_open("/close-in-writable");
    struct raw_got got = {0};
    fill(server->last, &batch);
    while (got.first != 0x88) {
        assert_true(raw_get_frame(&c, &got));
        raw_consume(&c, got.total);
    }
    raw_close(&c);
    PUMP_UNTIL(&server->loop, server->closes == 1);
    free_batch(&batch);
}

static void a_reader_that_never_reads_is_dropped(void **state)
{
    (void)state;
    struct batch batch = make_batch(400);
    struct raw_client c = client_open("/slow");
    fill(server->last, &batch);
    clock_manual_advance_ns(&server->clock, 31 * NS_PER_S);
    PUMP_UNTIL(&server->loop, server->last->waiting_since_ns != 0);
    clock_manual_advance_ns(&server->clock, 11 * NS_PER_S);
    PUMP_UNTIL(&server->loop, server->closes == 1);
    raw_close(&c);
    free_batch(&batch);
}

/* The newest is answered when it reads again, and what is kept meanwhile is bounded. */
static void pings_of_a_reader_that_never_reads(void **state)
{
    (void)state;
    static unsigned char pings[9 * 1500];
    size_t len = 0;
    struct raw_client c = client_open("/slow");
    struct raw_got got;
    while (len < sizeof pings)
        len += raw_frame(pings + len, 0x89, "old", 3, true);
    for (unsigned round = 0; server->last->control == NULL; round++) {
        assert_true(round < 5000);
        raw_send(&c, pings, sizeof pings);
        PUMP_UNTIL(&server->loop, unread(server->last->fd) == 0);
    }
    raw_send_frame(&c, 0x89, "newest", 6);
    for (bool newest = false; !newest; raw_consume(&c, got.total)) {
        assert_true(raw_get_frame(&c, &got));
        assert_int_equal(got.first, 0x8a);
        newest = got.total == 8;
    }
    assert_null(server->last->control);
    raw_close(&c);
}

static void a_reset_while_much_is_written(void **state)
{
    (void)state;
    struct batch batch = make_batch(400);
    struct raw_client c = client_open("/slow");
    struct ws_conn *conn = server->last;
    fill(conn, &batch);
    raw_reset(&c);
    PUMP_UNTIL(&server->loop, server->closes == 1);
    /* and one that is noticed by the write itself */
    c = client_open("/slow");
    conn = server->last;
    raw_reset(&c);
    enum err_e err = ERR_OK;
    for (size_t at = 0; err == ERR_OK; at = 0)
        err = write_some(conn, &batch, &at, false);
    assert_int_equal(err, ERR_CLOSED);
    PUMP_UNTIL(&server->loop, server->closes == 2);
    free_batch(&batch);
}

/* --- many ------------------------------------------------------------------------------------------------------------ */

static void two_hundred_at_once(void **state)
{
    (void)state;
    struct raw_client c[200];
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i] = raw_connect(&server->loop, server->port);
        raw_send_upgrade(&c[i], "/echo");
    }
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        raw_expect_101(&c[i]);
    assert_int_equal(ws_count(server->ws), ARRAY_LEN(c));
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        raw_send_frame(&c[i], 0x81, &i, sizeof i > 1 ? 1 : 0);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        if (i < 128)
            raw_expect_frame(&c[i], 0x81, &i, 1);
        else
            raw_expect_close(&c[i], 1007); /* one byte ≥ 0x80 is no UTF-8 */
    }
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        raw_close(&c[i]);
    PUMP_UNTIL(&server->loop, ws_count(server->ws) == 0);
}

/* More clients than there are blocks to read ahead into, each with messages of all sizes in flight. */
static void many_send_much_at_once(void **state)
{
    (void)state;
    enum { CLIENTS = 12, MESSAGES = 12 };
    static char text[MAX_MESSAGE];
    struct raw_client c[CLIENTS];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 23);
    for (size_t i = 0; i < CLIENTS; i++)
        c[i] = client_open("/echo");
    for (size_t m = 0; m < MESSAGES; m++)
        for (size_t i = 0; i < CLIENTS; i++)
            raw_send_frame(&c[i], 0x81, text + i, (m * 2011 + i * 577) % 20000);
    for (size_t i = 0; i < CLIENTS; i++)
        for (size_t m = 0; m < MESSAGES; m++)
            raw_expect_frame(&c[i], 0x81, text + i, (m * 2011 + i * 577) % 20000);
    for (size_t i = 0; i < CLIENTS; i++)
        raw_close(&c[i]);
    PUMP_UNTIL(&server->loop, ws_count(server->ws) == 0);
}

/* The connection ends while much of what it sent was read and not yet looked at. */
static void ending_while_read_ahead(void **state)
{
    (void)state;
    unsigned char all[16000];
    size_t len = 0;
    while (len + 30 < sizeof all)
        len += raw_frame(all + len, 0x81, "a message", 9, true);
    struct raw_client c = client_open("/close-in-message");
    raw_send(&c, all, len);
    raw_expect_close(&c, 1001);
    assert_int_equal(server->messages, 1);
    raw_close(&c);
    PUMP_UNTIL(&server->loop, server->closes == 1);
    c = client_open("/sink");
    raw_send(&c, all, len);
    raw_reset(&c);
    PUMP_UNTIL(&server->loop, server->closes == 2);
}

/* A stream of frames, cut at random: what the parser gives is what was put in, up to the breach at its end. */
static void frames_in_random_pieces(void **state)
{
    (void)state;
    static unsigned char stream[400000], room[3000], zeros[70000];
    static const size_t lengths[] = {0, 1, 125, 126, 127, 300, 65535, 65536, 70000};
    uint64_t random = 88172645463325252ULL;
    for (unsigned round = 0; round < 60; round++) {
        struct ws_parser parser = {0};
        size_t len = 0, sent = 0, got = 0;
        unsigned begun = 0, ended = 0;
        for (unsigned frame = 0; frame < 4; frame++) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            size_t payload = lengths[(random >> 40) % ARRAY_LEN(lengths)];
            len += raw_frame(stream + len, 0x82, zeros, payload, true);
            sent += payload;
        }
        size_t breach = len + 1; /* the second byte of a frame without mask */
        len += raw_frame(stream + len, 0x81, "x", 1, false);
        enum ws_parse_e result = WS_PARSE_MORE;
        for (size_t at = 0; result != WS_PARSE_BREACH;) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            size_t step = 1 + (random >> 33) % sizeof room, left;
            step = step < len - at ? step : len - at;
            memcpy(room, stream + at, step);
            unsigned char *data = room;
            struct ws_piece piece;
            left = step;
            while ((result = ws_parse_next(&parser, &data, &left, &piece)) == WS_PARSE_PIECE) {
                assert_memory_equal(piece.data, zeros, piece.len);
                got += piece.len;
                begun += piece.begins;
                ended += piece.ends;
            }
            assert_int_equal(result == WS_PARSE_BREACH, at + step > breach);
            at += step;
        }
        assert_int_equal(got, sent);
        assert_int_equal(begun, 4);
        assert_int_equal(ended, 4);
    }
}

static void serials_are_never_reused(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        struct raw_client c = client_open("/echo");
        assert_true(ws_serial(server->last) > last);
        last = ws_serial(server->last);
        raw_close(&c);
        PUMP_UNTIL(&server->loop, server->last == NULL);
    }
    assert_true(server->ws->chunk_count <= 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
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
        T(closing_from_every_callback),
        T(a_peer_that_does_not_answer_a_close),
        T(close_all),
        T(free_drops_what_is_left),
        T(pings_and_their_limit),
        T(client_pings_are_answered),
        T(every_ping_of_a_burst_is_answered),
        T(who_sends_too_much_is_not_read_for_a_while),
        T(a_pause_counts_as_an_answer),
        T(pings_of_a_reader_that_never_reads),
        T(a_slow_reader_gets_every_frame_whole),
        T(a_slow_reader_of_pieces_too),
        T(a_close_behind_a_remainder),
        T(closing_in_writable),
        T(a_reader_that_never_reads_is_dropped),
        T(a_reset_while_much_is_written),
        T(two_hundred_at_once),
        T(many_send_much_at_once),
        T(ending_while_read_ahead),
        cmocka_unit_test(frames_in_random_pieces),
        T(serials_are_never_reused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
