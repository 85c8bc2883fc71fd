/* Hop: C2. The dialect of validated endpoints: connections, the way of a message, the order of answers, its beginning and end. */
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "must.h"
#include "pool.h"
#include "record.h"
#include "validated_internal.h"

#define HELD_UNTIL                                                                                           \
    (VALIDATED_UNDER_WAY / 2) /* so that a connection is not held and released for each message */

/* --- answers leave ---------------------------------------------------------------------------------------------------- */

static void put_out(struct endpoint_conn *conn, const struct validated_text *text)
{
    if (text->at == NULL)
        return;
    if (text->binary)
        endpoint_reply_binary(conn, text->at, text->len);
    else
        endpoint_reply(conn, text->at, text->len);
}

/* No answer can be placed any more. */
static void give_up(struct endpoint_conn *conn, const char *reason)
{
    struct validated_conn *state = endpoint_state(conn);
    if (state->closed)
        return;
    validated_shared_of(conn)->counts.closed_waiting++;
    state->closed = true;
    endpoint_close(conn, 1013, reason);
}

static void keep_waiting(struct endpoint_conn *conn, uint64_t token, const struct validated_text *text)
{
    static const struct validated_text nothing;
    struct validated_conn *state = endpoint_state(conn);
    struct validated_counts *counts = &validated_shared_of(conn)->counts;
    const struct validated_text *kept = state->closed ? &nothing : text;
    enum err_e err = kept->len > WAITING_MAX_ALL - counts->waiting_bytes
                         ? ERR_FULL
                         : validated_queue_wait(state->queue, token, kept);
    if (err == ERR_OK) {
        counts->waiting_bytes += kept->len;
        return;
    }
    give_up(conn, err == ERR_FULL ? "too much waits for an earlier answer" : "out of memory");
    MUST(validated_queue_wait(state->queue, token, &nothing) == ERR_OK); /* takes no memory */
}

static void settle(struct endpoint_conn *conn);

void validated_place(struct endpoint_conn *conn, uint64_t token, const struct validated_text *text)
{
    struct validated_conn *state = endpoint_state(conn);
    struct validated_text next;
    if (!validated_queue_turn(state->queue, token)) {
        keep_waiting(conn, token, text);
        return;
    }
    put_out(conn, text);
    while (validated_queue_next(state->queue, &next)) {
        validated_shared_of(conn)->counts.waiting_bytes -= next.len;
        put_out(conn, &next);
        free(next.at);
    }
    settle(conn);
}

/* --- messages come ---------------------------------------------------------------------------------------------------- */

static void pass_on(struct endpoint_conn *conn, const struct validated_message *message, uint64_t token)
{
    const struct site *site = ((struct validated_conn *)endpoint_state(conn))->site;
    validated_shared_of(conn)->counts.received++;
    enum err_e err = site->endpoint.handler->receive(site->endpoint.arg, conn, message, token);
    if (err != ERR_OK)
        validated_fail(conn, token, err == ERR_TOO_LARGE ? VALIDATED_TOO_DEEP : VALIDATED_UNAVAILABLE);
}

/* A traditional endpoint's text is read for being JSON; its bytes are not. */
static void take(struct endpoint_conn *conn, const char *text, size_t len, bool binary)
{
    struct validated_shared *shared = validated_shared_of(conn);
    struct validated_conn *state = endpoint_state(conn);
    const struct schema *schema = state->site->endpoint.schema;
    struct validated_message message = {.text = text, .len = len, .binary = binary};
    struct schema_result result = {NULL, NULL};
    enum err_e err = ERR_OK;
    uint64_t token = validated_queue_begin(state->queue);
    if (schema != NULL || !binary)
        err = schema_validate_text(schema != NULL ? schema : shared->any, text, len, &result);
    message.value = schema != NULL ? result.value : NULL;
    if (err == ERR_OK)
        pass_on(conn, &message, token);
    else if (err == ERR_MALFORMED)
        validated_refuse(conn, token, result.errors);
    else
        validated_fail(conn, token, VALIDATED_UNAVAILABLE);
    json_decref(result.value);
    json_decref(result.errors);
}

static bool is_stopped(const struct validated_conn *state)
{
    return validated_is_pressed(state) || (state->queue != NULL && validated_queue_full(state->queue));
}

static void set_hold(struct endpoint_conn *conn)
{
    struct validated_conn *state = endpoint_state(conn);
    unsigned under_way = state->queue != NULL ? validated_queue_under_way(state->queue) : 0;
    state->crowded = under_way == VALIDATED_UNDER_WAY || (state->crowded && under_way > HELD_UNTIL);
    bool hold = state->crowded || validated_is_pressed(state);
    if (hold == state->held)
        return;
    state->held = hold;
    endpoint_hold(conn, hold);
}

/* What was deferred goes on its way, as far as it may; and what follows from how many are under way. Not again from within itself, or
 * within a message: who is at it does the rest. */
static void settle(struct endpoint_conn *conn)
{
    struct validated_conn *state = endpoint_state(conn);
    struct validated_text message;
    if (state->settling)
        return;
    state->settling = true;
    while (!state->closed && state->queue != NULL && !is_stopped(state) &&
           validated_queue_recall(state->queue, &message)) {
        take(conn, message.at, message.len, message.binary);
        free(message.at);
    }
    state->settling = false;
    set_hold(conn);
    if (state->queue != NULL && validated_queue_idle(state->queue))
        validated_queue_free(&state->queue);
}

