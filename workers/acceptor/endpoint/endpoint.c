/* Hops: C2, C3, R3. The dialects' view (endpoint.h) and the worker's (host.h) of the same few structs. */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "host.h"
#include "log.h"
#include "must.h"
#include "ws_frame.h"

/* A connection is a client with the dialect's state behind it; dialects see it as an endpoint_conn. */
static struct client *client_of(struct endpoint_conn *conn)
{
    struct client *client = (struct client *)conn;
    MUST_MAGIC(client, CLIENT_MAGIC);
    return client;
}

static struct endpoint_conn *conn_of(struct client *client)
{
    return (struct endpoint_conn *)client;
}

/* --- what dialects may do ----------------------------------------------------------------------------------------- */

#define STATE_OFFSET ((sizeof(struct client) + 15u) & ~(size_t)15u)

void *endpoint_state(struct endpoint_conn *conn)
{
    return (char *)client_of(conn) + STATE_OFFSET;
}

struct endpoint *endpoint_of(struct endpoint_conn *conn)
{
    return client_of(conn)->endpoint;
}

void endpoint_reply(struct endpoint_conn *conn, const char *payload, size_t len)
{
    struct client *client = client_of(conn);
    unsigned char small[2048 + WS_HEADER_MAX];
    unsigned char *memory = len <= 2048 ? small : malloc(len + WS_HEADER_MAX);
    if (memory == NULL) {
        log_error("reply-lost", "out of memory for a reply of %zu bytes; connection closed", len);
        endpoint_close(conn, 1013, "out of memory");
        return;
    }
    memcpy(memory + WS_HEADER_MAX, payload, len);
    unsigned char *frame = ws_frame_prepend(memory + WS_HEADER_MAX, len, WS_TEXT);
    outbox_own_frame(&client->endpoint->host->outbox, client, frame, len + ws_frame_header_len(len));
    if (memory != small)
        free(memory);
}

enum err_e endpoint_subscribe(struct endpoint_conn *conn, const struct topic *topics, uint32_t count)
{
    struct client *client = client_of(conn);
    struct endpoint_host *host = client->endpoint->host;
    uint32_t total = audience_union(client, topics, count, host->topics);
    if (total == UINT32_MAX)
        return ERR_TOO_LARGE;
    return outbox_move(&host->outbox, client, host->topics, total);
}

void endpoint_close(struct endpoint_conn *conn, unsigned code, const char *reason)
{
    struct client *client = client_of(conn);
    if (client->closing)
        return;
    client->closing = true;
    client->endpoint->host->outbox.sink->close(client->sink, code, reason);
}

static uint64_t deadline_ms(const struct endpoint_host *host, const struct endpoint_command *command)
{
    const struct conf_machine *machine = conf_machine(host->conf, command->machine);
    if (command->deadline_ms >= 0)
        return (uint64_t)command->deadline_ms;
    return machine != NULL ? machine->command_deadline_ms : 5000;
}

enum err_e endpoint_send_command(struct endpoint_conn *conn, const struct endpoint_command *command)
{
    struct client *client = client_of(conn);
    struct endpoint_host *host = client->endpoint->host;
    uint64_t now = clock_mono_ns(host->clock);
    if (client->command_serial == 0 && map_put(&host->sessions, client->serial, client) != ERR_OK)
        return ERR_FULL;
    struct pending_entry *entry =
        pending_add(&host->pending, client, command, now, now + deadline_ms(host, command) * NS_PER_MS);
    if (entry == NULL) {
        host->counts.commands_full++;
        return ERR_FULL;
    }
    host->counts.commands++;
    entry->taken = host->send_up(host->arg, entry, false) == ERR_OK;
    return ERR_OK;
}

uint64_t endpoint_wall_ms(const struct endpoint *endpoint)
{
    return clock_wall_ms(endpoint->host->clock);
}

uint64_t endpoint_position(const struct endpoint *endpoint)
{
    return endpoint->host->outbox.position;
}

