/* Hops: C2, R4. What a client that comes back has missed: the ring's history, asked by topics. */
#include <stdlib.h>
#include <string.h>

#include "endpoint.h"
#include "host.h"

#define N_MAX    (UINT64_MAX / RECORD_ALIGN - 1)
#define CATCH_UP 4096u /* records, 10 ms; a worker that is further behind than that answers with a gap */

/* --- RING-N ------------------------------------------------------------------------------------------------------ */

static bool read_ring_id(const char *text, uint32_t *id)
{
    *id = 0;
    for (int i = 0; i < 8; i++) {
        char c = text[i];
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (uint32_t)(c - 'a' + 10);
        else
            return false;
        *id = *id << 4 | digit;
    }
    return true;
}

/* Decimal; what is larger than any N becomes N_MAX, which lies in the future of every ring. */
static bool read_number(const char *text, size_t len, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text[i] - '0');
        *number = *number > (N_MAX - digit) / 10 ? N_MAX : *number * 10 + digit;
    }
    return len > 0;
}

/* Another worker may have read the ring further than this one has: then what lies between is read now. */
static bool reached(struct endpoint_host *host, uint64_t position)
{
    for (unsigned i = 0; i < CATCH_UP && host->outbox.position < position; i++)
        if (!tail_drain(&host->tail, 1))
            break;
    return host->outbox.position >= position;
}

bool endpoint_parse_seq(const struct endpoint *endpoint, const char *text, size_t len,
                        struct endpoint_since *since)
{
    uint32_t ring_id;
    uint64_t number;
    if (len < 10 || text[8] != '-' || !read_ring_id(text, &ring_id) ||
        !read_number(text + 9, len - 9, &number))
        return false;
    *since = (struct endpoint_since){.position = (number + 1) * RECORD_ALIGN, .ring = ring_id};
    endpoint_look_again(endpoint, since);
    return true;
}

void endpoint_look_again(const struct endpoint *endpoint, struct endpoint_since *since)
{
    since->known = since->ring == endpoint->host->ring_id && reached(endpoint->host, since->position);
}

struct endpoint_since endpoint_now(const struct endpoint *endpoint)
{
    return (struct endpoint_since){true, endpoint_position(endpoint), endpoint->host->ring_id};
}

bool endpoint_lost(const struct endpoint_conn *conn, struct endpoint_since *since)
{
    *since = conn->endpoint->host->lost;
    return conn->endpoint->host->losing;
}

/* --- what was missed ------------------------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The sorted hashes of those topics whose frames the history keeps. */
static uint32_t kept_hashes(const struct topic *topics, uint32_t count, uint64_t *hashes)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (audience_topic_class(&topics[i]) == AUDIENCE_KEPT)
            hashes[kept++] = topics[i].hash;
    qsort(hashes, kept, sizeof *hashes, by_value);
    return kept;
}

static uint64_t first_missed(struct endpoint *endpoint, const struct history_filter *filter, uint64_t since)
{
    struct history *history = &endpoint->host->history;
    uint64_t now = endpoint_position(endpoint);
    bool found;
    uint64_t number = history_match(history, history_find(history, since), history->head, filter, &found);
    return found ? history_position(history, number) : now;
}

struct endpoint_missed endpoint_missed(struct endpoint *endpoint, const struct topic *topics, uint32_t count,
                                       struct endpoint_since since)
{
    struct endpoint_missed missed = {.first = endpoint_position(endpoint)};
    uint64_t *hashes = malloc((count + 1) * sizeof *hashes);
    uint32_t kept = hashes != NULL ? kept_hashes(topics, count, hashes) : 0;
    const struct history_filter filter = {hashes, kept, (uint8_t)endpoint->dialect->record_dialect};
    if (hashes == NULL || (kept > 0 && !since.known)) {
        missed.gap = true; /* nothing is known about it */
    } else if (kept > 0) {
        missed.first = first_missed(endpoint, &filter, since.position);
        missed.gap = since.position < endpoint->host->history.known_from;
    }
    free(hashes);
    return missed;
}

enum err_e endpoint_replay(struct endpoint_conn *conn, const struct topic *topics, uint32_t count,
                           struct endpoint_missed missed)
{
    struct endpoint_host *host = endpoint_of(conn)->host;
    if (conn->client.closing)
        return ERR_CLOSED;
    if (missed.first >= host->outbox.position)
        return ERR_OK;
    uint64_t *hashes = malloc((count + 1) * sizeof *hashes);
    if (hashes == NULL)
        return ERR_MEMORY;
    const struct history_filter filter = {hashes, kept_hashes(topics, count, hashes),
                                          (uint8_t)conn->endpoint->dialect->record_dialect};
    enum err_e err = outbox_replay(&host->outbox, &conn->client, &filter, missed.first);
    free(hashes);
    return err;
}

bool endpoint_may_seq(const struct endpoint_conn *conn)
{
    return outbox_may_seq(&conn->client);
}
