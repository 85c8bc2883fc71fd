/* Hop: D10. The order in which a client gets what it is owed, and moving between audiences. See outbox.h. */
#include "outbox.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "outbox_internal.h"

/* --- flushing ----------------------------------------------------------------------------------------------------- */

static bool entry_due(const struct client *client)
{
    const struct own_entry *first = entry_first(client->own_last);
    return first != NULL && (client->audience == NULL || client->lag != NULL || first->at <= client->cursor);
}

static void pop_entry(struct outbox *outbox, struct client *client)
{
    entry_free(outbox, client, entry_take_first(&client->own_last));
}

/* False: the socket is full. */
static bool serve_frame(struct outbox *outbox, struct client *client, struct own_entry *entry)
{
    struct iovec piece = {entry->bytes, entry->len};
    size_t taken = 0;
    bool more = outbox_write(outbox, client, &piece, 1, &taken);
    if (taken == entry->len) {
        outbox->counts.frames_own++;
        pop_entry(outbox, client);
    } else if (taken > 0) { /* a piece of the log, with several frames */
        entry_cut(outbox, client, entry, (uint32_t)taken);
    }
    return more;
}

static bool serve_replay(struct outbox *outbox, struct client *client)
{
    enum ring_result_e result = outbox_send_replay(outbox, client);
    if (result == RING_FINISHED)
        pop_entry(outbox, client);
    return result != RING_CHOKED;
}

/* Sends or skips the first entry, which is due. False: the socket is full. */
static bool serve_entry(struct outbox *outbox, struct client *client)
{
    struct own_entry *entry = entry_first(client->own_last);
    switch (entry->kind) {
    case OWN_REPLY:
    case OWN_RING:
        return serve_frame(outbox, client, entry);
    case OWN_REPLAY:
        return serve_replay(outbox, client);
    case OWN_SKIP:
        if (client->audience != NULL)
            audience_skip(outbox->audiences, client, entry->places);
        pop_entry(outbox, client);
        return true;
    }
    MUST_NOT_REACH();
}

/* Sends a stretch of the log, up to the next own entry. False: the socket is full. */
static bool serve_log(struct outbox *outbox, struct client *client)
{
    struct iovec pieces[OUTBOX_PIECES];
    const struct own_entry *first = entry_first(client->own_last);
    uint64_t head = audience_head(client->audience);
    uint64_t to = first != NULL && first->at < head ? first->at : head;
    int count = audience_pieces(outbox->audiences, client, to, pieces, OUTBOX_PIECES);
    size_t taken = 0;
    bool more = outbox_write(outbox, client, pieces, count, &taken);
    audience_advance(outbox->audiences, client, taken);
    return more;
}

/* One step. False: nothing left, or the socket is full. */
static bool flush_step(struct outbox *outbox, struct client *client)
{
    if (client->closing)
        return false;
    if (entry_due(client))
        return serve_entry(outbox, client);
    if (client->lag != NULL)
        return outbox_serve_lag(outbox, client);
    if (client->audience == NULL)
        return false;
    if (client->cursor == audience_head(client->audience))
        return false;
    if (audience_lost(outbox->audiences, client))
        return outbox_abandon_backlog(outbox, client);
    return serve_log(outbox, client);
}

/* The client owed nothing else when the first of them was kept, and everything that could change that sends them first. */
static void send_kept(struct outbox *outbox, struct client *client)
{
    if (outbox->reading != client || outbox->kept_len == 0)
        return;
    struct iovec frames = {outbox->kept, outbox->kept_len};
    size_t taken = 0;
    outbox->kept_len = 0;
    if (client->closing)
        return;
    outbox_write(outbox, client, &frames, 1, &taken);
    if (taken == frames.iov_len || client->closing)
        return;
    struct own_entry *entry = entry_new(outbox, client, OWN_REPLY, frames.iov_len - taken, OUTBOX_OWN_MAX);
    if (entry == NULL)
        return;
    memcpy(entry->bytes, outbox->kept + taken, entry->len);
    entry_queue(client, entry);
}

