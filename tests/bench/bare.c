/* bare.c — the bare epoll sender (bare.h).
 *
 * Frames are made from a template per machine, in which only fixed-width numbers are overwritten (20 ns), so that the
 * yardstick is not burdened with encoding, which is the broker's work and not the worker's.
 */
#include "bare.h"

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

#include "bare_frames.h"
#include "gen_conn.h"
#include "must.h"

#define LOG_BYTES       (4u * 1024u * 1024u)
#define SEND_MAX        1048576u /* more than a socket takes at once */
#define EVENTS_PER_WAIT 512
#define CONNS_MAX       19000u
#define STALL_NS        500000000ULL

struct bare_conn {
    int fd; /* -1: unused */
    bool greeted, choked;
    uint32_t next_free;
    uint64_t cursor;
};

struct bare {
    const struct bare_options *options;
    struct bare_shared *shared;
    struct bare_frames frames;
    struct bare_conn *conns;
    uint32_t used;       /* conns[0..used) may be in use */
    uint32_t first_free; /* of those that are not; UINT32_MAX: none */
    uint32_t choked;
    int epoll_fd;
    unsigned char *log; /* LOG_BYTES, mapped twice */
    uint64_t head;
    bool running;
    uint64_t begun_ns, begun_frames, begun_received, progress_ns, progress_received;
};

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

#define ADD(bare, name, n)                                                                                   \
    atomic_store_explicit(&(bare)->shared->name, load(&(bare)->shared->name) + (n), memory_order_relaxed)

static unsigned char *map_log(void)
{
    int fd = memfd_create("bench-bare", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, LOG_BYTES) != 0)
        return NULL;
    unsigned char *at = mmap(NULL, 2 * (size_t)LOG_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    for (unsigned i = 0; i < 2; i++)
        if (mmap(at + i * (size_t)LOG_BYTES, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                 0) == MAP_FAILED)
            return NULL;
    close(fd);
    return at;
}

/* --- connections ------------------------------------------------------------------------------------------------------ */

static void drop(struct bare *bare, struct bare_conn *conn)
{
    close(conn->fd);
    conn->fd = -1;
    bare->choked -= conn->choked;
    conn->next_free = bare->first_free;
    bare->first_free = (uint32_t)(conn - bare->conns);
    if (conn->greeted)
        atomic_fetch_sub(&bare->shared->connections, 1);
}

static struct bare_conn *free_conn(struct bare *bare)
{
    if (bare->first_free != UINT32_MAX) {
        struct bare_conn *conn = &bare->conns[bare->first_free];
        bare->first_free = conn->next_free;
        return conn;
    }
    return bare->used < CONNS_MAX ? &bare->conns[bare->used++] : NULL;
}

static void watch(const struct bare *bare, const struct bare_conn *conn, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = (uint32_t)(conn - bare->conns)};
    MUST(epoll_ctl(bare->epoll_fd, operation, conn->fd, &event) == 0);
}

