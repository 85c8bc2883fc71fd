/* Hop: D9. Members are counted as caught up, lagging or behind, so that "nobody needs the log" is a comparison and an
 * append costs the same for eight members and eight thousand: it sets caught_up to zero instead of visiting them. */
#include "audience.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "must.h"

struct topic_entry {
    struct topic topic;
    struct audience **audiences;
    uint32_t count, cap;
};

void audiences_init(struct audiences *all)
{
    *all = (struct audiences){.budget = {0, AUDIENCE_BUDGET}};
    framelog_init(&all->main_log, &all->budget, AUDIENCE_LOG_LIMIT);
    map_init(&all->by_key);
    map_init(&all->topics);
    list_init(&all->dirty);
}

void audiences_fini(struct audiences *all)
{
    MUST(all->by_key.count == 0 && all->topics.count == 0);
    framelog_fini(&all->main_log);
    map_fini(&all->by_key);
    map_fini(&all->topics);
}

/* --- topics ------------------------------------------------------------------------------------------------------ */

static bool same_topic(const struct topic *a, const char *name, uint8_t len)
{
    return a->len == len && memcmp(a->name, name, len) == 0;
}

static struct topic_entry *topic_claim(struct audiences *all, const struct topic *topic)
{
    struct topic_entry *entry = map_get(&all->topics, topic->hash);
    if (entry != NULL)
        return same_topic(&entry->topic, topic->name, topic->len) ? entry : NULL;
    entry = calloc(1, sizeof *entry);
    if (entry == NULL || map_put(&all->topics, topic->hash, entry) != ERR_OK) {
        free(entry);
        return NULL;
    }
    entry->topic = *topic;
    return entry;
}

static void topic_release(struct audiences *all, struct topic_entry *entry)
{
    if (entry->count > 0)
        return;
    map_remove(&all->topics, entry->topic.hash);
    free(entry->audiences);
    free(entry);
}

static bool topic_add(struct topic_entry *entry, struct audience *audience)
{
    if (entry->count == entry->cap) {
        uint32_t cap = entry->cap ? entry->cap * 2 : 4;
        struct audience **grown = realloc(entry->audiences, cap * sizeof(*grown));
        if (grown == NULL)
            return false;
        entry->audiences = grown;
        entry->cap = cap;
    }
    entry->audiences[entry->count++] = audience;
    return true;
}

static void topic_drop(struct audiences *all, struct topic_entry *entry, const struct audience *audience)
{
    for (uint32_t i = 0; i < entry->count; i++) {
        if (entry->audiences[i] == audience) {
            entry->audiences[i] = entry->audiences[--entry->count];
            break;
        }
    }
    topic_release(all, entry);
}

/* --- sets of topics ---------------------------------------------------------------------------------------------- */

static int by_hash(const void *a, const void *b)
{
    const struct topic *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static uint32_t sort_distinct(struct topic *topics, uint32_t count)
{
    qsort(topics, count, sizeof *topics, by_hash);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || topics[kept - 1].hash != topics[i].hash)
            topics[kept++] = topics[i];
    return kept;
}

static uint64_t set_key(const struct topic *topics, uint32_t count)
{
    uint64_t key = 0;
    for (uint32_t i = 0; i < count; i++)
        key = hash_bytes(&topics[i].hash, sizeof topics[i].hash, key);
    return key != 0 ? key : 1;
}

uint32_t audience_union(const struct client *client, const struct topic *topics, uint32_t count,
                        struct topic *out)
{
    const struct audience *audience = client->audience;
    uint32_t have = audience != NULL ? audience->topic_count : 0;
    if (count > AUDIENCE_TOPICS_MAX)
        return UINT32_MAX;
    for (uint32_t i = 0; i < have; i++)
        out[i] = audience->topics[i]->topic;
    memcpy(out + have, topics, count * sizeof *topics);
    count = sort_distinct(out, have + count);
    return count <= AUDIENCE_TOPICS_MAX ? count : UINT32_MAX;
}

