/* The gate's place in the loop: listeners and half-open sockets stand in an epoll set of the gate's own, which the
 * libuv loop watches as one descriptor. So a handshake costs no libuv handle, needs no asynchronous close before
 * libwebsockets registers the same descriptor, and one wake-up has one budget. Time limits hang in a wheel that one
 * timer turns, only while there is something to wait for. */
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

bool gate_may_accept(const struct gate *gate)
{
    return !gate->freed && !gate->paused && gate->resume_ns == 0;
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
            door_accept(gate, events[i].data.ptr);
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
        doors_watch(gate, !gate->paused);
    }
    if (gate->leave_ns != 0 && now >= gate->leave_ns)
        doors_leave_at_last(gate);
    gate_update_timer(gate);
}

void gate_update_timer(struct gate *gate)
{
    uv_timer_t *timer = &gate->uv->timer;
    bool needed = gate->wheel.count > 0 || gate->resume_ns != 0 || gate->leave_ns != 0;
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
    for (unsigned i = 0; i < gate->config.listener_count; i++) {
        const struct gate_listener *listener = &gate->config.listeners[i];
        const struct gate_door door = {.target = GATE_TARGET_LISTENER,
                                       .listener = i,
                                       .fd = listener->fd,
                                       .own = listener->own,
                                       .migrates = listener->migrates,
                                       .owner = GATE_NOBODY};
        gate->plain_http[i] = listener->plain_http;
        if ((err = door_open(gate, &door)) != ERR_OK)
            return err;
    }
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
    gate->config.handshake_timeout_ms = or_default(config->handshake_timeout_ms, 5000);
    gate->config.max_half_open = or_default(config->max_half_open, 16384);
    gate->config.max_per_address = or_default(config->max_per_address, 8192);
    gate->config.max_body_bytes = config->max_body_bytes ? config->max_body_bytes : 1u << 20;
    gate->epoll_fd = gate->reserve_fd = -1;
    gate->address_seed = entropy_u64();
    map_init(&gate->addresses);
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
    doors_fini(g);
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
        doors_watch(gate, !pause);
}

void gate_set(struct gate *gate, const struct gate_settings *settings)
{
    gate->config.handshake_timeout_ms = or_default(settings->handshake_timeout_ms, 5000);
    gate->config.origins = settings->origins;
    gate->config.origin_count = settings->origin_count;
}

const struct gate_counts *gate_counts(const struct gate *gate)
{
    return &gate->counts;
}
