/* ask.c — the loop of ask.h. The message is masked once; of each copy only the masked digits of its number are written anew. */
#include "ask.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ask_text.h"
#include "clock.h"
#include "frame_counter.h"
#include "log.h"
#include "must.h"
#include "stream_text.h"
#include "wsclient.h"

#define MASK            0x5a17c3e9u
#define EVENTS_PER_WAIT 256
#define IDLE_NS         (5 * NS_PER_MS) /* how late a command may be seen */
#define READ_MIN        (256u * 1024u)

struct ask_conn {
    int fd; /* -1: ended */
    uint32_t under_way, oldest;
    uint64_t next;                   /* number of the next message */
    uint64_t sent_ns[ASK_DEPTH_MAX]; /* [oldest, oldest + under_way) */
    struct frame_carry carry;
};

struct ask {
    const struct ask_options *options;
    struct ask_shared *shared;
    struct ask_conn *conns;
    int epoll_fd;
    unsigned char frame[ASK_TEXT_MAX + FRAME_CLIENT_HEAD]; /* masked */
    size_t frame_len, digits_at;
    unsigned char digits_mask[STREAM_TEXT_DIGITS];
    unsigned char *out;
    char expected[ASK_TEXT_MAX + 256];
    size_t expected_len, head_len;
    unsigned char *buffer;
    size_t buffer_size;
    uint64_t now_ns; /* of the bytes in hand */
    bool running;
    uint64_t begun_ns, begun_due; /* of this run, with a rate */
    uint32_t turn;
};

#define ADD(ask, name, n)                                                                                    \
    atomic_store_explicit(&(ask)->shared->name,                                                              \
                          atomic_load_explicit(&(ask)->shared->name, memory_order_relaxed) + (n),            \
                          memory_order_relaxed)

static uint64_t now_ns(void)
{
    return clock_mono_ns(clock_system());
}

static void lose(struct ask *ask, struct ask_conn *conn)
{
    ADD(ask, closed, 1);
    atomic_fetch_sub(&ask->shared->live, 1);
    atomic_fetch_sub(&ask->shared->under_way, conn->under_way);
    conn->under_way = 0;
    close(conn->fd);
    conn->fd = -1;
}

/* --- sending ------------------------------------------------------------------------------------------------------------ */

static unsigned char *put_message(const struct ask *ask, unsigned char *at, uint64_t number)
{
    char digits[STREAM_TEXT_DIGITS];
    memcpy(at, ask->frame, ask->frame_len);
    stream_text_digits(digits, number);
    for (size_t i = 0; i < STREAM_TEXT_DIGITS; i++)
        at[ask->digits_at + i] = (unsigned char)digits[i] ^ ask->digits_mask[i];
    return at + ask->frame_len;
}

/* In one write. What a socket does not take at once is a failure: so little is under way that it must. */
static void ask_more(struct ask *ask, struct ask_conn *conn, uint32_t count)
{
    unsigned char *end = ask->out;
    uint64_t now = now_ns();
    for (uint32_t i = 0; i < count; i++) {
        end = put_message(ask, end, conn->next++);
        conn->sent_ns[(conn->oldest + conn->under_way++) % ASK_DEPTH_MAX] = now;
    }
    ADD(ask, sent, count);
    atomic_fetch_add_explicit(&ask->shared->under_way, count, memory_order_relaxed);
    ssize_t len = end - ask->out;
    if (send(conn->fd, ask->out, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) != len)
        lose(ask, conn);
}

/* --- answers ------------------------------------------------------------------------------------------------------------ */

static bool as_expected(struct ask *ask, const struct frame *frame, uint64_t number)
{
    stream_text_digits(ask->expected + ask->head_len + ASK_TEXT_DIGITS_AT, number);
    return frame->len == ask->expected_len && memcmp(frame->payload, ask->expected, frame->len) == 0;
}

static bool begins(const struct frame *frame, const char *text)
{
    size_t len = strlen(text);
    return frame->len >= len && memcmp(frame->payload, text, len) == 0;
}

static void note_wrong(struct ask *ask, const struct frame *frame)
{
    if (atomic_load(&ask->shared->wrong) == 0)
        snprintf(ask->shared->first_wrong, sizeof ask->shared->first_wrong, "%.*s", (int)frame->len,
                 (const char *)frame->payload);
    ADD(ask, wrong, 1);
}

