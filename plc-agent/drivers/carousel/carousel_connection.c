/* The TCP connection to a carousel PLC (Hop: D1, C6); what goes over it is carousel_bytes.h's.
 *
 *     CLOSED ─▶ CONNECTING ─▶ SENDING ─▶ AWAITING ─▶ OPEN (persistent) or CLOSED (per request) ─▶ done
 *       ▲            └────────────┴──────────┴── any failure: the connection ends ─▶ ENDING ─▶ done
 *
 * - A connection that failed is ended by RST (SO_LINGER 0). close() alone would leave the kernel delivering bytes it
 *   still holds: a move could reach the PLC long after its client was told that nobody knows.
 * - Before a request goes out on a connection, whatever lies unread on it is looked for; if anything does, that
 *   connection is not used. Together with "a timeout ends the connection" no late reply can meet a later request.
 * - ENDING exists because `done` is never called from within exchange(): a failure found there waits for the timer.
 * - Rejected: finding out by SIOCOUTQ whether the PLC's kernel had acknowledged the bytes. An acknowledgement may be
 *   lost, so that it could not prove NOT_SENT, and proves nothing about the program behind that kernel.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carousel_bytes.h"
#include "carousel_driver.h"
#include "fault_point.h"
#include "log.h"
#include "must.h"

#define CAROUSEL_MAGIC      0x43524c31u
#define KEEPALIVE_IDLE_S    10
#define KEEPALIVE_EVERY_S   5
#define KEEPALIVE_PROBES    3
#define USER_TIMEOUT_MIN_MS 5000

enum connection_state_e { CLOSED, CONNECTING, SENDING, AWAITING, OPEN, ENDING };

struct driver {
    uint32_t magic;
    struct driver_config config;
    struct sockaddr_storage address;
    socklen_t address_len;

    enum connection_state_e state;
    int fd; /* -1: none */
    struct loop_fd *watch;
    unsigned watched;         /* events; setting them anew costs system calls */
    struct loop_timer *timer; /* limit of CONNECTING, SENDING, AWAITING; end of ENDING */

    struct driver_request request;
    uint8_t bytes[CAROUSEL_REQUEST_MAX];
    size_t length, written;
    uint64_t begun_ns; /* before the first byte was written */
    struct carousel_reply reply;
    struct driver_answer answer; /* while ENDING */
    bool in_exchange;            /* inside exchange(): `done` has to wait */

    struct driver_counts counts;
};

static void on_ready(void *arg, unsigned events);
static void on_limit(void *arg);

static uint64_t now_ns(const struct driver *driver)
{
    return loop_now_ns(driver->config.loop);
}

/* --- the end of a connection, and of an exchange ----------------------------------------------------------------- */

