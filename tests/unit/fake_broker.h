/* fake_broker.h — for the tests of the agent: a broker that notes what it is told and answers as it is told to. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bus.h"
#include "clock.h"
#include "wire.h"
#include "wire_histograms.h"
#include "wire_metrics.h"

#define BROKER_STATES_MAX   4096
#define BROKER_OUTCOMES_MAX 8192

struct seen_outcome {
    struct wire_outcome wire; /* its texts are gone */
    char text[80], request_id[80];
    size_t states_before; /* how many states had come when it came */
};

struct fake_broker {
    char path[128], endpoint[144];
    struct bus_router *router;
    uint64_t gen;
    bool mute, refuse, disagree, keep_acks; /* how it behaves */
    struct bus_identity agent;
    struct wire_hello hello; /* the last; its text: */
    char machine[80];
    unsigned hellos, heartbeats, goodbyes, malformed, closed;
    struct wire_state states[BROKER_STATES_MAX];
    size_t state_count;
    struct seen_outcome outcomes[BROKER_OUTCOMES_MAX];
    size_t outcome_count;
    int64_t reading_age_ms;
    uint64_t metrics[64];
    size_t metric_count;
    uint64_t buckets[16][WIRE_HISTOGRAM_BUCKETS]; /* of histograms, as told last */
    unsigned last_entry, rounds; /* of all entries: each round tells all that is not empty once */
};

static inline void broker_send(struct fake_broker *b, struct wire_message *message)
{
    message->broker_gen = b->gen;
    assert_int_equal(bus_router_send(b->router, &b->agent, message), ERR_OK);
}

static inline void broker_ack(struct fake_broker *b, uint64_t agent_gen, uint64_t seq)
{
    struct wire_message ack = {
        .type = WIRE_OUTCOME_ACK, .broker_gen = b->gen, .outcome_ack = {agent_gen, seq}};
    bus_router_send(b->router, &b->agent, &ack); /* an agent that stops may be gone */
}

static inline void broker_on_hello(struct fake_broker *b, const struct wire_message *message)
{
    b->hellos++;
    b->hello = message->hello;
    wire_text_copy(message->hello.machine, b->machine, sizeof b->machine);
    struct wire_message ok = {.type = WIRE_HELLO_OK};
    ok.hello_ok = (struct wire_hello_ok){.version = WIRE_VERSION, .slot = 5, .profile_agrees = !b->disagree};
    struct wire_message no = {.type = WIRE_REFUSED,
                              .refused.reason = wire_text("another agent has this machine")};
    struct wire_message *answer = b->refuse ? &no : &ok;
    answer->broker_gen = b->gen;
    if (!b->mute)
        bus_router_send(b->router, &b->agent, answer);
}

static inline void broker_on_histograms(struct fake_broker *b, struct wire_text rest)
{
    struct wire_histogram_entry entry;
    while (wire_histogram_next(&rest, &entry)) {
        assert_in_range(entry.histogram, 0, 15);
        unsigned place = entry.histogram << 16 | entry.bucket;
        b->rounds += place <= b->last_entry;
        b->last_entry = place;
        if (entry.bucket != WIRE_HISTOGRAM_SUM)
            b->buckets[entry.histogram][entry.bucket] = entry.value;
    }
    assert_int_equal(rest.len, 0);
}

/* How many values the agent has told of. */
static inline uint64_t broker_ages(const struct fake_broker *b, unsigned histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < WIRE_HISTOGRAM_BUCKETS; i++)
        count += b->buckets[histogram][i];
    return count;
}

static inline void broker_on_heartbeat(struct fake_broker *b, const struct wire_heartbeat *heartbeat)
{
    b->heartbeats++;
    b->reading_age_ms = heartbeat->reading_age_ms;
    b->metric_count = heartbeat->metrics.len / 8;
    broker_on_histograms(b, heartbeat->histograms);
    for (size_t i = 0; i < b->metric_count; i++) {
        const unsigned char *at = (const unsigned char *)heartbeat->metrics.at + 8 * i;
        b->metrics[i] = 0;
        for (unsigned k = 0; k < 8; k++)
            b->metrics[i] |= (uint64_t)at[k] << (8 * k);
    }
}

static inline void broker_on_outcome(struct fake_broker *b, const struct wire_outcome *outcome)
{
    assert_true(b->outcome_count < BROKER_OUTCOMES_MAX);
    struct seen_outcome *seen = &b->outcomes[b->outcome_count++];
    seen->wire = *outcome;
    seen->states_before = b->state_count;
    wire_text_copy(outcome->text, seen->text, sizeof seen->text);
    wire_text_copy(outcome->request_id, seen->request_id, sizeof seen->request_id);
    if (!b->keep_acks)
        broker_ack(b, outcome->agent_gen, outcome->outcome_seq);
}

static inline void broker_on_message(void *arg, const struct bus_identity *from, int connection,
                                     const struct wire_message *message)
{
    struct fake_broker *b = arg;
    (void)connection;
    b->agent = *from;
    if (message->type != WIRE_HELLO && message->broker_gen != b->gen)
        return; /* for a broker that is dead: it is said again after the HELLO */
    switch (message->type) {
    case WIRE_HELLO:
        broker_on_hello(b, message);
        return;
    case WIRE_STATE:
        assert_true(b->state_count < BROKER_STATES_MAX);
        b->states[b->state_count++] = message->state;
        return;
    case WIRE_OUTCOME:
        broker_on_outcome(b, &message->outcome);
        return;
    case WIRE_HEARTBEAT:
        broker_on_heartbeat(b, &message->heartbeat);
        return;
    case WIRE_GOODBYE:
        b->goodbyes++;
        return;
    default:
        fail_msg("an agent sent %s", wire_type_name(message->type));
    }
}

static inline void broker_on_malformed(void *arg, const struct bus_identity *from, size_t len)
{
    (void)from;
    (void)len;
    ((struct fake_broker *)arg)->malformed++;
}

static inline void broker_on_closed(void *arg, int connection)
{
    (void)connection;
    ((struct fake_broker *)arg)->closed++;
}

static inline void broker_open(struct fake_broker *b, uint64_t gen)
{
    static const struct bus_router_events events = {broker_on_message, broker_on_malformed, broker_on_closed};
    b->gen = gen;
    assert_int_equal(bus_router_open(b->endpoint, &events, b, &b->router), ERR_OK);
}

static inline void broker_begin(struct fake_broker *b, const char *dir)
{
    memset(b, 0, sizeof *b);
    snprintf(b->path, sizeof b->path, "%s/broker.sock", dir);
    snprintf(b->endpoint, sizeof b->endpoint, "ipc://%s", b->path);
    broker_open(b, 1001);
}

static inline void broker_end(struct fake_broker *b)
{
    bus_router_close(&b->router);
    unlink(b->path);
}

static inline void broker_turn(struct fake_broker *b)
{
    if (b->router != NULL)
        while (bus_router_service(b->router, 64)) {
        }
}
