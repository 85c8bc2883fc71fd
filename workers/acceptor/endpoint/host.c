/* Hop: C2, R3. The worker's side of the endpoint API: connections and ring records enter dialects here. */
#include "host.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "log.h"
#include "must.h"
#include "ws_frame.h"

/* --- connections ------------------------------------------------------------------------------------------------------ */

static struct endpoint_conn *conn_of(struct client *client)
{
    MUST_MAGIC(client, CLIENT_MAGIC);
    return LIST_ENTRY(client, struct endpoint_conn, client);
}

size_t host_conn_bytes(const struct endpoint_dialect *dialect)
{
    return sizeof(struct endpoint_conn) + dialect->conn_bytes;
}

static void on_caller_record(struct caller *caller, const struct ring_record *record, bool due)
{
    struct endpoint_conn *conn = LIST_ENTRY(caller, struct endpoint_conn, caller);
    struct endpoint_host *host = conn->endpoint->host;
    bool in_log = record->origin_mode != ORIGIN_ONLY && audience_got_record(&host->audiences, &conn->client);
    bool understood = caller->record_dialect == record->dialect;
    if (due && (in_log || understood))
        outbox_expect(&conn->client, host->asked_ns);
    if (record->origin_mode == ORIGIN_NOT && in_log)
        outbox_skip(&host->outbox, &conn->client, record->frame_len);
    else if (due && !in_log && understood)
        outbox_own_record(&host->outbox, &conn->client, record->position, record->frame, record->frame_len);
}

static void on_caller_failed(struct caller *caller, const struct endpoint_command *command,
                             enum command_code_e code)
{
    struct endpoint_conn *conn = LIST_ENTRY(caller, struct endpoint_conn, caller);
    conn->endpoint->dialect->on_command_failed(conn, command, code);
}

static void on_caller_from(const struct caller *caller, char from[CALLER_FROM_MAX])
{
    const struct endpoint_conn *conn = LIST_ENTRY(caller, struct endpoint_conn, caller);
    conn->endpoint->host->peer_name(conn->client.sink, from);
}

struct client *host_open(struct endpoint *endpoint, void *memory, void *sink, uint64_t serial,
                         const struct endpoint_request *request)
{
    static const struct caller_ops ops = {on_caller_record, on_caller_failed, on_caller_from};
    struct endpoint_conn *conn = memory;
    conn->client.magic = CLIENT_MAGIC;
    conn->client.sink = sink;
    conn->endpoint = endpoint;
    conn->identity = identity_get(request->identity);
    conn->caller = (struct caller){.ops = &ops,
                                   .serial = serial,
                                   .principal = identity_name(conn->identity),
                                   .record_dialect = endpoint->dialect->record_dialect};
    endpoint->dialect->on_connect(conn, request);
    return &conn->client;
}

void host_message(struct client *client, const char *text, size_t len, bool binary)
{
    struct endpoint_conn *conn = conn_of(client);
    if (client->closing)
        return;
    struct endpoint_host *host = conn->endpoint->host;
    host->counts.received++;
    if (host->settles)
        outbox_begin_read(&host->outbox, client);
    host->read_ns = clock_mono_ns(host->clock);
    conn->endpoint->dialect->on_receive(conn, text, len, binary);
    host->read_ns = 0;
}

void host_settle(struct client *client)
{
    outbox_settle(&conn_of(client)->endpoint->host->outbox, client);
}

void host_writable(struct client *client)
{
    outbox_writable(&conn_of(client)->endpoint->host->outbox, client);
}

void host_close(struct client *client, unsigned code, const char *reason)
{
    endpoint_close(conn_of(client), code, reason);
}

void host_closed(struct client *client)
{
    struct endpoint_conn *conn = conn_of(client);
    struct endpoint_host *host = conn->endpoint->host;
    client->closing = true;
    conn->endpoint->dialect->on_disconnect(conn);
    caller_drop(host, &conn->caller);
    publishing_forget(host, conn);
    outbox_drop(&host->outbox, client);
    identity_put(&conn->identity);
    client->magic = 0;
}