static bool is_owed_something(const struct client *client)
{
    return client->own_last != NULL || client->lag != NULL ||
           (client->audience != NULL && client->cursor != audience_head(client->audience));
}

void outbox_expect(struct client *client, uint64_t asked_ns)
{
    if (client->asked_ns == 0)
        client->asked_ns = asked_ns;
}

/* Hop R4: all that was owed is with the kernel, the answer among it. */
static void note_answered(struct outbox *outbox, struct client *client)
{
    if (client->asked_ns == 0 || client->choked || is_owed_something(client))
        return;
    outbox_observe(outbox, outbox->metrics.hop_r4, client->asked_ns);
    client->asked_ns = 0;
}

void outbox_flush(struct outbox *outbox, struct client *client)
{
    send_kept(outbox, client);
    if (client->choked || client->closing || outbox->flushing == client)
        return;
    if (!outbox->sink->can_write(client->sink)) {
        outbox_set_choked(client, true);
        return;
    }
    outbox->flushing = client;
    while (flush_step(outbox, client))
        ;
    outbox->flushing = NULL;
    if (!client->choked)
        client->soft_since_ms = 0; /* it owes nothing */
    note_answered(outbox, client);
}

void outbox_writable(struct outbox *outbox, struct client *client)
{
    if (client->closing)
        return;
    outbox_set_choked(client, false);
    if (client->audience != NULL && client->lag == NULL && outbox_backlog_large(client) &&
        !outbox_abandon_backlog(outbox, client))
        return;
    outbox_flush(outbox, client);
}

/* --- own frames ---------------------------------------------------------------------------------------------------- */

void outbox_begin_read(struct outbox *outbox, struct client *client)
{
    if (outbox->reading != NULL && outbox->reading != client)
        outbox_settle(outbox, outbox->reading); /* its connection died within its read */
    outbox->reading = client;
}

void outbox_settle(struct outbox *outbox, struct client *client)
{
    send_kept(outbox, client);
    if (outbox->reading == client)
        outbox->reading = NULL;
}

static bool is_at_rest(const struct outbox *outbox, const struct client *client)
{
    return !client->choked && outbox->flushing != client && !is_owed_something(client);
}

static bool keep(struct outbox *outbox, const struct client *client, struct iovec frame)
{
    if (outbox->reading != client || frame.iov_len > OUTBOX_KEPT_MAX - outbox->kept_len)
        return false;
    memcpy(outbox->kept + outbox->kept_len, frame.iov_base, frame.iov_len);
    outbox->kept_len += frame.iov_len;
    return true;
}

/* Queued before anything else is sent: a record's own frame comes when the tail stands behind the record already, and what
 * is sent then may say so. */
static void give_own(struct outbox *outbox, struct client *client, enum own_kind_e kind, uint64_t position,
                     struct iovec frame)
{
    if (client->closing)
        return;
    if (!client->choked && !outbox->sink->can_write(client->sink))
        outbox_set_choked(client, true);
    if (kind == OWN_REPLY && is_at_rest(outbox, client) && keep(outbox, client, frame))
        return;
    send_kept(outbox, client);
    if (client->closing)
        return;
    if (is_at_rest(outbox, client)) {
        size_t taken = 0;
        outbox_write(outbox, client, &frame, 1, &taken);
        if (taken == frame.iov_len || client->closing) {
            note_answered(outbox, client);
            return;
        }
    }
    struct own_entry *entry = entry_new(outbox, client, kind, frame.iov_len, OUTBOX_OWN_MAX);
    if (entry == NULL)
        return;
    entry->position = position;
    memcpy(entry->bytes, frame.iov_base, frame.iov_len);
    entry_queue(client, entry);
    outbox_flush(outbox, client);
}

void outbox_own_frame(struct outbox *outbox, struct client *client, const void *frame, size_t len)
{
    give_own(outbox, client, OWN_REPLY, 0, (struct iovec){(void *)(uintptr_t)frame, len});
}

