/* The PLCs of a process: their listening sockets, timers, reboots and refusals.
 *
 * Each PLC binds its port twice: `reserve_fd` never listens and lives as long as the PLC, `listen_fd` comes and goes.
 * While the second is closed a connect() meets RST, as at a PLC that boots, and no other process can take the port.
 * Both have SO_REUSEADDR, which lets them share the port only while at most one listens: a second plc-sim on the same
 * port still fails. Rejected: SO_REUSEPORT (it would not), and shutdown() of the listening socket (gives an ephemeral
 * port away).
 */
#include "sim_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "must.h"
#include "sim_plc.h"

#define BACKLOG       16
#define SEND_BUFFER   8192 /* bytes of replies that a client may leave unread */
#define RETRY_NS      (100 * NS_PER_MS)
#define PEER_TEXT_MAX (INET6_ADDRSTRLEN + 16)

/* --- what the other files ask of a PLC's server ------------------------------------------------------------------- */

struct loop *sim_plc_loop(const struct sim_plc *plc)
{
    return plc->server->loop;
}

struct sim_log *sim_plc_log(const struct sim_plc *plc)
{
    return plc->server->log;
}

uint64_t sim_plc_next_serial(struct sim_plc *plc)
{
    return ++plc->server->last_serial;
}

uint8_t sim_plc_status(const struct sim_plc *plc)
{
    return sim_status_byte(&plc->machine, plc->profile, plc->server->conf.unlisted);
}

static void tell(struct sim_plc *plc)
{
    if (plc->server->observer != NULL)
        plc->server->observer(plc->server->observer_arg, plc);
}

void sim_plc_sync(struct sim_plc *plc)
{
    while (sim_machine_advance(&plc->machine))
        tell(plc);
}

void sim_plc_changed(struct sim_plc *plc)
{
    sim_plc_sync(plc);
    uint64_t next = sim_machine_next_ns(&plc->machine);
    if (next == UINT64_MAX)
        loop_timer_stop(plc->motion_timer);
    else
        loop_timer_start_at(plc->motion_timer, next);
    tell(plc);
}

static void on_motion(void *arg)
{
    sim_plc_changed(arg);
}

/* --- sockets ------------------------------------------------------------------------------------------------------- */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t address_len(const union address *address)
{
    return address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

static bool address_parse(const char *text, uint16_t port, union address *address)
{
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port);
        return true;
    }
    if (inet_pton(AF_INET6, text, &address->v6.sin6_addr) != 1)
        return false;
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_port = htons(port);
    return true;
}

static uint16_t address_port(const union address *address)
{
    return ntohs(address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port);
}

static void peer_text(const union address *address, char text[PEER_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    bool v4 = address->any.sa_family == AF_INET;
    const void *raw = v4 ? (const void *)&address->v4.sin_addr : (const void *)&address->v6.sin6_addr;
    inet_ntop(address->any.sa_family, raw, host, sizeof host);
    snprintf(text, PEER_TEXT_MAX, v4 ? "peer=%s:%u" : "peer=[%s]:%u", host, address_port(address));
}

static int bound_socket(const union address *address)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, &address->any, address_len(address)) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool bound_address(int fd, union address *address)
{
    socklen_t len = sizeof *address;
    memset(address, 0, sizeof *address);
    return getsockname(fd, &address->any, &len) == 0;
}

/* --- listening ----------------------------------------------------------------------------------------------------- */

static void on_connection(void *arg, unsigned events);

static bool wanted(const struct sim_plc *plc)
{
    return !plc->rebooting && plc->fault.kind != SIM_FAULT_REFUSED;
}

static bool accepts_now(const struct sim_plc *plc)
{
    return plc->conn.state == SIM_CONN_NONE || plc->server->conf.refuse_second;
}

/* Once per trouble, not once per try. */
static void complain_once(struct sim_plc *plc, const char *what)
{
    if (!plc->listen_failed)
        log_error("sim-listen-failed", "machine=%s port=%u what=%s reason=\"%s\"", plc->id, plc->port, what,
                  strerror(errno));
    plc->listen_failed = true;
}

static enum err_e open_listener(struct sim_plc *plc)
{
    union address address;
    int fd = bound_address(plc->reserve_fd, &address) ? bound_socket(&address) : -1;
    if (fd < 0 || listen(fd, BACKLOG) != 0) {
        complain_once(plc, "listen");
        if (fd >= 0)
            close(fd);
        return ERR_SYSTEM;
    }
    plc->listen_watch =
        loop_fd_new(plc->server->loop, fd, accepts_now(plc) ? LOOP_READ : 0u, on_connection, plc);
    if (plc->listen_watch == NULL) {
        close(fd);
        return ERR_MEMORY;
    }
    plc->listen_fd = fd;
    return ERR_OK;
}

