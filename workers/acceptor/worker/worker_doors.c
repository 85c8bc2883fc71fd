/* Hop: C1, D11. Connections from the gate, through ws, to the endpoint of their listener. */
#include <string.h>

#include "log.h"
#include "must.h"
#include "worker.h"

/* --- the gate asks ---------------------------------------------------------------------------------------------------- */

static bool path_known(void *arg, unsigned listener, const char *path)
{
    struct worker *w = arg;
    return w->endpoints[listener].dialect->path_served(path, strlen(path));
}

static bool has_room(void *arg)
{
    struct worker *w = arg;
    return w->conf->max_connections == 0 || ws_count(w->ws) < w->conf->max_connections;
}

static void accepted(void *arg, int fd, const struct gate_request *request, unsigned listener)
{
    struct worker *w = arg;
    (void)ws_adopt(w->ws, fd, request, listener); /* counted there */
}

/* --- ws tells ----------------------------------------------------------------------------------------------------------- */

static bool on_open(void *arg, struct ws_conn *conn, const struct gate_request *request, unsigned listener)
{
    struct worker *w = arg;
    struct endpoint *endpoint = &w->endpoints[listener];
    struct endpoint_request told = {request->path, request->query, endpoint->listener, ""};
    host_open(endpoint, ws_user(conn), conn, ws_serial(conn), &told);
    return true;
}

static void on_message(void *arg, struct ws_conn *conn, const char *data, size_t len, bool binary)
{
    (void)arg;
    host_message(ws_user(conn), data, len, binary);
}

static void on_writable(void *arg, struct ws_conn *conn)
{
    (void)arg;
    host_writable(ws_user(conn));
}

static void on_closed(void *arg, struct ws_conn *conn)
{
    (void)arg;
    host_closed(ws_user(conn));
}

/* --- the outbox's sink ---------------------------------------------------------------------------------------------------- */

static enum err_e sink_writev(void *sink, const struct iovec *pieces, int count, size_t *taken)
{
    return ws_writev(sink, pieces, count, taken);
}

static bool sink_can_write(void *sink)
{
    return ws_can_write(sink);
}

static void sink_close(void *sink, unsigned code, const char *reason)
{
    ws_close(sink, (enum ws_close_e)code, reason);
}

const struct outbox_sink worker_sink = {sink_writev, sink_can_write, sink_close};

/* --- opening ------------------------------------------------------------------------------------------------------------------ */

static size_t largest_conn(const struct worker *w)
{
    size_t largest = 0;
    for (unsigned i = 0; i < w->listener_count; i++) {
        size_t bytes = host_conn_bytes(w->endpoints[i].dialect);
        largest = bytes > largest ? bytes : largest;
    }
    return largest;
}

enum err_e worker_open_doors(struct worker *w)
{
    static const struct ws_events events = {on_open, on_message, on_writable, on_closed};
    const uint32_t send_buffer_bytes = 128 * 1024;
    struct ws_config ws = {.loop = &w->loop,
                           .clock = w->clock,
                           .user_bytes = largest_conn(w),
                           .max_message_bytes = w->conf->max_message_bytes,
                           .ping_interval_ms = w->conf->ping_interval_ms,
                           .ping_timeout_ms = w->conf->ping_timeout_ms,
                           .events = &events,
                           .arg = w};
    struct gate_config gate = {.loop = &w->loop,
                               .clock = w->clock,
                               .listeners = w->sockets,
                               .listener_count = w->listener_count,
                               .handshake_timeout_ms = w->conf->handshake_timeout_ms,
                               .send_buffer_bytes = send_buffer_bytes,
                               .origins = w->conf->allowed_origins,
                               .origin_count = w->conf->allowed_origin_count,
                               .path_known = path_known,
                               .has_room = has_room,
                               .accepted = accepted,
                               .arg = w};
    enum err_e err = ws_new(&ws, &w->ws);
    return err != ERR_OK ? err : gate_new(&gate, &w->gate);
}
