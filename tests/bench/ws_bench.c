/* ws_bench — what the gate and libwebsockets cost beside a bare epoll server, on this machine, now.
 *
 *     ws_bench handshakes [ROUNDS]      upgrades per CPU-second of the server
 *     ws_bench churn [CONNECTIONS]      the same while so many other connections stand
 *     ws_bench idle [CONNECTIONS]       resident memory of the server per idle connection
 *     ws_bench send [CONNECTIONS]       frames of 150 bytes per CPU-second, in batches of 1, 8 and 32
 *     ws_bench flood                    CPU seconds of the server per CPU second of a client that floods it
 *
 * Server and client are two processes; figures are per CPU-second of the server process, so that a busy machine
 * shifts them little. Noria's stack and the bare server run in turns and medians are compared; the bare server does
 * the least that a correct client accepts: accept4, recv, a constant 101, close; or one send per connection.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "bench_self.h"
#include "clock.h"
#include "gate.h"
#include "must.h"
#include "ws.h"
#include "ws_bench_client.h"
#include "ws_frame.h"

#define FRAME_PAYLOAD 146u /* 150 bytes with its header */
#define ANSWER                                                                                               \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                      \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

static double resident_kib(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    check(file != NULL && fscanf(file, "%ld %ld", &pages, &resident) == 2, "statm");
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static int listen_any(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, size = 65536;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    check(fd >= 0 && bind(fd, (void *)&address, len) == 0 && listen(fd, 4096) == 0, "listen");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    getsockname(fd, (void *)&address, &len);
    *port = ntohs(address.sin_port);
    return fd;
}

/* --- the two servers ------------------------------------------------------------------------------------------------ */

struct noria {
    uv_loop_t loop;
    struct gate *gate;
    struct ws *ws;
    struct ws_conn **conns;
    unsigned count, opened, closed;
};

static bool on_open(void *arg, struct ws_conn *conn, const struct gate_request *request, unsigned listener)
{
    struct noria *noria = arg;
    (void)request;
    (void)listener;
    if (noria->conns != NULL)
        noria->conns[noria->count++] = conn;
    noria->opened++;
    return true;
}

static void on_message(void *arg, struct ws_conn *conn, const char *data, size_t len, bool binary)
{
    (void)arg;
    (void)conn;
    (void)data;
    (void)len;
    (void)binary;
}

static void on_writable(void *arg, struct ws_conn *conn)
{
    (void)arg;
    (void)conn;
}

static void on_closed(void *arg, struct ws_conn *conn)
{
    (void)conn;
    ((struct noria *)arg)->closed++;
}

static void on_accepted(void *arg, int fd, const struct gate_request *request, unsigned listener)
{
    ws_adopt(((struct noria *)arg)->ws, fd, request, listener);
}

static void noria_start(struct noria *noria, int listen_fd)
{
    static const struct ws_events events = {on_open, on_message, on_writable, on_closed, NULL};
    uv_loop_init(&noria->loop);
    struct ws_config config = {.loop = &noria->loop,
                               .user_bytes = 64,
                               .max_message_bytes = 65536,
                               .ping_interval_ms = 30000,
                               .ping_timeout_ms = 10000,
                               .events = &events,
                               .arg = noria};
    check(ws_new(&config, &noria->ws) == ERR_OK, "ws_new");
    struct gate_listener listener = {.fd = listen_fd};
    struct gate_config gate = {.loop = &noria->loop,
                               .clock = clock_system(),
                               .listeners = &listener,
                               .listener_count = 1,
                               .max_half_open = 4096,
                               .max_per_address = 4096,
                               .send_buffer_bytes = 65536,
                               .accepted = on_accepted,
                               .arg = noria};
    check(gate_new(&gate, &noria->gate) == ERR_OK, "gate_new");
}

/* CPU seconds for `total` connections that come and go beside `standing` ones. */
static double noria_handshakes(int listen_fd, unsigned standing, unsigned total)
{
    struct noria noria = {0};
    noria_start(&noria, listen_fd);
    while (noria.opened < standing)
        uv_run(&noria.loop, UV_RUN_ONCE);
    double before = cpu_seconds();
    while (noria.closed < total)
        uv_run(&noria.loop, UV_RUN_ONCE);
    return cpu_seconds() - before;
}

static void bare_event(int epoll_fd, int listen_fd, int fd, unsigned *opened, unsigned *closed)
{
    char head[2048];
    if (fd != listen_fd) {
        close(fd);
        ++*closed;
        return;
    }
    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        while (recv(fd, head, sizeof head, 0) < 0)
            ;
        check(send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) > 0, "send");
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
        ++*opened;
    }
}

