/* Hop: D10. Clients that lag: passes over the mirror, then frames of the ring up to where the pass began, again until
 * nothing is owed; see outbox.h. A portion is made anew, with newer states, if the socket did not take it. */
#include <stdlib.h>

#include "must.h"
#include "outbox_internal.h"

/* --- a pass ------------------------------------------------------------------------------------------------------- */

static bool owed(const struct client *client, const struct mirror_machine *machine)
{
    return machine != NULL && machine->position >= client->lag->since &&
           (client->audience->all_states || audience_has_topic(client->audience, machine->state_topic));
}

struct portion {
    const struct mirror_machine *machines[OUTBOX_PORTION];
    uint32_t count, next_slot;
    bool last;
};

/* The next machines of the pass, and whether more will follow. */
static void collect(const struct outbox *outbox, const struct client *client, struct portion *portion)
{
    uint32_t slot = client->lag->next_slot;
    if (!client->audience->states)
        slot = outbox->mirror->used;
    for (; slot < outbox->mirror->used; slot++) {
        const struct mirror_machine *machine = mirror_slot(outbox->mirror, slot);
        if (!owed(client, machine))
            continue;
        if (portion->count == OUTBOX_PORTION)
            break;
        portion->machines[portion->count++] = machine;
    }
    portion->next_slot = slot;
    portion->last = slot >= outbox->mirror->used;
}

/* What the portion's seq says: everything before it was sent. */
static uint64_t portion_position(struct outbox *outbox, struct client *client, const struct portion *portion)
{
    if (!portion->last)
        return 0;
    uint64_t ring = outbox_first_owed(outbox, client);
    return ring < client->lag->pass_start ? ring : client->lag->pass_start;
}

/* False: the socket is full. */
static bool send_portion(struct outbox *outbox, struct client *client, const struct portion *portion)
{
    unsigned char frame[OUTBOX_PORTION_MAX];
    uint64_t position = portion_position(outbox, client, portion);
    size_t len = outbox->dialect->states(outbox->arg, client, portion->machines, portion->count, position,
                                         frame, sizeof frame);
    MUST(len > 0);
    struct iovec piece = {frame, len};
    size_t taken = 0;
    bool more = outbox_write(outbox, client, &piece, 1, &taken);
    if (taken == 0)
        return false;
    client->lag->next_slot = portion->next_slot;
    client->lag->pass_over = portion->last;
    outbox->counts.lag_portions++;
    return more;
}

static bool serve_pass(struct outbox *outbox, struct client *client)
{
    struct portion portion = {.count = 0};
    if (client->lag->next_slot == 0)
        client->lag->pass_start = outbox->position;
    collect(outbox, client, &portion);
    if (portion.count > 0)
        return send_portion(outbox, client, &portion);
    client->lag->next_slot = portion.next_slot;
    client->lag->pass_over = true;
    return true;
}

static void move_all(struct own_entry **from, struct own_entry **to)
{
    while (*from != NULL) {
        struct own_entry *entry = entry_take_first(from);
        entry->at = 0;
        entry_append(to, entry);
    }
}

void outbox_end_lag(struct outbox *outbox, struct client *client)
{
    struct client_lag *lag = client->lag;
    if (client->audience != NULL)
        audience_end_lag(outbox->audiences, client);
    client->lag = NULL;
    move_all(&lag->replay_last, &client->own_last);
    move_all(&lag->ring_last, &client->own_last);
    free(lag);
}

/* States and frames of the ring up to the pass's beginning were sent. If that is now, the client reads the log again. */
static void end_pass(struct outbox *outbox, struct client *client)
{
    struct client_lag *lag = client->lag;
    if (lag->pass_start == outbox->position) { /* what is left in the list has its place in another ring */
        outbox_end_lag(outbox, client);
        return;
    }
    lag->since = lag->pass_start;
    lag->next_slot = 0;
    lag->pass_over = false;
}

/* A client that has left all audiences is still owed frames of the ring. */
static bool serve_rest(struct outbox *outbox, struct client *client)
{
    enum ring_result_e result = outbox_send_ring(outbox, client, UINT64_MAX);
    if (result == RING_FINISHED)
        outbox_end_lag(outbox, client);
    return result != RING_CHOKED;
}

