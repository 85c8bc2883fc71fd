/* raw_client.h — for the tests of gate and ws: blocking-free TCP clients that speak WebSocket byte by byte, and a loop
 * that is turned until a condition holds. Everything is in one thread: `pump` turns the server, with a deadline; no
 * test sleeps.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "clock.h"

#define RAW_DEADLINE_NS (20 * NS_PER_S)
#define RAW_KEY         "dGhlIHNhbXBsZSBub25jZQ=="
#define RAW_ACCEPT      "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static inline int raw_listen(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (void *)&address, len), 0);
    assert_int_equal(listen(fd, 4096), 0);
    assert_int_equal(getsockname(fd, (void *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* One turn of the loop; waits a little for the loop or for `fd` (−1: none). */
static inline void raw_turn(uv_loop_t *loop, int fd)
{
    struct pollfd polled[2] = {{.fd = uv_backend_fd(loop), .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    int timeout = uv_backend_timeout(loop);
    poll(polled, 2, timeout < 0 || timeout > 10 ? 10 : timeout);
    uv_run(loop, UV_RUN_NOWAIT);
}

/* Turns the loop until `condition` holds. */
#define PUMP_UNTIL(loop, condition)                                                                          \
    do {                                                                                                     \
        uint64_t pump_end = clock_mono_ns(clock_system()) + RAW_DEADLINE_NS;                                 \
        while (!(condition)) {                                                                               \
            if (clock_mono_ns(clock_system()) > pump_end)                                                    \
                fail_msg("deadline passed waiting for: %s", #condition);                                     \
            raw_turn(loop, -1);                                                                              \
        }                                                                                                    \
    } while (0)

struct raw_client {
    uv_loop_t *loop;
    int fd;
    unsigned char *in; /* what was received and not consumed */
    size_t len, cap;
    bool ended; /* the server has shut its side or reset */
    bool reset;
};

static inline struct raw_client raw_connect(uv_loop_t *loop, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    struct raw_client client = {.loop = loop, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(client.fd >= 0);
    assert_int_equal(connect(client.fd, (void *)&address, sizeof address), 0);
    assert_int_equal(fcntl(client.fd, F_SETFL, O_NONBLOCK), 0);
    int on = 1;
    setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return client;
}

static inline void raw_close(struct raw_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    free(client->in);
    client->fd = -1;
    client->in = NULL;
    client->len = client->cap = 0;
}

static inline void raw_reset(struct raw_client *client)
{
    struct linger linger = {.l_onoff = 1};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    raw_close(client);
}

static inline void raw_send(struct raw_client *client, const void *data, size_t len)
{
    const char *at = data;
    uint64_t end = clock_mono_ns(clock_system()) + RAW_DEADLINE_NS;
    while (len > 0) {
        ssize_t sent = send(client->fd, at, len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return; /* the server has closed; the test reads what it said */
        if (sent > 0) {
            at += sent;
            len -= (size_t)sent;
        } else {
            assert_true(clock_mono_ns(clock_system()) < end);
            raw_turn(client->loop, -1);
        }
    }
}

static inline void raw_send_text(struct raw_client *client, const char *text)
{
    raw_send(client, text, strlen(text));
}

/* Takes what has arrived, without turning the loop. */
static inline void raw_take(struct raw_client *client)
{
    for (;;) {
        if (client->cap - client->len < 65536) {
            client->cap = client->cap * 2 + 65536;
            client->in = realloc(client->in, client->cap);
            assert_non_null(client->in);
        }
        ssize_t got = recv(client->fd, client->in + client->len, client->cap - client->len - 1, MSG_DONTWAIT);
        if (got > 0) {
            client->len += (size_t)got;
            client->in[client->len] = 0;
            continue;
        }
        if (got == 0 || errno == ECONNRESET)
            client->ended = true;
        if (got < 0 && errno == ECONNRESET)
            client->reset = true;
        return;
    }
}

/* Until `len` bytes are there or the server has ended. */
static inline bool raw_need(struct raw_client *client, size_t len)
{
    uint64_t end = clock_mono_ns(clock_system()) + RAW_DEADLINE_NS;
    for (raw_take(client); client->len < len && !client->ended; raw_take(client)) {
        assert_true(clock_mono_ns(clock_system()) < end);
        raw_turn(client->loop, client->fd);
    }
    return client->len >= len;
}

static inline void raw_until_end(struct raw_client *client)
{
    raw_need(client, SIZE_MAX);
}

static inline void raw_consume(struct raw_client *client, size_t len)
{
    assert_true(len <= client->len);
    memmove(client->in, client->in + len, client->len - len);
    client->len -= len;
}

/* The length of an HTTP head at the front, once it is there. */
static inline size_t raw_need_head(struct raw_client *client)
{
    for (size_t want = 1;; want = client->len + 1) {
        bool more = raw_need(client, want);
        char *end = client->len ? strstr((char *)client->in, "\r\n\r\n") : NULL;
        if (end != NULL)
            return (size_t)(end + 4 - (char *)client->in);
        assert_true(more);
    }
}

static inline unsigned raw_status(const struct raw_client *client)
{
    unsigned status = 0;
    if (client->len < 12 || sscanf((const char *)client->in, "HTTP/1.1 %u", &status) != 1)
        return 0;
    return status;
}

static inline void raw_send_upgrade(struct raw_client *client, const char *path)
{
    char head[1024];
    snprintf(head, sizeof head,
             "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: " RAW_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n",
             path);
    raw_send_text(client, head);
}

static inline void raw_expect_101(struct raw_client *client)
{
    size_t head = raw_need_head(client);
    assert_int_equal(raw_status(client), 101);
    assert_non_null(strstr((char *)client->in, RAW_ACCEPT));
    raw_consume(client, head);
}

static inline struct raw_client raw_open(uv_loop_t *loop, uint16_t port, const char *path)
{
    struct raw_client client = raw_connect(loop, port);
    raw_send_upgrade(&client, path);
    raw_expect_101(&client);
    return client;
}

/* A client frame into `out` (14 bytes of room beside the payload); first byte as given. */
static inline size_t raw_frame(unsigned char *out, unsigned first, const void *payload, size_t len,
                               bool masked)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t n = 0;
    unsigned bit = masked ? 0x80 : 0;
    out[n++] = (unsigned char)first;
    if (len < 126) {
        out[n++] = (unsigned char)(bit | len);
    } else if (len < 65536) {
        out[n++] = (unsigned char)(bit | 126);
        out[n++] = (unsigned char)(len >> 8);
        out[n++] = (unsigned char)len;
    } else {
        out[n++] = (unsigned char)(bit | 127);
        for (int i = 7; i >= 0; i--)
            out[n++] = (unsigned char)((uint64_t)len >> (8 * i));
    }
    if (masked) {
        memcpy(out + n, mask, 4);
        n += 4;
    }
    for (size_t i = 0; i < len; i++)
        out[n + i] = (unsigned char)(((const unsigned char *)payload)[i] ^ (masked ? mask[i % 4] : 0));
    return n + len;
}

static inline void raw_send_frame(struct raw_client *client, unsigned first, const void *payload, size_t len)
{
    unsigned char *out = malloc(len + 14);
    assert_non_null(out);
    size_t n = raw_frame(out, first, payload, len, true);
    raw_send(client, out, n);
    free(out);
}

/* The next server frame: opcode byte, payload and length; it stays at the front until raw_consume(total). False: the
 * server ended first. */
struct raw_got {
    unsigned first;
    const unsigned char *payload;
    size_t len, total;
};

static inline bool raw_get_frame(struct raw_client *client, struct raw_got *got)
{
    size_t header = 2;
    if (!raw_need(client, 2))
        return false;
    assert_int_equal(client->in[1] & 0x80, 0);
    size_t len = client->in[1];
    if (len >= 126) {
        size_t bytes = len == 126 ? 2 : 8;
        header += bytes;
        if (!raw_need(client, header))
            return false;
        len = 0;
        for (size_t i = 0; i < bytes; i++)
            len = len << 8 | client->in[2 + i];
    }
    if (!raw_need(client, header + len))
        return false;
    *got = (struct raw_got){client->in[0], client->in + header, len, header + len};
    return true;
}

static inline void raw_expect_frame(struct raw_client *client, unsigned first, const void *payload,
                                    size_t len)
{
    struct raw_got got = {0};
    assert_true(raw_get_frame(client, &got));
    assert_int_equal(got.first, first);
    assert_int_equal(got.len, len);
    if (len > 0)
        assert_memory_equal(got.payload, payload, len);
    raw_consume(client, got.total);
}

/* A Close frame with this code (0: none), then the end. */
static inline void raw_expect_close(struct raw_client *client, unsigned code)
{
    struct raw_got got = {0};
    assert_true(raw_get_frame(client, &got));
    assert_int_equal(got.first, 0x88);
    if (code == 0)
        assert_int_equal(got.len, 0);
    else
        assert_int_equal(got.payload[0] << 8 | got.payload[1], code);
    raw_consume(client, got.total);
}
