/* Hop: D9. The lane; see audience.h. Entries stand in a ring of a power of two. */
#include <stdlib.h>

#include "audience_internal.h"

#define CAP_AT_REST 16u

static struct lane_entry *entry_at(const struct lane *lane, uint64_t number)
{
    return &lane->entries[number & (lane->cap - 1)];
}

static void release(struct audiences *all, struct lane *lane)
{
    all->budget.used_bytes -= lane->cap * sizeof *lane->entries;
    free(lane->entries);
    lane->entries = NULL;
    lane->cap = 0;
}

void lane_fini(struct audiences *all, struct lane *lane)
{
    lane->tail = lane->head;
    release(all, lane);
}

void lane_clear(struct audiences *all, struct lane *lane)
{
    lane->tail = lane->head;
    lane->dropped = false;
    if (lane->cap > CAP_AT_REST)
        release(all, lane);
}

static void drop_first(struct lane *lane)
{
    lane->dropped_at = entry_at(lane, lane->tail++)->at;
    lane->dropped = true;
}

static bool grow(struct audiences *all, struct lane *lane)
{
    uint32_t cap = lane->cap ? lane->cap * 2 : CAP_AT_REST;
    size_t more = (cap - lane->cap) * sizeof *lane->entries;
    if (all->budget.used_bytes + more > all->budget.limit_bytes)
        return false;
    struct lane_entry *grown = malloc(cap * sizeof *grown);
    if (grown == NULL)
        return false;
    for (uint64_t n = lane->tail; n < lane->head; n++)
        grown[n & (cap - 1)] = *entry_at(lane, n);
    free(lane->entries);
    lane->entries = grown;
    lane->cap = cap;
    all->budget.used_bytes += more;
    return true;
}

bool lane_push(struct audiences *all, struct lane *lane, uint64_t at, uint64_t position, uint32_t bytes)
{
    uint64_t tail = lane->tail;
    bool room = lane->head - lane->tail < lane->cap || grow(all, lane);
    if (!room && lane->head > lane->tail) {
        drop_first(lane);
        room = true;
    }
    lane->bytes += bytes;
    if (!room) { /* not even one: whoever has not got it is over the limit */
        lane->tail = ++lane->head;
        lane->dropped_at = at;
        lane->dropped = true;
        return true;
    }
    *entry_at(lane, lane->head++) = (struct lane_entry){at, position, lane->bytes - bytes};
    while (lane->tail < lane->head && lane->bytes - entry_at(lane, lane->tail)->bytes > all->hard_bytes)
        drop_first(lane);
    return lane->tail > tail;
}

/* The first entry at or behind the place in the log. */
static uint64_t first_from(const struct lane *lane, uint64_t at)
{
    uint64_t low = lane->tail, high = lane->head;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (entry_at(lane, middle)->at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t audience_lane_next(const struct client *client)
{
    const struct lane *lane = &client->audience->lane;
    if (client->lag != NULL)
        return client->lag->lane < lane->tail ? UINT64_MAX : client->lag->lane;
    if (lane->dropped && lane->dropped_at >= client->cursor)
        return UINT64_MAX;
    return first_from(lane, client->cursor);
}

const struct lane_entry *audience_lane_entry(const struct audience *audience, uint64_t number)
{
    const struct lane *lane = &audience->lane;
    return number >= lane->tail && number < lane->head ? entry_at(lane, number) : NULL;
}

uint64_t audience_lane_bytes(const struct audience *audience, uint64_t number)
{
    const struct lane_entry *entry = audience_lane_entry(audience, number);
    return entry != NULL ? audience->lane.bytes - entry->bytes : 0;
}
