/* Hop: D7, R2. A frame names its own place in the ring ("seq"), so it is encoded for ring_writer_next() and appended at
 * once; nothing may be appended in between. Topics of a machine are made at boot, not per record. Rejected: a bell per
 * message (one system call each; a round of 256 messages needs one). */
#include "publish.h"

#include <string.h>

#include "broker_metrics.h"
#include "fault_point.h"
#include "must.h"
#include "system_events.h"

void publisher_init(struct publisher *publisher, const struct clock *clock, struct stats *stats)
{
    *publisher = (struct publisher){.clock = clock, .stats = stats};
    topic_make(&publisher->all_states, TOPIC_STATE, NULL);
    topic_make(&publisher->all_results, TOPIC_RESULT, NULL);
    topic_make(&publisher->all_events, TOPIC_EVENT, NULL);
    topic_make_channel(&publisher->general, CHANNEL_GENERAL, strlen(CHANNEL_GENERAL));
}

void publisher_fini(struct publisher *publisher)
{
    if (publisher->bell != NULL)
        bell_close(&publisher->bell);
    if (publisher->lvt != NULL)
        lvt_writer_close(&publisher->lvt);
    if (publisher->ring != NULL)
        ring_writer_close(&publisher->ring);
}

static enum err_e append(struct publisher *publisher, const struct ring_entry *entry)
{
    bool unframed = entry->frame_len == 0 &&
                    entry->kind != RECORD_STREAM && /* whose further parts have none */
                    entry->kind != RECORD_FLOOR;
    enum err_e err = unframed ? ERR_TOO_LARGE : ring_writer_append(publisher->ring, entry);
    uint32_t suppressed;
    if (err == ERR_OK)
        return ERR_OK;
    stats_add(publisher->stats, BROKER_APPENDS_FAILED, 1);
    if (log_limit_ok(&publisher->append_log, clock_mono_ns(publisher->clock), 10 * NS_PER_S, 1, &suppressed))
        log_error("append-failed", "kind=%d bytes=%u error=\"%s\" suppressed=%u", (int)entry->kind,
                  entry->frame_len, err_text(err), suppressed);
    return err;
}

/* What was just appended, to streams. It stays appended if its copy does not fit, which append() has counted and logged then:
 * the machine's own clients do not pay for a bridge. Commands come in no dialect but the carousel's. */
static void bridge(struct publisher *publisher, const struct bridge_set *to, const struct ring_entry *entry)
{
    if (to == NULL)
        return;
    MUST(entry->dialect == DIALECT_CAROUSEL);
    struct frame_bytes frame = {entry->frame, entry->frame_len};
    struct stream_message message = {.dialect = DIALECT_STREAMS,
                                     .origin_mode = ORIGIN_NONE,
                                     .source_ns = entry->source_ns,
                                     .topics = to->streams,
                                     .topic_count = to->count,
                                     .frame = frames_carousel_without_seq(publisher->memory, frame)};
    if (publish_stream(publisher, &message) == ERR_OK)
        stats_add(publisher->stats, BROKER_BRIDGED, 1);
}

static struct frames_seq next_seq(const struct publisher *publisher)
{
    return (struct frames_seq){publisher->ring_id, ring_writer_next(publisher->ring)};
}

/* What is appended between two flushes leaves the older half of the ring whole, however small the ring, so that no record is overwritten
 * before its floor is there. Rejected: looking after it in the janitor's tick, in whose 100 ms a ring goes round several times. */
static void append_floors(struct publisher *publisher)
{
    const struct source *source;
    while ((source = sources_due(publisher->sources, ring_writer_next(publisher->ring))) != NULL) {
        struct record_source meta = {source->id, source->last_seq,
                                     sources_position(source, source->last_seq)};
        struct ring_entry entry = {.kind = RECORD_FLOOR,
                                   .dialect = DIALECT_CHANNELS,
                                   .origin_mode = ORIGIN_NONE,
                                   .wall_ms = clock_wall_ms(publisher->clock),
                                   .meta = &meta,
                                   .meta_len = sizeof meta};
        uint64_t record = ring_writer_next(publisher->ring);
        if (append(publisher, &entry) != ERR_OK)
            return; /* with the next move of the head */
        sources_note(publisher->sources, meta.source, meta.source_seq, meta.position, record);
        stats_add(publisher->stats, BROKER_EVENT_FLOORS, 1);
    }
}

void publish_flush(struct publisher *publisher)
{
    if (publisher->sources != NULL && ring_writer_next(publisher->ring) >= publisher->sources->due_at)
        append_floors(publisher);
    lvt_writer_settle(publisher->lvt,
                      ring_writer_head(publisher->ring)); /* what was public before has its slots */
    ring_writer_publish(publisher->ring);
    publisher->bell_due = true;
}

