/* wsclient.c — see wsclient.h. */
#include "wsclient.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

static uint64_t now_ns(void)
{
    return clock_mono_ns(clock_system());
}

/* Reads more bytes behind those that are there. */
static enum err_e fill(struct wsclient *client, uint64_t deadline_ns)
{
    if (client->at > 0) {
        memmove(client->buffer, client->buffer + client->at, client->end - client->at);
        client->end -= client->at;
        client->at = 0;
    }
    if (client->end == client->cap)
        return ERR_TOO_LARGE;
    uint64_t now = now_ns();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    struct pollfd fd = {.fd = client->fd, .events = POLLIN};
    if (poll(&fd, 1, (int)((left + NS_PER_MS - 1) / NS_PER_MS)) != 1)
        return ERR_TIMEOUT;
    ssize_t n = recv(client->fd, client->buffer + client->end, client->cap - client->end, 0);
    if (n <= 0)
        return ERR_CLOSED;
    client->received_ns = now_ns();
    client->end += (size_t)n;
    return ERR_OK;
}

static enum err_e handshake(struct wsclient *client, uint16_t port, const char *path)
{
    char request[512];
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                     path, port);
    if (send(client->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
        return ERR_CLOSED;
    uint64_t deadline = now_ns() + 5 * NS_PER_S;
    const unsigned char *head_end;
    while ((head_end = memmem(client->buffer, client->end, "\r\n\r\n", 4)) == NULL) {
        enum err_e err = fill(client, deadline);
        if (err != ERR_OK)
            return err;
    }
    client->at = (size_t)(head_end - client->buffer) + 4;
    return memcmp(client->buffer, "HTTP/1.1 101", 12) == 0 ? ERR_OK : ERR_MISMATCH;
}

enum err_e wsclient_open(struct wsclient *client, uint16_t port)
{
    return wsclient_open_path(client, port, "/");
}

enum err_e wsclient_open_path(struct wsclient *client, uint16_t port, const char *path)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *client =
        (struct wsclient){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .cap = FRAME_LIMIT + 65536};
    client->buffer = malloc(client->cap);
    int on = 1;
    enum err_e err = client->buffer == NULL ? ERR_MEMORY : ERR_OK;
    if (err == ERR_OK &&
        (client->fd < 0 || connect(client->fd, (const struct sockaddr *)&to, sizeof to) != 0 ||
         setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0))
        err = ERR_SYSTEM;
    if (err == ERR_OK)
        err = handshake(client, port, path);
    if (err != ERR_OK)
        wsclient_close(client);
    return err;
}

void wsclient_close(struct wsclient *client)
{
    if (client->fd >= 0)
        close(client->fd);
    free(client->buffer);
    *client = (struct wsclient){.fd = -1};
}

int wsclient_take_fd(struct wsclient *client)
{
    int fd = client->fd;
    client->fd = -1;
    wsclient_close(client);
    return fd;
}

static enum err_e send_frame(struct wsclient *client, uint8_t opcode, const void *payload, size_t len)
{
    unsigned char frame[FRAME_CLIENT_HEAD + 4096];
    size_t n = frame_client(frame, sizeof frame, opcode, payload, len, 0x1f2e3d4cu);
    if (n == 0)
        return ERR_TOO_LARGE;
    return send(client->fd, frame, n, MSG_NOSIGNAL) == (ssize_t)n ? ERR_OK : ERR_CLOSED;
}

enum err_e wsclient_send(struct wsclient *client, const char *text)
{
    return send_frame(client, 1, text, strlen(text));
}

enum err_e wsclient_recv(struct wsclient *client, char *text, size_t cap, uint32_t timeout_ms)
{
    uint64_t deadline = now_ns() + timeout_ms * NS_PER_MS;
    for (;;) {
        struct frame frame;
        enum frame_step_e step = frame_next(client->buffer + client->at, client->end - client->at, &frame);
        if (step == FRAME_BAD)
            return ERR_MALFORMED;
        if (step == FRAME_PART) {
            enum err_e err = fill(client, deadline);
            if (err != ERR_OK)
                return err;
            continue;
        }
        client->at += frame.total;
        if (frame.opcode == 8)
            return ERR_CLOSED;
        if (frame.opcode == 9)
            send_frame(client, 10, frame.payload, frame.len);
        if (frame.opcode != 1)
            continue;
        size_t len = frame.len < cap ? frame.len : cap - 1;
        memcpy(text, frame.payload, len);
        text[len] = '\0';
        return ERR_OK;
    }
}

enum err_e wsclient_expect(struct wsclient *client, const char *word, char *text, size_t cap,
                           uint32_t timeout_ms)
{
    uint64_t deadline = now_ns() + timeout_ms * NS_PER_MS;
    for (uint64_t now; (now = now_ns()) < deadline;) {
        enum err_e err = wsclient_recv(client, text, cap, (uint32_t)((deadline - now) / NS_PER_MS + 1));
        if (err != ERR_OK || strstr(text, word) != NULL)
            return err;
    }
    return ERR_TIMEOUT;
}
