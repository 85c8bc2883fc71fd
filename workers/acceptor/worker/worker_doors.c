/* Hop: C1, D11. Connections from the gate: upgrades through ws to the first endpoint of their listener that serves the
 * path, plain requests through http to REST. Who must bring a token is asked for it here, whatever the dialect: a WebSocket
 * without a good one is opened and closed with 1008 before its dialect knows of it, so that a browser can read why. */
#include <string.h>

#include "log.h"
#include "must.h"
#include "worker.h"

#define BAD_TOKEN     "Token inv\xc3\xa1lido"
#define EXPIRED_TOKEN "Token expirado"

/* --- the gate asks ---------------------------------------------------------------------------------------------------- */

static struct endpoint *endpoint_at(struct worker *w, unsigned listener, const char *path)
{
    struct worker_listener *l = &w->listeners[listener];
    for (unsigned i = 0; i < l->endpoint_count; i++)
        if (l->endpoints[i].dialect->path_served(&l->endpoints[i], path, strlen(path)))
            return &l->endpoints[i];
    return NULL;
}

static bool path_known(void *arg, unsigned listener, const char *path)
{
    return endpoint_at(arg, listener, path) != NULL;
}

/* For requests http sees to itself, in its own words. */
static bool has_room(void *arg, bool upgrade)
{
    struct worker *w = arg;
    return !upgrade || w->conf->max_connections == 0 || ws_count(w->ws) < w->conf->max_connections;
}

static void accepted(void *arg, int fd, const struct gate_request *request, unsigned listener)
{
    struct worker *w = arg;
    if (request->upgrade)
        (void)ws_adopt(w->ws, fd, request, listener); /* counted there */
    else
        http_adopt(w->http, fd, request, &w->listeners[listener].site);
}

/* --- who comes -------------------------------------------------------------------------------------------------------- */

/* Nobody, where nobody needs to be anybody. NULL: a token is needed, and this is none. */
static const struct identity *identity_of(struct worker *w, const struct worker_listener *listener,
                                          const struct endpoint *endpoint, const struct gate_request *request)
{
    bool secure = endpoint->dialect->path_secure != NULL &&
                  endpoint->dialect->path_secure(endpoint, request->path, strlen(request->path));
    return listener->conf->auth_required || secure ? access_identify(w->access, request->token)
                                                   : identity_get(identity_nobody());
}

static const struct identity *site_identify(void *arg, const char *token)
{
    struct worker *w = arg;
    return access_identify(w->access, token);
}

/* --- ws tells ----------------------------------------------------------------------------------------------------------- */

struct client *worker_client_of(struct ws_conn *conn)
{
    struct client *client = ws_user(conn);
    return client->magic != 0 ? client : NULL;
}

/* A connection whose end nobody could see to does not begin. */
static void watch_expiry(struct worker *w, struct client *client, uint64_t serial, uint64_t expires_ms)
{
    if (expiry_watch(&w->expiry, serial, expires_ms, client) == ERR_OK)
        return;
    log_error("token-watch", "session=%016llx.%llu error=\"out of memory\" connection closed",
              (unsigned long long)w->incarnation, (unsigned long long)serial);
    host_close(client, WS_CLOSE_TRY_LATER, "out of memory");
}

static void on_expired(void *arg, void *what)
{
    struct worker *w = arg;
    w->tokens_expired++;
    host_close(what, WS_CLOSE_POLICY, EXPIRED_TOKEN);
}

void worker_doors_tick(struct worker *w)
{
    if (w->ws != NULL)
        expiry_sweep(&w->expiry);
}

static bool on_open(void *arg, struct ws_conn *conn, const struct gate_request *request, unsigned listener)
{
    struct worker *w = arg;
    struct endpoint *endpoint = endpoint_at(w, listener, request->path);
    MUST(endpoint != NULL); /* the gate asked path_known() */
    const struct identity *identity = identity_of(w, &w->listeners[listener], endpoint, request);
    if (identity == NULL) {
        ws_close(conn, WS_CLOSE_POLICY, BAD_TOKEN);
        return true;
    }
    struct endpoint_request told = {request->path, request->query, endpoint->listener, identity};
    struct client *client = host_open(endpoint, ws_user(conn), conn, ws_serial(conn), &told);
    if (identity_expires_ms(identity) != IDENTITY_NEVER)
        watch_expiry(w, client, ws_serial(conn), identity_expires_ms(identity));
    identity_put(&identity); /* the connection has its own */
    return true;
}

