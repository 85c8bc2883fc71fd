/* Hop: D7, at boot. The record wins over the table, because it is what clients have seen; the ring's reader has validated
 * each one (its check, its lengths). Records are read oldest first, so that the last word about anything stays. */
#include "reattach.h"

#include <stdlib.h>
#include <string.h>

#include "broker_metrics.h"
#include "machine_set.h"
#include "ring_reader.h"

#define NO_RECORD UINT64_MAX

struct known { /* of a configured machine, by its index */
    bool in_table;
    bool alive; /* the ring has a state of it, and no coming or going after that */
    uint64_t table_position, event_position;
};

struct gone { /* a slot whose machine, or whose description of it, is not configured */
    uint32_t slot;
    struct machine_info info;
    bool leaving; /* marked by a broker that was killed */
    uint64_t table_position, event_position;
};

struct work {
    struct reattach *job;
    struct registry *registry;
    struct publisher *publisher;
    struct known *known; /* as many as machines */
    struct gone *gone;   /* as many as slots */
    size_t gone_count;
    bool *used; /* slots that were in use */
    bool ring_read;
    bool ring_used; /* it has records, readable or not */
    uint64_t tail;
    struct { /* the newest state in the ring */
        char id[MACHINE_ID_MAX + 1];
        uint32_t slot;
    } last;
};

static struct known *known_of(struct work *work, const struct machine *machine)
{
    return &work->known[registry_index(work->registry, machine)];
}

/* As if never heard of. */
static void forget(struct work *work, struct machine *machine)
{
    machine->shown = (struct machine_state){.connection = CONNECTION_DISCONNECTED};
    machine->shown_gen = 0;
    machine->record_position = NO_RECORD;
    known_of(work, machine)->alive = false;
}

/* --- the ring ---------------------------------------------------------------------------------------------------- */

/* The machine's id behind the prefix of the first topic, NUL-terminated into `id`; false: not that kind of topic. */
static bool topic_id(const struct ring_record *record, const char *prefix, char id[MACHINE_ID_MAX + 1])
{
    const struct ring_topic *topic = &record->topics[0];
    size_t skip = strlen(prefix);
    if (record->topic_count == 0 || topic->len <= skip || topic->len - skip > MACHINE_ID_MAX ||
        memcmp(topic->name, prefix, skip) != 0)
        return false;
    memcpy(id, topic->name + skip, topic->len - skip);
    id[topic->len - skip] = '\0';
    return true;
}

/* The last state that clients saw wins over the table's, which is written after it. */
static void take_state(struct work *work, const struct ring_record *record)
{
    struct record_state meta;
    char id[MACHINE_ID_MAX + 1];
    if (record->meta_len != sizeof meta || !topic_id(record, "state/", id))
        return;
    memcpy(&meta, record->meta, sizeof meta);
    memcpy(work->last.id, id, sizeof id);
    work->last.slot = meta.slot;
    struct machine *machine = registry_find(work->registry, id, strlen(id));
    if (machine == NULL || meta.connection >= CONNECTION_COUNT || meta.raw_status > UINT8_MAX ||
        meta.position > UINT8_MAX)
        return;
    machine->shown = (struct machine_state){.connection = (enum connection_e)meta.connection,
                                            .has_reading = meta.has_reading != 0,
                                            .raw_status = (uint8_t)meta.raw_status,
                                            .position = (uint8_t)meta.position,
                                            .read_wall_ms = meta.read_wall_ms};
    machine->shown_gen = meta.agent_gen;
    machine->record_position = record->position;
    known_of(work, machine)->alive = true;
}

/* Whatever was known of a machine ends where it came or went. */
static void take_machine_event(struct work *work, const struct ring_record *record)
{
    char id[MACHINE_ID_MAX + 1];
    if (!topic_id(record, "event/", id))
        return;
    if (strcmp(work->last.id, id) == 0)
        work->last.id[0] = '\0';
    for (size_t i = 0; i < work->gone_count; i++)
        if (strcmp(work->gone[i].info.id, id) == 0)
            work->gone[i].event_position = record->position;
    struct machine *machine = registry_find(work->registry, id, strlen(id));
    if (machine == NULL)
        return;
    forget(work, machine);
    known_of(work, machine)->event_position = record->position;
}

