/* wsclient.h — one blocking WebSocket client with deadlines, for scenarios that ask and wait (round trips). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "frame_counter.h"

#define WSCLIENT_TEXT_MAX 65536u

struct wsclient {
    int fd;
    unsigned char *buffer; /* bytes not yet looked at: [at, end) */
    size_t at, end, cap;
    uint64_t received_ns; /* CLOCK_MONOTONIC when the bytes of the last text were read */
};

enum err_e wsclient_open(struct wsclient *client, uint16_t port);
enum err_e wsclient_open_path(struct wsclient *client, uint16_t port, const char *path);
/* The socket, for who goes on with it alone; the client is closed. Right after opening, of a server that does not speak first. */
int wsclient_take_fd(struct wsclient *client);
void wsclient_close(struct wsclient *client);
enum err_e wsclient_send(struct wsclient *client, const char *text);

/* The next text frame, NUL-terminated (cut at `cap`); pings are answered meanwhile. ERR_TIMEOUT, ERR_CLOSED,
 * ERR_MALFORMED. */
enum err_e wsclient_recv(struct wsclient *client, char *text, size_t cap, uint32_t timeout_ms);
/* Reads on until a text contains `word`; other texts are dropped. */
enum err_e wsclient_expect(struct wsclient *client, const char *word, char *text, size_t cap,
                           uint32_t timeout_ms);
