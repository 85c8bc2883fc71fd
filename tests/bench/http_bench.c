/* http_bench — what a REST request costs beside a bare epoll server, on this machine, now.
 *
 *     http_bench [ROUNDS]               gate + http answering GET …/status, and the bare server, in five interleaved pairs
 *     http_bench load PORT PATH ROUNDS  only the client, against any server (for a running worker)
 *
 * Server and client are two processes; figures are requests per CPU-second of the server process. A round is 64 connections
 * at once, each with one request. The bare server does the least that a correct client accepts: accept4, recv, a constant
 * answer of the same size, close; it parses nothing, bounds nothing, and resets whoever sends a byte more.
 */
#include <arpa/inet.h>
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
#include <unistd.h>
#include <uv.h>

#include "bench_self.h"
#include "bytes.h"
#include "clock.h"
#include "gate.h"
#include "http.h"
#include "must.h"

#define AT_ONCE 64u
#define PATH    "/v1/machines/machine_1/status"
#define STATE                                                                                                \
    "{\"status\":{\"READY\":\"OK\",\"RUN\":\"Detenido\",\"MODO_OPERACION\":\"Remoto\",\"ALARMA\":"           \
    "\"Desactivada\"},\"position\":0,\"raw_status\":218,\"connection_status\":\"connected\"}"
#define ENVELOPE_END                                                                                         \
    ",\"error\":null,\"code\":null,\"timestamp\":\"2026-11-22T09:22:28.713Z\",\"machine_id\":\"machine_1\"}"
#define BODY "{\"success\":true,\"data\":" STATE ENVELOPE_END

static int listen_any(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    check(fd >= 0 && bind(fd, (void *)&address, len) == 0 && listen(fd, 4096) == 0, "listen");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    getsockname(fd, (void *)&address, &len);
    *port = ntohs(address.sin_port);
    return fd;
}

/* --- client --------------------------------------------------------------------------------------------------------- */

/* Connections come from 127.0.0.2 and up, because one address pair has 28,000 ports only. */
static int client_ask(uint16_t port, const char *path, unsigned n)
{
    char head[512];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002 + n % 16)};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    check(fd >= 0 && bind(fd, (void *)&from, sizeof from) == 0, "client socket");
    check(connect(fd, (void *)&to, sizeof to) == 0, "connect");
    int len = snprintf(
        head, sizeof head,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n", path);
    check(send(fd, head, (size_t)len, MSG_NOSIGNAL) == len, "send head");
    return fd;
}

static void client_take(int fd)
{
    char answer[4096];
    size_t have = 0;
    ssize_t got;
    while ((got = recv(fd, answer + have, sizeof answer - have, 0)) > 0)
        have += (size_t)got;
    check(got == 0 && have > 12 && strncmp(answer, "HTTP/1.1 200", 12) == 0, "no 200");
    close(fd);
}

static void client(uint16_t port, const char *path, unsigned rounds)
{
    int fds[AT_ONCE];
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < AT_ONCE; i++)
            fds[i] = client_ask(port, path, i);
        for (unsigned i = 0; i < AT_ONCE; i++)
            client_take(fds[i]);
    }
}

/* --- servers -------------------------------------------------------------------------------------------------------- */

static void get_status(void *arg, struct http_exchange *x)
{
    char memory[1024];
    struct out out = out_init(memory, sizeof memory);
    (void)arg;
    MUST(strcmp(http_param(x, 0), "machine_1") == 0);
    out_literal(&out, "{\"success\":true,\"data\":" STATE ",\"error\":null,\"code\":null,\"timestamp\":\"");
    out_timestamp(&out, clock_wall_ms(clock_system()));
    out_literal(&out, "\",\"machine_id\":\"machine_1\"}");
    http_answer(x, &(struct http_response){
                       .status = 200, .type = "application/json", .body = out.at, .body_len = out.len});
}

static const struct http_route routes[] = {{HTTP_GET, "/v1/machines", NULL, false, get_status},
                                           {HTTP_GET, "/v1/machines/{id}/status", NULL, false, get_status}};
static const struct http_api api = {"/v1", routes, 2, NULL, NULL, false};
static const struct http_api *const apis[] = {&api};
static const struct http_site site = {apis, 1, NULL, false, NULL};

