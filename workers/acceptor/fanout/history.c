/* Hop: D8. See history.h. Copies stand in one buffer that is written round and round, each in one piece:
 *
 *     topics: hash (8), length (1), name … │ frame
 *
 * Offsets are absolute; what is more than the buffer's size below copy_head was written over. */
#include "history.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"

#define NO_COPY     UINT64_MAX
#define HASHES_HERE 2u /* topics whose hashes stand in the entry: all that carousels have */

struct history_entry {
    uint64_t position;
    uint64_t offset; /* of its copy, or NO_COPY */
    uint64_t hashes[HASHES_HERE];
    uint32_t frame_len;
    uint8_t dialect, topic_count;
};

void history_init(struct history *history)
{
    *history = (struct history){0};
}

static void forget_all(struct history *history)
{
    history->tail = history->head;
}

void history_fini(struct history *history)
{
    ring_reader_close(&history->ring);
    free(history->entries);
    free(history->copies);
    history_init(history);
}

/* --- entries ------------------------------------------------------------------------------------------------------ */

static struct history_entry *entry_at(const struct history *history, uint64_t number)
{
    return &history->entries[number & (history->cap - 1)];
}

static bool has_copy(const struct history *history, const struct history_entry *entry)
{
    return entry->offset != NO_COPY && history->copy_head - entry->offset <= HISTORY_COPY_BYTES;
}

static void forget_first(struct history *history)
{
    uint64_t behind = entry_at(history, history->tail++)->position + RECORD_ALIGN;
    if (behind > history->known_from)
        history->known_from = behind;
}

static void trim(struct history *history)
{
    uint64_t ring_tail = history->tail < history->head ? ring_reader_tail(history->ring) : 0;
    while (history->tail < history->head) {
        const struct history_entry *entry = entry_at(history, history->tail);
        if (entry->position >= ring_tail || has_copy(history, entry))
            return;
        forget_first(history);
    }
}

static bool reserve_entry(struct history *history)
{
    if (history->head - history->tail < history->cap)
        return true;
    if (history->cap >= HISTORY_ENTRIES_MAX) {
        forget_first(history);
        return true;
    }
    uint32_t cap = history->cap ? history->cap * 2 : 64;
    struct history_entry *grown = malloc(cap * sizeof *grown);
    if (grown == NULL)
        return false;
    for (uint64_t n = history->tail; n < history->head; n++)
        grown[n & (cap - 1)] = *entry_at(history, n);
    free(history->entries);
    history->entries = grown;
    history->cap = cap;
    return true;
}

/* --- copies -------------------------------------------------------------------------------------------------------- */

static uint32_t copy_bytes(const struct ring_record *record)
{
    uint32_t bytes = record->frame_len;
    for (uint32_t i = 0; i < record->topic_count; i++)
        bytes += 9u + record->topics[i].len;
    return bytes;
}

/* Where the copy went; NO_COPY if there is no memory for copies. */
static uint64_t copy_in(struct history *history, const struct ring_record *record)
{
    uint32_t need = copy_bytes(record);
    if (history->copies == NULL)
        history->copies = malloc(HISTORY_COPY_BYTES);
    if (history->copies == NULL)
        return NO_COPY;
    uint64_t place = history->copy_head % HISTORY_COPY_BYTES;
    if (place + need > HISTORY_COPY_BYTES)
        history->copy_head += HISTORY_COPY_BYTES - place;
    uint64_t offset = history->copy_head;
    unsigned char *to = history->copies + offset % HISTORY_COPY_BYTES;
    for (uint32_t i = 0; i < record->topic_count; i++) {
        const struct ring_topic *topic = &record->topics[i];
        memcpy(to, &topic->hash, 8);
        to[8] = topic->len;
        memcpy(to + 9, topic->name, topic->len);
        to += 9 + topic->len;
    }
    memcpy(to, record->frame, record->frame_len);
    history->copy_head += need;
    return offset;
}

static void read_copy(const struct history *history, const struct history_entry *entry,
                      struct history_frame *frame)
{
    const unsigned char *from = history->copies + entry->offset % HISTORY_COPY_BYTES;
    for (uint32_t i = 0; i < entry->topic_count; i++) {
        frame->topics[i] = (struct ring_topic){.name = (const char *)from + 9, .len = from[8]};
        memcpy(&frame->topics[i].hash, from, 8);
        from += 9 + from[8];
    }
    frame->bytes = from;
    frame->lasting = true;
}

/* --- taking in ------------------------------------------------------------------------------------------------------ */

bool history_keeps(const struct ring_record *record)
{
    bool kind = record->kind == RECORD_RESULT || record->kind == RECORD_COMPLETION ||
                record->kind == RECORD_EVENT || record->kind == RECORD_MACHINE ||
                record->kind == RECORD_CHANNEL;
    return kind && record->origin_mode != ORIGIN_ONLY && record->topic_count > 0;
}

