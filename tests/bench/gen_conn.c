/* gen_conn.c — one client: connect, handshake, dialogue, and the hot path that counts (gen_conn.h).
 *
 * The key of the handshake is the one of RFC 6455's example, for every client: the answer is then a constant that can
 * be compared, and the bench needs no SHA-1.
 */
#include "gen_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "must.h"

#define READ_MIN (256u * 1024u) /* room for a recv behind what was carried */

uint64_t gen_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* --- connecting ----------------------------------------------------------------------------------------------------- */

static bool bind_source(const struct gen_options *options, int fd, uint32_t index)
{
    uint32_t per_address = options->per_address != 0 ? options->per_address : 5000;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + options->first_address - 1 + index / per_address);
    int on = 1;
    setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return bind(fd, (const struct sockaddr *)&source, sizeof source) == 0;
}

static int open_socket(const struct gen_options *options, uint32_t index, bool never_read)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1, small = 4096;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (never_read)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(options->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!bind_source(options, fd, index) ||
        (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)) {
        close(fd);
        return -1;
    }
    return fd;
}

bool conn_open(struct gen *gen, uint32_t index)
{
    struct conn *conn = &gen->conns[index];
    MUST(conn->state == CONN_UNUSED);
    conn->never_read = index < gen->options->never_read;
    conn->fd = open_socket(gen->options, index, conn->never_read);
    if (conn->fd < 0) {
        GEN_ADD(gen, failed, 1);
        return false;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP, .data.u32 = index};
    MUST(epoll_ctl(gen->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) == 0);
    conn->state = CONN_CONNECTING;
    conn->cursor = REF_CURSOR_START;
    conn->begun_ns = gen_now_ns();
    gen->connecting++;
    GEN_ADD(gen, opened, 1);
    return true;
}

static void watch(struct gen *gen, struct conn *conn, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = (uint32_t)(conn - gen->conns)};
    MUST(epoll_ctl(gen->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event) == 0);
}

void conn_drop(struct gen *gen, struct conn *conn)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (conn->state == CONN_LIVE)
        atomic_fetch_sub_explicit(&gen->shared->live, 1, memory_order_relaxed);
    else if (conn->state == CONN_DEAF)
        atomic_fetch_sub_explicit(&gen->shared->live_slow, 1, memory_order_relaxed);
    else
        gen->connecting--;
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(conn->fd);
    frame_carry_fini(&conn->carry);
    conn->state = CONN_UNUSED;
}

/* The server ended it, or broke the protocol. */
static void lose(struct gen *gen, struct conn *conn)
{
    if (conn->state == CONN_LIVE) {
        GEN_ADD(gen, closed, 1);
        conn->lost_ns = gen->returning ? gen_now_ns() : 0;
    } else if (conn->state == CONN_DEAF)
        GEN_ADD(gen, closed_slow, 1);
    else
        GEN_ADD(gen, failed, 1);
    conn_drop(gen, conn);
}

