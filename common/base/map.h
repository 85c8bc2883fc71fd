/* map.h — open-addressing hash map from non-zero 64-bit keys to pointers.
 *
 * Linear probing, load at most one half, deletion by backward shift. Keys are hashes or serials; a caller whose keys
 * can collide (a hash of text) compares the text behind the pointer. Grows on put (the only allocation); a map that
 * must not grow after boot is reserved for its maximum.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errcode.h"

struct map_entry {
    uint64_t key; /* 0: free */
    void *value;
};

struct map {
    struct map_entry *entries;
    size_t capacity; /* power of two, or 0 */
    size_t count;
};

void map_init(struct map *map);
void map_fini(struct map *map);                                 /* frees the table, not the values */
enum err_e map_reserve(struct map *map, size_t count);          /* ERR_MEMORY */
enum err_e map_put(struct map *map, uint64_t key, void *value); /* inserts or replaces; ERR_MEMORY */
void *map_get(const struct map *map, uint64_t key);             /* NULL if absent */
void *map_remove(struct map *map, uint64_t key);                /* the value that was there, or NULL */
