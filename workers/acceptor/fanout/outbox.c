/* Hop: D10. See outbox.h. */
#include "outbox.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"

#define PIECES_MAX  16
#define CLOCK_EVERY 16 /* clients between two looks at the clock in a slice */

/* A frame of the client's own, or (skip > 0) a stretch of its audience's log that is not for it; both stand at an
 * offset of that log. */
struct own_entry {
    struct own_entry *next;
    uint64_t at;
    uint32_t len, skip;
    unsigned char frame[];
};

/* --- choking and closing ----------------------------------------------------------------------------------------- */

static void set_choked(struct client *client, bool choked)
{
    if (client->choked == choked)
        return;
    client->choked = choked;
    if (client->audience != NULL)
        client->audience->choked += choked ? 1u : -1u;
}

static void give_up(struct outbox *outbox, struct client *client, const char *reason)
{
    if (client->closing)
        return;
    client->closing = true;
    set_choked(client, true); /* no round visits it again */
    outbox->counts.closed_slow++;
    outbox->sink->close(client->sink, 1013, reason);
}

/* Whole frames out; *taken is less than asked if the socket is full now. False: nothing more can be sent. */
static bool write_pieces(struct outbox *outbox, struct client *client, const struct iovec *pieces, int count,
                         size_t *taken)
{
    size_t asked = 0;
    for (int i = 0; i < count; i++)
        asked += pieces[i].iov_len;
    if (outbox->sink->writev(client->sink, pieces, count, taken) != ERR_OK) {
        client->closing = true;
        set_choked(client, true);
        return false;
    }
    outbox->counts.writes++;
    outbox->counts.bytes += *taken;
    if (*taken < asked || !outbox->sink->can_write(client->sink)) {
        set_choked(client, true);
        return false;
    }
    return true;
}

/* --- own frames --------------------------------------------------------------------------------------------------- */

static uint64_t log_head(const struct client *client)
{
    return client->audience != NULL ? audience_head(client->audience) : 0;
}

static bool queue_entry(struct outbox *outbox, struct client *client, const void *frame, uint32_t len,
                        uint64_t at, uint32_t skip)
{
    if (client->own_bytes + len > OUTBOX_OWN_MAX) {
        give_up(outbox, client, "too slow for its replies");
        return false;
    }
    struct own_entry *entry = malloc(sizeof *entry + len);
    if (entry == NULL) {
        give_up(outbox, client, "out of memory");
        return false;
    }
    *entry = (struct own_entry){.at = at, .len = len, .skip = skip};
    if (len > 0)
        memcpy(entry->frame, frame, len);
    if (client->own_last != NULL)
        client->own_last->next = entry;
    else
        client->own_first = entry;
    client->own_last = entry;
    client->own_bytes += len;
    outbox->counts.own_bytes += len;
    return true;
}

static void pop_entry(struct outbox *outbox, struct client *client)
{
    struct own_entry *entry = client->own_first;
    client->own_first = entry->next;
    if (client->own_first == NULL)
        client->own_last = NULL;
    client->own_bytes -= entry->len;
    outbox->counts.own_bytes -= entry->len;
    free(entry);
}

/* Sends or skips the first entry, which is due. False: the socket is full. */
static bool serve_entry(struct outbox *outbox, struct client *client)
{
    struct own_entry *entry = client->own_first;
    bool more = true;
    if (entry->skip > 0 && client->audience != NULL && client->lag == NULL)
        audience_advance(outbox->audiences, client, entry->skip);
    if (entry->len > 0) {
        struct iovec piece = {entry->frame, entry->len};
        size_t taken = 0;
        more = write_pieces(outbox, client, &piece, 1, &taken);
        if (taken == 0)
            return false;
        outbox->counts.frames_own++;
    }
    pop_entry(outbox, client);
    return more;
}

/* --- lag ---------------------------------------------------------------------------------------------------------- */

static bool owed(const struct client *client, uint64_t since, const struct mirror_machine *machine)
{
    return machine != NULL && machine->position >= since &&
           (client->audience->all_states || audience_has_topic(client->audience, machine->state_topic));
}

