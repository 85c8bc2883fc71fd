/* The gate's place in the loop: listeners and half-open sockets stand in an epoll set of the gate's own, which the
 * libuv loop watches as one descriptor. So a handshake costs no libuv handle, needs no asynchronous close before
 * libwebsockets registers the same descriptor, and one wake-up has one budget. Time limits hang in a wheel that one
 * timer turns, only while there is something to wait for. */
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "entropy.h"
#include "gate_internal.h"
#include "must.h"

/* Outlives the gate until libuv has closed both handles. */
struct gate_uv {
    uv_poll_t poll;
    uv_timer_t timer;
    struct gate *gate;
    unsigned handles;
};

static const struct gate_verdict no_descriptor = {503, "this worker has no descriptor left"};

/* --- accepting ---------------------------------------------------------------------------------------------------- */

static void watch_doors(struct gate *gate, bool on)
{
    for (unsigned i = 0; i < gate->config.listener_count; i++) {
        struct epoll_event event = {.events = on ? EPOLLIN : 0u, .data.ptr = &gate->doors[i]};
        epoll_ctl(gate->epoll_fd, EPOLL_CTL_MOD, gate->doors[i].listener.fd, &event);
    }
}

static void pause_after(struct gate *gate, const struct gate_door *door, const char *event, int error)
{
    uint32_t suppressed;
    if (log_limit_ok(&gate->accept_log_limit, gate_now(gate), 10 * NS_PER_S, 1, &suppressed))
        log_warn(event, "listener=%u error=\"%s\" suppressed=%u", door->index, strerror(error), suppressed);
    gate->resume_ns = gate_now(gate) + GATE_PAUSE_NS;
    watch_doors(gate, false);
}

static void out_of_descriptors(struct gate *gate, const struct gate_door *door)
{
    int error = errno;
    gate->counts.no_descriptors++;
    if (gate->reserve_fd >= 0) {
        close(gate->reserve_fd);
        int fd = accept4(door->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            gate_turn_away(gate, fd, door->index, no_descriptor);
    }
    gate->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pause_after(gate, door, "gate-no-descriptor", error);
}

/* False: nothing more to accept now. */
static bool accept_one(struct gate *gate, const struct gate_door *door, bool read_now)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t peer_len = sizeof peer;
    int fd = accept4(door->listener.fd, (void *)&peer, &peer_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= gate->fd_limit) {
        gate->counts.no_descriptors++;
        gate_turn_away(gate, fd, door->index, no_descriptor);
        return true;
    }
    if (fd >= 0) {
        gate->counts.accepted++;
        half_open(gate, fd, door->index, (void *)&peer, read_now);
        return true;
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case EINTR:
    case ECONNABORTED:
        return true;
    case EMFILE:
    case ENFILE:
        out_of_descriptors(gate, door);
        return false;
    default:
        gate->counts.accept_errors++;
        pause_after(gate, door, "gate-accept-error", errno);
        return false;
    }
}

static bool may_accept(const struct gate *gate)
{
    return !gate->freed && !gate->paused && gate->resume_ns == 0;
}

/* Never so many that those waiting here would have to give way. */
static bool may_park(const struct gate *gate)
{
    return may_accept(gate) && gate->counts.half_open < gate->config.max_half_open / 2;
}

static void accept_some(struct gate *gate, const struct gate_door *door)
{
    for (unsigned i = 0; i < GATE_READ_BUDGET; i++)
        if (!may_accept(gate) || !accept_one(gate, door, true))
            return;
    for (unsigned i = 0; i < GATE_PARK_BUDGET && may_park(gate); i++)
        if (!accept_one(gate, door, false))
            return;
}

/* --- the loop's callbacks ------------------------------------------------------------------------------------------ */

static void free_memory(struct gate *gate)
{
    wheel_fini(&gate->wheel);
    map_fini(&gate->addresses);
    free(gate->halves);
    free(gate);
}

static void handle_events(struct gate *gate)
{
    struct epoll_event events[GATE_EVENT_BUDGET];
    int count = epoll_wait(gate->epoll_fd, events, GATE_EVENT_BUDGET, 0);
    for (int i = 0; i < count && !gate->freed; i++) {
        const enum gate_target_e *target = events[i].data.ptr;
        if (*target == GATE_TARGET_LISTENER)
            accept_some(gate, events[i].data.ptr);
        else
            half_event(gate, events[i].data.ptr);
    }
}

static void on_readable(uv_poll_t *handle, int status, int what)
{
    (void)status;
    (void)what;
    struct gate *gate = ((struct gate_uv *)handle->data)->gate;
    gate->in_callback = true;
    handle_events(gate);
    gate->in_callback = false;
    if (gate->freed)
        free_memory(gate);
    else
        gate_update_timer(gate);
}

static void on_tick(uv_timer_t *handle)
{
    struct gate *gate = ((struct gate_uv *)handle->data)->gate;
    struct wheel_node *node;
    uint64_t now = gate_now(gate);
    gate->in_callback = true;
    while (!gate->freed && (node = wheel_take(&gate->wheel, now)) != NULL)
        half_timeout(gate, LIST_ENTRY(node, struct half, timer));
    gate->in_callback = false;
    if (gate->freed) {
        free_memory(gate);
        return;
    }
    if (gate->resume_ns != 0 && now >= gate->resume_ns) {
        gate->resume_ns = 0;
        watch_doors(gate, !gate->paused);
    }
    gate_update_timer(gate);
}

