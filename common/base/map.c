#include "map.h"

#include <stdlib.h>

#include "hash.h"
#include "must.h"

void map_init(struct map *map)
{
    *map = (struct map){0};
}

void map_fini(struct map *map)
{
    free(map->entries);
    map_init(map);
}

static size_t home(const struct map *map, uint64_t key)
{
    return (size_t)hash_u64(key) & (map->capacity - 1);
}

/* The entry of `key`, or the free one where it would go. */
static struct map_entry *probe(const struct map *map, uint64_t key)
{
    size_t i = home(map, key);
    while (map->entries[i].key != 0 && map->entries[i].key != key)
        i = (i + 1) & (map->capacity - 1);
    return &map->entries[i];
}

enum err_e map_reserve(struct map *map, size_t count)
{
    size_t capacity = 16;
    while (capacity < count * 2)
        capacity *= 2;
    if (capacity <= map->capacity)
        return ERR_OK;
    struct map grown = {calloc(capacity, sizeof *grown.entries), capacity, map->count};
    if (grown.entries == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->entries[i].key != 0)
            *probe(&grown, map->entries[i].key) = map->entries[i];
    free(map->entries);
    *map = grown;
    return ERR_OK;
}

enum err_e map_put(struct map *map, uint64_t key, void *value)
{
    MUST(key != 0);
    enum err_e err = map_reserve(map, map->count + 1);
    if (err != ERR_OK)
        return err;
    struct map_entry *entry = probe(map, key);
    if (entry->key == 0)
        map->count++;
    *entry = (struct map_entry){key, value};
    return ERR_OK;
}

void *map_get(const struct map *map, uint64_t key)
{
    return map->capacity == 0 ? NULL : probe(map, key)->value;
}

void *map_remove(struct map *map, uint64_t key)
{
    if (map->capacity == 0)
        return NULL;
    struct map_entry *entry = probe(map, key);
    void *value = entry->value;
    if (entry->key == 0)
        return NULL;
    size_t mask = map->capacity - 1, hole = (size_t)(entry - map->entries);
    for (size_t i = (hole + 1) & mask; map->entries[i].key != 0; i = (i + 1) & mask) {
        /* An entry may fill the hole only if its home does not lie behind the hole. */
        if (((i - home(map, map->entries[i].key)) & mask) >= ((i - hole) & mask)) {
            map->entries[hole] = map->entries[i];
            hole = i;
        }
    }
    map->entries[hole] = (struct map_entry){0};
    map->count--;
    return value;
}