static void take_outcome(struct reattach *reattach, const struct ring_record *record)
{
    struct record_outcome meta;
    if (record->meta_len != sizeof meta)
        return;
    memcpy(&meta, record->meta, sizeof meta);
    if (meta.agent_gen != 0)
        seq_floors_raise(reattach->floors, meta.agent_gen, meta.outcome_seq);
    struct command_key key = {record->origin.worker, record->origin.serial, meta.command_serial};
    bool is_public = record->kind == RECORD_COMPLETION ||
                     (record->kind == RECORD_RESULT && record->origin_mode != ORIGIN_ONLY);
    struct command_entry *entry = command_table_note_answered(reattach->commands, &key, is_public);
    if (entry == NULL)
        return;
    entry->completed |= record->kind == RECORD_COMPLETION;
    entry->agent_told |= meta.agent_gen != 0;
}

/* Its parts became visible together: the first one's head is all of it. */
static void take_stream(struct reattach *reattach, const struct ring_record *record)
{
    struct record_stream meta;
    if (record->meta_len != sizeof meta || record->origin.worker == 0)
        return;
    memcpy(&meta, record->meta, sizeof meta);
    if (meta.publish_seq != 0)
        seq_floors_raise(reattach->stream_floors, record->origin.worker, meta.publish_seq);
}

/* The number is known from then on, and so is the event's place. */
static void take_source(struct work *work, const struct ring_record *record)
{
    struct record_source meta;
    struct sources *sources = work->publisher->sources;
    if (record->meta_len != sizeof meta)
        return;
    memcpy(&meta, record->meta, sizeof meta);
    bool floor = record->kind == RECORD_FLOOR;
    if (meta.source == 0 && !floor && work->job->system != NULL)
        system_events_take(work->job->system, meta.source_seq);
    else if (meta.source != 0 && meta.source_seq != 0 && sources != NULL)
        sources_note(sources, meta.source, meta.source_seq, floor ? meta.position : record->position,
                     record->position);
}

static void take_record(struct work *work, const struct ring_record *record)
{
    if (record->kind == RECORD_STATE)
        take_state(work, record);
    else if (record->kind == RECORD_MACHINE)
        take_machine_event(work, record);
    else if (record->kind == RECORD_STREAM)
        take_stream(work->job, record);
    else if (record->kind == RECORD_CHANNEL || record->kind == RECORD_FLOOR)
        take_source(work, record);
    else if (record->kind == RECORD_RESULT || record->kind == RECORD_COMPLETION ||
             record->kind == RECORD_REFUSAL)
        take_outcome(work->job, record);
}

static enum err_e read_records(struct work *work, struct ring_reader *reader)
{
    struct ring_record record;
    uint64_t count = 0;
    work->tail = ring_reader_tail(reader);
    enum err_e err = ring_reader_seek(reader, work->tail);
    if (err != ERR_OK)
        return err;
    enum ring_status_e status;
    while ((status = ring_reader_next(reader, &record)) == RING_MORE || status == RING_CORRUPT) {
        if (status == RING_MORE)
            take_record(work, &record);
        else
            err = ERR_CORRUPT;
        count++;
    }
    work->ring_used |= count > 0;
    stats_set(work->job->stats, BROKER_RESTORE_RECORDS, count);
    return status == RING_EMPTY ? err : ERR_CORRUPT;
}

/* A slot was put before the event that it names (machine_set_add()). Did the ring ever get it? */
static bool was_told(struct ring_reader *reader, const struct gone *gone)
{
    struct ring_record record;
    char id[MACHINE_ID_MAX + 1];
    if (gone->table_position < ring_reader_tail(reader))
        return true; /* long ago */
    if (ring_reader_seek(reader, gone->table_position) != ERR_OK ||
        ring_reader_next(reader, &record) != RING_MORE)
        return false;
    return (topic_id(&record, "state/", id) || topic_id(&record, "event/", id)) &&
           strcmp(id, gone->info.id) == 0;
}