/* N is that of the last place before `position`; whatever record starts at or behind `position` comes later. */
void endpoint_seq(const struct endpoint *endpoint, uint64_t position, char seq[ENDPOINT_SEQ_MAX])
{
    struct out out = out_init(seq, ENDPOINT_SEQ_MAX - 1);
    out_hex32(&out, endpoint->host->ring_id);
    out_char(&out, '-');
    out_u64(&out, position / RECORD_ALIGN - 1);
    seq[out.len] = '\0';
}

uint32_t endpoint_machine_slots(const struct endpoint *endpoint)
{
    return endpoint->host->mirror.used;
}

uint32_t endpoint_machine_count(const struct endpoint *endpoint)
{
    return endpoint->host->mirror.present;
}

const struct mirror_machine *endpoint_machine(const struct endpoint *endpoint, uint32_t slot)
{
    return mirror_slot(&endpoint->host->mirror, slot);
}

const struct mirror_machine *endpoint_find_machine(const struct endpoint *endpoint, const char *id,
                                                   size_t len)
{
    return mirror_find(&endpoint->host->mirror, id, len);
}

const struct conf *endpoint_conf(const struct endpoint *endpoint)
{
    return endpoint->host->conf;
}

char *endpoint_scratch(struct endpoint *endpoint)
{
    return endpoint->host->scratch;
}

/* --- what the worker does ------------------------------------------------------------------------------------------ */

size_t host_conn_bytes(const struct endpoint_dialect *dialect)
{
    return STATE_OFFSET + dialect->conn_bytes;
}

struct client *host_open(struct endpoint *endpoint, void *memory, void *sink, uint64_t serial,
                         const struct endpoint_request *request)
{
    struct client *client = memory;
    client->magic = CLIENT_MAGIC;
    client->sink = sink;
    client->serial = serial;
    client->endpoint = endpoint;
    endpoint->dialect->on_connect(conn_of(client), request);
    return client;
}

void host_message(struct client *client, const char *text, size_t len, bool binary)
{
    MUST_MAGIC(client, CLIENT_MAGIC);
    if (client->closing)
        return;
    client->endpoint->host->counts.received++;
    client->endpoint->dialect->on_receive(conn_of(client), text, len, binary);
}

void host_writable(struct client *client)
{
    MUST_MAGIC(client, CLIENT_MAGIC);
    outbox_writable(&client->endpoint->host->outbox, client);
}

void host_closed(struct client *client)
{
    MUST_MAGIC(client, CLIENT_MAGIC);
    struct endpoint_host *host = client->endpoint->host;
    client->closing = true;
    client->endpoint->dialect->on_disconnect(conn_of(client));
    pending_drop_client(&host->pending, client);
    if (client->command_serial != 0)
        map_remove(&host->sessions, client->serial);
    outbox_drop(&host->outbox, client);
    client->magic = 0;
}

/* --- answers from the ring (R3) ------------------------------------------------------------------------------------ */

/* The first answer to a command is its answer; a second one (the command was sent up again around a broker's death,
 * or this worker had given up waiting) is not shown to the caller. */
static bool is_first_answer(struct endpoint_host *host, const struct ring_record *record)
{
    const struct record_outcome *meta = record->meta;
    if (record->kind == RECORD_COMPLETION)
        return true;
    if (record->meta_len != sizeof *meta)
        return false;
    struct pending_entry *entry = pending_find(&host->pending, record->origin.serial, meta->command_serial);
    if (entry == NULL) {
        host->counts.answers_repeated++;
        return false;
    }
    pending_remove(&host->pending, entry);
    host->counts.answers++;
    return true;
}

static void on_origin(void *arg, const struct ring_record *record)
{
    struct endpoint_host *host = arg;
    struct client *client = map_get(&host->sessions, record->origin.serial);
    if (client == NULL) {
        host->counts.answers_without_client++;
        return;
    }
    bool in_log = record->origin_mode != ORIGIN_ONLY && audience_got_record(&host->audiences, client);
    if (record->origin_mode == ORIGIN_NOT) {
        if (in_log)
            outbox_skip(&host->outbox, client, record->frame_len);
        return;
    }
    if (is_first_answer(host, record) && !in_log &&
        client->endpoint->dialect->record_dialect == record->dialect)
        outbox_own_frame(&host->outbox, client, record->frame, record->frame_len);
}