void publish_bell(struct publisher *publisher)
{
    if (!publisher->bell_due)
        return;
    publisher->bell_due = false;
    stats_add(publisher->stats, bell_ring(publisher->bell) ? BROKER_BELLS : BROKER_BELLS_SPARED, 1);
    FAULT_POINT(BROKER_RUNG);
}

/* --- states ------------------------------------------------------------------------------------------------------ */

static void fill_slot(struct lvt_machine *slot, const struct machine *machine,
                      const struct machine_state *state, uint64_t agent_gen, uint64_t record_position)
{
    slot->info = machine->conf->info;
    slot->state = *state;
    slot->agent_gen = agent_gen;
    slot->record_position = record_position;
    struct out text = out_init(slot->text, sizeof slot->text);
    machine_state_text(state, machine->conf->profile, &text);
    MUST(!text.overflow); /* longer profiles are refused at load */
    slot->text_len = (uint32_t)text.len;
}

void publish_fill_slot(const struct machine *machine, struct lvt_machine *slot)
{
    fill_slot(slot, machine, &machine->shown, machine->shown_gen, machine->record_position);
}

void publish_put_slot(struct publisher *publisher, uint32_t slot, const struct lvt_machine *content)
{
    enum err_e err = lvt_writer_put(publisher->lvt, slot, content);
    uint32_t suppressed;
    if (err == ERR_OK)
        return;
    stats_add(publisher->stats, BROKER_PUTS_FAILED, 1);
    if (log_limit_ok(&publisher->put_log, clock_mono_ns(publisher->clock), 10 * NS_PER_S, 1, &suppressed))
        log_error("put-failed", "machine=%s slot=%u error=\"%s\" suppressed=%u", content->info.id, slot,
                  err_text(err), suppressed);
}

static enum err_e append_state(struct publisher *publisher, const struct machine *machine, uint64_t source_ns)
{
    const struct lvt_machine *slot = &publisher->slot;
    const struct machine_state *state = &slot->state;
    struct topic topics[] = {machine->state_topic, publisher->all_states};
    struct record_state meta = {.slot = machine->slot,
                                .text_len = slot->text_len,
                                .connection = state->connection,
                                .has_reading = state->has_reading,
                                .raw_status = state->raw_status,
                                .position = state->position,
                                .read_wall_ms = state->read_wall_ms,
                                .agent_gen = slot->agent_gen};
    uint64_t wall_ms = clock_wall_ms(publisher->clock);
    struct frame_bytes frame =
        frames_carousel_state(publisher->memory, sizeof publisher->memory, slot->info.id, slot->text,
                              slot->text_len, wall_ms, next_seq(publisher), &meta.text_offset);
    struct ring_entry entry = {.kind = RECORD_STATE,
                               .dialect = DIALECT_CAROUSEL,
                               .origin_mode = ORIGIN_NONE,
                               .wall_ms = wall_ms,
                               .source_ns = source_ns,
                               .topics = topics,
                               .topic_count = ARRAY_LEN(topics),
                               .meta = &meta,
                               .meta_len = sizeof meta,
                               .frame = frame.at,
                               .frame_len = (uint32_t)frame.len};
    FAULT_POINT(BROKER_ENCODED);
    enum err_e err = append(publisher, &entry);
    if (err == ERR_OK)
        bridge(publisher, machine->bridged[BRIDGE_STATES], &entry);
    return err;
}

static void append_alarm(struct publisher *publisher, const struct machine *machine, const char *condition,
                         bool active, uint64_t source_ns)
{
    uint64_t wall_ms = clock_wall_ms(publisher->clock);
    struct topic topics[] = {machine->event_topic, publisher->all_events};
    struct frame_bytes frame =
        frames_carousel_alarm(publisher->memory, sizeof publisher->memory, machine->conf->info.id, condition,
                              active, wall_ms, next_seq(publisher));
    struct ring_entry entry = {.kind = RECORD_EVENT,
                               .dialect = DIALECT_CAROUSEL,
                               .origin_mode = ORIGIN_NONE,
                               .wall_ms = wall_ms,
                               .source_ns = source_ns,
                               .topics = topics,
                               .topic_count = ARRAY_LEN(topics),
                               .frame = frame.at,
                               .frame_len = (uint32_t)frame.len};
    if (append(publisher, &entry) != ERR_OK)
        return;
    stats_add(publisher->stats, BROKER_ALARM_EVENTS, 1);
    bridge(publisher, machine->bridged[BRIDGE_EVENTS], &entry);
}