static void close_listener(struct sim_plc *plc)
{
    if (plc->listen_fd < 0)
        return;
    loop_fd_free(&plc->listen_watch);
    close(plc->listen_fd); /* connections in the backlog are reset by the kernel */
    plc->listen_fd = -1;
}

/* Makes the listening socket agree with what is wanted; tries again later where it cannot. */
void sim_plc_settle(struct sim_plc *plc)
{
    if (!wanted(plc))
        close_listener(plc);
    else if (plc->listen_fd < 0 && open_listener(plc) != ERR_OK)
        loop_timer_start(plc->listen_timer, RETRY_NS);
    else
        loop_fd_set(plc->listen_watch, accepts_now(plc) ? LOOP_READ : 0u);
}

static void on_listen_timer(void *arg)
{
    struct sim_plc *plc = arg;
    plc->rebooting = false;
    sim_plc_settle(plc);
    sim_plc_changed(plc);
}

void sim_plc_client_gone(struct sim_plc *plc)
{
    if (plc->listen_fd >= 0)
        loop_fd_set(plc->listen_watch, LOOP_READ);
    tell(plc);
}

static void refuse(struct sim_plc *plc, int fd, const char *peer)
{
    plc->counts.refused++;
    sim_log_event(plc->server->log, plc->id, sim_plc_next_serial(plc), "refused", peer);
    sim_close_with_rst(fd);
}

static void pause_accepting(struct sim_plc *plc)
{
    complain_once(plc, "accept");
    loop_fd_set(plc->listen_watch, 0);
    loop_timer_start(plc->listen_timer, RETRY_NS);
}

static void on_connection(void *arg, unsigned events)
{
    (void)events;
    struct sim_plc *plc = arg;
    union address peer = {0};
    socklen_t len = sizeof peer;
    int fd = accept4(plc->listen_fd, &peer.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            pause_accepting(plc);
        return;
    }
    plc->listen_failed = false;
    char text[PEER_TEXT_MAX];
    peer_text(&peer, text);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* or a split reply would be joined again */
    if (plc->conn.state != SIM_CONN_NONE)
        refuse(plc, fd, text);
    else if (sim_conn_open(plc, fd, text) == ERR_OK && !plc->server->conf.refuse_second)
        loop_fd_set(plc->listen_watch, 0);
}

/* --- faults of the PLC as a whole ---------------------------------------------------------------------------------- */

static void reboot(struct sim_plc *plc, uint32_t ms)
{
    plc->rebooting = true;
    sim_machine_halt(&plc->machine);
    sim_plc_settle(plc);
    sim_conn_reset(plc);
    loop_timer_start(plc->listen_timer, ms * NS_PER_MS);
}

void sim_plc_fault(struct sim_plc *plc, const struct sim_fault *fault)
{
    sim_plc_sync(plc);
    if (fault->kind == SIM_FAULT_REBOOT) {
        reboot(plc, fault->ms); /* an event, not a condition: a fault about requests outlives it */
    } else {
        plc->fault = *fault;
        if (!plc->rebooting)
            sim_plc_settle(plc);
        if (fault->kind == SIM_FAULT_REFUSED)
            sim_conn_reset(plc);
    }
    sim_plc_changed(plc);
}

void sim_plc_clear(struct sim_plc *plc)
{
    plc->fault = (struct sim_fault){.kind = SIM_FAULT_NONE};
    plc->rebooting = false;
    loop_timer_stop(plc->listen_timer);
    sim_conn_bury(plc);
    sim_plc_settle(plc);
    sim_plc_changed(plc);
}

/* --- making and ending PLCs --------------------------------------------------------------------------------------- */

void sim_plc_free(struct sim_plc *plc)
{
    close_listener(plc);
    sim_conn_fini(plc);
    loop_timer_free(&plc->motion_timer);
    loop_timer_free(&plc->listen_timer);
    if (plc->reserve_fd >= 0)
        close(plc->reserve_fd);
    free(plc);
}

int sim_plc_reserve(const struct sim_plc_conf *conf)
{
    union address address;
    MUST(address_parse(conf->address, conf->port, &address));
    return bound_socket(&address);
}

void sim_plc_keep(struct sim_plc *plc, const struct sim_plc_conf *conf, int reserve_fd)
{
    union address address;
    plc->reserve_fd = reserve_fd;
    plc->port = bound_address(reserve_fd, &address) ? address_port(&address) : conf->port;
    snprintf(plc->address, sizeof plc->address, "%s", conf->address);
}

void sim_plc_leave(struct sim_plc *plc)
{
    close_listener(plc);
    sim_conn_reset(plc);
    close(plc->reserve_fd);
    plc->reserve_fd = -1;
}

/* The one step of adding that reports its failures itself: it alone knows errno. */
static enum err_e plc_bind(struct sim_plc *plc, const struct sim_plc_conf *conf)
{
    int fd = sim_plc_reserve(conf);
    if (fd < 0) {
        log_error("sim-bind-failed", "machine=%s address=%s port=%u reason=\"%s\"", conf->id, conf->address,
                  conf->port, strerror(errno));
        return ERR_SYSTEM;
    }
    sim_plc_keep(plc, conf, fd);
    return open_listener(plc);
}

