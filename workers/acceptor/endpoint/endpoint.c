/* Hop: C2. What dialects may do and ask; the worker's side of the same structs is host.c. */
#include "endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "frames_payload.h"
#include "host.h"
#include "log.h"
#include "must.h"

/* A set is made anew with each change: so many of its topics cost as much as a message (README.md). */
#define TOPICS_PER_MESSAGE 64u

_Static_assert(ENDPOINT_PEER_MAX >= CALLER_FROM_MAX, "a name fits");

void *endpoint_state(struct endpoint_conn *conn)
{
    return (char *)conn + sizeof *conn;
}

struct endpoint *endpoint_of(struct endpoint_conn *conn)
{
    MUST_MAGIC(&conn->client, CLIENT_MAGIC);
    return conn->endpoint;
}

static struct endpoint_host *host_of(struct endpoint_conn *conn)
{
    return endpoint_of(conn)->host;
}

uint64_t endpoint_serial(const struct endpoint_conn *conn)
{
    return conn->caller.serial;
}

void endpoint_peer(const struct endpoint_conn *conn, char peer[ENDPOINT_PEER_MAX])
{
    conn->endpoint->host->peer_name(conn->client.sink, peer);
}

bool endpoint_is_writable(const struct endpoint_conn *conn)
{
    return !conn->client.choked && conn->endpoint->host->outbox.sink->can_write(conn->client.sink);
}

uint64_t endpoint_owed_bytes(const struct endpoint *endpoint)
{
    return endpoint->host->outbox.counts.own_bytes;
}

const char *endpoint_principal(const struct endpoint_conn *conn)
{
    return conn->caller.principal;
}

bool endpoint_may(const struct endpoint_conn *conn, enum grant_e grant, const char *name, size_t len)
{
    return identity_may(conn->identity, grant, name, len);
}

bool endpoint_may_all(const struct endpoint_conn *conn, enum grant_e grant)
{
    return identity_may_all(conn->identity, grant);
}

const struct identity *endpoint_identity(const struct endpoint_conn *conn)
{
    return conn->identity;
}

/* --- replies, subscriptions, commands ------------------------------------------------------------------------------ */

static void reply(struct endpoint_conn *conn, const void *payload, size_t len, bool binary)
{
    unsigned char small[FRAMES_PAYLOAD_BYTES(2048)];
    size_t cap = FRAMES_PAYLOAD_BYTES(len);
    unsigned char *memory = cap <= sizeof small ? small : malloc(cap);
    if (memory == NULL) {
        log_error("reply-lost", "session=%016llx.%llu bytes=%zu error=\"out of memory\" connection closed",
                  (unsigned long long)host_of(conn)->incarnation, (unsigned long long)conn->caller.serial,
                  len);
        endpoint_close(conn, 1013, "out of memory");
        return;
    }
    struct frame_bytes frame = frames_payload(memory, cap, payload, len, binary);
    outbox_own_frame(&host_of(conn)->outbox, &conn->client, frame.at, frame.len);
    if (memory != small)
        free(memory);
}

void endpoint_reply(struct endpoint_conn *conn, const char *payload, size_t len)
{
    reply(conn, payload, len, false);
}

void endpoint_reply_binary(struct endpoint_conn *conn, const void *payload, size_t len)
{
    reply(conn, payload, len, true);
}

void endpoint_gather(struct endpoint_conn *conn)
{
    struct endpoint_host *host = host_of(conn);
    if (host->settles && !conn->client.closing)
        outbox_begin_read(&host->outbox, &conn->client);
}

void endpoint_gathered(struct endpoint *endpoint)
{
    struct outbox *outbox = &endpoint->host->outbox;
    if (outbox->reading != NULL)
        outbox_settle(outbox, outbox->reading);
}

static bool has_all(const struct endpoint_conn *conn, const struct topic *topics, uint32_t count)
{
    const struct audience *audience = conn->client.audience;
    for (uint32_t i = 0; i < count; i++)
        if (audience == NULL || !audience_has_topic(audience, topics[i].hash))
            return false;
    return true;
}

enum err_e endpoint_subscribe(struct endpoint_conn *conn, const struct topic *topics, uint32_t count)
{
    struct endpoint_host *host = host_of(conn);
    if (has_all(conn, topics, count))
        return conn->client.closing ? ERR_CLOSED : ERR_OK;
    uint32_t total = audience_union(&conn->client, topics, count, host->topics);
    if (total == UINT32_MAX)
        return ERR_TOO_LARGE;
    endpoint_charge(conn, total / TOPICS_PER_MESSAGE);
    return outbox_move(&host->outbox, &conn->client, host->topics, total);
}

enum err_e endpoint_unsubscribe(struct endpoint_conn *conn, const struct topic *topics, uint32_t count)
{
    struct endpoint_host *host = host_of(conn);
    if (conn->client.audience != NULL)
        endpoint_charge(conn, conn->client.audience->topic_count / TOPICS_PER_MESSAGE);
    uint32_t left = audience_without(&conn->client, topics, count, host->topics);
    return outbox_move(&host->outbox, &conn->client, host->topics, left);
}

uint32_t endpoint_topics(struct endpoint_conn *conn, const struct topic **topics)
{
    *topics = host_of(conn)->topics;
    return audience_union(&conn->client, host_of(conn)->topics, 0, host_of(conn)->topics);
}

bool endpoint_is_subscribed(const struct endpoint_conn *conn, const struct topic *topic)
{
    const struct audience *audience = conn->client.audience;
    return audience != NULL && audience_has_topic(audience, topic->hash);
}

void endpoint_close(struct endpoint_conn *conn, unsigned code, const char *reason)
{
    outbox_close(&host_of(conn)->outbox, &conn->client, code, reason);
}

enum err_e endpoint_send_command(struct endpoint_conn *conn, const struct endpoint_command *command)
{
    return caller_send(host_of(conn), &conn->caller, command);
}

/* --- what the worker knows ------------------------------------------------------------------------------------------ */

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

uv_loop_t *endpoint_loop(const struct endpoint *endpoint)
{
    return endpoint->host->loop;
}

const struct clock *endpoint_clock(const struct endpoint *endpoint)
{
    return endpoint->host->clock;
}

char *endpoint_scratch(struct endpoint *endpoint)
{
    return endpoint->host->scratch;
}
