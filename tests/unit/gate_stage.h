/* gate_stage.h — a gate with two listeners (the second takes plain HTTP) on real sockets and a manual clock, and what it handed on last. */
#pragma once

#include "raw_client.h"

#include "gate.h"
#include "gate_internal.h"
#include "must.h"

#define GOOD(path)                                                                                           \
    "GET " path " HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                      \
    "Sec-WebSocket-Key: " RAW_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n"

struct door {
    uv_loop_t loop;
    struct clock_manual clock;
    struct gate *gate;
    int listen_fd[2];
    uint16_t port[2];
    unsigned accepted, listener;
    char path[64], method[8], behind[64];
    size_t behind_len;
    bool upgrade, no_room, free_in_accepted;
    int fd; /* of the last accepted one */
};

static struct door *door;

static inline bool path_known(void *arg, unsigned listener, const char *path)
{
    (void)arg;
    return strcmp(path, "/nowhere") != 0 && !(listener == 1 && strcmp(path, "/only0") == 0);
}

static inline bool has_room(void *arg, bool upgrade)
{
    (void)upgrade;
    return !((struct door *)arg)->no_room;
}

static inline void accepted(void *arg, int fd, const struct gate_request *request, unsigned listener)
{
    struct door *d = arg;
    d->accepted++;
    d->listener = listener;
    d->upgrade = request->upgrade;
    snprintf(d->path, sizeof d->path, "%s", request->path);
    snprintf(d->method, sizeof d->method, "%s", request->method);
    assert_true(request->behind_len <= sizeof d->behind);
    memcpy(d->behind, request->behind, request->behind_len);
    d->behind_len = request->behind_len;
    if (d->fd >= 0)
        close(d->fd);
    d->fd = fd;
    if (d->free_in_accepted)
        gate_free(&d->gate);
}

static inline void start(struct door *d, uint32_t max_half_open, uint32_t max_per_address)
{
    struct gate_listener listeners[] = {{.fd = d->listen_fd[0]}, {.fd = d->listen_fd[1], .plain_http = true}};
    struct gate_config config = {.loop = &d->loop,
                                 .clock = &d->clock.clock,
                                 .listeners = listeners,
                                 .listener_count = 2,
                                 .handshake_timeout_ms = 5000,
                                 .max_half_open = max_half_open,
                                 .max_per_address = max_per_address,
                                 .send_buffer_bytes = 65536,
                                 .max_body_bytes = 10,
                                 .path_known = path_known,
                                 .has_room = has_room,
                                 .accepted = accepted,
                                 .arg = d};
    assert_int_equal(gate_new(&config, &d->gate), ERR_OK);
}

static inline int setup(void **state)
{
    struct door *d = calloc(1, sizeof *d);
    assert_non_null(d);
    *state = door = d;
    d->fd = -1;
    clock_manual_init(&d->clock, 1000 * NS_PER_S, 0);
    assert_int_equal(uv_loop_init(&d->loop), 0);
    for (int i = 0; i < 2; i++)
        d->listen_fd[i] = raw_listen(&d->port[i]);
    return 0;
}

static inline int teardown(void **state)
{
    struct door *d = *state;
    if (d->gate != NULL)
        assert_int_equal(gate_counts(d->gate)->half_open, d->gate->wheel.count);
    gate_free(&d->gate);
    while (uv_run(&d->loop, UV_RUN_NOWAIT) != 0)
        ;
    assert_int_equal(uv_loop_close(&d->loop), 0);
    if (d->fd >= 0)
        close(d->fd);
    for (int i = 0; i < 2; i++)
        close(d->listen_fd[i]);
    free(d);
    return 0;
}

static inline struct raw_client arrive(int listener)
{
    return raw_connect(&door->loop, door->port[listener]);
}

static inline const struct gate_counts *counts(void)
{
    return gate_counts(door->gate);
}
