/* See store_outbox.h. */
#include "store_outbox.h"

#include <inttypes.h>
#include <string.h>

#include "fault_point.h"
#include "log.h"
#include "store_metrics.h"

_Static_assert(DB_EVENT_MAX <= WIRE_EVENT_PAYLOAD_MAX, "every event fits the bus");

static uint64_t now_ns(const struct store_outbox *outbox)
{
    return clock_mono_ns(outbox->clock);
}

void store_outbox_init(struct store_outbox *outbox)
{
    outbox->state = OUTBOX_DOWN;
    outbox->settled = false;
    outbox->known = db_last_event(outbox->db);
    outbox->progress_ns = 0;
    outbox->note_due_ns = 0;
    outbox->inherited = outbox->known;
    outbox->notes_fail = false;
    event_window_init(&outbox->window, db_first_unpublished(outbox->db) - 1);
}

/* --- the source ------------------------------------------------------------------------------------------------------ */

static void ask(struct store_outbox *outbox)
{
    struct wire_message message = {.type = WIRE_SOURCE, .source = {.source = db_source(outbox->db)}};
    outbox->state = OUTBOX_ASKING;
    outbox->progress_ns = now_ns(outbox);
    (void)outbox->send(outbox->arg, &message); /* one that does not go is said again by the tick */
}

void store_outbox_up(struct store_outbox *outbox)
{
    event_window_again(&outbox->window);
    ask(outbox);
}

void store_outbox_down(struct store_outbox *outbox)
{
    outbox->state = OUTBOX_DOWN;
}

/* The ring has events of this source that this database never had: somebody put an older copy in its place. */
static void take_new_source(struct store_outbox *outbox, uint64_t in_ring)
{
    uint64_t old = db_source(outbox->db);
    if (db_change_source(outbox->db, outbox->new_source(outbox->arg)) != ERR_OK)
        return; /* asked again, with the old one, by the tick */
    stats_add(outbox->stats, STORE_SOURCE_CHANGES, 1);
    log_warn("source-changed",
             "old=%016" PRIx64 " new=%016" PRIx64 " last=%" PRIu64 " in_ring=%" PRIu64
             " text=\"the database is an older copy than what was published: it goes on as a new source\"",
             old, db_source(outbox->db), outbox->known, in_ring);
    outbox->known = db_last_event(outbox->db);
    event_window_init(&outbox->window, outbox->known);
    ask(outbox);
}

static void on_source(struct store_outbox *outbox, uint64_t in_ring)
{
    if (in_ring > outbox->known) {
        take_new_source(outbox, in_ring);
        return;
    }
    outbox->state = OUTBOX_SENDING;
    outbox->settled = true;
}

/* --- events ----------------------------------------------------------------------------------------------------------- */

static bool fits(const struct db_event *event)
{
    return event->len <= WIRE_EVENT_PAYLOAD_MAX && strlen(event->channel) <= WIRE_CHANNEL_MAX;
}

static void take_note(struct store_outbox *outbox)
{
    if (outbox->note_due_ns == 0)
        outbox->note_due_ns = now_ns(outbox) + OUTBOX_NOTE_NS;
}

static void pass_over(struct store_outbox *outbox, const struct db_event *event)
{
    struct event_note note = {.seq = event->seq};
    stats_add(outbox->stats, STORE_EVENTS_UNSENDABLE, 1);
    log_error("event-unsendable",
              "seq=%" PRIu64 " bytes=%zu text=\"no event of Noria's making; passed over\"", event->seq,
              event->len);
    event_window_sent(&outbox->window, event->seq);
    (void)event_window_acked(&outbox->window, &note);
    take_note(outbox);
}

static bool send_event(struct store_outbox *outbox, const struct db_event *event)
{
    struct wire_message message = {.type = WIRE_EVENT};
    message.event = (struct wire_event){.source = db_source(outbox->db),
                                        .source_seq = event->seq,
                                        .channel = wire_text(event->channel),
                                        .payload = {event->payload, (uint32_t)event->len}};
    if (outbox->send(outbox->arg, &message) != ERR_OK)
        return false;
    if (outbox->window.sent_count == 0)
        outbox->progress_ns = now_ns(outbox);
    event_window_sent(&outbox->window, event->seq);
    if (event->seq > outbox->known)
        outbox->known = event->seq;
    stats_add(outbox->stats, STORE_EVENTS_SENT, 1);
    return true;
}