static void end_connection(struct driver *driver, bool discard)
{
    loop_fd_free(&driver->watch);
    if (driver->fd < 0)
        return;
    if (discard) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(driver->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(driver->fd);
    driver->fd = -1;
}

static enum driver_sent_e sent_so_far(const struct driver *driver)
{
    if (driver->written == 0)
        return DRIVER_NOT_SENT;
    return driver->written < driver->length ? DRIVER_PARTLY_SENT : DRIVER_SENT;
}

/* The state is settled before `done`, which may start the next exchange or close the driver: nothing follows it. */
static void finish(struct driver *driver, enum driver_result_e result)
{
    uint64_t now = now_ns(driver);
    struct driver_answer answer = {.result = result, .sent = sent_so_far(driver), .readable_ns = now};
    if (driver->written > 0)
        answer.took_ns = now - driver->begun_ns;
    if (result == DRIVER_REPLY) {
        answer.status = driver->reply.bytes[0];
        answer.position = driver->reply.bytes[1];
    }
    if (driver->in_exchange) {
        driver->answer = answer;
        driver->state = ENDING;
        loop_timer_start(driver->timer, 0);
        return;
    }
    loop_timer_stop(driver->timer);
    driver->state = driver->fd >= 0 ? OPEN : CLOSED;
    driver->config.done(driver->config.arg, &answer);
}

static void fail(struct driver *driver, enum driver_result_e result)
{
    end_connection(driver, true);
    finish(driver, result);
}

static void watch(struct driver *driver, unsigned events)
{
    if (driver->watched != events)
        loop_fd_set(driver->watch, events);
    driver->watched = events;
}

/* --- sending ----------------------------------------------------------------------------------------------------- */

static void send_more(struct driver *driver)
{
    ssize_t n =
        send(driver->fd, driver->bytes + driver->written, driver->length - driver->written, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        fail(driver, DRIVER_CLOSED);
        return;
    }
    if (n > 0)
        driver->written += (size_t)n;
    bool whole = driver->written == driver->length;
    if (whole && driver->request.command != 0)
        FAULT_POINT(AGENT_WRITTEN);
    driver->state = whole ? AWAITING : SENDING;
    watch(driver, whole ? LOOP_READ : LOOP_READ | LOOP_WRITE);
    if (whole)
        loop_timer_start(driver->timer, driver->request.reply_limit_ns);
}

enum line_e { LINE_CLEAN, LINE_DIRTY, LINE_ENDED };

/* What stands on the connection before a request goes out. */
static enum line_e look_at_line(struct driver *driver)
{
    uint8_t byte;
    ssize_t n = recv(driver->fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) {
        driver->counts.bad_replies++;
        return LINE_DIRTY;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? LINE_CLEAN : LINE_ENDED;
}

static void start_sending(struct driver *driver)
{
    uint64_t now = now_ns(driver);
    if (now >= driver->request.send_by_ns) {
        if (!driver->config.persistent)
            end_connection(driver, false);
        finish(driver, DRIVER_TIMEOUT);
        return;
    }
    driver->begun_ns = now;
    loop_timer_start(driver->timer, driver->request.reply_limit_ns);
    send_more(driver);
}

/* --- connecting -------------------------------------------------------------------------------------------------- */

static void set_options(int fd, uint64_t limit_ms)
{
    int on = 1, idle = KEEPALIVE_IDLE_S, every = KEEPALIVE_EVERY_S, probes = KEEPALIVE_PROBES;
    unsigned user_ms = limit_ms > USER_TIMEOUT_MIN_MS ? (unsigned)limit_ms : USER_TIMEOUT_MIN_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_ms, sizeof user_ms);
}

/* TCP connects a socket to itself where nobody listens and the kernel happens to choose the same port for our side:
 * the "PLC" would then echo each request. */
static bool connected_to_itself(int fd)
{
    struct sockaddr_storage here, there;
    socklen_t here_len = sizeof here, there_len = sizeof there;
    memset(&here, 0, sizeof here);
    memset(&there, 0, sizeof there);
    return getsockname(fd, (struct sockaddr *)&here, &here_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &there_len) == 0 && here_len == there_len &&
           memcmp(&here, &there, here_len) == 0;
}

static void refuse(struct driver *driver)
{
    driver->counts.connect_failures++;
    fail(driver, DRIVER_REFUSED);
}

static void on_connected(struct driver *driver)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(driver->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0 ||
        connected_to_itself(driver->fd)) {
        refuse(driver);
        return;
    }
    driver->counts.connects++;
    enum line_e line = look_at_line(driver);
    if (line == LINE_CLEAN)
        start_sending(driver);
    else
        fail(driver, line == LINE_DIRTY ? DRIVER_BAD_REPLY : DRIVER_CLOSED);
}

