/* Hop: C3. See publishing.h, and endpoint_publish() in endpoint.h. */
#include "publishing.h"

#include <stdlib.h>
#include <string.h>

#include "fault_point.h"
#include "host.h"
#include "must.h"
#include "wire.h"

_Static_assert(ENDPOINT_PUBLISH_MAX == WIRE_PUBLISH_PAYLOAD_MAX, "what a dialect may publish fits");
_Static_assert(WIRE_TOPIC_MAX == TOPIC_MAX, "and so do its topics");
_Static_assert(PUBLISH_SOFT_BYTES / 2 + PUBLISH_RELEASE * 16384u < PUBLISH_HARD_BYTES, "see publishing.h");

/* --- who is held --------------------------------------------------------------------------------------------------- */

static bool reserve(struct publishing *p)
{
    if (p->held_count < p->held_cap)
        return true;
    uint32_t cap = p->held_cap ? p->held_cap * 2 : 16;
    struct endpoint_conn **grown = realloc(p->held, cap * sizeof(*grown));
    if (grown == NULL)
        return false;
    p->held = grown;
    p->held_cap = cap;
    return true;
}

/* Out of memory it is not held; the hard bound holds all the same. */
static void hold(struct endpoint_host *host, struct endpoint_conn *conn)
{
    struct publishing *p = &host->publishing;
    if (host->hold == NULL || conn->caller.held != 0 || !reserve(p))
        return;
    p->held[p->held_count++] = conn;
    conn->caller.held = p->held_count;
    if (!conn->caller.held_by_dialect)
        host->hold(conn->client.sink, true);
}

void publishing_forget(struct endpoint_host *host, struct endpoint_conn *conn)
{
    struct publishing *p = &host->publishing;
    uint32_t place = conn->caller.held;
    if (place == 0)
        return;
    struct endpoint_conn *last = p->held[--p->held_count];
    p->held[place - 1] = last;
    last->caller.held = place;
    conn->caller.held = 0;
}

static void release_some(struct endpoint_host *host)
{
    struct publishing *p = &host->publishing;
    if (p->window.bytes >= PUBLISH_SOFT_BYTES / 2)
        return;
    p->pressed = false;
    if (p->held_count == 0)
        return;
    struct endpoint_conn *first[PUBLISH_RELEASE]; /* who has waited longest */
    uint32_t count = p->held_count < PUBLISH_RELEASE ? p->held_count : PUBLISH_RELEASE;
    memcpy(first, p->held, count * sizeof *first);
    p->held_count -= count;
    memmove(p->held, p->held + count, p->held_count * sizeof *p->held);
    for (uint32_t i = 0; i < p->held_count; i++)
        p->held[i]->caller.held = i + 1;
    for (uint32_t i = 0; i < count; i++) {
        first[i]->caller.held = 0;
        if (!first[i]->caller.held_by_dialect)
            host->hold(first[i]->client.sink, false);
    }
}

void endpoint_hold(struct endpoint_conn *conn, bool hold)
{
    struct endpoint_host *host = endpoint_of(conn)->host;
    if (host->hold == NULL || conn->caller.held_by_dialect == hold)
        return;
    conn->caller.held_by_dialect = hold;
    if (conn->caller.held == 0)
        host->hold(conn->client.sink, hold);
}

void publishing_fini(struct publishing *p)
{
    MUST(p->held_count == 0); /* every connection is gone */
    publish_window_fini(&p->window);
    free(p->held);
    p->held = NULL;
    p->held_cap = 0;
}

/* --- to the broker ------------------------------------------------------------------------------------------------- */

static struct wire_message message_of(struct publish_entry *entry)
{
    struct wire_message message = {.type = WIRE_PUBLISH};
    message.publish = (struct wire_publish){
        .publish_seq = entry->seq,
        .session_serial = entry->session_serial,
        .dialect = entry->dialect,
        .echo = entry->echo,
        .binary = entry->binary,
        .source_ns = entry->source_ns,
        .topics = {(const char *)entry->bytes, entry->topics_len},
        .payload = {(const char *)publish_entry_payload(entry), entry->payload_len},
    };
    return message;
}

void publishing_send(struct endpoint_host *host)
{
    struct publishing *p = &host->publishing;
    struct publish_entry *entry;
    if (!p->open || publish_window_unsent(&p->window) == NULL)
        return;
    uint64_t now = clock_mono_ns(host->clock);
    for (unsigned n = 0; n < PUBLISH_BURST && (entry = publish_window_unsent(&p->window)) != NULL; n++) {
        struct wire_message message = message_of(entry);
        if (host->send_message(host->arg, &message) != ERR_OK)
            return; /* when the link is served, or up */
        FAULT_POINT(WORKER_PUBLISH_SENT);
        publish_window_sent(&p->window, now);
    }
}

void publishing_up(struct endpoint_host *host)
{
    struct publishing *p = &host->publishing;
    p->counts.resent += publish_window_rewind(&p->window);
    p->open = true;
    publishing_send(host);
}

void publishing_down(struct endpoint_host *host)
{
    host->publishing.open = false;
}

void publishing_lost(struct endpoint_host *host)
{
    struct publishing *p = &host->publishing;
    p->counts.unknown += publish_window_give_up(&p->window, UINT64_MAX);
}

void publishing_seen(struct endpoint_host *host, uint64_t publish_seq)
{
    FAULT_POINT(WORKER_PUBLISH_SEEN);
    publish_window_acknowledged(&host->publishing.window, publish_seq);
    publishing_send(host);
    release_some(host);
}