static double bare_handshakes(int listen_fd, unsigned standing, unsigned total)
{
    double before = cpu_seconds();
    unsigned opened = 0;
    struct epoll_event events[256], event = {.events = EPOLLIN, .data.fd = listen_fd};
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event);
    for (unsigned closed = 0; closed < total;) {
        int n = epoll_wait(epoll_fd, events, 256, -1);
        bool begun = opened >= standing;
        for (int i = 0; i < n; i++)
            bare_event(epoll_fd, listen_fd, events[i].data.fd, &opened, &closed);
        if (!begun && opened >= standing)
            before = cpu_seconds();
    }
    return cpu_seconds() - before;
}

/* --- running one against a client ------------------------------------------------------------------------------------ */

struct shared {
    int listen_fd, ready[2];
    uint16_t port;
    unsigned count, batch, standing;
    bool bare;
};

/* Runs `server` in a child pinned to CPU 1 and `client` in another on CPU 0; returns what the server printed. */
static double run_pair(struct shared *shared, double (*server)(struct shared *),
                       void (*client)(struct shared *))
{
    int result[2];
    double value = 0;
    shared->listen_fd = listen_any(&shared->port);
    check(pipe(result) == 0 && pipe(shared->ready) == 0, "pipe");
    pid_t server_pid = fork();
    if (server_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(1);
        value = server(shared);
        check(write(result[1], &value, sizeof value) == sizeof value, "result");
        _exit(0);
    }
    pid_t client_pid = fork();
    if (client_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(0);
        close(shared->listen_fd);
        client(shared);
        _exit(0);
    }
    check(read(result[0], &value, sizeof value) == sizeof value, "result");
    waitpid(server_pid, NULL, 0);
    waitpid(client_pid, NULL, 0);
    for (int i = 0; i < 2; i++) {
        close(result[i]);
        close(shared->ready[i]);
    }
    close(shared->listen_fd);
    return value;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#define PAIRS 5

static void compare(struct shared *shared, const char *what, double (*server)(struct shared *),
                    void (*client)(struct shared *))
{
    double noria[PAIRS], bare[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        shared->bare = false;
        noria[i] = run_pair(shared, server, client);
        shared->bare = true;
        bare[i] = run_pair(shared, server, client);
    }
    qsort(noria, PAIRS, sizeof *noria, by_value);
    qsort(bare, PAIRS, sizeof *bare, by_value);
    printf("%-44s noria %10.0f  bare %10.0f  ratio %.2f\n", what, noria[PAIRS / 2], bare[PAIRS / 2],
           noria[PAIRS / 2] / bare[PAIRS / 2]);
    fflush(stdout);
}

/* --- handshakes ------------------------------------------------------------------------------------------------------ */

static double serve_handshakes(struct shared *shared)
{
    unsigned total = shared->count * 64;
    double used = shared->bare ? bare_handshakes(shared->listen_fd, shared->standing, total)
                               : noria_handshakes(shared->listen_fd, shared->standing, total);
    return total / used;
}

static void do_handshakes(struct shared *shared)
{
    free(client_open_many(shared->port, shared->standing));
    client_handshakes(shared->port, shared->count);
}

/* --- idle ------------------------------------------------------------------------------------------------------------ */

static double serve_idle(struct shared *shared)
{
    struct noria noria = {0};
    noria_start(&noria, shared->listen_fd);
    while (noria.opened < 200)
        uv_run(&noria.loop, UV_RUN_ONCE);
    double before = resident_kib();
    unsigned first = noria.opened;
    while (noria.opened < shared->count)
        uv_run(&noria.loop, UV_RUN_ONCE);
    uv_run(&noria.loop, UV_RUN_NOWAIT);
    double kib = (resident_kib() - before) / (shared->count - first);
    ws_free(&noria.ws); /* the clients end */
    return kib;
}

static void do_idle(struct shared *shared)
{
    int *fds = client_open_many(shared->port, shared->count);
    char byte;
    while (recv(fds[0], &byte, 1, 0) > 0)
        ;
}

/* --- sending --------------------------------------------------------------------------------------------------------- */

#define SEND_SECONDS 1.0

static unsigned char *make_frames(unsigned count, size_t *len)
{
    unsigned char *frames = calloc(count, FRAME_PAYLOAD + WS_HEADER_MAX), *at = frames;
    check(frames != NULL, "memory");
    for (unsigned i = 0; i < count; i++) {
        memset(at + 4, 'x', FRAME_PAYLOAD);
        ws_frame_prepend(at + 4, FRAME_PAYLOAD, WS_TEXT);
        at += 4 + FRAME_PAYLOAD;
    }
    *len = (size_t)(at - frames);
    return frames;
}

static double noria_sends(struct shared *shared)
{
    size_t len, taken;
    unsigned char *frames = make_frames(shared->batch, &len);
    struct noria noria = {.conns = calloc(shared->count, sizeof(struct ws_conn *))};
    noria_start(&noria, shared->listen_fd);
    while (noria.opened < shared->count)
        uv_run(&noria.loop, UV_RUN_ONCE);
    char byte;
    check(read(shared->ready[0], &byte, 1) == 1, "ready");
    double before = cpu_seconds();
    uint64_t delivered = 0;
    while (cpu_seconds() - before < SEND_SECONDS) {
        for (unsigned i = 0; i < noria.count; i++)
            if (ws_can_write(noria.conns[i]) && ws_write(noria.conns[i], frames, len, &taken) == ERR_OK)
                delivered += taken / (FRAME_PAYLOAD + 4);
        uv_run(&noria.loop, UV_RUN_NOWAIT);
    }
    double rate = (double)delivered / (cpu_seconds() - before);
    ws_free(&noria.ws);
    return rate;
}

static double bare_sends(struct shared *shared)
{
    size_t len;
    unsigned char *frames = make_frames(shared->batch, &len);
    struct epoll_event events[64];
    int *fds = calloc(shared->count, sizeof *fds), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < shared->count; i++) {
        char head[2048];
        while ((fds[i] = accept4(shared->listen_fd, NULL, NULL, SOCK_CLOEXEC)) < 0)
            ;
        check(recv(fds[i], head, sizeof head, 0) > 0, "recv");
        check(send(fds[i], ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) > 0, "send");
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fds[i]};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i], &event);
    }
    char byte;
    check(read(shared->ready[0], &byte, 1) == 1, "ready");
    double before = cpu_seconds();
    uint64_t delivered = 0;
    while (cpu_seconds() - before < SEND_SECONDS) {
        for (unsigned i = 0; i < shared->count; i++) {
            ssize_t sent = send(fds[i], frames, len, MSG_NOSIGNAL | MSG_DONTWAIT);
            delivered += sent > 0 ? (uint64_t)sent / (FRAME_PAYLOAD + 4) : 0;
        }
        epoll_wait(epoll_fd, events, 64, 0);
    }
    return (double)delivered / (cpu_seconds() - before);
}