/* The conditions whose coming and going is an event of its own. A machine never read before had none of them. */
static void append_alarms(struct publisher *publisher, const struct machine *machine,
                          const struct machine_state *before, const struct machine_state *now,
                          uint64_t source_ns)
{
    static const struct {
        enum meaning_e meaning;
        const char *condition;
    } conditions[] = {{MEANING_ALARM, "alarm"},
                      {MEANING_ESTOP, "estop"},
                      {MEANING_DRIVE_FAULT, "drive_fault"},
                      {MEANING_POSITIONING_ERROR, "positioning_error"}};
    const struct profile *profile = machine->conf->profile;
    if (profile == NULL || !now->has_reading)
        return;
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
        bool was = before->has_reading && profile_says(profile, before->raw_status, conditions[i].meaning);
        bool is = profile_says(profile, now->raw_status, conditions[i].meaning);
        if (was != is)
            append_alarm(publisher, machine, conditions[i].condition, is, source_ns);
    }
}

static void observe_latency(struct publisher *publisher, uint64_t source_ns)
{
    uint64_t now = clock_mono_ns(publisher->clock);
    if (source_ns != 0 && source_ns <= now) /* an agent of another host has another clock */
        stats_observe_ns(publisher->stats, BROKER_HOP_D7, now - source_ns);
}

static void count_transition(struct publisher *publisher, enum connection_e before, enum connection_e now)
{
    if (before == now)
        return;
    if (now == CONNECTION_STALE)
        stats_add(publisher->stats, BROKER_STALE, 1);
    else if (now == CONNECTION_DISCONNECTED)
        stats_add(publisher->stats, BROKER_DISCONNECTED, 1);
}

enum err_e publish_state(struct publisher *publisher, struct machine *machine,
                         const struct machine_state *state, uint64_t agent_gen, uint64_t source_ns)
{
    uint64_t position = ring_writer_next(publisher->ring);
    fill_slot(&publisher->slot, machine, state, agent_gen, position);
    enum err_e err = append_state(publisher, machine, source_ns);
    if (err != ERR_OK)
        return err;
    append_alarms(publisher, machine, &machine->shown, state, source_ns);
    system_events_machine(publisher, machine, state);
    FAULT_POINT(BROKER_APPENDED);
    publish_flush(publisher);
    FAULT_POINT(BROKER_PUBLISHED);
    publish_put_slot(publisher, machine->slot, &publisher->slot);
    FAULT_POINT(BROKER_SLOT_PUT);
    lvt_writer_settle(publisher->lvt, ring_writer_head(publisher->ring));
    observe_latency(publisher, source_ns);
    stats_add(publisher->stats, BROKER_STATES_PUBLISHED, 1);
    count_transition(publisher, machine->shown.connection, state->connection);
    machine->shown = *state;
    machine->shown_gen = agent_gen;
    machine->record_position = position;
    return ERR_OK;
}

/* --- machines that come and go ----------------------------------------------------------------------------------- */

enum err_e publish_machine_event(struct publisher *publisher, const struct machine_info *info, bool added)
{
    uint64_t wall_ms = clock_wall_ms(publisher->clock);
    struct topic topics[2];
    topic_make(&topics[0], TOPIC_EVENT, info->id);
    topics[1] = publisher->all_events;
    struct frame_bytes frame = frames_carousel_machine(publisher->memory, sizeof publisher->memory, added,
                                                       info, wall_ms, next_seq(publisher));
    struct ring_entry entry = {.kind = RECORD_MACHINE,
                               .dialect = DIALECT_CAROUSEL,
                               .origin_mode = ORIGIN_NONE,
                               .wall_ms = wall_ms,
                               .topics = topics,
                               .topic_count = ARRAY_LEN(topics),
                               .frame = frame.at,
                               .frame_len = (uint32_t)frame.len};
    enum err_e err = append(publisher, &entry);
    if (err != ERR_OK)
        return err;
    stats_add(publisher->stats, BROKER_MACHINE_EVENTS, 1);
    if (publisher->bridges != NULL)
        bridge(publisher, bridges_of(publisher->bridges, info->id, BRIDGE_EVENTS), &entry);
    return ERR_OK;
}

/* --- stream messages --------------------------------------------------------------------------------------------- */

enum err_e publish_stream(struct publisher *publisher, const struct stream_message *message)
{
    struct record_stream meta = {.publish_seq = message->publish_seq,
                                 .parts = publish_stream_parts(message->topic_count)};
    struct ring_entry entry = {.kind = RECORD_STREAM,
                               .dialect = message->dialect,
                               .origin_mode = message->origin_mode,
                               .origin = message->origin,
                               .wall_ms = clock_wall_ms(publisher->clock),
                               .source_ns = message->source_ns,
                               .meta = &meta,
                               .meta_len = sizeof meta,
                               .frame = message->frame.at,
                               .frame_len = (uint32_t)message->frame.len};
    enum err_e err = ERR_OK;
    MUST(message->topic_count > 0 && message->frame.len > 0);
    for (uint32_t done = 0; meta.part < meta.parts && err == ERR_OK; meta.part++, done += entry.topic_count) {
        uint32_t left = message->topic_count - done;
        entry.topics = message->topics + done;
        entry.topic_count = left < RECORD_TOPICS_MAX ? left : RECORD_TOPICS_MAX;
        err = append(publisher, &entry);
        entry.frame_len = 0;
    }
    return err;
}

