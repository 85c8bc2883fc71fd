/* See recent.h (Hop: C5). A ring of entries in the order of decision, and a map from the key's hash to its entry. Two
 * different keys with one hash: the later one hides the earlier, which then counts as unknown. */
#include "recent.h"

#include <stdlib.h>

#include "hash.h"
#include "map.h"

struct recent {
    struct map by_key;
    size_t capacity, first, count;
    uint64_t keep_ns, horizon_ns;
    struct recent_entry entries[];
};

static uint64_t key_hash(const struct command_key *key)
{
    uint64_t h = hash_u64(key->worker ^ hash_u64(key->session ^ hash_u64(key->serial)));
    return h != 0 ? h : 1;
}

enum err_e recent_new(size_t capacity, uint64_t keep_ns, uint64_t now_ns, struct recent **recent)
{
    struct recent *r = calloc(1, sizeof *r + capacity * sizeof r->entries[0]);
    if (r == NULL)
        return ERR_MEMORY;
    r->capacity = capacity;
    r->keep_ns = keep_ns;
    r->horizon_ns = now_ns;
    map_init(&r->by_key);
    if (map_reserve(&r->by_key, capacity) != ERR_OK) {
        free(r);
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
    free(*recent);
    *recent = NULL;
}

static void forget_oldest(struct recent *recent)
{
    struct recent_entry *oldest = &recent->entries[recent->first];
    uint64_t hash = key_hash(&oldest->result.key);
    if (map_get(&recent->by_key, hash) == oldest)
        map_remove(&recent->by_key, hash);
    if (oldest->arrived_ns > recent->horizon_ns)
        recent->horizon_ns = oldest->arrived_ns;
    recent->first = (recent->first + 1) % recent->capacity;
    recent->count--;
}

static void forget_old(struct recent *recent, uint64_t now_ns)
{
    while (recent->count > 0 && now_ns - recent->entries[recent->first].decided_ns > recent->keep_ns)
        forget_oldest(recent);
}

struct recent_entry *recent_find(struct recent *recent, const struct command_key *key, uint64_t now_ns)
{
    forget_old(recent, now_ns);
    struct recent_entry *entry = map_get(&recent->by_key, key_hash(key));
    return entry != NULL && command_key_equals(&entry->result.key, key) ? entry : NULL;
}

void recent_put(struct recent *recent, const struct outcome *result, uint64_t seq, uint64_t arrived_ns,
                uint64_t now_ns)
{
    forget_old(recent, now_ns);
    if (recent->count == recent->capacity)
        forget_oldest(recent);
    struct recent_entry *entry = &recent->entries[(recent->first + recent->count++) % recent->capacity];
    *entry = (struct recent_entry){*result, seq, arrived_ns, now_ns};
    map_put(&recent->by_key, key_hash(&result->key), entry); /* reserved: cannot fail */
}

uint64_t recent_horizon_ns(const struct recent *recent)
{
    return recent->horizon_ns;
}

size_t recent_count(const struct recent *recent)
{
    return recent->count;
}
