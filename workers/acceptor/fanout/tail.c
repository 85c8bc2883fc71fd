/* Hop: D8. See tail.h. */
#include "tail.h"

#include <stdlib.h>
#include <string.h>

#include "fault_point.h"
#include "log.h"
#include "must.h"
#include "topic.h"

static void set_position(struct tail *tail)
{
    tail->outbox->position = ring_reader_position(tail->ring);
}

/* The mirror may now show states whose records still lie ahead of the tail: they go out when it gets there. States whose
 * records it has passed without showing them are owed from the mirror. */
static enum err_e seed(struct tail *tail, uint64_t since, enum ring_status_e why)
{
    struct mirror_seeded seeded;
    enum err_e err = mirror_seed(tail->mirror, tail->lvt, tail->outbox->position, &seeded);
    tail->counts.reseeded++;
    tail->counts.slots_unreadable += seeded.unreadable;
    tail->seed_again = seeded.unreadable > 0 || err != ERR_OK;
    tail->counts.out_of_memory += err != ERR_OK;
    if (seeded.owed_since < since)
        since = seeded.owed_since;
    if (since != UINT64_MAX)
        tail->events->lost(tail->arg, since, why);
    return err;
}

/* To where the table is complete: a record that was made public a moment ago may not stand in its slot yet, and would be seen in neither by
 * who seeds from the table and reads on from the head. Never back to what was read (before `after`). */
static void stand_settled(struct ring_reader *ring, const struct lvt_reader *lvt, uint64_t after)
{
    uint64_t settled;
    if (lvt_reader_settled(lvt, &settled) && settled > after && settled < ring_reader_position(ring))
        (void)ring_reader_seek(ring, settled);
}

static void close_both(struct tail *tail)
{
    ring_reader_close(&tail->ring);
    lvt_reader_close(&tail->lvt);
    tail->message.next = 0;
}

static enum err_e open_both(struct tail *tail, uint32_t ring_id)
{
    struct ring_reader *ring = NULL;
    struct lvt_reader *lvt = NULL;
    enum err_e err = ring_reader_open(tail->ring_path, &ring);
    if (err == ERR_OK)
        err = lvt_reader_open(tail->lvt_path, &lvt);
    if (err == ERR_OK && (ring_reader_id(ring) != ring_id || lvt_reader_ring_id(lvt) != ring_id))
        err = ERR_MISMATCH;
    if (err == ERR_OK)
        stand_settled(ring, lvt, 0);
    if (err == ERR_OK)
        err = history_attach(tail->history, tail->ring_path, ring_id, ring_reader_position(ring));
    if (err != ERR_OK) {
        ring_reader_close(&ring);
        lvt_reader_close(&lvt);
        return err;
    }
    close_both(tail);
    tail->ring = ring;
    tail->lvt = lvt;
    return ERR_OK;
}

/* The same ring: only the table may be another file (a broker with another max_machines replaces it), and machines may
 * have come or gone. */
static enum err_e reopen_table(struct tail *tail)
{
    uint32_t ring_id = ring_reader_id(tail->ring);
    struct lvt_reader *lvt = NULL;
    enum err_e err = lvt_reader_open(tail->lvt_path, &lvt);
    if (err == ERR_OK && lvt_reader_ring_id(lvt) != ring_id)
        err = ERR_MISMATCH;
    if (err != ERR_OK) {
        lvt_reader_close(&lvt);
        return err;
    }
    lvt_reader_close(&tail->lvt);
    tail->lvt = lvt;
    return seed(tail, UINT64_MAX, RING_MORE);
}

/* Touched only by messages of several parts: until then it costs no memory. */
static bool make_room(struct tail *tail)
{
    if (tail->message.frame == NULL)
        tail->message.frame = malloc(RECORD_MAX);
    return tail->message.frame != NULL;
}