/* Collects the next machines of the pass. */
static uint32_t collect(const struct outbox *outbox, const struct client *client, struct client_lag *lag,
                        const struct mirror_machine **machines)
{
    uint32_t count = 0;
    for (; lag->next_slot < outbox->mirror->used && count < OUTBOX_PORTION; lag->next_slot++) {
        const struct mirror_machine *machine = mirror_slot(outbox->mirror, lag->next_slot);
        if (owed(client, lag->since, machine))
            machines[count++] = machine;
    }
    return count;
}

/* The rest of a pass at once, as own frames: for a client that also owes its place to frames that cannot be merged. */
static void pass_to_own(struct outbox *outbox, struct client *client, struct client_lag pass)
{
    const struct mirror_machine *machines[OUTBOX_PORTION];
    unsigned char frame[OUTBOX_PORTION_MAX];
    for (uint32_t count; !client->closing && (count = collect(outbox, client, &pass, machines)) > 0;) {
        size_t len =
            outbox->states(outbox->arg, client, machines, count, outbox->position, frame, sizeof frame);
        MUST(len > 0);
        queue_entry(outbox, client, frame, (uint32_t)len, log_head(client), 0);
    }
}

/* The pass is through. Another one, if something changed since it began; else the client reads the log again. */
static void end_pass(struct outbox *outbox, struct client *client)
{
    struct client_lag *lag = client->lag;
    if (lag->found_any && lag->pass_start < outbox->position) {
        *lag = (struct client_lag){.since = lag->pass_start, .pass_start = outbox->position};
        return;
    }
    free(audience_end_lag(outbox->audiences, client));
}

/* One portion; it is made again, with newer states, if the socket did not take it. False: the socket is full. */
static bool serve_lag(struct outbox *outbox, struct client *client)
{
    const struct mirror_machine *machines[OUTBOX_PORTION];
    uint32_t before = client->lag->next_slot;
    uint32_t count = collect(outbox, client, client->lag, machines);
    if (count == 0) {
        end_pass(outbox, client);
        return true;
    }
    unsigned char frame[OUTBOX_PORTION_MAX];
    size_t len = outbox->states(outbox->arg, client, machines, count, outbox->position, frame, sizeof frame);
    MUST(len > 0);
    struct iovec piece = {frame, len};
    size_t taken = 0;
    client->lag->found_any = true;
    bool more = write_pieces(outbox, client, &piece, 1, &taken);
    if (taken == 0) {
        client->lag->next_slot = before;
        return false;
    }
    outbox->counts.lag_portions++;
    return more;
}

static void make_entries_due(struct client *client)
{
    for (struct own_entry *e = client->own_first; e != NULL; e = e->next) {
        e->at = 0;
        e->skip = 0;
    }
}

static void start_lag(struct outbox *outbox, struct client *client, uint64_t since)
{
    struct client_lag *lag = calloc(1, sizeof *lag);
    if (lag == NULL) {
        give_up(outbox, client, "out of memory");
        return;
    }
    lag->since = since;
    lag->pass_start = outbox->position;
    make_entries_due(client); /* what stood before them in the log is given up */
    audience_start_lag(outbox->audiences, client, lag);
    outbox->counts.lags++;
}

/* --- flushing ----------------------------------------------------------------------------------------------------- */

static bool entry_due(const struct client *client)
{
    return client->own_first != NULL &&
           (client->audience == NULL || client->lag != NULL || client->own_first->at <= client->cursor);
}

static bool backlog_lost(const struct outbox *outbox, const struct client *client)
{
    return client->cursor < audience_tail(outbox->audiences, client->audience);
}

static bool backlog_large(const struct client *client)
{
    const struct audience *audience = client->audience;
    return audience->own_log && !audience->lossless && audience->log.head - client->cursor > OUTBOX_LAG_BYTES;
}

static void abandon_backlog(struct outbox *outbox, struct client *client)
{
    if (client->audience->lossless)
        give_up(outbox, client, "too slow");
    else
        start_lag(outbox, client, 0);
}