static void on_message(void *arg, struct ws_conn *conn, const char *data, size_t len, bool binary)
{
    (void)arg;
    if (worker_client_of(conn) != NULL)
        host_message(worker_client_of(conn), data, len, binary);
}

static void on_writable(void *arg, struct ws_conn *conn)
{
    (void)arg;
    if (worker_client_of(conn) != NULL)
        host_writable(worker_client_of(conn));
}

static void on_settle(void *arg, struct ws_conn *conn)
{
    (void)arg;
    if (worker_client_of(conn) != NULL)
        host_settle(worker_client_of(conn));
}

static void on_closed(void *arg, struct ws_conn *conn)
{
    struct worker *w = arg;
    expiry_forget(&w->expiry, ws_serial(conn));
    if (worker_client_of(conn) != NULL)
        host_closed(worker_client_of(conn));
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

_Static_assert(CALLER_FROM_MAX >= GATE_PEER_MAX, "a name fits");

void worker_peer_name(void *sink, char from[CALLER_FROM_MAX])
{
    ws_peer_name(sink, from);
}

void worker_hold(void *sink, bool hold)
{
    if (hold)
        ws_hold(sink);
    else
        ws_release(sink);
}

void worker_charge(void *sink, unsigned messages)
{
    ws_charge(sink, messages);
}

const struct outbox_sink worker_sink = {sink_writev, sink_can_write, sink_close};

/* --- opening ------------------------------------------------------------------------------------------------------------------ */

static size_t largest_conn(const struct worker *w)
{
    size_t largest = sizeof(struct client); /* client_of() looks at it */
    for (unsigned i = 0; i < w->listener_count; i++) {
        const struct worker_listener *l = &w->listeners[i];
        for (unsigned k = 0; k < l->endpoint_count; k++) {
            size_t bytes = host_conn_bytes(l->endpoints[k].dialect);
            largest = bytes > largest ? bytes : largest;
        }
    }
    return largest;
}

static enum err_e open_ws(struct worker *w)
{
    static const struct ws_events events = {on_open, on_message, on_writable, on_closed, on_settle};
    struct ws_config config = {.loop = &w->loop,
                               .clock = w->clock,
                               .user_bytes = largest_conn(w),
                               .max_message_bytes = w->conf->max_message_bytes,
                               .max_messages_per_s = w->conf->max_messages_per_s,
                               .ping_interval_ms = w->conf->ping_interval_ms,
                               .ping_timeout_ms = w->conf->ping_timeout_ms,
                               .events = &events,
                               .arg = w};
    enum err_e err = expiry_init(&w->expiry, w->clock, on_expired, w);
    return err == ERR_OK ? ws_new(&config, &w->ws) : err;
}

static enum err_e open_login(struct worker *w)
{
    const struct login_config config = {
        .loop = &w->loop, .clock = w->clock, .conf = w->conf, .access = w->access};
    return login_new(&config, &w->login);
}

static void serve(struct worker_listener *listener, const struct http_api *api)
{
    MUST(listener->api_count < WORKER_APIS_MAX);
    listener->apis[listener->api_count++] = api;
}

static enum err_e open_http(struct worker *w)
{
    struct http_config config = {
        .loop = &w->loop, .clock = w->clock, .max_body_bytes = w->conf->max_body_bytes};
    w->rest_endpoint = (struct endpoint){.host = &w->host, .listener = "rest"};
    struct rest_config rest = {.host = &w->host, .endpoint = &w->rest_endpoint};
    struct sensors_config sensors = {.endpoint = &w->rest_endpoint, .needs_token = w->conf->rest_auth};
    enum err_e err = rest_new(&rest, &w->rest);
    if (err == ERR_OK)
        err = sensors_new(&sensors, &w->sensors);
    if (err == ERR_OK)
        err = http_new(&config, &w->http);
    if (err == ERR_OK)
        err = open_login(w);
    if (err == ERR_OK)
        err = worker_open_ops(w);
    for (unsigned i = 0; err == ERR_OK && i < w->listener_count; i++) {
        struct worker_listener *l = &w->listeners[i];
        if (l->rest)
            serve(l, rest_api(w->rest));
        if (l->sensors)
            serve(l, sensors_api(w->sensors));
        if (l->login)
            serve(l, login_api(w->login));
        if (l->ops)
            worker_serve_ops(w, l);
        l->site = (struct http_site){.apis = l->apis,
                                     .api_count = l->api_count,
                                     .identify = site_identify,
                                     .needs_token = l->conf->auth_required,
                                     .arg = w};
    }
    return err;
}

static enum err_e open_gate(struct worker *w)
{
    const uint32_t send_buffer_bytes = 128 * 1024;
    struct gate_config config = {.loop = &w->loop,
                                 .clock = w->clock,
                                 .listeners = w->sockets,
                                 .listener_count = w->listener_count,
                                 .handshake_timeout_ms = w->conf->handshake_timeout_ms,
                                 .send_buffer_bytes = send_buffer_bytes,
                                 .max_body_bytes = UINT64_MAX, /* http answers that */
                                 .origins = w->conf->allowed_origins,
                                 .origin_count = w->conf->allowed_origin_count,
                                 .path_known = path_known,
                                 .has_room = has_room,
                                 .accepted = accepted,
                                 .arg = w};
    return gate_new(&config, &w->gate);
}

static struct gate_settings gate_settings(const struct worker *w)
{
    return (struct gate_settings){.handshake_timeout_ms = w->conf->handshake_timeout_ms,
                                  .origins = w->conf->allowed_origins,
                                  .origin_count = w->conf->allowed_origin_count};
}

void worker_follow_doors(struct worker *w)
{
    const struct conf *conf = w->conf;
    const struct gate_settings settings = gate_settings(w);
    const struct ws_limits limits = {conf->max_message_bytes, conf->ping_interval_ms, conf->ping_timeout_ms,
                                     conf->max_messages_per_s};
    if (w->gate != NULL)
        gate_set(w->gate, &settings);
    if (w->ws != NULL)
        ws_set_limits(w->ws, &limits);
    if (w->http != NULL)
        http_set_max_body(w->http, conf->max_body_bytes);
    if (w->sensors != NULL)
        sensors_set_needs_token(w->sensors, conf->rest_auth);
    if (w->login != NULL)
        login_set(w->login, conf, w->access);
}

enum err_e worker_open_doors(struct worker *w)
{
    enum err_e err = w->access != NULL ? ERR_OK : access_new(w->conf, w->clock, &w->access);
    if (err == ERR_OK)
        err = open_ws(w);
    if (err == ERR_OK)
        err = open_http(w);
    return err == ERR_OK ? open_gate(w) : err;
}

/* --- closing ------------------------------------------------------------------------------------------------------------ */

static void tell_going_away(void *arg, struct ws_conn *conn)
{
    (void)arg;
    if (worker_client_of(conn) != NULL)
        host_going_away(worker_client_of(conn));
}

void worker_stop_doors(struct worker *w)
{
    gate_free(&w->gate);
    if (w->ws != NULL)
        ws_each(w->ws, tell_going_away, w);
    if (w->ws != NULL)
        ws_close_all(w->ws, WS_CLOSE_GOING_AWAY, "server is stopping");
    if (w->http != NULL)
        http_stop(w->http);
}

bool worker_doors_empty(const struct worker *w)
{
    return (w->ws == NULL || ws_count(w->ws) == 0) && (w->http == NULL || http_busy(w->http) == 0);
}

void worker_close_doors(struct worker *w)
{
    if (w->rest != NULL)
        rest_give_up(w->rest);
    if (w->sensors != NULL)
        sensors_give_up(w->sensors);
    http_free(&w->http);
    rest_free(&w->rest);
    sensors_free(&w->sensors);
    login_free(&w->login);
    worker_close_ops(w);
    ws_free(&w->ws);
    if (w->expiry.clock != NULL)
        expiry_fini(&w->expiry);
    access_free(&w->access);
}
