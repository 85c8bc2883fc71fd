/* The engine's place in the loop: sockets of exchanges stand in an epoll set of the engine's own, which the libuv loop
 * watches as one descriptor (as the gate does, and for the same reasons). Time limits hang in a wheel that one timer
 * turns, only while there is something to wait for. Places of exchanges are made at start and used again; an event
 * carries the generation of the life it was asked for, so that one batch of events never reaches a successor. */
#include "http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "http_internal.h"
#include "must.h"

/* Outlives the engine until libuv has closed both handles. */
struct http_uv {
    uv_poll_t poll;
    uv_timer_t timer;
    struct http *http;
    unsigned handles;
};

/* --- exchanges' places and memory ----------------------------------------------------------------------------------- */

void exchange_to_list(struct http_exchange *x, struct list_node *list)
{
    list_remove(&x->link);
    list_append(list, &x->link);
}

/* The oldest of those that were answered already, else of those whose body is not whole: bodies that never end fill the
 * table with their own, while a real one needs a round trip or two. */
static void evict(struct http *http)
{
    struct list_node *list = !list_empty(&http->lingering) ? &http->lingering : &http->reading;
    if (list_empty(list))
        return;
    struct http_exchange *x = LIST_ENTRY(list->next, struct http_exchange, link);
    uint32_t generation = x->generation;
    http->counts.evicted++;
    if (x->state == EXCHANGE_READING)
        http_refuse(x, 503, "too many requests at once");
    if (x->generation == generation)
        exchange_close(x);
}

struct http_exchange *exchange_take(struct http *http)
{
    struct http_exchange *x;
    if (list_empty(&http->free) && http->fresh == http->config.max_exchanges)
        evict(http);
    if (!list_empty(&http->free)) {
        x = LIST_ENTRY(http->free.next, struct http_exchange, link);
    } else if (http->fresh < http->config.max_exchanges) {
        x = &http->exchanges[http->fresh++];
        list_init(&x->link);
        wheel_node_init(&x->timer);
    } else {
        return NULL;
    }
    x->http = http;
    x->state = EXCHANGE_JUDGED;
    http->counts.exchanges++;
    exchange_to_list(x, &http->busy);
    return x;
}

bool exchange_charge(struct http_exchange *x, size_t bytes)
{
    struct http_counts *counts = &x->http->counts;
    if (counts->memory_bytes + bytes > x->http->config.memory_budget_bytes)
        return false;
    counts->memory_bytes += bytes;
    x->charged += bytes;
    return true;
}

void exchange_forget(struct http_exchange *x)
{
    free(x->request);
    free(x->own_origin);
    free(x->body);
    free(x->rest);
    x->request = NULL;
    x->own_origin = x->body = x->rest = NULL;
    x->origin = NULL;
    x->body_have = x->body_cap = x->rest_at = x->rest_len = x->held_left = 0;
    if (x->held != NULL)
        x->held->readers--;
    x->held = NULL;
    x->http->counts.memory_bytes -= x->charged;
    x->charged = 0;
}

void exchange_close(struct http_exchange *x)
{
    struct http *http = x->http;
    MUST(x->state != EXCHANGE_FREE && x->state != EXCHANGE_HANDLING);
    exchange_cancel(x);
    exchange_forget(x);
    identity_put(&x->identity);
    wheel_stop(&http->wheel, &x->timer);
    close(x->fd); /* which takes it out of the epoll set */
    exchange_to_list(x, &http->free);
    *x = (struct http_exchange){
        .http = http, .link = x->link, .timer = x->timer, .generation = x->generation + 1};
    wheel_node_init(&x->timer);
    http->counts.exchanges--;
}

bool exchange_watch(struct http_exchange *x, uint32_t events)
{
    struct http *http = x->http;
    uint64_t index = (uint64_t)(x - http->exchanges);
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)x->generation << 32 | index};
    if (x->watched == events)
        return true;
    int how = x->watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(http->epoll_fd, how, x->fd, &event) != 0)
        return false;
    x->watched = events;
    return true;
}

void exchange_limit(struct http_exchange *x, uint64_t ns)
{
    wheel_start(&x->http->wheel, &x->timer, http_now(x->http) + ns);
    http_update_timer(x->http);
}

/* --- the loop's callbacks ------------------------------------------------------------------------------------------- */

static void on_readable(uv_poll_t *handle, int status, int what)
{
    (void)status;
    (void)what;
    struct http *http = ((struct http_uv *)handle->data)->http;
    struct epoll_event events[HTTP_EVENT_BUDGET];
    int count = epoll_wait(http->epoll_fd, events, HTTP_EVENT_BUDGET, 0);
    for (int i = 0; i < count; i++) {
        struct http_exchange *x = &http->exchanges[(uint32_t)events[i].data.u64];
        if (x->state != EXCHANGE_FREE && x->generation == (uint32_t)(events[i].data.u64 >> 32))
            exchange_event(x, events[i].events);
    }
    http_update_timer(http);
}