uint64_t history_add(struct history *history, const struct ring_record *record)
{
    trim(history);
    if (!reserve_entry(history)) {
        history_missed(history, record->position + RECORD_ALIGN);
        return UINT64_MAX;
    }
    struct history_entry *entry = entry_at(history, history->head);
    *entry = (struct history_entry){.position = record->position,
                                    .offset = copy_in(history, record),
                                    .frame_len = record->frame_len,
                                    .dialect = record->dialect,
                                    .topic_count = (uint8_t)record->topic_count};
    for (uint32_t i = 0; i < HASHES_HERE && i < record->topic_count; i++)
        entry->hashes[i] = record->topics[i].hash;
    return history->head++;
}

void history_missed(struct history *history, uint64_t position)
{
    if (position > history->known_from)
        history->known_from = position;
}

/* Everything that the ring holds before `until`, in one pass forward. */
static void take_in(struct history *history, uint64_t until)
{
    struct ring_record record;
    history->known_from = ring_reader_tail(history->ring);
    if (history->known_from > until || ring_reader_seek(history->ring, history->known_from) != ERR_OK) {
        history->known_from = until; /* the writer is faster than we are */
        return;
    }
    while (ring_reader_position(history->ring) < until) {
        if (ring_reader_next(history->ring, &record) != RING_MORE) {
            history_missed(history, until);
            return;
        }
        if (history_keeps(&record))
            (void)history_add(history, &record);
    }
}

enum err_e history_attach(struct history *history, const char *ring_path, uint32_t ring_id, uint64_t until)
{
    struct ring_reader *ring = NULL;
    enum err_e err = ring_reader_open(ring_path, &ring);
    if (err == ERR_OK && ring_reader_id(ring) != ring_id)
        err = ERR_MISMATCH;
    if (err != ERR_OK) {
        ring_reader_close(&ring);
        return err;
    }
    ring_reader_close(&history->ring);
    history->ring = ring;
    forget_all(history);
    take_in(history, until);
    return ERR_OK;
}

/* --- asking ---------------------------------------------------------------------------------------------------------- */

uint64_t history_tail(struct history *history)
{
    trim(history);
    return history->tail;
}

uint64_t history_find(struct history *history, uint64_t position)
{
    trim(history);
    uint64_t low = history->tail, high = history->head;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (entry_at(history, middle)->position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool history_filter_has(const struct history_filter *filter, uint64_t hash)
{
    uint32_t low = 0, high = filter->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (filter->hashes[middle] == hash)
            return true;
        if (filter->hashes[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Entries with more topics than stand in them may match: the frame will tell. */
static bool entry_matches(const struct history_entry *entry, const struct history_filter *filter)
{
    if (entry->dialect != filter->dialect)
        return false;
    if (entry->topic_count > HASHES_HERE)
        return true;
    for (uint32_t i = 0; i < entry->topic_count; i++)
        if (history_filter_has(filter, entry->hashes[i]))
            return true;
    return false;
}

uint64_t history_match(const struct history *history, uint64_t number, uint64_t to,
                       const struct history_filter *filter, bool *found)
{
    MUST(number >= history->tail);
    uint64_t end = to < history->head ? to : history->head;
    while (number < end && !entry_matches(entry_at(history, number), filter))
        number++;
    *found = number < end;
    return number;
}

static const struct history_entry *held_entry(const struct history *history, uint64_t number)
{
    MUST(number >= history->tail && number < history->head);
    return entry_at(history, number);
}

uint64_t history_position(const struct history *history, uint64_t number)
{
    return held_entry(history, number)->position;
}

uint8_t history_dialect(const struct history *history, uint64_t number)
{
    return held_entry(history, number)->dialect;
}

static bool read_ring(struct history *history, const struct history_entry *entry, struct history_frame *frame)
{
    struct ring_record record;
    if (ring_reader_seek(history->ring, entry->position) != ERR_OK ||
        ring_reader_next(history->ring, &record) != RING_MORE)
        return false;
    memcpy(frame->topics, record.topics, record.topic_count * sizeof record.topics[0]);
    frame->topic_count = record.topic_count;
    frame->bytes = record.frame;
    frame->len = record.frame_len;
    frame->lasting = false;
    return true;
}

bool history_read(struct history *history, uint64_t number, struct history_frame *frame)
{
    if (number < history->tail || number >= history->head)
        return false;
    const struct history_entry *entry = entry_at(history, number);
    frame->position = entry->position;
    frame->dialect = entry->dialect;
    frame->topic_count = entry->topic_count;
    frame->len = entry->frame_len;
    if (!has_copy(history, entry))
        return read_ring(history, entry, frame);
    read_copy(history, entry, frame);
    return true;
}
