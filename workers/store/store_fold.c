/* See store_fold.h. */
#include "store_fold.h"

#include <string.h>

#include "db.h"
#include "frames_seq.h"
#include "must.h"
#include "topic.h"
#include "ws_frame.h"

static const struct {
    enum meaning_e meaning;
    enum db_condition_e condition;
} told_by_bits[] = {{MEANING_ALARM, DB_ALARM},
                    {MEANING_ESTOP, DB_ESTOP},
                    {MEANING_DRIVE_FAULT, DB_DRIVE_FAULT},
                    {MEANING_POSITIONING_ERROR, DB_POSITIONING_ERROR}};

bool store_fold_conditions(const struct machine_state *state, const struct profile *profile, uint32_t *active)
{
    *active = 0;
    if (!state->has_reading)
        return false;
    if (state->connection != CONNECTION_CONNECTED)
        *active |= 1u << DB_LOST;
    for (size_t i = 0; profile != NULL && i < ARRAY_LEN(told_by_bits); i++)
        if (profile_says(profile, state->raw_status, told_by_bits[i].meaning))
            *active |= 1u << told_by_bits[i].condition;
    return true;
}

/* The machine whose state topic this is. */
static bool machine_of(const struct ring_topic *topic, char id[MACHINE_ID_MAX + 1])
{
    static const char prefix[] = "state/";
    size_t skip = sizeof prefix - 1;
    if (topic->len <= skip || memcmp(topic->name, prefix, skip) != 0 ||
        !machine_id_valid(topic->name + skip, topic->len - skip))
        return false;
    memcpy(id, topic->name + skip, topic->len - skip);
    id[topic->len - skip] = '\0';
    return true;
}

enum err_e store_fold_state(const struct ring_record *record, char id[MACHINE_ID_MAX + 1],
                            struct machine_state *state)
{
    const struct record_state *meta = record->meta;
    if (record->meta_len != sizeof *meta || meta->connection >= CONNECTION_COUNT ||
        record->topic_count == 0 || !machine_of(&record->topics[0], id))
        return ERR_MALFORMED;
    *state = (struct machine_state){.connection = (enum connection_e)meta->connection,
                                    .has_reading = meta->has_reading != 0,
                                    .raw_status = (uint8_t)meta->raw_status,
                                    .position = (uint8_t)meta->position,
                                    .read_wall_ms = meta->read_wall_ms};
    return ERR_OK;
}

/* The channel that is not everybody's, if it names one. */
static bool channel_of(const struct ring_record *record, char channel[65])
{
    bool found = false;
    for (uint32_t i = 0; i < record->topic_count; i++) {
        size_t len;
        const char *name = topic_channel_name(record->topics[i].name, record->topics[i].len, &len);
        bool general =
            name != NULL && len == sizeof CHANNEL_GENERAL - 1 && memcmp(name, CHANNEL_GENERAL, len) == 0;
        if (name == NULL || (found && general))
            continue;
        memcpy(channel, name, len);
        channel[len] = '\0';
        found = true;
    }
    return found;
}

/* What stands in a text frame; NULL: it is none. */
static const char *text_of(const unsigned char *frame, size_t frame_len, size_t *len)
{
    for (size_t header = 2; header <= WS_HEADER_MAX && header < frame_len; header += header == 2 ? 2 : 6) {
        *len = frame_len - header;
        if (ws_frame_header_len(*len) == header)
            return frame[0] == (0x80u | WS_TEXT) && ws_frame_total_len(frame, frame_len) == frame_len
                       ? (const char *)frame + header
                       : NULL;
    }
    return NULL;
}

/* The frame's payload without its last member, "seq", which is the record's own address. */
static bool payload_of(const struct ring_record *record, uint32_t ring_id, char text[STORE_FOREIGN_MAX],
                       struct store_foreign *foreign)
{
    char seq[FRAMES_SEQ_MAX];
    struct out tail = out_init(seq, sizeof seq);
    size_t len, whole = record->frame_len;
    const char *payload = text_of(record->frame, whole, &len);
    frames_put_seq(&tail, (struct frames_seq){ring_id, record->position});
    if (payload == NULL || len <= tail.len + 1 || len > STORE_FOREIGN_MAX || payload[0] != '{' ||
        memcmp(payload + len - tail.len, seq, tail.len) != 0)
        return false;
    foreign->payload = text;
    foreign->len = len - tail.len + 1;
    memcpy(text, payload, foreign->len - 1);
    text[foreign->len - 1] = '}';
    return true;
}

bool store_fold_foreign(const struct ring_record *record, uint32_t ring_id, char text[STORE_FOREIGN_MAX],
                        struct store_foreign *foreign)
{
    const struct record_source *meta = record->meta;
    return record->meta_len == sizeof *meta && meta->source == 0 && channel_of(record, foreign->channel) &&
           payload_of(record, ring_id, text, foreign);
}