static void on_tick(uv_timer_t *handle)
{
    struct http *http = ((struct http_uv *)handle->data)->http;
    struct wheel_node *node;
    uint64_t now = http_now(http);
    while ((node = wheel_take(&http->wheel, now)) != NULL)
        exchange_timeout(LIST_ENTRY(node, struct http_exchange, timer));
    http_update_timer(http);
}

void http_update_timer(struct http *http)
{
    uv_timer_t *timer = &http->uv->timer;
    bool active = uv_is_active((uv_handle_t *)timer) != 0;
    if (http->wheel.count > 0 && !active)
        uv_timer_start(timer, on_tick, HTTP_TICK_NS / NS_PER_MS, HTTP_TICK_NS / NS_PER_MS);
    else if (http->wheel.count == 0 && active)
        uv_timer_stop(timer);
}

/* --- making and unmaking -------------------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct http_uv *uv = handle->data;
    if (--uv->handles == 0)
        free(uv);
}

static enum err_e start_uv(struct http *http)
{
    struct http_uv *uv = calloc(1, sizeof *uv);
    if (uv == NULL)
        return ERR_MEMORY;
    if (uv_poll_init(http->config.loop, &uv->poll, http->epoll_fd) != 0) {
        free(uv);
        return ERR_SYSTEM;
    }
    uv_timer_init(http->config.loop, &uv->timer);
    uv->http = http;
    uv->handles = 2;
    uv->poll.data = uv->timer.data = uv;
    uv_poll_start(&uv->poll, UV_READABLE, on_readable);
    http->uv = uv;
    return ERR_OK;
}

static enum err_e start(struct http *http)
{
    http->exchanges = calloc(http->config.max_exchanges, sizeof *http->exchanges);
    if (http->exchanges == NULL || wheel_init(&http->wheel, HTTP_TICK_NS, 256, http_now(http)) != ERR_OK)
        return ERR_MEMORY;
    http->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (http->epoll_fd < 0) {
        log_error("http-start", "error=\"%s\"", strerror(errno));
        return ERR_SYSTEM;
    }
    return start_uv(http);
}

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

enum err_e http_new(const struct http_config *config, struct http **out)
{
    struct http *http = calloc(1, sizeof *http);
    *out = NULL;
    if (http == NULL)
        return ERR_MEMORY;
    http->config = *config;
    http->config.max_exchanges = or_default(config->max_exchanges, 4096);
    http->config.max_body_bytes = or_default(config->max_body_bytes, 65536);
    http->config.body_timeout_ms = or_default(config->body_timeout_ms, 10000);
    http->config.write_timeout_ms = or_default(config->write_timeout_ms, 10000);
    http->config.linger_ms = or_default(config->linger_ms, 2000);
    if (config->memory_budget_bytes == 0)
        http->config.memory_budget_bytes = 16u << 20;
    http->epoll_fd = -1;
    list_init(&http->free);
    list_init(&http->reading);
    list_init(&http->busy);
    list_init(&http->lingering);
    enum err_e err = start(http);
    if (err != ERR_OK) {
        http_free(&http);
        return err;
    }
    *out = http;
    return ERR_OK;
}

void http_set_max_body(struct http *http, uint32_t bytes)
{
    http->config.max_body_bytes = or_default(bytes, 65536);
}

static void close_all(struct list_node *list)
{
    while (!list_empty(list))
        exchange_close(LIST_ENTRY(list->next, struct http_exchange, link));
}

void http_free(struct http **out)
{
    struct http *http = *out;
    if (http == NULL)
        return;
    *out = NULL;
    close_all(&http->reading);
    close_all(&http->busy);
    close_all(&http->lingering);
    if (http->uv != NULL) {
        uv_close((uv_handle_t *)&http->uv->poll, on_handle_closed);
        uv_close((uv_handle_t *)&http->uv->timer, on_handle_closed);
    }
    if (http->epoll_fd >= 0)
        close(http->epoll_fd);
    wheel_fini(&http->wheel);
    free(http->exchanges);
    free(http);
}

void http_drop_readers(struct http *http, const struct http_held *held)
{
    for (struct list_node *it = http->busy.next, *next; it != &http->busy; it = next) {
        struct http_exchange *x = LIST_ENTRY(it, struct http_exchange, link);
        next = it->next;
        if (x->held != held)
            continue;
        http->counts.evicted++;
        exchange_close(x);
    }
}

void http_stop(struct http *http)
{
    http->stopping = true;
    while (!list_empty(&http->reading))
        http_refuse(LIST_ENTRY(http->reading.next, struct http_exchange, link), 503,
                    "the server is stopping");
}

static uint32_t length(const struct list_node *list)
{
    uint32_t n = 0;
    for (const struct list_node *it = list->next; it != list; it = it->next)
        n++;
    return n;
}

uint32_t http_busy(const struct http *http)
{
    return length(&http->busy) + length(&http->reading);
}

const struct http_counts *http_counts(const struct http *http)
{
    return &http->counts;
}
