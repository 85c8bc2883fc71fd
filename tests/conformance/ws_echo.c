/* ws_echo — what the suite of tests/conformance talks to: the worker's own gate and ws modules on a libuv loop, and nothing
 * else behind them.
 *
 *     ws_echo [MAX_MESSAGE_BYTES [MAX_MESSAGES_PER_S]]
 *
 * Prints "PORT n" and serves 127.0.0.1:n until its standard input ends; then closes all with 1001, prints one line of
 * counters, and ends with 0. Every message is sent back, except by path: at /close a message "CODE REASON" makes the
 * server begin the close handshake. What a client does not take waits here, at most 4 MiB of it, then it gets 1013.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "gate.h"
#include "must.h"
#include "ws.h"
#include "ws_frame.h"

#define WAITING_MAX (4u << 20)

struct echo {
    uv_loop_t loop;
    uv_poll_t input;
    struct gate *gate;
    struct ws *ws;
    int listen_fd;
    bool ending;
};

struct user {
    bool closes;
    unsigned char *waiting; /* whole frames that the socket did not take */
    size_t at, len;
};

static void keep(struct ws_conn *conn, const unsigned char *frame, size_t len)
{
    struct user *user = ws_user(conn);
    size_t have = user->len - user->at;
    if (have + len > WAITING_MAX) {
        ws_close(conn, WS_CLOSE_TRY_LATER, "take what you get");
        return;
    }
    unsigned char *all = malloc(have + len);
    MUST(all != NULL);
    if (have > 0)
        memcpy(all, user->waiting + user->at, have);
    memcpy(all + have, frame, len);
    free(user->waiting);
    user->waiting = all;
    user->at = 0;
    user->len = have + len;
}

static void on_writable(void *arg, struct ws_conn *conn)
{
    struct user *user = ws_user(conn);
    size_t taken = 0;
    (void)arg;
    if (user->at == user->len ||
        ws_write(conn, user->waiting + user->at, user->len - user->at, &taken) != ERR_OK)
        return;
    user->at += taken;
}

static void send_back(struct ws_conn *conn, const char *data, size_t len, bool binary)
{
    const struct user *user = ws_user(conn);
    unsigned char *room = malloc(len + WS_HEADER_MAX);
    size_t taken = 0;
    MUST(room != NULL);
    if (len > 0)
        memcpy(room + WS_HEADER_MAX, data, len);
    unsigned char *frame = ws_frame_prepend(room + WS_HEADER_MAX, len, binary ? WS_BINARY : WS_TEXT);
    size_t total = (size_t)(room + WS_HEADER_MAX + len - frame);
    if (user->at < user->len || (ws_write(conn, frame, total, &taken) == ERR_OK && taken < total))
        keep(conn, frame + taken, total - taken);
    free(room);
}

static bool on_open(void *arg, struct ws_conn *conn, const struct gate_request *request, unsigned listener)
{
    (void)arg;
    (void)listener;
    ((struct user *)ws_user(conn))->closes = strcmp(request->path, "/close") == 0;
    return true;
}

static void close_as_told(struct ws_conn *conn, const char *data, size_t len)
{
    char text[256] = "";
    memcpy(text, data, len < sizeof text ? len : sizeof text - 1);
    char *reason = text;
    unsigned code = (unsigned)strtoul(text, &reason, 10);
    ws_close(conn, (enum ws_close_e)code, reason + (*reason == ' '));
}

static void on_message(void *arg, struct ws_conn *conn, const char *data, size_t len, bool binary)
{
    (void)arg;
    if (((struct user *)ws_user(conn))->closes)
        close_as_told(conn, data, len);
    else
        send_back(conn, data, len, binary);
}

static void on_closed(void *arg, struct ws_conn *conn)
{
    (void)arg;
    free(((struct user *)ws_user(conn))->waiting);
}

static void on_accepted(void *arg, int fd, const struct gate_request *request, unsigned listener)
{
    ws_adopt(((struct echo *)arg)->ws, fd, request, listener);
}

static void on_input(uv_poll_t *poll, int status, int events)
{
    struct echo *echo = poll->data;
    char byte;
    (void)events;
    if (status == 0 && read(STDIN_FILENO, &byte, 1) > 0)
        return;
    uv_poll_stop(poll);
    echo->ending = true;
    gate_pause(echo->gate, true);
    ws_close_all(echo->ws, WS_CLOSE_GOING_AWAY, "the suite has ended");
}

static uint16_t listen_any(int *listen_fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    *listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(*listen_fd >= 0 && bind(*listen_fd, (void *)&address, len) == 0 && listen(*listen_fd, 4096) == 0);
    MUST(getsockname(*listen_fd, (void *)&address, &len) == 0);
    return ntohs(address.sin_port);
}

static void start(struct echo *echo, uint32_t max_message_bytes, uint32_t max_messages_per_s)
{
    static const struct ws_events events = {on_open, on_message, on_writable, on_closed, NULL};
    struct ws_config config = {.loop = &echo->loop,
                               .user_bytes = sizeof(struct user),
                               .max_message_bytes = max_message_bytes,
                               .max_messages_per_s = max_messages_per_s,
                               .events = &events,
                               .arg = echo};
    struct gate_listener listener = {.fd = echo->listen_fd};
    struct gate_config gate = {.loop = &echo->loop,
                               .clock = clock_system(),
                               .listeners = &listener,
                               .listener_count = 1,
                               .send_buffer_bytes = 65536,
                               .accepted = on_accepted,
                               .arg = echo};
    MUST(uv_loop_init(&echo->loop) == 0);
    MUST(ws_new(&config, &echo->ws) == ERR_OK && gate_new(&gate, &echo->gate) == ERR_OK);
    MUST(uv_poll_init(&echo->loop, &echo->input, STDIN_FILENO) == 0);
    echo->input.data = echo;
    uv_poll_start(&echo->input, UV_READABLE, on_input);
}

static void print_counts(const struct ws_counts *counts)
{
    printf("opened=%llu closed=%llu messages=%llu protocol_errors=%llu too_large=%llu bad_utf8=%llu "
           "throttled=%llu "
           "adopt_errors=%llu\n",
           (unsigned long long)counts->opened, (unsigned long long)counts->closed,
           (unsigned long long)counts->messages, (unsigned long long)counts->protocol_errors,
           (unsigned long long)counts->too_large, (unsigned long long)counts->bad_utf8,
           (unsigned long long)counts->throttled, (unsigned long long)counts->adopt_errors);
}

int main(int argc, char **argv)
{
    struct echo echo = {0};
    uint32_t max = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 65536;
    uint32_t rate = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    printf("PORT %u\n", listen_any(&echo.listen_fd));
    fflush(stdout);
    start(&echo, max, rate);
    while (!echo.ending || ws_count(echo.ws) > 0)
        uv_run(&echo.loop, UV_RUN_ONCE);
    print_counts(ws_counts(echo.ws));
    uv_close((uv_handle_t *)&echo.input, NULL);
    gate_free(&echo.gate);
    ws_free(&echo.ws);
    uv_run(&echo.loop, UV_RUN_NOWAIT);
    MUST(uv_loop_close(&echo.loop) == 0);
    close(echo.listen_fd);
    return 0;
}