/* A broker that refused a message (its checks are its own) says nothing; nobody waits for ever for that. */
static void give_up(struct endpoint_host *host)
{
    struct publishing *p = &host->publishing;
    uint64_t now = clock_mono_ns(host->clock);
    uint32_t suppressed;
    if (!p->open || now < PUBLISH_GIVE_UP_NS)
        return;
    uint64_t gone = publish_window_give_up(&p->window, now - PUBLISH_GIVE_UP_NS);
    p->counts.given_up += gone;
    if (gone > 0 && log_limit_ok(&p->log_limit, now, 60 * NS_PER_S, 1, &suppressed))
        log_error("publish", "messages=%llu suppressed=%u given to the broker, and not in the ring",
                  (unsigned long long)gone, suppressed);
}

void publishing_tick(struct endpoint_host *host)
{
    if (publish_window_count(&host->publishing.window) > 0) {
        publishing_send(host);
        give_up(host);
    }
    release_some(host);
}

/* --- from the dialects --------------------------------------------------------------------------------------------- */

/* What is given to the window. */
struct publication {
    const struct endpoint *endpoint;
    const struct audience *audience; /* whose topics; NULL: those listed */
    const struct topic *topics;
    uint32_t topic_count;
    struct caller *sender; /* NULL: nobody's */
    bool echo, binary;
    const void *payload;
    size_t len;
};

static const struct topic *topic_of(const struct publication *what, uint32_t i)
{
    return what->audience != NULL ? audience_topic(what->audience, i) : &what->topics[i];
}

static uint32_t topics_bytes(const struct publication *what)
{
    uint32_t bytes = what->topic_count;
    if (what->audience != NULL)
        return bytes + what->audience->names_bytes;
    for (uint32_t i = 0; i < what->topic_count; i++)
        bytes += what->topics[i].len;
    return bytes;
}

static enum err_e keep(struct endpoint_host *host, const struct publication *what)
{
    uint32_t topics_len = topics_bytes(what);
    struct publish_entry *entry;
    enum err_e err = publish_window_add(&host->publishing.window, topics_len, (uint32_t)what->len, &entry);
    if (err != ERR_OK)
        return err;
    entry->session_serial = what->sender != NULL ? what->sender->serial : 0;
    entry->dialect = (uint16_t)what->endpoint->dialect->record_dialect;
    entry->source_ns = clock_mono_ns(host->clock);
    entry->echo = what->echo;
    entry->binary = what->binary;
    size_t at = 0;
    for (uint32_t i = 0; i < what->topic_count; i++) {
        const struct topic *topic = topic_of(what, i);
        MUST(wire_topics_append(entry->bytes, topics_len, &at, topic->name, topic->len));
    }
    if (what->len > 0)
        memcpy(publish_entry_payload(entry), what->payload, what->len);
    return ERR_OK;
}

static void count_refusal(struct publish_counts *counts, enum err_e err)
{
    if (err == ERR_FULL)
        counts->full++;
    else
        counts->out_of_memory++;
}

/* A sender is known from now on by its serial, so that the record finds it again. */
static enum err_e publish(struct endpoint_host *host, const struct publication *what)
{
    struct publishing *p = &host->publishing;
    enum err_e err = what->sender != NULL ? caller_register(host, what->sender) : ERR_OK;
    if (err == ERR_OK)
        err = keep(host, what);
    if (err != ERR_OK) {
        count_refusal(&p->counts, err);
        return err;
    }
    p->counts.published++;
    p->pressed |= p->window.bytes > PUBLISH_SOFT_BYTES;
    FAULT_POINT(WORKER_PUBLISH_KEPT);
    publishing_send(host);
    return ERR_OK;
}

static bool is_too_large(const struct publication *what)
{
    return what->len > ENDPOINT_PUBLISH_MAX || what->topic_count > WIRE_PUBLISH_TOPICS_MAX;
}

enum err_e endpoint_publish(struct endpoint_conn *conn, const char *payload, size_t len, bool echo)
{
    struct endpoint_host *host = endpoint_of(conn)->host;
    const struct audience *audience = conn->client.audience;
    if (conn->client.closing)
        return ERR_CLOSED;
    if (audience == NULL)
        return ERR_NOT_FOUND;
    struct publication what = {.endpoint = conn->endpoint,
                               .audience = audience,
                               .topic_count = audience->topic_count,
                               .sender = &conn->caller,
                               .echo = echo,
                               .payload = payload,
                               .len = len};
    if (is_too_large(&what))
        return ERR_TOO_LARGE;
    enum err_e err = publish(host, &what);
    if (err == ERR_OK)
        endpoint_charge(conn, (audience->topic_count + 15) / 16 - 1);
    if (err != ERR_OK || host->publishing.window.bytes > PUBLISH_SOFT_BYTES)
        hold(host, conn);
    return err;
}

enum err_e endpoint_publish_to(struct endpoint *endpoint, const struct topic *topics, uint32_t count,
                               const void *payload, size_t len, bool binary, struct endpoint_conn *except)
{
    struct publication what = {.endpoint = endpoint,
                               .topics = topics,
                               .topic_count = count,
                               .sender = except != NULL ? &except->caller : NULL,
                               .binary = binary,
                               .payload = payload,
                               .len = len};
    if (count == 0)
        return ERR_NOT_FOUND;
    return is_too_large(&what) ? ERR_TOO_LARGE : publish(endpoint->host, &what);
}

bool endpoint_may_publish(const struct endpoint *endpoint)
{
    return !endpoint->host->publishing.pressed;
}

void endpoint_charge(struct endpoint_conn *conn, unsigned messages)
{
    const struct endpoint_host *host = endpoint_of(conn)->host;
    if (messages > 0 && host->charge != NULL)
        host->charge(conn->client.sink, messages);
}
