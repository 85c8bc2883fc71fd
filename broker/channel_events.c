/* Hops: D6, D7. See the picture in channel_events.h. Rejected: a floor in shared memory beside the ring, one more thing to keep in step with
 * it; acknowledging several events with one message, since each acknowledgement tells a place. */
#include "channel_events.h"

#include "fault_point.h"

static void acknowledge(struct broker *broker, const struct peer *store, uint64_t source, uint64_t seq,
                        uint64_t position)
{
    bool known = position != SOURCES_NOWHERE;
    struct wire_message message = {.type = WIRE_EVENT_ACK,
                                   .event_ack = {.source = source,
                                                 .source_seq = seq,
                                                 .ring_id = known ? broker->publisher.ring_id : 0,
                                                 .position = known ? position : 0}};
    broker_send(broker, &store->identity, &message);
}

void channel_events_source(struct broker *broker, struct peer *store, const struct wire_message *message)
{
    const struct source *source = sources_find(&broker->sources, message->source.source);
    uint64_t last = sources_last(source);
    if (message->source.source == 0)
        broker_invalid(broker, message, "no source");
    else
        acknowledge(broker, store, message->source.source, last, sources_position(source, last));
}

static const char *fault_of(const struct wire_event *event)
{
    if (!channel_name_is_valid(event->channel.at, event->channel.len))
        return "no name of a channel";
    if (!frames_channels_payload_is_sane(event->payload.at, event->payload.len))
        return "payload is no JSON object in UTF-8";
    return NULL;
}

static void drop(struct broker *broker, const struct peer *store, const struct wire_event *event,
                 const char *why)
{
    uint32_t suppressed;
    broker_count(broker, BROKER_INVALID);
    if (broker_may_log(broker, &broker->logs.event, &suppressed))
        log_error("event-invalid", "source=%016llx number=%llu bytes=%u reason=\"%s\" suppressed=%u",
                  (unsigned long long)event->source, (unsigned long long)event->source_seq,
                  event->payload.len, why, suppressed);
    acknowledge(broker, store, event->source, event->source_seq, SOURCES_NOWHERE);
}

static void make_public(struct broker *broker, const struct peer *store, const struct wire_event *wire)
{
    uint64_t position;
    struct channel_event event = {.source = wire->source,
                                  .source_seq = wire->source_seq,
                                  .channel = wire->channel.at,
                                  .channel_len = wire->channel.len,
                                  .payload = wire->payload.at,
                                  .payload_len = wire->payload.len};
    if (publish_channel_event(&broker->publisher, &event, &position) != ERR_OK)
        return; /* counted; the store sends it again after its next HELLO */
    FAULT_POINT(BROKER_EVENT_APPENDED);
    publish_flush(&broker->publisher);
    FAULT_POINT(BROKER_EVENT_PUBLISHED);
    broker_count(broker, BROKER_CHANNEL_EVENTS);
    acknowledge(broker, store, wire->source, wire->source_seq, position);
    FAULT_POINT(BROKER_EVENT_ACKED);
}

void channel_events_receive(struct broker *broker, struct peer *store, const struct wire_message *message)
{
    const struct wire_event *event = &message->event;
    const struct source *source = sources_find(&broker->sources, event->source);
    uint64_t last = sources_last(source);
    FAULT_POINT(BROKER_EVENT_RECEIVED);
    if (event->source == 0 || event->source_seq == 0) {
        broker_invalid(broker, message, "no number");
        return;
    }
    if (event->source_seq <= last) {
        broker_count(broker, BROKER_EVENT_REPEATS);
        acknowledge(broker, store, event->source, event->source_seq,
                    sources_position(source, event->source_seq));
        return;
    }
    const char *fault = fault_of(event);
    if (fault != NULL) {
        drop(broker, store, event, fault);
        return;
    }
    if (last != 0 && event->source_seq != last + 1)
        broker_count(broker, BROKER_EVENT_GAPS);
    make_public(broker, store, event);
}