void validated_resume(struct endpoint_conn *conn)
{
    settle(conn);
}

static void defer(struct endpoint_conn *conn, const char *text, size_t len, bool binary)
{
    struct validated_conn *state = endpoint_state(conn);
    validated_shared_of(conn)->counts.deferred++;
    if (validated_queue_defer(state->queue, text, len, binary) != ERR_OK)
        give_up(conn, "out of memory");
}

static void on_receive(struct endpoint_conn *conn, const char *text, size_t len, bool binary)
{
    struct validated_conn *state = endpoint_state(conn);
    if (state->site == NULL || state->closed)
        return;
    if (state->queue == NULL && (state->queue = validated_queue_new()) == NULL) {
        give_up(conn, "out of memory");
        return;
    }
    if (is_stopped(state)) { /* else nothing is deferred: settle() */
        defer(conn, text, len, binary);
        return;
    }
    MUST(!state->settling); /* nothing that a handler may call leads here */
    state->settling = true;
    take(conn, text, len, binary);
    state->settling = false;
    settle(conn);
}

/* --- connections come and go ------------------------------------------------------------------------------------------ */

void validated_set_user(struct endpoint_conn *conn, void *user)
{
    ((struct validated_conn *)endpoint_state(conn))->user = user;
}

void *validated_user(struct endpoint_conn *conn)
{
    return ((struct validated_conn *)endpoint_state(conn))->user;
}

static void on_connect(struct endpoint_conn *conn, const struct endpoint_request *request)
{
    struct validated_conn *state = endpoint_state(conn);
    state->conn = conn;
    list_init(&state->in_crowd);
    state->site = validated_site(validated_shared_of(conn), request->path, strlen(request->path));
    MUST(state->site != NULL); /* path_served() */
    const struct validated_endpoint *endpoint = &state->site->endpoint;
    enum err_e err = endpoint_subscribe(conn, &state->site->everybody, 1);
    if (err == ERR_OK)
        err = endpoint->handler->connect(endpoint->arg, conn, request);
    if (err != ERR_OK) {
        state->site = NULL;
        state->closed = true;
        endpoint_close(conn, 1013, err == ERR_CONFIG ? "the endpoint is out of order" : "out of memory");
    }
}

static void on_disconnect(struct endpoint_conn *conn)
{
    struct validated_conn *state = endpoint_state(conn);
    const struct site *site = state->site;
    state->closed = true;
    if (site != NULL)
        site->endpoint.handler->disconnect(site->endpoint.arg, conn);
    state->site = NULL;
    if (state->queue != NULL)
        validated_shared_of(conn)->counts.waiting_bytes -= validated_queue_waiting(state->queue);
    validated_queue_free(&state->queue);
}

/* --- the dialect ------------------------------------------------------------------------------------------------------ */

static bool path_served(const struct endpoint *endpoint, const char *path, size_t len)
{
    return validated_site(endpoint_shared(endpoint), path, len) != NULL;
}

static void stop(struct endpoint *endpoint)
{
    struct validated_shared *shared = endpoint_shared(endpoint);
    validated_pool_stop(shared);
    validated_unload(shared);
    msgpack_sbuffer_destroy(&shared->message);
    msgpack_sbuffer_init(&shared->message);
}

static enum err_e start(struct endpoint *endpoint)
{
    struct validated_shared *shared = endpoint_shared(endpoint);
    shared->own = endpoint;
    enum err_e err = validated_load(shared, endpoint_conf(endpoint));
    if (err == ERR_OK && shared->site_count > 0)
        err = validated_pool_start(shared);
    if (err != ERR_OK)
        stop(endpoint);
    return err;
}

static void tick(struct endpoint *endpoint)
{
    validated_pool_tick(endpoint_shared(endpoint));
}

/* Endpoints and handlers do not change in a reload, but the configuration that they are read from. */
static enum err_e reload_prepare(struct endpoint *endpoint, const struct conf *next)
{
    (void)endpoint;
    (void)next;
    return ERR_OK;
}

static void reload_commit(struct endpoint *endpoint)
{
    struct validated_shared *shared = endpoint_shared(endpoint);
    validated_follow(shared, endpoint_conf(endpoint));
    validated_pool_follow(shared, endpoint_conf(endpoint));
}

static void reload_abort(struct endpoint *endpoint)
{
    (void)endpoint;
}

static bool is_waiting(struct endpoint_conn *conn)
{
    const struct validated_conn *state = endpoint_state(conn);
    return state->queue != NULL;
}

const struct validated_counts *validated_counts(const struct endpoint *own)
{
    return &((struct validated_shared *)endpoint_shared(own))->counts;
}

const struct pool_counts *validated_pool_counts(const struct endpoint *own)
{
    struct validated_shared *shared = endpoint_shared(own);
    return shared->pool != NULL ? pool_counts(shared->pool) : NULL;
}

const struct endpoint_dialect validated_dialect = {
    .name = "endpoints",
    .record_dialect = DIALECT_ENDPOINTS,
    .conn_bytes = sizeof(struct validated_conn),
    .shared_bytes = sizeof(struct validated_shared),
    .start = start,
    .stop = stop,
    .tick = tick,
    .path_served = path_served,
    .on_connect = on_connect,
    .on_receive = on_receive,
    .on_disconnect = on_disconnect,
    .is_waiting = is_waiting,
    .reload_prepare = reload_prepare,
    .reload_commit = reload_commit,
    .reload_abort = reload_abort,
};