/* Sends a stretch of the log, up to the next own entry. False: the socket is full. */
static bool serve_log(struct outbox *outbox, struct client *client)
{
    struct iovec pieces[PIECES_MAX];
    uint64_t head = audience_head(client->audience);
    uint64_t to = client->own_first != NULL && client->own_first->at < head ? client->own_first->at : head;
    int count = audience_pieces(outbox->audiences, client, to, pieces, PIECES_MAX);
    size_t taken = 0;
    bool more = write_pieces(outbox, client, pieces, count, &taken);
    audience_advance(outbox->audiences, client, taken);
    return more;
}

/* One step. False: nothing left, or the socket is full. */
static bool flush_step(struct outbox *outbox, struct client *client)
{
    if (entry_due(client))
        return serve_entry(outbox, client);
    if (client->audience == NULL)
        return false;
    if (client->lag != NULL)
        return serve_lag(outbox, client);
    if (client->cursor == audience_head(client->audience))
        return false;
    if (backlog_lost(outbox, client)) {
        abandon_backlog(outbox, client);
        return !client->closing;
    }
    return serve_log(outbox, client);
}

void outbox_flush(struct outbox *outbox, struct client *client)
{
    if (client->choked || client->closing)
        return;
    if (!outbox->sink->can_write(client->sink)) {
        set_choked(client, true);
        return;
    }
    while (flush_step(outbox, client))
        ;
}

void outbox_writable(struct outbox *outbox, struct client *client)
{
    if (client->closing)
        return;
    set_choked(client, false);
    if (client->audience != NULL && client->lag == NULL && backlog_large(client))
        abandon_backlog(outbox, client);
    outbox_flush(outbox, client);
}

void outbox_own_frame(struct outbox *outbox, struct client *client, const void *frame, size_t len)
{
    outbox_flush(outbox, client);
    if (client->closing)
        return;
    bool owes = client->own_first != NULL || client->lag != NULL ||
                (client->audience != NULL && client->cursor != log_head(client));
    if (!client->choked && !owes) {
        struct iovec piece = {(void *)(uintptr_t)frame, len};
        size_t taken = 0;
        write_pieces(outbox, client, &piece, 1, &taken);
        if (taken == len || client->closing)
            return;
    }
    queue_entry(outbox, client, frame, (uint32_t)len, log_head(client), 0);
}

void outbox_skip(struct outbox *outbox, struct client *client, size_t len)
{
    if (client->closing || client->lag != NULL)
        return;
    uint64_t units = client->audience->own_log ? len : 1;
    uint64_t at = log_head(client) - units;
    if (client->cursor == at && client->own_first == NULL)
        audience_advance(outbox->audiences, client, len);
    else
        queue_entry(outbox, client, NULL, 0, at, (uint32_t)len);
}

/* --- moving, losing, leaving -------------------------------------------------------------------------------------- */

/* Turns the rest of the log that the client is still owed into own frames, in place before and between those it has. */
static bool log_to_own(struct outbox *outbox, struct client *client)
{
    struct own_entry *rest = client->own_first;
    client->own_first = client->own_last = NULL;
    client->own_bytes = 0;
    bool ok = true;
    while (ok && (rest != NULL || client->cursor < log_head(client))) {
        uint64_t to = rest != NULL ? rest->at : log_head(client);
        while (ok && client->cursor < to) {
            struct iovec piece;
            audience_pieces(outbox->audiences, client, to, &piece, 1);
            ok = piece.iov_len <= OUTBOX_OWN_MAX &&
                 queue_entry(outbox, client, piece.iov_base, (uint32_t)piece.iov_len, 0, 0);
            audience_advance(outbox->audiences, client, piece.iov_len);
        }
        if (rest == NULL)
            continue;
        struct own_entry *entry = rest;
        rest = entry->next;
        outbox->counts.own_bytes -= entry->len;
        if (ok && entry->skip > 0)
            audience_advance(outbox->audiences, client, entry->skip);
        else if (ok)
            ok = queue_entry(outbox, client, entry->frame, entry->len, 0, 0);
        free(entry);
    }
    for (struct own_entry *next; rest != NULL; rest = next) {
        next = rest->next;
        outbox->counts.own_bytes -= rest->len;
        free(rest);
    }
    if (!ok)
        give_up(outbox, client, "too slow");
    return ok;
}