static bool conf_valid(const struct sim_plc_conf *conf)
{
    union address address;
    return machine_id_valid(conf->id, strlen(conf->id)) && conf->profile != NULL &&
           conf->positions >= SIM_POSITIONS_MIN && conf->positions <= SIM_POSITIONS_MAX &&
           conf->pace_ms <= SIM_PACE_MAX_MS && address_parse(conf->address, conf->port, &address);
}

static struct sim_plc *plc_alloc(struct sim_server *server, const struct sim_plc_conf *conf)
{
    struct sim_plc *plc = calloc(1, sizeof *plc);
    if (plc == NULL)
        return NULL;
    plc->server = server;
    plc->reserve_fd = plc->listen_fd = -1;
    snprintf(plc->id, sizeof plc->id, "%s", conf->id);
    plc->profile = conf->profile;
    plc->pace_ms = conf->pace_ms;
    sim_machine_init(&plc->machine, loop_clock(server->loop), conf->positions, conf->pace_ms);
    return plc;
}

enum err_e sim_plc_new(struct sim_server *server, const struct sim_plc_conf *conf, struct sim_plc **out)
{
    if (!conf_valid(conf))
        return ERR_CONFIG;
    struct sim_plc *plc = plc_alloc(server, conf);
    if (plc == NULL)
        return ERR_MEMORY;
    plc->motion_timer = loop_timer_new(server->loop, on_motion, plc);
    plc->listen_timer = loop_timer_new(server->loop, on_listen_timer, plc);
    enum err_e err = sim_conn_init(plc);
    if (err != ERR_OK || plc->motion_timer == NULL || plc->listen_timer == NULL) {
        sim_plc_free(plc);
        return ERR_MEMORY;
    }
    *out = plc;
    return ERR_OK;
}

enum err_e sim_server_make_room(struct sim_server *server, size_t count)
{
    size_t capacity = server->capacity != 0 ? server->capacity : 16;
    if (count > SIM_PLCS_MAX)
        return ERR_FULL;
    while (capacity < count)
        capacity *= 2;
    if (capacity == server->capacity)
        return ERR_OK;
    struct sim_plc **plcs = realloc(server->plcs, capacity * sizeof(struct sim_plc *));
    if (plcs == NULL)
        return ERR_MEMORY;
    server->plcs = plcs;
    server->capacity = capacity;
    return ERR_OK;
}

static enum err_e add(struct sim_server *server, const struct sim_plc_conf *conf)
{
    struct sim_plc *plc = NULL;
    enum err_e err = sim_server_find(server, conf->id) != NULL
                         ? ERR_EXISTS
                         : sim_server_make_room(server, server->count + 1);
    if (err == ERR_OK)
        err = sim_plc_new(server, conf, &plc);
    if (err != ERR_OK)
        return err;
    err = plc_bind(plc, conf);
    if (err == ERR_OK)
        server->plcs[server->count++] = plc;
    else
        sim_plc_free(plc);
    return err;
}

enum err_e sim_server_add(struct sim_server *server, const struct sim_plc_conf *conf)
{
    enum err_e err = add(server, conf);
    if (err != ERR_OK && err != ERR_SYSTEM)
        log_error("sim-machine-refused",
                  "machine=%s address=%s positions=%u ms_per_position=%u reason=\"%s\"", conf->id,
                  conf->address, conf->positions, conf->pace_ms, err_text(err));
    return err;
}

struct sim_server *sim_server_new(struct loop *loop, struct sim_log *log, const struct sim_server_conf *conf)
{
    struct sim_server *server = calloc(1, sizeof *server);
    if (server != NULL)
        *server = (struct sim_server){.loop = loop, .log = log, .conf = *conf};
    return server;
}

void sim_server_free(struct sim_server **server)
{
    struct sim_server *s = *server;
    if (s == NULL)
        return;
    s->observer = NULL;
    for (size_t i = 0; i < s->count; i++)
        sim_plc_free(s->plcs[i]);
    free(s->plcs);
    free(s);
    *server = NULL;
}

size_t sim_server_count(const struct sim_server *server)
{
    return server->count;
}

struct sim_plc *sim_server_at(const struct sim_server *server, size_t index)
{
    MUST(index < server->count);
    return server->plcs[index];
}

struct sim_plc *sim_server_find(const struct sim_server *server, const char *id)
{
    for (size_t i = 0; i < server->count; i++)
        if (strcmp(server->plcs[i]->id, id) == 0)
            return server->plcs[i];
    return NULL;
}

const struct sim_log *sim_server_log(const struct sim_server *server)
{
    return server->log;
}

void sim_server_observe(struct sim_server *server, sim_observer_f *observer, void *arg)
{
    server->observer = observer;
    server->observer_arg = arg;
}
