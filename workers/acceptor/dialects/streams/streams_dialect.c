/* Hop: C2. The streams dialect: what a message sets off. Its text is read by streams_message.c; what receivers get was put
 * into the ring by the broker, bare. A stream is a topic, so that who is in it is the endpoint's business. */
#include "streams_dialect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "entropy.h"
#include "must.h"
#include "record.h"
#include "streams_admin.h"
#include "streams_message.h"
#include "streams_registry.h"
#include "streams_survey.h"
#include "streams_text.h"
#include "text_order.h"

#define NO_PLACE UINT32_MAX

struct streams_bridges {
    const struct conf_bridge **by_stream;
    size_t count;
};

struct streams_shared { /* of the process */
    struct streams_registry registry;
    struct streams_admin admin;
    struct streams_bridges bridges, next_bridges; /* the second: of a reload that is prepared */
};

struct streams_conn {
    uint32_t place; /* in the registry */
    uint32_t open;  /* streams */
};

static struct streams_shared *shared_of(struct endpoint_conn *conn)
{
    return endpoint_shared(endpoint_of(conn));
}

static void refuse(struct endpoint_conn *conn, const char *text)
{
    if (endpoint_conf(endpoint_of(conn))->streams_errors)
        streams_reply_error(conn, text);
}

/* What happens to a connection's channels always happens to the count of all. */
static void tell_channels(struct endpoint_conn *conn)
{
    endpoint_set_channels(endpoint_of(conn), shared_of(conn)->registry.channels);
}

/* --- connections ---------------------------------------------------------------------------------------------------- */

static void on_connect(struct endpoint_conn *conn, const struct endpoint_request *request)
{
    (void)request;
    struct streams_conn *state = endpoint_state(conn);
    state->place = NO_PLACE;
    if (streams_registry_enter(&shared_of(conn)->registry, conn, &state->place) != ERR_OK)
        endpoint_close(conn, 1013, "out of memory");
}

static void leave_all(struct endpoint_conn *conn)
{
    struct streams_conn *state = endpoint_state(conn);
    const struct topic *topics;
    uint32_t count = endpoint_topics(conn, &topics);
    MUST(count == state->open);
    streams_registry_close(&shared_of(conn)->registry, topics, count);
    state->open = 0;
    tell_channels(conn);
}

static void on_disconnect(struct endpoint_conn *conn)
{
    struct streams_shared *shared = shared_of(conn);
    struct streams_conn *state = endpoint_state(conn);
    if (state->place == NO_PLACE)
        return;
    leave_all(conn);
    streams_admin_forget(&shared->admin, conn);
    streams_registry_leave(&shared->registry, state->place);
    state->place = NO_PLACE;
}

/* --- open ----------------------------------------------------------------------------------------------------------- */

