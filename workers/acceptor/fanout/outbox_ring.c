/* Hops: D10, R4. Frames of the ring in the ring's order, for a client that lags or resumes. They come from several
 * sources: the audience's lane and replays, whose bytes the history holds, and results that are for this client alone.
 * A batch takes the lowest position of all, again and again, and is one write; what the socket did not take is put back. */
#include "must.h"
#include "outbox_internal.h"

#define NOWHERE UINT64_MAX

/* One frame of a batch, and how to put it back. */
struct taken {
    struct own_entry *entry; /* RING, SKIP: taken out of its list; REPLAY: still there; NULL: of the lane */
    uint64_t number;         /* REPLAY: its number; SKIP and lane: of the lane's entry */
};

struct batch {
    struct iovec pieces[OUTBOX_PIECES];
    struct taken taken[OUTBOX_PIECES];
    int count;
    bool brief; /* its one frame's bytes are good until the next look at the history */
};

enum step_e {
    STEP_FRAME,
    STEP_FULL, /* the next frame's bytes would not outlast the batch: it comes first in the next */
    STEP_NONE,
    STEP_GAP, /* a replay has lost frames, and stands behind them now */
    STEP_LOST /* a frame that is owed has left the history */
};

/* The lowest of a client's sources. */
struct source {
    struct own_entry *entry; /* NULL: the lane */
    uint64_t position;       /* NOWHERE: there is no frame */
    bool lost;               /* the replay `entry` has lost frames */
};

/* --- sources ---------------------------------------------------------------------------------------------------------- */

static struct own_entry *first_replay(const struct client *client)
{
    return entry_first(client->lag != NULL ? client->lag->replay_last : client->own_last);
}

static struct own_entry *next_replay(const struct client *client, const struct own_entry *entry)
{
    return client->lag != NULL ? entry_next(entry, client->lag->replay_last) : NULL;
}

static struct history_filter filter_of(const struct replay *replay)
{
    return (struct history_filter){replay->hashes, replay->count, replay->dialect};
}

/* Moves the replay on to the next entry that may be wanted, and tells its position. */
static uint64_t replay_position(struct outbox *outbox, struct replay *replay)
{
    const struct history_filter filter = filter_of(replay);
    bool found = false;
    if (replay->number < replay->to)
        replay->number = history_match(outbox->history, replay->number, replay->to, &filter, &found);
    return found ? history_position(outbox->history, replay->number) : NOWHERE;
}

static void look_at_replays(struct outbox *outbox, const struct client *client, struct source *lowest)
{
    uint64_t tail = history_tail(outbox->history);
    for (struct own_entry *e = first_replay(client); e != NULL && !lowest->lost; e = next_replay(client, e)) {
        struct replay *replay = replay_of(e);
        if (replay->number < tail && replay->number < replay->to) {
            replay->number = tail;
            *lowest = (struct source){e, 0, true};
            return;
        }
        uint64_t position = replay_position(outbox, replay);
        if (position < lowest->position)
            *lowest = (struct source){e, position, false};
    }
}

static const struct lane_entry *lane_entry(const struct client *client)
{
    const struct audience *audience = client->audience;
    return audience != NULL && audience->lossless ? audience_lane_entry(audience, client->lag->lane) : NULL;
}

static struct source lowest_source(struct outbox *outbox, const struct client *client)
{
    struct source lowest = {NULL, NOWHERE, false};
    if (client->lag != NULL) {
        const struct lane_entry *lane = lane_entry(client);
        struct own_entry *ring = entry_first(client->lag->ring_last);
        if (lane != NULL)
            lowest.position = lane->position;
        if (ring != NULL && ring->position <= lowest.position) /* a place to skip goes before what it skips */
            lowest = (struct source){ring, ring->position, false};
    }
    look_at_replays(outbox, client, &lowest);
    return lowest;
}

uint64_t outbox_first_owed(struct outbox *outbox, struct client *client)
{
    return lowest_source(outbox, client).position;
}

/* --- taking ------------------------------------------------------------------------------------------------------------ */

static void add(struct batch *batch, const void *bytes, uint32_t len, struct own_entry *entry,
                uint64_t number)
{
    batch->pieces[batch->count] = (struct iovec){(void *)(uintptr_t)bytes, len};
    batch->taken[batch->count++] = (struct taken){entry, number};
}

static enum step_e add_held(struct batch *batch, const struct history_frame *held, struct own_entry *entry,
                            uint64_t number)
{
    if (!held->lasting && batch->count > 0)
        return STEP_FULL;
    add(batch, held->bytes, held->len, entry, number);
    batch->brief = !held->lasting;
    return STEP_FRAME;
}

static enum step_e take_from_lane(struct outbox *outbox, struct client *client, uint64_t position,
                                  struct batch *batch)
{
    struct history_frame held;
    uint64_t number = history_find(outbox->history, position);
    if (!history_read(outbox->history, number, &held) || held.position != position)
        return STEP_LOST;
    enum step_e step = add_held(batch, &held, NULL, client->lag->lane);
    client->lag->lane += step == STEP_FRAME;
    return step;
}

static void take_own(struct client *client, struct batch *batch)
{
    struct own_entry *entry = entry_take_first(&client->lag->ring_last);
    const struct lane_entry *lane = lane_entry(client);
    add(batch, entry->bytes, entry->len, entry, client->lag->lane);
    if (entry->kind == OWN_SKIP && lane != NULL && lane->position == entry->position)
        client->lag->lane++;
}