/* Those never told of are not told of when they go. */
static void find_never_told(struct work *work, struct ring_reader *reader)
{
    for (size_t i = 0; i < work->gone_count; i++) {
        struct gone *gone = &work->gone[i];
        if (!gone->leaving && !was_told(reader, gone))
            gone->event_position = NO_RECORD;
    }
}

static void read_ring(struct work *work)
{
    struct ring_reader *reader;
    enum err_e err = ring_reader_open(work->job->ring_path, &reader);
    if (err == ERR_OK) {
        err = read_records(work, reader);
        if (err == ERR_OK)
            find_never_told(work, reader);
        ring_reader_close(&reader);
    }
    work->ring_read = err == ERR_OK;
    work->ring_used |= err != ERR_OK;
    if (err == ERR_OK)
        return;
    log_warn("ring-unreadable", "path=%s error=\"%s\" outcomes sent again may be seen twice",
             work->job->ring_path, err_text(err));
    for (size_t i = 0; i < work->registry->count; i++)
        work->registry->machines[i]->record_position = NO_RECORD;
}

/* --- the last-value table ---------------------------------------------------------------------------------------- */

static void take_gone(struct work *work, uint32_t index, const struct lvt_machine *slot, bool leaving)
{
    work->gone[work->gone_count++] = (struct gone){
        .slot = index, .info = slot->info, .leaving = leaving, .table_position = slot->record_position};
}

static void take_slot(struct work *work, uint32_t index, const struct lvt_machine *slot, bool leaving)
{
    const char *id = slot->info.id;
    struct machine *machine = registry_find(work->registry, id, strlen(id));
    work->used[index] = true;
    if (machine != NULL && !registry_keep_slot(work->registry, index, id)) {
        lvt_writer_clear(work->publisher->lvt,
                         index); /* a second slot of one machine: no writer makes that */
        return;
    }
    if (machine == NULL || leaving || !machine_set_same(&slot->info, &machine->conf->info)) {
        take_gone(work, index, slot, leaving);
        return;
    }
    machine->shown = slot->state;
    machine->shown_gen = slot->agent_gen;
    machine->record_position = slot->record_position;
    struct known *known = known_of(work, machine);
    known->in_table = true;
    known->table_position = slot->record_position;
}

static void read_table(struct work *work)
{
    struct lvt_writer *lvt = work->publisher->lvt;
    struct lvt_machine *slot = &work->publisher->slot;
    for (uint32_t i = 0; i < lvt_writer_capacity(lvt); i++) {
        bool leaving = lvt_writer_leaving(lvt, i, slot);
        if (leaving || lvt_writer_get(lvt, i, slot))
            take_slot(work, i, slot, leaving);
    }
}

/* At once, before anything is appended: if this broker dies, too, the newest state would be another machine's, and nobody would know any
 * more how this one was described. */
static void restore(struct work *work, struct machine *machine)
{
    struct publisher *publisher = work->publisher;
    struct known *known = known_of(work, machine);
    publish_fill_slot(machine, &publisher->slot);
    publish_put_slot(publisher, machine->slot, &publisher->slot);
    known->in_table = true;
    known->table_position = machine->record_position;
}

/* A broker was killed while it put the slot of the machine whose state it had just published, which emptied it. The ring
 * knows whose it was, the newest state's, and what is left of the slot how it was described. The machine keeps the slot; or it is
 * gone, or described otherwise now, without a slot that says so. */
static void find_torn(struct work *work)
{
    const char *id = work->last.id;
    uint32_t slot = work->last.slot;
    if (id[0] == '\0' || slot >= lvt_writer_capacity(work->publisher->lvt) || work->used[slot])
        return;
    struct gone gone = {.slot = REGISTRY_NO_SLOT};
    bool described =
        lvt_writer_remains(work->publisher->lvt, slot, &gone.info) && strcmp(gone.info.id, id) == 0;
    if (!described) {
        gone.info = (struct machine_info){0};
        memcpy(gone.info.id, id, sizeof gone.info.id);
    }
    struct machine *machine = registry_find(work->registry, id, strlen(id));
    bool kept = machine != NULL && registry_keep_slot(work->registry, slot, id);
    if (machine == NULL)
        work->used[slot] = true;
    if (machine == NULL || (described && !machine_set_same(&gone.info, &machine->conf->info)))
        work->gone[work->gone_count++] = gone;
    else if (kept)
        restore(work, machine);
}