void outbox_own_record(struct outbox *outbox, struct client *client, uint64_t position, const void *frame,
                       size_t len)
{
    give_own(outbox, client, OWN_RING, position, (struct iovec){(void *)(uintptr_t)frame, len});
}

/* A sender that is behind skips what it sends as one stretch. */
static bool skip_more(struct client *client, uint64_t at, uint32_t places)
{
    struct own_entry *last = client->own_last;
    if (client->lag != NULL || last == NULL || last->kind != OWN_SKIP || last->at + last->places != at)
        return false;
    last->places += places;
    return true;
}

/* The log did not take the record, or lost older ones for it. False: nothing is left to be skipped. */
static bool skip_lost(struct outbox *outbox, struct client *client)
{
    if (client->cursor + 1 != audience_head(client->audience)) /* what a refused frame leaves is one place */
        return outbox_abandon_backlog(outbox, client);
    audience_skip(outbox->audiences, client, 1);
    return false;
}

void outbox_skip(struct outbox *outbox, struct client *client, size_t len)
{
    if (client->closing)
        return;
    if (client->lag == NULL && audience_lost(outbox->audiences, client) && !skip_lost(outbox, client))
        return;
    uint32_t places = client->audience->own_log ? (uint32_t)len : 1;
    uint64_t at = outbox_log_head(client) - places;
    if (client->lag == NULL && client->cursor == at && client->own_last == NULL) {
        audience_skip(outbox->audiences, client, places);
        return;
    }
    if (skip_more(client, at, places))
        return;
    struct own_entry *entry = entry_new(outbox, client, OWN_SKIP, 0, OUTBOX_OWN_MAX);
    if (entry == NULL)
        return;
    entry->position = outbox->audiences->position;
    entry->places = places;
    entry->at = at;
    entry_queue(client, entry);
}

enum err_e outbox_replay(struct outbox *outbox, struct client *client, const struct history_filter *filter,
                         uint64_t first)
{
    outbox_flush(outbox, client);
    if (client->closing)
        return ERR_CLOSED;
    struct own_entry *entry =
        entry_new_replay(outbox, client, filter, history_find(outbox->history, first), false);
    if (entry == NULL)
        return ERR_MEMORY;
    entry_queue(client, entry);
    outbox_flush(outbox, client);
    return client->closing ? ERR_CLOSED : ERR_OK;
}

/* Frames of the ring among its own entries are behind what is sent next. */
bool outbox_may_seq(const struct client *client)
{
    if (client->lag != NULL ||
        (client->audience != NULL && client->cursor != audience_head(client->audience)))
        return false;
    for (const struct own_entry *e = entry_first(client->own_last); e != NULL;
         e = entry_next(e, client->own_last))
        if (e->kind != OWN_REPLY)
            return false;
    return true;
}

/* --- moving -------------------------------------------------------------------------------------------------------- */

static bool queue_copy(struct outbox *outbox, struct client *client, const struct iovec *piece)
{
    size_t limit = outbox->limits.hard_bytes > OUTBOX_OWN_MAX ? outbox->limits.hard_bytes : OUTBOX_OWN_MAX;
    struct own_entry *entry = entry_new(outbox, client, OWN_REPLY, piece->iov_len, limit);
    if (entry == NULL)
        return false;
    memcpy(entry->bytes, piece->iov_base, piece->iov_len);
    entry_append(&client->own_last, entry);
    return true;
}

/* Takes the rest of the log up to `to` along as own frames. */
static bool copy_log(struct outbox *outbox, struct client *client, uint64_t to)
{
    while (client->cursor < to) {
        struct iovec piece;
        audience_pieces(outbox->audiences, client, to, &piece, 1);
        if (!queue_copy(outbox, client, &piece))
            return false;
        audience_advance(outbox->audiences, client, piece.iov_len);
    }
    return true;
}

/* The rest of the log that a client which cannot lag is still owed becomes own frames, in place before and between those
 * it has. */