bool outbox_serve_lag(struct outbox *outbox, struct client *client)
{
    if (client->audience == NULL)
        return serve_rest(outbox, client);
    if (client->audience->lossless && audience_lane_next(client) == UINT64_MAX) {
        outbox_give_up(outbox, client, SLOW_HARD);
        return false;
    }
    if (!client->lag->pass_over)
        return serve_pass(outbox, client);
    switch (outbox_send_ring(outbox, client, client->lag->pass_start)) {
    case RING_SENT:
        return true;
    case RING_CHOKED:
        return false;
    case RING_FINISHED:
        end_pass(outbox, client);
        return true;
    }
    MUST_NOT_REACH();
}

/* --- beginning ------------------------------------------------------------------------------------------------------- */

/* Replies stay with the client and are due at once; everything that has a place in the ring goes to the lag. */
static void split_entries(struct client *client, struct client_lag *lag)
{
    struct own_entry *all = client->own_last;
    client->own_last = NULL;
    while (all != NULL) {
        struct own_entry *entry = entry_take_first(&all);
        entry->at = 0;
        entry_append(entry->kind == OWN_REPLY    ? &client->own_last
                     : entry->kind == OWN_REPLAY ? &lag->replay_last
                                                 : &lag->ring_last,
                     entry);
    }
}

bool outbox_start_lag(struct outbox *outbox, struct client *client, uint64_t since)
{
    uint64_t lane = audience_lane_next(client);
    if (client->audience->lossless && lane == UINT64_MAX) {
        outbox_give_up(outbox, client, SLOW_HARD);
        return false;
    }
    if (client->audience->passing) { /* below its limit, but no log could hold it */
        outbox_give_up(outbox, client, SLOW_MEMORY);
        return false;
    }
    struct client_lag *lag = calloc(1, sizeof *lag);
    if (lag == NULL) {
        outbox_give_up(outbox, client, SLOW_MEMORY);
        return false;
    }
    lag->since = since;
    lag->lane = lane;
    split_entries(client, lag);
    audience_start_lag(outbox->audiences, client, lag);
    outbox->counts.lags++;
    return true;
}

bool outbox_backlog_large(const struct client *client)
{
    const struct audience *audience = client->audience;
    return audience->own_log && !audience->passing &&
           audience->log.head - client->cursor > AUDIENCE_LAG_BYTES;
}

bool outbox_abandon_backlog(struct outbox *outbox, struct client *client)
{
    return outbox_start_lag(outbox, client, client->audience->behind_since);
}

/* --- frames that this worker has lost -------------------------------------------------------------------------------- */

/* Another ring: what stood in the old one's order is sent as it is, replays can find nothing any more. */
static void leave_ring(struct outbox *outbox, struct client *client, struct client_lag *lag)
{
    while (lag->ring_last != NULL) {
        struct own_entry *entry = entry_take_first(&lag->ring_last);
        if (entry->kind == OWN_RING) {
            entry->kind = OWN_REPLY;
            entry_append(&client->own_last, entry);
        } else {
            entry_free(outbox, client, entry);
        }
    }
    entry_free_all(outbox, client, &lag->replay_last);
    lag->lane = client->audience->lane.head;
}

void outbox_conflate(struct outbox *outbox, struct client *client, uint64_t since, bool new_ring)
{
    if (client->audience == NULL || client->closing)
        return;
    if (client->audience->passing) {
        outbox_give_up(outbox, client, SLOW_LOST);
        return;
    }
    bool behind = client->lag == NULL && client->cursor != audience_head(client->audience);
    if (client->lag != NULL && client->lag->since < since)
        since = client->lag->since;
    else if (behind && client->audience->behind_since < since)
        since = client->audience->behind_since;
    if (client->lag == NULL && !outbox_start_lag(outbox, client, since))
        return;
    client->lag->since = since;
    client->lag->next_slot = 0;
    client->lag->pass_over = false;
    if (new_ring)
        leave_ring(outbox, client, client->lag);
    audience_wake(outbox->audiences, client->audience);
}