/* --- who is gone, and who is new --------------------------------------------------------------------------------- */

static void remove_gone(struct work *work)
{
    for (size_t i = 0; i < work->gone_count; i++) {
        const struct gone *gone = &work->gone[i];
        bool told = gone->event_position > gone->table_position; /* or never to be */
        machine_set_remove(work->publisher, gone->slot, &gone->info, told);
        struct machine *machine = registry_find(work->registry, gone->info.id, strlen(gone->info.id));
        if (machine != NULL)
            forget(work, machine); /* another one by the same id */
    }
}

static bool is_new(const struct work *work, const struct known *known)
{
    if (!known->in_table)
        return !known->alive; /* alive: its slot was lost, not the machine */
    bool in_ring = known->alive || known->event_position >= known->table_position;
    return work->ring_read && !in_ring && known->table_position >= work->tail;
}

/* Does the slot repeat the machine's last record, as today's configuration would write it? */
static bool slot_stands(struct work *work, const struct machine *machine, struct lvt_machine *should)
{
    struct lvt_machine *is = &work->publisher->slot;
    if (!lvt_writer_get(work->publisher->lvt, machine->slot, is) ||
        strcmp(is->info.id, machine->conf->info.id) != 0)
        return false;
    publish_fill_slot(machine, should);
    return is->record_position == should->record_position && is->text_len == should->text_len &&
           memcmp(is->text, should->text, is->text_len) == 0 && machine_set_same(&is->info, &should->info);
}

static void show_all(struct work *work, struct lvt_machine *scratch)
{
    for (size_t i = 0; i < work->registry->count; i++) {
        struct machine *machine = work->registry->machines[i];
        struct machine_state state = machine->shown;
        if (work->job->table_continued && is_new(work, &work->known[i]))
            machine_set_add(work->publisher, machine);
        else if (!slot_stands(work, machine, scratch) &&
                 publish_state(work->publisher, machine, &state, machine->shown_gen, 0) == ERR_OK)
            stats_add(work->job->stats, BROKER_STATES_RESTORED, 1);
    }
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

static enum err_e take_up(struct work *work, struct lvt_machine *scratch)
{
    read_table(work);
    if (work->job->ring_continued)
        read_ring(work);
    if (work->job->table_continued)
        find_torn(work);
    enum err_e err =
        registry_assign_slots(work->registry, lvt_writer_capacity(work->publisher->lvt), work->used);
    if (err != ERR_OK)
        return err;
    if (work->job->system != NULL)
        system_events_begin(work->job->system, work->publisher, work->ring_used);
    remove_gone(work);
    show_all(work, scratch);
    publish_flush(work->publisher);
    lvt_writer_settle(work->publisher->lvt, ring_writer_head(work->publisher->ring));
    return ERR_OK;
}

enum err_e reattach(struct reattach *reattach)
{
    uint64_t start_ns = clock_mono_ns(reattach->publisher->clock);
    uint32_t capacity = lvt_writer_capacity(reattach->publisher->lvt);
    struct work work = {.job = reattach, .registry = reattach->registry, .publisher = reattach->publisher};
    work.known = calloc(reattach->registry->count + 1, sizeof *work.known);
    work.gone = calloc(capacity, sizeof *work.gone);
    work.used = calloc(capacity, sizeof *work.used);
    struct lvt_machine *scratch = calloc(1, sizeof *scratch);
    enum err_e err = ERR_MEMORY;
    if (work.known != NULL && work.gone != NULL && work.used != NULL && scratch != NULL)
        err = take_up(&work, scratch);
    free(scratch);
    free(work.used);
    free(work.gone);
    free(work.known);
    stats_set(reattach->stats, BROKER_RESTORE_US,
              (clock_mono_ns(reattach->publisher->clock) - start_ns) / NS_PER_US);
    return err;
}
