/* The one connection of a simulated PLC.
 *
 * Every read is logged before anything is done with it, decoded at once and queued; requests are carried out one at a
 * time, the next one only when the reply to the last has left. A request is carried out when it is begun (the move
 * starts), also where its reply is then held, late or lost; the two bytes of a reply are made when its first leaves.
 * A client that closes while its reply waits frees the place at once: the PLC sees the FIN too.
 *
 * Rejected: reading only when idle, as the smallest PLCs do. The log must show bytes when they come, because tests
 * prove by it that nobody sends into a running exchange.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "must.h"
#include "sim_plc.h"

static void serve(struct sim_plc *plc);

static void on_timer(void *arg);
static void on_events(void *arg, unsigned events);

enum err_e sim_conn_init(struct sim_plc *plc)
{
    plc->conn = (struct sim_conn){.state = SIM_CONN_NONE, .fd = -1};
    plc->zombie_fd = -1;
    plc->conn.timer = loop_timer_new(sim_plc_loop(plc), on_timer, plc);
    return plc->conn.timer != NULL ? ERR_OK : ERR_MEMORY;
}

/* --- the end of a connection -------------------------------------------------------------------------------------- */

void sim_close_with_rst(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

static void log_event(struct sim_plc *plc, const char *what, const char *detail)
{
    sim_log_event(sim_plc_log(plc), plc->id, plc->conn.serial, what, detail);
}

/* Forgets the connection; what becomes of the descriptor is the caller's business. */
static int detach(struct sim_plc *plc)
{
    struct sim_conn *conn = &plc->conn;
    int fd = conn->fd;
    loop_fd_free(&conn->watch);
    loop_timer_stop(conn->timer);
    *conn = (struct sim_conn){.state = SIM_CONN_NONE, .fd = -1, .timer = conn->timer};
    return fd;
}

static void drop(struct sim_plc *plc, const char *what, const char *detail, bool rst)
{
    log_event(plc, what, detail);
    int fd = detach(plc);
    if (rst)
        sim_close_with_rst(fd);
    else
        close(fd);
    sim_plc_client_gone(plc);
}

void sim_conn_reset(struct sim_plc *plc)
{
    if (plc->conn.state != SIM_CONN_NONE)
        drop(plc, "reset", "by=sim", true);
}

void sim_conn_bury(struct sim_plc *plc)
{
    if (plc->zombie_fd >= 0)
        close(plc->zombie_fd);
    plc->zombie_fd = -1;
}

void sim_conn_fini(struct sim_plc *plc)
{
    if (plc->conn.state != SIM_CONN_NONE) {
        log_event(plc, "close", "by=sim");
        close(detach(plc));
    }
    sim_conn_bury(plc);
    loop_timer_free(&plc->conn.timer);
}

static void client_left(struct sim_plc *plc, bool rst)
{
    bool zombie = plc->conn.state == SIM_CONN_DEAD && !rst;
    if (!zombie) {
        drop(plc, rst ? "reset" : "close", "by=client", false);
        return;
    }
    log_event(plc, "close", "by=client");
    sim_conn_bury(plc);
    plc->zombie_fd = detach(plc);
    sim_plc_client_gone(plc);
}

/* --- replies ------------------------------------------------------------------------------------------------------- */

static uint32_t room(const struct sim_conn *conn)
{
    return SIM_QUEUE_MAX - conn->queue_count;
}

static void watch_what_matters(struct sim_conn *conn)
{
    unsigned events = (room(conn) >= SIM_READ_MAX ? LOOP_READ : 0u) | (conn->out_len > 0 ? LOOP_WRITE : 0u);
    if (events == conn->events)
        return; /* setting costs two system calls */
    loop_fd_set(conn->watch, events);
    conn->events = events;
}

/* False: the connection is gone. */
static bool flush(struct sim_plc *plc)
{
    struct sim_conn *conn = &plc->conn;
    ssize_t n = send(conn->fd, conn->out, conn->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        n = 0;
    if (n < 0) {
        drop(plc, "reset", "by=client", false);
        return false;
    }
    if (n > 0) {
        sim_log_bytes(sim_plc_log(plc), plc->id, conn->serial, SIM_LOG_TX, conn->out, (size_t)n);
        plc->counts.tx_bytes += (uint64_t)n;
        conn->out_len -= (uint32_t)n;
        memmove(conn->out, conn->out + n, conn->out_len);
    }
    return true;
}

static bool send_bytes(struct sim_plc *plc, const void *bytes, size_t len)
{
    struct sim_conn *conn = &plc->conn;
    MUST(len <= SIM_OUT_MAX - conn->out_len);
    memcpy(conn->out + conn->out_len, bytes, len);
    conn->out_len += (uint32_t)len;
    return flush(plc);
}

static void make_reply(struct sim_plc *plc, uint8_t reply[SIM_REPLY_BYTES])
{
    sim_plc_sync(plc);
    reply[0] = sim_plc_status(plc);
    reply[1] = (uint8_t)plc->machine.position;
}

static void wait_ms(struct sim_plc *plc, enum sim_conn_e state)
{
    plc->conn.state = state;
    loop_timer_start(plc->conn.timer, plc->conn.fault.ms * NS_PER_MS);
}

static bool reply_normally(struct sim_plc *plc, unsigned times)
{
    uint8_t reply[2 * SIM_REPLY_BYTES];
    make_reply(plc, reply);
    memcpy(reply + SIM_REPLY_BYTES, reply, SIM_REPLY_BYTES);
    plc->counts.replies += times;
    return send_bytes(plc, reply, times * SIM_REPLY_BYTES);
}

static bool reply_first_half(struct sim_plc *plc)
{
    struct sim_conn *conn = &plc->conn;
    uint8_t reply[SIM_REPLY_BYTES];
    make_reply(plc, reply);
    if (!send_bytes(plc, reply, 1))
        return false;
    conn->fault.garbage[0] = reply[1]; /* both halves belong to one moment */
    wait_ms(plc, SIM_CONN_SPLIT);
    return true;
}

static bool go_dead(struct sim_plc *plc)
{
    plc->conn.state = SIM_CONN_DEAD;
    plc->conn.queue_count = 0;
    return true;
}

/* Answers the request in hand as its fault says. False: the connection is gone. */
static bool answer(struct sim_plc *plc)
{
    struct sim_conn *conn = &plc->conn;
    conn->state = SIM_CONN_READY;
    switch (conn->fault.kind) {
    case SIM_FAULT_LATE:
        wait_ms(plc, SIM_CONN_LATE);
        return true;
    case SIM_FAULT_SPLIT:
        return reply_first_half(plc);
    case SIM_FAULT_MISSING:
        return true;
    case SIM_FAULT_DUPLICATED:
        return reply_normally(plc, 2);
    case SIM_FAULT_GARBAGE:
        return send_bytes(plc, conn->fault.garbage, conn->fault.garbage_len);
    case SIM_FAULT_RESET:
        sim_conn_reset(plc);
        return false;
    case SIM_FAULT_HALF_OPEN:
        return go_dead(plc);
    default:
        return reply_normally(plc, 1);
    }
}

static void on_timer(void *arg)
{
    struct sim_plc *plc = arg;
    struct sim_conn *conn = &plc->conn;
    enum sim_conn_e state = conn->state;
    conn->state = SIM_CONN_READY;
    if (state == SIM_CONN_SPLIT)
        plc->counts.replies++;
    if (state == SIM_CONN_SPLIT ? send_bytes(plc, conn->fault.garbage, 1) : reply_normally(plc, 1))
        serve(plc);
}

void sim_conn_release(struct sim_plc *plc)
{
    if (plc->conn.state == SIM_CONN_HELD && answer(plc))
        serve(plc);
}

/* --- requests ------------------------------------------------------------------------------------------------------ */

static void carry_out(struct sim_plc *plc, const struct sim_request *request)
{
    if (request->command != SIM_COMMAND_MOVE)
        return;
    sim_plc_sync(plc);
    switch (sim_machine_move(&plc->machine, request->argument)) {
    case SIM_MOVE_STARTED:
        plc->counts.moves_started++;
        break;
    case SIM_MOVE_BLOCKED:
        plc->counts.moves_blocked++;
        break;
    case SIM_MOVE_NOWHERE:
        plc->counts.moves_nowhere++;
        if (sim_profile_has(plc->profile, MEANING_POSITIONING_ERROR))
            sim_machine_set(&plc->machine, SIM_POSITIONING_ERROR, true);
        break;
    case SIM_MOVE_THERE:
        break;
    }
    sim_plc_changed(plc);
}

static bool holds(const struct sim_plc *plc, const struct sim_request *request)
{
    return plc->hold && (plc->hold_command == SIM_ANY_COMMAND || plc->hold_command == request->command);
}

/* False: the connection is gone. */
static bool begin(struct sim_plc *plc, const struct sim_request *request)
{
    struct sim_conn *conn = &plc->conn;
    conn->fault = sim_fault_take(&plc->fault, request->command);
    plc->counts.faults += conn->fault.kind != SIM_FAULT_NONE;
    if (conn->fault.kind != SIM_FAULT_HALF_OPEN && !conn->fault.undone)
        carry_out(plc, request);
    if (!holds(plc, request))
        return answer(plc);
    conn->state = SIM_CONN_HELD;
    plc->counts.held++;
    return true;
}

static void serve(struct sim_plc *plc)
{
    struct sim_conn *conn = &plc->conn;
    while (conn->state == SIM_CONN_READY && conn->out_len == 0 && conn->queue_count > 0) {
        struct sim_request request = conn->queue[conn->queue_head];
        conn->queue_head = (conn->queue_head + 1) % SIM_QUEUE_MAX;
        conn->queue_count--;
        if (!begin(plc, &request))
            return;
    }
    watch_what_matters(conn);
    sim_plc_changed(plc);
}

static void enqueue(struct sim_plc *plc, const uint8_t *chunk, size_t len)
{
    struct sim_conn *conn = &plc->conn;
    struct sim_request requests[SIM_READ_MAX];
    size_t count = sim_decode(&conn->decoder, chunk, len, requests);
    for (size_t i = 0; i < count; i++) {
        plc->counts.request[requests[i].command]++;
        if (conn->state == SIM_CONN_DEAD)
            continue;
        MUST(conn->queue_count < SIM_QUEUE_MAX);
        conn->queue[(conn->queue_head + conn->queue_count++) % SIM_QUEUE_MAX] = requests[i];
    }
}

static void on_readable(struct sim_plc *plc)
{
    struct sim_conn *conn = &plc->conn;
    uint8_t chunk[SIM_READ_MAX];
    ssize_t n = recv(conn->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_left(plc, n < 0);
        return;
    }
    sim_log_bytes(sim_plc_log(plc), plc->id, conn->serial, SIM_LOG_RX, chunk, (size_t)n);
    plc->counts.rx_bytes += (uint64_t)n;
    enqueue(plc, chunk, (size_t)n);
    serve(plc);
}

static void on_events(void *arg, unsigned events)
{
    struct sim_plc *plc = arg;
    if (events & LOOP_WRITE && plc->conn.out_len > 0) {
        if (!flush(plc))
            return;
        serve(plc);
    }
    if (events & LOOP_READ && plc->conn.state != SIM_CONN_NONE && room(&plc->conn) >= SIM_READ_MAX)
        on_readable(plc);
}

enum err_e sim_conn_open(struct sim_plc *plc, int fd, const char *peer)
{
    struct sim_conn *conn = &plc->conn;
    MUST(conn->state == SIM_CONN_NONE);
    conn->watch = loop_fd_new(sim_plc_loop(plc), fd, LOOP_READ, on_events, plc);
    if (conn->watch == NULL) {
        close(fd);
        return ERR_MEMORY;
    }
    conn->fd = fd;
    conn->events = LOOP_READ;
    conn->state = SIM_CONN_READY;
    conn->serial = sim_plc_next_serial(plc);
    plc->counts.connections++;
    log_event(plc, "connect", peer);
    sim_plc_changed(plc);
    return ERR_OK;
}
