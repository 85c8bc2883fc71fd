/* broker_store_stage.h — a store, and workers that ask it, for the plays with the real broker. */
#pragma once

#include "broker_stage.h"

#include <signal.h>

#include "log.h"
#include "record.h"

enum { ACKS_MAX = 1024 };

struct asker { /* a worker */
    struct end end;
    uint64_t replies, losts, lost_incarnation;
    struct wire_store_reply last;
    char last_body[256];     /* its beginning */
    uint64_t last_body_hash; /* … and all of it */
};

struct store {
    struct end end;
    uint64_t requests, acks;
    struct wire_store_request last;
    char last_who[65], last_arguments[256];
    uint64_t last_arguments_hash;
    struct wire_event_ack acked[ACKS_MAX]; /* in the order in which they came */
};

static inline uint64_t hash_of(struct wire_text text)
{
    return topic_hash(text.at, text.len);
}

static inline void asker_hears(struct end *end, const struct wire_message *message)
{
    struct asker *asker = (struct asker *)end;
    if (message->type == WIRE_STORE_REPLY) {
        asker->replies++;
        asker->last = message->store_reply;
        asker->last_body_hash = hash_of(message->store_reply.body);
        wire_text_copy(message->store_reply.body, asker->last_body, sizeof asker->last_body);
    } else if (message->type == WIRE_STORE_LOST) {
        asker->losts++;
        asker->lost_incarnation = message->store_lost.incarnation;
    }
}

static inline void store_hears(struct end *end, const struct wire_message *message)
{
    struct store *store = (struct store *)end;
    if (message->type == WIRE_STORE_REQUEST) {
        store->requests++;
        store->last = message->store_request;
        store->last_arguments_hash = hash_of(message->store_request.arguments);
        wire_text_copy(message->store_request.who, store->last_who, sizeof store->last_who);
        wire_text_copy(message->store_request.arguments, store->last_arguments, sizeof store->last_arguments);
    } else if (message->type == WIRE_EVENT_ACK) {
        assert_true(store->acks < ACKS_MAX);
        store->acked[store->acks++] = message->event_ack;
    }
}

static inline void asker_open(struct stage *stage, struct asker *asker, uint64_t incarnation)
{
    *asker = (struct asker){0};
    worker_open(stage, &asker->end, incarnation, UINT32_MAX);
    asker->end.hear = asker_hears;
}

/* Opened; not waited for, because it may be refused. */
static inline void store_begin(struct stage *stage, struct store *store, uint64_t incarnation,
                               const struct clock *clock)
{
    *store = (struct store){.end = {.role = WIRE_STORE,
                                    .incarnation = incarnation,
                                    .machine = "",
                                    .wanted_slot = UINT32_MAX,
                                    .hear = store_hears,
                                    .clock = clock}};
    end_open(stage, &store->end);
}

static inline void store_open(struct stage *stage, struct store *store, uint64_t incarnation)
{
    store_begin(stage, store, incarnation, NULL);
    wait_for(stage, &store->end.ups, 1);
}

static inline void store_says_source(struct store *store, uint64_t source)
{
    struct wire_message message = {.type = WIRE_SOURCE, .source = {source}};
    assert_int_equal(link_send(store->end.link, &message), ERR_OK);
}

static inline struct wire_message event_message(uint64_t source, uint64_t seq, const char *channel,
                                                const char *payload)
{
    return (struct wire_message){.type = WIRE_EVENT,
                                 .event = {source, seq, wire_text(channel), wire_text(payload)}};
}

static inline void store_says(struct store *store, uint64_t source, uint64_t seq, const char *channel,
                              const char *payload)
{
    struct wire_message message = event_message(source, seq, channel, payload);
    assert_int_equal(link_send(store->end.link, &message), ERR_OK);
}

/* The n-th acknowledgement, from 0. */
static inline const struct wire_event_ack *wait_ack(struct stage *stage, struct store *store, size_t n)
{
    wait_for(stage, &store->acks, n + 1);
    return &store->acked[n];
}

static inline void is_ack(const struct wire_event_ack *ack, uint64_t source, uint64_t seq, uint64_t ring_id,
                          uint64_t position)
{
    assert_true(ack->source == source);
    assert_int_equal(ack->source_seq, seq);
    assert_int_equal(ack->ring_id, ring_id);
    assert_true(ack->position == position);
}

/* The n-th event of a source in the ring, from 0; 0: the broker's own. NULL: there are not so many. */
static inline const struct seen_record *nth_event(const struct stage *stage, uint64_t source, size_t n)
{
    for (size_t i = 0; i < stage->record_count; i++)
        if (stage->records[i].kind == RECORD_CHANNEL && stage->records[i].source.source == source && n-- == 0)
            return &stage->records[i];
    return NULL;
}

static inline const struct seen_record *wait_event(struct stage *stage, uint64_t source, size_t n)
{
    const struct seen_record *event;
    for (uint64_t deadline = real_ms() + DEADLINE_MS; (event = nth_event(stage, source, n)) == NULL;
         pump(stage))
        if (real_ms() > deadline)
            fail_msg("no event %zu of %llx", n, (unsigned long long)source);
    return event;
}

/* The payload as it was sent, with "seq" behind it: that of this record. */
static inline void carries(const struct stage *stage, const struct seen_record *event, const char *payload)
{
    char expected[1600];
    snprintf(expected, sizeof expected, "%.*s,\"seq\":\"%08x-%llu\"}", (int)strlen(payload) - 1, payload,
             ring_reader_id(stage->ring), (unsigned long long)event->position / RECORD_ALIGN);
    assert_string_equal(event->frame, expected);
}

/* A peer that says HELLO and then nothing: it falls silent, or vanishes. */
struct mute {
    void *context, *socket;
};

void mute_open(struct stage *stage, struct mute *mute, enum wire_role_e role, uint64_t incarnation,
               uint64_t wanted_slot);
void mute_vanishes(struct mute *mute);
