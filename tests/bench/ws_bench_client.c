/* See ws_bench_client.h. */
#include "ws_bench_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_self.h"

#define HEAD                                                                                                 \
    "GET / HTTP/1.1\r\nHost: 127.0.0.1:8765\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                \
    "Origin: http://127.0.0.1:8000\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:109.0) "                \
    "Gecko/20100101\r\n"                                                                                     \
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nAccept-Encoding: gzip, "        \
    "deflate, br\r\n"                                                                                        \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

int client_connect(uint16_t port, unsigned n)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002 + n % 8)};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    check(fd >= 0 && bind(fd, (void *)&from, sizeof from) == 0, "client socket");
    check(connect(fd, (void *)&to, sizeof to) == 0, "connect");
    check(send(fd, HEAD, sizeof HEAD - 1, MSG_NOSIGNAL) == sizeof HEAD - 1, "send head");
    return fd;
}

void client_read_101(int fd)
{
    char answer[512];
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    check(got > 12 && strncmp(answer, "HTTP/1.1 101", 12) == 0, "no 101");
}

static void client_drop(int fd)
{
    struct linger linger = {.l_onoff = 1}; /* a reset: leaves no TIME_WAIT */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

void client_handshakes(uint16_t port, unsigned rounds)
{
    int fds[64];
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < 64; i++)
            fds[i] = client_connect(port, i);
        for (unsigned i = 0; i < 64; i++)
            client_read_101(fds[i]);
        for (unsigned i = 0; i < 64; i++)
            client_drop(fds[i]);
    }
}

int *client_open_many(uint16_t port, unsigned count)
{
    int *fds = calloc(count, sizeof *fds);
    check(fds != NULL, "memory");
    for (unsigned i = 0; i < count; i++) {
        fds[i] = client_connect(port, i);
        client_read_101(fds[i]);
    }
    return fds;
}

void client_sink(uint16_t port, unsigned count, int ready_fd)
{
    static char buffer[1 << 18];
    struct epoll_event events[256];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), *fds = client_open_many(port, count);
    for (unsigned i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fds[i]};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i], &event);
    }
    check(write(ready_fd, "r", 1) == 1, "ready");
    for (unsigned open = count; open > 0;) {
        int n = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < n; i++) {
            ssize_t got = recv(events[i].data.fd, buffer, sizeof buffer, MSG_DONTWAIT);
            if (got == 0 || (got < 0 && errno != EAGAIN)) {
                close(events[i].data.fd);
                open--;
            }
        }
    }
}