/* --- lost frames ----------------------------------------------------------------------------------------------------- */

struct loss {
    struct endpoint_host *host;
    uint64_t since;
    bool gap;
};

static void tell_loss(const struct loss *loss, struct client *client)
{
    if (loss->gap && client->audience->lossless) {
        loss->host->counts.gaps++;
        client->endpoint->dialect->on_gap(conn_of(client));
    }
    outbox_conflate(&loss->host->outbox, client, loss->since);
}

/* Every audience's every member; conflating moves nobody between audiences. */
static void on_lost(void *arg, uint64_t since, enum ring_status_e why)
{
    struct loss loss = {arg, since, why != RING_MORE};
    struct map *audiences = &loss.host->audiences.by_key;
    for (size_t i = 0; i < audiences->capacity; i++) {
        struct audience *audience = audiences->entries[i].value;
        for (uint32_t m = 0; audience != NULL && m < audience->count; m++)
            tell_loss(&loss, audience->members[m]);
    }
    if (why == RING_LAPPED)
        log_warn("ring-lapped", "this worker was overtaken; subscribers get snapshots");
    else if (why != RING_MORE)
        log_warn("ring-lost", "records were lost (%s); subscribers get snapshots",
                 why == RING_GONE ? "new ring" : "damaged record");
}

/* --- commands up ------------------------------------------------------------------------------------------------------ */

static void resend(void *arg, struct pending_entry *entry)
{
    struct endpoint_host *host = arg;
    bool resent = entry->taken;
    if (host->send_up(host->arg, entry, resent) != ERR_OK)
        return;
    entry->taken = true;
    host->counts.commands_resent++;
}

enum err_e host_broker_up(struct endpoint_host *host, uint32_t ring_id)
{
    uint32_t before = host->ring_id;
    host->ring_id = ring_id; /* attaching already shows snapshots */
    enum err_e err = tail_attach(&host->tail, ring_id);
    if (err != ERR_OK) {
        host->ring_id = before;
        return err;
    }
    pending_each(&host->pending, resend, host);
    return ERR_OK;
}

static void expire(void *arg, struct pending_entry *entry)
{
    struct endpoint_host *host = arg;
    enum command_code_e code = pending_verdict(entry, clock_mono_ns(host->clock));
    if (code == CODE_NONE)
        return;
    struct client *client = entry->client;
    struct endpoint_command command = entry->command;
    pending_remove(&host->pending, entry);
    host->counts.commands_failed_here++;
    client->endpoint->dialect->on_command_failed(conn_of(client), &command, code);
}

void host_tick(struct endpoint_host *host)
{
    pending_each(&host->pending, expire, host);
}

/* --- making and ending ------------------------------------------------------------------------------------------------- */

static size_t states_frame(void *arg, const struct client *client,
                           const struct mirror_machine *const *machines, uint32_t count, uint64_t position,
                           void *frame, size_t cap)
{
    (void)arg;
    struct endpoint *endpoint = client->endpoint;
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
    static const struct tail_events tail_events = {on_origin, on_lost};
    *host = (struct endpoint_host){.conf = config->conf,
                                   .clock = config->clock,
                                   .incarnation = config->incarnation,
                                   .send_up = config->send_up,
                                   .arg = config->arg};
    mirror_init(&host->mirror);
    audiences_init(&host->audiences);
    map_init(&host->sessions);
    host->outbox = (struct outbox){.audiences = &host->audiences,
                                   .mirror = &host->mirror,
                                   .sink = config->sink,
                                   .states = states_frame,
                                   .arg = host,
                                   .clock = config->clock};
    host->tail = (struct tail){.mirror = &host->mirror,
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
    tail_close(&host->tail);
    audiences_fini(&host->audiences);
    mirror_fini(&host->mirror);
    pending_fini(&host->pending);
    map_fini(&host->sessions);
    free(host->scratch);
    free(host->topics);
}
