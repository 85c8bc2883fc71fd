/* detect_cache.c — see detect_cache.h. All places stand in one list, used last first; free ones (sensor 0) at its end. */
#include "detect_cache.h"

#include <stdlib.h>

#include "list.h"
#include "map.h"
#include "must.h"

struct place {
    struct list_node node;
    uint64_t sensor, used; /* 0: free */
    struct detect_window window;
};

struct detect_cache {
    struct place *places;
    struct list_node order;
    struct map by_sensor;
    uint64_t uses; /* so far; `used` of a place is the number of its last one */
};

static void link_places(struct detect_cache *cache, unsigned count)
{
    list_init(&cache->order);
    for (unsigned i = 0; i < count; i++)
        list_append(&cache->order, &cache->places[i].node);
}

struct detect_cache *detect_cache_new(unsigned sensors)
{
    MUST(sensors > 0);
    struct detect_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return NULL;
    map_init(&cache->by_sensor);
    cache->places = calloc(sensors, sizeof *cache->places);
    if (cache->places == NULL || map_reserve(&cache->by_sensor, sensors) != ERR_OK) {
        detect_cache_free(&cache);
        return NULL;
    }
    link_places(cache, sensors);
    return cache;
}

void detect_cache_free(struct detect_cache **cache)
{
    if (*cache == NULL)
        return;
    map_fini(&(*cache)->by_sensor);
    free((*cache)->places);
    free(*cache);
    *cache = NULL;
}

static void use(struct detect_cache *cache, struct place *place)
{
    place->used = ++cache->uses;
    list_remove(&place->node);
    list_append(cache->order.next, &place->node); /* before the first */
}

static void empty(struct detect_cache *cache, struct place *place)
{
    map_remove(&cache->by_sensor, place->sensor);
    place->sensor = 0;
    list_remove(&place->node);
    list_append(&cache->order, &place->node);
}

struct detect_window *detect_cache_find(struct detect_cache *cache, uint64_t sensor)
{
    struct place *place = map_get(&cache->by_sensor, sensor);
    if (place == NULL)
        return NULL;
    use(cache, place);
    return &place->window;
}

struct detect_window *detect_cache_make(struct detect_cache *cache, uint64_t sensor)
{
    MUST(sensor != 0 && map_get(&cache->by_sensor, sensor) == NULL);
    struct place *place = LIST_ENTRY(cache->order.prev, struct place, node);
    if (place->sensor != 0)
        empty(cache, place);
    place->sensor = sensor;
    MUST(map_put(&cache->by_sensor, sensor, place) == ERR_OK); /* reserved */
    detect_window_clear(&place->window);
    use(cache, place);
    return &place->window;
}

uint64_t detect_cache_mark(struct detect_cache *cache)
{
    return cache->uses;
}

void detect_cache_forget_since(struct detect_cache *cache, uint64_t mark)
{
    for (;;) {
        struct place *place = LIST_ENTRY(cache->order.next, struct place, node);
        if (place->sensor == 0 || place->used <= mark)
            return;
        empty(cache, place);
    }
}

void detect_cache_forget(struct detect_cache *cache, uint64_t sensor)
{
    struct place *place = map_get(&cache->by_sensor, sensor);
    if (place != NULL)
        empty(cache, place);
}

unsigned detect_cache_count(const struct detect_cache *cache)
{
    return (unsigned)cache->by_sensor.count;
}