static double serve_sends(struct shared *shared)
{
    return shared->bare ? bare_sends(shared) : noria_sends(shared);
}

static void do_sink(struct shared *shared)
{
    client_sink(shared->port, shared->count, shared->ready[1]);
}

/* --- flooding -------------------------------------------------------------------------------------------------------- */

#define FLOOD_BYTES (256u << 20)

/* Messages of `batch` bytes, one behind the other in one block of about 256 KiB, sent again and again. */
static void do_flood(struct shared *shared)
{
    static unsigned char block[1 << 19];
    size_t len = 0, sent = 0;
    int fd = client_connect(shared->port, 0);
    client_read_101(fd);
    while (len < 1 << 18) {
        unsigned char *frame = block + len;
        size_t header = shared->batch < 126 ? 6 : shared->batch < 65536 ? 8 : 14;
        frame[0] = 0x82;
        frame[1] = shared->batch < 126 ? (unsigned char)(0x80 | shared->batch) : header == 8 ? 0xfe : 0xff;
        for (size_t i = 0, bytes = header - 6; i < bytes; i++)
            frame[2 + i] = (unsigned char)((uint64_t)shared->batch >> (8 * (bytes - 1 - i)));
        memcpy(frame + header - 4, "mask", 4);
        memset(frame + header, 'x', shared->batch);
        len += header + shared->batch;
    }
    double before = cpu_seconds();
    while (sent < FLOOD_BYTES) {
        ssize_t n = send(fd, block, len, MSG_NOSIGNAL); /* a blocking socket takes all */
        check(n == (ssize_t)len, "flood");
        sent += len;
    }
    double used = cpu_seconds() - before;
    check(write(shared->ready[1], &used, sizeof used) == sizeof used, "ready");
}

