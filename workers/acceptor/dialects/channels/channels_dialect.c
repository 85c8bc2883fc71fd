/* Hop: C2. The channels dialect: who comes in, what is answered to what it says. Its statistics are channels_desk.c, its place in the ring
 * channels_resume.c; events themselves go from the ring to its socket without the dialect. A channel is a topic, and `general` is named by
 * every event, so that a connection has one topic and gets each event once. */
#include "channels_dialect.h"

#include <string.h>

#include "channels_desk.h"
#include "channels_internal.h"
#include "channels_query.h"
#include "channels_resume.h"
#include "channels_survey.h"
#include "channels_text.h"
#include "entropy.h"
#include "identity.h"
#include "must.h"
#include "record.h"
#include "schema_json.h"

#define BAD_CHANNEL "Canal no v\xc3\xa1lido"
#define BAD_USER    "user_id no v\xc3\xa1lido"
#define FORBIDDEN   "Canal no permitido"
#define BAD_SINCE   "since no v\xc3\xa1lido"
#define BAD_MESSAGE "Error procesando mensaje"
#define SECURE_PATH "/api/v1/ws/secure"

/* --- paths ----------------------------------------------------------------------------------------------------------- */

/* With or without a slash at the end. */
static bool is_path(const char *path, size_t len, const char *wanted)
{
    size_t wanted_len = strlen(wanted);
    if (len == wanted_len + 1 && path[len - 1] == '/')
        len--;
    return len == wanted_len && memcmp(path, wanted, len) == 0;
}

static bool path_secure(const struct endpoint *endpoint, const char *path, size_t len)
{
    (void)endpoint;
    return is_path(path, len, SECURE_PATH);
}

static bool path_served(const struct endpoint *endpoint, const char *path, size_t len)
{
    return is_path(path, len, "/api/v1/ws") || path_secure(endpoint, path, len);
}

/* --- who comes ------------------------------------------------------------------------------------------------------- */

static void say_error(struct endpoint_conn *conn, const char *message)
{
    char memory[CHANNELS_TEXT_MAX];
    struct out out = out_init(memory, sizeof memory);
    channels_text_error(&out, message);
    endpoint_reply(conn, out.at, out.len);
}

static void refuse(struct endpoint_conn *conn, const char *reason)
{
    channels_shared_of(conn)->counts.refused++;
    endpoint_close(conn, 1008, reason);
}

/* Whoever has shown who it is goes by that name. */
static enum err_e enter(struct endpoint_conn *conn, const struct channels_query *query)
{
    struct channels_conn *state = endpoint_state(conn);
    struct channels_shared *shared = channels_shared_of(conn);
    const char *principal = endpoint_principal(conn);
    bool known = principal[0] != '\0';
    const struct channels_guest guest = {.channel = query->channel,
                                         .channel_len = query->channel_len,
                                         .user_id = known ? principal : query->user_id,
                                         .user_len = known ? strlen(principal) : query->user_len,
                                         .serial = endpoint_serial(conn),
                                         .wall_ms = endpoint_wall_ms(endpoint_of(conn))};
    return channels_registry_enter(&shared->registry, &guest, &state->channel, &state->user);
}

static void greet(struct endpoint_conn *conn, const struct channels_query *query, bool secure)
{
    char memory[CHANNELS_TEXT_MAX];
    struct out out = out_init(memory, sizeof memory);
    endpoint_gather(conn);
    channels_text_connection(&out, query->channel, query->channel_len, endpoint_wall_ms(endpoint_of(conn)));
    endpoint_reply(conn, out.at, out.len);
    if (secure) {
        out = out_init(memory, sizeof memory);
        channels_text_authenticated(&out, endpoint_principal(conn), query->channel, query->channel_len);
        endpoint_reply(conn, out.at, out.len);
    }
}

/* False: there is one, and it is no place. */
static bool take_since(struct endpoint_conn *conn, const struct channels_query *query)
{
    struct channels_conn *state = endpoint_state(conn);
    state->next = state->joined;
    if (query->since_len == 0)
        return !query->since_bad;
    struct endpoint_since since;
    if (!endpoint_parse_seq(endpoint_of(conn), query->since, query->since_len, &since))
        return false;
    state->next = since;
    return true;
}

/* Not read until it has its statistics: what it may be answered comes behind them. */
static void join(struct endpoint_conn *conn, const struct channels_query *query, bool secure)
{
    struct channels_conn *state = endpoint_state(conn);
    struct channels_shared *shared = channels_shared_of(conn);
    if (enter(conn, query) != ERR_OK) {
        endpoint_close(conn, 1013, "out of memory");
        return;
    }
    shared->counts.joined++;
    state->state = CHANNELS_JOINING;
    state->call = CHANNELS_CALLS_MAX;
    state->joined = endpoint_now(endpoint_of(conn));
    endpoint_hold(conn, true);
    greet(conn, query, secure);
    state->since_wrong = !take_since(conn, query);
    endpoint_gathered(endpoint_of(conn));
    channels_desk_join(shared, state);
}