static void take_answer(struct ask *ask, struct ask_conn *conn, const struct frame *frame)
{
    const struct ask_options *options = ask->options;
    if (conn->under_way == 0 || (options->ignore != NULL && begins(frame, options->ignore))) {
        ADD(ask, ignored, 1);
        return;
    }
    if (options->loose) {
        ADD(ask, answers, 1);
        ADD(ask, refusals, begins(frame, ASK_ENVELOPE_HEAD) ? 0 : 1);
    } else if (as_expected(ask, frame, conn->next - conn->under_way)) {
        ADD(ask, answers, 1);
    } else {
        note_wrong(ask, frame);
    }
    hist_add(&ask->shared->latency, ask->now_ns - conn->sent_ns[conn->oldest]);
    conn->oldest = (conn->oldest + 1) % ASK_DEPTH_MAX;
    conn->under_way--;
    atomic_fetch_sub_explicit(&ask->shared->under_way, 1, memory_order_relaxed);
}

/* False: the connection is over. */
static bool take_frame(struct ask *ask, struct ask_conn *conn, const struct frame *frame)
{
    unsigned char pong[FRAME_CLIENT_HEAD + 125];
    if (frame->opcode == 1 || frame->opcode == 2)
        take_answer(ask, conn, frame);
    else if (frame->opcode == 9) {
        size_t n = frame_client(pong, sizeof pong, 10, frame->payload, frame->len, MASK);
        return send(conn->fd, pong, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n;
    }
    return frame->opcode != 8;
}

static void take_bytes(struct ask *ask, struct ask_conn *conn, size_t len)
{
    const unsigned char *at = ask->buffer, *end = at + len;
    struct frame frame;
    enum frame_step_e step;
    while ((step = frame_next(at, (size_t)(end - at), &frame)) == FRAME_WHOLE) {
        at += frame.total;
        if (!take_frame(ask, conn, &frame)) {
            lose(ask, conn);
            return;
        }
    }
    if (step == FRAME_BAD || frame_carry_store(&conn->carry, at, (size_t)(end - at)) != ERR_OK)
        lose(ask, conn);
}

static void readable(struct ask *ask, struct ask_conn *conn)
{
    size_t carried = frame_carry_load(&conn->carry, ask->buffer, ask->buffer_size);
    ssize_t n = recv(conn->fd, ask->buffer + carried, ask->buffer_size - carried, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        n = 0;
    } else if (n <= 0) {
        lose(ask, conn);
        return;
    }
    ask->now_ns = now_ns();
    ADD(ask, bytes, (uint64_t)n);
    take_bytes(ask, conn, carried + (size_t)n);
    if (conn->fd >= 0 && ask->running && ask->options->rate == 0 && conn->under_way < ask->options->depth)
        ask_more(ask, conn, ask->options->depth - conn->under_way);
}

/* --- the loop ----------------------------------------------------------------------------------------------------------- */

static void begin_run(struct ask *ask)
{
    ask->begun_ns = now_ns();
    ask->begun_due = 0;
    for (uint32_t i = 0; ask->options->rate == 0 && i < ask->options->clients; i++) {
        struct ask_conn *conn = &ask->conns[i];
        if (conn->fd >= 0 && conn->under_way < ask->options->depth)
            ask_more(ask, conn, ask->options->depth - conn->under_way);
    }
}

static bool obey(struct ask *ask)
{
    uint32_t command = atomic_load_explicit(&ask->shared->command, memory_order_acquire);
    bool run = command == ASK_RUN, began = run && !ask->running;
    ask->running = run;
    if (began)
        begin_run(ask);
    return command != ASK_STOP;
}

/* One message of the next client that may send one. */
static void ask_in_turn(struct ask *ask)
{
    for (uint32_t tries = 0; tries < ask->options->clients; tries++) {
        struct ask_conn *conn = &ask->conns[ask->turn];
        ask->turn = ask->turn + 1 < ask->options->clients ? ask->turn + 1 : 0;
        if (conn->fd >= 0 && conn->under_way < ASK_DEPTH_MAX) {
            ask_more(ask, conn, 1);
            return;
        }
    }
    ADD(ask, skipped, 1);
}

/* Sends what is due; how long until the next one is, in ns. */
static uint64_t ask_due(struct ask *ask)
{
    uint64_t now = now_ns(), due = 0;
    if (!ask->running || ask->options->rate == 0)
        return IDLE_NS;
    while ((due = ask->begun_ns + ask->begun_due * NS_PER_S / ask->options->rate) <= now) {
        ask->begun_due++;
        ask_in_turn(ask);
    }
    return due - now < IDLE_NS ? due - now : IDLE_NS;
}

static void loop(struct ask *ask)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    pid_t parent = getppid();
    while (obey(ask) && getppid() == parent) {
        struct timespec timeout = {.tv_nsec = (long)ask_due(ask)};
        int n = epoll_pwait2(ask->epoll_fd, events, EVENTS_PER_WAIT, &timeout, NULL);
        for (int i = 0; i < n; i++)
            if (ask->conns[events[i].data.u32].fd >= 0)
                readable(ask, &ask->conns[events[i].data.u32]);
    }
}

