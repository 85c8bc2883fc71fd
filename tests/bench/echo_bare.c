/* echo_bare.c — see echo_bare.h. A client whose frame is not a final masked data frame of at most 65,535 bytes, or who does
 * not read, is dropped and counted: the only clients are the bench's own, who do neither. */
#include "echo_bare.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame_counter.h"
#include "log.h"
#include "rig.h"

#define CONNS_MAX       (ASK_CLIENTS_MAX + 16u)
#define EVENTS_PER_WAIT 256
#define WAIT_MS         20
#define STOP_MS         5000
#define SEND_BUFFER     (128 * 1024)
#define READ_BYTES      (256u * 1024u)
#define LISTENER        UINT32_MAX

struct echo_conn {
    int fd; /* -1: ended */
    bool greeted;
    struct frame_carry carry;
};

struct echo {
    const struct echo_bare *bare;
    struct echo_shared *shared;
    struct echo_conn *conns;
    uint32_t used;
    int epoll_fd;
    size_t head_len, tail_len;
    unsigned char *in, *out;
    size_t out_len;
};

#define ADD(echo, name, n)                                                                                   \
    atomic_store_explicit(&(echo)->shared->name,                                                             \
                          atomic_load_explicit(&(echo)->shared->name, memory_order_relaxed) + (n),           \
                          memory_order_relaxed)

static void drop(struct echo_conn *conn)
{
    close(conn->fd);
    frame_carry_fini(&conn->carry);
    *conn = (struct echo_conn){.fd = -1};
}

static void accept_all(struct echo *echo)
{
    for (int fd; (fd = accept4(echo->bare->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        uint32_t slot = 0;
        while (slot < echo->used && echo->conns[slot].fd >= 0)
            slot++;
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u32 = slot};
        int on = 1, size = SEND_BUFFER;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        if (slot == CONNS_MAX || epoll_ctl(echo->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
            close(fd);
            return;
        }
        echo->conns[slot] = (struct echo_conn){.fd = fd};
        echo->used += slot == echo->used;
    }
}

/* --- a message ---------------------------------------------------------------------------------------------------------- */

struct masked {
    const unsigned char *payload, *key;
    size_t len, total;
    unsigned char first; /* FIN and opcode */
};

static enum frame_step_e next_masked(const unsigned char *data, size_t available, struct masked *frame)
{
    if (available < 6)
        return FRAME_PART;
    size_t len = data[1] & 0x7fu, head = 6;
    if ((data[1] & 0x80u) == 0 || (data[0] & 0xf0u) != 0x80u || len == 127)
        return FRAME_BAD;
    if (len == 126) {
        if (available < 8)
            return FRAME_PART;
        len = (size_t)data[2] << 8 | data[3];
        head = 8;
    }
    *frame = (struct masked){data + head, data + head - 4, len, head + len, data[0]};
    return available < frame->total ? FRAME_PART : FRAME_WHOLE;
}

static void unmask(unsigned char *to, const struct masked *frame)
{
    uint32_t key;
    memcpy(&key, frame->key, sizeof key);
    uint64_t wide = (uint64_t)key << 32 | key;
    size_t i = 0;
    for (; i + 8 <= frame->len; i += 8) {
        uint64_t word;
        memcpy(&word, frame->payload + i, sizeof word);
        word ^= wide;
        memcpy(to + i, &word, sizeof word);
    }
    for (; i < frame->len; i++)
        to[i] = frame->payload[i] ^ frame->key[i % 4];
}

static unsigned char *put(unsigned char *to, const void *from, size_t len)
{
    memcpy(to, from, len);
    return to + len;
}

static void put_answer(struct echo *echo, const struct masked *frame)
{
    size_t len = echo->head_len + frame->len + echo->tail_len;
    unsigned char *to = echo->out + echo->out_len;
    *to++ = frame->first;
    if (len < 126) {
        *to++ = (unsigned char)len;
    } else {
        *to++ = 126;
        *to++ = (unsigned char)(len >> 8);
        *to++ = (unsigned char)len;
    }
    to = put(to, echo->bare->head, echo->head_len);
    unmask(to, frame);
    to = put(to + frame->len, echo->bare->tail, echo->tail_len);
    echo->out_len = (size_t)(to - echo->out);
}

/* --- a socket ----------------------------------------------------------------------------------------------------------- */

/* The request comes in one piece: it is the asker's. */
static bool greet(struct echo_conn *conn)
{
    static const char answer[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    conn->greeted = true;
    return send(conn->fd, answer, sizeof answer - 1, MSG_NOSIGNAL) == (ssize_t)sizeof answer - 1;
}

static bool answer_all(struct echo *echo, struct echo_conn *conn, size_t len)
{
    const unsigned char *at = echo->in, *end = at + len;
    struct masked frame;
    enum frame_step_e step;
    uint64_t messages = 0;
    echo->out_len = 0;
    while ((step = next_masked(at, (size_t)(end - at), &frame)) == FRAME_WHOLE) {
        if ((frame.first & 0x0fu) > 2)
            return false;
        put_answer(echo, &frame);
        at += frame.total;
        messages++;
    }
    if (step == FRAME_BAD || frame_carry_store(&conn->carry, at, (size_t)(end - at)) != ERR_OK)
        return false;
    if (messages == 0)
        return true;
    ADD(echo, messages, messages);
    ADD(echo, sends, 1);
    return send(conn->fd, echo->out, echo->out_len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)echo->out_len;
}

static void readable(struct echo *echo, struct echo_conn *conn)
{
    size_t carried = frame_carry_load(&conn->carry, echo->in, READ_BYTES);
    ssize_t n = recv(conn->fd, echo->in + carried, READ_BYTES - carried, MSG_DONTWAIT);
    bool spurious = n < 0 && errno == EAGAIN;
    if (n <= 0 && !spurious) { /* it ended */
        drop(conn);
    } else if (!(conn->greeted ? answer_all(echo, conn, carried + (spurious ? 0 : (size_t)n))
                               : spurious || greet(conn))) {
        ADD(echo, dropped, 1);
        drop(conn);
    }
}

/* --- the process -------------------------------------------------------------------------------------------------------- */

static void loop(struct echo *echo)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    pid_t parent = getppid();
    while (atomic_load_explicit(&echo->shared->command, memory_order_acquire) != ECHO_STOP &&
           getppid() == parent) {
        int n = epoll_wait(echo->epoll_fd, events, EVENTS_PER_WAIT, WAIT_MS);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u32 == LISTENER)
                accept_all(echo);
            else if (echo->conns[events[i].data.u32].fd >= 0)
                readable(echo, &echo->conns[events[i].data.u32]);
        }
    }
}