/* Before the client leaves its audience: what it is owed from there becomes own frames, or a lag it takes along. */
static bool settle_backlog(struct outbox *outbox, struct client *client)
{
    if (client->audience == NULL || client->lag != NULL || client->cursor == log_head(client))
        return true;
    if (backlog_lost(outbox, client) || backlog_large(client)) {
        abandon_backlog(outbox, client);
        return !client->closing;
    }
    return log_to_own(outbox, client);
}

enum err_e outbox_move(struct outbox *outbox, struct client *client, const struct topic *topics,
                       uint32_t count)
{
    outbox_flush(outbox, client);
    if (client->closing || !settle_backlog(outbox, client))
        return ERR_CLOSED;
    struct client_lag *lag = client->lag != NULL ? audience_end_lag(outbox->audiences, client) : NULL;
    if (lag != NULL) /* while the old subscriptions are still known */
        pass_to_own(outbox, client, *lag);
    free(lag);
    enum err_e err = client->closing ? ERR_CLOSED : audience_join(outbox->audiences, client, topics, count);
    make_entries_due(client);
    return err;
}

void outbox_conflate(struct outbox *outbox, struct client *client, uint64_t since)
{
    if (client->audience == NULL || client->closing)
        return;
    if (client->lag != NULL) {
        if (client->lag->since < since)
            since = client->lag->since;
        *client->lag = (struct client_lag){.since = since, .pass_start = outbox->position};
    } else if (client->audience->lossless) {
        pass_to_own(outbox, client, (struct client_lag){.since = since});
    } else {
        start_lag(outbox, client, since);
    }
    outbox_flush(outbox, client);
}

void outbox_drop(struct outbox *outbox, struct client *client)
{
    client->closing = true;
    if (client->lag != NULL)
        free(audience_end_lag(outbox->audiences, client));
    audience_leave(outbox->audiences, client);
    while (client->own_first != NULL)
        pop_entry(outbox, client);
}

/* --- rounds ------------------------------------------------------------------------------------------------------- */

static void observe(struct outbox *outbox, size_t metric, uint64_t source_ns)
{
    if (outbox->stats == NULL || source_ns == 0)
        return;
    uint64_t now = clock_mono_ns(outbox->clock);
    stats_observe_ns(outbox->stats, metric, now > source_ns ? now - source_ns : 0);
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
    return !client->choked && !client->closing &&
           (client->lag != NULL || client->own_first != NULL ||
            client->cursor != audience_head(client->audience));
}

/* The round has visited everybody; whoever joined or was moved meanwhile gets another. */
static void end_round(struct outbox *outbox, struct audience *audience)
{
    observe(outbox, outbox->metric_last, audience->round_source_ns);
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
        if (wants(client)) {
            outbox_flush(outbox, client);
            if (first)
                observe(outbox, outbox->metric_first, audience->round_source_ns);
            first = false;
        } else if (client->choked && !client->closing && audience->lossless && backlog_lost(outbox, client)) {
            give_up(outbox, client, "too slow");
        }
        if (visited % CLOCK_EVERY == 0 && clock_mono_ns(outbox->clock) >= deadline_ns)
            return false;
    }
    end_round(outbox, audience);
    return true;
}

bool outbox_slice(struct outbox *outbox, uint64_t budget_ns)
{
    struct list_node *dirty = &outbox->audiences->dirty;
    uint64_t deadline_ns = clock_mono_ns(outbox->clock) + budget_ns;
    if (list_empty(dirty))
        return false;
    outbox->counts.slices++;
    for (unsigned rounds = 1; !list_empty(dirty); rounds++) {
        if (!run_round(outbox, LIST_ENTRY(dirty->next, struct audience, dirty), deadline_ns))
            return true;
        if (rounds % CLOCK_EVERY == 0 && clock_mono_ns(outbox->clock) >= deadline_ns)
            break;
    }
    return !list_empty(dirty);
}
