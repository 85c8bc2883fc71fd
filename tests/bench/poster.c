/* poster.c — see poster.h. Of an answer the head's beginning is kept, the rest is counted. */
#include "poster.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"
#include "log.h"

#define SOURCES   120u /* × 28,000 ports, a minute each */
#define HEAD_KEPT 1024u
#define IDLE_MS   2
#define STOP_MS   5000

struct client {
    int fd; /* -1: nothing under way */
    uint64_t begun_ns;
    size_t sent, received, expected; /* `expected`: of the whole answer; 0: not known yet */
    char head[HEAD_KEPT];
    char *request;
    size_t request_len;
};

struct post {
    const struct post_options *options;
    struct post_shared *shared;
    struct client clients[POST_CLIENTS_MAX];
    int epoll_fd;
    uint32_t source;
};

static uint64_t now_ns(void)
{
    return clock_mono_ns(clock_system());
}

size_t post_body(char body[POST_BODY_MAX], uint32_t rows, uint32_t first_sensor)
{
    size_t len = 0;
    for (uint32_t i = 0; i < rows; i++)
        len += (size_t)snprintf(body + len, POST_BODY_MAX - len,
                                "%s{\"sensor_id\":%u,\"temperatura\":%u.5,\"humedad\":55.5}",
                                i > 0      ? ","
                                : rows > 1 ? "["
                                           : "",
                                1 + (first_sensor + i) % POST_SENSORS, 20 + i % 2);
    if (rows > 1)
        body[len++] = ']';
    return len;
}

static bool make_request(const struct post_options *options, struct client *client, uint32_t at)
{
    static char body[POST_BODY_MAX];
    size_t len = post_body(body, options->rows, at);
    client->request = malloc(len + 256);
    if (client->request == NULL)
        return false;
    int head =
        snprintf(client->request, 256,
                 "POST /api/v1/readings HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n",
                 options->port, len);
    memcpy(client->request + head, body, len);
    client->request_len = (size_t)head + len;
    return true;
}

/* --- one request ---------------------------------------------------------------------------------------------------- */

static void end(struct post *post, struct client *client, bool ok)
{
    struct post_shared *shared = post->shared;
    if (!ok && atomic_load(&shared->wrong) == 0)
        snprintf(shared->first_wrong, sizeof shared->first_wrong, "%zu bytes: %.200s", client->received,
                 client->received > 0 ? client->head : "");
    atomic_fetch_add(ok ? &shared->answers : &shared->wrong, 1);
    atomic_fetch_sub(&shared->under_way, 1);
    close(client->fd);
    client->fd = -1;
}

static int connect_from(uint16_t port, uint32_t source)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + source % SOURCES);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
        bind(fd, (const struct sockaddr *)&from, sizeof from) == 0 &&
        (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void begin(struct post *post, struct client *client)
{
    client->begun_ns = now_ns();
    client->sent = client->received = client->expected = 0;
    client->head[0] = '\0';
    client->fd = connect_from(post->options->port, post->source++);
    atomic_fetch_add(&post->shared->under_way, 1);
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
    if (client->fd < 0 || epoll_ctl(post->epoll_fd, EPOLL_CTL_ADD, client->fd, &event) != 0)
        end(post, client, false);
}

static void send_more(struct post *post, struct client *client)
{
    ssize_t n =
        send(client->fd, client->request + client->sent, client->request_len - client->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        end(post, client, false);
        return;
    }
    client->sent += n > 0 ? (size_t)n : 0;
    if (client->sent < client->request_len)
        return;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    epoll_ctl(post->epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
}

/* How long the whole answer is, once its head is there. */
static size_t expected_of(const char *head)
{
    const char *end = strstr(head, "\r\n\r\n"), *length = strcasestr(head, "\r\ncontent-length:");
    if (end == NULL || length == NULL || length > end)
        return 0;
    return (size_t)(end + 4 - head) + strtoul(length + 17, NULL, 10);
}

static void keep(struct client *client, const char *bytes, size_t len)
{
    if (client->received + 1 < HEAD_KEPT) {
        size_t room = HEAD_KEPT - 1 - client->received, n = len < room ? len : room;
        memcpy(client->head + client->received, bytes, n);
        client->head[client->received + n] = '\0';
    }

    client->received += len;
    if (client->expected == 0)
        client->expected = expected_of(client->head);
}

static void receive(struct post *post, struct client *client)
{
    static char bytes[256 * 1024];
    ssize_t n = recv(client->fd, bytes, sizeof bytes, 0);
    if (n > 0) {
        keep(client, bytes, (size_t)n);
        if (client->received == client->expected)
            hist_add(&post->shared->latency, now_ns() - client->begun_ns);
    } else if (n == 0 || errno != EAGAIN) {
        end(post, client,
            n == 0 && client->received == client->expected &&
                strncmp(client->head, "HTTP/1.1 201 ", 13) == 0);
    }
}

/* --- the loop ------------------------------------------------------------------------------------------------------- */

static void loop(struct post *post)
{
    struct epoll_event events[POST_CLIENTS_MAX];
    for (uint32_t command; (command = atomic_load(&post->shared->command)) != POST_STOP;) {
        for (uint32_t i = 0; command == POST_RUN && i < post->options->clients; i++)
            if (post->clients[i].fd < 0)
                begin(post, &post->clients[i]);
        int n = epoll_wait(post->epoll_fd, events, POST_CLIENTS_MAX, IDLE_MS);
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;
            if (client->sent < client->request_len)
                send_more(post, client);
            else
                receive(post, client);
        }
    }
}

static int body(void *arg)
{
    static struct post post;
    const struct poster *poster = arg;
    post = (struct post){
        .options = &poster->options, .shared = poster->shared, .epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    if (post.epoll_fd < 0)
        return 1;
    for (uint32_t i = 0; i < poster->options.clients; i++) {
        post.clients[i].fd = -1;
        if (!make_request(&poster->options, &post.clients[i], i))
            return 1;
    }
    loop(&post);
    return 0; /* what it holds goes with it */
}

/* --- as the scenario sees it ---------------------------------------------------------------------------------------- */

enum err_e poster_start(struct poster *poster, const struct post_options *options)
{
    void *memory =
        mmap(NULL, sizeof *poster->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *poster = (struct poster){.options = *options, .shared = memory != MAP_FAILED ? memory : NULL};
    if (poster->shared == NULL || options->clients > POST_CLIENTS_MAX || options->rows > POST_ROWS_MAX)
        return ERR_MEMORY;
    return child_fork("bench-post", options->core, body, poster, &poster->child);
}

void poster_set(struct poster *poster, enum post_command_e command)
{
    atomic_store(&poster->shared->command, command);
}

bool poster_drain(struct poster *poster, uint32_t timeout_ms)
{
    uint64_t deadline = now_ns() + timeout_ms * NS_PER_MS;
    poster_set(poster, POST_PAUSE);
    bench_sleep_ms(20); /* it may be about to begin */
    while (atomic_load(&poster->shared->under_way) > 0) {
        if (now_ns() >= deadline || !child_alive(&poster->child))
            return false;
        bench_sleep_ms(1);
    }
    return true;
}

bool poster_stop(struct poster *poster)
{
    if (poster->shared == NULL)
        return true;
    poster_set(poster, POST_STOP);
    bool clean = poster->child.name[0] == '\0' || child_wait(&poster->child, STOP_MS);
    munmap(poster->shared, sizeof *poster->shared);
    poster->shared = NULL;
    return clean;
}