static void start_connecting(struct driver *driver)
{
    driver->fd = socket(driver->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (driver->fd < 0) {
        log_error("plc-socket", "%s", strerror(errno));
        refuse(driver);
        return;
    }
    set_options(driver->fd, driver->request.reply_limit_ns / NS_PER_MS);
    bool begun = connect(driver->fd, (struct sockaddr *)&driver->address, driver->address_len) == 0 ||
                 errno == EINPROGRESS;
    if (begun)
        driver->watch = loop_fd_new(driver->config.loop, driver->fd, LOOP_WRITE, on_ready, driver);
    if (driver->watch == NULL) {
        refuse(driver);
        return;
    }
    driver->watched = LOOP_WRITE;
    driver->state = CONNECTING;
    uint64_t limit = now_ns(driver) + driver->config.connect_limit_ns;
    uint64_t send_by = driver->request.send_by_ns;
    loop_timer_start_at(driver->timer, limit < send_by ? limit : send_by);
}

/* --- what the loop reports --------------------------------------------------------------------------------------- */

/* Too many bytes, bytes nobody asked for, or the end in the middle of a reply. */
static void bad_bytes(struct driver *driver)
{
    driver->counts.bad_replies++;
    if (driver->state != OPEN) {
        fail(driver, DRIVER_BAD_REPLY);
        return;
    }
    end_connection(driver, true);
    driver->state = CLOSED;
}

static void on_end(struct driver *driver)
{
    if (driver->state == OPEN) {
        end_connection(driver, false);
        driver->state = CLOSED;
    } else if (driver->reply.have > 0) {
        bad_bytes(driver);
    } else {
        fail(driver, DRIVER_CLOSED);
    }
}

static void on_bytes(struct driver *driver, const uint8_t *bytes, size_t len)
{
    if (driver->state != AWAITING) {
        bad_bytes(driver);
        return;
    }
    switch (carousel_reply_feed(&driver->reply, bytes, len)) {
    case CAROUSEL_MORE:
        return;
    case CAROUSEL_TOO_MANY:
        bad_bytes(driver);
        return;
    case CAROUSEL_COMPLETE:
        if (!driver->config.persistent)
            end_connection(driver, false);
        finish(driver, DRIVER_REPLY);
    }
}

static void on_ready(void *arg, unsigned events)
{
    struct driver *driver = arg;
    MUST_MAGIC(driver, CAROUSEL_MAGIC);
    if (driver->state == CONNECTING) {
        on_connected(driver);
        return;
    }
    if (events & LOOP_READ) {
        uint8_t bytes[16];
        ssize_t n = recv(driver->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n > 0) {
            on_bytes(driver, bytes, (size_t)n);
            return;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            on_end(driver);
            return;
        }
    }
    if ((events & LOOP_WRITE) && driver->state == SENDING)
        send_more(driver);
}

static void on_limit(void *arg)
{
    struct driver *driver = arg;
    MUST_MAGIC(driver, CAROUSEL_MAGIC);
    switch (driver->state) {
    case ENDING: {
        struct driver_answer answer = driver->answer;
        driver->state = driver->fd >= 0 ? OPEN : CLOSED;
        driver->config.done(driver->config.arg, &answer);
        return;
    }
    case CONNECTING:
        if (now_ns(driver) >= driver->request.send_by_ns)
            fail(driver, DRIVER_TIMEOUT);
        else
            refuse(driver);
        return;
    case SENDING:
    case AWAITING:
        driver->counts.reply_timeouts++;
        fail(driver, DRIVER_TIMEOUT);
        return;
    case CLOSED:
    case OPEN:
        MUST_NOT_REACH();
    }
}

/* --- the contract ------------------------------------------------------------------------------------------------ */

static bool parse_address(struct driver *driver, const char *host, uint16_t port)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM},
                    *found = NULL;
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return false;
    memcpy(&driver->address, found->ai_addr, found->ai_addrlen);
    driver->address_len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static enum err_e carousel_open(const struct driver_config *config, struct driver **driver)
{
    struct driver *d = calloc(1, sizeof *d);
    if (d == NULL)
        return ERR_MEMORY;
    d->magic = CAROUSEL_MAGIC;
    d->config = *config;
    d->config.host = NULL; /* parsed here; the text may go */
    d->fd = -1;
    if (!parse_address(d, config->host, config->port)) {
        log_error("plc-address", "host=%s error=\"no numeric address\"", config->host);
        free(d);
        return ERR_CONFIG;
    }
    d->timer = loop_timer_new(config->loop, on_limit, d);
    if (d->timer == NULL) {
        free(d);
        return ERR_MEMORY;
    }
    *driver = d;
    return ERR_OK;
}

static void carousel_close(struct driver **driver)
{
    struct driver *d = *driver;
    if (d == NULL)
        return;
    MUST_MAGIC(d, CAROUSEL_MAGIC);
    end_connection(d, d->state != OPEN);
    loop_timer_free(&d->timer);
    d->magic = 0;
    free(d);
    *driver = NULL;
}

static void carousel_exchange(struct driver *driver, const struct driver_request *request)
{
    MUST_MAGIC(driver, CAROUSEL_MAGIC);
    MUST(driver->state == CLOSED || driver->state == OPEN);
    driver->request = *request;
    driver->length = carousel_request(request->command, request->argument, driver->bytes);
    driver->written = 0;
    driver->begun_ns = 0;
    driver->reply = (struct carousel_reply){.have = 0};
    driver->in_exchange = true;
    if (driver->state == OPEN && look_at_line(driver) != LINE_CLEAN) {
        end_connection(driver, true);
        driver->state = CLOSED;
    }
    if (driver->state == OPEN)
        start_sending(driver);
    else
        start_connecting(driver);
    driver->in_exchange = false;
}

static enum driver_state_e carousel_state(const struct driver *driver)
{
    if (driver->state == CLOSED)
        return DRIVER_STATE_CLOSED;
    return driver->state == OPEN ? DRIVER_STATE_OPEN : DRIVER_STATE_BUSY;
}

static const struct driver_counts *carousel_counts(const struct driver *driver)
{
    return &driver->counts;
}

const struct driver_ops carousel_driver = {
    .name = "carousel",
    .open = carousel_open,
    .close = carousel_close,
    .exchange = carousel_exchange,
    .state = carousel_state,
    .counts = carousel_counts,
};