static bool is_wanted(const struct outbox *outbox, const struct replay *replay,
                      const struct history_frame *frame)
{
    const struct history_filter filter = filter_of(replay);
    for (uint32_t i = 0; i < frame->topic_count; i++) {
        const struct ring_topic *topic = &frame->topics[i];
        if (history_filter_has(&filter, topic->hash) &&
            audiences_agree(outbox->audiences, topic->hash, topic->name, topic->len))
            return true;
    }
    return false;
}

static enum step_e take_from_replay(struct outbox *outbox, struct own_entry *entry, struct batch *batch)
{
    struct history_frame held;
    struct replay *replay = replay_of(entry);
    if (!history_read(outbox->history, replay->number, &held)) {
        replay->number++;
        return STEP_GAP;
    }
    enum step_e step = STEP_FRAME; /* of another topic with this hash: nothing to add */
    if (is_wanted(outbox, replay, &held))
        step = add_held(batch, &held, entry, replay->number);
    replay->number += step == STEP_FRAME;
    return step;
}

static enum step_e take_next(struct outbox *outbox, struct client *client, uint64_t limit,
                             struct batch *batch, struct own_entry **gap)
{
    struct source source = lowest_source(outbox, client);
    enum step_e step = STEP_GAP;
    if (!source.lost) {
        if (source.position >= limit)
            return STEP_NONE;
        if (source.entry == NULL)
            return take_from_lane(outbox, client, source.position, batch);
        if (source.entry->kind != OWN_REPLAY) {
            take_own(client, batch);
            return STEP_FRAME;
        }
        step = take_from_replay(outbox, source.entry, batch);
    }
    if (step == STEP_GAP && replay_of(source.entry)->owed)
        return STEP_LOST;
    *gap = source.entry;
    return step;
}

/* --- giving -------------------------------------------------------------------------------------------------------------- */

static void put_back(struct client *client, const struct taken *taken)
{
    if (taken->entry == NULL) {
        client->lag->lane = taken->number;
        return;
    }
    if (taken->entry->kind == OWN_REPLAY) {
        replay_of(taken->entry)->number = taken->number;
        return;
    }
    if (taken->entry->kind == OWN_SKIP)
        client->lag->lane = taken->number;
    entry_prepend(&client->lag->ring_last, taken->entry);
}

static enum ring_result_e give(struct outbox *outbox, struct client *client, struct batch *batch)
{
    size_t bytes = 0;
    bool more = outbox_write(outbox, client, batch->pieces, batch->count, &bytes);
    int given = 0;
    for (; given < batch->count && bytes >= batch->pieces[given].iov_len; given++) {
        struct own_entry *entry = batch->taken[given].entry;
        bytes -= batch->pieces[given].iov_len;
        if (entry != NULL && entry->kind != OWN_REPLAY)
            entry_free(outbox, client, entry);
    }
    for (int i = batch->count - 1; i >= given; i--)
        put_back(client, &batch->taken[i]);
    outbox->counts.frames_replayed += (unsigned)given;
    return more ? RING_SENT : RING_CHOKED;
}

/* Before the rest of the replay: what the gap callback gives the client goes to the head of its list. */
static void tell_gap(struct outbox *outbox, struct client *client, struct replay *replay)
{
    if (replay->gap_told)
        return;
    replay->gap_told = true;
    struct own_entry *rest = client->own_last;
    struct client *before = outbox->flushing;
    client->own_last = NULL;
    outbox->flushing = client;
    outbox->dialect->gap(outbox->arg, client);
    outbox->flushing = before;
    for (struct own_entry *e = entry_first(client->own_last); e != NULL; e = entry_next(e, client->own_last))
        e->at = 0;
    while (rest != NULL)
        entry_append(&client->own_last, entry_take_first(&rest));
}

/* Replays of a lagging client that are through. */
static void drop_finished(struct outbox *outbox, struct client *client)
{
    struct own_entry *all = client->lag->replay_last;
    client->lag->replay_last = NULL;
    while (all != NULL) {
        struct own_entry *entry = entry_take_first(&all);
        if (replay_position(outbox, replay_of(entry)) == NOWHERE)
            entry_free(outbox, client, entry);
        else
            entry_append(&client->lag->replay_last, entry);
    }
}

static enum ring_result_e send_some(struct outbox *outbox, struct client *client, uint64_t limit)
{
    struct batch batch = {.count = 0};
    struct own_entry *gap = NULL;
    enum step_e step = STEP_FRAME;
    while (step == STEP_FRAME && batch.count < OUTBOX_PIECES && !batch.brief)
        step = take_next(outbox, client, limit, &batch, &gap);
    if (batch.count > 0) {
        enum ring_result_e result = give(outbox, client, &batch);
        if (step == STEP_GAP && !client->closing)
            tell_gap(outbox, client, replay_of(gap));
        return result;
    }
    switch (step) {
    case STEP_GAP:
        tell_gap(outbox, client, replay_of(gap));
        return RING_SENT;
    case STEP_LOST:
        outbox_give_up(outbox, client, SLOW_HARD);
        return RING_CHOKED;
    default:
        return RING_FINISHED;
    }
}

enum ring_result_e outbox_send_ring(struct outbox *outbox, struct client *client, uint64_t limit)
{
    enum ring_result_e result = send_some(outbox, client, limit);
    if (result == RING_FINISHED && client->lag->replay_last != NULL)
        drop_finished(outbox, client);
    return result;
}

enum ring_result_e outbox_send_replay(struct outbox *outbox, struct client *client)
{
    return send_some(outbox, client, NOWHERE);
}
