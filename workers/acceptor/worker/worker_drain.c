/* A worker that is told to go: takes nobody in any more, finishes what was begun, tells its clients one by one, ends (Hop: C1).
 *
 *     DRAIN, SIGUSR1 ─▶ DRAINING to the launcher, doors closed (gate_leave())
 *                       ├─ heads that are being read: served, as always
 *                       ├─ plain requests: finished
 *                       ├─ WebSockets: 1012, spread over the window (drain.h); what a client is owed first; who waits for an answer last
 *                       └─ messages of clients on their way to the broker: given to it
 *     empty, or the window is over ─▶ worker_stop(): GOODBYE, exit 0
 *
 * Counting from the end of the window nothing takes longer than LATE_NS here and a stop's own limit behind it, so that who waits for the end (the
 * launcher: window + 5 s) sees it. SIGTERM meanwhile stops at once. A second request changes nothing, and is answered. */
#include "log.h"
#include "must.h"
#include "worker.h"

#define TURN_MS 5u
#define TURN_NS (2 * NS_PER_MS) /* of each TURN_MS: records and commands are served in between */
#define LATE_NS (1 * NS_PER_S)  /* for heads and messages that are still under way at the window's end */
#define RESTART "service restart"

/* --- clients, as a drain sees them ----------------------------------------------------------------------------------- */

static size_t open_count(void *arg)
{
    const struct worker *w = arg;
    return ws_open_count(w->ws);
}

static uint64_t opened_count(void *arg)
{
    const struct worker *w = arg;
    return ws_counts(w->ws)->opened;
}

static void *next_conn(void *arg, size_t *cursor)
{
    const struct worker *w = arg;
    return ws_next(w->ws, cursor);
}

static bool fit(void *arg, void *conn)
{
    (void)arg;
    struct client *client = worker_client_of(conn);
    return client == NULL || (host_flush(client) && !host_is_waiting(client));
}

static void go(void *arg, void *conn)
{
    (void)arg;
    struct client *client = worker_client_of(conn);
    if (client != NULL) {
        host_going_away(client);
        host_close(client, WS_CLOSE_RESTARTING, RESTART);
    }
    ws_close(conn, WS_CLOSE_RESTARTING, RESTART); /* nothing, if that has closed it */
}

/* --- the end ---------------------------------------------------------------------------------------------------------- */

static bool all_came_in(const struct worker *w)
{
    return gate_has_left(w->gate) && gate_counts(w->gate)->half_open == 0;
}

static bool all_was_sent(const struct worker *w)
{
    return publish_window_count(&w->host.publishing.window) == 0;
}

static bool may_end(const struct worker *w, bool told)
{
    uint64_t late_ns = w->drain.start_ns + w->drain.window_ns + LATE_NS;
    bool through = all_came_in(w) && all_was_sent(w);
    if (through && worker_doors_empty(w))
        return true;
    return told && gate_has_left(w->gate) && (through || clock_mono_ns(w->clock) >= late_ns);
}

static void on_turn(uv_timer_t *timer)
{
    struct worker *w = timer->data;
    bool told = drain_turn(&w->drain, TURN_NS);
    if (!may_end(w, told))
        return;
    log_info("drained", "told=%llu late=%llu took_ms=%llu", (unsigned long long)w->drain.told,
             (unsigned long long)w->drain.told_late,
             (unsigned long long)((clock_mono_ns(w->clock) - w->drain.start_ns) / NS_PER_MS));
    worker_stop(w, 0);
}

/* --- the beginning ---------------------------------------------------------------------------------------------------- */

void worker_drain(struct worker *w, uint32_t window_ms)
{
    static const struct drain_ops ops = {open_count, opened_count, next_conn, fit, go};
    worker_tell_draining(w);
    if (w->draining || w->stopping)
        return;
    w->draining = true;
    log_info("draining", "window_ms=%u clients=%zu", window_ms, w->ws != NULL ? ws_open_count(w->ws) : 0);
    if (!w->serving) { /* nobody came in yet */
        worker_stop(w, 0);
        return;
    }
    gate_leave(w->gate);
    drain_begin(&w->drain, &ops, w, w->clock, window_ms);
    uv_timer_start(&w->drain_timer, on_turn, 0, TURN_MS);
}
