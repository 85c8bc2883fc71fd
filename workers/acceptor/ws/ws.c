/* libwebsockets as a guest: its context on the worker's loop, the adoption of a judged socket, and its callbacks.
 *
 * What it is told about the request is one fixed head with the client's key (and, if a token came that way, the
 * subprotocol "bearer"); no other byte of a stranger reaches it, neither now nor later (ws_read.c). The upgrade happens inside ws_adopt().
 * Its logging is off: it reports every adoption as an error. Traps and figures: README.md. */
#include "ws.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate_head.h"
#include "ws_internal.h"

#define RX_BUFFER_BYTES 16u /* of every connection; nothing is ever read into it, ws_read.c */

/* --- callbacks ----------------------------------------------------------------------------------------------------- */

/* The first sign of the wsi that ws_adopt() makes (and of libwebsockets' own event pipe, before). */
static void on_created(struct lws *wsi)
{
    struct ws *ws = lws_context_user(lws_get_context(wsi));
    struct ws_conn *conn = ws->adopting;
    if (conn == NULL || conn->wsi != NULL)
        return;
    conn->wsi = wsi;
    lws_set_wsi_user(wsi, conn);
}

static int on_established(struct ws_conn *conn)
{
    struct ws *ws = conn->ws;
    conn->fd = lws_get_socket_fd(conn->wsi);
    conn_set_state(conn, CONN_OPEN);
    if (!conn_start_reading(conn)) {
        conn_set_state(conn, CONN_CLOSING);
        return -1;
    }
    if (!ws->config.events->open(ws->config.arg, conn, ws->request, ws->listener)) {
        if (conn->state == CONN_OPEN)
            conn_set_state(conn, CONN_CLOSING);
        return -1;
    }
    conn->told_open = true;
    ws->open_count++;
    ws->counts.opened++;
    if (conn->state == CONN_OPEN)
        conn_start_pings(conn);
    return 0;
}

static void on_destroyed(struct ws_conn *conn)
{
    conn_gone(conn);
    conn_free(conn);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct ws_conn *conn = user;
    (void)in;
    (void)len;
    if (reason == LWS_CALLBACK_WSI_CREATE)
        on_created(wsi);
    if (conn == NULL)
        return 0;
    switch ((int)reason) {
    case LWS_CALLBACK_ESTABLISHED:
        return on_established(conn);
    case LWS_CALLBACK_RECEIVE:
        return -1; /* it has read past ws_read.c */
    case LWS_CALLBACK_SERVER_WRITEABLE:
        conn_writeable(conn);
        return 0;
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
        conn_library_closes(conn);
        return 0;
    case LWS_CALLBACK_CLOSED:
        conn_gone(conn);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        on_destroyed(conn);
        return 0;
    default:
        return 0;
    }
}

/* --- adoption ------------------------------------------------------------------------------------------------------ */

