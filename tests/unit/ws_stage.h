/* ws_stage.h — gate and ws together for tests: real sockets, a real libuv loop, raw clients in the same thread. The
 * server's behaviour is chosen by the path that a client asks for. */
#pragma once

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
    char kept[64];                       /* what /keep has not been answered yet */
    unsigned settles;                    /* of /keep */
};

static struct server *server;

static inline void write_text(struct ws_conn *conn, const char *data, size_t len, enum ws_opcode_e opcode)
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

static inline bool on_open(void *arg, struct ws_conn *conn, const struct gate_request *request,
                           unsigned listener)
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

static inline void on_message(void *arg, struct ws_conn *conn, const char *data, size_t len, bool binary)
{
    const struct user *user = ws_user(conn);
    (void)arg;
    assert_true(user->magic == 0x1234567890abcdefULL);
    server->messages++;
    server->last_len = len;
    server->last_binary = binary;
    if (strcmp(user->path, "/echo") == 0)
        write_text(conn, data, len, binary ? WS_BINARY : WS_TEXT);
    if (strcmp(user->path, "/keep") == 0)
        snprintf(server->kept + strlen(server->kept), 32, "%.*s", (int)len, data);
    if (strcmp(user->path, "/hold") == 0)
        ws_hold(conn);
    if (strcmp(user->path, "/dear") == 0)
        ws_charge(conn, 999);
    if (strcmp(user->path, "/close-in-message") == 0)
        ws_close(conn, WS_CLOSE_GOING_AWAY, "bye");
}

static inline void on_writable(void *arg, struct ws_conn *conn)
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

/* What was kept goes as one message. */
static inline void on_settle(void *arg, struct ws_conn *conn)
{
    const struct user *user = ws_user(conn);
    (void)arg;
    if (strcmp(user->path, "/keep") != 0)
        return;
    server->settles++;
    if (server->kept[0] != '\0')
        write_text(conn, server->kept, strlen(server->kept), WS_TEXT);
    server->kept[0] = '\0';
}

static inline void on_closed(void *arg, struct ws_conn *conn)
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

static inline void on_accepted(void *arg, int fd, const struct gate_request *request, unsigned listener)
{
    struct server *s = arg;
    ws_adopt(s->ws, fd, request, listener);
}

static inline bool path_known(void *arg, unsigned listener, const char *path)
{
    (void)arg;
    (void)listener;
    return strcmp(path, "/unknown") != 0;
}

static inline int setup(void **state)
{
    static const struct ws_events events = {on_open, on_message, on_writable, on_closed, on_settle};
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

static inline int teardown(void **state)
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

static inline int unread(int fd)
{
    int bytes = 0;
    ioctl(fd, FIONREAD, &bytes);
    return bytes;
}

static inline struct raw_client client_open(const char *path)
{
    return raw_open(&server->loop, server->port, path);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