void host_going_away(struct client *client)
{
    struct endpoint_conn *conn = conn_of(client);
    if (client->closing)
        return;
    if (conn->endpoint->dialect->on_going_away != NULL)
        conn->endpoint->dialect->on_going_away(conn);
    host_settle(client);
}

static void on_origin(void *arg, const struct ring_record *record)
{
    caller_hear(arg, record);
}

static void on_published(void *arg, uint64_t publish_seq)
{
    publishing_seen(arg, publish_seq);
}

/* --- lost frames ----------------------------------------------------------------------------------------------------- */

static void tell_gap(void *arg, struct client *client)
{
    struct endpoint_host *host = arg;
    host->counts.gaps++;
    conn_of(client)->endpoint->dialect->on_gap(conn_of(client));
}

struct loss {
    struct endpoint_host *host;
    uint64_t since;
    enum ring_status_e why;
};

/* The dialect may take the client to another audience, or to none. */
static void tell_loss(const struct loss *loss, struct client *client)
{
    if (loss->why != RING_MORE && client->audience->lossless && !client->audience->passing)
        tell_gap(loss->host, client);
    if (client->audience != NULL && (loss->why != RING_MORE || client->audience->states))
        outbox_conflate(&loss->host->outbox, client, loss->since, loss->why == RING_GONE);
}

/* Every audience's every member, in memory that the caller frees; NULL: there is none for that, or nobody. */
static struct client **everybody(const struct audiences *audiences, size_t *count)
{
    const struct map *map = &audiences->by_key;
    *count = 0;
    for (size_t i = 0; i < map->capacity; i++) {
        const struct audience *audience = map->entries[i].value;
        *count += audience != NULL ? audience->count : 0;
    }
    struct client **all = malloc((*count + 1) * sizeof(struct client *));
    size_t at = 0;
    for (size_t i = 0; all != NULL && i < map->capacity; i++) {
        const struct audience *audience = map->entries[i].value;
        for (uint32_t m = 0; audience != NULL && m < audience->count; m++)
            all[at++] = audience->members[m];
    }
    return all;
}

/* A client that nobody has memory to tell of its loss must not go on as if nothing had happened. */
static void close_everybody(struct endpoint_host *host)
{
    log_error("loss-untold", "error=\"out of memory\" subscribers are closed");
    for (size_t i = 0; i < host->audiences.by_key.capacity; i++) {
        struct audience *audience = host->audiences.by_key.entries[i].value;
        for (uint32_t m = 0; audience != NULL && m < audience->count; m++)
            outbox_close(&host->outbox, audience->members[m], 1013, "out of memory");
    }
}

static void tell_everybody(const struct loss *loss)
{
    size_t count;
    struct client **all = everybody(&loss->host->audiences, &count);
    if (all == NULL)
        close_everybody(loss->host);
    for (size_t i = 0; all != NULL && i < count; i++)
        tell_loss(loss, all[i]);
    free(all);
}

static void on_lost(void *arg, uint64_t since, enum ring_status_e why)
{
    struct loss loss = {arg, since, why};
    struct endpoint_host *host = arg;
    if (why != RING_GONE) /* else host_broker_up() has noted it */
        host->lost = (struct endpoint_since){true, since, host->ring_id};
    host->losing = why != RING_MORE;
    tell_everybody(&loss);
    host->losing = false;
    if (why != RING_MORE)
        publishing_lost(loss.host);
    if (why == RING_LAPPED)
        log_warn("ring-lapped", "this worker was overtaken; subscribers get snapshots");
    else if (why != RING_MORE)
        log_warn("ring-lost", "reason=\"%s\" records were lost; subscribers get snapshots",
                 why == RING_GONE ? "new ring" : "damaged record");
}

/* --- the broker and time ------------------------------------------------------------------------------------------------- */

