/* Pings, their limits and close limits, all on one wheel that one libuv timer turns.
 *
 * A ping is a constant frame written like any other, not LWS_WRITE_PING: that would need a WRITEABLE round and a
 * buffer with room before it, and costs three times as much. It carries two ASCII bytes, because libwebsockets
 * reports no pong without payload. Anything heard within the limit counts as an answer. A client that takes nothing
 * (its remainder waits) gets no ping but the same limit: who reads nothing cannot answer either. */
#include "ws_internal.h"

static const char ping_frame[] = {(char)0x89, 2, 'h', 'i'};

#define TICK_MAX_MS 100u
#define TICK_MIN_MS 5u

static uint32_t tick_ms(const struct ws_config *config)
{
    uint32_t shortest = TICK_MAX_MS * 8;
    if (config->ping_interval_ms > 0 && config->ping_interval_ms < shortest)
        shortest = config->ping_interval_ms;
    if (config->ping_timeout_ms > 0 && config->ping_timeout_ms < shortest)
        shortest = config->ping_timeout_ms;
    return shortest / 8 < TICK_MIN_MS ? TICK_MIN_MS : shortest / 8;
}

static bool send_ping(struct ws_conn *conn, uint64_t now)
{
    struct ws *ws = conn->ws;
    if (ws_can_write(conn)) {
        if (!conn_send_control(conn, ping_frame, sizeof ping_frame))
            return false;
        ws->counts.pings++;
    }
    if (conn->waiting_since_ns == 0)
        conn->waiting_since_ns = now;
    conn->next_ping_ns = now + ws->config.ping_interval_ms * NS_PER_MS;
    return true;
}

static uint64_t next_due(const struct ws_conn *conn)
{
    const struct ws_config *config = &conn->ws->config;
    uint64_t due = config->ping_interval_ms > 0 ? conn->next_ping_ns : UINT64_MAX;
    if (conn->waiting_since_ns != 0 && conn->waiting_since_ns + config->ping_timeout_ms * NS_PER_MS < due)
        due = conn->waiting_since_ns + config->ping_timeout_ms * NS_PER_MS;
    return conn->resume_ns != 0 && conn->resume_ns < due ? conn->resume_ns : due;
}

void conn_schedule(struct ws_conn *conn)
{
    uint64_t due = next_due(conn);
    if (due != UINT64_MAX)
        conn_start_timer(conn, due);
}

/* False: the connection is no longer open. */
static bool ping_if_due(struct ws_conn *conn, uint64_t now)
{
    struct ws *ws = conn->ws;
    if (ws->config.ping_interval_ms == 0)
        return true;
    if (conn->waiting_since_ns != 0 &&
        now >= conn->waiting_since_ns + ws->config.ping_timeout_ms * NS_PER_MS) {
        ws->counts.ping_timeouts++;
        conn_close_now(conn, WS_CLOSE_POLICY, "no pong");
        return false;
    }
    return now < conn->next_ping_ns || send_ping(conn, now);
}

/* Whoever is not read cannot be heard: a pause, or being held, counts as an answer. */
static void open_due(struct ws_conn *conn, uint64_t now)
{
    if (conn->resume_ns != 0 || conn->held)
        conn_heard(conn);
    if (conn->resume_ns != 0 && now >= conn->resume_ns)
        conn_resume(conn);
    if (ping_if_due(conn, now))
        conn_schedule(conn);
}

static void on_limit(struct ws_conn *conn, uint64_t now)
{
    if (conn->state == CONN_CLOSING)
        conn_kill(conn);
    else if (conn->state == CONN_OPEN)
        open_due(conn, now);
}

static void on_tick(uv_timer_t *timer)
{
    struct ws *ws = timer->data;
    uint64_t now = ws_now(ws);
    struct wheel_node *node;
    while ((node = wheel_take(&ws->wheel, now)) != NULL)
        on_limit(LIST_ENTRY(node, struct ws_conn, timer), now);
    if (ws->wheel.count == 0)
        uv_timer_stop(timer);
}

/* The timer runs only while there is something to wait for. */
static void start_ticks(struct ws *ws)
{
    uint32_t period = tick_ms(&ws->config);
    if (!uv_is_active((uv_handle_t *)&ws->tick))
        uv_timer_start(&ws->tick, on_tick, period, period);
}

void conn_start_timer(struct ws_conn *conn, uint64_t due_ns)
{
    wheel_start(&conn->ws->wheel, &conn->timer, due_ns);
    start_ticks(conn->ws);
}

void ticks_changed(struct ws *ws)
{
    if (uv_is_active((uv_handle_t *)&ws->tick))
        uv_timer_start(&ws->tick, on_tick, tick_ms(&ws->config), tick_ms(&ws->config));
}

/* Connections that came together are pinged spread over the last quarter of their first interval. */
void conn_start_pings(struct ws_conn *conn)
{
    struct ws *ws = conn->ws;
    uint64_t interval = ws->config.ping_interval_ms * NS_PER_MS;
    if (interval == 0)
        return;
    uint64_t early = (conn->serial * 0x9e3779b97f4a7c15ULL >> 16) % (interval / 4 + 1);
    conn->next_ping_ns = ws_now(ws) + interval - early;
    conn_schedule(conn);
}

enum err_e ticks_init(struct ws *ws)
{
    if (uv_timer_init(ws->config.loop, &ws->tick) != 0)
        return ERR_SYSTEM;
    ws->tick.data = ws;
    ws->tick_open = true;
    return wheel_init(&ws->wheel, tick_ms(&ws->config) * NS_PER_MS, 512, ws_now(ws));
}

void ticks_fini(struct ws *ws)
{
    if (ws->tick_open)
        uv_close((uv_handle_t *)&ws->tick, NULL);
    ws->tick_open = false;
}
