/* Hop: D9. Topics and sets of them: which audiences contain a topic, and the other way round. Each audience knows its
 * place in each of its topics' lists, so that leaving costs the same whether ten or ten thousand share a topic. */
#include <stdlib.h>
#include <string.h>

#include "audience_internal.h"
#include "hash.h"
#include "must.h"

/* --- one topic --------------------------------------------------------------------------------------------------- */

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

/* Index of the topic in the audience's sorted list; UINT32_MAX: not there. */
static uint32_t topic_index(const struct audience *audience, uint64_t hash)
{
    uint32_t low = 0, high = audience->topic_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        uint64_t at = audience->topics[middle]->topic.hash;
        if (at == hash)
            return middle;
        if (at < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return UINT32_MAX;
}

static void topic_drop(struct audiences *all, struct topic_entry *entry, uint32_t place)
{
    struct audience *last = entry->audiences[--entry->count];
    entry->audiences[place] = last;
    if (place < entry->count)
        last->places[topic_index(last, entry->topic.hash)] = place;
    topic_release(all, entry);
}

bool audiences_agree(const struct audiences *all, uint64_t hash, const char *name, uint8_t name_len)
{
    const struct topic_entry *entry = map_get(&all->topics, hash);
    return entry == NULL || same_topic(&entry->topic, name, name_len);
}

/* --- classes ----------------------------------------------------------------------------------------------------- */

static bool begins(const struct topic *topic, const char *prefix, uint8_t len)
{
    return topic->len > len && memcmp(topic->name, prefix, len) == 0;
}

enum audience_class_e audience_topic_class(const struct topic *topic)
{
    if (begins(topic, "state/", 6))
        return AUDIENCE_STATES;
    bool kept = begins(topic, "result/", 7) || begins(topic, "event/", 6) || begins(topic, "channel/", 8);
    return kept ? AUDIENCE_KEPT : AUDIENCE_PASSING;
}

static void note_class(struct audience *audience, const struct topic *topic)
{
    enum audience_class_e class = audience_topic_class(topic);
    audience->states |= class == AUDIENCE_STATES;
    audience->lossless |= class != AUDIENCE_STATES;
    audience->passing |= class == AUDIENCE_PASSING;
    audience->all_states |= class == AUDIENCE_STATES && topic->len == 7 && topic->name[6] == '#';
}

uint32_t audience_kept_hashes(const struct audience *audience, uint64_t *hashes)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < audience->topic_count; i++)
        if (audience_topic_class(&audience->topics[i]->topic) == AUDIENCE_KEPT)
            hashes[kept++] = audience->topics[i]->topic.hash;
    return kept;
}

/* --- sets ---------------------------------------------------------------------------------------------------------- */

static int by_hash(const void *a, const void *b)
{
    const struct topic *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static bool is_sorted_distinct(const struct topic *topics, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (topics[i - 1].hash >= topics[i].hash)
            return false;
    return true;
}

uint32_t topics_sort_distinct(struct topic *topics, uint32_t count)
{
    if (is_sorted_distinct(topics, count))
        return count;
    qsort(topics, count, sizeof *topics, by_hash);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || topics[kept - 1].hash != topics[i].hash)
            topics[kept++] = topics[i];
    return kept;
}

uint64_t topics_key(const struct topic *topics, uint32_t count)
{
    uint64_t key = 0;
    for (uint32_t i = 0; i < count; i++)
        key = hash_bytes(&topics[i].hash, sizeof topics[i].hash, key);
    return key != 0 ? key : 1;
}

bool topics_same(const struct audience *audience, const struct topic *topics, uint32_t count)
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

/* The new ones are sorted in the upper half of `out` and merged with the others, which are sorted already. */
uint32_t audience_union(const struct client *client, const struct topic *topics, uint32_t count,
                        struct topic *out)
{
    const struct audience *audience = client->audience;
    uint32_t have = audience != NULL ? audience->topic_count : 0, made = 0;
    if (count > AUDIENCE_TOPICS_MAX)
        return UINT32_MAX;
    struct topic *new = out + AUDIENCE_TOPICS_MAX;
    memmove(new, topics, count * sizeof *topics);
    count = topics_sort_distinct(new, count);
    for (uint32_t h = 0, n = 0; h < have || n < count;) {
        const struct topic *old = h < have ? &audience->topics[h]->topic : NULL;
        if (made == AUDIENCE_TOPICS_MAX)
            return UINT32_MAX;
        bool take_old = n == count || (old != NULL && old->hash <= new[n].hash);
        n += take_old && n < count && old->hash == new[n].hash;
        out[made++] = take_old ? *old : new[n++];
        h += take_old;
    }
    return made;
}

uint32_t audience_without(const struct client *client, const struct topic *topics, uint32_t count,
                          struct topic *out)
{
    unsigned char gone[AUDIENCE_TOPICS_MAX / 8] = {0};
    const struct audience *audience = client->audience;
    uint32_t left = 0;
    for (uint32_t i = 0; audience != NULL && i < count; i++) {
        uint32_t at = topic_index(audience, topics[i].hash);
        if (at != UINT32_MAX)
            gone[at / 8] |= (unsigned char)(1u << at % 8);
    }
    for (uint32_t i = 0; audience != NULL && i < audience->topic_count; i++)
        if (!(gone[i / 8] & 1u << i % 8))
            out[left++] = audience->topics[i]->topic;
    return left;
}

const struct topic *audience_topic(const struct audience *audience, uint32_t i)
{
    return &audience->topics[i]->topic;
}

bool audience_has_topic(const struct audience *audience, uint64_t hash)
{
    return topic_index(audience, hash) != UINT32_MAX;
}

/* --- an audience's set ----------------------------------------------------------------------------------------------- */

bool audience_fill_topics(struct audiences *all, struct audience *audience, const struct topic *topics,
                          uint32_t count)
{
    audience->topics = malloc(count * (sizeof(*audience->topics) + sizeof *audience->places));
    if (audience->topics == NULL)
        return false;
    audience->places = (uint32_t *)(void *)(audience->topics + count);
    for (uint32_t i = 0; i < count; i++) {
        struct topic_entry *entry = topic_claim(all, &topics[i]);
        if (entry == NULL)
            return false;
        if (!topic_add(entry, audience)) {
            topic_release(all, entry);
            return false;
        }
        audience->places[i] = entry->count - 1;
        audience->topics[audience->topic_count++] = entry;
        audience->names_bytes += topics[i].len;
        note_class(audience, &topics[i]);
    }
    return true;
}

void audience_drop_topics(struct audiences *all, struct audience *audience)
{
    for (uint32_t i = 0; i < audience->topic_count; i++)
        topic_drop(all, audience->topics[i], audience->places[i]);
    free(audience->topics);
}