static bool log_to_own(struct outbox *outbox, struct client *client)
{
    struct own_entry *rest = client->own_last;
    client->own_last = NULL;
    bool ok = true;
    while (rest != NULL) {
        struct own_entry *entry = entry_take_first(&rest);
        ok = ok && copy_log(outbox, client, entry->at);
        if (ok && entry->kind == OWN_SKIP)
            audience_skip(outbox->audiences, client, entry->places);
        if (ok && entry->kind != OWN_SKIP)
            entry_append(&client->own_last, entry);
        else
            entry_free(outbox, client, entry);
    }
    return ok && copy_log(outbox, client, audience_head(client->audience));
}

/* Before the client leaves its audience: it must not be behind. False: given up. */
static bool settle_backlog(struct outbox *outbox, struct client *client)
{
    if (client->audience == NULL || client->lag != NULL || client->cursor == audience_head(client->audience))
        return true;
    if (!client->audience->passing || audience_lost(outbox->audiences, client))
        return outbox_abandon_backlog(outbox, client);
    return log_to_own(outbox, client);
}

static void make_entries_due(struct client *client)
{
    for (struct own_entry *e = entry_first(client->own_last); e != NULL; e = entry_next(e, client->own_last))
        e->at = 0;
}

/* What a lagging client's lane still owes it becomes a replay, because the next audience's lane is another. *replay NULL:
 * nothing. */
static enum err_e lane_to_replay(struct outbox *outbox, struct client *client, struct own_entry **replay)
{
    const struct audience *audience = client->audience;
    *replay = NULL;
    if (client->lag == NULL || audience == NULL || !audience->lossless)
        return ERR_OK;
    uint64_t next = audience_lane_next(client);
    const struct lane_entry *first = audience_lane_entry(audience, next);
    if (first == NULL && next != UINT64_MAX)
        return ERR_OK;
    uint64_t number = first != NULL ? history_find(outbox->history, first->position) : 0;
    if (first == NULL || number == outbox->history->head ||
        history_position(outbox->history, number) != first->position) {
        outbox_give_up(outbox, client, SLOW_HARD);
        return ERR_CLOSED;
    }
    uint64_t *hashes = malloc(audience->topic_count * sizeof *hashes);
    if (hashes == NULL)
        return ERR_MEMORY;
    const struct history_filter filter = {hashes, audience_kept_hashes(audience, hashes),
                                          history_dialect(outbox->history, number)};
    *replay = entry_new_replay(outbox, client, &filter, number, true);
    free(hashes);
    return *replay != NULL ? ERR_OK : ERR_CLOSED;
}

/* A client that lagged on without an audience begins a pass: states are owed from `now` on. */
static void arrive(struct client *client, struct own_entry *replay, bool had_audience, uint64_t now)
{
    if (replay != NULL)
        entry_append(&client->lag->replay_last, replay);
    if (client->lag != NULL && !had_audience)
        *client->lag = (struct client_lag){.since = now,
                                           .lane = client->lag->lane,
                                           .ring_last = client->lag->ring_last,
                                           .replay_last = client->lag->replay_last};
    make_entries_due(client);
}

enum err_e outbox_move(struct outbox *outbox, struct client *client, const struct topic *topics,
                       uint32_t count)
{
    outbox_flush(outbox, client);
    if (client->closing || !settle_backlog(outbox, client))
        return ERR_CLOSED;
    struct own_entry *replay;
    const struct audience *before = client->audience;
    enum err_e err = lane_to_replay(outbox, client, &replay);
    if (err == ERR_OK)
        err = audience_join(outbox->audiences, client, topics, count);
    bool moved = err == ERR_OK && client->audience != before;
    if (replay != NULL && !moved) {
        entry_free(outbox, client, replay);
        replay = NULL;
    }
    if (moved)
        arrive(client, replay, before != NULL, outbox->position);
    return err;
}

void outbox_drop(struct outbox *outbox, struct client *client)
{
    client->closing = true;
    outbox_settle(outbox, client);
    if (client->lag != NULL)
        outbox_end_lag(outbox, client);
    audience_leave(outbox->audiences, client);
    entry_free_all(outbox, client, &client->own_last);
}