static size_t normal_head(const struct gate_request *request, char *out, size_t size)
{
    int len = snprintf(out, size,
                       "GET / HTTP/1.1\r\nHost: noria\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                       request->key, request->protocol ? "Sec-WebSocket-Protocol: bearer\r\n" : "");
    MUST(len > 0 && (size_t)len < size);
    return (size_t)len;
}

enum err_e ws_adopt(struct ws *ws, int fd, const struct gate_request *request, unsigned listener)
{
    char head[512];
    MUST(ws->adopting == NULL && request->upgrade);
    size_t len = normal_head(request, head, sizeof head);
    struct ws_conn *conn = conn_new(ws);
    if (conn == NULL) {
        ws->counts.adopt_errors++;
        close(fd);
        return ERR_MEMORY;
    }
    ws->adopting = conn;
    ws->request = request;
    ws->listener = listener;
    struct lws *wsi = lws_adopt_socket_vhost_readbuf(ws->vhost, fd, head, len);
    ws->adopting = NULL;
    ws->request = NULL;
    if (conn->wsi == NULL) { /* not even begun; libwebsockets has closed the descriptor */
        conn_set_state(conn, CONN_GONE);
        conn_free(conn);
    }
    if (wsi != NULL && conn->state > CONN_ADOPTING) {
        if (request->behind_len > 0)
            conn_feed(conn, request->behind, request->behind_len);
        return ERR_OK;
    }
    ws->counts.adopt_errors++;
    if (wsi != NULL)
        conn_kill(conn); /* it put the head off, for want of memory */
    return ERR_CLOSED;
}

/* --- context ------------------------------------------------------------------------------------------------------- */

static void describe_protocols(struct ws *ws)
{
    static const char *const names[] = {"noria", "bearer"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ws->protocols[i] = (struct lws_protocols){.name = names[i],
                                                  .callback = on_event,
                                                  .rx_buffer_size = RX_BUFFER_BYTES,
                                                  .tx_packet_size = 1u << 20};
}

static enum err_e make_context(struct ws *ws)
{
    struct lws_context_creation_info info = {0};
    lws_set_log_level(0, NULL);
    describe_protocols(ws);
    ws->foreign_loop = ws->config.loop;
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = ws->protocols;
    info.gid = info.uid = -1;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    info.foreign_loops = &ws->foreign_loop;
    info.user = ws;
    info.retry_and_idle_policy = &ws->no_retry;
    info.max_http_header_data = 1024;
    info.max_http_header_pool = 4;
    ws->context = lws_create_context(&info);
    if (ws->context == NULL) {
        log_error("ws-start", "reason=\"libwebsockets made no context; is its libuv plugin installed?\"");
        return ERR_SYSTEM;
    }
    info.vhost_name = "noria";
    ws->vhost = lws_create_vhost(ws->context, &info);
    return ws->vhost ? ERR_OK : ERR_SYSTEM;
}

static enum err_e start(struct ws *ws)
{
    enum err_e err = conns_init(ws);
    if (err == ERR_OK)
        err = ticks_init(ws);
    if (err == ERR_OK)
        err = reader_init(ws);
    return err == ERR_OK ? make_context(ws) : err;
}

enum err_e ws_new(const struct ws_config *config, struct ws **out)
{
    struct ws *ws = calloc(1, sizeof *ws);
    *out = NULL;
    if (ws == NULL)
        return ERR_MEMORY;
    ws->config = *config;
    if (ws->config.clock == NULL)
        ws->config.clock = clock_system();
    if (ws->config.message_budget_bytes == 0)
        ws->config.message_budget_bytes = 16u << 20;
    enum err_e err = start(ws);
    if (err != ERR_OK) {
        ws_free(&ws);
        return err;
    }
    *out = ws;
    return ERR_OK;
}

static void note_closing(uv_handle_t *handle, void *arg)
{
    if (uv_is_closing(handle))
        *(bool *)arg = true;
}

/* libuv finishes closing handles in the loop's iterations; their memory belongs to libwebsockets and to us. */
static void finish_closing(uv_loop_t *loop)
{
    bool closing;
    do {
        closing = false;
        uv_run(loop, UV_RUN_NOWAIT);
        uv_walk(loop, note_closing, &closing);
    } while (closing);
}

void ws_free(struct ws **ws)
{
    struct ws *w = *ws;
    if (w == NULL)
        return;
    *ws = NULL;
    if (w->context != NULL) {
        lws_context_destroy(w->context); /* on a foreign loop: starts closing; */
        finish_closing(w->config.loop);
        lws_context_destroy(w->context); /* now frees the rest */
    }
    ticks_fini(w);
    reader_fini(w);
    finish_closing(w->config.loop);
    wheel_fini(&w->wheel);
    conns_fini(w);
    free(w);
}

/* --- small ones ---------------------------------------------------------------------------------------------------- */

size_t ws_count(const struct ws *ws)
{
    return ws->open_count;
}

size_t ws_open_count(const struct ws *ws)
{
    return ws->in_open;
}

struct ws_conn *ws_next(const struct ws *ws, size_t *cursor)
{
    return conn_next(ws, cursor);
}

/* --- other limits --------------------------------------------------------------------------------------------------- */

static void take_limits(struct ws_conn *conn, bool other_interval, bool other_rate)
{
    if (other_rate && conn->resume_ns != 0) {
        conn->paid_until_ns = 0;
        conn_resume(conn);
    }
    if (other_interval && conn->ws->config.ping_interval_ms == 0)
        conn->waiting_since_ns = 0;
    else if (other_interval)
        conn_start_pings(conn);
    else
        conn_schedule(conn);
}

void ws_set_limits(struct ws *ws, const struct ws_limits *limits)
{
    bool other_interval = limits->ping_interval_ms != ws->config.ping_interval_ms;
    bool other_timeout = limits->ping_timeout_ms != ws->config.ping_timeout_ms;
    bool other_rate = limits->max_messages_per_s != ws->config.max_messages_per_s;
    size_t cursor = 0;
    ws->config.max_message_bytes = limits->max_message_bytes;
    ws->config.ping_interval_ms = limits->ping_interval_ms;
    ws->config.ping_timeout_ms = limits->ping_timeout_ms;
    ws->config.max_messages_per_s = limits->max_messages_per_s;
    if (other_interval || other_timeout)
        ticks_changed(ws);
    for (struct ws_conn *conn;
         (other_interval || other_timeout || other_rate) && (conn = conn_next(ws, &cursor)) != NULL;)
        take_limits(conn, other_interval, other_rate);
}

void *ws_user(struct ws_conn *conn)
{
    return conn->user;
}

void ws_peer_name(const struct ws_conn *conn, char name[GATE_PEER_MAX])
{
    gate_peer_name(conn->fd, name);
}

uint64_t ws_serial(const struct ws_conn *conn)
{
    return conn->serial;
}

const struct ws_counts *ws_counts(const struct ws *ws)
{
    return &ws->counts;
}
