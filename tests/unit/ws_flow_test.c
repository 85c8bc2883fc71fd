/* ws: sockets that do not take everything, and many connections at once. */
#include "ws_stage.h"

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
        struct raw_got frame = {0};
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
    struct raw_got got = {0};
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
    struct raw_got got = {0};
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
    const struct CMUnitTest tests[] = {
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
    return cmocka_run_group_tests_name("ws_flow", tests, NULL, NULL);
}