/* --- events of channels ------------------------------------------------------------------------------------------- */

static enum err_e append_channel(struct publisher *publisher, const struct record_source *meta,
                                 const struct topic *topics, uint32_t topic_count, struct frame_bytes frame)
{
    struct ring_entry entry = {.kind = RECORD_CHANNEL,
                               .dialect = DIALECT_CHANNELS,
                               .origin_mode = ORIGIN_NONE,
                               .wall_ms = clock_wall_ms(publisher->clock),
                               .topics = topics,
                               .topic_count = topic_count,
                               .meta = meta,
                               .meta_len = sizeof *meta,
                               .frame = frame.at,
                               .frame_len = (uint32_t)frame.len};
    return append(publisher, &entry);
}

enum err_e publish_channel_event(struct publisher *publisher, const struct channel_event *event,
                                 uint64_t *position)
{
    struct record_source meta = {.source = event->source, .source_seq = event->source_seq};
    struct topic topics[2];
    topic_make_channel(&topics[0], event->channel, event->channel_len);
    topics[1] = publisher->general;
    *position = ring_writer_next(publisher->ring);
    struct frame_bytes frame =
        frames_channels_event(publisher->channel_frame, sizeof publisher->channel_frame, event->payload,
                              event->payload_len, next_seq(publisher));
    enum err_e err =
        append_channel(publisher, &meta, topics, topics[0].hash == topics[1].hash ? 1 : 2, frame);
    if (err == ERR_OK)
        sources_note(publisher->sources, event->source, event->source_seq, *position, *position);
    return err;
}

enum err_e publish_system_event(struct publisher *publisher, const struct system_event *event, uint64_t note)
{
    struct record_source meta = {.source_seq = note};
    struct frame_bytes frame = frames_channels_system(
        publisher->channel_frame, sizeof publisher->channel_frame, event, next_seq(publisher));
    enum err_e err = append_channel(publisher, &meta, &publisher->general, 1, frame);
    if (err == ERR_OK)
        stats_add(publisher->stats, BROKER_SYSTEM_EVENTS, 1);
    return err;
}

/* --- commands ---------------------------------------------------------------------------------------------------- */

static struct frame_bytes encode_fate(struct publisher *publisher, const struct fate_record *record,
                                      const struct command_fate *fate, uint64_t wall_ms)
{
    const struct dialect_frames *frames = dialect_frames(record->dialect);
    MUST(frames != NULL);
    fate_encoder_f *encoders[] = {[FATE_RESULT] = frames->result,
                                  [FATE_COMPLETION] = frames->completed,
                                  [FATE_REFUSAL] = frames->error};
    return encoders[record->kind](publisher->memory, sizeof publisher->memory, fate, wall_ms,
                                  next_seq(publisher));
}

enum err_e publish_fate(struct publisher *publisher, const struct fate_record *record,
                        const struct command_fate *fate)
{
    static const enum record_kind_e kinds[] = {[FATE_RESULT] = RECORD_RESULT,
                                               [FATE_COMPLETION] = RECORD_COMPLETION,
                                               [FATE_REFUSAL] = RECORD_REFUSAL};
    bool with_topics = record->origin_mode != ORIGIN_ONLY && record->machine != NULL;
    struct topic topics[2] = {{0}};
    if (with_topics) {
        topics[0] = record->machine->result_topic;
        topics[1] = publisher->all_results;
    }
    struct record_outcome meta = {.slot = record->machine != NULL ? record->machine->slot : REGISTRY_NO_SLOT,
                                  .command_serial = (uint32_t)record->command_serial,
                                  .agent_gen = record->agent_gen,
                                  .outcome_seq = record->outcome_seq};
    uint64_t wall_ms = clock_wall_ms(publisher->clock);
    struct frame_bytes frame = encode_fate(publisher, record, fate, wall_ms);
    struct ring_entry entry = {.kind = kinds[record->kind],
                               .dialect = (enum record_dialect_e)record->dialect,
                               .origin_mode = record->origin_mode,
                               .origin = record->origin,
                               .wall_ms = wall_ms,
                               .source_ns = record->source_ns,
                               .topics = topics,
                               .topic_count = with_topics ? 2 : 0,
                               .meta = &meta,
                               .meta_len = sizeof meta,
                               .frame = frame.at,
                               .frame_len = (uint32_t)frame.len};
    enum err_e err = append(publisher, &entry);
    if (err == ERR_OK && with_topics)
        bridge(publisher, record->machine->bridged[BRIDGE_RESULTS], &entry);
    return err;
}