bool store_outbox_pump(struct store_outbox *outbox)
{
    struct db_event event;
    bool more = true;
    for (unsigned budget = OUTBOX_BUDGET; more && budget > 0; budget--) {
        more = outbox->state == OUTBOX_SENDING && event_window_has_room(&outbox->window) &&
               db_next_event(outbox->db, outbox->window.cursor, &event) == ERR_OK;
        if (more && !fits(&event))
            pass_over(outbox, &event);
        else if (more)
            more = send_event(outbox, &event);
    }
    stats_set(outbox->stats, STORE_EVENTS_UNACKED, outbox->window.sent_count);
    return more;
}

bool store_outbox_is_behind(const struct store_outbox *outbox)
{
    return db_last_event(outbox->db) > outbox->window.cursor + OUTBOX_BEHIND;
}

/* --- acknowledgements ------------------------------------------------------------------------------------------------- */

void store_outbox_acked(struct store_outbox *outbox, const struct wire_event_ack *ack)
{
    struct event_note note = {ack->source_seq, (uint32_t)ack->ring_id, ack->position};
    if (ack->source != db_source(outbox->db) || ack->ring_id > UINT32_MAX || outbox->state == OUTBOX_DOWN) {
        stats_add(outbox->stats, STORE_STRAY_ACKS, 1);
        return;
    }
    if (outbox->state == OUTBOX_ASKING) {
        on_source(outbox, ack->source_seq);
        return;
    }
    if (!event_window_acked(&outbox->window, &note)) {
        stats_add(outbox->stats, STORE_STRAY_ACKS, 1);
        return;
    }
    FAULT_POINT(STORE_EVENT_ACKED);
    stats_add(outbox->stats, STORE_EVENTS_ACKED, 1);
    outbox->progress_ns = now_ns(outbox);
    take_note(outbox);
}

enum err_e store_outbox_note(struct store_outbox *outbox, unsigned *count)
{
    enum err_e err = ERR_OK;
    *count = outbox->window.note_count;
    for (unsigned i = 0; i < *count && err == ERR_OK; i++) {
        const struct event_note *note = &outbox->window.notes[i];
        err = db_note_published(outbox->db, note->seq, note->ring_id, note->position);
    }
    return err;
}

bool store_outbox_is_complete(struct store_outbox *outbox)
{
    if (outbox->inherited != 0 && db_first_unpublished(outbox->db) > outbox->inherited)
        outbox->inherited = 0;
    return outbox->inherited == 0 && !outbox->notes_fail;
}

void store_outbox_noted(struct store_outbox *outbox, unsigned count)
{
    if (count == 0)
        return;
    outbox->notes_fail = false;
    event_window_noted(&outbox->window, count);
    outbox->note_due_ns = outbox->window.note_count > 0 ? now_ns(outbox) + OUTBOX_NOTE_NS : 0;
    stats_add(outbox->stats, STORE_EVENTS_NOTED, count);
    FAULT_POINT(STORE_ACK_NOTED);
}

/* --- time -------------------------------------------------------------------------------------------------------------- */

static void note_alone(struct store_outbox *outbox)
{
    unsigned count = 0;
    enum err_e err = db_begin(outbox->db);
    if (err == ERR_OK) {
        err = store_outbox_note(outbox, &count);
        if (err == ERR_OK)
            err = db_commit(outbox->db);
        else
            db_rollback(outbox->db);
    }
    if (err == ERR_OK) {
        store_outbox_noted(outbox, count);
        return;
    }
    outbox->notes_fail = true;
    stats_add(outbox->stats, STORE_NOTES_FAILED, 1);
    outbox->note_due_ns = now_ns(outbox) + OUTBOX_RETRY_NS;
}

static bool waits(const struct store_outbox *outbox)
{
    return outbox->state == OUTBOX_ASKING ||
           (outbox->state == OUTBOX_SENDING && outbox->window.sent_count > 0);
}

void store_outbox_tick(struct store_outbox *outbox)
{
    uint64_t now = now_ns(outbox);
    if (outbox->note_due_ns != 0 && now >= outbox->note_due_ns)
        note_alone(outbox);
    if (!waits(outbox) || now < outbox->progress_ns + OUTBOX_AGAIN_NS)
        return;
    outbox->progress_ns = now;
    stats_add(outbox->stats, STORE_EVENTS_AGAIN, 1);
    if (outbox->state == OUTBOX_ASKING)
        ask(outbox);
    else
        event_window_again(&outbox->window);
}

uint64_t store_outbox_due_ns(const struct store_outbox *outbox)
{
    uint64_t due = outbox->note_due_ns != 0 ? outbox->note_due_ns : UINT64_MAX;
    if (waits(outbox) && outbox->progress_ns + OUTBOX_AGAIN_NS < due)
        due = outbox->progress_ns + OUTBOX_AGAIN_NS;
    return due;
}
