/* publish.h — from a fact to every worker (Hop: D7).
 *
 * The only writer of ring and last-value table. Order of a state: append its record and, behind it, the alarm events that it
 * causes (each with its copy for streams right behind it, if a bridge wants one), publish the head once, put the last-value
 * slot, and note that the bell is due; publish_bell() rings once for everything since. Killed between any two of these, the
 * next broker finds what is missing (reattach.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bell.h"
#include "bridges.h"
#include "clock.h"
#include "dialect_frames.h"
#include "frames_channels.h"
#include "log.h"
#include "lvt_writer.h"
#include "registry.h"
#include "ring_writer.h"
#include "sources.h"
#include "stats.h"

struct publisher {
    const struct clock *clock;
    struct stats *stats;
    struct ring_writer *ring;
    struct lvt_writer *lvt;
    struct bell *bell;
    const struct bridges *bridges; /* of machines that are gone; NULL: none */
    struct sources *sources;       /* whose last events the ring keeps; NULL: none */
    uint32_t ring_id;
    bool bell_due;
    struct topic all_states, all_results, all_events, general;
    struct log_limit append_log, put_log;
    struct lvt_machine slot; /* being filled in */
    unsigned char memory[FRAMES_CAROUSEL_MAX];
    unsigned char channel_frame[FRAMES_CHANNELS_BYTES(WIRE_EVENT_PAYLOAD_MAX)];
};

/* `clock` and `stats` must outlive it. Ring, table and bell are opened by the boot and closed by publisher_fini(). */
void publisher_init(struct publisher *publisher, const struct clock *clock, struct stats *stats);
void publisher_fini(struct publisher *publisher);

/* Shows `state` for the machine: record, alarm events, slot; machine->shown and record_position follow. `source_ns` 0:
 * no PLC answer behind it. On an error (counted, logged) nothing was published and machine->shown stays. */
enum err_e publish_state(struct publisher *publisher, struct machine *machine,
                         const struct machine_state *state, uint64_t agent_gen, uint64_t source_ns);

/* machine_added or machine_removed: appends, on event/<id> and event/#. Nothing is visible before publish_flush() or
 * publish_state(). For machine_set.c, which knows what must stand in the table first. */
enum err_e publish_machine_event(struct publisher *publisher, const struct machine_info *info, bool added);

/* Writes a last-value slot, filled by publish_fill_slot(); an error is counted, and logged at most every 10 s. The ring
 * is the truth: a slot that could not be written is put again with the machine's next state, or by the next broker. */
void publish_put_slot(struct publisher *publisher, uint32_t slot, const struct lvt_machine *content);
/* The slot as it should stand now. */
void publish_fill_slot(const struct machine *machine, struct lvt_machine *slot);

struct stream_message {
    enum record_dialect_e dialect;
    enum record_origin_e origin_mode;
    struct session_id origin; /* with ORIGIN_NONE, too: its worker looks for its numbers in the ring */
    uint64_t publish_seq;     /* 0: the broker's own */
    uint64_t source_ns;
    const struct topic *topics;
    uint32_t topic_count; /* 1 to WIRE_PUBLISH_TOPICS_MAX */
    struct frame_bytes frame;
};

/* Appends one record, or, if it has more than RECORD_TOPICS_MAX topics, its parts; publish_flush() makes them visible together. All
 * of them fit, if nothing else is appended and not flushed, and the payload has at most WIRE_PUBLISH_PAYLOAD_MAX bytes. */
enum err_e publish_stream(struct publisher *publisher, const struct stream_message *message);

/* How many records it takes. */
static inline uint32_t publish_stream_parts(uint32_t topic_count)
{
    return (topic_count + RECORD_TOPICS_MAX - 1) / RECORD_TOPICS_MAX;
}

/* An event of a channel: appends, on the channel and on general. `payload` is sane (frames_channels.h) and has at most WIRE_EVENT_PAYLOAD_MAX bytes. *position is
 * where it will be. The source learns of it (sources.h), so flush before anything else can fail. */
struct channel_event {
    uint64_t source, source_seq; /* neither is 0 */
    const char *channel;         /* a valid name */
    size_t channel_len;
    const char *payload;
    size_t payload_len;
};
enum err_e publish_channel_event(struct publisher *publisher, const struct channel_event *event,
                                 uint64_t *position);

/* One of the broker's own, on general: appends. `note` is for the broker that reads the ring at its start (system_events.h). */
enum err_e publish_system_event(struct publisher *publisher, const struct system_event *event, uint64_t note);

enum fate_kind_e { FATE_RESULT, FATE_COMPLETION, FATE_REFUSAL };

/* One record about a command. */
struct fate_record {
    enum fate_kind_e kind;
    enum record_origin_e origin_mode;
    struct session_id origin;
    uint64_t dialect; /* one that dialect_frames() has */
    const struct machine
        *machine; /* NULL: not configured. Gives topics, except to what only the origin gets */
    uint64_t command_serial;
    uint64_t agent_gen, outcome_seq;
    uint64_t source_ns;
};

/* Appends; publish_flush() makes all appended records visible together. */
enum err_e publish_fate(struct publisher *publisher, const struct fate_record *record,
                        const struct command_fate *fate);
/* … and, with them, a floor of each source whose last event the ring would soon overwrite. */
void publish_flush(struct publisher *publisher);

void publish_bell(struct publisher *publisher); /* rings if something was published since the last call */
