/* Hop: C2. See streams_registry.h. Ids are the clients' choice, so that the map's hash has a seed of its own and not that of the
 * topics, which every process knows. */
#include "streams_registry.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "must.h"

#define NO_PLACE UINT32_MAX

/* --- places --------------------------------------------------------------------------------------------------------- */

static void places_init(struct streams_places *places)
{
    *places = (struct streams_places){.free = NO_PLACE};
}

static bool is_free(uintptr_t entry)
{
    return (entry & 1) != 0;
}

static bool places_grow(struct streams_places *places)
{
    uint32_t cap = places->cap > 0 ? places->cap * 2 : 16;
    uintptr_t *grown = realloc(places->at, cap * sizeof *grown);
    if (grown == NULL)
        return false;
    places->at = grown;
    places->cap = cap;
    return true;
}

static enum err_e places_take(struct streams_places *places, const void *what, uint32_t *place)
{
    if (places->free != NO_PLACE) {
        *place = places->free;
        places->free = (uint32_t)(places->at[*place] >> 1);
    } else {
        if (places->used == places->cap && !places_grow(places))
            return ERR_MEMORY;
        *place = places->used++;
    }
    places->at[*place] = (uintptr_t)what;
    MUST(!is_free(places->at[*place]));
    places->count++;
    return ERR_OK;
}

static void places_give(struct streams_places *places, uint32_t place)
{
    MUST(place < places->used && !is_free(places->at[place]));
    places->at[place] = (uintptr_t)places->free << 1 | 1;
    places->free = place;
    if (--places->count == 0) { /* the last one takes the memory along */
        free(places->at);
        places_init(places);
    }
}

static void *places_next(const struct streams_places *places, uint32_t from, uint32_t *place)
{
    for (*place = from; *place < places->used; ++*place)
        if (!is_free(places->at[*place]))
            return (void *)places->at[*place];
    return NULL;
}

/* --- connections ---------------------------------------------------------------------------------------------------- */

void streams_registry_init(struct streams_registry *registry, uint64_t seed)
{
    *registry = (struct streams_registry){.seed = seed};
    places_init(&registry->conns);
    places_init(&registry->streams);
    map_init(&registry->by_id);
}

void streams_registry_fini(struct streams_registry *registry)
{
    for (uint32_t i = 0; i < registry->streams.used; i++)
        if (!is_free(registry->streams.at[i]))
            free((void *)registry->streams.at[i]);
    free(registry->streams.at);
    free(registry->conns.at);
    map_fini(&registry->by_id);
    streams_registry_init(registry, registry->seed);
}

enum err_e streams_registry_enter(struct streams_registry *registry, void *conn, uint32_t *place)
{
    return places_take(&registry->conns, conn, place);
}

void streams_registry_leave(struct streams_registry *registry, uint32_t place)
{
    places_give(&registry->conns, place);
}

void *streams_registry_conn(const struct streams_registry *registry, uint32_t from, uint32_t *place)
{
    return places_next(&registry->conns, from, place);
}

/* --- streams -------------------------------------------------------------------------------------------------------- */

static uint64_t key_of(const struct streams_registry *registry, const char *id, size_t len)
{
    uint64_t key = hash_bytes(id, len, registry->seed);
    return key != 0 ? key : 1;
}

static bool has_id(const struct streams_stream *stream, const char *id, size_t len)
{
    return stream->len == len && memcmp(stream->id, id, len) == 0;
}

static enum err_e add_stream(struct streams_registry *registry, uint64_t key, const char *id, size_t len)
{
    struct streams_stream *stream = malloc(sizeof *stream + len);
    enum err_e err = stream != NULL ? map_put(&registry->by_id, key, stream) : ERR_MEMORY;
    if (err == ERR_OK && (err = places_take(&registry->streams, stream, &stream->place)) != ERR_OK)
        map_remove(&registry->by_id, key);
    if (err != ERR_OK) {
        free(stream);
        return err;
    }
    stream->born = registry->born++;
    stream->channels = 1;
    stream->len = (uint8_t)len;
    memcpy(stream->id, id, len);
    return ERR_OK;
}

static enum err_e open_one(struct streams_registry *registry, const struct topic *topic)
{
    size_t len;
    const char *id = topic_stream_id(topic->name, topic->len, &len);
    MUST(id != NULL);
    uint64_t key = key_of(registry, id, len);
    struct streams_stream *stream = map_get(&registry->by_id, key);
    if (stream == NULL)
        return add_stream(registry, key, id, len);
    if (!has_id(stream, id, len))
        return ERR_EXISTS;
    stream->channels++;
    return ERR_OK;
}

static void close_one(struct streams_registry *registry, const struct topic *topic)
{
    size_t len;
    const char *id = topic_stream_id(topic->name, topic->len, &len);
    MUST(id != NULL);
    uint64_t key = key_of(registry, id, len);
    struct streams_stream *stream = map_get(&registry->by_id, key);
    MUST(stream != NULL && has_id(stream, id, len) && stream->channels > 0);
    if (--stream->channels > 0)
        return;
    map_remove(&registry->by_id, key);
    places_give(&registry->streams, stream->place);
    free(stream);
    if (registry->by_id.count == 0)
        map_fini(&registry->by_id);
}

enum err_e streams_registry_open(struct streams_registry *registry, const struct topic *topics,
                                 uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        enum err_e err = open_one(registry, &topics[i]);
        if (err != ERR_OK) {
            streams_registry_close(registry, topics, i);
            registry->channels += i;
            return err;
        }
    }
    registry->channels += count;
    return ERR_OK;
}

void streams_registry_close(struct streams_registry *registry, const struct topic *topics, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        close_one(registry, &topics[i]);
    registry->channels -= count;
}

const struct streams_stream *streams_registry_stream(const struct streams_registry *registry, uint32_t from,
                                                     uint32_t *place)
{
    return places_next(&registry->streams, from, place);
}

size_t streams_registry_bytes(const struct streams_registry *registry)
{
    size_t bytes = (registry->conns.cap + registry->streams.cap) * sizeof(uintptr_t) +
                   registry->by_id.capacity * sizeof(struct map_entry);
    uint32_t place = 0;
    for (const struct streams_stream *s; (s = streams_registry_stream(registry, place, &place)) != NULL;
         place++)
        bytes += sizeof *s + s->len;
    return bytes;
}