/* An answer is at most head, tail and a longer frame head larger than what was read. */
static enum err_e echo_init(struct echo *echo, const struct echo_bare *bare)
{
    *echo = (struct echo){.bare = bare,
                          .shared = bare->shared,
                          .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                          .head_len = strlen(bare->head),
                          .tail_len = strlen(bare->tail)};
    echo->conns = calloc(CONNS_MAX, sizeof *echo->conns);
    echo->in = malloc(READ_BYTES);
    echo->out = malloc(READ_BYTES / 6 * (echo->head_len + echo->tail_len + 8) + READ_BYTES);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = LISTENER};
    if (echo->conns == NULL || echo->in == NULL || echo->out == NULL || echo->epoll_fd < 0 ||
        epoll_ctl(echo->epoll_fd, EPOLL_CTL_ADD, bare->listen_fd, &event) != 0)
        return ERR_SYSTEM;
    return ERR_OK;
}

static int body(void *arg)
{
    struct echo echo;
    enum err_e err = echo_init(&echo, arg);
    if (err == ERR_OK)
        loop(&echo);
    for (uint32_t i = 0; i < echo.used; i++)
        if (echo.conns[i].fd >= 0)
            drop(&echo.conns[i]);
    free(echo.conns);
    free(echo.in);
    free(echo.out);
    if (echo.epoll_fd >= 0)
        close(echo.epoll_fd);
    return err == ERR_OK ? 0 : 1;
}

enum err_e echo_bare_start(struct echo_bare *bare, const char *head, const char *tail, int core)
{
    void *memory =
        mmap(NULL, sizeof *bare->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *bare = (struct echo_bare){.shared = memory != MAP_FAILED ? memory : NULL, .head = head, .tail = tail};
    bare->listen_fd = rig_listen(&bare->port);
    if (bare->shared == NULL || bare->listen_fd < 0)
        return ERR_SYSTEM;
    enum err_e err = child_fork("bench-echo", core, body, bare, &bare->child);
    close(bare->listen_fd);
    return err;
}

bool echo_bare_stop(struct echo_bare *bare)
{
    if (bare->shared == NULL)
        return true;
    atomic_store(&bare->shared->command, ECHO_STOP);
    bool clean = bare->child.name[0] == '\0' || child_wait(&bare->child, STOP_MS);
    clean = clean && atomic_load(&bare->shared->dropped) == 0;
    munmap(bare->shared, sizeof *bare->shared);
    bare->shared = NULL;
    return clean;
}
