/* Hop: D10. Rounds over the members of one audience, in slices; and the limits of those whose sockets are full. */
#include "fault_point.h"
#include "must.h"
#include "outbox_internal.h"

#define CLOCK_EVERY 16 /* clients between two looks at the clock in a slice */
#define SWEEP_NS    NS_PER_S

/* --- limits --------------------------------------------------------------------------------------------------------- */

static void check_soft(struct outbox *outbox, struct client *client, uint64_t owed_bytes)
{
    uint32_t now_ms = (uint32_t)(outbox->now_ns / NS_PER_MS);
    if (owed_bytes <= outbox->limits.soft_bytes)
        client->soft_since_ms = 0;
    else if (client->soft_since_ms == 0)
        client->soft_since_ms = now_ms != 0 ? now_ms : 1;
    else if (now_ms - client->soft_since_ms >= outbox->limits.soft_ms)
        outbox_give_up(outbox, client, SLOW_SOFT);
}

void outbox_check_choked(struct outbox *outbox, struct client *client)
{
    bool behind = client->lag == NULL && client->cursor != audience_head(client->audience);
    if (behind && (audience_lost(outbox->audiences, client) || outbox_backlog_large(client)) &&
        !outbox_abandon_backlog(outbox, client))
        return;
    if (!client->audience->lossless)
        return;
    uint64_t next = audience_lane_next(client);
    if (next == UINT64_MAX)
        outbox_give_up(outbox, client, SLOW_HARD);
    else
        check_soft(outbox, client, audience_lane_bytes(client->audience, next) + client->own_bytes);
}

static void sweep_audience(struct outbox *outbox, struct audience *audience)
{
    for (uint32_t m = 0; m < audience->count; m++)
        if (audience->members[m]->choked && !audience->members[m]->closing)
            outbox_check_choked(outbox, audience->members[m]);
}

void outbox_tick(struct outbox *outbox)
{
    uint64_t now = clock_mono_ns(outbox->clock);
    if (now - outbox->swept_ns < SWEEP_NS)
        return;
    outbox->swept_ns = outbox->now_ns = now;
    const struct map *audiences = &outbox->audiences->by_key;
    for (size_t i = 0; i < audiences->capacity; i++) {
        struct audience *audience = audiences->entries[i].value;
        if (audience != NULL && audience->lossless && audience->choked > 0)
            sweep_audience(outbox, audience);
    }
}

/* --- rounds ------------------------------------------------------------------------------------------------------- */

void outbox_observe(struct outbox *outbox, size_t metric, uint64_t since_ns)
{
    if (outbox->stats == NULL || since_ns == 0)
        return;
    uint64_t now = clock_mono_ns(outbox->clock);
    if (now >= since_ns)
        stats_observe_ns(outbox->stats, metric, now - since_ns);
}

static void begin_round(struct outbox *outbox, struct audience *audience)
{
    audience->round_left = audience->count;
    audience->round_source_ns = audience->source_ns;
    audience->source_ns = 0;
    outbox->counts.rounds++;
}

static struct client *next_member(struct audience *audience)
{
    if (audience->round_next >= audience->count)
        audience->round_next = 0;
    audience->round_left--;
    return audience->members[audience->round_next++];
}

static bool wants(const struct client *client)
{
    return client->lag != NULL || client->own_last != NULL ||
           client->cursor != audience_head(client->audience);
}

/* The round has visited everybody; whoever joined or was moved meanwhile gets another. */
static void end_round(struct outbox *outbox, struct audience *audience)
{
    outbox_observe(outbox, outbox->metrics.hop_d11_last, audience->round_source_ns);
    audience->round_source_ns = 0;
    list_remove(&audience->dirty);
    if (audience->caught_up + audience->choked < audience->count)
        list_append(&outbox->audiences->dirty, &audience->dirty);
}

/* True while time is left. */
static bool run_round(struct outbox *outbox, struct audience *audience, uint64_t deadline_ns)
{
    if (audience->round_left == 0)
        begin_round(outbox, audience);
    bool first = audience->round_left == audience->count;
    for (unsigned visited = 1; audience->round_left > 0; visited++) {
        struct client *client = next_member(audience);
        if (client->choked) {
            if (!client->closing)
                outbox_check_choked(outbox, client);
        } else if (!client->closing && wants(client)) {
            outbox_flush(outbox, client);
            if (first) {
                outbox_observe(outbox, outbox->metrics.hop_d11_first, audience->round_source_ns);
                FAULT_POINT(WORKER_ROUND_BEGUN);
            }
            first = false;
        }
        if (visited % CLOCK_EVERY == 0 && clock_mono_ns(outbox->clock) >= deadline_ns)
            return false;
    }
    end_round(outbox, audience);
    return true;
}

bool outbox_slice(struct outbox *outbox, uint64_t budget_ns)
{
    struct audience *audience = audiences_next_dirty(outbox->audiences);
    if (audience == NULL)
        return false;
    outbox->now_ns = clock_mono_ns(outbox->clock);
    uint64_t deadline_ns = outbox->now_ns + budget_ns;
    outbox->counts.slices++;
    for (unsigned rounds = 1; audience != NULL; rounds++) {
        if (!run_round(outbox, audience, deadline_ns))
            return true;
        audience = audiences_next_dirty(outbox->audiences);
        if (rounds % CLOCK_EVERY == 0 && clock_mono_ns(outbox->clock) >= deadline_ns)
            break;
    }
    return audience != NULL;
}
