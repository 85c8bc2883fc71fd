/* Hop: D6, D7. See the picture in streams.h.
 *
 * Of a message with more topics than a record holds, all parts are appended, or none is: nothing here is appended and not
 * flushed, and the largest message fits the half of the smallest ring. The frame is copied once, beside its header. Rejected: a
 * floor in shared memory beside the ring, one more thing to keep in step with it; the records have the numbers anyway.
 */
#include "streams.h"

#include <string.h>

#include "fault_point.h"
#include "must.h"
#include "ring_page.h"
#include "utf8.h"

#define PART_MAX /* bytes, without a frame */                                                                \
    (sizeof(struct ring_record_header) + RECORD_TOPICS_MAX * (9 + TOPIC_MAX) +                               \
     sizeof(struct record_stream) + RECORD_ALIGN)

_Static_assert(PART_MAX + FRAMES_PAYLOAD_BYTES(WIRE_PUBLISH_PAYLOAD_MAX) <= RECORD_MAX, "a record");
_Static_assert(RECORD_PARTS_MAX *PART_MAX + FRAMES_PAYLOAD_BYTES(WIRE_PUBLISH_PAYLOAD_MAX) +
                       SOURCES_MAX * PART_MAX <=
                   RING_SIZE_MIN / 2,
               "never ERR_FULL, and floors are in time (publish_flush())");
_Static_assert(WIRE_TOPIC_MAX == TOPIC_MAX, "names fit");
_Static_assert(RECORD_PARTS_MAX *RECORD_TOPICS_MAX >= WIRE_PUBLISH_TOPICS_MAX, "and all of them do");

/* Which dialects are published to, by which topics, and whether their clients understand binary frames. */
static const struct dialect {
    const char *(*topic)(const char *name, size_t len, size_t *id_len); /* NULL: none of the dialect's */
    bool binary;
} dialects[] = {
    [DIALECT_STREAMS] = {topic_stream_id, false}, [DIALECT_ENDPOINTS] = {topic_endpoint_id, true}};

static const struct dialect *dialect_of(uint64_t number)
{
    return number < ARRAY_LEN(dialects) && dialects[number].topic != NULL ? &dialects[number] : NULL;
}

static bool take_topic(struct topic *topic, const struct dialect *dialect, struct wire_text name)
{
    size_t id_len;
    if (dialect->topic(name.at, name.len, &id_len) == NULL)
        return false;
    memcpy(topic->name, name.at, name.len);
    topic->len = (uint8_t)name.len;
    topic->hash = topic_hash(name.at, name.len);
    return true;
}

/* How many; 0: none, too many, or not all of them are topics of the dialect. */
static uint32_t take_topics(struct broker *broker, const struct dialect *dialect, struct wire_text topics)
{
    struct wire_text name;
    uint32_t count = 0;
    while (wire_topics_next(&topics, &name)) {
        if (count == WIRE_PUBLISH_TOPICS_MAX || !take_topic(&broker->streams.topics[count], dialect, name))
            return 0;
        count++;
    }
    return topics.len == 0 ? count : 0;
}

static void drop(struct broker *broker, const struct peer *worker, const struct wire_publish *wire,
                 const char *why)
{
    uint32_t suppressed;
    broker_count(broker, BROKER_INVALID);
    if (broker_may_log(broker, &broker->logs.stream, &suppressed))
        log_warn("publish-invalid", "slot=%u number=%llu bytes=%u reason=\"%s\" suppressed=%u", worker->slot,
                 (unsigned long long)wire->publish_seq, wire->payload.len, why, suppressed);
}

/* What is wrong with it; NULL: nothing, and *stream is filled in. Its size was bounded when it was decoded. */
static const char *fault_of(struct broker *broker, const struct peer *worker, const struct wire_publish *wire,
                            struct stream_message *stream)
{
    const struct dialect *dialect = dialect_of(wire->dialect);
    if (wire->publish_seq == 0 || worker->incarnation == 0)
        return "no number";
    if (dialect == NULL)
        return "no dialect to publish to";
    uint32_t topic_count = take_topics(broker, dialect, wire->topics);
    if (topic_count == 0)
        return "topics";
    if (wire->binary && !dialect->binary)
        return "the dialect has no binary messages";
    if (!wire->binary && !utf8_is_valid(wire->payload.at, wire->payload.len))
        return "payload is not UTF-8";
    *stream = (struct stream_message){
        .dialect = (enum record_dialect_e)wire->dialect,
        .origin_mode = wire->echo || wire->session_serial == 0 ? ORIGIN_NONE : ORIGIN_NOT,
        .origin = {worker->incarnation, wire->session_serial},
        .publish_seq = wire->publish_seq,
        .source_ns = wire->source_ns,
        .topics = broker->streams.topics,
        .topic_count = topic_count,
        .frame = frames_payload(broker->streams.frame, sizeof broker->streams.frame, wire->payload.at,
                                wire->payload.len, wire->binary)};
    return NULL;
}

static void make_public(struct broker *broker, const struct stream_message *stream)
{
    if (publish_stream(&broker->publisher, stream) != ERR_OK)
        return; /* counted; its worker sends it again after its next HELLO */
    FAULT_POINT(BROKER_STREAM_APPENDED);
    publish_flush(&broker->publisher);
    FAULT_POINT(BROKER_STREAM_PUBLISHED);
    seq_floors_raise(&broker->streams.floors, stream->origin.worker, stream->publish_seq);
    broker_count(broker, BROKER_STREAM_MESSAGES);
    stats_add(&broker->stats, BROKER_STREAM_PARTS, publish_stream_parts(stream->topic_count));
}

void streams_receive(struct broker *broker, struct peer *worker, const struct wire_message *message)
{
    const struct wire_publish *wire = &message->publish;
    uint64_t floor = seq_floors_get(&broker->streams.floors, worker->incarnation);
    struct stream_message stream;
    FAULT_POINT(BROKER_STREAM_RECEIVED);
    if (wire->publish_seq != 0 && wire->publish_seq <= floor) {
        broker_count(broker, BROKER_STREAM_REPEATS);
        return;
    }
    const char *fault = fault_of(broker, worker, wire, &stream);
    if (fault != NULL) {
        drop(broker, worker, wire, fault);
        return;
    }
    if (floor != 0 && wire->publish_seq != floor + 1)
        broker_count(broker, BROKER_STREAM_GAPS);
    make_public(broker, &stream);
}