void gate_update_timer(struct gate *gate)
{
    uv_timer_t *timer = &gate->uv->timer;
    bool needed = gate->wheel.count > 0 || gate->resume_ns != 0;
    bool active = uv_is_active((uv_handle_t *)timer) != 0;
    if (needed && !active)
        uv_timer_start(timer, on_tick, GATE_TICK_NS / NS_PER_MS, GATE_TICK_NS / NS_PER_MS);
    else if (!needed && active)
        uv_timer_stop(timer);
}

/* --- making and unmaking ------------------------------------------------------------------------------------------ */

static void on_handle_closed(uv_handle_t *handle)
{
    struct gate_uv *uv = handle->data;
    if (--uv->handles == 0)
        free(uv);
}

static enum err_e start_uv(struct gate *gate)
{
    struct gate_uv *uv = calloc(1, sizeof *uv);
    if (uv == NULL)
        return ERR_MEMORY;
    if (uv_poll_init(gate->config.loop, &uv->poll, gate->epoll_fd) != 0) {
        free(uv);
        return ERR_SYSTEM;
    }
    uv_timer_init(gate->config.loop, &uv->timer);
    uv->gate = gate;
    uv->handles = 2;
    uv->poll.data = uv->timer.data = uv;
    uv_poll_start(&uv->poll, UV_READABLE, on_readable);
    gate->uv = uv;
    return ERR_OK;
}

static enum err_e open_door(struct gate *gate, unsigned index)
{
    struct gate_door *door = &gate->doors[index];
    *door = (struct gate_door){GATE_TARGET_LISTENER, index, gate->config.listeners[index]};
    int fd = door->listener.fd, on = 1, size = (int)gate->config.send_buffer_bytes;
    int flags = fcntl(fd, F_GETFL);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = door};
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        (size > 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) != 0) ||
        epoll_ctl(gate->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        log_error("gate-listener", "listener=%u error=\"%s\"", index, strerror(errno));
        return ERR_SYSTEM;
    }
    return ERR_OK;
}

static enum err_e make_halves(struct gate *gate)
{
    uint32_t count = gate->config.max_half_open;
    list_init(&gate->free);
    list_init(&gate->reading);
    list_init(&gate->draining);
    gate->halves = calloc(count, sizeof *gate->halves);
    if (gate->halves == NULL || map_reserve(&gate->addresses, count) != ERR_OK)
        return ERR_MEMORY;
    return wheel_init(&gate->wheel, GATE_TICK_NS, 256, gate_now(gate));
}

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

static int fd_limit(const struct gate *gate)
{
    struct rlimit limit;
    rlim_t reserved = or_default(gate->config.reserved_descriptors, 64);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    return limit.rlim_cur > reserved ? (int)(limit.rlim_cur - reserved) : 0;
}

static enum err_e start(struct gate *gate)
{
    enum err_e err = make_halves(gate);
    if (err != ERR_OK)
        return err;
    gate->fd_limit = fd_limit(gate);
    gate->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    gate->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (gate->epoll_fd < 0 || gate->reserve_fd < 0) {
        log_error("gate-start", "error=\"%s\"", strerror(errno));
        return ERR_SYSTEM;
    }
    for (unsigned i = 0; i < gate->config.listener_count; i++)
        if ((err = open_door(gate, i)) != ERR_OK)
            return err;
    return start_uv(gate);
}

enum err_e gate_new(const struct gate_config *config, struct gate **out)
{
    MUST(config->listener_count <= GATE_LISTENERS_MAX);
    struct gate *gate = calloc(1, sizeof *gate);
    *out = NULL;
    if (gate == NULL)
        return ERR_MEMORY;
    gate->config = *config;
    gate->config.listeners = NULL; /* copied to the doors */
    gate->config.handshake_timeout_ms = or_default(config->handshake_timeout_ms, 5000);
    gate->config.max_half_open = or_default(config->max_half_open, 16384);
    gate->config.max_per_address = or_default(config->max_per_address, 8192);
    gate->config.max_body_bytes = config->max_body_bytes ? config->max_body_bytes : 1u << 20;
    gate->epoll_fd = gate->reserve_fd = -1;
    gate->address_seed = entropy_u64();
    map_init(&gate->addresses);
    gate->config.listeners = config->listeners;
    enum err_e err = start(gate);
    gate->config.listeners = NULL; /* the doors have copies */
    if (err != ERR_OK) {
        gate_free(&gate);
        return err;
    }
    *out = gate;
    return ERR_OK;
}

static void close_halves(struct gate *gate)
{
    if (gate->wheel.slots == NULL) /* never started */
        return;
    LIST_FOREACH (it, &gate->reading)
        half_close(gate, LIST_ENTRY(it, struct half, link));
    LIST_FOREACH (it, &gate->draining)
        half_close(gate, LIST_ENTRY(it, struct half, link));
}

void gate_free(struct gate **gate)
{
    struct gate *g = *gate;
    if (g == NULL)
        return;
    *gate = NULL;
    close_halves(g);
    if (g->uv != NULL) {
        uv_close((uv_handle_t *)&g->uv->poll, on_handle_closed);
        uv_close((uv_handle_t *)&g->uv->timer, on_handle_closed);
    }
    if (g->epoll_fd >= 0)
        close(g->epoll_fd);
    if (g->reserve_fd >= 0)
        close(g->reserve_fd);
    g->freed = true;
    if (!g->in_callback)
        free_memory(g);
}

void gate_pause(struct gate *gate, bool pause)
{
    gate->paused = pause;
    if (gate->resume_ns == 0)
        watch_doors(gate, !pause);
}

const struct gate_counts *gate_counts(const struct gate *gate)
{
    return &gate->counts;
}
