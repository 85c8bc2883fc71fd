/* See recent.h (Hop: C5). Per lane a ring of entries in the order of decision, and maps from the hashes of key and request to
 * the entry. Two different keys with one hash: the later one hides the earlier, which then counts as unknown. */
#include "recent.h"

#include <stdio.h>
#include <stdlib.h>

#include "hash.h"
#include "map.h"

enum { LANE_ACTED, LANE_OTHER, LANES };

struct lane {
    size_t first, count;
    struct recent_entry *entries; /* capacity of them */
};

struct recent {
    struct map by_key, by_request;
    size_t capacity;
    uint64_t keep_ns;
    uint64_t began_ns, forgot_ns; /* memory begins; the newest arrival forgotten since */
    struct lane lanes[LANES];
    struct recent_entry entries[];
};

static struct lane *lane_of(struct recent *recent, const struct outcome *result)
{
    bool acted = result->sent && result->command != COMMAND_STATUS;
    return &recent->lanes[acted ? LANE_ACTED : LANE_OTHER];
}

static uint64_t key_hash(const struct command_key *key)
{
    uint64_t h = hash_u64(key->worker ^ hash_u64(key->session ^ hash_u64(key->serial)));
    return h != 0 ? h : 1;
}

/* 0: names no request. */
static uint64_t request_hash(const struct outcome *asked)
{
    if (asked->scope[0] == '\0' || asked->request_id[0] == '\0')
        return 0;
    uint64_t h = hash_bytes(asked->request_id, strlen(asked->request_id),
                            hash_bytes(asked->scope, strlen(asked->scope), 0));
    return h != 0 ? h : 1;
}

enum err_e recent_new(size_t capacity, uint64_t keep_ns, uint64_t now_ns, struct recent **recent)
{
    struct recent *r = calloc(1, sizeof *r + LANES * capacity * sizeof r->entries[0]);
    if (r == NULL)
        return ERR_MEMORY;
    r->capacity = capacity;
    r->keep_ns = keep_ns;
    r->began_ns = now_ns;
    for (size_t i = 0; i < LANES; i++)
        r->lanes[i].entries = r->entries + i * capacity;
    map_init(&r->by_key);
    map_init(&r->by_request);
    if (map_reserve(&r->by_key, LANES * capacity) != ERR_OK ||
        map_reserve(&r->by_request, LANES * capacity) != ERR_OK) {
        recent_free(&r);
        return ERR_MEMORY;
    }
    *recent = r;
    return ERR_OK;
}

void recent_free(struct recent **recent)
{
    if (*recent == NULL)
        return;
    map_fini(&(*recent)->by_key);
    map_fini(&(*recent)->by_request);
    free(*recent);
    *recent = NULL;
}

static void unlink_from(struct map *map, uint64_t hash, const struct recent_entry *entry)
{
    if (hash != 0 && map_get(map, hash) == entry)
        map_remove(map, hash);
}

static void forget_oldest(struct recent *recent, struct lane *lane)
{
    struct recent_entry *oldest = &lane->entries[lane->first];
    unlink_from(&recent->by_key, key_hash(&oldest->result.key), oldest);
    unlink_from(&recent->by_request, request_hash(&oldest->result), oldest);
    if (oldest->arrived_ns > recent->forgot_ns)
        recent->forgot_ns = oldest->arrived_ns;
    lane->first = (lane->first + 1) % recent->capacity;
    lane->count--;
}

static void forget_old(struct recent *recent, uint64_t now_ns)
{
    for (struct lane *lane = recent->lanes; lane < recent->lanes + LANES; lane++)
        while (lane->count > 0 && now_ns > lane->entries[lane->first].decided_ns + recent->keep_ns)
            forget_oldest(recent, lane);
}

struct recent_entry *recent_find(struct recent *recent, const struct command_key *key, uint64_t now_ns)
{
    forget_old(recent, now_ns);
    struct recent_entry *entry = map_get(&recent->by_key, key_hash(key));
    return entry != NULL && command_key_equals(&entry->result.key, key) ? entry : NULL;
}

struct recent_entry *recent_find_request(struct recent *recent, const struct outcome *asked, uint64_t now_ns)
{
    forget_old(recent, now_ns);
    uint64_t hash = request_hash(asked);
    struct recent_entry *entry = hash != 0 ? map_get(&recent->by_request, hash) : NULL;
    return entry != NULL && outcome_same_request(&entry->result, asked) ? entry : NULL;
}

struct recent_entry *recent_put(struct recent *recent, const struct outcome *result, uint64_t seq,
                                uint64_t arrived_ns, uint64_t now_ns)
{
    struct lane *lane = lane_of(recent, result);
    forget_old(recent, now_ns);
    if (lane->count == recent->capacity)
        forget_oldest(recent, lane);
    struct recent_entry *entry = &lane->entries[(lane->first + lane->count++) % recent->capacity];
    *entry =
        (struct recent_entry){.result = *result, .seq = seq, .arrived_ns = arrived_ns, .decided_ns = now_ns};
    map_put(&recent->by_key, key_hash(&result->key), entry); /* reserved: cannot fail */
    uint64_t request = request_hash(result);
    if (request != 0)
        map_put(&recent->by_request, request, entry);
    return entry;
}

void recent_entry_end(struct recent_entry *entry, const struct outcome *completion)
{
    entry->end.known = true;
    entry->end.code = completion->code;
    snprintf(entry->end.text, sizeof entry->end.text, "%s", completion->text);
    entry->end.position = completion->position;
    entry->end.elapsed_ms = completion->elapsed_ms;
}

void recent_end(struct recent *recent, const struct outcome *completion, uint64_t now_ns)
{
    struct recent_entry *entry = recent_find_request(recent, completion, now_ns);
    if (entry != NULL)
        recent_entry_end(entry, completion);
}

struct outcome recent_completion(const struct recent_entry *entry)
{
    struct outcome completion = entry->result;
    completion.kind = OUTCOME_COMPLETION;
    completion.code = entry->end.code;
    snprintf(completion.text, sizeof completion.text, "%s", entry->end.text);
    completion.position = entry->end.position;
    completion.elapsed_ms = entry->end.elapsed_ms;
    return completion;
}

uint64_t recent_horizon_ns(const struct recent *recent)
{
    return recent->began_ns > recent->forgot_ns ? recent->began_ns : recent->forgot_ns;
}

void recent_cover(struct recent *recent, uint64_t since_ns)
{
    if (since_ns < recent->began_ns)
        recent->began_ns = since_ns;
}

struct recent_entry *recent_at(struct recent *recent, size_t i)
{
    struct lane *lane = recent->lanes;
    for (; i >= lane->count; lane++)
        i -= lane->count;
    return &lane->entries[(lane->first + i) % recent->capacity];
}

size_t recent_count(const struct recent *recent)
{
    return recent->lanes[LANE_ACTED].count + recent->lanes[LANE_OTHER].count;
}