enum err_e tail_attach(struct tail *tail, uint32_t ring_id)
{
    if (!make_room(tail))
        return ERR_MEMORY;
    if (tail->ring != NULL && !tail->behind_gone && ring_reader_id(tail->ring) == ring_id)
        return reopen_table(tail);
    bool first = tail->ring == NULL;
    enum err_e err = open_both(tail, ring_id);
    if (err != ERR_OK)
        return err;
    tail->behind_gone = false;
    mirror_forget_positions(tail->mirror);
    set_position(tail);
    return seed(tail, first ? UINT64_MAX : 0, first ? RING_MORE : RING_GONE);
}

void tail_close(struct tail *tail)
{
    close_both(tail);
    free(tail->message.frame);
    tail->message.frame = NULL;
}

static void to_audiences(struct tail *tail, const struct ring_record *record)
{
    if (record->origin_mode == ORIGIN_ONLY)
        return;
    for (uint32_t i = 0; i < record->topic_count; i++) {
        const struct ring_topic *topic = &record->topics[i];
        audiences_append(tail->audiences, topic->hash, topic->name, topic->len, record->frame,
                         record->frame_len, record->kind == RECORD_STATE ? record->source_ns : 0);
    }
}

/* True if the record's frame may go out. */
static bool fold(struct tail *tail, const struct ring_record *record)
{
    tail->counts.states++;
    enum mirror_fold_e folded = mirror_fold(tail->mirror, record);
    if (folded == MIRROR_UNKNOWN && seed(tail, UINT64_MAX, RING_MORE) == ERR_OK)
        folded = mirror_fold(tail->mirror, record);
    if (folded == MIRROR_OLD)
        tail->counts.states_old++;
    else if (folded != MIRROR_FOLDED)
        tail->counts.corrupt++;
    return folded == MIRROR_FOLDED;
}

/* A machine was added or removed; the table, perhaps a new one, shows it before its frame goes out. */
static void take_machine(struct tail *tail)
{
    enum err_e err = reopen_table(tail);
    if (err != ERR_OK)
        log_warn("machine-event", "path=%s error=\"%s\" cannot be read again", tail->lvt_path, err_text(err));
}

static void to_origin(struct tail *tail, const struct ring_record *record)
{
    if (record->origin_mode != ORIGIN_NONE && record->origin.worker == tail->incarnation)
        tail->events->origin(tail->arg, record);
}

/* --- stream messages ----------------------------------------------------------------------------------------------- */

/* All its parts were seen, or no more will come: what its audiences were given is one frame, and the last one. */
static void end_message(struct tail *tail)
{
    if (tail->message.next == 0)
        return;
    tail->message.next = 0;
    to_origin(tail, &tail->message.first);
}

static void begin_message(struct tail *tail, const struct ring_record *record,
                          const struct record_stream *meta)
{
    struct tail_message *message = &tail->message;
    audiences_begin_record(tail->audiences, record->position, true);
    to_audiences(tail, record);
    if (meta->parts == 1) {
        to_origin(tail, record);
        return;
    }
    memcpy(message->frame, record->frame, record->frame_len);
    message->first = *record;
    message->first.frame = message->frame;
    message->first.topic_count = 0;
    message->publish_seq = meta->publish_seq;
    message->parts = meta->parts;
    message->next = 1;
}

static bool follows(const struct tail_message *message, const struct ring_record *record,
                    const struct record_stream *meta)
{
    return message->next != 0 && meta->part == message->next && meta->parts == message->parts &&
           meta->publish_seq == message->publish_seq &&
           record->origin.worker == message->first.origin.worker &&
           record->origin.serial == message->first.origin.serial;
}

/* Under the same stamp: who has got the frame for another topic does not get it again. */
static void go_on_with_message(struct tail *tail, const struct ring_record *record)
{
    struct tail_message *message = &tail->message;
    struct ring_record part = *record;
    part.frame = message->frame;
    part.frame_len = message->first.frame_len;
    tail->counts.parts++;
    to_audiences(tail, &part);
    if (++message->next == message->parts)
        end_message(tail);
}