static double serve_flood(struct shared *shared)
{
    struct noria noria = {0};
    noria_start(&noria, shared->listen_fd);
    while (noria.opened < 1)
        uv_run(&noria.loop, UV_RUN_ONCE);
    double before = cpu_seconds(), theirs;
    while (noria.closed < 1)
        uv_run(&noria.loop, UV_RUN_ONCE);
    double ours = cpu_seconds() - before;
    check(read(shared->ready[0], &theirs, sizeof theirs) == sizeof theirs, "ready");
    printf(
        "flood of messages of %6u bytes: server %.3f s, client %.3f s, ratio %.1f, %.0f MB per CPU-second\n",
        shared->batch, ours, theirs, ours / theirs, FLOOD_BYTES / ours / 1e6);
    fflush(stdout);
    return ours / theirs;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    unsigned number = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    struct shared shared = {0};
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (strcmp(mode, "handshakes") == 0) {
        shared.count = number ? number : 200;
        compare(&shared, "handshakes per CPU-second", serve_handshakes, do_handshakes);
    } else if (strcmp(mode, "churn") == 0) {
        shared.count = 60;
        shared.standing = number ? number : 9000;
        compare(&shared, "handshakes per CPU-second beside others", serve_handshakes, do_handshakes);
    } else if (strcmp(mode, "idle") == 0) {
        shared.count = number ? number : 8000;
        printf("idle connections %u: %.2f KiB each\n", shared.count, run_pair(&shared, serve_idle, do_idle));
    } else if (strcmp(mode, "send") == 0) {
        shared.count = number ? number : 1000;
        static const unsigned batches[] = {1, 8, 32};
        for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
            char what[64];
            shared.batch = batches[i];
            snprintf(what, sizeof what, "deliveries per CPU-second, batches of %u", batches[i]);
            compare(&shared, what, serve_sends, do_sink);
        }
    } else if (strcmp(mode, "flood") == 0) {
        static const unsigned sizes[] = {10, 100, 1000, 65536};
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            shared.batch = sizes[i];
            run_pair(&shared, serve_flood, do_flood);
        }
    } else {
        fprintf(stderr, "usage: ws_bench handshakes [ROUNDS] | churn [CONNECTIONS] | idle [CONNECTIONS] | "
                        "send [CONNECTIONS] | flood\n");
        return 2;
    }
    return 0;
}
