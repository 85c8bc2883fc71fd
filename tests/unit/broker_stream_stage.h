/* broker_stream_stage.h — what workers say, and what of it the ring must have: for the plays of stream messages with the real broker. */
#pragma once

#include "broker_stage.h"

#include <signal.h>

#include "log.h"
#include "record.h"

enum { SERIAL = 5, PAYLOAD_MAX = WIRE_PUBLISH_PAYLOAD_MAX };

#define TEXT(bytes) ((struct wire_text){bytes, sizeof bytes - 1})

/* The names of streams `first` to first + count - 1, each as long as a name may be if `longest`. */
static inline struct wire_text names(unsigned first, unsigned count, bool longest)
{
    static unsigned char topics[WIRE_TOPICS_BYTES_MAX];
    char name[WIRE_TOPIC_MAX + 1];
    size_t len = 0;
    for (unsigned i = first; i < first + count; i++) {
        int n = snprintf(name, sizeof name, longest ? "stream/%0128u" : "stream/%u", i);
        assert_true(wire_topics_append(topics, sizeof topics, &len, name, (uint8_t)n));
    }
    return (struct wire_text){(const char *)topics, (uint32_t)len};
}

static inline struct wire_message publish_message(uint64_t seq, struct wire_text to, const char *payload)
{
    struct wire_message message = {.type = WIRE_PUBLISH};
    message.publish = (struct wire_publish){.publish_seq = seq,
                                            .session_serial = SERIAL,
                                            .dialect = DIALECT_STREAMS,
                                            .source_ns = 4711,
                                            .topics = to,
                                            .payload = wire_text(payload)};
    return message;
}

static inline void say(struct end *worker, uint64_t seq, unsigned topic_count, const char *payload)
{
    struct wire_message message = publish_message(seq, names(0, topic_count, false), payload);
    assert_int_equal(link_send(worker->link, &message), ERR_OK);
}

/* The ring has the messages `first` to `last` of the worker, each once and whole, in order, and no other. */
static inline void has_exactly(const struct stage *stage, uint64_t worker, uint64_t first, uint64_t last,
                               uint32_t parts)
{
    uint64_t seq = first;
    uint32_t part = 0;
    for (size_t i = 0; i < stage->record_count; i++) {
        const struct seen_record *record = &stage->records[i];
        if (record->kind != RECORD_STREAM || record->origin.worker != worker)
            continue;
        assert_int_equal(record->stream.publish_seq, seq);
        assert_int_equal(record->stream.part, part);
        assert_int_equal(record->stream.parts, parts);
        part = (part + 1) % parts;
        seq += part == 0;
    }
    assert_int_equal(seq, last + 1);
    assert_int_equal(part, 0);
}

static inline void comes_back(struct stage *stage, struct end *worker)
{
    uint64_t ups = worker->ups;
    assert_int_equal(start_broker(stage), -1);
    wait_for(stage, &worker->ups, ups + 1);
}

/* What a handler says: nobody's, so that its worker leaves nobody out; or all but one connection's. */
static inline struct wire_message endpoint_message(uint64_t seq, struct wire_text to, uint64_t session_serial)
{
    struct wire_message message = publish_message(seq, to, "{\"statusCode\": 200}");
    message.publish.dialect = DIALECT_ENDPOINTS;
    message.publish.session_serial = session_serial;
    return message;
}