/* --- beginning and end -------------------------------------------------------------------------------------------------- */

static bool connect_one(struct ask *ask, uint32_t index)
{
    struct ask_conn *conn = &ask->conns[index];
    struct wsclient client;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u32 = index};
    if (wsclient_open_path(&client, ask->options->port, ask->options->path) != ERR_OK)
        return false;
    conn->fd = wsclient_take_fd(&client);
    conn->next = (uint64_t)index << 32;
    atomic_fetch_add(&ask->shared->live, 1);
    return epoll_ctl(ask->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) == 0;
}

static void make_texts(struct ask *ask)
{
    const struct ask_options *options = ask->options;
    uint32_t mask = MASK;
    unsigned char key[4];
    memcpy(key, &mask, sizeof key);
    ask->frame_len = frame_client(ask->frame, sizeof ask->frame, 1, options->text, options->len, MASK);
    MUST(ask->frame_len > 0);
    ask->digits_at = ask->frame_len - options->len + ASK_TEXT_DIGITS_AT;
    for (size_t i = 0; i < STREAM_TEXT_DIGITS; i++)
        ask->digits_mask[i] = key[(ASK_TEXT_DIGITS_AT + i) % 4];
    ask->head_len = strlen(options->head);
    int n = snprintf(ask->expected, sizeof ask->expected, "%s%.*s%s", options->head, (int)options->len,
                     options->text, options->tail);
    MUST(n > 0 && (size_t)n < sizeof ask->expected);
    ask->expected_len = (size_t)n;
}

static enum err_e ask_init(struct ask *ask, const struct ask_options *options, struct ask_shared *shared)
{
    MUST(options->clients <= ASK_CLIENTS_MAX && options->depth <= ASK_DEPTH_MAX);
    *ask = (struct ask){.options = options, .shared = shared, .epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    make_texts(ask);
    ask->buffer_size = FRAME_LIMIT + READ_MIN;
    ask->buffer = malloc(ask->buffer_size);
    ask->out = malloc(ASK_DEPTH_MAX * ask->frame_len);
    ask->conns = calloc(options->clients, sizeof *ask->conns);
    if (ask->epoll_fd < 0 || ask->buffer == NULL || ask->out == NULL || ask->conns == NULL)
        return ERR_MEMORY;
    for (uint32_t i = 0; i < options->clients; i++)
        ask->conns[i].fd = -1;
    for (uint32_t i = 0; i < options->clients; i++)
        if (!connect_one(ask, i))
            return ERR_CLOSED;
    return ERR_OK;
}

int ask_run(const struct ask_options *options, struct ask_shared *shared)
{
    static struct ask ask;
    enum err_e err = ask_init(&ask, options, shared);
    if (err == ERR_OK)
        loop(&ask);
    for (uint32_t i = 0; ask.conns != NULL && i < options->clients; i++) {
        if (ask.conns[i].fd >= 0)
            close(ask.conns[i].fd);
        frame_carry_fini(&ask.conns[i].carry);
    }
    free(ask.conns);
    free(ask.buffer);
    free(ask.out);
    if (ask.epoll_fd >= 0)
        close(ask.epoll_fd);
    return err == ERR_OK ? 0 : 1;
}