static void accept_all(struct bare *bare)
{
    for (int fd; (fd = accept4(bare->options->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct bare_conn *conn = free_conn(bare);
        if (conn == NULL) {
            close(fd);
            return;
        }
        int on = 1, size = (int)bare->options->send_buffer_bytes;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        *conn = (struct bare_conn){.fd = fd};
        watch(bare, conn, EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP);
    }
}

/* The request comes in one piece: it is the generator's. What clients say later is thrown away. */
static void take_input(struct bare *bare, struct bare_conn *conn)
{
    static const char answer[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    char request[4096];
    ssize_t n = recv(conn->fd, request, sizeof request, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    bool fresh = !conn->greeted;
    if (n <= 0 ||
        (fresh && send(conn->fd, answer, sizeof answer - 1, MSG_NOSIGNAL) != (ssize_t)sizeof answer - 1)) {
        drop(bare, conn);
        return;
    }
    if (!fresh)
        return;
    conn->greeted = true;
    conn->cursor = bare->head;
    atomic_fetch_add(&bare->shared->connections, 1);
}

/* --- sending ---------------------------------------------------------------------------------------------------------- */

static void choke(struct bare *bare, struct bare_conn *conn, bool choked)
{
    if (conn->choked == choked)
        return;
    conn->choked = choked;
    bare->choked += choked ? 1 : -1u;
    watch(bare, conn, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP | (choked ? (uint32_t)EPOLLOUT : 0u));
}

/* Writes what the socket takes of the rest of the log. */
static void push(struct bare *bare, struct bare_conn *conn)
{
    while (conn->cursor < bare->head) {
        uint64_t left = bare->head - conn->cursor;
        size_t len = left < SEND_MAX ? (size_t)left : SEND_MAX;
        ssize_t n = send(conn->fd, bare->log + conn->cursor % LOG_BYTES, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        ADD(bare, sends, 1);
        if (n < 0) {
            choke(bare, conn, true); /* or dead: its end is reported by epoll */
            return;
        }
        conn->cursor += (uint64_t)n;
        ADD(bare, bytes, (uint64_t)n);
        if ((size_t)n < len) {
            ADD(bare, short_sends, 1);
            choke(bare, conn, true);
            return;
        }
    }
    choke(bare, conn, false);
}

static void round_over_all(struct bare *bare)
{
    for (uint32_t i = 0; i < bare->used; i++) {
        struct bare_conn *conn = &bare->conns[i];
        if (conn->fd >= 0 && conn->greeted && !conn->choked)
            push(bare, conn);
    }
}

static void publish(struct bare *bare, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const unsigned char *frame;
        size_t len = bare_frames_next(&bare->frames, bare->options->table, gen_now_ns(), &frame);
        memcpy(bare->log + bare->head % LOG_BYTES, frame, len);
        bare->head += len;
        ADD(bare, frames, 1);
        atomic_store_explicit(&bare->shared->frame_bytes, len, memory_order_relaxed);
    }
}

static uint64_t received(const struct bare *bare)
{
    const struct gen_shared *gen = bare->shared->gen;
    uint64_t live = atomic_load_explicit(&gen->live, memory_order_relaxed);
    return live == 0 ? 0 : load(&gen->deliveries) / live;
}

static void begin_run(struct bare *bare)
{
    bare->begun_ns = bare->progress_ns = gen_now_ns();
    bare->begun_frames = load(&bare->shared->frames);
    bare->begun_received = bare->progress_received = received(bare);
}

static bool window_open(struct bare *bare, uint64_t batch)
{
    uint64_t now = gen_now_ns(), got = received(bare);
    if (got != bare->progress_received) {
        bare->progress_received = got;
        bare->progress_ns = now;
    } else if (now > bare->progress_ns + STALL_NS) {
        begin_run(bare);
    }
    uint64_t gone = load(&bare->shared->frames) - bare->begun_frames, arrived = got - bare->begun_received;
    uint64_t under_way =
        gone > arrived ? gone - arrived : 0; /* what an earlier run still owed may arrive in this one */
    return under_way + batch <= load(&bare->shared->window);
}

/* Publishes a batch if one is due and nobody still waits for an earlier one; else how long until one is due, in ns. */
static uint64_t publish_due(struct bare *bare)
{
    uint64_t batch = load(&bare->shared->batch), rate = load(&bare->shared->rate);
    if (bare->choked > 0)
        return 1000000;
    if (rate == 0) {
        if (!window_open(bare, batch))
            return 200000;
    } else {
        uint64_t frames = load(&bare->shared->frames) - bare->begun_frames + batch;
        uint64_t due = bare->begun_ns + (uint64_t)((double)frames * 1e9 / (double)rate), now = gen_now_ns();
        if (due > now)
            return due - now;
    }
    publish(bare, batch);
    round_over_all(bare);
    return 0;
}

/* --- the loop --------------------------------------------------------------------------------------------------------- */

static void take_event(struct bare *bare, const struct epoll_event *event)
{
    if (event->data.u32 == UINT32_MAX) {
        accept_all(bare);
        return;
    }
    struct bare_conn *conn = &bare->conns[event->data.u32];
    if (conn->fd >= 0 && (event->events & EPOLLOUT) != 0)
        push(bare, conn);
    if (conn->fd >= 0 && (event->events & ~(uint32_t)EPOLLOUT) != 0)
        take_input(bare, conn);
}

static void wait_ns(const struct bare *bare, uint64_t ns, struct epoll_event *events, int *count)
{
    struct timespec timeout = {(time_t)(ns / 1000000000ULL), (long)(ns % 1000000000ULL)};
    *count = epoll_pwait2(bare->epoll_fd, events, EVENTS_PER_WAIT, &timeout, NULL);
}

static bool obey(struct bare *bare)
{
    uint32_t command = atomic_load_explicit(&bare->shared->command, memory_order_acquire);
    bool run = command == BARE_RUN;
    if (run && !bare->running)
        begin_run(bare);
    bare->running = run;
    return command != BARE_STOP;
}

static void loop(struct bare *bare)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    pid_t parent = getppid();
    while (obey(bare) && getppid() == parent) {
        uint64_t ns = bare->running ? publish_due(bare) : 20000000;
        int count;
        wait_ns(bare, ns < 20000000 ? ns : 20000000, events, &count);
        for (int i = 0; i < count; i++)
            take_event(bare, &events[i]);
    }
}

static enum err_e bare_init(struct bare *bare, const struct bare_options *options, struct bare_shared *shared)
{
    *bare = (struct bare){.options = options, .shared = shared, .first_free = UINT32_MAX};
    bare->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    bare->conns = calloc(CONNS_MAX, sizeof *bare->conns);
    bare->log = map_log();
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    if (bare->conns == NULL || bare->log == NULL || bare->epoll_fd < 0 ||
        epoll_ctl(bare->epoll_fd, EPOLL_CTL_ADD, options->listen_fd, &event) != 0)
        return ERR_SYSTEM;
    if (options->stream_bytes != 0)
        return bare_frames_init_stream(&bare->frames, options->stream_bytes);
    return bare_frames_init(&bare->frames, options->machines, options->payload);
}

int bare_run(const struct bare_options *options, struct bare_shared *shared)
{
    struct bare bare;
    enum err_e err = bare_init(&bare, options, shared);
    if (err == ERR_OK)
        loop(&bare);
    bare_frames_fini(&bare.frames);
    for (uint32_t i = 0; bare.conns != NULL && i < bare.used; i++)
        if (bare.conns[i].fd >= 0)
            close(bare.conns[i].fd);
    if (bare.log != NULL)
        munmap(bare.log, 2 * (size_t)LOG_BYTES);
    free(bare.conns);
    if (bare.epoll_fd >= 0)
        close(bare.epoll_fd);
    return err == ERR_OK ? 0 : 1;
}
