/* Fuzzes the whole ws module with what a client may send after its head: a socket pair, libuv, libwebsockets, everything. The
 * module lives over all inputs, a connection for one. First byte: how the stream is cut into writes; second: how much of
 * it comes with the head.
 *
 * Every stream is sent twice, cut differently, and what the server says must be the same to the byte: it echoes, so that is
 * also what it understood. Checked beside memory and leaks: server frames are well formed, messages keep their limits,
 * text is UTF-8, nothing follows a Close, every connection ends, and no memory is held for it afterwards. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "clock.h"
#include "gate_head.h"
#include "must.h"
#include "ws.h"
#include "ws_frame.h"
#include "ws_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_MESSAGE = 1024, BUDGET = 8192, INPUT_MAX = 4096, OUTPUT_MAX = 1 << 16 };

static struct {
    uv_loop_t loop;
    struct clock_manual clock;
    struct ws *ws;
    unsigned opens, closes;
} host;

struct heard {
    size_t len;
    bool ended;
    unsigned char bytes[OUTPUT_MAX];
};

static bool on_open(void *arg, struct ws_conn *conn, const struct gate_request *request, unsigned listener)
{
    (void)arg;
    (void)conn;
    (void)request;
    (void)listener;
    host.opens++;
    return true;
}

static void on_message(void *arg, struct ws_conn *conn, const char *data, size_t len, bool binary)
{
    unsigned char room[WS_HEADER_MAX + MAX_MESSAGE];
    size_t taken;
    (void)arg;
    MUST(len <= MAX_MESSAGE && (binary || utf8_is_valid(data, len)));
    if (len == 5 && memcmp(data, "close", 5) == 0) {
        ws_close(conn, WS_CLOSE_GOING_AWAY, "as you wish");
        return;
    }
    if (len > 0)
        memcpy(room + WS_HEADER_MAX, data, len);
    unsigned char *frame = ws_frame_prepend(room + WS_HEADER_MAX, len, binary ? WS_BINARY : WS_TEXT);
    (void)ws_write(conn, frame, (size_t)(room + WS_HEADER_MAX + len - frame), &taken);
}

static void on_writable(void *arg, struct ws_conn *conn)
{
    (void)arg;
    (void)conn;
}

static void on_closed(void *arg, struct ws_conn *conn)
{
    (void)arg;
    (void)conn;
    host.closes++;
}

static void stop(void)
{
    ws_free(&host.ws);
    MUST(uv_loop_close(&host.loop) == 0);
}

static void start_once(void)
{
    static const struct ws_events events = {on_open, on_message, on_writable, on_closed, NULL};
    if (host.ws != NULL)
        return;
    clock_manual_init(&host.clock, 1000 * NS_PER_S, 0);
    struct ws_config config = {.loop = &host.loop,
                               .clock = &host.clock.clock,
                               .max_message_bytes = MAX_MESSAGE,
                               .message_budget_bytes = BUDGET,
                               .events = &events};
    MUST(uv_loop_init(&host.loop) == 0 && ws_new(&config, &host.ws) == ERR_OK);
    atexit(stop);
}

/* --- the client's side ----------------------------------------------------------------------------------------------- */

static void listen_to(int fd, struct heard *heard)
{
    ssize_t got;
    while ((got = recvfrom(fd, heard->bytes + heard->len, sizeof heard->bytes - heard->len, MSG_DONTWAIT,
                           NULL, NULL)) > 0) {
        heard->len += (size_t)got;
        MUST(heard->len < sizeof heard->bytes);
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
        heard->ended = true;
}

static void turn(int fd, struct heard *heard)
{
    uv_run(&host.loop, UV_RUN_NOWAIT);
    listen_to(fd, heard);
}

static void say(int fd, const uint8_t *data, size_t len, struct heard *heard)
{
    while (len > 0 && !heard->ended) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN)
            return;
        if (sent > 0) {
            data += sent;
            len -= (size_t)sent;
        }
        turn(fd, heard);
    }
}

/* Until the module has let go of the connection. */
static void finish(int fd, struct heard *heard)
{
    shutdown(fd, SHUT_WR);
    for (unsigned n = 0; host.closes < host.opens; n++) {
        MUST(n < 1000);
        if (n % 10 == 9)
            clock_manual_advance_ns(&host.clock, NS_PER_S);
        turn(fd, heard);
    }
    turn(fd, heard);
    close(fd);
    for (unsigned n = 0; n < 4; n++)
        uv_run(&host.loop, UV_RUN_NOWAIT); /* libuv closes its handles */
    MUST(ws_count(host.ws) == 0 && host.ws->join_bytes == 0);
}

static void converse(const uint8_t *data, size_t size, size_t behind, size_t step, struct heard *heard)
{
    int fds[2];
    memset(heard, 0, sizeof *heard);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    struct gate_request request = {.key = "dGhlIHNhbXBsZSBub25jZQ==",
                                   .upgrade = true,
                                   .behind = (const char *)data,
                                   .behind_len = behind};
    MUST(ws_adopt(host.ws, fds[0], &request, 0) == ERR_OK);
    listen_to(fds[1], heard);
    for (size_t at = behind; at < size; at += step)
        say(fds[1], data + at, step < size - at ? step : size - at, heard);
    finish(fds[1], heard);
}

/* --- what it said ---------------------------------------------------------------------------------------------------- */

static size_t check_frame(const unsigned char *frame, size_t left)
{
    size_t total = ws_frame_total_len(frame, left);
    MUST(total > 0 && total <= left); /* whole */
    MUST((frame[0] & 0xf0) == 0x80 && (frame[1] & 0x80) == 0);
    MUST((frame[0] & 8) == 0 || frame[1] <= 125);
    MUST((frame[0] & 15) != WS_CLOSE || total == left); /* the last word */
    return total;
}

static void check_output(const struct heard *heard)
{
    static const char end_of_head[] = "\r\n\r\n";
    const unsigned char *at = memmem(heard->bytes, heard->len, end_of_head, 4);
    MUST(heard->len > 12 && memcmp(heard->bytes, "HTTP/1.1 101", 12) == 0 && at != NULL);
    size_t left = (size_t)(heard->bytes + heard->len - (at += 4));
    for (size_t step; left > 0; at += step, left -= step)
        step = check_frame(at, left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 2, 3, 7, 16, 100, 1000, INPUT_MAX};
    static struct heard whole, pieces;
    if (size < 2 || size > INPUT_MAX)
        return 0;
    start_once();
    size_t behind = data[1] < size - 2 ? data[1] : size - 2;
    converse(data + 2, size - 2, 0, INPUT_MAX, &whole);
    converse(data + 2, size - 2, behind, steps[data[0] & 7], &pieces);
    check_output(&whole);
    check_output(&pieces);
    MUST(whole.len == pieces.len && memcmp(whole.bytes, pieces.bytes, whole.len) == 0);
    return 0;
}