static void on_connect(struct endpoint_conn *conn, const struct endpoint_request *request)
{
    struct channels_conn *state = endpoint_state(conn);
    struct channels_query query;
    state->conn = conn;
    list_init(&state->node);
    switch (channels_query_parse(request->query, &query)) {
    case CHANNELS_QUERY_NO_CHANNEL:
        refuse(conn, BAD_CHANNEL);
        return;
    case CHANNELS_QUERY_NO_USER:
        refuse(conn, BAD_USER);
        return;
    case CHANNELS_QUERY_GOOD:
        break;
    }
    if (!endpoint_may(conn, GRANT_CHANNELS, query.channel, query.channel_len))
        refuse(conn, FORBIDDEN);
    else
        join(conn, &query, path_secure(endpoint_of(conn), request->path, strlen(request->path)));
}

void channels_joined(struct channels_shared *shared, struct channels_conn *state)
{
    if (state->since_wrong)
        say_error(state->conn, BAD_SINCE);
    endpoint_hold(state->conn, false);
    channels_resume_begin(shared, state);
}

static void on_disconnect(struct endpoint_conn *conn)
{
    struct channels_conn *state = endpoint_state(conn);
    struct channels_shared *shared = channels_shared_of(conn);
    channels_resume_forget(shared, state);
    if (state->channel != NULL)
        channels_registry_leave(&shared->registry, state->channel, state->user);
    state->channel = NULL;
    state->state = CHANNELS_CLOSED;
}

/* --- what it says ---------------------------------------------------------------------------------------------------- */

/* {"type":"ping"}, whatever else stands in it. */
static bool is_ping(const char *text, size_t len)
{
    static const struct schema_json_rules rules = {.max_values = 1000};
    struct schema_json_fault fault;
    json_t *message = schema_json_read(text, len, &rules, &fault);
    const json_t *type = json_object_get(message, "type"); /* NULL if it is no object */
    bool ping =
        json_is_string(type) && json_string_length(type) == 4 && strcmp(json_string_value(type), "ping") == 0;
    json_decref(message);
    return ping;
}

static void on_receive(struct endpoint_conn *conn, const char *text, size_t len, bool binary)
{
    char memory[CHANNELS_TEXT_MAX];
    struct out out = out_init(memory, sizeof memory);
    struct channels_counts *counts = &channels_shared_of(conn)->counts;
    if (binary) {
        counts->binary++;
        say_error(conn, BAD_MESSAGE);
    } else if (is_ping(text, len)) {
        counts->pings++;
        channels_text_pong(&out, endpoint_wall_ms(endpoint_of(conn)));
        endpoint_reply(conn, out.at, out.len);
    } else {
        counts->ignored++;
    }
}

/* --- what happens to it ------------------------------------------------------------------------------------------------ */

static void on_gap(struct endpoint_conn *conn)
{
    struct endpoint_since since;
    struct channels_conn *state = endpoint_state(conn);
    if (endpoint_lost(conn, &since) && state->state == CHANNELS_LIVE)
        channels_resume_lost(channels_shared_of(conn), state, since);
    else
        channels_tell_gap(channels_shared_of(conn), state);
}

/* Who is still waiting for its statistics hears nothing before them. */
static void on_going_away(struct endpoint_conn *conn)
{
    char memory[CHANNELS_TEXT_MAX];
    struct out out = out_init(memory, sizeof memory);
    const struct channels_conn *state = endpoint_state(conn);
    if (state->state == CHANNELS_JOINING)
        return;
    channels_text_going_away(&out, endpoint_wall_ms(endpoint_of(conn)));
    endpoint_reply(conn, out.at, out.len);
}

/* --- the dialect ---------------------------------------------------------------------------------------------------- */

static enum err_e start(struct endpoint *endpoint)
{
    struct channels_shared *shared = endpoint_shared(endpoint);
    shared->endpoint = endpoint;
    channels_registry_init(&shared->registry, entropy_u64());
    channels_desk_init(&shared->desk);
    channels_resume_init(shared);
    return ERR_OK;
}

static void stop(struct endpoint *endpoint)
{
    struct channels_shared *shared = endpoint_shared(endpoint);
    channels_desk_fini(&shared->desk);
    channels_registry_fini(&shared->registry);
}

static void tick(struct endpoint *endpoint)
{
    struct channels_shared *shared = endpoint_shared(endpoint);
    channels_desk_tick(shared);
    channels_resume_tick(shared);
    shared->counts.connections = shared->registry.connections;
    shared->counts.users = shared->registry.users;
    shared->counts.channels = channels_registry_count(&shared->registry);
}

static bool survey_rows(struct endpoint *endpoint, unsigned question, struct endpoint_cursor *cursor,
                        struct out *rows)
{
    const struct channels_shared *shared = endpoint_shared(endpoint);
    return channels_survey_rows(&shared->registry, question, cursor, rows);
}

const struct channels_counts *channels_counts(const struct endpoint *own)
{
    const struct channels_shared *shared = endpoint_shared(own);
    return &shared->counts;
}

const struct endpoint_dialect channels_dialect = {
    .name = "channels",
    .record_dialect = DIALECT_CHANNELS,
    .conn_bytes = sizeof(struct channels_conn),
    .shared_bytes = sizeof(struct channels_shared),
    .start = start,
    .stop = stop,
    .tick = tick,
    .path_secure = path_secure,
    .on_going_away = on_going_away,
    .path_served = path_served,
    .on_connect = on_connect,
    .on_receive = on_receive,
    .on_disconnect = on_disconnect,
    .on_gap = on_gap,
    .survey_rows = survey_rows,
};
