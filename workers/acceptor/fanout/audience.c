/* Hop: D9. Making, joining, leaving and ending audiences. Members are counted as caught up, lagging or behind, so that
 * "nobody needs the log" is a comparison and an append costs the same for eight members and eight thousand: it sets
 * caught_up to zero instead of visiting them. */
#include "audience.h"

#include <stdlib.h>
#include <string.h>

#include "audience_internal.h"
#include "must.h"

void audiences_init(struct audiences *all, uint32_t hard_bytes)
{
    *all = (struct audiences){.budget = {0, AUDIENCE_BUDGET},
                              .main_budget = {0, AUDIENCE_MAIN_LOG + FRAMELOG_BLOCK_MAX},
                              .hard_bytes = hard_bytes};
    framelog_init(&all->main_log, &all->main_budget, AUDIENCE_MAIN_LOG);
    map_init(&all->by_key);
    map_init(&all->topics);
    list_init(&all->dirty);
    list_init(&all->mark);
}

void audiences_fini(struct audiences *all)
{
    MUST(all->by_key.count == 0 && all->topics.count == 0);
    framelog_fini(&all->main_log);
    map_fini(&all->by_key);
    map_fini(&all->topics);
}

void audience_wake(struct audiences *all, struct audience *audience)
{
    if (list_empty(&audience->dirty))
        list_append(&all->dirty, &audience->dirty);
}

/* --- pressure ------------------------------------------------------------------------------------------------------ */

void audiences_note_pressure(struct audiences *all, uint32_t len)
{
    if (all->pressure_stamp == all->stamp)
        return;
    all->pressure_stamp = all->stamp;
    all->pressure += len + AUDIENCE_FRAME_COST;
    if (list_empty(&all->mark))
        list_append(&all->dirty, &all->mark);
}

bool audiences_pressed(const struct audiences *all)
{
    uint64_t limit = all->hard_bytes / 4 < AUDIENCE_PRESSURE ? all->hard_bytes / 4 : AUDIENCE_PRESSURE;
    return all->pressure_old + all->pressure >= limit;
}

struct audience *audiences_next_dirty(struct audiences *all)
{
    if (all->dirty.next == &all->mark) {
        list_remove(&all->mark);
        all->pressure_old = list_empty(&all->dirty) ? 0 : all->pressure;
        all->pressure = 0;
        if (all->pressure_old > 0)
            list_append(&all->dirty, &all->mark);
    }
    return list_empty(&all->dirty) ? NULL : LIST_ENTRY(all->dirty.next, struct audience, dirty);
}

/* --- making and ending ------------------------------------------------------------------------------------------- */

static void audience_free(struct audiences *all, struct audience *audience)
{
    list_remove(&audience->dirty);
    audience_drop_topics(all, audience);
    audience_log_fini(all, audience);
    lane_fini(all, &audience->lane);
    free(audience->members);
    free(audience);
}

/* What its log may hold: beyond the lag limit nobody waits for it, if he can have it otherwise. */
static size_t log_limit(const struct audiences *all, const struct audience *audience)
{
    size_t bytes =
        audience->passing && all->hard_bytes > AUDIENCE_LAG_BYTES ? all->hard_bytes : AUDIENCE_LAG_BYTES;
    return bytes + 2 * (size_t)FRAMELOG_BLOCK_MAX;
}

void audiences_set_hard_bytes(struct audiences *all, uint32_t hard_bytes)
{
    all->hard_bytes = hard_bytes;
    for (size_t i = 0; i < all->by_key.capacity; i++) {
        struct audience *audience = all->by_key.entries[i].value;
        if (audience != NULL)
            audience->log.limit_bytes = log_limit(all, audience);
    }
}

static struct audience *audience_new(struct audiences *all, uint64_t key, const struct topic *topics,
                                     uint32_t count)
{
    struct audience *audience = calloc(1, sizeof *audience);
    if (audience == NULL)
        return NULL;
    list_init(&audience->dirty);
    audience->key = key;
    bool filled = audience_fill_topics(all, audience, topics, count);
    framelog_init(&audience->log, &all->budget, log_limit(all, audience));
    if (!filled || map_put(&all->by_key, key, audience) != ERR_OK) {
        audience_free(all, audience);
        return NULL;
    }
    return audience;
}

static void end_if_empty(struct audiences *all, struct audience *audience)
{
    if (audience->count > 0)
        return;
    map_remove(&all->by_key, audience->key);
    audience_free(all, audience);
}

/* --- members ------------------------------------------------------------------------------------------------------- */

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

static void add_member(struct audiences *all, struct audience *audience, struct client *client)
{
    client->audience = audience;
    client->member = audience->count;
    client->cursor = audience_head(audience);
    audience->members[audience->count++] = client;
    if (client->lag != NULL) {
        client->lag->lane = audience->lane.head;
        audience->lagging++;
        audience_wake(all, audience);
    } else {
        audience->caught_up++;
    }
    if (client->choked)
        audience->choked++;
    if (!audience->own_log && audience->count >= AUDIENCE_OWN_LOG)
        audience_settle(all, audience);
}

static struct audience *find_or_make(struct audiences *all, struct topic *sorted, uint32_t count)
{
    count = topics_sort_distinct(sorted, count);
    uint64_t key = topics_key(sorted, count);
    struct audience *audience = map_get(&all->by_key, key);
    if (audience == NULL)
        return audience_new(all, key, sorted, count);
    return topics_same(audience, sorted, count) ? audience : NULL; /* NULL: a collision of 64-bit keys */
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
    struct audience *audience = find_or_make(all, sorted, count);
    free(sorted);
    if (audience == NULL)
        return ERR_MEMORY;
    if (audience == client->audience)
        return ERR_OK;
    if (!reserve_member(audience)) {
        end_if_empty(all, audience);
        return ERR_MEMORY;
    }
    audience_leave(all, client);
    add_member(all, audience, client);
    return ERR_OK;
}

void audience_leave(struct audiences *all, struct client *client)
{
    struct audience *audience = client->audience;
    if (audience == NULL)
        return;
    if (client->lag != NULL)
        audience->lagging--;
    else if (audience_is_caught_up(client))
        audience->caught_up--;
    if (client->choked)
        audience->choked--;
    struct client *last = audience->members[--audience->count];
    audience->members[client->member] = last;
    last->member = client->member;
    client->audience = NULL;
    if (audience->round_left > 0) /* the member moved into the gap may not have been visited */
        audience->round_left = audience->count;
    if (audience->count > 0)
        audience_settle(all, audience);
    else
        end_if_empty(all, audience);
}

/* --- lagging ------------------------------------------------------------------------------------------------------- */

void audience_start_lag(struct audiences *all, struct client *client, struct client_lag *lag)
{
    struct audience *audience = client->audience;
    MUST(client->lag == NULL);
    if (audience_is_caught_up(client))
        audience->caught_up--;
    client->lag = lag;
    audience->lagging++;
    audience_settle(all, audience);
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
    audience_settle(all, audience);
    return lag;
}
