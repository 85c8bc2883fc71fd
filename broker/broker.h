/* broker.h — everything one broker process has, handed down to whoever needs it (Hops: C4, D6, D7, R2). There are no
 * globals.
 *
 *                   bus                                                         shared memory
 *     workers ──HELLO, COMMAND,─▶ ┌────────┐  ┌─────────────┐  ┌─────────┐
 *               PUBLISH           │ ingest │─▶│ commands C4 │─▶│ publish │──▶ ring ──▶ LVT ──▶ bell
 *     agents ──HELLO, STATE,────▶ │   D6   │─▶│ outcomes R2 │─▶│   D7    │
 *              OUTCOME            │        │─▶│ registry    │─▶│         │
 *     store ──EVENT, SOURCE─────▶ │        │─▶│ streams     │─▶│         │
 *                                 │        │─▶│ channel_ev… │─▶│         │
 *     workers ◀──SURVEY_*──────── └────────┘  └─────────────┘─▶└─────────┘
 *            ◀──COMMAND, ACK──────────┤                        ◀── janitor (time: stale, silent, deadlines)
 *     workers ◀──STORE_REPLY, LOST── relay ◀──▶ store
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bridges.h"
#include "broker_metrics.h"
#include "broker_reload.h"
#include "bus.h"
#include "clock.h"
#include "command_table.h"
#include "conf.h"
#include "frames_payload.h"
#include "log.h"
#include "loop.h"
#include "peers.h"
#include "publish.h"
#include "registry.h"
#include "seq_floor.h"
#include "segment.h"
#include "sources.h"
#include "store_window.h"
#include "system_events.h"

#define BROKER_COMMANDS_MAX   16384u         /* live */
#define BROKER_ANSWERED_MAX   16384u         /* keys that had their answer, of each sort (command_table.h) */
#define BROKER_HOLD_NS        (1 * NS_PER_S) /* after READY: how long an agent may take to come back unseen */
#define BROKER_PUBLISHERS_MAX 1024u          /* incarnations of workers whose last number is kept */
#define BROKER_INGEST_BUDGET  256u           /* messages per round */

struct broker {
    const struct clock *clock;
    struct loop *loop;
    struct conf *conf;      /* in force; owned */
    uint64_t gen;           /* incarnation of this process, in every message */
    uint64_t boot;          /* wire_boot() */
    uint64_t hold_until_ns; /* BROKER_HOLD_NS after READY */
    struct stats stats;
    struct segment *segment;
    struct bus_router *router;
    struct publisher publisher;
    struct registry registry;
    struct bridges bridges;
    struct broker_reload reload;
    struct peers peers;
    struct command_table commands;
    struct seq_floors floors; /* of agents' outcomes */
    struct {
        struct seq_floors floors;                     /* of workers' stream messages */
        struct topic topics[WIRE_PUBLISH_TOPICS_MAX]; /* of the message at hand, and its frame */
        unsigned char frame[FRAMES_PAYLOAD_BYTES(WIRE_PUBLISH_PAYLOAD_MAX)];
    } streams;
    struct sources sources; /* of the store's events */
    struct store_window store_window;
    struct system_events system;
    uint64_t all_introduced_until_ns; /* survey.c */
    bool segments_wanted;             /* agents came that have no segment yet */
    uint32_t scrub_slot;              /* the next one to look at (scrub.h) */
    uint32_t sweep_slot;              /* of a worker; the next one to look at (slot_sweep.h) */
    bool shm_lost;                    /* ring or table was cut: a successor must make new ones */
    struct {
        uint64_t tick_ns;   /* of the last tick, or the start */
        uint64_t excuse_ns; /* nobody is judged before: the broker itself was late */
    } janitor;
    struct {
        struct log_limit malformed, invalid, stranger, full, refused, elsewhere, command, outcome, stream,
            event, healed;
    } logs;
};

static inline uint64_t broker_now_ns(const struct broker *broker)
{
    return clock_mono_ns(broker->clock);
}

static inline void broker_count(struct broker *broker, enum broker_metric_e metric)
{
    stats_add(&broker->stats, metric, 1);
}

/* An age, since `source_ns`: nothing without one, or by a clock that is ahead of ours, which is another host's. */
static inline void broker_observe_age(struct broker *broker, enum broker_metric_e metric, uint64_t source_ns)
{
    uint64_t now = broker_now_ns(broker);
    if (source_ns != 0 && source_ns <= now)
        stats_observe_ns(&broker->stats, metric, now - source_ns);
}

/* True at most once in 10 s per limit; *suppressed as in log_limit_ok(). */
bool broker_may_log(struct broker *broker, struct log_limit *limit, uint32_t *suppressed);

/* A message that makes no sense, or is not this peer's to say: counted, logged within a budget; its sender is not told. */
void broker_invalid(struct broker *broker, const struct wire_message *message, const char *why);

/* Fills in broker_gen and sends. ERR_FULL and ERR_NOT_FOUND are counted here; the message is dropped then. */
enum err_e broker_send(struct broker *broker, const struct bus_identity *to, struct wire_message *message);

/* Shows what the registry says should be shown, if clients would see a difference; `source_ns` as in publish_state(). */
void broker_refresh(struct broker *broker, struct machine *machine, uint64_t source_ns);