static bool send_all(const struct conn *conn, const void *data, size_t len)
{
    return send(conn->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

static bool send_frame(const struct conn *conn, uint8_t opcode, const void *payload, size_t len)
{
    unsigned char frame[FRAME_CLIENT_HEAD + 4096];
    size_t n = frame_client(frame, sizeof frame, opcode, payload, len, 0x5a17c3e9u);
    return n > 0 && send_all(conn, frame, n);
}

static void connected(struct gen *gen, struct conn *conn)
{
    char request[256];
    int n = snprintf(request, sizeof request,
                     "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                     gen->options->port);
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0 || !send_all(conn, request, (size_t)n)) {
        lose(gen, conn);
        return;
    }
    conn->state = CONN_HANDSHAKE;
    watch(gen, conn, EPOLLIN | EPOLLRDHUP);
}

/* --- the dialogue up to live ---------------------------------------------------------------------------------------- */

static void go_live(struct gen *gen, struct conn *conn)
{
    gen->connecting--;
    conn->state = conn->never_read ? CONN_DEAF : CONN_LIVE;
    _Atomic uint32_t *count = conn->never_read ? &gen->shared->live_slow : &gen->shared->live;
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    GEN_ADD(gen, lives, 1);
    uint64_t now = gen_now_ns();
    hist_add(&gen->shared->handshake, now - conn->begun_ns);
    if (conn->lost_ns != 0) {
        hist_add(&gen->shared->away, now - conn->lost_ns);
        GEN_ADD(gen, returned, 1);
        conn->lost_ns = 0;
    }
    if (conn->never_read)
        watch(gen, conn, EPOLLRDHUP);
}

/* The 101 in `data`: its length, 0 if it is not complete, or -1 if it is something else. */
static ssize_t handshake_answer(const unsigned char *data, size_t len)
{
    static const char status[] = "HTTP/1.1 101 ", accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    const unsigned char *end = memmem(data, len, "\r\n\r\n", 4);
    if (end == NULL)
        return len > 8192 ? -1 : 0;
    size_t total = (size_t)(end - data) + 4;
    if (memcmp(data, status, sizeof status - 1) != 0 ||
        memmem(data, total, accept, sizeof accept - 1) == NULL)
        return -1;
    return (ssize_t)total;
}

static bool begins(const struct frame *frame, const char *text)
{
    size_t len = strlen(text);
    return frame->len >= len && memcmp(frame->payload, text, len) == 0;
}

static bool subscribe(const struct gen *gen, const struct conn *conn)
{
    char text[GEN_TEXT_MAX];
    size_t len =
        gen_text(gen->options, (uint32_t)(conn - gen->conns), gen->resume ? gen->last_seq : "", text);
    return send_frame(conn, 1, text, len);
}

/* A text frame before the connection is live. */
static void dialogue(struct gen *gen, struct conn *conn, const struct frame *frame)
{
    if (conn->state == CONN_WELCOME && begins(frame, "{\"type\":\"welcome\"")) {
        if (gen->options->dialogue == GEN_WELCOME)
            go_live(gen, conn);
        else if (subscribe(gen, conn))
            conn->state = CONN_CONFIRM;
    } else if (conn->state == CONN_CONFIRM && begins(frame, "{\"type\":\"subscription_confirmed\"")) {
        conn->state = CONN_SNAPSHOT;
    } else if (conn->state == CONN_SNAPSHOT && begins(frame, "{\"type\":\"status_broadcast\"")) {
        go_live(gen, conn);
    } else {
        GEN_ADD(gen, others, 1);
    }
}

/* --- live: counting ------------------------------------------------------------------------------------------------- */

static void log_event(struct gen *gen, struct ref *ref)
{
    uint32_t count = atomic_load_explicit(&gen->shared->event_count, memory_order_relaxed);
    if (!gen->options->log_events || count >= GEN_EVENTS_MAX)
        return;
    gen->shared->events[count] = (struct gen_event){
        .first_ns = gen->now_ns, .machine = ref->machine, .raw = ref->raw, .position = ref->position};
    atomic_store_explicit(&gen->shared->event_count, count + 1, memory_order_release);
}

static void log_last(struct gen *gen, const struct ref *ref)
{
    uint64_t index = (uint64_t)(ref - gen->refs.refs);
    if (!gen->options->log_events || index >= GEN_EVENTS_MAX || gen->refs.head > REF_CAP)
        return;
    gen->shared->events[index].last_ns = gen->now_ns;
    gen->shared->events[index].seen = ref->seen;
}

static inline void delivered(struct gen *gen, struct ref *ref)
{
    ref->seen++;
    GEN_ADD(gen, deliveries, 1);
    bool last = ref->seen == atomic_load_explicit(&gen->shared->live, memory_order_relaxed);
    if (ref->source_ns != 0) {
        uint64_t took = gen->now_ns > ref->source_ns ? gen->now_ns - ref->source_ns : 0;
        hist_add(&gen->shared->latency, took);
        if (last)
            hist_add(&gen->shared->last, took);
    }
    if (gen->options->log_events)
        log_last(gen, ref);
}

static void first_seen(struct gen *gen, struct ref *ref)
{
    GEN_ADD(gen, messages, 1);
    atomic_store_explicit(&gen->shared->lost, gen->refs.lost, memory_order_relaxed);
    if (ref->source_ns != 0 && gen->now_ns > ref->source_ns)
        hist_add(&gen->shared->first, gen->now_ns - ref->source_ns);
    log_event(gen, ref);
}

static void place(struct gen *gen, struct conn *conn, const struct frame *frame)
{
    struct ref_place place = ref_log_place(&gen->refs, &conn->cursor, frame->payload, frame->len);
    GEN_ADD(gen, conflated, place.covered);
    switch (place.kind) {
    case REF_NEW:
        gen_text_seq(frame->payload, frame->len, gen->last_seq);
        first_seen(gen, place.ref);
        /* fall through */
    case REF_KNOWN:
        GEN_ADD(gen, gaps, place.skipped);
        delivered(gen, place.ref);
        return;
    case REF_SNAPSHOT:
        GEN_ADD(gen, snapshots, 1);
        GEN_ADD(gen, gaps, place.skipped);
        return;
    case REF_OLD:
        if (conn->cursor.index != REF_NOWHERE)
            GEN_ADD(gen, disorder, 1);
        return;
    case REF_OTHER:
        GEN_ADD(gen, others, 1);
        return;
    }
}

/* --- bytes ---------------------------------------------------------------------------------------------------------- */

/* Nobody confirms it; but the pong for a ping behind it comes after it was taken. */
static bool open_and_ping(struct gen *gen, struct conn *conn)
{
    conn->state = CONN_PONG;
    return subscribe(gen, conn) && send_frame(conn, 9, "open", 4);
}

/* Everything but a text frame to a live client; false: the connection is to end. */
static bool other_frame(struct gen *gen, struct conn *conn, const struct frame *frame)
{
    if (frame->opcode == 9) {
        GEN_ADD(gen, pings, 1);
        return send_frame(conn, 10, frame->payload, frame->len);
    }
    if (frame->opcode == 8)
        return false;
    if (frame->opcode == 10 && conn->state == CONN_PONG)
        go_live(gen, conn);
    if (frame->opcode == 1 && frame->fin)
        dialogue(gen, conn, frame);
    return true;
}

/* A client with a set of its own: frames must come in rising order, and that is all that can be said. */
static void own_set_frame(struct gen *gen, struct conn *conn, const struct frame *frame)
{
    struct ref_state state;
    if (!ref_parse(frame->payload, frame->len, &state)) {
        GEN_ADD(gen, others, 1);
        return;
    }
    GEN_ADD(gen, deliveries, 1);
    if (state.seq <= conn->cursor.complete_to)
        GEN_ADD(gen, disorder, 1);
    conn->cursor.complete_to = state.seq;
    if (state.seq > gen->newest) {
        gen->newest = state.seq;
        GEN_ADD(gen, messages, 1);
        gen_text_seq(frame->payload, frame->len, gen->last_seq);
    }
}

static inline bool live_frame(struct gen *gen, struct conn *conn, const struct frame *frame)
{
    if (gen->options->sets_of != 0 && frame->opcode == 1) {
        own_set_frame(gen, conn, frame);
        return true;
    }
    if (frame->opcode != 1 || frame->len < 2 * (size_t)REF_TAIL)
        return other_frame(gen, conn, frame);
    struct ref *ref = ref_log_follow(&gen->refs, &conn->cursor, frame->payload, frame->len);
    if (ref != NULL)
        delivered(gen, ref);
    else
        place(gen, conn, frame);
    return true;
}

/* Takes the frames out of the buffer, keeps the begun one; false: the connection is to end. */
static bool take_frames(struct gen *gen, struct conn *conn, const unsigned char *data, size_t len)
{
    struct frame frame;
    enum frame_step_e step;
    while ((step = frame_next(data, len, &frame)) == FRAME_WHOLE) {
        bool go_on =
            conn->state == CONN_LIVE ? live_frame(gen, conn, &frame) : other_frame(gen, conn, &frame);
        if (!go_on)
            return false;
        data += frame.total;
        len -= frame.total;
    }
    if (step == FRAME_BAD)
        GEN_ADD(gen, malformed, 1);
    return step == FRAME_PART && frame_carry_store(&conn->carry, data, len) == ERR_OK;
}

static bool take_answer(struct gen *gen, struct conn *conn, const unsigned char *data, size_t len)
{
    ssize_t head = handshake_answer(data, len);
    if (head == 0)
        return frame_carry_store(&conn->carry, data, len) == ERR_OK;
    if (head < 0) {
        GEN_ADD(gen, refused, 1);
        return false;
    }
    GEN_ADD(gen, handshakes, 1);
    conn->state = CONN_WELCOME;
    if (gen->options->dialogue == GEN_BARE)
        go_live(gen, conn);
    else if (gen->options->dialogue == GEN_OPEN && !open_and_ping(gen, conn))
        return false;
    return take_frames(gen, conn, data + head, len - (size_t)head);
}

static void readable(struct gen *gen, struct conn *conn)
{
    size_t carried = frame_carry_load(&conn->carry, gen->buffer, gen->buffer_size - READ_MIN);
    ssize_t n = recv(conn->fd, gen->buffer + carried, gen->buffer_size - carried, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        MUST(frame_carry_store(&conn->carry, gen->buffer, carried) == ERR_OK); /* it had this room before */
        return;
    }
    if (n <= 0) {
        lose(gen, conn);
        return;
    }
    gen->now_ns = gen_now_ns();
    GEN_ADD(gen, reads, 1);
    if (conn->state == CONN_LIVE)
        GEN_ADD(gen, bytes, (uint64_t)n);
    size_t len = carried + (size_t)n;
    bool go_on = conn->state == CONN_HANDSHAKE ? take_answer(gen, conn, gen->buffer, len)
                                               : take_frames(gen, conn, gen->buffer, len);
    if (!go_on)
        lose(gen, conn);
}

void conn_ready(struct gen *gen, struct conn *conn, uint32_t events)
{
    if (conn->state == CONN_UNUSED)
        return;
    if (conn->state == CONN_CONNECTING)
        connected(gen, conn);
    else if (conn->state == CONN_DEAF)
        lose(gen, conn);
    else if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0)
        readable(gen, conn);
}