static void accepted(void *arg, int fd, const struct gate_request *request, unsigned listener)
{
    (void)listener;
    http_adopt(arg, fd, request, &site);
}

static void serve_noria(int listen_fd, uint64_t requests)
{
    uv_loop_t loop;
    struct http *http;
    struct gate *gate;
    struct gate_listener listener = {.fd = listen_fd, .plain_http = true};
    check(uv_loop_init(&loop) == 0, "loop");
    struct http_config config = {.loop = &loop, .clock = clock_system()};
    check(http_new(&config, &http) == ERR_OK, "http");
    struct gate_config gate_config = {.loop = &loop,
                                      .clock = clock_system(),
                                      .listeners = &listener,
                                      .listener_count = 1,
                                      .send_buffer_bytes = 131072,
                                      .accepted = accepted,
                                      .arg = http};
    check(gate_new(&gate_config, &gate) == ERR_OK, "gate");
    while (http_counts(http)->requests < requests || http_counts(http)->exchanges > 0)
        uv_run(&loop, UV_RUN_ONCE);
}

static void bare_answer(int fd)
{
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
        "Date: Sun, 22 Nov 2026 09:22:28 GMT\r\nCache-Control: no-store\r\n\r\n" BODY;
    char head[4096];
    check(recv(fd, head, sizeof head, 0) > 0, "bare recv");
    check(send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) > 0, "bare send");
    close(fd);
}

static void serve_bare(int listen_fd, uint64_t requests)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listen_fd}, events[AT_ONCE];
    int set = epoll_create1(EPOLL_CLOEXEC);
    check(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, listen_fd, &event) == 0, "epoll");
    while (requests > 0) {
        int count = epoll_wait(set, events, AT_ONCE, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listen_fd) {
                bare_answer(fd);
                requests--;
                continue;
            }
            while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                struct epoll_event more = {.events = EPOLLIN, .data.fd = fd};
                check(epoll_ctl(set, EPOLL_CTL_ADD, fd, &more) == 0, "bare add");
            }
        }
    }
}

/* --- measuring ------------------------------------------------------------------------------------------------------ */

static double measure(void (*serve)(int listen_fd, uint64_t requests), unsigned rounds)
{
    int pipe_fd[2];
    uint16_t port;
    double cpu = 0;
    int listen_fd = listen_any(&port);
    uint64_t requests = (uint64_t)rounds * AT_ONCE;
    check(pipe(pipe_fd) == 0, "pipe");
    pid_t server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(0);
        double before = cpu_seconds();
        serve(listen_fd, requests);
        cpu = cpu_seconds() - before;
        _exit(write(pipe_fd[1], &cpu, sizeof cpu) == sizeof cpu ? 0 : 1);
    }
    close(listen_fd);
    pin(1);
    client(port, PATH, rounds);
    check(read(pipe_fd[0], &cpu, sizeof cpu) == sizeof cpu, "server's figure");
    waitpid(server, NULL, 0);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    return (double)requests / cpu;
}

static int by_value(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static void pairs(unsigned rounds)
{
    enum { PAIRS = 5 };
    double noria[PAIRS], bare[PAIRS], ratio[PAIRS];
    for (unsigned i = 0; i < PAIRS; i++) {
        noria[i] = measure(serve_noria, rounds);
        bare[i] = measure(serve_bare, rounds);
        ratio[i] = noria[i] / bare[i];
    }
    qsort(noria, PAIRS, sizeof *noria, by_value);
    qsort(bare, PAIRS, sizeof *bare, by_value);
    qsort(ratio, PAIRS, sizeof *ratio, by_value);
    printf("GET status, requests per CPU-second of the server: noria %.0f bare %.0f ratio %.2f (medians of "
           "%d pairs)\n",
           noria[PAIRS / 2], bare[PAIRS / 2], ratio[PAIRS / 2], PAIRS);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "load") == 0)
        client((uint16_t)atoi(argv[2]), argv[3], (unsigned)atoi(argv[4]));
    else
        pairs(argc > 1 ? (unsigned)atoi(argv[1]) : 400);
    return 0;
}