static void handle_stream(struct tail *tail, const struct ring_record *record)
{
    const struct record_stream *meta = record->meta;
    bool sound =
        record->meta_len == sizeof *meta && meta->part < meta->parts && meta->parts <= RECORD_PARTS_MAX;
    if (sound && follows(&tail->message, record, meta)) {
        go_on_with_message(tail, record);
        return;
    }
    end_message(tail);
    if (sound && meta->part == 0)
        begin_message(tail, record, meta);
    else
        tail->counts.parts_ignored++;
}

/* Also a part that cannot be used says that its message is in the ring. */
static void note_own(struct tail *tail, const struct ring_record *record)
{
    const struct record_stream *meta = record->meta;
    if (record->origin.worker == tail->incarnation && record->meta_len == sizeof *meta &&
        tail->events->published != NULL)
        tail->events->published(tail->arg, meta->publish_seq);
}

/* --- all records --------------------------------------------------------------------------------------------------- */

static void handle(struct tail *tail, const struct ring_record *record)
{
    tail->counts.records++;
    FAULT_POINT(WORKER_RECORD_READ);
    if (record->kind == RECORD_STREAM) {
        set_position(tail);
        handle_stream(tail, record);
        note_own(tail, record);
        return;
    }
    end_message(tail);
    audiences_begin_record(tail->audiences, record->position, record->kind != RECORD_STATE);
    if (record->kind == RECORD_STATE)
        outbox_observe(tail->outbox, tail->outbox->metrics.hop_d8, record->source_ns);
    bool goes_out = record->kind != RECORD_STATE || fold(tail, record);
    if (record->kind == RECORD_MACHINE)
        take_machine(tail);
    set_position(tail);
    if (!goes_out)
        return;
    if (history_keeps(record))
        (void)history_add(tail->history, record);
    to_audiences(tail, record);
    to_origin(tail, record);
}

static void lost(struct tail *tail, uint64_t since, enum ring_status_e why)
{
    if (why == RING_CORRUPT)
        tail->counts.corrupt++;
    else
        tail->counts.lapped++;
    tail->message.next = 0; /* whoever has streams is closed */
    stand_settled(tail->ring, tail->lvt, since);
    set_position(tail);
    history_missed(tail->history, tail->outbox->position);
    (void)seed(tail, since, why);
    tail->seed_again |= why == RING_CORRUPT; /* the slot of the lost record may be on its way */
}

bool tail_drain(struct tail *tail, unsigned budget)
{
    if (tail->ring == NULL || tail->behind_gone)
        return false;
    for (; budget > 0 || tail->message.next > 0; budget -= budget > 0) {
        struct ring_record record;
        uint64_t before = ring_reader_position(tail->ring);
        switch (ring_reader_next(tail->ring, &record)) {
        case RING_MORE:
            handle(tail, &record);
            if (tail->message.next == 0 && audiences_pressed(tail->audiences))
                return true;
            break;
        case RING_EMPTY:
            return false;
        case RING_LAPPED:
            lost(tail, before, RING_LAPPED);
            break;
        case RING_CORRUPT:
            lost(tail, before, RING_CORRUPT);
            break;
        case RING_GONE:
            tail->behind_gone = true;
            log_warn("ring-gone", "the broker replaced the ring; waiting for its HELLO");
            return false;
        }
    }
    return true;
}

bool tail_tick(struct tail *tail)
{
    if (tail->ring == NULL || tail->behind_gone)
        return false;
    tail->counts.damaged_words = ring_reader_damaged(tail->ring);
    if (!tail->seed_again)
        return false;
    (void)seed(tail, UINT64_MAX, RING_MORE);
    return true;
}

bool tail_has_more(const struct tail *tail)
{
    return tail->ring != NULL && !tail->behind_gone &&
           ring_reader_head(tail->ring) != ring_reader_position(tail->ring);
}