static int by_hash(const void *a, const void *b)
{
    const struct topic *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static bool same_name(const struct topic *a, const struct topic *b)
{
    return a->len == b->len && memcmp(a->name, b->name, a->len) == 0;
}

/* Of `count` topics keeps those that are new, each once; UINT32_MAX: two different ones have the same hash. */
static uint32_t keep_new(struct endpoint_conn *conn, struct topic *topics, uint32_t count)
{
    const struct topic *open, *found;
    uint32_t open_count = endpoint_topics(conn, &open), kept = 0;
    qsort(topics, count, sizeof *topics, by_hash);
    for (uint32_t i = 0; i < count; i++) {
        found = kept > 0 && topics[kept - 1].hash == topics[i].hash
                    ? &topics[kept - 1]
                    : bsearch(&topics[i], open, open_count, sizeof *open, by_hash);
        if (found != NULL && !same_name(found, &topics[i]))
            return UINT32_MAX;
        if (found == NULL)
            topics[kept++] = topics[i];
    }
    return kept;
}

/* --- what may be opened ----------------------------------------------------------------------------------------------- */

static int by_stream_id(const void *a, const void *b)
{
    const struct conf_bridge *x = *(const struct conf_bridge *const *)a,
                             *y = *(const struct conf_bridge *const *)b;
    return strcmp(x->stream, y->stream);
}

/* The configuration's bridges by the stream into which they go: asked for each stream that somebody opens who may not see every machine. */
static enum err_e sort_bridges(const struct conf *conf, struct streams_bridges *bridges)
{
    const struct conf_bridge **by_stream = calloc(conf->bridge_count + 1, sizeof *by_stream);
    if (by_stream == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < conf->bridge_count; i++)
        by_stream[i] = &conf->bridges[i];
    qsort(by_stream, conf->bridge_count, sizeof *by_stream, by_stream_id);
    *bridges = (struct streams_bridges){by_stream, conf->bridge_count};
    return ERR_OK;
}

static bool may_see_bridged(const struct endpoint_conn *conn, const struct conf_bridge *bridge)
{
    for (size_t i = 0; i < bridge->machine_count; i++)
        if (!endpoint_may(conn, GRANT_MACHINES_VIEW, bridge->machines[i], strlen(bridge->machines[i])))
            return false;
    return bridge->machine_count > 0; /* none: all machines */
}

static int compare_stream(const struct conf_bridge *bridge, const char *id, size_t len)
{
    return text_order(bridge->stream, strlen(bridge->stream), id, len);
}

/* What machines say on a stream is for those who may see all of these. */
static bool may_hear(struct endpoint_conn *conn, const char *id, size_t len)
{
    const struct streams_bridges *bridges = &shared_of(conn)->bridges;
    size_t low = 0, high = bridges->count;
    while (low < high) { /* the first that is not before it */
        size_t middle = low + (high - low) / 2;
        if (compare_stream(bridges->by_stream[middle], id, len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < bridges->count && compare_stream(bridges->by_stream[low], id, len) == 0; low++)
        if (!may_see_bridged(conn, bridges->by_stream[low]))
            return false;
    return true;
}

/* False: one may not be opened, and `error` says which. */
static bool may_open(struct endpoint_conn *conn, const struct topic *topics, uint32_t count,
                     char error[STREAMS_ERROR_MAX])
{
    bool all = endpoint_may_all(conn, GRANT_STREAMS), sees_all = endpoint_may_all(conn, GRANT_MACHINES_VIEW);
    for (uint32_t i = 0; i < count && !(all && sees_all); i++) {
        size_t len;
        const char *id = topic_stream_id(topics[i].name, topics[i].len, &len);
        const struct streams_text shown = {.at = id, .len = len, .kind = STREAMS_STRING};
        if ((all || endpoint_may(conn, GRANT_STREAMS, id, len)) && (sees_all || may_hear(conn, id, len)))
            continue;
        snprintf(error, STREAMS_ERROR_MAX, "ws_stream_ids: not allowed to open %.*s",
                 streams_message_excerpt(&shown), id);
        return false;
    }
    return true;
}

/* --- open, all of it ---------------------------------------------------------------------------------------------------- */

/* False: too many; `error` says of what. */
static bool within_limits(struct endpoint_conn *conn, uint32_t count, char error[STREAMS_ERROR_MAX])
{
    const struct streams_conn *state = endpoint_state(conn);
    const struct conf *conf = endpoint_conf(endpoint_of(conn));
    uint64_t channels = shared_of(conn)->registry.channels + endpoint_channels_elsewhere(endpoint_of(conn));
    if (state->open + count > conf->streams_max_streams)
        snprintf(error, STREAMS_ERROR_MAX, "ws_stream_ids: %u streams would be open, at most %u may",
                 state->open + count, conf->streams_max_streams);
    else if (channels + count > conf->streams_max_channels)
        snprintf(error, STREAMS_ERROR_MAX,
                 "ws_stream_ids: the server has no room for %u more channels (at most %u)", count,
                 conf->streams_max_channels);
    else
        return true;
    return false;
}

/* All or nothing. */
static enum err_e enter(struct endpoint_conn *conn, const struct topic *topics, uint32_t count)
{
    struct streams_registry *registry = &shared_of(conn)->registry;
    enum err_e err = streams_registry_open(registry, topics, count);
    if (err != ERR_OK)
        return err;
    err = endpoint_subscribe(conn, topics, count);
    if (err != ERR_OK) {
        streams_registry_close(registry, topics, count);
        return err;
    }
    ((struct streams_conn *)endpoint_state(conn))->open += count;
    tell_channels(conn);
    return ERR_OK;
}

/* Looking through a connection's streams and moving it costs with their number. */
#define STREAMS_PER_MESSAGE 128u

static void on_open(struct endpoint_conn *conn, const struct streams_message *message)
{
    char error[STREAMS_ERROR_MAX];
    const struct streams_conn *state = endpoint_state(conn);
    struct endpoint *endpoint = endpoint_of(conn);
    struct topic *topics = (struct topic *)(void *)endpoint_scratch(endpoint);
    uint32_t count, max = endpoint_conf(endpoint)->streams_max_streams;
    MUST(max * sizeof *topics <= ENDPOINT_SCRATCH);
    if (!streams_message_ids(message, topics, max, &count, error)) {
        refuse(conn, error);
        return;
    }
    endpoint_charge(conn, (state->open + count) / STREAMS_PER_MESSAGE);
    if (!may_open(conn, topics, count, error)) {
        refuse(conn, error);
        return;
    }
    count = keep_new(conn, topics, count);
    if (count == UINT32_MAX) {
        refuse(conn, "ws_stream_ids: cannot be told from another stream here, take another name");
        return;
    }
    if (count == 0)
        return;
    if (!within_limits(conn, count, error)) {
        refuse(conn, error);
        return;
    }
    enum err_e err = enter(conn, topics, count);
    if (err != ERR_OK) {
        snprintf(error, sizeof error, "ws_stream_ids: not opened (%s)", err_text(err));
        refuse(conn, error);
    }
}

/* --- send ----------------------------------------------------------------------------------------------------------- */

static void refuse_send(struct endpoint_conn *conn, enum err_e err)
{
    char error[STREAMS_ERROR_MAX];
    switch (err) {
    case ERR_NOT_FOUND:
        refuse(conn, "Not sent: no stream is open");
        return;
    case ERR_FULL:
        refuse(conn, "Not sent: too much waits for the broker; try again");
        return;
    case ERR_TOO_LARGE:
        snprintf(error, sizeof error, "Not sent: ws_msg is larger than %u bytes", ENDPOINT_PUBLISH_MAX);
        break;
    default:
        snprintf(error, sizeof error, "Not sent: %s", err_text(err));
    }
    refuse(conn, error);
}

/* A string without escapes is sent from where it stands in the message. */
static struct out payload(struct endpoint *endpoint, const struct streams_text *msg)
{
    bool string = msg->kind == STREAMS_STRING;
    if (string && !msg->escaped)
        return (struct out){(char *)(uintptr_t)msg->at, msg->len, msg->len, false};
    struct out out = out_init(endpoint_scratch(endpoint), ENDPOINT_SCRATCH);
    if (string)
        streams_text_bare(msg, &out);
    else
        streams_text_compact(msg, &out);
    return out;
}

static void on_send(struct endpoint_conn *conn, const struct streams_message *message)
{
    const struct streams_conn *state = endpoint_state(conn);
    struct endpoint *endpoint = endpoint_of(conn);
    if (state->open == 0) {
        refuse_send(conn, ERR_NOT_FOUND);
        return;
    }
    struct out out = payload(endpoint, &message->msg);
    enum err_e err = out.overflow
                         ? ERR_TOO_LARGE
                         : endpoint_publish(conn, out.at, out.len, endpoint_conf(endpoint)->streams_echo);
    if (err != ERR_OK)
        refuse_send(conn, err);
}

/* --- close ---------------------------------------------------------------------------------------------------------- */

/* The endpoint's list is not good any more while it is worked on. */
static void on_close(struct endpoint_conn *conn)
{
    char error[STREAMS_ERROR_MAX];
    struct streams_conn *state = endpoint_state(conn);
    const struct topic *open;
    struct topic *topics = (struct topic *)(void *)endpoint_scratch(endpoint_of(conn));
    uint32_t count = endpoint_topics(conn, &open);
    if (count == 0)
        return;
    memcpy(topics, open, count * sizeof *topics);
    enum err_e err = endpoint_unsubscribe(conn, topics, count);
    if (err != ERR_OK) {
        snprintf(error, sizeof error, "Not closed: %s", err_text(err));
        refuse(conn, error);
        return;
    }
    streams_registry_close(&shared_of(conn)->registry, topics, count);
    state->open = 0;
    tell_channels(conn);
}

/* --- the dialect ---------------------------------------------------------------------------------------------------- */

static void on_receive(struct endpoint_conn *conn, const char *text, size_t len, bool binary)
{
    struct streams_message message;
    char error[STREAMS_ERROR_MAX];
    if (!streams_message_parse(text, len, !binary, &message, error)) {
        if (message.op == STREAMS_ADMIN)
            streams_reply_error(conn, error);
        else
            refuse(conn, error);
        return;
    }
    switch (message.op) {
    case STREAMS_OPEN:
        on_open(conn, &message);
        return;
    case STREAMS_SEND:
        on_send(conn, &message);
        return;
    case STREAMS_CLOSE:
        on_close(conn);
        return;
    case STREAMS_ADMIN:
        streams_admin_ask(&shared_of(conn)->admin, conn, &message.msg);
        return;
    }
    MUST_NOT_REACH();
}

static bool path_served(const struct endpoint *endpoint, const char *path, size_t len)
{
    static const char *const paths[] = {"/", "/websocket"};
    (void)endpoint;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (len == strlen(paths[i]) && memcmp(path, paths[i], len) == 0)
            return true;
    return false;
}

static enum err_e start(struct endpoint *endpoint)
{
    struct streams_shared *shared = endpoint_shared(endpoint);
    streams_registry_init(&shared->registry, entropy_u64());
    return sort_bridges(endpoint_conf(endpoint), &shared->bridges);
}

static void stop(struct endpoint *endpoint)
{
    struct streams_shared *shared = endpoint_shared(endpoint);
    streams_admin_fini(&shared->admin);
    streams_registry_fini(&shared->registry);
    free(shared->bridges.by_stream);
}

static void tick(struct endpoint *endpoint)
{
    struct streams_shared *shared = endpoint_shared(endpoint);
    streams_admin_tick(&shared->admin, endpoint);
}

/* --- reload ------------------------------------------------------------------------------------------------------------ */

static enum err_e reload_prepare(struct endpoint *endpoint, const struct conf *next)
{
    struct streams_shared *shared = endpoint_shared(endpoint);
    return sort_bridges(next, &shared->next_bridges);
}

static void reload_abort(struct endpoint *endpoint)
{
    struct streams_shared *shared = endpoint_shared(endpoint);
    free(shared->next_bridges.by_stream);
    shared->next_bridges = (struct streams_bridges){0};
}

static void reload_commit(struct endpoint *endpoint)
{
    struct streams_shared *shared = endpoint_shared(endpoint);
    free(shared->bridges.by_stream);
    shared->bridges = shared->next_bridges;
    shared->next_bridges = (struct streams_bridges){0};
}

/* A bridge that came may lead where a client listens who may not see its machines. */
static bool still_allowed(struct endpoint_conn *conn, const char **reason)
{
    char error[STREAMS_ERROR_MAX];
    const struct topic *open;
    uint32_t count = endpoint_topics(conn, &open);
    *reason = "an open stream is not yours any more";
    return may_open(conn, open, count, error);
}

static bool survey_rows(struct endpoint *endpoint, unsigned question, struct endpoint_cursor *cursor,
                        struct out *rows)
{
    const struct streams_shared *shared = endpoint_shared(endpoint);
    return streams_survey_rows(&shared->registry, question, cursor, rows);
}

const struct endpoint_dialect streams_dialect = {
    .name = "streams",
    .record_dialect = DIALECT_STREAMS,
    .conn_bytes = sizeof(struct streams_conn),
    .shared_bytes = sizeof(struct streams_shared),
    .start = start,
    .stop = stop,
    .tick = tick,
    .path_served = path_served,
    .on_connect = on_connect,
    .on_receive = on_receive,
    .on_disconnect = on_disconnect,
    .survey_rows = survey_rows,
    .reload_prepare = reload_prepare,
    .reload_commit = reload_commit,
    .reload_abort = reload_abort,
    .still_allowed = still_allowed,
};