enum err_e host_broker_up(struct endpoint_host *host, uint32_t ring_id)
{
    uint32_t before = host->ring_id;
    host->lost = (struct endpoint_since){false, host->outbox.position, before};
    host->ring_id = ring_id; /* attaching already shows snapshots */
    enum err_e err = tail_attach(&host->tail, ring_id);
    if (err != ERR_OK) {
        host->ring_id = before;
        return err;
    }
    caller_resend_all(host);
    publishing_up(host);
    return ERR_OK;
}

void host_broker_down(struct endpoint_host *host)
{
    publishing_down(host);
    survey_broker_down(host);
    store_calls_broker_down(host);
}

bool host_hear(struct endpoint_host *host, const struct wire_message *message)
{
    return survey_hear(host, message) || store_calls_hear(host, message);
}

void host_tick(struct endpoint_host *host)
{
    caller_expire_all(host);
    store_calls_tick(host);
    publishing_tick(host);
    outbox_tick(&host->outbox);
    commons_tick(&host->commons);
}

/* --- making and ending ------------------------------------------------------------------------------------------------- */

static size_t states_frame(void *arg, struct client *client, const struct mirror_machine *const *machines,
                           uint32_t count, uint64_t position, void *frame, size_t cap)
{
    (void)arg;
    struct endpoint *endpoint = conn_of(client)->endpoint;
    unsigned char *payload = (unsigned char *)frame + WS_HEADER_MAX;
    size_t len =
        endpoint->dialect->states(endpoint, machines, count, position, (char *)payload, cap - WS_HEADER_MAX);
    size_t header = ws_frame_header_len(len);
    memmove((unsigned char *)frame + header, payload, len);
    ws_frame_prepend((unsigned char *)frame + header, len, WS_TEXT);
    return header + len;
}

enum err_e host_init(struct endpoint_host *host, const struct host_config *config)
{
    static const struct tail_events tail_events = {on_origin, on_lost, on_published};
    static const struct outbox_dialect outbox_dialect = {states_frame, tell_gap};
    const struct conf *conf = config->conf;
    *host = (struct endpoint_host){.conf = config->conf,
                                   .clock = config->clock,
                                   .incarnation = config->incarnation,
                                   .loop = config->loop,
                                   .settles = config->settles,
                                   .send_up = config->send_up,
                                   .send_message = config->send_message,
                                   .peer_name = config->peer_name,
                                   .hold = config->hold,
                                   .charge = config->charge,
                                   .arg = config->arg};
    mirror_init(&host->mirror);
    history_init(&host->history);
    audiences_init(&host->audiences, conf->slow_hard_bytes);
    map_init(&host->sessions);
    store_calls_init(&host->store_calls);
    host->outbox =
        (struct outbox){.audiences = &host->audiences,
                        .mirror = &host->mirror,
                        .history = &host->history,
                        .sink = config->sink,
                        .dialect = &outbox_dialect,
                        .arg = host,
                        .limits = {conf->slow_soft_bytes, conf->slow_soft_ms, conf->slow_hard_bytes},
                        .clock = config->clock};
    host->tail = (struct tail){.mirror = &host->mirror,
                               .history = &host->history,
                               .audiences = &host->audiences,
                               .outbox = &host->outbox,
                               .incarnation = config->incarnation,
                               .events = &tail_events,
                               .arg = host,
                               .ring_path = config->ring_path,
                               .lvt_path = config->lvt_path};
    host->scratch = malloc(ENDPOINT_SCRATCH);
    host->topics = malloc(2 * AUDIENCE_TOPICS_MAX * sizeof *host->topics);
    if (host->scratch == NULL || host->topics == NULL || pending_init(&host->pending) != ERR_OK) {
        host_fini(host);
        return ERR_MEMORY;
    }
    return ERR_OK;
}

void host_fini(struct endpoint_host *host)
{
    commons_fini(&host->commons);
    tail_close(&host->tail);
    audiences_fini(&host->audiences);
    history_fini(&host->history);
    mirror_fini(&host->mirror);
    pending_fini(&host->pending);
    publishing_fini(&host->publishing);
    store_calls_fini(&host->store_calls);
    map_fini(&host->sessions);
    free(host->scratch);
    free(host->topics);
}