bool audience_has_topic(const struct audience *audience, uint64_t hash)
{
    uint32_t low = 0, high = audience->topic_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        uint64_t at = audience->topics[middle]->topic.hash;
        if (at == hash)
            return true;
        if (at < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* --- making and ending audiences --------------------------------------------------------------------------------- */

static void audience_free(struct audiences *all, struct audience *audience)
{
    list_remove(&audience->dirty);
    for (uint32_t i = 0; i < audience->topic_count; i++)
        topic_drop(all, audience->topics[i], audience);
    framelog_fini(&audience->log);
    if (audience->pins_main_log && --all->refs_behind == 0)
        framelog_rewind(&all->main_log);
    free(audience->topics);
    free(audience->members);
    free(audience->refs);
    free(audience);
}

static bool fill_topics(struct audiences *all, struct audience *audience, const struct topic *topics,
                        uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct topic_entry *entry = topic_claim(all, &topics[i]);
        if (entry == NULL)
            return false;
        if (!topic_add(entry, audience)) {
            topic_release(all, entry);
            return false;
        }
        audience->topics[audience->topic_count++] = entry;
        bool state = memcmp(topics[i].name, "state/", 6) == 0;
        audience->lossless |= !state;
        audience->all_states |= state && topics[i].len == 7 && topics[i].name[6] == '#';
    }
    return true;
}

static struct audience *audience_new(struct audiences *all, uint64_t key, const struct topic *topics,
                                     uint32_t count)
{
    struct audience *audience = calloc(1, sizeof *audience);
    if (audience == NULL)
        return NULL;
    list_init(&audience->dirty);
    framelog_init(&audience->log, &all->budget, AUDIENCE_LOG_LIMIT);
    audience->key = key;
    audience->topics = malloc(count * sizeof(*audience->topics));
    if (audience->topics == NULL || !fill_topics(all, audience, topics, count) ||
        map_put(&all->by_key, key, audience) != ERR_OK) {
        audience_free(all, audience);
        return NULL;
    }
    return audience;
}

static bool same_set(const struct audience *audience, const struct topic *topics, uint32_t count)
{
    if (audience->topic_count != count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct topic *have = &audience->topics[i]->topic;
        if (have->hash != topics[i].hash || !same_topic(have, topics[i].name, topics[i].len))
            return false;
    }
    return true;
}

static bool reserve_member(struct audience *audience)
{
    if (audience->count < audience->cap)
        return true;
    uint32_t cap = audience->cap ? audience->cap * 2 : 1;
    struct client **grown = realloc(audience->members, cap * sizeof(*grown));
    if (grown == NULL)
        return false;
    audience->members = grown;
    audience->cap = cap;
    return true;
}

static void promote(struct audiences *all, struct audience *audience);

static void add_member(struct audiences *all, struct audience *audience, struct client *client)
{
    client->audience = audience;
    client->member = audience->count;
    client->cursor = audience_head(audience);
    audience->members[audience->count++] = client;
    audience->caught_up++;
    if (client->choked)
        audience->choked++;
    if (!audience->own_log && audience->count >= AUDIENCE_OWN_LOG)
        promote(all, audience);
}

enum err_e audience_join(struct audiences *all, struct client *client, const struct topic *topics,
                         uint32_t count)
{
    if (count > AUDIENCE_TOPICS_MAX)
        return ERR_TOO_LARGE;
    if (count == 0) {
        audience_leave(all, client);
        return ERR_OK;
    }
    struct topic *sorted = malloc(count * sizeof *sorted);
    if (sorted == NULL)
        return ERR_MEMORY;
    memcpy(sorted, topics, count * sizeof *sorted);
    count = sort_distinct(sorted, count);
    uint64_t key = set_key(sorted, count);
    struct audience *audience = map_get(&all->by_key, key);
    if (audience == NULL)
        audience = audience_new(all, key, sorted, count);
    else if (!same_set(audience, sorted, count))
        audience = NULL; /* a collision of 64-bit keys */
    free(sorted);
    if (audience == NULL)
        return ERR_MEMORY;
    if (audience == client->audience)
        return ERR_OK;
    if (!reserve_member(audience)) {
        if (audience->count == 0) {
            map_remove(&all->by_key, key);
            audience_free(all, audience);
        }
        return ERR_MEMORY;
    }
    audience_leave(all, client);
    add_member(all, audience, client);
    return ERR_OK;
}

/* --- who needs the log ------------------------------------------------------------------------------------------- */

static bool is_caught_up(const struct client *client)
{
    return client->lag == NULL && client->cursor == audience_head(client->audience);
}

static void pin_main_log(struct audiences *all, struct audience *audience, bool pin)
{
    if (audience->pins_main_log == pin)
        return;
    audience->pins_main_log = pin;
    all->refs_behind += pin ? 1u : -1u;
    if (all->refs_behind == 0)
        framelog_rewind(&all->main_log);
}

/* Frees what no member needs any more. */
static void settle(struct audiences *all, struct audience *audience)
{
    if (audience->caught_up + audience->lagging < audience->count)
        return;
    if (audience->own_log) {
        framelog_rewind(&audience->log);
        return;
    }
    audience->ref_tail = audience->ref_head;
    pin_main_log(all, audience, false);
}

void audience_leave(struct audiences *all, struct client *client)
{
    struct audience *audience = client->audience;
    if (audience == NULL)
        return;
    if (client->lag != NULL)
        audience->lagging--;
    else if (is_caught_up(client))
        audience->caught_up--;
    if (client->choked)
        audience->choked--;
    struct client *last = audience->members[--audience->count];
    audience->members[client->member] = last;
    last->member = client->member;
    client->audience = NULL;
    if (audience->round_left > 0) /* the member moved into the gap may not have been visited */
        audience->round_left = audience->count;
    if (audience->count == 0) {
        map_remove(&all->by_key, audience->key);
        audience_free(all, audience);
        return;
    }
    settle(all, audience);
}

void audience_advance(struct audiences *all, struct client *client, size_t bytes)
{
    struct audience *audience = client->audience;
    if (bytes == 0)
        return;
    if (audience->own_log) {
        client->cursor += bytes;
    } else {
        while (bytes > 0) {
            uint32_t len = audience->refs[client->cursor++ & (audience->ref_cap - 1)].len;
            MUST(len <= bytes);
            bytes -= len;
        }
    }
    if (is_caught_up(client)) {
        audience->caught_up++;
        settle(all, audience);
    }
}

void audience_start_lag(struct audiences *all, struct client *client, struct client_lag *lag)
{
    struct audience *audience = client->audience;
    MUST(client->lag == NULL);
    if (is_caught_up(client))
        audience->caught_up--;
    client->lag = lag;
    audience->lagging++;
    settle(all, audience);
}

struct client_lag *audience_end_lag(struct audiences *all, struct client *client)
{
    struct audience *audience = client->audience;
    struct client_lag *lag = client->lag;
    MUST(lag != NULL);
    client->lag = NULL;
    client->cursor = audience_head(audience);
    audience->lagging--;
    audience->caught_up++;
    settle(all, audience);
    return lag;
}

/* --- frames ------------------------------------------------------------------------------------------------------ */

uint64_t audience_head(const struct audience *audience)
{
    return audience->own_log ? audience->log.head : audience->ref_head;
}

uint64_t audience_tail(const struct audiences *all, const struct audience *audience)
{
    if (audience->own_log)
        return audience->log.tail;
    uint64_t tail = audience->ref_tail;
    while (tail < audience->ref_head &&
           audience->refs[tail & (audience->ref_cap - 1)].offset < all->main_log.tail)
        tail++;
    return tail;
}

void audiences_begin_record(struct audiences *all)
{
    all->stamp++;
}

static bool to_main_log(struct audiences *all, const void *frame, uint32_t len)
{
    if (all->main_stamp == all->stamp)
        return true;
    if (!framelog_append(&all->main_log, frame, len, &all->main_offset))
        return false;
    all->main_stamp = all->stamp;
    return true;
}

static bool grow_refs(struct audience *audience)
{
    uint32_t cap = audience->ref_cap ? audience->ref_cap * 2 : 8;
    struct frame_ref *grown = malloc(cap * sizeof *grown);
    if (grown == NULL)
        return false;
    for (uint64_t i = audience->ref_tail; i < audience->ref_head; i++)
        grown[i & (cap - 1)] = audience->refs[i & (audience->ref_cap - 1)];
    free(audience->refs);
    audience->refs = grown;
    audience->ref_cap = cap;
    return true;
}

static bool append_ref(struct audiences *all, struct audience *audience, const void *frame, uint32_t len)
{
    if (audience->ref_head - audience->ref_tail == audience->ref_cap) {
        if (audience->ref_cap >= AUDIENCE_REFS_MAX)
            audience->ref_tail++; /* the oldest is given up; who needed it lags */
        else if (!grow_refs(audience))
            return false;
    }
    if (!to_main_log(all, frame, len))
        return false;
    audience->refs[audience->ref_head++ & (audience->ref_cap - 1)] =
        (struct frame_ref){all->main_offset, len};
    pin_main_log(all, audience, true);
    return true;
}

static bool append(struct audiences *all, struct audience *audience, const void *frame, uint32_t len,
                   uint64_t source_ns)
{
    audience->stamp = all->stamp;
    if (audience->lagging == audience->count) /* all of them read the mirror */
        return true;
    uint64_t offset;
    bool stored = audience->own_log ? framelog_append(&audience->log, frame, len, &offset)
                                    : append_ref(all, audience, frame, len);
    if (!stored)
        return false;
    all->appends++;
    audience->caught_up = 0;
    if (audience->source_ns == 0)
        audience->source_ns = source_ns;
    /* Where frames may be lost to a member whose socket is full, rounds look at such members too. */
    if ((audience->choked < audience->count || audience->lossless) && list_empty(&audience->dirty))
        list_append(&all->dirty, &audience->dirty);
    return true;
}

bool audiences_append(struct audiences *all, uint64_t topic_hash, const char *name, uint8_t name_len,
                      const void *frame, uint32_t len, uint64_t source_ns)
{
    struct topic_entry *entry = map_get(&all->topics, topic_hash);
    if (entry == NULL || !same_topic(&entry->topic, name, name_len))
        return true;
    bool stored = true;
    for (uint32_t i = 0; i < entry->count; i++)
        if (entry->audiences[i]->stamp != all->stamp)
            stored &= append(all, entry->audiences[i], frame, len, source_ns);
    return stored;
}

bool audience_got_record(const struct audiences *all, const struct client *client)
{
    return client->audience != NULL && client->audience->stamp == all->stamp;
}

static int ref_pieces(const struct audiences *all, const struct audience *audience, uint64_t from,
                      uint64_t to, struct iovec *pieces, int max)
{
    int count = 0;
    for (; from < to && count < max; from++) {
        struct frame_ref ref = audience->refs[from & (audience->ref_cap - 1)];
        struct iovec one;
        MUST(framelog_pieces(&all->main_log, ref.offset, ref.offset + ref.len, &one, 1) == 1);
        char *end = count > 0 ? (char *)pieces[count - 1].iov_base + pieces[count - 1].iov_len : NULL;
        if (end == one.iov_base)
            pieces[count - 1].iov_len += one.iov_len; /* neighbours in the main log go as one */
        else
            pieces[count++] = one;
    }
    return count;
}

int audience_pieces(const struct audiences *all, const struct client *client, uint64_t to,
                    struct iovec *pieces, int max)
{
    const struct audience *audience = client->audience;
    if (audience->own_log)
        return framelog_pieces(&audience->log, client->cursor, to, pieces, max);
    return ref_pieces(all, audience, client->cursor, to, pieces, max);
}

/* --- from references to an own log -------------------------------------------------------------------------------- */

static uint64_t bytes_between(const struct audience *audience, uint64_t from, uint64_t to)
{
    uint64_t bytes = 0;
    for (; from < to; from++)
        bytes += audience->refs[from & (audience->ref_cap - 1)].len;
    return bytes;
}

/* Copies what is still to be sent and translates every cursor; if memory is short the audience stays as it is. */
static void promote(struct audiences *all, struct audience *audience)
{
    uint64_t tail = audience_tail(all, audience), offset;
    for (uint64_t i = tail; i < audience->ref_head; i++) {
        struct frame_ref ref = audience->refs[i & (audience->ref_cap - 1)];
        struct iovec one;
        MUST(framelog_pieces(&all->main_log, ref.offset, ref.offset + ref.len, &one, 1) == 1);
        if (!framelog_append(&audience->log, one.iov_base, one.iov_len, &offset)) {
            framelog_fini(&audience->log);
            framelog_init(&audience->log, &all->budget, AUDIENCE_LOG_LIMIT);
            return;
        }
    }
    /* Whoever had fallen off the references stands before the new log's tail. */
    uint64_t shift = 1;
    framelog_shift(&audience->log, shift);
    for (uint32_t i = 0; i < audience->count; i++) {
        struct client *client = audience->members[i];
        client->cursor = client->cursor < tail ? 0 : shift + bytes_between(audience, tail, client->cursor);
    }
    pin_main_log(all, audience, false);
    free(audience->refs);
    audience->refs = NULL;
    audience->ref_cap = 0;
    audience->own_log = true;
    all->promotions++;
}
